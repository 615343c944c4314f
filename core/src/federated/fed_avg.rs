//! FedAvg: clients train on their own data, the server averages the changes of the model.
//!
//! ```text
//! server broadcasts x^r
//! client i trains from x^r to y_i and sends C_i(y_i - x^r)
//! x^{r+1} = x^r + eta * sum_i w_i C_i(y_i - x^r) / sum_i w_i          w_i: samples of client i
//! ```
//!
//! The mean is one of the [aggregators](crate::aggregate). With the median or the trimmed mean, a client that sends whatever it
//! likes moves the model no further than the others do; samples do not count then. With one full-batch step of local training this is Algorithm 1 of
//! Yin et al., "Byzantine-robust distributed learning: towards optimal statistical rates", 2018.
//!
//! With the identity, `eta = 1` and one full-batch step of local training it is gradient descent. Compressors must be
//! unbiased, or their bias stays; for contractive ones see [`ef21`](super::ef21).
//!
//! Reference: McMahan et al., "Communication-efficient learning of deep networks from decentralized data", 2017, Algorithm 1.
//!
//! ```
//! use thalweg::aggregate::Mean;
//! use thalweg::compress::{Buffers, Identity};
//! use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
//! use thalweg::federated::{Run, decode, fed_avg};
//! let config = fed_avg::Config { run: Run { seed: 0, clients: 2 }, server_learning_rate: 1.0, compressor: Identity, aggregator: Mean };
//! let mut server = Server::new(&config, &[1.0_f32], [0.0; 2])?;
//! let (mut down, mut up) = ([0; 64], [0; 64]);
//! let len = broadcast(&config, &mut server, &mut down)?;
//! for (id, samples, trained) in [(0, 30, 2.0), (1, 10, 6.0)] {
//!     let mut client = Client::new(&config, id, [0.0])?;
//!     receive(&config, &mut client, &decode::<f32>(&down[..len], 1)?)?;
//!     let len = reply(&config, &mut client, &mut [trained], Buffers::default(), &mut up)?;
//!     accept(&config, &mut server, samples, &decode::<f32>(&up[..len], 1)?, Buffers::values(&mut [0.0]))?;
//! }
//! finish(&config, &mut server)?;
//! assert_eq!(server.params(), [3.0]); // (30 * 2 + 10 * 6) / 40
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::aggregate::{Aggregator, Mean};
use crate::compress::{Buffers, Compressor};
use crate::{Error, Real, wire};

use super::protocol::{Place, validate};
use super::{Protocol, ProtocolError, Run};

/// Hyperparameters of FedAvg.
///
/// ```
/// use thalweg::{aggregate::Mean, compress::Identity, federated::{Protocol, Run, fed_avg::Config}};
/// let config = Config { run: Run { seed: 0, clients: 2 }, server_learning_rate: 1.0_f32, compressor: Identity, aggregator: Mean };
/// assert!(config.validate(3).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config<T, C, A = Mean> {
    /// Seed and number of clients.
    pub run: Run,
    /// Step `eta` along the mean change; 1 is plain averaging.
    pub server_learning_rate: T,
    /// The operator on the changes.
    pub compressor: C,
    /// How the server combines the changes.
    pub aggregator: A,
}

impl<T: Real, C: Compressor<T>, A: Aggregator<T>> Protocol<T> for Config<T, C, A> {
    fn run(&self) -> Run {
        self.run
    }

    fn step(&self) -> T {
        self.server_learning_rate
    }

    fn compressor(&self) -> &dyn Compressor<T> {
        &self.compressor
    }

    fn aggregator(&self) -> &dyn Aggregator<T> {
        &self.aggregator
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
        let rate = ("server_learning_rate", self.server_learning_rate);
        validate(self.run, &self.compressor, rate, d)
    }

    fn reply(
        &self,
        place: Place<'_, T>,
        trained: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        for (y, &x) in trained.iter_mut().zip(place.params) {
            *y -= x;
        }
        let message = self.compressor.compress(place.key, trained, buffers)?;
        wire::message::encode_into(&message, place.key, place.d, out)
    }
}
