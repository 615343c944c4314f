#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::string::ToString;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::random::{self, Purpose, normal};
use crate::simd::{self};
use crate::snapshot::Snapshot;
use crate::{Error, Real};

mod calibration;
mod curvature;
mod hostile;
mod training;

fn ar1(rho: f64, n: usize, seed: u64) -> Vec<f64> {
    let mut rng = random::stream(seed, 0, 0, Purpose::NOISE);
    // Started in its stationary law.
    let mut x = normal::<f64>(&mut rng) / (1.0 - rho * rho).sqrt();
    (0..n)
        .map(|_| {
            x = rho * x + normal::<f64>(&mut rng);
            x
        })
        .collect()
}

fn window(x: &[f64]) -> Window {
    let mut window = Window::new();
    x.iter().for_each(|&x| window.push(x));
    window
}

#[test]
fn a_change_of_spread_alone_is_found() {
    let mut x = ar1(0.0, 8192, 3);
    x[4096..].iter_mut().for_each(|x| *x *= 2.0);
    let report = compare(&window(&x[..4096]), &window(&x[4096..]), 1).unwrap();
    assert!(!report.rejects_mean() && report.spread_score < -10.0);
    assert_eq!(report.verdict, Verdict::Drifting);
}

#[test]
fn a_window_of_few_correlation_times_is_inconclusive() {
    // tau = (1 + rho) / (1 - rho) = 1999 samples against 4096.
    let x = ar1(0.999, 8192, 1);
    let report = compare(&window(&x[..4096]), &window(&x[4096..]), 1).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let x = [0.0; 15];
    let report = compare(&window(&x), &window(&x), 1).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let x = [f64::NAN; 64];
    let report = compare(&window(&x), &window(&x), 1).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert!(compare(&window(&[0.0; 64]), &window(&[0.0; 63]), 1).is_err());
    assert!(critical(0).is_err() && critical(65).is_err());
}

#[test]
fn slots_are_the_sums_of_blocks() {
    let x: Vec<f64> = (0..16 * 8).map(|i| f64::from(i * 37 % 101)).collect();
    let mut means = BatchMeans::new();
    x.iter().for_each(|&x| means.push(x));
    assert_eq!(means.slot_len(), 8);
    let sums: Vec<f64> = x.chunks(8).map(|x| x.iter().sum()).collect();
    assert_eq!(means.slots(), &sums[..]);

    let mut shuffled = BatchMeans::new();
    x.chunks(8)
        .flat_map(|x| x.iter().rev())
        .for_each(|&x| shuffled.push(x));
    assert_eq!(shuffled.summary(), means.summary());

    // Parts of a run, joined: the slots of the whole.
    let (mut first, mut second) = (BatchMeans::new(), BatchMeans::new());
    x[..32].iter().for_each(|&x| first.push(x));
    x[32..].iter().for_each(|&x| second.push(x));
    first.merge(&second);
    assert_eq!(first, means);
    let mut joined = second;
    joined.merge(&BatchMeans::new());
    assert_eq!(joined.slots(), second.slots());
}

#[test]
fn the_error_of_sixteen_means_has_fifteen_degrees_of_freedom() {
    let mut means = BatchMeans::new();
    (0..16).for_each(|i| means.push(f64::from(i)));
    let summary = means.summary().unwrap();
    // Squares about 7.5 sum to 340: 340 / 15 / 16.
    assert_eq!((summary.mean, summary.samples), (7.5, 16));
    assert!((summary.error - (340.0_f64 / 240.0).sqrt()).abs() < 1e-15);
}

#[test]
fn the_error_of_independent_samples_is_deviation_over_root_n() {
    let mean: f64 = (0..200)
        .map(|seed| window(&ar1(0.0, 4096, seed)).summary().unwrap().error)
        .sum::<f64>()
        / 200.0;
    // E of a deviation from 16 values is 0.983 sigma.
    assert!((mean * 64.0 - 0.983).abs() < 0.05, "{}", mean * 64.0);
}

