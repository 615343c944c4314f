//! Jacobians of outputs, tangent kernels of finite networks, and their flows.

use thalweg::kernel::evolution::{
    Config, Round, Scale, Spectrum, choose_tau, follow, follow_scratch_len,
    least_follow_scratch_len, spectrum_len, spectrum_scratch_len, weights_into,
};
use thalweg::kernel::tangent::{
    add_jacobian_kernel, add_jacobian_kernel_between, add_transposed_product, full_kernel_into,
    full_kernel_scratch_len, jacobian_kernel_scratch_len, kernel_into, kernel_scratch_len,
};
use thalweg::matrix::{MatrixMut, MatrixRef};
use thalweg::model::mlp::{Activation, Model};
use thalweg::model::{Batch, Labels, Loss, Outputs, autoencoder, linear, logistic, softmax};
use thalweg::solve::{Tolerance, dormand_prince, dormand_prince_scratch_len};
use thalweg::{Arithmetic, Real};

use crate::{Hash, MISSING, Outcome, paint};

const N: usize = 3;
const D: usize = 3;
/// Entries of the largest Jacobian.
const ENTRIES: usize = 252;
const SCRATCH: usize = 360;

/// Outputs, Jacobian and its transposed product; the Jacobian stays.
fn differentiate<T: Real>(
    model: &impl Outputs<T>,
    x: &[T],
    [jacobian, scratch]: [&mut [T]; 2],
    hash: &mut Hash,
) -> Outcome {
    let (mut params, mut out) = ([T::ZERO; 42], [T::ZERO; 42]);
    paint(&mut params, 5);
    let batch = Batch::new(x, D, Labels::None)?;
    let params = params.get(..model.dim()).ok_or(MISSING)?;
    hash.size(model.outputs_scratch_len(N));
    let size = N * model.outputs();
    let outputs = out.get_mut(..size).ok_or(MISSING)?;
    model.outputs_into(params, &batch, outputs, scratch)?;
    hash.reals(outputs);
    let jacobian = jacobian.get_mut(..size * model.dim()).ok_or(MISSING)?;
    model.jacobian_into(params, &batch, jacobian, scratch)?;
    hash.reals(jacobian);
    let residuals = jacobian.get(..size).ok_or(MISSING)?;
    let pull = out.get_mut(..model.dim()).ok_or(MISSING)?;
    model.jacobian_transpose_times_into(params, &batch, residuals, pull, scratch)?;
    hash.reals(pull);
    add_transposed_product(jacobian, residuals, pull)?;
    hash.reals(pull);
    Ok(())
}

pub(super) fn kernels<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut params) = ([T::ZERO; N * D], [T::ZERO; 39]);
    paint(&mut x, 3);
    paint(&mut params, 4);
    let (mut jacobian, mut scratch) = ([T::ZERO; ENTRIES], [T::ZERO; SCRATCH]);
    let mut h = [T::ZERO; 36];
    differentiate(
        &linear::Model::new(D),
        &x,
        [&mut jacobian, &mut scratch],
        hash,
    )?;
    differentiate(
        &logistic::Model::new(D),
        &x,
        [&mut jacobian, &mut scratch],
        hash,
    )?;
    differentiate(
        &softmax::Model::new(D, 2),
        &x,
        [&mut jacobian, &mut scratch],
        hash,
    )?;
    let pixels = autoencoder::Model::new(D, 2);
    differentiate(&pixels, &x, [&mut jacobian, &mut scratch], hash)?;
    let (entries, how) = (pixels.dim() * D, Arithmetic::Portable);
    let view = MatrixMut::new(h.get_mut(..N * N).ok_or(MISSING)?, N, N)?;
    let rows = jacobian.get(..N * entries).ok_or(MISSING)?;
    add_jacobian_kernel(how, D, rows, view, &mut scratch)?;
    hash.size(jacobian_kernel_scratch_len(N, 1));
    let (a, b) = rows.split_at_checked(entries).ok_or(MISSING)?;
    let view = MatrixMut::new(h.get_mut(N * N..N * N + 2).ok_or(MISSING)?, 2, 1)?;
    add_jacobian_kernel_between(how, D, [b, a], view, &mut scratch)?;
    hash.reals(&h);
    let batch = Batch::new(&x, D, Labels::None)?;
    for (sizes, activation) in [
        (&[D, 2][..], Activation::Relu),
        (&[D, 4, 2], Activation::Relu),
        (&[D, 4, 3, 2], Activation::Tanh),
        (&[D, 2, 3, 2, 1], Activation::Sigmoid),
    ] {
        let model = Model {
            activation,
            ..Model::new(sizes)
        };
        let params = params.get(..model.dim()).ok_or(MISSING)?;
        hash.size(kernel_scratch_len(&model, N));
        let view = MatrixMut::new(h.get_mut(..N * N).ok_or(MISSING)?, N, N)?;
        kernel_into(&model, params, &batch, view, &mut scratch)?;
        hash.reals(&h);
        hash.size(full_kernel_scratch_len(&model, N));
        let size = N * model.outputs();
        let view = MatrixMut::new(h.get_mut(..size * size).ok_or(MISSING)?, size, size)?;
        full_kernel_into(&model, params, &batch, view, &mut scratch)?;
        hash.reals(&h);
    }
    Ok(())
}

