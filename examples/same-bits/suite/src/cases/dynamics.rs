//! Label noise, its exact limit, and the drift of a small model.

use thalweg::dynamics::label_noise::{
    self, Config, Fit, Scratch, Sparse, State, check_interpolates_scratch_len,
};
use thalweg::dynamics::limit_flow::{
    self, Exact, HessianBasis, Noise, SmoothLoss, drift_into, drift_scratch_len, exact_len,
    exact_scratch_len, follow_gradient_flow, gradient_flow_scratch_len, hutchinson_trace, retract,
    retract_scratch_len, second_derivative_into, step_scratch_len,
};
use thalweg::matrix::MatrixRef;
use thalweg::model::{Batch, linear};
use thalweg::random::{self, Purpose};
use thalweg::snapshot::Snapshot;
use thalweg::{Error, Real};

use crate::{Hash, MISSING, Outcome, paint};

const N: usize = 2;
const D: usize = 5;
const P: usize = label_noise::state_len(D);

fn draws() -> random::Stream {
    random::stream(1, 2, 3, Purpose::NOISE)
}

/// Bytes of a state, restored into another.
fn carry<S: Snapshot>(hash: &mut Hash, from: &S, to: &mut S) -> Outcome {
    let mut bytes = [0; 512];
    let len = from.save(&mut bytes)?;
    let saved = bytes.get(..len).ok_or(MISSING)?;
    hash.bytes(saved);
    hash.size(from.snapshot_len());
    to.restore(saved)?;
    Ok(())
}

pub(super) fn noise<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut z, mut y) = ([T::ZERO; N * D], [T::ZERO; N]);
    paint(&mut z, 60);
    paint(&mut y, 61);
    let problem = Sparse::new(MatrixRef::new(&z, N, D)?, &y)?;
    let mut scratch = [T::ZERO; check_interpolates_scratch_len(N)];
    problem.check_interpolates(&mut scratch)?;
    let problem = Sparse::interpolating(problem.data(), &y, &mut scratch)?;
    let config = Config::new(1e-3);
    config.validate()?;
    hash.word(config.steps(1e-4));
    let mut state = State::<[T; P]>::uniform([T::ZERO; P], T::ONE);
    let mut rng = draws();
    hash.reals(&[label_noise::step(&config, &problem, &mut state, &mut rng)?]);
    let squares = label_noise::run(&config, &problem, &mut state, 40, &mut rng)?;
    let cold = label_noise::run(&config.cool(), &problem, &mut state, 10, &mut rng)?;
    hash.reals(&[squares, cold]);
    let mut other = State::<[T; P]>::new();
    carry(hash, &state, &mut other)?;
    let loss = label_noise::descend(&config, &problem, &mut other, &mut [T::ZERO; D])?;
    hash.reals(&[
        loss,
        problem.loss(other.params())?,
        problem.trace(other.params())?,
    ]);
    hash.reals(other.u());
    hash.reals(other.v());
    hash.word(other.steps());
    let (mut w, mut m) = ([T::ZERO; D], [T::ZERO; D]);
    problem.signal_into(other.params(), &mut w)?;
    problem.moments_into(&mut m)?;
    hash.reals(&w);
    hash.reals(&m);
    hash.size(problem.dim() + problem.samples() + problem.data().rows());

    let batch = Batch::targets(&z, D, problem.labels(), 1)?;
    let mut state = State::from_params([T::ZERO; D]);
    let memory = Scratch {
        target: &mut [T::ZERO],
        grad: &mut [T::ZERO; D],
        model: &mut [],
    };
    let model = linear::Model::new(D);
    let loss = label_noise::run_objective(
        &config,
        Fit {
            objective: &model,
            data: &batch,
        },
        &mut state,
        20,
        &mut rng,
        memory,
    )?;
    hash.reals(&[loss]);
    hash.reals(state.params());
    Ok(())
}

