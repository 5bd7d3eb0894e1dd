//! `tenken-collector forecast`: the shipped forecast on anyone's own points. Needs no store.
//!
//! Holds: it is asked as of the newest point, and not of today; what is printed on standard output
//! is the answer, what was left out of the points is said on standard error. A refusal is an answer.

use super::{points::Points, print_json, say};
use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::Serialize;
use std::{path::PathBuf, time::Duration};
use tenken_collector_core::predict::{
    anomaly::reason::number,
    forecast::{
        Crossing, Direction, Outcome, Question,
        ahead::{Answer, Basis, ahead},
    },
    robust::median,
    series::{Point, ordered},
};
use tenken_common::{
    config::HumanDuration,
    message::{Language, PredictText},
    time::jst_minute,
};

#[derive(Debug, clap::Args)]
pub struct ForecastArgs {
    /// Points as CSV: timestamp,value; `-` is standard input; times without an offset are Japan's
    file: PathBuf,
    /// The value that is asked for
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    limit: f64,
    /// From which side it is reached (default: from the side where the points begin)
    #[arg(long, value_enum)]
    direction: Option<Side>,
    /// Later dates are of no interest
    #[arg(long, value_name = "DURATION", default_value = "3650d")]
    horizon: HumanDuration,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Side {
    /// From below
    Up,
    /// From above
    Down,
}

/// The points of a file, and what it had besides.
#[derive(Debug, Default)]
struct Taken {
    points: Vec<Point>,
    without_number: usize,
    out_of_order: usize,
    repeated: usize,
}

#[derive(Serialize)]
struct Told<'a> {
    points: usize,
    left_out: usize,
    out_of_order: usize,
    repeated: usize,
    limit: f64,
    direction: Direction,
    #[serde(flatten)]
    answer: &'a Answer,
}

pub fn run(args: &ForecastArgs, language: Language) -> anyhow::Result<()> {
    if !args.limit.is_finite() {
        bail!("--limit {} is no number", args.limit);
    }
    let name = || args.file.display().to_string();
    let taken = take(Points::open(&args.file).with_context(name)?).with_context(name)?;
    let Some((last, _)) = taken.points.last() else {
        bail!("{}: there is no point with a time and a number", name());
    };
    let question = Question {
        limit: args.limit,
        direction: args.direction.map_or_else(|| begun(&taken.points, args.limit), Side::direction),
        as_of: *last,
        horizon: args.horizon.0,
        age_max: Duration::MAX,
    };
    let answer = ahead(&taken.points, &question);
    if taken.without_number + taken.out_of_order + taken.repeated > 0 {
        let values = [
            ("without", taken.without_number.to_string()),
            ("order", taken.out_of_order.to_string()),
            ("repeated", taken.repeated.to_string()),
        ];
        eprintln!("{}", PredictText::Untidy.fill_all(language, &values));
    }
    if args.json {
        return print_json(&Told {
            points: taken.points.len(),
            left_out: taken.without_number,
            out_of_order: taken.out_of_order,
            repeated: taken.repeated,
            limit: args.limit,
            direction: question.direction,
            answer: &answer,
        });
    }
    say(&text(&answer, args.limit, language))
}

impl Side {
    fn direction(self) -> Direction {
        match self {
            Self::Up => Direction::Up,
            Self::Down => Direction::Down,
        }
    }
}

/// Every point in its place; of one time the last counts.
fn take(lines: Points) -> anyhow::Result<Taken> {
    let mut taken = Taken::default();
    let mut points: Vec<Point> = Vec::new();
    for line in lines {
        let line = line?;
        let Some(number) = line.number else {
            taken.without_number += 1;
            continue;
        };
        taken.out_of_order += usize::from(points.last().is_some_and(|(last, _)| line.at < *last));
        points.push((line.at, number));
    }
    let all = points.len();
    taken.points = ordered(points);
    taken.repeated = all - taken.points.len();
    Ok(taken)
}

/// From which side the limit is reached: one wild value does not say.
fn begun(points: &[Point], limit: f64) -> Direction {
    let mut first: Vec<f64> = points.iter().take(3).map(|(_, v)| *v).collect();
    if median(&mut first).is_some_and(|v| v > limit) { Direction::Down } else { Direction::Up }
}

fn text(answer: &Answer, limit: f64, language: Language) -> String {
    let mut text = match answer.outcome {
        Outcome::Crossing(Crossing { at, low, high, per_day }) => {
            let values = [
                ("limit", number(limit)),
                ("at", jst_minute(at)),
                ("low", jst_minute(low)),
                ("high", jst_minute(high)),
                ("per_day", number(per_day)),
            ];
            PredictText::Reaches.fill_all(language, &values)
        }
        Outcome::AlreadyReached => PredictText::Reached.fill_all(language, &[("limit", number(limit))]),
        Outcome::Refused(refusal) => {
            PredictText::Refused.fill(language, &[("why", refusal.message().text(language))])
        }
    };
    if let Some(Basis { steps, step_s, skill, models }) = &answer.basis {
        let models: Vec<String> =
            models.iter().map(|(name, weight)| format!("{name} {:.0} %", 100.0 * weight)).collect();
        let values = [
            ("steps", steps.to_string()),
            ("step", HumanDuration(Duration::from_secs(*step_s)).to_string()),
            ("skill", format!("{:.0}", 100.0 * skill)),
            ("models", models.join(", ")),
        ];
        text.push('\n');
        text.push_str(&PredictText::Basis.fill_all(language, &values));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Taken {
        take(Points::of(Box::new(std::io::Cursor::new(text.as_bytes().to_vec()))).unwrap()).unwrap()
    }

    #[test]
    fn points_take_their_place_and_what_is_untidy_is_counted() {
        let t = taken("timestamp,value\n200,2\n100,1\n100,1.5\n300,NaN\n400,4\n");
        let values: Vec<f64> = t.points.iter().map(|(_, v)| *v).collect();
        assert_eq!(values, [1.5, 2.0, 4.0]);
        assert_eq!((t.without_number, t.out_of_order, t.repeated), (1, 1, 1));
    }

    #[test]
    fn the_side_is_where_it_began() {
        let points = taken("1,5\n2,6\n3,7\n").points;
        assert_eq!(begun(&points, 10.0), Direction::Up);
        assert_eq!(begun(&points, 1.0), Direction::Down);
    }

    #[test]
    fn every_outcome_has_words() {
        let rising: String = (0..60).map(|i| format!("{},{i}\n", 1_795_000_000 + 86_400 * i)).collect();
        let points = taken(&rising).points;
        let ask = |limit: f64| {
            let question = Question {
                limit,
                direction: Direction::Up,
                as_of: points.last().unwrap().0,
                horizon: Duration::from_hours(24 * 365),
                age_max: Duration::MAX,
            };
            text(&ahead(&points, &question), limit, Language::En)
        };
        assert!(ask(100.0).starts_with("reaches 100 about 2027-0"), "{}", ask(100.0));
        assert!(ask(50.0).starts_with("50 is reached already"), "{}", ask(50.0));
        assert!(ask(500.0).starts_with("no date: the limit is far ahead"), "{}", ask(500.0));
    }
}
