//! Frames out of a stream of bytes: a serial line, a socket, anything that may lose, repeat or invent bytes.
//!
//! ```text
//! search   drop bytes until four of them are the magic
//! header   48 bytes: its check is right, the length fits the buffer   else drop one byte, search
//! frame    so many bytes: the check is right                          else drop one byte, search
//! lend     the frame; it is dropped at the next call
//! ```
//!
//! # Why no COBS
//! A frame states its own length behind a separate check, so it needs no envelope: what lies in memory is what
//! travels, a sender streams it without a second buffer, and not one byte is added. COBS would add a byte in 254 and a pass over the
//! data on both ends, and buys one thing, a byte that never occurs inside a frame. The magic may occur there; but to be taken for a
//! frame it must be followed by 40 bytes that fit its header check, once in 2^32 magics, and then the check of the frame fails and
//! the search goes on one byte further. Nothing that arrived is lost to a false start, since the bytes are still in the buffer.
//!
//! The price: when bytes of a frame are lost, the next frame is read as its end, and is found only once the announced length is
//! there. A receiver that knows the time calls [`Deframer::expire`] when the line has been silent, and the search goes on
//! at once.
//!
//! # Cost
//! Each byte is stored once and checked once, and moved once more when it stands at the end of the buffer. Damage costs one check
//! of the buffer for each header with a right check that starts no right frame; a forger can place one every 48 bytes, so a buffer
//! of `B` bytes costs at most `B^2 / 48` bytes of checking.

use super::decode::frame_crc;
use super::{DecodeError, HEADER, MAGIC, OVERHEAD, frame_len};
use crate::error::check;
use crate::memory::must;
use crate::{Error, Storage};

/// Collects bytes in the caller's buffer and lends the frames among them.
///
/// The buffer's length is the longest frame that is accepted; a header that announces more is refused before its bytes come. No
/// frame is shorter than [`OVERHEAD`] bytes: a shorter buffer refuses each at its first bytes, as
/// [`DecodeError::TooLong`].
///
/// ```
/// use thalweg::wire::*;
/// let mut stop = [0; 52];
/// encode_into(&Header::new(Kind::Stop, Dtype::None, 9, 0), &Body::<f32>::Empty, &mut stop)?;
/// let mut line = b"noise".to_vec();
/// line.extend(stop);
///
/// let mut deframer = Deframer::new([0; 64]);
/// let mut frames = 0;
/// for byte in line {
///     deframer.space()[0] = byte;
///     deframer.filled(1);
///     while let Some(frame) = deframer.next() {
///         assert_eq!(frame?, stop);
///         frames += 1;
///     }
/// }
/// assert_eq!((frames, deframer.skipped()), (1, 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deframer<B> {
    buffer: B,
    at: Position,
}

/// Where the search of a [`Deframer`] stands in its buffer; all zero at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes before it are done with.
    pub start: usize,
    /// Bytes before it have arrived.
    pub end: usize,
    /// Length of the frame that was lent last; it begins at `start`.
    pub lent: usize,
    /// Bytes that belonged to no frame.
    pub skipped: u64,
}

/// What the bytes at `start` are.
enum Found {
    Frame(usize),
    Refused(DecodeError),
    Partial,
}

impl<B: Storage<Elem = u8>> Deframer<B> {
    /// An empty one.
    ///
    /// ```
    /// let deframer = thalweg::wire::Deframer::new([0; 64]);
    /// assert_eq!(deframer.pending(), 0);
    /// ```
    #[must_use]
    pub const fn new(buffer: B) -> Self {
        let at = Position {
            start: 0,
            end: 0,
            lent: 0,
            skipped: 0,
        };
        Self { buffer, at }
    }

