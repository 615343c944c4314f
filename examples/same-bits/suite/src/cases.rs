//! The cases, in the order of the table.

use thalweg::{Error, Real, vector};

use crate::{Case, Hash, paint};

/// Every case of the suite.
pub const CASES: &[Case] = &[
    ("vector f32", vectors::<f32>),
    ("vector f64", vectors::<f64>),
];

/// Feeds an error in place of numbers, so that a wrong length cannot pass unnoticed.
fn must<T: Default>(result: Result<T, Error>, hash: &mut Hash) -> T {
    result.unwrap_or_else(|_| {
        hash.word(0xdead);
        T::default()
    })
}

fn vectors<T: Real>(hash: &mut Hash) {
    let (mut x, mut y, mut z) = ([T::ZERO; 257], [T::ZERO; 257], [T::ZERO; 257]);
    for n in [0, 1, 5, 31, 32, 33, 64, 257] {
        let (x, y, z) = (&mut x[..n], &mut y[..n], &mut z[..n]);
        paint(x, 1);
        paint(y, 2);
        let dot = must(vector::dot(x, y), hash);
        let distance = must(vector::squared_distance(x, y), hash);
        hash.reals(&[
            dot,
            distance,
            vector::sum(x),
            vector::sum_abs(y),
            vector::norm2(x),
        ]);
        hash.reals(&[vector::norm_inf(y)]);
        must(vector::axpy(T::from_f64(0.3), x, y), hash);
        must(
            vector::axpby_into(T::from_f64(0.7), x, T::from_f64(-1.1), y, z),
            hash,
        );
        must(vector::clamp(T::from_f64(-2.5), T::from_f64(1.5), z), hash);
        vector::scale(T::from_f64(1.0 / 3.0), y);
        hash.reals(y);
        hash.reals(z);
    }
}
