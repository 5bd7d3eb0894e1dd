//! Builds the collector's parts, starts them and ends them in order.
//!
//! Order at the end: listeners (no new requests), evaluation, dispatch, the committer (whose
//! queue is written out), the store. Every task is owned here and has a deadline. New keys are
//! taken up while serving: see [`crate::keys`].

use crate::{
    config::CollectorConfig,
    desk::{self, DeskError},
    ingest::{
        IngestObserver,
        commit::{CommitLoop, Committer, committer},
        listener::{self, ListenerLimits, Served},
        verify::DeviceDirectory,
    },
    keys::{Keys, Rooms},
    metrics::Metrics,
    notify::{
        Outlets,
        dispatch::{DispatchLimits, Dispatcher},
    },
    pki::Pki,
    store::Store,
    worker::{dispatch::StoreOutbox, evaluate::Evaluator, remote_write::RemoteWriter, repeat::Repeater},
};
use anyhow::{Context, bail};
use std::{future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tenken_collector_core::{
    desk::rule::RuleSet, invariant::Invariant, sla::calendar::HolidayList, stream::Entry,
};
use tenken_common::{
    ack::RejectReason,
    envelope::Envelope,
    id::{DeviceId, Hash, Name},
    time::{Clock, SystemClock},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};

pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Devices that have metrics of their own; the rest is counted together.
const DEVICE_SERIES_MAX: usize = 10_000;
/// For each part at the end.
const STOP_WITHIN: Duration = Duration::from_secs(15);
const DEFAULT_RULES: &str = include_str!("../../packaging/rules/default.toml");

/// Where a collector really listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub device: SocketAddr,
    pub enroll: SocketAddr,
    pub metrics: SocketAddr,
}

/// A serving collector.
pub struct Running {
    addresses: Addresses,
    store: Store,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    commits: JoinHandle<()>,
}

impl IngestObserver for Metrics {
    fn accepted(&self, records: usize, bytes: usize) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.batch_accepted(count(records), count(bytes));
    }

    fn refused(&self, reason: RejectReason) {
        Self::refused(self, reason);
    }

    fn duplicate(&self) {
        Self::duplicate(self);
    }

    fn acknowledged(&self, took: Duration) {
        Self::acknowledged(self, took);
    }

    fn group_committed(&self, took: Duration) {
        Self::group_committed(self, took);
    }

    fn invariant_violated(&self, invariant: Invariant) {
        Self::invariant_violated(self, invariant);
    }
}

/// Makes the keys of a new collector; prints nothing.
pub fn init(config: &CollectorConfig) -> anyhow::Result<Hash> {
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make the folder {}", config.data_dir.display()))?;
    let pki = Pki::create(&config.pki_dir(), &config.names, SystemClock::new().wall())?;
    Ok(pki.root_sha256())
}

/// The store of a configuration, for commands beside a serving collector too.
pub async fn open_store(config: &CollectorConfig) -> anyhow::Result<Store> {
    open_store_at(config, Arc::new(SystemClock::new())).await
}

async fn open_store_at(config: &CollectorConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make the folder {}", config.data_dir.display()))?;
    let path = config.database();
    Store::open(&path, clock).await.with_context(|| format!("the store {} cannot be opened", path.display()))
}

/// The rules of a configuration, as text and read.
pub fn rules(config: &CollectorConfig) -> anyhow::Result<(String, RuleSet)> {
    let text = match &config.evaluate.rules {
        None => DEFAULT_RULES.to_owned(),
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the rules {}", path.display()))?,
    };
    let path = config.evaluate.rules.clone().unwrap_or_else(|| Path::new("the built-in rules").to_owned());
    let rules = RuleSet::parse(&text)
        .map_err(|problems| tenken_common::config::ConfigError::Invalid { path, problems })?;
    Ok((text, rules))
}

