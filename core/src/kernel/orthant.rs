//! The probability that a Gaussian process has given signs at `n` points, and what follows from it.
//!
//! With `f ~ N(0, K)` and labels `c` of -1 and 1, `P(c)` is the probability that every `c_i f_i > 0`: the share of the unit sphere, mapped by
//! `K^(1/2)`, within one orthant. `C0 = -ln P(c)` is the information that the labels carry about the function, in nats.
//!
//! | function | gives | needs |
//! |---|---|---|
//! | [`probability`] | `P(c)` exactly | `n <= 3` |
//! | [`bounds`] | upper bounds on `C0` by exact arithmetic | `n^3` flops |
//! | [`sequential`] | `C0` by importance sampling, one coordinate after another (GHK) | `n^2` flops a draw |
//! | [`half_normal`] | `C0` by importance sampling with half-normal magnitudes | `n^2` flops a draw |
//! | [`pac_bayes`] | the bound on the error of an average posterior draw that either implies | nothing |
//!
//! # The two samplers
//! ```text
//! half_normal:  z_i = |N(0, 1)|,  f = rd^(1/2) (c * z),  ln w = (z^T z - rd |L^-1 (c * z)|^2) / 2
//!               P = 2^-n E w,   rd = det(K)^(1/n)
//! sequential:   S = diag(c) K diag(c) = M M^T.  For i = 1..n:
//!               a_i = -(sum_{j<i} M_ij e_j) / M_ii,  ln w += ln Phi(-a_i),  e_i ~ N(0, 1) above a_i
//!               P = E w,   f = c * (M e)
//! ```
//! Both return their weights ([`Weights`]), and so the number of effective draws; a figure of fewer than 100 is
//! [`Reading::Unreliable`](super::estimate::Reading::Unreliable). The first breaks down silently: its weights have infinite variance once the largest
//! eigenvalue of `K` exceeds `2 rd`, and at `n = 20` with correlations of 1/2 a million draws count as 19. It overestimates `C0` on average. Prefer
//! the second. Either needs more draws as `n` grows; [`bounds`] never does.
//!
//! Draws come in panels of [`PANEL`], each with the stream of the key `(seed, panel, who)`: the bits depend on neither threads nor chunks.
//! Nothing is stored but one panel.
//!
//! # The bounds
//! Jensen's inequality on the expectation of `half_normal`, with `E z_i z_j = 2/pi` and `E z_i^2 = 1`:
//!
//! ```text
//! C0 <= n (ln 2 - 1/2) + rd ((1/2 - 1/pi) tr K^-1 + (1/pi) c^T K^-1 c)
//! ```
//! `ln 2 - 1/2 = 0.1931..`, which the published code rounds up to 1/5. The publication calls the second summand alone C1 and adds `n/5` in its
//! bound; its code calls the sum C1.
//!
//! Reference: Bernstein and Yue (arXiv 2110.04274); Genz, *Numerical computation of multivariate normal probabilities* (1992).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions in a panel of draws that is a slice in memory"
)]

use super::covariance::Covariance;
use super::estimate::Weights;
use super::{PURPOSE, dot};
use crate::error::{check, check_length, check_scratch};
use crate::matrix::{MatrixMut, solve_lower};
use crate::memory::{cut, must, must_or};
use crate::random::{NoiseStream, stream};
use crate::{Error, vector};

pub(super) mod truncated;

/// Draws that are made together.
pub const PANEL: usize = 64;

/// A covariance and the signs that are asked for.
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, orthant::Orthant};
/// use thalweg::matrix::MatrixRef;
/// let mut memory = [0.0; 1];
/// let k = Covariance::new(MatrixRef::new(&[1.0], 1, 1)?, &mut memory)?;
/// assert_eq!(Orthant::new(k, &[-1.0])?.n(), 1);
/// assert!(Orthant::new(k, &[0.0]).is_err());
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Orthant<'a> {
    covariance: Covariance<'a>,
    labels: &'a [f64],
}

impl<'a> Orthant<'a> {
    /// Takes a covariance of `n` rows and as many labels.
    ///
    /// # Errors
    /// [`Error::Length`] when the lengths differ, [`Error::Parameter`] when a label is neither -1 nor 1.
    pub fn new(covariance: Covariance<'a>, labels: &'a [f64]) -> Result<Self, Error> {
        check_length("labels", covariance.n(), labels.len())?;
        let are_signs = labels.iter().all(|c| c.abs() == 1.0);
        check("labels", are_signs, "must be -1 or 1")?;
        Ok(Self { covariance, labels })
    }

