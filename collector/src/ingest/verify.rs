//! Whether a batch or stub is believed, in the protocol's order: size; outer decode; a candidate key
//! by the key hint; the signature; then the content under its caps; whose device it names; whose
//! certificate the connection showed; whether the device is revoked.
//!
//! Holds: [`verify`] is pure over a [`Directory`] and nothing is parsed before its signature was
//! found good. A refusal names its link only where a good signature of the very device that the
//! link names vouches for it, on a connection of that device, since only then may the answer be
//! signed: with it a device gives up what it holds, so no other may have it made. A pending
//! device's batches are taken. The key of a closed epoch is known, so that whoever still has it is
//! recognised, and speaks for nothing beyond that epoch.
//!
//! [`DeviceDirectory`] keeps the directory in step with the store, also when another process (the
//! command line) revokes a device: see [`DeviceDirectory::follow`].

use super::PeerIdentity;
use crate::store::{Store, StoreError, model::DeviceStatus};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tenken_collector_core::intake::arrival::Arrival;
use tenken_common::{
    ack::RejectReason,
    batch::Link,
    envelope::{Envelope, EnvelopeError, Payload, Verified},
    id::{DeviceId, Epoch, Hash, KeyId, Seq},
    key::PublicKey,
    limit,
    stub::Stub,
    wire::v1::ReceivedBatch,
};
use tokio::sync::watch;

/// How often the store is asked for changes by other processes: a revocation holds within one
/// second.
pub const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// A refused message, and its link where a good signature vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: RejectReason,
    pub link: Option<Box<Link>>,
}

impl Refusal {
    pub fn bare(reason: RejectReason) -> Self {
        Self { reason, link: None }
    }
}

/// What verification needs to know of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub id: DeviceId,
    pub key: PublicKey,
    pub status: DeviceStatus,
    /// The last epoch that the key speaks for; `None` for the device's present key.
    pub retired: Option<Epoch>,
}

/// A link whose signature was checked.
#[derive(Debug, Clone, PartialEq)]
pub enum VerifiedLink {
    Batch(Box<Verified<ReceivedBatch>>),
    Stub(Box<Verified<Stub>>),
}

impl VerifiedLink {
    pub fn link(&self) -> Link {
        match self {
            Self::Batch(received) => Link::of(received),
            Self::Stub(stub) => Link::of_stub(stub),
        }
    }

    pub fn into_arrival(self) -> Arrival {
        match self {
            Self::Batch(received) => Arrival::Batch(Box::new(received.into_inner())),
            Self::Stub(stub) => Arrival::Stub(Box::new(stub.into_inner())),
        }
    }
}

/// The devices at one position of the stream.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    by_key: BTreeMap<KeyId, Vec<Known>>,
    by_certificate: BTreeMap<Hash, DeviceId>,
    welcome: BTreeSet<DeviceId>,
    position: u64,
}

impl Directory {
    pub fn new(
        devices: impl IntoIterator<Item = Known>,
        certificates: impl IntoIterator<Item = (Hash, DeviceId)>,
        position: u64,
    ) -> Self {
        let mut by_key: BTreeMap<KeyId, Vec<Known>> = BTreeMap::new();
        let mut welcome = BTreeSet::new();
        for known in devices {
            if known.status != DeviceStatus::Revoked {
                welcome.insert(known.id);
            }
            by_key.entry(known.key.id()).or_default().push(known);
        }
        Self { by_key, by_certificate: certificates.into_iter().collect(), welcome, position }
    }

    /// Whose certificate this is, for the listener's own checks.
    pub fn certificate_owner(&self, sha256: &Hash) -> Option<DeviceId> {
        self.by_certificate.get(sha256).copied()
    }

    /// Whether a device is known and not revoked.
    pub fn is_welcome(&self, device: DeviceId) -> bool {
        self.welcome.contains(&device)
    }

    /// A payload by the device whose present key signed it.
    pub(super) fn open<T: Payload>(
        &self,
        bytes: &[u8],
        max: usize,
    ) -> Result<(Known, Verified<T>), RejectReason> {
        let envelope = outer(bytes, max)?;
        let opened = self.opened::<T>(&envelope)?;
        if opened.0.retired.is_some() { Err(RejectReason::UnknownKey) } else { Ok(opened) }
    }

    /// The same with the keys of closed epochs.
    fn opened<T: Payload>(&self, envelope: &Envelope) -> Result<(Known, Verified<T>), RejectReason> {
        let hint = envelope.key_hint().ok_or(RejectReason::Malformed)?;
        let candidates = self.by_key.get(&hint).map(Vec::as_slice).unwrap_or_default();
        let mut refused = RejectReason::UnknownKey;
        for known in candidates {
            match envelope.open::<T>(&known.key) {
                Ok(value) => return Ok((*known, value)),
                Err(error) => refused = reason_of(&error),
            }
        }
        Err(refused)
    }

