//! Where a fit starts.
//!
//! ```text
//! k-means++   c_1 a row by its weight;  c_j row i with probability w_i D_i^2 / sum w D^2,  D_i the distance to the nearest of c_1 .. c_(j-1)
//! Lloyd       every row belongs to its nearest centre, every centre is the mean of its rows, until sum w D^2 stops falling
//! ```
//! Reference: Arthur and Vassilvitskii, *k-means++: the advantages of careful seeding*, SODA 2007.

use super::{Config, Rows, least_scratch_len, pass};
use crate::error::{check, check_scratch};
use crate::memory::{cut, must};
use crate::mixture::gaussian::{Covariance, Evaluator, Mixture, row, row_mut};
use crate::random::{self, Purpose, Stream};
use crate::{Error, Real, Storage};

/// Lloyd's steps, at most; scikit-learn's `KMeans` has 300, and rarely needs them.
const MOST_LLOYD: usize = 100;

/// How a mixture is set from the data.
///
/// ```
/// assert_eq!(thalweg::mixture::em::Init::default(), thalweg::mixture::em::Init::KMeans);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Init {
    /// k-means from the seeds of k-means++; weights, means and covariances are those of its clusters. scikit-learn's default, whose seeds are
    /// chosen greedily from several draws.
    #[default]
    KMeans,
    /// Rows drawn by their weights, with replacement, as means; the covariance of all rows; equal weights.
    RandomRows,
    /// Means uniform in the unit cube, unit covariances, weights uniform and scaled to the sum 1: the start of Shi et al. and of the paper on
    /// component selection.
    UnitCube,
}

/// Numbers of scratch of [`start`]: a distance for each row, and that of a step.
///
/// ```
/// use thalweg::mixture::{em, gaussian::Covariance};
/// let len = em::start_scratch_len(Covariance::Full, 7, 2, 2);
/// assert_eq!(len, 7 + em::least_scratch_len(Covariance::Full, 2, 2));
/// ```
#[must_use]
pub const fn start_scratch_len(covariance: Covariance, n: usize, k: usize, d: usize) -> usize {
    n.saturating_add(least_scratch_len(covariance, k, d))
}

fn distance<T: Real>(x: &[T], centre: &[T]) -> f64 {
    x.iter().zip(centre).fold(0.0, |sum, (x, c)| {
        let dx = x.to_f64() - c.to_f64();
        sum + dx * dx
    })
}

/// The row belongs to its nearest component, the first of those that are equally near; returns the squared distance.
fn hard<T: Real>(
    evaluator: &mut Evaluator<'_, T>,
    (_, x): (usize, &[T]),
    r: &mut [f64],
) -> Result<f64, Error> {
    let view = evaluator.mixture;
    let (mut nearest, mut least) = (0, f64::INFINITY);
    for j in 0..view.components() {
        let square = distance(x, row(view.means(), j, view.dim()));
        if square < least {
            (nearest, least) = (j, square);
        }
    }
    for (j, r) in r.iter_mut().enumerate() {
        *r = if j == nearest { 1.0 } else { 0.0 };
    }
    Ok(least)
}

/// Every row belongs to all components alike.
fn even<T: Real>(_: &mut Evaluator<'_, T>, _: (usize, &[T]), r: &mut [f64]) -> Result<f64, Error> {
    r.fill(1.0);
    Ok(0.0)
}

/// Draws a row with probability in proportion to `weights`; where all are 0, by the weights of the rows.
fn draw<T: Real>(
    rng: &mut Stream,
    rows: &Rows<'_, T>,
    weights: &mut [f64],
) -> Result<usize, Error> {
    let total = crate::vector::sum(weights);
    check(
        "data",
        total.is_finite(),
        "must have distances whose squares have a finite sum",
    )?;
    if total == 0.0 {
        for (i, w) in weights.iter_mut().enumerate() {
            *w = rows.weight(i);
        }
    }
    random::categorical(rng, weights)
}

