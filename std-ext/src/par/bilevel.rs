//! The directions of a hypergradient on several threads.
//!
//! ```text
//! base path                       one thread
//! c_j, j = 0 .. Q-1               one path each, in any order
//! h <- h + c_j u_j / Q            in order of j
//! ```
//!
//! A coefficient depends on its number alone, so the bits are those of [`es_jacobian::step`] for any number of threads.
//! Memory: a path and a direction per thread, Q coefficients; kept between calls but for the paths. Directions are drawn
//! twice: once for the path, once to be added.

use rayon::prelude::*;
use thalweg::bilevel::Problem;
use thalweg::bilevel::es_jacobian::{self, Config, Solution, State};
use thalweg::error::{Error, check_length};
use thalweg::{Real, Storage};

/// Memory of the base path.
///
/// ```
/// use thalweg::bilevel::{descent, es_jacobian, ridge};
/// use thalweg::matrix::MatrixRef;
/// use thalweg_std::par::bilevel::ParallelEstimator;
/// let (x, y) = ([1.0_f64, 2.0, 3.0, 5.0], [1.0, -1.0]);
/// let data = ridge::Data::new(MatrixRef::new(&x, 2, 2)?, &y)?;
/// let problem = ridge::Problem::new(data, data)?;
/// let inner = descent::Config { steps: 9, method: descent::Method::gd(0.05) };
/// let config = es_jacobian::Config { directions: 3, ..es_jacobian::Config::new(inner) };
/// let (mut h, mut alone) = ([0.0; 2], [0.0; 2]);
/// let mut state = es_jacobian::State::from_storage([0.0; 2]);
/// es_jacobian::step(&config, &mut state.clone(), &problem, &[0.0; 2], &mut alone, &mut [0.0; 16])?;
/// ParallelEstimator::new().step(&config, &mut state, &problem, &[0.0; 2], &mut h)?;
/// assert_eq!(h, alone);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ParallelEstimator<T> {
    y_n: Vec<T>,
    grad_y: Vec<T>,
    direction: Vec<T>,
    sum: Vec<T>,
    path: Vec<T>,
}

