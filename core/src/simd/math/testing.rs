//! How the functions are measured: all of `f32` against `f64`, and `f64` against a table from mpmath.

use std::string::String;
use std::vec::Vec;
use std::{format, println, thread, vec};

use crate::{Error, Real};

/// A function on slices.
pub(super) type Slices<T> = fn(&[T], &mut [T]) -> Result<(), Error>;

/// The largest error found, in ULP of the true value, and its argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worst {
    pub(super) ulp: f64,
    at: f64,
    found: f64,
}

impl Worst {
    const NONE: Self = Self {
        ulp: 0.0,
        at: 0.0,
        found: 0.0,
    };

    fn or(self, other: Self) -> Self {
        if other.ulp > self.ulp { other } else { self }
    }

    /// Fails above a bound; says what was found in any case (`--nocapture`).
    pub(super) fn within(self, bound: f64, what: &str) {
        let Self { ulp, at, found } = self;
        println!("{what}: {ulp:.3} ULP at {at:e}");
        assert!(ulp <= bound, "{what}({at:e}) = {found:e}: {ulp} ULP");
    }
}

/// Error of an `f32`; infinite when NaN, an infinity or the sign of an exact zero is wrong.
fn error_f32(x: f32, found: f32, truth: f64) -> Worst {
    const BEYOND: f64 = f32::MAX as f64 * (1.0 + 0.5 * f32::EPSILON as f64);
    let ulp = if truth.is_nan() || found.is_nan() {
        if truth.is_nan() && found.is_nan() {
            0.0
        } else {
            f64::INFINITY
        }
    } else if truth == 0.0 {
        if found.to_bits() == (truth as f32).to_bits() {
            0.0
        } else {
            f64::INFINITY
        }
    } else if truth.is_infinite() {
        // A pole or infinity, or an overflow that even `f64` sees.
        if f64::from(found) == truth {
            0.0
        } else {
            f64::INFINITY
        }
    } else {
        // Infinity counts as 2^128, the number after the largest.
        let found = f64::from(found).clamp(-BEYOND, BEYOND);
        let truth = truth.clamp(-BEYOND, BEYOND);
        let exponent = ((truth.to_bits() >> 52) & 0x7ff) as i64 - 1023;
        let ulp = f64::from_bits(((exponent.max(-126) - 23 + 1023) as u64) << 52);
        (found - truth).abs() / ulp
    };
    Worst {
        ulp,
        at: x.into(),
        found: found.into(),
    }
}

/// The largest error over every `step`-th bit pattern that the function is defined for.
pub(super) fn worst_f32(
    function: Slices<f32>,
    truth: fn(f64) -> f64,
    defined: fn(f64) -> bool,
    step: u64,
) -> Worst {
    const THREADS: u64 = 2;
    let run = |thread: u64| {
        let (mut x, mut y) = (Vec::with_capacity(4096), vec![0.0; 4096]);
        let mut worst = Worst::NONE;
        let mut pattern = thread * step;
        while pattern < 1 << 32 {
            x.clear();
            while x.len() < 4096 && pattern < 1 << 32 {
                x.push(f32::from_bits(pattern as u32));
                pattern += THREADS * step;
            }
            let out = &mut y[..x.len()];
            function(&x, out).unwrap();
            for (&x, &y) in x.iter().zip(out.iter()) {
                if !defined(x.into()) {
                    continue;
                }
                let truth = truth(x.into());
                // Nine in ten are correctly rounded: no need to measure by how much.
                if truth == 0.0 || (truth as f32).to_bits() != y.to_bits() {
                    worst = worst.or(error_f32(x, y, truth));
                }
            }
        }
        worst
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| run(1));
        run(0).or(other.join().unwrap())
    })
}

