//! A small service centre, its hospital and two devices, made by the product's store, its
//! evaluation and its seals under a clock that is set by hand.

use crate::crash::{dice::Dice, store::device::Device};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tenken_collector::{
    desk,
    notify::Outlets,
    pki::Pki,
    seal::{self, SealMonthError},
    store::{Book, Store},
    worker::evaluate,
};
use tenken_collector_core::{
    desk::{
        incident::Incident,
        notice::Severity,
        silence::{Matcher, Silence},
    },
    intake::arrival::Arrival,
    sla::{
        history::{FiledRecord, Record},
        month::Month,
        seal::SealError,
        span::Span,
    },
    stream::{Enrolled, Entry, IncidentStep},
};
use tenken_common::{
    batch::Link,
    enrollment::HostFacts,
    envelope::Envelope,
    fact::{Fact, PatchSource, PatchState, PatchStatus, PatternFileStatus, PatternSource, PatternState},
    id::{BootId, ContractId, DeviceId, Hash, Name, SlotId},
    key::SecretKey,
    observation::{Body, CheckResult, CheckState, Sample, SelfReport},
    statement::DeviceApproval,
    time::{Clock, ManualClock, Timestamp},
    unit::{Quantity, Unit},
};
use tenken_hospital::agreement;

const CONTRACT: &str = include_str!("../../../packaging/config/contract.example.toml");
const RULES: &str = include_str!("../../../packaging/rules/default.toml");
/// The secret of the example contract's key (RFC 8032, section 7.1, test 1).
const HOSPITAL_SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
    0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
/// The days on which the collector runs, two hours each but for one.
const DAYS: [u64; 7] = [1, 2, 3, 9, 15, 24, 28];
const MINUTES: u64 = 120;
/// The day on which it runs longer, how long, and when a service stops that nobody looks after.
const LONG_DAY: (u64, u64, u64) = (9, 260, 200);
/// That service.
const FORGOTTEN: &str = "pacs";

