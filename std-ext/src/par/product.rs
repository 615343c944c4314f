//! Matrix products over panels of rows.

use rayon::prelude::*;
use thalweg::Real;
use thalweg::error::Error;
use thalweg::matrix::{self, Factor, MatrixMut, Product, gemm_scratch};

/// Products of two numbers below which one thread does all: some 50 microseconds.
const SMALL: usize = 1 << 20;

/// Panels are multiples of this many rows, so that no tile is cut: a multiple of 4, 6 and 8.
const ROWS: usize = 24;

/// `C <- alpha A B + beta C`, with the bits of [`matrix::gemm`].
///
/// The rows of `C` are divided evenly among the threads of the pool; each packs for itself, in memory that is allocated
/// for the call. `B` is packed once per thread: with `m` rows of `C` a share of about `threads / m` of the work.
///
/// # Errors
/// [`Error::Length`] when the shapes do not fit; `C` is unchanged.
///
/// ```
/// use thalweg::matrix::{MatrixMut, MatrixRef, Product};
/// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0], 2, 2)?;
/// let mut c = [f32::NAN; 4];
/// thalweg_std::par::gemm(Product::PLAIN, a, a.t(), MatrixMut::new(&mut c, 2, 2)?)?;
/// assert_eq!(c, [5.0, 11.0, 11.0, 25.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn gemm<'a, T: Real>(
    how: Product<T>,
    a: impl Into<Factor<'a, T>>,
    b: impl Into<Factor<'a, T>>,
    c: MatrixMut<'_, T>,
) -> Result<(), Error> {
    let (a, b) = (a.into(), b.into());
    let (m, n, k) = (c.rows(), c.columns(), b.rows());
    let fits = a.rows() == m && a.columns() == k && b.columns() == n;
    let threads = rayon::current_num_threads();
    let work = m.saturating_mul(n).saturating_mul(k);
    let one = |a: Factor<'_, T>, c: MatrixMut<'_, T>| {
        let mut scratch = vec![T::ZERO; gemm_scratch(c.rows(), n, k)];
        matrix::gemm(how, a, b, c, &mut scratch)
    };
    if !fits || threads < 2 || work < SMALL {
        return one(a, c);
    }
    let height = m.div_ceil(threads).next_multiple_of(ROWS);
    let (mut panels, mut rest, mut start) = (Vec::new(), c, 0);
    while rest.rows() > 0 {
        let (panel, below) = rest.split_rows_at(height);
        let end = start + panel.rows();
        panels.push((a.row_range(start..end)?, panel));
        (rest, start) = (below, end);
    }
    panels.into_par_iter().try_for_each(|(a, c)| one(a, c))
}

#[cfg(test)]
mod tests {
    use super::super::{painted, with_threads};
    use super::*;
    use thalweg::matrix::MatrixRef;

    #[test]
    fn products_have_the_bits_of_core_for_any_number_of_threads() {
        for (m, n, k) in [
            (0, 3, 2),
            (5, 4, 3),
            (150, 97, 101),
            (301, 64, 80),
            (7, 500, 400),
        ] {
            let (x, y) = (painted(m * k, 1), painted(k * n, 2));
            let b = MatrixRef::new(&y, k, n).unwrap();
            let plain = MatrixRef::new(&x, m, k).unwrap();
            let turned = MatrixRef::new(&x, k, m).unwrap();
            for a in [Factor::from(plain), turned.t()] {
                let run = |threads: usize| {
                    let mut c = painted(m * n, 3);
                    let view = MatrixMut::new(&mut c, m, n).unwrap();
                    with_threads(threads, || {
                        gemm(
                            Product {
                                alpha: 0.7,
                                beta: 0.3,
                                ..Product::PLAIN
                            },
                            a,
                            b,
                            view,
                        )
                        .unwrap();
                    });
                    c
                };
                let mut expected = painted(m * n, 3);
                let view = MatrixMut::new(&mut expected, m, n).unwrap();
                matrix::gemm(
                    Product {
                        alpha: 0.7,
                        beta: 0.3,
                        ..Product::PLAIN
                    },
                    a,
                    b,
                    view,
                    &mut [],
                )
                .unwrap();
                for threads in [1, 2, 3, 8] {
                    assert!(run(threads) == expected, "{m} {n} {k}, {threads} threads");
                }
            }
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_named_and_change_nothing() {
        let (x, mut c) = (painted(6, 1), vec![1.0_f32; 4]);
        let a = MatrixRef::new(&x, 2, 3).unwrap();
        let view = MatrixMut::new(&mut c, 2, 2).unwrap();
        let error = gemm(Product::PLAIN, a, a, view).unwrap_err();
        assert!(matches!(error, Error::Length { .. }));
        assert_eq!(c, [1.0; 4]);
    }
}
