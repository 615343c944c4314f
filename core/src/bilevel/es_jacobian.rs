//! ESJ (PZOBO): the response Jacobian by random differences of whole training runs.
//!
//! Only the result of training is perturbed; the outer loss is differentiated once, exactly, where training ended:
//!
//! ```text
//! y_j  = y^N(x + mu u_j)                     from the same y^0, on the same minibatches, j = 0 .. Q-1
//! c_j  = <y_j - y^N, f_y> / mu               forward;  <y_j - y_{-j}, f_y> / (2 mu)  central
//! h    = f_x + (1/Q) sum_j c_j u_j
//! ```
//!
//! With minibatches it is ESJ-S (PZOBO-S): the problem draws them from the [`Draw`](super::Draw) that all paths share.
//! [`Estimate::OuterValue`] is HOZOG, which perturbs the outer value too: `c_j = (f(x + mu u_j, y_j) - f(x, y^N)) / mu`, `h = mean
//! c_j u_j`. `directions: 0` is the direct gradient `h = f_x`.
//!
//! For a linear response the indirect term `a = J^T f_y` is met on average with the relative variance (p + 1) / Q for
//! Gaussian directions and (p - 1) / Q for [`Direction::UnitSphereTimesP`] and [`Direction::Rademacher`], whatever mu. The
//! smoothing bias is O(mu) forward and O(mu^2) central. [`Direction::UnitSphere`] estimates a / p: the published code, for
//! comparison.
//!
//! Cost: (Q + 1) N inner gradients, twice Q N for central; in addition a direction is drawn once and added twice. Memory: [`scratch_len`], whatever N and Q. The differences `y_j - y^N` are
//! formed per element before their product with f_y, so that two large products are never subtracted.
//!
//! With [`Start::Warm`] y^0 is the last y^N and is treated as a constant in x: the object that is estimated is the
//! response of the last N steps, not of the whole history.
//!
//! References: Sow, Ji and Liang, *On the convergence theory for Hessian-free bilevel algorithms*, NeurIPS 2022, algorithms 1
//! and 2; Gu et al., *Optimizing large-scale hyperparameters via automated learning algorithm*, 2021 (HOZOG).
//!
//! ```
//! use thalweg::Error;
//! use thalweg::bilevel::{Place, Problem, descent, es_jacobian};
//!
//! /// g = (y - 3x)^2 / 2 and f = y^2 / 2: the response is 3 (1 - (1 - alpha)^N).
//! struct Scalar;
//! impl Problem<f64> for Scalar {
//!     fn outer_dim(&self) -> usize { 1 }
//!     fn inner_dim(&self) -> usize { 1 }
//!     fn scratch_len(&self) -> usize { 0 }
//!     fn inner_gradient_into(&self, at: Place<'_, f64>, grad: &mut [f64], _: &mut [f64]) -> Result<(), Error> {
//!         grad[0] = at.y[0] - 3.0 * at.x[0];
//!         Ok(())
//!     }
//!     fn outer_value(&self, at: Place<'_, f64>, _: &mut [f64]) -> Result<f64, Error> {
//!         Ok(at.y[0] * at.y[0] / 2.0)
//!     }
//!     fn outer_gradients_into(
//!         &self, at: Place<'_, f64>, grad_x: &mut [f64], grad_y: &mut [f64], _: &mut [f64],
//!     ) -> Result<f64, Error> {
//!         (grad_x[0], grad_y[0]) = (0.0, at.y[0]);
//!         Ok(at.y[0] * at.y[0] / 2.0)
//!     }
//! }
//!
//! let inner = descent::Config { steps: 2, method: descent::Method::gd(0.5) };
//! let config = es_jacobian::Config {
//!     direction: es_jacobian::Direction::Basis, ..es_jacobian::Config::new(inner)
//! };
//! let mut state = es_jacobian::State::<[f64; 1]>::new();
//! let (mut scratch, mut h) = ([0.0; 7], [0.0]);
//! es_jacobian::step(&config, &mut state, &Scalar, &[1.0], &mut h, &mut scratch)?;
//! // y^2 = 9/4 and dy/dx = 9/4.
//! assert!((h[0] - 81.0 / 16.0).abs() < 1e-9);
//! # Ok::<(), Error>(())
//! ```

mod config;

