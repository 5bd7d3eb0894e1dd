//! The crash harness: what the agent's spool and the collector's store promise, held against
//! power cuts, failing system calls and damaged files.
//!
//! ```text
//! victim under strace -> trace -> recording -> model: the disk after a cut -> the product opens it -> account
//! victim under a preloaded library that fails its n-th call               -> the product opens it -> account
//! a recorded disk, one file corrupted                                     -> the product opens it -> account
//! ```
//!
//! Holds: what is opened, written and recovered is the product's own code on real files, and what
//! is compared is what it had acknowledged. Every failure names the numbers by which it comes again.
//!
//! Does not: wear out a disk. Files lie in memory where the system has a place for that; what is
//! durable is decided by the recorded calls, not by where they went.

pub mod corrupt;
pub mod dice;
pub mod fault;
pub mod model;
pub mod power_cut;
pub mod recording;
pub mod said;
pub mod spool;
pub mod store;
mod trace;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;

/// What the harness says of a campaign.
#[derive(Debug, Default)]
pub struct Tally {
    pub tried: u64,
    pub failures: Vec<Failure>,
    /// Figures beside, for people.
    pub notes: Vec<String>,
}

/// One try that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// By which it is found again.
    pub place: String,
    pub faults: Vec<String>,
    /// The disk, where it was kept.
    pub kept: Option<PathBuf>,
}

impl Tally {
    pub fn fail(&mut self, place: String, faults: Vec<String>) {
        self.failures.push(Failure { place, faults, kept: None });
    }

    fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.failures.extend(other.failures);
        self.notes.extend(other.notes);
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.faults.join("; "))?;
        self.kept.iter().try_for_each(|path| write!(f, "; kept in {}", path.display()))
    }
}

/// A folder that goes away, in memory where the system has one for that.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}

/// Does every job once, on as many threads as there are processors; results in no order.
pub fn spread(jobs: usize, work: impl Fn(usize) -> Tally + Sync) -> Tally {
    let (next, total) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs) {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs {
                        break;
                    }
                    let done = work(job);
                    total.lock().expect("no worker panics with it").add(done);
                }
            });
        }
    });
    let mut total = total.into_inner().expect("no worker panicked with it");
    total.failures.sort_by(|a, b| a.place.cmp(&b.place));
    total
}

/// Says nothing of panics that the spool's ladder catches; they are what it is there for.
pub fn hush_the_ladder() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if !thread.name().is_some_and(|name| name == "tenken-spool-open" || name.starts_with("sled")) {
            usual(panic);
        }
    }));
}
