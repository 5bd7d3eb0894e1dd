//! The parsers behind the probes, for whoever holds them against outputs of real tools (the
//! campaign `probes`). Nothing else uses them by these names.

#[cfg(target_os = "linux")]
pub use super::patches::apt_counts;
pub use super::pattern_files::clamav_header;
pub use super::smart::read as smart_disk;
