//! Bad certificates at both doors: shown to the running collector by a device, and to a running
//! device by a man in the middle.
//!
//! Holds: nothing is stored for a bad one of a device, whatever else it sends; and a device sends
//! not one request to a bad one of a collector.

use super::{
    certificate::{Case, Shown, Side, cases},
    device::{Device, Door, exchange},
    draw::Draw,
    mitm::{Answer, Mitm},
    tally::Tally,
};
use crate::{Bed, BedPlan, bed::stdout, wait::wait_until};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::time::Duration;
use tenken_common::{time::SystemClock, tls};

const BOUND: Duration = Duration::from_secs(30);
/// Handshakes of a device that must all fail before a certificate counts as refused.
const HANDSHAKES: u64 = 3;

/// Shown to the collector, each with a batch that would be taken from the true device.
pub fn to_the_collector(seed: u64) -> Tally {
    let mut draw = Draw::new(seed);
    let mut tally = Tally::default();
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let homes = ["ct-1", "ct-2", "ct-3"].map(|label| bed.enroll(label));
    let [mut device, mut other, revoked] =
        homes.each_ref().map(|home| Device::of(&home.state, bed.device_port));
    device.push(&mut draw);
    other.push(&mut draw);
    stdout(&bed.collector(&["device", "revoke", &homes[2].device]));
    wait_until(BOUND, "the revocation to hold", |_| {
        let mut again = Device::of(&homes[2].state, bed.device_port);
        let bytes = again.sealed(again.next(&mut draw));
        // Refused, or not even heard to the end.
        again.post(&bytes).map_or(true, |reply| reply.status == 403).then_some(())
    });

    let roots = device.enrolled.roots();
    let name = device.enrolled.device.to_string();
    let mut all = cases(&bed, Side::Device, &name, &device.enrolled.tls);
    for (what, identity) in [
        ("of another device", &other.enrolled.tls),
        ("of a revoked device", &revoked.enrolled.tls),
        ("the collector's own", &super::certificate::server_identity(&bed)),
    ] {
        all.push(Case { what, chain: identity.chain.clone(), key: identity.key.clone_key() });
    }
    let doors = all.iter().map(|case| (case.what, Door::new(bed.device_port, shown(case, &roots))));
    let none = Door::new(bed.device_port, tls::client(&roots, None, SystemClock::new()).unwrap());
    for (what, door) in doors.chain([("none", none)]) {
        let before = bed.listing(&["device", "list"]);
        // Its own envelope, good in every other way.
        let of = if what == "of a revoked device" { &revoked } else { &device };
        let bytes = of.sealed(of.next(&mut draw));
        let head =
            format!("POST /v1/batch HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", bytes.len());
        let answer =
            door.connect().and_then(|mut stream| exchange(&mut stream, &[head.as_bytes(), &bytes].concat()));
        let effect = match answer {
            Ok((reply, _)) if reply.status == 200 => Some("was accepted".to_owned()),
            Ok((reply, _)) => {
                device.reject(&reply).filter(|_| what != "of a revoked device").map(|r| format!("{r:?}"))
            }
            Err(_) => None,
        };
        let rows = |list: &serde_json::Value| {
            list.as_array().map(|rows| {
                rows.iter().map(|row| format!("{} {}", row["batches"], row["records"])).collect::<Vec<_>>()
            })
        };
        let stored = rows(&bed.listing(&["device", "list"])) != rows(&before);
        tally.count(what, effect.or_else(|| stored.then(|| "something was stored".into())));
    }
    device.push(&mut draw);
    tally.hold("none", collector.is_running(), || "the collector ended".into());
    tally
}

fn shown(case: &Case, roots: &[rustls::pki_types::CertificateDer<'static>]) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).unwrap();
    }
    ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(store)
        .with_client_cert_resolver(Shown::new(case))
}

/// Shown to a device that has something to send.
pub fn to_the_device() -> Tally {
    let mut tally = Tally::default();
    let push = "[push]\ninterval = \"1s\"\nreport = \"1s\"\nretry_first = \"5ms\"\nretry_max = \"10ms\"\n";
    let bed = Bed::new(BedPlan { agent: push.into(), ..BedPlan::default() });
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    collector.terminate();
    assert!(collector.wait(BOUND).success());
    let enrolled = tenken_agent::identity::load(&home.state).unwrap();
    let mut agent = bed.start_agent(&home);
    agent.wait_for_text(BOUND, "agent started");

    let mut all = cases(&bed, Side::Collector, "localhost", &super::certificate::server_identity(&bed));
    all.push(Case {
        what: "the device's own",
        chain: enrolled.tls.chain.clone(),
        key: enrolled.tls.key.clone_key(),
    });
    for case in &all {
        let config = serving(&[&rustls::version::TLS13]).with_cert_resolver(Shown::new(case));
        tally.count(case.what, refused(&bed, config));
    }
    let good = super::certificate::server_identity(&bed);
    let old = serving(&[&rustls::version::TLS12]).with_single_cert(good.chain, good.key).unwrap();
    tally.count("good, over TLS 1.2", refused(&bed, old));

    // And it does speak to the true one.
    let mut collector = bed.start_collector();
    bed.device_when(&home, "a batch after all of this", |row| row["batches"].as_u64() >= Some(1));
    agent.terminate();
    assert!(agent.wait(BOUND).success());
    tally.hold("the device's own", collector.is_running(), || "the collector ended".into());
    tally
}

fn serving(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert> {
    let builder = ServerConfig::builder_with_provider(tls::provider());
    builder.with_protocol_versions(versions).unwrap().with_no_client_auth()
}

/// What went wrong: a request that came all the same.
fn refused(bed: &Bed, config: ServerConfig) -> Option<String> {
    let mitm = Mitm::start(bed.device_port, config, |_| Answer { status: 200, body: vec![] });
    wait_until(BOUND, "the device to try it", |state| {
        *state = format!("{} connections, {} requests", mitm.connections(), mitm.requests());
        (mitm.ended() >= HANDSHAKES || mitm.requests() > 0).then_some(())
    });
    (mitm.requests() > 0).then(|| "the device sent a request".to_owned())
}
