//! Data of a classification run: what ships with the repository, or files of three formats.

use std::path::{Path, PathBuf};

use thalweg_std::data::{Dataset, Limits, Standardiser, csv, digits, idx, libsvm};

use crate::cli::{Failure, bad, input};

/// How the files under `--data` are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A folder with the four files of MNIST, plain or .gz; its own test set is used
    Idx,
    /// One LIBSVM file, plain or .gz; a fifth of the rows become the test set
    Libsvm,
    /// One CSV file, plain or .gz, label last; a fifth of the rows become the test set
    Csv,
}

/// Where the data comes from.
#[derive(Clone, Debug, clap::Args)]
pub struct Source {
    /// File or folder to read in place of the digits in the repository
    #[arg(long, value_name = "DIR_OR_FILE", requires = "format")]
    pub data: Option<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, requires = "data")]
    pub format: Option<Format>,
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
    /// What the reader says, with file and place; fewer than two classes or five rows.
    pub fn load(&self, seed: u64) -> Result<Data, Failure> {
        let limits = Limits::default();
        let Some((path, format)) = self.data.as_deref().zip(self.format) else {
            let mut all = digits().map_err(input)?;
            all.scale(1.0 / 16.0);
            return split("UCI digits".into(), all, seed);
        };
        let name = path.display().to_string();
        match format {
            Format::Idx => {
                if !path.is_dir() {
                    return Err(Failure::Input(format!(
                        "{name}: not a folder; --format idx reads a folder with train-images-idx3-ubyte and its three kin"
                    )));
                }
                let (mut train, mut test) = idx::read_folder(path, &limits).map_err(input)?;
                train.scale(1.0 / 255.0);
                test.scale(1.0 / 255.0);
                checked(Data { name, train, test })
            }
            Format::Libsvm => {
                let sparse = libsvm::read_path(path, &libsvm::Options::default());
                let all = sparse.and_then(|sparse| sparse.to_dense(&limits));
                standardised(split(name, all.map_err(input)?, seed)?)
            }
            Format::Csv => {
                let all = read_csv(path)?;
                standardised(split(name, all, seed)?)
            }
        }
    }
}

fn read_csv(path: &Path) -> Result<Dataset, Failure> {
    csv::read_path(path, &csv::Options::default()).map_err(input)
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
