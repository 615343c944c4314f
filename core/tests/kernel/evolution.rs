//! Flows of outputs and weights under a tangent kernel, against SciPy, closed forms and exact gradient steps.

use super::network::{Case, assert_close, classes, golden, name, painted, widened};
use thalweg::kernel::evolution::{
    Chosen, Config, Round, Scale, Spectrum, choose_tau, follow, follow_scratch_len,
    least_follow_scratch_len, spectrum_len, spectrum_scratch_len, weights_into,
};
use thalweg::kernel::tangent::add_transposed_product;
use thalweg::matrix::MatrixRef;
use thalweg::model::mlp::Model;
use thalweg::model::{Batch, Labels, Loss, Objective, linear};
use thalweg::solve::{Tolerance, dormand_prince, dormand_prince_scratch_len};
use thalweg::{Error, Real, vector};

fn exact() -> Config {
    Config {
        tolerance: Tolerance {
            relative: 1e-11,
            absolute: 1e-11,
            ..Tolerance::default()
        },
        ..Config::default()
    }
}

/// A round on owned memory.
struct Owned<T> {
    loss: Loss,
    kernel: Vec<T>,
    classes: Vec<u32>,
    outputs: Vec<T>,
}

impl<T: Real> Owned<T> {
    fn new(loss: Loss, model: &Model<'_, T>, case: &Case<T>) -> Self {
        Self {
            loss,
            kernel: case.kernel(model),
            classes: classes(case.n, model.outputs()),
            outputs: case.outputs(model),
        }
    }

    fn round(&self) -> Round<'_, T> {
        let n = self.classes.len();
        Round {
            loss: self.loss,
            kernel: MatrixRef::new(&self.kernel, n, n).unwrap(),
            labels: Labels::Classes(&self.classes),
            outputs: &self.outputs,
        }
    }

    /// Outputs and integrals at each of the times.
    fn follow(&self, config: &Config, times: &[f64]) -> Vec<[Vec<T>; 2]> {
        let (round, mut seen) = (self.round(), Vec::new());
        let width = self.outputs.len() / self.classes.len();
        let mut scratch = vec![T::NAN; follow_scratch_len(self.classes.len(), width)];
        let visit = |moment: thalweg::kernel::evolution::Moment<'_, T>| {
            assert_eq!(moment.index, seen.len());
            seen.push([moment.outputs.to_vec(), moment.integral.to_vec()]);
            Ok(())
        };
        follow(config, &round, times, visit, &mut scratch).unwrap();
        assert_eq!(seen.len(), times.len());
        seen
    }

    fn at(&self, t: f64) -> [Vec<T>; 2] {
        let (round, n) = (self.round(), self.classes.len());
        let mut memory = vec![f64::NAN; spectrum_len(n)];
        let mut scratch = vec![f64::NAN; spectrum_scratch_len(n, self.outputs.len() / n)];
        let spectrum = Spectrum::new(round.kernel, &mut memory, &mut vec![0.0; 2 * n]).unwrap();
        let mut found = [(); 2].map(|()| vec![T::NAN; self.outputs.len()]);
        let [f, s] = &mut found;
        spectrum.at(&round, t, f, s, &mut scratch).unwrap();
        found
    }

    fn scale(&self) -> Scale {
        Scale {
            loss: self.loss,
            rows: self.classes.len(),
            outputs: self.outputs.len() / self.classes.len(),
        }
    }
}

fn weights<T: Real>(scale: Scale, params: &[T], pull: &[T]) -> Vec<T> {
    let mut out = vec![T::NAN; params.len()];
    weights_into(scale, params, pull, &mut out).unwrap();
    out
}

const TIMES: [f64; 3] = [0.5, 3.0, 20.0];

