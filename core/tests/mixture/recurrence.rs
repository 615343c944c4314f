//! Statistics: a plain reference, EM, order, counts, resuming.

use super::*;

/// The recurrence written for the eye: dense decay, one record at a time, inverse of 2 x 2 matrices.
struct Plain {
    labels: Vec<u32>,
    centre: [f64; 2],
    s0: Vec<f64>,
    s1: Vec<[f64; 2]>,
    /// xx, yx, yy.
    s2: Vec<[f64; 3]>,
    ln_pi: Vec<f64>,
    mu: Vec<[f64; 2]>,
    sigma: Vec<[f64; 3]>,
}

impl Plain {
    fn new(fit: &Fit<f64>) -> Self {
        let k = WEIGHTS.len();
        let n = fit.rows() as f64;
        let mean = |a: usize| fit.data.iter().skip(a).step_by(2).sum::<f64>() / n;
        let mut plain = Self {
            labels: fit.state.labels().to_vec(),
            centre: [mean(0), mean(1)],
            s0: WEIGHTS.to_vec(),
            s1: vec![[0.0; 2]; k],
            s2: vec![[0.0; 3]; k],
            ln_pi: WEIGHTS.iter().map(|w| w.ln()).collect(),
            mu: MEANS.as_chunks().0.to_vec(),
            sigma: vec![[1.0, 0.0, 1.0]; k],
        };
        for j in 0..k {
            let [x, y] = plain.centred(&plain.mu[j]);
            plain.s1[j] = [x, y].map(|x| WEIGHTS[j] * x);
            plain.s2[j] = [1.0 + x * x, x * y, 1.0 + y * y].map(|x| WEIGHTS[j] * x);
        }
        plain
    }

    fn centred(&self, x: &[f64]) -> [f64; 2] {
        [x[0] - self.centre[0], x[1] - self.centre[1]]
    }

    fn log_joint(&self, j: usize, x: &[f64]) -> f64 {
        let [a, b, c] = self.sigma[j];
        let (u, v) = (x[0] - self.mu[j][0], x[1] - self.mu[j][1]);
        let det = a * c - b * b;
        let square = (c * u * u - 2.0 * b * u * v + a * v * v) / det;
        self.ln_pi[j] - std::f64::consts::TAU.ln() - 0.5 * det.ln() - 0.5 * square
    }

    fn step(&mut self, config: &Config, t: u64, data: &[f64]) {
        let StepSize::Constant(gamma) = config.step_size else {
            panic!("constant steps");
        };
        let k = self.s0.len();
        let mut batch = vec![0; config.batch_size];
        let mut table = vec![0; random::sample_scratch_len(config.batch_size)];
        let mut rng = random::stream(config.seed, t, 0, Purpose::BATCH);
        let n = data.len() as u32 / 2;
        random::sample_into(&mut rng, n, &mut batch, &mut table).unwrap();
        let mut h = vec![[0.0; 6]; k];
        for i in batch {
            let x = &data[2 * i as usize..][..2];
            let [u, v] = self.centred(x);
            let mut rng = random::stream(config.seed, t, i.into(), Purpose::COMPONENT);
            for _ in 0..config.moves {
                let z = random::below(&mut rng, k as u32);
                let accept = 1.0 - random::uniform::<f64>(&mut rng);
                let old = self.labels[i as usize];
                let a = self.log_joint(z as usize, x) - self.log_joint(old as usize, x);
                if accept.ln() <= config.inverse_temperature * a {
                    self.labels[i as usize] = z;
                }
                let label = self.labels[i as usize] as usize;
                let weight = 1.0 / (config.batch_size * config.moves) as f64;
                for (h, x) in h[label].iter_mut().zip([1.0, u, v, u * u, u * v, v * v]) {
                    *h += weight * x;
                }
            }
        }
        for j in 0..k {
            let blend = |s: &mut f64, h: f64| *s = (1.0 - gamma) * *s + gamma * h;
            blend(&mut self.s0[j], h[j][0]);
            for a in 0..2 {
                blend(&mut self.s1[j][a], h[j][1 + a]);
            }
            for a in 0..3 {
                blend(&mut self.s2[j][a], h[j][3 + a]);
            }
            let [x, y] = self.s1[j].map(|s| s / self.s0[j]);
            let [xx, xy, yy] = self.s2[j].map(|s| s / self.s0[j]);
            if h[j][0] > 0.0 {
                self.mu[j] = [self.centre[0] + x, self.centre[1] + y];
                let reg = config.reg_covar;
                self.sigma[j] = [xx - x * x + reg, xy - x * y, yy - y * y + reg];
            }
        }
        let total: f64 = self.s0.iter().sum();
        self.ln_pi = self.s0.iter().map(|s| (s / total).ln()).collect();
    }
}

