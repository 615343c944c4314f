//! What the frames of a run must have, and the checks of the machines.

use crate::compress::dithering::MAX_LEVELS;
use crate::compress::{Buffers, Compressor, Key};
use crate::error::check;
use crate::real::kernels;
use crate::simd::{self, Lanes, Sum};
use crate::wire::message::longest;
use crate::wire::{self, DecodeError, Dtype, EncodeError, Expect, Frame, Kind};
use crate::{Error, Real, vector};

use super::{ProtocolError, Run};

/// Bytes of the largest frame of a protocol on `d` numbers: a buffer of this length holds any reply and any
/// broadcast.
///
/// ```
/// // A sparse frame of all d coordinates is the largest: 52 bytes, 3 indices of 2 bits, 3 floats.
/// assert_eq!(thalweg::federated::frame_len::<f32>(3), 52 + 1 + 12);
/// // Below three coordinates it is a dithered one: a norm, and 22 bits a level.
/// assert_eq!(thalweg::federated::frame_len::<f32>(1), 52 + 4 + 3);
/// ```
#[must_use]
pub const fn frame_len<T: Real>(d: u32) -> usize {
    let dtype = Dtype::of::<T>();
    let sparse = wire::encoded_len(Kind::Sparse, dtype, d, d);
    let dithered = wire::encoded_len(Kind::Dithered, dtype, d, MAX_LEVELS);
    if sparse < dithered { dithered } else { sparse }
}

/// Reads a frame of a run on models of `d` parameters, which fills `bytes` exactly: the only reading of it.
///
/// What the frame is about is checked by those who take it. The bytes are in memory, so that the length needs no other cap than
/// that of the largest frame: of this minor version, or of a later one with a tail behind it.
///
/// # Errors
/// A [`DecodeError`] for damaged bytes.
///
/// ```
/// use thalweg::federated::decode;
/// use thalweg::wire::{Body, Dtype, Header, Kind, encode_into};
/// let mut bytes = [0; 60];
/// encode_into(&Header::new(Kind::Model, Dtype::F32, 2, 2), &Body::Values(&[1.0_f32, 2.0]), &mut bytes)?;
/// assert_eq!(decode::<f32>(&bytes, 2)?.header.kind, Kind::Model);
/// assert!(decode::<f32>(&bytes[..59], 2).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode<T: Real>(bytes: &[u8], d: usize) -> Result<Frame<'_>, DecodeError> {
    let expect = Expect {
        cap: cap::<T>(u32::try_from(d).unwrap_or(u32::MAX)),
        ..Expect::default()
    };
    wire::decode(bytes, &expect)
}

fn cap<T: Real>(d: u32) -> usize {
    let longest = frame_len::<T>(d).saturating_add(usize::from(u16::MAX));
    longest.max(wire::CAP)
}

/// What every frame of a run must have.
pub(super) fn expect(run: Run, d: u32) -> Expect {
    Expect {
        seed: Some(run.seed),
        d: Some(d),
        ..Expect::default()
    }
}

/// Checks that a client is the one whose turn it is.
pub(super) fn check_turn(run: Run, turn: u32, found: u32) -> Result<(), ProtocolError> {
    if turn < run.clients && found == turn {
        return Ok(());
    }
    let expected = turn;
    Err(ProtocolError::OutOfTurn { expected, found })
}

/// The error at the end of the rounds.
pub(super) const LAST_ROUND: Error = Error::Parameter {
    name: "round",
    rule: "must be below 2^64 - 1",
};

/// Checks that every client has had its turn; returns the round that follows.
pub(super) fn close(run: Run, round: u64, turn: u32) -> Result<u64, ProtocolError> {
    if turn < run.clients {
        return Err(ProtocolError::Incomplete { missing: turn });
    }
    let rule = "must be as many as had their turn in the round";
    check("clients", turn == run.clients, rule)?;
    Ok(round.checked_add(1).ok_or(LAST_ROUND)?)
}

/// Checks that a message can be drawn, and that it and its frame have room, whatever their length turns out to be.
pub(super) fn check_room<T: Real>(
    compressor: &dyn Compressor<T>,
    key: Key,
    d: usize,
    buffers: &Buffers<'_, T>,
    out: &[u8],
) -> Result<(), ProtocolError> {
    compressor.check_key(key)?;
    compressor.lengths(d).check(buffers)?;
    let (needed, found) = (longest(compressor, d), out.len());
    if found < needed {
        return Err(EncodeError::Space { needed, found }.into());
    }
    Ok(())
}

/// `|to - from|`.
#[derive(Clone, Copy)]
struct Change;
impl<T: Real> Sum<T, 2, 1> for Change {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [from, to]: [L; 2]) -> [L; 1] {
        [(to - from).abs()]
    }
}

