//! Memory that the agent holds and does not use, given back to the device.
//!
//! Holds: the allocator returns what is large as soon as it is freed (otherwise it keeps all that a
//! start once needed), and all threads share its one arena. Of the program's own file only such parts
//! are let go as cannot be written and hold no page of this process alone; what is needed of them again
//! comes from the system's cache, or from the file. What the loader has relocated is never touched.
//!
//! Does not: free what is in use, or touch the parts of other libraries, which the device shares.

#![expect(unsafe_code, reason = "what is asked of the system is declared in C")]

use std::{io, ops::Range, time::Duration};
use tenken_common::time::Monotonic;

/// From so many bytes on an allocation is its own mapping, as it is in glibc until the first is freed.
#[cfg(target_env = "gnu")]
const LARGE: i32 = 128 * 1024;
/// From the first look on: a start is over by then.
const FIRST_AFTER: Duration = Duration::from_mins(1);
/// What runs hourly or daily leaves its pages behind too.
const EVERY: Duration = Duration::from_hours(1);

/// To be said before the first thread is started.
pub fn share_one_arena() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_ARENA_MAX, 1)] {
        // SAFETY: it takes two numbers and changes how the allocator works from now on.
        if unsafe { libc::mallopt(what, value) } == 0 {
            tracing::debug!(what, "the allocator does not take this setting");
        }
    }
}

/// When pages are given back: once a start is over, then now and then.
#[derive(Debug, Default)]
pub struct Spare {
    due: Option<Monotonic>,
}

impl Spare {
    /// Nothing is to be done for a while.
    pub fn idle(&mut self, now: Monotonic) {
        if now < *self.due.get_or_insert(now.plus(FIRST_AFTER)) {
            return;
        }
        self.due = Some(now.plus(EVERY));
        match give_back() {
            Ok(bytes) => tracing::debug!(bytes, "pages of the program given back"),
            Err(error) => tracing::debug!(%error, "no pages given back"),
        }
    }
}

/// Lets go of the pages of the program's own file; how many bytes of addresses that were.
fn give_back() -> io::Result<usize> {
    let smaps = std::fs::read_to_string("/proc/self/smaps")?;
    let here = give_back as *const () as usize;
    let parts = clean_parts(&smaps, here);
    for part in &parts {
        // SAFETY: the program's own mapping stays until the process ends. It cannot be written and no
        // page of it differs from the file, so what is read there after this is what was there before.
        let done = unsafe { libc::madvise(part.start as *mut _, part.len(), libc::MADV_DONTNEED) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(parts.iter().map(ExactSizeIterator::len).sum())
}

/// A part of the address space, as proc_pid_smaps(5) shows it.
struct Part<'a> {
    addresses: Range<usize>,
    is_writable: bool,
    file: &'a str,
    /// Kibibytes of pages that are this process's own; `None` where the system does not say.
    own: Option<u64>,
}

/// Of the file that is mapped at this address: what nobody can have changed.
fn clean_parts(smaps: &str, address: usize) -> Vec<Range<usize>> {
    let mut parts: Vec<Part> = Vec::new();
    for line in smaps.lines() {
        if let Some(part) = part(line) {
            parts.push(part);
        } else if let (Some(part), Some(kib)) = (parts.last_mut(), line.strip_prefix("Anonymous:")) {
            part.own = kib.trim().strip_suffix(" kB").and_then(|number| number.trim().parse().ok());
        }
    }
    let file = parts.iter().find(|part| part.addresses.contains(&address)).map_or("", |part| part.file);
    if !file.starts_with('/') {
        return Vec::new();
    }
    let clean = |part: &&Part| part.file == file && !part.is_writable && part.own == Some(0);
    parts.iter().filter(clean).map(|part| part.addresses.clone()).collect()
}

/// `55d0c0a00000-55d0c0c10000 r--p 00000000 fe:00 123    /usr/bin/tenken-agent`
fn part(line: &str) -> Option<Part<'_>> {
    let mut rest = line;
    let mut next = || {
        let (field, after) = rest.split_once(' ')?;
        rest = after.trim_start();
        Some(field)
    };
    let (start, end) = next()?.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let addresses = address(start)?..address(end)?;
    let is_writable = next()?.contains('w');
    let (_offset, _device, _inode) = (next()?, next()?, next()?);
    Some(Part { addresses, is_writable, file: rest, own: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As captured, shortened to what differs.
    const SMAPS: &str = "\
1000-3000 r--p 00000000 fe:00 1234                       /opt/an agent (deleted)
Size:                  8 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd 
3000-8000 r-xp 00002000 fe:00 1234                       /opt/an agent (deleted)
Rss:                  20 kB
Anonymous:             0 kB
8000-9000 r--p 00007000 fe:00 1234                       /opt/an agent (deleted)
Anonymous:             4 kB
9000-a000 rw-p 00008000 fe:00 1234                       /opt/an agent (deleted)
Anonymous:             0 kB
a000-b000 r--p 00009000 fe:00 1234                       /opt/an agent (deleted)
Size:                  4 kB
b000-c000 r-xp 00000000 fe:00 77                         /lib/libc.so.6
Anonymous:             0 kB
c000-d000 rw-p 00000000 00:00 0 
Anonymous:             4 kB
d000-e000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
";

    #[test]
    fn only_what_nobody_can_have_changed_of_the_own_file_is_let_go() {
        assert_eq!(clean_parts(SMAPS, 0x4000), [0x1000..0x3000, 0x3000..0x8000]);
        for elsewhere in [0xb800, 0xc800, 0xd800, 0xf000, 0] {
            let parts = clean_parts(SMAPS, elsewhere);
            assert!(parts.iter().all(|part| part.contains(&elsewhere)), "{parts:x?} at {elsewhere:x}");
        }
    }

    #[test]
    fn the_program_goes_on_without_its_pages() {
        let resident = || {
            let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let parts = clean_parts(&smaps, resident_of as *const () as usize);
            parts.iter().map(|part| resident_of(&smaps, part)).sum::<u64>()
        };
        let before = resident();
        assert!(give_back().unwrap() > 1_000_000);
        let after = resident();
        assert!(after < before, "{after} of {before} KiB");
        let text: String = (0..1_000).map(|n| n.to_string()).collect();
        assert_eq!(text.len(), 2_890);
    }

    fn resident_of(smaps: &str, part: &Range<usize>) -> u64 {
        let (_, after) = smaps.split_once(&format!("{:x}-{:x} ", part.start, part.end)).unwrap();
        let rss = after.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
    }

    #[test]
    fn it_waits_for_the_end_of_a_start_and_then_for_an_hour() {
        let mut spare = Spare::default();
        let mut due = |s: u64| {
            spare.idle(Monotonic(s * 1_000));
            spare.due.unwrap()
        };
        assert_eq!((due(5), due(64)), (Monotonic(65_000), Monotonic(65_000)));
        assert_eq!((due(70), due(3_669)), (Monotonic(3_670_000), Monotonic(3_670_000)));
        assert_eq!(due(3_670), Monotonic(7_270_000));
    }
}
