//! The open ladder: whatever the files look like, there is a spool, and what is lost is declared.
//!
//! 1. Open the newest store and read all of it through its CRC, on a thread of its own, panics
//!    caught, within 5 s.
//! 2. On an error or panic, or a store that is behind the state file: put back what the open may
//!    have destroyed, move sled's `snap.*` aside (a torn one fails every open), and retry, twice.
//! 3. Else keep the directory as quarantined, carry over what can still be read, and go on in the
//!    next store. The state knows the chain; what is missing becomes gaps.
//!
//! Holds: a store of another chain is never touched, and none is set aside on a full disk. An attempt that ran out of time can write
//! nothing later. Quarantine keeps the newest 2 and at most half of the cap.
//!
//! Limit: a healthy store on a disk that is slower than the deadline is set aside like a damaged
//! one; its files stay in quarantine.

use super::{
    ChainStart, EngineKind, OpenError, Room, SpoolConfig,
    copy::Copy,
    house::{self, House, Revocation, Store},
    redb::RedbStore,
    sled::SledStore,
    state_file::StateFile,
};
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};
use tenken_agent_core::spool::{
    DurableSpool, EngineError, Op, Spool, SpoolError, StateStore,
    engine::Pair,
    frame,
    inspect::{self, Inspection},
};

const DEADLINE: Duration = Duration::from_secs(5);
const QUARANTINED_MAX: usize = 2;
/// Of an open that failed without running out of time.
const RETRIES: u32 = 2;
const PAGE: usize = 256;
/// What a new store needs at least.
const ROOM_BYTES: usize = 1024 * 1024;

/// What an attempt may take for good.
#[derive(Clone, Copy)]
enum Trust {
    /// A store that is not behind the state.
    Whole,
    /// Whatever there is: what was carried over from a damaged store.
    AsItIs,
}

/// How an attempt to open ended badly.
enum Fault {
    Failed(SpoolError),
    TimedOut,
    NoThread(io::Error),
}

impl Fault {
    /// A read may fail once; and a snapshot that is torn, or half made, fails every open.
    fn is_worth_a_retry(&self) -> bool {
        matches!(self, Self::Failed(e) if !matches!(e, SpoolError::OtherChain))
    }
}

pub fn open<D: Store>(config: &SpoolConfig, start: ChainStart) -> Result<Box<dyn Spool>, OpenError> {
    let root = config.dir.as_path();
    let unusable = |source| OpenError::Directory { dir: config.dir.clone(), source };
    house::make_dir(root).map_err(unusable)?;
    let lock = Arc::new(lock(root)?);
    let (kind, number) = tidy(root).map_err(unusable)?.unwrap_or((D::KIND, 0));
    if number == 0 {
        return open_next::<D>(config, start, &lock, 1, &[]);
    }
    if kind != D::KIND {
        tracing::info!(from = kind.as_str(), to = D::KIND.as_str(), "spool moves to the other engine");
        let pairs = read_all(root, kind, number, &lock).unwrap_or_default();
        let spool = open_next::<D>(config, start, &lock, number + 1, &pairs)?;
        fs::remove_dir_all(house::store_dir(root, kind, number)).map_err(unusable)?;
        return Ok(spool);
    }
    let dir = house::store_dir(root, kind, number);
    let copy = D::FRAGILE.and_then(|file| Copy::make(root, &dir, file));
    let mut fault = match attempt::<D>(config, start, &lock, (number, Trust::Whole)) {
        Ok(spool) => return Ok(spool),
        Err(fault) => fault,
    };
    for _ in 0..RETRIES {
        if !fault.is_worth_a_retry() {
            break;
        }
        put_back(copy.as_ref(), &dir);
        tracing::warn!("spool did not open, tried again as it was, without its snapshot");
        fault = match attempt::<D>(config, start, &lock, (number, Trust::Whole)) {
            Ok(spool) => return Ok(spool),
            Err(fault) => fault,
        };
    }
    // On a full disk a sound store looks damaged, and there is no place for another one.
    room(root).map_err(|source| OpenError::NoRoom { dir: config.dir.clone(), source })?;
    let pairs = match fault {
        Fault::Failed(SpoolError::OtherChain) => return Err(OpenError::OtherChain(config.dir.clone())),
        Fault::NoThread(source) => return Err(OpenError::Thread(source)),
        Fault::Failed(source) => {
            tracing::error!(error = %source, "spool store is damaged and set aside");
            put_back(copy.as_ref(), &dir);
            read_all(root, kind, number, &lock).unwrap_or_default()
        }
        Fault::TimedOut => {
            tracing::error!("spool store did not open in time and is set aside");
            Vec::new()
        }
    };
    put_back(copy.as_ref(), &dir);
    drop(copy);
    let aside = root.join(format!("quarantine-{number:06}"));
    fs::rename(&dir, aside).and_then(|()| house::sync_dir(root)).map_err(unusable)?;
    trim_quarantine(root, config.room.cap_bytes).map_err(unusable)?;
    open_next::<D>(config, start, &lock, number + 1, &pairs)
}