/// See the module's head.
pub(super) struct Centre {
    pub(super) store: Store,
    pub(super) clock: Arc<ManualClock>,
    devices: Vec<Device>,
    contract: ContractId,
    pub(super) hospital: SecretKey,
    /// The last message's place: whose, how far, and the root.
    pub(super) newest: Option<(Link, u64, Hash)>,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn day(month: &str, day: u64, hour: u64) -> Timestamp {
    let month: Month = month.parse().unwrap();
    month.span().from.plus(Duration::from_hours(24 * (day - 1) + hour))
}

/// What a device says of itself: whether a service runs, patches and pattern files, in time or not,
/// and pushes that failed.
fn own_state(number: usize, (at, runs): (Timestamp, bool), dice: &mut Dice) -> Vec<(Timestamp, Name, Body)> {
    let security = u32::try_from(dice.below(3)).unwrap();
    let since = |days: usize| Some(at.minus(Duration::from_hours(24 * days as u64)));
    let patches = PatchStatus {
        probe: name("patches"),
        source: PatchSource::Apt,
        state: if dice.percent(90) { PatchState::Known } else { PatchState::StaleIndex },
        pending: Some(security),
        security: Some(security),
        oldest_at: since(1 + dice.below(40)).filter(|_| security > 0),
        index_at: Some(at),
        applied_at: None,
        reboot_needed: Some(false),
        system: name("debian"),
        build: None,
    };
    let pattern = PatternFileStatus {
        probe: name("antivirus"),
        source: PatternSource::ClamAv,
        state: PatternState::Known,
        engine: None,
        version: None,
        defined_at: since(dice.below(9)),
    };
    let mut said = vec![
        (at, name("system"), Body::Fact(Fact::PatchStatus(patches))),
        (at, name("clamav"), Body::Fact(Fact::PatternFileStatus(pattern))),
    ];
    // The second one says how often it is heard, so that it is not taken for silent.
    if number == 1 {
        let state = if runs { CheckState::Ok } else { CheckState::Critical };
        let check = Body::CheckResult(CheckResult { probe: name("services"), state });
        let interval = Quantity::new(name("expected_interval_seconds"), Unit::Seconds, 600.0);
        let report = SelfReport { quantities: interval.into_iter().collect(), runs: vec![] };
        said.extend([(at, name(FORGOTTEN), check), (at, name("agent"), Body::SelfReport(report))]);
    }
    if dice.percent(20) {
        let quantities = Quantity::new(name("push_outage"), Unit::Seconds, 90.0).into_iter().collect();
        said.push((at, name("agent"), Body::Sample(Sample { probe: name("agent"), quantities })));
    }
    said
}

/// Whether an incident is of the service that nobody looks after.
pub(super) fn is_forgotten(incident: &str) -> bool {
    let incident: Incident = serde_json::from_str(incident).unwrap();
    incident.subject.as_str() == FORGOTTEN
}

impl Centre {
    pub(super) async fn found(path: PathBuf) -> Self {
        let clock = Arc::new(ManualClock::new(BootId([0; 16]), day("2026-08", 28, 9)));
        let store = Store::open(&path, clock.clone()).await.unwrap();
        let hospital = SecretKey::from_seed(&HOSPITAL_SEED);
        let contract = desk::load_contract(&store, CONTRACT).await.unwrap();
        let (_, agreement) =
            agreement::agree(&contract.hospital.id, CONTRACT, &hospital, clock.wall()).unwrap();
        desk::file_statement(&store, &agreement).await.unwrap();
        let mut devices = Vec::new();
        for (number, label) in (1..).zip(["ct-1", "mri-1"]) {
            let (id, key, grant) = (DeviceId([number; 16]), Device::key_of(number), vec![number; 40]);
            let enrolled = Enrolled {
                slot: SlotId([number; 16]),
                hospital: contract.hospital.id.clone(),
                device: id,
                label: name(label),
                group: None,
                device_key: key.public().to_bytes().to_vec(),
                facts: HostFacts {
                    os: name("linux"),
                    arch: name("x86_64"),
                    agent_version: name("0.1.0"),
                    machine: Hash::of(b"machine"),
                },
                grant: grant.clone(),
            };
            store.append(vec![Entry::Enrolled(enrolled)]).await.unwrap();
            let approval = DeviceApproval {
                hospital: contract.hospital.id.clone(),
                device: id,
                fingerprint: key.public().fingerprint(),
                approved_at: clock.wall(),
            };
            let approval = Envelope::seal(&approval, &hospital).unwrap();
            desk::file_statement(&store, &approval).await.unwrap();
            devices.push(Device::new(number, id, Hash::of(&grant)));
        }
        Self { store, clock, devices, contract: contract.id, hospital, newest: None }
    }

    /// Some days of two hours each, with messages, incidents that people answer, a stop that the
    /// hospital blames on itself, and work.
    pub(super) async fn month(&mut self, month: &str, dice: &mut Dice) {
        for date in DAYS {
            self.clock.jump_to(day(month, date, 9));
            let started = Entry::Started { version: name("0.1.0") };
            self.store.append(vec![Entry::Rules { text: RULES.to_owned() }, started]).await.unwrap();
            let (long_day, long, stops) = LONG_DAY;
            for minute in 0..if date == long_day { long } else { MINUTES } {
                for _ in 0..2 {
                    self.store.append(vec![Entry::Heartbeat]).await.unwrap();
                    self.clock.advance(Duration::from_secs(30));
                }
                if minute % 20 == 7 {
                    for number in 0..self.devices.len() {
                        let records = 3 + dice.below(20) as u64;
                        let runs = date != long_day || minute < stops;
                        self.message(number, records, (runs, &mut *dice)).await;
                    }
                }
            }
            evaluate::advance(&self.store, &Outlets::default(), &Arc::default()).await.unwrap();
            self.answer(dice).await;
        }
        self.silence().await;
        let stop = format!("stop-{month}");
        let (from, to) = (day(month, 15, 10), day(month, 15, 11));
        let at = day(month, 16, 9);
        self.enter(
            serde_json::json!({ "outage": { "id": stop, "source": "manual", "from": from, "to": to } }),
        )
        .await;
        self.enter(serde_json::json!({ "attribution": {
            "outage": stop, "attribution": { "at": at, "cause": "customer", "by": "w-1" } } }))
            .await;
        self.enter(
            serde_json::json!({ "job": { "id": format!("job-{month}"), "service": "periodic_monitoring",
            "received_at": from, "closed_at": to } }),
        )
        .await;
    }

