//! What comes late is found as if it had come at its time: random histories evaluated minute by minute,
//! and once at the end; planned stops, unknown ends, numbers beyond a limit.

use super::{told::Ward, *};
use crate::desk::{interim::Interim, notice::NotifyReason as N};
use tenken_common::{
    batch::Batch,
    category::Category,
    config::HumanDuration,
    id::{BootId, Epoch, RecId, Seq},
    observation::{Body, CheckResult, Class, Observation, Record, Sample},
    time::{ClockQuality, Moment, Monotonic},
    unit::Quantity,
};

const BAD: CheckState = CheckState::Critical;
const GOOD: CheckState = CheckState::Ok;

/// What a batch brings.
fn batch(told: impl IntoIterator<Item = (i64, &'static str, Body)>) -> Batch {
    let boot = BootId([1; 16]);
    let moment = |minute| Moment { boot, mono: Monotonic(0), wall: at(minute) };
    let record = |(minute, subject, body)| Record {
        id: RecId(0),
        observation: Observation {
            at: moment(minute),
            category: Category::Performance,
            subject: name(subject),
            body,
        },
    };
    Batch {
        device: DeviceId([1; 16]),
        epoch: Epoch(1),
        seq: Seq(1),
        prev: Hash([0; 32]),
        at: moment(0),
        clock: ClockQuality::UNKNOWN,
        agent_version: String::new(),
        class: Class::Ordinary,
        records: told.into_iter().map(record).collect(),
        gaps: Vec::new(),
    }
}

fn result(state: CheckState) -> Body {
    Body::CheckResult(CheckResult { probe: name("services"), state })
}

/// One result a minute of the one service.
fn interim(told: &[(i64, CheckState)]) -> Interim {
    let mut interim = Interim::default();
    // Halves of it in the other order.
    let (first, second) = told.split_at(told.len() / 2);
    for part in [second, first] {
        let records = part.iter().map(|(minute, state)| (*minute, "pacs", result(*state)));
        interim.take(&batch(records), &BTreeSet::new());
    }
    interim.settled()
}

/// The device at `minute`, with what it told since.
pub(super) fn late(minute: i64, told: &[(i64, CheckState)]) -> DeviceInput {
    let (at_minute, state) = *told.last().unwrap();
    let mut device = DeviceInput { interim: interim(told), ..checked(1, at_minute, state) };
    device.last_received = Some(at(minute));
    device
}

fn of_service(desk: &Desk) -> Vec<&Incident> {
    let mut own: Vec<&Incident> =
        desk.incidents.values().filter(|i| i.rule.as_str() == "service-down").collect();
    own.sort_by_key(|i| i.first_seen);
    own
}

fn held(minutes: u64) -> Desk {
    let mut desk = Desk::new();
    desk.rules.unacknowledged = None;
    for rule in desk.rules.rules.iter_mut().filter(|r| r.id.as_str() == "service-down") {
        rule.hold = HumanDuration(Duration::from_mins(minutes));
    }
    desk
}

/// Stretches of minutes.
fn history() -> impl Strategy<Value = Vec<(CheckState, i64)>> {
    let state = prop::sample::select(vec![GOOD, BAD, CheckState::Warning]);
    let minutes = prop::sample::select(vec![1_i64, 2, 4, 5, 9, 30]);
    prop::collection::vec((state, minutes), 1..12)
}

proptest! {
    #[test]
    fn a_backlog_finds_what_an_undisturbed_run_finds(
        stretches in history(), hold in prop::sample::select(vec![0_u64, 3]),
    ) {
        let mut told = vec![(0, GOOD)];
        for (state, minutes) in stretches {
            for _ in 0..minutes {
                told.push((i64::try_from(told.len()).unwrap(), state));
            }
        }
        let end = i64::try_from(told.len()).unwrap();
        let (mut undisturbed, mut delayed) = (held(hold), held(hold));
        delayed.run(0, &[checked(1, 0, GOOD)], &[]);
        let mut before = told[0];
        for now in &told {
            // Once more just before it comes, as evaluations are much closer than results.
            for seen in [before, *now] {
                undisturbed.run(now.0, &[late(now.0, &[seen])], &[]);
            }
            before = *now;
        }
        undisturbed.run(end, &[late(end, &[before])], &[]);
        delayed.run(end, &[late(end, &told[1..])], &[]);
        // Whatever is still there is known now, and what is over has passed for good.
        for later in end..end + 200 {
            for desk in [&mut undisturbed, &mut delayed] {
                desk.run(later, &[late(later, &[(later, GOOD)])], &[]);
            }
        }
        let (then, now) = (of_service(&undisturbed), of_service(&delayed));
        prop_assert_eq!(then.is_empty(), now.is_empty(), "{:#?} {:#?}", then, now);
        prop_assert!(now.len() <= 1);
        if let (Some(first), Some(found)) = (then.first(), now.first()) {
            // It is named by when it was there first.
            prop_assert_eq!(first.id, found.id);
            // What is there again at the end continues what was there before, without waiting.
            let again = told.last().map(|(_, state)| *state) != Some(GOOD);
            let worst = then.iter().map(|i| i.worst).max().unwrap();
            // One that flaps rests longer, and what comes in that time belongs to it.
            let flaps = then.iter().any(|i| i.is_flapping());
            let fits = found.worst == worst || (again && found.worst > worst) || flaps;
            prop_assert!(fits, "{:#?} {:#?}", then, found);
            prop_assert_eq!(delayed.reasons(), [N::Opened, N::Recovered]);
            prop_assert!(!found.is_open());
        }
    }
}

#[test]
fn what_was_over_before_it_was_known_says_so_and_is_told_once() {
    let mut desk = held(0);
    desk.run(0, &[checked(1, 0, GOOD)], &[]);
    let told: Vec<(i64, CheckState)> =
        (1..=540).map(|m| (m, if (100..160).contains(&m) { BAD } else { GOOD })).collect();
    desk.run(540, &[late(540, &told)], &[]);
    let found = of_service(&desk)[0];
    assert_eq!((found.first_seen, found.over, found.last_seen), (at(100), Some(at(160)), at(159)));
    assert_eq!(found.last(Step::Detected), Some(at(540)), "nobody could know before");
    let (ja, en) = (&found.finding.ja, &found.finding.en);
    assert!(en.contains("known late") && en.contains("it was over at"), "{en}");
    assert!(ja.contains("遅れて届いた") && ja.contains("解消していました"), "{ja}");
    // The same again, as after a crash, is nothing new.
    desk.run(540, &[late(540, &told)], &[]);
    for minute in 541..560 {
        desk.run(minute, &[late(minute, &[(minute, GOOD)])], &[]);
    }
    assert_eq!(desk.reasons(), [N::Opened, N::Recovered]);
}

#[test]
fn what_is_still_there_is_told_from_when_it_began() {
    let mut desk = held(30);
    desk.run(0, &[checked(1, 0, GOOD)], &[]);
    let told: Vec<(i64, CheckState)> = (1..=540).map(|m| (m, if m < 500 { GOOD } else { BAD })).collect();
    desk.run(540, &[late(540, &told)], &[]);
    let found = of_service(&desk)[0];
    assert_eq!((found.first_seen, found.over), (at(500), None));
    assert!(!found.finding.en.contains("late"), "{}", found.finding.en);
}

#[test]
fn of_alarms_that_come_before_the_rest_the_end_is_not_known_yet() {
    let mut desk = held(0);
    desk.run(0, &[checked(1, 0, GOOD)], &[]);
    let alarms: Vec<(i64, CheckState)> = (100..160).map(|m| (m, BAD)).collect();
    desk.run(540, &[late(540, &alarms)], &[]);
    let found = of_service(&desk)[0];
    assert_eq!((found.first_seen, found.over), (at(100), None));
    assert!(found.finding.en.contains("how it is now is not known"), "{}", found.finding.en);
    let rest: Vec<(i64, CheckState)> = (160..=541).map(|m| (m, GOOD)).collect();
    for minute in 541..560 {
        desk.run(minute, &[late(minute, if minute == 541 { &rest } else { &[(560, GOOD)] })], &[]);
    }
    assert_eq!(desk.reasons(), [N::Opened, N::Recovered]);
}

#[test]
fn a_worse_time_of_an_open_incident_is_told() {
    let mut desk = held(0);
    desk.run(0, &[checked(1, 0, CheckState::Warning)], &[]);
    let first = of_service(&desk)[0].severity;
    let states = [BAD, CheckState::Warning].into_iter().cycle();
    let told: Vec<(i64, CheckState)> = (1..=20).zip(states).collect();
    desk.run(20, &[late(20, &told)], &[]);
    let found = of_service(&desk)[0];
    assert!(found.severity > first && found.is_open());
    assert_eq!(desk.reasons(), [N::Opened, N::Escalated]);
}

#[test]
fn of_what_began_and_ended_within_a_planned_stop_nothing_is_sent_later_either() {
    for (until, is_told) in [("09-24T09:50", false), ("09-24T10:10", true)] {
        let mut ward = Ward::new(Some(("09-24T09:00", "09-24T10:00")));
        ward.run("09-24T08:50".."09-24T08:51", GOOD, &[]);
        let (from, to, now) = ("09-24T09:10", until, "09-24T14:00");
        ward.run_late(from..to, now);
        ward.run("09-24T14:01".."09-24T14:30", GOOD, &[]);
        let own = of_service(&ward.desk);
        assert_eq!(own.len(), 1);
        assert_eq!(!ward.told().is_empty(), is_told, "{until}: {:?}", own[0].decisions);
    }
}

#[test]
fn a_number_that_was_beyond_its_limit_for_long_enough_is_found() {
    let numbers = rules().numbers();
    for (minutes, is_found) in [(3, false), (8, true)] {
        let sample = |quantity, value| Quantity::new(name(quantity), Unit::Celsius, value).unwrap();
        let told = (1..=540).map(|m| {
            let celsius = if (100..100 + minutes).contains(&m) { 99.0 } else { 50.0 };
            let quantities = vec![sample("celsius", celsius), sample("critical_celsius", 95.0)];
            (m, "cpu", Body::Sample(Sample { probe: name("sensors"), quantities }))
        });
        let mut interim = Interim::default();
        interim.take(&batch(told), &numbers);
        let mut desk = Desk::new();
        desk.run(540, &[DeviceInput { interim, ..device(1, 540) }], &[]);
        let found: Vec<&Incident> = desk.incidents.values().collect();
        assert_eq!(found.len(), usize::from(is_found), "{found:#?}");
        if is_found {
            assert_eq!((found[0].first_seen, found[0].over), (at(100), None));
            assert!(found[0].finding.en.contains("99.0"), "{}", found[0].finding.en);
        }
    }
}
