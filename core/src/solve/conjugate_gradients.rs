//! Conjugate gradients for `A x = b` with A symmetric and positive definite, from `x = 0`.
//!
//! ```text
//! r <- b, q <- r                                   each step: one product A q
//! a = |r|^2 / <q, A q>,   x <- x + a q,   r <- r - a A q
//! q <- r + (|r_new|^2 / |r|^2) q
//! ```
//! It stops where it has met `b` exactly, or along a direction without curvature, with the last iterate. A small `b` is taken times a
//! power of two, so that no square underflows.
//!
//! Reference: Hestenes and Stiefel, *Methods of conjugate gradients for solving linear systems*, 1952.

use crate::error::ensure_finite_at;
use crate::memory::cut;
use crate::model::copy;
use crate::{At, Error, Real, vector};

/// Scratch of [`solve`] in `d` dimensions: a direction and its product.
pub(crate) const fn scratch_len(d: usize) -> usize {
    d.saturating_mul(2)
}

/// Writes the solution after at most `products` products; `r` holds `b`, and is of no use afterwards. All have one length.
///
/// # Errors
/// Those of the operator; a residual that is not finite, with the number of the product; a scratch shorter than [`scratch_len`].
pub(crate) fn solve<T: Real>(
    mut operator: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    products: usize,
    r: &mut [T],
    x: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    let ([q, product], _) = cut(scratch, [r.len(); 2])?;
    x.fill(T::ZERO);
    let unit = unit(r);
    // 1 / unit is at most 2^126, in f64 2^1022.
    vector::scale(T::ONE / unit, r);
    copy(r, q);
    let mut square = vector::norm2_squared(r);
    for number in 0..products {
        operator(q, product)?;
        let curvature = vector::dot(q, product)?;
        // A direction without curvature is the zero direction where A is positive definite.
        if square == T::ZERO || curvature == T::ZERO {
            break;
        }
        let step = square / curvature;
        vector::axpy(step, q, x)?;
        vector::axpy(-step, product, r)?;
        let last = square;
        square = vector::norm2_squared(r);
        check_residual(square, number)?;
        // last is not 0: the loop has not stopped.
        let keep = square / last;
        for (q, &r) in q.iter_mut().zip(&*r) {
            *q = r + keep * *q;
        }
    }
    vector::scale(unit, x);
    Ok(())
}

/// What `b` is divided by: 1, or where squares would underflow the power of two below its largest element.
///
/// The least square that counts is that of the largest element times eps.
fn unit<T: Real>(b: &[T]) -> T {
    let largest = vector::norm_inf(b);
    let least = T::EPSILON * largest;
    if largest == T::ZERO || least * least >= T::MIN_POSITIVE {
        return T::ONE;
    }
    let exponent = u64::MAX << T::MANTISSA_BITS;
    T::from_bits_u64(largest.to_bits_u64() & exponent).largest(T::MIN_POSITIVE)
}

/// Checks the square of the residual after product `index`.
pub(crate) fn check_residual<T: Real>(square: T, index: usize) -> Result<(), Error> {
    ensure_finite_at("residual", square.is_finite(), At::Step(index as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[[4, 1], [1, 3]]`.
    fn product<T: Real>(v: &[T], out: &mut [T]) -> Result<(), Error> {
        let [three, four] = [3.0, 4.0].map(T::from_f64);
        (out[0], out[1]) = (four * v[0] + v[1], v[0] + three * v[1]);
        Ok(())
    }

    fn solved<T: Real>(b: [f64; 2], products: usize) -> [f64; 2] {
        let (mut r, mut x) = (b.map(T::from_f64), [T::NAN; 2]);
        solve(
            product,
            products,
            &mut r,
            &mut x,
            &mut [T::NAN; scratch_len(2)],
        )
        .unwrap();
        x.map(|x| x.to_f64())
    }

    #[test]
    fn two_products_solve_a_system_of_two() {
        // The inverse is [[3, -1], [-1, 4]] / 11; the first iterate is b |b|^2 / (b^T A b) = b / 4.
        let [first, second] = solved::<f64>([1.0, 2.0], 2);
        assert!((first - 1.0 / 11.0).abs() < 1e-15 && (second - 7.0 / 11.0).abs() < 1e-15);
        assert_eq!(solved::<f64>([1.0, 2.0], 1), [0.25, 0.5]);
        assert_eq!(solved::<f64>([1.0, 2.0], 0), [0.0; 2]);
        let [first, second] = solved::<f32>([1.0, 2.0], 9);
        assert!((first - 1.0 / 11.0).abs() < 1e-7 && (second - 7.0 / 11.0).abs() < 1e-7);
        assert_eq!(solved::<f32>([0.0, 0.0], 9), [0.0; 2]);
    }

    #[test]
    fn a_right_hand_side_whose_squares_underflow_is_solved_as_well() {
        let [first, second] = solved::<f32>([1e-30, 2e-30], 3);
        assert!(
            (first * 1e30 - 1.0 / 11.0).abs() < 1e-6 && (second * 1e30 - 7.0 / 11.0).abs() < 1e-6
        );
    }

    #[test]
    fn a_residual_that_is_not_finite_names_its_product() {
        let mut calls = 0;
        let broken = |v: &[f64], out: &mut [f64]| {
            calls += 1;
            product(v, out)?;
            if calls == 2 {
                out[0] = f64::NAN;
            }
            Ok(())
        };
        let found = solve(broken, 5, &mut [1.0, 2.0], &mut [0.0; 2], &mut [0.0; 4]);
        let (name, at) = ("residual", At::Step(1));
        assert_eq!(found, Err(Error::NonFinite { name, at }));
        let short = solve(product, 5, &mut [1.0, 2.0], &mut [0.0; 2], &mut [0.0; 3]);
        assert!(matches!(short, Err(Error::Length { expected: 4, .. })));
    }
}
