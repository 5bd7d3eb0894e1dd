//! What the failure risk of disks finds, beside fixed thresholds; see `tenken_tests::predict::disk`
//! for the protocol.
//!
//! Holds: nothing is drawn, so that the seed changes nothing. What is shipped is read from the shipped
//! rules. What counts as failed: on the half that chose nothing, no more recall at 1 % than a threshold
//! on the sum of the counters has.

use tenken_collector_core::desk::rule::{RuleSet, When};
use tenken_tests::predict::{
    data,
    disk::{Answers, Disk, Half, Known, Leads, Outcome, Question, Score, disks},
};

const RULES: &str = include_str!("../../../../packaging/rules/default.toml");
/// The rate at which a support desk could look at every alarm.
const RARE: f64 = 0.01;

/// Prints the table; gives how many goals are missed.
pub fn run() -> u64 {
    let Some(data) = data() else {
        println!("disk: skipped, ../shared/data is not there");
        return 1;
    };
    let disks = disks(&data.join("backblaze"));
    let second = table("the second half, which chose nothing", &of(&disks, &[Half::Second]));
    table("the first half, on which it was chosen", &of(&disks, &[Half::First]));
    table("all", &of(&disks, &[Half::First, Half::Second]));
    second
}

fn of<'a>(disks: &'a [Disk], halves: &[Half]) -> Vec<&'a Disk> {
    disks.iter().filter(|disk| halves.contains(&disk.half)).collect()
}

fn table(name: &str, disks: &[&Disk]) -> u64 {
    let questions = [
        ("days 7 to 25, fails within 14 days", Question::two_weeks()),
        ("day 15, fails within 25 days", Question::day_15()),
    ];
    println!("disk: {name}: {} disks", disks.len());
    questions.into_iter().map(|(asked, question)| answered(asked, disks, &question)).sum()
}

fn answered(asked: &str, disks: &[&Disk], question: &Question) -> u64 {
    let answers = |score: Score| Answers::of(disks.iter().copied(), question, score);
    let (any, sum, risk) = (answers(Known::is_any), answers(Known::sum), answers(Known::risk));
    println!("disk:   {asked}: {} answers of disks that fail", risk.failing());
    let fixed = any.from(1.0);
    let row = |what: &str, outcome: Outcome, score: Score| {
        let leads = Leads::of(disks.iter().copied(), score, outcome.threshold);
        println!(
            "disk:     {what:<34} from {:>7.2}: alarms {:>5.2} %, recall {:.3}, precision {:.3}; \
             {} of {} failed disks told before, {} at least 7 days, middle {} days, {} of them by their first reading",
            outcome.threshold,
            100.0 * outcome.rate,
            outcome.recall,
            outcome.precision,
            leads.days.len(),
            leads.failed,
            leads.at_least(7),
            leads.middle().unwrap_or(0),
            leads.from_first,
        );
    };
    row("SMART 5 or 197 above zero", fixed, Known::is_any);
    let same = risk.at_rate(fixed.rate);
    row("risk at that rate", same, Known::risk);
    let half = risk.at_rate(fixed.rate / 2.0);
    row("risk at half of that rate", half, Known::risk);
    let (threshold, rare) = (sum.at_rate(RARE), risk.at_rate(RARE));
    row("5 + 197 over a threshold, at 1 %", threshold, Known::sum);
    row("risk at 1 %", rare, Known::risk);
    for (what, score) in shipped() {
        row(what, risk.from(score), Known::risk);
    }
    let mut missed = 0;
    for (is_met, goal) in [
        (same.recall > fixed.recall, "more than SMART 5 or 197 above zero finds, at its rate"),
        (rare.recall > threshold.recall, "more than a threshold on the sum finds at 1 %"),
    ] {
        if !is_met {
            println!("disk: MISSED: {goal}");
            missed += 1;
        }
    }
    missed
}

fn shipped() -> Vec<(&'static str, f64)> {
    let rules = RuleSet::parse(RULES).expect("the shipped rules are good");
    let mut scores = Vec::new();
    for rule in &rules.rules {
        if let When::FailureRisk(when) = &rule.when {
            scores.push(("risk as shipped", when.score));
            scores.extend(when.critical_score.map(|score| ("risk as shipped, critical", score)));
        }
    }
    scores
}
