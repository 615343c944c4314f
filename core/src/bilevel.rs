//! Bilevel optimisation: the gradient of an outer loss whose weights are the result of training.
//!
//! ```text
//! minimise Phi(x) = f(x, y^N(x)),   y^{t+1} = y^t - alpha g_y(x, y^t; S_t),   y^0 fixed
//! grad Phi = f_x + J^T f_y,         J = d y^N / d x   (d x p, never formed)
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x | outer variable: hyperparameters, features, weights of samples | p |
//! | y | inner variable: the weights that are trained | d |
//! | g, g_y | inner loss and its gradient in y | scalar, d |
//! | f, f_x, f_y | outer loss and its partial gradients | scalar, p, d |
//! | S_t | minibatch of inner step t | drawn from a [`Draw`] |
//!
//! | member | inner gradients | second-order products | numbers in addition to x, y^0 and h |
//! |---|---|---|---|
//! | [`es_jacobian`], ESJ and ESJ-S | (Q + 1) N | none | (4 + s) d + 3 p |
//! | the same with [`Estimate::OuterValue`](es_jacobian::Estimate), HOZOG | (Q + 1) N and Q + 1 values | none | (4 + s) d + 3 p |
//! | the same with `directions: 0`, direct only | N | none | (4 + s) d + 3 p |
//! | [`aid`], conjugate gradients or fixed point | N | M Hessian, 1 mixed | (5 + s) d + 2 p |
//! | [`stoc_bio`], Neumann series on minibatches | N | M Hessian, 1 mixed | (4 + s) d + 2 p |
//! | [`itd`], reverse | N | N Hessian, N mixed | (N + 3) d + 2 p |
//!
//! | problem | outer variable | inner variable | direct term |
//! |---|---|---|---|
//! | [`ridge`] | logarithms of penalties, one per feature | weights of a regression | no |
//! | [`hyper_cleaning`] | weights of training rows with doubtful labels | a classifier | no |
//! | [`hyper_representation`] | linear features | linear head | yes |
//! | [`hyper_representation::network`] | hidden layers, shared by tasks | a head per task | yes |
//!
//! A [`Problem`] needs gradients only; [`SecondOrder`] is for the baselines, and [`differences`] derives it from gradients. Where f depends on x itself, compare with
//! the direct gradient `f_x` alone: an estimate of the Jacobian that does not beat it has shown nothing.
//!
//! # Failures
//! Every hypergradient checks what it computes, and fails with [`Error::NonFinite`], which names the quantity and the place. `h`, `y` and
//! the state are then as before the call. Iterates and hypergradients must have a finite squared norm: a path that diverges
//! is an error before its numbers overflow.
//!
//! | name | index | what is not finite |
//! |---|---|---|
//! | `x`, `y`, `state.y0` | element | an argument |
//! | `inner path` | inner step t | the squared norm of y^{t+1}, unperturbed |
//! | `perturbed inner path` | direction j | that of a step of a perturbed path |
//! | `outer value`, `perturbed outer value` | 0, direction j | f |
//! | `outer gradient f_x`, `outer gradient f_y` | element | a partial gradient of f |
//! | `coefficient` | direction j | the difference quotient of finite paths |
//! | `residual` | product | the squared residual of the linear solver |
//! | `Neumann term` | product | the squared norm of a term of the series |
//! | `solution` | element | that of the solution v |
//! | `adjoint` | inner step t | that of the reverse pass |
//! | `Hessian product` | element | a product by differences |
//! | `mixed product` | element; inner step t in the reverse pass | a mixed product |
//! | `hypergradient` | element | the squared norm of h |
//!
//! # Equal minibatches
//! Every path of one outer round must see the same minibatches, or the difference of two paths is noise divided by the
//! smoothing radius. Steps are therefore keyed, not streamed: step t of every path is given the same [`Draw`], from
//! which the problem makes its generator. Nothing is stored, and the reverse pass of [`itd`] sees them too.
//!
//! Reference: Sow, Ji and Liang, *On the convergence theory for Hessian-free bilevel algorithms*, NeurIPS 2022.

use crate::error::{check, check_length, ensure_finite, ensure_finite_at};
use crate::model::mlp;
use crate::random::{self, Purpose, Stream};
use crate::{At, Error, Real, vector};

