//! Against the door at which no client certificate is asked for: enrollments, renewals, rejoins.
//!
//! Holds: a try has an effect if anything is granted.

use super::collector::{Stage, stranger, under_the_id};
use crate::adversary::{device::Door, draw::Draw, tally::Tally};
use rcgen::{CertificateParams, KeyPair};
use std::{fs, time::Duration};
use tenken_common::{
    ack::SignedTime,
    enrollment::{Request, slot_key},
    envelope::Envelope,
    id::Nonce,
    key::SecretKey,
    renewal::{RejoinParts, RejoinRequest, RenewRequest},
    statement::SlotFile,
    time::{Clock as _, SystemClock},
    tls,
};

fn certificate_request() -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    CertificateParams::default().serialize_request(&key).expect("a request").der().to_vec()
}

fn door(stage: &Stage) -> Door {
    let config = tls::client(&stage.victim.enrolled.roots(), None, SystemClock::new());
    Door::new(stage.bed.enroll_port, config.expect("roots"))
}

/// Redemptions of a slot that is on file, by somebody who does not hold it.
pub fn enrollments(stage: &mut Stage, tally: &mut Tally, n: usize, draw: &mut Draw) {
    let class = "enrollment forged";
    stage.bed.applicant("ct-9");
    let slot = fs::read_to_string(stage.bed.path("ct-9.slot")).expect("the slot was made");
    let slot = SlotFile::from_armour(&slot).expect("a slot");
    let facts = stage.victim.resume(Nonce([0; 16])).facts;
    let mut door = door(stage);
    let csr = certificate_request();
    let before = stage.holdings();
    for _ in 0..n {
        let request = |token: &[u8], key: &SecretKey, nonce: Nonce| {
            Request::new(slot.slot, &slot_key(token), key, csr.clone(), facts.clone(), nonce).expect("small")
        };
        let genuine = request(&slot.token, &stranger(draw), Nonce(draw.bytes()));
        let bytes = match draw.below(3) {
            0 => draw.altered(genuine.bytes()),
            1 => request(&draw.bytes::<16>(), &stranger(draw), Nonce(draw.bytes())).bytes().to_vec(),
            // The proof of one request on another, both made well.
            _ => {
                let other = request(&draw.bytes::<16>(), &stranger(draw), Nonce(draw.bytes()));
                let mut bytes = other.bytes().to_vec();
                let (end, from) = (bytes.len(), genuine.bytes().len());
                bytes[end - 98..end - 66].copy_from_slice(&genuine.bytes()[from - 98..from - 66]);
                bytes
            }
        };
        let reply = door.post("/v1/enroll", &Nonce(draw.bytes()), &bytes).expect("an answer");
        tally.count(class, (reply.status == 200).then(|| "was granted".to_owned()));
    }
    stage.unchanged(tally, class, &before);
}

/// A signed time from so long ago, or by whom, as a challenge.
fn challenge(key: &SecretKey, ago: Duration) -> Vec<u8> {
    let time = SignedTime { server: SystemClock::new().wall().minus(ago), echo_nonce: Nonce([7; 16]) };
    Envelope::seal(&time, key).expect("small").to_bytes()
}

const FRESH: Duration = Duration::from_secs(1);
const STALE: Duration = Duration::from_secs(302);

/// One that is not worth anything: of before, not the collector's, or altered.
fn bad_challenge(stage: &Stage, draw: &mut Draw) -> Vec<u8> {
    let true_key = stage.bed.ack_key();
    match draw.below(4) {
        0 => challenge(&true_key, STALE * (1 + u32::try_from(draw.below(1_000)).expect("small"))),
        1 => challenge(&stranger(draw), FRESH),
        2 => challenge(&stage.victim.enrolled.device_key, FRESH),
        _ => draw.altered(&challenge(&true_key, FRESH)),
    }
}

/// A TLS certificate for the victim, in the attacker's hand.
pub fn renewals(stage: &mut Stage, tally: &mut Tally, n: usize, draw: &mut Draw) {
    let class = "renewal forged";
    let mut door = door(stage);
    let csr = certificate_request();
    let before = stage.holdings();
    let request = |stage: &Stage, challenge: Vec<u8>, nonce: Nonce| RenewRequest {
        device: stage.victim.enrolled.device,
        epoch: stage.victim.enrolled.epoch,
        csr: csr.clone().into(),
        challenge: challenge.into(),
        nonce,
    };
    for _ in 0..n {
        let good = request(stage, challenge(&stage.bed.ack_key(), FRESH), Nonce(draw.bytes()));
        let seal =
            |request: &RenewRequest, key: &SecretKey| Envelope::seal(request, key).expect("small").to_bytes();
        let true_key = &stage.victim.enrolled.device_key;
        let bytes = match draw.below(5) {
            0 => seal(&good, &stranger(draw)),
            1 => under_the_id(stage, seal(&good, &stranger(draw))),
            2 => seal(&good, &stage.own.enrolled.device_key),
            3 => draw.altered(&seal(&good, true_key)),
            // Recorded once, and shown again later.
            _ => seal(&request(stage, bad_challenge(stage, draw), good.nonce), true_key),
        };
        let reply = door.post("/v1/renew", &Nonce(draw.bytes()), &bytes).expect("an answer");
        tally.count(class, (reply.status == 200).then(|| "was granted".to_owned()));
    }
    stage.unchanged(tally, class, &before);
}

/// The victim's next epoch under a key of the attacker's, which the hospital never approved.
pub fn rejoins(stage: &mut Stage, tally: &mut Tally, n: usize, draw: &mut Draw) {
    let class = "rejoin forged";
    let mut door = door(stage);
    let csr = certificate_request();
    let before = stage.holdings();
    for _ in 0..n {
        let mine = stranger(draw);
        let fresh = challenge(&stage.bed.ack_key(), FRESH);
        let parts = RejoinParts {
            device: stage.victim.enrolled.device,
            epoch: stage.victim.enrolled.epoch,
            csr: csr.clone(),
            facts: stage.victim.resume(Nonce([0; 16])).facts,
            challenge: if draw.once_in(2) { fresh } else { bad_challenge(stage, draw) },
            nonce: Nonce(draw.bytes()),
        };
        let victim = &stage.victim.enrolled.device_key;
        let (named, signer) = match draw.below(4) {
            0 => (&mine, &mine),
            1 => (&mine, &stage.own.enrolled.device_key),
            2 => (victim, &mine),
            // The key that is in force makes no new epoch of its own.
            _ => (victim, victim),
        };
        let request = RejoinRequest::new(named.public(), parts);
        let bytes = Envelope::seal(&request, signer).expect("small").to_bytes();
        let reply = door.post("/v1/rejoin", &Nonce(draw.bytes()), &bytes).expect("an answer");
        tally.count(class, (reply.status == 200).then(|| "was granted".to_owned()));
    }
    stage.unchanged(tally, class, &before);
}
