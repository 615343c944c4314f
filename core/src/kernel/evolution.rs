//! Evolution of outputs and weights under the gradient flow of a tangent kernel.
//!
//! ```text
//! r(f) = softmax(f) - Y, rate = 1/N             cross-entropy
//! r(f) = f - Y,          rate = 1/(N C)         half the mean square
//!
//! df/dt = -rate H r(f),   dS/dt = r(f),   f(0) = outputs of the network at w,   S(0) = 0
//! f(t) = f(0) - rate H S(t),   w(t) = w - rate sum_c J_c^T S_c(t)
//! ```
//!
//! | symbol | shape | what |
//! |---|---|---|
//! | `N`, `C` | | samples of the round, outputs |
//! | `H` | `N x N` | tangent kernel of the round at `w`, symmetric |
//! | `f`, `Y`, `r`, `S` | `N x C` | outputs, one-hot labels or targets, residuals, their integral over time |
//! | `J_c` | `N x P` | Jacobian of output `c` at `w` |
//! | `t` | | learning rate times number of virtual steps |
//!
//! [`follow`] integrates either loss by [Dormand-Prince](crate::solve::dormand_prince()); [`Spectrum`] has the closed form for the squared loss.
//! [`weights_into`] takes the transposed products `sum_c J_c^T S_c` to weights, and [`choose_tau`] picks a time by the losses of the real network
//! there: the linear model is accurate near `w` only, and its own loss never rises. The functions read the kernel, outputs and labels, never
//! the inputs.
//!
//! Reference: Yue et al., *Neural tangent kernel empowered federated learning* (arXiv 2110.03681, 2022), whose code sums residuals over the
//! virtual steps where this module integrates them; Lee et al., *Wide neural networks of any depth evolve as linear models under gradient descent*
//! (2019), equations 8 to 11.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of rows that are slices in memory"
)]

use crate::error::{At, check, check_length, check_scratch, ensure_finite_by};
use crate::matrix::{
    MatrixMut, MatrixRef, Product, gemm, gemm_scratch, symmetric_eigen, symmetric_eigen_scratch,
};
use crate::memory::{InRows, cut};
use crate::model::{Batch, Labels, Loss, copy};
use crate::solve::{Steps, Tolerance, check_times, dormand_prince, dormand_prince_scratch_len};
use crate::{Arithmetic, Error, Real, vector};

/// The samples of a round: their kernel, labels and outputs at the weights of the round.
///
/// ```
/// use thalweg::kernel::evolution::Round;
/// use thalweg::matrix::MatrixRef;
/// use thalweg::model::{Labels, Loss};
/// let round = Round {
///     loss: Loss::Squared,
///     kernel: MatrixRef::new(&[2.0_f32], 1, 1)?,
///     labels: Labels::Classes(&[1]),
///     outputs: &[0.5, 0.0, 0.0],
/// };
/// assert_eq!(round.rate(), 1.0 / 3.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Round<'a, T> {
    /// What outputs are measured with.
    pub loss: Loss,
    /// `H`, symmetric.
    pub kernel: MatrixRef<'a, T>,
    /// `Y`: classes, or targets where the loss is squared.
    pub labels: Labels<'a, T>,
    /// `f(0)`, `N x C`.
    pub outputs: &'a [T],
}

impl<'a, T: Real> Round<'a, T> {
    /// Outputs of a sample, `C`.
    fn width(&self) -> usize {
        self.outputs
            .len()
            .checked_div(self.kernel.rows())
            .unwrap_or(0)
    }

    /// `1/N`, for the squared loss `1/(N C)`.
    #[must_use]
    pub fn rate(&self) -> f64 {
        rate(self.loss, self.kernel.rows(), self.width())
    }

    /// Checks shapes and labels; gives the labels as a batch.
    fn check(&self) -> Result<Batch<'a, T>, Error> {
        let (n, width) = (self.kernel.rows(), self.width());
        check("kernel", n > 0, "must have at least one row")?;
        check_length("columns of kernel", n, self.kernel.columns())?;
        check("outputs", width > 0, "must have at least one column")?;
        check_length("outputs", n * width, self.outputs.len())?;
        let batch = Batch::of_labels(n, self.labels)?;
        match (self.loss, self.labels) {
            (Loss::Squared, Labels::Targets { .. }) => batch.check_targets(width)?,
            _ => batch.check_classes(width)?,
        }
        ensure_finite_rows(self.kernel)?;
        ensure_finite_by("outputs", self.outputs, |i| At::Row(i / width))?;
        Ok(batch)
    }
}

