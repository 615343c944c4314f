//! Networks, their data, and what JAX and SciPy found for them (core/tests/golden/tangent.py).

use thalweg::Real;
use thalweg::kernel::tangent::{kernel_into, kernel_scratch_len};
use thalweg::matrix::MatrixMut;
use thalweg::model::mlp::{Activation, Model};
use thalweg::model::{Batch, Labels, Outputs};

/// Numbers in [-1, 1) from a multiplicative generator; the phase picks the sequence.
pub(super) fn painted<T: Real>(n: usize, phase: u64) -> Vec<T> {
    let mut state = phase.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            T::from_f64((state >> 40) as f64 / f64::from(1 << 23) - 1.0)
        })
        .collect()
}

/// A line of the file.
pub(super) struct Golden {
    pub(super) what: &'static str,
    pub(super) sizes: Vec<usize>,
    pub(super) activation: Activation,
    pub(super) numbers: Vec<f64>,
}

pub(super) fn golden() -> impl Iterator<Item = Golden> {
    include_str!("../golden/tangent.txt").lines().map(|line| {
        let mut words = line.split(' ');
        let [what, sizes, activation] = [(); 3].map(|()| words.next().unwrap());
        Golden {
            what,
            sizes: sizes.split('-').map(|n| n.parse().unwrap()).collect(),
            activation: match activation {
                "relu" => Activation::Relu,
                "tanh" => Activation::Tanh,
                "sigmoid" => Activation::Sigmoid,
                other => panic!("{other}"),
            },
            numbers: words.map(|x| x.parse().unwrap()).collect(),
        }
    })
}

/// Rows of data with parameters of a network.
pub(super) struct Case<T> {
    pub(super) n: usize,
    pub(super) x: Vec<T>,
    pub(super) params: Vec<T>,
}

impl<T: Real> Case<T> {
    pub(super) fn new(model: &Model<'_, T>, n: usize) -> Self {
        Self {
            n,
            x: painted(n * model.inputs(), 21),
            params: painted(model.dim(), 23),
        }
    }

    pub(super) fn batch(&self) -> Batch<'_, T> {
        Batch::new(&self.x, self.x.len() / self.n, Labels::None).unwrap()
    }

    pub(super) fn outputs(&self, model: &impl Outputs<T>) -> Vec<T> {
        let mut out = vec![T::NAN; self.n * model.outputs()];
        let mut scratch = vec![T::NAN; model.outputs_scratch_len(self.n)];
        model
            .outputs_into(&self.params, &self.batch(), &mut out, &mut scratch)
            .unwrap();
        out
    }

    pub(super) fn jacobian(&self, model: &impl Outputs<T>) -> Vec<T> {
        let mut out = vec![T::NAN; self.n * model.outputs() * model.dim()];
        let mut scratch = vec![T::NAN; model.outputs_scratch_len(self.n)];
        model
            .jacobian_into(&self.params, &self.batch(), &mut out, &mut scratch)
            .unwrap();
        out
    }

    /// `sum_ic r_ic J_ic` by back-propagation.
    pub(super) fn pull(&self, model: &impl Outputs<T>, residuals: &[T]) -> Vec<T> {
        let mut out = vec![T::NAN; model.dim()];
        let mut scratch = vec![T::NAN; model.outputs_scratch_len(self.n)];
        model
            .jacobian_transpose_times_into(
                &self.params,
                &self.batch(),
                residuals,
                &mut out,
                &mut scratch,
            )
            .unwrap();
        out
    }

    pub(super) fn kernel(&self, model: &Model<'_, T>) -> Vec<T> {
        let mut h = vec![T::NAN; self.n * self.n];
        let view = MatrixMut::new(&mut h, self.n, self.n).unwrap();
        let mut scratch = vec![T::NAN; kernel_scratch_len(model, self.n)];
        kernel_into(model, &self.params, &self.batch(), view, &mut scratch).unwrap();
        h
    }
}

/// The largest difference is at most `bound` times the largest expected magnitude.
pub(super) fn assert_close<T: Real>(what: &str, found: &[T], expected: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found.to_f64() - expected).abs();
        assert!(error <= bound * size, "{what} {i}: {found} {expected}");
    }
}

/// Class `7 i mod C` of row `i`.
pub(super) fn classes(n: usize, outputs: usize) -> Vec<u32> {
    (0..n).map(|i| (7 * i % outputs) as u32).collect()
}

pub(super) fn widened<T: Real>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.to_f64()).collect()
}

/// Names the argument that an error is about.
pub(super) fn name(error: thalweg::Error) -> &'static str {
    match error {
        thalweg::Error::Length { name, .. }
        | thalweg::Error::Parameter { name, .. }
        | thalweg::Error::NonFinite { name, .. }
        | thalweg::Error::NoConvergence { name, .. } => name,
        other => panic!("{other}"),
    }
}
