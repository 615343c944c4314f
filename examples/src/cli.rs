//! Conventions of every command line: common options, exit codes, what goes where and in which order.
//!
//! Files come first, since they are what a run is for: the figures, then the picture, then the table on standard
//! output. A closed pipe there is no error (`| head`), a full disk is, once everything else is done.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;
use thalweg_std::plot::Figure;

mod claims;
mod files;
mod number;
mod output;

pub use claims::Claims;
pub use files::{check_writable, write, write_file};
pub use number::{positive, real, whole};
pub use output::{note, print_line, print_text};
pub(crate) use output::{print, println};

/// Options that every program has.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Seed of every random draw
    #[arg(long, default_value_t = 1, value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: u64,
    /// Worker threads, 1 to 256; the numbers do not depend on it [default: one per processor]
    #[arg(long, value_parser = whole::<usize>(1..=MOST_THREADS as u64))]
    pub threads: Option<usize>,
    /// Write every figure of the table here, as JSON; with --check the claims
    #[arg(long, value_name = "PATH")]
    pub json: Option<PathBuf>,
    /// Write the picture here, as SVG [default: the program's name with .svg; with --check no picture]
    #[arg(long, value_name = "PATH")]
    pub plot: Option<PathBuf>,
    /// Write no picture
    #[arg(long, conflicts_with = "plot")]
    pub no_plot: bool,
    /// Run the small published experiment; exit with 1, naming the figure, if a claim does not hold
    #[arg(long)]
    pub check: bool,
}

/// Most threads that are started.
const MOST_THREADS: usize = 256;

impl Common {
    /// The number of threads to start.
    ///
    /// # Errors
    /// A number outside 1 to 256.
    pub fn threads(&self) -> Result<usize, Failure> {
        let found = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or(found.min(MOST_THREADS));
        if !(1..=MOST_THREADS).contains(&threads) {
            return Err(bad("threads", threads, "must be between 1 and 256"));
        }
        Ok(threads)
    }

    /// The files of a program's results, tried before the work. `data` is what the program reads, a file or a folder of IDX files.
    ///
    /// # Errors
    /// One that cannot be written, both the same, or one that is part of the data.
    pub fn files(&self, program: &str, data: Option<&Path>) -> Result<Files<'_>, Failure> {
        let unasked = (!self.check && !self.no_plot).then(|| format!("{program}.svg").into());
        let files = Files {
            common: self,
            plot: self.plot.clone().or(unasked),
            data: data.map(Into::into),
        };
        let (json, plot) = (self.json.as_deref(), files.plot.as_deref());
        for (option, path) in [("json", json), ("plot", plot)] {
            if let Some(path) = path {
                files.check_not_data(option, path)?;
            }
        }
        if let (Some(json), Some(plot)) = (json, plot)
            && files::is_same_file(json, plot)
        {
            let rule = "must be another file than that of --json";
            return Err(bad("plot", plot.display(), rule));
        }
        for path in [json, plot].into_iter().flatten() {
            check_writable(path)?;
        }
        Ok(files)
    }
}

/// Where the results of a program go.
#[derive(Clone, Debug)]
pub struct Files<'a> {
    common: &'a Common,
    plot: Option<PathBuf>,
    data: Option<PathBuf>,
}

impl Files<'_> {
    fn check_not_data(&self, option: &str, path: &Path) -> Result<(), Failure> {
        if self
            .data
            .as_deref()
            .is_some_and(|data| files::is_part(path, data))
        {
            let rule = "must be another file than those of --data";
            return Err(bad(option, path.display(), rule));
        }
        Ok(())
    }

    /// Checks, before the work, that a file of bytes can be written, and that no result goes there too.
    ///
    /// # Errors
    /// One that cannot be written or replaced, or that is one of these files.
    pub fn check_file(&self, option: &str, path: &Path) -> Result<(), Failure> {
        files::check_replaceable(path)?;
        self.check_not_data(option, path)?;
        let json = self.common.json.as_deref().map(|path| ("json", path));
        let plot = self.plot.as_deref().map(|path| ("plot", path));
        for (other, at) in json.into_iter().chain(plot) {
            if files::is_same_file(path, at) {
                let rule = format!("must be another file than that of --{other}");
                return Err(bad(option, path.display(), &rule));
            }
        }
        Ok(())
    }

    /// Hands the results over: figures, picture, and last the text.
    ///
    /// # Errors
    /// Those of [`Saved::tell`].
    pub fn deliver(
        &self,
        figures: &impl Serialize,
        picture: impl FnOnce() -> Figure,
        text: impl Display,
    ) -> Result<(), Failure> {
        let saved = self.save(figures, picture);
        print_text(text);
        saved.tell()
    }

    /// Writes figures and picture: what can be written is written, whatever fails. Text may be printed before
    /// [`Saved::tell`]. Under `--check` the file of figures is left to [`Files::verdict`].
    pub fn save(&self, figures: &impl Serialize, picture: impl FnOnce() -> Figure) -> Saved<'_> {
        let json = self.common.json.as_deref().filter(|_| !self.common.check);
        let json = json.map_or(Ok(()), |path| write_json(path, figures));
        let plot = self.plot.as_deref();
        let drawn = plot.map_or(Ok(()), |path| write(path, &picture().to_svg()));
        Saved {
            picture: plot.filter(|_| drawn.is_ok()),
            outcome: json.and(drawn),
        }
    }

    /// Writes the claims where the figures go, and judges.
    ///
    /// # Errors
    /// Those of [`Claims::verdict`].
    pub fn verdict(&self, claims: Claims) -> Result<(), Failure> {
        claims.verdict(self.common.json.as_deref())
    }
}

