use super::*;
use std::vec;
use std::vec::Vec;

fn key(round: u64) -> Key {
    Key {
        seed: 2,
        round,
        client: 1,
    }
}

fn applied<T: Real>(c: &impl Compressor<T>, round: u64, x: &[T]) -> Vec<T> {
    let mut levels = vec![0; x.len()];
    let buffers = Buffers {
        levels: &mut levels,
        ..Buffers::default()
    };
    let message = c.compress(key(round), x, buffers).unwrap();
    let mut out = vec![T::ZERO; x.len()];
    c.accumulate(key(round), &message, Weight::ONE, &mut out)
        .unwrap();
    out
}

fn is_unbiased<T: Real>(c: &(impl Unbiased + Compressor<T>)) {
    let x: Vec<T> = (0..9)
        .map(|i| T::from_f64(f64::from(i) / 4.0 - 1.0))
        .collect();
    let draws = 30_000;
    let (mut mean, mut square) = ([0.0; 9], 0.0);
    for round in 0..draws {
        for (m, v) in mean.iter_mut().zip(applied(c, round, &x)) {
            *m += v.to_f64() / draws as f64;
            square += v.to_f64().powi(2) / draws as f64;
        }
    }
    let norm: f64 = x.iter().map(|x| x.to_f64().powi(2)).sum();
    for (m, x) in mean.iter().zip(&x) {
        // Standard errors are below 2.3 / sqrt(30 000) = 0.013.
        assert!((m - x.to_f64()).abs() < 0.05, "{m} for {x}");
    }
    assert!(
        square <= (1.0 + c.omega(9)) * norm * 1.01,
        "{square} {norm}"
    );
    assert!(square >= norm * 0.99);
}

#[test]
fn all_forms_are_unbiased_within_the_stated_omega() {
    for norm in [Norm::Two, Norm::Max] {
        for levels in [1, 2, 5, 15, 255] {
            is_unbiased::<f32>(&Dithering { levels, norm });
        }
        for levels in [1, 2, 5, 8] {
            is_unbiased::<f32>(&NaturalDithering { levels, norm });
        }
    }
    is_unbiased::<f64>(&Dithering::qsgd(3));
    is_unbiased::<f64>(&NaturalDithering {
        levels: 4,
        norm: Norm::Two,
    });
}

#[test]
fn the_terngrad_constant_is_reached() {
    // |C|^2 has mean |x|_max |x|_1, and (1 + sqrt d)/2 |x|^2 is attained by (1 + sqrt d, 1, 1, ... 1):
    // d = 4, x = (3, 1, 1, 1): 3 * 6 = 18 = 1.5 * 12.
    let x = [3.0_f64, 1.0, 1.0, 1.0];
    let c = Dithering::tern_grad();
    let draws = 50_000;
    let square: f64 = (0..draws)
        .map(|round| applied(&c, round, &x).iter().map(|v| v * v).sum::<f64>())
        .sum();
    assert!(
        (square / draws as f64 / 18.0 - 1.0).abs() < 0.01,
        "{square}"
    );
    assert_eq!(c.omega(4), 0.5);
}

#[test]
fn values_on_levels_are_sent_exactly() {
    let x = [3.0_f32, -4.0, 0.0];
    assert_eq!(applied(&Dithering::qsgd(5), 0, &x), x);
    let x = [1.0_f32, -0.25, 0.5, 0.0, -0.0];
    let c = NaturalDithering {
        levels: 3,
        norm: Norm::Max,
    };
    for round in 0..50 {
        assert_eq!(applied(&c, round, &x), x);
    }
}

#[test]
fn the_zero_vector_stays_zero_and_non_finite_ones_are_named() {
    let c = Dithering::qsgd(4);
    assert_eq!(applied(&c, 0, &[0.0_f32; 5]), [0.0; 5]);
    assert!(applied::<f32>(&c, 0, &[]).is_empty());
    for norm in [Norm::Two, Norm::Max] {
        let c = Dithering { levels: 4, norm };
        let mut levels = [0; 2];
        let buffers = Buffers {
            levels: &mut levels,
            ..Buffers::default()
        };
        let error = c.compress(key(0), &[1.0_f32, f32::INFINITY], buffers);
        assert_eq!(
            error,
            Err(Error::NonFinite {
                name: "x",
                at: crate::At::Element(1)
            })
        );
    }
}

