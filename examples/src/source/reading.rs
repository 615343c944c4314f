//! How the files under `--data` are read: the options of the readers of `thalweg_std::data`.

use thalweg_std::data::{DataError, Limits, csv, libsvm};

use super::Format;
use crate::cli::{Failure, whole};

/// Where `--help` lists them.
const HEADING: &str = "Files under --data";

/// Options of the three readers.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Reading {
    /// CSV: the character between fields, or comma, semicolon, tab, bar or blank; blank stands for any number of spaces
    /// and tabs [default: comma]
    #[arg(long, help_heading = HEADING, value_name = "CHAR", value_parser = delimiter, requires = "data")]
    pub delimiter: Option<u8>,
    /// CSV: the field of the label: first, last, its number from 1, or its name in the header (name:X for a column called
    /// X whatever X is) [default: last]
    #[arg(long, help_heading = HEADING, value_name = "FIELD", value_parser = label, allow_hyphen_values = true, requires = "data")]
    pub label: Option<Label>,
    /// CSV: whether the first record names the columns; auto takes it for a header if a feature in it is a name and
    /// none is a number; names like 2010 need present [default: auto]
    #[arg(long, help_heading = HEADING, value_enum, requires = "data")]
    pub header: Option<Header>,
    /// CSV: spellings of a missing value (comma-separated) beyond empty, NA, N/A, NaN, NULL, None, ?, - and their kin;
    /// numbers are compared by value
    #[arg(long, help_heading = HEADING,
        value_name = "TEXTS",
        value_delimiter = ',',
        allow_hyphen_values = true,
        requires = "data"
    )]
    pub missing: Vec<String>,
    /// CSV: what becomes of a row with a missing value: refuse, drop, or fill by mean, median (of the column over the
    /// whole file, held-out rows included) or a number [default: refuse]
    #[arg(long, help_heading = HEADING,
        value_name = "RULE",
        value_parser = missing_rows,
        allow_negative_numbers = true,
        requires = "data"
    )]
    pub missing_rows: Option<csv::MissingRows>,
    /// LIBSVM: whether the first column has index 0; auto says so if the index 0 occurs in the file [default: auto]
    #[arg(long, help_heading = HEADING, value_enum, requires = "data")]
    pub zero_based: Option<ZeroBased>,
    /// LIBSVM: what becomes of the `qid:` of files for ranking [default: refuse]
    #[arg(long, help_heading = HEADING, value_enum, requires = "data")]
    pub qid: Option<Qid>,
    /// IDX: which set of a folder with several, by what stands before `-train-images` in its names, such as
    /// emnist-letters
    #[arg(long, help_heading = HEADING, value_name = "NAME", requires = "data")]
    pub set: Option<String>,
    /// Largest number of bytes of a file, unpacked [default: 2^30]
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = whole::<u64>(1..=u64::MAX), allow_negative_numbers = true, requires = "data")]
    pub limit_bytes: Option<u64>,
    /// CSV and LIBSVM: largest number of bytes of a line [default: 2^20]
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = whole::<usize>(1..=u64::MAX), allow_negative_numbers = true, requires = "data")]
    pub limit_line_bytes: Option<usize>,
    /// Largest number of rows [default: 2^24]
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = whole::<usize>(1..=u64::MAX), allow_negative_numbers = true, requires = "data")]
    pub limit_rows: Option<usize>,
    /// Largest number of columns, and so the largest LIBSVM index [default: 2^20]
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = whole::<usize>(1..=u64::MAX), allow_negative_numbers = true, requires = "data")]
    pub limit_columns: Option<usize>,
    /// Largest number of values, rows times columns, 4 bytes each [default: 2^28]
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = whole::<usize>(1..=u64::MAX), allow_negative_numbers = true, requires = "data")]
    pub limit_values: Option<usize>,
    /// CSV and LIBSVM: largest number of classes [default: 2^12]
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = whole::<usize>(1..=u64::MAX), allow_negative_numbers = true, requires = "data")]
    pub limit_classes: Option<usize>,
}

/// The field of the label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// The first.
    First,
    /// The last.
    Last,
    /// By number, from 1.
    Field(usize),
    /// By its name in the header.
    Named(String),
}

/// Whether the first record is a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Header {
    /// Found out from the first record
    Auto,
    /// The first record is a header
    Present,
    /// The first record is data
    Absent,
}

/// Whether the first column has index 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ZeroBased {
    /// Found out from the file
    Auto,
    /// The first column has index 0
    Yes,
    /// The first column has index 1
    No,
}

/// What becomes of the query of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Qid {
    /// A file with one is refused
    Refuse,
    /// The rows are read without it
    Skip,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("comma", _) => Ok(b','),
        ("semicolon", _) => Ok(b';'),
        ("tab" | "\\t", _) => Ok(b'\t'),
        ("bar", _) => Ok(b'|'),
        ("blank" | "space", _) => Ok(b' '),
        (_, &[byte]) if byte.is_ascii() => Ok(byte),
        _ => Err("takes one ASCII character, or comma, semicolon, tab, bar or blank".into()),
    }
}

fn label(text: &str) -> Result<Label, String> {
    match text {
        "first" => Ok(Label::First),
        "last" => Ok(Label::Last),
        "none" => Err(
            "the data of this program has a label in every row; a column called so is name:none"
                .into(),
        ),
        "" => Err("takes first, last, the number of a field or the name of a column".into()),
        _ => match (text.strip_prefix("name:"), text.parse()) {
            (Some(name), _) => Ok(Label::Named(name.into())),
            (None, Ok(0)) => Err("fields are numbered from 1".into()),
            (None, Ok(field)) => Ok(Label::Field(field)),
            (None, Err(_)) => Ok(Label::Named(text.into())),
        },
    }
}

