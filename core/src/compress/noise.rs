//! Uniform numbers for compressors that round at random.

use super::Key;
use crate::Real;
use crate::random::{self, NoiseStream, Purpose, RandomMap};

/// The numbers of one key: element `i` of a vector always meets number `i`.
#[derive(Debug)]
pub struct Noise(NoiseStream);

impl Noise {
    pub(super) fn new(key: Key) -> Self {
        let client = u64::from(key.client);
        let mut stream = random::stream(key.seed, key.round, client, Purpose::COMPRESSOR);
        Self(NoiseStream::new(&mut stream))
    }

    /// Writes `body` of each element and its number in `[1, 2)`.
    pub(super) fn map<T: Real, B: RandomMap<T>>(&mut self, body: B, x: &[T], out: &mut [B::Out]) {
        self.0.map(body, x, out);
    }
}
