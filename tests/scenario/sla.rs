//! The collector's own stop counts against it, from its own log; and contracts by version.

use std::{fs, time::Duration};
use tenken_collector_core::sla::month::Month;
use tenken_common::time::{Clock, SystemClock, Timestamp};
use tenken_tests::{
    bed::{Bed, BedPlan, HOSPITAL, ROUND_THE_CLOCK},
    http, let_pass, stdout, wait_until,
};

const BOUND: Duration = Duration::from_secs(30);
/// Longer than the heartbeat's interval of 10 s, the part of a stop that stays undetermined.
const STOP: Duration = Duration::from_secs(13);

#[test]
fn a_stop_inside_service_hours_counts() {
    let bed = Bed::new(BedPlan { hours: Some(ROUND_THE_CLOCK), ..BedPlan::default() });
    let before = bed.listing(&["sla"]);
    let uptime = indicator(&before, "uptime");
    assert_eq!((uptime["value"].as_f64(), &uptime["reason_for_null"]), (None, &"no_data".into()), "{before}");

    let mut collector = bed.start_collector();
    wait_until(BOUND, "some seconds of service", |state| {
        let sla = bed.listing(&["sla"]);
        *state = sla.to_string();
        (seconds(&sla, "up") >= 2.0).then_some(())
    });
    collector.kill();
    let_pass(STOP);
    let _collector = bed.start_collector();
    let month = before[0]["month"].as_str().unwrap().to_owned();
    let sla = wait_until(BOUND, "the restart to be known", |state| {
        let sla = bed.listing(&["sla", "--month", &month]);
        *state = sla.to_string();
        (seconds(&sla, "down_provider") > 0.0 && label_count(&sla, "up") >= 2).then_some(sla)
    });

    let undetermined = seconds(&sla, "undetermined");
    assert!((9.9..=10.1).contains(&undetermined), "{undetermined}: {sla}");
    let down = seconds(&sla, "down_provider");
    assert!(down > STOP.as_secs_f64() - 10.0 - 1.5 && down < 20.0, "{down}: {sla}");
    let first = &sla[0]["partition"]["parts"][0];
    assert_eq!(first["label"], "no_data", "before the first heartbeat: {sla}");

    // Round the clock, so the service time is the month up to now.
    let parts = sla[0]["partition"]["parts"].as_array().unwrap();
    let span = month.parse::<Month>().unwrap().span();
    let as_of = instant(&sla[0]["as_of"]);
    let service = as_of.micros_since(span.from);
    assert_eq!(parts.iter().map(length_us).sum::<i64>(), service, "{sla}");
    assert!(parts.windows(2).all(|p| p[0]["span"]["to"] == p[1]["span"]["from"]), "{sla}");

    let no_data = seconds(&sla, "no_data");
    let service = Duration::from_micros(u64::try_from(service).unwrap()).as_secs_f64();
    let uptime = indicator(&sla, "uptime");
    for (key, expected) in [
        ("value", 1.0 - down / (service - no_data)),
        ("min", 1.0 - (down + undetermined + no_data) / service),
        ("max", 1.0 - down / service),
        ("coverage", (service - no_data) / service),
        ("target", 0.99),
    ] {
        let got = uptime[key].as_f64().unwrap();
        assert!((got - expected).abs() < 1e-6, "{key}: {got} instead of {expected}: {sla}");
    }
    let value = uptime["value"].as_f64().unwrap();
    assert!(value > 0.0 && value < 1.0);
}

#[test]
fn contract_versions_do_not_overlap() {
    let bed = Bed::new(BedPlan::default());
    let version = |number: u32, from: &str| {
        let text = bed.contract(from).replace("version = 1", &format!("version = {number}"));
        fs::write(bed.path("next.toml"), text).unwrap();
        bed.collector(&["contract", "load", &bed.path("next.toml")])
    };
    for (number, from, sentence) in [
        (2, "2026-04-01", "versions 1 and 2 both take effect on the same day; give one of them another date"),
        (2, "2026-03-01", "version 2 takes effect before version 1; a later version needs a higher number"),
    ] {
        let refused = version(number, from);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(sentence), "{said}");
    }
    assert!(version(2, "2026-10-01").status.success());
    let list = bed.listing(&["contract", "list"]);
    let rows: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["version"].clone(), r["effective_from"].clone()))
        .collect();
    assert_eq!(rows, [(1.into(), "2026-04-01".into()), (2.into(), "2026-10-01".into())], "{list}");
}

