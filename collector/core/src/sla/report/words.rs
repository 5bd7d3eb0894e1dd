//! Values of a report in one language: times, durations and percentages, always with their unit.
//!
//! Holds: a percentage is never rounded onto a mark that it does not reach, so that a figure under
//! its target never reads like the target.

use super::document::{Cell, Column, ColumnKind, NOTHING};
use crate::sla::{
    calendar::{BusinessDuration, Day},
    indicator::Verdict,
    month::Month,
    span::Span,
};
use std::time::Duration;
use tenken_common::{
    message::{Language, Message, ReportText},
    time::{Timestamp, jst_date, jst_instant},
};

/// Digits after the point of a percentage.
const DIGITS: usize = 4;
/// The most that are shown where fewer would hide a difference.
const DIGITS_MAX: usize = 10;

/// See the module's head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) language: Language,
}

impl Words {
    pub(super) fn text(self, text: ReportText) -> &'static str {
        text.text(self.language)
    }

    pub(super) fn message(self, message: Message) -> &'static str {
        message.text(self.language)
    }

    /// As the name of a row or a heading.
    pub(super) fn name(self, message: Message) -> String {
        let mut text = self.message(message).to_owned();
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text
    }

    pub(super) fn fill(self, text: ReportText, values: &[(&str, &str)]) -> String {
        text.fill(self.language, values)
    }

    pub(super) fn fill_all(self, text: ReportText, values: &[(&str, String)]) -> String {
        text.fill_all(self.language, values)
    }

    pub(super) fn column(self, title: ReportText, kind: ColumnKind) -> Column {
        Column { title: self.text(title).to_owned(), kind }
    }

    /// `2026-09-18 16:00`, with seconds where there are some.
    #[expect(
        clippy::unused_self,
        reason = "values are written by the words of a language, also those that look the same in both"
    )]
    pub(super) fn at(self, at: Timestamp) -> String {
        if at == Timestamp::MAX {
            return NOTHING.to_owned();
        }
        let text = jst_instant(at).replace('T', " ");
        let text = text.strip_suffix("+09:00").unwrap_or(&text);
        text.strip_suffix(":00").unwrap_or(text).to_owned()
    }

    /// A stretch with both of its ends.
    pub(super) fn period(self, span: Span) -> String {
        if span.to == Timestamp::MAX {
            return self.fill_all(ReportText::Since, &[("from", self.at(span.from))]);
        }
        self.fill_all(ReportText::Period, &[("from", self.at(span.from)), ("to", self.at(span.to))])
    }

    /// Whole days, the last one included.
    pub(super) fn days(self, span: Span) -> String {
        let last = jst_date(span.to.plus_micros(-1).max(span.from));
        self.fill_all(ReportText::Period, &[("from", jst_date(span.from)), ("to", last)])
    }

    pub(super) fn month(self, month: Month) -> String {
        let first = Day::of(month.span().from);
        let number = match self.language {
            Language::Ja => first.month().to_string(),
            Language::En => format!("{:02}", first.month()),
        };
        self.fill_all(ReportText::Month, &[("year", first.year().to_string()), ("month", number)])
    }

    /// `151 h 57 min`, with seconds and their fraction where there are some.
    pub(super) fn time(self, time: BusinessDuration) -> String {
        let us = time.as_micros();
        let (h, m) = (us / 3_600_000_000, us / 60_000_000 % 60);
        let (s, fraction) = (us / 1_000_000 % 60, us % 1_000_000);
        let hm = [("h", h.to_string()), ("m", m.to_string())];
        if s == 0 && fraction == 0 {
            return self.fill_all(ReportText::Hours, &hm);
        }
        let seconds = if fraction == 0 {
            s.to_string()
        } else {
            format!("{s}.{fraction:06}").trim_end_matches('0').to_owned()
        };
        let [h, m] = hm;
        self.fill_all(ReportText::HoursSeconds, &[h, m, ("s", seconds)])
    }

    /// Wall time, in days where there are some; what is under a minute is cut off, but never all.
    pub(super) fn wall(self, us: i64) -> String {
        const DAY_US: i64 = 86_400_000_000;
        if us < DAY_US {
            return self.time(BusinessDuration::from_micros(us));
        }
        let (days, h, m) = (us / DAY_US, us / 3_600_000_000 % 24, us / 60_000_000 % 60);
        if h == 0 && m == 0 {
            return self.fill_all(ReportText::Days, &[("days", days.to_string())]);
        }
        let values = [("days", days.to_string()), ("h", h.to_string()), ("m", m.to_string())];
        self.fill_all(ReportText::DaysHours, &values)
    }

    pub(super) fn limit(self, limit: Duration) -> String {
        self.wall(i64::try_from(limit.as_micros()).unwrap_or(i64::MAX))
    }

    /// `98.3553 %`. Further digits are shown where four would make it look like one of `marks`.
    #[expect(
        clippy::unused_self,
        reason = "values are written by the words of a language, also those that look the same in both"
    )]
    pub(super) fn percent(self, ratio: f64, marks: &[f64]) -> String {
        let shown = |ratio: f64, digits: usize| format!("{:.digits$} %", ratio * 100.0);
        let hides = |digits: usize| {
            marks.iter().any(|m| m.total_cmp(&ratio).is_ne() && shown(*m, digits) == shown(ratio, digits))
        };
        let digits = (DIGITS..DIGITS_MAX).find(|digits| !hides(*digits)).unwrap_or(DIGITS_MAX);
        shown(ratio, digits)
    }

    pub(super) fn maybe_percent(self, ratio: Option<f64>, marks: &[f64]) -> String {
        ratio.map_or_else(|| NOTHING.to_owned(), |ratio| self.percent(ratio, marks))
    }

    pub(super) fn cases(self, n: impl Into<u64>) -> String {
        self.fill_all(ReportText::Cases, &[("n", n.into().to_string())])
    }

    pub(super) fn verdict(self, verdict: Verdict) -> Cell {
        let text = self.message(verdict.message());
        match verdict {
            Verdict::Met => Cell::good(text),
            Verdict::Missed => Cell::bad(text),
            Verdict::Unknown => Cell::open(text),
            Verdict::NotApplicable => Cell::plain(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EN: Words = Words { language: Language::En };

    #[test]
    fn a_figure_under_its_target_never_reads_like_it() {
        assert_eq!(EN.percent(0.983_552_631_5, &[0.99]), "98.3553 %");
        assert_eq!(EN.percent(0.99, &[0.99, 1.0]), "99.0000 %");
        assert_eq!(EN.percent(0.989_999_99, &[0.99]), "98.999999 %");
        assert_eq!(EN.percent(0.999_999_9, &[0.99, 1.0]), "99.99999 %");
        assert_eq!(EN.percent(1.0, &[1.0]), "100.0000 %");
    }

    #[test]
    fn times_show_what_they_have() {
        let time = |us| EN.time(BusinessDuration::from_micros(us));
        assert_eq!(time(9_000_000_000), "2 h 30 min");
        assert_eq!(time(8_999_500_000), "2 h 29 min 59.5 s");
        assert_eq!(EN.wall(86_400_000_000 * 7), "7 d");
        assert_eq!(EN.wall(86_400_000_000 + 3_660_000_000), "1 d 1 h 1 min");
        let at = |text: &str| EN.at(text.parse().unwrap());
        assert_eq!(at("2026-09-18T16:00:00+09:00"), "2026-09-18 16:00");
        assert_eq!(at("2026-09-18T16:59:30+09:00"), "2026-09-18 16:59:30");
    }

    #[test]
    fn days_are_shown_from_the_first_on() {
        const DAY: i64 = 86_400_000_000;
        const MINUTE: i64 = 60_000_000;
        for (us, expected) in [
            (DAY - 1_000_000, "23 h 59 min 59 s"),
            (DAY, "1 d"),
            (DAY + 60 * MINUTE, "1 d 1 h 0 min"),
            (DAY + 5 * MINUTE, "1 d 0 h 5 min"),
            (DAY + MINUTE - 1, "1 d"),
        ] {
            assert_eq!(EN.wall(us), expected);
        }
    }

    #[test]
    fn what_has_no_end_says_so() {
        let from: Timestamp = "2026-09-18T16:00:00+09:00".parse().unwrap();
        assert_eq!(EN.period(Span::new(from, Timestamp::MAX)), "2026-09-18 16:00, still going on");
        assert_eq!(
            EN.period(Span::new(from, from.plus_micros(60_000_000))),
            "2026-09-18 16:00 to 2026-09-18 16:01"
        );
        assert_eq!(EN.at(Timestamp::MAX), NOTHING);
        let midnight: Timestamp = "2026-09-18T00:00:00+09:00".parse().unwrap();
        assert_eq!(EN.days(Span::new(midnight, midnight)), "2026-09-18 to 2026-09-18");
    }
}
