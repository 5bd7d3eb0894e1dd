//! The default engine: sled 0.34.7, with what it lacks.
//!
//! Holds: `flush` alone is not durable (it issues `sync_file_range` only, spacejam/sled#1452), so
//! each commit also syncs `db` through a handle of our own; `conf` and the directory are synced
//! when the store is made. Neither a value nor a tree node is large enough for sled's `blobs/`,
//! which it never syncs.
//! sled's own flusher is off; one tree holds everything, so every commit is one atomic batch. Its pool
//! of seven threads, which wake each second to find nothing, wakes with the rest of the system instead.

use super::{
    EngineKind,
    house::{Store, sync_dir},
};
use crate::guest;
use sled::{Batch, Config, Db};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak, mpsc},
    thread,
    time::Duration,
};
use tenken_agent_core::spool::{EngineError, Op, engine::Pair};

/// In memory; sled splits it over 256 shards.
const CACHE_BYTES: u64 = 256 * 1024;
/// sled writes a tree node as one message, and one over a quarter of a segment to `blobs/`. A leaf
/// has at most 16 values, one more until it is next visited, and a few more after a merge: 21 of
/// 8 KiB do not fit a quarter of sled's default of 512 KiB, and lost records in simulated power cuts.
const SEGMENT_BYTES: usize = 1024 * 1024;
/// sled's threads may hold the file a moment longer than its last handle.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// After which a flush is suspected to wait for ever.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// See the module's head.
pub struct SledStore {
    db: Arc<Db>,
    watch: FlushWatch,
    /// Our own handle of the file that sled writes; `None` where it is not where we expect it.
    file: Option<File>,
    blobs: PathBuf,
}

impl Store for SledStore {
    const KIND: EngineKind = EngineKind::Sled;
    const FRAGILE: Option<&str> = Some("db");

    fn open(dir: &Path) -> Result<Self, EngineError> {
        let fresh = !dir.join("db").exists();
        let db = Arc::new(open_when_unlocked(dir)?);
        let watch = FlushWatch::new(&db)?;
        let file = OpenOptions::new().read(true).write(true).open(dir.join("db")).ok();
        if fresh {
            let failed = |e: io::Error| EngineError::new("sync a new store", e);
            guest::patient(|| watch.flush(&db))?;
            if let Some(file) = &file {
                file.sync_all().map_err(failed)?;
            }
            if let Ok(conf) = OpenOptions::new().read(true).write(true).open(dir.join("conf")) {
                conf.sync_all().map_err(failed)?;
            }
            sync_dir(dir).map_err(failed)?;
        }
        Ok(Self { db, watch, file, blobs: dir.join("blobs") })
    }

    fn commit(&mut self, ops: &[Op]) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        for op in ops {
            match op {
                Op::Put(key, value) => batch.insert(key.as_slice(), value.as_slice()),
                Op::Delete(key) => batch.remove(key.as_slice()),
            }
        }
        // The first work for its pool starts that, be it here or at the opening.
        guest::patient(|| {
            self.db.apply_batch(batch).map_err(|e| EngineError::new("apply batch", e))?;
            self.watch.flush(&self.db)
        })?;
        match &self.file {
            Some(file) => file.sync_all().map_err(|e| EngineError::new("sync", e)),
            None => Ok(()),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let value = self.db.get(key).map_err(|e| EngineError::new("read", e))?;
        Ok(value.map(|v| v.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, EngineError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let pairs = self.db.range(from..to).take(max);
        let owned = pairs.map(|pair| pair.map(|(k, v)| (k.to_vec(), v.to_vec())));
        owned.collect::<Result<_, _>>().map_err(|e| EngineError::new("scan", e))
    }

    fn degraded(&self) -> Option<String> {
        if self.file.is_none() {
            return Some("durability degraded: sled keeps no file `db` where it is expected".to_owned());
        }
        let blobs = fs::read_dir(&self.blobs).is_ok_and(|mut entries| entries.next().is_some());
        blobs.then(|| "durability degraded: sled wrote to `blobs`, which it never syncs".to_owned())
    }
}

/// A write that fails in a thread of sled's notes its error and wakes nobody, and who waits for it
/// waits for ever. Another flush sees the error and wakes them all; a thread of this watch makes one.
struct FlushWatch(mpsc::Sender<Weak<()>>);

impl FlushWatch {
    /// Its thread ends when the watch does, and does not keep the database open.
    fn new(db: &Arc<Db>) -> Result<Self, EngineError> {
        let (begun, flushes) = mpsc::channel();
        let db = Arc::downgrade(db);
        let thread = thread::Builder::new().name("tenken-flush".to_owned());
        thread.spawn(move || watch(&flushes, &db)).map_err(|e| EngineError::new("watch flushes", e))?;
        Ok(Self(begun))
    }

    fn flush(&self, db: &Db) -> Result<(), EngineError> {
        let under_way = Arc::new(());
        let begun = self.0.send(Arc::downgrade(&under_way));
        begun.map_err(|e| EngineError::new("watch flushes", e))?;
        let flushed = db.flush();
        drop(under_way);
        flushed.map(drop).map_err(|e| EngineError::new("flush", e))
    }
}

/// It looks at a flush once that is suspicious; what ended meanwhile it need not have been woken for.
fn watch(flushes: &mpsc::Receiver<Weak<()>>, db: &Weak<Db>) {
    while let Ok(flush) = flushes.recv() {
        let mut patience = FLUSH_PATIENCE;
        while flush.strong_count() > 0 {
            thread::sleep(patience);
            patience *= 2;
            if let Some(db) = db.upgrade().filter(|_| flush.strong_count() > 0) {
                // In a thread of its own: it may hang as well.
                let _ = thread::Builder::new().spawn(move || drop(db.flush()));
            }
        }
    }
}

fn open_when_unlocked(dir: &Path) -> Result<Db, EngineError> {
    let mut tries = 0;
    loop {
        let config = Config::new().path(dir).segment_size(SEGMENT_BYTES);
        let config = config.cache_capacity(CACHE_BYTES).flush_every_ms(None);
        match guest::patient(|| config.open()) {
            Err(e) if e.to_string().contains("could not acquire lock") && tries < LOCK_TRIES => {
                tries += 1;
                thread::sleep(LOCK_PAUSE);
            }
            opened => return opened.map_err(|e| EngineError::new("open", e)),
        }
    }
}
