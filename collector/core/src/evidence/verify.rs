//! Checks evidence entry by entry, and makes the figures anew.
//!
//! Holds: nothing is believed but the hospital's own key, the devices' signatures and chains, and
//! what witnesses saw: earlier evidence, and the roots in devices' acknowledgements. The first thing
//! that is wrong with an entry is told, and the check goes on. The figures are made by the same code
//! as the report's, from this file alone.
//!
//! Does not: find what the vendor changed in its own entries before any witness had seen them.

mod detection;
mod figures;
mod signed;

use super::{BLOCK_BYTES_MAX, EvidenceManifest, Fault, FaultKind, Item, heads_at_begin};
use crate::{
    desk::incident::Incident,
    head::{Heads, Part},
    sla::{
        history::{Said, Sources, Speaker},
        seal::MonthSealed,
    },
    stream::{Entry, EntryKind, IncidentAction, Stored},
};
use detection::Detector;
use std::collections::{BTreeMap, BTreeSet};
use tenken_common::{
    ack::Ack,
    envelope::{Envelope, Payload, Verified},
    id::{DeviceId, Epoch, Hash, Seq, SlotId},
    key::PublicKey,
    statement::SlotTicket,
    time::Timestamp,
    trust::TrustDocument,
};

/// Somebody who saw the stream's root at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    pub position: u64,
    pub root: Hash,
    /// Who, for a person.
    pub whose: String,
}

/// What became of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    Same,
    Other,
    /// It is of before the file's begin.
    Earlier,
    /// It is of after the file's end.
    Later,
}

/// See the module's head.
#[derive(Debug)]
pub struct Verifier {
    manifest: EvidenceManifest,
    /// The vendor's newest key by the file.
    vendor: PublicKey,
    documents: Vec<TrustDocument>,
    hospital_key: PublicKey,
    witnesses: Vec<(Witness, Option<Checked>)>,
    heads: Heads,
    /// As they were before the entry at hand.
    before: Heads,
    last: u64,
    items: u64,
    faults: Vec<Fault>,
    /// The key that the stream names as the hospital's.
    signer: Option<PublicKey>,
    devices: BTreeMap<DeviceId, Device>,
    approvals: BTreeMap<DeviceId, Vec<Hash>>,
    /// Slots for devices that lost their key.
    tickets: BTreeMap<SlotId, SlotTicket>,
    lost: Vec<(DeviceId, Seq, Seq)>,
    /// Whether a device was in quarantine: what was found of it meanwhile is in no report.
    doubtful: bool,
    messages: u64,
    statements: u64,
    sources: Sources,
    actions: Vec<IncidentAction>,
    beats: BTreeSet<Timestamp>,
    detector: Detector,
    unjudged: u64,
    /// The first one in the file.
    first_beat: Option<Timestamp>,
    /// Restores of the collector, by their positions.
    restored: Vec<(u64, Timestamp)>,
    /// Revisions of the month.
    seals: Vec<Sealed>,
}

/// A revision of the month, and what was there before it.
#[derive(Debug)]
struct Sealed {
    seal: MonthSealed,
    sources: Sources,
    heads: Heads,
    /// Incidents that devices' checks have to have made.
    detected: Vec<Incident>,
}

