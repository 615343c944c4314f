//! Vectors: slices in, slices or scalars out.
//!
//! Sums use the fixed order of [`simd`]: the same bits at every register width. Non-finite
//! elements propagate as IEEE 754 says, except where a function states otherwise.
//!
//! | function | reads / writes (elements) | flops per element |
//! |---|---|---|
//! | [`dot`] | 2 / 0 | 2 |
//! | [`sum`], [`sum_abs`], [`norm_inf`] | 1 / 0 | 1 |
//! | [`norm2`], [`norm2_squared`] | 1 / 0; `norm2` 3 / 0 where squares overflow or underflow | 2 |
//! | [`squared_distance`] | 2 / 0 | 3 |
//! | [`axpy`] | 2 / 1 | 2 |
//! | [`axpby_into`] | 2 / 1 | 3 |
//! | [`scale`], [`clamp`] | 1 / 1 | 1 |

use crate::error::check_length;
use crate::memory::must_or;
use crate::real::kernels;
use crate::simd::{self, BitLanes, Kernel, Lanes, Map, Mask, Simd, Sum, Update};
use crate::{Error, Real};

#[derive(Clone, Copy)]
struct Product;
impl<T: Real> Sum<T, 2, 1> for Product {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x, y]: [L; 2]) -> [L; 1] {
        [x * y]
    }
}

#[derive(Clone, Copy)]
struct Itself;
impl<T: Real> Sum<T, 1, 1> for Itself {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, x: [L; 1]) -> [L; 1] {
        x
    }
}

#[derive(Clone, Copy)]
struct Magnitude;
impl<T: Real> Sum<T, 1, 1> for Magnitude {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        [x.abs()]
    }
}

/// The square of `x / scale`.
#[derive(Clone, Copy)]
struct ScaledSquare<T>(T);
impl<T: Real> Sum<T, 1, 1> for ScaledSquare<T> {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        let y = x / x.constant(self.0);
        [y * y]
    }
}

#[derive(Clone, Copy)]
struct Square;
impl<T: Real> Sum<T, 1, 1> for Square {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        [x * x]
    }
}

#[derive(Clone, Copy)]
struct SquaredDifference;
impl<T: Real> Sum<T, 2, 1> for SquaredDifference {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x, y]: [L; 2]) -> [L; 1] {
        let d = x - y;
        [d * d]
    }
}

#[derive(Clone, Copy)]
struct Axpy<T>(T);
impl<T: Real> Update<T, 1, 1> for Axpy<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [y]: [L; 1], [x]: [L; 1]) -> [L; 1] {
        [y + y.constant(self.0) * x]
    }
}

#[derive(Clone, Copy)]
struct Axpby<T>(T, T);
impl<T: Real> Map<T, 2, 1> for Axpby<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, y]: [L; 2]) -> [L; 1] {
        [x.constant(self.0) * x + x.constant(self.1) * y]
    }
}

#[derive(Clone, Copy)]
struct Scale<T>(T);
impl<T: Real> Update<T, 1, 0> for Scale<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], _: [L; 0]) -> [L; 1] {
        [x * x.constant(self.0)]
    }
}

#[derive(Clone, Copy)]
struct Clamp<T>(T, T);
impl<T: Real> Update<T, 1, 0> for Clamp<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], _: [L; 0]) -> [L; 1] {
        // The bound comes first, so that a NaN element, the second argument, is kept.
        [x.constant(self.1).least(x.constant(self.0).largest(x))]
    }
}

#[derive(Clone, Copy)]
struct Subtract;
impl<T: Real> Map<T, 2, 1> for Subtract {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, y]: [L; 2]) -> [L; 1] {
        [x - y]
    }
}

