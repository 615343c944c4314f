//! Packed lower triangles: rows of growing length, one after another.
//!
//! Components are small and many, and a pass of lanes is longer than a row of theirs. With [`matrix::cholesky`](crate::matrix::cholesky) and
//! [`matrix::solve_lower`](crate::matrix::solve_lower) in place of these plain loops, in the order of the columns, a step of component selection
//! in ten dimensions took 305 microseconds against 129 (AMD EPYC Zen 3, AVX2, `cargo bench -p thalweg_benches --bench mixture -- none`).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of rows and components that are slices in memory"
)]

use crate::memory::must;

/// Row 0 with one number, row 1 with two, and so on.
pub(super) fn rows<T>(packed: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = packed;
    (1..).map_while(move |n| {
        let (row, tail) = rest.split_at_checked(n)?;
        rest = tail;
        Some(row)
    })
}

/// The rows before a row, and that row with its number.
fn each_row(
    packed: &mut [f64],
    mut run: impl FnMut(&[f64], &mut [f64]) -> Option<()>,
) -> Result<(), usize> {
    let (mut i, mut at) = (0_usize, 0_usize);
    while at < packed.len() {
        let (done, rest) = must(packed.split_at_mut_checked(at));
        let row = rest.get_mut(..=i).ok_or(i)?;
        run(done, row).ok_or(i)?;
        i = i.saturating_add(1);
        at = at.saturating_add(i);
    }
    Ok(())
}

/// Replaces a symmetric matrix by its Cholesky factor; returns the row whose pivot is not a positive finite number.
pub(super) fn cholesky(a: &mut [f64]) -> Result<(), usize> {
    each_row(a, |done, row| {
        for (j, l) in rows(done).enumerate() {
            let (head, rest) = row.split_at_mut_checked(j)?;
            let (x, pivot) = (rest.first_mut()?, l.last()?);
            let sum = head.iter().zip(l).fold(*x, |sum, (x, l)| sum - *x * *l);
            // The pivot is positive: checked when its row was done.
            *x = sum / *pivot;
        }
        let (last, head) = row.split_last_mut()?;
        let pivot = head.iter().fold(*last, |sum, x| sum - *x * *x);
        *last = libm::sqrt(pivot);
        (pivot > 0.0 && pivot.is_finite()).then_some(())
    })
}

/// Writes the inverse of a lower triangle, `w_i = (e_i - sum_{j < i} l_ij w_j) / l_ii`; returns the row whose pivot is 0.
pub(super) fn invert(l: &[f64], inverse: &mut [f64]) -> Result<(), usize> {
    let mut from = rows(l);
    each_row(inverse, |done, to| {
        let (pivot, head) = from.next()?.split_last()?;
        if *pivot == 0.0 {
            return None;
        }
        to.fill(0.0);
        *to.last_mut()? = 1.0;
        for (l, w) in head.iter().zip(rows(done)) {
            for (to, w) in to.iter_mut().zip(w) {
                *to -= *l * *w;
            }
        }
        for to in to {
            *to /= *pivot;
        }
        Some(())
    })
}

/// Replaces a lower triangle by the lower triangle of `L L^T`.
pub(super) fn square(l: &mut [f64]) {
    let mut end = l.len();
    let mut n = rows(l).count();
    // The last row first: a row needs those before it, and itself from the right.
    while n > 0 {
        let start = end.saturating_sub(n);
        let (done, rest) = must(l.split_at_mut_checked(start));
        if let Some((last, head)) = rest.get_mut(..n).and_then(|row| row.split_last_mut()) {
            *last = head.iter().fold(*last * *last, |sum, x| sum + *x * *x);
            for j in (0..head.len()).rev() {
                let other = must(rows(done).nth(j));
                let sum = head.iter().zip(other).map(|(x, y)| *x * *y);
                let sum = sum.fold(0.0, |sum, x| sum + x);
                if let Some(to) = head.get_mut(j) {
                    *to = sum;
                }
            }
        }
        end = start;
        n -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L = [[2], [1, 3], [-1, 2, 0.5]].
    const L: [f64; 6] = [2.0, 1.0, 3.0, -1.0, 2.0, 0.5];
    const A: [f64; 6] = [4.0, 2.0, 10.0, -2.0, 5.0, 5.25];

    #[test]
    fn factor_and_square_undo_each_other() {
        let mut a = A;
        cholesky(&mut a).unwrap();
        assert_eq!(a, L);
        square(&mut a);
        assert_eq!(a, A);
    }

    #[test]
    fn the_inverse_times_the_factor_is_the_identity() {
        let mut w = [9.0; 6];
        invert(&L, &mut w).unwrap();
        // 1/2; -1/6, 1/3; -(-1/2 - 1/3) / 0.5 and so on, by hand.
        let expected = [0.5, -1.0 / 6.0, 1.0 / 3.0, 5.0 / 3.0, -4.0 / 3.0, 2.0];
        for (w, e) in w.iter().zip(expected) {
            assert!((w - e).abs() < 1e-15, "{w} {e}");
        }
        assert_eq!(invert(&[1.0, 5.0, 0.0], &mut w[..3]), Err(1));
    }

    #[test]
    fn a_pivot_that_is_not_positive_is_named() {
        assert_eq!(cholesky(&mut [1.0, 1.0, 1.0]), Err(1));
        assert_eq!(cholesky(&mut [-1.0]), Err(0));
        assert_eq!(cholesky(&mut [f64::INFINITY]), Err(0));
        assert_eq!(cholesky(&mut [1.0, f64::NAN, 1.0]), Err(1));
        assert_eq!(rows(&[1, 2, 3, 4, 5, 6]).last(), Some(&[4, 5, 6][..]));
    }
}
