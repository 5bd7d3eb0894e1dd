//! What was agreed with the hospitals, as it was known at a tick: hours, contacts, planned stops.
//!
//! Holds: what was filed after the tick does not count at it, so that a rebuild decides the same. What
//! did not change is not read again.

use crate::store::{Store, StoreError};
use std::{collections::BTreeMap, sync::Arc};
use tenken_collector_core::{
    desk::care::{Care, Cares},
    sla::{
        calendar::HolidayList,
        history::{History, Sources},
    },
};
use tenken_common::{id::ContractId, time::Timestamp};

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    /// How much was filed: contracts, agreements, records.
    filed: Option<(usize, usize, usize)>,
    histories: BTreeMap<ContractId, History>,
}

impl Agreed {
    pub(super) async fn cares(
        &mut self,
        store: &Store,
        holidays: &Arc<HolidayList>,
        as_of: Timestamp,
    ) -> Result<Cares, StoreError> {
        let mut contracts = store.contracts().await?;
        contracts.retain(|row| row.loaded <= as_of);
        let mut agreements = store.agreements().await?;
        agreements.retain(|row| row.filed <= as_of);
        let mut records = store.sla_records().await?;
        records.retain(|row| row.entered <= as_of);
        let filed = Some((contracts.len(), agreements.len(), records.len()));
        if self.filed != filed {
            let sources = Sources {
                contracts: contracts.into_iter().map(|row| (row.loaded, row.text)).collect(),
                agreements: agreements.into_iter().map(|row| row.agreement).collect(),
                records: records.into_iter().map(|row| (row.contract, row.text)).collect(),
                holidays: Arc::clone(holidays),
                ..Sources::default()
            };
            self.histories = sources.histories().map_err(|_| StoreError::Value("contract"))?;
            self.filed = filed;
        }
        let mut cares = Cares::new();
        for (hospital, care) in self.histories.values().filter_map(|history| Care::of(history, as_of)) {
            cares.entry(hospital).or_default().push(care);
        }
        Ok(cares)
    }
}
