//! No step, message, product or gradient allocates: this binary's allocator counts.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use thalweg::Arithmetic;
use thalweg::aggregate::{Mean, Median};
use thalweg::bilevel::hyper_representation::network::{Problem as Network, Task};
use thalweg::bilevel::{self, Problem, Variables, descent, es_jacobian, ridge};
use thalweg::compress::{
    Buffers, Compressor, Dithering, Identity, Key, Natural, NaturalDithering, Norm, PermK, RandK,
    RandSeqK, Sign, TopK, Weight,
};
use thalweg::dynamics::{invariant_measure, label_noise, limit_flow};
use thalweg::federated::machine::{self, Client, Server};
use thalweg::federated::{Protocol, ProtocolError, Run, decode, ef21, fed_avg, marina};
use thalweg::kernel::{evolution, tangent};
use thalweg::matrix::{MatrixMut, MatrixRef, Product, gemm};
use thalweg::mixture::component_selection::{self, Current, Proposal};
use thalweg::mixture::em;
use thalweg::mixture::gaussian::{Covariance, Mixture, params_len};
use thalweg::model::{Batch, Labels, Loss, Objective, Outputs, mlp};
use thalweg::optim::{Elementwise, Layer, Optimiser, State, bf16, registry};
use thalweg::particle::{
    Evaluated, Particles, energy_distance, hmc, ksd, langevin, matrix_svgd, mmd, momentum, sghmc,
    sgnht, stein, svgd,
};
use thalweg::random::{NoiseStream, Purpose, stream};
use thalweg::snapshot::Snapshot;
use thalweg::solve;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

const D: usize = 1003;

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn neither_label_noise_nor_its_limit_allocates() {
    const N: usize = 3;
    const P: usize = 2 * N;
    let z: [f64; N * N] = std::array::from_fn(|i| (i * i % 5) as f64 - 1.5);
    let problem =
        label_noise::Sparse::new(MatrixRef::new(&z, N, N).unwrap(), &[1.0, 0.5, -1.0]).unwrap();
    let mut rng = thalweg::random::stream(1, 0, 0, thalweg::random::Purpose::NOISE);
    let mut state = label_noise::State::uniform([0.0; P], 1.0);
    let mut scratch = [0.0; limit_flow::exact_scratch_len(N, N)];
    let mut memory = [0.0; limit_flow::step_scratch_len(P)];
    let count = allocations(|| {
        let config = label_noise::Config::new(1e-3);
        label_noise::run(&config, &problem, &mut state, 100, &mut rng).unwrap();
        let buffer = [0.0; limit_flow::exact_len(N, N)];
        let mut limit = limit_flow::Exact::new(&problem, &[1.0; P], buffer, &mut scratch).unwrap();
        let config = limit_flow::Config::default();
        limit.advance(&config, &problem, 0.1, &mut scratch).unwrap();
        let mut x = [0.0; P];
        x.copy_from_slice(limit.params());
        let noise = limit_flow::Noise::Isotropic(1.0);
        limit_flow::step(&mut problem.clone(), &mut x, noise, 1e-3, &[], &mut memory).unwrap();
    });
    assert_eq!(count, 0);
}

#[test]
fn no_diagnostic_allocates() {
    let (x, g) = ([0.25_f32; D], [0.5_f32; D]);
    let mut monitor = invariant_measure::Monitor::new(32).unwrap();
    let mut noise = invariant_measure::Noise::<[f64; D]>::new();
    let mut histogram = invariant_measure::Histogram::new(0.0, 1.0).unwrap();
    let mut scratch = [0.0; solve::lanczos_scratch_len(D, 3)];
    let (mut bytes, mut sums, mut values) = ([0; 9000], [0.0; 3], [0.0; 2]);
    let slope = |x: &[f32], g: &mut [f32]| {
        g.copy_from_slice(x);
        Ok(())
    };
    let count = allocations(|| {
        for _ in 0..64 {
            monitor.observe(0.1, 1.0, &x, &g).unwrap();
            noise.push(&g).unwrap();
            histogram.push(0.5);
        }
        for observable in invariant_measure::Observable::ALL {
            monitor.report(observable).unwrap();
        }
        invariant_measure::project_into(&x, 1, &mut sums);
        invariant_measure::movement(&x, &g).unwrap();
        noise.estimate().unwrap();
        solve::power_iteration(&x, slope, 1, &mut scratch).unwrap();
        solve::lanczos(
            &x,
            slope,
            1,
            3,
            solve::Ends {
                largest: &mut values,
                smallest: &mut [],
            },
            &mut scratch,
        )
        .unwrap();
        let len = monitor.save(&mut bytes).unwrap();
        monitor.restore(&bytes[..len]).unwrap();
    });
    assert_eq!(count, 0);
}

