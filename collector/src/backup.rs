//! `backup` and `restore`: the database and the keys as one folder with a manifest.
//!
//! ```text
//! FOLDER/collector.sqlite   the database at one moment
//! FOLDER/pki/..             keys and certificates, without the vendor's offline key
//! FOLDER/backup.json        position, time, and SHA-256 of each file
//! ```
//!
//! Holds: a backup may be taken while the collector serves. Both prepare everything beside its
//! place and move it there in one step, on the disk; neither overwrites anything. A file that does
//! not fit its hash is not restored. The restored store notes that it was restored: what its
//! devices hold acknowledgements for, it moves to when they ask where they stand.
//!
//! Does not: encrypt. The folder holds private keys, and only its owner can enter it.

use crate::{
    config::CollectorConfig,
    pki::files as folder,
    store::{Store, StoreError},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tenken_collector_core::stream::Entry;
use tenken_common::{
    file::{self, Access, WriteError},
    id::Hash,
    time::{Clock, Timestamp},
};

const DATABASE: &str = "collector.sqlite";
const PKI: &str = "pki";
/// The vendor's offline key is kept elsewhere by the vendor.
const OFFLINE: &str = "offline";
const MANIFEST: &str = "backup.json";
const FORMAT: u32 = 1;

/// Why nothing was backed up or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{} exists already and is not overwritten; name another folder", .0.display())]
    Exists(PathBuf),
    #[error("{} holds a collector already; restore into an empty data_dir", .0.display())]
    Occupied(PathBuf),
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot make {}", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("{} is no manifest of a backup", .0.display())]
    Manifest(PathBuf),
    #[error("the backup has format {0}, this program knows {FORMAT}; use the program that made it")]
    Format(u32),
    #[error("{} is not the file that was backed up; use another backup", .0.display())]
    Altered(PathBuf),
    #[error("the store")]
    Store(#[from] StoreError),
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    pub version: String,
    /// The stream's last position.
    pub position: u64,
    pub taken: Timestamp,
    pub files: Vec<FileEntry>,
}

/// One file of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Under the folder, parts by `/`.
    pub path: String,
    pub sha256: Hash,
}

/// Copies everything into the new folder `to`.
pub async fn backup(config: &CollectorConfig, store: &Store, to: &Path) -> Result<Manifest, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let new = prepare(to)?;
    let taken = store.clock().wall();
    let position = store.copy_to(&new.join(DATABASE)).await?;
    let sha256 = digest(&new.join(DATABASE), &mut io::sink())?;
    let mut files = vec![FileEntry { path: DATABASE.to_owned(), sha256 }];
    copy_keys(&config.pki_dir(), &new.join(PKI), PKI, &mut files)?;
    let manifest =
        Manifest { format: FORMAT, version: crate::app::VERSION.to_owned(), position, taken, files };
    let text =
        serde_json::to_string_pretty(&manifest).expect("a manifest of texts and numbers always encodes");
    file::write(&new.join(MANIFEST), text.as_bytes(), Access::Private)?;
    sync(&new)?;
    folder::publish_dir(&new, to).map_err(|source| BackupError::Make { path: to.to_owned(), source })?;
    Ok(manifest)
}

/// Makes the data folder of a configuration from a backup.
pub async fn restore(
    config: &CollectorConfig,
    clock: Arc<dyn Clock>,
    from: &Path,
) -> Result<Manifest, BackupError> {
    let place = &config.data_dir;
    if fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(BackupError::Occupied(place.clone()));
    }
    let manifest = read_manifest(&from.join(MANIFEST))?;
    let new = prepare(place)?;
    for entry in &manifest.files {
        let (source, target) = (from.join(&entry.path), new.join(&entry.path));
        if !is_plain(&entry.path) {
            return Err(BackupError::Altered(source));
        }
        make_parents(&new, &target)?;
        if copy(&source, &target)? != entry.sha256 {
            return Err(BackupError::Altered(source));
        }
    }
    let store = Store::open(&new.join(DATABASE), clock).await?;
    let noted = store.append(vec![Entry::Restored { taken: manifest.taken }]).await;
    store.close().await;
    noted?;
    sync(&new)?;
    folder::publish_dir(&new, place).map_err(|source| BackupError::Make { path: place.clone(), source })?;
    Ok(manifest)
}

