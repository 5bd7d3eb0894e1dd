//! The reports of the example history, which is the documentation of the format too.

use super::{
    Standing, annual::AnnualReport, csv::csv, document::*, event::*, html::html, monthly::MonthlyReport,
    patient::PatientReport,
};
use crate::sla::{
    calendar::BusinessDuration,
    contract::Grade,
    history::History,
    indicator::{IndicatorName, Verdict},
    month::Month,
    partition::Label,
};
use tenken_common::{
    id::Name,
    message::{Language, ReportText},
    time::Timestamp,
};

#[cfg(test)]
mod golden;

const EXAMPLE: &str = include_str!("../../../../../packaging/config/history.example.json");
const AFTER: &str = "2027-04-10T00:00:00";
const BOTH: [Language; 2] = [Language::Ja, Language::En];

fn at(text: &str) -> Timestamp {
    format!("{text}+09:00").parse().unwrap()
}

fn example() -> History {
    History::parse(EXAMPLE).unwrap()
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn monthly(history: &History, of: &str, as_of: &str) -> MonthlyReport {
    MonthlyReport::of(&history.known(at(as_of)), month(of), Standing::Draft)
}

fn annual(history: &History, as_of: &str) -> AnnualReport {
    AnnualReport::of(&history.known(at(as_of)), 2026, Standing::Draft).unwrap()
}

/// The example with every Japanese text of its own replaced.
fn in_ascii(replacement: &str) -> History {
    let mut document: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    replace(&mut document, replacement);
    History::parse(&document.to_string()).unwrap()
}

fn replace(value: &mut serde_json::Value, replacement: &str) {
    match value {
        serde_json::Value::String(text) if !text.is_ascii() => {
            // A line of a contract stays one.
            *text = match text.split_once(" = \"") {
                Some((key, _)) => {
                    format!("{key} = {}", serde_json::to_string(&replacement.replace('\n', " ")).unwrap())
                }
                None if text.starts_with('#') => "#".into(),
                None => replacement.into(),
            };
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| replace(item, replacement)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|item| replace(item, replacement)),
        serde_json::Value::String(_)
        | serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_) => {}
    }
}

fn documents(history: &History, language: Language) -> Vec<Document> {
    let known = history.known(at(AFTER));
    let mut all: Vec<Document> =
        known.months().map(|m| MonthlyReport::of(&known, m, Standing::Draft).document(language)).collect();
    all.push(annual(history, AFTER).document(language));
    all.push(PatientReport::of(&known, month("2026-09"), Standing::Draft).document(language));
    let events = history.events.iter().map(|e| EventReport::of(&known, &e.id).unwrap().document(language));
    all.extend(events);
    all
}

/// A page without the marks that keep numbers and dates together.
fn seen(document: &Document) -> String {
    let page = html(document).replace("&nbsp;", " ");
    let mut parts = page.split("<span class=\"n\">");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + &part.replacen("</span>", "", 1))
}

fn tables(document: &Document) -> impl Iterator<Item = &Table> {
    let blocks = document.sections.iter().flat_map(|section| &section.blocks);
    blocks.filter_map(|block| match block {
        Block::Table(table) => Some(table),
        Block::Text(_) | Block::Heading(_) | Block::Facts(_) | Block::Chart(_) | Block::Boxes(_) => None,
    })
}

fn table(document: &Document, title: ReportText) -> &Table {
    let title = title.text(document.language);
    let section = document.sections.iter().find(|s| s.title == title).expect("the section is there");
    section
        .blocks
        .iter()
        .find_map(|block| match block {
            Block::Table(table) => Some(table),
            Block::Text(_) | Block::Heading(_) | Block::Facts(_) | Block::Chart(_) | Block::Boxes(_) => None,
        })
        .expect("it has a table")
}

