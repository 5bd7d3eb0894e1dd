//! The one way to write: a transaction that appends to the stream and keeps in step what must
//! agree with it at once.
//!
//! Holds: positions are dense, since the write lock is taken before the last one is read. An
//! entry and its consequences commit together or not at all; dropping a [`Tx`] undoes it. The
//! consequences of an entry depend on the entry and on those before it only, so that a rebuild
//! gives the same rows.

use super::{
    Store,
    book::Book,
    convert::{int, uint},
};
use crate::store::StoreError;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, Transaction, query, query_as, query_builder::Separated};
use tenken_collector_core::{
    head::Owner,
    intake::arrival::Arrival,
    invariant::{self, Invariant},
    stream::{Enrolled, Entry, Hospital, Stored},
};
use tenken_common::{
    batch::Link,
    codec,
    consent::{ConsentManifest, Scope},
    envelope::{Envelope, Payload},
    id::{DeviceId, Hash},
    key::PublicKey,
    statement::{Agreement, DeviceApproval, KeySuccession, RejoinApproval, SlotTicket},
    stub::Stub,
    time::Timestamp,
    wire::v1::ReceivedBatch,
};

/// Kinds of entries that change nothing a cache of devices holds: envelopes, heartbeats, starts.
const NOT_A_CHANGE: &str = "1, 2, 3";

/// A write in progress; see the module's head.
pub struct Tx<'b> {
    pub(super) inner: Transaction<'static, Sqlite>,
    pub(super) book: &'b mut Book,
    now: Timestamp,
    last: u64,
    pub(super) applied: u64,
    /// How far the heads are.
    pub(super) headed: u64,
    /// How far it was applied, and how far the heads were, at the start.
    begun: (u64, u64),
    rows: Vec<StreamRow>,
}

/// An entry as the store keeps it.
pub(super) struct StreamRow {
    pub(super) position: u64,
    pub(super) committed: Timestamp,
    pub(super) kind: u8,
    pub(super) device: Option<DeviceId>,
    pub(super) body: Vec<u8>,
}

impl StreamRow {
    pub(super) fn of(stored: &Stored) -> Result<Self, StoreError> {
        let (kind, device, body) = stored.entry.encode()?;
        Ok(Self { position: stored.position, committed: stored.committed, kind, device, body })
    }
}

/// How far the stream is, and up to where its entries can have changed a device, a slot, a
/// certificate or a hospital.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    pub position: u64,
    pub changed: bool,
}

impl Store {
    /// Takes the write lock. `book` holds the ledgers between transactions; it is emptied where
    /// another process has written since.
    pub async fn begin<'b>(&self, book: &'b mut Book) -> Result<Tx<'b>, StoreError> {
        let tx = self.begin_unapplied(book).await?;
        if tx.applied == tx.last && tx.headed == tx.last { Ok(tx) } else { Err(StoreError::Rebuilding) }
    }

    pub(super) async fn begin_unapplied<'b>(&self, book: &'b mut Book) -> Result<Tx<'b>, StoreError> {
        let mut inner = self.writer().begin_with("BEGIN IMMEDIATE").await?;
        let (last, applied, headed): (i64, i64, i64) = query_as(
            "SELECT (SELECT coalesce(max(position), 0) FROM stream),
                    (SELECT position FROM checkpoint WHERE name = 'applied'),
                    (SELECT position FROM checkpoint WHERE name = 'heads')",
        )
        .fetch_one(&mut *inner)
        .await?;
        book.enter(uint(last));
        let now = self.clock().wall();
        let (last, applied, headed) = (uint(last), uint(applied), uint(headed));
        Ok(Tx { inner, book, now, last, applied, headed, begun: (applied, headed), rows: Vec::new() })
    }

    /// Appends entries in one transaction; answers their positions. An envelope must continue
    /// its device's chain.
    pub async fn append(&self, entries: Vec<Entry>) -> Result<Vec<u64>, StoreError> {
        let mut book = Book::default();
        let mut tx = self.begin(&mut book).await?;
        let mut positions = Vec::with_capacity(entries.len());
        for entry in entries {
            positions.push(tx.journal(entry).await?);
        }
        tx.commit().await?;
        Ok(positions)
    }

    /// Whether anything that a cache of devices holds was appended after `position`.
    pub async fn changes_after(&self, position: u64) -> Result<Change, StoreError> {
        let sql = format!(
            "SELECT (SELECT coalesce(max(position), 0) FROM stream),
                    EXISTS (SELECT 1 FROM stream WHERE position > ? AND kind NOT IN ({NOT_A_CHANGE}))"
        );
        let (last, changed): (i64, bool) =
            query_as(sqlx::AssertSqlSafe(sql)).bind(int(position)).fetch_one(self.reader()).await?;
        Ok(Change { position: uint(last), changed })
    }
}

