//! Gradient of a network on a mini-batch: time per sample, compared with the plain loops it replaces.
//!
//! `unpacked` is the portable gradient on the least scratch: what a small memory pays.

#![allow(
    clippy::expect_used,
    reason = "shapes are literals; a bench that cannot start should stop"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thalweg::model::{Batch, Init, Objective, mlp::Model};
use thalweg::random::{Purpose, stream};
use thalweg::{Arithmetic, random};

/// One hidden layer, ReLU, cross-entropy: row by row, as one writes it the first time.
fn plain_gradient(
    [d, h, c]: [usize; 3],
    params: &[f32],
    x: &[f32],
    y: &[u32],
    grad: &mut [f32],
) -> f32 {
    let (w1, rest) = params.split_at(h * d);
    let (b1, rest) = rest.split_at(h);
    let (w2, b2) = rest.split_at(c * h);
    grad.fill(0.0);
    let (g1, rest) = grad.split_at_mut(h * d);
    let (gb1, rest) = rest.split_at_mut(h);
    let (g2, gb2) = rest.split_at_mut(c * h);
    let (mut a, mut da, mut z) = (vec![0.0; h], vec![0.0; h], vec![0.0; c]);
    let mut loss = 0.0;
    for (x, &y) in x.chunks_exact(d).zip(y) {
        for ((a, w), b) in a.iter_mut().zip(w1.chunks_exact(d)).zip(b1) {
            *a = (w.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + b).max(0.0);
        }
        for ((z, w), b) in z.iter_mut().zip(w2.chunks_exact(h)).zip(b2) {
            *z = w.iter().zip(&a).map(|(w, a)| w * a).sum::<f32>() + b;
        }
        let most = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let own = z[y as usize] - most;
        z.iter_mut().for_each(|z| *z = (*z - most).exp());
        let sum: f32 = z.iter().sum();
        loss += sum.ln() - own;
        da.fill(0.0);
        for (k, z) in z.iter().enumerate() {
            let hit = if k == y as usize { 1.0 } else { 0.0 };
            let slope = z / sum - hit;
            gb2[k] += slope;
            let (g, w) = (&mut g2[k * h..][..h], &w2[k * h..][..h]);
            for j in 0..h {
                g[j] += slope * a[j];
                da[j] += slope * w[j];
            }
        }
        for j in 0..h {
            if a[j] > 0.0 {
                gb1[j] += da[j];
                for (g, x) in g1[j * d..][..d].iter_mut().zip(x) {
                    *g += da[j] * x;
                }
            }
        }
    }
    let scale = 1.0 / y.len() as f32;
    grad.iter_mut().for_each(|g| *g *= scale);
    loss * scale
}

fn gradients(c: &mut Criterion) {
    for (sizes, rows) in [([64, 32, 10], 32), ([784, 100, 10], 64)] {
        let mut rng = stream(1, 0, 0, Purpose::DATA);
        let x: Vec<f32> = (0..rows * sizes[0])
            .map(|_| random::normal(&mut rng))
            .collect();
        let y: Vec<u32> = (0..rows as u32).map(|i| i % 10).collect();
        let portable = Model::<f32>::new(&sizes);
        let fast = Model {
            arithmetic: Arithmetic::Fast,
            ..portable
        };
        let mut params = vec![0.0; portable.dim()];
        let mut grad = params.clone();
        portable
            .init_into(Init::KaimingNormal, &mut rng, &mut params)
            .expect("lengths agree");
        let batch = Batch::classes(&x, sizes[0], &y).expect("lengths agree");

        let mut group = c.benchmark_group("mlp_gradient");
        group.throughput(Throughput::Elements(rows as u64));
        for (name, model, scratch) in [
            ("portable", portable, portable.scratch_len(rows)),
            ("unpacked", portable, portable.least_scratch_len(rows)),
            ("fast", fast, fast.scratch_len(rows)),
        ] {
            let mut scratch = vec![0.0; scratch];
            group.bench_function(BenchmarkId::new(name, sizes[0]), |b| {
                b.iter(|| {
                    model.value_and_gradient_into(
                        black_box(&params),
                        &batch,
                        &mut grad,
                        &mut scratch,
                    )
                });
            });
        }
        group.bench_function(BenchmarkId::new("plain", sizes[0]), |b| {
            b.iter(|| plain_gradient(sizes, black_box(&params), &x, &y, &mut grad));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = gradients
}
criterion_main!(benches);
