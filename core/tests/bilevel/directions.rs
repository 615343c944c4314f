//! Mean and variance of the laws of directions.

use super::*;

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
        (Direction::Rademacher, 1.0, 47.0),
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
            es_jacobian::step(&config, &mut state, &toy, &x, &mut h, &mut scratch).unwrap();
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

/// A normal number of 24 bits is 0 once in 2^24: of this seed it is.
#[test]
fn a_draw_of_zero_stays_zero() {
    let round = Round {
        seed: 5_183_255,
        number: 0,
    };
    for direction in [Direction::UnitSphere, Direction::UnitSphereTimesP] {
        let mut u = [f32::NAN];
        es_jacobian::direction_into(direction, round, 1, &mut u);
        assert_eq!(u, [0.0]);
    }
}
