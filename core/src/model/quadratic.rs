//! Random quadratics with a known spread between workers: the test bed of permutation compressors.
//!
//! All workers share one tridiagonal matrix and differ in a factor of it, so that gradients cost O(d) and
//! the smoothness constants have closed forms.
//!
//! ```text
//! T    = tridiag(-1, 2, -1) / 4                   d x d, eigenvalues t_k = sin^2(k pi / (2 (d + 1)))
//! nu_i = 1 + s xi_i                               xi_i, xi'_i ~ N(0, 1), drawn by the caller
//! b_i  = (nu_i / 4) (s xi'_i - 1) e_1
//! c    = mu - lambda_min(mean(nu) T)
//! f_i(x) = x^T (nu_i T + c I) x / 2 - b_i^T x     the mean f is mu-strongly convex; f_i may not be convex
//! x_0  = (sqrt(d), 0, ..., 0)
//! ```
//!
//! Constants, all attained at an end of the spectrum, since each is a convex function of `t`:
//!
//! ```text
//! L_-   = |mean(nu)| cos(pi / (d + 1)) + mu       of the mean gradient
//! L_+-  = std(nu) t_d                             Hessian variance (population standard deviation)
//! L_+^2 = max_k mean(nu^2) t_k^2 + 2 c mean(nu) t_k + c^2
//! L_i   = max_k |nu_i t_k + c|,   L~^2 = mean(L_i^2)
//! ```
//!
//! Cost: a gradient is 6 flops an element, one read and one write. Draws are arguments because published
//! tables fix them by other generators.
//!
//! Szlendak, Tyurin, Richtárik: Permutation Compressors for Provably Faster Distributed Nonconvex
//! Optimization, 2021 (arXiv 2110.03300), the generator of the synthetic experiments. The closed forms are ours.

use super::Gradient;
use crate::error::{check, check_length, ensure_finite};
use crate::real::kernels;
use crate::simd::{self, Lanes, Map, Sum};
use crate::{Error, Real};

/// The family: size, noise and strong convexity.
///
/// ```
/// use thalweg::model::quadratic::Config;
/// // Without noise every worker has nu = 1: L_- = cos(pi / 3) + mu and no Hessian variance.
/// let config = Config { dim: 2, noise: 0.0, mu: 0.25 };
/// let constants = config.constants(&[0.3, -1.2])?;
/// assert!((constants.l_minus - 0.75).abs() < 1e-15);
/// assert_eq!(constants.l_plus_minus, 0.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Dimension `d`, at least 1.
    pub dim: usize,
    /// Noise scale `s`, finite and not negative.
    pub noise: f64,
    /// Strong convexity `mu` of the mean, finite and not negative.
    pub mu: f64,
}

/// Smoothness constants of a family with its draws: what theory step sizes are made of.
///
/// ```
/// use thalweg::model::quadratic::Config;
/// let c = Config { dim: 1, noise: 1.0, mu: 0.5 }.constants(&[1.0, -1.0])?;
/// // nu = (2, 0), T = 1/2: A_i = (1, 0) + c with c = 0.5 - 0.5 = 0.
/// assert!(c.shift.abs() < 1e-15 && (c.mean_curvature - 1.0).abs() < 1e-15);
/// assert!((c.l_minus - 0.5).abs() < 1e-15);
/// assert!((c.l_plus_minus - 0.5).abs() < 1e-15);
/// assert!((c.l_plus - 0.5_f64.sqrt()).abs() < 1e-15);
/// assert!((c.l_max - 1.0).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constants {
    /// Mean of `nu_i`.
    pub mean_curvature: f64,
    /// The shift `c` of every worker's matrix.
    pub shift: f64,
    /// `L_-`: Lipschitz constant of the mean gradient.
    pub l_minus: f64,
    /// `L_+`: of the root mean square of the workers' gradients.
    pub l_plus: f64,
    /// `L_+-`: the Hessian variance.
    pub l_plus_minus: f64,
    /// `L~`: root mean square of the workers' own constants.
    pub l_tilde: f64,
    /// Largest of the workers' own constants.
    pub l_max: f64,
    /// Mean of the workers' own constants.
    pub l_mean: f64,
}

