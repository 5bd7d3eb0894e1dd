//! The evaluation at every tick: heartbeat, load, [`evaluate`], save.
//!
//! Holds: a tick is a heartbeat in the journal, and what is evaluated at it depends on the stream
//! up to it and on nothing else, not on when the work is done nor by whom. So a collector that
//! was down catches up tick by tick, and a rebuild comes to the same incidents. Its rows, its
//! notices and its place in the stream are one transaction.
//!
//! A tick comes at every interval; and when an alarm was committed, at once, so that it is told
//! within seconds. Between a tick and one for an alarm lies [`ALARM_REST`], and as long as the tick
//! took: a fleet full of alarms neither fills the journal nor takes the processor from those who deliver.
//!
//! Forecasts are asked of a part of the fleet a minute ([`super::turn`]). In between their
//! conditions stand as they are.

use super::{
    agreed::Agreed,
    load::{give_anomalies, load_devices},
    turn::{Due, Turns},
    watch::{Standing, Watcher},
};
use crate::{
    ingest::commit::Committer,
    metrics::Metrics,
    notify::{Outlets, Wanted},
    overview::{self, Years},
    store::{
        Store, StoreError,
        model::{EvaluationRows, IncidentRow, NamedJson, Outgoing},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeSet, future::Future, ops::Range, pin::pin, sync::Arc, time::Duration};
use tenken_collector_core::{
    desk::{
        care::Cares,
        finding::Condition,
        incident::{Incident, Phase},
        rule::RuleSet,
        silence::{self, Silence},
    },
    evaluation::{Evaluation, EvaluationInput, ForecastResult, evaluate},
    intake::device_state::{Stretch, Uptime},
    sla::calendar::{Day, HolidayList},
    stream::{Entry, IncidentAction, Stored},
};
use tenken_common::{id::DeviceId, telemetry::ErrorChain, time::Timestamp};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// See the module's head.
const ALARM_REST: Duration = Duration::from_secs(3);
const MINUTE_S: i64 = 60;

/// What a running evaluator keeps from tick to tick.
#[derive(Debug, Default)]
pub struct Kept {
    watcher: Watcher,
    years: Years,
}

/// See the module's head.
pub struct Evaluator {
    store: Store,
    committer: Committer,
    outlets: Arc<Outlets>,
    metrics: Arc<Metrics>,
    /// Told when there is something to send.
    wake: Arc<Notify>,
    holidays: Arc<HolidayList>,
}

impl Evaluator {
    pub fn new(
        store: Store,
        committer: Committer,
        outlets: Arc<Outlets>,
        metrics: Arc<Metrics>,
        wake: Arc<Notify>,
        holidays: Arc<HolidayList>,
    ) -> Self {
        Self { store, committer, outlets, metrics, wake, holidays }
    }

    /// A tick at once and then every `interval`, or sooner for an alarm, until `shutdown`. What is
    /// under way then is finished.
    pub async fn run(self, interval: Duration, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut kept = Kept::default();
        // A start has just told the rules.
        let mut told = Day::of(self.store.clock().wall());
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut rested = Instant::now();
        loop {
            let alarm = async {
                sleep_until(rested).await;
                self.committer.alarmed().await;
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                _ = ticks.tick() => {}
                () = alarm => {}
            }
            let began = Instant::now();
            let result = match self.tell_rules(&mut told).await {
                Ok(()) => self.tick(&mut kept).await,
                Err(e) => Err(e),
            };
            if let Err(e) = &result {
                tracing::error!(reason = %ErrorChain(e), "evaluation failed");
            }
            self.metrics.set_health(result.map_err(|e| ErrorChain(&e).to_string()));
            rested = Instant::now() + began.elapsed().max(ALARM_REST);
        }
    }

    /// The rules stand in the evidence of every month, however long a process runs: once a day.
    async fn tell_rules(&self, told: &mut Day) -> Result<(), TickError> {
        let today = Day::of(self.store.clock().wall());
        if today == *told {
            return Ok(());
        }
        let state = self.store.evaluation_state().await?;
        if let Some(rules) = state.into_iter().find(|part| part.name == "rules" && !part.json.is_empty()) {
            self.committer.journal(Entry::Rules { text: rules.json }).await?;
        }
        *told = today;
        Ok(())
    }

    /// One tick: a heartbeat, the evaluation of all that came, and what the metrics show.
    pub async fn tick(&self, kept: &mut Kept) -> Result<(), TickError> {
        let Kept { watcher, years } = kept;
        self.committer.journal(Entry::Heartbeat).await?;
        let clock = self.store.clock().clone();
        let started = clock.mono();
        let outgoing = advance_with((&self.store, &self.outlets), &self.holidays, watcher).await?;
        if outgoing > 0 {
            self.wake.notify_one();
        }
        let now = clock.wall();
        self.metrics.evaluated(clock.mono().saturating_since(started), now);
        self.metrics.set_stream_position(self.store.position().await?);
        overview::show_outbox(&self.store, &self.metrics).await?;
        let overview = overview::figures(&self.store, &self.holidays, now).await?;
        years.renew(&self.store, &self.holidays, now).await?;
        self.metrics.update(&overview.snapshot(years));
        Ok(())
    }
}

/// Why a tick was not evaluated; the next one catches up.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    #[error("the heartbeat, or the day's rules before it, was not written")]
    Heartbeat(#[from] crate::ingest::commit::CommitError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Evaluates every tick that was not yet; answers how many notices were queued. Where another worker
/// does the same, each tick is kept once.
pub async fn advance(
    store: &Store,
    outlets: &Outlets,
    holidays: &Arc<HolidayList>,
) -> Result<usize, StoreError> {
    advance_with((store, outlets), holidays, &mut Watcher::default()).await
}

/// The same with the detectors that were fed before.
pub async fn advance_with(
    (store, outlets): (&Store, &Outlets),
    holidays: &Arc<HolidayList>,
    watcher: &mut Watcher,
) -> Result<usize, StoreError> {
    let mut agreed = Agreed::default();
    let mut state = State::load(store).await?;
    let mut position = store.checkpoint("evaluate").await?;
    let mut queued = 0;
    loop {
        let steps = store.tick_after(position).await?;
        let Some(tick) = steps.last() else { return Ok(queued) };
        let actions = state.take(&steps);
        store.project_until(tick.position).await?;
        let cares = agreed.cares(store, holidays, tick.committed).await?;
        let span = position..tick.position;
        let parts = ((store, outlets), (&mut state, &mut *watcher));
        let mut rows = evaluate_tick(parts, (tick, span), (&actions, &cares)).await?;
        (rows.after, rows.position) = (position, tick.position);
        if store.save_evaluation(&rows).await? {
            position = tick.position;
            queued += rows.outbox.len();
            watcher.saved(position);
        } else {
            // Another worker was faster.
            state = State::load(store).await?;
            position = store.checkpoint("evaluate").await?;
        }
    }
}

/// What the evaluation keeps from tick to tick.
#[derive(Default)]
struct State {
    rules_text: String,
    rules: Option<RuleSet>,
    conditions: Vec<Condition>,
    /// Those that have not ended.
    silences: Vec<Silence>,
    last_tick: Timestamp,
    /// How the detectors' states were kept.
    standing: Standing,
    turns: Turns,
}

impl State {
    async fn load(store: &Store) -> Result<Self, StoreError> {
        let mut state = Self { last_tick: Timestamp::MIN, ..Self::default() };
        for part in store.evaluation_state().await? {
            match part.name.as_str() {
                "rules" => state.use_rules(part.json),
                "conditions" => state.conditions = read(&part.json, "conditions")?,
                "silences" => state.silences = read(&part.json, "silences")?,
                "standing" => state.standing = read(&part.json, "standing")?,
                "turns" => state.turns = read(&part.json, "turns")?,
                "last_tick" => state.last_tick = read(&part.json, "last_tick")?,
                _ => return Err(StoreError::Value("evaluation state")),
            }
        }
        Ok(state)
    }

    /// Takes in what steers this tick; answers what people did.
    fn take(&mut self, steps: &[Stored]) -> Vec<IncidentAction> {
        let mut actions = Vec::new();
        for step in steps {
            match &step.entry {
                Entry::Rules { text } => self.use_rules(text.clone()),
                Entry::IncidentAction(action) => actions.push(action.clone()),
                Entry::Silence(entered) => silence::enter(&mut self.silences, (**entered).clone()),
                Entry::Heartbeat
                | Entry::Envelope { .. }
                | Entry::Started { .. }
                | Entry::Hospital(_)
                | Entry::Contract { .. }
                | Entry::Statement { .. }
                | Entry::Enrolled(_)
                | Entry::CertificateIssued { .. }
                | Entry::Revoked { .. }
                | Entry::Fork { .. }
                | Entry::CollectorLost(_)
                | Entry::Quarantined { .. }
                | Entry::Rejoined(_)
                | Entry::Restored { .. }
                | Entry::CloneSuspected { .. }
                | Entry::FactsChanged { .. }
                | Entry::SlaRecord { .. }
                | Entry::MonthSealed(_) => {}
            }
        }
        actions
    }

    fn use_rules(&mut self, text: String) {
        // They were read before they were journaled; a later version that cannot read them any
        // more judges nothing by them.
        self.rules = RuleSet::parse(&text).ok();
        self.rules_text = text;
    }

    fn rows(&self) -> Vec<NamedJson> {
        vec![
            NamedJson { name: "rules".to_owned(), json: self.rules_text.clone() },
            NamedJson { name: "conditions".to_owned(), json: write(&self.conditions) },
            NamedJson { name: "silences".to_owned(), json: write(&self.silences) },
            NamedJson { name: "standing".to_owned(), json: write(&self.standing) },
            NamedJson { name: "turns".to_owned(), json: write(&self.turns) },
            NamedJson { name: "last_tick".to_owned(), json: write(&self.last_tick) },
        ]
    }
}

async fn evaluate_tick(
    ((store, outlets), (state, watcher)): ((&Store, &Outlets), (&mut State, &mut Watcher)),
    (tick, span): (&Stored, Range<u64>),
    (actions, cares): (&[IncidentAction], &Cares),
) -> Result<EvaluationRows, StoreError> {
    let as_of = tick.committed;
    let minute = |t: Timestamp| t.as_secs().div_euclid(MINUTE_S);
    let is_minute = minute(as_of) != minute(state.last_tick);
    state.last_tick = as_of;
    state.silences.retain(|silence| as_of < silence.span.to);
    let fed = (state.rules.as_ref(), span);
    let mut followed = watcher.follow(store, &mut state.standing, fed, is_minute).await?;
    let Some(rules) = &state.rules else {
        let (state, forget_detectors) = (state.rows(), followed.forget);
        return Ok(EvaluationRows { state, forget_detectors, ..EvaluationRows::default() });
    };
    let due = if is_minute { state.turns.take(store).await? } else { Due::default() };
    let mut devices = load_devices(store, rules, (as_of, tick.position), &due).await?;
    for device in &mut devices {
        device.interim = followed.interims.remove(&device.device).unwrap_or_default();
    }
    give_anomalies(store, rules, (&mut devices, as_of), &followed.noted).await?;
    let incidents: Vec<Incident> = open_incidents(store).await?;
    let uptime = uptime(store, as_of).await?;
    let predictions = store.predictions(true).await?;
    let evaluation = evaluate(&EvaluationInput {
        as_of,
        rules,
        uptime: &uptime,
        devices: &devices,
        conditions: &state.conditions,
        incidents: &incidents,
        cares,
        silences: &state.silences,
        actions,
        predictions: &predictions,
    });
    state.conditions.clone_from(&evaluation.conditions);
    let mut rows = rows_of(&evaluation, outlets, as_of);
    rows.state = state.rows();
    rows.anomalies = followed.noted;
    rows.detectors = followed.detectors;
    rows.forget_detectors = followed.forget;
    if is_minute {
        let made: BTreeSet<&String> = rows.forecasts.iter().map(|f| &f.name).collect();
        let is_heard = |id| evaluation.device_states.get(&id).is_some_and(|s| s.liveness.is_heard());
        // Those of the others stand until their turn.
        let stands = |id| !due.takes(id) && is_heard(id);
        let before = store.forecast_names().await?.into_iter();
        let gone = before.filter(|name| !made.contains(name) && !device_of(name).is_some_and(stands));
        rows.forecasts_gone = gone.collect();
    }
    Ok(rows)
}

fn rows_of(evaluation: &Evaluation, outlets: &Outlets, as_of: Timestamp) -> EvaluationRows {
    let incidents = evaluation.incidents.iter().map(|incident| IncidentRow {
        id: incident.id,
        open: incident.phase != Phase::Closed,
        updated: as_of,
        json: write(incident),
    });
    let forecasts = evaluation
        .forecasts
        .iter()
        .map(|forecast| NamedJson { name: forecast_name(forecast), json: write(forecast) });
    let outbox = evaluation.notices.iter().flat_map(|notice| {
        outlets.wanting(notice).map(|Wanted { key, grouped, due }| Outgoing {
            notice: notice.clone(),
            channel: key,
            grouped,
            due,
        })
    });
    EvaluationRows {
        incidents: incidents.collect(),
        forecasts: forecasts.collect(),
        outbox: outbox.collect(),
        predictions: evaluation.predictions.clone(),
        ..EvaluationRows::default()
    }
}

fn forecast_name(f: &ForecastResult) -> String {
    format!("{} {} {} {}", f.device, f.rule, f.subject, f.quantity)
}

/// Of whom a forecast of that name is.
fn device_of(forecast: &str) -> Option<DeviceId> {
    forecast.split(' ').next()?.parse().ok()
}

async fn open_incidents(store: &Store) -> Result<Vec<Incident>, StoreError> {
    store.open_incidents().await?.iter().map(|row| read(&row.json, "incident")).collect()
}

async fn uptime(store: &Store, as_of: Timestamp) -> Result<Uptime, StoreError> {
    let runs = store.heartbeat_runs().await?;
    // The newest run reaches to this tick, which is its newest beat.
    Ok(Uptime::new(runs.iter().map(|run| Stretch { from: run.first, to: run.last.min(as_of) })))
}

fn write<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("values without maps of odd keys always encode")
}

fn read<T: DeserializeOwned>(json: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|_| StoreError::Value(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{id::Name, time::SystemClock};

    const RULES: &str = include_str!("../../../packaging/rules/default.toml");

    async fn store(dir: &std::path::Path) -> Store {
        Store::open(&dir.join("collector.sqlite"), Arc::new(SystemClock::new())).await.unwrap()
    }

    #[tokio::test]
    async fn ticks_that_were_missed_are_caught_up_once() {
        let dir = tempfile::tempdir().unwrap();
        let (store, outlets) = (store(dir.path()).await, Outlets::default());
        let version = Name::new("0.1.0").unwrap();
        let entries = [
            Entry::Rules { text: RULES.to_owned() },
            Entry::Started { version },
            Entry::Heartbeat,
            Entry::Heartbeat,
        ];
        for entry in entries {
            store.append(vec![entry]).await.unwrap();
        }
        assert_eq!(advance(&store, &outlets, &Arc::default()).await.unwrap(), 0);
        let position = store.checkpoint("evaluate").await.unwrap();
        assert_eq!(position, store.position().await.unwrap());
        let state = State::load(&store).await.unwrap();
        assert!(state.rules.is_some() && state.last_tick > Timestamp::MIN);

        let before = store.digest().await.unwrap();
        assert_eq!(advance(&store, &outlets, &Arc::default()).await.unwrap(), 0);
        assert_eq!(store.digest().await.unwrap(), before);
        store.close().await;
    }

    #[tokio::test]
    async fn without_rules_a_tick_is_passed_and_judges_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        store.append(vec![Entry::Heartbeat]).await.unwrap();
        assert_eq!(advance(&store, &Outlets::default(), &Arc::default()).await.unwrap(), 0);
        assert_eq!(store.checkpoint("evaluate").await.unwrap(), store.position().await.unwrap());
        assert!(store.incidents().await.unwrap().is_empty() && store.forecasts().await.unwrap().is_empty());
        store.close().await;
    }

    #[test]
    fn rules_that_cannot_be_read_judge_nothing_but_are_kept() {
        let mut state = State::default();
        state.use_rules(RULES.to_owned());
        assert!(state.rules.is_some());
        state.use_rules("[[rule]]\nid = 1".to_owned());
        assert!(state.rules.is_none() && state.rows().iter().any(|row| row.json.starts_with("[[rule]]")));
    }

    #[test]
    fn space_and_inodes_of_one_mount_are_two_forecasts() {
        let name = |text| Name::new(text).unwrap();
        let forecast = |rule, quantity| ForecastResult {
            device: DeviceId([1; 16]),
            rule: name(rule),
            subject: name("/var"),
            quantity: name(quantity),
            value: 1.0,
            limit: 2.0,
            outcome: tenken_collector_core::predict::forecast::Outcome::AlreadyReached,
        };
        let (space, inodes) =
            (forecast("disk-filling", "available_bytes"), forecast("inodes-filling", "inodes_used"));
        assert_ne!(forecast_name(&space), forecast_name(&inodes));
        assert_eq!(device_of(&forecast_name(&space)), Some(space.device));
    }
}
