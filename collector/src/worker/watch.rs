//! The fleet's detectors beside the evaluation: fed from the log once, kept now and then. On the way it
//! takes what devices told since the last evaluation ([`Interim`]).
//!
//! Holds: at a tick the states are those of all batches up to it, whoever got there and after which
//! stop. States are kept in the tick's transaction, a part of the devices a minute ([`SLOTS`] of
//! them), and what came since is fed again after a start; what it tells again is known already. Where
//! rules watch something else, that begins to learn with the tick that took the rules.
//!
//! Does not: look at what was there before a rule watched it.

use super::turn::part_of;
use crate::store::{Store, StoreError, model::DetectorRow};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};
use tenken_collector_core::{
    desk::{interim::Interim, rule::RuleSet},
    predict::{
        anomaly::Detector,
        series::SeriesKey,
        watch::{Anomaly, Noted, Watch, Watched},
    },
};
use tenken_common::{
    batch::Batch,
    id::{DeviceId, Name},
    time::Timestamp,
    unit::Unit,
};

/// Minutes in which every state is kept once: what a start has to feed again.
const SLOTS: usize = 15;
/// Batches that are read at once.
const PAGE: u32 = 200;

/// Where the kept states stand; a part of the evaluation's own state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    watched: BTreeSet<Watched>,
    /// Up to where each slot's states were fed when they were last kept.
    kept: [u64; SLOTS],
    next: usize,
}

/// The detectors while a process lives.
#[derive(Debug, Default)]
pub struct Watcher {
    watch: Watch,
    /// Up to where they were fed; unknown where nothing was loaded yet or a tick was not saved.
    fed: Option<u64>,
}

/// What a tick leads to, to be kept with it.
#[derive(Debug, Default)]
pub struct Followed {
    pub noted: Vec<Noted>,
    pub detectors: Vec<DetectorRow>,
    /// The states that were kept before are to go.
    pub forget: bool,
    /// What each device told.
    pub interims: BTreeMap<DeviceId, Interim>,
}

impl Watcher {
    /// Feeds what came between two ticks. [`Watcher::saved`] says that the answer was kept.
    pub async fn follow(
        &mut self,
        store: &Store,
        standing: &mut Standing,
        (rules, span): (Option<&RuleSet>, Range<u64>),
        is_minute: bool,
    ) -> Result<Followed, StoreError> {
        let fed = self.fed.take();
        let watched = rules.map(RuleSet::watched).unwrap_or_default();
        if fed != Some(span.start) {
            self.load(store, standing, span.start).await?;
        }
        let is_new = watched != standing.watched;
        if is_new {
            self.watch.keep(&watched);
            standing.watched = watched;
        }
        let numbers = rules.map(RuleSet::numbers).unwrap_or_default();
        let mut interims: BTreeMap<DeviceId, Interim> = BTreeMap::new();
        let tell = |batch: &Batch| interims.entry(batch.device).or_default().take(batch, &numbers);
        let found = self.feed((store, &standing.watched), span.clone(), |_, _| true, tell).await?;
        let interims = interims.into_iter().map(|(device, interim)| (device, interim.settled())).collect();
        let noted = note(store, rules, found).await?;
        let states = if is_new {
            standing.kept = [span.end; SLOTS];
            self.watch.states(|_| true, true)
        } else if is_minute {
            let now = standing.next % SLOTS;
            standing.next = (now + 1) % SLOTS;
            if let Some(kept) = standing.kept.get_mut(now) {
                *kept = span.end;
            }
            self.watch.states(|device| part_of(device, SLOTS) == now, false)
        } else {
            Vec::new()
        };
        let row = |(key, unit, detector): (SeriesKey, Unit, &Detector)| DetectorRow {
            key,
            unit,
            detector: detector.clone(),
        };
        Ok(Followed { noted, detectors: states.into_iter().map(row).collect(), forget: is_new, interims })
    }

    /// What [`Watcher::follow`] answered was kept.
    pub fn saved(&mut self, position: u64) {
        self.fed = Some(position);
    }

    /// The states as they were at a position that was evaluated.
    async fn load(&mut self, store: &Store, standing: &Standing, position: u64) -> Result<(), StoreError> {
        self.watch = Watch::default();
        for DetectorRow { key, unit, detector } in store.detectors().await? {
            self.watch.put(key, unit, detector);
        }
        if standing.watched.is_empty() {
            return Ok(());
        }
        let kept = |device| standing.kept.get(part_of(device, SLOTS)).copied().unwrap_or(0);
        let from = standing.kept.iter().copied().min().unwrap_or(0);
        // What it tells was noted when it was first fed.
        self.feed((store, &standing.watched), from..position, |device, at| at > kept(device), |_| {}).await?;
        Ok(())
    }

    async fn feed(
        &mut self,
        (store, watched): (&Store, &BTreeSet<Watched>),
        span: Range<u64>,
        is_next: impl Fn(DeviceId, u64) -> bool,
        mut tell: impl FnMut(&Batch),
    ) -> Result<Vec<Anomaly>, StoreError> {
        let mut found = Vec::new();
        let mut from = span.start;
        loop {
            let page = store.batches(from..span.end, PAGE).await?;
            let Some(last) = page.last() else { break };
            from = last.position;
            for stored in page.iter().filter(|stored| is_next(stored.batch.device, stored.position)) {
                tell(&stored.batch);
                found.extend(self.watch.take(watched, &stored.batch, stored.committed));
            }
        }
        Ok(found)
    }
}

/// Gives each anomaly to the rules that watch it, in the episode that it belongs to.
async fn note(store: &Store, rules: Option<&RuleSet>, found: Vec<Anomaly>) -> Result<Vec<Noted>, StoreError> {
    let mut newest: BTreeMap<(Name, DeviceId), Option<(Timestamp, Timestamp)>> = BTreeMap::new();
    let mut noted = Vec::new();
    for anomaly in found {
        let key = &anomaly.key;
        for (rule, when) in rules.into_iter().flat_map(RuleSet::anomalies) {
            if !when.watch.iter().any(|w| w.takes(&key.probe, &key.quantity)) {
                continue;
            }
            let episode = (rule.id.clone(), key.device);
            let before = match newest.get(&episode) {
                Some(before) => *before,
                None => store.newest_episode(&rule.id, key.device).await?,
            };
            let one = Noted::after(before, &rule.id, when.together.0, anomaly.clone());
            let latest = before.filter(|(began, _)| *began == one.began).map_or(anomaly.at, |(_, at)| at);
            newest.insert(episode, Some((one.began, latest.max(anomaly.at))));
            noted.push(one);
        }
    }
    Ok(noted)
}
