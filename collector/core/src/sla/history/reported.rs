//! What devices' own messages say to the SLA: how far patches and pattern files are (A7.1(1)①), and
//! when they could not deliver (A6.3(2)).
//!
//! Holds: one function for whoever has the messages, the collector with its store and a hospital
//! with its evidence. An instant is the device's, corrected by what it knows of its clock, and never
//! later than the commit of the message. Nothing that a device could not find out is taken for good.
//! A push that failed counts from the device's enrollment on.
//!
//! Does not: judge; what counts for how long is the contract's.

use crate::sla::{
    contract::{Contract, CurrencyKind},
    currency::{CurrencyReport, CurrencyState, DeviceReports},
    span::Span,
};
use std::{collections::BTreeMap, time::Duration};
use tenken_common::{
    batch::Batch,
    fact::{Fact, PatchState, PatchStatus, PatternFileStatus, PatternState},
    id::{HospitalId, Name},
    observation::{Body, Observation, Sample},
    time::Timestamp,
};

/// The agent on itself, as a probe and as a subject.
const AGENT: &str = "agent";
/// How long it could not deliver, told once it is over.
const PUSH_OUTAGE: &str = "push_outage";

/// What one or several messages of a device say, in any order; what came twice says nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    pub reports: Vec<CurrencyReport>,
    pub failed_pushes: Vec<Span>,
}

/// A device, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    pub hospital: HospitalId,
    pub label: Name,
    pub group: Option<Name>,
    pub enrolled: Timestamp,
    /// One that the hospital has not approved says nothing.
    pub approved: bool,
    pub said: Said,
}

impl Said {
    /// Takes in what a message says.
    pub fn take(&mut self, batch: &Batch, committed: Timestamp) {
        for record in &batch.records {
            let o = &record.observation;
            let at = instant(batch, o, committed);
            match &o.body {
                Body::Fact(Fact::PatchStatus(patches)) => {
                    self.reports.push(of_patches(at, &o.subject, patches));
                }
                Body::Fact(Fact::PatternFileStatus(pattern)) => {
                    self.reports.push(of_pattern_file(at, &o.subject, pattern));
                }
                Body::Sample(sample) => self.failed_pushes.extend(failed_push(at, o, sample)),
                Body::Fact(Fact::Revision(_) | Fact::WearCounter(_) | Fact::Inventory(_))
                | Body::CheckResult(_)
                | Body::SelfReport(_) => {}
            }
        }
    }
}

/// When something was seen; see the module's head.
pub fn instant(batch: &Batch, o: &Observation, committed: Timestamp) -> Timestamp {
    batch.corrected(o).min(committed)
}

fn of_patches(at: Timestamp, subject: &Name, patches: &PatchStatus) -> CurrencyReport {
    let known = patches.state == PatchState::Known;
    let state = match (patches.security, patches.oldest_at) {
        (Some(0), _) if known => CurrencyState::UpToDate,
        (_, Some(since)) if known => CurrencyState::Since { since: since.min(at) },
        _ => CurrencyState::Unknown,
    };
    let source = Some(source(subject, patches.source.as_str()));
    CurrencyReport { at, kind: CurrencyKind::OsPatch, source, state }
}

fn of_pattern_file(at: Timestamp, subject: &Name, pattern: &PatternFileStatus) -> CurrencyReport {
    let state = match pattern.defined_at {
        Some(since) if pattern.state == PatternState::Known => CurrencyState::Since { since: since.min(at) },
        Some(_) | None => CurrencyState::Unknown,
    };
    let source = Some(source(subject, pattern.source.as_str()));
    CurrencyReport { at, kind: CurrencyKind::PatternFile, source, state }
}

fn source(subject: &Name, source: &str) -> Name {
    Name::of_outside(&format!("{subject}:{source}"))
}

fn failed_push(at: Timestamp, o: &Observation, sample: &Sample) -> Option<Span> {
    if sample.probe.as_str() != AGENT || o.subject.as_str() != AGENT {
        return None;
    }
    let lasted = sample.quantities.iter().find(|q| q.name.as_str() == PUSH_OUTAGE)?;
    let lasted = Duration::try_from_secs_f64(lasted.value).ok()?;
    Some(Span::new(at.minus(lasted), at)).filter(|span| !span.is_empty())
}

