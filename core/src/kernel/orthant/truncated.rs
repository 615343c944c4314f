//! The standard normal law above a bound.

use crate::simd::math::scalar;

/// `ln Q(a)`, the logarithm of the probability above `a`.
pub(in crate::kernel) fn ln_above(a: f64) -> f64 {
    scalar::ln_normal_cdf(-a)
}

fn quotient(x: f64, above: [f64; 8], below: [f64; 8]) -> f64 {
    let horner = |c: [f64; 8]| c.into_iter().rev().fold(0.0, |sum, c| sum * x + c);
    // The divisors have positive coefficients and arguments above -1/2: at least 1/4.
    horner(above) / horner(below)
}

/// The number above which the standard normal law has a probability of `e^p`, for `p <= 0`.
///
/// Algorithm AS 241 (PPND16) of Wichura, *The percentage points of the normal distribution* (1988), relative error about 1e-16 down to
/// probabilities of `e^-729`; beyond, the asymptotic series of the tail, solved for its square.
pub(in crate::kernel) fn quantile_above(p: f64) -> f64 {
    /// `e^p` below which logarithms are used: 0.075.
    const CENTRE: f64 = 0.425;
    let q = libm::exp(p) - 0.5;
    if q.abs() <= CENTRE {
        return -q * quotient(CENTRE * CENTRE - q * q, NEAR[0], NEAR[1]);
    }
    // Of the smaller tail: 1 - e^p on the other side.
    let (sign, p) = if q > 0.0 {
        (-1.0, libm::log(-libm::expm1(p)))
    } else {
        (1.0, p)
    };
    // p < ln 0.075: in range.
    let r = libm::sqrt(-p);
    let y = if r <= 5.0 {
        quotient(r - 1.6, MIDDLE[0], MIDDLE[1])
    } else if r <= 27.0 {
        quotient(r - 5.0, FAR[0], FAR[1])
    } else if r == f64::INFINITY {
        r
    } else {
        // y^2 = -2 p - ln(2 pi y^2) + 2 ln(1 - 1/y^2 + 3/y^4 - 15/y^6 + 105/y^8), a contraction with factor 1/y^2 < 1/1400;
        // the next term is 945/y^10 < 2e-13.
        let s = -2.0 * p;
        let mut square = s - libm::log(core::f64::consts::TAU * s);
        for _ in 0..4 {
            let z = 1.0 / square;
            let series = libm::log1p(-z * (1.0 - z * (3.0 - z * (15.0 - 105.0 * z))));
            square = s - libm::log(core::f64::consts::TAU * square) + 2.0 * series;
        }
        libm::sqrt(square)
    };
    sign * y
}

/// A draw from the standard normal law above `a`, from `u` uniform in [0, 1); `ln_above` is that of `a`.
pub(in crate::kernel) fn draw_above(a: f64, ln_above: f64, u: f64) -> f64 {
    // ln(1 - u) is finite: u <= 1 - 2^-53.
    let e = quantile_above(ln_above + libm::log1p(-u));
    if e > a { e } else { a }
}

/// Coefficients of the three parts, lowest power first.
const NEAR: [[f64; 8]; 2] = [
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
];
const MIDDLE: [[f64; 8]; 2] = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];
const FAR: [[f64; 8]; 2] = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_scipy() {
        // -scipy.special.ndtri_exp(p), SciPy 1.17.1.
        for (p, y) in [
            (-0.7, 0.008_559_478_582_480_308),
            (-1.0, 0.337_474_963_764_202_44),
            (-2.6, 1.444_682_255_170_057_5),
            (-5.0, 2.470_938_637_261_588_8),
            (-26.0, 6.803_395_271_632_251),
            (-100.0, 13.888_476_033_003_888),
            (-728.0, 38.037_922_863_483_04),
            (-740.0, 38.351_885_978_209_6),
            (-1000.0, 44.615_747_731_969_41),
            (-1e9, 44_721.359_290_005_006),
        ] {
            let found = quantile_above(p);
            assert!((found / y - 1.0).abs() < 3e-14, "{p}: {found} {y}");
        }
        assert_eq!(quantile_above(0.0), f64::NEG_INFINITY);
    }

    #[test]
    fn quantiles_invert_the_tail() {
        for i in -80..400 {
            let y = f64::from(i) / 10.0;
            let p = ln_above(y);
            // A last digit of p moves y by about p 2^-53 over the slope of ln Q.
            let slope = libm::exp(-0.5 * y * y - p) / 2.506_628_274_631_000_2;
            let bound = 4e-16 * (y.abs() + p.abs() / slope.max(1e-300) + 1.0);
            assert!((quantile_above(p) - y).abs() <= 4.0 * bound, "{y}");
        }
    }
}