    /// The checks after the signature: whose device is named, whose certificate was shown, and
    /// whether the device is revoked.
    pub(super) fn check_identity(
        &self,
        known: &Known,
        named: DeviceId,
        peer: PeerIdentity,
    ) -> Result<(), RejectReason> {
        if known.id != named {
            return Err(RejectReason::WrongDevice);
        }
        if let Some(certificate) = peer.certificate
            && self.certificate_owner(&certificate) != Some(named)
        {
            return Err(RejectReason::WrongIdentity);
        }
        match known.status {
            DeviceStatus::Revoked => Err(RejectReason::Revoked),
            DeviceStatus::Pending | DeviceStatus::Approved => Ok(()),
        }
    }
}

fn reason_of(error: &EnvelopeError) -> RejectReason {
    match error {
        EnvelopeError::Outer(_)
        | EnvelopeError::Version(_)
        | EnvelopeError::Signatures(_)
        | EnvelopeError::WrongType(_) => RejectReason::Malformed,
        EnvelopeError::WrongKey => RejectReason::UnknownKey,
        EnvelopeError::BadSignature => RejectReason::BadSignature,
        EnvelopeError::Content(_) => RejectReason::BadContent,
    }
}

fn outer(bytes: &[u8], max: usize) -> Result<Envelope, RejectReason> {
    if bytes.len() > max {
        return Err(RejectReason::TooLarge);
    }
    Envelope::from_bytes(bytes).map_err(|_| RejectReason::Malformed)
}

/// Checks a batch or stub; see the module's head.
pub fn verify(bytes: &[u8], directory: &Directory, peer: PeerIdentity) -> Result<VerifiedLink, Refusal> {
    let envelope = outer(bytes, limit::ENVELOPE_BYTES_MAX).map_err(Refusal::bare)?;
    let (known, verified) = if envelope.payload_type() == Stub::TYPE {
        let opened = directory.opened::<Stub>(&envelope);
        opened.map(|(known, stub)| (known, VerifiedLink::Stub(Box::new(stub))))
    } else {
        let opened = directory.opened::<ReceivedBatch>(&envelope);
        opened.map(|(known, received)| (known, VerifiedLink::Batch(Box::new(received))))
    }
    .map_err(Refusal::bare)?;
    let link = verified.link();
    // A chain begins at 1; there is no link that a signed answer could name.
    if link.seq == Seq(0) {
        return Err(Refusal::bare(RejectReason::BadContent));
    }
    if known.retired.is_some_and(|last| link.epoch > last) {
        return Err(Refusal::bare(RejectReason::UnknownKey));
    }
    directory.check_identity(&known, link.device, peer).map_err(|reason| Refusal {
        reason,
        link: (reason == RejectReason::Revoked).then(|| Box::new(link)),
    })?;
    Ok(verified)
}

/// A [`Directory`] that follows the store.
#[derive(Debug, Default)]
pub struct DeviceDirectory(watch::Sender<Arc<Directory>>);

impl DeviceDirectory {
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let directory = Self::default();
        directory.reload(store).await?;
        Ok(directory)
    }

    /// The devices as of now; hold it for one request only.
    pub fn current(&self) -> Arc<Directory> {
        Arc::clone(&self.0.borrow())
    }

    /// The devices as they come to stand, for connections that outlive a request.
    pub fn watch(&self) -> watch::Receiver<Arc<Directory>> {
        self.0.subscribe()
    }

    /// Takes over what was appended since the last time, if it concerns devices.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        if store.changes_after(self.current().position).await?.changed {
            self.reload(store).await?;
        }
        Ok(())
    }

    /// Refreshes for ever; the caller ends it by dropping the future. A store that cannot be read
    /// for a while leaves the last directory in force.
    pub async fn follow(&self, store: &Store) {
        let mut tick = tokio::time::interval(FOLLOW_EVERY);
        loop {
            tick.tick().await;
            if let Err(error) = self.refresh(store).await {
                tracing::warn!(%error, "the device directory could not be refreshed");
            }
        }
    }

    async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        // The position first: what is appended meanwhile is found again at the next refresh.
        let position = store.position().await?;
        let devices = store.devices().await?;
        let certificates = store.certificates().await?;
        let known = devices.iter().map(|d| Known { id: d.id, key: d.key, status: d.status(), retired: None });
        let mut known: Vec<Known> = known.collect();
        for (device, key, epoch) in store.retired_keys().await? {
            let Some(status) = known.iter().find(|k| k.id == device).map(|k| k.status) else { continue };
            known.push(Known { id: device, key, status, retired: Some(epoch) });
        }
        let fresh = Arc::new(Directory::new(known, certificates, position));
        self.0.send_if_modified(|held| {
            let newer = held.position <= fresh.position;
            if newer {
                *held = fresh;
            }
            newer
        });
        Ok(())
    }
}