struct Largest<'a, T>(&'a [T]);
impl<T: Real> Kernel for Largest<'_, T> {
    type Output = T;
    #[allow(
        clippy::arithmetic_side_effects,
        reason = "differences of magnitudes, whose bits are below that of the sign"
    )]
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> T {
        let (groups, tail) = T::Lanes::<S>::groups(self.0);
        let zero = T::Lanes::<S>::splat(simd, T::ZERO);
        if T::Lanes::<S>::LEN == 1 {
            // As integers, where soft floating point would call a function: what a larger magnitude has more is added. NaN is above infinity.
            let zero = zero.to_bits();
            let mut largest = zero;
            for group in groups {
                let more = T::Lanes::<S>::load(simd, group).abs().to_bits() - largest;
                let borrow = more.shr(size_of::<T>() as u32 * 8 - 1);
                largest = largest + more.and_not(zero - borrow);
            }
            let lanes = T::Lanes::<S>::from_bits(largest).into_array();
            let largest = must_or(lanes.as_ref().first().copied(), T::NAN);
            return if largest.is_nan() { T::NAN } else { largest };
        }
        let (mut largest, mut ordered) = (zero, zero.eq(zero));
        for group in groups {
            let x = T::Lanes::<S>::load(simd, group).abs();
            ordered = ordered & x.eq(x);
            largest = x.largest(largest);
        }
        let mut nan = (!ordered).any();
        let mut m = T::ZERO;
        for &x in largest.into_array().as_ref().iter().chain(tail) {
            nan |= x.is_nan();
            m = x.abs().largest(m);
        }
        if nan { T::NAN } else { m }
    }
}

#[derive(Clone, Copy)]
struct NonFinite;
impl<T: Real> Sum<T, 1, 1> for NonFinite {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        // 0 for finite x, NaN otherwise: one vector pass decides the common case.
        [x * x.constant(T::ZERO)]
    }
}

kernels! {
    /// Bodies of the functions of this module; lengths are equal.
    trait Kernels<T> {
        fn dot(x: &[T], y: &[T]) -> T {
            let [sum] = simd::sum(&Product, [x, y]);
            sum
        }
        fn sum(x: &[T]) -> T {
            let [sum] = simd::sum(&Itself, [x]);
            sum
        }
        fn sum_abs(x: &[T]) -> T {
            let [sum] = simd::sum(&Magnitude, [x]);
            sum
        }
        fn sum_squares(x: &[T]) -> T {
            let [sum] = simd::sum(&Square, [x]);
            sum
        }
        fn sum_scaled_squares(power: T, x: &[T]) -> T {
            let [sum] = simd::sum(&ScaledSquare(power), [x]);
            sum
        }
        fn sum_non_finite(x: &[T]) -> T {
            let [sum] = simd::sum(&NonFinite, [x]);
            sum
        }
        fn squared_distance(x: &[T], y: &[T]) -> T {
            let [sum] = simd::sum(&SquaredDifference, [x, y]);
            sum
        }
        fn norm_inf(x: &[T]) -> T {
            simd::dispatch(Largest(x))
        }
        fn axpy(a: T, x: &[T], y: &mut [T]) {
            simd::update(&Axpy(a), [y], [x]);
        }
        fn axpby(a: T, x: &[T], b: T, y: &[T], out: &mut [T]) {
            simd::map(&Axpby(a, b), [x, y], [out]);
        }
        fn subtract(x: &[T], y: &[T], out: &mut [T]) {
            simd::map(&Subtract, [x, y], [out]);
        }
        fn scale(a: T, x: &mut [T]) {
            simd::update(&Scale(a), [x], []);
        }
        fn clamp_to(low: T, high: T, x: &mut [T]) {
            simd::update(&Clamp(low, high), [x], []);
        }
    }
}

/// Inner product `sum_i x_i y_i`.
///
/// # Errors
/// [`Error::Length`] when the lengths differ.
///
/// ```
/// assert_eq!(thalweg::vector::dot(&[1.0_f32, 2.0, 3.0], &[4.0, 5.0, 6.0])?, 32.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[inline]
pub fn dot<T: Real>(x: &[T], y: &[T]) -> Result<T, Error> {
    check_length("y", x.len(), y.len())?;
    Ok(T::Kernels::dot(x, y))
}

/// Sum of the elements; -0 for an empty slice.
///
/// ```
/// assert_eq!(thalweg::vector::sum(&[1.5_f64, 2.0, -0.5]), 3.0);
/// ```
#[inline]
pub fn sum<T: Real>(x: &[T]) -> T {
    T::Kernels::sum(x)
}

