//! A progress bar on standard error; silent when that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `length` units of work.
pub fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let template = "{bar:32} {percent:>3} % {elapsed:>4} (left {eta}) {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
