//! Huge gradients, and hyperparameters that the scalar type cannot tell from 0, 1 or infinity.

use super::*;
use crate::Arithmetic::{self, Fast, Portable};
use crate::random::{NoiseStream, Purpose, stream};
use std::boxed::Box;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

const RATE: f64 = 0.5;
const DECAY: f64 = 0.9;

type Step<T> = Box<dyn FnMut(&mut [T], &[T]) -> Result<(), Error>>;

/// An optimiser: name, length of its first step over the learning rate, whether it forgets, and a step on three parameters.
type Member<T> = (&'static str, f64, bool, Step<T>);

fn adams<T: Real>(arithmetic: Arithmetic) -> Vec<Member<T>> {
    let adam = adam::Config {
        learning_rate: RATE,
        beta1: DECAY,
        beta2: DECAY,
        arithmetic,
        ..adam::Config::adam()
    };
    let amsgrad = adam::Config {
        amsgrad: true,
        ..adam
    };
    let mut state = State::new([T::ZERO; 6]);
    let mut largest = State::new([T::ZERO; 9]);
    let mut narrow = State::new([0_u16; 6]);
    let mut lanes = NoiseStream::new(&mut stream(1, 0, 0, Purpose::NOISE));
    vec![
        (
            "adam",
            1.0,
            true,
            Box::new(move |x, g| adam.step(&mut state, x, g)),
        ),
        (
            "amsgrad",
            1.0,
            false,
            Box::new(move |x, g| amsgrad.step(&mut largest, x, g)),
        ),
        (
            "bf16 adam",
            1.0,
            false,
            Box::new(move |x, g| bf16::step(&adam, &mut narrow, x, g, &mut lanes)),
        ),
    ]
}

fn rmsprops<T: Real>(arithmetic: Arithmetic) -> Vec<Member<T>> {
    let plain = rmsprop::Config {
        learning_rate: RATE,
        alpha: DECAY,
        arithmetic,
        ..Default::default()
    };
    let member = |centered: bool, momentum: f64| {
        let config = rmsprop::Config {
            centered,
            momentum,
            ..plain
        };
        let mut state = State::new(vec![T::ZERO; config.state_len(3)]);
        // v = (1 - a) g^2, and v - c^2 = a (1 - a) g^2.
        let share = (1.0 - DECAY) * if centered { DECAY } else { 1.0 };
        let step: Step<T> = Box::new(move |x, g| config.step(&mut state, x, g));
        ("rmsprop", 1.0 / share.sqrt(), true, step)
    };
    vec![
        member(false, 0.0),
        member(true, 0.0),
        member(false, 0.5),
        member(true, 0.5),
    ]
}

/// Those that divide by the root of squares.
fn dividers<T: Real>(arithmetic: Arithmetic) -> Vec<Member<T>> {
    let config = adagrad::Config {
        learning_rate: RATE,
        arithmetic,
        ..Default::default()
    };
    let mut state = State::new([T::ZERO; 3]);
    let adagrad: Step<T> = Box::new(move |x, g| config.step(&mut state, x, g));
    let mut all = adams(arithmetic);
    all.extend(rmsprops(arithmetic));
    all.push(("adagrad", 1.0, false, adagrad));
    all
}

fn lion<T: Real>() -> Member<T> {
    let config = lion::Config {
        beta2: DECAY,
        weight_decay: 0.0,
        ..lion::Config::new(RATE)
    };
    let mut state = State::new([T::ZERO; 3]);
    (
        "lion",
        1.0,
        true,
        Box::new(move |x, g| config.step(&mut state, x, g)),
    )
}

/// One huge gradient at index 1, ordinary ones after it; a twin without it; parameters are set back to 1 before each step.
fn survive<T: Real>(make: impl Fn() -> Vec<Member<T>>, huge: T, steps: usize) {
    for ((name, length, forgets, mut step), (_, _, _, mut twin)) in make().into_iter().zip(make()) {
        let quiet = |t: usize| T::from_f64([0.25, -0.5, 0.75][t % 3]);
        let mut x = [T::ONE; 3];
        step(&mut x, &[quiet(1), huge, T::ZERO]).unwrap();
        twin(&mut [T::ONE; 3], &[quiet(1); 3]).unwrap();
        let sign = if huge > T::ZERO { 1.0 } else { -1.0 };
        let moved = (1.0 - x[1].to_f64()) / RATE;
        assert!(
            (moved / (length * sign) - 1.0).abs() < 1e-5,
            "{name}, {huge}: {moved}"
        );
        assert_eq!(x[2], T::ONE, "{name}");
        let mut y = [T::ONE; 3];
        for t in 0..steps {
            (x, y) = ([T::ONE; 3], [T::ONE; 3]);
            step(&mut x, &[quiet(t), quiet(t), T::ZERO]).unwrap();
            twin(&mut y, &[quiet(t); 3]).unwrap();
            // Momentum doubles a step at most.
            let moved = (1.0 - x[1].to_f64()).abs();
            assert!(
                moved <= 2.0 * length * RATE * 1.01,
                "{name}, {huge}: {moved} in step {t}"
            );
        }
        if forgets {
            let (x, y) = (1.0 - x[1].to_f64(), 1.0 - y[1].to_f64());
            assert!((x - y).abs() < 1e-3, "{name}, {huge}: {x} against {y}");
            assert!(y.abs() > 0.1, "{name}: {y}");
        }
    }
}

#[test]
fn a_huge_gradient_moves_its_parameter_by_the_learning_rate_and_is_forgotten() {
    // 0.9^1200 2^128 < 1e-16, and 0.9^7100 2^1024 < 1e-16.
    for arithmetic in [Portable, Fast] {
        for huge in [2e19, -1e30, f32::MAX, f32::MIN] {
            survive(|| dividers(arithmetic), huge, 1200);
            survive(|| vec![lion()], huge, 1200);
        }
        for huge in [1e160, -1e300, f64::MAX, 2e19] {
            survive(|| dividers(arithmetic), huge, 7100);
        }
    }
}

#[test]
fn adam_after_a_huge_gradient_is_that_of_exact_arithmetic() {
    // The recurrences in f64, where nothing overflows. PyTorch 2.15 in f32: 0.999 after one step, 0.994 after 20000.
    let (mut m, mut v, mut y) = (0.0_f64, 0.0_f64, 1.0_f64);
    let (mut state, mut x) = (State::new([0.0_f32; 2]), [1.0_f32]);
    for t in 1..=20_000 {
        let g = if t == 1 { 2e19 } else { 0.1 };
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        let corrected = m / (1.0 - 0.9_f64.powi(t));
        y -= 1e-3 * corrected / ((v / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-8);
        adam::Config::adam()
            .step(&mut state, &mut x, &[g as f32])
            .unwrap();
        if t == 1 {
            assert!((x[0] - 0.999).abs() < 1e-6, "{}", x[0]);
        }
    }
    assert!((f64::from(x[0]) - y).abs() < 1e-5, "{} {y}", x[0]);
    assert!((y - 0.994).abs() < 5e-4, "{y}");
}

#[test]
fn adagrad_stays_finite_under_many_huge_gradients() {
    for arithmetic in [Portable, Fast] {
        let config = adagrad::Config {
            arithmetic,
            ..Default::default()
        };
        let (mut state, mut x) = (State::new([0.0_f32; 1]), [1.0_f32]);
        for _ in 0..10 {
            config.step(&mut state, &mut x, &[f32::MAX]).unwrap();
        }
        config.step(&mut state, &mut x, &[0.1]).unwrap();
        assert!(x[0].is_finite() && x[0] < 0.97, "{arithmetic:?}: {x:?}");
        assert_eq!(state.memory(), [f32::MAX]);
    }
}

/// Steps of SGD with momentum on three parameters, of which the second gets `huge` and the others 1/4: the second parameter's last
/// change and its buffer.
fn sums(config: &sgd::Config, huge: f32, steps: usize, clip: Option<f32>) -> (f32, f32) {
    let (mut state, mut twin) = (State::new([0.0_f32; 3]), State::new([0.0_f32; 3]));
    let mut last = 0.0;
    for _ in 0..steps {
        let (mut x, mut y) = ([0.0; 3], [0.0; 3]);
        let mut g = [0.25, huge, 0.25];
        if let Some(bound) = clip {
            clip::by_value(bound, &mut g).unwrap();
        }
        config.step(&mut state, &mut x, &g).unwrap();
        config.step(&mut twin, &mut y, &[0.25; 3]).unwrap();
        // Neighbours do not notice.
        assert_eq!((x[0], x[2]), (y[0], y[2]));
        last = x[1];
    }
    (last, state.memory()[1])
}

#[test]
fn momentum_stays_finite_within_the_stated_bound_and_is_infinite_alone_beyond() {
    for momentum in [0.5, 0.9, 0.99] {
        for nesterov in [false, true] {
            let config = sgd::Config {
                momentum,
                nesterov,
                ..sgd::Config::new(0.5)
            };
            let most = f64::from(f32::MAX);
            for sign in [1.0, -1.0] {
                // Sums of a constant: g / (1 - momentum), half of the largest number, and the step is half of that.
                let bound = (sign * most * (1.0 - momentum) / 2.0) as f32;
                let (moved, buffer) = sums(&config, bound, 3000, None);
                for (found, expected) in [(moved, -sign * most / 4.0), (buffer, sign * most / 2.0)]
                {
                    let off = f64::from(found) / expected - 1.0;
                    assert!(
                        off.abs() < 1e-4,
                        "{momentum} {nesterov}: {found} for {expected}"
                    );
                }
                let huge = sign as f32 * f32::MAX;
                let (moved, buffer) = sums(&config, huge, 3, None);
                assert!(
                    moved.is_infinite() && buffer.is_infinite(),
                    "{momentum} {nesterov}"
                );
                let (moved, buffer) = sums(&config, huge, 3000, Some(bound.abs()));
                assert!(
                    moved.is_finite() && buffer.is_finite(),
                    "{momentum} {nesterov}"
                );
            }
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_reaches_its_parameter_and_no_other() {
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        for arithmetic in [Portable, Fast] {
            for (name, _, _, mut step) in dividers::<f32>(arithmetic) {
                let mut x = [1.0; 3];
                for _ in 0..3 {
                    step(&mut x, &[0.25, bad, 0.25]).unwrap();
                }
                assert!(!x[1].is_finite(), "{name}, {bad}");
                // Rounding at random differs from index to index.
                let alike = x[0].to_bits() == x[2].to_bits() || name == "bf16 adam";
                assert!(x[0] < 1.0 && x[2] < 1.0 && alike, "{name}");
            }
        }
    }
}

#[test]
fn only_gradients_whose_square_overflows_are_cut() {
    let narrow = Bounds::<f32>::new(Precision::Scalar);
    let top = narrow.gradient;
    assert!((top * top).is_finite() && top.to_bits() + 1 == (2.0_f32).powi(64).to_bits());
    for g in [0.0, -0.0, 1e-45, -1.5, 9e18, top, -top, f32::MIN_POSITIVE] {
        assert_eq!(Real::to_bits_u64(narrow.limit(g)), u64::from(g.to_bits()));
    }
    let wide = Bounds::<f64>::new(Precision::Scalar);
    let most = wide.gradient;
    assert!((most * most).is_finite() && most.to_bits() + 1 == (2.0_f64).powi(512).to_bits());
    for g in [0.0, -0.0, 1e19, -6e153, most, 5e-324] {
        assert_eq!(Real::to_bits_u64(wide.limit(g)), g.to_bits());
    }
    assert_eq!((narrow.limit(f32::MIN), wide.limit(f64::MAX)), (-top, most));
    assert!(narrow.limit(f32::INFINITY).is_nan() && wide.limit(f64::NAN).is_nan());
    assert!(narrow.exceeded(f32::INFINITY) && !narrow.exceeded(f32::MAX));
    assert!(!narrow.exceeded(f32::NAN) && narrow.cap(f32::NAN).is_nan());
}

#[test]
fn a_parameter_among_unusual_ones_has_the_bits_that_it_has_alone() {
    registry::visit(&mut Alone);
}

struct Alone;

impl registry::Visitor for Alone {
    fn visit<C: Elementwise>(&mut self, name: &'static str, config: C) {
        alone(name, &config);
    }

    fn visit_layered<C: Optimiser>(&mut self, _: &'static str, _: &[Layer], _: C) {}
}

fn alone(name: &str, config: &impl Optimiser) {
    let run = |x: &mut [f32], gradients: &[Vec<f32>]| {
        let mut state = State::new(vec![0.0; config.memory_len(x.len())]);
        for g in gradients {
            config.step(&mut state, x, g).unwrap();
        }
    };
    // A lone parameter never shares a register or a turn of the loop; 2e19 and above overflow, 1e-20 has a subnormal square.
    let unusual = [2e19, f32::MAX, -1e30, 1e-20, 0.0, f32::NAN, f32::INFINITY];
    let gradient = |i: usize, t: usize| match (i * 29 + t * 7) % 61 {
        k if k < unusual.len() => unusual[k],
        k => k as f32 / 16.0 - 2.0,
    };
    for n in [1_usize, 7, 16, 31, 64, 97, 203] {
        // From index 150 on nothing is unusual but at the very end.
        let calm = |i: usize| (150..n.saturating_sub(1)).contains(&i);
        let gradients: Vec<Vec<f32>> = (0..17)
            .map(|t| {
                let of = |i| if calm(i) { 0.25 } else { gradient(i, t) };
                (0..n).map(of).collect()
            })
            .collect();
        let mut alone = vec![1.0; n];
        for (i, x) in alone.chunks_mut(1).enumerate() {
            let of_one: Vec<_> = gradients.iter().map(|g| vec![g[i]]).collect();
            run(x, &of_one);
        }
        for level in crate::testing::levels() {
            let mut x = vec![1.0; n];
            run(&mut x, &gradients);
            for (i, (x, y)) in x.iter().zip(&alone).enumerate() {
                assert!(
                    x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan(),
                    "{name}, {level:?}, {i} of {n}: {x} alone {y}"
                );
            }
            assert!(n < 203 || x[160] != 1.0 && x[160].is_finite(), "{name}");
        }
    }
}

/// An Adam whose second moment is infinite, as PyTorch leaves it after a huge gradient.
#[test]
fn an_infinite_second_moment_that_is_resumed_decays() {
    for arithmetic in [Portable, Fast] {
        let config = adam::Config {
            learning_rate: RATE,
            beta2: DECAY,
            arithmetic,
            ..adam::Config::adam()
        };
        let mut state = State::resume([0.0, f32::INFINITY], 1);
        let mut x = [1.0_f32];
        for _ in 0..1200 {
            x = [1.0];
            config.step(&mut state, &mut x, &[0.25]).unwrap();
        }
        // A constant gradient: steps of the learning rate.
        assert!((x[0] - 0.5).abs() < 1e-4, "{arithmetic:?}: {x:?}");
    }
}

/// What a first step says, and whether it has changed a parameter when it fails.
fn first<T: Real>(step: impl FnOnce(&mut [T], &[T]) -> Result<(), Error>) -> String {
    let mut x = [T::ONE; 1];
    match step(&mut x, &[T::ZERO]) {
        Ok(()) if x[0].is_nan() => "NaN".to_string(),
        Ok(()) => String::new(),
        Err(error) => {
            assert_eq!(x, [T::ONE]);
            error.to_string()
        }
    }
}

/// Results of the five optimisers that take these numbers: Adam, RMSprop, Adagrad, Lion, SGD.
fn results<T: Real>(rate: f64, eps: f64, weight_decay: f64, fraction: f64) -> Vec<String> {
    let mut all = vec![];
    for arithmetic in [Portable, Fast] {
        all.push(first::<T>(|x, g| {
            let config = adam::Config {
                learning_rate: rate,
                beta1: fraction,
                beta2: fraction,
                eps,
                weight_decay,
                arithmetic,
                ..adam::Config::adam()
            };
            config.step(&mut State::new([T::ZERO; 2]), x, g)
        }));
        for eps_in_sqrt in [false, true] {
            all.push(first::<T>(|x, g| {
                let config = rmsprop::Config {
                    learning_rate: rate,
                    alpha: fraction,
                    eps,
                    eps_in_sqrt,
                    weight_decay,
                    arithmetic,
                    ..Default::default()
                };
                config.step(&mut State::new([T::ZERO; 1]), x, g)
            }));
        }
        all.push(first::<T>(|x, g| {
            let config = adagrad::Config {
                learning_rate: rate,
                eps,
                weight_decay,
                arithmetic,
                ..Default::default()
            };
            config.step(&mut State::new([T::ZERO; 1]), x, g)
        }));
    }
    all.push(first::<T>(|x, g| {
        let config = lion::Config {
            beta1: fraction,
            weight_decay,
            decay: Decay::L2,
            ..lion::Config::new(rate)
        };
        config.step(&mut State::new([T::ZERO; 1]), x, g)
    }));
    all.push(first::<T>(|x, g| {
        let config = sgd::Config {
            momentum: fraction,
            weight_decay,
            ..sgd::Config::new(rate)
        };
        config.step(&mut State::new([T::ZERO; 1]), x, g)
    }));
    all.push(first::<T>(|x, g| {
        let config = adam::Config {
            learning_rate: rate,
            eps,
            weight_decay,
            ..adam::Config::adam()
        };
        let mut state = State::new([0_u16; 2]);
        let mut lanes = NoiseStream::new(&mut stream(1, 0, 0, Purpose::NOISE));
        bf16::step(&config, &mut state, x, g, &mut lanes)
    }));
    all
}

#[test]
fn numbers_that_the_scalar_type_cannot_tell_are_refused_by_name() {
    let count = |all: &[String], text: &str| all.iter().filter(|a| *a == text).count();
    // Eleven results: none of Lion and SGD has an eps; Adagrad and the bf16 form are given no fraction.
    let good = results::<f32>(0.1, 1e-8, 1e-3, 0.9);
    assert_eq!((good.len(), count(&good, "")), (11, 11), "{good:?}");
    for (rate, eps, weight_decay, fraction, message, times) in [
        (
            0.1,
            1e-50,
            0.0,
            0.9,
            "`eps` must not round to 0 in the scalar type",
            9,
        ),
        (
            0.1,
            1e300,
            0.0,
            0.9,
            "`eps` must be finite in the scalar type",
            9,
        ),
        (
            1e-50,
            0.1,
            0.0,
            0.9,
            "`learning_rate` must not round to 0 in the scalar type",
            11,
        ),
        (
            1e300,
            0.1,
            0.0,
            0.9,
            "`learning_rate` must be finite in the scalar type",
            11,
        ),
        (
            0.1,
            0.1,
            1e-50,
            0.9,
            "`weight_decay` must not round to 0 in the scalar type",
            11,
        ),
        (
            0.1,
            0.1,
            1e300,
            0.9,
            "`weight_decay` must be finite in the scalar type",
            11,
        ),
        (
            0.1,
            0.1,
            0.0,
            1.0 - 1e-9,
            "must not round to 1 in the scalar type",
            0,
        ),
    ] {
        let found = results::<f32>(rate, eps, weight_decay, fraction);
        if times > 0 {
            assert_eq!(count(&found, message), times, "{message}: {found:?}");
        } else {
            let named = found.iter().filter(|a| a.ends_with(message)).count();
            assert_eq!(named, 8, "{found:?}");
        }
        let wide = results::<f64>(
            rate.clamp(1e-50, 1e9),
            eps.min(1e9),
            weight_decay.min(1e9),
            fraction,
        );
        assert_eq!(count(&wide, ""), 11, "{wide:?}");
    }
    // In f64 the least number is 5e-324.
    let tiny = results::<f64>(0.1, 5e-324, 0.0, 0.9);
    assert!(!tiny.iter().any(|a| a == "NaN"), "{tiny:?}");
}

#[test]
fn a_small_eps_is_told_from_none() {
    let step = |eps: f64| {
        first::<f32>(|x, g| {
            let config = adam::Config {
                eps,
                ..adam::Config::adam()
            };
            config.step(&mut State::new([0.0_f32; 2]), x, g)
        })
    };
    // sqrt(0.001) times the least number rounds to 0; none at all is PyTorch's 0 / 0.
    assert_eq!(step(1e-45), "`eps` must not round to 0 in the scalar type");
    assert_eq!((step(1e-43), step(0.0)), (String::new(), "NaN".to_string()));
}
