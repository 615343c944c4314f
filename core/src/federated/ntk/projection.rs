//! Random projection of inputs by a matrix that only those with the seed can draw.
//!
//! ```text
//! x' = P^T x,   P: d x d', P_ij ~ N(0, 1/d'),   so that E |x'|^2 = |x|^2
//! ```
//! The matrix is the same in all rounds; test inputs are projected too. It is drawn row after row from the seed and never needed as a whole.
//!
//! Reference: Johnson and Lindenstrauss, *Extensions of Lipschitz mappings into a Hilbert space*, 1984.

use crate::error::{check, check_length, check_scratch};
use crate::random::{NoiseStream, Stream};
use crate::{Error, Real, vector};

/// Bytes of the seed.
pub const SEED: usize = 32;

/// Writes `P^T x` for each row of `inputs`, which has `d` columns; `out` has `outputs` columns, and `scratch` holds a row of `P`.
///
/// # Errors
/// [`Error::Parameter`] for no columns or outputs or a seed of zeros; [`Error::Length`] when `inputs` is not whole rows, for another length of `out`, and for a
/// `scratch` shorter than `outputs`.
///
/// ```
/// use thalweg::federated::ntk::projection::project_into;
/// let mut out = [0.0_f64; 2 * 400];
/// project_into(&[7; 32], 3, &[1.0, 2.0, 2.0, -1.0, -2.0, -2.0], 400, &mut out, &mut [0.0; 400])?;
/// // Squared lengths are kept in the mean: 9, with a deviation of 9 sqrt(2/400).
/// let square: f64 = out[..400].iter().map(|x| x * x).sum();
/// assert!((square - 9.0).abs() < 3.0);
/// // Linear.
/// assert_eq!(out[0], -out[400]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn project_into<T: Real>(
    seed: &[u8; SEED],
    columns: usize,
    inputs: &[T],
    outputs: usize,
    out: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    check("columns", columns > 0, "must be at least 1")?;
    check("outputs", outputs > 0, "must be at least 1")?;
    check(
        "seed",
        seed.iter().any(|&byte| byte != 0),
        "must not be zero",
    )?;
    let rows = inputs.len().checked_div(columns).unwrap_or(0);
    check_length("inputs", rows.saturating_mul(columns), inputs.len())?;
    check_length("out", rows.saturating_mul(outputs), out.len())?;
    check_scratch("scratch", outputs, scratch.len())?;
    let (words, _) = seed.as_chunks::<8>();
    let mut state = [0; 4];
    for (to, &from) in state.iter_mut().zip(words) {
        *to = u64::from_le_bytes(from);
    }
    let mut noise = NoiseStream::new(&mut Stream::from_state(state));
    let row = crate::memory::front("scratch", scratch, outputs)?;
    let deviation = T::from_f64(1.0 / libm::sqrt(outputs as f64));
    out.fill(T::ZERO);
    for j in 0..columns {
        noise.fill_normal(row);
        let rows = inputs
            .chunks_exact(columns)
            .zip(out.chunks_exact_mut(outputs));
        for (x, out) in rows {
            if let Some(&x) = x.get(j) {
                vector::axpy(deviation * x, row, out)?;
            }
        }
    }
    Ok(())
}
