//! The table of state sizes in the docs, held against the types, and the memory of a MARINA client, held by a run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::mem::{size_of, size_of_val};
use thalweg::bilevel::es_jacobian;
use thalweg::compress::{Buffers, PermK, error_feedback, perm_k, rand_k};
use thalweg::dynamics::{invariant_measure, label_noise};
use thalweg::federated::hessian_variance::HessianVariance;
use thalweg::federated::{Ledger, Run, decode, machine, marina};
use thalweg::mixture::component_selection;
use thalweg::mixture::gaussian::Mixture;
use thalweg::optim::clip::Guard;
use thalweg::optim::schedule::Plateau;
use thalweg::optim::{Elementwise, Layer, Optimiser, State, average, registry, sgd};
use thalweg::particle;
use thalweg::random::{NoiseStream, Permutation, Stream};
use thalweg::wire::{Dtype, Kind, encoded_len};

const TABLE: &str = include_str!("../docs/state_sizes.md");

/// Sizes of a state for two numbers of parameters as `slope n + rest`.
macro_rules! size {
    ($n:ident => $t:ty) => {{
        const fn at<const $n: usize>() -> usize {
            size_of::<$t>()
        }
        let (short, long) = (at::<1000>(), at::<2000>());
        let slope = (long - short) / 1000;
        (slope, short - 1000 * slope)
    }};
}

/// The size of a state of some vectors of `n`, from that of one.
#[cfg(target_pointer_width = "64")]
const fn vectors(count: usize, (slope, rest): (usize, usize)) -> (usize, usize) {
    (count * slope, rest)
}

/// Every state of the crate, by its name in the table.
#[cfg(target_pointer_width = "64")]
fn sizes() -> Vec<(&'static str, (usize, usize))> {
    vec![
        // The memory of any optimiser: `optimisers_keep_what_the_family_table_says`.
        (
            "`optim::State`, a buffer",
            size!(N => State<sgd::Config, [f32; N]>),
        ),
        (
            "`optim::State`, a buffer in bf16",
            size!(N => State<sgd::Config, [u16; N]>),
        ),
        ("`optim::average::Ema`", size!(N => average::Ema<[f32; N]>)),
        ("`optim::average::Swa`", size!(N => average::Swa<[f32; N]>)),
        (
            "`optim::average::Lookahead`",
            size!(N => average::Lookahead<[f32; N]>),
        ),
        ("`optim::schedule::Plateau`", size!(N => Plateau)),
        ("`optim::clip::Guard`", size!(N => Guard)),
        (
            "`compress::error_feedback::State`",
            size!(N => error_feedback::State<[f32; N]>),
        ),
        (
            "`compress::rand_k::Pool` (indices, `u32`)",
            size!(N => rand_k::Pool<[u32; N]>),
        ),
        (
            "`federated::machine::Client`, MARINA, EF21",
            vectors(2, size!(N => machine::Client<[f32; N]>)),
        ),
        (
            "`federated::machine::Server`, MARINA, EF21",
            vectors(3, size!(N => machine::Server<[f32; N]>)),
        ),
        (
            "`federated::machine::Client`, FedAvg",
            size!(N => machine::Client<[f32; N]>),
        ),
        (
            "`federated::machine::Server`, FedAvg",
            vectors(2, size!(N => machine::Server<[f32; N]>)),
        ),
        (
            "`federated::hessian_variance::HessianVariance`",
            size!(N => HessianVariance<[f32; N]>),
        ),
        ("`federated::Ledger`", size!(N => Ledger)),
        ("`random::Stream`", size!(N => Stream)),
        ("`random::NoiseStream`", size!(N => NoiseStream)),
        ("`random::Permutation`", size!(N => Permutation)),
        (
            "`particle::svgd::State`, AdaGrad (`n` coordinates of particles)",
            size!(N => particle::svgd::State<[f32; N]>),
        ),
        (
            "`particle::momentum::State` (`n` coordinates)",
            size!(N => particle::momentum::State<[f32; N]>),
        ),
        (
            "`bilevel::es_jacobian::State` (`n` inner variables)",
            size!(N => es_jacobian::State<[f32; N]>),
        ),
        (
            "`mixture::gaussian::Mixture` (`n` parameters)",
            size!(N => Mixture<[f32; N]>),
        ),
        (
            "`mixture::component_selection::State` (`n` labels)",
            size!(N => component_selection::State<[u32; N], [f64; 0], [f64; 0], [f32; 0]>),
        ),
        (
            "`mixture::component_selection::State` (`n` statistics, in `f64`)",
            size!(N => component_selection::State<[u32; 0], [f64; N], [f64; 0], [f32; 0]>),
        ),
        (
            "`dynamics::label_noise::State` (`n` numbers of u and v)",
            size!(N => label_noise::State<[f32; N]>),
        ),
        (
            "`dynamics::invariant_measure::Noise` (in `f64`)",
            size!(N => invariant_measure::Noise<[f64; N]>),
        ),
        (
            "`dynamics::invariant_measure::BatchMeans`",
            size!(N => invariant_measure::BatchMeans),
        ),
        (
            "`dynamics::invariant_measure::Window`",
            size!(N => invariant_measure::Window),
        ),
        (
            "`dynamics::invariant_measure::Histogram`",
            size!(N => invariant_measure::Histogram),
        ),
        (
            "`dynamics::invariant_measure::Monitor`",
            size!(N => invariant_measure::Monitor),
        ),
    ]
}