#[test]
fn a_planned_stop_raises_the_banner_once_it_is_agreed_to() {
    let bed = Bed::new(BedPlan { hours: Some(ROUND_THE_CLOCK), ..BedPlan::default() });
    let _collector = bed.start_collector();
    let now = SystemClock::new().wall();
    let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
    let stop = |id: &str, announced: Timestamp, from: Timestamp, to: Timestamp| {
        serde_json::json!({ "exclusion":
            { "id": id, "rule": "planned", "from": from, "to": to, "announced_at": announced } })
    };
    let (from, to) = (now.minus(hour), now.plus(hour));
    // The second was announced too late for what it is.
    let records = [
        stop("x-1", from.minus(day * 7), from, to),
        stop("x-2", now.minus(day), now.plus(hour * 2), now.plus(hour * 3)),
    ];
    fs::write(bed.path("records.json"), serde_json::json!(records).to_string()).unwrap();
    let out = bed.path("for-hospital");
    let enter =
        ["sla", "enter", "--contract", "minato-remote", &bed.path("records.json"), "--for-hospital", &out];
    stdout(&bed.collector(&enter));
    let labels = "{contract=\"minato-remote\",hospital=\"minato\"}";
    let shown = |value: &str| {
        wait_until(BOUND, "the metric", |state| {
            *state = http::get(bed.metrics_port, "/metrics").map(|a| a.body).unwrap_or_default();
            state.lines().any(|l| l == format!("tenken_planned_stop{labels} {value}")).then(|| state.clone())
        })
    };
    let before = shown("0");
    assert!(!before.contains("tenken_planned_stop_start_timestamp_seconds{"), "nobody agreed: {before}");
    for verdict in ["unknown", "met"] {
        let line = format!(
            "tenken_sla_indicator_verdict{{contract=\"minato-remote\",hospital=\"minato\",\
             indicator=\"currency_provider\",verdict=\"{verdict}\"}} {}",
            u8::from(verdict == "unknown")
        );
        assert!(before.contains(&line), "{line}: no device of the provider ever reported: {before}");
    }
    assert!(
        before.contains("tenken_sla_year_grade{bound=\"worst\",") && before.contains("ground=\"grade_d\"")
    );
    for (n, file) in fs::read_dir(&out).unwrap().enumerate() {
        let (record, agreed) = (file.unwrap().path().display().to_string(), bed.path(&format!("agreed-{n}")));
        let key = bed.path("hospital/hospital.key");
        bed.hospital(&[
            "agree",
            "--key",
            &key,
            "--hospital",
            HOSPITAL,
            "--record",
            &record,
            "--out",
            &agreed,
        ]);
        stdout(&bed.collector(&["device", "file", &agreed]));
    }
    let during = shown("1");
    for (edge, at) in [("start", from), ("end", to)] {
        let name = format!("tenken_planned_stop_{edge}_timestamp_seconds{labels} ");
        let line = during.lines().find_map(|l| l.strip_prefix(&name)).unwrap();
        assert!((line.parse::<f64>().unwrap() - at.as_secs_f64()).abs() < 1e-3, "{edge}: {line}");
    }
}

