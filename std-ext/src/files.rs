//! Files that are replaced in one piece.
//!
//! The new contents go to a temporary file next to the old one, onto the disk, and then take its name: whatever happens meanwhile, a full disk or the end of
//! the process, the path leads to the old contents or to the new ones, whole. Links stay links, and the file at their end is replaced, also where there
//! is none yet. Permissions and owner stay. What cannot be replaced without a loss (several hard links, an owner that cannot be given, a folder that takes
//! no new file) is overwritten in place.

// What fails when this is false: `tests` below, `train::tests::files::{a_file_is_replaced_as_a_whole_or_not_at_all, a_killed_process_leaves_the_old_file_or_the_new_one}`,
// and examples/tests/outputs.rs, for links, hard links, permissions, killed programs and full disks.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Most links that are followed.
const MOST_LINKS: usize = 40;

/// The path at the end of a chain of links, which need not exist.
///
/// # Errors
/// Links that lead in a circle, or cannot be read.
///
/// ```
/// let folder = std::env::temp_dir();
/// assert_eq!(thalweg_std::files::follow(&folder.join("no link"))?, folder.join("no link"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => {
                let to = fs::read_link(&at)?;
                at = at.parent().unwrap_or(Path::new("")).join(to);
            }
            _ => return Ok(at),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// The folder of a file.
#[must_use]
pub fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Checks that [`replace`] can write, before the work whose result is to be written; what the file holds is left alone, and nothing stays.
///
/// # Errors
/// A folder that does not exist, no permission, links in a circle, and anything else than a regular file.
///
/// ```
/// let folder = std::env::temp_dir();
/// assert!(thalweg_std::files::check(&folder).is_err());
/// assert!(thalweg_std::files::check(&folder.join("no such folder/file")).is_err());
/// ```
pub fn check(path: &Path) -> io::Result<()> {
    let end = follow(path)?;
    match old(&end)? {
        Some(_) => OpenOptions::new().append(true).open(end).map(drop),
        None => Temporary::new(folder(&end)).map(drop),
    }
}

/// Writes the pieces, one behind the other, as the contents of a file.
///
/// # Errors
/// Those of the file system, and anything else than a regular file under the path.
///
/// ```
/// let path = std::env::temp_dir().join(format!("thalweg-{}", std::process::id()));
/// thalweg_std::files::replace(&path, &[b"head ", b"and body"])?;
/// assert_eq!(std::fs::read_to_string(&path)?, "head and body");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn replace(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let end = follow(path)?;
    match old(&end)? {
        Some(found) => replace_old(&end, &found, pieces),
        None => Temporary::new(folder(&end))?.take_name(&end, pieces),
    }
}

/// What stands under a path without links.
fn old(end: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(end) {
        Ok(found) if found.is_file() => Ok(Some(found)),
        Ok(_) => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is no regular file",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn replace_old(end: &Path, found: &Metadata, pieces: &[&[u8]]) -> io::Result<()> {
    // Without this a file that may not be written could be replaced.
    let mut old = OpenOptions::new().write(true).open(end)?;
    if let Ok(mut new) = Temporary::new(folder(end)) {
        let is_alike = system::keep_owner(&new.file, found)
            .and_then(|()| new.file.set_permissions(found.permissions()));
        if is_alike.is_ok() && !system::has_other_names(found) {
            return new.take_name(end, pieces);
        }
        // Shows that the disk has room before the old bytes go.
        write_all(&mut new.file, pieces)?;
    }
    write_all(&mut old, pieces)?;
    old.set_len(pieces.iter().map(|piece| piece.len() as u64).sum())?;
    old.sync_all()
}

fn write_all(file: &mut File, pieces: &[&[u8]]) -> io::Result<()> {
    pieces.iter().try_for_each(|piece| file.write_all(piece))
}

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

    /// Puts the bytes on the disk, then takes the name of the other file.
    fn take_name(mut self, end: &Path, pieces: &[&[u8]]) -> io::Result<()> {
        write_all(&mut self.file, pieces)?;
        self.file.sync_all()?;
        fs::rename(&self.path, end)?;
        // The name is on the disk when its folder is; a system that cannot open folders does that by itself.
        if let Ok(folder) = File::open(folder(end)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone if it was renamed; a file that cannot be removed does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// What only Unix knows of a file.
#[cfg(unix)]
mod system {
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::unix::fs::{MetadataExt, fchown};

    pub(super) fn has_other_names(found: &Metadata) -> bool {
        found.nlink() > 1
    }

    pub(super) fn keep_owner(new: &File, old: &Metadata) -> io::Result<()> {
        let made = new.metadata()?;
        if (made.uid(), made.gid()) == (old.uid(), old.gid()) {
            return Ok(());
        }
        fchown(new, Some(old.uid()), Some(old.gid()))
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{File, Metadata};
    use std::io;

    pub(super) fn has_other_names(_: &Metadata) -> bool {
        false
    }
    pub(super) fn keep_owner(_: &File, _: &Metadata) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_to_nothing_and_a_second_name_lead_to_the_new_contents() {
        let folder = std::env::temp_dir().join(format!("thalweg-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let at = |name: &str| folder.join(name);
        symlink("end", at("link")).unwrap();
        check(&at("link")).unwrap();
        assert!(!at("end").exists());
        replace(&at("link"), &[b"one"]).unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::read(at("end")).unwrap(), b"one");
        fs::hard_link(at("end"), at("other")).unwrap();
        replace(&at("link"), &[b"t", b"wo"]).unwrap();
        assert_eq!(fs::read(at("other")).unwrap(), b"two");
        symlink("circle", at("circle")).unwrap();
        assert!(replace(&at("circle"), &[b""]).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
        fs::remove_dir_all(folder).unwrap();
    }
}
