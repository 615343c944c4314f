//! NTK-FL: clients send the Jacobian of each sample, the server descends in function space on all of them at once.
//!
//! ```text
//! server broadcasts w (Model); client m sends, for its N_m samples, the classes (Labels), f_m = f(X_m; w) (Logits)
//!   and row by row J_i = df(x_i; w)/dw, C x P (Jacobian, or QuantisedJacobian)
//! H_ij = (1/C) sum_c <J_ic, J_jc>                      N x N, N = sum_m N_m
//! cross-entropy: df/dt = -(1/N) H (softmax(f) - Y)     squared: df/dt = -(1/(N C)) H (f - Y)        f(0) = f
//! S(t) = integral of the residual from 0 to t,         w(t) = w - (1/N) sum_ic S_ic(t) J_ic    (squared: 1/(N C))
//! server broadcasts w(t) for each t of a list (Candidate), clients return the sums of their losses (Losses)
//! w <- the w(t) of least mean loss, w itself among them; of equal ones that of the least t
//! ```
//!
//! | symbol | what |
//! |---|---|
//! | `C`, `P` | outputs and parameters of the model |
//! | `N_m`, `N` | samples of a client, of all clients in the round |
//! | `t` | time of the flow: the rate times the number of the publication's virtual steps |
//!
//! Choosing among models by the loss of the linear model always takes the latest time, which overshoots: the real losses decide, those of the
//! clients ([`accept_losses`]), or those on a validation set that the server has ([`choose_by`]).
//!
//! # Roles
//! | module | role | holds |
//! |---|---|---|
//! | [`client`] | has samples and a model | `P` numbers and the losses of the candidates; one row at a time |
//! | [`server`] | has the rows of a round | [`server_len`] numbers |
//! | [`key_server`] | hands the seed of the projection to the clients, encrypted for each | the seed |
//! | [`shuffler`] | permutes the rows before the server sees them | [`shuffler::len`] bytes |
//!
//! CP-NTK-FL is four switches, each without the others: a client [samples](sample_into) a fraction of its rows in each round, [projects](projection)
//! its inputs by a matrix that only clients can draw, sends the large elements of each row [quantised](Rows::Quantised), and
//! sends through a shuffler.
//!
//! # What the server learns
//! No function of the server takes inputs, but **plain NTK-FL discloses them**: `df_c/dW1[h, :] = W2[c, h] x` for each active unit `h` of
//! a network with one hidden layer. With the projection the server learns `P^T x` only, and with the shuffler not whose it is. Both hold
//! as long as the roles do not share what they know. The generators of this crate are not cryptographic.
//!
//! # Bits
//! Up, for each client and round: `B N_m C P + B N_m C + N_m ceil(log2 C)` and `B (|times| + 1)` for the losses; down: `B P (1 + |times|)`. FedAvg
//! sends `B P` each way, `N_m C` times less up. The [`Ledger`](super::Ledger) counts what is sent.
//!
//! Reference: Yue, Jin, Pilgrim, Wong, Baron, Dai, *Neural tangent kernel empowered federated learning*, ICML 2022. The protocol is that of the
//! authors' code, with three differences: the residual is integrated where the code adds up its values at `0, eta, 2 eta, ..`; the model of the round is a candidate;
//! and the linear solution is that of the kernel flow, without a stored trajectory.

mod arrival;
pub mod client;
pub mod key_server;

pub mod projection;
mod row;
pub mod server;
pub mod shuffler;

pub use client::Client;
pub use server::{
    Server, accept, accept_losses, broadcast, choose, choose_by, evolve, server_len, skip,
};

use rand_core::Rng;

use super::Run;
use crate::error::check;
use crate::model::Loss;
use crate::random::{self, Purpose};
use crate::solve::Tolerance;
use crate::wire::{Dtype, Kept, Kind, encoded_len};
use crate::{Error, Real};

/// Times of the publication: `eta = 0.01` and `tau` = 100, 200, .., 1000, 1500, 2000.
pub const PUBLISHED_TIMES: [f64; 12] = [
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0,
];

