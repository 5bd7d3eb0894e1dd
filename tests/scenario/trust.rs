//! Keys of the collector change under a running agent, and under one that was away.

use crate::{outage::status_when, peer::counters};
use tenken_tests::{Bed, BedPlan, Home, stdout, wait_until};

fn number(status: &serde_json::Value, at: &str) -> u64 {
    status.pointer(at).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("{at}: {status}"))
}

fn rotate(bed: &Bed, what: &[&str]) {
    let offline = bed.path("collector/pki/offline");
    stdout(&bed.collector(&[&["trust", "new", "--offline", &offline], what].concat()));
}

/// Waits until the agent follows that version and delivers on.
fn follows(bed: &Bed, home: &Home, version: u64) -> serde_json::Value {
    let status = status_when(bed, home, &format!("trust version {version}"), |status| {
        number(status, "/session/trust_version") == version
    });
    let before = number(&status, "/spool/acked_batches");
    status_when(bed, home, &format!("delivery by version {version}"), |status| {
        number(status, "/spool/acked_batches") > before + 1
    })
}

#[test]
fn keys_rotate_while_everything_runs_and_no_device_is_cut_off() {
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let (runs, away) = (bed.enroll("ct-1"), bed.enroll("ct-2"));
    let _agent = bed.start_agent(&runs);
    let first = follows(&bed, &runs, 1);
    rotate(&bed, &["--ack-key"]);
    collector.wait_for_text(std::time::Duration::from_secs(10), "serving by new keys");
    follows(&bed, &runs, 2);
    rotate(&bed, &["--root", "--signer"]);
    let later = follows(&bed, &runs, 3);
    assert_eq!(first["session"]["certificate_ends"], later["session"]["certificate_ends"], "still good");

    // The old roots are trusted no more: certificates under them are renewed first.
    rotate(&bed, &["--root", "--ack-key", "--forget-roots"]);
    follows(&bed, &runs, 4);
    let versions = bed.listing(&["trust", "list"]);
    assert_eq!(versions.as_array().unwrap().len(), 4);
    assert_eq!(versions[3]["roots"].as_array().unwrap().len(), 1);

    let _late = bed.start_agent(&away);
    follows(&bed, &away, 4);
    assert_eq!(counters(bed.metrics_port, "tenken_ingest_refused_total"), std::collections::BTreeMap::new());

    stdout(&bed.collector(&["device", "revoke", &away.device]));
    wait_until(std::time::Duration::from_secs(5), "the revoked device's connection to be cut", |state| {
        let cut = counters(bed.metrics_port, "tenken_connections_turned_out_total");
        let refused = counters(bed.metrics_port, "tenken_ingest_refused_total{reason=\"revoked\"}");
        *state = format!("{cut:?} {refused:?}");
        (!cut.is_empty() || !refused.is_empty()).then_some(())
    });
}
