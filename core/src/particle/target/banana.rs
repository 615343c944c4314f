//! Two banana-shaped ridges.

use rand_core::Rng;

use super::check_lengths;
use crate::error::{check, check_length};
use crate::model::Gradient;
use crate::{Error, Real, random};

/// The posterior of a standard normal prior after one noisy look at the logarithm of Rosenbrock's function.
///
/// ```text
/// q = (1 - x)^2 + curvature (y - x^2)^2        -ln p = (x^2 + y^2) / 2 + (observed - ln q)^2 / (2 noise^2) + constant
/// ```
///
/// With the default, `observed = ln 30`, `noise = 0.3`, `curvature = 100`, the level set `q = 30` is two ridges along the
/// parabola, of width 0.1 and less. The constant is not known: it is left out. At `(1, 1)`, where `q = 0`, the value is
/// infinite and the gradient NaN.
///
/// Mean `(-0.0147, 0.3002)`, covariance `(0.4133, -0.0103, 0.4185)`, by quadrature.
///
/// Reference: Detommaso, Cui, Marzouk, Spantini, Scheichl: A Stein variational Newton method, NeurIPS 2018, section 5.1.
///
/// ```
/// use thalweg::model::Gradient;
/// use thalweg::particle::target::DoubleBanana;
/// // At the origin q = 1, ln q = 0.
/// let target = DoubleBanana { curvature: 100.0_f64, observed: 3.0, noise: 0.5 };
/// let mut grad = [0.0; 2];
/// let value = target.value_and_gradient_into(&[0.0, 0.0], &mut grad, &mut [])?;
/// assert_eq!((value, grad), (18.0, [24.0, 0.0])); // 9 / 0.5, 3 / 0.25 times slope 2 of q
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DoubleBanana<T> {
    /// Weight of the parabola in `q`; finite and positive.
    pub curvature: T,
    /// The observed logarithm; finite.
    pub observed: T,
    /// Deviation of the observation; finite and positive.
    pub noise: T,
}

impl<T: Real> Default for DoubleBanana<T> {
    fn default() -> Self {
        Self {
            curvature: T::from_f64(100.0),
            observed: T::from_f64(30.0).ln(),
            noise: T::from_f64(0.3),
        }
    }
}

impl<T: Real> DoubleBanana<T> {
    /// Checks the fields.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    ///
    /// ```
    /// use thalweg::particle::target::DoubleBanana;
    /// assert!(DoubleBanana::<f32>::default().validate().is_ok());
    /// assert!(DoubleBanana { noise: 0.0_f32, ..Default::default() }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        for (name, x) in [("curvature", self.curvature), ("noise", self.noise)] {
            let positive = x.is_finite() && x > T::ZERO;
            check(name, positive, "must be finite and positive")?;
        }
        check("observed", self.observed.is_finite(), "must be finite")
    }

    /// `(1 - x, y - x^2, q, observed - ln q)`.
    fn parts(&self, x: T, y: T) -> (T, T, T, T) {
        let (a, b) = (T::ONE - x, y - x * x);
        let q = a * a + self.curvature * b * b;
        (a, b, q, self.observed - q.ln())
    }

    /// Draws a point of the prior into `out` and tells whether it is kept: then it is an exact draw.
    ///
    /// One attempt of rejection sampling, with the likelihood as the chance; repeat until it returns `true`. With the
    /// default settings one in 9.4 attempts is kept.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and a length of `out` other than 2; nothing is drawn then.
    ///
    /// ```
    /// use thalweg::particle::target::DoubleBanana;
    /// use thalweg::random::{Purpose, stream};
    /// let (target, mut x) = (DoubleBanana::<f64>::default(), [0.0; 2]);
    /// let mut rng = stream(1, 0, 0, Purpose::DATA);
    /// while !target.attempt_into(&mut rng, &mut x)? {}
    /// let q = (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
    /// assert!((q.ln() - 30.0_f64.ln()).abs() < 1.8); // six deviations
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn attempt_into(&self, rng: &mut impl Rng, out: &mut [T]) -> Result<bool, Error> {
        self.validate()?;
        check_length("out", 2, out.len())?;
        let [x, y] = random::normal_pair(rng);
        for (out, x) in out.iter_mut().zip([x, y]) {
            *out = x;
        }
        let (_, _, _, rest) = self.parts(x, y);
        let z = rest / self.noise;
        let chance = (-(T::from_f64(0.5) * z * z)).exp();
        Ok(random::bernoulli(rng, chance.to_f64()))
    }
}