#[test]
fn outputs_integrals_and_weights_are_those_of_another_integrator() {
    fn check<T: Real>(config: &Config, bound: f64) {
        let mut seen = 0;
        for line in golden() {
            let Some((loss, time)) = line.what.rsplit_once('_') else {
                continue;
            };
            seen += 1;
            let index = TIMES.iter().position(|t| format!("{t:?}") == time).unwrap();
            let model = Model {
                activation: line.activation,
                ..Model::new(&line.sizes)
            };
            let case = Case::<T>::new(&model, 5);
            let loss = match loss {
                "squared" => Loss::Squared,
                _ => Loss::CrossEntropy,
            };
            let round = Owned::new(loss, &model, &case);
            let followed = round.follow(config, &TIMES).swap_remove(index);
            let (f, s) = line.numbers.split_at(followed[0].len());
            let (s, w) = s.split_at(f.len());
            let mut found = vec![(followed, bound)];
            if loss == Loss::Squared {
                found.push((round.at(TIMES[index]), T::EPSILON.to_f64() * 30.0));
            }
            for ([outputs, integral], bound) in found {
                assert_close(line.what, &outputs, f, bound);
                assert_close(line.what, &integral, s, bound);
                let pull = case.pull(&model, &integral);
                let moved = weights(round.scale(), &case.params, &pull);
                assert_close(line.what, &moved, w, bound);
            }
        }
        assert_eq!(seen, 12);
    }
    check::<f64>(&exact(), 1e-9);
    check::<f64>(&Config::default(), 1e-2);
    let mut config = Config::default();
    (config.tolerance.relative, config.tolerance.absolute) = (1e-5, 1e-5);
    check::<f32>(&config, 3e-4);
}

#[test]
fn outputs_move_by_the_kernel_times_the_integral() {
    fn check<T: Real>(bound: f64) {
        let model = Model::<T>::new(&[8, 12, 5]);
        let case = Case::new(&model, 90);
        for loss in [Loss::CrossEntropy, Loss::Squared] {
            let round = Owned::new(loss, &model, &case);
            for [f, s] in round.follow(&Config::default(), &TIMES) {
                let rate = round.round().rate();
                for (i, row) in round.kernel.chunks(90).enumerate() {
                    for c in 0..5 {
                        let products = row.iter().zip(s.iter().skip(c).step_by(5));
                        let product: f64 = products.map(|(h, s)| h.to_f64() * s.to_f64()).sum();
                        let expected = round.outputs[5 * i + c].to_f64() - rate * product;
                        let found = f[5 * i + c].to_f64();
                        assert!((found - expected).abs() < bound, "{found} {expected}");
                    }
                }
            }
        }
    }
    check::<f64>(1e-13);
    check::<f32>(2e-5);
}

#[test]
fn a_virtual_step_is_a_step_of_gradient_descent() {
    // w - eta rate J^T r(0) = w - eta grad, for either loss; the flow begins in the same direction.
    let eta = 1e-6;
    for loss in [Loss::CrossEntropy, Loss::Squared] {
        let model = Model {
            loss,
            ..Model::<f64>::new(&[5, 7, 4, 3])
        };
        let case = Case::new(&model, 11);
        let round = Owned::new(loss, &model, &case);
        let batch = Batch::classes(&case.x, 5, &round.classes).unwrap();
        let (mut grad, mut scratch) = (vec![0.0; model.dim()], vec![0.0; model.scratch_len(11)]);
        model
            .gradient_into(&case.params, &batch, &mut grad, &mut scratch)
            .unwrap();
        let rows = round.outputs.chunks(3).zip(&round.classes);
        let residuals = rows.flat_map(|(f, &class)| {
            let sum: f64 = f.iter().map(|f| f.exp()).sum();
            let residual = move |(c, f): (usize, &f64)| {
                let hit = f64::from(u8::from(c == class as usize));
                eta * match loss {
                    Loss::CrossEntropy => f.exp() / sum - hit,
                    Loss::Squared => f - hit,
                }
            };
            f.iter().enumerate().map(residual).collect::<Vec<_>>()
        });
        let residuals: Vec<f64> = residuals.collect();
        let expected: Vec<f64> = case
            .params
            .iter()
            .zip(&grad)
            .map(|(w, g)| w - eta * g)
            .collect();
        let step = weights(round.scale(), &case.params, &case.pull(&model, &residuals));
        assert_close("step", &step, &expected, 1e-15);
        let [_, s] = round.follow(&exact(), &[eta]).swap_remove(0);
        let moved = weights(round.scale(), &case.params, &case.pull(&model, &s));
        let slopes: Vec<f64> = moved
            .iter()
            .zip(&case.params)
            .map(|(m, w)| (w - m) / eta)
            .collect();
        assert_close("flow", &slopes, &grad, 1e-5);
    }
}

