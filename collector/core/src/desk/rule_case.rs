//! Tests of rules, as data beside them: what a device shows, and which findings there have to be.
//!
//! Holds: a case is judged by the production code, anomalies through the detector that a collector
//! has. All findings of a case have to be named by it, so that a rule that says too much fails as one
//! that says nothing. Holds count as passed, and what is shown ends at one instant ([`AS_OF`]).
//!
//! Does not: test how incidents go on, or whom a notice reaches.

mod said;

pub use said::{ShownPatches, ShownPatternFile};

use super::{care::Cares, finding::Finding, interim::Interim, notice::Severity, rule::RuleSet};
use crate::{
    evaluation::{CheckInput, ClockReading, DeviceInput, EvaluationInput, FactInput, Identity, evaluate},
    intake::{
        device_state::{Stretch, Uptime},
        ledger::QuarantineReason,
    },
    predict::{
        series::{Point, Series, SeriesKey},
        watch::{Noted, Watch},
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tenken_common::{
    batch::Batch,
    category::Category,
    config::{Check, HumanDuration, Problems, parse},
    fact::{Fact, WearCounter, WearDirection},
    id::{BootId, DeviceId, Epoch, Hash, HospitalId, Name, RecId, Seq},
    observation::{Body, CheckState, Class, Observation, Record, Sample},
    time::{ClockQuality, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
};

/// When every case ends: Tuesday, 1 September 2026, 12:00 in Japan.
pub const AS_OF: Timestamp = Timestamp::from_secs(1_788_231_600);
/// Points of one series.
const POINTS_MAX: usize = 100_000;
const DEVICE: DeviceId = DeviceId([1; 16]);

/// A file of cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleCases {
    #[serde(default, rename = "case")]
    pub cases: Vec<RuleCase>,
}

/// One case: a device, and what is found of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleCase {
    pub name: String,
    #[serde(default)]
    pub series: Vec<ShownSeries>,
    #[serde(default)]
    pub part: Vec<ShownPart>,
    #[serde(default)]
    pub check: Vec<ShownCheck>,
    #[serde(default)]
    pub pattern_file: Vec<ShownPatternFile>,
    #[serde(default)]
    pub patches: Vec<ShownPatches>,
    #[serde(default)]
    pub group: Option<Name>,
    /// By how much its clock is off.
    #[serde(default)]
    pub clock_off: HumanDuration,
    /// How long nothing was heard of it.
    #[serde(default)]
    pub silent_for: HumanDuration,
    /// Other devices of its hospital that were heard last when it was.
    #[serde(default)]
    pub companions: u8,
    /// Whether it is in quarantine for a second chain.
    #[serde(default)]
    pub quarantined: bool,
    /// All that is found, in any order; nothing where it is empty.
    #[serde(default)]
    pub expect: Vec<Expected>,
}

/// A number that goes from one value to another on a line, with bumps and steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownSeries {
    pub probe: Name,
    #[serde(default = "device")]
    pub subject: Name,
    pub quantity: Name,
    pub unit: Unit,
    /// How far back it goes, and how far its points are apart.
    pub over: HumanDuration,
    pub every: HumanDuration,
    pub from: f64,
    pub to: f64,
    /// How far points scatter around the line, evenly and the same in every run.
    #[serde(default)]
    pub scatter: f64,
    /// The newest point is so old.
    #[serde(default)]
    pub age: HumanDuration,
    #[serde(default)]
    pub bump: Vec<Bump>,
}

/// What lies on top for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bump {
    /// How long ago it began.
    pub ago: HumanDuration,
    pub lasts: HumanDuration,
    pub by: f64,
}

/// The counter of a part, whose numbers are the series of the same probe, subject and quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownPart {
    pub probe: Name,
    pub subject: Name,
    pub quantity: Name,
    #[serde(default)]
    pub rated_life: Option<f64>,
    pub direction: WearDirection,
}

/// A judgement of the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownCheck {
    pub probe: Name,
    #[serde(default = "device")]
    pub subject: Name,
    pub state: CheckState,
    #[serde(default)]
    pub age: HumanDuration,
}

/// One finding that has to be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub rule: Name,
    /// Any, where it is not named.
    #[serde(default)]
    pub subject: Option<Name>,
    #[serde(default)]
    pub severity: Option<Severity>,
    /// What its text says, in one of the languages at least.
    #[serde(default)]
    pub says: Vec<String>,
}

fn device() -> Name {
    Name::of_outside("device")
}

