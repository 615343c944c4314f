//! The functions of the C interface, with hostile lengths, nulls, misalignment and codes.
//!
//! Memory is exact, so that a sanitiser sees one element too many.
#![allow(
    unsafe_code,
    reason = "a caller of the C interface, whose pointers are right or must be refused"
)]

use std::ptr::null_mut;

use thalweg_c::compress::*;
use thalweg_c::optim::*;
use thalweg_c::particle::*;
use thalweg_c::rounding::*;
use thalweg_c::stream::*;
use thalweg_c::vector::*;
use thalweg_c::wire::*;
use thalweg_c::{Error, Status};

use super::bytes::Bytes;

/// What stands in memory that a call is to write: a NaN that no call computes.
const UNTOUCHED: f32 = f32::from_bits(0x7FC0_BEEF);
/// Calls of one run.
const CALLS: usize = 8;

/// A pointer of the bytes' choice: mostly right, at times null or misaligned.
fn at<T>(bytes: &mut Bytes<'_>, memory: &mut [T]) -> *mut T {
    match bytes.byte() {
        0 => null_mut(),
        1 if align_of::<T>() > 1 && !memory.is_empty() => {
            memory.as_mut_ptr().cast::<u8>().wrapping_add(1).cast()
        }
        _ => memory.as_mut_ptr(),
    }
}

/// A length: at times one that no memory can have, which must be refused.
fn length<T>(bytes: &mut Bytes<'_>, n: usize) -> usize {
    if bytes.byte() == 0 {
        let most = isize::MAX as usize / size_of::<T>();
        return most.saturating_add(1 + usize::from(bytes.byte()));
    }
    n
}

