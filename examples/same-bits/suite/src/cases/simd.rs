//! Functions of lane math: on slices and on single numbers.

use thalweg::simd::{self, Lanes, Map, math};
use thalweg::{Real, vector};

use crate::{Hash, Outcome, paint};

/// Multiplication by powers of two, on lanes.
#[derive(Clone, Copy)]
struct Scale;
impl<T: Real> Map<T, 2, 1> for Scale {
    fn apply<L: Lanes<Scalar = T>>(&self, [x, k]: [L; 2]) -> [L; 1] {
        [math::scale(x, k)]
    }
}

macro_rules! each {
    ($x:ident, $out:ident, $hash:ident; $($one:ident $into:ident)*) => {$(
        math::$into(&$x, &mut $out)?;
        $hash.reals(&$out);
        for &x in $x.iter().take(5) {
            $hash.reals(&[math::scalar::$one(x)]);
        }
    )*};
}

macro_rules! pairs {
    ($x:ident, $out:ident, $other:ident, $hash:ident; $($one:ident $into:ident)*) => {$(
        math::$into(&$x, &mut $out, &mut $other)?;
        $hash.reals(&$out);
        $hash.reals(&$other);
        for &x in $x.iter().take(5) {
            let (sin, cos) = math::scalar::$one(x);
            $hash.reals(&[sin, cos]);
        }
    )*};
}

pub(super) fn functions<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut out, mut other) = ([T::ZERO; 67], [T::ZERO; 67], [T::ZERO; 67]);
    for (phase, scale) in [(3, 1.0), (4, 0.01), (5, 40.0)] {
        paint(&mut x, phase);
        vector::scale(T::from_f64(scale), &mut x);
        each!(x, out, hash;
            exp exp_into
            exp2 exp2_into
            expm1 expm1_into
            tanh tanh_into
            sigmoid sigmoid_into
            softplus softplus_into
            erf erf_into
            normal_cdf normal_cdf_into
            sin sin_into
            cos cos_into
        );
        pairs!(x, out, other, hash; sin_cos sin_cos_into sin_cos_turns sin_cos_turns_into);
        let k = x.map(|x| T::from_f64(f64::from(x.to_f64() as i32)));
        simd::map(&Scale, [&x, &k], [&mut out]);
        hash.reals(&out);
        x = x.map(|x| x.abs());
        each!(x, out, hash; ln ln_into ln_1p ln_1p_into);
    }
    Ok(())
}
