//! What a device's resume means: where it stands against its ledger, and whether the collector
//! itself is behind what it once acknowledged.
//!
//! | case (S after a proof was applied) | decision |
//! |---|---|
//! | the device is in quarantine | [`Standing::Quarantined`] |
//! | epoch < E | [`Standing::StaleEpoch`] |
//! | epoch > E | [`Standing::EpochAhead`] |
//! | last seq = S, same hash | [`Standing::InStep`] |
//! | last seq > S | [`Standing::Ahead`]: it sends again from S+1 |
//! | last seq < S, its hash is known and the same, or too old to be known | [`Standing::Behind`]: a restored image, rejoin |
//! | last seq <= S with another hash | [`Standing::Diverged`]: another chain, rejoin |
//! | the newest acknowledgement is of this device and epoch, beyond S | the ledger is moved to it first |
//!
//! Holds: nothing moves a ledger but an acknowledgement that one of this collector's own keys
//! signed (its type says that this was checked), and only forward. A device acts on the answer,
//! not on the decision, and trusts its own hashes more than either.

use super::{
    ledger::{DeviceLedger, QuarantineReason},
    planted::{Planted, Rules},
};
use tenken_common::{
    ack::{Ack, ResumeRequest},
    envelope::Verified,
    id::{Epoch, Seq},
};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeDecision {
    pub standing: Standing,
    /// The collector lost what it had acknowledged.
    pub moved: Option<Move>,
}

/// The range that the collector lost, and the ledger once that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The first lost link.
    pub from: Seq,
    /// The last, which the proof names.
    pub to: Seq,
    pub next: Box<DeviceLedger>,
}

/// Where the device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    InStep,
    Ahead { resend_from: Seq },
    Behind,
    Diverged,
    StaleEpoch { current: Epoch },
    EpochAhead { current: Epoch },
    Quarantined(QuarantineReason),
}

/// Decides by the ledger; `proof` is the request's newest acknowledgement, where one of the
/// collector's keys signed it. The ledger must have [recalled](DeviceLedger::recall) its hashes.
pub fn resume(
    ledger: &DeviceLedger,
    request: &ResumeRequest,
    proof: Option<&Verified<Ack>>,
) -> ResumeDecision {
    decide(ledger, request, proof, Rules::default())
}

/// [`resume`] with one of its rules broken.
#[cfg(feature = "planted")]
pub fn resume_with(
    ledger: &DeviceLedger,
    request: &ResumeRequest,
    proof: Option<&Verified<Ack>>,
    planted: Option<Planted>,
) -> ResumeDecision {
    decide(ledger, request, proof, Rules::with(planted))
}

fn decide(
    ledger: &DeviceLedger,
    request: &ResumeRequest,
    proof: Option<&Verified<Ack>>,
    rules: Rules,
) -> ResumeDecision {
    let stay = |standing| ResumeDecision { standing, moved: None };
    if let Some(reason) = ledger.quarantine {
        return stay(Standing::Quarantined(reason));
    }
    let current = ledger.epoch;
    if request.epoch < current {
        return stay(Standing::StaleEpoch { current });
    }
    if request.epoch > current {
        return stay(Standing::EpochAhead { current });
    }
    let of_this_chain = |ack: &&Verified<Ack>| {
        ack.device == ledger.device && ack.epoch == current && ack.acked_seq > ledger.committed_seq
    };
    let mut proven = proof.filter(of_this_chain).map(|ack| (ack.acked_seq, ack.hash));
    if rules.breaks(Planted::ResumeWithoutProof) && request.last_seq > ledger.committed_seq {
        proven = Some((request.last_seq, request.last_hash));
    }
    let Some((to, hash)) = proven else { return stay(stand(ledger, request)) };
    let next = ledger.moved_to(to, hash);
    let standing = stand(&next, request);
    let moved = Move { from: ledger.committed_seq.next(), to, next: Box::new(next) };
    ResumeDecision { standing, moved: Some(moved) }
}

