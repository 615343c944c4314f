//! Functions drawn given their signs, their values elsewhere, and the classifiers that they make up.
//!
//! | sampler | draws | for |
//! |---|---|---|
//! | [`reject`] | exact, independent | a probability of the signs that is not small: `n <= 8` or so |
//! | [`orthant::half_normal`](super::orthant::half_normal), [`orthant::sequential`](super::orthant::sequential) | weighted, independent | their effective draws say |
//! | [`State::sweep`] | a Markov chain | any `n` |
//!
//! # Gibbs sampling
//! ```text
//! f_i | rest ~ N(-sum_{j != i} Q_ij f_j / Q_ii, 1 / Q_ii) with the sign c_i       Q = K^-1, one sweep: i = 1..n
//! ```
//! The chain starts at `f = c`; the publication discards 200 sweeps and keeps every fifth. `Q` is [`precision_into`]. A sweep costs `2 n^2` flops.
//!
//! # Elsewhere
//! ```text
//! f(x') | f ~ N(a^T f, k'' - k'^T K^-1 k')      a = K^-1 k', k' the kernel between x' and the n points
//! P(f(x') > 0 | f) = Phi(a^T f / deviation)
//! ```
//! [`Tally`] averages the mean and that probability over draws, so that no value at a test point is ever drawn: less noise, and one pass. It gives
//! three classifiers: the average draw (Gibbs), the vote of all draws, and the sign of their centre of mass. The vote errs at most twice as
//! often as the average draw; the centre of mass at most `e` times as often, since the posterior is log-concave. Kernel interpolation
//! ([`regression::mean_into`](super::regression::mean_into)) is the fourth.
//!
//! The average accuracy is that of "procedure D" of the literature, `P((c, c')) / P(c)` averaged over test points, with the same draws above and below.
//!
//! Reference: Bernstein and Yue (arXiv 2110.04274); Gruenbaum (1960) for the centre of mass; Geweke, *Efficient simulation from the
//! multivariate normal and Student-t distributions subject to linear constraints* (1991) for the chain.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of points that are slices in memory"
)]

use rand_core::Rng;

use super::covariance::Covariance;
use super::estimate::{Reading, Weights};
use super::orthant::{Orthant, truncated};
use super::{PURPOSE, dot};
use crate::error::{At, check, check_length, ensure_finite_at};
use crate::matrix::{MatrixMut, MatrixRef, cholesky_solve, cholesky_solve_vector, symmetrize};
use crate::memory::must;
use crate::random::{normal, stream, uniform};
use crate::simd::math::scalar::normal_cdf;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::{Error, Real, Storage, vector};

/// A draw of `f` given its signs, by drawing until they come; returns the number of tries.
///
/// A draw of which every sign is wrong is negated and taken: the law is symmetric. So a try succeeds with probability `2 P(c)`. `f` has `n`
/// numbers; a try takes `2 n` words.
///
/// # Errors
/// [`Error::Length`] when `f` has another length; [`Error::NoConvergence`] after `tries` in vain: `f` is of no use then.
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, orthant::Orthant, posterior::reject};
/// use thalweg::matrix::MatrixRef;
/// use thalweg::random::{self, Purpose};
/// let mut memory = [0.0; 4];
/// let k = Covariance::new(MatrixRef::new(&[1.0, 0.5, 0.5, 1.0], 2, 2)?, &mut memory)?;
/// let mut f = [0.0; 2];
/// reject(&Orthant::new(k, &[1.0, -1.0])?, 1000, &mut random::stream(1, 0, 0, Purpose::NOISE), &mut f)?;
/// assert!(f[0] > 0.0 && f[1] < 0.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn reject(
    orthant: &Orthant<'_>,
    tries: usize,
    rng: &mut impl Rng,
    f: &mut [f64],
) -> Result<usize, Error> {
    check_length("f", orthant.n(), f.len())?;
    let l = orthant.covariance().factor();
    for t in 1..=tries {
        f.fill_with(|| normal(rng));
        for i in (0..f.len()).rev() {
            let row = must(l.row(i).and_then(|row| row.get(..=i)));
            let value = dot(row, must(f.get(..=i)));
            if let Some(f) = f.get_mut(i) {
                *f = value;
            }
        }
        let right = f
            .iter()
            .zip(orthant.labels())
            .filter(|(f, c)| **f * **c > 0.0)
            .count();
        let wrong = f
            .iter()
            .zip(orthant.labels())
            .filter(|(f, c)| **f * **c < 0.0)
            .count();
        if right == f.len() {
            return Ok(t);
        }
        if wrong == f.len() {
            f.iter_mut().for_each(|f| *f = -*f);
            return Ok(t);
        }
    }
    let name = "rejection";
    Err(Error::NoConvergence {
        name,
        iterations: tries,
    })
}

