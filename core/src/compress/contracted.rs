//! An unbiased compressor scaled to a contractive one.

use super::{Buffers, Compressor, Contractive, Key, Lengths, Message, Operator, Unbiased, Weight};
use crate::{Error, Real};

/// `C / (1 + omega)` for an unbiased `C`: contractive with `alpha = 1 / (1 + omega)`.
///
/// ```text
/// E |C(x)/(1 + omega) - x|^2 = E|C(x)|^2/(1 + omega)^2 - 2|x|^2/(1 + omega) + |x|^2 <= (1 - 1/(1 + omega)) |x|^2
/// ```
///
/// Messages are those of `C`; the factor joins the weight.
///
/// Reference: Beznosikov et al., "On biased compression for distributed learning", 2020, lemma 1.
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Contracted, Contractive, Key, RandK, Weight};
/// // RandK's factor 8/2 and the scale 2/8 cancel: the drawn elements as they are.
/// let c = Contracted(RandK::new(2));
/// let (mut values, mut out) = ([0.0; 2], [0.0_f32; 8]);
/// let message = c.compress(Key::default(), &[3.0; 8], Buffers::values(&mut values))?;
/// c.accumulate(Key::default(), &message, Weight::ONE, &mut out)?;
/// assert_eq!(out.iter().filter(|o| **o == 3.0).count(), 2);
/// assert_eq!(c.alpha(8), 0.25);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contracted<C>(
    /// The unbiased compressor.
    pub C,
);

impl<C: Unbiased> Operator for Contracted<C> {
    fn validate(&self, d: usize) -> Result<(), Error> {
        self.0.validate(d)
    }

    fn lengths(&self, d: usize) -> Lengths {
        self.0.lengths(d)
    }

    fn clients(&self) -> Option<usize> {
        self.0.clients()
    }

    fn check_key(&self, key: Key) -> Result<(), Error> {
        self.0.check_key(key)
    }
}

impl<T: Real, C: Unbiased + Compressor<T>> Compressor<T> for Contracted<C> {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        self.0.compress(key, x, buffers)
    }

    fn accumulate(
        &self,
        key: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        self.0.validate(out.len())?;
        let weight = weight.over(1.0 + self.0.omega(out.len()))?;
        self.0.accumulate(key, message, Weight::Value(weight), out)
    }

    fn bits(&self, d: usize) -> u64 {
        self.0.bits(d)
    }
}

impl<C: Unbiased> Contractive for Contracted<C> {
    fn alpha(&self, d: usize) -> f64 {
        // omega >= 0.
        1.0 / (1.0 + self.0.omega(d))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dithering, Natural, PermK, RandSeqK};
    use super::*;

    /// Standard errors by which the mean error of `c` exceeds `(1 - alpha) |x|^2`, over keyed draws.
    fn excess<C: Contractive + Compressor<f64>>(c: &C) -> f64 {
        let x = [1.0, -2.0, 0.5, 3.0, 0.0, 7.0, -1.25, 0.3];
        let norm: f64 = x.iter().map(|x| x * x).sum();
        let (draws, mut sum, mut squares) = (100_000, 0.0, 0.0);
        for round in 0..draws {
            let key = Key {
                seed: 6,
                round,
                client: 1,
            };
            let (mut values, mut indices, mut levels) = ([0.0; 8], [0; 8], [0; 8]);
            let buffers = Buffers {
                values: &mut values,
                indices: &mut indices,
                levels: &mut levels,
            };
            let mut rest = x;
            let message = c.compress(key, &x, buffers).unwrap();
            c.accumulate(key, &message, Weight::Value(-1.0), &mut rest)
                .unwrap();
            let error: f64 = rest.iter().map(|x| x * x).sum();
            sum += error;
            squares += error * error;
        }
        let alpha = c.alpha(8);
        assert!(alpha > 0.0 && alpha <= 1.0);
        let (n, mean) = (draws as f64, sum / draws as f64);
        let deviation = ((squares / n - mean * mean) / n).sqrt();
        (mean - (1.0 - alpha) * norm) / deviation
    }

    // Four standard errors: a sound compressor fails one seed in 16 000 (an equality), and the seed is fixed. For RandK
    // they are 0.30 of 40.6, 0.8 %.
    const MOST: f64 = 4.0;

    #[test]
    fn compressors_that_pick_coordinates_err_by_exactly_one_less_alpha() {
        for z in [
            excess(&Contracted(PermK::new(3))),
            excess(&Contracted(RandSeqK::new(3))),
            excess(&Contracted(super::super::RandK::new(3))),
        ] {
            assert!(z.abs() < MOST, "{z} standard errors");
        }
    }

    #[test]
    fn compressors_that_round_values_err_by_at_most_one_less_alpha() {
        for z in [
            excess(&Contracted(Natural)),
            excess(&Contracted(Dithering::qsgd(2))),
        ] {
            assert!(z < MOST, "{z} standard errors");
        }
    }
}
