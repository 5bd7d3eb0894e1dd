//! A line over time as a drawing (SVG) within a page.
//!
//! Holds: the same chart gives the same bytes. Where nothing was measured the line is broken, never
//! drawn through. Of more points than the paper has room for, the lowest and the highest of each place
//! are drawn, so that no peak is lost.
//!
//! Does not: load or run anything; colours and letters are those of the page's style.

use crate::sla::span::Span;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use tenken_common::{
    time::{Timestamp, jst_minute},
    unit::Unit,
};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    pub title: String,
    pub unit: Unit,
    /// What is drawn from left to right.
    pub span: Span,
    /// Oldest first.
    pub points: Vec<(Timestamp, f64)>,
    /// A level that should not be crossed, with its name.
    pub limit: Option<(f64, String)>,
    /// An instant to be seen, with its name.
    pub mark: Option<(Timestamp, String)>,
}

/// The paper, in units of the drawing; the line has the rest of the room.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 130.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 18.0;
/// Places across; each holds its lowest and its highest point.
const PLACES: usize = 360;
const PLACES_F: f64 = 360.0;
/// A line is broken where this many usual distances are without a point, and at least so long.
const BREAK_STEPS: f64 = 4.0;
const BREAK_S_MIN: f64 = 180.0;
const HOURS_STEP: i64 = 4;

impl Chart {
    /// The lowest and the highest value, with the limit, and some room.
    fn range(&self) -> (f64, f64) {
        let values = || self.points.iter().map(|(_, v)| *v).chain(self.limit.as_ref().map(|(v, _)| *v));
        let (low, high) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        if !(low.is_finite() && high.is_finite()) {
            return (0.0, 1.0);
        }
        if low.abs().max(high.abs()) < 1e-9 {
            return (0.0, 1.0);
        }
        let room = ((high - low) * 0.08).max(high.abs().max(low.abs()) * 0.01).max(1e-9);
        // Nothing that is never negative gets a negative axis.
        let floor = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
        (floor, high + room)
    }

