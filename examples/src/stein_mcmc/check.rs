//! The small experiments: tables A to E.
//!
//! A figure is a mean over seeds. It is held against the mean of an independent NumPy program, `tests/reference/stein_mcmc.py`, over 256
//! seeds (B: 128), within a factor of 2, or within six standard errors where the deviation over seeds asks for more: see `factor`.
//! The output of the program, `stein_mcmc_check.txt`, has every mean and deviation. So the claims hold for any seed, not for lucky ones.
//!
//! Published are means over two to four seeds. Most are within a factor of 2 of the 256; these are not, and the deviation over seeds
//! shows why two to four seeds can miss:
//!
//! | figure | published | 256 seeds | deviation over seeds |
//! |---|---|---|---|
//! | A, Stein SGHMC c 2, MMD² at 200 | 0.0016 | 0.0038 | 0.0022 |
//! | C, SVGD at 25 and 200 | 0.0036, 0.0027 | 0.0089, 0.0080 | 0.0083, 0.0078 |
//! | C, Stein SGHMC b 1 at 200 | 0.0034 | 0.0124 | 0.0119 |
//! | D, SVGD at 300 | 0.0069 | 0.0159 | 0.0170 |
//!
//! In C and D the start decides once for all how many particles a mode gets. E is data that is not published, another set for each
//! seed: its figures are held within what 24 sets of the program span.

mod formulas;

use self::formulas::{affine, formulas};
use crate::cli::{Claims, Failure, input};
use crate::source::Source;

use super::compare::{Report, Settings, compare};
use super::problem::{Kind, Problem};
use super::sampler::{Method, Setting};

/// Allowed between a figure and the mean of the reference, either way.
const FACTOR: f64 = 2.0;
/// Standard errors that are allowed where they are more than that. A check has some two hundred bounds, and a mean of squared
/// discrepancies is skewed.
const ERRORS: f64 = 6.0;
/// Exact draws that stand for a target of tables A and B.
const DRAWS: usize = 24_000;
/// The squared discrepancy of those draws themselves, which is in every figure of a table, exceeds so many times its mean once in a hundred
/// thousand: a sum of chi-squares weighted by the eigenvalues of the centred kernel, of which the first has 0.42, 0.41 and 0.50 of the
/// trace in A, B and C.
const QUANTILE: f64 = 9.0;
/// Seeds of a calm table, and of one whose figures scatter.
const SEEDS: u64 = 16;
const MANY: u64 = 32;
/// Seeds of the reference, the fewest, and its data sets.
const REFERENCE: f64 = 128.0;
const SETS: f64 = 24.0;

/// Mean and deviation over seeds in the reference.
type Moments = (f64, f64);

/// Standard errors that may lie between the mean of some runs and that of as many of the reference as stated, as a ratio.
///
/// The relative error of a ratio of the two is `deviation / mean * sqrt(1/runs + 1/reference)`. Its bounds are
/// symmetric in the logarithm: discrepancies are positive and skewed to the right.
fn errors((mean, deviation): Moments, runs: f64, reference: f64) -> f64 {
    (ERRORS * deviation / mean * (1.0 / runs + 1.0 / reference).sqrt()).exp()
}

/// What may lie between the mean of some seeds and that of the reference.
fn factor(held: Moments, seeds: u64) -> f64 {
    FACTOR.max(errors(held, seeds as f64, REFERENCE))
}

/// Mean and deviation of a quotient of independent means, to first order.
fn ratio(above: Moments, below: Moments) -> Moments {
    let mean = above.0 / below.0;
    (mean, mean * (above.1 / above.0).hypot(below.1 / below.0))
}

/// States that a figure is that of the reference. `error` is another distance, added to the root of a squared one.
fn hold(claims: &mut Claims, figure: &str, found: f64, held: Moments, seeds: u64, error: f64) {
    let factor = factor(held, seeds);
    let (most, least) = ((held.0 * factor).sqrt(), (held.0 / factor).sqrt());
    claims.at_most(figure, found, (most + error).powi(2));
    claims.at_least(figure, found, (least - error).max(0.0).powi(2));
}

