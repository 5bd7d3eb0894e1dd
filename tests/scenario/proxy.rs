//! Behind the hospital's proxy: with a password, with one that inspects, with one that fails.

use crate::outage::status_when;
use std::{fs, time::Duration};
use tenken_tests::{Bed, BedPlan, Home, Proxy, stdout};

const BOUND: Duration = Duration::from_secs(40);
/// `ct-1:open sesame`
const CREDENTIALS: &str = "Y3QtMTpvcGVuIHNlc2FtZQ==";

/// An agent's configuration behind a proxy that `section` describes.
fn behind(section: &str) -> String {
    format!(
        "[push]\ninterval = \"1s\"\nreport = \"1s\"\nretry_first = \"100ms\"\nretry_max = \"1s\"\ntimeout = \"3s\"\n\
         [push.proxy]\n{section}\n[probes.intervals]\ncpu = \"1s\"\ndisk = \"1s\"\nmemory = \"1s\"\n"
    )
}

fn acked(status: &serde_json::Value) -> u64 {
    status.pointer("/spool/acked_batches").and_then(serde_json::Value::as_u64).unwrap()
}

fn delivers_on(bed: &Bed, home: &Home, what: &str) {
    let before = acked(&status_when(bed, home, what, |_| true));
    status_when(bed, home, what, |status| {
        acked(status) > before + 1 && status.pointer("/delivery/state").is_some_and(|s| s == "ok")
    });
}

fn fails_with(bed: &Bed, home: &Home, text: &str) {
    status_when(bed, home, text, |status| {
        let why = status.pointer("/delivery/why").and_then(serde_json::Value::as_str);
        why.is_some_and(|why| why.contains(text))
    });
}

#[test]
fn a_proxy_with_a_password_carries_everything_and_its_failures_are_named() {
    let bed = Bed::new(BedPlan::default());
    let _collector = bed.start_collector();
    let proxy = Proxy::start(Some(CREDENTIALS));
    let password = bed.dir().join("password");
    let section = format!(
        "url = \"http://127.0.0.1:{}\"\nusername = \"ct-1\"\npassword_file = \"{}\"",
        proxy.port,
        password.display()
    );
    let home = bed.applicant("ct-1");
    bed.write_agent(&home, &behind(&section));

    fs::write(&password, "wrong\n").unwrap();
    let slot = bed.path("ct-1.slot");
    let refused = bed.agent(&home, &["enroll", "--slot", &slot]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("407"), "{said}");

    fs::write(&password, "open sesame\n").unwrap();
    stdout(&bed.agent(&home, &["enroll", "--slot", &slot]));
    let mut agent = bed.start_agent(&home);
    delivers_on(&bed, &home, "delivery through the proxy");
    assert_eq!(proxy.ports(), {
        let mut p = vec![bed.device_port, bed.enroll_port];
        p.sort_unstable();
        p
    });

    // Alive and dying in turn: what breaks off is sent again, and nothing twice.
    proxy.dying(true);
    agent.kill();
    let _agent = bed.start_agent(&home);
    tenken_tests::wait_until(BOUND, "connections that break off", |_| (proxy.cut() >= 3).then_some(()));
    proxy.dying(false);
    delivers_on(&bed, &home, "delivery after the proxy was ill");

    let port = proxy.port;
    drop(proxy);
    fails_with(&bed, &home, "the proxy cannot be reached");
    let closed = Proxy::start_at(port, Some("bm9ib2R5OmVsc2U="));
    fails_with(&bed, &home, "407");
    drop(closed);
    let _proxy = Proxy::start_at(port, Some(CREDENTIALS));
    delivers_on(&bed, &home, "delivery after the proxy came back");
}

#[test]
fn behind_a_proxy_that_inspects_the_device_proves_itself_by_what_it_signs() {
    let bed = Bed::new(BedPlan::default());
    let _collector = bed.start_collector();
    let (proxy, authority) = Proxy::inspecting();
    let ca = bed.dir().join("proxy-ca.pem");
    fs::write(&ca, authority).unwrap();
    let url = format!("url = \"http://127.0.0.1:{}\"\n", proxy.port);

    // Without its authority nothing is believed, and nothing is sent.
    let home = bed.applicant("ct-1");
    bed.write_agent(&home, &behind(&url));
    let slot = bed.path("ct-1.slot");
    let refused = bed.agent(&home, &["enroll", "--slot", &slot]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("certificate is not trusted"), "{said}");

    bed.write_agent(&home, &behind(&format!("{url}ca_file = \"{}\"", ca.display())));
    stdout(&bed.agent(&home, &["enroll", "--slot", &slot]));
    let _agent = bed.start_agent(&home);
    delivers_on(&bed, &home, "delivery through an inspecting proxy");
    assert_eq!(proxy.ports(), [bed.enroll_port], "no client certificate is shown to it");
    assert!(proxy.tunnels() > 1);
}
