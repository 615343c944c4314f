//! Draws of posteriors to measure against: rejection under a Laplace envelope, and Hamiltonian chains.

use thalweg::matrix::{
    MatrixMut, MatrixRef, cholesky, cholesky_solve_vector, solve_lower_transposed,
};
use thalweg::random::{Purpose, Stream, normal, stream, uniform};
use thalweg::{Error, vector};

use super::problem::Problem;

/// How far the envelope is above the largest value seen.
const MARGIN: f64 = 0.5;
/// How much wider than Laplace's approximation the envelope is.
const WIDER: f64 = 1.2;
const PILOT: usize = 20_000;
/// Heights of the envelope that are tried.
const ENVELOPES: usize = 20;

/// The mode, and the lower Cholesky factor of the Hessian there.
struct Laplace {
    mode: Vec<f64>,
    factor: Vec<f64>,
}

impl Laplace {
    /// Newton's method; Hessians by central differences of the score.
    fn new(problem: &Problem) -> Result<Self, Error> {
        let d = problem.dim();
        let mut mode = vec![0.0; d];
        let mut factor = vec![0.0; d * d];
        for _ in 0..30 {
            let (h, mut points) = (1e-4, Vec::with_capacity(2 * d * d));
            for j in 0..d {
                for sign in [h, -h] {
                    let mut x = mode.clone();
                    if let Some(x) = x.get_mut(j) {
                        *x += sign;
                    }
                    points.extend(x);
                }
            }
            let mut scores = vec![0.0; points.len()];
            problem.scores_into(&points, &mut scores)?;
            for (row, pair) in factor.chunks_exact_mut(d).zip(scores.chunks_exact(2 * d)) {
                let (up, down) = pair.split_at(d);
                for ((h2, up), down) in row.iter_mut().zip(up).zip(down) {
                    *h2 = (down - up) / (2.0 * h);
                }
            }
            cholesky(MatrixMut::new(&mut factor, d, d)?)?;
            let mut move_by = vec![0.0; d];
            problem.scores_into(&mode, &mut move_by)?;
            cholesky_solve_vector(MatrixRef::new(&factor, d, d)?, &mut move_by)?;
            // Short steps only, so that a far start cannot be thrown out.
            let scale = (2.0 / vector::norm2(&move_by)).min(1.0);
            vector::axpy(scale, &move_by, &mut mode)?;
            if vector::norm2(&move_by) < 1e-10 {
                break;
            }
        }
        Ok(Self { mode, factor })
    }

    /// `mode + L^-T z`, written over `z`.
    fn place(&self, z: &mut [f64]) -> Result<(), Error> {
        let d = self.mode.len();
        let l = MatrixRef::new(&self.factor, d, d)?;
        solve_lower_transposed(l, MatrixMut::new(z, d, 1)?)?;
        vector::axpy(1.0, &self.mode, z)
    }
}

/// Exact draws by rejection from a widened Laplace approximation; a pilot run finds the envelope's height.
///
/// A point above the envelope raises it, and all draws are made again.
///
/// # Errors
/// What the target says; a target that is above every envelope.
pub fn rejection_into(problem: &Problem, rng: &mut Stream, out: &mut [f64]) -> Result<(), Error> {
    let laplace = Laplace::new(problem)?;
    let d = problem.dim();
    let mut x = vec![0.0; d];
    let mut attempt = |rng: &mut Stream| -> Result<(f64, Vec<f64>), Error> {
        x.fill_with(|| normal(rng));
        let square = vector::norm2_squared(&x);
        vector::scale(WIDER, &mut x);
        laplace.place(&mut x)?;
        Ok((0.5 * square - problem.energy(&x)?, x.clone()))
    };
    let mut bound = f64::NEG_INFINITY;
    for _ in 0..PILOT {
        bound = bound.max(attempt(rng)?.0);
    }
    'raised: for _ in 0..ENVELOPES {
        bound += MARGIN;
        for row in out.chunks_exact_mut(d) {
            loop {
                let (log, x) = attempt(rng)?;
                if log > bound {
                    bound = log;
                    continue 'raised;
                }
                if uniform::<f64>(rng).ln() < log - bound {
                    row.copy_from_slice(&x);
                    break;
                }
            }
        }
        return Ok(());
    }
    Err(Error::NoConvergence {
        name: "rejection",
        iterations: ENVELOPES,
    })
}

/// `count` draws of 60 Hamiltonian chains with Metropolis' correction, whitened by Laplace's approximation.
///
/// # Errors
/// What the target says.
pub fn hamiltonian(problem: &Problem, count: usize, seed: u64) -> Result<Vec<f64>, Error> {
    const CHAINS: usize = 60;
    const BURN_IN: usize = 30;
    const LEAPS: usize = 8;
    const STEP: f64 = 0.2;
    let laplace = Laplace::new(problem)?;
    let d = problem.dim();
    let l = MatrixRef::new(&laplace.factor, d, d)?;
    let rng = &mut stream(seed, 1, 1, Purpose::DATA);
    // In the coordinates z, where x = mode + L^-T z: energy, and its gradient L^-1 grad.
    let evaluate = |z: &[f64]| -> Result<(f64, Vec<f64>), Error> {
        let mut x = z.to_vec();
        laplace.place(&mut x)?;
        let mut g = vec![0.0; d];
        problem.scores_into(&x, &mut g)?;
        thalweg::matrix::solve_lower(l, MatrixMut::new(&mut g, d, 1)?)?;
        Ok((problem.energy(&x)?, g))
    };
    let mut draws = Vec::with_capacity(count * d);
    for _ in 0..CHAINS {
        let mut z: Vec<f64> = (0..d).map(|_| normal(rng)).collect();
        let (mut energy, mut score) = evaluate(&z)?;
        for t in 0..BURN_IN + count.div_ceil(CHAINS) {
            let mut r: Vec<f64> = (0..d).map(|_| normal(rng)).collect();
            let before = energy + 0.5 * vector::norm2_squared(&r);
            let (mut to, mut to_energy, mut to_score) = (z.clone(), energy, score.clone());
            for _ in 0..LEAPS {
                vector::axpy(0.5 * STEP, &to_score, &mut r)?;
                vector::axpy(STEP, &r, &mut to)?;
                (to_energy, to_score) = evaluate(&to)?;
                vector::axpy(0.5 * STEP, &to_score, &mut r)?;
            }
            let after = to_energy + 0.5 * vector::norm2_squared(&r);
            if uniform::<f64>(rng).ln() < before - after {
                (z, energy, score) = (to, to_energy, to_score);
            }
            if t >= BURN_IN && draws.len() < count * d {
                let mut x = z.clone();
                laplace.place(&mut x)?;
                draws.extend(x);
            }
        }
    }
    Ok(draws)
}