    /// Goes on with a buffer whose search stands at `at`: the two are kept apart where a language without generics owns them.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `at` lies outside the buffer.
    ///
    /// ```
    /// use thalweg::wire::{Deframer, Position};
    /// let (mut buffer, mut at) = ([0; 64], Position::default());
    /// for byte in *b"noise" {
    ///     let mut deframer = Deframer::resume(&mut buffer[..], at)?;
    ///     deframer.space()[0] = byte;
    ///     deframer.filled(1);
    ///     assert!(deframer.next().is_none());
    ///     at = deframer.position();
    /// }
    /// assert_eq!(at.skipped, 5);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn resume(buffer: B, at: Position) -> Result<Self, Error> {
        let left = at.end.checked_sub(at.start);
        let inside = at.end <= buffer.as_slice().len() && left.is_some_and(|left| at.lent <= left);
        check("at", inside, "must be zero, or that of this buffer")?;
        Ok(Self { buffer, at })
    }

    /// Where the search stands.
    ///
    /// ```
    /// let mut deframer = thalweg::wire::Deframer::new([0; 64]);
    /// deframer.filled(3);
    /// assert_eq!(deframer.position().end, 3);
    /// ```
    #[must_use]
    pub const fn position(&self) -> Position {
        self.at
    }

    /// Room for the bytes that come next; not empty once [`next`](Self::next) has returned `None`, if the buffer has a length at all.
    ///
    /// ```
    /// let mut deframer = thalweg::wire::Deframer::new([0; 64]);
    /// assert_eq!(deframer.space().len(), 64);
    /// ```
    pub fn space(&mut self) -> &mut [u8] {
        self.release();
        let buffer = self.buffer.as_mut_slice();
        if self.at.start == self.at.end || self.at.end >= buffer.len() {
            let len = self.at.end.saturating_sub(self.at.start);
            // A byte at a time: the ranges overlap, and `copy_within` may panic.
            for to in 0..len {
                let byte = buffer.get(self.at.start.saturating_add(to)).copied();
                if let (Some(place), Some(byte)) = (buffer.get_mut(to), byte) {
                    *place = byte;
                }
            }
            (self.at.start, self.at.end) = (0, len);
        }
        must(buffer.get_mut(self.at.end..))
    }

    /// States how many bytes have been written to the front of [`space`](Self::space).
    ///
    /// ```
    /// let mut deframer = thalweg::wire::Deframer::new([0; 64]);
    /// deframer.space()[..2].copy_from_slice(b"\xD7T");
    /// deframer.filled(2);
    /// assert_eq!(deframer.pending(), 2);
    /// ```
    pub fn filled(&mut self, count: usize) {
        let most = self.buffer.as_slice().len();
        self.at.end = self.at.end.saturating_add(count).min(most);
    }

    /// The next frame, whole and with the right checks; `None` when more bytes are needed.
    ///
    /// The content is for [`decode`](super::decode) to judge. Bytes between frames are dropped and counted in
    /// [`skipped`](Self::skipped).
    ///
    /// # Errors
    /// A [`DecodeError`] when a frame has begun and is damaged, too long for the buffer, or of another version: a reason to ask for it
    /// again. The search goes on behind its first byte.
    ///
    /// ```
    /// use thalweg::wire::*;
    /// let mut deframer = Deframer::new([0; 128]);
    /// let mut frame = [0; 60];
    /// encode_into(&Header::new(Kind::Dense, Dtype::F32, 2, 2), &Body::Values(&[1.0_f32, 2.0]), &mut frame)?;
    /// frame[50] ^= 1;
    /// deframer.space()[..60].copy_from_slice(&frame);
    /// deframer.filled(60);
    /// assert!(matches!(deframer.next(), Some(Err(DecodeError::Crc { part: "frame", .. }))));
    /// assert!(deframer.next().is_none());
    /// # Ok::<(), EncodeError>(())
    /// ```
    #[allow(
        clippy::should_implement_trait,
        reason = "the frame borrows from the deframer, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> Option<Result<&[u8], DecodeError>> {
        self.release();
        match self.search() {
            Found::Partial => None,
            Found::Refused(error) => {
                self.skip(1);
                Some(Err(error))
            }
            Found::Frame(len) => {
                self.at.lent = len;
                let end = self.at.start.saturating_add(len);
                self.buffer.as_slice().get(self.at.start..end).map(Ok)
            }
        }
    }

    /// Gives up on a frame that has begun and whose rest does not come; returns whether there was one.
    ///
    /// Call it when the line has been silent for longer than a frame takes, then [`next`](Self::next) until `None`: a whole
    /// frame may stand behind the false start.
    ///
    /// ```
    /// let mut deframer = thalweg::wire::Deframer::new([0; 64]);
    /// deframer.space()[..2].copy_from_slice(b"\xD7T");
    /// deframer.filled(2);
    /// assert!(deframer.next().is_none() && deframer.expire());
    /// assert!(deframer.next().is_none() && !deframer.expire());
    /// assert_eq!(deframer.skipped(), 2);
    /// ```
    pub fn expire(&mut self) -> bool {
        self.release();
        let partial = self.at.start < self.at.end;
        if partial {
            self.skip(1);
        }
        partial
    }

    /// Bytes that have arrived and not left in a frame.
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Deframer::new([0; 64]).pending(), 0);
    /// ```
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.at
            .end
            .saturating_sub(self.at.start.saturating_add(self.at.lent))
    }

    /// Bytes dropped since the start because they belonged to no frame.
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Deframer::new([0; 64]).skipped(), 0);
    /// ```
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.at.skipped
    }

    /// Forgets what has arrived, for a line that starts anew.
    ///
    /// ```
    /// let mut deframer = thalweg::wire::Deframer::new([0; 64]);
    /// deframer.filled(3);
    /// deframer.clear();
    /// assert_eq!(deframer.pending(), 0);
    /// ```
    pub const fn clear(&mut self) {
        (self.at.start, self.at.end, self.at.lent) = (0, 0, 0);
    }

    fn release(&mut self) {
        self.at.start = self.at.start.saturating_add(self.at.lent).min(self.at.end);
        self.at.lent = 0;
    }

    fn skip(&mut self, count: usize) {
        self.at.start = self.at.start.saturating_add(count).min(self.at.end);
        self.at.skipped = self.at.skipped.saturating_add(count as u64);
    }

    fn search(&mut self) -> Found {
        loop {
            let buffer = self.buffer.as_slice();
            let arrived = must(buffer.get(self.at.start..self.at.end));
            let noise = noise(arrived);
            if noise > 0 {
                self.skip(noise);
                continue;
            }
            if !arrived.is_empty() && buffer.len() < OVERHEAD {
                return Found::Refused(DecodeError::TooLong {
                    cap: buffer.len(),
                    found: OVERHEAD as u64,
                });
            }
            let Some((head, rest)) = arrived.split_first_chunk::<HEADER>() else {
                return Found::Partial;
            };
            match frame_len(head, buffer.len()) {
                Ok(len) => {
                    let Some(rest) = rest.get(..len.saturating_sub(HEADER)) else {
                        return Found::Partial;
                    };
                    let Some((body, crc)) = rest.split_last_chunk::<4>() else {
                        return Found::Partial;
                    };
                    let (computed, found) = (frame_crc(head, body), u32::from_le_bytes(*crc));
                    if computed == found {
                        return Found::Frame(len);
                    }
                    return Found::Refused(DecodeError::Crc {
                        part: "frame",
                        computed,
                        found,
                    });
                }
                Err(error) => return Found::Refused(error),
            }
        }
    }
}

