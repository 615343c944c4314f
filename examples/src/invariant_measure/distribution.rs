//! The distance of two halves of a series in distribution, compared with that of halves drawn at random.
//!
//! ```text
//! W = integral |F - G| dx,  K = max |F - G|     F, G: empirical distributions of the halves
//! ```
//! The series is cut into 32 blocks. Blocks much longer than the correlation time are as good as independent: dealt to the halves at
//! random they have the distances that a steady state would have. The halves differ when at most one of 199 deals has as large a distance as
//! they have: a level of 1 %.

use serde::Serialize;
use thalweg::random::{self, Purpose};

/// Blocks of a series.
const BLOCKS: usize = 32;
/// Deals at random.
const DEALS: usize = 199;
/// Deals with as large a distance that still say that the halves differ.
const RARE: usize = 1;

/// What is found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distance {
    /// Wasserstein distance of order 1, in units of the observable.
    pub wasserstein: f64,
    /// The second largest of the deals: above it the halves differ.
    pub threshold: f64,
    /// Largest difference of the distributions.
    pub kolmogorov: f64,
    /// Whether they differ.
    pub differs: bool,
}

/// Distance of the two halves of a series; nothing for fewer than 64 samples, or for some that are not finite.
pub fn halves(samples: &[f64], seed: u64) -> Option<Distance> {
    let size = samples.len() / BLOCKS;
    if size < 2 || samples.iter().any(|x| !x.is_finite()) {
        return None;
    }
    // The last whole blocks, sorted by value, each sample with its block.
    let blocks = samples.rchunks_exact(size).take(BLOCKS).enumerate();
    let mut sorted: Vec<(f64, usize)> = blocks
        .flat_map(|(block, x)| x.iter().map(move |x| (*x, block)))
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut deal: Vec<bool> = (0..BLOCKS).map(|block| block < BLOCKS / 2).collect();
    let (wasserstein, kolmogorov) = distances(&sorted, &deal);
    let mut rng = random::stream(seed, 2, 0, Purpose::DATA);
    let mut dealt: Vec<f64> = (0..DEALS)
        .map(|_| {
            random::shuffle(&mut rng, &mut deal);
            distances(&sorted, &deal).0
        })
        .collect();
    dealt.sort_by(|a, b| b.total_cmp(a));
    let threshold = dealt.get(RARE).copied()?;
    Some(Distance {
        wasserstein,
        threshold,
        kolmogorov,
        differs: wasserstein > threshold,
    })
}

/// Both distances when the blocks are dealt so.
fn distances(sorted: &[(f64, usize)], deal: &[bool]) -> (f64, f64) {
    let half = sorted.len() as f64 / 2.0;
    // Samples of the first half up to a place, less those of the second.
    let (mut lead, mut area, mut most) = (0.0_f64, 0.0, 0.0_f64);
    for pair in sorted.windows(2) {
        let [(x, block), (next, _)] = *pair else {
            break;
        };
        lead += if deal.get(block).copied().unwrap_or_default() {
            1.0
        } else {
            -1.0
        };
        area += lead.abs() * (next - x);
        // Between equal samples there is no place.
        if next > x {
            most = most.max(lead.abs());
        }
    }
    (area / half, most / half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_its_distance_and_is_found() {
        let x: Vec<f64> = (0..640)
            .map(|i| f64::from(i * 37 % 101) + if i < 320 { 0.0 } else { 200.0 })
            .collect();
        let found = halves(&x, 1).unwrap();
        // Means differ by the shift, and by what residues leave.
        let mean = |x: &[f64]| x.iter().sum::<f64>() / 320.0;
        let expected = mean(&x[320..]) - mean(&x[..320]);
        assert!((found.wasserstein - expected).abs() < 1e-9, "{found:?}");
        assert!(found.differs && found.kolmogorov == 1.0);
    }

    #[test]
    fn a_change_of_shape_alone_is_found_and_none_is_not() {
        // Uniform on -3 to 3 against two points at its deviation, sqrt 3.
        let uniform = |i: u32| f64::from(i * 7919 % 600) / 100.0 - 2.995;
        let same: Vec<f64> = (0..1280).map(uniform).collect();
        let found = halves(&same, 1).unwrap();
        assert!(!found.differs, "{found:?}");
        let other: Vec<f64> = (0..1280)
            .map(|i| {
                if i < 640 {
                    uniform(i)
                } else {
                    3.0_f64.sqrt().copysign(uniform(i))
                }
            })
            .collect();
        let found = halves(&other, 1).unwrap();
        // Twice x / 6 up to sqrt 3 and 1 / 2 - x / 6 from there to 3: 0.768.
        let root = 3.0_f64.sqrt();
        let expected = 2.0 * (0.25 + (3.0 - root) / 2.0 - 0.5);
        assert!((found.wasserstein - expected).abs() < 0.01, "{found:?}");
        assert!(found.differs, "{found:?}");
    }

    #[test]
    fn short_series_and_values_that_are_not_finite_have_no_distance() {
        assert_eq!(halves(&[0.0; 63], 1), None);
        let mut x = [0.0; 64];
        assert_eq!(
            halves(&x, 1).map(|d| (d.wasserstein, d.differs)),
            Some((0.0, false))
        );
        x[9] = f64::NAN;
        assert_eq!(halves(&x, 1), None);
    }
}
