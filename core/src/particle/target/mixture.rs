//! A mixture of round normal densities.

use crate::memory::InRows;
use rand_core::Rng;

use super::{LN_TAU, check_lengths};
use crate::error::{check, check_length};
use crate::model::Gradient;
use crate::{Error, Real, random, vector};

/// `sum_k w_k N(m_k, v_k I) / sum_k w_k`.
///
/// ```text
/// e_k = ln w_k - (d / 2) ln(2 pi v_k) - |x - m_k|^2 / (2 v_k)        r_k = exp(e_k) / sum_j exp(e_j)
/// -ln p(x) = ln sum_k w_k - ln sum_k exp(e_k)                        gradient sum_k r_k (x - m_k) / v_k
/// ```
///
/// Sums of exponentials are taken relative to the largest. Where the distance to every component overflows, the value is +inf, and the
/// gradient is that of the components that are nearest in deviations. Cost: `5 k d` flops and `2 k` exponentials and logarithms.
///
/// ```
/// use thalweg::model::Gradient;
/// use thalweg::particle::target::Mixture;
/// // Two equal modes: the gradient vanishes half-way.
/// let target = Mixture { means: &[-1.0_f64, 1.0], weights: &[1.0; 2], variances: &[0.5; 2] };
/// let mut grad = [9.0];
/// let value = target.value_and_gradient_into(&[0.0], &mut grad, &mut [])?;
/// assert_eq!(grad, [0.0]);
/// assert!((value - 1.0 - core::f64::consts::PI.sqrt().ln()).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture<'a, T> {
    /// Means: `k x d`, row after row.
    pub means: &'a [T],
    /// Weights: `k` positive numbers with a finite sum.
    pub weights: &'a [T],
    /// Variances: `k` positive numbers.
    pub variances: &'a [T],
}

