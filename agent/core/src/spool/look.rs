//! Looking at what waits, for the people whose data it is.
//!
//! Holds: it changes nothing.

use super::{
    SpoolError, WaitingRecord,
    durable::DurableSpool,
    engine::{Engine, StateStore},
    frame,
};
use tenken_common::{id::RecId, observation::Class};

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    /// At most `max` records of a class that are not cut yet, from an id on.
    pub(super) fn look(
        &self,
        class: Class,
        from: RecId,
        max: usize,
    ) -> Result<Vec<WaitingRecord>, SpoolError> {
        self.check_running()?;
        let mut found = match class {
            Class::Ordinary => self.packed_from(from, max)?,
            Class::Urgent => Vec::new(),
        };
        found.extend(self.page(class, Some(frame::record_key(class, from)), max)?);
        found.sort_by_key(|w| w.id);
        Ok(found
            .into_iter()
            .take(max)
            .map(|w| WaitingRecord { id: w.id, record: w.record.map(|r| r.decode()) })
            .collect())
    }
}
