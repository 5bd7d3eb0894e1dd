//! The account of a delivery: what an agent said that it appended, against what the collector's
//! log holds.
//!
//! Holds: both sides are read from the outside, the agent's from what its processes logged, the
//! collector's from its stream. An agent that was killed may have appended without saying so;
//! such an id may be stored or declared, one that was said may only be stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
    sync::Arc,
};
use tenken_collector::store::Store;
use tenken_collector_core::stream::Entry;
use tenken_common::{
    batch::{RecRun, runs_of},
    envelope::{Envelope, Verified},
    id::{DeviceId, Epoch, Hash, RecId, Seq},
    key::PublicKey,
    time::SystemClock,
    wire::v1::ReceivedBatch,
};

/// The line of the agent's log that names what `append` returned.
const APPENDED: &str = "tenken_agent::spool: appended ";

/// See the module's head.
#[derive(Debug, Default)]
pub struct Account {
    said: BTreeSet<RecId>,
    stored: BTreeSet<RecId>,
    doubled: BTreeSet<RecId>,
    /// By reason.
    declared: BTreeMap<&'static str, BTreeSet<RecId>>,
    batches: u64,
    head: Option<(Epoch, Seq, Hash)>,
    broken: Vec<String>,
}

impl Account {
    /// Of the agent whose logs are the files `agent-*.stderr` in `logs`, and of the device of a
    /// stopped collector.
    pub fn of(logs: &Path, database: &Path, device: &str) -> Self {
        let mut account = Self { said: said(logs), ..Self::default() };
        let device: DeviceId = device.parse().expect("an enrolled device has an identity");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(account.read_log(database, device));
        account
    }

    async fn read_log(&mut self, database: &Path, device: DeviceId) {
        let store = Store::open(database, Arc::new(SystemClock::new())).await.unwrap();
        let key = store.device(device).await.unwrap().expect("the device is enrolled").key;
        let mut position = 0;
        loop {
            let page = store.entries_after(position, 200).await.unwrap();
            let Some(last) = page.last() else { break };
            position = last.position;
            for stored in &page {
                if let Entry::Fork { .. } = &stored.entry {
                    self.broken.push(format!("a fork at position {}", stored.position));
                }
                if let Entry::Envelope { bytes, .. } = &stored.entry {
                    self.take(bytes, &key);
                }
            }
        }
        store.close().await;
    }

    fn take(&mut self, bytes: &[u8], key: &PublicKey) {
        let opened = Envelope::from_bytes(bytes).and_then(|envelope| envelope.open(key));
        let received: Verified<ReceivedBatch> = opened.expect("only a verified envelope is in the log");
        let batch = &received.batch;
        let follows = match self.head {
            None => batch.seq == Seq(1),
            Some((epoch, seq, hash)) => (epoch, seq.next(), hash) == (batch.epoch, batch.seq, batch.prev),
        };
        if !follows {
            self.broken.push(format!("batch {} does not follow {:?}", batch.seq, self.head));
        }
        self.head = Some((batch.epoch, batch.seq, received.body_hash()));
        self.batches += 1;
        let unknown = received.unknown.iter().map(|(id, _)| *id);
        for id in batch.records.iter().map(|record| record.id).chain(unknown) {
            if !self.stored.insert(id) {
                self.doubled.insert(id);
            }
        }
        for gap in &batch.gaps {
            let ids = (gap.run.from.0..=gap.run.to.0).map(RecId);
            self.declared.entry(gap.reason.as_str()).or_default().extend(ids);
        }
    }

    /// What the agent said elsewhere that it has appended.
    pub fn say(&mut self, run: RecRun) {
        self.said.extend((run.from.0..=run.to.0).map(RecId));
    }

    /// Ids that were said to be appended and are not stored.
    pub fn lost(&self) -> Vec<RecRun> {
        runs_of(self.said.difference(&self.stored).copied())
    }

    /// Ids that are stored more than once.
    pub fn doubled(&self) -> Vec<RecRun> {
        runs_of(self.doubled.iter().copied())
    }

