//! A device whose disk was copied, and both run: two machines with one identity, each in a network
//! of its own.
//!
//! Holds: the fork is found at the first batch in which the two differ, and not one batch of the
//! second is stored; a device that was not copied is not suspected.

use super::{
    draw::Draw,
    netns::{HUB, Networks, Node},
    tally::Tally,
};
use crate::{Bed, BedPlan, Home, wait::wait_until};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tenken_collector::store::Store;
use tenken_collector_core::stream::Entry;
use tenken_common::{
    batch::Link,
    envelope::{Envelope, Payload as _},
    id::{DeviceId, Hash, Seq},
    stub::Stub,
    time::SystemClock,
    wire::v1::ReceivedBatch,
};

const BOUND: Duration = Duration::from_secs(60);
const PROBES: &str = "[probes.intervals]\ncpu = \"1s\"\ndisk = \"1s\"\nmemory = \"1s\"\nnetwork = \"1s\"\n\
    clock = \"1s\"\nuptime = \"1s\"\nsensors = \"1s\"\nservices = \"1s\"\n";

fn agent_text(interval: &str) -> String {
    format!(
        "[push]\ninterval = \"{interval}\"\nreport = \"1s\"\nretry_first = \"50ms\"\nretry_max = \"200ms\"\ntimeout = \"2s\"\n{PROBES}"
    )
}

/// `n` devices that are copied, in one installation.
pub fn clones(n: usize, seed: u64) -> Tally {
    let mut draw = Draw::new(seed);
    let networks = Networks::new();
    let bed = Bed::new(BedPlan {
        agent: agent_text("300ms"),
        place: Some((networks.name(Node::Hub), HUB.to_owned())),
        ..BedPlan::default()
    });
    let mut tally = Tally::default();
    let mut collector = bed.start_collector();
    let honest = bed.enroll("honest");
    let mut honest_agent = bed.start_agent_in(&networks.name(Node::Right), &honest);
    let mut copied = Vec::new();
    for number in 0..n {
        let scene = Scene::new(&networks, &bed, number as u64);
        // A short run has both.
        let apart = if number < 2 { number == 0 } else { draw.once_in(2) };
        scene.run_both(apart);
        copied.push((apart, scene.home, scene.first));
    }
    let row = bed.device_when(&honest, "the honest one", |_| true);
    tally.count(
        "a device that was not copied",
        (row["quarantined"] == true).then(|| "is in quarantine".into()),
    );
    honest_agent.terminate();
    assert!(honest_agent.wait(BOUND).success());
    collector.terminate();
    assert!(collector.wait(BOUND).success());
    for (apart, home, first) in copied {
        let class = if apart { "copied, one cut off for a while" } else { "copied, both at once" };
        tally.count(class, wrongly_stored(&bed.database(), home.device.parse().unwrap(), first));
    }
    tally
}

/// A device that has delivered something, and its copy.
struct Scene<'a> {
    networks: &'a Networks,
    bed: &'a Bed,
    home: Home,
    clone: Home,
    /// The first link after the copy was made.
    first: Seq,
    /// A newer consent that names all categories again.
    loud: PathBuf,
}

impl<'a> Scene<'a> {
    fn new(networks: &'a Networks, bed: &'a Bed, number: u64) -> Self {
        let label = format!("ct-{number}");
        let home = bed.enroll(&label);
        let mut agent = bed.start_agent_in(&networks.name(Node::Left), &home);
        bed.device_when(&home, "two batches of it", |row| row["batches"].as_u64() >= Some(2));
        // A consent for what this device does not have: it goes on to speak and has nothing to say,
        // so that original and copy both begin before either sends anything.
        let signed = |version, categories: &[&str], name: &str| {
            bed.sign_consent(version, categories);
            let path = bed.dir().join(format!("{label}.{name}"));
            fs::copy(bed.path("consent.statement"), &path).unwrap();
            path
        };
        let quiet = signed(2 * number + 2, &["patch"], "quiet");
        let loud = signed(2 * number + 3, &BedPlan::default().categories, "loud");
        put(&quiet, &home);
        wait_until(BOUND, "everything to be delivered and nothing to be recorded", |state| {
            let status = tenken_agent::status::load(&home.state).ok()?;
            *state = format!("{:?} {:?}", status.consent, status.spool);
            let quiet = status.consent.version == 2 * number + 2;
            (quiet && status.spool.waiting + status.spool.in_flight == 0).then_some(())
        });
        agent.terminate();
        assert!(agent.wait(BOUND).success());
        let status = tenken_agent::status::load(&home.state).unwrap();
        assert_eq!(status.spool.waiting + status.spool.in_flight, 0, "{:?}", status.spool);
        let first = Seq(status.spool.acked_batches + 1);
        let clone = Home { state: bed.dir().join(format!("{label}-clone")), ..home.clone() };
        let clone = Home { config: bed.dir().join(format!("{label}-clone.toml")), ..clone };
        copy_folder(&home.state, &clone.state);
        bed.write_agent(&clone, &agent_text("300ms"));
        Self { networks, bed, home, clone, first, loud }
    }

