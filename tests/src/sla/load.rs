//! A large history: one year of one contract with many devices, incidents, jobs and accesses.

use crate::seed;
use proptest::prelude::RngExt as _;
use std::time::Duration;
use tenken_collector_core::{
    desk::notice::{IncidentId, Severity},
    sla::{
        contract::{Contract, CurrencyKind},
        currency::{CurrencyReport, CurrencyState, DeviceReports},
        heartbeat::{HeartbeatRuns, Run},
        history::{History, Version},
        job::{Access, Job, Request, ServiceType},
        outage::{Attribution, Cause, Extent, Outage, OutageSource},
        response::{IncidentEvent, IncidentEventKind, IncidentHistory},
    },
};
use tenken_common::{id::Name, time::Timestamp};

const CONTRACT: &str = include_str!("../../../packaging/config/contract.example.toml");
const DAYS: u32 = 365;
const DAY: Duration = Duration::from_hours(24);

/// A year from 2026-04-01 on, and the instant at its end.
pub fn year(seed: u64, devices: u32, incidents: u32) -> (History, Timestamp) {
    let mut rng = seed::rng(seed);
    let mut document: toml::Table = toml::from_str(CONTRACT).unwrap();
    document.insert("all_devices".into(), true.into());
    document.remove("devices");
    document.remove("device_groups");
    let contract = Contract::parse(&toml::to_string(&document).unwrap()).unwrap();
    let first = contract.starts();
    let day = |n: u32| first.plus(DAY * n);
    let worker = Name::new("w-1").unwrap();
    let approved = Some(first);
    // The collector stops for a moment every week.
    let run = |week: u32| Run {
        first: day(week * 7),
        last: day(week * 7 + 7).minus(Duration::from_secs(40 + u64::from(week))),
    };
    let outage = |i: u32| {
        let from = day(i * 7).plus(Duration::from_hours(10));
        let judged = Attribution { at: from, cause: Cause::Provider, by: worker.clone(), agreed: None };
        Outage {
            id: Name::new(&format!("o-{i}")).unwrap(),
            from,
            to: Some(from.plus(Duration::from_mins(20))),
            source: OutageSource::Link,
            extent: Extent::Full,
            attributions: vec![judged],
            note: String::new(),
        }
    };
    let mut incident = |i: u32| {
        let at = first.plus(Duration::from_secs(rng.random_range(0..u64::from(DAYS) * 86_400)));
        let reported = at.plus(Duration::from_mins(rng.random_range(1..3_000)));
        let event = |at, kind| IncidentEvent { at, kind };
        let events = vec![
            event(at, IncidentEventKind::Detected(Severity::Critical)),
            event(reported, IncidentEventKind::FirstResponseReported),
        ];
        IncidentHistory { incident: IncidentId(u64::from(i) + 1), events }
    };
    let incidents: Vec<IncidentHistory> = (0..incidents).map(&mut incident).collect();
    let begun: Vec<Timestamp> = incidents.iter().filter_map(|i| i.events.first()).map(|e| e.at).collect();
    // Each was a job, with one access to the device.
    let job = |(i, at): (usize, &Timestamp)| Job {
        id: Name::new(&format!("j-{i}")).unwrap(),
        service: ServiceType::FaultHandling,
        received_at: *at,
        closed_at: Some(at.plus(DAY)),
    };
    let access = |(i, at): (usize, &Timestamp)| Access {
        id: Name::new(&format!("a-{i}")).unwrap(),
        service: ServiceType::FaultHandling,
        worker: worker.clone(),
        employer: contract.vendor.clone(),
        target: Name::new(&format!("device-{}", i % 1_000)).unwrap(),
        from: at.plus(Duration::from_mins(10)),
        to: at.plus(Duration::from_mins(40)),
        job: Some(Name::new(&format!("j-{i}")).unwrap()),
        request: Some(Request { at: *at, reference: format!("R-{i}") }),
        emergency: false,
        confirmed_at: None,
    };
    let jobs = begun.iter().enumerate().map(job).collect();
    let accesses = begun.iter().enumerate().map(access).collect();
    let mut device = |i: u32| {
        let report = |n: u32, kind, late: u32| {
            let since = day(n).minus(DAY * late);
            CurrencyReport { at: day(n), kind, source: None, state: CurrencyState::Since { since } }
        };
        let late = rng.random_range(0..9u32);
        let of_day = |n| {
            [report(n, CurrencyKind::PatternFile, n % (late + 1)), report(n, CurrencyKind::OsPatch, n % 40)]
        };
        DeviceReports {
            device: Name::new(&format!("device-{i}")).unwrap(),
            group: None,
            reports: (0..DAYS).flat_map(of_day).collect(),
        }
    };
    let history = History {
        versions: vec![Version { contract, vendor: approved, hospital: approved }],
        heartbeats: Some(HeartbeatRuns::of_runs((0..=(DAYS / 7)).map(run))),
        outages: (0..50).map(outage).collect(),
        incidents,
        jobs,
        accesses,
        devices: (0..devices).map(&mut device).collect(),
        ..History::default()
    };
    (history, day(DAYS))
}