impl Tx<'_> {
    /// The commit time that this transaction's entries carry.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The last position, this transaction's own entries included.
    pub fn position(&self) -> u64 {
        self.last
    }

    /// The connection itself, with which tests provoke faults; nothing else writes past this type.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// Appends one entry with its consequences; answers its position.
    pub async fn journal(&mut self, entry: Entry) -> Result<u64, StoreError> {
        let position = self.last + 1;
        self.apply(position, self.now, &entry).await?;
        let stored = Stored { position, committed: self.now, entry };
        self.push(StreamRow::of(&stored)?, stored.entry.owner()).await?;
        Ok(position)
    }

    /// Appends an envelope whose consequences the book has noted already.
    pub(super) async fn push_envelope(
        &mut self,
        device: DeviceId,
        bytes: Vec<u8>,
    ) -> Result<u64, StoreError> {
        let (position, committed) = (self.last + 1, self.now);
        let stored = Stored { position, committed, entry: Entry::Envelope { device, bytes } };
        self.push(StreamRow::of(&stored)?, Owner::Device(device)).await?;
        Ok(position)
    }

    async fn push(&mut self, row: StreamRow, owner: Owner<'_>) -> Result<(), StoreError> {
        self.enter_head(&row, owner).await?;
        if !invariant::position_orders(self.last, row.position) {
            self.book.violated(Invariant::I7);
        }
        self.last = row.position;
        self.applied = row.position;
        self.rows.push(row);
        Ok(())
    }

    /// Makes everything durable; answers the last position. Where nothing changed, the disk is
    /// left alone.
    pub async fn commit(mut self) -> Result<u64, StoreError> {
        let moved = (self.applied, self.headed) != self.begun;
        if self.rows.is_empty() && !moved && !self.book.is_touched() {
            self.inner.rollback().await?;
            self.book.leave(self.last);
            return Ok(self.last);
        }
        insert(
            &mut self.inner,
            "INSERT INTO stream (position, kind, committed_us, device, body) ",
            "",
            &self.rows,
            |mut b, row| {
                b.push_bind(int(row.position))
                    .push_bind(i64::from(row.kind))
                    .push_bind(row.committed.as_micros());
                b.push_bind(row.device.map(|d| d.0.to_vec())).push_bind(row.body.as_slice());
            },
        )
        .await?;
        self.book.flush(&mut self.inner).await?;
        query("UPDATE checkpoint SET position = CASE name WHEN 'heads' THEN ? ELSE ? END WHERE name IN ('applied', 'heads')")
            .bind(int(self.headed))
            .bind(int(self.applied))
            .execute(&mut *self.inner)
            .await?;
        self.inner.commit().await?;
        self.book.leave(self.last);
        Ok(self.last)
    }

    /// An entry's consequences; see the module's head.
    pub(super) async fn apply(
        &mut self,
        position: u64,
        at: Timestamp,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        match entry {
            Entry::Envelope { device, bytes } => {
                let (link, arrival) = stored_arrival(bytes)?;
                self.book.load(&mut self.inner, *device).await?;
                self.book.replay(position, at, &link, &arrival)
            }
            Entry::Fork { device, bytes } => self.apply_fork(position, at, (*device, bytes)).await,
            Entry::Quarantined { device, reason } => self.apply_quarantined(at, *device, *reason).await,
            Entry::CloneSuspected { device, .. } => self.apply_clone(at, *device).await,
            Entry::CollectorLost(lost) => self.apply_collector_lost(position, at, lost).await,
            Entry::Rejoined(rejoined) => self.apply_rejoined(position, at, rejoined).await,
            Entry::Restored { .. } => self.apply_restored().await,
            Entry::FactsChanged { device, facts } => self.apply_facts(at, *device, facts).await,
            Entry::Heartbeat
            | Entry::Started { .. }
            | Entry::IncidentAction(_)
            | Entry::Rules { .. }
            | Entry::SlaRecord { .. }
            | Entry::Silence(_) => Ok(()),
            Entry::MonthSealed(sealed) => self.apply_sealed(position, sealed).await,
            Entry::Hospital(hospital) => self.apply_hospital(position, hospital).await,
            Entry::Contract { text } => {
                query("INSERT INTO contract (position, loaded_us, text) VALUES (?, ?, ?)")
                    .bind(int(position))
                    .bind(at.as_micros())
                    .bind(text.as_str())
                    .execute(&mut *self.inner)
                    .await?;
                Ok(())
            }
            Entry::Statement { bytes, .. } => self.apply_statement(at, bytes).await,
            Entry::Enrolled(enrolled) => self.apply_enrolled(at, enrolled).await,
            Entry::CertificateIssued { device, certificate } => {
                query(
                    "INSERT OR IGNORE INTO device_certificate (sha256, device, issued_us) VALUES (?, ?, ?)",
                )
                .bind(certificate.as_bytes())
                .bind(device.as_bytes())
                .bind(at.as_micros())
                .execute(&mut *self.inner)
                .await?;
                Ok(())
            }
            Entry::Revoked { device } => {
                query("UPDATE device SET revoked_us = coalesce(revoked_us, ?) WHERE id = ?")
                    .bind(at.as_micros())
                    .bind(device.as_bytes())
                    .execute(&mut *self.inner)
                    .await?;
                Ok(())
            }
        }
    }

    async fn apply_hospital(&mut self, position: u64, hospital: &Hospital) -> Result<(), StoreError> {
        let key = <[u8; 32]>::try_from(hospital.key.as_slice()).map_err(|_| StoreError::Value("key"))?;
        let key = PublicKey::from_bytes(&key).map_err(|_| StoreError::Value("key"))?;
        query(
            "INSERT INTO hospital (id, key, key_id, position) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET key = excluded.key, key_id = excluded.key_id, position = excluded.position",
        )
        .bind(hospital.id.as_str())
        .bind(hospital.key.as_slice())
        .bind(key.id().as_bytes())
        .bind(int(position))
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// The statement was verified before it was filed.
    async fn apply_statement(&mut self, when: Timestamp, bytes: &[u8]) -> Result<(), StoreError> {
        let envelope = Envelope::from_bytes(bytes).map_err(|_| StoreError::Value("statement"))?;
        let kind = envelope.payload_type();
        let at = when.as_micros();
        if kind == SlotTicket::TYPE {
            let ticket = SlotTicket::decode(envelope.body())?;
            query(
                "INSERT OR IGNORE INTO slot (id, hospital, label, grp, proof_key, expires_us, filed_us, replaces)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(ticket.slot.as_bytes())
            .bind(ticket.hospital.as_str())
            .bind(ticket.label.as_str())
            .bind(ticket.group.as_ref().map(ToString::to_string))
            .bind(ticket.proof_key.as_bytes())
            .bind(ticket.expires.as_micros())
            .bind(at)
            .bind(ticket.replaces.map(|d| d.0.to_vec()))
            .execute(&mut *self.inner)
            .await?;
        } else if kind == DeviceApproval::TYPE {
            let approval = DeviceApproval::decode(envelope.body())?;
            query("UPDATE device SET approved_us = coalesce(approved_us, ?) WHERE id = ?")
                .bind(at)
                .bind(approval.device.as_bytes())
                .execute(&mut *self.inner)
                .await?;
        } else if kind == ConsentManifest::TYPE {
            let consent = ConsentManifest::decode(envelope.body())?;
            query(
                "INSERT OR IGNORE INTO consent (hospital, scope, version, filed_us, envelope) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(consent.hospital.as_str())
            .bind(scope_text(&consent.scope))
            .bind(int(consent.version))
            .bind(at)
            .bind(bytes)
            .execute(&mut *self.inner)
            .await?;
        } else if kind == RejoinApproval::TYPE {
            self.apply_rejoin_approval(when, &RejoinApproval::decode(envelope.body())?).await?;
        } else if kind == KeySuccession::TYPE {
            self.apply_succession(&KeySuccession::decode(envelope.body())?, Hash::of(bytes)).await?;
        } else if kind != Agreement::TYPE {
            // An agreement is read where it stands.
            return Err(StoreError::Value("statement type"));
        }
        Ok(())
    }

    async fn apply_succession(
        &mut self,
        succession: &KeySuccession,
        statement: Hash,
    ) -> Result<(), StoreError> {
        let key = succession.successor().map_err(|_| StoreError::Value("key"))?;
        query("UPDATE hospital SET key = ?, key_id = ?, succession = ? WHERE id = ?")
            .bind(key.to_bytes().to_vec())
            .bind(key.id().as_bytes())
            .bind(statement.as_bytes())
            .bind(succession.hospital.as_str())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    async fn apply_enrolled(&mut self, at: Timestamp, e: &Enrolled) -> Result<(), StoreError> {
        let key = <[u8; 32]>::try_from(e.device_key.as_slice()).map_err(|_| StoreError::Value("key"))?;
        let key = PublicKey::from_bytes(&key).map_err(|_| StoreError::Value("key"))?;
        query(
            "INSERT INTO device (id, hospital, slot, label, grp, key, key_id, facts, granted, enrolled_us)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(e.device.as_bytes())
        .bind(e.hospital.as_str())
        .bind(e.slot.as_bytes())
        .bind(e.label.as_str())
        .bind(e.group.as_ref().map(ToString::to_string))
        .bind(e.device_key.as_slice())
        .bind(key.id().as_bytes())
        .bind(codec::to_vec(&e.facts)?)
        .bind(e.grant.as_slice())
        .bind(at.as_micros())
        .execute(&mut *self.inner)
        .await?;
        query("UPDATE slot SET device = ?, redeemed_us = ? WHERE id = ?")
            .bind(e.device.as_bytes())
            .bind(at.as_micros())
            .bind(e.slot.as_bytes())
            .execute(&mut *self.inner)
            .await?;
        self.book.begin_chain(e.device, Hash::of(&e.grant));
        Ok(())
    }
}

/// A consent's scope as a key of its table.
pub(in crate::store) fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::Hospital => "hospital".to_owned(),
        Scope::Group(group) => format!("group:{group}"),
        Scope::Device(device) => format!("device:{device}"),
    }
}

/// A link out of the log, whose signature was checked before it was stored.
pub(in crate::store) fn stored_arrival(bytes: &[u8]) -> Result<(Link, Arrival), StoreError> {
    let envelope = Envelope::from_bytes(bytes).map_err(|_| StoreError::Value("envelope"))?;
    let arrival = if envelope.payload_type() == Stub::TYPE {
        Arrival::Stub(Box::new(Stub::decode(envelope.body())?))
    } else {
        Arrival::Batch(Box::new(ReceivedBatch::decode(envelope.body())?))
    };
    Ok((arrival.link(Hash::of(envelope.body())), arrival))
}

/// Inserts rows with few, fixed statement sizes, so that the prepared statements are reused.
pub(in crate::store) async fn insert<T>(
    connection: &mut SqliteConnection,
    head: &str,
    tail: &str,
    mut rows: &[T],
    mut bind: impl FnMut(Separated<'_, Sqlite, &'static str>, &T),
) -> Result<(), StoreError> {
    for size in [64_usize, 16, 4, 1] {
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            let mut builder = QueryBuilder::<Sqlite>::new(head);
            builder.push_values(chunk, &mut bind);
            builder.push(tail);
            builder.build().execute(&mut *connection).await?;
            rows = rest;
        }
    }
    Ok(())
}
