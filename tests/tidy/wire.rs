//! No command channel: what may travel from the collector to a device is listed here, by field.
//!
//! Holds: a new payload, or a new field in one that the collector sends, fails until somebody
//! wrote it down here and thereby said that it orders nothing.

use crate::{
    assert_none,
    repository::Repository,
    source::{Kind, Source, Token},
};
use Direction::{Stored, ToCollector, ToDevice, ToHospital};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Direction {
    ToCollector,
    ToDevice,
    /// A file that the collector writes for the hospital to check.
    ToHospital,
    /// Signed by a hospital or by the vendor's offline key; carried to both sides, changed by none.
    Stored,
}

/// Every payload that can stand in an envelope.
const PAYLOADS: [(&str, Direction); 20] = [
    ("Ack", ToDevice),
    ("Reject", ToDevice),
    ("ResumeReply", ToDevice),
    ("SignedTime", ToDevice),
    ("TrustDocument", ToDevice),
    ("RenewReply", ToDevice),
    ("RejoinGrant", ToDevice),
    ("ReceivedBatch", ToCollector),
    ("Stub", ToCollector),
    ("RenewRequest", ToCollector),
    ("RejoinRequest", ToCollector),
    ("ResumeRequest", ToCollector),
    ("ExportManifest", ToCollector),
    ("EvidenceManifest", ToHospital),
    ("ConsentManifest", Stored),
    ("DeviceApproval", Stored),
    ("SlotTicket", Stored),
    ("RejoinApproval", Stored),
    ("KeySuccession", Stored),
    ("Agreement", Stored),
];

/// Every field of what the collector sends: facts about what it holds, and when to come again.
/// `Grant` is the reply to an enrollment, the one message that travels without an envelope.
const SENT: [(&str, &[&str]); 9] = [
    (
        "Ack",
        &[
            "device",
            "epoch",
            "acked_seq",
            "hash",
            "server",
            "echo_nonce",
            "position",
            "log_root",
            "retry_after_s",
            "need_seq",
        ],
    ),
    ("Reject", &["device", "epoch", "seq", "hash", "reason", "server", "echo_nonce"]),
    (
        "ResumeReply",
        &["device", "epoch", "committed_seq", "committed_hash", "missing", "server", "echo_nonce"],
    ),
    ("SignedTime", &["server", "echo_nonce"]),
    ("TrustDocument", &["version", "roots", "ack_key", "next_signer", "issued"]),
    ("TrustChain", &["documents"]),
    ("RenewReply", &["device", "certificates", "server", "echo_nonce"]),
    (
        "RejoinGrant",
        &[
            "device",
            "epoch",
            "closed_seq",
            "closed_hash",
            "top_record",
            "certificates",
            "server",
            "echo_nonce",
        ],
    ),
    ("Grant", &["device", "epoch", "certificates", "trust", "push_url", "server"]),
];

/// Types that become payloads here, with their line.
fn payloads(source: &Source) -> Vec<(String, usize)> {
    let tokens = &source.shipped;
    let named = |marks: &[&str]| -> Vec<(String, usize)> {
        let starts = tokens.iter().enumerate().filter(|(at, _)| {
            let row = tokens.get(*at..*at + marks.len()).unwrap_or_default();
            row.len() == marks.len() && row.iter().zip(marks).all(|(t, m)| t.text == *m)
        });
        starts.filter_map(|(at, _)| last_segment(tokens, at + marks.len())).collect()
    };
    [named(&["positional_payload", "!", "("]), named(&["Payload", "for"])].concat()
}

/// `c` of the path `a::b::c` at `at`; None when there is no name, as in the macro itself.
fn last_segment(tokens: &[Token], at: usize) -> Option<(String, usize)> {
    let path = tokens.get(at..)?.iter().take_while(|t| t.kind == Kind::Name || t.text == ":");
    path.last().filter(|t| t.kind == Kind::Name).map(|t| (t.text.clone(), t.line))
}

