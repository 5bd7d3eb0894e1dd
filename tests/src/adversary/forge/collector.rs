//! Against a running collector, over TLS: what comes to its two doors.
//!
//! Holds: a try has an effect if anything more is stored, if an acknowledgement goes further than
//! before, if a device falls into quarantine, or if the attacker is given a signed reject that the
//! device which is named in it would believe.

use super::open_door;
use crate::{
    Bed, BedPlan, Process,
    adversary::{
        device::{Device, Reply, body_hash},
        draw::Draw,
        tally::Tally,
    },
};
use tenken_common::{
    ack::{Ack, Reject, ResumeReply, ResumeRequest},
    codec,
    envelope::{Envelope, Payload},
    id::{DeviceId, Epoch, Hash, Nonce, Seq},
    key::SecretKey,
    stub::Stub,
    time::Timestamp,
    wire::v1::ReceivedBatch,
};

/// A collector, a device that is attacked, and one that the attacker owns.
pub(super) struct Stage {
    pub(super) bed: Bed,
    collector: Process,
    pub(super) victim: Device,
    pub(super) own: Device,
    /// What the victim has delivered, in order.
    sent: Vec<Vec<u8>>,
}

/// Runs `n` tries of each class.
pub fn against_collector(n: usize, seed: u64) -> Tally {
    let mut draw = Draw::new(seed);
    let mut stage = Stage::new(&mut draw);
    let mut tally = Tally::default();
    let classes: [(&str, Make); 6] = [
        ("batch forged", forged),
        ("batch altered", altered),
        ("batch re-sealed", resealed),
        ("batch of another kind", of_another_kind),
        ("batch cross-device", cross_device),
        ("stub forged", stub),
    ];
    for (class, make) in classes {
        stage.refused(&mut tally, class, n, &mut draw, make);
    }
    stage.replayed(&mut tally, n, &mut draw);
    stage.reordered(&mut tally, n, &mut draw);
    stage.resumes(&mut tally, n, &mut draw);
    open_door::enrollments(&mut stage, &mut tally, n, &mut draw);
    open_door::renewals(&mut stage, &mut tally, n, &mut draw);
    open_door::rejoins(&mut stage, &mut tally, n, &mut draw);
    stage.honest(&mut tally, &mut draw);
    tally
}

/// Makes one try of a class: at whose door it is shown, where, and what.
type Make = fn(&Stage, &mut Draw) -> (Who, &'static str, Vec<u8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Victim,
    Own,
}

const EITHER: [Who; 2] = [Who::Victim, Who::Own];
const BATCH: &str = "/v1/batch";

/// The next batch of the victim's chain, as it would be.
fn next(stage: &Stage, draw: &mut Draw) -> Vec<u8> {
    stage.victim.sealed(stage.victim.next(draw))
}

pub(super) fn stranger(draw: &mut Draw) -> SecretKey {
    SecretKey::from_seed(&draw.bytes())
}

/// Its signature under the victim's key id.
pub(super) fn under_the_id(stage: &Stage, mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len();
    bytes[end - 74..end - 66].copy_from_slice(stage.victim.enrolled.device_key.public().id().as_bytes());
    bytes
}

fn forged(stage: &Stage, draw: &mut Draw) -> (Who, &'static str, Vec<u8>) {
    let received = ReceivedBatch { batch: stage.victim.next(draw), unknown: vec![] };
    let key = if draw.once_in(3) { stage.own.enrolled.device_key.clone() } else { stranger(draw) };
    let bytes = Envelope::seal(&received, &key).expect("a small batch").to_bytes();
    let mut bytes = if draw.once_in(3) { bytes } else { under_the_id(stage, bytes) };
    let end = bytes.len();
    match draw.below(6) {
        0 => bytes[end - 64..].fill(0),
        1 => bytes[end - 64..].copy_from_slice(&draw.bytes::<64>()),
        // The signature of something that the victim really signed.
        2 => {
            let other = &stage.sent[draw.below(stage.sent.len())];
            bytes[end - 64..].copy_from_slice(&other[other.len() - 64..]);
        }
        _ => {}
    }
    (draw.one_of(&EITHER), BATCH, bytes)
}

fn altered(stage: &Stage, draw: &mut Draw) -> (Who, &'static str, Vec<u8>) {
    let good = next(stage, draw);
    (draw.one_of(&EITHER), BATCH, draw.altered(&good))
}

