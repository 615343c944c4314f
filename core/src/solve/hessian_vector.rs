//! Products of a Hessian and a vector by central differences of gradients.

use crate::dynamics::invariant_measure::square;
use crate::error::{check_length, check_scratch};
use crate::memory::cut;
use crate::{Error, Real, vector};

/// Writes `(grad(x + e v) - grad(x - e v)) / (2 e)` for a unit vector `v`, with scratch of `2 d`.
///
/// `e` is `2e-3 max(1, |x|)` in `f32` and `1e-5 max(1, |x|)` in `f64`. The gradient must be of the same data in both
/// calls. The parameters are only read.
///
/// # Errors
/// Wrong lengths; errors of the gradient.
///
/// ```
/// use thalweg::solve::hessian_vector_into;
/// // x^3: second derivative 6 x, and central differences are exact but for rounding.
/// let mut out = [0.0_f64];
/// hessian_vector_into(&[2.0], &[1.0], |x, g| { g[0] = 3.0 * x[0] * x[0]; Ok(()) }, &mut out, &mut [0.0; 2])?;
/// assert!((out[0] - 12.0).abs() < 1e-9);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn hessian_vector_into<T: Real>(
    params: &[T],
    v: &[T],
    mut gradient: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    out: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    let d = params.len();
    check_length("v", d, v.len())?;
    check_length("out", d, out.len())?;
    check_scratch("scratch", d.saturating_mul(2), scratch.len())?;
    let relative = if T::BYTES == 4 { 2e-3 } else { 1e-5 };
    let e = T::from_f64(relative * libm::sqrt(square(params)).max(1.0));
    central_difference_into([params, v], e, &mut gradient, out, scratch)
}

/// Writes `(f(x + e v) - f(x - e v)) / (2 e)` for a field `f`, with scratch for `x` and for one value of `f`.
pub(crate) fn central_difference_into<T: Real>(
    [x, v]: [&[T]; 2],
    e: T,
    mut field: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    out: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    let ([at, other], _) = cut(scratch, [x.len(), out.len()])?;
    vector::axpby_into(T::ONE, x, e, v, at)?;
    field(at, out)?;
    vector::axpby_into(T::ONE, x, -e, v, at)?;
    field(at, other)?;
    // e is positive, but where it has underflowed; the difference is not finite then.
    let scale = T::ONE / (e + e);
    for (out, other) in out.iter_mut().zip(other.iter()) {
        *out = (*out - *other) * scale;
    }
    Ok(())
}
