//! Long forms of the tests, as programs whose figures stand in `tests/FIGURES.md`.
//!
//! Holds: each ends with one line `NAME: tried N failed M seed S`; the exit code is 1 where
//! anything failed. A campaign that breaks off has failed.

#![allow(clippy::print_stdout, reason = "the result is what this program is run for")]

mod absence;
mod adversary;
mod alarm;
mod column;
mod consent;
mod crash;
mod desk;
mod disk;
mod enroll;
mod evidence;
mod footprint;
mod kill;
mod offline;
mod predict;
mod probes;
mod restore;
mod sim;
mod sla;
mod tick;
mod unit;

use clap::Parser;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

/// Runs a campaign and says how often it failed
#[derive(Debug, Parser)]
#[command(name = "campaign", max_term_width = 100)]
struct Args {
    /// Which one, or `all`
    #[arg(value_parser = names())]
    name: String,
    /// How many rounds; each has its usual number
    #[arg(long)]
    n: Option<u32>,
    /// The same seed gives the same moments; without it one is drawn
    #[arg(long)]
    seed: Option<u64>,
    /// Of a crash campaign just this recording or run, as a failure names it
    #[arg(long)]
    only: Option<usize>,
}

/// What one campaign is asked for.
#[derive(Debug, Clone, Copy)]
struct Plan {
    n: u32,
    seed: u64,
    only: Option<usize>,
}

/// Runs `n` rounds with a seed; gives how many failed.
type Campaign = fn(Plan) -> u64;

/// Name, its usual number of rounds (devices, days, tries), and the campaign.
const CAMPAIGNS: &[(&str, u32, Campaign)] = &[
    ("power-cut-agent", 10_000, crash::power_cut_agent),
    ("power-cut-collector", 10_000, crash::power_cut_collector),
    ("kill", 1_000, |plan| kill::run("sled", plan.n, plan.seed)),
    ("kill-redb", 1_000, |plan| kill::run("redb", plan.n, plan.seed)),
    ("syscall", 2_000, crash::syscall),
    ("corrupt", 10_000, crash::corrupt),
    ("sim", 10_000, |plan| sim::worlds(plan.n, plan.seed)),
    ("planted", sim::PLANTED, |plan| sim::planted(plan.seed)),
    ("clone", 2_000, |plan| sim::clones(plan.n, plan.seed)),
    ("clone-netns", 1, |plan| adversary::clones(plan.n, plan.seed)),
    ("absence", 1_000, |plan| absence::run(plan.n, plan.seed)),
    ("collector-restore", 1_000, |plan| restore::run(plan.n, plan.seed)),
    ("forge", 1_000, |plan| adversary::forge(plan.n, plan.seed)),
    ("bitflip", 1, |plan| adversary::bitflip(plan.n, plan.seed)),
    ("door", 50, |plan| adversary::door(plan.n, plan.seed)),
    ("certificate", 1, |plan| adversary::certificate(plan.n, plan.seed)),
    ("enroll", 10_000, |plan| enroll::run(plan.n, plan.seed)),
    ("consent", 12, |plan| consent::run(plan.n, plan.seed)),
    ("offline", 30, |plan| offline::run(plan.n, plan.seed)),
    ("probes", 200, |plan| probes::run(plan.n, plan.seed)),
    ("vectors", 1_000, |plan| adversary::vectors(plan.n, plan.seed)),
    ("suites", 1, |plan| adversary::suites(plan.n, plan.seed)),
    ("sla", 100_000, |plan| sla::run(plan.n, plan.seed)),
    ("evidence", 1_000, evidence::run),
    ("sla-load", 1, |plan| sla::load(plan.n, plan.seed)),
    ("predict", 1, |plan| predict::run(plan.n)),
    ("desk", 10_000, |plan| desk::run(plan.n, plan.seed)),
    ("tick", 10_000, |plan| tick::run(plan.n, plan.seed)),
    ("column", 8, |plan| column::run(plan.n, plan.seed)),
    ("alarm", 200, |plan| alarm::run(plan.n, plan.seed)),
    ("disk", 1, |_| disk::run()),
    ("unit", 1, |_| unit::run()),
    ("footprint", 60, |plan| footprint::run(plan.n)),
    ("fuzz", 600, |plan| adversary::fuzz(plan.n, plan.seed)),
];

fn names() -> Vec<&'static str> {
    CAMPAIGNS.iter().map(|(name, _, _)| *name).chain(["all"]).collect()
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(drawn);
    let mut failures = 0;
    let asked = |name: &str| args.name == "all" || args.name == name;
    for (name, usual, campaign) in CAMPAIGNS.iter().filter(|(name, _, _)| asked(name)) {
        let plan = Plan { n: args.n.unwrap_or(*usual), seed, only: args.only };
        let failed = catch_unwind(AssertUnwindSafe(|| campaign(plan))).unwrap_or(1);
        println!("{name}: tried {} failed {failed} seed {seed}", plan.n);
        failures += failed;
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn drawn() -> u64 {
    let bytes = tenken_common::key::random().expect("the system has random bytes");
    // Short enough to be typed.
    u64::from(u32::from_be_bytes(bytes))
}
