//! The thread that the spool lives on, and the handle that async code holds.
//!
//! Holds: one thread, one spool, requests in order, at most 64 of them waiting. A spool that
//! halted after a failed write is opened again before the next request. How it stands is noted before
//! a request is answered, so that who asks for that need not wake the thread.

use super::{ChainStart, OpenError, SpoolConfig};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};
use tenken_agent_core::spool::{BatchLimit, Cut, CutContext, Spool, SpoolError, SpoolStats, Standing};
use tenken_common::{
    ack::Ack,
    batch::{GapReason, RecRun},
    category::Category,
    envelope::Verified,
    id::{Epoch, Hash, RecId, Seq},
    observation::Observation,
    telemetry::ErrorChain,
};
use tokio::sync::{mpsc, oneshot};

const REQUESTS_MAX: usize = 64;

type Request = Box<dyn FnOnce(&mut dyn Spool) + Send>;

/// The spool at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub stats: SpoolStats,
    pub head: (Epoch, Seq, Hash),
    pub last_id: RecId,
    pub newest_ack: Option<Vec<u8>>,
    pub consent_version: u64,
}

impl Snapshot {
    fn of(spool: &dyn Spool) -> Self {
        Self {
            stats: spool.stats(),
            head: spool.head(),
            last_id: spool.last_id(),
            newest_ack: spool.newest_ack(),
            consent_version: spool.consent_version(),
        }
    }
}

/// As the last request left the spool; nothing where that halted it.
#[derive(Debug, Clone, Default)]
struct Latest(Arc<Mutex<Option<Snapshot>>>);

impl Latest {
    fn lock(&self) -> MutexGuard<'_, Option<Snapshot>> {
        // It is whole even where a holder panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, spool: &dyn Spool) {
        let snapshot = (!spool.is_halted()).then(|| Snapshot::of(spool));
        *self.lock() = snapshot;
    }
}

/// See the module's head.
pub struct SpoolHandle {
    requests: mpsc::Sender<Request>,
    latest: Latest,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl SpoolHandle {
    /// Starts the thread and opens the spool on it.
    pub async fn open(config: SpoolConfig, start: ChainStart) -> Result<Self, OpenError> {
        let (requests, queue) = mpsc::channel(REQUESTS_MAX);
        let (tell_opened, opened) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        let run = move || {
            match super::open(&config, start) {
                Ok(spool) => {
                    let _ = tell_opened.send(Ok(()));
                    serve(spool, queue, &config, start);
                }
                Err(e) => {
                    let _ = tell_opened.send(Err(e));
                }
            }
            let _ = tell_ended.send(());
        };
        let thread = std::thread::Builder::new()
            .name("tenken-spool".to_owned())
            .spawn(run)
            .map_err(OpenError::Thread)?;
        opened.await.unwrap_or(Err(OpenError::Slow))?;
        Ok(Self { requests, latest: Latest::default(), thread, ended })
    }

    async fn ask<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut dyn Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let (tell, told) = oneshot::channel();
        let latest = self.latest.clone();
        let request: Request = Box::new(move |spool| {
            let answer = f(spool);
            latest.note(spool);
            // Nobody waits for the answer if the asking task was dropped.
            let _ = tell.send(answer);
        });
        self.requests.send(request).await.map_err(|_| SpoolError::Halted)?;
        told.await.unwrap_or(Err(SpoolError::Halted))
    }

    /// Durable when it returns.
    pub async fn append(&self, observations: Vec<Observation>) -> Result<Option<RecRun>, SpoolError> {
        self.ask(move |spool| {
            let run = spool.append(&observations)?;
            if let Some(RecRun { from, to }) = run {
                tracing::debug!(target: "tenken_agent::spool", first = from.0, last = to.0, "appended");
            }
            Ok(run)
        })
        .await
    }

    pub async fn cut(&self, limit: BatchLimit, cx: CutContext<'static>) -> Result<Option<Cut>, SpoolError> {
        self.ask(move |spool| spool.cut(limit, &cx)).await
    }

    pub async fn next_in_flight(&self) -> Result<Option<Cut>, SpoolError> {
        self.ask(|spool| spool.next_in_flight()).await
    }

    pub async fn release(&self, ack: Verified<Ack>, envelope: Vec<u8>) -> Result<u64, SpoolError> {
        self.ask(move |spool| spool.release(&ack, &envelope)).await
    }

    pub async fn adopt_head(&self, committed: Seq, hash: Hash) -> Result<Standing, SpoolError> {
        self.ask(move |spool| spool.adopt_head(committed, hash)).await
    }

    pub async fn answer_missing(&self, missing: Vec<RecRun>) -> Result<u64, SpoolError> {
        self.ask(move |spool| spool.answer_missing(&missing)).await
    }

    pub async fn withdraw(
        &self,
        allowed: impl Fn(Category) -> bool + Send + 'static,
    ) -> Result<u64, SpoolError> {
        self.ask(move |spool| spool.withdraw(&allowed)).await
    }

    pub async fn stub(&self, seq: Seq, reason: GapReason) -> Result<Cut, SpoolError> {
        self.ask(move |spool| spool.stub(seq, reason)).await
    }

    /// As the last request left it; one that halted is opened again for this.
    pub async fn snapshot(&self) -> Result<Snapshot, SpoolError> {
        let latest = self.latest.lock().clone();
        match latest {
            Some(snapshot) => Ok(snapshot),
            None => self.ask(|spool| Ok(Snapshot::of(spool))).await,
        }
    }

    pub async fn set_consent_version(&self, version: u64) -> Result<(), SpoolError> {
        self.ask(move |spool| spool.set_consent_version(version)).await
    }

    /// Finishes what was asked, gives unused ids back and ends the thread.
    pub async fn close(self) -> Result<(), SpoolError> {
        let closed = self.ask(|spool| spool.close()).await;
        drop(self.requests);
        let _ = self.ended.await;
        let joined = self.thread.join();
        closed.and(joined.map_err(|_| SpoolError::Halted))
    }
}

fn serve(spool: Box<dyn Spool>, mut queue: mpsc::Receiver<Request>, config: &SpoolConfig, start: ChainStart) {
    let mut current = Some(spool);
    let mut said = String::new();
    while let Some(request) = queue.blocking_recv() {
        if current.as_ref().is_none_or(|spool| spool.is_halted()) {
            // Its lock goes with it.
            current = None;
            match super::open(config, start) {
                Ok(spool) => {
                    tracing::info!("spool opened again");
                    (current, said) = (Some(spool), String::new());
                }
                // Every request tries; the same reason is said once.
                Err(e) => {
                    let reason = ErrorChain(&e).to_string();
                    if said != reason {
                        tracing::error!(%reason, "spool could not be opened again");
                        said = reason;
                    }
                }
            }
        }
        // Without a spool the request is dropped and its asker is told so.
        if let Some(spool) = current.as_mut() {
            request(spool.as_mut());
        }
    }
}
