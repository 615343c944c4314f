//! Checkpoints that survive a loss of power: two slots of flash, the older of which is written.
//!
//! ```text
//! offset  bytes  a slot (little-endian)
//!      0      4  magic D7 'T' 'W' 'C'
//!      4      4  length of the saved state, n
//!      8      8  sequence number
//!     16      n  the saved state
//!   16+n      4  CRC-32C of all bytes before it
//!
//! save     erase the slot that is not the newest, write it with the next sequence number, read it back
//! restore  of the slots whose check is right, the one with the higher sequence number
//! ```
//!
//! Power may fail between any two words, in the middle of one, or during the erasure. Each leaves the newest slot
//! as it was and the other one with a wrong check, or, when the last word was written, a new newest one. A word that was half
//! programmed and reads differently at each look still loses against the check: a slot counts when it is read as a whole and is right.
//!
//! A marker written after the data, the other common form, costs one more write and guards less: it does not see
//! a word of the data that was lost later.

use core::fmt;

use super::{Snapshot, SnapshotError, copy};
use crate::wire::Crc32c;

const MAGIC: [u8; 4] = *b"\xD7TWC";
const HEADER: usize = 16;
const CHECK: usize = 4;
/// Bytes read at a time where the caller lends no buffer.
const PIECE: usize = 64;

/// Memory that is erased in sectors and written in words: a driver's three operations.
///
/// Names and rules are those of `embedded-storage`'s `NorFlash`: `erase` sets the bytes of `from..to` to ones, `write` goes to erased
/// bytes; both take multiples of their sizes. `read` takes any range.
pub trait Flash {
    /// What the driver says when it fails.
    type Error;
    /// Bytes of the smallest write, 1 to 64.
    const WRITE_SIZE: usize;
    /// Bytes of the smallest erasure.
    const ERASE_SIZE: usize;

    /// Bytes in all.
    fn capacity(&self) -> usize;
    /// Reads from `offset` on.
    ///
    /// # Errors
    /// Those of the driver.
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error>;
    /// Sets the bytes of `from..to` to ones.
    ///
    /// # Errors
    /// Those of the driver.
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error>;
    /// Writes erased bytes from `offset` on.
    ///
    /// # Errors
    /// Those of the driver.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Why a checkpoint cannot be written or read. The newest good one is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotsError<E> {
    /// The driver failed.
    Flash(E),
    /// Less than two sectors, a word of zero or of more than 64 bytes, or more than 4 GiB.
    Geometry,
    /// The state does not fit half of the flash.
    Slot {
        /// Bytes needed.
        needed: usize,
        /// Bytes of a slot.
        found: usize,
    },
    /// The buffer is too short.
    Buffer {
        /// Bytes needed.
        needed: usize,
        /// Bytes of the buffer.
        found: usize,
    },
    /// The state refused.
    Snapshot(SnapshotError),
    /// What was written reads differently.
    Verify,
}

impl<E: fmt::Debug> fmt::Display for SlotsError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the flash failed: {error:?}"),
            Self::Geometry => f.write_str("the flash cannot hold two slots"),
            Self::Slot { needed, found } => {
                write!(f, "the checkpoint needs {needed} bytes, a slot has {found}")
            }
            Self::Buffer { needed, found } => {
                write!(f, "`buffer` has {found} bytes, {needed} are needed")
            }
            Self::Snapshot(error) => error.fmt(f),
            Self::Verify => f.write_str("the checkpoint reads differently from what was written"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for SlotsError<E> {}

impl<E> From<SnapshotError> for SlotsError<E> {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

/// A checkpoint whose check is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Good {
    second: bool,
    sequence: u64,
    len: usize,
}

/// Two slots on a flash.
///
/// ```
/// use thalweg::optim::{Optimiser, State, sgd};
/// use thalweg::snapshot::{Flash, Slots, Snapshot};
///
/// /// Eight sectors of 64 bytes in RAM.
/// struct Ram([u8; 512]);
/// impl Flash for Ram {
///     type Error = ();
///     const WRITE_SIZE: usize = 4;
///     const ERASE_SIZE: usize = 64;
///     fn capacity(&self) -> usize { 512 }
///     fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), ()> {
///         bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
///         Ok(())
///     }
///     fn erase(&mut self, from: u32, to: u32) -> Result<(), ()> {
///         self.0[from as usize..to as usize].fill(0xFF);
///         Ok(())
///     }
///     fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), ()> {
///         self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
///         Ok(())
///     }
/// }
///
/// let config = sgd::Config { momentum: 0.9, ..sgd::Config::new(0.1) };
/// let mut state = State::new([0.0_f32; 2]);
/// let mut x = [1.0, 2.0];
/// config.step(&mut state, &mut x, &[0.5, 0.5])?;
///
/// let mut buffer = [0; 256];
/// let mut slots = Slots::open(Ram([0xFF; 512]), &mut buffer).unwrap();
/// assert_eq!(slots.sequence(), None);
/// assert_eq!(slots.save(&state, &mut buffer).unwrap(), 1);
///
/// // After a restart.
/// let mut slots = Slots::open(slots.release(), &mut buffer).unwrap();
/// let mut again = State::<sgd::Config, _>::new([0.0_f32; 2]);
/// assert_eq!(slots.restore(&mut again, &mut buffer).unwrap(), Some(1));
/// let (mut a, mut b) = ([0; 128], [0; 128]);
/// assert_eq!(state.save(&mut a), again.save(&mut b));
/// assert_eq!(a, b);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Slots<F> {
    flash: F,
    /// Bytes of a slot, a multiple of the sector.
    size: usize,
    newest: Option<Good>,
}