/// Statuses of arguments that are wrong whatever the numbers are: nothing has been written.
fn is_early(status: Status) -> bool {
    matches!(
        status,
        Status::Null | Status::Pointer | Status::Length | Status::Parameter
    )
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// The room of an error, or none.
struct Words(Option<Box<Error>>);

impl Words {
    fn at(&mut self) -> *mut Error {
        self.0.as_deref_mut().map_or(null_mut(), |error| error)
    }

    /// A call that failed has said so, in words that end.
    fn check(&self, status: Status) {
        if let Some(error) = &self.0 {
            assert_eq!(error.status, status);
            assert!(status == Status::Ok || error.text[0] != 0, "no words");
            assert!(error.text.contains(&0));
        }
    }
}

/// Calls end, write what they say they have written, and write nothing when an argument is wrong.
pub fn check(bytes: &[u8]) {
    let bytes = &mut Bytes(bytes);
    let empty = Error {
        status: Status::Ok,
        text: [1; 124],
    };
    for _ in 0..CALLS {
        if bytes.is_empty() {
            break;
        }
        let words = &mut Words((!bytes.rarely(4)).then(|| Box::new(empty)));
        match bytes.byte() % 12 {
            0 => vectors(bytes, words),
            1 | 2 => optimisers(bytes, words),
            3..=5 => sends(bytes, words),
            6 => adds(bytes, words),
            7 => roundings(bytes, words),
            8 | 9 => frames(bytes, words),
            10 => streams(bytes, words),
            _ => particles(bytes, words),
        }
    }
}

fn vectors(bytes: &mut Bytes<'_>, words: &mut Words) {
    let n = bytes.len();
    let (mut x, mut y, mut one) = (bytes.reals(n), bytes.reals(n), vec![UNTOUCHED]);
    let before = bits(&y);
    let which = bytes.byte() % 4;
    let (a, b, out) = (at(bytes, &mut x), at(bytes, &mut y), at(bytes, &mut one));
    let n = length::<f32>(bytes, n);
    let factor = bytes.real() as f32;
    // SAFETY: pointers have their lengths, or must be refused.
    let status = unsafe {
        match which {
            0 => thalweg_dot_f32(a, b, n, out, words.at()),
            1 => thalweg_norm2_f32(a, n, out, words.at()),
            2 => thalweg_axpy_f32(factor, a, b, n, words.at()),
            _ => thalweg_clip_by_norm_f32(factor, b, n, out, words.at()),
        }
    };
    words.check(status);
    assert!(!is_early(status) || (bits(&y) == before && one[0].to_bits() == UNTOUCHED.to_bits()));
}

fn optimisers(bytes: &mut Bytes<'_>, words: &mut Words) {
    let n = bytes.len();
    let [mut x, mut g, mut m, mut v, mut extra] = [(); 5].map(|()| bytes.reals(n));
    let mut steps = vec![bytes.count()];
    let before = [&x, &m, &v, &extra].map(|x| bits(x));
    let count = steps[0];
    let which = bytes.byte() % 5;
    let learning_rate = bytes.real();
    let [p, q, r, s] = [(); 4].map(|()| bytes.real());
    let [c, d, e, f] = [(); 4].map(|()| u32::from(bytes.byte() % 4));
    let (x_at, g_at) = (at(bytes, &mut x), at(bytes, &mut g));
    let (m_at, v_at, e_at) = (at(bytes, &mut m), at(bytes, &mut v), at(bytes, &mut extra));
    let s_at = at(bytes, &mut steps);
    let n = length::<f32>(bytes, n);
    let error = words.at();
    // SAFETY: pointers have their lengths, or must be refused.
    let status = unsafe {
        match which {
            0 => {
                let config = SgdConfig {
                    learning_rate,
                    momentum: p,
                    dampening: q,
                    weight_decay: r,
                    decay: c,
                    nesterov: d,
                    maximize: e,
                };
                thalweg_sgd_step_f32(&config, s_at, m_at, x_at, g_at, n, error)
            }
            1 => {
                let config = AdamConfig {
                    learning_rate,
                    beta1: p,
                    beta2: q,
                    eps: r,
                    weight_decay: s,
                    decay: c,
                    amsgrad: d,
                    maximize: e,
                    arithmetic: f,
                };
                thalweg_adam_step_f32(&config, s_at, m_at, v_at, e_at, x_at, g_at, n, error)
            }
            2 => {
                let config = RmspropConfig {
                    learning_rate,
                    alpha: p,
                    eps: q,
                    momentum: r,
                    weight_decay: s,
                    eps_in_sqrt: c,
                    centered: d,
                    decay: e,
                    maximize: f,
                    arithmetic: 0,
                };
                thalweg_rmsprop_step_f32(&config, m_at, v_at, e_at, x_at, g_at, n, error)
            }
            3 => {
                let config = AdagradConfig {
                    learning_rate,
                    lr_decay: p,
                    initial_accumulator: q,
                    eps: r,
                    weight_decay: s,
                    decay: c,
                    maximize: d,
                    arithmetic: e,
                };
                thalweg_adagrad_step_f32(&config, s_at, m_at, x_at, g_at, n, error)
            }
            _ => {
                let config = LionConfig {
                    learning_rate,
                    beta1: p,
                    beta2: q,
                    weight_decay: r,
                    decay: c,
                    maximize: d,
                };
                thalweg_lion_step_f32(&config, m_at, x_at, g_at, n, error)
            }
        }
    };
    words.check(status);
    let after = [&x, &m, &v, &extra].map(|x| bits(x));
    assert!(!is_early(status) || (after == before && steps[0] == count));
}

fn key(bytes: &mut Bytes<'_>) -> DrawKey {
    DrawKey {
        seed: bytes.count(),
        round: bytes.count(),
        client: bytes.count() as u32,
    }
}

/// Compressors that write values.
fn sends(bytes: &mut Bytes<'_>, words: &mut Words) {
    let which = bytes.byte() % 4;
    let (n, room) = (bytes.len(), bytes.len());
    let (mut x, key) = (bytes.reals(n), key(bytes));
    // A NaN of the input could not be told from memory that nobody wrote.
    x.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = 0.5);
    let k = bytes.count() as usize;
    let (mut values, mut indices) = (vec![UNTOUCHED; room], vec![u32::MAX; room]);
    let mut sent = vec![usize::MAX];
    let (from, to) = (at(bytes, &mut x), at(bytes, &mut values));
    let (j, count) = (at(bytes, &mut indices), at(bytes, &mut sent));
    let n = length::<f32>(bytes, n);
    let error = words.at();
    // SAFETY: pointers have their lengths, or must be refused.
    let status = unsafe {
        match which {
            0 => thalweg_perm_k_compress_f32(&key, k, from, n, to, room, count, error),
            1 => thalweg_rand_k_compress_f32(&key, k, from, n, to, room, count, error),
            2 => thalweg_natural_compress_f32(&key, from, n, to, room, count, error),
            _ => thalweg_top_k_compress_f32(k, from, n, to, j, room, error),
        }
    };
    words.check(status);
    let untouched = |x: &f32| x.to_bits() == UNTOUCHED.to_bits();
    if status == Status::Ok {
        let written = if which == 3 { k } else { sent[0] };
        assert!(written <= room, "{written} of {room}");
        assert!(
            !values[..written].iter().any(untouched),
            "sent what was never written"
        );
        assert!(which != 0 || written <= thalweg_perm_k_len(n, k));
    } else if is_early(status) {
        assert!(values.iter().all(untouched) && sent[0] == usize::MAX);
    }
    assert!(thalweg_top_k_room(bytes.count() as usize, k) >= k);
}

