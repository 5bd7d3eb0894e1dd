//! What people enter about a contract, one record at a time, in the order in which it came.
//!
//! Holds: a record is a JSON text that names its contract; it is kept as it was entered, so that 甲
//! can agree to that very text by its SHA-256. Nothing that was entered changes: a stop is ended, a cause judged, an
//! emergency confirmed by a further record or by 甲's agreement. A record that does not fit to what
//! is there is refused, with its place.

use super::{History, file};
use crate::sla::{
    agreed::Agreed,
    checklist::{ChecklistRecord, CorrectionRequest},
    exclusion::Exclusion,
    job::{Access, Job},
    miss::Explanation,
    outage::{Attribution, Outage},
    report::{annual::AnnualDelivery, event::Event},
};
use serde::{Deserialize, Serialize};
use tenken_common::{
    config::Problems,
    id::{ContractId, Hash, Name},
    time::Timestamp,
};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// A stop, known by hand or by the loss of a link.
    Outage(Outage),
    OutageEnded {
        outage: Name,
        to: Timestamp,
    },
    /// Who caused a stop, as 乙 judges; 甲 agrees to the record.
    Attribution {
        outage: Name,
        attribution: Attribution,
    },
    /// Time to be left out; 甲 agrees to the record.
    Exclusion(Exclusion),
    Checklist(ChecklistRecord),
    Correction(CorrectionRequest),
    Job(Job),
    JobClosed {
        job: Name,
        at: Timestamp,
    },
    /// 甲's agreement to an emergency access is its confirmation.
    Access(Access),
    /// Why something was missed; a later one for the same month and item takes its place.
    Explanation(Explanation),
    /// What has to be reported whenever it happens.
    Event(Event),
    /// 甲 was given the report of an event.
    EventReported {
        event: Name,
        at: Timestamp,
    },
    /// What was handed over once a year.
    Annual(AnnualDelivery),
}

impl Record {
    /// Reads one record.
    fn parse(json: &str) -> Result<Self, Problems> {
        file::parse_json(json)
    }

    /// Reads one record, or a list of them.
    pub fn parse_all(json: &str) -> Result<Vec<Self>, Problems> {
        if json.trim_start().starts_with('[') { file::parse_json(json) } else { Ok(vec![Self::parse(json)?]) }
    }

    /// What kind it is, as its text names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Outage(_) => "outage",
            Self::OutageEnded { .. } => "outage_ended",
            Self::Attribution { .. } => "attribution",
            Self::Exclusion(_) => "exclusion",
            Self::Checklist(_) => "checklist",
            Self::Correction(_) => "correction",
            Self::Job(_) => "job",
            Self::JobClosed { .. } => "job_closed",
            Self::Access(_) => "access",
            Self::Explanation(_) => "explanation",
            Self::Event(_) => "event",
            Self::EventReported { .. } => "event_reported",
            Self::Annual(_) => "annual",
        }
    }

    /// Whether 甲's agreement means something for it.
    pub fn wants_agreement(&self) -> bool {
        matches!(self, Self::Attribution { .. } | Self::Exclusion(_))
            || matches!(self, Self::Access(access) if access.emergency)
    }

    /// The record cannot bring 甲's agreement with it: that has to be signed.
    fn without_agreement(mut self, agreed: Option<Agreed>) -> Self {
        if let Self::Attribution { attribution, .. } = &mut self {
            attribution.agreed = agreed;
        } else if let Self::Exclusion(exclusion) = &mut self {
            exclusion.agreed = agreed;
        } else if let Self::Access(access) = &mut self {
            access.confirmed_at = agreed.map(|agreed| agreed.at);
        } else if let Self::Outage(outage) = &mut self {
            outage.attributions.clear();
        }
        self
    }
}

/// A record with the contract that it is about: what is kept, and what 甲 agrees to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiledRecord {
    pub contract: ContractId,
    pub record: Record,
}

impl FiledRecord {
    pub fn parse(json: &str) -> Result<Self, Problems> {
        file::parse_json(json)
    }

    /// The text that is kept and agreed to.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a record is JSON: its keys are texts")
    }
}

/// 甲's signed agreement to the record with this text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordAgreement {
    /// SHA-256 of the record's text.
    pub subject: Hash,
    pub agreed: Agreed,
}

/// The first agreement to a text.
fn agreed_to(text: &str, agreements: &[RecordAgreement]) -> Option<Agreed> {
    let subject = Hash::of(text.as_bytes());
    let of_text = agreements.iter().filter(|a| a.subject == subject).map(|a| &a.agreed);
    of_text.min_by_key(|agreed| agreed.at).cloned()
}

