//! The shape of a probe: one thing on the device that can be looked at.
//!
//! Holds: a probe declares its category, interval and cost before it runs; it gives observations
//! or says why there are none, and never a guessed value. It knows neither spool nor transport.

use std::{error::Error, time::Duration};
use tenken_common::{
    category::Category,
    observation::{Observation, ProbeState},
    time::Moment,
};

/// What a probe declares about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeInfo {
    /// Lower-case, stable: the key in the configuration and on the wire.
    pub name: &'static str,
    pub category: Category,
    /// Default; the configuration and the consent's floor may lengthen it.
    pub interval: Duration,
    pub cost: Cost,
    /// After this the run is given up as timed out.
    pub timeout: Duration,
}

/// What one run costs the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Under a millisecond of processor time.
    Cheap,
    /// Up to 100 ms.
    Moderate,
    /// More, or a child process: hourly at most.
    Expensive,
}

/// What a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeContext {
    pub at: Moment,
}

/// Why a run has no values.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The probe works and there is nothing to see.
    #[error("nothing to report on this system")]
    NoData,
    #[error("not possible on this system")]
    Unsupported,
    /// A program that it needs is not there.
    #[error("needs {0}, which is not installed")]
    Lacks(String),
    #[error("gave no answer in time")]
    TimedOut,
    #[error("failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl ProbeError {
    pub fn state(&self) -> ProbeState {
        match self {
            Self::NoData => ProbeState::NoData,
            Self::Unsupported | Self::Lacks(_) => ProbeState::Unsupported,
            Self::TimedOut => ProbeState::TimedOut,
            Self::Failed(_) => ProbeState::Failed,
        }
    }
}

/// How a run went: its answer, and how long the device worked for it.
#[derive(Debug)]
pub struct ProbeOutcome {
    pub result: Result<Vec<Observation>, ProbeError>,
    pub duration: Duration,
}

impl ProbeOutcome {
    /// An answer without a single observation is no data.
    pub fn state(&self) -> ProbeState {
        match &self.result {
            Ok(seen) if seen.is_empty() => ProbeState::NoData,
            Ok(_) => ProbeState::Ok,
            Err(e) => e.state(),
        }
    }
}

/// One thing to look at. State (a counter's last value) lives in `self`.
pub trait Probe: Send {
    fn info(&self) -> &ProbeInfo;
    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError>;
}
