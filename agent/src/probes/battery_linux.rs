//! `/sys/class/power_supply` (sysfs-class-power).
//!
//! Holds: a supply is looked at where its `type` is `Battery` and its `scope` is not `Device`, which is
//! what the kernel says of peripherals. One that is not `present` is none. A file that is not there, or
//! not as documented, gives no value; capacities count in energy, else in charge.

use super::{
    ReadError,
    battery::{BATTERIES_MAX, Described, charge_ratio, cycles, full_ratio},
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tenken_agent_core::{probe::ProbeContext, record::to_f64};

const FOLDER: &str = "/sys/class/power_supply";
/// What a full battery holds, and what it was designed to hold.
const CAPACITIES: [(&str, &str); 2] =
    [("energy_full", "energy_full_design"), ("charge_full", "charge_full_design")];

/// See the module's head.
pub struct Source {
    folder: PathBuf,
}

impl Default for Source {
    fn default() -> Self {
        Self { folder: FOLDER.into() }
    }
}

impl Source {
    /// More than a cheap probe has.
    pub const PATIENCE: Duration = Duration::ZERO;

    /// In the order of names; none where the kernel has no such class.
    pub fn read(&mut self, _: &ProbeContext) -> Result<Vec<Described>, ReadError> {
        let wrong = |source| ReadError::File { path: self.folder.clone(), source };
        let entries = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            entries => entries.map_err(wrong)?,
        };
        let entries = entries.collect::<io::Result<Vec<_>>>().map_err(wrong)?;
        let mut named: Vec<_> =
            entries.iter().map(|e| (e.file_name().to_string_lossy().into_owned(), e.path())).collect();
        named.sort_unstable();
        let batteries = named.into_iter().filter_map(|(name, path)| battery(name, &path));
        Ok(batteries.take(BATTERIES_MAX).collect())
    }
}

fn battery(name: String, folder: &Path) -> Option<Described> {
    let text =
        |file: &str| std::fs::read_to_string(folder.join(file)).ok().map(|text| text.trim_end().to_owned());
    let number = |file: &str| text(file)?.parse::<u64>().ok().map(to_f64);
    let own = text("type")? == "Battery" && text("scope").as_deref() != Some("Device");
    let there = text("present").as_deref() != Some("0");
    (own && there).then(|| Described {
        name,
        charge_ratio: number("capacity").and_then(charge_ratio),
        full_ratio: CAPACITIES.iter().find_map(|(full, design)| full_ratio(number(full)?, number(design)?)),
        cycles: number("cycle_count").and_then(cycles),
        discharging: text("status").as_deref().and_then(is_discharging),
    })
}