use crate::error::{check_length, check_scratch, ensure_finite, ensure_finite_at};
use crate::memory::cut;
use crate::random::NoiseStream;
use crate::real::kernels;
use crate::simd::{self, Lanes, Sum};
use crate::storage::Fixed;
use crate::{At, Error, Real, Storage, vector};

use super::{
    Place, Problem, Round, Variables, check_bounded, check_dims, check_outer, copy, descent, lost,
};

pub use config::{Config, Difference, Direction, Estimate, Start};

/// The start of the inner loop and the count of rounds.
///
/// ```
/// use thalweg::bilevel::es_jacobian::State;
/// const COLD: State<[f32; 40]> = State::new();
/// assert_eq!((COLD.y0().len(), COLD.rounds()), (40, 0));
/// assert_eq!(State::from_storage([1.0_f64; 3]).y0(), [1.0; 3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State<B> {
    y0: B,
    rounds: u64,
}

impl<B: Storage> State<B> {
    /// Starts the inner loop at zero.
    #[must_use]
    pub const fn new() -> Self
    where
        B: Fixed,
    {
        Self {
            y0: B::ZERO,
            rounds: 0,
        }
    }

    /// Starts the inner loop at `y0`.
    pub const fn from_storage(y0: B) -> Self {
        Self { y0, rounds: 0 }
    }

    /// Where the inner loop of the next round starts.
    pub fn y0(&self) -> &[B::Elem] {
        self.y0.as_slice()
    }

    /// Rounds taken.
    pub const fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Ends a round whose unperturbed path ended at `y_n`: for drivers that compute the coefficients themselves.
    ///
    /// # Errors
    /// [`Error::Length`] when `y_n` is not as long as the start, [`Error::NonFinite`] when it is not finite.
    ///
    /// ```
    /// use thalweg::bilevel::es_jacobian::{Start, State};
    /// let mut state = State::from_storage([0.0_f32; 2]);
    /// state.advance(Start::Warm, &[1.0, 2.0])?;
    /// assert_eq!((state.y0(), state.rounds()), (&[1.0, 2.0][..], 1));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn advance(&mut self, start: Start, y_n: &[B::Elem]) -> Result<(), Error>
    where
        B::Elem: Real,
    {
        let y0 = self.y0.as_mut_slice();
        check_length("y_n", y0.len(), y_n.len())?;
        ensure_finite("y_n", y_n)?;
        if start == Start::Warm {
            copy(y_n, y0);
        }
        self.rounds = self.rounds.wrapping_add(1);
        Ok(())
    }
}

impl<B: Fixed> Default for State<B> {
    fn default() -> Self {
        Self::new()
    }
}

crate::optim::snapshot!([B] State<B>, b"ESJ ", [rounds], [y0]);

/// Scratch of one perturbed path, without its direction: z, y, and that of the inner loop and the problem.
///
/// ```
/// use thalweg::bilevel::{descent, es_jacobian::{Config, path_len}};
/// let config = Config::new(descent::Config { steps: 9, method: descent::Method::gd(0.1) });
/// assert_eq!(path_len(&config, 3, 5, 7), 3 + 5 + 5 + 7);
/// ```
#[must_use]
pub const fn path_len(config: &Config, p: usize, d: usize, problem: usize) -> usize {
    p.saturating_add(d)
        .saturating_add(descent::path_len(&config.inner, d))
        .saturating_add(problem)
}

/// Scratch of [`step`]: y^N, f_y, a direction, the sum of directions and a path; `problem` is the problem's own.
///
/// ```
/// use thalweg::bilevel::{descent, es_jacobian::{Config, scratch_len}};
/// let config = Config::new(descent::Config { steps: 9, method: descent::Method::gd(0.1) });
/// assert_eq!(scratch_len(&config, 3, 5, 0), 4 * 5 + 3 * 3);
/// ```
#[must_use]
pub const fn scratch_len(config: &Config, p: usize, d: usize, problem: usize) -> usize {
    path_len(config, p, d, problem)
        .saturating_add(d.saturating_mul(2))
        .saturating_add(p.saturating_mul(2))
}

