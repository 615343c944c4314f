//! Steps of elementwise optimisers on several threads.
//!
//! SGD, Adam, RMSprop, Adagrad and Lion treat each parameter by itself. A state for each block of parameters, all
//! stepped together, therefore has the bits of one state for all of them, and blocks can be stepped by
//! different threads. Optimisers that couple parameters (a trust ratio, a norm of a neuron) are not for this module.

use rayon::prelude::*;
use thalweg::Real;
use thalweg::error::Error;

use super::{BLOCK, SERIAL};

/// One optimiser state per block of [`BLOCK`] parameters.
///
/// ```
/// use thalweg::optim::{Optimiser, State, adam};
/// use thalweg_std::par::optimiser::ParallelOptimiser;
/// let config = adam::Config { learning_rate: 0.5, eps: 0.0, ..Default::default() };
/// let mut states = ParallelOptimiser::new(100_000, |n| State::new(vec![0.0; config.state_len(n)]));
/// let (mut x, g) = (vec![1.0_f32; 100_000], vec![3.0; 100_000]);
/// states.step(&mut x, &g, |state, x, g| config.step(state, x, g))?;
/// assert!(x.iter().all(|x| (x - 0.5).abs() < 1e-6)); // the first step is learning_rate * sign(g)
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelOptimiser<S> {
    states: Vec<S>,
    n: usize,
}

impl<S: Send> ParallelOptimiser<S> {
    /// States for `n` parameters; `state` makes that of a block of a given length.
    ///
    /// ```
    /// use thalweg_std::par::{BLOCK, optimiser::ParallelOptimiser};
    /// let lengths = ParallelOptimiser::new(BLOCK + 3, |n| n);
    /// assert_eq!(lengths.states(), [BLOCK, 3]);
    /// ```
    pub fn new(n: usize, state: impl FnMut(usize) -> S) -> Self {
        let lengths = (0..n).step_by(BLOCK).map(|start| (n - start).min(BLOCK));
        Self {
            states: lengths.map(state).collect(),
            n,
        }
    }

    /// The states, block after block.
    pub fn states(&self) -> &[S] {
        &self.states
    }

    /// The states, to be restored or reset.
    pub fn states_mut(&mut self) -> &mut [S] {
        &mut self.states
    }

    /// Steps every block.
    ///
    /// # Errors
    /// [`Error::Length`] when `params` or `grad` does not have the length that the states were made for, and nothing is
    /// changed; otherwise that of `step`. A step refuses its config and its lengths alike in every block, so that
    /// nothing is changed then either.
    pub fn step<T: Real>(
        &mut self,
        params: &mut [T],
        grad: &[T],
        step: impl Fn(&mut S, &mut [T], &[T]) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        for (name, found) in [("params", params.len()), ("grad", grad.len())] {
            if found != self.n {
                return Err(Error::Length {
                    name,
                    expected: self.n,
                    found,
                });
            }
        }
        if self.n < SERIAL {
            let blocks = params.chunks_mut(BLOCK).zip(grad.chunks(BLOCK));
            return (self.states.iter_mut().zip(blocks))
                .try_for_each(|(state, (params, grad))| step(state, params, grad));
        }
        self.states
            .par_iter_mut()
            .zip(params.par_chunks_mut(BLOCK))
            .zip(grad.par_chunks(BLOCK))
            .try_for_each(|((state, params), grad)| step(state, params, grad))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{painted, with_threads};
    use super::*;
    use thalweg::optim::{Optimiser, State, adam, sgd};

    #[test]
    fn steps_have_the_bits_of_one_state() {
        for n in [0, 1003, BLOCK, 2 * BLOCK + 1003, SERIAL + 1003] {
            let start = painted(n, 1);
            let momentum = sgd::Config {
                momentum: 0.9,
                nesterov: true,
                ..sgd::Config::new(0.1)
            };
            let adam = adam::Config {
                learning_rate: 0.01,
                ..Default::default()
            };
            let zeros = |n| vec![0.0_f32; n];
            let (mut x, mut y) = (start.clone(), start.clone());
            let mut first = State::new(zeros(n));
            let mut second = State::new(zeros(2 * n));
            for t in 0..3 {
                let g = painted(n, 5 + t);
                momentum.step(&mut first, &mut x, &g).unwrap();
                adam.step(&mut second, &mut y, &g).unwrap();
            }
            assert!(n == 0 || x != start && y != start);
            for threads in [1, 2, 3, 8] {
                let mut first = ParallelOptimiser::new(n, |n| State::new(zeros(n)));
                let mut second = ParallelOptimiser::new(n, |n| State::new(zeros(2 * n)));
                let (mut u, mut v) = (start.clone(), start.clone());
                with_threads(threads, || {
                    for t in 0..3 {
                        let g = painted(n, 5 + t);
                        first
                            .step(&mut u, &g, |s, x, g| momentum.step(s, x, g))
                            .unwrap();
                        second
                            .step(&mut v, &g, |s, x, g| adam.step(s, x, g))
                            .unwrap();
                    }
                });
                assert!(u == x && v == y, "{n}, {threads} threads");
            }
        }
    }

    #[test]
    fn a_refused_step_changes_nothing() {
        let n = 2 * BLOCK;
        let mut states = ParallelOptimiser::new(n, |_| State::new(Vec::new()));
        let (mut x, g) = (painted(n, 1), painted(n, 2));
        let before = x.clone();
        let bad = sgd::Config::new(f64::NAN);
        assert!(
            states
                .step(&mut x, &g, |s, x, g| bad.step(s, x, g))
                .is_err()
        );
        let short = states.step(&mut x, &g[1..], |_, _, _| Ok(()));
        assert_eq!(
            short.unwrap_err().to_string(),
            format!("`grad` has length {}, expected {n}", n - 1)
        );
        assert_eq!(x, before);
    }
}
