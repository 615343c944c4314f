//! What `--check` states and judges.

use std::path::Path;

use serde::Serialize;

use super::{Failure, note, print_line, write_json};

/// The claims of `--check`: each is printed as it is stated.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Claims {
    claims: Vec<Claim>,
}

/// One figure and its bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Claim {
    figure: String,
    found: f64,
    bound: f64,
    rule: &'static str,
    holds: bool,
}

impl Claims {
    /// States that `found` is at least `least`.
    pub fn at_least(&mut self, figure: &str, found: f64, least: f64) {
        self.state(figure, found, "at least", least, found >= least);
    }

    /// States that `found` is at most `most`.
    pub fn at_most(&mut self, figure: &str, found: f64, most: f64) {
        self.state(figure, found, "at most", most, found <= most);
    }

    /// States that `found` is between `1 / factor` and `factor`.
    pub fn within(&mut self, figure: &str, found: f64, factor: f64) {
        self.at_least(figure, found, 1.0 / factor);
        self.at_most(figure, found, factor);
    }

    fn state(&mut self, figure: &str, found: f64, rule: &'static str, bound: f64, holds: bool) {
        let claim = Claim {
            figure: figure.to_owned(),
            found,
            bound,
            rule,
            holds,
        };
        let judged = if holds { "holds" } else { "FAILS" };
        print_line(format_args!("{judged} {}", claim.text()));
        self.claims.push(claim);
    }

    /// Writes every claim to `json` if given, and judges, also when it cannot be written.
    ///
    /// # Errors
    /// [`Failure::Claim`] that lists every claim that failed; those of the file system.
    pub fn verdict(self, json: Option<&Path>) -> Result<(), Failure> {
        let written = json.map_or(Ok(()), |path| write_json(path, &self));
        let failed = self.claims.iter().filter(|claim| !claim.holds);
        let failed: Vec<String> = failed.map(Claim::text).collect();
        if failed.is_empty() {
            return written;
        }
        if let Err(error) = written {
            note(format_args!("error: {error}"));
        }
        Err(Failure::Claim(format!(
            "claims that fail: {}",
            failed.join("; ")
        )))
    }
}

impl Claim {
    fn text(&self) -> String {
        let Self {
            figure,
            found,
            rule,
            bound,
            ..
        } = self;
        format!("{figure}: {found:.4e}, {rule} {bound:.4e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_claim_is_named_and_a_nan_fails() {
        let mut claims = Claims::default();
        claims.at_least("accuracy", 0.9, 0.8);
        claims.at_most("loss", f64::NAN, 1.0);
        // Judged even where the file cannot be written.
        for json in [None, Some(Path::new("no/such/folder.json"))] {
            let failure = claims.clone().verdict(json).unwrap_err();
            assert!(matches!(failure, Failure::Claim(_)));
            let text = failure.to_string();
            assert!(text.contains("loss") && !text.contains("accuracy"));
        }
        let mut claims = Claims::default();
        claims.within("ratio", 1.5, 2.0);
        let unwritten = claims.verdict(Some(Path::new("no/such/folder.json")));
        assert!(matches!(unwritten, Err(Failure::Input(_))));
    }
}
