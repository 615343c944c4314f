//! The small experiments: tables A to E.
//!
//! Published are means over two to four seeds. A value is held within a factor of 2 where the mean over 32 seeds of an independent NumPy
//! program, `tests/reference/stein_mcmc.py`, is within that factor of it too. Where it is not, the mean of the program is held, and the
//! row says so; its deviation over seeds, in `stein_mcmc_check.txt`, shows what two to four seeds can miss:
//!
//! | figure | published | 32 seeds | deviation over seeds |
//! |---|---|---|---|
//! | A, Stein SGHMC c 2, MMD² at 200 | 0.0016 | 0.0033 | 0.0021 |
//! | A, SGHMC chains at 50 | 0.0082 | 0.0161 | 0.0161 |
//! | C, SVGD at 25 and 200 | 0.0036, 0.0027 | 0.0096, 0.0082 | 0.0084, 0.0072 |
//! | C, Stein SGHMC b 1 at 200 | 0.0034 | 0.0107 | 0.0088 |
//! | C, Stein SGHMC b 4 at 200 | 0.04 | 0.0269 | 0.0244 |
//! | D, SVGD at 300 | 0.0069 | 0.0173 | 0.0220 |
//! | D, Stein SGHMC at 300 (64 seeds) | 0.0098 | 0.0152 | 0.0104 |
//!
//! The values of b 4 and of Stein SGHMC in D are within the factor of the published ones, and twice as uncertain as that at 16 seeds.
//! In C and D the start decides how many particles a mode gets, once for all. E is data that is not published: what its figures
//! must be follows from the shrinkage of the variances, see `shrunk`.

use std::array::from_fn;
use std::path::Path;

use thalweg::particle::stein::general::{Recipe, direction_into};
use thalweg::random::{Purpose, normal, stream};
use thalweg::{Arithmetic, Error};

use crate::cli::{Claims, Failure, input};
use crate::source::Source;

use super::compare::{Report, Settings, compare};
use super::problem::{Kind, Problem};
use super::sampler::{Method, Setting};

/// Allowed between a squared discrepancy and its reference value, either way.
const FACTOR: f64 = 2.0;
/// Seeds of a table.
const SEEDS: u64 = 16;

/// A row of the reference: how it was run, and its squared discrepancies at the steps of its table.
struct Published {
    setting: Setting,
    mmd2: &'static [f64],
}

const fn row(setting: Setting, mmd2: &'static [f64]) -> Published {
    Published { setting, mmd2 }
}

const SVGD: fn(f64) -> Setting = |step| Setting::first_order(Method::Svgd, step);

/// Runs settings of one target.
fn run_table(
    kind: Kind,
    seed: u64,
    seeds: u64,
    threads: usize,
    checkpoints: &[u64],
    settings: &[Setting],
) -> Result<(Problem, Report), Failure> {
    let source = Source::default();
    let problem = Problem::new(kind, &source, 500, seed)?;
    let shared = Settings {
        n: 50,
        checkpoints: checkpoints.to_vec(),
        seeds: (0..seeds).map(|i| seed.wrapping_add(i)).collect(),
        threads,
    };
    let groups: Vec<Vec<Setting>> = settings.iter().map(|&setting| vec![setting]).collect();
    let report = compare(&problem, &shared, &groups, &|| {}).map_err(input)?;
    Ok((problem, report))
}

/// States every value of a table within the factor.
fn within(claims: &mut Claims, table: &str, steps: &[u64], report: &Report, rows: &[Published]) {
    for (found, published) in report.rows.iter().zip(rows) {
        for (&step, &value) in steps.iter().zip(published.mmd2) {
            let setting = published.setting;
            let figure = format!(
                "{table}: {}, {}, MMD² at {step}",
                setting.method,
                setting.text()
            );
            let mmd2 = found.at(step).and_then(|p| p.mmd2).unwrap_or(f64::NAN);
            // The finite reference adds its own error, which matters only to the smallest values.
            claims.at_most(&figure, mmd2, FACTOR * value + 2.0 * report.resolution);
            claims.at_least(&figure, mmd2, value / FACTOR - 2.0 * report.resolution);
        }
    }
}

