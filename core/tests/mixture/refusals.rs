//! What is wrong, impossible, or not representable.

use super::*;

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
            Error::NonFinite {
                name,
                at: At::Element(index) | At::Row(index),
            } => (name, index),
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
            fit.state = State::resume(buffers, factor, 0, 0);
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
            fit.state = State::resume(buffers, 1.0, 0, 0);
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
    fit.state = State::resume(buffers(vec![0; 50], statistics, vec![]), 1.0, 0, 0);
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
        fit.state = State::resume(buffers(labels, statistics, vec![]), 1.0, 0, 0);
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
