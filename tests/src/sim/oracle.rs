//! The oracle: what really happened, and whether the protocol's invariants hold of it.
//!
//! Holds: it is told of every append, cut, send, decision, commit, answer and deletion, and decides
//! from its own records only. It has a ledger of its own, with every hash that was ever stored, to
//! compare the product's decisions with.

use super::{clock::server_at, rows::Row, tables::Stand};
use std::collections::{BTreeMap, BTreeSet};
use tenken_agent_core::spool::{Standing, runs::RunSet};
use tenken_common::{
    batch::{Gap, GapReason, Link, RecRun},
    consent::ConsentManifest,
    envelope::Envelope,
    id::{DeviceId, Epoch, Hash, Name, Nonce, RecId, Seq},
    key::PublicKey,
    limit,
    observation::{Observation, Record},
    time::Timestamp,
};

mod account;

/// The protocol's invariants, and that a healed world comes to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A record is stored once or named in a signed gap; never lost silently, doubled or altered.
    I1,
    /// The device deletes only what was acknowledged.
    I2,
    /// The collector acknowledges only after its commit.
    I3,
    /// What was accepted once has no further effect.
    I4,
    /// Two writers diverge visibly, and one writer never looks like two.
    I5,
    /// Wall time is data, never authority.
    I7,
    /// Nothing leaves without the hospital's consent.
    I8,
    Liveness,
    /// What production counts.
    Product,
}

/// What is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: Invariant,
    pub at: u64,
    pub what: String,
}

impl Violation {
    /// One that a campaign found over whole worlds.
    pub fn of_campaign(what: &str) -> Self {
        Self { invariant: Invariant::I5, at: 0, what: what.to_owned() }
    }
}

/// One that writes a chain: a device, or a clone of it.
#[derive(Debug, Clone)]
pub struct Writer {
    pub device: DeviceId,
    pub epoch: Epoch,
    /// What `append` returned for.
    appended: BTreeMap<RecId, Observation>,
    /// What `append` failed for: it may be on the disk all the same.
    maybe: BTreeMap<RecId, Vec<Observation>>,
    chain: BTreeMap<Seq, Hash>,
    acked: Seq,
    /// A cut may be on the disk that nobody was told of.
    cut_unknown: bool,
    /// It knows that it is behind its own chain.
    behind: bool,
    /// Its engine fell back or lost something: what it says it lost may be there.
    pub damaged: bool,
    consent: Option<ConsentManifest>,
    consent_highest: u64,
    /// What it had before it rejoined.
    moved: Vec<Name>,
}

/// The oracle's own ledger of a device.
#[derive(Debug, Clone)]
struct Reference {
    epoch: Epoch,
    committed: Seq,
    hashes: BTreeMap<Seq, Hash>,
    quarantined: bool,
}

/// What the collector has, entry by entry.
#[derive(Debug, Clone)]
pub struct LogEntry {
    pub link: Link,
    pub records: Vec<Record>,
    pub gaps: Vec<Gap>,
}

