//! The maintenance plan: parts, disks and certificates of each hospital by the date on which they
//! reach their limit, and parts that took damage as those do that fail soon, for which nobody can name a day.
//!
//! Holds: every forecast is a line, also the one without a date, with its reason; what is not known
//! (nothing heard, too short a history, a part whose rated life nobody told) is told as unknown and
//! never as good. The lines come in a fixed order: by hospital, the nearest date first.

use super::{
    cause,
    incident::Incident,
    rule::{RuleSet, When},
};
use crate::{
    evaluation::ForecastResult,
    predict::forecast::{Outcome, Refusal},
    sla::{calendar::ServiceCalendar, span::Span},
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};
use tenken_common::{
    id::{DeviceId, HospitalId, Name},
    message::{Language, PredictText},
    time::Timestamp,
};

/// One device, as far as the plan needs it.
#[derive(Debug, Clone)]
pub struct PlanDevice {
    pub device: DeviceId,
    pub hospital: HospitalId,
    pub label: Name,
    /// Whether its newest numbers may be taken for its state.
    pub is_heard: bool,
    pub calendar: Arc<ServiceCalendar>,
    /// Parts and their quantities whose rated life nobody told.
    pub unrated: Vec<(Name, Name)>,
    /// Of its open incidents those that [`at_risk`] keeps.
    pub at_risk: Vec<Incident>,
}

/// Whether an incident is about a part that may fail soon: found by a rule of kind `failure_risk`, or by one
/// that tells of the same.
pub fn at_risk(rules: &RuleSet, incident: &Incident) -> bool {
    let risks = rules.rules.iter().filter(|rule| matches!(rule.when, When::FailureRisk(_)));
    incident.is_open() && risks.flat_map(|rule| cause::kin(&rules.rules, rule)).any(|id| *id == incident.rule)
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanLine {
    pub hospital: HospitalId,
    pub device: DeviceId,
    pub label: Name,
    pub rule: Option<Name>,
    pub subject: Option<Name>,
    pub quantity: Option<Name>,
    pub value: Option<f64>,
    pub limit: Option<f64>,
    #[serde(flatten)]
    pub prospect: Prospect,
}

/// What is known of the date.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Prospect {
    /// The limit is reached.
    Reached,
    /// It may fail any day.
    AtRisk {
        since: Timestamp,
    },
    Due {
        at: Timestamp,
        low: Timestamp,
        high: Timestamp,
        working_days: usize,
    },
    /// The limit is not in sight.
    NotYet {
        refusal: Refusal,
    },
    Unknown {
        why: WhyUnknown,
    },
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyUnknown {
    /// Nothing is heard from the device.
    NotHeard,
    /// No forecast is made of anything of it.
    NothingForecast,
    /// Nobody told the part's rated life.
    NoRatedLife,
    Refused(Refusal),
}

impl WhyUnknown {
    pub fn text(self, language: Language) -> &'static str {
        match self {
            Self::NotHeard => PredictText::PlanNotHeard.text(language),
            Self::NothingForecast => PredictText::PlanNothing.text(language),
            Self::NoRatedLife => PredictText::PlanNoRatedLife.text(language),
            Self::Refused(refusal) => refusal.message().text(language),
        }
    }
}

impl Prospect {
    fn of(outcome: Outcome, as_of: Timestamp, calendar: &ServiceCalendar) -> Self {
        match outcome {
            Outcome::AlreadyReached => Self::Reached,
            Outcome::Crossing(c) => {
                let working_days = calendar.working_days(Span::new(as_of, c.at));
                Self::Due { at: c.at, low: c.low, high: c.high, working_days }
            }
            Outcome::Refused(refusal) if refusal.is_all_clear() => Self::NotYet { refusal },
            Outcome::Refused(refusal) => Self::Unknown { why: WhyUnknown::Refused(refusal) },
        }
    }

    /// The nearest first; what is unknown before what is not in sight.
    fn order(&self) -> (u8, Timestamp) {
        match self {
            Self::Reached => (0, Timestamp::MIN),
            Self::AtRisk { since } => (1, *since),
            Self::Due { at, .. } => (2, *at),
            Self::Unknown { .. } => (3, Timestamp::MIN),
            Self::NotYet { .. } => (4, Timestamp::MIN),
        }
    }
}