/// Sets weights, means and covariances.
///
/// Draws come from the stream (seed, 0, 0, [`Purpose::INIT`]). `scratch` has [`start_scratch_len`] numbers. Cost with k-means: `N K D` for the
/// seeds, and as much for each of its steps, at most a hundred.
///
/// # Errors
/// [`Error::Parameter`] for weights that are negative or all 0, data without rows, and squared distances whose sum is not finite;
/// [`Error::Length`]; [`Error::NonFinite`] with the row.
///
/// ```
/// use thalweg::matrix::MatrixRef;
/// use thalweg::mixture::{em::{self, Config, Init}, gaussian::{Covariance, Mixture}};
/// let mut mixture = Mixture::new(Covariance::Diagonal, 2, 1, [0.0_f64; 8])?;
/// let data = MatrixRef::new(&[1.0, 3.0, 11.0, 13.0], 4, 1)?;
/// let mut scratch = [0.0; em::start_scratch_len(Covariance::Diagonal, 4, 2, 1)];
/// em::start(&Config { reg_covar: 0.0 }, Init::KMeans, &mut mixture, data, 7, &mut scratch)?;
/// let mut means = [mixture.view().means()[0], mixture.view().means()[1]];
/// means.sort_by(f64::total_cmp);
/// assert_eq!(means, [2.0, 12.0]);
/// assert_eq!(mixture.view().factors(), [1.0; 2]); // variances (1 + 1)/2
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn start<'a, T: Real, B: Storage<Elem = T>>(
    config: &Config,
    init: Init,
    mixture: &mut Mixture<B>,
    rows: impl Into<Rows<'a, T>>,
    seed: u64,
    scratch: &mut [f64],
) -> Result<(), Error> {
    let rows = rows.into();
    let view = mixture.view();
    let (shape, k, d, n) = (
        view.covariance(),
        view.components(),
        view.dim(),
        rows.data.rows(),
    );
    config.validate()?;
    rows.check(d)?;
    check_scratch("scratch", start_scratch_len(shape, n, k, d), scratch.len())?;
    let mut rng = random::stream(seed, 0, 0, Purpose::INIT);
    mixture.make_standard()?;
    let ([near], rest) = cut(scratch, [n])?;
    match init {
        Init::UnitCube => {
            let mut parts = mixture.parts()?;
            parts.means.fill_with(|| random::uniform(&mut rng));
            let weights = must(rest.get_mut(..k));
            weights.fill_with(|| random::uniform(&mut rng));
            parts.set_floored_weights(weights);
        }
        Init::RandomRows => {
            // The covariance about the mean of all rows, then means that are rows.
            pass(config, mixture, rows, rest, even)?;
            for j in 0..k {
                near.fill(0.0);
                let i = draw(&mut rng, &rows, near)?;
                place(mixture, j, must(rows.data.row(i)))?;
            }
        }
        Init::KMeans => {
            near.fill(0.0);
            for j in 0..k {
                let i = draw(&mut rng, &rows, near)?;
                let centre = must(rows.data.row(i));
                place(mixture, j, centre)?;
                for ((i, near), x) in near.iter_mut().enumerate().zip(rows.data.row_iter()) {
                    let square = rows.weight(i) * distance(x, centre);
                    *near = if j == 0 { square } else { near.min(square) };
                }
            }
            let mut least = f64::INFINITY;
            for _ in 0..MOST_LLOYD {
                let found = pass(config, mixture, rows, rest, hard)?;
                if found.mean_log_likelihood >= least {
                    break;
                }
                least = found.mean_log_likelihood;
            }
        }
    }
    Ok(())
}

/// Sets the mean of a component.
fn place<T: Real, B: Storage<Elem = T>>(
    mixture: &mut Mixture<B>,
    j: usize,
    x: &[T],
) -> Result<(), Error> {
    let d = x.len();
    for (to, x) in row_mut(mixture.parts()?.means, j, d).iter_mut().zip(x) {
        *to = *x;
    }
    Ok(())
}
