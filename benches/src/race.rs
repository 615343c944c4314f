//! Contenders timed in turn.
//!
//! A sample is a run of calls of some 30 microseconds, short enough that many pass between two interruptions; contenders take
//! turns sample by sample. Two ratios are printed against the first contender: that of the least times (what the code can do),
//! and the median over rounds of the ratio within a round (what it does next to whatever else the machine runs).

use std::time::Instant;
use thalweg::Real;

/// Shortest sample, in seconds.
const SAMPLE: f64 = 30e-6;

/// Calls shorter than this find their data in a cache, once a call before the sample has brought it back there.
const WARMED: f64 = 1e-3;

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
    race_within(BUDGET, context, contenders)
}

/// [`race`] with another number of seconds for each contender.
pub fn race_within<C>(budget: f64, context: &mut C, contenders: &mut [Contender<'_, C>]) -> Race {
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
        let once = (0..5)
            .map(|_| sample(run, 1))
            .fold(f64::MAX, f64::min)
            .max(1e-9);
        let calls = (SAMPLE / once).ceil() as usize;
        longest = longest.max(once * calls as f64);
        plan.push((calls, once < WARMED));
    }
    let count = ((budget / longest) as usize).clamp(15, 2000);
    let mut rounds = Vec::new();
    for _ in 0..count {
        let times = contenders.iter_mut().zip(&plan);
        let times = times.map(|((_, run), &(calls, is_warmed))| {
            if is_warmed {
                sample(run, 1);
            }
            sample(run, calls)
        });
        rounds.push(times.collect());
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
/// An offset of 16 bytes is what glibc gives for large requests; 0 is what a caller gets who asks for aligned memory.
#[derive(Clone, Debug)]
pub struct Buffer<T> {
    memory: Vec<T>,
    start: usize,
    n: usize,
}

/// A page of Linux on x86-64 that its kernel calls huge.
const HUGE: usize = 1 << 21;

impl<T: Real> Buffer<T> {
    /// `n` numbers, number `i` being `f(i)`.
    #[must_use]
    pub fn new(n: usize, offset: usize, f: impl Fn(usize) -> f64) -> Self {
        Self::on_pages(4096, n, offset, f)
    }

    /// The same in huge pages, from the start of one: what NumPy asks Linux for; ordinary pages elsewhere.
    #[must_use]
    pub fn huge(n: usize, f: impl Fn(usize) -> f64) -> Self {
        Self::on_pages(HUGE, n, 0, f)
    }

    fn on_pages(page: usize, n: usize, offset: usize, f: impl Fn(usize) -> f64) -> Self {
        let elements = page / T::BYTES;
        let mut memory = vec![T::ZERO; n + offset + elements];
        let start = memory.as_ptr().align_offset(page) % elements + offset;
        let buffer = &mut memory[start..start + n];
        #[cfg(target_os = "linux")]
        if page == HUGE {
            unsafe extern "C" {
                fn madvise(start: *mut core::ffi::c_void, bytes: usize, advice: i32) -> i32;
            }
            const MADV_HUGEPAGE: i32 = 14;
            // SAFETY: advice about memory that is ours changes no contents; where it is refused, pages stay ordinary.
            let _ = unsafe {
                madvise(
                    buffer.as_mut_ptr().cast(),
                    size_of_val(buffer),
                    MADV_HUGEPAGE,
                )
            };
        }
        for (i, x) in buffer.iter_mut().enumerate() {
            *x = T::from_f64(f(i));
        }
        Self { memory, start, n }
    }
}

impl<T> std::ops::Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.memory[self.start..self.start + self.n]
    }
}

impl<T> std::ops::DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.n]
    }
}

/// A state can own one.
impl<T> thalweg::Storage for Buffer<T> {
    type Elem = T;
    fn as_slice(&self) -> &[T] {
        self
    }
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
}
