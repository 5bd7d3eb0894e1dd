//! Health of disks: SMART and NVMe, as `smartctl --json` (smartmontools 7) prints it.
//!
//! Holds: a disk that sleeps is not woken; its check is unknown, as is that of one that could not be
//! opened, and where none could be the reason is given. `smartctl`'s exit code is a set of bits and no verdict;
//! what counts is what it printed. `wear_used_ratio` is the share of an SSD's rated writes that is
//! used, 1 at the rated end and possibly more. A raw value that packs several numbers in one is
//! taken apart as far as smartctl does it, else left out. A disk's failing self-assessment is
//! critical; that it passes is `ok` and says little, so the numbers are sent beside it.

use super::{Reading, check, command::Command, every_day};
use serde::Deserialize;
use std::time::Duration;
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    id::Name,
    observation::{Body, CheckState, Observation},
    unit::Unit,
};

/// For one disk; one behind a busy controller takes seconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A controller may list many; no device that is maintained has more.
const DISKS_MAX: usize = 32;
const HOUR_S: f64 = 3_600.0;
/// NVM Express: one data unit is 1,000 blocks of 512 bytes.
const NVME_UNIT_BYTES: f64 = 512_000.0;
/// Beyond this a raw value is several numbers in one.
const RAW_MAX: f64 = 4_294_967_295.0;

/// See the module's head.
pub struct Smart {
    info: ProbeInfo,
}

impl Smart {
    pub fn new() -> Self {
        Self { info: every_day("smart", Category::Disk) }
    }
}

impl Probe for Smart {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let scan = Command::new("smartctl").args(["--json", "--scan"]).run(TIMEOUT)?;
        let scan: Scan = parse(&scan.stdout)?;
        let (mut failed, mut asleep) = (None, false);
        let mut seen = Vec::new();
        for device in scan.devices.iter().take(DISKS_MAX) {
            let kind = device.kind.as_deref().unwrap_or("auto");
            let args =
                ["--json", "--nocheck=standby", "--info", "--health", "--attributes", "--device", kind];
            let printed = Command::new("smartctl").args(args).args([&device.name]).run(TIMEOUT)?;
            match disk(&printed.stdout) {
                Ok(disk) => seen.extend(disk.observations(&self.info, cx, device.subject())),
                Err(e) => {
                    asleep |= matches!(e, SmartError::Asleep);
                    seen.push(check(&self.info, cx, device.subject(), CheckState::Unknown));
                    failed = failed.or(Some(e));
                }
            }
        }
        let any_known = seen.iter().any(|o| !is_unknown(o));
        match failed {
            Some(e) if !any_known && !asleep => Err(e.into()),
            _ if seen.is_empty() => Err(ProbeError::NoData),
            _ => Ok(seen),
        }
    }
}

/// Why a disk has no values.
#[derive(Debug, thiserror::Error)]
enum SmartError {
    #[error("smartctl printed no JSON as of its version 7")]
    Json(#[source] Option<serde_json::Error>),
    #[error("the disk sleeps, and is not woken")]
    Asleep,
    #[error(
        "smartctl cannot open the disk; under systemd `tenken-agent service install --smart` lets it, for \
         NVMe see the comment in tenken-agent.service.d/smart.conf"
    )]
    NotOpened,
}

impl From<SmartError> for ProbeError {
    fn from(e: SmartError) -> Self {
        Self::Failed(Box::new(e))
    }
}

fn parse<'a, T: Deserialize<'a>>(printed: &'a str) -> Result<T, SmartError> {
    serde_json::from_str(printed).map_err(|e| SmartError::Json(Some(e)))
}

fn disk(printed: &str) -> Result<Disk, SmartError> {
    let disk: Disk = parse(printed)?;
    let smartctl = disk.smartctl.as_ref().ok_or(SmartError::Json(None))?;
    if smartctl.exit_status & NOT_OPENED == 0 {
        return Ok(disk);
    }
    // smartctl(8), --nocheck: "Device is in STANDBY mode, exit(2)".
    let sleeps = smartctl.messages.iter().any(|m| m.string.contains("mode, exit("));
    Err(if sleeps { SmartError::Asleep } else { SmartError::NotOpened })
}

fn is_unknown(o: &Observation) -> bool {
    matches!(&o.body, Body::CheckResult(check) if check.state == CheckState::Unknown)
}

#[derive(Debug, Deserialize)]
struct Scan {
    #[serde(default)]
    devices: Vec<Device>,
}

