//! The collection loop: runs what is due, within the consent and the agent's own
//! budget, judges it, and makes it durable.
//!
//! Holds: a probe whose category the consent does not name is not even run (the first of the
//! consent's two gates). An observation is in the spool before anything else happens to it; where
//! the spool fails, that is said, and the loop goes on.

use crate::{
    alarm::Alarm,
    consent_file::{ConsentWatch, Look},
    guest::memory::Spare,
    probes::own,
    runner::Runner,
    shared::Shared,
    status::DeliveryStatus,
};
use std::{rc::Rc, time::Duration};
use tenken_agent_core::{
    budget::Budget,
    diagnosis::Diagnosis,
    probe::{Cost, ProbeContext, ProbeInfo},
    record::{Recorder, quantity, spool_quantities, to_f64},
    schedule::Schedule,
};
use tenken_common::{
    category::Category,
    observation::{Class, Observation, ProbeState},
    telemetry::ErrorChain,
    time::{Clock, Monotonic},
    unit::{Quantity, Unit},
};

/// How long the loop sleeps at most, so that a consent that was taken away is noticed soon.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How old the written status grows while nothing changes: a file that takes another's place costs the
/// disk a flush. For the same reason what a cycle brought is shown by the next one, with what delivery
/// made of it meanwhile.
const STATUS_EVERY: Duration = Duration::from_secs(30);

/// See the module's head.
pub struct Collection {
    shared: Rc<Shared>,
    runner: Runner,
    schedule: Schedule,
    recorder: Recorder,
    diagnosis: Diagnosis,
    budget: Budget,
    consent: ConsentWatch,
    last_report: Option<Monotonic>,
    /// When the status was written, and how delivery went then.
    shown: Option<(Monotonic, DeliveryStatus)>,
    /// Something happened that is not shown yet.
    has_news: bool,
}

impl Collection {
    pub fn new(
        shared: Rc<Shared>,
        runner: Runner,
        schedule: Schedule,
        (diagnosis, budget): (Diagnosis, Budget),
        consent: ConsentWatch,
    ) -> Self {
        Self {
            shared,
            runner,
            schedule,
            recorder: Recorder::new(),
            diagnosis,
            budget,
            consent,
            last_report: None,
            shown: None,
            has_news: false,
        }
    }

    /// Runs until it is dropped.
    pub async fn run(&mut self) {
        let mut alarm = Alarm::new();
        let mut spare = Spare::default();
        loop {
            self.cycle().await;
            let now = self.shared.clock.mono();
            let until_probe = self.schedule.next(now).unwrap_or(LOOK_EVERY);
            if until_probe >= LOOK_EVERY {
                spare.idle(now);
            }
            alarm.after(until_probe.min(LOOK_EVERY).max(Duration::from_millis(1))).await;
        }
    }

    async fn cycle(&mut self) {
        let is_shown = !self.has_news && !self.status_is_old();
        self.has_news = self.look_at_consent().await;
        self.schedule.lengthen(self.shared.gate.borrow().interval_floor());
        let due = self.schedule.due(self.shared.clock.mono());
        let reports = self.is_report_due();
        let own = if due.is_empty() && !reports { Vec::new() } else { own::read() };
        if let Some(spent) = own::spent(&own) {
            self.budget.measure(self.shared.clock.mono(), spent);
        }
        let mut observations = self.run_probes(due).await;
        if reports {
            observations.extend(self.own_report(own).await);
        }
        if !observations.is_empty() {
            self.has_news = true;
            self.append(observations).await;
        }
        if !is_shown {
            self.write_status().await;
            self.shown = Some((self.shared.clock.mono(), self.shared.delivery.borrow().clone()));
        }
        self.shared.supervisor.alive(self.shared.clock.mono());
    }

    fn status_is_old(&self) -> bool {
        self.shown.as_ref().is_none_or(|(at, delivery)| {
            let age = self.shared.clock.mono().saturating_since(*at);
            age >= STATUS_EVERY || *delivery != *self.shared.delivery.borrow()
        })
    }

    /// Writes down how the agent is.
    pub async fn write_status(&self) {
        self.shared.write_status(self.recorder.runs()).await;
    }

