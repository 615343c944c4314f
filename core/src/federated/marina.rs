//! MARINA: compressed gradient differences, with an occasional full gradient.
//!
//! ```text
//! g^0 = mean grad f_i(x^0)
//! x^{r} = x^{r-1} - gamma g^{r-1}
//! c_r ~ Bernoulli(p), one coin for all
//! c_r = 1:  client i sends grad f_i(x^r);                                g^r = mean of the messages
//! c_r = 0:  client i sends C_i(grad f_i(x^r) - grad f_i(x^{r-1}));       g^r = g^{r-1} + mean of the messages
//! ```
//!
//! The coin is drawn from the shared seed, so it costs no bit. With PermK the messages of a compressed round cover
//! every coordinate once and the multiplier `n` meets the mean's `1/n` as 1: `g_j <- g_j + D_owner(j),j` exactly. If the
//! clients' Hessians agree, `g^r` is the gradient of the mean at every round.
//!
//! Mean uplink bits per round and client, `B` bits a number, `zeta` numbers in a compressed message:
//! `B (p d + (1-p) zeta)`. Memory of a client: `x`, the previous gradient, the caller's gradient, one message.
//!
//! References: Gorbunov, Burlachenko, Li, Richtarik, "MARINA: faster non-convex distributed learning with compression", 2021,
//! Algorithm 1; Szlendak, Tyurin, Richtarik, "Permutation compressors", 2022, Algorithm 1.
//!
//! ```
//! use thalweg::compress::Buffers;
//! use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
//! use thalweg::federated::{Run, decode, marina};
//!
//! // f_i(x) = |x - a_i|^2 / 2 with a_0 = (0, 2), a_1 = (2, 0): equal Hessians, the minimum is (1, 1).
//! let a = [[0.0_f32, 2.0], [2.0, 0.0]];
//! let run = Run { seed: 3, clients: 2 };
//! let config = marina::Config { run, step_size: 0.5, probability: 0.5, compressor: run.perm_k() };
//! let mut server = Server::new(&config, &[4.0_f32, 4.0], [0.0; 6])?;
//! let mut clients = [Client::new(&config, 0, [0.0; 4])?, Client::new(&config, 1, [0.0; 4])?];
//! let (mut down, mut up, mut values) = ([0; 64], [0; 64], [0.0; 2]);
//! for _ in 0..20 {
//!     let len = broadcast(&config, &mut server, &mut down)?;
//!     for (client, a) in clients.iter_mut().zip(&a) {
//!         receive(&config, client, &decode::<f32>(&down[..len], 2)?)?;
//!         let x = client.params();
//!         let mut gradient = [x[0] - a[0], x[1] - a[1]];
//!         let len = reply(&config, client, &mut gradient, Buffers::values(&mut values), &mut up)?;
//!         accept(&config, &mut server, 1, &decode::<f32>(&up[..len], 2)?, Buffers::values(&mut values))?;
//!     }
//!     finish(&config, &mut server)?;
//! }
//! assert!((server.params()[0] - 1.0).abs() < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::compress::{Buffers, Compressor};
use crate::error::check;
use crate::real::kernels;
use crate::simd::{self, Lanes, Update};
use crate::{Error, Real, wire};

use super::protocol::{Place, is_full, validate};
use super::{Protocol, ProtocolError, Run};

/// Hyperparameters of MARINA.
///
/// ```
/// use thalweg::federated::{Protocol, Run, marina::Config};
/// let run = Run { seed: 1, clients: 4 };
/// let config = Config { run, step_size: 0.1_f32, probability: 0.25, compressor: run.perm_k() };
/// assert!(Protocol::<f32>::is_full(&config, 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config<T, C> {
    /// Seed and number of clients.
    pub run: Run,
    /// Step size `gamma`; the theory's is [`step_size::marina`](super::step_size::marina).
    pub step_size: T,
    /// Probability `p` of a full round, in `(0, 1]`; `zeta / d` balances full and compressed traffic.
    pub probability: f64,
    /// The operator of compressed rounds.
    pub compressor: C,
}

impl<T: Real, C: Compressor<T>> Protocol<T> for Config<T, C> {
    fn run(&self) -> Run {
        self.run
    }

    fn step(&self) -> T {
        -self.step_size
    }

    fn compressor(&self) -> &dyn Compressor<T> {
        &self.compressor
    }

    fn keeps_estimate(&self) -> bool {
        true
    }

    fn is_full(&self, round: u64) -> bool {
        is_full(self.run, round, self.probability)
    }

    fn validate(&self, d: usize) -> Result<(), Error> {
        validate(self.run, &self.compressor, ("step_size", self.step_size), d)?;
        let p = self.probability;
        check("probability", p > 0.0 && p <= 1.0, "must be in (0, 1]")
    }

    fn reply(
        &self,
        mut place: Place<'_, T>,
        gradient: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        T::Kernels::exchange(place.memory, gradient);
        let sent = match self.compressor.compress(place.key, gradient, buffers) {
            Ok(message) => wire::message::encode_into(&message, place.key, place.d, out),
            Err(error) => Err(error.into()),
        };
        if sent.is_err() {
            place.desynchronise();
        }
        sent
    }
}

/// `(previous, gradient) <- (gradient, gradient - previous)`.
#[derive(Clone, Copy)]
struct Exchange;
impl<T: Real> Update<T, 2, 0> for Exchange {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [previous, gradient]: [L; 2], _: [L; 0]) -> [L; 2] {
        [gradient, gradient - previous]
    }
}

kernels! {
    /// The difference of two gradients.
    trait Kernels<T> {
        fn exchange(previous: &mut [T], gradient: &mut [T]) {
            simd::update(&Exchange, [previous, gradient], []);
        }
    }
}
