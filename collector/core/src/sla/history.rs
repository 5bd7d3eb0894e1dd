//! The history of one contract: all that its figures are made from, from a store or from a file
//! that somebody wrote for a check of their own.
//!
//! Holds: [`Known`] is the history as it was known at an instant. Whatever carries a later time
//! (an agreement, a report, a step) does not count yet. A contract version counts once both parties
//! approved it; a draft never. The order within a list does not matter.
//!
//! Does not: take time for up that nobody watched. What neither a heartbeat nor a watched stretch
//! covers is without data.

mod file;
mod record;
mod source;
mod standing;
pub mod table;

pub use file::FORMAT;
pub use record::{FiledRecord, Record, RecordAgreement};
pub use source::Sources;
pub use standing::VersionState;

use super::{
    calendar::{Day, HolidayList},
    checklist::{ChecklistRecord, CorrectionRequest},
    consequence::{self, Trigger},
    contract::{Contract, ContractHistory, Devices},
    currency::DeviceReports,
    exclusion::Exclusion,
    heartbeat::HeartbeatRuns,
    job::{Access, Job},
    miss::Explanation,
    month::{self, Month, SlaMonth},
    outage::{self, Outage},
    partition::{Label, Labelled},
    report::{annual::AnnualDelivery, event::Event},
    response::{self, IncidentHistory, ResponseClock},
    span::Span,
    year::{self, SlaYear, YearRules},
};
use serde::Serialize;
use std::{borrow::Cow, collections::BTreeSet, sync::Arc};
use tenken_common::{
    config::Problems,
    id::{ContractId, HospitalId, Name},
    time::Timestamp,
};

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// By effective date.
    pub versions: Vec<Version>,
    pub holidays: Arc<HolidayList>,
    /// The collector's own; `None` where its heartbeat is no part of the history.
    pub heartbeats: Option<HeartbeatRuns>,
    /// When the service was watched by somebody else. Outside there is no data.
    pub watched: Option<Vec<Span>>,
    /// Pushes of devices that failed while they could not reach the collector.
    pub failed_pushes: Vec<Span>,
    pub outages: Vec<Outage>,
    pub exclusions: Vec<Exclusion>,
    pub incidents: Vec<IncidentHistory>,
    pub devices: Vec<DeviceReports>,
    pub checklist: Vec<ChecklistRecord>,
    pub corrections: Vec<CorrectionRequest>,
    pub jobs: Vec<Job>,
    pub accesses: Vec<Access>,
    pub explanations: Vec<Explanation>,
    /// What has to be reported whenever it happens.
    pub events: Vec<Event>,
    /// What was handed over once a year.
    pub annual: Vec<AnnualDelivery>,
}

/// A contract version, and when each party approved it.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub contract: Contract,
    /// 乙.
    pub vendor: Option<Timestamp>,
    /// 甲.
    pub hospital: Option<Timestamp>,
}

impl Version {
    /// Whether both had approved it.
    pub fn is_agreed(&self, as_of: Timestamp) -> bool {
        [self.vendor, self.hospital].iter().all(|approved| approved.is_some_and(|at| at <= as_of))
    }
}

impl History {
    /// What does not fit together in it.
    pub fn check(&self, problems: &mut Problems) {
        match ContractHistory::new(self.versions.iter().map(|version| version.contract.clone())) {
            Ok(contracts) => file::check(self, &contracts, problems),
            Err(e) => problems.push("contracts", e.to_string()),
        }
    }

    /// What was known at an instant.
    pub fn known(&self, as_of: Timestamp) -> Known<'_> {
        let agreed = self.versions.iter().filter(|version| version.is_agreed(as_of));
        let contracts = ContractHistory::new(agreed.map(|v| v.contract.clone()))
            .expect("the versions fit to each other, and so does every part of them");
        let mut clocks: Vec<ResponseClock> =
            self.incidents.iter().filter_map(|i| response::clock(i, &contracts, as_of)).collect();
        clocks.sort_unstable_by_key(|clock| (clock.start, clock.incident));
        let claims = self.claims(&contracts, as_of);
        Known { history: self, as_of, contracts, claims, clocks }
    }

    /// All that is said about the state of the service.
    fn claims(&self, contracts: &ContractHistory, as_of: Timestamp) -> Vec<Labelled> {
        let mut claims: Vec<Labelled> = Vec::new();
        if self.heartbeats.is_none() && self.watched.is_none() {
            claims.push(Labelled { span: Span::new(Timestamp::MIN, as_of), label: Label::NoData });
        }
        claims.extend(self.heartbeats.iter().flat_map(|beats| beats.labels(as_of)));
        if let Some(watched) = &self.watched {
            let mut dark = vec![Span::new(Timestamp::MIN, as_of)];
            for span in watched {
                dark = dark.into_iter().flat_map(|gap| gap.without(*span)).collect();
            }
            claims.extend(dark.into_iter().map(|span| Labelled { span, label: Label::NoData }));
        }
        claims.extend(outage::contradictions(&self.failed_pushes, &self.outages, as_of));
        claims.extend(self.outages.iter().filter_map(|outage| outage.claim(as_of)));
        claims.extend(self.exclusions.iter().filter_map(|x| x.claim(contracts, as_of)));
        claims
    }

    /// The devices that a contract version covers: the ones that it names, also those that never
    /// reported; of groups, and where it covers all, the ones that did.
    pub fn covered(&self, contract: &Contract) -> Vec<Cow<'_, DeviceReports>> {
        let own = contract.rules.currency.iter().flat_map(|terms| &terms.provider_devices);
        let mut named: BTreeSet<&Name> = own.collect();
        if let Devices::Named { labels, .. } = &contract.devices {
            named.extend(labels);
        }
        let mut out: Vec<Cow<'_, DeviceReports>> = Vec::new();
        for device in &self.devices {
            let is_named = named.remove(&device.device);
            if is_named || contract.devices.covers(&device.device, device.group.as_ref()) {
                out.push(Cow::Borrowed(device));
            }
        }
        let silent = |label: &Name| DeviceReports { device: label.clone(), group: None, reports: Vec::new() };
        out.extend(named.into_iter().map(|label| Cow::Owned(silent(label))));
        out.sort_unstable_by(|a, b| a.device.cmp(&b.device));
        out
    }
}

