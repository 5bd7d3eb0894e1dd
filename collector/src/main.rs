//! `tenken-collector`: see the library.

use clap::Parser;
use std::process::ExitCode;
use tenken_common::telemetry::ErrorChain;

fn main() -> ExitCode {
    match tenken_collector::cli::main(tenken_collector::cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("tenken-collector: {}", ErrorChain(&*e));
            ExitCode::from(2)
        }
    }
}
