//! Bodies that are small outside and large inside, deep, or too large: the collector refuses each
//! at its cap, keeps its memory, and reads no more of it than the cap.

use super::{
    device::{Device, TlsStream},
    draw::Draw,
    tally::Tally,
};
use crate::{
    Bed, BedPlan,
    wait::{let_pass, wait_until},
};
use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    time::Duration,
};
use tenken_common::{
    codec,
    envelope::{Envelope, Payload as _},
    id::Nonce,
    limit,
    wire::v1::ReceivedBatch,
};

/// How far the collector's memory may grow over all of them.
const GROWTH_KIB_MAX: u64 = 64 * 1024;
/// What lies between a byte that was sent and one that was read: socket, TLS record, HTTP buffer.
const BUFFERED_MAX: usize = 128 * 1024;
const BOUND: Duration = Duration::from_secs(20);

/// `n` rounds of every kind.
pub fn bombs(n: usize, seed: u64) -> Tally {
    let mut draw = Draw::new(seed);
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let mut device = Device::of(&bed.enroll("ct-1").state, bed.device_port);
    let mut tally = Tally::default();
    for (_, body) in signed(&mut draw) {
        device.post(&seal(&device, &body)).unwrap();
    }
    let before = memory_kib(collector.id());
    for _ in 0..n {
        for (what, body) in signed(&mut draw) {
            let reply = device.post(&seal(&device, &body)).unwrap();
            tally.count(what, (reply.status != 422).then(|| format!("status {}", reply.status)));
        }
        for (what, bytes) in outside(&device, &mut draw) {
            let reply = device.post(&bytes).unwrap();
            tally.count(what, (reply.status != 400).then(|| format!("status {}", reply.status)));
        }
        for (what, path, max, chunked) in [
            ("a batch over the cap, its length told", "/v1/batch", limit::ENVELOPE_BYTES_MAX, false),
            ("a batch over the cap, in chunks", "/v1/batch", limit::ENVELOPE_BYTES_MAX, true),
            ("a resume over the cap, its length told", "/v1/resume", limit::MESSAGE_BYTES_MAX, false),
            ("a resume over the cap, in chunks", "/v1/resume", limit::MESSAGE_BYTES_MAX, true),
        ] {
            tally.count(what, endless(&device, path, max, chunked));
        }
        device.push(&mut draw);
    }
    let grown = memory_kib(collector.id()).saturating_sub(before);
    tally.hold("memory", grown < GROWTH_KIB_MAX, || format!("grew by {grown} KiB"));
    tally.hold("memory", collector.is_running(), || "the collector ended".into());
    tally
}

fn seal(device: &Device, body: &[u8]) -> Vec<u8> {
    Envelope::seal_bytes(ReceivedBatch::TYPE, body.to_vec(), &device.enrolled.device_key).to_bytes()
}

