//! Optimisers with their saved states, clipping, averages, schedules.

use thalweg::optim::average::{Ema, EmaConfig, Lookahead, LookaheadConfig, Swa};
use thalweg::optim::clip::{self, GlobalNorm, Guard, Verdict};
use thalweg::optim::schedule::{
    Constant, CosineDecay, CosineOnecycle, ExponentialDecay, Interpolation, Join, LinearOnecycle,
    Noam, PiecewiseConstant, PiecewiseInterpolate, Plateau, Polynomial, ReduceOnPlateau, Schedule,
    Sgdr, Step, WarmupConstant, WarmupCosineDecay, WarmupExponentialDecay,
};
use thalweg::optim::{Decay, adagrad, adam, bf16, lion, rmsprop, sgd};
use thalweg::random::{self, Lanes32, Purpose};
use thalweg::snapshot::Snapshot;
use thalweg::{Arithmetic, Error, Real};

use crate::{Hash, MISSING, Outcome, paint};

const D: usize = 37;
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
        let mut state = sgd::State::<[T; 0]>::new();
        steps(hash, &mut state, &|s, x, g| sgd::step(&plain, s, x, g))?;
        let mut state = sgd::State::<[T; D]>::new();
        for config in [heavy, nesterov] {
            config.validate()?;
            state.reset();
            steps(hash, &mut state, &|s, x, g| sgd::step(&config, s, x, g))?;
        }
        hash.reals(state.buffer());
    }
    let mut buffer = [T::ZERO; D];
    let mut state = sgd::State::from_storage(&mut buffer[..]);
    let config = sgd::Config::new(0.1);
    hash.size(sgd::state_len(D, true));
    sgd::step(&config, &mut state, &mut [T::ONE; D], &[T::ONE; D])?;
    let mut state = sgd::State::resume(&mut buffer[..], 1);
    sgd::step(&config, &mut state, &mut [T::ONE; D], &[T::ONE; D])?;
    Ok(())
}

pub(super) fn adam<T: Real>(hash: &mut Hash) -> Outcome {
    for decay in DECAYS {
        let config = adam::Config {
            decay,
            ..adam::Config::adamw()
        };
        config.validate()?;
        let mut state = adam::State::<[T; D]>::new();
        steps(hash, &mut state, &|s, x, g| adam::step(&config, s, x, g))?;
        hash.reals(state.m());
        hash.word(state.steps());
    }
    let config = adam::Config {
        amsgrad: true,
        maximize: true,
        ..adam::Config::adam()
    };
    let mut state = adam::State::<[T; D], [T; D]>::zeroed();
    steps(hash, &mut state, &|s, x, g| adam::step(&config, s, x, g))?;
    hash.reals(state.v());
    hash.reals(state.largest());
    state.reset();
    let fast = adam::Config {
        arithmetic: Arithmetic::Fast,
        ..config
    };
    let (mut x, g) = ([T::ONE; D], [T::ONE; D]);
    adam::step(&fast, &mut state, &mut x, &g)?;
    let (mut m, mut v, mut largest) = ([T::ZERO; D], [T::ZERO; D], [T::ZERO; D]);
    let mut state = adam::State::from_storage(&mut m[..], &mut v[..]);
    let fast = adam::Config {
        amsgrad: false,
        ..fast
    };
    adam::step(&fast, &mut state, &mut x, &g)?;
    let mut state = adam::State::resume(&mut m[..], &mut v[..], [], 1);
    adam::step(&fast, &mut state, &mut x, &g)?;
    let state = adam::State::from_storage_amsgrad(&mut m[..], &mut v[..], &mut largest[..]);
    hash.size(adam::state_len(state.m().len(), true));
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
    let mut state = rmsprop::State::<[T; D]>::new();
    steps(hash, &mut state, &|s, x, g| rmsprop::step(&plain, s, x, g))?;
    let mut state = rmsprop::State::<[T; D], [T; 0], [T; D]>::zeroed();
    steps(hash, &mut state, &|s, x, g| rmsprop::step(&heavy, s, x, g))?;
    let mut state = rmsprop::State::<[T; D], [T; D]>::zeroed();
    steps(hash, &mut state, &|s, x, g| {
        rmsprop::step(&centered, s, x, g)
    })?;
    let mut state = rmsprop::State::<[T; D], [T; D], [T; D]>::zeroed();
    steps(hash, &mut state, &|s, x, g| rmsprop::step(&both, s, x, g))?;
    both.validate()?;
    hash.reals(state.mean_square());
    hash.reals(state.mean());
    hash.reals(state.buffer());
    state.reset();
    let fast = rmsprop::Config {
        arithmetic: Arithmetic::Fast,
        ..both
    };
    let (mut x, g) = ([T::ONE; D], [T::ONE; D]);
    rmsprop::step(&fast, &mut state, &mut x, &g)?;
    let mut buffer = [T::ZERO; D];
    let mut state = rmsprop::State::from_storage(&mut buffer[..]);
    rmsprop::step(&plain, &mut state, &mut x, &g)?;
    let mut state = rmsprop::State::resume(&mut buffer[..], [], []);
    rmsprop::step(&plain, &mut state, &mut x, &g)?;
    let state = rmsprop::State::from_storages(buffer, [T::ONE; D], [T::ONE; D]);
    hash.size(rmsprop::state_len(state.mean().len(), true, true));
    Ok(())
}

