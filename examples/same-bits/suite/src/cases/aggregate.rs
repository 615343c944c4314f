//! Aggregators on painted rows.

use thalweg::Real;
use thalweg::aggregate::{Aggregator, Mean, Median, TrimmedMean};

use crate::{Hash, MISSING, Outcome, paint};

const N: usize = 7;
const D: usize = 45;

pub(super) fn rules<T: Real>(hash: &mut Hash) -> Outcome {
    let trimmed = TrimmedMean { fraction: 0.3 };
    let rules: [&dyn Aggregator<T>; 3] = [&Mean, &Median, &trimmed];
    for n in [N - 1, N] {
        for rule in rules {
            let (mut memory, mut out) = ([T::ZERO; (N + 1) * D], [T::ZERO; D]);
            let len = rule.memory_len(n, D);
            let memory = memory.get_mut(..len).ok_or(MISSING)?;
            let mut pushed = rule.open(n, D, memory)?;
            for i in 0..n as u32 {
                let mut row = [T::ZERO; D];
                paint(&mut row, 80 + i);
                rule.push_slice(&mut pushed, 1 + i, &row)?;
            }
            rule.finish_into(&mut pushed, &mut out)?;
            hash.reals(&out);
            hash.size(len + usize::from(rule.is_mean()));
        }
    }
    Ok(())
}
