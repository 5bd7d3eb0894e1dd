//! A device that falls silent is told; a stop of the service centre makes no device silent.

use crate::office::{BOUND, Office, metrics_line};
use std::time::Duration;
use tenken_tests::{MailServer, bed::Home, let_pass, wait_until};

/// Longer than the ten intervals of a second after which a device is silent.
const STOP: Duration = Duration::from_secs(12);

#[test]
fn only_a_silence_that_the_collector_heard_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let mail = MailServer::start(dir.path());
    let office = Office::open(&mail);
    let mut collector = office.bed.start_collector();
    let home = office.bed.enroll("ct-1");
    let _service = office.start_service();
    let mut agent = office.bed.start_agent(&home);
    office.wait_for_service(&home);
    // The gauges are those of a tick.
    office.wait_for_ticks(1);
    assert_eq!(shown(&office, &home, "fresh"), "1");

    agent.kill();
    collector.kill();
    let_pass(STOP);
    let _collector = office.bed.start_collector();
    let back = office.bed.device_when(&home, "the device's row", |_| true);
    assert_ne!(back["state"]["liveness"], "silent", "{back}");
    office.wait_for_ticks(1);
    assert_eq!(shown(&office, &home, "silent"), "0");
    assert!(mail.messages().is_empty());

    office.bed.device_when(&home, "the device to be stale", |row| row["state"]["liveness"] == "stale");
    let letters = Office::mails(&mail, 1);
    office.wait_for_hooks(1);
    assert!(letters[0].body.contains("ct-1 からの通信が途絶えています"), "{letters:?}");
    assert_eq!(shown(&office, &home, "silent"), "1");
    assert_eq!(shown(&office, &home, "fresh"), "0");
    let open = metrics_line(&office.metrics(), "tenken_incidents_open{");
    assert!(open.contains("rule=\"silent-device\"") && open.ends_with(" 1"), "{open}");

    let _agent = office.bed.start_agent(&home);
    let letters = Office::mails(&mail, 2);
    assert!(letters[1].subject.contains("[復旧]"), "{letters:?}");
    assert_eq!(shown(&office, &home, "silent"), "0");
}

/// The gauge of a device in one state.
fn shown(office: &Office, home: &Home, state: &str) -> String {
    let start = format!(
        "tenken_device_state{{device=\"{}\",hospital=\"minato\",name=\"ct-1\",state=\"{state}\"}} ",
        home.device
    );
    wait_until(BOUND, "the device's gauge", |_| {
        let line = metrics_line(&office.metrics(), &start);
        line.strip_prefix(&start).map(str::to_owned)
    })
}