fn stand(ledger: &DeviceLedger, request: &ResumeRequest) -> Standing {
    let committed = ledger.committed_seq;
    if request.last_seq > committed {
        return Standing::Ahead { resend_from: committed.next() };
    }
    let own =
        if request.last_seq == Seq(0) { Some(ledger.genesis) } else { ledger.hash_at(request.last_seq) };
    if own.is_some_and(|own| own != request.last_hash) {
        Standing::Diverged
    } else if request.last_seq == committed {
        Standing::InStep
    } else {
        Standing::Behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{
        enrollment::HostFacts,
        envelope::Envelope,
        id::{DeviceId, Hash, Name, Nonce},
        key::SecretKey,
        time::Timestamp,
    };

    const DEVICE: DeviceId = DeviceId([1; 16]);

    fn hash(seq: u64) -> Hash {
        if seq == 0 { Hash::ZERO } else { Hash::of(&seq.to_be_bytes()) }
    }

    fn ledger(seq: u64) -> DeviceLedger {
        let recent = (1..=seq).map(|s| (Seq(s), hash(s)));
        DeviceLedger::begin(DEVICE, Epoch(2), Hash::ZERO).loaded((Seq(seq), hash(seq)), recent, [], [])
    }

    fn request(epoch: u32, last: u64) -> ResumeRequest {
        let name = |text| Name::new(text).unwrap();
        ResumeRequest {
            device: DEVICE,
            epoch: Epoch(epoch),
            last_seq: Seq(last),
            last_hash: hash(last),
            newest_ack: None,
            consent_version: 1,
            facts: HostFacts {
                os: name("linux"),
                arch: name("x86_64"),
                agent_version: name("0"),
                machine: Hash::ZERO,
            },
            challenge: None,
            nonce: Nonce([0; 16]),
        }
    }

    fn ack(device: DeviceId, epoch: u32, seq: u64) -> Verified<Ack> {
        let key = SecretKey::from_seed(&[1; 32]);
        let ack = Ack {
            device,
            epoch: Epoch(epoch),
            acked_seq: Seq(seq),
            hash: hash(seq),
            server: Timestamp::EPOCH,
            echo_nonce: Nonce([0; 16]),
            position: 0,
            log_root: Hash::ZERO,
            retry_after_s: 0,
            need_seq: None,
        };
        Envelope::seal(&ack, &key).unwrap().open(&key.public()).unwrap()
    }

    #[test]
    fn each_row_has_its_name() {
        let standing = |request: &ResumeRequest| {
            let decision = resume(&ledger(5), request, None);
            assert_eq!(decision.moved, None, "nothing moves without a proof");
            decision.standing
        };
        assert_eq!(standing(&request(2, 5)), Standing::InStep);
        assert_eq!(standing(&request(2, 8)), Standing::Ahead { resend_from: Seq(6) });
        for last in [0, 3] {
            assert_eq!(standing(&request(2, last)), Standing::Behind);
        }
        for last in [0, 3, 5] {
            let other = ResumeRequest { last_hash: Hash([9; 32]), ..request(2, last) };
            assert_eq!(standing(&other), Standing::Diverged);
        }
        assert_eq!(standing(&request(1, 5)), Standing::StaleEpoch { current: Epoch(2) });
        assert_eq!(standing(&request(3, 5)), Standing::EpochAhead { current: Epoch(2) });
        let mut quarantined = ledger(5);
        quarantined.quarantine = Some(QuarantineReason::Hole);
        let decision = resume(&quarantined, &request(2, 9), Some(&ack(DEVICE, 2, 9)));
        let standing = Standing::Quarantined(QuarantineReason::Hole);
        assert_eq!(decision, ResumeDecision { standing, moved: None });
    }

    #[test]
    fn an_acknowledgement_moves_a_restored_collector_forward() {
        let mut restored = ledger(5);
        restored.restored = true;
        for (last, standing) in
            [(9, Standing::InStep), (11, Standing::Ahead { resend_from: Seq(10) }), (7, Standing::Behind)]
        {
            let decision = resume(&restored, &request(2, last), Some(&ack(DEVICE, 2, 9)));
            let moved = decision.moved.unwrap();
            assert_eq!((decision.standing, moved.from, moved.to), (standing, Seq(6), Seq(9)));
            assert_eq!((moved.next.committed_hash, moved.next.restored), (hash(9), false));
        }
    }

    #[test]
    fn nothing_else_moves_it() {
        let no_proof = [
            ack(DeviceId([2; 16]), 2, 9),
            ack(DEVICE, 1, 9),
            ack(DEVICE, 3, 9),
            ack(DEVICE, 2, 5),
            ack(DEVICE, 2, 4),
        ];
        for ack in &no_proof {
            assert_eq!(resume(&ledger(5), &request(2, 9), Some(ack)).moved, None);
        }
    }
}
