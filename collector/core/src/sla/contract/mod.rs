//! What the two parties agreed (SLA A1, A6.3(2)): a contract version, its terms and rules, and the versions
//! that followed each other.

#[expect(clippy::module_inception, reason = "the contract itself, beside its terms and its history")]
mod contract;
mod history;
mod rules;
mod rules_file;
mod terms;

pub use contract::{Contract, Devices, Hospital, Subcontractor};
pub use history::{ContractHistory, HistoryError};
pub use rules::{
    BadMonthDay, ChecklistCount, ChecklistItem, Counting, CurrencyCount, CurrencyKind, CurrencyTerms,
    ExclusionClass, ExclusionRule, Grade, Grades, MonthDay, Party, ResponseCount, Rules, UnknownCount,
    UptimeCount,
};
pub use terms::{Contacts, ResponseTerms, Targets};

#[cfg(test)]
pub(crate) use contract::tests::EXAMPLE;
