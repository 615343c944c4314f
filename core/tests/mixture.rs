//! Stochastic component selection: exact transitions, frequencies, a plain reference, and the published finding.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use thalweg::matrix::MatrixRef;
use thalweg::mixture::component_selection::{
    Buffers, Config, Current, Outcome, Proposal, State, StepSize, accepts, anti_annealing,
    scratch_len, statistics_len, step,
};
use thalweg::mixture::em;
use thalweg::mixture::gaussian::{Covariance, Mixture, params_len};
use thalweg::random::{self, Purpose, Stream};
use thalweg::snapshot::Snapshot;
use thalweg::{Error, Real};

const SHAPES: [Covariance; 2] = [Covariance::Full, Covariance::Diagonal];

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{i}: {f} against {e}");
    }
}

fn wide<T: Real>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.to_f64()).collect()
}

fn narrow<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|x| T::from_f64(*x)).collect()
}

type Vectors = Buffers<Vec<u32>, Vec<f64>, Vec<f64>, Vec<f32>>;

/// Buffers without a cache.
fn buffers(labels: Vec<u32>, statistics: Vec<f64>, table: Vec<f32>) -> Vectors {
    Buffers {
        labels,
        statistics,
        cache: vec![],
        table,
    }
}

/// A mixture and its chains, in vectors of their own.
#[derive(Clone, Debug)]
struct Fit<T> {
    mixture: Mixture<Vec<T>>,
    state: State<Vec<u32>, Vec<f64>, Vec<f64>, Vec<f32>>,
    data: Vec<T>,
    words: Vec<u32>,
    scratch: Vec<f64>,
}

impl<T: Real> Fit<T> {
    /// Components of covariance `variance I`; cache and table with `memory`.
    fn new(
        shape: Covariance,
        weights: &[f64],
        means: &[f64],
        variance: f64,
        data: &[f64],
        memory: bool,
    ) -> Self {
        let k = weights.len();
        let d = means.len() / k;
        let params = vec![T::ZERO; params_len(shape, k, d)];
        let mut mixture = Mixture::new(shape, k, d, params).unwrap();
        mixture.set_weights(&narrow::<T>(weights)).unwrap();
        let sigma: Vec<f64> = match shape {
            Covariance::Full => (0..d * d)
                .map(|i| if i % (d + 1) == 0 { variance } else { 0.0 })
                .collect(),
            Covariance::Diagonal => vec![variance; d],
        };
        let mut scratch = vec![0.0; scratch_len(shape, k, d)];
        for (j, mean) in means.chunks(d).enumerate() {
            mixture
                .set_component(j, &narrow::<T>(mean), &narrow::<T>(&sigma), &mut scratch)
                .unwrap();
        }
        let n = data.len() / d;
        let data = narrow::<T>(data);
        let state = State::new(
            &mixture.view(),
            MatrixRef::new(&data, n, d).unwrap(),
            11,
            Buffers {
                cache: vec![0.0; if memory { n } else { 0 }],
                ..buffers(
                    vec![0; n],
                    vec![0.0; statistics_len(shape, k, d)],
                    vec![0.0; if memory { n * k } else { 0 }],
                )
            },
            &mut scratch,
        )
        .unwrap();
        Self {
            mixture,
            state,
            data,
            words: vec![0; 4 * n + k + 4],
            scratch,
        }
    }

    fn rows(&self) -> usize {
        self.data.len() / self.mixture.view().dim()
    }

    fn step(&mut self, config: &Config) -> Result<Outcome, Error> {
        let data = MatrixRef::new(&self.data, self.rows(), self.mixture.view().dim())?;
        step(
            config,
            &mut self.mixture,
            &mut self.state,
            data,
            &mut self.words,
            &mut self.scratch,
        )
    }

    fn mean_log_likelihood(&self) -> f64 {
        let view = self.mixture.view();
        let data = MatrixRef::new(&self.data, self.rows(), view.dim()).unwrap();
        let mut scratch = vec![T::ZERO; view.components()];
        view.mean_log_likelihood(data, &mut scratch).unwrap()
    }
}

