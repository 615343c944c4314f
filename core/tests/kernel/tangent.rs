//! The tangent kernel of finite networks, against automatic differentiation and against explicit Jacobians.

use super::network::{Case, assert_close, golden, name, painted, widened};
use thalweg::kernel::tangent::{
    add_jacobian_kernel, add_jacobian_kernel_between, add_transposed_product, full_kernel_into,
    full_kernel_scratch_len, jacobian_kernel_scratch_len, kernel_into, kernel_scratch_len,
};
use thalweg::matrix::{MatrixMut, symmetric_eigen, symmetric_eigen_scratch};
use thalweg::model::mlp::{Activation, Model};
use thalweg::model::{Batch, Labels, Outputs, autoencoder, linear, logistic, softmax};
use thalweg::{Arithmetic, Real};

fn full<T: Real>(model: &Model<'_, T>, case: &Case<T>) -> Vec<T> {
    let size = case.n * model.outputs();
    let mut k = vec![T::NAN; size * size];
    let view = MatrixMut::new(&mut k, size, size).unwrap();
    let mut scratch = vec![T::NAN; full_kernel_scratch_len(model, case.n)];
    full_kernel_into(model, &case.params, &case.batch(), view, &mut scratch).unwrap();
    k
}

fn by_jacobian<T: Real>(model: &Model<'_, T>, case: &Case<T>) -> Vec<T> {
    let n = case.n;
    let mut h = vec![T::ZERO; n * n];
    let view = MatrixMut::new(&mut h, n, n).unwrap();
    let mut scratch = vec![T::NAN; jacobian_kernel_scratch_len(n, n)];
    let jacobian = case.jacobian(model);
    add_jacobian_kernel(
        Arithmetic::Portable,
        model.outputs(),
        &jacobian,
        view,
        &mut scratch,
    )
    .unwrap();
    h
}

fn bits<T: Real>(x: &[T]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits_u64()).collect()
}

#[test]
fn kernels_are_those_of_automatic_differentiation() {
    fn check<T: Real>(bound: f64) {
        let mut seen = [0; 2];
        for line in golden() {
            let model = Model {
                activation: line.activation,
                ..Model::new(&line.sizes)
            };
            let case = Case::<T>::new(&model, 5);
            let found = match line.what {
                "trace" => [case.kernel(&model), by_jacobian(&model, &case)],
                "full" => [full(&model, &case), full(&model, &case)],
                _ => continue,
            };
            seen[usize::from(line.what == "full")] += 1;
            for found in found {
                let what = format!("{} {:?}", line.what, line.sizes);
                assert_close(&what, &found, &line.numbers, bound);
            }
        }
        assert_eq!(seen, [7, 7]);
    }
    check::<f64>(1e-14);
    check::<f32>(5e-7);
}

#[test]
fn kernels_across_tiles_are_those_of_jacobians_and_positive_semidefinite() {
    fn check<T: Real>(bound: f64) {
        for (sizes, activation, n) in [
            (&[6, 4, 3][..], Activation::Relu, 530),
            (&[3, 5, 4, 10], Activation::Tanh, 60),
            (&[4, 2, 3, 2, 300], Activation::Sigmoid, 3),
            (&[5, 2], Activation::Relu, 300),
        ] {
            let model = Model {
                activation,
                ..Model::new(sizes)
            };
            let (case, c) = (Case::<T>::new(&model, n), model.outputs());
            let h = case.kernel(&model);
            let expected = widened(&by_jacobian(&model, &case));
            assert_close("trace", &h, &expected, bound);
            for i in 0..n {
                assert!((0..i).all(|j| h[i * n + j] == h[j * n + i]));
            }
            let mut eigen = widened(&h);
            let view = MatrixMut::new(&mut eigen, n, n).unwrap();
            let mut values = vec![0.0; n];
            let mut scratch = vec![0.0; symmetric_eigen_scratch(n)];
            symmetric_eigen(view, &mut values, &mut scratch).unwrap();
            let clipped = -values[0] / values[n - 1];
            assert!(
                clipped < n as f64 * T::EPSILON.to_f64(),
                "{sizes:?} {clipped}"
            );
            if n * c > 1000 {
                continue;
            }
            let k = full(&model, &case);
            let jacobian = widened(&case.jacobian(&model));
            let rows = || jacobian.chunks(model.dim());
            let gram: Vec<f64> = rows()
                .flat_map(|a| rows().map(|b| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()))
                .collect();
            assert_close("full", &k, &gram, bound);
            for (i, row) in k.chunks(n * c).enumerate() {
                assert!((0..i).all(|j| row[j] == k[j * n * c + i]));
            }
        }
    }
    check::<f64>(1e-14);
    check::<f32>(4e-6);
}

