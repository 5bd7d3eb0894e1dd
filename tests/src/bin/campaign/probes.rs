//! The probes' parsers against outputs of real tools, beside a second reading of the same file.
//!
//! Holds: a value counts as expected only where something else than the parser says so: the fields
//! of the JSON by their pointers, another program's reading, what came with the case. Every file is
//! then damaged at random as often as asked for, and no parser may panic over it.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
};
use tenken_agent::probes::conformance::{
    Format, Point, apt_counts, clamav_header, exposition, perfdata, smart_disk,
};
use tenken_common::observation::CheckState;
use tenken_tests::adversary::draw::Draw;

/// What came of one case.
enum Outcome {
    Expected,
    ClearError,
    Wrong(String),
}

#[derive(Default)]
struct Class {
    cases: u64,
    expected: u64,
    errors: u64,
    wrong: Vec<String>,
    panics: u64,
    damaged: u64,
}

struct Table {
    classes: BTreeMap<&'static str, Class>,
    draw: Draw,
    damages: u32,
}

impl Table {
    /// One case, and then its bytes damaged: `judge` is only to live through those.
    fn case(&mut self, name: &'static str, bytes: &[u8], judge: impl Fn(&[u8]) -> Outcome) {
        let class = self.classes.entry(name).or_default();
        class.cases += 1;
        match catch_unwind(AssertUnwindSafe(|| judge(bytes))) {
            Ok(Outcome::Expected) => class.expected += 1,
            Ok(Outcome::ClearError) => class.errors += 1,
            Ok(Outcome::Wrong(what)) => class.wrong.push(what),
            Err(_) => class.panics += 1,
        }
        // Of an empty text there is nothing to damage.
        let damages = if bytes.is_empty() { 0 } else { self.damages };
        for _ in 0..damages {
            let mut altered = self.draw.altered(bytes);
            if self.draw.once_in(2) {
                altered.truncate(self.draw.below(altered.len().max(1)));
            }
            class.damaged += 1;
            class.panics += u64::from(catch_unwind(AssertUnwindSafe(|| drop(judge(&altered)))).is_err());
        }
    }

    fn print(&self) -> u64 {
        println!(
            "{:<32} {:>6} {:>9} {:>6} {:>6} {:>8} {:>7}",
            "class", "cases", "expected", "error", "wrong", "damaged", "panics"
        );
        for (name, class) in &self.classes {
            let wrong = class.wrong.len();
            println!(
                "{name:<32} {:>6} {:>9} {:>6} {wrong:>6} {:>8} {:>7}",
                class.cases, class.expected, class.errors, class.damaged, class.panics
            );
            for what in class.wrong.iter().take(5) {
                println!("  {what}");
            }
        }
        self.classes.values().map(|class| class.panics + u64::try_from(class.wrong.len()).unwrap_or(1)).sum()
    }
}

/// Every file `n` times damaged.
pub fn run(n: u32, seed: u64) -> u64 {
    let mut table = Table { classes: BTreeMap::new(), draw: Draw::new(seed), damages: n };
    smart(&mut table);
    apt(&mut table);
    clamav(&mut table);
    open_metrics(&mut table);
    textfiles(&mut table);
    plugins(&mut table);
    table.print()
}

/// Beside the repository, as it is laid out where the files were fetched.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name)
}

/// The files of a folder, by name; a folder that is not there breaks the campaign off.
fn files(name: &str, ends: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder(name))
        .expect("the data is beside the repository")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.to_string_lossy().ends_with(ends) && path.is_file())
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("it can be read")
}

