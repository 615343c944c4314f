//! The Jacobian of one sample as a frame, and back.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "levels of at most 24 bits; the divisor is at least 1"
)]

use super::Rows;
use crate::compress::{Buffers, Compressor, Key, TopK};
use crate::error::{check_length, check_scratch, ensure_finite};
use crate::federated::ProtocolError;
use crate::memory::must;
use crate::wire::{self, Body, Dtype, Frame, Header, Kept, Kind, Payload};
use crate::{Error, Real};

/// Writes the frame of a row; `values` and `indices` are as long as [`Rows::count`] says, `codes` is the memory of the levels.
pub(super) fn encode_into<T: Real>(
    rows: Rows,
    (key, sample): (Key, u32),
    jacobian: &[T],
    buffers: Buffers<'_, T>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    ensure_finite("jacobian", jacobian)?;
    let d = u32::try_from(jacobian.len()).map_err(|_| Error::Parameter {
        name: "jacobian",
        rule: "must have fewer than 2^32 elements",
    })?;
    let header = |kind, k| Header {
        client: key.client,
        round: key.round,
        seed: key.seed,
        ..Header::new(kind, Dtype::of::<T>(), d, k)
    };
    let Rows::Quantised { bits, .. } = rows else {
        let header = header(Kind::Jacobian, sample);
        return Ok(wire::encode_into(&header, &Body::Values(jacobian), out)?);
    };
    let k = rows.count(jacobian.len());
    let Buffers {
        values, indices, ..
    } = buffers;
    check_scratch("values", k, values.len())?;
    check_scratch("indices", k, indices.len())?;
    let count = select(jacobian, k, (&mut *values, &mut *indices), key)?;
    let (values, indices) = (must(values.get(..count)), must(indices.get(..count)));
    let least = values.iter().fold(T::INFINITY, |m, x| x.abs().least(m));
    let range = [
        if count == 0 { T::ZERO } else { least },
        crate::vector::norm_inf(values),
    ];
    let header = header(
        Kind::QuantisedJacobian,
        Kept {
            bits,
            count: count as u32,
        }
        .code(),
    );
    let codes = values.iter().map(|&x| code(x, range, bits));
    let row = (indices.iter().copied(), codes);
    Ok(wire::quantised_into(&header, (sample, range), row, out)?)
}

/// Writes the elements above the `k`-th magnitude to the front of the buffers; returns their number.
fn select<T: Real>(
    x: &[T],
    k: usize,
    (values, indices): (&mut [T], &mut [u32]),
    key: Key,
) -> Result<usize, Error> {
    let mut least = T::ZERO;
    if k < x.len() {
        let buffers = Buffers {
            indices: &mut *indices,
            ..Buffers::values(&mut *values)
        };
        TopK { k }.compress(key, x, buffers)?;
        let kept = must(values.get(..k));
        least = kept.iter().fold(T::INFINITY, |m, x| x.abs().least(m));
    } else {
        for ((value, index), (i, &x)) in values.iter_mut().zip(&mut *indices).zip((0..).zip(x)) {
            (*value, *index) = (x, i);
        }
    }
    let mut count = 0;
    for i in 0..k {
        let (value, index) = (must(values.get(i).copied()), must(indices.get(i).copied()));
        if value.abs() > least
            && let (Some(v), Some(j)) = (values.get_mut(count), indices.get_mut(count))
        {
            (*v, *j) = (value, index);
            count += 1;
        }
    }
    Ok(count)
}

/// Sign above the nearest level.
fn code<T: Real>(x: T, [least, largest]: [T; 2], bits: u32) -> u32 {
    let last = (1_u32 << bits) - 1;
    // In double precision: a range of subnormal numbers has no step in its own.
    let range = largest.to_f64() - least.to_f64();
    let level = if range > 0.0 {
        libm::round((x.abs().to_f64() - least.to_f64()) / range * f64::from(last))
    } else {
        0.0
    };
    // Between 0 and `last`: the magnitude is between the ends.
    (level as u32).min(last) | (u32::from(x < T::ZERO) << bits)
}

