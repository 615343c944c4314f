//! The Lasso, with its certificate.
//!
//! ```text
//! minimise P(w) = |Z w - y|^2 / (2 n) + lambda |w|_1
//! maximise D(u) = (<y, u> - |u|^2 / 2) / n    subject to |Z^T u|_j <= n lambda
//! w_j <- soft threshold of w_j + <z_j, r> / |z_j|^2 at n lambda / |z_j|^2,    r = y - Z w
//! ```
//!
//! Cyclic coordinate descent; it ends when the residual, shrunk until it is feasible, certifies the value. Reference:
//! Friedman, Hastie and Tibshirani, *Regularization paths for generalized linear models via coordinate descent*, 2010.

use thalweg::matrix::{self, MatrixMut, MatrixRef};
use thalweg::{Error, vector};

/// Gap at the end, over the value.
const GAP: f64 = 1e-9;
/// Most sweeps.
const SWEEPS: usize = 100_000;
/// Sweeps between two looks at the gap.
const LOOK: usize = 10;

/// A solution.
#[derive(Clone, Debug)]
pub struct Lasso {
    /// The signal.
    pub w: Vec<f64>,
    /// `(P(w) - D(u)) / P(w)`: no signal is better by more.
    pub gap: f64,
}

/// The smallest `lambda` whose solution is zero: `|Z^T y|_inf / n`.
///
/// # Errors
/// Lengths that differ.
pub fn largest_penalty(z: MatrixRef<'_, f64>, y: &[f64]) -> Result<f64, Error> {
    let mut slopes = vec![0.0; z.columns()];
    matrix::gemv_transposed(1.0, z, y, 0.0, &mut slopes)?;
    Ok(vector::norm_inf(&slopes) / z.rows() as f64)
}

/// Solves for one penalty.
///
/// # Errors
/// [`Error::NoConvergence`] when the gap stays.
pub fn lasso(z: MatrixRef<'_, f64>, y: &[f64], penalty: f64) -> Result<Lasso, Error> {
    let (n, d) = (z.rows(), z.columns());
    // Row j is column j of the data.
    let mut columns = vec![0.0; n * d];
    matrix::transpose_into(z, MatrixMut::new(&mut columns, d, n)?)?;
    let columns = MatrixRef::new(&columns, d, n)?;
    let threshold = n as f64 * penalty;
    let (mut w, mut r, mut slopes) = (vec![0.0; d], y.to_vec(), vec![0.0; d]);
    for sweep in 1..=SWEEPS {
        for (w, column) in w.iter_mut().zip(columns.row_iter()) {
            let size = vector::norm2_squared(column);
            if size == 0.0 {
                continue;
            }
            let pull = size * *w + vector::dot(column, &r)?;
            // What is left of the pull once the threshold has taken its part.
            let next = (pull - pull.clamp(-threshold, threshold)) / size;
            vector::axpy(*w - next, column, &mut r)?;
            *w = next;
        }
        if sweep % LOOK != 0 {
            continue;
        }
        matrix::gemv_transposed(1.0, z, &r, 0.0, &mut slopes)?;
        let share = (threshold / vector::norm_inf(&slopes)).min(1.0);
        let rr = vector::norm2_squared(&r);
        let value = rr / 2.0 + threshold * vector::sum_abs(&w);
        let below = share * vector::dot(y, &r)? - share * share * rr / 2.0;
        let gap = (value - below) / value;
        // NaN, 0 / 0, for labels of zero: the solution is zero.
        if gap <= GAP || value == 0.0 {
            return Ok(Lasso {
                w,
                gap: if value == 0.0 { 0.0 } else { gap },
            });
        }
    }
    Err(Error::NoConvergence {
        name: "Lasso",
        iterations: SWEEPS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_data_have_the_soft_threshold() {
        // Z = diag(2, 1): w_j = soft(z_j y_j, n lambda) / z_j^2 with n lambda = 1.
        let z = MatrixRef::new(&[2.0, 0.0, 0.0, 1.0], 2, 2).unwrap();
        for (y, expected) in [([3.0, 5.0], [1.25, 4.0]), ([-3.0, 0.5], [-1.25, 0.0])] {
            let found = lasso(z, &y, 0.5).unwrap();
            assert!(vector::squared_distance(&found.w, &expected).unwrap() < 1e-20);
            assert!((0.0..1e-9).contains(&found.gap.abs()));
        }
        assert_eq!(largest_penalty(z, &[3.0, 5.0]).unwrap(), 3.0);
        assert_eq!(lasso(z, &[3.0, 5.0], 3.0).unwrap().w, [0.0, 0.0]);
        assert_eq!(lasso(z, &[0.0, 0.0], 1.0).unwrap().gap, 0.0);
    }

    /// Optimal for any data: slopes are at the threshold where `w` is not zero, with its sign, and within it elsewhere.
    #[test]
    fn the_slopes_of_a_wide_problem_are_those_of_its_optimum() {
        let z: Vec<f64> = (0..5 * 12)
            .map(|k| f64::from((k * 37 + k * k * 11) % 101) / 50.0 - 1.0)
            .collect();
        let view = MatrixRef::new(&z, 5, 12).unwrap();
        let y = [1.0, -0.5, 0.25, 2.0, -1.0];
        let penalty = 0.05 * largest_penalty(view, &y).unwrap();
        let Lasso { w, gap } = lasso(view, &y, penalty).unwrap();
        let (mut r, mut slopes) = (y.to_vec(), vec![0.0; 12]);
        matrix::gemv(-1.0, view, &w, 1.0, &mut r).unwrap();
        matrix::gemv_transposed(0.2, view, &r, 0.0, &mut slopes).unwrap();
        assert!(gap <= 1e-9 && w.iter().any(|w| *w != 0.0));
        for (w, slope) in w.iter().zip(slopes) {
            if *w == 0.0 {
                assert!(slope.abs() <= penalty * 1.001);
            } else {
                assert!((slope - penalty.copysign(*w)).abs() < 1e-3 * penalty);
            }
        }
    }
}
