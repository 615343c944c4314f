//! Output files: tried before the work, replaced in one piece after it.
//!
//! A regular file is replaced by [`thalweg_std::files`].
//! Pipes, terminals and devices are written directly, and standard output by the way of [`super::output`].

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use thalweg_std::files::{self, folder, follow};

use super::{Failure, output};

/// Most links that are followed to a folder of the system.
const MOST_LINKS: usize = 40;

/// What stands at the end of a path's links.
#[derive(Debug)]
enum Target {
    /// A regular file, or nothing yet.
    Regular(PathBuf),
    /// A terminal or another device of characters.
    Device,
    /// A pipe, or an open file of a process.
    Open,
    /// The standard output of this process.
    Stdout,
}

fn cannot_write(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::Input(format!("{}: cannot write: {why}", path.display()))
}

/// Follows the links of a path to what is written.
fn target(path: &Path) -> Result<Target, String> {
    let text = |error: std::io::Error| error.to_string();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err("it is a folder".into()),
        Ok(found) if system::is_stdout(&found) => Ok(Target::Stdout),
        Ok(found) => match system::refusal(&found) {
            Some(why) => Err(why.into()),
            None if system::is_device(&found) => Ok(Target::Device),
            // Open files that have a link under /proc, like those of /dev/fd, cannot be replaced by name.
            None if !found.is_file() || lies_in_proc(path) => Ok(Target::Open),
            None => Ok(Target::Regular(follow(path).map_err(text)?)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let end = follow(path).map_err(text)?;
            let ends_open = |path: &Path| path.as_os_str().as_encoded_bytes().ends_with(b"/");
            if ends_open(path) || ends_open(&end) || end.file_name().is_none() {
                return Err("it is no file name".into());
            }
            if !folder(&end).is_dir() {
                return Err(format!(
                    "the folder does not exist: {}",
                    folder(&end).display()
                ));
            }
            Ok(Target::Regular(end))
        }
        // Links in a circle, a file in the place of a folder, a name that is too long.
        Err(error) => Err(text(follow(path).err().unwrap_or(error))),
    }
}

/// A link on the way stands in the folder of the system's processes.
fn lies_in_proc(path: &Path) -> bool {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        if folder(&at)
            .canonicalize()
            .is_ok_and(|folder| folder.starts_with("/proc"))
        {
            return true;
        }
        match fs::read_link(&at) {
            Ok(to) => at = at.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => return false,
        }
    }
    false
}

/// Checks, before the work, that a file can be written; what it holds is left alone, and nothing is created.
///
/// # Errors
/// A folder that does not exist, a path that is a folder or a block device, links in a circle, no permission.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    match target(path).map_err(|why| cannot_write(path, why))? {
        Target::Regular(end) => files::check(&end),
        Target::Device => OpenOptions::new().append(true).open(path).map(drop),
        // To open a pipe is to start writing.
        Target::Open | Target::Stdout => Ok(()),
    }
    .map_err(|error| cannot_write(path, error))
}

/// [`check_writable`] for a file of bytes, which is a file: no pipe, terminal or standard output.
///
/// # Errors
/// Those of [`check_writable`], and anything else than a regular file.
pub(super) fn check_replaceable(path: &Path) -> Result<(), Failure> {
    match target(path).map_err(|why| cannot_write(path, why))? {
        Target::Regular(_) => check_writable(path),
        _ => Err(cannot_write(path, "it is no regular file")),
    }
}

/// Writes a file of bytes: all of it, or the file stays as it was.
///
/// # Errors
/// Those of the file system; anything else than a regular file.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    match target(path).map_err(|why| cannot_write(path, why))? {
        Target::Regular(end) => files::replace(&end, &[bytes]),
        _ => return Err(cannot_write(path, "it is no regular file")),
    }
    .map_err(|error| cannot_write(path, error))
}

/// Writes a text file, naming the path when that fails: all of it, or the file stays as it was.
///
/// # Errors
/// Those of the file system. A pipe that nobody reads any more is none.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let bytes = text.as_bytes();
    match target(path).map_err(|why| cannot_write(path, why))? {
        Target::Regular(end) => files::replace(&end, &[bytes]),
        Target::Device | Target::Open => {
            let written = OpenOptions::new()
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(bytes));
            written.or_else(|error| match error.kind() {
                ErrorKind::BrokenPipe => Ok(()),
                _ => Err(error),
            })
        }
        Target::Stdout => {
            output::print_text(text);
            Ok(())
        }
    }
    .map_err(|error| cannot_write(path, error))
}

/// Two paths that lead to the same file, be it there or not.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        let end = follow(path).ok()?;
        let folder = folder(&end).canonicalize().ok()?;
        Some(folder.join(end.file_name()?))
    };
    let found = match (fs::metadata(a), fs::metadata(b)) {
        // A device may be opened twice.
        (Ok(a), Ok(_)) if system::is_device(&a) => Some(false),
        (Ok(a), Ok(b)) => system::is_same(&a, &b),
        _ => None,
    };
    found.unwrap_or_else(|| place(a).is_some_and(|a| place(b) == Some(a)))
}

/// Whether a path leads to a file of the data: to the file itself, or in a folder to a file with the name of an IDX file.
///
/// Other files of a folder are none of the data: a picture may stand next to it.
pub(super) fn is_part(path: &Path, data: &Path) -> bool {
    let Ok(entries) = fs::read_dir(data) else {
        return is_same_file(path, data);
    };
    let mut files = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().contains("ubyte")
    });
    files.any(|file| is_same_file(path, &file.path()))
}

/// What only Unix knows of a file.
#[cfg(unix)]
mod system {
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    pub(super) fn is_device(found: &Metadata) -> bool {
        found.file_type().is_char_device()
    }

    pub(super) fn is_stdout(found: &Metadata) -> bool {
        let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let stdout = stdout.and_then(|file| file.metadata());
        // A device may be opened once more; a file or a pipe would be written by two at a time.
        !is_device(found) && stdout.is_ok_and(|stdout| is_same(found, &stdout) == Some(true))
    }

    pub(super) fn refusal(found: &Metadata) -> Option<&'static str> {
        let kind = found.file_type();
        if kind.is_block_device() {
            Some("it is a block device")
        } else if kind.is_socket() {
            Some("it is a socket")
        } else {
            None
        }
    }

    pub(super) fn is_same(a: &Metadata, b: &Metadata) -> Option<bool> {
        Some((a.dev(), a.ino()) == (b.dev(), b.ino()))
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::Metadata;

    pub(super) fn is_device(_: &Metadata) -> bool {
        false
    }
    pub(super) fn is_stdout(_: &Metadata) -> bool {
        false
    }
    pub(super) fn refusal(_: &Metadata) -> Option<&'static str> {
        None
    }
    pub(super) fn is_same(_: &Metadata, _: &Metadata) -> Option<bool> {
        None
    }
}
