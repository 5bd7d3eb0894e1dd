//! Wakes a loop after a time, once.
//!
//! Holds: on Linux a timer of the kernel's, which also counts while the device is suspended. The
//! runtime's own wakes on the way to a moment that is seconds off, two or three times, to sort what it
//! waits for; a loop that waits most of the day would do little else. Where the system refuses, and on
//! Windows, that one is used all the same.

use std::time::Duration;
#[cfg(target_os = "linux")]
use {
    rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
    std::{io, os::fd::OwnedFd},
    tokio::io::{Interest, unix::AsyncFd},
};

/// See the module's head.
#[derive(Debug, Default)]
pub struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<AsyncFd<OwnedFd>>,
}

impl Alarm {
    /// Needs a tokio runtime with input and output, and time.
    pub fn new() -> Self {
        #[cfg(target_os = "linux")]
        {
            Self { timer: timer().inspect_err(|error| tracing::debug!(%error, "no timer")).ok() }
        }
        #[cfg(windows)]
        Self::default()
    }

    /// Completes after so long. Dropped half-way it is as if it had not been called.
    #[cfg_attr(windows, expect(clippy::unused_self, reason = "nothing is kept on this system"))]
    pub async fn after(&mut self, wait: Duration) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer
            && set(timer, wait).is_ok()
            && let Ok(mut rung) = timer.readable().await
        {
            rung.clear_ready();
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "tokio cannot tell that a file stays open for as long as it waits for it")]
fn timer() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
    // SAFETY: the file is given away and closed by nobody else.
    Ok(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?)
}

#[cfg(target_os = "linux")]
fn set(timer: &AsyncFd<OwnedFd>, wait: Duration) -> io::Result<()> {
    // Zero would take the timer back.
    let wait = wait.max(Duration::from_nanos(1));
    let once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let it_value = Timespec::try_from(wait).map_err(io::Error::other)?;
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: once, it_value })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, timeout};

    #[tokio::test]
    async fn it_rings_once_for_each_wait_also_after_one_that_was_left() {
        let mut alarm = Alarm::new();
        #[cfg(target_os = "linux")]
        assert!(alarm.timer.is_some());
        for wait in [0, 30, 1].map(Duration::from_millis) {
            let left = timeout(Duration::from_millis(1), alarm.after(Duration::from_hours(1))).await;
            assert!(left.is_err());
            let before = Instant::now();
            timeout(Duration::from_secs(20), alarm.after(wait)).await.unwrap();
            assert!(before.elapsed() >= wait, "{:?} for {wait:?}", before.elapsed());
        }
    }

    #[tokio::test]
    async fn without_a_timer_of_the_kernel_it_rings_all_the_same() {
        let mut alarm = Alarm::default();
        let before = Instant::now();
        timeout(Duration::from_secs(20), alarm.after(Duration::from_millis(5))).await.unwrap();
        assert!(before.elapsed() >= Duration::from_millis(5));
    }
}