#[test]
fn an_official_list_of_holidays_is_used_for_every_evaluation() {
    let bed = Bed::new(BedPlan::default());
    // 22 weekdays, of which the law makes three holidays; the list names one other day of the year.
    let service_days = || {
        let sla = bed.listing(&["sla", "--month", "2026-09"]);
        let parts = sla[0]["partition"]["parts"].as_array().unwrap();
        parts.iter().map(length_us).sum::<i64>() / (8 * 3_600_000_000)
    };
    assert_eq!(service_days(), 19);
    let (list, config) = (bed.path("list.csv"), bed.path("collector.toml"));
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("[evaluate]\n"));
    fs::write(&config, text.replace("[evaluate]\n", &format!("[evaluate]\nholidays = {list:?}\n"))).unwrap();
    fs::write(&list, "2026-09-18,臨時の休日\n").unwrap();
    assert_eq!(service_days(), 21);
    stdout(&bed.collector(&["check-config"]));
    let _serving = bed.start_collector();
    fs::write(&list, "2026-09-31,臨時の休日\n").unwrap();
    for command in ["check-config", "serve"] {
        let refused = bed.collector(&[command]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains("list.csv (evaluate.holidays): line 1 is `2026-09-31,"), "{command}: {said}");
    }
}

#[test]
fn tables_of_jobs_and_accesses_are_entered_whole_or_not_at_all() {
    let bed = Bed::new(BedPlan::default());
    let (jobs, accesses) = (bed.path("jobs.csv"), bed.path("accesses.csv"));
    let guide = include_str!("../../packaging/config/history.example.md");
    let examples: Vec<&str> =
        guide.split("```csv\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let emergency =
        "a-2,fault_handling,w-1,乙,ct-1,2026-09-25T09:00:00+09:00,2026-09-25T09:05:00+09:00,j-1,,,true\n";
    let good = format!("{}{emergency}", examples[1]);
    let bad =
        format!("{good}a-2,fault,w-1,乙,ct-1,2026-09-25T09:00:00+09:00,2026-09-25T08:00:00+09:00,,,,\n");
    fs::write(&jobs, examples[0]).unwrap();
    fs::write(&accesses, bad).unwrap();
    let out = bed.path("for-hospital");
    let import = ["sla", "import", "--contract", "minato-remote", "--jobs", &jobs, "--accesses", &accesses];
    let refused = |args: &[&str], words: &[&str]| {
        let output = bed.collector(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} in: {said}");
        }
    };
    let records = || bed.listing(&["sla", "records", "--contract", "minato-remote"]);
    refused(
        &import,
        &["accesses.csv has 2 problems", "line 4, service: ", "line 4, to: ", "(nothing was entered)"],
    );
    assert_eq!(records(), serde_json::json!([]));
    fs::write(&accesses, good).unwrap();
    let said = stdout(&bed.collector(&[&import[..], &["--for-hospital", &out]].concat()));
    assert!(said.contains("3件") && said.contains("1件"), "{said}");
    assert_eq!(records().as_array().unwrap().len(), 3);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "the emergency, for the hospital to confirm");
    refused(
        &import,
        &["jobs.csv has 1 problem", "line 2, id: `j-1` was entered before", "line 3, id: `a-2`"],
    );
    fs::write(&jobs, b"id,service,received_at\n\x8c\xcc,fault_handling,2026-09-24T08:55:00+09:00\n").unwrap();
    refused(&import, &["jobs.csv is not UTF-8"]);
    assert_eq!(records().as_array().unwrap().len(), 3);
}

