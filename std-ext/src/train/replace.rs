//! A file replaced in one piece.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A new file next to another one, removed unless it takes its place.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn new(folder: &Path) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".unfinished-{process}-{number}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                // Left by a process that crashed and had the same number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone if it was renamed; a file that cannot be removed does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes the pieces to a file next to `path`, puts them on the disk, and gives it that name: whatever happens meanwhile, what stands under the name
/// is the old contents or the new. A link stays one, and permissions stay as they are.
pub(super) fn replace(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let found = match fs::canonicalize(path) {
        Ok(end) => Some((fs::metadata(&end)?, end)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let end = match &found {
        Some((old, _)) if !old.is_file() => {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
        }
        Some((_, end)) => end,
        None => path,
    };
    let folder = match end.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if found.is_some() {
        // Without this a file that may not be written could be replaced.
        OpenOptions::new().write(true).open(end)?;
    }
    let mut new = Temporary::new(folder)?;
    if let Some((old, _)) = &found {
        new.file.set_permissions(old.permissions())?;
    }
    for piece in pieces {
        new.file.write_all(piece)?;
    }
    new.file.sync_all()?;
    fs::rename(&new.path, end)?;
    // The name is on the disk when its folder is; a system that cannot open folders does that by itself.
    match File::open(folder) {
        Ok(folder) => folder.sync_all().or(Ok(())),
        Err(_) => Ok(()),
    }
}
