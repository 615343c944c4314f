//! Rows divided among the clients of a federation.
//!
//! | Partition | Every row once | Sizes |
//! |---|---|---|
//! | [`iid`] | yes | equal within one |
//! | [`dirichlet_by_class`] | yes | as they fall |
//! | [`dirichlet_by_client`] | no: clients may share rows, and some rows are in no shard | nearly equal |
//! | [`homogeneous`] | at `p_hat = 0`, but for the hold-out and the remainder | equal |
//!
//! A shard is a list of row indices. No shard is empty: what cannot be divided so is refused, and where chance
//! leaves a client without rows the function says which row it gets. Each is a function of its arguments
//! alone, with the same result on every platform.

use std::collections::BTreeMap;

use thalweg::random::bernoulli;

use super::draw::{Kind, dirichlet, permutation, shuffle_front, stream};
use super::error::{DataError, check, check_rows};

/// Row indices of each client.
///
/// `u32`, as the batches of `thalweg::model` take them.
pub type Shards = Vec<Vec<u32>>;

/// Least concentration that is accepted; all mass then lies on one component.
const LEAST_ALPHA: f64 = 1e-9;

fn check_clients(clients: usize, rows: usize) -> Result<(), DataError> {
    check_rows(rows)?;
    check(
        "clients",
        clients > 0 && clients <= rows,
        "must be positive and at most the number of rows: no shard may be empty",
    )
}

fn check_alpha(alpha: f64) -> Result<(), DataError> {
    check(
        "alpha",
        alpha.is_finite() && alpha >= LEAST_ALPHA,
        "must be finite and at least 1e-9",
    )
}

/// Shuffled rows, cut in parts whose sizes differ by at most one; each part ascending.
///
/// # Errors
/// [`DataError::Parameter`] unless `0 < clients <= rows`.
///
/// ```
/// let shards = thalweg_std::data::partition::iid(11, 3, 42)?;
/// assert_eq!(shards.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 3]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn iid(rows: usize, clients: usize, seed: u64) -> Result<Shards, DataError> {
    check_clients(clients, rows)?;
    let mut order = permutation(&mut stream(seed, Kind::Iid, 0), rows).into_iter();
    // The check makes the divisor positive.
    let (size, longer) = (rows / clients, rows % clients);
    let shard = |client| {
        let mut shard: Vec<u32> = order
            .by_ref()
            .take(size + usize::from(client < longer))
            .collect();
        shard.sort_unstable();
        shard
    };
    Ok((0..clients).map(shard).collect())
}

/// Each class divided among the clients in proportions drawn from a symmetric Dirichlet distribution.
///
/// Every row is used once. For each class, q ~ Dir(alpha) over the clients; the class's rows are shuffled
/// and cut at the rounded cumulative sums of q. Small alpha gives each class to few clients, large alpha
/// approaches [`iid`]. A client left without rows takes the last row of the largest shard (the first of the
/// largest). Shards are ascending. Yurochkin et al. 2019 (arXiv 1905.12022); federated
/// benchmarks since use this form of the non-IID partition of Hsu et al. 2019.
///
/// # Errors
/// [`DataError::Parameter`] unless `0 < clients <= labels.len()` and `alpha` is finite and at least 1e-9.
///
/// ```
/// use thalweg_std::data::{digits, partition};
/// let shards = partition::dirichlet_by_class(digits()?.labels(), 20, 0.3, 42)?;
/// assert_eq!(shards.iter().map(Vec::len).sum::<usize>(), 1797);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn dirichlet_by_class(
    labels: &[u32],
    clients: usize,
    alpha: f64,
    seed: u64,
) -> Result<Shards, DataError> {
    check_clients(clients, labels.len())?;
    check_alpha(alpha)?;
    let mut shards = vec![Vec::new(); clients];
    for (label, mut rows) in rows_by_class(labels) {
        let mut rng = stream(seed, Kind::ByClass, u64::from(label));
        let q = dirichlet(&mut rng, alpha, clients);
        let count = rows.len();
        shuffle_front(&mut rng, &mut rows, count);
        let mut cumulative = 0.0;
        let mut rest = rows.as_slice();
        for (i, (shard, share)) in shards.iter_mut().zip(q).enumerate() {
            cumulative += share;
            // Rounding of the sums must not leave a row over.
            let end = if i + 1 == clients {
                count
            } else {
                (libm::round(cumulative * count as f64) as usize).min(count)
            };
            let done = count - rest.len();
            let (taken, left) = rest
                .split_at_checked(end.saturating_sub(done))
                .unwrap_or_default();
            shard.extend_from_slice(taken);
            rest = left;
        }
    }
    for shard in &mut shards {
        shard.sort_unstable();
    }
    fill_empty(&mut shards);
    Ok(shards)
}

