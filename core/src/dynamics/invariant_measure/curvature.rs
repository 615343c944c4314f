//! K8: extreme eigenvalues of the Hessian from differences of gradients.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices below the length of a slice, and counts that are bounded where they are restored"
)]

use super::stats::{square, step_stats};
use crate::error::{check, check_length, check_scratch, ensure_finite_at};
use crate::memory::must;
use crate::random::{self, Lanes32, Purpose};
use crate::{At, Error, Real, vector};

/// Most steps of [`lanczos`].
pub const MOST_LANCZOS: usize = 64;
/// Most products of [`power_iteration`].
const MOST_POWER: usize = 60;
/// Relative change of the quotient from one product to the next.
const TOLERANCE: f64 = 1e-4;
/// Residual over the quotient: an eigenvalue lies within a hundredth.
const RESIDUAL: f64 = 1e-2;

/// An estimate of an eigenvalue, with what tells how good it is.
///
/// ```
/// use thalweg::dynamics::invariant_measure::power_iteration;
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
/// assert_eq!(thalweg::dynamics::invariant_measure::power_scratch_len(10), 40);
/// ```
#[must_use]
pub const fn power_scratch_len(d: usize) -> usize {
    d.saturating_mul(4)
}

/// Scratch of [`lanczos`] with `steps` steps.
///
/// ```
/// assert_eq!(thalweg::dynamics::invariant_measure::lanczos_scratch_len(10, 5), 90);
/// ```
#[must_use]
pub const fn lanczos_scratch_len(d: usize, steps: usize) -> usize {
    d.saturating_mul(steps.saturating_add(4))
}

/// Writes `(grad(x + e v) - grad(x - e v)) / (2 e)` for a unit vector `v`, with scratch of `2 d`.
///
/// `e` is `2e-3 max(1, |x|)` in `f32` and `1e-5 max(1, |x|)` in `f64`. The gradient must be of the same data in both
/// calls. The parameters are only read.
///
/// # Errors
/// Wrong lengths; errors of the gradient.
///
/// ```
/// use thalweg::dynamics::invariant_measure::hessian_vector_into;
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
    let (at, rest) = split(scratch, d)?;
    let (other, _) = split(rest, d)?;
    let relative = if T::BYTES == 4 { 2e-3 } else { 1e-5 };
    let e = T::from_f64(relative * libm::sqrt(square(params)).max(1.0));
    vector::axpby_into(T::ONE, params, e, v, at)?;
    gradient(at, out)?;
    vector::axpby_into(T::ONE, params, -e, v, at)?;
    gradient(at, other)?;
    // e is positive: at least the constant above.
    let scale = T::ONE / (e + e);
    for (out, other) in out.iter_mut().zip(other.iter()) {
        *out = (*out - *other) * scale;
    }
    Ok(())
}

/// The Hessian's eigenvalue of largest modulus, by at most 60 products from a random start.
///
/// ```text
/// l = <v, H v>;  v = H v / |H v|;
/// stop when |l - l_before| < 1e-4 |l| and |H v - l v| <= 1e-2 |l| after the third product
/// ```
/// Two eigenvalues of opposite sign and equal modulus keep `l` between them for good, and the residual shows it: then `H v + |H v| v`, or
/// `H v - |H v| v` where that is longer, is free of one of the two, and takes a last product. A spectrum that is dense at its end may leave
/// [`converged`](Curvature::converged) false; [`lanczos`] takes fewer products there. 0 where the Hessian takes the vector to
/// nothing. Scratch: [`power_scratch_len`].
///
/// # Errors
/// Wrong lengths; no parameters; errors of the gradient; [`Error::NonFinite`] with the number of the product.
///
/// ```
/// use thalweg::dynamics::invariant_measure::power_iteration;
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
    let (v, rest) = split(scratch, d)?;
    let (hv, rest) = split(rest, d)?;
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
        if found.products + 1 == MOST_POWER {
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
        self.products += 1;
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

/// Both ends of a spectrum, to be written; either may be empty.
///
/// ```
/// use thalweg::dynamics::invariant_measure::Ends;
/// let ends = Ends { largest: &mut [0.0; 2], smallest: &mut [] };
/// assert_eq!((ends.largest.len(), ends.smallest.len()), (2, 0));
/// ```
#[derive(Debug)]
pub struct Ends<'a> {
    /// In falling order.
    pub largest: &'a mut [f64],
    /// In rising order.
    pub smallest: &'a mut [f64],
}

