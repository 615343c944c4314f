//! Uniform numbers for compressors that round at random, a chunk of the vector at a time.

use super::Key;
use crate::Real;
use crate::random::{self, Lanes32, Purpose};

/// Elements handled at a time; a multiple of the 32 logical lanes.
pub(super) const CHUNK: usize = 256;

/// The numbers of one key: element `i` of a vector always meets number `i`.
pub(super) struct Noise(Lanes32);

impl Noise {
    pub(super) fn new(key: Key) -> Self {
        let client = u64::from(key.client);
        let mut stream = random::stream(key.seed, key.round, client, Purpose::COMPRESSOR);
        Self(Lanes32::new(&mut stream))
    }

    /// Numbers in `[1, 2)`: the bits below the exponent are uniform.
    pub(super) fn fill<T: Real>(&mut self, out: &mut [T; CHUNK]) {
        let one = T::ONE.to_bits_u64();
        let (mut high, mut low) = ([0_u32; CHUNK], [0_u32; CHUNK]);
        self.0.fill_u32(&mut high);
        if T::BYTES == 4 {
            for (o, high) in out.iter_mut().zip(high) {
                *o = T::from_bits_u64(one | u64::from(high) >> (32 - T::MANTISSA_BITS));
            }
        } else {
            self.0.fill_u32(&mut low);
            for ((o, high), low) in out.iter_mut().zip(high).zip(low) {
                let word = u64::from(high) << 32 | u64::from(low);
                *o = T::from_bits_u64(one | word >> (64 - T::MANTISSA_BITS));
            }
        }
    }
}