impl Config {
    /// Checks the ranges of the fields.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    ///
    /// ```
    /// use thalweg::model::quadratic::Config;
    /// assert!(Config { dim: 0, noise: 0.1, mu: 1e-6 }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check("dim", self.dim > 0, "must be positive")?;
        let is_size = |x: f64| x.is_finite() && x >= 0.0;
        check(
            "noise",
            is_size(self.noise),
            "must be finite and not negative",
        )?;
        check("mu", is_size(self.mu), "must be finite and not negative")
    }

    /// Smallest and largest eigenvalue of `T`.
    fn spectrum(&self) -> (f64, f64) {
        let half_angle = core::f64::consts::FRAC_PI_2 / (self.dim as f64 + 1.0);
        let (s, c) = (libm::sin(half_angle), libm::cos(half_angle));
        (s * s, c * c)
    }

    /// Constants of the family whose workers drew `xi`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a field out of range or no workers; [`Error::NonFinite`] for a draw.
    ///
    /// ```
    /// use thalweg::model::quadratic::Config;
    /// let config = Config { dim: 1000, noise: 0.0, mu: 1e-6 };
    /// let found = config.constants(&[0.0])?;
    /// assert!((found.l_minus - found.l_plus).abs() < 1e-12);
    /// assert!((1.0 / found.l_minus - 1.0).abs() < 1e-5);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn constants(&self, xi: &[f64]) -> Result<Constants, Error> {
        self.validate()?;
        check("xi", !xi.is_empty(), "must hold one draw per worker")?;
        ensure_finite("xi", xi)?;
        let n = xi.len() as f64;
        let mean = |term: &dyn Fn(f64) -> f64| {
            xi.iter()
                .fold(0.0, |sum, &x| sum + term(1.0 + self.noise * x))
                / n
        };
        let (low, high) = self.spectrum();
        let mean_curvature = mean(&|nu| nu);
        let variance = mean(&|nu| (nu - mean_curvature) * (nu - mean_curvature));
        let mean_square = mean_curvature * mean_curvature + variance;
        let shift = self.mu - (mean_curvature * low).min(mean_curvature * high);
        let plus_squared =
            |t: f64| mean_square * t * t + 2.0 * shift * mean_curvature * t + shift * shift;
        let own = |nu: f64| (nu * low + shift).abs().max((nu * high + shift).abs());
        Ok(Constants {
            mean_curvature,
            shift,
            l_minus: mean_curvature.abs() * (high - low) + self.mu,
            l_plus: libm::sqrt(plus_squared(low).max(plus_squared(high)).max(0.0)),
            l_plus_minus: libm::sqrt(variance) * high,
            l_tilde: libm::sqrt(mean(&|nu| own(nu) * own(nu))),
            l_max: xi
                .iter()
                .fold(0.0, |most, &x| own(1.0 + self.noise * x).max(most)),
            l_mean: mean(&own),
        })
    }

    /// The objective of a worker that drew `xi` and `xi_linear`, in a family of the given `shift`.
    ///
    /// ```
    /// use thalweg::model::quadratic::Config;
    /// let config = Config { dim: 3, noise: 0.5, mu: 0.0 };
    /// let f = config.worker(2.0, -2.0, 0.125);
    /// assert_eq!((f.curvature, f.linear, f.shift), (2.0_f32, -1.0, 0.125));
    /// ```
    pub fn worker<T: Real>(&self, xi: f64, xi_linear: f64, shift: f64) -> Quadratic<T> {
        let nu = 1.0 + self.noise * xi;
        Quadratic {
            dim: self.dim,
            curvature: T::from_f64(nu),
            shift: T::from_f64(shift),
            linear: T::from_f64(nu / 4.0 * (self.noise * xi_linear - 1.0)),
        }
    }

    /// The mean objective of workers that drew `xi` and `xi_linear`.
    ///
    /// # Errors
    /// As [`constants`](Self::constants), and [`Error::Length`] when the draws differ in number.
    ///
    /// ```
    /// use thalweg::model::quadratic::Config;
    /// let config = Config { dim: 1, noise: 1.0, mu: 0.5 };
    /// let f = config.mean::<f64>(&[1.0, -1.0], &[0.0, 7.0])?;
    /// // nu = (2, 0), so b = (-1/2, 0).
    /// assert_eq!((f.curvature, f.linear), (1.0, -0.25));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn mean<T: Real>(&self, xi: &[f64], xi_linear: &[f64]) -> Result<Quadratic<T>, Error> {
        check_length("xi_linear", xi.len(), xi_linear.len())?;
        let constants = self.constants(xi)?;
        let linear = xi.iter().zip(xi_linear).fold(0.0, |sum, (&x, &y)| {
            sum + self.worker::<f64>(x, y, constants.shift).linear
        }) / xi.len() as f64;
        Ok(Quadratic {
            dim: self.dim,
            curvature: T::from_f64(constants.mean_curvature),
            shift: T::from_f64(constants.shift),
            linear: T::from_f64(linear),
        })
    }
}

