//! Optimisers with their saved states, clipping, averages, schedules.

use core::marker::PhantomData;
use thalweg::optim::average::{Ema, EmaConfig, Lookahead, LookaheadConfig, Swa};
use thalweg::optim::clip::{self, GlobalNorm, Guard, Verdict};
use thalweg::optim::registry::{self, Visitor};
use thalweg::optim::schedule::{
    Constant, CosineDecay, CosineOnecycle, ExponentialDecay, Interpolation, Join, LinearOnecycle,
    Noam, PiecewiseConstant, PiecewiseInterpolate, Plateau, Polynomial, ReduceOnPlateau, Schedule,
    Sgdr, Step, WarmupConstant, WarmupCosineDecay, WarmupExponentialDecay,
};
use thalweg::optim::{
    BUFFERS, Decay, Elementwise, Layer, Memory, Optimiser, Precision, State, adagrad, adam, bf16,
    lamb, lion, muon, nero, params_len, rmsprop, sgd,
};
use thalweg::random::{self, NoiseStream, Purpose};
use thalweg::snapshot::Snapshot;
use thalweg::{Arithmetic, Error, Real};

use crate::{Hash, MISSING, Outcome, paint};

const D: usize = 37;

/// What the optimisers of the registry need at most for its layers.
const WORKSPACE: usize = 512;

/// Two matrices and a vector.
const LAYERS: [Layer; 3] = [
    Layer::Matrix {
        rows: 3,
        columns: 9,
    },
    Layer::Vector(4),
    Layer::Matrix {
        rows: 2,
        columns: 3,
    },
];
const DECAYS: [Decay; 3] = [Decay::L2, Decay::Decoupled, Decay::Independent];

/// A step of an optimiser on parameters and gradient.
type Advance<'a, T, S> = &'a dyn Fn(&mut S, &mut [T], &[T]) -> Result<(), Error>;

/// Steps with a state that is saved and restored after each one: past the sixteenth, where Adam flushes subnormal moments.
fn steps<T: Real, S: Snapshot>(hash: &mut Hash, state: &mut S, step: Advance<'_, T, S>) -> Outcome {
    let (mut x, mut g, mut saved) = ([T::ZERO; D], [T::ZERO; D], [0; 1024]);
    paint(&mut x, 20);
    for t in 0..17 {
        paint(&mut g, 21 + t);
        // Its moments are subnormal.
        g[0] = T::MIN_POSITIVE;
        step(state, &mut x, &g)?;
        save_and_restore(hash, state, &mut saved)?;
    }
    hash.reals(&x);
    Ok(())
}

/// A buffer of a state of `D` parameters.
fn buffer<T>(memory: &[T], i: usize) -> &[T] {
    memory.chunks(D).nth(i).unwrap_or_default()
}

fn save_and_restore(hash: &mut Hash, state: &mut impl Snapshot, bytes: &mut [u8]) -> Outcome {
    let len = state.save(bytes)?;
    let saved = bytes.get(..len).ok_or(MISSING)?;
    hash.bytes(saved);
    hash.size(state.snapshot_len());
    state.restore(saved)?;
    Ok(())
}

pub(super) fn sgd<T: Real>(hash: &mut Hash) -> Outcome {
    for decay in DECAYS {
        let plain = sgd::Config {
            weight_decay: 0.01,
            decay,
            ..sgd::Config::new(0.1)
        };
        let heavy = sgd::Config {
            momentum: 0.9,
            dampening: 0.1,
            maximize: true,
            ..plain
        };
        let nesterov = sgd::Config {
            momentum: 0.9,
            nesterov: true,
            ..plain
        };
        let mut state = State::new([T::ZERO; 0]);
        steps(hash, &mut state, &|s, x, g| plain.step(s, x, g))?;
        let mut state = State::new([T::ZERO; D]);
        for config in [heavy, nesterov] {
            config.validate()?;
            state.reset();
            steps(hash, &mut state, &|s, x, g| config.step(s, x, g))?;
        }
        hash.reals(state.memory());
    }
    hash.size(
        sgd::Config {
            momentum: 0.5,
            ..sgd::Config::new(0.1)
        }
        .state_len(D),
    );
    Ok(())
}

