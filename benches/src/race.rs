//! Contenders timed in turn.
//!
//! A sample is a run of calls of some 30 microseconds, short enough that many pass between two interruptions; contenders take
//! turns sample by sample. Two ratios are printed against the first contender: that of the least times (what the code can do),
//! and the median over rounds of the ratio within a round (what it does beside whatever else the machine runs).

use std::time::Instant;

/// Shortest sample, in seconds.
const SAMPLE: f64 = 30e-6;

/// Seconds that one contender may take, warm-up aside.
const BUDGET: f64 = 0.3;

/// A name and the call that is timed; all contenders of a race work on one context.
pub type Contender<'a, C> = (&'a str, &'a mut dyn FnMut(&mut C));

/// Seconds per call of each contender in each round.
#[derive(Clone, Debug)]
pub struct Race {
    names: Vec<String>,
    rounds: Vec<Vec<f64>>,
}

/// Runs the contenders in turn.
pub fn race<C>(context: &mut C, contenders: &mut [Contender<'_, C>]) -> Race {
    let mut sample = |run: &mut dyn FnMut(&mut C), calls: usize| {
        let start = Instant::now();
        for _ in 0..calls {
            run(context);
        }
        start.elapsed().as_secs_f64() / calls as f64
    };
    let mut plan = Vec::new();
    let mut longest = SAMPLE;
    for (_, run) in contenders.iter_mut() {
        let once = sample(run, 1).min(sample(run, 1)).max(1e-9);
        let calls = (SAMPLE / once).ceil() as usize;
        longest = longest.max(once * calls as f64);
        plan.push(calls);
    }
    let count = ((BUDGET / longest) as usize).clamp(15, 2000);
    let mut rounds = Vec::new();
    for _ in 0..count {
        let times = contenders.iter_mut().zip(&plan);
        rounds.push(times.map(|((_, run), &calls)| sample(run, calls)).collect());
    }
    Race {
        names: contenders.iter().map(|(name, _)| (*name).into()).collect(),
        rounds,
    }
}

fn quantile(mut x: Vec<f64>, q: f64) -> f64 {
    x.sort_by(f64::total_cmp);
    let at = (q * x.len().saturating_sub(1) as f64) as usize;
    x.get(at).copied().unwrap_or(f64::NAN)
}

impl Race {
    /// Least seconds per call of a contender.
    #[must_use]
    pub fn least(&self, contender: usize) -> f64 {
        quantile(self.rounds.iter().map(|r| r[contender]).collect(), 0.0)
    }

    /// How many times faster than the first a contender is: by least times, and by the median over rounds.
    #[must_use]
    pub fn ratios(&self, contender: usize) -> [f64; 2] {
        let paired = self.rounds.iter().map(|r| r[0] / r[contender]).collect();
        [self.least(0) / self.least(contender), quantile(paired, 0.5)]
    }

    /// Prints the table; `bytes` are those that one call has to move.
    pub fn print(&self, title: &str, bytes: usize) {
        println!("{title}");
        for (i, name) in self.names.iter().enumerate() {
            let (time, [least, paired]) = (self.least(i), self.ratios(i));
            println!(
                "  {name:<18} {:>12.1} ns {:>7.1} GB/s  {least:>6.2} {paired:>6.2}",
                time * 1e9,
                bytes as f64 / time * 1e-9,
            );
        }
    }
}

/// A buffer that starts `offset` elements past a page: arrays of all contenders lie alike, whatever the allocator does.
///
/// An offset of 4 `f32` is what glibc gives for large requests; 0 is what a caller gets who asks for aligned memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    memory: Vec<f32>,
    start: usize,
    n: usize,
}

impl Buffer {
    /// `n` numbers, number `i` being `f(i)`.
    #[must_use]
    pub fn new(n: usize, offset: usize, f: impl Fn(usize) -> f32) -> Self {
        const PAGE: usize = 4096 / 4;
        let mut memory = vec![0.0; n + offset + PAGE];
        let start = memory.as_ptr().align_offset(4096) % PAGE + offset;
        for (i, x) in memory[start..start + n].iter_mut().enumerate() {
            *x = f(i);
        }
        Self { memory, start, n }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.n]
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.n]
    }
}

/// A state can own one.
impl thalweg::Storage for Buffer {
    type Elem = f32;
    fn as_slice(&self) -> &[f32] {
        self
    }
    fn as_mut_slice(&mut self) -> &mut [f32] {
        self
    }
}
