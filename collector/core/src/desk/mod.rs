//! What the support desk works with: rules make findings, findings of one cause open one incident,
//! and what becomes of an incident is told to those who want to hear of it.

pub mod alert;
pub mod care;
pub mod cause;
pub mod damage;
pub mod finding;
pub mod incident;
pub mod interim;
pub mod judgement;
pub mod notice;
pub mod plan;
pub mod prospect;
pub mod route;
pub mod rule;
pub mod rule_case;
pub mod scorecard;
pub mod silence;
pub mod text;
pub mod triage;
pub mod upkeep;