impl<F: Flash> Slots<F> {
    /// Looks for the newest good checkpoint. `buffer` may have any length; a longer one makes the look quicker.
    ///
    /// # Errors
    /// [`SlotsError::Geometry`], [`SlotsError::Flash`].
    pub fn open(flash: F, buffer: &mut [u8]) -> Result<Self, SlotsError<F::Error>> {
        let words = (1..=PIECE).contains(&F::WRITE_SIZE);
        let capacity = flash.capacity();
        if !words || u32::try_from(capacity).is_err() {
            return Err(SlotsError::Geometry);
        }
        let sectors = (capacity / 2).checked_div(F::ERASE_SIZE).unwrap_or(0);
        let size = sectors.saturating_mul(F::ERASE_SIZE);
        let whole = F::ERASE_SIZE.checked_rem(F::WRITE_SIZE) == Some(0);
        if size < HEADER + CHECK || !whole {
            return Err(SlotsError::Geometry);
        }
        let mut slots = Self {
            flash,
            size,
            newest: None,
        };
        let mut own = [0; PIECE];
        let buffer = if buffer.is_empty() { &mut own } else { buffer };
        let (first, second) = (slots.inspect(false, buffer)?, slots.inspect(true, buffer)?);
        slots.newest = match (first, second) {
            (Some(a), Some(b)) => Some(if b.sequence > a.sequence { b } else { a }),
            (one, other) => one.or(other),
        };
        Ok(slots)
    }

    /// Bytes of the buffer that a state needs: header, state, check, padding to a word.
    ///
    /// ```
    /// use thalweg::snapshot::{Flash, Slots};
    /// # struct Ram;
    /// # impl Flash for Ram {
    /// #     type Error = ();
    /// #     const WRITE_SIZE: usize = 8;
    /// #     const ERASE_SIZE: usize = 64;
    /// #     fn capacity(&self) -> usize { 512 }
    /// #     fn read(&mut self, _: u32, _: &mut [u8]) -> Result<(), ()> { Ok(()) }
    /// #     fn erase(&mut self, _: u32, _: u32) -> Result<(), ()> { Ok(()) }
    /// #     fn write(&mut self, _: u32, _: &[u8]) -> Result<(), ()> { Ok(()) }
    /// # }
    /// // Ram writes words of 8 bytes: 16 + 60 + 4, a multiple already.
    /// assert_eq!([60, 61].map(Slots::<Ram>::buffer_len), [80, 88]);
    /// ```
    #[must_use]
    pub const fn buffer_len(snapshot_len: usize) -> usize {
        let bytes = snapshot_len.saturating_add(HEADER + CHECK);
        // A word of no bytes is refused by `open`.
        match bytes.checked_next_multiple_of(F::WRITE_SIZE) {
            Some(len) => len,
            None => bytes,
        }
    }

    /// The sequence number of the newest checkpoint.
    pub const fn sequence(&self) -> Option<u64> {
        match self.newest {
            Some(good) => Some(good.sequence),
            None => None,
        }
    }

    /// Gives the flash back.
    pub fn release(self) -> F {
        self.flash
    }

