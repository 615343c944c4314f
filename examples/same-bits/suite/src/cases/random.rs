//! Streams, variates, subsets, permutations.

use thalweg::random::{self, NoiseStream, Permutation, Purpose, Stream};
use thalweg::snapshot::Snapshot;

use crate::{Hash, MISSING, Outcome};

/// Saves a generator and restores it: what is drawn after that is hashed.
fn save_and_restore(generator: &mut impl Snapshot) -> Outcome {
    let mut saved = [0; 600];
    let len = generator.save(&mut saved)?;
    if len != generator.snapshot_len() {
        return Err(MISSING);
    }
    generator.restore(saved.get(..len).ok_or(MISSING)?)?;
    Ok(())
}

pub(super) fn draws(hash: &mut Hash) -> Outcome {
    let mut rng = random::stream(1, 2, 3, Purpose::NOISE);
    for n in [1, 2, 3, 1000, u32::MAX] {
        hash.word(u64::from(random::below(&mut rng, n)));
        hash.word(random::below_u64(&mut rng, u64::from(n) << 20));
        hash.size(random::below_usize(&mut rng, n as usize));
    }
    for _ in 0..20 {
        hash.reals(&[random::uniform::<f32>(&mut rng), random::normal(&mut rng)]);
        hash.reals(&[random::uniform::<f64>(&mut rng), random::normal(&mut rng)]);
        hash.reals(&[random::rademacher::<f32>(&mut rng)]);
        hash.reals(&[random::rademacher::<f64>(&mut rng)]);
        hash.reals(&random::normal_pair::<f32>(&mut rng));
        hash.reals(&random::normal_pair::<f64>(&mut rng));
        hash.word(random::bernoulli(&mut rng, 0.3).into());
        hash.size(random::categorical(&mut rng, &[0.5_f32, 0.0, 2.0])?);
        hash.size(random::categorical(&mut rng, &[0.5_f64, 0.0, 2.0])?);
    }
    let mut order = [0_u64, 1, 2, 3, 4, 5, 6];
    random::shuffle(&mut rng, &mut order);
    order.iter().for_each(|&i| hash.word(i));
    let (mut out, mut scratch) = ([0; 20], [0; random::sample_scratch_len(20)]);
    random::sample_into(&mut rng, 1000, &mut out, &mut scratch)?;
    out.iter().for_each(|&i| hash.word(i.into()));
    let mut rng = Stream::from_state(rng.state());
    save_and_restore(&mut rng)?;
    rng.state().iter().for_each(|&word| hash.word(word));
    hash.word(Purpose::custom(7).0);
    Ok(())
}

pub(super) fn lanes(hash: &mut Hash) -> Outcome {
    let mut lanes = NoiseStream::new(&mut random::stream(1, 2, 3, Purpose::DIRECTION));
    let (mut words, mut x, mut y) = ([0; 71], [0.0_f32; 71], [0.0_f64; 71]);
    lanes.fill_u32(&mut words);
    words.iter().for_each(|&word| hash.word(word.into()));
    lanes = NoiseStream::from_state(lanes.state());
    save_and_restore(&mut lanes)?;
    lanes.fill_uniform(&mut x);
    lanes.fill_uniform(&mut y);
    hash.reals(&x);
    hash.reals(&y);
    lanes.fill_rademacher(&mut x);
    lanes.fill_rademacher(&mut y);
    hash.reals(&x);
    hash.reals(&y);
    lanes.fill_normal(&mut x);
    lanes.fill_normal(&mut y);
    hash.reals(&x);
    hash.reals(&y);
    for d in [1, 2, 113, 1 << 20, (1 << 32) - 5, (1 << 40) + 1] {
        let permutation = Permutation::new(0x5eed, d);
        hash.word(permutation.len() + u64::from(permutation.is_empty()));
        for i in [0, 1, d / 2, d - 1] {
            let j = permutation.forward(i);
            hash.word(j);
            hash.word(permutation.inverse(j));
        }
    }
    Permutation::new(0x5eed, 113).forward_into(11, &mut words)?;
    words.iter().for_each(|&word| hash.word(word.into()));
    Ok(())
}
