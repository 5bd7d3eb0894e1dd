//! Replays of a redemption, and many redemptions of one slot at once, against a real collector
//! over real TLS.
//!
//! Holds: whatever is replayed, the slot has one device, and that device is given the same answer
//! again; of many that redeem at once exactly one is accepted, also after the collector was
//! killed. All replays and the real agent go through a [`Wiretap`], and no form of a token stands
//! in anything that the clients wrote, on the line or inside of TLS.

use crate::{
    Bed, BedPlan,
    fleet::{self, Applicant, facts, post, redeem, way_to},
    secret, seed, stdout,
    wiretap::Wiretap,
};
use proptest::prelude::RngExt;
use std::{cell::RefCell, collections::BTreeMap, fmt, fs, rc::Rc, sync::Arc};
use tenken_agent::transport::http::HttpTransport;
use tenken_common::{
    enrollment::{Request, slot_key},
    id::Hash,
    statement::SlotFile,
};
use tokio::{sync::Barrier, task::LocalSet};

/// Connections that the replays share.
const CONNECTIONS: usize = 16;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct EnrollPlan {
    pub replays: u32,
    /// Devices that redeem one slot at once.
    pub at_once: u32,
    pub seed: u64,
}

/// What came out.
#[derive(Debug, Default)]
pub struct EnrollResult {
    /// By kind: how many, and of these how many were answered otherwise than they must be.
    pub replays: BTreeMap<&'static str, (u32, u32)>,
    /// Of those that redeemed at once: accepted, and refused because the slot was used.
    pub at_once: (u32, u32),
    /// Answers after the collector was killed that differ from those before.
    pub changed: u32,
    /// That the collector knows, and that there should be.
    pub devices: (usize, usize),
    /// Bytes in which the tokens were looked for, and how often one was found.
    pub searched: usize,
    pub found: usize,
    at_once_wanted: u32,
}

impl EnrollResult {
    pub fn failed(&self) -> u64 {
        let wrong: u32 = self.replays.values().map(|(_, wrong)| wrong).sum();
        let (accepted, refused) = self.at_once;
        let others = u64::from(accepted != 1) + u64::from(accepted + refused != self.at_once_wanted);
        let devices = u64::from(self.devices.0 != self.devices.1);
        u64::from(wrong) + others + u64::from(self.changed) + devices + self.found as u64
    }
}

impl fmt::Display for EnrollResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (tried, wrong)) in &self.replays {
            write!(f, "{kind}: {tried} tried, {wrong} answered wrongly; ")?;
        }
        let (accepted, refused) = self.at_once;
        write!(
            f,
            "at once: {accepted} accepted, {refused} refused of {}; {} answers changed by a kill; {} devices of {}; \
             token found {} times in {} bytes",
            self.at_once_wanted, self.changed, self.devices.0, self.devices.1, self.found, self.searched
        )
    }
}

/// How a redemption that was seen comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replay {
    /// Byte for byte, as who recorded it sends it.
    Same,
    /// One bit of a field altered.
    Flipped(Field),
    /// By the device itself, which lost the answer: signed and proven anew.
    Anew(Field),
    /// By another device that has the slot file.
    OtherDevice,
    /// By another device that has no slot file, with the proof that it recorded.
    StolenProof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Nonce,
    Key,
    Csr,
    Facts,
}

const REPLAYS: [(&str, Replay); 10] = [
    ("same bytes", Replay::Same),
    ("nonce altered", Replay::Flipped(Field::Nonce)),
    ("key altered", Replay::Flipped(Field::Key)),
    ("csr altered", Replay::Flipped(Field::Csr)),
    ("facts altered", Replay::Flipped(Field::Facts)),
    ("retry, nonce anew", Replay::Anew(Field::Nonce)),
    ("retry, csr anew", Replay::Anew(Field::Csr)),
    ("retry, facts anew", Replay::Anew(Field::Facts)),
    ("another device", Replay::OtherDevice),
    ("another device, proof stolen", Replay::StolenProof),
];

/// The device that was first, and what it sent and was given.
struct First {
    slot: SlotFile,
    applicant: Applicant,
    request: Request,
    genesis: Hash,
}