/// A row of the reference: how it was run, and its squared discrepancies at the steps of its table.
struct Held {
    setting: Setting,
    mmd2: &'static [Moments],
}

const fn row(setting: Setting, mmd2: &'static [Moments]) -> Held {
    Held { setting, mmd2 }
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
    let mut problem = Problem::new(kind, &source, 500, seed)?;
    // The others are far above the error of their draws.
    if matches!(kind, Kind::Gaussian | Kind::Correlated) {
        problem.draw_reference(DRAWS, seed)?;
    }
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

/// States every value of a table.
fn within(
    claims: &mut Claims,
    table: &str,
    steps: &[u64],
    seeds: u64,
    report: &Report,
    rows: &[Held],
) {
    for (found, held) in report.rows.iter().zip(rows) {
        for (&step, &moments) in steps.iter().zip(held.mmd2) {
            let setting = held.setting;
            let figure = format!(
                "{table}: {}, {}, MMD² at {step}",
                setting.method,
                setting.text()
            );
            let mmd2 = found.at(step).and_then(|p| p.mmd2).unwrap_or(f64::NAN);
            let error = (QUANTILE * report.resolution).sqrt();
            hold(claims, &figure, mmd2, moments, seeds, error);
        }
    }
}

/// Runs all checks; returns the tables that are worth drawing, and the claims.
///
/// # Errors
/// Those of the samplers.
pub fn run(seed: u64, threads: usize) -> Result<(Vec<(Problem, Report)>, Claims), Failure> {
    let mut claims = Claims::default();
    formulas(&mut claims).map_err(input)?;
    affine(&mut claims, seed);
    let mut pictures = vec![ill_conditioned(&mut claims, seed, threads)?];
    pictures.push(correlated(&mut claims, seed, threads)?);
    pictures.push(mixture(&mut claims, seed, threads)?);
    pictures.push(banana(&mut claims, seed, threads)?);
    logistic(&mut claims, seed, threads)?;
    Ok((pictures, claims))
}

/// Table A: N(0, diag(4, 0.04)) from (4, 4).
fn ill_conditioned(
    claims: &mut Claims,
    seed: u64,
    threads: usize,
) -> Result<(Problem, Report), Failure> {
    let adagrad = |step| Setting::first_order(Method::SvgdAdagrad, step);
    let calm = [
        row(SVGD(0.2), &A[0]),
        row(SVGD(0.3), &A[1]),
        row(adagrad(0.1), &A[2]),
        row(adagrad(0.2), &A[3]),
    ];
    let lively = [
        row(Setting::stein(0.6, 1.0, 4.0), &A[4]),
        row(Setting::stein(0.6, 2.0, 4.0), &A[5]),
        row(Setting::chain(0.2, 1.0), &A[6]),
        row(Setting::first_order(Method::Langevin, 0.02), &A[7]),
    ];
    let steps = [25, 50, 100, 200];
    let explicit = Setting {
        is_explicit: true,
        ..Setting::stein(0.6, 1.0, 4.0)
    };
    let setting = |row: &Held| row.setting;
    let mut settings: Vec<Setting> = calm.iter().map(setting).collect();
    settings.extend([SVGD(0.4), Setting::stein(0.8, 1.0, 4.0), explicit]);
    let table = Kind::Gaussian;
    let (problem, mut report) = run_table(table, seed, SEEDS, threads, &steps, &settings)?;
    within(claims, "A", &steps, SEEDS, &report, &calm);
    let fates = report.rows.split_off(calm.len());
    let settings: Vec<Setting> = lively.iter().map(setting).collect();
    let (_, other) = run_table(table, seed, MANY, threads, &steps, &settings)?;
    within(claims, "A", &steps, MANY, &other, &lively);
    report.rows.extend(other.rows);
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
    // Published: "about 10x below SVGD, 16x below it at eps 0.2" and "5-9x below the SGHMC chain"; in the reference 10, 18 and 3.7.
    for (figure, above, below, at_step) in [
        ("A: SVGD over Stein SGHMC at 50", 1, 4, 1),
        ("A: SVGD eps 0.2 over Stein SGHMC at 50", 0, 4, 1),
        ("A: SGHMC chains over Stein SGHMC at 200", 6, 4, 3),
    ] {
        let step = steps[at_step];
        let held = ratio(A[above][at_step], A[below][at_step]);
        // Rows of both kinds: the fewer seeds of SVGD hardly scatter.
        let least = held.0 / factor(held, MANY);
        claims.at_least(figure, at(above, step) / at(below, step), least);
    }
    let ksd = |i: usize| {
        report
            .rows
            .get(i)
            .and_then(|row| Some(row.at(200)?.ksd))
            .unwrap_or(f64::NAN)
    };
    for (i, held) in [
        (0.133, 0.004),
        (0.090, 0.005),
        (0.904, 0.026),
        (1.793, 0.064),
        (0.455, 0.087),
        (0.348, 0.052),
    ]
    .into_iter()
    .enumerate()
    {
        let setting = report.rows.get(i).map_or(explicit, |row| row.setting);
        let figure = format!("A: {}, {}, KSD at 200", setting.method, setting.text());
        hold(claims, &figure, ksd(i), held, SEEDS, 0.0);
    }
    claims.at_most(
        "A: KSD of SVGD over that of Stein SGHMC at 200",
        ksd(1) / ksd(4),
        1.0,
    );
    Ok((problem, report))
}

/// Table A of the reference, at 25, 50, 100 and 200 steps.
#[rustfmt::skip]
const A: [[Moments; 4]; 8] = [
    [(0.60470, 0.01722), (0.34631, 0.01119), (0.10985, 0.00394), (0.01414, 0.00056)],
    [(0.45889, 0.01409), (0.19214, 0.00646), (0.03683, 0.00132), (0.00272, 0.00012)],
    [(0.70391, 0.02870), (0.07674, 0.01129), (0.00036, 0.00011), (0.00089, 0.00022)],
    [(0.12959, 0.01698), (0.00117, 0.00051), (0.00474, 0.00147), (0.00350, 0.00073)],
    [(0.12465, 0.03048), (0.01933, 0.01037), (0.00663, 0.00413), (0.00292, 0.00219)],
    [(0.34004, 0.03123), (0.07114, 0.01056), (0.01179, 0.00480), (0.00378, 0.00222)],
    [(0.08092, 0.03210), (0.01311, 0.01097), (0.01110, 0.00809), (0.01090, 0.00778)],
    [(0.68686, 0.05196), (0.50101, 0.06162), (0.28244, 0.05583), (0.10810, 0.04119)],
];

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
        row(SVGD(0.4), &B[0]),
        row(stein, &B[1]),
        row(separate, &B[2]),
    ];
    let steps = [50, 100, 200, 800];
    let settings: Vec<Setting> = rows.iter().map(|row| row.setting).collect();
    let (problem, report) = run_table(Kind::Correlated, seed, SEEDS, threads, &steps, &settings)?;
    within(claims, "B", &steps, SEEDS, &report, &rows);
    if let [_, joint, separate] = &report.rows[..] {
        // Published are 0.919, 0.833 and 0.345; deviations over seeds are 0.014, 0.015 and 0.009.
        let variance = joint.variance.first().copied().unwrap_or(f64::NAN);
        claims.at_most(
            "B: variance of Stein SGHMC at 800 against 0.923",
            (variance / 0.923).ln().abs(),
            0.1,
        );
        claims.at_most(
            "B: covariance of Stein SGHMC at 800 against 0.842",
            (joint.covariance / 0.842).ln().abs(),
            0.1,
        );
        let variance = separate.variance.first().copied().unwrap_or(f64::NAN);
        claims.at_most(
            "B: variance with separate medians at 800 against 0.356",
            (variance / 0.356).ln().abs(),
            0.1,
        );
    }
    Ok((problem, report))
}

