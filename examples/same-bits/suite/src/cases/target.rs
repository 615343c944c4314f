//! Densities to try samplers on: energies, scores, exact draws, moments.

use thalweg::model::{Batch, Gradient, Objective, OnBatch, linear};
use thalweg::particle::score;
use thalweg::particle::target::{DoubleBanana, Funnel, Gaussian, Mixture, Posterior, Regression};
use thalweg::random::{self, Purpose};
use thalweg::{Error, Real};

use crate::{Hash, Outcome, paint};

const D: usize = 3;

/// Energy and score of a density at one point.
fn energy<T: Real>(hash: &mut Hash, density: &impl Gradient<T>, phase: u32) -> Result<(), Error> {
    let (mut x, mut g) = ([T::ZERO; 8], [T::ZERO; 8]);
    let mut scratch = [T::ZERO; 64];
    let d = density.dim().min(8);
    paint(&mut x, phase);
    let (x, g) = (x.split_at(d).0, g.split_at_mut(d).0);
    let value = density.value_and_gradient_into(x, g, &mut scratch)?;
    hash.reals(&[value, density.value(x, &mut scratch)?]);
    hash.reals(g);
    score::from_gradient(density, score::Weights::flat(T::ONE), x, g, &mut scratch)?;
    hash.reals(g);
    Ok(())
}

pub(super) fn all<T: Real>(hash: &mut Hash) -> Outcome {
    let c = T::from_f64;
    let mut rng = random::stream(4, 0, 0, Purpose::NOISE);
    let (mut out, mut square) = ([T::ZERO; D], [T::ZERO; D * D]);

    let mean = [c(0.5), c(-1.0), c(2.0)];
    let factor = [
        c(1.0),
        c(0.0),
        c(0.0),
        c(0.5),
        c(2.0),
        c(0.0),
        c(-0.25),
        c(0.5),
        c(0.75),
    ];
    let gaussian = Gaussian {
        mean: &mean,
        factor: &factor,
    };
    gaussian.sample_into(&mut rng, &mut out)?;
    gaussian.covariance_into(&mut square)?;
    hash.reals(&out);
    hash.reals(&square);
    energy(hash, &gaussian, 90)?;

    let mixture = Mixture {
        weights: &[c(0.25), c(0.75)],
        means: &[c(-2.0), c(0.0), c(1.0), c(2.0), c(0.5), c(0.0)],
        variances: &[c(0.5), c(1.5)],
    };
    mixture.validate()?;
    mixture.sample_into(&mut rng, &mut out)?;
    hash.reals(&out);
    mixture.moments_into(&mut out, &mut square)?;
    hash.reals(&out);
    hash.reals(&square);
    energy(hash, &mixture, 91)?;

    let banana = DoubleBanana::<T>::default();
    banana.validate()?;
    let (point, _) = out.split_at_mut(2);
    hash.size(usize::from(banana.attempt_into(&mut rng, point)?));
    hash.reals(point);
    energy(hash, &banana, 92)?;

    let funnel = Funnel {
        dim: D,
        scale: c(1.5),
    };
    funnel.validate()?;
    funnel.sample_into(&mut rng, &mut out)?;
    hash.reals(&out);
    energy(hash, &funnel, 93)?;

    let (mut rows, mut y) = ([T::ZERO; 4 * D], [T::ZERO; 4]);
    paint(&mut rows, 94);
    paint(&mut y, 95);
    let batch = Batch::targets(&rows, D, &y, 1)?;
    let objective = linear::Model::new(D);
    let posterior = Posterior {
        objective,
        rows: c(4.0),
        precision: c(0.5),
    };
    posterior.validate()?;
    energy(hash, &OnBatch::new(&posterior, &batch), 96)?;
    let regression = Regression {
        objective,
        rows: c(4.0),
        precision: c(0.5),
        shape: c(1.0),
        rate: c(0.1),
    };
    regression.validate()?;
    energy(hash, &regression.on(&batch), 97)?;
    Ok(())
}
