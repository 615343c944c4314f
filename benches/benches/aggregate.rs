//! Aggregators of `n` vectors in one round: pushed, then combined.
//!
//! The median and the trimmed mean stand compared with the plain way: each coordinate gathered from the vectors, then `sort_unstable_by`, or
//! `select_nth_unstable_by` for the median. The mean is what robustness is paid against.

use std::hint::black_box;

use thalweg::aggregate::{Aggregator, Mean, Median, TrimmedMean};
use thalweg::random::{self, Purpose};
use thalweg_benches::race::{Contender, race};

struct Shared {
    rows: Vec<Vec<f32>>,
    memory: Vec<f32>,
    column: Vec<f32>,
    out: Vec<f32>,
}

fn combine(rule: &dyn Aggregator<f32>, s: &mut Shared) {
    let (n, d) = (s.rows.len(), s.out.len());
    let len = rule.memory_len(n, d);
    let done = s.memory.get_mut(..len).map(|memory| {
        let mut pushed = rule.open(n, d, memory)?;
        for row in black_box(&s.rows) {
            rule.push_slice(&mut pushed, 1, row)?;
        }
        rule.finish_into(&mut pushed, black_box(&mut s.out))
    });
    debug_assert_eq!(done, Some(Ok(())));
}

/// The plain way: a column at a time, of which `middle` makes one number.
fn columns(s: &mut Shared, middle: impl Fn(&mut [f32]) -> f32) {
    for (j, out) in s.out.iter_mut().enumerate() {
        s.column.clear();
        let values = black_box(&s.rows).iter().filter_map(|row| row.get(j));
        s.column.extend(values);
        *out = middle(&mut s.column);
    }
}

fn main() {
    println!(
        "Least time of a call, bytes of the vectors, times as fast as the first: by least times, by the median of rounds"
    );
    for (n, d) in [(9, 1000), (9, 100_000), (25, 100_000), (101, 10_000)] {
        let mut stream = random::stream(7, 0, 0, Purpose::DATA);
        let mut row = || (0..d).map(|_| random::normal(&mut stream)).collect();
        let mut shared = Shared {
            rows: (0..n).map(|_| row()).collect(),
            memory: vec![0.0; (n + 1) * d],
            column: Vec::with_capacity(n),
            out: vec![0.0; d],
        };
        let trimmed = TrimmedMean { fraction: 0.2 };
        let mut field: [Contender<'_, Shared>; 5] = [
            ("sort", &mut |s: &mut Shared| {
                columns(s, |column| {
                    column.sort_unstable_by(f32::total_cmp);
                    column.get(n / 2).copied().unwrap_or_default()
                });
            }),
            ("select_nth", &mut |s: &mut Shared| {
                columns(s, |column| {
                    *column.select_nth_unstable_by(n / 2, f32::total_cmp).1
                });
            }),
            ("median", &mut |s: &mut Shared| combine(&Median, s)),
            ("trimmed 0.2", &mut |s: &mut Shared| combine(&trimmed, s)),
            ("mean", &mut |s: &mut Shared| combine(&Mean, s)),
        ];
        race(&mut shared, &mut field).print(&format!("n = {n}, d = {d}"), 4 * n * d);
    }
}
