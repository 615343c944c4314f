//! Claims of the publication on bilevel optimisation, on problems whose answers are known.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use thalweg::bilevel::aid::Solver;
use thalweg::bilevel::descent::Method;
use thalweg::bilevel::es_jacobian::{Config, Difference, Direction, Estimate, Start, State};
use thalweg::bilevel::{
    Draw, Problem, Round, SecondOrder, aid, descent, es_jacobian, hyper_representation, itd, ridge,
};
use thalweg::matrix::MatrixRef;
use thalweg::optim::{adam, sgd};
use thalweg::random::{self, Purpose};
use thalweg::snapshot::Snapshot;
use thalweg::{Error, Real, vector};

/// Numbers in [-1, 1).
fn painted<T: Real>(n: usize, phase: u64) -> Vec<T> {
    let mut rng = random::stream(phase, 0, 0, Purpose::DATA);
    (0..n)
        .map(|_| T::from_f64(2.0 * random::uniform::<f64>(&mut rng) - 1.0))
        .collect()
}

/// `g = a y^2 / 2 - b x y + noise y`, `f = c x + y^2 / 2` for each of n coordinates, or one x for all y.
struct Toy {
    n: usize,
    a: f64,
    b: f64,
    c: f64,
    /// Minibatch noise; the draw of a step shifts the gradient.
    noise: f64,
    /// Keeps paths apart, as a wrong program would: the noise depends on x.
    unequal: bool,
}

const TOY: Toy = Toy {
    n: 1,
    a: 2.0,
    b: 3.0,
    c: 0.0,
    noise: 0.0,
    unequal: false,
};

impl<T: Real> Problem<T> for Toy {
    fn outer_dim(&self) -> usize {
        self.n
    }
    fn inner_dim(&self) -> usize {
        self.n
    }
    fn scratch_len(&self) -> usize {
        0
    }
    fn inner_gradient_into(
        &self,
        x: &[T],
        y: &[T],
        draw: &Draw,
        _: &mut [T],
        grad: &mut [T],
    ) -> Result<(), Error> {
        let mut rng = draw.stream();
        if self.unequal {
            rng = random::stream(x[0].to_bits_u64(), y[0].to_bits_u64(), 0, Purpose::NOISE);
        }
        for ((g, &x), &y) in grad.iter_mut().zip(x).zip(y) {
            let noise = self.noise * random::normal::<f64>(&mut rng);
            *g = T::from_f64(self.a) * y - T::from_f64(self.b) * x + T::from_f64(noise);
        }
        Ok(())
    }
    fn outer_value(&self, x: &[T], y: &[T], _: &Draw, _: &mut [T]) -> Result<T, Error> {
        let direct = vector::sum(x) * T::from_f64(self.c);
        Ok(direct + vector::norm2_squared(y) / T::from_f64(2.0))
    }
    fn outer_gradients_into(
        &self,
        x: &[T],
        y: &[T],
        draw: &Draw,
        scratch: &mut [T],
        grad_x: &mut [T],
        grad_y: &mut [T],
    ) -> Result<T, Error> {
        grad_x.fill(T::from_f64(self.c));
        grad_y.copy_from_slice(y);
        self.outer_value(x, y, draw, scratch)
    }
}

fn gd(steps: u64, step_size: f64) -> descent::Config {
    descent::Config {
        steps,
        method: Method::gd(step_size),
    }
}

/// The hypergradient of one round and the outer value.
fn estimate<T: Real>(config: &Config, problem: &impl Problem<T>, x: &[T], y0: &[T]) -> (Vec<T>, T) {
    try_estimate(config, problem, x, y0).unwrap()
}

fn try_estimate<T: Real>(
    config: &Config,
    problem: &impl Problem<T>,
    x: &[T],
    y0: &[T],
) -> Result<(Vec<T>, T), Error> {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    let mut start = y0.to_vec();
    let mut state = State::from_storage(&mut start[..]);
    let len = es_jacobian::scratch_len(config, p, d, problem.scratch_len());
    let (mut scratch, mut h) = (vec![T::NAN; len], vec![T::NAN; p]);
    let value = es_jacobian::step(config, &mut state, problem, x, &mut scratch, &mut h)?;
    Ok((h, value))
}

