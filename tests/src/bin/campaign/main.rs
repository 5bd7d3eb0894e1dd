//! Long forms of the tests, as programs whose figures stand in `tests/FIGURES.md`.
//!
//! Holds: each ends with one line `NAME: tried N failed M seed S`; the exit code is 1 where
//! anything failed. A campaign that breaks off has failed.

#![allow(clippy::print_stdout, reason = "the result is what this program is run for")]

mod kill;
mod sim;

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
}

/// Runs `n` rounds with a seed; gives how many failed.
type Campaign = fn(n: u32, seed: u64) -> u64;

const CAMPAIGNS: [(&str, Campaign); 5] = [
    ("kill", |n, seed| kill::run("sled", n, seed)),
    ("kill-redb", |n, seed| kill::run("redb", n, seed)),
    ("sim", sim::worlds),
    ("planted", sim::planted),
    ("clone", sim::clones),
];

fn names() -> Vec<&'static str> {
    CAMPAIGNS.iter().map(|(name, _)| *name).chain(["all"]).collect()
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(drawn);
    let mut failures = 0;
    for (name, campaign) in CAMPAIGNS.iter().filter(|(name, _)| args.name == "all" || args.name == *name) {
        let failed = catch_unwind(AssertUnwindSafe(|| campaign(args.n, seed))).unwrap_or(1);
        let tried = if *name == "planted" { sim::planted_count() } else { args.n };
        println!("{name}: tried {tried} failed {failed} seed {seed}");
        failures += failed;
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn drawn() -> u64 {
    let bytes = tenken_common::key::random().expect("the system has random bytes");
    // Short enough to be typed.
    u64::from(u32::from_be_bytes(bytes))
}
