//! The hospital's consent as a file in the state folder, and beside it the successions of the
//! hospital's key; both are read again in every cycle.
//!
//! Holds: whoever administers the device withdraws the consent by taking the file away, and
//! renews it by putting a newer signed one in its place; both work within one cycle, offline, and
//! need nobody's leave. A succession may also stand in the consent's own file, before the consent.
//!
//! Limit: a succession is remembered by its file. Whoever takes that away and starts the agent
//! again brings the old key back; the consent's version still only goes up.

use std::{
    io,
    path::{Path, PathBuf},
};
use tenken_agent_core::consent_gate::{ConsentError, ConsentGate};
use tenken_common::{
    envelope::Payload,
    statement::{self, ArmourError, CONSENT_FILE, KeySuccession, SUCCESSOR_FILE},
};

/// Where it lies.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(CONSENT_FILE)
}

/// A file that was not taken; the gate keeps what it had.
#[derive(Debug, thiserror::Error)]
pub enum ConsentFileError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no statement", path.display())]
    Armour { path: PathBuf, source: ArmourError },
    #[error("{} was refused", path.display())]
    Refused { path: PathBuf, source: ConsentError },
}

/// What a look at the files did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Unchanged,
    /// A manifest of this version is in force now.
    Adopted(u64),
    /// The gate is closed: the file is gone, or the hospital's key was succeeded.
    Withdrawn,
}

/// Keeps a gate in step with the files.
#[derive(Debug)]
pub struct ConsentWatch {
    consent: Watched,
    successor: Watched,
    /// Whether the first look was taken.
    looked: bool,
}

/// A file and what it held when it was last looked at.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    seen: Option<String>,
}

enum Found {
    Absent { before: bool },
    Same,
    New(String),
}

impl ConsentWatch {
    pub fn new(state_dir: &Path) -> Self {
        let watched = |name: &str| Watched { path: state_dir.join(name), seen: None };
        Self { consent: watched(CONSENT_FILE), successor: watched(SUCCESSOR_FILE), looked: false }
    }

    /// Brings the gate in step. A bad succession is said, and does not keep the consent from being
    /// looked at.
    pub fn look(&mut self, gate: &mut ConsentGate) -> Result<Look, ConsentFileError> {
        let followed = self.look_at_successor(gate);
        let moved = matches!(followed, Ok(true));
        if moved {
            // The consent that lies there may be the successor's already.
            self.consent.seen = None;
        }
        let look = self.look_at_consent(gate)?;
        match (followed, look) {
            (Ok(_), Look::Unchanged) if moved => Ok(Look::Withdrawn),
            (Ok(_), look) => Ok(look),
            (Err(error), Look::Unchanged) => Err(error),
            (Err(_), look) => {
                // To be said at the next look.
                self.successor.seen = None;
                Ok(look)
            }
        }
    }

    fn look_at_successor(&mut self, gate: &mut ConsentGate) -> Result<bool, ConsentFileError> {
        match self.successor.find()? {
            Found::Absent { .. } | Found::Same => Ok(false),
            Found::New(text) => Ok(take(&self.successor.path, &text, gate)?.0),
        }
    }

    fn look_at_consent(&mut self, gate: &mut ConsentGate) -> Result<Look, ConsentFileError> {
        let found = self.consent.find()?;
        let first = !std::mem::replace(&mut self.looked, true);
        match found {
            Found::Absent { before } => {
                gate.withdraw();
                Ok(if first || before { Look::Withdrawn } else { Look::Unchanged })
            }
            Found::Same => Ok(Look::Unchanged),
            Found::New(text) => {
                let (moved, version) = take(&self.consent.path, &text, gate)?;
                Ok(match version {
                    Some(version) => Look::Adopted(version),
                    None if moved => Look::Withdrawn,
                    None => Look::Unchanged,
                })
            }
        }
    }
}

