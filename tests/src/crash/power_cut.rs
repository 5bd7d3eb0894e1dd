//! Power cuts: runs are recorded, rebuilt at random cuts under every model, and opened again.
//!
//! Holds: each recording is a run of its own seed. A cut is tried under all models, so `n` cuts
//! are five times as many checks.

use super::{
    Failure, Tally,
    dice::Dice,
    model::{Film, Model},
    recording::record,
    said, scratch,
    spool::{self, load::Shape},
    spread, store,
};
use crate::binary::workspace_bin;
use std::{fs, path::Path, process::Command};
use tenken_agent::spool::EngineKind;

/// Whose disk it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Spool(EngineKind),
    Store,
}

impl Subject {
    pub const ALL: [Self; 3] = [Self::Spool(EngineKind::Sled), Self::Spool(EngineKind::Redb), Self::Store];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spool(engine) => engine.as_str(),
            Self::Store => "store",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub subject: Subject,
    pub recordings: usize,
    /// In all.
    pub cuts: usize,
    pub seed: u64,
    /// Just this recording.
    pub only: Option<usize>,
}

/// Disks of failures that are kept.
const KEPT_MAX: usize = 4;

pub fn power_cuts(plan: Plan) -> Tally {
    let jobs: Vec<usize> = plan.only.map_or_else(|| (0..plan.recordings).collect(), |only| vec![only]);
    spread(jobs.len(), |job| {
        let number = jobs.get(job).copied().expect("a job of the list");
        recorded(plan, number)
    })
}

fn recorded(plan: Plan, number: usize) -> Tally {
    let mut tally = Tally::default();
    let seed = plan.seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
    let film = match film(plan.subject, seed) {
        Ok(film) => film,
        Err(fault) => {
            tally.tried += 1;
            tally.fail(format!("recording {number}"), vec![fault]);
            return tally;
        }
    };
    let share = plan.cuts / plan.recordings + usize::from(number < plan.cuts % plan.recordings);
    for round in 0..share {
        for model in Model::ALL {
            let mut dice = Dice::new([plan.seed, number as u64, round as u64, model as u64]);
            let cut = film.cut(0, model, &mut dice);
            tally.tried += 1;
            let place = format!(
                "recording {number} cut {cut} of {} {}",
                film.recording.changes.len(),
                model.as_str()
            );
            tally.failures.extend(tried(plan.subject, seed, &film, (cut, model), &mut dice, place));
        }
    }
    tally.notes.push(format!("{}", film.recording.changes.len()));
    tally
}

/// Records one run of the real code.
pub fn film(subject: Subject, seed: u64) -> Result<Film, String> {
    let scratch = scratch();
    let (disk, said) = (scratch.path().join("disk"), scratch.path().join("said"));
    fs::create_dir(&disk).map_err(|e| e.to_string())?;
    let mut victim = Command::new(workspace_bin("victim"));
    victim.arg(subject.as_str()).args(["--seed", &seed.to_string()]);
    victim.arg("--disk").arg(&disk).arg("--said").arg(&said);
    Ok(Film::new(record(&mut victim, &disk, &said)?))
}

fn tried(
    subject: Subject,
    seed: u64,
    film: &Film,
    (cut, model): (usize, Model),
    dice: &mut Dice,
    place: String,
) -> Option<Failure> {
    static KEPT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let disk = scratch();
    let image = film.after(cut, model, dice);
    image.write_to(disk.path()).expect("the scratch folder takes a disk");
    let said: Vec<u8> = film.said_before(cut).flatten().copied().collect();
    let faults = check(subject, seed, disk.path(), &said);
    if faults.is_empty() {
        return None;
    }
    let kept = (KEPT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < KEPT_MAX).then(|| {
        // As it was before it was opened.
        let folder = scratch().keep();
        image.write_to(&folder).expect("the scratch folder takes a disk");
        folder
    });
    Some(Failure { place, faults, kept })
}

fn check(subject: Subject, seed: u64, disk: &Path, bytes: &[u8]) -> Vec<String> {
    match subject {
        Subject::Spool(engine) => {
            let room = Shape::of(seed).room();
            spool::check::faults(disk, engine, room, &said::words(bytes), false)
        }
        Subject::Store => store::check::faults(disk, bytes),
    }
}
