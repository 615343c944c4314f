//! Muon: momentum of matrices, each step replaced by a nearly orthogonal matrix of the same row and column space.
//!
//! The momentum of a weight matrix is dominated by a few directions. Muon sets all its singular values to about 1, so that rare directions are
//! learnt at the rate of frequent ones. The singular values are not computed: five Newton-Schulz iterations, products of matrices alone, bring those
//! above 0.004 of the largest possible one into 0.65 .. 1.2.
//!
//! ```text
//! b_t = momentum b_{t-1} + (1 - momentum) g
//! u_t = momentum b_t + (1 - momentum) g                      Nesterov; else u_t = b_t
//! X_0 = u_t / (|u_t| + eps)                                  Frobenius norm
//! A = X_k X_k^T,  X_{k+1} = 3.4445 X_k + (-4.775 A + 2.0315 A A) X_k
//! x_{t+1} = (1 - learning_rate weight_decay) x_t - learning_rate sqrt(max(1, rows / columns)) X_5
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x, g | weights of a layer and their gradient; a row is a neuron | rows x columns |
//! | b | momentum ([`Config::buffers`]) | rows x columns |
//! | X | the step | rows x columns |
//! | A | Gram matrix of the shorter side: `X^T X` from the right where rows exceed columns | s x s, s the smaller of both |
//!
//! Cost of an iteration: `3 s^2 l + s^3` flops, l the larger of both; a step moves another 44 bytes per `f32`. Workspace:
//! [`Config::workspace_len`], which is that of the largest layer.
//!
//! Layers that are not matrices are refused, as by PyTorch: biases, gains, embeddings and the last layer are stepped by another optimiser, commonly AdamW.
//! Convolutions are matrices of output channels times the rest. PyTorch's `match_rms_adamw` is a learning rate of `0.2 sqrt(max(rows, columns))`
//! with the weight decay divided by it, without the root above, which a caller of layer by layer can set.
//!
//! A gradient that is not finite, or whose momentum overflows, makes its layer NaN; other layers are as without it. A momentum of zeros is no step.
//!
//! Reference: Jordan et al., *Muon: an optimizer for hidden layers in neural networks* (2024, kellerjordan.github.io/posts/muon); defaults of
//! `torch.optim.Muon`. PyTorch and that code iterate in bf16, and PyTorch divides by the larger of norm and eps; here the arithmetic is that of the scalar type.

use super::average::copy;
use super::{BUFFERS, Kernels as _, Layer, Memory, Optimiser, Precision, params_len};
use super::{check_fraction, check_non_negative, narrow, told, told_fraction};
use crate::error::check;
use crate::matrix::{self, MatrixMut, MatrixRef, Product, Upper, gemm_scratch};
use crate::memory::{cut, must, take};
use crate::simd::{self, Lanes, Update};
use crate::{Arithmetic, Error, Real, vector};

/// Of the quintic `a x + b x^3 + c x^5`, steep at 0 at the price of values up to 0.35 away from 1.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];

/// Hyperparameters; [`Config::new`] sets all but the learning rate to PyTorch's defaults.
///
/// ```
/// use thalweg::optim::{Layer, Optimiser, State, muon};
/// // A gradient of rank 1: its one singular value goes to 0.68 or so, whatever the gradient's length.
/// let layers = [Layer::Matrix { rows: 2, columns: 2 }];
/// let config = muon::Config { weight_decay: 0.0, ..muon::Config::new(1.0) };
/// let mut state = State::new([0.0; 4]).with_workspace(vec![0.0; config.workspace_len(&layers)]);
/// let mut w = [0.0_f64; 4];
/// config.step_layers(&layers, &mut state, &mut w, &[3e-3, 0.0, 4e-3, 0.0])?;
/// let p = |x: f64| 3.4445 * x - 4.775 * x.powi(3) + 2.0315 * x.powi(5);
/// let value = p(p(p(p(p(1.0)))));
/// assert!((w[0] + 0.6 * value).abs() < 1e-4 && (w[2] + 0.8 * value).abs() < 1e-4 && w[1] == 0.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of a step in each direction; finite, at least 0.
    pub learning_rate: f64,
    /// Decay of the momentum; in [0, 1), default 0.95.
    pub momentum: f64,
    /// Nesterov's form, the default.
    pub nesterov: bool,
    /// Decay of the weights per unit of learning rate; finite, at least 0, default 0.1.
    pub weight_decay: f64,
    /// Added to the norm of the momentum; finite, at least 0, default 1e-7. A positive one may not become 0 in the scalar type.
    pub eps: f64,
    /// Newton-Schulz iterations of a step; at most 99, default 5.
    pub iterations: u32,
    /// Arithmetic of the products of matrices.
    pub arithmetic: Arithmetic,
}