pub(super) fn flows<T: Real>(hash: &mut Hash) -> Outcome {
    const FOLLOW: usize = follow_scratch_len(N, 2);
    const SPECTRUM: usize = spectrum_scratch_len(N, 2);
    let (mut outputs, mut scratch) = ([T::ZERO; 2 * N], [T::ZERO; FOLLOW]);
    paint(&mut outputs, 6);
    // Rank 2: the last two samples are equal.
    let kernel = [3.0, 1.0, 1.0, 1.0, 2.0, 2.0, 1.0, 2.0, 2.0].map(T::from_f64);
    let round = Round {
        loss: Loss::CrossEntropy,
        kernel: MatrixRef::new(&kernel, N, N)?,
        labels: Labels::Classes(&[1, 0, 1]),
        outputs: &outputs,
    };
    let config = Config::default();
    hash.size(least_follow_scratch_len(N, 2));
    let (times, squared) = (
        [0.0, 0.5, 4.0],
        Round {
            loss: Loss::Squared,
            ..round
        },
    );
    let (mut f, mut s) = ([T::ZERO; 2 * N], [T::ZERO; 2 * N]);
    for round in [round, squared] {
        hash.reals(&[round.rate()]);
        let visit = |moment: thalweg::kernel::evolution::Moment<'_, T>| {
            hash.size(moment.index);
            hash.reals(moment.outputs);
            hash.reals(moment.integral);
            Ok(())
        };
        let steps = follow(&config, &round, &times, visit, &mut scratch)?;
        hash.word(steps.evaluations);
        hash.word(steps.accepted);
        hash.word(steps.rejected);
    }
    let mut memory = [0.0; spectrum_len(N)];
    let mut wide = [0.0; SPECTRUM];
    let spectrum = Spectrum::new(squared.kernel, &mut memory, &mut wide)?;
    hash.reals(spectrum.values());
    hash.reals(&[spectrum.clipped()]);
    for t in times {
        spectrum.at(&squared, t, &mut f, &mut s, &mut wide)?;
        hash.reals(&f);
        hash.reals(&s);
    }
    let scale = Scale {
        loss: Loss::Squared,
        rows: N,
        outputs: 2,
    };
    weights_into(scale, &outputs, &s, &mut f)?;
    hash.reals(&f);
    let chosen = choose_tau(0.5, &[f64::NAN, 0.25, 0.25]);
    hash.size(chosen.candidate.ok_or(MISSING)?);
    hash.reals(&[chosen.loss]);
    let tolerance = Tolerance::default();
    tolerance.validate()?;
    let mut work = [T::ZERO; dormand_prince_scratch_len(2 * N)];
    let field = |t: f64, y: &[T], slope: &mut [T]| {
        for (slope, &y) in slope.iter_mut().zip(y) {
            *slope = T::from_f64(t) - y;
        }
        Ok(())
    };
    dormand_prince(&tolerance, field, &[3.0], &mut f, |_, _| Ok(()), &mut work)?;
    hash.reals(&f);
    Ok(())
}
