//! Runs probes so that one that hangs or panics costs only itself.
//!
//! Holds: all probes share one worker thread. A run that gives no answer in its time is left
//! behind with its thread, and the others get a fresh one; the probe is not run again until that
//! thread comes back, so there is at most one thread left behind per probe. A probe that panicked
//! is made anew. No thread is started in the steady state. Dropping the future of a run half-way
//! loses that run's answer only.
//!
//! Does not: decide when a probe runs, look at what it saw, or wait for a hung thread at the end.

use crate::probes::Factory;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo, ProbeOutcome};
use tenken_common::observation::Observation;
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    time::{Instant, timeout},
};

/// Why a run failed other than by the probe's own word.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("there is no probe number {0}")]
    NoSuchProbe(usize),
    #[error("the probe panicked: {0}")]
    Panicked(String),
    #[error("the probe's thread ended without an answer")]
    ThreadGone,
    #[error("no thread could be started for probes")]
    ThreadStart(#[source] std::io::Error),
}

/// See the module's head.
pub struct Runner {
    slots: Vec<Slot>,
    worker: Option<Worker>,
    /// The probe whose run was under way on `worker` when its future was last polled.
    busy: Option<usize>,
}

struct Slot {
    info: ProbeInfo,
    factory: Factory,
    place: Place,
}

enum Place {
    Home(Box<dyn Probe>),
    Away(oneshot::Receiver<Reply>),
}

struct Worker {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    probe: Box<dyn Probe>,
    cx: ProbeContext,
    reply: oneshot::Sender<Reply>,
}

struct Reply {
    /// `None` where it panicked, since nobody knows what state it is in.
    probe: Option<Box<dyn Probe>>,
    outcome: ProbeOutcome,
}

impl Runner {
    /// The probes are numbered in the order of their factories.
    pub fn new(factories: Vec<Factory>) -> Self {
        let slots = factories.into_iter().map(|factory| {
            let probe = factory();
            Slot { info: probe.info().clone(), factory, place: Place::Home(probe) }
        });
        Self { slots: slots.collect(), worker: None, busy: None }
    }

    /// What each probe declares, in their order.
    pub fn infos(&self) -> impl ExactSizeIterator<Item = &ProbeInfo> {
        self.slots.iter().map(|slot| &slot.info)
    }

    /// Runs one probe to its answer or its timeout. Needs a tokio runtime with time.
    pub async fn run(&mut self, index: usize, cx: ProbeContext) -> ProbeOutcome {
        self.leave_interrupted();
        let Some(slot) = self.slots.get_mut(index) else {
            return failed(RunError::NoSuchProbe(index));
        };
        let Some(probe) = slot.take() else {
            return ProbeOutcome { result: Err(ProbeError::TimedOut), duration: Duration::ZERO };
        };
        let (reply, answer) = oneshot::channel();
        slot.place = Place::Away(answer);
        if let Err(e) = send(&mut self.worker, Job { probe, cx, reply }) {
            slot.place = Place::Home((slot.factory)());
            return failed(e);
        }
        self.busy = Some(index);
        let outcome = slot.answer().await;
        self.busy = None;
        outcome.unwrap_or_else(|| {
            self.worker = None;
            ProbeOutcome { result: Err(ProbeError::TimedOut), duration: slot.info.timeout }
        })
    }

    /// The future of an earlier run was dropped: if its probe is still out, its thread is no
    /// place for another one.
    fn leave_interrupted(&mut self) {
        let Some(slot) = self.busy.take().and_then(|index| self.slots.get_mut(index)) else { return };
        match slot.take() {
            Some(probe) => slot.place = Place::Home(probe),
            None => self.worker = None,
        }
    }
}

impl Slot {
    /// The probe, if it is here or has come back; a late answer is of no use any more.
    fn take(&mut self) -> Option<Box<dyn Probe>> {
        let (_, gone) = oneshot::channel();
        match std::mem::replace(&mut self.place, Place::Away(gone)) {
            Place::Home(probe) => Some(probe),
            Place::Away(mut answer) => match answer.try_recv() {
                Ok(reply) => Some(reply.probe.unwrap_or_else(|| (self.factory)())),
                Err(TryRecvError::Closed) => Some((self.factory)()),
                Err(TryRecvError::Empty) => {
                    self.place = Place::Away(answer);
                    None
                }
            },
        }
    }

