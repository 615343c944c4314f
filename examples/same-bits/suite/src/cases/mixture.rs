//! Gaussian mixtures: densities, draws, EM, and chains over labels.

use thalweg::matrix::MatrixRef;
use thalweg::mixture::component_selection::{
    self, Buffers, Config, Current, Proposal, State, StepSize, accepts, anti_annealing,
    statistics_len,
};
use thalweg::mixture::gaussian::{Covariance, Mixture, MixtureRef, params_len};
use thalweg::mixture::{em, log_sum_exp, responsibilities};
use thalweg::random::{self, Purpose};
use thalweg::snapshot::Snapshot;
use thalweg::{Real, Storage};

use crate::{Hash, MISSING, Outcome, paint};

const K: usize = 3;
const D: usize = 2;
const N: usize = 8;
const PARAMS: usize = params_len(Covariance::Full, K, D);

/// Three components of different shape.
fn start<T: Real, B: Storage<Elem = T>>(
    shape: Covariance,
    params: B,
) -> Result<Mixture<B>, thalweg::Error> {
    let mut mixture = Mixture::new(shape, K, D, params)?;
    let t = T::from_f64;
    mixture.set_weights(&[t(0.5), t(0.3), t(0.2)])?;
    for j in 0..K {
        let x = j as f64;
        let mean = [t(x - 1.0), t(0.5 - x)];
        let sigma = match shape {
            Covariance::Full | Covariance::Tied => [2.0 + x, 0.0, 0.25 * x, 1.5].map(t),
            Covariance::Diagonal | Covariance::Spherical => [2.0 + x, 1.5, 0.0, 0.0].map(t),
        };
        let sigma = sigma.get(..shape.covariance_len(D)).unwrap_or(&[]);
        mixture.set_component(j, &mean, sigma, &mut [0.0; 8])?;
    }
    Ok(mixture)
}

fn parameters<T: Real>(hash: &mut Hash, of: &MixtureRef<'_, T>) {
    hash.size(of.components() + of.dim() + usize::from(of.covariance() == Covariance::Full));
    hash.reals(of.log_weights());
    hash.reals(of.means());
    hash.reals(of.factors());
    hash.reals(of.half_log_determinants());
}

const OWN: [Covariance; 2] = [Covariance::Full, Covariance::Diagonal];
const SHARED: [Covariance; 2] = [Covariance::Spherical, Covariance::Tied];

pub(super) fn densities<T: Real>(hash: &mut Hash) -> Outcome {
    densities_of::<T>(hash, OWN)?;
    let mut far = [T::from_f64(-1e30), -T::INFINITY, T::from_f64(-1e30)];
    hash.reals(&[responsibilities(&mut far)]);
    hash.reals(&far);
    Ok(())
}

/// Variances and covariances that columns or components share, and fits from the data.
pub(super) fn fits<T: Real>(hash: &mut Hash) -> Outcome {
    densities_of::<T>(hash, SHARED)?;
    chains_of::<T>(hash, SHARED)?;
    let mut data = [T::ZERO; N * D];
    paint(&mut data, 73);
    let data = MatrixRef::new(&data, N, D)?;
    let weights = [1.0, 0.0, 2.0, 0.5, 1.0, 1.0, 0.25, 3.0];
    let rows = em::Rows {
        data,
        weights: Some(&weights),
    };
    hash.reals(&[rows.total()]);
    let mut scratch = [0.0; 64];
    for shape in [OWN, SHARED].as_flattened().iter().copied() {
        hash.size(em::start_scratch_len(shape, N, K, D) + shape.factors_len(K, D));
        let (mut params, mut best) = ([T::ZERO; PARAMS], [T::ZERO; PARAMS]);
        let len = params_len(shape, K, D);
        let params = params.get_mut(..len).ok_or(MISSING)?;
        let best = best.get_mut(..len).ok_or(MISSING)?;
        let mut mixture = Mixture::new(shape, K, D, params)?;
        let config = em::Fit {
            max_iter: 5,
            ..em::Fit::default()
        };
        config.validate()?;
        for init in [em::Init::KMeans, em::Init::RandomRows, em::Init::UnitCube] {
            em::start(&config.em, init, &mut mixture, rows, 3, &mut scratch)?;
            hash.reals(mixture.params());
            let found = em::fit(&config, &mut mixture, data, &mut scratch)?;
            hash.size(found.iterations + found.kept + usize::from(found.converged));
            hash.reals(mixture.params());
        }
        let starts = (em::Init::default(), 4, 2);
        let found = em::fit_starts(&config, starts, &mut mixture, best, rows, &mut scratch)?;
        hash.word(found.evaluations);
        let mean = found.mean_log_likelihood;
        let view = mixture.view();
        hash.reals(&[mean, view.bic(mean, N), view.aic(mean, N)]);
        hash.size(view.free_parameters());
        let mut labels = [0; N];
        view.predict_into(data, &mut labels)?;
        labels.iter().for_each(|z| hash.word((*z).into()));
    }
    Ok(())
}

