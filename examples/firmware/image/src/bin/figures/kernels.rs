//! The kernels: a few of each family, on what [`Room`] lends.

use core::ffi::CStr;
use core::hint::black_box;

use thalweg::aggregate::Mean;
use thalweg::bilevel::{descent, es_jacobian, ridge};
use thalweg::compress::{Buffers, Compressor, Dithering, Key, Natural, PermK, RandK, TopK};
use thalweg::dynamics::invariant_measure::step_stats;
use thalweg::dynamics::label_noise;
use thalweg::federated::machine::{self, Client, Server};
use thalweg::federated::{self, Protocol, Run, ef21, fed_avg, marina};
use thalweg::matrix::{
    MatrixMut, MatrixRef, Product, add_diagonal, cholesky, gemm, gemv, squared_distances_into,
    symmetric_eigen, symmetric_eigen_scratch,
};
use thalweg::mixture::component_selection::{self, statistics_len};
use thalweg::mixture::gaussian::{Covariance, Mixture, params_len};
use thalweg::model::{Batch, Objective, mlp};
use thalweg::optim::{Optimiser, State, adam, lion, sgd};
use thalweg::particle::{Particles, svgd};
use thalweg::random::{self, NoiseStream, Purpose};
use thalweg::simd::{self, Lanes, Map};
use thalweg::snapshot::Snapshot;
use thalweg::wire::{Body, Crc32c, Dtype, Expect, Header, Kind, decode, encode_into};
use thalweg::{Real, vector};

/// Elements of a vector.
pub const N: usize = 256;
/// Coordinates in a sparse message.
const K: usize = 32;

/// What kernels work on.
#[repr(C)]
pub struct Room {
    pub x: [f32; N],
    pub y: [f32; N],
    pub z: [f32; N],
    indices: [u32; K],
    levels: [i32; K],
    bytes: [u8; 4 * N + 64],
    sgd: State<sgd::Config, [f32; N]>,
    adam: State<adam::Config, [f32; 2 * N]>,
    lion: State<lion::Config, [f32; N]>,
    /// Keeps results alive.
    pub result: f32,
    /// Particles and scratch.
    cloud: [f32; 16 * PARTICLES],
}

pub static mut ROOM: Room = Room {
    x: [0.0; N],
    y: [0.0; N],
    z: [0.0; N],
    indices: [0; K],
    levels: [0; K],
    bytes: [0; 4 * N + 64],
    sgd: State::new([0.0; N]),
    adam: State::new([0.0; 2 * N]),
    lion: State::new([0.0; N]),
    result: 0.0,
    cloud: [0.0; 16 * PARTICLES],
};

const KEY: Key = Key {
    seed: 1,
    round: 2,
    client: 3,
};

#[derive(Clone, Copy)]
struct Add;
impl<T: Real> Map<T, 2, 1> for Add {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, y]: [L; 2]) -> [L; 1] {
        [x + y]
    }
}

#[derive(Clone, Copy)]
struct Root;
impl<T: Real> Map<T, 1, 1> for Root {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        [x.sqrt()]
    }
}

#[derive(Clone, Copy)]
struct Exp;
impl<T: Real> Map<T, 1, 1> for Exp {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        [simd::math::exp(x)]
    }
}

/// All of an array, with a length that the compiler does not know.
fn all(x: &[f32; N]) -> &[f32] {
    x.get(..black_box(N)).unwrap_or_default()
}

fn all_mut(x: &mut [f32; N]) -> &mut [f32] {
    x.get_mut(..black_box(N)).unwrap_or_default()
}

/// A generator from the seed, which a call draws as well.
fn lanes() -> NoiseStream {
    NoiseStream::new(&mut random::stream(1, 2, 3, Purpose::NOISE))
}

fn square(x: &[f32]) -> Option<MatrixRef<'_, f32>> {
    MatrixRef::new(x.get(..S * S)?, S, S).ok()
}

/// A network of 8 features, 8 hidden units and 4 classes on 4 rows.
const NETWORK: mlp::Model<'static, f32> = mlp::Model::new(&[8, 8, 4]);
const ROWS: usize = 4;
const D: usize = NETWORK.dim();
const CLASSES: [u32; ROWS] = [0, 1, 2, 3];

/// Particles, of two dimensions: as many as there is memory for.
const PARTICLES: usize = if matches!(env!("BOARD").as_bytes(), b"microbit") {
    8
} else {
    32
};

/// Rows and columns of a square matrix.
const S: usize = 8;

