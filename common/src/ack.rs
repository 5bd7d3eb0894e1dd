//! What comes back from the collector, all signed by its acknowledgement key: [`Ack`],
//! [`Reject`], and the answer to a [`ResumeRequest`].
//!
//! Holds: these (with trust documents, signed time and certificates) are all that a collector
//! can say to a device. There is no command. Time is taken only from an answer that echoes the
//! nonce of the request. A bare HTTP status means nothing but "again later".

use crate::{
    batch::RecRun,
    enrollment::HostFacts,
    id::{DeviceId, Epoch, Hash, Nonce, Seq},
    positional_payload,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// The request header that carries the nonce, in hexadecimal.
pub const NONCE_HEADER: &str = "tenken-nonce";

/// Everything up to `acked_seq`, whose body has the hash, is on the collector's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub acked_seq: Seq,
    pub hash: Hash,
    pub server: Timestamp,
    pub echo_nonce: Nonce,
    /// Position of the collector's log.
    pub position: u64,
    /// Head of the collector's audit log; zero until there is one.
    pub log_root: Hash,
    pub retry_after_s: u32,
    pub need_seq: Option<Seq>,
}
positional_payload!(Ack, "ack");

/// The collector will never take this batch. Only this, not an HTTP status, lets a device drop it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub seq: Seq,
    pub hash: Hash,
    /// Code of a [`RejectReason`].
    pub reason: u8,
    pub server: Timestamp,
    pub echo_nonce: Nonce,
}
positional_payload!(Reject, "reject");

/// Why something that arrived was refused, in the order of the checks. Each has its own metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    TooLarge = 1,
    Malformed = 2,
    UnknownKey = 3,
    BadSignature = 4,
    /// Good signature, but decompression or the content's shape fails under the caps.
    BadContent = 5,
    /// The body names another device than the key's owner.
    WrongDevice = 6,
    /// The TLS certificate belongs to another device.
    WrongIdentity = 7,
    Revoked = 8,
    StaleEpoch = 9,
    Fork = 10,
    Quarantined = 11,
    Hole = 12,
    /// The hospital has not been heard of: no slot, no consent on file.
    Unenrolled = 13,
    /// A content coding on the request; bodies are compressed inside what is signed only.
    ContentEncoding = 14,
}

impl RejectReason {
    pub const ALL: [Self; 14] = [
        Self::TooLarge,
        Self::Malformed,
        Self::UnknownKey,
        Self::BadSignature,
        Self::BadContent,
        Self::WrongDevice,
        Self::WrongIdentity,
        Self::Revoked,
        Self::StaleEpoch,
        Self::Fork,
        Self::Quarantined,
        Self::Hole,
        Self::Unenrolled,
        Self::ContentEncoding,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.code() == code)
    }

    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::BadContent => "bad_content",
            Self::WrongDevice => "wrong_device",
            Self::WrongIdentity => "wrong_identity",
            Self::Revoked => "revoked",
            Self::StaleEpoch => "stale_epoch",
            Self::Fork => "fork",
            Self::Quarantined => "quarantined",
            Self::Hole => "hole",
            Self::Unenrolled => "unenrolled",
            Self::ContentEncoding => "content_encoding",
        }
    }
}

/// The first thing a device says after it started, signed with its device key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeRequest {
    pub device: DeviceId,
    pub epoch: Epoch,
    /// The last link the device cut; zero before the first.
    pub last_seq: Seq,
    pub last_hash: Hash,
    /// The newest acknowledgement it holds, an envelope.
    pub newest_ack: Option<ByteBuf>,
    pub consent_version: u64,
    /// A change since enrollment is a warning.
    pub facts: HostFacts,
    /// The collector's newest [`SignedTime`], an envelope: shows that this was asked now. Needed
    /// where the connection shows no client certificate.
    pub challenge: Option<ByteBuf>,
    pub nonce: Nonce,
}
positional_payload!(ResumeRequest, "resume");

/// How far the collector is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeReply {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub committed_seq: Seq,
    pub committed_hash: Hash,
    /// Record runs that are neither stored nor declared missing.
    pub missing: Vec<RecRun>,
    pub server: Timestamp,
    pub echo_nonce: Nonce,
}
positional_payload!(ResumeReply, "resume-reply");

/// The answer of `/v1/time`, for a device whose clock cannot judge the server's certificate; and
/// the challenge that the same device signs along with a request within
/// [`crate::limit::CHALLENGE_LIFE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTime {
    pub server: Timestamp,
    pub echo_nonce: Nonce,
}
positional_payload!(SignedTime, "time");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reject_codes_are_frozen() {
        for (i, reason) in RejectReason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), i + 1);
            assert_eq!(RejectReason::from_code(reason.code()), Some(reason));
        }
    }
}
