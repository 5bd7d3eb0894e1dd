//! Which names of the outside world may leave the device as they are.
//!
//! Holds: a name leaves as it is where the configuration declares it (`[probes] names`), or where
//! everybody's systems have it (`/var`, `eth0`, `C:`). Any other leaves as `h:` and 16 digits of an
//! HMAC-SHA256 under a key that never leaves the device: the vendor can tell one from another, and
//! cannot find out by trying which word it was. So a mount, a log source or a metric that somebody
//! named after a patient says nothing (SLA A6.5(1)③).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{collections::BTreeSet, io, path::Path};
use tenken_common::{
    file::{self, Access},
    id::{Name, hex},
    key,
};

/// In the state folder.
const FILE: &str = "names.key";
const KEY_BYTES: usize = 32;

/// Mounts of the Filesystem Hierarchy Standard, and what installers make beside them.
const MOUNTS: [&str; 16] = [
    "/",
    "/boot",
    "/boot/efi",
    "/data",
    "/efi",
    "/home",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/local",
    "/var",
    "/var/lib",
];
const MORE_MOUNTS: [&str; 3] = ["/var/log", "/var/tmp", "/var/cache"];
/// What kernels and systemd call interfaces, before their numbers (systemd.net-naming-scheme(7)), and
/// Windows the same.
const INTERFACES: [&str; 29] = [
    "bond",
    "br",
    "docker",
    "dummy",
    "en",
    "erspan",
    "eth",
    "ethernet_",
    "wireless_",
    "wwan_",
    "gre",
    "gretap",
    "ib",
    "ifb",
    "ip6gre",
    "ip6tnl",
    "lo",
    "ppp",
    "sit",
    "sl",
    "tap",
    "team",
    "tun",
    "tunl",
    "veth",
    "virbr",
    "vlan",
    "wg",
    "wl",
];

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Names {
    declared: BTreeSet<Name>,
    key: [u8; KEY_BYTES],
}

impl Names {
    pub fn new(declared: &[Name], key: [u8; KEY_BYTES]) -> Self {
        Self { declared: declared.iter().cloned().collect(), key }
    }

    /// With the device's key, which is made where there is none yet.
    pub fn open(declared: &[Name], state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let key = match std::fs::read(&path) {
            Ok(bytes) => bytes.as_slice().try_into().map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} has not {KEY_BYTES} bytes", path.display()),
                )
            })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let key = key::random().map_err(io::Error::other)?;
                file::write(&path, &key, Access::Private).map_err(io::Error::other)?;
                key
            }
            Err(e) => return Err(e),
        };
        Ok(Self::new(declared, key))
    }

    pub fn mount(&self, path: &str) -> Name {
        let drive = path.len() <= 3 && path.as_bytes().get(1) == Some(&b':');
        self.known(path, drive || MOUNTS.contains(&path) || MORE_MOUNTS.contains(&path))
    }

    pub fn interface(&self, name: &str) -> Name {
        let kernel = |prefix: &&str| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.len() <= 13 && is_numbering(rest))
        };
        self.known(name, INTERFACES.iter().any(kernel))
    }

    /// One of those that are known to every system, or declared.
    pub fn among(&self, text: &str, well_known: &[&str]) -> Name {
        self.known(text, well_known.contains(&text))
    }

    /// Of which nothing is known beforehand: it has to be declared.
    pub fn declared(&self, text: &str) -> Name {
        self.known(text, false)
    }

    fn known(&self, text: &str, well_known: bool) -> Name {
        match Name::new(text) {
            Ok(name) if well_known || self.declared.contains(&name) => name,
            Ok(_) | Err(_) => self.hidden(text),
        }
    }

    fn hidden(&self, text: &str) -> Name {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        let digest = hex(&mac.finalize().into_bytes());
        Name::of_outside(&format!("h:{}", digest.get(..16).unwrap_or_default()))
    }
}

/// `0`, `p3s0`, `p0s31f6`, `x001122aabbcc`, `0.100`: letters of the naming scheme and digits.
fn is_numbering(rest: &str) -> bool {
    rest.chars().all(|c| {
        c.is_ascii_hexdigit() || matches!(c, 'o' | 'p' | 's' | 'n' | 'v' | 'u' | 'i' | 'x' | '.' | '-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(&[Name::new("/data/pacs").unwrap()], [7; KEY_BYTES])
    }

    #[test]
    fn what_everybody_has_or_is_declared_is_shown() {
        let names = names();
        for mount in ["/", "/var/lib", "C:", "D:\\", "/data/pacs"] {
            // A backslash does not fit a name.
            assert_eq!(names.mount(mount).as_str() == mount, mount != "D:\\", "{mount}");
        }
        for interface in ["eth0", "enp0s31f6", "lo", "br-0a1b2c", "wlx001122aabbcc", "bond0.100"] {
            assert_eq!(names.interface(interface).as_str(), interface);
        }
    }

    #[test]
    fn anything_else_is_hidden_and_stays_the_same() {
        let names = names();
        for text in ["/mnt/YAMADA-TARO", "/srv/p1234567", "山田太郎", "brYAMADA", "ethTARO", ""] {
            for hidden in [names.mount(text), names.interface(text), names.declared(text)] {
                assert!(hidden.as_str().starts_with("h:") && hidden.as_str().len() == 18, "{text}: {hidden}");
            }
        }
        assert_eq!(names.mount("/mnt/a"), names.mount("/mnt/a"));
        assert_ne!(names.mount("/mnt/a"), names.mount("/mnt/b"));
        let other = Names::new(&[], [8; KEY_BYTES]);
        assert_ne!(names.mount("/mnt/a"), other.mount("/mnt/a"), "the key is the device's own");
    }

    #[test]
    fn the_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = Names::open(&[], folder.path()).unwrap();
        assert_eq!(Names::open(&[], folder.path()).unwrap().key, first.key);
        std::fs::write(folder.path().join(FILE), "short").unwrap();
        assert!(Names::open(&[], folder.path()).is_err());
    }
}
