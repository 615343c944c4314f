//! An optimiser that is chosen when the program runs.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use thalweg::optim::{Decay, Layer, Memory, Optimiser as _, adagrad, adam, lion, rmsprop, sgd};
use thalweg::{Error, Real};

/// An optimiser of [`thalweg::optim`] with its hyperparameters.
///
/// Names are those of PyTorch and optax, in upper or lower case, and bring PyTorch's defaults (Lion: optax's).
///
/// | name | from its name | learning rate | buffers of a parameter, named as in PyTorch's state |
/// |---|---|---|---|
/// | `sgd` | plain descent; a momentum is set in the config | 1e-3 | none; `momentum_buffer` |
/// | `adam` | [`adam::Config::adam`] | 1e-3 | `exp_avg`, `exp_avg_sq` |
/// | `adamw` | [`adam::Config::adamw`] | 1e-3 | `exp_avg`, `exp_avg_sq` |
/// | `amsgrad` | Adam with `amsgrad` | 1e-3 | and `max_exp_avg_sq` |
/// | `rmsprop` | [`rmsprop::Config`] | 1e-2 | `square_avg`; `grad_avg` if centred; `momentum_buffer` |
/// | `adagrad` | [`adagrad::Config`] | 1e-2 | `sum` |
/// | `lion` | [`lion::Config`] | 1e-4 | `exp_avg` |
///
/// ```
/// use thalweg_std::train::Optimiser;
/// let optimiser: Optimiser = "AdamW".parse()?;
/// assert_eq!((optimiser.name(), optimiser.learning_rate(), optimiser.weight_decay()), ("adamw", 1e-3, 1e-2));
/// let error = "adamm".parse::<Optimiser>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "there is no optimiser `adamm`; there are sgd, adam, adamw, amsgrad, rmsprop, adagrad and lion"
/// );
/// # Ok::<(), thalweg_std::train::UnknownOptimiser>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Optimiser {
    /// Gradient descent, with or without momentum.
    Sgd(sgd::Config),
    /// Adam, AdamW and AMSGrad.
    Adam(adam::Config),
    /// RMSprop in its four forms.
    RmsProp(rmsprop::Config),
    /// Adagrad.
    Adagrad(adagrad::Config),
    /// Lion.
    Lion(lion::Config),
}

/// Learning rates that come with a name where the core asks for one: PyTorch's of SGD, and a tenth of Adam's for Lion.
const SGD_RATE: f64 = 1e-3;
const LION_RATE: f64 = 1e-4;

/// The configs differ, the fields have the same names.
macro_rules! each {
    ($self:expr, $config:ident => $value:expr) => {
        match $self {
            Optimiser::Sgd($config) => $value,
            Optimiser::Adam($config) => $value,
            Optimiser::RmsProp($config) => $value,
            Optimiser::Adagrad($config) => $value,
            Optimiser::Lion($config) => $value,
        }
    };
}

impl Optimiser {
    /// AdamW with PyTorch's defaults.
    ///
    /// ```
    /// use thalweg_std::train::Optimiser;
    /// assert_eq!(Ok(Optimiser::adamw()), "adamw".parse());
    /// ```
    #[must_use]
    pub const fn adamw() -> Self {
        Self::Adam(adam::Config::adamw())
    }