/// From when on reports say something of the time from an instant on, by any of these contracts'
/// texts: that much earlier as a report counts.
pub fn reach<'a>(contracts: impl Iterator<Item = &'a str>, from: Timestamp) -> Timestamp {
    let terms = contracts.filter_map(|text| Contract::parse(text).ok()?.rules.currency);
    let longest = terms.map(|terms| terms.report_max_age).max();
    longest.map_or(from, |longest| from.minus(longest))
}

/// What devices said of themselves, by their labels: one that took another's place goes on under
/// its label.
pub(super) fn by_label<'a>(speakers: impl Iterator<Item = &'a Speaker>) -> Vec<DeviceReports> {
    let mut all: BTreeMap<&Name, (Timestamp, DeviceReports)> = BTreeMap::new();
    for speaker in speakers {
        let (newest, device) = all.entry(&speaker.label).or_insert_with(|| {
            let (device, group) = (speaker.label.clone(), speaker.group.clone());
            (speaker.enrolled, DeviceReports { device, group, reports: Vec::new() })
        });
        if speaker.enrolled > *newest {
            *newest = speaker.enrolled;
            device.group.clone_from(&speaker.group);
        }
        device.reports.extend_from_slice(&speaker.said.reports);
    }
    all.into_values().map(|(_, device)| device).collect()
}