    /// Number of points.
    #[must_use]
    pub const fn n(&self) -> usize {
        self.labels.len()
    }

    /// The covariance.
    #[must_use]
    pub const fn covariance(&self) -> Covariance<'a> {
        self.covariance
    }

    /// The labels.
    #[must_use]
    pub const fn labels(&self) -> &'a [f64] {
        self.labels
    }

    /// Row `i` of the factor up to the diagonal.
    fn row(&self, i: usize) -> &'a [f64] {
        let row = must(self.covariance.factor().row(i));
        must(row.get(..=i))
    }

    /// `ln rd`, the mean logarithm of the determinant; 0 for no rows.
    fn ln_root_determinant(&self) -> f64 {
        let n = self.n();
        let pivots = (0..n).filter_map(|i| self.row(i).last());
        let sum: f64 = pivots.fold(0.0, |sum, &x| sum + libm::log(x));
        if n == 0 { 0.0 } else { 2.0 * sum / n as f64 }
    }
}

/// The probability of the signs in closed form; `None` for more than three points.
///
/// ```text
/// n = 1: 1/2    n = 2: 1/4 + asin(r c1 c2) / (2 pi)    n = 3: 1/8 + (asin r12 + asin r13 + asin r23) / (4 pi), each with its labels
/// ```
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, orthant::{Orthant, probability}};
/// use thalweg::matrix::MatrixRef;
/// let mut memory = [0.0; 4];
/// let k = Covariance::new(MatrixRef::new(&[1.0, 0.5, 0.5, 1.0], 2, 2)?, &mut memory)?;
/// let p = probability(&Orthant::new(k, &[1.0, 1.0])?).unwrap();
/// assert!((p - 1.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[must_use]
pub fn probability(orthant: &Orthant<'_>) -> Option<f64> {
    let norm = |i| vector::norm2(orthant.row(i));
    // The angle between the signed directions of two points.
    let angle = |i: usize, j: usize| {
        let product = dot(orthant.row(i), must(orthant.row(j).get(..=i)));
        let signs = orthant.labels.get(i)? * orthant.labels.get(j)?;
        // Pivots are positive, and so are norms; rounding may pass 1.
        let r = (signs * product / (norm(i) * norm(j))).clamp(-1.0, 1.0);
        Some(libm::acos(-r))
    };
    let tau = core::f64::consts::TAU;
    match orthant.n() {
        0 => Some(1.0),
        1 => Some(0.5),
        2 => Some(angle(0, 1)? / tau),
        3 => {
            let sum = angle(0, 1)? + angle(0, 2)? + angle(1, 2)?;
            // acos(-r) = pi / 2 + asin r.
            Some(((sum - core::f64::consts::PI) / (2.0 * tau)).max(0.0))
        }
        _ => None,
    }
}

/// What [`bounds`] computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// `n`.
    pub points: usize,
    /// `rd`, the `n`-th root of the determinant of `K`.
    pub root_determinant: f64,
    /// `tr K^-1`.
    pub trace_of_inverse: f64,
    /// `c^T K^-1 c`.
    pub energy: f64,
}

impl Bounds {
    /// `rd ((1/2 - 1/pi) tr K^-1 + (1/pi) c^T K^-1 c)`, the C1 of the publication: not a bound by itself.
    ///
    /// ```
    /// use thalweg::kernel::orthant::Bounds;
    /// let identity = Bounds { points: 100, root_determinant: 1.0, trace_of_inverse: 100.0, energy: 100.0 };
    /// assert!((identity.published() - 50.0).abs() < 1e-12);
    /// ```
    #[must_use]
    pub const fn published(&self) -> f64 {
        const PI: f64 = core::f64::consts::FRAC_1_PI;
        self.root_determinant * ((0.5 - PI) * self.trace_of_inverse + PI * self.energy)
    }

    /// Upper bound on `C0`: `n (ln 2 - 1/2)` plus [`published`](Self::published).
    ///
    /// ```
    /// # use thalweg::kernel::orthant::Bounds;
    /// let identity = Bounds { points: 100, root_determinant: 1.0, trace_of_inverse: 100.0, energy: 100.0 };
    /// // Independent signs: tight.
    /// assert!((identity.complexity() - 100.0 * 2.0_f64.ln()).abs() < 1e-12);
    /// ```
    #[must_use]
    pub const fn complexity(&self) -> f64 {
        self.points as f64 * (core::f64::consts::LN_2 - 0.5) + self.published()
    }

