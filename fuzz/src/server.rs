//! The machines of the federated protocols, under any sequence of calls and frames.
//!
//! A server starts among one to three clients; each operation is a call with what the bytes make of its arguments.

use thalweg::aggregate::Mean;
use thalweg::compress::{
    Buffers, Compressor, Dithering, Identity, Natural, PermK, RandK, Sign, TopK,
};
use thalweg::federated::machine::{self, Client, Server};
use thalweg::federated::{Protocol, ProtocolError, Run, decode, ef21, fed_avg, marina, ntk};
use thalweg::snapshot::Snapshot;
use thalweg::wire::{Body, Dtype, Header, Kept, Kind, SERVER, encode_into};

use super::bytes::Bytes;

const D: usize = 4;
/// Longer than every frame.
const ROOM: usize = 200;
/// Calls of one run.
const CALLS: usize = 40;

/// Decodes and accepts.
fn accept<const N: usize>(
    config: &dyn Protocol<f32>,
    server: &mut Server<[f32; N]>,
    samples: u32,
    bytes: &[u8],
    buffers: Buffers<'_, f32>,
) -> Result<(), ProtocolError> {
    machine::accept(config, server, samples, &decode::<f32>(bytes, D)?, buffers)
}

/// A refused call changes nothing, models stay finite, rounds go forwards, and every run can go on.
pub fn check(bytes: &[u8]) {
    let bytes = &mut Bytes(bytes);
    let clients = u32::from(bytes.byte() % 3 + 1);
    let run = Run { seed: 1, clients };
    let choice = bytes.byte();
    if choice >= 200 {
        return tangents(bytes, run);
    }
    match choice % 9 {
        0 => compressed(bytes, run, PermK::new(clients as usize)),
        1 => compressed(bytes, run, RandK::new(2)),
        2 => compressed(bytes, run, TopK { k: 2 }),
        3 => compressed(bytes, run, Dithering::qsgd(4)),
        4 => compressed(bytes, run, Natural),
        5 => compressed(bytes, run, Sign),
        6 => compressed(bytes, run, PermK::contiguous(clients as usize)),
        7 => averages(bytes, run, &Identity),
        _ => averages(bytes, run, &Natural),
    }
}

/// A frame of the tangent kernel's protocol: mostly the next one of its client.
fn row_frame(bytes: &mut Bytes<'_>, (client, round): (u32, u64), at: u8) -> Vec<u8> {
    let kind = match if bytes.rarely(8) { bytes.byte() } else { at } {
        0 => Kind::Labels,
        1 => Kind::Logits,
        byte if byte % 5 == 4 => Kind::QuantisedJacobian,
        byte if byte % 5 == 3 => Kind::Losses,
        _ => Kind::Jacobian,
    };
    let (d, k) = match kind {
        Kind::Labels => (2, u32::from(bytes.byte() % 3)),
        Kind::Logits => (2, 1),
        Kind::Losses => (2, 2),
        Kind::QuantisedJacobian => (4, Kept { bits: 2, count: 2 }.code()),
        _ => (4, u32::from(at.saturating_sub(2))),
    };
    let other = |bytes: &mut Bytes<'_>| bytes.rarely(8).then(|| bytes.byte());
    let client = other(bytes).map_or(client, |byte| u32::from(byte % 4));
    let round = other(bytes).map_or(round, |byte| round ^ u64::from(byte));
    let dtype = if kind.is_scalar_free() {
        Dtype::None
    } else {
        Dtype::F32
    };
    let header = Header {
        client,
        round,
        seed: 1,
        ..Header::new(kind, dtype, d, k)
    };
    let values = bytes.reals(if kind == Kind::Logits || kind == Kind::Losses {
        2
    } else {
        4
    });
    let classes = vec![1; k as usize % 8];
    let body = match kind {
        Kind::Labels => Body::Classes(&classes),
        Kind::QuantisedJacobian => Body::Quantised {
            sample: u32::from(at.saturating_sub(2)),
            range: [1.0, 3.0],
            indices: &[0, 3],
            codes: &[1, 6],
        },
        _ => Body::Values(&values),
    };
    written(bytes, &header, &body)
}

