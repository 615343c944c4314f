//! Passes in which no element looks at another.

use rayon::prelude::*;
use thalweg::error::Error;
use thalweg::{Real, vector};

use super::{CHUNK, SERIAL};

/// `y <- y + a x`.
///
/// # Errors
/// [`Error::Length`] when the lengths differ; `y` is unchanged.
///
/// ```
/// let mut y = [1.0_f32, 2.0];
/// thalweg_std::par::axpy(2.0, &[10.0, 20.0], &mut y)?;
/// assert_eq!(y, [21.0, 42.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn axpy<T: Real>(a: T, x: &[T], y: &mut [T]) -> Result<(), Error> {
    if x.len() != y.len() || y.len() < SERIAL {
        return vector::axpy(a, x, y);
    }
    y.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .try_for_each(|(y, x)| vector::axpy(a, x, y))
}

/// `x <- a x`.
///
/// ```
/// let mut x = [1.0_f32, -2.0];
/// thalweg_std::par::scale(0.5, &mut x);
/// assert_eq!(x, [0.5, -1.0]);
/// ```
pub fn scale<T: Real>(a: T, x: &mut [T]) {
    if x.len() < SERIAL {
        return vector::scale(a, x);
    }
    x.par_chunks_mut(CHUNK).for_each(|x| vector::scale(a, x));
}

/// `out <- sum_i weights_i parts_i`, added in the order of parts: the aggregation of dense messages.
///
/// # Errors
/// [`Error::Length`] when there is not one weight for each part, or a part differs in length from `out`, which is then
/// unchanged.
///
/// ```
/// let mut mean = [0.0_f32; 2];
/// thalweg_std::par::combine_into(&[&[1.0, 2.0], &[3.0, 6.0]], &[0.5, 0.5], &mut mean)?;
/// assert_eq!(mean, [2.0, 4.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn combine_into<T: Real>(parts: &[&[T]], weights: &[T], out: &mut [T]) -> Result<(), Error> {
    let length = |name, expected, found| {
        let error = Error::Length {
            name,
            expected,
            found,
        };
        if expected == found {
            Ok(())
        } else {
            Err(error)
        }
    };
    length("weights", parts.len(), weights.len())?;
    for part in parts {
        length("part", out.len(), part.len())?;
    }
    let sum = |start: usize, out: &mut [T]| {
        out.fill(-T::ZERO);
        for (part, &weight) in parts.iter().zip(weights) {
            let part = part.get(start..).and_then(|part| part.get(..out.len()));
            vector::axpy(weight, part.unwrap_or_default(), out)?;
        }
        Ok(())
    };
    if out.len().saturating_mul(parts.len()) < SERIAL {
        return sum(0, out);
    }
    // Small enough that a chunk of `out` stays in cache while the parts pass by.
    let chunk = CHUNK / 8;
    out.par_chunks_mut(chunk)
        .enumerate()
        .try_for_each(|(i, out)| sum(i * chunk, out))
}

#[cfg(test)]
mod tests {
    use super::super::{painted, with_threads};
    use super::*;

    #[test]
    fn passes_have_the_bits_of_one_thread() {
        for n in [0, 1, 1003, SERIAL, SERIAL + CHUNK + 17] {
            let x = painted(n, 1);
            let parts: Vec<Vec<f32>> = (0..5).map(|i| painted(n, 10 + i)).collect();
            let views: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
            let weights = [0.1, 0.7, -0.3, 1.5, 0.2];
            let mut expected = painted(n, 2);
            vector::axpy(0.3, &x, &mut expected).unwrap();
            vector::scale(1.7, &mut expected);
            let total: Vec<f32> = (0..n)
                .map(|j| {
                    views
                        .iter()
                        .zip(weights)
                        .fold(-0.0, |s, (part, w)| s + w * part[j])
                })
                .collect();
            for threads in [1, 2, 3, 8] {
                with_threads(threads, || {
                    let (mut y, mut out) = (painted(n, 2), vec![f32::NAN; n]);
                    axpy(0.3, &x, &mut y).unwrap();
                    scale(1.7, &mut y);
                    combine_into(&views, &weights, &mut out).unwrap();
                    assert_eq!(y, expected);
                    assert_eq!(out, total);
                });
            }
        }
    }

    #[test]
    fn lengths_that_differ_change_nothing() {
        let mut y = [1.0_f32; 2];
        assert!(axpy(1.0, &[1.0; 3], &mut y).is_err());
        assert!(combine_into(&[&[1.0; 3]], &[1.0], &mut y).is_err());
        assert!(combine_into(&[&[1.0; 2]], &[], &mut y).is_err());
        assert_eq!(y, [1.0; 2]);
    }
}
