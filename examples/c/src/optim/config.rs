//! Hyperparameters as plain structs, with the defaults of the Rust types.

use super::super::{Fault, arithmetic, choice, flag};
use thalweg::optim::{Decay, Optimiser, adagrad, adam, lamb, lion, muon, nero, rmsprop, sgd};

/// Weight decay enters the gradient.
pub const THALWEG_DECAY_L2: u32 = 0;
/// Parameters shrink by the learning rate times the weight decay: AdamW as in PyTorch.
pub const THALWEG_DECAY_DECOUPLED: u32 = 1;
/// Parameters shrink by the weight decay alone.
pub const THALWEG_DECAY_INDEPENDENT: u32 = 2;

fn decay(code: u32) -> Result<Decay, Fault> {
    choice(
        "decay",
        code,
        [Decay::L2, Decay::Decoupled, Decay::Independent],
    )
}

/// Hyperparameters of stochastic gradient descent: [`sgd::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct SgdConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Decay of the buffer; 0 needs none.
    pub momentum: f64,
    /// Share of the gradient that does not enter the buffer.
    pub dampening: f64,
    /// Strength of the decay.
    pub weight_decay: f64,
    /// One of `THALWEG_DECAY_*`.
    pub decay: u32,
    /// 1: Nesterov's form.
    pub nesterov: u32,
    /// 1: ascend.
    pub maximize: u32,
}

/// Hyperparameters of Adam, AdamW and AMSGrad: [`adam::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct AdamConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
    /// Strength of the decay.
    pub weight_decay: f64,
    /// One of `THALWEG_DECAY_*`.
    pub decay: u32,
    /// 1: AMSGrad, which needs its third slice.
    pub amsgrad: u32,
    /// 1: ascend.
    pub maximize: u32,
    /// One of `THALWEG_ARITHMETIC_*`.
    pub arithmetic: u32,
}

/// Hyperparameters of Lion: [`lion::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct LionConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Share of the momentum in the direction.
    pub beta1: f64,
    /// Decay of the momentum.
    pub beta2: f64,
    /// Strength of the decay.
    pub weight_decay: f64,
    /// One of `THALWEG_DECAY_*`.
    pub decay: u32,
    /// 1: ascend.
    pub maximize: u32,
}

/// Hyperparameters of RMSprop: [`rmsprop::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct RmspropConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Decay of the mean square.
    pub alpha: f64,
    /// Added to the root.
    pub eps: f64,
    /// Decay of the buffer; 0 needs none.
    pub momentum: f64,
    /// Strength of the decay.
    pub weight_decay: f64,
    /// 1: `eps` is inside the root.
    pub eps_in_sqrt: u32,
    /// 1: the square of the mean gradient is subtracted, which needs its slice.
    pub centered: u32,
    /// One of `THALWEG_DECAY_*`.
    pub decay: u32,
    /// 1: ascend.
    pub maximize: u32,
    /// One of `THALWEG_ARITHMETIC_*`.
    pub arithmetic: u32,
}

/// Hyperparameters of Adagrad: [`adagrad::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct AdagradConfig {
    /// Step length.
    pub learning_rate: f64,
    /// Decay of the step length.
    pub lr_decay: f64,
    /// What the sum of squares begins with.
    pub initial_accumulator: f64,
    /// Added to the root.
    pub eps: f64,
    /// Strength of the decay.
    pub weight_decay: f64,
    /// One of `THALWEG_DECAY_*`.
    pub decay: u32,
    /// 1: ascend.
    pub maximize: u32,
    /// One of `THALWEG_ARITHMETIC_*`.
    pub arithmetic: u32,
}

/// Hyperparameters of LAMB: [`lamb::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct LambConfig {
    /// Length of a step over the norm of the weights.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
    /// Share of the weights in the direction.
    pub weight_decay: f64,
}

