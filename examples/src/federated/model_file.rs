//! `--save`: the trained network as a tensor file, which PyTorch and other tools open.

use std::path::{Path, PathBuf};

use thalweg::ALGORITHM_VERSION;
use thalweg_std::train::TensorFile;

use crate::cli::{Failure, Files, input, write_file};

use super::{Options, Report, method};

/// Where the model goes.
#[derive(Clone, Debug, clap::Args)]
pub struct ModelFile {
    /// Write the trained network of the one protocol named by --protocol here, as a safetensors file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["connect", "check"])]
    pub save: Option<PathBuf>,
}

impl ModelFile {
    /// Checks, before the work, that there will be one model, and that it can be written.
    ///
    /// # Errors
    /// Several methods; a file that cannot be written, or that other results go to.
    pub(super) fn check(&self, options: &Options, files: &Files<'_>) -> Result<(), Failure> {
        let Some(path) = &self.save else {
            return Ok(());
        };
        let methods = method::select(&options.protocol, options.compressor)?;
        if methods.len() != 1 {
            return Err(Failure::Input(format!(
                "--save: takes one protocol and one compressor, these options mean {}; add for instance --protocol marina --compressor perm-k",
                methods.len()
            )));
        }
        files.check_file("save", path)
    }

    /// Writes the model of a run, if it is asked for.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn write(&self, report: &Report) -> Result<(), Failure> {
        match &self.save {
            Some(path) => write(path, report),
            None => Ok(()),
        }
    }
}

/// Tensors have the names and shapes of PyTorch's `Sequential(Linear, ReLU, Linear)`.
fn write(path: &Path, report: &Report) -> Result<(), Failure> {
    let Some(row) = report.rows.last() else {
        return Ok(());
    };
    let [inputs, hidden, classes] = report.sizes;
    let mut file = TensorFile::new();
    file.set("format", "pt");
    file.set("thalweg.algorithms", ALGORITHM_VERSION.to_string());
    file.set(
        "model",
        format!("Sequential(Linear({inputs}, {hidden}), ReLU(), Linear({hidden}, {classes}))"),
    );
    file.set("data", report.data.clone());
    file.set("method", row.method.clone());
    file.set("step_size", row.step_size.to_string());
    file.set("rounds", row.rounds.to_string());
    file.set("seed", report.seed.to_string());
    file.set("params_crc", row.params_crc.clone());
    file.set("diverged", row.diverged.to_string());
    if let Some(why) = &report.ended_early {
        file.set("ended_early", why.clone());
    }
    let mut rest = &row.params[..];
    for (name, shape) in [
        ("0.weight", &[hidden, inputs][..]),
        ("0.bias", &[hidden]),
        ("2.weight", &[classes, hidden]),
        ("2.bias", &[classes]),
    ] {
        let (values, after) = rest
            .split_at_checked(shape.iter().product())
            .unwrap_or_default();
        file.push(name, shape, values).map_err(input)?;
        rest = after;
    }
    write_file(path, &file.to_bytes())
}