#[test]
fn the_squared_flow_ends_at_the_labels_and_is_the_limit_of_euler_steps() {
    let model = Model::<f64>::new(&[6, 9, 2]);
    let case = Case::new(&model, 6);
    let round = Owned::new(Loss::Squared, &model, &case);
    let [f, _] = round.at(1e9);
    for (f, &class) in f.chunks(2).zip(&round.classes) {
        let hit = |c| f64::from(u8::from(c == class as usize));
        assert!(
            (f[0] - hit(0)).abs() < 1e-12 && (f[1] - hit(1)).abs() < 1e-12,
            "{f:?}"
        );
    }
    let (t, steps) = (2.0, 200_000);
    let onehot = round
        .classes
        .iter()
        .flat_map(|&class| [0, 1].map(|c| f64::from(u8::from(c == class))));
    let onehot: Vec<f64> = onehot.collect();
    let mut euler = round.outputs.clone();
    for _ in 0..steps {
        let r: Vec<f64> = euler.iter().zip(&onehot).map(|(f, y)| f - y).collect();
        for (h, f) in round.kernel.chunks(6).zip(euler.chunks_mut(2)) {
            for (c, f) in f.iter_mut().enumerate() {
                let product: f64 = h
                    .iter()
                    .zip(r.iter().skip(c).step_by(2))
                    .map(|(h, r)| h * r)
                    .sum();
                *f -= t / f64::from(steps) / 12.0 * product;
            }
        }
    }
    assert_close("euler", &round.at(t)[0], &euler, 2e-5);
}

#[test]
fn a_linear_model_follows_the_gradient_flow_of_its_own_loss() {
    // H = X X^T, and the outputs at w(t) are f(t): the linear model is the model.
    let (n, d) = (7, 4);
    let model = linear::Model::<f64>::new(d);
    let case = Case {
        n,
        x: painted(n * d, 1),
        params: painted(d, 2),
    };
    let y = painted::<f64>(n, 3);
    let rows = || case.x.chunks(d);
    let kernel: Vec<f64> = rows()
        .flat_map(|a| rows().map(|b| vector::dot(a, b).unwrap()))
        .collect();
    let outputs = case.outputs(&model);
    let round = Round {
        loss: Loss::Squared,
        kernel: MatrixRef::new(&kernel, n, n).unwrap(),
        labels: Labels::Targets {
            values: &y,
            width: 1,
        },
        outputs: &outputs,
    };
    let mut memory = vec![0.0; spectrum_len(n)];
    let mut scratch = vec![0.0; spectrum_scratch_len(n, 1)];
    let spectrum = Spectrum::new(round.kernel, &mut memory, &mut scratch).unwrap();
    // Rank 4 of 7.
    assert!(
        spectrum.clipped() < 1e-14 && spectrum.values()[2] < 1e-14 && spectrum.values()[3] > 1e-3
    );
    let (mut f, mut s) = (vec![0.0; n], vec![0.0; n]);
    for t in [0.0, 0.1, 1.0, 30.0, 1e12] {
        spectrum
            .at(&round, t, &mut f, &mut s, &mut scratch)
            .unwrap();
        let scale = Scale {
            loss: Loss::Squared,
            rows: n,
            outputs: 1,
        };
        let params = weights(scale, &case.params, &case.pull(&model, &s));
        let moved = Case {
            n,
            x: case.x.clone(),
            params,
        };
        // S grows with t in the directions of the null space.
        let bound = 1e-13 + 1e-15 * t;
        assert_close("outputs", &moved.outputs(&model), &f, bound);
        if t == 1e12 {
            continue;
        }
        // dw/dt = -grad: a short while later.
        let later = 1e-6;
        spectrum
            .at(&round, t + later, &mut f, &mut s, &mut scratch)
            .unwrap();
        let next = weights(scale, &case.params, &case.pull(&model, &s));
        let batch = Batch::targets(&case.x, d, &y, 1).unwrap();
        let mut grad = vec![0.0; d];
        model
            .gradient_into(&moved.params, &batch, &mut grad, &mut [])
            .unwrap();
        for ((next, now), g) in next.iter().zip(&moved.params).zip(&grad) {
            assert!(((next - now) / later + g).abs() < 1e-5, "{next} {now} {g}");
        }
    }
}

