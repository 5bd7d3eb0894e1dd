//! `device show` and `device ledger`: what devices say of their own state.

use super::{print_json, say, show};
use crate::{
    overview,
    store::{Store, model::DeviceRow},
};
use anyhow::bail;
use std::io::Write as _;
use tenken_common::{id::Name, message::Language};

pub async fn show(store: &Store, device: &Name, (json, language): (bool, Language)) -> anyhow::Result<()> {
    let card = overview::device::card(store, &find(store, device).await?).await?;
    if json { print_json(&card) } else { say(&show::device::card(&card, language)) }
}

pub async fn ledger(store: &Store, csv: bool, (json, language): (bool, Language)) -> anyhow::Result<()> {
    let rows = overview::device::ledger(store).await?;
    if csv {
        // As it is: a table program wants the line ends of its format.
        std::io::stdout().write_all(show::device::ledger_csv(&rows, language).as_bytes())?;
        return Ok(());
    }
    if json { print_json(&rows) } else { say(&show::device::ledger(&rows, language)) }
}

/// By its id, or by its name.
pub(super) async fn find(store: &Store, device: &Name) -> anyhow::Result<DeviceRow> {
    let mut found = store.devices().await?;
    found.retain(|row| row.label == *device || row.id.to_string() == device.as_str());
    match (found.pop(), found.is_empty()) {
        (Some(row), true) => Ok(row),
        (Some(_), false) => bail!("several devices are called {device}; name it by its id"),
        (None, _) => bail!("there is no device {device}; `tenken-collector device list` shows them"),
    }
}
