//! The consent gate: what the hospital allows to be recorded and to leave, asked at the spool and
//! again at the send.
//!
//! Holds (I8): only a manifest signed by the hospital's own key opens it, only with a version not
//! below the highest one ever seen (which the spool's state keeps, so a restored image cannot
//! bring an older one back). Without a manifest nothing is allowed. Withdrawing needs no
//! signature: whoever administers the device takes the file away.

use std::time::Duration;
use tenken_common::{
    category::Category,
    consent::{ConsentManifest, Refusal},
    envelope::{Envelope, EnvelopeError, Verified},
    id::{DeviceId, Name},
    key::PublicKey,
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
}

/// See the module's head.
#[derive(Debug)]
pub struct ConsentGate {
    hospital_key: PublicKey,
    device: DeviceId,
    group: Option<Name>,
    highest: u64,
    manifest: Option<Verified<ConsentManifest>>,
}

impl ConsentGate {
    /// A closed gate. `highest` is the highest version this device has seen.
    pub fn new(hospital_key: PublicKey, device: DeviceId, group: Option<Name>, highest: u64) -> Self {
        Self { hospital_key, device, group, highest, manifest: None }
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
}
