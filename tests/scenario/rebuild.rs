//! A collector that derives everything again comes to the same result and sends nothing twice.

use std::{fs, sync::Arc, time::Duration};
use tenken_collector::store::{Store, model::OutboxState};
use tenken_common::{id::Hash, time::SystemClock};
use tenken_tests::{Bed, BedPlan, WebhookReceiver, stdout, wait_until};

const BOUND: Duration = Duration::from_secs(60);

/// The digest of everything derived, and what the outbox holds.
fn derived(bed: &Bed) -> (Hash, Vec<(i64, OutboxState)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&bed.database(), Arc::new(SystemClock::new())).await.unwrap();
        let outbox = store.outbox().await.unwrap();
        let digest = store.digest().await.unwrap();
        store.close().await;
        (digest, outbox.into_iter().map(|row| (row.id, row.state)).collect())
    })
}

#[test]
fn a_rebuild_comes_out_the_same_and_sends_nothing() {
    let receiver = WebhookReceiver::start();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "a secret of this test\n").unwrap();
    let mut plan = BedPlan::default();
    plan.agent.push_str("[[probes.services]]\nname = \"pacs\"\nprocess = \"no-such-process\"\n");
    plan.collector.push_str(&format!(
        "[[notify.webhook]]\nname = \"desk\"\nurl = \"{}\"\nsecret_file = \"{}\"\n",
        receiver.url("/desk"),
        secret.path().display()
    ));
    let bed = Bed::new(plan);
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let mut agent = bed.start_agent(&home);
    wait_until(BOUND, "the notice of the service that is down", |state| {
        *state = bed.listing(&["incident", "list"]).to_string();
        receiver.requests().first().map(drop)
    });
    bed.device_when(&home, "some batches", |row| row["batches"].as_u64() >= Some(3));
    agent.terminate();
    assert!(agent.wait(BOUND).success());
    collector.terminate();
    assert!(collector.wait(BOUND).success());

    let before = derived(&bed);
    assert!(before.1.iter().any(|(_, state)| *state == OutboxState::Delivered), "{before:?}");
    let sent = receiver.requests().len();
    let said = stdout(&bed.collector(&["--language", "en", "rebuild"]));
    assert!(said.contains("the result is the same as before"), "{said}");
    let after = derived(&bed);
    assert_eq!(after.1, before.1, "the outbox stayed as it was");
    stdout(&bed.collector(&["rebuild"]));
    assert_eq!(derived(&bed), after);

    // What has to be sent is sent at the first tick after a start.
    let mut collector = bed.start_collector();
    let ticks = |text: &str| text.contains("\ntenken_evaluation_last_timestamp_seconds ");
    wait_until(BOUND, "a tick after the restart", |state| {
        *state = tenken_tests::http::get(bed.metrics_port, "/metrics").map(|a| a.body).unwrap_or_default();
        ticks(state).then_some(())
    });
    collector.terminate();
    assert!(collector.wait(BOUND).success());
    assert_eq!(derived(&bed).1.len(), before.1.len(), "no notice was queued again");
    assert_eq!(receiver.requests().len(), sent, "nothing was sent again");
}