/// Parameters of a federated model, and coordinates of a sparse message.
const F: usize = 64;
const FEW: usize = 8;
const RUN: Run = Run {
    seed: 1,
    clients: 1,
};
const MARINA: marina::Config<f32, RandK> = marina::Config {
    run: RUN,
    step_size: 0.1,
    probability: 1e-6,
    compressor: RandK::new(FEW),
};
const EF21: ef21::Config<f32, TopK> = ef21::Config {
    run: RUN,
    step_size: 0.1,
    restart: 0.0,
    compressor: TopK { k: FEW },
};
const FED_AVG: fed_avg::Config<f32, Natural> = fed_avg::Config {
    run: RUN,
    server_learning_rate: 1.0,
    compressor: Natural,
    aggregator: Mean,
};
/// Two frames of a model, and numbers of both sides.
const ROUND: usize = 2 * (52 + 4 * F) + 4 * 8 * F;

fn sparse<'b>(values: &'b mut [f32], indices: &'b mut [u32]) -> Buffers<'b, f32> {
    Buffers {
        indices,
        ..Buffers::values(values)
    }
}

/// Some rounds of a server and its client, frames included; the client's result is always the same.
fn rounds(room: &mut Room, config: &impl Protocol<f32>, count: usize) -> Option<()> {
    let memory = room.x.get_mut(..config.server_len(F))?;
    let (own, rest) = room.z.split_at_mut_checked(2 * F)?;
    let own = own.get_mut(..config.client_len(F))?;
    let (local, values) = rest.split_at_mut_checked(F)?;
    let (down, up) = room.bytes.split_at_mut_checked(2 * N)?;
    let mut server = Server::new(config, room.y.get(F..2 * F)?, memory).ok()?;
    let mut client = Client::new(config, 0, own).ok()?;
    for _ in 0..count {
        let len = machine::broadcast(config, &mut server, down).ok()?;
        let opening = federated::decode::<f32>(down.get(..len)?, F).ok()?;
        machine::receive(config, &mut client, &opening).ok()?;
        for (local, &y) in local.iter_mut().zip(&room.y) {
            *local = y;
        }
        let buffers = sparse(values, &mut room.indices);
        let len = machine::reply(config, &mut client, local, buffers, up).ok()?;
        let buffers = sparse(values, &mut room.indices);
        let reply = federated::decode::<f32>(up.get(..len)?, F).ok()?;
        machine::accept(config, &mut server, 10, &reply, buffers).ok()?;
        machine::finish(config, &mut server).ok()?;
    }
    Some(())
}

/// Steps with label noise, each on one row.
const LABELS: usize = 16;

/// Inner steps of a hypergradient, along two paths.
const STEPS: usize = 3;
const ES_JACOBIAN: es_jacobian::Config = es_jacobian::Config::new(descent::Config {
    steps: STEPS as u64,
    method: descent::Method::gd(0.01),
});
/// Weights of ridge regression, one for each feature, are the outer variable, so both have length `S`.
const HYPERGRADIENT: usize = es_jacobian::scratch_len(&ES_JACOBIAN, S, S, S);

fn hypergradient(room: &mut Room) -> Option<()> {
    let rows = |x, y| ridge::Data::new(MatrixRef::new(x, S, S).ok()?, y).ok();
    let (x, y) = (
        room.x.split_first_chunk::<{ S * S }>()?,
        room.y.split_first_chunk::<S>()?,
    );
    let train = rows(x.0, y.0)?;
    let validation = rows(x.1.get(..S * S)?, y.1.get(..S)?)?;
    let problem = ridge::Problem::new(train, validation).ok()?;
    let mut state = es_jacobian::State::<[f32; S]>::new();
    let (grad, scratch) = room.z.split_first_chunk_mut::<S>()?;
    let outer = y.1.last_chunk::<S>()?;
    let value = es_jacobian::step(&ES_JACOBIAN, &mut state, &problem, outer, grad, scratch).ok()?;
    room.result = value;
    Some(())
}

/// Components, rows and visits of a mixture in the plane.
const COMPONENTS: usize = 4;
const VISITED: usize = 32;
const VISITS: usize = 8;
const SELECTION: component_selection::Config = component_selection::Config {
    batch_size: 16,
    ..component_selection::Config::new(1)
};
const PROPOSALS: usize = VISITS * SELECTION.batch_size * SELECTION.moves;
const MIXTURE: usize = params_len(Covariance::Full, COMPONENTS, 2);
const STATISTICS: usize = statistics_len(Covariance::Full, COMPONENTS, 2);
const WORDS: usize = SELECTION.words_len(COMPONENTS);
const SCRATCH: usize = component_selection::scratch_len(Covariance::Full, COMPONENTS, 2);