/// Gives each empty shard the last row of the largest; there are at least as many rows as shards.
fn fill_empty(shards: &mut Shards) {
    for empty in 0..shards.len() {
        if shards.get(empty).is_some_and(|shard| !shard.is_empty()) {
            continue;
        }
        // `max_by_key` takes the last of equals: reversed, the first.
        let largest = shards.iter_mut().rev().max_by_key(|shard| shard.len());
        let row = largest.and_then(Vec::pop);
        if let Some(shard) = shards.get_mut(empty) {
            shard.extend(row);
        }
    }
}

/// Clients of about `samples` rows each, with class proportions drawn from a symmetric Dirichlet distribution.
///
/// The recipe of the tangent-kernel experiments (Yue et al., arXiv 2110.03681): for each client q ~
/// Dir(alpha) over the classes, and `floor(samples * q_c)` rows of class c, drawn without replacement from
/// the whole class. Sizes are therefore a little under `samples`; **clients may share rows**, and the union
/// need not cover the data. A class with fewer rows gives all that it has. A client whose counts are all
/// zero gets one row of its likeliest class. Rows are grouped by class.
///
/// # Errors
/// [`DataError::Parameter`] when `labels` is empty, `clients` or `samples` is zero, or `alpha` is not
/// finite and at least 1e-9.
///
/// ```
/// use thalweg_std::data::{digits, partition};
/// let shards = partition::dirichlet_by_client(digits()?.labels(), 300, 50, 0.5, 42)?;
/// assert_eq!(shards.len(), 300);
/// assert!(shards.iter().all(|shard| (1..=50).contains(&shard.len())));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn dirichlet_by_client(
    labels: &[u32],
    clients: usize,
    samples: usize,
    alpha: f64,
    seed: u64,
) -> Result<Shards, DataError> {
    check("labels", !labels.is_empty(), "must not be empty")?;
    check_rows(labels.len())?;
    check("clients", clients > 0, "must be positive")?;
    check("samples", samples > 0, "must be positive")?;
    check_alpha(alpha)?;
    let mut classes: Vec<Vec<u32>> = rows_by_class(labels).into_values().collect();
    let mut shards = Vec::new();
    for client in 0..clients {
        let mut rng = stream(seed, Kind::ByClient, client as u64);
        let q = dirichlet(&mut rng, alpha, classes.len());
        let mut counts: Vec<usize> = q.iter().map(|q| (q * samples as f64) as usize).collect();
        if counts.iter().all(|&count| count == 0) {
            // Ascending order of a strict comparison: the first of the largest.
            let mut likeliest = (0, 0.0);
            for (i, &q) in q.iter().enumerate() {
                if q > likeliest.1 {
                    likeliest = (i, q);
                }
            }
            counts
                .iter_mut()
                .skip(likeliest.0)
                .take(1)
                .for_each(|count| *count = 1);
        }
        let mut shard = Vec::new();
        for (rows, count) in classes.iter_mut().zip(counts) {
            // A list left in the order of the client before is as good a start, but would make this
            // client depend on that one.
            rows.sort_unstable();
            shuffle_front(&mut rng, rows, count);
            shard.extend(rows.iter().take(count));
        }
        shards.push(shard);
    }
    Ok(shards)
}

/// Rows of each class that occurs, ascending.
fn rows_by_class(labels: &[u32]) -> BTreeMap<u32, Vec<u32>> {
    let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (row, &label) in (0..).zip(labels) {
        classes.entry(label).or_default().push(row);
    }
    classes
}

/// Equal shards, and the part that makes them alike.
///
/// ```
/// let parts = thalweg_std::data::partition::homogeneous(12, 3, 1.0, 42)?;
/// assert!(parts.shards.iter().all(|shard| *shard == parts.hold_out));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Homogeneous {
    /// Part 0, from which replacements are taken.
    pub hold_out: Vec<u32>,
    /// Parts 1 to n after replacement.
    pub shards: Shards,
}