    /// Upper bound on `C0` as the published code has it: `n / 5`, of `ln 2 - 1/2 = 0.1931` rounded up, plus
    /// [`published`](Self::published). The figures of the publication are with this one.
    ///
    /// ```
    /// # use thalweg::kernel::orthant::Bounds;
    /// let identity = Bounds { points: 100, root_determinant: 1.0, trace_of_inverse: 100.0, energy: 100.0 };
    /// assert!((identity.rounded_complexity() - 70.0).abs() < 1e-12);
    /// ```
    #[must_use]
    pub const fn rounded_complexity(&self) -> f64 {
        self.points as f64 / 5.0 + self.published()
    }
}

/// Elements of scratch of the functions of this module for `n` points.
///
/// ```
/// assert_eq!(thalweg::kernel::orthant::scratch_len(10), 10 * (2 * 64 + 1) + 4 * 64);
/// ```
#[must_use]
pub const fn scratch_len(n: usize) -> usize {
    n.saturating_mul(2 * PANEL + 1).saturating_add(4 * PANEL)
}

/// The quantities of the upper bounds on `C0`. Scratch: [`scratch_len`].
///
/// `n^3` flops: the columns of `L^-1`, a panel at a time.
///
/// # Errors
/// [`Error::Length`] when `scratch` is too short.
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, orthant::{Orthant, bounds, scratch_len}};
/// use thalweg::matrix::MatrixRef;
/// let mut memory = [0.0; 4];
/// let k = Covariance::new(MatrixRef::new(&[1.0, 0.5, 0.5, 1.0], 2, 2)?, &mut memory)?;
/// let found = bounds(&Orthant::new(k, &[1.0, 1.0])?, &mut [0.0; scratch_len(2)])?;
/// // K^-1 = [[4/3, -2/3], [-2/3, 4/3]], det K = 3/4.
/// assert!((found.trace_of_inverse - 8.0 / 3.0).abs() < 1e-15);
/// assert!((found.energy - 4.0 / 3.0).abs() < 1e-15);
/// assert!((found.rounded_complexity() - 1.187148).abs() < 1e-6);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn bounds(orthant: &Orthant<'_>, scratch: &mut [f64]) -> Result<Bounds, Error> {
    let n = orthant.n();
    check_scratch("scratch", scratch_len(n), scratch.len())?;
    let l = orthant.covariance.factor();
    let mut trace = 0.0;
    for first in (0..n).step_by(PANEL) {
        let ([panel], _) = cut(scratch, [n * PANEL])?;
        panel.fill(0.0);
        for (i, row) in panel.chunks_exact_mut(PANEL).enumerate().skip(first) {
            if let Some(x) = row.get_mut(i - first) {
                *x = 1.0;
            }
        }
        // The rows above the first column of the panel stay zero.
        solve_lower(l, MatrixMut::new(panel, n, PANEL)?)?;
        for row in panel.chunks_exact(PANEL) {
            trace += vector::norm2_squared(row);
        }
    }
    let ([solved], _) = cut(scratch, [n])?;
    for (x, &c) in solved.iter_mut().zip(orthant.labels) {
        *x = c;
    }
    solve_lower(l, MatrixMut::new(solved, n, 1)?)?;
    // + 0: sums without terms are -0.
    Ok(Bounds {
        points: n,
        root_determinant: libm::exp(orthant.ln_root_determinant()),
        trace_of_inverse: trace + 0.0,
        energy: vector::norm2_squared(solved) + 0.0,
    })
}

/// Upper bound on the error of a classifier drawn from the prior restricted to the correct signs, averaged over those draws.
///
/// ```text
/// 1 - exp(-(C + ln(2 n / delta)) / (n - 1))        C = C0 or a bound on it
/// ```
///
/// Holds with probability `1 - delta` over the draw of the `n` examples. It is about the average posterior draw; a trained network is none.
/// Reference: the realisable PAC-Bayes bound as the publication states it; Langford and Seeger, *Bounds for averaging classifiers* (2001).
///
/// # Errors
/// [`Error::Parameter`] for fewer than two points, `delta` outside (0, 1), or a complexity that is negative or not finite.
///
/// ```
/// use thalweg::kernel::orthant::pac_bayes;
/// let b = pac_bayes(100.0 * 2.0_f64.ln(), 100, 0.01)?;
/// assert!((b - 0.550754).abs() < 1e-6);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn pac_bayes(complexity: f64, n: usize, delta: f64) -> Result<f64, Error> {
    check("n", n >= 2, "must be at least 2")?;
    let is_share = delta > 0.0 && delta < 1.0;
    check("delta", is_share, "must lie between 0 and 1")?;
    let is_complexity = complexity >= 0.0 && complexity.is_finite();
    check(
        "complexity",
        is_complexity,
        "must be finite and not negative",
    )?;
    let n = n as f64;
    // n >= 2: the divisor is at least 1.
    let exponent = (complexity + libm::log(2.0 * n / delta)) / (n - 1.0);
    Ok(-libm::expm1(-exponent))
}

