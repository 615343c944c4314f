//! Basis pursuit: the fit of smallest weighted 1-norm, with its certificate.
//!
//! ```text
//! minimise sum_j c_j |w_j|  subject to Z w = y        dual: maximise <y, l>  subject to |Z^T l|_j <= c_j
//! w <- projection of a - b on Z w = y
//! a <- soft threshold of w + b at c / rho
//! b <- b + w - a                                      rho b = Z^T l at the solution
//! ```
//!
//! ADMM for the linear program; it ends when a dual point, shrunk until it is feasible, certifies the value of a primal one.
//! Reference: Boyd et al., *Distributed optimization and statistical learning via the alternating direction method of
//! multipliers*, 2011, section 6.2.

use thalweg::matrix::{self, MatrixMut, MatrixRef, Product};
use thalweg::{Error, vector};

/// Iterations between two looks at the gap.
const LOOK: usize = 50;
/// Relative gap at the end.
const GAP: f64 = 1e-9;
/// Most iterations, and those in which rho follows the residuals: a rho that goes on changing need not converge.
const ITERATIONS: usize = 1_000_000;
const ADAPTED: usize = 50_000;
/// Residuals that differ by more than this factor change rho by 2.
const BALANCE: f64 = 10.0;

/// Data with the factor of `Z Z^T`.
struct Rows<'a> {
    z: MatrixRef<'a, f64>,
    y: &'a [f64],
    factor: Vec<f64>,
}

impl<'a> Rows<'a> {
    fn new(z: MatrixRef<'a, f64>, y: &'a [f64]) -> Result<Self, Error> {
        let n = z.rows();
        let mut factor = vec![0.0; n * n];
        let out = MatrixMut::new(&mut factor, n, n)?;
        matrix::gemm(Product::PLAIN, z, z.t(), out, &mut [])?;
        matrix::cholesky(MatrixMut::new(&mut factor, n, n)?)?;
        Ok(Self { z, y, factor })
    }

    /// `dual <- (Z Z^T)^-1 dual`.
    fn solve(&self, dual: &mut [f64]) -> Result<(), Error> {
        let n = self.z.rows();
        matrix::cholesky_solve_vector(MatrixRef::new(&self.factor, n, n)?, dual)
    }

    /// The nearest point of `Z w = y`.
    fn project(&self, w: &mut [f64], dual: &mut [f64]) -> Result<(), Error> {
        dual.copy_from_slice(self.y);
        matrix::gemv(-1.0, self.z, w, 1.0, dual)?;
        self.solve(dual)?;
        matrix::gemv_transposed(1.0, self.z, dual, 1.0, w)
    }
}

/// The fit of smallest `sum_j c_j |w_j|`.
///
/// # Errors
/// Samples that depend on one another; [`Error::NoConvergence`] when the gap stays.
pub fn basis_pursuit(z: MatrixRef<'_, f64>, y: &[f64], c: &[f64]) -> Result<Vec<f64>, Error> {
    let rows = Rows::new(z, y)?;
    let d = z.columns();
    let (mut w, mut a, mut b) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    let (mut dual, mut slopes) = (vec![0.0; z.rows()], vec![0.0; d]);
    // The ratio of a threshold to the size of the solution decides how fast the two agree.
    rows.project(&mut w, &mut dual)?;
    let mut rho = vector::sum_abs(c) / vector::sum_abs(&w).max(f64::MIN_POSITIVE);
    let mut before = a.clone();
    for iteration in 1..=ITERATIONS {
        before.copy_from_slice(&a);
        vector::axpby_into(1.0, &a, -1.0, &b, &mut w)?;
        rows.project(&mut w, &mut dual)?;
        for (((a, b), w), c) in a.iter_mut().zip(&mut b).zip(&w).zip(c) {
            let sum = w + *b;
            *a = sum - sum.clamp(-c / rho, c / rho);
            *b = sum - *a;
        }
        if iteration % LOOK != 0 {
            continue;
        }
        if iteration <= ADAPTED {
            // Residual balancing, section 3.4.1 there, with either residual relative to its variable.
            let primal = (vector::squared_distance(&w, &a)? * vector::norm2_squared(&b)).sqrt();
            let moved = (vector::squared_distance(&a, &before)? * vector::norm2_squared(&w)).sqrt();
            let factor = if primal > BALANCE * moved {
                2.0
            } else if moved > BALANCE * primal {
                0.5
            } else {
                1.0
            };
            rho *= factor;
            vector::scale(1.0 / factor, &mut b);
        }
        // The multiplier that is nearest to rho b, shrunk until no slope is above its weight.
        matrix::gemv(rho, z, &b, 0.0, &mut dual)?;
        rows.solve(&mut dual)?;
        matrix::gemv_transposed(1.0, z, &dual, 0.0, &mut slopes)?;
        let excess = slopes.iter().zip(c).map(|(s, c)| s.abs() / c);
        let below = vector::dot(y, &dual)? / excess.fold(1.0, f64::max);
        let value: f64 = w.iter().zip(c).map(|(w, c)| c * w.abs()).sum();
        if value - below <= GAP * value {
            return Ok(w);
        }
    }
    Err(Error::NoConvergence {
        name: "basis pursuit",
        iterations: ITERATIONS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_of_the_fits_is_found() {
        // Fits are w_1 + 2 w_2 = 2: prices 1 and 1 ask for (0, 1), prices 1 and 3 for (2, 0).
        for (c, expected) in [([1.0, 1.0], [0.0, 1.0]), ([1.0, 3.0], [2.0, 0.0])] {
            // Neither the unit of the prices nor that of the data matters.
            for (price, unit) in [(1.0, 1.0), (1e6, 1.0), (1e-6, 1.0), (1.0, 1e6), (1.0, 1e-6)] {
                let z = [unit, 2.0 * unit];
                let z = MatrixRef::new(&z, 1, 2).unwrap();
                let w = basis_pursuit(z, &[2.0 * unit], &c.map(|c| price * c)).unwrap();
                assert!(
                    vector::squared_distance(&w, &expected).unwrap() < 1e-12,
                    "{w:?}"
                );
            }
        }
    }

    /// Fits are w_1 + w_2 / 8 + w_3 / 4 = 1. Prices of a unit of the fit are 1/4, 2^20 and 1/64: the last is the cheapest.
    #[test]
    fn one_price_far_above_the_others_does_not_slow_the_rest() {
        // The dear one makes the first rho 10^6 times too large: without the balance it takes more than three million iterations.
        let z = MatrixRef::new(&[1.0, 0.125, 0.25], 1, 3).unwrap();
        let w = basis_pursuit(z, &[1.0], &[0.25, 131_072.0, 1.0 / 256.0]).unwrap();
        let distance = vector::squared_distance(&w, &[0.0, 0.0, 4.0]).unwrap();
        assert!(distance < 1e-20, "{w:?}");
    }
}
