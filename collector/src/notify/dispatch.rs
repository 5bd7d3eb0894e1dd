//! The dispatcher: takes what is due from the outbox, sends it, and notes what came of it.
//!
//! Holds: a message is marked delivered only after the server said yes; a crash between the two
//! means a repeat with the same identity, never a loss. One message at a time goes through an
//! outlet, at most [`DispatchLimits::concurrent`] through all; an outlet that is slow or hangs does
//! not hold the others up.

use super::{DeliveryError, Outlets};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tenken_collector_core::desk::notice::Notice;
use tenken_common::{
    id::{Hash, Name},
    retry::Backoff,
    time::{Clock, Timestamp},
};
use tokio::{
    sync::Semaphore,
    task::{AbortHandle, JoinError, JoinSet},
};

/// A message for one outlet: a notice, or several of one hospital.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The same on every repeat.
    pub id: Hash,
    /// The outlet's key, from [`Outlets::wanting`].
    pub outlet: Name,
    /// Oldest first.
    pub notices: Vec<Notice>,
    /// Attempts that failed so far.
    pub failures: u32,
}

impl Due {
    pub fn key(&self) -> DueKey {
        DueKey { message: self.id, outlet: self.outlet.clone() }
    }
}

/// What names a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueKey {
    pub message: Hash,
    pub outlet: Name,
}

/// Where notices wait; kept by the store, durable when a call returns.
pub trait Outbox: Send + Sync + 'static {
    type Error: std::error::Error + Send + Sync + 'static;

    /// Messages that are neither delivered nor given up and whose next attempt is not after `now`,
    /// oldest first, at most `max`, of outlets that are not `busy`: what comes for those meanwhile goes
    /// together.
    fn due(
        &self,
        now: Timestamp,
        max: usize,
        busy: &BTreeSet<Name>,
    ) -> impl Future<Output = Result<Vec<Due>, Self::Error>> + Send;

    fn delivered(&self, row: &DueKey, at: Timestamp) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Counts a failure. Without a `next` the row is given up, and stays visible with its error.
    fn failed(
        &self,
        row: &DueKey,
        at: Timestamp,
        next: Option<Timestamp>,
        error: &str,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryResult {
    Delivered,
    Deferred,
    GivenUp,
}

impl DeliveryResult {
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Deferred, Self::GivenUp];

    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::GivenUp => "given_up",
        }
    }
}

/// What a dispatcher reports; `outlet` is the configured name.
pub trait DispatchObserver: Send + Sync + 'static {
    fn attempted(&self, outlet: &Name, result: DeliveryResult);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DispatchLimits {
    /// Messages read in one round.
    pub rows: usize,
    /// Outlets that send at the same time.
    pub concurrent: usize,
    /// Between rounds where nothing wakes the dispatcher.
    pub poll: Duration,
    pub retry_first: Duration,
    pub retry_max: Duration,
}

impl Default for DispatchLimits {
    fn default() -> Self {
        Self {
            rows: 256,
            concurrent: 8,
            poll: Duration::from_secs(2),
            retry_first: Duration::from_secs(5),
            retry_max: Duration::from_mins(10),
        }
    }
}

/// Sums of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    pub delivered: usize,
    pub deferred: usize,
    pub given_up: usize,
}

impl Round {
    fn count(&mut self, result: DeliveryResult) {
        match result {
            DeliveryResult::Delivered => self.delivered += 1,
            DeliveryResult::Deferred => self.deferred += 1,
            DeliveryResult::GivenUp => self.given_up += 1,
        }
    }
}

/// Outlets at work; dropping it cuts them off.
struct Work<E> {
    tasks: JoinSet<(Round, Result<(), E>)>,
    busy: BTreeMap<Name, AbortHandle>,
    places: Arc<Semaphore>,
}

impl<E: Send + 'static> Work<E> {
    fn new(concurrent: usize) -> Self {
        let places = Arc::new(Semaphore::new(concurrent.max(1)));
        Self { tasks: JoinSet::new(), busy: BTreeMap::new(), places }
    }
}

/// What an outlet's task came to.
fn sums<E>(ended: Result<(Round, Result<(), E>), JoinError>) -> (Round, Option<E>) {
    match ended {
        Ok((sums, result)) => (sums, result.err()),
        Err(error) => {
            tracing::error!(%error, "an outlet's task broke off");
            (Round::default(), None)
        }
    }
}

/// See the module's head.
pub struct Dispatcher<O> {
    outbox: Arc<O>,
    outlets: Arc<Outlets>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn DispatchObserver>,
    limits: DispatchLimits,
}

impl<O> Clone for Dispatcher<O> {
    fn clone(&self) -> Self {
        Self {
            outbox: Arc::clone(&self.outbox),
            outlets: Arc::clone(&self.outlets),
            clock: Arc::clone(&self.clock),
            observer: Arc::clone(&self.observer),
            limits: self.limits,
        }
    }
}

impl<O: Outbox> Dispatcher<O> {
    pub fn new(
        outbox: Arc<O>,
        outlets: Arc<Outlets>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn DispatchObserver>,
        limits: DispatchLimits,
    ) -> Self {
        Self { outbox, outlets, clock, observer, limits }
    }

