//! Particle samplers against closed forms: one particle, symmetries, full metrics, edge cases, discrepancies.
//!
//! Formulas against NumPy, quadratures, dissipation and the affine kernel are next to the algorithms.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in helpers too"
)]

use thalweg::pairs::Family;
use thalweg::particle::bandwidth::Bandwidth;
use thalweg::particle::momentum::{State, Thermostats};
use thalweg::particle::stein::general::{self, Recipe, direction_into, scratch_len};
use thalweg::particle::stein::{self, ExtendedBandwidth};
use thalweg::particle::{
    Evaluated, Particles, ksd, langevin, matrix_svgd, mmd, sghmc, sgnht, svgd,
};
use thalweg::random::{NoiseStream, Purpose, normal, stream};
use thalweg::{Error, matrix::MatrixRef};

fn draws(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = stream(seed, 0, 0, Purpose::INIT);
    (0..len).map(|_| normal(&mut rng)).collect()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{i}: {a} against {b}");
    }
}

/// What a step of length 1 adds to positions and momenta; the positions move by the momenta from before.
fn sghmc_fields(
    friction: f64,
    bandwidth: ExtendedBandwidth,
    d: usize,
    x: &[f64],
    r: &[f64],
    g: &[f64],
) -> [Vec<f64>; 2] {
    let config = stein::sghmc::Config {
        friction,
        bandwidth,
        ..stein::sghmc::Config::new(1.0)
    };
    let mut scratch = vec![f64::NAN; config.scratch_len(x.len() / d, d)];
    let (mut moved, mut momenta) = (x.to_vec(), r.to_vec());
    let mut state = State::from_storage(&mut momenta[..]);
    stein::sghmc::drift(&config, &state, Particles::new(d, &mut moved), &mut scratch).unwrap();
    stein::sghmc::kick(&config, &mut state, d, x, g, &mut scratch).unwrap();
    let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
    [less(&moved, x), less(&momenta, r)]
}

fn svgd_field(config: &svgd::Config, d: usize, x: &[f64], g: &[f64]) -> Vec<f64> {
    let (mut out, mut scratch) = (
        vec![f64::NAN; x.len()],
        vec![f64::NAN; config.scratch_len(x.len() / d, d)],
    );
    svgd::direction_into(config, d, x, g, &mut out, &mut scratch).unwrap();
    out
}

/// Rows of `x` in another order.
fn permuted(d: usize, x: &[f64]) -> Vec<f64> {
    let n = x.len() / d;
    (0..n)
        .flat_map(|i| x[(i * 7 + 3) % n * d..][..d].to_vec())
        .collect()
}

#[test]
fn one_particle_moves_by_the_drift_of_sghmc() {
    // p = exp(-theta^2 - r^2/2) at (0.3, -0.4), friction 0.7: (r, -2 theta - 0.7 r) = (-0.4, -0.32).
    let [drift, kick] = sghmc_fields(
        0.7,
        ExtendedBandwidth::default(),
        1,
        &[0.3],
        &[-0.4],
        &[-0.6],
    );
    assert_near(&[drift[0], kick[0]], &[-0.4, -0.32], 1e-15);
}

#[test]
fn one_particle_moves_by_the_drift_of_sgnht() {
    // d = 2: momenta by -grad U - xi r, then positions by the new momenta, thermostats by |r|^2/2 - 1.
    let config = stein::sghmc::Config {
        friction: 0.7,
        ..stein::sghmc::Config::new(1e-3)
    };
    let mut state = Thermostats::from_storage([0.4, -1.2], [0.9]);
    let (mut x, mut scratch) = (
        [0.5, 0.25],
        vec![0.0; stein::sgnht::scratch_len(&config, 1, 2)],
    );
    stein::sgnht::step(
        &config,
        &mut state,
        Particles::new(2, &mut x),
        &[-2.0, 3.0],
        &mut scratch,
    )
    .unwrap();
    let r = [0.4 + 1e-3 * (-2.0 - 0.36), -1.2 + 1e-3 * (3.0 + 1.08)];
    assert_near(state.momentum(), &r, 1e-15);
    assert_near(&x, &[0.5 + 1e-3 * r[0], 0.25 + 1e-3 * r[1]], 1e-9);
    let square = 0.5 * (r[0] * r[0] + r[1] * r[1]) - 1.0;
    assert_near(state.thermostat(), &[0.9 + 1e-3 * square], 1e-9);
}

