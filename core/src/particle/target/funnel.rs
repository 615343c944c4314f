//! Neal's funnel.

use rand_core::Rng;

use super::{LN_TAU, check_lengths};
use crate::error::{check, check_length};
use crate::memory::must_or;
use crate::model::Gradient;
use crate::{Error, Real, random, vector};

/// `v ~ N(0, scale^2)`, then `x_i | v ~ N(0, exp(v))` for the other `dim - 1` coordinates; `v` comes first.
///
/// ```text
/// -ln p = v^2 / (2 scale^2) + (d - 1) v / 2 + exp(-v) |x|^2 / 2 + ln scale + (d / 2) ln(2 pi)
/// ```
///
/// The curvature in `x` varies by `exp(2 scale)` and more between neck and mouth, so no one step fits both.
/// Mean 0; variance `scale^2` of `v` and `exp(scale^2 / 2)` of each `x_i`, with enormous fourth moments. `exp(-v)`
/// overflows in `f32` below `v = -88`.
///
/// Reference: Neal: Slice sampling, Annals of Statistics 31, 2003, section 8 (`dim = 10`, `scale = 3`).
///
/// ```
/// use thalweg::model::Gradient;
/// use thalweg::particle::target::Funnel;
/// let mut grad = [0.0_f64; 3];
/// Funnel { dim: 3, scale: 3.0 }.gradient_into(&[0.0, 1.0, 2.0], &mut grad, &mut [])?;
/// assert_eq!(grad, [-1.5, 1.0, 2.0]); // (3 - 1) / 2 - (1 + 4) / 2
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Funnel<T> {
    /// Number of coordinates; at least 2.
    pub dim: usize,
    /// Deviation of the first; finite and positive.
    pub scale: T,
}

impl<T: Real> Funnel<T> {
    /// Checks the fields.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    ///
    /// ```
    /// use thalweg::particle::target::Funnel;
    /// assert!(Funnel { dim: 1, scale: 3.0_f32 }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check("dim", self.dim >= 2, "must be at least 2")?;
        let positive = self.scale.is_finite() && self.scale > T::ZERO;
        check("scale", positive, "must be finite and positive")
    }

    /// Writes an exact draw: `dim` normal numbers.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and a wrong length of `out`; nothing is drawn then.
    ///
    /// ```
    /// use thalweg::particle::target::Funnel;
    /// use thalweg::random::{Purpose, normal, stream};
    /// let mut x = [0.0_f64; 2];
    /// let rng = || stream(1, 0, 0, Purpose::DATA);
    /// Funnel { dim: 2, scale: 3.0 }.sample_into(&mut rng(), &mut x)?;
    /// assert_eq!(x[0], 3.0 * normal::<f64>(&mut rng()));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sample_into(&self, rng: &mut impl Rng, out: &mut [T]) -> Result<(), Error> {
        self.validate()?;
        check_length("out", self.dim, out.len())?;
        if let Some((v, x)) = out.split_first_mut() {
            *v = self.scale * random::normal(rng);
            let deviation = (T::from_f64(0.5) * *v).exp();
            for x in x {
                *x = deviation * random::normal(rng);
            }
        }
        Ok(())
    }
}

impl<T: Real> Gradient<T> for Funnel<T> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn scratch_len(&self) -> usize {
        0
    }

    fn value(&self, params: &[T], _: &mut [T]) -> Result<T, Error> {
        self.validate()?;
        check_length("params", self.dim, params.len())?;
        let (&v, x) = must_or(params.split_first(), (&T::ZERO, &[]));
        let z = v / self.scale;
        let spread = spread(v, x);
        let others = T::from_usize(x.len());
        let logs = others * v + T::from_usize(self.dim) * T::from_f64(LN_TAU);
        Ok(T::from_f64(0.5) * (z * z + spread + logs) + self.scale.ln())
    }

    fn gradient_into(&self, params: &[T], grad: &mut [T], _: &mut [T]) -> Result<(), Error> {
        self.validate()?;
        check_lengths(self.dim, params, grad)?;
        if let (Some((&v, x)), Some((gv, gx))) = (params.split_first(), grad.split_first_mut()) {
            let precision = (-v).exp();
            let spread = spread(v, x);
            let half = T::from_f64(0.5);
            *gv = v / (self.scale * self.scale) + half * (T::from_usize(x.len()) - spread);
            let root = (-half * v).exp();
            for (g, x) in gx.iter_mut().zip(x) {
                *g = if is_normal(precision) {
                    precision * *x
                } else {
                    times(root, times(root, *x))
                };
            }
        }
        Ok(())
    }
}

