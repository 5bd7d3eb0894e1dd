//! `tenken-collector plan`: parts, disks and certificates by the date on which they reach their limit.
//!
//! Holds: it shows the forecasts that the evaluation made last; what is not known is told as such.

use super::{incident, print_json, say};
use crate::{
    overview,
    store::{Store, model::DeviceStatus},
    worker::load,
};
use std::collections::BTreeMap;
use tenken_collector_core::{
    desk::{
        incident::Incident,
        plan::{PlanDevice, PlanLine, Prospect, at_risk, plan},
        rule::RuleSet,
    },
    predict::anomaly::reason::number,
};
use tenken_common::{
    column,
    fact::{Fact, WearDirection},
    id::{DeviceId, HospitalId, Name},
    message::{Language, PredictText},
    time::{Timestamp, jst_date, jst_instant},
};

#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// Of this hospital only
    #[arg(long, value_name = "HOSPITAL")]
    hospital: Option<HospitalId>,
    /// As CSV, for a table program
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(
    args: &PlanArgs,
    (store, rules): (&Store, &RuleSet),
    now: Timestamp,
    language: Language,
) -> anyhow::Result<()> {
    let mut devices = devices((store, rules), now).await?;
    devices.retain(|d| args.hospital.as_ref().is_none_or(|hospital| *hospital == d.hospital));
    let lines = plan(&overview::forecasts(store).await?, &devices, now);
    if args.json {
        print_json(&lines)
    } else if args.csv {
        say(&csv(&lines, language)?)
    } else {
        say(&text(&lines, language))
    }
}

/// Those that are evaluated.
async fn devices((store, rules): (&Store, &RuleSet), now: Timestamp) -> anyhow::Result<Vec<PlanDevice>> {
    let mut unrated: BTreeMap<DeviceId, Vec<(Name, Name)>> = BTreeMap::new();
    for row in store.facts().await? {
        if let Fact::WearCounter(part) = row.fact
            && part.rated_life.is_none()
            && part.direction == WearDirection::Up
        {
            unrated.entry(row.device).or_default().push((row.subject, part.value.name));
        }
    }
    let mut risks: BTreeMap<DeviceId, Vec<Incident>> = BTreeMap::new();
    for incident in incident::incidents(store).await? {
        if at_risk(rules, &incident) {
            risks.entry(incident.device).or_default().push(incident);
        }
    }
    let calendars = load::calendars(store, now, store.position().await?).await?;
    let all = overview::devices(store, now).await?;
    let approved = all.into_iter().filter(|d| d.status == DeviceStatus::Approved.as_str());
    Ok(approved
        .map(|d| PlanDevice {
            device: d.device,
            calendar: calendars.get(&d.hospital).cloned().unwrap_or_default(),
            hospital: d.hospital,
            label: d.label,
            is_heard: d.state.liveness.is_heard(),
            unrated: unrated.remove(&d.device).unwrap_or_default(),
            at_risk: risks.remove(&d.device).unwrap_or_default(),
        })
        .collect())
}

/// Date, range and working days of a line, or why there is none.
fn when(prospect: Prospect, language: Language) -> [String; 3] {
    let only = |text: String| [text, String::new(), String::new()];
    match prospect {
        Prospect::Due { at, low, high, working_days } => {
            let range = format!("{} - {}", jst_date(low), jst_date(high));
            [jst_date(at), range, working_days.to_string()]
        }
        Prospect::AtRisk { since } => [
            PredictText::PlanAtRisk.text(language).to_owned(),
            PredictText::PlanSince.fill(language, &[("day", &jst_date(since))]),
            String::new(),
        ],
        Prospect::Reached => only(PredictText::PlanReached.text(language).to_owned()),
        Prospect::NotYet { refusal } => {
            only(PredictText::PlanNotYet.fill(language, &[("why", refusal.message().text(language))]))
        }
        Prospect::Unknown { why } => {
            only(PredictText::PlanUnknown.fill(language, &[("why", why.text(language))]))
        }
    }
}

fn name(name: Option<&Name>) -> String {
    name.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn text(lines: &[PlanLine], language: Language) -> String {
    if lines.is_empty() {
        return PredictText::PlanEmpty.text(language).to_owned();
    }
    let heads = [
        PredictText::PlanDate,
        PredictText::PlanRange,
        PredictText::PlanDays,
        PredictText::PlanDevice,
        PredictText::PlanSubject,
        PredictText::PlanRule,
    ];
    let heads = heads.map(|head| head.text(language).to_owned());
    let mut out = String::new();
    for of_hospital in lines.chunk_by(|a, b| a.hospital == b.hospital) {
        let mut rows = vec![heads.clone()];
        let mut notes = Vec::new();
        for line in of_hospital {
            let [date, range, days] = when(line.prospect, language);
            let (label, subject) = (line.label.to_string(), name(line.subject.as_ref()));
            match line.prospect {
                Prospect::Due { .. } | Prospect::Reached | Prospect::AtRisk { .. } => {
                    rows.push([date, range, days, label, subject, name(line.rule.as_ref())]);
                }
                Prospect::NotYet { .. } | Prospect::Unknown { .. } => {
                    let rule = line.rule.as_ref().or(line.quantity.as_ref());
                    notes.push([label, subject, name(rule), date]);
                }
            }
        }
        out.push_str(&format!("{}\n", of_hospital.first().map_or("", |line| line.hospital.as_str())));
        if rows.len() > 1 {
            out.push_str(&aligned(&rows));
        }
        out.push_str(&aligned(&notes));
    }
    out
}

/// Rows with their columns below each other.
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = column::width(cell).max(*width);
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| column::pad(cell, width)).collect();
        out.push_str(&format!("  {}\n", cells.join("  ").trim_end()));
    }
    out
}