#[test]
fn permuted_particles_have_permuted_fields_of_sghmc() {
    let [x, r, g] = [1, 2, 3].map(|seed| draws(seed, 38));
    let expected =
        sghmc_fields(0.7, ExtendedBandwidth::default(), 2, &x, &r, &g).map(|f| permuted(2, &f));
    let found = sghmc_fields(
        0.7,
        ExtendedBandwidth::default(),
        2,
        &permuted(2, &x),
        &permuted(2, &r),
        &permuted(2, &g),
    );
    // Particles feel each other: positions do not move by a share of their own momenta alone.
    let own = permuted(2, &r).iter().map(|r| r / 19.0).collect::<Vec<_>>();
    assert!(
        own.iter()
            .zip(&expected[0])
            .any(|(a, b)| (a - b).abs() > 0.1)
    );
    for (found, expected) in found.iter().zip(&expected) {
        assert_near(found, expected, 1e-13);
    }
}

#[test]
fn repulsion_keeps_the_mean_of_many_particles() {
    // More than one block of pairs, so that half of the kernel comes from its symmetry.
    let x = draws(4, 450 * 3);
    for family in [Family::Rbf, Family::Imq] {
        let config = svgd::Config {
            family,
            bandwidth: Bandwidth::Fixed(2.0),
            ..svgd::Config::new(1.0)
        };
        let phi = svgd_field(&config, 3, &x, &vec![0.0; x.len()]);
        assert!(phi.iter().any(|f| f.abs() > 1e-2));
        for c in 0..3 {
            let sum: f64 = phi.iter().skip(c).step_by(3).sum();
            assert!(sum.abs() < 1e-12, "{family:?} {c}: {sum}");
        }
    }
    let zero = vec![0.0; x.len()];
    let [drift, _] = sghmc_fields(1.0, ExtendedBandwidth::default(), 3, &x, &zero, &zero);
    assert_near(&drift, &zero, 0.0);
}

#[test]
fn few_particles_in_many_dimensions_rest_at_a_simplex_of_too_small_a_variance() {
    // N(0, I) and n <= d + 1: v = (n - 1)/n h/(2 d) ln(1 + 2 n/h), and h = 2 under the median rule.
    let fixed = |n: f64, d: f64, h: f64| (n - 1.0) / n * h / (2.0 * d) * (1.0 + 2.0 * n / h).ln();
    for (n, d, h) in [
        (5, 10, None),
        (20, 20, None),
        (21, 20, None),
        (8, 30, Some(20.0)),
    ] {
        let bandwidth = h.map_or(Bandwidth::default(), Bandwidth::Fixed);
        let config = svgd::Config {
            bandwidth,
            ..svgd::Config::new(0.5)
        };
        let (mut x, mut scratch) = (draws(7, n * d), vec![0.0; config.scratch_len(n, d)]);
        let mut last = 0.0;
        for _ in 0..3000 {
            let g: Vec<f64> = x.iter().map(|x| -x).collect();
            let mut none = svgd::State::<[f64; 0]>::new();
            let found = svgd::step(
                &config,
                &mut none,
                Particles::new(d, &mut x),
                &g,
                &mut scratch,
            )
            .unwrap();
            last = found.h;
        }
        assert!((last - h.unwrap_or(2.0)).abs() < 1e-9, "{n} {d}: {last}");
        let found = x.iter().map(|x| x * x).sum::<f64>() / (n * d) as f64;
        let expected = fixed(n as f64, d as f64, last);
        assert!(
            (found / expected - 1.0).abs() < 1e-9,
            "{n} {d}: {found} {expected}"
        );
        for c in 0..d {
            let mean = x.iter().skip(c).step_by(d).sum::<f64>() / n as f64;
            assert!(mean.abs() < 1e-9, "{n} {d} {c}: {mean}");
        }
    }
}

