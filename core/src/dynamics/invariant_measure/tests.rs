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
mod histogram;
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
fn a_verdict_needs_two_long_windows_and_finite_squares() {
    // 4096 samples hold as many correlation times of white noise, of the other two.
    let (white, slow) = (window(&ar1(0.0, 4096, 2)), window(&ar1(0.999, 4096, 1)));
    // Batch means that are equal to the last bit, about which the squares overflow.
    let loud: Vec<f64> = (0..64)
        .map(|i| 2_f64.powi(664) * f64::from(i % 2))
        .collect();
    let loud = window(&loud);
    assert_eq!(loud.summary().unwrap().error, 0.0);
    for (a, b) in [(&white, &slow), (&slow, &white), (&loud, &loud)] {
        let report = compare(a, b, 1).unwrap();
        assert_eq!(report.verdict, Verdict::Inconclusive, "{report:?}");
    }
}

#[test]
fn verdicts_have_names_and_equal_scores_reject_nothing() {
    let names = [
        Verdict::Stationary,
        Verdict::Drifting,
        Verdict::Inconclusive,
    ]
    .map(|verdict| verdict.to_string());
    assert_eq!(names, ["stationary", "not stationary", "inconclusive"]);
    let report = |mean_score| Report {
        verdict: Verdict::Inconclusive,
        mean_score,
        spread_score: 0.0,
        critical: 2.75,
        correlation_time: 0.0,
    };
    // The critical score is the largest that is accepted.
    assert!(!report(2.75).rejects_mean() && !report(-2.75).rejects_mean());
    assert!(report(2.76).rejects_mean() && report(-2.76).rejects_mean());
}

/// Both tails of Student's t with 30 degrees of freedom: Abramowitz and Stegun 26.7.4.
fn tails(t: f64) -> f64 {
    let square = 30.0 / (30.0 + t * t);
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..15 {
        term *= f64::from(2 * k - 1) / f64::from(2 * k) * square;
        sum += term;
    }
    1.0 - (1.0 - square).sqrt() * sum
}

#[test]
fn the_critical_scores_share_one_percent_among_the_observables() {
    for observables in 1..=64_usize {
        let share = 0.01 / observables.next_power_of_two() as f64;
        let found = tails(critical(observables).unwrap());
        assert!((found / share - 1.0).abs() < 1e-4, "{observables}: {found}");
    }
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
    // Long slots first: 24 of 4 samples, then 16 of 2.
    let (mut first, mut second) = (BatchMeans::new(), BatchMeans::new());
    x[..96].iter().for_each(|&x| first.push(x));
    x[96..].iter().for_each(|&x| second.push(x));
    first.merge(&second);
    assert_eq!(first, means);
}

#[test]
fn the_error_of_sixteen_means_has_fifteen_degrees_of_freedom() {
    // Far from 0 the squares of the values would leave few digits of those about the mean.
    for origin in [0.0, 2_f64.powi(48)] {
        let mut means = BatchMeans::new();
        (0..16).for_each(|i| means.push(origin + f64::from(i)));
        let summary = means.summary().unwrap();
        // Squares about 7.5 sum to 340: 340 / 15 / 16.
        assert_eq!((summary.mean, summary.samples), (origin + 7.5, 16));
        assert!((summary.error - (340.0_f64 / 240.0).sqrt()).abs() < 1e-15);
    }
}

#[test]
fn the_correlation_time_of_a_staircase_has_its_closed_form() {
    // 16 slots of two equal samples: 2 (340 / 15) / (340 / 16).
    let x: Vec<f64> = (0..32).map(|i| f64::from(i / 2)).collect();
    let stairs = window(&x);
    assert_eq!((stairs.mean(), stairs.variance()), (Some(7.5), Some(21.25)));
    let time = stairs.correlation_time().unwrap();
    assert!((time - 32.0 / 15.0).abs() < 1e-14, "{time}");
    let flat = window(&[3.0; 32]);
    assert_eq!(flat.variance(), Some(0.0));
    assert_eq!(flat.correlation_time(), Some(0.0));
    let empty = Window::new();
    assert_eq!((empty.mean(), empty.variance()), (None, None));
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

#[test]
fn signs_of_projections_are_the_bits_of_their_streams() {
    use rand_core::Rng;
    // Integers: their sums are exact in any order.
    let x: Vec<f64> = (0..150).map(|i| f64::from(i * i % 97)).collect();
    let mut out = [0.0; 3];
    project_into(&x, 5, &mut out);
    for (j, found) in (0..).zip(out) {
        let mut stream = random::stream(5, j, 0, Purpose::DIRECTION);
        let words = [(); 3].map(|()| stream.next_u64());
        let signed = x.iter().enumerate().map(|(i, &x)| {
            let is_negative = words[i / 64] >> (i % 64) & 1 == 1;
            if is_negative { -x } else { x }
        });
        assert_eq!(found, signed.sum::<f64>() / 150_f64.sqrt());
    }
}

#[test]
fn ratios_have_their_formulas_and_need_a_divisor() {
    assert_eq!(norm_ratio(0.5, 3.0, 4.0), Some(3.0));
    assert_eq!(heavy_ball_ratio(0.5, 0.5, 2.25, 2.0), Some(3.0));
    assert_eq!(curvature_ratio(0.5, 24.0, 2.0), Some(3.0));
    for none in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE / 2.0] {
        assert_eq!(norm_ratio(1.0, 1.0, none), None);
        assert_eq!(heavy_ball_ratio(1.0, 0.0, 1.0, none), None);
        assert_eq!(curvature_ratio(1.0, 1.0, none), None);
    }
    assert_eq!(norm_ratio(1.0, 1e300, 1e-300), None);
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
    let (mut bytes, noise) = ([0; 76], Noise::<[f64; 1]>::new());
    let n = noise.save(&mut bytes).unwrap();
    assert!(Noise::<[f64; 3]>::new().restore(&bytes[..n]).is_err());
}

#[test]
fn the_sum_of_the_gradients_is_what_a_noise_saves() {
    let mut noise = Noise::<[f64; 1]>::new();
    noise.push(&[1.5_f32]).unwrap();
    noise.push(&[2.25_f32]).unwrap();
    let mut bytes = vec![0; noise.snapshot_len()];
    noise.save(&mut bytes).unwrap();
    // Before the check of four bytes.
    let sum = bytes[..bytes.len() - 4].last_chunk().unwrap();
    assert_eq!(f64::from_le_bytes(*sum), 3.75);
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
    // Before its first step a monitor has no step size.
    Monitor::new(64).unwrap().save(&mut bytes).unwrap();
    let mut other = long;
    other.restore(&bytes).unwrap();
    assert_eq!((other.samples(), other.norm_ratio()), (0, None));
    long.save(&mut bytes).unwrap();
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
fn windows_of_parts_are_the_window_of_the_whole() {
    // Dyadic numbers about other origins: every sum is exact.
    let x: Vec<f64> = (0..16 * 32)
        .map(|i| f64::from((i * 37 + 5) % 101) / 8.0)
        .collect();
    assert!(x[0] != 0.0);
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
