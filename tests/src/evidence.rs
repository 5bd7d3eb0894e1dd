//! Two months of a small service centre, sealed, with their evidence, and what somebody may do to
//! it: a byte that changes, and a vendor that rewrites its own stream and signs again.
//!
//! Holds: the stream is made by the product's store, its evaluation and its seals, under a clock
//! that is set by hand; the hospital's side is `tenken_hospital::verify`. The same seed tries the
//! same. A vendor who signs again makes everything fit that it can: positions, heads, the seal's
//! figures, the manifest.
//!
//! Does not: alter what came after the receipt that the hospital holds; nobody has seen that yet.

use crate::crash::{dice::Dice, store::device::Device};
use std::{fs, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tenken_collector::{
    desk,
    notify::Outlets,
    pki::Pki,
    seal,
    store::{Book, Store},
    worker::evaluate,
};
use tenken_collector_core::{
    evidence::{self, EvidenceManifest, Item, Verdict},
    intake::arrival::Arrival,
    sla::{
        history::{FiledRecord, Record},
        month::Month,
        seal::MonthSealed,
    },
    stream::{Enrolled, Entry, EntryKind, IncidentStep, Stored},
};
use tenken_common::{
    ack::Ack,
    batch::Link,
    enrollment::HostFacts,
    envelope::Envelope,
    id::{BootId, ContractId, DeviceId, Hash, Name, Nonce, SlotId},
    key::SecretKey,
    message::Language,
    statement::DeviceApproval,
    time::{Clock, ManualClock, Timestamp},
};
use tenken_hospital::{
    agreement,
    verify::{self, Held, VerifyError},
};

const CONTRACT: &str = include_str!("../../packaging/config/contract.example.toml");
const RULES: &str = include_str!("../../packaging/rules/default.toml");
/// The secret of the example contract's key (RFC 8032, section 7.1, test 1).
const HOSPITAL_SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
    0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
/// The days on which the collector runs, two hours each.
const DAYS: [u64; 7] = [1, 2, 3, 9, 15, 24, 28];

/// See the module's head.
pub struct Case {
    folder: TempDir,
    pki: Pki,
    hospital: SecretKey,
    /// What the hospital has from the first month.
    held: Held,
    receipt: Envelope,
    /// The position of the receipt.
    seen: u64,
    manifest: EvidenceManifest,
    items: Vec<Item>,
    bytes: Vec<u8>,
    /// Where each block begins in `bytes`, its length included; the manifest is the first.
    blocks: Vec<usize>,
}

/// What a trial did, and what is wrong with how it was met.
#[derive(Debug, Clone)]
pub struct Trial {
    pub what: String,
    pub fault: Option<String>,
    /// Nobody could have found it without a witness: the forgery fits together.
    pub fits: bool,
}

struct Centre {
    store: Store,
    clock: Arc<ManualClock>,
    devices: Vec<Device>,
    contract: ContractId,
    hospital: SecretKey,
    /// The last message's place: whose, how far, and the root.
    newest: Option<(Link, u64, Hash)>,
}

impl Case {
    /// Makes the two months.
    pub fn new(seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(make(&mut Dice::new([seed, 7, 0, 0])))
    }

    /// How many entries the evidence has.
    pub fn items(&self) -> usize {
        self.items.len()
    }

    fn check(&self, bytes: &[u8]) -> Result<Verdict, VerifyError> {
        self.check_by(bytes, &self.held, std::slice::from_ref(&self.receipt))
    }

    fn check_by(&self, bytes: &[u8], held: &Held, receipts: &[Envelope]) -> Result<Verdict, VerifyError> {
        let file = tempfile::NamedTempFile::new_in(self.folder.path()).unwrap();
        fs::write(file.path(), bytes).unwrap();
        verify::verify(file.path(), self.hospital.public(), held, receipts, Language::En)
    }

    /// The evidence as it was written; it must hold.
    pub fn untouched(&self) -> Trial {
        let fault = match self.check(&self.bytes) {
            Ok(verdict) if verdict.faults.is_empty() && verdict.found == verdict.sealed => None,
            Ok(verdict) => Some(verify::print(&verdict, &self.held, Language::En)),
            Err(e) => Some(e.to_string()),
        };
        Trial { what: "untouched".to_owned(), fault, fits: true }
    }

    /// One byte changes; it must be found, and its entry named.
    pub fn alter_byte(&self, seed: u64) -> Trial {
        let mut dice = Dice::new([seed, 1, 0, 0]);
        let at = dice.below(self.bytes.len());
        let mut bytes = self.bytes.clone();
        bytes[at] ^= u8::try_from(1 + dice.below(255)).unwrap();
        // The block's number; before the first there is the file's head, then the manifest.
        let block = self.blocks.partition_point(|begin| *begin <= at);
        let what = format!("byte {at}, block {block}");
        let fault = match (self.check(&bytes), block) {
            (Err(_), 0 | 1) => None,
            (Err(e), _) => Some(format!("not named: {e}")),
            (Ok(verdict), 0) => Some(format!("the head was taken: {:?}", verdict.faults)),
            (Ok(verdict), _) => {
                let first = verdict.faults.iter().find_map(|fault| fault.place);
                let named = first.is_some_and(|(item, _)| item + 1 == block as u64);
                (!named).then(|| {
                    format!("named {first:?}: {:?}", verdict.faults.iter().take(5).collect::<Vec<_>>())
                })
            }
        };
        Trial { what, fault, fits: false }
    }

    /// The vendor alters, drops or puts in an entry, and makes everything fit again.
    pub fn rewrite(&self, seed: u64) -> Trial {
        let mut dice = Dice::new([seed, 2, 0, 0]);
        let behind = self.items.partition_point(|item| item.position <= self.seen);
        let at = dice.below(behind);
        let mut stream: Vec<Stored> = self.items.iter().map(|i| i.stored().unwrap().unwrap()).collect();
        let kind = stream[at].entry.kind();
        let mut moved = 0;
        let deed = match dice.below(3) {
            0 if kind != EntryKind::MonthSealed => {
                stream.remove(at);
                moved = -1;
                "dropped"
            }
            1 => {
                let copy = Stored { position: 0, ..stream[dice.below(behind)].clone() };
                let entry =
                    if matches!(copy.entry, Entry::MonthSealed(_)) { Entry::Heartbeat } else { copy.entry };
                let Stored { position, committed, .. } = stream[at];
                // The ones after it move up, and this one too.
                stream.insert(at, Stored { position: position - 1, committed, entry });
                moved = 1;
                "put in"
            }
            _ => {
                stream[at] = altered(&stream[at], &mut dice);
                "altered"
            }
        };
        let what = format!("{kind:?} at {} {deed}", self.items[at].position);
        let forged = self.sign_again(stream, (at, moved));
        let fault = match self.check(&forged) {
            Err(_) => None,
            Ok(verdict) if !verdict.faults.is_empty() => None,
            Ok(_) => Some("taken for good".to_owned()),
        };
        let blind = self.check_by(&forged, &Held::default(), &[]);
        let fits = blind.is_ok_and(|verdict| verdict.faults.is_empty());
        Trial { what, fault, fits }
    }

    /// Positions, heads, the seals' figures and the manifest, as if the stream had always been so.
    fn sign_again(&self, mut stream: Vec<Stored>, (at, moved): (usize, i64)) -> Vec<u8> {
        let shift = |position: u64| position.checked_add_signed(moved).unwrap();
        for stored in &mut stream[at..] {
            stored.position = shift(stored.position);
        }
        let mut begin = self.manifest.begin;
        if self.items[at].position <= begin.position {
            begin.position = shift(begin.position);
        }
        let end = shift(self.manifest.end.position);
        let file = |stream: &[Stored]| {
            let mut heads = evidence::heads_at_begin(begin.heads);
            let items: Vec<Item> = stream.iter().map(|s| Item::of(s, &mut heads, false).unwrap()).collect();
            let manifest = EvidenceManifest {
                begin,
                end: evidence::Place { position: end, heads },
                items: items.len() as u64,
                ..self.manifest.clone()
            };
            write(&Envelope::seal(&manifest, self.pki.ack_key()).unwrap(), &items)
        };
        // Each seal anew, by the hospital's own program.
        for at in 0..stream.len() {
            let Entry::MonthSealed(sealed) = &stream[at].entry else { continue };
            let mut sealed = sealed.clone();
            let mut heads = evidence::heads_at_begin(begin.heads);
            for stored in &stream[..at] {
                Item::of(stored, &mut heads, false).unwrap();
            }
            sealed.computed.heads = heads;
            sealed.computed.position = stream[at].position - 1;
            stream[at].entry = Entry::MonthSealed(sealed.clone());
            if sealed.month == self.manifest.month
                && let Ok(verdict) = self.check(&file(&stream))
                && let Some(found) = verdict.found
            {
                stream[at].entry =
                    Entry::MonthSealed(Box::new(MonthSealed { computed: sealed.computed, ..found }));
            }
        }
        file(&stream)
    }
}

/// Something else in the place of an entry, as somebody would write it who wants another figure.
fn altered(stored: &Stored, dice: &mut Dice) -> Stored {
    let mut flip = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let at = dice.below(bytes.len());
        bytes[at] ^= 1;
        bytes
    };
    let mut other = stored.clone();
    if let Entry::Envelope { bytes, .. } | Entry::Statement { bytes, .. } = &mut other.entry {
        *bytes = flip(bytes);
    } else if let Entry::Contract { text } = &mut other.entry {
        *text = text.replace("0.99", "0.90") + "\n";
    } else if let Entry::SlaRecord { text, .. } = &mut other.entry {
        *text = text.replace("2026-09", "2026-08") + " ";
    } else if let Entry::IncidentAction(action) = &mut other.entry {
        action.at = action.at.plus_micros(-60_000_000);
    } else {
        other.committed = other.committed.plus(Duration::from_secs(1));
    }
    other
}

