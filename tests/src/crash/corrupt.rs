//! Damaged files: a spool as a run left it at some moment, with one file corrupted.
//!
//! Holds: it always opens in time, nothing wrong is sent, nothing is sent twice, and every record
//! that was appended is stored or declared lost. Whole disks come from recorded runs, so state,
//! store and what the collector has belong together.

use super::{
    Tally,
    dice::Dice,
    model::Film,
    power_cut::{Subject, film},
    said, scratch,
    spool::{self, load::Shape},
    spread,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tenken_agent::spool::EngineKind;

const PAGE: usize = 4096;

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub engine: EngineKind,
    pub n: usize,
    pub recordings: usize,
    pub seed: u64,
    pub only: Option<usize>,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    FlipBit,
    FlipBytes,
    Truncate,
    ZeroPage,
    NoisePage,
    Empty,
    Remove,
    /// As it was at an earlier moment.
    OldCopy,
    /// Changes places with another file.
    Swap,
}

const DAMAGES: [Damage; 9] = [
    Damage::FlipBit,
    Damage::FlipBytes,
    Damage::Truncate,
    Damage::ZeroPage,
    Damage::NoisePage,
    Damage::Empty,
    Damage::Remove,
    Damage::OldCopy,
    Damage::Swap,
];

pub fn corruptions(plan: Plan) -> Tally {
    let jobs: Vec<usize> = plan.only.map_or_else(|| (0..plan.recordings).collect(), |only| vec![only]);
    spread(jobs.len(), |job| {
        let number = jobs.get(job).copied().expect("a job of the list");
        recorded(plan, number)
    })
}

fn recorded(plan: Plan, number: usize) -> Tally {
    let mut tally = Tally::default();
    let seed = sound(plan.seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
    let film = match film(Subject::Spool(plan.engine), seed) {
        Ok(film) => film,
        Err(fault) => {
            tally.tried += 1;
            tally.fail(format!("recording {number}"), vec![fault]);
            return tally;
        }
    };
    let share = plan.n / plan.recordings + usize::from(number < plan.n % plan.recordings);
    for round in 0..share {
        let mut dice = Dice::new([plan.seed, number as u64, round as u64, 99]);
        let cut = dice.between(1, film.recording.changes.len());
        let disk = scratch();
        film.whole(cut).write_to(disk.path()).expect("the scratch folder takes a disk");
        let what = match corrupt(&film, cut, disk.path(), &mut dice) {
            Ok(Some(what)) => what,
            Ok(None) => "nothing to damage yet".to_owned(),
            Err(e) => format!("not damaged: {e}"),
        };
        tally.tried += 1;
        let said: Vec<u8> = film.said_before(cut).flatten().copied().collect();
        let room = Shape::of(seed).room();
        let faults = spool::check::faults(disk.path(), plan.engine, room, &said::words(&said), true);
        if !faults.is_empty() {
            tally.fail(format!("recording {number} round {round} at {cut}: {what}"), faults);
        }
    }
    tally
}

/// The next seed whose run damages nothing itself: one file is damaged, not several.
fn sound(seed: u64) -> u64 {
    (seed..=seed + 8).find(|seed| Shape::of(*seed) != Shape::Ladder).expect("most runs damage nothing")
}

/// Damages one file; says which and how.
fn corrupt(run: &Film, cut: usize, disk: &Path, dice: &mut Dice) -> io::Result<Option<String>> {
    let image = run.whole(cut);
    let wanted = |path: &Path| path.file_name().is_some_and(|name| name != "lock");
    let files: Vec<PathBuf> = image
        .paths()
        .into_iter()
        .filter(|(path, bytes)| bytes.is_some() && wanted(path))
        .map(|(p, _)| p)
        .collect();
    if files.is_empty() {
        return Ok(None);
    }
    let file = dice.pick(&files).clone();
    let path = disk.join(&file);
    let mut bytes = fs::read(&path)?;
    let damage = *dice.pick(&DAMAGES);
    let at = dice.below(bytes.len());
    let page = (at / PAGE * PAGE)..(at / PAGE * PAGE + PAGE).min(bytes.len());
    match damage {
        Damage::FlipBit => {
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (dice.number() % 8));
        }
        Damage::FlipBytes => {
            for _ in 0..dice.between(2, 40) {
                let at = dice.below(bytes.len());
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x55);
            }
        }
        Damage::Truncate => bytes.truncate(at),
        Damage::ZeroPage => bytes.get_mut(page).into_iter().for_each(|page| page.fill(0)),
        Damage::NoisePage => bytes.get_mut(page).into_iter().for_each(|page| dice.fill(page)),
        Damage::Empty => bytes.clear(),
        Damage::Remove => {
            fs::remove_file(&path)?;
            return Ok(Some(format!("{} removed", file.display())));
        }
        Damage::OldCopy => {
            let earlier = run.whole(dice.below(cut));
            let old = earlier.paths().into_iter().find(|(path, bytes)| *path == file && bytes.is_some());
            bytes = old.and_then(|(_, bytes)| bytes.map(<[u8]>::to_vec)).unwrap_or_default();
        }
        Damage::Swap => {
            let other = disk.join(dice.pick(&files));
            let theirs = fs::read(&other)?;
            fs::write(&other, &bytes)?;
            bytes = theirs;
        }
    }
    fs::write(&path, &bytes)?;
    Ok(Some(format!("{} {damage:?}", file.display())))
}
