//! Two months of a small service centre, sealed, with their evidence, and what somebody may do to
//! it: a byte that changes, and a vendor that rewrites its own stream and signs again.
//!
//! Holds: the stream is made by the product's store, its evaluation and its seals, under a clock
//! that is set by hand; the hospital's side is `tenken_hospital::verify`. The same seed tries the
//! same. A vendor who signs again makes everything fit that it can: positions, heads, the seal's
//! figures, the manifest.
//!
//! Does not: alter what came after the receipt that the hospital holds; nobody has seen that yet.

mod centre;

use crate::crash::dice::Dice;
use centre::{Centre, is_forgotten};
use std::{fs, time::Duration};
use tempfile::TempDir;
use tenken_collector::pki::Pki;
use tenken_collector_core::{
    desk::notice::IncidentId,
    evidence::{self, EvidenceManifest, Fault, FaultKind, Item, Verdict},
    head::Part,
    sla::seal::{Inputs, MonthSealed},
    stream::{Entry, EntryKind, Stored},
};
use tenken_common::{
    ack::Ack,
    envelope::{Envelope, Payload},
    fact::Fact,
    id::Nonce,
    key::SecretKey,
    message::Language,
    observation::Body,
    time::Clock,
    wire::v1::ReceivedBatch,
};
use tenken_hospital::verify::{self, Held, VerifyError};

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
    /// Incidents that nobody did anything about.
    forgotten: Vec<IncidentId>,
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
        let at = dice.below(self.behind());
        self.rewrite_at(at, &mut dice)
    }

    /// The same to a message with a device's report of its patches.
    pub fn hide_report(&self, seed: u64) -> Trial {
        let mut dice = Dice::new([seed, 3, 0, 0]);
        let reports = self.items.iter().take(self.behind()).enumerate();
        let reports: Vec<usize> =
            reports.filter(|(_, item)| tells_of_patches(item)).map(|(at, _)| at).collect();
        self.rewrite_at(reports[dice.below(reports.len())], &mut dice)
    }

    /// The vendor lets its evidence begin with the month, without what devices reported before; it
    /// must be found without any witness.
    pub fn begin_late(&self) -> Trial {
        let from = self.manifest.month.span().from;
        let stream: Vec<Stored> = self.items.iter().map(|i| i.stored().unwrap().unwrap()).collect();
        let at = stream.iter().position(|s| s.position > self.manifest.begin.position && s.committed >= from);
        let begin = stream[at.unwrap()].position - 1;
        let mut heads = self.manifest.begin.heads;
        let early = |s: &Stored| s.entry.kind().part() != Part::Journal && s.position <= begin;
        let mut journal = evidence::heads_at_begin(heads);
        for stored in stream.iter().take_while(|s| s.position <= begin) {
            Item::of(stored, &mut journal, false).unwrap();
        }
        heads = journal;
        let kept: Vec<Stored> = stream.into_iter().filter(|s| !early(s)).collect();
        let mut follow = evidence::heads_at_begin(heads);
        let items: Vec<Item> = kept.iter().map(|s| Item::of(s, &mut follow, false).unwrap()).collect();
        let manifest = EvidenceManifest {
            begin: evidence::Place { position: begin, heads },
            items: items.len() as u64,
            ..self.manifest.clone()
        };
        let file = write(&Envelope::seal(&manifest, self.pki.ack_key()).unwrap(), &items);
        let fault = match self.check_by(&file, &Held::default(), &[]) {
            Err(e) => Some(e.to_string()),
            Ok(verdict) if verdict.faults.iter().any(|f| matches!(f.kind, FaultKind::Begin { .. })) => None,
            Ok(verdict) => Some(format!("not named: {:?}", verdict.faults)),
        };
        Trial { what: "begun late".to_owned(), fault, fits: false }
    }

    /// The vendor leaves an incident out of which nobody did anything, and computes its figures
    /// without it; the devices' own checks must show it, without any witness.
    pub fn leave_out_incident(&self) -> Trial {
        let mut stream: Vec<Stored> = self.items.iter().map(|i| i.stored().unwrap().unwrap()).collect();
        let month = self.manifest.month;
        let of_month = |s: &Stored| matches!(&s.entry, Entry::MonthSealed(sealed) if sealed.month == month);
        let at = stream.iter().position(of_month).unwrap();
        let mut left_out = 0;
        if let Entry::MonthSealed(sealed) = &mut stream[at].entry {
            let mut inputs: Inputs = serde_json::from_str(&sealed.inputs).unwrap();
            let all = inputs.incidents.len();
            inputs.incidents.retain(|incident| !self.forgotten.contains(&incident.incident));
            left_out = all - inputs.incidents.len();
            sealed.inputs = serde_json::to_string(&inputs).unwrap();
        }
        let forged = self.sign_again(stream, (at, 0));
        let fault = match self.check_by(&forged, &Held::default(), &[]) {
            _ if left_out == 0 => Some("there was nothing to leave out".to_owned()),
            Err(e) => Some(e.to_string()),
            Ok(verdict) => {
                let named = |fault: &Fault| matches!(fault.kind, FaultKind::LeftOut { .. });
                let found = verdict.faults.iter().filter(|fault| named(fault)).count();
                let is_met = found == left_out && verdict.faults.len() == found;
                (!is_met).then(|| format!("{left_out} left out: {:?}", verdict.faults))
            }
        };
        Trial { what: "incident left out".to_owned(), fault, fits: false }
    }

    /// The vendor's rules are none that can be read: what they would have detected is not made anew,
    /// which must be said.
    pub fn forget_rules(&self) -> Trial {
        let mut stream: Vec<Stored> = self.items.iter().map(|i| i.stored().unwrap().unwrap()).collect();
        for stored in &mut stream {
            if let Entry::Rules { text } = &mut stored.entry {
                text.clear();
            }
        }
        let fault = match self.check_by(&self.sign_again(stream, (0, 0)), &Held::default(), &[]) {
            Err(e) => Some(e.to_string()),
            Ok(verdict) if verdict.faults.is_empty() && verdict.unjudged > 1_000 => {
                let said = verify::print(&verdict, &self.held, Language::En);
                (!said.contains("no rules stood in the file")).then_some(said)
            }
            Ok(verdict) => Some(format!("{} unjudged, {:?}", verdict.unjudged, verdict.faults)),
        };
        Trial { what: "rules forgotten".to_owned(), fault, fits: true }
    }

    /// How many entries the receipt covers.
    fn behind(&self) -> usize {
        self.items.partition_point(|item| item.position <= self.seen)
    }

    fn rewrite_at(&self, at: usize, dice: &mut Dice) -> Trial {
        let behind = self.behind();
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
                stream[at] = altered(&stream[at], dice);
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

fn tells_of_patches(item: &Item) -> bool {
    let Some(Ok(Stored { entry: Entry::Envelope { bytes, .. }, .. })) = item.stored() else { return false };
    let envelope = Envelope::from_bytes(&bytes).unwrap();
    ReceivedBatch::decode(envelope.body()).is_ok_and(|received| {
        let mut records = received.batch.records.iter();
        records.any(|r| matches!(r.observation.body, Body::Fact(Fact::PatchStatus(_))))
    })
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
    let rows = centre.store.incidents().await.unwrap();
    let forgotten = rows.iter().filter(|row| is_forgotten(&row.json)).map(|row| row.id).collect();
    centre.store.close().await;
    let bytes = fs::read(second).unwrap();
    let (blocks, contents) = read(&bytes);
    let manifest = Envelope::from_bytes(&contents[0]).unwrap();
    let manifest = manifest.open::<EvidenceManifest>(&pki.ack_key().public()).unwrap().into_inner();
    let items = contents[1..].iter().map(|block| Item::from_bytes(block).unwrap()).collect();
    let hospital = centre.hospital;
    Case { folder, pki, hospital, held, receipt, seen, forgotten, manifest, items, bytes, blocks }
}