/// Hyperparameters of Muon: [`muon::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct MuonConfig {
    /// Length of a step in each direction.
    pub learning_rate: f64,
    /// Decay of the momentum.
    pub momentum: f64,
    /// Decay of the weights per unit of learning rate.
    pub weight_decay: f64,
    /// Added to the norm of the momentum.
    pub eps: f64,
    /// 1: Nesterov's form.
    pub nesterov: u32,
    /// Newton-Schulz iterations of a step.
    pub iterations: u32,
    /// One of `THALWEG_ARITHMETIC_*`.
    pub arithmetic: u32,
}

/// Hyperparameters of Nero: [`nero::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct NeroConfig {
    /// Length of the step of a row of norm 1.
    pub learning_rate: f64,
    /// Decay of the mean square.
    pub beta: f64,
}

/// A plain struct that holds the config of an optimiser.
pub(super) trait Hyperparameters {
    type Optimiser: Optimiser;

    /// The config, its codes checked.
    fn read(&self) -> Result<Self::Optimiser, Fault>;
}

impl Hyperparameters for SgdConfig {
    type Optimiser = sgd::Config;

    fn read(&self) -> Result<sgd::Config, Fault> {
        Ok(sgd::Config {
            learning_rate: self.learning_rate,
            momentum: self.momentum,
            dampening: self.dampening,
            weight_decay: self.weight_decay,
            decay: decay(self.decay)?,
            nesterov: flag("nesterov", self.nesterov)?,
            maximize: flag("maximize", self.maximize)?,
        })
    }
}

impl Hyperparameters for AdamConfig {
    type Optimiser = adam::Config;

    fn read(&self) -> Result<adam::Config, Fault> {
        Ok(adam::Config {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
            decay: decay(self.decay)?,
            amsgrad: flag("amsgrad", self.amsgrad)?,
            maximize: flag("maximize", self.maximize)?,
            arithmetic: arithmetic(self.arithmetic)?,
        })
    }
}

impl Hyperparameters for LionConfig {
    type Optimiser = lion::Config;

    fn read(&self) -> Result<lion::Config, Fault> {
        Ok(lion::Config {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            weight_decay: self.weight_decay,
            decay: decay(self.decay)?,
            maximize: flag("maximize", self.maximize)?,
        })
    }
}

impl Hyperparameters for RmspropConfig {
    type Optimiser = rmsprop::Config;

    fn read(&self) -> Result<rmsprop::Config, Fault> {
        Ok(rmsprop::Config {
            learning_rate: self.learning_rate,
            alpha: self.alpha,
            eps: self.eps,
            eps_in_sqrt: flag("eps_in_sqrt", self.eps_in_sqrt)?,
            centered: flag("centered", self.centered)?,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            decay: decay(self.decay)?,
            maximize: flag("maximize", self.maximize)?,
            arithmetic: arithmetic(self.arithmetic)?,
        })
    }
}

impl Hyperparameters for AdagradConfig {
    type Optimiser = adagrad::Config;

    fn read(&self) -> Result<adagrad::Config, Fault> {
        Ok(adagrad::Config {
            learning_rate: self.learning_rate,
            lr_decay: self.lr_decay,
            initial_accumulator: self.initial_accumulator,
            eps: self.eps,
            weight_decay: self.weight_decay,
            decay: decay(self.decay)?,
            maximize: flag("maximize", self.maximize)?,
            arithmetic: arithmetic(self.arithmetic)?,
        })
    }
}

impl Hyperparameters for LambConfig {
    type Optimiser = lamb::Config;

    fn read(&self) -> Result<lamb::Config, Fault> {
        Ok(lamb::Config {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
        })
    }
}

impl Hyperparameters for MuonConfig {
    type Optimiser = muon::Config;

    fn read(&self) -> Result<muon::Config, Fault> {
        Ok(muon::Config {
            learning_rate: self.learning_rate,
            momentum: self.momentum,
            nesterov: flag("nesterov", self.nesterov)?,
            weight_decay: self.weight_decay,
            eps: self.eps,
            iterations: self.iterations,
            arithmetic: arithmetic(self.arithmetic)?,
        })
    }
}

