//! The month's figures, made anew from what the evidence holds.
//!
//! Holds: a seal is held against what it should be; what went into it and is no entry (incidents)
//! is held against the entries.

use super::{FaultKind, Verifier};
use crate::{
    desk::notice::IncidentId,
    sla::{
        calendar::HolidayList,
        history::Sources,
        report::{ENGINE, change::Change},
        response::IncidentEventKind,
        seal::{Inputs, MonthSealed},
    },
    stream::IncidentStep,
};
use std::sync::Arc;
use tenken_common::{config::Problems, message::Language};

impl Verifier {
    /// The seal, and what it should be.
    pub(super) fn figures(&mut self) -> (Option<MonthSealed>, Option<MonthSealed>) {
        let seals = std::mem::take(&mut self.seals);
        let at = seals.iter().position(|(sealed, ..)| sealed.revision == self.manifest.revision);
        let Some((sealed, sources, heads)) = at.and_then(|at| seals.get(at)) else {
            self.fault(FaultKind::NoSeal);
            return (None, None);
        };
        let before = at.and_then(|at| at.checked_sub(1)).and_then(|at| seals.get(at)).map(|(s, ..)| s);
        if sealed.computed.heads != *heads {
            self.fault(FaultKind::SealedElsewhere);
        }
        let inputs: Inputs = serde_json::from_str(&sealed.inputs).unwrap_or_default();
        self.check_incidents(&inputs);
        let holidays = Arc::new(HolidayList::of_days(inputs.holidays));
        let sources = Sources { holidays, ..sources.clone() };
        let history = sources.histories().ok().and_then(|mut all| all.remove(&sealed.contract));
        // Somebody may have made it up: it goes no further where it does not fit together.
        let history = history.filter(|history| {
            let mut problems = Problems::default();
            history.check(&mut problems);
            problems.is_empty()
        });
        let found = history.and_then(|history| sealed.again(&history, before).ok());
        if found.as_ref() != Some(sealed) && !is_other_program(sealed, found.as_ref()) {
            self.fault(FaultKind::Figures { changes: differences(sealed, found.as_ref()) });
        }
        (Some(sealed.clone()), found)
    }

    /// What people did to the incidents stands in entries; what was detected, was at a heartbeat.
    fn check_incidents(&mut self, inputs: &Inputs) {
        let mut wrong: Vec<IncidentId> = Vec::new();
        for incident in &inputs.incidents {
            let is_entered = |step: IncidentStep, at| {
                self.actions.iter().any(|a| (a.incident, a.step, a.at) == (incident.incident, step, at))
            };
            let from = self.beats.first().copied();
            let is_true = incident.events.iter().all(|event| {
                // Of before the file's begin there is no entry to hold it against.
                if from.is_none_or(|from| event.at < from) {
                    return true;
                }
                match event.kind {
                    IncidentEventKind::Acknowledged => is_entered(IncidentStep::Acknowledged, event.at),
                    IncidentEventKind::FirstResponseReported => {
                        is_entered(IncidentStep::FirstResponseReported, event.at)
                    }
                    IncidentEventKind::Closed => {
                        is_entered(IncidentStep::Closed, event.at) || self.beats.contains(&event.at)
                    }
                    IncidentEventKind::Detected(_) | IncidentEventKind::Recovered => {
                        self.beats.contains(&event.at)
                    }
                    // Nothing enters these yet but people's own histories.
                    IncidentEventKind::Contacted(_) | IncidentEventKind::Downgraded { .. } => false,
                }
            });
            if !is_true {
                wrong.push(incident.incident);
            }
        }
        // What people did in the month was to incidents that the report knows.
        let span = self.manifest.month.span();
        let known = |id| inputs.incidents.iter().any(|incident| incident.incident == id);
        let in_month = self.actions.iter().filter(|action| span.contains(action.at) && !self.doubtful);
        wrong.extend(in_month.map(|action| action.incident).filter(|id| !known(*id)));
        for incident in wrong {
            self.fault(FaultKind::Incident { incident: incident.to_string() });
        }
    }
}

/// Whether another version computed the seal, and only how things are written differs.
fn is_other_program(sealed: &MonthSealed, found: Option<&MonthSealed>) -> bool {
    sealed.engine != ENGINE && found.is_some_and(|found| differences(sealed, Some(found)).is_empty())
}

fn differences(sealed: &MonthSealed, found: Option<&MonthSealed>) -> Vec<Change> {
    found.map(|found| sealed.changes_to(found, Language::default())).unwrap_or_default()
}