#[test]
fn neither_the_order_of_rows_nor_their_division_among_clients_counts() {
    let model = Model::<f64>::new(&[6, 8, 3]);
    let case = Case::new(&model, 10);
    let weights_of = |case: &Case<f64>, classes: &[u32]| {
        let mut round = Owned::new(Loss::CrossEntropy, &model, case);
        round.classes = classes.to_vec();
        let [_, s] = round.follow(&exact(), &[5.0]).swap_remove(0);
        let whole = weights(round.scale(), &case.params, &case.pull(&model, &s));
        (whole, s)
    };
    let labels = classes(10, 3);
    let (expected, s) = weights_of(&case, &labels);
    let order = [3, 9, 0, 1, 7, 5, 8, 2, 6, 4];
    let rows = order
        .iter()
        .flat_map(|&i: &usize| case.x[6 * i..6 * i + 6].to_vec());
    let shuffled = Case {
        n: 10,
        x: rows.collect(),
        params: case.params.clone(),
    };
    let (found, _) = weights_of(&shuffled, &order.map(|i| labels[i]));
    assert_close("shuffled", &found, &expected, 1e-12);
    // The sums over clients have the bits of the sum over their pooled samples.
    let (jacobian, dim) = (case.jacobian(&model), model.dim());
    let mut pooled = vec![0.0; dim];
    add_transposed_product(&jacobian, &s, &mut pooled).unwrap();
    for cuts in [[0, 1, 10], [0, 7, 10], [3, 3, 10]] {
        let (mut start, mut sum) = (0, vec![0.0; dim]);
        for end in cuts {
            let rows = 3 * start..3 * end;
            let block = &jacobian[rows.start * dim..rows.end * dim];
            add_transposed_product(block, &s[rows], &mut sum).unwrap();
            start = end;
        }
        assert_eq!(sum, pooled);
    }
    let scale = Scale {
        loss: Loss::CrossEntropy,
        rows: 10,
        outputs: 3,
    };
    assert_close(
        "explicit",
        &weights(scale, &case.params, &pooled),
        &expected,
        1e-13,
    );
}

fn cross_entropy<T: Real>(f: &[T], classes: &[u32]) -> f64 {
    let width = f.len() / classes.len();
    let rows = widened(f);
    let loss = rows.chunks(width).zip(classes).map(|(f, &class)| {
        let most = f.iter().fold(f64::NEG_INFINITY, |m, &f| m.max(f));
        let sum: f64 = f.iter().map(|f| (f - most).exp()).sum();
        sum.ln() + most - f[class as usize]
    });
    loss.sum::<f64>() / classes.len() as f64
}

#[test]
fn the_loss_of_the_linear_model_never_rises() {
    let model = Model::<f32>::new(&[8, 12, 5]);
    let case = Case::new(&model, 60);
    let round = Owned::new(Loss::CrossEntropy, &model, &case);
    let times: Vec<f64> = (0..=40).map(|k| 0.5 * f64::from(k)).collect();
    let moments = round.follow(&Config::default(), &times);
    assert_eq!(moments[0][0], round.outputs);
    let losses: Vec<f64> = moments
        .iter()
        .map(|[f, _]| cross_entropy(f, &round.classes))
        .collect();
    assert!(
        losses.windows(2).all(|pair| pair[1] < pair[0]),
        "{losses:?}"
    );
    assert!(losses[40] < 0.5 * losses[0]);
}

