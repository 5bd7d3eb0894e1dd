//! Builds the agent's parts, starts them and ends them in order.
//!
//! Order at the end: collection; delivery, which sends once more what waits; then the spool, which
//! gives back what it reserved. That last push takes two seconds at most and is not tried where
//! delivery fails already: many devices are switched off in the evening, and what they saw last
//! should not wait until the morning, but a device must not wait for its agent.
//! A device that is given its next epoch goes on without a new process: its parts end in the same
//! order, and begin again with the new identity.
//! One current-thread runtime carries both loops; the spool and the probes have threads of their
//! own, so that a slow disk or a hanging probe does not stop delivery.

use crate::{
    clock::AuthorityClock,
    collect::Collection,
    config::AgentConfig,
    consent_file::ConsentWatch,
    deliver::{Delivery, Rejoined},
    identity::{self, Enrolled},
    probes,
    runner::Runner,
    sent::Sent,
    service::Supervisor,
    session::Conversation,
    shared::Shared,
    spool::{ChainStart, OpenError, SpoolConfig, SpoolHandle},
    transport::way::Way,
};
use anyhow::Context;
use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tenken_agent_core::{
    consent_gate::ConsentGate,
    pusher::{ALARM_RETRY_MAX, PushPolicy, Pusher},
    schedule::Schedule,
};
use tenken_common::{
    ack::Ack,
    envelope::Envelope,
    key,
    time::{Clock, SystemClock, Timestamp},
};
use tokio::sync::Notify;

pub use crate::shared::VERSION;

/// How long a start waits for the spool's lock.
const LOCK_WITHIN: Duration = Duration::from_secs(10);
const LOCK_LOOK: Duration = Duration::from_millis(200);
/// For the last push before the end.
const LAST_PUSH_WITHIN: Duration = Duration::from_secs(2);

/// Runs the agent until `shutdown` completes.
pub async fn run(config: AgentConfig, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    run_at(config, Arc::new(SystemClock::new()), shutdown).await
}

/// The same for a supervisor.
pub async fn run_supervised(
    config: AgentConfig,
    supervisor: Supervisor,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    run_until(config, Arc::new(SystemClock::new()), supervisor, shutdown).await
}

/// The same by another clock.
pub async fn run_at(
    config: AgentConfig,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    run_until(config, clock, Supervisor::none(), shutdown).await
}

async fn run_until(
    config: AgentConfig,
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut shutdown = pin!(shutdown);
    let supervisor = Rc::new(supervisor);
    // Said before the spool is opened: that may take long, and has a bound of its own.
    supervisor.ready();
    while live(&config, clock.clone(), &supervisor, shutdown.as_mut()).await? == End::Rejoined {}
    tracing::info!("agent stopped");
    Ok(())
}

/// Waits for an agent that is just ending, and for a system that gives the lock of a killed one
/// back late, as Windows does.
async fn open_spool(config: &SpoolConfig, start: ChainStart) -> Result<SpoolHandle, OpenError> {
    let mut looks = LOCK_WITHIN.as_millis() / LOCK_LOOK.as_millis();
    loop {
        match SpoolHandle::open(config.clone(), start).await {
            Err(OpenError::InUse(_)) if looks > 0 => looks -= 1,
            opened => return opened,
        }
        tokio::time::sleep(LOCK_LOOK).await;
    }
}

/// Why the parts ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Rejoined,
}

/// From one identity to the next, or to the end.
async fn live(
    config: &AgentConfig,
    clock: Arc<dyn Clock>,
    supervisor: &Rc<Supervisor>,
    shutdown: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<End> {
    let enrolled = identity::load(&config.state_dir)?;
    let way = Way::new(&config.push)?;

    let spool_config = SpoolConfig {
        dir: config.state_dir.join("spool"),
        engine: config.spool.engine,
        room: config.spool.cap.0.into(),
    };
    let start = ChainStart { device: enrolled.device, epoch: enrolled.epoch, genesis: enrolled.genesis };
    let opening = open_spool(&spool_config, start);
    let spool = supervisor.alive_during(&clock, opening).await.context("the spool cannot be opened")?;
    let snapshot = spool.snapshot().await?;

    let gate = ConsentGate::new(
        enrolled.hospital_key,
        enrolled.device,
        enrolled.group.clone(),
        snapshot.consent_version,
    );
    let around = probes::Surroundings::open(&config.probes, &config.state_dir)
        .context("the key that hides names cannot be used")?;
    let runner = Runner::new(probes::registry::all(&config.probes, &around));
    let seed = u64::from_be_bytes(key::random()?);
    let beats = runner.infos().map(|info| (info.name, config.probes.interval(info)));
    let schedule = Schedule::new(clock.mono(), beats, seed);

    let shared = Rc::new(Shared {
        started: clock.wall(),
        stopped: Cell::default(),
        device_clock: AuthorityClock::new(
            clock.clone(),
            last_signed(snapshot.newest_ack.as_deref(), &enrolled),
        ),
        clock,
        gate: RefCell::new(gate),
        session: RefCell::default(),
        spool,
        sent: Sent::new(&config.state_dir),
        push: config.push.clone(),
        delivery: RefCell::default(),
        refused_consent: RefCell::default(),
        wake: Notify::new(),
        state_dir: config.state_dir.clone(),
        spool_failure: RefCell::default(),
        supervisor: Rc::clone(supervisor),
        enrolled,
    });
    let policy = PushPolicy {
        interval: config.push.interval.0,
        retry_first: config.push.retry_first.0,
        retry_max: config.push.retry_max.0,
        alarm_retry_max: ALARM_RETRY_MAX,
    };
    let conversation = Conversation::new(shared.clone(), way, seed)?;
    tracing::info!(device = %shared.enrolled.device, version = VERSION, "agent started");

    let watch = ConsentWatch::new(&config.state_dir);
    let mut collection = Collection::new(
        shared.clone(),
        runner,
        schedule,
        (config.diagnosis.diagnosis(), config.budget.budget()),
        watch,
    );
    let mut delivery = Delivery::new(shared.clone(), Pusher::new(policy, seed), conversation);
    let end = tokio::select! {
        () = collection.run() => End::Stopped,
        Rejoined = delivery.run() => End::Rejoined,
        () = shutdown => End::Stopped,
    };
    if end == End::Stopped {
        supervisor.stopping();
        delivery.push_last(LAST_PUSH_WITHIN).await;
        shared.stopped.set(Some(shared.clock.wall()));
        collection.write_status().await;
    }
    drop((collection, delivery));
    let shared = Rc::into_inner(shared).context("a loop still holds the spool")?;
    shared.spool.close().await.context("the spool did not close cleanly")?;
    Ok(end)
}

/// The latest time that is known to have passed already: that of the newest acknowledgement, or of
/// the trust document, which the vendor signed.
pub(crate) fn last_signed(newest_ack: Option<&[u8]>, enrolled: &Enrolled) -> Timestamp {
    let acked = newest_ack
        .zip(enrolled.trust.ack_key().ok())
        .and_then(|(bytes, key)| Envelope::from_bytes(bytes).ok()?.open::<Ack>(&key).ok())
        .map_or(Timestamp::MIN, |ack| ack.server);
    acked.max(enrolled.trust.issued)
}
