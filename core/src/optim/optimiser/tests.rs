//! The contract, for every optimiser of the registry.

use super::*;
use crate::optim::registry::{self, Visitor};
use crate::optim::tests::{assert_levels_agree, painted};
use crate::optim::{Elementwise, bf16};
use crate::random::{NoiseStream, Purpose, stream};
use std::vec;
use std::vec::Vec;

/// Steps of a config with a state in `f32`, or in bf16 keyed by the step.
fn advance<C: Elementwise, T: Real>(
    config: &C,
    state: &mut State<C, Vec<T>>,
    x: &mut [T],
    steps: core::ops::Range<usize>,
) {
    for t in steps {
        config.step(state, x, &painted(x.len(), t)).unwrap();
    }
}

fn advance_narrow<C: Elementwise, T: Real>(
    config: &C,
    state: &mut State<C, Vec<u16>>,
    x: &mut [T],
    steps: core::ops::Range<usize>,
) -> Result<(), Error> {
    for t in steps {
        let mut lanes = NoiseStream::new(&mut stream(4, state.steps(), 0, Purpose::NOISE));
        bf16::step(config, state, x, &painted(x.len(), t), &mut lanes)?;
    }
    Ok(())
}

fn bits<T: Real>(x: &[T]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits_u64()).collect()
}

/// The state that was saved, restored into a fresh one; a damaged save is refused and changes nothing.
fn restored<C: Optimiser, E: Stored + PartialEq + fmt::Debug, W>(
    state: &State<C, Vec<E>, W>,
) -> State<C, Vec<E>> {
    let mut bytes = vec![0; state.snapshot_len()];
    assert_eq!(state.save(&mut bytes), Ok(bytes.len()));
    let mut other = State::<C, _>::new(vec![E::ZEROED; state.memory().len()]);
    bytes[30] ^= 1;
    assert!(other.restore(&bytes).is_err());
    assert_eq!(other.steps(), 0);
    assert!(other.memory().iter().all(|e| *e == E::ZEROED));
    bytes[30] ^= 1;
    other.restore(&bytes).unwrap();
    other
}

type Layered<C, T> = State<C, Vec<T>, Vec<T>>;

/// A state for layers of the registry, of zeros.
fn fresh<C: Optimiser, T: Real>(config: &C, layers: &[Layer]) -> Layered<C, T> {
    State::new(vec![T::ZERO; config.layers_memory_len(layers)]).with_workspace(vec![
        T::NAN;
        config
            .workspace_len(
                layers
            )
    ])
}

/// Parameters after steps on layers of the registry, and the state.
fn layered<C: Optimiser, T: Real>(
    config: &C,
    layers: &[Layer],
    steps: usize,
) -> (Vec<T>, Layered<C, T>) {
    let mut state = fresh(config, layers);
    let mut x = painted(params_len(layers), 1);
    advance_layers(config, layers, &mut state, &mut x, 0..steps);
    (x, state)
}

fn advance_layers<C: Optimiser, T: Real>(
    config: &C,
    layers: &[Layer],
    state: &mut Layered<C, T>,
    x: &mut [T],
    steps: core::ops::Range<usize>,
) {
    for t in steps {
        let g = painted(x.len(), t);
        config.step_layers(layers, state, x, &g).unwrap();
    }
}

struct Resumes;