/// Runs all checks; answers the tables whose pictures are worth drawing.
///
/// # Errors
/// Claims that fail.
pub fn run(
    seed: u64,
    threads: usize,
    json: Option<&Path>,
) -> Result<Vec<(Problem, Report)>, Failure> {
    let mut claims = Claims::default();
    formulas(&mut claims).map_err(input)?;
    affine(&mut claims, seed);
    let mut pictures = vec![ill_conditioned(&mut claims, seed, threads)?];
    pictures.push(correlated(&mut claims, seed, threads)?);
    pictures.push(mixture(&mut claims, seed, threads)?);
    pictures.push(banana(&mut claims, seed, threads)?);
    logistic(&mut claims, seed, threads)?;
    claims.verdict(json)?;
    Ok(pictures)
}

/// Table A: N(0, diag(4, 0.04)) from (4, 4).
fn ill_conditioned(
    claims: &mut Claims,
    seed: u64,
    threads: usize,
) -> Result<(Problem, Report), Failure> {
    let adagrad = |step| Setting::first_order(Method::SvgdAdagrad, step);
    let rows = [
        row(SVGD(0.2), &[0.62, 0.355, 0.110, 0.0122]),
        row(SVGD(0.3), &[0.47, 0.193, 0.034, 0.0019]),
        row(adagrad(0.1), &[0.71, 0.079, 0.0005, 0.0007]),
        row(adagrad(0.2), &[0.13, 0.001, 0.0045, 0.0025]),
        row(
            Setting::stein(0.6, 1.0, 4.0),
            // At 50 and 200 published are 0.019 to 0.022 and 0.0015 to 0.0025.
            &[0.11, 0.0205, 0.0077, 0.002],
        ),
        row(
            Setting::stein(0.6, 2.0, 4.0),
            // The last is NumPy's.
            &[0.36, 0.077, 0.0066, 0.0033],
        ),
        // The second is NumPy's.
        row(Setting::chain(0.2, 1.0), &[0.071, 0.0161, 0.0144, 0.0142]),
        row(
            Setting::first_order(Method::Langevin, 0.02),
            &[0.67, 0.49, 0.30, 0.12],
        ),
    ];
    let steps = [25, 50, 100, 200];
    let mut settings: Vec<Setting> = rows.iter().map(|row| row.setting).collect();
    let explicit = Setting {
        is_explicit: true,
        ..Setting::stein(0.6, 1.0, 4.0)
    };
    settings.extend([SVGD(0.4), Setting::stein(0.8, 1.0, 4.0), explicit]);
    let (problem, mut report) = run_table(Kind::Gaussian, seed, SEEDS, threads, &steps, &settings)?;
    within(claims, "A", &steps, &report, &rows);
    let fates = report.rows.split_off(rows.len());
    for (row, what) in fates
        .iter()
        .zip(["SVGD, eps 0.4", "Stein SGHMC, eps 0.8", "explicit Euler"])
    {
        let figure = format!("A: {what} diverges");
        claims.at_least(&figure, row.diverged.len() as f64, 1.0);
    }
    let at = |i: usize, step| {
        report
            .rows
            .get(i)
            .and_then(|row| row.at(step)?.mmd2)
            .unwrap_or(f64::NAN)
    };
    // Published: "about 10x below SVGD, 16x below it at eps 0.2" and "5-9x below the SGHMC chain", each within the factor.
    claims.at_least(
        "A: SVGD over Stein SGHMC at 50",
        at(1, 50) / at(4, 50),
        10.0 / FACTOR,
    );
    claims.at_least(
        "A: SVGD eps 0.2 over Stein SGHMC at 50",
        at(0, 50) / at(4, 50),
        16.0 / FACTOR,
    );
    claims.at_least(
        "A: SGHMC chains over Stein SGHMC at 200",
        at(6, 200) / at(4, 200),
        5.0 / FACTOR,
    );
    let ksd = |i: usize| {
        report
            .rows
            .get(i)
            .and_then(|row| Some(row.at(200)?.ksd))
            .unwrap_or(f64::NAN)
    };
    for (i, value) in [
        (0, 0.135),
        (1, 0.090),
        (2, 0.90),
        (3, 1.78),
        (4, 0.45),
        (5, 0.34),
    ] {
        let setting = settings.get(i).copied().unwrap_or(explicit);
        let figure = format!("A: {}, {}, KSD at 200", setting.method, setting.text());
        claims.at_most(&figure, ksd(i), FACTOR * value);
        claims.at_least(&figure, ksd(i), value / FACTOR);
    }
    claims.at_most(
        "A: KSD of SVGD over that of Stein SGHMC at 200",
        ksd(1) / ksd(4),
        1.0,
    );
    Ok((problem, report))
}