/// Compressors that add messages.
fn adds(bytes: &mut Bytes<'_>, words: &mut Words) {
    let which = bytes.byte() % 3;
    let (n, count) = (bytes.len(), bytes.len());
    let (mut out, mut values) = (bytes.reals(n), bytes.reals(count));
    let mut indices: Vec<u32> = (0..count).map(|_| bytes.count() as u32).collect();
    if bytes.rarely(2) {
        (0..).zip(&mut indices).for_each(|(i, to)| *to = i);
    }
    let (key, clients) = (key(bytes), bytes.count() as usize);
    let before = bits(&out);
    let (to, from, j) = (
        at(bytes, &mut out),
        at(bytes, &mut values),
        at(bytes, &mut indices),
    );
    let n = length::<f32>(bytes, n);
    let error = words.at();
    // SAFETY: pointers have their lengths, or must be refused.
    let status = unsafe {
        match which {
            0 => thalweg_perm_k_add_f32(&key, clients, from, count, to, n, error),
            1 => thalweg_rand_k_add_f32(&key, clients, from, count, to, n, error),
            _ => thalweg_top_k_add_f32(from, j, count, clients, to, n, error),
        }
    };
    words.check(status);
    assert!(status == Status::Ok || bits(&out) == before);
}

fn roundings(bytes: &mut Bytes<'_>, words: &mut Words) {
    let config = DitheringConfig {
        levels: bytes.count() as u32,
        norm: u32::from(bytes.byte() % 3),
        natural: u32::from(bytes.byte() % 3),
    };
    let (which, n, key) = (bytes.byte() % 4, bytes.len(), key(bytes));
    let (mut x, mut y, mut one) = (bytes.reals(n), bytes.reals(n), vec![UNTOUCHED]);
    let mut levels: Vec<i32> = (0..n).map(|_| bytes.count() as i32).collect();
    let (before, marks) = (bits(&y), levels.clone());
    let (clients, scale) = (bytes.count() as usize, bytes.real() as f32);
    let (x_at, y_at) = (at(bytes, &mut x), at(bytes, &mut y));
    let (l_at, one_at) = (at(bytes, &mut levels), at(bytes, &mut one));
    let n = length::<f32>(bytes, n);
    let error = words.at();
    // SAFETY: pointers have their lengths, or must be refused.
    let status = unsafe {
        match which {
            0 => thalweg_dithering_compress_f32(&config, &key, x_at, n, l_at, one_at, error),
            1 => thalweg_dithering_add_f32(&config, l_at, scale, clients, y_at, n, error),
            2 => thalweg_sign_compress_f32(x_at, n, one_at, error),
            _ => thalweg_sign_add_f32(scale, x_at, clients, y_at, n, error),
        }
    };
    words.check(status);
    assert!(status == Status::Ok || bits(&y) == before);
    assert!(!is_early(status) || (levels == marks && one[0].to_bits() == UNTOUCHED.to_bits()));
}

