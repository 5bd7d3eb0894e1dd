//! Entries of the system's event log (wevtapi): who wrote them, their number and their place.
//!
//! Holds: only these three values are rendered; the text of an entry and its content are not asked
//! for. Each wait is bounded.

use super::wide;
use crate::probes::events::event_log::Entry;
use std::io;
use windows_sys::Win32::{
    Foundation::{ERROR_INSUFFICIENT_BUFFER, ERROR_NO_MORE_ITEMS, GetLastError, NO_ERROR, SetLastError},
    System::EventLog::{
        EVT_HANDLE, EVT_VARIANT, EvtClose, EvtCreateRenderContext, EvtNext, EvtQuery, EvtQueryChannelPath,
        EvtQueryForwardDirection, EvtQueryReverseDirection, EvtRender, EvtRenderContextValues,
        EvtRenderEventValues, EvtVarTypeString, EvtVarTypeUInt16, EvtVarTypeUInt64,
    },
};

const WAIT_MS: u32 = 10_000;
/// Taken at once.
const PAGE: usize = 64;
const PATHS: [&str; 3] =
    ["Event/System/Provider/@Name", "Event/System/EventID", "Event/System/EventRecordID"];
/// Three values and a provider's name; what is longer is no name.
const BUFFER_VALUES: usize = 128;

/// Which end of a log comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

/// At most `max` entries of a channel that fit an XPath query.
pub fn entries(channel: &str, query: &str, order: Order, max: usize) -> io::Result<Vec<Entry>> {
    let direction = match order {
        Order::OldestFirst => EvtQueryForwardDirection,
        Order::NewestFirst => EvtQueryReverseDirection,
    };
    let (channel, query) = (wide(channel), wide(query));
    // SAFETY: forgets an earlier call's error, since a system without an event log sets none.
    unsafe { SetLastError(NO_ERROR) };
    // SAFETY: two strings with their ends that live through the call; zero is this computer.
    let found = unsafe { EvtQuery(0, channel.as_ptr(), query.as_ptr(), EvtQueryChannelPath | direction) };
    let found = Handle::of(found)?;
    let [source, id, record] = PATHS.map(wide);
    let paths = [source.as_ptr(), id.as_ptr(), record.as_ptr()];
    // SAFETY: as many strings with their ends as are said, which live through the call.
    let context = Handle::of(unsafe { EvtCreateRenderContext(3, paths.as_ptr(), EvtRenderContextValues) })?;
    let mut entries = Vec::new();
    while entries.len() < max {
        let mut events = [0; PAGE];
        let (wanted, mut count) = (PAGE.min(max - entries.len()), 0);
        let wanted = u32::try_from(wanted).unwrap_or(1);
        // SAFETY: an open handle; places for as many handles as are wanted and for their number.
        let done = unsafe { EvtNext(found.0, wanted, events.as_mut_ptr(), WAIT_MS, 0, &raw mut count) };
        if done == 0 {
            let e = last_error();
            let over = e.raw_os_error() == Some(ERROR_NO_MORE_ITEMS.cast_signed());
            return if over { Ok(entries) } else { Err(e) };
        }
        // All are owned before one of them can fail.
        let events: Vec<Handle> =
            events.iter().filter(|event| **event != 0).map(|event| Handle(*event)).collect();
        for event in &events {
            entries.push(render(&context, event)?);
        }
    }
    Ok(entries)
}

fn render(context: &Handle, event: &Handle) -> io::Result<Entry> {
    let mut values = [EVT_VARIANT::default(); BUFFER_VALUES];
    let (mut used, mut count) = (0, 0);
    let bytes = u32::try_from(size_of_val(&values)).unwrap_or(0);
    // SAFETY: open handles, a buffer of the size said that is aligned for the values, and two places.
    let done = unsafe {
        let (into, kind) = (values.as_mut_ptr().cast(), EvtRenderEventValues);
        EvtRender(context.0, event.0, kind, bytes, into, &raw mut used, &raw mut count)
    };
    if done == 0 {
        let e = last_error();
        if e.raw_os_error() == Some(ERROR_INSUFFICIENT_BUFFER.cast_signed()) {
            return Ok(Entry::default());
        }
        return Err(e);
    }
    let [source, id, record, ..] = &values;
    let is = |value: &EVT_VARIANT, kind: i32| value.Type == kind.cast_unsigned();
    // SAFETY: each form is read under its own tag only; the text lies in the buffer, with its end.
    unsafe {
        Ok(Entry {
            source: is(source, EvtVarTypeString).then(|| text(source.Anonymous.StringVal)).flatten(),
            id: is(id, EvtVarTypeUInt16).then(|| id.Anonymous.UInt16Val),
            record: is(record, EvtVarTypeUInt64).then(|| record.Anonymous.UInt64Val),
        })
    }
}

/// # Safety
/// Null, or a string with its end.
unsafe fn text(from: *const u16) -> Option<String> {
    if from.is_null() {
        return None;
    }
    // SAFETY: the caller's word; reading stops at the end.
    let units = (0..).map(|i| unsafe { *from.add(i) }).take_while(|unit| *unit != 0);
    Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// One of the event log's handles, closed when it goes.
struct Handle(EVT_HANDLE);

impl Handle {
    fn of(handle: EVT_HANDLE) -> io::Result<Self> {
        if handle == 0 { Err(last_error()) } else { Ok(Self(handle)) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: opened by the system, closed once.
        unsafe { EvtClose(self.0) };
    }
}

/// A failure without an error is of a system that does not have the call.
fn last_error() -> io::Error {
    // SAFETY: takes nothing.
    match unsafe { GetLastError() } {
        NO_ERROR => io::ErrorKind::Unsupported.into(),
        code => io::Error::from_raw_os_error(code.cast_signed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// wine has no log to query.
    #[test]
    fn this_machine_has_entries_or_no_such_call() {
        match entries("System", "*", Order::NewestFirst, 3) {
            Ok(entries) => assert!(entries.iter().all(|entry| entry.record.is_some()), "{entries:?}"),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::Unsupported, "{e:?}"),
        }
        assert!(entries("No Such Channel", "*", Order::NewestFirst, 3).is_err());
    }
}
