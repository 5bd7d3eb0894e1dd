//! Reports word for word: the example's, and those of a busy month at an instant on which much
//! turns (14:00 of 18 November 2026: what happens then is known, what happens a second later is not).
//!
//! To accept a change on purpose, run the tests with `TENKEN_BLESS=1` and read the difference.

use super::*;
use crate::sla::currency::CurrencyState;
use serde_json::Value;
use std::path::Path;

const BUSY: &str = include_str!("../../../../../../tests/golden/report/busy.history.json");
const NOW: &str = "2026-11-18T14:00:00";

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/report").join(name);
    // The engine's version is none of the report's content, and Git keeps no line ends.
    let text = text.replace(crate::sla::report::ENGINE, "tenken-sla/VERSION").replace("\r\n", "\n");
    if std::env::var_os("TENKEN_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = golden.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None, "{name}");
    assert_eq!(golden.lines().count(), text.lines().count(), "{name}");
}

fn json(report: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(report).unwrap() + "\n"
}

/// The example's contract, changed so that every part of a report has something to say.
fn busy() -> History {
    let mut document: Value = serde_json::from_str(EXAMPLE).unwrap();
    let Value::Object(changed) = serde_json::from_str(BUSY).unwrap() else { panic!("an object") };
    for (key, value) in changed {
        document[key] = value;
    }
    for version in document["contracts"].as_array_mut().unwrap() {
        let lines: Vec<&str> = version["text"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let text = lines
            .join("\n")
            .replace("2026-10-01", "2026-11-10")
            .replace("os_patch = \"30d\"", "os_patch = \"30d\"\nmiddleware_patch = \"36h\"")
            .replace(
                "[contacts]",
                "[[subcontractors]]\nname = \"third\"\nrole = \"r3\"\n[[subcontractors]]\nname = \"fourth\"\nrole = \"r4\"\n[contacts]",
            )
            .replace(
                "[counting]",
                "[[checklist]]\nid = \"keys\"\ntitle = \"Keys\"\ndue = \"11-05\"\n\
                 [[checklist]]\nid = \"inventory\"\ntitle = \"Inventory\"\ndue = \"11-10\"\n\
                 [[checklist]]\nid = \"review\"\ntitle = \"Review\"\ndue = \"11-30\"\n[counting]",
            );
        // Hours with minutes, in the second version.
        version["text"] = if text.contains("version = 2") {
            text.replace("tue = [\"09:00-17:00\"]", "tue = [\"13:30-17:45\", \"08:45-12:30\"]").into()
        } else {
            text.into()
        };
    }
    History::parse(&document.to_string()).unwrap()
}

#[test]
fn the_month_of_the_example() {
    let report = monthly(&example(), "2026-09", AFTER);
    check("month.ja.html", &html(&report.document(Language::Ja)));
    check("month.en.csv", &csv(&report.document(Language::En)));
    check("month.json", &json(&report));
}

#[test]
fn the_other_reports_of_the_example() {
    let history = example();
    let known = history.known(at(AFTER));
    let patient = PatientReport::of(&known, month("2026-09"), Standing::Draft);
    check("patient.ja.html", &html(&patient.document(Language::Ja)));
    let year = annual(&history, AFTER);
    check("year.ja.csv", &csv(&year.document(Language::Ja)));
    check("year.en.csv", &csv(&year.document(Language::En)));
    let event = EventReport::of(&known, &Name::new("e-1").unwrap()).unwrap();
    check("event.en.html", &html(&event.document(Language::En)));
    check("event.ja.csv", &csv(&event.document(Language::Ja)));
    let documents =
        [patient.document(Language::Ja), year.document(Language::Ja), event.document(Language::Ja)];
    assert_eq!(documents.map(|document| document.large), [true, false, false], "patients read large letters");
}

#[test]
fn a_busy_month_that_goes_on() {
    let history = busy();
    let report = monthly(&history, "2026-11", NOW);
    check("busy.month.en.csv", &csv(&report.document(Language::En)));
    check("busy.month.ja.html", &html(&report.document(Language::Ja)));
    check("busy.month.json", &json(&report));
}

#[test]
fn the_other_reports_of_a_busy_month() {
    let history = busy();
    let known = history.known(at(NOW));
    let patient = PatientReport::of(&known, month("2026-11"), Standing::Draft);
    let year = annual(&history, NOW);
    let events = history.events.iter().filter_map(|event| EventReport::of(&known, &event.id));
    let mut documents = vec![patient.document(Language::En), year.document(Language::En)];
    documents.extend(events.map(|event| event.document(Language::En)));
    let text: String = documents.iter().map(|document| csv(document).replace('\u{feff}', "")).collect();
    check("busy.others.en.csv", &text);
    check("busy.patient.json", &json(&patient));
}

#[test]
fn a_busy_month_once_it_is_over() {
    let report = monthly(&busy(), "2026-11", "2026-12-20T00:00:00");
    check("busy.later.en.csv", &csv(&report.document(Language::En)));
}

#[test]
fn what_the_hospital_sees_to_is_no_goal_of_the_service() {
    let mut history = example();
    let goals = |history: &History| {
        let known = history.known(at("2026-07-01T00:00:00"));
        let verdict = known.month(month("2026-06")).verdict(IndicatorName::CurrencyCustomer);
        (verdict, PatientReport::of(&known, month("2026-06"), Standing::Draft).goals)
    };
    assert_eq!(goals(&history), (Some(Verdict::Met), Verdict::Met));
    for report in &mut history.devices[0].reports {
        report.state = CurrencyState::Since { since: at("2026-01-01T00:00:00") };
    }
    assert_eq!(history.devices[0].device.as_str(), "ct-1");
    assert_eq!(goals(&history), (Some(Verdict::Missed), Verdict::Met));
}

#[test]
fn agreed_stops_leave_the_denominator_that_is_shown() {
    let page = csv(&monthly(&example(), "2026-11", AFTER).document(Language::En));
    // 19 days of 8 h, without 1 h 40 min that were announced and agreed to.
    assert!(page.contains("1 − 0 h 0 min ÷ 150 h 20 min = 100.0000 %"), "{page}");
}

#[test]
fn a_chart_word_for_word() {
    use crate::sla::{report::chart::Chart, span::Span};
    use tenken_common::unit::Unit;
    let at = |minutes: i64| Timestamp::from_secs(1_790_000_000 + minutes * 60);
    let chart = |points: Vec<(i64, f64)>, limit: Option<f64>, mark: i64| Chart {
        title: "disk /data".into(),
        unit: Unit::Ratio,
        span: Span::new(at(0), at(1_440)),
        points: points.into_iter().map(|(minute, value)| (at(minute), value)).collect(),
        limit: limit.map(|value| (value, "limit".to_owned())),
        mark: Some((at(mark), "detected".to_owned())),
    };
    // One that falls silent, one that comes near its limit at the edge of the paper, one below zero.
    let saw = |minute: i64| (minute, f64::from(i32::try_from(minute % 97).unwrap()) / 100.0);
    let silent = (0..600).chain(604..700).chain(1_000..1_440).map(saw).collect();
    let rising = (0..1_440).step_by(5).map(|minute| (minute, 0.5 + saw(minute / 20).1 / 2.0)).collect();
    let below = vec![(-10, 1.0), (0, -3.0), (1, -2.0), (2, 4.0), (3, -1.5), (1_439, -3.0)];
    let charts = [chart(silent, None, 700), chart(rising, Some(0.95), 1_430), chart(below, Some(4.5), 2)];
    let drawn: Vec<String> = charts.iter().map(|chart| chart.svg(ToOwned::to_owned)).collect();
    check("charts.svg.txt", &(drawn.join("\n").replace("><", ">\n<") + "\n"));
}