pub(super) fn adam<T: Real>(hash: &mut Hash) -> Outcome {
    for decay in DECAYS {
        let config = adam::Config {
            decay,
            ..adam::Config::adamw()
        };
        config.validate()?;
        let mut state = State::new([T::ZERO; 2 * D]);
        steps(hash, &mut state, &|s, x, g| config.step(s, x, g))?;
        hash.reals(buffer(state.memory(), 0));
        hash.word(state.steps());
    }
    let config = adam::Config {
        amsgrad: true,
        maximize: true,
        ..adam::Config::adam()
    };
    let mut state = State::new([T::ZERO; 3 * D]);
    steps(hash, &mut state, &|s, x, g| config.step(s, x, g))?;
    hash.reals(buffer(state.memory(), 1));
    hash.reals(buffer(state.memory(), 2));
    state.reset();
    let fast = adam::Config {
        arithmetic: Arithmetic::Fast,
        ..config
    };
    fast.step(&mut state, &mut [T::ONE; D], &[T::ONE; D])?;
    hash.size(config.state_len(D));
    Ok(())
}

pub(super) fn rmsprop<T: Real>(hash: &mut Hash) -> Outcome {
    let plain = rmsprop::Config {
        weight_decay: 0.01,
        ..Default::default()
    };
    let heavy = rmsprop::Config {
        momentum: 0.9,
        eps_in_sqrt: true,
        ..plain
    };
    let centered = rmsprop::Config {
        centered: true,
        maximize: true,
        ..plain
    };
    let both = rmsprop::Config {
        momentum: 0.9,
        decay: Decay::Decoupled,
        ..centered
    };
    let mut state = State::new([T::ZERO; D]);
    steps(hash, &mut state, &|s, x, g| plain.step(s, x, g))?;
    let mut state = State::new([T::ZERO; 2 * D]);
    steps(hash, &mut state, &|s, x, g| heavy.step(s, x, g))?;
    let mut state = State::new([T::ZERO; 2 * D]);
    steps(hash, &mut state, &|s, x, g| centered.step(s, x, g))?;
    let mut state = State::new([T::ZERO; 3 * D]);
    steps(hash, &mut state, &|s, x, g| both.step(s, x, g))?;
    both.validate()?;
    hash.reals(state.memory());
    state.reset();
    let fast = rmsprop::Config {
        arithmetic: Arithmetic::Fast,
        ..both
    };
    fast.step(&mut state, &mut [T::ONE; D], &[T::ONE; D])?;
    hash.size(both.state_len(D));
    Ok(())
}

pub(super) fn adagrad_and_lion<T: Real>(hash: &mut Hash) -> Outcome {
    let config = adagrad::Config {
        lr_decay: 0.1,
        initial_accumulator: 0.5,
        weight_decay: 0.01,
        ..Default::default()
    };
    let mut state = State::new([T::ZERO; D]);
    config.validate()?;
    steps(hash, &mut state, &|s, x, g| config.step(s, x, g))?;
    hash.reals(state.memory());
    hash.word(state.steps());
    state.reset();
    let fast = adagrad::Config {
        arithmetic: Arithmetic::Fast,
        ..config
    };
    fast.step(&mut state, &mut [T::ONE; D], &[T::ONE; D])?;
    hash.size(config.state_len(D));

    for decay in DECAYS {
        let config = lion::Config {
            decay,
            ..lion::Config::new(0.01)
        };
        let mut state = State::new([T::ZERO; D]);
        config.validate()?;
        steps(hash, &mut state, &|s, x, g| config.step(s, x, g))?;
        hash.reals(state.memory());
        state.reset();
    }
    hash.size(lion::Config::new(0.01).state_len(D));
    Ok(())
}

