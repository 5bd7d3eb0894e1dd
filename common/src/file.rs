//! Small files that must survive a power cut: keys, statements, state.
//!
//! Holds: a reader sees the old content or the new one, never a part; when [`write`] returns, the
//! new one is on the disk (temporary file, fsync, rename, fsync of the folder). Private files are
//! readable by their owner only from the moment they exist.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The owner only: keys and whatever holds one.
    Private,
    Everyone,
}

/// A file that could not be written; the one before is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// Replaces `path` with `content`, durably; makes its folder where it is missing.
pub fn write(path: &Path, content: &[u8], access: Access) -> Result<(), WriteError> {
    place(path, content, access, Durability::Now)
        .map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Like [`write`], but leaves it to the system when the content reaches the disk: for what is
/// rewritten often and can be lost.
pub fn replace(path: &Path, content: &[u8], access: Access) -> Result<(), WriteError> {
    place(path, content, access, Durability::Later)
        .map_err(|source| WriteError { path: path.to_owned(), source })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    Now,
    Later,
}

fn place(path: &Path, content: &[u8], access: Access, durability: Durability) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // A leftover of a crash may have other permissions.
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut file = options(access).open(&temporary)?;
    file.write_all(content)?;
    if durability == Durability::Later {
        return fs::rename(&temporary, path);
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(folder)
}

fn options(access: Access) -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(match access {
            Access::Private => 0o600,
            Access::Everyone => 0o644,
        });
    }
    #[cfg(not(unix))]
    let _ = access;
    options
}

/// Makes a rename or a new file in `folder` durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_whole_and_private_files_are_private() {
        let dir = std::env::temp_dir().join(format!("tenken-file-{}", std::process::id()));
        let path = dir.join("a").join("key");
        write(&path, b"one", Access::Private).unwrap();
        write(&path, b"two", Access::Private).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_folder_that_is_a_file_is_a_clear_error() {
        let file = std::env::temp_dir().join(format!("tenken-file-plain-{}", std::process::id()));
        fs::write(&file, b"").unwrap();
        let error = write(&file.join("x"), b"", Access::Everyone).unwrap_err();
        assert!(error.to_string().starts_with("cannot write "));
        fs::remove_file(file).unwrap();
    }
}
