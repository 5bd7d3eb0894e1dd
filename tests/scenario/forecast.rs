//! A disk fills, from its series to the notice, on time of its own. The noise is seeded.

use std::{collections::BTreeMap, time::Duration};
use tenken_collector_core::{
    desk::{care::Cares, incident::Incident, notice::Notice, rule::RuleSet},
    evaluation::{DeviceInput, Evaluation, EvaluationInput, Identity, evaluate},
    intake::device_state::{Stretch, Uptime},
    predict::{
        forecast::{Outcome, Refusal},
        series::{Series, SeriesKey},
    },
};
use tenken_common::{
    id::{DeviceId, HospitalId, Name},
    time::Timestamp,
    unit::Unit,
};

const GIB: f64 = 1_073_741_824.0;
const RULES: &str = include_str!("../../packaging/rules/default.toml");
const MINUTE: Duration = Duration::from_secs(60);
const DAY: i64 = 1_440;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + minutes * 60)
}

/// From -1 to 1, the same for a seed (splitmix64).
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap()) / f64::from(u32::MAX) * 2.0 - 1.0
    }
}

/// What a collector keeps between its ticks.
struct Watch {
    rules: RuleSet,
    last: Evaluation,
    incidents: BTreeMap<u64, Incident>,
    notices: Vec<Notice>,
}

impl Watch {
    fn new() -> Self {
        let rules = RuleSet::parse(RULES).unwrap();
        Self { rules, last: Evaluation::default(), incidents: BTreeMap::new(), notices: Vec::new() }
    }

    /// One evaluation with what was free on `/data` (minute, GiB) up to then.
    fn tick(&mut self, minute: i64, free: &[(i64, f64)]) -> Outcome {
        let name = |text| Name::new(text).unwrap();
        let device = DeviceId([7; 16]);
        let (probe, quantity) = (name("disk"), name("available_bytes"));
        let key = SeriesKey { device, subject: name("/data"), probe, quantity };
        let points = free.iter().filter(|(m, _)| *m <= minute).map(|(m, gib)| (at(*m), gib * GIB));
        let devices = [DeviceInput {
            device,
            hospital: HospitalId(name("minato")),
            label: name("ct-1"),
            group: None,
            identity: Identity::default(),
            expected_interval: MINUTE,
            last_received: Some(at(minute)),
            clock: None,
            forecasts_due: true,
            series: vec![Series::new(key, Unit::Bytes, points)],
            checks: vec![],
            anomalies: vec![],
            facts: vec![],
            interim: tenken_collector_core::desk::interim::Interim::default(),
            calendar: std::sync::Arc::default(),
        }];
        let incidents: Vec<Incident> = self.incidents.values().cloned().collect();
        self.last = evaluate(&EvaluationInput {
            as_of: at(minute),
            rules: &self.rules,
            uptime: &Uptime::new([Stretch { from: at(-DAY * 40), to: at(minute) }]),
            devices: &devices,
            conditions: &self.last.conditions,
            incidents: &incidents,
            cares: &Cares::new(),
            silences: &[],
            actions: &[],
            predictions: &[],
        });
        self.incidents.extend(self.last.incidents.iter().map(|i| (i.id.0, i.clone())));
        self.notices.extend(self.last.notices.iter().cloned());
        self.last.forecasts.iter().find(|f| f.rule.as_str() == "disk-filling").unwrap().outcome
    }
}

#[test]
fn a_steady_fill_is_told_at_half_time_with_its_day() {
    for seed in [1, 2, 3, 4, 5] {
        let mut noise = noise(seed);
        // 100 GiB in twenty days, every ten minutes, half a GiB of noise.
        let free: Vec<(i64, f64)> = (0..=11 * DAY / 10)
            .map(|step| step * 10)
            .map(|minute| {
                (
                    minute,
                    100.0 - 5.0 * at(minute).saturating_since(at(0)).as_secs_f64() / 86_400.0 + 0.5 * noise(),
                )
            })
            .collect();
        let mut watch = Watch::new();
        let outcome = watch.tick(10 * DAY, &free);
        let Outcome::Crossing(crossing) = outcome else { panic!("seed {seed}: {outcome:?}") };
        let days = crossing.at.saturating_since(at(10 * DAY)).as_secs_f64() / 86_400.0;
        assert!((9.0..=11.0).contains(&days), "seed {seed}: {days} days");
        assert!(crossing.low <= crossing.at && crossing.at <= crossing.high, "seed {seed}");
        assert!(
            crossing.low <= at(20 * DAY + DAY) && at(19 * DAY) <= crossing.high,
            "seed {seed}: {crossing:?}"
        );
        assert!(watch.notices.is_empty(), "seed {seed}: it has to hold");
        for later in 1..=60 {
            watch.tick(10 * DAY + later, &free);
        }
        let [notice] = watch.notices.as_slice() else { panic!("seed {seed}: {:?}", watch.notices) };
        assert_eq!((notice.rule.as_str(), notice.subject.as_str()), ("disk-filling", "/data"));
        assert!(notice.finding.ja.contains("予測日 2026-10-"), "seed {seed}: {}", notice.finding.ja);
    }
}

#[test]
fn a_burst_that_goes_back_alerts_nobody() {
    for seed in [11, 12, 13] {
        let mut noise = noise(seed);
        let burst = 3 * DAY..3 * DAY + 120;
        let free: Vec<(i64, f64)> = (0..=5 * DAY / 10)
            .map(|step| step * 10)
            .map(|minute| {
                let used = if burst.contains(&minute) {
                    20.0 * at(minute).saturating_since(at(burst.start)).as_secs_f64() / 7_200.0
                } else {
                    0.0
                };
                (minute, 50.0 - used + 0.2 * noise())
            })
            .collect();
        let mut watch = Watch::new();
        for step in 0..=DAY * 2 / 10 {
            let minute = 3 * DAY - 60 + step * 10;
            let outcome = watch.tick(minute, &free);
            assert!(matches!(outcome, Outcome::Refused(_)), "seed {seed}, minute {minute}: {outcome:?}");
        }
        assert!(watch.notices.is_empty() && watch.incidents.is_empty(), "seed {seed}: {:?}", watch.notices);
    }
}

#[test]
fn under_an_hour_of_history_has_no_day() {
    for seed in [21, 22, 23] {
        let mut noise = noise(seed);
        let free: Vec<(i64, f64)> = (0..60)
            .map(|minute| {
                (minute, 50.0 - 0.5 * at(minute).saturating_since(at(0)).as_secs_f64() / 60.0 + 0.1 * noise())
            })
            .collect();
        let mut watch = Watch::new();
        for minute in 15..60 {
            let outcome = watch.tick(minute, &free);
            assert!(
                matches!(outcome, Outcome::Refused(Refusal::TooShort { need_s: 3_600.., .. })),
                "seed {seed}, minute {minute}: {outcome:?}"
            );
        }
        assert!(watch.notices.is_empty() && watch.last.findings.is_empty(), "seed {seed}");
    }
}