#[test]
fn singular_kernels_and_far_logits_give_finite_results() {
    // Four copies of a sample with two labels, logits of +-1e4, a kernel of zeros.
    let labels = [0_u32, 1, 0, 0];
    for (kernel, outputs) in [
        (
            [3.0_f32; 16],
            [0.5_f32, -0.5, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5],
        ),
        ([3.0; 16], [1e4, -1e4, 1e4, -1e4, -1e4, 1e4, 0.0, 1e4]),
        ([0.0; 16], [1e4, -1e4, 1e4, -1e4, -1e4, 1e4, 0.0, 1e4]),
        ([1e6; 16], [1e4, -1e4, 1e4, -1e4, -1e4, 1e4, 0.0, 1e4]),
    ] {
        for loss in [Loss::CrossEntropy, Loss::Squared] {
            let round = Owned {
                loss,
                kernel: kernel.to_vec(),
                classes: labels.to_vec(),
                outputs: outputs.to_vec(),
            };
            let finite = |[f, s]: &[Vec<f32>; 2]| f.iter().chain(s).all(|x| x.is_finite());
            assert!(
                round
                    .follow(&Config::default(), &[0.01, 0.05])
                    .iter()
                    .all(finite)
            );
            if loss == Loss::Squared {
                let found = round.at(20.0);
                assert!(finite(&found));
                if kernel[0] == 0.0 {
                    // S is exactly t r.
                    assert_eq!(
                        (found[1][0], &found[0]),
                        (20.0 * (1e4 - 1.0), &round.outputs)
                    );
                }
            }
        }
    }
}

