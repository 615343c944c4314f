//! Kernels of wide networks, and the probability of signs.
//!
//! The kernel of `n` rows is compared with the plain loop: dot products of normalised rows, then `acos` and a root of the standard library at each
//! layer. The product alone (`syrk`) is what a kernel of any sort pays. The tangent kernel of a finite network is compared with the plain loops of the same
//! formula, and with its own Jacobian, which grows with the number of parameters. Draws of the sequential estimator are compared with those of half-normal
//! magnitudes, whose weights are worth far fewer draws.

use std::hint::black_box;

use thalweg::Arithmetic;
use thalweg::kernel::arc_cosine::{self, nngp_into, tangent_into};
use thalweg::kernel::covariance::Covariance;
use thalweg::kernel::orthant::{self, Orthant, half_normal, sequential};
use thalweg::kernel::tangent::{
    add_jacobian_kernel, full_kernel_into, full_kernel_scratch_len, jacobian_kernel_scratch_len,
    kernel_into,
};
use thalweg::matrix::{MatrixMut, MatrixRef, Product, Upper, syrk};
use thalweg::model::{Batch, Labels, Outputs, mlp};
use thalweg::random::{self, Purpose};
use thalweg_benches::race::{Contender, race};

struct Shared {
    depth: usize,
    d: usize,
    x: Vec<f32>,
    units: Vec<f32>,
    out: Vec<f32>,
    ntk: Vec<f32>,
    scratch: Vec<f32>,
}

impl Shared {
    fn new(n: usize, d: usize, depth: usize) -> Self {
        let mut stream = random::stream(7, 0, 0, Purpose::DATA);
        Self {
            depth,
            d,
            x: (0..n * d).map(|_| random::normal(&mut stream)).collect(),
            units: vec![0.0; n * d],
            out: vec![0.0; n * n],
            ntk: vec![0.0; n * n],
            scratch: vec![0.0; arc_cosine::scratch_len(n, 0, d)],
        }
    }

    fn n(&self) -> usize {
        self.x.len() / self.d
    }

    /// The lower triangle as anyone would write it.
    fn plain(&mut self) {
        let (n, d) = (self.n(), self.d);
        let rows = black_box(&self.x).chunks_exact(d);
        for (to, row) in self.units.chunks_exact_mut(d).zip(rows) {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            for (to, x) in to.iter_mut().zip(row) {
                *to = x / norm;
            }
        }
        let units = || self.units.chunks_exact(d);
        for ((i, out), u) in self.out.chunks_exact_mut(n).enumerate().zip(units()) {
            for (out, v) in out.iter_mut().zip(units()).take(i + 1) {
                let product: f32 = u.iter().zip(v).map(|(a, b)| a * b).sum();
                let mut c = product.clamp(-1.0, 1.0);
                for _ in 1..self.depth {
                    let angle = std::f32::consts::PI - c.acos();
                    c = ((1.0 - c * c).sqrt() + c * angle) * std::f32::consts::FRAC_1_PI;
                }
                *out = c;
            }
        }
    }

    fn product(&mut self, arithmetic: Arithmetic) {
        let (n, d) = (self.n(), self.d);
        let done = MatrixRef::new(black_box(&self.x), n, d).and_then(|x| {
            let out = MatrixMut::new(&mut self.out, n, n)?;
            let product = Product::plain(arithmetic);
            syrk(product, x, Upper::Leave, out, &mut self.scratch)
        });
        debug_assert!(done.is_ok());
    }

    fn nngp(&mut self, arithmetic: Arithmetic) {
        let (n, d) = (self.n(), self.d);
        let config = arc_cosine::Config {
            arithmetic,
            ..arc_cosine::Config::new(self.depth)
        };
        let done = MatrixRef::new(black_box(&self.x), n, d).and_then(|x| {
            let out = MatrixMut::new(&mut self.out, n, n)?;
            nngp_into(&config, x, out, &mut self.scratch)
        });
        debug_assert!(done.is_ok());
    }

