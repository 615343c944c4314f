//! Which protocol runs with which compressor.

use std::fmt;
use std::str::FromStr;

use thalweg::aggregate::{Aggregator, Mean, Median, TrimmedMean};
use thalweg::compress::{
    Compressor, Dithering, Identity, Natural, RandK, RandSeqK, Sign, TopK, k_from_ratio,
};
use thalweg::federated::{Protocol, Run, ef21, fed_avg, marina};

use crate::cli::{Failure, bad};

use super::exchange::Exchange;
use super::problem::Problem;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ProtocolName {
    /// Gradient descent: every client sends its full gradient (MARINA with p = 1)
    Gd,
    /// Clients train for one epoch of mini-batches of 16 and send the change of the model
    Fedavg,
    /// Compressed differences of gradients, a full gradient now and then
    Marina,
    /// Compressed distances to a memory that the server shares
    Ef21,
}

/// A compressor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CompressorName {
    /// All numbers
    Identity,
    /// Disjoint blocks of one random permutation
    PermK,
    /// k random coordinates, independently drawn
    RandK,
    /// k cyclically consecutive coordinates
    RandSeqK,
    /// The k coordinates of largest magnitude, with their indices
    TopK,
    /// Each number rounded at random to a power of two: 9 bits
    Natural,
    /// Multiples of 1/15 of the norm, rounded at random: 5 bits a number
    Qsgd,
    /// Signs and the mean magnitude: 1 bit a number
    Sign,
}

/// How FedAvg's server combines the changes of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AggregatorName {
    /// The mean over the samples.
    #[default]
    Mean,
    /// The median of each coordinate.
    Median,
    /// The mean of each coordinate without this fraction of the least and of the greatest values.
    Trimmed(f64),
}

/// Fraction of the trimmed mean that names none.
const FRACTION: f64 = 0.1;

impl AggregatorName {
    fn build(self) -> Box<dyn Aggregator<f32> + Sync> {
        match self {
            Self::Mean => Box::new(Mean),
            Self::Median => Box::new(Median),
            Self::Trimmed(fraction) => Box::new(TrimmedMean { fraction }),
        }
    }
}

impl FromStr for AggregatorName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = "must be mean, median, trimmed or trimmed:BETA with BETA in [0, 0.5)";
        match text.split_once(':').unwrap_or((text, "")) {
            ("mean", "") => Ok(Self::Mean),
            ("median", "") => Ok(Self::Median),
            ("trimmed", "") => Ok(Self::Trimmed(FRACTION)),
            ("trimmed", beta) => {
                let fraction = beta.parse().map_err(|_| rule)?;
                let aggregator = TrimmedMean { fraction };
                let valid = Aggregator::<f32>::validate(&aggregator, 1);
                valid.map(|()| Self::Trimmed(fraction)).map_err(|_| rule)
            }
            _ => Err(rule),
        }
    }
}

impl fmt::Display for AggregatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            Self::Median => f.write_str("median"),
            Self::Trimmed(fraction) => write!(f, "trimmed:{fraction}"),
        }
    }
}

/// One row of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// The protocol.
    pub protocol: ProtocolName,
    /// Its compressor.
    pub compressor: CompressorName,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            ProtocolName::Gd => return f.write_str("gradient descent"),
            ProtocolName::Fedavg => "FedAvg",
            ProtocolName::Marina => "MARINA",
            ProtocolName::Ef21 => "EF21",
        };
        let compressor = match self.compressor {
            CompressorName::Identity => return f.write_str(protocol),
            CompressorName::PermK => "PermK",
            CompressorName::RandK => "RandK",
            CompressorName::RandSeqK => "RandSeqK",
            CompressorName::TopK => "TopK",
            CompressorName::Natural => "natural",
            CompressorName::Qsgd => "QSGD",
            CompressorName::Sign => "sign",
        };
        write!(f, "{protocol} + {compressor}")
    }
}

/// The rows of the default table.
pub const DEFAULT: [Method; 5] = [
    Method {
        protocol: ProtocolName::Gd,
        compressor: CompressorName::Identity,
    },
    Method {
        protocol: ProtocolName::Fedavg,
        compressor: CompressorName::Identity,
    },
    Method {
        protocol: ProtocolName::Marina,
        compressor: CompressorName::PermK,
    },
    Method {
        protocol: ProtocolName::Marina,
        compressor: CompressorName::RandK,
    },
    Method {
        protocol: ProtocolName::Ef21,
        compressor: CompressorName::TopK,
    },
];

/// The rows that the options ask for.
///
/// # Errors
/// A compressor without exactly one protocol, or one that the protocol does not converge with.
pub fn select(
    protocols: &[ProtocolName],
    compressor: Option<CompressorName>,
) -> Result<Vec<Method>, Failure> {
    let chosen = |m: &Method| protocols.is_empty() || protocols.contains(&m.protocol);
    let Some(compressor) = compressor else {
        return Ok(DEFAULT.into_iter().filter(chosen).collect());
    };
    let name = clap::ValueEnum::to_possible_value(&compressor);
    let name = name.map_or(String::new(), |n| n.get_name().to_owned());
    let &[protocol] = protocols else {
        return Err(bad(
            "compressor",
            name,
            "needs exactly one protocol in --protocol",
        ));
    };
    let rule = match (protocol, compressor) {
        (_, CompressorName::Identity)
        | (ProtocolName::Ef21, CompressorName::TopK | CompressorName::Sign) => None,
        (ProtocolName::Gd, _) => Some("is not for gradient descent, which sends full gradients"),
        (ProtocolName::Ef21, _) => Some("is not contractive; EF21 takes top-k or identity"),
        (_, CompressorName::TopK | CompressorName::Sign) => {
            Some("is biased; MARINA and FedAvg take unbiased compressors")
        }
        _ => None,
    };
    match rule {
        Some(rule) => Err(bad("compressor", name, rule)),
        None => Ok(vec![Method {
            protocol,
            compressor,
        }]),
    }
}

