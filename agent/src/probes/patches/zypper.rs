//! SUSE: `zypper --no-refresh --xmlout list-patches` (zypper(8)), which tells when each patch was
//! published.

use super::{
    Pending, Seen,
    linux::{Release, answer, newest, yes_or_no},
};
use crate::probes::command::Command;
use std::time::Duration;
use tenken_agent_core::probe::ProbeError;
use tenken_common::{fact::PatchSource, time::Timestamp};

pub fn look(release: &Release, timeout: Duration) -> Result<Seen, ProbeError> {
    let command =
        Command::new("zypper").args(["--non-interactive", "--no-refresh", "--xmlout", "list-patches"]);
    // 100 and 101: patches are needed, security patches among them.
    let (_, printed) = answer(command, timeout, &[0, 100, 101])?;
    let mut seen = Seen::of(PatchSource::Zypper, release).pending(pending(&printed));
    seen.index_at = newest("/var/cache/zypp/solv", |name| !name.starts_with('@'));
    seen.applied_at = newest("/var/log/zypp", |name| name == "history");
    // 102: a reboot is needed.
    seen.reboot_needed = yes_or_no(Command::new("zypper").args(["--no-refresh", "needs-rebooting"]), 102, 0);
    Ok(seen)
}

/// `<update name=".." edition="1" category="security" ..>` with `<issue-date time_t="1790000000"/>`
/// inside; `None` for what is no such document.
fn pending(printed: &str) -> Option<Vec<Pending>> {
    if !printed.contains("<update-status") || !printed.contains("</stream>") {
        return None;
    }
    let all = printed.split("<update ").skip(1).map(|update| {
        let update = update.split_once("</update>").map_or(update, |(inside, _)| inside);
        let head = update.split_once('>').map_or(update, |(head, _)| head);
        let published =
            update.split_once("time_t=\"").and_then(|(_, rest)| rest.split_once('"')?.0.parse().ok());
        Pending {
            update: format!("{} {}", attribute(head, "name"), attribute(head, "edition")),
            security: attribute(head, "category") == "security",
            published_at: published.map(Timestamp::from_secs),
        }
    });
    Some(all.collect())
}

fn attribute<'a>(head: &'a str, name: &str) -> &'a str {
    let mut parts = head.split('"');
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        if key.trim().trim_end_matches('=') == name {
            return value;
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_with_their_dates() {
        let printed = r#"<?xml version='1.0'?>
<stream>
<message type="info">Loading repository data...</message>
<update-status version="0.6">
<update-list>
<update kind="patch" name="SUSE-2026-1" edition="1" arch="noarch" status="needed" category="security" severity="important">
  <summary>Security update for a &lt;b&gt;</summary><issue-date time_t="1790000000" text="x"/>
</update>
<update kind="patch" name="SUSE-2026-2" edition="1" category="recommended"><summary>x</summary></update>
</update-list>
</update-status>
</stream>"#;
        let all = pending(printed).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].update.as_str(), all[0].security), ("SUSE-2026-1 1", true));
        assert_eq!(all[0].published_at, Some(Timestamp::from_secs(1_790_000_000)));
        assert_eq!((all[1].security, all[1].published_at), (false, None));
        let none =
            "<stream><update-status version=\"0.6\"><update-list>\n</update-list></update-status></stream>";
        assert_eq!(pending(none), Some(vec![]));
        assert_eq!(pending("<stream><message type=\"error\">x</message></stream>"), None, "an error");
        assert_eq!(pending("System management is locked"), None);
        assert_eq!(pending("<stream>\n<update name="), None, "cut off");
    }
}