struct Steps;

impl registry::Visitor for Steps {
    fn visit<C: Elementwise>(&mut self, name: &'static str, config: C) {
        let (mut x, g, mut memory, mut bytes) = ([1.0_f32; D], [0.5; D], [0.0; 3 * D], [0; 16 * D]);
        let mut narrow = [0; 3 * D];
        let mut lanes = NoiseStream::new(&mut stream(1, 0, 0, Purpose::NOISE));
        let len = config.memory_len(D);
        let count = allocations(|| {
            let mut state = State::new(&mut memory[..len]);
            config.step(&mut state, &mut x, &g).unwrap();
            let len = state.save(&mut bytes).unwrap();
            state.restore(&bytes[..len]).unwrap();
            let mut state = State::new(&mut narrow[..config.memory_len(D)]);
            let rounded = bf16::step(&config, &mut state, &mut x, &g, &mut lanes);
            assert!(rounded.is_ok() || name == "amsgrad");
        });
        assert_eq!((count, x != [1.0; D]), (0, true), "{name}");
    }

    fn visit_layered<C: Optimiser>(&mut self, name: &'static str, layers: &[Layer], config: C) {
        const N: usize = registry::PARAMS;
        let (mut x, g) = (
            std::array::from_fn::<f32, N, _>(|i| (i % 5) as f32),
            [0.5; N],
        );
        let mut state = State::new(vec![0.0; config.layers_memory_len(layers)])
            .with_workspace(vec![0.0; config.workspace_len(layers)]);
        let mut bytes = vec![0; state.snapshot_len()];
        let before = x;
        let count = allocations(|| {
            config.step_layers(layers, &mut state, &mut x, &g).unwrap();
            state.save(&mut bytes).unwrap();
            state.restore(&bytes).unwrap();
        });
        assert_eq!((count, x != before), (0, true), "{name}");
        let mut state = State::new(vec![0; config.layers_memory_len(layers)])
            .with_workspace(vec![0.0; bf16::workspace_len(&config, layers)]);
        let mut lanes = NoiseStream::new(&mut stream(1, 0, 0, Purpose::NOISE));
        let count = allocations(|| {
            bf16::step_layers(&config, layers, &mut state, &mut x, &g, &mut lanes).unwrap();
        });
        assert_eq!((count, state.steps()), (0, 1), "{name}");
    }
}

#[test]
fn no_optimiser_allocates() {
    registry::visit(&mut Steps);
}

#[test]
fn no_compressor_allocates() {
    fn send(compressor: &impl Compressor<f32>) {
        let (x, mut out) = ([0.5_f32; D], [0.0; D]);
        let (mut values, mut indices, mut levels) = ([0.0; D], [0; D], [0; D]);
        let count = allocations(|| {
            let buffers = Buffers {
                values: &mut values,
                indices: &mut indices,
                levels: &mut levels,
            };
            let message = compressor.compress(Key::default(), &x, buffers).unwrap();
            compressor
                .accumulate(Key::default(), &message, Weight::Mean(2), &mut out)
                .unwrap();
        });
        assert_eq!(count, 0);
    }
    send(&Identity);
    send(&RandK::new(50));
    send(&RandSeqK::new(50));
    send(&PermK::new(7));
    send(&TopK { k: 50 });
    send(&Natural);
    send(&Sign);
    send(&Dithering::qsgd(7));
    let norm = Norm::Two;
    send(&NaturalDithering { levels: 7, norm });
}

