//! Averages of weights that are known by their logarithms, and how far they can be trusted.

/// Effective draws below which an estimate is unreliable.
pub const LEAST_EFFECTIVE: f64 = 100.0;

/// A figure that comes from weighted draws, and cannot be read without its reliability.
///
/// ```
/// use thalweg::kernel::estimate::Reading;
/// assert_eq!(Reading::Reliable(2.0).reliable(), Some(2.0));
/// assert_eq!(Reading::Unreliable(2.0).reliable(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading<V> {
    /// At least [`LEAST_EFFECTIVE`] effective draws.
    Reliable(V),
    /// Fewer: the figure hangs on a handful of draws, and may be off by far more than its spread suggests.
    Unreliable(V),
}

impl<V> Reading<V> {
    /// The figure, unless it is unreliable.
    ///
    /// ```
    /// # use thalweg::kernel::estimate::Reading;
    /// assert!(Reading::Unreliable(1).reliable().is_none());
    /// ```
    pub fn reliable(self) -> Option<V> {
        match self {
            Self::Reliable(value) => Some(value),
            Self::Unreliable(_) => None,
        }
    }

    /// The same reliability of another figure.
    ///
    /// ```
    /// # use thalweg::kernel::estimate::Reading;
    /// assert_eq!(Reading::Reliable(3).map(|x| 2 * x), Reading::Reliable(6));
    /// ```
    pub fn map<W>(self, f: impl FnOnce(V) -> W) -> Reading<W> {
        match self {
            Self::Reliable(value) => Reading::Reliable(f(value)),
            Self::Unreliable(value) => Reading::Unreliable(f(value)),
        }
    }
}

/// Sum of weights and of their squares, both over the largest weight so far: neither overflows.
///
/// ```
/// use thalweg::kernel::estimate::Weights;
/// let mut weights = Weights::new();
/// for _ in 0..200 {
///     weights.push(-1000.0);
/// }
/// assert_eq!((weights.draws(), weights.effective_draws()), (200, 200.0));
/// assert!((weights.ln_mean() + 1000.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    largest: f64,
    sum: f64,
    squares: f64,
    draws: u64,
}

impl Default for Weights {
    fn default() -> Self {
        Self::new()
    }
}

impl Weights {
    /// No draws.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            largest: f64::NEG_INFINITY,
            sum: 0.0,
            squares: 0.0,
            draws: 0,
        }
    }

    /// Adds a draw by the logarithm of its weight; returns by how much the sums over former weights have been multiplied, and the new weight
    /// in the same unit. A weight of zero (negative infinity) is a draw.
    ///
    /// ```
    /// # use thalweg::kernel::estimate::Weights;
    /// let mut weights = Weights::new();
    /// assert_eq!(weights.push(0.0), (1.0, 1.0));
    /// assert_eq!(weights.push(2.0_f64.ln()), (0.5, 1.0));
    /// ```
    pub fn push(&mut self, log_weight: f64) -> (f64, f64) {
        self.draws = self.draws.saturating_add(1);
        let (scale, weight) = if log_weight > self.largest {
            // exp(-inf) is 0 at the first draw, whose sums are 0; 1 keeps the factor a number for others.
            let scale = if self.draws == 1 {
                1.0
            } else {
                libm::exp(self.largest - log_weight)
            };
            self.largest = log_weight;
            (scale, 1.0)
        } else if log_weight == f64::NEG_INFINITY {
            (1.0, 0.0)
        } else {
            (1.0, libm::exp(log_weight - self.largest))
        };
        self.sum = self.sum * scale + weight;
        self.squares = self.squares * (scale * scale) + weight * weight;
        (scale, weight)
    }

    /// Joins the draws of another key.
    ///
    /// ```
    /// # use thalweg::kernel::estimate::Weights;
    /// let (mut a, mut b) = (Weights::new(), Weights::new());
    /// a.push(0.0);
    /// b.push(3.0_f64.ln());
    /// a.merge(&b);
    /// assert!((a.ln_mean() - 2.0_f64.ln()).abs() < 1e-15);
    /// ```
    pub fn merge(&mut self, other: &Self) {
        let largest = if other.largest > self.largest {
            other.largest
        } else {
            self.largest
        };
        let scale = |of: f64| {
            if of == largest {
                1.0
            } else {
                libm::exp(of - largest)
            }
        };
        let (a, b) = (scale(self.largest), scale(other.largest));
        self.sum = self.sum * a + other.sum * b;
        self.squares = self.squares * (a * a) + other.squares * (b * b);
        self.largest = largest;
        self.draws = self.draws.saturating_add(other.draws);
    }

    /// Number of draws.
    #[must_use]
    pub const fn draws(&self) -> u64 {
        self.draws
    }

    /// Sum of the weights in the unit of [`push`](Self::push).
    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }

    /// `(sum w)^2 / sum w^2`, the number of equal weights that would spread as little; 0 without draws.
    #[must_use]
    pub fn effective_draws(&self) -> f64 {
        if self.squares > 0.0 {
            self.sum * self.sum / self.squares
        } else {
            0.0
        }
    }

    /// Logarithm of the mean weight; negative infinity without draws or when all weights are zero.
    #[must_use]
    pub fn ln_mean(&self) -> f64 {
        if self.sum > 0.0 {
            self.largest + libm::log(self.sum) - libm::log(self.draws as f64)
        } else {
            f64::NEG_INFINITY
        }
    }

    /// A figure of these draws with their reliability.
    ///
    /// ```
    /// # use thalweg::kernel::estimate::{Reading, Weights};
    /// assert_eq!(Weights::new().reading(5), Reading::Unreliable(5));
    /// ```
    pub fn reading<V>(&self, value: V) -> Reading<V> {
        if self.effective_draws() >= LEAST_EFFECTIVE {
            Reading::Reliable(value)
        } else {
            Reading::Unreliable(value)
        }
    }
}
