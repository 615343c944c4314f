use super::compress::*;
use super::optim::*;
use super::particle::*;
use super::vector::*;
use super::wire::*;
use super::*;
use core::ffi::CStr;
use core::ptr::{null, null_mut};
use std::string::{String, ToString};
use std::vec;
use thalweg::compress::{Buffers, Compressor, Key, Message, PermK, RandK, TopK};
use thalweg::optim::{Optimiser, State, adam, sgd};
use thalweg::particle::{Particles, svgd};
use thalweg::wire::Kind;

mod mixture;

const EMPTY: Error = Error {
    status: Status::Ok,
    text: [0; THALWEG_ERROR_TEXT],
};

fn words(error: &Error) -> String {
    // SAFETY: every text ends with a zero.
    let text = unsafe { CStr::from_ptr(error.text.as_ptr()) };
    text.to_str().unwrap().to_string()
}

const X: [f32; 7] = [1.0, -2.0, 3.0, 0.5, -0.25, 8.0, -1.5];
const G: [f32; 7] = [0.1, 0.2, -0.3, 0.4, -0.5, 0.6, -0.7];
const KEY: DrawKey = DrawKey {
    seed: 5,
    round: 2,
    client: 1,
};

fn key() -> Key {
    Key {
        seed: KEY.seed,
        round: KEY.round,
        client: KEY.client,
    }
}

#[test]
fn steps_have_the_bits_of_the_rust_functions() {
    let config = AdamConfig {
        learning_rate: 0.1,
        amsgrad: 1,
        ..thalweg_adamw_config()
    };
    let same = adam::Config {
        learning_rate: 0.1,
        amsgrad: true,
        ..adam::Config::adamw()
    };
    let (mut x, mut m, mut v, mut most, mut steps) = (X, [0.0; 7], [0.0; 7], [0.0; 7], 0);
    let (mut y, mut state) = (X, State::new([0.0_f32; 21]));
    let descent = SgdConfig {
        momentum: 0.9,
        dampening: 0.5,
        ..thalweg_sgd_config(0.25)
    };
    let same_descent = sgd::Config {
        momentum: 0.9,
        dampening: 0.5,
        ..sgd::Config::new(0.25)
    };
    let (mut p, mut buffer, mut count) = (X, [0.0; 7], 0);
    let (mut q, mut momentum) = (X, State::new([0.0_f32; 7]));
    for _ in 0..3 {
        // SAFETY: arrays of seven.
        unsafe {
            let done = thalweg_adam_step_f32(
                &config,
                &mut steps,
                m.as_mut_ptr(),
                v.as_mut_ptr(),
                most.as_mut_ptr(),
                x.as_mut_ptr(),
                G.as_ptr(),
                7,
                null_mut(),
            );
            assert_eq!(done, Status::Ok);
            let done = thalweg_sgd_step_f32(
                &descent,
                &mut count,
                buffer.as_mut_ptr(),
                p.as_mut_ptr(),
                G.as_ptr(),
                7,
                null_mut(),
            );
            assert_eq!(done, Status::Ok);
        }
        same.step(&mut state, &mut y, &G).unwrap();
        same_descent.step(&mut momentum, &mut q, &G).unwrap();
    }
    assert_eq!((x, steps), (y, 3));
    // The first step of momentum takes the full gradient: the count has to survive between calls.
    assert_eq!((p, count), (q, 3));
    assert_ne!(x, X);
    assert_ne!(p, X);
}

#[test]
fn every_other_optimiser_takes_its_first_step() {
    // By hand: Lion moves by the learning rate; RMSprop's mean square is 0.01 g^2, Adagrad's sum g^2.
    let (n, g) = (1, [2.0_f64]);
    let (mut x, mut s, mut steps, mut norm) = ([1.0_f64], [0.0_f64], 0_u64, 0.0_f64);
    let mut grad = [3.0_f64, 4.0];
    // SAFETY: arrays of one, or two.
    unsafe {
        let lion = LionConfig {
            weight_decay: 0.0,
            ..thalweg_lion_config(0.25)
        };
        assert_eq!(
            thalweg_lion_step_f64(
                &lion,
                s.as_mut_ptr(),
                x.as_mut_ptr(),
                g.as_ptr(),
                n,
                null_mut()
            ),
            Status::Ok
        );
        assert_eq!(x, [0.75]);
        let rmsprop = RmspropConfig {
            learning_rate: 0.5,
            eps: 0.0,
            ..thalweg_rmsprop_config()
        };
        s = [0.0];
        let done = thalweg_rmsprop_step_f64(
            &rmsprop,
            s.as_mut_ptr(),
            null_mut(),
            null_mut(),
            x.as_mut_ptr(),
            g.as_ptr(),
            n,
            null_mut(),
        );
        assert_eq!(done, Status::Ok);
        assert!((x[0] - (0.75 - 5.0)).abs() < 1e-12 && (s[0] - 0.04).abs() < 1e-15);
        let adagrad = AdagradConfig {
            learning_rate: 0.5,
            eps: 0.0,
            ..thalweg_adagrad_config()
        };
        s = [0.0];
        let done = thalweg_adagrad_step_f64(
            &adagrad,
            &mut steps,
            s.as_mut_ptr(),
            x.as_mut_ptr(),
            g.as_ptr(),
            n,
            null_mut(),
        );
        assert_eq!((done, steps, s), (Status::Ok, 1, [4.0]));
        assert!((x[0] + 4.75).abs() < 1e-12);
        assert_eq!(
            thalweg_clip_by_norm_f64(1.0, grad.as_mut_ptr(), 2, &mut norm, null_mut()),
            Status::Ok
        );
        assert!(norm == 5.0 && (grad[0] - 0.6).abs() < 1e-6 && (grad[1] - 0.8).abs() < 1e-6);
    }
}

