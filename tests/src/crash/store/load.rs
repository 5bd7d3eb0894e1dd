//! What a recorded run does with a store: hospital, slots, enrollments, batches in groups,
//! statements, heartbeats, projections, rebuilds, and opening it again.
//!
//! Holds: the same seed asks for the same; which batches share a transaction is up to the
//! committer. A word is said after the answer that it repeats. In the fixed run, in which a call
//! fails, whatever is refused is asked for again, as a device and an administrator do.

use super::{Echo, START, Word, device::Device, hospital_key, open};
use crate::crash::{dice::Dice, said};
use serde_bytes::ByteBuf;
use std::{
    fmt::Display,
    fs::File,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tenken_collector::{
    ingest::{
        commit::{Committer, committer},
        enroll::Redemption,
        verify::VerifiedLink,
    },
    store::{Store, Verdict},
};
use tenken_collector_core::stream::{Entry, Hospital};
use tenken_common::{
    enrollment::{HostFacts, Received, Request, slot_key},
    envelope::Envelope,
    id::{Hash, Name, Nonce, SlotId},
    statement::{DeviceApproval, SlotTicket},
    telemetry::ErrorChain,
    time::{Clock, ManualClock},
};

const DEVICES: u8 = 3;
/// How often something is asked for while one call fails.
const TRIES: usize = 4;
const TOKEN: &[u8; 16] = b"0123456789abcdef";

/// One open store, up to its close.
struct Life {
    store: Store,
    clock: Arc<ManualClock>,
    committer: Committer,
    said: Arc<Mutex<File>>,
    /// How often something is asked for that is refused.
    tries: usize,
}

/// Runs the load, the fixed one where calls fail; its process ends without closing the store.
pub fn run(disk: &Path, seed: u64, said: File, fixed: bool) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| e.to_string())?;
    let said = Arc::new(Mutex::new(said));
    if fixed {
        runtime.block_on(one_life_and_another(disk, seed, said))?;
    } else {
        runtime.block_on(lives(disk, seed, said))?;
    }
    // As a kill would: SQLite folds its log into the file when it is closed in order.
    std::process::exit(0)
}

/// Asks until it is answered.
async fn insist<T, E: Display>(
    tries: usize,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, String> {
    let mut refused = Ok(());
    for _ in 0..tries {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(e) => refused = Err(format!("{what}: {e}")),
        }
    }
    Err(refused.err().unwrap_or_else(|| format!("{what}: never asked for")))
}

