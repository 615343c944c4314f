//! Optimisers against the trajectories of `torch.optim` and optax in `golden/optim.txt`.
//!
//! Regenerate with `golden/optim.py`; the versions are in the first line of the file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in helpers too"
)]

use thalweg::optim::{Decay, Layer, Optimiser, State, adagrad, adam, lion, muon, rmsprop, sgd};
use thalweg::{Error, Real};

const GOLDEN: &str = include_str!("golden/optim.txt");
const N: usize = 7;
const SHOWN: [usize; 4] = [1, 2, 5, 20];

/// The gradient of `optim.py`: the same products of powers of two, exact in both scalar types.
fn grad<T: Real>(t: usize) -> [T; N] {
    core::array::from_fn(|i| {
        let x = ((t * 37 + i * 101 + 13) as u32).wrapping_mul(2_654_435_761);
        let g = (f64::from(x >> 16) / 32768.0 - 1.0) * 0.25_f64.powi(i as i32);
        T::from_f64(if i == 3 { 0.0 } else { g })
    })
}

struct Options<'a>(Vec<(&'a str, f64)>);

impl Options<'_> {
    fn get(&self, name: &str) -> f64 {
        let (_, value) = self.0.iter().find(|(key, _)| *key == name).unwrap();
        *value
    }
    fn flag(&self, name: &str) -> bool {
        self.get(name) != 0.0
    }
}

/// A step of some algorithm with its state inside.
type Step<'a, T> = Box<dyn FnMut(&mut [T], &[T]) -> Result<(), Error> + 'a>;

