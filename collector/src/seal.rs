//! Sealing months and writing their evidence.
//!
//! Holds: a seal is computed while nothing else can be written and when everything before it is
//! projected, so that it speaks of the stream as it stands before it. A month is sealed once the evaluation has come past its end. Evidence is
//! written beside a serving collector, and only under its name once it is whole.

use crate::{
    history,
    pki::{Pki, files as folder},
    store::{Book, OwnEntries, Store, StoreError},
};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tenken_collector_core::{
    desk::{incident::Incident, notice::IncidentId},
    evidence::{self, EvidenceManifest, Item, Place},
    sla::{
        calendar::HolidayList,
        month::Month,
        seal::{MonthSealed, SealError, SealPoint},
    },
    stream::{Entry, Stored},
};
use tenken_common::{
    codec::CodecError,
    envelope::Envelope,
    id::{ContractId, HospitalId},
    time::Timestamp,
};

/// Why a month was not sealed, or its evidence not written.
#[derive(Debug, thiserror::Error)]
pub enum SealMonthError {
    #[error("no contract {0}; `tenken-collector contract list` shows them")]
    NoContract(ContractId),
    #[error(
        "the evaluation has not come past the end of {month} yet ({}); let the collector run and seal again",
        reached.map_or_else(|| "it never ran".to_owned(), |at| format!("it is at {at}"))
    )]
    NotEvaluated { month: Month, reached: Option<Timestamp> },
    #[error("the collector takes in more than can be sealed just now; try again")]
    Busy,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("{month} of {contract} is not sealed; `sla seal` does it")]
    NotSealed { contract: ContractId, month: Month },
    #[error("{month} of {contract} has no revision {revision}, the newest is {newest}")]
    NoRevision { contract: ContractId, month: Month, revision: u32, newest: u32 },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("could not be encoded")]
    Encode(#[from] CodecError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Seals the month's next revision.
pub async fn seal(
    store: &Store,
    holidays: &Arc<HolidayList>,
    contract: &ContractId,
    month: Month,
) -> Result<MonthSealed, SealMonthError> {
    let mut book = Book::default();
    let mut tries = 0..SETTLE_TRIES;
    let mut tx = loop {
        let reached = store.evaluated_to().await?;
        if reached.is_none_or(|at| at < month.span().to) {
            return Err(SealMonthError::NotEvaluated { month, reached });
        }
        let settled = settle(store).await?;
        let tx = store.begin(&mut book).await?;
        if settled == Some(tx.position()) {
            break tx;
        }
        drop(tx);
        tries.next().ok_or(SealMonthError::Busy)?;
        tokio::time::sleep(SETTLE_WAIT).await;
    };
    let hospital = hospital_of(store, contract).await?;
    let heads = tx.heads(&hospital).await?;
    // People read the instant: the next whole second, before which nothing else is known.
    let as_of = Timestamp::from_secs(tx.now().as_secs() + 1);
    let computed = SealPoint { as_of, position: tx.position(), heads };
    let history = history::histories(store, holidays)
        .await?
        .remove(contract)
        .ok_or_else(|| SealMonthError::NoContract(contract.clone()))?;
    let before = store.sealed(contract, month).await?;
    let sealed = MonthSealed::new(&history, (contract, month), computed, before.last())?;
    tx.journal(Entry::MonthSealed(Box::new(sealed.clone()))).await?;
    tx.commit().await?;
    Ok(sealed)
}

/// How often and after how long it is tried again to seal what stands still.
const SETTLE_TRIES: u32 = 100;
const SETTLE_WAIT: Duration = Duration::from_millis(20);

/// Projects up to the stream's end, and answers where that was; `None` where a tick before it is
/// still to be evaluated, for which nothing after it may be projected.
async fn settle(store: &Store) -> Result<Option<u64>, StoreError> {
    let position = store.position().await?;
    let steps = store.tick_after(store.checkpoint("evaluate").await?).await?;
    if steps.last().is_some_and(|tick| tick.position <= position) {
        return Ok(None);
    }
    store.project_until(position).await?;
    Ok(Some(position))
}

/// A revision of a sealed month, the newest where none is named.
pub async fn sealed(
    store: &Store,
    contract: &ContractId,
    month: Month,
    revision: Option<u32>,
) -> Result<MonthSealed, SealMonthError> {
    let mut all = store.sealed(contract, month).await?;
    let not_sealed = || SealMonthError::NotSealed { contract: contract.clone(), month };
    let newest = all.last().ok_or_else(not_sealed)?.revision;
    let revision = revision.unwrap_or(newest);
    let at = all.iter().position(|sealed| sealed.revision == revision);
    let no_revision = SealMonthError::NoRevision { contract: contract.clone(), month, revision, newest };
    Ok(all.swap_remove(at.ok_or(no_revision)?))
}

async fn hospital_of(store: &Store, contract: &ContractId) -> Result<HospitalId, SealMonthError> {
    let contracts = crate::desk::contracts(store).await?;
    let found = contracts.into_iter().find(|c| c.id == *contract);
    found.map(|c| c.hospital.id).ok_or_else(|| SealMonthError::NoContract(contract.clone()))
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub revision: u32,
    pub items: u64,
    pub bytes: u64,
}

/// Writes the evidence of a sealed month, with everything that stands in the stream by now.
pub async fn write_evidence(
    store: &Store,
    pki: &Pki,
    sealed: &MonthSealed,
    path: &Path,
) -> Result<Written, SealMonthError> {
    let failed = |source| SealMonthError::Write { path: path.to_owned(), source };
    let hospital = hospital_of(store, &sealed.contract).await?;
    let texts: Vec<_> = store.contracts().await?.into_iter().map(|row| (row.loaded, row.text)).collect();
    let needed = evidence::needed_from(&sealed.contract, &texts, sealed.month);
    let (begin, heads) = store.heads_before(needed, &hospital).await?;
    let begin = Place { position: begin, heads };
    let end = store.position().await?;
    let hidden = Hidden::of(store, &hospital).await?;
    // The journal is there from its first entry on.
    let mut heads = evidence::heads_at_begin(begin.heads);
    let mut items = 0;
    let mut entries = OwnEntries::new(store, &hospital, (begin.position, end));
    let new = folder::beside(path).map_err(failed)?;
    let body = folder::beside(&new).map_err(failed)?;
    let mut out = BufWriter::new(File::create(&body).map_err(failed)?);
    while let Some(page) = entries.next().await? {
        for stored in page {
            let item = Item::of(&stored, &mut heads, hidden.is_hidden(&stored))?;
            write_block(&mut out, &item.to_bytes()?).map_err(failed)?;
            items += 1;
        }
    }
    drop(out.into_inner().map_err(|e| failed(e.into_error()))?);
    let manifest = EvidenceManifest {
        hospital,
        contract: sealed.contract.clone(),
        month: sealed.month,
        revision: sealed.revision,
        begin,
        end: Place { position: end, heads },
        items,
        made_at: store.clock().wall(),
        trust: pki.trust().map(|document| document.to_bytes().into()).collect(),
    };
    let manifest = Envelope::seal(&manifest, pki.ack_key())?;
    let bytes = assemble(&manifest, (&body, &new), path).map_err(failed)?;
    Ok(Written { revision: sealed.revision, items, bytes })
}

/// The manifest before the entries, under the file's name once it is whole.
fn assemble(manifest: &Envelope, (body, new): (&Path, &Path), path: &Path) -> io::Result<u64> {
    let mut out = BufWriter::new(File::create(new)?);
    out.write_all(evidence::HEAD)?;
    write_block(&mut out, &manifest.to_bytes())?;
    io::copy(&mut File::open(body)?, &mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(new, path)?;
    std::fs::remove_file(body)?;
    Ok(file.metadata()?.len())
}

fn write_block(out: &mut impl Write, block: &[u8]) -> io::Result<()> {
    let length = u32::try_from(block.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(block)
}

/// Whose content is nothing to this hospital: what people did to others' incidents, and silenced of theirs.
struct Hidden {
    hospital: HospitalId,
    own: BTreeSet<IncidentId>,
}

impl Hidden {
    async fn of(store: &Store, hospital: &HospitalId) -> Result<Self, StoreError> {
        let mut own = BTreeSet::new();
        for row in store.incidents().await? {
            let incident: Incident =
                serde_json::from_str(&row.json).map_err(|_| StoreError::Value("incident"))?;
            if incident.hospital == *hospital {
                own.insert(incident.id);
            }
        }
        Ok(Self { hospital: hospital.clone(), own })
    }

    fn is_hidden(&self, stored: &Stored) -> bool {
        let others = |of: Option<&HospitalId>| of.is_some_and(|of| *of != self.hospital);
        matches!(&stored.entry, Entry::IncidentAction(action) if !self.own.contains(&action.incident))
            || matches!(&stored.entry, Entry::Silence(one) if others(one.matcher.hospital.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_collector_core::{
        desk::{
            notice::Severity,
            silence::{Matcher, Silence, SilenceId},
        },
        sla::span::Span,
        stream::{IncidentAction, IncidentStep},
    };
    use tenken_common::{id::Name, time::Timestamp};

    #[test]
    fn what_concerns_other_hospitals_only_is_hidden() {
        let hospital = |id: &str| HospitalId(Name::new(id).unwrap());
        let hidden = Hidden { hospital: hospital("minato"), own: BTreeSet::from([IncidentId(7)]) };
        let is_hidden = |entry| hidden.is_hidden(&Stored { position: 1, committed: Timestamp::EPOCH, entry });
        let worker = Name::new("w-1").unwrap();
        let silence = |hospital: Option<HospitalId>| {
            let (device, rule, subject, incident) = (None, Some(worker.clone()), None, None);
            let max_severity = Severity::Critical;
            let matcher = Matcher { hospital, device, rule, subject, incident, max_severity };
            let span = Span::new(Timestamp::EPOCH, Timestamp::EPOCH);
            let (worker, reason) = (worker.clone(), "交換作業".to_owned());
            Entry::Silence(Box::new(Silence { id: SilenceId(1), matcher, span, worker, reason }))
        };
        assert!(is_hidden(silence(Some(hospital("kita")))));
        assert!(!is_hidden(silence(Some(hospital("minato")))) && !is_hidden(silence(None)));
        let step = |incident| {
            let (step, at) = (IncidentStep::Acknowledged, Timestamp::EPOCH);
            let worker = worker.clone();
            Entry::IncidentAction(IncidentAction { incident: IncidentId(incident), step, worker, at })
        };
        assert!(is_hidden(step(8)) && !is_hidden(step(7)) && !is_hidden(Entry::Heartbeat));
    }
}
