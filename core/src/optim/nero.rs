//! Nero: steps per neuron, with the rows of weight matrices kept centred and of norm 1.
//!
//! The incoming weights of a neuron move by a fixed angle, whatever the scale of their gradient; between two steps they have mean 0 and norm 1, so
//! that the margin of a network is set by the scale of its labels. [`project`] brings weights to that form before the first gradient is taken.
//!
//! ```text
//! V_t = beta V_{t-1} + (1 - beta) |g|^2                           |g| the norm of a row; of an entry in a vector
//! w <- w - learning_rate s g / sqrt(V_t / (1 - beta^t))           0 where V_t is 0
//! w <- w - mean(w);  w <- w / |w|                                 rows of matrices
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | w, g | a row of weights, or an entry of a vector, and its gradient | columns; 1 |
//! | V | mean squared norm of gradients | one per row; one per entry of a vector |
//! | s | scale: 1 for matrices; the mean magnitude at the first step for vectors, 0.01 where that is 0 | one per vector |
//!
//! Cost per element of a matrix: 9 flops in five passes over a row, which stays in the first cache; per row a root or two and a division.
//! State: [`Config::layer_buffers`].
//!
//! A gradient whose norm has no finite square counts as the largest that has one. A gradient that is not finite reaches its row, no other.
//! A row of one weight minus its mean is 0: matrices of one column are refused. A row that the step makes constant has norm 0 and becomes NaN.
//!
//! Reference: Liu, Bernstein, Meister and Yue, *Learning by turning: neural architecture aware optimisation* (2021), algorithm 1.

use super::{BUFFERS, Bounds, Layer, Memory, Optimiser, Precision};
use super::{check_fraction, check_non_negative, told, told_fraction};
use crate::error::{check, check_length};
use crate::memory::{must, take};
use crate::optim::params_len;
use crate::{Error, Real, vector};

/// Hyperparameters; the defaults are the publication's.
///
/// ```
/// use thalweg::optim::{Layer, Optimiser, State, nero};
/// const LAYERS: [Layer; 1] = [Layer::Matrix { rows: 1, columns: 4 }];
/// const CONFIG: nero::Config = nero::Config { learning_rate: 0.01, beta: 0.999 };
/// let mut w = [3.0_f64, 0.0, 0.0, -3.0];
/// nero::project(&LAYERS, &mut w)?; // (1, 0, 0, -1) / sqrt(2)
/// let mut state = State::new([0.0; CONFIG.layers_len(&LAYERS)]);
/// CONFIG.step_layers(&LAYERS, &mut state, &mut w, &[1.0, 2.0, 3.0, 4.0])?;
/// assert!((w[0] - 0.7071062).abs() < 1e-7 && (w[1] - 0.0009093).abs() < 1e-7);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of the step of a row of norm 1; finite, at least 0, default 0.01.
    pub learning_rate: f64,
    /// Decay of V; in [0, 1), default 0.999.
    pub beta: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            beta: 0.999,
        }
    }
}

impl Config {
    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::nero::Config;
    /// let error = Config { beta: 1.0, ..Default::default() }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`beta` must be in [0, 1)");
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check_non_negative("learning_rate", self.learning_rate)?;
        check_fraction("beta", self.beta)
    }

    /// Lengths of the buffers for these layers: V, s.
    ///
    /// ```
    /// use thalweg::optim::{Layer, nero};
    /// let layers = [Layer::Matrix { rows: 3, columns: 40 }, Layer::Vector(3)];
    /// assert_eq!(nero::Config::default().layer_buffers(&layers), [6, 1, 0]);
    /// ```
    #[must_use]
    pub const fn layer_buffers(&self, layers: &[Layer]) -> [usize; BUFFERS] {
        let ([mut v, mut s], mut rest) = ([0_usize; 2], layers);
        while let [layer, tail @ ..] = rest {
            match *layer {
                Layer::Matrix { rows, .. } => v = v.saturating_add(rows),
                Layer::Vector(n) => {
                    v = v.saturating_add(n);
                    s = s.saturating_add(1);
                }
            }
            rest = tail;
        }
        [v, s, 0]
    }

    /// Elements of a state for these layers.
    #[must_use]
    pub const fn layers_len(&self, layers: &[Layer]) -> usize {
        super::optimiser::total(self.layer_buffers(layers))
    }
}

/// Centres the rows of matrices and scales them to norm 1; vectors stay.
///
/// # Errors
/// [`Error::Length`] when `params` does not have the length of the layers; [`Error::Parameter`] for a matrix of one column. Nothing is changed then.
///
/// ```
/// use thalweg::optim::{Layer, nero};
/// let mut w = [5.0, 1.0, 2.0, 2.5];
/// nero::project(&[Layer::Matrix { rows: 1, columns: 2 }, Layer::Vector(2)], &mut w)?;
/// assert!((w[0] - 0.5_f64.sqrt()).abs() < 1e-15 && w[0] == -w[1] && w[2..] == [2.0, 2.5]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn project<T: Real>(layers: &[Layer], params: &mut [T]) -> Result<(), Error> {
    check_columns(layers)?;
    check_length("params", params_len(layers), params.len())?;
    let mut params = params;
    for layer in layers {
        let weights = take(&mut params, layer.len());
        if let Layer::Matrix { columns, .. } = *layer {
            weights.chunks_mut(columns.max(1)).for_each(turn_to_sphere);
        }
    }
    Ok(())
}