/// When any of them could not deliver, in order and joined.
pub(super) fn failed_pushes<'a>(speakers: impl Iterator<Item = &'a Speaker>) -> Vec<Span> {
    let of_one = |speaker: &'a Speaker| {
        let spans = speaker.said.failed_pushes.iter();
        spans.filter_map(|span| span.intersect(Span::new(speaker.enrolled, Timestamp::MAX)))
    };
    let mut all: Vec<Span> = speakers.flat_map(of_one).collect();
    all.sort_unstable();
    let mut joined: Vec<Span> = Vec::new();
    for span in all {
        match joined.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            Some(_) | None => joined.push(span),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{
        batch::Batch,
        category::Category,
        fact::{PatchSource, PatternSource},
        id::{BootId, DeviceId, Epoch, Hash, RecId, Seq},
        observation::{Class, Record},
        time::{ClockQuality, ClockSource, Moment, Monotonic},
        unit::{Quantity, Unit},
    };

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(1_790_000_000 + s)
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn patches(state: PatchState, security: Option<u32>, oldest_at: Option<Timestamp>) -> Body {
        Body::Fact(Fact::PatchStatus(PatchStatus {
            probe: name("patches"),
            source: PatchSource::Apt,
            state,
            pending: security,
            security,
            oldest_at,
            index_at: None,
            applied_at: None,
            reboot_needed: None,
            system: name("debian"),
            build: None,
        }))
    }

    fn pattern(state: PatternState, defined_at: Option<Timestamp>) -> Body {
        let (probe, source) = (name("antivirus"), PatternSource::ClamAv);
        Body::Fact(Fact::PatternFileStatus(PatternFileStatus {
            probe,
            source,
            state,
            engine: None,
            version: None,
            defined_at,
        }))
    }

    fn outage(subject: &str, seconds: f64) -> (Name, Body) {
        let quantities = Quantity::new(name(PUSH_OUTAGE), Unit::Seconds, seconds).into_iter().collect();
        (name(subject), Body::Sample(Sample { probe: name(AGENT), quantities }))
    }

    /// A message from a clock that is ten seconds behind; all was seen at 90 by it.
    fn said(committed: i64, bodies: Vec<(Name, Body)>) -> Said {
        let moment = Moment { boot: BootId([1; 16]), mono: Monotonic(1), wall: at(90) };
        let records = bodies.into_iter().zip(1..).map(|((subject, body), id)| {
            let observation = Observation { at: moment, category: Category::Patch, subject, body };
            Record { id: RecId(id), observation }
        });
        let batch = Batch {
            device: DeviceId([1; 16]),
            epoch: Epoch(1),
            seq: Seq(1),
            prev: Hash::ZERO,
            at: moment,
            clock: ClockQuality { offset_ms: 10_000, uncertainty_ms: 5, source: ClockSource::SignedTime },
            agent_version: "0.1.0".into(),
            class: Class::Ordinary,
            records: records.collect(),
            gaps: vec![],
        };
        let mut said = Said::default();
        said.take(&batch, at(committed));
        said
    }

    fn states(bodies: Vec<Body>) -> Vec<CurrencyState> {
        let subject = || name("system");
        let said = said(500, bodies.into_iter().map(|body| (subject(), body)).collect());
        said.reports.iter().map(|r| r.state).collect()
    }

    #[test]
    fn only_what_is_known_is_good() {
        let old = Some(at(-9));
        let got = states(vec![
            patches(PatchState::Known, Some(0), None),
            patches(PatchState::Known, Some(3), old),
            patches(PatchState::Known, None, None),
            patches(PatchState::Known, Some(3), None),
            patches(PatchState::StaleIndex, Some(0), None),
            patches(PatchState::Managed, None, old),
            pattern(PatternState::Known, old),
            pattern(PatternState::Known, None),
            pattern(PatternState::Disabled, old),
            pattern(PatternState::Unknown, None),
        ]);
        let since = CurrencyState::Since { since: at(-9) };
        let unknown = CurrencyState::Unknown;
        assert_eq!(
            got,
            [
                CurrencyState::UpToDate,
                since,
                unknown,
                unknown,
                unknown,
                unknown,
                since,
                unknown,
                unknown,
                unknown
            ]
        );
    }

    #[test]
    fn an_instant_is_the_collectors_and_never_after_the_commit() {
        let of =
            |committed| said(committed, vec![(name("clamav"), pattern(PatternState::Known, Some(at(900))))]);
        let report = of(500).reports.remove(0);
        assert_eq!((report.at, report.state), (at(100), CurrencyState::Since { since: at(100) }));
        assert_eq!(report.source, Some(name("clamav:clamav")));
        assert_eq!(of(95).reports.remove(0).at, at(95));
    }

    #[test]
    fn a_failed_push_ends_where_it_is_told() {
        let of = |subject, seconds| said(500, vec![outage(subject, seconds)]).failed_pushes;
        assert_eq!(of(AGENT, 30.0), [Span::new(at(70), at(100))]);
        for (subject, seconds) in [("other", 30.0), (AGENT, -1.0), (AGENT, 0.0), (AGENT, 1e300)] {
            assert_eq!(of(subject, seconds), [], "{subject} {seconds}");
        }
    }

    fn speaker(enrolled: i64, group: &str, said: Said) -> Speaker {
        Speaker {
            hospital: HospitalId(name("minato")),
            label: name("ct-1"),
            group: Some(name(group)),
            enrolled: at(enrolled),
            approved: true,
            said,
        }
    }

    #[test]
    fn a_device_in_anothers_place_goes_on_under_its_label() {
        let one = |n: i64| said(500 + n, vec![(name("system"), patches(PatchState::Known, Some(0), None))]);
        let speakers = [speaker(50, "new", one(0)), speaker(0, "old", one(1))];
        let devices = by_label(speakers.iter());
        assert_eq!((devices.len(), devices[0].reports.len()), (1, 2));
        assert_eq!(devices[0].group, Some(name("new")));
        let at_once = [speaker(0, "first", one(0)), speaker(0, "second", one(1))];
        assert_eq!(by_label(at_once.iter())[0].group, Some(name("first")));
    }

    #[test]
    fn failed_pushes_of_all_devices_are_one_line_from_enrollment_on() {
        let of = |from, to| Said { failed_pushes: vec![Span::new(at(from), at(to))], ..Said::default() };
        let speakers =
            [speaker(0, "g", of(40, 60)), speaker(0, "g", of(-50, 10)), speaker(0, "g", of(55, 70))];
        let expected = [Span::new(at(0), at(10)), Span::new(at(40), at(70))];
        assert_eq!(failed_pushes(speakers.iter()), expected);
    }
}
