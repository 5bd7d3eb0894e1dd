//! `tenken-collector detect`: the shipped detector on anyone's own points. Needs no store.
//!
//! Holds: one line out for each line in, as they come, and no look-ahead; what is printed on
//! standard output is the table and nothing else, the sums go to standard error.

use super::points::Points;
use anyhow::{Context, bail};
use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};
use tenken_collector_core::predict::anomaly::{self, Detector, PointError, Verdict, reason::number};
use tenken_common::{
    message::{Language, PredictText},
    time::jst_instant,
};

#[derive(Debug, clap::Args)]
pub struct DetectArgs {
    /// Points as CSV: timestamp,value; `-` is standard input; times without an offset are Japan's
    file: PathBuf,
    /// The score from which on a point is an alert; 7 tells more and errs more often
    #[arg(long, value_name = "SCORE", default_value_t = anomaly::ALERT)]
    alert_from: f64,
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Sums {
    judged: u64,
    alerts: u64,
    left_out: u64,
}

pub fn run(args: &DetectArgs, language: Language) -> anyhow::Result<()> {
    if !args.alert_from.is_finite() || args.alert_from <= 0.0 {
        bail!("--alert-from {} is no score above zero", args.alert_from);
    }
    let out = BufWriter::new(std::io::stdout().lock());
    let is_pipe = args.file == Path::new("-");
    let points = Points::open(&args.file).with_context(|| args.file.display().to_string())?;
    let sums = table(points, Detector::new(args.alert_from), out, language, is_pipe)
        .with_context(|| args.file.display().to_string())?;
    if sums.judged == 0 {
        bail!("{}: there is no point with a time and a number", args.file.display());
    }
    let values = [
        ("judged", sums.judged.to_string()),
        ("alerts", sums.alerts.to_string()),
        ("left_out", sums.left_out.to_string()),
    ];
    eprintln!("{}", PredictText::Detected.fill_all(language, &values));
    Ok(())
}

fn table(
    points: Points,
    mut detector: Detector,
    out: impl Write,
    language: Language,
    at_once: bool,
) -> anyhow::Result<Sums> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record(["timestamp", "value", "score", "alert", "reason"])?;
    let mut sums = Sums::default();
    for line in points {
        let line = match line {
            Ok(line) => line,
            Err(e) => {
                // What was judged before it stays said.
                rows.flush()?;
                return Err(e.into());
            }
        };
        let (score, alert, reason) = match detector.see(line.at, line.number.unwrap_or(f64::NAN)) {
            Ok(verdict) => {
                sums.judged += 1;
                sums.alerts += u64::from(verdict.alert);
                let reason = told(&verdict, detector.alert_from(), language);
                (format!("{:.2}", verdict.score), verdict.alert.to_string(), reason)
            }
            Err(e) => {
                sums.left_out += 1;
                (String::new(), String::new(), not_judged(e, language))
            }
        };
        rows.write_record([&line.time, &line.value, &score, &alert, &reason])?;
        if at_once {
            rows.flush()?;
        }
    }
    rows.flush()?;
    Ok(sums)
}

fn told(verdict: &Verdict, from: f64, language: Language) -> String {
    let Some(reason) = verdict.reason.filter(|_| verdict.score >= from) else { return String::new() };
    let values =
        [("why", reason.sentence(language)), ("score", number(verdict.score)), ("from", number(from))];
    PredictText::Alert.fill_all(language, &values)
}

fn not_judged(error: PointError, language: Language) -> String {
    match error {
        PointError::NoNumber => PredictText::NoNumber.text(language).to_owned(),
        PointError::NotAfter { last } => {
            PredictText::NotAfter.fill_all(language, &[("last", jst_instant(last))])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> anyhow::Result<(String, Sums)> {
        let points = Points::of(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())))?;
        let mut out = Vec::new();
        let sums = table(points, Detector::default(), &mut out, Language::En, false)?;
        Ok((String::from_utf8(out)?, sums))
    }

    /// Something between 0 and 2 that repeats late.
    fn value(i: u64) -> f64 {
        let scattered = u32::try_from(i * 7_919 % 1_009).unwrap();
        f64::from(scattered) / 504.5
    }

    #[test]
    fn a_jump_is_told_with_its_numbers_and_bad_lines_are_passed_over() {
        let mut text = String::from("timestamp,value\n");
        for i in 0..2_000 {
            text.push_str(&format!("{},{}\n", 1_795_000_000 + 300 * i, value(i)));
        }
        text.push_str("1795600000,NaN\n1795500000,1\n1795600300,250\n");
        let (out, sums) = judged(&text).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!((lines[0], lines.len()), ("timestamp,value,score,alert,reason", 2_004));
        assert_eq!((sums.judged, sums.alerts, sums.left_out), (2_001, 1, 2));
        assert!(lines[2_001].starts_with("1795600000,NaN,,,not judged"), "{}", lines[2_001]);
        assert!(lines[2_002].contains("not after the last one"), "{}", lines[2_002]);
        assert!(lines[2_003].contains(",true,") && lines[2_003].contains("250"), "{}", lines[2_003]);
    }

    #[test]
    fn constants_and_two_points_are_nothing() {
        for n in [2, 3_000] {
            let text: String = (0..n).map(|i| format!("{},5\n", 1_795_000_000 + 300 * i)).collect();
            let (out, sums) = judged(&text).unwrap();
            assert_eq!(sums.alerts, 0);
            assert!(out.lines().skip(1).all(|l| l.ends_with(",5,0.00,false,")), "{n}");
        }
    }

    #[test]
    fn what_comes_later_changes_nothing() {
        let text = |n: u64| -> String {
            (0..n)
                .map(|i| format!("{},{}\n", 1_795_000_000 + 300 * i, if i > 1_200 { 90.0 } else { value(i) }))
                .collect()
        };
        let (long, _) = judged(&text(1_500)).unwrap();
        let (short, _) = judged(&text(1_210)).unwrap();
        assert!(long.starts_with(&short));
    }
}
