//! Any statement as a person reads it.
//!
//! Holds: every field is shown, except a slot's token. Whether the signature was checked is said
//! with each; without a key to check it by, what is shown is only what the file claims.

use crate::consent;
use tenken_common::{
    codec::CodecError,
    consent::ConsentManifest,
    envelope::{Envelope, EnvelopeError, Payload},
    id::{Hash, hex},
    key::{KeyError, PublicKey, grouped},
    message::{Language, Message},
    statement::{
        Agreement, AgreementKind, DeviceApproval, KeySuccession, RejoinApproval, SlotFile, SlotTicket,
    },
    time::{Timestamp, jst_minute},
    trust::TrustDocument,
};

/// A statement that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    #[error("the statement is not signed by that key")]
    Signature(#[source] EnvelopeError),
    #[error("the statement cannot be read")]
    Content(#[source] CodecError),
    #[error("the statement names no usable key")]
    Key(#[source] KeyError),
    #[error("the slot's consent cannot be read")]
    Consent(#[source] EnvelopeError),
    #[error("`{0}` is no kind of statement that this version knows")]
    Kind(String),
}

/// A statement; verified where a key is given.
pub fn statement(
    envelope: &Envelope,
    key: Option<&PublicKey>,
    language: Language,
) -> Result<String, ShowError> {
    let page = Page { envelope, key, language };
    let kind = envelope.payload_type();
    let text = if kind == ConsentManifest::TYPE {
        consent::show(&page.read()?, language)
    } else if kind == SlotTicket::TYPE {
        page.ticket(&page.read()?)
    } else if kind == DeviceApproval::TYPE {
        page.approval(&page.read()?)
    } else if kind == RejoinApproval::TYPE {
        page.rejoin(&page.read()?)
    } else if kind == KeySuccession::TYPE {
        page.succession(&page.read()?)?
    } else if kind == Agreement::TYPE {
        page.agreement(&page.read()?)
    } else if kind == TrustDocument::TYPE {
        page.trust(&page.read()?)?
    } else {
        return Err(ShowError::Kind(kind.chars().take(80).collect()));
    };
    let signer = envelope.key_hint().map_or_else(|| "-".to_owned(), |id| id.to_string());
    let note = if key.is_some() { Message::ShownVerified } else { Message::ShownUnverified };
    Ok(format!("{}\n{}\n", text.trim_end(), note.fill(language, &[("key", &signer)])))
}

/// A slot's half for the device, without its token.
pub fn slot(slot: &SlotFile, language: Language) -> Result<String, ShowError> {
    let key = slot.hospital_key().map_err(ShowError::Key)?;
    let head = fill(
        Message::ShownSlot,
        language,
        &[
            ("slot", slot.slot.to_string()),
            ("collector", slot.collector.clone()),
            ("root", slot.root.to_string()),
            ("key", hex(&key.to_bytes())),
            ("group", or_dash(slot.group.as_ref())),
            ("expires", minute(slot.expires)),
        ],
    );
    let consent = slot.consent().map_err(ShowError::Consent)?;
    Ok(format!("{head}\n{}", statement(&consent, Some(&key), language)?))
}

struct Page<'a> {
    envelope: &'a Envelope,
    key: Option<&'a PublicKey>,
    language: Language,
}

impl Page<'_> {
    fn read<T: Payload>(&self) -> Result<T, ShowError> {
        match self.key {
            Some(key) => Ok(self.envelope.open::<T>(key).map_err(ShowError::Signature)?.into_inner()),
            None => T::decode(self.envelope.body()).map_err(ShowError::Content),
        }
    }

    fn ticket(&self, t: &SlotTicket) -> String {
        let values = [
            ("slot", t.slot.to_string()),
            ("hospital", t.hospital.to_string()),
            ("label", t.label.to_string()),
            ("group", or_dash(t.group.as_ref())),
            ("expires", minute(t.expires)),
            ("replaces", or_dash(t.replaces.as_ref())),
            ("proof", t.proof_key.to_string()),
        ];
        fill(Message::ShownTicket, self.language, &values)
    }

    fn approval(&self, a: &DeviceApproval) -> String {
        let values = [
            ("hospital", a.hospital.to_string()),
            ("device", a.device.to_string()),
            ("fingerprint", grouped(&a.fingerprint)),
            ("at", minute(a.approved_at)),
        ];
        fill(Message::ShownApproval, self.language, &values)
    }

    fn rejoin(&self, a: &RejoinApproval) -> String {
        let values = [
            ("hospital", a.hospital.to_string()),
            ("device", a.device.to_string()),
            ("epoch", a.epoch.to_string()),
            ("fingerprint", grouped(&a.fingerprint)),
            ("at", minute(a.approved_at)),
        ];
        fill(Message::ShownRejoin, self.language, &values)
    }

    fn succession(&self, s: &KeySuccession) -> Result<String, ShowError> {
        let successor = s.successor().map_err(ShowError::Key)?;
        let values = [
            ("hospital", s.hospital.to_string()),
            ("key", hex(&successor.to_bytes())),
            ("fingerprint", grouped(&successor.fingerprint())),
            ("at", minute(s.decided_at)),
        ];
        Ok(fill(Message::ShownSuccession, self.language, &values))
    }

    fn agreement(&self, a: &Agreement) -> String {
        let kind = match AgreementKind::from_code(a.kind) {
            Some(AgreementKind::Contract) => Message::AgreementContract.text(self.language).to_owned(),
            Some(AgreementKind::Record) => Message::AgreementRecord.text(self.language).to_owned(),
            None => Message::AgreementUnknown.fill(self.language, &[("code", &a.kind.to_string())]),
        };
        let values = [
            ("hospital", a.hospital.to_string()),
            ("kind", kind),
            ("subject", a.subject.to_string()),
            ("at", minute(a.agreed_at)),
        ];
        fill(Message::ShownAgreement, self.language, &values)
    }

    fn trust(&self, t: &TrustDocument) -> Result<String, ShowError> {
        let roots: Vec<String> = t.roots.iter().map(|root| Hash::of(root).to_string()).collect();
        let values = [
            ("version", t.version.to_string()),
            ("roots", roots.join(", ")),
            ("ack", hex(&t.ack_key().map_err(ShowError::Key)?.to_bytes())),
            ("signer", hex(&t.next_signer().map_err(ShowError::Key)?.to_bytes())),
            ("at", minute(t.issued)),
        ];
        Ok(fill(Message::ShownTrust, self.language, &values))
    }
}

fn fill(message: Message, language: Language, values: &[(&str, String)]) -> String {
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    message.fill(language, &values)
}

fn minute(at: Timestamp) -> String {
    format!("{} JST", jst_minute(at))
}

fn or_dash(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{
        id::{DeviceId, Epoch, HospitalId, Name, SlotId},
        key::SecretKey,
    };

    fn key() -> SecretKey {
        SecretKey::from_seed(&[1; 32])
    }

    /// One statement of each kind, and a value that must be seen in it.
    fn all() -> Vec<(Envelope, String)> {
        let hospital: HospitalId = "minato".parse().unwrap();
        let (device, fingerprint, at) = (DeviceId([0xab; 16]), Hash([0xcd; 32]), Timestamp::EPOCH);
        let other = SecretKey::from_seed(&[2; 32]).public();
        let manifest = consent::parse(&consent::template(&hospital, at, Language::En)).unwrap();
        let ticket = SlotTicket {
            slot: SlotId([7; 16]),
            hospital: hospital.clone(),
            label: Name::new("CT-1").unwrap(),
            group: None,
            proof_key: Hash([3; 32]),
            expires: at,
            replaces: Some(device),
        };
        let approval = DeviceApproval { hospital: hospital.clone(), device, fingerprint, approved_at: at };
        let rejoin = RejoinApproval {
            hospital: hospital.clone(),
            device,
            epoch: Epoch(41),
            fingerprint,
            approved_at: at,
        };
        let succession = KeySuccession::new(hospital.clone(), other, at);
        let agreement = Agreement { hospital, kind: 1, subject: fingerprint, agreed_at: at };
        let trust = TrustDocument::new(9, &[vec![1]], other, other, at);
        let seal = |envelope: Result<Envelope, CodecError>, word: String| (envelope.unwrap(), word);
        vec![
            seal(Envelope::seal(&manifest, &key()), "pattern_file".into()),
            seal(Envelope::seal(&ticket, &key()), device.to_string()),
            seal(Envelope::seal(&approval, &key()), grouped(&fingerprint)),
            seal(Envelope::seal(&rejoin, &key()), "41".into()),
            seal(Envelope::seal(&succession, &key()), hex(&other.to_bytes())),
            seal(Envelope::seal(&agreement, &key()), fingerprint.to_string()),
            seal(Envelope::seal(&trust, &key()), Hash::of(&[1]).to_string()),
        ]
    }

    #[test]
    fn every_kind_is_shown_in_both_languages_and_says_whether_it_was_verified() {
        for language in [Language::Ja, Language::En] {
            for (envelope, word) in all() {
                let claimed = statement(&envelope, None, language).unwrap();
                let verified = statement(&envelope, Some(&key().public()), language).unwrap();
                for text in [&claimed, &verified] {
                    assert!(text.contains(&word) && !text.contains('{'), "{text}");
                }
                assert_ne!(claimed, verified);
                let other = SecretKey::from_seed(&[3; 32]).public();
                assert!(matches!(statement(&envelope, Some(&other), language), Err(ShowError::Signature(_))));
            }
        }
        let odd = Envelope::seal_bytes("x", vec![], &key());
        assert!(matches!(statement(&odd, None, Language::En), Err(ShowError::Kind(_))));
    }
}
