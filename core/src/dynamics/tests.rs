//! The golden file of the sparse model, and what its tests share.

use crate::Real;
use std::vec::Vec;

/// Samples and dimensions of the golden problem.
pub(super) const SHAPE: [usize; 2] = [3, 6];
/// Its start: `u`, then `v`.
pub(super) const START: [f64; 12] = [
    1.0, -0.75, 0.5, 1.25, -1.0, 0.875, 0.75, 1.0, -0.5, -1.5, 1.25, 1.0,
];

fn word(k: usize) -> f64 {
    (((k as u64 * 2_654_435_761) % (1 << 32)) >> 16) as f64 / 32768.0 - 1.0
}

pub(super) fn data<T: Real>() -> Vec<T> {
    let [n, d] = SHAPE;
    (0..n * d)
        .map(|k| T::from_f64(2.0 * word(37 * (k / d) + 101 * (k % d) + 13)))
        .collect()
}

pub(super) fn labels<T: Real>() -> Vec<T> {
    (0..SHAPE[0])
        .map(|i| T::from_f64(word(11 * i + 5)))
        .collect()
}

/// The numbers of `core/tests/golden/label_noise.py` under a name.
pub(super) fn golden(name: &str) -> Vec<f64> {
    let text = include_str!("../../tests/golden/label_noise.txt");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().split(' ').map(hexadecimal).collect()
}

/// Python's `float.hex`: sign, `0x1.`, 13 digits, `p`, exponent.
fn hexadecimal(text: &str) -> f64 {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let (digits, exponent) = text.strip_prefix("0x1.").unwrap().split_once('p').unwrap();
    let mantissa = u64::from_str_radix(digits, 16).unwrap() as f64 / 16_f64.powi(13);
    sign * (1.0 + mantissa) * 2_f64.powi(exponent.parse().unwrap())
}

#[track_caller]
pub(super) fn assert_close<T: Real>(found: &[T], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found.to_f64() - expected).abs();
        assert!(
            error <= tolerance * expected.abs().max(1.0),
            "{i}: {found} {expected}"
        );
    }
}

/// Runs at every level of the machine and compares bits.
#[track_caller]
pub(super) fn levels(run: impl Fn() -> Vec<u32>) {
    let mut expected = None;
    for level in crate::testing::levels() {
        let found = run();
        assert_eq!(
            *expected.get_or_insert_with(|| found.clone()),
            found,
            "{level:?}"
        );
    }
}