/// One worker's objective, or the mean of all: `x^T (nu T + c I) x / 2 - b x_1`.
///
/// It has no data, and its scratch is empty.
///
/// ```
/// use thalweg::model::{Gradient, quadratic::Quadratic};
/// let f = Quadratic { dim: 3, curvature: 4.0_f32, shift: 1.0, linear: 0.5 };
/// let mut grad = [0.0; 3];
/// let value = f.value_and_gradient_into(&[1.0, 2.0, 4.0], &mut grad, &mut [])?;
/// // 4 T x = (0, -1, 6).
/// assert_eq!(grad, [0.0 + 1.0 - 0.5, -1.0 + 2.0, 6.0 + 4.0]);
/// assert_eq!(value, (22.0 + 21.0) / 2.0 - 0.5);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quadratic<T> {
    /// Dimension `d`.
    pub dim: usize,
    /// The factor `nu` of `T`.
    pub curvature: T,
    /// The multiple `c` of the identity.
    pub shift: T,
    /// The first entry `b` of the linear term; the others are zero.
    pub linear: T,
}

/// `nu (T x)_j + c x_j` from an element and its neighbours.
#[derive(Clone, Copy)]
struct Bend<T> {
    quarter: T,
    shift: T,
}

impl<T: Real> Map<T, 3, 1> for Bend<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [before, x, after]: [L; 3]) -> [L; 1] {
        let bend = x + x - (before + after);
        [x.constant(self.quarter) * bend + x.constant(self.shift) * x]
    }
}

/// Squares, and squares of differences.
#[derive(Clone, Copy)]
struct Energy;
impl<T: Real> Sum<T, 2, 2> for Energy {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x, after]: [L; 2]) -> [L; 2] {
        let slope = after - x;
        [x * x, slope * slope]
    }
}

kernels! {
    /// The tridiagonal matrix of a quadratic.
    trait Kernels<T> {
        fn second_differences(quarter: T, shift: T, x: [&[T]; 3], out: &mut [T]) {
            simd::map(&Bend { quarter, shift }, x, [out]);
        }
        fn bending_energy(x: &[T], after: &[T]) -> [T; 2] {
            simd::sum(&Energy, [x, after])
        }
    }
}

impl<T: Real> Quadratic<T> {
    /// Writes `(nu T + c I) x`.
    ///
    /// # Errors
    /// [`Error::Length`] when `x` or `out` does not have `dim` elements.
    ///
    /// ```
    /// use thalweg::model::quadratic::Quadratic;
    /// let f = Quadratic { dim: 2, curvature: 4.0_f64, shift: 0.0, linear: 9.0 };
    /// let mut out = [0.0; 2];
    /// f.apply_into(&[1.0, 3.0], &mut out)?;
    /// assert_eq!(out, [-1.0, 5.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn apply_into(&self, x: &[T], out: &mut [T]) -> Result<(), Error> {
        check_length("x", self.dim, x.len())?;
        check_length("out", self.dim, out.len())?;
        let quarter = self.curvature * T::from_f64(0.25);
        let tail = |x: &'_ [T], from: usize| x.get(from).copied().unwrap_or(T::ZERO);
        let d = x.len();
        let (first, second) = (tail(x, 0), tail(x, 1));
        let (last, before) = (tail(x, d.wrapping_sub(1)), tail(x, d.wrapping_sub(2)));
        if let (Some(middle), Some(after), Some(out)) = (x.get(1..), x.get(2..), out.get_mut(1..)) {
            T::Kernels::second_differences(quarter, self.shift, [x, middle, after], out);
        }
        let edge = |before: T, x: T, after: T| {
            let bend = x + x - (before + after);
            quarter * bend + self.shift * x
        };
        if let Some(end) = out.last_mut() {
            *end = edge(before, last, T::ZERO);
        }
        if let Some(start) = out.first_mut() {
            *start = edge(T::ZERO, first, second);
        }
        Ok(())
    }

    /// Least value of the objective, or `None` where a pivot of its matrix is not positive.
    ///
    /// `-b^2 (A^-1)_11 / 2`, the corner of the inverse by its continued fraction: O(d), no memory.
    ///
    /// ```
    /// use thalweg::model::quadratic::Quadratic;
    /// // A = [[2, -1], [-1, 2]] has (A^-1)_11 = 2/3.
    /// let f = Quadratic { dim: 2, curvature: 4.0_f64, shift: 0.0, linear: 3.0 };
    /// assert_eq!(f.minimum(), Some(-3.0));
    /// let g = Quadratic { shift: -2.0, ..f };
    /// assert_eq!(g.minimum(), None);
    /// ```
    pub fn minimum(&self) -> Option<f64> {
        let (nu, c, b) = (
            self.curvature.to_f64(),
            self.shift.to_f64(),
            self.linear.to_f64(),
        );
        let (diagonal, square) = (nu / 2.0 + c, nu * nu / 16.0);
        let mut pivot = diagonal;
        for _ in 1..self.dim {
            if pivot <= 0.0 {
                return None;
            }
            pivot = diagonal - square / pivot;
        }
        (pivot > 0.0).then_some(-b * b / pivot / 2.0)
    }
}