/// The smallest `c_i f_i`: positive when every sign is right; infinite for no points.
///
/// # Errors
/// [`Error::Length`] when the lengths differ.
///
/// ```
/// assert_eq!(thalweg::kernel::posterior::margin(&[1.0, -1.0], &[0.5, -0.25])?, 0.25);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn margin(labels: &[f64], values: &[f64]) -> Result<f64, Error> {
    check_length("values", labels.len(), values.len())?;
    let margins = labels.iter().zip(values).map(|(c, f)| c * f);
    Ok(margins.fold(f64::INFINITY, |least, m| {
        if m < least || m.is_nan() { m } else { least }
    }))
}

/// `Q = K^-1`, symmetric, `n x n`: `2 n^3` flops.
///
/// # Errors
/// [`Error::Length`] when the shape is another one.
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, posterior::precision_into};
/// use thalweg::matrix::{MatrixMut, MatrixRef};
/// let mut memory = [0.0; 1];
/// let k = Covariance::new(MatrixRef::new(&[4.0], 1, 1)?, &mut memory)?;
/// let mut q = [0.0];
/// precision_into(&k, MatrixMut::new(&mut q, 1, 1)?)?;
/// assert_eq!(q, [0.25]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn precision_into(
    covariance: &Covariance<'_>,
    mut out: MatrixMut<'_, f64>,
) -> Result<(), Error> {
    check_length("rows of out", covariance.n(), out.rows())?;
    check_length("columns of out", covariance.n(), out.columns())?;
    out.fill(0.0);
    for i in 0..covariance.n() {
        if let Some(x) = out.get_mut(i, i) {
            *x = 1.0;
        }
    }
    cholesky_solve(covariance.factor(), out.reborrow())?;
    symmetrize(out)
}

/// A chain of functions with given signs: `n` values and the number of sweeps.
///
/// The stream of a sweep is that of the key `(seed, sweep, who)`, and so a restored state goes on with the same bits.
///
/// ```
/// use thalweg::kernel::posterior::State;
/// let state = State::new([0.0; 2], &[1.0, -1.0])?;
/// assert_eq!((state.values(), state.sweeps()), (&[1.0, -1.0][..], 0));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State<B> {
    f: B,
    sweeps: u64,
}

impl<B: Storage<Elem = f64>> State<B> {
    /// A chain at `f = c`.
    ///
    /// # Errors
    /// [`Error::Length`] when the buffer has another length than the labels, [`Error::Parameter`] when a label is neither -1 nor 1.
    pub fn new(mut buffer: B, labels: &[f64]) -> Result<Self, Error> {
        check_length("buffer", labels.len(), buffer.as_slice().len())?;
        let are_signs = labels.iter().all(|c| c.abs() == 1.0);
        check("labels", are_signs, "must be -1 or 1")?;
        for (f, &c) in buffer.as_mut_slice().iter_mut().zip(labels) {
            *f = c;
        }
        let f = buffer;
        Ok(Self { f, sweeps: 0 })
    }

    /// The values of the function.
    pub fn values(&self) -> &[f64] {
        self.f.as_slice()
    }

    /// Sweeps so far.
    pub const fn sweeps(&self) -> u64 {
        self.sweeps
    }

