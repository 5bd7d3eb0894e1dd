//! Forgeries, damage, stubborn peers and public vectors at length; see `tenken_tests::adversary`.

use std::{path::Path, process::Command};
use tenken_common::key::SecretKey;
use tenken_tests::{
    adversary::{
        bitflip, bomb, clones, content, draw::Draw, forge, passport, stall, suite, tally::Tally, vector,
    },
    fuzz,
};

/// Prints every class; gives how many tries had an effect.
fn told(tally: &Tally) -> u64 {
    print!("{tally}");
    println!("{} tried in all, {} failed", tally.tried_in_all(), tally.failed());
    tally.failed()
}

fn many(n: u32) -> usize {
    usize::try_from(n).expect("as many as can be counted here")
}

/// Every bit of `n` envelopes, and as many times every other structure; and 512 flips for each against
/// a running collector.
pub fn bitflip(n: u32, seed: u64) -> u64 {
    let mut draw = Draw::new(seed);
    let mut tally = bitflip::all_mutants(&mut draw, many(n));
    for _ in 0..n {
        let key = SecretKey::from_seed(&draw.bytes());
        let batch = content::batch(&mut draw);
        let good = bitflip::of_4_kib(&mut draw, &key, batch);
        tally.add(bitflip::all_flips(&good, &key.public()));
    }
    told(&tally) + told(&bitflip::against_collector((many(n) * 512).min(bitflip::FLIPS), seed))
}

/// `n` tries of each class against collector, device and filing.
pub fn forge(n: u32, seed: u64) -> u64 {
    let at_the_collector = told(&forge::against_collector(many(n), seed));
    let at_the_device = told(&forge::against_agent(many(n), seed));
    println!("in this process, since a start of a program for each try would take hours:");
    at_the_collector + at_the_device + told(&forge::statements(many(n), seed))
}

/// `n` peers of every kind that stall, and `n` rounds of every bomb.
pub fn door(n: u32, seed: u64) -> u64 {
    told(&stall::stalls(many(n), seed)) + told(&bomb::bombs(many(n), seed))
}

/// Every bad certificate both ways, `n` times.
pub fn certificate(n: u32, seed: u64) -> u64 {
    let mut tally = Tally::default();
    for round in 0..n {
        tally.add(passport::to_the_collector(seed.wrapping_add(round.into())));
        tally.add(passport::to_the_device());
    }
    told(&tally)
}

/// `n` devices that are copied, original and copy in networks of their own.
pub fn clones(n: u32, seed: u64) -> u64 {
    told(&clones::clones(many(n), seed))
}

/// `n` vectors on which two implementations must agree, both ways.
pub fn vectors(n: u32, seed: u64) -> u64 {
    let vectors = vector::vectors(seed, many(n));
    let found = [vector::disagreements(&vectors), vector::not_accepted(seed, many(n))].concat();
    found.iter().take(5).for_each(|what| println!("{what}"));
    found.len() as u64
}

/// Wycheproof's Ed25519 and the MessagePack suite; `n` and the seed change nothing.
pub fn suites(_: u32, _: u64) -> u64 {
    match suite::suites() {
        Ok(tally) => told(&tally),
        Err(what) => {
            println!("{what}");
            1
        }
    }
}

/// The fuzzer itself, `n` seconds a target: `cargo install cargo-fuzz --locked` once, then this, or
/// in `tests/` by hand: `RUSTC_BOOTSTRAP=1 cargo fuzz run TARGET FOLDER fuzz/corpus/TARGET --
/// -max_total_time=600`. What it finds is put into `FOLDER`; a crash stands in `fuzz/artifacts`.
pub fn fuzz(n: u32, seed: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a folder for what it finds");
    fuzz::TARGETS.iter().filter(|(target, _)| !fuzzed(target, n, seed, folder.path())).count() as u64
}

fn fuzzed(target: &str, seconds: u32, seed: u64, found: &Path) -> bool {
    let found = found.join(target);
    std::fs::create_dir_all(&found).expect("a folder of ours");
    let mut cargo = Command::new("cargo");
    cargo.args(["fuzz", "run", target]).arg(&found).arg(format!("fuzz/corpus/{target}")).arg("--").args([
        format!("-max_total_time={seconds}"),
        format!("-seed={}", seed & 0x7fff_ffff),
        "-timeout=10".into(),
        "-rss_limit_mb=2048".into(),
        "-print_final_stats=1".into(),
    ]);
    // Its flags are a nightly compiler's; with this the stable one takes them.
    cargo.env("RUSTC_BOOTSTRAP", "1").current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    let coverage = said.lines().rfind(|line| line.contains(" cov: ")).unwrap_or_default().trim();
    let executions = said.lines().rfind(|line| line.contains("number_of_executed_units")).unwrap_or_default();
    println!("fuzz {target}: {executions}; {coverage}");
    if !output.status.success() {
        said.lines()
            .rev()
            .take(40)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .for_each(|line| println!("  {line}"));
    }
    output.status.success()
}
