//! A collector that is restored from a backup under its whole fleet: every device delivers on.
//!
//! Holds: the devices are [`Member`]s of the product's own parts, the collector, its `backup` and
//! its `restore` are the real program. The backup is taken while devices deliver; afterwards they
//! deliver more, and the collector's store is destroyed. What the stream says in the end is
//! compared with what each device had been told: exactly the links that were acknowledged and are
//! not in the backup are named as the collector's loss, and every record is stored once or
//! declared.

use crate::{
    Bed, BedPlan, HOSPITAL,
    fleet::{Applicant, facts, redeem, way_to},
    member::Member,
    seed, stdout, workspace_bin,
};
use proptest::prelude::RngExt;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt, fs,
    path::Path,
    process::Command,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tenken_agent_core::spool::runs::RunSet;
use tenken_collector::{desk, store::Store};
use tenken_collector_core::stream::Entry;
use tenken_common::{
    batch::{GapReason, RecRun},
    envelope::Envelope,
    id::{DeviceId, Hash, Name, RecId, Seq},
    key::{PublicKey, SecretKey},
    statement::from_armour,
    time::{Clock, SystemClock},
    wire::v1::ReceivedBatch,
};
use tenken_hospital::device::{SlotOrder, approve, make_slot};
use tokio::{sync::Semaphore, task::LocalSet};

/// Devices that are busy at the same moment.
const AT_ONCE: usize = 32;
const RECORDS: u32 = 5;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct RestorePlan {
    pub devices: u32,
    pub seed: u64,
}

/// What came out.
#[derive(Debug, Default)]
pub struct RestoreResult {
    /// Links that were acknowledged before the collector was destroyed, and of these in the backup.
    pub acknowledged: u64,
    pub in_backup: u64,
    /// Links that the stream names as the collector's loss.
    pub named_lost: u64,
    /// Record ids, also those that a restart left unused.
    pub ids: u64,
    pub stored: u64,
    /// Declared by the devices as lost by the collector.
    pub declared: u64,
    pub forks: u64,
    pub quarantines: u64,
    /// What is not as it must be, by device.
    pub faults: BTreeMap<DeviceId, String>,
}

impl RestoreResult {
    /// Devices of which something is not as it must be.
    pub fn failed(&self) -> u64 {
        self.faults.len() as u64 + self.forks + self.quarantines
    }
}

impl fmt::Display for RestoreResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} links acknowledged, {} in the backup, {} named as the collector's loss; {} record ids, {} stored, \
             {} declared collector_lost; {} forks, {} quarantines",
            self.acknowledged,
            self.in_backup,
            self.named_lost,
            self.ids,
            self.stored,
            self.declared,
            self.forks,
            self.quarantines
        )?;
        self.faults.iter().take(10).try_for_each(|(device, fault)| write!(f, "; {device}: {fault}"))
    }
}

/// Runs the whole plan.
pub fn restore_campaign(plan: RestorePlan) -> RestoreResult {
    let bed = Bed::new(BedPlan { collector: String::new(), ..BedPlan::default() });
    let mut collector = bed.start_collector();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    let dice = Rc::new(RefCell::new(seed::rng(plan.seed)));

    let members = local.block_on(&runtime, enrolled(&bed, plan));
    let members = local.block_on(&runtime, deliver(members, &dice, 1..=2));
    // The backup is taken while everybody delivers.
    let backup = bed.path("backup");
    let taken = {
        let mut command = Command::new(workspace_bin("tenken-collector"));
        command.args(["--config", &bed.path("collector.toml"), "backup", &backup]);
        std::thread::spawn(move || stdout(&command.output().unwrap()))
    };
    let members = local.block_on(&runtime, deliver(members, &dice, 1..=3));
    taken.join().expect("the backup is taken");
    let members = local.block_on(&runtime, deliver(members, &dice, 0..=3));

    collector.kill();
    drop(collector);
    fs::remove_dir_all(bed.path("collector")).unwrap();
    stdout(&bed.collector(&["restore", &backup]));
    let backed_up = runtime.block_on(kept(&bed, &mut RestoreResult::default()));
    let before = members.iter().map(|member| {
        let device = member.start().device;
        let head = backed_up.get(&device).and_then(|kept| kept.head);
        (device, (head.map_or(Seq(0), |(seq, _)| seq), member.acked()))
    });
    let before: BTreeMap<DeviceId, (Seq, Seq)> = before.collect();

    let mut collector = bed.start_collector();
    let mut members = members;
    // Half of the devices are started anew, the others go on as if nothing had happened.
    members.iter_mut().step_by(2).for_each(Member::restart);
    let mut members = local.block_on(&runtime, deliver(members, &dice, 1..=2));
    // Which records went with the lost links the collector knows once later ones have come; the
    // next resume asks for them.
    members.iter_mut().for_each(Member::restart);
    let members = local.block_on(&runtime, deliver(members, &dice, 1..=1));
    collector.terminate();
    assert!(collector.wait(Duration::from_secs(60)).success(), "{}", collector.stderr_text());
    runtime.block_on(judged(&bed, &members, &before))
}