/// Names of the fields of `struct name { .. }`, with the line of the struct; None when it is not here.
fn fields(source: &Source, name: &str) -> Option<(Vec<String>, usize)> {
    let tokens = &source.shipped;
    let start = tokens.windows(2).position(|w| w[0].text == "struct" && w[1].text == name)?;
    let line = tokens.get(start)?.line;
    let (mut depth, mut found) = (0usize, Vec::new());
    for (at, token) in tokens.iter().enumerate().skip(start + 2) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => break,
            _ => {}
        }
        let mark = |at: usize, text: &str| tokens.get(at).is_some_and(|t| t.text == text);
        let single_colon = mark(at + 1, ":") && !mark(at + 2, ":") && !mark(at - 1, ":");
        if depth == 1 && token.kind == Kind::Name && single_colon {
            found.push(token.text.clone());
        }
        if depth == 0 && ["}", ")"].contains(&token.text.as_str()) {
            break;
        }
    }
    Some((found, line))
}

fn unknown_payloads(source: &Source) -> Vec<String> {
    let known = |name: &str| PAYLOADS.iter().any(|(n, _)| *n == name);
    let new = payloads(source).into_iter().filter(|(name, _)| !known(name));
    let what = "a new payload; add it to PAYLOADS in tests/tidy/wire.rs with its direction, and to SENT if the \
                collector sends it: it may inform, never order";
    new.map(|(name, line)| format!("{}:{line}: {name} is {what}", source.path)).collect()
}

fn unknown_fields(source: &Source, name: &str, known: &[&str]) -> Vec<String> {
    let Some((fields, line)) = fields(source, name) else { return Vec::new() };
    let new = fields.into_iter().filter(|f| !known.contains(&f.as_str()));
    let what =
        "a new field that the collector sends; add it to SENT in tests/tidy/wire.rs if it orders nothing";
    new.map(|field| format!("{}:{line}: {name}.{field} is {what}", source.path)).collect()
}

fn shared() -> Vec<Source> {
    Repository::this().sources()
}

#[test]
fn every_payload_is_known_with_its_direction() {
    let sources = shared();
    assert_none(&sources.iter().flat_map(unknown_payloads).collect::<Vec<_>>());
    let mut found: Vec<String> = sources.iter().flat_map(payloads).map(|(name, _)| name).collect();
    let mut listed: Vec<String> = PAYLOADS.iter().map(|(name, _)| (*name).to_owned()).collect();
    found.sort();
    listed.sort();
    assert_eq!(found, listed, "PAYLOADS names a payload that is gone, or one stands twice");
}

#[test]
fn the_collector_can_send_only_facts() {
    let sent: Vec<&str> = PAYLOADS.iter().filter(|(_, d)| *d == ToDevice).map(|(name, _)| *name).collect();
    assert_eq!(
        sent,
        ["Ack", "Reject", "ResumeReply", "SignedTime", "TrustDocument", "RenewReply", "RejoinGrant"]
    );
    assert!(sent.iter().all(|name| SENT.iter().any(|(n, _)| n == name)), "SENT must list their fields");
    let sources: Vec<Source> = shared().into_iter().filter(|s| s.path.starts_with("common/src/")).collect();
    for (name, known) in SENT {
        let defined: Vec<&Source> = sources.iter().filter(|s| fields(s, name).is_some()).collect();
        assert_eq!(defined.len(), 1, "{name} is defined once in common");
        assert_none(&defined.iter().flat_map(|s| unknown_fields(s, name, known)).collect::<Vec<_>>());
        let found = fields(defined[0], name).unwrap().0;
        assert_eq!(found.len(), known.len(), "SENT names a field of {name} that is gone: {found:?}");
    }
}

mod planted {
    use super::*;

    #[test]
    fn a_new_payload_is_found() {
        for text in
            ["positional_payload!(Command, \"command\");", "impl envelope::Payload for crate::x::Command {}"]
        {
            let found = unknown_payloads(&Source::parse("common/src/ack.rs", &format!("//! x\n{text}")));
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].starts_with("common/src/ack.rs:2: Command "), "{found:?}");
        }
        let known =
            Source::parse("a.rs", "positional_payload!(Ack, \"ack\"); // positional_payload!(Command)");
        assert!(unknown_payloads(&known).is_empty());
    }

    #[test]
    fn a_new_field_is_found() {
        let text = "pub struct Ack<T: Copy> { pub device: DeviceId,\n/// Run it.\npub run: std::vec::Vec<(u8, T)>, }";
        let source = Source::parse("common/src/ack.rs", text);
        assert_eq!(fields(&source, "Ack").unwrap().0, ["device", "run"]);
        assert_eq!(unknown_fields(&source, "Ack", &["device"]).len(), 1);
        assert!(unknown_fields(&source, "Ack", &["device", "run"]).is_empty());
        assert!(fields(&source, "Reject").is_none());
    }
}
