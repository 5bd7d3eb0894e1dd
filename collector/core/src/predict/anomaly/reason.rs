//! Why a point is unusual, in one sentence with the numbers.

use super::aspect::Aspect;
use serde::{Deserialize, Serialize};
use tenken_common::message::{Language, PredictText};

/// Which end of the distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Above,
    Below,
}

/// What is unusual about a point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub aspect: Aspect,
    pub side: Side,
    /// As it is.
    pub seen: f64,
    /// What one in 45 is beyond.
    pub bound: f64,
}

impl Reason {
    pub fn sentence(&self, language: Language) -> String {
        let text = match (self.aspect, self.side) {
            (Aspect::Value, Side::Above) => PredictText::ValueAbove,
            (Aspect::Value, Side::Below) => PredictText::ValueBelow,
            (Aspect::Step, Side::Above) => PredictText::StepUp,
            (Aspect::Step, Side::Below) => PredictText::StepDown,
            (Aspect::Run, Side::Above) => PredictText::RunAbove,
            (Aspect::Run, Side::Below) => PredictText::RunBelow,
            (Aspect::LongRun, Side::Above) => PredictText::LongRunAbove,
            (Aspect::LongRun, Side::Below) => PredictText::LongRunBelow,
            (Aspect::Spread, Side::Above) => PredictText::SpreadAbove,
            (Aspect::Spread, Side::Below) => PredictText::SpreadBelow,
            (Aspect::Shape, Side::Above) => PredictText::ShapeAbove,
            (Aspect::Shape, Side::Below) => PredictText::ShapeBelow,
            (Aspect::Hour, Side::Above) => PredictText::HourAbove,
            (Aspect::Hour, Side::Below) => PredictText::HourBelow,
            (Aspect::HourRun, Side::Above) => PredictText::HourRunAbove,
            (Aspect::HourRun, Side::Below) => PredictText::HourRunBelow,
        };
        text.fill(language, &[("seen", &number(self.seen)), ("bound", &number(self.bound))])
    }
}

/// Four digits, as a person writes them.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = match size {
        s if s >= 1e3 || s == 0.0 => 0,
        s if s >= 1e2 => 1,
        s if s >= 1e1 => 2,
        s if s >= 1.0 => 3,
        s if s >= 0.1 => 4,
        s if s >= 0.01 => 5,
        s if s >= 0.001 => 6,
        _ => 7,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
