//! The file on removable media, as the fuzzer calls what reads it.

use super::{START, first, key, positional};
use crate::adversary::{content, draw::Draw, plan};
use serde_bytes::ByteBuf;
use tenken_common::{
    codec,
    envelope::{Envelope, Payload},
    export::{Export, ExportManifest},
    id::{Hash, Seq},
    stub::Stub,
    time::Timestamp,
};

/// So many links of the export, and as many of another one.
const LINKS: usize = 4;

/// Links that a device put on a medium, and then those of another medium.
fn on_media() -> Vec<Envelope> {
    let mut draw = Draw::new(11);
    let link =
        |_| Envelope::seal_bytes(Stub::TYPE, plan::packed(&plan::stub(&content::stub(&mut draw))), &key());
    (0..2 * LINKS).map(link).collect()
}

fn whole() -> Export {
    let links = on_media().into_iter().take(LINKS).collect();
    let from = (START.device, START.epoch, Seq(7));
    Export::new(from, links, Timestamp::EPOCH, &key()).expect("a few links are allowed")
}

/// The file of the whole export's manifest and of these links.
fn file(links: &[&Envelope]) -> Vec<u8> {
    let links: Vec<ByteBuf> = links.iter().map(|link| ByteBuf::from(link.to_bytes())).collect();
    let manifest = ByteBuf::from(whole().manifest().to_bytes());
    let content = codec::to_vec(&(manifest, links)).expect("byte strings always encode");
    [b"TENKEN-EXPORT 1\n".as_slice(), &content].concat()
}

/// A file from removable media: as it comes, with any manifest under a good signature, or with
/// links in any order, missing, doubled, and of another file.
pub fn export(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    match first % 3 {
        0 => {
            let Ok(export) = Export::from_bytes(rest) else { return };
            assert_eq!(Export::from_bytes(&export.to_bytes()).expect("what was written is read"), export);
            if let Ok(manifest) = export.manifest().open::<ExportManifest>(&key().public()) {
                is_in_order(export, &manifest);
            }
        }
        1 => {
            positional::<ExportManifest>(rest);
            if let Ok(manifest) = ExportManifest::decode(rest) {
                is_in_order(whole(), &manifest);
            }
        }
        _ => {
            let known = on_media();
            let picks: Vec<usize> = rest.iter().take(80).map(|b| usize::from(*b) % known.len()).collect();
            let picked: Vec<&Envelope> = picks.iter().map(|pick| &known[*pick]).collect();
            let Ok(export) = Export::from_bytes(&file(&picked)) else { return };
            let manifest = whole().manifest().open::<ExportManifest>(&key().public()).expect("our own");
            let complete = (0..LINKS).all(|n| picks.contains(&n)) && picks.iter().all(|pick| *pick < LINKS);
            assert_eq!(is_in_order(export, &manifest), complete, "{picks:?}");
        }
    }
}

/// Whether a file is what its manifest says; if so, its links follow each other.
fn is_in_order(export: Export, manifest: &ExportManifest) -> bool {
    let Ok(links) = export.links(manifest) else { return false };
    assert!(links.iter().map(|link| Hash::of(link.body())).eq(manifest.hashes.iter().copied()));
    assert_eq!(manifest.from_seq.0 + links.len() as u64 - 1, manifest.to_seq.0);
    true
}

/// What the corpus begins with.
pub(super) fn seeds(draw: &mut Draw) -> Vec<Vec<u8>> {
    let links = on_media();
    let manifest = whole().manifest().body().to_vec();
    let mut all = vec![
        first(0, whole().to_bytes()),
        first(0, file(&[&links[1], &links[0]])),
        first(1, manifest),
        first(2, vec![3, 1, 0, 2, 1]),
    ];
    all.extend((0..4).map(|_| first(2, draw.some_bytes(6))));
    all
}