fn write(manifest: &Envelope, items: &[Item]) -> Vec<u8> {
    let mut bytes = evidence::HEAD.to_vec();
    let mut block = |block: &[u8]| {
        bytes.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(block);
    };
    block(&manifest.to_bytes());
    for item in items {
        block(&item.to_bytes().unwrap());
    }
    bytes
}

/// Begins of the blocks, and their content.
fn read(bytes: &[u8]) -> (Vec<usize>, Vec<Vec<u8>>) {
    let (mut begins, mut blocks, mut at) = (Vec::new(), Vec::new(), evidence::HEAD.len());
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        begins.push(at);
        blocks.push(bytes[at + 4..at + 4 + length].to_vec());
        at += 4 + length;
    }
    (begins, blocks)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn day(month: &str, day: u64, hour: u64) -> Timestamp {
    let month: Month = month.parse().unwrap();
    month.span().from.plus(Duration::from_hours(24 * (day - 1) + hour))
}

async fn make(dice: &mut Dice) -> Case {
    let folder = tempfile::tempdir().unwrap();
    let mut centre = Centre::found(folder.path().join("collector.db")).await;
    let pki = Pki::create(&folder.path().join("pki"), &["rsc".to_owned()], centre.clock.wall()).unwrap();
    centre.month("2026-09", dice).await;
    let first = centre.seal("2026-09", "2026-10", &pki, &folder.path().join("first")).await;
    let public = centre.hospital.public();
    let mut held = Held::default();
    let verdict = verify::verify(&first, public, &held, &[], Language::En).unwrap();
    assert!(verdict.faults.is_empty(), "{}", verify::print(&verdict, &held, Language::En));
    held.keep(&verdict);

    centre.month("2026-10", dice).await;
    let second = centre.seal("2026-10", "2026-11", &pki, &folder.path().join("second")).await;
    let (link, seen, root) = centre.newest.unwrap();
    let ack = Ack {
        device: link.device,
        epoch: link.epoch,
        acked_seq: link.seq,
        hash: link.hash,
        server: centre.clock.wall(),
        echo_nonce: Nonce([0; 16]),
        position: seen,
        log_root: root,
        retry_after_s: 0,
        need_seq: None,
    };
    let receipt = Envelope::seal(&ack, pki.ack_key()).unwrap();
    centre.store.close().await;
    let bytes = fs::read(second).unwrap();
    let (blocks, contents) = read(&bytes);
    let manifest = Envelope::from_bytes(&contents[0]).unwrap();
    let manifest = manifest.open::<EvidenceManifest>(&pki.ack_key().public()).unwrap().into_inner();
    let items = contents[1..].iter().map(|block| Item::from_bytes(block).unwrap()).collect();
    let hospital = centre.hospital;
    Case { folder, pki, hospital, held, receipt, seen, manifest, items, bytes, blocks }
}

