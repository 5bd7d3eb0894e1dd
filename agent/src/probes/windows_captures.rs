//! What real Windows machines said, read by the parsers.
//!
//! Holds: every value is as somebody captured it on a machine and published it; the place stands
//! beside it. What was published as milliseconds or as local time without a zone is written here in
//! the form in which Windows hands it over. What each has to come to was worked out from Microsoft's
//! documents.
//!
//! Does not: stand for a machine: what a call does there, and which values it leaves out, only a
//! machine shows.

use super::{
    com::{Row, Variant, of_ole},
    events::event_log::{Entry, SOURCES, Stretch, count},
    every_six_hours, joined,
    names::Names,
    patches::{
        Seen,
        wua::{self, Answer, Applied, Found, Offer, Policy, Version},
    },
    pattern_files::{defender, security_center, standing::Standing},
};
use std::collections::BTreeMap;
use tenken_common::{
    category::Category,
    fact::{PatternFileStatus, PatternState},
    time::Timestamp,
};

/// 25 November 2026.
const NOW: Timestamp = Timestamp::from_secs(1_795_590_000);

fn text(text: &str) -> Variant {
    Variant::Text(text.to_owned())
}

/// Engine, mode, whether the service and the product are on, date, version.
type Captured<'a> = (&'a str, Option<&'a str>, bool, bool, &'a str, &'a str);

fn said_by_defender((engine, mode, service, antivirus, dated, version): Captured<'_>) -> PatternFileStatus {
    let mut row = Row::from([
        ("AMEngineVersion", text(engine)),
        ("AMServiceEnabled", Variant::Flag(service)),
        ("AntivirusEnabled", Variant::Flag(antivirus)),
        ("AntivirusSignatureLastUpdated", if dated.is_empty() { Variant::Empty } else { text(dated) }),
        ("AntivirusSignatureVersion", text(version)),
    ]);
    row.extend(mode.map(|mode| ("AMRunningMode", text(mode))));
    defender::read(&row, &every_six_hours("pattern_files", Category::PatternFile), NOW)
}

#[test]
fn defenders_that_protect() {
    for (captured, dated) in [
        // glpi-project/glpi-agent, issue 868: Server 2022, `wmic`.
        (
            ("1.1.25010.7", Some("Normal"), true, true, "20250311015218.000000+000", "1.423.336.0"),
            "2025-03-11T01:52:18Z",
        ),
        // mondoohq/cnquery, computer status of Server 2016, thirteen days old, 2019 and 2025.
        (
            ("1.1.26070.7", Some("Normal"), true, true, "20260812014648.000000+000", "1.457.122.0"),
            "2026-08-12T01:46:48Z",
        ),
        (
            ("1.1.26070.7", Some("Normal"), true, true, "20260824204136.000000+000", "1.457.328.0"),
            "2026-08-24T20:41:36Z",
        ),
        (
            ("1.1.26070.7", Some("Normal"), true, true, "20260824221818.000000+000", "1.457.329.0"),
            "2026-08-24T22:18:18Z",
        ),
        // Server 2016 with platform 4.10 in a public write-up: it names no mode.
        (
            ("1.1.17400.5", None, true, true, "20200902113151.000000+000", "1.323.392.0"),
            "2020-09-02T11:31:51Z",
        ),
        // A client 867 days behind, in a public README: old, and known to be old.
        (
            ("1.1.18400.5", Some("Normal"), true, true, "20210822172856.000000+000", "1.347.247.0"),
            "2021-08-22T17:28:56Z",
        ),
    ] {
        let status = said_by_defender(captured);
        let (engine, .., version) = captured;
        assert_eq!(status.state, PatternState::Known, "{captured:?}");
        assert_eq!(status.engine.unwrap().as_str(), engine);
        assert_eq!(status.version.unwrap().as_str(), version);
        assert_eq!(status.defined_at.unwrap().to_string(), dated);
    }
}