fn shown(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn smart(table: &mut Table) {
    for name in ["probes/smartctl_exporter", "probes/scrutiny_smartctl"] {
        for path in files(name, ".json") {
            table.case("smartctl --json", &read(&path), |bytes| smart_case(&shown(&path), &text(bytes)));
        }
    }
}

/// Quantity, where its field is, and what it is multiplied with.
const SMART_FIELDS: [(&str, &str, f64); 9] = [
    ("celsius", "/temperature/current", 1.0),
    ("power_on_seconds", "/power_on_time/hours", 3_600.0),
    ("power_cycles", "/power_cycle_count", 1.0),
    ("grown_defects", "/scsi_grown_defect_list", 1.0),
    ("wear_used_ratio", "/nvme_smart_health_information_log/percentage_used", 0.01),
    ("available_spare_ratio", "/nvme_smart_health_information_log/available_spare", 0.01),
    ("written_bytes", "/nvme_smart_health_information_log/data_units_written", 512_000.0),
    ("media_errors", "/nvme_smart_health_information_log/media_errors", 1.0),
    ("unsafe_shutdowns", "/nvme_smart_health_information_log/unsafe_shutdowns", 1.0),
];
const SMART_ATTRIBUTES: [(&str, u64); 6] = [
    ("reallocated_sectors", 5),
    ("reported_uncorrectable", 187),
    ("command_timeouts", 188),
    ("pending_sectors", 197),
    ("offline_uncorrectable", 198),
    ("link_errors", 199),
];

fn smart_case(name: &str, printed: &str) -> Outcome {
    let Ok(json) = serde_json::from_str::<Value>(printed) else {
        return if smart_disk(printed).is_err() {
            Outcome::ClearError
        } else {
            Outcome::Wrong(format!("{name}: no JSON, and read"))
        };
    };
    let Ok((values, state)) = smart_disk(printed) else { return Outcome::ClearError };
    let value = |wanted: &str| values.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let opened = json.pointer("/smartctl/exit_status").and_then(Value::as_u64).is_some_and(|s| s % 4 == 0);
    if !opened {
        let silent = values.is_empty() && state.is_none();
        return if silent {
            Outcome::Expected
        } else {
            Outcome::Wrong(format!("{name}: not opened, and read"))
        };
    }
    for (quantity, pointer, scale) in SMART_FIELDS {
        let field = json.pointer(pointer).and_then(Value::as_f64).map(|field| field * scale);
        // A disk without a sensor says 0.
        let field = field.filter(|field| quantity != "celsius" || *field != 0.0);
        let same = match (field, value(quantity)) {
            (Some(field), Some(value)) => (field - value).abs() <= 1e-9 * field.abs(),
            (None, None) => true,
            // An SSD's wear may stand in an attribute instead.
            (None, Some(_)) => quantity == "wear_used_ratio",
            (Some(_), None) => false,
        };
        if !same {
            return Outcome::Wrong(format!(
                "{name}: {quantity} {:?}, the file has {field:?}",
                value(quantity)
            ));
        }
    }
    let table = json.pointer("/ata_smart_attributes/table").and_then(Value::as_array);
    for (quantity, id) in SMART_ATTRIBUTES {
        let found = table.into_iter().flatten().find(|row| row["id"] == id);
        let raw = found.and_then(|row| row.pointer("/raw/value")?.as_u64());
        let plain = found
            .and_then(|row| row.pointer("/raw/string")?.as_str())
            .is_some_and(|text| text.parse() == Ok(raw.unwrap_or_default()));
        // Where the text is no plain number, several are packed in one.
        let same = if plain {
            value(quantity).map(|v| format!("{v:.0}")) == raw.map(|r| r.to_string())
        } else {
            true
        };
        if !same || (found.is_none() && value(quantity).is_some()) {
            return Outcome::Wrong(format!("{name}: {quantity} {:?}, the file has {raw:?}", value(quantity)));
        }
    }
    let warned = json.pointer("/nvme_smart_health_information_log/critical_warning").and_then(Value::as_u64);
    let expected = match (json.pointer("/smart_status/passed").and_then(Value::as_bool), warned) {
        (Some(false), _) => Some(CheckState::Critical),
        (_, Some(bits)) if bits > 0 => Some(CheckState::Critical),
        (Some(true), _) => Some(CheckState::Ok),
        (None, _) => None,
    };
    if state == expected {
        Outcome::Expected
    } else {
        Outcome::Wrong(format!("{name}: {state:?}, not {expected:?}"))
    }
}

fn apt(table: &mut Table) {
    let cases = [
        "probes/debian12_here/apt-get_-s_dist-upgrade.txt",
        "probes/jc_fixtures/generic/apt_get_sqq--sample.out",
    ];
    for case in cases {
        table.case("apt-get -s", &read(&folder(case)), |bytes| {
            let printed = text(bytes);
            let offers = || printed.lines().filter(|line| line.starts_with("Inst "));
            let security =
                offers().filter(|l| l.contains("Debian-Security:") || l.contains("-security")).count();
            match apt_counts(&printed) {
                Some(counts) if counts == (offers().count(), security) => Outcome::Expected,
                Some(counts) => Outcome::Wrong(format!("{case}: {counts:?}")),
                // With `-qq` it lacks its first line, by which an answer is known.
                None => Outcome::ClearError,
            }
        });
    }
}

fn clamav(table: &mut Table) {
    for path in files("probes/clamav", "").iter().filter(|path| shown(path) != "mirrors.dat") {
        table.case("ClamAV header", &read(path), |bytes| {
            let head = text(bytes.get(..bytes.len().min(512)).unwrap_or_default());
            let fields: Vec<_> = head.trim_end().split(':').collect();
            // The builder's own clock stands last, in seconds.
            let built = fields.iter().rev().find_map(|field| field.trim().parse::<i64>().ok());
            let version = fields.get(2).and_then(|version| version.parse::<u32>().ok());
            match clamav_header(bytes) {
                Some(h)
                    if Some(h.version) == version
                        && built.is_some_and(|b| (b - h.made_at.as_secs()).abs() < 120) =>
                {
                    Outcome::Expected
                }
                Some(h) => Outcome::Wrong(format!("{}: {h:?}, not {built:?}", shown(path))),
                None => Outcome::ClearError,
            }
        });
    }
    let mirrors = read(&folder("probes/clamav/mirrors.dat"));
    table.case("no ClamAV header", &mirrors, |bytes| match clamav_header(bytes) {
        None => Outcome::ClearError,
        Some(_) => Outcome::Wrong("mirrors.dat was read".to_owned()),
    });
}

/// Name, labels without empty ones, value as text, time: in an order of their own.
type Series = Vec<(String, BTreeMap<String, String>, String, Option<String>)>;

fn own(points: &[Point]) -> Series {
    let own = points.iter().map(|point| {
        let labels = point.labels.iter().filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(name, value)| (name.clone(), value.clone())).collect();
        (point.name.clone(), labels, number(point.value), point.time.map(number))
    });
    sorted(own.collect())
}