#[test]
fn neither_a_product_nor_a_gradient_allocates() {
    let (a, b, mut c) = ([0.5_f32; 2500], [2.0_f32; 2500], [0.0_f32; 2500]);
    let mut scratch = [0.0_f32; 32_768];
    let model = mlp::Model::new(&[50, 16, 10]);
    let (mut params, mut grad) = ([0.1; 50 * 16 + 16 + 160 + 10], [0.0; 986]);
    let count = allocations(|| {
        for arithmetic in [Arithmetic::Portable, Arithmetic::Fast] {
            let (a, b) = (
                MatrixRef::new(&a, 50, 50).unwrap(),
                MatrixRef::new(&b, 50, 50).unwrap(),
            );
            let c = MatrixMut::new(&mut c, 50, 50).unwrap();
            gemm(Product::plain(arithmetic), a, b.t(), c, &mut scratch).unwrap();
        }
        let batch = Batch::classes(&a, 50, &[3; 50]).unwrap();
        model
            .value_and_gradient_into(&params, &batch, &mut grad, &mut scratch)
            .unwrap();
        thalweg::vector::axpy(-0.1, &grad, &mut params).unwrap();
    });
    assert_eq!(count, 0);
}

const RUN: Run = Run {
    seed: 7,
    clients: 1,
};

/// Four rounds of one client, whose result is `local`.
fn rounds(protocol: &dyn Protocol<f32>, local: f32) -> Result<(), ProtocolError> {
    let mut memory = [0.0; 3 * D];
    let memory = &mut memory[..protocol.server_len(D)];
    let mut server = Server::new(protocol, &[1.0; D], memory)?;
    let mut memory = [0.0; 2 * D];
    let memory = &mut memory[..protocol.client_len(D)];
    let mut client = Client::new(protocol, 0, memory)?;
    let (mut frame, mut values, mut indices) = ([0; 8 * D], [0.0; D], [0; D]);
    for _ in 0..4 {
        let len = machine::broadcast(protocol, &mut server, &mut frame)?;
        machine::receive(protocol, &mut client, &decode::<f32>(&frame[..len], D)?)?;
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        let len = machine::reply(protocol, &mut client, &mut [local; D], buffers, &mut frame)?;
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        let reply = decode::<f32>(&frame[..len], D)?;
        machine::accept(protocol, &mut server, 10, &reply, buffers)?;
        machine::finish(protocol, &mut server)?;
    }
    Ok(())
}

#[test]
fn no_round_of_a_protocol_allocates() {
    let (step_size, server_learning_rate) = (0.1, 1.0);
    let marina = marina::Config {
        run: RUN,
        step_size,
        probability: 0.2,
        compressor: RandK::new(50),
    };
    let ef21 = ef21::Config {
        run: RUN,
        step_size,
        restart: 0.0,
        compressor: TopK { k: 50 },
    };
    let average = fed_avg::Config {
        run: RUN,
        server_learning_rate,
        compressor: Natural,
        aggregator: Mean,
    };
    let median = fed_avg::Config {
        run: RUN,
        server_learning_rate,
        compressor: Natural,
        aggregator: Median,
    };
    for protocol in [&marina as &dyn Protocol<f32>, &ef21, &average, &median] {
        let count = allocations(|| rounds(protocol, 0.25).unwrap());
        assert_eq!(count, 0);
    }
}