/// What the victim signed, in another envelope.
fn resealed(stage: &Stage, draw: &mut Draw) -> (Who, &'static str, Vec<u8>) {
    let genuine =
        if draw.once_in(2) { next(stage, draw) } else { stage.sent[draw.below(stage.sent.len())].clone() };
    let body = Envelope::from_bytes(&genuine).expect("a good one").body().to_vec();
    let seal = |key: &SecretKey| Envelope::seal_bytes(ReceivedBatch::TYPE, body.clone(), key).to_bytes();
    let bytes = match draw.below(4) {
        0 => seal(&stranger(draw)),
        1 => under_the_id(stage, seal(&stranger(draw))),
        2 => seal(&stage.own.enrolled.device_key),
        _ => {
            // A second signature beside the good one.
            let other = seal(&stranger(draw));
            let end = genuine.len();
            let list = [&[0x92], &genuine[end - 77..], &other[other.len() - 77..]].concat();
            [&genuine[..end - 78], &list].concat()
        }
    };
    (draw.one_of(&EITHER), BATCH, bytes)
}

/// Good signatures over something that is no batch, or over a batch at the wrong place.
fn of_another_kind(stage: &Stage, draw: &mut Draw) -> (Who, &'static str, Vec<u8>) {
    let (victim, nonce) = (&stage.victim, Nonce(draw.bytes()));
    let resume = victim.resume(nonce);
    let key = &victim.enrolled.device_key;
    let body = Envelope::from_bytes(&next(stage, draw)).expect("a good one").body().to_vec();
    let ack = Ack {
        device: victim.enrolled.device,
        epoch: victim.enrolled.epoch,
        acked_seq: victim.seq.next(),
        hash: Hash(draw.bytes()),
        server: Timestamp::EPOCH,
        echo_nonce: nonce,
        position: draw.number(),
        log_root: Hash::ZERO,
        retry_after_s: 0,
        need_seq: None,
    };
    match draw.below(5) {
        0 => (Who::Victim, BATCH, Envelope::seal(&resume, key).expect("small").to_bytes()),
        1 => (Who::Victim, BATCH, Envelope::seal(&ack, key).expect("small").to_bytes()),
        2 => (Who::Victim, BATCH, Envelope::seal_bytes(ResumeRequest::TYPE, body, key).to_bytes()),
        3 => (Who::Victim, "/v1/resume", Envelope::seal_bytes(ReceivedBatch::TYPE, body, key).to_bytes()),
        _ => {
            // A resume under the name of a batch.
            let bytes = resume.encode().expect("small");
            let body = if draw.once_in(2) { codec::compress(&bytes).expect("small") } else { bytes };
            (Who::Victim, BATCH, Envelope::seal_bytes(ReceivedBatch::TYPE, body, key).to_bytes())
        }
    }
}

/// The attacker's own device speaks for the victim, or the victim's words come over its connection.
fn cross_device(stage: &Stage, draw: &mut Draw) -> (Who, &'static str, Vec<u8>) {
    match draw.below(4) {
        0 => (Who::Own, BATCH, next(stage, draw)),
        1 => (Who::Victim, BATCH, stage.own.sealed(stage.own.next(draw))),
        2 => {
            let bytes = stage.own.sealed(stage.victim.next(draw));
            (draw.one_of(&EITHER), BATCH, bytes)
        }
        _ => {
            // The very body that the victim is about to send, so that a reject names its hash.
            let body = Envelope::from_bytes(&next(stage, draw)).expect("a good one").body().to_vec();
            let key = &stage.own.enrolled.device_key;
            (draw.one_of(&EITHER), BATCH, Envelope::seal_bytes(ReceivedBatch::TYPE, body, key).to_bytes())
        }
    }
}

/// A stub takes records away for good, so it is worth forging.
fn stub(stage: &Stage, draw: &mut Draw) -> (Who, &'static str, Vec<u8>) {
    let genuine = next(stage, draw);
    let victim = &stage.victim;
    let stub = Stub {
        device: victim.enrolled.device,
        epoch: victim.enrolled.epoch,
        seq: victim.seq.next(),
        prev: victim.prev,
        body_hash: if draw.once_in(2) { body_hash(&genuine) } else { Hash(draw.bytes()) },
        records: vec![],
        reason: draw.one_of(&tenken_common::batch::GapReason::ALL),
    };
    let sealed = |key: &SecretKey| Envelope::seal(&stub, key).expect("small").to_bytes();
    let bytes = match draw.below(4) {
        0 => sealed(&stranger(draw)),
        1 => under_the_id(stage, sealed(&stranger(draw))),
        2 => sealed(&stage.own.enrolled.device_key),
        _ => draw.altered(&sealed(&victim.enrolled.device_key)),
    };
    (draw.one_of(&EITHER), BATCH, bytes)
}

