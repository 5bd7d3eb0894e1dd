//! Consents that change under a running agent, and a recorder that hears all it says.
//!
//! Holds: what is judged is what was on the wire, with the time at which it was. A category that
//! the consent in force does not name may be heard until one cycle after the change, not later.

use crate::{Bed, BedPlan, Home, Process, free_port, recorder::Recorder, wait_until};
use proptest::{
    sample::subsequence,
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::{collections::BTreeSet, fmt, fs, path::PathBuf, time::Duration};
use tenken_common::{
    ack::ResumeRequest,
    batch::GapReason,
    category::Category,
    envelope::{Envelope, Payload},
    stub::Stub,
    time::{Clock, SystemClock, Timestamp},
    wire::v1::ReceivedBatch,
};

const BOUND: Duration = Duration::from_secs(60);
/// One cycle of the agent, and what a slow machine adds.
pub const ONE_CYCLE: Duration = Duration::from_secs(6);
const PROBED: [&str; 7] = ["performance", "disk", "network", "sensor", "clock", "service", "agent"];

/// An installation with somebody in the middle.
pub struct Overheard {
    pub bed: Bed,
    pub home: Home,
    pub recorder: Recorder,
    pub agent: Process,
    version: u64,
    changes: Vec<Change>,
    _collector: Process,
}

/// From this moment on only these categories may leave.
#[derive(Debug, Clone)]
struct Change {
    at: Timestamp,
    allowed: BTreeSet<Category>,
}

/// What a message of the agent carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Carried {
    Batch(Vec<Category>),
    Stub(GapReason),
    /// The question how far the collector is.
    Resume,
}

/// What was heard over a whole run.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    pub messages: usize,
    pub records: usize,
    pub stubs: usize,
    /// Records of a category that was not permitted any more, beyond one cycle.
    pub forbidden: usize,
    /// Messages that are neither batch, stub nor question.
    pub unknown: usize,
    /// The latest moment after a change at which something of before it was heard.
    pub latest: Duration,
}

impl Verdict {
    pub fn failed(&self) -> u64 {
        (self.forbidden + self.unknown) as u64
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} messages with {} records and {} stubs heard; {} records beyond the consent, {} unknown \
             messages; the last of an older consent {} ms after the change",
            self.messages,
            self.records,
            self.stubs,
            self.forbidden,
            self.unknown,
            self.latest.as_millis()
        )
    }
}

impl Overheard {
    pub fn start(categories: &[&'static str]) -> Self {
        let bed = Bed::new(BedPlan { categories: categories.to_vec(), ..BedPlan::default() });
        let port = free_port();
        let config = bed.path("collector.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("push_url = \"https://localhost:{port}\"\n{text}")).unwrap();
        let collector = bed.start_collector();
        let home = bed.enroll("ct-1");
        let recorder = Recorder::start(port, bed.device_port, &bed.dir().join("collector/pki"), &home.state);
        let agent = bed.start_agent(&home);
        let allowed = categories.iter().map(|c| c.parse().unwrap()).collect();
        let changes = vec![Change { at: Timestamp::MIN, allowed }];
        Self { bed, home, recorder, agent, version: 1, changes, _collector: collector }
    }

    /// Puts a newer consent for these categories in place.
    pub fn consent(&mut self, categories: &[&str]) {
        self.version += 1;
        self.bed.sign_consent(self.version, categories);
        let allowed = categories.iter().map(|c| c.parse().unwrap()).collect();
        self.put(self.bed.path("consent.statement").into(), allowed);
    }

    /// Has the hospital withdraw the consent that lies in the device's folder.
    pub fn withdraw(&mut self) {
        self.version += 1;
        let (key, out) = (self.bed.path("hospital/hospital.key"), self.bed.path("withdrawn.statement"));
        let folder = self.home.state.display().to_string();
        self.bed.hospital(&["consent", "withdraw", "--key", &key, &folder, "--out", &out]);
        self.put(out.into(), BTreeSet::new());
    }

    fn put(&mut self, statement: PathBuf, allowed: BTreeSet<Category>) {
        let new = self.home.state.join("consent.new");
        fs::copy(statement, &new).unwrap();
        fs::rename(new, self.home.state.join("consent.statement")).unwrap();
        self.changes.push(Change { at: SystemClock::new().wall(), allowed });
        let version = self.version;
        self.status_when("the consent to be in force", |s| s.consent.version == version);
    }

