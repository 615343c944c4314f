//! The arc cosine of one less a number, and its integral.

use super::polynomial;
use super::sin_cos::SinCos;
use crate::Real;
use crate::simd::Lanes;

/// Numbers of the arc cosine for one scalar type.
pub trait Acos: SinCos {
    /// `pi / 2` less its rounded value.
    const FRAC_PI_2_REST: Self;
    /// `(acos(1 - x) / sqrt(2 x) - 1) / x` for `0 <= x <= 1`.
    fn angle_series<L: Lanes<Scalar = Self>>(x: L) -> L;
    /// `(sin a - a cos a) / (x sqrt(2 x))` for `cos a = 1 - x`, `0 <= x <= 1`.
    fn segment_series<L: Lanes<Scalar = Self>>(x: L) -> L;
}

impl Acos for f32 {
    const FRAC_PI_2_REST: Self = -4.371139e-8;
    // core/tests/golden/coefficients.py acos_1m: error 2^-28.3 of the angle.
    #[inline(always)]
    fn angle_series<L: Lanes<Scalar = Self>>(x: L) -> L {
        polynomial(
            x,
            [
                0.08333315700292587,
                0.018755920231342316,
                0.005515661556273699,
                0.0022307687904685736,
                -0.0002163703175028786,
                0.001686117029748857,
                -0.001072254148311913,
                0.0004877324099652469,
            ],
        )
    }
    // core/tests/golden/coefficients.py acos_1m_integral: error 2^-25.0, the rounding of the leading coefficient.
    #[inline(always)]
    fn segment_series<L: Lanes<Scalar = Self>>(x: L) -> L {
        polynomial(
            x,
            [
                0.6666666865348816,
                0.03333330899477005,
                0.005357774905860424,
                0.0012339662062004209,
                0.0003745799185708165,
                2.986433173646219e-05,
                0.00015331929898820817,
                -8.381062070839107e-05,
                4.1111878090305254e-05,
            ],
        )
    }
}

impl Acos for f64 {
    const FRAC_PI_2_REST: Self = 6.123233995736766e-17;
    // core/tests/golden/coefficients.py acos_1m: error 2^-57.9 of the angle.
    #[inline(always)]
    fn angle_series<L: Lanes<Scalar = Self>>(x: L) -> L {
        polynomial(
            x,
            [
                0.08333333333333363,
                0.0187499999999146,
                0.005580357148958048,
                0.0018988713279161347,
                0.000699133715191664,
                0.00027109197552112715,
                0.00010947154037968098,
                4.2922013415540305e-05,
                2.874183696088087e-05,
                -2.392719516346819e-05,
                8.511901884458095e-05,
                -0.00015767007764081384,
                0.0002397380103486806,
                -0.0002734080276121546,
                0.00023529937075220588,
                -0.00014699316036015362,
                6.34475997229233e-05,
                -1.6946637533182455e-05,
                2.1527466416310678e-06,
            ],
        )
    }
    // core/tests/golden/coefficients.py acos_1m_integral: error 2^-53.9, the rounding of the leading coefficient.
    #[inline(always)]
    fn segment_series<L: Lanes<Scalar = Self>>(x: L) -> L {
        polynomial(
            x,
            [
                0.6666666666666666,
                0.03333333333333292,
                0.005357142857191406,
                0.0012400793628333934,
                0.0003452494235167263,
                0.00010755764199544903,
                3.6159625085625036e-05,
                1.2779945183905152e-05,
                5.027075161807328e-06,
                7.846765390008809e-07,
                3.6087893797871157e-06,
                -5.907002343453975e-06,
                1.0208185060369999e-05,
                -1.2409794939866088e-05,
                1.1493746156684314e-05,
                -7.649227816779565e-06,
                3.5175730031723738e-06,
                -9.97121311699513e-07,
                1.3543185241150852e-07,
            ],
        )
    }
}

/// `acos(1 - x)` for `0 <= x <= 1`.
#[inline(always)]
pub(crate) fn acos_1m_near<L: Lanes>(x: L) -> L {
    let root = (x + x).sqrt();
    root + root * (x * L::Scalar::angle_series(x))
}

/// `acos_1m_integral` for `0 <= x <= 1`.
#[inline(always)]
pub(crate) fn acos_1m_integral_near<L: Lanes>(x: L) -> L {
    x * (x + x).sqrt() * L::Scalar::segment_series(x)
}