/// Table B of the reference, at 50, 100, 200 and 800 steps.
#[rustfmt::skip]
const B: [[Moments; 4]; 3] = [
    [(0.03364, 0.00194), (0.00326, 0.00035), (0.00027, 0.00004), (0.00016, 0.00001)],
    [(0.01320, 0.00444), (0.00632, 0.00281), (0.00377, 0.00206), (0.00110, 0.00076)],
    [(0.59769, 0.06560), (0.23813, 0.04887), (0.01996, 0.00563), (0.04520, 0.00217)],
];

/// Table C: three modes.
fn mixture(claims: &mut Claims, seed: u64, threads: usize) -> Result<(Problem, Report), Failure> {
    let rows = [
        row(SVGD(1.0), &[(0.00887, 0.00832), (0.00796, 0.00782)]),
        row(
            Setting::stein(0.5, 1.0, 1.0),
            &[(0.03200, 0.01610), (0.01243, 0.01185)],
        ),
        row(
            Setting::stein(0.5, 1.0, 4.0),
            &[(0.04107, 0.03188), (0.02646, 0.02741)],
        ),
    ];
    let (steps, settings) = ([25, 200], rows.each_ref().map(|row| row.setting));
    let (problem, report) = run_table(Kind::Mixture, seed, MANY, threads, &steps, &settings)?;
    within(claims, "C", &steps, MANY, &report, &rows);
    let ksd = |i: usize| {
        report
            .rows
            .get(i)
            .and_then(|row| Some(row.at(200)?.ksd))
            .unwrap_or(f64::NAN)
    };
    // 0.220 over 0.194 in the reference, with deviations over seeds of 0.022 and 0.016.
    claims.at_least(
        "C: KSD of Stein SGHMC, b 4 over b 1 at 200",
        ksd(2) / ksd(1),
        1.0,
    );
    Ok((problem, report))
}

