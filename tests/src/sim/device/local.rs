//! What happens at a device without the network: consent, probes, and media that are carried.

use super::*;

impl Device {
    /// The administrator puts another file in the place of the consent, or takes it away.
    pub fn file_consent(&mut self, cx: &mut Cx<'_>, consent: Option<Envelope>) {
        self.consent = consent;
        self.look_at_consent(cx);
    }

    pub(super) fn look_at_consent(&mut self, cx: &mut Cx<'_>) {
        let Some(live) = self.live.as_mut() else { return };
        let adopted = match &self.consent {
            None => {
                live.gate.withdraw();
                None
            }
            Some(envelope) => live.gate.adopt(envelope).ok(),
        };
        cx.oracle.consent(self.place, self.consent.as_ref(), &self.settings.hospital_key);
        if let Some(version) = adopted
            && let Ok(spool) = self.spool(cx)
        {
            // What could not be written now is said again at the next start.
            let _ = spool.set_consent_version(version);
        }
    }

    /// Probes saw something. True where it is urgent.
    pub fn record(&mut self, cx: &mut Cx<'_>, observations: Vec<Observation>) -> bool {
        let at = self.authority(cx);
        let Some(live) = self.live.as_ref() else { return false };
        let allowed = |o: &Observation| live.gate.may_record(o.category, at).is_ok();
        let observations: Vec<Observation> = observations.into_iter().filter(allowed).collect();
        if observations.is_empty() {
            return false;
        }
        let place = self.place;
        let Ok(spool) = self.spool(cx) else { return false };
        let before = spool.last_id();
        let appended = spool.append(&observations);
        let urgent = appended.is_ok() && observations.iter().any(|o| o.class() == Class::Urgent);
        if let Err(SpoolError::Full) = appended {
            cx.rows.note(Row::RefusedFull);
        }
        cx.oracle.appended(place, appended.ok().flatten(), before, observations);
        if urgent && let Some(live) = self.live.as_mut() {
            live.pusher.hurry();
        }
        urgent
    }

    /// Everything that waits, as links on a medium.
    pub fn export(&mut self, cx: &mut Cx<'_>) -> Vec<Vec<u8>> {
        let at = self.authority(cx);
        let gate = self.live.as_ref().map(|live| &live.gate);
        let rejoins = self.pending.is_some();
        if rejoins || gate.is_none_or(|gate| gate.is_open(at).is_err()) || self.is_asking() {
            return Vec::new();
        }
        let Ok(view) = self.view(cx) else { return Vec::new() };
        let policy = self.settings.batch;
        (self.settings.batch.in_flight, self.settings.batch.records) = (limit::EXPORT_LINKS_MAX, 3);
        while self.view(cx).is_ok_and(|v| v.in_flight < 12) && self.cut(cx, &view).is_ok_and(|cut| cut) {}
        self.settings.batch = policy;
        let permits = |live: &Live, category| live.gate.permits(category, at).is_ok();
        let (mut envelopes, mut after) = (Vec::new(), Seq(0));
        while let Ok(Some(cut)) = self.spool(cx).and_then(|spool| spool.in_flight_after(after)) {
            let Some(live) = self.live.as_ref() else { break };
            if !invariant::nothing_unconsented_leaves(&cut, |category| permits(live, category)) {
                break;
            }
            after = cut.seq;
            cx.oracle.sending(self.place, cut.seq, cut.hash);
            envelopes.push(Envelope::seal_bytes(cut.payload_type(), cut.body, &self.key).to_bytes());
        }
        envelopes
    }

    /// An acknowledgement comes back on a medium.
    pub fn import_ack(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        let key = self.settings.ack_key;
        let Ok(envelope) = Envelope::from_bytes(bytes) else { return };
        let Ok(ack) = envelope.open::<Ack>(&key) else { return };
        let place = self.place;
        if ack.device == self.start.device
            && let Ok(spool) = self.spool(cx)
        {
            let _ = spool.release(&ack, bytes);
            let acked = spool.stats().acked_seq;
            cx.oracle.let_go(place, acked);
        }
    }
}