#[test]
fn many_particles_have_the_field_of_the_double_loop() {
    let (n, d, h) = (403, 5, 3.0);
    let (x, g) = (draws(5, n * d), draws(6, n * d));
    let config = svgd::Config {
        bandwidth: Bandwidth::Fixed(h),
        ..svgd::Config::new(1.0)
    };
    let phi = svgd_field(&config, d, &x, &g);
    for i in (0..n).step_by(67) {
        let mut expected = vec![0.0; d];
        for j in 0..n {
            let delta: Vec<f64> = (0..d).map(|c| x[i * d + c] - x[j * d + c]).collect();
            let k = (-delta.iter().map(|a| a * a).sum::<f64>() / h).exp() / n as f64;
            for c in 0..d {
                expected[c] += k * (g[j * d + c] + 2.0 / h * delta[c]);
            }
        }
        assert_near(&phi[i * d..][..d], &expected, 1e-14);
    }
}

/// A metric of rank two everywhere: `G^-1(t) = I + 0.5 sin(t_0 + t_1) [[0, 1], [1, 0]]`, and its divergence.
struct FullMetric {
    has_divergence: bool,
}

impl Recipe<f64> for FullMetric {
    fn apply(&self, z: &[f64], v: &[f64], out: &mut [f64]) {
        let s = 0.5 * (z[0] + z[1]).sin();
        (out[0], out[1]) = (v[0] + s * v[1], s * v[0] + v[1]);
    }
    fn add_divergence(&self, z: &[f64], out: &mut [f64]) {
        if self.has_divergence {
            let slope = 0.5 * (z[0] + z[1]).cos();
            (out[0], out[1]) = (out[0] + slope, out[1] + slope);
        }
    }
}

#[test]
fn a_full_metric_satisfies_the_stein_identity() {
    // Under N(0, I) the field of Stein Riemannian Langevin dynamics vanishes: trapezium rule, each source paired with z0.
    let mean = |recipe: &FullMetric| {
        let (at, h) = ([0.4, -0.7], 1.1);
        let (mut sum, mut mass, mut scratch) = ([0.0; 2], 0.0, vec![0.0; scratch_len(2, 2)]);
        let mut field = |cloud: &[f64]| {
            let gradients: Vec<f64> = cloud.iter().map(|x| -x).collect();
            let mut phi = vec![0.0; cloud.len()];
            direction_into(
                &general::Config::new(2, h),
                recipe,
                cloud,
                &gradients,
                &mut phi,
                &mut scratch,
            )
            .unwrap();
            [phi[0], phi[1]]
        };
        let own = field(&at);
        for i in 0..161 {
            for j in 0..161 {
                let z = [i, j].map(|i| -8.0 + 0.1 * f64::from(i));
                let p = (-0.5 * (z[0] * z[0] + z[1] * z[1])).exp();
                let pair = field(&[at[0], at[1], z[0], z[1]]);
                mass += p;
                for c in 0..2 {
                    sum[c] += p * (2.0 * pair[c] - own[c]);
                }
            }
        }
        sum.map(|s| s / mass)
    };
    let found = mean(&FullMetric {
        has_divergence: true,
    });
    assert!(found.iter().all(|f| f.abs() < 1e-14), "{found:?}");
    let found = mean(&FullMetric {
        has_divergence: false,
    });
    assert!(found.iter().all(|f| f.abs() > 0.01), "{found:?}");
}

/// `S = diag(1 + z_a^2)^(-1/2)` of SGRHMC on (theta, r) in two dimensions.
struct Sgrhmc;

