//! Tests of the pusher: steps and outcomes in the order of a device's day.

use super::*;
use tenken_common::{
    envelope::{Envelope, Payload},
    id::{DeviceId, Epoch, Hash, Nonce},
    key::SecretKey,
    time::Timestamp,
};

const DEVICE: DeviceId = DeviceId([1; 16]);

fn verified<T: Payload>(value: &T) -> Verified<T> {
    let key = SecretKey::from_seed(&[1; 32]);
    Envelope::seal(value, &key).unwrap().open(&key.public()).unwrap()
}

fn pusher() -> Pusher {
    let policy = PushPolicy {
        interval: Duration::from_secs(60),
        retry_first: Duration::from_secs(1),
        retry_max: Duration::from_secs(60),
        alarm_retry_max: ALARM_RETRY_MAX,
    };
    Pusher::new(policy, 7)
}

fn view(waiting: u64, urgent: u64, in_flight: u64) -> PushView {
    PushView { waiting, urgent, in_flight, acked_seq: Seq(3), awaiting_resume: false }
}

fn ack(seq: u64, need: Option<u64>) -> Verified<Ack> {
    verified(&Ack {
        device: DEVICE,
        epoch: Epoch(1),
        acked_seq: Seq(seq),
        hash: Hash::ZERO,
        server: Timestamp::EPOCH,
        echo_nonce: Nonce([0; 16]),
        position: 1,
        log_root: Hash::ZERO,
        retry_after_s: 0,
        need_seq: need.map(Seq),
    })
}

const NOW: Monotonic = Monotonic(1_000_000);

fn ready() -> Pusher {
    let mut p = pusher();
    p.on_outcome(NOW, &view(0, 0, 0), &Outcome::Resumed(Standing::InStep));
    p
}

#[test]
fn a_start_begins_with_resume() {
    assert_eq!(pusher().poll(NOW, &view(9, 9, 1)), PushStep::Resume);
}

#[test]
fn what_is_in_flight_goes_before_a_new_cut_and_urgent_does_not_wait() {
    let mut p = ready();
    assert_eq!(p.poll(NOW, &view(9, 0, 1)), PushStep::Send);
    assert_eq!(p.poll(NOW, &view(9, 0, 0)), PushStep::Cut);
    p.on_outcome(NOW, &view(9, 0, 0), &Outcome::Cut);
    assert_eq!(p.poll(NOW, &view(9, 0, 0)), PushStep::Wait(Duration::from_secs(60)));
    assert_eq!(p.poll(NOW, &view(9, 1, 0)), PushStep::Cut);
    p.hurry();
    assert_eq!(p.poll(NOW, &view(9, 0, 0)), PushStep::Cut);
    p.on_outcome(NOW, &view(9, 0, 0), &Outcome::Cut);
    assert_eq!(p.poll(NOW, &view(1_000, 0, 0)), PushStep::Cut);
    assert_eq!(p.poll(NOW, &view(0, 0, 0)), PushStep::Wait(Duration::from_secs(60)));
}

#[test]
fn failures_back_off_with_jitter_and_honour_retry_after_up_to_an_hour() {
    let mut p = ready();
    for _ in 0..20 {
        p.on_outcome(NOW, &view(1, 0, 1), &Outcome::Failed { retry_after: None });
        let PushStep::Wait(wait) = p.poll(NOW, &view(1, 0, 1)) else { panic!("must wait") };
        assert!(wait <= Duration::from_secs(61));
    }
    assert_eq!((p.failures(), p.failing_since()), (20, Some(NOW)));
    let day = Some(Duration::from_secs(86_400));
    p.on_outcome(NOW, &view(1, 0, 1), &Outcome::Failed { retry_after: day });
    let PushStep::Wait(wait) = p.poll(NOW, &view(1, 0, 1)) else { panic!("must wait") };
    assert!(wait >= Duration::from_secs(3_600) && wait <= Duration::from_secs(3_661));
    p.on_outcome(NOW, &view(1, 0, 1), &Outcome::Acked(&ack(4, None)));
    assert_eq!((p.poll(NOW, &view(1, 0, 1)), p.failing_since()), (PushStep::Send, None));
}

