//! Software RAID of Linux: `/proc/mdstat` (md(4)).
//!
//! Holds: an array that lacks a member is critical, one that is being rebuilt a warning, an
//! inactive one critical. A line that does not look as the kernel writes it gives no array.

use super::{Reading, check, every_minute};
use tenken_agent_core::{
    probe::{Probe, ProbeContext, ProbeError, ProbeInfo},
    record::to_f64,
};
use tenken_common::{
    category::Category,
    id::Name,
    observation::{CheckState, Observation},
    unit::Unit,
};

/// See the module's head.
pub struct Raid {
    info: ProbeInfo,
}

impl Raid {
    pub fn new() -> Self {
        Self { info: every_minute("raid", Category::Disk) }
    }
}

impl Probe for Raid {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        if cfg!(not(target_os = "linux")) {
            return Err(ProbeError::Unsupported);
        }
        // Without the driver there is no file, and no array.
        let text = std::fs::read_to_string("/proc/mdstat").map_err(|_| ProbeError::NoData)?;
        let seen: Vec<_> =
            arrays(&text).iter().flat_map(|array| array.observations(&self.info, cx)).collect();
        if seen.is_empty() { Err(ProbeError::NoData) } else { Ok(seen) }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Array {
    name: String,
    active: bool,
    /// Wanted and working; `None` for a level without redundancy.
    members: Option<(u64, u64)>,
    failed: u64,
    spares: u64,
    /// Of a resync, recovery, reshape or check that runs.
    progress: Option<f64>,
    rebuilding: bool,
}

impl Array {
    fn state(&self) -> CheckState {
        match self.members {
            _ if !self.active => CheckState::Critical,
            Some((wanted, working)) if working < wanted && self.rebuilding => CheckState::Warning,
            Some((wanted, working)) if working < wanted => CheckState::Critical,
            _ if self.failed > 0 => CheckState::Warning,
            _ => CheckState::Ok,
        }
    }

    fn observations(&self, info: &ProbeInfo, cx: &ProbeContext) -> Vec<Observation> {
        let name = Name::of_outside(&self.name);
        let reading = Reading::default()
            .with("members", Unit::Count, self.members.map(|(wanted, _)| to_f64(wanted)))
            .with("members_working", Unit::Count, self.members.map(|(_, working)| to_f64(working)))
            .with("members_failed", Unit::Count, to_f64(self.failed))
            .with("spares", Unit::Count, to_f64(self.spares))
            .with("progress_ratio", Unit::Ratio, self.progress);
        let judged = check(info, cx, name.clone(), self.state());
        reading.about(info, cx, name).into_iter().chain([judged]).collect()
    }
}

fn arrays(text: &str) -> Vec<Array> {
    let mut all: Vec<Array> = Vec::new();
    for line in text.lines() {
        if let Some((name, rest)) = line.split_once(" : ")
            && is_array(name)
        {
            let marked = |mark: &str| {
                to_count(rest.split_whitespace().filter(|member| member.ends_with(mark)).count())
            };
            let (failed, spares) = (marked("(F)"), marked("(S)"));
            let active = rest.split_whitespace().next() == Some("active");
            let name = name.to_owned();
            all.push(Array {
                name,
                active,
                members: None,
                failed,
                spares,
                progress: None,
                rebuilding: false,
            });
        } else if line.starts_with(' ')
            && let Some(array) = all.last_mut()
        {
            array.members = array.members.or_else(|| members(line));
            if let Some((action, percent)) = progress(line) {
                array.progress = Some(percent);
                array.rebuilding = action != "check";
            }
        }
    }
    all
}

fn is_array(name: &str) -> bool {
    name.strip_prefix("md")
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// `976630464 blocks super 1.2 [2/1] [U_]`
fn members(line: &str) -> Option<(u64, u64)> {
    let inside = line.split_whitespace().filter_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    inside
        .filter_map(|word| word.split_once('/'))
        .find_map(|(wanted, working)| Some((wanted.parse().ok()?, working.parse().ok()?)))
}

/// `[=>...]  recovery = 12.6% (123/976) finish=9.9min speed=123K/sec`
fn progress(line: &str) -> Option<(&str, f64)> {
    let (before, after) = line.split_once(" = ")?;
    let action = before.split_whitespace().last()?;
    let percent: f64 = after.trim_start().split_once('%')?.0.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some((action, percent / 100.0))
}

fn to_count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;

    const MDSTAT: &str = "\
Personalities : [raid1] [raid6] [raid5] [raid4]
md1 : active raid1 sdb2[1](F) sda2[0]
      976630464 blocks super 1.2 [2/1] [U_]
      bitmap: 3/8 pages [12KB], 65536KB chunk

md0 : active raid5 sdd1[3] sdc1[2] sdb1[1] sda1[0] sde1[4](S)
      2929890816 blocks super 1.2 level 5, 512k chunk, algorithm 2 [4/4] [UUUU]
      [==>..................]  check = 12.6% (123123/976630) finish=75.9min speed=187520K/sec

md2 : active raid1 sdf1[2] sdg1[0]
      1000 blocks [2/1] [U_]
      [=>...................]  recovery =  5.0% (50/1000) finish=1.0min speed=1K/sec

md127 : inactive sdh[0](S)
      1 blocks super external:imsm

unused devices: <none>
";

    #[test]
    fn each_array_with_its_state() {
        let all = arrays(MDSTAT);
        let critical = CheckState::Critical;
        let states: Vec<_> = all.iter().map(|a| (a.name.as_str(), a.state())).collect();
        assert_eq!(
            states,
            [("md1", critical), ("md0", CheckState::Ok), ("md2", CheckState::Warning), ("md127", critical)]
        );
        assert_eq!((all[0].members, all[0].failed), (Some((2, 1)), 1));
        assert_eq!((all[1].members, all[1].spares, all[1].progress), (Some((4, 4)), 1, Some(0.126)));
        assert_eq!((all[2].progress, all[2].rebuilding), (Some(0.05), true));
        let replaced = Array { failed: 1, members: Some((2, 2)), ..all[1].clone() };
        assert_eq!(replaced.state(), CheckState::Warning, "a failed disk that still hangs there");
    }

    #[test]
    fn other_text_gives_no_array() {
        for text in [
            "",
            "Personalities : \nunused devices: <none>\n",
            "mdx : ",
            " [2/1]\n",
            "md/0 : active\n",
            "\u{0}",
        ] {
            assert!(arrays(text).iter().all(|a| a.name == "mdx"), "{text}");
        }
        assert_eq!(members("[2/x] [x/2] []"), None);
        assert_eq!(progress("x = 101%"), None);
        assert!(!matches!(run_here(&mut Raid::new()), Err(ProbeError::Failed(_))));
    }
}
