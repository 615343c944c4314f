//! Models with closed-form gradients, and the one trait that training loops are written against.
//!
//! An [`Objective`] is a function of a parameter vector and a [`Batch`]. It owns nothing: parameters, data
//! and scratch are the caller's slices, and the length of each is a `const fn` of the model.
//!
//! | model | loss of one row | parameters |
//! |---|---|---|
//! | [`quadratic`] | `x^T A x / 2 - b^T x` (no data) | `d` |
//! | [`softmax`] | cross-entropy of an affine map | `classes (features + 1)` |
//! | [`mlp`] | cross-entropy or squared loss of a network | `sum_l outputs_l (inputs_l + 1)` |
//!
//! # Batches
//! A [`Batch`] views row-major features, labels and, optionally, a list of row numbers: a client's shard, or
//! a shuffled mini-batch, is the whole data set with another list, and nothing is copied by the caller.
//! Models that multiply matrices gather the listed rows, [`BLOCK_ROWS`] at a time, into their scratch: one
//! read and one write per feature beside the two or more multiplications that follow it.
//!
//! # Sums over rows
//! Losses are means over the rows of the batch. Rows are taken in order, in blocks of [`BLOCK_ROWS`]; losses
//! are added in `f64`, gradients block after block. The result depends on the order of rows and on nothing
//! else: not on the SIMD level, nor on whether rows come through a list.
//!
//! # Errors
//! Every function checks all lengths, labels and settings first and writes nothing when one is wrong. What is
//! finite or not is not checked: NaN and infinity propagate into values and gradients.

use crate::error::{check, check_length};
use crate::{Error, Real};

mod dense;
mod loss;
pub mod mlp;
pub mod quadratic;
pub mod softmax;

pub use loss::Loss;

/// Most rows that a model handles at once; scratch does not grow beyond it.
pub const BLOCK_ROWS: usize = 64;

/// Answer to a scratch that an arithmetic slip in a model has cut too short; lengths are checked before.
const SHORT: Error = Error::Parameter {
    name: "scratch",
    rule: "must have the stated length",
};

/// Start and length of the blocks of `rows` rows.
fn blocks(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows)
        .step_by(BLOCK_ROWS)
        .map(move |start| (start, rows.saturating_sub(start).min(BLOCK_ROWS)))
}

/// Copies the common length.
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

/// The gradient of `l2 / 2 |params|^2`, to which a model adds; zero (also at infinity) without a penalty.
fn start_gradient<T: Real>(l2: T, params: &[T], grad: &mut [T]) {
    if l2 == T::ZERO {
        return grad.fill(T::ZERO);
    }
    for (g, &x) in grad.iter_mut().zip(params) {
        *g = l2 * x;
    }
}

/// What the rows of a batch are compared with.
///
/// ```
/// use thalweg::model::Labels;
/// assert!(matches!(Labels::<f32>::Classes(&[0, 1]), Labels::Classes(c) if c.len() == 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Labels<'a, T> {
    /// Nothing: autoencoders, predictions.
    None,
    /// One class number per row of features.
    Classes(&'a [u32]),
    /// `width` numbers per row of features, row-major.
    Targets {
        /// The numbers.
        values: &'a [T],
        /// Numbers per row.
        width: usize,
    },
}

/// Rows of features with their labels: a view, free to copy.
///
/// ```
/// use thalweg::model::Batch;
/// let features = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let all = Batch::classes(&features, 2, &[0, 1, 1])?;
/// let mini = all.select(&[2, 0])?;
/// assert_eq!((all.len(), mini.len()), (3, 2));
/// assert_eq!(mini.row(0), Some(&[5.0, 6.0][..]));
/// assert_eq!(mini.class(1), Some(0));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Batch<'a, T> {
    features: &'a [T],
    columns: usize,
    labels: Labels<'a, T>,
    list: Option<&'a [u32]>,
    len: usize,
}

impl<'a, T: Real> Batch<'a, T> {
    /// No data at all, for objectives that have none.
    ///
    /// ```
    /// assert!(thalweg::model::Batch::<f32>::none().is_empty());
    /// ```
    pub const fn none() -> Self {
        Self {
            features: &[],
            columns: 0,
            labels: Labels::None,
            list: None,
            len: 0,
        }
    }