    fn x(&self, at: Timestamp) -> f64 {
        let share = seconds(at.micros_since(self.span.from)) / seconds(self.span.len_us().max(1));
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// The highest and the lowest of each place, in order of time.
    fn thinned(&self, points: &[(Timestamp, f64)]) -> Vec<(Timestamp, f64)> {
        if points.len() <= PLACES * 2 {
            return points.to_vec();
        }
        let place = |at: Timestamp| {
            let share = (self.x(at) - LEFT) / (WIDTH - LEFT - RIGHT);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to PLACES")]
            let place = (share * PLACES_F).floor() as usize;
            place
        };
        let mut out = Vec::new();
        for group in points.chunk_by(|a, b| place(a.0) == place(b.0)) {
            let low = group.iter().min_by(|a, b| a.1.total_cmp(&b.1));
            let high = group.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            let mut pair: Vec<(Timestamp, f64)> = low.into_iter().chain(high).copied().collect();
            pair.sort_by_key(|(at, _)| *at);
            pair.dedup();
            out.extend(pair);
        }
        out
    }

    /// Stretches without a break.
    fn stretches(&self) -> Vec<Vec<(Timestamp, f64)>> {
        let mut steps: Vec<i64> =
            self.points.iter().zip(self.points.iter().skip(1)).map(|(a, b)| b.0.micros_since(a.0)).collect();
        steps.sort_unstable();
        let usual = steps.get(steps.len() / 2).copied().unwrap_or(0);
        let longest = (seconds(usual) * BREAK_STEPS).max(BREAK_S_MIN);
        let joined = |a: &(Timestamp, f64), b: &(Timestamp, f64)| seconds(b.0.micros_since(a.0)) <= longest;
        self.points.chunk_by(joined).map(|stretch| self.thinned(stretch)).collect()
    }

    /// The drawing; `text` escapes what came from outside.
    pub(super) fn svg(&self, text: impl Fn(&str) -> String) -> String {
        let (low, high) = self.range();
        let y = |value: f64| TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
        let (right, base) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut out = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            text(&self.title)
        );
        // Writing to a String cannot fail.
        for share in [0.0, 0.5, 1.0] {
            let value = low + (high - low) * share;
            let label = text(&self.unit.display(value).to_string());
            let at = y(value);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
            );
            let _ = writeln!(
                out,
                "<text class=\"axis end\" x=\"{}\" y=\"{:.1}\">{label}</text>",
                LEFT - 5.0,
                at + 3.0
            );
        }
        for hour in hours(self.span) {
            let at = self.x(hour);
            let minute = jst_minute(hour);
            let label = minute.split_once(' ').map_or("", |(_, time)| time);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{base}\"/>"
            );
            if at > LEFT + 14.0 && at < right - 14.0 {
                let _ = writeln!(
                    out,
                    "<text class=\"axis mid\" x=\"{at:.1}\" y=\"{:.1}\">{label}</text>",
                    base + 12.0
                );
            }
        }
        for stretch in self.stretches() {
            let path: Vec<String> =
                stretch.iter().map(|(at, value)| format!("{:.1},{:.1}", self.x(*at), y(*value))).collect();
            if let [only] = path.as_slice() {
                let (cx, cy) = only.split_once(',').unwrap_or(("0", "0"));
                let _ = writeln!(out, "<circle class=\"line\" cx=\"{cx}\" cy=\"{cy}\" r=\"1.2\"/>");
            } else {
                let _ = writeln!(out, "<polyline class=\"line\" points=\"{}\"/>", path.join(" "));
            }
        }
        if let Some((limit, name)) = &self.limit {
            let at = y(*limit);
            let _ = writeln!(
                out,
                "<line class=\"limit\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
            );
            // Below the line where there is no room above it.
            let label = if at < TOP + 12.0 { at + 10.0 } else { at - 3.0 };
            let _ = writeln!(
                out,
                "<text class=\"limit\" x=\"{:.1}\" y=\"{label:.1}\">{}</text>",
                LEFT + 4.0,
                text(name)
            );
        }
        if let Some((at, name)) = self.mark.as_ref().filter(|(at, _)| self.span.contains(*at)) {
            let x = self.x(*at);
            let (class, label) = if x > WIDTH * 0.8 { ("mark end", x - 4.0) } else { ("mark", x + 4.0) };
            let _ = writeln!(
                out,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{base}\"/>"
            );
            let _ = writeln!(
                out,
                "<text class=\"{class}\" x=\"{label:.1}\" y=\"{:.1}\">{}</text>",
                base - 4.0,
                text(name)
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

/// Every fourth full hour in Japan.
fn hours(span: Span) -> impl Iterator<Item = Timestamp> {
    const STEP_S: i64 = HOURS_STEP * 3_600;
    // Japan is nine hours ahead, which is not a multiple of the step.
    const SHIFT_S: i64 = 9 * 3_600;
    let first = (span.from.as_secs() + SHIFT_S).div_euclid(STEP_S) * STEP_S - SHIFT_S;
    (0..)
        .map(move |n| Timestamp::from_secs(first + n * STEP_S))
        .skip_while(move |at| *at < span.from)
        .take_while(move |at| *at < span.to)
        .take(64)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of some days are far below 2^53")]
fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(1_790_000_000 + s)
    }

    fn chart(points: Vec<(Timestamp, f64)>) -> Chart {
        let span = Span::new(at(0), at(86_400));
        Chart { title: "a <b>".into(), unit: Unit::Ratio, span, points, limit: None, mark: None }
    }

    fn drawn(chart: &Chart) -> String {
        chart.svg(|text| text.replace('<', "&lt;"))
    }

    #[test]
    fn what_was_not_measured_is_not_drawn_through() {
        let minutes = (0..60).chain(600..660).map(|m| (at(m * 60), 0.5));
        let svg = drawn(&chart(minutes.collect()));
        assert_eq!(svg.matches("<polyline").count(), 2, "{svg}");
        assert!(svg.contains("aria-label=\"a &lt;b>\""));
        let alone = drawn(&chart(vec![(at(10), 0.5)]));
        assert_eq!((alone.matches("<circle").count(), alone.matches("<polyline").count()), (1, 0));
        assert_eq!(drawn(&chart(vec![])).matches("<polyline").count(), 0);
    }

    #[test]
    fn a_peak_of_one_second_is_not_lost_among_a_day_of_seconds() {
        let points: Vec<_> = (0..86_400).map(|s| (at(s), if s == 40_000 { 0.9 } else { 0.1 })).collect();
        let chart = chart(points);
        let thinned = chart.thinned(&chart.points);
        assert!(thinned.len() <= PLACES * 2 + 2, "{}", thinned.len());
        assert!(thinned.contains(&(at(40_000), 0.9)));
        assert_eq!(chart.stretches().len(), 1);
    }

    #[test]
    fn a_line_that_does_not_move_has_an_axis_all_the_same() {
        for value in [0.0, 1.0, -3.0, 1e12] {
            let (low, high) = chart(vec![(at(0), value), (at(60), value)]).range();
            assert!(low < high && low <= value && value <= high, "{value}: {low} {high}");
        }
        let hours: Vec<String> = hours(Span::new(at(0), at(86_400))).map(jst_minute).collect();
        assert_eq!(hours.len(), 6);
        assert!(hours.iter().all(|h| h.ends_with(":00")), "{hours:?}");
    }
}
