//! A copy of the file that an engine may destroy while it opens it.
//!
//! Holds: sled takes a read that fails during its recovery for the end of its log and overwrites
//! the rest with zeros; one such error cost records that were durable. So before each first try to
//! open, the file is copied, and every later try begins from the copy. The copy counts against no
//! cap: it is gone when the store is open, and the next open removes one that a crash left.
//!
//! Does not: insist. Where there is no room for a copy the store is opened without one.

use super::house::sync_dir;
use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Read at a time; a piece that is all zeros is left out, for sled's files are mostly that at first.
const PIECE: usize = 64 * 1024;

/// See the module's head.
pub struct Copy {
    folder: PathBuf,
    original: PathBuf,
}

impl Copy {
    /// Of `file` in the store `dir`.
    pub fn make(root: &Path, dir: &Path, file: &str) -> Option<Self> {
        // Removed with everything that begins so when the spool is opened next.
        let copy = Self { folder: root.join("new-copy"), original: dir.join(file) };
        // Once more, since a read that fails once is what this is for.
        match copy.write().or_else(|_| copy.write()) {
            Ok(()) => Some(copy),
            Err(error) => {
                tracing::warn!(%error, "spool store is opened without a copy of it");
                None
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("copy")
    }

    fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        copy_file(&self.original, &self.file())
    }

    /// Puts it back, durably, and keeps it for the next time.
    pub fn restore(&self) -> io::Result<()> {
        let beside = self.original.with_extension("copy");
        copy_file(&self.file(), &beside)?;
        // For writing: Windows flushes no file that was opened for reading only.
        File::options().write(true).open(&beside)?.sync_all()?;
        fs::rename(&beside, &self.original)?;
        self.original.parent().map_or(Ok(()), sync_dir)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What stays is removed at the next open.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let mut piece = vec![0; PIECE];
    let mut len = 0;
    loop {
        let read = match from.read(&mut piece) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        if bytes.iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(len))?;
            to.write_all(bytes)?;
        }
        len += bytes.len() as u64;
    }
    to.set_len(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_destroyed_comes_back_and_the_copy_goes() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("store");
        fs::create_dir(&dir).unwrap();
        let mut bytes = vec![7; PIECE + 5];
        bytes.extend(vec![0; 3 * PIECE]);
        fs::write(dir.join("db"), &bytes).unwrap();
        let copy = Copy::make(root.path(), &dir, "db").unwrap();
        for _ in 0..2 {
            fs::write(dir.join("db"), b"destroyed").unwrap();
            copy.restore().unwrap();
            assert_eq!(fs::read(dir.join("db")).unwrap(), bytes);
        }
        drop(copy);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        assert!(Copy::make(root.path(), &dir, "not there").is_none());
        assert!(!root.path().join("new-copy").exists());
    }
}
