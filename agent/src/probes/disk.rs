//! Space and inodes of every real filesystem on this device.
//!
//! Holds: a filesystem that is mounted in several places is reported once. `used_ratio` is what
//! `df` shows: used to used plus available to ordinary users. Filesystems without inode counts
//! (FAT, Btrfs) have none here. Network filesystems are not looked at, because one whose server
//! is away hangs whoever asks; nor are images (squashfs, ISO 9660), which are always full.

#[cfg(target_os = "linux")]
use super::disk_linux::mounts;
#[cfg(windows)]
use super::disk_windows::mounts;
use super::{Reading, every_minute, names::Names, ratio};
use std::sync::Arc;
use tenken_agent_core::{
    probe::{Probe, ProbeContext, ProbeError, ProbeInfo},
    record::to_f64,
};
use tenken_common::{category::Category, observation::Observation, unit::Unit};

/// See the module's head.
pub struct Disk {
    info: ProbeInfo,
    names: Arc<Names>,
}

/// A filesystem as its system describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    pub path: String,
    pub total_bytes: u64,
    /// Free, also to the superuser only.
    pub free_bytes: u64,
    /// Free to everyone.
    pub available_bytes: u64,
    /// Total and free; `None` where it has no such limit.
    pub inodes: Option<(u64, u64)>,
    pub read_only: bool,
}

impl Disk {
    pub fn new(names: Arc<Names>) -> Self {
        Self { info: every_minute("disk", Category::Disk), names }
    }
}

impl Probe for Disk {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let mounts = mounts()?;
        let seen: Vec<_> = mounts
            .iter()
            .filter_map(|m| m.reading()?.about(&self.info, cx, self.names.mount(&m.path)))
            .collect();
        if seen.is_empty() { Err(ProbeError::NoData) } else { Ok(seen) }
    }
}

impl Mounted {
    /// `None` for what cannot be, and for a filesystem without blocks.
    fn reading(&self) -> Option<Reading> {
        let used = self.total_bytes.checked_sub(self.free_bytes)?;
        let used_ratio = ratio(to_f64(used), to_f64(used.checked_add(self.available_bytes)?))?;
        let inodes = self.inodes.filter(|(total, free)| free <= total);
        Some(
            Reading::default()
                .with("total_bytes", Unit::Bytes, to_f64(self.total_bytes))
                .with("used_bytes", Unit::Bytes, to_f64(used))
                .with("available_bytes", Unit::Bytes, to_f64(self.available_bytes))
                .with("used_ratio", Unit::Ratio, used_ratio)
                .with("inodes_total", Unit::Count, inodes.map(|(total, _)| to_f64(total)))
                .with("inodes_used", Unit::Count, inodes.map(|(total, free)| to_f64(total - free)))
                .with(
                    "inodes_used_ratio",
                    Unit::Ratio,
                    inodes.and_then(|(total, free)| ratio(to_f64(total - free), to_f64(total))),
                )
                .with("read_only", Unit::Count, f64::from(u8::from(self.read_only))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::{run_here, value};

    const MOUNTED: Mounted = Mounted {
        path: String::new(),
        total_bytes: 1_000,
        free_bytes: 400,
        available_bytes: 200,
        inodes: Some((64, 60)),
        read_only: true,
    };

    #[test]
    fn as_df_counts() {
        let got: Vec<_> = MOUNTED.reading().unwrap().0.iter().map(|q| q.value).collect();
        assert_eq!(got, [1_000.0, 600.0, 200.0, 0.75, 64.0, 4.0, 0.0625, 1.0]);
    }

    #[test]
    fn what_cannot_be_is_not_said() {
        assert!(Mounted { free_bytes: 1_001, ..MOUNTED }.reading().is_none());
        assert!(Mounted { total_bytes: 0, free_bytes: 0, available_bytes: 0, ..MOUNTED }.reading().is_none());
        assert_eq!(Mounted { inodes: Some((1, 2)), ..MOUNTED }.reading().unwrap().0.len(), 5);
        assert_eq!(Mounted { inodes: None, ..MOUNTED }.reading().unwrap().0.len(), 5);
    }

    #[test]
    fn this_machine_has_a_disk() {
        let seen = run_here(&mut Disk::new(Arc::new(Names::new(&[], [1; 32])))).unwrap();
        assert!(seen.iter().all(|o| value(o, "total_bytes").unwrap() > 0.0));
    }
}
