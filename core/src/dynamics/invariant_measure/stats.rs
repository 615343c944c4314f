//! K1 to K4: inner products in `f64` over data of either type, projections, stationarity ratios.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices below the length of a slice, and counts that are bounded where they are restored"
)]

use rand_core::Rng;

use crate::error::check_length;
use crate::random::{self, Purpose};
use crate::real::kernels;
use crate::simd::{self, BLOCK, Kernel, LANES, Lanes, Simd, Sum};
use crate::{Error, Real};

/// What K1 finds at one step.
///
/// ```
/// use thalweg::dynamics::invariant_measure::StepStats;
/// assert_eq!(StepStats::default().gg, 0.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepStats {
    /// `<g, g>`.
    pub gg: f64,
    /// `<x, g>`.
    pub tg: f64,
    /// `<x, x>`.
    pub tt: f64,
}

impl StepStats {
    /// Adds the sums of the next part of the parameters, computed by another thread or device.
    ///
    /// In the order of the parts; with parts of [`BLOCK`](crate::simd::BLOCK) elements the bits are those of one pass.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::step_stats;
    /// let mut sums = step_stats(&[1.0_f32], &[2.0])?;
    /// sums.merge(&step_stats(&[3.0_f32], &[4.0])?);
    /// assert_eq!((sums.gg, sums.tg, sums.tt), (20.0, 14.0, 10.0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn merge(&mut self, next: &Self) {
        self.gg += next.gg;
        self.tg += next.tg;
        self.tt += next.tt;
    }
}

/// K1: `<g,g>`, `<x,g>` and `<x,x>` in one pass.
///
/// # Errors
/// Lengths that differ.
///
/// ```
/// use thalweg::dynamics::invariant_measure::step_stats;
/// let s = step_stats(&[1.0_f32, 2.0], &[3.0, -4.0])?;
/// assert_eq!((s.gg, s.tg, s.tt), (25.0, -5.0, 5.0));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step_stats<T: Real>(params: &[T], grad: &[T]) -> Result<StepStats, Error> {
    check_length("grad", params.len(), grad.len())?;
    let [gg, tg, tt] = T::Kernels::wide_products(params, grad);
    Ok(StepStats { gg, tg, tt })
}

/// K2: the squared distance that the parameters have moved from a reference.
///
/// # Errors
/// Lengths that differ.
///
/// ```
/// use thalweg::dynamics::invariant_measure::movement;
/// assert_eq!(movement(&[1.0_f32, 5.0], &[1.0, 2.0])?, 9.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn movement<T: Real>(params: &[T], reference: &[T]) -> Result<f64, Error> {
    check_length("reference", params.len(), reference.len())?;
    Ok(T::Kernels::wide_distance(params, reference))
}

/// `<x, x>` in `f64`.
pub(crate) fn square<T: Real>(x: &[T]) -> f64 {
    T::Kernels::wide_square(x)
}

/// K3: `out[j] = sum_i s_ij x_i / sqrt(d)` with signs `s_ij` that are hashed from the seed; zeros without parameters.
///
/// Sign `i` of projection `j` is bit `i mod 64` of word `i / 64` of the stream `(seed, j, 0, DIRECTION)`, set for -1.
///
/// ```
/// use thalweg::dynamics::invariant_measure::project_into;
/// let mut out = [0.0; 3];
/// project_into(&[2.0_f32; 1], 7, &mut out);
/// assert!(out.iter().all(|x| x.abs() == 2.0));
/// ```
pub fn project_into<T: Real>(params: &[T], seed: u64, out: &mut [f64]) {
    // At least 1, so that the quotient of an empty sum is 0.
    let root = libm::sqrt(params.len().max(1) as f64);
    for (j, out) in (0_u64..).zip(out) {
        let mut words = random::stream(seed, j, 0, Purpose::DIRECTION);
        let mut lanes = [0.0_f64; LANES];
        for group in params.chunks(64) {
            let word = words.next_u64();
            for (half, row) in group.chunks(LANES).enumerate() {
                let signs = word >> (32 * half as u32);
                for ((lane, x), i) in lanes.iter_mut().zip(row).zip(0_u32..) {
                    let x = x.to_f64();
                    *lane += if signs >> i & 1 == 1 { -x } else { x };
                }
            }
        }
        *out = halve(lanes) / root;
    }
}

#[allow(clippy::disallowed_methods, reason = "half is below the length")]
fn halve(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (a, &b) in low.iter_mut().zip(high.iter()) {
            *a += b;
        }
        half /= 2;
    }
    let [first, ..] = lanes;
    first
}

/// `a / b`, or nothing where `b` is not a positive normal number or the quotient is none.
fn ratio(a: f64, b: f64) -> Option<f64> {
    (b >= f64::MIN_POSITIVE)
        .then_some(a / b)
        .filter(|ratio| ratio.is_finite())
}

/// R1 of plain SGD, `2 mean<x,g> / (eta mean<g,g>)`: 1 in a stationary state, exactly; nothing without a gradient.
///
/// It follows from `|x'|^2 - |x|^2 = -2 eta <x,g> + eta^2 <g,g>`.
///
/// ```
/// use thalweg::dynamics::invariant_measure::norm_ratio;
/// assert_eq!(norm_ratio(0.5, 1.0, 4.0), Some(1.0));
/// assert_eq!(norm_ratio(0.5, 0.0, 0.0), None);
/// ```
pub fn norm_ratio(learning_rate: f64, mean_tg: f64, mean_gg: f64) -> Option<f64> {
    ratio(2.0 * mean_tg, learning_rate * mean_gg)
}

