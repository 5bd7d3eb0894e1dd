//! What an agent with its default probes records in a month: real observations of this machine,
//! stamped anew minute by minute.
//!
//! Holds: records, subjects, names and units of each minute are what the real probes and the
//! agent's own report gave. A quantity that differed between two real runs differs from minute to
//! minute here too, by seeded noise in its last digits, so that compression finds no more than it
//! would find on a device; one that stood still stands still.

use crate::{seed, wait::let_pass};
use proptest::{prelude::RngExt, test_runner::TestRng};
use std::time::Duration;
use tenken_agent::{
    config::AgentConfig,
    probes::{Surroundings, own, registry},
    runner::Runner,
};
use tenken_agent_core::{
    probe::{ProbeContext, ProbeInfo},
    record::{Recorder, quantity, spool_quantities, to_f64},
    spool::SpoolStats,
};
use tenken_common::{
    id::Name,
    observation::{Body, CheckResult, CheckState, Observation},
    time::{Clock, Moment, Monotonic, SystemClock},
    unit::{Quantity, Unit},
};

/// Cycles of the real probes; the first gives no rates yet.
const CYCLES: usize = 4;
/// Between two cycles, so that rates and counters have something to show.
const BETWEEN: Duration = Duration::from_millis(400);
const MINUTE: Duration = Duration::from_secs(60);
/// How far a moving quantity moves.
const NOISE: f64 = 0.05;

/// See the module's head.
pub struct Month {
    /// One cycle, and of each observation which of its quantities move.
    cycle: Vec<(Observation, Vec<bool>)>,
    start: Moment,
    minute: u64,
    rng: TestRng,
}

impl Month {
    /// Runs the real probes of a default configuration a few times; the month begins at `start`.
    pub fn of_this_machine(seed: u64, start: Moment) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut cycles = runtime.block_on(async {
            let options = AgentConfig::default().probes;
            let mut runner = Runner::new(registry::all(&options, &Surroundings::passing(&options)));
            let mut recorder = Recorder::new();
            let mut cycles = Vec::new();
            for _ in 0..CYCLES {
                cycles.push(one_cycle(&mut runner, &mut recorder).await);
                let_pass(BETWEEN);
            }
            cycles
        });
        let last = cycles.pop().expect("there were cycles");
        let before = cycles.pop().expect("there were several cycles");
        let moves = |observation: &Observation| {
            let earlier =
                before.iter().find(|o| o.subject == observation.subject && same_probe(o, observation));
            let earlier = earlier.map(quantities).unwrap_or_default();
            let stands = |q: &Quantity| earlier.iter().any(|e| e.name == q.name && same(e.value, q.value));
            quantities(observation).iter().map(|q| !stands(q)).collect()
        };
        let cycle = last.into_iter().map(|o| (o.clone(), moves(&o))).collect();
        Self { cycle, start, minute: 0, rng: seed::rng(seed) }
    }

    /// Records of one minute.
    pub fn records_a_minute(&self) -> usize {
        self.cycle.len()
    }

    /// The observations of the next minute.
    pub fn minute(&mut self) -> Vec<Observation> {
        let at = self.start_of_minute();
        self.minute += 1;
        let rng = &mut self.rng;
        let stamped = self.cycle.iter().enumerate().map(|(nth, (observation, moves))| {
            // Every probe keeps its own beat, a few milliseconds early or late.
            let offset = 200 * nth as u64 + rng.random_range(0..8u64);
            let mut observation = observation.clone();
            let micros = rng.random_range(0..1_000u64);
            observation.at = Moment {
                boot: at.boot,
                mono: Monotonic(at.mono.0 + offset),
                wall: at.wall.plus(Duration::from_micros(offset * 1_000 + micros)),
            };
            for (q, _) in quantities_mut(&mut observation).iter_mut().zip(moves).filter(|(_, moves)| **moves)
            {
                q.value = moved(q.value, rng);
            }
            observation
        });
        stamped.collect()
    }

    /// An alarm at the end of what was recorded.
    pub fn alarm(&self) -> Observation {
        let (observation, _) = self.cycle.first().expect("a machine has probes");
        let probe = Name::of_outside("services");
        let body = Body::CheckResult(CheckResult { probe, state: CheckState::Critical });
        Observation { at: self.start_of_minute(), body, ..observation.clone() }
    }

    fn start_of_minute(&self) -> Moment {
        let since = MINUTE * u32::try_from(self.minute).expect("a month has few minutes");
        let Moment { boot, mono, wall } = self.start;
        Moment { boot, mono: mono.plus(since), wall: wall.plus(since) }
    }
}

