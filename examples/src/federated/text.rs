//! What stands on standard output when a run is over.

use std::fmt::Write as _;

use super::Report;
use crate::cli::short;
use crate::table::{Table, si};

/// The table, with what it needs to be read.
pub(super) fn of(report: &Report) -> String {
    let span = |rows: &[usize]| {
        let least = rows.iter().min().copied().unwrap_or(0);
        let most = rows.iter().max().copied().unwrap_or(0);
        format!("{least} to {most}")
    };
    let mut text = format!(
        "{}: {} training rows over {} clients ({} each, Dirichlet alpha {}), {} test rows; network of {} parameters\n\
         budget: {}bit uplink per client\n\n{}\n{}\n",
        report.data,
        report.train_rows,
        report.clients,
        span(&report.shard_rows),
        short(report.alpha),
        report.test_rows,
        report.dimension,
        si(report.budget_bits as f64),
        table(report),
        verdict(report),
    );
    if let [row] = &report.rows[..] {
        let missing = row.missing.iter().enumerate();
        let missing = missing.filter(|&(_, &count)| count > 0);
        let missing = missing.map(|(client, count)| format!("client {client}: {count}"));
        let missing = missing.collect::<Vec<_>>().join(", ");
        let by = if missing.is_empty() {
            String::new()
        } else {
            format!(" ({missing})")
        };
        let (crc, left_out) = (&row.params_crc, row.left_out);
        // A string takes all that is written.
        let _ = writeln!(
            text,
            "final parameters: CRC-32C {crc}; replies that were missing: {left_out}{by}"
        );
    }
    if let Some(why) = &report.ended_early {
        let _ = writeln!(text, "ended early: {why}");
    }
    text
}

/// The title of the picture.
pub(super) fn title(report: &Report) -> String {
    format!(
        "{}: {} clients, Dirichlet alpha {}, {} parameters",
        report.data,
        report.clients,
        short(report.alpha),
        report.dimension
    )
}

fn table(report: &Report) -> Table {
    let mut table = Table::new(
        1,
        &[
            "method",
            "step",
            "rounds",
            "uplink bits/client",
            "train loss",
            "|gradient|",
            "test accuracy",
            "seconds",
        ],
    );
    for row in &report.rows {
        let mark = if row.diverged { " (diverged)" } else { "" };
        table.push(vec![
            format!("{}{mark}", row.method),
            short(row.step_size),
            row.rounds.to_string(),
            si(row.uplink_bits as f64),
            format!("{:.3e}", row.train_loss),
            format!("{:.3e}", row.gradient_norm),
            format!("{:.2} %", 100.0 * row.test_accuracy),
            format!("{:.2}", row.seconds),
        ]);
    }
    table
}

/// Who is first, by loss and by accuracy.
fn verdict(report: &Report) -> String {
    let runs = || report.rows.iter().filter(|row| !row.diverged);
    let loss = runs().min_by(|a, b| a.train_loss.total_cmp(&b.train_loss));
    let accuracy = runs()
        .map(|row| row.test_accuracy)
        .fold(0.0, |a: f64, b| a.max(b));
    let first: Vec<&str> = runs()
        .filter(|row| row.test_accuracy == accuracy)
        .map(|row| row.method.as_str())
        .collect();
    let Some(loss) = loss.map(|row| row.method.as_str()) else {
        return "every run diverged; try smaller --step-sizes".into();
    };
    format!(
        "least training loss: {loss}; best test accuracy: {}",
        first.join(", ")
    )
}
