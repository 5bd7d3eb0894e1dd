//! What the simulated collector has on its disk of each device, as the product's tables have it.

use std::{collections::BTreeMap, rc::Rc};
use tenken_collector_core::intake::{
    coverage::Coverage,
    ledger::{DeviceLedger, QuarantineReason},
};
use tenken_common::{
    id::{BootId, DeviceId, Epoch, Hash, Seq},
    key::PublicKey,
};

/// All devices.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub rows: BTreeMap<DeviceId, Rc<StoredLedger>>,
}

/// A device's rows.
#[derive(Debug, Clone)]
pub struct StoredLedger {
    pub key: PublicKey,
    pub epoch: Epoch,
    pub seq: Seq,
    pub hash: Hash,
    pub genesis: Hash,
    pub boots: Vec<BootId>,
    pub quarantine: Option<QuarantineReason>,
    pub restored: bool,
    closed: Vec<(Epoch, Seq)>,
    /// The keys of closed epochs.
    pub retired: Vec<(PublicKey, Epoch)>,
    /// The newest by their place, as in the table.
    pub hashes: BTreeMap<u64, (Seq, Hash)>,
    pub coverage: Coverage,
    /// The hospital's approval of a rejoin: the epoch that begins, and the key's fingerprint.
    pub approved: Option<(Epoch, Hash)>,
    /// The newest grant of a rejoin, as it was given.
    pub grant: Option<Rc<[u8]>>,
    /// The host that the device said it runs on.
    pub machine: Option<Hash>,
}

/// What a ledger of its own needs to know after a restore.
#[derive(Debug, Clone, Copy)]
pub struct Stand {
    pub epoch: Epoch,
    pub genesis: Hash,
    pub seq: Seq,
    pub hash: Hash,
    pub quarantined: bool,
}

impl StoredLedger {
    pub fn begin(key: PublicKey, epoch: Epoch, genesis: Hash) -> Self {
        Self {
            key,
            epoch,
            seq: Seq(0),
            hash: genesis,
            genesis,
            boots: Vec::new(),
            quarantine: None,
            restored: false,
            closed: Vec::new(),
            retired: Vec::new(),
            hashes: BTreeMap::new(),
            coverage: Coverage::default(),
            approved: None,
            grant: None,
            machine: None,
        }
    }

    pub fn standing(&self) -> Stand {
        Stand {
            epoch: self.epoch,
            genesis: self.genesis,
            seq: self.seq,
            hash: self.hash,
            quarantined: self.quarantine.is_some(),
        }
    }

    /// What the book's ledger changed.
    pub fn take_over(&mut self, next: &DeviceLedger) {
        (self.epoch, self.seq, self.hash) = (next.epoch, next.committed_seq, next.committed_hash);
        self.boots = next.boots().copied().collect();
        self.restored = next.restored;
    }

    pub fn rejoin(&mut self, key: PublicKey, (epoch, genesis): (Epoch, Hash), grant: Rc<[u8]>) {
        let ended = (self.epoch, self.seq);
        let (mut closed, mut retired) = (std::mem::take(&mut self.closed), std::mem::take(&mut self.retired));
        closed.push(ended);
        retired.push((self.key, self.epoch));
        let machine = self.machine;
        *self = Self { closed, retired, machine, grant: Some(grant), ..Self::begin(key, epoch, genesis) };
    }

    /// As it comes into memory.
    pub fn ledger(&self, device: DeviceId, keep: usize) -> DeviceLedger {
        let mut newest: Vec<(Seq, Hash)> = self.hashes.values().copied().collect();
        newest.sort_unstable();
        let from = newest.len().saturating_sub(keep);
        let mut ledger = DeviceLedger::begin(device, self.epoch, self.genesis).loaded(
            (self.seq, self.hash),
            newest.split_off(from),
            self.boots.iter().copied(),
            self.closed.iter().copied(),
        );
        ledger.restored = self.restored;
        ledger.quarantine = self.quarantine;
        ledger
    }

    /// Notes on which host the device says it runs; true where that is another one than before.
    pub fn runs_on(&mut self, machine: Hash) -> bool {
        self.machine.replace(machine).is_some_and(|before| before != machine)
    }
}