fn check_columns(layers: &[Layer]) -> Result<(), Error> {
    let is_wide = |layer: &Layer| {
        !matches!(
            layer,
            Layer::Matrix {
                rows: 1..,
                columns: 1
            }
        )
    };
    check(
        "columns",
        layers.iter().all(is_wide),
        "must be above 1 in a matrix",
    )
}

/// `row - mean(row)`, then of norm 1.
fn turn_to_sphere<T: Real>(row: &mut [T]) {
    let mean = vector::sum(row) / T::from_usize(row.len());
    row.iter_mut().for_each(|w| *w -= mean);
    let norm = vector::norm2(row);
    row.iter_mut().for_each(|w| *w /= norm);
}

/// The scalars of one step.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Prepared<T> {
    beta: T,
    /// `1 - beta`.
    new: T,
    rate: T,
    /// `sqrt(1 - beta^t)`.
    correction: T,
    is_first: bool,
    bounds: Bounds<T>,
}

impl<T: Real> Prepared<T> {
    /// Moves the row along its gradient by the rate, in units of the root mean squared norm.
    #[inline]
    fn advance(&self, scale: T, v: &mut T, row: &mut [T], grad: &[T]) {
        let norm = vector::norm2(grad);
        let counted = self.bounds.limit_norm(norm);
        *v = self.beta * *v + self.new * counted * counted;
        if *v == T::ZERO {
            return;
        }
        let mut step = self.rate * scale * self.correction / v.sqrt();
        if counted != norm {
            step *= counted / norm;
        }
        for (w, g) in row.iter_mut().zip(grad) {
            *w -= step * *g;
        }
    }
}

impl Optimiser for Config {
    const KIND: [u8; 4] = *b"NERO";
    type Prepared<T: Real> = Prepared<T>;

    fn validate(&self) -> Result<(), Error> {
        Self::validate(self)
    }

    fn check_layers(&self, layers: &[Layer]) -> Result<(), Error> {
        check_columns(layers)
    }

    fn lengths(&self, layers: &[Layer]) -> [usize; BUFFERS] {
        self.layer_buffers(layers)
    }

    fn prepare<T: Real>(&self, steps: u64, precision: Precision) -> Result<Prepared<T>, Error> {
        let t = steps.saturating_add(1);
        Ok(Prepared {
            beta: told_fraction("beta", self.beta)?,
            new: T::from_f64(1.0 - self.beta),
            rate: told("learning_rate", self.learning_rate)?,
            correction: T::from_f64(libm::sqrt(super::bias_correction(self.beta, t))),
            is_first: steps == 0,
            bounds: Bounds::new(precision),
        })
    }

    fn run<T: Real>(
        prepared: &Prepared<T>,
        layers: &[Layer],
        memory: Memory<'_, T>,
        params: &mut [T],
        grad: &[T],
    ) {
        let [mut v, mut scales, _] = memory.buffers;
        let (mut params, mut grad) = (params, grad);
        for layer in layers {
            let weights = take(&mut params, layer.len());
            let (gradient, rest) = must(grad.split_at_checked(layer.len()));
            grad = rest;
            match *layer {
                Layer::Matrix { rows, columns } => {
                    let v = take(&mut v, rows);
                    let rows = weights.chunks_mut(columns.max(1));
                    for ((row, g), v) in rows.zip(gradient.chunks(columns.max(1))).zip(v) {
                        prepared.advance(T::ONE, v, row, g);
                        turn_to_sphere(row);
                    }
                }
                Layer::Vector(n) => {
                    let (v, scale) = (take(&mut v, n), take(&mut scales, 1));
                    for scale in scale {
                        if prepared.is_first {
                            *scale = mean_magnitude(weights);
                        }
                        let entries = weights.chunks_mut(1).zip(gradient.chunks(1));
                        for ((w, g), v) in entries.zip(&mut *v) {
                            prepared.advance(*scale, v, w, g);
                        }
                    }
                }
            }
        }
    }
}