#[derive(Debug)]
struct Device {
    epoch: Epoch,
    key: PublicKey,
    /// The last link; `None` where any may come first.
    last: Option<(Seq, Hash)>,
    speaks: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Verdict {
    pub manifest: EvidenceManifest,
    /// Of the vendor's key.
    pub vendor: Hash,
    /// The newest trust document, by its version and hash, to know the vendor by next time.
    pub trust: Option<(u64, Hash)>,
    pub root: Hash,
    pub faults: Vec<Fault>,
    pub witnesses: Vec<(Witness, Checked)>,
    pub messages: u64,
    pub statements: u64,
    pub devices: usize,
    /// Devices that speak in this file, of whose key the hospital said nothing.
    pub unapproved: Vec<DeviceId>,
    /// Restores of the collector from a backup: the position, and when the backup was taken. What
    /// a receipt from between says is not in the stream any more.
    pub restored: Vec<(u64, Timestamp)>,
    /// Messages that the collector acknowledged and lost, as it says itself: from and to.
    pub lost: Vec<(DeviceId, Seq, Seq)>,
    pub sealed: Option<MonthSealed>,
    /// What the seal should be.
    pub found: Option<MonthSealed>,
    /// Heartbeats of the month at which no rules stood in the file (or none that this program can
    /// read): what devices' checks made then is not made anew.
    pub unjudged: u64,
}

impl Verifier {
    /// Reads the manifest. `known` is the vendor's trust document that was seen before.
    pub fn begin(
        block: &[u8],
        hospital_key: PublicKey,
        known: Option<(u64, Hash)>,
    ) -> Result<Self, FaultKind> {
        let envelope = Envelope::from_bytes(block).map_err(|_| FaultKind::Manifest)?;
        let claimed = EvidenceManifest::decode(envelope.body()).map_err(|_| FaultKind::Manifest)?;
        let mut documents: Vec<TrustDocument> = Vec::new();
        let mut seen = known.is_none();
        for bytes in &claimed.trust {
            let document = Envelope::from_bytes(bytes).map_err(|_| FaultKind::Manifest)?;
            let next = match documents.last() {
                None => TrustDocument::decode(document.body()).map_err(|_| FaultKind::Manifest)?,
                Some(before) => before.follow(&document).map_err(|_| FaultKind::VendorKey)?,
            };
            seen |= known == Some((next.version, Hash::of(bytes)));
            documents.push(next);
        }
        let newest = documents.last().ok_or(FaultKind::Manifest)?;
        let vendor = newest.ack_key().map_err(|_| FaultKind::Manifest)?;
        let manifest =
            envelope.open::<EvidenceManifest>(&vendor).map_err(|_| FaultKind::Manifest)?.into_inner();
        let heads = heads_at_begin(manifest.begin.heads);
        let mut verifier = Self {
            manifest,
            vendor,
            documents,
            hospital_key,
            witnesses: Vec::new(),
            heads,
            before: heads,
            last: 0,
            items: 0,
            faults: Vec::new(),
            signer: None,
            devices: BTreeMap::new(),
            approvals: BTreeMap::new(),
            tickets: BTreeMap::new(),
            lost: Vec::new(),
            doubtful: false,
            messages: 0,
            statements: 0,
            sources: Sources::default(),
            actions: Vec::new(),
            beats: BTreeSet::new(),
            detector: Detector::default(),
            unjudged: 0,
            first_beat: None,
            restored: Vec::new(),
            seals: Vec::new(),
        };
        if !seen {
            verifier.fault(FaultKind::VendorKey);
        }
        Ok(verifier)
    }

    pub fn manifest(&self) -> &EvidenceManifest {
        &self.manifest
    }

    /// The content of a device's acknowledgement, if the vendor signed it.
    pub fn receipt(&self, envelope: &Envelope) -> Option<Ack> {
        let keys = self.documents.iter().rev().filter_map(|document| document.ack_key().ok());
        let opened = keys.into_iter().find_map(|key| envelope.open::<Ack>(&key).ok());
        opened.map(Verified::into_inner)
    }

    /// Compares with what somebody saw.
    pub fn compare(&mut self, witness: Witness) {
        self.witnesses.push((witness, None));
    }

    fn fault(&mut self, kind: FaultKind) {
        self.faults.push(Fault { place: None, kind });
    }

    /// Something is wrong with the entry at hand.
    fn fault_at(&mut self, position: u64, kind: FaultKind) {
        self.faults.push(Fault { place: Some((self.items, position)), kind });
    }

