//! Versions of device software, as the configuration says where they stand (SLA A2.1(3)).
//!
//! Holds: what does not look like a version is not sent, so a file that holds something else says
//! nothing. The collector sees a change by comparing; the device remembers nothing.

use super::{every_minute, extract::Extract, fact, version};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenken_agent_core::probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    fact::{Fact, Revision},
    id::Name,
    observation::Observation,
};

/// `[[probes.revisions]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionSpec {
    /// What it is the version of.
    pub name: Name,
    #[serde(flatten)]
    pub extract: Extract,
}

/// See the module's head.
pub struct Revisions {
    info: ProbeInfo,
    specs: Vec<RevisionSpec>,
}

impl Revisions {
    pub fn new(specs: Vec<RevisionSpec>) -> Self {
        let (interval, timeout) = (Duration::from_mins(10), Duration::from_mins(1));
        let info = every_minute("revisions", Category::Revision);
        Self { info: ProbeInfo { interval, timeout, cost: Cost::Moderate, ..info }, specs }
    }
}

/// A text that is no version.
#[derive(Debug, thiserror::Error)]
#[error("`{name}`: what was found does not look like a version (digits first, no blanks)")]
struct NoVersion {
    name: Name,
}

impl Probe for Revisions {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    /// Where some cannot be read and others can, the others are what is seen.
    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let mut failed = None;
        let mut seen = Vec::new();
        for RevisionSpec { name, extract } in &self.specs {
            let found = extract.text().map_err(ProbeError::from).and_then(|text| {
                version(&text).ok_or_else(|| ProbeError::Failed(Box::new(NoVersion { name: name.clone() })))
            });
            match found {
                Ok(version) => {
                    let revision = Revision { probe: Name::of_outside(self.info.name), version };
                    seen.push(fact(&self.info, cx, name.clone(), Fact::Revision(revision)));
                }
                Err(e) => failed = Some(e),
            }
        }
        if seen.is_empty() { Err(failed.unwrap_or(ProbeError::NoData)) } else { Ok(seen) }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;

    #[test]
    fn a_version_or_a_reason() {
        let spec = |name: &str, printed: &str| -> RevisionSpec {
            toml::from_str(&format!("name = '{name}'\ncommand = ['echo', '{printed}']")).unwrap()
        };
        let mut revisions = Revisions::new(vec![spec("console", "4.2.1"), spec("other", "YAMADA TARO")]);
        let seen = run_here(&mut revisions).unwrap();
        let facts: Vec<_> = seen.iter().map(|o| (o.subject.as_str(), format!("{:?}", o.body))).collect();
        assert_eq!(facts.len(), 1);
        assert!(facts[0].0 == "console" && facts[0].1.contains("4.2.1"), "{facts:?}");
        let refused = run_here(&mut Revisions::new(vec![spec("other", "YAMADA TARO")])).unwrap_err();
        let text = tenken_common::telemetry::ErrorChain(&refused).to_string();
        assert!(text.contains("`other`") && !text.contains("YAMADA"), "{text}");
        assert!(matches!(run_here(&mut Revisions::new(vec![])), Err(ProbeError::NoData)));
    }
}