    /// `None` after the timeout; the probe then stays away.
    async fn answer(&mut self) -> Option<ProbeOutcome> {
        let Place::Away(answer) = &mut self.place else { return None };
        let reply = timeout(self.info.timeout, answer).await.ok()?;
        let (probe, outcome) = match reply {
            Ok(Reply { probe, outcome }) => (probe, outcome),
            Err(_) => (None, failed(RunError::ThreadGone)),
        };
        self.place = Place::Home(probe.unwrap_or_else(|| (self.factory)()));
        Some(outcome)
    }
}

fn failed(e: RunError) -> ProbeOutcome {
    ProbeOutcome { result: Err(ProbeError::Failed(Box::new(e))), duration: Duration::ZERO }
}

/// To the worker there is, or to a new one.
fn send(worker: &mut Option<Worker>, job: Job) -> Result<(), RunError> {
    let job = match worker {
        Some(Worker { jobs }) => match jobs.send(job) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(job)) => job,
        },
        None => job,
    };
    let (jobs, queue) = mpsc::channel();
    thread::Builder::new()
        .name("tenken-probes".to_owned())
        .spawn(move || work(&queue))
        .map_err(RunError::ThreadStart)?;
    jobs.send(job).map_err(|_| RunError::ThreadGone)?;
    *worker = Some(Worker { jobs });
    Ok(())
}

/// A worker's life: it ends when the runner has left it.
fn work(queue: &mpsc::Receiver<Job>) {
    while let Ok(Job { probe, cx, reply }) = queue.recv() {
        let start = Instant::now();
        let (probe, result) = run_caught(probe, &cx);
        let outcome = ProbeOutcome { result, duration: start.elapsed() };
        // Nobody waits any more after a shutdown.
        let _ = reply.send(Reply { probe, outcome });
    }
}

type Caught = (Option<Box<dyn Probe>>, Result<Vec<Observation>, ProbeError>);