#[test]
fn a_collector_that_is_ahead_or_behind_stops_delivery_and_nothing_is_dropped() {
    for (outcome, halt) in [
        (Outcome::Resumed(Standing::DeviceBehind), Halt::DeviceBehind),
        (Outcome::Resumed(Standing::CollectorBehind), Halt::CollectorBehind),
        (Outcome::OtherEpoch, Halt::OtherEpoch),
    ] {
        let mut p = pusher();
        let effect = p.on_outcome(NOW, &view(1, 0, 2), &outcome);
        assert_eq!((effect, p.halted()), (PushEffect::None, Some(halt)));
        let later = NOW.plus(Duration::from_secs(3_600));
        assert_eq!(p.poll(later, &view(1, 0, 2)), PushStep::Resume, "asks again after an hour");
    }
}

fn reject(reason: u8) -> Verified<Reject> {
    verified(&Reject {
        device: DEVICE,
        epoch: Epoch(1),
        seq: Seq(4),
        hash: Hash::ZERO,
        reason,
        server: Timestamp::EPOCH,
        echo_nonce: Nonce([0; 16]),
    })
}

#[test]
fn a_poisoned_batch_becomes_a_stub_and_every_other_reject_halts() {
    let poison = [RejectReason::TooLarge, RejectReason::Malformed, RejectReason::BadContent];
    for reason in RejectReason::ALL {
        for batch in [true, false] {
            let mut p = ready();
            let reject = reject(reason.code());
            let effect = p.on_outcome(NOW, &view(0, 0, 1), &Outcome::Rejected { reject: &reject, batch });
            if batch && poison.contains(&reason) {
                assert_eq!((effect, p.halted()), (PushEffect::Stub(GapReason::Refused), None));
                assert_eq!(p.poll(NOW, &view(0, 0, 1)), PushStep::Send);
            } else {
                let halt = Some(Halt::Rejected(reason));
                assert_eq!((effect, p.halted()), (PushEffect::None, halt));
            }
        }
    }
    let (mut p, unknown) = (ready(), reject(99));
    p.on_outcome(NOW, &view(0, 0, 1), &Outcome::Rejected { reject: &unknown, batch: true });
    assert_eq!(p.halted(), Some(Halt::RejectedUnknown(99)));
}

#[test]
fn a_spool_that_lost_its_state_is_asked_for_before_anything_else() {
    let waiting = PushView { awaiting_resume: true, ..view(5, 1, 1) };
    assert_eq!(ready().poll(NOW, &waiting), PushStep::Resume);
}

#[test]
fn an_outage_is_told_once_with_its_failures() {
    let mut p = ready();
    let failed = Outcome::Failed { retry_after: None };
    let later = |s| NOW.plus(Duration::from_secs(s));
    for at in [0, 10, 20] {
        p.on_outcome(later(at), &view(1, 0, 1), &failed);
    }
    assert_eq!(p.take_outage(), None);
    p.on_outcome(later(30), &view(1, 0, 1), &Outcome::Acked(&ack(4, None)));
    let outage = Outage { lasted: Duration::from_secs(30), failures: 3 };
    assert_eq!((p.take_outage(), p.take_outage()), (Some(outage), None));
    p.on_outcome(later(60), &view(1, 0, 1), &failed);
    p.on_outcome(later(61), &view(1, 0, 2), &Outcome::Acked(&ack(5, None)));
    let outage = Outage { lasted: Duration::from_secs(1), failures: 1 };
    assert_eq!((p.take_outage(), p.failures()), (Some(outage), 4));
}

