//! Frames out of a stream of bytes, and checkpoints in a flash memory.

use core::convert::Infallible;

use thalweg::optim::{Optimiser, State, sgd};
use thalweg::snapshot::{Field, Flash, Slots, Snapshot};
use thalweg::wire::{Body, Deframer, Dtype, Header, Kind, encode_into};

use crate::{Hash, MISSING, Outcome, paint};

/// A flash memory in RAM.
#[derive(Clone)]
struct Memory([u8; 512]);

impl Memory {
    fn part(&mut self, from: u32, len: usize) -> &mut [u8] {
        let from = from as usize;
        self.0
            .get_mut(from..from.saturating_add(len))
            .unwrap_or_default()
    }
}

impl Flash for Memory {
    type Error = Infallible;
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 128;

    fn capacity(&self) -> usize {
        self.0.len()
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        let part = self.part(offset, bytes.len());
        bytes
            .iter_mut()
            .zip(part)
            .for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        self.part(from, to.saturating_sub(from) as usize).fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        let part = self.part(offset, bytes.len());
        part.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to &= *from);
        Ok(())
    }
}

pub(super) fn checkpoints(hash: &mut Hash) -> Outcome {
    if Field::U64.saved_len() != 16 {
        return Err(MISSING);
    }
    let mut buffer = [0; 256];
    let mut state = State::new([0.0_f32; 7]);
    let config = sgd::Config {
        momentum: 0.5,
        ..sgd::Config::new(0.25)
    };
    let (mut x, mut g) = ([0.0; 7], [0.0; 7]);
    let mut slots = Slots::open(Memory([0xff; 512]), &mut buffer)?;
    hash.size(Slots::<Memory>::buffer_len(state.snapshot_len()));
    for i in 0..3 {
        paint(&mut g, 300 + i);
        config.step(&mut state, &mut x, &g)?;
        hash.word(slots.save(&state, &mut buffer)?);
    }
    let mut slots = Slots::open(slots.release(), &mut buffer)?;
    hash.word(slots.sequence().unwrap_or(u64::MAX));
    let mut other = State::new([0.0_f32; 7]);
    hash.word(slots.restore(&mut other, &mut buffer)?.unwrap_or(u64::MAX));
    hash.size(usize::from(other == state));
    hash.bytes(&slots.release().0);
    Ok(())
}

pub(super) fn stream(hash: &mut Hash) -> Outcome {
    let (mut x, mut bytes) = ([0.0_f32; 5], [0; 72]);
    paint(&mut x, 310);
    let header = Header {
        round: 3,
        ..Header::new(Kind::Dense, Dtype::F32, 5, 5)
    };
    let len = encode_into(&header, &Body::Values(&x), &mut bytes)?;
    let frame = bytes.get(..len).ok_or(MISSING)?;
    let mut memory = [0; 128];
    let at = Deframer::new(&mut memory[..]).position();
    let mut line = Deframer::resume(&mut memory[..], at)?;
    // Noise, a frame, half a frame, silence, a frame; five bytes at a time.
    let half = frame.get(..40).ok_or(MISSING)?;
    for part in [&[7; 9], frame, half, frame] {
        for piece in part.chunks(5) {
            let space = line.space();
            space
                .iter_mut()
                .zip(piece)
                .for_each(|(to, from)| *to = *from);
            line.filled(piece.len());
            while let Some(found) = line.next() {
                hash.bytes(found.unwrap_or(&[0xee]));
            }
        }
        hash.size(usize::from(line.expire()));
    }
    hash.size(line.pending());
    hash.word(line.skipped());
    line.clear();
    Ok(())
}
