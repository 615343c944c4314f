//! Values, gradients, gradients by row, Jacobians, predictions.

use thalweg::model::mlp::{self, Activation};
use thalweg::model::{
    Batch, Gradient, Init, Labels, Loss, Objective, autoencoder, linear, logistic,
};
use thalweg::model::{quadratic, softmax};
use thalweg::random::{self, Purpose};
use thalweg::{Arithmetic, Real};

use crate::{Hash, MISSING, Outcome, paint};

const ROWS: usize = 6;
const FEATURES: usize = 5;
/// Scratch and outputs of the cases.
const SCRATCH: usize = 280;

/// Value and gradient, together and apart.
fn evaluate<T: Real>(
    f: &impl Gradient<T>,
    params: &[T],
    scratch: &mut [T],
    hash: &mut Hash,
) -> Outcome {
    let mut storage = [T::ZERO; 64];
    let grad = storage.get_mut(..f.dim()).ok_or(MISSING)?;
    hash.size(f.scratch_len());
    hash.reals(&[f.value(params, scratch)?]);
    f.gradient_into(params, grad, scratch)?;
    hash.reals(grad);
    hash.reals(&[f.value_and_gradient_into(params, grad, scratch)?]);
    hash.reals(grad);
    Ok(())
}

pub(super) fn quadratics<T: Real>(hash: &mut Hash) -> Outcome {
    let config = quadratic::Config {
        dim: 41,
        noise: 0.8,
        mu: 1e-3,
    };
    let (xi, xi_linear) = ([0.3, -1.2, 0.7], [1.0, 0.2, -0.4]);
    config.validate()?;
    let constants = config.constants(&xi)?;
    hash.reals(&[
        constants.mean_curvature,
        constants.shift,
        constants.l_minus,
        constants.l_plus,
        constants.l_plus_minus,
        constants.l_tilde,
        constants.l_max,
        constants.l_mean,
    ]);
    let (mut x, mut out) = ([T::ZERO; 41], [T::ZERO; 41]);
    quadratic::start_into(&mut x);
    hash.reals(&x);
    paint(&mut x, 50);
    let mean = config.mean::<T>(&xi, &xi_linear)?;
    let worker = config.worker::<T>(0.3, -0.4, constants.shift);
    for f in [mean, worker] {
        evaluate(&f, &x, &mut [], hash)?;
        f.apply_into(&x, &mut out)?;
        hash.reals(&out);
        hash.reals(&[f.minimum().unwrap_or(f64::NAN)]);
    }
    Ok(())
}

pub(super) fn lines<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut features, mut targets) = ([T::ZERO; ROWS * FEATURES], [T::ZERO; ROWS]);
    let (mut params, mut outputs) = ([T::ZERO; FEATURES], [T::ZERO; ROWS]);
    let mut rows = [T::ZERO; ROWS * FEATURES];
    paint(&mut features, 51);
    paint(&mut targets, 52);
    paint(&mut params, 53);
    let batch = Batch::targets(&features, FEATURES, &targets, 1)?;
    let model = linear::Model {
        l2: T::from_f64(0.1),
        ..linear::Model::new(FEATURES)
    };
    evaluate(&model.on(&batch), &params, &mut [], hash)?;
    model.outputs_into(&params, &batch, &mut outputs)?;
    hash.reals(&outputs);
    model.sample_gradients_into(&params, &batch, &mut rows)?;
    hash.reals(&rows);
    hash.reals(batch.row(2).ok_or(MISSING)?);
    hash.reals(batch.target(2).ok_or(MISSING)?);
    hash.size(batch.columns());

    let whole = Batch::classes(&features, FEATURES, &[0, 1, 1, 0, 1, 0])?;
    let batch = whole.select(&[4, 0, 2])?.range(1, 2)?;
    hash.word(batch.class(1).unwrap_or(9).into());
    hash.size(batch.len() + usize::from(batch.is_empty()));
    for loss in [logistic::Loss::Logistic, logistic::Loss::Nonconvex] {
        let model = logistic::Model {
            loss,
            ..logistic::Model::new(FEATURES)
        };
        evaluate(&model.on(&whole), &params, &mut [], hash)?;
        model.outputs_into(&params, &whole, &mut outputs)?;
        hash.reals(&outputs);
        hash.reals(&[model.accuracy(&params, &whole)?]);
        model.sample_gradients_into(&params, &whole, &mut rows)?;
        hash.reals(&rows);
    }
    Ok(())
}

