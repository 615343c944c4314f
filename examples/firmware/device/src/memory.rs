//! The client's buffers, sized at compile time, and the proof that they fit.
//!
//! ```text
//! state, gradient            3 D numbers     model with the previous gradient or EF21's memory, gradient
//! scratch                    S numbers       a few rows of the network, then the values of the message
//! indices                    K indices       of a message of TopK
//! incoming, reply            2 F bytes       a frame that arrives, the reply that may be asked for again
//! ```

use thalweg::model::mlp;
use thalweg::wire::{Dtype, Kind, encoded_len};

/// Rows of the network that are computed at once.
const ROWS: usize = 4;

/// Static memory of a client: at most `D` parameters, `S` numbers of scratch, `K` coordinates in a sparse message, frames of
/// at most `F` bytes.
#[derive(Debug)]
pub struct Memory<const D: usize, const S: usize, const K: usize, const F: usize> {
    state: [[f32; D]; 2],
    gradient: [f32; D],
    scratch: [f32; S],
    indices: [u32; K],
    incoming: [u8; F],
    reply: [u8; F],
}

/// What [`Memory`] lends.
#[derive(Debug)]
pub struct Buffers<'m> {
    /// The model, and the protocol's memory.
    pub state: &'m mut [f32],
    /// The gradient.
    pub gradient: &'m mut [f32],
    /// Rows of the network, then values of the message.
    pub scratch: &'m mut [f32],
    /// Indices of the message.
    pub indices: &'m mut [u32],
    /// The frame that arrives.
    pub incoming: &'m mut [u8],
    /// The reply.
    pub reply: &'m mut [u8],
}

impl<const D: usize, const S: usize, const K: usize, const F: usize> Default
    for Memory<D, S, K, F>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const D: usize, const S: usize, const K: usize, const F: usize> Memory<D, S, K, F> {
    /// All zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: [[0.0; D]; 2],
            gradient: [0.0; D],
            scratch: [0.0; S],
            indices: [0; K],
            incoming: [0; F],
            reply: [0; F],
        }
    }

    /// The buffers, for one client.
    pub const fn lend(&mut self) -> Buffers<'_> {
        Buffers {
            state: self.state.as_flattened_mut(),
            gradient: &mut self.gradient,
            scratch: &mut self.scratch,
            indices: &mut self.indices,
            incoming: &mut self.incoming,
            reply: &mut self.reply,
        }
    }
}

/// Numbers of scratch for a network: four rows at once, or the values of a message of half of its parameters.
///
/// ```
/// // 4 (64 + 6 + 10 + 2 * 10), against 460 / 2.
/// assert_eq!(thalweg_device::memory::scratch_len(&[64, 6, 10]), 400);
/// ```
#[must_use]
pub const fn scratch_len(sizes: &[usize]) -> usize {
    let model = mlp::Model::<f32>::new(sizes);
    let (rows, message) = (model.least_scratch_len(ROWS), model.dim().div_ceil(2));
    if rows > message { rows } else { message }
}

/// Most coordinates of a sparse message: a quarter.
///
/// ```
/// assert_eq!(thalweg_device::memory::indices_len(&[64, 6, 10]), 115);
/// ```
#[must_use]
pub const fn indices_len(sizes: &[usize]) -> usize {
    mlp::Model::<f32>::new(sizes).dim().div_ceil(4)
}

/// Bytes of the longest frame: a model.
///
/// ```
/// assert_eq!(thalweg_device::memory::frame_len(&[64, 6, 10]), 52 + 4 * 460);
/// ```
#[must_use]
pub const fn frame_len(sizes: &[usize]) -> usize {
    let d = mlp::Model::<f32>::new(sizes).dim() as u32;
    encoded_len(Kind::Model, Dtype::F32, d, d)
}

/// `NEED` bytes fit `HAVE` bytes: `Fits::<NEED, HAVE>::CHECK` is a compile error that states both when they do not.
///
/// ```
/// use thalweg_device::memory::Fits;
/// const _: () = Fits::<3, 4>::CHECK;
/// ```
/// ```compile_fail
/// const _: () = thalweg_device::memory::Fits::<5, 4>::CHECK;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fits<const NEED: usize, const HAVE: usize>;

impl<const NEED: usize, const HAVE: usize> Fits<NEED, HAVE> {
    /// The proof.
    pub const CHECK: () = assert!(NEED <= HAVE, "Fits<NEED, HAVE>: the need is larger");
}
