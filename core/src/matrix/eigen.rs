//! Eigenvalues and eigenvectors of a symmetric matrix.
//!
//! ```text
//! A = sum_i lambda_i z_i z_i^T,   lambda ascending, z_i orthonormal
//! ```
//! 1. `A` is divided by a power of two near its largest magnitude.
//! 2. Householder reflections `H_k = I - v_k v_k^T` with `|v_k|^2 = 2` make it tridiagonal: `T = Q^T A Q`, `Q = H_0 H_1 ...`. With `B`
//!    the part right of and below column `k`: `p = B v`, `w = p - (v.p / 2) v`, `B <- B - v w^T - w v^T`.
//! 3. The reflections are multiplied, last to first, into the rows of `Q^T`.
//! 4. Implicit QL steps with Wilkinson's shift make `T` diagonal; each rotation acts on two neighbouring rows of `Q^T`, which become the
//!    eigenvectors.
//! 5. The pairs are sorted.
//!
//! Rows are contiguous, so every inner loop is a vector kernel. Cost: about `4/3 n^3` (step 2), `4/3 n^3` (3) and `6 n^3` (4) flops. The
//! residual `|A z - lambda z|` and the loss of orthogonality are small multiples of `n u |A|` and `n u`; small eigenvalues are as
//! accurate relative to the largest, not to themselves. Reference: Golub, Van Loan, "Matrix computations" (4th ed., 2013), 8.3.1 and 8.3.5;
//! Dubrulle, "A short note on the implicit QL algorithm" (1970).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use super::elementary::mirror_lower;
use super::{MatrixMut, gemv};
use crate::error::{check_length, check_scratch, ensure_finite_by};
use crate::matrix::Kernels as _;
use crate::memory::{cut, must};
use crate::simd::{Lanes, Update};
use crate::{At, Error, Real, vector};

/// QL steps that one eigenvalue may take; two or three are usual.
const STEPS: usize = 60;

/// QL steps after which an element off the diagonal is compared with the largest elements, in place of its neighbours: within the null space
/// of a matrix of low rank all is noise, and some eigenvalues would take hundreds of steps.
const PATIENCE: usize = 8;

/// Two rows turned by an angle: `(c x - s y, s x + c y)`.
#[derive(Clone, Copy)]
pub(super) struct Rotate<T>(pub(super) T, pub(super) T);
impl<T: Real> Update<T, 2, 0> for Rotate<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, y]: [L; 2], _: [L; 0]) -> [L; 2] {
        let (c, s) = (x.constant(self.0), x.constant(self.1));
        [c * x - s * y, s * x + c * y]
    }
}

/// Elements of scratch for an `n x n` eigendecomposition.
///
/// ```
/// assert_eq!(thalweg::matrix::symmetric_eigen_scratch(10), 20);
/// ```
pub const fn symmetric_eigen_scratch(n: usize) -> usize {
    n.saturating_mul(2)
}

/// Replaces a symmetric matrix by its eigenvectors, row `i` for `values[i]`; the values ascend.
///
/// Only the lower triangle of `a` is read. Eigenvectors have unit length; their signs, and the basis within a multiple
/// eigenvalue, are as they come (and the same on every target).
///
/// # Errors
/// [`Error::Length`] unless `a` is square, `values` has an element for each row, and `scratch` at least
/// [`symmetric_eigen_scratch`]; [`Error::NonFinite`] with the place `i * n + j` in the lower triangle: nothing is changed.
/// [`Error::NoConvergence`] leaves `a` and `values` unspecified.
///
/// ```
/// use thalweg::matrix::{MatrixMut, symmetric_eigen};
/// let mut a = [2.0_f64, 1.0, 1.0, 2.0];
/// let mut values = [0.0; 2];
/// symmetric_eigen(MatrixMut::new(&mut a, 2, 2)?, &mut values, &mut [0.0; 4])?;
/// assert!((values[0] - 1.0).abs() < 1e-15 && (values[1] - 3.0).abs() < 1e-15);
/// // Row 1 is (1, 1) / sqrt(2), up to sign.
/// assert!((a[2] * a[3] - 0.5).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn symmetric_eigen<T: Real>(
    mut a: MatrixMut<'_, T>,
    values: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    let n = a.rows();
    check_length("columns of a", n, a.columns())?;
    check_length("values", n, values.len())?;
    check_scratch("scratch", symmetric_eigen_scratch(n), scratch.len())?;
    let mut largest = T::ZERO;
    for (i, row) in a.view().row_iter().enumerate() {
        let lower = must(row.get(..=i));
        ensure_finite_by("a", lower, |j| At::Element(i * n + j))?;
        largest = vector::norm_inf(lower).largest(largest);
    }
    let ([off, w], _) = cut(scratch, [n, n])?;

    // A power of two between the smallest normal number and the largest finite one: products with it and its
    // inverse are exact, but for elements too small to count.
    let exponent = u64::MAX << T::MANTISSA_BITS;
    let scale = T::from_bits_u64(largest.to_bits_u64() & exponent).largest(T::MIN_POSITIVE);
    mirror_lower(&mut a);
    for row in a.row_iter_mut() {
        row.iter_mut().for_each(|x| *x /= scale);
    }
    tridiagonalize(&mut a, values, off, w)?;
    accumulate(&mut a);
    diagonalize(&mut a, values, off)?;
    vector::scale(scale, values);
    sort(&mut a, values);
    Ok(())
}