impl Config {
    /// PyTorch's defaults.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::muon::Config::new(0.02).momentum, 0.95);
    /// ```
    #[must_use]
    pub const fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            momentum: 0.95,
            nesterov: true,
            weight_decay: 0.1,
            eps: 1e-7,
            iterations: 5,
            arithmetic: Arithmetic::Portable,
        }
    }

    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::muon::Config;
    /// let error = Config { momentum: 1.0, ..Config::new(0.1) }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`momentum` must be in [0, 1)");
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check_non_negative("learning_rate", self.learning_rate)?;
        check_fraction("momentum", self.momentum)?;
        check_non_negative("weight_decay", self.weight_decay)?;
        check_non_negative("eps", self.eps)?;
        check("iterations", self.iterations < 100, "must be below 100")
    }

    /// Lengths of the buffers for `n` parameters: b.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::muon::Config::new(0.1).buffers(10), [10, 0, 0]);
    /// ```
    #[must_use]
    pub const fn buffers(&self, n: usize) -> [usize; BUFFERS] {
        [n, 0, 0]
    }

    /// Elements of a state for these layers.
    #[must_use]
    pub const fn layers_len(&self, layers: &[Layer]) -> usize {
        super::optimiser::total(self.buffers(params_len(layers)))
    }

    /// Elements of the workspace for these layers: two steps, two Gram matrices and packed factors of the largest.
    ///
    /// ```
    /// use thalweg::matrix::gemm_scratch;
    /// use thalweg::optim::{Layer, muon};
    /// let layers = [Layer::Matrix { rows: 20, columns: 30 }];
    /// let expected = 2 * 20 * 30 + 2 * 20 * 20 + gemm_scratch(20, 30, 20);
    /// assert_eq!(muon::Config::new(0.1).workspace_len(&layers), expected);
    /// ```
    #[must_use]
    pub const fn workspace_len(&self, layers: &[Layer]) -> usize {
        let (mut most, mut rest) = (0, layers);
        while let [layer, tail @ ..] = rest {
            if let Layer::Matrix { rows, columns } = *layer {
                let (s, l) = ordered(rows, columns);
                let matrices = s.saturating_mul(l.saturating_add(s)).saturating_mul(2);
                let (gram, step) = (gemm_scratch(s, s, l), gemm_scratch(rows, columns, s));
                let len = matrices.saturating_add(ordered(gram, step).1);
                most = ordered(most, len).1;
            }
            rest = tail;
        }
        most
    }
}

/// The smaller and the larger.
const fn ordered(a: usize, b: usize) -> (usize, usize) {
    if a < b { (a, b) } else { (b, a) }
}

/// The scalars of one step.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Prepared<T> {
    momentum: Momentum<T>,
    eps: T,
    /// `1 - learning_rate weight_decay`.
    keep: T,
    rate: T,
    newton_schulz: NewtonSchulz,
}

/// Momentum b and what is made orthogonal, u.
#[derive(Clone, Copy, Debug)]
struct Momentum<T> {
    old: T,
    new: T,
    /// Coefficients of b and g in u.
    look: [T; 2],
}

impl<T: Real> Update<T, 2, 1> for Momentum<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [b, _]: [L; 2], [g]: [L; 1]) -> [L; 2] {
        let at = |scalar| g.constant(scalar);
        let b = (at(self.old) * b + at(self.new) * g).flush();
        [b, at(self.look[0]) * b + at(self.look[1]) * g]
    }
}

