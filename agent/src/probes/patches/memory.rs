//! Since when each pending security update has been offered to this device.
//!
//! Holds: what was installed or withdrawn is forgotten; an update that is published anew, as a
//! revision or by the hospital's own server, is as old as it was. The file is a convenience: where it cannot
//! be read or written, counting begins anew, which makes a patch look younger and is said in the log.

use super::Pending;
use std::{collections::BTreeMap, path::PathBuf};
use tenken_common::{
    file::{self, Access},
    id::{Hash, hex},
    telemetry::ErrorChain,
    time::Timestamp,
};

/// See the module's head.
#[derive(Debug)]
pub struct Memory {
    path: Option<PathBuf>,
    /// By the SHA-256 of name and version.
    first_seen: BTreeMap<String, Timestamp>,
}

impl Memory {
    pub fn open(path: Option<PathBuf>) -> Self {
        let bytes = path.as_ref().and_then(|path| std::fs::read(path).ok());
        let first_seen = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { path, first_seen }
    }

    /// Since when the oldest of these is pending; `None` without any.
    pub fn oldest(&mut self, pending: &[&Pending], now: Timestamp) -> Option<Timestamp> {
        let since = |one: &&Pending| {
            let key = hex(&Hash::of(one.update.as_bytes()).0);
            let known = self.first_seen.get(&key).copied();
            (key, one.published_at.into_iter().chain(known).min().unwrap_or(now))
        };
        let seen: BTreeMap<String, Timestamp> = pending.iter().map(since).collect();
        let oldest = seen.values().min().copied();
        if seen != self.first_seen {
            self.first_seen = seen;
            self.save();
        }
        oldest
    }

    fn save(&self) {
        let Some(path) = &self.path else { return };
        let json = serde_json::to_vec(&self.first_seen).expect("texts and numbers are JSON");
        if let Err(e) = file::write(path, &json, Access::Private) {
            tracing::warn!(reason = %ErrorChain(&e), "cannot remember since when patches are pending");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_forgets_nothing_and_garbage_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/patches.json");
        let pending = Pending { update: "a 1".to_owned(), security: true, published_at: None };
        let (first, later) = (Timestamp::from_secs(1_000), Timestamp::from_secs(9_000));
        assert_eq!(Memory::open(Some(path.clone())).oldest(&[&pending], first), Some(first));
        assert_eq!(Memory::open(Some(path.clone())).oldest(&[&pending], later), Some(first));
        let anew = Pending { published_at: Some(later), ..pending.clone() };
        assert_eq!(Memory::open(Some(path.clone())).oldest(&[&anew], later), Some(first));
        std::fs::write(&path, "{").unwrap();
        assert_eq!(Memory::open(Some(path)).oldest(&[&pending], later), Some(later));
    }
}