    /// Ids that are stored and declared lost as well.
    pub fn contradicted(&self) -> Vec<RecRun> {
        runs_of(self.stored.iter().filter(|id| self.declared.values().any(|gap| gap.contains(id))).copied())
    }

    /// Ids up to the highest stored one of which the collector knows nothing.
    pub fn silent(&self) -> Vec<RecRun> {
        let last = self.stored.last().map_or(0, |id| id.0);
        let known = |id: &RecId| self.stored.contains(id) || self.declared.values().any(|g| g.contains(id));
        runs_of((1..=last).map(RecId).filter(|id| !known(id)))
    }

    /// How many ids or links are not as they must be; zero where all is well.
    pub fn faults(&self) -> u64 {
        let runs = [self.lost(), self.doubled(), self.contradicted(), self.silent()].concat();
        runs.iter().map(RecRun::len).sum::<u64>() + self.broken.len() as u64
    }

    pub fn stored(&self) -> usize {
        self.stored.len()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} appended, {} stored in {} batches", self.said.len(), self.stored.len(), self.batches)?;
        for (reason, ids) in &self.declared {
            write!(f, ", {} declared {reason}", ids.len())?;
        }
        let sides = [
            ("lost", self.lost()),
            ("doubled", self.doubled()),
            ("stored and declared lost", self.contradicted()),
            ("neither stored nor declared", self.silent()),
        ];
        for (what, runs) in sides {
            write!(f, ", {} {what}", runs.iter().map(RecRun::len).sum::<u64>())?;
            for run in runs.iter().take(20) {
                write!(f, " [{}..{}]", run.from, run.to)?;
            }
        }
        self.broken.iter().try_for_each(|text| write!(f, ", {text}"))
    }
}

/// The ids that the agent's log names; a last line that was not finished is no word.
fn said(logs: &Path) -> BTreeSet<RecId> {
    let files = fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path());
    let of_agents = files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("agent-") && name.ends_with(".stderr")
    });
    of_agents.flat_map(|path| appended(&String::from_utf8_lossy(&fs::read(path).unwrap()))).collect()
}

fn appended(log: &str) -> Vec<RecId> {
    let lines = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let runs = lines.filter_map(|line| {
        let (_, fields) = line.split_once(APPENDED)?;
        let (first, last) = fields.split_once(' ')?;
        let number = |text: &str, name: &str| text.strip_prefix(name)?.parse::<u64>().ok();
        Some(number(first, "first=")?..=number(last, "last=")?)
    });
    runs.flatten().map(RecId).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: impl IntoIterator<Item = u64>) -> BTreeSet<RecId> {
        ids.into_iter().map(RecId).collect()
    }

    #[test]
    fn the_agent_s_word_is_read_and_an_unfinished_line_is_none() {
        let log = "2026 INFO tenken_agent::app: agent started device=ab\n\
                   2026 DEBUG tenken_agent::spool: appended first=1 last=3\n\
                   2026 DEBUG tenken_agent::spool: appended first=7 last=7\n\
                   2026 DEBUG tenken_agent::spool: appended first=8 last=1";
        assert_eq!(appended(log), [1, 2, 3, 7].map(RecId));
    }

    #[test]
    fn every_kind_of_fault_is_counted() {
        let good = Account { said: ids(1..=4), stored: ids(1..=5), ..Account::default() };
        assert_eq!(good.faults(), 0, "{good}");
        let account = Account {
            said: ids(1..=4),
            stored: ids([1, 2, 4, 9]),
            doubled: ids([4]),
            declared: [("never_issued", ids([2, 5, 6]))].into(),
            broken: vec!["a fork".into()],
            ..Account::default()
        };
        let numbers = |runs: Vec<RecRun>| runs.iter().map(|r| (r.from.0, r.to.0)).collect::<Vec<_>>();
        assert_eq!(numbers(account.lost()), [(3, 3)]);
        assert_eq!(numbers(account.doubled()), [(4, 4)]);
        assert_eq!(numbers(account.contradicted()), [(2, 2)]);
        assert_eq!(numbers(account.silent()), [(3, 3), (7, 8)]);
        assert_eq!(account.faults(), 7, "{account}");
    }
}