#[test]
fn no_hypergradient_allocates() {
    let (x, y) = ([0.5_f32; 30], [1.0_f32; 6]);
    let data = ridge::Data::new(MatrixRef::new(&x, 6, 5).unwrap(), &y).unwrap();
    let problem = ridge::Problem::new(data, data).unwrap();
    let inner = descent::Config {
        steps: 4,
        method: descent::Method::gd(0.1),
    };
    let config = es_jacobian::Config {
        directions: 3,
        ..es_jacobian::Config::new(inner)
    };
    let mut state = es_jacobian::State::<[f32; 5]>::new();
    let (mut h, mut w, mut scratch) = ([0.0; 5], [0.0; 5], [0.0; 64]);
    let round = bilevel::Round { seed: 1, number: 0 };
    let implicit = bilevel::aid::Config {
        inner,
        products: 3,
        solver: bilevel::aid::Solver::ConjugateGradients,
    };
    let series = bilevel::stoc_bio::Config {
        inner,
        products: 3,
        eta: 0.1,
    };
    let rows = Batch::classes(&x, 5, &[0, 1, 1, 0, 1, 0]).unwrap();
    let network = mlp::Model::new(&[5, 3, 2]);
    let cleaning = bilevel::hyper_cleaning::Problem::new(network, rows, rows).unwrap();
    let tasks = [Task {
        support: rows,
        query: rows,
    }; 2];
    let problems: [&dyn Problem<f32>; 3] = [
        &cleaning,
        &Network::new(network, &tasks, None).unwrap(),
        &Network::new(network, &tasks, Some(2)).unwrap(),
    ];
    let mut memory = [0.0; 4000];
    let (z, mut memory64) = ([1.0, 2.0], [0.0; 10]);
    let count = allocations(|| {
        for problem in problems {
            let x = [0.1; 18];
            let (x, _) = x.split_at(problem.outer_dim());
            let (mut start, mut h) = ([0.0; 26], [0.0; 18]);
            let mut state = es_jacobian::State::from_storage(&mut start[..problem.inner_dim()]);
            let h = &mut h[..x.len()];
            es_jacobian::step(&config, &mut state, problem, x, h, &mut memory).unwrap();
        }
        let x = [0.0; 5];
        es_jacobian::step(&config, &mut state, &problem, &x, &mut h, &mut scratch).unwrap();
        bilevel::aid::hypergradient(
            &implicit,
            round,
            &problem,
            Variables { x: &x, y: &mut w },
            &mut h,
            &mut scratch,
        )
        .unwrap();
        bilevel::itd::hypergradient(
            &inner,
            round,
            &problem,
            Variables { x: &x, y: &mut w },
            &mut h,
            &mut scratch,
        )
        .unwrap();
        bilevel::stoc_bio::hypergradient(
            &series,
            round,
            &problem,
            Variables { x: &x, y: &mut w },
            &mut h,
            &mut scratch,
        )
        .unwrap();
        let (l, mut w, mut h) = ([0.5; 6], [0.1; 26], [0.0; 6]);
        let problem = bilevel::differences::Differences::new(&cleaning);
        bilevel::itd::hypergradient(
            &inner,
            round,
            &problem,
            Variables { x: &l, y: &mut w },
            &mut h,
            &mut memory,
        )
        .unwrap();
        let view = MatrixRef::new(&z, 2, 1).unwrap();
        label_noise::Sparse::interpolating(view, &z, &mut memory64).unwrap();
    });
    assert_eq!(count, 0);
}