/// Sum of the magnitudes: the 1-norm.
///
/// ```
/// assert_eq!(thalweg::vector::sum_abs(&[1.0_f32, -2.0, 3.0]), 6.0);
/// ```
#[inline]
pub fn sum_abs<T: Real>(x: &[T]) -> T {
    T::Kernels::sum_abs(x)
}

/// Sum of squares, unscaled: it overflows where [`norm2`] does not.
///
/// ```
/// assert_eq!(thalweg::vector::norm2_squared(&[3.0_f32, 4.0]), 25.0);
/// ```
#[inline]
pub fn norm2_squared<T: Real>(x: &[T]) -> T {
    T::Kernels::sum_squares(x)
}

/// Euclidean norm, safe against overflow and underflow of the squares.
///
/// One pass. When the sum of squares is infinite, or so small that subnormal squares may have lost digits, two more: the largest magnitude,
/// and a sum scaled by a power of two near it.
///
/// ```
/// use thalweg::vector::norm2;
/// assert_eq!(norm2(&[3.0_f32, 4.0]), 5.0);
/// let huge = 2.0_f32.powi(100);
/// assert_eq!(norm2(&[3.0 * huge, 4.0 * huge]), 5.0 * huge);
/// ```
pub fn norm2<T: Real>(x: &[T]) -> T {
    let plain = norm2_squared(x);
    let small = T::MIN_POSITIVE / (T::EPSILON * T::EPSILON);
    if plain.is_finite() && plain >= small {
        return plain.sqrt();
    }
    let largest = norm_inf(x);
    // Zero and non-finite norms are returned as they are; otherwise the scale is a positive number.
    if largest == T::ZERO || !largest.is_finite() {
        return largest;
    }
    // A power of two, so that the division is exact; at least the smallest normal number.
    let exponent = u64::MAX << T::MANTISSA_BITS;
    let power = T::from_bits_u64(largest.to_bits_u64() & exponent).largest(T::MIN_POSITIVE);
    power * T::Kernels::sum_scaled_squares(power, x).sqrt()
}

/// Largest magnitude; NaN when an element is NaN, 0 for an empty slice.
///
/// ```
/// assert_eq!(thalweg::vector::norm_inf(&[1.0_f32, -7.0, 3.0]), 7.0);
/// assert!(thalweg::vector::norm_inf(&[1.0_f32, f32::NAN]).is_nan());
/// ```
pub fn norm_inf<T: Real>(x: &[T]) -> T {
    T::Kernels::norm_inf(x)
}

/// Index of the largest element, the first among equals; `None` for an empty slice. NaN is never largest,
/// unless all elements are NaN (then index 0).
///
/// ```
/// assert_eq!(thalweg::vector::argmax(&[1.0_f32, 5.0, f32::NAN, 5.0]), Some(1));
/// ```
pub fn argmax<T: Real>(x: &[T]) -> Option<usize> {
    let mut best = (*x.first()?, 0);
    for (i, &v) in x.iter().enumerate() {
        if v > best.0 || (best.0.is_nan() && !v.is_nan()) {
            best = (v, i);
        }
    }
    Some(best.1)
}

/// `sum_i (x_i - y_i)^2`.
///
/// # Errors
/// [`Error::Length`] when the lengths differ.
///
/// ```
/// assert_eq!(thalweg::vector::squared_distance(&[1.0_f32, 2.0], &[4.0, 6.0])?, 25.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[inline]
pub fn squared_distance<T: Real>(x: &[T], y: &[T]) -> Result<T, Error> {
    check_length("y", x.len(), y.len())?;
    Ok(T::Kernels::squared_distance(x, y))
}

/// `y <- y + a x`.
///
/// # Errors
/// [`Error::Length`] when the lengths differ.
///
/// ```
/// let mut y = [1.0_f32, 1.0];
/// thalweg::vector::axpy(2.0, &[3.0, 4.0], &mut y)?;
/// assert_eq!(y, [7.0, 9.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[inline]
pub fn axpy<T: Real>(a: T, x: &[T], y: &mut [T]) -> Result<(), Error> {
    check_length("y", x.len(), y.len())?;
    T::Kernels::axpy(a, x, y);
    Ok(())
}