#[test]
fn contract_versions_are_drafted_read_and_compared() {
    let bed = Bed::new(BedPlan::default());
    let said = |args: &[&str]| stdout(&bed.collector(args));
    let refused = |args: &[&str]| {
        let output = bed.collector(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    // A draft says what is still wanting, place by place, and nothing is loaded.
    let draft = bed.path("draft.toml");
    said(&["contract", "draft", "--out", &draft]);
    assert!(refused(&["contract", "draft", "--out", &draft]).contains("is there already"));
    let problems = refused(&["contract", "draft", "--check", &draft]);
    assert!(problems.contains("1 problem:") && problems.contains("hospital.key: "), "{problems}");
    let loaded = fs::read_to_string(bed.path("contract.toml")).unwrap();
    let key = loaded.lines().find(|line| line.starts_with("key = ")).unwrap();
    let text = fs::read_to_string(&draft).unwrap().replace("key = \"\"", key);
    fs::write(&draft, text.replace("uptime = 0.99", "uptime = 99")).unwrap();
    assert!(refused(&["contract", "draft", "--check", &draft]).contains("targets.uptime: "));
    fs::write(&draft, &text).unwrap();
    let unfit = refused(&["contract", "draft", "--check", &draft]);
    assert!(unfit.contains("versions 1 and 1 both take effect on the same day"), "{unfit}");
    let next = text
        .replace("version = 1", "version = 2")
        .replace("effective_from = \"2026-04-01\"", "effective_from = \"2099-04-01\"")
        .replace("uptime = 0.99", "uptime = 0.995");
    let next = next.split("[grades]").next().unwrap();
    fs::write(&draft, next).unwrap();
    let good = said(&["contract", "draft", "--check", &draft]);
    assert!(good.contains("第2版") && good.contains("年次評価の基準"), "{good}");
    assert_eq!(bed.listing(&["contract", "list"]).as_array().unwrap().len(), 1, "nothing was loaded");

    // What a version says, and where it stands.
    assert!(said(&["contract", "show", &draft]).contains("状態: 案（登録していません）"));
    let shown = said(&["contract", "show"]);
    for line in ["契約 minato-remote 第1版", "状態: 適用中", "  サービス稼働率 ", "月～金 09:00-17:00"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    stdout(&bed.collector(&["contract", "load", &draft]));
    let states = |bed: &Bed| {
        let rows = bed.listing(&["contract", "history"]);
        let versions = rows[0]["versions"].as_array().unwrap().clone();
        versions.iter().map(|v| v["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states(&bed), ["in_force", "awaits_hospital"]);
    bed.agree(&draft);
    assert_eq!(states(&bed), ["in_force", "ahead"]);
    let rows = bed.listing(&["contract", "history"]);
    assert_eq!(rows[0]["versions"][0]["effective_to"], "2099-03-31", "{rows}");

    // What differs, by number, day or file.
    let changes = bed.listing(&["contract", "diff", "1", "2099-04-01"]);
    let keys: Vec<_> = changes.as_array().unwrap().iter().map(|c| c["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&"targets.uptime") && keys.contains(&"grades.D"), "{changes}");
    let uptime = changes.as_array().unwrap().iter().find(|c| c["key"] == "targets.uptime").unwrap();
    assert_eq!((&uptime["removed"][0], &uptime["added"][0]), (&"0.99".into(), &"0.995".into()));
    assert_eq!(bed.listing(&["contract", "diff", "2", &draft]), serde_json::json!([]));
    assert!(refused(&["contract", "diff", "1", "3"]).contains("there is no version 3; on file: 1 (from "));
}

fn instant(value: &serde_json::Value) -> Timestamp {
    serde_json::from_value(value.clone()).unwrap()
}

fn length_us(part: &serde_json::Value) -> i64 {
    instant(&part["span"]["to"]).micros_since(instant(&part["span"]["from"]))
}

fn of_label<'a>(sla: &'a serde_json::Value, label: &'a str) -> impl Iterator<Item = &'a serde_json::Value> {
    sla[0]["partition"]["parts"].as_array().into_iter().flatten().filter(move |p| p["label"] == label)
}

fn label_count(sla: &serde_json::Value, label: &str) -> usize {
    of_label(sla, label).count()
}

fn seconds(sla: &serde_json::Value, label: &str) -> f64 {
    let us: i64 = of_label(sla, label).map(length_us).sum();
    Duration::from_micros(u64::try_from(us).unwrap()).as_secs_f64()
}

fn indicator(sla: &serde_json::Value, name: &str) -> serde_json::Value {
    let all = sla[0]["indicators"].as_array().unwrap();
    all.iter().find(|i| i["name"] == name).unwrap_or_else(|| panic!("{sla}")).clone()
}

#[test]
fn the_calendar_answers_without_a_store() {
    let bed = Bed::new(BedPlan::default());
    let contract = bed.path("contract.toml");
    let said = |args: &[&str]| stdout(&bed.collector(args));
    let holidays = said(&["calendar", "holidays", "--from", "2026", "--to", "2027"]);
    assert!(holidays.starts_with("2026-01-01,元日\n2026-01-12,成人の日\n"), "{holidays}");
    assert!(holidays.contains("2026-09-22,休日\n") && holidays.contains("2027-03-22,休日\n"), "{holidays}");
    let deadline = ["calendar", "deadline", "--contract", &contract, "--budget", "4h", "--start"];
    let start = |t| said(&[&deadline[..], &[t]].concat());
    assert_eq!(start("2026-05-01T16:30:00+09:00"), "2026-05-07T12:30:00+09:00\n");
    assert_eq!(start("2026-05-01T07:30:00.5Z"), "2026-05-07T12:30:00.5+09:00\n");
    let from_to = ["--from", "2026-09-18T16:00:00+09:00", "--to", "2026-09-24T10:30:00+09:00"];
    assert_eq!(said(&[&["calendar", "measure", "--contract", &contract][..], &from_to].concat()), "9000\n");
    fs::write(bed.path("list.csv"), "2026-09-18,臨時の休日\n").unwrap();
    let list = ["--holidays", &bed.path("list.csv")];
    let measured = said(&[&["calendar", "measure", "--contract", &contract][..], &from_to, &list].concat());
    assert_eq!(measured, "91800\n", "the list names one holiday of 2026, so it has no other");
    for bad in [
        &["calendar", "holidays", "--from", "1954", "--to", "2000"][..],
        &["calendar", "deadline", "--contract", &contract, "--budget", "4h", "--start", "2026-05-01"],
        &[
            "calendar",
            "deadline",
            "--contract",
            "nowhere.toml",
            "--budget",
            "4h",
            "--start",
            "2026-05-01T00:00:00Z",
        ],
        &["sla", "evaluate", "--history", &contract],
    ] {
        let refused = bed.collector(bad);
        assert_eq!(refused.status.code(), Some(2), "{bad:?}");
        assert!(!refused.stderr.is_empty() && refused.stdout.is_empty(), "{bad:?}");
    }
}

#[test]
fn what_people_enter_counts_once_the_hospital_agreed() {
    let bed = Bed::new(BedPlan { agreed: false, hours: Some(ROUND_THE_CLOCK), ..BedPlan::default() });
    let _collector = bed.start_collector();
    let sla = |bed: &Bed| bed.listing(&["sla"]);
    assert_eq!(sla(&bed)[0]["segments"].as_array().map(Vec::len), Some(0), "a draft is never used");
    bed.agree(&bed.path("contract.toml"));
    assert_eq!(sla(&bed)[0]["segments"].as_array().map(Vec::len), Some(1));

    // Inside of this month, whatever the day is.
    let month = sla(&bed)[0]["segments"][0]["span"]["from"].as_str().unwrap().to_owned();
    let begin: Timestamp = month.parse().unwrap();
    let at = |s: u64| begin.plus(Duration::from_secs(s));
    let records = serde_json::json!([
        { "outage": { "id": "o-1", "source": "manual", "from": at(1), "to": at(61) } },
        { "attribution": { "outage": "o-1", "attribution": { "at": at(70), "cause": "customer", "by": "w-1" } } },
    ]);
    fs::write(bed.path("records.json"), records.to_string()).unwrap();
    let for_hospital = bed.path("for-hospital");
    let enter = [
        "sla",
        "enter",
        "--contract",
        "minato-remote",
        &bed.path("records.json"),
        "--for-hospital",
        &for_hospital,
    ];
    stdout(&bed.collector(&enter));
    assert_eq!(bed.collector(&enter).status.code(), Some(2), "o-1 is there already");
    assert_eq!(sla(&bed)[0]["outages"][0]["cause"], "undetermined");
    let files: Vec<_> = fs::read_dir(&for_hospital).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let (record, key, out) =
        (files[0].display().to_string(), bed.path("hospital/hospital.key"), bed.path("agreed"));
    bed.hospital(&["agree", "--key", &key, "--hospital", HOSPITAL, "--record", &record, "--out", &out]);
    stdout(&bed.collector(&["device", "file", &out]));
    assert_eq!(sla(&bed)[0]["outages"][0]["cause"], "customer");
    let rows = bed.listing(&["sla", "records", "--contract", "minato-remote"]);
    assert!(rows[0]["agreed"].is_null() && rows[1]["agreed"].is_string(), "{rows}");
}