/// `keep x - rate step`.
#[derive(Clone, Copy)]
struct Advance<T> {
    keep: T,
    rate: T,
}

impl<T: Real> Update<T, 1, 1> for Advance<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], [step]: [L; 1]) -> [L; 1] {
        [x.constant(self.keep) * x - x.constant(self.rate) * step]
    }
}

/// Newton-Schulz: the singular values of a matrix of norm 1 come near 1.
#[derive(Clone, Copy, Debug)]
struct NewtonSchulz {
    iterations: u32,
    arithmetic: Arithmetic,
}

impl NewtonSchulz {
    /// Iterates on the first matrix; returns that of both in which the result is.
    fn run<'a, T: Real>(
        self,
        (rows, columns): (usize, usize),
        [mut x, mut y]: [&'a mut [T]; 2],
        scratch: &mut [T],
    ) -> Result<&'a mut [T], Error> {
        let (s, is_tall) = (rows.min(columns), rows > columns);
        let ([gram, polynomial], scratch) = cut(scratch, [s.saturating_mul(s); 2])?;
        let [a, b, c] = COEFFICIENTS.map(T::from_f64);
        let plain = Product::plain(self.arithmetic);
        for _ in 0..self.iterations {
            let step = MatrixRef::new(x, rows, columns)?;
            let wide = if is_tall { step.t() } else { step.into() };
            let out = MatrixMut::new(gram, s, s)?;
            matrix::syrk(plain, wide, Upper::Mirror, out, scratch)?;
            // a I + b A + c A A, symmetric as A is.
            copy(gram, polynomial);
            let (gram, mut out) = (
                MatrixRef::new(gram, s, s)?,
                MatrixMut::new(polynomial, s, s)?,
            );
            let how = Product {
                alpha: c,
                beta: b,
                ..plain
            };
            matrix::syrk(how, gram, Upper::Mirror, out.reborrow(), scratch)?;
            matrix::add_diagonal(a, out)?;
            let polynomial = MatrixRef::new(polynomial, s, s)?;
            let out = MatrixMut::new(y, rows, columns)?;
            if is_tall {
                matrix::gemm(plain, step, polynomial, out, scratch)?;
            } else {
                matrix::gemm(plain, polynomial, step, out, scratch)?;
            }
            core::mem::swap(&mut x, &mut y);
        }
        Ok(x)
    }
}

impl<T: Real> Prepared<T> {
    /// The step of one layer.
    pub(super) fn run(
        &self,
        shape: (usize, usize),
        workspace: &mut [T],
        [b, x]: [&mut [T]; 2],
        g: &[T],
    ) -> Result<(), Error> {
        let ([step, other], scratch) = cut(workspace, [x.len(); 2])?;
        simd::update(&self.momentum, [b, &mut *step], [g]);
        let norm = vector::norm2(step);
        if norm != T::ZERO {
            let length = norm + self.eps;
            step.iter_mut().for_each(|u| *u /= length);
        }
        let step = self.newton_schulz.run(shape, [step, other], scratch)?;
        let (rows, columns) = shape;
        // No side of a matrix with elements is 0.
        let ratio = T::from_usize(rows) / T::from_usize(columns);
        let advance = Advance {
            keep: self.keep,
            rate: self.rate * ratio.largest(T::ONE).sqrt(),
        };
        simd::update(&advance, [x], [step]);
        Ok(())
    }
}

impl Optimiser for Config {
    const KIND: [u8; 4] = *b"MUON";
    type Prepared<T: Real> = Prepared<T>;

    fn validate(&self) -> Result<(), Error> {
        Self::validate(self)
    }

    fn check_layers(&self, layers: &[Layer]) -> Result<(), Error> {
        let is_matrix = |layer: &Layer| matches!(layer, Layer::Matrix { .. });
        check("layers", layers.iter().all(is_matrix), "must be matrices")
    }

    fn lengths(&self, layers: &[Layer]) -> [usize; BUFFERS] {
        self.buffers(params_len(layers))
    }

