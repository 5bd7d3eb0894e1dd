//! The dashboards are those of their source, and well formed.

use std::{collections::BTreeSet, fs};
use tenken_tests::grafana::{generated, shipped};

#[test]
fn the_dashboards_are_those_of_the_source() {
    let generated = generated();
    if std::env::var_os("TENKEN_BLESS").is_some() {
        for (path, value) in &generated {
            fs::write(path, format!("{value:#}\n")).unwrap();
        }
    }
    let mut generated = generated;
    generated.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(shipped(), generated);
}

#[test]
fn the_dashboards_are_well_formed() {
    let mut uids = BTreeSet::new();
    for (path, dashboard) in shipped() {
        let path = path.display();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        assert!(uids.insert(text(&dashboard["uid"])), "{path}: the uid of another");
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in panels {
            let title = text(&panel["title"]);
            assert!(ids.insert(number(&panel["id"])), "{path}: {title}: the id of another");
            assert!(title.contains(" / "), "{path}: {title}: in one language only");
            assert!(titles.insert(title.clone()), "{path}: {title} is there twice");
            assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{path}: {title}");
            let at = |key: &str| number(&panel["gridPos"][key]);
            assert!(at("x") + at("w") <= 24 && at("w") > 0 && at("h") > 0, "{path}: {title}");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(cells.insert((x, y)), "{path}: {title} lies over another");
                }
            }
            let targets = panel["targets"].as_array().unwrap();
            let references: BTreeSet<_> = targets.iter().map(|t| text(&t["refId"])).collect();
            assert!(!targets.is_empty() && references.len() == targets.len(), "{path}: {title}");
            for part in std::iter::once(panel).chain(targets) {
                assert_eq!(part["datasource"]["uid"], "${datasource}", "{path}: {title}");
            }
        }
        assert!(panels.len() > 10, "{path}");
    }
    assert_eq!(uids.len(), 3);
}
