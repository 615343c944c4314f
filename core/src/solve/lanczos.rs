//! Lanczos: both ends of the spectrum of a Hessian.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices below the length of a slice, and counts that are bounded where they are restored"
)]

use super::{finite, hessian_vector_into, start};
use crate::dynamics::invariant_measure::{square, step_stats};
use crate::error::{check, check_scratch};
use crate::memory::{cut, must};
use crate::{Error, Real, vector};

/// Most steps of [`lanczos`].
pub const MOST_LANCZOS: usize = 64;

/// Scratch of [`lanczos`] with `steps` steps.
///
/// ```
/// assert_eq!(thalweg::solve::lanczos_scratch_len(10, 5), 90);
/// ```
#[must_use]
pub const fn lanczos_scratch_len(d: usize, steps: usize) -> usize {
    d.saturating_mul(steps.saturating_add(4))
}

/// Both ends of a spectrum, to be written; either may be empty.
///
/// ```
/// use thalweg::solve::Ends;
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
/// use thalweg::solve::{Ends, lanczos, lanczos_scratch_len};
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
    let ([w, differences, next], basis) = cut(scratch, [d, 2 * d, d])?;
    start(seed, next);
    let (mut alpha, mut beta) = ([0.0; MOST_LANCZOS], [0.0; MOST_LANCZOS]);
    let (mut made, mut scale) = (0, 0.0_f64);
    for (j, (alpha, beta)) in (0..steps.min(d)).zip(alpha.iter_mut().zip(&mut beta)) {
        let ([known], _) = cut(basis, [(j + 1) * d])?;
        if let Some(v) = known.chunks_exact_mut(d).nth(j) {
            vector::axpby_into(T::ONE, next, T::ZERO, next, v)?;
        }
        hessian_vector_into(params, next, &mut gradient, w, differences)?;
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
