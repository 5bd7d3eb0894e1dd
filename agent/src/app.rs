//! Builds the agent's parts, starts them and ends them in order.
//!
//! Order at the end: collection; delivery, which sends once more what waits; then the spool, which
//! gives back what it reserved. That last push takes two seconds at most and is not tried where
//! delivery fails already: many devices are switched off in the evening, and what they saw last
//! should not wait until the morning, but a device must not wait for its agent.
//! One current-thread runtime carries both loops; the spool and the probes have threads of their
//! own, so that a slow disk or a hanging probe does not stop delivery.

use crate::{
    collect::Collection,
    config::AgentConfig,
    consent_file::ConsentWatch,
    deliver::Delivery,
    identity, probes,
    runner::Runner,
    sent::Sent,
    shared::Shared,
    spool::{ChainStart, SpoolConfig, SpoolHandle},
    transport::http::HttpTransport,
};
use anyhow::Context;
use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
    time::Duration,
};
use tenken_agent_core::{
    consent_gate::ConsentGate,
    device_clock::DeviceClock,
    pusher::{PushPolicy, Pusher},
    schedule::Schedule,
};
use tenken_common::{
    ack::Ack,
    envelope::Envelope,
    key::{self, PublicKey},
    time::{Clock, SystemClock, Timestamp},
    tls,
};
use tokio::sync::Notify;

pub use crate::shared::VERSION;

/// For the last push before the end.
const LAST_PUSH_WITHIN: Duration = Duration::from_secs(2);

/// Runs the agent until `shutdown` completes.
pub async fn run(config: AgentConfig, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    let enrolled = identity::load(&config.state_dir)?;
    let ack_key = enrolled.trust.ack_key().context("the trust document's acknowledgement key")?;

    let spool_config = SpoolConfig {
        dir: config.state_dir.join("spool"),
        engine: config.spool.engine,
        cap_bytes: config.spool.cap.0,
    };
    let start = ChainStart { device: enrolled.device, epoch: enrolled.epoch, genesis: enrolled.genesis };
    let spool = SpoolHandle::open(spool_config, start).await.context("the spool cannot be opened")?;
    let snapshot = spool.snapshot().await?;

    let device_clock = DeviceClock::new(last_signed(snapshot.newest_ack.as_deref(), &ack_key));
    let gate = ConsentGate::new(
        enrolled.hospital_key,
        enrolled.device,
        enrolled.group.clone(),
        snapshot.consent_version,
    );
    let tls = tls::client(&enrolled.roots(), Some(enrolled.tls.clone()), clock.clone())?;
    let transport = HttpTransport::new(&enrolled.push_url, tls, config.push.timeout.0)?;

    let runner = Runner::new(probes::registry::all(&config.probes));
    let seed = u64::from_be_bytes(key::random()?);
    let beats = runner.infos().map(|info| (info.name, config.probes.interval(info)));
    let schedule = Schedule::new(clock.mono(), beats, seed);

    let shared = Rc::new(Shared {
        started: clock.wall(),
        stopped: Cell::default(),
        clock,
        gate: RefCell::new(gate),
        device_clock: RefCell::new(device_clock),
        spool,
        sent: Sent::new(&config.state_dir),
        push: config.push.clone(),
        delivery: RefCell::default(),
        refused_consent: RefCell::default(),
        wake: Notify::new(),
        state_dir: config.state_dir.clone(),
        spool_failure: RefCell::default(),
        enrolled,
    });
    let policy = PushPolicy {
        interval: config.push.interval.0,
        retry_first: config.push.retry_first.0,
        retry_max: config.push.retry_max.0,
    };
    tracing::info!(device = %shared.enrolled.device, version = VERSION, "agent started");

    let watch = ConsentWatch::new(&config.state_dir);
    let mut collection = Collection::new(shared.clone(), runner, schedule, watch);
    let mut delivery = Delivery::new(shared.clone(), Pusher::new(policy, seed), transport, ack_key);
    tokio::select! {
        () = collection.run() => {}
        () = delivery.run() => {}
        () = shutdown => {}
    }
    delivery.push_last(LAST_PUSH_WITHIN).await;
    shared.stopped.set(Some(shared.clock.wall()));
    collection.write_status().await;
    drop((collection, delivery));
    let shared = Rc::into_inner(shared).context("a loop still holds the spool")?;
    shared.spool.close().await.context("the spool did not close cleanly")?;
    tracing::info!("agent stopped");
    Ok(())
}

/// The latest signed time known from before this start: the newest acknowledgement's.
pub(crate) fn last_signed(newest_ack: Option<&[u8]>, ack_key: &PublicKey) -> Timestamp {
    newest_ack
        .and_then(|bytes| Envelope::from_bytes(bytes).ok())
        .and_then(|envelope| envelope.open::<Ack>(ack_key).ok())
        .map_or(Timestamp::MIN, |ack| ack.server)
}
