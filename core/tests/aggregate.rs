//! Aggregators against NumPy and SciPy, and against the theory of order statistics when a client is hostile.
#![allow(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use thalweg::Error;
use thalweg::aggregate::{Aggregator, Mean, Median, TrimmedMean};
use thalweg::compress::{Buffers, Compressor, Identity};
use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
use thalweg::federated::protocol::Place;
use thalweg::federated::{Protocol, ProtocolError, Run, decode, fed_avg, frame_len, marina};
use thalweg::random::{self, Purpose};

/// Rows of multiples of 1/8, as in `golden/aggregate.py`.
fn combine(rule: &dyn Aggregator<f64>, n: usize) -> [f64; 4] {
    let mut memory = vec![0.0; rule.memory_len(n, 4)];
    let mut pushed = rule.open(n, 4, &mut memory).unwrap();
    for i in 0..n {
        let value = |j: usize| ((37 * i + 11 * j * j + 5 * i * j) % 64) as f64 / 8.0 - 4.0;
        let row = [0, 1, 2, 3].map(value);
        rule.push_slice(&mut pushed, 1, &row).unwrap();
    }
    let mut out = [0.0; 4];
    rule.finish_into(&mut pushed, &mut out).unwrap();
    out
}

#[test]
fn medians_are_those_of_numpy() {
    assert_eq!(combine(&Median, 6), [-0.4375, -0.25, 0.1875, 0.625]);
    assert_eq!(combine(&Median, 7), [-0.25, -0.375, -0.625, 0.375]);
}

#[test]
fn trimmed_means_are_those_of_scipy() {
    for (n, fraction, expected) in [
        (6, 0.15, [-0.4375, -0.166_666_666_666_666_66, 0.1875, 0.625]),
        (6, 0.3, [-0.4375, -0.1875, 0.1875, 0.625]),
        (7, 0.15, [-0.4, -0.725, -0.4, 0.375]),
        (
            7,
            0.3,
            [
                -0.375,
                -1.041_666_666_666_666_7,
                -0.25,
                0.208_333_333_333_333_34,
            ],
        ),
    ] {
        assert_eq!(combine(&TrimmedMean { fraction }, n), expected);
    }
}

const CLIENTS: u32 = 9;
const D: usize = 4096;

/// FedAvg on clients whose objectives are `|x - b_i|^2 / 2`, `b_i` normal; the last one sends a huge model in every round. Returns the mean
/// over the coordinates of the model after `rounds` rounds.
fn attacked(aggregator: &dyn Aggregator<f64>, seed: u64, rounds: usize) -> f64 {
    let run = Run {
        seed,
        clients: CLIENTS,
    };
    let config = fed_avg::Config {
        run,
        server_learning_rate: 1.0,
        compressor: Identity,
        aggregator,
    };
    let mut server = Server::new(&config, &[0.0; D], vec![0.0; config.server_len(D)]).unwrap();
    let mut down = vec![0; frame_len::<f64>(D as u32)];
    let (mut up, mut values) = (down.clone(), [0.0; D]);
    for _ in 0..rounds {
        let len = broadcast(&config, &mut server, &mut down).unwrap();
        let opening = decode::<f64>(&down[..len], D).unwrap();
        for id in 0..CLIENTS {
            let mut client = Client::new(&config, id, vec![0.0; D]).unwrap();
            receive(&config, &mut client, &opening).unwrap();
            let mut optimum = random::stream(seed, 0, u64::from(id), Purpose::DATA);
            let mut trained: Vec<f64> = client.params().to_vec();
            for x in &mut trained {
                // One step of gradient descent.
                let b: f64 = random::normal(&mut optimum);
                *x = if id + 1 == CLIENTS {
                    1e30
                } else {
                    *x + 0.5 * (b - *x)
                };
            }
            let buffers = Buffers::default();
            let len = reply(&config, &mut client, &mut trained, buffers, &mut up).unwrap();
            let frame = decode::<f64>(&up[..len], D).unwrap();
            let buffers = Buffers::values(&mut values);
            accept(&config, &mut server, 1, &frame, buffers).unwrap();
        }
        finish(&config, &mut server).unwrap();
    }
    server.params().iter().sum::<f64>() / D as f64
}

#[test]
fn one_hostile_client_of_nine_destroys_the_mean_alone() {
    // The median is then the fifth of eight normal numbers, the trimmed mean that of all but the least: means and variances of a coordinate.
    let rules: [(&dyn Aggregator<f64>, [f64; 2]); 2] = [
        (&Median, [0.152_514_399_506_923, 0.187_186_219_478_350]),
        (
            &TrimmedMean { fraction: 0.12 },
            [0.203_371_472_292_183, 0.130_059_125_373_199],
        ),
    ];
    for seed in 1..=8 {
        assert!(attacked(&Mean, seed, 1) > 1e29);
        for (rule, [expected, variance]) in rules {
            let (found, error) = (attacked(rule, seed, 12), (variance / D as f64).sqrt());
            assert!(
                (found - expected).abs() < 4.0 * error,
                "{seed}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn a_fraction_that_trims_nobody_is_destroyed_too() {
    // floor(0.11 * 9) = 0.
    assert!(attacked(&TrimmedMean { fraction: 0.11 }, 1, 1) > 1e29);
}

#[test]
fn a_refused_fraction_stops_the_protocol() {
    let run = Run {
        seed: 1,
        clients: 3,
    };
    let average = |fraction| fed_avg::Config {
        run,
        server_learning_rate: 1.0,
        compressor: Identity,
        aggregator: TrimmedMean { fraction },
    };
    let memory = || vec![0.0_f32; 5];
    // The model, the sum, and a row for each client.
    assert!(Server::new(&average(0.4), &[1.0], memory()).is_ok());
    let error = Server::new(&average(0.5), &[1.0], memory()).unwrap_err();
    assert_eq!(error.to_string(), "`fraction` must be in [0, 1/2)");
}

/// A protocol of a caller's: another one, with the median.
struct WithMedian<P>(P);

impl<P: Protocol<f32>> Protocol<f32> for WithMedian<P> {
    fn run(&self) -> Run {
        self.0.run()
    }
    fn step(&self) -> f32 {
        self.0.step()
    }
    fn compressor(&self) -> &dyn Compressor<f32> {
        self.0.compressor()
    }
    fn aggregator(&self) -> &dyn Aggregator<f32> {
        &Median
    }
    fn keeps_estimate(&self) -> bool {
        self.0.keeps_estimate()
    }
    fn is_full(&self, round: u64) -> bool {
        self.0.is_full(round)
    }
    fn validate(&self, d: usize) -> Result<(), Error> {
        self.0.validate(d)
    }
    fn reply(
        &self,
        place: Place<'_, f32>,
        local: &mut [f32],
        buffers: Buffers<'_, f32>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        self.0.reply(place, local, buffers, out)
    }
}

#[test]
fn an_estimate_of_the_gradient_takes_the_mean_alone() {
    let run = Run {
        seed: 1,
        clients: 3,
    };
    let estimate = marina::Config {
        run,
        step_size: 0.5,
        probability: 0.5,
        compressor: Identity,
    };
    let average = fed_avg::Config {
        run,
        server_learning_rate: 1.0,
        compressor: Identity,
        aggregator: Mean,
    };
    let error = Server::new(&WithMedian(estimate), &[1.0], [0.0; 6]).unwrap_err();
    let rule = "`aggregator` must be the mean where an estimate is kept";
    assert_eq!(error.to_string(), rule);
    assert!(Server::new(&WithMedian(average), &[1.0], [0.0; 5]).is_ok());
}
