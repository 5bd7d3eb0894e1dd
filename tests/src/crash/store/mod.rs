//! The collector's store as the crash harness drives it: the product's store and committer, with
//! devices that sign.
//!
//! [`load`] is what a recorded run does, [`check`] opens what a cut left and holds it against
//! everything that was acknowledged.

pub mod check;
pub mod device;
pub mod load;

use device::Device;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tenken_collector::{
    ingest::{CertificateIssuer, IssueError, IssuedCertificate},
    store::{Store, StoreError},
};
use tenken_collector_core::stream::Entry;
use tenken_common::{
    id::{BootId, DeviceId, Hash},
    key::SecretKey,
    time::{ManualClock, Timestamp},
};

pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// What a run says; all of it was acknowledged before it is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// This entry stands at this position.
    Kept { position: u64, kind: u8, device: Option<DeviceId>, body: ByteBuf },
    /// The store said that it has this batch already, where an earlier try had failed.
    Known { device: DeviceId, body: ByteBuf },
    /// A device was granted its identity.
    Enrolled { device: DeviceId, grant: ByteBuf },
}

impl Word {
    pub fn kept(position: u64, entry: &Entry) -> Self {
        let (kind, device, body) = entry.encode().expect("an entry of ours encodes");
        Self::Kept { position, kind, device, body: ByteBuf::from(body) }
    }
}

pub fn hospital_key() -> SecretKey {
    SecretKey::from_seed(&[100; 32])
}

pub fn database(disk: &Path) -> PathBuf {
    disk.join("collector.db")
}

pub async fn open(disk: &Path) -> Result<(Store, Arc<ManualClock>), StoreError> {
    let clock = Arc::new(ManualClock::new(BootId([0; 16]), START));
    Ok((Store::open(&database(disk), clock.clone()).await?, clock))
}

/// Gives the certificate request back as the certificate.
pub struct Echo;

impl CertificateIssuer for Echo {
    fn issue(&self, csr: &[u8], _: DeviceId, _: Timestamp) -> Result<IssuedCertificate, IssueError> {
        Ok(IssuedCertificate { chain_der: vec![csr.to_vec()], leaf_sha256: Hash::of(csr) })
    }
}

/// The device that was granted something, by its key's number.
pub fn device_of(number: u8, id: DeviceId, grant: &[u8]) -> Device {
    Device::new(number, id, Hash::of(grant))
}