/// `L = h x^2 / 2` with white noise: everything is known (specification of the diagnostics, section 9).
#[test]
fn a_noisy_parabola_has_its_closed_form_and_both_ratios_are_one() {
    let (eta, h) = (0.3, 2.0);
    let mut rng = random::stream(5, 0, 0, Purpose::NOISE);
    let mut monitor = Monitor::new(100_000).unwrap();
    let (mut x, mut squares, mut ghg) = (0.3_f64, 0.0, 0.0);
    for _ in 0..200_000 {
        let g = h * x + normal::<f64>(&mut rng);
        monitor.observe(eta, h * x * x / 2.0, &[x], &[g]).unwrap();
        let old = x;
        x -= eta * g;
        let change = -2.0 * eta * old * g + eta * eta * g * g;
        assert!((x * x - old * old - change).abs() < 1e-12);
        (squares, ghg) = (squares + x * x, ghg + g * h * g);
    }
    let n = 200_000.0;
    // Var x = eta / (h (2 - eta h)) = 0.107143.
    assert!((squares / n - 0.107_143).abs() < 2e-3, "{}", squares / n);
    let r1 = monitor.norm_ratio().unwrap();
    assert!((r1 - 1.0).abs() < 1e-3, "{r1}");
    let r2 = curvature_ratio(eta, ghg / n, h * h * squares / n).unwrap();
    assert!((r2 - 1.0).abs() < 0.02, "{r2}");
    for observable in Observable::ALL {
        let report = monitor.report(observable).unwrap();
        assert_eq!(
            report.verdict,
            Verdict::Stationary,
            "{observable:?} {report:?}"
        );
    }
}

#[test]
fn the_heavy_ball_has_its_ratio() {
    let (eta, m) = (0.05, 0.9);
    let mut rng = random::stream(6, 0, 0, Purpose::NOISE);
    let (mut x, mut v, mut tg, mut vv) = (0.0_f64, 0.0_f64, 0.0, 0.0);
    for _ in 0..400_000 {
        let g = 2.0 * x + normal::<f64>(&mut rng);
        tg += x * g;
        v = m * v - g;
        x += eta * v;
        vv += v * v;
    }
    let ratio = heavy_ball_ratio(eta, m, tg, vv).unwrap();
    assert!((ratio - 1.0).abs() < 0.02, "{ratio}");
}

#[test]
fn descent_without_noise_takes_the_gradient_to_zero_at_its_rate() {
    let mut noise = Noise::<[f64; 1]>::new();
    let mut last = None;
    let mut x = 1.0_f64;
    for _ in 0..10 {
        noise.reset();
        noise.push(&[2.0 * x]).unwrap();
        noise.push(&[2.0 * x]).unwrap();
        let found = noise.estimate().unwrap();
        assert_eq!((found.gradient, found.noise), (4.0 * x * x, 0.0));
        if let Some(before) = last.replace(found.gradient) {
            // (1 - eta h)^2 = 0.16
            assert!((found.gradient / before - 0.16).abs() < 1e-12);
        }
        x -= 0.3 * 2.0 * x;
    }
}

#[test]
fn debiasing_takes_off_the_noise_of_the_mean() {
    // Unit gradient in two dimensions, noise 1 in each: N = 2, M = 4.
    let mut rng = random::stream(9, 0, 0, Purpose::NOISE);
    let mut totals = [0.0; 3];
    for _ in 0..5000 {
        let mut halves = [Noise::<[f64; 2]>::new(), Noise::new()];
        for i in 0..4 {
            let g = [1.0 + normal::<f64>(&mut rng), normal::<f64>(&mut rng)];
            halves[i / 2].push(&g).unwrap();
        }
        let [mut all, rest] = halves;
        all.merge(&rest).unwrap();
        let found = all.estimate().unwrap();
        totals[0] += found.gradient / 5000.0;
        totals[1] += found.noise / 5000.0;
        totals[2] += found.biased / 5000.0;
    }
    let [gradient, noise, biased] = totals;
    assert!((gradient - 1.0).abs() < 0.07, "{gradient}");
    assert!((noise - 2.0).abs() < 0.07, "{noise}");
    assert!((biased - 1.5).abs() < 0.07, "{biased}");
    assert!(Noise::<[f64; 2]>::new().push(&[1.0_f32]).is_err());
}

