//! Random histories of a contract, from their seed.
//!
//! Holds: everything happens within two months, where holidays, a change of version, open ends,
//! late agreements and overlaps meet often.

use crate::seed;
use proptest::{prelude::RngExt as _, test_runner::TestRng};
use std::sync::Arc;
use tenken_collector_core::{
    desk::notice::{IncidentId, Severity},
    sla::{
        agreed::Agreed,
        calendar::HolidayList,
        contract::Contract,
        exclusion::Exclusion,
        heartbeat::{HeartbeatRuns, Run},
        history::{History, Version},
        outage::{Attribution, Cause, Extent, Outage, OutageSource},
        response::{IncidentEvent, IncidentEventKind, IncidentHistory},
        span::Span,
    },
};
use tenken_common::{id::Name, time::Timestamp};

const CONTRACT: &str = include_str!("../../../packaging/config/contract.example.toml");
const HOUR_US: i64 = 3_600_000_000;
/// 60 days from 2026-08-31 00:00 JST on: September with its five holidays, and October.
const HOURS: i64 = 60 * 24;

/// One random history, and what draws further from its seed.
pub struct Drawn {
    pub history: History,
    pub as_of: Timestamp,
    pub rng: TestRng,
}

/// The beginning of the time in which everything happens.
pub fn begin() -> Timestamp {
    "2026-08-31T00:00:00+09:00".parse().unwrap()
}

impl Drawn {
    pub fn of(seed: u64) -> Self {
        let mut drawn = Self { history: History::default(), as_of: begin(), rng: seed::rng(seed) };
        drawn.versions();
        drawn.watching();
        drawn.outages();
        drawn.exclusions();
        drawn.incidents();
        drawn.as_of = drawn.instant().max(begin().plus_micros(24 * HOUR_US));
        drawn
    }

    fn below(&mut self, n: u32) -> u32 {
        self.rng.random_range(0..n)
    }

    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Often on the hour or at an edge of the service hours, sometimes at any microsecond.
    pub fn instant(&mut self) -> Timestamp {
        let us = match self.below(4) {
            0 => self.rng.random_range(0..HOURS * HOUR_US),
            1 => (self.rng.random_range(0..HOURS) / 24 * 24 + if self.coin() { 9 } else { 17 }) * HOUR_US,
            _ => self.rng.random_range(0..HOURS) * HOUR_US,
        };
        begin().plus_micros(us)
    }

    fn span(&mut self) -> Span {
        let from = self.instant();
        let us = match self.below(3) {
            0 => self.rng.random_range(0..HOUR_US),
            1 => self.rng.random_range(0..100) * HOUR_US,
            _ => self.rng.random_range(0..3) * 24 * HOUR_US,
        };
        Span::new(from, from.plus_micros(us))
    }

    fn agreed(&mut self) -> Option<Agreed> {
        (self.below(4) > 0).then(|| Agreed { at: self.instant(), by: "minato".to_owned() })
    }

    fn name(prefix: &str, i: u32) -> Name {
        Name::new(&format!("{prefix}-{i}")).unwrap()
    }

    fn versions(&mut self) {
        let hours = [
            "mon = [\"09:00-17:00\"]",
            "mon = [\"09:00-12:00\", \"13:00-17:30\"]",
            "mon = [\"00:00-24:00\"]",
        ][self.below(3) as usize];
        let first = CONTRACT.replace("mon = [\"09:00-17:00\"]", hours);
        let day = 1 + self.below(28);
        let second = CONTRACT
            .replace("version = 1", "version = 2")
            .replace("2026-04-01", &format!("2026-09-{day:02}"))
            .replace("uptime = 0.99", "uptime = 0.95");
        let holidays = match self.below(4) {
            0 => HolidayList::parse("2026-09-07,臨時の休日\n2026-09-21,敬老の日").unwrap(),
            _ => HolidayList::default(),
        };
        let holidays = Arc::new(holidays);
        let early = Some("2026-03-01T00:00:00+09:00".parse().unwrap());
        let of = |text: &str, hospital| Version {
            contract: Contract::parse(text).unwrap().with_holidays(&holidays),
            vendor: early,
            hospital,
        };
        self.history.versions.push(of(&first, early));
        if self.coin() {
            let agreed = if self.coin() { early } else { Some(self.instant()) };
            self.history.versions.push(of(&second, agreed));
        }
        self.history.holidays = holidays;
    }

