//! `tenken-collector scorecard`: how the alerts that foretold a date came out.
//!
//! Holds: every alert is a line, the false ones as well.

use super::{plan::aligned, print_json, say};
use crate::store::Store;
use tenken_collector_core::{
    desk::scorecard::{Prediction, Score, Scorecard},
    sla::month::Month,
};
use tenken_common::{
    message::{Language, PredictText},
    time::jst_date,
};

#[derive(Debug, clap::Args)]
pub struct ScorecardArgs {
    /// Alerts of this month only: 2026-11
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<Month>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &ScorecardArgs, store: &Store, language: Language) -> anyhow::Result<()> {
    let card = Scorecard::of(store.predictions(false).await?, args.month);
    if args.json { print_json(&card) } else { say(&text(&card, language)) }
}

fn text(card: &Scorecard, language: Language) -> String {
    let month = card.month.map_or_else(|| PredictText::ScoreAll.text(language).to_owned(), |m| m.to_string());
    let title = [("month", month), ("alerts", card.alerts.to_string())];
    let counts = [
        ("correct", card.correct),
        ("wrong", card.wrong),
        ("late", card.too_late),
        ("averted", card.averted),
        ("pending", card.pending),
    ]
    .map(|(name, n)| (name, n.to_string()));
    let share = match card.share_correct {
        None => PredictText::ScoreNone.text(language).to_owned(),
        Some(share) => {
            let lead = card.lead_days.map_or_else(|| "-".to_owned(), |days| format!("{days:.0}"));
            PredictText::ScoreShare
                .fill_all(language, &[("share", format!("{:.0}", 100.0 * share)), ("lead", lead)])
        }
    };
    let mut out = format!(
        "{}\n{}\n{share}\n",
        PredictText::ScoreTitle.fill_all(language, &title),
        PredictText::ScoreCounts.fill_all(language, &counts)
    );
    if !card.predictions.is_empty() {
        let heads = [
            PredictText::ScoreAlerted,
            PredictText::PlanDate,
            PredictText::PlanRange,
            PredictText::ScoreResult,
            PredictText::ScoreLead,
            PredictText::PlanDevice,
            PredictText::PlanSubject,
            PredictText::PlanRule,
        ];
        let mut rows = vec![heads.map(|head| head.text(language).to_owned())];
        rows.extend(card.predictions.iter().map(|p| row(p, language)));
        out.push_str(&aligned(&rows));
    }
    out
}

fn row(p: &Prediction, language: Language) -> [String; 8] {
    let result = match p.judged.map(|judged| judged.score) {
        None => PredictText::ScorePending,
        Some(Score::True) => PredictText::ScoreTrue,
        Some(Score::False) => PredictText::ScoreFalse,
        Some(Score::TooLate) => PredictText::ScoreTooLate,
        Some(Score::Averted) => PredictText::ScoreAverted,
    };
    let lead = p.judged.and_then(|judged| judged.lead_days);
    [
        jst_date(p.alerted),
        jst_date(p.at),
        format!("{} - {}", jst_date(p.low), jst_date(p.high)),
        result.text(language).to_owned(),
        lead.map_or_else(|| "-".to_owned(), |days| format!("{days:.0}")),
        format!("{} {}", p.hospital, p.label),
        p.subject.to_string(),
        p.rule.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_collector_core::desk::{notice::IncidentId, scorecard::Judged};
    use tenken_common::{
        id::{DeviceId, Name},
        time::Timestamp,
    };

    #[test]
    fn a_bad_month_is_shown_as_it_was() {
        let day = |days: i64| Timestamp::from_secs(1_788_231_600 + days * 86_400);
        let name = |text| Name::new(text).unwrap();
        let prediction = |id, judged| Prediction {
            incident: IncidentId(id),
            hospital: "minato".parse().unwrap(),
            device: DeviceId([1; 16]),
            label: name("ct-1"),
            rule: name("disk-filling"),
            subject: name("/data"),
            quantity: name("available_bytes"),
            alerted: day(0),
            at: day(14),
            low: day(12),
            high: day(17),
            acted: None,
            judged,
        };
        let judged = |score, lead_days| Some(Judged { score, at: day(20), lead_days });
        let all = vec![
            prediction(1, judged(Score::False, None)),
            prediction(2, judged(Score::TooLate, Some(0.0))),
            prediction(3, None),
        ];
        let shown = text(&Scorecard::of(all, "2026-09".parse().ok()), Language::En);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "How predictions came out (2026-09): 3 alerts");
        assert_eq!(lines[1], "true 0, false 1, too late 1, people acted (not to be judged) 0, pending 1");
        assert!(lines[2].starts_with("of those judged 0 % were true"), "{shown}");
        assert_eq!(lines.len(), 7);
        assert!(lines[4].contains("false") && lines[5].contains("too late"), "{shown}");
        let none = text(&Scorecard::of(vec![], None), Language::Ja);
        assert!(none.contains("全期間") && none.contains("まだありません"), "{none}");
    }
}
