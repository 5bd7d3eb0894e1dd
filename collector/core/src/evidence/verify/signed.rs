//! What others than the vendor signed: the hospital's statements, and the devices' messages.
//!
//! Holds: nothing of it counts but with the signature of the key that it has to be of.

use super::{FaultKind, Verifier};
use crate::intake::arrival::Arrival;
use tenken_common::{
    consent::ConsentManifest,
    envelope::{Envelope, Payload, Verified},
    id::{DeviceId, Hash},
    statement::{Agreement, DeviceApproval, KeySuccession, RejoinApproval, SlotTicket},
    stub::Stub,
    time::Timestamp,
    wire::v1::ReceivedBatch,
};

impl Verifier {
    pub(super) fn statement(&mut self, bytes: &[u8]) -> Result<(), FaultKind> {
        self.statements += 1;
        let envelope = Envelope::from_bytes(bytes).map_err(|_| FaultKind::Statement)?;
        let signer = self.signer.ok_or(FaultKind::HospitalKey)?;
        let kind = envelope.payload_type();
        let is_signed = if kind == Agreement::TYPE {
            let agreement = envelope.open::<Agreement>(&signer);
            agreement.map(|agreement| self.sources.agreements.push(agreement.into_inner())).is_ok()
        } else if kind == DeviceApproval::TYPE {
            let approval = envelope.open::<DeviceApproval>(&signer);
            if let Ok(approval) = &approval
                && let Some(speaker) = self.sources.devices.get_mut(&approval.device)
            {
                speaker.approved = true;
                self.detector.approve(approval.device);
            }
            approval.map(|a| self.approve(a.device, a.fingerprint)).is_ok()
        } else if kind == RejoinApproval::TYPE {
            let approval = envelope.open::<RejoinApproval>(&signer);
            approval.map(|a| self.approve(a.device, a.fingerprint)).is_ok()
        } else if kind == KeySuccession::TYPE {
            let successor = envelope.open::<KeySuccession>(&signer).ok().and_then(|s| s.successor().ok());
            self.signer = successor.or(self.signer);
            successor.is_some()
        } else if kind == ConsentManifest::TYPE {
            envelope.open::<ConsentManifest>(&signer).is_ok()
        } else {
            let ticket = envelope.open::<SlotTicket>(&signer);
            ticket
                .map(Verified::into_inner)
                .map(|ticket| {
                    if ticket.replaces.is_some() {
                        self.tickets.insert(ticket.slot, ticket);
                    }
                })
                .is_ok()
        };
        if is_signed { Ok(()) } else { Err(FaultKind::Statement) }
    }

    pub(super) fn approve(&mut self, device: DeviceId, fingerprint: Hash) {
        self.approvals.entry(device).or_default().push(fingerprint);
    }

    pub(super) fn message(
        &mut self,
        id: DeviceId,
        bytes: &[u8],
        committed: Timestamp,
    ) -> Result<(), FaultKind> {
        let unsigned = FaultKind::Signature { device: id };
        let device = self.devices.get_mut(&id).ok_or(unsigned.clone())?;
        let envelope = Envelope::from_bytes(bytes).map_err(|_| unsigned.clone())?;
        let hash = Hash::of(envelope.body());
        let arrival = if envelope.payload_type() == Stub::TYPE {
            let stub = envelope.open::<Stub>(&device.key).map_err(|_| unsigned)?;
            Arrival::Stub(Box::new(stub.into_inner()))
        } else {
            let batch = envelope.open::<ReceivedBatch>(&device.key).map_err(|_| unsigned)?;
            Arrival::Batch(Box::new(batch.into_inner()))
        };
        match (arrival.batch(), self.sources.devices.get_mut(&id)) {
            (Some(received), Some(speaker)) if received.batch.device == id => {
                speaker.said.take(&received.batch, committed);
                self.detector.take(&received.batch, committed);
            }
            (Some(_) | None, _) => self.detector.hear(id, committed),
        }
        let link = arrival.link(hash);
        let follows = device.last.is_none_or(|(seq, hash)| link.seq == seq.next() && link.prev == hash);
        device.last = Some((link.seq, link.hash));
        device.speaks = true;
        if link.device != id || link.epoch != device.epoch || !follows {
            return Err(FaultKind::Chain { device: id, seq: link.seq });
        }
        Ok(())
    }

    pub(super) fn check_devices(&mut self) -> Vec<DeviceId> {
        let mut unapproved = Vec::new();
        let mut wrong = Vec::new();
        for (id, device) in self.devices.iter().filter(|(_, device)| device.speaks) {
            let fingerprint = device.key.fingerprint();
            match self.approvals.get(id) {
                None => unapproved.push(*id),
                Some(approved) if approved.contains(&fingerprint) => {}
                Some(_) => wrong.push(FaultKind::DeviceKey { device: *id, fingerprint }),
            }
        }
        for kind in wrong {
            self.fault(kind);
        }
        unapproved
    }
}