impl Recipe<f64> for Sgrhmc {
    fn apply(&self, z: &[f64], v: &[f64], out: &mut [f64]) {
        for c in 0..2 {
            let s = 1.0 / (1.0 + z[c] * z[c]).sqrt();
            (out[c], out[2 + c]) = (-s * v[2 + c], s * v[c] + s * s * v[2 + c]);
        }
    }
    fn add_divergence(&self, z: &[f64], out: &mut [f64]) {
        for c in 0..2 {
            out[2 + c] -= z[c] * (1.0 + z[c] * z[c]).powf(-1.5);
        }
    }
}

#[test]
fn sgrhmc_is_two_directions_of_the_general_update() {
    // A sampler with a full metric is written like this: momenta by one direction, positions by the next.
    let (n, eps, h) = (9, 0.1, 4.0);
    let [mut x, mut r, g] = [1, 2, 3].map(|seed| draws(seed, 2 * n));
    let (mut general_x, mut general_r) = (x.clone(), r.clone());
    for half in 0..2 {
        let join = |a: &[f64], b: &[f64], sign: f64| -> Vec<f64> {
            let rows = a.chunks(2).zip(b.chunks(2));
            rows.flat_map(|(a, b)| [a[0], a[1], sign * b[0], sign * b[1]])
                .collect()
        };
        let (z, gradients) = (
            join(&general_x, &general_r, 1.0),
            join(&g, &general_r, -1.0),
        );
        let (mut phi, mut scratch) = (vec![0.0; 4 * n], vec![0.0; scratch_len(n, 4)]);
        direction_into(
            &general::Config::new(4, h),
            &Sgrhmc,
            &z,
            &gradients,
            &mut phi,
            &mut scratch,
        )
        .unwrap();
        for (i, phi) in phi.chunks(4).enumerate() {
            for c in 0..2 {
                if half == 0 {
                    general_r[2 * i + c] += eps * phi[2 + c];
                } else {
                    general_x[2 * i + c] += eps * phi[c];
                }
            }
        }
    }
    let config = stein::sghmc::Config {
        bandwidth: ExtendedBandwidth::Joint(Bandwidth::Fixed(h)),
        ..stein::sghmc::Config::new(eps)
    };
    let metric: Vec<f64> = x.iter().map(|x| 1.0 / (1.0 + x * x).sqrt()).collect();
    let divergence: Vec<f64> = x.iter().map(|x| -x * (1.0 + x * x).powf(-1.5)).collect();
    let mut scratch = vec![0.0; stein::sgrhmc::scratch_len(&config, n, 2)];
    let mut state = State::from_storage(&mut r[..]);
    stein::sgrhmc::step(
        &config,
        &mut state,
        Particles::new(2, &mut x),
        &Evaluated {
            scores: &g,
            metric: &metric,
            divergence: &divergence,
        },
        &mut scratch,
    )
    .unwrap();
    assert_near(&x, &general_x, 1e-14);
    assert_near(&r, &general_r, 1e-14);
    // Particles feel each other: more than a share of their own momenta, scaled by the metric.
    let (start, n) = (draws(1, 2 * n), n as f64);
    let own = r.iter().zip(&metric).map(|(r, s)| eps / n * s * r);
    assert!(
        own.zip(x.iter().zip(&start))
            .any(|(own, (x, from))| (x - from - own).abs() > 1e-3)
    );
}

#[test]
fn equal_particles_stay_equal_in_every_interacting_sampler() {
    let (n, d) = (6, 2);
    let (start, momenta) = ([5.0, -3.0].repeat(n), [0.25, 0.5].repeat(n));
    let g = [1.0, -2.0].repeat(n);
    let config = stein::sghmc::Config::new(0.1);
    let mut scratch = vec![0.0; stein::sgnht::scratch_len(&config, n, d)];
    let (mut x, mut r) = (start.clone(), momenta.clone());
    let mut state = State::from_storage(&mut r[..]);
    let found = stein::sghmc::step(
        &config,
        &mut state,
        Particles::new(d, &mut x),
        &g,
        &mut scratch,
    )
    .unwrap();
    assert!(found.is_floored);
    // One particle's step: r + eps (g - r), x + eps r.
    let moved = [0.25 + 0.1 * 0.75, 0.5 - 0.1 * 2.5];
    assert_near(&r, &moved.repeat(n), 1e-14);
    assert_near(
        &x,
        &[5.0 + 0.1 * moved[0], -3.0 + 0.1 * moved[1]].repeat(n),
        1e-14,
    );
    let mut state = Thermostats::from_storage(momenta, vec![1.0; n]);
    let mut x = start;
    assert!(
        stein::sgnht::step(
            &config,
            &mut state,
            Particles::new(d, &mut x),
            &g,
            &mut scratch
        )
        .unwrap()
        .is_floored
    );
    assert!(x != [5.0, -3.0].repeat(n) && x.chunks(d).all(|row| row == &x[..d]));
}

