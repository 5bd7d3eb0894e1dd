//! Long forms of the tests, as programs whose figures stand in `tests/FIGURES.md`.
//!
//! Holds: each ends with one line `NAME: tried N failed M seed S`; the exit code is 1 where
//! anything failed. A campaign that breaks off has failed.

#![allow(clippy::print_stdout, reason = "the result is what this program is run for")]

mod absence;
mod adversary;
mod consent;
mod crash;
mod kill;

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
    /// How many rounds
    #[arg(long, default_value_t = 200)]
    n: u32,
    /// The same seed gives the same moments; without it one is drawn
    #[arg(long)]
    seed: Option<u64>,
    /// Of a crash campaign just this recording or run, as a failure names it
    #[arg(long)]
    only: Option<usize>,
}

/// Runs `n` rounds with a seed; gives how many failed.
type Campaign = fn(args: &Args, seed: u64) -> u64;

const CAMPAIGNS: &[(&str, Campaign)] = &[
    ("power-cut-agent", crash::power_cut_agent),
    ("power-cut-collector", crash::power_cut_collector),
    ("kill", |args, seed| kill::run("sled", args.n, seed)),
    ("kill-redb", |args, seed| kill::run("redb", args.n, seed)),
    ("syscall", crash::syscall),
    ("corrupt", crash::corrupt),
    ("absence", |args, seed| absence::run(args.n, seed)),
    ("forge", |args, seed| adversary::forge(args.n, seed)),
    ("bitflip", |args, seed| adversary::bitflip(args.n, seed)),
    ("door", |args, seed| adversary::door(args.n, seed)),
    ("certificate", |args, seed| adversary::certificate(args.n, seed)),
    ("clone-netns", |args, seed| adversary::clones(args.n, seed)),
    ("consent", |args, seed| consent::run(args.n, seed)),
    ("vectors", |args, seed| adversary::vectors(args.n, seed)),
    ("suites", |args, seed| adversary::suites(args.n, seed)),
    ("fuzz", |args, seed| adversary::fuzz(args.n, seed)),
];

fn names() -> Vec<&'static str> {
    CAMPAIGNS.iter().map(|(name, _)| *name).chain(["all"]).collect()
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(drawn);
    let mut failures = 0;
    for (name, campaign) in CAMPAIGNS.iter().filter(|(name, _)| args.name == "all" || args.name == *name) {
        let failed = catch_unwind(AssertUnwindSafe(|| campaign(&args, seed))).unwrap_or(1);
        println!("{name}: tried {} failed {failed} seed {seed}", args.n);
        failures += failed;
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn drawn() -> u64 {
    let bytes = tenken_common::key::random().expect("the system has random bytes");
    // Short enough to be typed.
    u64::from(u32::from_be_bytes(bytes))
}
