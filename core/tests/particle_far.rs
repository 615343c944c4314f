//! Clouds that are not of one piece: a lost particle, a lost pair, two clusters far apart, a common offset.
//!
//! Expected are double loops over pairs in `f64`, by differences, with the median of a sort. The particles that were not lost must not
//! notice, in either scalar type and in every interacting sampler.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in helpers too"
)]

use thalweg::matrix::MatrixRef;
use thalweg::pairs::{Executor, Family, KernelSum};
use thalweg::particle::bandwidth::{Bandwidth, median_squared_distance};
use thalweg::particle::momentum::{State, Thermostats};
use thalweg::particle::stein::general::{self, Recipe, direction_into, scratch_len};
use thalweg::particle::stein::{self, ExtendedBandwidth};
use thalweg::particle::{Evaluated, Particles, matrix_svgd, rule, svgd};
use thalweg::random::{Purpose, normal, stream};
use thalweg::{Arithmetic, Error, Real};

const D: usize = 2;

fn draws<T: Real>(seed: u64, len: usize) -> Vec<T> {
    let mut rng = stream(seed, 0, 0, Purpose::INIT);
    // Through f32, so that both types hold the same numbers.
    (0..len)
        .map(|_| T::from_f64(f64::from(normal::<f32>(&mut rng))))
        .collect()
}

fn wide<T: Real>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.to_f64()).collect()
}

