//! Transfer by removable media: what waits goes into a file, and the collector's acknowledgement
//! comes back in another.
//!
//! Holds: an export cuts and sends nothing away: it is a send by other means. The consent is
//! asked as at every send, and what may not leave becomes a gap or a stub. Each body is in the
//! sent journal before it is in the file. Nothing is deleted before a signed acknowledgement that
//! covers it with the spool's own hash. A device that has to rejoin exports nothing: its chain does
//! not go on, and all that waits comes along into the next epoch.
//!
//! Does not: take time from an acknowledgement that was carried by hand.

use crate::{
    app,
    consent_file::{ConsentFileError, ConsentWatch},
    offline::Offline,
    sent::{SentEntry, SentError, SentJournal},
    shared::VERSION,
};
use std::path::{Path, PathBuf};
use tenken_agent_core::{
    consent_gate::ConsentGate,
    device_clock::DeviceClock,
    invariant,
    spool::{BatchLimit, Cut, CutContext, SpoolError},
};
use tenken_common::{
    ack::Ack,
    batch::GapReason,
    consent::Refusal,
    envelope::{Envelope, EnvelopeError},
    export::{Export, ExportError},
    file::{self, Access, WriteError},
    id::{DeviceId, Epoch, Seq},
    key::KeyError,
    limit,
    statement::{self, ArmourError},
    time::{Clock, ClockQuality, SystemClock, Timestamp},
};

const EXPORT_LIMIT: BatchLimit = BatchLimit {
    records: limit::BATCH_RECORDS_MAX,
    bytes: limit::PLAIN_BYTES_MAX,
    in_flight: limit::EXPORT_LINKS_MAX,
};

/// A transfer that did not happen; everything is kept.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    #[error(
        "this device must rejoin first, the collector takes nothing more in its epoch: nothing was exported, everything is kept"
    )]
    Rejoin,
    #[error("the consent cannot be read")]
    Consent(#[source] ConsentFileError),
    #[error("the consent does not allow it: nothing was exported")]
    Closed(#[source] Refusal),
    #[error("the spool failed")]
    Spool(#[from] SpoolError),
    #[error("what would leave cannot be written down first")]
    Sent(#[from] SentError),
    #[error("the export could not be made")]
    Export(#[from] ExportError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} holds no acknowledgement", path.display())]
    Armour { path: PathBuf, source: ArmourError },
    #[error("the identity names no usable acknowledgement key")]
    AckKey(#[source] KeyError),
    #[error("the acknowledgement is not signed by the collector that this device knows")]
    Ack(#[source] EnvelopeError),
    #[error("the acknowledgement is for device {device} in epoch {epoch}, this is another")]
    OtherDevice { device: DeviceId, epoch: Epoch },
    #[error("the acknowledgement of batch {0} does not fit to this device's own history; call the vendor")]
    OtherHistory(Seq),
}

/// What an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    pub from: Seq,
    pub to: Seq,
    /// More waits than one file holds.
    pub more: bool,
}

/// Cuts what waits and writes it to `path`; `None` where nothing waits.
pub fn export(
    offline: &mut Offline,
    state_dir: &Path,
    path: &Path,
    clock: &SystemClock,
) -> Result<Option<Exported>, MediaError> {
    let enrolled = &offline.enrolled;
    if enrolled.rejoin.is_some() {
        return Err(MediaError::Rejoin);
    }
    let spool = offline.spool.as_mut();
    let now = clock.now();
    let device_clock = DeviceClock::new(app::last_signed(spool.newest_ack().as_deref(), enrolled));
    let at = device_clock.authority(now);
    let mut gate = ConsentGate::new(
        enrolled.hospital_key,
        enrolled.device,
        enrolled.group.clone(),
        spool.consent_version(),
    );
    ConsentWatch::new(state_dir).look(&mut gate).map_err(MediaError::Consent)?;
    gate.may_declare(at).map_err(MediaError::Closed)?;
    spool.set_consent_version(gate.highest())?;
    let allowed = |category| gate.permits(category, at).is_ok();

    let cx =
        CutContext { device: enrolled.device, at: now, clock: ClockQuality::UNKNOWN, agent_version: VERSION };
    spool.withdraw(&allowed)?;
    while spool.cut(EXPORT_LIMIT, &cx)?.is_some() {}

    let mut links: Vec<Cut> = Vec::new();
    let mut journal = SentJournal::new(state_dir);
    while links.len() < limit::EXPORT_LINKS_MAX {
        let after = links.last().map_or(Seq(0), |cut| cut.seq);
        let Some(cut) = spool.in_flight_after(after)? else { break };
        let may_leave = invariant::nothing_unconsented_leaves(&cut, allowed);
        let cut = if may_leave { cut } else { spool.stub(cut.seq, GapReason::NotConsented)? };
        note(&mut journal, &cut, clock.wall())?;
        links.push(cut);
    }
    let Some((from, to)) = links.first().zip(links.last()).map(|(a, b)| (a.seq, b.seq)) else {
        return Ok(None);
    };
    let key = &enrolled.device_key;
    let seal = |cut: Cut| Envelope::seal_bytes(cut.payload_type(), cut.body, key);
    let envelopes = links.into_iter().map(seal).collect();
    let export = Export::new((enrolled.device, enrolled.epoch, from), envelopes, now.wall, key)?;
    file::write(path, &export.to_bytes(), Access::Private)?;
    let stats = spool.stats();
    let more = stats.waiting + stats.gaps_waiting > 0 || spool.in_flight_after(to)?.is_some();
    Ok(Some(Exported { from, to, more }))
}

fn note(journal: &mut SentJournal, cut: &Cut, at: Timestamp) -> Result<(), SentError> {
    let (payload_type, body) = (cut.payload_type().to_owned(), cut.body.clone());
    journal.record(&SentEntry { at, seq: cut.seq, payload_type, body })
}

/// What an acknowledgement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub acked: Seq,
    pub batches: u64,
}

/// Takes in the acknowledgement in `path`.
pub fn import_ack(offline: &mut Offline, path: &Path) -> Result<Taken, MediaError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| MediaError::Read { path: path.to_owned(), source })?;
    let envelope = statement::from_armour(&text)
        .map_err(|source| MediaError::Armour { path: path.to_owned(), source })?;
    let ack_key = offline.enrolled.trust.ack_key().map_err(MediaError::AckKey)?;
    let ack = envelope.open::<Ack>(&ack_key).map_err(MediaError::Ack)?;
    if (ack.device, ack.epoch) != (offline.enrolled.device, offline.enrolled.epoch) {
        return Err(MediaError::OtherDevice { device: ack.device, epoch: ack.epoch });
    }
    let acked = ack.acked_seq;
    let before = offline.spool.stats().acked_seq;
    let batches = offline.spool.release(&ack, &envelope.to_bytes())?;
    if batches == 0 && acked > before {
        return Err(MediaError::OtherHistory(acked));
    }
    Ok(Taken { acked, batches })
}
