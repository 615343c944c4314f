//! Kernels of infinitely wide and of finite networks, and the functions that they define.
//!
//! | module | what | cost |
//! |---|---|---|
//! | [`arc_cosine`] | kernel of a random network with step or rectifier units, and its tangent kernel | `N^2 (d + 15 L)` flops |
//! | [`covariance`] | its Cholesky factor in `f64`, with a jitter where one is needed | `n^3 / 3` |
//! | [`regression`] | Gaussian process on labels times a scale | `n^2` a test row |
//! | [`orthant`] | probability that random functions have the signs of the labels; bounds on the error of an average one | `n^2` a draw |
//! | [`posterior`] | functions given their signs, and the classifiers that they make up | `n^2` a draw |
//! | [`tangent`] | tangent kernel of a finite network, from its layers or from Jacobians | `N^2 sum_l (w_(l-1) + w_l)` flops |
//! | [`evolution`] | outputs and weights under the gradient flow of a tangent kernel | `2 N^2 C` an evaluation |
//! | [`estimate`] | weighted averages that carry their effective number of draws | 1 a draw |
//!
//! Infinitely wide networks have `L` layers of weights with independent N(0, 1/fan_in) entries, no biases, `sqrt(2) relu` (or `sqrt(2)` times a step) between
//! them, and rows of the data scaled to norm `sqrt(d)`: kernels have a unit diagonal.
//!
//! Reference: Bernstein and Yue, *Computing the information content of trained neural networks* and *Implicit bias of architecture and of
//! gradient descent* (arXiv 2110.04274, 2021); Cho and Saul, *Kernel methods for deep learning* (2009).

pub mod arc_cosine;
pub mod covariance;
pub mod estimate;
pub mod evolution;
pub mod orthant;
pub mod posterior;
pub mod regression;
pub mod tangent;

use crate::Real;
use crate::random::Purpose;
use crate::real::kernels;
use crate::simd;

kernels! {
    /// The loops behind the functions of this module.
    trait Kernels<T> {
        fn nngp_of_gaps(network: arc_cosine::Config, x: &mut [T]) {
            arc_cosine::layers::nngp(network, x);
        }
        fn tangent_of_gaps(layers: usize, x: &mut [T], ntk: &mut [T]) {
            simd::update(&arc_cosine::layers::Tangent(layers), [x, ntk], []);
        }
        fn gaps_of_cosines(x: &mut [T]) {
            simd::update(&arc_cosine::layers::Gap, [x], []);
        }
        fn add_hadamard(h: &mut [T], t1: &[T], t2: &[T]) {
            simd::update(&tangent::AddHadamard, [h], [t1, t2]);
        }
        fn add_next(h: &mut [T], t1: &[T]) {
            simd::update(&tangent::AddNext, [h], [t1]);
        }
        fn squared_sum(x: &[T], y: &[T]) -> T {
            let [sum] = simd::sum(&arc_cosine::layers::SquaredSum, [x, y]);
            sum
        }
    }
}

/// Draws of functions given their signs.
const PURPOSE: Purpose = Purpose(12);

/// Inner product in `f64`, first to last.
fn dot<T: Real>(x: &[T], y: &[f64]) -> f64 {
    x.iter()
        .zip(y)
        .fold(0.0, |sum, (x, y)| sum + x.to_f64() * y)
}
