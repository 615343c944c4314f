//! Initial weights: Xavier (Glorot) and Kaiming (He), normal and uniform.
//!
//! ```text
//! Xavier    variance 2 / (inputs + outputs)       keeps activations and gradients level for tanh and linear maps
//! Kaiming   variance 2 / inputs                   halves lost to ReLU made up for
//! Fan-in    variance 1 / inputs                   (LeCun)
//! normal: N(0, variance);  uniform: U(-r, r) with r = sqrt(3 variance)
//! ```
//!
//! Draws follow the order of the parameters, one normal (two words of the generator) or one uniform number (one word) per weight, so
//! the same stream gives the same network everywhere. In `f64` rounded once, as `random` does.
//!
//! Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010, equations 12 and 16;
//! He et al.: Delving deep into rectifiers, 2015, equation 10; LeCun et al.: Efficient BackProp, 1998, equation 16.

use rand_core::Rng;

use crate::Real;
use crate::random::{normal, uniform};

/// How initial weights are drawn; biases start at zero.
///
/// ```
/// use thalweg::model::Init;
/// assert_eq!(Init::KaimingNormal.deviation(8, 100), 0.5);
/// assert_eq!(Init::XavierUniform.deviation(4, 4), 0.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Init {
    /// Normal, variance `2 / (inputs + outputs)`.
    XavierNormal,
    /// Uniform, variance `2 / (inputs + outputs)`.
    XavierUniform,
    /// Normal, variance `2 / inputs`.
    KaimingNormal,
    /// Uniform, variance `2 / inputs`.
    KaimingUniform,
    /// Normal, variance `1 / inputs`.
    FanInNormal,
    /// Uniform, variance `1 / inputs`.
    FanInUniform,
}

impl Init {
    /// Standard deviation of a weight of a layer; 0 without inputs.
    ///
    /// ```
    /// assert_eq!(thalweg::model::Init::FanInNormal.deviation(16, 3), 0.25);
    /// ```
    pub fn deviation(self, inputs: usize, outputs: usize) -> f64 {
        let (variance, fan) = match self {
            Self::XavierNormal | Self::XavierUniform => (2.0, inputs.saturating_add(outputs)),
            Self::KaimingNormal | Self::KaimingUniform => (2.0, inputs),
            Self::FanInNormal | Self::FanInUniform => (1.0, inputs),
        };
        if fan == 0 {
            return 0.0;
        }
        libm::sqrt(variance / fan as f64)
    }

    /// Draws the weights of one layer with these fans.
    ///
    /// ```
    /// use thalweg::model::Init;
    /// use thalweg::random::{Purpose, stream};
    /// let mut w = [9.0_f32; 8];
    /// Init::KaimingUniform.fill(2, 4, &mut stream(1, 0, 0, Purpose::INIT), &mut w);
    /// let bound = 3.0_f32.sqrt(); // variance 2 / 2 = 1
    /// assert!(w.iter().all(|w| w.abs() <= bound) && w[0] != w[1]);
    /// ```
    pub fn fill<T: Real>(
        self,
        inputs: usize,
        outputs: usize,
        rng: &mut impl Rng,
        weights: &mut [T],
    ) {
        let deviation = self.deviation(inputs, outputs);
        match self {
            Self::XavierNormal | Self::KaimingNormal | Self::FanInNormal => {
                for w in weights {
                    *w = T::from_f64(deviation * normal::<f64>(rng));
                }
            }
            Self::XavierUniform | Self::KaimingUniform | Self::FanInUniform => {
                let bound = libm::sqrt(3.0) * deviation;
                for w in weights {
                    *w = T::from_f64(bound * (2.0 * uniform::<f64>(rng) - 1.0));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn draws_have_the_stated_mean_and_variance() {
        // 40,000 draws: standard errors 0.005 s of the mean and at most 0.0071 s^2 of the variance.
        for (init, is_uniform, variance) in [
            (Init::XavierNormal, false, 2.0 / 500.0),
            (Init::XavierUniform, true, 2.0 / 500.0),
            (Init::KaimingNormal, false, 2.0 / 100.0),
            (Init::KaimingUniform, true, 2.0 / 100.0),
            (Init::FanInNormal, false, 1.0 / 100.0),
            (Init::FanInUniform, true, 1.0 / 100.0),
        ] {
            let mut w = std::vec![0.0_f64; 40_000];
            init.fill(100, 400, &mut stream(3, 0, 0, Purpose::INIT), &mut w);
            let mean = w.iter().sum::<f64>() / 4e4;
            let square = w.iter().map(|w| w * w).sum::<f64>() / 4e4;
            assert!(mean.abs() < 0.02 * libm::sqrt(variance), "{init:?} {mean}");
            assert!((square / variance - 1.0).abs() < 0.03, "{init:?} {square}");
            let far = w.iter().fold(0.0_f64, |m, w| m.max(w.abs())) / libm::sqrt(3.0 * variance);
            assert_eq!(far <= 1.0, is_uniform, "{init:?} {far}");
        }
    }
}
