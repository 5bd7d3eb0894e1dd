//! Any Nagios plugin, by the Monitoring Plugins Development Guidelines: a check result, and the
//! numbers of its performance data.
//!
//! Holds: exit codes 0 to 3 are the four states. Anything else (another code, a signal, no such
//! program, not done in time, too much output) is unknown, and a quantity says which of these it
//! was. What a plugin prints for people is dropped, the first line and all others. A label leaves
//! as it is only where it is declared. What hangs is killed with all that it started.

mod perfdata;

pub use perfdata::{Perfdata, perfdata};

use super::{
    Reading, check,
    command::{Command, CommandError, CommandLine},
    every_minute,
    names::Names,
    series::{Silence, count, silent},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tenken_agent_core::probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    config::{HumanDuration, Problems},
    id::Name,
    observation::{CheckState, Observation},
    unit::Unit,
};

/// What a plugin may print; the guidelines' own buffers have 8 KiB.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// All plugins run one after the other, and other probes wait meanwhile.
const TIMEOUT_MAX: Duration = Duration::from_mins(1);

/// `[[probes.plugins]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSpec {
    /// How it is reported.
    pub name: Name,
    /// Program and arguments, without a shell.
    pub command: CommandLine,
    #[serde(default = "ten_seconds")]
    pub timeout: HumanDuration,
    /// Labels of performance data that may leave the device as they are.
    #[serde(default)]
    pub metrics: Vec<Name>,
}

fn ten_seconds() -> HumanDuration {
    HumanDuration(Duration::from_secs(10))
}

impl PluginSpec {
    pub fn check(&self, key: &str, problems: &mut Problems) {
        if self.command.0.first().is_none_or(String::is_empty) {
            problems.push(format!("{key}.command"), "is empty: name the plugin and its arguments");
        }
        if self.timeout.0.is_zero() || self.timeout.0 > TIMEOUT_MAX {
            let max = HumanDuration(TIMEOUT_MAX);
            problems.push(format!("{key}.timeout"), format!("must be above zero and at most {max}"));
        }
    }

    /// State and output, or why there are none.
    fn ask(&self) -> Result<(CheckState, String), Silence> {
        let command = Command::of(&self.command).map_err(|e| silence(&e))?;
        let ended = command.limit(OUTPUT_BYTES_MAX).run(self.timeout.0).map_err(|e| silence(&e))?;
        let state = u8::try_from(ended.code).ok().and_then(CheckState::from_code);
        state.map(|state| (state, ended.stdout)).ok_or(Silence::BadStatus(ended.code))
    }

    fn look(&self, names: &Names, info: &ProbeInfo, cx: &ProbeContext) -> Vec<Observation> {
        let (state, output) = match self.ask() {
            Ok(answer) => answer,
            Err(why) => {
                tracing::warn!(plugin = %self.name, reason = why.as_str(), "a plugin gave no state");
                return silent(info, cx, &self.name, why);
            }
        };
        let Perfdata { values, refused } = perfdata(&output);
        let mut reading = Reading::default();
        for value in &values {
            let listed = self.metrics.iter().find(|name| name.as_str() == value.label);
            let label = listed.cloned().unwrap_or_else(|| names.declared(&value.label));
            reading = reading.with(label.as_str(), value.unit, value.value);
        }
        if refused > 0 {
            tracing::warn!(plugin = %self.name, refused, "performance data that cannot be read");
            reading = reading.with("perfdata_refused", Unit::Count, count(refused));
        }
        let reading = reading.about(info, cx, self.name.clone());
        reading.into_iter().chain([check(info, cx, self.name.clone(), state)]).collect()
    }
}

fn silence(e: &CommandError) -> Silence {
    match e {
        CommandError::Missing(_) | CommandError::Empty => Silence::Missing,
        CommandError::Start { .. } | CommandError::Read { .. } => Silence::Unreadable,
        CommandError::TooMuch { .. } => Silence::TooLarge,
        CommandError::TimedOut { .. } => Silence::TimedOut,
        CommandError::Signalled(_) => Silence::Signalled,
    }
}

/// See the module's head.
pub struct Plugins {
    info: ProbeInfo,
    specs: Vec<PluginSpec>,
    names: Arc<Names>,
}

