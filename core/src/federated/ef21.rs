//! EF21: each client sends the compressed difference between its gradient and `h_i`, its running estimate.
//!
//! ```text
//! h_i^0 = grad f_i(x^0),  g^0 = mean h_i^0
//! x^r = x^{r-1} - gamma g^{r-1}
//! m_i = C(grad f_i(x^r) - h_i),  h_i <- h_i + m_i,  g^r = g^{r-1} + mean m_i
//! restart, with probability q:  h_i = grad f_i(x^r),  g^r = mean h_i
//! ```
//!
//! Made for contractive, biased compressors such as TopK, with which plain averaging does not converge. The invariant
//! `g = mean h_i` holds up to rounding; it drifts by about one unit in the last place a round.
//!
//! A client takes part as long as it replies to every round; one that is restarted with a [`Snapshot`](crate::snapshot::Snapshot) of the
//! round that it replied to last, from flash for instance, has the same bits. A client that missed a round or lost `h_i` is skipped
//! until the next restart (our addition to the algorithm). With q = 0, as in the reference, it never rejoins.
//! The server can send it the model but no `h_i`, since it keeps their mean, `d` numbers and not `n d`; the client's `h_i` may lack the
//! last message or have one that never arrived, and a fresh one would leave the old one in the mean. Without restarts the run
//! then ends where the gradients of the others and the last `h_i` of the lost client add up to zero. With them it is EF21 anew from where
//! it stands, with the distances `|grad f_i - h_i|` at zero: where all clients take part, the Lyapunov function of the theory only falls.
//!
//! Bits: `B d` once and at each restart, else one message a round. Memory of a client: `x`, `h_i`, the caller's gradient, one message.
//!
//! Reference: Richtarik, Sokolov, Fatkhullin, "EF21: a new, simpler, theoretically better, and practically faster error feedback", 2021,
//! Algorithm 2; started with full gradients.
//!
//! ```
//! use thalweg::compress::{Buffers, TopK};
//! use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
//! use thalweg::federated::{Run, decode, ef21};
//!
//! // f(x) = |x - (1, 2)|^2 / 2, one coordinate a round.
//! let config = ef21::Config { run: Run { seed: 0, clients: 1 }, step_size: 0.5, restart: 0.0, compressor: TopK { k: 1 } };
//! let mut server = Server::new(&config, &[0.0_f32; 2], [0.0; 6])?;
//! let mut client = Client::new(&config, 0, [0.0; 4])?;
//! let (mut frame, mut values, mut indices) = ([0; 64], [0.0; 8], [0; 8]);
//! for _ in 0..60 {
//!     let len = broadcast(&config, &mut server, &mut frame)?;
//!     receive(&config, &mut client, &decode::<f32>(&frame[..len], 2)?)?;
//!     let x = client.params();
//!     let mut gradient = [x[0] - 1.0, x[1] - 2.0];
//!     let buffers = Buffers { indices: &mut indices, ..Buffers::values(&mut values) };
//!     let len = reply(&config, &mut client, &mut gradient, buffers, &mut frame)?;
//!     accept(&config, &mut server, 1, &decode::<f32>(&frame[..len], 2)?, Buffers { indices: &mut indices, ..Buffers::values(&mut values) })?;
//!     finish(&config, &mut server)?;
//! }
//! assert!((server.params()[1] - 2.0).abs() < 1e-4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::compress::{Buffers, Compressor, Weight};
use crate::error::check;
use crate::real::kernels;
use crate::simd::{self, Lanes, Update};
use crate::{Error, Real, wire};

use super::protocol::{Place, is_full, validate};
use super::{Protocol, ProtocolError, Run};

/// Hyperparameters of EF21.
///
/// ```
/// use thalweg::compress::TopK;
/// use thalweg::federated::{Protocol, Run, ef21::Config};
/// let config = Config { run: Run { seed: 1, clients: 4 }, step_size: 0.1_f32, restart: 0.0, compressor: TopK { k: 2 } };
/// assert!(Protocol::<f32>::is_full(&config, 0) && !Protocol::<f32>::is_full(&config, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config<T, C> {
    /// Seed and number of clients.
    pub run: Run,
    /// Step size `gamma`; the theory's is [`step_size::ef21`](super::step_size::ef21).
    pub step_size: T,
    /// Probability `q` that a round restarts, in `[0, 1)`; 0 in the reference.
    pub restart: f64,
    /// The operator.
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
        is_full(self.run, round, self.restart)
    }

    fn validate(&self, d: usize) -> Result<(), Error> {
        validate(self.run, &self.compressor, ("step_size", self.step_size), d)?;
        let q = self.restart;
        check("restart", (0.0..1.0).contains(&q), "must be in [0, 1)")
    }

    fn reply(
        &self,
        place: Place<'_, T>,
        gradient: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        T::Kernels::distance(gradient, place.memory);
        let message = self.compressor.compress(place.key, gradient, buffers)?;
        let len = wire::message::encode_into(&message, place.key, place.d, out)?;
        // The last step, which nothing follows: a refused message leaves the memory alone.
        self.compressor
            .accumulate(place.key, &message, Weight::ONE, place.memory)?;
        Ok(len)
    }
}

/// `gradient <- gradient - h`.
#[derive(Clone, Copy)]
struct Distance;
impl<T: Real> Update<T, 1, 1> for Distance {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [gradient]: [L; 1], [h]: [L; 1]) -> [L; 1] {
        [gradient - h]
    }
}

kernels! {
    /// What EF21 compresses.
    trait Kernels<T> {
        fn distance(gradient: &mut [T], h: &[T]) {
            simd::update(&Distance, [gradient], [h]);
        }
    }
}
