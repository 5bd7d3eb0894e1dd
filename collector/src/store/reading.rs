//! Numbers in the order in which they came, for who hands them on: straight from the stream, so that
//! late ones come when they came, and each is met once however often the reader starts anew.
//!
//! Holds: they are the numbers that the projection takes; see [`super::project`].

use super::{
    StoreError,
    model::{Reading, Readings},
    project::numbers,
    sqlite::{Store, stored_arrival},
};
use tenken_collector_core::{
    intake::arrival::Arrival,
    stream::{Entry, Stored},
};

/// Entries read at once; at 260 KiB each they take at most 16 MiB.
const PAGE: u32 = 64;

impl Store {
    /// What follows a position: whole entries, until they hold `n` numbers or a page is over.
    pub async fn readings_after(&self, position: u64, n: usize) -> Result<Readings, StoreError> {
        let mut readings = Readings { until: position, oldest: None, readings: Vec::new() };
        for stored in self.entries_after(position, PAGE).await? {
            readings.until = stored.position;
            take(&mut readings, stored)?;
            if readings.readings.len() >= n {
                break;
            }
        }
        Ok(readings)
    }
}

fn take(readings: &mut Readings, stored: Stored) -> Result<(), StoreError> {
    let Entry::Envelope { device, bytes } = stored.entry else { return Ok(()) };
    let Arrival::Batch(received) = stored_arrival(&bytes)?.1 else { return Ok(()) };
    let batch = &received.batch;
    for o in batch.records.iter().map(|record| &record.observation) {
        let Some((probe, quantities)) = numbers(&o.body) else { continue };
        let at = batch.corrected(o);
        readings.oldest.get_or_insert(stored.committed);
        readings.readings.extend(quantities.iter().map(|q| Reading {
            device,
            subject: o.subject.clone(),
            probe: probe.clone(),
            name: q.name.clone(),
            unit: q.unit,
            at,
            value: q.value,
        }));
    }
    Ok(())
}