fn selection(room: &mut Room) -> Option<()> {
    let rows = MatrixRef::new(room.x.get(..2 * VISITED)?, VISITED, 2).ok()?;
    let (params, _) = room.z.split_first_chunk_mut::<MIXTURE>()?;
    let mut mixture = Mixture::new(Covariance::Full, COMPONENTS, 2, &mut params[..]).ok()?;
    let (mut words, mut scratch) = ([0; WORDS], [0.0; SCRATCH]);
    let buffers = component_selection::Buffers {
        labels: [0; VISITED],
        statistics: [0.0; STATISTICS],
        cache: [],
        table: [],
    };
    let mut state =
        component_selection::State::new(&mixture.view(), rows, 1, buffers, &mut scratch).ok()?;
    for _ in 0..VISITS {
        component_selection::step(
            &SELECTION,
            &mut mixture,
            &mut state,
            rows,
            &mut words,
            &mut scratch,
        )
        .ok()?;
    }
    Some(())
}

/// Functions, a line of the table each: name, elements, bytes of the arrays that the caller lends, body.
macro_rules! kernels {
    ($($name:ident $elements:expr, $ram:expr, $body:expr;)*) => {
        $(
            #[inline(never)]
            #[unsafe(no_mangle)]
            extern "C" fn $name(room: &mut Room) {
                let body: fn(&mut Room) -> Option<()> = $body;
                if body(room).is_none() {
                    room.result = f32::NAN;
                }
            }
        )*
        /// Name, function, elements, bytes of arrays; the first one does nothing.
        pub const KERNELS: &[(&CStr, extern "C" fn(&mut Room), usize, usize)] = &[
            $((
                // SAFETY: ends with a zero byte, and has no other.
                unsafe { CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()) },
                $name, $elements, $ram,
            ),)*
        ];
    };
}

