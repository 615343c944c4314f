//! Labels, statistics and counters.

use super::{Statistics, check_data, scratch_len};
use crate::error::{check, check_length, check_scratch};
use crate::matrix::MatrixRef;
use crate::memory::cut;
use crate::mixture::gaussian::{Covariance, MixtureRef, row};
use crate::random::{self, Purpose};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::{Error, Real, Storage};

/// Numbers of the statistics of `k` components in `d` dimensions: the centre, then s0, s1 and s2.
///
/// ```
/// use thalweg::mixture::{component_selection::statistics_len, gaussian::Covariance};
/// assert_eq!(statistics_len(Covariance::Full, 100, 2), 2 + 100 * (1 + 2 + 3));
/// ```
#[must_use]
pub const fn statistics_len(covariance: Covariance, k: usize, d: usize) -> usize {
    k.saturating_mul(d.saturating_add(1))
        .saturating_add(covariance.factors_len(k, d))
        .saturating_add(d)
}

/// Storage of a state.
///
/// ```
/// use thalweg::mixture::component_selection::Buffers;
/// // Three rows, uniform proposals: neither cache nor table.
/// let buffers = Buffers { labels: [0; 3], statistics: [0.0; 7], cache: [], table: [] };
/// assert_eq!(buffers.labels.len(), 3);
/// # let _: Buffers<[u32; 3], [f64; 7], [f64; 0], [f32; 0]> = buffers;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Buffers<L, S, C, Q> {
    /// The label of each row: N.
    pub labels: L,
    /// [`statistics_len`] numbers.
    pub statistics: S,
    /// The log joint of each label at its last visit: N; none without [`Current::Cached`](super::Current::Cached).
    pub cache: C,
    /// Shares of the components in the proposals to each row: N x K; none without [`Proposal::Table`](super::Proposal::Table).
    pub table: Q,
}

/// The chains and what they have gathered; saved with the mixture, the run continues with the same bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State<L, S, C, Q> {
    pub(super) buffers: Buffers<L, S, C, Q>,
    /// What the buffer of the statistics is to be multiplied with.
    pub(super) factor: f64,
    pub(super) steps: u64,
    pub(super) evaluations: u64,
}