/// Every optimiser of the registry; and what lies under a step, on one of them.
pub(super) fn registered<T: Real>(hash: &mut Hash) -> Outcome {
    struct Visit<'a, T>(&'a mut Hash, Outcome, PhantomData<T>);
    impl<T: Real> Visitor for Visit<'_, T> {
        fn visit<C: Elementwise>(&mut self, _: &'static str, config: C) {
            let mut memory = [T::ZERO; BUFFERS * D];
            let outcome = memory
                .get_mut(..config.memory_len(D))
                .ok_or(MISSING)
                .and_then(|memory| {
                    let mut state = State::new_in(memory);
                    steps(self.0, &mut state, &|s, x, g| config.step(s, x, g))
                });
            self.1 = self.1.and(outcome);
        }

        fn visit_layered<C: Optimiser>(&mut self, _: &'static str, layers: &[Layer], config: C) {
            let (mut memory, mut workspace) = ([T::ZERO; BUFFERS * D], [T::ZERO; WORKSPACE]);
            self.0.size(config.workspace_len(layers));
            let outcome = memory
                .get_mut(..config.layers_memory_len(layers))
                .ok_or(MISSING)
                .and_then(|memory| {
                    let mut state = State::new_in(memory).with_workspace(&mut workspace[..]);
                    steps(self.0, &mut state, &|s, x, g| {
                        config.step_layers(layers, s, x, g)
                    })
                });
            self.1 = self.1.and(outcome);
        }
    }
    // The parameters of the layers are as many as those of the other optimisers.
    let mut visit = Visit::<T>(hash, Ok(()), PhantomData);
    registry::visit(&mut visit);
    visit.1?;
    let mut weights = [T::ONE; D];
    paint(&mut weights, 9);
    nero::project(&LAYERS, &mut weights)?;
    hash.reals(&weights);
    let config = nero::Config::default();
    hash.size(
        config.layers_len(&LAYERS)
            + usize::from(config.layer_buffers(&LAYERS) == config.lengths(&LAYERS)),
    );
    config.check_layers(&LAYERS)?;
    lamb::Config::new(0.1).validate()?;
    let config = muon::Config::new(0.1);
    config.validate()?;
    let matrices = LAYERS.get(..1).ok_or(MISSING)?;
    hash.size(config.layers_len(matrices) + config.workspace_len(matrices));
    let layers = [
        Layer::Matrix {
            rows: 4,
            columns: 9,
        },
        Layer::Vector(1),
    ];
    hash.size(params_len(&layers));
    if layers
        .iter()
        .any(|layer| layer.is_empty() || layer.len() > D)
    {
        return Err(MISSING);
    }
    let config = lion::Config::new(0.01);
    config.validate()?;
    let (mut x, mut memory) = ([T::ZERO; D], [T::ONE; D]);
    config.step_layers(
        &layers,
        &mut State::resume(&mut memory[..], 1),
        &mut x,
        &[T::ONE; D],
    )?;
    let buffers = config.lengths(&layers);
    hash.size(usize::from(buffers == config.buffers(D)));
    config.advance(
        &layers,
        2,
        Memory::new([&mut memory, &mut [], &mut []]),
        &mut x,
        &[T::ONE; D],
    )?;
    let prepared = config.prepare::<T>(3, Precision::Scalar)?;
    let memory = Memory::new([&mut memory[..], &mut [], &mut []]);
    lion::Config::run(&prepared, &layers, memory, &mut x, &[T::ONE; D]);
    hash.reals(&x);
    Ok(())
}

pub(super) fn clip<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut g) = ([T::ZERO; D], [T::ZERO; D]);
    let fresh = |g: &mut [T]| paint(g, 31);
    paint(&mut x, 30);
    fresh(&mut g);
    let mut norm = GlobalNorm::new();
    norm.accumulate(&x)?;
    norm.accumulate(&g)?;
    let coefficient = norm.coefficient(T::ONE)?;
    hash.reals(&[norm.norm()?, coefficient]);
    clip::scale(coefficient, &mut g);
    hash.reals(&g);
    fresh(&mut g);
    hash.reals(&[clip::by_global_norm(T::ONE, &mut [&mut x, &mut g])?]);
    hash.reals(&g);
    fresh(&mut g);
    clip::by_value(T::from_f64(1.5), &mut g)?;
    hash.reals(&g);
    clip::by_block_rms(T::from_f64(0.5), &mut g)?;
    hash.reals(&g);
    fresh(&mut g);
    clip::adaptive(T::from_f64(0.1), T::from_f64(1e-3), &x, &mut g)?;
    hash.reals(&g);
    clip::check_finite(&g)?;
    let mut guard = Guard::new();
    let Verdict::Skip { index } = guard.inspect(1, &[T::ONE, T::NAN])? else {
        return Err(MISSING);
    };
    hash.size(index);
    hash.word(guard.consecutive() + guard.skipped());
    Ok(())
}

pub(super) fn averages<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut out, mut saved) = ([T::ZERO; D], [T::ZERO; D], [0; 512]);
    let plain = EmaConfig::default();
    let unbiased = EmaConfig {
        debias: true,
        ..plain
    };
    let slow = LookaheadConfig {
        period: 2,
        rate: 0.5,
    };
    let mut first = Ema::<[T; D]>::new();
    let mut second = Ema::from_storage([T::ONE; D]);
    let mut swa = Swa::<[T; D]>::new();
    let mut lookahead = Lookahead::<[T; D]>::new();
    unbiased.validate()?;
    slow.validate()?;
    lookahead.start(&x)?;
    for t in 0..5 {
        paint(&mut x, 32 + t);
        first.update(&plain, &x)?;
        second.update(&unbiased, &x)?;
        swa.update(&x)?;
        hash.word(lookahead.step(&slow, &mut x)?.into());
        hash.reals(&x);
    }
    first.average_into(&plain, &mut out)?;
    hash.reals(&out);
    second.average_into(&unbiased, &mut out)?;
    hash.reals(&out);
    hash.reals(swa.average());
    hash.reals(lookahead.slow());
    hash.word(swa.steps());
    save_and_restore(hash, &mut first, &mut saved)?;
    save_and_restore(hash, &mut swa, &mut saved)?;
    save_and_restore(hash, &mut lookahead, &mut saved)?;
    swa.reset();
    Ok(())
}