fn number(value: f64) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:e}") }
}

fn sorted(mut series: Series) -> Series {
    series.sort();
    series
}

/// How the Python client reads these files; `None` for what it refuses.
fn read_in_python(paths: &[PathBuf]) -> BTreeMap<PathBuf, Option<Series>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("support_py/openmetrics.py");
    let output = Command::new("/usr/bin/python3").arg(script).args(paths).output().expect("python3 starts");
    assert!(
        output.status.success(),
        "Debian's python3-prometheus-client is needed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let json: BTreeMap<PathBuf, Option<Vec<Value>>> = serde_json::from_slice(&output.stdout).expect("JSON");
    let series = |samples: Vec<Value>| {
        let series = samples.iter().map(|sample| {
            let labels = sample[1].as_object().into_iter().flatten().filter(|(_, v)| **v != "");
            let labels =
                labels.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect();
            let value: f64 = sample[2].as_str().unwrap_or_default().parse().expect("a float of Python");
            let name = sample[0].as_str().unwrap_or_default().to_owned();
            (name, labels, number(value), sample[3].as_f64().map(number))
        });
        sorted(series.collect())
    };
    json.into_iter().map(|(path, samples)| (path, samples.map(series))).collect()
}

fn open_metrics(table: &mut Table) {
    let suite = folder("suites/OpenMetrics/testdata/parsers");
    let mut cases: Vec<_> = fs::read_dir(&suite)
        .expect("the suite is beside the repository")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    cases.sort();
    let paths: Vec<_> = cases.iter().map(|case| case.join("metrics")).collect();
    let second = read_in_python(&paths);
    for (case, path) in cases.iter().zip(&paths) {
        let name = shown(case);
        let test: Value = serde_json::from_slice(&read(&case.join("test.json"))).expect("JSON");
        let good = test.get("shouldParse") == Some(&Value::Bool(true));
        let class = if good { "OpenMetrics, good" } else { "OpenMetrics, bad" };
        let other = second.get(path).cloned().flatten();
        table.case(class, &read(path), |bytes| match exposition(&text(bytes), Format::OpenMetrics) {
            Err(_) if !good => Outcome::ClearError,
            Err(e) => Outcome::Wrong(format!("{name}: {e}")),
            Ok(_) if !good => Outcome::Wrong(format!("{name}: accepted")),
            Ok(points) if Some(own(&points)) == other => Outcome::Expected,
            Ok(points) => Outcome::Wrong(format!("{name}: {:?}, not {other:?}", own(&points))),
        });
    }
}

