//! The rules of a contract as they stand in its text, and how they are read.
//!
//! Holds: all problems come at once, with their key paths.

use super::{
    contract::text,
    rules::{
        ChecklistCount, ChecklistItem, Counting, CurrencyCount, CurrencyKind, CurrencyTerms, ExclusionClass,
        ExclusionRule, Grade, Grades, MonthDay, ResponseCount, Rules, UnknownCount, UptimeCount,
    },
    terms::{accept, required},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenken_common::{
    config::{HumanDuration, Problems},
    id::Name,
};

/// The sections as they stand in the contract's text.
#[derive(Debug, Clone, Default)]
pub(super) struct RulesFile {
    pub(super) evaluation_year_starts: Option<MonthDay>,
    pub(super) exclusion_rules: Vec<ExclusionRuleFile>,
    pub(super) currency: Option<CurrencyFile>,
    pub(super) checklist: Vec<ChecklistFile>,
    pub(super) counting: Option<CountingFile>,
    pub(super) grades: Option<GradesFile>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExclusionRuleFile {
    id: Option<Name>,
    class: Option<ExclusionClass>,
    reason: Option<String>,
    notice: Option<HumanDuration>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CurrencyFile {
    pattern_file: Option<HumanDuration>,
    os_patch: Option<HumanDuration>,
    middleware_patch: Option<HumanDuration>,
    report_max_age: Option<HumanDuration>,
    provider_devices: BTreeSet<Name>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ChecklistFile {
    id: Option<Name>,
    title: Option<String>,
    due: Option<MonthDay>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CountingFile {
    uptime: Option<UptimeCount>,
    response: Option<ResponseCount>,
    currency: Option<CurrencyCount>,
    checklist: Option<ChecklistCount>,
    unknown: Option<UnknownCount>,
}

/// Ranges such as `"0"`, `"1-2"`, `"6-"`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "UPPERCASE")]
pub(super) struct GradesFile {
    a: Option<String>,
    b: Option<String>,
    c: Option<String>,
    d: Option<String>,
}

/// One week ahead (A6.5(3)①), where a pre-agreed rule does not say otherwise.
const NOTICE: Duration = Duration::from_hours(7 * 24);

impl RulesFile {
    /// `None` only with a problem noted.
    pub(super) fn read(self, problems: &mut Problems) -> Option<Rules> {
        let mut exclusions = BTreeMap::new();
        for (i, file) in self.exclusion_rules.into_iter().enumerate() {
            let key = format!("exclusion_rules.{i}");
            if let Some((id, rule)) = file.read(&key, problems)
                && exclusions.insert(id.clone(), rule).is_some()
            {
                problems.push(format!("{key}.id"), format!("`{id}` is there twice"));
            }
        }
        let mut checklist = BTreeMap::new();
        for (i, file) in self.checklist.into_iter().enumerate() {
            let key = format!("checklist.{i}");
            let id = required(file.id, &format!("{key}.id"), problems);
            let title = text(file.title, &format!("{key}.title"), problems);
            let due = required(file.due, &format!("{key}.due"), problems);
            if let (Some(id), Some(title), Some(due)) = (id, title, due)
                && checklist.insert(id.clone(), ChecklistItem { title, due }).is_some()
            {
                problems.push(format!("{key}.id"), format!("`{id}` is there twice"));
            }
        }
        let year_start = self.evaluation_year_starts.unwrap_or_default();
        accept(
            year_start.is_first_of_month(),
            "evaluation_year_starts",
            "is the first of a month, since months are what is evaluated",
            problems,
        );
        let has_grades = self.grades.is_some();
        let counting = self.counting.map(|file| file.read(problems));
        accept(
            !has_grades || counting.is_some(),
            "counting",
            "is missing: [grades] needs to know what is counted",
            problems,
        );
        let grades = self.grades.map(|file| file.read(problems));
        let currency = self.currency.map(|file| file.read(problems));
        Some(Rules {
            exclusions,
            currency: if let Some(read) = currency { Some(read?) } else { None },
            checklist,
            counting: if let Some(read) = counting { Some(read?) } else { None },
            grades: if let Some(read) = grades { Some(read?) } else { None },
            year_start,
        })
    }
}

impl ExclusionRuleFile {
    fn read(self, key: &str, problems: &mut Problems) -> Option<(Name, ExclusionRule)> {
        let id = required(self.id, &format!("{key}.id"), problems);
        let class = required(self.class, &format!("{key}.class"), problems);
        let reason = text(self.reason, &format!("{key}.reason"), problems);
        accept(
            class != Some(ExclusionClass::Other) || self.notice.is_none(),
            &format!("{key}.notice"),
            "belongs to the class pre_agreed only",
            problems,
        );
        let class = class?;
        let notice = match class {
            ExclusionClass::PreAgreed => self.notice.map_or(NOTICE, |d| d.0),
            ExclusionClass::Other => Duration::ZERO,
        };
        Some((id?, ExclusionRule { class, reason: reason?, notice }))
    }
}

impl CurrencyFile {
    fn read(self, problems: &mut Problems) -> Option<CurrencyTerms> {
        let report_max_age = required(self.report_max_age, "currency.report_max_age", problems);
        let limits: BTreeMap<CurrencyKind, Duration> = [
            (CurrencyKind::PatternFile, self.pattern_file),
            (CurrencyKind::OsPatch, self.os_patch),
            (CurrencyKind::MiddlewarePatch, self.middleware_patch),
        ]
        .into_iter()
        .filter_map(|(kind, limit)| Some((kind, limit?.0)))
        .collect();
        accept(
            !limits.is_empty(),
            "currency",
            "names no limit (pattern_file, os_patch or middleware_patch)",
            problems,
        );
        let provider_devices = self.provider_devices;
        Some(CurrencyTerms { limits, report_max_age: report_max_age?.0, provider_devices })
    }
}

impl CountingFile {
    fn read(self, problems: &mut Problems) -> Option<Counting> {
        let uptime = required(self.uptime, "counting.uptime", problems);
        let response = required(self.response, "counting.response", problems);
        let currency = required(self.currency, "counting.currency", problems);
        let checklist = required(self.checklist, "counting.checklist", problems);
        let unknown = required(self.unknown, "counting.unknown", problems);
        Some(Counting {
            uptime: uptime?,
            response: response?,
            currency: currency?,
            checklist: checklist?,
            unknown: unknown?,
        })
    }
}

impl GradesFile {
    /// Each range begins where the one before it ended.
    fn read(self, problems: &mut Problems) -> Option<Grades> {
        let mut next = Some(0u32);
        let mut last_of = |grade: Grade, text: Option<String>, open: bool| -> Option<u32> {
            let key = format!("grades.{}", grade.as_str());
            let text = required(text, &key, problems)?;
            let Some((from, to)) = range(&text) else {
                problems.push(
                    key,
                    format!("`{text}` is no range of counts (write it like \"0\", \"1-2\" or \"6-\")"),
                );
                next = None;
                return None;
            };
            accept(
                to.is_none() == open,
                &key,
                if open {
                    "has no end (write it like \"6-\")"
                } else {
                    "needs an end (write it like \"1-2\")"
                },
                problems,
            );
            if let Some(expected) = next {
                let (gap, overlap) = (from > expected, from < expected);
                let counts = |a: u32, b: u32| if a == b { format!("{a}") } else { format!("{a}-{b}") };
                if gap {
                    let left = counts(expected, from - 1);
                    problems.push(key, format!("leaves a gap: no grade is given for {left} misses"));
                } else if overlap {
                    let twice = counts(from, expected - 1);
                    problems.push(key, format!("overlaps: {twice} misses already have a grade"));
                }
            }
            next = to.and_then(|to| to.checked_add(1));
            to
        };
        let a = last_of(Grade::A, self.a, false);
        let b = last_of(Grade::B, self.b, false);
        let c = last_of(Grade::C, self.c, false);
        let _open = last_of(Grade::D, self.d, true);
        Some(Grades { a: a?, b: b?, c: c? })
    }
}

/// `"3-5"`, `"3"` or `"3-"`; the end belongs to it.
fn range(text: &str) -> Option<(u32, Option<u32>)> {
    let number = |t: &str| t.trim().parse::<u32>().ok();
    let (from, to) = match text.split_once('-') {
        None => (number(text)?, Some(number(text)?)),
        Some((from, to)) if to.trim().is_empty() => (number(from)?, None),
        Some((from, to)) => (number(from)?, Some(number(to)?)),
    };
    to.is_none_or(|to| from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::contract::{Contract, EXAMPLE, Party};

    fn keys(text: &str) -> Vec<String> {
        Contract::parse(text).unwrap_err().iter().map(|p| p.key.clone()).collect()
    }

    fn grades(a: &str, b: &str, c: &str, d: &str) -> Result<Grades, Vec<String>> {
        let file = GradesFile { a: Some(a.into()), b: Some(b.into()), c: Some(c.into()), d: Some(d.into()) };
        let mut problems = Problems::default();
        let read = file.read(&mut problems);
        let found: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.key, p.text)).collect();
        if found.is_empty() { Ok(read.unwrap()) } else { Err(found) }
    }

    #[test]
    fn the_thresholds_of_the_requirements() {
        let read = grades("0", "1-2", "3-5", "6-").unwrap();
        let of: Vec<&str> = [0, 1, 2, 3, 5, 6, u32::MAX].map(|n| read.of(n).as_str()).into();
        assert_eq!(of, ["A", "B", "B", "C", "C", "D", "D"]);
    }

    #[test]
    fn gaps_and_overlaps_are_refused() {
        for (ranges, problem) in [
            (["0", "2-2", "3-5", "6-"], "grades.B: leaves a gap: no grade is given for 1 misses"),
            (["0", "1-2", "3-5", "9-"], "grades.D: leaves a gap: no grade is given for 6-8 misses"),
            (["0", "1-3", "3-5", "6-"], "grades.C: overlaps: 3 misses already have a grade"),
            (["1-2", "3", "4", "5-"], "grades.A: leaves a gap: no grade is given for 0 misses"),
            (["0", "1-2", "3-", "6-"], "grades.C: needs an end (write it like \"1-2\")"),
            (["0", "1-2", "3-5", "6-9"], "grades.D: has no end (write it like \"6-\")"),
            (
                ["0", "2-1", "3-5", "6-"],
                "grades.B: `2-1` is no range of counts (write it like \"0\", \"1-2\" or \"6-\")",
            ),
        ] {
            let [a, b, c, d] = ranges;
            assert_eq!(grades(a, b, c, d).unwrap_err(), [problem]);
        }
    }

    #[test]
    fn a_section_that_is_there_is_whole() {
        for (section, expected) in [
            ("[grades]\nA = \"0\"", vec!["counting", "grades.B", "grades.C", "grades.D"]),
            (
                "[counting]\nuptime = \"month\"",
                vec!["counting.response", "counting.currency", "counting.checklist", "counting.unknown"],
            ),
            ("[currency]", vec!["currency.report_max_age", "currency"]),
            ("[[exclusion_rules]]\nid = \"a\"", vec!["exclusion_rules.0.class", "exclusion_rules.0.reason"]),
            ("[[checklist]]\nid = \"x\"\ntitle = \"x\"", vec!["checklist.0.due"]),
        ] {
            assert_eq!(keys(&format!("{}\n{section}\n", base())), expected, "{section}");
        }
        let twice = "[[checklist]]\nid='a'\ntitle='x'\ndue='03-31'\n".repeat(2);
        assert_eq!(keys(&format!("{}\n{twice}", base())), ["checklist.1.id"]);
        assert!("02-29".parse::<MonthDay>().is_err() && "02-28".parse::<MonthDay>().is_ok());
        let late = base().replace("evaluation_year_starts = \"04-01\"", "evaluation_year_starts = \"04-02\"");
        assert_eq!(keys(&late), ["evaluation_year_starts"]);
    }

    /// The example up to its rules.
    fn base() -> String {
        let rules = EXAMPLE.find("# 評価の規則").expect("the example has a part with the rules");
        EXAMPLE[..rules].to_owned()
    }

    #[test]
    fn without_rules_there_are_none() {
        let contract = Contract::parse(&base()).unwrap();
        assert_eq!(contract.rules, Rules::default());
    }

    #[test]
    fn the_example_has_every_rule() {
        let rules = Contract::parse(EXAMPLE).unwrap().rules;
        assert_eq!(rules.grades.unwrap().of(5), Grade::C);
        assert_eq!(rules.exclusions.len(), 2);
        let currency = rules.currency.unwrap();
        assert_eq!(currency.limits.len(), 2);
        assert_eq!(currency.responsible(&Name::new("vpn-1").unwrap()), Party::Provider);
        assert_eq!(currency.responsible(&Name::new("ct-1").unwrap()), Party::Customer);
        assert_eq!(rules.checklist.len(), 1);
    }

    #[test]
    fn a_rule_is_there_once_and_only_a_planned_stop_is_announced() {
        let rule = |class: &str, notice: &str| {
            format!("[[exclusion_rules]]\nid='a'\nreason='x'\nclass='{class}'\n{notice}\n")
        };
        let of = |rules: &str| format!("{}\n{rules}", base());
        assert_eq!(keys(&of(&rule("other", "").repeat(2))), ["exclusion_rules.1.id"]);
        assert_eq!(keys(&of(&rule("other", "notice='7d'"))), ["exclusion_rules.0.notice"]);
        let notice = |text: &str| {
            let rules = Contract::parse(&of(text)).unwrap().rules;
            rules.exclusions.values().next().unwrap().notice.as_secs() / 86_400
        };
        assert_eq!(notice(&rule("pre_agreed", "")), 7, "A6.5(3)①");
        assert_eq!(notice(&rule("pre_agreed", "notice='14d'")), 14);
        assert_eq!(notice(&rule("other", "")), 0);
    }

    #[test]
    fn the_ranges_of_the_grades() {
        let read = grades("0", "1-2", "3-5", "6-").unwrap();
        let ranges = Grade::ALL.map(|grade| read.range(grade));
        assert_eq!(ranges, [(0, Some(0)), (1, Some(2)), (3, Some(5)), (6, None)]);
        assert!(grades("0", "1", "2", "3-").is_ok(), "a range of one count");
    }
}