#[test]
fn a_bad_score_names_its_particle_in_every_sampler() {
    let (n, d) = (5, 2);
    let (x, ones, mut g) = (draws(1, n * d), vec![1.0; n * d], draws(3, n * d));
    g[7] = f64::NAN;
    let (svgd, stein) = (svgd::Config::new(0.1), stein::sghmc::Config::new(0.1));
    let chain = sghmc::Config {
        step_size: 0.1,
        friction: 1.0,
    };
    let mut lanes = NoiseStream::new(&mut stream(1, 0, 0, Purpose::NOISE));
    let unmoved = lanes.clone();
    let mut scratch = vec![0.0; 4000];
    let none = || svgd::State::<[f64; 0]>::new();
    let room = &mut scratch[..];
    let momenta = || State::from_storage(draws(2, n * d));
    let heat = || Thermostats::from_storage(draws(2, n * d), vec![1.0; n]);
    let eye = [1.0, 0.0, 0.0, 1.0];
    let eye = MatrixRef::new(&eye, d, d).unwrap();
    let y = &mut x.clone()[..];
    let answers: [(&str, Result<(), Error>); 9] = [
        (
            "svgd",
            svgd::step(&svgd, &mut none(), Particles::new(d, y), &g, room).map(drop),
        ),
        (
            "matrix_svgd",
            matrix_svgd::step(&svgd, &mut none(), eye, y, &g, room).map(drop),
        ),
        (
            "stein rld",
            stein::riemannian::step(
                &svgd,
                &mut none(),
                Particles::new(d, y),
                &Evaluated {
                    scores: &g,
                    metric: &ones,
                    divergence: &ones,
                },
                room,
            )
            .map(drop),
        ),
        (
            "stein sghmc",
            stein::sghmc::step(&stein, &mut momenta(), Particles::new(d, y), &g, room).map(drop),
        ),
        (
            "stein sgrhmc",
            stein::sgrhmc::step(
                &stein,
                &mut momenta(),
                Particles::new(d, y),
                &Evaluated {
                    scores: &g,
                    metric: &ones,
                    divergence: &ones,
                },
                room,
            )
            .map(drop),
        ),
        (
            "stein sgnht",
            stein::sgnht::step(&stein, &mut heat(), Particles::new(d, y), &g, room).map(drop),
        ),
        (
            "langevin",
            langevin::step(0.1, Particles::new(d, y), &g, &mut lanes, room),
        ),
        (
            "sghmc",
            sghmc::step(
                &chain,
                &mut momenta(),
                Particles::new(d, y),
                &g,
                &mut lanes,
                room,
            ),
        ),
        (
            "sgnht",
            sgnht::step(
                &chain,
                &mut heat(),
                Particles::new(d, y),
                &g,
                &mut lanes,
                room,
            ),
        ),
    ];
    for (name, answer) in answers {
        assert_eq!(
            answer,
            Err(Error::NonFinite {
                name: "scores",
                at: thalweg::At::Particle(3)
            }),
            "{name}"
        );
    }
    assert_eq!((y, lanes), (&mut x.clone()[..], unmoved));
}