impl<T: Real> Mixture<'_, T> {
    /// Checks the three slices against each other.
    ///
    /// # Errors
    /// Wrong lengths; weights or variances that are not finite and positive; weights whose sum is infinite.
    ///
    /// ```
    /// use thalweg::particle::target::Mixture;
    /// let target = Mixture { means: &[0.0_f32], weights: &[1.0], variances: &[0.0] };
    /// assert_eq!(target.validate().unwrap_err().to_string(), "`variances` must be finite and positive");
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        let k = self.weights.len();
        check("weights", k > 0, "must have a positive element")?;
        check_length("variances", k, self.variances.len())?;
        check_length(
            "means",
            self.dimension().saturating_mul(k),
            self.means.len(),
        )?;
        check(
            "means",
            !self.means.is_empty(),
            "must have a coordinate each",
        )?;
        for (name, values) in [("weights", self.weights), ("variances", self.variances)] {
            let positive = values.iter().all(|x| x.is_finite() && *x > T::ZERO);
            check(name, positive, "must be finite and positive")?;
        }
        let total = self.total_weight();
        check("weights", total.is_finite(), "must have a finite sum")
    }

    /// `d`, and 0 without components.
    fn dimension(&self) -> usize {
        self.means
            .len()
            .checked_div(self.weights.len())
            .unwrap_or(0)
    }

    fn total_weight(&self) -> T {
        self.weights.iter().fold(T::ZERO, |sum, w| sum + *w)
    }

    /// Mean, weight and variance of each component.
    fn components(&self) -> impl Iterator<Item = (&[T], T, T)> {
        let rows = self.means.in_rows(self.dimension());
        rows.zip(self.weights)
            .zip(self.variances)
            .map(|((m, w), v)| (m, *w, *v))
    }

    /// `ln w_k - (d / 2) ln(2 pi v_k)`.
    fn height(&self, w: T, v: T) -> T {
        let half_d = T::from_f64(0.5) * T::from_usize(self.dimension());
        // Weights and variances are positive.
        w.ln() - half_d * (T::from_f64(LN_TAU) + v.ln())
    }

    /// `e_k` of each component: -inf where the distance in deviations overflows.
    fn exponents(&self, x: &[T]) -> impl Iterator<Item = T> {
        self.components().map(move |(m, w, v)| {
            let mut square = T::ZERO;
            for (x, m) in x.iter().zip(m) {
                square += (*x - *m) * (*x - *m);
            }
            let mut half = T::from_f64(0.5) * square / v;
            if !square.is_finite() {
                let deviation = v.sqrt();
                let distances = x.iter().zip(m).map(|(x, m)| (*x - *m) / deviation);
                half = T::from_f64(0.5) * distances.fold(T::ZERO, |sum, z| sum + z * z);
            }
            self.height(w, v) - half
        })
    }

    /// `e_k` up to a common number, of components whose `e_k` all overflow: the distances that overflow cancel against that of the
    /// nearest component, where the variances are equal; where they differ, they outweigh everything else.
    fn nearest(&self, x: &[T]) -> impl Iterator<Item = T> {
        // Some square has overflowed, or is divided by a tiny variance: neither is 0.
        let scale = vector::norm_inf(self.means).largest(vector::norm_inf(x));
        let least = self.variances.iter().fold(T::INFINITY, |a, v| a.least(*v));
        let distance = move |m: &[T], v: T| {
            let mut square = T::ZERO;
            for (x, m) in x.iter().zip(m) {
                let z = *x / scale - *m / scale;
                square += z * z;
            }
            square * (least / v)
        };
        let (mut shortest, mut nearest) = (T::INFINITY, (&[][..], T::ONE));
        for (m, _, v) in self.components() {
            let d = distance(m, v);
            if d < shortest {
                (shortest, nearest) = (d, (m, v));
            }
        }
        self.components().map(move |(m, w, v)| {
            let relative = if v == nearest.1 {
                // |x - m'|^2 - |x - m|^2 = (2 x - m - m') (m - m')
                let mut product = T::ZERO;
                for ((x, a), b) in x.iter().zip(m).zip(nearest.0) {
                    if a != b {
                        product += ((*x - *a) + (*x - *b)) * (*a - *b);
                    }
                }
                T::from_f64(0.5) * product / v
            } else if distance(m, v) == shortest {
                T::ZERO
            } else {
                -T::INFINITY
            };
            // Infinities of either sign in one product: nothing is known of it.
            let relative = if relative.is_nan() { T::ZERO } else { relative };
            (self.height(w, v) + relative).least(T::MAX)
        })
    }

    /// Adds `sum_k r_k (x - m_k) / v_k` to `grad`.
    fn pull<E: Iterator<Item = T>>(&self, exponents: impl Fn() -> E, x: &[T], grad: &mut [T]) {
        let (largest, sum) = total(&exponents);
        for (e, (m, _, v)) in exponents().zip(self.components()) {
            // The sum is at least 1, or NaN.
            let r = (e - largest).exp() / (sum * v);
            if r == T::ZERO {
                // Its difference may be infinite.
                continue;
            }
            for ((g, x), m) in grad.iter_mut().zip(x).zip(m) {
                *g += r * (*x - *m);
            }
        }
    }

    /// Writes an exact draw: a component by its weight, then `d` normal numbers.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and a wrong length of `out`; nothing is drawn then.
    ///
    /// ```
    /// use thalweg::particle::target::Mixture;
    /// use thalweg::random::{Purpose, stream};
    /// let target = Mixture { means: &[-9.0_f64, 9.0], weights: &[1.0; 2], variances: &[0.01; 2] };
    /// let mut x = [0.0];
    /// target.sample_into(&mut stream(1, 0, 0, Purpose::DATA), &mut x)?;
    /// assert!((x[0].abs() - 9.0).abs() < 0.9);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sample_into(&self, rng: &mut impl Rng, out: &mut [T]) -> Result<(), Error> {
        self.validate()?;
        check_length("out", self.dimension(), out.len())?;
        let chosen = random::categorical(rng, self.weights)?;
        if let Some((m, _, v)) = self.components().nth(chosen) {
            let deviation = v.sqrt();
            for (x, m) in out.iter_mut().zip(m) {
                *x = *m + deviation * random::normal(rng);
            }
        }
        Ok(())
    }

    /// Writes the mean, `d` numbers, and the covariance `sum_k p_k (v_k I + (m_k - mean) (m_k - mean)^T)`, `d x d`.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and wrong lengths of the destinations.
    ///
    /// ```
    /// use thalweg::particle::target::Mixture;
    /// let target = Mixture { means: &[-1.0_f32, 1.0], weights: &[1.0; 2], variances: &[0.5; 2] };
    /// let (mut mean, mut covariance) = ([9.0], [9.0]);
    /// target.moments_into(&mut mean, &mut covariance)?;
    /// assert_eq!((mean, covariance), ([0.0], [1.5]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn moments_into(&self, mean: &mut [T], covariance: &mut [T]) -> Result<(), Error> {
        self.validate()?;
        let d = self.dimension();
        check_length("mean", d, mean.len())?;
        check_length("covariance", d.saturating_mul(d), covariance.len())?;
        let total = self.total_weight();
        mean.fill(T::ZERO);
        covariance.fill(T::ZERO);
        for (m, w, _) in self.components() {
            vector::axpy(w / total, m, mean)?;
        }
        for (m, w, v) in self.components() {
            let p = w / total;
            for (i, row) in covariance.in_rows_mut(d).enumerate() {
                if let (Some(a), Some(centre)) = (m.get(i), mean.get(i)) {
                    let a = p * (*a - *centre);
                    for ((c, b), centre) in row.iter_mut().zip(m).zip(&*mean) {
                        *c += a * (*b - *centre);
                    }
                }
                if let Some(c) = row.get_mut(i) {
                    *c += p * v;
                }
            }
        }
        Ok(())
    }
}