/// Bytes before the first place where a magic stands or may be about to.
fn noise(bytes: &[u8]) -> usize {
    let starts = |at: &usize| {
        let rest = must(bytes.get(*at..));
        rest.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic)
    };
    (0..bytes.len()).find(starts).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use rand_core::Rng;

    use super::super::{Body, Dtype, Header, Kind, encode_into};
    use super::*;
    use crate::random::{self, Purpose};

    /// A frame of `n` painted values.
    fn frame(round: u64, n: u32) -> Vec<u8> {
        let values: Vec<f32> = (0..n).map(|i| (i as f32) - 0.5 * round as f32).collect();
        let header = Header {
            round,
            ..Header::new(Kind::Dense, Dtype::F32, n, n)
        };
        let mut out = std::vec![0; header.frame_len()];
        encode_into(&header, &Body::Values(&values), &mut out).unwrap();
        out
    }

    /// Every frame found when `line` arrives in pieces of at most `piece` bytes, and the number of refusals.
    fn read(line: &[u8], piece: usize, buffer: usize) -> (Vec<Vec<u8>>, usize) {
        let mut memory = std::vec![0; buffer];
        let mut deframer = Deframer::new(&mut memory[..]);
        let (mut frames, mut refused) = (Vec::new(), 0);
        let mut rest = line;
        while !rest.is_empty() {
            let space = deframer.space();
            let n = piece.min(space.len()).min(rest.len());
            assert!(n > 0, "no room though every frame was taken");
            space[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            deframer.filled(n);
            while let Some(found) = deframer.next() {
                match found {
                    Ok(frame) => frames.push(frame.to_vec()),
                    Err(_) => refused += 1,
                }
            }
        }
        while deframer.expire() {
            while let Some(found) = deframer.next() {
                match found {
                    Ok(frame) => frames.push(frame.to_vec()),
                    Err(_) => refused += 1,
                }
            }
        }
        (frames, refused)
    }

    #[test]
    fn frames_come_out_however_the_bytes_are_cut() {
        let sent: Vec<Vec<u8>> = (0..5).map(|r| frame(r, 3 + 7 * r as u32)).collect();
        let line = sent.concat();
        let longest = sent[4].len();
        for piece in [1, 2, 47, 48, 49, 100, 1000] {
            for buffer in [longest, longest + 1, 4 * longest] {
                assert_eq!(read(&line, piece, buffer), (sent.clone(), 0));
            }
        }
    }

    #[test]
    fn garbage_before_between_and_after_costs_no_frame() {
        let mut rng = random::stream(5, 0, 0, Purpose::DATA);
        for _ in 0..200 {
            let sent: Vec<Vec<u8>> = (0..4).map(|r| frame(r, 9)).collect();
            let mut line = Vec::new();
            for frame in &sent {
                let n = rng.next_u32() % 90;
                // Half of the bytes are letters of the magic.
                line.extend((0..n).map(|_| match rng.next_u32() % 8 {
                    i @ 0..4 => MAGIC[i as usize],
                    _ => rng.next_u32() as u8,
                }));
                line.extend(frame);
            }
            line.extend(&MAGIC[..3]);
            assert_eq!(read(&line, 31, 200).0, sent);
        }
    }

    #[test]
    fn a_false_magic_before_a_frame_does_not_hide_it() {
        let whole = frame(1, 9);
        for n in 1..4 {
            let line = [&MAGIC[..n], &whole].concat();
            assert_eq!(read(&line, 1, 200).0, core::slice::from_ref(&whole));
        }
        // A whole header whose frame never comes: the frame behind it is read as its end, and then found.
        let line = [&frame(0, 9)[..HEADER], &whole].concat();
        assert_eq!(read(&line, 7, 200), (std::vec![whole], 1));
    }

    #[test]
    fn any_one_byte_changed_lost_or_doubled_costs_one_frame_only() {
        let sent: Vec<Vec<u8>> = (0..3).map(|r| frame(r, 4)).collect();
        let (line, len) = (sent.concat(), sent[0].len());
        let others = [sent[0].clone(), sent[2].clone()];
        for at in len..2 * len {
            let mut changed = line.clone();
            changed[at] ^= 0x40;
            assert_eq!(read(&changed, 13, 300).0, others, "changed {at}");
            let mut lost = line.clone();
            lost.remove(at);
            assert_eq!(read(&lost, 13, 300).0, others, "lost {at}");
            let mut doubled = line.clone();
            doubled.insert(at, line[at] ^ 1);
            let found = read(&doubled, 13, 300).0;
            // A byte put before the first one is garbage between frames.
            let expected = if at == len { &sent[..] } else { &others };
            assert_eq!(found, expected, "doubled {at}");
        }
    }

    #[test]
    fn a_buffer_too_short_for_any_frame_refuses_each_and_never_fills_up() {
        let line = [&b"noise"[..], &frame(0, 2), &MAGIC, &frame(1, 0)].concat();
        for len in 1..OVERHEAD {
            for piece in [1, 3, 1000] {
                // Asserts that there is room after each `None`.
                let (frames, refused) = read(&line, piece, len);
                assert!(frames.is_empty() && refused >= 3, "{len}: {refused}");
            }
            let mut memory = std::vec![0; len];
            let mut deframer = Deframer::new(&mut memory[..]);
            deframer.space()[0] = MAGIC[0];
            deframer.filled(1);
            let cap = len;
            let error = DecodeError::TooLong { cap, found: 52 };
            assert_eq!(deframer.next(), Some(Err(error)));
            assert_eq!((deframer.pending(), deframer.skipped()), (0, 1));
        }
        assert_eq!(read(&line, 1000, OVERHEAD).0, [frame(1, 0)]);
    }

    #[test]
    fn bytes_are_counted_and_forgotten() {
        let whole = frame(0, 1);
        let mut deframer = Deframer::new([0; 64]);
        let fill = |deframer: &mut Deframer<[u8; 64]>, bytes: &[u8]| {
            deframer.space()[..bytes.len()].copy_from_slice(bytes);
            deframer.filled(bytes.len());
        };
        fill(&mut deframer, b"no");
        fill(&mut deframer, &whole);
        assert_eq!((deframer.pending(), deframer.skipped()), (58, 0));
        assert_eq!(deframer.next(), Some(Ok(&whole[..])));
        assert_eq!((deframer.pending(), deframer.skipped()), (0, 2));
        // Lent and done with: the whole buffer is free.
        assert!(deframer.next().is_none() && !deframer.expire());
        assert_eq!(deframer.space().len(), 64);
        // A frame that has begun and does not go on.
        fill(&mut deframer, &whole[..50]);
        assert!(deframer.next().is_none() && deframer.expire());
        assert_eq!((deframer.pending(), deframer.skipped()), (49, 3));
        assert!(deframer.next().is_none() && !deframer.expire());
        assert_eq!((deframer.pending(), deframer.skipped()), (0, 52));
        fill(&mut deframer, &whole[..9]);
        deframer.clear();
        assert_eq!((deframer.pending(), deframer.skipped()), (0, 52));
        fill(&mut deframer, &whole);
        assert_eq!(deframer.next(), Some(Ok(&whole[..])));
    }

    #[test]
    fn a_frame_longer_than_the_buffer_is_refused_at_its_header() {
        let long = frame(0, 40);
        let mut deframer = Deframer::new([0; 100]);
        deframer.space()[..HEADER].copy_from_slice(&long[..HEADER]);
        deframer.filled(HEADER);
        let error = DecodeError::TooLong {
            cap: 100,
            found: 212,
        };
        assert_eq!(deframer.next(), Some(Err(error)));
        assert_eq!(
            read(&[long, frame(1, 2)].concat(), 50, 100).0,
            [frame(1, 2)]
        );
    }
}