#[test]
fn neither_a_step_of_particles_nor_a_discrepancy_allocates() {
    const N: usize = 40;
    const D: usize = 3;
    let mut x: [f64; N * D] = std::array::from_fn(|i| (i * 37 % 101) as f64 / 25.0 - 2.0);
    let (ones, zeros, sample) = ([1.0; N * D], [0.0; N * D], x);
    let mut stream = thalweg::random::stream(1, 0, 0, thalweg::random::Purpose::NOISE);
    let mut lanes = thalweg::random::NoiseStream::new(&mut stream);
    let mut scratch = [0.0; 8000];
    let descent = svgd::Config::new(0.01);
    let inertial = stein::sghmc::Config::new(0.01);
    let noisy = sghmc::Config {
        step_size: 0.01,
        friction: 1.0,
    };
    let leaps = hmc::Config {
        step_size: 0.01,
        leapfrog_steps: 2,
    };
    let mut plain = svgd::State::<[f64; 0]>::new();
    let mut state = momentum::State::<[f64; N * D]>::new();
    let mut thermostats = momentum::Thermostats::from_storage([0.0; N * D], [1.0; N]);
    let count = allocations(|| {
        let (x, scratch, g) = (&mut x, &mut scratch[..], &mut sample.map(|x| -x));
        svgd::step(&descent, &mut plain, Particles::new(D, x), g, scratch).unwrap();
        let factor = MatrixRef::new(&[1.0, 0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0, 2.0], D, D).unwrap();
        matrix_svgd::step(&descent, &mut plain, factor, x, g, scratch).unwrap();
        stein::riemannian::step(
            &descent,
            &mut plain,
            Particles::new(D, x),
            &Evaluated {
                scores: g,
                metric: &ones,
                divergence: &zeros,
            },
            scratch,
        )
        .unwrap();
        stein::sghmc::step(&inertial, &mut state, Particles::new(D, x), g, scratch).unwrap();
        let score = |x: &[f64], out: &mut [f64]| {
            out.copy_from_slice(x);
            thalweg::vector::scale(-1.0, out);
            Ok(())
        };
        stein::sghmc::step_strang(
            &inertial,
            &mut state,
            Particles::new(D, x),
            g,
            score,
            scratch,
        )
        .unwrap();
        stein::sgrhmc::step(
            &inertial,
            &mut state,
            Particles::new(D, x),
            &Evaluated {
                scores: g,
                metric: &ones,
                divergence: &zeros,
            },
            scratch,
        )
        .unwrap();
        stein::sgnht::step(
            &inertial,
            &mut thermostats,
            Particles::new(D, x),
            g,
            scratch,
        )
        .unwrap();
        langevin::step(0.01, Particles::new(D, x), g, &mut lanes, scratch).unwrap();
        sghmc::step(
            &noisy,
            &mut state,
            Particles::new(D, x),
            g,
            &mut lanes,
            scratch,
        )
        .unwrap();
        sgnht::step(
            &noisy,
            &mut thermostats,
            Particles::new(D, x),
            g,
            &mut lanes,
            scratch,
        )
        .unwrap();
        let density = |x: &[f64], out: &mut [f64]| {
            for (out, x) in out.iter_mut().zip(x) {
                *out = -x;
            }
            -0.5 * thalweg::vector::norm2_squared(x)
        };
        hmc::step(&leaps, Particles::new(D, x), &mut stream, density, scratch).unwrap();
        ksd::squared(&ksd::Config::IMQ, D, x, g).unwrap();
        let reference = mmd::Reference::new(D, &sample, 2.0).unwrap();
        reference.squared(x).unwrap();
        let reference = energy_distance::Reference::new(D, &sample).unwrap();
        reference.distance(x).unwrap();
    });
    assert_eq!(count, 0);
}

#[test]
fn no_step_of_a_mixture_allocates() {
    const N: usize = 12;
    const K: usize = 3;
    const FULL: Covariance = Covariance::Full;
    let x: [f64; 2 * N] = std::array::from_fn(|i| (i * 37 % 101) as f64 / 25.0 - 2.0);
    let mut scratch = [0.0; em::scratch_len(FULL, N, K, 2)];
    let (mut words, mut bytes) = ([0; 64], [0; 1000]);
    let mut rng = thalweg::random::stream(1, 0, 0, thalweg::random::Purpose::DATA);
    let count = allocations(|| {
        let rows = MatrixRef::new(&x, N, 2).unwrap();
        let mut mixture = Mixture::new(FULL, K, 2, [0.0; params_len(FULL, K, 2)]).unwrap();
        let sigma = [1.0, 0.0, 0.0, 1.0];
        mixture
            .set_component(1, &[1.0, 0.5], &sigma, &mut scratch)
            .unwrap();
        em::step(&em::Config::default(), &mut mixture, rows, &mut scratch).unwrap();
        let buffers = component_selection::Buffers {
            labels: [0; N],
            statistics: [0.0; component_selection::statistics_len(FULL, K, 2)],
            cache: [0.0; N],
            table: [0.0; N * K],
        };
        let of = mixture.view();
        let mut state =
            component_selection::State::new(&of, rows, 7, buffers, &mut scratch).unwrap();
        for (proposal, current) in [
            (Proposal::Uniform, Current::Cached),
            (
                Proposal::Table {
                    rate: 0.01,
                    floor: 0.1,
                },
                Current::Fresh,
            ),
            (Proposal::Posterior, Current::Fresh),
            (Proposal::All, Current::Fresh),
        ] {
            let config = component_selection::Config {
                batch_size: 8,
                proposal,
                current,
                ..component_selection::Config::new(7)
            };
            let (words, scratch) = (&mut words, &mut scratch);
            component_selection::step(&config, &mut mixture, &mut state, rows, words, scratch)
                .unwrap();
        }
        let view = mixture.view();
        view.mean_log_likelihood(rows, &mut [0.0; K]).unwrap();
        view.sample_into(&mut rng, &mut [0.0; 2], &mut scratch)
            .unwrap();
        let len = state.save(&mut bytes).unwrap();
        state.restore(&bytes[..len]).unwrap();
    });
    assert_eq!(count, 0);
}