fn open_next<D: Store>(
    config: &SpoolConfig,
    start: ChainStart,
    lock: &Arc<File>,
    number: u64,
    pairs: &[Pair],
) -> Result<Box<dyn Spool>, OpenError> {
    let ops: Vec<Op> = pairs.iter().map(|(key, value)| Op::Put(key.clone(), value.clone())).collect();
    house::build::<D>(&config.dir, number, &ops).map_err(OpenError::Create)?;
    attempt::<D>(config, start, lock, (number, Trust::AsItIs)).map_err(|fault| match fault {
        Fault::Failed(SpoolError::OtherChain) => OpenError::OtherChain(config.dir.clone()),
        Fault::Failed(source) => OpenError::Open(source),
        Fault::TimedOut => OpenError::Slow,
        Fault::NoThread(source) => OpenError::Thread(source),
    })
}

fn attempt<D: Store>(
    config: &SpoolConfig,
    start: ChainStart,
    lock: &Arc<File>,
    (number, trust): (u64, Trust),
) -> Result<Box<dyn Spool>, Fault> {
    let (root, lock) = (config.dir.clone(), Arc::clone(lock));
    let cap_bytes = config.room.cap_bytes;
    let cap_bytes = cap_bytes.saturating_sub(quarantined_bytes(&root)).max(cap_bytes / 4);
    let left = Room { cap_bytes, ..config.room };
    within_deadline(move |revocation| {
        let states = StateFile::new(&root, revocation.clone());
        let engine = House::<D>::open(&root, number, revocation, lock)?;
        let spool = match trust {
            Trust::Whole => DurableSpool::open_whole(engine, states, start, left)?,
            Trust::AsItIs => DurableSpool::open(engine, states, start, left)?,
        };
        Ok(Box::new(spool) as Box<dyn Spool>)
    })
}

/// Looks at the store that the next open would begin with, and leaves it as it is.
pub fn inspect(root: &Path) -> Result<Inspection, OpenError> {
    let unusable = |source| OpenError::Directory { dir: root.to_owned(), source };
    let newest = stores(root).map_err(unusable)?.pop();
    let (number, kind, _) = newest.ok_or_else(|| OpenError::Empty(root.to_owned()))?;
    let lock = Arc::new(lock(root)?);
    let dir = root.to_owned();
    let looked = within_deadline(move |revocation| {
        let mut states = StateFile::new(&dir, revocation.clone());
        let (file, bad_copies) = (states.load()?, states.bad_copies());
        match kind {
            EngineKind::Sled => {
                let store = House::<SledStore>::open(&dir, number, revocation, lock)?;
                inspect::inspect(&store, file.as_ref(), bad_copies)
            }
            EngineKind::Redb => {
                let store = House::<RedbStore>::open(&dir, number, revocation, lock)?;
                inspect::inspect(&store, file.as_ref(), bad_copies)
            }
        }
    });
    looked.map_err(|fault| match fault {
        Fault::Failed(source) => OpenError::Open(source),
        Fault::TimedOut => OpenError::Slow,
        Fault::NoThread(source) => OpenError::Thread(source),
    })
}

/// Everything that can still be read of a store, with what was read before an error.
fn read_all(root: &Path, kind: EngineKind, number: u64, lock: &Arc<File>) -> Option<Vec<Pair>> {
    let (root, lock) = (root.to_owned(), Arc::clone(lock));
    let read = within_deadline(move |revocation| match kind {
        EngineKind::Sled => Ok(pairs_of(&House::<SledStore>::open(&root, number, revocation, lock)?)),
        EngineKind::Redb => Ok(pairs_of(&House::<RedbStore>::open(&root, number, revocation, lock)?)),
    });
    read.ok()
}