#[test]
fn bad_rounds_are_named_before_anything_is_visited() {
    let square = [2.0_f64, 1.0, 1.0, 2.0];
    let kernel = MatrixRef::new(&square, 2, 2).unwrap();
    let good = Round {
        loss: Loss::CrossEntropy,
        kernel,
        labels: Labels::Classes(&[0, 1]),
        outputs: &[0.0, 1.0, 2.0, 3.0],
    };
    let mut scratch = [0.0; 1024];
    let call = |round: Round<'_, f64>, times: &[f64], scratch: &mut [f64]| {
        let visit = |_: thalweg::kernel::evolution::Moment<'_, f64>| panic!("visited");
        name(follow(&Config::default(), &round, times, visit, scratch).unwrap_err())
    };
    let nan = [2.0, f64::NAN, 1.0, 2.0];
    let (tall, broken) = (
        MatrixRef::new(&square, 4, 1).unwrap(),
        MatrixRef::new(&nan, 2, 2).unwrap(),
    );
    let none = MatrixRef::new(&[], 0, 0).unwrap();
    let targets = Labels::Targets {
        values: &square,
        width: 2,
    };
    for (round, expected) in [
        (
            Round {
                kernel: none,
                ..good
            },
            "kernel",
        ),
        (
            Round {
                kernel: tall,
                ..good
            },
            "columns of kernel",
        ),
        (
            Round {
                kernel: broken,
                ..good
            },
            "kernel",
        ),
        (
            Round {
                outputs: &[],
                ..good
            },
            "outputs",
        ),
        (
            Round {
                outputs: &[1.0; 3],
                ..good
            },
            "outputs",
        ),
        (
            Round {
                outputs: &[1.0, f64::INFINITY, 0.0, 0.0],
                ..good
            },
            "outputs",
        ),
        (
            Round {
                labels: Labels::Classes(&[0, 2]),
                ..good
            },
            "labels",
        ),
        (
            Round {
                labels: Labels::Classes(&[0]),
                ..good
            },
            "labels",
        ),
        (
            Round {
                labels: Labels::None,
                ..good
            },
            "labels",
        ),
        (
            Round {
                labels: targets,
                ..good
            },
            "labels",
        ),
    ] {
        assert_eq!(call(round, &[1.0], &mut scratch), expected);
    }
    for times in [
        &[2.0, 1.0][..],
        &[1.0, 1.0],
        &[-1.0],
        &[f64::NAN],
        &[f64::INFINITY],
        &[0.0, -0.0],
    ] {
        assert_eq!(call(good, times, &mut scratch), "times");
    }
    assert_eq!(call(good, &[1.0], &mut [0.0; 79]), "scratch");
    let visit = |_: thalweg::kernel::evolution::Moment<'_, f64>| Ok(());
    follow(&Config::default(), &good, &[], visit, &mut [0.0; 80]).unwrap();
    // The closed form.
    let mut memory = [7.0; 6];
    assert_eq!(
        name(Spectrum::new(broken, &mut memory, &mut [0.0; 4]).unwrap_err()),
        "kernel"
    );
    assert_eq!(
        name(Spectrum::new(kernel, &mut memory[1..], &mut [0.0; 4]).unwrap_err()),
        "memory"
    );
    assert_eq!(
        name(Spectrum::new(kernel, &mut memory, &mut [0.0; 3]).unwrap_err()),
        "scratch"
    );
    assert_eq!(memory, [7.0; 6]);
    let spectrum = Spectrum::new(kernel, &mut memory, &mut [0.0; 4]).unwrap();
    let (mut f, mut s) = ([7.0; 4], [7.0; 4]);
    let squared = Round {
        loss: Loss::Squared,
        ..good
    };
    let mut at = |round: &Round<'_, f64>, t: f64, len: usize, scratch: &mut [f64]| {
        let refused = spectrum.at(round, t, &mut f[..len], &mut s, scratch);
        assert_eq!((f, s), ([7.0; 4], [7.0; 4]));
        name(refused.unwrap_err())
    };
    assert_eq!(at(&good, 1.0, 4, &mut scratch), "loss");
    assert_eq!(at(&squared, -1.0, 4, &mut scratch), "t");
    assert_eq!(at(&squared, f64::INFINITY, 4, &mut scratch), "t");
    assert_eq!(at(&squared, 1.0, 3, &mut scratch), "outputs");
    assert_eq!(at(&squared, 1.0, 4, &mut [0.0; 16]), "scratch");
    let one = MatrixRef::new(&square[..1], 1, 1).unwrap();
    let small = Round {
        kernel: one,
        labels: Labels::Classes(&[0]),
        outputs: &[1.0; 4],
        ..squared
    };
    assert_eq!(at(&small, 1.0, 4, &mut scratch), "rows of kernel");
    let mut out = [7.0; 1];
    for (scale, pull, expected) in [
        (
            Scale {
                loss: Loss::Squared,
                rows: 0,
                outputs: 1,
            },
            &[1.0][..],
            "rows",
        ),
        (
            Scale {
                loss: Loss::Squared,
                rows: 1,
                outputs: 0,
            },
            &[1.0],
            "outputs",
        ),
        (
            Scale {
                loss: Loss::Squared,
                rows: 1,
                outputs: 1,
            },
            &[1.0; 2],
            "y",
        ),
    ] {
        let refused = weights_into(scale, &[1.0], pull, &mut out);
        assert_eq!((name(refused.unwrap_err()), out), (expected, [7.0]));
    }
}

#[test]
fn lengths_near_the_end_of_the_address_space_saturate() {
    let most = usize::MAX;
    for (n, outputs) in [
        (most, 10),
        (most / 2, most / 2),
        (1 << 33, 1 << 33),
        (1, most),
    ] {
        assert_eq!(follow_scratch_len(n, outputs), most);
        assert_eq!(least_follow_scratch_len(n, outputs), most);
        assert_eq!(spectrum_scratch_len(n, outputs), most);
    }
    assert_eq!(spectrum_len(1 << 33), most);
    assert_eq!(dormand_prince_scratch_len(most / 2), most);
}

#[test]
fn the_smallest_loss_is_picked_and_the_earliest_of_equal_ones() {
    let kept = |loss| Chosen {
        candidate: None,
        loss,
    };
    let picked = |index, loss| Chosen {
        candidate: Some(index),
        loss,
    };
    assert_eq!(choose_tau(1.0, &[]), kept(1.0));
    assert_eq!(choose_tau(1.0, &[1.0, 1.0, 2.0, f64::NAN]), kept(1.0));
    assert_eq!(
        choose_tau(1.0, &[0.5, 0.25, f64::NAN, 0.25]),
        picked(1, 0.25)
    );
    assert_eq!(choose_tau(f64::NAN, &[f64::NAN, 2.0, 3.0]), picked(1, 2.0));
    assert_eq!(
        choose_tau(f64::INFINITY, &[f64::INFINITY, 2.0]),
        picked(1, 2.0)
    );
    assert!(choose_tau(f64::NAN, &[f64::NAN]).loss.is_nan());
}

