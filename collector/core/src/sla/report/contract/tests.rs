//! Tests of what a contract says and of what differs, on the example.

use super::*;
use crate::sla::contract::EXAMPLE;

fn parse(text: &str) -> Contract {
    Contract::parse(text).unwrap()
}

/// `key: - before + after`, as written.
fn differences(before: &str, after: &str) -> Vec<String> {
    let join =
        |terms: &[Term], mark| -> String { terms.iter().map(|t| format!(" {mark} {}", t.written)).collect() };
    let line = |c: Change| format!("{}:{}{}", c.key, join(&c.removed, "-"), join(&c.added, "+"));
    changes(&parse(before), &parse(after), Language::En).into_iter().map(line).collect()
}

#[test]
fn a_contract_does_not_differ_from_itself() {
    assert_eq!(differences(EXAMPLE, EXAMPLE), Vec::<String>::new());
}

#[test]
fn each_changed_line_of_the_file_is_one_change() {
    for (from, to, expected) in [
        ("version = 1", "version = 2", "version: - 1 + 2"),
        ("# term_ends", "term_ends", "term_ends: + 2027-03-31"),
        ("devices = [\"ct-1\", \"mri-1\"]", "devices = [\"ct-1\", \"ct-2\"]", "devices: - mri-1 + ct-2"),
        ("uptime = 0.99", "uptime = 0.995", "targets.uptime: - 0.99 + 0.995"),
        ("budget = \"4h\"", "budget = \"90m\"", "targets.response.budget: - 4h + 90m"),
        ("[\"critical\"]", "[\"critical\", \"warning\"]", "targets.response.severities: + warning"),
        ("notice = \"7d\"", "notice = \"14d\"", "exclusion_rules.planned.notice: - 7d + 14d"),
        ("pattern_file = \"7d\"", "", "currency.pattern_file: - 7d"),
        ("due = \"03-31\"", "due = \"02-28\"", "checklist.training.due: - 03-31 + 02-28"),
        ("response = \"incident\"", "response = \"month\"", "counting.response: - incident + month"),
        ("\"oncall@", "\"night@", "contacts.other_hours: - oncall@example.jp + night@example.jp"),
    ] {
        assert!(EXAMPLE.contains(from), "{from}");
        assert_eq!(differences(EXAMPLE, &EXAMPLE.replacen(from, to, 1)), [expected]);
    }
}

#[test]
fn hours_are_compared_by_their_days() {
    let friday = EXAMPLE.replacen("fri = [\"09:00-17:00\"]", "fri = [\"09:00-12:00\"]", 1);
    let change =
        |key: &str| format!("{key}.weekly: - mon-fri 09:00-17:00 + mon-thu 09:00-17:00 + fri 09:00-12:00");
    let all = ["service_hours", "response_hours", "support_hours"].map(change);
    assert_eq!(differences(EXAMPLE, &friday), all, "the others follow where they are left out");
}

#[test]
fn thresholds_and_what_is_left_out() {
    let looser = EXAMPLE.replacen("B = \"1-2\"\nC = \"3-5\"", "B = \"1-3\"\nC = \"4-5\"", 1);
    assert_eq!(differences(EXAMPLE, &looser), ["grades.B: - 1-2 + 1-3", "grades.C: - 3-5 + 4-5"]);
    let short = EXAMPLE.split("[grades]").next().unwrap();
    let fields = fields(&parse(short), Language::En);
    assert_eq!(left_out(&fields).collect::<Vec<_>>(), [ContractText::Grades]);
    let gone = differences(EXAMPLE, short);
    assert_eq!(gone, ["grades.A: - 0", "grades.B: - 1-2", "grades.C: - 3-5", "grades.D: - 6-"]);
}

#[test]
fn fields_read_well_in_both_languages() {
    let read = |language, key: &str| {
        let fields = fields(&parse(EXAMPLE), language);
        let field = fields.into_iter().find(|f| f.key == key).unwrap();
        format!("{}: {}", field.name, field.values.iter().map(|t| t.read.as_str()).collect::<String>())
    };
    for (key, ja, en) in [
        ("targets.uptime", "サービス稼働率: 99 %", "service uptime: 99 %"),
        (
            "targets.response.budget",
            "第一次対応の期限: 4 時間 0 分以内",
            "first response due: within 4 h 0 min",
        ),
        ("service_hours.weekly", "曜日と時間: 月～金 09:00-17:00", "hours of the week: Mon–Fri 09:00-17:00"),
        (
            "exclusion_rules.planned.notice",
            "planned の告知の期限: 7 日前まで",
            "planned: to be announced: 7 d ahead",
        ),
        ("grades.D", "評価 D: 6 件以上", "grade D: 6 misses or more"),
    ] {
        assert_eq!((read(Language::Ja, key), read(Language::En, key)), (ja.to_owned(), en.to_owned()));
    }
}

#[test]
fn the_devices_and_ranges_are_said_as_they_are() {
    let named = "devices = [\"ct-1\", \"mri-1\"]\ndevice_groups = [\"ultrasound\"]";
    let all = EXAMPLE.replacen(named, "all_devices = true", 1);
    let fields = fields(&parse(&all), Language::En);
    let written = |key: &str| {
        let field = fields.iter().find(|field| field.key == key);
        field.map(|field| field.values.iter().map(|t| t.written.as_str()).collect::<Vec<_>>())
    };
    assert_eq!((written("all_devices"), written("devices")), (Some(vec!["true"]), None));
    assert_eq!(written("exclusion_rules.disaster.notice"), None, "it has none");
    assert_eq!(written("grades.A"), Some(vec!["0"]));
}

#[test]
fn what_is_new_stands_in_its_part() {
    let short = EXAMPLE.replacen("pattern_file = \"7d\"\n", "", 1);
    let keys: Vec<String> = changes(
        &parse(&short),
        &parse(&EXAMPLE.replacen("D = \"6-\"", "D = \"7-\"", 1).replacen("C = \"3-5\"", "C = \"3-6\"", 1)),
        Language::En,
    )
    .into_iter()
    .map(|change| change.key)
    .collect();
    assert_eq!(keys, ["currency.pattern_file", "grades.C", "grades.D"]);
}
