//! Filing what a hospital signed: slot tickets, approvals of devices and rejoins, consents, and
//! who signs after it.
//!
//! Holds: a statement is journalled byte for byte, and only after its signature was checked with
//! the key that is on file for the very hospital that it names. A key that was succeeded signs
//! nothing any more. Filing the same twice changes nothing.

use super::{
    StoreError,
    model::DeviceRow,
    sqlite::{Book, Store, Tx, scope_text},
};
use tenken_collector_core::stream::Entry;
use tenken_common::{
    consent::ConsentManifest,
    envelope::{Envelope, EnvelopeError, Payload, Verified},
    id::{DeviceId, Epoch, Hash, HospitalId, SlotId},
    key::{KeyError, grouped},
    limit,
    statement::{Agreement, AgreementKind, DeviceApproval, KeySuccession, RejoinApproval, SlotTicket},
};

/// Why a statement was not filed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(
        "no hospital on file has the key that signed this; load its contract first, or ask for its new key"
    )]
    UnknownHospital,
    #[error("the statement is not believed")]
    Envelope(#[source] EnvelopeError),
    #[error("`{0}` is not a kind of statement that is filed here")]
    Kind(String),
    #[error("the statement speaks for {named}, but {signer} signed it")]
    OtherHospital { signer: HospitalId, named: HospitalId },
    #[error("slot {0} expired before it was filed; have the hospital make a new one")]
    SlotExpired(SlotId),
    #[error("slot {0} expires later than 72 hours from now; have the hospital make a new one")]
    SlotTooLong(SlotId),
    #[error("slot {0} is on file with other content")]
    SlotTaken(SlotId),
    #[error("no device {device} of {hospital} is on file")]
    UnknownDevice { device: DeviceId, hospital: HospitalId },
    #[error(
        "device {device} has another key: on file {on_file}, approved {approved}; compare them at the device"
    )]
    Fingerprint { device: DeviceId, on_file: String, approved: String },
    #[error("device {0} is revoked; it has to be enrolled again")]
    Revoked(DeviceId),
    #[error("device {device} is in epoch {current}; the rejoin names epoch {approved}, it must be the next")]
    RejoinEpoch { device: DeviceId, current: Epoch, approved: Epoch },
    #[error("the successor's key cannot be used")]
    Successor(#[source] KeyError),
    #[error("consent version {version} is not above version {on_file}, which is on file")]
    StaleConsent { version: u64, on_file: u64 },
    #[error("an agreement of kind {0} is not known to this version")]
    AgreementKind(u8),
    #[error(
        "no contract of this hospital on file has the text that was agreed to (SHA-256 {0}); load that very file first"
    )]
    UnknownContract(Hash),
    #[error(
        "no record about a contract of this hospital has the text that was agreed to (SHA-256 {0}); enter that very text first"
    )]
    UnknownRecord(Hash),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Verifies and files a statement; answers its position, or `None` where it was on file
    /// already.
    pub async fn file_statement(&self, envelope: &Envelope) -> Result<Option<u64>, FileError> {
        let mut book = Book::default();
        let mut tx = self.begin(&mut book).await?;
        let position = tx.file_statement(envelope).await?;
        if position.is_some() {
            tx.commit().await?;
        }
        Ok(position)
    }
}