/// Checks that a kernel is finite.
fn ensure_finite_rows<T: Real>(kernel: MatrixRef<'_, T>) -> Result<(), Error> {
    let mut rows = kernel.row_iter().enumerate();
    rows.try_for_each(|(index, row)| ensure_finite_by("kernel", row, |_| At::Row(index)))
}

/// `1/N`, for the squared loss `1/(N C)`.
fn rate(loss: Loss, rows: usize, outputs: usize) -> f64 {
    match loss {
        Loss::CrossEntropy => 1.0 / rows as f64,
        Loss::Squared => 1.0 / (rows as f64 * outputs as f64),
    }
}

/// How a round is followed.
///
/// ```
/// use thalweg::kernel::evolution::Config;
/// assert_eq!(Config::default().tolerance.relative, 1e-3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Config {
    /// Tolerance of the integration; that of single precision is wasted on a model that is linear.
    pub tolerance: Tolerance,
    /// Arithmetic of the products with the kernel.
    pub arithmetic: Arithmetic,
}

/// Outputs and integrated residuals at one of the times.
///
/// ```
/// use thalweg::kernel::evolution::Moment;
/// let moment = Moment { index: 0, outputs: &[0.5_f32], integral: &[0.0] };
/// assert_eq!(moment.outputs, [0.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a, T> {
    /// Which of the times.
    pub index: usize,
    /// `f(t)`, `N x C`.
    pub outputs: &'a [T],
    /// `S(t)`, `N x C`.
    pub integral: &'a [T],
}

/// Elements of scratch of [`follow`] for `n` samples and `outputs` outputs.
///
/// ```
/// use thalweg::kernel::evolution::follow_scratch_len;
/// use thalweg::matrix::gemm_scratch;
/// assert_eq!(follow_scratch_len(10, 3), 10 * 60 + gemm_scratch(10, 3, 10));
/// assert_eq!(follow_scratch_len(usize::MAX, 3), usize::MAX);
/// ```
#[must_use]
pub const fn follow_scratch_len(n: usize, outputs: usize) -> usize {
    least_follow_scratch_len(n, outputs).saturating_add(gemm_scratch(n, outputs, n))
}

/// Least elements of scratch of [`follow`], with which products are plain loops.
///
/// ```
/// assert_eq!(thalweg::kernel::evolution::least_follow_scratch_len(10, 3), 10 * 60);
/// ```
#[must_use]
pub const fn least_follow_scratch_len(n: usize, outputs: usize) -> usize {
    let state = n.saturating_mul(outputs).saturating_mul(2);
    state.saturating_add(dormand_prince_scratch_len(state))
}