    /// Runs original and copy until the collector takes nothing more from them.
    fn run_both(&self, apart: bool) {
        let [left, right] = [Node::Left, Node::Right].map(|node| self.networks.name(node));
        let _agents =
            [self.bed.start_agent_in(&left, &self.home), self.bed.start_agent_in(&right, &self.clone)];
        for place in [&self.home, &self.clone] {
            wait_until(BOUND, "both to have begun", |state| {
                let status = tenken_agent::status::load(&place.state).ok()?;
                *state = format!("{:?}", status.delivery);
                (status.stopped.is_none() && status.delivery.last_ack.is_some()).then_some(())
            });
        }
        if apart {
            self.networks.connect(Node::Right, false);
            put(&self.loud, &self.home);
            put(&self.loud, &self.clone);
            self.bed.device_when(&self.home, "the connected one to go on", |row| {
                row["batches"].as_u64() > Some(self.first.0)
            });
            self.networks.connect(Node::Right, true);
        } else {
            put(&self.loud, &self.home);
            put(&self.loud, &self.clone);
        }
        self.bed.device_when(&self.home, "the quarantine of both", |row| row["quarantined"] == true);
    }
}

/// Moves a consent into place whole.
fn put(statement: &Path, home: &Home) {
    let new = home.state.join("consent.new");
    fs::copy(statement, &new).unwrap();
    fs::rename(new, home.state.join("consent.statement")).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// What is not as it must be in the stream of a stopped collector.
fn wrongly_stored(database: &Path, device: DeviceId, first: Seq) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let entries = runtime.block_on(async {
        let store = Store::open(database, Arc::new(SystemClock::new())).await.unwrap();
        let mut entries = Vec::new();
        loop {
            let from = entries.last().map_or(0, |e: &tenken_collector_core::stream::Stored| e.position);
            let page = store.entries_after(from, 500).await.unwrap();
            if page.is_empty() {
                break;
            }
            entries.extend(page);
        }
        store.close().await;
        entries
    });
    let read = |bytes: &[u8]| {
        let envelope = Envelope::from_bytes(bytes).unwrap();
        let link = if envelope.payload_type() == Stub::TYPE {
            Link::of_stub(&Stub::decode(envelope.body()).unwrap())
        } else {
            let batch = ReceivedBatch::decode(envelope.body()).unwrap().batch;
            Link::of_batch(&batch, Hash::of(envelope.body()))
        };
        (link.device == device).then_some((link.seq, link.prev, link.hash))
    };
    let (mut chain, mut forks) = (Vec::new(), Vec::new());
    for stored in &entries {
        if let Entry::Envelope { bytes, .. } = &stored.entry {
            chain.extend(read(bytes));
        }
        if let Entry::Fork { bytes, .. } = &stored.entry {
            forks.extend(read(bytes));
        }
    }
    let Some((seq, _, arrived)) = forks.first().copied() else { return Some("no fork was found".into()) };
    if seq != first {
        return Some(format!("the fork was found at {seq}, the two differ from {first} on"));
    }
    let beside = chain.iter().find(|link| link.0 == first);
    if beside.is_none_or(|link| link.2 == arrived) {
        return Some(format!("beside the fork at {first} stands {beside:?}"));
    }
    let broken = chain.windows(2).find(|pair| pair[1].0 != pair[0].0.next() || pair[1].1 != pair[0].2);
    broken.map(|pair| format!("{:?} does not follow {:?}", pair[1], pair[0]))
}
