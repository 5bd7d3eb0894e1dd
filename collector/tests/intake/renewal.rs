//! Trust, time and renewal as a device meets them, and what it may do without a client certificate.

use crate::support::{Device, NONCE, Rig, ack, ack_key, facts, post};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use rcgen::{CertificateParams, KeyPair};
use serde_bytes::ByteBuf;
use std::time::Duration;
use tenken_collector_core::stream::Entry;
use tenken_common::{
    ack::{NONCE_HEADER, ResumeReply, ResumeRequest, SignedTime},
    codec,
    envelope::Envelope,
    id::{Epoch, Hash, Seq},
    key::SecretKey,
    limit,
    renewal::{RenewReply, RenewRequest},
    time::Clock,
    trust::TrustChain,
};

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).header(NONCE_HEADER, NONCE.to_string()).body(Body::empty()).unwrap()
}

async fn challenge(rig: &Rig) -> Vec<u8> {
    rig.call_open(get("/v1/time")).await.1
}

fn csr(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

fn request(device: &Device, csr: &[u8], challenge: &[u8]) -> RenewRequest {
    RenewRequest {
        device: device.id,
        epoch: device.epoch,
        csr: ByteBuf::from(csr.to_vec()),
        challenge: ByteBuf::from(challenge.to_vec()),
        nonce: NONCE,
    }
}

async fn renew(rig: &Rig, request: &RenewRequest, key: &SecretKey) -> Result<RenewReply, StatusCode> {
    let bytes = Envelope::seal(request, key).unwrap().to_bytes();
    let (status, body) = rig.call_open(post("/v1/renew", &bytes)).await;
    if status != StatusCode::OK {
        return Err(status);
    }
    let reply = Envelope::from_bytes(&body).unwrap().open::<RenewReply>(&ack_key().public()).unwrap();
    assert_eq!(reply.echo_nonce, NONCE);
    Ok(reply.into_inner())
}

async fn certificates(rig: &Rig) -> usize {
    let entries = rig.store.entries_after(0, 1_000).await.unwrap();
    entries.iter().filter(|e| matches!(e.entry, Entry::CertificateIssued { .. })).count()
}

#[tokio::test]
async fn trust_and_time_are_there_for_anybody() {
    let rig = Rig::new().await;
    for (query, wanted) in
        [("", vec!["trust 1", "trust 2"]), ("?after=1", vec!["trust 2"]), ("?after=9", vec![])]
    {
        let (status, body) = rig.call_open(get(&format!("/v1/trust{query}"))).await;
        assert_eq!(status, StatusCode::OK);
        let chain: TrustChain = codec::from_slice(&body, limit::MESSAGE_BYTES_MAX).unwrap();
        let documents: Vec<&str> = chain.documents.iter().map(|d| std::str::from_utf8(d).unwrap()).collect();
        assert_eq!(documents, wanted, "{query}");
    }
    for query in ["?after=-1", "?after=x", "?before=1"] {
        assert_eq!(rig.call_open(get(&format!("/v1/trust{query}"))).await.0, StatusCode::BAD_REQUEST);
    }
    let body = challenge(&rig).await;
    let time = Envelope::from_bytes(&body).unwrap().open::<SignedTime>(&ack_key().public()).unwrap();
    assert_eq!(*time, SignedTime { server: rig.clock.wall(), echo_nonce: NONCE });
}

#[tokio::test]
async fn the_same_key_gets_the_same_certificate_and_another_key_another() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let (key, time) = (KeyPair::generate().unwrap(), challenge(&rig).await);
    let first = renew(&rig, &request(&device, &csr(&key), &time), &device.key).await.unwrap();
    rig.clock.advance(Duration::from_secs(60));
    let again = renew(&rig, &request(&device, &csr(&key), &time), &device.key).await.unwrap();
    assert_eq!(again.certificates, first.certificates, "the answer was lost; nothing is issued twice");
    assert_eq!(certificates(&rig).await, 2, "that of the enrollment and this one");

    let other = KeyPair::generate().unwrap();
    let second = renew(&rig, &request(&device, &csr(&other), &time), &device.key).await.unwrap();
    assert_ne!(second.certificates, first.certificates);

    // Both are the device's, and so is the one that it was enrolled with.
    for certificate in
        [Hash::of(&first.certificates[0]), Hash::of(&second.certificates[0]), device.certificate]
    {
        let (status, body) = rig.call(post("/v1/batch", &device.cut(1)), Some(certificate)).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(ack(&body).acked_seq, device.seq);
    }
}

