//! Counts and their distances.

use super::*;

#[test]
fn histograms_merge_and_are_at_distance_one_when_apart() {
    let mut a = Histogram::new(-1.0, 1.0).unwrap();
    let mut b = a;
    (0..10).for_each(|_| (a.push(-0.9), b.push(f64::NAN)).0);
    assert_eq!(a.total_variation(&b).unwrap(), Some(1.0));
    a.merge(&b).unwrap();
    assert_eq!(a.total_variation(&b).unwrap(), Some(0.5));
    assert!(a.merge(&Histogram::new(0.0, 1.0).unwrap()).is_err());
    assert!(Histogram::new(1.0, 1.0).is_err() && Histogram::new(f64::MIN, f64::MAX).is_err());
}

#[test]
fn the_ends_of_a_histogram_are_closed_below_and_open_above() {
    let high = 2_f64.powi(-60);
    let mut histogram = Histogram::new(-1.0, high).unwrap();
    // 0 is below the end, and at it by the rounding of its distance from -1.
    for x in [-2.0, -1.5, -1.25, -1.0, 0.0, high, f64::NAN] {
        histogram.push(x);
    }
    let bins = histogram.bins();
    assert_eq!((histogram.below(), histogram.above()), (3, 2));
    assert_eq!((bins[0], bins[BINS - 1]), (1, 1));
    assert_eq!(bins.iter().sum::<u32>(), 2);
}

#[test]
fn distances_need_samples_and_shapes_need_noise() {
    let empty = Histogram::new(0.0, 1.0).unwrap();
    let mut full = empty;
    full.push(0.5);
    assert_eq!(full.total_variation(&empty), Ok(None));
    assert_eq!(empty.total_variation(&full), Ok(None));
    assert_eq!(shape_ratio([&full, &empty], [&full, &full]), Ok(None));
    let mut other = empty;
    other.push(0.25);
    // No half differs from its other.
    assert_eq!(shape_ratio([&full, &full], [&other, &other]), Ok(None));
    assert_eq!(shape_ratio([&full, &full], [&full, &full]), Ok(None));
}

#[test]
fn a_shape_that_changes_is_told_from_noise_by_the_halves() {
    let shape = |last: fn(f64) -> f64| {
        let mut halves = [Histogram::new(-4.0, 4.0).unwrap(); 4];
        let x = ar1(0.0, 8192, 11);
        for (k, (half, x)) in halves.iter_mut().zip(x.chunks(2048)).enumerate() {
            x.iter()
                .for_each(|&x| half.push(if k < 2 { x } else { last(x) }));
        }
        let [a, b, c, d] = &halves;
        shape_ratio([a, b], [c, d]).unwrap().unwrap()
    };
    // 1 / sqrt 2 for one law; sign(x) has its mean and its variance.
    let same = shape(|x| x);
    assert!((0.5..1.0).contains(&same), "{same}");
    let signs = shape(f64::signum);
    assert!(signs > 4.0, "{signs}");
}

#[test]
fn the_noise_of_shapes_is_that_of_the_noisier_window() {
    let halves = [0, 1, 4, 7].map(|high| {
        let mut half = Histogram::new(0.0, 1.0).unwrap();
        (0..8).for_each(|i| half.push(if i < high { 0.9 } else { 0.1 }));
        half
    });
    let [a, b, c, d] = &halves;
    // 1/16 against 11/16; halves are at distances of 1/8 and 3/8.
    let expected = (10.0 / 16.0) / (3.0 / 8.0);
    let found = shape_ratio([a, b], [c, d]).unwrap().unwrap();
    assert!((found - expected).abs() < 1e-15);
    assert_eq!(shape_ratio([c, d], [a, b]).unwrap(), Some(found));
}