impl Centre {
    async fn found(path: PathBuf) -> Self {
        let clock = Arc::new(ManualClock::new(BootId([0; 16]), day("2026-08", 28, 9)));
        let store = Store::open(&path, clock.clone()).await.unwrap();
        let hospital = SecretKey::from_seed(&HOSPITAL_SEED);
        let contract = desk::load_contract(&store, CONTRACT).await.unwrap();
        let (_, agreement) =
            agreement::agree(&contract.hospital.id, CONTRACT, &hospital, clock.wall()).unwrap();
        desk::file_statement(&store, &agreement).await.unwrap();
        store.append(vec![Entry::Rules { text: RULES.to_owned() }]).await.unwrap();
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
    async fn month(&mut self, month: &str, dice: &mut Dice) {
        for date in DAYS {
            self.clock.jump_to(day(month, date, 9));
            self.store.append(vec![Entry::Started { version: name("0.1.0") }]).await.unwrap();
            for minute in 0..120 {
                for _ in 0..2 {
                    self.store.append(vec![Entry::Heartbeat]).await.unwrap();
                    self.clock.advance(Duration::from_secs(30));
                }
                if minute % 20 == 7 {
                    for number in 0..self.devices.len() {
                        self.message(number, 3 + dice.below(20) as u64).await;
                    }
                }
            }
            evaluate::advance(&self.store, &Outlets::default()).await.unwrap();
            self.answer(dice).await;
        }
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

    async fn message(&mut self, number: usize, records: u64) {
        let device = &mut self.devices[number];
        let (received, bytes) = device.cut(records, 0);
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
            if dice.percent(60) {
                let (step, worker) = (IncidentStep::FirstResponseReported, name("w-1"));
                desk::step_incident(&self.store, row.id, step, worker, self.clock.wall()).await.unwrap();
            }
        }
        self.store.append(vec![Entry::Heartbeat]).await.unwrap();
        evaluate::advance(&self.store, &Outlets::default()).await.unwrap();
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
    async fn seal(&mut self, month: &str, next: &str, pki: &Pki, path: &std::path::Path) -> PathBuf {
        self.clock.jump_to(day(next, 1, 9));
        self.store.append(vec![Entry::Heartbeat]).await.unwrap();
        evaluate::advance(&self.store, &Outlets::default()).await.unwrap();
        let month: Month = month.parse().unwrap();
        if let Err(seal::SealMonthError::Seal(tenken_collector_core::sla::seal::SealError::Unexplained {
            items,
            ..
        })) = seal::seal(&self.store, &Arc::default(), &self.contract, month).await
        {
            for item in items {
                self.enter(serde_json::json!({ "explanation": { "month": month, "item": item,
                    "reason": "the service centre ran for two hours a day", "plan": "run all day" } }))
                    .await;
            }
        }
        let sealed = seal::seal(&self.store, &Arc::default(), &self.contract, month).await.unwrap();
        // A device delivers after the seal, and its acknowledgement covers it.
        self.message(0, 3).await;
        self.store.append(vec![Entry::Heartbeat]).await.unwrap();
        seal::write_evidence(&self.store, pki, &sealed, path).await.unwrap();
        path.to_owned()
    }
}
