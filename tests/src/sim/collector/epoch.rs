//! How the collector renews a certificate, and begins a device's next epoch.

use super::*;

impl Collector {
    pub(super) fn renew(&mut self, cx: &mut Cx<'_>, ask: &Ask) -> Option<Reply> {
        let envelope = Envelope::from_bytes(&ask.bytes).ok()?;
        let opened = self.stored.rows.iter().find_map(|(device, row)| {
            let request = envelope.open::<RenewRequest>(&row.key).ok()?;
            (request.device == *device).then_some(request)
        });
        let request = opened?;
        let now = server_at(cx.now);
        fresh_challenge(&request.challenge, &[self.ack_key.public()], now).ok()?;
        let until = now.plus(self.certificate_life?);
        let newest = self.certificates.entry(request.device).or_insert(until);
        *newest = (*newest).max(until);
        Some(self.signed(&RenewReply {
            device: request.device,
            certificates: vec![until.as_micros().to_be_bytes().to_vec().into()],
            server: now,
            echo_nonce: request.nonce,
        }))
    }

    /// As `ingest::rejoin` closes an epoch.
    pub(super) fn rejoin(&mut self, cx: &mut Cx<'_>, ask: &Ask) -> Option<Reply> {
        let envelope = Envelope::from_bytes(&ask.bytes).ok()?;
        let key = RejoinRequest::decode(envelope.body()).ok()?.device_key().ok()?;
        let request = envelope.open::<RejoinRequest>(&key).ok()?;
        let now = server_at(cx.now);
        fresh_challenge(&request.challenge, &[self.ack_key.public()], now).ok()?;
        let row = Rc::make_mut(self.stored.rows.get_mut(&request.device)?);
        if row.key == key {
            return row.grant.clone().map(Reply::Bytes);
        }
        let epoch = row.epoch.next();
        if self.full || row.approved != Some((epoch, key.fingerprint())) || request.epoch != row.epoch {
            return None;
        }
        let top_record = row.coverage.top();
        let grant = RejoinGrant {
            device: request.device,
            epoch,
            closed_seq: row.seq,
            closed_hash: row.hash,
            top_record,
            certificates: Vec::new(),
            server: now,
            echo_nonce: request.nonce,
        };
        let grant = Envelope::seal(&grant, &self.ack_key).ok()?;
        let genesis = Hash::of(grant.body());
        let bytes: Rc<[u8]> = grant.to_bytes().into();
        let tail = Gap { run: RecRun::one(top_record.next()), reason: GapReason::Unknown };
        self.log.push(LogEntry::closing(request.device, row.epoch, tail));
        row.rejoin(key, (epoch, genesis), bytes.clone());
        self.held.drop_device(request.device);
        self.book.remove(&request.device);
        self.refresh();
        cx.oracle.epoch_begins(request.device, epoch, genesis);
        Some(Reply::Bytes(bytes))
    }
}