/// The unperturbed path of a round: what every direction needs.
///
/// ```
/// let point = thalweg::bilevel::es_jacobian::Point {
///     round: thalweg::bilevel::Round { seed: 0, number: 0 },
///     x: &[1.0_f32], y0: &[0.0], y_n: &[2.0], grad_y: &[0.5], value: 3.0,
/// };
/// assert_eq!(point.value, 3.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point<'a, T> {
    /// Name of the draws.
    pub round: Round,
    /// Outer variable, p.
    pub x: &'a [T],
    /// Start of the inner loop, d.
    pub y0: &'a [T],
    /// Its end, d.
    pub y_n: &'a [T],
    /// `f_y(x, y^N)`, d.
    pub grad_y: &'a [T],
    /// `f(x, y^N)`.
    pub value: T,
}

/// What [`solve`] writes.
///
/// ```
/// use thalweg::bilevel::es_jacobian::Solution;
/// let solution = Solution { y_n: &mut [0.0; 2], grad_y: &mut [0.0_f32; 2], h: &mut [0.0; 3] };
/// assert_eq!(solution.y_n.len(), solution.grad_y.len());
/// ```
#[derive(Debug)]
pub struct Solution<'a, 'h, T> {
    /// End of the inner loop, d.
    pub y_n: &'a mut [T],
    /// `f_y(x, y^N)`, d.
    pub grad_y: &'a mut [T],
    /// What the directions are added to, p.
    pub h: &'h mut [T],
}

/// Runs the unperturbed path, and writes `y_n`, `grad_y` and into `h` what the directions are added to.
///
/// # Errors
/// Wrong lengths and settings; [`Error::NonFinite`] named `x`, `state.y0`, `inner path`, `outer value`, `outer gradient f_x` or
/// `outer gradient f_y`, the gradients also where HOZOG does not use them. `y_n`, `grad_y` and `h` are then as before.
///
/// ```
/// use thalweg::bilevel::{descent, es_jacobian, ridge};
/// use thalweg::matrix::MatrixRef;
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// let config = es_jacobian::Config::new(descent::Config { steps: 1, method: descent::Method::gd(0.5) });
/// let state = es_jacobian::State::<[f64; 1]>::new();
/// let (mut y, mut fy, mut h, mut path) = ([0.0], [0.0], [9.0], [0.0; 8]);
/// let solution = es_jacobian::Solution { y_n: &mut y, grad_y: &mut fy, h: &mut h };
/// let point = es_jacobian::solve(&config, &state, &problem, &[0.0], solution, &mut path)?;
/// assert_eq!((point.y_n[0], point.grad_y[0], point.value), (1.5, -1.5, 1.125));
/// assert_eq!(h, [0.0]); // f does not depend on x
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn solve<'a, T: Real, B: Storage<Elem = T>>(
    config: &Config,
    state: &'a State<B>,
    problem: &(impl Problem<T> + ?Sized),
    x: &'a [T],
    solution: Solution<'a, '_, T>,
    path: &mut [T],
) -> Result<Point<'a, T>, Error> {
    let Solution { y_n, grad_y, h } = solution;
    config.validate::<T>()?;
    let y0 = state.y0.as_slice();
    let (p, d) = check_dims(problem, x, ("state.y0", y0), h)?;
    check_length("y_n", d, y_n.len())?;
    check_length("grad_y", d, grad_y.len())?;
    let least = path_len(config, p, d, problem.scratch_len());
    check_scratch("scratch", least, path.len())?;
    let round = Round {
        seed: config.seed,
        number: state.rounds,
    };
    // The memory of a perturbed path: nothing is written elsewhere before all is known to be finite.
    let ([fx, y], path) = cut(path, [p, d])?;
    copy(y0, y);
    descent::descend(
        &config.inner,
        round,
        problem,
        Variables { x, y },
        lost,
        path,
    )?;
    let ([fy], path) = cut(path, [d])?;
    let value = problem.outer_gradients_into(Place::new(x, y, &round.outer()), fx, fy, path)?;
    check_outer(value, fx, fy)?;
    copy(y, y_n);
    copy(fy, grad_y);
    if config.estimate == Estimate::OuterValue && config.directions > 0 {
        h.fill(T::ZERO);
    } else {
        copy(fx, h);
    }
    Ok(Point {
        round,
        x,
        y0,
        y_n,
        grad_y,
        value,
    })
}

