//! Pattern files and security patches that are behind, by what the device itself last said of each
//! product and each source of patches.
//!
//! Holds: what a device cannot tell, or said too long ago, is unknown, never good; so is what a system on
//! which updates are switched off or decided elsewhere says of none.
//!
//! Does not: judge the contract's limits; [`crate::sla::currency`] does, by every report.

use super::{
    finding::Verdict,
    judgement::{Bench, Judgement},
    notice::Severity,
    rule::{PatchesOverdue, PatternFileOld},
};
use crate::evaluation::FactInput;
use std::time::Duration;
use tenken_common::{
    config::HumanDuration,
    fact::{Fact, PatchState, PatchStatus, PatternFileStatus, PatternState},
    id::Name,
    message::{DeskText, Language},
    time::jst_date,
};

impl Bench<'_> {
    pub(super) fn pattern_files(&self, when: &PatternFileOld) -> Vec<Judgement> {
        let of = |said: &FactInput| match &said.fact {
            Fact::PatternFileStatus(status) => Some(self.pattern_file(when, said, status)),
            Fact::PatchStatus(_) | Fact::Revision(_) | Fact::WearCounter(_) | Fact::Inventory(_) => None,
        };
        self.device.facts.iter().filter_map(of).collect()
    }

    pub(super) fn patches(&self, when: &PatchesOverdue) -> Vec<Judgement> {
        let of = |said: &FactInput| match &said.fact {
            Fact::PatchStatus(status) => Some(self.patch_source(when, said, status)),
            Fact::PatternFileStatus(_) | Fact::Revision(_) | Fact::WearCounter(_) | Fact::Inventory(_) => {
                None
            }
        };
        self.device.facts.iter().filter_map(of).collect()
    }

    fn pattern_file(&self, when: &PatternFileOld, said: &FactInput, status: &PatternFileStatus) -> Judgement {
        let mut j = self.blank(&said.subject);
        if self.is_old(said.at) {
            return j;
        }
        if let Some(version) = &status.version {
            j.values.same("version", version);
        }
        match (status.state, status.defined_at) {
            (PatternState::Disabled, _) => {
                j.verdict = Verdict::True { seen: said.at };
                if when.critical_older_than.is_some() {
                    j.severity = Severity::Critical;
                }
                let off = |language| DeskText::PatternOff.text(language);
                j.values.set("what", off(Language::Ja), off(Language::En));
            }
            (PatternState::Known, Some(defined)) => {
                let age = self.as_of.saturating_since(defined);
                judge_age(&mut j, said, age, (when.older_than, when.critical_older_than));
                j.values.time_span("age", age.as_secs_f64());
                let old = |language: Language, age: &str| {
                    DeskText::PatternOld.fill(language, &[("day", &jst_date(defined)), ("age", age)])
                };
                let [ja, en] = [Language::Ja, Language::En].map(|l| old(l, j.values.text("age", l)));
                j.values.set("what", ja, en);
            }
            (PatternState::Known, None) | (PatternState::Unknown, _) => {}
        }
        j
    }

    fn patch_source(&self, when: &PatchesOverdue, said: &FactInput, status: &PatchStatus) -> Judgement {
        let mut j = self.blank(&Name::of_outside(status.source.as_str()));
        if self.is_old(said.at) {
            return j;
        }
        // An old index still knows of what it knew then.
        let tells = match status.state {
            PatchState::Known => true,
            PatchState::StaleIndex => status.security.is_some_and(|n| n > 0),
            PatchState::Disabled | PatchState::Managed | PatchState::Unreachable | PatchState::Unknown => {
                false
            }
        };
        let Some(count) = status.security.filter(|_| tells) else { return j };
        match status.oldest_at {
            _ if count == 0 => j.verdict = Verdict::False,
            None => {}
            Some(oldest) => {
                let age = self.as_of.saturating_since(oldest);
                judge_age(&mut j, said, age, (when.pending_for, when.critical_pending_for));
                j.number("count", f64::from(count));
                j.values.same("count", count);
                j.values.day("day", oldest);
                j.values.time_span("age", age.as_secs_f64());
            }
        }
        j
    }
}

fn judge_age(
    j: &mut Judgement,
    said: &FactInput,
    age: Duration,
    (most, critical): (HumanDuration, Option<HumanDuration>),
) {
    j.number("age_s", age.as_secs_f64());
    j.verdict = if age > most.0 { Verdict::True { seen: said.at } } else { Verdict::False };
    if critical.is_some_and(|critical| age > critical.0) {
        j.severity = Severity::Critical;
    }
}
