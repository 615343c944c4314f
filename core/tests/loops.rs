//! The elementwise loops of [`thalweg::simd`]: the first and the last register of a slice overlap their neighbours, and each element is
//! still read once and written once.
//!
//! Every level of the machine, every short length, several offsets from an aligned place. A body that adds to what it overwrites shows
//! a register that was read after its neighbour was stored; Miri (`cargo +nightly miri test -p thalweg --test loops`)
//! shows an access outside of a slice. Small integers: every operation is exact, so that the expected values are those of one
//! plain loop.

use thalweg::Real;
use thalweg::simd::{self, Lanes, Level, Map, Sum, Update};

/// `a + c d`, `b - c`.
#[derive(Clone, Copy)]
struct Two;
impl<T: Real> Update<T, 2, 2> for Two {
    fn apply<L: Lanes<Scalar = T>>(&self, [a, b]: [L; 2], [c, d]: [L; 2]) -> [L; 2] {
        [a + c * d, b - c]
    }
}

/// `a + c`.
#[derive(Clone, Copy)]
struct One;
impl<T: Real> Update<T, 1, 1> for One {
    fn apply<L: Lanes<Scalar = T>>(&self, [a]: [L; 1], [c]: [L; 1]) -> [L; 1] {
        [a + c]
    }
}

/// The square, and `-a` unless `a` is 0.
#[derive(Clone, Copy)]
struct Out;
impl<T: Real> Map<T, 1, 2> for Out {
    fn apply<L: Lanes<Scalar = T>>(&self, [a]: [L; 1]) -> [L; 2] {
        [a * a, L::select(a.lt(a.constant(T::ONE)), a, -a)]
    }
}

/// `a b` and the lesser of both.
#[derive(Clone, Copy)]
struct Terms;
impl<T: Real> Sum<T, 2, 2> for Terms {
    fn terms<L: Lanes<Scalar = T>>(&self, [a, b]: [L; 2]) -> [L; 2] {
        [a * b, a.least(b)]
    }
}

/// Elements behind a slice, which nobody may touch.
const BEHIND: usize = 3;

fn check<T: Real>(level: Level, n: usize, offset: usize) {
    let inside = offset..offset + n;
    let number = |i: usize, salt: usize| T::from_usize((7 * i + salt) % 11);
    let numbers = |salt| (0..offset + n + BEHIND).map(|i| number(i, salt)).collect();
    let (mut a, mut b): (Vec<T>, Vec<T>) = (numbers(1), numbers(2));
    let (c, d): (Vec<T>, Vec<T>) = (numbers(3), numbers(4));
    let (read_c, read_d) = (&c[inside.clone()], &d[inside.clone()]);
    let expect = |found: &[T], name: &str, at: &dyn Fn(usize) -> T, salt: usize| {
        for (i, &found) in found.iter().enumerate() {
            let expected = if inside.contains(&i) {
                at(i)
            } else {
                number(i, salt)
            };
            assert!(
                found == expected,
                "{level:?}, length {n}, offset {offset}, {name}[{i}]: {found:?}, expected {expected:?}"
            );
        }
    };

    simd::update(
        &Two,
        [&mut a[inside.clone()], &mut b[inside.clone()]],
        [read_c, read_d],
    );
    simd::update(&One, [&mut a[inside.clone()]], [read_c]);
    expect(&a, "a", &|i| number(i, 1) + c[i] * d[i] + c[i], 1);
    expect(&b, "b", &|i| number(i, 2) - c[i], 2);

    simd::map(
        &Out,
        [read_c],
        [&mut a[inside.clone()], &mut b[inside.clone()]],
    );
    expect(&a, "square", &|i| c[i] * c[i], 1);
    expect(&b, "minus", &|i| -c[i], 2);

    let [products, least] = simd::sum(&Terms, [read_c, read_d]);
    let plain = |term: fn(T, T) -> T| {
        read_c
            .iter()
            .zip(read_d)
            .fold(T::ZERO, |sum, (&c, &d)| sum + term(c, d))
    };
    assert_eq!(products, plain(|c, d| c * d), "{level:?}, {n}, {offset}");
    let lesser = plain(|c, d| if c < d { c } else { d });
    assert_eq!(least, lesser, "{level:?}, {n}, {offset}");
}

/// One test: the level is the process's.
#[test]
fn overlapping_registers_write_each_element_once() {
    let mut levels = 0;
    for level in Level::ALL {
        if !simd::force(Some(level)) {
            continue;
        }
        levels += 1;
        for n in (0..40).chain([63, 64, 65, 100, 127, 129, 160, 257]) {
            for offset in [0, 1, 3] {
                check::<f32>(level, n, offset);
                check::<f64>(level, n, offset);
            }
        }
    }
    simd::force(None);
    assert!(levels > 0);
}
