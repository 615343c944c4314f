//! FedNova: FedAvg whose clients may take different numbers of local steps without pulling the average towards the busiest.
//!
//! ```text
//! d_i = (y_i - x^r) / tau_i                            tau_i local steps of client i, p_i its share of the samples
//! x^(r+1) = x^r + eta tau_eff sum_i p_i d_i,           tau_eff = sum_i p_i tau_i
//! ```
//! Clients divide their change by their number of steps, and the server's step has the factor `tau_eff`: a client knows its own number,
//! the server all of them. With equal numbers it is [`fed_avg`], up to rounding; exactly for powers of two. Local steps are
//! those of plain SGD.
//!
//! Reference: Wang, Liu, Liang, Joshi, Poor, *Tackling the objective inconsistency problem in heterogeneous federated optimization*, NeurIPS
//! 2020, equation 8.
//!
//! ```
//! use thalweg::aggregate::Mean;
//! use thalweg::compress::{Buffers, Identity};
//! use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
//! use thalweg::federated::{Run, decode, fed_avg, fed_nova};
//! let average = fed_avg::Config { run: Run { seed: 0, clients: 2 }, server_learning_rate: 1.0_f32, compressor: Identity, aggregator: Mean };
//! // Three steps on 30 samples, one on 10.
//! let effective_steps = fed_nova::effective_steps([(30, 3), (10, 1)])?;
//! assert_eq!(effective_steps, 2.5);
//! let server_config = fed_nova::Config { average, steps: 1, effective_steps };
//! let mut server = Server::new(&server_config, &[1.0], [0.0; 2])?;
//! let (mut down, mut up) = ([0; 64], [0; 64]);
//! let len = broadcast(&server_config, &mut server, &mut down)?;
//! for (id, samples, steps, trained) in [(0, 30, 3, 4.0), (1, 10, 1, 5.0)] {
//!     let config = fed_nova::Config { steps, ..server_config };
//!     let mut client = Client::new(&config, id, [0.0])?;
//!     receive(&config, &mut client, &decode::<f32>(&down[..len], 1)?)?;
//!     let len = reply(&config, &mut client, &mut [trained], Buffers::default(), &mut up)?;
//!     accept(&server_config, &mut server, samples, &decode::<f32>(&up[..len], 1)?, Buffers::values(&mut [0.0]))?;
//! }
//! finish(&server_config, &mut server)?;
//! assert_eq!(server.params(), [1.0 + 2.5 * (0.75 * 1.0 + 0.25 * 4.0)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::aggregate::{Aggregator, Mean};
use crate::compress::{Buffers, Compressor};
use crate::error::check;
use crate::{Error, Real, wire};

use super::protocol::Place;
use super::{Protocol, ProtocolError, Run, fed_avg};

/// FedAvg, the steps of a client, and those of all.
///
/// ```
/// use thalweg::{aggregate::Mean, compress::Identity, federated::{Protocol, Run, fed_avg, fed_nova::Config}};
/// let average = fed_avg::Config { run: Run { seed: 0, clients: 2 }, server_learning_rate: 1.0_f32, compressor: Identity, aggregator: Mean };
/// assert_eq!(Config { average, steps: 3, effective_steps: 2.5 }.step(), 2.5);
/// assert!(Config { average, steps: 0, effective_steps: 2.5 }.validate(3).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config<T, C, A = Mean> {
    /// What it has in common with FedAvg.
    pub average: fed_avg::Config<T, C, A>,
    /// Local steps `tau_i` of this client, at least 1; the server does not look at it.
    pub steps: u32,
    /// `tau_eff`, of [`effective_steps`]; clients do not look at it.
    pub effective_steps: f64,
}

