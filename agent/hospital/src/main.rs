//! `tenken-hospital`: see the library.

use clap::Parser;
use std::process::ExitCode;
use tenken_common::telemetry::ErrorChain;

fn main() -> ExitCode {
    match tenken_hospital::cli::run(tenken_hospital::cli::Cli::parse(), &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("tenken-hospital: {}", ErrorChain(&*e));
            ExitCode::from(2)
        }
    }
}