/// `2 h 29 min 59.5 s` as it stands on a page.
fn micros(text: &str) -> i64 {
    let mut words = text.split(' ');
    let mut us = 0;
    while let (Some(n), Some(unit)) = (words.next(), words.next()) {
        let (whole, fraction) = n.split_once('.').unwrap_or((n, ""));
        let n: i64 = format!("{whole}{fraction:0<6}").parse().unwrap();
        us += n * match unit {
            "h" => 3_600,
            "min" => 60,
            "s" => 1,
            other => panic!("{other}"),
        };
    }
    us
}

#[test]
fn the_example_gives_the_stated_figures() {
    let history = example();
    let september = monthly(&history, "2026-09", AFTER);
    let figures = &september.figures;
    let verdicts: Vec<Verdict> =
        IndicatorName::ALL.iter().filter_map(|name| figures.verdict(*name)).collect();
    assert_eq!(verdicts, [Verdict::Missed, Verdict::Missed, Verdict::Met, Verdict::Missed, Verdict::Met]);
    assert_eq!(figures.partition.total(Label::DownProvider), BusinessDuration::from_secs(9_000));
    assert_eq!(figures.responses.worst.map(|(_, took)| took), Some(BusinessDuration::from_secs(23_700)));
    for language in BOTH {
        let page = seen(&september.document(language));
        for figure in ["98.3553 %", "99.0000 %", "50.0000 %", "75.0000 %", "2026-09-24 12:05"] {
            assert!(page.contains(figure), "{figure}");
        }
    }
    let year = annual(&history, AFTER);
    let graded = year.year.as_ref().unwrap();
    assert_eq!(
        (graded.misses, graded.grade, graded.best, graded.worst),
        (Some(3), Some(Grade::C), Some(Grade::C), Some(Grade::C))
    );
    assert!(graded.ended && year.triggers.is_empty());
    let of = |m: &str| {
        year.year
            .as_ref()
            .unwrap()
            .months
            .iter()
            .find(|x| x.month == month(m))
            .unwrap()
            .misses
            .iter()
            .map(|m| (m.item, m.count))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("2026-09"), [(IndicatorName::Uptime, 1), (IndicatorName::Response, 1)]);
    assert_eq!(of("2026-11"), [(IndicatorName::CurrencyProvider, 1)]);
    let uptime = |m: &str| {
        let page = monthly(&history, m, AFTER).document(Language::En);
        table(&page, ReportText::Indicators).rows[0][2].text.clone()
    };
    assert_eq!(uptime("2026-08"), "100.0000 %", "a disaster that the hospital agreed to leave out");
    assert_eq!(uptime("2026-11"), "100.0000 %", "a planned stop");
    assert_eq!(uptime("2026-12"), "100.0000 %", "what is not known widens the range only");
    assert_eq!(uptime("2027-01"), "100.0000 %", "the hospital's own stop");
    assert_eq!(uptime("2026-07"), "99.5754 %");
    assert_eq!(uptime("2027-02"), "99.6547 %", "announced too late");
}

#[test]
fn the_states_sum_to_the_service_time() {
    let history = example();
    let known = history.known(at(AFTER));
    for m in known.months() {
        let page = MonthlyReport::of(&known, m, Standing::Draft).document(Language::En);
        let table = table(&page, ReportText::Partition);
        let sum: i64 = table.rows.iter().map(|row| micros(&row[1].text)).sum();
        let total = table.total.as_ref().unwrap();
        assert_eq!(sum, micros(&total[1].text), "{m}");
        assert_eq!((table.rows.len(), total[2].text.as_str()), (Label::ALL.len(), "100.0000 %"));
    }
    let page = monthly(&history, "2026-09", AFTER).document(Language::En);
    assert_eq!(table(&page, ReportText::Partition).total.as_ref().unwrap()[1].text, "152 h 0 min");
}

