//! `/proc/self/mountinfo` (proc_pid_mountinfo(5)) and `statvfs`.
//!
//! Holds: what to look at is decided from the list alone, so that nothing touches a filesystem
//! that may hang. A filesystem that cannot be asked (a mount that just went) is left out; where
//! none could be asked, the first error is told.

use super::{ReadError, disk::Mounted, read};
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::{collections::BTreeMap, path::Path};

/// Filesystems of the kernel's own, in memory, or that mount on access.
const PSEUDO: [&str; 27] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "none",
];
/// Need a server to answer. `fuse` and `fuse.*` are among them, since sshfs and its like are.
const NETWORK: [&str; 16] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "fuse",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];
/// Read-only by nature, and full by nature.
const IMAGE: [&str; 5] = ["cramfs", "erofs", "iso9660", "squashfs", "udf"];

/// The filesystems worth reporting, by path.
pub fn mounts() -> Result<Vec<Mounted>, ReadError> {
    let listed = parse(&read("/proc/self/mountinfo")?);
    let mut mounted = Vec::new();
    let mut first_error = None;
    for mount in real(listed) {
        match ask(mount.path) {
            Ok(m) => mounted.extend(m),
            Err(e) => first_error = first_error.or(Some(e)),
        }
    }
    match first_error {
        Some(e) if mounted.is_empty() => Err(e),
        _ => Ok(mounted),
    }
}

/// `None` for a single file that is a mount point, as containers have them.
fn ask(path: String) -> Result<Option<Mounted>, ReadError> {
    if !Path::new(&path).is_dir() {
        return Ok(None);
    }
    let s = statvfs(path.as_str())
        .map_err(|e| ReadError::File { path: path.clone().into(), source: e.into() })?;
    let bytes = |blocks: u64| blocks.saturating_mul(s.f_frsize);
    Ok(Some(Mounted {
        path,
        total_bytes: bytes(s.f_blocks),
        free_bytes: bytes(s.f_bfree),
        available_bytes: bytes(s.f_bavail),
        inodes: (s.f_files > 0).then_some((s.f_files, s.f_ffree)),
        read_only: s.f_flag.contains(StatVfsMountFlags::RDONLY),
    }))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// `major:minor`.
    device: String,
    /// Not only a folder of the filesystem, as bind mounts and subvolumes are.
    whole: bool,
    path: String,
    filesystem: String,
}

/// Lines that are not as documented are passed over.
fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(parse_line).collect()
}

/// `27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw`.
fn parse_line(line: &str) -> Option<Mount> {
    let (mount, source) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    let device = fields.nth(2)?;
    let whole = fields.next()? == "/";
    let path = unescape(fields.next()?)?;
    let filesystem = source.split(' ').next().filter(|f| !f.is_empty())?;
    let (major, minor) = device.split_once(':')?;
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    (is_number(major) && is_number(minor) && path.starts_with('/')).then(|| Mount {
        device: device.to_owned(),
        whole,
        path,
        filesystem: filesystem.to_owned(),
    })
}

/// Blank, tab, newline and backslash stand as three octal digits.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('\\');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(3)?;
        out.push(char::from(u8::from_str_radix(code, 8).ok().filter(u8::is_ascii)?));
        out.push_str(rest);
    }
    Some(out)
}

/// One mount per filesystem: the root, else one of the whole of it, else the one with the shortest
/// path. Ordered by path.
fn real(listed: Vec<Mount>) -> Vec<Mount> {
    // A later mount on the same path hides the earlier one.
    let visible: BTreeMap<String, Mount> = listed.into_iter().map(|m| (m.path.clone(), m)).collect();
    let mut of_device = BTreeMap::<String, Mount>::new();
    for mount in visible.into_values().filter(is_real) {
        let rank = |m: &Mount| (m.path != "/", !m.whole, m.path.len());
        if of_device.get(&mount.device).is_none_or(|kept| rank(&mount) < rank(kept)) {
            of_device.insert(mount.device.clone(), mount);
        }
    }
    let mut mounts: Vec<_> = of_device.into_values().collect();
    mounts.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    mounts
}