fn normals(rng: &mut Stream, n: usize) -> Vec<f64> {
    (0..n).map(|_| random::normal::<f64>(rng)).collect()
}

/// Rows near four centres of the plane.
fn cloud(n: usize) -> Vec<f64> {
    let mut rng = random::stream(3, 0, 0, Purpose::DATA);
    let centres = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]];
    (0..n)
        .flat_map(|i| centres[i % 4])
        .zip(normals(&mut rng, 2 * n))
        .map(|(centre, z)| centre + 0.8 * z)
        .collect()
}

/// Four components, none where a centre is.
const MEANS: [f64; 8] = [1.0, 1.0, 3.0, 1.0, 1.0, 2.5, 2.0, 3.0];
const WEIGHTS: [f64; 4] = [0.1, 0.2, 0.3, 0.4];

/// `P(proposal is accepted)`, from the rule itself: the largest `u` that it lets pass.
fn acceptance(current: f64, proposed: f64, log_ratio: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    if accepts(current, proposed, 1.0, log_ratio, high) {
        return 1.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if accepts(current, proposed, 1.0, log_ratio, middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[test]
fn transitions_are_the_rational_numbers_of_the_theory() {
    let r: [f64; 3] = [0.5, 0.3, 0.2];
    let uniform = [
        [2.0 / 3.0, 0.2, 0.4 / 3.0],
        [1.0 / 3.0, 4.0 / 9.0, 2.0 / 9.0],
        [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0],
    ];
    let unequal = [[0.8, 0.12, 0.08], [0.2, 0.6, 0.2], [0.2, 0.3, 0.5]];
    for (q, expected, rate) in [
        ([1.0_f64 / 3.0; 3], uniform, 0.8),
        ([0.2, 0.3, 0.5], unequal, 0.61),
    ] {
        let mut t = [[0.0; 3]; 3];
        let mut accepted = 0.0;
        for a in 0..3 {
            for b in 0..3 {
                let ratio = q[a].ln() - q[b].ln();
                let p = q[b] * acceptance(r[a].ln(), r[b].ln(), ratio);
                accepted += r[a] * p;
                if a != b {
                    t[a][b] = p;
                }
            }
            t[a][a] = 1.0 - t[a].iter().sum::<f64>();
            assert_near(&t[a], &expected[a], 1e-14);
        }
        assert_near(&[accepted], &[rate], 1e-14);
        for b in 0..3 {
            let moved: f64 = (0..3).map(|a| r[a] * t[a][b]).sum();
            assert_near(&[moved], &[r[b]], 1e-15);
        }
    }
}

/// Frequencies of the last labels of 200 equal rows under components that do not move, and the share of accepted proposals.
fn frequencies(moves: usize, beta: f64, current: Current, q: [f32; 3]) -> ([f64; 3], f64, f64) {
    let data = [0.3; 200];
    let (weights, means) = ([0.5, 0.3, 0.2], [0.0; 3]);
    let mut fit = Fit::<f64>::new(Covariance::Full, &weights, &means, 1.0, &data, true);
    let config = Config {
        moves,
        inverse_temperature: beta,
        // Statistics gain 1e-30 of themselves: not a bit of a mean.
        step_size: StepSize::Constant(1e-30),
        reg_covar: 0.0,
        current,
        proposal: if q == [1.0; 3] {
            Proposal::Uniform
        } else {
            Proposal::Table {
                rate: 0.0,
                floor: 1e-6,
            }
        },
        ..Config::new(5)
    };
    let fresh = fit.state;
    let cache = vec![f64::NAN; 200];
    let table = q.repeat(200);
    let buffers = Buffers {
        cache,
        ..buffers(fresh.labels().to_vec(), fresh.statistics().to_vec(), table)
    };
    fit.state = State::from_parts(buffers, 1.0, 0, 0);
    for _ in 0..20 {
        fit.step(&config).unwrap();
    }
    let (mut counts, mut accepted, steps) = ([0.0; 3], 0, 5000);
    for _ in 0..steps {
        accepted += fit.step(&config).unwrap().accepted;
        for z in fit.state.labels() {
            counts[*z as usize] += 1.0;
        }
    }
    assert_near(&wide(fit.mixture.view().means()), &means, 1e-12);
    let n = f64::from(steps) * 200.0;
    let rate = accepted as f64 / (n * moves as f64);
    (counts.map(|c| c / n), rate, n)
}

#[test]
fn labels_visit_components_by_their_responsibilities() {
    let (even, unequal) = ([1.0; 3], [2.0, 3.0, 5.0]);
    for (moves, beta, current, q) in [
        (1, 1.0, Current::Fresh, even),
        (5, 1.0, Current::Fresh, even),
        (1, 2.0, Current::Fresh, even),
        (2, 1.0, Current::Cached, even),
        (1, 1.0, Current::Fresh, unequal),
        (5, 1.0, Current::Cached, unequal),
    ] {
        let mut r = [0.5_f64, 0.3, 0.2].map(|r| r.powf(beta));
        let sum: f64 = r.iter().sum();
        r = r.map(|r| r / sum);
        let (found, accepted, n) = frequencies(moves, beta, current, q);
        let q = q.map(|n| f64::from(n) / f64::from(q.iter().sum::<f32>()));
        // The second eigenvalue of an independent proposal, and what it takes off the number of draws.
        let largest = r.iter().zip(q).map(|(r, q)| r / q).fold(0.0, f64::max);
        let lambda = (1.0 - 1.0 / largest).powi(moves as i32);
        for (f, r) in found.iter().zip(r) {
            let error = (r * (1.0 - r) / n * (1.0 + lambda) / (1.0 - lambda)).sqrt();
            assert!((f - r).abs() < 4.0 * error, "M = {moves}: {f} against {r}");
        }
        let rate: f64 = (0..9)
            .map(|i| (i / 3, i % 3))
            .map(|(a, b)| (r[a] * q[b]).min(r[b] * q[a]))
            .sum();
        assert!((accepted - rate).abs() < 3e-3, "{accepted} against {rate}");
    }
}

#[test]
fn a_table_moves_towards_the_shares_of_the_records() {
    let mut fit = Fit::<f64>::new(
        Covariance::Full,
        &[0.5, 0.5],
        &[0.0, 0.0],
        1.0,
        &[0.3, 0.4],
        true,
    );
    let config = Config {
        batch_size: 2,
        moves: 4,
        step_size: StepSize::Constant(1.0),
        proposal: Proposal::Table {
            rate: 0.25,
            floor: 0.5,
        },
        ..Config::new(5)
    };
    assert_eq!(fit.state.table(), [1.0; 4]);
    fit.step(&config).unwrap();
    // Shares of four records are quarters, and those of all rows are the weights at step size 1.
    let table = fit.state.table();
    let shares: Vec<f32> = table.iter().map(|n| (n - 0.75) * 4.0).collect();
    for shares in shares.chunks(2) {
        assert_eq!(shares[0] + shares[1], 1.0);
        assert_eq!((shares[0] * 4.0).fract(), 0.0);
    }
    let weight = f64::from(shares[0] + shares[2]) / 2.0;
    let found = fit.mixture.view().log_weights()[0].exp();
    assert_near(&[found], &[weight.max(1e-12)], 1e-11);
}

#[test]
fn an_unequal_proposal_is_corrected_by_its_ratio() {
    let (r, q): ([f64; 3], [f64; 3]) = ([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]);
    let mut rng = random::stream(9, 0, 0, Purpose::COMPONENT);
    let (mut z, mut counts, n) = (0, [0.0; 3], 1_000_000);
    for _ in 0..n {
        let new = random::categorical(&mut rng, &q).unwrap();
        let u = 1.0 - random::uniform::<f64>(&mut rng);
        if accepts(r[z].ln(), r[new].ln(), 1.0, q[z].ln() - q[new].ln(), u) {
            z = new;
        }
        counts[z] += 1.0 / f64::from(n);
    }
    // Eigenvalue 0.6: four times the variance of independent draws.
    for (f, r) in counts.iter().zip(r) {
        assert!((f - r).abs() < 4.0 * (4.0 * r * (1.0 - r) / f64::from(n)).sqrt());
    }
}

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
        random::sample_into(&mut rng, n, &mut table, &mut batch).unwrap();
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
            random::sample_into(&mut rng, 60, &mut [0; 64], &mut batch).unwrap();
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

#[test]
fn what_is_wrong_has_a_name_and_changes_nothing() {
    let data = cloud(60);
    let fit = Fit::<f64>::new(Covariance::Full, &WEIGHTS, &MEANS, 2.0, &data, false);
    let good = Config {
        batch_size: 60,
        ..Config::new(3)
    };
    let refuse = |config: Config, change: &dyn Fn(&mut Fit<f64>)| {
        let mut other = fit.clone();
        change(&mut other);
        let before = other.clone();
        let error = other.step(&config).unwrap_err();
        assert_eq!(other.mixture, before.mixture);
        assert_eq!(other.state, before.state);
        match error {
            Error::Parameter { name, .. } | Error::Length { name, .. } => (name, 0),
            Error::NonFinite { name, index } => (name, index),
            other => panic!("{other}"),
        }
    };
    let none = |_: &mut Fit<f64>| {};
    let configs = [
        (
            Config {
                batch_size: 0,
                ..good
            },
            "batch_size",
        ),
        (
            Config {
                batch_size: 61,
                ..good
            },
            "batch_size",
        ),
        (Config { moves: 0, ..good }, "moves"),
        (
            Config {
                step_size: StepSize::Constant(1.5),
                ..good
            },
            "step_size",
        ),
        (
            Config {
                inverse_temperature: 0.0,
                ..good
            },
            "inverse_temperature",
        ),
        (
            Config {
                reg_covar: -1.0,
                ..good
            },
            "reg_covar",
        ),
        (
            Config {
                current: Current::Cached,
                ..good
            },
            "state.cache",
        ),
    ];
    for (config, name) in configs {
        assert_eq!(refuse(config, &none), (name, 0));
    }
    assert_eq!(
        refuse(good, &|fit| fit.data[13] = f64::INFINITY),
        ("data", 6)
    );
    assert_eq!(
        refuse(good, &|fit| fit.data.truncate(100)),
        ("batch_size", 0)
    );
    assert_eq!(refuse(good, &|fit| fit.words.truncate(99)), ("words", 0));
    assert_eq!(
        refuse(good, &|fit| fit.scratch.truncate(11)),
        ("scratch", 0)
    );
    let with = |labels: Vec<u32>, statistics: usize, factor: f64| {
        move |fit: &mut Fit<f64>| {
            let buffers = buffers(labels.clone(), vec![0.5; statistics], vec![]);
            fit.state = State::from_parts(buffers, factor, 0, 0);
        }
    };
    let right = statistics_len(Covariance::Full, 4, 2);
    for (rate, floor, name) in [
        (1.0, 0.5, "rate"),
        (0.0, 0.0, "floor"),
        (0.0, 0.5, "state.table"),
    ] {
        let proposal = Proposal::Table { rate, floor };
        assert_eq!(refuse(Config { proposal, ..good }, &none), (name, 0));
    }
    for bad in [f32::NAN, -1.0, f32::INFINITY] {
        let proposal = Proposal::Table {
            rate: 0.0,
            floor: 0.5,
        };
        let hostile = |fit: &mut Fit<f64>| {
            let mut table = vec![1.0; 240];
            table[17] = bad;
            let buffers = buffers(vec![0; 60], vec![0.5; right], table);
            fit.state = State::from_parts(buffers, 1.0, 0, 0);
        };
        // Inequality with NaN is no change.
        if bad.is_nan() {
            let mut fit = fit.clone();
            hostile(&mut fit);
            assert!(fit.step(&Config { proposal, ..good }).is_err());
        } else {
            let name = refuse(Config { proposal, ..good }, &hostile);
            assert_eq!(name, ("state.table", 0));
        }
    }
    let label = ("state.labels", 0);
    assert_eq!(refuse(good, &with(vec![4; 60], right, 1.0)), label);
    assert_eq!(refuse(good, &with(vec![0; 61], right, 1.0)), label);
    let name = refuse(good, &with(vec![0; 60], right - 1, 1.0));
    assert_eq!(name, ("state.statistics", 0));
    for factor in [0.0, f64::INFINITY, -1.0] {
        let name = refuse(good, &with(vec![0; 60], right, factor));
        assert_eq!(name, ("state.factor", 0));
    }
}

#[test]
fn an_impossible_label_is_left_and_never_entered() {
    // Component 0 has no weight, and every row starts there.
    let data = [0.5; 50];
    let mut fit = Fit::<f64>::new(
        Covariance::Full,
        &[0.0, 1.0, 1.0],
        &[0.0; 3],
        1.0,
        &data,
        false,
    );
    let statistics = fit.state.statistics().to_vec();
    fit.state = State::from_parts(buffers(vec![0; 50], statistics, vec![]), 1.0, 0, 0);
    let config = Config {
        batch_size: 50,
        moves: 40,
        ..Config::new(3)
    };
    fit.step(&config).unwrap();
    assert!(fit.state.labels().iter().all(|z| *z > 0));
    // The floor keeps the logarithm of its weight finite.
    let floor = (1e-12_f64).ln();
    assert!(fit.mixture.view().log_weights()[0] >= floor - 1e-9);
    assert_near(
        &[fit.mixture.view().log_weights()[1].exp() * 2.0],
        &[1.0],
        0.2,
    );
}

#[test]
fn statistics_that_are_not_finite_reach_no_parameter() {
    let data = cloud(60);
    let config = Config {
        batch_size: 60,
        ..Config::new(3)
    };
    for bad in [f64::NAN, f64::INFINITY] {
        let mut fit = Fit::<f32>::new(Covariance::Full, &WEIGHTS, &MEANS, 2.0, &data, false);
        let mut statistics = fit.state.statistics().to_vec();
        // s1 and s2 of the first component.
        statistics[6] = bad;
        statistics[14] = bad;
        let before = fit.mixture.clone();
        let labels = fit.state.labels().to_vec();
        fit.state = State::from_parts(buffers(labels, statistics, vec![]), 1.0, 0, 0);
        assert!(fit.step(&config).unwrap().kept > 0);
        let (found, before) = (fit.mixture.view(), before.view());
        assert_eq!(found.means()[..2], before.means()[..2]);
        assert_eq!(found.factors()[..3], before.factors()[..3]);
        assert_ne!(found.means()[2..], before.means()[2..]);
        assert!(fit.mixture.params().iter().all(|x| x.is_finite()));
    }
}

#[test]
fn a_covariance_that_is_not_positive_definite_is_kept() {
    // Equal rows: every covariance of the statistics is 0.
    let data = [0.5; 50];
    let mut fit = Fit::<f64>::new(
        Covariance::Full,
        &[0.5, 0.5],
        &[0.0, 1.0],
        1.0,
        &data,
        false,
    );
    let config = Config {
        batch_size: 50,
        step_size: StepSize::Constant(1.0),
        reg_covar: 0.0,
        ..Config::new(3)
    };
    let found = fit.step(&config).unwrap();
    assert_eq!(found.kept, 2);
    assert_eq!(fit.mixture.view().factors(), [1.0, 1.0]);
    assert_near(fit.mixture.view().means(), &[0.5, 0.5], 1e-15);
    let found = fit
        .step(&Config {
            reg_covar: 0.25,
            ..config
        })
        .unwrap();
    assert_eq!(found.kept, 0);
    assert_near(fit.mixture.view().factors(), &[2.0, 2.0], 1e-14);
}

#[test]
fn f32_data_far_from_zero_keep_their_variance() {
    let mut rng = random::stream(5, 0, 0, Purpose::DATA);
    for offset in [100.0, 1000.0] {
        let z = normals(&mut rng, 1000);
        let x: Vec<f64> = z
            .iter()
            .map(|z| f64::from((offset + 0.1 * z) as f32))
            .collect();
        let mean = x.iter().sum::<f64>() / 1000.0;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 1000.0;
        let mut fit = Fit::<f32>::new(Covariance::Full, &[1.0], &[0.0], 1.0, &x, false);
        let config = Config {
            batch_size: 1000,
            step_size: StepSize::Constant(1.0),
            reg_covar: 0.0,
            ..Config::new(3)
        };
        fit.step(&config).unwrap();
        let w = f64::from(fit.mixture.view().factors()[0]);
        assert!((w * w * variance - 1.0).abs() < 1e-6, "{offset}");
        assert_near(&wide(fit.mixture.view().means()), &[mean], 1e-4);
    }
}

#[test]
fn anti_annealing_is_continuous() {
    for t in 0..3000 {
        let step = anti_annealing(t + 1, 3000) - anti_annealing(t, 3000);
        assert!(step.abs() < 6e-4, "{t}");
    }
}

/// 100 normal densities of the plane in the unit square, 10000 rows, and the mean log-likelihood of the truth.
fn hundred_components<T: Real>() -> (Vec<f64>, f64) {
    const K: usize = 100;
    const N: usize = 10_000;
    let mut rng = random::stream(1, 0, 0, Purpose::DATA);
    let uniform = |rng: &mut Stream| random::uniform::<f64>(rng);
    // Dirichlet(5): sums of five exponential numbers.
    let weights: Vec<f64> = (0..K)
        .map(|_| (0..5).map(|_| -(1.0 - uniform(&mut rng)).ln()).sum())
        .collect();
    let mut truth = Mixture::new(
        Covariance::Full,
        K,
        2,
        vec![T::ZERO; params_len(Covariance::Full, K, 2)],
    )
    .unwrap();
    truth.set_weights(&narrow::<T>(&weights)).unwrap();
    let scaled = |x: f64| T::from_f64(x);
    for j in 0..K {
        let mean = [uniform(&mut rng), uniform(&mut rng)].map(scaled);
        let [a, b] = [0; 2].map(|_| (0.3 + 1.2 * uniform(&mut rng)) / 400.0);
        let (s, c) = (std::f64::consts::TAU * uniform(&mut rng)).sin_cos();
        let off = (a - b) * s * c;
        let sigma = [a * c * c + b * s * s, off, off, a * s * s + b * c * c].map(scaled);
        truth
            .set_component(j, &mean, &sigma, &mut [0.0; 8])
            .unwrap();
    }
    let mut data = vec![T::ZERO; 2 * N];
    for x in data.chunks_exact_mut(2) {
        truth
            .view()
            .sample_into(&mut rng, x, &mut [0.0; K])
            .unwrap();
    }
    let rows = MatrixRef::new(&data, N, 2).unwrap();
    let mean = truth
        .view()
        .mean_log_likelihood(rows, &mut [T::ZERO; K])
        .unwrap();
    (wide(&data), mean)
}

/// Means in the unit square, identity covariances, random weights.
fn hundred_alike<T: Real>(data: &[f64]) -> Fit<T> {
    let mut rng = random::stream(2, 0, 0, Purpose::INIT);
    let mut numbers = vec![0.0; 300];
    numbers.fill_with(|| random::uniform::<f64>(&mut rng));
    let (means, weights) = numbers.split_at(200);
    Fit::new(Covariance::Full, weights, means, 1.0, data, true)
}

fn published(seed: u64) -> Config {
    Config {
        reg_covar: 2.5e-5,
        ..Config::new(seed)
    }
}

/// Mean log-likelihoods when so many evaluations for each row have been spent.
fn curve<T: Real>(fit: &mut Fit<T>, config: &Config, budgets: &[u64]) -> Vec<f64> {
    budgets
        .iter()
        .map(|budget| {
            while fit.state.evaluations() < budget * 10_000 {
                fit.step(config).unwrap();
            }
            fit.mean_log_likelihood()
        })
        .collect()
}

#[test]
fn a_hundred_components_that_start_alike_separate_in_two_hundred_evaluations_a_row() {
    let (data, truth) = hundred_components::<f32>();
    assert!((0.03..0.12).contains(&truth), "{truth}");
    let mut fit = hundred_alike::<f32>(&data);
    let found = curve(&mut fit, &published(7), &[200]);
    assert!(found[0] > -0.02, "{found:?}");
    // Full EM has evaluated every component twice, and each still describes the whole.
    let mut exact = hundred_alike::<f32>(&data).mixture;
    let rows = narrow::<f32>(&data);
    let rows = MatrixRef::new(&rows, 10_000, 2).unwrap();
    let config = em::Config { reg_covar: 2.5e-5 };
    let mut scratch = vec![0.0; em::scratch_len(Covariance::Full, 10_000, 100, 2)];
    let mut evaluations = 0;
    while evaluations < 200 * 10_000 {
        let found = em::step(&config, &mut exact, rows, &mut scratch).unwrap();
        evaluations += found.evaluations;
    }
    let found = exact
        .view()
        .mean_log_likelihood(rows, &mut [0.0; 100])
        .unwrap();
    assert!(found < -0.35, "{found}");
}

#[test]
#[ignore = "takes ten seconds: cargo test --release -p thalweg --features alloc --test mixture -- --ignored --nocapture"]
fn the_table_of_evaluations_for_a_row() {
    let (data, truth) = hundred_components::<f64>();
    println!("truth {truth:.3}");
    let budgets = [25, 50, 100, 200];
    let slow = StepSize::Constant(0.02);
    let base = published(7);
    for (name, config, level) in [
        ("U M=2 .05", base, -0.02),
        (
            "U M=2 .02",
            Config {
                step_size: slow,
                ..base
            },
            -0.05,
        ),
        (
            "U M=1 .02",
            Config {
                step_size: slow,
                moves: 1,
                ..base
            },
            -0.05,
        ),
    ] {
        let mut fit = hundred_alike::<f64>(&data);
        let found = curve(&mut fit, &config, &budgets);
        println!("{name} {found:.3?}");
        assert!(found[3] > level, "{name}: {found:?}");
    }
    let reach = |config: &Config, most: u64| {
        let mut fit = hundred_alike::<f64>(&data);
        (1..=most).find(|budget| curve(&mut fit, config, &[*budget])[0] > -0.1)
    };
    let fast = reach(&base, 200).unwrap();
    let all = Config {
        proposal: Proposal::All,
        ..base
    };
    let mut fit = hundred_alike::<f64>(&data);
    println!("SAEM .05 {:.3?}", curve(&mut fit, &all, &budgets));
    let never = curve(&mut fit, &all, &[15 * fast]);
    println!(
        "-0.1 by U after {fast}; SAEM after {} has {never:.3?}",
        15 * fast
    );
    assert!(never[0] < -0.1);
    let mut fit = hundred_alike::<f64>(&data);
    let posterior = Config {
        proposal: Proposal::Posterior,
        ..base
    };
    println!("MCSAEM .05 {:.3?}", curve(&mut fit, &posterior, &budgets));
    let mut exact = hundred_alike::<f64>(&data).mixture;
    let rows = MatrixRef::new(&data, 10_000, 2).unwrap();
    let config = em::Config { reg_covar: 2.5e-5 };
    let mut scratch = vec![0.0; em::scratch_len(Covariance::Full, 10_000, 100, 2)];
    let mut evaluations = 0;
    while evaluations < 1000 * 10_000 {
        let found = em::step(&config, &mut exact, rows, &mut scratch).unwrap();
        evaluations += found.evaluations;
    }
    let found = exact
        .view()
        .mean_log_likelihood(rows, &mut [0.0; 100])
        .unwrap();
    println!("EM at 1000 {found:.3}");
    assert!(found < -0.35, "{found}");
}
