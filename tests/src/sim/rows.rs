//! The rows of the ledger and of resume, and how many worlds each occurred in.
//!
//! Holds: a campaign in which a required row occurs in less than one world of a hundred has not
//! shown what it claims, and fails.

use std::fmt;

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// See the module's head.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Row { $($(#[$doc])* $name,)* }

        impl Row {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

rows! {
    New = "ledger: next of its chain",
    Duplicate = "ledger: duplicate",
    DuplicateOld = "ledger: older than the hashes kept",
    ForkStored = "ledger: fork, seq <= S with another hash",
    ForkPrev = "ledger: fork, seq = S+1 with another prev",
    ForkRecord = "ledger: fork, seq = S+1 with a record again",
    Hole = "ledger: hole",
    HoleHeld = "ledger: hole, held",
    HoleAgain = "ledger: hole, a strike",
    HoleUnexplained = "ledger: hole, the third strike",
    HeldTaken = "ledger: a held link's turn",
    StaleEpoch = "ledger: stale epoch",
    StaleClone = "ledger: a closed epoch goes on",
    EpochAhead = "ledger: epoch ahead",
    Quarantined = "ledger: in quarantine",
    BootBack = "ledger: an earlier boot comes back",
    FactsChanged = "ledger: other host facts",
    Stub = "ledger: a stub is stored",
    StubAfterBody = "ledger: a stub of a stored body",
    ResumeInStep = "resume: in step",
    ResumeDeviceAhead = "resume: device ahead, sends again",
    ResumeDeviceBehind = "resume: device behind",
    ResumeDiverged = "resume: another chain",
    ResumeMoved = "resume: collector behind, moved by its acknowledgement",
    ResumeMissing = "resume: missing runs declared",
    ResumeQuarantined = "resume: in quarantine",
    ResumeStaleEpoch = "resume: stale epoch",
    ResumeEpochAhead = "resume: epoch ahead",
    DeviceBehind = "device takes itself for behind",
    Rejoined = "rejoined in the next epoch",
    SpoolLost = "spool: engine behind its state",
    StateLost = "spool: state file lost",
    RefusedFull = "spool: full, an append refused",
    Evicted = "spool: evicted for room",
    Damaged = "spool: a stored value damaged",
    StubConsent = "stub: not consented",
    StubLost = "stub: body lost or damaged",
    StubRefused = "stub: refused for good",
    Renewed = "certificate renewed",
    CollectorRestored = "collector restored from a backup",
}

impl Row {
    /// Whether it is a row of the ledger's or of resume's table that a device can reach: every epoch
    /// has a key of its own, so one of a closed epoch is not heard at resume, and one of an epoch
    /// that the collector forgot is not heard at all. A record that comes again in the next link
    /// needs a copied device on either side of a restored collector's hole.
    fn is_required(self) -> bool {
        let table = ["ledger:", "resume:"].iter().any(|table| self.as_str().starts_with(table));
        let unheard = matches!(self, Self::ResumeStaleEpoch | Self::EpochAhead | Self::ResumeEpochAhead);
        table && !unheard && !matches!(self, Self::ForkRecord)
    }
}

/// Which rows occurred, and how often.
#[derive(Debug, Clone)]
pub struct Rows(Vec<u64>);

impl Default for Rows {
    fn default() -> Self {
        Self(vec![0; Row::ALL.len()])
    }
}

impl Rows {
    pub fn note(&mut self, row: Row) {
        if let Some(count) = self.0.get_mut(row as usize) {
            *count += 1;
        }
    }

    pub fn count(&self, row: Row) -> u64 {
        self.0.get(row as usize).copied().unwrap_or(0)
    }
}

/// In how many of some worlds each row occurred.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    pub worlds: u64,
    rows: Rows,
}

impl Coverage {
    pub fn add(&mut self, rows: &Rows) {
        self.worlds += 1;
        for row in Row::ALL {
            if rows.count(*row) > 0 {
                self.rows.note(*row);
            }
        }
    }

    /// Required rows that occurred in less than one world of a hundred.
    pub fn thin(&self) -> Vec<Row> {
        let thin = |row: &Row| row.is_required() && self.rows.count(*row) * 100 < self.worlds;
        Row::ALL.iter().copied().filter(thin).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in Row::ALL {
            let count = self.rows.count(*row);
            let tenths = count * 1_000 / self.worlds.max(1);
            writeln!(f, "{count:>8} worlds {:>3}.{} %  {}", tenths / 10, tenths % 10, row.as_str())?;
        }
        Ok(())
    }
}