impl Plugins {
    pub fn new(specs: Vec<PluginSpec>, names: Arc<Names>) -> Self {
        let interval = Duration::from_mins(5);
        // Each one's own, and some time to start and end them.
        let timeout =
            specs.iter().fold(Duration::from_secs(5), |sum, spec| sum.saturating_add(spec.timeout.0));
        let info = every_minute("plugins", Category::Service);
        Self { info: ProbeInfo { interval, timeout, cost: Cost::Moderate, ..info }, specs, names }
    }
}

impl Probe for Plugins {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        if self.specs.is_empty() {
            return Err(ProbeError::NoData);
        }
        Ok(self.specs.iter().flat_map(|spec| spec.look(&self.names, &self.info, cx)).collect())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::probes::testing::{run_here, values};
    use tenken_common::observation::Body;

    fn sh(script: &str, more: &str) -> PluginSpec {
        toml::from_str(&format!("name = 'p'\ncommand = ['sh', '-c', '''{script}''']\n{more}")).unwrap()
    }

    fn run(spec: PluginSpec) -> (CheckState, Vec<(String, f64)>) {
        let names = Arc::new(Names::new(&[Name::new("load1").unwrap()], [7; 32]));
        let seen = run_here(&mut Plugins::new(vec![spec], names)).unwrap();
        let state = seen.iter().find_map(|o| match &o.body {
            Body::CheckResult(result) => Some(result.state),
            Body::Sample(_) | Body::SelfReport(_) | Body::Fact(_) => None,
        });
        let samples = seen.iter().filter(|o| matches!(o.body, Body::Sample(_)));
        let owned = samples.flat_map(values).map(|(name, value)| (name.to_owned(), value)).collect();
        (state.expect("a plugin always has a state"), owned)
    }

    #[test]
    fn exit_codes_are_states() {
        for (code, state) in CheckState::ALL.into_iter().enumerate() {
            assert_eq!(run(sh(&format!("echo TEXT; exit {code}"), "")), (state, vec![]));
        }
    }

    #[test]
    fn whatever_is_no_state_is_unknown_and_says_which() {
        for (script, more, reason, value) in [
            ("exit 4", "", "bad_status", 4.0),
            ("kill -9 $$", "", "signalled", 1.0),
            ("sleep 1000", "timeout = '300ms'", "timed_out", 1.0),
            ("yes", "", "too_large", 1.0),
        ] {
            assert_eq!(run(sh(script, more)), (CheckState::Unknown, vec![(reason.to_owned(), value)]));
        }
        let missing = toml::from_str("name = 'p'\ncommand = ['/no/such/plugin']").unwrap();
        assert_eq!(run(missing), (CheckState::Unknown, vec![("missing".to_owned(), 1.0)]));
        let folder = toml::from_str("name = 'p'\ncommand = ['/etc']").unwrap();
        assert_eq!(run(folder), (CheckState::Unknown, vec![("unreadable".to_owned(), 1.0)]));
    }

    #[test]
    fn labels_leave_where_they_are_declared() {
        let script = "echo 'TEXT of YAMADA|load1=0.5 time=2ms;;;0 YAMADA=3 x=1,5'; exit 1";
        let (state, values) = run(sh(script, "metrics = ['time']"));
        let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(state, CheckState::Warning);
        assert_eq!((&names[..2], names[3]), (&["load1", "time"][..], "perfdata_refused"));
        assert!(names[2].starts_with("h:") && names.len() == 4, "{names:?}");
        assert!((values[1].1 - 0.002).abs() < 1e-12);
    }

    #[test]
    fn impossible_descriptions_are_problems() {
        for (fields, count) in [
            ("command = ['a']", 0),
            ("command = []", 1),
            ("command = ['']\ntimeout = '2m'", 2),
            ("command = ['a']\ntimeout = '0s'", 1),
        ] {
            let spec: PluginSpec = toml::from_str(&format!("name = 'p'\n{fields}")).unwrap();
            let mut problems = Problems::default();
            spec.check("probes.plugins.0", &mut problems);
            assert_eq!(problems.iter().count(), count, "{fields}");
        }
    }
}