impl<T: Real> Gradient<T> for Mixture<'_, T> {
    fn dim(&self) -> usize {
        self.dimension()
    }

    fn scratch_len(&self) -> usize {
        0
    }

    fn value(&self, params: &[T], _: &mut [T]) -> Result<T, Error> {
        self.validate()?;
        check_length("params", self.dimension(), params.len())?;
        let (largest, sum) = total(|| self.exponents(params));
        if largest == -T::INFINITY && params.iter().all(|x| x.is_finite()) {
            return Ok(T::INFINITY);
        }
        Ok(self.total_weight().ln() - largest - sum.ln())
    }

    fn gradient_into(&self, params: &[T], grad: &mut [T], _: &mut [T]) -> Result<(), Error> {
        self.validate()?;
        check_lengths(self.dimension(), params, grad)?;
        grad.fill(T::ZERO);
        if !self.exponents(params).all(|e| e == -T::INFINITY) {
            self.pull(|| self.exponents(params), params, grad);
        } else if params.iter().all(|x| x.is_finite()) {
            self.pull(|| self.nearest(params), params, grad);
        } else {
            grad.fill(T::NAN);
        }
        Ok(())
    }
}

/// The largest `e_k`, and `sum_k exp(e_k - largest)`, at least 1 unless all are -inf or one is NaN.
fn total<T: Real, E: Iterator<Item = T>>(exponents: impl Fn() -> E) -> (T, T) {
    let largest = exponents().fold(-T::INFINITY, T::largest);
    let sum = exponents().fold(T::ZERO, |sum, e| sum + (e - largest).exp());
    (largest, sum)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_draws, check_golden};
    use super::*;
    use crate::model::tests::check_gradient;
    use crate::random::{Purpose, stream};

    const TARGET: Mixture<'static, f64> = Mixture {
        means: &[-2.0, 0.0, 2.0, 0.0, 0.0, 2.5],
        weights: &[2.0, 2.0, 1.0],
        variances: &[0.5, 0.5, 0.25],
    };

    #[test]
    fn density_and_score_are_those_of_scipy() {
        // core/tests/golden/target.py.
        let score = [2.401_515_92, -0.913_308_03];
        check_golden(&TARGET, &[0.4, 0.9], -5.276_628_836_377_83, &score);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        check_gradient(&TARGET, &[0.4, 0.9], 1e-5);
    }

    #[test]
    fn far_away_the_nearest_component_decides() {
        let mut grad = [0.0; 2];
        TARGET
            .gradient_into(&[-100.0, 0.0], &mut grad, &mut [])
            .unwrap();
        assert_eq!(grad, [-196.0, 0.0]);
    }

    /// Value and gradient at a point.
    fn at<T: Real, const D: usize>(target: &Mixture<'_, T>, x: [T; D]) -> (T, [T; D]) {
        let mut grad = [T::NAN; D];
        let value = target.value(&x, &mut []).unwrap();
        target.gradient_into(&x, &mut grad, &mut []).unwrap();
        (value, grad)
    }

    #[test]
    fn where_every_distance_overflows_the_nearest_components_share_the_gradient() {
        let inf = f64::INFINITY;
        // The first two are nearest in deviations, equally far and alike.
        assert_eq!(at(&TARGET, [1e200, 0.0]), (inf, [2e200, 0.0]));
        assert_eq!(at(&TARGET, [0.0, -1e200]), (inf, [0.0, -2e200]));
        // Equally far: shares of the weights, 3/4 (0 - 3) + 1/4 (0 + 3).
        let pair = Mixture {
            means: &[0.0, 3.0, 0.0, -3.0],
            weights: &[3.0, 1.0],
            variances: &[1.0; 2],
        };
        let (value, [x, y]) = at(&pair, [1e200, 0.0]);
        assert!(value == inf && (x / 1e200 - 1.0).abs() < 1e-15);
        assert!((y + 1.5).abs() < 1e-14, "{y}");
        // Farther from the second by 36, halved: shares 3 and e^-18.
        let (_, [_, y]) = at(&pair, [1e200, 3.0]);
        let small = (-18.0_f64).exp();
        assert!(
            (y / (6.0 * small / (3.0 + small)) - 1.0).abs() < 1e-12,
            "{y}"
        );
        // Equal means: the wider one, though its weight is small.
        let nested = Mixture {
            means: &[1.0_f32; 2],
            weights: &[1e30, 1e-30],
            variances: &[1e-20, 1e-19],
        };
        let (value, [slope]) = at(&nested, [1e20]);
        assert_eq!(value, f32::INFINITY);
        assert!(slope.is_infinite());
        let (_, [slope]) = at(&nested, [1e10]);
        assert!((slope / 1e29 - 1.0).abs() < 1e-6, "{slope}");
        // Opposite ends, where differences overflow too.
        let ends = Mixture {
            means: &[-f32::MAX, f32::MAX],
            weights: &[1.0; 2],
            variances: &[1e10; 2],
        };
        let (value, [slope]) = at(&ends, [1e38]);
        let right = (1e38 - f32::MAX) / 1e10;
        assert_eq!(value, f32::INFINITY);
        assert!((slope / right - 1.0).abs() < 1e-6, "{slope} {right}");
    }

    #[test]
    fn a_square_that_overflows_is_none_where_the_deviation_is_as_large() {
        // |x - m|^2 = 1e40 is beyond f32, |x - m|^2 / (2 v) = 20 is not.
        let target = Mixture {
            means: &[0.0_f32, -3e38],
            weights: &[1.0, 1e-20],
            variances: &[2.5e38, 1.0],
        };
        // 1e40 / 5e38 + ln(2 pi 2.5e38) / 2; the gradient is 1e20 / 2.5e38.
        let (value, [slope]) = at(&target, [1e20]);
        let expected = 20.0 + 0.5 * (core::f64::consts::TAU * 2.5e38).ln();
        assert!((f64::from(value) / expected - 1.0).abs() < 1e-6, "{value}");
        assert!((slope / 4e-19 - 1.0).abs() < 1e-5, "{slope}");
    }

    #[test]
    fn points_that_are_not_finite_spread() {
        for bad in [f64::NAN, f64::INFINITY, -f64::INFINITY] {
            let (value, grad) = at(&TARGET, [bad, 0.0]);
            assert!(value.is_nan() && grad[0].is_nan(), "{value} {grad:?}");
        }
    }

    #[test]
    fn draws_have_the_moments() {
        let (mut mean, mut covariance) = ([0.0; 2], [0.0; 4]);
        TARGET.moments_into(&mut mean, &mut covariance).unwrap();
        // core/tests/golden/target.py.
        for (found, expected) in mean.iter().zip([0.0, 0.5]) {
            assert!((found - expected).abs() < 1e-15);
        }
        for (found, expected) in covariance.iter().zip([3.65, 0.0, 0.0, 1.45]) {
            assert!((found - expected).abs() < 1e-14);
        }
        let mut rng = stream(3, 0, 0, Purpose::DATA);
        check_draws(40_000, 4.0, &[0.0, 0.5], &[3.65, 0.0, 0.0, 1.45], |x| {
            TARGET.sample_into(&mut rng, x).unwrap();
        });
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let name = |target: Mixture<'_, f64>| match target.validate() {
            Err(Error::Length { name, .. } | Error::Parameter { name, .. }) => name,
            _ => "none",
        };
        assert_eq!(name(TARGET), "none");
        #[rustfmt::skip]
        let bad = [
            ("weights", Mixture { weights: &[], ..TARGET }),
            ("weights", Mixture { weights: &[1.0, 2.0, f64::NAN], ..TARGET }),
            ("weights", Mixture { weights: &[1.0, f64::MAX, f64::MAX], ..TARGET }),
            ("variances", Mixture { variances: &[1.0], ..TARGET }),
            ("variances", Mixture { variances: &[1.0, 0.0, 1.0], ..TARGET }),
            ("means", Mixture { means: &[1.0; 7], ..TARGET }),
            ("means", Mixture { means: &[], ..TARGET }),
        ];
        for (expected, target) in bad {
            assert_eq!(name(target), expected);
            let mut out = [5.0; 2];
            assert!(target.gradient_into(&[0.0; 2], &mut out, &mut []).is_err());
            assert!(
                target
                    .sample_into(&mut stream(1, 0, 0, Purpose::DATA), &mut out)
                    .is_err()
            );
            assert_eq!(out, [5.0; 2]);
        }
    }
}
