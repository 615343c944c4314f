//! States of samplers that carry momenta, and thermostats.

use crate::random::NoiseStream;
use crate::storage::Fixed;
use crate::{Real, Storage};

/// Momenta, `n d` numbers.
///
/// ```
/// use thalweg::particle::momentum::State;
/// use thalweg::random::{self, NoiseStream, Purpose};
/// let mut state = State::<[f32; 64]>::new();
/// state.draw(&mut NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE)));
/// assert!(state.momentum().iter().any(|r| *r != 0.0) && state.steps() == 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State<B: Storage> {
    pub(super) momentum: B,
    pub(super) steps: u64,
}

impl<B: Storage> State<B> {
    /// Zero momenta in a separate array; nothing separates momenta until forces differ, so draw or set them.
    pub const fn new() -> Self
    where
        B: Fixed,
    {
        Self {
            momentum: B::ZERO,
            steps: 0,
        }
    }

    /// Momenta that are passed in, and kept.
    pub const fn from_storage(momentum: B) -> Self {
        Self { momentum, steps: 0 }
    }

    /// Independent standard normal momenta: the only randomness of the deterministic samplers.
    pub fn draw(&mut self, lanes: &mut NoiseStream)
    where
        B::Elem: Real,
    {
        lanes.fill_normal(self.momentum.as_mut_slice());
    }

    /// The momenta.
    pub fn momentum(&self) -> &[B::Elem] {
        self.momentum.as_slice()
    }

    /// Steps taken.
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

impl<B: Fixed> Default for State<B> {
    fn default() -> Self {
        Self::new()
    }
}

super::snapshot!([B] State<B>, b"MOME", [steps], [momentum]);

/// Momenta, `n d` numbers, and a thermostat for each particle.
///
/// ```
/// use thalweg::particle::momentum::Thermostats;
/// let state = Thermostats::from_storage([0.0_f32; 6], [1.0; 3]);
/// assert_eq!((state.momentum().len(), state.thermostat(), state.steps()), (6, &[1.0; 3][..], 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thermostats<B: Storage, X: Storage> {
    pub(super) momentum: B,
    pub(super) thermostat: X,
    pub(super) steps: u64,
}

impl<B: Storage, X: Storage<Elem = B::Elem>> Thermostats<B, X> {
    /// Momenta and thermostats that are passed in, and kept; thermostats start at the friction.
    pub const fn from_storage(momentum: B, thermostat: X) -> Self {
        Self {
            momentum,
            thermostat,
            steps: 0,
        }
    }

    /// Independent standard normal momenta, and thermostats at the friction.
    pub fn draw(&mut self, lanes: &mut NoiseStream, friction: B::Elem)
    where
        B::Elem: Real,
    {
        lanes.fill_normal(self.momentum.as_mut_slice());
        self.thermostat.as_mut_slice().fill(friction);
    }

    /// The momenta.
    pub fn momentum(&self) -> &[B::Elem] {
        self.momentum.as_slice()
    }

    /// The thermostats.
    pub fn thermostat(&self) -> &[B::Elem] {
        self.thermostat.as_slice()
    }

    /// Steps taken.
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

super::snapshot!([B, X] Thermostats<B, X>, b"THER", [steps], [momentum, thermostat]);
