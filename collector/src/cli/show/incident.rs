//! One incident as a person reads it: its events, whom it concerns, who was told, and why or why not.

use super::incidents;
use crate::{
    cli::incident::IncidentView,
    store::model::{OutboxRow, OutboxState},
};
use std::fmt::Write as _;
use tenken_common::{
    id::Name,
    message::{DeskText, Language},
    time::jst_minute,
};

pub fn incident(view: &IncidentView, language: Language) -> String {
    let i = &view.incident;
    let mut out = incidents(std::slice::from_ref(i), language);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", i.action.text(language));
    let listed = |names: &mut dyn Iterator<Item = &Name>| {
        names.map(Name::as_str).collect::<Vec<_>>().join(DeskText::Comma.text(language))
    };
    if !i.affected.is_empty() {
        let devices = listed(&mut i.affected.values());
        let _ = writeln!(out, "{}", DeskText::Affected.fill(language, &[("devices", &devices)]));
    }
    if !i.joined.is_empty() {
        let rules = listed(&mut i.joined.iter());
        let _ = writeln!(out, "{}", DeskText::Joined.fill(language, &[("rules", &rules)]));
    }
    for event in &i.events {
        let worker = event.worker.as_ref().map_or("", |w| w.as_str());
        let step = event.step.message().text(language);
        let _ = writeln!(out, "{}", format!("  {}  {step}  {worker}", jst_minute(event.at)).trim_end());
    }
    if !view.notices.is_empty() {
        let _ = writeln!(out, "{}", DeskText::Decisions.text(language));
    }
    for notice in &view.notices {
        let decision = &notice.decision;
        let hours = decision.hours.map_or(String::new(), |h| format!("  ({})", h.message().text(language)));
        let (at, outcome) = (jst_minute(decision.at), decision.outcome.message().text(language));
        let _ = writeln!(out, "  {at}  {outcome}: {}{hours}", notice.why);
        for (outlet, said) in &notice.outlets {
            let _ = writeln!(out, "    {outlet}: {said}");
        }
    }
    out
}

/// What became of what was queued for an outlet.
pub fn row(row: &OutboxRow, language: Language) -> String {
    let error = row.last_error.clone().unwrap_or_default();
    let attempts = row.attempts.to_string();
    match row.state {
        OutboxState::Delivered => {
            let at = row.delivered.map_or_else(|| "-".to_owned(), jst_minute);
            DeskText::RouteDelivered.fill(language, &[("at", &at)])
        }
        OutboxState::Waiting => {
            let next = jst_minute(row.next_attempt);
            let values = [("attempts", attempts.as_str()), ("next", &next), ("error", &error)];
            DeskText::RouteWaiting.fill(language, &values)
        }
        OutboxState::Failed => {
            DeskText::RouteFailed.fill(language, &[("attempts", &attempts), ("error", &error)])
        }
    }
}
