//! What was agreed and how it was kept (SLA A1.3, A6.3(2), A7.1): the calendar, the contract, the
//! one label that every second of service time has, and the figures that follow from them.
//!
//! Holds: everything takes `as_of`; the same input gives the same figures for ever. A quotient
//! without a denominator is null with a reason, never 1. What is not known widens the bounds of a
//! figure instead of being taken as good or bad.
//!
//! A [`history::History`] is all that figures are made from, be it from a store or from a file that
//! somebody wrote; what of it is known at an instant makes months, years and their consequences.

pub mod agreed;
pub mod availability;
pub mod calendar;
pub mod checklist;
pub mod consequence;
pub mod contract;
pub mod currency;
pub mod exclusion;
pub mod heartbeat;
pub mod history;
pub mod indicator;
pub mod job;
pub mod miss;
pub mod month;
pub mod outage;
pub mod partition;
pub mod report;
pub mod response;
pub mod seal;
pub mod span;
pub mod what_if;
pub mod year;