    /// Keeps what is mild from being told, which changes no figure.
    async fn silence(&self) {
        let now = self.clock.wall();
        let matcher = Matcher {
            hospital: Some(desk::contracts(&self.store).await.unwrap().remove(0).hospital.id),
            device: None,
            rule: None,
            subject: None,
            incident: None,
            max_severity: Severity::Warning,
        };
        let span = Span::new(now, now.plus(Duration::from_hours(24)));
        let silence = Silence::new(matcher, span, (name("w-1"), "交換作業"), now).unwrap();
        desk::silence(&self.store, silence).await.unwrap();
    }

    async fn message(&mut self, number: usize, records: u64, (runs, dice): (bool, &mut Dice)) {
        let device = &mut self.devices[number];
        let (received, bytes) =
            device.cut_seen(records, 0, own_state(number, (self.clock.wall(), runs), dice));
        let link = Link::of(&received);
        let arrival = Arrival::Batch(Box::new(received.into_inner()));
        let mut book = Book::default();
        let mut tx = self.store.begin(&mut book).await.unwrap();
        let admission = tx.admit(&link, &arrival, bytes).await.unwrap();
        tx.commit().await.unwrap();
        self.newest = Some((link, admission.position, admission.root));
    }

    /// People report on open incidents.
    async fn answer(&self, dice: &mut Dice) {
        for row in self.store.open_incidents().await.unwrap() {
            if !is_forgotten(&row.json) && dice.percent(60) {
                let (step, worker) = (IncidentStep::FirstResponseReported, name("w-1"));
                desk::step_incident(&self.store, row.id, step, worker, self.clock.wall()).await.unwrap();
            }
        }
        self.store.append(vec![Entry::Heartbeat]).await.unwrap();
        evaluate::advance(&self.store, &Outlets::default(), &Arc::default()).await.unwrap();
    }

    /// Enters a record; the hospital agrees where its word is wanted.
    async fn enter(&self, record: serde_json::Value) {
        let records = Record::parse_all(&record.to_string()).unwrap();
        for text in desk::enter_records(&self.store, &self.contract, &records).await.unwrap() {
            if FiledRecord::parse(&text).unwrap().record.wants_agreement() {
                let hospital = desk::contracts(&self.store).await.unwrap().remove(0).hospital.id;
                let agreed = agreement::agree_record(&hospital, &text, &self.hospital, self.clock.wall());
                desk::file_statement(&self.store, &agreed.unwrap().1).await.unwrap();
            }
        }
    }

    /// Seals a month in the next one, explains what was missed, and writes its evidence.
    pub(super) async fn seal(&mut self, month: &str, next: &str, pki: &Pki, path: &Path) -> PathBuf {
        self.clock.jump_to(day(next, 1, 9));
        self.store.append(vec![Entry::Heartbeat]).await.unwrap();
        evaluate::advance(&self.store, &Outlets::default(), &Arc::default()).await.unwrap();
        let month: Month = month.parse().unwrap();
        if let Err(SealMonthError::Seal(SealError::Unexplained { items, .. })) =
            seal::seal(&self.store, &Arc::default(), &self.contract, month).await
        {
            for item in items {
                self.enter(serde_json::json!({ "explanation": { "month": month, "item": item,
                    "reason": "the service centre ran for two hours a day", "plan": "run all day" } }))
                    .await;
            }
        }
        let sealed = seal::seal(&self.store, &Arc::default(), &self.contract, month).await.unwrap();
        // A device delivers after the seal, and its acknowledgement covers it.
        self.message(0, 3, (true, &mut Dice::new([7, 7, 0, 0]))).await;
        self.store.append(vec![Entry::Heartbeat]).await.unwrap();
        seal::write_evidence(&self.store, pki, &sealed, path).await.unwrap();
        path.to_owned()
    }
}