    /// Row-major features of `columns` numbers a row, with labels.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `columns` (or the width of targets) is zero; [`Error::Length`] when features
    /// are not whole rows, or labels are not one per row.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels};
    /// let batch = Batch::new(&[1.0_f32, 2.0, 3.0, 4.0], 2, Labels::None)?;
    /// assert_eq!(batch.len(), 2);
    /// assert!(Batch::new(&[1.0_f32; 3], 2, Labels::None).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(features: &'a [T], columns: usize, labels: Labels<'a, T>) -> Result<Self, Error> {
        check("columns", columns > 0, "must be positive")?;
        let len = features.len() / columns.max(1);
        check_length("features", len.saturating_mul(columns), features.len())?;
        match labels {
            Labels::None => {}
            Labels::Classes(classes) => check_length("labels", len, classes.len())?,
            Labels::Targets { values, width } => {
                check("width", width > 0, "must be positive")?;
                check_length("targets", len.saturating_mul(width), values.len())?;
            }
        }
        Ok(Self {
            features,
            columns,
            labels,
            list: None,
            len,
        })
    }

    /// [`new`](Self::new) with one class number per row.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// ```
    /// let batch = thalweg::model::Batch::classes(&[0.5_f32, 0.25], 1, &[3, 7])?;
    /// assert_eq!(batch.class(1), Some(7));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn classes(features: &'a [T], columns: usize, classes: &'a [u32]) -> Result<Self, Error> {
        Self::new(features, columns, Labels::Classes(classes))
    }

    /// [`new`](Self::new) with `width` target numbers per row.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// ```
    /// let batch = thalweg::model::Batch::targets(&[0.5_f32, 0.25], 1, &[3.0, 7.0], 1)?;
    /// assert_eq!(batch.target(1), Some(&[7.0][..]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn targets(
        features: &'a [T],
        columns: usize,
        values: &'a [T],
        width: usize,
    ) -> Result<Self, Error> {
        Self::new(features, columns, Labels::Targets { values, width })
    }

    /// The rows of this batch at the positions in `list`, in that order; repetitions are allowed.
    ///
    /// On a batch that is itself a selection, `list` holds rows of the data beneath it, not positions in the
    /// selection: a mini-batch is drawn from a shard by copying entries of the shard's list.
    ///
    /// # Errors
    /// [`Error::Parameter`] when an entry is not below the number of rows of the data.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels};
    /// let batch = Batch::new(&[1.0_f32, 2.0, 3.0], 1, Labels::None)?;
    /// assert_eq!(batch.select(&[1, 1])?.row(1), Some(&[2.0][..]));
    /// assert!(batch.select(&[3]).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn select(&self, list: &'a [u32]) -> Result<Self, Error> {
        let rows = self.features.len() / self.columns.max(1);
        check(
            "list",
            list.iter().all(|&i| (i as usize) < rows),
            "must hold row numbers below the number of rows",
        )?;
        Ok(Self {
            list: Some(list),
            len: list.len(),
            ..*self
        })
    }

    /// The `len` rows that begin at position `start`: a block for one thread, or a mini-batch of a shuffled list.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the rows do not exist.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels};
    /// let batch = Batch::new(&[1.0_f32, 2.0, 3.0], 1, Labels::None)?;
    /// assert_eq!(batch.range(1, 2)?.row(0), Some(&[2.0][..]));
    /// assert!(batch.range(2, 2).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn range(&self, start: usize, len: usize) -> Result<Self, Error> {
        const OUTSIDE: Error = Error::Parameter {
            name: "range",
            rule: "must lie inside the batch",
        };
        fn part<U>(x: &[U], start: usize, len: usize, width: usize) -> Option<&[U]> {
            let (start, len) = (start.checked_mul(width)?, len.checked_mul(width)?);
            x.get(start..)?.get(..len)
        }
        check(
            "range",
            start.checked_add(len).is_some_and(|end| end <= self.len),
            "must lie inside the batch",
        )?;
        if let Some(list) = self.list {
            return Ok(Self {
                list: Some(part(list, start, len, 1).ok_or(OUTSIDE)?),
                len,
                ..*self
            });
        }
        let labels = match self.labels {
            Labels::None => Labels::None,
            Labels::Classes(classes) => {
                Labels::Classes(part(classes, start, len, 1).ok_or(OUTSIDE)?)
            }
            Labels::Targets { values, width } => Labels::Targets {
                values: part(values, start, len, width).ok_or(OUTSIDE)?,
                width,
            },
        };
        Ok(Self {
            features: part(self.features, start, len, self.columns).ok_or(OUTSIDE)?,
            labels,
            len,
            ..*self
        })
    }

    /// Rows.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels};
    /// assert_eq!(Batch::new(&[1.0_f32; 6], 3, Labels::None)?.len(), 2);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// No rows.
    ///
    /// ```
    /// assert!(thalweg::model::Batch::<f64>::none().is_empty());
    /// ```
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Features per row.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels};
    /// assert_eq!(Batch::new(&[1.0_f32; 6], 3, Labels::None)?.columns(), 3);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// What the rows are compared with; of all rows of the data, also in a selection.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels};
    /// assert_eq!(Batch::<f32>::none().labels(), Labels::None);
    /// ```
    #[inline]
    pub const fn labels(&self) -> Labels<'a, T> {
        self.labels
    }

    /// Row of the data at position `i`.
    #[inline]
    fn place(&self, i: usize) -> Option<usize> {
        match self.list {
            None => Some(i),
            Some(list) => list.get(i).map(|&row| row as usize),
        }
    }

    /// Features at position `i`.
    ///
    /// ```
    /// let batch = thalweg::model::Batch::classes(&[1.0_f32, 2.0], 1, &[0, 0])?;
    /// assert_eq!((batch.row(1), batch.row(2)), (Some(&[2.0][..]), None));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub fn row(&self, i: usize) -> Option<&'a [T]> {
        let start = self.place(i)?.checked_mul(self.columns)?;
        self.features.get(start..)?.get(..self.columns)
    }

    /// Class at position `i`; `None` outside the batch or without classes.
    ///
    /// ```
    /// let batch = thalweg::model::Batch::classes(&[1.0_f32, 2.0], 1, &[4, 5])?;
    /// assert_eq!(batch.class(1), Some(5));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub fn class(&self, i: usize) -> Option<u32> {
        match self.labels {
            Labels::Classes(classes) => classes.get(self.place(i)?).copied(),
            _ => None,
        }
    }

    /// Targets at position `i`; `None` outside the batch or without targets.
    ///
    /// ```
    /// let batch = thalweg::model::Batch::targets(&[1.0_f32], 1, &[4.0, 5.0], 2)?;
    /// assert_eq!(batch.target(0), Some(&[4.0, 5.0][..]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub fn target(&self, i: usize) -> Option<&'a [T]> {
        match self.labels {
            Labels::Targets { values, width } => {
                let start = self.place(i)?.checked_mul(width)?;
                values.get(start..)?.get(..width)
            }
            _ => None,
        }
    }

    /// Checks that there are rows, and that they have `columns` features.
    pub(crate) fn check_features(&self, columns: usize) -> Result<(), Error> {
        check("batch", self.len > 0, "must hold at least one row")?;
        check_length("features", columns, self.columns)
    }

    /// Checks that every row has a class below `classes`.
    pub(crate) fn check_classes(&self, classes: usize) -> Result<(), Error> {
        check(
            "labels",
            matches!(self.labels, Labels::Classes(_)),
            "must be classes",
        )?;
        check(
            "labels",
            (0..self.len).all(|i| self.class(i).is_some_and(|c| (c as usize) < classes)),
            "must be below the number of classes",
        )
    }

    /// Checks that every row has `width` targets.
    pub(crate) fn check_targets(&self, width: usize) -> Result<(), Error> {
        match self.labels {
            Labels::Targets { width: found, .. } => check_length("targets", width, found),
            _ => check("labels", false, "must be targets"),
        }
    }

    /// Rows `start..start + len` as one row-major slice: a view where there is no list, else a copy in `copy`,
    /// which holds at least `len * columns` elements.
    pub(crate) fn block<'b>(&self, start: usize, len: usize, copy: &'b mut [T]) -> &'b [T]
    where
        'a: 'b,
    {
        let size = len.saturating_mul(self.columns);
        if self.list.is_none() {
            return self
                .features
                .get(start.saturating_mul(self.columns)..)
                .and_then(|x| x.get(..size))
                .unwrap_or_default();
        }
        for (i, out) in (start..).zip(copy.chunks_exact_mut(self.columns.max(1)).take(len)) {
            for (out, &x) in out.iter_mut().zip(self.row(i).unwrap_or_default()) {
                *out = x;
            }
        }
        copy.get(..size).unwrap_or_default()
    }
}

