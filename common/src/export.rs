//! The file in which a device's batches travel on removable media, where there is no network.
//!
//! ```text
//! "TENKEN-EXPORT 1" LF  MessagePack [ manifest:bin, [envelope:bin..] ]
//! ```
//!
//! The manifest is an envelope signed by the device; the others are the very envelopes that would
//! have been posted. What comes back is the collector's acknowledgement as an armoured statement.
//!
//! Holds: the manifest names every link by the hash of its body, in chain order, so a file that
//! was cut off or mixed with another one is told from a whole one; the order in the file means
//! nothing. The manifest gives no authority: each envelope is judged like one from the network.
//!
//! Does not: seal the contents to the service centre. Whoever holds the medium can read it.

use crate::{
    codec::{self, CodecError},
    envelope::{Envelope, EnvelopeError},
    id::{DeviceId, Epoch, Hash, Seq},
    key::SecretKey,
    limit, positional_payload,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

const HEAD: &[u8] = b"TENKEN-EXPORT 1\n";
const NAME: &[u8] = b"TENKEN-EXPORT ";

/// What a file holds: unbroken links of one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportManifest {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub from_seq: Seq,
    pub to_seq: Seq,
    /// SHA-256 of each envelope's body, from the first link to the last.
    pub hashes: Vec<Hash>,
    pub made_at: Timestamp,
}
positional_payload!(ExportManifest, "export");