impl Stage {
    fn new(draw: &mut Draw) -> Self {
        let bed = Bed::new(BedPlan::default());
        let collector = bed.start_collector();
        let [victim, own] =
            ["ct-1", "ct-2"].map(|label| Device::of(&bed.enroll(label).state, bed.device_port));
        let mut stage = Self { bed, collector, victim, own, sent: vec![] };
        for _ in 0..5 {
            let bytes = stage.victim.push(draw);
            stage.sent.push(bytes);
            stage.own.push(draw);
        }
        stage
    }

    /// What the collector holds of every device.
    pub(super) fn holdings(&self) -> Vec<String> {
        let list = self.bed.listing(&["device", "list"]);
        let words = |row: &serde_json::Value| {
            format!("{} {} {} {}", row["device"], row["batches"], row["records"], row["quarantined"])
        };
        list.as_array().into_iter().flatten().map(words).collect()
    }

    fn say(&mut self, who: Who, path: &str, nonce: &Nonce, bytes: &[u8]) -> Reply {
        let door = if who == Who::Victim { &mut self.victim.door } else { &mut self.own.door };
        door.post(path, nonce, bytes).unwrap_or_else(|e| panic!("the collector gives no answer: {e}"))
    }

    /// A signed reject that says something about a link of the victim: the device would believe it.
    fn elicited(&self, reply: &Reply) -> Option<String> {
        let reject = reply.signed::<Reject>(&self.victim.ack_key())?;
        (reject.device == self.victim.enrolled.device)
            .then(|| format!("elicited a signed reject for the victim: {reject:?}"))
    }

    /// Tries that are all refused.
    fn refused(&mut self, tally: &mut Tally, class: &str, n: usize, draw: &mut Draw, make: Make) {
        let before = self.holdings();
        for _ in 0..n {
            let (who, path, bytes) = make(self, draw);
            let reply = self.say(who, path, &Nonce(draw.bytes()), &bytes);
            // What the victim's own key signed well and nobody can read is refused by name.
            let own_fault = class == "batch of another kind";
            let elicited = self.elicited(&reply).filter(|_| !own_fault);
            let accepted = (reply.status == 200).then(|| "was accepted".to_owned());
            tally.count(class, accepted.or(elicited));
        }
        self.unchanged(tally, class, &before);
    }

    pub(super) fn unchanged(&mut self, tally: &mut Tally, class: &str, before: &[String]) {
        let after = self.holdings();
        tally.hold(class, after == before, || format!("the store changed from {before:?} to {after:?}"));
        tally.hold(class, self.collector.is_running(), || "the collector ended".into());
    }

    /// Everything that the victim ever sent, again: acknowledged as far as it is, without effect.
    fn replayed(&mut self, tally: &mut Tally, n: usize, draw: &mut Draw) {
        let before = self.holdings();
        for _ in 0..n {
            let bytes = self.sent[draw.below(self.sent.len())].clone();
            let reply = self.say(Who::Victim, BATCH, &Nonce(draw.bytes()), &bytes);
            let ack = reply.signed::<Ack>(&self.victim.ack_key());
            let as_it_is = ack.is_some_and(|a| (a.acked_seq, a.hash) == (self.victim.seq, self.victim.prev));
            tally.count("batch replayed", (!as_it_is).then(|| format!("status {}", reply.status)));
        }
        self.unchanged(tally, "batch replayed", &before);
    }

    /// A chain that comes in another order: whatever comes too early is not acknowledged.
    fn reordered(&mut self, tally: &mut Tally, n: usize, draw: &mut Draw) {
        let class = "batch reordered";
        let links = self.victim.chain(draw, n + 1);
        let before = self.holdings();
        // The last first, and with any two beside each other changed.
        let mut order: Vec<usize> = (1..links.len()).rev().collect();
        for at in 1..order.len() {
            if draw.once_in(2) {
                order.swap(at - 1, at);
            }
        }
        for at in order {
            let reply = self.say(Who::Victim, BATCH, &Nonce(draw.bytes()), &links[at]);
            let ack = reply.signed::<Ack>(&self.victim.ack_key());
            let waits = ack.is_some_and(|ack| {
                ack.acked_seq == self.victim.seq && ack.need_seq == Some(self.victim.seq.next())
            });
            tally.count(class, (!waits).then(|| format!("link {at}: status {}", reply.status)));
        }
        self.unchanged(tally, class, &before);
        // In order they are taken, as many as there are.
        let end = self.victim.seq.0 + links.len() as u64;
        for bytes in links {
            let reply = self.say(Who::Victim, BATCH, &Nonce(draw.bytes()), &bytes);
            tally
                .hold(class, reply.status == 200, || format!("an honest link was refused: {}", reply.status));
            self.sent.push(bytes);
        }
        let last = self.sent.last().cloned().unwrap_or_default();
        self.victim.deliver(&last);
        tally.hold(class, self.victim.seq == Seq(end), || format!("ends at {}", self.victim.seq));
    }

