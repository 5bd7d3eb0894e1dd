//! Against a running agent: a man in the middle in the collector's place.
//!
//! Holds: a try has an effect if the device does anything else afterwards than ask the same again:
//! goes on to another batch, begins anew, or falls silent. After the attack its spool holds what
//! it held, and the true collector gets everything exactly once.

use crate::{
    Account, Bed, BedPlan, Home,
    adversary::{
        certificate::server_identity,
        draw::Draw,
        mitm::{Answer, Mitm, Request},
        tally::Tally,
    },
    wait::wait_until,
};
use serde_bytes::ByteBuf;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tenken_agent::identity;
use tenken_collector::store::Store;
use tenken_collector_core::stream::Entry;
use tenken_common::{
    ack::{Ack, Reject, RejectReason, ResumeReply, SignedTime},
    batch::RecRun,
    codec,
    envelope::{Envelope, Payload},
    id::{DeviceId, Epoch, Hash, Nonce, RecId, Seq},
    key::SecretKey,
    time::{Clock as _, SystemClock, Timestamp},
    tls,
    trust::{TrustChain, TrustDocument},
    wire::v1::ReceivedBatch,
};

const BOUND: Duration = Duration::from_secs(60);
/// For `n` tries of a class: a device that falls silent has been stopped.
const SILENCE: Duration = Duration::from_secs(30);
const AGENT: &str = "[push]\ninterval = \"100ms\"\nreport = \"1s\"\nretry_first = \"1ms\"\nretry_max = \"2ms\"\n\
    [probes.intervals]\ncpu = \"1s\"\ndisk = \"1s\"\nmemory = \"1s\"\nnetwork = \"1s\"\nclock = \"1s\"\n\
    uptime = \"1s\"\nsensors = \"1s\"\nservices = \"1s\"\n";