#[test]
fn without_a_contract_nothing_is_judged() {
    let before = monthly(&example(), "2026-03", AFTER).document(Language::En);
    let titles: Vec<&str> = before.sections.iter().map(|s| s.title.as_str()).collect();
    let expected =
        [ReportText::Indicators, ReportText::Jobs, ReportText::Events].map(|t| t.text(Language::En));
    assert_eq!(titles, expected);
    let [Block::Text(said)] = before.sections[0].blocks.as_slice() else { panic!("one sentence") };
    assert_eq!(said.text, ReportText::NoContract.text(Language::En));
}

#[test]
fn a_change_of_version_within_a_month_shows_both_targets() {
    let mut history = example();
    history.versions[1].contract.effective_from = "2026-09-16".parse().unwrap();
    let page = monthly(&history, "2026-09", AFTER).document(Language::En);
    let targets: Vec<&str> =
        table(&page, ReportText::Contracts).rows.iter().map(|row| row[2].text.as_str()).collect();
    assert_eq!(targets, ["99.0000 %", "99.5000 %"]);
    assert_eq!(table(&page, ReportText::Indicators).rows[0][1].text, NOTHING, "no single target");
    assert!(csv(&page).contains(ReportText::SegmentsJudged.text(Language::En)));
}

#[test]
fn every_row_has_a_cell_for_every_column() {
    for document in BOTH.into_iter().flat_map(|language| documents(&example(), language)) {
        for table in tables(&document) {
            for row in table.rows.iter().chain(&table.total) {
                assert_eq!(row.len(), table.columns.len(), "{}: {row:?}", document.title);
            }
        }
    }
}

#[test]
fn no_word_is_left_in_the_other_language() {
    let history = in_ascii("x1");
    for document in documents(&history, Language::En) {
        let text = csv(&document);
        let japanese = |c: &char| matches!(c, '\u{3001}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ff01}'..='\u{ff9f}');
        assert_eq!(text.chars().find(japanese), None, "{text}");
    }
    for document in documents(&history, Language::Ja) {
        let text = csv(&document);
        for word in ReportText::ALL {
            let english = word.text(Language::En);
            let tells = english.len() > 4 && !english.contains('{');
            assert!(!tells || !text.contains(english), "{english}: {text}");
        }
        assert!(!text.contains('{') && !text.contains('}'), "{text}");
    }
}

#[test]
fn every_verdict_has_its_word_on_the_page() {
    for language in BOTH {
        let pages: Vec<String> = documents(&example(), language).iter().map(html).collect();
        for verdict in [Verdict::Met, Verdict::Missed, Verdict::Unknown, Verdict::NotApplicable] {
            let word = format!(">{}<", verdict.message().text(language));
            assert!(pages.iter().any(|page| page.contains(&word)), "{word}");
        }
    }
}

#[test]
fn hostile_names_stay_text() {
    for wide in ["\u{ff1d}1", "\u{ff0b}1", "\u{ff0d}1", "\u{ff20}a", "-1", "+1", "@a"] {
        let rows = records(&csv(&documents(&in_ascii(wide), Language::En)[0]));
        assert!(rows.iter().flatten().all(|field| !field.starts_with(wide)), "{wide}");
        assert!(rows.iter().flatten().any(|field| field.starts_with(&format!("'{wide}"))), "{wide}");
    }
    let evil = "=1+1\"><script>alert('x')</script>&\u{202e}";
    let (plain, hostile) = (in_ascii("x1"), in_ascii(evil));
    for language in BOTH {
        for (tame, wild) in documents(&plain, language).iter().zip(documents(&hostile, language)) {
            let tags = |page: &str| page.matches('<').count() - page.matches("<br>").count();
            let page = html(&wild);
            assert_eq!(tags(&html(tame)), tags(&page), "the name made no tag");
            assert!(!page.contains("<script") && !page.contains('\u{202e}'));
            assert!(page.contains("&lt;script&gt;"));
            for row in records(&csv(&wild)) {
                assert!(row.iter().all(|field| !field.starts_with('=')), "{row:?}");
            }
        }
    }
}