/// Signed by the device, and still not to be read.
fn signed(draw: &mut Draw) -> Vec<(&'static str, Vec<u8>)> {
    let zstd = |plain: &[u8]| zstd::bulk::compress(plain, 19).unwrap();
    let zeros = |mib: usize| vec![0; mib * 1024 * 1024];
    let skippable = |len: usize| {
        [&0x184D_2A50_u32.to_le_bytes(), &u32::try_from(len).unwrap().to_le_bytes()[..], &vec![0; len]]
            .concat()
    };
    let empty_frames = zstd(b"").repeat(20_000);
    // A frame that tells a size of its own: 2^60.
    let told = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1u64 << 60).to_le_bytes(), &[1, 0, 0]].concat();
    // A window of 2^41 bytes.
    let window = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0x01, 0x00, 0x00];
    let deep = |depth: usize| codec::compress(&[vec![0x91; depth], vec![0xc0]].concat()).unwrap();
    let long_array = codec::compress(&[&[0xdd, 0xff, 0xff, 0xff, 0xff][..], &[0xc0; 100]].concat()).unwrap();
    let long_map = codec::compress(&[&[0xdf, 0xff, 0xff, 0xff, 0xff][..], &[0xc0; 100]].concat()).unwrap();
    let long_bin = codec::compress(&[&[0xc6, 0xff, 0xff, 0xff, 0xff][..], &[0; 100]].concat()).unwrap();
    vec![
        ("200 MiB of zeros", zstd(&zeros(200))),
        ("two MiB of zeros, padded into the ratio", [zstd(&zeros(2)), skippable(200_000)].concat()),
        ("ten frames of a MiB", zstd(&zeros(1)).repeat(10)),
        ("20,000 empty frames", empty_frames[..empty_frames.len().min(limit::BODY_BYTES_MAX)].to_vec()),
        ("padding alone", skippable(200_000)),
        ("a frame that tells 2^60 bytes", told),
        ("a frame with a window of 2^41 bytes", window),
        ("a bomb inside a bomb", zstd(&zstd(&zeros(100)).repeat(2_000))),
        ("noise", draw.some_bytes(200_000)),
        ("17 levels", deep(17)),
        ("500,000 levels", deep(500_000)),
        ("an array of four billion", long_array),
        ("a map of four billion", long_map),
        ("bytes of four billion", long_bin),
    ]
}

/// No envelopes.
fn outside(device: &Device, draw: &mut Draw) -> Vec<(&'static str, Vec<u8>)> {
    let good = device.sealed(device.next(draw));
    vec![
        ("levels outside", [vec![0x91; 250_000], vec![0xc0]].concat()),
        ("maps outside", [vec![0x81; 250_000], vec![0xc0]].concat()),
        ("an array of four billion outside", vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
        ("60,000 signatures", [&good[..good.len() - 78], &[0xdc, 0xea, 0x60], &vec![0xc0; 60_000]].concat()),
        ("noise outside", draw.some_bytes(limit::ENVELOPE_BYTES_MAX)),
    ]
}

/// Sends until it is told 413; what went wrong, where something did.
fn endless(device: &Device, path: &str, max: usize, chunked: bool) -> Option<String> {
    let mut stream = device.door.connect().unwrap();
    let length = 50 * 1024 * 1024;
    let length =
        if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {length}") };
    let nonce = Nonce([0; 16]);
    write!(stream, "POST {path} HTTP/1.1\r\nhost: localhost\r\ntenken-nonce: {nonce}\r\n{length}\r\n\r\n")
        .unwrap();
    stream.flush().unwrap();
    stream.sock.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let part = vec![0x91; 4096];
    let part = if chunked { [b"1000\r\n", part.as_slice(), b"\r\n"].concat() } else { part };
    let mut sent = 0;
    let mut answer = Vec::new();
    let status = wait_until(BOUND, "an answer to a body without end", |_| {
        // A broken pipe means that the answer is there.
        if stream.write_all(&part).and_then(|()| stream.flush()).is_ok() {
            sent += 4096;
        }
        // The server reads before more is sent.
        let_pass(Duration::from_millis(2));
        read_status(&mut stream, &mut answer)
    });
    if status != "413" {
        return Some(format!("status {status}"));
    }
    let most = if chunked { max + BUFFERED_MAX } else { BUFFERED_MAX };
    (sent > most).then(|| format!("413 only after {sent} bytes"))
}

fn read_status(stream: &mut TlsStream, answer: &mut Vec<u8>) -> Option<String> {
    let mut part = [0; 1024];
    match stream.read(&mut part) {
        Ok(n) => answer.extend_from_slice(&part[..n]),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
        Err(_) if answer.is_empty() => return Some("none, the connection broke".into()),
        Err(_) => {}
    }
    let text = String::from_utf8_lossy(answer);
    text.contains("\r\n").then(|| text.split(' ').nth(1).unwrap_or_default().to_owned())
}

/// The most that a process held so far.
fn memory_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