    /// Writes a checkpoint over the older one; returns its sequence number.
    ///
    /// `buffer` holds the image of the slot: [`buffer_len`](Self::buffer_len) of the state.
    ///
    /// # Errors
    /// A [`SlotsError`]; the newest checkpoint is as before.
    pub fn save(
        &mut self,
        state: &impl Snapshot,
        buffer: &mut [u8],
    ) -> Result<u64, SlotsError<F::Error>> {
        let n = state.snapshot_len();
        let (needed, found) = (Self::buffer_len(n), buffer.len());
        let space = SlotsError::Buffer { needed, found };
        if needed > self.size {
            return Err(SlotsError::Slot {
                needed,
                found: self.size,
            });
        }
        let Some(image) = buffer.get_mut(..needed) else {
            return Err(space);
        };
        let sequence = self.sequence().unwrap_or(0).saturating_add(1);
        let Some((head, rest)) = image.split_first_chunk_mut::<HEADER>() else {
            return Err(space);
        };
        copy(head, &header(n, sequence));
        let Some((body, rest)) = rest.split_at_mut_checked(n) else {
            return Err(space);
        };
        state.save(body)?;
        let mut crc = Crc32c::new();
        crc.update(head);
        crc.update(body);
        // Padding keeps the bits of erased flash.
        rest.fill(0xFF);
        copy(rest, &crc.value().to_le_bytes());

        let second = self.newest.is_some_and(|good| !good.second);
        let from = self.offset(second);
        let flash = &mut self.flash;
        flash
            .erase(from, from.saturating_add(self.size as u32))
            .map_err(SlotsError::Flash)?;
        flash.write(from, image).map_err(SlotsError::Flash)?;
        let good = Good {
            second,
            sequence,
            len: n,
        };
        if self.inspect(second, image)? != Some(good) {
            return Err(SlotsError::Verify);
        }
        self.newest = Some(good);
        Ok(sequence)
    }

    /// Takes over the newest checkpoint; returns its sequence number, `None` when there is none.
    ///
    /// # Errors
    /// [`SlotsError::Buffer`], [`SlotsError::Flash`], and [`SlotsError::Snapshot`] when the checkpoint is one of another
    /// state. The state is unchanged.
    pub fn restore(
        &mut self,
        state: &mut impl Snapshot,
        buffer: &mut [u8],
    ) -> Result<Option<u64>, SlotsError<F::Error>> {
        let Some(good) = self.newest else {
            return Ok(None);
        };
        let found = buffer.len();
        let Some(bytes) = buffer.get_mut(..good.len) else {
            return Err(SlotsError::Buffer {
                needed: good.len,
                found,
            });
        };
        let from = self.offset(good.second).saturating_add(HEADER as u32);
        self.flash.read(from, bytes).map_err(SlotsError::Flash)?;
        state.restore(bytes)?;
        Ok(Some(good.sequence))
    }

    /// The checkpoint in a slot, read as a whole, if its check is right.
    fn inspect(
        &mut self,
        second: bool,
        buffer: &mut [u8],
    ) -> Result<Option<Good>, SlotsError<F::Error>> {
        let from = self.offset(second);
        let mut head = [0; HEADER];
        self.flash
            .read(from, &mut head)
            .map_err(SlotsError::Flash)?;
        let [m0, m1, m2, m3, l0, l1, l2, l3, sequence @ ..] = head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if [m0, m1, m2, m3] != MAGIC || len > self.size.saturating_sub(HEADER + CHECK) {
            return Ok(None);
        }
        let mut crc = Crc32c::new();
        crc.update(&head);
        let mut at = from.saturating_add(HEADER as u32);
        let mut left = len;
        while left > 0 {
            let most = left.min(buffer.len());
            let Some(piece) = buffer.get_mut(..most).filter(|piece| !piece.is_empty()) else {
                return Ok(None);
            };
            self.flash.read(at, piece).map_err(SlotsError::Flash)?;
            crc.update(piece);
            at = at.saturating_add(most as u32);
            left = left.saturating_sub(most);
        }
        let mut check = [0; CHECK];
        self.flash.read(at, &mut check).map_err(SlotsError::Flash)?;
        let good = Good {
            second,
            sequence: u64::from_le_bytes(sequence),
            len,
        };
        Ok((crc.value() == u32::from_le_bytes(check)).then_some(good))
    }

    const fn offset(&self, second: bool) -> u32 {
        // Twice the size is within the capacity, which fits 32 bits.
        if second { self.size as u32 } else { 0 }
    }
}

#[allow(clippy::disallowed_methods, reason = "a header has 16 bytes")]
fn header(len: usize, sequence: u64) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    let (magic, rest) = head.split_at_mut(4);
    let (length, number) = rest.split_at_mut(4);
    copy(magic, &MAGIC);
    copy(length, &(len as u32).to_le_bytes());
    copy(number, &sequence.to_le_bytes());
    head
}