fn is_discharging(status: &str) -> Option<bool> {
    match status {
        "Discharging" => Some(true),
        "Charging" | "Not charging" | "Full" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::at_ms;
    use proptest::prelude::*;

    /// A class of supplies, each with its files.
    fn read(supplies: &[(&str, &[(&str, &str)])]) -> Vec<Described> {
        let folder = tempfile::tempdir().unwrap();
        for (name, files) in supplies {
            let supply = folder.path().join(name);
            std::fs::create_dir(&supply).unwrap();
            for (file, text) in *files {
                std::fs::write(supply.join(file), text).unwrap();
            }
        }
        Source { folder: folder.path().to_owned() }.read(&at_ms(0)).unwrap()
    }

    /// A battery's files, with these instead or besides.
    fn one(changed: &[(&str, &str)]) -> Vec<Described> {
        let good = [
            ("type", "Battery\n"),
            ("present", "1\n"),
            ("status", "Discharging\n"),
            ("capacity", "87\n"),
            ("energy_full", "36000000\n"),
            ("energy_full_design", "48000000\n"),
            ("cycle_count", "412\n"),
        ];
        let files: std::collections::BTreeMap<_, _> = good.iter().chain(changed).copied().collect();
        read(&[("BAT0", files.into_iter().collect::<Vec<_>>().as_slice())])
    }

    const GOOD: [Option<f64>; 3] = [Some(0.87), Some(0.75), Some(412.0)];

    fn numbers(battery: &Described) -> [Option<f64>; 3] {
        [battery.charge_ratio, battery.full_ratio, battery.cycles]
    }

    #[test]
    fn several_batteries_in_energy_or_in_charge() {
        let all = read(&[
            (
                "BAT1",
                &[
                    ("type", "Battery\n"),
                    ("status", "Full\n"),
                    ("capacity", "100\n"),
                    ("charge_full", "5100000\n"),
                    ("charge_full_design", "5000000\n"),
                ],
            ),
            ("AC", &[("type", "Mains\n"), ("online", "1\n")]),
            ("BAT0", &[("type", "Battery\n"), ("scope", "System\n"), ("capacity", "5\n")]),
            ("ucsi-source-psy-1", &[("type", "USB\n"), ("online", "0\n")]),
        ]);
        let shown: Vec<_> = all.iter().map(|b| (b.name.as_str(), numbers(b), b.discharging)).collect();
        let expected =
            [("BAT0", [Some(0.05), None, None], None), ("BAT1", [Some(1.0), Some(1.02), None], Some(false))];
        assert_eq!(shown, expected);
        assert_eq!(one(&[]).iter().map(numbers).collect::<Vec<_>>(), [GOOD]);
        assert_eq!(one(&[])[0].discharging, Some(true));
    }

    #[test]
    fn a_peripheral_and_an_empty_bay_are_no_battery() {
        assert!(one(&[("scope", "Device\n")]).is_empty());
        assert!(one(&[("present", "0\n")]).is_empty());
        for kind in ["UPS\n", "battery\n", "", "Mains\n"] {
            assert!(one(&[("type", kind)]).is_empty(), "{kind}");
        }
        assert!(read(&[("BAT0", &[("capacity", "50\n")])]).is_empty(), "of no type");
        assert!(read(&[]).is_empty());
        let absent = Source { folder: "/no/such/folder".into() }.read(&at_ms(0)).unwrap();
        assert!(absent.is_empty());
    }

    #[test]
    fn garbage_is_no_value_and_spoils_no_other() {
        let [charge, full, cycles] = GOOD;
        for (file, text, expected) in [
            ("capacity", "101\n", [None, full, cycles]),
            ("capacity", "-1\n", [None, full, cycles]),
            ("capacity", "87%\n", [None, full, cycles]),
            ("capacity", "", [None, full, cycles]),
            ("energy_full", "0\n", [charge, None, cycles]),
            ("energy_full", "-1\n", [charge, None, cycles]),
            ("energy_full", "73000000\n", [charge, None, cycles]),
            ("energy_full", "18446744073709551615\n", [charge, None, cycles]),
            ("energy_full_design", "0\n", [charge, None, cycles]),
            ("energy_full_design", "nan\n", [charge, None, cycles]),
            ("cycle_count", "0\n", [charge, full, None]),
            ("cycle_count", "many\n", [charge, full, None]),
            ("cycle_count", "4294967295\n", [charge, full, None]),
        ] {
            assert_eq!(
                one(&[(file, text)]).iter().map(numbers).collect::<Vec<_>>(),
                [expected],
                "{file} {text}"
            );
        }
        for status in ["Unknown\n", "discharging\n", ""] {
            assert_eq!(one(&[("status", status)])[0].discharging, None, "{status}");
        }
        // A battery that tells its energy wrongly may still tell its charge.
        let both = one(&[
            ("energy_full_design", "0\n"),
            ("charge_full", "3000000\n"),
            ("charge_full_design", "4000000\n"),
        ]);
        assert_eq!(both[0].full_ratio, Some(0.75));
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_what_cannot_be(text in ".{0,24}") {
            for file in ["capacity", "energy_full", "energy_full_design", "cycle_count", "status", "present"] {
                for battery in one(&[(file, &text)]) {
                    prop_assert!(battery.charge_ratio.is_none_or(|r| (0.0..=1.0).contains(&r)));
                    prop_assert!(battery.full_ratio.is_none_or(|r| r > 0.0 && r <= 1.5));
                }
            }
        }
    }
}