#[test]
fn defenders_that_do_not() {
    for captured in [
        // Stopped: a server in a public write-up.
        ("0.0.0.0", Some("Not running"), false, false, "", "0.0.0.0"),
        // farag2/Sophia-Script-for-Windows, issue 605: a Russian Windows beside Kaspersky; the mode is
        // in English there too, and the version is an empty text.
        ("0.0.0.0", Some("Not running"), false, false, "", ""),
    ] {
        let status = said_by_defender(captured);
        assert_eq!(status.state, PatternState::Disabled, "{captured:?}");
        assert_eq!((status.engine, status.version, status.defined_at), (None, None, None));
    }
    // glpi-project/glpi-agent, issue 565: Server 2012 R2 has no such namespace.
    assert_eq!(
        defender::refused(0x8004_100E, &every_six_hours("pattern_files", Category::PatternFile)),
        None
    );
}

/// Of every machine: its products with id and state; those that are told where Defender is switched off.
type Machine<'a> = (&'a [(&'a str, &'a str, i64)], &'a [&'a str]);

const OWN: &str = "{D68DDC3A-831F-4fae-9E44-DA132C1ACF46}";

#[test]
fn the_security_centers_of_clients() {
    let machines: [Machine<'_>; 9] = [
        // Public dumps of `Get-CimInstance`, of clients of 2020 to 2023.
        (
            &[
                ("Trend Micro Antivirus+", "{AFEE279F-FAE7-BAEE-3A88-4BF7277B8551}", 266_240),
                ("Sophos Home", "{FFADE7EA-DC92-4602-D6B2-626CD3450A0F}", 331_776),
                ("Windows Defender", OWN, 393_472),
            ],
            &["h:", "h:"],
        ),
        (
            &[
                ("Sentinel Agent", "{3D89204D-BBC3-1E6D-4923-AC225AFFE196}", 266_240),
                ("Windows Defender", OWN, 393_472),
            ],
            &["h:"],
        ),
        (
            &[
                ("Windows Defender", OWN, 393_472),
                ("火绒安全软件", "{4C17E7AE-043A-D732-91B8-D139C9EB6B26}", 266_240),
            ],
            &["h:"],
        ),
        // Windows 10 and 7 with Microsoft's own.
        (&[("Windows Defender", OWN, 397_568)], &["defender"]),
        (&[("Microsoft Security Essentials", "{B7ECF8CD-0188-6703-DBA4-AA65C6ACFB0A}", 397_328)], &["h:"]),
        // mondoohq/cnquery: the second was replaced half a year before, and is listed still.
        (
            &[
                ("Windows Defender", OWN, 393_472),
                ("Sophos Intercept X", "{F6EF0F75-4CCD-059F-B5E3-F43DFF8ECEEF}", 266_240),
                ("Sophos Anti-Virus", "{8E0623B8-CF1C-DFFE-CEA3-AA41BDA4B8EE}", 331_776),
            ],
            &["Sophos-Intercept-X", "Sophos-Anti-Virus"],
        ),
        // Digirati, on monitoring Windows' security products.
        (
            &[("Symantec Endpoint Protection", "{D8BEB080-B73A-17E3-1B37-B6B462689202}", 462_848)],
            &["Symantec-Endpoint-Protection"],
        ),
        // Ylianst/MeshCentral, issue 7008: registered three times; the ids were not published.
        (
            &[
                ("ESET Security", "{1}", 266_240),
                ("ESET Security", "{2}", 266_240),
                ("Windows Defender", OWN, 393_472),
                ("ESET Security", "{3}", 266_240),
            ],
            &["ESET-Security"],
        ),
        // mondoohq/cnquery: nothing is registered.
        (&[], &["defender"]),
    ];
    let info = every_six_hours("pattern_files", Category::PatternFile);
    let names = Names::new(&[], [1; 32]);
    for (products, expected) in machines {
        let row = |(name, id, state): &(&str, &str, i64)| {
            let state = Variant::Integer(*state);
            Row::from([("displayName", text(name)), ("instanceGuid", text(id)), ("productState", state)])
        };
        let products = security_center::read(&products.iter().map(row).collect::<Vec<_>>());
        let off = said_by_defender(("0.0.0.0", Some("Not running"), false, false, "", "0.0.0.0"));
        let told = Standing { defender: Some(off), products }.told(false, &names, &info);
        let shown = |name: &str| if name.starts_with("h:") { "h:".to_owned() } else { name.to_owned() };
        assert_eq!(told.iter().map(|(name, _)| shown(name.as_str())).collect::<Vec<_>>(), *expected);
        assert!(told.iter().all(|(_, status)| status.state != PatternState::Known), "{told:?}");
    }
}