impl History {
    /// Adds a record that was accepted when it was entered. One that does not fit any more, because
    /// another of its kind came first, changes nothing.
    pub fn replay(&mut self, text: &str, agreements: &[RecordAgreement]) {
        if let Ok(record) = self.record_of(text, agreements) {
            self.apply(record, &mut Problems::default());
        }
    }

    /// Adds records that nobody has agreed to yet, all or none; answers which one does not fit,
    /// counted from 1.
    pub fn enter_all(&mut self, texts: &[String]) -> Result<(), (usize, Problems)> {
        let mut next = self.clone();
        let mut problems = Problems::default();
        let read = texts.iter().try_for_each(|text| {
            next.apply(next.record_of(text, &[])?, &mut problems);
            Ok::<(), Problems>(())
        });
        if read.is_ok() && problems.is_empty() {
            next.check(&mut problems);
            if problems.is_empty() {
                *self = next;
                return Ok(());
            }
        }
        // One of them does not fit: one by one, to say which.
        let mut next = self.clone();
        for (text, number) in texts.iter().zip(1..) {
            next.enter(text, &[]).map_err(|problems| (number, problems))?;
        }
        *self = next;
        Ok(())
    }

    /// Adds a record; on a problem the history stays as it was.
    pub fn enter(&mut self, text: &str, agreements: &[RecordAgreement]) -> Result<(), Problems> {
        let record = self.record_of(text, agreements)?;
        let mut next = self.clone();
        let mut problems = Problems::default();
        next.apply(record, &mut problems);
        next.check(&mut problems);
        if problems.is_empty() {
            *self = next;
            Ok(())
        } else {
            Err(problems)
        }
    }

    /// What a text says about this contract, with 甲's agreement to it.
    fn record_of(&self, text: &str, agreements: &[RecordAgreement]) -> Result<Record, Problems> {
        let FiledRecord { contract, record } = FiledRecord::parse(text)?;
        if !self.versions.iter().any(|version| version.contract.id == contract) {
            let mut problems = Problems::default();
            problems.push("contract", format!("`{contract}` is another contract"));
            return Err(problems);
        }
        Ok(record.without_agreement(agreed_to(text, agreements)))
    }