#[test]
fn errors_of_dormand_prince_follow_the_tolerance() {
    // The circle, once around; (cos, -sin).
    let circle = |_: f64, y: &[f64], slope: &mut [f64]| {
        (slope[0], slope[1]) = (y[1], -y[0]);
        Ok(())
    };
    let tau = 2.0 * std::f64::consts::PI;
    let mut scratch = [f64::NAN; dormand_prince_scratch_len(2)];
    let mut before = (f64::INFINITY, 0);
    for relative in [1e-3, 1e-6, 1e-9, 1e-12] {
        let tolerance = Tolerance {
            relative,
            absolute: relative,
            ..Tolerance::default()
        };
        let mut y = [1.0, 0.0];
        let steps = dormand_prince(
            &tolerance,
            circle,
            &[1.0, tau],
            &mut y,
            |_, _| Ok(()),
            &mut scratch,
        )
        .unwrap();
        let error = (y[0] - 1.0).abs().max(y[1].abs());
        assert!(
            error < 10.0 * relative && error < 0.05 * before.0,
            "{relative} {error}"
        );
        assert!(steps.evaluations > before.1);
        assert_eq!(steps.evaluations, 2 + 6 * (steps.accepted + steps.rejected));
        before = (error, steps.evaluations);
    }
    // A field of time alone is a quadrature.
    let power = |t: f64, _: &[f64], slope: &mut [f64]| {
        slope[0] = 5.0 * t.powi(4);
        Ok(())
    };
    let mut y = [0.0];
    dormand_prince(
        &Tolerance::default(),
        power,
        &[2.0],
        &mut y,
        |_, _| Ok(()),
        &mut scratch,
    )
    .unwrap();
    assert!((y[0] - 32.0).abs() < 1e-13, "{y:?}");
}

#[test]
fn fields_that_cannot_be_followed_are_errors() {
    let mut scratch = [0.0; dormand_prince_scratch_len(1)];
    let mut call = |field: fn(f64) -> f64, start: f64, tolerance: Tolerance| {
        let field = |_: f64, y: &[f64], slope: &mut [f64]| {
            slope[0] = field(y[0]);
            Ok(())
        };
        let mut y = [start];
        dormand_prince(
            &tolerance,
            field,
            &[10.0],
            &mut y,
            |_, _| Ok(()),
            &mut scratch,
        )
        .unwrap_err()
    };
    let usual = Tolerance::default();
    assert!(matches!(
        call(|_| f64::NAN, 0.0, usual),
        Error::NonFinite { name: "slope", .. }
    ));
    // 1 / (1 - t) has no value at 1.
    assert!(matches!(
        call(|y| y * y, 1.0, usual),
        Error::NoConvergence { .. }
    ));
    // A wall of NaN.
    assert!(matches!(
        call(|y| if y < 1.0 { 1.0 } else { f64::NAN }, 0.0, usual),
        Error::NoConvergence { .. }
    ));
    let few = Tolerance {
        max_evaluations: 20,
        ..usual
    };
    assert!(matches!(
        call(|y| -1e6 * y, 1.0, few),
        Error::NoConvergence { iterations: 20, .. }
    ));
    for (tolerance, expected) in [
        (
            Tolerance {
                relative: -1.0,
                ..usual
            },
            "relative",
        ),
        (
            Tolerance {
                relative: f64::NAN,
                ..usual
            },
            "relative",
        ),
        (
            Tolerance {
                absolute: 0.0,
                ..usual
            },
            "absolute",
        ),
        (
            Tolerance {
                absolute: f64::INFINITY,
                ..usual
            },
            "absolute",
        ),
    ] {
        assert_eq!(name(call(|y| y, 1.0, tolerance)), expected);
    }
}