/// Table D: the double banana.
fn banana(claims: &mut Claims, seed: u64, threads: usize) -> Result<(Problem, Report), Failure> {
    let rows = [
        row(SVGD(0.02), &[(0.01586, 0.01695)]),
        row(Setting::stein(0.15, 3.0, 1.0), &[(0.01667, 0.01458)]),
    ];
    let settings = [
        rows[0].setting,
        rows[1].setting,
        SVGD(0.05),
        Setting::chain(0.05, 1.0),
    ];
    let (problem, mut report) = run_table(Kind::Banana, seed, MANY, threads, &[300], &settings)?;
    within(claims, "D", &[300], MANY, &report, &rows);
    for i in [2, 3] {
        // Not all runs overflow; those that stay are far off, in the reference 0.14 and 0.15 on average.
        let fails = report.rows.get(i).is_some_and(|row| {
            let mmd2 = row.at(300).and_then(|p| p.mmd2);
            mmd2.is_none_or(|mmd2| mmd2 > 3.0 * 0.01586)
        });
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
    // Published 0.67 to 0.85 and 0.9 to 1.6; of the reference mean and deviation over data sets, of which this is one more.
    for (i, name, least, most) in [
        (0, "SVGD", (0.7140, 0.0071), (0.7479, 0.0109)),
        (1, "Stein SGHMC", (1.1138, 0.1221), (1.2804, 0.0896)),
    ] {
        let bounds = [
            least.0 / errors(least, 1.0, SETS),
            most.0 * errors(most, 1.0, SETS),
        ];
        let (low, high) = ratios(i)
            .iter()
            .fold((f64::INFINITY, 0.0_f64), |(low, high), &r| {
                (low.min(r), high.max(r))
            });
        claims.at_least(
            &format!("E: least deviation ratio of {name}"),
            low,
            bounds[0],
        );
        claims.at_most(
            &format!("E: largest deviation ratio of {name}"),
            high,
            bounds[1],
        );
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
/// In the reference the discrepancy of SVGD is 0.82 to 0.93 of that of its deviations.
fn shrunk(r: f64) -> f64 {
    let h = 2.0 * 5.348;
    let term = |s: f64| (1.0 + s / h).powi(-3);
    term(4.0 * r) + term(4.0) - 2.0 * term(2.0 * (1.0 + r))
}
