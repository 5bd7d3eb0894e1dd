//! Reading what is registered: hospitals, contracts, slots, devices, consents; and the stream.
//!
//! Holds: lists come in a stable order. Reads inside a [`Tx`] see what it wrote.

use super::{
    Store, Tx,
    book::read_coverage,
    convert::{Columns, int, uint},
    rebuild::HANDED_OVER,
};
use crate::store::{
    StoreError,
    model::{ConsentRow, ContractRow, DeviceCounts, DeviceRow, GapRow, HospitalRow, SlotRow},
};
use sqlx::{SqliteExecutor, query, query_scalar, sqlite::SqliteRow};
use tenken_collector_core::{
    intake::ledger::QuarantineReason,
    stream::{Entry, EntryKind, Stored},
};
use tenken_common::{
    batch::{Gap, GapReason, RecRun},
    codec,
    id::{DeviceId, Epoch, Hash, HospitalId, KeyId, RecId, SlotId},
    limit,
    time::Timestamp,
};

impl Store {
    pub async fn hospitals(&self) -> Result<Vec<HospitalRow>, StoreError> {
        let rows = query("SELECT * FROM hospital ORDER BY id").fetch_all(self.reader()).await?;
        rows.iter().map(hospital_row).collect()
    }

    /// Every contract file ever loaded, oldest first.
    pub async fn contracts(&self) -> Result<Vec<ContractRow>, StoreError> {
        let rows = query("SELECT * FROM contract ORDER BY position").fetch_all(self.reader()).await?;
        rows.iter()
            .map(|r| {
                let text = r.text("text")?.to_owned();
                Ok(ContractRow { position: r.uint("position")?, loaded: r.time("loaded_us")?, text })
            })
            .collect()
    }

    pub async fn slots(&self) -> Result<Vec<SlotRow>, StoreError> {
        let rows = query("SELECT * FROM slot ORDER BY filed_us, id").fetch_all(self.reader()).await?;
        rows.iter().map(slot_row).collect()
    }

    pub async fn slot(&self, id: SlotId) -> Result<Option<SlotRow>, StoreError> {
        slot(self.reader(), id).await
    }

    /// All devices, in the order of their enrollment.
    pub async fn devices(&self) -> Result<Vec<DeviceRow>, StoreError> {
        let rows = query("SELECT * FROM device ORDER BY enrolled_us, id").fetch_all(self.reader()).await?;
        rows.iter().map(device_row).collect()
    }

    pub async fn device(&self, id: DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        device(self.reader(), id).await
    }

    pub async fn device_by_certificate(&self, sha256: Hash) -> Result<Option<DeviceRow>, StoreError> {
        let row =
            query("SELECT d.* FROM device d JOIN device_certificate c ON c.device = d.id WHERE c.sha256 = ?")
                .bind(sha256.as_bytes())
                .fetch_optional(self.reader())
                .await?;
        row.as_ref().map(device_row).transpose()
    }

    /// Devices whose key has this id; it is a hint, so there may be several.
    pub async fn device_by_key(&self, key: KeyId) -> Result<Vec<DeviceRow>, StoreError> {
        let rows = query("SELECT * FROM device WHERE key_id = ? ORDER BY id")
            .bind(key.as_bytes())
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(device_row).collect()
    }

    /// Certificates by SHA-256 and whose they are.
    pub async fn certificates(&self) -> Result<Vec<(Hash, DeviceId)>, StoreError> {
        let rows = query("SELECT * FROM device_certificate ORDER BY sha256").fetch_all(self.reader()).await?;
        rows.iter().map(|r| Ok((Hash(r.bytes("sha256")?), DeviceId(r.bytes("device")?)))).collect()
    }

    /// Every consent on file, by hospital, scope and version.
    pub async fn consents(&self) -> Result<Vec<ConsentRow>, StoreError> {
        let rows =
            query("SELECT * FROM consent ORDER BY hospital, scope, version").fetch_all(self.reader()).await?;
        rows.iter()
            .map(|r| {
                Ok(ConsentRow {
                    hospital: HospitalId(r.name("hospital")?),
                    version: r.uint("version")?,
                    filed: r.time("filed_us")?,
                    envelope: r.blob("envelope")?.to_vec(),
                })
            })
            .collect()
    }