const SECURITY_UPDATES: &str = "0fa1201d-4330-4fa8-8ae9-b877473b6441";
const UPDATES: &str = "cd5ffd1e-e932-4e3a-bf74-18bf0b1bbd83";
const ROLLUPS: &str = "28bc880e-0592-4cbf-8f95-c79b17911d5f";
const DEFINITIONS: &str = "e0789628-ce08-4437-be74-2495b842f43b";

fn offer(id: &str, revision: i32, severity: &str, category: &str, changed_at: Option<f64>) -> Offer {
    Offer {
        id: Some(id.to_owned()),
        revision: Some(revision),
        categories: Some(vec![category.to_owned()]),
        severity: Some(severity.to_owned()),
        changed_at,
        supersedes: vec![],
    }
}

fn searched(offers: Vec<Offer>, applied: Vec<Applied>) -> Seen {
    let found = Ok(Found { result: Some(2), offers });
    let answer = Answer { found, applied, searched_at: Variant::Date(46_350.0), reboot_needed: Some(false) };
    wua::read(answer, Policy::default(), None, NOW).unwrap()
}

/// How many are pending, how many of them of security, and since when the oldest of those.
fn pending(seen: &Seen) -> (usize, usize, Option<String>) {
    let all = seen.pending.as_ref().unwrap();
    let security = || all.iter().filter(|one| one.security);
    let oldest = security().filter_map(|one| one.published_at).min();
    (all.len(), security().count(), oldest.map(|at| at.to_string()))
}

#[test]
fn offered_updates() {
    // mondoohq/cnquery: Server 2019. A cumulative update has no severity; its category tells.
    let server = searched(
        vec![
            offer("b8ea1a5b-3636-4905-ae4b-d171014df7a6", 201, "", UPDATES, None),
            offer("0b669361-bcf2-4c1c-b4fb-e5629cfdc3c0", 200, "Critical", SECURITY_UPDATES, None),
            offer("64397bd2-cf99-4002-bdc8-0af7e4605c2a", 202, "", UPDATES, None),
            offer("884a6101-3b1a-4b53-bede-2f8b6bf14772", 202, "", UPDATES, None),
            offer("0689e74b-54d1-4f55-a916-96e3c737db90", 200, "", ROLLUPS, None),
            offer("6ecd5165-4ba0-4058-b0fd-8b8b6f914516", 1, "", SECURITY_UPDATES, None),
        ],
        vec![],
    );
    assert_eq!(pending(&server), (6, 2, None));
    // A German Windows 10 22H2, a whole update of PSWindowsUpdate: installed, and pending until the restart.
    let waiting = offer("kb5032339", 200, "Important", UPDATES, Some(45_244.0));
    assert_eq!(pending(&searched(vec![waiting], vec![])), (1, 1, Some("2023-11-14T00:00:00Z".to_owned())));
    // Server 2012 R2, as a module of Puppet reports it.
    let two = vec![
        offer("kb3000483", 200, "Critical", SECURITY_UPDATES, Some(42_045.0)),
        offer("kb4048961", 200, "Critical", SECURITY_UPDATES, Some(43_053.0)),
    ];
    assert_eq!(pending(&searched(two, vec![])), (2, 2, Some("2015-02-10T00:00:00Z".to_owned())));
    // ansible/ansible, issue 60785: Server 2016 is offered nothing but definitions.
    let definitions = offer("kb2267602", 200, "", DEFINITIONS, None);
    assert_eq!(pending(&searched(vec![definitions], vec![])), (1, 0, None));
}

#[test]
fn applied_updates() {
    let ole = |unix: f64| unix / 86_400.0 + 25_569.0;
    let entry = |unix: f64, category: &str, result| Applied {
        operation: Some(1),
        result: Some(result),
        at: Some(ole(unix)),
        categories: Some(vec![category.to_owned()]),
    };
    // fleetdm/fleet: two definitions, the malicious software tool, a patch; the categories are those of
    // such updates.
    let history = vec![
        entry(1_659_392_951.0, DEFINITIONS, 2),
        entry(1_658_271_402.0, DEFINITIONS, 2),
        entry(1_658_226_954.0, ROLLUPS, 2),
        entry(1_658_225_364.0, UPDATES, 2),
    ];
    assert_eq!(searched(vec![], history).applied_at.unwrap().to_string(), "2022-07-19T10:35:54Z");
    // A Polish Windows 7 in the help of PSWindowsUpdate: result 1 is one that is under way.
    let under_way = entry(1_323_955_573.0, UPDATES, 1);
    assert_eq!(searched(vec![], vec![under_way]).applied_at, None);
    assert_eq!(of_ole(ole(1_323_955_573.0)).unwrap().to_string(), "2011-12-15T13:26:13Z");
}