/// R1 of the heavy ball `v' = m v - g`, `x' = x + eta v'`: `mean<x,g> / ((1 + m) / 2 eta mean<v',v'>)`.
///
/// ```
/// use thalweg::dynamics::invariant_measure::heavy_ball_ratio;
/// assert_eq!(heavy_ball_ratio(0.5, 0.5, 0.75, 2.0), Some(1.0));
/// ```
pub fn heavy_ball_ratio(
    learning_rate: f64,
    momentum: f64,
    mean_tg: f64,
    mean_vv: f64,
) -> Option<f64> {
    ratio(mean_tg, 0.5 * (1.0 + momentum) * learning_rate * mean_vv)
}

/// R2, `(eta / 2) mean(g^T H g) / mean|grad|^2`: near 1 where curvature times noise cancels the descent.
///
/// ```
/// use thalweg::dynamics::invariant_measure::curvature_ratio;
/// assert_eq!(curvature_ratio(0.5, 8.0, 2.0), Some(1.0));
/// ```
pub fn curvature_ratio(learning_rate: f64, mean_ghg: f64, mean_gradient: f64) -> Option<f64> {
    ratio(0.5 * learning_rate * mean_ghg, mean_gradient)
}

#[derive(Clone, Copy)]
struct Products;

impl Sum<f64, 2, 3> for Products {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = f64>>(&self, [x, g]: [L; 2]) -> [L; 3] {
        [g * g, x * g, x * x]
    }
}

#[derive(Clone, Copy)]
struct Distance;

impl Sum<f64, 2, 1> for Distance {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = f64>>(&self, [x, y]: [L; 2]) -> [L; 1] {
        let difference = x - y;
        [difference * difference]
    }
}

#[derive(Clone, Copy)]
struct Square;

impl Sum<f64, 2, 1> for Square {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = f64>>(&self, [x, _]: [L; 2]) -> [L; 1] {
        [x * x]
    }
}

/// A sum in the order of [`simd::sum`] whose terms are `f64` and whose data are `T`.
///
/// Every term vanishes with its arguments, so a row is padded with zeros. The compiler turns the conversion of a group
/// into one instruction at each level: a conversion among the operations of lanes would be a third associated type.
struct WideSum<'a, T, B, const O: usize> {
    body: B,
    x: &'a [T],
    y: &'a [T],
}

kernels! {
    /// Sums in `f64`.
    trait StatsKernels<T> {
        fn wide_products(x: &[T], y: &[T]) -> [f64; 3] {
            let body = Products;
            simd::dispatch(WideSum { body, x, y })
        }
        fn wide_distance(x: &[T], y: &[T]) -> f64 {
            let body = Distance;
            let [square] = simd::dispatch(WideSum { body, x, y });
            square
        }
        fn wide_square(x: &[T]) -> f64 {
            let body = Square;
            let [square] = simd::dispatch(WideSum { body, x, y: x });
            square
        }
    }
}

impl<T: Real, B: Sum<f64, 2, O>, const O: usize> Kernel for WideSum<'_, T, B, O> {
    type Output = [f64; O];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f64; O] {
        let mut total = [0.0; O];
        for (x, y) in self.x.chunks(BLOCK).zip(self.y.chunks(BLOCK)) {
            let mut acc = [S::F64::splat(simd, 0.0).block(); O];
            let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
            for (x, y) in x.iter().zip(y) {
                add_row::<S, T, B, O>(simd, &self.body, x, y, &mut acc);
            }
            if !x_rest.is_empty() {
                let (mut x, mut y) = ([T::ZERO; LANES], [T::ZERO; LANES]);
                x.iter_mut().zip(x_rest).for_each(|(to, from)| *to = *from);
                y.iter_mut().zip(y_rest).for_each(|(to, from)| *to = *from);
                add_row::<S, T, B, O>(simd, &self.body, &x, &y, &mut acc);
            }
            for (total, acc) in total.iter_mut().zip(&acc) {
                let mut lanes = [0.0; LANES];
                for (to, from) in S::F64::groups_mut(&mut lanes)
                    .0
                    .iter_mut()
                    .zip(acc.as_ref())
                {
                    from.store(to);
                }
                *total += halve(lanes);
            }
        }
        total
    }
}

#[inline(always)]
fn add_row<S: Simd, T: Real, B: Sum<f64, 2, O>, const O: usize>(
    simd: S,
    body: &B,
    x: &[T; LANES],
    y: &[T; LANES],
    acc: &mut [<S::F64 as Lanes>::Block; O],
) {
    for r in 0..LANES / S::F64::LEN {
        let terms = body.terms([widen::<S, T>(simd, x, r), widen::<S, T>(simd, y, r)]);
        for (acc, term) in acc.iter_mut().zip(terms) {
            if let Some(a) = acc.as_mut().get_mut(r) {
                *a = *a + term;
            }
        }
    }
}

/// Group `r` of a row as `f64`.
#[inline(always)]
fn widen<S: Simd, T: Real>(simd: S, row: &[T; LANES], r: usize) -> S::F64 {
    let mut group = S::F64::splat(simd, 0.0).into_array();
    if let Some(from) = row.chunks_exact(S::F64::LEN).nth(r) {
        for (to, from) in group.as_mut().iter_mut().zip(from) {
            *to = from.to_f64();
        }
    }
    S::F64::load(simd, &group)
}
