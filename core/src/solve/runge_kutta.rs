//! The classical Runge-Kutta step of order 4.
//!
//! ```text
//! k1 = f(x)   k2 = f(x + h k1 / 2)   k3 = f(x + h k2 / 2)   k4 = f(x + h k3)   x <- x + (h / 6) (k1 + 2 k2 + 2 k3 + k4)
//! ```

use crate::memory::cut;
use crate::model::copy;
use crate::{Error, Real, vector};

/// Scratch of [`step`] in `d` dimensions: the sum of the slopes and a place.
pub(crate) const fn scratch_len(d: usize) -> usize {
    d.saturating_mul(2)
}

/// Moves `x`; `slope` holds `f(x)`, which callers look at first, and another slope afterwards. `x` has not moved when the field fails.
///
/// # Errors
/// Those of the field; a scratch shorter than [`scratch_len`].
pub(crate) fn step<T: Real>(
    mut field: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    h: T,
    x: &mut [T],
    slope: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    let ([sum, place], _) = cut(scratch, [x.len(); 2])?;
    let [half, sixth, two] = [0.5, 1.0 / 6.0, 2.0].map(T::from_f64);
    copy(slope, sum);
    for (reach, weight) in [(half, two), (half, two), (T::ONE, T::ONE)] {
        vector::axpby_into(T::ONE, x, h * reach, slope, place)?;
        field(place, slope)?;
        vector::axpy(weight, slope, sum)?;
    }
    vector::axpy(h * sixth, sum, x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_field_is_followed_to_the_fourth_power_of_the_step() {
        // x' = x: the step multiplies by 1 + h + h^2/2 + h^3/6 + h^4/24; at h = 1 by 65/24.
        let (mut x, mut slope) = ([24.0_f64], [24.0]);
        let field = |x: &[f64], out: &mut [f64]| {
            out[0] = x[0];
            Ok(())
        };
        step(
            field,
            1.0,
            &mut x,
            &mut slope,
            &mut [f64::NAN; scratch_len(1)],
        )
        .unwrap();
        assert!((x[0] - 65.0).abs() < 1e-13, "{x:?}");
        assert!(step(field, 1.0, &mut x, &mut slope, &mut [0.0; 1]).is_err());
    }
}