#[test]
fn builds() {
    let version = |build: &str, revision| Version {
        major: Some(10),
        minor: Some(0),
        before: Some("6.3".to_owned()),
        build: Some(build.to_owned()),
        revision: Some(revision),
    };
    for (build, revision, shown) in [
        ("22631", 0x116c, "10.0.22631.4460"),
        // Windows 11, whose registry calls it Windows 10.
        ("26200", 0x2109, "10.0.26200.8457"),
        ("19044", 0x1cf9, "10.0.19044.7417"),
        // mondoohq/cnquery: Server 2016, whose `CurrentVersion` is 6.3.
        ("14393", 9_418, "10.0.14393.9418"),
    ] {
        assert_eq!(version(build, revision).name().unwrap().as_str(), shown);
    }
}

/// Of every log: how often a provider said a number, and all of it together.
type Log<'a> = (&'a [(&'a str, u16, u64)], u64);

#[test]
fn event_logs() {
    // Critical entries and errors of whole logs, in omerbenamram/evtx, williballenthin/python-evtx and
    // Yamato-Security/hayabusa-sample-evtx: Windows 7, 10 1703, 10 1803, a file server of 2021.
    let logs: [Log<'_>; 4] = [
        (
            &[
                ("TermDD", 56, 2),
                ("TermDD", 50, 1),
                ("EventLog", 6_008, 2),
                ("Microsoft-Windows-Kernel-Power", 41, 2),
                ("volsnap", 36, 1),
                ("Microsoft-Windows-WER-SystemErrorReporting", 1_001, 1),
                ("NETLOGON", 5_783, 1),
            ],
            10,
        ),
        (
            &[
                ("Microsoft-Windows-DistributedCOM", 10_016, 16),
                ("Microsoft-Windows-DistributedCOM", 10_005, 1),
                ("Microsoft-Windows-DistributedCOM", 10_010, 1),
                ("Service Control Manager", 7_023, 12),
                ("Service Control Manager", 7_000, 3),
                ("Service Control Manager", 7_030, 1),
                ("Microsoft-Windows-WindowsUpdateClient", 20, 5),
                ("BTHUSB", 17, 2),
            ],
            41,
        ),
        (
            &[
                ("Microsoft-Windows-DistributedCOM", 10_016, 61),
                ("LsaSrv", 6_041, 8),
                ("Microsoft-Windows-NDIS", 10_317, 1),
            ],
            70,
        ),
        (&[("Service Control Manager", 7_009, 244), ("Service Control Manager", 7_000, 244)], 488),
    ];
    let names = Names::new(&[], [1; 32]);
    for (log, errors) in logs {
        let one = |source: &str, id, record| Entry { source: Some(source.to_owned()), id, record };
        let entries = log.iter().flat_map(|(source, id, n)| (0..*n).map(|r| one(source, Some(*id), Some(r))));
        let mut counts = BTreeMap::new();
        count(entries.collect(), &mut counts);
        assert_eq!(counts.values().flat_map(BTreeMap::values).sum::<u64>(), errors);
        for (source, id, n) in log {
            assert_eq!(counts[*source][&Some(*id)], *n, "{source} {id}");
            assert_eq!(names.among(&joined(source), &SOURCES).as_str(), joined(source));
        }
    }
    // A database whose name somebody chose, in an Application log: it stays on the device.
    assert!(names.among(&joined("MSSQL$RADAR"), &SOURCES).as_str().starts_with("h:"));
    // open-telemetry/opentelemetry-collector-contrib: numbers go on after a log was cleared.
    assert!(Stretch::new(Some(2_590_520), Some(2_590_526)).query().unwrap().contains("> 2590520"));
}