/// `sum_i p_i tau_i` of the samples and steps of the clients of a round.
///
/// # Errors
/// [`Error::Parameter`] without samples.
///
/// ```
/// assert_eq!(thalweg::federated::fed_nova::effective_steps([(1, 4), (3, 8)])?, 7.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn effective_steps(clients: impl IntoIterator<Item = (u32, u32)>) -> Result<f64, Error> {
    let add = |[sum, total]: [f64; 2], (samples, steps): (u32, u32)| {
        [
            sum + f64::from(samples) * f64::from(steps),
            total + f64::from(samples),
        ]
    };
    let [sum, total] = clients.into_iter().fold([0.0; 2], add);
    check("samples", total > 0.0, "must be at least 1 of all clients")?;
    Ok(sum / total)
}

impl<T: Real, C: Compressor<T>, A: Aggregator<T>> Protocol<T> for Config<T, C, A> {
    fn run(&self) -> Run {
        self.average.run
    }

    fn step(&self) -> T {
        self.average.server_learning_rate * T::from_f64(self.effective_steps)
    }

    fn compressor(&self) -> &dyn Compressor<T> {
        &self.average.compressor
    }

    fn aggregator(&self) -> &dyn Aggregator<T> {
        &self.average.aggregator
    }

    fn keeps_estimate(&self) -> bool {
        false
    }

    fn is_full(&self, _: u64) -> bool {
        false
    }

    fn weight(&self, samples: u32) -> u32 {
        samples
    }

    fn validate(&self, d: usize) -> Result<(), Error> {
        self.average.validate(d)?;
        check("steps", self.steps > 0, "must be at least 1")?;
        let effective = self.effective_steps;
        let rule = "must be finite and positive";
        check(
            "effective_steps",
            effective.is_finite() && effective > 0.0,
            rule,
        )
    }

    fn reply(
        &self,
        place: Place<'_, T>,
        trained: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        // Positive, as `validate` has checked.
        let steps = T::from_f64(self.steps.into());
        for (y, &x) in trained.iter_mut().zip(place.params) {
            *y = (*y - x) / steps;
        }
        let message = self
            .average
            .compressor
            .compress(place.key, trained, buffers)?;
        wire::message::encode_into(&message, place.key, place.d, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Identity;
    use crate::federated::decode;
    use crate::federated::machine::{
        Client, Server, accept, broadcast, finish, receive, reply as answer,
    };

    #[test]
    fn changes_are_divided_by_steps_and_the_mean_is_multiplied_by_those_in_effect() {
        let effective_steps = effective_steps([(1, 4), (3, 1)]).unwrap();
        let of_server = Config {
            average: fed_avg::Config {
                run: Run {
                    seed: 0,
                    clients: 2,
                },
                server_learning_rate: 1.0,
                compressor: Identity,
                aggregator: Mean,
            },
            steps: 1,
            effective_steps,
        };
        let mut server = Server::new(&of_server, &[1.0], [0.0_f64; 2]).unwrap();
        let (mut down, mut up) = ([0; 64], [0; 64]);
        let len = broadcast(&of_server, &mut server, &mut down).unwrap();
        for (id, samples, steps, trained) in [(0, 1, 4, 3.0), (1, 3, 1, 2.0)] {
            let config = Config { steps, ..of_server };
            let mut client = Client::new(&config, id, [0.0]).unwrap();
            let frame = decode::<f64>(&down[..len], 1).unwrap();
            receive(&config, &mut client, &frame).unwrap();
            let mut trained = [trained];
            let len = answer(
                &config,
                &mut client,
                &mut trained,
                Buffers::default(),
                &mut up,
            );
            let frame = decode::<f64>(&up[..len.unwrap()], 1).unwrap();
            let mut values = [0.0];
            let buffers = Buffers::values(&mut values);
            accept(&of_server, &mut server, samples, &frame, buffers).unwrap();
        }
        finish(&of_server, &mut server).unwrap();
        // 1 + 7/4 ((3 - 1)/4 / 4 + 3/4 (2 - 1))
        assert_eq!(server.params(), [2.53125]);
    }
}
