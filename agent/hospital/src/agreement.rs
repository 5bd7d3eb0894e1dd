//! What the hospital agrees to: a version of a contract, as its file stands, or a record about one
//! (an exclusion, who caused a stop, an emergency access), as the vendor entered it.
//!
//! Holds: the statement names the SHA-256 of the text, so it speaks of this very text and of no
//! other. A text that is no contract, or another hospital's, is not agreed to.

use tenken_collector_core::sla::{contract::Contract, history::FiledRecord};
use tenken_common::{
    codec::CodecError,
    config::Problems,
    envelope::Envelope,
    id::{Hash, HospitalId},
    key::SecretKey,
    statement::{Agreement, AgreementKind},
    time::Timestamp,
};

/// A text that is not agreed to.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    #[error("the contract has {0}")]
    Contract(Problems),
    #[error("the record has {0}")]
    Record(Problems),
    #[error("a record of this kind counts without an agreement; there is nothing to sign")]
    NotWanted,
    #[error("the contract is with {named}, not with {expected}")]
    OtherHospital { named: HospitalId, expected: HospitalId },
    #[error("the agreement could not be encoded")]
    Encode(#[source] CodecError),
}

/// Agrees to the contract with this text.
pub fn agree(
    hospital: &HospitalId,
    text: &str,
    key: &SecretKey,
    now: Timestamp,
) -> Result<(Contract, Envelope), AgreementError> {
    let contract = Contract::parse(text).map_err(AgreementError::Contract)?;
    if contract.hospital.id != *hospital {
        let (named, expected) = (contract.hospital.id, hospital.clone());
        return Err(AgreementError::OtherHospital { named, expected });
    }
    Ok((contract, seal(hospital, AgreementKind::Contract, text, (key, now))?))
}

/// Agrees to the record with this text.
pub fn agree_record(
    hospital: &HospitalId,
    text: &str,
    key: &SecretKey,
    now: Timestamp,
) -> Result<(FiledRecord, Envelope), AgreementError> {
    let filed = FiledRecord::parse(text).map_err(AgreementError::Record)?;
    if !filed.record.wants_agreement() {
        return Err(AgreementError::NotWanted);
    }
    Ok((filed, seal(hospital, AgreementKind::Record, text, (key, now))?))
}

fn seal(
    hospital: &HospitalId,
    kind: AgreementKind,
    text: &str,
    (key, now): (&SecretKey, Timestamp),
) -> Result<Envelope, AgreementError> {
    let agreement = Agreement {
        hospital: hospital.clone(),
        kind: kind.code(),
        subject: Hash::of(text.as_bytes()),
        agreed_at: now,
    };
    Envelope::seal(&agreement, key).map_err(AgreementError::Encode)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = include_str!("../../../packaging/config/contract.example.toml");

    #[test]
    fn the_very_text_is_agreed_to_by_the_hospital_it_names() {
        let key = SecretKey::from_seed(&[1; 32]);
        let named = Contract::parse(CONTRACT).unwrap().hospital.id;
        let (_, envelope) = agree(&named, CONTRACT, &key, Timestamp::EPOCH).unwrap();
        let agreement = envelope.open::<Agreement>(&key.public()).unwrap();
        assert_eq!(agreement.subject, Hash::of(CONTRACT.as_bytes()));
        let other = agree(&"shiba".parse().unwrap(), CONTRACT, &key, Timestamp::EPOCH);
        assert!(matches!(other, Err(AgreementError::OtherHospital { .. })));
        let none = agree(&named, "id = 3", &key, Timestamp::EPOCH);
        assert!(matches!(none, Err(AgreementError::Contract(_))));
    }
}
