//! The agent's spool as the crash harness drives it: the one place that names its functions.
//!
//! [`load`] is what a recorded run does, [`reference`] the collector on the other side, and
//! [`check`] opens what a cut or a corruption left and accounts for every record.

pub mod check;
pub mod load;
pub mod reference;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::path::Path;
use tenken_agent::spool::{ChainStart, EngineKind, OpenError, Room, SpoolConfig};
use tenken_agent_core::spool::{BatchLimit, CutContext, Spool};
use tenken_common::{
    batch::RecRun,
    category::Category,
    id::{BootId, DeviceId, Epoch, Hash, Name},
    limit,
    observation::{Body, CheckResult, CheckState, Observation, Sample},
    time::{ClockQuality, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
};

/// The spool's folder on the recorded disk.
pub const FOLDER: &str = "spool";
/// Observations from this number on are nearly as large as one may be.
pub const LARGE: u64 = 1 << 20;
/// Every eighth observation from here has this category, which may be withdrawn.
pub const WITHDRAWN: Category = Category::Network;

/// What a run says; all of it is true before it is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// `append` returned these ids for the observations from `n` on.
    Appended { run: RecRun, n: u64 },
    /// The collector has this body.
    Accepted { body: ByteBuf },
    /// From here on the spool may be full.
    Capped,
    /// From here on a category may be withdrawn.
    Withdrawing,
    /// From here on files are damaged: what is lost may be declared.
    Damaging,
}

pub fn start() -> ChainStart {
    ChainStart { device: DeviceId([1; 16]), epoch: Epoch(1), genesis: Hash([9; 32]) }
}

/// Opens the spool as the product does.
pub fn open(disk: &Path, engine: EngineKind, room: Room) -> Result<Box<dyn Spool>, OpenError> {
    tenken_agent::spool::open(&SpoolConfig { dir: disk.join(FOLDER), engine, room }, start())
}

pub fn moment(n: u64) -> Moment {
    let seconds = i64::try_from(n).expect("few observations");
    Moment { boot: BootId([2; 16]), mono: Monotonic(5), wall: Timestamp::from_secs(seconds) }
}

pub fn cut_context() -> CutContext<'static> {
    CutContext {
        device: start().device,
        at: moment(1_000_000),
        clock: ClockQuality::UNKNOWN,
        agent_version: "0.1.0",
    }
}

pub const WHOLE: BatchLimit = BatchLimit {
    records: limit::BATCH_RECORDS_MAX,
    bytes: limit::PLAIN_BYTES_MAX,
    in_flight: limit::IN_FLIGHT_MAX,
};

/// Observation number `n`: the number decides all of it, and its time says the number.
pub fn observation(n: u64) -> Observation {
    let name = |text: &str| Name::new(text).expect("a plain name");
    let quantity = |text: &str| {
        let value = f64::from(u32::try_from(n).expect("few observations"));
        Quantity::new(name(text), Unit::Count, value).expect("a finite value")
    };
    let sample = |quantities| Body::Sample(Sample { probe: name("crash"), quantities });
    let (category, body) = match n % 8 {
        _ if n >= LARGE => {
            // Names that do not compress, so that a body is as large as its records.
            let names =
                (0..100_u64).map(|i| Hash::of(&[n.to_le_bytes(), i.to_le_bytes()].concat()).to_string());
            (Category::Disk, sample(names.map(|text| quantity(text.get(..60).unwrap_or("n"))).collect()))
        }
        0 => {
            let check = CheckResult { probe: name("crash"), state: CheckState::Critical };
            (Category::Service, Body::CheckResult(check))
        }
        1 => (WITHDRAWN, sample(vec![quantity("n")])),
        _ => (Category::Disk, sample(vec![quantity("n")])),
    };
    Observation { at: moment(n), category, subject: name("device"), body }
}

/// The number of an observation, if it is one of ours and whole.
pub fn number_of(seen: &Observation) -> Option<u64> {
    let n = u64::try_from(seen.at.wall.as_micros() / 1_000_000).ok()?;
    (n < 2 * LARGE && observation(n) == *seen).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::said;

    #[test]
    fn an_observation_says_its_number_and_an_altered_one_does_not() {
        for n in [1, 7, 8, 9, LARGE + 3] {
            assert_eq!(number_of(&observation(n)), Some(n));
            let altered = Observation { category: Category::Wear, ..observation(n) };
            assert_eq!(number_of(&altered), None);
        }
    }

    #[test]
    fn words_come_back_and_a_broken_one_was_not_said() {
        let words = [Word::Capped, Word::Accepted { body: ByteBuf::from(vec![7; 300]) }];
        let mut bytes = words.each_ref().map(said::to_bytes).concat();
        assert_eq!(said::words::<Word>(&bytes), words);
        bytes.pop();
        assert_eq!(said::words::<Word>(&bytes), [Word::Capped]);
    }
}