/// The root is looked at whatever it is made of, unless it needs a server.
fn is_real(mount: &Mount) -> bool {
    let filesystem = mount.filesystem.as_str();
    let network = NETWORK.contains(&filesystem) || filesystem.starts_with("fuse.");
    let idle = PSEUDO.contains(&filesystem) || IMAGE.contains(&filesystem);
    !network && (mount.path == "/" || !idle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAPTURED: &str = r"22 27 0:21 / /proc rw,relatime - proc proc rw
24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,size=12334492k,mode=755
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
28 27 0:25 / /mnt/tools ro,nosuid - tmpfs tools ro,size=4k
29 27 254:16 / /var/lib/images rw - ext4 /dev/vdb rw
30 27 254:16 /a /srv rw - ext4 /dev/vdb rw
31 27 254:0 /export/x /data/deep rw - ext4 /dev/vda rw
32 27 0:50 / /mnt/pacs rw - nfs4 10.0.0.9:/pacs rw,vers=4.2
33 27 0:51 / /mnt/ssh rw - fuse.sshfs host:/ rw
34 27 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro
35 27 8:17 / /media/usb\040disk rw - vfat /dev/sdb1 rw
36 27 0:52 / /opt/hidden rw - ext4 /dev/sdc1 rw
37 27 8:33 / /opt/hidden rw - xfs /dev/sdc2 rw
38 27 0:53 / /run/docker/overlay rw - overlay overlay rw
39 27 8:49 / /win rw - fuseblk /dev/sdd1 rw";

    fn paths(text: &str) -> Vec<String> {
        real(parse(text)).into_iter().map(|m| m.path).collect()
    }

    #[test]
    fn each_real_filesystem_once() {
        assert_eq!(paths(CAPTURED), ["/", "/media/usb disk", "/opt/hidden", "/var/lib/images", "/win"]);
        let hidden = real(parse(CAPTURED)).into_iter().find(|m| m.path == "/opt/hidden");
        assert_eq!(hidden.unwrap().filesystem, "xfs", "what is mounted over is not there");
    }

    #[test]
    fn a_root_of_any_kind_is_real_and_a_remote_one_is_not() {
        assert_eq!(paths("1 0 0:40 / / rw - overlay overlay rw"), ["/"]);
        assert_eq!(paths("1 0 7:0 / / ro - squashfs /dev/loop0 ro"), ["/"]);
        assert!(paths("1 0 0:40 / / rw - nfs4 10.0.0.9:/ rw").is_empty());
    }

    #[test]
    fn broken_lines_are_passed_over() {
        for line in [
            "",
            "27 1 254:0 / /",
            "27 1 254:0 / / rw,relatime - ",
            "27 1 254 / / rw - ext4 /dev/vda rw",
            "27 1 a:b / / rw - ext4 /dev/vda rw",
            "27 1 254:0 / not/absolute rw - ext4 /dev/vda rw",
            r"27 1 254:0 / /bad\09 rw - ext4 /dev/vda rw",
            r"27 1 254:0 / /bad\777 rw - ext4 /dev/vda rw",
        ] {
            assert_eq!(parse_line(line), None, "{line}");
        }
        assert_eq!(paths(&format!("rubbish\n{CAPTURED}\n27 1")).len(), 5);
    }

    #[test]
    fn the_root_of_this_machine_is_asked() {
        let root = ask("/".to_owned()).unwrap().unwrap();
        assert!(root.total_bytes >= root.free_bytes && root.free_bytes >= root.available_bytes);
        assert_eq!(ask("/proc/self/status".to_owned()).unwrap(), None, "a file is no mount to report");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}", cut in 0usize..600) {
            let _ = real(parse(&text));
            let _ = real(parse(CAPTURED.get(cut..).unwrap_or("")));
            let _ = unescape(&text);
        }
    }
}
