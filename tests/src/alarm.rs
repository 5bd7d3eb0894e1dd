//! How long a critical check on a device takes to become a mail in the mailbox.
//!
//! Holds: real agents push over TLS to a real collector, whose mail a real server takes over STARTTLS and
//! after login. All have the intervals that ship, only the probe of services looks every two
//! seconds: its interval is no part of the figure, for time counts from the observation's own time on the
//! device, to the moment in which the server took the mail. All read one clock.
//!
//! Each service dies once, at a moment that the seed draws, and is back after people should have been
//! told. So every alarm is the first of its subject, an incident of its own that neither dedupe nor
//! flap damping holds back; and each comes out of quiet, with no other urgent batch of its device
//! under way.

use crate::{
    Bed, BedPlan, Home, MailMessage, MailServer, Process, let_pass, seed, wait_until, workspace_bin,
};
use proptest::prelude::RngExt;
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};
use tenken_collector::store::{Store, model::OutboxRow};
use tenken_collector_core::desk::notice::NotifyReason;
use tenken_common::{
    id::Name,
    observation::{Body, CheckState},
    time::{SystemClock, Timestamp},
};

const DEVICES: u32 = 8;
/// A first batch goes at once; what came after it, with the next.
const START_BOUND: Duration = Duration::from_mins(3);
const STOP_BOUND: Duration = Duration::from_secs(30);
/// The evaluation's interval that ships: a death comes anywhere in it.
const APART_MS_MAX: u64 = 10_000;
/// Longer than the probe's interval and the goal together.
const DOWN: Duration = Duration::from_secs(15);
/// From the observation to the mail.
pub const GOAL: Duration = Duration::from_secs(10);

/// Where the time of one alarm went.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// From the observation to the collector's commit.
    push: Duration,
    /// From there to the decision to tell people.
    decision: Duration,
    /// From there to the server's yes.
    mail: Duration,
}

impl Way {
    fn whole(&self) -> Duration {
        self.push + self.decision + self.mail
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct AlarmResult {
    ways: Vec<Way>,
    /// Deaths of which no mail told.
    untold: u64,
    /// Mails beyond the first of a death.
    doubled: u64,
}

impl AlarmResult {
    /// Zero where all is well.
    pub fn failed(&self) -> u64 {
        self.untold + self.doubled + u64::from(self.at(99, Way::whole) > GOAL)
    }

    /// The percentile of a part; the longest at 100.
    fn at(&self, percent: usize, part: impl Fn(&Way) -> Duration) -> Duration {
        let mut all: Vec<Duration> = self.ways.iter().map(part).collect();
        all.sort();
        let place = (all.len() * percent).div_ceil(100).max(1) - 1;
        all.get(place).copied().unwrap_or_default()
    }
}

impl fmt::Display for AlarmResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |of: fn(&Way) -> Duration| {
            let at = |percent| self.at(percent, of).as_secs_f64();
            format!("p50 {:.2} s, p99 {:.2} s, max {:.2} s", at(50), at(99), at(100))
        };
        writeln!(f, "{} told, {} untold, {} doubled", self.ways.len(), self.untold, self.doubled)?;
        writeln!(f, "observation to mail: {}", part(Way::whole))?;
        writeln!(f, "  observation to commit: {}", part(|way| way.push))?;
        writeln!(f, "  commit to decision: {}", part(|way| way.decision))?;
        write!(f, "  decision to mail: {}", part(|way| way.mail))
    }
}

/// `n` deaths, on all devices at the same time.
pub fn alarm_campaign(n: u32, number: u64) -> AlarmResult {
    workspace_bin("tenken-collector");
    let home = tempfile::tempdir().unwrap();
    let mail = MailServer::start(home.path());
    let bed = Bed::new(BedPlan { collector: collector(home.path(), &mail), ..BedPlan::default() });
    let mut serving = bed.start_collector();
    let wards: Vec<Ward> =
        (0..DEVICES.min(n)).map(|device| Ward::new(&bed, device, n, number, home.path())).collect();
    let mut agents: Vec<Process> = wards.iter().map(|ward| bed.start_agent(&ward.home)).collect();
    wait_until(START_BOUND, "all services to be seen", |state| {
        let list = bed.listing(&["device", "list"]);
        *state = list.to_string();
        (state.matches("\"state\":\"ok\"").count() >= n as usize).then_some(())
    });
    let turns: Vec<_> = wards.into_iter().map(|ward| thread::spawn(move || ward.take_turns())).collect();
    // What it waited for in vain has been printed.
    let broken = turns.into_iter().map(thread::JoinHandle::join).filter(Result::is_err).count();
    assert_eq!(broken, 0, "a device's turns broke off");
    for process in agents.iter_mut().chain([&mut serving]) {
        process.terminate();
        assert!(process.wait(STOP_BOUND).success(), "{}", process.stderr_text());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ways(&bed.database(), &mail.messages(), n))
}

