//! The committer: one task that makes everything durable, a group in one transaction.
//!
//! Holds: a caller gets its answer after the commit that holds its batch, or an error after which
//! nothing of it is stored. A transaction that fails fails for its whole group, empties the
//! ledgers in memory, and everything in it may be sent again. The queue is bounded: a full one is
//! said at once, nobody waits in line without end. Its last places are kept for alarms. Whoever is
//! put off is not blamed for what then comes out of order.
//!
//! A group is as large as what came while the last one was written. Only when that shows load
//! does the committer linger for more, between 20 and 100 ms; a single device waits for nobody.
//!
//! Whoever judges what came need not wait for his time when an alarm was among it:
//! [`Committer::alarmed`].

use super::{
    CertificateIssuer, IngestObserver, Unobserved,
    enroll::{RedeemError, Redeemed, Redemption, redeem},
    rejoin::{RejoinError, Rejoining, close_epoch},
    verify::VerifiedLink,
};
use crate::store::{Admission, Book, Resumed, Store, StoreError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tenken_collector_core::{intake::arrival::Arrival, stream::Entry};
use tenken_common::{
    ack::{Ack, ResumeRequest},
    batch::Link,
    envelope::Verified,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// Jobs that wait for the committer; at 260 KiB a batch they take at most 130 MiB.
pub const QUEUE_MAX: usize = 512;
/// Of them, places that only alarms and the collector's own entries may take.
pub const QUEUE_RESERVE: usize = 64;
/// What an acknowledgement asks a device to wait when the queue is more than half full.
const BUSY_RETRY: Duration = Duration::from_secs(2);
/// Jobs in one transaction.
pub const GROUP_MAX: usize = 256;
/// A group up to this size is no load: the next is written without waiting for more.
const FEW: usize = 4;
const LINGER_MIN: Duration = Duration::from_millis(20);
const LINGER_MAX: Duration = Duration::from_millis(100);

/// Why nothing was committed. All of it may be tried again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    #[error("too many batches are waiting")]
    Overloaded,
    #[error("the collector is stopping")]
    Stopped,
    #[error("the store did not take it")]
    Store(#[source] Arc<StoreError>),
}

impl CommitError {
    /// When to come again.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Overloaded => Duration::from_secs(2),
            Self::Stopped => Duration::from_secs(10),
            Self::Store(_) => Duration::from_secs(30),
        }
    }
}

type Answer<T> = oneshot::Sender<Result<T, CommitError>>;

enum Job {
    Link { link: Link, arrival: Arrival, envelope: Vec<u8>, answer: Answer<Admission> },
    Resume { request: Box<ResumeRequest>, proof: Option<Box<Verified<Ack>>>, answer: Answer<Option<Resumed>> },
    Journal { entry: Box<Entry>, answer: Answer<u64> },
    Redeem { redemption: Box<Redemption>, answer: Answer<Result<Redeemed, RedeemError>> },
    Rejoin { rejoining: Box<Rejoining>, answer: Answer<Result<Vec<u8>, RejoinError>> },
}

/// Whether a job may take a place of the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Priority {
    Urgent,
    Ordinary,
}

/// The committer's door; cheap to clone.
#[derive(Debug, Clone)]
pub struct Committer {
    jobs: mpsc::Sender<Job>,
    /// Set when somebody was put off since the last group.
    put_off: Arc<AtomicBool>,
    alarm: Arc<Notify>,
}

/// The committer itself, to be run by one task.
pub struct CommitLoop {
    store: Store,
    issuer: Arc<dyn CertificateIssuer>,
    jobs: mpsc::Receiver<Job>,
    put_off: Arc<AtomicBool>,
    alarm: Arc<Notify>,
    observer: Arc<dyn IngestObserver>,
}

/// A committer for a store, and its loop. The loop ends when every [`Committer`] is dropped and
/// the queue is empty, or when its future is dropped.
pub fn committer(store: Store, issuer: Arc<dyn CertificateIssuer>) -> (Committer, CommitLoop) {
    let (sender, jobs) = mpsc::channel(QUEUE_MAX);
    let put_off = Arc::new(AtomicBool::new(false));
    let alarm = Arc::new(Notify::new());
    let door = Committer { jobs: sender, put_off: put_off.clone(), alarm: alarm.clone() };
    (door, CommitLoop { store, issuer, jobs, put_off, alarm, observer: Arc::new(Unobserved) })
}

