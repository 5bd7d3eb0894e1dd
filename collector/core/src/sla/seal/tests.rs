//! Tests of a seal (SLA A6.5(1)①): when a month can be sealed, and what a revision says.

use super::*;

const EXAMPLE: &str = include_str!("../../../../../packaging/config/history.example.json");

fn at(text: &str) -> Timestamp {
    format!("{text}+09:00").parse().unwrap()
}

fn history() -> History {
    History::parse(EXAMPLE).unwrap()
}

fn seal(
    history: &History,
    month: &str,
    as_of: &str,
    before: Option<&MonthSealed>,
) -> Result<MonthSealed, SealError> {
    let computed = SealPoint { as_of: at(as_of), position: 7, heads: Heads::BEGIN };
    let contract: ContractId = "minato-remote".parse().unwrap();
    MonthSealed::new(history, (&contract, month.parse().unwrap()), computed, before)
}

#[test]
fn a_month_is_sealed_when_it_is_over_and_explained() {
    let month: Month = "2026-09".parse().unwrap();
    let end = "2026-10-01T00:00:00";
    let early = seal(&history(), "2026-09", "2026-09-30T23:59:59", None).unwrap_err();
    assert_eq!(early, SealError::NotEnded { month, as_of: at("2026-09-30T23:59:59") });
    let sealed = seal(&history(), "2026-09", end, None).unwrap();
    assert_eq!((sealed.revision, sealed.computed.as_of), (1, at(end)));
    assert!(!sealed.page(Language::En, "csv").unwrap().contains("DRAFT"), "the month is over at its end");
    let mut silent = history();
    silent.explanations.retain(|e| e.item == IndicatorName::Uptime);
    let items = vec![IndicatorName::Response];
    assert_eq!(seal(&silent, "2026-09", end, None).unwrap_err(), SealError::Unexplained { month, items });
    let before = seal(&history(), "2026-03", end, None).unwrap_err();
    assert_eq!(before, SealError::NoContract("2026-03".parse().unwrap()));
}

#[test]
fn a_page_is_found_by_its_form_and_language() {
    let sealed = seal(&history(), "2026-09", "2026-10-05T00:00:00", None).unwrap();
    assert_eq!(sealed.pages.len(), 5);
    let begins = |language, form, text: &str| sealed.page(language, form).unwrap().starts_with(text);
    for (language, title) in [(Language::Ja, "月次報告"), (Language::En, "Monthly report")] {
        assert!(begins(language, "json", "{"));
        assert!(begins(language, "html", "<!DOCTYPE html>"));
        assert!(begins(language, "csv", &format!("\u{feff}{title}")), "{title}");
    }
    assert_eq!(sealed.page(Language::Ja, "pdf"), None);
}

#[test]
fn a_revision_needs_a_difference_and_names_it() {
    let first = seal(&history(), "2026-09", "2026-10-05T00:00:00", None).unwrap();
    let same = seal(&history(), "2026-09", "2026-10-06T00:00:00", Some(&first)).unwrap_err();
    assert_eq!(same, SealError::Unchanged { month: first.month, revision: 1 });
    let mut later = history();
    later.outages[1].note = "written anew".into();
    let second = seal(&later, "2026-09", "2026-10-06T00:00:00", Some(&first)).unwrap();
    assert_eq!(second.revision, 2);
    for language in [Language::Ja, Language::En] {
        let changes = first.changes_to(&second, language);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!(changes[0].after.as_deref(), Some("written anew"));
        let rows: Vec<String> = second.indicators(language).into_iter().map(|(_, row)| row).collect();
        assert!(rows[0].starts_with("98.3553 % / "), "{rows:?}");
        let place = &changes[0].place;
        assert!(second.page(language, "csv").unwrap().contains(place.split(" – ").next().unwrap()));
        assert!(!first.page(language, "csv").unwrap().contains("written anew"));
    }
    // A word that was corrected in one language is a difference too.
    let mut reworded = first.clone();
    reworded.documents[1] = reworded.documents[1].replace("Service uptime", "Uptime");
    assert_ne!(reworded.documents, first.documents);
    assert!(seal(&history(), "2026-09", "2026-10-06T00:00:00", Some(&reworded)).is_ok());
}

#[test]
fn a_seal_keeps_what_is_no_entry_and_nothing_else() {
    let mut history = history();
    let sealed = seal(&history, "2026-09", "2026-10-05T00:00:00", None).unwrap();
    let inputs: Inputs = serde_json::from_str(&sealed.inputs).unwrap();
    // Of incident 2 the first step lies in the month and so do all others; 1 and 4 are of other months.
    let kept: Vec<u64> = inputs.incidents.iter().map(|i| i.incident.0).collect();
    assert_eq!(kept, [2, 3]);
    assert_eq!(inputs.holidays.len(), 17);
    // An incident that goes on into October belongs to both months.
    history.incidents[1].events.last_mut().unwrap().at = at("2026-10-02T10:00:00");
    let of = |month: &str| Inputs::of(&history, month.parse().unwrap()).incidents.len();
    assert_eq!((of("2026-09"), of("2026-10"), of("2026-11")), (2, 1, 0));

    let restored = sealed.again(&self::history(), None).unwrap();
    assert_eq!(restored, sealed);
    let mut foreign = self::history();
    foreign.incidents.clear();
    foreign.holidays = Arc::default();
    assert_eq!(sealed.again(&foreign, None).unwrap(), sealed, "the seal's own inputs count");
}