/// Runs the whole plan.
pub fn enroll_campaign(plan: EnrollPlan) -> EnrollResult {
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let root: Hash = bed.root().parse().expect("`init` prints a hash");
    let tap = Wiretap::start(bed.enroll_port, root);
    let mut result = EnrollResult { at_once_wanted: plan.at_once, ..EnrollResult::default() };

    // The real agent, through the tap: its slot names the tap's root.
    let home = bed.applicant("ct-1");
    let path = bed.path("ct-1.slot");
    let tapped = |path: &str| {
        let mut slot = SlotFile::from_armour(&fs::read_to_string(path).unwrap()).unwrap();
        slot.root = tap.root;
        slot.collector = format!("https://localhost:{}", tap.port);
        slot
    };
    let real = tapped(&path);
    fs::write(&path, real.to_armour()).unwrap();
    stdout(&bed.agent(&home, &["enroll", "--slot", &path]));

    bed.applicant("ct-2");
    bed.applicant("ct-3");
    let (replayed, contested) = (tapped(&bed.path("ct-2.slot")), slot_of(&bed, "ct-3"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, replay(plan, &replayed, &mut result));
    let mut written = Vec::new();
    let rivals = local.block_on(&runtime, at_once(plan.at_once, &contested, &mut result, &mut written));

    // Killed as by a power cut: who was accepted stays, who was not stays out.
    collector.kill();
    drop(collector);
    let _collector = bed.start_collector();
    result.changed = local.block_on(&runtime, ask_again(&contested, rivals));

    let devices = bed.listing(&["device", "list"]);
    result.devices = (devices.as_array().map_or(0, Vec::len), 3);
    let heard = tap.heard();
    let all = heard.iter().flat_map(|heard| [&heard.line, &heard.plain]).chain(&written);
    for bytes in all {
        result.searched += bytes.len();
        for slot in [&real, &replayed, &contested] {
            let secrets = [slot.token.clone(), slot_key(&slot.token).0.to_vec()];
            result.found += secrets.iter().map(|secret| secret::occurrences(secret, bytes)).sum::<usize>();
        }
    }
    assert!(heard.iter().any(|h| h.plain.starts_with(b"POST /v1/enroll")), "the tap heard no enrollment");
    result
}

fn slot_of(bed: &Bed, label: &str) -> SlotFile {
    SlotFile::from_armour(&fs::read_to_string(bed.path(&format!("{label}.slot"))).unwrap()).unwrap()
}

/// One redemption, then all its replays, over a few connections.
async fn replay(plan: EnrollPlan, slot: &SlotFile, result: &mut EnrollResult) {
    let applicant = Applicant::new();
    let request = applicant.request(slot, facts(b"first"));
    let (_, genesis) = redeem(&way_to(slot), slot, &request).await.expect("the first redemption is accepted");
    let first = Rc::new(First { slot: slot.clone(), applicant, request, genesis });
    let mut rng = seed::rng(plan.seed);
    let drawn = (0..plan.replays).map(|_| (rng.random::<u32>() as usize, rng.random_range(0..8u8)));
    let drawn: Rc<Vec<(usize, u8)>> = Rc::new(drawn.collect());
    let left = Rc::new(RefCell::new(0..plan.replays));
    let counts = Rc::new(RefCell::new(BTreeMap::<&str, (u32, u32)>::new()));
    let workers = (0..CONNECTIONS).map(|_| {
        let (first, drawn) = (Rc::clone(&first), Rc::clone(&drawn));
        let (left, counts) = (Rc::clone(&left), Rc::clone(&counts));
        tokio::task::spawn_local(async move {
            let transport = way_to(&first.slot);
            loop {
                let Some(number) = left.borrow_mut().next() else { break };
                let (name, kind) = REPLAYS[number as usize % REPLAYS.len()];
                let place = drawn[number as usize];
                let good = first.comes_again(kind, place, &transport).await;
                let mut counts = counts.borrow_mut();
                let count = counts.entry(name).or_default();
                *count = (count.0 + 1, count.1 + u32::from(!good));
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("no replay panics");
    }
    result.replays = counts.take();
}

impl First {
    /// Whether a replay is answered as it must be.
    async fn comes_again(&self, kind: Replay, (at, bit): (usize, u8), transport: &HttpTransport) -> bool {
        match kind {
            Replay::Same => self.is_given_the_same(&self.request, transport).await,
            Replay::Flipped(field) => {
                let mut bytes = self.request.bytes().to_vec();
                let (from, len) = self.place(field);
                bytes[from + at % len] ^= 1 << bit;
                post(transport, "/v1/enroll", &bytes).await.status == 400
            }
            Replay::Anew(field) => {
                let machine: &[u8] = if field == Field::Facts { &at.to_le_bytes() } else { b"first" };
                let device_key = self.applicant.device_key.clone();
                let tls_key = Applicant::new().tls_key;
                let other = Applicant { device_key, tls_key };
                let applicant = if field == Field::Csr { &other } else { &self.applicant };
                self.is_given_the_same(&applicant.request(&self.slot, facts(machine)), transport).await
            }
            Replay::OtherDevice => {
                let request = Applicant::new().request(&self.slot, facts(b"other"));
                redeem(transport, &self.slot, &request).await == Err(410)
            }
            Replay::StolenProof => {
                let request = Applicant::new().request_with(&self.slot, &Hash::of(b"guess"), facts(b"first"));
                let mut bytes = request.bytes().to_vec();
                let (mine, stolen) = (proof(&bytes), proof(self.request.bytes()));
                let stolen = self.request.bytes()[stolen].to_vec();
                bytes[mine].copy_from_slice(&stolen);
                post(transport, "/v1/enroll", &bytes).await.status == 400
            }
        }
    }

    async fn is_given_the_same(&self, request: &Request, transport: &HttpTransport) -> bool {
        redeem(transport, &self.slot, request).await.is_ok_and(|(_, genesis)| genesis == self.genesis)
    }

    /// Where a field stands in the request.
    fn place(&self, field: Field) -> (usize, usize) {
        let bytes = self.request.bytes();
        let public = self.applicant.device_key.public().to_bytes();
        let at = |part: &[u8]| {
            let found = bytes.windows(part.len()).position(|window| window == part);
            found.expect("the request holds it")
        };
        let key = (at(&public), public.len());
        let machine = facts(b"first").machine.0;
        match field {
            Field::Key => key,
            Field::Facts => (at(&machine), machine.len()),
            // The request for a certificate follows the key, then the facts; the nonce ends the
            // transcript, before proof and signature.
            Field::Csr => (key.0 + key.1 + 8, 64),
            Field::Nonce => (proof(bytes).start - 2 - 16, 16),
        }
    }
}

/// The place of the proof: 32 bytes before the signature, each with a head of two bytes.
fn proof(bytes: &[u8]) -> std::ops::Range<usize> {
    let end = bytes.len() - 64 - 2;
    end - 32..end
}

/// Who redeemed, and what the answer was.
struct Rival {
    applicant: Applicant,
    got: Result<Hash, u16>,
}

/// All of them at the same moment, each over its own connection.
async fn at_once(
    n: u32,
    slot: &SlotFile,
    result: &mut EnrollResult,
    written: &mut Vec<Vec<u8>>,
) -> Vec<Rival> {
    let gate = Arc::new(Barrier::new(n as usize));
    let mut tasks = Vec::new();
    for number in 0..n {
        let applicant = Applicant::new();
        let request = applicant.request(slot, facts(&number.to_le_bytes()));
        written.push(request.bytes().to_vec());
        let (gate, slot) = (Arc::clone(&gate), slot.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let transport = way_to(&slot);
            gate.wait().await;
            let got = redeem(&transport, &slot, &request).await.map(|(_, genesis)| genesis);
            Rival { applicant, got }
        }));
    }
    let mut rivals = Vec::new();
    for task in tasks {
        rivals.push(task.await.expect("no redemption panics"));
    }
    let of =
        |got: fn(&Rival) -> bool| u32::try_from(rivals.iter().filter(|r| got(r)).count()).unwrap_or(u32::MAX);
    result.at_once = (of(|r| r.got.is_ok()), of(|r| r.got == Err(410)));
    rivals
}

/// The accepted one and a few of the others again; how many are told something else than before.
async fn ask_again(slot: &SlotFile, rivals: Vec<Rival>) -> u32 {
    let transport = way_to(slot);
    let (accepted, refused): (Vec<_>, Vec<_>) = rivals.into_iter().partition(|rival| rival.got.is_ok());
    let mut changed = 0;
    for rival in accepted.iter().chain(refused.iter().take(10)) {
        let request = rival.applicant.request(slot, fleet::facts(b"again"));
        let got = redeem(&transport, slot, &request).await.map(|(_, genesis)| genesis);
        changed += u32::from(got != rival.got);
    }
    changed
}
