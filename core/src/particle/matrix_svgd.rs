//! SVGD under a constant matrix kernel: preconditioned, or whitened, SVGD.
//!
//! ```text
//! K(x, x') = P^{-1} exp(-(x - x')^T P (x - x') / h),    P = L L^T
//! phi_i = (1/n) sum_j k_ij [ P^{-1} g_j + (2/h) (x_i - x_j) ]
//! ```
//! The same as SVGD on `y = L^T x` carried back to x: with `P` the inverse covariance (or a Hessian) directions of every scale move
//! alike, and with `P = I` it is SVGD. The bandwidth is that of `y`.
//!
//! Cost: that of [`svgd`](super::svgd), `n d^2` flops for y and `2 n d^2` for the solves. State and rule as there.
//!
//! Reference: Wang, Tang, Bajaj and Liu, *Stein variational gradient descent with matrix-valued kernels* (2019), section 4.1.

use super::bandwidth::SelectedBandwidth;
use super::rule::{advance, check_state};
use super::svgd::{Config, State};
use super::{check_cloud, check_finite};
use crate::error::{check_length, check_scratch};
use crate::matrix::{MatrixMut, MatrixRef, Product, cholesky_solve_vector, gemm};
use crate::memory::InRows;
use crate::memory::take;
use crate::pairs::{Field, Sequential, field_into, field_scratch_len, least_field_scratch_len};
use crate::{Error, Real, Storage};

/// Elements of scratch with which [`step`] runs at full speed.
///
/// ```
/// use thalweg::particle::{matrix_svgd, svgd::Config};
/// assert!(matrix_svgd::least_scratch_len(50, 2) < matrix_svgd::scratch_len(&Config::new(0.1), 50, 2));
/// ```
pub const fn scratch_len(config: &Config, n: usize, d: usize) -> usize {
    let (field, median) = (
        field_scratch_len(n, d, d, false),
        config.bandwidth.scratch_len(n, d),
    );
    let larger = if field > median { field } else { median };
    n.saturating_mul(d).saturating_mul(3).saturating_add(larger)
}

/// Elements of scratch that [`step`] needs; the bits are the same.
///
/// ```
/// assert_eq!(thalweg::particle::matrix_svgd::least_scratch_len(10, 1), 30 + 80);
/// ```
pub const fn least_scratch_len(n: usize, d: usize) -> usize {
    n.saturating_mul(d)
        .saturating_mul(3)
        .saturating_add(least_field_scratch_len(n, d, d, false))
}

/// Moves all particles once; `factor` is the lower triangular L of `P`, as [`cholesky`](crate::matrix::cholesky) leaves it.
///
/// Elements above the diagonal of the factor count as 0 and must be 0.
///
/// # Errors
/// As [`svgd::step`](super::svgd::step), and those of a factor of another shape.
///
/// ```
/// use thalweg::matrix::MatrixRef;
/// use thalweg::particle::{matrix_svgd, svgd};
/// // One particle and P = 4: the step is eps g / 4.
/// let factor = MatrixRef::new(&[2.0_f64], 1, 1)?;
/// let mut x = [1.0];
/// let mut state = svgd::State::<[f64; 0]>::new();
/// matrix_svgd::step(&svgd::Config::new(0.5), &mut state, factor, &mut x, &[8.0], &mut [0.0; 16])?;
/// assert_eq!(x, [2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    state: &mut State<B>,
    factor: MatrixRef<'_, T>,
    particles: &mut [T],
    scores: &[T],
    mut scratch: &mut [T],
) -> Result<SelectedBandwidth<T>, Error> {
    let (d, len) = (factor.rows(), particles.len());
    check_length("columns of factor", d, factor.columns())?;
    config.validate()?;
    check_state(&config.rule, state, len)?;
    let n = check_cloud(d, particles, scores)?;
    check_scratch("scratch", least_scratch_len(n, d), scratch.len())?;
    let [y, v, out] = core::array::from_fn(|_| take(&mut scratch, len));
    let arithmetic = config.arithmetic;
    let x = MatrixRef::new(particles, n, d)?;
    gemm(
        Product::plain(arithmetic),
        x,
        factor,
        MatrixMut::new(y, n, d)?,
        scratch,
    )?;
    let chosen = config.bandwidth.choose(arithmetic, d, y, scratch)?;
    for (v, &g) in v.iter_mut().zip(scores) {
        *v = g;
    }
    for v in v.in_rows_mut(d) {
        cholesky_solve_vector(factor, v)?;
    }
    check_finite("P^-1 scores", v, d)?;
    let field = Field {
        family: config.family,
        h: chosen.h,
        arithmetic,
        m: d,
        y,
        d,
        drift: v,
        weight: None,
        repel: particles,
    };
    field_into(&mut Sequential, &field, out, scratch)?;
    advance(&config.rule, config.step_size, state, d, particles, out)?;
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_golden, painted};
    use super::super::{bandwidth::Bandwidth, svgd};
    use super::*;
    use crate::matrix::cholesky;
    use crate::particle::Particles;
    use std::vec;
    use std::vec::Vec;

    const CONFIG: Config = Config {
        bandwidth: Bandwidth::Fixed(2.5),
        ..Config::new(1.0)
    };

    fn moved(factor: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (x, g) = (painted::<f64>(1, 21), painted::<f64>(3, 21));
        let mut y = x.clone();
        let mut scratch = vec![f64::NAN; scratch_len(&CONFIG, 7, 3)];
        let factor = MatrixRef::new(factor, 3, 3).unwrap();
        step(
            &CONFIG,
            &mut State::<[f64; 0]>::new(),
            factor,
            &mut y,
            &g,
            &mut scratch,
        )
        .unwrap();
        (y.iter().zip(&x).map(|(y, x)| y - x).collect(), y)
    }

    #[test]
    fn the_field_is_that_of_whitened_svgd_in_numpy() {
        let mut p = [2.0, 0.3, 0.1, 0.3, 1.5, -0.2, 0.1, -0.2, 0.8];
        cholesky(MatrixMut::new(&mut p, 3, 3).unwrap()).unwrap();
        (p[1], p[2], p[5]) = (0.0, 0.0, 0.0);
        assert_golden("matrix_svgd", &moved(&p).0, 1e-13);
    }

    #[test]
    fn the_identity_has_the_bits_of_svgd() {
        let (mut y, g) = (painted::<f64>(1, 21), painted::<f64>(3, 21));
        let mut scratch = vec![0.0; CONFIG.scratch_len(7, 3)];
        let mut state = State::<[f64; 0]>::new();
        svgd::step(
            &CONFIG,
            &mut state,
            Particles::new(3, &mut y),
            &g,
            &mut scratch,
        )
        .unwrap();
        assert_eq!(moved(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]).1, y);
    }
}