/// Sizes of messages, and what else methods are built from.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Number of clients.
    pub clients: usize,
    /// Coordinates in a message; `d / clients` if absent.
    pub k: Option<usize>,
    /// Probability that a round of EF21 restarts.
    pub restart: f64,
    /// How FedAvg combines.
    pub aggregator: AggregatorName,
    /// The last clients whose models are far off.
    pub hostile: usize,
}

impl Rule {
    /// Coordinates in a message of a vector of length `d`.
    pub fn k(&self, d: usize) -> usize {
        self.k
            .unwrap_or_else(|| k_from_ratio(d, 1.0 / self.clients as f64))
    }

    /// Checks the rule for a dimension.
    ///
    /// # Errors
    /// `k` outside 1 to `d`; `restart` outside `[0, 1)`.
    pub fn check(&self, d: usize) -> Result<(), Failure> {
        let k = self.k(d);
        if !(1..=d).contains(&k) {
            let rule = format!("must be between 1 and the {d} parameters of the network");
            return Err(bad("k", k, &rule));
        }
        if !(0.0..1.0).contains(&self.restart) {
            let rule = "must be a probability below 1";
            return Err(bad("restart", self.restart, rule));
        }
        Ok(())
    }

    /// Checks that the methods can be run with the aggregator and the hostile clients.
    ///
    /// # Errors
    /// Hostile clients beyond FedAvg; an aggregator other than the mean for a protocol that adds up differences, or for a compressor that
    /// leaves most coordinates out.
    pub fn check_methods(&self, methods: &[Method]) -> Result<(), Failure> {
        let is_fed_avg = methods.iter().all(|m| m.protocol == ProtocolName::Fedavg);
        let is_sparse = methods.iter().any(|m| {
            matches!(
                m.compressor,
                CompressorName::PermK | CompressorName::RandK | CompressorName::RandSeqK
            )
        });
        let aggregator = self.aggregator;
        if aggregator != AggregatorName::Mean && !is_fed_avg {
            let rule = "needs --protocol fedavg; the others combine by the mean";
            return Err(bad("aggregator", aggregator, rule));
        }
        if aggregator != AggregatorName::Mean && is_sparse {
            let rule = "needs messages of all coordinates; most clients would count as zero";
            return Err(bad("aggregator", aggregator, rule));
        }
        if self.hostile > 0 && !(is_fed_avg && self.hostile <= self.clients) {
            let rule = "needs --protocol fedavg, and at most all clients";
            return Err(bad("hostile", self.hostile, rule));
        }
        Ok(())
    }
}

impl CompressorName {
    /// MARINA's probability of a full round: the share of the bits that a compressed message sends, so that both kinds of
    /// round cost the same on average.
    pub fn probability(self, k: usize, clients: usize, d: usize) -> f64 {
        match self {
            Self::Identity => 1.0,
            Self::PermK => 1.0 / clients.min(d) as f64,
            Self::RandK | Self::RandSeqK | Self::TopK => k as f64 / d as f64,
            Self::Natural => share(&Natural, d),
            Self::Qsgd => share(&Dithering::qsgd(15), d),
            Self::Sign => share(&Sign, d),
        }
    }
}

/// Builds a method for a problem.
pub fn build(method: Method, problem: &Problem, rule: Rule, step: f64) -> Exchange {
    let d = problem.dim();
    let (k, n) = (rule.k(d), problem.clients());
    let run = Run {
        seed: problem.seed(),
        clients: n as u32,
    };
    let compressor: Box<dyn Compressor<f32> + Sync> = match method.compressor {
        CompressorName::Identity => Box::new(Identity),
        CompressorName::PermK => Box::new(run.perm_k()),
        CompressorName::RandK => Box::new(RandK::new(k)),
        CompressorName::RandSeqK => Box::new(RandSeqK::new(k)),
        CompressorName::TopK => Box::new(TopK { k }),
        CompressorName::Natural => Box::new(Natural),
        CompressorName::Qsgd => Box::new(Dithering::qsgd(15)),
        CompressorName::Sign => Box::new(Sign),
    };
    let step_size = step as f32;
    let protocol: Box<dyn Protocol<f32> + Sync> = match method.protocol {
        ProtocolName::Gd | ProtocolName::Marina => Box::new(marina::Config {
            run,
            step_size,
            probability: method.compressor.probability(k, n, d),
            compressor,
        }),
        ProtocolName::Ef21 => Box::new(ef21::Config {
            run,
            step_size,
            restart: rule.restart,
            compressor,
        }),
        ProtocolName::Fedavg => Box::new(fed_avg::Config {
            run,
            server_learning_rate: 1.0,
            compressor,
            aggregator: rule.aggregator.build(),
        }),
    };
    Exchange {
        protocol,
        training: (method.protocol == ProtocolName::Fedavg).then_some(step),
        honest: n.saturating_sub(rule.hostile),
    }
}

/// Bits of a message over those of all numbers.
fn share(compressor: &impl Compressor<f32>, d: usize) -> f64 {
    compressor.bits(d) as f64 / (32 * d) as f64
}
