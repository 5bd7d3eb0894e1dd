//! The simulator: one collector and up to 50 devices in one thread and in virtual time, with every
//! fault that the protocol speaks of, and an oracle that knows the truth.
//!
//! ```text
//! plan (from the seed) -> world (scheduler, net) -> device: product's Pusher, DurableSpool, ConsentGate, DeviceClock
//!                                                -> collector: product's verify, accept, Coverage, resume
//!                              every step  ------> oracle: I1 to I8, and a ledger of its own to compare with
//! ```
//!
//! Holds: a seed gives the same world on every machine: no thread, no clock, no random bytes but
//! the seed's. Messages are the real envelopes, signed and verified. After the faults a world
//! heals and has to come to rest in bounded time with every record accounted for.
//!
//! Does not: run engines on files, TLS or HTTP; the crash harness and the scenarios do.

#![allow(clippy::wildcard_imports, reason = "one type whose methods stand in several files")]
#![allow(clippy::indexing_slicing, reason = "a world that indexes past its end has failed its test")]

mod clock;
mod collector;
mod device;
mod dice;
mod disk;
mod net;
mod oracle;
mod plan;
mod planted;
mod rows;
mod tables;
mod world;

pub use oracle::{Invariant, Violation};
pub use plan::Plan;
pub use planted::{Found, PLANTED, PlantedBug};
pub use rows::{Coverage, Row, Rows};
pub use world::{Outcome, judge, run};

use dice::Dice;
use oracle::Oracle;
use std::{rc::Rc, time::Duration};
use tenken_common::id::{Hash, Nonce};

/// Bugs that are planted to see that the oracle finds them: in the pure parts, and in the shells
/// around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A rule of the spool or the pusher.
    Agent(tenken_agent_core::planted::Planted),
    /// A rule of the ledger or of resume.
    Intake(tenken_collector_core::intake::planted::Planted),
    /// The collector answers before its commit.
    AckBeforeCommit,
    /// The collector answers although its commit failed.
    AckAfterFailedCommit,
    /// The collector knows no hashes after a crash.
    HashesForgotten,
    /// A body that was cut goes whatever the consent says now.
    SecondGateOpen,
    /// Batches go although the consent is closed.
    ClosedGateSends,
    /// The device believes its wall clock.
    WallClockDecides,
}

/// What every step needs.
pub(crate) struct Cx<'a> {
    pub now: u64,
    pub dice: &'a mut Dice,
    pub oracle: &'a mut Oracle,
    pub rows: &'a mut Rows,
    pub trace: &'a mut Trace,
    pub bug: Option<Bug>,
}

impl Cx<'_> {
    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The rule of the intake that is broken.
    pub fn broken(&self) -> Option<tenken_collector_core::intake::planted::Planted> {
        match self.bug {
            Some(Bug::Intake(rule)) => Some(rule),
            _ => None,
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Batch,
    Resume,
    Time,
    Renew,
    Rejoin,
}

/// A request on its way.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub place: usize,
    pub life: u32,
    pub number: u64,
    pub path: Path,
    pub bytes: Rc<[u8]>,
    pub nonce: Nonce,
    /// Whose certificate the connection shows.
    pub certificate: Option<Hash>,
}

/// What comes back.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Bytes(Rc<[u8]>),
    /// A bare status, or no connection at all.
    Bare {
        retry_after: Option<Duration>,
    },
}

/// What happened, for a person; costs nothing unless it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    on: bool,
    lines: Vec<String>,
}

impl Trace {
    pub fn new(on: bool) -> Self {
        Self { on, lines: Vec::new() }
    }

    pub fn say(&mut self, now: u64, text: impl FnOnce() -> String) {
        if self.on {
            let (h, m, s) = (now / 3_600_000, now / 60_000 % 60, now / 1_000 % 60);
            self.lines.push(format!("{h:>5}:{m:02}:{s:02}.{:03}  {}", now % 1_000, text()));
        }
    }

    pub fn lines(self) -> Vec<String> {
        self.lines
    }
}