fn frames(bytes: &mut Bytes<'_>, words: &mut Words) {
    let n = bytes.len();
    let mut wide = |small: u32| {
        if bytes.rarely(4) {
            bytes.count() as u32
        } else {
            small
        }
    };
    let header = FrameHeader {
        round: 3,
        seed: 4,
        client: wide(0),
        d: wide(n as u32),
        k: wide(n as u32),
        kind: wide(4),
        dtype: wide(1),
        flags: wide(0),
    };
    let kind = u32::from(bytes.byte() % 17);
    let header = FrameHeader { kind, ..header };
    let room = usize::from(bytes.byte()) + 40;
    let (mut x, mut out, mut written) = (bytes.reals(n), vec![0xA5_u8; room], vec![usize::MAX]);
    let (mut indices, mut levels): (Vec<u32>, Vec<i32>) = ((0..n as u32).collect(), vec![1; n]);
    let (which, number, scale) = (bytes.byte() % 5, bytes.count(), bytes.real() as f32);
    let (x_at, j_at, l_at) = (
        at(bytes, &mut x),
        at(bytes, &mut indices),
        at(bytes, &mut levels),
    );
    let (to, len) = (at(bytes, &mut out), at(bytes, &mut written));
    let n = length::<f32>(bytes, n);
    let (h, e) = (&raw const header, words.at());
    // SAFETY: pointers have their lengths, or must be refused.
    let status = unsafe {
        match which {
            0 => thalweg_frame_write_control(h, number, to, room, len, e),
            1 => thalweg_frame_write_values_f32(h, x_at, n, to, room, len, e),
            2 => thalweg_frame_write_sparse_f32(h, j_at, x_at, n, to, room, len, e),
            3 => thalweg_frame_write_sign_f32(h, scale, x_at, n, to, room, len, e),
            _ => thalweg_frame_write_dithered_f32(h, scale, l_at, n, to, room, len, e),
        }
    };
    words.check(status);
    if status != Status::Ok {
        assert_eq!(written[0], usize::MAX);
        return;
    }
    out.truncate(written[0]);
    // A flagged frame may carry NaN: the reading functions take none.
    assert!(
        read(bytes, &out, words) || header.flags != 0,
        "what was written is read"
    );
    if bytes.rarely(2) {
        let at = usize::from(bytes.byte()) % out.len();
        out[at] ^= bytes.byte();
        read(bytes, &out, words);
    }
}

/// Reads a frame in every way into a room of the bytes' choice; whether it is one.
fn read(bytes: &mut Bytes<'_>, frame: &[u8], words: &mut Words) -> bool {
    let room = bytes.len();
    let (mut values, mut indices) = (vec![UNTOUCHED; room], vec![0_u32; room]);
    let (mut levels, mut scale) = (vec![0_i32; room], UNTOUCHED);
    let (from, n) = (frame.as_ptr(), frame.len());
    let mut header = FrameHeader {
        round: 0,
        seed: 0,
        client: 0,
        d: 0,
        k: 0,
        kind: 0,
        dtype: 0,
        flags: 0,
    };
    let (to, j, l) = (
        values.as_mut_ptr(),
        indices.as_mut_ptr(),
        levels.as_mut_ptr(),
    );
    let e = words.at();
    for which in 0..4 {
        let mut count = usize::MAX;
        // SAFETY: lengths are those of the vectors.
        let status = unsafe {
            match which {
                0 => thalweg_frame_values_f32(from, n, to, room, &mut count, e),
                1 => thalweg_frame_sparse_f32(from, n, j, to, room, &mut count, e),
                2 => thalweg_frame_sign_f32(from, n, &mut scale, to, room, &mut count, e),
                _ => thalweg_frame_dithered_f32(from, n, &mut scale, l, room, &mut count, e),
            }
        };
        words.check(status);
        assert!(if status == Status::Ok {
            count <= room
        } else {
            count == usize::MAX
        });
    }
    let mut number = 0;
    // SAFETY: lengths are those of the vectors.
    unsafe {
        let _ = thalweg_frame_number(from, n, &mut number, e);
        thalweg_frame_read(from, n, &mut header, e) == Status::Ok
    }
}

