//! What must hold of a store after a crash: it opens, everything acknowledged stands at its place
//! byte for byte, the chains are whole, the ledgers agree with the stream, it goes on, and what is
//! derived comes out the same when it is derived again.

use super::{
    Echo, Word,
    device::{Device, link_of},
    open,
};
use crate::crash::said::words;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use tenken_collector::{
    ingest::{commit::committer, verify::VerifiedLink},
    store::{Store, StoreError, Verdict},
};
use tenken_collector_core::{
    intake::ledger::{DeviceLedger, IngestDecision, accept},
    stream::{Entry, Stored},
};
use tenken_common::{
    id::{DeviceId, Epoch, Hash},
    key::SecretKey,
};

/// Keys are told by their number.
const NUMBERS: std::ops::RangeInclusive<u8> = 1..=9;
/// A rebuild is tried on so many of a hundred disks.
const REBUILT_PERCENT: usize = 20;

/// Opens what is on `disk` after a run that had said `said`; gives what is not as it must be.
pub fn faults(disk: &Path, said: &[u8]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread");
    let words = words(said);
    let (store, _clock) = match runtime.block_on(open(disk)) {
        Ok(opened) => opened,
        Err(e) => return vec![format!("does not open: {}", tenken_common::telemetry::ErrorChain(&e))],
    };
    let mut faults = Vec::new();
    if let Err(e) = runtime.block_on(compare(&store, &words, &mut faults)) {
        faults.push(format!("does not read: {}", tenken_common::telemetry::ErrorChain(&e)));
    }
    if said.len() % 100 < REBUILT_PERCENT
        && let Err(e) = runtime.block_on(rebuild(&store, &mut faults))
    {
        faults.push(format!("does not rebuild: {}", tenken_common::telemetry::ErrorChain(&e)));
    }
    runtime.block_on(store.close());
    faults
}

async fn compare(store: &Store, words: &[Word], faults: &mut Vec<String>) -> Result<(), StoreError> {
    let stream = whole(store).await?;
    if !stream.iter().map(|stored| stored.position).eq((1..).take(stream.len())) {
        faults.push("positions are not dense".to_owned());
    }
    let mut granted = BTreeMap::new();
    for word in words {
        match word {
            Word::Kept { position, kind, device, body } => {
                let at = usize::try_from(position - 1).expect("a short stream");
                let there = stream.get(at).and_then(|stored| stored.entry.encode().ok());
                if there.is_none_or(|(k, d, b)| (k, d, b.as_slice()) != (*kind, *device, body.as_slice())) {
                    faults.push(format!(
                        "lost: position {position} of kind {kind} is not what was acknowledged"
                    ));
                }
            }
            Word::Known { device, body } => {
                let is_it = |stored: &&Stored| {
                    matches!(&stored.entry, Entry::Envelope { device: of, bytes }
                        if of == device && bytes == body.as_slice())
                };
                let times = stream.iter().filter(is_it).count();
                if times != 1 {
                    faults.push(format!("a batch of {device} that was acknowledged stands {times} times"));
                }
            }
            Word::Enrolled { device, grant } => drop(granted.insert(*device, Hash::of(grant))),
        }
    }
    let ledgers = replay(&stream, faults);
    for (device, genesis) in granted {
        if ledgers.get(&device).is_none_or(|(ledger, _)| ledger.genesis != genesis) {
            faults.push(format!("lost: device {device} was granted an identity and is not known"));
        }
    }
    for (ledger, number) in ledgers.into_values() {
        if let Some(fault) = goes_on(store, &ledger, number).await {
            faults.push(fault);
        }
    }
    Ok(())
}

async fn whole(store: &Store) -> Result<Vec<Stored>, StoreError> {
    let mut stream: Vec<Stored> = Vec::new();
    loop {
        let after = stream.last().map_or(0, |stored| stored.position);
        let page = store.entries_after(after, 500).await?;
        if page.is_empty() {
            return Ok(stream);
        }
        stream.extend(page);
    }
}

/// The chains of the stream, judged again from their beginning.
fn replay(stream: &[Stored], faults: &mut Vec<String>) -> BTreeMap<DeviceId, (DeviceLedger, u8)> {
    let mut ledgers: BTreeMap<DeviceId, (DeviceLedger, u8)> = BTreeMap::new();
    for stored in stream {
        match &stored.entry {
            Entry::Enrolled(enrolled) => {
                let is_its = |key: &SecretKey| key.public().to_bytes().as_slice() == enrolled.device_key;
                let number = NUMBERS.into_iter().find(|number| is_its(&Device::key_of(*number)));
                let ledger = DeviceLedger::begin(enrolled.device, Epoch(1), Hash::of(&enrolled.grant));
                ledgers.insert(enrolled.device, (ledger, number.unwrap_or_default()));
            }
            Entry::Envelope { device, bytes } => {
                let Some((ledger, number)) = ledgers.get_mut(device) else {
                    faults.push(format!("position {}: a batch of nobody", stored.position));
                    continue;
                };
                let judged = link_of(bytes, &Device::key_of(*number)).map(|link| accept(ledger, &link));
                match judged {
                    Ok(IngestDecision::New { next, .. }) => *ledger = *next,
                    other => {
                        faults.push(format!("position {}: the chain is broken: {other:?}", stored.position));
                    }
                }
            }
            Entry::Heartbeat
            | Entry::Started { .. }
            | Entry::Hospital(_)
            | Entry::Contract { .. }
            | Entry::Statement { .. }
            | Entry::CertificateIssued { .. }
            | Entry::Revoked { .. }
            | Entry::IncidentAction(_)
            | Entry::Silence(_)
            | Entry::Rules { .. } => {}
            Entry::Fork { .. }
            | Entry::CollectorLost(_)
            | Entry::Quarantined { .. }
            | Entry::Rejoined(_)
            | Entry::Restored { .. }
            | Entry::CloneSuspected { .. }
            | Entry::FactsChanged { .. }
            | Entry::SlaRecord { .. }
            | Entry::MonthSealed(_) => {
                faults.push(format!("position {}: {:?} of an honest device", stored.position, stored.entry));
            }
        }
    }
    ledgers
}

/// The next batch is taken, and once only.
async fn goes_on(store: &Store, ledger: &DeviceLedger, number: u8) -> Option<String> {
    let (committer, run) = committer(store.clone(), Arc::new(Echo));
    let running = tokio::spawn(run.run());
    let mut device =
        Device::new(number, ledger.device, ledger.genesis).at(ledger.committed_seq, ledger.committed_hash);
    let (received, bytes) = device.cut(1, 0);
    let link = VerifiedLink::Batch(Box::new(received));
    let first = committer.admit(link.clone(), bytes.clone()).await.map(|a| a.verdict);
    let again = committer.admit(link, bytes).await.map(|a| a.verdict);
    drop(committer);
    let ended = running.await;
    match (first, again, ended) {
        (Ok(Verdict::New { .. }), Ok(Verdict::Duplicate), Ok(())) => None,
        other => Some(format!("device {} cannot go on: {other:?}", ledger.device)),
    }
}

async fn rebuild(store: &Store, faults: &mut Vec<String>) -> Result<(), StoreError> {
    store.project_all().await?;
    let before = store.digest().await?;
    store.reset_derived().await?;
    store.project_all().await?;
    if store.digest().await? != before {
        faults.push("a rebuild comes out differently".to_owned());
    }
    Ok(())
}
