//! What holds for every history of a contract, tried on random ones (requirements, decisions 6 to
//! 13): the partition, the uptime's bounds, exclusions, deadlines, the order of evaluation.
//!
//! Holds: the labels are compared with a second reading of the rules, instant by instant, that
//! shares nothing with the engine but the calendar.

mod draw;
pub mod load;

pub use draw::{Drawn, begin};

use proptest::prelude::RngExt as _;
use tenken_collector_core::sla::{
    availability,
    calendar::BusinessDuration,
    contract::ExclusionClass,
    exclusion::Exclusion,
    history::History,
    month::{Month, SlaMonth},
    outage::{Cause, Extent, Outage},
    partition::{Label, Labelled},
    response::ResponseState,
    span::Span,
};
use tenken_common::time::Timestamp;

/// Instants at which a month is compared with the second reading.
const LOOKED_AT: u32 = 24;

/// What does not hold for the history of a seed.
pub fn faults(seed: u64) -> Vec<String> {
    let mut drawn = Drawn::of(seed);
    let mut faults = Vec::new();
    for month in ["2026-09", "2026-10"] {
        let month: Month = month.parse().unwrap();
        let got = drawn.history.known(drawn.as_of).month(month);
        faults.extend(sums(&drawn, &got));
        faults.extend(bounds(&got));
        faults.extend(labels(&mut drawn, &got));
        faults.extend(exclusions_never_blame(&drawn, &got));
        faults.extend(split(&mut drawn, &got));
        faults.extend(order(&mut drawn, &got));
        faults.extend(deadlines(&drawn, &got));
    }
    faults
}

fn fault(good: bool, what: impl FnOnce() -> String) -> Option<String> {
    (!good).then(what)
}

/// Labels partition the service time.
fn sums(drawn: &Drawn, month: &SlaMonth) -> Vec<String> {
    let known = drawn.history.known(drawn.as_of);
    let until = Span::new(month.month.span().from, month.month.span().to.min(drawn.as_of));
    let open: Vec<Span> = known
        .contracts
        .segments(until)
        .flat_map(|(span, contract)| contract.service_hours.open_spans(span).collect::<Vec<_>>())
        .collect();
    let service: BusinessDuration = open.iter().map(|s| BusinessDuration::from_micros(s.len_us())).sum();
    let sum: BusinessDuration = Label::ALL.iter().map(|label| month.partition.total(*label)).sum();
    let parts = month.partition.parts();
    let apart = parts.windows(2).all(|p| p[0].span.to <= p[1].span.from);
    let within = parts.iter().all(|part| {
        let covered: i64 = open.iter().filter_map(|s| s.intersect(part.span)).map(Span::len_us).sum();
        covered == part.span.len_us()
    });
    let mut faults = Vec::new();
    faults
        .extend(fault(sum == service, || format!("{}: labels sum to {sum}, not to {service}", month.month)));
    faults.extend(fault(apart && within, || {
        format!("{}: parts overlap, or leave the service time", month.month)
    }));
    faults
}

/// The uptime lies in [0, 1] and in its own bounds.
fn bounds(month: &SlaMonth) -> Option<String> {
    let uptime = availability::uptime(&month.partition);
    let in_order = match (uptime.min, uptime.value, uptime.max) {
        (Some(min), Some(value), Some(max)) => 0.0 <= min && min <= value && value <= max && max <= 1.0,
        (Some(min), None, Some(max)) => 0.0 <= min && min <= max && max <= 1.0,
        (None, None, None) => true,
        _ => false,
    };
    fault(in_order && uptime.value.is_none() == uptime.reason_for_null.is_some(), || {
        format!("{}: {uptime:?}", month.month)
    })
}

/// The engine's label is the second reading's.
fn labels(drawn: &mut Drawn, month: &SlaMonth) -> Vec<String> {
    let edges: Vec<Timestamp> =
        month.partition.parts().iter().flat_map(|p| [p.span.from, p.span.to.plus_micros(-1)]).collect();
    let mut instants: Vec<Timestamp> = (0..LOOKED_AT).map(|_| drawn.instant()).collect();
    for _ in 0..LOOKED_AT.min(u32::try_from(edges.len()).unwrap()) {
        instants.push(edges[drawn.rng.random_range(0..edges.len())]);
    }
    let compare = |at: Timestamp| {
        let got = month.partition.parts().iter().find(|p| p.span.contains(at)).map(|p| p.label);
        let here = month.month.span().contains(at);
        let expected = if here { label_at(&drawn.history, drawn.as_of, at) } else { None };
        fault(got == expected, || format!("{at}: {got:?} instead of {expected:?}"))
    };
    instants.into_iter().filter_map(compare).collect()
}

