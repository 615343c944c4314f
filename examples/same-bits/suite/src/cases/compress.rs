//! Compressors: supports, roundings, and those with a memory.

use thalweg::Real;
use thalweg::compress::perm_k::{self, Block, Table};
use thalweg::compress::rand_k::Pool;
use thalweg::compress::{
    Buffers, Compressor, Contracted, Contractive, Dithering, Identity, Key, Lazy, Message, Natural,
    NaturalDithering, Norm, Operator, PermK, RandK, RandSeqK, Sign, TopK, Unbiased, Weight,
    error_feedback, index_bits, k_from_ratio, top_k,
};
use thalweg::snapshot::Snapshot;

use crate::{Hash, MISSING, Outcome, paint};

const D: usize = 45;
const KEY: Key = Key {
    seed: 5,
    round: 6,
    client: 1,
};

fn feed<T: Real>(message: &Message<'_, T>, hash: &mut Hash) {
    hash.size(message.len() + usize::from(message.is_empty()));
    match *message {
        Message::Sparse { indices, values } => {
            indices.iter().for_each(|&i| hash.word(i.into()));
            hash.reals(values);
        }
        Message::Sign { scale, values } => {
            hash.reals(&[scale]);
            hash.reals(values);
        }
        Message::Dithered { norm, most, levels }
        | Message::NaturalDithered { norm, most, levels } => {
            hash.reals(&[norm]);
            hash.word(most.into());
            levels.iter().for_each(|&level| hash.word(level as u64));
        }
        Message::Dense(values)
        | Message::PermK(values)
        | Message::RandK(values)
        | Message::RandSeqK(values)
        | Message::Natural(values) => hash.reals(values),
        _ => {}
    }
}

/// Sends a painted vector, and adds the message to another one in both ways.
fn send<T: Real>(compressor: &impl Compressor<T>, hash: &mut Hash) -> Outcome {
    let (mut x, mut out) = ([T::ZERO; D], [T::ZERO; D]);
    let (mut values, mut indices, mut levels) = ([T::ZERO; D], [0; D], [0; D]);
    paint(&mut x, 40);
    paint(&mut out, 41);
    compressor.validate(D)?;
    let lengths = compressor.lengths(D);
    hash.size(lengths.values + lengths.indices + lengths.levels);
    hash.word(compressor.bits(D));
    let buffers = Buffers {
        values: &mut values,
        indices: &mut indices,
        levels: &mut levels,
    };
    let message = compressor.compress(KEY, &x, buffers)?;
    feed(&message, hash);
    compressor.accumulate(KEY, &message, Weight::Mean(3), &mut out)?;
    compressor.accumulate(KEY, &message, Weight::Value(T::from_f64(-0.7)), &mut out)?;
    hash.reals(&out);
    Ok(())
}

fn unbiased<T: Real>(compressor: &(impl Unbiased + Compressor<T>), hash: &mut Hash) -> Outcome {
    let ab = compressor.ab(D, 3);
    hash.reals(&[compressor.omega(D), ab.a, ab.b]);
    send(compressor, hash)
}

fn contractive<T: Real>(
    compressor: &(impl Contractive + Compressor<T>),
    hash: &mut Hash,
) -> Outcome {
    hash.reals(&[compressor.alpha(D)]);
    send(compressor, hash)
}

pub(super) fn supports<T: Real>(hash: &mut Hash) -> Outcome {
    let mut support = [0; 9];
    unbiased::<T>(&RandK::new(9), hash)?;
    unbiased::<T>(&RandK::same_on_all(9), hash)?;
    RandK::new(9).support_into(KEY, D, &mut support)?;
    support.iter().for_each(|&i| hash.word(i.into()));
    unbiased::<T>(&RandSeqK::new(9), hash)?;
    hash.size(RandSeqK::new(9).start(KEY, D)?);
    let mut pool = Pool::new([0; D], 9)?;
    pool.draw(Key::default())?;
    pool.draw(KEY)?;
    pool.support(KEY)?.iter().for_each(|&i| hash.word(i.into()));
    unbiased::<T>(&pool, hash)?;

    unbiased::<T>(&PermK::new(5), hash)?;
    unbiased::<T>(&PermK::contiguous(7), hash)?;
    PermK::contiguous(7).check_key(KEY)?;
    if PermK::contiguous(7).clients() != Some(7) {
        return Err(MISSING);
    }
    unbiased::<T>(&PermK::new(60), hash)?;
    let share = PermK::new(5).share(KEY, D)?;
    hash.size(share.start + share.len + share.owners);
    hash.size(Block::new(D, 7, 3).map_or(0, |share| share.start));
    PermK::new(5).support_into(KEY, D, &mut support)?;
    support.iter().for_each(|&i| hash.word(i.into()));
    hash.size(perm_k::message_len(D, 5));
    let mut table = Table::new([0; D], [0; 5])?;
    table.draw(KEY.seed, KEY.round)?;
    table
        .coordinates()
        .iter()
        .for_each(|&i| hash.word(i.into()));
    hash.size(table.support(KEY)?.0.len());
    unbiased::<T>(&table, hash)?;

    contractive::<T>(&TopK { k: 9 }, hash)?;
    hash.size(top_k::candidates(D, 9));
    hash.size(k_from_ratio(D, 0.1));
    hash.word(index_bits(D).into());
    Ok(())
}

pub(super) fn roundings<T: Real>(hash: &mut Hash) -> Outcome {
    unbiased::<T>(&Identity, hash)?;
    unbiased::<T>(&Natural, hash)?;
    unbiased::<T>(&Dithering::qsgd(7), hash)?;
    unbiased::<T>(&Dithering::tern_grad(), hash)?;
    for norm in [Norm::Two, Norm::Max] {
        unbiased::<T>(&NaturalDithering { levels: 4, norm }, hash)?;
    }
    contractive::<T>(&Sign, hash)?;
    let mut x = [T::ZERO; D];
    paint(&mut x, 42);
    hash.reals(&[Sign.alpha_of(&x)]);
    Natural.round(KEY, &mut x);
    hash.reals(&x);
    hash.reals::<T>(&[Weight::Mean(3).times(2, 7)?, Weight::ONE.over(7.0)?]);
    Ok(())
}

pub(super) fn memories<T: Real>(hash: &mut Hash) -> Outcome {
    for p in [0.01, 0.99] {
        let lazy = Lazy { p };
        hash.word(lazy.sends(KEY).into());
        unbiased::<T>(&lazy, hash)?;
    }
    contractive::<T>(&Contracted(RandK::new(9)), hash)?;
    let config = error_feedback::Config {
        learning_rate: T::from_f64(0.1),
    };
    config.validate()?;
    let mut state = error_feedback::State::<[T; D]>::new();
    let (mut g, mut scratch) = ([T::ZERO; D], [T::ZERO; D]);
    let (mut values, mut indices) = ([T::ZERO; D], [0; D]);
    for round in 0..4 {
        paint(&mut g, 43 + round);
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        let top = TopK { k: 9 };
        let message =
            error_feedback::step(&config, &top, KEY, &mut state, &g, &mut scratch, buffers)?;
        feed(&message, hash);
    }
    let mut bytes = [0; 1024];
    let len = state.save(&mut bytes)?;
    let mut restored = error_feedback::State::<[T; D]>::new();
    restored.restore(bytes.get(..len).ok_or(MISSING)?)?;
    hash.reals(restored.residual());
    hash.reals(error_feedback::State::from_buffer(&mut g[..]).residual());
    Ok(())
}
