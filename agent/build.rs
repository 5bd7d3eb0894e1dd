//! Links the program for devices so that what it seldom needs is not in memory (see `layout.ld`).

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=layout.ld");
    let of = |name: &str| env::var(name).unwrap_or_default();
    // The profile `device` alone asks for the smallest.
    if of("CARGO_CFG_TARGET_OS") == "linux" && of("OPT_LEVEL") == "z" {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}/layout.ld", of("CARGO_MANIFEST_DIR"));
    }
}