/// Writes direction `j` of a round.
///
/// ```
/// use thalweg::bilevel::{Round, es_jacobian::{Direction, direction_into}};
/// let round = Round { seed: 1, number: 0 };
/// let mut u = [0.0_f32; 3];
/// direction_into(Direction::Basis, round, 1, &mut u);
/// assert_eq!(u, [0.0, 1.0, 0.0]);
/// direction_into(Direction::UnitSphere, round, 1, &mut u);
/// assert!((thalweg::vector::norm2(&u) - 1.0).abs() < 1e-6);
/// ```
pub fn direction_into<T: Real>(direction: Direction, round: Round, j: usize, u: &mut [T]) {
    if direction == Direction::Basis {
        u.fill(T::ZERO);
        if let Some(u) = u.get_mut(j) {
            *u = T::ONE;
        }
        return;
    }
    let mut lanes = NoiseStream::new(&mut round.direction(j));
    if direction == Direction::Rademacher {
        return lanes.fill_rademacher(u);
    }
    lanes.fill_normal(u);
    if direction != Direction::Gaussian {
        let norm = vector::norm2(u);
        // A zero draw (of no elements) is left as it is.
        if norm > T::ZERO {
            vector::scale(T::ONE / norm, u);
        }
    }
}

/// `sum_i (a_i - b_i) c_i`.
#[derive(Clone, Copy)]
struct Projected;
impl<T: Real> Sum<T, 3, 1> for Projected {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [a, b, c]: [L; 3]) -> [L; 1] {
        [(a - b) * c]
    }
}

kernels! {
    /// The change of a path along the outer gradient.
    trait Kernels<T> {
        fn projected(y: &[T], y_n: &[T], grad_y: &[T]) -> T {
            let [change] = simd::sum(&Projected, [y, y_n, grad_y]);
            change
        }
    }
}

/// The coefficient `c_j`: runs the perturbed path or paths of direction `u`, which is number `j`.
///
/// # Errors
/// Wrong lengths; [`Error::NonFinite`] with `j` as its index, named `perturbed inner path` when a step of it has no finite squared norm
/// (the inner loop is unstable at `x + mu u`), `perturbed outer value` or `coefficient`.
///
/// ```
/// use thalweg::bilevel::{descent, es_jacobian, ridge};
/// use thalweg::matrix::MatrixRef;
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// // N = 0: the start does not depend on x.
/// let config = es_jacobian::Config::new(descent::Config { steps: 0, method: descent::Method::gd(0.5) });
/// let state = es_jacobian::State::<[f64; 1]>::new();
/// let (mut y, mut fy, mut h, mut path) = ([0.0], [0.0], [9.0], [0.0; 8]);
/// let solution = es_jacobian::Solution { y_n: &mut y, grad_y: &mut fy, h: &mut h };
/// let point = es_jacobian::solve(&config, &state, &problem, &[0.0], solution, &mut path)?;
/// assert_eq!(es_jacobian::coefficient(&config, &problem, &point, 0, &[1.0], &mut path)?, 0.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn coefficient<T: Real>(
    config: &Config,
    problem: &(impl Problem<T> + ?Sized),
    point: &Point<'_, T>,
    j: usize,
    u: &[T],
    path: &mut [T],
) -> Result<T, Error> {
    let mu = T::from_f64(config.radius);
    let plus = change(config, problem, point, j, (mu, u), path)?;
    let c = match config.difference {
        Difference::Forward => plus / mu,
        // Both changes are of order mu: nothing large is subtracted.
        Difference::Central => {
            (plus - change(config, problem, point, j, (-mu, u), path)?) / (mu + mu)
        }
    };
    ensure_finite_at("coefficient", c.is_finite(), At::Direction(j)).map(|()| c)
}

/// `<y^N(x + mu u) - y^N(x), f_y>`, or the change of f, along direction `index`.
fn change<T: Real>(
    config: &Config,
    problem: &(impl Problem<T> + ?Sized),
    point: &Point<'_, T>,
    index: usize,
    (mu, u): (T, &[T]),
    path: &mut [T],
) -> Result<T, Error> {
    let (p, d) = (point.x.len(), point.y0.len());
    let ([z, y], path) = cut(path, [p, d])?;
    vector::axpby_into(T::ONE, point.x, mu, u, z)?;
    copy(point.y0, y);
    let at = At::Direction(index);
    let lost = |_| {
        let name = "perturbed inner path";
        Error::NonFinite { name, at }
    };
    let variables = Variables { x: z, y };
    descent::descend(&config.inner, point.round, problem, variables, lost, path)?;
    match config.estimate {
        Estimate::Response => Ok(T::Kernels::projected(y, point.y_n, point.grad_y)),
        Estimate::OuterValue => {
            let value = problem.outer_value(Place::new(z, y, &point.round.outer()), path)?;
            ensure_finite_at("perturbed outer value", value.is_finite(), at)?;
            Ok(value - point.value)
        }
    }
}

