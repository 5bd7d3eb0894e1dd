//! From a probe's outcome to what the spool is given.
//!
//! Holds: every observation that leaves here fits one record
//! ([`limit::RECORD_BYTES_MAX`] encoded, [`limit::QUANTITIES_MAX`] quantities); one that has too
//! much is split, never cut short. How each probe's last run went is kept for the self report,
//! so that "no value" is always told apart from "not looked".
//!
//! Does not: number records, ask for consent, or change a value.

use crate::{
    probe::{ProbeInfo, ProbeOutcome},
    pusher::Outage,
    spool::SpoolStats,
};
use std::{collections::BTreeMap, time::Duration};
use tenken_common::{
    category::Category,
    id::{Name, RecId},
    limit,
    observation::{Body, Observation, ProbeRun, ProbeState, Record, Sample, SelfReport},
    time::Moment,
    unit::{Quantity, Unit},
    wire::v1::RecordV1,
};

/// The subject of the agent's report on itself.
pub const AGENT_SUBJECT: &str = "agent";

/// Keeps each probe's last run; see the module's head.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    runs: BTreeMap<Name, ProbeRun>,
}

impl Recorder {
    pub fn new() -> Self {
        Self::default()
    }

    /// The observations of one run, ready to be appended; empty where it has none.
    pub fn record(&mut self, info: &ProbeInfo, outcome: ProbeOutcome) -> Vec<Observation> {
        self.note(info, outcome.state(), outcome.duration);
        outcome.result.unwrap_or_default().into_iter().flat_map(split).collect()
    }

    /// Notes that a probe was not run, and why.
    pub fn withhold(&mut self, info: &ProbeInfo, why: ProbeState) {
        self.note(info, why, Duration::ZERO);
    }

    /// The last run of each probe, by name.
    pub fn runs(&self) -> impl Iterator<Item = &ProbeRun> {
        self.runs.values()
    }

    /// The agent's report on itself: the last runs, and numbers that the shell has read.
    pub fn report(&self, at: Moment, quantities: Vec<Quantity>) -> Vec<Observation> {
        let report = SelfReport { quantities, runs: self.runs.values().cloned().collect() };
        let subject = Name::of_outside(AGENT_SUBJECT);
        split(Observation { at, category: Category::Agent, subject, body: Body::SelfReport(report) })
    }

    fn note(&mut self, info: &ProbeInfo, state: ProbeState, duration: Duration) {
        let probe = Name::of_outside(info.name);
        let duration_ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        self.runs.insert(probe.clone(), ProbeRun { probe, state, duration_ms });
    }
}

/// What the spool holds, as quantities of the self report.
pub fn spool_quantities(stats: &SpoolStats) -> Vec<Quantity> {
    let quantities = [
        ("spool_waiting", Unit::Count, stats.waiting),
        ("spool_urgent", Unit::Count, stats.urgent),
        ("spool_in_flight", Unit::Count, stats.in_flight),
        ("spool_disk_bytes", Unit::Bytes, stats.disk_bytes),
        ("spool_evicted", Unit::Count, stats.evicted),
        ("spool_corrupt", Unit::Count, stats.corrupt),
        ("spool_degraded", Unit::Count, u64::from(stats.degraded.is_some())),
        ("invariant_violations", Unit::Count, stats.violations),
    ];
    quantities.into_iter().filter_map(|(name, unit, value)| quantity(name, unit, to_f64(value))).collect()
}

/// A time in which nothing could be delivered, told once it is over: what the collector says of
/// its own uptime can be held against it.
pub fn push_outage(at: Moment, outage: &Outage) -> Observation {
    let quantities = [
        quantity("push_outage", Unit::Seconds, outage.lasted.as_secs_f64()),
        quantity("push_outage_failures", Unit::Count, to_f64(outage.failures)),
    ];
    let quantities = quantities.into_iter().flatten().collect();
    let sample = Sample { probe: Name::of_outside(AGENT_SUBJECT), quantities };
    let subject = Name::of_outside(AGENT_SUBJECT);
    Observation { at, category: Category::Agent, subject, body: Body::Sample(sample) }
}