/// The server of the tangent kernel, for two parameters, two outputs, three samples, one time.
fn tangents(bytes: &mut Bytes<'_>, run: Run) {
    let rows = match bytes.byte() % 2 {
        0 => ntk::Rows::Dense,
        _ => ntk::Rows::Quantised {
            keep: 0.75,
            bits: 2,
        },
    };
    let config = ntk::Config {
        rows,
        ..ntk::Config::new(run, 2, &[1.0])
    };
    const LEN: usize = ntk::server_len(2, 2, 1, 3);
    let mut server =
        ntk::Server::new(&config, &[0.5_f32, -1.0], [0.0; LEN], [0; 3]).expect("lengths");
    let mut scratch = vec![0.0; ntk::server::scratch_len(2, 2, 3)];
    let mut at = 0;
    for _ in 0..CALLS {
        if bytes.is_empty() {
            break;
        }
        let (before, round, turn) = (saved(&server), server.round(), server.turn());
        let choice = bytes.byte() % 16;
        let refused = match choice {
            0 => ntk::broadcast(&config, &mut server, &mut [0; ROOM]).is_err(),
            1 => ntk::skip(&config, &mut server).is_err(),
            2 => ntk::evolve(&config, &mut server, &mut scratch).is_err(),
            3 => ntk::server::broadcast_candidate(
                &config,
                &mut server,
                1,
                &mut [0; ROOM],
                &mut scratch,
            )
            .is_err(),
            4 => ntk::choose(&config, &mut server, &mut scratch).is_err(),
            5 => ntk::choose_by(&config, &mut server, |x| Ok(x[0]), &mut scratch).is_err(),
            6 => {
                let mut other = server;
                ntk::server::reopen(&config, &mut other).is_err()
            }
            _ => {
                let frame = row_frame(bytes, (turn, round), at);
                match decode::<f32>(&frame, D) {
                    Ok(frame) if frame.header.kind == Kind::Losses => {
                        ntk::accept_losses(&config, &mut server, &frame).is_err()
                    }
                    Ok(frame) => ntk::accept(&config, &mut server, &frame).is_err(),
                    Err(_) => true,
                }
            }
        };
        // Integrals of a flow that fails are nobody's; a round without a reply begins again.
        let may_change = choice == 2 || choice == 4;
        assert!(
            !refused || may_change || before == saved(&server),
            "a refused call changed the state"
        );
        at = match (refused, server.turn() == turn && choice > 6) {
            (true, _) => at,
            (false, true) => at.saturating_add(1),
            (false, false) => 0,
        };
        assert!(all_finite(server.params()) && server.rows() <= 3);
        let mut other =
            ntk::Server::new(&config, &[0.0_f32; 2], [0.0; LEN], [0; 3]).expect("lengths");
        other.restore(&saved(&server)).expect("a saved state");
    }
}

fn compressed<C: Compressor<f32> + Copy>(bytes: &mut Bytes<'_>, run: Run, compressor: C) {
    let marina = marina::Config {
        run,
        step_size: 2.0_f32,
        probability: 0.3,
        compressor,
    };
    let ef21 = ef21::Config {
        run,
        step_size: 0.5_f32,
        restart: 0.2,
        compressor,
    };
    match bytes.byte() % 4 {
        0 => serves::<{ 3 * D }>(bytes, &marina),
        1 => serves::<{ 3 * D }>(bytes, &ef21),
        2 => follows(bytes, &marina),
        _ => follows(bytes, &ef21),
    }
}

fn saved(state: &impl Snapshot) -> Vec<u8> {
    let mut image = vec![0; state.snapshot_len()];
    assert_eq!(state.save(&mut image), Ok(image.len()));
    image
}

/// Buffers of these lengths.
struct Memory {
    values: Vec<f32>,
    indices: Vec<u32>,
    levels: Vec<i32>,
}

impl Memory {
    fn new([values, indices, levels]: [usize; 3]) -> Self {
        Self {
            values: vec![0.0; values],
            indices: vec![0; indices],
            levels: vec![0; levels],
        }
    }

    fn lend(&mut self) -> Buffers<'_, f32> {
        Buffers {
            values: &mut self.values,
            indices: &mut self.indices,
            levels: &mut self.levels,
        }
    }

    /// Mostly long enough.
    fn drawn(bytes: &mut Bytes<'_>) -> Self {
        let mut one = || if bytes.rarely(8) { bytes.len() % D } else { D };
        Self::new([one(), one(), one()])
    }
}

