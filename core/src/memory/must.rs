//! What cannot be missing, without a panic in the release image.
//!
//! An index within its bound, a slice of a length that was checked: the types say `Option`, the lines above say that it is there.
//! Builds with debug assertions (the tests) stop where it is not, which is a defect of this crate; release builds, whose image has no
//! panic, go on with a neutral value.

/// A value that is there; where it is not, the default of its type: zero, or an empty slice.
#[inline(always)]
#[track_caller]
pub(crate) fn must<T: Default>(value: Option<T>) -> T {
    debug_assert!(value.is_some(), "a value that must exist is missing");
    value.unwrap_or_default()
}

/// A value that is there; where it is not, another one that does no harm, as NaN in a sum.
#[inline(always)]
#[track_caller]
pub(crate) fn must_or<T>(value: Option<T>, neutral: T) -> T {
    debug_assert!(value.is_some(), "a value that must exist is missing");
    value.unwrap_or(neutral)
}

/// Stands before the way out of a branch that is never taken.
#[inline(always)]
#[track_caller]
pub(crate) fn unreached() {
    debug_assert!(false, "a branch that is never taken");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_returned() {
        assert_eq!(must([1, 2].get(1..)), [2]);
        assert_eq!(must_or(Some(1.0), f64::NAN), 1.0);
    }

    #[test]
    #[should_panic(expected = "must exist")]
    #[cfg(debug_assertions)]
    fn a_missing_value_stops_a_test() {
        let _: &[u8] = must([1, 2].get(3..));
    }

    #[test]
    #[should_panic(expected = "never taken")]
    #[cfg(debug_assertions)]
    fn a_branch_that_is_never_taken_stops_a_test() {
        unreached();
    }
}