#[test]
fn bits_depend_neither_on_the_scratch_nor_on_a_list_of_rows() {
    let model = Model::<f32>::new(&[6, 5, 4, 3]);
    let case = Case::new(&model, 70);
    let expected = bits(&case.kernel(&model));
    let pack = kernel_scratch_len(&model, 70);
    let mut h = vec![0.0; 70 * 70];
    let mut least = pack;
    // The least length is the first that is refused, plus one.
    loop {
        let view = MatrixMut::new(&mut h, 70, 70).unwrap();
        let scratch = &mut vec![f32::NAN; least];
        if kernel_into(&model, &case.params, &case.batch(), view, scratch).is_err() {
            break;
        }
        assert_eq!(bits(&h), expected, "{least}");
        least -= 997.min(least);
    }
    assert!(least < pack);
    let mut reversed = case.x.clone();
    reversed.reverse();
    reversed.chunks_mut(6).for_each(<[f32]>::reverse);
    let list: Vec<u32> = (0..70).rev().collect();
    let batch = Batch::new(&reversed, 6, Labels::None).unwrap();
    let view = MatrixMut::new(&mut h, 70, 70).unwrap();
    let mut scratch = vec![f32::NAN; pack];
    kernel_into(
        &model,
        &case.params,
        &batch.select(&list).unwrap(),
        view,
        &mut scratch,
    )
    .unwrap();
    assert_eq!(bits(&h), expected);
}

#[test]
fn blocks_of_clients_and_slices_of_entries_make_up_the_kernel() {
    let model = Model::<f64>::new(&[7, 6, 4]);
    let case = Case::new(&model, 9);
    let (jacobian, entries) = (case.jacobian(&model), 4 * model.dim());
    let whole = by_jacobian(&model, &case);
    let (a, b) = jacobian.split_at(4 * entries);
    let mut h = vec![0.0; 81];
    let mut scratch = vec![f64::NAN; jacobian_kernel_scratch_len(9, 9)];
    let mut view = MatrixMut::new(&mut h, 9, 9).unwrap();
    let how = Arithmetic::Portable;
    add_jacobian_kernel(how, 4, a, view.block_mut(0..4, 0..4).unwrap(), &mut scratch).unwrap();
    add_jacobian_kernel(how, 4, b, view.block_mut(4..9, 4..9).unwrap(), &mut scratch).unwrap();
    for (rows, out) in [([b, a], (4..9, 0..4)), ([a, b], (0..4, 4..9))] {
        let out = view.block_mut(out.0, out.1).unwrap();
        add_jacobian_kernel_between(how, 4, rows, out, &mut scratch).unwrap();
    }
    assert_eq!(bits(&h), bits(&whole));
    // Class by class.
    h.fill(0.0);
    for c in 0..4 {
        let rows = jacobian.chunks(entries);
        let dim = model.dim();
        let class: Vec<f64> = rows
            .flat_map(|row| row[c * dim..][..dim].to_vec())
            .collect();
        let view = MatrixMut::new(&mut h, 9, 9).unwrap();
        add_jacobian_kernel(how, 4, &class, view, &mut scratch).unwrap();
    }
    assert_close("classes", &h, &whole, 1e-15);
}

#[test]
fn a_kernel_of_a_million_entries_keeps_its_digits_in_single_precision() {
    let jacobian = vec![0.1_f32; 1 << 20];
    let mut h = [0.0_f32];
    let mut scratch = vec![0.0; jacobian_kernel_scratch_len(1, 1)];
    let view = MatrixMut::new(&mut h, 1, 1).unwrap();
    add_jacobian_kernel(Arithmetic::Portable, 1, &jacobian, view, &mut scratch).unwrap();
    let expected = f64::from(0.1_f32) * f64::from(0.1_f32) * f64::from(1 << 20);
    assert!(
        (f64::from(h[0]) / expected - 1.0).abs() < 1e-4,
        "{h:?} {expected}"
    );
}