/// A differentiable function of a parameter vector, as a mean over the rows of a batch.
///
/// Loops take `&impl Objective<T>` or `&dyn Objective<T>`. Scratch need not be cleared between calls; it holds
/// nothing that a later call reads.
///
/// ```
/// use thalweg::model::{Batch, Objective, quadratic::Quadratic};
///
/// fn descend(f: &impl Objective<f64>, x: &mut [f64], steps: usize) -> Result<(), thalweg::Error> {
///     let mut grad = [0.0; 1];
///     for _ in 0..steps {
///         f.gradient_into(x, &Batch::none(), &mut [], &mut grad)?;
///         thalweg::vector::axpy(-0.5, &grad, x)?;
///     }
///     Ok(())
/// }
/// // x^2 / 2 - x has its minimum at 1; with step 1/2 the distance halves.
/// let f = Quadratic { dim: 1, curvature: 2.0, shift: 0.0, linear: 1.0 };
/// let mut x = [9.0];
/// descend(&f, &mut x, 3)?;
/// assert_eq!(x, [2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub trait Objective<T: Real> {
    /// Number of parameters.
    fn dim(&self) -> usize;

    /// Elements of scratch that the other functions need on a batch of `rows` rows.
    fn scratch_len(&self, rows: usize) -> usize;

    /// Value at `params`.
    ///
    /// # Errors
    /// Wrong lengths, labels or settings; nothing useful is in `scratch` then, as ever.
    fn value(&self, params: &[T], batch: &Batch<'_, T>, scratch: &mut [T]) -> Result<T, Error>;

    /// Writes the gradient at `params`.
    ///
    /// # Errors
    /// As [`value`](Self::value), and a wrong length of `grad`, which is then unchanged.
    fn gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        scratch: &mut [T],
        grad: &mut [T],
    ) -> Result<(), Error>;

    /// Writes the gradient and returns the value: one pass where the model can share work.
    ///
    /// # Errors
    /// As [`gradient_into`](Self::gradient_into).
    fn value_and_gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        scratch: &mut [T],
        grad: &mut [T],
    ) -> Result<T, Error> {
        self.gradient_into(params, batch, scratch, grad)?;
        self.value(params, batch, scratch)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// Numbers in [-1, 1) from a multiplicative generator; the phase picks the sequence.
    pub(crate) fn painted<T: Real>(n: usize, phase: u64) -> Vec<T> {
        let mut state = phase.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..n)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                T::from_f64((state >> 40) as f64 / f64::from(1 << 23) - 1.0)
            })
            .collect()
    }

    /// Central differences in every coordinate agree with the gradient to 1e-6 of its largest element.
    pub(crate) fn check_gradient(
        f: &impl Objective<f64>,
        params: &[f64],
        batch: &Batch<'_, f64>,
        h: f64,
    ) {
        let mut scratch = vec![f64::NAN; f.scratch_len(batch.len())];
        let mut grad = vec![f64::NAN; f.dim()];
        let value = f
            .value_and_gradient_into(params, batch, &mut scratch, &mut grad)
            .unwrap();
        assert_eq!(value, f.value(params, batch, &mut scratch).unwrap());
        let mut again = vec![f64::NAN; f.dim()];
        f.gradient_into(params, batch, &mut scratch, &mut again)
            .unwrap();
        assert_eq!(grad, again);
        let size = grad.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        assert!(size > 1e-3, "the test point is stationary");
        for j in 0..params.len() {
            let mut at = |x: f64| {
                let mut moved = params.to_vec();
                moved[j] = x;
                f.value(&moved, batch, &mut scratch).unwrap()
            };
            let slope = (at(params[j] + h) - at(params[j] - h)) / (2.0 * h);
            assert!(
                (slope - grad[j]).abs() <= 1e-6 * size,
                "coordinate {j}: {slope} against {}",
                grad[j]
            );
        }
    }

    #[test]
    fn a_range_of_a_selection_is_a_selection_of_the_range() {
        let features = painted::<f32>(30, 1);
        let classes: Vec<u32> = (0..10).collect();
        let all = Batch::classes(&features, 3, &classes).unwrap();
        let list = [7, 7, 0, 9, 4];
        let part = all.select(&list).unwrap().range(1, 3).unwrap();
        let found: Vec<_> = (0..4).map(|i| part.class(i)).collect();
        assert_eq!(found, [Some(7), Some(0), Some(9), None]);
        assert_eq!(part.row(2), all.row(9));
        let middle = all.range(4, 5).unwrap();
        assert_eq!((middle.class(0), middle.row(4)), (Some(4), all.row(8)));
        assert_eq!(middle.len(), 5);
        assert!(all.range(usize::MAX, 2).is_err());
        assert!(part.range(1, 3).is_err());
    }

    #[test]
    fn a_block_holds_the_listed_rows_in_order() {
        let features = painted::<f64>(12, 2);
        let all = Batch::new(&features, 3, Labels::None).unwrap();
        let mut copy = [0.0; 6];
        assert_eq!(all.block(1, 2, &mut copy), &features[3..9]);
        let mini = all.select(&[3, 0, 2]).unwrap();
        let expected = [&features[..3], &features[6..9]].concat();
        assert_eq!(mini.block(1, 2, &mut copy), expected);
    }

    #[test]
    fn misshapen_data_is_named() {
        let x = [0.0_f32; 6];
        let name = |e: Result<Batch<'_, f32>, Error>| match e.unwrap_err() {
            Error::Length { name, .. } | Error::Parameter { name, .. } => name,
            other => panic!("{other}"),
        };
        assert_eq!(name(Batch::new(&x, 0, Labels::None)), "columns");
        assert_eq!(name(Batch::new(&x, 4, Labels::None)), "features");
        assert_eq!(name(Batch::classes(&x, 2, &[0, 1])), "labels");
        assert_eq!(name(Batch::targets(&x, 2, &[0.0; 3], 0)), "width");
        assert_eq!(name(Batch::targets(&x, 2, &[0.0; 3], 2)), "targets");
        assert_eq!(name(Batch::none().select(&[0])), "list");
    }
}
