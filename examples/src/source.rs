//! Data of a classification run: what ships with the repository, or files of three formats.

use std::fmt;
use std::path::PathBuf;

use thalweg_std::data::{Dataset, Standardiser, csv, digits, idx, libsvm};

use crate::cli::{Failure, bad, input};
use reading::failure;

pub mod reading;

pub use reading::Reading;

/// How the files under `--data` are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A folder with the four files of MNIST or a relative, plain or .gz; its own test set is used
    Idx,
    /// One LIBSVM file, plain or .gz; a fifth of the rows become the test set
    Libsvm,
    /// One CSV file, plain or .gz; a fifth of the rows become the test set
    Csv,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idx => "idx",
            Self::Libsvm => "libsvm",
            Self::Csv => "csv",
        })
    }
}

/// Where the data comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Source {
    /// File or folder to read in place of the digits in the repository
    #[arg(long, value_name = "DIR_OR_FILE", requires = "format")]
    pub data: Option<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, requires = "data")]
    pub format: Option<Format>,
    /// How it is read.
    #[command(flatten)]
    pub reading: Reading,
}

/// Training and test set, scaled.
#[derive(Clone, Debug)]
pub struct Data {
    /// What it is called.
    pub name: String,
    /// Rows to learn from.
    pub train: Dataset,
    /// Rows to be judged by.
    pub test: Dataset,
}

impl Source {
    /// Reads, splits and scales: pixels to 0..1, columns of other files to mean 0 and deviation 1 on the training set.
    ///
    /// # Errors
    /// What the reader says, with file and place; fewer than two classes or five rows; an option of another format.
    pub fn load(&self, seed: u64) -> Result<Data, Failure> {
        let Some((path, format)) = self.data.as_deref().zip(self.format) else {
            let mut all = digits().map_err(input)?;
            all.scale(1.0 / 16.0);
            return split("UCI digits".into(), all, seed);
        };
        let name = path.display().to_string();
        self.reading.check(format)?;
        let limits = self.reading.limits();
        if format != Format::Idx && path.is_dir() {
            return Err(Failure::Input(format!(
                "{name}: a folder; --format {format} reads one file, --format idx a folder"
            )));
        }
        match format {
            Format::Idx => {
                if !path.is_dir() {
                    return Err(Failure::Input(format!(
                        "{name}: not a folder; --format idx reads a folder with train-images-idx3-ubyte and its three kin"
                    )));
                }
                let sets = match &self.reading.set {
                    Some(set) => idx::read_set(path, set, &limits),
                    None => idx::read_folder(path, &limits),
                };
                let (mut train, mut test) = sets.map_err(failure)?;
                train.scale(1.0 / 255.0);
                test.scale(1.0 / 255.0);
                checked(Data { name, train, test })
            }
            Format::Libsvm => {
                let sparse = libsvm::read_path(path, &self.reading.libsvm());
                let sparse = sparse.map_err(failure)?;
                let all = sparse.to_dense(&limits).map_err(|error| {
                    // A set in memory has no path.
                    Failure::Input(format!("{name}: {}", failure(error)))
                })?;
                standardised(split(name, all, seed)?)
            }
            Format::Csv => {
                let missing = self.reading.missing.iter().map(String::as_str);
                let missing: Vec<&str> = missing.collect();
                let all = csv::read_path(path, &self.reading.csv(&missing)).map_err(failure)?;
                standardised(split(name, all, seed)?)
            }
        }
    }
}

fn split(name: String, all: Dataset, seed: u64) -> Result<Data, Failure> {
    let held_out = all.rows() / 5;
    if held_out == 0 {
        return Err(bad(
            "data",
            name,
            "must hold at least five rows, one of which is held out",
        ));
    }
    let (train, test) = all.split(held_out, seed).map_err(input)?;
    checked(Data { name, train, test })
}

fn standardised(mut data: Data) -> Result<Data, Failure> {
    let scale = Standardiser::fit(&data.train);
    scale.apply(&mut data.train).map_err(input)?;
    scale.apply(&mut data.test).map_err(input)?;
    Ok(data)
}

fn checked(data: Data) -> Result<Data, Failure> {
    if data.train.classes() < 2 {
        return Err(bad("data", data.name, "must hold at least two classes"));
    }
    Ok(data)
}