#[test]
fn what_is_sent_adds_up_to_what_rust_adds_up_to() {
    let mut values = [0.0_f32; 7];
    let mut indices = [0_u32; 7];
    let mut sent = 0;
    let (mut sum, mut expected) = ([1.0_f32; 7], [1.0_f32; 7]);
    // SAFETY: arrays of seven.
    unsafe {
        let done = thalweg_perm_k_compress_f32(
            &KEY,
            3,
            X.as_ptr(),
            7,
            values.as_mut_ptr(),
            thalweg_perm_k_len(7, 3),
            &mut sent,
            null_mut(),
        );
        assert_eq!(done, Status::Ok);
        assert!(sent == 2 || sent == 3);
        assert_eq!(
            thalweg_perm_k_add_f32(
                &KEY,
                3,
                values.as_ptr(),
                sent,
                sum.as_mut_ptr(),
                7,
                null_mut()
            ),
            Status::Ok
        );
        PermK::new(3)
            .accumulate(
                key(),
                &Message::PermK(&values[..sent]),
                thalweg::compress::Weight::Mean(3),
                &mut expected,
            )
            .unwrap();
        let done = thalweg_rand_k_compress_f32(
            &KEY,
            2,
            X.as_ptr(),
            7,
            values.as_mut_ptr(),
            2,
            &mut sent,
            null_mut(),
        );
        assert_eq!((done, sent), (Status::Ok, 2));
        assert_eq!(
            thalweg_rand_k_add_f32(&KEY, 3, values.as_ptr(), 2, sum.as_mut_ptr(), 7, null_mut()),
            Status::Ok
        );
        let mut room = [0.0; 2];
        let message = RandK::new(2)
            .compress(key(), &X, Buffers::values(&mut room))
            .unwrap();
        RandK::new(2)
            .accumulate(
                key(),
                &message,
                thalweg::compress::Weight::Mean(3),
                &mut expected,
            )
            .unwrap();
        assert_eq!(
            thalweg_top_k_compress_f32(
                2,
                X.as_ptr(),
                7,
                values.as_mut_ptr(),
                indices.as_mut_ptr(),
                thalweg_top_k_room(7, 2),
                null_mut()
            ),
            Status::Ok
        );
        assert_eq!(
            (&values[..2], &indices[..2]),
            (&[3.0, 8.0][..], &[2, 5][..])
        );
        assert_eq!(
            thalweg_top_k_add_f32(
                values.as_ptr(),
                indices.as_ptr(),
                2,
                3,
                sum.as_mut_ptr(),
                7,
                null_mut()
            ),
            Status::Ok
        );
        let message = Message::Sparse {
            indices: &[2, 5],
            values: &[3.0, 8.0],
        };
        TopK { k: 2 }
            .accumulate(
                key(),
                &message,
                thalweg::compress::Weight::Mean(3),
                &mut expected,
            )
            .unwrap();
        assert_eq!(
            thalweg_natural_compress_f32(
                &KEY,
                X.as_ptr(),
                7,
                values.as_mut_ptr(),
                7,
                &mut sent,
                null_mut()
            ),
            Status::Ok
        );
    }
    assert!(sum == expected && sum != [1.0; 7]);
    // Powers of two are kept, and 3 goes to 2 or 4.
    assert!(values[1] == -2.0 && values[5] == 8.0 && (values[2] == 2.0 || values[2] == 4.0));
}