kernels! {
    /// What a reply checks.
    trait MessageKernels<T> {
        fn change(from: &[T], to: &[T]) -> T {
            let [sum] = simd::sum(&Change, [from, to]);
            sum
        }
    }
}

/// Checks that `x + eta (s / total)`, the next model, is finite; `name` is that of `s`.
pub(super) fn check_next<T: Real>(
    name: &'static str,
    [eta, total]: [T; 2],
    x: &[T],
    s: &[T],
) -> Result<(), Error> {
    // Rounding keeps the order, so that no element of a finite bound is infinite.
    let bound = vector::norm_inf(x) + eta.abs() * (vector::norm_inf(s) / total);
    if bound.is_finite() {
        return Ok(());
    }
    if let Some(index) = vector::first_non_finite(s) {
        return Err(Error::NonFinite {
            name,
            at: crate::At::Element(index),
        });
    }
    let overflows = |(&x, &s): (&T, &T)| !(x + eta * (s / total)).is_finite();
    let Some(index) = x.iter().zip(s).position(overflows) else {
        return Ok(());
    };
    let name = "params";
    Err(Error::NonFinite {
        name,
        at: crate::At::Element(index),
    })
}

/// Checks that the sum of the magnitudes of `to - from` is finite: so is then every norm that a compressor takes of it.
pub(super) fn check_change<T: Real>(name: &'static str, from: &[T], to: &[T]) -> Result<(), Error> {
    if T::Kernels::change(from, to).is_finite() {
        return Ok(());
    }
    let finite = |&(&from, &to): &(&T, &T)| (to - from).is_finite();
    let found = from.iter().zip(to).take_while(finite).count();
    // Where each element is finite and their sum is not, the first one stands for all.
    let index = if found < from.len() { found } else { 0 };
    Err(Error::NonFinite {
        name,
        at: crate::At::Element(index),
    })
}

/// The dimension as a frame states it.
pub(super) fn dimension(len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::Parameter {
        name: "params",
        rule: "must have fewer than 2^32 elements",
    })
}

/// Checks that a frame is the reply of the client whose turn it is; returns the key of its draws.
pub(super) fn check_reply<T: Real>(
    frame: &Frame<'_>,
    run: Run,
    round: u64,
    turn: u32,
    d: u32,
) -> Result<Key, ProtocolError> {
    check_turn(run, turn, frame.header.client)?;
    let of_round = Expect {
        round: Some(round),
        ..expect(run, d)
    };
    of_round.check(&frame.header)?;
    // A frame without values has no type of its own; another type is refused here.
    frame.payload::<T>()?;
    Ok(Key {
        seed: run.seed,
        round,
        client: turn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Dithering, Identity, Lazy, Natural, NaturalDithering, Norm, Sign};

    #[test]
    fn the_cap_of_a_frame_follows_the_dimension() {
        // 2^28 bytes hold fewer than 2^26 floats.
        for d in [70_000_000, 1 << 30] {
            assert!(cap::<f32>(d) >= 52 + 4 * d as usize, "{d}");
        }
        assert!(cap::<f64>(1 << 29) >= 52 + 8 * (1 << 29));
        // A later minor version may put a tail behind the largest frame.
        assert!(cap::<f32>(70_000_000) >= frame_len::<f32>(70_000_000) + 65_535);
    }

    #[test]
    fn a_buffer_of_frame_len_holds_the_message_of_every_compressor() {
        let dithering = Dithering::qsgd(MAX_LEVELS);
        let natural = NaturalDithering {
            levels: 64,
            norm: Norm::Two,
        };
        for d in 0..40 {
            let compressors: [&dyn Compressor<f32>; 6] = [
                &dithering,
                &natural,
                &Lazy { p: 0.5 },
                &Identity,
                &Natural,
                &Sign,
            ];
            for (at, compressor) in compressors.into_iter().enumerate() {
                let len = longest(compressor, d);
                assert!(len <= frame_len::<f32>(d as u32), "{d}: {at}");
            }
            let wide = longest::<f64>(&dithering, d);
            assert!(wide <= frame_len::<f64>(d as u32), "{d}");
        }
    }

    #[test]
    fn a_change_is_refused_at_its_first_infinite_element() {
        let name = "change";
        let error = check_change(name, &[0.0, -f32::MAX], &[1.0, f32::MAX]);
        assert_eq!(
            error,
            Err(Error::NonFinite {
                name,
                at: crate::At::Element(1)
            })
        );
        // Each is finite, their sum is not.
        let error = check_change(name, &[0.0; 2], &[f32::MAX; 2]);
        assert_eq!(
            error,
            Err(Error::NonFinite {
                name,
                at: crate::At::Element(0)
            })
        );
        assert_eq!(check_change(name, &[0.0], &[f32::MAX]), Ok(()));
    }
}
