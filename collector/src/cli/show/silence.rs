//! Silences as a person reads them.

use crate::cli::silence::{SilenceView, Standing};
use std::fmt::Write as _;
use tenken_collector_core::desk::{
    notice::Severity,
    silence::{Matcher, SilenceId},
};
use tenken_common::{
    id::Name,
    message::{DeskText, Language},
    time::jst_minute,
};

pub fn added(view: &SilenceView, language: Language) -> String {
    let values = [
        ("silence", view.silence.id.to_string()),
        ("until", jst_minute(view.silence.span.to)),
        ("n", view.incidents.len().to_string()),
    ];
    DeskText::SilenceAdded.fill_all(language, &values)
}

pub fn ended(silence: SilenceId, language: Language) -> String {
    DeskText::SilenceEnded.fill(language, &[("silence", &silence.to_string())])
}

pub fn silences(views: &[SilenceView], language: Language) -> String {
    if views.is_empty() {
        return DeskText::SilencesNone.text(language).to_owned();
    }
    let mut out = String::new();
    for view in views {
        let s = &view.silence;
        let standing = match view.standing {
            Standing::InForce => DeskText::SilenceInForce,
            Standing::ToCome => DeskText::SilenceToCome,
            Standing::Ended => DeskText::SilenceOver,
        };
        let (from, to) = (jst_minute(s.span.from), jst_minute(s.span.to));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  {}  {from} - {to}  {}", s.id, standing.text(language), s.worker);
        let _ = writeln!(out, "  {}", what(&s.matcher, view.label.as_ref(), language));
        let _ = writeln!(out, "  {}", s.reason);
        if !view.incidents.is_empty() {
            let ids: Vec<String> = view.incidents.iter().map(ToString::to_string).collect();
            let ids = ids.join(DeskText::Comma.text(language));
            let _ = writeln!(out, "  {}", DeskText::SilenceKeeps.fill(language, &[("incidents", &ids)]));
        }
    }
    out
}

/// What it is for, a part each.
fn what(matcher: &Matcher, label: Option<&Name>, language: Language) -> String {
    let device = matcher.device.map(|id| label.map_or_else(|| id.to_string(), ToString::to_string));
    let worst = (matcher.max_severity < Severity::Critical).then_some(matcher.max_severity);
    let parts = [
        (DeskText::SilenceHospital, matcher.hospital.as_ref().map(ToString::to_string)),
        (DeskText::SilenceDevice, device),
        (DeskText::SilenceRule, matcher.rule.as_ref().map(ToString::to_string)),
        (DeskText::SilenceSubject, matcher.subject.as_ref().map(ToString::to_string)),
        (DeskText::SilenceIncident, matcher.incident.map(|id| id.to_string())),
        (DeskText::SilenceSeverity, worst.map(|s| s.message().text(language).to_owned())),
    ];
    let named =
        parts.into_iter().filter_map(|(text, value)| Some(text.fill_all(language, &[("value", value?)])));
    named.collect::<Vec<_>>().join(DeskText::Comma.text(language))
}
