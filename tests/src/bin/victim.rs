//! The program that the crash harness records and breaks: the product's own spool or store, driven
//! by a seed, on a disk of its own. What it may promise it says to a file beside that disk.

use clap::{Parser, ValueEnum};
use std::{fs::File, path::PathBuf, process::ExitCode};
use tenken_agent::spool::EngineKind;
use tenken_tests::crash::{
    spool::load::{Load, Shape},
    store,
};

/// Runs one load on one disk
#[derive(Debug, Parser)]
#[command(name = "victim")]
struct Args {
    subject: Subject,
    #[arg(long)]
    seed: u64,
    /// An empty folder
    #[arg(long)]
    disk: PathBuf,
    /// What is said is appended here
    #[arg(long)]
    said: PathBuf,
    /// The run in which calls fail, which is always the same
    #[arg(long)]
    fixed: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Subject {
    Sled,
    Redb,
    Store,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let said = File::options().create(true).append(true).open(&args.said).expect("a file to say things to");
    let spool = |engine, said| {
        if args.fixed {
            Load::new(&args.disk, engine, Shape::Fixed, args.seed, said).tolerant().run()
        } else {
            Load::new(&args.disk, engine, Shape::of(args.seed), args.seed, said).run()
        }
    };
    let done = match args.subject {
        Subject::Sled => spool(EngineKind::Sled, said),
        Subject::Redb => spool(EngineKind::Redb, said),
        Subject::Store => store::load::run(&args.disk, args.seed, said, args.fixed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("victim: {fault}");
            ExitCode::FAILURE
        }
    }
}