#[test]
fn ten_thousand_steps_are_those_of_dense_statistics() {
    let data = cloud(40);
    let mut fit = Fit::<f64>::new(Covariance::Full, &WEIGHTS, &MEANS, 1.0, &data, false);
    let mut plain = Plain::new(&fit);
    let config = Config {
        batch_size: 10,
        step_size: StepSize::Constant(0.02),
        inverse_temperature: 0.9,
        reg_covar: 0.05,
        ..Config::new(21)
    };
    let mut moved = 0;
    for t in 0..10_000 {
        let before = plain.labels.clone();
        fit.step(&config).unwrap();
        plain.step(&config, t, &data);
        assert_eq!(fit.state.labels(), plain.labels, "step {t}");
        moved += before
            .iter()
            .zip(&plain.labels)
            .filter(|(a, b)| a != b)
            .count();
    }
    // Components that have come close to each other exchange few rows.
    assert!(moved > 1000, "{moved}");
    let view = fit.mixture.view();
    assert_near(&wide(view.log_weights()), &plain.ln_pi, 1e-10);
    assert_near(&wide(view.means()), plain.mu.as_flattened(), 1e-11);
    let s0: Vec<f64> = fit.state.statistics()[2..6]
        .iter()
        .map(|t| t * fit.state.factor())
        .collect();
    assert_near(&s0, &plain.s0, 1e-12);
    // The factor has been multiplied out some 4 times: 0.98^10000 is 1e-88.
    assert!(fit.state.factor() > 1e-20);
}

#[test]
fn all_responsibilities_of_all_rows_at_step_size_one_are_a_step_of_em() {
    let data = cloud(60);
    for shape in SHAPES {
        let mut fit = Fit::<f64>::new(shape, &WEIGHTS, &MEANS, 2.0, &data, false);
        let mut exact = fit.mixture.clone();
        let config = Config {
            batch_size: 60,
            step_size: StepSize::Constant(1.0),
            proposal: Proposal::All,
            reg_covar: 0.01,
            ..Config::new(3)
        };
        let rows = MatrixRef::new(&data, 60, 2).unwrap();
        let reg = em::Config { reg_covar: 0.01 };
        let mut scratch = vec![0.0; em::scratch_len(shape, 60, 4, 2)];
        for _ in 0..5 {
            let labels = fit.state.labels().to_vec();
            let found = fit.step(&config).unwrap();
            assert_eq!((found.evaluations, found.accepted), (240, 0));
            assert_eq!(fit.state.labels(), labels);
            em::step(&reg, &mut exact, rows, &mut scratch).unwrap();
            assert_near(fit.mixture.params(), exact.params(), 1e-12);
        }
    }
}

#[test]
fn many_draws_of_the_posterior_approach_a_step_of_em() {
    let data = cloud(60);
    let mut fit = Fit::<f64>::new(Covariance::Full, &WEIGHTS, &MEANS, 2.0, &data, false);
    let mut exact = fit.mixture.clone();
    let config = Config {
        batch_size: 60,
        moves: 20_000,
        step_size: StepSize::Constant(1.0),
        proposal: Proposal::Posterior,
        ..Config::new(3)
    };
    let found = fit.step(&config).unwrap();
    assert_eq!((found.evaluations, found.accepted), (240, 60 * 20_000));
    let rows = MatrixRef::new(&data, 60, 2).unwrap();
    let mut scratch = vec![0.0; em::scratch_len(Covariance::Full, 60, 4, 2)];
    em::step(&em::Config::default(), &mut exact, rows, &mut scratch).unwrap();
    // Weights near 1/4 from 1.2e6 records: errors near 4e-4, means 4 times that.
    assert_near(fit.mixture.params(), exact.params(), 1e-2);
    assert_ne!(fit.mixture.params(), exact.params());
}