/// Table B: the correlated Gaussian, and the trap of separate medians.
fn correlated(
    claims: &mut Claims,
    seed: u64,
    threads: usize,
) -> Result<(Problem, Report), Failure> {
    let stein = Setting::stein(0.5, 1.0, 4.0);
    let separate = Setting {
        is_product: true,
        ..Setting::stein(0.5, 1.0, 1.0)
    };
    let rows = [
        // Nothing is published at 100: the reference has 0.0033.
        row(SVGD(0.4), &[0.0305, 0.0033, 0.0001]),
        row(stein, &[0.0098, 0.0050, 0.0033, 0.0009]),
        row(separate, &[0.669]),
    ];
    let steps = [50, 100, 200, 800];
    let settings: Vec<Setting> = rows.iter().map(|row| row.setting).collect();
    let (problem, report) = run_table(Kind::Correlated, seed, SEEDS, threads, &steps, &settings)?;
    within(claims, "B", &steps, &report, &rows);
    if let [_, joint, separate] = &report.rows[..] {
        let variance = joint.variance.first().copied().unwrap_or(f64::NAN);
        claims.at_most(
            "B: variance of Stein SGHMC at 800 beside 0.919",
            (variance / 0.919).ln().abs(),
            0.1,
        );
        claims.at_most(
            "B: covariance of Stein SGHMC at 800 beside 0.833",
            (joint.covariance / 0.833).ln().abs(),
            0.1,
        );
        let variance = separate.variance.first().copied().unwrap_or(f64::NAN);
        claims.at_most(
            "B: variance with separate medians at 800 beside 0.345",
            (variance / 0.345).ln().abs(),
            0.25,
        );
    }
    Ok((problem, report))
}

/// Table C: three modes. The values at step 200 are NumPy's.
fn mixture(claims: &mut Claims, seed: u64, threads: usize) -> Result<(Problem, Report), Failure> {
    let settings = [
        SVGD(1.0),
        Setting::stein(0.5, 1.0, 1.0),
        Setting::stein(0.5, 1.0, 4.0),
    ];
    let (problem, report) = run_table(Kind::Mixture, seed, SEEDS, threads, &[25, 200], &settings)?;
    let at = |i: usize, step| {
        report
            .rows
            .get(i)
            .and_then(|row| row.at(step)?.mmd2)
            .unwrap_or(f64::NAN)
    };
    let floor = report.floor.unwrap_or(f64::NAN);
    // 1.2 and 1.0 of exact draws in NumPy, the mean of sixteen seeds uncertain by a fifth.
    for step in [25, 200] {
        let figure = format!("C: SVGD over exact draws at {step}");
        claims.at_most(&figure, at(0, step) / floor, FACTOR);
    }
    let early = "C: Stein SGHMC, b 1, MMD² at 25";
    claims.at_most(early, at(1, 25), 0.0255 * FACTOR);
    claims.at_least(early, at(1, 25), 0.0255 / FACTOR);
    for (i, b, mean) in [(1, 1, 0.0107), (2, 4, 0.0269)] {
        let figure = format!("C: Stein SGHMC, b {b}, MMD² at 200");
        claims.at_most(&figure, at(i, 200), mean * FACTOR);
        claims.at_least(&figure, at(i, 200), mean / FACTOR);
    }
    claims.at_least(
        "C: Stein SGHMC, b 4 over b 1 at 200",
        at(2, 200) / at(1, 200),
        1.0,
    );
    Ok((problem, report))
}