    /// What was taken from each device, by device.
    pub async fn counts(&self) -> Result<Vec<DeviceCounts>, StoreError> {
        let rows = query(
            "SELECT l.device, l.epoch, l.batches, l.quarantine, l.clone_suspected_us, c.runs,
                    (SELECT sum(records) FROM coverage a WHERE a.device = l.device) AS records,
                    (SELECT count(*) FROM gap g WHERE g.device = l.device) AS gaps,
                    (SELECT coalesce(sum(to_seq - from_seq + 1), 0) FROM collector_lost k
                     WHERE k.device = l.device) AS lost
             FROM ledger l JOIN coverage c ON c.device = l.device AND c.epoch = l.epoch ORDER BY l.device",
        )
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|r| {
                let quarantine = r.maybe_int("quarantine")?.map(|code| {
                    u8::try_from(code)
                        .ok()
                        .and_then(QuarantineReason::from_code)
                        .ok_or(StoreError::Value("quarantine"))
                });
                Ok(DeviceCounts {
                    device: DeviceId(r.bytes("device")?),
                    epoch: Epoch(r.small("epoch")?),
                    batches: r.uint("batches")?,
                    records: r.uint("records")?,
                    gaps: r.uint("gaps")?,
                    missing_runs: read_coverage(r.blob("runs")?)?.missing().len() as u64,
                    collector_lost: r.uint("lost")?,
                    quarantine: quarantine.transpose()?,
                    clone_suspected: r.maybe_time("clone_suspected_us")?,
                })
            })
            .collect()
    }

    /// When devices were in quarantine, from and to; without an end where one still is.
    pub async fn quarantines(&self) -> Result<Vec<(DeviceId, Timestamp, Option<Timestamp>)>, StoreError> {
        let rows =
            query("SELECT * FROM quarantine ORDER BY device, from_us").fetch_all(self.reader()).await?;
        rows.iter()
            .map(|r| Ok((DeviceId(r.bytes("device")?), r.time("from_us")?, r.maybe_time("to_us")?)))
            .collect()
    }

    pub async fn gaps(&self, device: DeviceId) -> Result<Vec<GapRow>, StoreError> {
        let rows =
            query("SELECT * FROM gap WHERE device = ? ORDER BY epoch, from_id, to_id, reason, position")
                .bind(device.as_bytes())
                .fetch_all(self.reader())
                .await?;
        rows.iter()
            .map(|r| {
                let reason = GapReason::from_code(r.small("reason")?).ok_or(StoreError::Value("reason"))?;
                let run = RecRun { from: RecId(r.uint("from_id")?), to: RecId(r.uint("to_id")?) };
                let gap = Gap { run, reason };
                Ok(GapRow { device, epoch: Epoch(r.small("epoch")?), gap, position: r.uint("position")? })
            })
            .collect()
    }

    /// The stream's last position; zero for an empty store.
    pub async fn position(&self) -> Result<u64, StoreError> {
        let last: i64 =
            query_scalar("SELECT coalesce(max(position), 0) FROM stream").fetch_one(self.reader()).await?;
        Ok(uint(last))
    }

    /// At most `n` entries after a position, in order.
    pub async fn entries_after(&self, position: u64, n: u32) -> Result<Vec<Stored>, StoreError> {
        entries_after(self.reader(), position, n).await
    }

    /// The first tick (a heartbeat) after a position, with everything up to it that steers the
    /// evaluation: ticks, what people did to incidents and silenced, rules. Empty where there is no tick yet.
    pub async fn tick_after(&self, position: u64) -> Result<Vec<Stored>, StoreError> {
        let rows = query(
            "SELECT * FROM stream WHERE position > ?1 AND kind IN (?2, ?3, ?4, ?5)
             AND position <= (SELECT min(position) FROM stream WHERE position > ?1 AND kind = ?2)
             ORDER BY position",
        )
        .bind(int(position))
        .bind(EntryKind::Heartbeat as i64)
        .bind(EntryKind::IncidentAction as i64)
        .bind(EntryKind::Rules as i64)
        .bind(EntryKind::Silence as i64)
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(stored_row).collect()
    }

    /// How far a consumer of the stream is; zero where it never was.
    pub async fn checkpoint(&self, name: &str) -> Result<u64, StoreError> {
        checkpoint(self.reader(), name).await
    }

    /// How far the receiver at `url` has the stream; survives a rebuild.
    pub async fn handed_over(&self, url: &str) -> Result<u64, StoreError> {
        self.checkpoint(&format!("{HANDED_OVER}{url}")).await
    }

    pub async fn set_handed_over(&self, url: &str, position: u64) -> Result<(), StoreError> {
        self.set_checkpoint(&format!("{HANDED_OVER}{url}"), position).await
    }

    pub async fn set_checkpoint(&self, name: &str, position: u64) -> Result<(), StoreError> {
        set_checkpoint(self.writer(), name, position).await
    }
}

