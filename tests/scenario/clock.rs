//! Devices whose clocks are wrong, by libfaketime: they connect and deliver, and the collector knows
//! their true time.

use crate::outage::status_when;
use std::{fs, process::Command};
use tenken_tests::{Bed, BedPlan, Home, Process, workspace_bin};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Starts an agent whose wall clock follows the file; boot time goes on as it is.
fn start_at(bed: &Bed, home: &Home, name: &str, clock: &std::path::Path) -> Process {
    let mut command = Command::new(workspace_bin("tenken-agent"));
    command.arg("--config").arg(&home.config).arg("run");
    command
        .env("LD_PRELOAD", LIBRARY)
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_NO_CACHE", "1");
    Process::start(bed.dir(), name, &mut command)
}

fn number(status: &serde_json::Value, at: &str) -> i64 {
    status.pointer(at).and_then(serde_json::Value::as_i64).unwrap_or_else(|| panic!("{at}: {status}"))
}

const DAY_MS: i64 = 86_400_000;

#[test]
fn whatever_the_clock_shows_the_device_delivers_and_its_times_are_corrected() {
    assert!(fs::exists(LIBRARY).unwrap(), "libfaketime is missing; tests/run installs it");
    let bed = Bed::new(BedPlan::default());
    let _collector = bed.start_collector();
    // What the clock shows, and what the offset to server time must be at least.
    let cases = [
        ("epoch", "@1970-01-02 00:00:00", 40 * 365 * DAY_MS),
        ("battery", "@2000-01-01 00:00:00", 20 * 365 * DAY_MS),
        ("future", "+3650d", -3_651 * DAY_MS),
        ("past", "-3650d", 3_649 * DAY_MS),
    ];
    let mut running = Vec::new();
    for (name, shows, offset) in cases {
        let home = bed.enroll(name);
        let clock = bed.dir().join(format!("{name}.clock"));
        fs::write(&clock, shows).unwrap();
        let process = start_at(&bed, &home, name, &clock);
        running.push((home, clock, offset, process));
    }
    for (home, _, offset, _) in &running {
        let status = status_when(&bed, home, "delivery with a wrong clock", |status| {
            number(status, "/spool/acked_batches") >= 2 && status["clock"]["source"] == "signed_time"
        });
        let known = number(&status, "/clock/offset_ms");
        let sign_fits = known.signum() == offset.signum() && known.abs() >= offset.abs() - 3 * DAY_MS;
        assert!(sign_fits, "{known} where {offset} was set");
        // By the collector's clock the device's records are of now.
        bed.device_when(home, "an offset that the collector knows", |row| {
            row["clock_offset_ms"].as_i64().is_some_and(|ms| ms.signum() == offset.signum())
        });
    }
    // The clock jumps a day while the agent runs.
    let (home, clock, ..) = &running[3];
    for (shows, least, most) in [("-3649d", 3_648, 3_650), ("-3650d", 3_649, 3_651)] {
        fs::write(clock, shows).unwrap();
        let before = number(&status_when(&bed, home, "a status", |_| true), "/spool/acked_batches");
        status_when(&bed, home, "delivery after a jump", |status| {
            let offset = number(status, "/clock/offset_ms");
            number(status, "/spool/acked_batches") > before + 1
                && (least * DAY_MS..most * DAY_MS).contains(&offset)
        });
    }
}