fn optimiser<T: Real>(algorithm: &str, o: &Options<'_>) -> Step<'static, T> {
    match algorithm {
        "sgd" => {
            let config = sgd::Config {
                momentum: o.get("momentum"),
                dampening: o.get("dampening"),
                nesterov: o.flag("nesterov"),
                weight_decay: o.get("weight_decay"),
                maximize: o.flag("maximize"),
                ..sgd::Config::new(o.get("lr"))
            };
            let mut state = State::new(vec![T::ZERO; config.state_len(N)]);
            Box::new(move |x, g| config.step(&mut state, x, g))
        }
        "adam" | "adamw" => {
            let config = adam::Config {
                learning_rate: o.get("lr"),
                beta1: o.get("beta1"),
                beta2: o.get("beta2"),
                eps: o.get("eps"),
                weight_decay: o.get("weight_decay"),
                decay: if algorithm == "adam" {
                    Decay::L2
                } else {
                    Decay::Decoupled
                },
                amsgrad: o.flag("amsgrad"),
                maximize: o.flag("maximize"),
                ..Default::default()
            };
            let mut state = State::new(vec![T::ZERO; config.state_len(N)]);
            Box::new(move |x, g| config.step(&mut state, x, g))
        }
        "rmsprop" | "rmsprop_optax" => {
            let base = rmsprop::Config {
                eps: o.get("eps"),
                momentum: o.get("momentum"),
                ..Default::default()
            };
            let config = if algorithm == "rmsprop" {
                rmsprop::Config {
                    learning_rate: o.get("lr"),
                    alpha: o.get("alpha"),
                    centered: o.flag("centered"),
                    weight_decay: o.get("weight_decay"),
                    maximize: o.flag("maximize"),
                    ..base
                }
            } else {
                rmsprop::Config {
                    learning_rate: o.get("learning_rate"),
                    alpha: o.get("decay"),
                    eps_in_sqrt: true,
                    ..base
                }
            };
            let mut state = State::new(vec![T::ZERO; config.state_len(N)]);
            Box::new(move |x, g| config.step(&mut state, x, g))
        }
        "adagrad" => {
            let config = adagrad::Config {
                learning_rate: o.get("lr"),
                lr_decay: o.get("lr_decay"),
                initial_accumulator: o.get("initial_accumulator_value"),
                eps: o.get("eps"),
                weight_decay: o.get("weight_decay"),
                maximize: o.flag("maximize"),
                ..Default::default()
            };
            let mut state = State::new(vec![T::ZERO; config.state_len(N)]);
            Box::new(move |x, g| config.step(&mut state, x, g))
        }
        "lion" => {
            let config = lion::Config {
                beta1: o.get("b1"),
                beta2: o.get("b2"),
                weight_decay: o.get("weight_decay"),
                ..lion::Config::new(o.get("learning_rate"))
            };
            let mut state = State::new(vec![T::ZERO; config.state_len(N)]);
            Box::new(move |x, g| config.step(&mut state, x, g))
        }
        other => panic!("no such algorithm: {other}"),
    }
}

/// Largest error over a trajectory, in units of EPSILON * max(|x|, 1/4).
fn worst<T: Real>(algorithm: &str, o: &Options<'_>, expected: &[T]) -> f64 {
    let mut step = optimiser::<T>(algorithm, o);
    let mut x: [T; N] = core::array::from_fn(|i| T::from_f64((i as f64 - 3.0) / 4.0));
    let mut rows = expected.chunks_exact(N);
    let mut worst = 0.0_f64;
    for t in 1..=20 {
        step(&mut x, &grad(t)).unwrap();
        if SHOWN.contains(&t) {
            for (x, y) in x.iter().zip(rows.next().unwrap()) {
                let (x, y) = (x.to_f64(), y.to_f64());
                let error = (x - y).abs() / (T::EPSILON.to_f64() * y.abs().max(0.25));
                // A NaN on either side is an error without bound.
                worst = worst.max(if error.is_nan() { f64::INFINITY } else { error });
            }
        }
    }
    assert!(rows.next().is_none());
    worst
}

#[test]
fn trajectories_are_those_of_torch_and_optax() {
    let mut cases = 0;
    for line in GOLDEN.lines().filter(|l| !l.starts_with('#')) {
        let (head, tail) = line.split_once(" : ").unwrap();
        let mut words = head.split(' ');
        let (scalar, algorithm) = (words.next().unwrap(), words.next().unwrap());
        let options = Options(
            words
                .map(|w| w.split_once('=').unwrap())
                .map(|(key, value)| (key, value.parse().unwrap()))
                .collect(),
        );
        let bits = tail.split(' ').map(|w| u64::from_str_radix(w, 16).unwrap());
        let units = if scalar == "f32" {
            let expected: Vec<f32> = bits.map(f32::from_bits_u64).collect();
            worst(algorithm, &options, &expected)
        } else {
            let expected: Vec<f64> = bits.map(f64::from_bits_u64).collect();
            worst(algorithm, &options, &expected)
        };
        // 20 steps, each rounded a few times: f64 stays below 3e-15 relative.
        assert!(units <= 12.0, "{head}: {units} units in the last place");
        cases += 1;
    }
    assert!(cases > 100, "only {cases} cases");
}

/// The largest error of a trajectory of `golden/muon.py`, in units of EPSILON.
fn worst_of_muon<T: Real>([rows, columns, nesterov]: [usize; 3], expected: &[T]) -> f64 {
    let n = rows * columns;
    let config = muon::Config {
        momentum: 0.9,
        nesterov: nesterov == 1,
        weight_decay: 0.25,
        eps: if nesterov == 1 { 1e-7 } else { 0.0 },
        ..muon::Config::new(0.125)
    };
    let layers = [Layer::Matrix { rows, columns }];
    let workspace = vec![T::ZERO; config.workspace_len(&layers)];
    let mut state = State::new(vec![T::ZERO; n]).with_workspace(workspace);
    let mut x: Vec<T> = (0..n)
        .map(|i| T::from_f64((i as f64 - 3.0) / 4.0))
        .collect();
    let (mut worst, mut shown) = (0.0_f64, expected.chunks_exact(n));
    for t in 1..=5 {
        let g = (0..n).map(|i| {
            let x = ((t * 37 + i * 101 + 13) as u32).wrapping_mul(2_654_435_761);
            T::from_f64((f64::from(x >> 16) / 32768.0 - 1.0) * 0.5_f64.powi((i % 5) as i32))
        });
        let g: Vec<T> = g.collect();
        config.step_layers(&layers, &mut state, &mut x, &g).unwrap();
        if [1, 2, 5].contains(&t) {
            for (x, y) in x.iter().zip(shown.next().unwrap()) {
                let error = (*x - *y).abs().to_f64() / T::EPSILON.to_f64();
                worst = worst.max(if error.is_nan() { f64::INFINITY } else { error });
            }
        }
    }
    assert!(shown.next().is_none());
    worst
}

#[test]
fn muon_is_that_of_optax_and_jordan() {
    let (mut cases, golden) = (0, include_str!("golden/muon.txt"));
    for line in golden.lines().filter(|l| !l.starts_with('#')) {
        let mut words = line.split(' ');
        let scalar = words.next().unwrap();
        let case = [(); 3].map(|()| words.next().unwrap().parse().unwrap());
        let bits = words.map(|w| u64::from_str_radix(w, 16).unwrap());
        let units = if scalar == "f32" {
            let expected: Vec<f32> = bits.map(f32::from_bits_u64).collect();
            worst_of_muon(case, &expected)
        } else {
            let expected: Vec<f64> = bits.map(f64::from_bits_u64).collect();
            worst_of_muon(case, &expected)
        };
        // Of weights of about 1, after five steps of five iterations.
        assert!(units <= 12.0, "{scalar} {case:?}: {units} EPSILON");
        cases += 1;
    }
    assert_eq!(cases, 20);
}