/// Decision 7, read for one instant: `None` outside of the service hours.
fn label_at(history: &History, as_of: Timestamp, at: Timestamp) -> Option<Label> {
    let versions =
        history.versions.iter().filter(|v| v.vendor <= Some(as_of) && v.hospital.is_some_and(|t| t <= as_of));
    let in_force = versions.filter(|v| v.contract.starts() <= at).max_by_key(|v| v.contract.version)?;
    if at >= as_of || !in_force.contract.service_hours.is_open(at) {
        return None;
    }
    let mut state = Label::Up;
    let mut worse = |label: Label| state = state.max(label);
    let beats = history.heartbeats.iter().flat_map(|beats| beats.labels(as_of));
    beats.filter(|claim| claim.span.contains(at)).for_each(|claim| worse(claim.label));
    let seen = history.watched.iter().flatten().any(|span| span.contains(at));
    if (history.watched.is_some() && !seen) || (history.watched.is_none() && history.heartbeats.is_none()) {
        worse(Label::NoData);
    }
    let stopped = |outage: &&Outage| {
        let lasts = outage.from <= at && outage.to.is_none_or(|to| at < to);
        lasts && !matches!(outage.extent, Extent::Partial { no_serious_impact: Some(_) })
    };
    let mut customers = false;
    for outage in history.outages.iter().filter(stopped) {
        let mut newest = (Timestamp::MIN, Label::Undetermined);
        for judged in &outage.attributions {
            let (from, label) = match (judged.cause, &judged.agreed) {
                (Cause::Provider, _) => (judged.at, Label::DownProvider),
                (Cause::Customer, Some(agreed)) => (agreed.at.max(judged.at), Label::DownCustomer),
                (Cause::Undetermined, Some(agreed)) => (agreed.at.max(judged.at), Label::Undetermined),
                (Cause::Customer | Cause::Undetermined, None) => continue,
            };
            if from <= as_of && from >= newest.0 {
                newest = (from, label);
            }
        }
        customers |= newest.1 == Label::DownCustomer;
        worse(newest.1);
    }
    if history.failed_pushes.iter().any(|span| span.contains(at)) && !customers {
        worse(Label::Undetermined);
    }
    if state == Label::Up {
        return Some(state);
    }
    let week = 7 * 86_400_000_000;
    let excluded = history.exclusions.iter().filter(|x| x.from <= at && at < x.to).filter_map(|x| {
        let agreed = x.agreed.as_ref().is_some_and(|a| a.at <= as_of);
        let announced = x.announced_at.is_some_and(|t| x.from.micros_since(t) >= week);
        let planned = x.rule.as_str() == "planned";
        let label = if planned { Label::ExcludedPreAgreed } else { Label::ExcludedOther };
        (agreed && (announced || !planned)).then_some(label)
    });
    Some(excluded.max().unwrap_or(state))
}

/// An agreed exclusion never adds time that is 乙's.
fn exclusions_never_blame(drawn: &Drawn, month: &SlaMonth) -> Vec<String> {
    let without = History { exclusions: Vec::new(), ..drawn.history.clone() };
    let bare = without.known(drawn.as_of).month(month.month);
    let blamed = |month: &SlaMonth| -> Vec<Span> {
        let down = |p: &&Labelled| p.label == Label::DownProvider;
        month.partition.parts().iter().filter(down).map(|p| p.span).collect()
    };
    let before = blamed(&bare);
    let covered = |span: &Span| {
        before.iter().filter_map(|b| b.intersect(*span)).map(Span::len_us).sum::<i64>() == span.len_us()
    };
    let more = blamed(month).into_iter().find(|span| !covered(span));
    let class = |x: &Exclusion| x.rule(&drawn.history.known(drawn.as_of).contracts).map(|rule| rule.class);
    let pre_agreed = drawn.history.exclusions.iter().any(|x| class(x) == Some(ExclusionClass::PreAgreed));
    let shorter = month.partition.total(Label::ExcludedPreAgreed) > BusinessDuration::ZERO;
    let mut faults: Vec<String> =
        more.map(|span| format!("an exclusion blames 乙 for {span:?}")).into_iter().collect();
    faults.extend(fault(pre_agreed || !shorter, || "pre-agreed time without such an exclusion".to_owned()));
    faults
}

/// A stop that is entered in two parts is the same stop.
fn split(drawn: &mut Drawn, month: &SlaMonth) -> Option<String> {
    let mut history = drawn.history.clone();
    let at = drawn.instant();
    let whole = history.outages.iter().position(|o| o.from < at && o.to.is_none_or(|to| at < to))?;
    let mut second = history.outages[whole].clone();
    second.id = tenken_common::id::Name::new("o-split").unwrap();
    second.from = at;
    history.outages[whole].to = Some(at);
    history.outages.push(second);
    let got = history.known(drawn.as_of).month(month.month);
    fault(got.partition == month.partition, || format!("split at {at}, the partition changes"))
}

/// The order in which things were entered does not matter.
fn order(drawn: &mut Drawn, month: &SlaMonth) -> Option<String> {
    let mut history = drawn.history.clone();
    history.outages.reverse();
    history.exclusions.reverse();
    history.incidents.reverse();
    history.failed_pushes.reverse();
    history.incidents.iter_mut().for_each(|incident| incident.events.reverse());
    history.watched.iter_mut().for_each(|spans| spans.reverse());
    let got = history.known(drawn.as_of).month(month.month);
    let same = got.partition == month.partition
        && got.indicators == month.indicators
        && got.segments == month.segments
        && got.misses == month.misses;
    fault(same, || "in another order the figures change".to_owned())
}

/// A deadline is the earliest instant whose measure is the budget, and states follow from it.
fn deadlines(drawn: &Drawn, month: &SlaMonth) -> Vec<String> {
    let known = drawn.history.known(drawn.as_of);
    let mut faults = Vec::new();
    for clock in month.segments.iter().flat_map(|s| &s.clocks) {
        let Some(contract) = known.contracts.in_force(clock.start) else { continue };
        let measure = |to: Timestamp| contract.response_hours.measure(Span::new(clock.start, to));
        let earlier = measure(clock.deadline.plus_micros(-1));
        let exact = measure(clock.deadline) == clock.budget && earlier < clock.budget;
        let state = match clock.state {
            ResponseState::Running { left } => {
                drawn.as_of <= clock.deadline && left + measure(drawn.as_of) == clock.budget
            }
            ResponseState::Met { at, took } => at <= clock.deadline && took == measure(at),
            ResponseState::Breached { at, took } => {
                at.unwrap_or(drawn.as_of) > clock.deadline && took == measure(at.unwrap_or(drawn.as_of))
            }
        };
        faults.extend(fault(exact && state, || format!("incident {}: {clock:?}", clock.incident)));
    }
    faults
}
