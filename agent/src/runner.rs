//! Runs probes so that one that hangs or panics costs only itself.
//!
//! Holds: all probes share one worker thread. It is given the probes of one moment together and wakes
//! its asker when all of them ran, since waking a thread costs more than what most of them do. A run
//! that gives no answer in its time is left behind with its thread, and the rest goes to a fresh one;
//! the probe is not run again until that thread comes back, so there is at most one thread left behind
//! per probe. A probe that panicked is made anew. No thread is started in the steady state. Dropping
//! the future of a run half-way loses that run's answer only.
//!
//! Does not: decide when a probe runs, look at what it saw, or wait for a hung thread at the end.

use crate::probes::Factory;
use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo, ProbeOutcome};
use tenken_common::{observation::Observation, telemetry::ErrorChain};
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    time::{Instant, timeout_at},
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
    worker: Option<mpsc::Sender<Round>>,
    /// The probes that were begun last.
    begun: Vec<usize>,
    /// Their round, while it is under way.
    round: Option<UnderWay>,
    /// When the first of them began that was not asked for yet.
    since: Instant,
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

/// What is still to run; who hangs leaves the rest here.
#[derive(Clone)]
struct Jobs(Arc<Mutex<VecDeque<Job>>>);

struct Job {
    index: usize,
    probe: Box<dyn Probe>,
    cx: ProbeContext,
    reply: oneshot::Sender<Reply>,
}

/// A round as the worker holds it.
struct Round {
    jobs: Jobs,
    /// Wakes the asker when it goes, with the round.
    end: oneshot::Sender<()>,
}

/// The same as its asker holds it.
struct UnderWay {
    jobs: Jobs,
    end: oneshot::Receiver<()>,
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
        Self { slots: slots.collect(), worker: None, begun: Vec::new(), round: None, since: Instant::now() }
    }

    /// What each probe declares, in their order.
    pub fn infos(&self) -> impl ExactSizeIterator<Item = &ProbeInfo> {
        self.slots.iter().map(|slot| &slot.info)
    }

    /// Runs one probe to its answer or its timeout. Needs a tokio runtime with time.
    pub async fn run(&mut self, index: usize, cx: ProbeContext) -> ProbeOutcome {
        self.begin(&[index], cx);
        self.outcome(index).await
    }

    /// Begins to run these, one after the other; [`Runner::outcome`] is to be asked in the same order.
    pub fn begin(&mut self, indexes: &[usize], cx: ProbeContext) {
        self.leave_interrupted();
        self.begun.clear();
        let mut jobs = VecDeque::new();
        for &index in indexes {
            let Some(slot) = self.slots.get_mut(index) else { continue };
            let Some(probe) = slot.take() else { continue };
            let (reply, answer) = oneshot::channel();
            slot.place = Place::Away(answer);
            self.begun.push(index);
            jobs.push_back(Job { index, probe, cx, reply });
        }
        self.give(jobs);
    }

    /// The answer of a probe that was begun, once all of them ran or its time is over.
    pub async fn outcome(&mut self, index: usize) -> ProbeOutcome {
        let Some(slot) = self.slots.get_mut(index) else {
            return failed(RunError::NoSuchProbe(index));
        };
        if !self.begun.contains(&index) {
            return ProbeOutcome { result: Err(ProbeError::TimedOut), duration: Duration::ZERO };
        }
        let limit = slot.info.timeout;
        let mut answer = slot.answer();
        if answer.is_none() {
            if let Some(UnderWay { end, .. }) = &mut self.round
                && timeout_at(self.since + limit, end).await.is_ok()
            {
                self.round = None;
            }
            answer = slot.answer();
        }
        if let Some(outcome) = answer {
            self.since += outcome.duration;
            return outcome;
        }
        self.worker = None;
        let rest = self.round.take().map(|round| std::mem::take(&mut *round.jobs.lock()));
        self.give(rest.unwrap_or_default());
        ProbeOutcome { result: Err(ProbeError::TimedOut), duration: limit }
    }

    /// Whoever asked went away in the middle: what did not run yet comes home, and where a probe is
    /// still out, its thread is no place for another one.
    fn leave_interrupted(&mut self) {
        let Some(mut round) = self.round.take() else { return };
        if round.end.try_recv() == Err(TryRecvError::Empty) {
            for Job { index, probe, .. } in round.jobs.lock().drain(..) {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.place = Place::Home(probe);
                }
            }
            self.worker = None;
        }
    }

    /// To the worker there is, or to a new one; without one the answers do not come.
    fn give(&mut self, jobs: VecDeque<Job>) {
        self.round = None;
        self.since = Instant::now();
        if jobs.is_empty() {
            return;
        }
        let jobs = Jobs(Arc::new(Mutex::new(jobs)));
        let (end, ended) = oneshot::channel();
        match send(&mut self.worker, Round { jobs: jobs.clone(), end }) {
            Ok(()) => self.round = Some(UnderWay { jobs, end: ended }),
            Err(e) => tracing::error!(reason = %ErrorChain(&e), "probes cannot be run"),
        }
    }
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        // Nothing is done with it that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The probe, if it is here or has come back; a late answer is of no use any more.
    fn take(&mut self) -> Option<Box<dyn Probe>> {
        self.answer();
        let (_, gone) = oneshot::channel();
        match std::mem::replace(&mut self.place, Place::Away(gone)) {
            Place::Home(probe) => Some(probe),
            away @ Place::Away(_) => {
                self.place = away;
                None
            }
        }
    }

    /// Its answer, if one has come; the probe is home then.
    fn answer(&mut self) -> Option<ProbeOutcome> {
        let Place::Away(answer) = &mut self.place else { return None };
        let (probe, outcome) = match answer.try_recv() {
            Ok(Reply { probe, outcome }) => (probe, outcome),
            Err(TryRecvError::Closed) => (None, failed(RunError::ThreadGone)),
            Err(TryRecvError::Empty) => return None,
        };
        self.place = Place::Home(probe.unwrap_or_else(|| (self.factory)()));
        Some(outcome)
    }
}