impl<T: Real> Gradient<T> for Quadratic<T> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn scratch_len(&self) -> usize {
        0
    }

    fn value(&self, params: &[T], _: &mut [T]) -> Result<T, Error> {
        check_length("params", self.dim, params.len())?;
        // x^T T x = (x_1^2 + x_d^2 + sum (x_j+1 - x_j)^2) / 4: no cancellation for smooth x.
        let (Some(&first), Some(&last), Some(after)) =
            (params.first(), params.last(), params.get(1..))
        else {
            return Ok(T::ZERO);
        };
        let [squares, slopes] = T::Kernels::bending_energy(params, after);
        let bending = (first * first + last * last + slopes) * T::from_f64(0.25);
        let energy = self.curvature * bending + self.shift * (squares + last * last);
        Ok(energy * T::from_f64(0.5) - self.linear * first)
    }

    fn gradient_into(&self, params: &[T], grad: &mut [T], _: &mut [T]) -> Result<(), Error> {
        check_length("params", self.dim, params.len())?;
        check_length("grad", self.dim, grad.len())?;
        self.apply_into(params, grad)?;
        if let Some(first) = grad.first_mut() {
            *first -= self.linear;
        }
        Ok(())
    }
}

/// Writes the starting point `(sqrt(d), 0, ..., 0)`.
///
/// ```
/// let mut x = [9.0_f32; 4];
/// thalweg::model::quadratic::start_into(&mut x);
/// assert_eq!(x, [2.0, 0.0, 0.0, 0.0]);
/// ```
pub fn start_into<T: Real>(x: &mut [T]) {
    x.fill(T::ZERO);
    let size = T::from_usize(x.len()).sqrt();
    if let Some(first) = x.first_mut() {
        *first = size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{check_gradient, painted};
    use std::vec;
    use std::vec::Vec;

    // numpy 2.4.6, default_rng(1234).standard_normal: the first ten draws and the ten after them;
    // core/tests/golden/quadratic.py.
    const XI: [f64; 10] = [
        -1.6038368053963015,
        0.06409991400376411,
        0.7408912958767259,
        0.15261919356565307,
        0.8637438913233318,
        2.913099222503971,
        -1.4788233606644015,
        0.9454729746458599,
        -1.6661354573179643,
        0.34374458145267967,
    ];
    const XI_LINEAR: [f64; 10] = [
        -0.5124437092848577,
        1.3237589566885721,
        -0.8602801935850233,
        0.5194931990183601,
        -1.265143717549522,
        -2.1591390112963427,
        0.434733949991724,
        1.7332893199459019,
        0.5201341562355202,
        -1.0021657937544401,
    ];

    fn close(found: f64, expected: f64) {
        let error = (found - expected).abs() / expected.abs().max(1.0);
        assert!(error < 1e-12, "{found} against {expected}");
    }

    #[test]
    fn constants_are_those_of_the_published_table() {
        // papers/10, d = 1000, mu = 1e-6, four decimals: s, L_-, L_+-, L_+.
        for (noise, minus, plus_minus, plus) in [
            (0.0, 1.0, 0.0, 1.0),
            (0.1, 1.0127, 0.1349, 1.0217),
            (0.8, 1.1020, 1.0791, 1.5423),
        ] {
            let config = Config {
                dim: 1000,
                noise,
                mu: 1e-6,
            };
            let c = config.constants(&XI).unwrap();
            for (found, expected) in [
                (c.l_minus, minus),
                (c.l_plus_minus, plus_minus),
                (c.l_plus, plus),
            ] {
                assert!((found - expected).abs() < 5.1e-5, "{found} {expected}");
            }
        }
    }

    #[test]
    fn constants_are_those_of_dense_eigenvalues() {
        let c = Config {
            dim: 50,
            noise: 0.8,
            mu: 1e-3,
        }
        .constants(&XI)
        .unwrap();
        close(c.l_minus, 1.1008999231661216);
        close(c.l_plus, 1.5408256745550026);
        close(c.l_plus_minus, 1.078036696286683);
        close(c.l_tilde, 1.5408256745550029);
        close(c.l_max, 3.327275909322443);
        close(c.l_mean, 1.260582705800197);
        let c = Config {
            dim: 50,
            noise: 2.5,
            mu: 1e-2,
        }
        .constants(&XI[..4])
        .unwrap();
        close(c.l_minus, 0.6049778769219089);
        close(c.l_plus, 2.2613185535435134);
        close(c.l_plus_minus, 2.178890398582542);
        close(c.l_tilde, 2.261318553543514);
        close(c.l_max, 2.9973032210777704);
        close(c.l_mean, 2.103629487460794);
    }

    #[test]
    fn value_gradient_and_minimum_are_those_of_the_dense_matrix() {
        let config = Config {
            dim: 50,
            noise: 0.8,
            mu: 1e-3,
        };
        let shift = config.constants(&XI).unwrap().shift;
        let f = config.worker::<f64>(XI[2], XI_LINEAR[2], shift);
        let x: Vec<f64> = (0..50).map(|j| libm::cos(f64::from(j))).collect();
        let mut grad = [0.0; 50];
        let value = f.value_and_gradient_into(&x, &mut grad, &mut []).unwrap();
        close(value, 5.404431218222078);
        close(grad[0], 1.2533889854381335);
        close(grad[1], 0.19777128283450227);
        close(grad[25], 0.3628180918762287);
        close(grad[49], 0.49425684666575814);
        close(crate::vector::norm2_squared(&grad), 5.012503744298814);
        let mean = config.mean::<f64>(&XI, &XI_LINEAR).unwrap();
        close(mean.minimum().unwrap(), -0.3100406730354163);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_value_at_small_sizes() {
        for dim in [1, 2, 3, 4, 9, 33] {
            let f = Quadratic {
                dim,
                curvature: 1.7,
                shift: -0.3,
                linear: 0.6,
            };
            check_gradient(&f, &painted(dim, 7), 1e-3);
        }
    }

    #[test]
    fn gradients_have_the_bits_of_the_plain_loop_at_every_level() {
        for level in crate::testing::levels() {
            for dim in [0, 1, 2, 3, 15, 16, 17, 18, 19, 33, 1003, 4097] {
                let f = Quadratic {
                    dim,
                    curvature: 1.3_f32,
                    shift: 0.7,
                    linear: 0.2,
                };
                let x = painted::<f32>(dim, 3);
                let mut grad = vec![0.0; dim];
                f.gradient_into(&x, &mut grad, &mut []).unwrap();
                let at = |j: usize| x.get(j).copied().unwrap_or(0.0);
                for j in 0..dim {
                    let bend = at(j) + at(j) - (at(j.wrapping_sub(1)) + at(j + 1));
                    let plain = 1.3 * 0.25 * bend + 0.7 * at(j);
                    let plain = if j == 0 { plain - 0.2 } else { plain };
                    assert_eq!(grad[j].to_bits(), plain.to_bits(), "{level:?} {dim} {j}");
                }
            }
        }
    }

    #[test]
    fn bad_arguments_are_named_and_nothing_is_written() {
        let good = Config {
            dim: 3,
            noise: 0.1,
            mu: 0.0,
        };
        assert!(
            Config {
                noise: -0.1,
                ..good
            }
            .validate()
            .is_err()
        );
        assert!(
            Config {
                mu: f64::NAN,
                ..good
            }
            .validate()
            .is_err()
        );
        assert!(good.constants(&[]).is_err());
        assert_eq!(
            good.constants(&[0.0, f64::NAN]),
            Err(Error::NonFinite {
                name: "xi",
                at: crate::At::Element(1)
            })
        );
        assert!(good.mean::<f32>(&[0.0], &[]).is_err());
        let f = good.worker::<f32>(0.0, 0.0, 0.0);
        let mut grad = [7.0; 2];
        assert!(f.gradient_into(&[0.0; 3], &mut grad, &mut []).is_err());
        assert_eq!(grad, [7.0; 2]);
        assert!(f.value(&[0.0; 4], &mut []).is_err());
    }
}
