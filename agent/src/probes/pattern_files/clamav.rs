//! The header of ClamAV's databases: the first 512 bytes of `.cvd` and `.cld` files,
//! `ClamAV-VDB:20 Aug 2015 10-50 -0400:268:47:63:MD5:SIGNATURE:BUILDER:1440082200`.
//!
//! Holds: the definitions are those of `daily`, which is what changes; `main` and `bytecode` are
//! parts of the product that stay for months, and count where there is no `daily`. Of two files of
//! one database (a `.cvd` and the `.cld` that updates made of it) the newer counts.

use std::{fs::File, io::Read, path::Path};
use tenken_agent_core::probe::ProbeInfo;
use tenken_common::{
    fact::{PatternFileStatus, PatternSource, PatternState},
    id::Name,
    time::{Timestamp, instant_of},
};

const HEADER_BYTES: usize = 512;
/// Which database speaks for the product, best first.
const DATABASES: [&str; 3] = ["daily", "main", "bytecode"];

/// A database's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Header {
    pub made_at: Timestamp,
    pub version: u32,
}

/// `None` where there is no such folder, or no database in it.
pub fn look(folder: &Path, info: &ProbeInfo, now: Timestamp) -> Option<PatternFileStatus> {
    let of = |database: &&str| {
        let files = ["cvd", "cld", "cud"].map(|kind| folder.join(format!("{database}.{kind}")));
        let there: Vec<_> = files.iter().filter(|path| path.is_file()).collect();
        (!there.is_empty()).then(|| there.into_iter().filter_map(|path| read_file(path)).max())
    };
    let header = DATABASES.iter().find_map(of)?;
    let header = header.filter(|header| header.made_at <= now.plus(super::AHEAD_MAX));
    Some(PatternFileStatus {
        probe: Name::of_outside(info.name),
        source: PatternSource::ClamAv,
        state: if header.is_some() { PatternState::Known } else { PatternState::Unknown },
        engine: None,
        version: header.map(|header| Name::of_outside(&header.version.to_string())),
        defined_at: header.map(|header| header.made_at),
    })
}

fn read_file(path: &Path) -> Option<Header> {
    let mut bytes = [0; HEADER_BYTES];
    let read = File::open(path).and_then(|mut file| file.read(&mut bytes)).ok()?;
    read_header(bytes.get(..read)?)
}

/// The header at the beginning of a database; `None` for anything else.
pub fn read_header(bytes: &[u8]) -> Option<Header> {
    let text = std::str::from_utf8(bytes.get(..bytes.len().min(HEADER_BYTES))?).ok()?;
    let mut fields = text.strip_prefix("ClamAV-VDB:")?.split(':');
    let made_at = instant_of(fields.next()?, "%d %b %Y %H-%M %z")?;
    let version = fields.next()?.parse().ok()?;
    // Number of signatures: there as a check that this is a header and not a likeness.
    fields.next()?.parse::<u64>().ok()?;
    Some(Header { made_at, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn header(day: u32, version: u32) -> Vec<u8> {
        let mut bytes =
            format!("ClamAV-VDB:{day:02} Nov 2026 08-30 +0000:{version}:2000000:90:md5:sig:builder:0")
                .into_bytes();
        bytes.resize(HEADER_BYTES, b' ');
        bytes.extend([0x1f, 0x8b, 0xff]);
        bytes
    }

    fn status(folder: &Path) -> Option<PatternFileStatus> {
        let info =
            super::super::every_six_hours("pattern_files", tenken_common::category::Category::PatternFile);
        look(folder, &info, Timestamp::from_secs(1_795_700_000))
    }

    #[test]
    fn the_newer_of_two_dailies_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        assert_eq!(status(folder.path()), None);
        write("main.cvd", &header(1, 62));
        assert_eq!(status(folder.path()).unwrap().version.unwrap().as_str(), "62");
        write("daily.cvd", &header(20, 27_100));
        write("daily.cld", &header(24, 27_104));
        let known = status(folder.path()).unwrap();
        assert_eq!((known.state, known.version.unwrap().as_str()), (PatternState::Known, "27104"));
        assert_eq!(known.defined_at.unwrap().to_string(), "2026-11-24T08:30:00Z");
    }

    #[test]
    fn a_damaged_daily_is_not_known_even_beside_a_good_main() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("main.cvd"), header(1, 62)).unwrap();
        for bytes in [
            &b""[..],
            b"ClamAV-VDB",
            b"ClamAV-VDB:soon:1:1:",
            b"ClamAV-VDB:20 Aug 2015 10-50 -0400:x:1",
            &[0xff; 600],
        ] {
            fs::write(folder.path().join("daily.cvd"), bytes).unwrap();
            let damaged = status(folder.path()).unwrap();
            assert_eq!((damaged.state, damaged.defined_at), (PatternState::Unknown, None));
        }
    }

    #[test]
    fn the_year_3000_is_no_date() {
        let folder = tempfile::tempdir().unwrap();
        let text = "ClamAV-VDB:20 Aug 3000 10-50 -0400:1:1:1:";
        fs::write(folder.path().join("daily.cvd"), text).unwrap();
        assert_eq!(status(folder.path()).unwrap().state, PatternState::Unknown);
    }
}