#[test]
#[cfg(target_pointer_width = "64")]
fn every_line_of_the_table_is_the_size_of_the_type() {
    let lines: Vec<&str> = TABLE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<String> = sizes()
        .into_iter()
        .map(|(name, size)| {
            let size = match size {
                (0, rest) => rest.to_string(),
                (slope, 0) => format!("{slope} n"),
                (slope, rest) => format!("{slope} n + {rest}"),
            };
            format!("| {name} | `{size}` |")
        })
        .collect();
    assert_eq!(lines, expected, "core/docs/state_sizes.md");
}

struct Kept(Vec<(&'static str, usize)>);

impl registry::Visitor for Kept {
    fn visit<C: Elementwise>(&mut self, name: &'static str, config: C) {
        assert_eq!(config.memory_len(1000) % 1000, 0);
        self.0.push((name, config.memory_len(1000) / 1000));
    }

    fn visit_layered<C: Optimiser>(&mut self, name: &'static str, layers: &[Layer], config: C) {
        self.0.push((name, config.layers_memory_len(layers)));
    }
}

#[test]
fn optimisers_keep_what_the_family_table_says() {
    let mut kept = Kept(vec![]);
    registry::visit(&mut kept);
    let expected = [
        ("sgd", 0),
        ("momentum", 1),
        ("nesterov", 1),
        ("adam", 2),
        ("adamw", 2),
        ("amsgrad", 3),
        ("rmsprop", 1),
        ("rmsprop, centred", 2),
        ("rmsprop with momentum", 2),
        ("rmsprop, centred, with momentum", 3),
        ("adagrad", 1),
        ("lion", 1),
        ("lamb", 2 * 37),
        // Five rows, four entries of a vector and its scale.
        ("nero", 10),
        ("muon", 37),
    ];
    assert_eq!(kept.0, expected);
    const HEAVY: sgd::Config = sgd::Config {
        momentum: 0.9,
        ..sgd::Config::new(0.1)
    };
    assert_eq!(HEAVY.state_len(10), HEAVY.memory_len(10));
}

const D: usize = 960;
const CLIENTS: usize = 4;
/// Bytes of a frame of all numbers, the longest that MARINA with PermK sends or receives.
const FRAME: usize = encoded_len(Kind::Dense, Dtype::F32, D as u32, D as u32);

/// Everything that one MARINA client holds: no other buffer is lent to it below.
struct Machine {
    client: machine::Client<[f32; 2 * D]>,
    gradient: [f32; D],
    /// One frame, arriving or leaving.
    frame: [u8; FRAME],
    /// The numbers of one compressed message.
    values: [f32; perm_k::message_len(D, CLIENTS)],
}

#[test]
fn a_marina_client_runs_in_three_vectors_and_one_message() {
    let config = marina::Config {
        run: Run {
            seed: 5,
            clients: CLIENTS as u32,
        },
        step_size: 0.25_f32,
        probability: 0.25,
        compressor: PermK::new(CLIENTS),
    };
    let mut machines: Vec<Machine> = (0..CLIENTS)
        .map(|id| Machine {
            client: machine::Client::new(&config, id as u32, [0.0; 2 * D]).unwrap(),
            gradient: [0.0; D],
            frame: [0; _],
            values: [0.0; _],
        })
        .collect();
    // The counters of the client, and padding.
    let counters = 32;
    let message = FRAME + 4 * D / CLIENTS;
    let bytes = size_of_val(&machines[0]);
    assert!(
        bytes <= 4 * 3 * D + message + counters,
        "{bytes} bytes for d = {D}"
    );

    // f_i = |x|^2 / 2 for all: PermK's difference is exact, and x halves its distance every few rounds as in
    // gradient descent.
    let mut server = machine::Server::new(&config, &[1.0; D], [0.0; 3 * D]).unwrap();
    let (mut down, mut values) = ([0; FRAME], [0.0; D]);
    let mut compressed = 0;
    for round in 0..12 {
        let len = machine::broadcast(&config, &mut server, &mut down).unwrap();
        for machine in &mut machines {
            let Machine {
                client,
                gradient,
                frame,
                values: own,
            } = machine;
            frame[..len].copy_from_slice(&down[..len]);
            let broadcast = decode::<f32>(&frame[..len], D).unwrap();
            machine::receive(&config, client, &broadcast).unwrap();
            gradient.copy_from_slice(client.params());
            let buffers = Buffers::values(own);
            let len = machine::reply(&config, client, gradient, buffers, frame).unwrap();
            compressed += usize::from(len < 4 * D);
            let buffers = Buffers::values(&mut values);
            machine::accept(
                &config,
                &mut server,
                1,
                &decode::<f32>(&frame[..len], D).unwrap(),
                buffers,
            )
            .unwrap();
        }
        machine::finish(&config, &mut server).unwrap();
        let expected = 0.75_f32.powi(round + 1);
        let x = server.params()[7];
        assert!((x / expected - 1.0).abs() < 1e-5, "round {round}: {x}");
    }
    assert!(compressed > CLIENTS, "some rounds are compressed");
}

#[test]
fn servers_hold_a_fixed_number_of_vectors_for_any_number_of_clients() {
    // The number of clients is no part of the types; what is left in addition to the vectors is constant.
    let ledger = size_of::<Ledger>();
    assert!(size_of::<machine::Server<[f32; 3 * D]>>() <= 4 * 3 * D + ledger + 32);
    assert!(size_of::<machine::Server<[f32; 2 * D]>>() <= 4 * 2 * D + ledger + 32);
}