/// What has become of the files.
#[derive(Debug)]
#[must_use]
pub struct Saved<'a> {
    picture: Option<&'a Path>,
    outcome: Result<(), Failure>,
}

impl Saved<'_> {
    /// Says where the picture is, below what was printed.
    ///
    /// # Errors
    /// That of the first file that could not be written.
    pub fn tell(self) -> Result<(), Failure> {
        if let Some(path) = self.picture {
            print_line(format_args!("\npicture: {}", path.display()));
        }
        self.outcome
    }
}

/// Why a program ends early.
#[derive(Debug)]
pub enum Failure {
    /// Options or data are wrong: exit code 2.
    Input(String),
    /// A claim under `--check` does not hold: exit code 1.
    Claim(String),
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(text) | Self::Claim(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

/// An option with a value that cannot be.
pub fn bad(option: &str, value: impl Display, rule: &str) -> Failure {
    Failure::Input(format!("--{option} {value}: {rule}"))
}

/// A number of any size in a few characters: `0.25`, `1e30`.
pub fn short(x: f64) -> String {
    if x == 0.0 || (1e-4..1e7).contains(&x.abs()) {
        x.to_string()
    } else {
        format!("{x:e}")
    }
}

/// Any error of a library as a failure of the input.
pub fn input(error: impl Display) -> Failure {
    Failure::Input(error.to_string())
}

/// What a program's `--check` is.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// How long it takes. It stands in `--help`, and on standard error when a check starts.
    pub time: &'static str,
    /// Names of the options that it reads in addition to those of [`Common`]; any other is refused with it.
    pub reads: &'static [&'static str],
}

/// Options of [`Common`] that every check reads.
const CHECK_READS: [&str; 5] = ["seed", "threads", "json", "plot", "no-plot"];

impl Check {
    /// The options that it reads, as they are typed.
    fn options(&self) -> Vec<&'static str> {
        CHECK_READS.iter().chain(self.reads).copied().collect()
    }

    /// Its options for people.
    fn list(&self) -> String {
        let mut options: Vec<String> = self
            .options()
            .iter()
            .map(|name| format!("--{name}"))
            .collect();
        let last = options.pop().unwrap_or_default();
        format!("{} and {last}", options.join(", "))
    }

    /// Refuses an option that stands next to `--check` and that the check does not read.
    fn refuse_idle(&self, command: &clap::Command, given: &ArgMatches) -> Result<(), Failure> {
        let read = self.options();
        let is_typed = |id| given.value_source(id) == Some(ValueSource::CommandLine);
        let mut idle = command.get_arguments().filter(|arg| {
            let name = arg.get_long().unwrap_or_default();
            name != "check" && !read.contains(&name) && is_typed(arg.get_id().as_str())
        });
        let Some(arg) = idle.next() else {
            return Ok(());
        };
        let values = given.get_raw(arg.get_id().as_str()).into_iter().flatten();
        let values: Vec<String> = values.map(|v| v.to_string_lossy().into_owned()).collect();
        let value = match arg.get_action().takes_values() {
            true => format!(" {}", values.join(",")),
            false => String::new(),
        };
        Err(Failure::Input(format!(
            "--{}{value}: --check does not read it; it reads {}",
            arg.get_long().unwrap_or_default(),
            self.list()
        )))
    }
}

