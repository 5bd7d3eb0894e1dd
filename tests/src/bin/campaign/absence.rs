//! Devices that were away for up to five years; see `tenken_tests::absence_campaign`.

use tenken_tests::absence_campaign;

/// Gives how many devices did not find back in a minute, or were let in although revoked.
pub fn run(devices: u32, seed: u64) -> u64 {
    let result = absence_campaign(usize::try_from(devices).expect("so many devices"), seed);
    println!(
        "absence: {devices} devices, {} of them revoked, trust version {}, slowest {:.1} s",
        result.revoked,
        result.trust_version,
        result.slowest.as_secs_f64()
    );
    for text in &result.lost {
        println!("lost: {text}");
    }
    for text in &result.let_in {
        println!("let in although revoked: {text}");
    }
    u64::try_from(result.lost.len() + result.let_in.len()).expect("a small number")
}
