//! What the support desk works with: rules make findings, findings open incidents, incidents
//! lead to notices.

pub mod notice;
