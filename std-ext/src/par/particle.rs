//! Sums over pairs of particles on several threads.
//!
//! ```text
//! n particles -> a range of rows for each thread, in a separate scratch
//! ```
//! A row of the sums is one chain of operations over the sources, whoever takes it, so the bits are those of one thread. Threads do
//! without the symmetry of the kernel: `4 n^2 d` flops in place of `3 n^2 d`, so that two of them are at best 1.5 times as fast as one.

use rayon::prelude::*;
use thalweg::Real;
use thalweg::error::Error;
use thalweg::pairs::{Executor, KernelSum};

/// Products of pairs and columns below which one thread does all: some 50 microseconds.
const SMALL: usize = 1 << 20;

/// Takes sums over pairs on the threads of the current pool; keeps their scratch between calls.
///
/// ```
/// use thalweg::particle::Particles;
/// use thalweg::particle::svgd;
/// use thalweg_std::par::particle::ThreadExecutor;
/// let config = svgd::Config::new(0.1);
/// let (mut x, scores) = (vec![0.0_f32, 1.0, 3.0, 7.0], vec![0.5; 4]);
/// let mut y = x.clone();
/// let mut scratch = vec![0.0; config.scratch_len(4, 1)];
/// let mut none = svgd::State::<[f32; 0]>::new();
/// svgd::step(&config, &mut none, Particles::new(1, &mut x), &scores, &mut scratch)?;
/// svgd::step_with(&mut ThreadExecutor::new(), &config, &mut none, Particles::new(1, &mut y), &scores, &mut scratch)?;
/// assert_eq!(x, y);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ThreadExecutor<T> {
    scratch: Vec<Vec<T>>,
}

impl<T: Real> ThreadExecutor<T> {
    /// No memory yet; the first call takes what it needs.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            scratch: Vec::new(),
        }
    }
}

impl<T: Real> Executor<T> for ThreadExecutor<T> {
    fn sums_into(
        &mut self,
        sources: &KernelSum<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let (n, q) = (sources.n(), sources.columns());
        let work = n.saturating_mul(n).saturating_mul(q);
        let threads = rayon::current_num_threads().min(n);
        if threads < 2 || work < SMALL {
            return sources.sum_rows_into(0..n, out, scratch);
        }
        let height = n.div_ceil(threads);
        self.scratch.resize_with(threads, Vec::new);
        let shares = self
            .scratch
            .par_iter_mut()
            .zip(out.par_chunks_mut(height * q));
        shares.enumerate().try_for_each(|(i, (scratch, out))| {
            let rows = i * height..i * height + out.len() / q;
            scratch.resize(sources.scratch_len(rows.len()), T::ZERO);
            sources.sum_rows_into(rows, out, scratch)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{painted, with_threads};
    use super::*;
    use thalweg::pairs::Family;
    use thalweg::particle::stein::sghmc;
    use thalweg::particle::{Particles, svgd};

    #[test]
    fn steps_have_the_bits_of_one_thread() {
        for (n, d) in [(1, 5), (40, 3), (301, 20), (500, 9)] {
            let (start, scores) = (painted(n * d, 1), painted(n * d, 2));
            let momentum = painted(n * d, 3);
            for family in [Family::Rbf, Family::Imq] {
                let config = svgd::Config {
                    family,
                    ..svgd::Config::new(0.1)
                };
                let stein = sghmc::Config::new(0.1);
                let len = config.scratch_len(n, d).max(stein.scratch_len(n, d));
                let mut scratch = vec![f32::NAN; len];
                let mut none = svgd::State::<[f32; 0]>::new();
                let (mut x, mut r) = (start.clone(), momentum.clone());
                svgd::step(
                    &config,
                    &mut none,
                    Particles::new(d, &mut x),
                    &scores,
                    &mut scratch,
                )
                .unwrap();
                let mut state = sghmc::State::from_storage(&mut r[..]);
                sghmc::step(
                    &stein,
                    &mut state,
                    Particles::new(d, &mut x),
                    &scores,
                    &mut scratch,
                )
                .unwrap();
                for threads in [1, 2, 3, 8] {
                    let (mut y, mut s) = (start.clone(), momentum.clone());
                    with_threads(threads, || {
                        let by = &mut ThreadExecutor::new();
                        svgd::step_with(
                            by,
                            &config,
                            &mut none,
                            Particles::new(d, &mut y),
                            &scores,
                            &mut scratch,
                        )
                        .unwrap();
                        let mut state = sghmc::State::from_storage(&mut s[..]);
                        sghmc::step_with(
                            by,
                            &stein,
                            &mut state,
                            Particles::new(d, &mut y),
                            &scores,
                            &mut scratch,
                        )
                        .unwrap();
                    });
                    assert!(x != start && x == y && r == s, "{n} {d}, {threads} threads");
                }
            }
        }
    }
}
