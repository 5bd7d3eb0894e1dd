//! The catalogue says the same in both languages.

use super::*;

fn placeholders(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn both_languages_say_the_same_things() {
    let both = [Language::Ja, Language::En];
    let mut all = Vec::new();
    macro_rules! take {
        ($($part:ident),*) => {
            $(all.extend($part::ALL.iter().map(|m| (format!("{m:?}"), both.map(|l| m.template(l))))));*
        };
    }
    take!(Message, ReportText, EvidenceText, ContractText, DeskText, DeviceText, PredictText, ServiceText);
    for (name, [ja, en]) in all {
        assert!(!ja.is_empty() && !en.is_empty(), "{name} is empty");
        assert_eq!(placeholders(ja), placeholders(en), "{name}");
    }
}

#[test]
fn a_value_is_not_a_template() {
    let text = Message::SlaMissCount.fill(Language::En, &[("count", "{open}"), ("open", "2")]);
    assert!(text.contains("{open}") && text.contains('2'), "{text}");
}