/// Table D: the double banana. Both values are NumPy's.
fn banana(claims: &mut Claims, seed: u64, threads: usize) -> Result<(Problem, Report), Failure> {
    let settings = [
        SVGD(0.02),
        Setting::stein(0.15, 3.0, 1.0),
        SVGD(0.05),
        Setting::chain(0.05, 1.0),
    ];
    let (problem, mut report) = run_table(Kind::Banana, seed, SEEDS, threads, &[300], &settings)?;
    let at = |i: usize| {
        report
            .rows
            .get(i)
            .and_then(|row| row.at(300)?.mmd2)
            .unwrap_or(f64::NAN)
    };
    for (i, name, value) in [(0, "SVGD", 0.0173), (1, "Stein SGHMC", 0.0152)] {
        let figure = format!("D: {name}, MMD² at 300");
        claims.at_most(&figure, at(i), value * FACTOR);
        claims.at_least(&figure, at(i), value / FACTOR);
    }
    for i in [2, 3] {
        // Not all runs overflow; those that stay are far off.
        let fails =
            report.rows.get(i).is_some_and(|row| row.curve.is_empty()) || at(i) > 10.0 * 0.0069;
        let figure = format!("D: {} eps 0.05 fails", settings[i].method);
        claims.at_least(&figure, f64::from(u8::from(fails)), 1.0);
    }
    report.rows.truncate(2);
    Ok((problem, report))
}

/// Table E: logistic regression. Predictives cannot tell samplers apart; deviations can.
fn logistic(claims: &mut Claims, seed: u64, threads: usize) -> Result<(), Failure> {
    let settings = [
        SVGD(0.1),
        Setting::stein(0.2, 3.0, 4.0),
        Setting::chain(0.1, 1.0),
    ];
    let (_, report) = run_table(Kind::Synthetic, seed, SEEDS, threads, &[25, 300], &settings)?;
    let reference = report.reference_log_predictive.unwrap_or(f64::NAN);
    for row in &report.rows {
        let found = row
            .at(300)
            .and_then(|p| p.log_predictive)
            .unwrap_or(f64::NAN);
        let figure = format!(
            "E: log predictive of {} less that of the reference",
            row.setting.method
        );
        claims.at_most(&figure, (found - reference).abs(), 0.01);
    }
    let ratios = |i: usize| {
        let ratios = report
            .rows
            .get(i)
            .and_then(|row| row.deviation_ratio.as_deref());
        ratios.unwrap_or_default().to_vec()
    };
    for (i, name, least, most) in [(0, "SVGD", 0.67, 0.85), (1, "Stein SGHMC", 0.9, 1.6)] {
        let (low, high) = ratios(i)
            .iter()
            .fold((f64::INFINITY, 0.0_f64), |(low, high), &r| {
                (low.min(r), high.max(r))
            });
        claims.at_least(&format!("E: least deviation ratio of {name}"), low, least);
        claims.at_most(&format!("E: largest deviation ratio of {name}"), high, most);
    }
    let squares: Vec<f64> = ratios(0).iter().map(|r| r * r).collect();
    let expected = shrunk(squares.iter().sum::<f64>() / squares.len() as f64);
    let found = report
        .rows
        .first()
        .and_then(|row| row.at(300)?.mmd2)
        .unwrap_or(f64::NAN);
    let figure = "E: MMD² of SVGD at 300 over that of its shrinkage";
    claims.at_most(figure, found / expected, FACTOR);
    claims.at_least(figure, found / expected, 1.0 / FACTOR);
    Ok(())
}

