//! What people are told, and why not: flaps, planned stops, what nobody acknowledges, hours.

use super::*;
use crate::{
    desk::{
        alert::Outcome,
        care::Hours,
        notice::NotifyReason as N,
        route::{Only, Route, Unwanted},
        silence::{Matcher, Silence},
    },
    sla::{
        contract::{Contract, EXAMPLE},
        exclusion::Exclusion,
        history::{History, Version},
        span::Span,
    },
};

/// Minutes from [`at`] to an instant of 2026 in Japan.
fn minute(text: &str) -> i64 {
    let then: Timestamp = format!("2026-{text}:00+09:00").parse().unwrap();
    then.micros_since(at(0)) / 60_000_000
}

/// The example's contract, agreed to, with a planned stop.
fn history(stop: Option<(&str, &str)>) -> History {
    let early: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let version =
        Version { contract: Contract::parse(EXAMPLE).unwrap(), vendor: Some(early), hospital: Some(early) };
    let exclusions = stop.map(|(from, to)| Exclusion {
        id: name("x-1"),
        rule: name("planned"),
        from: at(minute(from)),
        to: at(minute(to)),
        announced_at: Some(early),
        agreed: Some(crate::sla::agreed::Agreed { at: early, by: "甲".into() }),
        evidence: vec![],
        note: String::new(),
    });
    History { versions: vec![version], exclusions: exclusions.into_iter().collect(), ..History::default() }
}

/// Runs the one device of the contract's hospital minute by minute.
pub(super) struct Ward {
    pub(super) desk: Desk,
    history: History,
}

impl Ward {
    pub(super) fn new(stop: Option<(&str, &str)>) -> Self {
        Self { desk: Desk { rules: rules(), ..Desk::new() }, history: history(stop) }
    }

    pub(super) fn run(&mut self, span: std::ops::Range<&str>, state: CheckState, actions: &[IncidentAction]) {
        for m in minute(span.start)..minute(span.end) {
            let (hospital, care) = Care::of(&self.history, at(m)).unwrap();
            self.desk.cares = Cares::from([(hospital.clone(), vec![care])]);
            let device = DeviceInput { hospital, ..checked(1, m, state) };
            self.desk.run(m, &[device], actions);
        }
    }

    /// Bad for the span and good afterwards, all of it told at `now`.
    pub(super) fn run_late(&mut self, span: std::ops::Range<&str>, now: &str) {
        let now = minute(now);
        let state = |m| if m < minute(span.end) { BAD } else { GOOD };
        let told: Vec<(i64, CheckState)> = (minute(span.start)..=now).map(|m| (m, state(m))).collect();
        let (hospital, care) = Care::of(&self.history, at(now)).unwrap();
        self.desk.cares = Cares::from([(hospital.clone(), vec![care])]);
        let device = DeviceInput { hospital, ..interim::late(now, &told) };
        self.desk.run(now, &[device], &[]);
    }

    pub(super) fn told(&self) -> Vec<(N, Timestamp)> {
        self.desk.notices.iter().map(|n| (n.reason, n.decided_at)).collect()
    }
}

fn route(only: Only) -> Route {
    Route { min_severity: Severity::Warning, only, keeps_state: false }
}

const BAD: CheckState = CheckState::Critical;
const GOOD: CheckState = CheckState::Ok;

#[test]
fn ten_flaps_in_an_hour_are_one_flap_notice() {
    let mut desk = Desk::new();
    for minute in 0..70 {
        // Six minutes good are longer than the rule holds: each is an end.
        let state = if minute % 7 < 1 { BAD } else { GOOD };
        desk.run(minute, &[checked(1, minute, state)], &[]);
    }
    assert_eq!(desk.reasons(), [N::Opened, N::Recovered, N::Flapping]);
    for minute in 70..140 {
        desk.run(minute, &[checked(1, minute, GOOD)], &[]);
    }
    assert_eq!(desk.reasons(), [N::Opened, N::Recovered, N::Flapping, N::Recovered]);
    // Stable again: the next time is a new incident.
    desk.run(141, &[checked(1, 141, BAD)], &[]);
    assert_eq!((desk.incidents.len(), desk.reasons().last()), (2, Some(&N::Opened)));
}

#[test]
fn of_what_began_and_ended_within_a_planned_stop_nothing_is_sent() {
    let mut ward = Ward::new(Some(("09-24T09:00", "09-24T10:00")));
    ward.run("09-24T09:10".."09-24T09:20", BAD, &[]);
    ward.run("09-24T09:20".."09-24T11:00", GOOD, &[]);
    assert_eq!(ward.told(), []);
    let why: Vec<(N, Outcome)> = ward.desk.only().decisions.iter().map(|d| (d.news, d.outcome)).collect();
    let held = Outcome::Held { until: at(minute("09-24T10:00")) };
    assert_eq!(why, [(N::Opened, held), (N::Recovered, Outcome::Untold)]);
}

