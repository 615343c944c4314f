//! Rows in batches.

use thalweg::random::{Purpose, below, shuffle, stream};

use super::error::{DataError, check, check_rows};

/// An endless, seeded sequence of batches of row indices.
///
/// Batch number `step` is a function of `(seed, client, step)` alone, drawn from streams of
/// [`Purpose::BATCH`]: a run that resumes calls [`seek`](Self::seek) and goes on with the batches of the
/// uninterrupted run. The last batch of an epoch may be shorter.
///
/// ```
/// use thalweg_std::data::Batches;
/// let mut batches = Batches::epochs(5, 2, 42, 0)?;
/// let mut epoch = Vec::new();
/// for _ in 0..batches.per_epoch() {
///     epoch.extend_from_slice(batches.next_batch());
/// }
/// epoch.sort();
/// assert_eq!(epoch, [0, 1, 2, 3, 4]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    rows: usize,
    size: usize,
    seed: u64,
    client: u64,
    with_replacement: bool,
    step: u64,
    /// The epoch's order, or the last batch drawn with replacement.
    order: Vec<u32>,
    /// The epoch of `order`.
    epoch: Option<u64>,
}

impl Batches {
    /// Batches without replacement: each epoch is all of `0..rows` in its own order.
    ///
    /// # Errors
    /// [`DataError::Parameter`] unless `0 < size <= rows`.
    ///
    /// ```
    /// use thalweg_std::data::Batches;
    /// assert!(Batches::epochs(5, 5, 42, 0).is_ok());
    /// assert!(Batches::epochs(5, 6, 42, 0).is_err());
    /// ```
    pub fn epochs(rows: usize, size: usize, seed: u64, client: u64) -> Result<Self, DataError> {
        check_rows(rows)?;
        check(
            "size",
            size > 0 && size <= rows,
            "must be positive and at most the number of rows",
        )?;
        Ok(Self::new(rows, size, seed, client, false))
    }