/// A frame: mostly of the client and the round, at times of other ones, seldom damaged.
fn forged(bytes: &mut Bytes<'_>, client: u32, round: u64) -> Vec<u8> {
    let kind = Kind::ALL[usize::from(bytes.byte()) % Kind::ALL.len()];
    let is_bare = kind.is_scalar_free();
    let k = match kind {
        Kind::PermK | Kind::RandK | Kind::RandSeqK | Kind::Sparse => {
            u32::from(bytes.byte()) % (D as u32 + 1)
        }
        Kind::Dithered | Kind::NaturalDithered => u32::from(bytes.byte()) % 9 + 1,
        Kind::Jacobian | Kind::Candidate => u32::from(bytes.byte()),
        Kind::Labels | Kind::PublicKey | Kind::SealedSeed => 2,
        Kind::Logits => 1,
        Kind::QuantisedJacobian => Kept { bits: 2, count: 2 }.code(),
        _ if is_bare => 0,
        _ => D as u32,
    };
    let other = |bytes: &mut Bytes<'_>| bytes.rarely(8).then(|| bytes.byte());
    let client = other(bytes).map_or(client, |byte| u32::from(byte % 4));
    let round = other(bytes).map_or(round, |byte| round ^ u64::from(byte));
    let seed = other(bytes).map_or(1, u64::from);
    let flags = u16::from(bytes.rarely(8));
    let dtype = if is_bare { Dtype::None } else { Dtype::F32 };
    let header = Header {
        client,
        round,
        seed,
        flags,
        ..Header::new(kind, dtype, D as u32, k)
    };
    let values = bytes.reals(match kind {
        Kind::Dithered | Kind::NaturalDithered => 1,
        Kind::Jacobian | Kind::Candidate | Kind::Logits => D,
        Kind::QuantisedJacobian => 2,
        _ => k as usize,
    });
    let mut indices: Vec<u32> = (0..D as u32).collect();
    if kind == Kind::Sparse {
        while indices.len() > k as usize {
            let at = usize::from(bytes.byte()) % indices.len();
            indices.remove(at);
        }
    }
    let level = |bytes: &mut Bytes<'_>| i32::from(bytes.byte() % 19) - 9;
    let body = match kind {
        Kind::Hello => Body::Hello { samples: 7 },
        Kind::Sparse => Body::Sparse {
            indices: &indices,
            values: &values,
        },
        Kind::Natural => {
            let powers: Vec<f32> = values
                .iter()
                .map(|x| x.abs().log2().trunc().exp2())
                .collect();
            return written(bytes, &header, &Body::Natural(&powers));
        }
        Kind::Sign => Body::Sign {
            scale: bytes.real() as f32,
            values: &values,
        },
        Kind::Dithered | Kind::NaturalDithered => {
            let levels = [0; D].map(|_| level(bytes));
            let norm = values[0];
            let levels = &levels;
            return written(bytes, &header, &Body::Dithered { norm, levels });
        }
        Kind::Round => Body::Round { full: false },
        Kind::Labels => Body::Classes(&[3, 0]),
        Kind::PublicKey | Kind::SealedSeed => Body::Bytes(&[7, 9]),
        Kind::QuantisedJacobian => Body::Quantised {
            sample: 1,
            range: [
                values[0].abs().min(values[1].abs()),
                values[0].abs().max(values[1].abs()),
            ],
            indices: &[0, 2],
            codes: &[1, 6],
        },
        _ if is_bare => Body::Empty,
        _ => Body::Values(&values),
    };
    written(bytes, &header, &body)
}

fn written(bytes: &mut Bytes<'_>, header: &Header, body: &Body<'_, f32>) -> Vec<u8> {
    let mut out = vec![0; header.frame_len()];
    if encode_into(header, body, &mut out).is_err() {
        return Vec::new();
    }
    if bytes.rarely(16) {
        let at = usize::from(bytes.byte()) % out.len();
        out[at] ^= bytes.byte();
    }
    out
}

fn all_finite(x: &[f32]) -> bool {
    x.iter().all(|x| x.is_finite())
}

/// A dense frame of zeros: what an honest client sends when nothing changes.
fn zeros(client: u32, round: u64) -> Vec<u8> {
    let header = Header {
        client,
        round,
        seed: 1,
        ..Header::new(Kind::Dense, Dtype::F32, D as u32, D as u32)
    };
    let mut out = vec![0; header.frame_len()];
    encode_into(&header, &Body::Values(&[0.0_f32; D]), &mut out).expect("room");
    out
}

