//! The rows of a slice, without a division.
//!
//! A zip of `chunks_exact` that is not inlined divides by the length of a row, and where the compiler cannot see that it is positive it
//! links a panic. These iterators cut rows off one after another; rows of no numbers are none.

use core::mem;

/// Row-major numbers, row by row.
pub(crate) trait InRows<T> {
    /// Whole rows of `d` numbers.
    fn in_rows(&self, d: usize) -> Rows<'_, T>;
    /// Whole rows of `d` numbers, to be written.
    fn in_rows_mut(&mut self, d: usize) -> RowsMut<'_, T>;
}

impl<T> InRows<T> for [T] {
    #[inline]
    fn in_rows(&self, d: usize) -> Rows<'_, T> {
        Rows { rest: self, d }
    }

    #[inline]
    fn in_rows_mut(&mut self, d: usize) -> RowsMut<'_, T> {
        RowsMut { rest: self, d }
    }
}

/// Iterator of [`InRows::in_rows`].
#[derive(Clone)]
pub(crate) struct Rows<'a, T> {
    rest: &'a [T],
    d: usize,
}

impl<'a, T> Iterator for Rows<'a, T> {
    type Item = &'a [T];

    #[inline]
    fn next(&mut self) -> Option<&'a [T]> {
        let (row, rest) = self.rest.split_at_checked(self.d)?;
        self.rest = rest;
        (self.d > 0).then_some(row)
    }
}

/// Iterator of [`InRows::in_rows_mut`].
pub(crate) struct RowsMut<'a, T> {
    rest: &'a mut [T],
    d: usize,
}

impl<'a, T> Iterator for RowsMut<'a, T> {
    type Item = &'a mut [T];

    #[inline]
    fn next(&mut self) -> Option<&'a mut [T]> {
        let (row, rest) = mem::take(&mut self.rest).split_at_mut_checked(self.d)?;
        self.rest = rest;
        (self.d > 0).then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn rows_are_whole_and_in_order() {
        let mut x = [1, 2, 3, 4, 5];
        assert!(x.in_rows(2).eq([[1, 2], [3, 4]]));
        assert_eq!(x.in_rows(0).count() + x.in_rows(6).count(), 0);
        x.in_rows_mut(2).for_each(|row| row.swap(0, 1));
        assert_eq!(x, [2, 1, 4, 3, 5]);
        assert_eq!(x.in_rows_mut(0).collect::<Vec<_>>().len(), 0);
    }
}
