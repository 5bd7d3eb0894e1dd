//! How a device renews its certificate, and how it rejoins.

use super::*;

impl Device {
    /// A certificate that is due is renewed before anything else; one that has expired lets
    /// nothing else through.
    pub(super) fn renewal(&mut self, cx: &mut Cx<'_>, at: Timestamp) -> Option<Ask> {
        let whole = Duration::from_millis(self.settings.certificate_life_ms?);
        let moment = self.now(cx);
        let live = self.live.as_mut()?;
        // Silence may mean that the certificate is over by a clock that is right.
        let blind =
            live.pusher.failing_since().is_some() && live.time.quality(moment).source == ClockSource::Unknown;
        if at < self.certificate_until.minus(whole / 3) && !blind {
            return None;
        }
        let now = moment.mono;
        let idle =
            PushView { waiting: 0, urgent: 0, in_flight: 1, acked_seq: Seq(0), awaiting_resume: false };
        // The pusher's patience holds for this as well.
        if let PushStep::Wait(wait) = live.pusher.poll(now, &idle)
            && live.pusher.failing_since().is_some()
            && !wait.is_zero()
        {
            return None;
        }
        let challenge = live.challenge.take();
        let start = self.start;
        match challenge {
            None => self.ask(cx, Path::Time, (idle, None), |_, _| Vec::new()),
            Some(challenge) => self.ask(cx, Path::Renew, (idle, None), |nonce, key| {
                let request = RenewRequest {
                    device: start.device,
                    epoch: start.epoch,
                    csr: vec![1].into(),
                    challenge: challenge.into(),
                    nonce,
                };
                sealed(&request, key)
            }),
        }
    }

    /// A device that is behind its own chain, or was found to be one of two, asks for the next
    /// epoch with a new key once a minute, until the hospital has approved it.
    pub(super) fn rejoining(&mut self, cx: &mut Cx<'_>) -> Option<Next> {
        let every = self.settings.policy.interval.max(Duration::from_secs(60));
        let live = self.live.as_mut()?;
        let rejoins = [
            Halt::DeviceBehind,
            Halt::Rejected(RejectReason::Fork),
            Halt::Rejected(RejectReason::Quarantined),
        ];
        if !rejoins.contains(&live.pusher.halted()?) {
            return None;
        }
        if cx.now < live.rejoin_at && live.challenge.is_none() {
            return None;
        }
        if self.pending.is_none() {
            self.pending = Some(SecretKey::from_seed(&cx.dice.bytes()));
        }
        let idle =
            PushView { waiting: 0, urgent: 0, in_flight: 0, acked_seq: Seq(0), awaiting_resume: false };
        live.rejoin_at = cx.now + u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        let Some(challenge) = live.challenge.take() else {
            return self.ask(cx, Path::Time, (idle, None), |_, _| Vec::new()).map(Next::Ask);
        };
        let (device, epoch, facts) = (self.start.device, self.start.epoch, self.facts.clone());
        let ask = self.ask(cx, Path::Rejoin, (idle, None), |nonce, key| {
            let parts = RejoinParts { device, epoch, csr: vec![1], facts, challenge, nonce };
            sealed(&RejoinRequest::new(key.public(), parts), key)
        });
        ask.map(Next::Ask)
    }

    /// The next epoch begins: the identity first, then the spool follows when it is opened.
    pub(super) fn granted(&mut self, cx: &mut Cx<'_>, grant: &Verified<RejoinGrant>) {
        if grant.epoch != self.start.epoch.next() {
            return;
        }
        let Some(key) = self.pending.take() else { return };
        self.key = key;
        self.start = ChainStart { device: self.start.device, epoch: grant.epoch, genesis: grant.body_hash() };
        cx.rows.note(Row::Rejoined);
        cx.oracle.rejoined(self.place, grant.epoch);
        let place = self.place;
        cx.trace.say(cx.now, || format!("device {place} rejoins in epoch {}", grant.epoch));
        self.crash();
        self.start(cx);
    }
}