    /// The name that [`FromStr`] takes: of Adam's three forms the one that the config is.
    ///
    /// ```
    /// use thalweg::optim::adam;
    /// use thalweg_std::train::Optimiser;
    /// let config = adam::Config { amsgrad: true, ..adam::Config::adam() };
    /// assert_eq!(Optimiser::Adam(config).name(), "amsgrad");
    /// ```
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(config) if config.amsgrad => "amsgrad",
            Self::Adam(adam::Config {
                decay: Decay::L2, ..
            }) => "adam",
            Self::Adam(_) => "adamw",
            Self::RmsProp(_) => "rmsprop",
            Self::Adagrad(_) => "adagrad",
            Self::Lion(_) => "lion",
        }
    }

    /// The learning rate of its config.
    ///
    /// ```
    /// # use thalweg_std::train::Optimiser;
    /// assert_eq!("rmsprop".parse::<Optimiser>()?.learning_rate(), 1e-2);
    /// # Ok::<(), thalweg_std::train::UnknownOptimiser>(())
    /// ```
    #[must_use]
    pub const fn learning_rate(&self) -> f64 {
        each!(self, config => config.learning_rate)
    }

    /// The weight decay of its config.
    ///
    /// ```
    /// # use thalweg_std::train::Optimiser;
    /// assert_eq!("lion".parse::<Optimiser>()?.weight_decay(), 1e-3);
    /// # Ok::<(), thalweg_std::train::UnknownOptimiser>(())
    /// ```
    #[must_use]
    pub const fn weight_decay(&self) -> f64 {
        each!(self, config => config.weight_decay)
    }

    /// The same optimiser with another learning rate.
    ///
    /// ```
    /// # use thalweg_std::train::Optimiser;
    /// assert_eq!(Optimiser::adamw().with_learning_rate(0.5).learning_rate(), 0.5);
    /// ```
    #[must_use]
    pub const fn with_learning_rate(mut self, learning_rate: f64) -> Self {
        each!(&mut self, config => config.learning_rate = learning_rate);
        self
    }

    /// The same optimiser with another weight decay, of the same meaning.
    ///
    /// ```
    /// # use thalweg_std::train::Optimiser;
    /// assert_eq!(Optimiser::adamw().with_weight_decay(0.0).weight_decay(), 0.0);
    /// ```
    #[must_use]
    pub const fn with_weight_decay(mut self, weight_decay: f64) -> Self {
        each!(&mut self, config => config.weight_decay = weight_decay);
        self
    }

    /// Names of the buffers that it keeps, each of the length of the parameters.
    ///
    /// ```
    /// # use thalweg_std::train::Optimiser;
    /// assert_eq!(Optimiser::adamw().buffers(), ["exp_avg", "exp_avg_sq"]);
    /// ```
    #[must_use]
    pub const fn buffers(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(config) if config.momentum == 0.0 => &[],
            Self::Sgd(_) => &["momentum_buffer"],
            Self::Adam(config) if config.amsgrad => &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
            Self::Adam(_) => &["exp_avg", "exp_avg_sq"],
            Self::RmsProp(config) => match (config.centered, config.momentum == 0.0) {
                (false, true) => &["square_avg"],
                (true, true) => &["square_avg", "grad_avg"],
                (false, false) => &["square_avg", "momentum_buffer"],
                (true, false) => &["square_avg", "grad_avg", "momentum_buffer"],
            },
            Self::Adagrad(_) => &["sum"],
            Self::Lion(_) => &["exp_avg"],
        }
    }

    /// One step on a range of the parameters, after `steps` of them; `memory` holds the buffers, one behind the other, each of `len` elements.
    ///
    /// Steps are elementwise, so that ranges in any division have the bits of one step on all.
    pub(super) fn update<T: Real>(
        &self,
        steps: u64,
        memory: &mut [T],
        len: usize,
        range: Range<usize>,
        params: &mut [T],
        grad: &[T],
    ) -> Result<(), Error> {
        let (layers, whole) = ([Layer::Vector(range.len())], [Layer::Vector(len)]);
        each!(self, config => {
            let mut rest = memory;
            let buffers = config.lengths(&whole).map(|len| {
                let (buffer, tail) = std::mem::take(&mut rest)
                    .split_at_mut_checked(len)
                    .unwrap_or_default();
                rest = tail;
                // None where it is not kept; too short where it is missing, and the step refuses it.
                buffer.get_mut(range.clone()).unwrap_or_default()
            });
            config.advance(&layers, steps, Memory::new(buffers), params, grad)
        })
    }
}

/// A name that no optimiser has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no optimiser `{name}`; there are sgd, adam, adamw, amsgrad, rmsprop, adagrad and lion"
)]
pub struct UnknownOptimiser {
    /// The name.
    pub name: String,
}

impl FromStr for Optimiser {
    type Err = UnknownOptimiser;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "sgd" => Self::Sgd(sgd::Config::new(SGD_RATE)),
            "adam" => Self::Adam(adam::Config::adam()),
            "adamw" => Self::adamw(),
            "amsgrad" => Self::Adam(adam::Config {
                amsgrad: true,
                ..adam::Config::adam()
            }),
            "rmsprop" => Self::RmsProp(rmsprop::Config::default()),
            "adagrad" => Self::Adagrad(adagrad::Config::default()),
            "lion" => Self::Lion(lion::Config::new(LION_RATE)),
            _ => {
                let name = name.to_owned();
                return Err(UnknownOptimiser { name });
            }
        })
    }
}

impl fmt::Display for Optimiser {
    /// The name with the learning rate and the weight decay.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rate, decay) = (self.name(), self.learning_rate(), self.weight_decay());
        write!(
            f,
            "{name} with learning rate {rate:e}, weight decay {decay:e}"
        )
    }
}
