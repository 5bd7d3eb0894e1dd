//! The month's figures, made anew from what the evidence holds.
//!
//! Holds: a seal is held against what it should be; what went into it and is no entry (incidents)
//! is held against the entries.

use super::{FaultKind, Sealed, Verifier};
use crate::{
    desk::{incident::Incident, notice::IncidentId},
    evidence,
    sla::{
        calendar::HolidayList,
        history::Sources,
        report::{ENGINE, change::Change},
        response::{IncidentEvent, IncidentEventKind, IncidentHistory},
        seal::{Inputs, MonthSealed},
    },
    stream::IncidentStep,
};
use std::sync::Arc;
use tenken_common::{config::Problems, id::ContractId, message::Language};

impl Verifier {
    /// The seal, and what it should be.
    pub(super) fn figures(&mut self) -> (Option<MonthSealed>, Option<MonthSealed>) {
        let seals = std::mem::take(&mut self.seals);
        let at = seals.iter().position(|sealed| sealed.seal.revision == self.manifest.revision);
        let Some(Sealed { seal: sealed, sources, heads, detected }) = at.and_then(|at| seals.get(at)) else {
            self.fault(FaultKind::NoSeal);
            return (None, None);
        };
        let before = at.and_then(|at| at.checked_sub(1)).and_then(|at| seals.get(at)).map(|s| &s.seal);
        if sealed.computed.heads != *heads {
            self.fault(FaultKind::SealedElsewhere);
        }
        self.check_begin(&sealed.contract, sources);
        let inputs: Inputs = serde_json::from_str(&sealed.inputs).unwrap_or_default();
        self.check_incidents(&inputs);
        self.check_detections(&inputs, detected);
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

    /// Whether it begins early enough: what a device reported before the month may count in it.
    fn check_begin(&mut self, contract: &ContractId, sources: &Sources) {
        let needed = evidence::needed_from(contract, &sources.contracts, self.manifest.month);
        let is_whole = self.manifest.begin.position == 0;
        if !is_whole && self.first_beat.is_none_or(|first| first > needed) {
            self.fault(FaultKind::Begin { needed });
        }
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

impl Verifier {
    /// What devices' checks have to have made is an incident of the report, answered or not.
    fn check_detections(&mut self, inputs: &Inputs, detected: &[Incident]) {
        let span = self.manifest.month.span();
        for incident in detected {
            let own = IncidentHistory::of(incident);
            let told = inputs.incidents.iter().find(|told| told.incident == own.incident);
            let is_told = |event: &&IncidentEvent| told.is_some_and(|told| told.events.contains(event));
            let is_detection = |event: &&IncidentEvent| {
                matches!(event.kind, IncidentEventKind::Detected(_)) && span.contains(event.at)
            };
            if let Some(event) = own.events.iter().filter(is_detection).find(|event| !is_told(event)) {
                let (incident_id, device) = (incident.id.to_string(), incident.label.clone());
                let (subject, at) = (incident.subject.clone(), event.at);
                self.fault(FaultKind::LeftOut { incident: incident_id, device, subject, at });
            }
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