impl RuleCases {
    /// All problems of a file at once, with their key paths.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        parse(text)
    }

    /// What is not as it should be, of every case by its place.
    pub fn run(&self, rules: &RuleSet) -> Vec<Vec<String>> {
        let mut at_once = rules.clone();
        for rule in &mut at_once.rules {
            rule.hold = HumanDuration::default();
        }
        self.cases.iter().map(|case| case.run(&at_once)).collect()
    }
}

impl Check for RuleCases {
    fn check(&self, problems: &mut Problems) {
        let mut names = BTreeSet::new();
        if self.cases.is_empty() {
            problems.push("case", "there is none, so nothing would be tested");
        }
        for (i, case) in self.cases.iter().enumerate() {
            if !names.insert(&case.name) {
                problems.push(format!("case.{i}.name"), format!("`{}` stands twice", case.name));
            }
            for (n, series) in case.series.iter().enumerate() {
                let key = format!("case.{i}.series.{n}");
                let steps = series.over.0.as_secs_f64() / series.every.0.as_secs_f64();
                if series.every.0.is_zero() {
                    problems.push(format!("{key}.every"), "must be longer than nothing");
                } else if steps > crate::predict::forecast::candidate::count(POINTS_MAX) {
                    problems.push(format!("{key}.over"), format!("makes more than {POINTS_MAX} points"));
                }
                if ![series.from, series.to, series.scatter].iter().all(|v| v.is_finite()) {
                    problems.push(key, "needs finite numbers");
                }
            }
            for (n, part) in case.part.iter().enumerate() {
                if part.shown(case).is_none() {
                    problems.push(
                        format!("case.{i}.part.{n}"),
                        "has no series of its probe, subject and quantity",
                    );
                }
            }
        }
    }
}

impl RuleCase {
    fn run(&self, rules: &RuleSet) -> Vec<String> {
        let devices = self.devices(rules);
        let uptime = Uptime::new([Stretch { from: AS_OF.minus(Duration::from_hours(24 * 400)), to: AS_OF }]);
        let found = evaluate(&EvaluationInput {
            as_of: AS_OF,
            rules,
            uptime: &uptime,
            devices: &devices,
            cares: &Cares::new(),
            conditions: &[],
            incidents: &[],
            silences: &[],
            actions: &[],
            predictions: &[],
        });
        self.compare(found.findings)
    }

    fn compare(&self, mut found: Vec<Finding>) -> Vec<String> {
        let mut problems = Vec::new();
        for expected in &self.expect {
            match found.iter().position(|finding| expected.is_met(finding)) {
                Some(place) => drop(found.remove(place)),
                None => problems.push(format!("not found: {}", expected.text())),
            }
        }
        let too_much = |f: &Finding| {
            format!("not expected: {} {} {}: {}", f.rule, f.subject, f.severity.as_str(), f.finding.en)
        };
        problems.extend(found.iter().map(too_much));
        problems
    }

    /// The device that is shown, and its companions.
    fn devices(&self, rules: &RuleSet) -> Vec<DeviceInput> {
        let shown = self.device(rules);
        let companions = (0..self.companions).map(|n| DeviceInput {
            device: DeviceId([n.saturating_add(2); 16]),
            label: Name::of_outside(&format!("companion-{n}")),
            series: Vec::new(),
            checks: Vec::new(),
            anomalies: Vec::new(),
            facts: Vec::new(),
            clock: None,
            identity: Identity::default(),
            ..shown.clone()
        });
        let companions: Vec<DeviceInput> = companions.collect();
        [shown].into_iter().chain(companions).collect()
    }

    fn facts(&self) -> Vec<FactInput> {
        let parts = self.part.iter().filter_map(|part| part.shown(self));
        let pattern_files = self.pattern_file.iter().map(ShownPatternFile::shown);
        parts.chain(pattern_files).chain(self.patches.iter().map(ShownPatches::shown)).collect()
    }

    fn device(&self, rules: &RuleSet) -> DeviceInput {
        let series: Vec<Series> = self.series.iter().map(ShownSeries::series).collect();
        let anomalies = anomalies(rules, &series);
        let check = |c: &ShownCheck| {
            let (probe, subject, at) = (c.probe.clone(), c.subject.clone(), AS_OF.minus(c.age.0));
            CheckInput { probe, subject, state: c.state, at }
        };
        DeviceInput {
            device: DEVICE,
            hospital: HospitalId(Name::of_outside("hospital")),
            label: device(),
            group: self.group.clone(),
            identity: Identity {
                quarantined: self.quarantined.then_some((AS_OF, QuarantineReason::Fork)),
                clone_suspected: None,
            },
            expected_interval: Duration::from_mins(1),
            last_received: Some(AS_OF.minus(self.silent_for.0)),
            clock: Some(ClockReading { offset_s: self.clock_off.0.as_secs_f64(), uncertainty_s: 0.0 }),
            forecasts_due: true,
            checks: self.check.iter().map(check).collect(),
            facts: self.facts(),
            interim: Interim::default(),
            calendar: Arc::default(),
            series,
            anomalies,
        }
    }
}