    /// Takes the next block of the file.
    pub fn take(&mut self, block: &[u8]) {
        self.items += 1;
        let item = match Item::from_bytes(block) {
            Ok(item) if block.len() <= BLOCK_BYTES_MAX => item,
            Ok(_) | Err(_) => return self.fault_at(self.last + 1, FaultKind::Unreadable),
        };
        let at = item.position;
        let Some(kind) = item.kind() else { return self.fault_at(at, FaultKind::Unreadable) };
        let before = self.heads;
        if !item.follows(&mut self.heads, kind.part()) {
            // Nothing that it says is to be relied on, its position neither.
            self.look_before(self.last + 1, before);
            return self.fault_at(at, FaultKind::Altered);
        }
        let is_early = kind.part() != Part::Journal && at <= self.manifest.begin.position;
        if at <= self.last || at > self.manifest.end.position || is_early {
            self.fault_at(at, FaultKind::Order);
        }
        self.look_before(at, before);
        (self.last, self.before) = (at, before);
        match item.stored() {
            Some(Ok(Stored { entry, .. })) => {
                if let Err(wrong) = self.understand(&item, &entry) {
                    self.fault_at(at, wrong);
                }
            }
            Some(Err(_)) => self.fault_at(at, FaultKind::Unreadable),
            None if matches!(kind, EntryKind::IncidentAction | EntryKind::Silence) => {}
            None => self.fault_at(at, FaultKind::Withheld),
        }
    }

    /// Compares with witnesses of before this position.
    fn look_before(&mut self, position: u64, heads: Heads) {
        if self.witnesses.iter().all(|(_, checked)| checked.is_some()) {
            return;
        }
        let (begin, root) = (self.manifest.begin.position, heads.root());
        let mut faults = Vec::new();
        for (witness, checked) in &mut self.witnesses {
            if checked.is_none() && witness.position < position {
                let same = if witness.root == root { Checked::Same } else { Checked::Other };
                let result = if witness.position < begin { Checked::Earlier } else { same };
                if result == Checked::Other {
                    faults.push((witness.position, witness.whose.clone()));
                }
                *checked = Some(result);
            }
        }
        for (position, whose) in faults {
            self.fault(FaultKind::Witness { whose, position });
        }
    }

