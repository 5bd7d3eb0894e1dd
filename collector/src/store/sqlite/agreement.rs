//! What people entered about contracts, what the hospitals agreed to, and silences, read from the stream
//! itself: all are few.

use super::{Store, Tx, convert::Columns, read::stored_row};
use crate::store::{
    StoreError,
    model::{AgreementRow, SlaRecordRow},
};
use sqlx::{SqliteExecutor, query};
use tenken_collector_core::{
    desk::silence::{self, Silence},
    sla::contract::Contract,
    stream::{Entry, EntryKind, Stored},
};
use tenken_common::{
    envelope::{Envelope, Payload},
    id::{Hash, HospitalId},
    statement::Agreement,
};

impl Store {
    /// Every agreement on file, oldest first.
    pub async fn agreements(&self) -> Result<Vec<AgreementRow>, StoreError> {
        agreements(self.reader()).await
    }

    /// Every record about a contract, in the order in which they were entered.
    pub async fn sla_records(&self) -> Result<Vec<SlaRecordRow>, StoreError> {
        sla_records(self.reader()).await
    }

    /// Every silence as it was entered last, by when it begins.
    pub async fn silences(&self) -> Result<Vec<Silence>, StoreError> {
        let mut found = Vec::new();
        for stored in of_kind(self.reader(), EntryKind::Silence).await? {
            if let Entry::Silence(entered) = stored.entry {
                silence::enter(&mut found, *entered);
            }
        }
        found.sort_by_key(|one| (one.span.from, one.id));
        Ok(found)
    }
}

impl Tx<'_> {
    /// Whether the hospital has agreed to this before.
    pub(in crate::store) async fn has_agreed(&mut self, agreement: &Agreement) -> Result<bool, StoreError> {
        let on_file = agreements(&mut *self.inner).await?;
        let same = |a: &Agreement| {
            (&a.hospital, a.kind, a.subject) == (&agreement.hospital, agreement.kind, agreement.subject)
        };
        Ok(on_file.iter().any(|row| same(&row.agreement)))
    }

    /// Whether a record about a contract of this hospital has exactly this text.
    pub(in crate::store) async fn has_record(
        &mut self,
        hospital: &HospitalId,
        text_hash: Hash,
    ) -> Result<bool, StoreError> {
        let records = sla_records(&mut *self.inner).await?;
        let Some(found) = records.iter().find(|row| Hash::of(row.text.as_bytes()) == text_hash) else {
            return Ok(false);
        };
        let rows = query("SELECT text FROM contract").fetch_all(&mut *self.inner).await?;
        for row in &rows {
            let of = |c: Contract| c.id == found.contract && c.hospital.id == *hospital;
            if Contract::parse(row.text("text")?).is_ok_and(of) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a contract of this hospital has exactly this text.
    pub(in crate::store) async fn has_contract(
        &mut self,
        hospital: &HospitalId,
        text_hash: Hash,
    ) -> Result<bool, StoreError> {
        let rows = query("SELECT text FROM contract").fetch_all(&mut *self.inner).await?;
        for row in &rows {
            let text = row.text("text")?;
            if Hash::of(text.as_bytes()) == text_hash {
                return Ok(Contract::parse(text).is_ok_and(|contract| contract.hospital.id == *hospital));
            }
        }
        Ok(false)
    }
}

async fn agreements(executor: impl SqliteExecutor<'_>) -> Result<Vec<AgreementRow>, StoreError> {
    let mut found = Vec::new();
    for Stored { committed, entry, .. } in of_kind(executor, EntryKind::Statement).await? {
        let Entry::Statement { bytes, .. } = entry else { continue };
        let envelope = Envelope::from_bytes(&bytes).map_err(|_| StoreError::Value("statement"))?;
        if envelope.payload_type() == Agreement::TYPE {
            let agreement = Agreement::decode(envelope.body())?;
            found.push(AgreementRow { filed: committed, agreement });
        }
    }
    Ok(found)
}

async fn sla_records(executor: impl SqliteExecutor<'_>) -> Result<Vec<SlaRecordRow>, StoreError> {
    let mut found = Vec::new();
    for Stored { position, committed, entry } in of_kind(executor, EntryKind::SlaRecord).await? {
        let Entry::SlaRecord { contract, text } = entry else { continue };
        found.push(SlaRecordRow { position, entered: committed, contract, text });
    }
    Ok(found)
}

/// Every entry of a rare kind, oldest first; `kind > 2` is what the index of those is for.
async fn of_kind(executor: impl SqliteExecutor<'_>, kind: EntryKind) -> Result<Vec<Stored>, StoreError> {
    let rows = query("SELECT * FROM stream WHERE kind > 2 AND kind = ? ORDER BY position")
        .bind(i64::from(kind as u8))
        .fetch_all(executor)
        .await?;
    rows.iter().map(stored_row).collect()
}