/// `out <- a x + b y`.
///
/// # Errors
/// [`Error::Length`] when the lengths differ.
///
/// ```
/// let mut out = [0.0_f32; 2];
/// thalweg::vector::axpby_into(2.0, &[1.0, 2.0], -1.0, &[1.0, 1.0], &mut out)?;
/// assert_eq!(out, [1.0, 3.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[inline]
pub fn axpby_into<T: Real>(a: T, x: &[T], b: T, y: &[T], out: &mut [T]) -> Result<(), Error> {
    check_length("y", x.len(), y.len())?;
    check_length("out", x.len(), out.len())?;
    T::Kernels::axpby(a, x, b, y, out);
    Ok(())
}

/// `out <- x - y`.
///
/// # Errors
/// [`Error::Length`] when the lengths differ.
///
/// ```
/// let mut out = [0.0_f32; 2];
/// thalweg::vector::subtract_into(&[1.0, 2.0], &[4.0, 1.0], &mut out)?;
/// assert_eq!(out, [-3.0, 1.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[inline]
pub fn subtract_into<T: Real>(x: &[T], y: &[T], out: &mut [T]) -> Result<(), Error> {
    check_length("y", x.len(), y.len())?;
    check_length("out", x.len(), out.len())?;
    T::Kernels::subtract(x, y, out);
    Ok(())
}

/// `x <- a x`.
///
/// ```
/// let mut x = [1.0_f32, -2.0];
/// thalweg::vector::scale(3.0, &mut x);
/// assert_eq!(x, [3.0, -6.0]);
/// ```
#[inline]
pub fn scale<T: Real>(a: T, x: &mut [T]) {
    T::Kernels::scale(a, x);
}

/// Limits each element to `[low, high]`; NaN elements stay NaN.
///
/// # Errors
/// [`Error::Parameter`] unless `low <= high`.
///
/// ```
/// let mut x = [-3.0_f32, 0.5, 9.0];
/// thalweg::vector::clamp(-1.0, 1.0, &mut x)?;
/// assert_eq!(x, [-1.0, 0.5, 1.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[inline]
pub fn clamp<T: Real>(low: T, high: T, x: &mut [T]) -> Result<(), Error> {
    crate::error::check("low", low <= high, "must be at most `high`")?;
    T::Kernels::clamp_to(low, high, x);
    Ok(())
}