impl Hyperparameters for NeroConfig {
    type Optimiser = nero::Config;

    fn read(&self) -> Result<nero::Config, Fault> {
        Ok(nero::Config {
            learning_rate: self.learning_rate,
            beta: self.beta,
        })
    }
}

/// Plain descent with this step length.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_sgd_config(learning_rate: f64) -> SgdConfig {
    let sgd::Config {
        learning_rate,
        momentum,
        dampening,
        weight_decay,
        decay,
        nesterov,
        maximize,
    } = sgd::Config::new(learning_rate);
    SgdConfig {
        learning_rate,
        momentum,
        dampening,
        weight_decay,
        decay: decay as u32,
        nesterov: nesterov.into(),
        maximize: maximize.into(),
    }
}

const fn of_adam(config: adam::Config) -> AdamConfig {
    AdamConfig {
        learning_rate: config.learning_rate,
        beta1: config.beta1,
        beta2: config.beta2,
        eps: config.eps,
        weight_decay: config.weight_decay,
        decay: config.decay as u32,
        amsgrad: config.amsgrad as u32,
        maximize: config.maximize as u32,
        arithmetic: config.arithmetic as u32,
    }
}

/// PyTorch's defaults for Adam.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_adam_config() -> AdamConfig {
    of_adam(adam::Config::adam())
}

/// PyTorch's defaults for AdamW.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_adamw_config() -> AdamConfig {
    of_adam(adam::Config::adamw())
}

/// Optax's defaults for Lion, with this step length.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_lion_config(learning_rate: f64) -> LionConfig {
    let lion::Config {
        learning_rate,
        beta1,
        beta2,
        weight_decay,
        decay,
        maximize,
    } = lion::Config::new(learning_rate);
    LionConfig {
        learning_rate,
        beta1,
        beta2,
        weight_decay,
        decay: decay as u32,
        maximize: maximize.into(),
    }
}

/// PyTorch's defaults for RMSprop.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_rmsprop_config() -> RmspropConfig {
    let config = rmsprop::Config::default();
    RmspropConfig {
        learning_rate: config.learning_rate,
        alpha: config.alpha,
        eps: config.eps,
        momentum: config.momentum,
        weight_decay: config.weight_decay,
        eps_in_sqrt: config.eps_in_sqrt.into(),
        centered: config.centered.into(),
        decay: config.decay as u32,
        maximize: config.maximize.into(),
        arithmetic: config.arithmetic as u32,
    }
}

/// PyTorch's defaults for Adagrad.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_adagrad_config() -> AdagradConfig {
    let config = adagrad::Config::default();
    AdagradConfig {
        learning_rate: config.learning_rate,
        lr_decay: config.lr_decay,
        initial_accumulator: config.initial_accumulator,
        eps: config.eps,
        weight_decay: config.weight_decay,
        decay: config.decay as u32,
        maximize: config.maximize.into(),
        arithmetic: config.arithmetic as u32,
    }
}

/// Optax's defaults for LAMB, with this step length.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_lamb_config(learning_rate: f64) -> LambConfig {
    let config = lamb::Config::new(learning_rate);
    LambConfig {
        learning_rate,
        beta1: config.beta1,
        beta2: config.beta2,
        eps: config.eps,
        weight_decay: config.weight_decay,
    }
}

/// PyTorch's defaults for Muon, with this step length.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_muon_config(learning_rate: f64) -> MuonConfig {
    let config = muon::Config::new(learning_rate);
    MuonConfig {
        learning_rate,
        momentum: config.momentum,
        weight_decay: config.weight_decay,
        eps: config.eps,
        nesterov: config.nesterov.into(),
        iterations: config.iterations,
        arithmetic: config.arithmetic as u32,
    }
}

/// The publication's defaults for Nero.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_nero_config() -> NeroConfig {
    let nero::Config {
        learning_rate,
        beta,
    } = nero::Config::default();
    NeroConfig {
        learning_rate,
        beta,
    }
}
