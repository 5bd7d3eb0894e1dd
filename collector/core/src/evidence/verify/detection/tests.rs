//! Only what must have been detected is told: a check counts once it was good for long enough, in each of
//! its results and not only in the newest.

use super::*;
use tenken_common::{
    category::Category,
    enrollment::HostFacts,
    id::{BootId, Epoch, Hash, RecId, Seq, SlotId},
    observation::{CheckResult, Class, Observation, Record},
    time::{ClockQuality, Moment, Monotonic},
};

const RULES: &str = include_str!("../../../../../../packaging/rules/default.toml");
const BAD: CheckState = CheckState::Critical;
const GOOD: CheckState = CheckState::Ok;
const DEVICE: DeviceId = DeviceId([1; 16]);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + seconds)
}

/// A centre that evaluates every minute.
struct Centre {
    detector: Detector,
    heartbeats: HeartbeatRuns,
    minute: i64,
}

impl Centre {
    fn new() -> Self {
        let mut detector = Detector::default();
        detector.use_rules(RULES);
        detector.enroll(&Enrolled {
            slot: SlotId([1; 16]),
            hospital: HospitalId(name("minato")),
            device: DEVICE,
            label: name("ct-1"),
            group: None,
            device_key: vec![],
            facts: HostFacts {
                os: name("linux"),
                arch: name("x86_64"),
                agent_version: name("0.1.0"),
                machine: Hash([0; 32]),
            },
            grant: vec![],
        });
        detector.approve(DEVICE);
        let minute = Duration::from_mins(1);
        Self { detector, heartbeats: HeartbeatRuns::new(minute, 3 * minute), minute: 0 }
    }

    /// What comes in the next minute, its results evenly over it.
    fn tell(&mut self, states: &[CheckState]) {
        let (begin, boot) = (self.minute * 60, BootId([1; 16]));
        self.minute += 1;
        let moment = |second| Moment { boot, mono: Monotonic(0), wall: at(second) };
        let apart = 60 / i64::try_from(states.len()).unwrap();
        let records = (0..).zip(states).map(|(i, state)| {
            let body = Body::CheckResult(CheckResult { probe: name("services"), state: *state });
            let (category, subject) = (Category::Service, name("pacs"));
            let observation = Observation { at: moment(begin + i * apart), category, subject, body };
            Record { id: RecId(0), observation }
        });
        let batch = Batch {
            device: DEVICE,
            epoch: Epoch(1),
            seq: Seq(1),
            prev: Hash([0; 32]),
            at: moment(begin),
            clock: ClockQuality::UNKNOWN,
            agent_version: String::new(),
            class: Class::Ordinary,
            records: records.collect(),
            gaps: Vec::new(),
        };
        let now = at(self.minute * 60);
        self.detector.take(&batch, now);
        self.heartbeats.push(now);
        self.detector.tick(now, &self.heartbeats);
    }

    fn good_for(&mut self, minutes: i64) {
        (0..minutes).for_each(|_| self.tell(&[GOOD]));
    }
}

#[test]
fn a_check_that_was_bad_between_two_ticks_was_not_good_for_long_enough() {
    let mut centre = Centre::new();
    centre.good_for(60);
    centre.tell(&[BAD, GOOD]);
    centre.good_for(65);
    // It may continue an incident of the second hour, which nobody knows here.
    centre.tell(&[BAD]);
    assert_eq!(centre.detector.incidents(), []);
    centre.good_for(180);
    assert_eq!(centre.detector.incidents(), []);
    centre.tell(&[BAD, GOOD]);
    let found = centre.detector.incidents();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].rule.as_str(), found[0].first_seen), ("service-down", at(60 * 307)));
}