fn data<T: Real>(n: usize) -> (Vec<T>, Vec<T>) {
    let at = |i: usize, p: usize| T::from_f64(((i * p) % 251) as f64 / 64.0 - 1.9);
    (
        (0..n).map(|i| at(i, 37)).collect(),
        (0..n).map(|i| at(i, 101)).collect(),
    )
}

fn stats_match<T: Real>() {
    for n in [0, 1, 3, 31, 32, 33, 64, 1003, 4097, (1 << 16) + 5] {
        let (x, g) = data::<T>(n);
        let naive = |a: &[T], b: &[T]| -> f64 {
            a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
        };
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * (n as f64 + 1.0) * 4.0;
        let found = step_stats(&x, &g).unwrap();
        assert!(near(found.gg, naive(&g, &g)) && near(found.tt, naive(&x, &x)));
        assert!(near(found.tg, naive(&x, &g)), "{n}");
        let distance = found.gg + found.tt - 2.0 * found.tg;
        assert!(near(movement(&x, &g).unwrap(), distance), "{n}");
        // Parts in block order have the bits of one pass.
        let mut parts = StepStats::default();
        for (x, g) in x.chunks(simd::BLOCK).zip(g.chunks(simd::BLOCK)) {
            parts.merge(&step_stats(x, g).unwrap());
        }
        assert_eq!(parts, found);
        for level in crate::testing::levels() {
            let other = step_stats(&x, &g).unwrap();
            assert_eq!(other.tg.to_bits(), found.tg.to_bits(), "{level:?} {n}");
            assert_eq!(other.gg.to_bits(), found.gg.to_bits(), "{level:?} {n}");
        }
    }
    let error = step_stats(&[T::ONE], &[]).unwrap_err();
    assert!(matches!(error, Error::Length { name: "grad", .. }));
}

#[test]
fn inner_products_match_the_plain_loop_at_every_level() {
    stats_match::<f32>();
    stats_match::<f64>();
}

#[test]
fn projections_keep_the_norm_on_average_and_do_not_agree() {
    let (x, _) = data::<f32>(1003);
    let mut out = [0.0; 400];
    project_into(&x, 3, &mut out);
    let mean = out.iter().map(|x| x * x).sum::<f64>() / 400.0;
    // E out^2 = |x|^2 / d; deviation of the mean of 400: 7 %.
    let expected = movement(&x, &[0.0; 1003]).unwrap() / 1003.0;
    assert!((mean / expected - 1.0).abs() < 0.25, "{}", mean / expected);
    assert_ne!(out[0], out[1]);
    let mut doubled = [0.0; 1];
    let twice: Vec<f32> = x.iter().map(|x| 2.0 * x).collect();
    project_into(&twice, 3, &mut doubled);
    assert_eq!(doubled[0], 2.0 * out[0]);
}

/// Saved in the middle, restored elsewhere, both go on alike; damaged bytes change nothing.
#[track_caller]
fn resumes<S: Snapshot + Copy + PartialEq + core::fmt::Debug>(
    fresh: S,
    mut go_on: impl FnMut(&mut S, u32),
) {
    let mut state = fresh;
    (0..77).for_each(|i| go_on(&mut state, i));
    let mut bytes = vec![0; state.snapshot_len()];
    assert_eq!(state.save(&mut bytes), Ok(bytes.len()));
    let mut other = fresh;
    other.restore(&bytes).unwrap();
    assert_eq!(other, state);
    (77..200).for_each(|i| {
        go_on(&mut state, i);
        go_on(&mut other, i);
    });
    assert_eq!(other, state);
    let last = bytes.len() / 2;
    bytes[last] ^= 1;
    assert!(other.restore(&bytes).is_err());
    assert_eq!(other, state);
    assert!(state.save(&mut bytes[1..]).is_err());
}