#[test]
fn neither_a_tangent_kernel_nor_its_flow_allocates() {
    const N: usize = 7;
    const SIZES: [usize; 4] = [3, 5, 4, 2];
    const MODEL: mlp::Model<'static, f32> = mlp::Model::new(&SIZES);
    let (x, mut params) = ([0.25; 3 * N], [0.5; MODEL.dim()]);
    let (mut h, mut k) = ([0.0; N * N], [0.0; 4 * N * N]);
    let mut jacobian = [0.0; 2 * N * MODEL.dim()];
    let mut scratch = [0.0; 4 * tangent::full_kernel_scratch_len(&MODEL, N)];
    let mut memory = [0.0; evolution::spectrum_len(N)];
    let mut wide = [0.0; evolution::spectrum_scratch_len(N, 2)];
    let (mut f, mut s, mut pull) = ([0.0; 2 * N], [0.0; 2 * N], [0.0; MODEL.dim()]);
    let count = allocations(|| {
        let batch = Batch::new(&x, 3, Labels::None).unwrap();
        Outputs::outputs_into(&MODEL, &params, &batch, &mut f, &mut scratch).unwrap();
        Outputs::jacobian_into(&MODEL, &params, &batch, &mut jacobian, &mut scratch).unwrap();
        let view = MatrixMut::new(&mut h, N, N).unwrap();
        tangent::kernel_into(&MODEL, &params, &batch, view, &mut scratch).unwrap();
        let view = MatrixMut::new(&mut k, 2 * N, 2 * N).unwrap();
        tangent::full_kernel_into(&MODEL, &params, &batch, view, &mut scratch).unwrap();
        let view = MatrixMut::new(&mut k[..N * N], N, N).unwrap();
        let how = Arithmetic::Portable;
        tangent::add_jacobian_kernel(how, 2, &jacobian, view, &mut scratch).unwrap();
        let start = f;
        let round = evolution::Round {
            loss: Loss::Squared,
            kernel: MatrixRef::new(&h, N, N).unwrap(),
            labels: Labels::Classes(&[0, 1, 0, 1, 0, 1, 0]),
            outputs: &start,
        };
        let config = evolution::Config::default();
        let keep = |moment: evolution::Moment<'_, f32>| {
            s.copy_from_slice(moment.integral);
            Ok(())
        };
        evolution::follow(&config, &round, &[0.5, 2.0], keep, &mut scratch).unwrap();
        let spectrum = evolution::Spectrum::new(round.kernel, &mut memory, &mut wide).unwrap();
        spectrum.at(&round, 1.0, &mut f, &mut s, &mut wide).unwrap();
        tangent::add_transposed_product(&jacobian, &s, &mut pull).unwrap();
        let scale = evolution::Scale {
            loss: Loss::Squared,
            rows: N,
            outputs: 2,
        };
        let before = params;
        evolution::weights_into(scale, &before, &pull, &mut params).unwrap();
    });
    assert_eq!(count, 0);
}