fn failed(e: RunError) -> ProbeOutcome {
    ProbeOutcome { result: Err(ProbeError::Failed(Box::new(e))), duration: Duration::ZERO }
}

fn send(worker: &mut Option<mpsc::Sender<Round>>, round: Round) -> Result<(), RunError> {
    let round = match worker {
        Some(rounds) => match rounds.send(round) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(round)) => round,
        },
        None => round,
    };
    let (rounds, queue) = mpsc::channel();
    thread::Builder::new()
        .name("tenken-probes".to_owned())
        .spawn(move || work(&queue))
        .map_err(RunError::ThreadStart)?;
    rounds.send(round).map_err(|_| RunError::ThreadGone)?;
    *worker = Some(rounds);
    Ok(())
}

/// A worker's life: it ends when the runner has left it.
fn work(queue: &mpsc::Receiver<Round>) {
    while let Ok(Round { jobs, end }) = queue.recv() {
        loop {
            // In a statement of its own: the lock must not be held while the probe runs.
            let next = jobs.lock().pop_front();
            let Some(Job { probe, cx, reply, .. }) = next else { break };
            let start = Instant::now();
            let (probe, result) = run_caught(probe, &cx);
            let outcome = ProbeOutcome { result, duration: start.elapsed() };
            // Nobody waits any more after a shutdown.
            let _ = reply.send(Reply { probe, outcome });
        }
        drop(end);
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tenken_agent_core::probe::Cost;
    use tenken_common::{
        category::Category,
        id::BootId,
        observation::ProbeState,
        time::{Moment, Monotonic, Timestamp},
    };
    use tokio::time::timeout;

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
        probe("threads", 1_000, move |_| {
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
    fn who_hangs_in_a_round_leaves_the_rest_to_another_thread() {
        let seen = Arc::default();
        let (hanging, go, _) = hanging(1_000);
        let mut runner = Runner::new(vec![threads(&seen), hanging, threads(&seen), threads(&seen)]);
        test(async || {
            for states in [[ProbeState::NoData, ProbeState::TimedOut, ProbeState::NoData]; 2] {
                runner.begin(&[0, 1, 3], CX);
                for (index, state) in [0, 1, 3].into_iter().zip(states) {
                    assert_eq!(runner.outcome(index).await.state(), state);
                }
            }
            drop(go);
        });
        let seen = seen.lock().unwrap();
        assert!(seen.len() == 4 && seen[0] != seen[1], "left behind: {seen:?}");
        assert!(seen[1..].iter().all(|id| *id == seen[1]), "and once only: {seen:?}");
    }

    #[test]
    fn a_dropped_round_gives_back_what_it_did_not_run() {
        let seen = Arc::default();
        let (hanging, go, _) = hanging(60_000);
        let counting = probe("counting", 5_000, |run| {
            assert_eq!(run, 0, "made anew");
            Err(ProbeError::Unsupported)
        });
        let mut runner = Runner::new(vec![hanging, counting, threads(&seen)]);
        test(async || {
            runner.begin(&[0, 1, 2], CX);
            assert!(timeout(Duration::from_millis(20), runner.outcome(0)).await.is_err());
            for index in [1, 2] {
                runner.run(index, CX).await;
            }
            assert_eq!(seen.lock().unwrap().len(), 1, "what was not asked for is not run");
            let Err(ProbeError::Failed(e)) = runner.run(1, CX).await.result else { panic!("no failure") };
            assert!(e.to_string().contains("made anew"), "the same probe came home: {e}");
            drop(go);
        });
    }

    #[test]
    fn a_number_without_a_probe_fails() {
        let mut runner = Runner::new(vec![]);
        let outcome = test(async || runner.run(3, CX).await);
        assert_eq!(outcome.state(), ProbeState::Failed);
    }
}