#[test]
fn components_in_another_order_give_the_same_in_that_order() {
    let data = cloud(60);
    let config = Config {
        batch_size: 20,
        proposal: Proposal::All,
        ..Config::new(3)
    };
    let mut fit = Fit::<f64>::new(Covariance::Full, &WEIGHTS, &MEANS, 2.0, &data, false);
    let (mut weights, mut means) = (
        WEIGHTS,
        *MEANS.as_chunks::<2>().0.first_chunk::<4>().unwrap(),
    );
    weights.rotate_left(1);
    means.rotate_left(1);
    let means = means.as_flattened();
    let mut turned = Fit::<f64>::new(Covariance::Full, &weights, means, 2.0, &data, false);
    for _ in 0..50 {
        fit.step(&config).unwrap();
        turned.step(&config).unwrap();
    }
    let mut expected = fit.mixture.view().means().to_vec();
    expected.rotate_left(2);
    assert_near(turned.mixture.view().means(), &expected, 1e-11);
}

#[test]
fn evaluations_are_counted_where_they_happen() {
    let data = cloud(60);
    let base = Config {
        batch_size: 20,
        moves: 3,
        ..Config::new(3)
    };
    for current in [Current::Fresh, Current::Cached] {
        let config = Config { current, ..base };
        let mut fit = Fit::<f32>::new(Covariance::Full, &WEIGHTS, &MEANS, 2.0, &data, true);
        let mut sum = 0;
        let mut visited = [false; 60];
        let mut expected_first = 0;
        for t in 0..30 {
            let mut batch = [0; 20];
            let mut rng = random::stream(3, t, 0, Purpose::BATCH);
            random::sample_into(&mut rng, 60, &mut batch, &mut [0; 64]).unwrap();
            let first = batch.iter().filter(|i| !visited[**i as usize]).count() as u64;
            batch.iter().for_each(|i| visited[*i as usize] = true);
            let found = fit.step(&config).unwrap();
            let standing = match current {
                Current::Fresh => 20,
                Current::Cached => first,
            };
            assert_eq!(found.evaluations + found.repeated, 20 * 3 + standing);
            assert!(found.repeated > 0 && found.accepted >= found.repeated);
            sum += found.evaluations;
            expected_first += first;
        }
        assert_eq!(expected_first, 60);
        assert_eq!((fit.state.evaluations(), fit.state.steps()), (sum, 30));
    }
}

#[test]
fn a_restored_run_has_the_bits_of_the_uninterrupted_one() {
    let data = cloud(60);
    for (proposal, current) in [
        (Proposal::Uniform, Current::Fresh),
        (Proposal::Uniform, Current::Cached),
        (
            Proposal::Table {
                rate: 0.01,
                floor: 0.1,
            },
            Current::Fresh,
        ),
        (Proposal::Posterior, Current::Fresh),
        (Proposal::All, Current::Fresh),
    ] {
        let config = Config {
            batch_size: 20,
            step_size: StepSize::RobbinsMonro {
                offset: 2.0,
                exponent: 0.6,
            },
            proposal,
            current,
            ..Config::new(3)
        };
        let fresh = Fit::<f32>::new(Covariance::Full, &WEIGHTS, &MEANS, 2.0, &data, true);
        let mut fit = fresh.clone();
        for _ in 0..10 {
            fit.step(&config).unwrap();
        }
        let mut bytes = vec![0; fit.state.snapshot_len()];
        let mut parameters = vec![0; fit.mixture.snapshot_len()];
        fit.state.save(&mut bytes).unwrap();
        fit.mixture.save(&mut parameters).unwrap();
        let mut resumed = fresh.clone();
        resumed.state.restore(&bytes).unwrap();
        resumed.mixture.restore(&parameters).unwrap();
        for _ in 0..10 {
            fit.step(&config).unwrap();
            resumed.step(&config).unwrap();
        }
        assert_eq!(fit.mixture, resumed.mixture);
        // Rows that no batch has visited have NaN in the cache.
        let bits = |fit: &Fit<f32>| {
            let mut bytes = vec![0; fit.state.snapshot_len()];
            fit.state.save(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(bits(&fit), bits(&resumed));
        bytes[40] ^= 1;
        let mut other = fresh.clone();
        assert!(other.state.restore(&bytes).is_err());
        assert_eq!(bits(&other), bits(&fresh));
    }
}
