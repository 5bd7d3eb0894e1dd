//! What the hospital signs besides its consent: slot tickets, approvals of devices and of rejoins,
//! agreements, the succession of its own key; and the armour in which statements travel as files.
//!
//! Holds: a statement is an envelope; the collector only verifies and files it and can make none
//! in the hospital's name, since it never holds the hospital's key.

use crate::{
    envelope::{Envelope, EnvelopeError},
    id::{DeviceId, Epoch, Hash, HospitalId, Name, SlotId},
    key::{KeyError, PublicKey},
    limit, positional_payload,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A slot's half for the collector: enough to check a redemption, signed by the hospital.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotTicket {
    pub slot: SlotId,
    pub hospital: HospitalId,
    /// What people call the device that is meant.
    pub label: Name,
    pub group: Option<Name>,
    /// [`crate::enrollment::slot_key`] of the token, never the token.
    pub proof_key: Hash,
    pub expires: Timestamp,
    /// The device that goes on with a new key, where it lost its own.
    pub replaces: Option<DeviceId>,
}
positional_payload!(SlotTicket, "slot");

/// A slot's half for the device; secret, since it holds the token. Carried by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFile {
    /// The collector's enrollment address, `https://host:port`.
    pub collector: String,
    /// SHA-256 of the collector's root certificate.
    pub root: Hash,
    pub slot: SlotId,
    #[serde(with = "serde_bytes")]
    pub token: Vec<u8>,
    pub expires: Timestamp,
    #[serde(with = "serde_bytes")]
    hospital_key: Vec<u8>,
    /// The hospital's consent, an envelope.
    consent: ByteBuf,
    pub group: Option<Name>,
}

/// The hospital's word that this key belongs to the device it meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceApproval {
    pub hospital: HospitalId,
    pub device: DeviceId,
    /// Fingerprint of the device's key, as both sides show it.
    pub fingerprint: Hash,
    pub approved_at: Timestamp,
}
positional_payload!(DeviceApproval, "approval");

/// The hospital's word that a device whose chain fell behind goes on in this epoch, with this key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejoinApproval {
    pub hospital: HospitalId,
    pub device: DeviceId,
    /// The epoch that begins.
    pub epoch: Epoch,
    /// Fingerprint of the new device key, as both sides show it.
    pub fingerprint: Hash,
    pub approved_at: Timestamp,
}
positional_payload!(RejoinApproval, "rejoin-approval");

/// The hospital's new key, signed with its old one, which signs nothing from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySuccession {
    pub hospital: HospitalId,
    #[serde(with = "serde_bytes")]
    successor: Vec<u8>,
    pub decided_at: Timestamp,
}
positional_payload!(KeySuccession, "key-succession");

impl KeySuccession {
    pub fn new(hospital: HospitalId, successor: PublicKey, decided_at: Timestamp) -> Self {
        Self { hospital, successor: successor.to_bytes().to_vec(), decided_at }
    }

    pub fn successor(&self) -> Result<PublicKey, KeyError> {
        public_key(&self.successor)
    }
}

/// The hospital's word that it agrees to a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    pub hospital: HospitalId,
    /// Code of an [`AgreementKind`].
    pub kind: u8,
    /// SHA-256 of the text, byte for byte.
    pub subject: Hash,
    pub agreed_at: Timestamp,
}
positional_payload!(Agreement, "agreement");

/// What kind of text is agreed to. The codes are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgreementKind {
    /// A version of a contract, its file as the vendor loads it.
    Contract = 1,
    /// A record about the contract that needs the hospital's word: an exclusion, who caused a stop,
    /// an emergency access. Its text, as the vendor entered it.
    Record = 2,
}

impl AgreementKind {
    pub const ALL: [Self; 2] = [Self::Contract, Self::Record];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// What [`SlotFile::new`] puts together.
#[derive(Debug, Clone)]
pub struct SlotParts {
    pub collector: String,
    pub root: Hash,
    pub slot: SlotId,
    pub token: [u8; 16],
    pub expires: Timestamp,
    pub hospital_key: PublicKey,
    pub consent: Envelope,
    pub group: Option<Name>,
}

impl SlotFile {
    const ARMOUR: &'static str = "TENKEN SLOT";

    pub fn new(parts: SlotParts) -> Self {
        Self {
            collector: parts.collector,
            root: parts.root,
            slot: parts.slot,
            token: parts.token.to_vec(),
            expires: parts.expires,
            hospital_key: parts.hospital_key.to_bytes().to_vec(),
            consent: ByteBuf::from(parts.consent.to_bytes()),
            group: parts.group,
        }
    }

