//! How many bits were sent.

use crate::wire::{Header, OVERHEAD, payload_bits};

/// Counts of a run, kept by the server.
///
/// Bits are those of payloads without padding, as the literature counts them; `overhead_bytes` holds headers and
/// checks. Indices that both ends derive from the seed are not sent and not counted; those of TopK are.
///
/// ```
/// use thalweg::federated::Ledger;
/// use thalweg::wire::{Dtype, Header, Kind};
/// let mut ledger = Ledger::default();
/// ledger.uplink(&Header::new(Kind::PermK, Dtype::F32, 10, 4));
/// ledger.uplink(&Header::new(Kind::PermK, Dtype::F32, 10, 2));
/// ledger.close_round();
/// assert_eq!((ledger.uplink_max, ledger.uplink_total), (128, 192));
/// assert_eq!(ledger.uplink_mean(2), 96.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Sum over rounds of the largest message: "bits per client" of the literature.
    pub uplink_max: u64,
    /// Sum over rounds and clients.
    pub uplink_total: u64,
    /// Sum over rounds of the broadcast, counted once a round (each client receives it).
    pub downlink: u64,
    /// Headers and checks of all frames, in bytes.
    pub overhead_bytes: u64,
    /// Rounds closed.
    pub rounds: u64,
    largest: u64,
}

impl Ledger {
    /// Numbers that a saved state holds.
    pub(super) const WORDS: usize = 6;

    /// Counts a reply.
    pub fn uplink(&mut self, header: &Header) {
        let bits = payload_bits(header.kind, header.dtype, header.d, header.k);
        self.uplink_total = self.uplink_total.saturating_add(bits);
        self.largest = self.largest.max(bits);
        self.overhead_bytes = self.overhead_bytes.saturating_add(OVERHEAD as u64);
    }

    /// Counts a broadcast.
    pub fn broadcast(&mut self, header: &Header) {
        let bits = payload_bits(header.kind, header.dtype, header.d, header.k);
        self.downlink = self.downlink.saturating_add(bits);
        self.overhead_bytes = self.overhead_bytes.saturating_add(OVERHEAD as u64);
    }

    /// Ends a round.
    pub fn close_round(&mut self) {
        self.uplink_max = self.uplink_max.saturating_add(self.largest);
        self.largest = 0;
        self.rounds = self.rounds.saturating_add(1);
    }

    /// Mean uplink bits of one of `n` clients.
    #[must_use]
    pub fn uplink_mean(&self, n: u32) -> f64 {
        // At least one client: the divisor is positive.
        self.uplink_total as f64 / f64::from(n.max(1))
    }

    pub(super) const fn words(&self) -> [u64; Self::WORDS] {
        [
            self.uplink_max,
            self.uplink_total,
            self.downlink,
            self.overhead_bytes,
            self.rounds,
            self.largest,
        ]
    }

    pub(super) const fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [
            uplink_max,
            uplink_total,
            downlink,
            overhead_bytes,
            rounds,
            largest,
        ] = words;
        Self {
            uplink_max,
            uplink_total,
            downlink,
            overhead_bytes,
            rounds,
            largest,
        }
    }
}