impl Visitor for Resumes {
    fn visit<C: Elementwise>(&mut self, name: &'static str, config: C) {
        const N: usize = 5;
        let (mut state, mut x) = (State::new(vec![0.0; config.memory_len(N)]), [0.5_f32; N]);
        advance(&config, &mut state, &mut x, 0..10);
        assert!(x.iter().all(|x| *x != 0.5), "{name}");
        let (mut resumed, mut y) = (restored(&state), x);
        advance(&config, &mut state, &mut x, 10..20);
        advance(&config, &mut resumed, &mut y, 10..20);
        assert_eq!(
            (bits(&x), bits(state.memory())),
            (bits(&y), bits(resumed.memory()))
        );
        assert_eq!((state.steps(), resumed.steps()), (20, 20), "{name}");
        state.reset();
        assert_eq!(state, State::new(vec![0.0; config.memory_len(N)]));

        let (mut state, mut x) = (State::new(vec![0; config.memory_len(N)]), [0.5_f32; N]);
        if advance_narrow(&config, &mut state, &mut x, 0..10).is_err() {
            return assert_eq!(name, "amsgrad");
        }
        let (mut resumed, mut y) = (restored(&state), x);
        advance_narrow(&config, &mut state, &mut x, 10..20).unwrap();
        advance_narrow(&config, &mut resumed, &mut y, 10..20).unwrap();
        assert_eq!((bits(&x), &state), (bits(&y), &resumed), "{name}");
    }

    fn visit_layered<C: Optimiser>(&mut self, name: &'static str, layers: &[Layer], config: C) {
        let (mut x, mut state) = layered::<C, f32>(&config, layers, 10);
        let workspace = vec![0.0; config.workspace_len(layers)];
        let mut resumed = restored(&state).with_workspace(workspace);
        let mut y = x.clone();
        advance_layers(&config, layers, &mut state, &mut x, 10..20);
        advance_layers(&config, layers, &mut resumed, &mut y, 10..20);
        assert_eq!((bits(&x), &state), (bits(&y), &resumed), "{name}");
        assert!(
            x.iter()
                .zip(painted::<f32>(x.len(), 1))
                .all(|(x, y)| *x != y)
        );
    }
}

#[test]
fn every_optimiser_resumes_with_the_same_bits() {
    registry::visit(&mut Resumes);
}

struct Refuses;

impl Visitor for Refuses {
    fn visit<C: Elementwise>(&mut self, name: &'static str, config: C) {
        let len = config.memory_len(2);
        let (mut state, mut x) = (State::new(vec![0.0; len]), [1.0_f32, 2.0]);
        advance(&config, &mut state, &mut x, 0..3);
        let before = (state.clone(), x);
        let of = |name, expected, found| {
            Err(Error::Length {
                name,
                expected,
                found,
            })
        };
        assert_eq!(config.step(&mut state, &mut x, &[1.0]), of("grad", 2, 1));
        let mut long = [0.0; 3];
        let expected = if len == 0 {
            Ok(())
        } else {
            of("state", len / 2 * 3, len)
        };
        assert_eq!(
            config.step(&mut before.0.clone(), &mut long, &[1.0; 3]),
            expected,
            "{name}"
        );
        let layers = [Layer::Matrix {
            rows: 3,
            columns: 1,
        }];
        let error = config.step_layers(
            &layers,
            &mut State::new(vec![0.0; len / 2 * 3]),
            &mut x,
            &[1.0; 2],
        );
        assert_eq!(error, of("params", 3, 2));
        let mut short = vec![0.0; len.saturating_sub(1)];
        if len > 0 {
            let memory = Memory::new([&mut short[..], &mut [], &mut []]);
            let error = config.advance(&[Layer::Vector(2)], 0, memory, &mut x, &[1.0; 2]);
            assert!(
                matches!(error, Err(Error::Length { name: "buffer", .. })),
                "{name}"
            );
        }
        assert_eq!((&state, x), (&before.0, before.1), "{name}");

        let mut narrow = State::new(vec![7; len]);
        let mut lanes = NoiseStream::new(&mut stream(4, 0, 0, Purpose::NOISE));
        let drawn = lanes.clone();
        assert!(bf16::step(&config, &mut narrow, &mut x, &[1.0], &mut lanes).is_err());
        if len > 0 {
            assert!(bf16::step(&config, &mut narrow, &mut long, &[1.0; 3], &mut lanes).is_err());
        }
        assert_eq!(
            (narrow, x, lanes),
            (State::new(vec![7; len]), before.1, drawn)
        );
    }