/// A quantity under a name that the program itself chose; `None` for what is not a number.
pub fn quantity(name: &str, unit: Unit, value: f64) -> Option<Quantity> {
    Quantity::new(Name::of_outside(name), unit, value)
}

/// A counter or a size as the wire's number.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53: 9 PB, and counters of 285 years of microseconds"
)]
pub fn to_f64(value: u64) -> f64 {
    value as f64
}

/// The observation in as many as it takes for each to fit a record.
fn split(observation: Observation) -> Vec<Observation> {
    let mut fitting = Vec::new();
    let mut open = vec![observation];
    while let Some(observation) = open.pop() {
        match if fits(&observation) { None } else { halves(&observation) } {
            Some((first, second)) => open.extend([second, first]),
            None => fitting.push(observation),
        }
    }
    fitting
}

fn fits(observation: &Observation) -> bool {
    let quantities = match &observation.body {
        Body::Sample(sample) => sample.quantities.len(),
        Body::SelfReport(report) => report.quantities.len(),
        Body::CheckResult(_) | Body::Fact(_) => 0,
    };
    let record = Record { id: RecId(0), observation: observation.clone() };
    quantities <= limit::QUANTITIES_MAX && RecordV1::of(&record).is_ok()
}

/// `None` where there is nothing to divide; by the bound of a name, that always fits.
fn halves(observation: &Observation) -> Option<(Observation, Observation)> {
    let with = |body| Observation { body, ..observation.clone() };
    match &observation.body {
        Body::Sample(Sample { probe, quantities }) if quantities.len() > 1 => {
            let (a, b) = quantities.split_at_checked(quantities.len() / 2)?;
            let sample =
                |q: &[Quantity]| Body::Sample(Sample { probe: probe.clone(), quantities: q.to_vec() });
            Some((with(sample(a)), with(sample(b))))
        }
        Body::SelfReport(SelfReport { quantities, runs }) if quantities.len() + runs.len() > 1 => {
            let (qa, qb) = quantities.split_at_checked(quantities.len() / 2)?;
            // Rounded up, so that one of each does not end up on the same side again.
            let (ra, rb) = runs.split_at_checked(runs.len().div_ceil(2))?;
            let report = |q: &[Quantity], r: &[ProbeRun]| {
                Body::SelfReport(SelfReport { quantities: q.to_vec(), runs: r.to_vec() })
            };
            Some((with(report(qa, ra)), with(report(qb, rb))))
        }
        Body::Sample(_) | Body::SelfReport(_) | Body::CheckResult(_) | Body::Fact(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Cost, ProbeError};
    use proptest::prelude::*;
    use tenken_common::{
        id::BootId,
        observation::{CheckResult, CheckState},
        time::{Monotonic, Timestamp},
    };

    const AT: Moment = Moment { boot: BootId([1; 16]), mono: Monotonic(5), wall: Timestamp::EPOCH };

    fn info(name: &'static str) -> ProbeInfo {
        ProbeInfo {
            name,
            category: Category::Disk,
            interval: Duration::from_mins(1),
            cost: Cost::Cheap,
            timeout: Duration::from_secs(5),
        }
    }

    fn sample(count: usize, name_len: usize) -> Observation {
        let quantities = (0..count).map(|i| {
            let name = format!("{i:0name_len$}");
            quantity(&name, Unit::Bytes, to_f64(i as u64)).unwrap()
        });
        let sample = Sample { probe: Name::of_outside("disk"), quantities: quantities.collect() };
        Observation {
            at: AT,
            category: Category::Disk,
            subject: Name::of_outside("/"),
            body: Body::Sample(sample),
        }
    }

    fn values(observation: &Observation) -> &[Quantity] {
        match &observation.body {
            Body::Sample(s) => &s.quantities,
            Body::SelfReport(r) => &r.quantities,
            Body::CheckResult(_) | Body::Fact(_) => &[],
        }
    }

    fn outcome(result: Result<Vec<Observation>, ProbeError>) -> ProbeOutcome {
        ProbeOutcome { result, duration: Duration::from_millis(12) }
    }

    #[test]
    fn what_fits_stays_whole() {
        let check = CheckResult { probe: Name::of_outside("services"), state: CheckState::Critical };
        let check = Observation { body: Body::CheckResult(check), ..sample(1, 3) };
        let seen = vec![sample(128, 3), check];
        assert_eq!(Recorder::new().record(&info("disk"), outcome(Ok(seen.clone()))), seen);
    }

    #[test]
    fn each_probe_has_its_last_run_in_the_report() {
        let mut recorder = Recorder::new();
        recorder.record(&info("disk"), outcome(Err(ProbeError::TimedOut)));
        recorder.record(&info("disk"), outcome(Ok(vec![sample(1, 3)])));
        recorder.record(&info("cpu"), outcome(Err(ProbeError::TimedOut)));
        recorder.record(&info("empty"), outcome(Ok(vec![])));
        recorder.withhold(&info("network"), ProbeState::NotConsented);
        let own = quantity("rss_bytes", Unit::Bytes, 5e6).unwrap();
        let [report] = &recorder.report(AT, vec![own.clone()])[..] else { panic!("one report") };
        assert_eq!((report.category, report.subject.as_str()), (Category::Agent, "agent"));
        let Body::SelfReport(SelfReport { quantities, runs }) = &report.body else { panic!("a self report") };
        assert_eq!(quantities, &[own]);
        let runs: Vec<_> = runs.iter().map(|r| (r.probe.as_str(), r.state, r.duration_ms)).collect();
        assert_eq!(
            runs,
            [
                ("cpu", ProbeState::TimedOut, 12),
                ("disk", ProbeState::Ok, 12),
                ("empty", ProbeState::NoData, 12),
                ("network", ProbeState::NotConsented, 0),
            ]
        );
    }

    #[test]
    fn a_report_of_very_many_probes_is_split_and_whole() {
        let mut recorder = Recorder::new();
        for i in 0..400 {
            let name: &'static str = Box::leak(format!("{i:060}").into_boxed_str());
            recorder.record(&info(name), outcome(Ok(vec![])));
        }
        let reports = recorder.report(AT, vec![quantity("rss_bytes", Unit::Bytes, 5e6).unwrap()]);
        assert!(reports.len() > 1 && reports.iter().all(fits));
        let runs = reports.iter().flat_map(|r| match &r.body {
            Body::SelfReport(r) => r.runs.clone(),
            Body::Sample(_) | Body::CheckResult(_) | Body::Fact(_) => vec![],
        });
        assert!(runs.eq(recorder.runs().cloned()));
        assert_eq!(reports.iter().map(|r| values(r).len()).sum::<usize>(), 1);
    }

    #[test]
    fn the_spool_is_in_the_report() {
        let degraded = Some("full".into());
        let stats = SpoolStats { waiting: 3, evicted: 9, violations: 2, degraded, ..SpoolStats::default() };
        let quantities = spool_quantities(&stats);
        let value = |name: &str| quantities.iter().find(|q| q.name.as_str() == name).map(|q| q.value);
        assert_eq!((value("spool_waiting"), value("spool_evicted")), (Some(3.0), Some(9.0)));
        assert_eq!((value("spool_degraded"), value("invariant_violations")), (Some(1.0), Some(2.0)));
    }

    #[test]
    fn an_outage_is_a_sample_of_the_agent() {
        let outage = Outage { lasted: Duration::from_millis(61_500), failures: 7 };
        let observation = push_outage(AT, &outage);
        assert_eq!((observation.category, observation.subject.as_str()), (Category::Agent, "agent"));
        let numbers: Vec<_> = values(&observation).iter().map(|q| (q.name.as_str(), q.value)).collect();
        assert_eq!(numbers, [("push_outage", 61.5), ("push_outage_failures", 7.0)]);
        assert!(fits(&observation));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_everything_fits(count in 0usize..600, name_len in 3usize..64) {
            let whole = sample(count, name_len);
            let parts = split(whole.clone());
            prop_assert!(parts.iter().all(fits));
            prop_assert!(parts.iter().all(|p| p.subject == whole.subject && p.at == whole.at));
            let joined: Vec<_> = parts.iter().flat_map(values).cloned().collect();
            prop_assert_eq!(joined.as_slice(), values(&whole));
        }
    }
}
