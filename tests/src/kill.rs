//! Agent and collector are killed with SIGKILL at random moments, under load, and go on.
//!
//! Holds: a plan with its seed gives the same victims and moments again (what the programs do in
//! between depends on the machine). Afterwards everything is delivered and accounted for, the
//! spool was never set aside, and the collector's rebuild comes to the same result.

use crate::{
    Account, Bed, BedPlan, Home, Process,
    bed::stdout,
    seed,
    wait::{let_pass, wait_until},
};
use proptest::{
    prelude::{Strategy, any},
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use std::{fmt, fmt::Write as _, fs, path::PathBuf, time::Duration};

/// How long one step may take before the campaign gives up.
const BOUND: Duration = Duration::from_secs(60);
/// Records of one append: as many services are configured, all of them this agent's own process.
const SERVICES: u32 = 300;
const PUSH: &str =
    "[push]\ninterval = \"60ms\"\nretry_first = \"50ms\"\nretry_max = \"300ms\"\ntimeout = \"5s\"\n";
const PROBES: [&str; 8] = ["cpu", "disk", "memory", "network", "clock", "uptime", "sensors", "services"];

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct KillPlan {
    /// Of each side, at least.
    pub kills: u32,
    pub seed: u64,
    /// `sled` or `redb`.
    pub engine: &'static str,
}

/// What came out.
#[derive(Debug)]
pub struct KillResult {
    pub account: Account,
    /// Kills of agents and of collectors, and rounds that killed again just after the start.
    pub kills: [u32; 3],
    /// The collector came to the same result when it derived everything again.
    pub rebuilt_same: bool,
    /// Agents that had to set their spool aside or lost a body.
    pub damaged: usize,
    /// Where everything still lies, unless all was well.
    pub folder: Option<PathBuf>,
}

impl KillResult {
    /// Zero where all is well.
    pub fn failed(&self) -> u64 {
        self.account.faults() + u64::from(!self.rebuilt_same) + self.damaged as u64
    }
}

impl fmt::Display for KillResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [agents, collectors, starting] = self.kills;
        let same = if self.rebuilt_same { "the same" } else { "NOT the same" };
        write!(
            f,
            "agent killed {agents} times, collector {collectors} times, in {starting} rounds twice, the second time just after the start; {}; \
             {} spools damaged; rebuild {same}",
            self.account, self.damaged
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Agent,
    Collector,
    Both,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    victim: Victim,
    /// Once more while it starts again.
    twice: bool,
    /// After it is up.
    after: Duration,
    /// After its start.
    starting: Duration,
}

/// The rounds of a seed, without end: agent and collector in turn, both in every fifth.
fn rounds(seed: u64) -> impl Iterator<Item = Round> {
    let mut runner = TestRunner::new_with_rng(Config::default(), seed::rng(seed));
    let strategy = (any::<u8>(), 50u64..1_500, 0u64..150);
    (1u32..).map(move |number| {
        let (dice, after, starting) =
            strategy.new_tree(&mut runner).expect("nothing is filtered out").current();
        let victim = match number {
            n if n % 5 == 0 => Victim::Both,
            n if n % 2 == 0 => Victim::Collector,
            _ => Victim::Agent,
        };
        let (after, starting) = (Duration::from_millis(after), Duration::from_millis(starting));
        Round { victim, twice: dice % 4 == 0, after, starting }
    })
}

/// A running installation.
struct Yard {
    bed: Bed,
    home: Home,
    agent: Process,
    collector: Process,
    kills: [u32; 3],
}

/// Runs the whole plan. Panics where a program does not come up again, or never delivers.
pub fn kill_campaign(plan: KillPlan) -> KillResult {
    let mut yard = Yard::new(plan);
    for (number, round) in rounds(plan.seed).enumerate() {
        let [agents, collectors, _] = yard.kills;
        if agents.min(collectors) >= plan.kills {
            break;
        }
        if number % 20 == 0 {
            eprintln!("kill: {} round {number}, {agents} and {collectors} of {}", plan.engine, plan.kills);
        }
        yard.round(round);
    }
    yard.end(plan)
}

impl Yard {
    fn new(plan: KillPlan) -> Self {
        let mut bed =
            Bed::new(BedPlan { agent: agent_text(plan.engine, "1s", SERVICES), ..BedPlan::default() });
        // Until all is found to be well.
        bed.keep_folder(true);
        eprintln!("kill: {} in {}", plan.engine, bed.dir().display());
        let collector = bed.start_collector();
        let home = bed.enroll("ct-1");
        let agent = bed.start_agent(&home);
        Self { bed, home, agent, collector, kills: [0; 3] }
    }

    fn round(&mut self, round: Round) {
        self.agent.wait_for_text(BOUND, "agent started");
        self.collector.wait_for_text(BOUND, "collector serves");
        let_pass(round.after);
        self.kill(round.victim);
        self.start(round.victim);
        if round.twice {
            let_pass(round.starting);
            self.kill(round.victim);
            self.kills = [self.kills[0], self.kills[1], self.kills[2] + 1];
            self.start(round.victim);
        }
    }

    fn kill(&mut self, victim: Victim) {
        if victim != Victim::Collector {
            assert!(self.agent.is_running(), "the agent ended by itself: {}", self.agent.stderr_text());
            self.agent.kill();
            self.kills[0] += 1;
        }
        if victim != Victim::Agent {
            assert!(self.collector.is_running(), "the collector ended: {}", self.collector.stderr_text());
            self.collector.kill();
            self.kills[1] += 1;
        }
    }

    fn start(&mut self, victim: Victim) {
        if victim != Victim::Collector {
            self.agent = self.bed.start_agent(&self.home);
        }
        if victim != Victim::Agent {
            self.collector = self.bed.spawn_collector();
        }
    }

    /// Lets everything be delivered, stops softly, and looks.
    fn end(mut self, plan: KillPlan) -> KillResult {
        self.agent.wait_for_text(BOUND, "agent started");
        self.collector.wait_for_text(BOUND, "collector serves");
        self.stop_agent();
        self.bed.write_agent(&self.home, &agent_text(plan.engine, "1h", 0));
        self.agent = self.bed.start_agent(&self.home);
        wait_until(BOUND, "everything to be delivered", |state| {
            let status = tenken_agent::status::load(&self.home.state).ok()?;
            *state = format!("{:?} {:?}", status.spool, status.delivery);
            // The last probes run within their jitter after a start.
            let settled = status.written.micros_since(status.started) > 4_000_000;
            let logged = self.agent.stderr_text().contains("agent started");
            (logged && settled && status.spool.waiting + status.spool.in_flight == 0).then_some(())
        });
        self.stop_agent();
        self.collector.terminate();
        assert!(self.collector.wait(BOUND).success(), "{}", self.collector.stderr_text());

        let database = self.bed.database();
        let account = Account::of(self.bed.dir(), &database, &self.home.device);
        let said = stdout(&self.bed.collector(&["--language", "en", "rebuild"]));
        let rebuilt_same = said.contains("the result is the same as before");
        let damaged = self.damaged();
        let mut result = KillResult { account, kills: self.kills, rebuilt_same, damaged, folder: None };
        if result.failed() == 0 {
            self.bed.keep_folder(false);
        } else {
            result.folder = Some(self.bed.dir().to_owned());
        }
        result
    }

    fn stop_agent(&mut self) {
        self.agent.terminate();
        assert!(self.agent.wait(BOUND).success(), "{}", self.agent.stderr_text());
    }

    /// A killed process leaves its files as it wrote them: nothing may have to be set aside.
    fn damaged(&self) -> usize {
        let files = fs::read_dir(self.bed.dir()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|e| e == "stderr"));
        let texts = logs.map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
        texts.filter(|text| text.contains("spool store") || text.contains("ERROR")).count()
    }
}

/// Every probe this often, and so many services in one probe.
fn agent_text(engine: &str, interval: &str, services: u32) -> String {
    let mut text =
        format!("[spool]\nengine = \"{engine}\"\n{PUSH}report = \"{interval}\"\n[probes.intervals]\n");
    for probe in PROBES {
        writeln!(text, "{probe} = \"{interval}\"").unwrap();
    }
    for number in 0..services {
        write!(text, "[[probes.services]]\nname = \"service-{number}\"\nprocess = \"tenken-agent\"\n")
            .unwrap();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_rounds_and_another_one_others() {
        let forty = |seed| -> Vec<Round> { rounds(seed).take(40).collect() };
        let text = |seed| format!("{:?}", forty(seed));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        let rounds = forty(7);
        for victim in [Victim::Agent, Victim::Collector, Victim::Both] {
            assert!(rounds.iter().any(|round| round.victim == victim));
        }
        assert!(rounds.iter().any(|round| round.twice) && rounds.iter().any(|round| !round.twice));
    }
}