/// The largest eigenvalues of the Hessian, in falling order, by `steps` steps of Lanczos with full
/// reorthogonalisation.
///
/// Writes `largest.len()` values and, at the other end, `smallest.len()` in rising order; returns the number of steps
/// that were made. It is smaller than `steps` when an invariant subspace is found; values that then do not exist are
/// NaN. Scratch: [`lanczos_scratch_len`].
///
/// # Errors
/// Wrong lengths; steps outside 1 to 64; more values than steps; errors of the gradient; [`Error::NonFinite`] with the
/// number of the step.
///
/// ```
/// use thalweg::dynamics::invariant_measure::{Ends, lanczos, lanczos_scratch_len};
/// let bowl = |x: &[f64], g: &mut [f64]| {
///     g.iter_mut().zip(x).zip([4.0, 1.0, -2.0]).for_each(|((g, x), h)| *g = h * x);
///     Ok(())
/// };
/// let (mut largest, mut smallest) = ([0.0; 2], [0.0; 1]);
/// let mut scratch = [0.0; lanczos_scratch_len(3, 3)];
/// let ends = Ends { largest: &mut largest, smallest: &mut smallest };
/// lanczos(&[0.0; 3], bowl, 1, 3, ends, &mut scratch)?;
/// assert!((largest[0] - 4.0).abs() + (largest[1] - 1.0).abs() + (smallest[0] + 2.0).abs() < 1e-6);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn lanczos<T: Real>(
    params: &[T],
    mut gradient: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    seed: u64,
    steps: usize,
    ends: Ends<'_>,
    scratch: &mut [T],
) -> Result<usize, Error> {
    let Ends { largest, smallest } = ends;
    let d = params.len();
    check("params", d > 0, "must not be empty")?;
    check(
        "steps",
        (1..=MOST_LANCZOS).contains(&steps),
        "must be between 1 and 64",
    )?;
    check(
        "largest",
        largest.len() <= steps,
        "must not ask for more values than steps",
    )?;
    check(
        "smallest",
        smallest.len() <= steps,
        "must not ask for more values than steps",
    )?;
    check_scratch("scratch", lanczos_scratch_len(d, steps), scratch.len())?;
    let (w, rest) = split(scratch, d)?;
    let (work, rest) = split(rest, 2 * d)?;
    let (next, basis) = split(rest, d)?;
    start(seed, next);
    let (mut alpha, mut beta) = ([0.0; MOST_LANCZOS], [0.0; MOST_LANCZOS]);
    let (mut made, mut scale) = (0, 0.0_f64);
    for (j, (alpha, beta)) in (0..steps.min(d)).zip(alpha.iter_mut().zip(&mut beta)) {
        let (known, _) = basis.split_at_mut_checked((j + 1) * d).ok_or(SHORT)?;
        if let Some(v) = known.chunks_exact_mut(d).nth(j) {
            vector::axpby_into(T::ONE, next, T::ZERO, next, v)?;
        }
        hessian_vector_into(params, next, &mut gradient, w, work)?;
        *alpha = step_stats(next, w)?.tg;
        finite(*alpha, j + 1)?;
        // Twice is enough (Kahan and Parlett).
        for _ in 0..2 {
            for v in known.chunks_exact(d) {
                let along = step_stats(v, w)?.tg;
                vector::axpy(T::from_f64(-along), v, w)?;
            }
        }
        made = j + 1;
        let norm = libm::sqrt(square(w));
        finite(norm, j + 1)?;
        scale = scale.max(alpha.abs()).max(norm);
        if norm <= 1e3 * T::EPSILON.to_f64() * scale {
            break;
        }
        *beta = norm;
        let inverse = T::from_f64(1.0 / norm);
        for (next, w) in next.iter_mut().zip(w.iter()) {
            *next = *w * inverse;
        }
    }
    let alpha = must(alpha.get(..made));
    let beta = must(beta.get(..made.saturating_sub(1)));
    for (i, out) in largest.iter_mut().enumerate() {
        *out = made
            .checked_sub(i + 1)
            .map_or(f64::NAN, |place| eigenvalue(alpha, beta, place));
    }
    for (i, out) in smallest.iter_mut().enumerate() {
        *out = if i < made {
            eigenvalue(alpha, beta, i)
        } else {
            f64::NAN
        };
    }
    Ok(made)
}

/// Eigenvalue number `place`, from the smallest, of a symmetric tridiagonal matrix: bisection on Sturm counts.
pub(super) fn eigenvalue(alpha: &[f64], beta: &[f64], place: usize) -> f64 {
    let most = alpha
        .iter()
        .chain(beta)
        .fold(0.0_f64, |m, x| m.max(x.abs()));
    // Gershgorin: |a| + two neighbours.
    let (mut low, mut high) = (-3.0 * most, 3.0 * most);
    let mut middle = 0.0;
    for _ in 0..65 {
        middle = low + (high - low) / 2.0;
        let (mut below, mut pivot) = (0, 1.0);
        let squares = core::iter::once(0.0).chain(beta.iter().map(|b| b * b));
        for (a, square) in alpha.iter().zip(squares) {
            // A pivot of 0 is moved: `most` is positive where two rows exist.
            let divisor = if pivot == 0.0 { 1e-300 } else { pivot };
            pivot = a - middle - square / divisor;
            below += usize::from(pivot < 0.0);
        }
        if below > place {
            high = middle;
        } else {
            low = middle;
        }
    }
    middle
}

/// A random unit vector. The first axis in place of a draw of zeros: of a single parameter one in 2^24 is, in `f32`.
fn start<T: Real>(seed: u64, v: &mut [T]) {
    Lanes32::new(&mut random::stream(seed, 0, 1, Purpose::DIRECTION)).fill_normal(v);
    let norm = libm::sqrt(square(v));
    if norm > 0.0 {
        vector::scale(T::from_f64(1.0 / norm), v);
    } else if let Some(first) = v.first_mut() {
        *first = T::ONE;
    }
}

const SHORT: Error = Error::Parameter {
    name: "scratch",
    rule: "must have the stated length",
};

fn split<T>(x: &mut [T], at: usize) -> Result<(&mut [T], &mut [T]), Error> {
    x.split_at_mut_checked(at).ok_or(SHORT)
}

/// Checks what came of product `step`, the first being 1.
fn finite(value: f64, step: usize) -> Result<(), Error> {
    ensure_finite_at("hessian product", value.is_finite(), At::Step(step as u64))
}