fn densities_of<T: Real>(hash: &mut Hash, shapes: [Covariance; 2]) -> Outcome {
    let mut data = [T::ZERO; N * D];
    paint(&mut data, 71);
    let rows = MatrixRef::new(&data, N, D)?;
    for shape in shapes {
        let mut params = [T::ZERO; PARAMS];
        let params = params.get_mut(..params_len(shape, K, D)).ok_or(MISSING)?;
        let mut mixture = start(shape, params)?;
        let view = MixtureRef::new(shape, K, D, mixture.params())?;
        parameters(hash, &view);
        let (mut joints, mut scratch) = ([T::ZERO; K], [0.0; 64]);
        for x in rows.row_iter() {
            view.log_joints_into(x, &mut joints)?;
            hash.reals(&joints);
            hash.reals(&[view.log_density(2, x)?, log_sum_exp(&joints)]);
            hash.reals(&[view.responsibilities_into(x, &mut joints)?]);
            hash.reals(&joints);
        }
        let mean = view.mean_log_likelihood(rows, &mut joints)?;
        hash.reals(&[mean]);
        let mut sigma = [T::ZERO; 4];
        let sigma = sigma.get_mut(..shape.covariance_len(D)).ok_or(MISSING)?;
        view.covariance_into(1, sigma, &mut scratch)?;
        hash.reals(sigma);
        let mut rng = random::stream(1, 2, 3, Purpose::DATA);
        let mut x = [T::ZERO; D];
        for _ in 0..4 {
            view.sample_into(&mut rng, &mut x, &mut scratch)?;
            hash.reals(&x);
        }
        let config = em::Config::default();
        config.validate()?;
        let least = em::least_scratch_len(shape, K, D);
        hash.size(em::scratch_len(shape, N, K, D) + least + shape.scratch_len(D));
        hash.size(shape.factor_len(D));
        for len in [least, 64] {
            let scratch = scratch.get_mut(..len).ok_or(MISSING)?;
            let found = em::step(&config, &mut mixture, rows, scratch)?;
            hash.reals(&[found.mean_log_likelihood]);
            hash.word(found.evaluations);
            hash.size(found.kept);
            hash.reals(mixture.params());
        }
        let mut bytes = [0; 256];
        let len = mixture.save(&mut bytes)?;
        let bytes = bytes.get(..len).ok_or(MISSING)?;
        hash.bytes(bytes);
        let mut other = [T::ZERO; PARAMS];
        let other = other.get_mut(..params_len(shape, K, D)).ok_or(MISSING)?;
        let mut other = Mixture::from_params(shape, K, D, other)?;
        other.restore(bytes)?;
        hash.reals(other.params());
        hash.size(other.snapshot_len());
    }
    Ok(())
}

pub(super) fn chains<T: Real>(hash: &mut Hash) -> Outcome {
    chains_of::<T>(hash, OWN)?;
    let passes = accepts(-3.0, -4.0, 1.0, 0.5, 0.5);
    hash.word(passes.into());
    Ok(())
}

fn chains_of<T: Real>(hash: &mut Hash, shapes: [Covariance; 2]) -> Outcome {
    let mut data = [T::ZERO; N * D];
    paint(&mut data, 72);
    let rows = MatrixRef::new(&data, N, D)?;
    let mut scratch = [0.0; 32];
    for shape in shapes {
        for (proposal, current) in [
            (Proposal::Uniform, Current::Fresh),
            (Proposal::Uniform, Current::Cached),
            (
                Proposal::Table {
                    rate: 0.125,
                    floor: 0.25,
                },
                Current::Fresh,
            ),
            (Proposal::Posterior, Current::Fresh),
            (Proposal::All, Current::Fresh),
        ] {
            let mut params = [T::ZERO; PARAMS];
            let params = params.get_mut(..params_len(shape, K, D)).ok_or(MISSING)?;
            let mut mixture = start(shape, params)?;
            let mut statistics = [0.0; statistics_len(Covariance::Full, K, D)];
            let buffers = Buffers {
                labels: [0; N],
                statistics: statistics
                    .get_mut(..statistics_len(shape, K, D))
                    .ok_or(MISSING)?,
                cache: [0.0; N],
                table: [0.0; N * K],
            };
            let mut state = State::new(&mixture.view(), rows, 5, buffers, &mut scratch)?;
            let config = Config {
                batch_size: 4,
                step_size: StepSize::RobbinsMonro {
                    offset: 2.0,
                    exponent: 0.6,
                },
                proposal,
                current,
                inverse_temperature: anti_annealing(2, 9),
                ..Config::new(5)
            };
            config.validate()?;
            config.step_size.validate()?;
            hash.reals(&[config.step_size.at(3), config.inverse_temperature]);
            hash.size(config.words_len(K) + component_selection::scratch_len(shape, K, D));
            let mut words = [0; 15];
            for _ in 0..3 {
                let found = component_selection::step(
                    &config,
                    &mut mixture,
                    &mut state,
                    rows,
                    &mut words,
                    &mut scratch,
                )?;
                hash.word(found.accepted + found.repeated);
                hash.word(found.evaluations);
                hash.size(found.kept);
                hash.reals(mixture.params());
            }
            let mut bytes = [0; 600];
            let len = state.save(&mut bytes)?;
            hash.size(state.snapshot_len());
            let mut other = [0.0; statistics_len(Covariance::Full, K, D)];
            let other = Buffers {
                labels: [0; N],
                statistics: other
                    .get_mut(..statistics_len(shape, K, D))
                    .ok_or(MISSING)?,
                cache: [0.0; N],
                table: [0.0; N * K],
            };
            let mut other = State::resume(other, 1.0, 0, 0);
            other.restore(bytes.get(..len).ok_or(MISSING)?)?;
            other.labels().iter().for_each(|z| hash.word((*z).into()));
            hash.reals(other.statistics());
            hash.reals(other.table());
            hash.reals(&[other.factor()]);
            hash.word(other.steps() + other.evaluations());
        }
    }
    Ok(())
}
