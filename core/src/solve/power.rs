//! Power iteration: the eigenvalue of largest modulus.

use super::{finite, hessian_vector_into, start};
use crate::dynamics::invariant_measure::{square, step_stats};
use crate::error::{check, check_scratch};
use crate::memory::cut;
use crate::{Error, Real, vector};

/// Most products of [`power_iteration`].
const MOST_POWER: usize = 60;
/// Relative change of the quotient from one product to the next.
const TOLERANCE: f64 = 1e-4;
/// Residual over the quotient: an eigenvalue lies within a hundredth.
const RESIDUAL: f64 = 1e-2;

/// An estimate of an eigenvalue, with what tells how good it is.
///
/// ```
/// use thalweg::solve::power_iteration;
/// let bowl = |x: &[f64], g: &mut [f64]| { (g[0], g[1]) = (4.0 * x[0], x[1]); Ok(()) };
/// let found = power_iteration(&[0.0; 2], bowl, 1, &mut [0.0; 8])?;
/// assert!(found.converged && found.residual < 0.04 && (found.value - 4.0).abs() <= found.residual + 1e-9);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curvature {
    /// The quotient `l = <v, H v>` of the last unit vector, with its sign.
    pub value: f64,
    /// `|H v - l v|`: a symmetric `H` has an eigenvalue within this distance of the value.
    pub residual: f64,
    /// The residual is at most a hundredth of the value, which has settled; else the value need not be near an eigenvalue.
    pub converged: bool,
    /// Hessian-vector products.
    pub products: usize,
}

/// Scratch of [`power_iteration`].
///
/// ```
/// assert_eq!(thalweg::solve::power_scratch_len(10), 40);
/// ```
#[must_use]
pub const fn power_scratch_len(d: usize) -> usize {
    d.saturating_mul(4)
}

/// The Hessian's eigenvalue of largest modulus, by at most 60 products from a random start.
///
/// ```text
/// l = <v, H v>;  v = H v / |H v|;
/// stop when |l - l_before| < 1e-4 |l| and |H v - l v| <= 1e-2 |l| after the third product
/// ```
/// Two eigenvalues of opposite sign and equal modulus keep `l` between them for good, and the residual shows it: then `H v + |H v| v`, or
/// `H v - |H v| v` where that is longer, is free of one of the two, and takes a last product. A spectrum that is dense at its end may leave
/// [`converged`](Curvature::converged) false; [`lanczos`](super::lanczos()) takes fewer products there. 0 where the Hessian takes the vector to
/// nothing. Scratch: [`power_scratch_len`].
///
/// # Errors
/// Wrong lengths; no parameters; errors of the gradient; [`Error::NonFinite`] with the number of the product.
///
/// ```
/// use thalweg::solve::power_iteration;
/// let saddle = |x: &[f64], g: &mut [f64]| { (g[0], g[1]) = (x[0], -3.0 * x[1]); Ok(()) };
/// let found = power_iteration(&[0.5, 0.5], saddle, 1, &mut [0.0; 8])?;
/// assert!(found.converged && (found.value + 3.0).abs() < 1e-3);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn power_iteration<T: Real>(
    params: &[T],
    mut gradient: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    seed: u64,
    scratch: &mut [T],
) -> Result<Curvature, Error> {
    let d = params.len();
    check("params", d > 0, "must not be empty")?;
    check_scratch("scratch", power_scratch_len(d), scratch.len())?;
    let ([v, hv], rest) = cut(scratch, [d; 2])?;
    start(seed, v);
    let mut found = Curvature {
        value: 0.0,
        residual: f64::INFINITY,
        converged: false,
        products: 0,
    };
    while found.products < MOST_POWER {
        hessian_vector_into(params, v, &mut gradient, hv, rest)?;
        let norm = found.take(v, hv)?;
        if found.converged {
            return Ok(found);
        }
        // The last product is kept for the vector that is free of one sign; |H v + mix v| is at least |H v|.
        if found.products == MOST_POWER - 1 {
            let mix = T::from_f64(norm.copysign(found.value));
            vector::axpy(mix, v, hv)?;
            let scale = T::from_f64(1.0 / libm::sqrt(square(hv)));
            vector::axpby_into(scale, hv, T::ZERO, hv, v)?;
        } else {
            let scale = T::from_f64(1.0 / norm);
            for (v, hv) in v.iter_mut().zip(hv.iter()) {
                *v = *hv * scale;
            }
        }
    }
    Ok(found)
}

impl Curvature {
    /// Takes in one product; the length of `H v`.
    fn take<T: Real>(&mut self, v: &[T], hv: &[T]) -> Result<f64, Error> {
        self.products = self.products.saturating_add(1);
        let stats = step_stats(v, hv)?;
        finite(stats.gg, self.products)?;
        let (before, norm) = (self.value, libm::sqrt(stats.gg));
        if norm < T::MIN_POSITIVE.to_f64() {
            (self.value, self.residual, self.converged) = (0.0, norm, true);
            return Ok(norm);
        }
        // v is a unit vector, but for rounding.
        self.value = stats.tg;
        let squares = v.iter().zip(hv).map(|(v, hv)| {
            let rest = hv.to_f64() - self.value * v.to_f64();
            rest * rest
        });
        self.residual = libm::sqrt(squares.sum());
        let size = self.value.abs();
        // The last vector is another one, whose quotient has no predecessor.
        let has_settled = self.products == MOST_POWER
            || self.products > 3 && (self.value - before).abs() < TOLERANCE * size;
        self.converged = has_settled && self.residual <= RESIDUAL * size;
        Ok(norm)
    }
}