/// Number of the sample of a row's frame.
pub(super) fn sample(frame: &Frame<'_>) -> Option<u32> {
    match frame.header.kind {
        Kind::Jacobian => Some(frame.header.k),
        Kind::QuantisedJacobian => match frame.payload::<f64>() {
            Ok(Payload::Quantised(row)) => Some(row.sample),
            _ => match frame.payload::<f32>() {
                Ok(Payload::Quantised(row)) => Some(row.sample),
                _ => None,
            },
        },
        _ => None,
    }
}

/// Copies a row out of its frame, with zeros where nothing was sent.
pub(super) fn decode_into<T: Real>(
    rows: Rows,
    frame: &Frame<'_>,
    out: &mut [T],
) -> Result<(), ProtocolError> {
    check_length("jacobian", frame.header.d as usize, out.len())?;
    match (rows, frame.header.kind, frame.payload::<T>()?) {
        (Rows::Dense, Kind::Jacobian, Payload::Values(values)) => Ok(values.copy_into(out)?),
        (Rows::Quantised { bits, .. }, _, Payload::Quantised(row)) => {
            let kept = Kept::from_code(frame.header.k);
            let fits = kept.bits == bits && kept.count as usize <= rows.count(out.len());
            crate::error::check(
                "frame",
                fits,
                "must have the bits and at most the count of the run",
            )?;
            out.fill(T::ZERO);
            for (index, value) in row.iter() {
                if let Some(x) = out.get_mut(index as usize) {
                    *x = value;
                }
            }
            Ok(())
        }
        _ => Err(Error::Parameter {
            name: "frame",
            rule: "must carry a row as the run sends it",
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::painted;
    use crate::wire::{Expect, decode};
    use std::vec;

    fn round_trip(rows: Rows, x: &[f64]) -> (std::vec::Vec<f64>, Header) {
        let mut out = vec![0; rows.frame_len::<f64>(x.len() as u32)];
        let n = rows.count(x.len());
        let (mut values, mut indices) = (vec![0.0; n], vec![0; n]);
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        let len = encode_into(rows, (Key::default(), 3), x, buffers, &mut out).unwrap();
        let frame = decode(&out[..len], &Expect::default()).unwrap();
        assert_eq!(sample(&frame), Some(3));
        let mut y = vec![f64::NAN; x.len()];
        decode_into(rows, &frame, &mut y).unwrap();
        (y, frame.header)
    }

    #[test]
    fn elements_above_the_kth_magnitude_come_back_within_half_a_level() {
        let x: std::vec::Vec<f64> = painted(1000, 5);
        let (y, _) = round_trip(Rows::Dense, &x);
        assert_eq!(y, x);
        for bits in [1, 4, 8, 24] {
            let (y, header) = round_trip(Rows::Quantised { keep: 0.1, bits }, &x);
            let mut sizes: std::vec::Vec<f64> = x.iter().map(|x| x.abs()).collect();
            sizes.sort_by(|a, b| b.total_cmp(a));
            // 100 elements reach the 100th magnitude, which is not above itself.
            assert_eq!(Kept::from_code(header.k).count, 99);
            let half = (sizes[0] - sizes[98]) / f64::from((1 << bits) - 1) / 2.0;
            for (&x, &y) in x.iter().zip(&y) {
                if x.abs() > sizes[99] {
                    assert!((x - y).abs() <= half * (1.0 + 1e-9), "{bits}: {x} {y}");
                } else {
                    assert_eq!(y, 0.0);
                }
            }
        }
    }

    #[test]
    fn all_that_is_not_zero_is_kept_with_a_fraction_of_one_and_nothing_of_zeros() {
        let rows = Rows::Quantised {
            keep: 1.0,
            bits: 24,
        };
        let x = [0.0, 1.0, -2.0, 0.0, 4.0];
        let (y, header) = round_trip(rows, &x);
        assert_eq!(Kept::from_code(header.k).count, 3);
        for (x, y) in x.iter().zip(&y) {
            assert!((x - y).abs() < 1e-6);
        }
        for keep in [0.3, 1.0] {
            let (y, header) = round_trip(Rows::Quantised { keep, bits: 8 }, &[0.0; 7]);
            assert_eq!((y, Kept::from_code(header.k).count), (vec![0.0; 7], 0));
        }
        // Equal magnitudes: none is above the k-th.
        assert_eq!(
            round_trip(Rows::Quantised { keep: 0.5, bits: 8 }, &[3.0, -3.0]).0,
            [0.0; 2]
        );
    }
}
