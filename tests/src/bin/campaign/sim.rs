//! Simulated worlds; see `tenken_tests::sim`.

use tenken_tests::sim::{self, Coverage, Outcome, Plan, Row, Rows, Violation, judge, run};

/// Milliseconds in a year of 365 days.
const YEAR_MS: u64 = 365 * 86_400_000;
/// Lines of a world's story that are printed, unless it is the only world.
const STORY_MAX: usize = 120;
/// How many worlds a planted bug is searched for in.
const SEARCHED: u64 = 10_000;

/// Runs `n` worlds from `seed` on; gives how many failed, and how many rows hardly ever occurred.
pub fn worlds(n: u32, seed: u64) -> u64 {
    let mut coverage = Coverage::default();
    let mut failures = Failures::new("sim", n);
    let (mut device_ms, mut batches, mut records) = (0, 0, 0);
    for seed in seed..seed + u64::from(n) {
        let plan = Plan::of(seed);
        let outcome = judge(&plan);
        coverage.add(&outcome.rows);
        device_ms += outcome.device_ms;
        batches += outcome.batches;
        records += outcome.records;
        failures.look(&plan, &outcome, &outcome.violations);
    }
    print!("{coverage}");
    let (years, days) = (device_ms / YEAR_MS, device_ms / 86_400_000);
    println!("sim: {years} device-years ({days} device-days), {batches} batches, {records} records stored");
    // A few worlds say nothing of one in a hundred.
    let thin = if n >= 100 { coverage.thin() } else { Vec::new() };
    for row in &thin {
        println!("sim: `{}` occurred in less than 1 % of the worlds", row.as_str());
    }
    failures.count + thin.len() as u64
}

/// How many bugs are planted.
#[expect(clippy::cast_possible_truncation, reason = "a list written by hand is short")]
pub const PLANTED: u32 = tenken_tests::sim::PLANTED.len() as u32;

/// Plants each bug, and looks for a world that shows it.
pub fn planted(seed: u64) -> u64 {
    let mut missed = 0;
    for planted in sim::PLANTED {
        if let Some(found) = planted.find(seed, SEARCHED) {
            println!(
                "planted: `{}` found after {} worlds, seed {}: {:?}: {}",
                planted.name, found.worlds, found.seed, found.violation.invariant, found.violation.what
            );
        } else {
            println!("planted: `{}` NOT found in {SEARCHED} worlds", planted.name);
            missed += 1;
        }
    }
    missed
}

/// Runs `n` clones and restored images, each of which has to be found at its first diverging
/// batch, and five times as many devices that only lose their power, none of which may be taken
/// for a clone.
pub fn clones(n: u32, seed: u64) -> u64 {
    let mut failures = Failures::new("clone", n);
    let (mut found, mut false_alarms) = (0, 0);
    let n = u64::from(n);
    for seed in seed..seed + n {
        let plan = Plan::doubled(seed);
        let outcome = run(&plan, None, false);
        found += u64::from(alarms(&outcome.rows) > 0);
        let mut violations = outcome.violations.clone();
        if alarms(&outcome.rows) == 0 {
            violations.push(Violation::of_campaign("two lives of one device, and nobody noticed"));
        }
        failures.look(&plan, &outcome, &violations);
    }
    for seed in seed..seed + 5 * n {
        let plan = Plan::power_cuts(seed);
        let outcome = run(&plan, None, false);
        let mut violations = outcome.violations.clone();
        if alarms(&outcome.rows) > 0 {
            false_alarms += 1;
            violations.push(Violation::of_campaign("a power cut was taken for a clone"));
        }
        failures.look(&plan, &outcome, &violations);
    }
    println!(
        "clone: {found} of {n} clones and restored images found; {false_alarms} false alarms in {} devices with power cuts",
        5 * n
    );
    failures.count
}

fn alarms(rows: &Rows) -> u64 {
    let alarms = [
        Row::ForkStored,
        Row::ForkPrev,
        Row::HoleUnexplained,
        Row::StaleClone,
        Row::BootBack,
        Row::DeviceBehind,
    ];
    alarms.into_iter().map(|row| rows.count(row)).sum()
}

/// Worlds that went wrong; the first ones are told.
struct Failures {
    name: &'static str,
    count: u64,
    story_max: usize,
}

impl Failures {
    fn new(name: &'static str, n: u32) -> Self {
        Self { name, count: 0, story_max: if n == 1 { usize::MAX } else { STORY_MAX } }
    }

    fn look(&mut self, plan: &Plan, outcome: &Outcome, violations: &[Violation]) {
        let Some(first) = violations.first() else { return };
        self.count += 1;
        println!("{}: seed {} failed: {:?}: {}", self.name, outcome.seed, first.invariant, first.what);
        if self.count > 2 {
            return;
        }
        for violation in violations.iter().skip(1).take(5) {
            println!("  {:?} at {} ms: {}", violation.invariant, violation.at, violation.what);
        }
        let story = run(plan, None, true).trace;
        let skipped = story.len().saturating_sub(self.story_max);
        story.iter().skip(skipped).for_each(|line| println!("    {line}"));
    }
}
