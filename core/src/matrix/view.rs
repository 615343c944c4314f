//! Row-major views with a stride.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use core::ops::Range;

use crate::Error;
use crate::error::check;

mod factor;
mod reading;
mod writing;

pub use factor::Factor;
pub use reading::{MatrixRef, Rows};
pub use writing::{MatrixMut, RowsMut};

/// Elements from the first to the last of a matrix; an error when the count does not fit a `usize`.
fn span(rows: usize, columns: usize, stride: usize) -> Result<usize, Error> {
    check(
        "stride",
        stride >= columns && stride <= isize::MAX as usize,
        "must be at least `columns` and fit the address space",
    )?;
    if rows == 0 || columns == 0 {
        return Ok(0);
    }
    (rows - 1)
        .checked_mul(stride)
        .and_then(|n| n.checked_add(columns))
        .ok_or(Error::Parameter {
            name: "rows",
            rule: "times `stride` must fit the address space",
        })
}

/// Checks that a range lies within `0..length`.
fn check_range(name: &'static str, range: &Range<usize>, length: usize) -> Result<(), Error> {
    check(
        name,
        range.start <= range.end && range.end <= length,
        "must be a range within the matrix",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn constructors_name_what_is_wrong() {
        let data = [0.0_f32; 10];
        assert_eq!(
            MatrixRef::new(&data, 3, 3).unwrap_err(),
            Error::Length {
                name: "data",
                expected: 9,
                found: 10
            }
        );
        assert!(matches!(
            MatrixRef::with_stride(&data, 2, 3, 2).unwrap_err(),
            Error::Parameter { name: "stride", .. }
        ));
        assert_eq!(
            MatrixRef::with_stride(&data, 3, 3, 4).unwrap_err(),
            Error::Length {
                name: "data",
                expected: 11,
                found: 10
            }
        );
        assert!(matches!(
            MatrixRef::new(&data, usize::MAX, 2).unwrap_err(),
            Error::Parameter { name: "rows", .. }
        ));
        assert!(MatrixMut::new(&mut [0.0_f32; 3], usize::MAX, usize::MAX).is_err());
    }

    #[test]
    fn empty_matrices_have_the_stated_number_of_rows() {
        let none: [f32; 0] = [];
        for (r, c) in [(0, 0), (0, 3), (3, 0)] {
            let a = MatrixRef::new(&none, r, c).unwrap();
            assert_eq!(a.row_iter().count(), r);
            assert_eq!(a.row_iter().map(<[f32]>::len).sum::<usize>(), 0);
            let mut none = none;
            assert_eq!(
                MatrixMut::new(&mut none, r, c)
                    .unwrap()
                    .row_iter_mut()
                    .count(),
                r
            );
        }
    }

    #[test]
    fn a_block_of_a_block_addresses_the_elements_of_the_whole() {
        let data: Vec<usize> = (0..7 * 9).collect();
        let a = MatrixRef::with_stride(&data, 7, 8, 9).unwrap();
        let b = a.block(1..6, 2..8).unwrap().block(2..5, 1..4).unwrap();
        for i in 0..3 {
            for j in 0..3 {
                assert_eq!(b.get(i, j), Some((i + 3) * 9 + j + 3));
            }
        }
        assert!(a.block(3..8, 0..1).is_err() && a.block(0..1, 8..9).is_err());
        #[allow(clippy::reversed_empty_ranges, reason = "the error is the point")]
        let reversed = a.block(3..2, 0..1);
        assert!(reversed.is_err());
        assert_eq!(a.block(7..7, 0..8).unwrap().rows(), 0);
        assert_eq!(a.block(0..7, 8..8).unwrap().row_iter().count(), 7);
    }

    #[test]
    fn split_rows_cover_each_row_once() {
        for i in 0..=5 {
            let mut data = [0_u32; 4 * 5];
            let whole = MatrixMut::with_stride(&mut data, 4, 3, 5).unwrap();
            let (mut top, mut bottom) = whole.split_rows_at(i);
            assert_eq!(top.rows() + bottom.rows(), 4);
            for row in top.row_iter_mut().chain(bottom.row_iter_mut()) {
                row.iter_mut().for_each(|x| *x += 1);
            }
            let row = [1, 1, 1, 0, 0];
            assert_eq!(data.as_chunks::<5>().0, [row; 4], "split at {i}");
        }
    }

    #[test]
    fn written_rows_and_elements_are_those_that_are_read() {
        let mut data = [0_u32; 12];
        let mut a = MatrixMut::with_stride(&mut data, 3, 3, 4).unwrap();
        for (i, row) in a.row_iter_mut().enumerate() {
            for (j, x) in row.iter_mut().enumerate() {
                *x = (10 * i + j) as u32;
            }
        }
        *a.get_mut(2, 1).unwrap() += 500;
        a.block_mut(0..1, 1..3).unwrap().fill(7);
        let rows: Vec<&[u32]> = a.view().row_iter().collect();
        assert_eq!(rows, [&[0, 7, 7], &[10, 11, 12], &[20, 521, 22]]);
        assert_eq!(a.view().t().get(1, 2), Some(521));
        assert_eq!(a.view().t().row_range(1..2).unwrap().get(0, 2), Some(521));
    }
}