    fn workspace_len(&self, layers: &[Layer]) -> usize {
        Self::workspace_len(self, layers)
    }

    fn prepare<T: Real>(&self, _: u64, _: Precision) -> Result<Prepared<T>, Error> {
        let old = told_fraction("momentum", self.momentum)?;
        let new = T::from_f64(1.0 - self.momentum);
        let look = if self.nesterov {
            [old, new]
        } else {
            [T::ONE, T::ZERO]
        };
        Ok(Prepared {
            momentum: Momentum { old, new, look },
            eps: told("eps", self.eps)?,
            keep: narrow("weight_decay", 1.0 - self.learning_rate * self.weight_decay)?,
            rate: told("learning_rate", self.learning_rate)?,
            newton_schulz: NewtonSchulz {
                iterations: self.iterations,
                arithmetic: self.arithmetic,
            },
        })
    }

    fn run<T: Real>(
        prepared: &Prepared<T>,
        layers: &[Layer],
        memory: Memory<'_, T>,
        params: &mut [T],
        grad: &[T],
    ) {
        let ([mut b, ..], workspace) = (memory.buffers, memory.workspace);
        let (mut params, mut grad) = (params, grad);
        for layer in layers {
            let n = layer.len();
            let (g, rest) = must(grad.split_at_checked(n));
            grad = rest;
            let (b, x) = (take(&mut b, n), take(&mut params, n));
            if let Layer::Matrix { rows, columns } = *layer
                && n > 0
            {
                let done = T::Kernels::muon(prepared, (rows, columns), workspace, [b, x], g);
                debug_assert!(done.is_ok(), "lengths that were checked before");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::State;
    use crate::optim::optimiser::tests::assert_refuses_on;
    use crate::optim::tests::painted;
    use std::vec;
    use std::vec::Vec;

    fn matrix(rows: usize, columns: usize) -> [Layer; 1] {
        [Layer::Matrix { rows, columns }]
    }

    /// The first step without decay, from zeros.
    fn first_step<T: Real>(config: Config, layers: &[Layer], grad: &[T]) -> Vec<T> {
        let config = Config {
            weight_decay: 0.0,
            ..config
        };
        let mut x = vec![T::ZERO; grad.len()];
        let mut state =
            State::new(vec![T::ZERO; grad.len()])
                .with_workspace(vec![T::ZERO; config.workspace_len(layers)]);
        config
            .step_layers(layers, &mut state, &mut x, grad)
            .unwrap();
        x
    }

    /// `U S V^T` becomes `-learning_rate U p(S) V^T`: here of a diagonal, whose norm is 5, and p applied five times by hand.
    #[test]
    fn singular_values_go_through_the_quintic_and_the_vectors_stay() {
        let p = |x: f64| 3.4445 * x - 4.775 * x.powi(3) + 2.0315 * x.powi(5);
        let five = |x| p(p(p(p(p(x)))));
        for momentum in [0.0, 0.95] {
            let config = Config {
                momentum,
                eps: 0.0,
                ..Config::new(0.5)
            };
            let x = first_step(config, &matrix(2, 3), &[3.0_f64, 0.0, 0.0, 0.0, -4.0, 0.0]);
            let expected = [-0.5 * five(0.6), 0.0, 0.0, 0.0, 0.5 * five(0.8), 0.0];
            assert!(
                x.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-14),
                "{x:?}"
            );
            // Taller than wide: the root of 3 / 2.
            let x = first_step(config, &matrix(3, 2), &[3.0_f64, 0.0, 0.0, -4.0, 0.0, 0.0]);
            let tall = [expected[0], 0.0, 0.0, expected[4], 0.0, 0.0].map(|x| x * 1.5_f64.sqrt());
            assert!(
                x.iter().zip(tall).all(|(x, y)| (x - y).abs() < 1e-14),
                "{x:?}"
            );
        }
    }

    #[test]
    fn a_step_is_nearly_orthogonal_whatever_the_scale_of_the_gradient() {
        for (rows, columns) in [(8, 40), (40, 8), (20, 20)] {
            let (n, layers) = (rows * columns, matrix(rows, columns));
            let g: Vec<f32> = painted(n, 3);
            let x = first_step(Config::new(1.0), &layers, &g);
            let s = rows.min(columns);
            let scale = (rows as f32 / columns as f32).max(1.0);
            let norm2 = x.iter().map(|x| x * x).sum::<f32>() / scale;
            // All singular values in 0.65 .. 1.25 or, where the gradient has next to none, below.
            assert!(
                (0.3 * s as f32..1.6 * s as f32).contains(&norm2),
                "{norm2} {s}"
            );
            for factor in [1e-30_f32, 1e30] {
                let scaled: Vec<f32> = g.iter().map(|g| g * factor).collect();
                let config = Config {
                    eps: 0.0,
                    ..Config::new(1.0)
                };
                let (x, y) = (
                    first_step(config, &layers, &g),
                    first_step(config, &layers, &scaled),
                );
                assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-4));
            }
        }
    }

