//! What the two parties agreed (SLA A1, A6.3(2)): a contract version, its terms, and the versions
//! that followed each other.

#[expect(clippy::module_inception, reason = "the contract itself, beside its terms and its history")]
mod contract;
mod history;
mod terms;

pub use contract::{Contract, Devices, Hospital, Subcontractor};
pub use history::{ContractHistory, HistoryError};
pub use terms::{Contacts, ResponseTerms, Targets};

#[cfg(test)]
pub(crate) use contract::tests::EXAMPLE;
