//! The consent gate: what the hospital allows to be recorded and to leave, asked at the spool and
//! again at the send.
//!
//! Holds (I8): only a manifest signed by the hospital's own key opens it, only with a version not
//! below the highest one ever seen (which the spool's state keeps, so a restored image cannot
//! bring an older one back). Without a manifest nothing is allowed. Withdrawing needs no
//! signature: whoever administers the device takes the file away.
//!
//! Holds: where the hospital succeeded its key, only the successor opens the gate; a consent by
//! the key before it is void from that moment on.

use std::time::Duration;
use tenken_common::{
    category::Category,
    consent::{ConsentManifest, Refusal},
    envelope::{Envelope, EnvelopeError, Verified},
    id::{DeviceId, Name},
    key::{KeyError, PublicKey},
    statement::KeySuccession,
    time::Timestamp,
};

/// Why a manifest was not taken; the one before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    #[error("the consent is not signed by this hospital's key")]
    Signature(#[source] EnvelopeError),
    #[error("the consent has version {got}, this device has seen version {highest} already")]
    Older { got: u64, highest: u64 },
    #[error("the consent speaks of other devices than this one")]
    OtherDevice,
    #[error("the succession of the hospital's key is not signed by the key before it")]
    Succession(#[source] EnvelopeError),
    #[error("the succession names no usable key")]
    Successor(#[source] KeyError),
}

/// See the module's head.
#[derive(Debug)]
pub struct ConsentGate {
    hospital_key: PublicKey,
    /// Keys before it, oldest first.
    former_keys: Vec<PublicKey>,
    device: DeviceId,
    group: Option<Name>,
    highest: u64,
    manifest: Option<Verified<ConsentManifest>>,
}

impl ConsentGate {
    /// A closed gate. `highest` is the highest version this device has seen.
    pub fn new(hospital_key: PublicKey, device: DeviceId, group: Option<Name>, highest: u64) -> Self {
        Self { hospital_key, former_keys: Vec::new(), device, group, highest, manifest: None }
    }

    /// Takes a manifest, if it may be taken. Returns its version.
    pub fn adopt(&mut self, envelope: &Envelope) -> Result<u64, ConsentError> {
        let manifest =
            envelope.open::<ConsentManifest>(&self.hospital_key).map_err(ConsentError::Signature)?;
        if !manifest.covers(self.device, self.group.as_ref()) {
            return Err(ConsentError::OtherDevice);
        }
        if manifest.version < self.highest {
            return Err(ConsentError::Older { got: manifest.version, highest: self.highest });
        }
        self.highest = manifest.version;
        self.manifest = Some(manifest);
        Ok(self.highest)
    }

    /// Follows a succession of the hospital's key; one that was followed before changes nothing.
    /// Says whether the key is another one now, which closes the gate.
    pub fn follow(&mut self, envelope: &Envelope) -> Result<bool, ConsentError> {
        let opened = envelope.open::<KeySuccession>(&self.hospital_key);
        let succession = match opened {
            Ok(succession) => succession,
            Err(_) if self.has_followed(envelope) => return Ok(false),
            Err(error) => return Err(ConsentError::Succession(error)),
        };
        let successor = succession.successor().map_err(ConsentError::Successor)?;
        if successor == self.hospital_key {
            return Ok(false);
        }
        self.former_keys.push(std::mem::replace(&mut self.hospital_key, successor));
        self.manifest = None;
        Ok(true)
    }

    fn has_followed(&self, envelope: &Envelope) -> bool {
        let after = self.former_keys.iter().skip(1).chain([&self.hospital_key]);
        self.former_keys.iter().zip(after).any(|(key, successor)| {
            let opened = envelope.open::<KeySuccession>(key);
            opened.is_ok_and(|s| s.successor().is_ok_and(|named| named == *successor))
        })
    }

    /// Closes the gate until a manifest is adopted again.
    pub fn withdraw(&mut self) {
        self.manifest = None;
    }

    /// `at` is the device's authority time, not its wall clock.
    pub fn permits(&self, category: Category, at: Timestamp) -> Result<(), Refusal> {
        self.manifest.as_ref().ok_or(Refusal::Withdrawn)?.permits(category, at)
    }

    /// Whether a category may be recorded. Unlike sending, it goes on after the consent has
    /// expired: the records wait in the spool until the hospital renews it.
    pub fn may_record(&self, category: Category, at: Timestamp) -> Result<(), Refusal> {
        let manifest = self.manifest.as_ref().ok_or(Refusal::Withdrawn)?;
        match manifest.permits(category, at) {
            Err(Refusal::Expired) if manifest.categories.contains(&category.code()) => Ok(()),
            other => other,
        }
    }

    /// Whether record ids may leave (stubs and declared losses): where anything at all may, be it
    /// a heartbeat.
    pub fn may_declare(&self, at: Timestamp) -> Result<(), Refusal> {
        let manifest = self.manifest.as_ref().ok_or(Refusal::Withdrawn)?;
        manifest.is_valid(at)?;
        let anything = manifest.heartbeat || manifest.known_categories().next().is_some();
        if anything { Ok(()) } else { Err(Refusal::Withdrawn) }
    }

    /// Whether there is a consent that is valid now, whatever it names.
    pub fn is_open(&self, at: Timestamp) -> Result<(), Refusal> {
        self.manifest.as_ref().ok_or(Refusal::Withdrawn)?.is_valid(at)
    }

    /// No probe runs more often than this.
    pub fn interval_floor(&self) -> Duration {
        self.manifest.as_ref().map_or(Duration::ZERO, |m| Duration::from_secs(m.interval_floor_s.into()))
    }

    pub fn manifest(&self) -> Option<&ConsentManifest> {
        self.manifest.as_deref()
    }

    /// The highest version seen, which the collector is told at resume.
    pub fn highest(&self) -> u64 {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{consent::Scope, key::SecretKey};

    const DEVICE: DeviceId = DeviceId([1; 16]);

    fn manifest(version: u64) -> ConsentManifest {
        ConsentManifest {
            hospital: "minato".parse().unwrap(),
            scope: Scope::Hospital,
            categories: [Category::Disk.code()].into(),
            interval_floor_s: 60,
            valid_from: Timestamp::EPOCH,
            valid_to: Timestamp::from_secs(1_000),
            version,
            heartbeat: true,
        }
    }

    fn gate() -> (SecretKey, ConsentGate) {
        let key = SecretKey::from_seed(&[9; 32]);
        let gate = ConsentGate::new(key.public(), DEVICE, None, 3);
        (key, gate)
    }

    #[test]
    fn closed_until_the_hospital_opens_it_and_again_after_withdrawal() {
        let (key, mut gate) = gate();
        let at = Timestamp::from_secs(5);
        assert_eq!(gate.permits(Category::Disk, at), Err(Refusal::Withdrawn));
        gate.adopt(&Envelope::seal(&manifest(3), &key).unwrap()).unwrap();
        assert_eq!(gate.permits(Category::Disk, at), Ok(()));
        assert_eq!(gate.permits(Category::Patch, at), Err(Refusal::Category));
        let late = Timestamp::from_secs(1_000);
        assert_eq!(gate.permits(Category::Disk, late), Err(Refusal::Expired));
        assert_eq!(gate.may_record(Category::Disk, late), Ok(()), "kept until it is renewed");
        assert_eq!(gate.may_record(Category::Patch, late), Err(Refusal::Expired));
        gate.withdraw();
        assert_eq!(gate.permits(Category::Disk, at), Err(Refusal::Withdrawn));
        assert_eq!(gate.may_declare(at), Err(Refusal::Withdrawn));
    }

    #[test]
    fn ids_leave_while_anything_may() {
        let (key, mut gate) = gate();
        let at = Timestamp::from_secs(5);
        let none = ConsentManifest { categories: [].into(), ..manifest(4) };
        for (manifest, open) in [
            (manifest(3), true),
            (none.clone(), true),
            (ConsentManifest { heartbeat: false, ..manifest(5) }, true),
            (ConsentManifest { heartbeat: false, version: 6, ..none }, false),
        ] {
            gate.adopt(&Envelope::seal(&manifest, &key).unwrap()).unwrap();
            assert_eq!(gate.may_declare(at).is_ok(), open, "{manifest:?}");
            assert_eq!(gate.may_declare(Timestamp::from_secs(1_000)), Err(Refusal::Expired));
        }
    }

    #[test]
    fn an_older_version_another_key_and_another_device_are_refused() {
        let (key, mut gate) = gate();
        let older = gate.adopt(&Envelope::seal(&manifest(2), &key).unwrap());
        assert!(matches!(older, Err(ConsentError::Older { got: 2, highest: 3 })));
        let vendor = SecretKey::from_seed(&[8; 32]);
        let forged = gate.adopt(&Envelope::seal(&manifest(9), &vendor).unwrap());
        assert!(matches!(forged, Err(ConsentError::Signature(_))));
        let other = ConsentManifest { scope: Scope::Device(DeviceId([2; 16])), ..manifest(9) };
        let other = gate.adopt(&Envelope::seal(&other, &key).unwrap());
        assert!(matches!(other, Err(ConsentError::OtherDevice)));
        assert!(gate.manifest().is_none() && gate.highest() == 3);
    }

    #[test]
    fn the_successor_opens_it_and_the_old_key_nothing_any_more() {
        let (old, mut gate) = gate();
        let [new, newest, vendor] = [7, 6, 8].map(|seed| SecretKey::from_seed(&[seed; 32]));
        let at = Timestamp::from_secs(5);
        let step = |from: &SecretKey, to: &SecretKey| {
            let step = KeySuccession::new("minato".parse().unwrap(), to.public(), at);
            Envelope::seal(&step, from).unwrap()
        };
        let by = |key: &SecretKey, version| Envelope::seal(&manifest(version), key).unwrap();
        gate.adopt(&by(&old, 3)).unwrap();
        assert!(matches!(gate.follow(&step(&vendor, &vendor)), Err(ConsentError::Succession(_))));
        assert!(gate.permits(Category::Disk, at).is_ok(), "a forged succession changes nothing");

        assert!(gate.follow(&step(&old, &new)).unwrap());
        assert_eq!(gate.permits(Category::Disk, at), Err(Refusal::Withdrawn));
        assert!(matches!(gate.adopt(&by(&old, 9)), Err(ConsentError::Signature(_))));
        assert!(matches!(gate.follow(&step(&old, &vendor)), Err(ConsentError::Succession(_))));
        gate.adopt(&by(&new, 4)).unwrap();

        // The device's file has all of them, and is read from its beginning.
        let file = [step(&old, &new), step(&new, &newest)];
        let moved: Vec<bool> = file.iter().map(|s| gate.follow(s).unwrap()).collect();
        assert_eq!(moved, [false, true]);
        assert!(matches!(gate.adopt(&by(&new, 5)), Err(ConsentError::Signature(_))));
        gate.adopt(&by(&newest, 5)).unwrap();
        assert!(!gate.follow(&file[0]).unwrap() && gate.permits(Category::Disk, at).is_ok());
    }
}