/// node_exporter's cases: each folder with what node_exporter made of it.
fn textfiles(table: &mut Table) {
    let at = "probes/node_exporter_fixtures/textfile";
    let outputs = files(at, ".out");
    let second = read_in_python(&outputs);
    for output in &outputs {
        let case = shown(output).trim_end_matches(".out").to_owned();
        let whole = second.get(output).cloned().flatten().expect("what node_exporter printed can be read");
        let (own_metrics, expected): (Series, Series) =
            whole.into_iter().partition(|(name, ..)| name.starts_with("node_textfile_"));
        let refused =
            own_metrics.iter().any(|(name, _, value, _)| name.ends_with("_error") && value != "0e0");
        // A pattern over several folders in one case, none at all in another.
        let folders = match case.as_str() {
            "glob_extra_dimension" => vec!["histogram_extra_dimension", "summary_extra_dimension"],
            "nonexistent_path" => vec![],
            case => vec![case],
        };
        let paths: Vec<_> =
            folders.iter().flat_map(|folder| files(&format!("{at}/{folder}"), ".prom")).collect();
        let bytes: Vec<u8> = paths.iter().flat_map(|path| read(path)).collect();
        table.case("node_exporter textfile", &bytes, |damaged| {
            // The damaged ones are one text; the case itself is one text a file.
            if damaged != bytes.as_slice() {
                drop(exposition(&text(damaged), Format::Prometheus));
                return Outcome::ClearError;
            }
            let mut points = Vec::new();
            for path in &paths {
                match exposition(&text(&read(path)), Format::Prometheus) {
                    Ok(more) if more.iter().any(|point| point.time.is_some()) => return told(refused, &case),
                    Ok(more) => points.extend(more),
                    Err(e) => return Outcome::Wrong(format!("{case}: {e}")),
                }
            }
            let own = own(&points);
            // Go's client fills in the sum and count that a summary does not have; that is a guess.
            let filled_in = |(name, _, value, _): &(String, _, String, _)| {
                value == "0e0" && (name.ends_with("_sum") || name.ends_with("_count"))
            };
            // Of two helps for one metric node_exporter keeps the first file's samples and says so.
            let has_more = case == "metrics_merge_different_help" && refused;
            let all_there = expected.iter().all(|series| own.contains(series) || filled_in(series));
            if all_there && (has_more || own.iter().all(|series| expected.contains(series))) {
                Outcome::Expected
            } else {
                Outcome::Wrong(format!("{case}: {own:?}, not {expected:?}"))
            }
        });
    }
}

/// A file with times of its own, which the probe refuses as node_exporter does.
fn told(refused: bool, case: &str) -> Outcome {
    if refused { Outcome::ClearError } else { Outcome::Wrong(format!("{case}: node_exporter takes it")) }
}

/// The guidelines' own example, and a disk's line; mostly to be damaged.
fn plugins(table: &mut Table) {
    let printed = "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n/ 15272 MB (77%);\n\
        /boot 68 MB (69%); | /boot=68MB;88;93;0;98\n/home=69357MB;253404;253409;0;253414\n";
    table.case("plugin's perfdata", printed.as_bytes(), |bytes| {
        let found = perfdata(&text(bytes));
        let all: Vec<_> = found.values.iter().map(|v| (v.label.as_str(), v.value / 1_048_576.0)).collect();
        if bytes != printed.as_bytes() {
            return Outcome::ClearError;
        }
        let same = found.refused == 0
            && format!("{all:?}") == r#"[("/", 2643.0), ("/boot", 68.0), ("/home", 69357.0)]"#;
        if same { Outcome::Expected } else { Outcome::Wrong(format!("{all:?}")) }
    });
}
