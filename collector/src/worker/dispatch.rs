//! The outbox of the store as the dispatcher sees it.

use crate::{
    notify::dispatch::{Due, DueKey, Outbox},
    store::{Store, StoreError, model::OutboxMessage},
};
use std::collections::BTreeSet;
use tenken_common::{id::Name, time::Timestamp};

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

    async fn due(&self, now: Timestamp, max: usize, busy: &BTreeSet<Name>) -> Result<Vec<Due>, StoreError> {
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        let due = self.store.due_messages(now, max, busy).await?.into_iter().map(|message| {
            let OutboxMessage { id, channel, attempts, notices } = message;
            Due { id, outlet: channel, notices, failures: attempts }
        });
        Ok(due.collect())
    }

    async fn delivered(&self, row: &DueKey, at: Timestamp) -> Result<(), StoreError> {
        self.store.message_delivered(row.message, &row.outlet, at).await
    }

    async fn failed(
        &self,
        row: &DueKey,
        _at: Timestamp,
        next: Option<Timestamp>,
        error: &str,
    ) -> Result<(), StoreError> {
        self.store.message_failed(row.message, &row.outlet, error, next).await
    }
}