    /// Resume requests: forged, altered, of the other device; and true ones with a false proof.
    fn resumes(&mut self, tally: &mut Tally, n: usize, draw: &mut Draw) {
        let before = self.holdings();
        for _ in 0..n {
            let genuine = self.victim.resume(Nonce(draw.bytes()));
            let seal = |key: &SecretKey| Envelope::seal(&genuine, key).expect("small").to_bytes();
            let bytes = match draw.below(4) {
                0 => seal(&stranger(draw)),
                1 => under_the_id(self, seal(&stranger(draw))),
                2 => draw.altered(&seal(&self.victim.enrolled.device_key)),
                _ => seal(&self.own.enrolled.device_key),
            };
            let who = draw.one_of(&EITHER);
            let reply = self.say(who, "/v1/resume", &Nonce(draw.bytes()), &bytes);
            let accepted = (reply.status == 200).then(|| "was answered".to_owned());
            tally.count("resume forged", accepted.or_else(|| self.elicited(&reply)));
        }
        for _ in 0..n {
            let mut request = self.victim.resume(Nonce(draw.bytes()));
            request.newest_ack = Some(self.false_proof(draw).into());
            let bytes = Envelope::seal(&request, &self.victim.enrolled.device_key).expect("small").to_bytes();
            let reply = self.say(Who::Victim, "/v1/resume", &request.nonce, &bytes);
            let answer = reply.signed::<ResumeReply>(&self.victim.ack_key());
            let moved =
                answer.filter(|a| (a.committed_seq, a.committed_hash) != (self.victim.seq, self.victim.prev));
            tally.count("resume with a false proof", moved.map(|a| format!("moved to {}", a.committed_seq)));
        }
        self.unchanged(tally, "resume with a false proof", &before);
    }

    /// An acknowledgement for more than the collector has, that it never signed for this device.
    fn false_proof(&self, draw: &mut Draw) -> Vec<u8> {
        let ahead = Ack {
            device: self.victim.enrolled.device,
            epoch: self.victim.enrolled.epoch,
            acked_seq: Seq(self.victim.seq.0 + 1 + draw.below(50) as u64),
            hash: Hash(draw.bytes()),
            server: Timestamp::EPOCH,
            echo_nonce: Nonce(draw.bytes()),
            position: draw.number() >> 8,
            log_root: Hash::ZERO,
            retry_after_s: 0,
            need_seq: None,
        };
        let true_key = self.bed.ack_key();
        let sealed = |ack: &Ack, key: &SecretKey| Envelope::seal(ack, key).expect("small").to_bytes();
        let under = |mut bytes: Vec<u8>| {
            let end = bytes.len();
            bytes[end - 74..end - 66].copy_from_slice(true_key.public().id().as_bytes());
            bytes
        };
        match draw.below(6) {
            0 => sealed(&ahead, &stranger(draw)),
            1 => under(sealed(&ahead, &stranger(draw))),
            2 => under(sealed(&ahead, &self.victim.enrolled.device_key)),
            3 => draw.altered(&sealed(&ahead, &true_key)),
            // What the key really signed, of another device or of another life of this one.
            4 => sealed(&Ack { device: self.own.enrolled.device, ..ahead }, &true_key),
            _ => sealed(&Ack { epoch: Epoch(ahead.epoch.0 + 1), ..ahead }, &true_key),
        }
    }

    /// Everything that was honest is there, once, and both go on.
    fn honest(&mut self, tally: &mut Tally, draw: &mut Draw) {
        let bytes = self.victim.push(draw);
        self.sent.push(bytes);
        self.own.push(draw);
        let device = self.victim.enrolled.device;
        let stored = self.stored(device);
        let expected = self.sent.len() as u64;
        tally
            .hold("honest delivery", stored == Some(expected), || format!("{stored:?} of {expected} stored"));
    }

    fn stored(&self, device: DeviceId) -> Option<u64> {
        let list = self.bed.listing(&["device", "list"]);
        let row = list.as_array()?.iter().find(|row| row["device"] == device.to_string().as_str())?;
        (row["quarantined"] != true).then(|| row["batches"].as_u64())?
    }
}