pub mod aid;
pub mod descent;
pub mod differences;
pub mod es_jacobian;
pub mod hyper_cleaning;
pub mod hyper_representation;
pub mod itd;
pub mod ridge;
pub mod stoc_bio;

/// One outer round: the name of all its draws.
///
/// ```
/// use rand_core::Rng;
/// use thalweg::bilevel::Round;
/// let round = Round { seed: 1, number: 5 };
/// // Two paths, one minibatch.
/// assert_eq!(round.inner(3).stream().next_u64(), round.inner(3).stream().next_u64());
/// assert_ne!(round.inner(3), round.inner(4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Seed of the run.
    pub seed: u64,
    /// Outer steps taken before.
    pub number: u64,
}

impl Round {
    /// The draw of inner step `step`, below 2^64 - 1.
    #[must_use]
    pub const fn inner(self, step: u64) -> Draw {
        Draw { round: self, step }
    }

    /// The draw of the outer minibatch.
    #[must_use]
    pub const fn outer(self) -> Draw {
        self.inner(u64::MAX)
    }

    /// The generator of direction `j`.
    #[must_use]
    pub fn direction(self, j: usize) -> Stream {
        random::stream(self.seed, self.number, j as u64, Purpose::DIRECTION)
    }
}

/// Names the minibatch (and the dropout masks) of one step.
///
/// ```
/// use thalweg::bilevel::Round;
/// use thalweg::random;
/// let batch = Round { seed: 1, number: 0 }.outer();
/// assert!(random::below(&mut batch.stream(), 60) < 60);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    round: Round,
    step: u64,
}

impl Draw {
    /// A fresh generator, the same at every call.
    #[must_use]
    pub fn stream(&self) -> Stream {
        random::stream(
            self.round.seed,
            self.round.number,
            self.step,
            Purpose::BATCH,
        )
    }
}

/// Where a problem is evaluated: its variables, and the minibatch that it sees.
///
/// ```
/// use thalweg::bilevel::{Place, Round};
/// let draw = Round { seed: 1, number: 0 }.outer();
/// let at = Place::new(&[0.5_f32], &[1.0, 2.0], &draw);
/// assert_eq!((at.x.len(), at.y.len()), (1, 2));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Place<'a, T> {
    /// Outer variable, p.
    pub x: &'a [T],
    /// Inner variable, d.
    pub y: &'a [T],
    /// The minibatch.
    pub draw: &'a Draw,
}

impl<'a, T> Place<'a, T> {
    /// The place (x, y), seen through a draw.
    #[must_use]
    pub const fn new(x: &'a [T], y: &'a [T], draw: &'a Draw) -> Self {
        Self { x, y, draw }
    }
}

/// The variables of a hypergradient: `x` stays, `y` moves.
///
/// ```
/// use thalweg::bilevel::Variables;
/// let variables = Variables { x: &[0.5_f32], y: &mut [1.0, 2.0] };
/// variables.y[0] += variables.x[0];
/// assert_eq!(variables.y, [1.5, 2.0]);
/// ```
#[derive(Debug)]
pub struct Variables<'a, T> {
    /// Outer variable, p.
    pub x: &'a [T],
    /// Inner variable, d: y^0 before, y^N after.
    pub y: &'a mut [T],
}

/// An inner and an outer loss, through gradients.
///
/// Slices have the lengths that the functions below state; implementations that multiply matrices check them anyway.
/// See [`es_jacobian`] for an implementation by hand.
pub trait Problem<T: Real> {
    /// Elements p of the outer variable.
    fn outer_dim(&self) -> usize;

    /// Elements d of the inner variable.
    fn inner_dim(&self) -> usize;

    /// Elements of scratch that every function may use.
    fn scratch_len(&self) -> usize;

    /// Writes to `scratch` what inner gradients and second-order products need of x alone, for as long as x stays.
    ///
    /// Called before the first of them for an x; until the last, `scratch` is theirs. By default nothing is prepared.
    ///
    /// # Errors
    /// As [`inner_gradient_into`](Self::inner_gradient_into).
    fn prepare(&self, x: &[T], scratch: &mut [T]) -> Result<(), Error> {
        let _ = (x, scratch);
        Ok(())
    }