/// The folder in which something is prepared, empty.
fn prepare(place: &Path) -> Result<PathBuf, BackupError> {
    let failed = |path: &Path, source| BackupError::Make { path: path.to_owned(), source };
    let new = folder::beside(place).map_err(|e| failed(place, e))?;
    if let Some(parent) = new.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|e| failed(parent, e))?;
    }
    if new.exists() {
        // Left by a crash before it was moved to its place.
        fs::remove_dir_all(&new).map_err(|e| failed(&new, e))?;
    }
    folder::create_private_dir(&new).map_err(|e| failed(&new, e))?;
    Ok(new)
}

fn copy_keys(from: &Path, to: &Path, name: &str, files: &mut Vec<FileEntry>) -> Result<(), BackupError> {
    let failed = |source| BackupError::Read { path: from.to_owned(), source };
    folder::create_private_dir(to).map_err(|source| BackupError::Make { path: to.to_owned(), source })?;
    let mut entries = fs::read_dir(from).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let (path, inner) = (entry.path(), format!("{name}/{file_name}"));
        if path.is_dir() {
            if !(name == PKI && file_name == OFFLINE) {
                copy_keys(&path, &to.join(&file_name), &inner, files)?;
            }
            continue;
        }
        let sha256 = copy(&path, &to.join(&file_name))?;
        files.push(FileEntry { path: inner, sha256 });
    }
    Ok(())
}

fn make_parents(root: &Path, file: &Path) -> Result<(), BackupError> {
    let missing = file.ancestors().skip(1).take_while(|path| *path != root && !path.exists());
    let missing: Vec<&Path> = missing.collect();
    for path in missing.into_iter().rev() {
        folder::create_private_dir(path)
            .map_err(|source| BackupError::Make { path: path.to_owned(), source })?;
    }
    Ok(())
}

/// Whether a manifest's path stays inside its folder.
fn is_plain(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

fn read_manifest(path: &Path) -> Result<Manifest, BackupError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let text = read(path)?;
    let unreadable = || BackupError::Manifest(path.to_owned());
    let Format { format } = serde_json::from_slice(&text).map_err(|_| unreadable())?;
    if format != FORMAT {
        return Err(BackupError::Format(format));
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| unreadable())?;
    if manifest.files.iter().any(|f| f.path == DATABASE) { Ok(manifest) } else { Err(unreadable()) }
}

fn read(path: &Path) -> Result<Vec<u8>, BackupError> {
    fs::read(path).map_err(|source| BackupError::Read { path: path.to_owned(), source })
}

/// Copies one file onto the disk; answers its hash.
fn copy(from: &Path, to: &Path) -> Result<Hash, BackupError> {
    let failed = |source| BackupError::Make { path: to.to_owned(), source };
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut target = options.open(to).map_err(failed)?;
    let hash = digest(from, &mut target)?;
    target.sync_all().map_err(failed)?;
    Ok(hash)
}

/// Hash of a file, however large, while it is written to `sink`.
fn digest(path: &Path, sink: &mut impl Write) -> Result<Hash, BackupError> {
    let failed = |source| BackupError::Read { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let (mut sha, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        let n = file.read(&mut buffer).map_err(failed)?;
        let Some(part) = buffer.get(..n).filter(|part| !part.is_empty()) else { break };
        sha.update(part);
        sink.write_all(part).map_err(failed)?;
    }
    Ok(Hash(sha.finalize().into()))
}

/// Makes the entries of a prepared folder durable, those of its subfolders too.
fn sync(path: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Make { path: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(failed)? {
        let inner = entry.map_err(failed)?.path();
        if inner.is_dir() {
            sync(&inner)?;
        }
    }
    file::sync_folder(path).map_err(failed)
}