    fn apply(&mut self, record: Record, problems: &mut Problems) {
        match record {
            Record::Outage(outage) => self.outages.push(outage),
            Record::OutageEnded { outage, to } => match self.outages.iter_mut().find(|o| o.id == outage) {
                Some(found) if found.to.is_none() => found.to = Some(to),
                Some(_) => problems.push("outage_ended.outage", format!("`{outage}` has ended already")),
                None => problems.push("outage_ended.outage", format!("there is no outage `{outage}`")),
            },
            Record::Attribution { outage, attribution } => {
                match self.outages.iter_mut().find(|o| o.id == outage) {
                    Some(found) => found.attributions.push(attribution),
                    None => problems.push("attribution.outage", format!("there is no outage `{outage}`")),
                }
            }
            Record::Exclusion(exclusion) => self.exclusions.push(exclusion),
            Record::Checklist(record) => self.checklist.push(record),
            Record::Correction(request) => self.corrections.push(request),
            Record::Job(job) => self.jobs.push(job),
            Record::JobClosed { job, at } => match self.jobs.iter_mut().find(|j| j.id == job) {
                Some(found) if found.closed_at.is_none() => found.closed_at = Some(at),
                Some(_) => problems.push("job_closed.job", format!("`{job}` is closed already")),
                None => problems.push("job_closed.job", format!("there is no job `{job}`")),
            },
            Record::Access(access) => self.accesses.push(access),
            Record::Explanation(new) => {
                self.explanations.retain(|old| (old.month, old.item) != (new.month, new.item));
                self.explanations.push(new);
            }
            Record::Event(event) => self.events.push(event),
            Record::EventReported { event, at } => match self.events.iter_mut().find(|e| e.id == event) {
                Some(found) if found.reported_at.is_none() => found.reported_at = Some(at),
                Some(_) => problems.push("event_reported.event", format!("`{event}` was reported already")),
                None => problems.push("event_reported.event", format!("there is no event `{event}`")),
            },
            Record::Annual(delivery) => self.annual.push(delivery),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::{
        contract::{Contract, EXAMPLE},
        exclusion::ExclusionState,
        history::Version,
        outage::Cause,
    };

    fn at(text: &str) -> Timestamp {
        format!("2026-{text}:00+09:00").parse().unwrap()
    }

    fn history() -> History {
        let agreed = Some(at("03-01T09:00"));
        let contract = Contract::parse(EXAMPLE).unwrap();
        let versions = vec![Version { contract, vendor: agreed, hospital: agreed }];
        History { versions, ..History::default() }
    }

    const OUTAGE: &str = r#"{"outage":{"id":"o-1","from":"2026-09-24T09:00:00+09:00","source":"manual"}}"#;
    const BLAME: &str = r#"{"attribution":{"outage":"o-1","attribution":{"at":"2026-09-25T09:00:00+09:00","cause":"customer","by":"w-1","agreed":{"at":"2026-09-25T09:00:00+09:00","by":"forged"}}}}"#;
    const EXCLUSION: &str = r#"{"exclusion":{"id":"x-1","rule":"disaster","from":"2026-09-24T09:00:00+09:00","to":"2026-09-24T10:00:00+09:00"}}"#;

    /// The text of a record about the example's contract.
    fn filed(record: &str) -> String {
        format!(r#"{{"contract":"{}","record":{record}}}"#, Contract::parse(EXAMPLE).unwrap().id)
    }

    fn signed(text: &str, when: &str) -> RecordAgreement {
        let agreed = Agreed { at: at(when), by: "minato".into() };
        RecordAgreement { subject: Hash::of(filed(text).as_bytes()), agreed }
    }

    #[test]
    fn only_a_signed_agreement_counts() {
        let mut unsigned = history();
        unsigned.enter(&filed(OUTAGE), &[]).unwrap();
        unsigned.enter(&filed(BLAME), &[]).unwrap();
        unsigned.enter(&filed(EXCLUSION), &[]).unwrap();
        let end = at("12-31T00:00");
        let known = unsigned.known(end);
        assert_eq!(
            known.history.outages[0].cause(end),
            Cause::Undetermined,
            "what 乙 wrote itself is nothing"
        );
        assert_eq!(known.history.exclusions[0].state(&known.contracts, end), ExclusionState::NotAgreed);

        let agreements = [signed(BLAME, "10-01T09:00"), signed(EXCLUSION, "10-02T09:00")];
        let mut agreed = history();
        for text in [OUTAGE, BLAME, EXCLUSION] {
            agreed.enter(&filed(text), &agreements).unwrap();
        }
        let cause = |when| agreed.outages[0].cause(at(when));
        assert_eq!((cause("10-01T08:59"), cause("10-01T09:00")), (Cause::Undetermined, Cause::Customer));
        let known = agreed.known(at("10-02T09:00"));
        assert_eq!(agreed.exclusions[0].state(&known.contracts, known.as_of), ExclusionState::InForce);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut history = history();
        history.enter(&filed(OUTAGE), &[]).unwrap();
        for (text, key) in [
            (OUTAGE, "outages[1].id"),
            (r#"{"outage_ended":{"outage":"o-2","to":"2026-09-24T10:00:00+09:00"}}"#, "outage_ended.outage"),
            (r#"{"outage_ended":{"outage":"o-1","to":"2026-09-24T08:00:00+09:00"}}"#, "outages[0].to"),
            (r#"{"outage_ended":{"outage":"o-1","to":"2026-09-24T10:00:00"}}"#, "record.outage_ended.to"),
            (r#"{"job_closed":{"job":"j","at":"2026-09-24T10:00:00+09:00"}}"#, "job_closed.job"),
            (&EXCLUSION.replace("disaster", "weather"), "exclusions[0].rule"),
            (
                r#"{"event_reported":{"event":"e-1","at":"2026-09-24T10:00:00+09:00"}}"#,
                "event_reported.event",
            ),
            (r#"{"nothing":{}}"#, "record"),
        ] {
            let before = format!("{history:?}");
            let problems = history.enter(&filed(text), &[]).unwrap_err();
            assert!(problems.iter().any(|p| p.key == key), "{text}: {problems}");
            assert_eq!(before, format!("{history:?}"));
        }
        history
            .enter(&filed(r#"{"outage_ended":{"outage":"o-1","to":"2026-09-24T10:00:00+09:00"}}"#), &[])
            .unwrap();
        let other = filed(EXCLUSION).replace(r#"{"contract":""#, r#"{"contract":"x"#);
        let other = history.enter(&other, &[]).unwrap_err();
        assert!(other.iter().any(|p| p.key == "contract"), "{other}");
        assert_eq!(history.outages[0].to, Some(at("09-24T10:00")));
        let event = r#"{"event":{"id":"e-1","kind":"stop","subject":"s","occurred_at":"2026-09-24T09:00:00+09:00","due":"2026-10-01T17:00:00+09:00"}}"#;
        history.enter(&filed(event), &[]).unwrap();
        let reported = r#"{"event_reported":{"event":"e-1","at":"2026-09-30T10:00:00+09:00"}}"#;
        history.enter(&filed(reported), &[]).unwrap();
        assert_eq!(history.events[0].reported_at, Some(at("09-30T10:00")));
        let again = history.enter(&filed(reported), &[]).unwrap_err();
        assert!(again.iter().any(|p| p.key == "event_reported.event"), "{again}");
    }

    #[test]
    fn all_of_a_list_is_entered_or_none() {
        let ended = |id: &str| {
            filed(&format!(r#"{{"outage_ended":{{"outage":"{id}","to":"2026-09-24T10:00:00+09:00"}}}}"#))
        };
        let mut history = history();
        let good = [filed(OUTAGE), ended("o-1")];
        history.enter_all(&good).unwrap();
        assert_eq!(history.outages[0].to, Some(at("09-24T10:00")));
        let other = OUTAGE.replace("o-1", "o-2");
        for (second, key) in [
            (filed("{\"nothing\":{}}"), "record"),
            (ended("o-9"), "outage_ended.outage"),
            (filed(OUTAGE), "outages[1].id"),
        ] {
            let texts = [filed(&other), second];
            let before = history.clone();
            let (number, problems) = history.enter_all(&texts).unwrap_err();
            assert_eq!(number, 2, "{problems}");
            assert!(
                problems.iter().any(|p| p.key.ends_with(key) || p.key.starts_with("outages")),
                "{problems}"
            );
            assert_eq!(format!("{before:?}"), format!("{history:?}"));
        }
    }

    #[test]
    fn a_record_may_be_about_any_version() {
        let mut history = history();
        let mut second = history.versions[0].clone();
        second.contract.id = "another".parse().unwrap();
        history.versions.push(second);
        assert!(history.record_of(&filed(OUTAGE), &[]).is_ok());
    }

    #[test]
    fn a_job_is_closed_once() {
        let mut history = history();
        for id in ["j-1", "j-2"] {
            let job = format!(
                r#"{{"job":{{"id":"{id}","service":"fault_handling","received_at":"2026-09-24T09:00:00+09:00"}}}}"#
            );
            history.enter(&filed(&job), &[]).unwrap();
        }
        let closed = filed(r#"{"job_closed":{"job":"j-2","at":"2026-09-24T10:00:00+09:00"}}"#);
        history.enter(&closed, &[]).unwrap();
        assert_eq!((history.jobs[0].closed_at, history.jobs[1].closed_at), (None, Some(at("09-24T10:00"))));
        let again = history.enter(&closed, &[]).unwrap_err();
        assert!(again.iter().any(|p| p.key == "job_closed.job"), "{again}");
    }

    #[test]
    fn a_later_explanation_takes_the_place_of_its_own_kind() {
        let mut history = history();
        for (month, item, reason) in [
            ("2026-08", "uptime", "a"),
            ("2026-09", "uptime", "b"),
            ("2026-09", "response", "c"),
            ("2026-09", "uptime", "d"),
        ] {
            let text = format!(
                r#"{{"explanation":{{"month":"{month}","item":"{item}","reason":"{reason}","plan":"p"}}}}"#
            );
            history.enter(&filed(&text), &[]).unwrap();
        }
        assert_eq!(
            history.explanations.iter().map(|e| e.reason.as_str()).collect::<Vec<_>>(),
            ["a", "c", "d"]
        );
    }

    #[test]
    fn a_cause_is_judged_for_the_stop_that_it_names() {
        let mut history = history();
        history.enter(&filed(OUTAGE), &[]).unwrap();
        history.enter(&filed(&OUTAGE.replace("o-1", "o-2")), &[]).unwrap();
        history.enter(&filed(&BLAME.replace("o-1", "o-2")), &[]).unwrap();
        assert_eq!(history.outages.iter().map(|o| o.attributions.len()).collect::<Vec<_>>(), [0, 1]);
        let ended = filed(r#"{"outage_ended":{"outage":"o-2","to":"2026-09-24T10:00:00+09:00"}}"#);
        history.enter(&ended, &[]).unwrap();
        assert_eq!((history.outages[0].to, history.outages[1].to), (None, Some(at("09-24T10:00"))));
        let again = history.enter(&ended, &[]).unwrap_err();
        assert!(again.iter().any(|p| p.key == "outage_ended.outage"), "{again}");
    }

    #[test]
    fn the_hospital_agrees_to_what_binds_it() {
        let wants = |record: &str| FiledRecord::parse(&filed(record)).unwrap().record.wants_agreement();
        let access = r#"{"access":{"id":"a","service":"fault_handling","worker":"w","employer":"e","target":"ct-1","from":"2026-09-24T09:00:00+09:00","to":"2026-09-24T10:00:00+09:00","emergency":true}}"#;
        assert!(wants(BLAME) && wants(EXCLUSION) && wants(access));
        assert!(!wants(&access.replace("true", "false")) && !wants(OUTAGE));
    }
}