async fn beside(bed: &Bed) -> Store {
    Store::open(&bed.database(), Arc::new(SystemClock::new())).await.unwrap()
}

/// Slots, redemptions and approvals, as the hospital's program makes them.
async fn enrolled(bed: &Bed, plan: RestorePlan) -> Vec<Member> {
    let clock = SystemClock::new();
    let text = |name: &str| fs::read_to_string(Path::new(&bed.path(name))).unwrap();
    let key = SecretKey::from_pem(&text("hospital/hospital.key")).unwrap();
    let consent = from_armour(&text("consent.statement")).unwrap();
    let root: Hash = bed.root().parse().expect("`init` prints a hash");
    let store = beside(bed).await;
    let mut slots = Vec::new();
    for number in 0..plan.devices {
        let order = SlotOrder {
            hospital: HOSPITAL.parse().expect("a hospital's name"),
            label: Name::of_outside(&format!("device-{number}")),
            group: None,
            collector: format!("https://localhost:{}", bed.enroll_port),
            root,
            consent: consent.clone(),
            replaces: None,
            life: Duration::from_secs(3_600),
        };
        let slot = make_slot(order, &key, clock.wall()).unwrap();
        desk::file_statement(&store, &slot.for_collector).await.unwrap();
        slots.push(slot.for_device);
    }
    let places = Rc::new(Semaphore::new(AT_ONCE));
    let tasks = slots.into_iter().enumerate().map(|(number, slot)| {
        let places = Rc::clone(&places);
        tokio::task::spawn_local(async move {
            let _place = places.acquire().await;
            let applicant = Applicant::new();
            let seed = plan.seed + number as u64;
            let request = applicant.request(&slot, facts(&seed.to_le_bytes()));
            let (grant, genesis) = redeem(&way_to(&slot), &slot, &request).await.expect("a fresh slot");
            Member::new(&applicant, &grant, genesis, seed)
        })
    });
    let mut members = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        members.push(task.await.expect("no enrollment panics"));
    }
    for member in &members {
        let hospital = HOSPITAL.parse().expect("a hospital's name");
        let device = member.start().device;
        let approval = approve(hospital, device, member.fingerprint(), &key, clock.wall()).unwrap();
        desk::file_statement(&store, &approval).await.unwrap();
    }
    store.close().await;
    members
}

/// Everybody records and delivers a number of times that is drawn for each.
async fn deliver(
    members: Vec<Member>,
    dice: &Rc<RefCell<proptest::test_runner::TestRng>>,
    times: std::ops::RangeInclusive<u32>,
) -> Vec<Member> {
    let places = Rc::new(Semaphore::new(AT_ONCE));
    let halted = Rc::new(Cell::new(0u32));
    let tasks = members.into_iter().map(|mut member| {
        let times = dice.borrow_mut().random_range(times.clone());
        let (places, halted) = (Rc::clone(&places), Rc::clone(&halted));
        tokio::task::spawn_local(async move {
            let _place = places.acquire().await;
            for _ in 0..times {
                member.record(RECORDS);
                if member.deliver().await.is_err() {
                    halted.set(halted.get() + 1);
                    break;
                }
            }
            member
        })
    });
    let mut back = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        back.push(task.await.expect("no delivery panics"));
    }
    eprintln!("collector-restore: {} devices delivered, {} halted", back.len(), halted.get());
    back
}

/// What the stream holds of one device.
#[derive(Default)]
struct Kept {
    stored: RunSet,
    doubled: u64,
    /// As lost by the collector, and for any reason.
    declared: RunSet,
    gaps: RunSet,
    lost: Vec<(Seq, Seq)>,
    head: Option<(Seq, Hash)>,
}