fn streams(bytes: &mut Bytes<'_>, words: &mut Words) {
    let len = bytes.len() * 4;
    let (mut buffer, mut state) = (vec![0_u8; len], DeframerState::default());
    if bytes.rarely(4) {
        state.start = bytes.count() as usize;
        state.end = bytes.count() as usize;
        state.lent = bytes.count() as usize;
    }
    let room = buffer.as_mut_ptr();
    for _ in 0..bytes.byte() % 24 {
        let (mut place, mut size, mut begun) = (0, 0, 0);
        let taken = usize::from(bytes.byte() % 64).min(bytes.0.len());
        let (line, rest) = bytes.0.split_at(taken);
        let e = words.at();
        // SAFETY: lengths are those of the vectors.
        unsafe {
            match bytes.byte() % 4 {
                0 | 1 => {
                    bytes.0 = rest;
                    let (from, n) = (line.as_ptr(), line.len());
                    let _ = thalweg_deframer_push(&mut state, room, len, from, n, &mut size, e);
                    assert!(size <= n);
                }
                2 => {
                    let found =
                        thalweg_deframer_next(&mut state, room, len, &mut place, &mut size, e);
                    if found == Status::Ok {
                        assert!(place.checked_add(size).is_some_and(|end| end <= len));
                    }
                }
                _ => {
                    let _ = thalweg_deframer_expire(&mut state, room, len, &mut begun, e);
                }
            }
        }
    }
}

fn particles(bytes: &mut Bytes<'_>, words: &mut Words) {
    let (n, d) = (bytes.len() % 8, bytes.len() % 5);
    let config = SvgdConfig {
        step_size: bytes.real(),
        bandwidth: bytes.real(),
        kernel: u32::from(bytes.byte() % 3),
        rule: u32::from(bytes.byte() % 4),
        arithmetic: u32::from(bytes.byte() % 3),
    };
    let (mut state_len, mut scratch_len) = (0, 0);
    let hostile = bytes.count() as usize;
    let e = words.at();
    // SAFETY: lengths are those of the vectors.
    let status = unsafe {
        let lens = (&raw mut state_len, &raw mut scratch_len);
        let _ = thalweg_svgd_lengths(&config, hostile, d, lens.0, lens.1, e);
        thalweg_svgd_lengths(&config, n, d, lens.0, lens.1, e)
    };
    if status != Status::Ok {
        return;
    }
    let (mut state, mut scratch) = (vec![0.0_f32; state_len], vec![0.0_f32; scratch_len]);
    let (mut x, mut scores, mut steps) = (bytes.reals(n * d), bytes.reals(n * d), bytes.count());
    let shorter = if bytes.rarely(4) { bytes.len() } else { 0 };
    let scratch_len = scratch_len.saturating_sub(shorter);
    let before = bits(&x);
    let (s, x_at, g) = (
        at(bytes, &mut state),
        at(bytes, &mut x),
        at(bytes, &mut scores),
    );
    let room = at(bytes, &mut scratch);
    // SAFETY: pointers have their lengths, or must be refused.
    let status = unsafe {
        thalweg_svgd_step_f32(&config, &mut steps, s, x_at, g, n, d, room, scratch_len, e)
    };
    words.check(status);
    assert!(!is_early(status) || bits(&x) == before);
}