/// Row `k` up to the diagonal, and what follows.
fn head_and_tail<'a, T>(a: &'a mut MatrixMut<'_, T>, k: usize) -> (&'a mut [T], &'a mut [T]) {
    must(a.row_mut(k).and_then(|row| row.split_at_mut_checked(k + 1)))
}

/// Step 2: the diagonal into `d`, the subdiagonal into `off`, `v_k` into row `k` right of the diagonal.
fn tridiagonalize<T: Real>(
    a: &mut MatrixMut<'_, T>,
    d: &mut [T],
    off: &mut [T],
    w: &mut [T],
) -> Result<(), Error> {
    let n = a.rows();
    for (k, (d, off)) in d.iter_mut().zip(off.iter_mut()).enumerate() {
        let (mut above, mut below) = a.reborrow().split_rows_at(k + 1);
        let (head, v) = head_and_tail(&mut above, k);
        *d = must(head.last().copied());
        *off = T::ZERO;
        // The last column has nothing below the diagonal.
        let Some((&first, rest)) = v.split_first() else {
            continue;
        };
        if vector::norm_inf(rest) == T::ZERO {
            // Nothing to reflect: H = I.
            *off = first;
            v.fill(T::ZERO);
            continue;
        }
        let norm = vector::norm2(v);
        // Away from `first`, so that the difference does not cancel.
        let target = if first > T::ZERO { -norm } else { norm };
        *off = target;
        if let Some(x) = v.first_mut() {
            *x = first - target;
        }
        // Positive: `rest` is not zero. The norm is taken anew because its square may have underflowed.
        let length = vector::norm2(v);
        let to = (T::ONE + T::ONE).sqrt();
        v.iter_mut().for_each(|x| *x = *x / length * to);

        let m = n - k - 1;
        let mut block = below.block_mut(0..m, k + 1..n)?;
        let w = must(w.get_mut(..m));
        gemv(T::ONE, block.view(), v, T::ZERO, w)?;
        let half = vector::dot(v, w)? / (T::ONE + T::ONE);
        vector::axpy(-half, v, w)?;
        for ((row, &vi), &wi) in block.row_iter_mut().zip(v.iter()).zip(w.iter()) {
            T::Kernels::add_two_rows([-vi, -wi], [w, v], row);
        }
    }
    Ok(())
}

/// Step 3: `Q^T = ... H_1 H_0` in place of the vectors.
fn accumulate<T: Real>(a: &mut MatrixMut<'_, T>) {
    let n = a.rows();
    for k in (0..n).rev() {
        // Row and column k + 1.. hold the product of the later reflections; v_k is in row k.
        let (mut above, mut below) = a.reborrow().split_rows_at(k + 1);
        let (head, v) = head_and_tail(&mut above, k);
        for row in below.row_iter_mut() {
            if let Some((left, z)) = row.split_at_mut_checked(k + 1) {
                let product = must(vector::dot(z, v).ok());
                T::Kernels::add_row(-product, v, z);
                if let Some(x) = left.last_mut() {
                    *x = T::ZERO;
                }
            }
        }
        if let Some(x) = head.last_mut() {
            *x = T::ONE;
        }
        v.fill(T::ZERO);
    }
}