pub(super) fn exact<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut z, mut y) = ([T::ZERO; N * D], [T::ZERO; N]);
    paint(&mut z, 62);
    paint(&mut y, 63);
    let problem = Sparse::new(MatrixRef::new(&z, N, D)?, &y)?;
    let mut scratch = [T::ZERO; exact_scratch_len(N, D)];
    let buffer = [T::ZERO; exact_len(N, D)];
    let config = limit_flow::Config::default();
    limit_flow::Config::validate(&config)?;
    let mut limit = Exact::new(&problem, &[T::ONE; P], buffer, &mut scratch)?;
    for dt in [0.0, 0.0625] {
        hash.size(limit.advance(&config, &problem, dt, &mut scratch)?);
        hash.reals(limit.params());
        let mut w = [T::ZERO; D];
        limit.signal_into(&problem, &mut w)?;
        hash.reals(&w);
    }
    let mut other = Exact::new(&problem, &[T::ONE; P], buffer, &mut scratch)?;
    carry(hash, &limit, &mut other)?;
    hash.reals(other.params());
    hash.reals(&[other.clock()]);
    Ok(())
}

/// Parameters of two dimensions and one sample, which the buffers of the drift are sized for.
const SMALL: usize = 4;

pub(super) fn drift<T: Real>(hash: &mut Hash) -> Outcome {
    let z = [T::from_f64(0.75), T::from_f64(-0.5)];
    let mut problem = Sparse::new(MatrixRef::new(&z, 1, 2)?, &z[..1])?;
    let mut x = [T::ONE; SMALL];
    let mut scratch = [T::ZERO; gradient_flow_scratch_len(SMALL)];
    let tolerance = 64.0 * T::EPSILON.to_f64();
    hash.size(follow_gradient_flow(
        &mut problem,
        &mut x,
        0.1,
        tolerance,
        2000,
        &mut scratch,
    )?);
    let mut scratch = [T::ZERO; retract_scratch_len(SMALL)];
    hash.reals(&[retract(&mut problem, &mut x, 1, 0.0, 2, &mut scratch)?]);
    hash.reals(&x);

    let mut memory = [T::ZERO; limit_flow::basis_len(SMALL)];
    let frame = HessianBasis::new(&mut problem, &x, &mut memory)?.with_rank(1);
    hash.size(HessianBasis::dim(&frame) + HessianBasis::rank(&frame) + SmoothLoss::dim(&problem));
    hash.reals(frame.values());
    hash.reals(frame.vectors().data());
    let (mut out, mut s) = ([T::ZERO; SMALL], [T::ZERO; SMALL * SMALL]);
    frame.tangent_into(&[T::ONE; SMALL], &mut out)?;
    hash.reals(&out);
    frame.pseudo_inverse_into(&x, &mut out)?;
    hash.reals(&out);
    for (i, s) in s.iter_mut().enumerate() {
        *s = T::from_usize((i / SMALL) * (i % SMALL) + 1);
    }
    let mut scratch = [T::ZERO; drift_scratch_len(SMALL)];
    let noise = Noise::Covariance(MatrixRef::new(&s, SMALL, SMALL)?);
    second_derivative_into(&mut problem, &x, &frame, noise, &mut out, &mut scratch)?;
    hash.reals(&out);
    let noise = Noise::Label(T::ONE);
    drift_into(&mut problem, &x, &frame, noise, &mut out, &mut scratch)?;
    hash.reals(&out);
    let mut scratch = [T::ZERO; step_scratch_len(SMALL)];
    let (noise, increment) = (Noise::Isotropic(T::ONE), [T::from_f64(0.125); SMALL]);
    limit_flow::step(&mut problem, &mut x, noise, 0.01, &increment, &mut scratch)?;
    hash.reals(&x);

    let product = |signs: &[T], out: &mut [T]| -> Result<(), Error> {
        for (out, sign) in out.iter_mut().zip(signs) {
            *out = *sign * T::from_f64(3.0);
        }
        Ok(())
    };
    let (mut signs, mut out) = ([T::ZERO; SMALL], [T::ZERO; SMALL]);
    let found = hutchinson_trace(product, 3, &mut signs, &mut out, &mut draws())?;
    hash.reals(&[found.mean, found.error]);
    Ok(())
}
