//! What people enter: contracts and records about them, the hospital's statements, revocations,
//! steps of incidents.
//!
//! Holds: each becomes an entry of the journal and nothing else; a serving collector takes notice
//! of it by itself, also when another process made the entry. What cannot be accepted is refused
//! with its reason and changes nothing.

use crate::{
    history,
    store::{Book, FileError, Store, StoreError},
};
use std::{collections::BTreeMap, sync::Arc};
use tenken_collector_core::{
    desk::{
        notice::IncidentId,
        silence::{Silence, SilenceId},
    },
    sla::{
        contract::{Contract, ContractHistory, HistoryError},
        history::{FiledRecord, Record},
    },
    stream::{Entry, Hospital, IncidentAction, IncidentStep},
};
use tenken_common::{
    config::Problems,
    envelope::Envelope,
    id::{ContractId, DeviceId, Name},
    time::Timestamp,
};

/// Why an entry was not made.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("the contract has {0}")]
    Contract(Problems),
    #[error("the contract does not fit to the versions on file, which are never changed")]
    History(#[source] HistoryError),
    #[error(
        "the contract's hospital key differs from the one on file; a key is succeeded by the hospital's own statement only"
    )]
    HospitalKey,
    #[error("no contract {0}; `tenken-collector contract list` shows them")]
    NoContract(ContractId),
    #[error("record {number} has {problems}\n  (nothing was entered)")]
    Record { number: usize, problems: Problems },
    #[error("no incident {0}; `tenken-collector incident list` shows them")]
    NoIncident(IncidentId),
    #[error("no device {0}; `tenken-collector device list` shows them")]
    NoDevice(DeviceId),
    #[error("{0} is closed already")]
    Closed(IncidentId),
    #[error("no silence {0}; `tenken-collector silence list` shows them")]
    NoSilence(SilenceId),
    #[error("{0} has ended already")]
    SilenceOver(SilenceId),
    #[error(transparent)]
    Statement(#[from] FileError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Loads a contract version, and with the first one its hospital. The same text again changes
/// nothing.
pub async fn load_contract(store: &Store, text: &str) -> Result<Contract, DeskError> {
    // Nobody else loads one meanwhile.
    let mut book = Book::default();
    let mut tx = store.begin(&mut book).await?;
    let (contract, entries) = fitting(store, text).await?;
    for entry in entries {
        tx.journal(entry).await?;
    }
    tx.commit().await?;
    Ok(contract)
}

/// Looks whether a contract version could be loaded; changes nothing.
pub async fn check_contract(store: &Store, text: &str) -> Result<Contract, DeskError> {
    Ok(fitting(store, text).await?.0)
}

/// The version that a text holds, and the entries that loading it makes.
async fn fitting(store: &Store, text: &str) -> Result<(Contract, Vec<Entry>), DeskError> {
    let contract = Contract::parse(text).map_err(DeskError::Contract)?;
    if store.contracts().await?.iter().any(|row| row.text == text) {
        return Ok((contract, Vec::new()));
    }
    let key = contract.hospital.key;
    let hospitals = store.hospitals().await?;
    let known = hospitals.iter().find(|h| h.id == contract.hospital.id);
    let mut entries = Vec::new();
    match known {
        Some(known) if known.key != key => return Err(DeskError::HospitalKey),
        Some(_) => {}
        None => {
            let id = contract.hospital.id.clone();
            entries.push(Entry::Hospital(Hospital { id, key: key.to_bytes().to_vec() }));
        }
    }
    let mut versions = contracts(store).await?;
    versions.retain(|other| other.id == contract.id);
    ContractHistory::new(versions)
        .and_then(|mut history| history.add(contract.clone()))
        .map_err(DeskError::History)?;
    entries.push(Entry::Contract { text: text.to_owned() });
    Ok((contract, entries))
}

/// Every contract version on file. One that was accepted stays readable.
pub async fn contracts(store: &Store) -> Result<Vec<Contract>, StoreError> {
    let rows = store.contracts().await?;
    rows.iter().map(|row| Contract::parse(&row.text).map_err(|_| StoreError::Value("contract"))).collect()
}

/// The contracts with their versions, by contract.
pub async fn histories(store: &Store) -> Result<Vec<ContractHistory>, StoreError> {
    let mut by_id: BTreeMap<ContractId, ContractHistory> = BTreeMap::new();
    for contract in contracts(store).await? {
        let history = by_id.entry(contract.id.clone()).or_default();
        history.add(contract).map_err(|_| StoreError::Value("contract"))?;
    }
    Ok(by_id.into_values().collect())
}

/// Enters records about a contract, all of them or none; answers their texts, as they are kept and
/// agreed to.
pub async fn enter_records(
    store: &Store,
    contract: &ContractId,
    records: &[Record],
) -> Result<Vec<String>, DeskError> {
    let mut book = Book::default();
    let mut tx = store.begin(&mut book).await?;
    // Whether a record fits does not depend on holidays.
    let mut histories = history::histories(store, &Arc::default()).await?;
    let history = histories.get_mut(contract).ok_or_else(|| DeskError::NoContract(contract.clone()))?;
    let file = |record: &Record| FiledRecord { contract: contract.clone(), record: record.clone() };
    let texts: Vec<String> = records.iter().map(|record| file(record).text()).collect();
    history.enter_all(&texts).map_err(|(number, problems)| DeskError::Record { number, problems })?;
    for text in &texts {
        tx.journal(Entry::SlaRecord { contract: contract.clone(), text: text.clone() }).await?;
    }
    tx.commit().await?;
    Ok(texts)
}

/// Files a statement of a hospital; `false` where it was on file already.
pub async fn file_statement(store: &Store, envelope: &Envelope) -> Result<bool, DeskError> {
    Ok(store.file_statement(envelope).await?.is_some())
}

/// Takes no more from a device, from now on.
pub async fn revoke(store: &Store, device: DeviceId) -> Result<(), DeskError> {
    store.device(device).await?.ok_or(DeskError::NoDevice(device))?;
    store.append(vec![Entry::Revoked { device }]).await?;
    Ok(())
}

/// A step that a person took.
pub async fn step_incident(
    store: &Store,
    incident: IncidentId,
    step: IncidentStep,
    worker: Name,
    at: Timestamp,
) -> Result<(), DeskError> {
    let rows = store.incidents().await?;
    let row = rows.iter().find(|row| row.id == incident).ok_or(DeskError::NoIncident(incident))?;
    if !row.open {
        return Err(DeskError::Closed(incident));
    }
    store.append(vec![Entry::IncidentAction(IncidentAction { incident, step, worker, at })]).await?;
    Ok(())
}

/// Tells nobody of certain incidents for a time.
pub async fn silence(store: &Store, silence: Silence) -> Result<(), DeskError> {
    store.append(vec![Entry::Silence(Box::new(silence))]).await?;
    Ok(())
}

/// Ends a silence now.
pub async fn end_silence(
    store: &Store,
    id: SilenceId,
    worker: Name,
    now: Timestamp,
) -> Result<(), DeskError> {
    let silences = store.silences().await?;
    let known = silences.iter().find(|one| one.id == id).ok_or(DeskError::NoSilence(id))?;
    if known.span.to <= now {
        return Err(DeskError::SilenceOver(id));
    }
    store.append(vec![Entry::Silence(Box::new(known.ended(now, worker)))]).await?;
    Ok(())
}
