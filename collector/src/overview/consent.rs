//! What the hospitals consented to, as far as it was filed here, and what of it is missing.
//!
//! Holds: it only shows. What a device may send is decided on the device, by the consent that lies
//! there; this side cannot widen it.

use crate::store::{
    Store, StoreError,
    model::{ConsentRow, DeviceRow},
};
use serde::Serialize;
use tenken_common::{
    category::Category,
    consent::{ConsentManifest, Refusal},
    envelope::{Envelope, Payload},
    time::Timestamp,
};

/// The newest consent on file that speaks of a device.
#[derive(Debug, Clone, Serialize)]
pub struct ConsentOverview {
    pub version: u64,
    pub valid_from: Timestamp,
    pub valid_to: Timestamp,
    pub categories: Vec<Category>,
    pub standing: ConsentStanding,
}

/// Whether a consent permits anything now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentStanding {
    InForce,
    NotYet,
    Expired,
    /// A version without any category.
    Withdrawn,
}

impl ConsentOverview {
    fn of(manifest: &ConsentManifest, as_of: Timestamp) -> Self {
        let standing = match manifest.is_valid(as_of) {
            _ if manifest.categories.is_empty() => ConsentStanding::Withdrawn,
            Ok(()) => ConsentStanding::InForce,
            Err(Refusal::NotYet) => ConsentStanding::NotYet,
            Err(Refusal::Expired | Refusal::Category | Refusal::Withdrawn) => ConsentStanding::Expired,
        };
        Self {
            version: manifest.version,
            valid_from: manifest.valid_from,
            valid_to: manifest.valid_to,
            categories: manifest.known_categories().collect(),
            standing,
        }
    }
}

/// All that are on file.
pub(super) struct Consents(Vec<ConsentManifest>);

impl Consents {
    /// Their signatures were checked when they were filed.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let rows = store.consents().await?;
        let read = |row: &ConsentRow| {
            let envelope = Envelope::from_bytes(&row.envelope).map_err(|_| StoreError::Value("consent"))?;
            Ok(ConsentManifest::decode(envelope.body())?)
        };
        rows.iter().map(read).collect::<Result<_, StoreError>>().map(Self)
    }

    /// As a device does: of all that speak of it, the highest version counts.
    pub fn of(&self, device: &DeviceRow, as_of: Timestamp) -> Option<ConsentOverview> {
        let covering = self.0.iter().filter(|c| c.hospital == device.hospital);
        let covering = covering.filter(|c| c.covers(device.id, device.group.as_ref()));
        covering.max_by_key(|c| c.version).map(|c| ConsentOverview::of(c, as_of))
    }
}