impl Committer {
    /// Judges a verified link and stores it where it is new.
    pub async fn admit(&self, verified: VerifiedLink, envelope: Vec<u8>) -> Result<Admission, CommitError> {
        let (link, arrival) = (verified.link(), verified.into_arrival());
        let priority = if arrival.is_urgent() { Priority::Urgent } else { Priority::Ordinary };
        self.ask(priority, |answer| Job::Link { link, arrival, envelope, answer }).await
    }

    /// Where a device stands that asked; `None` for one without a chain.
    pub async fn resume(
        &self,
        request: ResumeRequest,
        proof: Option<Verified<Ack>>,
    ) -> Result<Option<Resumed>, CommitError> {
        let (request, proof) = (Box::new(request), proof.map(Box::new));
        self.ask(Priority::Ordinary, |answer| Job::Resume { request, proof, answer }).await
    }

    /// Appends an entry to the journal; answers its position.
    pub async fn journal(&self, entry: Entry) -> Result<u64, CommitError> {
        self.ask(Priority::Urgent, |answer| Job::Journal { entry: Box::new(entry), answer }).await
    }

    /// Redeems a slot, which exactly one of many at once can.
    pub async fn redeem(&self, redemption: Redemption) -> Result<Result<Redeemed, RedeemError>, CommitError> {
        let redemption = Box::new(redemption);
        self.ask(Priority::Ordinary, |answer| Job::Redeem { redemption, answer }).await
    }

    /// Begins a device's next epoch; answers the grant's bytes.
    pub async fn rejoin(&self, rejoining: Rejoining) -> Result<Result<Vec<u8>, RejoinError>, CommitError> {
        let rejoining = Box::new(rejoining);
        self.ask(Priority::Ordinary, |answer| Job::Rejoin { rejoining, answer }).await
    }

    /// Completes when an alarm was committed since it last did. For one who waits.
    pub async fn alarmed(&self) {
        self.alarm.notified().await;
    }

    /// What an acknowledgement asks the device to wait before its next batch.
    pub fn retry_after(&self) -> Duration {
        let free = self.jobs.capacity();
        if free < QUEUE_MAX / 2 { BUSY_RETRY } else { Duration::ZERO }
    }

    async fn ask<T>(&self, priority: Priority, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, CommitError> {
        let (answer, answered) = oneshot::channel();
        if priority == Priority::Ordinary && self.jobs.capacity() <= QUEUE_RESERVE {
            return Err(self.put_off());
        }
        self.jobs.try_send(job(answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => self.put_off(),
            mpsc::error::TrySendError::Closed(_) => CommitError::Stopped,
        })?;
        answered.await.unwrap_or(Err(CommitError::Stopped))
    }

    fn put_off(&self) -> CommitError {
        self.put_off.store(true, Ordering::Relaxed);
        CommitError::Overloaded
    }
}

/// What a caller is told after the commit, or after its failure. A caller that went away needs no
/// answer.
type Done = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

fn done<T: Send + 'static>(answer: Answer<T>, value: T) -> Done {
    Box::new(move |committed| drop(answer.send(committed.map(|()| value))))
}

impl CommitLoop {
    /// Tells of every transaction.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn IngestObserver>) -> Self {
        Self { observer, ..self }
    }

    pub async fn run(mut self) {
        let mut book = Book::default();
        let mut last_size = 0;
        while let Some(first) = self.jobs.recv().await {
            let group = self.gather(first, last_size).await;
            last_size = group.len();
            let started = Instant::now();
            if self.put_off.swap(false, Ordering::Relaxed) {
                book.forgive_all();
            }
            if let Some(committed) = commit_group(&self.store, &*self.issuer, &mut book, group).await {
                self.observer.group_committed(started.elapsed());
                self.observe(&committed.admitted);
                if committed.is_urgent {
                    self.alarm.notify_one();
                }
            }
            for invariant in book.take_violations() {
                tracing::error!(
                    invariant = invariant.as_str(),
                    "an invariant was violated; this is a defect"
                );
                self.observer.invariant_violated(invariant);
            }
        }
    }

    fn observe(&self, admitted: &[Admission]) {
        for link in admitted.iter().flat_map(|admission| &admission.stored) {
            self.observer.accepted(link.records, link.bytes);
        }
    }

    async fn gather(&mut self, first: Job, last_size: usize) -> Vec<Job> {
        let mut group = vec![first];
        let until = Instant::now() + linger(last_size);
        while group.len() < GROUP_MAX {
            match self.jobs.try_recv() {
                Ok(job) => group.push(job),
                Err(_) if last_size <= FEW => break,
                Err(_) => match timeout_at(until, self.jobs.recv()).await {
                    Ok(Some(job)) => group.push(job),
                    Ok(None) | Err(_) => break,
                },
            }
        }
        group
    }
}