    /// Rounds until `shutdown` is ready: at least every [`DispatchLimits::poll`], at once when
    /// `wake` is notified. An outlet that is still at work is left out of a round. What is being sent
    /// when the shutdown comes is cut off, and repeated after the next start.
    pub async fn run(&self, wake: &tokio::sync::Notify, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut work = Work::new(self.limits.concurrent);
        loop {
            let round = async {
                if let Err(error) = self.begin(&mut work).await {
                    tracing::error!(%error, "the outbox cannot be read or written");
                }
                // Ready at once or late: either way the next round begins.
                let _ = tokio::time::timeout(self.limits.poll, wake.notified()).await;
                while let Some(ended) = work.tasks.try_join_next() {
                    if let Some(error) = sums(ended).1 {
                        tracing::error!(%error, "the outbox cannot be read or written");
                    }
                }
            };
            tokio::select! {
                () = &mut shutdown => return,
                () = round => {}
            }
        }
    }

    /// Sends what is due now, once, and waits for all of it.
    pub async fn round(&self) -> Result<Round, O::Error> {
        let mut work = Work::new(self.limits.concurrent);
        self.begin(&mut work).await?;
        let (mut round, mut broken) = (Round::default(), None);
        while let Some(ended) = work.tasks.join_next().await {
            let (sums, error) = sums(ended);
            round.delivered += sums.delivered;
            round.deferred += sums.deferred;
            round.given_up += sums.given_up;
            broken = broken.or(error);
        }
        broken.map_or(Ok(round), Err)
    }

    /// Sets every outlet to work that has something due and is not at work.
    async fn begin(&self, work: &mut Work<O::Error>) -> Result<(), O::Error> {
        work.busy.retain(|_, task| !task.is_finished());
        let busy = work.busy.keys().cloned().collect();
        let due = self.outbox.due(self.clock.wall(), self.limits.rows, &busy).await?;
        let mut by_outlet: BTreeMap<Name, Vec<Due>> = BTreeMap::new();
        for row in due {
            by_outlet.entry(row.outlet.clone()).or_default().push(row);
        }
        for (outlet, rows) in by_outlet {
            let (dispatcher, places) = (self.clone(), Arc::clone(&work.places));
            let task = work.tasks.spawn(async move {
                // Closed never: the semaphore lives as long as its holders.
                let _place = places.acquire_owned().await;
                dispatcher.drain(rows).await
            });
            work.busy.insert(outlet, task);
        }
        Ok(())
    }

    /// One outlet's rows, in order.
    async fn drain(&self, rows: Vec<Due>) -> (Round, Result<(), O::Error>) {
        let mut round = Round::default();
        for row in rows {
            match self.send(&row).await {
                Ok((result, may_go_on)) => {
                    round.count(result);
                    if !may_go_on {
                        break;
                    }
                }
                Err(e) => return (round, Err(e)),
            }
        }
        (round, Ok(()))
    }

    /// What came of it, and whether the outlet may be asked for more in this round.
    async fn send(&self, row: &Due) -> Result<(DeliveryResult, bool), O::Error> {
        let Some(outlet) = self.outlets.find(&row.outlet) else {
            let now = self.clock.wall();
            self.outbox.failed(&row.key(), now, None, "no outlet of this name is configured").await?;
            tracing::warn!(outlet = %row.outlet, "a notice is for an outlet that is not configured");
            self.observer.attempted(&row.outlet, DeliveryResult::GivenUp);
            return Ok((DeliveryResult::GivenUp, true));
        };
        let sent = outlet.deliver(row, self.clock.wall()).await;
        let now = self.clock.wall();
        let (result, may_go_on) = match sent {
            Ok(()) => {
                self.outbox.delivered(&row.key(), now).await?;
                (DeliveryResult::Delivered, true)
            }
            Err(error) => {
                let next = error.is_retryable().then(|| now.plus(self.delay(row, &error)));
                let text = error.describe();
                self.outbox.failed(&row.key(), now, next, &text).await?;
                tracing::warn!(outlet = %outlet.name, retry = next.is_some(), error = text, "a notice did not get through");
                match next {
                    // The server is away or busy: the rest of its rows stays due.
                    Some(_) => (DeliveryResult::Deferred, false),
                    None => (DeliveryResult::GivenUp, true),
                }
            }
        };
        self.observer.attempted(&outlet.name, result);
        Ok((result, may_go_on))
    }

    fn delay(&self, row: &Due, error: &DeliveryError) -> Duration {
        let seed = row.id.0.iter().take(8).fold(0u64, |seed, b| (seed << 8) | u64::from(*b));
        // The ceiling stops doubling long before this many failures.
        let failures = usize::try_from(row.failures.min(64)).unwrap_or(64);
        let jittered = Backoff::new(self.limits.retry_first, self.limits.retry_max, seed)
            .nth(failures)
            .unwrap_or(self.limits.retry_max);
        error.retry_after().map_or(jittered, |asked| asked.max(jittered))
    }
}

#[cfg(test)]
mod tests;