impl Tx<'_> {
    /// As [`Store::file_statement`], within a transaction.
    pub async fn file_statement(&mut self, envelope: &Envelope) -> Result<Option<u64>, FileError> {
        let kind = envelope.payload_type();
        let filed = if kind == SlotTicket::TYPE {
            let (signer, ticket) = self.open::<SlotTicket>(envelope).await?;
            self.check_ticket(&ticket).await?.then_some((signer, ticket.into_inner().hospital))
        } else if kind == DeviceApproval::TYPE {
            let (signer, approval) = self.open::<DeviceApproval>(envelope).await?;
            same(&signer, &approval.hospital)?;
            self.check_approval(&approval).await?.then_some((signer, approval.into_inner().hospital))
        } else if kind == ConsentManifest::TYPE {
            let (signer, consent) = self.open::<ConsentManifest>(envelope).await?;
            same(&signer, &consent.hospital)?;
            self.check_consent(&consent, envelope).await?.then_some((signer, consent.into_inner().hospital))
        } else if kind == RejoinApproval::TYPE {
            let (signer, approval) = self.open::<RejoinApproval>(envelope).await?;
            same(&signer, &approval.hospital)?;
            self.check_rejoin(&approval).await?.then_some((signer, approval.into_inner().hospital))
        } else if kind == KeySuccession::TYPE {
            if self.is_filed_succession(envelope).await? {
                return Ok(None);
            }
            let (signer, succession) = self.open::<KeySuccession>(envelope).await?;
            succession.successor().map_err(FileError::Successor)?;
            Some((signer, succession.into_inner().hospital))
        } else if kind == Agreement::TYPE {
            let (signer, agreement) = self.open::<Agreement>(envelope).await?;
            same(&signer, &agreement.hospital)?;
            self.check_agreement(&agreement).await?.then_some((signer, agreement.into_inner().hospital))
        } else {
            return Err(FileError::Kind(kind.chars().take(80).collect()));
        };
        let Some((signer, named)) = filed else { return Ok(None) };
        same(&signer, &named)?;
        let entry = Entry::Statement { hospital: signer, bytes: envelope.to_bytes() };
        Ok(Some(self.journal(entry).await?))
    }

    /// The hospital whose key signed it, and the content.
    async fn open<T: Payload>(
        &mut self,
        envelope: &Envelope,
    ) -> Result<(HospitalId, Verified<T>), FileError> {
        let hint = envelope.key_hint().ok_or(FileError::UnknownHospital)?;
        let mut refused = FileError::UnknownHospital;
        for hospital in self.hospitals_by_key(hint).await? {
            match envelope.open::<T>(&hospital.key) {
                Ok(value) => return Ok((hospital.id, value)),
                Err(error) => refused = FileError::Envelope(error),
            }
        }
        Err(refused)
    }

    /// Whether the ticket is new.
    async fn check_ticket(&mut self, ticket: &SlotTicket) -> Result<bool, FileError> {
        if let Some(device) = ticket.replaces {
            self.device_of(device, &ticket.hospital).await?;
        }
        if let Some(on_file) = self.slot(ticket.slot).await? {
            let same = on_file.hospital == ticket.hospital
                && on_file.proof_key == ticket.proof_key
                && on_file.expires == ticket.expires
                && on_file.label == ticket.label
                && on_file.replaces == ticket.replaces
                && on_file.group == ticket.group;
            return if same { Ok(false) } else { Err(FileError::SlotTaken(ticket.slot)) };
        }
        if ticket.expires <= self.now() {
            return Err(FileError::SlotExpired(ticket.slot));
        }
        // The hospital's clock may be off by what a device's may.
        if ticket.expires > self.now().plus(limit::SLOT_LIFE_MAX).plus(limit::CLOCK_SKEW_MAX) {
            return Err(FileError::SlotTooLong(ticket.slot));
        }
        Ok(true)
    }

    /// Whether the approval changes anything.
    async fn check_approval(&mut self, approval: &DeviceApproval) -> Result<bool, FileError> {
        let device = self.device_of(approval.device, &approval.hospital).await?;
        let on_file = device.key.fingerprint();
        if on_file != approval.fingerprint {
            let (on_file, approved) = (grouped(&on_file), grouped(&approval.fingerprint));
            return Err(FileError::Fingerprint { device: device.id, on_file, approved });
        }
        Ok(device.approved.is_none())
    }

    /// Whether the agreement is new.
    async fn check_agreement(&mut self, agreement: &Agreement) -> Result<bool, FileError> {
        match AgreementKind::from_code(agreement.kind) {
            Some(AgreementKind::Contract) => {
                if !self.has_contract(&agreement.hospital, agreement.subject).await? {
                    return Err(FileError::UnknownContract(agreement.subject));
                }
            }
            Some(AgreementKind::Record) => {
                if !self.has_record(&agreement.hospital, agreement.subject).await? {
                    return Err(FileError::UnknownRecord(agreement.subject));
                }
            }
            None => return Err(FileError::AgreementKind(agreement.kind)),
        }
        Ok(!self.has_agreed(agreement).await?)
    }

    /// A device of this hospital that is not revoked.
    async fn device_of(&mut self, device: DeviceId, hospital: &HospitalId) -> Result<DeviceRow, FileError> {
        let row = self.device(device).await?.filter(|d| d.hospital == *hospital);
        let row = row.ok_or_else(|| FileError::UnknownDevice { device, hospital: hospital.clone() })?;
        if row.revoked.is_some() { Err(FileError::Revoked(device)) } else { Ok(row) }
    }

    /// Whether the approval of a rejoin changes anything.
    async fn check_rejoin(&mut self, approval: &RejoinApproval) -> Result<bool, FileError> {
        let device = self.device_of(approval.device, &approval.hospital).await?.id;
        if self.rejoin_approved(device, approval.epoch, approval.fingerprint).await? {
            return Ok(false);
        }
        let current = self.chain(device).await?.epoch;
        if approval.epoch != current.next() {
            return Err(FileError::RejoinEpoch { device, current, approved: approval.epoch });
        }
        Ok(true)
    }

    /// Whether this very statement named the key that is on file. It was signed by the key before,
    /// which opens nothing any more.
    async fn is_filed_succession(&mut self, envelope: &Envelope) -> Result<bool, FileError> {
        let Ok(named) = KeySuccession::decode(envelope.body()) else { return Ok(false) };
        let on_file = self.hospital(&named.hospital).await?.and_then(|h| h.succession);
        Ok(on_file == Some(Hash::of(&envelope.to_bytes())))
    }

    /// Whether the consent is new.
    async fn check_consent(
        &mut self,
        consent: &ConsentManifest,
        envelope: &Envelope,
    ) -> Result<bool, FileError> {
        let scope = scope_text(&consent.scope);
        let Some(on_file) = self.consent_version(&consent.hospital, &scope).await? else { return Ok(true) };
        if on_file < consent.version {
            return Ok(true);
        }
        let same = self.consent(&consent.hospital, &scope, consent.version).await?;
        if same.is_some_and(|bytes| bytes == envelope.to_bytes()) {
            return Ok(false);
        }
        Err(FileError::StaleConsent { version: consent.version, on_file })
    }
}

fn same(signer: &HospitalId, named: &HospitalId) -> Result<(), FileError> {
    if signer == named {
        Ok(())
    } else {
        Err(FileError::OtherHospital { signer: signer.clone(), named: named.clone() })
    }
}