#[test]
fn a_seed_fixes_every_bit_of_a_chain_and_no_noise_is_drawn_without_friction() {
    let run = |seed: u64, friction: f64| {
        let mut lanes = NoiseStream::new(&mut stream(seed, 0, 0, Purpose::NOISE));
        let mut state = State::from_storage(draws(9, 20));
        let (mut x, mut scratch) = (draws(8, 20), [0.0; 20]);
        let config = sghmc::Config {
            step_size: 0.1,
            friction,
        };
        for _ in 0..10 {
            let g: Vec<f64> = x.iter().map(|x| -x).collect();
            sghmc::step(
                &config,
                &mut state,
                Particles::new(2, &mut x),
                &g,
                &mut lanes,
                &mut scratch,
            )
            .unwrap();
        }
        x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(run(1, 1.0), run(1, 1.0));
    assert_ne!(run(1, 1.0), run(2, 1.0));
    assert_eq!(run(1, 0.0), run(2, 0.0));
}

#[test]
fn the_stein_kernel_has_the_diagonal_of_its_formula_and_the_published_terms() {
    // At x = y with c = 1 and beta = -1/2: |g|^2 + d.
    let found = ksd::squared(&ksd::Config::IMQ, 3, &[0.3, -2.0, 7.0], &[1.0, 2.0, -0.5]).unwrap();
    assert!((found.v - (5.25 + 3.0)).abs() < 1e-14, "{found:?}");
    // u(x, y) with its derivatives written out, q = c^2 + |x - y|^2.
    let u = |x: [f64; 2], gx: [f64; 2], y: [f64; 2], gy: [f64; 2]| {
        let (beta, d) = (-0.5, 2.0);
        let delta = [x[0] - y[0], x[1] - y[1]];
        let r2 = delta[0] * delta[0] + delta[1] * delta[1];
        let q: f64 = 1.0 + r2;
        let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
        let slope = delta.map(|a| 2.0 * beta * q.powf(beta - 1.0) * a);
        q.powf(beta) * dot(gx, gy) - dot(gx, slope) + dot(gy, slope)
            - 2.0 * beta * d * q.powf(beta - 1.0)
            - 4.0 * beta * (beta - 1.0) * q.powf(beta - 2.0) * r2
    };
    let (x, g) = (draws(1, 16), draws(2, 16));
    let at = |x: &[f64], i: usize| [x[2 * i], x[2 * i + 1]];
    let pairs = (0..8).flat_map(|i| (0..8).map(move |j| (i, j)));
    let all: f64 = pairs
        .map(|(i, j)| u(at(&x, i), at(&g, i), at(&x, j), at(&g, j)))
        .sum();
    let own: f64 = (0..8)
        .map(|i| u(at(&x, i), at(&g, i), at(&x, i), at(&g, i)))
        .sum();
    let found = ksd::squared(&ksd::Config::IMQ, 2, &x, &g).unwrap();
    assert!((found.v - all / 64.0).abs() < 1e-14 && found.v >= 0.0);
    assert!((found.u - (all - own) / 56.0).abs() < 1e-14);
}

#[test]
fn exact_draws_have_the_floor_of_the_discrepancy() {
    // E k = (1 + 4/h)^(-1/2) between draws of N(0, 1); the V-statistic of n against N is (1 - E k) (1/n + 1/N) on average.
    let (h, n, many) = (2.0, 25, 400);
    let reference = draws(11, many);
    let mut sum = 0.0;
    for seed in 0..200 {
        let sample = draws(100 + seed, many);
        let reference = mmd::Reference::new(1, &sample, h).unwrap();
        sum += reference.squared(&draws(1000 + seed, n)).unwrap() / 200.0;
    }
    let floor = (1.0 - 1.0 / (1.0 + 4.0 / h).sqrt()) * (1.0 / n as f64 + 1.0 / many as f64);
    assert!((sum / floor - 1.0).abs() < 0.2, "{sum} {floor}");
    let reference = mmd::Reference::new(1, &reference, h).unwrap();
    assert!(reference.squared(&vec![10.0; n]).unwrap() > 1.0);
}
