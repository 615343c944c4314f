//! The directions of a hypergradient on several threads.
//!
//! ```text
//! base path                       one thread
//! c_j, j = 0 .. Q-1               each a separate path, in any order
//! h <- h + c_j u_j / Q            in order of j
//! ```
//!
//! A coefficient depends on its number alone, so the bits are those of [`es_jacobian::step`] for any number of threads.
//! Memory: a path and a direction per thread, Q coefficients; kept between calls but for the paths. Directions are drawn
//! twice: once for the path, once to be added.

use rayon::prelude::*;
use thalweg::bilevel::Problem;
use thalweg::bilevel::es_jacobian::{self, Config, State};
use thalweg::error::Error;
use thalweg::{Real, Storage};

/// Memory of the base path.
///
/// ```
/// use thalweg::bilevel::{descent, es_jacobian, ridge};
/// use thalweg::matrix::MatrixRef;
/// use thalweg_std::par::bilevel::Directions;
/// let (x, y) = ([1.0_f64, 2.0, 3.0, 5.0], [1.0, -1.0]);
/// let data = ridge::Data::new(MatrixRef::new(&x, 2, 2)?, &y)?;
/// let problem = ridge::Problem::new(data, data)?;
/// let inner = descent::Config { steps: 9, method: descent::Method::gd(0.05) };
/// let config = es_jacobian::Config { directions: 3, ..es_jacobian::Config::new(inner) };
/// let (mut h, mut alone) = ([0.0; 2], [0.0; 2]);
/// let mut state = es_jacobian::State::from_storage([0.0; 2]);
/// es_jacobian::step(&config, &mut state.clone(), &problem, &[0.0; 2], &mut [0.0; 14], &mut alone)?;
/// Directions::new().step(&config, &mut state, &problem, &[0.0; 2], &mut h)?;
/// assert_eq!(h, alone);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Directions<T> {
    y_n: Vec<T>,
    grad_y: Vec<T>,
    direction: Vec<T>,
    path: Vec<T>,
}

impl<T: Real> Directions<T> {
    /// No memory yet; the first call takes what it needs.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            y_n: Vec::new(),
            grad_y: Vec::new(),
            direction: Vec::new(),
            path: Vec::new(),
        }
    }

    /// Writes the hypergradient at `x` into `h`, ends the round, and returns the outer value.
    ///
    /// # Errors
    /// Those of [`es_jacobian::step`]; of several unstable directions the first is named.
    pub fn step<B: Storage<Elem = T>>(
        &mut self,
        config: &Config,
        state: &mut State<B>,
        problem: &(impl Problem<T> + Sync),
        x: &[T],
        h: &mut [T],
    ) -> Result<T, Error> {
        let (p, d) = (problem.outer_dim(), problem.inner_dim());
        let len = es_jacobian::path_len(config, p, d, problem.scratch_len());
        let Self {
            y_n,
            grad_y,
            direction,
            path,
        } = self;
        y_n.resize(d, T::ZERO);
        grad_y.resize(d, T::ZERO);
        direction.resize(p, T::ZERO);
        path.resize(len, T::ZERO);
        let base = [&mut y_n[..], &mut grad_y[..]];
        let point = es_jacobian::solve(config, state, problem, x, base, path, h)?;
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
            es_jacobian::add_direction(config, c?, direction, h)?;
        }
        let value = point.value;
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
                        &mut scratch,
                        &mut expected,
                    )
                    .unwrap();
                }
                assert!(expected.iter().any(|h| h.abs() > 1e-3));
                for threads in [1, 2, 3, 8] {
                    let mut other = State::from_storage(vec![0.0; 33]);
                    let mut h = vec![0.0; 33];
                    with_threads(threads, || {
                        let mut directions = Directions::new();
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
    fn the_first_unstable_direction_is_named_and_the_state_kept() {
        with_problem(|problem| {
            // The base is stable at exp(-1) + curvature, and paths with a penalty of e^50 are not.
            let config = Config {
                radius: 60.0,
                ..config(0.2)
            };
            let x = vec![-1.0; 33];
            let mut scratch = vec![0.0; es_jacobian::scratch_len(&config, 33, 33, 50)];
            let mut state = State::from_storage(vec![0.0; 33]);
            let mut h = vec![0.0; 33];
            let alone = es_jacobian::step(&config, &mut state, problem, &x, &mut scratch, &mut h);
            let error = alone.unwrap_err();
            assert!(
                error.to_string().contains("perturbed inner path"),
                "{error}"
            );
            for threads in [1, 4] {
                let found = with_threads(threads, || {
                    Directions::new().step(&config, &mut state, problem, &x, &mut h)
                });
                assert_eq!(found, Err(error));
                assert_eq!(state.rounds(), 0);
            }
        });
    }
}