/// What server and clients agree on.
///
/// ```
/// use thalweg::federated::{Run, ntk};
/// let config = ntk::Config::new(Run { seed: 1, clients: 20 }, 10, &[1.0, 2.0, 5.0]);
/// assert_eq!(config.tolerance.relative, 1e-3);
/// assert!(config.validate().is_ok());
/// assert!(ntk::Config { times: &[2.0, 1.0], ..config }.validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config<'a> {
    /// Seed and number of clients of a round.
    pub run: Run,
    /// Outputs `C` of the model, at least 2.
    pub outputs: u32,
    /// Cross-entropy, or half the mean square against one-hot classes.
    pub loss: Loss,
    /// Times `t = eta tau` to choose from, positive and increasing. Those of the publication are [`PUBLISHED_TIMES`].
    pub times: &'a [f64],
    /// How a row is sent.
    pub rows: Rows,
    /// Tolerance of the integration in function space.
    pub tolerance: Tolerance,
}

/// How the Jacobian of a sample is sent.
///
/// ```
/// use thalweg::federated::ntk::Rows;
/// // The tenth of 24,100 elements that is largest, in levels of 8 bits, with 15 bits of index and one of sign each.
/// assert!(Rows::Quantised { keep: 0.1, bits: 8 }.bits::<f32>(24_100) <= 2410 * (8 + 1 + 15) + 96);
/// assert_eq!(Rows::Dense.bits::<f32>(24_100), 32 * 24_100);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rows {
    /// All elements.
    #[default]
    Dense,
    /// The elements above the `ceil(keep C P)`-th magnitude, each as a sign and the nearest of `2^bits` levels between the least and the
    /// largest magnitude that is kept. With `keep = 1` all that are not zero.
    Quantised {
        /// Fraction, above 0, at most 1.
        keep: f64,
        /// Bits of a level, 1 to 24.
        bits: u32,
    },
}

impl Rows {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    pub fn validate(&self) -> Result<(), Error> {
        let Self::Quantised { keep, bits } = *self else {
            return Ok(());
        };
        check(
            "keep",
            keep > 0.0 && keep <= 1.0,
            "must be above 0 and at most 1",
        )?;
        check(
            "bits",
            (1..=Kept::MAX_BITS).contains(&bits),
            "must be between 1 and 24",
        )
    }

    /// Elements of a row of `len` that may be sent: length of the buffers of values and indices.
    #[must_use]
    pub fn count(&self, len: usize) -> usize {
        match *self {
            Self::Dense => 0,
            // A fraction of at most 1 of a length; the product of a float and its rounding up are at most the length and one.
            Self::Quantised { keep, .. } => (libm::ceil(keep * len as f64) as usize).min(len),
        }
    }

    /// Bits of the longest row of `len` elements.
    #[must_use]
    pub fn bits<T: Real>(&self, len: u32) -> u64 {
        let (kind, k) = self.frame(len);
        crate::wire::payload_bits(kind, Dtype::of::<T>(), len, k)
    }

    /// Bytes of the frame of the longest row of `len` elements.
    #[must_use]
    pub fn frame_len<T: Real>(&self, len: u32) -> usize {
        let (kind, k) = self.frame(len);
        encoded_len(kind, Dtype::of::<T>(), len, k)
    }

    fn frame(&self, len: u32) -> (Kind, u32) {
        match *self {
            Self::Dense => (Kind::Jacobian, 0),
            Self::Quantised { bits, .. } => {
                let count = self.count(len as usize) as u32;
                (Kind::QuantisedJacobian, Kept { bits, count }.code())
            }
        }
    }
}

impl<'a> Config<'a> {
    /// Cross-entropy, dense rows, tolerances of 1e-3.
    #[must_use]
    pub fn new(run: Run, outputs: u32, times: &'a [f64]) -> Self {
        Self {
            run,
            outputs,
            loss: Loss::CrossEntropy,
            times,
            rows: Rows::Dense,
            tolerance: Tolerance::default(),
        }
    }