pub(super) fn adagrad_and_lion<T: Real>(hash: &mut Hash) -> Outcome {
    let config = adagrad::Config {
        lr_decay: 0.1,
        initial_accumulator: 0.5,
        weight_decay: 0.01,
        ..Default::default()
    };
    let mut state = adagrad::State::<[T; D]>::new();
    config.validate()?;
    steps(hash, &mut state, &|s, x, g| adagrad::step(&config, s, x, g))?;
    hash.reals(state.sum());
    hash.word(state.steps());
    state.reset();
    let fast = adagrad::Config {
        arithmetic: Arithmetic::Fast,
        ..config
    };
    let (mut x, g, mut buffer) = ([T::ONE; D], [T::ONE; D], [T::ZERO; D]);
    adagrad::step(&fast, &mut state, &mut x, &g)?;
    let mut state = adagrad::State::from_storage(&mut buffer[..]);
    adagrad::step(&config, &mut state, &mut x, &g)?;
    let mut state = adagrad::State::resume(&mut buffer[..], 1);
    adagrad::step(&config, &mut state, &mut x, &g)?;
    hash.size(adagrad::state_len(D));

    for decay in DECAYS {
        let config = lion::Config {
            decay,
            ..lion::Config::new(0.01)
        };
        let mut state = lion::State::<[T; D]>::new();
        config.validate()?;
        steps(hash, &mut state, &|s, x, g| lion::step(&config, s, x, g))?;
        hash.reals(state.momentum());
        state.reset();
    }
    let mut state = lion::State::from_storage(&mut buffer[..]);
    lion::step(&lion::Config::new(0.01), &mut state, &mut x, &g)?;
    let mut state = lion::State::resume(&mut buffer[..]);
    lion::step(&lion::Config::new(0.01), &mut state, &mut x, &g)?;
    hash.size(lion::state_len(D));
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
    let mut lanes = Lanes32::new(&mut random::stream(4, 5, 6, Purpose::ROUNDING));
    let (mut x, mut g, mut saved) = ([T::ZERO; D], [T::ZERO; D], [0; 512]);
    let mut adam = bf16::adam::State::<[u16; D]>::new();
    let mut sgd = bf16::sgd::State::<[u16; D]>::new();
    let used = [7; D];
    if adam != bf16::adam::State::from_storage(used, used)
        || sgd != bf16::sgd::State::from_storage(used)
    {
        return Err(MISSING);
    }
    paint(&mut x, 30);
    for t in 0..4 {
        paint(&mut g, 31 + t);
        bf16::adam::step(&adam::Config::adamw(), &mut adam, &mut x, &g, &mut lanes)?;
        let config = sgd::Config {
            momentum: 0.9,
            ..sgd::Config::new(0.1)
        };
        bf16::sgd::step(&config, &mut sgd, &mut x, &g, &mut lanes)?;
        save_and_restore(hash, &mut adam, &mut saved)?;
        save_and_restore(hash, &mut sgd, &mut saved)?;
    }
    hash.reals(&x);
    hash.size(bf16::adam::state_len(D) + bf16::sgd::state_len(D));
    for &bits in adam.v() {
        hash.reals(&[bf16::widen(bits)]);
        hash.word(bf16::round(bf16::widen(bits) * 1.001, 40_503).into());
    }
    Ok(())
}
