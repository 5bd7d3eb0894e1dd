//! A month that is sealed, and the hospital that makes its figures anew: with the real programs and
//! the files that go from one party to the other.

use std::{fs, process::Output, time::Duration};
use tenken_collector_core::sla::month::Month;
use tenken_common::time::{Clock, SystemClock};
use tenken_tests::{Bed, BedPlan, bed::ROUND_THE_CLOCK, stdout, wait_until};

const BOUND: Duration = Duration::from_secs(30);
const CONTRACT: &str = "minato-remote";

/// The month before the present one, which has ended.
fn last_month() -> Month {
    let now = SystemClock::new().wall();
    let first = Month::of(now).span().from;
    Month::of(first.plus_micros(-1))
}

fn verify(bed: &Bed, evidence: &str, more: &[&str]) -> Output {
    let public = bed.path("hospital/hospital.pub");
    let evidence = bed.path(evidence);
    let mut command = std::process::Command::new(tenken_tests::workspace_bin("tenken-hospital"));
    command.args(["--language", "en", "verify", &evidence, "--public", &public]).args(more);
    command.output().expect("the program starts")
}

fn seal(bed: &Bed, month: Month) -> Output {
    bed.collector(&["--language", "en", "sla", "seal", "--contract", CONTRACT, "--month", &month.to_string()])
}

fn evidence(bed: &Bed, month: Month, name: &str) {
    let month = month.to_string();
    stdout(&bed.collector(&[
        "sla",
        "evidence",
        "--contract",
        CONTRACT,
        "--month",
        &month,
        "--out",
        &bed.path(name),
    ]));
}

fn report(bed: &Bed, month: Month, format: &str) -> String {
    let month = month.to_string();
    stdout(&bed.collector(&["sla", "report", "--contract", CONTRACT, "--month", &month, "--format", format]))
}

#[test]
fn the_hospital_makes_every_figure_anew() {
    let plan = BedPlan { hours: Some(ROUND_THE_CLOCK), ..BedPlan::default() };
    let bed = Bed::new(plan);
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let mut agent = bed.start_agent(&home);
    bed.device_when(&home, "records", |row| row["records"].as_u64() >= Some(20));
    // Who is told of what changes no figure.
    let silence = ["silence", "add", "--for", "1h", "--rule", "disk-filling"];
    stdout(&bed.collector(&[&silence[..], &["--worker", "w-1", "--reason", "exchange"]].concat()));
    let month = last_month();

    let sealed = wait_until(BOUND, "the month to be sealed", |state| {
        let sealed = seal(&bed, month);
        *state = String::from_utf8_lossy(&sealed.stderr).into_owned();
        sealed.status.success().then_some(sealed)
    });
    assert!(stdout(&sealed).contains("revision 1"), "{}", stdout(&sealed));
    let again = seal(&bed, month);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing has changed"));
    let present = seal(&bed, Month::of(SystemClock::new().wall()));
    assert_eq!(present.status.code(), Some(2), "the present month goes on");

    // The device's receipt first, then the evidence, so that it covers what the device saw.
    let (receipt, held) = (bed.path("receipt"), bed.path("held.json"));
    stdout(&bed.agent(&home, &["receipt", &receipt]));
    evidence(&bed, month, "evidence");
    let good = verify(&bed, "evidence", &["--receipt", &receipt, "--held", &held]);
    let text = stdout(&good);
    assert!(text.contains("agrees") && !text.contains("DIFFERS"), "{text}");
    assert!(text.contains("compared with the receipt") && text.contains(": the same"), "{text}");
    assert!(text.contains("Result: every figure") && !text.contains("no rules stood"), "{text}");

    // One byte of a message.
    let bytes = fs::read(bed.path("evidence")).unwrap();
    let mut altered = bytes.clone();
    let at = bytes.len() * 2 / 3;
    altered[at] ^= 1;
    fs::write(bed.path("altered"), altered).unwrap();
    let bad = verify(&bed, "altered", &["--receipt", &receipt, "--held", &held]);
    assert_eq!(bad.status.code(), Some(2), "{}", String::from_utf8_lossy(&bad.stdout));
    assert!(
        String::from_utf8_lossy(&bad.stdout).contains("! entry "),
        "{}",
        String::from_utf8_lossy(&bad.stdout)
    );
    assert_ne!(verify(&bed, "receipt", &[]).status.code(), Some(0), "that is no evidence");

    // What is known later makes the next revision.
    let begin = month.span().from;
    let at = |s: u64| begin.plus(Duration::from_secs(s));
    let records = serde_json::json!([
        { "outage": { "id": "o-1", "source": "manual", "from": at(3_600), "to": at(7_200) } },
    ]);
    fs::write(bed.path("records.json"), records.to_string()).unwrap();
    stdout(&bed.collector(&["sla", "enter", "--contract", CONTRACT, &bed.path("records.json")]));
    let first = report(&bed, month, "html");
    let second = stdout(&seal(&bed, month));
    assert!(second.contains("revision 2") && second.contains("Changes since revision 1"), "{second}");
    assert_ne!(first, report(&bed, month, "html"));
    evidence(&bed, month, "evidence-2");
    let good = verify(&bed, "evidence-2", &["--held", &held]);
    assert!(stdout(&good).contains("compared with the evidence of"), "{}", stdout(&good));

    // A restored collector has the very bytes, and its evidence holds as well.
    let forms = ["html", "csv", "json"];
    let before = forms.map(|form| report(&bed, month, form));
    stdout(&bed.collector(&["backup", &bed.path("backup")]));
    for process in [&mut agent, &mut collector] {
        process.terminate();
        assert!(process.wait(BOUND).success());
    }
    let data = bed.database().parent().unwrap().to_owned();
    fs::rename(&data, data.with_extension("lost")).unwrap();
    stdout(&bed.collector(&["restore", &bed.path("backup")]));
    assert_eq!(before, forms.map(|form| report(&bed, month, form)));
    evidence(&bed, month, "evidence-3");
    stdout(&verify(&bed, "evidence-3", &["--held", &held]));

    // The hospital's own key is what it goes by.
    bed.hospital(&["keygen", &bed.path("other")]);
    let other = bed.path("other/hospital.pub");
    let evidence = bed.path("evidence-3");
    let mut command = std::process::Command::new(tenken_tests::workspace_bin("tenken-hospital"));
    let output =
        command.args(["--language", "en", "verify", &evidence, "--public", &other]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("not this hospital's"));
}
