//! Enrollment from the device's side: redeem the hospital's slot, once.
//!
//! Holds: keys are durable before the request goes out; the token is never sent; the reply is
//! believed only with the slot's proof. Asking again after a lost reply gives the same device. The
//! device's clock decides nothing here: whether the slot is still good is the collector's to say.

use crate::{
    consent_file,
    identity::{self, Enrolled, IdentityError, SlotOrigin},
    transport::{
        http::TransportError,
        way::{Way, WayError},
    },
};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::path::Path;
use tenken_common::{
    codec::CodecError,
    enrollment::{EnrollmentError, HostFacts, Request, slot_key},
    envelope::EnvelopeError,
    file::WriteError,
    id::{Hash, Name, Nonce},
    key::{self, KeyError},
    statement::{SlotFile, to_armour},
};

/// Why a device was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    #[error("this device is enrolled already, as {0}")]
    Already(tenken_common::id::DeviceId),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the slot names no usable hospital key")]
    HospitalKey(#[source] KeyError),
    #[error("the slot holds no usable consent")]
    Consent(#[source] EnvelopeError),
    #[error("no random bytes")]
    Random(#[source] KeyError),
    #[error("the certificate request could not be made")]
    Csr(#[source] rcgen::Error),
    #[error("the request could not be encoded")]
    Encode(#[source] CodecError),
    #[error(transparent)]
    Way(#[from] WayError),
    #[error("enrollment at {url} failed")]
    Transport { url: String, source: TransportError },
    #[error("the collector refused the enrollment (HTTP {status}): {}", meaning(*status))]
    Refused { status: u16 },
    #[error("the collector's reply is not to be believed")]
    Reply(#[source] EnrollmentError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Redeems `slot` and makes the identity durable in `state_dir`.
pub async fn enroll(
    state_dir: &Path,
    slot: &SlotFile,
    agent_version: &str,
    way: &Way,
) -> Result<Enrolled, EnrollError> {
    let hospital_key = slot.hospital_key().map_err(EnrollError::HospitalKey)?;
    let consent = slot.consent().map_err(EnrollError::Consent)?;
    let origin = SlotOrigin {
        slot: slot.slot,
        hospital_key,
        group: slot.group.clone(),
        collector: slot.collector.clone(),
    };
    let Some(applicant) = identity::begin(state_dir, &origin, make_tls_key)? else {
        return Err(EnrollError::Already(identity::load(state_dir)?.device));
    };

    let proof_key = slot_key(&slot.token);
    let csr =
        certificate_request(applicant.tls_key_der(), &slot.slot.to_string()).map_err(EnrollError::Csr)?;
    let nonce = Nonce(key::random().map_err(EnrollError::Random)?);
    let facts = host_facts(agent_version);
    let request = Request::new(slot.slot, &proof_key, applicant.device_key(), csr, facts, nonce)
        .map_err(EnrollError::Encode)?;

    let failed = |source| EnrollError::Transport { url: slot.collector.clone(), source };
    let transport = way.enrollment(&slot.collector, slot.root)?;
    let answer = transport.post("/v1/enroll", request.bytes().to_vec(), &nonce).await.map_err(failed)?;
    if answer.status != 200 {
        return Err(EnrollError::Refused { status: answer.status });
    }
    let (grant, genesis) = request.open_reply(&answer.body, &proof_key).map_err(EnrollError::Reply)?;
    let enrolled = applicant.finish(state_dir, &grant, genesis)?;
    tenken_common::file::write(
        &consent_file::path(state_dir),
        to_armour(&consent).as_bytes(),
        tenken_common::file::Access::Everyone,
    )?;
    Ok(enrolled)
}

/// What the status means here, and what to do next. It is not signed: a hint to a person only.
fn meaning(status: u16) -> &'static str {
    match status {
        400 | 401 => "it does not believe the request; is this the slot file as the hospital made it?",
        403 => "the device was revoked; ask the vendor",
        404 => "it does not know this slot; has the vendor filed the slot's other half?",
        410 => {
            "the slot was used by another device or has expired; ask the hospital's administrator for a new one"
        }
        429 | 503 => "it cannot take it now; try again later",
        _ => "ask the vendor; the collector's log says more",
    }
}

/// A new key for TLS, PKCS #8, DER.
pub fn make_tls_key() -> Result<Vec<u8>, KeyError> {
    // P-256 key generation fails only when the system gives no random bytes.
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| KeyError::NotAPoint)?;
    Ok(key.serialize_der())
}

/// A request for a certificate for that key.
pub fn certificate_request(tls_key: &[u8], common_name: &str) -> Result<Vec<u8>, rcgen::Error> {
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from(tls_key.to_vec());
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params.serialize_request(&key)?.der().to_vec())
}

/// Facts by which a moved or copied disk is noticed later. The machine's identity leaves hashed.
pub fn host_facts(agent_version: &str) -> HostFacts {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    HostFacts {
        os: Name::of_outside(std::env::consts::OS),
        arch: Name::of_outside(std::env::consts::ARCH),
        agent_version: Name::of_outside(agent_version),
        machine: Hash::of(&[b"tenken machine v1 ".as_slice(), machine.trim().as_bytes()].concat()),
    }
}