/// Follows the flow and calls `visit` at each of the increasing times.
///
/// The state is that of outputs and integral together. Cost: `2 N^2 C` flops and one pass over the kernel an evaluation. Scratch:
/// [`follow_scratch_len`], or down to [`least_follow_scratch_len`] with the same bits (with [`Arithmetic::Portable`]).
///
/// # Errors
/// Shapes, labels, tolerances, times that do not fit, a kernel or outputs that are not finite: nothing has been visited. Errors of `visit`
/// and those of [`dormand_prince`](crate::solve::dormand_prince()).
///
/// ```
/// use thalweg::kernel::evolution::{Config, Round, follow, follow_scratch_len};
/// use thalweg::matrix::MatrixRef;
/// use thalweg::model::{Labels, Loss};
/// // One sample, one output, target 1, H = 2: f' = -2 (f - 1), f = 1 - exp(-2 t), S = -(1 - exp(-2 t)) / 2.
/// let round = Round {
///     loss: Loss::Squared,
///     kernel: MatrixRef::new(&[2.0_f64], 1, 1)?,
///     labels: Labels::Targets { values: &[1.0], width: 1 },
///     outputs: &[0.0],
/// };
/// let mut found = [[0.0; 2]; 2];
/// follow(&Config::default(), &round, &[0.5, 1.0], |moment| {
///     found[moment.index] = [moment.outputs[0], moment.integral[0]];
///     Ok(())
/// }, &mut [0.0; follow_scratch_len(1, 1)])?;
/// for ([f, s], t) in found.into_iter().zip([0.5_f64, 1.0]) {
///     assert!((f - (1.0 - (-2.0 * t).exp())).abs() < 1e-3 && (s + f / 2.0).abs() < 1e-15);
/// }
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn follow<T: Real>(
    config: &Config,
    round: &Round<'_, T>,
    times: &[f64],
    mut visit: impl FnMut(Moment<'_, T>) -> Result<(), Error>,
    scratch: &mut [T],
) -> Result<Steps, Error> {
    config.tolerance.validate()?;
    check_times(times)?;
    let batch = round.check()?;
    let (n, width, len) = (batch.len(), round.width(), round.outputs.len());
    let least = least_follow_scratch_len(n, width);
    check_scratch("scratch", least, scratch.len())?;
    let state = 2 * len;
    let ([y, work], pack) = cut(scratch, [state, dormand_prince_scratch_len(state)])?;
    let (outputs, integral) = y.split_at_mut_checked(len).ok_or(SHORT)?;
    copy(round.outputs, outputs);
    integral.fill(T::ZERO);
    let how = Product {
        alpha: T::from_f64(-round.rate()),
        ..Product::plain(config.arithmetic)
    };
    // The slope of the squared loss is divided by C.
    let scale = match round.loss {
        Loss::CrossEntropy => T::ONE,
        Loss::Squared => T::from_usize(width),
    };
    let field = |_: f64, y: &[T], slope: &mut [T]| {
        let (outputs, _) = y.split_at_checked(len).ok_or(SHORT)?;
        let (change, residuals) = slope.split_at_mut_checked(len).ok_or(SHORT)?;
        copy(outputs, residuals);
        round.loss.measure(&batch, 0, width, scale, residuals);
        let residuals = MatrixRef::new(residuals, n, width)?;
        let change = MatrixMut::new(change, n, width)?;
        gemm(how, round.kernel, residuals, change, pack)
    };
    let visit = |index: usize, y: &[T]| {
        let (outputs, integral) = y.split_at_checked(len).ok_or(SHORT)?;
        visit(Moment {
            index,
            outputs,
            integral,
        })
    };
    dormand_prince(&config.tolerance, field, times, y, visit, work)
}

/// Error for a memory that an arithmetic slip has cut too short; lengths are checked before.
const SHORT: Error = Error::Parameter {
    name: "scratch",
    rule: "must have the stated length",
};

/// The kernel by its eigenvalues and eigenvectors, in `f64`: the flow of the squared loss in closed form.
///
/// ```text
/// H = sum_k lambda_k v_k v_k^T,   x_k = lambda_k t / (N C)
/// f(t) = f(0) + sum_k expm1(-x_k) v_k v_k^T (f(0) - Y),   S(t) = t sum_k (-expm1(-x_k) / x_k) v_k v_k^T (f(0) - Y)
/// ```
///
/// Eigenvalues below zero, which rounding makes from those that are zero, count as zero, and their share of `S` is exactly `t`.
///
/// ```
/// use thalweg::kernel::evolution::Spectrum;
/// use thalweg::matrix::MatrixRef;
/// let mut memory = [0.0; 6];
/// let spectrum = Spectrum::new(MatrixRef::new(&[2.0_f32, 1.0, 1.0, 2.0], 2, 2)?, &mut memory, &mut [0.0; 4])?;
/// assert!((spectrum.values()[0] - 1.0).abs() < 1e-15 && spectrum.clipped() == 0.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Spectrum<'a> {
    values: &'a [f64],
    vectors: MatrixRef<'a, f64>,
    clipped: f64,
}

/// Elements of memory of a [`Spectrum`] of `n` samples.
///
/// ```
/// assert_eq!(thalweg::kernel::evolution::spectrum_len(10), 110);
/// ```
#[must_use]
pub const fn spectrum_len(n: usize) -> usize {
    n.saturating_mul(n.saturating_add(1))
}

/// Elements of scratch of [`Spectrum::at`].
///
/// ```
/// use thalweg::kernel::evolution::spectrum_scratch_len;
/// use thalweg::matrix::gemm_scratch;
/// assert_eq!(spectrum_scratch_len(10, 3), 120 + gemm_scratch(10, 3, 10));
/// ```
#[must_use]
pub const fn spectrum_scratch_len(n: usize, outputs: usize) -> usize {
    n.saturating_mul(outputs)
        .saturating_mul(4)
        .saturating_add(gemm_scratch(n, outputs, n))
}