/// The largest error over the lines of a table that belong to a function.
///
/// Lines hold the name and the bit patterns of the argument, of the correctly rounded value and of the rest.
pub(super) fn worst_f64(name: &str, function: Slices<f64>, table: &str) -> Worst {
    let number = |s: &str| f64::from_bits(u64::from_str_radix(s, 16).unwrap());
    let mut lines = 0;
    let mut worst = Worst::NONE;
    for line in table.lines() {
        let mut words = line.split(' ');
        if words.next() != Some(name) {
            continue;
        }
        lines += 1;
        let [x, high, low] = [(); 3].map(|()| number(words.next().unwrap()));
        let mut out = [0.0];
        function(&[x], &mut out).unwrap();
        let [found] = out;
        let ulp = if high.is_nan() || high == 0.0 || high.is_infinite() {
            let same = found.to_bits() == high.to_bits() || (high.is_nan() && found.is_nan());
            if same { 0.0 } else { f64::INFINITY }
        } else if !found.is_finite() {
            f64::INFINITY
        } else {
            let exponent = ((high.to_bits() >> 52) & 0x7ff).max(1);
            let ulp = f64::from_bits(match exponent.checked_sub(52) {
                None | Some(0) => 1 << (exponent - 1),
                Some(normal) => normal << 52,
            });
            ((found - high) - low).abs() / ulp
        };
        worst = worst.or(Worst { ulp, at: x, found });
    }
    assert!(lines > 100, "{name} has {lines} lines");
    worst
}

/// Arguments that exercise every part of a function.
fn arguments<T: Real>() -> Vec<T> {
    let top = T::MAX.to_bits_u64() | (T::ONE.to_bits_u64() ^ (-T::ONE).to_bits_u64());
    let step = top / 20_011;
    let mut x: Vec<T> = (0..20_011).map(|i| T::from_bits_u64(i * step)).collect();
    for special in [
        0.0,
        1.0,
        1e-300,
        1e-40,
        1e-20,
        88.8,
        709.8,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
    ] {
        x.extend([T::from_f64(special), T::from_f64(-special)]);
    }
    x.extend((-2000..2000).map(|i| T::from_f64(f64::from(i) / 19.0)));
    x.push(T::from_bits_u64(1));
    x
}

/// Every level gives the bits of `Scalar`.
pub(super) fn same_at_every_level<T: Real>(function: Slices<T>) {
    let x = arguments::<T>();
    let mut plain = None;
    for level in crate::testing::levels() {
        let mut y = vec![T::ZERO; x.len()];
        function(&x, &mut y).unwrap();
        let plain = plain.get_or_insert_with(|| y.clone());
        for ((x, y), p) in x.iter().zip(y).zip(plain) {
            assert!(
                y.to_bits_u64() == p.to_bits_u64() || (y.is_nan() && p.is_nan()),
                "{level:?} {x:e}: {:x} is not {:x}",
                y.to_bits_u64(),
                p.to_bits_u64()
            );
        }
    }
}

/// The table in the repository.
pub(super) const TABLE: &str = include_str!("../../../tests/golden/math.txt");

/// A larger table, written by `math_table.py`.
pub(super) fn large_table() -> String {
    let path = std::env::var("THALWEG_MATH_TABLE").unwrap();
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}", format!("{path}: {e}")))
}

/// The tests of one function: its slice form, the truth in `f64`, where it is defined, and the two bounds.
macro_rules! accuracy {
    ($name:literal, $into:path, $truth:expr, $defined:expr, f32 $f32:literal, f64 $f64:literal) => {
        use $crate::simd::math::testing;

        #[test]
        fn f32_error_is_within_the_stated_bound_on_a_grid() {
            testing::worst_f32($into, $truth, $defined, 4099).within($f32, $name);
        }

        #[test]
        #[ignore = "every f32: minutes"]
        fn f32_error_is_within_the_stated_bound_everywhere() {
            testing::worst_f32($into, $truth, $defined, 1).within($f32, $name);
        }

        #[test]
        fn f64_error_is_within_the_stated_bound_on_the_table() {
            testing::worst_f64($name, $into, testing::TABLE).within($f64, $name);
        }

        #[test]
        #[ignore = "needs THALWEG_MATH_TABLE from core/tests/golden/math_table.py"]
        fn f64_error_is_within_the_stated_bound_on_a_large_table() {
            testing::worst_f64($name, $into, &testing::large_table()).within($f64, $name);
        }

        #[test]
        fn bits_are_the_same_at_every_level() {
            testing::same_at_every_level::<f32>($into);
            testing::same_at_every_level::<f64>($into);
        }
    };
}
pub(super) use accuracy;
