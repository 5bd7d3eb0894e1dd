//! Uptime of the remote service (サービス稼働率, SLA A6.3(2)), from a partition.
//!
//! Holds: with `D` = service time - agreed stops, the value is `1 - down(provider) / (D - no
//! data)`; the minimum counts undetermined time and time without data as the provider's stops, the
//! maximum counts both as up, over all of `D`. An empty denominator gives no value, never 1.

use super::{
    calendar::BusinessDuration,
    indicator::{Estimate, Indicator, IndicatorName, NullReason},
    partition::{Label, Partition},
};
use tenken_common::unit::Unit;

/// The uptime with its bounds.
pub fn uptime(partition: &Partition) -> Estimate {
    let d = denominator(partition);
    if d.is_zero() {
        return Estimate::nothing(NullReason::NoServiceTime);
    }
    let down = partition.total(Label::DownProvider);
    let no_data = partition.total(Label::NoData);
    let worst = down + partition.total(Label::Undetermined) + no_data;
    let value = share(d - no_data - down, d - no_data);
    Estimate {
        value,
        min: share(d - worst, d),
        max: share(d - down, d),
        reason_for_null: value.is_none().then_some(NullReason::NoData),
    }
}

/// The part of `D` that was measured; `None` without any service time.
pub fn coverage(partition: &Partition) -> Option<f64> {
    let d = denominator(partition);
    share(d - partition.total(Label::NoData), d)
}

/// The uptime judged by its target.
pub fn indicator(partition: &Partition, target: f64) -> Indicator {
    let estimate = uptime(partition);
    Indicator {
        name: IndicatorName::Uptime,
        estimate,
        target: Some(target),
        verdict: estimate.verdict(target),
        coverage: coverage(partition),
        unit: Unit::Ratio,
    }
}

fn denominator(partition: &Partition) -> BusinessDuration {
    partition.service() - partition.total(Label::ExcludedPreAgreed)
}

/// One division of whole microseconds: a ratio that is exactly 99 % compares equal to 0.99.
fn share(part: BusinessDuration, whole: BusinessDuration) -> Option<f64> {
    (!whole.is_zero()).then(|| part.as_micros_f64() / whole.as_micros_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::{
        calendar::ServiceCalendar,
        indicator::Verdict,
        month::Month,
        partition::{Labelled, partition},
        span::Span,
    };
    use tenken_common::time::Timestamp;

    fn jst(from: &str, to: &str, label: Label) -> Labelled {
        let at = |text: &str| format!("2026-09-{text}:00+09:00").parse::<Timestamp>().unwrap();
        Labelled { span: Span::new(at(from), at(to)), label }
    }

    fn september(calendar: &ServiceCalendar, claims: &[Labelled]) -> Partition {
        let month = "2026-09".parse::<Month>().unwrap().span();
        partition(calendar.open_spans(month), claims, month.to)
    }

    fn close(got: Option<f64>, expected: f64) {
        let got = got.expect("a value");
        assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
    }

    #[test]
    fn september_2026_of_the_requirements() {
        let office = ServiceCalendar::default();
        let stop = jst("18T16:00", "24T10:30", Label::DownProvider);
        let value =
            |calendar: &ServiceCalendar, claims: &[Labelled]| uptime(&september(calendar, claims)).value;
        close(value(&office, &[stop]), 1.0 - 9_000.0 / 547_200.0);
        let agreed = jst("24T09:00", "24T10:00", Label::ExcludedPreAgreed);
        close(value(&office, &[stop, agreed]), 1.0 - 5_400.0 / 543_600.0);
        let other = jst("24T09:00", "24T10:00", Label::ExcludedOther);
        close(value(&office, &[stop, other]), 1.0 - 5_400.0 / 547_200.0);
        close(value(&ServiceCalendar::always(), &[stop]), 1.0 - 138.5 / 720.0);
        // As the requirements print them.
        for (got, percent) in [
            (value(&office, &[stop]), 98.3553),
            (value(&office, &[stop, agreed]), 99.0066),
            (value(&office, &[stop, other]), 99.0132),
            (value(&ServiceCalendar::always(), &[stop]), 80.7639),
        ] {
            assert!((got.unwrap() * 100.0 - percent).abs() < 5e-5, "{got:?}");
        }
    }

    #[test]
    fn an_agreed_stop_while_the_service_was_up_stays_up() {
        let agreed = jst("24T09:00", "24T10:00", Label::ExcludedPreAgreed);
        let p = september(&ServiceCalendar::default(), &[agreed]);
        assert_eq!((p.total(Label::Up), uptime(&p).value), (BusinessDuration::from_secs(547_200), Some(1.0)));
    }

    #[test]
    fn a_month_with_a_tenth_unmeasured_has_wide_bounds() {
        // 152 h: 15.2 h without data, 1.0944 h down.
        let no_data = jst("01T09:00", "02T16:12", Label::NoData);
        let down = Labelled {
            span: Span::new(
                jst("10T09:00", "10T09:01", Label::Up).span.from,
                jst("10T09:00", "10T09:01", Label::Up).span.from.plus_micros(3_939_840_000),
            ),
            label: Label::DownProvider,
        };
        let p = september(&ServiceCalendar::default(), &[no_data, down]);
        let i = indicator(&p, 0.99);
        close(i.coverage, 0.9);
        close(i.estimate.value, 0.992);
        close(i.estimate.min, 0.8928);
        close(i.estimate.max, 0.9928);
        assert_eq!(i.verdict, Verdict::Unknown);
        assert_eq!(
            (indicator(&p, 0.89).verdict, indicator(&p, 0.995).verdict),
            (Verdict::Met, Verdict::Missed)
        );
    }

    #[test]
    fn an_empty_denominator_is_no_value() {
        let whole = |label| [jst("01T00:00", "30T23:59", label)];
        let nothing = uptime(&september(&ServiceCalendar::default(), &whole(Label::NoData)));
        assert_eq!((nothing.value, nothing.reason_for_null), (None, Some(NullReason::NoData)));
        assert_eq!((nothing.min, nothing.max), (Some(0.0), Some(1.0)));
        let agreed = jst("01T00:00", "30T23:59", Label::ExcludedPreAgreed);
        let stopped = [whole(Label::DownProvider)[0], agreed];
        let p = september(&ServiceCalendar::default(), &stopped);
        assert_eq!(uptime(&p), Estimate::nothing(NullReason::NoServiceTime));
        assert_eq!((indicator(&p, 0.99).verdict, coverage(&p)), (Verdict::NotApplicable, None));
    }

    #[test]
    fn a_ratio_that_equals_its_target_meets_it() {
        // 1 % of 152 h is 5,472 s.
        let from = jst("10T09:00", "10T10:00", Label::Up).span.from;
        let down =
            |us| [Labelled { span: Span::new(from, from.plus_micros(us)), label: Label::DownProvider }];
        let verdict = |us| indicator(&september(&ServiceCalendar::default(), &down(us)), 0.99).verdict;
        assert_eq!((verdict(5_472_000_000), verdict(5_472_000_001)), (Verdict::Met, Verdict::Missed));
    }
}
