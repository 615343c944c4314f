//! Parts of memory, cut off the front; a length that is too short is an error where the memory came from a caller.

use super::must;
use crate::Error;
use crate::error::check_scratch;

/// The sum of lengths, which memory cannot have where it overflows.
#[inline]
fn total(lengths: &[usize]) -> usize {
    lengths
        .iter()
        .fold(0_usize, |sum, &n| sum.saturating_add(n))
}

/// Splits `scratch` into pieces of the given lengths and the remainder.
///
/// # Errors
/// [`Error::Length`] when `scratch` is shorter than their sum.
#[inline]
pub(crate) fn cut<T, const K: usize>(
    scratch: &mut [T],
    lengths: [usize; K],
) -> Result<([&mut [T]; K], &mut [T]), Error> {
    check_scratch("scratch", total(&lengths), scratch.len())?;
    let mut rest = scratch;
    let pieces = lengths.map(|n| take(&mut rest, n));
    Ok((pieces, rest))
}

/// [`cut`], to be read.
#[inline]
pub(crate) fn cut_ref<T, const K: usize>(
    memory: &[T],
    lengths: [usize; K],
) -> Result<([&[T]; K], &[T]), Error> {
    check_scratch("memory", total(&lengths), memory.len())?;
    let mut rest = memory;
    let pieces = lengths.map(|n| {
        let (piece, tail) = must(rest.split_at_checked(n));
        rest = tail;
        piece
    });
    Ok((pieces, rest))
}

/// The first `len` elements.
///
/// # Errors
/// [`Error::Length`] when there are fewer.
pub(crate) fn front<'a, T>(
    name: &'static str,
    memory: &'a mut [T],
    len: usize,
) -> Result<&'a mut [T], Error> {
    let found = memory.len();
    memory.get_mut(..len).ok_or(Error::Length {
        name,
        expected: len,
        found,
    })
}

/// [`front`], to be read.
pub(crate) fn front_ref<'a, T>(
    name: &'static str,
    memory: &'a [T],
    len: usize,
) -> Result<&'a [T], Error> {
    memory.get(..len).ok_or(Error::Length {
        name,
        expected: len,
        found: memory.len(),
    })
}

/// Cuts `len` elements off the front of a scratch whose length has been checked.
#[inline(always)]
#[track_caller]
pub(crate) fn take<'a, T>(scratch: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let whole = core::mem::take(scratch);
    let (front, rest) = must(whole.split_at_mut_checked(len));
    *scratch = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_one_after_another() {
        let mut memory = [0, 1, 2, 3, 4];
        let ([a, b, c], rest) = cut(&mut memory, [2, 0, 1]).unwrap();
        assert_eq!(
            (&*a, &*b, &*c, &*rest),
            (&[0, 1][..], &[][..], &[2][..], &[3, 4][..])
        );
        let ([a, b], rest) = cut_ref(&memory, [4, 1]).unwrap();
        assert_eq!((a, b, rest), (&[0, 1, 2, 3][..], &[4][..], &[][..]));
    }

    #[test]
    fn memory_that_is_too_short_is_refused() {
        let short = |name, expected| Error::Length {
            name,
            expected,
            found: 2,
        };
        let mut memory = [0; 2];
        assert_eq!(cut(&mut memory, [1, 2]).unwrap_err(), short("scratch", 3));
        assert_eq!(
            cut(&mut memory, [1, usize::MAX]).unwrap_err(),
            short("scratch", usize::MAX)
        );
        assert_eq!(cut_ref(&memory, [3]).unwrap_err(), short("memory", 3));
        assert_eq!(front("x", &mut memory, 3).unwrap_err(), short("x", 3));
        assert_eq!(front_ref("x", &memory, 3).unwrap_err(), short("x", 3));
        assert_eq!(front_ref("x", &memory, 1).unwrap(), [0]);
    }
}
