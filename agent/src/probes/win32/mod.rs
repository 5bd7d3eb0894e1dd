//! What the agent asks of Windows by its own interface, as safe functions.
//!
//! Holds: on Windows this is the only folder that calls past the compiler's guard. Every call is given
//! its own buffers, whose size it knows, and what it returned is copied before anything else happens.
//! COM and WMI wake other processes and are for what is asked a few times a day.
//!
//! Does not: judge what it read. Performance counters (PDH) are not used: they cost more than all
//! probes together.

#![expect(unsafe_code, reason = "the system's interface is declared in C")]

pub mod com;
pub mod event_log;
pub mod update_agent;
pub mod wmi;

use super::battery_windows::PowerStatus;
use std::{io, ptr};
use windows_sys::Win32::{
    Foundation::{FILETIME, HANDLE, NO_ERROR},
    NetworkManagement::IpHelper::{FreeMibTable, GetIfTable2, MIB_IF_ROW2, MIB_IF_TABLE2},
    Storage::FileSystem::{GetDiskFreeSpaceExW, GetDriveTypeW, GetLogicalDrives, GetVolumeInformationW},
    System::{
        EventLog::{
            DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE,
            RegisterEventSourceW, ReportEventW,
        },
        Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS},
        Threading::{BELOW_NORMAL_PRIORITY_CLASS, GetCurrentProcess, GetSystemTimes, SetPriorityClass},
    },
};

/// Of `GetDriveType`.
const DRIVE_FIXED: u32 = 3;
/// Of `GetVolumeInformation`.
const FILE_READ_ONLY_VOLUME: u32 = 0x0008_0000;
/// Of an event's text, far below the 31,839 characters that the event log takes.
const EVENT_CHARS_MAX: usize = 4_096;

/// Of all processors together since the start, in units of 100 ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemTimes {
    pub idle: u64,
    /// Idle time is part of it.
    pub kernel: u64,
    pub user: u64,
}

pub fn system_times() -> io::Result<SystemTimes> {
    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut idle, mut kernel, mut user) = (zero, zero, zero);
    // SAFETY: three places that live through the call.
    succeeded(unsafe { GetSystemTimes(&raw mut idle, &raw mut kernel, &raw mut user) })?;
    let whole = |t: FILETIME| (u64::from(t.dwHighDateTime) << 32) | u64::from(t.dwLowDateTime);
    Ok(SystemTimes { idle: whole(idle), kernel: whole(kernel), user: whole(user) })
}

/// The letters of the fixed drives.
pub fn fixed_drives() -> io::Result<Vec<char>> {
    // SAFETY: takes nothing.
    let mask = unsafe { GetLogicalDrives() };
    if mask == 0 {
        return Err(io::Error::last_os_error());
    }
    let there = ('A'..='Z').enumerate().filter(|(bit, _)| mask & (1 << bit) != 0).map(|(_, letter)| letter);
    let fixed = there.filter(|letter| {
        let root = wide(&root(*letter));
        // SAFETY: a string with its end that lives through the call.
        unsafe { GetDriveTypeW(root.as_ptr()) == DRIVE_FIXED }
    });
    Ok(fixed.collect())
}

/// A volume's room in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    pub total: u64,
    pub free: u64,
    /// Free to this account, by its quota.
    pub available: u64,
    pub read_only: bool,
}

pub fn volume(letter: char) -> io::Result<Volume> {
    let root = wide(&root(letter));
    let (mut available, mut total, mut free) = (0, 0, 0);
    // SAFETY: a string with its end and three places, all of which live through the call.
    let done =
        unsafe { GetDiskFreeSpaceExW(root.as_ptr(), &raw mut available, &raw mut total, &raw mut free) };
    succeeded(done)?;
    let mut flags = 0;
    let (none, null) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: a string with its end and one place; what is null is not written.
    let done = unsafe { GetVolumeInformationW(root.as_ptr(), null, 0, none, none, &raw mut flags, null, 0) };
    succeeded(done)?;
    Ok(Volume { total, free, available, read_only: flags & FILE_READ_ONLY_VOLUME != 0 })
}

pub fn power_status() -> io::Result<PowerStatus> {
    let mut status = SYSTEM_POWER_STATUS::default();
    // SAFETY: one place that lives through the call.
    succeeded(unsafe { GetSystemPowerStatus(&raw mut status) })?;
    Ok(PowerStatus {
        line: status.ACLineStatus,
        flags: status.BatteryFlag,
        percent: status.BatteryLifePercent,
    })
}