impl<'a> Spectrum<'a> {
    /// Decomposes a kernel; only its lower triangle is read. `9 N^3` flops.
    ///
    /// Memory: [`spectrum_len`], held as long as the spectrum lives. Scratch: `2 N`.
    ///
    /// # Errors
    /// Wrong lengths, no rows; [`Error::NonFinite`] with the index in the kernel; [`Error::NoConvergence`].
    pub fn new<T: Real>(
        kernel: MatrixRef<'_, T>,
        memory: &'a mut [f64],
        scratch: &mut [f64],
    ) -> Result<Self, Error> {
        let n = kernel.rows();
        check("kernel", n > 0, "must have at least one row")?;
        check_length("columns of kernel", n, kernel.columns())?;
        check_length("memory", spectrum_len(n), memory.len())?;
        check_scratch("scratch", symmetric_eigen_scratch(n), scratch.len())?;
        ensure_finite_rows(kernel)?;
        let ([values, vectors], _) = cut(memory, [n, n * n])?;
        let mut a = MatrixMut::new(&mut *vectors, n, n)?;
        for (a, row) in a.row_iter_mut().zip(kernel.row_iter()) {
            for (a, x) in a.iter_mut().zip(row) {
                *a = x.to_f64();
            }
        }
        symmetric_eigen(a, values, scratch)?;
        let clipped = values.first().map_or(0.0, |least| (-least).max(0.0));
        for value in values.iter_mut() {
            *value = value.max(0.0);
        }
        Ok(Self {
            values,
            vectors: MatrixRef::new(vectors, n, n)?,
            clipped,
        })
    }

    /// Eigenvalues in rising order, none below zero.
    #[must_use]
    pub const fn values(&self) -> &'a [f64] {
        self.values
    }

    /// Magnitude of the most negative eigenvalue, which counts as zero; 0 where none is negative.
    #[must_use]
    pub const fn clipped(&self) -> f64 {
        self.clipped
    }

    /// Writes outputs `f(t)` and integrated residuals `S(t)`, both `N x C`, of a round with the squared loss on this kernel.
    ///
    /// `6 N^2 C` flops. Scratch: [`spectrum_scratch_len`].
    ///
    /// # Errors
    /// Another loss; shapes, labels and lengths that do not fit; a time that is not finite or negative; a kernel or outputs that are not finite.
    /// Nothing is written.
    ///
    /// ```
    /// use thalweg::kernel::evolution::{Round, Spectrum, spectrum_scratch_len};
    /// use thalweg::matrix::MatrixRef;
    /// use thalweg::model::{Labels, Loss};
    /// let (mut memory, mut f, mut s) = ([0.0; 2], [9.0], [9.0]);
    /// let round = Round {
    ///     loss: Loss::Squared,
    ///     kernel: MatrixRef::new(&[2.0_f64], 1, 1)?,
    ///     labels: Labels::Targets { values: &[1.0], width: 1 },
    ///     outputs: &[0.0],
    /// };
    /// let spectrum = Spectrum::new(round.kernel, &mut memory, &mut [0.0; 2])?;
    /// spectrum.at(&round, 0.5, &mut f, &mut s, &mut [0.0; spectrum_scratch_len(1, 1)])?;
    /// let expected = 1.0 - (-1.0_f64).exp();
    /// assert!((f[0] - expected).abs() < 1e-15 && (s[0] + expected / 2.0).abs() < 1e-15);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn at<T: Real>(
        &self,
        round: &Round<'_, T>,
        t: f64,
        outputs: &mut [T],
        integral: &mut [T],
        scratch: &mut [f64],
    ) -> Result<(), Error> {
        check("loss", round.loss == Loss::Squared, "must be squared")?;
        check(
            "t",
            t.is_finite() && t >= 0.0,
            "must be finite and not negative",
        )?;
        let batch = round.check()?;
        let (n, width, len) = (batch.len(), round.width(), round.outputs.len());
        check_length("rows of kernel", self.values.len(), n)?;
        check_length("outputs", len, outputs.len())?;
        check_length("integral", len, integral.len())?;
        let least = spectrum_scratch_len(n, width);
        check_scratch("scratch", least, scratch.len())?;
        copy(round.outputs, integral);
        Loss::Squared.measure(&batch, 0, width, T::from_usize(width), integral);
        let ([residuals, along, scaled, change], pack) = cut(scratch, [len; 4])?;
        for (wide, &r) in residuals.iter_mut().zip(&*integral) {
            *wide = r.to_f64();
        }
        let residuals = MatrixRef::new(residuals, n, width)?;
        let view = MatrixMut::new(along, n, width)?;
        gemm(Product::PLAIN, self.vectors, residuals, view, pack)?;
        let rate = round.rate();
        let mut back = |weight: fn(f64) -> f64, out: &mut [f64]| {
            let rows = scaled.in_rows_mut(width).zip(along.in_rows(width));
            for ((scaled, along), value) in rows.zip(self.values) {
                let weight = weight(value * t * rate);
                for (scaled, along) in scaled.iter_mut().zip(along) {
                    *scaled = weight * along;
                }
            }
            let scaled = MatrixRef::new(scaled, n, width)?;
            let out = MatrixMut::new(out, n, width)?;
            gemm(Product::PLAIN, self.vectors.t(), scaled, out, pack)
        };
        back(|x| libm::expm1(-x), change)?;
        for ((f, &start), &change) in outputs.iter_mut().zip(round.outputs).zip(&*change) {
            *f = T::from_f64(start.to_f64() + change);
        }
        // The limit at 0 is 1.
        back(
            |x| if x == 0.0 { 1.0 } else { -libm::expm1(-x) / x },
            change,
        )?;
        for (s, &share) in integral.iter_mut().zip(&*change) {
            *s = T::from_f64(t * share);
        }
        Ok(())
    }
}