fn csv(lines: &[PlanLine], language: Language) -> anyhow::Result<String> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.write_record([
        "hospital",
        "device",
        "name",
        "rule",
        "subject",
        "quantity",
        "value",
        "limit",
        "state",
        "at",
        "low",
        "high",
        "working_days",
        "why",
    ])?;
    for line in lines {
        let (state, dates, why) = match line.prospect {
            Prospect::AtRisk { since } => {
                let why = PredictText::PlanSince.fill(language, &[("day", &jst_date(since))]);
                ("at_risk", [const { String::new() }; 4], why)
            }
            Prospect::Reached => ("reached", [const { String::new() }; 4], String::new()),
            Prospect::Due { at, low, high, working_days } => {
                let dates = [jst_instant(at), jst_instant(low), jst_instant(high), working_days.to_string()];
                ("due", dates, String::new())
            }
            Prospect::NotYet { refusal } => {
                ("not_yet", [const { String::new() }; 4], refusal.message().text(language).to_owned())
            }
            Prospect::Unknown { why } => {
                ("unknown", [const { String::new() }; 4], why.text(language).to_owned())
            }
        };
        let word = |name: Option<&Name>| name.map_or_else(String::new, ToString::to_string);
        let amount = |value: Option<f64>| value.map_or_else(String::new, number);
        let [at, low, high, days] = dates;
        rows.write_record([
            line.hospital.to_string(),
            line.device.to_string(),
            line.label.to_string(),
            word(line.rule.as_ref()),
            word(line.subject.as_ref()),
            word(line.quantity.as_ref()),
            amount(line.value),
            amount(line.limit),
            state.to_owned(),
            at,
            low,
            high,
            days,
            why,
        ])?;
    }
    Ok(String::from_utf8(rows.into_inner()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tenken_collector_core::{
        evaluation::ForecastResult,
        predict::forecast::{Crossing, Outcome, Refusal},
    };

    fn day(days: i64) -> Timestamp {
        Timestamp::from_secs(1_788_231_600 + days * 86_400)
    }

    fn lines() -> Vec<PlanLine> {
        let device = |id: u8, label: &str, is_heard| PlanDevice {
            device: DeviceId([id; 16]),
            hospital: "minato".parse().unwrap(),
            label: Name::new(label).unwrap(),
            is_heard,
            calendar: Arc::default(),
            unrated: vec![],
            at_risk: vec![],
        };
        let forecast = |subject: &str, outcome| ForecastResult {
            device: DeviceId([1; 16]),
            rule: Name::new("disk-filling").unwrap(),
            subject: Name::new(subject).unwrap(),
            quantity: Name::new("available_bytes").unwrap(),
            value: 1.5,
            limit: 0.0,
            outcome,
        };
        let crossing = Crossing { at: day(14), low: day(12), high: day(17), per_day: -1.0 };
        let forecasts = [
            forecast("/data", Outcome::Crossing(crossing)),
            forecast("/", Outcome::Refused(Refusal::NoTrend)),
            forecast("/var", Outcome::AlreadyReached),
        ];
        plan(&forecasts, &[device(1, "ct-1", true), device(2, "ct-2", false)], day(0))
    }

    #[test]
    fn the_plan_is_aligned_and_tells_what_is_not_known() {
        let shown = text(&lines(), Language::En);
        assert_eq!(
            shown,
            "minato\n\
             \u{20} date        range                    working days  device  what   rule\n\
             \u{20} reached                                            ct-1    /var   disk-filling\n\
             \u{20} 2026-09-15  2026-09-13 - 2026-09-18  11            ct-1    /data  disk-filling\n\
             \u{20} ct-2  -  -             unknown: nothing is heard from the device\n\
             \u{20} ct-1  /  disk-filling  not yet: nothing moves towards the limit\n"
        );
        let shown = text(&lines(), Language::Ja);
        assert!(shown.contains("不明: 機器から通信がありません") && shown.contains("到達済み"), "{shown}");
        assert_eq!(text(&[], Language::En), "There is no approved device.");
    }

    #[test]
    fn the_table_has_every_line() {
        let table = csv(&lines(), Language::En).unwrap();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 5);
        assert!(rows[2].contains(",due,2026-09-15T12:00:00+09:00,") && rows[2].contains(",11,"), "{table}");
        assert!(rows[3].ends_with(",unknown,,,,,nothing is heard from the device"), "{table}");
    }
}