/// Index of the first element that is NaN or infinite.
///
/// ```
/// assert_eq!(thalweg::vector::first_non_finite(&[1.0_f32, f32::INFINITY]), Some(1));
/// assert_eq!(thalweg::vector::first_non_finite(&[1.0_f32, 2.0]), None);
/// ```
pub fn first_non_finite<T: Real>(x: &[T]) -> Option<usize> {
    if T::Kernels::sum_non_finite(x).is_nan() {
        x.iter().position(|v| !v.is_finite())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const LENGTHS: [usize; 19] = [
        0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 1003, 4097,
    ];

    fn painted<T: Real>(n: usize, phase: usize) -> Vec<T> {
        (0..n)
            .map(|i| T::from_f64(((i * 37 + phase) % 251) as f64 / 16.0 - 7.8))
            .collect()
    }

    /// The order of sums, written for the eye: 32 lanes from -0.0, then a halving tree.
    fn lane_sum<T: Real>(terms: impl Iterator<Item = T>) -> T {
        let mut lanes = [-T::ZERO; 32];
        for (i, t) in terms.enumerate() {
            lanes[i % 32] += t;
        }
        for half in [16, 8, 4, 2, 1] {
            for i in 0..half {
                let upper = lanes[i + half];
                lanes[i] += upper;
            }
        }
        lanes[0]
    }

    fn at_every_level(check: impl Fn(simd::Level)) {
        for level in crate::testing::levels() {
            check(level);
        }
    }

    fn sum_abs_is_a_triangular_number<T: Real>() {
        at_every_level(|level| {
            for n in LENGTHS {
                // 1, -2, 3, -4, ..: every partial sum is exact, the plain sum is about n / 2.
                let x: Vec<T> = (1..=n)
                    .map(|i| T::from_f64(if i % 2 == 0 { -(i as f64) } else { i as f64 }))
                    .collect();
                let expected = T::from_usize(n * (n + 1) / 2);
                assert_eq!(sum_abs(&x), expected, "{level:?} {n}");
            }
            let infinite = T::from_f64(f64::NEG_INFINITY);
            assert_eq!(sum_abs(&[T::ONE, infinite]), -infinite);
            assert!(sum_abs(&[infinite, T::from_f64(f64::NAN)]).is_nan());
        });
    }

    #[test]
    fn the_sum_of_magnitudes_of_1_to_n_is_a_triangular_number() {
        sum_abs_is_a_triangular_number::<f32>();
        sum_abs_is_a_triangular_number::<f64>();
    }

    fn dot_follows_the_stated_order<T: Real>() {
        at_every_level(|level| {
            for n in LENGTHS {
                let (x, y) = (painted::<T>(n, 3), painted::<T>(n, 71));
                let expected = lane_sum(x.iter().zip(&y).map(|(a, b)| *a * *b));
                let found = dot(&x, &y).unwrap();
                assert_eq!(
                    found.to_bits_u64(),
                    expected.to_bits_u64(),
                    "{level:?} n={n}"
                );
            }
        });
    }

    #[test]
    fn dot_follows_the_stated_order_at_every_level_and_length() {
        dot_follows_the_stated_order::<f32>();
        dot_follows_the_stated_order::<f64>();
    }

    #[test]
    fn a_sum_longer_than_a_block_adds_block_sums_in_order() {
        let x = painted::<f32>(2 * simd::BLOCK + 1003, 5);
        let expected = x
            .chunks(simd::BLOCK)
            .map(|b| lane_sum(b.iter().copied()))
            .fold(-0.0, |a, b| a + b);
        at_every_level(|level| assert_eq!(sum(&x).to_bits(), expected.to_bits(), "{level:?}"));
    }

    #[test]
    fn elementwise_kernels_give_the_bits_of_the_plain_loop() {
        at_every_level(|level| {
            for n in LENGTHS {
                let x = painted::<f32>(n, 9);
                let mut y = painted::<f32>(n, 100);
                let plain: Vec<u32> = x
                    .iter()
                    .zip(&y)
                    .map(|(x, y)| (y + 0.3 * x).to_bits())
                    .collect();
                axpy(0.3, &x, &mut y).unwrap();
                assert_eq!(
                    y.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
                    plain,
                    "{level:?} n={n}"
                );
            }
        });
    }

    #[test]
    fn negative_zeros_sum_to_negative_zero() {
        assert_eq!(sum(&[-0.0_f32; 40]).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(sum::<f64>(&[]).to_bits(), (-0.0_f64).to_bits());
    }

    #[test]
    fn norm2_survives_overflow_and_underflow() {
        let (tiny, huge) = (f32::powi(2.0, -110), f64::powi(2.0, 700));
        assert_eq!(norm2(&[3.0 * tiny, 4.0 * tiny]), 5.0 * tiny);
        assert_eq!(norm2(&[3.0 * huge, 4.0 * huge]), 5.0 * huge);
        assert_eq!(
            norm2(&[f32::from_bits(3), f32::from_bits(4)]),
            f32::from_bits(5)
        );
        assert_eq!(norm2::<f32>(&[]), 0.0);
        assert_eq!(norm2(&[f32::INFINITY, 1.0]), f32::INFINITY);
        assert!(norm2(&[f32::NAN, 1.0]).is_nan());
    }

    #[test]
    fn norm_inf_sees_nan_in_any_lane_and_position() {
        at_every_level(|level| {
            for n in [1, 5, 33, 100] {
                for at in 0..n {
                    let mut x = painted::<f32>(n, 0);
                    x[at] = -99.0;
                    assert_eq!(norm_inf(&x), 99.0, "{level:?}");
                    x[at] = f32::NAN;
                    assert!(norm_inf(&x).is_nan(), "{level:?} n={n} at={at}");
                }
            }
        });
    }

    #[test]
    fn clamp_keeps_nan_and_limits_the_rest() {
        let mut x = [f32::NAN, -2.0, 2.0, 0.25, -0.0];
        clamp(-1.0, 1.0, &mut x).unwrap();
        assert!(x[0].is_nan());
        assert_eq!(x[1..], [-1.0, 1.0, 0.25, 0.0]);
        assert!(clamp(1.0, -1.0, &mut x).is_err());
    }
}
