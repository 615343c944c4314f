//! Figures of a check against their laws over independent draws.
//!
//! A file of laws has a figure a line: its name, mean, deviation over draws, and number of draws. It is written by a program without
//! our code, and lies with it in `tests/reference`.

use crate::cli::Claims;

/// Figures whose means are compared.
#[derive(Clone, Copy, Debug)]
pub struct Laws {
    /// The lines.
    pub text: &'static str,
    /// Standard errors of the difference of two means that are allowed.
    pub errors: f64,
}

/// The law of a figure.
#[derive(Clone, Copy, Debug)]
struct Law {
    mean: f64,
    deviation: f64,
    draws: f64,
}

impl Laws {
    /// The law of this name; NaN, which no claim survives, without one.
    fn law(&self, name: &str) -> Law {
        let mut numbers = self.text.lines().find_map(|line| {
            let numbers = line.strip_prefix(name)?.split_whitespace();
            let numbers: Option<Vec<f64>> = numbers.map(|x| x.parse().ok()).collect();
            Some(numbers?.into_iter())
        });
        let mut next = || {
            numbers
                .as_mut()
                .and_then(Iterator::next)
                .unwrap_or(f64::NAN)
        };
        Law {
            mean: next(),
            deviation: next(),
            draws: next(),
        }
    }

    /// States that a mean over our seeds is that of independent draws.
    pub fn agrees(&self, claims: &mut Claims, name: &str, values: impl Iterator<Item = f64>) {
        let values: Vec<f64> = values.collect();
        let Law {
            mean,
            deviation,
            draws,
        } = self.law(name);
        let n = values.len() as f64;
        let found = values.iter().sum::<f64>() / n;
        let bound = self.errors * deviation * (1.0 / n + 1.0 / draws).sqrt();
        let figure = format!("{name}: {found:.4}, distance to {mean:.4}");
        claims.at_most(&figure, (found - mean).abs(), bound);
    }

    /// The same for a share of successes, whose tail is not normal: two more of ours are allowed, and no share is certain.
    pub fn share_agrees(&self, claims: &mut Claims, name: &str, successes: usize, seeds: usize) {
        let Law { mean, draws, .. } = self.law(name);
        let (n, p) = (seeds as f64, (mean * draws + 1.0) / (draws + 2.0));
        let found = successes as f64 / n;
        let bound = self.errors * (p * (1.0 - p) * (1.0 / n + 1.0 / draws)).sqrt() + 2.0 / n;
        let figure = format!("{name}: {found:.4}, distance to {mean:.4}");
        claims.at_most(&figure, (found - mean).abs(), bound);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAWS: Laws = Laws {
        text: "figure mean deviation draws\na b: c  2.0  0.5 16\na b  1.0  3.0  8\nshare 1 0 20\n",
        errors: 4.0,
    };

    #[test]
    fn a_mean_may_be_off_by_the_errors_of_both() {
        // 4 * 0.5 * sqrt(1 / 16 + 1 / 16) = 0.707.
        for (x, holds) in [
            (2.0, true),
            (2.7, true),
            (1.3, true),
            (2.72, false),
            (f64::NAN, false),
        ] {
            let mut claims = Claims::default();
            LAWS.agrees(&mut claims, "a b: c", [x; 16].into_iter());
            assert_eq!(claims.verdict(None).is_ok(), holds, "{x}");
        }
        for name in ["a", "b: c", "unheard of", "figure"] {
            let mut claims = Claims::default();
            LAWS.agrees(&mut claims, name, [2.0; 16].into_iter());
            assert!(claims.verdict(None).is_err(), "{name}");
        }
    }

    #[test]
    fn no_share_is_certain() {
        // p = 21 / 22: 4 * sqrt(0.0434 / 10) + 0.1 = 0.363.
        for (successes, holds) in [(20, true), (13, true), (12, false)] {
            let mut claims = Claims::default();
            LAWS.share_agrees(&mut claims, "share", successes, 20);
            assert_eq!(claims.verdict(None).is_ok(), holds, "{successes}");
        }
    }
}