    /// Batches with replacement: each element is any of `0..rows`.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when `rows` or `size` is zero.
    ///
    /// ```
    /// let mut batches = thalweg_std::data::Batches::with_replacement(3, 100, 42, 0)?;
    /// assert_eq!(batches.next_batch().len(), 100);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn with_replacement(
        rows: usize,
        size: usize,
        seed: u64,
        client: u64,
    ) -> Result<Self, DataError> {
        check("rows", rows > 0, "must be positive")?;
        check_rows(rows)?;
        check("size", size > 0, "must be positive")?;
        Ok(Self::new(rows, size, seed, client, true))
    }

    fn new(rows: usize, size: usize, seed: u64, client: u64, with_replacement: bool) -> Self {
        let (order, epoch) = (Vec::new(), None);
        Self {
            rows,
            size,
            seed,
            client,
            with_replacement,
            step: 0,
            order,
            epoch,
        }
    }

    /// Batches in an epoch: rows over size, rounded up.
    ///
    /// ```
    /// let batches = thalweg_std::data::Batches::epochs(5, 2, 42, 0)?;
    /// assert_eq!(batches.per_epoch(), 3);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn per_epoch(&self) -> usize {
        self.rows.div_ceil(self.size)
    }

    /// Number of the next batch, from 0.
    ///
    /// ```
    /// let mut batches = thalweg_std::data::Batches::epochs(5, 2, 42, 0)?;
    /// batches.next_batch();
    /// assert_eq!(batches.step(), 1);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Goes on with batch number `step`.
    ///
    /// ```
    /// use thalweg_std::data::Batches;
    /// let mut run = Batches::epochs(100, 30, 42, 0)?;
    /// for _ in 0..6 {
    ///     run.next_batch();
    /// }
    /// let mut resumed = Batches::epochs(100, 30, 42, 0)?;
    /// resumed.seek(6);
    /// assert_eq!(resumed.next_batch(), run.next_batch());
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn seek(&mut self, step: u64) {
        self.step = step;
    }

    /// The rows of the next batch; allocates at the first call only.
    ///
    /// ```
    /// let mut batches = thalweg_std::data::Batches::epochs(5, 2, 42, 0)?;
    /// assert_eq!(batches.next_batch().len(), 2);
    /// assert_eq!(batches.next_batch().len(), 2);
    /// assert_eq!(batches.next_batch().len(), 1);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn next_batch(&mut self) -> &[u32] {
        let step = self.step;
        self.step = step.wrapping_add(1);
        if self.with_replacement {
            let mut rng = stream(self.seed, step, self.client, Purpose::BATCH);
            // Both constructors check that rows fit.
            let rows = self.rows as u32;
            self.order.clear();
            self.order
                .extend((0..self.size).map(|_| below(&mut rng, rows)));
            return &self.order;
        }
        // Positive: size is at most rows.
        let per_epoch = self.per_epoch().max(1) as u64;
        let epoch = step / per_epoch;
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.order.clear();
            self.order.extend(0..self.rows as u32);
            let mut rng = stream(self.seed, epoch, self.client, Purpose::BATCH);
            shuffle(&mut rng, &mut self.order);
        }
        let index = (step % per_epoch) as usize;
        self.order.chunks(self.size).nth(index).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_visits_each_row_once_in_an_order_of_its_own() {
        for (rows, size) in [(1, 1), (7, 7), (10, 3), (10, 5)] {
            let mut batches = Batches::epochs(rows, size, 3, 0).unwrap();
            let mut orders = Vec::new();
            for _ in 0..3 {
                let mut epoch = Vec::new();
                for _ in 0..batches.per_epoch() {
                    epoch.extend_from_slice(batches.next_batch());
                }
                orders.push(epoch.clone());
                epoch.sort_unstable();
                assert_eq!(epoch, (0..rows as u32).collect::<Vec<_>>());
            }
            assert!(rows == 1 || orders[0] != orders[1] && orders[1] != orders[2]);
        }
    }

    #[test]
    fn clients_and_seeds_have_sequences_of_their_own() {
        let first = |seed, client| {
            Batches::epochs(100, 10, seed, client)
                .unwrap()
                .next_batch()
                .to_vec()
        };
        assert_eq!(first(1, 1), first(1, 1));
        assert_ne!(first(1, 1), first(1, 2));
        assert_ne!(first(1, 1), first(2, 1));
    }

    #[test]
    fn seeking_gives_the_uninterrupted_sequence_in_any_order() {
        let mut run = Batches::with_replacement(10, 4, 9, 2).unwrap();
        let all: Vec<_> = (0..6).map(|_| run.next_batch().to_vec()).collect();
        for step in [5, 0, 3] {
            run.seek(step);
            assert_eq!(run.next_batch(), all[step as usize]);
        }
        run.seek(u64::MAX);
        assert_eq!(run.next_batch().len(), 4);
        assert_eq!(run.step(), 0);
    }

    #[test]
    fn with_replacement_every_row_is_as_likely() {
        let mut batches = Batches::with_replacement(5, 1000, 1, 0).unwrap();
        let mut counts = [0_u32; 5];
        for _ in 0..50 {
            for &row in batches.next_batch() {
                counts[row as usize] += 1;
            }
        }
        let chi: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4)
            .sum();
        // Chi-square with 4 degrees of freedom at one in a thousand.
        assert!(chi < 18.47, "{counts:?}");
    }

    #[test]
    fn empty_batches_are_refused() {
        assert!(Batches::epochs(5, 0, 0, 0).is_err());
        assert!(Batches::epochs(5, 6, 0, 0).is_err());
        assert!(Batches::epochs(0, 0, 0, 0).is_err());
        assert!(Batches::with_replacement(0, 1, 0, 0).is_err());
        assert!(Batches::with_replacement(1, 0, 0, 0).is_err());
    }
}