    fn visit_layered<C: Optimiser>(&mut self, name: &'static str, layers: &[Layer], config: C) {
        let (mut x, mut state) = layered::<C, f32>(&config, layers, 3);
        let (before, n) = ((x.clone(), state.clone()), x.len());
        let g = painted(n, 1);
        let workspace = || vec![0.0; config.workspace_len(layers)];
        let mut refuses = |layers, state: &mut Layered<C, f32>, g| {
            let error = config.step_layers(layers, state, &mut x, g);
            assert!(matches!(error, Err(Error::Length { .. })), "{name}");
        };
        refuses(layers, &mut state, &g[1..]);
        refuses(&layers[1..], &mut state, &g);
        let short = State::new(state.memory()[1..].to_vec());
        refuses(layers, &mut short.with_workspace(workspace()), &g);
        if let Some(least) = config.workspace_len(layers).checked_sub(1) {
            let state = State::new(state.memory().to_vec());
            refuses(layers, &mut state.with_workspace(vec![0.0; least]), &g);
        }
        assert_eq!((x, state), before, "{name}");
        assert_eq!(
            config.step_layers(&[], &mut State::new([]), &mut [], &[] as &[f32]),
            Ok(())
        );
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused_and_change_nothing() {
    registry::visit(&mut Refuses);
}

struct Levels;

impl Visitor for Levels {
    fn visit<C: Elementwise>(&mut self, name: &'static str, config: C) {
        fn wide<C: Elementwise, T: Real>(config: &C, n: usize) -> [Vec<u64>; 2] {
            let (mut state, mut x) = (
                State::new(painted::<T>(config.memory_len(n), 2)),
                painted::<T>(n, 1),
            );
            state.memory.iter_mut().for_each(|m| *m = m.abs());
            advance(config, &mut state, &mut x, 0..3);
            assert!(n == 0 || x != painted::<T>(n, 1));
            [bits(&x), bits(state.memory())]
        }
        fn narrow<C: Elementwise, T: Real>(config: &C, n: usize) -> (Vec<u64>, Vec<u16>) {
            let (mut state, mut x) = (
                State::new(vec![0; config.memory_len(n)]),
                painted::<T>(n, 1),
            );
            advance_narrow(config, &mut state, &mut x, 0..3).unwrap();
            (bits(&x), state.memory)
        }
        assert_levels_agree(|n| wide::<_, f32>(&config, n));
        assert_levels_agree(|n| wide::<_, f64>(&config, n));
        if name != "amsgrad" {
            assert_levels_agree(|n| narrow::<_, f32>(&config, n));
            assert_levels_agree(|n| narrow::<_, f64>(&config, n));
        }
    }

    fn visit_layered<C: Optimiser>(&mut self, name: &'static str, layers: &[Layer], config: C) {
        assert_levels_agree(|_| layered::<C, f32>(&config, layers, 3));
        assert_levels_agree(|_| layered::<C, f64>(&config, layers, 3));
        let _ = name;
    }
}

#[test]
fn bits_do_not_depend_on_the_level() {
    registry::visit(&mut Levels);
}

struct Divides;

impl Visitor for Divides {
    fn visit<C: Elementwise>(&mut self, name: &'static str, config: C) {
        const N: usize = 1003;
        let (mut whole, mut x) = (
            State::new(vec![0.0; config.memory_len(N)]),
            painted::<f32>(N, 1),
        );
        let cuts = [0, 1, 8, 500, N];
        let mut parts: Vec<_> = cuts
            .windows(2)
            .map(|w| State::new(vec![0.0; config.memory_len(w[1] - w[0])]))
            .collect();
        let mut y = x.clone();
        for t in 0..17 {
            let g = painted(N, t);
            config.step(&mut whole, &mut x, &g).unwrap();
            for (state, w) in parts.iter_mut().zip(cuts.windows(2)) {
                config
                    .step(state, &mut y[w[0]..w[1]], &g[w[0]..w[1]])
                    .unwrap();
            }
        }
        assert_eq!(bits(&x), bits(&y), "{name}");
    }

    fn visit_layered<C: Optimiser>(&mut self, name: &'static str, layers: &[Layer], config: C) {
        let (x, _) = layered::<C, f64>(&config, layers, 17);
        let (mut start, mut parts) = (painted::<f64>(x.len(), 1), Vec::new());
        let mut from = 0;
        for &layer in layers {
            let range = from..from + layer.len();
            let part = &mut start[range.clone()];
            let mut state: Layered<C, f64> = fresh(&config, &[layer]);
            for t in 0..17 {
                let g = painted(x.len(), t);
                config
                    .step_layers(&[layer], &mut state, part, &g[range.clone()])
                    .unwrap();
            }
            parts.extend(bits(part));
            from = range.end;
        }
        assert_eq!(bits(&x), parts, "{name}");
    }
}

#[test]
fn parts_with_their_own_states_have_the_bits_of_the_whole() {
    registry::visit(&mut Divides);
}

struct Rounds;

impl Visitor for Rounds {
    /// A step in bf16 is the wide step, its moments rounded by halves of words.
    fn visit<C: Elementwise>(&mut self, name: &'static str, config: C) {
        const N: usize = 600;
        if name == "amsgrad" {
            return;
        }
        let len = config.memory_len(N);
        let (mut narrow, mut exact) = (State::new(vec![0; len]), State::new(vec![0.0; len]));
        let (mut x, g) = (painted::<f32>(N, 1), painted::<f32>(N, 2));
        let mut y = x.clone();
        let mut lanes = NoiseStream::new(&mut stream(2, 0, 0, Purpose::NOISE));
        let mut drawn = lanes.clone();
        bf16::step(&config, &mut narrow, &mut x, &g, &mut lanes).unwrap();
        config.step(&mut exact, &mut y, &g).unwrap();
        assert_eq!(bits(&x), bits(&y), "{name}");
        // A word for two buffers, drawn in runs of 256.
        let kept = len / N;
        for start in (0..N).step_by(256) {
            let run = 256.min(N - start);
            let mut words = vec![0; run];
            for buffer in 0..kept {
                if buffer % 2 == 0 {
                    drawn.fill_u32(&mut words);
                }
                for (i, word) in words.iter().enumerate() {
                    let at = buffer * N + start + i;
                    let half = (word >> (16 * (1 - buffer % 2))) as u16;
                    assert_eq!(
                        narrow.memory()[at],
                        bf16::round(exact.memory()[at], half),
                        "{name} {at}"
                    );
                }
            }
        }
        assert_eq!(lanes, drawn);
    }

    fn visit_layered<C: Optimiser>(&mut self, name: &'static str, layers: &[Layer], config: C) {
        let _ = (name, layers, config);
    }
}

#[test]
fn a_step_in_bf16_is_the_wide_step_with_rounded_moments() {
    registry::visit(&mut Rounds);
}

/// Configs that are refused by the name of a field, with nothing changed.
pub(crate) fn assert_refuses<C: Optimiser>(good: C, bad: &[(&str, C)]) {
    assert_refuses_on(&[Layer::Vector(2)], good, bad);
}

/// [`assert_refuses`] on layers of two parameters.
pub(crate) fn assert_refuses_on<C: Optimiser>(layers: &[Layer], good: C, bad: &[(&str, C)]) {
    let (mut state, mut x) = (fresh(&good, layers), [1.0_f32, 2.0]);
    good.step_layers(layers, &mut state, &mut x, &[3.0, 4.0])
        .unwrap();
    let before = (state.memory().to_vec(), x);
    for (expected, config) in bad {
        let refused = config.step_layers(layers, &mut fresh(config, layers), &mut x, &[1.0, 1.0]);
        match refused {
            Err(Error::Parameter { name, .. }) => assert_eq!(name, *expected),
            other => panic!("{config:?} gave {other:?}"),
        }
    }
    assert_eq!((state.memory(), x), (&before.0[..], before.1));
}
