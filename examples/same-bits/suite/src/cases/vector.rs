//! Slices in, slices out.

use thalweg::{Real, vector};

use crate::{Hash, MISSING, Outcome, paint};

pub(super) fn all<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut y, mut z) = ([T::ZERO; 129], [T::ZERO; 129], [T::ZERO; 129]);
    for n in [0, 1, 5, 31, 32, 33, 64, 129] {
        let x = x.get_mut(..n).ok_or(MISSING)?;
        let y = y.get_mut(..n).ok_or(MISSING)?;
        let z = z.get_mut(..n).ok_or(MISSING)?;
        paint(x, 1);
        paint(y, 2);
        hash.reals(&[
            vector::dot(x, y)?,
            vector::squared_distance(x, y)?,
            vector::sum(x),
            vector::sum_abs(y),
            vector::norm2(x),
            vector::norm2_squared(x),
            vector::norm_inf(y),
        ]);
        hash.index(vector::argmax(x));
        vector::subtract_into(x, y, z)?;
        hash.reals(z);
        vector::axpy(T::from_f64(0.3), x, y)?;
        vector::axpby_into(T::from_f64(0.7), x, T::from_f64(-1.1), y, z)?;
        vector::clamp(T::from_f64(-2.5), T::from_f64(1.5), z)?;
        vector::scale(T::from_f64(1.0 / 3.0), y);
        hash.reals(y);
        hash.reals(z);
        if let Some(last) = x.last_mut() {
            *last = T::NAN;
        }
        hash.index(vector::first_non_finite(x));
        // The norms keep to their range where squares do not.
        vector::scale(T::MAX, y);
        hash.reals(&[vector::norm2(y)]);
    }
    Ok(())
}