/// Mean magnitude of a vector, 0.01 where that is 0.
fn mean_magnitude<T: Real>(x: &[T]) -> T {
    let mean = vector::sum_abs(x) / T::from_usize(x.len().max(1));
    if mean == T::ZERO {
        T::from_f64(0.01)
    } else {
        mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::State;
    use crate::optim::optimiser::tests::assert_refuses;
    use crate::optim::tests::painted;
    use std::vec;

    const ROW: [Layer; 1] = [Layer::Matrix {
        rows: 1,
        columns: 4,
    }];

    /// The five lines worked by hand: W = (1, 0, 0, -1) / sqrt(2), G = (1, 2, 3, 4), so that |G| = sqrt(30).
    #[test]
    fn one_step_is_that_worked_by_hand() {
        let mut w = [3.0_f64, 0.0, 0.0, -3.0];
        project(&ROW, &mut w).unwrap();
        let half = 0.5_f64.sqrt();
        assert!((w[0] - half).abs() < 1e-15 && (w[3] + half).abs() < 1e-15);
        let config = Config::default();
        let mut state = State::new(vec![0.0; config.layers_len(&ROW)]);
        config
            .step_layers(&ROW, &mut state, &mut w, &[1.0, 2.0, 3.0, 4.0])
            .unwrap();
        let expected = [0.7071062, 0.0009093, -0.0009093, -0.7071062];
        for (w, expected) in w.iter().zip(expected) {
            assert!((w - expected).abs() < 6e-8, "{w} {expected}");
        }
        assert!((state.memory()[0] - 0.03).abs() < 1e-15);
    }

    #[test]
    fn rows_stay_centred_and_of_norm_one_and_the_scale_of_the_loss_does_not_matter() {
        let layers = [Layer::Matrix {
            rows: 5,
            columns: 33,
        }];
        let run = |scale: f64| {
            let (mut x, config) = (painted::<f64>(165, 1), Config::default());
            project(&layers, &mut x).unwrap();
            let mut state = State::new(vec![0.0; 5]);
            for t in 0..20 {
                let g: vec::Vec<f64> = painted::<f64>(165, t).iter().map(|g| g * scale).collect();
                config.step_layers(&layers, &mut state, &mut x, &g).unwrap();
            }
            x
        };
        let (x, y) = (run(1.0), run(1e-3));
        for row in x.chunks(33) {
            assert!(row.iter().sum::<f64>().abs() < 1e-13);
            assert!((row.iter().map(|w| w * w).sum::<f64>() - 1.0).abs() < 1e-13);
        }
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-12));
        assert!(
            x.iter()
                .zip(painted::<f64>(165, 1))
                .any(|(x, y)| (x - y).abs() > 0.01)
        );
    }

    /// A vector: each entry moves by the rate times the mean magnitude at the first step, (2 + 4) / 2, or 0.01.
    #[test]
    fn entries_of_a_vector_move_by_its_mean_magnitude() {
        let config = Config {
            learning_rate: 0.5,
            beta: 0.75,
        };
        let mut state = State::new([0.0; 3]);
        let mut x = [2.0_f64, -4.0];
        config.step(&mut state, &mut x, &[7.0, 0.0]).unwrap();
        assert_eq!((x, state.memory()), ([0.5, -4.0], &[12.25, 0.0, 3.0][..]));
        // V = 0.75 * 12.25 + 0.25 * 0, and no gradient, no step.
        config.step(&mut state, &mut x, &[0.0, 1.0]).unwrap();
        assert_eq!(x[0], 0.5);
        // V = 0.25, and 1 - 0.75^2 = 0.4375.
        let expected = -4.0 - 0.5 * 3.0 * (0.4375_f64).sqrt() / 0.5;
        assert!((x[1] - expected).abs() < 1e-15);
        let mut zero = [0.0_f64; 2];
        config
            .step(&mut State::new([0.0; 3]), &mut zero, &[-3.0, 0.0])
            .unwrap();
        assert_eq!(zero, [0.005, 0.0]);
    }

    #[test]
    fn a_huge_gradient_turns_its_row_by_the_rate() {
        let config = Config::default();
        let mut w = [3.0_f32, 0.0, 0.0, -3.0];
        project(&ROW, &mut w).unwrap();
        let mut v = w;
        for (w, g) in [(&mut w, 1e30), (&mut v, 1.0)] {
            let mut state = State::new([0.0_f32]);
            config
                .step_layers(&ROW, &mut state, w, &[g, 2.0 * g, 3.0 * g, 4.0 * g])
                .unwrap();
            assert!(state.memory()[0].is_finite());
        }
        assert!(
            w.iter().zip(v).all(|(w, v)| (w - v).abs() < 1e-6),
            "{w:?} {v:?}"
        );
    }

    #[test]
    fn every_bad_argument_is_named_and_changes_nothing() {
        let good = Config::default();
        let bad = [
            (
                "learning_rate",
                Config {
                    learning_rate: -1.0,
                    ..good
                },
            ),
            (
                "beta",
                Config {
                    beta: f64::NAN,
                    ..good
                },
            ),
            (
                "beta",
                Config {
                    beta: 1.0 - 1e-9,
                    ..good
                },
            ),
        ];
        assert_refuses(good, &bad);
        let column = [Layer::Matrix {
            rows: 2,
            columns: 1,
        }];
        let mut x = [1.0, 2.0];
        let refused = good.step_layers(&column, &mut State::new([0.0; 2]), &mut x, &[1.0; 2]);
        assert!(matches!(
            refused,
            Err(Error::Parameter {
                name: "columns",
                ..
            })
        ));
        assert!(project(&column, &mut x).is_err() && project(&ROW, &mut x).is_err());
        assert_eq!(x, [1.0, 2.0]);
    }
}