    /// Draws every value once, given all others; `seed` and `who` name the run and the chain.
    ///
    /// `precision` is that of [`precision_into`], `labels` those of the state.
    ///
    /// # Errors
    /// [`Error::Length`] when shapes do not fit, [`Error::Parameter`] for labels other than -1 or 1, [`Error::Singular`] named `precision` with the
    /// first row whose diagonal element is not finite and positive. The state is unchanged.
    ///
    /// ```
    /// use thalweg::kernel::posterior::State;
    /// use thalweg::matrix::MatrixRef;
    /// let mut state = State::new([0.0; 2], &[1.0, -1.0])?;
    /// let precision = MatrixRef::new(&[1.0, 0.0, 0.0, 4.0], 2, 2)?;
    /// state.sweep(precision, &[1.0, -1.0], 7, 0)?;
    /// assert!(state.values()[0] > 0.0 && state.values()[1] < 0.0 && state.sweeps() == 1);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sweep(
        &mut self,
        precision: MatrixRef<'_, f64>,
        labels: &[f64],
        seed: u64,
        who: u64,
    ) -> Result<(), Error> {
        let f = self.f.as_mut_slice();
        check_length("labels", f.len(), labels.len())?;
        check_length("rows of precision", f.len(), precision.rows())?;
        check_length("columns of precision", f.len(), precision.columns())?;
        let are_signs = labels.iter().all(|c| c.abs() == 1.0);
        check("labels", are_signs, "must be -1 or 1")?;
        for (index, row) in precision.row_iter().enumerate() {
            if !row.get(index).is_some_and(|q| *q > 0.0 && q.is_finite()) {
                let name = "precision";
                return Err(Error::Singular { name, index });
            }
        }
        let mut rng = stream(seed, self.sweeps, who, PURPOSE);
        for (i, (row, &c)) in precision.row_iter().zip(labels).enumerate() {
            let (Some(&q), Some(&old)) = (row.get(i), f.get(i)) else {
                break;
            };
            // q > 0: checked above.
            let mean = old - vector::dot(row, f)? / q;
            let deviation = 1.0 / libm::sqrt(q);
            let a = -c * mean / deviation;
            let e = truncated::draw_above(a, truncated::ln_above(a), uniform(&mut rng));
            // Rounding may leave nothing of a value that is far less than the mean: its sign stays.
            let magnitude = (c * mean + deviation * e).largest(f64::MIN_POSITIVE);
            if let Some(f) = f.get_mut(i) {
                *f = c * magnitude;
            }
        }
        self.sweeps = self.sweeps.wrapping_add(1);
        Ok(())
    }

    fn fields(&self) -> [Field; 2] {
        [Field::U64, Field::reals::<f64>(self.values().len())]
    }
}

const KIND: [u8; 4] = *b"SIGN";

impl<B: Storage<Elem = f64>> Snapshot for State<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, KIND, 1)?;
        writer.u64(self.sweeps)?;
        writer.slice(self.values())?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, KIND, 1, &self.fields())?;
        let sweeps = reader.u64()?;
        reader.slice_into(self.f.as_mut_slice())?;
        reader.finish()?;
        self.sweeps = sweeps;
        Ok(())
    }
}

/// What the values at test points are given those at the `n` points: `a = K^-1 k'` and a deviation each.
///
/// `cross` is `N_t x n`, `prior` the `N_t` diagonal elements `k''`, `weights` `N_t x n`. `2 n^2` flops a test point.
///
/// # Errors
/// [`Error::Length`] when shapes do not fit; nothing is written.
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, posterior::conditional_into};
/// use thalweg::matrix::{MatrixMut, MatrixRef};
/// let mut memory = [0.0; 1];
/// let k = Covariance::new(MatrixRef::new(&[1.0], 1, 1)?, &mut memory)?;
/// let (mut a, mut deviation) = ([0.0], [0.0]);
/// conditional_into(&k, MatrixRef::new(&[0.6], 1, 1)?, &[1.0], MatrixMut::new(&mut a, 1, 1)?, &mut deviation)?;
/// assert_eq!((a, deviation), ([0.6], [0.8]));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn conditional_into<T: Real>(
    covariance: &Covariance<'_>,
    cross: MatrixRef<'_, T>,
    prior: &[T],
    mut weights: MatrixMut<'_, f64>,
    deviations: &mut [f64],
) -> Result<(), Error> {
    check_length("columns of cross", covariance.n(), cross.columns())?;
    check_length("prior", cross.rows(), prior.len())?;
    check_length("rows of weights", cross.rows(), weights.rows())?;
    check_length("columns of weights", covariance.n(), weights.columns())?;
    check_length("deviations", cross.rows(), deviations.len())?;
    let rows = weights.row_iter_mut().zip(cross.row_iter());
    for (((a, row), &prior), deviation) in rows.zip(prior).zip(deviations) {
        for (a, x) in a.iter_mut().zip(row) {
            *a = x.to_f64();
        }
        cholesky_solve_vector(covariance.factor(), a)?;
        // Rounding may make the variance of a point that is given negative.
        *deviation = libm::sqrt((prior.to_f64() - dot(row, a)).largest(0.0));
    }
    Ok(())
}

/// How often the four readings of a posterior are right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// An average draw.
    pub gibbs: f64,
    /// The majority of the draws.
    pub vote: f64,
    /// The sign of the mean.
    pub centre_of_mass: f64,
}