/// A server that keeps `N` numbers.
fn serves<const N: usize>(bytes: &mut Bytes<'_>, config: &dyn Protocol<f32>) {
    let mut server = Server::new(config, &[0.5; D], [0.0; N]).expect("lengths");
    for _ in 0..CALLS {
        if bytes.is_empty() {
            break;
        }
        let (before, round) = (saved(&server), server.round());
        let mut reopened = server;
        machine::reopen(config, &mut reopened).expect("hyperparameters");
        let outcome = match bytes.byte() % 8 {
            0 => machine::broadcast(config, &mut server, &mut [0; ROOM]).map(|_| ()),
            1 => machine::skip(config, &mut server),
            2 => machine::finish(config, &mut server),
            3 => machine::reopen(config, &mut server),
            _ => {
                let frame = forged(bytes, server.turn(), round);
                let samples = if config.keeps_estimate() {
                    1
                } else {
                    bytes.count() as u32
                };
                let mut memory = Memory::drawn(bytes);
                accept(config, &mut server, samples, &frame, memory.lend())
            }
        };
        let after = match outcome {
            Ok(()) => continue_of(round, server.round()),
            Err(ProtocolError::Empty) => saved(&reopened),
            Err(_) => before,
        };
        assert!(
            after.is_empty() || after == saved(&server),
            "a refused call changed the state"
        );
        assert!(all_finite(server.params()) && all_finite(server.estimate()));
    }
    // Whatever has been heard: the round can be closed.
    let round = server.round();
    machine::reopen(config, &mut server).expect("hyperparameters");
    while server.turn() < config.run().clients {
        let frame = zeros(server.turn(), round);
        let mut memory = Memory::new([D; 3]);
        if accept(config, &mut server, 1, &frame, memory.lend()).is_err() {
            machine::skip(config, &mut server).expect("a turn");
        }
    }
    match machine::finish(config, &mut server) {
        Ok(()) => assert_eq!(server.round(), round + 1),
        // Natural compression of FedAvg takes no dense frame.
        Err(ProtocolError::Empty) => assert!(!config.keeps_estimate()),
        // The estimate of earlier rounds can carry the model away by itself: that is divergence, and named.
        Err(error) => assert!(matches!(error, ProtocolError::Argument(_)), "{error}"),
    }
}

/// No state to compare with; a call that has succeeded opens the next round at most.
fn continue_of(before: u64, after: u64) -> Vec<u8> {
    assert!(after == before || after == before + 1);
    Vec::new()
}

fn follows(bytes: &mut Bytes<'_>, config: &dyn Protocol<f32>) {
    let mut client = Client::new(config, 0, [0.0_f32; 2 * D]).expect("lengths");
    let mut least = 0;
    for _ in 0..CALLS {
        if bytes.is_empty() {
            break;
        }
        let before = saved(&client);
        let refused = match bytes.byte() % 8 {
            0 => {
                client.rejoin();
                least = 0;
                false
            }
            1..4 => {
                let mut gradient = [0.0; D].map(|_: f32| bytes.real() as f32);
                let mut memory = Memory::drawn(bytes);
                let room = if bytes.rarely(8) {
                    bytes.len() * 2
                } else {
                    ROOM
                };
                let out = &mut vec![0; room];
                let kept = gradient.map(f32::to_bits);
                let refused =
                    machine::reply(config, &mut client, &mut gradient, memory.lend(), out).is_err();
                assert!(
                    !refused || gradient.map(f32::to_bits) == kept,
                    "a gradient is lost"
                );
                refused
            }
            _ => {
                let next = client.round() + u64::from(bytes.byte() % 2);
                let frame = forged(bytes, SERVER, next);
                match decode::<f32>(&frame, D) {
                    Ok(frame) => machine::receive(config, &mut client, &frame).is_err(),
                    Err(_) => true,
                }
            }
        };
        assert!(
            !refused || before == saved(&client),
            "a refused call changed the client"
        );
        assert!(client.round() >= least && all_finite(client.params()));
        least = client.round();
    }
}

fn averages(bytes: &mut Bytes<'_>, run: Run, compressor: &dyn Compressor<f32>) {
    let config = fed_avg::Config {
        run,
        server_learning_rate: 2.0_f32,
        compressor,
        aggregator: Mean,
    };
    serves::<{ 2 * D }>(bytes, &config);
}