/// Reads the stream; forks and quarantines go into `result`.
async fn kept(bed: &Bed, result: &mut RestoreResult) -> BTreeMap<DeviceId, Kept> {
    let store = beside(bed).await;
    let devices = store.devices().await.unwrap();
    let keys: BTreeMap<DeviceId, PublicKey> = devices.iter().map(|row| (row.id, row.key)).collect();
    let mut kept: BTreeMap<DeviceId, Kept> = BTreeMap::new();
    let mut position = 0;
    loop {
        let page = store.entries_after(position, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        position = last.position;
        for stored in page {
            match stored.entry {
                Entry::Envelope { device, bytes } => {
                    let key = keys.get(&device).expect("only a device's envelope is in the log");
                    kept.entry(device).or_default().take(&bytes, key);
                }
                Entry::CollectorLost(range) => {
                    kept.entry(range.device).or_default().lost.push((range.from, range.to));
                }
                Entry::Fork { .. } | Entry::CloneSuspected { .. } => result.forks += 1,
                Entry::Quarantined { .. } => result.quarantines += 1,
                Entry::Heartbeat
                | Entry::Started { .. }
                | Entry::Hospital(_)
                | Entry::Contract { .. }
                | Entry::Statement { .. }
                | Entry::Enrolled(_)
                | Entry::CertificateIssued { .. }
                | Entry::Revoked { .. }
                | Entry::IncidentAction(_)
                | Entry::Silence(_)
                | Entry::Rules { .. }
                | Entry::Rejoined(_)
                | Entry::Restored { .. }
                | Entry::FactsChanged { .. }
                | Entry::SlaRecord { .. }
                | Entry::MonthSealed(_) => {}
            }
        }
    }
    store.close().await;
    kept
}

async fn judged(bed: &Bed, members: &[Member], before: &BTreeMap<DeviceId, (Seq, Seq)>) -> RestoreResult {
    let mut result = RestoreResult::default();
    let mut kept = kept(bed, &mut result).await;
    for member in members {
        let device = member.start().device;
        let kept = kept.entry(device).or_default();
        let (backed_up, acked) = before.get(&device).copied().expect("every device was looked at");
        result.acknowledged += acked.0;
        result.in_backup += backed_up.0;
        result.named_lost += kept.lost.iter().map(|(from, to)| to.0 - from.0 + 1).sum::<u64>();
        let count = |runs: &RunSet| runs.runs().iter().map(RecRun::len).sum::<u64>();
        result.ids += member.last_id().0;
        result.stored += count(&kept.stored);
        result.declared += count(&kept.declared);
        let faults = kept.faults(member, (backed_up, acked));
        if !faults.is_empty() {
            result.faults.insert(device, faults.join(", "));
        }
    }
    result
}

impl Kept {
    fn take(&mut self, bytes: &[u8], key: &PublicKey) {
        let received = Envelope::from_bytes(bytes).and_then(|envelope| envelope.open::<ReceivedBatch>(key));
        let received = received.expect("no device had to make a stub");
        for id in received.record_ids() {
            self.doubled += u64::from(self.stored.contains(id));
            self.stored.insert(RecRun::one(id));
        }
        for gap in &received.batch.gaps {
            self.gaps.insert(gap.run);
            if gap.reason == GapReason::CollectorLost {
                self.declared.insert(gap.run);
            }
        }
        self.head = Some((received.batch.seq, received.body_hash()));
    }

    fn faults(&self, member: &Member, (backed_up, acked): (Seq, Seq)) -> Vec<String> {
        let mut faults = Vec::new();
        let expected: Vec<_> = (acked > backed_up).then_some((backed_up.next(), acked)).into_iter().collect();
        if self.lost != expected {
            faults.push(format!("the collector's loss is {:?} and named is {:?}", expected, self.lost));
        }
        if self.head != Some(member.head()) || member.acked() != member.head().0 {
            faults.push(format!("stands at {:?}, the collector at {:?}", member.head(), self.head));
        }
        let mut known = self.stored.clone();
        self.gaps.runs().iter().for_each(|run| known.insert(*run));
        let silent = known.missing_in(RecRun { from: RecId(1), to: member.last_id() });
        if !silent.is_empty() {
            faults.push(format!("records neither stored nor declared: {silent:?}"));
        }
        let both = self.gaps.runs().iter().any(|run| self.stored.missing_in(*run) != [*run]);
        if self.doubled > 0 || both {
            faults.push(format!("{} records stored twice, or stored and declared lost", self.doubled));
        }
        faults
    }
}
