//! What must hold of a spool after a crash: it opens, it is in step with the collector, it goes
//! on, and every record that `append` returned for is stored once with its own content.
//!
//! Holds: a loss that is declared is a loss all the same, unless the run itself filled the spool,
//! withdrew a category or damaged files; a loss that is not declared never is excused.

use super::{WHOLE, Word, cut_context, observation, open, reference::Reference};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};
use tenken_agent::spool::{EngineKind, Room};
use tenken_agent_core::spool::{Spool, Standing};
use tenken_common::{
    batch::{GapReason, RecRun, runs_of},
    id::RecId,
};

/// What the ladder promises.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// Of the observation that shows that the spool goes on.
const NEXT: u64 = super::LARGE - 1;
const ROUNDS_MAX: usize = 2_000;

/// What a run had said, summed up.
#[derive(Debug, Default)]
struct Promise {
    appended: BTreeMap<RecId, u64>,
    capped: bool,
    withdrawn: bool,
    damage: Damage,
}

/// What was done to the files besides the crash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    #[default]
    None,
    OneFile,
    /// In the run itself, and un-synced writes may be lost along with it.
    More,
}

/// Opens what is on `disk` after a run that had said `words`; gives what is not as it must be.
#[expect(clippy::disallowed_methods, reason = "the ladder's promise is in real time")]
pub fn faults(disk: &Path, engine: EngineKind, room: Room, words: &[Word], damaged: bool) -> Vec<String> {
    let (mut promise, mut reference) = promised(words);
    promise.damage = promise.damage.max(if damaged { Damage::OneFile } else { Damage::None });
    let started = Instant::now();
    let mut spool = match open(disk, engine, room) {
        Ok(spool) => spool,
        Err(e) => return vec![format!("does not open: {}", tenken_common::telemetry::ErrorChain(&e))],
    };
    let took = started.elapsed();
    if took > OPEN_MAX {
        reference.faults.push(format!("open took {took:?}"));
    }
    if let Err(fault) = deliver(spool.as_mut(), &mut reference) {
        reference.faults.push(fault);
    }
    let last = spool.last_id();
    if let Err(e) = spool.close() {
        reference.faults.push(format!("does not close: {e}"));
    }
    promise.compare(&reference, last)
}

fn promised(words: &[Word]) -> (Promise, Reference) {
    let (mut promise, mut reference) = (Promise::default(), Reference::default());
    for word in words {
        match word {
            Word::Appended { run, n } => {
                promise.appended.extend((run.from.0..=run.to.0).map(RecId).zip(*n..));
            }
            Word::Accepted { body } => drop(reference.take_body(body)),
            Word::Capped => promise.capped = true,
            Word::Withdrawing => promise.withdrawn = true,
            Word::Damaging => promise.damage = Damage::More,
        }
    }
    (promise, reference)
}

/// Resumes, appends one more, and delivers until nothing is left, as the agent does.
pub fn deliver(spool: &mut dyn Spool, reference: &mut Reference) -> Result<(), String> {
    let failed =
        |what: &'static str| move |e| format!("{what}: {}", tenken_common::telemetry::ErrorChain(&e));
    resume(spool, reference)?;
    spool.append(&[observation(NEXT)]).map_err(failed("does not append"))?;
    for _ in 0..2 {
        drain(spool, reference)?;
        // What is missing below the record that came last was lost without a trace.
        resume(spool, reference)?;
    }
    let stats = spool.stats();
    if stats.waiting + stats.gaps_waiting + stats.in_flight > 0 {
        return Err(format!("not everything could be delivered: {stats:?}"));
    }
    if !reference.records.values().any(|n| *n == NEXT) {
        return Err("what was appended afterwards did not come".to_owned());
    }
    Ok(())
}

pub fn resume(spool: &mut dyn Spool, reference: &Reference) -> Result<(), String> {
    let (committed, hash) = reference.committed();
    match spool.adopt_head(committed, hash) {
        Ok(Standing::InStep) => {}
        Ok(standing) => return Err(format!("after resume: {standing:?}, head {:?}", spool.head())),
        Err(e) => return Err(format!("does not resume: {e}")),
    }
    spool.answer_missing(&reference.missing()).map_err(|e| format!("does not answer: {e}"))?;
    Ok(())
}

fn drain(spool: &mut dyn Spool, reference: &mut Reference) -> Result<(), String> {
    let failed =
        |what: &'static str| move |e| format!("{what}: {}", tenken_common::telemetry::ErrorChain(&e));
    for _ in 0..ROUNDS_MAX {
        if spool.stats().in_flight == 0 {
            spool.cut(WHOLE, &cut_context()).map_err(failed("does not cut"))?;
        }
        let Some(cut) = spool.next_in_flight().map_err(failed("does not give a batch"))? else {
            if spool.stats().in_flight == 0 {
                return Ok(());
            }
            // A body that was lost on this disk; the agent asks again how far the collector is.
            resume(spool, reference)?;
            continue;
        };
        reference.take(&cut);
        let (ack, envelope) = reference.ack();
        let released = spool.release(&ack, &envelope).map_err(failed("does not release"))?;
        if released == 0 {
            return Err(format!("link {} is not let go by its acknowledgement", cut.seq));
        }
    }
    Err("delivery does not end".to_owned())
}

impl Promise {
    fn excuses(&self, reason: GapReason) -> bool {
        match reason {
            GapReason::Evicted => self.capped,
            GapReason::NotConsented => self.withdrawn,
            GapReason::Corrupt | GapReason::SpoolLost => self.damage > Damage::None,
            // A store that lost its newest records without a trace, and the note of the last id with
            // them, cannot tell them from ids that were never used: declared, with a reason that is
            // too mild.
            GapReason::NeverIssued => self.damage == Damage::More,
            GapReason::Refused | GapReason::Unknown | GapReason::CollectorLost => false,
        }
    }

    fn compare(&self, reference: &Reference, highest: RecId) -> Vec<String> {
        let mut faults = reference.faults.clone();
        let mut lost: BTreeMap<String, Vec<RecId>> = BTreeMap::new();
        for (id, n) in &self.appended {
            match (reference.records.get(id), reference.gaps.get(id)) {
                (Some(stored), _) if stored != n => {
                    faults.push(format!("record {id} was appended as {n} and came as {stored}"));
                }
                (Some(_), _) => {}
                (None, Some(reason)) if self.excuses(*reason) => {}
                (None, Some(reason)) => {
                    lost.entry(format!("declared {}", reason.as_str())).or_default().push(*id);
                }
                (None, None) => lost.entry("silently".to_owned()).or_default().push(*id),
            }
        }
        for (how, ids) in lost {
            faults.push(format!("lost {how}: {}", named(&ids)));
        }
        let unknown = |id: &RecId| !reference.records.contains_key(id) && !reference.gaps.contains_key(id);
        let silent: Vec<RecId> = (1..=highest.0).map(RecId).filter(unknown).collect();
        if !silent.is_empty() {
            faults.push(format!("neither stored nor declared: {}", named(&silent)));
        }
        let both: Vec<RecId> =
            reference.records.keys().filter(|id| reference.gaps.contains_key(id)).copied().collect();
        if !both.is_empty() && self.damage == Damage::None {
            faults.push(format!("stored and declared lost: {}", named(&both)));
        }
        faults
    }
}

fn named(ids: &[RecId]) -> String {
    let runs = runs_of(ids.iter().copied());
    let texts: Vec<String> =
        runs.iter().take(8).map(|RecRun { from, to }| format!("[{from}..{to}]")).collect();
    format!("{} ids {}", ids.len(), texts.join(" "))
}