    /// Checks the ranges of the fields.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    pub fn validate(&self) -> Result<(), Error> {
        check("clients", self.run.clients > 0, "must be at least 1")?;
        check("outputs", self.outputs >= 2, "must be at least 2")?;
        let times = self.times;
        let rises = times.is_sorted_by(|a, b| a < b) && times.iter().all(|t| t.is_finite());
        let starts = times.first().is_some_and(|&t| t > 0.0) && times.len() < 1 << 16;
        check(
            "times",
            rises && starts,
            "must be finite, positive, increasing, at least one",
        )?;
        self.rows.validate()?;
        self.tolerance.validate()
    }

    /// Elements of a row, `C P`.
    fn row_len(&self, parameters: usize) -> Result<u32, Error> {
        let len = (parameters as u64).saturating_mul(self.outputs.into());
        u32::try_from(len).map_err(|_| Error::Parameter {
            name: "params",
            rule: "must have fewer than 2^32 elements times outputs",
        })
    }

    /// Bytes of the longest frame of a run, for `samples` samples of a client (of all clients where there is a shuffler).
    ///
    /// ```
    /// use thalweg::federated::{Run, ntk};
    /// let config = ntk::Config::new(Run { seed: 1, clients: 20 }, 10, &[1.0]);
    /// assert_eq!(config.frame_len::<f32>(2410, 7), 52 + 4 * 24_100);
    /// assert_eq!(config.frame_len::<f32>(1, 1000), 52 + 4 * 10_000);
    /// ```
    #[must_use]
    pub fn frame_len<T: Real>(&self, parameters: usize, samples: u32) -> usize {
        let dtype = Dtype::of::<T>();
        let p = u32::try_from(parameters).unwrap_or(u32::MAX);
        let row = self.row_len(parameters).unwrap_or(u32::MAX);
        let losses = u32::try_from(self.times.len()).map_or(u32::MAX, |n| n.saturating_add(1));
        [
            self.rows.frame_len::<T>(row),
            encoded_len(Kind::Model, dtype, p, p),
            encoded_len(Kind::Labels, dtype, self.outputs, samples),
            encoded_len(Kind::Logits, dtype, self.outputs, samples),
            encoded_len(Kind::Losses, dtype, losses, losses),
        ]
        .into_iter()
        .fold(0, usize::max)
    }
}

/// Draws which of `n` rows a client uses in a round: `max(1, round(fraction n))` of them, in increasing order; returns the number.
///
/// `out` and `scratch` are as long as [`random::sample_scratch_len`]`(n)`. With `fraction = 1` all rows, in order.
///
/// # Errors
/// [`Error::Parameter`] for a fraction that is not above 0 and at most 1, and for no rows; [`Error::Length`] for short buffers.
///
/// ```
/// use thalweg::federated::ntk::sample_into;
/// use thalweg::random::{Purpose, sample_scratch_len, stream};
/// let (mut rows, mut scratch) = ([0; 16], [0; sample_scratch_len(8)]);
/// let rng = &mut stream(1, 0, 3, Purpose::BATCH);
/// assert_eq!(sample_into(rng, 0.5, 8, &mut rows, &mut scratch)?, 4);
/// assert!(rows[..4].is_sorted_by(|a, b| a < b) && rows[3] < 8);
/// assert_eq!(sample_into(rng, 0.01, 8, &mut rows, &mut scratch)?, 1);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn sample_into(
    rng: &mut impl Rng,
    fraction: f64,
    n: u32,
    out: &mut [u32],
    scratch: &mut [u32],
) -> Result<usize, Error> {
    check(
        "fraction",
        fraction > 0.0 && fraction <= 1.0,
        "must be above 0 and at most 1",
    )?;
    check("n", n > 0, "must be at least 1")?;
    let count = (libm::round(fraction * f64::from(n)) as usize).clamp(1, n as usize);
    let out = crate::memory::front("out", out, count)?;
    random::sample_into(rng, n, out, scratch)?;
    out.sort_unstable();
    Ok(count)
}

/// The stream of a client's [sample](sample_into) of rows in a round.
///
/// ```
/// use rand_core::Rng;
/// use thalweg::federated::ntk::sample_stream;
/// assert_ne!(sample_stream(1, 2, 3).next_u64(), sample_stream(1, 3, 3).next_u64());
/// ```
#[must_use]
pub fn sample_stream(seed: u64, round: u64, client: u32) -> random::Stream {
    random::stream(seed, round, client.into(), Purpose::BATCH)
}