/// A row of the table of interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// IANA's ifType.
    pub kind: u16,
    /// Counts among those of one kind; with it the system's own name for the interface.
    pub index: u32,
    /// Bits of `InterfaceAndOperStatusFlags`, see `MIB_IF_ROW2`.
    pub flags: u8,
    /// RFC 2863's ifOperStatus.
    pub state: i32,
    pub receive_bytes: u64,
    pub transmit_bytes: u64,
    pub errors: [u64; 2],
    pub drops: [u64; 2],
}

pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut table: *mut MIB_IF_TABLE2 = ptr::null_mut();
    // SAFETY: one place, which lives through the call.
    let code = unsafe { GetIfTable2(&raw mut table) };
    if code != NO_ERROR {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    // SAFETY: after a success the table is there until it is freed, with as many rows as it says.
    // The rows are copied one by one; no reference to one outlives this block.
    let rows = unsafe {
        let first = (&raw const (*table).Table).cast::<MIB_IF_ROW2>();
        let count = usize::try_from((*table).NumEntries).unwrap_or(0);
        let rows = (0..count).map(|i| interface(&*first.add(i))).collect();
        FreeMibTable(table.cast());
        rows
    };
    Ok(rows)
}

fn interface(row: &MIB_IF_ROW2) -> Interface {
    // SAFETY: all the union's forms are the same 64 bits.
    let luid = unsafe { row.InterfaceLuid.Value };
    let bits = |from: u32, count: u32| (luid >> from) & ((1 << count) - 1);
    Interface {
        kind: u16::try_from(bits(48, 16)).unwrap_or(0),
        index: u32::try_from(bits(24, 24)).unwrap_or(0),
        flags: row.InterfaceAndOperStatusFlags._bitfield,
        state: row.OperStatus,
        receive_bytes: row.InOctets,
        transmit_bytes: row.OutOctets,
        errors: [row.InErrors, row.OutErrors],
        drops: [row.InDiscards, row.OutDiscards],
    }
}

/// Lets everything else on this device run first.
pub fn lower_priority() -> io::Result<()> {
    // SAFETY: the handle is a constant that means this process.
    succeeded(unsafe { SetPriorityClass(GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS) })
}

/// How grave an entry of the event log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    Information,
    Warning,
    Error,
}

/// A source of the system's event log that this process writes to.
#[derive(Debug)]
pub struct EventSource(HANDLE);

// SAFETY: the system lets every thread of a process use the handle, at the same time too.
unsafe impl Send for EventSource {}
// SAFETY: the same.
unsafe impl Sync for EventSource {}

impl EventSource {
    pub fn open(name: &str) -> io::Result<Self> {
        let name = wide(name);
        // SAFETY: a string with its end that lives through the call; null is this computer.
        let handle = unsafe { RegisterEventSourceW(ptr::null(), name.as_ptr()) };
        if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self(handle)) }
    }

    /// Cuts what is too long.
    pub fn report(&self, grade: Grade, id: u32, text: &str) -> io::Result<()> {
        let kind = match grade {
            Grade::Information => EVENTLOG_INFORMATION_TYPE,
            Grade::Warning => EVENTLOG_WARNING_TYPE,
            Grade::Error => EVENTLOG_ERROR_TYPE,
        };
        let text = wide(&text.chars().take(EVENT_CHARS_MAX).collect::<String>());
        let strings = [text.as_ptr()];
        // SAFETY: the handle is open as long as this lives; one string with its end and the list of
        // one that names it live through the call; there is no user and no further content.
        succeeded(unsafe {
            ReportEventW(self.0, kind, 0, id, ptr::null_mut(), 1, 0, strings.as_ptr(), ptr::null())
        })
    }
}

impl Drop for EventSource {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once.
        unsafe { DeregisterEventSource(self.0) };
    }
}

fn succeeded(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn root(letter: char) -> String {
    format!("{letter}:\\")
}

/// With its end; what comes after a NUL would be lost anyway.
fn wide(text: &str) -> Vec<u16> {
    text.split('\0').next().unwrap_or_default().encode_utf16().chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_answers() {
        let times = system_times().unwrap();
        assert!(times.kernel >= times.idle, "{times:?}");
        let drives = fixed_drives().unwrap();
        assert!(drives.contains(&'C'), "{drives:?}");
        let volume = volume('C').unwrap();
        assert!(volume.total >= volume.free && volume.free > 0, "{volume:?}");
        assert!(!interfaces().unwrap().is_empty());
        power_status().unwrap();
        lower_priority().unwrap();
    }

    #[test]
    fn a_drive_that_is_not_there_is_an_error() {
        let drives = fixed_drives().unwrap();
        let missing = ('D'..='Y').find(|letter| !drives.contains(letter)).unwrap();
        assert!(volume(missing).is_err());
    }

    #[test]
    fn strings_have_one_end() {
        assert_eq!(wide("a\0b"), [97, 0]);
    }
}