/// How long to wait for more after a group of this size.
fn linger(last_size: usize) -> Duration {
    if last_size <= FEW {
        return Duration::ZERO;
    }
    let ms = u64::try_from(last_size).unwrap_or(u64::MAX);
    Duration::from_millis(ms).clamp(LINGER_MIN, LINGER_MAX)
}

/// What a group came to.
struct Committed {
    admitted: Vec<Admission>,
    /// An alarm was among it.
    is_urgent: bool,
}

/// `None` where nothing was stored.
async fn commit_group(
    store: &Store,
    issuer: &dyn CertificateIssuer,
    book: &mut Book,
    group: Vec<Job>,
) -> Option<Committed> {
    let waiting = Vec::with_capacity(group.len());
    let mut written = Written { waiting, admitted: Vec::new(), is_urgent: false };
    let mut jobs = group.into_iter();
    match write(store, issuer, book, &mut jobs, &mut written).await {
        Ok(()) => {
            for (link, admission) in &written.admitted {
                let acked = (admission.committed_seq, admission.committed_hash);
                book.check_acknowledged(link.device, link.epoch, acked);
            }
            written.waiting.into_iter().for_each(|tell| tell(Ok(())));
            let admitted = written.admitted.into_iter().map(|(_, admission)| admission).collect();
            Some(Committed { admitted, is_urgent: written.is_urgent })
        }
        Err(error) => {
            tracing::error!(%error, "a group of batches could not be stored; nothing of it was acknowledged");
            let error = CommitError::Store(Arc::new(error));
            written.waiting.into_iter().for_each(|tell| tell(Err(error.clone())));
            jobs.for_each(|job| job.fail(error.clone()));
            None
        }
    }
}

/// What a transaction holds so far.
struct Written {
    waiting: Vec<Done>,
    admitted: Vec<(Link, Admission)>,
    is_urgent: bool,
}

/// One transaction. A job that was taken out of `jobs` stands in `written`, or is the one whose
/// answer fails with the returned error by being dropped.
async fn write(
    store: &Store,
    issuer: &dyn CertificateIssuer,
    book: &mut Book,
    jobs: &mut impl Iterator<Item = Job>,
    written: &mut Written,
) -> Result<(), StoreError> {
    let mut tx = store.begin(book).await?;
    for job in jobs {
        written.waiting.push(match job {
            Job::Link { link, arrival, envelope, answer } => {
                written.is_urgent |= arrival.is_urgent();
                let admission = tx.admit(&link, &arrival, envelope).await?;
                written.admitted.push((link, admission.clone()));
                done(answer, admission)
            }
            Job::Resume { request, proof, answer } => {
                done(answer, tx.resume(&request, proof.as_deref()).await?)
            }
            Job::Journal { entry, answer } => done(answer, tx.journal(*entry).await?),
            Job::Redeem { redemption, answer } => done(answer, redeem(&mut tx, issuer, *redemption).await?),
            Job::Rejoin { rejoining, answer } => {
                done(answer, close_epoch(&mut tx, issuer, &rejoining).await?)
            }
        });
    }
    tx.commit().await?;
    Ok(())
}

impl Job {
    fn fail(self, error: CommitError) {
        match self {
            Self::Link { answer, .. } => drop(answer.send(Err(error))),
            Self::Resume { answer, .. } => drop(answer.send(Err(error))),
            Self::Journal { answer, .. } => drop(answer.send(Err(error))),
            Self::Redeem { answer, .. } => drop(answer.send(Err(error))),
            Self::Rejoin { answer, .. } => drop(answer.send(Err(error))),
        }
    }
}
