//! The evidence of a sealed month: everything that its figures were made from, as one file that the
//! hospital checks without the vendor's help (U01).
//!
//! ```text
//! "TENKEN-EVIDENCE 1" LF  then blocks: length (u32, big-endian) and as many bytes
//! first block    the manifest, an envelope signed with the vendor's acknowledgement key
//! other blocks   entries of the stream in order, MessagePack (see Item)
//! ```
//!
//! Holds: the hospital's journal is there from its first entry on; the collector's own entries and
//! the devices' messages from a mark before the month on ([`crate::head`]), early enough for every
//! report of before the month that still counts in it. Other hospitals' entries are not. What people did to other hospitals' incidents stands by its hash only. Each entry
//! carries its part's head after it, so that a change is found at its place.
//!
//! Does not: compress, since one changed byte would then spoil everything after it.

mod fault;
mod verify;

pub use fault::{Fault, FaultKind};
pub use verify::{Checked, Verdict, Verifier, Witness};

use crate::{
    head::{Heads, Leaf, Part},
    sla::{contract::Contract, history::reach, month::Month},
    stream::{Entry, EntryError, EntryKind, Stored},
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tenken_common::{
    codec::{self, CodecError},
    id::{ContractId, DeviceId, Hash, HospitalId},
    limit, positional_payload,
    time::Timestamp,
};

/// How the file begins.
pub const HEAD: &[u8] = b"TENKEN-EVIDENCE 1\n";
/// The name of the format, before its version.
pub const NAME: &[u8] = b"TENKEN-EVIDENCE ";
/// A block: an entry of any kind, with its frame.
pub const BLOCK_BYTES_MAX: usize = limit::SEALED_BYTES_MAX + 4 * 1024;

/// What a file of evidence says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceManifest {
    pub hospital: HospitalId,
    pub contract: ContractId,
    pub month: Month,
    pub revision: u32,
    pub begin: Place,
    pub end: Place,
    /// How many entries follow.
    pub items: u64,
    pub made_at: Timestamp,
    /// The vendor's trust documents, envelopes, oldest first: whose key signed this.
    pub trust: Vec<ByteBuf>,
}
positional_payload!(EvidenceManifest, "evidence");

/// A place in the stream, with the heads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The last entry before it.
    pub position: u64,
    pub heads: Heads,
}

/// From when on a month's figures need the collector's own entries and the devices' messages.
pub fn needed_from(contract: &ContractId, texts: &[(Timestamp, String)], month: Month) -> Timestamp {
    let of_contract = |text: &&str| Contract::parse(text).is_ok_and(|c| c.id == *contract);
    reach(texts.iter().map(|(_, text)| text.as_str()).filter(of_contract), month.span().from)
}

/// The heads with which a file's first entry is met: its journal is whole.
pub fn heads_at_begin(begin: Heads) -> Heads {
    Heads { journal: Heads::BEGIN.journal, ..begin }
}

/// An entry in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub position: u64,
    kind: u8,
    committed: Timestamp,
    device: Option<DeviceId>,
    body: Content,
    /// Its part's head after it.
    head: Hash,
}

/// The body, or its hash where it is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Content {
    Whole(ByteBuf),
    Hidden(Hash),
}

impl Item {
    /// The item of an entry; takes it into the heads. A `hidden` one shows no content.
    pub fn of(stored: &Stored, heads: &mut Heads, hidden: bool) -> Result<Self, CodecError> {
        let (kind, device, body) = stored.entry.encode()?;
        let body =
            if hidden { Content::Hidden(Hash::of(&body)) } else { Content::Whole(ByteBuf::from(body)) };
        let (position, committed) = (stored.position, stored.committed);
        let part = stored.entry.kind().part();
        let mut item = Self { position, kind, committed, device, body, head: Hash::ZERO };
        heads.follow(part, &item.leaf());
        item.head = heads.of(part);
        Ok(item)
    }

    /// Takes it into the heads; whether that gives the head that it carries. They go on from there
    /// either way.
    fn follows(&self, heads: &mut Heads, part: Part) -> bool {
        heads.follow(part, &self.leaf());
        let follows = heads.of(part) == self.head;
        heads.go_on_from(part, self.head);
        follows
    }

    pub fn kind(&self) -> Option<EntryKind> {
        EntryKind::from_code(self.kind)
    }

    /// The entry; `None` where its content is hidden.
    pub fn stored(&self) -> Option<Result<Stored, EntryError>> {
        let Content::Whole(bytes) = &self.body else { return None };
        let Self { position, committed, .. } = *self;
        let entry = Entry::decode(self.kind, self.device, bytes);
        Some(entry.map(|entry| Stored { position, committed, entry }))
    }

    fn leaf(&self) -> Leaf {
        let body = match &self.body {
            Content::Whole(bytes) => Hash::of(bytes),
            Content::Hidden(hash) => *hash,
        };
        let Self { position, kind, committed, device, .. } = *self;
        Leaf { position, kind, committed, device, body }
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        codec::to_vec(self)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::from_slice_exact(bytes, BLOCK_BYTES_MAX)
    }
}
