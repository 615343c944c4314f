//! What the unit tests share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::simd::{self, Level};

static FORCING: Mutex<()> = Mutex::new(());

/// The levels of this machine from `Scalar` up, each forced while the loop body runs on it.
///
/// Tests run on several threads and the forced level is one for all of them: while these levels are alive no other test forces
/// one, and [`crate::simd::level`] is the yielded level. The first is always `Scalar`.
pub(crate) struct Levels {
    rest: core::array::IntoIter<Level, { Level::ALL.len() }>,
    _alone: MutexGuard<'static, ()>,
}

/// [`Levels`], once the tests that force one are done.
pub(crate) fn levels() -> Levels {
    Levels {
        _alone: FORCING.lock().unwrap_or_else(PoisonError::into_inner),
        rest: Level::ALL.into_iter(),
    }
}

impl Iterator for Levels {
    type Item = Level;

    fn next(&mut self) -> Option<Level> {
        self.rest.find(|level| simd::force(Some(*level)))
    }
}

impl Drop for Levels {
    fn drop(&mut self) {
        simd::force(None);
    }
}

#[test]
fn a_level_stays_forced_while_other_tests_force_theirs() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let mut seen = 0;
                    for level in levels() {
                        std::thread::yield_now();
                        assert_eq!(simd::level(), level);
                        seen += 1;
                    }
                    let available = Level::ALL.into_iter().filter(|l| l.is_available());
                    assert_eq!(seen, available.count());
                }
            });
        }
    });
}