#[test]
fn the_zero_vector_is_sent_as_zeros() {
    let x = [0.0_f32, -0.0, 0.0];
    for norm in [Norm::Two, Norm::Max] {
        let mut levels = [7; 3];
        let buffers = Buffers {
            levels: &mut levels,
            ..Buffers::default()
        };
        let message = Dithering { levels: 4, norm }.compress(key(0), &x, buffers);
        let (norm_of, most, levels) = (0.0, 4, &[0; 3][..]);
        let expected = Message::Dithered {
            norm: norm_of,
            most,
            levels,
        };
        assert_eq!(message, Ok(expected));
        let mut levels = [7; 3];
        let buffers = Buffers {
            levels: &mut levels,
            ..Buffers::default()
        };
        let message = NaturalDithering { levels: 4, norm }.compress(key(0), &x, buffers);
        let (norm, levels) = (0.0, &[0; 3][..]);
        assert_eq!(message, Ok(Message::NaturalDithered { norm, most, levels }));
    }
}

#[test]
fn the_norm_of_floats_is_rounded_once_and_that_of_doubles_does_not_overflow() {
    // 2^24 + 1 is no float: a sum of floats would lose each of the ones. sqrt(2^24 + 4) rounds to 2^12 + 2^-11.
    let mut x = vec![0.0_f32; 5 * 32];
    for x in x.iter_mut().step_by(32) {
        *x = 1.0;
    }
    x[0] = 4096.0;
    assert_eq!(norm(Norm::Two, &x), Ok(4096.0 + 1.0 / 2048.0));
    let long = vec![0.5_f32; 3 * CHUNK + 4 * 9];
    assert_eq!(norm(Norm::Two, &long[..CHUNK]), Ok(8.0));
    assert_eq!(norm(Norm::Two, &long[..3 * CHUNK + 16]), Ok(14.0));
    let huge = 2.0_f64.powi(700);
    assert_eq!(norm(Norm::Two, &[3.0 * huge, -4.0 * huge]), Ok(5.0 * huge));
    assert_eq!(norm(Norm::Max, &[3.0 * huge, -4.0 * huge]), Ok(4.0 * huge));
}

#[test]
fn norms_survive_extreme_magnitudes() {
    for scale in [1e-40_f32, 1e-30, 1e37] {
        let x = [3.0 * scale, -4.0 * scale];
        let y = applied(&Dithering::qsgd(1 << 20), 0, &x);
        for (x, y) in x.iter().zip(y) {
            assert!((x / y - 1.0).abs() < 1e-5, "{x} {y}");
        }
    }
}

#[test]
fn hostile_levels_leave_the_sum_alone() {
    let mut out = [1.0_f32; 2];
    for levels in [&[5, 0][..], &[0, i32::MIN], &[1]] {
        let message = Message::Dithered {
            norm: 1.0,
            most: 4,
            levels,
        };
        let c = Dithering::qsgd(4);
        assert!(
            c.accumulate(key(0), &message, Weight::ONE, &mut out)
                .is_err()
        );
    }
    // Levels that divide another number of parts.
    let (norm, levels) = (1.0, &[1, 0][..]);
    for most in [3, 5] {
        let message = Message::Dithered { norm, most, levels };
        let error = Dithering::qsgd(4).accumulate(key(0), &message, Weight::ONE, &mut out);
        assert_eq!(error, check_most(4, most));
        let message = Message::NaturalDithered { norm, most, levels };
        let natural = NaturalDithering {
            levels: 4,
            norm: Norm::Two,
        };
        let error = natural.accumulate(key(0), &message, Weight::ONE, &mut out);
        assert!(matches!(
            error,
            Err(Error::Parameter {
                name: "message",
                ..
            })
        ));
    }
    assert_eq!(out, [1.0; 2]);
    let zero = Dithering::qsgd(0);
    let most = Dithering::qsgd(MAX_LEVELS + 1);
    assert!(zero.validate(3).is_err());
    assert!(most.validate(3).is_err());
}

#[test]
fn every_level_of_simd_gives_the_same_levels() {
    for n in [1, 31, 32, 33, CHUNK, CHUNK + 1, 1003] {
        let x: Vec<f32> = (0..n)
            .map(|i| ((i * 37) % 251) as f32 / 16.0 - 7.8)
            .collect();
        let natural = NaturalDithering {
            levels: 6,
            norm: Norm::Two,
        };
        let all = || {
            (
                applied(&Dithering::qsgd(300), 3, &x),
                applied(&natural, 3, &x),
            )
        };
        let expected = all();
        for level in crate::testing::levels() {
            assert_eq!(all(), expected, "{level:?} n={n}");
        }
    }
}