pub(super) fn schedules(hash: &mut Hash) -> Outcome {
    let decay = ExponentialDecay {
        init: 1.0,
        rate: 0.7,
        steps: 3,
        begin: 1,
        staircase: false,
        end: Some(0.1),
    };
    let cycle = WarmupCosineDecay {
        init: 0.1,
        peak: 1.0,
        warmup_steps: 2,
        decay_steps: 7,
        end: 0.01,
        exponent: 1.5,
    };
    let boundaries = [(2, 0.5), (7, 0.25)];
    let polynomial = Polynomial {
        power: 1.7,
        ..Polynomial::linear(1.0, 0.1, 9)
    };
    let all: [&dyn Schedule; 16] = [
        &Constant(0.3),
        &polynomial,
        &decay,
        &CosineDecay {
            init: 1.0,
            steps: 9,
            alpha: 0.1,
            exponent: 1.3,
        },
        &WarmupConstant {
            init: 0.1,
            peak: 1.0,
            warmup_steps: 4,
        },
        &cycle,
        &WarmupExponentialDecay {
            init: 0.1,
            warmup_steps: 3,
            decay,
        },
        &PiecewiseConstant {
            init: 1.0,
            boundaries: &boundaries,
        },
        &PiecewiseInterpolate {
            kind: Interpolation::Linear,
            init: 1.0,
            boundaries: &boundaries,
        },
        &PiecewiseInterpolate {
            kind: Interpolation::Cosine,
            init: 1.0,
            boundaries: &boundaries,
        },
        &LinearOnecycle::new(10, 1.0),
        &CosineOnecycle::new(10, 1.0),
        &Sgdr {
            cycles: &[cycle, cycle],
        },
        &Join {
            first: &Constant(1.0),
            rest: &[(3, &polynomial), (8, &decay)],
        },
        &Step {
            init: 1.0,
            rate: 0.3,
            steps: 4,
        },
        &Noam {
            factor: 2.0,
            dim: 64,
            warmup_steps: 5,
        },
    ];
    for schedule in all {
        schedule.validate()?;
    }
    for t in 0..12 {
        hash.reals(&all.map(|schedule| schedule.value(t)));
    }
    hash.reals(&[Interpolation::Cosine.between(1.0, 2.0, 0.3)]);
    let config = ReduceOnPlateau {
        patience: 1,
        ..Default::default()
    };
    config.validate()?;
    let mut plateau = Plateau::new();
    for metric in [3.0, 2.0, 2.5, 2.5, 2.5, 1.0] {
        hash.reals(&[plateau.observe(&config, metric)?, plateau.scale()]);
    }
    let mut guard = Guard::new();
    let _ = guard.inspect(1, &[f32::NAN])?;
    let mut saved = [0; 128];
    save_and_restore(hash, &mut plateau, &mut saved)?;
    save_and_restore(hash, &mut guard, &mut saved)?;
    Ok(())
}

/// Adam and SGD with moments of 16 bits.
pub(super) fn narrow<T: Real>(hash: &mut Hash) -> Outcome {
    let mut lanes = NoiseStream::new(&mut random::stream(4, 5, 6, Purpose::ROUNDING));
    let (mut x, mut g, mut saved) = ([T::ZERO; D], [T::ZERO; D], [0; 512]);
    let mut adam = State::new([0_u16; 2 * D]);
    let mut sgd = State::new([0_u16; D]);
    paint(&mut x, 30);
    for t in 0..4 {
        paint(&mut g, 31 + t);
        bf16::step(&adam::Config::adamw(), &mut adam, &mut x, &g, &mut lanes)?;
        let config = sgd::Config {
            momentum: 0.9,
            ..sgd::Config::new(0.1)
        };
        bf16::step(&config, &mut sgd, &mut x, &g, &mut lanes)?;
        save_and_restore(hash, &mut adam, &mut saved)?;
        save_and_restore(hash, &mut sgd, &mut saved)?;
    }
    hash.reals(&x);
    let config = adam::Config::adamw();
    hash.size(config.state_len(D) + D);
    for &bits in buffer(adam.memory(), 1) {
        hash.reals(&[bf16::widen(bits)]);
        hash.word(bf16::round(bf16::widen(bits) * 1.001, 40_503).into());
    }
    Ok(())
}