/// Squared discrepancy between N(0, r S) and N(0, S) in six dimensions, `h` the median squared distance of the latter.
///
/// With `h = 2 * 5.348` in units of the variance, the median of a chi-squared variable,
/// `MMD^2 = (1 + 4 r/h)^-3 + (1 + 4/h)^-3 - 2 (1 + 2 (1 + r)/h)^-3`: 0.0093, as published, at deviations of 0.84, 0.027 at 0.725.
/// Published ratios are 0.67 to 0.85, so the two agree in kind and differ in the unpublished data.
fn shrunk(r: f64) -> f64 {
    let h = 2.0 * 5.348;
    let term = |s: f64| (1.0 + s / h).powi(-3);
    term(4.0 * r) + term(4.0) - 2.0 * term(2.0 * (1.0 + r))
}

/// M of SGHMC and of SGRHMC in one dimension, on z = (theta, r).
#[derive(Clone, Copy)]
enum Dynamics {
    /// Friction 0.7.
    Sghmc,
    /// `S = (1 + theta^2)^(-1/2)`; with its divergence or without.
    Sgrhmc { has_divergence: bool },
}

impl Recipe<f64> for Dynamics {
    fn apply(&self, z: &[f64], v: &[f64], out: &mut [f64]) {
        if let (&[theta, _], &[a, b], [x, y]) = (z, v, out) {
            (*x, *y) = match self {
                Self::Sghmc => (-b, a + 0.7 * b),
                Self::Sgrhmc { .. } => {
                    let s = 1.0 / (1.0 + theta * theta).sqrt();
                    (-s * b, s * a + s * s * b)
                }
            };
        }
    }

    fn add_divergence(&self, z: &[f64], out: &mut [f64]) {
        if let (
            Self::Sgrhmc {
                has_divergence: true,
            },
            &[theta, _],
            [_, y],
        ) = (self, z, out)
        {
            let q = 1.0 + theta * theta;
            *y -= theta / (q * q.sqrt());
        }
    }

    fn is_constant(&self) -> bool {
        matches!(self, Self::Sghmc)
    }
}

/// One particle's direction in closed form; the Stein identity by quadrature.
fn formulas(claims: &mut Claims) -> Result<(), Error> {
    let direction = |dynamics: Dynamics, z: &[f64], gradients: &[f64]| {
        let (mut phi, mut scratch) = ([0.0; 4], [0.0; 128]);
        let out = phi.get_mut(..z.len()).unwrap_or_default();
        let width = 1.1;
        direction_into(
            &dynamics,
            Arithmetic::Portable,
            width,
            2,
            z,
            gradients,
            out,
            &mut scratch,
        )?;
        Ok::<_, Error>([phi[0], phi[1]])
    };
    // p = exp(-theta^2 - r^2/2) at (0.3, -0.4).
    let [x, y] = direction(Dynamics::Sghmc, &[0.3, -0.4], &[-0.6, 0.4])?;
    claims.at_most("one particle: theta' beside -0.4", (x + 0.4).abs(), 1e-15);
    claims.at_most("one particle: r' beside -0.32", (y + 0.32).abs(), 1e-15);

    let gradient = |theta: f64, r: f64| [-(theta + 0.4 * theta * theta * theta), -r];
    let at = [0.4, -0.7];
    let [g0, g1] = gradient(at[0], at[1]);
    let mean = |dynamics: Dynamics| {
        let own = direction(dynamics, &at, &[g0, g1])?;
        let (mut sum, mut total) = ([0.0; 2], 0.0);
        for i in 0..=400 {
            for j in 0..=400 {
                let (theta, r) = (-8.0 + 0.04 * f64::from(i), -8.0 + 0.04 * f64::from(j));
                let square = theta * theta;
                let p = (-0.5 * square - 0.1 * square * square - 0.5 * r * r).exp();
                let [a, b] = gradient(theta, r);
                // Of two particles the first feels half of itself and half of the other.
                let both = direction(dynamics, &[at[0], at[1], theta, r], &[g0, g1, a, b])?;
                for ((sum, both), own) in sum.iter_mut().zip(both).zip(own) {
                    *sum += p * (2.0 * both - own);
                }
                total += p;
            }
        }
        Ok::<_, Error>(sum.map(|sum| sum / total))
    };
    for (name, dynamics) in [
        ("constant M", Dynamics::Sghmc),
        (
            "SGRHMC",
            Dynamics::Sgrhmc {
                has_divergence: true,
            },
        ),
    ] {
        let found = mean(dynamics)?;
        let figure = format!("Stein identity by quadrature, {name}");
        claims.at_most(&figure, found[0].hypot(found[1]), 1e-14);
    }
    let found = mean(Dynamics::Sgrhmc {
        has_divergence: false,
    })?;
    let figure = "Stein identity without Gamma beside (0, 0.0335)";
    claims.at_most(figure, found[0].hypot(found[1].abs() - 0.0335), 5e-5);
    Ok(())
}

