//! The hospital's consent as a file in the state folder, read again in every cycle.
//!
//! Holds: whoever administers the device withdraws the consent by taking the file away, and
//! renews it by putting a newer signed one in its place; both work within one cycle, offline, and
//! need nobody's leave.

use std::path::{Path, PathBuf};
use tenken_agent_core::consent_gate::{ConsentError, ConsentGate};
use tenken_common::statement::{self, ArmourError};

/// Where it lies.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("consent.statement")
}

/// A file that was not taken; the gate keeps what it had.
#[derive(Debug, thiserror::Error)]
pub enum ConsentFileError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is no consent", path.display())]
    Armour { path: PathBuf, source: ArmourError },
    #[error("{} was refused", path.display())]
    Refused { path: PathBuf, source: ConsentError },
}

/// What a look at the file did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Unchanged,
    /// A manifest of this version is in force now.
    Adopted(u64),
    Withdrawn,
}

/// Keeps a gate in step with the file.
#[derive(Debug)]
pub struct ConsentWatch {
    path: PathBuf,
    seen: Option<String>,
    /// Whether the first look was taken.
    looked: bool,
}

impl ConsentWatch {
    pub fn new(state_dir: &Path) -> Self {
        Self { path: path(state_dir), seen: None, looked: false }
    }

    pub fn look(&mut self, gate: &mut ConsentGate) -> Result<Look, ConsentFileError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                gate.withdraw();
                let first = !self.looked || self.seen.is_some();
                (self.seen, self.looked) = (None, true);
                return Ok(if first { Look::Withdrawn } else { Look::Unchanged });
            }
            Err(source) => return Err(ConsentFileError::Read { path: self.path.clone(), source }),
        };
        if self.seen.as_deref() == Some(text.as_str()) {
            return Ok(Look::Unchanged);
        }
        (self.seen, self.looked) = (Some(text.clone()), true);
        let path = || self.path.clone();
        let envelope = statement::from_armour(&text)
            .map_err(|source| ConsentFileError::Armour { path: path(), source })?;
        let version =
            gate.adopt(&envelope).map_err(|source| ConsentFileError::Refused { path: path(), source })?;
        Ok(Look::Adopted(version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{
        category::Category,
        consent::{ConsentManifest, Scope},
        envelope::Envelope,
        id::DeviceId,
        key::SecretKey,
        time::Timestamp,
    };

    #[test]
    fn the_file_opens_the_gate_and_its_absence_closes_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed(&[1; 32]);
        let mut gate = ConsentGate::new(key.public(), DeviceId([1; 16]), None, 0);
        let mut watch = ConsentWatch::new(dir.path());
        let at = Timestamp::from_secs(1);
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Withdrawn);
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Unchanged);
        let manifest = ConsentManifest {
            hospital: "minato".parse().unwrap(),
            scope: Scope::Hospital,
            categories: [Category::Disk.code()].into(),
            interval_floor_s: 1,
            valid_from: Timestamp::EPOCH,
            valid_to: Timestamp::MAX,
            version: 4,
            heartbeat: true,
        };
        let text = statement::to_armour(&Envelope::seal(&manifest, &key).unwrap());
        std::fs::write(path(dir.path()), &text).unwrap();
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Adopted(4));
        assert!(gate.permits(Category::Disk, at).is_ok());
        std::fs::write(path(dir.path()), "garbage").unwrap();
        assert!(matches!(watch.look(&mut gate), Err(ConsentFileError::Armour { .. })));
        assert!(gate.permits(Category::Disk, at).is_ok(), "garbage changes nothing");
        std::fs::remove_file(path(dir.path())).unwrap();
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Withdrawn);
        assert!(gate.permits(Category::Disk, at).is_err());
    }
}