#[test]
fn what_outlasts_a_planned_stop_is_told_at_its_end_and_what_was_told_before_ends_aloud() {
    let mut ward = Ward::new(Some(("09-24T09:00", "09-24T10:00")));
    ward.run("09-24T09:59".."09-24T10:05", BAD, &[]);
    assert_eq!(ward.told(), [(N::Opened, at(minute("09-24T10:00")))]);

    let mut ward = Ward::new(Some(("09-24T09:00", "09-24T10:00")));
    ward.run("09-24T08:58".."09-24T09:10", BAD, &[]);
    ward.run("09-24T09:10".."09-24T09:30", GOOD, &[]);
    assert_eq!(
        ward.told(),
        [(N::Opened, at(minute("09-24T08:58"))), (N::Recovered, at(minute("09-24T09:15")))]
    );
}

/// Of the one service that is checked, over minutes.
fn silence(from: i64, to: i64, max_severity: Severity) -> Silence {
    let rule = Some(name("service-down"));
    let matcher = Matcher { hospital: None, device: None, rule, subject: None, incident: None, max_severity };
    Silence::new(matcher, Span::new(at(from), at(to)), (name("w-7"), "exchange"), at(from)).unwrap()
}

#[test]
fn of_what_began_and_ended_within_a_silence_nothing_is_sent_and_what_outlasts_it_is_told_then() {
    let mut desk = Desk { silences: vec![silence(0, 30, Severity::Critical)], ..Desk::new() };
    for minute in 0..10 {
        desk.run(minute, &[checked(1, minute, BAD)], &[]);
    }
    for minute in 10..40 {
        desk.run(minute, &[checked(1, minute, GOOD)], &[]);
    }
    assert!(desk.notices.is_empty());
    let silenced = Outcome::Silenced { silence: desk.silences[0].id, until: at(30) };
    let why: Vec<(N, Outcome)> = desk.only().decisions.iter().map(|d| (d.news, d.outcome)).collect();
    assert_eq!(why, [(N::Opened, silenced), (N::Recovered, Outcome::Untold)]);
    assert_eq!(desk.only().first_seen, at(0), "it is an incident all the same");

    let mut desk = Desk { silences: vec![silence(0, 30, Severity::Critical)], ..Desk::new() };
    for minute in 0..40 {
        desk.run(minute, &[checked(1, minute, BAD)], &[]);
    }
    assert_eq!((desk.reasons(), desk.notices[0].decided_at), (vec![N::Opened], at(30)));
    // Who heard of it hears of its end, silenced or not.
    desk.silences = vec![silence(40, 90, Severity::Critical)];
    for minute in 40..50 {
        desk.run(minute, &[checked(1, minute, GOOD)], &[]);
    }
    assert_eq!(desk.reasons(), [N::Opened, N::Recovered]);
}

#[test]
fn a_silence_for_what_is_mild_does_not_keep_the_bad_from_anybody() {
    let mut desk = Desk { silences: vec![silence(0, 30, Severity::Warning)], ..Desk::new() };
    desk.run(0, &[checked(1, 0, BAD)], &[]);
    assert_eq!(desk.reasons(), [N::Opened]);
    let mut desk = Desk { silences: vec![silence(5, 30, Severity::Critical)], ..Desk::new() };
    desk.run(0, &[checked(1, 0, BAD)], &[]);
    desk.run(6, &[checked(1, 6, BAD)], &[]);
    assert_eq!(desk.reasons(), [N::Opened], "what was told before is told once");
}

#[test]
fn what_nobody_acknowledges_is_told_again_once() {
    let mut ward = Ward::new(None);
    ward.run("09-24T10:00".."09-24T12:00", BAD, &[]);
    let opened = (N::Opened, at(minute("09-24T10:00")));
    assert_eq!(ward.told(), [opened, (N::Unacknowledged, at(minute("09-24T10:30")))]);
    let ids: Vec<Hash> = ward.desk.notices.iter().map(Notice::id).collect();
    assert_ne!(ids.first(), ids.last());

    let mut ward = Ward::new(None);
    ward.run("09-24T10:00".."09-24T10:05", BAD, &[]);
    let incident = ward.desk.only().id;
    let at = at(minute("09-24T10:04"));
    let ack = IncidentAction { incident, step: IncidentStep::Acknowledged, worker: name("w"), at };
    ward.run("09-24T10:05".."09-24T12:00", BAD, &[ack]);
    assert_eq!(ward.told(), [opened]);
}