/// Why a file is not taken; it changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("this is no export of `tenken-agent export`")]
    NotAnExport,
    #[error("the export has a format that this program does not know; use a newer program")]
    Version,
    #[error("the export is cut off; copy it from the device again")]
    CutOff,
    #[error("the export is damaged")]
    Damaged(#[source] CodecError),
    #[error("the export has {0} batches, 1 to {max} are allowed", max = limit::EXPORT_LINKS_MAX)]
    Links(usize),
    #[error("entry {at} of the export is damaged")]
    Entry { at: usize, source: EnvelopeError },
    #[error("the export's manifest is damaged")]
    Manifest(#[source] EnvelopeError),
    #[error("the export's manifest does not fit together")]
    ManifestContent,
    #[error("entry {at} of the export is not one that its manifest names: parts of two exports were mixed")]
    Foreign { at: usize },
    #[error("batch {0} is not in the export although its manifest names it; copy it from the device again")]
    Missing(Seq),
    #[error("could not be encoded")]
    Encode(#[source] CodecError),
}

/// A file's content, its signatures not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    manifest: Envelope,
    links: Vec<Envelope>,
}

impl Export {
    /// `links` begin at `from` and follow each other.
    pub fn new(
        (device, epoch, from): (DeviceId, Epoch, Seq),
        links: Vec<Envelope>,
        made_at: Timestamp,
        key: &SecretKey,
    ) -> Result<Self, ExportError> {
        if links.is_empty() || links.len() > limit::EXPORT_LINKS_MAX {
            return Err(ExportError::Links(links.len()));
        }
        let to_seq = Seq(from.0.saturating_add(links.len() as u64 - 1));
        let hashes = links.iter().map(|link| Hash::of(link.body())).collect();
        let manifest = ExportManifest { device, epoch, from_seq: from, to_seq, hashes, made_at };
        let manifest = Envelope::seal(&manifest, key).map_err(ExportError::Encode)?;
        Ok(Self { manifest, links })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let links: Vec<ByteBuf> = self.links.iter().map(|link| ByteBuf::from(link.to_bytes())).collect();
        let content = codec::to_vec(&(ByteBuf::from(self.manifest.to_bytes()), links));
        [HEAD, &content.expect("byte strings always encode")].concat()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ExportError> {
        let Some(content) = bytes.strip_prefix(HEAD) else {
            return Err(if !bytes.is_empty() && HEAD.starts_with(bytes) {
                ExportError::CutOff
            } else if bytes.starts_with(NAME) {
                ExportError::Version
            } else {
                ExportError::NotAnExport
            });
        };
        let read = codec::from_slice(content, limit::EXPORT_BYTES_MAX);
        let (manifest, links): (ByteBuf, Vec<ByteBuf>) = read.map_err(|e| {
            if matches!(e, CodecError::Truncated) { ExportError::CutOff } else { ExportError::Damaged(e) }
        })?;
        if links.is_empty() || links.len() > limit::EXPORT_LINKS_MAX {
            return Err(ExportError::Links(links.len()));
        }
        let manifest = Envelope::from_bytes(&manifest).map_err(ExportError::Manifest)?;
        let entry = |(i, bytes): (usize, &ByteBuf)| {
            Envelope::from_bytes(bytes).map_err(|source| ExportError::Entry { at: i + 1, source })
        };
        let links = links.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
        Ok(Self { manifest, links })
    }

    /// The envelope of the [`ExportManifest`].
    pub fn manifest(&self) -> &Envelope {
        &self.manifest
    }

    /// The envelopes in chain order, by the manifest that was opened with the device's key.
    pub fn links(self, manifest: &ExportManifest) -> Result<Vec<Envelope>, ExportError> {
        let span = manifest.to_seq.0.checked_sub(manifest.from_seq.0).and_then(|n| n.checked_add(1));
        if span != Some(manifest.hashes.len() as u64) {
            return Err(ExportError::ManifestContent);
        }
        let mut places: Vec<Option<Envelope>> = vec![None; manifest.hashes.len()];
        for (i, link) in self.links.into_iter().enumerate() {
            let hash = Hash::of(link.body());
            let place = manifest.hashes.iter().zip(&mut places).find(|(named, _)| **named == hash);
            let (_, place) = place.ok_or(ExportError::Foreign { at: i + 1 })?;
            // The same one twice is one.
            *place = Some(link);
        }
        let numbered = (manifest.from_seq.0..).zip(places);
        numbered.map(|(seq, place)| place.ok_or(ExportError::Missing(Seq(seq)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[1; 32])
    }

    fn export(from: u64, bodies: &[&str]) -> Export {
        let links = bodies.iter().map(|b| Envelope::seal_bytes("t", b.as_bytes().to_vec(), &key())).collect();
        Export::new((DeviceId([1; 16]), Epoch(1), Seq(from)), links, Timestamp::EPOCH, &key()).unwrap()
    }

    fn links(export: Export) -> Result<Vec<Envelope>, ExportError> {
        let manifest = export.manifest().open::<ExportManifest>(&key().public()).unwrap();
        export.links(&manifest)
    }

    #[test]
    fn it_survives_its_bytes_and_any_order() {
        let whole = export(4, &["a", "b", "c"]);
        assert_eq!(Export::from_bytes(&whole.to_bytes()).unwrap(), whole);
        let mut reversed = whole.clone();
        reversed.links.reverse();
        reversed.links.push(whole.links[1].clone());
        let reversed = Export::from_bytes(&reversed.to_bytes()).unwrap();
        assert_eq!(links(reversed).unwrap(), whole.links);
    }

    #[test]
    fn every_cut_is_told_as_one() {
        let bytes = export(1, &["a", "b"]).to_bytes();
        for len in 1..bytes.len() {
            let got = Export::from_bytes(&bytes[..len]);
            assert!(matches!(got, Err(ExportError::CutOff)), "{len}: {got:?}");
        }
        assert!(matches!(Export::from_bytes(b""), Err(ExportError::NotAnExport)));
        assert!(matches!(Export::from_bytes(b"hello, world, hello"), Err(ExportError::NotAnExport)));
        assert!(matches!(Export::from_bytes(b"TENKEN-EXPORT 2\n"), Err(ExportError::Version)));
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(matches!(Export::from_bytes(&longer), Err(ExportError::Damaged(_))));
    }

    #[test]
    fn what_is_missing_or_mixed_in_is_named() {
        let mut short = export(7, &["a", "b", "c"]);
        short.links.remove(1);
        assert!(matches!(links(short), Err(ExportError::Missing(Seq(8)))));
        let mut mixed = export(7, &["a", "b"]);
        mixed.links.push(export(9, &["c"]).links[0].clone());
        assert!(matches!(links(mixed), Err(ExportError::Foreign { at: 3 })));
        let mut empty = export(1, &["a"]);
        empty.links.clear();
        assert!(matches!(Export::from_bytes(&empty.to_bytes()), Err(ExportError::Links(0))));
    }
}