/// The history as it was known at an instant.
#[derive(Debug)]
pub struct Known<'h> {
    pub history: &'h History,
    pub as_of: Timestamp,
    /// The versions that both parties had approved.
    pub contracts: ContractHistory,
    pub claims: Vec<Labelled>,
    /// Of all incidents, in the order of their start.
    pub clocks: Vec<ResponseClock>,
}

/// Every figure from the first month of the contract on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    pub as_of: Timestamp,
    pub contract: Option<Parties>,
    pub months: Vec<SlaMonth>,
    pub years: Vec<SlaYear>,
    /// When 甲 may ask for the contract's end (A7.2).
    pub triggers: Vec<Trigger>,
}

/// Whose contract it is, by its newest version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parties {
    pub id: ContractId,
    pub service_name: String,
    pub hospital: HospitalId,
    pub hospital_name: String,
    pub vendor: String,
}

impl Known<'_> {
    pub fn month(&self, month: Month) -> SlaMonth {
        month::evaluate(self, month)
    }

    /// The months that the contract has had, with the present one.
    pub fn months(&self) -> impl Iterator<Item = Month> + use<> {
        let first = self.contracts.versions().first().map(Contract::starts).filter(|s| *s < self.as_of);
        let last = Month::of(self.as_of.plus_micros(-1));
        first.into_iter().flat_map(move |first| Month::of(first).to(last))
    }

    /// Whose contract it is.
    pub fn parties(&self) -> Option<Parties> {
        self.contracts.versions().last().map(|c| Parties {
            id: c.id.clone(),
            service_name: c.service_name.clone(),
            hospital: c.hospital.id.clone(),
            hospital_name: c.hospital.name.clone(),
            vendor: c.vendor.clone(),
        })
    }

    /// Everything.
    pub fn evaluate(&self) -> Evaluation {
        let months: Vec<SlaMonth> = self.months().map(|month| self.month(month)).collect();
        let years = self.years(&months);
        let triggers = self.triggers(&months, &years);
        Evaluation { as_of: self.as_of, contract: self.parties(), months, years, triggers }
    }

    /// The years of these months (in order, without a hole), by the year's start in the version in
    /// force at the time.
    pub fn years(&self, months: &[SlaMonth]) -> Vec<SlaYear> {
        let start = self.contracts.in_force(self.as_of).map_or_else(Default::default, |c| c.rules.year_start);
        let mut out = Vec::new();
        let first_day = |month: Month| {
            let day = Day::of(month.span().from);
            let this = start.of_year(month.year()).filter(|first| *first <= day);
            this.or_else(|| start.of_year(month.year() - 1))
        };
        for group in months.chunk_by(|a, b| first_day(a.month) == first_day(b.month)) {
            let Some(first) = group.first().and_then(|m| first_day(m.month)) else { continue };
            let end = start.of_year(first.year() + 1).unwrap_or(Day::END);
            let judged_at = end.start().min(self.as_of).plus_micros(-1);
            let in_force = self.contracts.in_force(judged_at);
            let rules = YearRules {
                counting: in_force.and_then(|c| c.rules.counting),
                grades: in_force.and_then(|c| c.rules.grades),
                has_contract: in_force.is_some(),
            };
            out.push(year::evaluate(first, end.yesterday(), end.start() <= self.as_of, group, rules));
        }
        out
    }

    /// When 甲 may ask for the contract's end.
    pub fn triggers(&self, months: &[SlaMonth], years: &[SlaYear]) -> Vec<Trigger> {
        let missed = |month: &SlaMonth| {
            let certain = month.misses.iter().flatten().filter(|miss| miss.count > 0);
            (month.month, certain.map(|miss| miss.item).collect())
        };
        let ended: Vec<_> = months.iter().filter(|m| m.ended).map(missed).collect();
        let graded: Vec<_> = years.iter().filter(|y| y.ended).map(|y| (y.first, y.grade)).collect();
        let mut out = consequence::no_improvement(&ended);
        out.extend(consequence::of_grades(&graded));
        let known: Vec<ChecklistRecord> =
            self.history.checklist.iter().filter(|r| r.done_at <= self.as_of).cloned().collect();
        out.extend(consequence::not_corrected(&self.history.corrections, &known, self.as_of));
        out
    }
}

#[cfg(test)]
mod tests;
