//! Paths: minibatches, moments, starts, resumption.

use super::*;

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
        let value = es_jacobian::step(&config, &mut state, &toy, &[1.0; 4], &mut h, &mut scratch);
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
            let (mut y, mut scratch) = ([0.3], [f64::NAN; 4]);
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
    let (mut y, mut scratch) = ([1.0], [0.0; 3]);
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
        let (mut scratch, mut h) = ([0.0; 7], [0.0]);
        es_jacobian::step(&config, &mut state, &TOY, &[1.0], &mut h, &mut scratch).unwrap();
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
        es_jacobian::step(&config, state, &toy, &[1.0; 5], &mut h, &mut scratch).unwrap();
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
fn coefficients_may_be_computed_in_any_order_and_in_any_storage() {
    with_ridge(|problem, x| {
        for direction in [
            Direction::Gaussian,
            Direction::Rademacher,
            Direction::UnitSphereTimesP,
            Direction::Basis,
        ] {
            let config = Config {
                directions: 5,
                direction,
                ..Config::new(gd(9, 0.2))
            };
            let expected = estimate(&config, problem, x, &[0.0; 12]).0;
            let state = State::<[f64; 12]>::new();
            let (mut y, mut fy, mut h) = ([0.0; 12], [0.0; 12], [0.0; 12]);
            let mut path = vec![f64::NAN; es_jacobian::path_len(&config, 12, 12, 30)];
            let solution = Solution {
                y_n: &mut y,
                grad_y: &mut fy,
                h: &mut h,
            };
            let point = es_jacobian::solve(&config, &state, problem, x, solution, &mut path);
            let point = point.unwrap();
            let count = config.count(12);
            let (mut u, mut c) = ([0.0; 12], vec![0.0; count]);
            for j in (0..count).rev() {
                es_jacobian::direction_into(direction, point.round, j, &mut u);
                let found = es_jacobian::coefficient(&config, problem, &point, j, &u, &mut path);
                c[j] = found.unwrap();
            }
            for (j, &c) in c.iter().enumerate() {
                es_jacobian::direction_into(direction, point.round, j, &mut u);
                es_jacobian::add_direction(&config, c, &u, &mut h).unwrap();
            }
            // `expected` comes from a borrowed start and a scratch on the heap.
            assert_eq!(h.map(f64::to_bits).as_slice(), bits(&expected));
        }
    });
}

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}