    pub fn status_when(
        &self,
        what: &str,
        good: impl Fn(&tenken_agent::status::Status) -> bool,
    ) -> tenken_agent::status::Status {
        wait_until(BOUND, what, |state| {
            let status = tenken_agent::status::load(&self.home.state).ok()?;
            *state = format!("{:?} {:?} {:?}", status.consent, status.spool, status.delivery);
            good(&status).then_some(status)
        })
    }

    /// Waits for so many more batches with records.
    pub fn hear_records(&self, batches: usize) {
        let with_records = || {
            let carried = self.recorder.heard().into_iter().filter_map(|h| carried(&h.body));
            carried.filter(|c| matches!(c, Carried::Batch(all) if !all.is_empty())).count()
        };
        let before = with_records();
        wait_until(BOUND, "batches with records", |_| (with_records() >= before + batches).then_some(()));
    }

    /// Lets batches be cut and not get through.
    pub fn hold_some(&self) {
        self.recorder.hold(true);
        // Not one that got through just before.
        self.status_when("a batch in flight that was put off", |s| {
            s.spool.in_flight > 0 && s.delivery.state == tenken_agent::status::DeliveryState::Failing
        });
    }

    /// Judges all that was heard by the consents of its time.
    pub fn judge(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for heard in self.recorder.heard() {
            verdict.messages += 1;
            let present = self.changes.iter().rposition(|c| c.at <= heard.at).unwrap_or(0);
            let Some(change) = self.changes.get(present) else { continue };
            match carried(&heard.body) {
                None => verdict.unknown += 1,
                Some(Carried::Resume) => {}
                Some(Carried::Stub(_)) => verdict.stubs += 1,
                Some(Carried::Batch(categories)) => {
                    verdict.records += categories.len();
                    let beyond = categories.iter().filter(|c| !change.allowed.contains(*c)).count();
                    let after = heard.at.saturating_since(change.at);
                    if beyond > 0 {
                        verdict.latest = verdict.latest.max(after);
                    }
                    if after > ONE_CYCLE || present == 0 {
                        verdict.forbidden += beyond;
                    }
                }
            }
        }
        verdict
    }
}

/// What an envelope of the agent carries; `None` for what it should never send here.
pub fn carried(bytes: &[u8]) -> Option<Carried> {
    let envelope = Envelope::from_bytes(bytes).ok()?;
    let kind = envelope.payload_type();
    if kind == ReceivedBatch::TYPE {
        let received = ReceivedBatch::decode(envelope.body()).ok()?;
        let categories = received.batch.records.iter().map(|r| r.observation.category).collect();
        received.unknown.is_empty().then_some(Carried::Batch(categories))
    } else if kind == Stub::TYPE {
        Some(Carried::Stub(Stub::decode(envelope.body()).ok()?.reason))
    } else {
        (kind == ResumeRequest::TYPE).then_some(Carried::Resume)
    }
}

/// Rounds of consents drawn at random; every third is a withdrawal with batches in flight.
pub fn consent_campaign(rounds: u32, seed: u64) -> Verdict {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let some = subsequence(PROBED.to_vec(), 1..PROBED.len());
    let mut overheard = Overheard::start(&PROBED);
    overheard.hear_records(2);
    for round in 1..=rounds {
        if round % 20 == 0 {
            eprintln!("consent: round {round} of {rounds}");
        }
        let mut categories = some.new_tree(&mut runner).expect("nothing is filtered out").current();
        // Not every machine has sensors or watched services; these always have something to say.
        categories.push(if round % 2 == 0 { "performance" } else { "disk" });
        categories.sort_unstable();
        categories.dedup();
        if round % 3 == 0 {
            overheard.hold_some();
            overheard.withdraw();
            overheard.recorder.hold(false);
            overheard.status_when("everything to be settled", |s| s.spool.in_flight + s.spool.waiting == 0);
        } else {
            overheard.consent(&categories);
            overheard.hear_records(2);
        }
    }
    overheard.judge()
}