/// Writes the weights `w(t) = w - rate J^T S` of a round of `rows` samples in all, from the transposed product `pull = sum_c J_c^T S_c`.
///
/// `pull` comes from [`Outputs::jacobian_transpose_times_into`](crate::model::Outputs::jacobian_transpose_times_into) where the inputs are
/// at hand, or from [`add_transposed_product`](super::tangent::add_transposed_product) over the Jacobians of the clients.
///
/// # Errors
/// [`Error::Length`] of `pull` or `out`, [`Error::Parameter`] without rows or outputs; `out` is unchanged.
///
/// ```
/// use thalweg::kernel::evolution::{Scale, weights_into};
/// use thalweg::model::Loss;
/// let scale = Scale { loss: Loss::Squared, rows: 2, outputs: 4 };
/// let mut out = [0.0_f32; 1];
/// weights_into(scale, &[1.0], &[4.0], &mut out)?;
/// assert_eq!(out, [0.5]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn weights_into<T: Real>(
    scale: Scale,
    params: &[T],
    pull: &[T],
    out: &mut [T],
) -> Result<(), Error> {
    check("rows", scale.rows > 0, "must be positive")?;
    check("outputs", scale.outputs > 0, "must be positive")?;
    let rate = rate(scale.loss, scale.rows, scale.outputs);
    vector::axpby_into(T::ONE, params, T::from_f64(-rate), pull, out)
}

/// What the rate of a round depends on.
///
/// ```
/// use thalweg::kernel::evolution::Scale;
/// let scale = Scale { loss: thalweg::model::Loss::CrossEntropy, rows: 4, outputs: 10 };
/// assert_eq!(scale.rows, 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// What outputs are measured with.
    pub loss: Loss,
    /// `N`: samples of the round, of all clients together.
    pub rows: usize,
    /// `C`.
    pub outputs: usize,
}

/// The time that was picked.
///
/// ```
/// use thalweg::kernel::evolution::Chosen;
/// assert_eq!(Chosen { candidate: None, loss: 0.5 }.candidate, None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// Index of the candidate; `None` when the weights of the round are kept.
    pub candidate: Option<usize>,
    /// Its loss.
    pub loss: f64,
}

/// Picks the candidate of the smallest loss, with the weights of the round (`tau = 0`) as one more candidate.
///
/// `at_zero` and `losses` are mean losses of the real network, at `w` and at the weights of increasing times: evaluated by the clients on
/// their samples, or on a validation set. The earliest of equal losses is picked; NaN is skipped. The published code has no candidate 0.
///
/// ```
/// use thalweg::kernel::evolution::{Chosen, choose_tau};
/// assert_eq!(choose_tau(2.3, &[0.9, f64::NAN, 0.7, 0.7]), Chosen { candidate: Some(2), loss: 0.7 });
/// assert_eq!(choose_tau(0.6, &[0.9, 0.6]), Chosen { candidate: None, loss: 0.6 });
/// ```
#[must_use]
pub fn choose_tau(at_zero: f64, losses: &[f64]) -> Chosen {
    let mut chosen = Chosen {
        candidate: None,
        loss: at_zero,
    };
    for (index, &loss) in losses.iter().enumerate() {
        let is_first = chosen.loss.is_nan() && !loss.is_nan();
        if loss < chosen.loss || is_first {
            chosen = Chosen {
                candidate: Some(index),
                loss,
            };
        }
    }
    chosen
}
