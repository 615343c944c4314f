//! Sums over pairs by differences: what the Gram matrix cannot resolve.
//!
//! ```text
//! q_ij = sum_c (y_ic - y_jc)^2                               32-lane sums, as `vector::squared_distance`
//! out_i = sum_j [ k_ij v_j + l_ij s_j (u_i - u_j) ]          a chain over j; pairs whose kernel is 0 are left out
//! ```
//! Neither distances nor repulsion cancel: both are relative to the pair, wherever it is. A row of the sums is taken by itself, so threads,
//! blocks and levels leave the bits alone. Cost: `n^2 (3 m + 4 d)` flops without reuse of registers, several times the panels.

use core::ops::Range;

use super::gram::SHORT;
use super::{Family, Field, Sources};
use crate::matrix::MatrixMut;
use crate::particle::rows::InRows;
use crate::{Error, Real};

/// What a pass over the pairs of a row adds.
#[derive(Clone, Copy)]
enum Part {
    Drift,
    Repulsion,
    Both,
}

impl<T: Real> Sources<'_, T> {
    /// Sums of the particles of a range; `row` has room for the kernel values of one. Columns of the weights are 0.
    pub(super) fn rows_by_differences(
        &self,
        range: Range<usize>,
        mut out: MatrixMut<'_, T>,
        row: &mut [T],
    ) -> Result<(), Error> {
        let Field { h, d, family, .. } = self.field;
        let row = row.get_mut(..self.n()).ok_or(SHORT)?;
        for (sum, i) in out.row_iter_mut().zip(range) {
            sum.fill(T::ZERO);
            let (sum, _) = sum.split_at_mut_checked(d).ok_or(SHORT)?;
            match family {
                Family::Rbf => {
                    self.rows.kernel_row(h, i, row, &mut [])?;
                    self.add(Part::Both, i, row, sum);
                }
                Family::Imq => {
                    self.rows.slope_row(h, i, row)?;
                    self.add(Part::Repulsion, i, row, sum);
                    self.rows.imq_row(h, i, row)?;
                    self.add(Part::Drift, i, row, sum);
                }
            }
        }
        Ok(())
    }

    /// `sum <- sum + sum_j k_j [ v_j + c s_j (u_i - u_j) ]`, or a part of it.
    fn add(&self, part: Part, i: usize, k: &[T], sum: &mut [T]) {
        let Field {
            d,
            drift,
            weight,
            repel,
            ..
        } = self.field;
        let c = self.field.pull();
        let target = repel.in_rows(d).nth(i).unwrap_or_default();
        let mut weights = weight.map(|weight| weight.in_rows(d));
        let sources = drift.in_rows(d).zip(repel.in_rows(d)).zip(k);
        for ((v, u), &k) in sources {
            let s = weights.as_mut().and_then(Iterator::next);
            if k == T::ZERO {
                continue;
            }
            let pairs = sum.iter_mut().zip(v).zip(target.iter().zip(u));
            match (part, s) {
                (Part::Drift, _) => {
                    for ((sum, &v), _) in pairs {
                        *sum += k * v;
                    }
                }
                (Part::Repulsion, None) => {
                    for ((sum, _), (&a, &b)) in pairs {
                        *sum += k * (c * (a - b));
                    }
                }
                (Part::Repulsion, Some(s)) => {
                    for (((sum, _), (&a, &b)), &s) in pairs.zip(s) {
                        *sum += k * (c * (s * (a - b)));
                    }
                }
                (Part::Both, None) => {
                    for ((sum, &v), (&a, &b)) in pairs {
                        *sum += k * (v + c * (a - b));
                    }
                }
                (Part::Both, Some(s)) => {
                    for (((sum, &v), (&a, &b)), &s) in pairs.zip(s) {
                        *sum += k * (v + c * (s * (a - b)));
                    }
                }
            }
        }
    }
}