/// The official list of holidays of a configuration; without one the law's rules hold.
pub fn holidays(config: &CollectorConfig) -> anyhow::Result<Arc<HolidayList>> {
    let Some(path) = &config.evaluate.holidays else { return Ok(Arc::default()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the holidays {} (evaluate.holidays, UTF-8)", path.display()))?;
    let list = HolidayList::parse(&text)
        .with_context(|| format!("the holidays {} (evaluate.holidays)", path.display()))?;
    Ok(Arc::new(list))
}

/// Starts a collector. When it returns, all listeners accept.
pub async fn start(config: CollectorConfig) -> anyhow::Result<Running> {
    start_at(config, Arc::new(SystemClock::new())).await
}

/// The same by another clock.
pub async fn start_at(config: CollectorConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Running> {
    let (rules_text, _) = rules(&config)?;
    let holidays = holidays(&config)?;
    let outlets = Arc::new(Outlets::new(&config.notify)?);
    let keys = Arc::new(Keys::load(&config.pki_dir(), clock.clone())?);

    let bound = Bound::bind(&config).await?;
    let addresses = bound.addresses()?;
    let store = open_store_at(&config, clock.clone()).await?;
    let metrics = Arc::new(Metrics::new(clock.wall(), DEVICE_SERIES_MAX));
    let remote_writer = match &config.remote_write {
        Some(section) => {
            let seed = clock.wall().as_micros().cast_unsigned();
            Some(RemoteWriter::new(store.clone(), section, metrics.remote_write(), seed)?)
        }
        None => None,
    };
    let devices = Arc::new(DeviceDirectory::load(&store).await?);
    let (committer, commit_loop) = committer(store.clone(), keys.clone());
    let rooms = Rooms {
        store: store.clone(),
        committer: committer.clone(),
        devices: devices.clone(),
        clock: clock.clone(),
        push_url: config.push_url_at(addresses.device.port()).into(),
        observer: metrics.clone(),
    };
    let served = keys.serve(rooms)?;

    let (stop, stopped) = watch::channel(false);
    let commits = tokio::spawn(run_commits(commit_loop.observed(metrics.clone())));
    announce(&committer, rules_text).await?;

    let wake = Arc::new(Notify::new());
    let evaluator =
        Evaluator::new(store.clone(), committer, outlets.clone(), metrics.clone(), wake.clone(), holidays);
    let dispatcher = Dispatcher::new(
        Arc::new(StoreOutbox::new(store.clone())),
        outlets.clone(),
        clock,
        metrics.clone(),
        DispatchLimits::default(),
    );
    let repeater = Repeater::new(store.clone(), outlets);
    let interval = config.evaluate.interval.0;
    let until: [_; 6] = std::array::from_fn(|_| stopping(stopped.clone()));
    let [until_1, until_2, until_3, until_4, until_5, until_6] = until;
    let (follow_store, guests) = (store.clone(), devices.watch());
    let (device, open) = (served.device.subscribe(), served.open.subscribe());
    let mut workers = vec![
        tokio::spawn(async move { evaluator.run(interval, until_1).await }),
        tokio::spawn(async move { dispatcher.run(&wake, until_2).await }),
        tokio::spawn(async move { repeater.run(until_5).await }),
        tokio::spawn(async move {
            tokio::select! {
                () = devices.follow(&follow_store) => {}
                () = until_3 => {}
            }
        }),
        tokio::spawn(async move {
            tokio::select! {
                () = keys.follow(&served) => {}
                () = until_4 => {}
            }
        }),
    ];
    workers.extend(remote_writer.map(|writer| tokio::spawn(writer.run(until_6))));
    let limits = ListenerLimits::default();
    let serve = |socket, served, name| {
        let (observer, guests) = (metrics.listener(name), guests.clone());
        tokio::spawn(listener::serve(socket, served, guests, limits, observer, stopping(stopped.clone())))
    };
    let listeners = vec![
        serve(bound.device, device, "device"),
        serve(bound.enroll, open, "enroll"),
        serve(bound.metrics, Served { tls: None, router: metrics.router() }.fixed(), "metrics"),
    ];
    Ok(Running { addresses, store, stop, listeners, workers, commits })
}

async fn run_commits(commits: CommitLoop) {
    commits.run().await;
}

/// What a start writes down: that it served, and by which rules.
async fn announce(committer: &Committer, rules: String) -> anyhow::Result<()> {
    committer.journal(Entry::Rules { text: rules }).await?;
    committer.journal(Entry::Started { version: Name::of_outside(VERSION) }).await?;
    Ok(())
}

/// Completes when the collector is to stop.
async fn stopping(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}

struct Bound {
    device: TcpListener,
    enroll: TcpListener,
    metrics: TcpListener,
}

impl Bound {
    async fn bind(config: &CollectorConfig) -> anyhow::Result<Self> {
        let listen = &config.listen;
        Ok(Self {
            device: bind("listen.device", listen.device).await?,
            enroll: bind("listen.enroll", listen.enroll).await?,
            metrics: bind("listen.metrics", listen.metrics).await?,
        })
    }

    fn addresses(&self) -> anyhow::Result<Addresses> {
        Ok(Addresses {
            device: self.device.local_addr()?,
            enroll: self.enroll.local_addr()?,
            metrics: self.metrics.local_addr()?,
        })
    }
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {} on {} is in use by another program ({key})", address.port(), address.ip())
        }
        Err(e) => Err(e).with_context(|| format!("cannot listen on {address} ({key})")),
    }
}

impl Running {
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub async fn load_contract(&self, text: &str) -> Result<(), DeskError> {
        desk::load_contract(&self.store, text).await.map(drop)
    }

    pub async fn file_statement(&self, envelope: &Envelope) -> Result<(), DeskError> {
        desk::file_statement(&self.store, envelope).await.map(drop)
    }

    /// The fingerprint of a device's key, as the collector knows it.
    pub async fn fingerprint(&self, device: DeviceId) -> anyhow::Result<Option<Hash>> {
        Ok(self.store.device(device).await?.map(|row| row.key.fingerprint()))
    }

    /// Completes when a part ends that should not.
    pub async fn part_ended(&mut self) -> &'static str {
        let (listeners, workers) = (&mut self.listeners, &mut self.workers);
        tokio::select! {
            () = any(listeners) => "a listener",
            () = any(workers) => "a worker",
            _ = &mut self.commits => "the committer",
        }
    }

    /// Ends everything in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        // Without receivers everything has ended already.
        let _ = self.stop.send(true);
        let mut late = Vec::new();
        for (part, tasks) in [("listeners", self.listeners), ("workers", self.workers)] {
            for task in tasks {
                late.extend(ended(part, task).await);
            }
        }
        late.extend(ended("committer", self.commits).await);
        self.store.close().await;
        if late.is_empty() { Ok(()) } else { bail!("did not end in time or broke: {}", late.join(", ")) }
    }
}

async fn any(tasks: &mut [JoinHandle<()>]) {
    std::future::poll_fn(|cx| {
        let over = tasks.iter_mut().any(|task| std::pin::Pin::new(task).poll(cx).is_ready());
        if over { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

async fn ended(part: &'static str, mut task: JoinHandle<()>) -> Option<&'static str> {
    match tokio::time::timeout(STOP_WITHIN, &mut task).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some(part),
        Err(_) => {
            task.abort();
            Some(part)
        }
    }
}