/// Jacobian against central differences and against its transposed product.
fn check_outputs<M: Outputs<f64>>(model: &M, inputs: usize) {
    const N: usize = 5;
    let (c, p) = (model.outputs(), model.dim());
    let mut case = Case {
        n: N,
        x: painted(N * inputs, 5),
        params: painted(p, 11),
    };
    let (v, r) = (painted::<f64>(p, 12), painted::<f64>(N * c, 13));
    let jacobian = case.jacobian(model);
    let start = case.params.clone();
    let mut at = |h: f64| {
        let moved = start.iter().zip(&v).map(|(w, v)| w + h * v);
        case.params = moved.collect();
        case.outputs(model)
    };
    let (ahead, back) = (at(1e-5), at(-1e-5));
    case.params = start;
    for ((row, ahead), back) in jacobian.chunks(p).zip(ahead).zip(back) {
        let product: f64 = row.iter().zip(&v).map(|(a, b)| a * b).sum();
        let slope = (ahead - back) / 2e-5;
        assert!((product - slope).abs() < 1e-8, "{product} {slope}");
    }
    assert!(jacobian.iter().any(|x| x.abs() > 0.1));
    let mut explicit = vec![0.0; p];
    add_transposed_product(&jacobian, &r, &mut explicit).unwrap();
    assert_close("step", &case.pull(model, &r), &explicit, 1e-14);
    // Row by row, and an output by itself.
    let mut scratch = vec![f64::NAN; model.outputs_scratch_len(1)];
    let (mut row, mut one) = (vec![f64::NAN; c * p], vec![f64::NAN; p]);
    for (i, expected) in jacobian.chunks(c * p).enumerate() {
        let sample = case.batch().range(i, 1).unwrap();
        model
            .jacobian_into(&case.params, &sample, &mut row, &mut scratch)
            .unwrap();
        assert_eq!(bits(&row), bits(expected));
        let mut unit = vec![0.0; c];
        unit[c - 1] = 1.0;
        model
            .jacobian_transpose_times_into(&case.params, &sample, &unit, &mut one, &mut scratch)
            .unwrap();
        assert_close("unit", &one, &expected[(c - 1) * p..], 1e-15);
    }
    // Bad lengths are named, and nothing is written.
    let batch = case.batch();
    let (short, mut scratch) = (&case.params[1..], vec![0.0; model.outputs_scratch_len(N)]);
    let mut out = vec![7.0; N * c * p];
    let refused = model.jacobian_into(short, &batch, &mut out, &mut scratch);
    assert_eq!(name(refused.unwrap_err()), "params");
    let refused = model.jacobian_into(&case.params, &batch, &mut out[1..], &mut scratch);
    assert_eq!(name(refused.unwrap_err()), "out");
    let none = batch.range(0, 0).unwrap();
    let refused = model.jacobian_into(&case.params, &none, &mut [], &mut scratch);
    assert_eq!(name(refused.unwrap_err()), "batch");
    let (to, params) = (&mut out[..p], &case.params);
    let refused = model.jacobian_transpose_times_into(params, &batch, &r[1..], to, &mut scratch);
    assert_eq!(name(refused.unwrap_err()), "residuals");
    assert!(out.iter().all(|&x| x == 7.0));
}

#[test]
fn jacobians_of_every_model_are_slopes_of_its_outputs() {
    check_outputs(&linear::Model::new(4), 4);
    check_outputs(&logistic::Model::new(4), 4);
    check_outputs(&softmax::Model::new(4, 3), 4);
    check_outputs(&autoencoder::Model::new(4, 2), 4);
    for sizes in [&[4, 3][..], &[4, 5, 3], &[4, 5, 4, 3], &[4, 3, 5, 4, 2]] {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
            let model = Model {
                activation,
                ..Model::new(sizes)
            };
            check_outputs(&model, 4);
        }
    }
}