/// See the module's head. Forecasts of devices that are not named are left out.
pub fn plan(forecasts: &[ForecastResult], devices: &[PlanDevice], as_of: Timestamp) -> Vec<PlanLine> {
    let mut of_device: BTreeMap<DeviceId, Vec<&ForecastResult>> = BTreeMap::new();
    for forecast in forecasts {
        of_device.entry(forecast.device).or_default().push(forecast);
    }
    let mut lines = Vec::new();
    for device in devices {
        let blank = |prospect| PlanLine {
            hospital: device.hospital.clone(),
            device: device.device,
            label: device.label.clone(),
            rule: None,
            subject: None,
            quantity: None,
            value: None,
            limit: None,
            prospect,
        };
        if !device.is_heard {
            lines.push(blank(Prospect::Unknown { why: WhyUnknown::NotHeard }));
            continue;
        }
        let forecasts = of_device.remove(&device.device).unwrap_or_default();
        for incident in &device.at_risk {
            lines.push(PlanLine {
                rule: Some(incident.rule.clone()),
                subject: Some(incident.subject.clone()),
                ..blank(Prospect::AtRisk { since: incident.first_seen })
            });
        }
        if forecasts.is_empty() && device.unrated.is_empty() && device.at_risk.is_empty() {
            lines.push(blank(Prospect::Unknown { why: WhyUnknown::NothingForecast }));
        }
        for f in forecasts {
            lines.push(PlanLine {
                rule: Some(f.rule.clone()),
                subject: Some(f.subject.clone()),
                quantity: Some(f.quantity.clone()),
                value: Some(f.value),
                limit: Some(f.limit),
                ..blank(Prospect::of(f.outcome, as_of, &device.calendar))
            });
        }
        for (subject, quantity) in &device.unrated {
            lines.push(PlanLine {
                subject: Some(subject.clone()),
                quantity: Some(quantity.clone()),
                ..blank(Prospect::Unknown { why: WhyUnknown::NoRatedLife })
            });
        }
    }
    lines.sort_by_cached_key(|line| {
        let of = (line.label.clone(), line.rule.clone(), line.subject.clone());
        (line.hospital.clone(), line.prospect.order(), of)
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desk::{
            finding::Finding,
            incident::Phase,
            notice::{Bilingual, Severity},
        },
        predict::forecast::Crossing,
        sla::calendar::Day,
    };

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn day(text: &str) -> Timestamp {
        text.parse::<Day>().unwrap().start()
    }

    fn device(id: u8, hospital: &str, is_heard: bool) -> PlanDevice {
        PlanDevice {
            device: DeviceId([id; 16]),
            hospital: HospitalId(name(hospital)),
            label: name(&format!("ct-{id}")),
            is_heard,
            calendar: Arc::default(),
            unrated: vec![],
            at_risk: vec![],
        }
    }

    fn forecast(id: u8, subject: &str, outcome: Outcome) -> ForecastResult {
        ForecastResult {
            device: DeviceId([id; 16]),
            rule: name("disk-filling"),
            subject: name(subject),
            quantity: name("available_bytes"),
            value: 1.0,
            limit: 0.0,
            outcome,
        }
    }

    fn on(date: &str) -> Outcome {
        Outcome::Crossing(Crossing { at: day(date), low: day(date), high: day(date), per_day: -1.0 })
    }

    fn failing() -> Incident {
        let both = Bilingual { ja: "異常".into(), en: "bad".into() };
        let finding = Finding {
            rule: name("disk-failing"),
            device: DeviceId([4; 16]),
            subject: name("sda"),
            severity: Severity::Warning,
            since: day("2026-09-10"),
            last: day("2026-09-10"),
            affected: BTreeMap::new(),
            over: None,
            numbers: BTreeMap::new(),
            finding: both.clone(),
            action: both,
        };
        Incident::open(&finding, HospitalId(name("a")), name("ct-4"), day("2026-09-10"))
    }

    #[test]
    fn a_part_is_at_risk_by_whichever_rule_tells_of_its_damage() {
        let rules = RuleSet::parse(include_str!("../../../../packaging/rules/default.toml")).unwrap();
        let of = |rule: &str| at_risk(&rules, &Incident { rule: name(rule), ..failing() });
        assert!(of("disk-failing") && of("disk-health") && !of("ssd-wear"));
        let gone = Incident { phase: Phase::Recovered, ..failing() };
        assert!(!at_risk(&rules, &gone));
    }

    #[test]
    fn the_nearest_comes_first_and_what_is_unknown_is_told() {
        let devices = [
            PlanDevice { unrated: vec![(name("tube"), name("exposures"))], ..device(1, "b", true) },
            device(2, "b", false),
            device(3, "b", true),
            PlanDevice { at_risk: vec![failing()], ..device(4, "a", true) },
        ];
        let forecasts = [
            forecast(1, "/far", on("2026-12-01")),
            forecast(1, "/calm", Outcome::Refused(Refusal::NoTrend)),
            forecast(1, "/near", on("2026-09-25")),
            forecast(1, "/new", Outcome::Refused(Refusal::TooFew { have: 1, need: 12 })),
            forecast(1, "/full", Outcome::AlreadyReached),
            forecast(2, "/old", on("2026-09-20")),
            forecast(4, "/x", on("2027-01-01")),
        ];
        let lines = plan(&forecasts, &devices, day("2026-09-18"));
        let told: Vec<(&str, &str, Option<&str>)> = lines
            .iter()
            .map(|l| (l.hospital.as_str(), l.label.as_str(), l.subject.as_ref().map(Name::as_str)))
            .collect();
        assert_eq!(
            told,
            [
                ("a", "ct-4", Some("sda")),
                ("a", "ct-4", Some("/x")),
                ("b", "ct-1", Some("/full")),
                ("b", "ct-1", Some("/near")),
                ("b", "ct-1", Some("/far")),
                ("b", "ct-1", Some("tube")),
                ("b", "ct-1", Some("/new")),
                ("b", "ct-2", None),
                ("b", "ct-3", None),
                ("b", "ct-1", Some("/calm")),
            ]
        );
        // Friday and, after five closed days, Thursday.
        assert!(matches!(lines[3].prospect, Prospect::Due { working_days: 2, .. }), "{:?}", lines[3]);
        assert_eq!(lines[7].prospect, Prospect::Unknown { why: WhyUnknown::NotHeard });
        assert_eq!(lines[8].prospect, Prospect::Unknown { why: WhyUnknown::NothingForecast });
        for why in [WhyUnknown::NotHeard, WhyUnknown::NoRatedLife, WhyUnknown::Refused(Refusal::Unsteady)] {
            assert!(!why.text(Language::Ja).is_empty());
        }
    }
}