/// The whole of a program: parses, runs, and turns the result into an exit code.
pub fn program<O: clap::Parser>(
    check: Check,
    run: impl FnOnce(&O) -> Result<(), Failure>,
) -> ExitCode {
    let arguments = with_negative_values(std::env::args_os());
    let mut command = command::<O>(check);
    let matches = command.try_get_matches_from_mut(arguments);
    let matches = matches.unwrap_or_else(|error| error.exit());
    if matches.get_flag("check") {
        if let Err(failure) = check.refuse_idle(&command, &matches) {
            return finish(Err(failure));
        }
        note(format_args!("--check: {}", check.time));
    }
    match O::from_arg_matches(&matches) {
        Ok(options) => finish(run(&options)),
        Err(error) => error.exit(),
    }
}

/// The command line of a program.
fn command<O: clap::Parser>(check: Check) -> clap::Command {
    O::command().mut_arg("check", |arg| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let Check { time, .. } = check;
        arg.help(format!("{help}; {time}; reads {} only", check.list()))
    })
}

/// Arguments in which a negative number is a value of the option before it, as `--mu=-1e-3`: no option is a number.
fn with_negative_values(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let is_option = |text: &str| text.starts_with("--") && text.len() > 2 && !text.contains('=');
    let is_negative = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or("");
        digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            || !digits.is_empty() && text.parse::<f64>().is_ok()
    };
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        match joined.last_mut() {
            Some(option)
                if option.to_str().is_some_and(is_option)
                    && argument.to_str().is_some_and(is_negative) =>
            {
                option.push("=");
                option.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

/// Prints an error to standard error and turns it into an exit code.
pub fn finish(result: Result<(), Failure>) -> ExitCode {
    let unwritten = output::stdout_failure();
    if let Some(error) = &unwritten {
        note(format_args!(
            "error: standard output: cannot write: {error}"
        ));
    }
    match result {
        Ok(()) if unwritten.is_none() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(2),
        Err(failure) => {
            note(format_args!("error: {failure}"));
            match failure {
                Failure::Claim(_) => ExitCode::from(1),
                Failure::Input(_) => ExitCode::from(2),
            }
        }
    }
}

/// Writes a value as indented JSON.
///
/// # Errors
/// Those of the file system.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(input)?;
    write(path, &(text + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_are_short() {
        let found = [0.25, 2.0, 1e30, 1e-9, 0.0, -1e30, 1e300, f64::NAN].map(short);
        let expected = ["0.25", "2", "1e30", "1e-9", "0", "-1e30", "1e300", "NaN"];
        assert_eq!(found, expected);
    }

    #[derive(Debug, clap::Parser)]
    struct Options {
        #[command(flatten)]
        _common: Common,
        #[arg(long)]
        full: bool,
        #[arg(long, value_delimiter = ',', default_value = "1,2")]
        _rows: Vec<u32>,
        #[arg(long)]
        quick: bool,
    }

    #[test]
    fn a_check_refuses_options_that_it_does_not_read() {
        let check = Check {
            time: "a day",
            reads: &["full"],
        };
        let refused = |line: &str| {
            let mut command = command::<Options>(check);
            let given = command.try_get_matches_from_mut(line.split(' ')).unwrap();
            let refused = check.refuse_idle(&command, &given);
            refused.err().map(|failure| failure.to_string())
        };
        let reads = "--seed, --threads, --json, --plot, --no-plot and --full";
        let rest = format!("--check does not read it; it reads {reads}");
        for read in [
            "p --check",
            "p --check --full --seed 2 --threads 1 --json x --plot y",
        ] {
            assert_eq!(refused(read), None);
        }
        // Also where the value is that of the default.
        for (line, option) in [
            ("p --check --rows 1,2", "--rows 1,2"),
            ("p --quick --check", "--quick"),
            ("p --seed 1 --check --rows 3,4,5", "--rows 3,4,5"),
        ] {
            assert_eq!(refused(line), Some(format!("{option}: {rest}")));
        }
        let help = command::<Options>(check).render_long_help().to_string();
        assert!(
            help.contains(&format!("a day; reads {reads} only")),
            "{help}"
        );
    }

    #[test]
    fn negative_numbers_are_values_and_options_are_not() {
        for (given, expected) in [
            ("--seed -1", "--seed=-1"),
            ("--mu -1e-3 --dim -1.5M", "--mu=-1e-3 --dim=-1.5M"),
            ("--noise -.5,-2 --check", "--noise=-.5,-2 --check"),
            ("--mu -inf --p-hat -nan", "--mu=-inf --p-hat=-nan"),
            ("--seed --json x -h", "--seed --json x -h"),
            ("--seed=1 -1 -- -1", "--seed=1 -1 -- -1"),
        ] {
            let words = given.split(' ').map(OsString::from);
            let joined = with_negative_values(words).join(std::ffi::OsStr::new(" "));
            assert_eq!(joined, expected);
        }
    }
}
