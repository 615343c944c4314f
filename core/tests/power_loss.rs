//! Power fails at every place where a checkpoint is written; the state restarts from the last good one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use rand_core::Rng;
use thalweg::optim::{Optimiser, State, adam};
use thalweg::random::{self, Purpose};
use thalweg::snapshot::{
    Field, Flash, Reader, Slots, SlotsError, Snapshot, SnapshotError, Writer, saved_len,
};
use thalweg::wire::crc32c;

const WORD: usize = 8;
const SECTOR: usize = 64;

/// How far the operation gets during which power fails.
#[derive(Clone, Copy, Debug)]
enum Torn {
    /// Nothing of it happens.
    None,
    /// Some of its bits change, chosen by this seed.
    Some(u64),
    /// All of them change, and nobody is told.
    All,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct PowerLoss;

/// NOR flash: an erasure sets a sector to ones, a write clears bits of a word; power fails at a given operation.
#[derive(Clone)]
struct Simulated {
    bytes: Vec<u8>,
    /// Operations, words and sectors, that are left before the failure; none for a supply that lasts.
    fuse: Option<usize>,
    torn: Torn,
    operations: usize,
}

impl Simulated {
    fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0xFF; capacity],
            fuse: None,
            torn: Torn::None,
            operations: 0,
        }
    }

    /// Moves bytes towards `target`; returns whether power lasted.
    fn operate(&mut self, at: usize, target: &[u8]) -> Result<(), PowerLoss> {
        let place = &mut self.bytes[at..at + target.len()];
        let fails = match &mut self.fuse {
            None => false,
            Some(0) => return Err(PowerLoss),
            Some(left) => {
                *left -= 1;
                *left == 0
            }
        };
        self.operations += 1;
        match self.torn {
            Torn::None if fails => {}
            Torn::Some(seed) if fails => {
                let mut rng = random::stream(seed, 0, 0, Purpose::DATA);
                for (byte, &target) in place.iter_mut().zip(target) {
                    let mask = rng.next_u32() as u8;
                    *byte = (*byte & !mask) | (target & mask);
                }
            }
            _ => place.copy_from_slice(target),
        }
        if fails { Err(PowerLoss) } else { Ok(()) }
    }

    /// The same flash under power again.
    fn restart(mut self) -> Self {
        (self.fuse, self.operations) = (None, 0);
        self
    }
}

impl Flash for Simulated {
    type Error = PowerLoss;
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    fn capacity(&self) -> usize {
        self.bytes.len()
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerLoss> {
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerLoss> {
        assert!(from.is_multiple_of(SECTOR as u32) && to.is_multiple_of(SECTOR as u32));
        for at in (from as usize..to as usize).step_by(SECTOR) {
            self.operate(at, &[0xFF; SECTOR])?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerLoss> {
        assert!(offset.is_multiple_of(WORD as u32) && bytes.len().is_multiple_of(WORD));
        for (i, word) in bytes.chunks(WORD).enumerate() {
            let at = offset as usize + i * WORD;
            let old = &self.bytes[at..at + WORD];
            assert!(
                old.iter().all(|&b| b == 0xFF),
                "a write to {at} without an erasure"
            );
            self.operate(at, word)?;
        }
        Ok(())
    }
}

/// A model under training: parameters and Adam's moments.
#[derive(Clone, Debug)]
struct Training<const D: usize> {
    adam: State<adam::Config, Vec<f32>>,
    params: [f32; D],
}

impl<const D: usize> Training<D> {
    fn new() -> Self {
        Self {
            adam: State::new(vec![0.0; 2 * D]),
            params: [1.0; D],
        }
    }

    /// One step on `sum_j (j + 1) x_j^2 / 2`.
    fn step(&mut self) {
        let mut gradient = self.params;
        for (j, g) in gradient.iter_mut().enumerate() {
            *g *= (j + 1) as f32;
        }
        let config = adam::Config::default();
        config
            .step(&mut self.adam, &mut self.params, &gradient)
            .unwrap();
    }

    fn after(steps: u64) -> Self {
        let mut training = Self::new();
        (0..steps).for_each(|_| training.step());
        training
    }

    fn bits(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.snapshot_len()];
        self.save(&mut bytes).unwrap();
        bytes
    }

    fn fields(&self) -> [Field; 2] {
        let inner = Field::words::<u8>(self.adam.snapshot_len());
        [Field::reals::<f32>(D), inner]
    }
}

impl<const D: usize> Snapshot for Training<D> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut inner = vec![0; self.adam.snapshot_len()];
        self.adam.save(&mut inner)?;
        let mut w = Writer::new(out, *b"TRAI", 1)?;
        w.slice(&self.params)?;
        w.bytes(&inner)?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"TRAI", 1, &self.fields())?;
        r.slice_into(&mut self.params)?;
        self.adam.restore(r.bytes(self.adam.snapshot_len())?)?;
        r.finish()
    }
}

