use super::*;
use std::vec;
use std::vec::Vec;

/// The definition: sort by magnitude, then by coordinate.
fn sorted<T: Real>(x: &[T], k: usize) -> Vec<(u32, u64)> {
    let mut order: Vec<u32> = (0..x.len() as u32).collect();
    order.sort_by_key(|&i| (core::cmp::Reverse(magnitude(x[i as usize])), i));
    order.truncate(k);
    order.sort_unstable();
    order
        .iter()
        .map(|&i| (i, x[i as usize].to_bits_u64()))
        .collect()
}

fn found<T: Real>(x: &[T], k: usize, room: usize) -> Result<Vec<(u32, u64)>, Error> {
    let (mut values, mut indices) = (vec![T::ZERO; room], vec![0; room]);
    let buffers = Buffers {
        values: &mut values,
        indices: &mut indices,
        ..Buffers::default()
    };
    let Message::Sparse { indices, values } = TopK { k }.compress(Key::default(), x, buffers)?
    else {
        panic!("another kind");
    };
    assert_eq!(indices.len(), k);
    Ok(indices
        .iter()
        .zip(values)
        .map(|(&i, v)| (i, v.to_bits_u64()))
        .collect())
}

fn words(n: usize) -> impl Iterator<Item = u32> {
    (0..n as u32).map(|i| {
        let x = i.wrapping_mul(0x9E37_79B9) ^ 0x1234_5678;
        (x ^ (x >> 15)).wrapping_mul(0x85EB_CA6B)
    })
}

/// Inputs of every temper; the generated ones have no NaN.
fn inputs<T: Real>(n: usize) -> Vec<(&'static str, Vec<T>)> {
    let real = |f: &dyn Fn(usize, u32) -> f64| -> Vec<T> {
        words(n)
            .enumerate()
            .map(|(i, w)| T::from_f64(f(i, w)))
            .collect()
    };
    let unit = |w: u32| f64::from(w) / 2.0_f64.powi(31) - 1.0;
    vec![
        ("uniform", real(&|_, w| unit(w))),
        ("rising", real(&|i, _| i as f64)),
        ("falling", real(&|i, _| -((n - i) as f64))),
        (
            "constant",
            real(&|_, w| if w % 2 == 0 { 2.5 } else { -2.5 }),
        ),
        ("zero", real(&|_, w| if w % 2 == 0 { 0.0 } else { -0.0 })),
        (
            "heavy tail",
            real(&|_, w| 1.0 / (unit(w) * unit(w) * unit(w) + 1e-30)),
        ),
        ("many ties", real(&|_, w| f64::from(w % 7) - 3.0)),
        (
            "one large",
            real(&|i, w| if i == n / 2 { 1e30 } else { unit(w) }),
        ),
        (
            "last large",
            real(&|i, w| {
                if i + n / 50 > n {
                    1e9 + unit(w)
                } else {
                    unit(w)
                }
            }),
        ),
        (
            "mostly zero",
            real(&|_, w| if w % 100 == 0 { unit(w) } else { 0.0 }),
        ),
        ("tiny", real(&|_, w| unit(w) * 1e-41)),
        (
            "infinite",
            real(&|_, w| if w % 64 == 0 { f64::INFINITY } else { unit(w) }),
        ),
    ]
}

fn the_answer_is_that_of_a_full_sort<T: Real>() {
    for n in [1, 2, 31, 32, 33, 1003, 4097] {
        for (name, x) in inputs::<T>(n) {
            for k in [1, n / 100, n / 3, n - 1, n] {
                let k = k.max(1);
                assert_eq!(
                    found(&x, k, k).unwrap(),
                    sorted(&x, k),
                    "{name} n={n} k={k}"
                );
            }
        }
    }
}

#[test]
fn the_answer_is_that_of_a_full_sort_at_every_length() {
    the_answer_is_that_of_a_full_sort::<f32>();
    the_answer_is_that_of_a_full_sort::<f64>();
}

fn sampled_selection_is_exact<T: Real>(k: usize) {
    let n = 5 * SHORT + 13;
    for (name, x) in inputs::<T>(n) {
        let expected = sorted(&x, k);
        for level in crate::testing::levels() {
            for room in [k, candidates(n, k), n] {
                assert!(
                    found(&x, k, room).unwrap() == expected,
                    "{level:?} {name} k={k} room={room}"
                );
            }
        }
    }
}

#[test]
fn sampled_selection_is_exact_at_every_level_and_room() {
    sampled_selection_is_exact::<f32>(1);
    sampled_selection_is_exact::<f32>(1700);
    sampled_selection_is_exact::<f64>(170);
}

#[test]
fn the_short_way_suffices_on_ordinary_vectors_and_on_equal_magnitudes() {
    let n = 40 * SHORT;
    for k in [n / 1000, n / 100, n / 10] {
        for (name, x) in inputs::<f32>(n) {
            if ["one large", "last large", "mostly zero", "tiny", "infinite"].contains(&name) {
                continue;
            }
            let room = candidates(n, k);
            let (mut values, mut indices) = (vec![0.0; room], vec![0; room]);
            assert!(
                short_way(&x, k, &mut values, &mut indices).unwrap(),
                "{name} {k}"
            );
        }
    }
}

