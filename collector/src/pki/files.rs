//! The folder of keys and certificates: made beside its place and renamed once it is whole.
//!
//! Holds: only its owner can enter it (0700), from the moment it exists; a crash leaves no folder
//! or a finished one.

use std::{
    fs::{self, DirBuilder, File},
    io,
    path::{Path, PathBuf},
};

/// Makes one folder that only its owner can enter.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Moves a finished folder to its place, which must be free or an empty folder.
pub fn publish_dir(new: &Path, place: &Path) -> io::Result<()> {
    File::open(new)?.sync_all()?;
    fs::rename(new, place)?;
    sync_parent(place)
}

/// The path under which something is prepared.
pub fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no last part"))?;
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(".new");
    Ok(path.with_file_name(new))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}