/// How many draws, and the key of their streams.
///
/// ```
/// use thalweg::kernel::orthant::Config;
/// assert!(Config { draws: 0, ..Config::new(1, 10) }.validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Seed of the run.
    pub seed: u64,
    /// A part of the key: threads or repetitions that differ in it draw independently, and [`Weights::merge`] joins them.
    pub who: u64,
    /// Number of draws; positive.
    pub draws: usize,
}

impl Config {
    /// So many draws with a seed.
    #[must_use]
    pub const fn new(seed: u64, draws: usize) -> Self {
        Self {
            seed,
            who: 0,
            draws,
        }
    }

    /// Checks the number of draws.
    ///
    /// # Errors
    /// [`Error::Parameter`] for none.
    pub fn validate(&self) -> Result<(), Error> {
        check("draws", self.draws > 0, "must be positive")
    }

    /// The generators of each panel, and how many of its draws count.
    fn panels(self) -> impl Iterator<Item = (NoiseStream, usize)> {
        (0..self.draws).step_by(PANEL).map(move |first| {
            let panel = (first / PANEL) as u64;
            let lanes = NoiseStream::new(&mut stream(self.seed, panel, self.who, PURPOSE));
            (lanes, PANEL.min(self.draws - first))
        })
    }
}

/// An estimate of `C0`.
///
/// ```
/// use thalweg::kernel::{estimate::Reading, orthant::Complexity};
/// let none = Complexity::default();
/// assert!(matches!(none.nats(), Reading::Unreliable(_)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Complexity {
    weights: Weights,
    /// What is added to the logarithm of the mean weight.
    offset: f64,
}

impl Complexity {
    /// `C0` in nats.
    ///
    /// ```
    /// # use thalweg::kernel::orthant::Complexity;
    /// assert_eq!(Complexity::default().nats().reliable(), None);
    /// ```
    pub fn nats(&self) -> super::estimate::Reading<f64> {
        self.weights.reading(self.offset - self.weights.ln_mean())
    }

    /// The weights of the draws.
    #[must_use]
    pub const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Joins an estimate for the same orthant by the same method with another key.
    ///
    /// ```
    /// # use thalweg::kernel::orthant::Complexity;
    /// let mut a = Complexity::default();
    /// a.merge(&Complexity::default());
    /// assert_eq!(a.weights().draws(), 0);
    /// ```
    pub fn merge(&mut self, other: &Self) {
        self.weights.merge(&other.weights);
        self.offset = other.offset;
    }
}

/// `C0` by half-normal magnitudes; calls `visit` with the logarithm of each weight and its draw of `f`.
///
/// Weighted, the draws have the law of `f` given its signs. Scratch: [`scratch_len`]. `|_, _| ()` for the estimate alone.
///
/// # Errors
/// [`Error::Length`] when `scratch` is too short, [`Error::Parameter`] for no draws.
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, orthant::{Config, Orthant, half_normal, scratch_len}};
/// use thalweg::matrix::MatrixRef;
/// let mut memory = [0.0; 4];
/// let k = Covariance::new(MatrixRef::new(&[1.0, 0.0, 0.0, 1.0], 2, 2)?, &mut memory)?;
/// let signs = Orthant::new(k, &[1.0, -1.0])?;
/// let c0 = half_normal(&Config::new(1, 100), &signs, |_, f| assert!(f[0] > 0.0 && f[1] < 0.0), &mut [0.0; scratch_len(2)])?;
/// // Independent signs: every weight is 1.
/// assert!((c0.nats().reliable().unwrap() - 2.0 * 2.0_f64.ln()).abs() < 1e-14);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn half_normal<V: FnMut(f64, &[f64])>(
    config: &Config,
    orthant: &Orthant<'_>,
    mut visit: V,
    scratch: &mut [f64],
) -> Result<Complexity, Error> {
    config.validate()?;
    let n = orthant.n();
    check_scratch("scratch", scratch_len(n), scratch.len())?;
    let ln_rd = orthant.ln_root_determinant();
    let (rd, root) = (libm::exp(ln_rd), libm::exp(0.5 * ln_rd));
    let mut weights = Weights::new();
    for (mut lanes, count) in config.panels() {
        let ([draws, solved, f, plain, scaled], _) =
            cut(scratch, [n * PANEL, n * PANEL, n, PANEL, PANEL])?;
        lanes.fill_normal(draws);
        plain.fill(0.0);
        scaled.fill(0.0);
        let rows = draws.chunks_exact_mut(PANEL);
        for ((row, solved), &c) in rows.zip(solved.chunks_exact_mut(PANEL)).zip(orthant.labels) {
            for (((z, y), sum), _) in row.iter_mut().zip(solved).zip(plain.iter_mut()).zip(0..) {
                *z = c * z.abs();
                *y = *z;
                *sum += *z * *z;
            }
        }
        solve_lower(
            orthant.covariance.factor(),
            MatrixMut::new(solved, n, PANEL)?,
        )?;
        for row in solved.chunks_exact(PANEL) {
            for (sum, &y) in scaled.iter_mut().zip(row) {
                *sum += y * y;
            }
        }
        for (j, (&plain, &scaled)) in plain.iter().zip(scaled.iter()).enumerate().take(count) {
            let log_weight = 0.5 * (plain - rd * scaled);
            weights.push(log_weight);
            for (f, row) in f.iter_mut().zip(draws.chunks_exact(PANEL)) {
                *f = root * must(row.get(j).copied());
            }
            visit(log_weight, f);
        }
    }
    let offset = n as f64 * core::f64::consts::LN_2;
    Ok(Complexity { weights, offset })
}