impl<L, S, C, Q> State<L, S, C, Q>
where
    L: Storage<Elem = u32>,
    S: Storage<Elem = f64>,
    C: Storage<Elem = f64>,
    Q: Storage<Elem = f32>,
{
    /// Uniform labels, even tables, and the statistics that have the parameters of a mixture.
    ///
    /// `s0 = pi`, `s1 = pi (mu - c)`, `s2 = pi (Sigma + (mu - c)(mu - c)^T)` with the mean `c` of the data. `scratch` has
    /// [`scratch_len`] numbers. Labels are drawn from the stream (seed, 0, 0, [`Purpose::INIT`]).
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Parameter`] for data without rows or more than 2^32 - 1 components; [`Error::NonFinite`] with the row
    /// of the data; [`Error::Singular`] for a factor with a zero pivot.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// use thalweg::mixture::{component_selection::{Buffers, State, scratch_len}, gaussian::{Covariance, Mixture}};
    /// let mixture = Mixture::new(Covariance::Full, 2, 1, [0.0_f64; 8])?;
    /// let data = MatrixRef::new(&[1.0, 3.0], 2, 1)?;
    /// let mut scratch = [0.0; scratch_len(Covariance::Full, 2, 1)];
    /// let buffers = Buffers { labels: [9; 2], statistics: [0.0; 7], cache: [], table: [] };
    /// let state = State::new(&mixture.view(), data, 7, buffers, &mut scratch)?;
    /// assert!(state.labels().iter().all(|z| *z < 2));
    /// // Centre 2; weights 1/2; means 0 - 2 by their weight; (1 + 4)/2.
    /// assert_eq!(state.statistics(), [2.0, 0.5, 0.5, -1.0, -1.0, 2.5, 2.5]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new<T: Real>(
        mixture: &MixtureRef<'_, T>,
        data: MatrixRef<'_, T>,
        seed: u64,
        buffers: Buffers<L, S, C, Q>,
        scratch: &mut [f64],
    ) -> Result<Self, Error> {
        let (shape, k, d) = (mixture.covariance(), mixture.components(), mixture.dim());
        check_data(d, &data)?;
        check_scratch("scratch", scratch_len(shape, k, d), scratch.len())?;
        let components = u32::try_from(k).unwrap_or(0);
        check("k", components > 0, "must be at most 2^32 - 1")?;
        let mut state = Self::resume(buffers, 1.0, 0, 0);
        let (n, of) = (data.rows(), &mut state.buffers);
        check_length("labels", n, of.labels.as_slice().len())?;
        let found = of.statistics.as_slice().len();
        check_length("statistics", statistics_len(shape, k, d), found)?;
        for (name, expected, found) in [
            ("cache", n, of.cache.as_slice().len()),
            ("table", n.saturating_mul(k), of.table.as_slice().len()),
        ] {
            if found > 0 {
                check_length(name, expected, found)?;
            }
        }
        let ([m, _, room], _) = cut(scratch, [d, k, shape.scratch_len(d)])?;
        m.fill(0.0);
        for x in data.row_iter() {
            for (m, x) in m.iter_mut().zip(x) {
                *m += x.to_f64();
            }
        }
        let buffer = of.statistics.as_mut_slice();
        buffer.fill(0.0);
        let n = data.rows() as f64;
        for (c, m) in buffer.iter_mut().zip(m.iter()) {
            *c = *m / n;
        }
        let mut to = Statistics::new(mixture, buffer)?;
        for (j, w) in mixture.log_weights().iter().enumerate() {
            let w = crate::simd::math::scalar::exp(w.to_f64());
            let mean = row(mixture.means(), j, d);
            for ((m, x), c) in m.iter_mut().zip(mean).zip(to.centre) {
                *m = x.to_f64() - *c;
            }
            to.add(j, w, m);
            let sigma = mixture.covariance_of(j, room)?;
            to.add_covariance(j, w, sigma);
        }
        let mut rng = random::stream(seed, 0, 0, Purpose::INIT);
        for z in of.labels.as_mut_slice() {
            *z = random::below(&mut rng, components);
        }
        of.cache.as_mut_slice().fill(f64::NAN);
        of.table.as_mut_slice().fill(1.0);
        Ok(state)
    }

    /// A state of its parts, which are not looked at: `statistics` times `factor` are s0, s1 and s2. A place to restore into.
    ///
    /// ```
    /// use thalweg::mixture::component_selection::{Buffers, State};
    /// let buffers = Buffers { labels: [0; 3], statistics: [0.0; 7], cache: [], table: [] };
    /// let state = State::resume(buffers, 1.0, 0, 0);
    /// assert_eq!((state.labels(), state.factor()), (&[0; 3][..], 1.0));
    /// ```
    pub const fn resume(
        buffers: Buffers<L, S, C, Q>,
        factor: f64,
        steps: u64,
        evaluations: u64,
    ) -> Self {
        Self {
            buffers,
            factor,
            steps,
            evaluations,
        }
    }

    /// The label of each row.
    pub fn labels(&self) -> &[u32] {
        self.buffers.labels.as_slice()
    }

    /// Centre, and statistics over [`factor`](Self::factor).
    pub fn statistics(&self) -> &[f64] {
        self.buffers.statistics.as_slice()
    }

    /// Shares of the components in the proposals to each row.
    pub fn table(&self) -> &[f32] {
        self.buffers.table.as_slice()
    }

    /// What the statistics are to be multiplied with.
    pub const fn factor(&self) -> f64 {
        self.factor
    }

    /// Steps taken.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Likelihoods evaluated in all steps.
    pub const fn evaluations(&self) -> u64 {
        self.evaluations
    }

    fn fields(&self) -> [Field; 7] {
        [
            Field::U64,
            Field::U64,
            Field::real::<f64>(),
            Field::words::<u32>(self.labels().len()),
            Field::reals::<f64>(self.statistics().len()),
            Field::reals::<f64>(self.buffers.cache.as_slice().len()),
            Field::reals::<f32>(self.table().len()),
        ]
    }
}

impl<L, S, C, Q> Snapshot for State<L, S, C, Q>
where
    L: Storage<Elem = u32>,
    S: Storage<Elem = f64>,
    C: Storage<Elem = f64>,
    Q: Storage<Elem = f32>,
{
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"MHSA", 1)?;
        writer.u64(self.steps)?;
        writer.u64(self.evaluations)?;
        writer.real(self.factor)?;
        writer.words(self.labels())?;
        writer.slice(self.statistics())?;
        writer.slice(self.buffers.cache.as_slice())?;
        writer.slice(self.table())?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"MHSA", 1, &self.fields())?;
        self.steps = reader.u64()?;
        self.evaluations = reader.u64()?;
        self.factor = reader.real()?;
        reader.words_into(self.buffers.labels.as_mut_slice())?;
        reader.slice_into(self.buffers.statistics.as_mut_slice())?;
        reader.slice_into(self.buffers.cache.as_mut_slice())?;
        reader.slice_into(self.buffers.table.as_mut_slice())?;
        reader.finish()
    }
}
