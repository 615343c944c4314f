//! Cholesky factor of a kernel in `f64`, with a jitter where rounding asks for one.
//!
//! ```text
//! K + jitter I = L L^T        jitter 0, else 1e-10, 1e-9, .. 1e-6 times the largest diagonal element
//! ```
//! A kernel of near-duplicate rows is singular to working precision. The jitter is added only after the factorisation has failed without
//! it, and [`Covariance::jitter`] reports it: 0 where none was needed. Cost: `n^3 / 3` flops an attempt. Memory: `n^2` numbers.

use crate::error::{At, check_length, ensure_finite_at};
use crate::matrix::{MatrixMut, MatrixRef, cholesky};
use crate::memory::must_or;
use crate::{Error, Real};

/// Multiples of the largest diagonal element that are tried in turn.
const JITTERS: [f64; 6] = [0.0, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6];

/// A positive definite matrix of `n` rows, by its factor.
///
/// ```
/// use thalweg::kernel::covariance::Covariance;
/// use thalweg::matrix::MatrixRef;
/// let mut memory = [0.0; 4];
/// let k = Covariance::new(MatrixRef::new(&[1.0_f32, 0.6, 0.6, 1.0], 2, 2)?, &mut memory)?;
/// assert_eq!(k.jitter(), 0.0);
/// assert!((k.factor().get(1, 1).unwrap() - 0.8).abs() < 1e-7);
/// // Twice the same row: singular, so that something is added.
/// let k = Covariance::new(MatrixRef::new(&[1.0; 4], 2, 2)?, &mut memory)?;
/// assert_eq!(k.jitter(), 1e-10);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Covariance<'a> {
    l: MatrixRef<'a, f64>,
    jitter: f64,
}

impl<'a> Covariance<'a> {
    /// Factorises a kernel; only its lower triangle is read.
    ///
    /// `memory` has `n^2` numbers and holds the factor as long as the covariance lives.
    ///
    /// # Errors
    /// [`Error::Length`] when `kernel` is not square or `memory` has another length, [`Error::NonFinite`] with the index of the first row
    /// whose lower triangle is not finite: `memory` is unchanged then. [`Error::Singular`] with the row when the largest jitter does not
    /// help; `memory` is of no use then.
    pub fn new<T: Real>(kernel: MatrixRef<'_, T>, memory: &'a mut [f64]) -> Result<Self, Error> {
        let n = kernel.rows();
        check_length("columns of kernel", n, kernel.columns())?;
        check_length("memory", n.saturating_mul(n), memory.len())?;
        let mut largest = 0.0;
        for (index, row) in kernel.row_iter().enumerate() {
            let row = must_or(row.get(..=index), row);
            let is_finite = row.iter().all(|x| x.is_finite());
            ensure_finite_at("kernel", is_finite, At::Row(index))?;
            largest = row.last().map_or(0.0, |x| x.to_f64()).largest(largest);
        }
        let mut failure = Ok(());
        for share in JITTERS {
            let jitter = share * largest;
            let mut l = MatrixMut::new(&mut *memory, n, n)?;
            for (i, (l, k)) in l.row_iter_mut().zip(kernel.row_iter()).enumerate() {
                for (j, (l, k)) in l.iter_mut().zip(k).enumerate() {
                    *l = if j < i {
                        k.to_f64()
                    } else if j == i {
                        k.to_f64() + jitter
                    } else {
                        0.0
                    };
                }
            }
            failure = cholesky(l);
            if failure.is_ok() {
                let l = MatrixRef::new(memory, n, n)?;
                return Ok(Self { l, jitter });
            }
        }
        let index = match failure {
            Err(Error::Singular { index, .. }) => index,
            _ => 0,
        };
        let name = "kernel";
        Err(Error::Singular { name, index })
    }

    /// Number of rows.
    #[must_use]
    pub const fn n(&self) -> usize {
        self.l.rows()
    }

    /// What was added to the diagonal; 0 when the kernel was positive definite to working precision.
    #[must_use]
    pub const fn jitter(&self) -> f64 {
        self.jitter
    }

    /// `L`, zero above the diagonal.
    #[must_use]
    pub const fn factor(&self) -> MatrixRef<'a, f64> {
        self.l
    }
}