/// The newest checkpoint and its number, after a restart.
fn reopen<const D: usize>(flash: Simulated) -> (Slots<Simulated>, Training<D>, Option<u64>) {
    let mut training = Training::new();
    let mut buffer = vec![0; 1024];
    let mut slots = Slots::open(flash.restart(), &mut buffer).unwrap();
    let sequence = slots.restore(&mut training, &mut buffer).unwrap();
    assert_eq!(sequence, slots.sequence());
    (slots, training, sequence)
}

#[test]
fn a_failure_at_every_word_of_every_save_restarts_from_the_last_good_state() {
    let mut buffer = vec![0; 1024];
    let mut places = 0;
    // The first three saves: into empty flash, into the empty slot, over an old one.
    for saved in 0..3 {
        let mut slots = Slots::open(Simulated::new(512), &mut buffer).unwrap();
        for steps in 1..=saved {
            assert_eq!(
                slots.save(&Training::<2>::after(steps), &mut buffer),
                Ok(steps)
            );
        }
        let before = slots.release();
        let mut whole = Slots::open(before.clone().restart(), &mut buffer).unwrap();
        whole
            .save(&Training::<2>::after(saved + 1), &mut buffer)
            .unwrap();
        let operations = whole.release().operations;
        assert!(operations > 10);

        for fuse in 1..=operations {
            let torn = (0..8).map(Torn::Some).chain([Torn::None, Torn::All]);
            for torn in torn {
                places += 1;
                let mut flash = before.clone().restart();
                (flash.fuse, flash.torn) = (Some(fuse), torn);
                let mut slots = Slots::open(flash, &mut buffer).unwrap();
                let result = slots.save(&Training::<2>::after(saved + 1), &mut buffer);
                assert_eq!(result, Err(SlotsError::Flash(PowerLoss)));
                assert_eq!(slots.sequence(), (saved > 0).then_some(saved));

                let (mut slots, training, sequence) = reopen::<2>(slots.release());
                let sequence = sequence.unwrap_or(0);
                let place = format!("save {}, operation {fuse}, {torn:?}", saved + 1);
                // The last word may have arrived whole, also by chance.
                if fuse < operations || matches!(torn, Torn::None) {
                    assert_eq!(sequence, saved, "{place}");
                } else if matches!(torn, Torn::All) {
                    assert_eq!(sequence, saved + 1, "{place}");
                }
                assert_eq!(
                    training.bits(),
                    Training::<2>::after(sequence).bits(),
                    "{place}"
                );
                // And the next save goes through.
                let next = Training::<2>::after(sequence + 1);
                assert_eq!(slots.save(&next, &mut buffer), Ok(sequence + 1), "{place}");
                assert_eq!(
                    reopen::<2>(slots.release()).1.bits(),
                    next.bits(),
                    "{place}"
                );
            }
        }
    }
    assert!(places > 300, "{places}");
}

#[test]
fn two_hundred_failures_at_random_end_with_the_bits_of_a_run_without_any() {
    const D: usize = 20;
    const STEPS: u64 = 120;
    let mut rng = random::stream(9, 0, 0, Purpose::DATA);
    let mut buffer = vec![0; 1024];
    let mut flash = Simulated::new(1024);
    let (mut kills, mut runs, mut reached) = (0, 0, 0);
    while kills < 200 {
        let (mut slots, mut training, sequence) = reopen::<D>(flash);
        let mut steps = sequence.unwrap_or(0);
        assert!(
            steps >= reached,
            "a checkpoint that had been announced is gone"
        );
        assert_eq!(training.bits(), Training::<D>::after(steps).bits());
        if steps >= STEPS {
            // The run is over: another one on new flash.
            (flash, reached) = (Simulated::new(1024), 0);
            runs += 1;
            continue;
        }
        let mut flash_again = slots.release();
        // Some two saves on average.
        flash_again.fuse = Some(1 + rng.next_u32() as usize % 250);
        flash_again.torn = match rng.next_u32() % 4 {
            0 => Torn::None,
            1 => Torn::All,
            _ => Torn::Some(rng.next_u64()),
        };
        slots = Slots::open(flash_again, &mut buffer).unwrap();
        while steps < STEPS {
            training.step();
            if slots.save(&training, &mut buffer).is_err() {
                kills += 1;
                break;
            }
            steps += 1;
            reached = steps;
        }
        flash = slots.release();
    }
    assert!(
        runs >= 1,
        "{runs} runs were finished in spite of the failures"
    );
}

