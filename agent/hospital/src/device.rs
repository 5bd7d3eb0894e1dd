//! Slots for devices to come, and the approval of those that came or come again.
//!
//! Holds: a slot's token exists in the device's half only; the collector's half has a key derived
//! from it, signed by the hospital. An approval names the device's key by its fingerprint.

use std::time::Duration;
use tenken_common::{
    codec::CodecError,
    enrollment::slot_key,
    envelope::Envelope,
    id::{DeviceId, Hash, HospitalId, Name, SlotId},
    key::{self, KeyError, SecretKey},
    limit,
    statement::{DeviceApproval, RejoinApproval, SlotFile, SlotParts, SlotTicket},
    time::Timestamp,
};

/// What a slot is made for.
#[derive(Debug, Clone)]
pub struct SlotOrder {
    pub hospital: HospitalId,
    /// What people call the device.
    pub label: Name,
    pub group: Option<Name>,
    /// The collector's enrollment address.
    pub collector: String,
    /// SHA-256 of the collector's root certificate.
    pub root: Hash,
    pub consent: Envelope,
    pub life: Duration,
    /// A device that lost its key and goes on with a new one.
    pub replaces: Option<DeviceId>,
}

/// Both halves.
#[derive(Debug)]
pub struct Slot {
    pub id: SlotId,
    /// Secret; carried to the device by hand.
    pub for_device: SlotFile,
    /// Sent to the vendor.
    pub for_collector: Envelope,
}

/// A slot that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    #[error("a slot lives at most {} hours", limit::SLOT_LIFE_MAX.as_secs() / 3_600)]
    TooLong,
    #[error("the collector's address must begin with https://")]
    NotHttps,
    #[error("the consent is not one that this hospital's key signed")]
    Consent(#[source] tenken_common::envelope::EnvelopeError),
    #[error("no random bytes")]
    Random(#[source] KeyError),
    #[error("the slot could not be encoded")]
    Encode(#[source] CodecError),
}

/// Makes a slot.
pub fn make_slot(order: SlotOrder, hospital_key: &SecretKey, now: Timestamp) -> Result<Slot, SlotError> {
    if order.life > limit::SLOT_LIFE_MAX {
        return Err(SlotError::TooLong);
    }
    if !order.collector.starts_with("https://") {
        return Err(SlotError::NotHttps);
    }
    order
        .consent
        .open::<tenken_common::consent::ConsentManifest>(&hospital_key.public())
        .map_err(SlotError::Consent)?;
    let id = SlotId(key::random().map_err(SlotError::Random)?);
    let token: [u8; 16] = key::random().map_err(SlotError::Random)?;
    let expires = now.plus(order.life);
    let ticket = SlotTicket {
        slot: id,
        hospital: order.hospital,
        label: order.label,
        group: order.group.clone(),
        proof_key: slot_key(&token),
        expires,
        replaces: order.replaces,
    };
    let for_device = SlotFile::new(SlotParts {
        collector: order.collector,
        root: order.root,
        slot: id,
        token,
        expires,
        hospital_key: hospital_key.public(),
        consent: order.consent,
        group: order.group,
    });
    let for_collector = Envelope::seal(&ticket, hospital_key).map_err(SlotError::Encode)?;
    Ok(Slot { id, for_device, for_collector })
}

/// Says that the key with this fingerprint belongs to the device that was meant.
pub fn approve(
    hospital: HospitalId,
    device: DeviceId,
    fingerprint: Hash,
    hospital_key: &SecretKey,
    now: Timestamp,
) -> Result<Envelope, CodecError> {
    let approval = DeviceApproval { hospital, device, fingerprint, approved_at: now };
    Envelope::seal(&approval, hospital_key)
}

/// Says that the device goes on in this epoch with the key that has this fingerprint.
pub fn approve_rejoin(approval: &RejoinApproval, hospital_key: &SecretKey) -> Result<Envelope, CodecError> {
    Envelope::seal(approval, hospital_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent;
    use tenken_common::message::Language;

    fn order(key: &SecretKey) -> SlotOrder {
        let hospital: HospitalId = "minato".parse().unwrap();
        let manifest = consent::parse(&consent::template(&hospital, Timestamp::EPOCH, Language::En)).unwrap();
        SlotOrder {
            hospital,
            label: Name::new("CT-1").unwrap(),
            group: None,
            collector: "https://rsc.example.jp:8443".into(),
            root: Hash([1; 32]),
            consent: consent::sign(&manifest, key).unwrap(),
            replaces: None,
            life: Duration::from_secs(3_600),
        }
    }

    #[test]
    fn the_halves_fit_and_only_the_device_s_has_the_token() {
        let key = SecretKey::from_seed(&[1; 32]);
        let slot = make_slot(order(&key), &key, Timestamp::EPOCH).unwrap();
        let ticket = slot.for_collector.open::<SlotTicket>(&key.public()).unwrap();
        assert_eq!(ticket.proof_key, slot_key(&slot.for_device.token));
        let public = slot.for_collector.to_bytes();
        assert!(!public.windows(16).any(|w| w == slot.for_device.token));
        let again = SlotFile::from_armour(&slot.for_device.to_armour()).unwrap();
        assert_eq!(again, slot.for_device);
    }

    #[test]
    fn slots_that_live_too_long_or_speak_plain_http_are_refused() {
        let key = SecretKey::from_seed(&[1; 32]);
        let long = SlotOrder { life: Duration::from_secs(73 * 3_600), ..order(&key) };
        assert!(matches!(make_slot(long, &key, Timestamp::EPOCH), Err(SlotError::TooLong)));
        let plain = SlotOrder { collector: "http://x".into(), ..order(&key) };
        assert!(matches!(make_slot(plain, &key, Timestamp::EPOCH), Err(SlotError::NotHttps)));
        let vendor = SecretKey::from_seed(&[2; 32]);
        let got = make_slot(order(&vendor), &key, Timestamp::EPOCH);
        assert!(matches!(got, Err(SlotError::Consent(_))));
    }
}
