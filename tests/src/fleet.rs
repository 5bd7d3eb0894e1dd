//! Many light devices in one process: each has its own keys, chain and TLS connection and speaks
//! the real protocol with the product's own parts; only the machine around them is missing.
//!
//! Holds: a device does what its program does (enrollment, resume, cut, send, release), through
//! the product's transport, pusher and spool. Nothing here decides for them.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::time::Duration;
use tenken_agent::transport::http::{Answer, HttpTransport};
use tenken_common::{
    enrollment::{Grant, HostFacts, Request, slot_key},
    id::{Hash, Name, Nonce},
    key::{self, SecretKey},
    statement::SlotFile,
    tls,
};

/// Of one request; many devices share two cores.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// Before a request is tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long anybody waits for an answer that means something.
const BOUND: Duration = Duration::from_secs(120);

/// Somebody who has a slot and is nobody yet.
pub struct Applicant {
    pub device_key: SecretKey,
    pub tls_key: KeyPair,
}

impl Applicant {
    pub fn new() -> Self {
        let device_key = SecretKey::generate().expect("the system has random bytes");
        let tls_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("the system has random bytes");
        Self { device_key, tls_key }
    }

    /// A redemption of `slot`.
    pub fn request(&self, slot: &SlotFile, facts: HostFacts) -> Request {
        self.request_with(slot, &slot_key(&slot.token), facts)
    }

    /// The same with a proof of the caller's choice.
    pub fn request_with(&self, slot: &SlotFile, proof_key: &Hash, facts: HostFacts) -> Request {
        let csr = CertificateParams::default().serialize_request(&self.tls_key).expect("a P-256 key signs");
        Request::new(slot.slot, proof_key, &self.device_key, csr.der().to_vec(), facts, nonce())
            .expect("a request encodes")
    }
}

impl Default for Applicant {
    fn default() -> Self {
        Self::new()
    }
}

/// What a host of this kind says of itself.
pub fn facts(machine: &[u8]) -> HostFacts {
    HostFacts {
        os: Name::of_outside("linux"),
        arch: Name::of_outside("x86_64"),
        agent_version: Name::of_outside("0.1.0"),
        machine: Hash::of(machine),
    }
}

pub fn nonce() -> Nonce {
    Nonce(key::random().expect("the system has random bytes"))
}

/// The way to the address in a slot, as an enrolling agent has it.
pub fn way_to(slot: &SlotFile) -> HttpTransport {
    let tls = tls::client_pinned_by_hash(slot.root).expect("TLS 1.3 is there");
    HttpTransport::new(&slot.collector, tls, TIMEOUT, None).expect("a client can be set up")
}

/// Posts until there is an answer other than "later".
///
/// # Panics
/// After two minutes.
pub async fn post(transport: &HttpTransport, path: &str, body: &[u8]) -> Answer {
    let answered = tokio::time::timeout(BOUND, async {
        loop {
            match transport.post(path, body.to_vec(), &nonce()).await {
                Ok(answer) if !matches!(answer.status, 429 | 503) => return answer,
                Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    });
    answered.await.unwrap_or_else(|_| panic!("no answer to {path} in {BOUND:?}"))
}

/// Redeems a slot; the grant and where the chain begins, or the status of the refusal.
pub async fn redeem(
    transport: &HttpTransport,
    slot: &SlotFile,
    request: &Request,
) -> Result<(Grant, Hash), u16> {
    let answer = post(transport, "/v1/enroll", request.bytes()).await;
    if answer.status != 200 {
        return Err(answer.status);
    }
    Ok(request.open_reply(&answer.body, &slot_key(&slot.token)).expect("the collector proves the slot"))
}
