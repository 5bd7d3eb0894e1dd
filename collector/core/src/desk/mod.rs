//! What the support desk works with: rules make findings, findings open incidents, incidents
//! lead to notices.

pub mod finding;
pub mod incident;
pub mod judgement;
pub mod notice;
pub mod plan;
pub mod prospect;
pub mod rule;
pub mod rule_case;
pub mod scorecard;
pub mod text;
