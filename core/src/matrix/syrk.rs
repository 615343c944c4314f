//! Symmetric rank-k update.
//!
//! ```text
//! C <- alpha A A^T + beta C       A is n x k, C is n x n
//! ```
//! Each element of the lower triangle is formed as [`gemm`](super::gemm) forms it; tiles above the diagonal are
//! skipped, which halves the work: `n^2 k` flops. Reference: "Basic linear algebra subprograms" level 3 (Dongarra, Du Croz,
//! Hammarling, Duff, 1990), xSYRK.

use super::elementary::mirror_lower;
use super::gemm::{Part, Product, product};
use super::{Factor, MatrixMut};
use crate::error::check_length;
use crate::{Error, Real};

/// What becomes of the elements above the diagonal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Upper {
    /// They are neither read nor written.
    #[default]
    Leave,
    /// They become copies of the elements below.
    Mirror,
}

/// `C <- alpha A A^T + beta C`, by way of the lower triangle; `A^T A` is the same of `a.t()`.
///
/// Scratch: [`gemm_scratch`](super::gemm_scratch)`(n, n, k)` elements, or fewer for the plain loops, as in
/// [`gemm`](super::gemm). With [`Upper::Mirror`] the old upper triangle counts for nothing: `C` is taken as
/// symmetric.
///
/// # Errors
/// [`Error::Length`] unless `c` is square with the rows of `a`; `c` is unchanged.
///
/// ```
/// use thalweg::matrix::{MatrixMut, MatrixRef, Product, Upper, syrk};
/// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0], 2, 2)?;
/// let mut c = [0.0_f32; 4];
/// let view = MatrixMut::new(&mut c, 2, 2)?;
/// syrk(Product::PLAIN, a, Upper::Mirror, view, &mut [])?;
/// assert_eq!(c, [5.0, 11.0, 11.0, 25.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn syrk<'a, T: Real>(
    how: Product<T>,
    a: impl Into<Factor<'a, T>>,
    upper: Upper,
    mut c: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    let a = a.into();
    check_length("rows of c", a.rows(), c.rows())?;
    check_length("columns of c", a.rows(), c.columns())?;
    product(how, a, a.t(), Part::Lower, c.reborrow(), scratch)?;
    if upper == Upper::Mirror {
        mirror_lower(&mut c);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arithmetic;
    use crate::matrix::{MatrixRef, gemm, gemm_scratch};

    use std::vec;
    use std::vec::Vec;

    fn check<T: Real>(n: usize, k: usize, transposed: bool) {
        let data: Vec<T> = (0..n * k)
            .map(|i| T::from_f64(((i * 37 + 11) % 251) as f64 / 16.0 - 7.8))
            .collect();
        let a = if transposed {
            MatrixRef::new(&data, k, n).unwrap().t()
        } else {
            MatrixRef::new(&data, n, k).unwrap().into()
        };
        let (alpha, beta) = (T::from_f64(0.7), T::from_f64(-1.3));
        let start: Vec<T> = (0..n * n).map(|i| T::from_usize(i % 97)).collect();
        let mut whole = start.clone();
        let view = MatrixMut::new(&mut whole, n, n).unwrap();
        gemm(
            Product {
                alpha,
                beta,
                ..Product::PLAIN
            },
            a,
            a.t(),
            view,
            &mut [],
        )
        .unwrap();
        for level in crate::testing::levels() {
            for upper in [Upper::Leave, Upper::Mirror] {
                for length in [0, gemm_scratch(n, n, k)] {
                    let (mut c, mut scratch) = (start.clone(), vec![T::ZERO; length]);
                    let view = MatrixMut::new(&mut c, n, n).unwrap();
                    syrk(
                        Product {
                            alpha,
                            beta,
                            ..Product::PLAIN
                        },
                        a,
                        upper,
                        view,
                        &mut scratch,
                    )
                    .unwrap();
                    for i in 0..n {
                        for j in 0..n {
                            let expected = if j <= i {
                                whole[i * n + j]
                            } else if upper == Upper::Mirror {
                                whole[j * n + i]
                            } else {
                                start[i * n + j]
                            };
                            assert_eq!(
                                c[i * n + j].to_bits_u64(),
                                expected.to_bits_u64(),
                                "{level:?} {upper:?} n={n} k={k} scratch={length} ({i}, {j})"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_lower_triangle_has_the_bits_of_gemm_and_the_upper_is_as_asked() {
        for (n, k) in [(0, 3), (1, 1), (5, 0), (7, 4), (33, 17), (150, 19)] {
            check::<f32>(n, k, false);
            check::<f64>(n, k, true);
        }
    }

    #[test]
    fn a_result_that_is_not_square_is_an_error() {
        let a = MatrixRef::new(&[1.0_f32; 6], 2, 3).unwrap();
        let mut c = [0.0; 6];
        let view = MatrixMut::new(&mut c, 2, 3).unwrap();
        let error = syrk(
            Product::plain(Arithmetic::Fast),
            a,
            Upper::Leave,
            view,
            &mut [],
        );
        assert!(matches!(
            error,
            Err(Error::Length {
                name: "columns of c",
                ..
            })
        ));
    }
}
