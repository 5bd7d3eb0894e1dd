//! The shipped rules are good, and bad ones are told with their places.

use super::*;

const DEFAULT: &str = include_str!("../../../../../packaging/rules/default.toml");

#[test]
fn the_default_rules_are_good() {
    let rules = RuleSet::parse(DEFAULT).unwrap_or_else(|p| panic!("{p:#?}"));
    let ids: Vec<&str> = rules.rules.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "disk-filling",
            "inodes-filling",
            "disk-full",
            "inodes-full",
            "service-down",
            "sensor-over-limit",
            "clock-skew",
            "silent-device",
            "unusual",
            "wear-part",
            "ssd-wear",
            "ssd-spare",
            "battery-weak",
            "ups",
            "disk-failing",
            "certificate",
            "disk-health",
            "raid-degraded",
            "read-only",
            "neighbour-down",
            "plugin",
            "self-diagnosis",
            "pattern-file-old",
            "patches-overdue",
            "silent-hospital",
            "identity-doubt"
        ]
    );
    let needs = rules.needs();
    let of = |q: &str| {
        needs.iter().find(|n| n.quantity.as_ref().is_some_and(|n| n.as_str() == q)).map(|n| n.history)
    };
    assert_eq!(of("available_bytes"), Some(Duration::from_hours(30 * 24)));
    assert_eq!(of("pending_sectors"), Some(Duration::from_hours(30 * 24 + 49)));
    assert_eq!(of("power_on_seconds"), of("pending_sectors"));
    assert_eq!((of("inodes_total"), of("critical_celsius")), (None, None));
    let numbers = rules.numbers();
    let numbers: Vec<&str> = numbers.iter().map(|(_, quantity)| quantity.as_str()).collect();
    assert_eq!(
        numbers,
        ["inodes_total", "celsius", "critical_celsius", "spare_threshold_ratio", "uptime_seconds"]
    );
}

#[test]
fn all_problems_come_with_their_places() {
    let text = DEFAULT
        .replace("{days_left}", "{dayz_left}")
        .replace("critical_within = \"3d\"", "critical_within = \"40d\"")
        .replace("id = \"service-down\"", "id = \"service-down\"\ngroups = [\"a\"]\nexcept_groups = [\"b\"]")
        .replace("id = \"silent-hospital\"", "id = \"silent-hospital\"\ngroups = [\"a\"]")
        .replace("probe = \"services\"", "probe = \"services\"\nprobes = 1")
        .replace("id = \"inodes-filling\"", "id = \"disk-filling\"")
        .replace("covers = [\"disk-full\"]", "covers = [\"disk-ful\"]")
        .replace("within = \"30m\"", "within = \"0s\"")
        .replace("\nscore = 10.0", "\nscore = 0.0")
        .replace("critical_score = 16.0", "critical_score = nan")
        .replace("\"offline_uncorrectable\"", "\"power_on_seconds\"");
    let problems = RuleSet::parse(&text).unwrap_err();
    let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
    for key in [
        "rule.0.summary.ja",
        "rule.0.summary.en",
        "rule.0.when.forecast.critical_within",
        "rule.1.id",
        "rule.4.when.check.probes",
        "rule.0.covers",
        "rule.4.except_groups",
        "rule.24.groups",
        "unacknowledged.within",
        "rule.14.when.failure_risk.score",
        "rule.14.when.failure_risk.critical_score",
        "rule.14.when.failure_risk.counters",
    ] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
}