/// The angle whose cosine is `1 - x`: at most 1.5 ULP for `f32`, 1.5 for `f64`, for `0 <= x <= 2`.
///
/// ```text
/// acos(1 - x) = sqrt(2 x) (1 + x p(x))  for x <= 1,    pi - acos(1 - (2 - x))  beyond
/// ```
///
/// The distance from cosine 1 is an argument, and so small angles have all their digits, which the arc cosine of a rounded cosine
/// has lost. 0 at ±0, pi at 2; NaN for negative arguments, above 2 and at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::acos_1m(2.0_f64), core::f64::consts::PI);
/// // cos(60 degrees) = 1 - 1/2.
/// assert!((math::acos_1m(0.5_f64) - core::f64::consts::FRAC_PI_3).abs() < 1e-15);
/// // A second of arc in f32: 1 - cos a = a^2 / 2.
/// let a = 4.848137e-6_f32;
/// assert!((math::acos_1m(a * a / 2.0) / a - 1.0).abs() < 2e-7);
/// ```
#[inline(always)]
pub fn acos_1m<L: Lanes>(x: L) -> L {
    let (one, zero) = (x.constant(L::Scalar::ONE), x.constant(L::Scalar::ZERO));
    let is_far = one.lt(x);
    let near = L::select(is_far, x.constant(L::Scalar::from_f64(2.0)) - x, x);
    let angle = acos_1m_near(near);
    let (half, rest) = (
        x.constant(L::Scalar::FRAC_PI_2),
        x.constant(L::Scalar::FRAC_PI_2_REST),
    );
    // Both halves of pi before the angle: the first difference is exact or of the size of the result.
    let far = (half - (angle - half)) + (rest + rest);
    // A square root of -0 is -0.
    let angle = L::select(is_far, far, angle) + zero;
    L::select(zero.le(x), angle, x.constant(L::Scalar::NAN))
}

/// The integral of [`acos_1m`] from 0 to `x`: at most 3.0 ULP for `f32`, 3.0 for `f64`, for `0 <= x <= 2`.
///
/// ```text
/// sin a - a cos a  with  cos a = 1 - x
/// = x sqrt(2 x) q(x)  for x <= 1,    the same of 2 - x, plus pi (x - 1)  beyond
/// ```
///
/// Twice the area of a segment of the unit circle is its like with `sin a cos a`; divided by pi it is what one rectifier layer adds to a
/// cosine ([`kernel::arc_cosine`](crate::kernel::arc_cosine)). 0 at ±0, pi at 2; NaN for negative arguments, above 2 and at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::acos_1m_integral(1.0_f64), 1.0); // sin(pi / 2)
/// assert_eq!(math::acos_1m_integral(2.0_f64), core::f64::consts::PI);
/// ```
#[inline(always)]
pub fn acos_1m_integral<L: Lanes>(x: L) -> L {
    let (one, zero) = (x.constant(L::Scalar::ONE), x.constant(L::Scalar::ZERO));
    let is_far = one.lt(x);
    let near = L::select(is_far, x.constant(L::Scalar::from_f64(2.0)) - x, x);
    let area = acos_1m_integral_near(near);
    let pi = x.constant(L::Scalar::FRAC_PI_2 + L::Scalar::FRAC_PI_2);
    let far = area + pi * (x - one);
    let area = L::select(is_far, far, area) + zero;
    L::select(zero.le(x), area, x.constant(L::Scalar::NAN))
}

#[cfg(test)]
mod tests {
    use super::super::{acos_1m_integral_into, acos_1m_into, testing};

    fn angle(x: f64) -> f64 {
        if x == 0.0 {
            return 0.0;
        }
        2.0 * libm::asin(libm::sqrt(x / 2.0))
    }

    /// `sin a - a cos a`, for small angles by its series: the sum of `(-1)^(k + 1) 2 k a^(2 k + 1) / (2 k + 1)!`.
    fn segment(x: f64) -> f64 {
        let a = angle(x);
        if x.is_nan() || a > 1.0 {
            return a.sin() - a * a.cos();
        }
        let (mut sum, mut term) = (0.0, a);
        for k in 1..12 {
            let k = f64::from(k);
            term *= -a * a / ((2.0 * k) * (2.0 * k + 1.0));
            sum -= 2.0 * k * term;
        }
        sum
    }

    mod of_angles {
        super::testing::accuracy!("acos_1m", super::acos_1m_into, super::angle, |_| true, f32 1.5, f64 1.5);
    }

    mod of_integrals {
        super::testing::accuracy!(
            "acos_1m_integral", super::acos_1m_integral_into, super::segment, |_| true, f32 3.0, f64 3.0
        );
    }
}
