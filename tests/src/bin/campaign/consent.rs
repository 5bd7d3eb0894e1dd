//! Consents that change under a running agent; see `tenken_tests::consent`.

use tenken_tests::consent::consent_campaign;

/// Gives how many records or messages left that should not have.
pub fn run(rounds: u32, seed: u64) -> u64 {
    let verdict = consent_campaign(rounds, seed);
    println!("consent: {verdict}");
    verdict.failed()
}
