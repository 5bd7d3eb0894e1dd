//! What a recorded run does with a spool: appends, packs, cuts, delivers with lost answers,
//! resumes, closes, crashes, fills up, damages, and goes on.
//!
//! Holds: the same seed does the same. Everything it says is true when it says it, so what it
//! said before a cut must hold after it.

use super::{
    LARGE, WHOLE, WITHDRAWN, Word, check::resume, cut_context, observation, open, reference::Reference,
};
use crate::crash::{dice::Dice, said};
use serde_bytes::ByteBuf;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};
use tenken_agent::spool::{EngineKind, Room};
use tenken_agent_core::spool::{BatchLimit, Spool, SpoolError};

/// How much a spool may take unless it is to be filled.
pub const CAP: u64 = 16 * 1024 * 1024;
/// Of one that is to be filled.
const CAP_SMALL: u64 = 32 * 1024;
/// What may be loose where a run is to pack: about a dozen records.
const LOOSE_SMALL: u64 = 1_500;

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Plain,
    /// Appends more than it cuts, and packs what waits.
    Packing,
    /// Evicts.
    Full,
    /// Grows until an empty spool is worth renewing.
    Large,
    /// Crashes again and again; files are lost or damaged in between.
    Ladder,
    /// One of each, always the same: the run in which system calls fail.
    Fixed,
}

impl Shape {
    pub fn of(seed: u64) -> Self {
        match seed % 8 {
            5 => Self::Full,
            6 => Self::Large,
            2 | 7 => Self::Ladder,
            1 | 3 => Self::Packing,
            _ => Self::Plain,
        }
    }

    pub fn room(self) -> Room {
        match self {
            Self::Plain | Self::Large => CAP.into(),
            Self::Full => CAP_SMALL.into(),
            Self::Packing | Self::Ladder | Self::Fixed => Room { cap_bytes: CAP, loose_bytes: LOOSE_SMALL },
        }
    }
}

/// A run on a disk.
pub struct Load {
    disk: PathBuf,
    engine: EngineKind,
    shape: Shape,
    said: File,
    dice: Dice,
    spool: Option<Box<dyn Spool>>,
    reference: Reference,
    /// Of the next observation.
    next: u64,
    /// Where calls fail on purpose: what fails is tried again later, as the agent does.
    tolerant: bool,
    /// Records were seen in packs.
    packed: bool,
}

type Done = Result<(), String>;

impl Load {
    pub fn new(disk: &Path, engine: EngineKind, shape: Shape, seed: u64, said: File) -> Self {
        Self {
            disk: disk.to_owned(),
            engine,
            shape,
            said,
            dice: Dice::new([seed, 0, 0, 0]),
            spool: None,
            reference: Reference::default(),
            next: 1,
            tolerant: false,
            packed: false,
        }
    }

    /// Goes on after calls that fail.
    #[must_use]
    pub fn tolerant(self) -> Self {
        Self { tolerant: true, ..self }
    }

    pub fn run(mut self) -> Done {
        match self.shape {
            Shape::Fixed => self.fixed(),
            Shape::Large => self.large(),
            Shape::Full => {
                self.say(&Word::Capped);
                self.steps(40)
            }
            Shape::Packing => {
                for _ in 0..4 {
                    self.append(20)?;
                }
                self.steps(40)
            }
            Shape::Plain | Shape::Ladder => self.steps(40),
        }?;
        if let (Some(fault), false) = (self.reference.faults.first(), self.tolerant) {
            return Err(fault.clone());
        }
        if self.shape == Shape::Packing && !self.packed {
            return Err("the run never packed".to_owned());
        }
        if self.dice.percent(30) { self.close() } else { Ok(()) }
    }

    fn say(&mut self, word: &Word) {
        self.said.write_all(&said::to_bytes(word)).expect("what is said is written beside the disk");
    }

    fn steps(&mut self, steps: usize) -> Done {
        for _ in 0..steps {
            match self.dice.below(100) {
                0..40 => self.append(20),
                40..55 => self.cut(),
                55..80 => self.send(),
                80..84 => self.resume(),
                84..86 => self.withdraw(),
                86..88 => self.note_consent(),
                88..91 => self.close(),
                _ => self.crash(),
            }?;
        }
        Ok(())
    }

    fn large(&mut self) -> Done {
        self.next = LARGE;
        for _ in 0..10 {
            self.append(60)?;
            self.cut()?;
        }
        for _ in 0..60 {
            self.send()?;
            self.cut()?;
        }
        self.steps(6)
    }

    fn fixed(&mut self) -> Done {
        for round in 0..6 {
            for max in [20, 20, 3] {
                self.append(max)?;
            }
            self.cut()?;
            self.send()?;
            match round {
                1 => self.withdraw()?,
                2 => self.close()?,
                3 => self.drop_spool(),
                4 => {
                    self.drop_spool();
                    self.tear_snapshot();
                }
                _ => self.resume()?,
            }
        }
        Ok(())
    }