pub(super) fn networks<T: Real>(hash: &mut Hash) -> Outcome {
    const SIZES: [usize; 3] = [FEATURES, 4, 3];
    const DIM: usize = mlp::Model::<f32>::new(&SIZES).dim();
    let mut features = [T::ZERO; ROWS * FEATURES];
    let (mut params, mut v) = ([T::ZERO; DIM], [T::ZERO; DIM]);
    let (mut scratch, mut out) = ([T::ZERO; SCRATCH], [T::ZERO; SCRATCH]);
    paint(&mut features, 54);
    paint(&mut v, 55);
    let mut rng = random::stream(3, 0, 0, Purpose::INIT);
    for init in [
        Init::XavierNormal,
        Init::XavierUniform,
        Init::KaimingNormal,
        Init::KaimingUniform,
        Init::FanInNormal,
        Init::FanInUniform,
    ] {
        mlp::Model::new(&SIZES).init_into(init, &mut rng, &mut params)?;
        hash.reals(&params);
        hash.reals(&[init.deviation(FEATURES, 4)]);
        init.fill(3, 4, &mut rng, &mut params);
        hash.reals(&params);
    }
    let batch = Batch::new(&features, FEATURES, Labels::Classes(&[0, 1, 2, 2, 1, 0]))?;
    hash.size(usize::from(batch.labels() == Labels::None));
    for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
        for loss in [Loss::CrossEntropy, Loss::Squared] {
            for arithmetic in [Arithmetic::Fast, Arithmetic::Portable] {
                let model = mlp::Model {
                    activation,
                    loss,
                    l2: T::from_f64(0.01),
                    arithmetic,
                    ..mlp::Model::new(&SIZES)
                };
                model.validate()?;
                // The numbers of `Fast` are not the same everywhere, and count for nothing.
                let mut nowhere = Hash::default();
                let hash = match arithmetic {
                    Arithmetic::Portable => &mut *hash,
                    _ => &mut nowhere,
                };
                evaluate(&model.on(&batch), &params, &mut scratch, hash)?;
                let size = ROWS * model.dim();
                let rows = out.get_mut(..size).ok_or(MISSING)?;
                model.sample_gradients_into(&params, &batch, rows, &mut scratch)?;
                hash.reals(rows);
                let two = batch.range(1, 2)?;
                let size = 2 * model.outputs() * model.dim();
                let jacobian = out.get_mut(..size).ok_or(MISSING)?;
                model.jacobian_into(&params, &two, jacobian, &mut scratch)?;
                hash.reals(jacobian);
                let outputs = out.get_mut(..ROWS * model.outputs()).ok_or(MISSING)?;
                model.jacobian_times_into(&params, &batch, &v, outputs, &mut scratch)?;
                hash.reals(outputs);
                let mut back = [T::ZERO; DIM];
                model.jacobian_transpose_times_into(
                    &params,
                    &batch,
                    outputs,
                    &mut back,
                    &mut scratch,
                )?;
                hash.reals(&back);
                model.outputs_into(&params, &batch, outputs, &mut scratch)?;
                hash.reals(outputs);
                hash.reals(&[model.accuracy(&params, &batch, &mut scratch)?]);
                hash.size(model.least_scratch_len(ROWS) + model.jacobian_scratch_len());
                hash.size(model.inputs());
            }
        }
    }
    let model = softmax::Model::new(FEATURES, 3);
    let params = params.get(..model.dim()).ok_or(MISSING)?;
    evaluate(&model.on(&batch), params, &mut scratch, hash)?;
    let outputs = out.get_mut(..ROWS * 3).ok_or(MISSING)?;
    model.outputs_into(params, &batch, outputs, &mut scratch)?;
    hash.reals(outputs);
    hash.reals(&[model.accuracy(params, &batch, &mut scratch)?]);
    hash.size(model.least_scratch_len(ROWS) + model.scratch_len(ROWS));
    hash.size(model.network().outputs());
    Ok(())
}

pub(super) fn autoencoder<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut features, mut params) = ([T::ZERO; ROWS * 8], [T::ZERO; 48]);
    let (mut scratch, mut out) = ([T::ZERO; SCRATCH], [T::ZERO; ROWS * 8]);
    paint(&mut features, 56);
    let model = autoencoder::Model {
        penalty: T::from_f64(0.1),
        ..autoencoder::Model::new(8, 3)
    };
    model.validate()?;
    let mut rng = random::stream(4, 0, 0, Purpose::INIT);
    model.init_into(Init::XavierNormal, &mut rng, &mut params)?;
    let batch = Batch::new(&features, 8, Labels::None)?;
    evaluate(&model.on(&batch), &params, &mut scratch, hash)?;
    model.outputs_into(&params, &batch, &mut out, &mut scratch)?;
    hash.reals(&out);
    hash.size(model.least_scratch_len(ROWS));
    Ok(())
}