/// Ridge data: n rows in d columns.
fn rows(n: usize, d: usize, phase: u64) -> (Vec<f64>, Vec<f64>) {
    (painted(n * d, phase), painted(n, phase + 100))
}

fn with_ridge<R>(work: impl FnOnce(&ridge::Problem<'_, f64>, &[f64]) -> R) -> R {
    let ((a, b), (c, e)) = (rows(30, 12, 1), rows(25, 12, 2));
    let train = ridge::Data::new(MatrixRef::new(&a, 30, 12).unwrap(), &b).unwrap();
    let validation = ridge::Data::new(MatrixRef::new(&c, 25, 12).unwrap(), &e).unwrap();
    let problem = ridge::Problem::new(train, validation).unwrap();
    work(&problem, &painted(12, 3))
}

fn with_representation<R>(
    work: impl FnOnce(&hyper_representation::Problem<'_, f64>, &[f64]) -> R,
) -> R {
    let ((a, b), (c, e)) = (rows(30, 5, 1), rows(25, 5, 2));
    let inner = ridge::Data::new(MatrixRef::new(&a, 30, 5).unwrap(), &b).unwrap();
    let outer = ridge::Data::new(MatrixRef::new(&c, 25, 5).unwrap(), &e).unwrap();
    let problem = hyper_representation::Problem::new(inner, outer, 7, 0.1).unwrap();
    work(&problem, &painted(35, 3))
}

fn itd_gradient(
    problem: &impl SecondOrder<f64>,
    inner: &descent::Config,
    x: &[f64],
    y0: &[f64],
) -> Vec<f64> {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    let len = itd::scratch_len(inner.steps, p, d, problem.scratch_len()).unwrap();
    let (mut y, mut h, mut scratch) = (y0.to_vec(), vec![0.0; p], vec![f64::NAN; len]);
    let round = Round { seed: 0, number: 0 };
    itd::hypergradient(inner, round, problem, x, &mut y, &mut scratch, &mut h).unwrap();
    h
}

fn aid_gradient(
    problem: &impl SecondOrder<f64>,
    config: &aid::Config,
    x: &[f64],
    y0: &[f64],
) -> Vec<f64> {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    let len = aid::scratch_len(config, p, d, problem.scratch_len());
    let (mut y, mut h, mut scratch) = (y0.to_vec(), vec![0.0; p], vec![f64::NAN; len]);
    let round = Round { seed: 0, number: 0 };
    aid::hypergradient(config, round, problem, x, &mut y, &mut scratch, &mut h).unwrap();
    h
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    vector::squared_distance(a, b).unwrap().sqrt() / vector::norm2(b)
}

#[test]
fn the_scalar_response_has_its_closed_form_at_every_radius() {
    // y^N = r y0 + (1 - r) (b/a) x; the coefficient along e_1 is (1 - r) (b/a) y^N.
    let (x, y0) = (0.7, -0.4);
    for steps in [1, 5, 40] {
        let r = (1.0 - 0.1 * TOY.a).powi(steps);
        let y = r * y0 + (1.0 - r) * TOY.b / TOY.a * x;
        let expected = (1.0 - r) * TOY.b / TOY.a * y;
        for radius in [1e-3, 1.0, 100.0] {
            for difference in [Difference::Forward, Difference::Central] {
                let config = Config {
                    radius,
                    difference,
                    direction: Direction::Basis,
                    ..Config::new(gd(steps as u64, 0.1))
                };
                let (h, value) = estimate::<f64>(&config, &TOY, &[x], &[y0]);
                assert!((h[0] - expected).abs() < 1e-11 * expected.abs(), "{radius}");
                assert!((value - y * y / 2.0).abs() < 1e-14);
                let (h, _) = estimate::<f32>(&config, &TOY, &[x as f32], &[y0 as f32]);
                assert!((f64::from(h[0]) - expected).abs() < 1e-3, "{radius}");
            }
        }
    }
}

#[test]
fn unbiased_laws_have_the_stated_mean_and_variance() {
    // p = 48, 20000 draws: the relative error of the mean is sqrt((p + 1) / S) = 0.0495, the relative variance p + 1 or p - 1;
    // a sum of squares over 20000 draws of 48 components is within a few percent of it.
    const S: u64 = 20_000;
    let toy = Toy { n: 48, ..TOY };
    let x: Vec<f64> = painted(48, 5);
    let y0 = vec![0.0; 48];
    let exact = {
        let config = Config {
            direction: Direction::Basis,
            ..Config::new(gd(3, 0.1))
        };
        estimate(&config, &toy, &x, &y0).0
    };
    let size = vector::norm2_squared(&exact);
    for (direction, scale, variance) in [
        (Direction::Gaussian, 1.0, 49.0),
        (Direction::UnitSphereTimesP, 1.0, 47.0),
        (Direction::UnitSphere, 48.0, 47.0),
    ] {
        let config = Config {
            direction,
            ..Config::new(gd(3, 0.1))
        };
        let mut start = y0.clone();
        let mut state = State::from_storage(&mut start[..]);
        let mut scratch = vec![0.0; es_jacobian::scratch_len(&config, 48, 48, 0)];
        let (mut h, mut mean, mut spread) = (vec![0.0; 48], vec![0.0; 48], 0.0);
        for _ in 0..S {
            es_jacobian::step(&config, &mut state, &toy, &x, &mut scratch, &mut h).unwrap();
            vector::scale(scale, &mut h);
            vector::axpy(1.0 / S as f64, &h, &mut mean).unwrap();
            spread += vector::squared_distance(&h, &exact).unwrap() / (S as f64 * size);
        }
        assert_eq!(state.rounds(), S);
        let bias = distance(&mean, &exact);
        assert!(bias < 0.07, "{direction:?}: {bias}");
        assert!(
            (spread / variance - 1.0).abs() < 0.04,
            "{direction:?}: {spread}"
        );
    }
}

#[test]
fn more_directions_divide_the_variance() {
    let toy = Toy { n: 16, ..TOY };
    let (x, y0) = (painted::<f64>(16, 5), vec![0.0; 16]);
    let basis = Config {
        direction: Direction::Basis,
        ..Config::new(gd(3, 0.1))
    };
    let exact = estimate(&basis, &toy, &x, &y0).0;
    let mut spread = 0.0;
    for seed in 0..2000 {
        let config = Config {
            seed,
            directions: 10,
            ..Config::new(gd(3, 0.1))
        };
        spread += distance(&estimate(&config, &toy, &x, &y0).0, &exact).powi(2) / 2000.0;
    }
    assert!(
        (spread / 1.7 - 1.0).abs() < 0.1,
        "{spread} against (p + 1) / Q"
    );
}

#[test]
fn itd_is_the_derivative_of_the_whole_path() {
    fn check(problem: &impl SecondOrder<f64>, x: &[f64], alpha: f64) {
        let (p, d) = (problem.outer_dim(), problem.inner_dim());
        let (inner, y0) = (gd(7, alpha), painted::<f64>(d, 9));
        let h = itd_gradient(problem, &inner, x, &y0);
        let direct = Config {
            directions: 0,
            ..Config::new(inner)
        };
        let at = |j: usize, step: f64| {
            let mut x = x.to_vec();
            x[j] += step;
            estimate(&direct, problem, &x, &y0).1
        };
        // Fourth-order central differences.
        let e = 1e-3;
        let slopes: Vec<f64> = (0..p)
            .map(|j| {
                (8.0 * (at(j, e) - at(j, -e)) - (at(j, 2.0 * e) - at(j, -2.0 * e))) / (12.0 * e)
            })
            .collect();
        let off = distance(&slopes, &h);
        assert!(off < 1e-9, "{off}");
    }
    with_ridge(|problem, x| check(problem, x, 0.2));
    with_representation(|problem, x| check(problem, x, 0.1));
}

#[test]
fn basis_directions_reproduce_itd_and_errors_fall_as_the_order_says() {
    fn check(problem: &impl SecondOrder<f64>, x: &[f64], alpha: f64) {
        let (inner, y0) = (gd(7, alpha), painted::<f64>(problem.inner_dim(), 9));
        let exact = itd_gradient(problem, &inner, x, &y0);
        for (difference, rate) in [(Difference::Forward, 2.0), (Difference::Central, 4.0)] {
            let off = [2e-2, 1e-2].map(|radius| {
                let config = Config {
                    radius,
                    difference,
                    direction: Direction::Basis,
                    ..Config::new(inner)
                };
                distance(&estimate(&config, problem, x, &y0).0, &exact)
            });
            assert!(off[1] < 2e-2, "{off:?}");
            assert!((off[0] / off[1] / rate - 1.0).abs() < 0.1, "{off:?}");
        }
        let fine = Config {
            radius: 1e-5,
            difference: Difference::Central,
            direction: Direction::Basis,
            ..Config::new(inner)
        };
        let off = distance(&estimate(&fine, problem, x, &y0).0, &exact);
        assert!(off < 1e-8, "{off}");
    }
    with_ridge(|problem, x| check(problem, x, 0.2));
    with_representation(|problem, x| check(problem, x, 0.1));
}

#[test]
fn every_baseline_meets_the_exact_gradient_of_a_converged_inner_loop() {
    with_ridge(|problem, x| {
        let (inner, y0) = (gd(400, 0.3), vec![0.0; 12]);
        let exact = itd_gradient(problem, &inner, x, &y0);
        for (products, solver) in [
            (14, Solver::ConjugateGradients),
            (400, Solver::FixedPoint { step_size: 0.3 }),
        ] {
            let config = aid::Config {
                inner,
                products,
                solver,
            };
            let off = distance(&aid_gradient(problem, &config, x, &y0), &exact);
            assert!(off < 1e-10, "{solver:?}: {off}");
        }
    });
    with_representation(|problem, x| {
        let (inner, y0) = (gd(6000, 0.2), vec![0.0; 7]);
        let exact = itd_gradient(problem, &inner, x, &y0);
        let config = aid::Config {
            inner,
            products: 20,
            solver: Solver::ConjugateGradients,
        };
        let off = distance(&aid_gradient(problem, &config, x, &y0), &exact);
        assert!(off < 1e-8, "{off}");
    });
}

#[test]
fn the_fixed_point_on_the_path_of_one_step_is_itd() {
    // N = M = 1 from y^0: both are f_x - alpha d/dx <g_y, f_y>, ITD with the mixed term at y^0, AID at y^1. At a minimum
    // y^0 = y^1 they agree.
    with_ridge(|problem, x| {
        let mut w = vec![0.0; 12];
        let mut scratch = vec![0.0; 100];
        let round = Round { seed: 0, number: 0 };
        descent::run(&gd(500, 0.3), round, problem, x, &mut w, &mut scratch).unwrap();
        let config = aid::Config {
            inner: gd(1, 0.3),
            products: 1,
            solver: Solver::FixedPoint { step_size: 0.3 },
        };
        let exact = itd_gradient(problem, &gd(1, 0.3), x, &w);
        assert!(distance(&aid_gradient(problem, &config, x, &w), &exact) < 1e-12);
    });
}

#[test]
fn without_directions_steps_or_slope_the_direct_gradient_is_left_bit_for_bit() {
    let toy = Toy {
        n: 3,
        c: -0.0,
        ..TOY
    };
    let (x, y0) = (painted::<f64>(3, 5), [0.0; 3]);
    let none = Config {
        directions: 0,
        ..Config::new(gd(3, 0.1))
    };
    for direction in [
        Direction::Gaussian,
        Direction::UnitSphereTimesP,
        Direction::Basis,
    ] {
        // Q = 0; N = 0; f_y = 0, since y stays at 0 when b is 0.
        let flat = Toy { b: 0.0, ..toy };
        for (config, toy) in [
            (Config { direction, ..none }, &toy),
            (
                Config {
                    direction,
                    ..Config::new(gd(0, 0.1))
                },
                &toy,
            ),
            (
                Config {
                    direction,
                    ..Config::new(gd(3, 0.1))
                },
                &flat,
            ),
        ] {
            let (h, _) = estimate(&config, toy, &x, &y0);
            assert!(
                h.iter().all(|h| h.to_bits() == (-0.0_f64).to_bits()),
                "{h:?}"
            );
        }
    }
    let whole = Config {
        estimate: Estimate::OuterValue,
        ..none
    };
    let (h, _) = estimate(&whole, &Toy { c: 5.0, ..toy }, &x, &y0);
    assert_eq!(h, [5.0; 3]);
}

#[test]
fn hozog_differs_from_esj_by_the_radius_where_f_has_no_direct_term() {
    with_ridge(|problem, x| {
        let y0 = vec![0.0; 12];
        let gap = [1e-2, 1e-3, 1e-4].map(|radius| {
            let esj = Config {
                radius,
                directions: 5,
                ..Config::new(gd(20, 0.2))
            };
            let hozog = Config {
                estimate: Estimate::OuterValue,
                ..esj
            };
            let esj = estimate(&esj, problem, x, &y0).0;
            distance(&estimate(&hozog, problem, x, &y0).0, &esj) / radius
        });
        assert!(gap[0] > 1e-4, "the two are the same program: {gap:?}");
        assert!((gap[1] / gap[2] - 1.0).abs() < 0.02, "{gap:?}");
    });
}

#[test]
fn hozog_sees_the_direct_term_through_the_directions() {
    // f = c x + y^2/2 with N = 0: h = c u u^T 1, exact with basis directions.
    let config = Config {
        estimate: Estimate::OuterValue,
        direction: Direction::Basis,
        ..Config::new(gd(0, 0.1))
    };
    let (h, _) = estimate(
        &config,
        &Toy {
            n: 3,
            c: 5.0,
            ..TOY
        },
        &[0.25; 3],
        &[0.0; 3],
    );
    assert!(h.iter().all(|h| (h - 5.0).abs() < 1e-10), "{h:?}");
}

#[test]
fn shared_minibatches_keep_the_difference_bounded_and_unequal_ones_do_not() {
    // Linear response: with shared noise the coefficient is the same at every radius; with fresh noise it grows as 1/mu.
    let size = |unequal, radius| {
        let toy = Toy {
            noise: 1.0,
            unequal,
            ..TOY
        };
        let config = Config {
            radius,
            direction: Direction::Basis,
            ..Config::new(gd(20, 0.1))
        };
        estimate::<f64>(&config, &toy, &[0.7], &[0.3]).0[0].abs()
    };
    let shared = [1e-1, 1e-2, 1e-3].map(|mu| size(false, mu));
    assert!((shared[0] / shared[2] - 1.0).abs() < 1e-9, "{shared:?}");
    assert!(shared[0] > 0.0);
    assert!(size(true, 1e-4) > 30.0 * size(false, 1e-4));
}

#[test]
fn fresh_rounds_see_fresh_minibatches_and_directions() {
    let toy = Toy {
        n: 4,
        noise: 1.0,
        ..TOY
    };
    let config = Config::new(gd(2, 0.1));
    let mut state = State::<[f64; 4]>::new();
    let mut scratch = vec![0.0; es_jacobian::scratch_len(&config, 4, 4, 0)];
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut h = vec![0.0; 4];
        let value = es_jacobian::step(&config, &mut state, &toy, &[1.0; 4], &mut scratch, &mut h);
        seen.push((h, value.unwrap()));
    }
    assert!(seen[0].0 != seen[1].0 && seen[0].1 != seen[1].1);
}

#[test]
fn every_path_has_moments_of_its_own() {
    // Basis directions agree with the difference of separate whole runs.
    let heavy = sgd::Config {
        momentum: 0.9,
        ..sgd::Config::new(0.1)
    };
    let adam = adam::Config {
        learning_rate: 0.1,
        ..Default::default()
    };
    for method in [Method::Sgd(heavy), Method::Adam(adam)] {
        let inner = descent::Config { steps: 6, method };
        let run = |x: f64| {
            let (mut y, mut scratch) = ([0.3], [f64::NAN; 3]);
            let round = Round { seed: 0, number: 0 };
            descent::run(&inner, round, &TOY, &[x], &mut y, &mut scratch).unwrap();
            y[0]
        };
        let config = Config {
            direction: Direction::Basis,
            difference: Difference::Central,
            ..Config::new(inner)
        };
        let expected = (run(0.71) - run(0.69)) / 0.02 * run(0.7);
        let (h, _) = estimate::<f64>(&config, &TOY, &[0.7], &[0.3]);
        assert!(expected.abs() > 1e-3 && (h[0] / expected - 1.0).abs() < 1e-9);
    }
    // Two steps of heavy ball by hand: y1 = y0 - s g0, y2 = y1 - s (g1 + 0.9 g0).
    let inner = descent::Config {
        steps: 2,
        method: Method::Sgd(heavy),
    };
    let (mut y, mut scratch) = ([1.0], [0.0; 2]);
    descent::run(
        &inner,
        Round { seed: 0, number: 0 },
        &TOY,
        &[0.0],
        &mut y,
        &mut scratch,
    )
    .unwrap();
    assert!((y[0] - (0.8 - 0.1 * (1.6 + 1.8))).abs() < 1e-15);
}

#[test]
fn a_warm_start_continues_and_a_cold_one_does_not() {
    for (start, expected) in [(Start::Cold, 0.0), (Start::Warm, 1.5 * (1.0 - 0.64))] {
        let config = Config {
            start,
            ..Config::new(gd(2, 0.1))
        };
        let mut state = State::<[f64; 1]>::new();
        let (mut scratch, mut h) = ([0.0; 6], [0.0]);
        es_jacobian::step(&config, &mut state, &TOY, &[1.0], &mut scratch, &mut h).unwrap();
        assert!((state.y0()[0] - expected).abs() < 1e-15);
    }
}

#[test]
fn a_restored_run_has_the_bits_of_the_uninterrupted_one() {
    let toy = Toy {
        n: 5,
        noise: 0.5,
        ..TOY
    };
    let config = Config {
        start: Start::Warm,
        directions: 3,
        ..Config::new(gd(4, 0.1))
    };
    let mut scratch = vec![0.0; es_jacobian::scratch_len(&config, 5, 5, 0)];
    let mut advance = |state: &mut State<[f32; 5]>| {
        let mut h = [0.0; 5];
        es_jacobian::step(&config, state, &toy, &[1.0; 5], &mut scratch, &mut h).unwrap();
        h.map(f32::to_bits)
    };
    let mut state = State::new();
    advance(&mut state);
    let mut bytes = vec![0; state.snapshot_len()];
    state.save(&mut bytes).unwrap();
    let mut other = State::new();
    other.restore(&bytes).unwrap();
    assert_eq!(other, state);
    assert_eq!(advance(&mut state), advance(&mut other));
    assert!(state.restore(&bytes[1..]).is_err());
}

#[test]
fn an_unstable_perturbed_path_is_named() {
    // Curvature 1 + exp(l): the base is stable at step 0.9, a path at l + mu is not.
    let (features, targets) = ([1.0_f64], [1.0]);
    let data = ridge::Data::new(MatrixRef::new(&features, 1, 1).unwrap(), &targets).unwrap();
    let problem = ridge::Problem::new(data, data).unwrap();
    let config = Config {
        radius: 5.0,
        direction: Direction::Basis,
        ..Config::new(gd(2000, 0.9))
    };
    assert_eq!(
        try_estimate(&config, &problem, &[0.0], &[0.0]).unwrap_err(),
        Error::NonFinite {
            name: "perturbed inner path",
            index: 0
        }
    );
    assert_eq!(
        try_estimate(&config, &problem, &[5.0], &[0.0]).unwrap_err(),
        Error::NonFinite {
            name: "inner path",
            index: 0
        }
    );
    // The first random direction that goes uphill is the one that is named.
    let config = Config {
        direction: Direction::Gaussian,
        directions: 8,
        ..config
    };
    let first = (0..8).find(|&j| {
        let mut u = [0.0_f64];
        let round = Round { seed: 0, number: 0 };
        es_jacobian::direction_into(Direction::Gaussian, round, j, &mut u);
        0.9 * (1.0 + (5.0 * u[0]).exp()) > 2.1
    });
    let error = try_estimate(&config, &problem, &[0.0], &[0.0]).unwrap_err();
    let index = first.unwrap();
    let name = "perturbed inner path";
    assert_eq!(error, Error::NonFinite { name, index });
    assert!(format!("{error}").contains(&format!("index {index}")));
}

#[test]
fn radii_that_the_type_cannot_resolve_and_wrong_lengths_are_refused() {
    let config = |radius| Config {
        radius,
        ..Config::new(gd(2, 0.1))
    };
    for radius in [0.0, -0.1, f64::NAN, f64::INFINITY, 1e-6] {
        assert!(config(radius).validate::<f32>().is_err(), "{radius}");
    }
    assert!(config(1e39).validate::<f32>().is_err());
    assert!(config(1e-5).validate::<f32>().is_ok());
    assert!(config(1e-6).validate::<f64>().is_ok());
    assert!(config(1e-15).validate::<f64>().is_err());
    let mut state = State::<[f64; 1]>::new();
    let (mut scratch, mut h) = ([0.0; 6], [7.0]);
    let config = config(0.1);
    let mut run = |x: &[f64], scratch: &mut [f64], h: &mut [f64]| {
        es_jacobian::step(&config, &mut state, &TOY, x, scratch, h)
    };
    let short = run(&[1.0], &mut scratch[..5], &mut h).unwrap_err();
    assert_eq!(format!("{short}"), "`scratch` has length 5, expected 6");
    assert!(run(&[1.0; 2], &mut scratch, &mut h).is_err());
    assert!(run(&[1.0], &mut scratch, &mut []).is_err());
    assert_eq!(h, [7.0]);
    let adam = descent::Config {
        steps: 1,
        method: Method::Adam(adam::Config::default()),
    };
    let refused = with_ridge(|problem, x| {
        let round = Round { seed: 0, number: 0 };
        let (mut y, mut h, mut scratch) = ([0.0; 12], [0.0; 12], [0.0; 200]);
        itd::hypergradient(&adam, round, problem, x, &mut y, &mut scratch, &mut h)
    });
    assert!(refused.is_err());
}

#[test]
fn memory_does_not_grow_with_steps_or_directions_but_that_of_itd_does() {
    let (few, many) = (
        Config::new(gd(10, 0.1)),
        Config {
            directions: 99,
            ..Config::new(gd(1000, 0.1))
        },
    );
    let len = |config| es_jacobian::scratch_len(config, 30, 20, 0);
    assert_eq!((len(&few), len(&many)), (140, 140)); // 4 d + 2 p
    assert_eq!(itd::scratch_len(1000, 30, 20, 0), Some(20 * 1003 + 30));
    assert_eq!(itd::scratch_len(u64::MAX, 30, 20, 0), None);
}

#[test]
fn f32_resolves_the_response_of_the_representation_at_the_default_radius() {
    // The table of the publication's constants: at mu = 1e-2 single precision adds little to the bias of the difference.
    with_representation(|problem, x| {
        let ((a, b), (c, e)) = (rows(30, 5, 1), rows(25, 5, 2));
        let narrow = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let (a, b, c, e) = (narrow(&a), narrow(&b), narrow(&c), narrow(&e));
        let inner = ridge::Data::new(MatrixRef::new(&a, 30, 5).unwrap(), &b).unwrap();
        let outer = ridge::Data::new(MatrixRef::new(&c, 25, 5).unwrap(), &e).unwrap();
        let single = hyper_representation::Problem::new(inner, outer, 7, 0.1).unwrap();
        let config = Config {
            direction: Direction::Basis,
            difference: Difference::Central,
            ..Config::new(gd(7, 0.1))
        };
        let y0 = painted::<f64>(7, 9);
        let wide = estimate(&config, problem, x, &y0).0;
        let narrow_h = estimate(&config, &single, &narrow(x), &narrow(&y0)).0;
        let widened: Vec<f64> = narrow_h.iter().map(|&v| f64::from(v)).collect();
        let off = distance(&widened, &wide);
        assert!(off < 1e-3, "{off}");
    });
}
