//! A device's export from removable media, taken in as if it had come over the network.
//!
//! Holds: every envelope passes the same verification and the same ledger, and is acknowledged
//! only after the commit. The manifest decides about nothing but whether the file is whole. The
//! same file again has no effect, and is answered with the acknowledgement of now. The
//! acknowledgement's nonce is zero, so no device takes time from it.
//!
//! A process of its own can do this beside a serving collector: the store's lock keeps order, and
//! the other process notices by the position.

use super::{
    PeerIdentity,
    verify::{DeviceDirectory, verify},
};
use crate::store::{Book, Store, StoreError, Verdict};
use tenken_common::{
    ack::{Ack, RejectReason},
    batch::Link,
    codec::CodecError,
    envelope::Envelope,
    export::{Export, ExportError, ExportManifest},
    id::{DeviceId, Epoch, Nonce, Seq},
    key::SecretKey,
    limit,
};

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    pub device: DeviceId,
    pub from: Seq,
    pub to: Seq,
    pub new: u64,
    /// Stored before.
    pub known: u64,
    /// To be carried back to the device.
    pub ack: Envelope,
}

/// Why an export was not taken in. Nothing that the device holds is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("the export is refused: {}", .0.as_str())]
    Refused(RejectReason),
    #[error("batch {seq} of the export is refused: {}", reason.as_str())]
    Batch { seq: Seq, reason: RejectReason },
    #[error("batch {0} of the export is not the one that its manifest names")]
    OtherLink(Seq),
    #[error(
        "batch {need} is missing before this export; import the earlier file first, or export again on the device"
    )]
    Hole { need: Seq },
    #[error("the export is of epoch {0}, which is not the device's present one")]
    Epoch(Epoch),
    #[error(
        "the export belongs to a second history with this device's identity: it was kept as evidence, and the device is in quarantine"
    )]
    Fork,
    #[error("the device is in quarantine; the export was kept as evidence")]
    Quarantined,
    #[error("the acknowledgement could not be encoded")]
    Encode(#[source] CodecError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes in the bytes of a file; see the module's head.
pub async fn import(store: &Store, ack_key: &SecretKey, bytes: &[u8]) -> Result<Imported, ImportError> {
    let export = Export::from_bytes(bytes)?;
    let directory = DeviceDirectory::load(store).await?.current();
    let (known, manifest) = directory
        .open::<ExportManifest>(&export.manifest().to_bytes(), limit::MESSAGE_BYTES_MAX)
        .map_err(ImportError::Refused)?;
    let peer = PeerIdentity::default();
    directory.check_identity(&known, manifest.device, peer).map_err(ImportError::Refused)?;
    let links = export.links(&manifest)?;

    let mut verified = Vec::with_capacity(links.len());
    for (seq, envelope) in (manifest.from_seq.0..).map(Seq).zip(&links) {
        let bytes = envelope.to_bytes();
        let received = verify(&bytes, &directory, peer)
            .map_err(|refusal| ImportError::Batch { seq, reason: refusal.reason })?;
        let link = received.link();
        if (link.device, link.epoch, link.seq) != (manifest.device, manifest.epoch, seq) {
            return Err(ImportError::OtherLink(seq));
        }
        verified.push((link, received.into_arrival(), bytes));
    }

    let mut book = Book::default();
    let mut tx = store.begin(&mut book).await?;
    let (mut new, mut known, mut newest, mut refused) = (0, 0, None, None);
    for (link, arrival, bytes) in verified {
        let admission = tx.admit(&link, &arrival, bytes).await?;
        match admission.verdict {
            Verdict::New { .. } => new += 1,
            Verdict::Duplicate => known += 1,
            Verdict::Hole { .. }
            | Verdict::Fork
            | Verdict::StaleEpoch { .. }
            | Verdict::EpochAhead
            | Verdict::Quarantined
            | Verdict::Unexplained => {
                refused = Some(refusal(&admission.verdict, &link));
                break;
            }
        }
        newest = Some(admission);
    }
    tx.commit().await?;
    if let Some(error) = refused {
        return Err(error);
    }
    let newest = newest.ok_or(ExportError::Links(0))?;
    let ack = Ack {
        device: manifest.device,
        epoch: manifest.epoch,
        acked_seq: newest.committed_seq,
        hash: newest.committed_hash,
        server: store.clock().wall(),
        echo_nonce: Nonce([0; 16]),
        position: newest.position,
        log_root: newest.root,
        retry_after_s: 0,
        need_seq: None,
    };
    let ack = Envelope::seal(&ack, ack_key).map_err(ImportError::Encode)?;
    let (device, from, to) = (manifest.device, manifest.from_seq, manifest.to_seq);
    Ok(Imported { device, from, to, new, known, ack })
}

fn refusal(verdict: &Verdict, link: &Link) -> ImportError {
    match verdict {
        Verdict::Hole { need } => ImportError::Hole { need: *need },
        Verdict::Fork => ImportError::Fork,
        Verdict::StaleEpoch { .. } | Verdict::EpochAhead => ImportError::Epoch(link.epoch),
        Verdict::Quarantined | Verdict::Unexplained | Verdict::New { .. } | Verdict::Duplicate => {
            ImportError::Quarantined
        }
    }
}