fn run_caught(mut probe: Box<dyn Probe>, cx: &ProbeContext) -> Caught {
    match catch_unwind(AssertUnwindSafe(|| probe.run(cx))) {
        Ok(result) => (Some(probe), result),
        Err(payload) => {
            let text = panic_text(&*payload);
            // Its own drop, and that of its payload, may panic as well.
            let _ = catch_unwind(AssertUnwindSafe(move || drop((probe, payload))));
            (None, Err(ProbeError::Failed(Box::new(RunError::Panicked(text)))))
        }
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };
    use tenken_agent_core::probe::Cost;
    use tenken_common::{
        category::Category,
        id::BootId,
        observation::ProbeState,
        time::{Moment, Monotonic, Timestamp},
    };

    const CX: ProbeContext =
        ProbeContext { at: Moment { boot: BootId([1; 16]), mono: Monotonic(0), wall: Timestamp::EPOCH } };
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Runs a closure that is told the number of this probe's runs, from zero.
    struct Scripted<F> {
        info: ProbeInfo,
        runs: usize,
        script: F,
    }

    impl<F: FnMut(usize) -> Result<Vec<Observation>, ProbeError> + Send> Probe for Scripted<F> {
        fn info(&self) -> &ProbeInfo {
            &self.info
        }
        fn run(&mut self, _: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
            self.runs += 1;
            (self.script)(self.runs - 1)
        }
    }

    fn probe<F>(name: &'static str, timeout_ms: u64, script: F) -> Factory
    where
        F: FnMut(usize) -> Result<Vec<Observation>, ProbeError> + Send + Clone + 'static,
        F: Sync,
    {
        let info = ProbeInfo {
            name,
            category: Category::Performance,
            interval: Duration::from_mins(1),
            cost: Cost::Cheap,
            timeout: Duration::from_millis(timeout_ms),
        };
        Arc::new(move || Box::new(Scripted { info: info.clone(), runs: 0, script: script.clone() }))
    }

    fn threads(seen: &Arc<Mutex<Vec<thread::ThreadId>>>) -> Factory {
        let seen = seen.clone();
        probe("threads", 5_000, move |_| {
            seen.lock().unwrap().push(thread::current().id());
            Ok(vec![])
        })
    }

    /// Hangs until the test lets go, then counts.
    fn hanging(timeout_ms: u64) -> (Factory, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (go, gate) = mpsc::channel::<()>();
        let (gate, returns) = (Arc::new(Mutex::new(gate)), Arc::new(AtomicUsize::new(0)));
        let counter = returns.clone();
        let factory = probe("hanging", timeout_ms, move |_| {
            let _ = gate.lock().unwrap().recv();
            counter.fetch_add(1, Ordering::SeqCst);
            Err(ProbeError::Unsupported)
        });
        (factory, go, returns)
    }

    fn test<T>(f: impl AsyncFnOnce() -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { timeout(PATIENCE, f()).await.unwrap() })
    }

    #[test]
    fn one_thread_serves_all_runs() {
        let seen = Arc::default();
        let mut runner = Runner::new(vec![threads(&seen), threads(&seen)]);
        test(async || {
            for i in 0..20 {
                assert!(runner.run(i % 2, CX).await.result.is_ok());
            }
        });
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 20);
        assert!(seen.iter().all(|id| *id == seen[0] && *id != thread::current().id()));
    }

    #[test]
    fn a_hanging_probe_costs_only_itself_and_may_come_back() {
        let seen = Arc::default();
        let (hanging, go, returns) = hanging(20);
        let mut runner = Runner::new(vec![hanging, threads(&seen)]);
        test(async || {
            runner.run(1, CX).await;
            let hung = runner.run(0, CX).await;
            assert_eq!((hung.state(), hung.duration), (ProbeState::TimedOut, Duration::from_millis(20)));
            for _ in 0..3 {
                assert!(runner.run(1, CX).await.result.is_ok());
                let skipped = runner.run(0, CX).await;
                assert_eq!((skipped.state(), skipped.duration), (ProbeState::TimedOut, Duration::ZERO));
            }
            assert_eq!(seen.lock().unwrap().iter().collect::<std::collections::HashSet<_>>().len(), 2);
            drop(go);
            while runner.run(0, CX).await.state() != ProbeState::Unsupported {
                tokio::task::yield_now().await;
            }
            assert!(returns.load(Ordering::SeqCst) >= 2, "the late answer was dropped, a new run answered");
        });
    }

    #[test]
    fn a_panicking_probe_is_made_anew() {
        let panicking = probe("panicking", 5_000, |run| {
            assert!(run != 1, "run {run}");
            Err(ProbeError::Unsupported)
        });
        let seen = Arc::default();
        let mut runner = Runner::new(vec![panicking, threads(&seen)]);
        test(async || {
            for _ in 0..3 {
                assert_eq!(runner.run(0, CX).await.state(), ProbeState::Unsupported);
                let Err(ProbeError::Failed(e)) = runner.run(0, CX).await.result else { panic!("no failure") };
                assert_eq!(e.to_string(), "the probe panicked: run 1");
                runner.run(1, CX).await;
            }
        });
        let seen = seen.lock().unwrap();
        assert!(seen.len() == 3 && seen.iter().all(|id| *id == seen[0]), "a panic costs no thread");
    }

    #[test]
    fn a_dropped_run_does_not_block_the_next() {
        let seen = Arc::default();
        let (hanging, go, _) = hanging(60_000);
        let mut runner = Runner::new(vec![hanging, threads(&seen)]);
        test(async || {
            assert!(timeout(Duration::from_millis(20), runner.run(0, CX)).await.is_err());
            assert!(runner.run(1, CX).await.result.is_ok());
            assert_eq!(runner.run(0, CX).await.state(), ProbeState::TimedOut, "still out");
            drop(go);
            while runner.run(0, CX).await.state() != ProbeState::Unsupported {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn a_number_without_a_probe_fails() {
        let mut runner = Runner::new(vec![]);
        let outcome = test(async || runner.run(3, CX).await);
        assert_eq!(outcome.state(), ProbeState::Failed);
    }
}