impl<T: Real> ParallelEstimator<T> {
    /// No memory yet; the first call takes what it needs.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            y_n: Vec::new(),
            grad_y: Vec::new(),
            direction: Vec::new(),
            sum: Vec::new(),
            path: Vec::new(),
        }
    }

    /// Writes the hypergradient at `x` into `h`, ends the round, and returns the outer value.
    ///
    /// # Errors
    /// Those of [`es_jacobian::step`]; of several unstable directions the first is named. `state` and `h` are then as before.
    pub fn step<B: Storage<Elem = T>>(
        &mut self,
        config: &Config,
        state: &mut State<B>,
        problem: &(impl Problem<T> + Sync),
        x: &[T],
        h: &mut [T],
    ) -> Result<T, Error> {
        let (p, d) = (problem.outer_dim(), problem.inner_dim());
        check_length("h", p, h.len())?;
        let len = es_jacobian::path_len(config, p, d, problem.scratch_len());
        let Self {
            y_n,
            grad_y,
            direction,
            sum,
            path,
        } = self;
        y_n.resize(d, T::ZERO);
        grad_y.resize(d, T::ZERO);
        direction.resize(p, T::ZERO);
        sum.resize(p, T::ZERO);
        path.resize(len, T::ZERO);
        let base = Solution {
            y_n,
            grad_y,
            h: sum,
        };
        let point = es_jacobian::solve(config, state, problem, x, base, path)?;
        let memory = || (vec![T::ZERO; p], vec![T::ZERO; len]);
        let coefficients: Vec<Result<T, Error>> = (0..config.count(p))
            .into_par_iter()
            .map_init(memory, |(u, path), j| {
                es_jacobian::direction_into(config.direction, point.round, j, u);
                es_jacobian::coefficient(config, problem, &point, j, u, path)
            })
            .collect();
        for (j, c) in coefficients.into_iter().enumerate() {
            es_jacobian::direction_into(config.direction, point.round, j, direction);
            es_jacobian::add_direction(config, c?, direction, sum)?;
        }
        let value = point.value;
        es_jacobian::finish_into(sum, h)?;
        state.advance(config.start, &self.y_n)?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{painted, with_threads};
    use super::*;
    use thalweg::bilevel::es_jacobian::{Difference, Direction, Estimate, Start};
    use thalweg::bilevel::{descent, ridge};
    use thalweg::matrix::MatrixRef;

    fn with_problem(work: impl FnOnce(&ridge::Problem<'_, f32>)) {
        let (x, y) = (painted(50 * 33, 1), painted(50, 2));
        let data = ridge::Data::new(MatrixRef::new(&x, 50, 33).unwrap(), &y).unwrap();
        work(&ridge::Problem::new(data, data).unwrap());
    }

    fn config(step: f64) -> Config {
        let inner = descent::Config {
            steps: 10,
            method: descent::Method::gd(step),
        };
        Config {
            directions: 7,
            start: Start::Warm,
            ..Config::new(inner)
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_bits_of_core() {
        with_problem(|problem| {
            let base = config(0.2);
            for config in [
                base,
                Config {
                    difference: Difference::Central,
                    direction: Direction::UnitSphereTimesP,
                    ..base
                },
                Config {
                    estimate: Estimate::OuterValue,
                    ..base
                },
                Config {
                    direction: Direction::Basis,
                    ..base
                },
            ] {
                let x = painted(33, 3);
                let mut state = State::from_storage(vec![0.0; 33]);
                let mut scratch = vec![0.0; es_jacobian::scratch_len(&config, 33, 33, 50)];
                let mut expected = vec![0.0; 33];
                for _ in 0..2 {
                    es_jacobian::step(
                        &config,
                        &mut state,
                        problem,
                        &x,
                        &mut expected,
                        &mut scratch,
                    )
                    .unwrap();
                }
                assert!(expected.iter().any(|h| h.abs() > 1e-3));
                for threads in [1, 2, 3, 8] {
                    let mut other = State::from_storage(vec![0.0; 33]);
                    let mut h = vec![0.0; 33];
                    with_threads(threads, || {
                        let mut directions = ParallelEstimator::new();
                        for _ in 0..2 {
                            directions
                                .step(&config, &mut other, problem, &x, &mut h)
                                .unwrap();
                        }
                    });
                    assert!(h == expected && other == state, "{threads} threads");
                }
            }
        });
    }

    #[test]
    fn a_failure_is_that_of_core_and_nothing_is_written() {
        with_problem(|problem| {
            // A path, a start, an argument, a hypergradient: beyond the numbers at -1, 1e30, NaN, and a step for which h overflows.
            let unstable = Config {
                radius: 60.0,
                ..config(0.2)
            };
            let resting = config(1e-30);
            let basis = Config {
                direction: Direction::Basis,
                radius: 1e-5,
                ..config(0.2)
            };
            let (low, nan) = (vec![-1.0; 33], vec![f32::NAN; 33]);
            let (zeros, far) = (vec![0.0; 33], vec![1e30; 33]);
            for (config, x, y0, name) in [
                (unstable, &low, &zeros, "perturbed inner path"),
                (resting, &low, &far, "inner path"),
                (resting, &nan, &zeros, "`x`"),
                (resting, &low, &nan, "`state.y0`"),
                (basis, &low, &vec![1e17; 33], "hypergradient"),
            ] {
                let mut scratch = vec![0.0; es_jacobian::scratch_len(&config, 33, 33, 50)];
                let mut state = State::from_storage(y0.clone());
                let mut h = vec![7.0; 33];
                let alone =
                    es_jacobian::step(&config, &mut state, problem, x, &mut h, &mut scratch);
                let error = alone.unwrap_err();
                assert!(error.to_string().contains(name), "{name}: {error}");
                for threads in [1, 4] {
                    let found = with_threads(threads, || {
                        ParallelEstimator::new().step(&config, &mut state, problem, x, &mut h)
                    });
                    assert_eq!(found, Err(error));
                    assert_eq!((state.rounds(), &h), (0, &vec![7.0; 33]));
                }
                assert!(
                    state
                        .y0()
                        .iter()
                        .zip(y0)
                        .all(|(a, b)| a.to_bits() == b.to_bits())
                );
            }
        });
    }
}
