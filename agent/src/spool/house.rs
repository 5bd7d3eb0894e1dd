//! A numbered store directory around a database: guards, renewal, size.
//!
//! Holds: a panic inside a database becomes an error, and so does a write that did not stick. A new store is made whole under another
//! name and renamed, so a crash leaves the old or the new one. After a [`Revocation`] nothing is
//! written any more: an open that was given up on must not wake up later and write.

use super::EngineKind;
use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tenken_agent_core::spool::{Engine, EngineError, Op, engine::Pair};

/// Takes the right to write away from an attempt that came too late.
#[derive(Debug, Clone, Default)]
pub struct Revocation(Arc<AtomicBool>);

impl Revocation {
    pub fn revoke(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn check(&self) -> Result<(), EngineError> {
        if self.0.load(Ordering::SeqCst) {
            Err(EngineError::new("write", "this attempt was given up"))
        } else {
            Ok(())
        }
    }
}

/// One opened database.
pub trait Store: Send + Sized + 'static {
    const KIND: EngineKind;
    /// The file that an open which fails may destroy, if there is one.
    const FRAGILE: Option<&str>;
    /// Opens or makes it, durably, in a directory that exists.
    fn open(dir: &Path) -> Result<Self, EngineError>;
    /// Atomic and durable when it returns.
    fn commit(&mut self, ops: &[Op]) -> Result<(), EngineError>;
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;
    fn scan(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, EngineError>;
    fn degraded(&self) -> Option<String>;
}

/// A store in its numbered directory.
pub struct House<D> {
    root: PathBuf,
    number: u64,
    store: Option<D>,
    revocation: Revocation,
    /// Since the last write; a look at it reads the folder.
    disk_bytes: Cell<Option<u64>>,
    /// Keeps other processes out for as long as this lives.
    lock: Arc<File>,
}

impl<D: Store> House<D> {
    pub fn open(
        root: &Path,
        number: u64,
        revocation: Revocation,
        lock: Arc<File>,
    ) -> Result<Self, EngineError> {
        let dir = store_dir(root, D::KIND, number);
        let store = guard("open", || D::open(&dir))?;
        Ok(Self {
            root: root.to_owned(),
            number,
            store: Some(store),
            revocation,
            disk_bytes: Cell::default(),
            lock,
        })
    }

    fn dir(&self) -> PathBuf {
        store_dir(&self.root, D::KIND, self.number)
    }

    fn store(&self) -> Result<&D, EngineError> {
        self.store.as_ref().ok_or_else(|| EngineError::new("use", "the store is closed"))
    }
}

impl<D: Store> Engine for House<D> {
    fn commit(&mut self, ops: &[Op]) -> Result<(), EngineError> {
        self.revocation.check()?;
        self.disk_bytes.take();
        let store = self.store.as_mut().ok_or_else(|| EngineError::new("commit", "the store is closed"))?;
        guard("commit", || {
            store.commit(ops)?;
            is_done(store, ops)
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let store = self.store()?;
        guard("read", || store.get(key))
    }

    fn scan(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, EngineError> {
        let store = self.store()?;
        let pairs = guard("scan", || store.scan(from, to, max))?;
        // A damaged tree can lead back to where it came from; no reader may follow it for ever.
        let inside = pairs.iter().all(|(key, _)| key.as_slice() >= from && key.as_slice() < to);
        if inside && pairs.is_sorted_by(|(a, _), (b, _)| a < b) {
            Ok(pairs)
        } else {
            Err(EngineError::new("scan", "keys come out of order"))
        }
    }

    fn disk_bytes(&self) -> u64 {
        let bytes = self.disk_bytes.get().unwrap_or_else(|| size_of(&self.dir()));
        self.disk_bytes.set(Some(bytes));
        bytes
    }

    fn renew(&mut self, ops: &[Op]) -> Result<(), EngineError> {
        self.revocation.check()?;
        self.disk_bytes.take();
        let old = self.dir();
        self.let_go();
        build::<D>(&self.root, self.number + 1, ops)?;
        self.number += 1;
        let dir = self.dir();
        self.store = Some(guard("open", || D::open(&dir))?);
        // Left behind by a crash here, the old one is removed at the next open.
        fs::remove_dir_all(&old).map_err(|e| EngineError::new("remove old store", e))
    }

    fn degraded(&self) -> Option<String> {
        self.store.as_ref().and_then(Store::degraded)
    }

    fn close(&mut self) {
        self.let_go();
        let _ = self.lock.unlock();
    }
}

impl<D> House<D> {
    /// A database may panic when it goes, after a failed sync for example; that must not end the
    /// thread it lived on. What was committed is on the disk by then.
    fn let_go(&mut self) {
        let store = self.store.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(store)));
    }
}

impl<D> Drop for House<D> {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// A damaged tree can take a write and keep what was there: a record that cannot be deleted would
/// be sent twice. So every write is looked at once more.
fn is_done<D: Store>(store: &D, ops: &[Op]) -> Result<(), EngineError> {
    let last: BTreeMap<&[u8], Option<&[u8]>> = ops
        .iter()
        .map(|op| match op {
            Op::Put(key, value) => (key.as_slice(), Some(value.as_slice())),
            Op::Delete(key) => (key.as_slice(), None),
        })
        .collect();
    for (key, value) in last {
        if store.get(key)?.as_deref() != value {
            return Err(EngineError::new("look at what was written", "the store holds something else"));
        }
    }
    Ok(())
}

/// Makes a store that holds `ops` and gives it its number, all or nothing.
pub fn build<D: Store>(root: &Path, number: u64, ops: &[Op]) -> Result<(), EngineError> {
    let failed = |e: io::Error| EngineError::new("make a store", e);
    let unfinished = root.join(format!("new-{number:06}"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(failed)?;
    }
    fs::create_dir(&unfinished).map_err(failed)?;
    guard("make a store", || {
        let mut store = D::open(&unfinished)?;
        // In pieces: nobody sees the store before it has its number.
        ops.chunks(1_024).try_for_each(|ops| store.commit(ops))
    })?;
    fs::rename(&unfinished, store_dir(root, D::KIND, number)).map_err(failed)?;
    sync_dir(root).map_err(failed)
}

pub fn store_dir(root: &Path, kind: EngineKind, number: u64) -> PathBuf {
    root.join(format!("{}-{number:06}", kind.as_str()))
}

/// Runs what may panic.
pub fn guard<T>(
    operation: &'static str,
    f: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        let said = said.unwrap_or_else(|| "without a message".to_owned());
        Err(EngineError::new(operation, format!("the engine panicked: {said}")))
    })
}

/// Makes a directory with those above it, and their names durable. Its own name is synced also
/// where it is there already: the process that made it may have been killed before it did.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    let above = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    };
    let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let made: Vec<_> = dir.ancestors().skip(1).take_while(missing).collect();
    fs::create_dir_all(dir)?;
    [dir].into_iter().chain(made).try_for_each(|path| sync_dir(&above(path)))
}

/// Makes renames and new names in a directory durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Bytes of all files below `dir`; what cannot be read counts nothing.
pub fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size_of(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
