//! The agent's place on the device: behind everything else.
//!
//! Holds: below-normal priority from before the first thread is started, so that every thread and
//! every child inherits it. What the service's manager has set already is left. Threads of a library
//! that look at the clock for nothing do so when the system is awake anyway.
//!
//! Does not: bound memory or processor time, and set no priority for disk access; the service's
//! unit does on Linux.

#[cfg(target_os = "linux")]
pub mod memory;

/// Windows gives back by itself what a process does not use.
#[cfg(windows)]
pub mod memory {
    use tenken_common::time::Monotonic;

    pub fn share_one_arena() {}

    #[derive(Debug, Default)]
    pub struct Spare;

    impl Spare {
        #[expect(clippy::unused_self, reason = "there is nothing to do on this system")]
        pub fn idle(&mut self, _: Monotonic) {}
    }
}

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

/// How much later than asked a thread of [`patient`] may be woken by the clock. Whoever has work for it
/// wakes it at once all the same.
#[cfg(target_os = "linux")]
const TIMER_SLACK: std::num::NonZeroU64 = std::num::NonZeroU64::new(30_000_000_000).expect("not zero");

/// Lets every thread that `start` starts wait beyond its time (PR_SET_TIMERSLACK, which threads inherit).
#[cfg(target_os = "linux")]
pub fn patient<T>(start: impl FnOnce() -> T) -> T {
    let set = |slack| {
        if let Err(error) = rustix::thread::set_current_timer_slack(slack) {
            tracing::debug!(%error, "timer slack not set");
        }
    };
    set(Some(TIMER_SLACK));
    let started = start();
    // As this thread began.
    set(None);
    started
}

/// Windows has no such setting for a thread.
#[cfg(windows)]
pub fn patient<T>(start: impl FnOnce() -> T) -> T {
    start()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use rustix::{process::getpriority_process, thread::gettid};

    #[test]
    fn only_what_is_started_patiently_is_woken_late() {
        let slack = || {
            let path = format!("/proc/{}/timerslack_ns", gettid().as_raw_nonzero());
            std::fs::read_to_string(path).unwrap().trim().parse::<u64>().unwrap()
        };
        let of_child = || std::thread::spawn(slack).join().unwrap();
        let before = slack();
        assert_eq!(patient(of_child), TIMER_SLACK.get());
        assert_eq!((slack(), of_child()), (before, before));
    }

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