#[derive(Debug, Clone, Deserialize)]
struct Device {
    name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Device {
    /// `sda`, `nvme0`, `bus/0:megaraid-3`: the kernel's names, and a controller's own.
    fn subject(&self) -> Name {
        let name = self.name.strip_prefix("/dev/").unwrap_or(&self.name);
        match self.kind.as_deref().and_then(|kind| kind.split_once(',')) {
            Some((controller, slot)) => Name::of_outside(&format!("{name}:{controller}-{slot}")),
            None => Name::of_outside(name),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Disk {
    smartctl: Option<Smartctl>,
    smart_status: Option<Status>,
    temperature: Temperature,
    power_on_time: PowerOn,
    power_cycle_count: Option<f64>,
    ata_smart_attributes: Attributes,
    nvme_smart_health_information_log: Option<Nvme>,
    scsi_grown_defect_list: Option<f64>,
    scsi_error_counter_log: Option<ScsiErrors>,
}

#[derive(Debug, Deserialize)]
struct Smartctl {
    exit_status: u32,
    #[serde(default)]
    messages: Vec<Said>,
}

#[derive(Debug, Deserialize)]
struct Said {
    #[serde(default)]
    string: String,
}

/// smartctl(8): the command line was wrong, or the disk could not be opened (or sleeps).
const NOT_OPENED: u32 = 0b11;

#[derive(Debug, Deserialize)]
struct Status {
    passed: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Temperature {
    current: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PowerOn {
    hours: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    table: Vec<Attribute>,
}

#[derive(Debug, Deserialize)]
struct Attribute {
    id: u8,
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: Option<f64>,
    raw: Raw,
}

#[derive(Debug, Deserialize)]
struct Raw {
    value: f64,
    #[serde(default)]
    string: String,
}

impl Raw {
    /// `12`, `41 (Min/Max 20/55)`, `1 1 1`: the first number; a value beyond 32 bits whose text does
    /// not begin with a number is several in one.
    fn number(&self) -> Option<f64> {
        let first = self.string.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        first.parse::<f64>().ok().or((self.value <= RAW_MAX).then_some(self.value)).filter(|n| n.is_finite())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Nvme {
    critical_warning: Option<f64>,
    available_spare: Option<f64>,
    available_spare_threshold: Option<f64>,
    percentage_used: Option<f64>,
    data_units_written: Option<f64>,
    media_errors: Option<f64>,
    unsafe_shutdowns: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ScsiErrors {
    read: ScsiCounter,
    write: ScsiCounter,
    verify: ScsiCounter,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ScsiCounter {
    total_uncorrected_errors: Option<f64>,
}

/// Attributes that say how likely a disk is to fail (Backblaze's five, and the link's errors).
const COUNTED: [(u8, &str); 6] = [
    (5, "reallocated_sectors"),
    (187, "reported_uncorrectable"),
    (188, "command_timeouts"),
    (197, "pending_sectors"),
    (198, "offline_uncorrectable"),
    (199, "link_errors"),
];
/// Attributes whose normalised value is what is left of an SSD's life, in percent; vendors gave them
/// different numbers, so the name decides.
const LIFE_LEFT: [&str; 8] = [
    "Media_Wearout_Indicator",
    "Percent_Lifetime_Remain",
    "Percent_Life_Remaining",
    "Remaining_Lifetime_Perc",
    "SSD_Life_Left",
    "Wear_Leveling_Count",
    "Drive_Life_Remaining%",
    "Perc_Rated_Life_Remain",
];

impl Disk {
    fn observations(&self, info: &ProbeInfo, cx: &ProbeContext, subject: Name) -> Vec<Observation> {
        let reading = self.reading().about(info, cx, subject.clone());
        let judged = self.state().map(|state| check(info, cx, subject, state));
        reading.into_iter().chain(judged).collect()
    }

    /// `None` where the disk does not assess itself.
    fn state(&self) -> Option<CheckState> {
        let warned = self.nvme_smart_health_information_log.as_ref().and_then(|nvme| nvme.critical_warning);
        match (&self.smart_status, warned) {
            (Some(Status { passed: false }), _) => Some(CheckState::Critical),
            (_, Some(bits)) if bits > 0.0 => Some(CheckState::Critical),
            (Some(Status { passed: true }), _) => Some(CheckState::Ok),
            (None, _) => None,
        }
    }

    fn reading(&self) -> Reading {
        let celsius = self.temperature.current.filter(|c| (-60.0..=250.0).contains(c) && *c != 0.0);
        let mut reading = Reading::default()
            .with("celsius", Unit::Celsius, celsius)
            .with("power_on_seconds", Unit::Seconds, self.power_on_time.hours.map(|h| h * HOUR_S))
            .with("power_cycles", Unit::Count, self.power_cycle_count)
            .with("grown_defects", Unit::Count, self.scsi_grown_defect_list)
            .with("wear_used_ratio", Unit::Ratio, self.wear())
            .with("uncorrected_errors", Unit::Count, self.uncorrected());
        for (id, name) in COUNTED {
            let found = self.ata_smart_attributes.table.iter().find(|attribute| attribute.id == id);
            reading = reading.with(name, Unit::Count, found.and_then(|attribute| attribute.raw.number()));
        }
        if let Some(nvme) = &self.nvme_smart_health_information_log {
            let share = |percent: Option<f64>| percent.map(|p| p / 100.0);
            reading = reading
                .with("available_spare_ratio", Unit::Ratio, share(nvme.available_spare))
                .with("spare_threshold_ratio", Unit::Ratio, share(nvme.available_spare_threshold))
                .with("written_bytes", Unit::Bytes, nvme.data_units_written.map(|n| n * NVME_UNIT_BYTES))
                .with("media_errors", Unit::Count, nvme.media_errors)
                .with("unsafe_shutdowns", Unit::Count, nvme.unsafe_shutdowns);
        }
        reading
    }

    fn wear(&self) -> Option<f64> {
        let nvme = self.nvme_smart_health_information_log.as_ref().and_then(|nvme| nvme.percentage_used);
        let ata = || {
            let table = self.ata_smart_attributes.table.iter();
            let left = table.filter(|a| LIFE_LEFT.contains(&a.name.as_str())).find_map(|a| a.value)?;
            (0.0..=100.0).contains(&left).then_some(100.0 - left)
        };
        nvme.or_else(ata).filter(|percent| *percent >= 0.0).map(|percent| percent / 100.0)
    }

    fn uncorrected(&self) -> Option<f64> {
        let log = self.scsi_error_counter_log.as_ref()?;
        let counters = [&log.read, &log.write, &log.verify];
        let known: Vec<f64> = counters.iter().filter_map(|c| c.total_uncorrected_errors).collect();
        (!known.is_empty()).then(|| known.iter().sum())
    }
}

pub type NamedValue = (String, f64);

/// What a conformance run needs: the readings and the verdict in one printed disk.
pub fn read(printed: &str) -> Result<(Vec<NamedValue>, Option<CheckState>), ProbeError> {
    let disk = disk(printed)?;
    let values = disk.reading().0.into_iter().map(|q| (q.name.to_string(), q.value)).collect();
    Ok((values, disk.state()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;
    use tenken_common::telemetry::ErrorChain;

    fn value(printed: &str, name: &str) -> Option<f64> {
        read(printed).unwrap().0.into_iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    #[test]
    fn an_old_disk_with_packed_values() {
        let printed = r#"{"smartctl": {"exit_status": 0}, "smart_status": {"passed": false}, "temperature": {"current": 41}, "power_on_time": {"hours": 20},
            "ata_smart_attributes": {"table": [
                {"id": 5, "name": "Reallocated_Sector_Ct", "value": 90, "raw": {"value": 12, "string": "12"}},
                {"id": 188, "name": "Command_Timeout", "value": 99, "raw": {"value": 4295032833, "string": "1 1 1"}},
                {"id": 199, "name": "UDMA_CRC_Error_Count", "value": 99, "raw": {"value": 9999999999, "string": "-"}},
                {"id": 177, "name": "Wear_Leveling_Count", "value": 97, "raw": {"value": 61, "string": "61"}}]}}"#;
        assert_eq!(value(printed, "reallocated_sectors"), Some(12.0));
        assert_eq!(value(printed, "command_timeouts"), Some(1.0));
        assert_eq!(value(printed, "link_errors"), None, "several numbers in one are no number");
        assert_eq!(value(printed, "power_on_seconds"), Some(72_000.0));
        assert!((value(printed, "wear_used_ratio").unwrap() - 0.03).abs() < 1e-9);
        assert_eq!(read(printed).unwrap().1, Some(CheckState::Critical));
    }

    #[test]
    fn an_nvme_disk_that_warns() {
        let printed = r#"{"smartctl": {"exit_status": 0}, "smart_status": {"passed": true}, "nvme_smart_health_information_log":
            {"critical_warning": 4, "percentage_used": 120, "available_spare": 80, "data_units_written": 2}}"#;
        assert_eq!(read(printed).unwrap().1, Some(CheckState::Critical), "it passes and warns");
        assert_eq!(value(printed, "wear_used_ratio"), Some(1.2));
        assert_eq!(value(printed, "written_bytes"), Some(1_024_000.0));
        assert_eq!(value(printed, "celsius"), None);
    }

    #[test]
    fn what_is_no_smartctl_and_a_disk_that_is_not_opened_are_errors() {
        for printed in ["", "smartctl 6.6", "[]", "{}", "{\"smart_status\": 1}"] {
            assert!(matches!(read(printed), Err(ProbeError::Failed(_))), "{printed}");
        }
        let closed = |said: &str| {
            let printed =
                format!(r#"{{"smartctl": {{"exit_status": 2, "messages": [{{"string": "{said}"}}]}}}}"#);
            ErrorChain(&read(&printed).unwrap_err()).to_string()
        };
        assert!(closed("Device is in STANDBY mode, exit(2)").contains("sleeps"));
        assert!(closed("Smartctl open device: /dev/sda failed: Permission denied").contains("--smart"));
        let kind = |kind: &str| Device { name: "/dev/bus/0".to_owned(), kind: Some(kind.to_owned()) };
        assert_eq!(kind("megaraid,3").subject().as_str(), "bus/0:megaraid-3");
        assert_eq!(kind("scsi").subject().as_str(), "bus/0");
    }

    #[test]
    fn this_machine_says_what_it_lacks_or_what_it_has() {
        match run_here(&mut Smart::new()) {
            Ok(seen) => assert!(!seen.is_empty()),
            Err(ProbeError::NoData | ProbeError::Lacks(_) | ProbeError::Failed(_)) => {}
            Err(e @ (ProbeError::Unsupported | ProbeError::TimedOut)) => panic!("{e}"),
        }
    }
}
