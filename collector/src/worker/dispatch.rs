//! The outbox of the store as the dispatcher sees it.

use crate::{
    notify::dispatch::{Due, Outbox, RowKey},
    store::{Store, StoreError},
};
use tenken_common::time::Timestamp;

/// See the module's head.
#[derive(Debug, Clone)]
pub struct StoreOutbox {
    store: Store,
}

impl StoreOutbox {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Outbox for StoreOutbox {
    type Error = StoreError;

    async fn due(&self, now: Timestamp, max: usize) -> Result<Vec<Due>, StoreError> {
        let rows = self.store.due_notices(now, u32::try_from(max).unwrap_or(u32::MAX)).await?;
        Ok(rows
            .into_iter()
            .map(|row| Due { outlet: row.channel, notice: row.notice, failures: row.attempts })
            .collect())
    }

    async fn delivered(&self, row: &RowKey, at: Timestamp) -> Result<(), StoreError> {
        self.store.notice_delivered(row.notice, &row.outlet, at).await
    }

    async fn failed(
        &self,
        row: &RowKey,
        _at: Timestamp,
        next: Option<Timestamp>,
        error: &str,
    ) -> Result<(), StoreError> {
        self.store.notice_failed(row.notice, &row.outlet, error, next).await
    }
}
