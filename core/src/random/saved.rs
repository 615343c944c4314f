//! Generators as saved states: their words.

use super::{NoiseStream, Stream};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};

/// Refuses the words of a xoshiro generator that stands still.
fn check_alive(is_alive: bool) -> Result<(), SnapshotError> {
    if is_alive {
        Ok(())
    } else {
        Err(SnapshotError::Value {
            name: "state",
            rule: "must not be all zeros",
        })
    }
}

const STREAM: [u8; 4] = *b"STRM";
const STREAM_FIELDS: [Field; 1] = [Field::words::<u64>(4)];

impl Snapshot for Stream {
    fn snapshot_len(&self) -> usize {
        saved_len(&STREAM_FIELDS)
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, STREAM, 1)?;
        writer.words(&self.state())?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, STREAM, 1, &STREAM_FIELDS)?;
        let mut words = [0; 4];
        reader.words_into(&mut words)?;
        check_alive(words != [0; 4])?;
        reader.finish()?;
        *self = Self::from_state(words);
        Ok(())
    }
}

const LANES: [u8; 4] = *b"LA32";
const LANES_FIELDS: [Field; 1] = [Field::words::<u32>(4 * crate::simd::LANES)];

impl Snapshot for NoiseStream {
    fn snapshot_len(&self) -> usize {
        saved_len(&LANES_FIELDS)
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, LANES, 1)?;
        writer.words(self.state().as_flattened())?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, LANES, 1, &LANES_FIELDS)?;
        let mut words = [[0; crate::simd::LANES]; 4];
        reader.words_into(words.as_flattened_mut())?;
        let restored = Self::from_state(words);
        // A lane of zeros is the one that `from_state` replaces.
        check_alive(restored.state() == words)?;
        reader.finish()?;
        *self = restored;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Purpose, stream};
    use super::*;
    use rand_core::Rng;
    use std::vec;

    #[test]
    fn restored_generators_continue_where_they_were_saved() {
        let mut rng = stream(7, 1, 2, Purpose::NOISE);
        let mut lanes = NoiseStream::new(&mut rng);
        lanes.fill_u32(&mut [0; 100]);
        let (mut a, mut b) = (vec![0; rng.snapshot_len()], vec![0; lanes.snapshot_len()]);
        assert_eq!(rng.save(&mut a), Ok(a.len()));
        assert_eq!(lanes.save(&mut b), Ok(b.len()));
        let mut other = stream(8, 0, 0, Purpose::NOISE);
        let mut others = NoiseStream::new(&mut other);
        other.restore(&a).unwrap();
        others.restore(&b).unwrap();
        let (mut x, mut y) = ([0; 77], [0; 77]);
        lanes.fill_u32(&mut x);
        others.fill_u32(&mut y);
        assert_eq!((x, rng.next_u64()), (y, other.next_u64()));
        // A damaged save changes nothing.
        let before = (other.clone(), others.clone());
        (a[40], b[40]) = (a[40] ^ 1, b[40] ^ 1);
        assert!(other.restore(&a).is_err() && others.restore(&b).is_err());
        assert_eq!((other, others), before);
    }

    #[test]
    fn a_generator_that_stands_still_is_not_restored() {
        let mut bytes = vec![0; 1024];
        let mut writer = Writer::new(&mut bytes, STREAM, 1).unwrap();
        writer.words(&[0_u64; 4]).unwrap();
        let len = writer.finish().unwrap();
        let mut rng = stream(1, 0, 0, Purpose::NOISE);
        let dead = Err(SnapshotError::Value {
            name: "state",
            rule: "must not be all zeros",
        });
        assert_eq!(rng.restore(&bytes[..len]), dead);
        assert_eq!(rng, stream(1, 0, 0, Purpose::NOISE));
        // One lane of 32.
        let mut words = [[1_u32; 32]; 4];
        words.iter_mut().for_each(|row| row[9] = 0);
        let mut writer = Writer::new(&mut bytes, LANES, 1).unwrap();
        writer.words(words.as_flattened()).unwrap();
        let len = writer.finish().unwrap();
        let mut lanes = NoiseStream::new(&mut rng);
        assert_eq!(lanes.restore(&bytes[..len]), dead);
    }
}