/// What the detectors say of all that is shown.
fn anomalies(rules: &RuleSet, series: &[Series]) -> Vec<Noted> {
    let watched = rules.watched();
    let (boot, mut records) = (BootId([1; 16]), Vec::new());
    for one in series {
        for (wall, value) in one.points() {
            let quantity = Quantity { name: one.key.quantity.clone(), unit: one.unit, value: *value };
            let body = Body::Sample(Sample { probe: one.key.probe.clone(), quantities: vec![quantity] });
            let at = Moment { boot, mono: Monotonic(0), wall: *wall };
            let subject = one.key.subject.clone();
            let observation = Observation { at, category: Category::Performance, subject, body };
            records.push(Record { id: RecId(0), observation });
        }
    }
    let batch = Batch {
        device: DEVICE,
        epoch: Epoch(1),
        seq: Seq(1),
        prev: Hash([0; 32]),
        at: Moment { boot, mono: Monotonic(0), wall: AS_OF },
        clock: ClockQuality::UNKNOWN,
        agent_version: String::new(),
        class: Class::Ordinary,
        records,
        gaps: Vec::new(),
    };
    let mut noted: Vec<Noted> = Vec::new();
    for mut anomaly in Watch::default().take(&watched, &batch, AS_OF) {
        anomaly.committed = anomaly.at;
        for (rule, when) in rules.anomalies() {
            let key = &anomaly.key;
            if when.watch.iter().any(|w| w.takes(&key.probe, &key.quantity)) {
                let before = noted.iter().rfind(|n| n.rule == rule.id).map(|n| (n.began, n.anomaly.at));
                noted.push(Noted::after(before, &rule.id, when.together.0, anomaly.clone()));
            }
        }
    }
    noted
}

impl ShownSeries {
    fn series(&self) -> Series {
        let key = SeriesKey {
            device: DEVICE,
            subject: self.subject.clone(),
            probe: self.probe.clone(),
            quantity: self.quantity.clone(),
        };
        Series::new(key, self.unit, self.points())
    }

    fn points(&self) -> Vec<Point> {
        let (over, every) = (self.over.0.as_secs_f64(), self.every.0.as_secs_f64());
        let mut state: u64 = 1;
        let mut points = Vec::new();
        let mut back = 0.0;
        while back <= over && points.len() <= POINTS_MAX {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let drawn = f64::from(u32::try_from(state >> 33).unwrap_or(0)) / f64::from(1_u32 << 31);
            let at = AS_OF.minus(self.age.0).minus(Duration::from_secs_f64(back));
            let part = if over > 0.0 { back / over } else { 0.0 };
            let bumps = self.bump.iter().filter(|b| {
                let began = AS_OF.minus(b.ago.0);
                began <= at && at < began.plus(b.lasts.0)
            });
            let bumped: f64 = bumps.map(|b| b.by).sum();
            let value = self.to + (self.from - self.to) * part + self.scatter * (2.0 * drawn - 1.0) + bumped;
            points.push((at, value));
            back += every;
        }
        points
    }
}

impl ShownPart {
    fn shown(&self, case: &RuleCase) -> Option<FactInput> {
        let own = |s: &&ShownSeries| {
            (&s.probe, &s.subject, &s.quantity) == (&self.probe, &self.subject, &self.quantity)
        };
        let series = case.series.iter().find(own)?;
        let value = Quantity { name: self.quantity.clone(), unit: series.unit, value: series.to };
        let (probe, rated_life, direction) = (self.probe.clone(), self.rated_life, self.direction);
        let counter = WearCounter { probe, value, rated_life, direction };
        let subject = self.subject.clone();
        Some(FactInput { subject, at: AS_OF, fact: Fact::WearCounter(counter) })
    }
}

impl Expected {
    fn is_met(&self, f: &Finding) -> bool {
        self.rule == f.rule
            && self.subject.as_ref().is_none_or(|subject| *subject == f.subject)
            && self.severity.is_none_or(|severity| severity == f.severity)
            && self.says.iter().all(|part| f.finding.ja.contains(part) || f.finding.en.contains(part))
    }