#[test]
fn where_only_normal_hours_count_nobody_is_waited_for_at_night() {
    let mut ward = Ward::new(None);
    let terms = ward.desk.rules.unacknowledged.as_mut().unwrap();
    terms.hours = crate::desk::rule::AckHours::Normal;
    // Friday evening; Monday is the next day with normal hours.
    ward.run("09-25T16:50".."09-28T10:00", BAD, &[]);
    let expected = [(N::Opened, at(minute("09-25T16:50"))), (N::Unacknowledged, at(minute("09-28T09:20")))];
    assert_eq!(ward.told(), expected);
}

#[test]
fn a_notice_goes_to_who_is_there_at_its_hour() {
    let notice_at = |when: &str| {
        let mut ward = Ward::new(None);
        let (hospital, care) = Care::of(&ward.history, at(0).plus(Duration::ZERO)).unwrap();
        let as_of: Timestamp = format!("2026-{when}+09:00").parse().unwrap();
        ward.desk.cares = Cares::from([(hospital.clone(), vec![care])]);
        let minutes = as_of.micros_since(at(0)) / 60_000_000;
        let device = DeviceInput { hospital, ..checked(1, minutes, BAD) };
        let out = evaluate(&EvaluationInput {
            as_of,
            rules: &ward.desk.rules,
            uptime: &ward.desk.uptime,
            devices: &[device],
            conditions: &[],
            incidents: &[],
            cares: &ward.desk.cares,
            silences: &[],
            actions: &[],
            predictions: &[],
        });
        out.notices.into_iter().next().unwrap()
    };
    let contract = Contract::parse(EXAMPLE).unwrap();
    let (normal, other) = (&contract.contacts.normal_hours, &contract.contacts.other_hours);
    for (when, hours, contact) in [
        ("09-25T16:59:59", Hours::Normal, normal),
        ("09-25T17:00:01", Hours::Other, other),
        // 秋分の日, a Wednesday.
        ("09-23T10:00:00", Hours::Other, other),
        ("09-26T10:00:00", Hours::Other, other),
    ] {
        let notice = notice_at(when);
        assert_eq!(notice.hours, BTreeSet::from([hours]), "{when}");
        assert_eq!(notice.contacts, BTreeSet::from([contact.clone()]), "{when}");
        let day = route(Only { hours: Some(Hours::Normal), ..Only::default() });
        let expected = if hours == Hours::Normal { Ok(()) } else { Err(Unwanted::Hours) };
        assert_eq!(day.judge(&notice), expected, "{when}");
    }
}

#[test]
fn who_was_told_at_night_hears_of_the_end_by_day() {
    let mut ward = Ward::new(None);
    ward.run("09-24T08:50".."09-24T08:57", BAD, &[]);
    ward.run("09-24T08:57".."09-24T09:10", GOOD, &[]);
    let end = ward.desk.notices.last().unwrap();
    assert_eq!((end.reason, end.hours.len(), end.contacts.len()), (N::Recovered, 2, 2));
}

#[test]
fn a_route_says_why_it_does_not_want_a_notice() {
    let mut ward = Ward::new(None);
    ward.run("09-24T10:00".."09-24T10:31", BAD, &[]);
    let [opened, unacknowledged] = ward.desk.notices.as_slice() else { panic!() };
    let judge = |route: Route, notice: &Notice| route.judge(notice);
    let all = route(Only::default());
    assert_eq!(judge(all.clone(), opened), Ok(()));
    let elsewhere = route(Only { hospitals: [HospitalId(name("elsewhere"))].into(), ..Only::default() });
    assert_eq!(judge(elsewhere, opened), Err(Unwanted::Hospital));
    let boss = route(Only { unacknowledged: true, ..Only::default() });
    assert_eq!(judge(boss.clone(), opened), Err(Unwanted::Acknowledged));
    assert_eq!(judge(boss, unacknowledged), Ok(()));
    let closed = Notice { reason: N::Closed, ..opened.clone() };
    assert_eq!(judge(all.clone(), &closed), Err(Unwanted::Closed));
    assert_eq!(judge(Route { keeps_state: true, ..all.clone() }, &closed), Ok(()));
    let mild = Notice { severity: Severity::Info, ..opened.clone() };
    assert_eq!(judge(all, &mild), Err(Unwanted::Severity));
}
