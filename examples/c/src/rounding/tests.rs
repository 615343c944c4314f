use super::*;
use core::ptr::null_mut;

const KEY: DrawKey = DrawKey {
    seed: 5,
    round: 2,
    client: 1,
};

#[test]
fn dithered_levels_are_those_of_rust_and_add_up_to_the_same() {
    let x = [1.0_f32, -2.0, 3.0, 0.5, -0.25, 8.0, -1.5];
    for (config, natural) in [
        (thalweg_dithering_config(15), false),
        (
            DitheringConfig {
                levels: 6,
                norm: THALWEG_NORM_MAX,
                natural: 1,
            },
            true,
        ),
    ] {
        let (mut levels, mut norm, mut sum) = ([0; 7], 0.0, [1.0; 7]);
        // SAFETY: arrays of seven.
        unsafe {
            let to = levels.as_mut_ptr();
            let done = thalweg_dithering_compress_f32(
                &config,
                &KEY,
                x.as_ptr(),
                7,
                to,
                &mut norm,
                null_mut(),
            );
            assert_eq!(done, Status::Ok);
            let from = levels.as_ptr();
            let done =
                thalweg_dithering_add_f32(&config, from, norm, 2, sum.as_mut_ptr(), 7, null_mut());
            assert_eq!(done, Status::Ok);
        }
        // SAFETY: a key.
        let key = unsafe { key(&KEY) }.unwrap_or_default();
        let (mut same, mut expected) = ([0; 7], [1.0; 7]);
        let buffers = Buffers {
            levels: &mut same,
            ..Buffers::default()
        };
        let weight = Weight::Mean(2);
        if natural {
            let rust = NaturalDithering {
                levels: 6,
                norm: Norm::Max,
            };
            let message = rust.compress(key, &x, buffers).unwrap();
            rust.accumulate(key, &message, weight, &mut expected)
                .unwrap();
        } else {
            let rust = Dithering::qsgd(15);
            let message = rust.compress(key, &x, buffers).unwrap();
            rust.accumulate(key, &message, weight, &mut expected)
                .unwrap();
        }
        assert_eq!((levels, sum), (same, expected));
        assert_ne!(sum, [1.0; 7]);
    }
}

#[test]
fn signs_add_the_mean_magnitude_with_the_sign_of_each_element() {
    let (x, mut scale, mut sum) = ([1.0_f64, -2.0, 3.0, -6.0], 0.0, [0.0; 4]);
    // SAFETY: arrays of four.
    unsafe {
        assert_eq!(
            thalweg_sign_compress_f64(x.as_ptr(), 4, &mut scale, null_mut()),
            Status::Ok
        );
        assert_eq!(scale, 3.0);
        let done = thalweg_sign_add_f64(scale, x.as_ptr(), 2, sum.as_mut_ptr(), 4, null_mut());
        assert_eq!(done, Status::Ok);
    }
    assert_eq!(sum, [1.5, -1.5, 1.5, -1.5]);
}

#[test]
fn packed_frames_come_back_and_those_of_another_kind_are_refused() {
    let fields = |kind, k| FrameHeader {
        round: 1,
        seed: 2,
        client: 3,
        d: 4,
        k,
        kind,
        dtype: super::super::wire::THALWEG_DTYPE_F32,
        flags: 0,
    };
    let mut bytes = [0_u8; 64];
    let (mut written, mut count, mut number) = (0, 0, 0.0_f32);
    // SAFETY: arrays as long as is said.
    unsafe {
        let x = [0.5_f32, -0.0, -7.0, 1.0];
        let header = fields(super::super::wire::THALWEG_KIND_SIGN, 4);
        let out = bytes.as_mut_ptr();
        let done = thalweg_frame_write_sign_f32(
            &header,
            2.5,
            x.as_ptr(),
            4,
            out,
            64,
            &mut written,
            null_mut(),
        );
        assert_eq!((done, written), (Status::Ok, 52 + 4 + 1));
        let (mut signs, from) = ([0.0; 4], bytes.as_ptr());
        let done = thalweg_frame_sign_f32(
            from,
            written,
            &mut number,
            signs.as_mut_ptr(),
            4,
            &mut count,
            null_mut(),
        );
        assert_eq!((done, count, number), (Status::Ok, 4, 2.5));
        assert_eq!(signs, [1.0, -1.0, -1.0, 1.0]);
        let mut levels = [0; 4];
        let to = levels.as_mut_ptr();
        let done =
            thalweg_frame_dithered_f32(from, written, &mut number, to, 4, &mut count, null_mut());
        assert_eq!(done, Status::Parameter);

        let header = fields(super::super::wire::THALWEG_KIND_DITHERED, 5);
        let out = bytes.as_mut_ptr();
        let sent = [5, -3, 0, 1];
        let done = thalweg_frame_write_dithered_f32(
            &header,
            9.0,
            sent.as_ptr(),
            4,
            out,
            64,
            &mut written,
            null_mut(),
        );
        // Four bits each: a sign, and magnitudes up to 5.
        assert_eq!((done, written), (Status::Ok, 52 + 4 + 2));
        let from = bytes.as_ptr();
        let done =
            thalweg_frame_dithered_f32(from, written, &mut number, to, 4, &mut count, null_mut());
        assert_eq!((done, count, number), (Status::Ok, 4, 9.0));
        assert_eq!(levels, sent);
        let done =
            thalweg_frame_dithered_f32(from, written, &mut number, to, 3, &mut count, null_mut());
        assert_eq!(done, Status::Length);
    }
}