    fn understand(&mut self, item: &Item, entry: &Entry) -> Result<(), FaultKind> {
        match entry {
            Entry::Heartbeat => {
                self.sources.heartbeats.beat(item.committed);
                self.beats.insert(item.committed);
                self.first_beat.get_or_insert(item.committed);
                let in_month = self.manifest.month.span().contains(item.committed);
                self.unjudged += u64::from(in_month && !self.detector.has_rules());
                self.detector.tick(item.committed, &self.sources.heartbeats);
            }
            Entry::Started { .. } => self.sources.heartbeats.begin(item.committed),
            Entry::Hospital(hospital) => {
                let key = key_of(&hospital.key).ok_or(FaultKind::HospitalKey)?;
                self.signer = Some(key);
                if hospital.id != self.manifest.hospital {
                    return Err(FaultKind::HospitalKey);
                }
            }
            Entry::Contract { text } => self.sources.contracts.push((item.committed, text.clone())),
            Entry::SlaRecord { contract, text } => {
                self.sources.records.push((contract.clone(), text.clone()));
            }
            Entry::Statement { bytes, .. } => return self.statement(bytes),
            Entry::Enrolled(enrolled) => {
                let key = key_of(&enrolled.device_key).ok_or(FaultKind::Unreadable)?;
                // The first message of a device that was there before the begin follows what is not shown.
                let is_new = item.position > self.manifest.begin.position;
                let last = is_new.then(|| (Seq(0), Hash::of(&enrolled.grant)));
                let device = Device { epoch: Epoch(1), key, last, speaks: false };
                self.devices.insert(enrolled.device, device);
                let speaker = Speaker {
                    hospital: enrolled.hospital.clone(),
                    label: enrolled.label.clone(),
                    group: enrolled.group.clone(),
                    enrolled: item.committed,
                    approved: false,
                    said: Said::default(),
                };
                self.sources.devices.insert(enrolled.device, speaker);
                self.detector.enroll(enrolled);
            }
            Entry::Rejoined(rejoined) => {
                let key = key_of(&rejoined.device_key).ok_or(FaultKind::Unreadable)?;
                let device = Device {
                    epoch: rejoined.epoch,
                    key,
                    last: Some((Seq(0), rejoined.genesis)),
                    speaks: false,
                };
                self.devices.insert(rejoined.device, device);
                self.detector.leave_out(rejoined.device);
                let ticket = rejoined.slot.and_then(|slot| self.tickets.get(&slot)).cloned();
                if let Some(speaker) =
                    self.sources.devices.get_mut(&rejoined.device).filter(|_| rejoined.slot.is_some())
                {
                    speaker.approved = false;
                    if let Some(ticket) = &ticket {
                        speaker.label.clone_from(&ticket.label);
                        speaker.group.clone_from(&ticket.group);
                    }
                }
                // A slot in the hospital's name says for which device it was.
                if ticket.is_some_and(|ticket| ticket.replaces == Some(rejoined.device)) {
                    self.approve(rejoined.device, key.fingerprint());
                }
            }
            Entry::CollectorLost(lost) => {
                self.lost.push((lost.device, lost.from, lost.to));
                if let Some(device) = self.devices.get_mut(&lost.device) {
                    device.last = Some((lost.to, lost.hash));
                }
            }
            Entry::Envelope { device, bytes } => {
                self.messages += 1;
                return self.message(*device, bytes, item.committed);
            }
            Entry::Restored { taken } => self.restored.push((item.position, *taken)),
            Entry::IncidentAction(action) => {
                self.detector.act(action);
                self.actions.push(action.clone());
            }
            Entry::Rules { text } => self.detector.use_rules(text),
            Entry::Revoked { device } | Entry::CloneSuspected { device, .. } => {
                self.detector.leave_out(*device);
            }
            Entry::MonthSealed(sealed) => {
                let of_month = (&sealed.contract, sealed.month);
                if of_month == (&self.manifest.contract, self.manifest.month) {
                    self.seals.push(Sealed {
                        seal: (**sealed).clone(),
                        sources: self.sources.clone(),
                        heads: self.before,
                        detected: self.detector.incidents(),
                    });
                }
            }
            // Who was told of an incident changes no figure.
            Entry::CertificateIssued { .. } | Entry::FactsChanged { .. } | Entry::Silence(_) => {}
            Entry::Fork { device, .. } | Entry::Quarantined { device, .. } => {
                self.doubtful = true;
                self.detector.leave_out(*device);
            }
        }
        Ok(())
    }

    /// The file is at its end.
    pub fn finish(mut self) -> Verdict {
        self.look_before(self.manifest.end.position.saturating_add(1), self.heads);
        if self.heads != self.manifest.end.heads
            || self.items != self.manifest.items
            || self.last > self.manifest.end.position
        {
            self.fault(FaultKind::End);
        }
        if self.signer != Some(self.hospital_key) {
            self.fault(FaultKind::HospitalKey);
        }
        let unapproved = self.check_devices();
        let (sealed, found) = self.figures();
        let witnesses = std::mem::take(&mut self.witnesses);
        let later =
            |(witness, checked): (Witness, Option<Checked>)| (witness, checked.unwrap_or(Checked::Later));
        let trust = self.documents.last().zip(self.manifest.trust.last());
        Verdict {
            vendor: self.vendor.fingerprint(),
            trust: trust.map(|(document, bytes)| (document.version, Hash::of(bytes))),
            root: self.heads.root(),
            witnesses: witnesses.into_iter().map(later).collect(),
            messages: self.messages,
            statements: self.statements,
            devices: self.devices.values().filter(|device| device.speaks).count(),
            unapproved,
            restored: self.restored,
            lost: self.lost,
            sealed,
            found,
            unjudged: self.unjudged,
            faults: self.faults,
            manifest: self.manifest,
        }
    }
}

fn key_of(bytes: &[u8]) -> Option<PublicKey> {
    PublicKey::from_bytes(bytes.try_into().ok()?).ok()
}