impl Tx<'_> {
    pub async fn slot(&mut self, id: SlotId) -> Result<Option<SlotRow>, StoreError> {
        slot(&mut *self.inner, id).await
    }

    pub async fn device(&mut self, id: DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        device(&mut *self.inner, id).await
    }

    pub async fn hospitals_by_key(&mut self, key: KeyId) -> Result<Vec<HospitalRow>, StoreError> {
        let rows = query("SELECT * FROM hospital WHERE key_id = ? ORDER BY id")
            .bind(key.as_bytes())
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter().map(hospital_row).collect()
    }

    pub async fn hospital(&mut self, id: &HospitalId) -> Result<Option<HospitalRow>, StoreError> {
        let row = query("SELECT * FROM hospital WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&mut *self.inner)
            .await?;
        row.as_ref().map(hospital_row).transpose()
    }

    /// One version of a hospital's consent, the envelope as it was filed.
    pub async fn consent(
        &mut self,
        hospital: &HospitalId,
        scope: &str,
        version: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let envelope =
            query_scalar("SELECT envelope FROM consent WHERE hospital = ? AND scope = ? AND version = ?")
                .bind(hospital.as_str())
                .bind(scope)
                .bind(int(version))
                .fetch_optional(&mut *self.inner)
                .await?;
        Ok(envelope)
    }

    /// The highest version of a hospital's consent for one scope.
    pub async fn consent_version(
        &mut self,
        hospital: &HospitalId,
        scope: &str,
    ) -> Result<Option<u64>, StoreError> {
        let version: Option<i64> =
            query_scalar("SELECT max(version) FROM consent WHERE hospital = ? AND scope = ?")
                .bind(hospital.as_str())
                .bind(scope)
                .fetch_one(&mut *self.inner)
                .await?;
        Ok(version.map(uint))
    }
}

pub(in crate::store) async fn checkpoint(e: impl SqliteExecutor<'_>, name: &str) -> Result<u64, StoreError> {
    let at: Option<i64> =
        query_scalar("SELECT position FROM checkpoint WHERE name = ?").bind(name).fetch_optional(e).await?;
    Ok(at.map_or(0, uint))
}

pub(in crate::store) async fn set_checkpoint(
    e: impl SqliteExecutor<'_>,
    name: &str,
    position: u64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO checkpoint (name, position) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET position = excluded.position",
    )
    .bind(name)
    .bind(int(position))
    .execute(e)
    .await?;
    Ok(())
}

pub(in crate::store) async fn entries_after(
    e: impl SqliteExecutor<'_>,
    position: u64,
    n: u32,
) -> Result<Vec<Stored>, StoreError> {
    let rows = query("SELECT * FROM stream WHERE position > ? ORDER BY position LIMIT ?")
        .bind(int(position))
        .bind(i64::from(n))
        .fetch_all(e)
        .await?;
    rows.iter().map(stored_row).collect()
}

pub(super) fn stored_row(r: &SqliteRow) -> Result<Stored, StoreError> {
    let position = r.uint("position")?;
    let device = r.maybe_bytes("device")?.map(DeviceId);
    let entry = Entry::decode(r.small("kind")?, device, r.blob("body")?)
        .map_err(|source| StoreError::Entry { position, source })?;
    Ok(Stored { position, committed: r.time("committed_us")?, entry })
}

async fn slot(e: impl SqliteExecutor<'_>, id: SlotId) -> Result<Option<SlotRow>, StoreError> {
    let row = query("SELECT * FROM slot WHERE id = ?").bind(id.as_bytes()).fetch_optional(e).await?;
    row.as_ref().map(slot_row).transpose()
}

async fn device(e: impl SqliteExecutor<'_>, id: DeviceId) -> Result<Option<DeviceRow>, StoreError> {
    let row = query("SELECT * FROM device WHERE id = ?").bind(id.as_bytes()).fetch_optional(e).await?;
    row.as_ref().map(device_row).transpose()
}

fn hospital_row(r: &SqliteRow) -> Result<HospitalRow, StoreError> {
    let succession = r.maybe_bytes("succession")?.map(Hash);
    Ok(HospitalRow { id: HospitalId(r.name("id")?), key: r.public_key("key")?, succession })
}

fn slot_row(r: &SqliteRow) -> Result<SlotRow, StoreError> {
    Ok(SlotRow {
        id: SlotId(r.bytes("id")?),
        hospital: HospitalId(r.name("hospital")?),
        label: r.name("label")?,
        group: r.maybe_name("grp")?,
        proof_key: Hash(r.bytes("proof_key")?),
        expires: r.time("expires_us")?,
        filed: r.time("filed_us")?,
        device: r.maybe_bytes("device")?.map(DeviceId),
        replaces: r.maybe_bytes("replaces")?.map(DeviceId),
    })
}

fn device_row(r: &SqliteRow) -> Result<DeviceRow, StoreError> {
    Ok(DeviceRow {
        id: DeviceId(r.bytes("id")?),
        hospital: HospitalId(r.name("hospital")?),
        slot: SlotId(r.bytes("slot")?),
        label: r.name("label")?,
        group: r.maybe_name("grp")?,
        key: r.public_key("key")?,
        facts: codec::from_slice(r.blob("facts")?, limit::MESSAGE_BYTES_MAX)?,
        granted: r.blob("granted")?.to_vec(),
        rejoined: r.maybe_blob("rejoined")?.map(<[u8]>::to_vec),
        facts_changed: r.maybe_time("facts_changed_us")?,
        enrolled: r.time("enrolled_us")?,
        approved: r.maybe_time("approved_us")?,
        revoked: r.maybe_time("revoked_us")?,
    })
}