/// RFC 4180, as a table program reads it.
fn records(text: &str) -> Vec<Vec<String>> {
    let text = text.strip_prefix('\u{feff}').expect("it begins with the mark");
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => field.extend(chars.next()),
            ('"', _) => quoted = !quoted,
            (',', false) => row.push(std::mem::take(&mut field)),
            ('\r', false) => {
                assert_eq!(chars.next(), Some('\n'));
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            (c, _) => field.push(c),
        }
    }
    assert!(!quoted && row.is_empty() && field.is_empty(), "the last line ends");
    rows
}

#[test]
fn a_table_program_reads_every_cell() {
    for document in documents(&in_ascii("a, \"b\"\nc"), Language::Ja) {
        let rows = records(&csv(&document));
        for table in tables(&document) {
            for wanted in table.rows.iter().chain(&table.total) {
                let wanted: Vec<&str> = wanted.iter().map(|cell| cell.text.as_str()).collect();
                assert!(rows.iter().any(|row| *row == wanted), "{wanted:?}");
            }
        }
    }
}

#[test]
fn the_page_needs_nothing_and_runs_nothing() {
    for document in documents(&example(), Language::Ja) {
        let page = html(&document);
        for foreign in
            ["http:", "https:", "src=", "href=", "url(", "<link", "<script", "@import", "javascript"]
        {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.contains("default-src 'none'") && page.contains("size: A4"));
    }
}

#[test]
fn the_same_history_gives_the_same_bytes_in_any_order() {
    let history = example();
    let mut turned = example();
    turned.outages.reverse();
    turned.exclusions.reverse();
    turned.incidents.reverse();
    turned.devices.reverse();
    turned.devices.iter_mut().for_each(|device| device.reports.reverse());
    turned.checklist.reverse();
    turned.jobs.reverse();
    turned.accesses.reverse();
    turned.explanations.reverse();
    turned.events.reverse();
    turned.annual.reverse();
    let bytes = |history: &History| {
        let json =
            serde_json::to_string(&(monthly(history, "2026-09", AFTER), annual(history, AFTER))).unwrap();
        let mut pages: Vec<String> =
            documents(history, Language::Ja).iter().flat_map(|d| [html(d), csv(d)]).collect();
        // Of the events, whose order is the list's.
        pages.sort();
        (json, pages)
    };
    assert_eq!(bytes(&history), bytes(&turned));
    assert_eq!(bytes(&history), bytes(&example()));
}

#[test]
fn only_a_sealed_report_of_an_ended_month_is_no_draft() {
    let history = example();
    let sealed = Standing::Sealed { revision: 2, at: at("2026-10-05T10:00:00") };
    let of = |as_of: &str, standing| {
        let report = MonthlyReport::of(&history.known(at(as_of)), month("2026-09"), standing);
        let page = seen(&report.document(Language::Ja));
        (report.document(Language::Ja).mark, page.contains("第2版（2026-10-05 10:00）"))
    };
    let draft = Some("案".to_owned());
    assert_eq!(of("2026-10-05T10:00:00", sealed), (None, true));
    assert_eq!(of("2026-10-05T10:00:00", Standing::Draft), (draft.clone(), false));
    assert_eq!(of("2026-09-30T23:59:59", sealed), (draft, false));
}

#[test]
fn what_came_later_does_not_show() {
    let history = example();
    let of = |as_of: &str| csv(&monthly(&history, "2026-08", as_of).document(Language::En));
    let (before, after) = (of("2026-09-02T09:59:59"), of("2026-09-02T10:00:00"));
    assert!(before.contains("not agreed by the hospital") && !before.contains("情報システム課長"));
    assert!(after.contains("情報システム課長（") || after.contains("情報システム課長 (2026-09-02 10:00)"));
    let early = monthly(&history, "2026-09", "2026-09-24T13:00:00").document(Language::En);
    let row = &table(&early, ReportText::Responses).rows[1];
    assert_eq!(
        (row[0].text.as_str(), row[3].text.as_str(), row[5].tone),
        ("INC-2", "not reported", Tone::Bad)
    );
}

