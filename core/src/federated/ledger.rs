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
    /// Sum over rounds of the broadcast, counted once a round (each client receives it); a model for one client that
    /// rejoins is not counted.
    pub downlink: u64,
    /// Headers and checks of the frames that are counted, in bytes.
    pub overhead_bytes: u64,
    /// Rounds closed.
    pub rounds: u64,
    /// Bits of the largest reply of the open round, fewer than 2^63, and [`ANNOUNCED`].
    open: u64,
}

/// The broadcast of the open round has been counted.
const ANNOUNCED: u64 = 1 << 63;

impl Ledger {
    /// Numbers that a saved state holds.
    pub(super) const WORDS: usize = 6;

    /// Counts a reply.
    pub fn uplink(&mut self, header: &Header) {
        self.uplink_frames(
            payload_bits(header.kind, header.dtype, header.d, header.k),
            1,
        );
    }

    /// Counts a reply of several frames, which have so many bits together.
    pub(super) fn uplink_frames(&mut self, bits: u64, frames: u64) {
        let bits = bits.min(!ANNOUNCED);
        self.uplink_total = self.uplink_total.saturating_add(bits);
        self.open = (self.open & ANNOUNCED) | (self.open & !ANNOUNCED).max(bits);
        self.overhead(frames);
    }

    /// Counts a second reply of a client, as long for all of them; `of_largest` once a round, when it adds to the largest reply too.
    pub(super) fn uplink_also(&mut self, header: &Header, of_largest: bool) {
        let bits = payload_bits(header.kind, header.dtype, header.d, header.k);
        self.uplink_total = self.uplink_total.saturating_add(bits);
        if of_largest {
            let largest = (self.open & !ANNOUNCED)
                .saturating_add(bits)
                .min(!ANNOUNCED);
            self.open = (self.open & ANNOUNCED) | largest;
        }
        self.overhead(1);
    }

    /// Counts a broadcast in addition to the one that opens the round.
    pub(super) fn downlink_also(&mut self, header: &Header) {
        let bits = payload_bits(header.kind, header.dtype, header.d, header.k);
        self.downlink = self.downlink.saturating_add(bits);
        self.overhead(1);
    }

    const fn overhead(&mut self, frames: u64) {
        let bytes = frames.saturating_mul(OVERHEAD as u64);
        self.overhead_bytes = self.overhead_bytes.saturating_add(bytes);
    }

    /// Counts a broadcast, once a round: sent again, it is the same one.
    pub fn broadcast(&mut self, header: &Header) {
        if self.open & ANNOUNCED != 0 {
            return;
        }
        self.open |= ANNOUNCED;
        self.downlink_also(header);
    }

    /// Ends a round.
    pub fn close_round(&mut self) {
        self.uplink_max = self.uplink_max.saturating_add(self.open & !ANNOUNCED);
        self.open = 0;
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
            self.open,
        ]
    }

    pub(super) const fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [
            uplink_max,
            uplink_total,
            downlink,
            overhead_bytes,
            rounds,
            open,
        ] = words;
        Self {
            uplink_max,
            uplink_total,
            downlink,
            overhead_bytes,
            rounds,
            open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Dtype, Kind};

    #[test]
    fn the_largest_reply_of_a_round_is_kept_and_a_broadcast_counted_once_wherever_it_comes() {
        let header = |k| Header::new(Kind::RandK, Dtype::F32, 100, k);
        let model = Header::new(Kind::Model, Dtype::F32, 100, 100);
        let mut ledger = Ledger::default();
        for round in 1..=3 {
            ledger.uplink(&header(4));
            ledger.broadcast(&model);
            ledger.uplink(&header(9));
            ledger.broadcast(&model);
            ledger.uplink(&header(2));
            ledger.close_round();
            let expected = Ledger {
                uplink_max: round * 9 * 32,
                uplink_total: round * (4 + 9 + 2) * 32,
                downlink: round * 100 * 32,
                overhead_bytes: round * 4 * 52,
                rounds: round,
                open: 0,
            };
            assert_eq!(ledger, expected);
        }
        assert_eq!(ledger.uplink_mean(5), 3.0 * 15.0 * 32.0 / 5.0);
        assert_eq!(Ledger::default().uplink_mean(0), 0.0);
    }
}