#[test]
fn an_old_acknowledgement_is_no_recovery_and_leads_to_no_busy_loop() {
    let mut p = ready();
    p.on_outcome(NOW, &view(0, 0, 1), &Outcome::Failed { retry_after: None });
    p.on_outcome(NOW, &view(0, 0, 1), &Outcome::Acked(&ack(3, None)));
    assert!(matches!(p.poll(NOW, &view(0, 0, 1)), PushStep::Wait(_)));
    assert!(p.failing_since().is_some() && p.take_outage().is_none());
}

#[test]
fn an_answer_beyond_the_own_chain_leads_to_a_resume_and_not_to_a_busy_loop() {
    let mut p = ready();
    p.on_outcome(NOW, &view(0, 0, 1), &Outcome::Acked(&ack(5, None)));
    let PushStep::Wait(wait) = p.poll(NOW, &view(0, 0, 1)) else { panic!("must wait") };
    assert_eq!(p.poll(NOW.plus(wait), &view(0, 0, 1)), PushStep::Resume);
}

#[test]
fn another_chain_s_acknowledgement_within_the_own_links_leads_to_a_resume() {
    for (links, step) in [(0, PushStep::Resume), (1, PushStep::Send)] {
        let (mut p, flight) = (ready(), view(0, 0, 2));
        assert_eq!(p.on_outcome(NOW, &flight, &Outcome::Acked(&ack(4, None))), PushEffect::Release);
        p.on_released(NOW, &flight, &ack(4, None), links);
        let at = match p.poll(NOW, &flight) {
            PushStep::Wait(wait) => NOW.plus(wait),
            PushStep::Resume | PushStep::Cut | PushStep::Send => NOW,
        };
        assert_eq!((p.poll(at, &flight), at > NOW), (step, links == 0));
    }
}

#[test]
fn a_hole_is_sent_again_and_a_deeper_one_asks_for_resume() {
    for (acked, need, step) in [(3, 4, PushStep::Send), (1, 2, PushStep::Resume)] {
        let mut p = ready();
        p.on_outcome(NOW, &view(0, 0, 2), &Outcome::Acked(&ack(acked, Some(need))));
        let PushStep::Wait(wait) = p.poll(NOW, &view(0, 0, 2)) else { panic!("must wait") };
        assert_eq!(p.poll(NOW.plus(wait), &view(0, 0, 2)), step);
    }
}

#[test]
fn an_alarm_waits_seconds_after_a_long_outage_unless_patience_is_asked_for() {
    let mut p = pusher();
    let failed = Outcome::Failed { retry_after: None };
    let wait = |p: &Pusher, view| {
        let PushStep::Wait(wait) = p.poll(NOW, &view) else { panic!("must wait") };
        wait
    };
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        p.on_outcome(NOW, &view(9, 0, 0), &failed);
        assert!(wait(&p, view(9, 1, 0)) <= ALARM_RETRY_MAX, "also one that comes during the wait");
        longest = longest.max(wait(&p, view(9, 0, 0)));
    }
    assert!(longest > 10 * ALARM_RETRY_MAX, "{longest:?}");
    p.on_outcome(NOW, &view(9, 1, 0), &Outcome::Failed { retry_after: Some(Duration::from_mins(5)) });
    assert!(wait(&p, view(9, 1, 0)) >= Duration::from_mins(5));
}

#[test]
fn an_alarm_in_flight_is_one_that_is_not_delivered() {
    let mut p = ready();
    let longest = |p: &mut Pusher, urgent| {
        p.on_outcome(NOW, &view(9, urgent, 0), &Outcome::Cut);
        let waits = (0..50).map(|_| {
            p.on_outcome(NOW, &view(9, 0, 1), &Outcome::Failed { retry_after: None });
            let PushStep::Wait(wait) = p.poll(NOW, &view(9, 0, 1)) else { panic!("must wait") };
            wait
        });
        waits.max().unwrap()
    };
    assert!(longest(&mut p, 1) <= ALARM_RETRY_MAX);
    p.on_outcome(NOW, &view(9, 0, 1), &Outcome::Acked(&ack(4, None)));
    assert!(longest(&mut p, 0) > 10 * ALARM_RETRY_MAX);
}