#[tokio::test]
async fn nobody_fills_the_journal_with_certificates() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    let ask = async || {
        let (key, time) = (KeyPair::generate().unwrap(), challenge(&rig).await);
        renew(&rig, &request(&device, &csr(&key), &time), &device.key).await
    };
    for _ in 0..4 {
        ask().await.unwrap();
    }
    assert_eq!(ask().await, Err(StatusCode::TOO_MANY_REQUESTS));
    rig.clock.advance(limit::CHALLENGE_LIFE + Duration::from_secs(1));
    ask().await.unwrap();
}

#[tokio::test]
async fn who_may_not_renew_gets_no_certificate() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    let other = rig.device(2).await;
    let key = KeyPair::generate().unwrap();
    let time = challenge(&rig).await;
    let good = request(&device, &csr(&key), &time);

    let stranger = SecretKey::from_seed(&[77; 32]);
    assert_eq!(renew(&rig, &good, &stranger).await, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(renew(&rig, &good, &other.key).await, Err(StatusCode::FORBIDDEN), "for another device");
    let forged = SignedTime { server: rig.clock.wall(), echo_nonce: NONCE };
    let forged = Envelope::seal(&forged, &stranger).unwrap().to_bytes();
    let unchallenged = [forged, Vec::new()].map(|c| request(&device, &csr(&key), &c));
    for bad in unchallenged {
        assert_eq!(renew(&rig, &bad, &device.key).await, Err(StatusCode::UNAUTHORIZED));
    }
    let no_request = request(&device, b"hello", &time);
    assert_eq!(renew(&rig, &no_request, &device.key).await, Err(StatusCode::BAD_REQUEST));

    rig.clock.advance(limit::CHALLENGE_LIFE + Duration::from_secs(1));
    assert_eq!(renew(&rig, &good, &device.key).await, Err(StatusCode::UNAUTHORIZED), "recorded, too late");

    rig.store.append(vec![Entry::Revoked { device: device.id }]).await.unwrap();
    rig.state.devices.refresh(&rig.store).await.unwrap();
    let fresh = request(&device, &csr(&key), &challenge(&rig).await);
    assert_eq!(renew(&rig, &fresh, &device.key).await, Err(StatusCode::FORBIDDEN));
    assert_eq!(certificates(&rig).await, 2, "those of the enrollments");
}

#[tokio::test]
async fn without_a_client_certificate_the_envelope_and_a_challenge_prove_the_device() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let (status, body) = rig.call_open(post("/v1/batch", &device.cut(2))).await;
    assert_eq!((status, ack(&body).acked_seq), (StatusCode::OK, Seq(1)));

    let resume = |challenge: Option<Vec<u8>>| {
        let request = ResumeRequest {
            device: device.id,
            epoch: Epoch(1),
            last_seq: Seq(1),
            last_hash: device.prev,
            newest_ack: None,
            consent_version: 1,
            facts: facts(),
            challenge: challenge.map(ByteBuf::from),
            nonce: NONCE,
        };
        post("/v1/resume", &Envelope::seal(&request, &device.key).unwrap().to_bytes())
    };
    assert_eq!(rig.call_open(resume(None)).await.0, StatusCode::UNAUTHORIZED);
    let time = challenge(&rig).await;
    let (status, body) = rig.call_open(resume(Some(time.clone()))).await;
    assert_eq!(status, StatusCode::OK);
    let reply = Envelope::from_bytes(&body).unwrap().open::<ResumeReply>(&ack_key().public()).unwrap();
    assert_eq!(reply.committed_seq, Seq(1));
    rig.clock.advance(limit::CHALLENGE_LIFE + Duration::from_secs(1));
    assert_eq!(rig.call_open(resume(Some(time))).await.0, StatusCode::UNAUTHORIZED);
}
