//! A bijection for every `d`, and uniform over keys as far as chi-square sees.

use super::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

const SIZES: [u64; 24] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 24, 31, 63, 64, 65, 113, 127, 1003, 4095, 4097, 10_007,
    65_537,
];

fn assert_bijection(key: u64, d: u64) {
    let p = Permutation::new(key, d);
    let mut seen = vec![false; d as usize];
    for i in 0..d {
        let j = p.forward(i);
        assert!(j < d, "d={d} i={i} j={j}");
        assert!(!seen[j as usize], "d={d}: {j} is hit twice");
        seen[j as usize] = true;
        assert_eq!(p.inverse(j), i, "d={d}");
    }
}

#[test]
fn it_is_a_bijection_of_every_small_range() {
    for d in 1..400 {
        for key in 0..4 {
            assert_bijection(key, d);
        }
    }
}

#[test]
fn it_is_a_bijection_of_large_ranges() {
    for d in SIZES
        .into_iter()
        .chain([1_000_000, (1 << 20) - 1, 1 << 20, 999_983])
    {
        assert_bijection(0x1234_5678_9ABC_DEF0, d);
    }
}

#[test]
fn wide_ranges_invert_and_stay_in_range() {
    for d in [
        (1 << 32) - 1,
        1 << 32,
        (1 << 32) + 1,
        10_000_000_000,
        (1 << 40) - 87,
        u64::MAX - (1 << 33),
        u64::MAX - 1,
        u64::MAX,
    ] {
        let p = Permutation::new(5, d);
        for i in (0..2000).flat_map(|i| [i, d - 1 - i, d / 2 + i]) {
            let j = p.forward(i);
            assert!(j < d);
            assert_eq!(p.inverse(j), i, "d={d}");
        }
        assert_eq!(p.forward(d), d);
    }
}

#[test]
fn nothing_is_permuted_in_an_empty_range() {
    let p = Permutation::new(5, 0);
    assert_eq!((p.forward(0), p.inverse(3)), (0, 3));
    assert!(p.forward_into(0, &mut []).is_ok());
    assert!(p.forward_into(0, &mut [0]).is_err());
}