/// With what ships, and mail to one recipient.
fn collector(dir: &Path, mail: &MailServer) -> String {
    let password = dir.join("password");
    fs::write(&password, MailServer::PASSWORD).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    format!(
        "[[notify.email]]\nname = 'desk'\nserver = 'localhost'\nport = {}\nca_file = '{}'\nusername = '{}'\n\
         password_file = '{}'\nfrom = 'rsc@example.jp'\nto = ['desk@example.jp']\n",
        mail.port(),
        mail.ca_file().display(),
        MailServer::USER,
        password.display()
    )
}

/// One device with its services, and when they die.
struct Ward {
    home: Home,
    dir: PathBuf,
    services: Vec<(Duration, String, Process)>,
}

impl Ward {
    /// The device with its share of the `n` services, all of them running.
    fn new(bed: &Bed, device: u32, n: u32, number: u64, dir: &Path) -> Self {
        let home = bed.enroll(&format!("ct-{device}"));
        let mut rng = seed::rng(number + u64::from(device));
        // A debug build costs more than a device's agent may.
        let mut text = "[budget]\ncpu_ratio = 1.0\n[probes.intervals]\nservices = \"2s\"\n".to_owned();
        let own: String = dir.display().to_string().chars().rev().take(6).collect();
        let mut services = Vec::new();
        for service in (device..n).step_by(DEVICES as usize) {
            // Unknown to all others, and short enough for the kernel to keep.
            let name = format!("{own}-{service}");
            symlink("/usr/bin/tail", dir.join(&name)).unwrap();
            write!(text, "[[probes.services]]\nname = \"service-{service}\"\nprocess = \"{name}\"\n")
                .unwrap();
            let process = start(dir, &name);
            services.push((Duration::from_millis(rng.random_range(0..APART_MS_MAX)), name, process));
        }
        bed.write_agent(&home, &text);
        Self { home, dir: dir.to_owned(), services }
    }

    /// One after the other dies and comes back.
    fn take_turns(mut self) {
        for (after, name, process) in &mut self.services {
            let_pass(*after);
            process.kill();
            let_pass(DOWN);
            *process = start(&self.dir, name);
        }
    }
}

fn start(dir: &Path, name: &str) -> Process {
    Process::start(dir, name, Command::new(dir.join(name)).args(["-f", "/dev/null"]))
}

/// From the log, the outbox and the mailbox.
async fn ways(database: &Path, mails: &[MailMessage], n: u32) -> AlarmResult {
    let store = Store::open(database, Arc::new(SystemClock::new())).await.unwrap();
    let end = store.position().await.unwrap();
    // When each died by the device's clock, and when the collector had that.
    let mut died: BTreeMap<Name, (Timestamp, Timestamp)> = BTreeMap::new();
    let mut from = 0;
    loop {
        let page = store.batches(from..end, 200).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.position;
        for stored in &page {
            for observation in stored.batch.records.iter().map(|record| &record.observation) {
                if matches!(&observation.body, Body::CheckResult(c) if c.state == CheckState::Critical) {
                    let seen = (observation.at.wall, stored.committed);
                    let first = died.entry(observation.subject.clone()).or_insert(seen);
                    *first = (*first).min(seen);
                }
            }
        }
    }
    let outbox = store.outbox().await.unwrap();
    store.close().await;
    let opened: BTreeMap<&Name, &OutboxRow> = outbox
        .iter()
        .filter(|row| row.notice.reason == NotifyReason::Opened)
        .map(|row| (&row.notice.subject, row))
        .collect();
    let mut result = AlarmResult { ways: Vec::new(), untold: 0, doubled: 0 };
    for service in 0..n {
        let subject = Name::new(&format!("service-{service}")).unwrap();
        let told = died.get(&subject).zip(opened.get(&subject)).and_then(|((seen, committed), row)| {
            // Those that die at one time are one mail.
            let (notice, id) = (&row.notice, format!("<{}@", row.message?));
            let taken: Vec<Timestamp> =
                mails.iter().filter(|m| m.text.contains(&id)).map(MailMessage::taken).collect();
            result.doubled += taken.len().saturating_sub(1) as u64;
            let since = |to: Timestamp, from: Timestamp| to.saturating_since(from);
            let (push, decision) = (since(*committed, *seen), since(notice.decided_at, *committed));
            Some(Way { push, decision, mail: since(*taken.first()?, notice.decided_at) })
        });
        match told {
            Some(way) => result.ways.push(way),
            None => result.untold += 1,
        }
    }
    result
}
