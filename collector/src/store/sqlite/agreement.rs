//! What was entered about contracts and what the hospitals agreed to, read from the stream itself:
//! both are few.

use super::{Store, Tx, convert::Columns};
use crate::store::{
    StoreError,
    model::{AgreementRow, SlaRecordRow},
};
use sqlx::{SqliteExecutor, query};
use tenken_collector_core::{
    sla::contract::Contract,
    stream::{Entry, EntryKind},
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
    let kind = EntryKind::Statement as u8;
    let rows = query(
        "SELECT position, committed_us, body FROM stream WHERE kind > 2 AND kind = ? ORDER BY position",
    )
    .bind(i64::from(kind))
    .fetch_all(executor)
    .await?;
    let mut found = Vec::new();
    for row in &rows {
        let entry = Entry::decode(kind, None, row.blob("body")?);
        let position = row.uint("position")?;
        let Entry::Statement { bytes, .. } =
            entry.map_err(|source| StoreError::Entry { position, source })?
        else {
            continue;
        };
        let envelope = Envelope::from_bytes(&bytes).map_err(|_| StoreError::Value("statement"))?;
        if envelope.payload_type() == Agreement::TYPE {
            let agreement = Agreement::decode(envelope.body())?;
            found.push(AgreementRow { filed: row.time("committed_us")?, agreement });
        }
    }
    Ok(found)
}

async fn sla_records(executor: impl SqliteExecutor<'_>) -> Result<Vec<SlaRecordRow>, StoreError> {
    let kind = EntryKind::SlaRecord as u8;
    let rows = query(
        "SELECT position, committed_us, body FROM stream WHERE kind > 2 AND kind = ? ORDER BY position",
    )
    .bind(i64::from(kind))
    .fetch_all(executor)
    .await?;
    let mut found = Vec::new();
    for row in &rows {
        let position = row.uint("position")?;
        let entry = Entry::decode(kind, None, row.blob("body")?);
        if let Entry::SlaRecord { contract, text } =
            entry.map_err(|source| StoreError::Entry { position, source })?
        {
            found.push(SlaRecordRow { position, entered: row.time("committed_us")?, contract, text });
        }
    }
    Ok(found)
}