/// `sqrt(x^2 + y^2)` without overflow or underflow of the squares.
fn hypotenuse<T: Real>(x: T, y: T) -> T {
    let (x, y) = (x.abs(), y.abs());
    let (small, large) = if x < y { (x, y) } else { (y, x) };
    if large == T::ZERO {
        return T::ZERO;
    }
    let ratio = small / large;
    large * (T::ONE + ratio * ratio).sqrt()
}

/// Step 4: `off[i]` joins `d[i]` and `d[i + 1]`.
fn diagonalize<T: Real>(z: &mut MatrixMut<'_, T>, d: &mut [T], off: &mut [T]) -> Result<(), Error> {
    let at = |x: &[T], i: usize| must(x.get(i).copied());
    let set = |x: &mut [T], i: usize, value: T| {
        if let Some(x) = x.get_mut(i) {
            *x = value;
        }
    };
    let n = d.len();
    let two = T::ONE + T::ONE;
    let pairs = d.iter().zip(&*off);
    let largest = pairs.fold(T::ZERO, |m, (d, off)| m.largest(d.abs() + off.abs()));
    for low in 0..n {
        let mut steps = 0;
        loop {
            let least = if steps < PATIENCE { T::ZERO } else { largest };
            // The first place at or after `low` where T falls apart.
            let negligible = |i: usize| {
                let size = least.largest(at(d, i).abs() + at(d, i + 1).abs());
                at(off, i).abs() <= T::EPSILON * size + T::MIN_POSITIVE
            };
            let high = (low..n - 1).find(|i| negligible(*i)).unwrap_or(n - 1);
            if high == low {
                break;
            }
            if steps == STEPS {
                return Err(Error::NoConvergence {
                    name: "symmetric_eigen",
                    iterations: STEPS,
                });
            }
            steps += 1;
            // Wilkinson's shift: the eigenvalue of the leading 2 x 2 block that is nearer to d[low]. off[low] is not
            // negligible, so it is not zero, nor is the sum that divides it: its magnitude is at least 1.
            let ratio = (at(d, low + 1) - at(d, low)) / (two * at(off, low));
            let root = hypotenuse(ratio, T::ONE);
            let root = if ratio < T::ZERO { -root } else { root };
            let mut g = at(d, high) - at(d, low) + at(off, low) / (ratio + root);
            let (mut s, mut c, mut p) = (T::ONE, T::ONE, T::ZERO);
            let mut whole = true;
            for i in (low..high).rev() {
                let (f, b) = (s * at(off, i), c * at(off, i));
                let r = hypotenuse(f, g);
                set(off, i + 1, r);
                if r == T::ZERO {
                    // The bulge has vanished: T has fallen apart here.
                    set(d, i + 1, at(d, i + 1) - p);
                    whole = false;
                    break;
                }
                (s, c) = (f / r, g / r);
                g = at(d, i + 1) - p;
                let t = (at(d, i) - g) * s + two * c * b;
                p = s * t;
                set(d, i + 1, g + p);
                g = c * t - b;
                let (mut above, mut below) = z.reborrow().split_rows_at(i + 1);
                if let (Some(x), Some(y)) = (above.row_mut(i), below.row_mut(0)) {
                    T::Kernels::rotate(c, s, x, y);
                }
            }
            if whole {
                set(d, low, at(d, low) - p);
                set(off, low, g);
            }
            set(off, high, T::ZERO);
        }
    }
    Ok(())
}

