//! The agent's place on the device: behind everything else.
//!
//! Holds: below-normal priority from before the first thread is started, so that every thread and
//! every child inherits it. What the service's manager has set already is left.
//!
//! Does not: bound memory or processor time, and set no priority for disk access; the service's
//! unit does on Linux.

/// As `Nice=` in the unit: others get about ten times as much of a processor.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Steps behind everything else; where the system refuses, that is said.
#[cfg(target_os = "linux")]
pub fn step_back() {
    use rustix::process::{getpriority_process, setpriority_process};
    if getpriority_process(None).is_ok_and(|nice| nice >= NICE) {
        return;
    }
    if let Err(error) = setpriority_process(None, NICE) {
        tracing::warn!(%error, "priority not lowered");
    }
}

/// Steps behind everything else; where the system refuses, that is said.
#[cfg(windows)]
pub fn step_back() {
    if let Err(error) = crate::probes::win32::lower_priority() {
        tracing::warn!(%error, "priority not lowered");
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    #[test]
    fn a_thread_steps_back_once_and_its_children_with_it() {
        // Linux keeps a priority for each thread; the other tests' threads keep theirs.
        let stepped = std::thread::spawn(|| {
            step_back();
            step_back();
            let child = std::thread::spawn(|| getpriority_process(None));
            (getpriority_process(None), child.join())
        });
        let (own, child) = stepped.join().unwrap();
        assert!(own.unwrap() >= NICE && child.unwrap().unwrap() >= NICE);
    }
}