impl LogEntry {
    /// The end of an epoch, with what it declares.
    pub fn closing(device: DeviceId, epoch: Epoch, tail: Gap) -> Self {
        let hash = Hash::ZERO;
        let link = Link { device, epoch, seq: Seq(u64::MAX), prev: hash, hash, boot: None };
        Self { link, records: Vec::new(), gaps: vec![tail] }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Oracle {
    now: u64,
    pub violations: Vec<Violation>,
    pub writers: Vec<Writer>,
    reference: BTreeMap<DeviceId, Reference>,
    /// Links that were ever on the collector's disk.
    committed: BTreeSet<(DeviceId, Epoch, Seq, Hash)>,
    /// Devices with a second writer, or with a disk that was put back.
    pub doubled: BTreeSet<DeviceId>,
    /// Devices whose ledger was moved, with the question that did it, until its answer is heard.
    unheard: BTreeMap<DeviceId, Nonce>,
    /// What a collector truly did not have when it asked for it; and the same of before it was
    /// restored again, maybe to a backup that has it.
    asked: BTreeMap<(DeviceId, Epoch), RunSet>,
    asked_before: BTreeMap<(DeviceId, Epoch), RunSet>,
    /// All that ever had an id, also in a time line that a restored disk cut off.
    known: BTreeMap<(DeviceId, Epoch), BTreeMap<RecId, Vec<Observation>>>,
    /// Everything that was ever observed, by its subject, which no other one has.
    observed: BTreeMap<Name, Observation>,
    digest: u64,
    /// Nothing is set aside or evicted in this world, so whoever rejoins brings all of it along.
    keeps_all: bool,
}

impl Oracle {
    pub fn new(keeps_all: bool) -> Self {
        Self { keeps_all, ..Self::default() }
    }

    pub fn tick(&mut self, now: u64) {
        self.now = now;
    }

    fn fail(&mut self, invariant: Invariant, what: String) {
        // The first ones tell; a world gone wrong has thousands.
        if self.violations.len() < 20 {
            self.violations.push(Violation { invariant, at: self.now, what });
        }
    }

    pub fn digest(&self) -> u64 {
        self.digest
    }

    pub fn fail_at_rest(&mut self, what: String) {
        self.fail(Invariant::Liveness, what);
    }

    /// A new writer; gives its place.
    pub fn enroll(&mut self, device: DeviceId, epoch: Epoch, genesis: Hash) -> usize {
        let hashes = BTreeMap::from([(Seq(0), genesis)]);
        self.reference.insert(device, Reference { epoch, committed: Seq(0), hashes, quarantined: false });
        self.writers.push(Writer {
            device,
            epoch,
            appended: BTreeMap::new(),
            maybe: BTreeMap::new(),
            chain: BTreeMap::new(),
            acked: Seq(0),
            cut_unknown: false,
            behind: false,
            damaged: false,
            consent: None,
            consent_highest: 0,
            moved: Vec::new(),
        });
        self.writers.len() - 1
    }

    /// What is known of a writer now, for an image of its disk.
    pub fn image(&self, place: usize) -> Writer {
        self.writers[place].clone()
    }

    /// A disk was put back to an image.
    pub fn restored(&mut self, place: usize, image: Writer) {
        self.doubled.insert(image.device);
        self.writers[place] = image;
    }

    /// A second device runs from an image.
    pub fn cloned(&mut self, image: Writer) -> usize {
        self.doubled.insert(image.device);
        self.writers.push(image);
        self.writers.len() - 1
    }

    // ---- the device's side

    pub fn appended(
        &mut self,
        place: usize,
        run: Option<RecRun>,
        before: RecId,
        observations: Vec<Observation>,
    ) {
        let writer = &mut self.writers[place];
        let known = self.known.entry((writer.device, writer.epoch)).or_default();
        let mut id = run.map_or(before.next(), |run| run.from);
        let mut twice = None;
        for observation in observations {
            known.entry(id).or_default().push(observation.clone());
            self.observed.insert(observation.subject.clone(), observation.clone());
            if run.is_none() {
                writer.maybe.entry(id).or_default().push(observation);
            } else if writer.appended.insert(id, observation).is_some() {
                twice = Some(id);
            }
            id = id.next();
        }
        if let Some(id) = twice {
            self.fail(Invariant::I1, format!("device {place} gave record id {id} out twice"));
        }
    }

    pub fn cut_unknown(&mut self, place: usize) {
        self.writers[place].cut_unknown = true;
    }

    /// A link leaves, as itself or as its stub.
    pub fn sending(&mut self, place: usize, seq: Seq, hash: Hash) {
        let writer = &mut self.writers[place];
        let known = writer.chain.get(&seq).copied();
        if writer.behind {
            self.fail(Invariant::I5, format!("device {place} is behind its chain and goes on"));
        } else if known.is_none() && writer.cut_unknown {
            writer.chain.insert(seq, hash);
        } else if known != Some(hash) {
            let what = format!("device {place} sends a link {seq} that it did not cut");
            self.fail(Invariant::I5, what);
        }
    }

    /// The writer goes on in the next epoch; its records have new ids there.
    pub fn rejoined(&mut self, place: usize, epoch: Epoch) {
        let writer = &mut self.writers[place];
        let before = std::mem::take(&mut writer.appended);
        writer.moved.extend(before.into_values().map(|observation| observation.subject));
        writer.maybe.clear();
        writer.chain.clear();
        (writer.epoch, writer.acked) = (epoch, Seq(0));
        (writer.cut_unknown, writer.behind) = (false, false);
    }

    pub fn cut(&mut self, place: usize, seq: Seq, hash: Hash) {
        let before = self.writers[place].chain.insert(seq, hash);
        if before.is_some_and(|before| before != hash) {
            self.fail(Invariant::I5, format!("device {place} cut its link {seq} anew"));
        }
    }

    /// The device's word of how far it has let go.
    pub fn let_go(&mut self, place: usize, acked: Seq) {
        let writer = &mut self.writers[place];
        let (device, epoch, from) = (writer.device, writer.epoch, writer.acked);
        writer.acked = writer.acked.max(acked);
        let links: Vec<(Seq, Option<Hash>)> =
            (from.0 + 1..=acked.0).map(|seq| (Seq(seq), writer.chain.get(&Seq(seq)).copied())).collect();
        for (seq, hash) in links {
            let stored = hash.is_some_and(|hash| self.committed.contains(&(device, epoch, seq, hash)));
            if !stored {
                self.fail(
                    Invariant::I2,
                    format!("device {place} let go of its link {seq}, which was never stored"),
                );
            }
        }
    }

    pub fn busy(&mut self, place: usize) {
        self.fail(Invariant::Liveness, format!("device {place} turns in a circle"));
    }

    /// The consent file as it lies there now.
    pub fn consent(&mut self, place: usize, file: Option<&Envelope>, key: &PublicKey) {
        let writer = &mut self.writers[place];
        let manifest = file.and_then(|envelope| envelope.open::<ConsentManifest>(key).ok());
        match manifest {
            None => writer.consent = None,
            Some(manifest) if manifest.version >= writer.consent_highest => {
                writer.consent_highest = manifest.version;
                writer.consent = Some(manifest.into_inner());
            }
            // Older than what was seen: the one before stays, unless a restart forgot it.
            Some(_) => {}
        }
    }

    /// A restart knows only what lies on the disk.
    pub fn consent_forgotten(&mut self, place: usize) {
        self.writers[place].consent = None;
    }

    /// Records leave a device.
    pub fn sent(&mut self, place: usize, records: &[Record]) {
        let now = server_at(self.now);
        let Some(consent) = self.writers[place].consent.clone() else {
            self.fail(Invariant::I8, format!("device {place} sent a batch without any consent"));
            return;
        };
        // What the device knows of the time is off by half a round trip and its crystal's drift.
        let slack = std::time::Duration::from_secs(120);
        for record in records {
            let category = record.observation.category;
            let fits = |at: Timestamp| consent.permits(category, at).is_ok();
            if !(fits(now) || fits(now.plus(slack)) || fits(now.minus(slack))) {
                self.fail(
                    Invariant::I8,
                    format!("device {place} sent record {} of `{category}` without consent", record.id),
                );
                return;
            }
        }
    }

    // ---- the collector's side

    /// What the ledger has to say to a link.
    pub fn expected(&self, link: &Link) -> Option<Row> {
        let own = self.reference.get(&link.device)?;
        if own.quarantined {
            return Some(Row::Quarantined);
        }
        if link.epoch != own.epoch {
            return Some(if link.epoch < own.epoch { Row::StaleEpoch } else { Row::EpochAhead });
        }
        if link.seq <= own.committed {
            let old = own.committed.0 - link.seq.0 >= limit::LEDGER_HASHES as u64;
            return Some(match own.hashes.get(&link.seq) {
                _ if old => Row::DuplicateOld,
                Some(stored) if *stored != link.hash => Row::ForkStored,
                Some(_) | None => Row::Duplicate,
            });
        }
        if link.seq > own.committed.next() {
            return Some(Row::Hole);
        }
        let prev = own.hashes.get(&own.committed).copied();
        Some(if prev == Some(link.prev) { Row::New } else { Row::ForkPrev })
    }

    pub fn decided(&mut self, link: &Link, said: Row) {
        for word in [self.now, u64::from(link.epoch.0), link.seq.0, said as u64] {
            self.digest = (self.digest ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        let expected = self.expected(link);
        // Only two writers can give an id twice.
        let repeated = (expected, said) == (Some(Row::New), Row::ForkRecord);
        if repeated || expected == Some(said) {
            if matches!(said, Row::ForkStored | Row::ForkPrev | Row::ForkRecord) {
                if !self.doubled.contains(&link.device) {
                    let what =
                        format!("link {} of {} is called a fork; it has one writer", link.seq, link.device);
                    self.fail(Invariant::I5, what);
                }
                if let Some(own) = self.reference.get_mut(&link.device) {
                    own.quarantined = true;
                }
            }
            return;
        }
        let invariant = match expected {
            Some(Row::Duplicate | Row::DuplicateOld) => Invariant::I4,
            _ => Invariant::I5,
        };
        let what = format!(
            "link {} of {}: `{}`, must be `{}`",
            link.seq,
            link.device,
            said.as_str(),
            expected.map_or("unknown device", Row::as_str)
        );
        self.fail(invariant, what);
    }

    /// A clone, says the collector.
    pub fn clone_suspected(&mut self, device: DeviceId) {
        if !self.doubled.contains(&device) {
            self.fail(Invariant::I5, format!("{device} is called a clone; it has one writer"));
        }
    }

    /// A hole is unexplained, says the collector.
    pub fn unexplained(&mut self, link: &Link) {
        if !self.doubled.contains(&link.device) {
            let what =
                format!("link {} of {} is called unexplained; its device is sound", link.seq, link.device);
            self.fail(Invariant::I5, what);
        }
        if let Some(own) = self.reference.get_mut(&link.device) {
            own.quarantined = true;
        }
    }

    /// What a device takes from the answer to its resume.
    pub fn resumed(&mut self, place: usize, standing: Standing) {
        let writer = &mut self.writers[place];
        writer.behind = standing == Standing::DeviceBehind;
        let false_alarm = match standing {
            Standing::InStep => false,
            Standing::DeviceBehind => !self.doubled.contains(&writer.device) && !writer.damaged,
            // It was shown the proof.
            Standing::CollectorBehind => true,
        };
        if false_alarm {
            let what = format!("device {place} takes itself for {standing:?}");
            self.fail(Invariant::I5, what);
        }
    }

    /// The ledger was moved to what the collector acknowledged once.
    pub fn moved(&mut self, device: DeviceId, epoch: Epoch, to: Seq, hash: Hash) {
        if !self.committed.contains(&(device, epoch, to, hash)) {
            let what = format!("{device} moved to link {to}, which was never stored");
            self.fail(Invariant::I3, what);
        }
        if let Some(own) = self.reference.get_mut(&device) {
            own.committed = own.committed.max(to);
            own.hashes.insert(to, hash);
        }
    }

    /// A rejoin closed the epoch before.
    pub fn epoch_begins(&mut self, device: DeviceId, epoch: Epoch, genesis: Hash) {
        let hashes = BTreeMap::from([(Seq(0), genesis)]);
        self.reference.insert(device, Reference { epoch, committed: Seq(0), hashes, quarantined: false });
    }

    /// The product's own predicates, as they are counted in production.
    pub fn product_says(&mut self, invariant: &str) {
        self.fail(Invariant::Product, format!("the collector itself counts a violation of {invariant}"));
    }

    pub fn device_counts(&mut self, place: usize, violations: u64) {
        if violations > 0 {
            let what = format!("the agent of device {place} itself counts {violations} violations");
            self.fail(Invariant::Product, what);
        }
    }

    /// A link is on the collector's disk.
    pub fn committed(&mut self, link: &Link) {
        self.committed.insert((link.device, link.epoch, link.seq, link.hash));
        let Some(own) = self.reference.get_mut(&link.device) else { return };
        let again = link.seq <= own.committed;
        own.committed = own.committed.max(link.seq);
        own.hashes.insert(link.seq, link.hash);
        if again {
            self.fail(Invariant::I4, format!("link {} of {} was stored again", link.seq, link.device));
        }
    }

    /// The collector's disk was put back.
    pub fn collector_restored(&mut self, log: &[LogEntry], stands: impl Iterator<Item = (DeviceId, Stand)>) {
        for (chain, asked) in std::mem::take(&mut self.asked) {
            self.asked_before.entry(chain).or_default().extend(asked.runs());
        }
        for (device, stand) in stands {
            let mut hashes = BTreeMap::from([(Seq(0), stand.genesis)]);
            let links =
                log.iter().map(|entry| entry.link).filter(|l| l.device == device && l.epoch == stand.epoch);
            hashes.extend(links.map(|link| (link.seq, link.hash)));
            hashes.insert(stand.seq, stand.hash);
            let Stand { epoch, seq: committed, quarantined, .. } = stand;
            self.reference.insert(device, Reference { epoch, committed, hashes, quarantined });
        }
    }

    /// An acknowledgement goes out.
    pub fn acknowledged(&mut self, device: DeviceId, epoch: Epoch, seq: Seq, hash: Hash) {
        let stored = self.reference.get(&device).is_some_and(|own| {
            own.epoch == epoch && own.committed >= seq && own.hashes.get(&seq) == Some(&hash)
        });
        if !stored {
            self.fail(Invariant::I3, format!("link {seq} of {device} was acknowledged and is not stored"));
        }
    }
}