    pub fn hospital_key(&self) -> Result<PublicKey, KeyError> {
        public_key(&self.hospital_key)
    }

    pub fn consent(&self) -> Result<Envelope, EnvelopeError> {
        Envelope::from_bytes(&self.consent)
    }

    pub fn to_armour(&self) -> String {
        let bytes = crate::codec::to_vec(self).expect("a slot always encodes");
        armour(Self::ARMOUR, &bytes)
    }

    pub fn from_armour(text: &str) -> Result<Self, ArmourError> {
        let bytes = unarmour(Self::ARMOUR, text)?;
        crate::codec::from_slice(&bytes, limit::MESSAGE_BYTES_MAX).map_err(ArmourError::Slot)
    }
}

fn public_key(bytes: &[u8]) -> Result<PublicKey, KeyError> {
    PublicKey::from_bytes(bytes.try_into().map_err(|_| KeyError::NotAPoint)?)
}

/// A file that holds no statement.
#[derive(Debug, thiserror::Error)]
pub enum ArmourError {
    #[error("not a file with one `{expected}` block")]
    Label { expected: &'static str },
    #[error("a file holds at most {max} statements", max = limit::STATEMENTS_MAX)]
    TooMany,
    #[error("the statement in the file is damaged")]
    Statement(#[source] EnvelopeError),
    #[error("the slot in the file is damaged")]
    Slot(#[source] crate::codec::CodecError),
}

const STATEMENT: &str = "TENKEN STATEMENT";
const BEGIN: &str = "-----BEGIN ";

/// The consent's name in a device's state folder.
pub const CONSENT_FILE: &str = "consent.statement";
/// The name of the successions of the hospital's key there, oldest first.
pub const SUCCESSOR_FILE: &str = "successor.statement";

/// A statement as a text file that can be mailed or carried.
pub fn to_armour(envelope: &Envelope) -> String {
    armour(STATEMENT, &envelope.to_bytes())
}

pub fn from_armour(text: &str) -> Result<Envelope, ArmourError> {
    Envelope::from_bytes(&unarmour(STATEMENT, text)?).map_err(ArmourError::Statement)
}

/// Every statement of a file, in its order.
pub fn all_from_armour(text: &str) -> Result<Vec<Envelope>, ArmourError> {
    let mut ends: Vec<usize> = text.match_indices(BEGIN).skip(1).map(|(at, _)| at).collect();
    if ends.len() >= limit::STATEMENTS_MAX {
        return Err(ArmourError::TooMany);
    }
    ends.push(text.len());
    let mut start = 0;
    let mut block = |end| text.get(std::mem::replace(&mut start, end)..end).unwrap_or("").trim_end();
    ends.into_iter().map(|end| from_armour(block(end))).collect()
}

fn armour(label: &str, bytes: &[u8]) -> String {
    pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, bytes)
        .expect("a fixed label and bounded bytes always encode")
}

fn unarmour(expected: &'static str, text: &str) -> Result<Vec<u8>, ArmourError> {
    match pem_rfc7468::decode_vec(text.as_bytes()) {
        Ok((label, bytes)) if label == expected => Ok(bytes),
        Ok(_) | Err(_) => Err(ArmourError::Label { expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    #[test]
    fn a_statement_survives_its_armour() {
        let key = SecretKey::from_seed(&[1; 32]);
        let approval = DeviceApproval {
            hospital: "minato".parse().unwrap(),
            device: DeviceId([2; 16]),
            fingerprint: Hash([3; 32]),
            approved_at: Timestamp::from_secs(5),
        };
        let text = to_armour(&Envelope::seal(&approval, &key).unwrap());
        let back = from_armour(&text).unwrap().open::<DeviceApproval>(&key.public()).unwrap();
        assert_eq!(*back, approval);
        assert!(from_armour("hello").is_err());
        let twice = format!("{text}\n{text}");
        assert_eq!(all_from_armour(&twice).unwrap().len(), 2);
        assert!(from_armour(&twice).is_err(), "one at a time");
        assert!(all_from_armour("").is_err() && all_from_armour(&format!("{text}-----BEGIN x")).is_err());
        assert!(matches!(all_from_armour(&text.repeat(17)), Err(ArmourError::TooMany)));
        assert!(SlotFile::from_armour(&text).is_err(), "an approval is no slot");
    }
}