kernels! {
    nothing 1, 0, |_| Some(());
    vector_dot N, 8 * N, |r| { r.result = vector::dot(all(&r.x), all(&r.y)).ok()?; Some(()) };
    vector_scale N, 4 * N, |r| { vector::scale(black_box(1.5), all_mut(&mut r.z)); Some(()) };
    vector_add N, 12 * N, |r| { simd::map(&Add, [all(&r.x), all(&r.y)], [all_mut(&mut r.z)]); Some(()) };
    vector_mean N, 4 * N, |r| { r.result = vector::sum(all(&r.x)) / N as f32; Some(()) };
    vector_power N, 4 * N, |r| { r.result = vector::norm2_squared(all(&r.x)); Some(()) };
    vector_sqrt N, 8 * N, |r| { simd::map(&Root, [all(&r.x)], [all_mut(&mut r.z)]); Some(()) };
    vector_axpy N, 8 * N, |r| vector::axpy(black_box(0.5), all(&r.x), all_mut(&mut r.z)).ok();
    simd_exp N, 8 * N, |r| { simd::map(&Exp, [all(&r.y)], [all_mut(&mut r.z)]); Some(()) };
    random_uniform N, 4 * N, |r| { lanes().fill_uniform(&mut r.z); Some(()) };
    random_normal N, 4 * N, |r| { lanes().fill_normal(&mut r.z); Some(()) };
    matrix_gemv N, 4 * (N + 32), |r| {
        gemv(1.0, MatrixRef::new(&r.x, 16, 16).ok()?, r.y.get(..16)?, 0.0, r.z.get_mut(..16)?).ok()
    };
    matrix_gemm S * S * S, 12 * S * S, |r| {
        let (a, b) = (square(&r.x)?, square(&r.y)?);
        let out = MatrixMut::new(r.z.get_mut(..S * S)?, S, S).ok()?;
        gemm(Product::PLAIN, a, b, out, &mut []).ok()
    };
    matrix_distances S * S * S, 12 * S * S, |r| {
        let out = MatrixMut::new(r.z.get_mut(..S * S)?, S, S).ok()?;
        squared_distances_into(square(&r.x)?, square(&r.y)?, out).ok()
    };
    matrix_cholesky S * S * S / 6, 4 * S * S, |r| {
        let mut a = MatrixMut::new(r.x.get_mut(..S * S)?, S, S).ok()?;
        add_diagonal(16.0, a.reborrow()).ok()?;
        cholesky(a).ok()
    };
    matrix_eigen S * S * S, 4 * (S * S + S + symmetric_eigen_scratch(S)), |r| {
        let a = MatrixMut::new(r.x.get_mut(..S * S)?, S, S).ok()?;
        let (values, scratch) = r.z.split_first_chunk_mut::<S>()?;
        symmetric_eigen(a, values, scratch).ok()
    };
    sgd_momentum N, 12 * N, |r| {
        (sgd::Config { momentum: 0.9, ..sgd::Config::new(0.1) }).step(&mut r.sgd, &mut r.z, &r.y).ok()
    };
    adam_step N, 16 * N, |r| adam::Config::adam().step(&mut r.adam, &mut r.z, &r.y).ok();
    lion_step N, 12 * N, |r| lion::Config::new(1e-3).step(&mut r.lion, &mut r.z, &r.y).ok();
    perm_k K, 4 * (N + K), |r| {
        let buffers = Buffers::values(&mut r.z);
        PermK::new(N / K).compress(KEY, &r.y, buffers).ok().map(drop)
    };
    rand_k K, 4 * (N + K), |r| {
        let buffers = Buffers::values(&mut r.z);
        RandK::new(K).compress(KEY, &r.y, buffers).ok().map(drop)
    };
    top_k N, 4 * N + 8 * K, |r| {
        let buffers = Buffers { indices: &mut r.indices, ..Buffers::values(&mut r.z) };
        TopK { k: K }.compress(KEY, &r.y, buffers).ok().map(drop)
    };
    natural N, 8 * N, |r| Natural.compress(KEY, &r.y, Buffers::values(&mut r.z)).ok().map(drop);
    qsgd K, 8 * K, |r| {
        let buffers = Buffers { levels: &mut r.levels, ..Buffers::values(&mut r.z) };
        Dithering::qsgd(15).compress(KEY, r.y.get(..K)?, buffers).ok().map(drop)
    };
    crc32c 4 * N, 4 * N, |r| {
        let mut crc = Crc32c::new();
        crc.update(r.bytes.get(..4 * N)?);
        r.result = f32::from_bits(crc.value());
        Some(())
    };
    frame_encode N, 8 * N + 52, |r| {
        let header = Header::new(Kind::Model, Dtype::F32, N as u32, N as u32);
        encode_into(&header, &Body::Values(&r.y), &mut r.bytes).ok().map(drop)
    };
    frame_decode N, 4 * N + 52, |r| {
        decode(r.bytes.get(..4 * N + 52)?, &Expect::default()).ok().map(drop)
    };
    snapshot_save N, 8 * N + 64, |r| r.sgd.save(&mut r.bytes).ok().map(drop);
    mlp_gradient ROWS * D, 4 * (2 * D + 8 * ROWS + NETWORK.least_scratch_len(ROWS)), |r| {
        let batch = Batch::classes(r.x.get(..8 * ROWS)?, 8, &CLASSES).ok()?;
        let (grad, scratch) = r.z.split_at_mut_checked(D)?;
        NETWORK.gradient_into(r.y.get(..D)?, &batch, grad, scratch).ok()
    };
    marina_rounds 2 * F, ROUND, |r| rounds(r, &MARINA, 2);
    ef21_rounds 2 * F, ROUND, |r| rounds(r, &EF21, 2);
    fed_avg_round F, ROUND, |r| rounds(r, &FED_AVG, 1);
    bilevel_es_jacobian 2 * STEPS * S * S, 4 * (2 * S * (S + 1) + 3 * S + HYPERGRADIENT), hypergradient;
    label_noise_steps LABELS * F / 2, 4 * (F + 4 + F / 2), |r| {
        let rows = MatrixRef::new(r.x.get(..F)?, 4, F / 4).ok()?;
        let problem = label_noise::Sparse::new(rows, r.y.get(..4)?).ok()?;
        let mut state = label_noise::State::uniform(r.z.get_mut(..F / 2)?, 0.5);
        let config = label_noise::Config::new(1e-3);
        let mut rng = random::stream(1, 2, 3, Purpose::NOISE);
        label_noise::run(&config, &problem, &mut state, LABELS as u64, &mut rng).ok().map(drop)
    };
    training_sums N, 8 * N, |r| {
        r.result = step_stats(&r.x, &r.y).ok()?.tg as f32;
        Some(())
    };
    svgd_step PARTICLES * PARTICLES, 4 * (4 * PARTICLES + svgd::Config::new(0.1).least_scratch_len(PARTICLES, 2)), |r| {
        let mut state = svgd::State::<[f32; 0]>::from_storage([]);
        let (particles, scratch) = r.cloud.split_at_mut_checked(2 * PARTICLES)?;
        for (x, start) in particles.iter_mut().zip(&r.z) {
            *x = *start;
        }
        svgd::step(&svgd::Config::new(0.1), &mut state, Particles::new(2, particles), r.y.get(..2 * PARTICLES)?, scratch).ok().map(drop)
    };
    mixture_selection PROPOSALS, 4 * (2 * VISITED + MIXTURE + VISITED + WORDS) + 8 * (STATISTICS + SCRATCH), selection;
}