fn pairs_of(engine: &impl tenken_agent_core::spool::Engine) -> Vec<Pair> {
    let (mut from, to) = frame::all();
    let mut pairs = Vec::new();
    while let Ok(mut page) = engine.scan(&from, &to, PAGE) {
        let Some((last, _)) = page.last() else { break };
        from = frame::after(last);
        pairs.append(&mut page);
    }
    pairs
}

fn within_deadline<T: Send + 'static>(
    f: impl FnOnce(Revocation) -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, Fault> {
    let revocation = Revocation::default();
    let given = revocation.clone();
    let (tell, told) = mpsc::sync_channel(1);
    let run = move || {
        let mut done = None;
        // The guard turns a panic anywhere in here into an error.
        let guarded = house::guard("open", || {
            done = Some(f(given));
            Ok::<_, EngineError>(())
        });
        let _ = tell.send(match (guarded, done) {
            (Ok(()), Some(done)) => done,
            (Err(e), _) => Err(e.into()),
            (Ok(()), None) => Err(SpoolError::Halted),
        });
    };
    std::thread::Builder::new().name("tenken-spool-open".to_owned()).spawn(run).map_err(Fault::NoThread)?;
    if let Ok(done) = told.recv_timeout(DEADLINE) {
        return done.map_err(Fault::Failed);
    }
    revocation.revoke();
    Err(Fault::TimedOut)
}

fn lock(root: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Directory { dir: root.to_owned(), source };
    let file =
        File::options().create(true).truncate(false).write(true).open(root.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(root.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Removes what a crash left half made; the newest store, if there is one.
fn tidy(root: &Path) -> io::Result<Option<(EngineKind, u64)>> {
    for (name, path) in entries(root)? {
        if name.starts_with("new-") {
            fs::remove_dir_all(&path)?;
        }
    }
    let mut stores = stores(root)?;
    let newest = stores.pop().map(|(number, kind, _)| (kind, number));
    for (_, _, older) in stores {
        fs::remove_dir_all(older)?;
    }
    Ok(newest)
}

/// The stores there are, the newest last.
fn stores(root: &Path) -> io::Result<Vec<(u64, EngineKind, PathBuf)>> {
    let mut stores = Vec::new();
    for (name, path) in entries(root)? {
        for kind in EngineKind::ALL {
            let number = name.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix('-'));
            if let Some(number) = number.and_then(|n| n.parse::<u64>().ok()) {
                stores.push((number, kind, path.clone()));
            }
        }
    }
    stores.sort_by_key(|(number, _, _)| *number);
    Ok(stores)
}

/// Whether a new store would have a place.
fn room(root: &Path) -> io::Result<()> {
    let probe = root.join("room");
    let written = fs::write(&probe, vec![0; ROOM_BYTES]);
    let removed = fs::remove_file(&probe);
    written.and(removed)
}

/// The store as it was before it was first tried, without what sled can do without.
fn put_back(copy: Option<&Copy>, dir: &Path) {
    if let Some(Err(error)) = copy.map(Copy::restore) {
        tracing::warn!(%error, "spool store could not be put back as it was");
    }
    for (name, path) in entries(dir).unwrap_or_default() {
        if name.starts_with("snap.") {
            // One that cannot be moved is tried as it is.
            let _ = fs::rename(&path, dir.join(format!("aside.{name}")));
        }
    }
}

fn quarantined(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs: Vec<_> =
        entries(root)?.into_iter().filter(|(name, _)| name.starts_with("quarantine-")).collect();
    dirs.sort();
    Ok(dirs.into_iter().map(|(_, path)| path).collect())
}

fn quarantined_bytes(root: &Path) -> u64 {
    quarantined(root).unwrap_or_default().iter().map(|dir| house::size_of(dir)).sum()
}

fn trim_quarantine(root: &Path, cap_bytes: u64) -> io::Result<()> {
    let mut dirs = quarantined(root)?;
    dirs.reverse();
    let mut bytes = 0;
    for (place, dir) in dirs.iter().enumerate() {
        bytes += house::size_of(dir);
        if place >= QUARANTINED_MAX || bytes > cap_bytes / 2 {
            fs::remove_dir_all(dir)?;
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let named = |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path());
    fs::read_dir(dir)?.map(|entry| entry.map(named)).collect()
}