/// `max(1e-8, median / ln(n + 1))` over all ordered pairs.
fn bandwidth(x: &[f64]) -> f64 {
    let mut all: Vec<f64> = x
        .chunks(D)
        .flat_map(|a| x.chunks(D).map(move |b| squared(a, b)))
        .collect();
    all.sort_by(f64::total_cmp);
    let half = all.len() / 2;
    let median = if all.len() % 2 == 1 {
        all[half]
    } else {
        f64::midpoint(all[half - 1], all[half])
    };
    (median / ((x.len() / D) as f64 + 1.0).ln()).max(1e-8)
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The field of SVGD.
fn phi(family: Family, h: f64, x: &[f64], g: &[f64]) -> Vec<f64> {
    let n = (x.len() / D) as f64;
    let mut out = vec![0.0; x.len()];
    for (out, a) in out.chunks_mut(D).zip(x.chunks(D)) {
        for (b, g) in x.chunks(D).zip(g.chunks(D)) {
            let q = squared(a, b);
            let (k, l) = match family {
                Family::Rbf => ((-q / h).exp(), 2.0 / h * (-q / h).exp()),
                Family::Imq => ((1.0 + q / h).powf(-0.5), (1.0 + q / h).powf(-1.5) / h),
            };
            for c in 0..D {
                out[c] += (k * g[c] + l * (a[c] - b[c])) / n;
            }
        }
    }
    out
}

/// Shapes of a cloud of 20 whose last ones are `far` away, and how many those are.
fn clouds<T: Real>(far: f64) -> Vec<(&'static str, Vec<T>, usize)> {
    let cloud = |name, lost: usize| {
        let mut x = draws::<T>(3, 20 * D);
        for x in x.iter_mut().skip((20 - lost) * D) {
            *x += T::from_f64(far);
        }
        (name, x, lost)
    };
    let mut offset = cloud("offset", 20);
    offset.2 = 0;
    vec![
        cloud("one piece", 0),
        offset,
        cloud("one lost", 1),
        cloud("a pair lost", 2),
        cloud("a group lost", 7),
        cloud("two clusters", 10),
    ]
}

/// The direction of SVGD in `T`, its bandwidth, and whether the floor decided.
fn direction<T: Real>(config: &svgd::Config, x: &[T], g: &[T]) -> (Vec<T>, f64, bool) {
    let mut out = vec![T::NAN; x.len()];
    let mut scratch = vec![T::NAN; config.scratch_len(x.len() / D, D)];
    let found = svgd::direction_into(config, D, x, g, &mut out, &mut scratch).unwrap();
    (out, found.h.to_f64(), found.is_floored)
}

fn fields_are_those_of_differences<T: Real>(distances: &[f64], tolerance: f64) {
    for &far in distances {
        for (name, x, _) in clouds::<T>(far) {
            // Scores of a standard normal density around the nearer of 0 and `far`: of size 1, so that all of the field is seen.
            let near = |x: &T| if x.to_f64() > far / 2.0 { far } else { 0.0 };
            let g: Vec<T> = x.iter().map(|x| T::from_f64(near(x)) - *x).collect();
            for family in [Family::Rbf, Family::Imq] {
                let config = svgd::Config {
                    family,
                    ..svgd::Config::new(0.1)
                };
                let (found, h, is_floored) = direction(&config, &x, &g);
                let (x, g) = (wide(&x), wide(&g));
                let expected = bandwidth(&x);
                assert!(
                    (h / expected - 1.0).abs() < tolerance && !is_floored,
                    "{name} {far}: h {h} against {expected}"
                );
                for (i, (found, expected)) in found.iter().zip(phi(family, h, &x, &g)).enumerate() {
                    assert!(
                        (found.to_f64() - expected).abs() < tolerance,
                        "{name} {far} {family:?} {i}: {found} against {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn bandwidth_and_field_of_svgd_are_those_of_differences_in_single_precision() {
    fields_are_those_of_differences::<f32>(
        &[1.0, 10.0, 15.0, 30.0, 100.0, 1e3, 1e4, 3e4, 1e5, 3e5, 1e6],
        // Near the change of method the Gram matrix errs by 2^10 m u = 1.2e-4 at the very worst.
        5e-5,
    );
}

#[test]
fn bandwidth_and_field_of_svgd_are_those_of_differences_in_double_precision() {
    fields_are_those_of_differences::<f64>(
        &[1.0, 10.0, 15.0, 30.0, 100.0, 1e4, 1e6, 1e8, 1e9, 1e12],
        1e-12,
    );
}

#[test]
fn a_lost_particle_leaves_the_bits_of_the_others_alone_however_far_it_is() {
    // Up to where not even the mean of the cloud is finite.
    let run = |far: f32| {
        let mut x = draws::<f32>(5, 20 * D);
        x[0] = far;
        let g: Vec<f32> = x.iter().map(|x| -x).collect();
        let (field, h, is_floored) = direction(&svgd::Config::new(0.1), &x, &g);
        assert!(!is_floored && field[0] == -far / 20.0, "{far}");
        (field[D..].to_vec(), h)
    };
    let expected = run(1e3);
    for far in [1e4, 1e5, 1e6, 1e12, 1e19, 1e25, 3.4e38] {
        assert_eq!(run(far), expected, "{far}");
    }
}

#[test]
fn a_step_moves_the_others_as_if_nothing_were_lost() {
    let mut x = draws::<f32>(5, 20 * D);
    x[0] = 3e5;
    let before = x.clone();
    let g: Vec<f32> = x.iter().map(|x| -x).collect();
    let config = svgd::Config::new(0.1);
    let mut scratch = vec![0.0; config.scratch_len(20, D)];
    let mut state = svgd::State::<[f32; 0]>::new();
    svgd::step(
        &config,
        &mut state,
        Particles::new(D, &mut x),
        &g,
        &mut scratch,
    )
    .unwrap();
    for (x, before) in x.iter().zip(&before).skip(D) {
        assert!((x - before).abs() < 0.1, "{before} to {x}");
    }
}

/// One row of the sums after another.
struct RowByRow;

impl<T: Real> Executor<T> for RowByRow {
    fn sums_into(
        &mut self,
        sources: &KernelSum<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let mut rows = out.chunks_exact_mut(sources.columns()).enumerate();
        rows.try_for_each(|(i, out)| sources.sum_rows_into(i..i + 1, out, scratch))
    }
}

#[test]
fn scratch_and_rows_leave_the_bits_alone() {
    let mut x = draws::<f32>(5, 300 * D);
    x.iter_mut().take(5).for_each(|x| *x += 1e5);
    let g = draws::<f32>(6, 300 * D);
    for family in [Family::Rbf, Family::Imq] {
        let config = svgd::Config {
            family,
            ..svgd::Config::new(0.1)
        };
        let (least, most) = (config.least_scratch_len(300, D), config.scratch_len(300, D));
        let mut expected = None;
        for len in [least, least + 1000, most] {
            for is_by_row in [false, true] {
                let (mut y, mut scratch) = (x.clone(), vec![f32::NAN; len]);
                let mut state = svgd::State::<[f32; 0]>::new();
                if is_by_row {
                    let executor = &mut RowByRow;
                    svgd::step_with(
                        executor,
                        &config,
                        &mut state,
                        Particles::new(D, &mut y),
                        &g,
                        &mut scratch,
                    )
                } else {
                    svgd::step(
                        &config,
                        &mut state,
                        Particles::new(D, &mut y),
                        &g,
                        &mut scratch,
                    )
                }
                .unwrap();
                let expected = expected.get_or_insert_with(|| y.clone());
                assert!(*expected == y, "{family:?} {len} {is_by_row}");
            }
        }
    }
}

/// `S = (1 + theta^2)^(-1/2)` of SGRHMC in one dimension, or friction alone.
struct Metric(bool);

impl<T: Real> Recipe<T> for Metric {
    fn apply(&self, z: &[T], v: &[T], out: &mut [T]) {
        let s = if self.0 {
            T::ONE
        } else {
            (T::ONE + z[0] * z[0]).powf(T::from_f64(-0.5))
        };
        (out[0], out[1]) = (-(s * v[1]), s * v[0] + s * s * v[1]);
    }
    fn is_constant(&self) -> bool {
        self.0
    }
}

/// Positions, momenta and thermostats after a step of every interacting sampler.
fn every_sampler<T: Real>(x: &[T], lost: usize) -> Vec<(&'static str, Vec<f64>)> {
    let n = x.len() / D;
    // Scores that know the clusters.
    let mut g = draws::<T>(8, x.len());
    let (r, mut s) = (draws::<T>(9, x.len()), draws::<T>(10, x.len()));
    s.iter_mut().for_each(|s| *s = T::ONE + s.abs());
    let gamma = draws::<T>(11, x.len());
    g.iter_mut().zip(&gamma).for_each(|(g, gamma)| *g += *gamma);
    let room = &mut [T::NAN; 40_000][..];
    let mut out = Vec::new();
    let less = |after: &[T]| -> Vec<f64> {
        let kept = (n - lost) * D;
        after.iter().take(kept).map(|x| x.to_f64()).collect()
    };
    let config = svgd::Config {
        rule: rule::Rule::Constant,
        ..svgd::Config::new(0.1)
    };
    let none = || svgd::State::from_storage(Vec::new());
    let factor = [1.5, 0.0, -0.25, 0.5].map(T::from_f64);
    let factor = MatrixRef::new(&factor, D, D).unwrap();
    let mut y = x.to_vec();
    matrix_svgd::step(&config, &mut none(), factor, &mut y, &g, room).unwrap();
    out.push(("matrix svgd", less(&y)));
    let mut y = x.to_vec();
    stein::riemannian::step(
        &config,
        &mut none(),
        Particles::new(D, &mut y),
        &Evaluated {
            scores: &g,
            metric: &s,
            divergence: &gamma,
        },
        room,
    )
    .unwrap();
    out.push(("riemannian", less(&y)));
    let median = Bandwidth::median(2.0);
    for bandwidth in [
        ExtendedBandwidth::default(),
        ExtendedBandwidth::Product {
            position: median,
            momentum: median,
        },
    ] {
        let config = stein::sghmc::Config {
            bandwidth,
            ..stein::sghmc::Config::new(0.1)
        };
        let (mut y, mut state) = (x.to_vec(), State::from_storage(r.clone()));
        stein::sghmc::step(&config, &mut state, Particles::new(D, &mut y), &g, room).unwrap();
        out.push(("sghmc", less(&y)));
        out.push(("sghmc momenta", less(state.momentum())));
        let (mut y, mut state) = (x.to_vec(), State::from_storage(r.clone()));
        stein::sgrhmc::step(
            &config,
            &mut state,
            Particles::new(D, &mut y),
            &Evaluated {
                scores: &g,
                metric: &s,
                divergence: &gamma,
            },
            room,
        )
        .unwrap();
        out.push(("sgrhmc", less(&y)));
        out.push(("sgrhmc momenta", less(state.momentum())));
    }
    let config = stein::sghmc::Config::new(0.1);
    let (mut y, mut state) = (x.to_vec(), Thermostats::from_storage(r, vec![T::ONE; n]));
    stein::sgnht::step(&config, &mut state, Particles::new(D, &mut y), &g, room).unwrap();
    out.push(("sgnht", less(&y)));
    out.push(("sgnht momenta", less(state.momentum())));
    let thermostats = state.thermostat().iter().take(n - lost);
    out.push((
        "sgnht thermostats",
        thermostats.map(|x| x.to_f64()).collect(),
    ));
    for recipe in [Metric(true), Metric(false)] {
        let mut y = vec![T::NAN; x.len()];
        let h = T::from_f64(2.0);
        let mut room = vec![T::NAN; scratch_len(n, D)];
        direction_into(
            &general::Config::new(D, h),
            &recipe,
            x,
            &g,
            &mut y,
            &mut room,
        )
        .unwrap();
        out.push(("general", less(&y)));
    }
    out
}

#[test]
fn no_sampler_lets_what_is_lost_disturb_the_others() {
    for far in [1e3, 1e5, 1e6] {
        for ((name, x, lost), (_, wide, _)) in
            clouds::<f32>(far).into_iter().zip(clouds::<f64>(far))
        {
            if name == "offset" {
                // Images of an offset are rounded where it is; see below.
                continue;
            }
            // The f64 cloud holds the numbers of the f32 one.
            let exact: Vec<f64> = wide.iter().zip(&x).map(|(_, x)| f64::from(*x)).collect();
            let found = every_sampler(&x, lost);
            for ((what, found), (_, expected)) in found.iter().zip(every_sampler(&exact, lost)) {
                for (found, expected) in found.iter().zip(&expected) {
                    assert!(
                        (found - expected).abs() < 1e-5,
                        "{name} {far} {what}: {found} against {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_floor_decides_only_where_particles_are_that_close() {
    let choose = |x: &[f32]| {
        let mut scratch = vec![0.0; Bandwidth::default().scratch_len(x.len() / D, D)];
        Bandwidth::default().choose(Arithmetic::Portable, D, x, &mut scratch)
    };
    for far in [1e5, 1e10, 1e30] {
        for (name, x, _) in clouds::<f32>(far) {
            let is_offset = name == "offset" && far > 1e6;
            let found = choose(&x).map(|found| found.is_floored);
            if name == "two clusters" && far > 1e25 {
                // Half of the distances, those between the clusters, are infinite.
                continue;
            }
            // What a far offset leaves of a cloud coincides.
            assert_eq!(found, Ok(is_offset), "{name} {far}");
        }
    }
    // 15 of 20 at one place: 226 of 400 ordered pairs have distance 0.
    let mut x = draws::<f32>(3, 20 * D);
    x[..15 * D].fill(0.25);
    assert_eq!(choose(&x).map(|found| found.is_floored), Ok(true));
    // 14 of 20: 202 of 400, still more than half. 13 of 20: 176.
    x[14 * D..15 * D].copy_from_slice(&[3.0, 3.0]);
    assert_eq!(choose(&x).map(|found| found.is_floored), Ok(true));
    x[13 * D..14 * D].copy_from_slice(&[-3.0, 3.0]);
    assert_eq!(choose(&x).map(|found| found.is_floored), Ok(false));
}

#[test]
fn what_has_no_distances_is_named() {
    let median = |x: &[f64]| {
        let mut scratch = vec![0.0; Bandwidth::default().scratch_len(x.len(), 1)];
        median_squared_distance(Arithmetic::Portable, 1, x, &mut scratch)
    };
    for bad in [f64::NAN, f64::INFINITY, -f64::INFINITY] {
        let expected = Err(Error::NonFinite {
            name: "particles",
            at: thalweg::At::Particle(2),
        });
        assert_eq!(median(&[0.0, 1.0, bad, -1.0]), expected);
        assert_eq!(median(&[0.0, 1.0, bad, -bad, bad]), expected);
    }
    // Squares that overflow: 6 of 16 are 0 here, and the middle two infinite.
    let x = [1e200, -1e200, 3e200, -3e200];
    assert_eq!(median(&x), Ok(f64::INFINITY));
    let mut scratch = [0.0; 100];
    let found = Bandwidth::default().choose(Arithmetic::Portable, 1, &x, &mut scratch);
    assert!(matches!(found, Err(Error::Parameter { name: "h", .. })));
    // Differences that overflow themselves.
    let x = [f64::MAX, f64::MIN, 0.0, 1.0, 2.0, 3.0, 4.0];
    // Of 49: 7 times 0, 8 times 1, 6 times 4, 4 times 9, and the 25th is the median.
    assert_eq!(median(&x), Ok(9.0));
}

#[test]
fn a_bandwidth_without_an_inverse_is_refused() {
    let config = svgd::Config {
        bandwidth: Bandwidth::Fixed(1e-39),
        ..svgd::Config::new(0.1)
    };
    let (mut out, mut scratch) = ([9.0_f32; 2], [0.0; 64]);
    let found = svgd::direction_into(&config, 1, &[0.0, 1.0], &[1.0; 2], &mut out, &mut scratch);
    assert!(matches!(found, Err(Error::Parameter { name: "h", .. })));
    assert_eq!(out, [9.0; 2]);
}

#[test]
fn no_particles_of_any_dimension_are_moved() {
    // 2 d does not fit into a usize.
    let config = stein::sghmc::Config::new(0.1);
    let d = 1_usize << (usize::BITS - 1);
    let mut state = State::from_storage(Vec::<f32>::new());
    let found = stein::sghmc::step(
        &config,
        &mut state,
        Particles::new(d, &mut []),
        &[],
        &mut [],
    );
    assert!(found.unwrap().is_floored);
    let mut state = Thermostats::from_storage(Vec::<f32>::new(), Vec::new());
    let found = stein::sgnht::step(
        &config,
        &mut state,
        Particles::new(d, &mut []),
        &[],
        &mut [],
    );
    assert!(found.unwrap().is_floored);
    assert_eq!(config.scratch_len(1, d), usize::MAX);
}

#[test]
fn a_field_that_overflows_leaves_particles_and_state_as_they_were() {
    let bound = f32::MAX;
    let config = svgd::Config {
        rule: rule::Rule::ADAGRAD,
        bandwidth: Bandwidth::Fixed(1.0),
        ..svgd::Config::new(1.0)
    };
    let (x, g) = ([0.0_f32, 0.0, 0.25], [bound, bound, 1.0]);
    let (mut y, mut state) = (x, svgd::State::from_storage([0.5_f32; 3]));
    let before = state;
    let mut scratch = vec![0.0; config.scratch_len(3, 1)];
    let found = svgd::step(
        &config,
        &mut state,
        Particles::new(1, &mut y),
        &g,
        &mut scratch,
    );
    let expected = Err(Error::NonFinite {
        name: "field",
        at: thalweg::At::Particle(0),
    });
    assert_eq!((found, y, state), (expected, x, before));
    // A constant rule that takes a finite field too far.
    let config = svgd::Config {
        bandwidth: Bandwidth::Fixed(1.0),
        ..svgd::Config::new(4.0)
    };
    let mut none = svgd::State::<[f32; 0]>::new();
    let (mut y, g) = (x, [0.0, 0.0, bound]);
    let found = svgd::step(
        &config,
        &mut none,
        Particles::new(1, &mut y),
        &g,
        &mut scratch,
    );
    assert_eq!((found.is_err(), y, none.steps()), (true, x, 0));
    // Samplers with momenta: the kick overflows.
    let config = stein::sghmc::Config::new(4.0);
    let momenta = [0.5_f32, -0.5, 0.25];
    let (mut y, mut state) = (x, State::from_storage(momenta));
    let mut scratch = vec![0.0; stein::sgnht::scratch_len(&config, 3, 1)];
    let found = stein::sghmc::step(
        &config,
        &mut state,
        Particles::new(1, &mut y),
        &g,
        &mut scratch,
    );
    assert!(
        matches!(
            found,
            Err(Error::NonFinite {
                name: "momentum",
                ..
            })
        ),
        "{found:?}"
    );
    assert_eq!((y, state), (x, State::from_storage(momenta)));
    let metric = [1.0_f32; 3];
    let found = stein::sgrhmc::step(
        &config,
        &mut state,
        Particles::new(1, &mut y),
        &Evaluated {
            scores: &g,
            metric: &metric,
            divergence: &[0.0; 3],
        },
        &mut scratch,
    );
    assert!(
        matches!(
            found,
            Err(Error::NonFinite {
                name: "momentum",
                ..
            })
        ),
        "{found:?}"
    );
    assert_eq!((y, state), (x, State::from_storage(momenta)));
    let mut state = Thermostats::from_storage(momenta, [1.0; 3]);
    let before = state;
    let found = stein::sgnht::step(
        &config,
        &mut state,
        Particles::new(1, &mut y),
        &g,
        &mut scratch,
    );
    assert!(
        matches!(
            found,
            Err(Error::NonFinite {
                name: "momentum",
                ..
            })
        ),
        "{found:?}"
    );
    assert_eq!((y, state), (x, before));
}

#[test]
fn adaptive_rules_recover_from_a_field_whose_square_overflows() {
    // One field of 2e19, whose square is above the largest f32, then fields of 0.1: one particle moves by its score.
    for (rule, steps) in [(rule::Rule::ADAGRAD, 2_000), (rule::Rule::ADAM, 120_000)] {
        let config = svgd::Config {
            rule,
            bandwidth: Bandwidth::Fixed(1.0),
            ..svgd::Config::new(1e-3)
        };
        let mut state = svgd::State::from_storage(vec![0.0_f32; rule.state_len(1)]);
        let (mut x, mut scratch) = ([0.0_f32], vec![0.0; config.scratch_len(1, 1)]);
        svgd::step(
            &config,
            &mut state,
            Particles::new(1, &mut x),
            &[2e19],
            &mut scratch,
        )
        .unwrap();
        // A step of its length, but for what was cut off the square.
        assert!((1e-3..2e-3).contains(&x[0]), "{rule:?} {x:?}");
        let mut last = x[0];
        for _ in 0..steps {
            last = x[0];
            svgd::step(
                &config,
                &mut state,
                Particles::new(1, &mut x),
                &[0.1],
                &mut scratch,
            )
            .unwrap();
        }
        // A settled rule takes steps of its length.
        assert!(
            (x[0] - last - 1e-3).abs() < 2e-4,
            "{rule:?}: {last} to {x:?}"
        );
    }
}
