//! What the outputs of a network are measured with, and the slope of it.

use super::Batch;
use crate::Real;
use crate::memory::{must, must_or};
use crate::real::kernels;
use crate::simd::{self, Lanes, Update, math};

/// How outputs are compared with labels.
///
/// ```text
/// CrossEntropy   mean_i  ln(sum_c exp f_ic) - f_i,y(i)          slope (softmax(f) - onehot(y)) / n
/// Squared        sum_ic (f_ic - y_ic)^2 / (2 n C)               slope (f - y) / (n C)
/// ```
///
/// `n` rows, `C` outputs. Cross-entropy subtracts the largest output of a row before it takes exponentials, so
/// that no finite outputs overflow. Squared loss takes classes for one-hot targets. (PyTorch's `MSELoss` is twice
/// this squared loss.)
///
/// ```
/// assert_eq!(thalweg::model::Loss::default(), thalweg::model::Loss::CrossEntropy);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Softmax cross-entropy against classes.
    #[default]
    CrossEntropy,
    /// Half the mean square of the residuals, against targets or one-hot classes.
    Squared,
}

impl Loss {
    /// The loss of a row is this multiple of the sum that [`measure`](Self::measure) returns.
    pub(crate) fn weight(self, outputs: usize) -> f64 {
        match self {
            Self::CrossEntropy => 1.0,
            Self::Squared => 0.5 / outputs as f64,
        }
    }

    /// Sum over rows `start..` of the loss over [`weight`](Self::weight); overwrites the outputs `z` by
    /// `scale` times the slope of each row's loss.
    pub(crate) fn measure<T: Real>(
        self,
        batch: &Batch<'_, T>,
        start: usize,
        outputs: usize,
        scale: T,
        z: &mut [T],
    ) -> f64 {
        let rows = (start..).zip(z.chunks_exact_mut(outputs.max(1)));
        match self {
            Self::CrossEntropy => {
                // z - max in place, then all exponentials of the block at once.
                let mut sum = 0.0;
                for (i, z) in rows {
                    let most = z.iter().fold(-T::INFINITY, |m, &z| z.largest(m));
                    for z in z.iter_mut() {
                        *z -= most;
                    }
                    let class = must(batch.class(i)) as usize;
                    sum -= must_or(z.get(class).copied(), T::NAN).to_f64();
                }
                T::Kernels::exp_in_place(z);
                let rows = (start..).zip(z.chunks_exact_mut(outputs.max(1)));
                rows.fold(sum, |sum, (i, z)| {
                    let class = must(batch.class(i)) as usize;
                    sum + normalise(z, class, scale).to_f64()
                })
            }
            Self::Squared => {
                let scale = scale / T::from_usize(outputs);
                rows.fold(0.0, |sum, (i, z)| {
                    let class = batch.class(i).map(|c| c as usize);
                    sum + squared(z, class, batch.target(i), scale).to_f64()
                })
            }
        }
    }
}

kernels! {
    /// The exponentials of a softmax.
    trait LossKernels<T> {
        fn exp_in_place(z: &mut [T]) {
            simd::update(&Exp, [z], []);
        }
    }
}

#[derive(Clone, Copy)]
struct Exp;
impl<T: Real> Update<T, 1, 0> for Exp {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [z]: [L; 1], _: [L; 0]) -> [L; 1] {
        [math::exp(z)]
    }
}

/// Logarithm of the sum of one row of exponentials, which become `scale (softmax - onehot)`.
fn normalise<T: Real>(e: &mut [T], class: usize, scale: T) -> T {
    // The largest term is exp(0) = 1, so the sum is at least 1 (or NaN).
    let sum = e.iter().fold(T::ZERO, |sum, &e| sum + e);
    for (c, e) in e.iter_mut().enumerate() {
        let hit = if c == class { T::ONE } else { T::ZERO };
        *e = (*e / sum - hit) * scale;
    }
    math::scalar::ln(sum)
}

/// Sum of squared residuals of one row with a class or targets, whose outputs become `scale` times the residuals.
fn squared<T: Real>(z: &mut [T], class: Option<usize>, targets: Option<&[T]>, scale: T) -> T {
    let mut sum = T::ZERO;
    for (c, z) in z.iter_mut().enumerate() {
        let target = match class {
            Some(class) if c == class => T::ONE,
            Some(_) => T::ZERO,
            None => must_or(targets.and_then(|row| row.get(c).copied()), T::NAN),
        };
        let residual = *z - target;
        sum += residual * residual;
        *z = residual * scale;
    }
    sum
}