/// `C0` one coordinate after another (GHK); calls `visit` with the logarithm of each weight and its draw of `f`.
///
/// Weighted, the draws have the law of `f` given its signs. Scratch: [`scratch_len`]. Cost a draw: `n^2` flops, and `n` quantiles of the normal
/// law, which dominate up to `n = 100` or so.
///
/// # Errors
/// As [`half_normal`].
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, orthant::{Config, Orthant, sequential, scratch_len}};
/// use thalweg::matrix::MatrixRef;
/// let mut memory = [0.0; 4];
/// let k = Covariance::new(MatrixRef::new(&[1.0, 0.5, 0.5, 1.0], 2, 2)?, &mut memory)?;
/// let signs = Orthant::new(k, &[1.0, 1.0])?;
/// let c0 = sequential(&Config::new(1, 10_000), &signs, |_, f| assert!(f[0] >= 0.0 && f[1] >= 0.0), &mut [0.0; scratch_len(2)])?;
/// assert!((c0.nats().reliable().unwrap() - 3.0_f64.ln()).abs() < 0.02);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn sequential<V: FnMut(f64, &[f64])>(
    config: &Config,
    orthant: &Orthant<'_>,
    mut visit: V,
    scratch: &mut [f64],
) -> Result<Complexity, Error> {
    config.validate()?;
    let n = orthant.n();
    check_scratch("scratch", scratch_len(n), scratch.len())?;
    let mut weights = Weights::new();
    for (mut lanes, count) in config.panels() {
        let ([draws, values, f, log_weights, sums], _) =
            cut(scratch, [n * PANEL, n * PANEL, n, PANEL, PANEL])?;
        lanes.fill_uniform(draws);
        log_weights.fill(0.0);
        for i in 0..n {
            let (row, c) = (orthant.row(i), must_or(orthant.labels.get(i).copied(), 1.0));
            let (done, rest) = must(draws.split_at_mut_checked(i * PANEL));
            let (Some(&pivot), Some(now)) = (row.last(), rest.get_mut(..PANEL)) else {
                break;
            };
            // The rows that are done hold e times its label: L in place of M = diag(c) L diag(c).
            sums.fill(0.0);
            for (&l, done) in row.iter().zip(done.chunks_exact(PANEL)) {
                vector::axpy(l, done, sums)?;
            }
            let to = must(values.get_mut(i * PANEL..));
            let lanes = now.iter_mut().zip(sums.iter()).zip(log_weights.iter_mut());
            for (((e, &sum), log_weight), to) in lanes.zip(to) {
                // The pivot is positive.
                let a = -c * sum / pivot;
                let ln_above = truncated::ln_above(a);
                *log_weight += ln_above;
                *e = c * truncated::draw_above(a, ln_above, *e);
                // The sign is c but for rounding: e is at or above a.
                let value = sum + pivot * *e;
                *to = if value * c > 0.0 { value } else { 0.0 };
            }
        }
        for (j, &log_weight) in log_weights.iter().enumerate().take(count) {
            weights.push(log_weight);
            for (f, row) in f.iter_mut().zip(values.chunks_exact(PANEL)) {
                *f = must(row.get(j).copied());
            }
            visit(log_weight, f);
        }
    }
    Ok(Complexity {
        weights,
        offset: 0.0,
    })
}
