//! Jobs that 甲 entrusted to 乙, and every access to its devices (SLA A1.2, A6.3(3), A6.5(1)①), as
//! people enter them: what the monthly report counts.
//!
//! Holds: an access without 甲's request is kept and flagged, one that began before the approval
//! too; an emergency is accepted afterwards (事後承認) and stays open until 甲 confirms it.

use super::span::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tenken_common::{id::Name, message::Message, time::Timestamp};

/// What the service consists of (A1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceType {
    /// 故障時の対応.
    FaultHandling,
    /// 定期保守.
    ScheduledMaintenance,
    /// 定期監視.
    PeriodicMonitoring,
    /// ソフトウェアの改訂.
    SoftwareRevision,
}

impl ServiceType {
    pub const ALL: [Self; 4] =
        [Self::FaultHandling, Self::ScheduledMaintenance, Self::PeriodicMonitoring, Self::SoftwareRevision];

    pub fn message(self) -> Message {
        match self {
            Self::FaultHandling => Message::SlaFaultHandling,
            Self::ScheduledMaintenance => Message::SlaScheduledMaintenance,
            Self::PeriodicMonitoring => Message::SlaPeriodicMonitoring,
            Self::SoftwareRevision => Message::SlaSoftwareRevision,
        }
    }
}

/// A job, counted in the month in which it was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    pub id: Name,
    pub service: ServiceType,
    pub received_at: Timestamp,
    #[serde(default)]
    pub closed_at: Option<Timestamp>,
}

/// Somebody worked on a device from afar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    pub id: Name,
    pub service: ServiceType,
    /// As 甲's register names the person.
    pub worker: Name,
    /// 乙, 丙 or 丁, by name.
    pub employer: String,
    /// The device's label.
    pub target: Name,
    pub from: Timestamp,
    pub to: Timestamp,
    #[serde(default)]
    pub job: Option<Name>,
    /// 甲's request or approval.
    #[serde(default)]
    pub request: Option<Request>,
    #[serde(default)]
    pub emergency: bool,
    /// When 甲 confirmed an emergency access.
    #[serde(default)]
    pub confirmed_at: Option<Timestamp>,
}

/// 甲's request, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub at: Timestamp,
    pub reference: String,
}

/// What is wrong with an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessFlag {
    /// Neither a request of 甲 nor a job.
    NoRequest,
    /// It began before 甲 approved.
    BeforeApproval,
    /// An emergency that 甲 has not confirmed.
    NotConfirmed,
}

impl AccessFlag {
    pub fn message(self) -> Message {
        match self {
            Self::NoRequest => Message::SlaAccessNoRequest,
            Self::BeforeApproval => Message::SlaAccessBeforeApproval,
            Self::NotConfirmed => Message::SlaAccessNotConfirmed,
        }
    }
}

impl Access {
    pub fn flag(&self, as_of: Timestamp) -> Option<AccessFlag> {
        if self.emergency {
            let confirmed = self.confirmed_at.is_some_and(|at| at <= as_of);
            return (!confirmed).then_some(AccessFlag::NotConfirmed);
        }
        match &self.request {
            None => Some(AccessFlag::NoRequest),
            Some(request) if request.at > self.from => Some(AccessFlag::BeforeApproval),
            Some(_) if self.job.is_none() && self.service == ServiceType::FaultHandling => {
                Some(AccessFlag::NoRequest)
            }
            Some(_) => None,
        }
    }
}

/// A month's jobs and accesses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct JobMonth {
    /// 作業件数.
    pub jobs: BTreeMap<ServiceType, u32>,
    /// アクセス状況, by what it was for.
    pub accesses: BTreeMap<ServiceType, u32>,
    /// Minutes of access, begun ones counted whole.
    pub minutes: BTreeMap<ServiceType, u64>,
    /// 再委託先を含む, by employer.
    pub by_employer: BTreeMap<String, u32>,
    pub flagged: Vec<(Name, AccessFlag)>,
}

/// Those that began in `span` and are known at `as_of`.
pub fn month(jobs: &[Job], accesses: &[Access], span: Span, as_of: Timestamp) -> JobMonth {
    let here = |at: Timestamp| span.contains(at) && at <= as_of;
    let mut out = JobMonth::default();
    for job in jobs.iter().filter(|job| here(job.received_at)) {
        *out.jobs.entry(job.service).or_default() += 1;
    }
    for access in accesses.iter().filter(|access| here(access.from)) {
        *out.accesses.entry(access.service).or_default() += 1;
        let us = u64::try_from(Span::new(access.from, access.to).len_us()).unwrap_or(0);
        *out.minutes.entry(access.service).or_default() += us.div_ceil(60_000_000);
        *out.by_employer.entry(access.employer.clone()).or_default() += 1;
        out.flagged.extend(access.flag(as_of).map(|flag| (access.id.clone(), flag)));
    }
    out.flagged.sort_unstable();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    fn access(request: Option<i64>, emergency: bool, confirmed: Option<i64>) -> Access {
        Access {
            id: Name::new("a-1").unwrap(),
            service: ServiceType::ScheduledMaintenance,
            worker: Name::new("w-1").unwrap(),
            employer: "乙".into(),
            target: Name::new("ct-1").unwrap(),
            from: at(100),
            to: at(161),
            job: None,
            request: request.map(|s| Request { at: at(s), reference: "R-1".into() }),
            emergency,
            confirmed_at: confirmed.map(at),
        }
    }

    #[test]
    fn an_access_without_the_hospitals_word_is_flagged() {
        let flag = |request, emergency, confirmed| access(request, emergency, confirmed).flag(at(1_000));
        assert_eq!(flag(Some(100), false, None), None);
        assert_eq!(flag(None, false, None), Some(AccessFlag::NoRequest));
        assert_eq!(flag(Some(101), false, None), Some(AccessFlag::BeforeApproval));
        assert_eq!(flag(None, true, None), Some(AccessFlag::NotConfirmed));
        assert_eq!(flag(None, true, Some(1_001)), Some(AccessFlag::NotConfirmed), "not known yet");
        assert_eq!(flag(None, true, Some(1_000)), None);
        let fault = Access { service: ServiceType::FaultHandling, ..access(Some(50), false, None) };
        assert_eq!(fault.flag(at(1_000)), Some(AccessFlag::NoRequest), "no job is named");
    }

    #[test]
    fn the_month_counts_what_began_in_it() {
        let job = |s| Job {
            id: Name::new("j").unwrap(),
            service: ServiceType::FaultHandling,
            received_at: at(s),
            closed_at: None,
        };
        let span = Span::new(at(100), at(200));
        let got =
            month(&[job(99), job(100), job(199), job(200)], &[access(None, false, None)], span, at(1_000));
        assert_eq!(got.jobs.get(&ServiceType::FaultHandling), Some(&2));
        assert_eq!(got.minutes.get(&ServiceType::ScheduledMaintenance), Some(&2));
        assert_eq!(got.flagged.len(), 1);
        assert_eq!(month(&[job(150)], &[], span, at(149)), JobMonth::default(), "not known yet");
    }
}