#[test]
fn the_batch_equals_single_calls_at_every_level() {
    for level in crate::testing::levels() {
        for d in SIZES.into_iter().chain([1_000_000, (1 << 32) - 1, 1 << 32]) {
            let p = Permutation::new(d ^ 77, d);
            for (start, n) in [(0, 0), (0, 1), (0, 31), (0, 33), (d / 3, 1003), (d, 0)] {
                let n = n.min(d - start) as usize;
                for start in [start, d - n as u64] {
                    let mut out = vec![0; n];
                    p.forward_into(start, &mut out).unwrap();
                    for (i, j) in (start..).zip(out) {
                        assert_eq!(u64::from(j), p.forward(i), "{level:?} d={d} i={i}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_batch_out_of_range_writes_nothing() {
    let mut out = [9; 4];
    assert!(Permutation::new(1, 10).forward_into(7, &mut out).is_err());
    assert!(
        Permutation::new(1, 10)
            .forward_into(u64::MAX, &mut out)
            .is_err()
    );
    assert!(
        Permutation::new(1, (1 << 32) + 1)
            .forward_into(0, &mut out)
            .is_err()
    );
    assert_eq!(out, [9; 4]);
}

#[test]
fn values_match_python() {
    // core/tests/golden/random.py.
    let row = |key, d, start: u64| -> Vec<u64> {
        let p = Permutation::new(key, d);
        (start..start + 6).map(|i| p.forward(i)).collect()
    };
    assert_eq!(row(1, 9, 0), [6, 4, 3, 1, 7, 5]);
    assert_eq!(row(2, 24, 10), [22, 6, 14, 7, 21, 5]);
    assert_eq!(row(3, 113, 100), [61, 62, 14, 77, 4, 49]);
    assert_eq!(
        row(4, 1_000_000, 0),
        [98_760, 205_207, 943_035, 350_504, 818_928, 332_370]
    );
    assert_eq!(
        row(5, 1 << 32, 0),
        [
            1_441_548_728,
            3_816_681_096,
            4_076_776_175,
            973_347_087,
            1_472_875_810,
            2_947_262_361
        ]
    );
    assert_eq!(
        row(6, u64::MAX, 1 << 63)[..3],
        [
            10_218_079_225_475_702_952,
            11_571_182_895_051_492_413,
            13_486_176_255_537_812_098
        ]
    );
}

/// Chi-square of counts against expectations as a normal score (Wilson and Hilferty): above 5 with probability
/// 3e-7, which is the false alarm of each comparison below.
fn score(cells: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let (mut chi, mut freedom) = (0.0, -1.0);
    for (count, expected) in cells {
        chi += (count - expected) * (count - expected) / expected;
        freedom += 1.0;
    }
    let spread = 2.0 / (9.0 * freedom);
    ((chi / freedom).cbrt() - 1.0 + spread) / spread.sqrt()
}

/// The permutation of a key, with another number of rounds where one is given.
fn with_rounds(key: u64, d: u64, rounds: Option<u32>) -> Permutation {
    let p = Permutation::new(key, d);
    let rounds = rounds.unwrap_or(p.rounds);
    Permutation { rounds, ..p }
}

/// Score of the frequencies of all `d!` orders, 1200 expected of each.
fn order_score(d: u64, orders: u64, rounds: Option<u32>) -> f64 {
    let mut counts = BTreeMap::new();
    for key in 0..1200 * orders {
        let p = with_rounds(key, d, rounds);
        let code = (0..d).fold(0, |code, i| code * 8 + p.forward(i));
        *counts.entry(code).or_insert(0.0) += 1.0;
    }
    let missing = orders as usize - counts.len();
    let found = counts.into_values();
    score(
        found
            .chain(std::iter::repeat_n(0.0, missing))
            .map(|count| (count, 1200.0)),
    )
}

#[test]
fn every_order_of_two_to_six_is_equally_likely() {
    for (d, orders) in [(2, 2), (3, 6), (4, 24), (5, 120), (6, 720)] {
        let z = order_score(d, orders, None);
        assert!(z < 5.0, "d={d} z={z}");
    }
}

#[test]
fn orders_would_tell_too_few_rounds() {
    // Rounds that the counts above still notice: the power of the test, not a property of the permutation.
    for (d, orders, rounds) in [(4, 24, 6), (5, 120, 12), (6, 720, 14)] {
        let z = order_score(d, orders, Some(rounds));
        assert!(z > 5.0, "d={d}: {rounds} rounds go unnoticed, z={z}");
    }
}

#[test]
fn rounds_are_those_of_the_table() {
    // A deviation of 1e-6 is beyond any count of frequencies: the number of rounds is held as such.
    let table = [
        (2, 42),
        (3, 42),
        (4, 42),
        (9, 28),
        (24, 22),
        (113, 14),
        (1000, 10),
        (10_000, 8),
        (1_000_000, 6),
        (1 << 39, 6),
        (1 << 40, 4),
        (u64::MAX, 4),
    ];
    for (d, rounds) in table {
        assert_eq!(Permutation::new(1, d).rounds, rounds, "d={d}");
    }
    for d in 3..2000 {
        let p = Permutation::new(1, d);
        let half = p.rounds / 2 - 1;
        let mixing = (u64::from(p.b1) + 1).checked_pow(half).unwrap();
        assert!(mixing >= MIXING, "d={d}");
    }
}

#[test]
fn every_position_goes_everywhere_equally_often() {
    for d in [7, 24, 113] {
        let keys = 20_000;
        let mut counts = vec![vec![0.0; d as usize]; d as usize];
        for key in 0..keys {
            let p = Permutation::new(key, d);
            for i in 0..d {
                counts[i as usize][p.forward(i) as usize] += 1.0;
            }
        }
        for row in counts {
            let z = score(row.into_iter().map(|c| (c, keys as f64 / d as f64)));
            assert!(z < 5.0, "d={d} z={z}");
        }
    }
}

/// Largest score over all pairs of positions of the frequencies of the pairs of their images.
///
/// Each of the `d (d - 1) / 2` scores is above 5 by chance once in 3 million.
fn pair_score(d: u64, keys: u64, rounds: Option<u32>) -> f64 {
    let n = d as usize;
    let mut counts = vec![0.0; n * n * n * n];
    let mut image = vec![0; n];
    for key in 0..keys {
        let p = with_rounds(key, d, rounds);
        p.forward_into(0, &mut image).unwrap();
        for i in 1..n {
            for j in 0..i {
                counts[((i * n + j) * n + image[i] as usize) * n + image[j] as usize] += 1.0;
            }
        }
    }
    let expected = keys as f64 / (d * (d - 1)) as f64;
    let of_pair = |i: usize, j: usize| {
        let counts = &counts[(i * n + j) * n * n..][..n * n];
        let apart = counts.iter().enumerate().filter(|(c, _)| c / n != c % n);
        score(apart.map(|(_, count)| (*count, expected)))
    };
    let pairs = (1..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    pairs.map(|(i, j)| of_pair(i, j)).fold(f64::MIN, f64::max)
}

#[test]
fn pairs_go_to_every_pair_of_places_equally_often() {
    for d in [3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24] {
        let z = pair_score(d, 100_000, None);
        assert!(z < 5.0, "d={d} z={z}");
    }
}

#[test]
fn pairs_would_tell_too_few_rounds() {
    // Rounds that 100 000 keys still notice at each d: the power of the test above.
    for (d, rounds) in [
        (3, 4),
        (4, 6),
        (5, 10),
        (6, 12),
        (7, 12),
        (8, 14),
        (9, 8),
        (10, 8),
        (12, 8),
        (16, 6),
        (20, 6),
        (24, 6),
    ] {
        let z = pair_score(d, 100_000, Some(rounds));
        assert!(z > 5.0, "d={d}: {rounds} rounds go unnoticed, z={z}");
    }
}

#[test]
fn chosen_pairs_of_a_larger_range_go_everywhere_equally_often() {
    // Pairs that share a digit are the last that a network with too few rounds mixes.
    let (d, keys) = (113_u64, 100_000);
    let b = u64::from(Permutation::new(0, d).b1) + 1;
    for (i, j) in [
        (0, 1),
        (0, b),
        (d / 2, d - 1),
        (0, d - 1),
        (b - 1, 2 * b - 1),
    ] {
        let mut counts = vec![0.0; (d * d) as usize];
        for key in 0..keys {
            let p = Permutation::new(key, d);
            counts[(p.forward(i) * d + p.forward(j)) as usize] += 1.0;
        }
        let expected = keys as f64 / (d * (d - 1)) as f64;
        let cells = (0..d * d)
            .filter(|c| c / d != c % d)
            .map(|c| (counts[c as usize], expected));
        let z = score(cells);
        assert!(z < 5.0, "({i}, {j}) z={z}");
    }
}

#[test]
fn neighbours_in_a_large_range_part_at_random() {
    // Differences of images of neighbours, in 64 cells, over a whole permutation and over keys.
    let cells = 64;
    for d in [4096_u64, 1_000_000] {
        let p = Permutation::new(11, d);
        for step in [1, u64::from(p.b1) + 1] {
            let mut counts = vec![0.0; cells as usize];
            for i in 0..d {
                let (u, v) = (p.forward(i), p.forward((i + step) % d));
                counts[(((v + d - u) % d) * cells / d) as usize] += 1.0;
            }
            let z = score(counts.iter().map(|c| (*c, d as f64 / cells as f64)));
            assert!(z < 5.0, "d={d} step={step} z={z}");
        }
    }
}

#[test]
fn the_first_element_and_its_neighbour_keys_are_uniform() {
    // Image of 0 for key k, and its difference to the image for key k + 1.
    let (cells, keys) = (100_u64, 400_000);
    for d in [1000_u64, 1_000_000] {
        let mut first = vec![0.0; cells as usize];
        let mut change = first.clone();
        let mut last = Permutation::new(u64::MAX, d).forward(0);
        for key in 0..keys {
            let j = Permutation::new(key, d).forward(0);
            first[(j * cells / d) as usize] += 1.0;
            change[((j + d - last) % d * cells / d) as usize] += 1.0;
            last = j;
        }
        for counts in [first, change] {
            let z = score(counts.iter().map(|c| (*c, keys as f64 / cells as f64)));
            assert!(z < 5.0, "d={d} z={z}");
        }
    }
}

#[test]
fn fixed_points_have_mean_one_and_variance_one() {
    for d in [10_u64, 113, 1000] {
        let keys = 20_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for key in 0..keys {
            let p = Permutation::new(key, d);
            let mut image = vec![0; d as usize];
            p.forward_into(0, &mut image).unwrap();
            let n = (0..d)
                .zip(image)
                .filter(|(i, j)| *i == u64::from(*j))
                .count() as f64;
            sum += n;
            squares += (n - 1.0) * (n - 1.0);
        }
        // Poisson(1) to within 1/10!: variance 1, fourth central moment 4. 5 standard errors: 5.7e-7.
        let n = keys as f64;
        assert!((sum / n - 1.0).abs() < 5.0 / n.sqrt(), "d={d} {}", sum / n);
        assert!((squares / n - 1.0).abs() < 5.0 * (3.0 / n).sqrt(), "d={d}");
    }
}

#[test]
fn half_of_the_permutations_are_odd() {
    // With two odd radices (d = 9 as 3 x 3) none would be.
    for d in [9_u64, 25, 113] {
        let keys = 20_000;
        let mut odd = 0.0;
        for key in 0..keys {
            let p = Permutation::new(key, d);
            let image: Vec<u64> = (0..d).map(|i| p.forward(i)).collect();
            let mut seen = vec![false; d as usize];
            let mut sign = 0;
            for start in 0..d as usize {
                let (mut at, mut length) = (start, 0);
                while !seen[at] {
                    seen[at] = true;
                    at = image[at] as usize;
                    length += 1;
                }
                sign ^= u32::from(length > 0 && length % 2 == 0);
            }
            odd += f64::from(sign);
        }
        let n = keys as f64;
        // 5 standard errors of a fair coin.
        assert!((odd / n - 0.5).abs() < 2.5 / n.sqrt(), "d={d} {}", odd / n);
    }
}