    /// The cheap ones together; each other by itself, since what it sees belongs to its own moment.
    async fn run_probes(&mut self, due: Vec<usize>) -> Vec<Observation> {
        if due.is_empty() {
            return Vec::new();
        }
        let infos: Vec<ProbeInfo> = self.runner.infos().cloned().collect();
        let due: Vec<_> = due.into_iter().filter_map(|index| Some((index, infos.get(index)?))).collect();
        let due: Vec<_> = due.into_iter().filter(|(_, info)| self.may_run(info)).collect();
        let (cheap, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|(_, info)| info.cost == Cost::Cheap);
        let mut seen = Vec::new();
        for round in [cheap.as_slice()].into_iter().chain(others.chunks(1)) {
            let indexes: Vec<usize> = round.iter().map(|(index, _)| *index).collect();
            self.runner.begin(&indexes, ProbeContext { at: self.shared.clock.now() });
            for (index, info) in round {
                // A cycle may run many probes, each to the end of its time.
                self.shared.supervisor.alive(self.shared.clock.mono());
                let outcome = self.runner.outcome(*index).await;
                if let Err(e) = &outcome.result {
                    tracing::debug!(probe = info.name, reason = %ErrorChain(e), "probe has no values");
                }
                let new = self.recorder.record(info, outcome);
                let judged = self.diagnosis.judge(info, &new);
                seen.extend(new.into_iter().chain(judged));
            }
        }
        seen
    }

    /// Within the consent and the agent's own budget.
    fn may_run(&mut self, info: &ProbeInfo) -> bool {
        let at = self.shared.authority();
        if self.shared.gate.borrow().may_record(info.category, at).is_err() {
            self.recorder.withhold(info, ProbeState::NotConsented);
            return false;
        }
        if self.budget.allows().is_none_or(|most| info.cost > most) {
            tracing::debug!(probe = info.name, "not run: the agent costs more than it may");
            self.recorder.withhold(info, ProbeState::OverBudget);
            return false;
        }
        true
    }

    fn is_report_due(&self) -> bool {
        let now = self.shared.clock.mono();
        let due = self.last_report.is_none_or(|last| now.saturating_since(last) >= self.shared.push.report.0);
        due && self.shared.gate.borrow().may_record(Category::Agent, self.shared.authority()).is_ok()
    }

    /// The agent on itself, every `push.report`.
    async fn own_report(&mut self, mut quantities: Vec<Quantity>) -> Vec<Observation> {
        self.last_report = Some(self.shared.clock.mono());
        if let Ok(snapshot) = self.shared.spool.snapshot().await {
            quantities.extend(spool_quantities(&snapshot.stats));
        }
        let failures = to_f64(self.shared.delivery.borrow().failures);
        quantities.extend(quantity("push_failures", Unit::Count, failures));
        // So that the collector knows when silence begins.
        let expected = self.shared.push.interval.0.max(self.shared.push.report.0).as_secs_f64();
        quantities.extend(quantity("expected_interval_seconds", Unit::Seconds, expected));
        self.recorder.report(self.shared.clock.now(), quantities)
    }

    async fn append(&self, observations: Vec<Observation>) {
        let urgent = observations.iter().any(|o| o.class() == Class::Urgent);
        match self.shared.spool.append(observations).await {
            Ok(_) => self.shared.spool_works(),
            Err(e) => self.shared.spool_failed(&e),
        }
        if urgent {
            self.shared.wake.notify_one();
        }
    }

    /// Whether anything changed.
    async fn look_at_consent(&mut self) -> bool {
        let look = self.consent.look(&mut self.shared.gate.borrow_mut());
        match look {
            Ok(Look::Unchanged) => return false,
            Ok(Look::Adopted(version)) => {
                tracing::info!(version, "consent in force");
                self.shared.refused_consent.replace(None);
                if let Err(e) = self.shared.spool.set_consent_version(version).await {
                    self.shared.spool_failed(&e);
                }
            }
            Ok(Look::Withdrawn) => {
                tracing::warn!("no consent: nothing is recorded or sent");
                self.shared.refused_consent.replace(None);
            }
            Err(e) => {
                tracing::error!(reason = %ErrorChain(&e), "consent not taken");
                self.shared.refused_consent.replace(Some(ErrorChain(&e).to_string()));
            }
        }
        self.shared.wake.notify_one();
        true
    }
}
