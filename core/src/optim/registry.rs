//! The table of optimisers: every form of every algorithm, with hyperparameters that are not its defaults.
//!
//! Tests of the contract, the test of allocations and the suite of equal bits read it; an optimiser that is not in it is not tested.

use super::{
    Elementwise, Layer, Optimiser, adagrad, adam, lamb, lion, muon, nero, params_len, rmsprop, sgd,
};

/// Something to be done for each optimiser of the table.
pub trait Visitor {
    /// Does it for one whose step treats each parameter by itself.
    fn visit<C: Elementwise>(&mut self, name: &'static str, config: C);

    /// Does it for one whose step treats layers as a whole, with layers that it takes, of [`PARAMS`] parameters.
    fn visit_layered<C: Optimiser>(&mut self, name: &'static str, layers: &[Layer], config: C);
}

/// Parameters of the layers.
pub const PARAMS: usize = params_len(&LAYERS);

/// Two matrices and a vector.
const LAYERS: [Layer; 3] = [matrix(3, 9), Layer::Vector(4), matrix(2, 3)];

/// A wide and a tall matrix.
const MATRICES: [Layer; 2] = [matrix(3, 9), matrix(5, 2)];

const fn matrix(rows: usize, columns: usize) -> Layer {
    Layer::Matrix { rows, columns }
}

/// Visits every optimiser.
///
/// ```
/// use thalweg::optim::{Elementwise, Layer, Optimiser, registry};
/// struct Names(Vec<&'static str>);
/// impl registry::Visitor for Names {
///     fn visit<C: Elementwise>(&mut self, name: &'static str, _: C) {
///         self.0.push(name);
///     }
///     fn visit_layered<C: Optimiser>(&mut self, name: &'static str, _: &[Layer], _: C) {
///         self.0.push(name);
///     }
/// }
/// let mut names = Names(vec![]);
/// registry::visit(&mut names);
/// assert!(names.0.contains(&"adamw") && names.0.contains(&"nero"));
/// ```
pub fn visit(visitor: &mut impl Visitor) {
    let sgd = sgd::Config::new(0.1);
    let momentum = sgd::Config {
        momentum: 0.9,
        ..sgd
    };
    visitor.visit("sgd", sgd);
    visitor.visit(
        "momentum",
        sgd::Config {
            dampening: 0.5,
            ..momentum
        },
    );
    visitor.visit(
        "nesterov",
        sgd::Config {
            nesterov: true,
            weight_decay: 0.01,
            ..momentum
        },
    );
    visitor.visit("adam", adam::Config::adam());
    visitor.visit("adamw", adam::Config::adamw());
    visitor.visit(
        "amsgrad",
        adam::Config {
            amsgrad: true,
            ..adam::Config::adam()
        },
    );
    let rmsprop = rmsprop::Config::default();
    let centered = rmsprop::Config {
        centered: true,
        weight_decay: 0.1,
        ..rmsprop
    };
    visitor.visit("rmsprop", rmsprop);
    visitor.visit("rmsprop, centred", centered);
    visitor.visit(
        "rmsprop with momentum",
        rmsprop::Config {
            momentum: 0.9,
            ..rmsprop
        },
    );
    visitor.visit(
        "rmsprop, centred, with momentum",
        rmsprop::Config {
            momentum: 0.9,
            ..centered
        },
    );
    visitor.visit(
        "adagrad",
        adagrad::Config {
            lr_decay: 0.1,
            initial_accumulator: 0.1,
            ..Default::default()
        },
    );
    visitor.visit("lion", lion::Config::new(0.01));
    let lamb = lamb::Config {
        weight_decay: 0.01,
        ..lamb::Config::new(0.01)
    };
    visitor.visit_layered("lamb", &LAYERS, lamb);
    visitor.visit_layered("nero", &LAYERS, nero::Config::default());
    visitor.visit_layered("muon", &MATRICES, muon::Config::new(0.02));
}
