//! MNIST and its relatives: four files of a folder under their usual names.

use std::fs;
use std::path::{Path, PathBuf};

use super::{dataset, read_path};
use crate::data::dataset::Dataset;
use crate::data::error::{DataError, Place, Position};
use crate::data::limits::Limits;

/// What stands between the name of a set and the part of it.
const SEPARATORS: [char; 3] = ['-', '_', '.'];
/// Sets that are listed when there are several.
const MOST_LISTED: usize = 16;

/// Reads MNIST or a set laid out as it: training and test set from a folder.
///
/// The four files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`. A dot may stand for the last but one hyphen (`train-images.idx3-ubyte`), `test` for `t10k`; the name
/// of a set may come first (`emnist-letters-train-images-idx3-ubyte`), and `.gz` last. Files without the name of a set
/// are preferred; of several named sets [`read_set`] takes one.
///
/// Values are raw, 0 to 255; the classes of the test set are numbered as the training set's. EMNIST stores its images
/// with rows and columns exchanged; they are left so.
///
/// # Errors
/// As [`read_path`], [`dataset`] and [`Dataset::match_to`]; [`DataError::Misread`] where there are several sets.
///
/// ```
/// use thalweg_std::data::{Limits, idx};
/// let error = idx::read_folder("no/such/folder", &Limits::default()).unwrap_err();
/// assert!(error.to_string().contains("train-images-idx3-ubyte"));
/// ```
pub fn read_folder(
    folder: impl AsRef<Path>,
    limits: &Limits,
) -> Result<(Dataset, Dataset), DataError> {
    let folder = folder.as_ref();
    let prefixes = prefixes(folder);
    match &prefixes[..] {
        [] => read_prefixed(folder, "", limits),
        [only] => read_prefixed(folder, only, limits),
        [first, ..] if first.is_empty() => read_prefixed(folder, first, limits),
        several => Err(DataError::Misread {
            place: whole(folder),
            found: format!("several sets, {}", listed(several)),
            cure: "name one of them to `idx::read_set`".into(),
        }),
    }
}

/// Reads one of the sets of a folder, such as `emnist-letters`; otherwise as [`read_folder`].
///
/// # Errors
/// As [`read_folder`]; [`DataError::Misread`] where the folder has no set of this name.
///
/// ```
/// use thalweg_std::data::{Limits, idx};
/// let error = idx::read_set("no/such/folder", "emnist-letters", &Limits::default()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "no/such/folder: no file `emnist-letters-train-images-idx3-ubyte`, with a dot or `.gz` or without; it has no set"
/// );
/// ```
pub fn read_set(
    folder: impl AsRef<Path>,
    set: &str,
    limits: &Limits,
) -> Result<(Dataset, Dataset), DataError> {
    let folder = folder.as_ref();
    let set = set.trim_end_matches(SEPARATORS);
    let prefixes = prefixes(folder);
    let found = prefixes
        .iter()
        .find(|prefix| prefix.trim_end_matches(SEPARATORS) == set);
    match found {
        Some(prefix) => read_prefixed(folder, prefix, limits),
        None => Err(DataError::Misread {
            place: whole(folder),
            found: format!(
                "no file `{set}-train-images-idx3-ubyte`, with a dot or `.gz` or without"
            ),
            cure: match &prefixes[..] {
                [] => "it has no set".into(),
                some => format!("it has {}", listed(some)),
            },
        }),
    }
}

fn whole(folder: &Path) -> Place {
    Place {
        file: folder.display().to_string(),
        position: Position::Whole,
    }
}

fn listed(prefixes: &[String]) -> String {
    let names =
        prefixes
            .iter()
            .take(MOST_LISTED)
            .map(|prefix| match prefix.trim_end_matches(SEPARATORS) {
                "" => "one without a name".into(),
                name => format!("`{name}`"),
            });
    let mut names: Vec<String> = names.collect();
    if prefixes.len() > MOST_LISTED {
        names.push("...".into());
    }
    names.join(", ")
}

/// What precedes `train-images` in the names of files, ascending, each once; none where the folder cannot be listed,
/// since opening a file then says why.
fn prefixes(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let prefixes = names.filter_map(|name| {
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let prefix = name
            .strip_suffix("train-images-idx3-ubyte")
            .or_else(|| name.strip_suffix("train-images.idx3-ubyte"))?;
        (prefix.is_empty() || prefix.ends_with(SEPARATORS)).then(|| prefix.to_owned())
    });
    let mut prefixes: Vec<String> = prefixes.collect();
    prefixes.sort();
    prefixes.dedup();
    prefixes
}

fn read_prefixed(
    folder: &Path,
    prefix: &str,
    limits: &Limits,
) -> Result<(Dataset, Dataset), DataError> {
    let pair = |parts: &[&str]| {
        let images = read_path(file(folder, prefix, parts, "images", "idx3"), limits)?;
        let labels = read_path(file(folder, prefix, parts, "labels", "idx1"), limits)?;
        dataset(&images, &labels)
    };
    let (train, mut test) = (pair(&["train"])?, pair(&["t10k", "test"])?);
    test.match_to(&train)?;
    Ok((train, test))
}

/// The first of the names of a file that is there; unpacked ones first.
fn file(folder: &Path, prefix: &str, parts: &[&str], content: &str, rank: &str) -> PathBuf {
    let mut first = None;
    for end in ["", ".gz"] {
        for part in parts {
            for mark in ['-', '.'] {
                let path = folder.join(format!("{prefix}{part}-{content}{mark}{rank}-ubyte{end}"));
                // Some archives hold a folder of the same name.
                if path.is_file() {
                    return path;
                }
                first.get_or_insert(path);
            }
        }
    }
    first.unwrap_or_else(|| folder.to_owned())
}