#[test]
fn rows_of_zeros_and_equal_rows_have_finite_kernels() {
    let model = Model::<f32>::new(&[3, 4, 2]);
    let mut case = Case::new(&model, 4);
    case.x[..3].fill(0.0);
    case.x.copy_within(3..6, 6);
    let h = case.kernel(&model);
    assert!(h.iter().all(|x| x.is_finite()) && h[0] >= 1.0);
    assert_eq!(bits(&h[4..8]), bits(&h[8..12]));
}

#[test]
fn bad_arguments_are_named_and_nothing_is_written() {
    let model = Model::<f64>::new(&[3, 4, 2]);
    let case = Case::new(&model, 2);
    let mut scratch = vec![0.0; kernel_scratch_len(&model, 3)];
    let mut h = [7.0; 9];
    let mut call = |model: &Model<'_, f64>, params: &[f64], batch, n, m, scratch: &mut [f64]| {
        let view = MatrixMut::new(&mut h[..n * m], n, m).unwrap();
        let refused = kernel_into(model, params, &batch, view, scratch);
        assert_eq!(h, [7.0; 9]);
        name(refused.unwrap_err())
    };
    let (batch, params) = (case.batch(), &case.params[..]);
    assert_eq!(
        call(&model, &params[1..], batch, 2, 2, &mut scratch),
        "params"
    );
    assert_eq!(
        call(&model, params, batch, 3, 2, &mut scratch),
        "rows of the kernel"
    );
    assert_eq!(
        call(&model, params, batch, 2, 3, &mut scratch),
        "columns of the kernel"
    );
    assert_eq!(call(&model, params, batch, 2, 2, &mut [0.0; 9]), "scratch");
    let none = batch.range(0, 0).unwrap();
    assert_eq!(call(&model, params, none, 0, 0, &mut scratch), "batch");
    let empty = Model::new(&[3, 0, 2]);
    assert_eq!(call(&empty, &[], batch, 2, 2, &mut scratch), "sizes");
    let mut add = |outputs, a: &[f64], b: &[f64], scratch: &mut [f64]| {
        let view = MatrixMut::new(&mut h[..6], 2, 3).unwrap();
        let how = Arithmetic::Portable;
        let refused = add_jacobian_kernel_between(how, outputs, [a, b], view, scratch);
        assert_eq!(h, [7.0; 9]);
        name(refused.unwrap_err())
    };
    assert_eq!(add(0, &[1.0; 4], &[1.0; 6], &mut scratch), "outputs");
    assert_eq!(add(1, &[1.0; 5], &[1.0; 6], &mut scratch), "a");
    assert_eq!(add(1, &[1.0; 4], &[1.0; 5], &mut scratch), "b");
    assert_eq!(add(1, &[1.0; 4], &[1.0; 6], &mut [0.0; 5]), "scratch");
    let view = MatrixMut::new(&mut h[..6], 2, 3).unwrap();
    let how = Arithmetic::Portable;
    let refused = add_jacobian_kernel(how, 1, &[1.0; 4], view, &mut scratch);
    assert_eq!(name(refused.unwrap_err()), "columns of h");
    let refused = add_transposed_product(&[1.0; 5], &[1.0; 2], &mut h[..3]);
    assert_eq!((name(refused.unwrap_err()), h), ("jacobian", [7.0; 9]));
}

#[test]
fn lengths_near_the_end_of_the_address_space_saturate() {
    let most = usize::MAX;
    for n in [most, most - 1, most / 2, most / 784] {
        for sizes in [
            &[784, 100, 10][..],
            &[784, 10],
            &[784, 50, 50, 10],
            &[most, most, most],
        ] {
            let model = Model::<f32>::new(sizes);
            assert_eq!(kernel_scratch_len(&model, n), most, "{sizes:?} {n}");
            assert_eq!(full_kernel_scratch_len(&model, n), most, "{sizes:?} {n}");
        }
        assert!(jacobian_kernel_scratch_len(n, n) < 1 << 19);
    }
    let model = Model::<f64>::new(&[]);
    assert!(kernel_scratch_len(&model, 1) < 16 && full_kernel_scratch_len(&model, 1) < 16);
}
