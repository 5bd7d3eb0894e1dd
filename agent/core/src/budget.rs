//! What the agent may cost its device, and which probes still run when it costs more: a maintained
//! device comes first, the agent's numbers second.
//!
//! Holds: over the budget, expensive probes are left out first, then moderate ones, then all; the
//! spool and delivery go on. What is left out is said as a run of its own state, so that nobody
//! takes silence for health. Once the mean is within the budget again, they run again.
//!
//! Does not: measure; the shell passes in what the system says of the process and its children.

use crate::probe::Cost;
use std::{collections::VecDeque, time::Duration};
use tenken_common::time::Monotonic;

/// Over which the mean of processor time is taken; a daily probe of some seconds is no burden.
pub const WINDOW: Duration = Duration::from_mins(10);
/// How often a measurement is kept; more often says nothing more.
const STEP: Duration = Duration::from_secs(15);
/// From this multiple of the budget on, only cheap probes run; from its square on, none.
const GRAVE: f64 = 2.0;

/// What the process has cost so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// Processor seconds since its start, with those of its children.
    pub cpu_s: f64,
    pub memory_bytes: f64,
}

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Of one processor, over the window.
    cpu_ratio: f64,
    memory_bytes: f64,
    points: VecDeque<(Monotonic, f64)>,
    memory_now: f64,
}

impl Budget {
    pub fn new(cpu_ratio: f64, memory_bytes: f64) -> Self {
        Self { cpu_ratio, memory_bytes, points: VecDeque::new(), memory_now: 0.0 }
    }

    /// Takes a measurement. A clock or an account that went back begins anew.
    pub fn measure(&mut self, now: Monotonic, spent: Spent) {
        self.memory_now = spent.memory_bytes;
        if self.points.back().is_some_and(|(at, cpu_s)| now < *at || spent.cpu_s < *cpu_s) {
            self.points.clear();
        }
        if self.points.back().is_none_or(|(at, _)| now.saturating_since(*at) >= STEP) {
            self.points.push_back((now, spent.cpu_s));
        }
        // One point at or before the window's beginning stays.
        while self.points.get(1).is_some_and(|(at, _)| now.saturating_since(*at) >= WINDOW) {
            self.points.pop_front();
        }
    }

    /// The most that a probe may cost now; `None`: none is run.
    pub fn allows(&self) -> Option<Cost> {
        let over = self.cpu_over().max(self.memory_now / self.memory_bytes);
        if over <= 1.0 {
            Some(Cost::Expensive)
        } else if over <= GRAVE {
            Some(Cost::Moderate)
        } else if over <= GRAVE * GRAVE {
            Some(Cost::Cheap)
        } else {
            None
        }
    }

    /// How many times the budget the mean is; nothing before the window is half over, since a start
    /// costs what a day does not.
    fn cpu_over(&self) -> f64 {
        let (Some((from, first)), Some((to, last))) = (self.points.front(), self.points.back()) else {
            return 0.0;
        };
        let passed = to.saturating_since(*from);
        if passed < WINDOW / 2 { 0.0 } else { (last - first) / passed.as_secs_f64() / self.cpu_ratio }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After `minutes` of this share of a processor.
    fn after(minutes: u64, share: f64, memory_bytes: f64) -> Option<Cost> {
        let mut budget = Budget::new(0.01, 1_000.0);
        for s in (0..=minutes * 60).step_by(5) {
            let cpu_s = share * crate::record::to_f64(s);
            budget.measure(Monotonic(s * 1_000), Spent { cpu_s, memory_bytes });
        }
        budget.allows()
    }

    #[test]
    fn the_dearest_are_left_out_first() {
        assert_eq!(after(20, 0.009, 900.0), Some(Cost::Expensive));
        assert_eq!(after(20, 0.015, 900.0), Some(Cost::Moderate));
        assert_eq!(after(20, 0.03, 900.0), Some(Cost::Cheap));
        assert_eq!(after(20, 0.05, 900.0), None);
        assert_eq!(after(20, 0.0, 1_500.0), Some(Cost::Moderate));
        assert_eq!(after(1, 0.5, 900.0), Some(Cost::Expensive), "a start is no burden");
    }

    #[test]
    fn it_runs_again_once_the_mean_is_within() {
        let mut budget = Budget::new(0.01, 1_000.0);
        let mut cpu_s = 0.0;
        let mut states = Vec::new();
        for minute in 0..40_u64 {
            cpu_s += if minute < 10 { 1.2 } else { 0.06 };
            budget.measure(Monotonic(minute * 60_000), Spent { cpu_s, memory_bytes: 1.0 });
            states.push(budget.allows());
        }
        assert_eq!(states[9], Some(Cost::Moderate));
        assert_eq!(states[39], Some(Cost::Expensive));
        assert!(budget.points.len() <= 42, "{}", budget.points.len());
    }

    #[test]
    fn an_account_that_went_back_begins_anew() {
        let mut budget = Budget::new(0.01, 1_000.0);
        for (s, cpu_s) in [(0, 0.0), (600, 60.0), (660, 0.1)] {
            budget.measure(Monotonic(s * 1_000), Spent { cpu_s, memory_bytes: 1.0 });
        }
        assert_eq!(budget.allows(), Some(Cost::Expensive));
    }
}
