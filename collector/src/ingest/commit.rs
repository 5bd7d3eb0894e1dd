//! The committer: one task that makes everything durable, a group in one transaction.
//!
//! Holds: a caller gets its answer after the commit that holds its batch, or an error after which
//! nothing of it is stored. A transaction that fails fails for its whole group, empties the
//! ledgers in memory, and everything in it may be sent again. The queue is bounded: a full one is
//! said at once, nobody waits in line without end.
//!
//! A group is as large as what came while the last one was written. Only when that shows load
//! does the committer linger for more, between 20 and 100 ms; a single device waits for nobody.

use super::{
    CertificateIssuer, IngestObserver, Unobserved,
    enroll::{RedeemError, Redeemed, Redemption, redeem},
};
use crate::store::{Admission, Book, Store, StoreError};
use std::{sync::Arc, time::Duration};
use tenken_collector_core::stream::Entry;
use tenken_common::{batch::Link, envelope::Verified, wire::v1::ReceivedBatch};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// Jobs that wait for the committer; at 260 KiB a batch they take at most 130 MiB.
pub const QUEUE_MAX: usize = 512;
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
    Batch { received: Box<Verified<ReceivedBatch>>, envelope: Vec<u8>, answer: Answer<Admission> },
    Journal { entry: Box<Entry>, answer: Answer<u64> },
    Redeem { redemption: Box<Redemption>, answer: Answer<Result<Redeemed, RedeemError>> },
}

/// The committer's door; cheap to clone.
#[derive(Debug, Clone)]
pub struct Committer {
    jobs: mpsc::Sender<Job>,
}

/// The committer itself, to be run by one task.
pub struct CommitLoop {
    store: Store,
    issuer: Arc<dyn CertificateIssuer>,
    jobs: mpsc::Receiver<Job>,
    observer: Arc<dyn IngestObserver>,
}

/// A committer for a store, and its loop. The loop ends when every [`Committer`] is dropped and
/// the queue is empty, or when its future is dropped.
pub fn committer(store: Store, issuer: Arc<dyn CertificateIssuer>) -> (Committer, CommitLoop) {
    let (sender, jobs) = mpsc::channel(QUEUE_MAX);
    (Committer { jobs: sender }, CommitLoop { store, issuer, jobs, observer: Arc::new(Unobserved) })
}

impl Committer {
    /// Judges a verified batch and stores it where it is new.
    pub async fn admit(
        &self,
        received: Verified<ReceivedBatch>,
        envelope: Vec<u8>,
    ) -> Result<Admission, CommitError> {
        self.ask(|answer| Job::Batch { received: Box::new(received), envelope, answer }).await
    }

    /// Appends an entry to the journal; answers its position.
    pub async fn journal(&self, entry: Entry) -> Result<u64, CommitError> {
        self.ask(|answer| Job::Journal { entry: Box::new(entry), answer }).await
    }

    /// Redeems a slot, which exactly one of many at once can.
    pub async fn redeem(&self, redemption: Redemption) -> Result<Result<Redeemed, RedeemError>, CommitError> {
        self.ask(|answer| Job::Redeem { redemption: Box::new(redemption), answer }).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, CommitError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send(job(answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => CommitError::Stopped,
        })?;
        answered.await.unwrap_or(Err(CommitError::Stopped))
    }
}

/// What a caller is told after the commit.
enum Done {
    Batch(Answer<Admission>, Admission),
    Journal(Answer<u64>, u64),
    Redeem(Answer<Result<Redeemed, RedeemError>>, Result<Redeemed, RedeemError>),
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
            if commit_group(&self.store, &*self.issuer, &mut book, group).await {
                self.observer.group_committed(started.elapsed());
            }
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

/// Whether it was stored.
async fn commit_group(
    store: &Store,
    issuer: &dyn CertificateIssuer,
    book: &mut Book,
    group: Vec<Job>,
) -> bool {
    let mut waiting = Vec::with_capacity(group.len());
    let mut jobs = group.into_iter();
    match write(store, issuer, book, &mut jobs, &mut waiting).await {
        Ok(()) => {
            waiting.into_iter().for_each(Done::tell);
            true
        }
        Err(error) => {
            tracing::error!(%error, "a group of batches could not be stored; nothing of it was acknowledged");
            let error = CommitError::Store(Arc::new(error));
            for done in waiting {
                done.fail(error.clone());
            }
            for job in jobs {
                job.fail(error.clone());
            }
            false
        }
    }
}

/// One transaction. A job that was taken out of `jobs` stands in `waiting`, or is the one whose
/// answer fails with the returned error by being dropped.
async fn write(
    store: &Store,
    issuer: &dyn CertificateIssuer,
    book: &mut Book,
    jobs: &mut impl Iterator<Item = Job>,
    waiting: &mut Vec<Done>,
) -> Result<(), StoreError> {
    let mut tx = store.begin(book).await?;
    for job in jobs {
        match job {
            Job::Batch { received, envelope, answer } => {
                let link = Link::of(&received);
                let admission = tx.admit(&link, &received, envelope).await?;
                waiting.push(Done::Batch(answer, admission));
            }
            Job::Journal { entry, answer } => {
                let position = tx.journal(*entry).await?;
                waiting.push(Done::Journal(answer, position));
            }
            Job::Redeem { redemption, answer } => {
                let redeemed = redeem(&mut tx, issuer, *redemption).await?;
                waiting.push(Done::Redeem(answer, redeemed));
            }
        }
    }
    tx.commit().await?;
    Ok(())
}

// A caller that went away needs no answer, hence the ignored results below.

impl Done {
    fn tell(self) {
        match self {
            Self::Batch(answer, admission) => drop(answer.send(Ok(admission))),
            Self::Journal(answer, position) => drop(answer.send(Ok(position))),
            Self::Redeem(answer, redeemed) => drop(answer.send(Ok(redeemed))),
        }
    }

    fn fail(self, error: CommitError) {
        match self {
            Self::Batch(answer, _) => drop(answer.send(Err(error))),
            Self::Journal(answer, _) => drop(answer.send(Err(error))),
            Self::Redeem(answer, _) => drop(answer.send(Err(error))),
        }
    }
}

impl Job {
    fn fail(self, error: CommitError) {
        match self {
            Self::Batch { answer, .. } => drop(answer.send(Err(error))),
            Self::Journal { answer, .. } => drop(answer.send(Err(error))),
            Self::Redeem { answer, .. } => drop(answer.send(Err(error))),
        }
    }
}