#[test]
fn restored_accumulators_go_on_with_the_same_bits() {
    resumes(BatchMeans::new(), |s, i| s.push(f64::from(i).sqrt()));
    resumes(Window::new(), |s, i| s.push(f64::from(i).sqrt()));
    resumes(Histogram::new(-1.0, 10.0).unwrap(), |s, i| {
        s.push(f64::from(i).sqrt());
    });
    resumes(Noise::<[f64; 2]>::new(), |s, i| {
        s.push(&[0.1, f64::from(i)]).unwrap();
    });
    // Two windows and an open one when it is saved; the step size changes later.
    resumes(Monitor::new(32).unwrap(), |s, i| {
        let rate = if i < 150 { 0.1 } else { 0.01 };
        s.observe(
            rate,
            f64::from(i).sqrt(),
            &[0.5, f64::from(i)],
            &[1.0, -0.25],
        )
        .unwrap();
    });
    let (mut bytes, noise) = ([0; 60], Noise::<[f64; 1]>::new());
    let n = noise.save(&mut bytes).unwrap_or_default();
    assert!(Noise::<[f64; 3]>::new().restore(&bytes[..n]).is_err());
}

#[test]
fn a_monitor_with_windows_that_never_fill_is_not_restored() {
    let mut short = Monitor::new(32).unwrap();
    let mut bytes = vec![0; short.snapshot_len()];
    let mut long = Monitor::new(1000).unwrap();
    (0..500).for_each(|_| long.observe(0.1, 1.0, &[1.0], &[1.0]).unwrap());
    long.save(&mut bytes).unwrap();
    short.restore(&bytes).unwrap();
    assert_eq!(short, long);
    // The same bytes with a length of 100: their open windows hold 500.
    let at = crate::snapshot::HEADER + crate::snapshot::FIELD_HEADER;
    bytes[at..at + 8].copy_from_slice(&100_u64.to_le_bytes());
    let end = bytes.len() - 4;
    let check = crate::wire::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&check.to_le_bytes());
    let error = short.restore(&bytes).unwrap_err();
    assert!(error.to_string().starts_with("`len`"), "{error}");
    assert_eq!(short, long);
}

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

#[test]
fn windows_of_parts_are_the_window_of_the_whole() {
    // Dyadic numbers about other origins: every sum is exact.
    let x: Vec<f64> = (0..16 * 32)
        .map(|i| f64::from(i * 37 % 101) / 8.0)
        .collect();
    let whole = window(&x);
    for parts in [2, 4, 8, 16] {
        let mut joined = Window::new();
        for part in x.chunks(x.len() / parts) {
            joined.merge(&window(part));
        }
        assert_eq!(joined, whole, "{parts} parts");
    }
    let mut histogram = Histogram::new(0.0, 13.0).unwrap();
    let mut parts = [histogram; 2];
    for (i, &x) in x.iter().enumerate() {
        histogram.push(x);
        parts[i % 2].push(x);
    }
    let [mut first, second] = parts;
    first.merge(&second).unwrap();
    assert_eq!(first, histogram);
}

#[test]
fn sums_of_threads_are_those_of_one() {
    let (x, g) = data::<f32>(5 * simd::BLOCK + 77);
    let whole = step_stats(&x, &g).unwrap();
    for threads in [1, 2, 3, 4] {
        // Whole blocks to each thread; joined in the order of the parts.
        let share = (x.len() / simd::BLOCK / threads + 1) * simd::BLOCK;
        let parts: Vec<Vec<StepStats>> = std::thread::scope(|scope| {
            let work: Vec<_> = x
                .chunks(share)
                .zip(g.chunks(share))
                .map(|(x, g)| {
                    let blocks = || x.chunks(simd::BLOCK).zip(g.chunks(simd::BLOCK));
                    scope.spawn(move || blocks().map(|(x, g)| step_stats(x, g).unwrap()).collect())
                })
                .collect();
            work.into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let mut total = StepStats::default();
        parts.iter().flatten().for_each(|part| total.merge(part));
        assert_eq!(total, whole, "{threads} threads");
    }
    // Numbers that add exactly: any device may hold any batch.
    let (mut all, mut devices) = (Noise::<[f64; 2]>::new(), [Noise::<[f64; 2]>::new(); 3]);
    for i in 0..12_u8 {
        let g = [f64::from(i), 0.5 * f64::from(i * 7 % 5)];
        all.push(&g).unwrap();
        devices[usize::from(i) % 3].push(&g).unwrap();
    }
    let [mut first, second, third] = devices;
    first.merge(&second).unwrap();
    first.merge(&third).unwrap();
    assert_eq!(first, all);
}