    /// The open spool; opens it where it is closed or halted.
    fn spool(&mut self) -> Result<Option<&mut Box<dyn Spool>>, String> {
        if self.spool.as_ref().is_none_or(|spool| spool.is_halted()) {
            // Its lock goes with it.
            self.spool = None;
            match open(&self.disk, self.engine, self.shape.room()) {
                Ok(spool) => self.spool = Some(spool),
                Err(_) if self.tolerant => return Ok(None),
                Err(e) => return Err(format!("open: {}", tenken_common::telemetry::ErrorChain(&e))),
            }
        }
        Ok(self.spool.as_mut())
    }

    /// Asks the spool for something; `None` where it failed and may.
    fn ask<T>(
        &mut self,
        what: &str,
        f: impl FnOnce(&mut dyn Spool) -> Result<T, SpoolError>,
    ) -> Result<Option<T>, String> {
        let tolerant = self.tolerant;
        let Some(spool) = self.spool()? else { return Ok(None) };
        match f(spool.as_mut()) {
            Ok(done) => Ok(Some(done)),
            Err(SpoolError::Full) => Ok(None),
            Err(_) if tolerant => Ok(None),
            Err(e) => Err(format!("{what}: {}", tenken_common::telemetry::ErrorChain(&e))),
        }
    }

    fn append(&mut self, max: usize) -> Done {
        let count = self.dice.between(1, max) as u64;
        let n = self.next;
        // Also a failed append uses its numbers up: it may be stored.
        self.next += count;
        let observations: Vec<_> = (n..n + count).map(observation).collect();
        if let Some(Some(run)) = self.ask("append", |spool| spool.append(&observations))? {
            self.say(&Word::Appended { run, n });
        }
        self.packed |= self.spool.as_ref().is_some_and(|spool| spool.stats().packed > 0);
        Ok(())
    }

    fn cut(&mut self) -> Done {
        let records = if self.dice.percent(70) { WHOLE.records } else { self.dice.between(1, 9) };
        let limit = BatchLimit { records, ..WHOLE };
        self.ask("cut", |spool| spool.cut(limit, &cut_context())).map(drop)
    }

    /// One batch over the wire, with answers that get lost.
    fn send(&mut self) -> Done {
        let Some(Some(cut)) = self.ask("send", |spool| spool.next_in_flight())? else {
            return self.resume_where_lost();
        };
        if self.reference.take(&cut) {
            self.say(&Word::Accepted { body: ByteBuf::from(cut.body) });
        }
        if self.shape != Shape::Large && self.dice.percent(15) {
            return Ok(());
        }
        let (ack, envelope) = self.reference.ack();
        self.ask("release", |spool| spool.release(&ack, &envelope)).map(drop)
    }

    fn resume_where_lost(&mut self) -> Done {
        let waits = self.spool.as_ref().is_some_and(|spool| spool.stats().awaiting_resume);
        if waits { self.resume() } else { Ok(()) }
    }

    fn resume(&mut self) -> Done {
        self.spool()?;
        let Some(spool) = self.spool.as_mut() else { return Ok(()) };
        let resumed = resume(spool.as_mut(), &self.reference);
        if self.tolerant { Ok(()) } else { resumed }
    }

    fn withdraw(&mut self) -> Done {
        self.say(&Word::Withdrawing);
        self.ask("withdraw", |spool| spool.withdraw(&|category| category != WITHDRAWN)).map(drop)
    }

    fn note_consent(&mut self) -> Done {
        let version = self.dice.number() % 1_000;
        self.ask("consent", |spool| spool.set_consent_version(version)).map(drop)
    }

    fn close(&mut self) -> Done {
        self.ask("close", |spool| spool.close())?;
        self.spool = None;
        Ok(())
    }

    /// As a killed process leaves it: nothing is given back, nothing more is written.
    fn drop_spool(&mut self) {
        self.spool = None;
    }

    fn crash(&mut self) -> Done {
        self.drop_spool();
        if self.shape == Shape::Ladder {
            match self.dice.below(5) {
                0 => self.tear_snapshot(),
                1 => self.lose_state(),
                2 => self.damage(),
                _ => {}
            }
            self.spool()?;
        }
        Ok(())
    }

    fn files(&self, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.disk.join(super::FOLDER)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if path.is_dir() && !name.starts_with("quarantine") {
                    folders.push(path);
                } else if path.is_file() && wanted(&name) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// What a crash may leave of sled's snapshot; nothing is lost by it.
    fn tear_snapshot(&self) {
        for path in self.files(|name| name.starts_with("snap.")) {
            drop(File::options().write(true).open(path).and_then(|file| file.set_len(9)));
        }
    }

    fn lose_state(&self) {
        for path in self.files(|name| name == "state-a" || name == "state-b") {
            drop(fs::remove_file(path));
        }
    }

    fn damage(&mut self) {
        self.say(&Word::Damaging);
        for path in self.files(|name| name == "db" || name == "redb") {
            let len = fs::metadata(&path).map_or(0, |meta| meta.len());
            let at = self.dice.below(usize::try_from(len).expect("a file in memory")) as u64;
            let file = File::options().write(true).open(path);
            drop(file.and_then(|file| std::os::unix::fs::FileExt::write_all_at(&file, &[0xa5; 64], at)));
        }
    }
}
