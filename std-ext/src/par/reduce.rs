//! Sums: each block as core sums it, blocks added in order.
//!
//! Core reduces at most [`BLOCK`] elements in one go and adds the results in order, so a thread that sums one block and a caller
//! that adds the blocks take the same steps.

use rayon::prelude::*;
use thalweg::error::Error;
use thalweg::{Real, vector};

use super::{BLOCK, SERIAL};

/// Adds what `block` returns for each block of two slices of equal length, in order.
fn blocks<T: Real>(x: &[T], y: &[T], block: impl Fn(&[T], &[T]) -> T + Sync) -> T {
    if x.len() < SERIAL {
        return block(x, y);
    }
    let parts: Vec<T> = x
        .par_chunks(BLOCK)
        .zip(y.par_chunks(BLOCK))
        .map(|(x, y)| block(x, y))
        .collect();
    parts.into_iter().fold(-T::ZERO, |total, part| total + part)
}

/// Inner product, with the bits of [`vector::dot`].
///
/// # Errors
/// [`Error::Length`] when the lengths differ.
///
/// ```
/// assert_eq!(thalweg_std::par::dot(&[1.0_f32, 2.0, 3.0], &[4.0, 5.0, 6.0])?, 32.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn dot<T: Real>(x: &[T], y: &[T]) -> Result<T, Error> {
    if x.len() != y.len() {
        return vector::dot(x, y);
    }
    // Blocks of equal slices have equal lengths.
    Ok(blocks(x, y, |x, y| vector::dot(x, y).unwrap_or(T::ZERO)))
}

/// Sum of the elements, with the bits of [`vector::sum`].
///
/// ```
/// assert_eq!(thalweg_std::par::sum(&[1.5_f64, 2.0, -0.5]), 3.0);
/// ```
pub fn sum<T: Real>(x: &[T]) -> T {
    blocks(x, x, |x, _| vector::sum(x))
}

/// Sum of the magnitudes, with the bits of [`vector::sum_abs`].
///
/// ```
/// assert_eq!(thalweg_std::par::sum_abs(&[1.0_f32, -2.0, 3.0]), 6.0);
/// ```
pub fn sum_abs<T: Real>(x: &[T]) -> T {
    blocks(x, x, |x, _| vector::sum_abs(x))
}

/// Sum of squares, with the bits of [`vector::norm2_squared`].
///
/// ```
/// assert_eq!(thalweg_std::par::norm2_squared(&[3.0_f32, 4.0]), 25.0);
/// ```
pub fn norm2_squared<T: Real>(x: &[T]) -> T {
    blocks(x, x, |x, _| vector::norm2_squared(x))
}

/// Euclidean norm, with the bits of [`vector::norm2`].
///
/// Vectors whose sum of squares overflows or is near the subnormal range are left to one thread.
///
/// ```
/// assert_eq!(thalweg_std::par::norm2(&[3.0_f32, 4.0]), 5.0);
/// ```
pub fn norm2<T: Real>(x: &[T]) -> T {
    let plain = norm2_squared(x);
    // At least the bound above which core takes the root of the plain sum.
    let safe = T::MIN_POSITIVE / (T::EPSILON * T::EPSILON);
    if plain.is_finite() && plain >= safe {
        plain.sqrt()
    } else {
        vector::norm2(x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{painted, with_threads};
    use super::*;

    const LENGTHS: [usize; 7] = [
        0,
        1003,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
        3 * BLOCK,
        5 * BLOCK + 4097,
    ];

    #[test]
    fn sums_have_the_bits_of_core_for_any_number_of_threads() {
        for n in LENGTHS {
            let (x, y) = (painted(n, 1), painted(n, 2));
            let expected = [
                vector::dot(&x, &y).unwrap(),
                vector::sum(&x),
                vector::sum_abs(&x),
                vector::norm2_squared(&x),
                vector::norm2(&x),
            ];
            for threads in [1, 2, 3, 8] {
                let found = with_threads(threads, || {
                    [
                        dot(&x, &y).unwrap(),
                        sum(&x),
                        sum_abs(&x),
                        norm2_squared(&x),
                        norm2(&x),
                    ]
                });
                for (found, expected) in found.iter().zip(expected) {
                    assert_eq!(
                        found.to_bits(),
                        expected.to_bits(),
                        "{n}, {threads} threads"
                    );
                }
            }
        }
    }

    #[test]
    fn norms_outside_the_range_of_squares_are_those_of_core() {
        for scale in [1e30_f32, 1e-30, 0.0, f32::NAN] {
            let x: Vec<f32> = painted(2 * BLOCK, 3).iter().map(|x| x * scale).collect();
            assert_eq!(norm2(&x).to_bits(), vector::norm2(&x).to_bits());
        }
    }

    #[test]
    fn lengths_that_differ_are_named() {
        assert_eq!(dot(&[1.0_f32], &[]), vector::dot(&[1.0_f32], &[]));
        assert!(dot(&[1.0_f32], &[]).is_err());
    }
}
