//! The cases, in the order of the table: a file a family, with every public kernel called at least once.

mod aggregate;
mod bilevel;
mod compress;
mod dynamics;
mod federated;
mod invariant_measure;
mod kernel;
mod matrix;
mod mixture;
mod model;
mod ntk;
mod optim;
mod particle;
mod random;
mod simd;
mod storage;
mod tangent;
mod target;
mod vector;
mod wire;

use crate::Case;

/// The cases that fit the 256 KB of flash of the smallest board; the first ones of the table.
pub static SMALL: &[Case] = &[
    ("vector f32", vector::all::<f32>),
    ("vector f64", vector::all::<f64>),
    ("gemm f32", matrix::products::<f32>),
    ("draws", random::draws),
    ("adam f32", optim::adam::<f32>),
    ("quadratic f32", model::quadratics::<f32>),
    ("marina and perm_k", federated::marina_perm_k),
    ("marina and rand_k", federated::marina_rand_k),
    ("ef21 and top_k", federated::ef21_top_k),
];

/// The other cases.
pub static LARGE: &[Case] = &[
    ("math f32", simd::functions::<f32>),
    ("math f64", simd::functions::<f64>),
    ("gemm f64", matrix::products::<f64>),
    ("views f32", matrix::views::<f32>),
    ("views f64", matrix::views::<f64>),
    ("distances f32", matrix::distances::<f32>),
    ("distances f64", matrix::distances::<f64>),
    ("factors f32", matrix::factors::<f32>),
    ("factors f64", matrix::factors::<f64>),
    ("lanes and permutations", random::lanes),
    ("sgd f32", optim::sgd::<f32>),
    ("sgd f64", optim::sgd::<f64>),
    ("adam f64", optim::adam::<f64>),
    ("rmsprop f32", optim::rmsprop::<f32>),
    ("rmsprop f64", optim::rmsprop::<f64>),
    ("adagrad and lion f32", optim::adagrad_and_lion::<f32>),
    ("adagrad and lion f64", optim::adagrad_and_lion::<f64>),
    ("optimisers f32", optim::registered::<f32>),
    ("optimisers f64", optim::registered::<f64>),
    ("bf16 f32", optim::narrow::<f32>),
    ("bf16 f64", optim::narrow::<f64>),
    ("clip f32", optim::clip::<f32>),
    ("clip f64", optim::clip::<f64>),
    ("averages f32", optim::averages::<f32>),
    ("averages f64", optim::averages::<f64>),
    ("schedules", optim::schedules),
    ("supports f32", compress::supports::<f32>),
    ("supports f64", compress::supports::<f64>),
    ("roundings f32", compress::roundings::<f32>),
    ("roundings f64", compress::roundings::<f64>),
    ("memories f32", compress::memories::<f32>),
    ("memories f64", compress::memories::<f64>),
    ("quadratic f64", model::quadratics::<f64>),
    ("linear and logistic f32", model::lines::<f32>),
    ("linear and logistic f64", model::lines::<f64>),
    ("networks f32", model::networks::<f32>),
    ("networks f64", model::networks::<f64>),
    ("autoencoder f32", model::autoencoder::<f32>),
    ("autoencoder f64", model::autoencoder::<f64>),
    ("frames f32", wire::frames::<f32>),
    ("frames f64", wire::frames::<f64>),
    ("hostile frames and states", wire::hostile),
    ("fed_avg and natural", federated::fed_avg_natural),
    ("constants", federated::constants),
    ("label noise f32", dynamics::noise::<f32>),
    ("label noise f64", dynamics::noise::<f64>),
    ("limit of label noise f32", dynamics::exact::<f32>),
    ("limit of label noise f64", dynamics::exact::<f64>),
    ("drift on minimisers f32", dynamics::drift::<f32>),
    ("drift on minimisers f64", dynamics::drift::<f64>),
    ("particles of a device f32", particle::device::<f32>),
    ("svgd f32", particle::svgd::<f32>),
    ("svgd f64", particle::svgd::<f64>),
    ("stein samplers f32", particle::deterministic::<f32>),
    ("stein samplers f64", particle::deterministic::<f64>),
    ("particle chains f32", particle::chains::<f32>),
    ("particle chains f64", particle::chains::<f64>),
    ("bilevel f32", bilevel::all::<f32>),
    ("bilevel f64", bilevel::all::<f64>),
    ("training sums f32", invariant_measure::sums::<f32>),
    ("training sums f64", invariant_measure::sums::<f64>),
    ("windows", invariant_measure::windows),
    ("curvature f32", invariant_measure::curvature::<f32>),
    ("curvature f64", invariant_measure::curvature::<f64>),
    ("targets f32", target::all::<f32>),
    ("targets f64", target::all::<f64>),
    ("checkpoints", storage::checkpoints),
    ("stream", storage::stream),
    ("bilevel networks f32", bilevel::networks::<f32>),
    ("bilevel networks f64", bilevel::networks::<f64>),
    ("joined windows f32", invariant_measure::joined::<f32>),
    ("joined windows f64", invariant_measure::joined::<f64>),
    ("bilevel differences f32", bilevel::differences::<f32>),
    ("bilevel differences f64", bilevel::differences::<f64>),
    ("mixtures f32", mixture::densities::<f32>),
    ("mixtures f64", mixture::densities::<f64>),
    ("component selection f32", mixture::chains::<f32>),
    ("component selection f64", mixture::chains::<f64>),
    ("mixture fits f32", mixture::fits::<f32>),
    ("mixture fits f64", mixture::fits::<f64>),
    ("arc-cosine kernels f32", kernel::arc_cosines::<f32>),
    ("arc-cosine kernels f64", kernel::arc_cosines::<f64>),
    ("wide regression f32", kernel::regressions::<f32>),
    ("wide regression f64", kernel::regressions::<f64>),
    ("sign posteriors", kernel::signs),
    ("aggregators f32", aggregate::rules::<f32>),
    ("aggregators f64", aggregate::rules::<f64>),
    ("ntk f32", ntk::plain),
    ("ntk quantised and shuffled f32", ntk::private),
    ("fed_nova and fed_prox f32", ntk::averages),
    ("tangent kernels f32", tangent::kernels::<f32>),
    ("tangent kernels f64", tangent::kernels::<f64>),
    ("tangent flows f32", tangent::flows::<f32>),
    ("tangent flows f64", tangent::flows::<f64>),
];