/// Averages over draws, at test points: the probability of a positive value, and the mean.
///
/// Storage: `2 N_t` numbers.
///
/// ```
/// use thalweg::kernel::posterior::Tally;
/// use thalweg::matrix::MatrixRef;
/// let mut tally = Tally::new([0.0; 4]);
/// let weights = MatrixRef::new(&[1.0, -0.5], 2, 1)?;
/// for _ in 0..100 {
///     tally.push(0.0, &[2.0], weights, &[0.0, 0.0])?;
/// }
/// // One function: positive at the first point, negative at the second.
/// let found = tally.accuracy(&[1.0, 1.0])?.reliable().unwrap();
/// assert_eq!((found.gibbs, found.vote, found.centre_of_mass), (0.5, 0.5, 0.5));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tally<B> {
    sums: B,
    weights: Weights,
}

impl<B: Storage<Elem = f64>> Tally<B> {
    /// Nothing yet; twice as many numbers as test points.
    pub fn new(mut buffer: B) -> Self {
        buffer.as_mut_slice().fill(0.0);
        let weights = Weights::new();
        let sums = buffer;
        Self { sums, weights }
    }

    /// Adds a draw of `f` by the logarithm of its weight (0 for draws that are equal); `weights` and `deviations` come from [`conditional_into`].
    ///
    /// # Errors
    /// [`Error::Length`] when shapes do not fit, [`Error::NonFinite`] for a weight of NaN or infinity; the tally is unchanged. Negative
    /// infinity is a weight of 0.
    pub fn push(
        &mut self,
        log_weight: f64,
        f: &[f64],
        weights: MatrixRef<'_, f64>,
        deviations: &[f64],
    ) -> Result<(), Error> {
        let tests = self.sums.as_slice().len() / 2;
        check_length("rows of weights", tests, weights.rows())?;
        check_length("columns of weights", f.len(), weights.columns())?;
        check_length("deviations", tests, deviations.len())?;
        let is_weight = log_weight < f64::INFINITY;
        ensure_finite_at("log_weight", is_weight, At::Value)?;
        let (scale, weight) = self.weights.push(log_weight);
        let pairs = self.sums.as_mut_slice().as_chunks_mut::<2>().0;
        for (([above, mean], a), &deviation) in
            pairs.iter_mut().zip(weights.row_iter()).zip(deviations)
        {
            let value = vector::dot(a, f)?;
            let probability = if deviation > 0.0 {
                normal_cdf(value / deviation)
            } else if value > 0.0 {
                1.0
            } else {
                0.0
            };
            *above = *above * scale + weight * probability;
            *mean = *mean * scale + weight * value;
        }
        Ok(())
    }

    /// The weights of the draws.
    pub const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Probability of a positive value and mean value at a test point; `None` past the last.
    ///
    /// ```
    /// # use thalweg::kernel::posterior::Tally;
    /// assert!(Tally::new([0.0; 2]).point(1).is_none());
    /// ```
    pub fn point(&self, t: usize) -> Option<Reading<[f64; 2]>> {
        let [above, mean] = *self.sums.as_slice().as_chunks::<2>().0.get(t)?;
        let sum = self.weights.sum();
        Some(self.weights.reading([above / sum, mean / sum]))
    }

    /// How often each reading of the posterior agrees with the labels of the test points; a tie or a mean of 0 is wrong.
    ///
    /// NaN for no test points or no draws.
    ///
    /// # Errors
    /// [`Error::Length`] when `labels` is not as long as there are test points.
    pub fn accuracy(&self, labels: &[f64]) -> Result<Reading<Accuracy>, Error> {
        let (pairs, _) = self.sums.as_slice().as_chunks::<2>();
        check_length("labels", pairs.len(), labels.len())?;
        let sum = self.weights.sum();
        let (mut gibbs, mut vote, mut centre) = (0.0, 0.0, 0.0);
        for ([above, mean], &c) in pairs.iter().zip(labels) {
            let above = above / sum;
            gibbs += if c > 0.0 { above } else { 1.0 - above };
            vote += if (above - 0.5) * c > 0.0 { 1.0 } else { 0.0 };
            centre += if mean * c > 0.0 { 1.0 } else { 0.0 };
        }
        let n = labels.len() as f64;
        Ok(self.weights.reading(Accuracy {
            gibbs: gibbs / n,
            vote: vote / n,
            centre_of_mass: centre / n,
        }))
    }
}
