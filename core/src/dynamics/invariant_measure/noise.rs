//! K5: the full gradient and its noise from M minibatch gradients at one point, without bias.

use super::stats::square;
use crate::error::{check_length, ensure_finite};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::storage::Fixed;
use crate::{Error, Real, Storage};

/// What M gradients say.
///
/// ```
/// use thalweg::dynamics::invariant_measure::Noise;
/// let mut noise = Noise::<[f64; 1]>::new();
/// noise.push(&[1.0_f32])?;
/// assert_eq!(noise.estimate(), None); // one gradient has no spread
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseEstimate {
    /// `G = (M |mean g|^2 - mean |g|^2) / (M - 1)`, an unbiased estimate of `|grad|^2`. It may be negative.
    pub gradient: f64,
    /// `N = M / (M - 1) (mean |g|^2 - |mean g|^2)`, an unbiased estimate of `E |g - grad|^2`.
    pub noise: f64,
    /// `|mean g|^2`, too large by `noise / M`.
    pub biased: f64,
}

/// Sums over minibatch gradients: `d` numbers, a sum of squares and a count.
///
/// ```
/// use thalweg::dynamics::invariant_measure::Noise;
/// let mut noise = Noise::<[f64; 2]>::new();
/// noise.push(&[3.0_f32, 4.0])?;
/// noise.push(&[-3.0_f32, -4.0])?;
/// // Two opposite gradients: no mean, and G = -|g|^2.
/// let estimate = noise.estimate().unwrap_or_else(|| unreachable!());
/// assert_eq!((estimate.gradient, estimate.noise, estimate.biased), (-25.0, 50.0, 0.0));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise<B> {
    sum: B,
    squares: f64,
    count: u64,
}

impl<B: Storage<Elem = f64>> Noise<B> {
    /// Nothing seen, in an array.
    #[must_use]
    pub const fn new() -> Self
    where
        B: Fixed,
    {
        Self {
            sum: B::ZERO,
            squares: 0.0,
            count: 0,
        }
    }

    /// Nothing seen, in `d` numbers that are passed in and set to zero.
    #[must_use]
    pub fn from_storage(sum: B) -> Self {
        let mut noise = Self {
            sum,
            squares: 0.0,
            count: 0,
        };
        noise.reset();
        noise
    }

    /// Forgets everything; for each point at which the noise is measured.
    pub fn reset(&mut self) {
        self.sum.as_mut_slice().fill(0.0);
        self.squares = 0.0;
        self.count = 0;
    }

    /// Adds one minibatch gradient.
    ///
    /// # Errors
    /// A wrong length; [`Error::NonFinite`] with the index of an element that is NaN or infinite, which no later gradient would
    /// undo. Nothing is added then.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::Noise;
    /// let mut noise = Noise::<[f64; 2]>::new();
    /// let error = noise.push(&[1.0, f32::INFINITY]).unwrap_err();
    /// assert_eq!(error.to_string(), "`grad` is not finite at index 1");
    /// assert_eq!(noise, Noise::new());
    /// ```
    pub fn push<T: Real>(&mut self, grad: &[T]) -> Result<(), Error> {
        let sum = self.sum.as_mut_slice();
        check_length("grad", sum.len(), grad.len())?;
        ensure_finite("grad", grad)?;
        for (sum, g) in sum.iter_mut().zip(grad) {
            *sum += g.to_f64();
        }
        self.squares += square(grad);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Adds what another thread or device has seen at the same point.
    ///
    /// # Errors
    /// Another length.
    pub fn merge<C: Storage<Elem = f64>>(&mut self, other: &Noise<C>) -> Result<(), Error> {
        let (sum, added) = (self.sum.as_mut_slice(), other.sum.as_slice());
        check_length("other", sum.len(), added.len())?;
        for (sum, x) in sum.iter_mut().zip(added) {
            *sum += x;
        }
        self.squares += other.squares;
        self.count = self.count.saturating_add(other.count);
        Ok(())
    }

    /// Gradient and noise; nothing before the second gradient.
    #[must_use]
    pub fn estimate(&self) -> Option<NoiseEstimate> {
        if self.count < 2 {
            return None;
        }
        let m = self.count as f64;
        let biased = square(self.sum.as_slice()) / (m * m);
        let mean = self.squares / m;
        Some(NoiseEstimate {
            gradient: (m * biased - mean) / (m - 1.0),
            noise: m / (m - 1.0) * (mean - biased),
            biased,
        })
    }
}

impl<B: Fixed<Elem = f64>> Default for Noise<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Storage<Elem = f64>> Snapshot for Noise<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"IMNO", 1)?;
        writer.u64(self.count)?;
        writer.slice(&[self.squares])?;
        writer.slice(self.sum.as_slice())?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"IMNO", 1, &self.fields())?;
        let (count, squares) = (reader.u64()?, reader.real::<f64>()?);
        if squares.is_nan() || squares < 0.0 {
            return Err(SnapshotError::Value {
                name: "squares",
                rule: "must be at least 0",
            });
        }
        (self.count, self.squares) = (count, squares);
        reader.slice_into(self.sum.as_mut_slice())?;
        reader.finish()
    }
}

impl<B: Storage<Elem = f64>> Noise<B> {
    fn fields(&self) -> [Field; 3] {
        [
            Field::U64,
            Field::real::<f64>(),
            Field::reals::<f64>(self.sum.as_slice().len()),
        ]
    }
}
