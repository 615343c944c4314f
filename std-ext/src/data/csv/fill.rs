//! Columns completed from what is there.

use super::MissingRows;
use crate::data::error::DataError;
use crate::data::input::Input;

/// Puts a number in the place of every NaN of `features`, row-major.
///
/// `fields[j]` is the field of the file, from 0, that column `j` stands in.
pub(super) fn fill(
    features: &mut [f32],
    fields: &[usize],
    rule: MissingRows,
    input: &Input<'_>,
) -> Result<(), DataError> {
    let columns = fields.len();
    let mut present = Vec::new();
    for (j, &field) in fields.iter().enumerate() {
        let column = || features.iter().skip(j).step_by(columns);
        if !column().any(|value| value.is_nan()) {
            continue;
        }
        present.clear();
        present.extend(column().filter(|value| !value.is_nan()));
        let value = match rule {
            MissingRows::Constant(value) => Some(value),
            MissingRows::Mean => mean(&present),
            MissingRows::Median => median(&mut present),
            // No cell is missing then.
            MissingRows::Refuse | MissingRows::Drop => return Ok(()),
        };
        let value = value.ok_or_else(|| DataError::Misread {
            place: input.whole(),
            found: format!("every value of field {} is missing", field + 1),
            cure: "there is nothing to fill it from: take the column out, or fill with a number \
                   (`Options::missing_rows`)"
                .into(),
        })?;
        for slot in features.iter_mut().skip(j).step_by(columns) {
            if slot.is_nan() {
                *slot = value;
            }
        }
    }
    Ok(())
}

/// Finite: a mean of finite `f32` in `f64`.
fn mean(values: &[f32]) -> Option<f32> {
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64) as f32)
}

fn median(values: &mut [f32]) -> Option<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(values.len() / 2 - 1)?;
    mean(&[lower, upper])
}