/// Shards of a given likeness, from disjoint (`p_hat = 0`) to identical (`p_hat = 1`).
///
/// Shuffled rows are cut in `clients + 1` equal parts of `rows / (clients + 1)`; the remainder is in none.
/// Part 0 is the hold-out. In every other part each row is replaced, with probability `p_hat`, by the
/// hold-out's row of the same position. One draw decides each position for every `p_hat`: raising it only
/// adds replacements. At 1 all clients hold the same rows and the Hessian variance is zero. Szlendak et al.
/// 2022 (arXiv 2110.03300), the autoencoder experiment.
///
/// # Errors
/// [`DataError::Parameter`] unless `0 < clients < rows` and `0 <= p_hat <= 1`.
///
/// ```
/// let parts = thalweg_std::data::partition::homogeneous(1000, 9, 0.5, 42)?;
/// assert_eq!(parts.shards.len(), 9);
/// assert!(parts.shards.iter().all(|shard| shard.len() == 100));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn homogeneous(
    rows: usize,
    clients: usize,
    p_hat: f64,
    seed: u64,
) -> Result<Homogeneous, DataError> {
    check_rows(rows)?;
    check(
        "clients",
        clients > 0 && clients < rows,
        "must be positive and below the number of rows: no shard may be empty",
    )?;
    check(
        "p_hat",
        (0.0..=1.0).contains(&p_hat),
        "must be between 0 and 1",
    )?;
    let order = permutation(&mut stream(seed, Kind::Homogeneous, 0), rows);
    // At least 1, since clients < rows.
    let size = rows / (clients + 1);
    let mut parts = order.chunks_exact(size.max(1));
    let hold_out = parts.next().unwrap_or_default().to_vec();
    let shard = |(client, part): (usize, &[u32])| {
        let mut rng = stream(seed, Kind::Replace, client as u64);
        let choose = |(&own, &common)| {
            if bernoulli(&mut rng, p_hat) {
                common
            } else {
                own
            }
        };
        part.iter().zip(&hold_out).map(choose).collect()
    };
    let shards = parts.take(clients).enumerate().map(shard).collect();
    Ok(Homogeneous { hold_out, shards })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits;

    fn covers_once(shards: &Shards, rows: usize) -> bool {
        let mut all = shards.concat();
        all.sort_unstable();
        all == (0..rows as u32).collect::<Vec<_>>()
    }

    /// Mean over clients of the share of a shard's most frequent class.
    fn concentration(shards: &Shards, labels: &[u32]) -> f64 {
        let share = |shard: &Vec<u32>| {
            let mut counts = [0.0_f64; 10];
            for &row in shard {
                counts[labels[row as usize] as usize] += 1.0;
            }
            counts.into_iter().fold(0.0, f64::max) / shard.len() as f64
        };
        shards.iter().map(share).sum::<f64>() / shards.len() as f64
    }

    #[test]
    fn iid_and_by_class_use_every_row_once_and_leave_no_shard_empty() {
        let digits = digits().unwrap();
        for clients in [1, 2, 10, 97, 1797] {
            let shards = iid(1797, clients, 5).unwrap();
            assert!(shards.len() == clients && covers_once(&shards, 1797));
            let sizes = || shards.iter().map(Vec::len);
            assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
            for alpha in [1e-9, 0.1, 1.0, 100.0] {
                let shards = dirichlet_by_class(digits.labels(), clients, alpha, 5).unwrap();
                assert!(
                    shards.len() == clients && covers_once(&shards, 1797),
                    "{alpha}"
                );
                assert!(shards.iter().all(|shard| !shard.is_empty()), "{alpha}");
            }
        }
    }

    #[test]
    fn small_alpha_concentrates_classes_and_large_alpha_spreads_them() {
        let digits = digits().unwrap();
        let labels = digits.labels();
        let by_class =
            |alpha| concentration(&dirichlet_by_class(labels, 10, alpha, 5).unwrap(), labels);
        assert!(by_class(0.05) > 0.5 && by_class(1e6) < 0.12);
        let by_client = |alpha| {
            concentration(
                &dirichlet_by_client(labels, 50, 100, alpha, 5).unwrap(),
                labels,
            )
        };
        // NumPy 2.4.6, 20,000 clients: 0.791 and 0.1053; standard deviation of a mean of 50: 0.026, 0.0002.
        assert!((by_client(0.05) - 0.791).abs() < 0.1 && (by_client(1e6) - 0.1053).abs() < 0.001);
    }

    /// Yue et al.: at alpha = 0.1, 200 rows a client and ten classes, sizes are 195 to 199 and about 3.2
    /// classes have five rows or more.
    #[test]
    fn by_client_has_the_sizes_of_the_published_partition() {
        let labels: Vec<u32> = (0..20_000).map(|i| i % 10).collect();
        let shards = dirichlet_by_client(&labels, 300, 200, 0.1, 5).unwrap();
        let mut present = 0;
        for shard in &shards {
            assert!((191..=200).contains(&shard.len()), "{}", shard.len());
            let mut distinct = shard.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), shard.len());
            let count = |class| {
                shard
                    .iter()
                    .filter(|&&row| labels[row as usize] == class)
                    .count()
            };
            present += (0..10).filter(|&class| count(class) >= 5).count();
        }
        let mean = present as f64 / 300.0;
        assert!((2.9..3.5).contains(&mean), "{mean}");
    }

    #[test]
    fn a_client_whose_counts_are_all_zero_gets_one_row() {
        let labels: Vec<u32> = (0..100).map(|i| i % 10).collect();
        let shards = dirichlet_by_client(&labels, 20, 1, 100.0, 5).unwrap();
        assert!(shards.iter().all(|shard| shard.len() == 1));
    }

    #[test]
    fn a_client_does_not_depend_on_how_many_there_are() {
        let labels: Vec<u32> = (0..1000).map(|i| i % 10).collect();
        let few = dirichlet_by_client(&labels, 3, 50, 0.5, 5).unwrap();
        let many = dirichlet_by_client(&labels, 30, 50, 0.5, 5).unwrap();
        assert_eq!(few, many[..3]);
    }

    #[test]
    fn p_hat_replaces_by_the_hold_out_at_the_same_position() {
        let at = |p_hat| homogeneous(1005, 9, p_hat, 5).unwrap();
        let disjoint = at(0.0);
        let mut all = disjoint.shards.concat();
        all.extend(&disjoint.hold_out);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1000);

        let (half, most, same) = (at(0.5), at(0.9), at(1.0));
        let mut replaced = [0; 2];
        for client in 0..9 {
            for i in 0..100 {
                let (own, common) = (disjoint.shards[client][i], disjoint.hold_out[i]);
                let (a, b) = (half.shards[client][i], most.shards[client][i]);
                assert!([own, common].contains(&a) && [own, common].contains(&b));
                // Raising p_hat only adds replacements.
                assert!(a != common || b == common);
                replaced[0] += usize::from(a == common);
                replaced[1] += usize::from(b == common);
                assert_eq!(same.shards[client][i], common);
            }
        }
        // 900 coins; standard deviations 15 and 9.
        assert!((375..525).contains(&replaced[0]), "{replaced:?}");
        assert!((765..855).contains(&replaced[1]), "{replaced:?}");
    }

    #[test]
    fn what_would_leave_a_shard_empty_is_refused_by_name() {
        let labels = [0, 1, 0];
        let message = |error: DataError| error.to_string();
        assert!(message(iid(3, 4, 0).unwrap_err()).contains("no shard may be empty"));
        assert!(iid(3, 0, 0).is_err());
        assert!(dirichlet_by_class(&labels, 4, 1.0, 0).is_err());
        assert!(dirichlet_by_class(&[], 0, 1.0, 0).is_err());
        assert!(dirichlet_by_client(&[], 1, 1, 1.0, 0).is_err());
        assert!(dirichlet_by_client(&labels, 0, 1, 1.0, 0).is_err());
        assert!(dirichlet_by_client(&labels, 1, 0, 1.0, 0).is_err());
        assert!(homogeneous(3, 3, 0.5, 0).is_err());
        assert!(homogeneous(3, 0, 0.5, 0).is_err());
        for alpha in [0.0, -1.0, 1e-10, f64::NAN, f64::INFINITY] {
            assert!(
                message(dirichlet_by_class(&labels, 2, alpha, 0).unwrap_err()).contains("`alpha`")
            );
            assert!(dirichlet_by_client(&labels, 2, 2, alpha, 0).is_err());
        }
        for p_hat in [-0.1, 1.1, f64::NAN] {
            assert!(message(homogeneous(9, 2, p_hat, 0).unwrap_err()).contains("`p_hat`"));
        }
    }

    #[test]
    fn the_seed_decides() {
        let labels = [0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 1];
        assert_eq!(iid(50, 5, 1).unwrap(), iid(50, 5, 1).unwrap());
        assert_ne!(iid(50, 5, 1).unwrap(), iid(50, 5, 2).unwrap());
        let by_class = |seed| dirichlet_by_class(&labels, 3, 1.0, seed).unwrap();
        assert_eq!(by_class(1), by_class(1));
        assert_ne!(by_class(1), by_class(2));
        let alike = |seed| homogeneous(50, 5, 0.5, seed).unwrap();
        assert_eq!(alike(1), alike(1));
        assert_ne!(alike(1), alike(2));
    }
}