/// The fixed run: one of each, one after the other, so that its calls are always the same.
async fn one_life_and_another(disk: &Path, seed: u64, said: Arc<Mutex<File>>) -> Result<(), String> {
    let mut dice = Dice::new([seed, 2, 0, 0]);
    let mut life = Life::begin(disk, &said, TRIES).await?;
    let mut devices = life.found(disk).await?;
    for round in 0..6 {
        for device in &mut devices {
            life.batch(device, dice.below(40) as u64, dice.below(3) as u64).await?;
        }
        life.heartbeat().await?;
        match round {
            1 => life.approve(&devices, &mut dice).await?,
            2 | 4 => {
                insist(TRIES, "project", async || life.store.project_all().await).await?;
            }
            3 => {
                life.store.close().await;
                life = Life::begin(disk, &said, TRIES).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

async fn lives(disk: &Path, seed: u64, said: Arc<Mutex<File>>) -> Result<(), String> {
    let mut dice = Dice::new([seed, 1, 0, 0]);
    let mut life = Life::begin(disk, &said, 1).await?;
    let mut devices = life.found(disk).await?;
    // One in eight runs is long enough for SQLite to fold its log while it is in use.
    let steps = if seed % 8 == 6 { 150 } else { 14 };
    for _ in 0..steps {
        match dice.below(20) {
            0 => {
                life.store.close().await;
                life = Life::begin(disk, &said, 1).await?;
            }
            1 => {
                life.store.project_all().await.map_err(|e| format!("project: {e}"))?;
            }
            2 if seed % 8 == 3 => {
                life.store.reset_derived().await.map_err(|e| format!("rebuild: {e}"))?;
            }
            2..=4 => life.heartbeat().await?,
            5 => life.approve(&devices, &mut dice).await?,
            _ => life.batches(&mut devices, &mut dice).await?,
        }
    }
    Ok(())
}

impl Life {
    async fn begin(disk: &Path, said: &Arc<Mutex<File>>, tries: usize) -> Result<Self, String> {
        let (store, clock) = insist(tries, "open", async || open(disk).await).await?;
        let (committer, run) = committer(store.clone(), Arc::new(Echo));
        tokio::spawn(run.run());
        Ok(Self { store, clock, committer, said: said.clone(), tries })
    }

    fn say(&self, word: &Word) {
        say(&self.said, word);
    }

    /// A hospital with its devices.
    async fn found(&self, _disk: &Path) -> Result<Vec<Device>, String> {
        let key = hospital_key().public().to_bytes().to_vec();
        let hospital = Entry::Hospital(Hospital { id: "minato".parse().map_err(|e| format!("{e}"))?, key });
        let positions =
            insist(self.tries, "append", async || self.store.append(vec![hospital.clone()]).await).await?;
        for position in positions {
            self.say(&Word::kept(position, &hospital));
        }
        let mut devices = Vec::new();
        for number in 1..=DEVICES {
            devices.push(self.enroll(number).await?);
        }
        Ok(devices)
    }

    async fn file(&self, envelope: &Envelope) -> Result<(), String> {
        let filed = insist(self.tries, "file", async || self.store.file_statement(envelope).await).await?;
        if let Some(position) = filed {
            let hospital = "minato".parse().map_err(|e| format!("{e}"))?;
            self.say(&Word::kept(position, &Entry::Statement { hospital, bytes: envelope.to_bytes() }));
        }
        Ok(())
    }

    async fn enroll(&self, number: u8) -> Result<Device, String> {
        let (slot, name) = (SlotId([number; 16]), |text: &str| Name::new(text).expect("a plain name"));
        let ticket = SlotTicket {
            slot,
            hospital: "minato".parse().map_err(|e| format!("{e}"))?,
            label: name(&format!("ct-{number}")),
            group: None,
            proof_key: slot_key(TOKEN),
            expires: START.plus(Duration::from_hours(24)),
            replaces: None,
        };
        self.file(&Envelope::seal(&ticket, &hospital_key()).map_err(|e| e.to_string())?).await?;
        let (os, arch, agent_version) = (name("linux"), name("x86_64"), name("0.1.0"));
        let facts = HostFacts { os, arch, agent_version, machine: Hash::of(b"machine") };
        let key = Device::key_of(number);
        let csr = key.public().to_bytes().to_vec();
        let request = Request::new(slot, &slot_key(TOKEN), &key, csr, facts, Nonce([7; 16]));
        let request = request.map_err(|e| e.to_string())?;
        let redeemed = insist(self.tries, "redeem", async || {
            let proven = Received::from_bytes(request.bytes()).and_then(|r| r.prove(&slot_key(TOKEN)));
            let proven = proven.map_err(|e| e.to_string())?;
            let redemption =
                Redemption { proven, trust: b"trust".to_vec(), push_url: "https://localhost:1".into() };
            let redeemed = self.committer.redeem(redemption).await.map_err(|e| e.to_string())?;
            redeemed.map_err(|e| e.to_string())
        });
        let redeemed = redeemed.await?;
        self.say(&Word::Enrolled { device: redeemed.device, grant: ByteBuf::from(redeemed.grant.clone()) });
        Ok(Device::new(number, redeemed.device, Hash::of(&redeemed.grant)))
    }

    async fn heartbeat(&self) -> Result<(), String> {
        self.clock.advance(Duration::from_secs(20));
        let journal = async || self.committer.journal(Entry::Heartbeat).await;
        let position = insist(self.tries, "journal", journal).await?;
        self.say(&Word::kept(position, &Entry::Heartbeat));
        Ok(())
    }

    async fn approve(&self, devices: &[Device], dice: &mut Dice) -> Result<(), String> {
        let device = dice.pick(devices);
        let approval = DeviceApproval {
            hospital: "minato".parse().map_err(|e| format!("{e}"))?,
            device: device.id,
            fingerprint: device.key.public().fingerprint(),
            approved_at: self.clock.wall(),
        };
        self.file(&Envelope::seal(&approval, &hospital_key()).map_err(|e| e.to_string())?).await
    }

    /// One device, one batch, until it is acknowledged.
    async fn batch(&self, device: &mut Device, records: u64, skipped: u64) -> Result<(), String> {
        let (received, bytes) = device.cut(records, skipped);
        let link = VerifiedLink::Batch(Box::new(received));
        let admit = async || {
            let admitted = self.committer.admit(link.clone(), bytes.clone()).await;
            admitted.map_err(|e| ErrorChain(&e).to_string())
        };
        let admission = insist(self.tries, "admit", admit).await?;
        if matches!(admission.verdict, Verdict::New { .. }) {
            self.say(&Word::kept(admission.position, &Entry::Envelope { device: device.id, bytes }));
        } else if admission.verdict == Verdict::Duplicate {
            self.say(&Word::Known { device: device.id, body: bytes.into() });
        } else {
            return Err(format!("a batch in order is {:?}", admission.verdict));
        }
        Ok(())
    }

    /// Several devices at once, each with a few batches in order.
    async fn batches(&self, devices: &mut [Device], dice: &mut Dice) -> Result<(), String> {
        let mut tasks = Vec::new();
        for device in devices {
            let mut batches = Vec::new();
            for _ in 0..dice.between(0, 3) {
                batches.push(device.cut(dice.below(40) as u64, dice.below(3) as u64));
            }
            let (id, committer, said) = (device.id, self.committer.clone(), self.said.clone());
            tasks.push(tokio::spawn(async move {
                for (received, bytes) in batches {
                    let admission =
                        committer.admit(VerifiedLink::Batch(Box::new(received)), bytes.clone()).await;
                    let admission = admission.map_err(|e| format!("admit: {e}"))?;
                    if !matches!(admission.verdict, Verdict::New { .. }) {
                        return Err(format!("a batch in order is {:?}", admission.verdict));
                    }
                    say(&said, &Word::kept(admission.position, &Entry::Envelope { device: id, bytes }));
                }
                Ok(())
            }));
        }
        for task in tasks {
            task.await.map_err(|e| e.to_string())??;
        }
        Ok(())
    }
}

fn say(said: &Mutex<File>, word: &Word) {
    let mut said = said.lock().expect("nobody panics while saying something");
    said.write_all(&said::to_bytes(word)).expect("what is said is written beside the disk");
}