/// What the attacker knows and has.
struct Attack {
    draw: Draw,
    /// What it would have to hold, and does not: what the collector truly signed with it for other
    /// requests is taken from here.
    true_key: SecretKey,
    device: DeviceId,
    epoch: Epoch,
    /// What the collector has of the device: the newest link, and those before.
    committed: (Seq, Hash),
    earlier: Vec<(Seq, Hash)>,
    tally: Tally,
    /// Classes with what is left to try; the first is under way.
    plan: VecDeque<(&'static str, usize)>,
    /// The link that was sent last, before the forged answer to it.
    sent: Option<(Seq, Hash)>,
    /// Class of the last forged answer, whose effect the next request shows.
    pending: Option<&'static str>,
    /// The attacker's own key, which its trust documents name.
    own_key: SecretKey,
}

const RESUME_CLASSES: [&str; 4] = [
    "resume reply forged",
    "resume reply cross-device",
    "resume reply replayed",
    "reject replayed, to a resume",
];
const BATCH_CLASSES: [&str; 8] = [
    "ack forged",
    "ack altered",
    "ack replayed",
    "ack cross-device",
    "reject forged",
    "reject replayed",
    "reject cross-device",
    "bare status",
];

/// Runs `n` tries of each class.
pub fn against_agent(n: usize, seed: u64) -> Tally {
    let bed = Bed::new(BedPlan { agent: AGENT.into(), ..BedPlan::default() });
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let mut agent = bed.start_agent(&home);
    bed.device_when(&home, "some batches before the attack", |row| row["batches"].as_u64() >= Some(4));
    agent.terminate();
    assert!(agent.wait(BOUND).success());
    collector.terminate();
    assert!(collector.wait(BOUND).success());

    let attack = Arc::new(Mutex::new(Attack::new(&bed, &home, n, seed)));
    // At both doors of the collector.
    let [mitm, beside] = [bed.device_port, bed.enroll_port].map(|port| {
        let attack = Arc::clone(&attack);
        let config = tls::server(server_identity(&bed), None, SystemClock::new()).unwrap();
        Mitm::start(port, config, move |request| attack.lock().unwrap().answer(request))
    });
    let mut agent = bed.start_agent(&home);
    let before = wait_until(BOUND, "the first status of the attacked agent", |_| {
        tenken_agent::status::load(&home.state).ok().filter(|s| s.stopped.is_none())
    });
    let mut last = mitm.requests();
    let mut silent_since = SystemClock::new().mono();
    wait_until(Duration::from_secs(3_600), "the attack to end", |state| {
        let (now, requests) = (SystemClock::new().mono(), mitm.requests());
        if requests != last {
            (last, silent_since) = (requests, now);
        }
        let mut attack = attack.lock().unwrap();
        *state = format!("{:?}", attack.plan);
        if now.saturating_since(silent_since) > SILENCE {
            let class = attack.pending.unwrap_or("before any class");
            attack.tally.count(class, Some(format!("the device fell silent: {}", agent.stderr_text())));
            attack.plan.clear();
        }
        attack.plan.is_empty().then_some(())
    });
    // Its status of the end of the attack: everything that was in the spool still is.
    let held = wait_until(BOUND, "a status after the attack", |_| {
        tenken_agent::status::load(&home.state).ok().filter(|s| s.written > before.written)
    });
    drop((mitm, beside));
    let mut attack = Arc::into_inner(attack).unwrap().into_inner().unwrap();
    let acked = (before.spool.acked_batches, held.spool.acked_batches);
    attack.tally.hold("deletions from the spool", acked.0 == acked.1, || format!("acknowledged {acked:?}"));
    let waited = (before.spool.waiting + before.spool.in_flight, held.spool.waiting + held.spool.in_flight);
    attack.tally.hold("deletions from the spool", waited.1 >= waited.0, || format!("held {waited:?}"));

    let mut collector = bed.start_collector();
    wait_until(BOUND, "everything to be delivered truly", |state| {
        let status = tenken_agent::status::load(&home.state).ok()?;
        *state = format!("{:?} {:?}", status.spool, status.delivery);
        let delivered = status.spool.acked_batches > held.spool.acked_batches;
        (delivered && status.written > held.written && status.spool.in_flight == 0).then_some(())
    });
    agent.terminate();
    assert!(agent.wait(BOUND).success(), "{}", agent.stderr_text());
    collector.terminate();
    assert!(collector.wait(BOUND).success());
    drained(&bed, &home);
    let account = Account::of(bed.dir(), &bed.database(), &home.device);
    attack.tally.hold("honest delivery", account.faults() == 0, || account.to_string());
    attack.tally
}

/// Lets what was made at the very end be delivered too.
fn drained(bed: &Bed, home: &Home) {
    let quiet = AGENT.replace("\"1s\"", "\"1h\"");
    bed.write_agent(home, &quiet);
    let mut collector = bed.start_collector();
    let mut agent = bed.start_agent(home);
    wait_until(BOUND, "the last records to be delivered", |state| {
        let status = tenken_agent::status::load(&home.state).ok()?;
        *state = format!("{:?} {:?}", status.spool, status.delivery);
        // The last probes run within their jitter after a start.
        let settled = status.written.micros_since(status.started) > 4_000_000;
        let running = agent.stderr_text().contains("agent started") && status.stopped.is_none();
        (running && settled && status.spool.waiting + status.spool.in_flight == 0).then_some(())
    });
    agent.terminate();
    assert!(agent.wait(BOUND).success());
    collector.terminate();
    assert!(collector.wait(BOUND).success());
}

impl Attack {
    fn new(bed: &Bed, home: &Home, n: usize, seed: u64) -> Self {
        let enrolled = identity::load(&home.state).unwrap();
        let links = links(bed, enrolled.device);
        let plan = RESUME_CLASSES.iter().chain(&BATCH_CLASSES).map(|class| (*class, n));
        Self {
            draw: Draw::new(seed),
            true_key: bed.ack_key(),
            device: enrolled.device,
            epoch: enrolled.epoch,
            committed: *links.last().unwrap(),
            earlier: links[..links.len() - 1].to_vec(),
            tally: Tally::default(),
            plan: plan.collect(),
            sent: None,
            pending: None,
            own_key: SecretKey::from_seed(&[0xee; 32]),
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        if !["/v1/batch", "/v1/resume"].iter().any(|path| request.line.ends_with(path)) {
            return self.beside(request);
        }
        let batch = request.line.ends_with("/v1/batch").then(|| {
            let envelope = Envelope::from_bytes(&request.body).expect("a device sends envelopes");
            let batch = ReceivedBatch::decode(envelope.body()).expect("a device sends batches").batch;
            (batch.seq, Hash::of(envelope.body()))
        });
        // What the last answer led to.
        if let Some(class) = self.pending.take() {
            let same = batch == self.sent;
            let effect = format!("the device went on with {:?} after {:?}", batch, self.sent);
            self.tally.count(class, (!same).then_some(effect));
        }
        let Some((class, left)) = self.plan.front_mut() else { return Answer { status: 503, body: vec![] } };
        let class = *class;
        if BATCH_CLASSES.contains(&class) && batch.is_none() {
            return self.truly_resumed(request);
        }
        *left -= 1;
        if *left == 0 {
            self.plan.pop_front();
        }
        self.sent = batch;
        self.pending = Some(class);
        let link = batch.unwrap_or(self.committed);
        Answer { status: 200, body: self.forge(class, link, request.nonce) }
            .with_status(class, &mut self.draw)
    }

    /// What the collector would have said.
    fn truly_resumed(&mut self, request: &Request) -> Answer {
        let reply = self.resume_reply(request.nonce);
        Answer { status: 200, body: self.truly(&reply) }
    }

    /// What the device asks because it did not believe an answer: whom to trust, and the time.
    fn beside(&mut self, request: &Request) -> Answer {
        let body = if request.line.contains("/v1/trust") {
            let own = self.own_key.public();
            let next = TrustDocument::new(2, &[vec![1]], own, own, SystemClock::new().wall());
            let document = ByteBuf::from(self.falsely(&next));
            self.tally.count("trust chain forged, to the device", None);
            codec::to_vec(&TrustChain { documents: vec![document] }).unwrap()
        } else if self.draw.once_in(2) {
            // The collector's own word, handed on: a device whose challenge has grown old asks for
            // nothing else before it has one.
            let time = SignedTime { server: SystemClock::new().wall(), echo_nonce: request.nonce };
            self.truly(&time)
        } else {
            let time = SignedTime { server: Timestamp::EPOCH, echo_nonce: request.nonce };
            self.falsely(&time)
        };
        Answer { status: 200, body }
    }

    fn truly<T: Payload>(&self, value: &T) -> Vec<u8> {
        Envelope::seal(value, &self.true_key).unwrap().to_bytes()
    }

    /// Signed by anybody, with or without the true key's id; or by the true key over something else.
    fn falsely<T: Payload>(&mut self, value: &T) -> Vec<u8> {
        let stranger = SecretKey::from_seed(&self.draw.bytes());
        let stranger = if self.draw.once_in(2) { &self.own_key } else { &stranger };
        let mut bytes = Envelope::seal(value, stranger).unwrap().to_bytes();
        let end = bytes.len();
        match self.draw.below(5) {
            0 => {}
            1 => bytes[end - 74..end - 66].copy_from_slice(self.true_key.public().id().as_bytes()),
            2 => {
                let time = SignedTime { server: SystemClock::new().wall(), echo_nonce: Nonce([0; 16]) };
                let genuine = self.truly(&time);
                bytes[end - 76..].copy_from_slice(&genuine[genuine.len() - 76..]);
            }
            3 => {
                bytes[end - 74..end - 66].copy_from_slice(self.true_key.public().id().as_bytes());
                bytes[end - 64..].fill(0);
            }
            _ => {
                let genuine = self.truly(value);
                bytes = self.draw.altered(&genuine);
            }
        }
        bytes
    }

    fn ack(&self, (acked_seq, hash): (Seq, Hash), echo_nonce: Nonce) -> Ack {
        Ack {
            device: self.device,
            epoch: self.epoch,
            acked_seq,
            hash,
            server: SystemClock::new().wall(),
            echo_nonce,
            position: 1,
            log_root: Hash::ZERO,
            retry_after_s: 0,
            need_seq: None,
        }
    }

    fn reject(&self, (seq, hash): (Seq, Hash), reason: RejectReason, echo_nonce: Nonce) -> Reject {
        let server = SystemClock::new().wall();
        Reject {
            device: self.device,
            epoch: self.epoch,
            seq,
            hash,
            reason: reason.code(),
            server,
            echo_nonce,
        }
    }

    fn resume_reply(&self, echo_nonce: Nonce) -> ResumeReply {
        ResumeReply {
            device: self.device,
            epoch: self.epoch,
            committed_seq: self.committed.0,
            committed_hash: self.committed.1,
            missing: vec![],
            server: SystemClock::new().wall(),
            echo_nonce,
        }
    }

    fn reason(&mut self) -> RejectReason {
        self.draw.one_of(&RejectReason::ALL)
    }

    /// One answer of a class to a request for `link`.
    fn forge(&mut self, class: &str, link: (Seq, Hash), nonce: Nonce) -> Vec<u8> {
        let earlier = self.draw.one_of(&self.earlier.clone());
        let other = DeviceId(self.draw.bytes());
        let old = Nonce(self.draw.bytes());
        match class {
            "resume reply forged" => {
                let all = RecRun { from: RecId(1), to: RecId(1 << 40) };
                let mut reply = self.resume_reply(nonce);
                match self.draw.below(3) {
                    // "I have it all": the device would let go of what waits.
                    0 => {
                        (reply.committed_seq, reply.committed_hash) =
                            (link.0.next(), Hash(self.draw.bytes()));
                    }
                    // "I have nothing of it": the device would declare it lost.
                    1 => reply.missing = vec![all],
                    _ => {}
                }
                self.falsely(&reply)
            }
            "resume reply cross-device" => {
                let reply = ResumeReply { device: other, ..self.resume_reply(nonce) };
                self.truly(&reply)
            }
            "resume reply replayed" => {
                let (committed_seq, committed_hash) = earlier;
                let reply = ResumeReply { committed_seq, committed_hash, ..self.resume_reply(old) };
                self.truly(&reply)
            }
            "ack forged" => self.falsely(&self.ack(link, nonce)),
            "ack altered" => {
                let genuine = self.truly(&self.ack(earlier, nonce));
                self.draw.altered(&genuine)
            }
            // What the key signed for an earlier batch.
            "ack replayed" => self.truly(&self.ack(earlier, old)),
            "ack cross-device" => {
                let ack = Ack { device: other, ..self.ack(link, nonce) };
                self.truly(&ack)
            }
            "reject forged" => {
                let reason = self.reason();
                self.falsely(&self.reject(link, reason, nonce))
            }
            "reject replayed" | "reject replayed, to a resume" => {
                let reason = self.reason();
                self.truly(&self.reject(earlier, reason, old))
            }
            "reject cross-device" => {
                let reason = self.reason();
                let reject = Reject { device: other, ..self.reject(link, reason, nonce) };
                self.truly(&reject)
            }
            _ => self.draw.some_bytes(50),
        }
    }
}

impl Answer {
    /// A status in the range that the class is about.
    fn with_status(self, class: &str, draw: &mut Draw) -> Self {
        let statuses = [200, 204, 301, 400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 503];
        let status =
            if class == "bare status" || draw.once_in(4) { draw.one_of(&statuses) } else { self.status };
        Self { status, ..self }
    }
}

/// Every link of a device that its collector holds, from the stopped collector's store.
fn links(bed: &Bed, device: DeviceId) -> Vec<(Seq, Hash)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&bed.database(), Arc::new(SystemClock::new())).await.unwrap();
        let entries = store.entries_after(0, 10_000).await.unwrap();
        store.close().await;
        let envelopes = entries.into_iter().filter_map(|stored| {
            let Entry::Envelope { bytes, .. } = stored.entry else { return None };
            Envelope::from_bytes(&bytes).ok()
        });
        let links = envelopes.filter_map(|envelope| {
            let received = ReceivedBatch::decode(envelope.body()).ok()?;
            (received.batch.device == device).then(|| (received.batch.seq, Hash::of(envelope.body())))
        });
        links.collect()
    })
}