    fn tangent(&mut self) {
        let (n, d) = (self.n(), self.d);
        let config = arc_cosine::Config {
            arithmetic: Arithmetic::Fast,
            ..arc_cosine::Config::new(self.depth)
        };
        let done = MatrixRef::new(black_box(&self.x), n, d).and_then(|x| {
            let out = MatrixMut::new(&mut self.out, n, n)?;
            let ntk = MatrixMut::new(&mut self.ntk, n, n)?;
            tangent_into(&config, x, out, ntk, &mut self.scratch)
        });
        debug_assert!(done.is_ok());
    }
}

/// The tangent kernel of a network 784-100-10.
struct Network {
    n: usize,
    x: Vec<f32>,
    params: Vec<f32>,
    hidden: Vec<f32>,
    out: Vec<f32>,
    scratch: Vec<f32>,
}

const SIZES: [usize; 3] = [784, 100, 10];

const fn network(arithmetic: Arithmetic) -> mlp::Model<'static, f32> {
    mlp::Model {
        arithmetic,
        ..mlp::Model::new(&SIZES)
    }
}

impl Network {
    fn new(n: usize) -> Self {
        let model = network(Arithmetic::Portable);
        let mut stream = random::stream(7, 0, 0, Purpose::DATA);
        let mut normals = |n: usize| (0..n).map(|_| random::normal(&mut stream)).collect();
        Self {
            n,
            x: normals(n * 784),
            params: normals(model.dim()),
            hidden: vec![0.0; n * 100],
            out: vec![0.0; n * n * 100],
            scratch: vec![0.0; full_kernel_scratch_len(&model, n)],
        }
    }

    /// `(A A^T + 1) + (X X^T + 1) * (M diag(s) M^T)`, the lower triangle as anyone would write it.
    fn plain(&mut self) {
        let n = self.n;
        let (w1, rest) = black_box(&self.params).split_at(78_400);
        let (b1, w2) = rest.split_at(100);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let rows = self.x.chunks_exact(784);
        for (x, z) in rows.clone().zip(self.hidden.chunks_exact_mut(100)) {
            for ((z, w), b) in z.iter_mut().zip(w1.chunks_exact(784)).zip(b1) {
                *z = (dot(x, w) + b).max(0.0);
            }
        }
        let mut s = [0.0_f32; 100];
        for row in w2.chunks_exact(100).take(10) {
            for (s, w) in s.iter_mut().zip(row) {
                *s += w * w / 10.0;
            }
        }
        let hidden = self.hidden.chunks_exact(100);
        let rows = rows.zip(hidden);
        for ((i, out), (x, a)) in self.out.chunks_exact_mut(n).enumerate().zip(rows.clone()) {
            for (out, (y, b)) in out.iter_mut().zip(rows.clone()).take(i + 1) {
                let slopes = a.iter().zip(b).zip(&s);
                let slopes = slopes.map(|((&a, &b), s)| if a > 0.0 && b > 0.0 { *s } else { 0.0 });
                *out = dot(a, b) + 1.0 + (dot(x, y) + 1.0) * slopes.sum::<f32>();
            }
        }
    }

    fn trace(&mut self, arithmetic: Arithmetic) {
        let (n, model) = (self.n, network(arithmetic));
        let done = Batch::new(black_box(&self.x), 784, Labels::None).and_then(|batch| {
            let (out, _) = self.out.split_at_mut(n * n);
            let h = MatrixMut::new(out, n, n)?;
            kernel_into(&model, &self.params, &batch, h, &mut self.scratch)
        });
        debug_assert!(done.is_ok());
    }

    fn full(&mut self, arithmetic: Arithmetic) {
        let (n, model) = (self.n, network(arithmetic));
        let done = Batch::new(black_box(&self.x), 784, Labels::None).and_then(|batch| {
            let k = MatrixMut::new(&mut self.out, 10 * n, 10 * n)?;
            full_kernel_into(&model, &self.params, &batch, k, &mut self.scratch)
        });
        debug_assert!(done.is_ok());
    }
}