/// `exp(-v) |x|^2`, where either factor alone may be beyond the numbers.
fn spread<T: Real>(v: T, x: &[T]) -> T {
    let (precision, square) = ((-v).exp(), vector::norm2_squared(x));
    if is_normal(precision) && is_normal(square) {
        return precision * square;
    }
    let root = (-T::from_f64(0.5) * v).exp();
    let terms = x.iter().map(|x| times(root, *x));
    terms.fold(T::ZERO, |sum, z| sum + z * z)
}

fn is_normal<T: Real>(x: T) -> bool {
    x.is_finite() && x >= T::MIN_POSITIVE
}

/// A product in which 0 outweighs an infinite factor that stands for a large number.
fn times<T: Real>(root: T, x: T) -> T {
    if x == T::ZERO && !root.is_nan() {
        x
    } else {
        root * x
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_draws, check_golden};
    use super::*;
    use crate::model::tests::check_gradient;
    use crate::random::{Purpose, stream};

    const TARGET: Funnel<f64> = Funnel { dim: 3, scale: 3.0 };

    #[test]
    fn density_and_score_are_those_of_scipy() {
        // core/tests/golden/target.py.
        let score = [-0.506_849_37, -0.120_477_68, 0.602_388_42];
        check_golden(&TARGET, &[1.2, 0.4, -2.0], -5.761_911_849_059_51, &score);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        for x in [[1.2, 0.4, -2.0], [-3.0, 0.1, 0.3]] {
            check_gradient(&TARGET, &x, 1e-5);
        }
    }

    /// Value and gradient.
    fn at<T: Real>(x: [T; 2]) -> (T, [T; 2]) {
        let target = Funnel {
            dim: 2,
            scale: T::ONE,
        };
        let mut grad = [T::NAN; 2];
        let value = target.value(&x, &mut []).unwrap();
        target.gradient_into(&x, &mut grad, &mut []).unwrap();
        (value, grad)
    }

    #[test]
    fn a_product_is_right_where_its_factors_are_beyond_the_numbers() {
        let tau = core::f64::consts::TAU;
        let near = |found: f32, expected: f64| {
            let found = f64::from(found);
            assert!((found / expected - 1.0).abs() < 1e-4, "{found} {expected}");
        };
        // The neck: exp(100) is beyond f32, and so is the square of 1e-22; exp(100) 1e-44 = 0.27 is not.
        for (v, x) in [
            (-100.0_f32, 1e-22_f32),
            (-85.0, 1e-19),
            (95.0, 1e20),
            (150.0, 1e30),
        ] {
            let (wide, root) = (f64::from(v), f64::from(x) * (f64::from(v) / -2.0).exp());
            let (value, [gv, gx]) = at([v, x]);
            near(value, 0.5 * (wide * wide + root * root + wide) + tau.ln());
            near(gv, wide + 0.5 - 0.5 * root * root);
            near(gx, root * (-0.5 * wide).exp());
        }
        // On the axis |x|^2 exp(-v) is 0, however narrow it is.
        let (value, grad) = at([-1000.0_f64, 0.0]);
        assert!((value - (0.5e6 - 500.0 + tau.ln())).abs() < 1e-9);
        assert_eq!(grad, [-999.5, 0.0]);
        let (value, grad) = at([-2000.0_f64, 0.0]);
        assert!((value - (2e6 - 1000.0 + tau.ln())).abs() < 1e-8);
        assert_eq!(grad, [-1999.5, 0.0]);
        assert!(at([f64::NAN, 0.0]).0.is_nan() && at([0.0, f64::NAN]).1[1].is_nan());
    }

    #[test]
    fn draws_have_the_moments() {
        // A narrow scale keeps the fourth moments of x at 3 exp(scale^2) times the square of the variance.
        let target = Funnel {
            scale: 0.5,
            ..TARGET
        };
        let x = (0.5_f64 * 0.25).exp();
        let covariance = [0.25, 0.0, 0.0, 0.0, x, 0.0, 0.0, 0.0, x];
        let mut rng = stream(3, 0, 0, Purpose::DATA);
        check_draws(40_000, 4.0, &[0.0; 3], &covariance, |x| {
            target.sample_into(&mut rng, x).unwrap();
        });
    }

    #[test]
    fn bad_fields_are_named() {
        for (expected, target) in [
            ("dim", Funnel { dim: 1, ..TARGET }),
            (
                "scale",
                Funnel {
                    scale: 0.0,
                    ..TARGET
                },
            ),
        ] {
            let mut out = [3.0; 3];
            let found = target.gradient_into(&[0.0; 3], &mut out, &mut []);
            assert!(matches!(found, Err(Error::Parameter { name, .. }) if name == expected));
            assert!(target.value(&[0.0; 3], &mut []).is_err());
            assert_eq!(out, [3.0; 3]);
        }
    }
}