fn missing_rows(text: &str) -> Result<csv::MissingRows, String> {
    match text {
        "refuse" => Ok(csv::MissingRows::Refuse),
        "drop" => Ok(csv::MissingRows::Drop),
        "mean" => Ok(csv::MissingRows::Mean),
        "median" => Ok(csv::MissingRows::Median),
        _ => match text.parse::<f32>() {
            Ok(value) if value.is_finite() => Ok(csv::MissingRows::Constant(value)),
            _ => Err("takes refuse, drop, mean, median or a finite number".into()),
        },
    }
}

const CSV: &[Format] = &[Format::Csv];
const LIBSVM: &[Format] = &[Format::Libsvm];
const IDX: &[Format] = &[Format::Idx];
const TEXT: &[Format] = &[Format::Csv, Format::Libsvm];

impl Reading {
    /// Refuses options of other formats.
    pub(super) fn check(&self, format: Format) -> Result<(), Failure> {
        let options = [
            ("delimiter", self.delimiter.is_some(), CSV),
            ("label", self.label.is_some(), CSV),
            ("header", self.header.is_some(), CSV),
            ("missing", !self.missing.is_empty(), CSV),
            ("missing-rows", self.missing_rows.is_some(), CSV),
            ("zero-based", self.zero_based.is_some(), LIBSVM),
            ("qid", self.qid.is_some(), LIBSVM),
            ("set", self.set.is_some(), IDX),
            ("limit-line-bytes", self.limit_line_bytes.is_some(), TEXT),
            ("limit-classes", self.limit_classes.is_some(), TEXT),
        ];
        let other = options
            .iter()
            .find(|(_, is_given, formats)| *is_given && !formats.contains(&format));
        let Some((option, _, formats)) = other else {
            return Ok(());
        };
        let formats: Vec<String> = formats
            .iter()
            .map(|format| format!("--format {format}"))
            .collect();
        Err(Failure::Input(format!(
            "--{option}: applies to {}, not to --format {format}",
            formats.join(" and ")
        )))
    }

    pub(super) fn limits(&self) -> Limits {
        let common = Limits::default();
        Limits {
            bytes: self.limit_bytes.unwrap_or(common.bytes),
            line_bytes: self.limit_line_bytes.unwrap_or(common.line_bytes),
            rows: self.limit_rows.unwrap_or(common.rows),
            columns: self.limit_columns.unwrap_or(common.columns),
            values: self.limit_values.unwrap_or(common.values),
            classes: self.limit_classes.unwrap_or(common.classes),
        }
    }

    pub(super) fn libsvm(&self) -> libsvm::Options {
        libsvm::Options {
            zero_based: match self.zero_based {
                None | Some(ZeroBased::Auto) => libsvm::ZeroBased::Auto,
                Some(ZeroBased::Yes) => libsvm::ZeroBased::Yes,
                Some(ZeroBased::No) => libsvm::ZeroBased::No,
            },
            qid: match self.qid {
                None | Some(Qid::Refuse) => libsvm::Qid::Refuse,
                Some(Qid::Skip) => libsvm::Qid::Skip,
            },
            limits: self.limits(),
            ..libsvm::Options::default()
        }
    }

    /// `missing` holds the words of [`Reading::missing`].
    pub(super) fn csv<'a>(&'a self, missing: &'a [&'a str]) -> csv::Options<'a> {
        let common = csv::Options::default();
        csv::Options {
            label: match &self.label {
                None | Some(Label::Last) => csv::Label::Last,
                Some(Label::First) => csv::Label::First,
                Some(Label::Field(field)) => csv::Label::Field(*field),
                Some(Label::Named(name)) => csv::Label::Named(name),
            },
            header: match self.header {
                None | Some(Header::Auto) => csv::Header::Detect,
                Some(Header::Present) => csv::Header::Present,
                Some(Header::Absent) => csv::Header::Absent,
            },
            delimiter: self.delimiter.unwrap_or(common.delimiter),
            missing,
            missing_rows: self.missing_rows.unwrap_or_default(),
            limits: self.limits(),
            ..common
        }
    }
}

/// An error of a reader in the words of the command line.
pub(super) fn failure(error: DataError) -> Failure {
    const OPTIONS: [&str; 7] = [
        "delimiter",
        "label",
        "header",
        "missing",
        "missing_rows",
        "zero_based",
        "qid",
    ];
    const LIMITS: [&str; 6] = [
        "bytes",
        "line_bytes",
        "rows",
        "columns",
        "values",
        "classes",
    ];
    let mut text = match error {
        DataError::Parameter { name, rule } if OPTIONS.contains(&name) => {
            format!("--{}: {rule}", name.replace('_', "-"))
        }
        error => error.to_string(),
    };
    for name in OPTIONS {
        let option = format!("--{}", name.replace('_', "-"));
        text = text.replace(&format!("`Options::{name}`"), &option);
    }
    for name in LIMITS {
        let option = format!("--limit-{}", name.replace('_', "-"));
        text = text.replace(&format!("`Limits::{name}`"), &option);
    }
    let text = text
        .replace("`idx::read_set`", "--set")
        .replace("read it as CSV", "read it by --format csv")
        .replace("read it as LIBSVM", "read it by --format libsvm")
        .replace(
            "read it with `TargetKind::Real`; else",
            "this program, which takes classes, is not for it; else",
        );
    Failure::Input(text)
}