/// The kernel from Jacobian rows of `n` samples.
fn by_jacobian(n: usize) {
    let model = network(Arithmetic::Fast);
    let shared = Network::new(n);
    let mut jacobian = vec![0.0; n * 10 * model.dim()];
    let mut h = vec![0.0; n * n];
    let mut work = vec![0.0; model.outputs_scratch_len(n)];
    let mut scratch = vec![0.0; jacobian_kernel_scratch_len(n, n)];
    let mut field: [Contender<'_, Vec<f32>>; 2] = [
        ("Jacobian", &mut |jacobian: &mut Vec<f32>| {
            let batch = Batch::new(&shared.x, 784, Labels::None);
            let done =
                batch.and_then(|b| model.jacobian_into(&shared.params, &b, jacobian, &mut work));
            debug_assert!(done.is_ok());
        }),
        ("its kernel, fast", &mut |jacobian: &mut Vec<f32>| {
            h.fill(0.0);
            let done = MatrixMut::new(&mut h, n, n)
                .and_then(|h| add_jacobian_kernel(Arithmetic::Fast, 10, jacobian, h, &mut scratch));
            debug_assert!(done.is_ok());
        }),
    ];
    let name = format!("784-100-10 by its Jacobian, n = {n}");
    race(&mut jacobian, &mut field).print(&name, 4 * n * 10 * model.dim());
}

/// Draws of one call.
const DRAWS: usize = 256;

fn signs(n: usize) -> Result<(), thalweg::Error> {
    let kernel: Vec<f64> = (0..n * n)
        .map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.5 })
        .collect();
    let mut memory = vec![0.0; n * n];
    let k = Covariance::new(MatrixRef::new(&kernel, n, n)?, &mut memory)?;
    let labels = vec![1.0; n];
    let orthant = Orthant::new(k, &labels)?;
    let config = orthant::Config::new(1, DRAWS);
    let mut scratch = vec![0.0; orthant::scratch_len(n)];
    let mut field: [Contender<'_, Vec<f64>>; 2] = [
        ("half-normal", &mut |s: &mut Vec<f64>| {
            black_box(half_normal(&config, &orthant, |_, _| (), s)).ok();
        }),
        ("sequential", &mut |s: &mut Vec<f64>| {
            black_box(sequential(&config, &orthant, |_, _| (), s)).ok();
        }),
    ];
    race(&mut scratch, &mut field).print(&format!("{DRAWS} draws, n = {n}"), 8 * n * DRAWS);
    Ok(())
}

fn main() {
    println!(
        "Least time of a call, bytes of the result, times as fast as the first: by least times, by the median of rounds"
    );
    for (n, d, depth) in [(200, 64, 3), (1000, 64, 3), (2000, 784, 3), (1000, 64, 7)] {
        let mut shared = Shared::new(n, d, depth);
        let mut field: [Contender<'_, Shared>; 6] = [
            ("plain loop", &mut Shared::plain),
            ("kernel, portable", &mut |s| s.nngp(Arithmetic::Portable)),
            ("kernel, fast", &mut |s| s.nngp(Arithmetic::Fast)),
            ("with tangent, fast", &mut Shared::tangent),
            ("product, portable", &mut |s| {
                s.product(Arithmetic::Portable);
            }),
            ("product, fast", &mut |s| s.product(Arithmetic::Fast)),
        ];
        let name = format!("n = {n}, d = {d}, {depth} layers");
        race(&mut shared, &mut field).print(&name, 4 * n * n);
    }
    for n in [64, 256] {
        let mut field: [Contender<'_, Network>; 5] = [
            ("plain loop", &mut Network::plain),
            ("kernel, portable", &mut |s| s.trace(Arithmetic::Portable)),
            ("kernel, fast", &mut |s| s.trace(Arithmetic::Fast)),
            ("full, portable", &mut |s| s.full(Arithmetic::Portable)),
            ("full, fast", &mut |s| s.full(Arithmetic::Fast)),
        ];
        let name = format!("784-100-10, n = {n}");
        race(&mut Network::new(n), &mut field).print(&name, 4 * n * n);
    }
    by_jacobian(16);
    for n in [10, 100] {
        let done = signs(n);
        debug_assert!(done.is_ok());
    }
}