#[test]
fn a_nan_is_named_wherever_it_stands() {
    let n = SHORT + 5;
    for at in [0, 31, 32, 20_000, n - 1] {
        for k in [1, 100, n] {
            for room in [k, candidates(n, k)] {
                // With ties, and without.
                for mut x in [vec![1.0_f32; n], (0..n).map(|i| 1.0 + i as f32).collect()] {
                    x[at] = f32::NAN;
                    assert_eq!(found(&x, k, room), Err(not_a_number(at)));
                }
            }
        }
    }
}

#[test]
fn the_error_is_within_the_contraction() {
    for (name, x) in inputs::<f64>(1003) {
        if name == "infinite" {
            continue;
        }
        for k in [1, 10, 500, 1003] {
            let kept: f64 = found(&x, k, k)
                .unwrap()
                .iter()
                .map(|v| f64::from_bits(v.1).powi(2))
                .sum();
            let all: f64 = x.iter().map(|x| x * x).sum();
            let alpha = (TopK { k }).alpha(x.len());
            assert!(
                all - kept <= (1.0 - alpha) * all * (1.0 + 1e-12),
                "{name} {k}"
            );
        }
    }
}

#[test]
fn hostile_messages_leave_the_sum_alone() {
    let mut out = [1.0_f32; 4];
    let hostile: [(&[u32], &[f32]); 5] = [
        (&[0, 4], &[1.0, 1.0]),
        (&[1, 1], &[1.0, 1.0]),
        (&[2, 1], &[1.0, 1.0]),
        (&[0], &[1.0]),
        (&[0, 1, 2], &[1.0, 1.0]),
    ];
    for (indices, values) in hostile {
        let message = Message::Sparse { indices, values };
        let answer = TopK { k: 2 }.accumulate(Key::default(), &message, Weight::ONE, &mut out);
        assert!(answer.is_err(), "{indices:?}");
    }
    assert_eq!(out, [1.0; 4]);
    assert!(matches!(
        found(&[1.0_f32], 2, 2),
        Err(Error::Parameter { name: "k", .. })
    ));
    assert!(matches!(
        found(&[1.0_f32], 0, 2),
        Err(Error::Parameter { name: "k", .. })
    ));
    assert!(matches!(
        found(&[1.0_f32; 3], 2, 1),
        Err(Error::Length { .. })
    ));
}

/// A sample of no use is a slow way to the same result.
#[test]
fn the_sample_is_enough_also_where_neighbours_have_one_magnitude() {
    const D: usize = 100_000;
    for (side_by_side, k) in [(1, 100), (1, 1000), (4, 1000)] {
        let mut n = 0;
        for seed in 0..40 {
            let mut normal = vec![0.0_f32; D / side_by_side];
            let mut rng = crate::random::stream(seed, 0, 0, crate::random::Purpose::DATA);
            crate::random::NoiseStream::new(&mut rng).fill_normal(&mut normal);
            let x: Vec<f32> = (0..D).map(|i| normal[i / side_by_side]).collect();
            let room = candidates(D, k);
            let (mut values, mut indices) = (vec![0.0; room], vec![0; room]);
            n += u32::from(short_way(&x, k, &mut values, &mut indices).unwrap());
        }
        // Independent: five deviations. Side by side: 2.4, one failure in a hundred.
        let least = if side_by_side == 1 { 40 } else { 36 };
        assert!(
            n >= least,
            "{side_by_side} side by side, k = {k}: {n} of 40"
        );
    }
}

#[test]
fn the_room_is_four_deviations_above_the_expected_number_of_candidates() {
    // 82 of the sample; rank 82 + 5 * 9 + 4 = 131, and 131 + 4 * 11 + 4 = 179 of 8192 reach it at most.
    assert_eq!(candidates(1_000_000, 10_000), 179 * 1_000_000 / 8192 + 32);
    // The sample itself has to fit.
    assert_eq!(candidates(SHORT, 1), SAMPLE);
    // Too short, or too many: no sample.
    for (d, k) in [(SHORT - 1, 9), (100_000, 12_501)] {
        assert_eq!(candidates(d, k), k, "{d}");
    }
}

#[test]
fn candidates_that_do_not_fit_are_left_to_the_long_way() {
    // An eighth is wanted, more reach the sampled rank, and the buffers hold `k`.
    let k = 5 * SHORT / 8;
    let (_, x) = inputs::<f32>(5 * SHORT).swap_remove(0);
    assert!(candidates(x.len(), k) > k);
    assert_eq!(found(&x, k, k).unwrap(), sorted(&x, k));
}

#[test]
fn of_ties_the_first_are_sent_also_where_a_larger_one_follows() {
    for room in [2, 3] {
        let x = [1.0_f32, -1.0, 2.0];
        assert_eq!(found(&x, 2, room), Ok(sorted(&x, 2)));
    }
}

#[test]
fn the_room_is_never_less_than_k_and_never_overflows() {
    for d in [
        0,
        1,
        SHORT,
        1 << 30,
        u32::MAX as usize,
        usize::MAX / 2 + 1,
        usize::MAX,
    ] {
        for k in [0, 1, 8192, d / 16, d / 8, d / 8 + 1, d] {
            let room = candidates(d, k);
            assert!(room >= k && (k > d || room <= d.max(k)), "{d} {k}: {room}");
            let lengths = (TopK { k }).lengths(d);
            assert_eq!((lengths.values, lengths.indices), (room, room));
        }
    }
    // The largest vector that TopK takes: a sample of 8192 for one coordinate in 2^32.
    assert!(candidates(u32::MAX as usize, 1) >= SAMPLE);
}