    fn watching(&mut self) {
        if self.below(3) > 0 {
            let mut at = self.instant().min(begin().plus_micros(200 * HOUR_US));
            let mut runs = Vec::new();
            for _ in 0..self.below(6) {
                let last = at.plus_micros(self.rng.random_range(1..300) * HOUR_US);
                runs.push(Run { first: at, last });
                at = last.plus_micros(self.rng.random_range(1..30 * HOUR_US));
            }
            self.history.heartbeats = Some(HeartbeatRuns::of_runs(runs));
        }
        if self.coin() {
            let n = self.below(4);
            self.history.watched = Some(
                (0..n)
                    .map(|_| self.span())
                    .chain([Span::new(begin(), begin().plus_micros(HOURS * HOUR_US))])
                    .collect(),
            );
        }
        for _ in 0..self.below(3) {
            let span = self.span();
            self.history.failed_pushes.push(span);
        }
    }

    fn outages(&mut self) {
        for i in 0..self.below(6) {
            let span = self.span();
            let extent = match self.below(5) {
                0 => Extent::Partial { no_serious_impact: self.coin().then(|| Self::name("w", i)) },
                _ => Extent::Full,
            };
            let attributions = (0..self.below(4))
                .map(|_| {
                    let cause =
                        [Cause::Provider, Cause::Customer, Cause::Undetermined][self.below(3) as usize];
                    Attribution { at: self.instant(), cause, by: Self::name("w", i), agreed: self.agreed() }
                })
                .collect();
            let source = if self.coin() { OutageSource::Link } else { OutageSource::Manual };
            let to = (self.below(6) > 0).then_some(span.to);
            let note = String::new();
            let id = Self::name("o", i);
            self.history.outages.push(Outage { id, from: span.from, to, source, extent, attributions, note });
        }
    }

    fn exclusions(&mut self) {
        for i in 0..self.below(5) {
            let span = self.span();
            let rule = if self.coin() { "planned" } else { "disaster" };
            let ahead = self.rng.random_range(5..10) * 24 * HOUR_US;
            let announced_at = (self.below(4) > 0).then(|| span.from.plus_micros(-ahead));
            let agreed = self.agreed();
            self.history.exclusions.push(Exclusion {
                id: Self::name("x", i),
                rule: Name::new(rule).unwrap(),
                from: span.from,
                to: span.to,
                announced_at,
                agreed,
                evidence: Vec::new(),
                note: String::new(),
            });
        }
    }

    fn incidents(&mut self) {
        for i in 0..self.below(5) {
            let detected = self.instant();
            let mut events =
                vec![IncidentEvent { at: detected, kind: IncidentEventKind::Detected(Severity::Critical) }];
            for _ in 0..self.below(4) {
                let at = detected.plus_micros(self.rng.random_range(0..200) * HOUR_US / 4);
                let kind = match self.below(5) {
                    0 => IncidentEventKind::Acknowledged,
                    1 => IncidentEventKind::Recovered,
                    2 => IncidentEventKind::Contacted(Severity::Critical),
                    3 => IncidentEventKind::Downgraded {
                        to: Severity::Warning,
                        approver: self.coin().then(|| Self::name("w", i)),
                    },
                    _ => IncidentEventKind::FirstResponseReported,
                };
                events.push(IncidentEvent { at, kind });
            }
            self.history.incidents.push(IncidentHistory { incident: IncidentId(u64::from(i) + 1), events });
        }
    }
}