#[test]
fn frames_come_back_and_damage_is_named() {
    let header = FrameHeader {
        round: 7,
        seed: 9,
        client: 3,
        d: 20,
        k: 2,
        kind: THALWEG_KIND_PERM_K,
        dtype: THALWEG_DTYPE_F32,
        flags: 0,
    };
    let mut bytes = [0_u8; 80];
    let (mut len, mut count, mut number) = (0, 0, 0);
    let (mut values, mut indices) = ([0.0_f32; 2], [0_u32; 2]);
    let mut found = FrameHeader { d: 0, ..header };
    let mut error = EMPTY;
    // SAFETY: the lengths are those of the arrays.
    unsafe {
        assert_eq!(
            thalweg_frame_write_values_f32(
                &header,
                [1.5, -2.0].as_ptr(),
                2,
                bytes.as_mut_ptr(),
                80,
                &mut len,
                &mut error
            ),
            Status::Ok
        );
        assert_eq!(len, THALWEG_FRAME_OVERHEAD + 8);
        assert_eq!(
            thalweg_frame_read(bytes.as_ptr(), len, &mut found, null_mut()),
            Status::Ok
        );
        assert_eq!(found, header);
        assert_eq!(
            thalweg_frame_values_f32(
                bytes.as_ptr(),
                len,
                values.as_mut_ptr(),
                2,
                &mut count,
                null_mut()
            ),
            Status::Ok
        );
        assert_eq!((values, count), ([1.5, -2.0], 2));
        assert_eq!(
            thalweg_frame_values_f32(
                bytes.as_ptr(),
                len,
                values.as_mut_ptr(),
                1,
                &mut count,
                &mut error
            ),
            Status::Length
        );
        assert_eq!(words(&error), "`values` has length 1, expected 2");
        assert_eq!(
            thalweg_frame_values_f64(
                bytes.as_ptr(),
                len,
                [0.0; 2].as_mut_ptr(),
                2,
                &mut count,
                null_mut()
            ),
            Status::Decode
        );
        bytes[50] ^= 1;
        assert_eq!(
            thalweg_frame_read(bytes.as_ptr(), len, &mut found, &mut error),
            Status::Decode
        );
        assert!(words(&error).contains("check"), "{}", words(&error));

        let sparse = FrameHeader {
            kind: THALWEG_KIND_SPARSE,
            ..header
        };
        let done = thalweg_frame_write_sparse_f32(
            &sparse,
            [4, 19].as_ptr(),
            [0.5, 8.0].as_ptr(),
            2,
            bytes.as_mut_ptr(),
            80,
            &mut len,
            null_mut(),
        );
        assert_eq!(done, Status::Ok);
        let done = thalweg_frame_sparse_f32(
            bytes.as_ptr(),
            len,
            indices.as_mut_ptr(),
            values.as_mut_ptr(),
            2,
            &mut count,
            null_mut(),
        );
        assert_eq!(
            (done, indices, values, count),
            (Status::Ok, [4, 19], [0.5, 8.0], 2)
        );
        assert_eq!(
            thalweg_frame_values_f32(
                bytes.as_ptr(),
                len,
                values.as_mut_ptr(),
                2,
                &mut count,
                null_mut()
            ),
            Status::Parameter
        );

        let hello = FrameHeader {
            kind: THALWEG_KIND_HELLO,
            k: 0,
            ..header
        };
        assert_eq!(
            thalweg_frame_write_control(&hello, 1797, bytes.as_mut_ptr(), 80, &mut len, null_mut()),
            Status::Ok
        );
        assert_eq!(
            thalweg_frame_number(bytes.as_ptr(), len, &mut number, null_mut()),
            Status::Ok
        );
        assert_eq!(number, 1797);
        assert_eq!(
            thalweg_frame_write_control(&hello, 1, bytes.as_mut_ptr(), 20, &mut len, &mut error),
            Status::Encode
        );
        assert_eq!(
            thalweg_frame_write_control(
                &FrameHeader { kind: 99, ..hello },
                1,
                bytes.as_mut_ptr(),
                80,
                &mut len,
                null_mut()
            ),
            Status::Parameter
        );
    }
}

#[test]
fn codes_of_kinds_are_those_of_the_format() {
    let codes = [
        THALWEG_KIND_HELLO,
        THALWEG_KIND_MODEL,
        THALWEG_KIND_ESTIMATE,
        THALWEG_KIND_DENSE,
        THALWEG_KIND_PERM_K,
        THALWEG_KIND_RAND_K,
        THALWEG_KIND_RAND_SEQ_K,
        THALWEG_KIND_SPARSE,
        THALWEG_KIND_NATURAL,
        THALWEG_KIND_SIGN,
        THALWEG_KIND_DITHERED,
        THALWEG_KIND_NATURAL_DITHERED,
        THALWEG_KIND_ROUND,
        THALWEG_KIND_ACK,
        THALWEG_KIND_DROP,
        THALWEG_KIND_STOP,
        THALWEG_KIND_JACOBIAN,
        THALWEG_KIND_QUANTISED_JACOBIAN,
        THALWEG_KIND_LABELS,
        THALWEG_KIND_LOGITS,
        THALWEG_KIND_CANDIDATE,
        THALWEG_KIND_LOSSES,
        THALWEG_KIND_PUBLIC_KEY,
        THALWEG_KIND_SEALED_SEED,
    ];
    assert_eq!(codes, Kind::ALL.map(|kind| u32::from(kind.code())));
    assert_eq!(THALWEG_FRAME_OVERHEAD, thalweg::wire::OVERHEAD);
}