/// Adds the share of one direction to `h`; directions are added in order of their numbers.
///
/// # Errors
/// [`Error::Length`] when `u` and `h` differ, [`Error::NonFinite`] when `c` is not finite.
///
/// ```
/// use thalweg::bilevel::{descent, es_jacobian::{Config, Direction, add_direction}};
/// let config = Config::new(descent::Config { steps: 9, method: descent::Method::gd(0.1) });
/// let config = Config { directions: 4, direction: Direction::UnitSphereTimesP, ..config };
/// let mut h = [1.0_f32, 1.0];
/// add_direction(&config, 8.0, &[0.0, 1.0], &mut h)?;
/// assert_eq!(h, [1.0, 5.0]); // 1 + 8 p / Q
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn add_direction<T: Real>(config: &Config, c: T, u: &[T], h: &mut [T]) -> Result<(), Error> {
    check_length("u", h.len(), u.len())?;
    ensure_finite_at("c", c.is_finite(), At::Value)?;
    // Adding zeros could change the sign of a zero in f_x; no direction is added when there is none to add to.
    if c == T::ZERO || config.directions == 0 {
        return Ok(());
    }
    let scale = match config.direction {
        Direction::Basis => T::ONE,
        Direction::Gaussian | Direction::Rademacher | Direction::UnitSphere => {
            T::from_usize(config.directions)
        }
        Direction::UnitSphereTimesP => {
            T::from_f64(config.directions as f64 / h.len().max(1) as f64)
        }
    };
    vector::axpy(c / scale, u, h)
}

/// Writes a sum of directions into `h` if its squared norm is finite: for drivers that compute the coefficients themselves.
///
/// # Errors
/// [`Error::Length`] when the two differ; [`Error::NonFinite`] named `hypergradient` with the first element whose square is not finite.
///
/// ```
/// use thalweg::bilevel::es_jacobian::finish_into;
/// let mut h = [0.0_f32; 2];
/// finish_into(&[1.0, 2.0], &mut h)?;
/// assert_eq!(h, [1.0, 2.0]);
/// assert!(finish_into(&[1.0, 1e30], &mut h).is_err()); // 1e60 is beyond f32
/// assert_eq!(h, [1.0, 2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn finish_into<T: Real>(sum: &[T], h: &mut [T]) -> Result<(), Error> {
    check_length("sum", h.len(), sum.len())?;
    check_bounded("hypergradient", sum)?;
    copy(sum, h);
    Ok(())
}

/// Writes the hypergradient at `x` into `h`, ends the round, and returns the outer value `f(x, y^N)`.
///
/// # Errors
/// As [`solve`], [`coefficient`] and [`finish_into`]; `state` and `h` are then as before.
pub fn step<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    state: &mut State<B>,
    problem: &(impl Problem<T> + ?Sized),
    x: &[T],
    h: &mut [T],
    scratch: &mut [T],
) -> Result<T, Error> {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    let least = scratch_len(config, p, d, problem.scratch_len());
    check_scratch("scratch", least, scratch.len())?;
    check_length("h", p, h.len())?;
    let ([y_n, grad_y, u, sum], path) = cut(scratch, [d, d, p, p])?;
    let point = solve(
        config,
        state,
        problem,
        x,
        Solution {
            y_n: &mut *y_n,
            grad_y,
            h: sum,
        },
        path,
    )?;
    for j in 0..config.count(p) {
        direction_into(config.direction, point.round, j, u);
        let c = coefficient(config, problem, &point, j, u, path)?;
        add_direction(config, c, u, sum)?;
    }
    let value = point.value;
    finish_into(sum, h)?;
    state.advance(config.start, y_n)?;
    Ok(value)
}