/// As the agent's collection loop does it, its own report included.
async fn one_cycle(runner: &mut Runner, recorder: &mut Recorder) -> Vec<Observation> {
    let clock = SystemClock::new();
    let infos: Vec<_> = runner.infos().cloned().collect();
    let mut observations = Vec::new();
    let every_minute = |info: &ProbeInfo| info.interval <= Duration::from_mins(1);
    for (index, info) in infos.iter().enumerate().filter(|(_, info)| every_minute(info)) {
        let outcome = runner.run(index, ProbeContext { at: clock.now() }).await;
        observations.extend(recorder.record(info, outcome));
    }
    let mut own = own::read();
    own.extend(spool_quantities(&SpoolStats { waiting: to_waiting(&clock), ..SpoolStats::default() }));
    own.extend(quantity("push_failures", Unit::Count, to_f64(clock.mono().0)));
    own.extend(quantity("expected_interval_seconds", Unit::Seconds, 60.0));
    observations.extend(recorder.report(clock.now(), own));
    observations
}

/// Some number that grows, as what waits does while a device is offline.
fn to_waiting(clock: &SystemClock) -> u64 {
    clock.mono().0
}

fn same_probe(a: &Observation, b: &Observation) -> bool {
    match (&a.body, &b.body) {
        (Body::Sample(a), Body::Sample(b)) => a.probe == b.probe,
        (Body::CheckResult(a), Body::CheckResult(b)) => a.probe == b.probe,
        (Body::SelfReport(_), Body::SelfReport(_)) => true,
        (Body::Fact(a), Body::Fact(b)) => a.probe() == b.probe(),
        (Body::Sample(_) | Body::CheckResult(_) | Body::SelfReport(_) | Body::Fact(_), _) => false,
    }
}

fn quantities(observation: &Observation) -> &[Quantity] {
    match &observation.body {
        Body::Sample(sample) => &sample.quantities,
        Body::SelfReport(report) => &report.quantities,
        Body::CheckResult(_) | Body::Fact(_) => &[],
    }
}

fn quantities_mut(observation: &mut Observation) -> &mut [Quantity] {
    match &mut observation.body {
        Body::Sample(sample) => &mut sample.quantities,
        Body::SelfReport(report) => &mut report.quantities,
        Body::CheckResult(_) | Body::Fact(_) => &mut [],
    }
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

/// Whole numbers stay whole.
fn moved(value: f64, rng: &mut TestRng) -> f64 {
    let noisy = value * (1.0 + NOISE * (rng.random::<f64>() - 0.5));
    if value.fract() == 0.0 { noisy.round() } else { noisy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{id::BootId, time::Timestamp};

    #[test]
    fn minutes_differ_in_what_moves_only_and_a_seed_gives_them_again() {
        let start = Moment { boot: BootId([7; 16]), mono: Monotonic(0), wall: Timestamp::from_secs(1) };
        let mut month = Month::of_this_machine(7, start);
        let (first, second) = (month.minute(), month.minute());
        assert!(first.len() >= 6, "{first:?}");
        assert_eq!(first.len(), second.len());
        let names = |minute: &[Observation]| -> Vec<Name> {
            minute.iter().flat_map(quantities).map(|q| q.name.clone()).collect()
        };
        assert_eq!(names(&first), names(&second));
        let values = |minute: &[Observation]| -> Vec<u64> {
            minute.iter().flat_map(quantities).map(|q| q.value.to_bits()).collect()
        };
        let pairs: Vec<_> = values(&first).into_iter().zip(values(&second)).collect();
        let still = pairs.iter().filter(|(a, b)| a == b).count();
        assert!(still > 0 && still < pairs.len(), "{still} of {} stand still", pairs.len());
        // Each probe is up to 8 ms late.
        let apart = second[0].at.wall.micros_since(first[0].at.wall);
        assert!((59_990_000..60_010_000).contains(&apart), "{apart} us");
    }
}
