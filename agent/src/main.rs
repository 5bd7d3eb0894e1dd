//! `tenken-agent`: see the library.

use clap::Parser;
use std::process::ExitCode;
use tenken_common::telemetry::ErrorChain;

fn main() -> ExitCode {
    match tenken_agent::cli::main(tenken_agent::cli::Cli::parse()) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("tenken-agent: {}", ErrorChain(&*e));
            ExitCode::from(2)
        }
    }
}