#[test]
fn what_does_not_fit_is_named_before_anything_is_erased() {
    let mut buffer = vec![0; 1024];
    let small = Slots::open(Simulated::new(SECTOR), &mut buffer);
    assert!(matches!(small, Err(SlotsError::Geometry)));

    let mut slots = Slots::open(Simulated::new(512), &mut buffer).unwrap();
    slots.save(&Training::<2>::after(1), &mut buffer).unwrap();
    let needed = Slots::<Simulated>::buffer_len(Training::<40>::new().snapshot_len());
    let error = slots.save(&Training::<40>::new(), &mut buffer);
    assert_eq!(error, Err(SlotsError::Slot { needed, found: 256 }));
    let needed = Slots::<Simulated>::buffer_len(Training::<2>::new().snapshot_len());
    let error = slots.save(&Training::<2>::new(), &mut buffer[..needed - 1]);
    assert_eq!(
        error,
        Err(SlotsError::Buffer {
            needed,
            found: needed - 1
        })
    );
    // A state of another shape does not take it over.
    let error = slots.restore(&mut Training::<3>::new(), &mut buffer);
    assert!(matches!(error, Err(SlotsError::Snapshot(_))));
    assert_eq!(
        reopen::<2>(slots.release()).1.bits(),
        Training::<2>::after(1).bits()
    );
}

#[test]
fn a_bit_that_flips_later_costs_one_checkpoint_and_is_never_restored() {
    let mut buffer = vec![0; 1024];
    let mut slots = Slots::open(Simulated::new(512), &mut buffer).unwrap();
    for steps in 1..=2 {
        slots
            .save(&Training::<2>::after(steps), &mut buffer)
            .unwrap();
    }
    let flash = slots.release();
    let len = 16 + Training::<2>::new().snapshot_len() + 4;
    // Number 2 stands in the second slot.
    for at in 256..256 + len {
        let mut flash = flash.clone();
        flash.bytes[at] ^= 0x04;
        let (_, training, sequence) = reopen::<2>(flash);
        assert_eq!(
            (sequence, training.bits()),
            (Some(1), Training::<2>::after(1).bits())
        );
    }
}

/// Memory with words of `W` bytes and sectors of `S`, which says that it is as long as `capacity`.
struct Ram<const W: usize, const S: usize> {
    bytes: Vec<u8>,
    capacity: usize,
}

impl<const W: usize, const S: usize> Ram<W, S> {
    fn new(capacity: usize) -> Self {
        let bytes = vec![0xFF; capacity.min(1 << 16)];
        Self { bytes, capacity }
    }
}

impl<const W: usize, const S: usize> Flash for Ram<W, S> {
    type Error = ();
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = S;

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), ()> {
        // Erased where there is no memory behind it.
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = self.bytes.get(offset as usize + i).map_or(0xFF, |&b| b);
        }
        Ok(())
    }

    fn erase(&mut self, from: u32, to: u32) -> Result<(), ()> {
        self.bytes[from as usize..to as usize].fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), ()> {
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

#[test]
fn a_flash_is_refused_unless_it_holds_two_slots_of_whole_words() {
    fn opens<const W: usize, const S: usize>(capacity: usize) -> bool {
        match Slots::open(Ram::<W, S>::new(capacity), &mut [0; 8]) {
            Ok(slots) => {
                assert_eq!(slots.sequence(), None);
                true
            }
            Err(error) => {
                assert_eq!(error, SlotsError::Geometry);
                false
            }
        }
    }
    // Header and check of an empty state are 20 bytes.
    assert!(opens::<4, 20>(40) && !opens::<4, 20>(39) && !opens::<4, 16>(32));
    // Words of 1 to 64 bytes, sectors of whole words.
    assert!(opens::<1, 64>(128) && opens::<64, 64>(128));
    assert!(!opens::<0, 64>(128) && !opens::<128, 128>(256) && !opens::<8, 60>(120));
    assert!(!opens::<8, 4>(400) && !opens::<8, 0>(400));
    // Offsets have 32 bits.
    #[cfg(target_pointer_width = "64")]
    assert!(opens::<8, 64>((1 << 32) - 64) && !opens::<8, 64>(1 << 32));
}

#[test]
fn a_state_may_fill_its_slot_but_not_reach_into_the_other() {
    // A slot for the state and not a byte more.
    let training = Training::<2>::after(3);
    let n = training.snapshot_len();
    let size = Slots::<Ram<4, 4>>::buffer_len(n);
    assert_eq!(size, n + 20, "the state is of whole words");
    let mut buffer = [0; 512];
    let mut slots = Slots::open(Ram::<4, 4>::new(2 * size), &mut buffer).unwrap();
    assert_eq!(slots.save(&training, &mut buffer), Ok(1));
    let mut slots = Slots::open(slots.release(), &mut buffer).unwrap();
    let mut again = Training::<2>::new();
    assert_eq!(slots.restore(&mut again, &mut buffer), Ok(Some(1)));
    assert_eq!(again.bits(), training.bits());

    // A length of one word more, under a right check that would stand in the other slot.
    let mut flash = slots.release();
    flash.bytes[4..8].copy_from_slice(&(n as u32 + 4).to_le_bytes());
    let check = crc32c(&flash.bytes[..size]).to_le_bytes();
    flash.bytes[size..size + 4].copy_from_slice(&check);
    let slots = Slots::open(flash, &mut buffer).unwrap();
    assert_eq!(slots.sequence(), None);
    let text = SlotsError::<()>::Geometry.to_string();
    assert_eq!(text, "the flash cannot hold two slots");
}
