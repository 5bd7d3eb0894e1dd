//! Whose forecasts are asked at a tick. A forecast reads weeks of history and changes slowly: so a part
//! of the fleet has its turn every minute, and each device once in [`TURNS`] of them. A device that
//! told of something for the first time is asked at the next minute too.
//!
//! Holds: whose turn it is follows from the stream, so that a rebuild asks the same at the same ticks.

use crate::store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenken_common::id::DeviceId;

/// Minutes in which every device has its turn once.
pub const TURNS: usize = 60;

/// Where the turns stand; a part of the evaluation's own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Turns {
    next: usize,
    /// The newest series that there was at the last turn.
    series: i64,
}

/// Those whose forecasts are due.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    turn: Option<usize>,
    new: BTreeSet<DeviceId>,
}

impl Due {
    pub fn takes(&self, device: DeviceId) -> bool {
        self.turn == Some(part_of(device, TURNS)) || self.new.contains(&device)
    }
}

impl Turns {
    /// The next turn; one a minute.
    pub async fn take(&mut self, store: &Store) -> Result<Due, StoreError> {
        let turn = self.next % TURNS;
        let (new, series) = store.series_after(self.series).await?;
        *self = Self { next: (turn + 1) % TURNS, series };
        Ok(Due { turn: Some(turn), new: new.into_iter().collect() })
    }
}

/// In which of so many parts of the fleet a device is.
pub fn part_of(device: DeviceId, parts: usize) -> usize {
    device.0.iter().fold(0, |sum, byte| (sum * 31 + usize::from(*byte)) % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_has_one_turn_an_hour() {
        for number in 0..=u8::MAX {
            let device = DeviceId([number; 16]);
            let due = |turn| Due { turn: Some(turn), ..Due::default() }.takes(device);
            assert_eq!((0..TURNS).filter(|turn| due(*turn)).count(), 1);
        }
    }

    #[test]
    fn between_the_minutes_nobody_is_due_and_a_new_one_need_not_wait_for_its_turn() {
        let device = DeviceId([7; 16]);
        assert!(!Due::default().takes(device));
        let other = (part_of(device, TURNS) + 1) % TURNS;
        let due = |new: &[DeviceId]| Due { turn: Some(other), new: new.iter().copied().collect() };
        assert!(!due(&[]).takes(device) && due(&[device]).takes(device));
    }
}
