//! What a device makes of an answer.

use super::*;

impl Device {
    /// An answer came, or none did.
    pub fn answered(&mut self, cx: &mut Cx<'_>, number: u64, reply: &Reply) {
        let received = self.now(cx);
        let Some(asked) = self.live.as_mut().and_then(|live| live.asked.take_if(|a| a.number == number))
        else {
            return;
        };
        let failed = |retry_after| Outcome::Failed { retry_after };
        let bytes = match reply {
            Reply::Bytes(bytes) => bytes,
            Reply::Bare { retry_after } => {
                self.outcome(cx, &asked.view, &failed(*retry_after));
                return;
            }
        };
        let Some(said) = self.understand(bytes, &asked, received) else {
            self.outcome(cx, &asked.view, &failed(None));
            return;
        };
        match (asked.path, said) {
            (Path::Resume, Said::Resumed(reply)) => self.resumed(cx, &asked.view, &reply),
            (Path::Resume, Said::Rejected(reject)) => {
                self.outcome(cx, &asked.view, &Outcome::Rejected { reject: &reject, batch: false });
            }
            (Path::Batch, Said::Acked(ack, envelope)) => {
                let effect = self.outcome(cx, &asked.view, &Outcome::Acked(&ack));
                let place = self.place;
                if effect == PushEffect::Release
                    && let Ok(spool) = self.spool(cx)
                {
                    let released = spool.release(&ack, &envelope);
                    let up_to = spool.stats().acked_seq;
                    cx.oracle.let_go(place, up_to);
                    if let Ok(links) = released {
                        self.released(cx, &asked.view, &ack, links);
                    }
                }
            }
            (Path::Batch, Said::Rejected(reject)) => {
                let ours = asked.cut.as_ref().filter(|cut| {
                    reject.epoch == cut.epoch && reject.seq == cut.seq && reject.hash == cut.hash
                });
                let outcome = match ours {
                    Some(cut) => Outcome::Rejected { reject: &reject, batch: cut.stub.is_none() },
                    None => failed(None),
                };
                if let PushEffect::Stub(reason) = self.outcome(cx, &asked.view, &outcome)
                    && let Some(seq) = ours.map(|cut| cut.seq)
                    && let Ok(spool) = self.spool(cx)
                {
                    let _ = spool.stub(seq, reason);
                }
            }
            (Path::Time, Said::Time(challenge)) => {
                if let Some(live) = self.live.as_mut() {
                    live.challenge = Some(challenge);
                }
            }
            (Path::Rejoin, Said::Granted(grant)) => self.granted(cx, &grant),
            (Path::Renew, Said::Renewed(reply)) => {
                cx.rows.note(Row::Renewed);
                let until = reply.certificates.first().and_then(|c| c.as_slice().try_into().ok());
                self.certificate_until =
                    until.map_or(self.certificate_until, |b| Timestamp::from_micros(i64::from_be_bytes(b)));
            }
            _ => {
                self.outcome(cx, &asked.view, &failed(None));
            }
        }
    }

    pub(super) fn resumed(&mut self, cx: &mut Cx<'_>, view: &PushView, reply: &ResumeReply) {
        if reply.epoch != self.start.epoch {
            self.outcome(cx, view, &Outcome::OtherEpoch);
            return;
        }
        let place = self.place;
        let taken = self.spool(cx).and_then(|spool| {
            let standing = spool.adopt_head(reply.committed_seq, reply.committed_hash)?;
            let declared =
                if standing == Standing::InStep { spool.answer_missing(&reply.missing)? } else { 0 };
            Ok((standing, declared, spool.stats().acked_seq))
        });
        let Ok((standing, declared, acked)) = taken else { return };
        cx.trace.say(cx.now, || format!("device {place} resumed at {}: {standing:?}", reply.committed_seq));
        if declared > 0 {
            cx.rows.note(Row::ResumeMissing);
        }
        cx.oracle.let_go(place, acked);
        cx.oracle.resumed(place, standing);
        if standing == Standing::DeviceBehind {
            cx.rows.note(Row::DeviceBehind);
        }
        if standing == Standing::InStep {
            // As the agent's shell does: it stands where it should after all.
            self.pending = None;
            cx.oracle.heard(self.start.device, reply.echo_nonce);
        }
        self.outcome(cx, view, &Outcome::Resumed(standing));
    }

    pub(super) fn understand(&mut self, bytes: &[u8], asked: &Asked, received: Moment) -> Option<Said> {
        let envelope = Envelope::from_bytes(bytes).ok()?;
        let key = &self.settings.ack_key;
        let kind = envelope.payload_type();
        let (said, subject, server, echo) = if kind == Ack::TYPE {
            let ack = envelope.open::<Ack>(key).ok()?;
            let facts = (ack.device, ack.server, ack.echo_nonce);
            (Said::Acked(ack, bytes.to_vec()), facts.0, facts.1, facts.2)
        } else if kind == Reject::TYPE {
            let reject = envelope.open::<Reject>(key).ok()?;
            let facts = (reject.device, reject.server, reject.echo_nonce);
            (Said::Rejected(reject), facts.0, facts.1, facts.2)
        } else if kind == SignedTime::TYPE {
            let time = envelope.open::<SignedTime>(key).ok()?;
            if time.echo_nonce != asked.nonce {
                return None;
            }
            (Said::Time(bytes.to_vec()), self.start.device, time.server, time.echo_nonce)
        } else if kind == RenewReply::TYPE {
            let reply = envelope.open::<RenewReply>(key).ok()?;
            if reply.echo_nonce != asked.nonce {
                return None;
            }
            let facts = (reply.device, reply.server, reply.echo_nonce);
            (Said::Renewed(reply), facts.0, facts.1, facts.2)
        } else if kind == RejoinGrant::TYPE {
            let grant = envelope.open::<RejoinGrant>(key).ok()?;
            let facts = (grant.device, grant.server, grant.echo_nonce);
            (Said::Granted(grant), facts.0, facts.1, facts.2)
        } else {
            let reply = envelope.open::<ResumeReply>(key).ok()?;
            if reply.echo_nonce != asked.nonce {
                return None;
            }
            let facts = (reply.device, reply.server, reply.echo_nonce);
            (Said::Resumed(reply), facts.0, facts.1, facts.2)
        };
        if subject != self.start.device {
            return None;
        }
        if echo == asked.nonce
            && let Some(live) = self.live.as_mut()
        {
            live.time.on_signed_time(asked.sent, received, server);
        }
        Some(said)
    }

    /// What came of an acknowledgement; `links` were let go.
    fn released(&mut self, cx: &mut Cx<'_>, view: &PushView, ack: &Ack, links: u64) {
        let now = self.now(cx).mono;
        if let Some(live) = self.live.as_mut() {
            live.pusher.on_released(now, view, ack, links);
        }
    }

    pub(super) fn outcome(&mut self, cx: &mut Cx<'_>, view: &PushView, outcome: &Outcome<'_>) -> PushEffect {
        let now = self.now(cx).mono;
        let Some(live) = self.live.as_mut() else { return PushEffect::None };
        let before = live.pusher.halted();
        let effect = live.pusher.on_outcome(now, view, outcome);
        let halted = live.pusher.halted();
        if halted != before {
            let place = self.place;
            cx.trace.say(cx.now, || format!("device {place} halted: {halted:?}"));
        }
        effect
    }
}