    fn text(&self) -> String {
        let subject = self.subject.as_ref().map_or("", Name::as_str);
        let severity = self.severity.map_or("", Severity::as_str);
        let says = if self.says.is_empty() { String::new() } else { format!(" that says {:?}", self.says) };
        format!("{} {subject} {severity}{says}", self.rule).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = include_str!("../../../../packaging/rules/default.toml");
    const CASES: &str = include_str!("../../../../packaging/rules/default.test.toml");

    #[test]
    fn the_shipped_rules_pass_their_cases_and_every_rule_has_one() {
        let rules = RuleSet::parse(RULES).unwrap();
        let cases = RuleCases::parse(CASES).unwrap_or_else(|p| panic!("{p:#?}"));
        for (case, problems) in cases.cases.iter().zip(cases.run(&rules)) {
            assert!(problems.is_empty(), "{}: {problems:#?}", case.name);
        }
        let tested: BTreeSet<&Name> =
            cases.cases.iter().flat_map(|c| c.expect.iter().map(|e| &e.rule)).collect();
        let all: BTreeSet<&Name> = rules.rules.iter().map(|rule| &rule.id).collect();
        assert_eq!(tested, all);
    }

    #[test]
    fn a_rule_that_says_too_much_or_nothing_fails() {
        let cases = RuleCases::parse(CASES).unwrap();
        let failed = |rules: &str| -> usize {
            cases.run(&RuleSet::parse(rules).unwrap()).iter().filter(|problems| !problems.is_empty()).count()
        };
        assert_eq!(failed(RULES), 0);
        assert!(failed(&RULES.replace("limit = { value = 0.0 }", "limit = { value = -1e15 }")) >= 1);
        assert!(
            failed(&RULES.replace("states = [\"warning\", \"critical\"]", "states = [\"ok\", \"critical\"]"))
                >= 1
        );
        assert!(failed(&RULES.replace("{days_left}", "{per_day}")) >= 1, "the text is a part of it");
    }

    #[test]
    fn a_group_of_devices_has_rules_of_its_own_and_nothing_of_it_goes_unheard() {
        let rule = |id: &str, more: &str| {
            format!(
                "[[rule]]\nid = '{id}'\nseverity = 'warning'\nhold = '0s'\nresolve_hold = '0s'\n{more}\n\
                 [rule.summary]\nja = '異常'\nen = 'bad'\n[rule.action]\nja = '確認'\nen = 'look'\n"
            )
        };
        let over = |celsius: &str| {
            format!(
                "[rule.when.threshold]\nprobe = 'sensors'\nquantity = 'celsius'\ndirection = 'up'\nlimit = {{ value = {celsius} }}"
            )
        };
        let rules = [
            "flap_window = '1h'\n".to_owned(),
            rule("warm", &format!("except_groups = ['mri']\n{}", over("40.0"))),
            rule("warm-mri", &format!("groups = ['mri']\n{}", over("25.0"))),
            rule("helium", "groups = ['mri']\n[rule.when.check]\nprobe = 'helium'\nstates = ['critical']"),
            rule("other", "[rule.when.other_check]\nstates = ['critical']"),
        ];
        let rules = RuleSet::parse(&rules.concat()).unwrap_or_else(|p| panic!("{p:#?}"));
        for (group, expected) in [("", vec!["other"]), ("group = 'mri'", vec!["helium", "warm-mri"])] {
            let expect: String = expected.iter().map(|id| format!("{{ rule = '{id}' }},")).collect();
            let case = format!(
                "[[case]]\nname = 'a'\n{group}\nexpect = [{expect}]\n\
                 [[case.series]]\nprobe = 'sensors'\nquantity = 'celsius'\nunit = 'celsius'\nover = '1h'\n\
                 every = '1m'\nfrom = 30.0\nto = 30.0\n\
                 [[case.check]]\nprobe = 'helium'\nstate = 'critical'\n"
            );
            let cases = RuleCases::parse(&case).unwrap_or_else(|p| panic!("{p:#?}"));
            assert_eq!(cases.run(&rules), [Vec::<String>::new()], "{group}");
        }
    }

    #[test]
    fn bad_cases_come_with_their_places() {
        let text = "[[case]]\nname = 'a'\n[[case.series]]\nprobe = 'disk'\nquantity = 'q'\nunit = 'bytes'\n\
                    over = '400d'\nevery = '1s'\nfrom = 1.0\nto = 2.0\n[[case]]\nname = 'a'\n\
                    [[case.part]]\nprobe = 'counters'\nsubject = 's'\nquantity = 'q'\ndirection = 'up'\n";
        let problems = RuleCases::parse(text).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["case.0.series.0.over", "case.1.name", "case.1.part.0"]);
        assert!(RuleCases::parse("").is_err(), "no case tests nothing");
    }
}