/// Stein SGHMC under `k = 1 + z . z'`: `phi(z) = M [ mean g + mean(g z^T) z + z ]` rests where the moments are those of the Gaussian.
fn affine(claims: &mut Claims, seed: u64) {
    const N: usize = 12;
    const STEP: f64 = 0.02;
    let mut rng = stream(seed, 0, 0, Purpose::INIT);
    let mut z: [[f64; 4]; N] = [[0.0; 4]; N];
    z.as_flattened_mut().fill_with(|| normal(&mut rng));
    let mean = |rows: &[[f64; 4]; N], f: &dyn Fn(usize, &[f64; 4]) -> f64| {
        let each = rows.iter().enumerate();
        each.map(|(j, row)| f(j, row)).sum::<f64>() / N as f64
    };
    // Momenta (the last two) on even half steps, positions on odd ones.
    for half in 0..12_000 {
        let at = z;
        // Target N((0.5, -1), [[1, 0.8], [0.8, 1]]), momenta N(0, I).
        let g = at.map(|[x, y, r, s]| {
            let (x, y) = (x - 0.5, y + 1.0);
            [(0.8 * y - x) / 0.36, (0.8 * x - y) / 0.36, -r, -s]
        });
        let drift: [f64; 4] = from_fn(|a| mean(&g, &|_, g| g[a]));
        let cross: [[f64; 4]; 4] = from_fn(|a| from_fn(|b| mean(&g, &|j, g| g[a] * at[j][b])));
        for z in &mut z {
            let inner: [f64; 4] = from_fn(|a| {
                let product = cross[a].iter().zip(&*z).map(|(c, z)| c * z);
                drift[a] + product.sum::<f64>() + z[a]
            });
            let [x, y, r, s] = inner;
            if half % 2 == 0 {
                z[2] += STEP * (x + r);
                z[3] += STEP * (y + s);
            } else {
                z[0] -= STEP * r;
                z[1] -= STEP * s;
            }
        }
    }
    let centre: [f64; 4] = from_fn(|c| mean(&z, &|_, z| z[c]));
    let covariance = |a: usize, b: usize| mean(&z, &|_, z| (z[a] - centre[a]) * (z[b] - centre[b]));
    for (name, found, exact) in [
        ("first mean", centre[0], 0.5),
        ("second mean", centre[1], -1.0),
        ("first variance", covariance(0, 0), 1.0),
        ("covariance", covariance(0, 1), 0.8),
        ("second variance", covariance(1, 1), 1.0),
        ("momentum variance", covariance(2, 2), 1.0),
    ] {
        let figure = format!("affine kernel: {name} beside {exact}");
        claims.at_most(&figure, (found - exact).abs(), 0.02);
    }
}