#[test]
fn particles_move_as_in_rust() {
    let config = thalweg_svgd_config(0.5);
    let (mut state, mut scratch_len) = (9, 0);
    let (mut x, mut y) = ([0.0_f32, 1.0, 5.0, 2.0], [0.0_f32, 1.0, 5.0, 2.0]);
    let scores = [0.5, -1.0, -2.0, 0.0];
    // SAFETY: the lengths are those that the first call tells.
    unsafe {
        assert_eq!(
            thalweg_svgd_lengths(&config, 2, 2, &mut state, &mut scratch_len, null_mut()),
            Status::Ok
        );
        let mut scratch = vec![0.0; scratch_len];
        let mut steps = 0;
        let done = thalweg_svgd_step_f32(
            &config,
            &mut steps,
            null_mut(),
            x.as_mut_ptr(),
            scores.as_ptr(),
            2,
            2,
            scratch.as_mut_ptr(),
            scratch_len,
            null_mut(),
        );
        assert_eq!((done, state), (Status::Ok, 0));
        svgd::step(
            &svgd::Config::new(0.5),
            &mut svgd::State::<[f32; 0]>::new(),
            Particles::new(2, &mut y),
            &scores,
            &mut scratch,
        )
        .unwrap();
    }
    assert!(x == y && x != [0.0, 1.0, 5.0, 2.0]);
}

#[test]
fn null_misaligned_and_endless_pointers_are_named_and_write_nothing() {
    let mut error = EMPTY;
    let mut out = 7.0_f32;
    let bytes = [0_u8; 16];
    // SAFETY: nothing is read through a pointer that is refused.
    unsafe {
        assert_eq!(
            thalweg_dot_f32(X.as_ptr(), null(), 7, &mut out, &mut error),
            Status::Null
        );
        assert_eq!(words(&error), "`y` is null");
        let odd = bytes.as_ptr().map_addr(|a| (a | 3) - 2).cast::<f32>();
        assert_eq!(
            thalweg_norm2_f32(odd, 2, &mut out, &mut error),
            Status::Pointer
        );
        assert_eq!(
            thalweg_norm2_f32(X.as_ptr(), usize::MAX, &mut out, &mut error),
            Status::Pointer
        );
        assert_eq!(words(&error), "`x` is not aligned, or too long");
        assert_eq!(
            thalweg_axpy_f32(2.0, null(), null_mut(), 0, &mut error),
            Status::Ok
        );
        assert_eq!(words(&error), "");
        assert_eq!(out, 7.0);
        assert_eq!(
            thalweg_dot_f32(X.as_ptr(), X.as_ptr(), 2, &mut out, null_mut()),
            Status::Ok
        );
        assert_eq!(out, 5.0);
        let mut sum = 0.0;
        assert_eq!(
            thalweg_dot_f64([2.0].as_ptr(), [4.0].as_ptr(), 1, &mut sum, null_mut()),
            Status::Ok
        );
        let mut added = 3.0;
        assert_eq!(
            thalweg_axpy_f64(0.5, &sum, &mut added, 1, null_mut()),
            Status::Ok
        );
        assert_eq!(added, 7.0);
        let mut norm = 0.0;
        assert_eq!(
            thalweg_norm2_f64([3.0, 4.0].as_ptr(), 2, &mut norm, null_mut()),
            Status::Ok
        );
        assert_eq!((sum, norm), (8.0, 5.0));
        let config = AdamConfig {
            decay: 3,
            ..thalweg_adam_config()
        };
        let (mut x, mut m, mut v, mut steps) = (X, [0.0; 7], [0.0; 7], 0);
        let done = thalweg_adam_step_f32(
            &config,
            &mut steps,
            m.as_mut_ptr(),
            v.as_mut_ptr(),
            null_mut(),
            x.as_mut_ptr(),
            G.as_ptr(),
            7,
            &mut error,
        );
        assert_eq!((done, steps, x), (Status::Parameter, 0, X));
        assert!(words(&error).starts_with("`decay` must be"));
    }
}

#[test]
fn statuses_have_names_and_the_version_is_that_of_the_package() {
    let name = |status: Status| {
        // SAFETY: names end with a zero.
        unsafe { CStr::from_ptr(thalweg_status_name(status as u32)) }
    };
    assert_eq!((name(Status::Ok), name(Status::Encode)), (c"ok", c"encode"));
    // SAFETY: the version ends with a zero.
    let version = unsafe { CStr::from_ptr(thalweg_version()) };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
}