#[test]
fn what_is_missing_is_said() {
    let mut history = example();
    history.explanations.clear();
    history.annual.retain(|d| d.item != super::annual::AnnualItem::Audit);
    history.annual.iter_mut().for_each(|d| {
        if d.item == super::annual::AnnualItem::Safety {
            d.summary = "  ".into();
        }
    });
    let page = monthly(&history, "2026-09", AFTER).document(Language::Ja);
    let text = html(&page);
    assert_eq!(text.matches(">未記載<").count(), 4, "two misses, a reason and a plan each");
    assert!(text.contains("この月は確定できません"));
    let sealed = Standing::Sealed { revision: 1, at: at(AFTER) };
    let report = AnnualReport::of(&history.known(at(AFTER)), 2026, sealed).unwrap();
    assert_eq!(
        (report.head.standing, report.items.iter().filter(|(_, d)| d.is_none()).count()),
        (Standing::Draft, 2)
    );
    assert_eq!(html(&report.document(Language::Ja)).matches("提出なし").count(), 2);
    let whole = AnnualReport::of(&example().known(at(AFTER)), 2026, sealed).unwrap();
    assert_eq!(whole.head.standing, sealed);
}

#[test]
fn a_patient_reads_nothing_of_devices_persons_or_incidents() {
    let history = example();
    let known = history.known(at(AFTER));
    for language in BOTH {
        let page = seen(&PatientReport::of(&known, month("2026-09"), Standing::Draft).document(language));
        let devices = history.devices.iter().map(|d| d.device.as_str());
        let workers = history.accesses.iter().map(|a| a.worker.as_str());
        let notes = history.outages.iter().map(|o| o.note.as_str());
        let reasons = history.explanations.iter().map(|e| e.reason.as_str());
        let subjects = history.events.iter().map(|e| e.subject.as_str());
        for inner in devices.chain(workers).chain(notes).chain(reasons).chain(subjects).chain(["INC-"]) {
            assert!(!page.contains(inner), "{inner}");
        }
        assert!(page.contains("みなと総合病院"));
        assert!(
            page.contains(if language == Language::Ja { "2 時間 30 分" } else { "2 h 30 min" }),
            "{page}"
        );
    }
}

#[test]
fn a_report_of_an_event_is_due_and_then_overdue() {
    let mut history = example();
    let id = Name::new("e-1").unwrap();
    let state = |history: &History, as_of: &str| {
        EventReport::of(&history.known(at(as_of)), &id).map(|r| r.event_state)
    };
    assert_eq!(state(&history, "2026-09-18T15:59:59"), None, "it had not happened");
    assert_eq!(state(&history, "2026-09-29T14:59:59"), Some(EventState::Open));
    let reported = at("2026-09-29T15:00:00");
    assert_eq!(state(&history, "2026-09-29T15:00:00"), Some(EventState::Reported { at: reported }));
    history.events[0].reported_at = None;
    history.events[0].cause = None;
    assert_eq!(state(&history, "2026-10-01T17:00:00"), Some(EventState::Open));
    assert_eq!(state(&history, "2026-10-01T17:00:01"), Some(EventState::Overdue));
    let draft =
        EventReport::of(&history.known(at("2026-10-02T00:00:00")), &id).unwrap().document(Language::Ja);
    assert_eq!(draft.mark.as_deref(), Some("案"));
    assert_eq!(html(&draft).matches(">未記載<").count(), 1);
    let listed = monthly(&history, "2026-09", "2026-10-02T00:00:00").document(Language::Ja);
    assert_eq!(table(&listed, ReportText::Events).rows[0][5].tone, Tone::Bad);
    for kind in EventKind::ALL {
        assert!(BOTH.iter().all(|language| !kind.text().text(*language).is_empty()));
    }
}