    #[test]
    fn decay_shrinks_weights_by_rate_times_decay_and_zeros_are_no_step() {
        let config = Config {
            weight_decay: 0.5,
            ..Config::new(0.5)
        };
        let mut state = State::new([0.0; 2]).with_workspace([0.0; 200]);
        let mut x = [8.0_f64, -4.0];
        config
            .step_layers(&matrix(1, 2), &mut state, &mut x, &[0.0; 2])
            .unwrap();
        assert_eq!(x, [6.0, -3.0]);
        let config = Config { eps: 0.0, ..config };
        config
            .step_layers(&matrix(1, 2), &mut state, &mut x, &[0.0; 2])
            .unwrap();
        assert_eq!(x, [4.5, -2.25]);
    }

    #[test]
    fn a_nan_stays_in_its_layer() {
        let layers = [matrix(2, 2), matrix(2, 2)].concat();
        let mut g = [1.0_f32, 2.0, -3.0, 0.5, 1.0, 2.0, -3.0, 0.5];
        g[1] = f32::NAN;
        let x = first_step(Config::new(0.1), &layers, &g);
        assert!(x[..4].iter().all(|x| x.is_nan()) && x[4..].iter().all(|x| x.is_finite()));
        g[1] = 2.0;
        assert_eq!(first_step(Config::new(0.1), &layers, &g)[4..], x[4..]);
    }

    #[test]
    fn fast_arithmetic_takes_nearly_the_same_step() {
        let fast = Config {
            arithmetic: Arithmetic::Fast,
            ..Config::new(0.1)
        };
        let g: Vec<f64> = painted(300, 1);
        let x = first_step(Config::new(0.1), &matrix(15, 20), &g);
        let y = first_step(fast, &matrix(15, 20), &g);
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-12));
    }

    #[test]
    fn every_bad_argument_is_named_and_changes_nothing() {
        let good = Config::new(0.1);
        #[rustfmt::skip]
        let bad = [
            ("learning_rate", Config { learning_rate: f64::NAN, ..good }),
            ("momentum", Config { momentum: 1.0 - 1e-9, ..good }),
            ("weight_decay", Config { weight_decay: -0.1, ..good }),
            ("eps", Config { eps: 1e-50, ..good }),
            ("iterations", Config { iterations: 100, ..good }),
        ];
        assert_refuses_on(&matrix(1, 2), good, &bad);
        let vector = [Layer::Vector(2)];
        let refused =
            good.step_layers(&vector, &mut State::new([0.0; 2]), &mut [1.0; 2], &[1.0; 2]);
        assert_eq!(
            std::format!("{}", refused.unwrap_err()),
            "`layers` must be matrices"
        );
        let mut x = [1.0; 2];
        let error = good.step_layers(&matrix(1, 2), &mut State::new([0.0; 2]), &mut x, &[1.0; 2]);
        let expected = good.workspace_len(&matrix(1, 2));
        assert_eq!(
            error,
            Err(Error::Length {
                name: "workspace",
                expected,
                found: 0
            })
        );
        assert_eq!(x, [1.0; 2]);
    }
}
