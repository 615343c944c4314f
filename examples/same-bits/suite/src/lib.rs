//! One program whose hashes are equal on every target.
//!
//! Each case runs a family of kernels on inputs made by integer arithmetic, and folds the bit patterns of
//! everything that comes out into one number. [`EXPECTED`] holds the numbers; `cargo run --bin same_bits -- --print` writes a
//! new table after a deliberate change of an algorithm.
//!
//! A case uses at most about 6 KB of stack, so that the whole suite runs in the 16 KB of a Cortex-M0.
#![no_std]

use core::panic::Location;

use thalweg::Real;

mod cases;
mod expected;

pub use cases::{LARGE, SMALL};
pub use expected::EXPECTED;

/// A case: its name and the computation that feeds the hash.
pub type Case = (&'static str, fn(&mut Hash) -> Outcome);

/// What a case returns: a refused call is a defect, whatever the hash.
pub type Outcome = Result<(), Refused>;

/// The line of a case at which a call was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused(pub u32);

impl<E: core::error::Error> From<E> for Refused {
    #[track_caller]
    fn from(_: E) -> Self {
        Self(Location::caller().line())
    }
}

/// Error for an element that should be there.
pub(crate) const MISSING: Refused = Refused(0);

/// FNV-1a over 64 bits: enough to notice a changed bit, and 4 lines long.
#[derive(Clone, Copy, Debug)]
pub struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    /// Feeds one word.
    pub fn word(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Feeds the bits of numbers; every NaN counts as the same.
    pub fn reals<T: Real>(&mut self, x: &[T]) {
        for x in x {
            self.word(if x.is_nan() {
                u64::MAX
            } else {
                x.to_bits_u64()
            });
        }
    }

    /// Feeds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.word(byte.into()));
    }

    /// Feeds a length.
    pub fn size(&mut self, size: usize) {
        self.word(size as u64);
    }

    /// Feeds the place of an element, if there is one.
    pub fn index(&mut self, index: Option<usize>) {
        self.word(index.map_or(u64::MAX, |index| index as u64));
    }

    /// The number so far.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// Numbers in about [-4, 4] that depend on the index through integers only; some are zero or subnormal.
pub fn paint<T: Real>(out: &mut [T], phase: u32) {
    for (i, x) in (0_u32..).zip(out) {
        let h = (i.wrapping_mul(2_654_435_761) ^ phase.wrapping_mul(40_503))
            .wrapping_mul(2_246_822_519);
        *x = match h >> 28 {
            0 => T::ZERO,
            1 => T::from_bits_u64(u64::from(h & 0xffff)),
            _ => T::from_f64(f64::from((h >> 4) as i32 & 0xff_ffff) * (1.0 / 2_097_152.0) - 4.0),
        };
    }
}

/// What became of a case.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Name of the case.
    pub name: &'static str,
    /// The hash.
    pub found: u64,
    /// The hash of the table.
    pub expected: u64,
    /// Whether no call was refused.
    pub outcome: Outcome,
}

impl Report {
    /// Whether the case ran to its end, with the expected bits.
    pub fn is_same(&self) -> bool {
        self.outcome.is_ok() && self.found == self.expected
    }
}

/// Runs groups of cases in the order of the table; returns whether all agree.
pub fn run(groups: &[&[Case]], mut report: impl FnMut(&Report)) -> bool {
    let mut all = SMALL.len() + LARGE.len() == EXPECTED.len();
    let cases = groups.iter().flat_map(|group| group.iter());
    let expected = EXPECTED.iter().chain(core::iter::repeat(&0));
    for (&(name, case), &expected) in cases.zip(expected) {
        let mut hash = Hash::default();
        let outcome = case(&mut hash);
        let case = Report {
            name,
            found: hash.value(),
            expected,
            outcome,
        };
        report(&case);
        all &= case.is_same();
    }
    all
}
