//! Views of labelled data: what objectives are evaluated on.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "rows and columns of a slice; the divisor is at least 1"
)]

use crate::error::{check, check_length};
use crate::memory::must;
use crate::{Error, Real};

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

/// Checks that there is a label for each of `len` rows.
fn check_labels<T>(len: usize, labels: Labels<'_, T>) -> Result<(), Error> {
    match labels {
        Labels::None => Ok(()),
        Labels::Classes(classes) => check_length("labels", len, classes.len()),
        Labels::Targets { values, width } => {
            check("width", width > 0, "must be positive")?;
            check_length("targets", len.saturating_mul(width), values.len())
        }
    }
}

impl<'a, T: Real> Batch<'a, T> {
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
        check_labels(len, labels)?;
        Ok(Self {
            features,
            columns,
            labels,
            list: None,
            len,
        })
    }

    /// Labels of `len` rows without their features, for losses of outputs that are at hand.
    pub(crate) fn of_labels(len: usize, labels: Labels<'a, T>) -> Result<Self, Error> {
        check_labels(len, labels)?;
        Ok(Self {
            features: &[],
            columns: 0,
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
    /// use thalweg::model::{Batch, Labels};
    /// assert!(Batch::<f64>::new(&[], 3, Labels::None)?.is_empty());
    /// # Ok::<(), thalweg::Error>(())
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
    /// assert_eq!(Batch::new(&[0.5_f32], 1, Labels::Classes(&[7]))?.labels(), Labels::Classes(&[7]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn labels(&self) -> Labels<'a, T> {
        self.labels
    }

    /// Whether rows come through a list.
    pub(crate) const fn is_selection(&self) -> bool {
        self.list.is_some()
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
            let rows = self.features.get(start.saturating_mul(self.columns)..);
            return must(rows.and_then(|x| x.get(..size)));
        }
        for (i, out) in (start..).zip(copy.chunks_exact_mut(self.columns.max(1)).take(len)) {
            for (out, &x) in out.iter_mut().zip(must(self.row(i))) {
                *out = x;
            }
        }
        must(copy.get(..size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::painted;
    use std::vec::Vec;

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
        assert_eq!(
            name(Batch::new(&[], 1, Labels::None).unwrap().select(&[0])),
            "list"
        );
    }
}