    /// Writes `g_y(x, y; draw)`.
    ///
    /// # Errors
    /// Those of the implementation, which should be of its lengths only.
    fn inner_gradient_into(
        &self,
        at: Place<'_, T>,
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error>;

    /// `f(x, y; draw)`.
    ///
    /// # Errors
    /// As [`inner_gradient_into`](Self::inner_gradient_into).
    fn outer_value(&self, at: Place<'_, T>, scratch: &mut [T]) -> Result<T, Error>;

    /// Writes `f_x` (zeros where f does not depend on x) and `f_y`; returns the value.
    ///
    /// # Errors
    /// As [`inner_gradient_into`](Self::inner_gradient_into).
    fn outer_gradients_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error>;
}

/// Products with the second derivatives of the inner loss: for [`aid`], [`stoc_bio`] and [`itd`] only.
pub trait SecondOrder<T: Real>: Problem<T> {
    /// Writes `g_yy(x, y; draw) v`, d elements.
    ///
    /// # Errors
    /// As [`inner_gradient_into`](Problem::inner_gradient_into).
    fn hessian_product_into(
        &self,
        at: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error>;

    /// Writes `d/dx <g_y(x, y; draw), v>`, p elements.
    ///
    /// # Errors
    /// As [`inner_gradient_into`](Problem::inner_gradient_into).
    fn mixed_product_into(
        &self,
        at: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error>;
}

/// Checks x, y and h against a problem; returns p and d.
fn check_dims<T: Real>(
    problem: &(impl Problem<T> + ?Sized),
    x: &[T],
    (name, y): (&'static str, &[T]),
    h: &[T],
) -> Result<(usize, usize), Error> {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    check_length("x", p, x.len())?;
    check_length(name, d, y.len())?;
    check_length("h", p, h.len())?;
    ensure_finite("x", x)?;
    ensure_finite(name, y)?;
    Ok((p, d))
}

/// Whether the squared norm is finite, and so every element.
fn is_bounded<T: Real>(x: &[T]) -> bool {
    vector::norm2_squared(x).is_finite()
}

/// Checks that the squared norm is finite; names the first element whose square is not, or the whole when only the sum overflows.
fn check_bounded<T: Real>(name: &'static str, x: &[T]) -> Result<(), Error> {
    if is_bounded(x) {
        return Ok(());
    }
    let index = x.iter().position(|&x| !(x * x).is_finite());
    let at = index.map_or(At::Value, At::Element);
    Err(Error::NonFinite { name, at })
}

/// Checks what a problem returned of its outer loss.
fn check_outer<T: Real>(value: T, grad_x: &[T], grad_y: &[T]) -> Result<(), Error> {
    ensure_finite_at("outer value", value.is_finite(), At::Value)?;
    ensure_finite("outer gradient f_x", grad_x)?;
    ensure_finite("outer gradient f_y", grad_y)
}

/// A step size of a linear solver in the precision of `T`.
fn check_rate<T: Real>(name: &'static str, rate: f64) -> Result<T, Error> {
    let rate = T::from_f64(rate);
    let holds = rate.is_finite() && rate > T::ZERO;
    check(name, holds, "must be finite and positive").map(|()| rate)
}

/// The error of the unperturbed path whose inner step `t` leaves the finite numbers.
fn lost(t: u64) -> Error {
    Error::NonFinite {
        name: "inner path",
        at: At::Step(t),
    }
}

/// `f_x <- f_x - d/dx <g_y(x, y^N), v>`: the end of the methods that solve a linear system.
fn subtract_mixed<T: Real>(
    problem: &(impl SecondOrder<T> + ?Sized),
    at: Place<'_, T>,
    v: &[T],
    [mixed, fx]: [&mut [T]; 2],
    scratch: &mut [T],
) -> Result<(), Error> {
    check_bounded("solution", v)?;
    problem.mixed_product_into(at, v, mixed, scratch)?;
    ensure_finite("mixed product", mixed)?;
    vector::axpy(-T::ONE, mixed, fx)?;
    check_bounded("hypergradient", fx)
}

/// Copies the common length.
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

/// The network of the outer loss: the penalty belongs to the inner one.
fn without_penalty<T: Real>(network: mlp::Model<'_, T>) -> mlp::Model<'_, T> {
    mlp::Model {
        l2: T::ZERO,
        ..network
    }
}