impl Watched {
    fn find(&mut self) -> Result<Found, ConsentFileError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) if self.seen.as_deref() == Some(text.as_str()) => Ok(Found::Same),
            Ok(text) => {
                self.seen = Some(text.clone());
                Ok(Found::New(text))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Ok(Found::Absent { before: self.seen.take().is_some() })
            }
            Err(source) => Err(ConsentFileError::Read { path: self.path.clone(), source }),
        }
    }
}

/// Gives a file's statements to the gate, in their order; whether its key moved, and the version
/// of the consent that was adopted.
fn take(path: &Path, text: &str, gate: &mut ConsentGate) -> Result<(bool, Option<u64>), ConsentFileError> {
    let statements = statement::all_from_armour(text)
        .map_err(|source| ConsentFileError::Armour { path: path.to_owned(), source })?;
    let (mut moved, mut version) = (false, None);
    for envelope in &statements {
        let taken = if envelope.payload_type() == KeySuccession::TYPE {
            gate.follow(envelope).map(|m| moved |= m)
        } else {
            gate.adopt(envelope).map(|v| version = Some(v))
        };
        taken.map_err(|source| ConsentFileError::Refused { path: path.to_owned(), source })?;
    }
    Ok((moved, version))
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

    fn manifest() -> ConsentManifest {
        ConsentManifest {
            hospital: "minato".parse().unwrap(),
            scope: Scope::Hospital,
            categories: [Category::Disk.code()].into(),
            interval_floor_s: 1,
            valid_from: Timestamp::EPOCH,
            valid_to: Timestamp::MAX,
            version: 4,
            heartbeat: true,
        }
    }

    #[test]
    fn the_file_opens_the_gate_and_its_absence_closes_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed(&[1; 32]);
        let mut gate = ConsentGate::new(key.public(), DeviceId([1; 16]), None, 0);
        let mut watch = ConsentWatch::new(dir.path());
        let at = Timestamp::from_secs(1);
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Withdrawn);
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Unchanged);
        let text = statement::to_armour(&Envelope::seal(&manifest(), &key).unwrap());
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

    #[test]
    fn a_succession_beside_it_or_before_it_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new, newest] = [1, 2, 3].map(|seed| SecretKey::from_seed(&[seed; 32]));
        let at = Timestamp::from_secs(1);
        let step = |from: &SecretKey, to: &SecretKey| {
            let step = KeySuccession::new("minato".parse().unwrap(), to.public(), at);
            statement::to_armour(&Envelope::seal(&step, from).unwrap())
        };
        let consent = |version, key: &SecretKey| {
            let manifest = ConsentManifest { version, ..manifest() };
            statement::to_armour(&Envelope::seal(&manifest, key).unwrap())
        };
        let mut gate = ConsentGate::new(old.public(), DeviceId([1; 16]), None, 0);
        let mut watch = ConsentWatch::new(dir.path());
        let successor = dir.path().join(SUCCESSOR_FILE);
        std::fs::write(path(dir.path()), consent(1, &old)).unwrap();
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Adopted(1));

        // By somebody else: said once, and the consent holds on.
        std::fs::write(&successor, step(&new, &new)).unwrap();
        assert!(matches!(watch.look(&mut gate), Err(ConsentFileError::Refused { .. })));
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Unchanged);
        assert!(gate.permits(Category::Disk, at).is_ok());

        // By the hospital: the consent by its old key is void, the successor's counts.
        std::fs::write(&successor, step(&old, &new)).unwrap();
        assert!(matches!(watch.look(&mut gate), Err(ConsentFileError::Refused { .. })));
        assert!(gate.permits(Category::Disk, at).is_err());
        std::fs::write(path(dir.path()), consent(2, &new)).unwrap();
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Adopted(2));

        // Both in one file, and everything once more from the beginning.
        std::fs::write(path(dir.path()), step(&new, &newest) + &consent(3, &newest)).unwrap();
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Adopted(3));
        let mut gate = ConsentGate::new(old.public(), DeviceId([1; 16]), None, 0);
        let mut watch = ConsentWatch::new(dir.path());
        assert_eq!(watch.look(&mut gate).unwrap(), Look::Adopted(3));
        assert!(gate.permits(Category::Disk, at).is_ok());
    }
}
