//! What was agreed and how it was kept (SLA A1.3, A6.3(2), A7.1): the calendar, the contract, the
//! one label that every second of service time has, and the figures that follow from them.
//!
//! Holds: everything takes `as_of`; the same input gives the same figures for ever. A quotient
//! without a denominator is null with a reason, never 1. What is not known widens the bounds of a
//! figure instead of being taken as good or bad.
//!
//! Does not: approve exclusions, attribute causes, count breaches or grade a year.

pub mod availability;
pub mod calendar;
pub mod contract;
pub mod heartbeat;
pub mod indicator;
pub mod month;
pub mod partition;
pub mod response;
pub mod span;