impl<T: Real> Gradient<T> for DoubleBanana<T> {
    fn dim(&self) -> usize {
        2
    }

    fn scratch_len(&self) -> usize {
        0
    }

    fn value(&self, params: &[T], _: &mut [T]) -> Result<T, Error> {
        self.validate()?;
        let &[x, y] = params else {
            return check_length("params", 2, params.len()).map(|()| T::ZERO);
        };
        let (_, _, _, rest) = self.parts(x, y);
        let z = rest / self.noise;
        Ok(T::from_f64(0.5) * (x * x + y * y + z * z))
    }

    fn gradient_into(&self, params: &[T], grad: &mut [T], _: &mut [T]) -> Result<(), Error> {
        self.validate()?;
        check_lengths(2, params, grad)?;
        if let (&[x, y], [gx, gy]) = (params, grad) {
            let (a, b, q, rest) = self.parts(x, y);
            // d(rest^2 / (2 noise^2)) = -(rest / noise^2) dq / q.
            let slope = -(rest / (self.noise * self.noise * q));
            let db = (self.curvature + self.curvature) * b;
            *gx = x + slope * (-(a + a) - (x + x) * db);
            *gy = y + slope * db;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_draws, check_golden};
    use super::*;
    use crate::model::tests::check_gradient;
    use crate::random::{Purpose, stream};

    /// Quadrature on 6000^2 midpoints: core/tests/golden/target.py.
    const MEAN: [f64; 2] = [-0.014_700_96, 0.300_237_44];
    const COVARIANCE: [f64; 4] = [0.413_332_47, -0.010_290_69, -0.010_290_69, 0.418_541_07];
    const ACCEPTANCE: f64 = 0.106_864_54;

    #[test]
    fn density_and_score_are_those_of_numpy() {
        let score = [132.172_125_73, -95.815_177_33];
        let target = DoubleBanana::default();
        check_golden(&target, &[0.7, 0.2], -9.100_844_163_514_27, &score);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        let target = DoubleBanana::default();
        for x in [[0.7, 0.2], [-1.0, 1.5], [0.0, 0.55]] {
            check_gradient(&target, &x, 1e-6);
        }
    }

    #[test]
    fn draws_have_the_moments_and_the_acceptance_of_quadrature() {
        let target = DoubleBanana::default();
        let mut rng = stream(3, 0, 0, Purpose::DATA);
        let mut attempts = 0.0;
        check_draws(20_000, 3.0, &MEAN, &COVARIANCE, |x| {
            attempts += 1.0;
            while !target.attempt_into(&mut rng, x).unwrap() {
                attempts += 1.0;
            }
        });
        // Five standard errors of a proportion.
        let found = 20_000.0 / attempts;
        assert!((found - ACCEPTANCE).abs() < 5.0 * (0.1 / attempts).sqrt() * 0.95);
    }

    #[test]
    fn bad_fields_are_named() {
        let good = DoubleBanana::<f32>::default();
        #[rustfmt::skip]
        let bad = [
            ("curvature", DoubleBanana { curvature: -1.0, ..good }),
            ("observed", DoubleBanana { observed: f32::INFINITY, ..good }),
            ("noise", DoubleBanana { noise: f32::NAN, ..good }),
        ];
        for (expected, target) in bad {
            let mut out = [3.0; 2];
            let found = target.gradient_into(&[0.0; 2], &mut out, &mut []);
            assert!(matches!(found, Err(Error::Parameter { name, .. }) if name == expected));
            assert!(target.value(&[0.0; 2], &mut []).is_err());
            assert_eq!(out, [3.0; 2]);
        }
        assert!(good.value(&[0.0; 3], &mut []).is_err());
    }
}