/// Step 5: by selection, which moves each row at most once.
fn sort<T: Real>(z: &mut MatrixMut<'_, T>, values: &mut [T]) {
    for i in 0..values.len() {
        let rest = values.iter().enumerate().skip(i);
        let least = rest.fold(
            (i, T::INFINITY),
            |best, (j, v)| {
                if *v < best.1 { (j, *v) } else { best }
            },
        );
        let j = least.0;
        if j == i {
            continue;
        }
        if let Some((low, high)) = values.split_at_mut_checked(j)
            && let (Some(a), Some(b)) = (low.get_mut(i), high.first_mut())
        {
            core::mem::swap(a, b);
        }
        let (mut above, mut below) = z.reborrow().split_rows_at(j);
        if let (Some(x), Some(y)) = (above.row_mut(i), below.row_mut(0)) {
            x.iter_mut().zip(y).for_each(|(x, y)| core::mem::swap(x, y));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{MatrixRef, symmetric_eigen_scratch};
    use std::vec;
    use std::vec::Vec;

    fn solve<T: Real>(a: &[T], n: usize) -> (Vec<T>, Vec<T>) {
        let (mut z, mut values) = (a.to_vec(), vec![T::NAN; n]);
        let mut scratch = vec![T::NAN; symmetric_eigen_scratch(n)];
        let view = MatrixMut::new(&mut z, n, n).unwrap();
        symmetric_eigen(view, &mut values, &mut scratch).unwrap();
        (values, z)
    }

    /// Residual and orthogonality in double precision, relative to `n u` and the size of the matrix.
    fn check<T: Real>(a: &[T], n: usize) -> Vec<T> {
        let (values, z) = solve(a, n);
        let size = a.iter().fold(0.0, |m: f64, x| m.max(x.to_f64().abs())) * n as f64;
        let tolerance = 4.0 * n as f64 * T::EPSILON.to_f64();
        let (a, z) = (
            MatrixRef::new(a, n, n).unwrap(),
            MatrixRef::new(&z, n, n).unwrap(),
        );
        let dot = |x: &[T], y: &[T]| -> f64 {
            x.iter().zip(y).map(|(x, y)| x.to_f64() * y.to_f64()).sum()
        };
        for (i, (zi, value)) in z.row_iter().zip(&values).enumerate() {
            for (row, z) in a.row_iter().zip(zi) {
                let residual = dot(row, zi) - value.to_f64() * z.to_f64();
                assert!(
                    residual.abs() <= tolerance * size,
                    "n={n} {i}: {residual:e}"
                );
            }
            for (j, zj) in z.row_iter().enumerate() {
                let error = dot(zi, zj) - f64::from(u8::from(i == j));
                assert!(error.abs() <= tolerance, "n={n} ({i}, {j}): {error:e}");
            }
        }
        assert!(values.is_sorted());
        values
    }

    fn second_difference<T: Real>(n: usize) -> Vec<T> {
        let element = |at: usize| match (at / n).abs_diff(at % n) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        };
        (0..n * n).map(|at| T::from_f64(element(at))).collect()
    }

    fn second_differences_have_their_closed_form<T: Real>() {
        for n in [1, 2, 3, 10, 33, 64] {
            let values = check(&second_difference::<T>(n), n);
            for (k, value) in values.iter().enumerate() {
                let angle = core::f64::consts::PI * (k + 1) as f64 / (n + 1) as f64;
                let exact = 2.0 - 2.0 * angle.cos();
                let error = (value.to_f64() - exact).abs();
                assert!(
                    error <= 8.0 * T::EPSILON.to_f64() * 4.0,
                    "n={n} {k}: {error:e}"
                );
            }
        }
    }

    #[test]
    fn second_differences_have_the_eigenvalues_of_the_closed_form() {
        second_differences_have_their_closed_form::<f32>();
        second_differences_have_their_closed_form::<f64>();
    }

    fn painted<T: Real>(n: usize) -> Vec<T> {
        let element = |i: usize, j: usize| ((i * j * 37 + (i + j) * 11) % 251) as f64 / 64.0 - 1.9;
        (0..n * n)
            .map(|at| T::from_f64(element(at / n, at % n)))
            .collect()
    }

    #[test]
    fn a_dense_matrix_is_rebuilt_from_orthonormal_vectors() {
        for n in [0, 2, 5, 31, 61] {
            let values = check(&painted::<f64>(n), n);
            check(&painted::<f32>(n), n);
            let a = painted::<f64>(n);
            let trace: f64 = a.iter().step_by(n + 1).sum();
            assert!((values.iter().sum::<f64>() - trace).abs() < 1e-11);
        }
    }

    #[test]
    fn eigenvalues_match_numpy() {
        // core/tests/golden/eigen.py, numpy 2.4.6.
        #[rustfmt::skip]
        let a = [
            -1.25, 0.5, -0.5, 1.25, 0.25, -0.75,
            0.5, 0.75, 1.0, 1.25, -1.25, -1.0,
            -0.5, 1.0, -0.25, 1.25, 0.0, -1.25,
            1.25, 1.25, 1.25, 1.25, 1.25, 1.25,
            0.25, -1.25, 0.0, 1.25, -0.25, 1.0,
            -0.75, -1.0, -1.25, 1.25, 1.0, 0.75,
        ];
        let expected = [
            -3.087678509668587,
            -1.9687377730231266,
            -0.40951513967744596,
            0.0,
            3.136851786628199,
            3.3290796357409596,
        ];
        for (found, expected) in check::<f64>(&a, 6).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-14, "{found} {expected}");
        }
        let hilbert: Vec<f64> = (0..64)
            .map(|at| 1.0 / (1 + at / 8 + at % 8) as f64)
            .collect();
        let expected = [
            1.1115390158041429e-10,
            1.7988737457918858e-08,
            1.294332091873755e-06,
            5.4369433697499504e-05,
            0.0014676881177417907,
            0.0262128435781189,
            0.2981252113169306,
            1.695938996921949,
        ];
        for (found, expected) in check(&hilbert, 8).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
    }

    #[test]
    fn multiple_eigenvalues_and_extreme_scales_are_no_trouble() {
        assert_eq!(check(&[0.0_f32; 25], 5), [0.0; 5]);
        let values = check(&[1.0_f64; 81], 9);
        assert!(values[..8].iter().all(|v| v.abs() < 1e-14));
        assert!((values[8] - 9.0).abs() < 1e-14);
        for scale in [1e-42_f32, 1e-37, 1e37] {
            let (values, _) = solve(&[2.0 * scale, scale, scale, 2.0 * scale], 2);
            let near = |x: f32, y: f32| (x - y).abs() <= 2e-7 * y + f32::from_bits(1);
            assert!(
                near(values[0], scale) && near(values[1], 3.0 * scale),
                "{values:?}"
            );
        }
        // A diagonal of zeros: the shift and the test for negligible elements have nothing to lean on.
        let values = check(&[0.0_f64, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0], 3);
        for (found, expected) in values.iter().zip([-f64::sqrt(2.0), 0.0, f64::sqrt(2.0)]) {
            assert!((found - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let n = 37;
        let a = painted::<f32>(n);
        let expected = solve(&a, n);
        for level in crate::testing::levels() {
            assert_eq!(solve(&a, n), expected, "{level:?}");
        }
    }

    #[test]
    fn only_the_lower_triangle_is_read_and_its_faults_are_named() {
        let mut a = painted::<f64>(9);
        let expected = solve(&a, 9);
        for i in 0..9 {
            for j in i + 1..9 {
                a[i * 9 + j] = f64::NAN;
            }
        }
        assert_eq!(solve(&a, 9), expected);
        a[7 * 9 + 2] = f64::INFINITY;
        let before: Vec<u64> = a.iter().map(|x| x.to_bits()).collect();
        let mut values = [5.0; 9];
        let mut run = |values: &mut [f64], scratch: usize| {
            let view = MatrixMut::new(&mut a, 9, 9).unwrap();
            symmetric_eigen(view, values, &mut vec![0.0; scratch]).unwrap_err()
        };
        let error = run(&mut values, 18);
        assert_eq!(
            error,
            Error::NonFinite {
                name: "a",
                at: crate::At::Element(65)
            }
        );
        assert!(matches!(
            run(&mut values, 17),
            Error::Length {
                name: "scratch",
                ..
            }
        ));
        assert!(matches!(
            run(&mut values[..8], 18),
            Error::Length { name: "values", .. }
        ));
        assert_eq!(values, [5.0; 9]);
        assert_eq!(a.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), before);
    }

    #[test]
    fn a_large_null_space_converges() {
        // 300 rows of 8 numbers: rank 8. With the neighbours alone an eigenvalue takes 299 steps.
        let n = 300;
        let x: Vec<f64> = (0..n * 8)
            .map(|i| ((i * 37 + i * i % 61) % 251) as f64 / 125.0 - 1.0)
            .collect();
        let mut a = vec![0.0; n * n];
        for (i, a) in a.chunks_mut(n).enumerate() {
            for (j, a) in a.iter_mut().enumerate() {
                *a = (0..8).map(|k| x[8 * i + k] * x[8 * j + k]).sum();
            }
        }
        let values = check(&a, n);
        assert!(values[n - 9].abs() < 1e-11 && values[n - 8] > 1.0);
    }
}
