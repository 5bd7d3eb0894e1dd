//! Waiting on a condition, with a bound: the one place where a test lets time pass.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(20);

/// Looks at `condition` until it gives something, and gives that.
///
/// # Panics
/// After `bound`, with `what` and the last state that the condition noted, if it noted one:
/// `condition` is given a string to leave its state in.
#[expect(clippy::disallowed_methods, reason = "the bound of a wait is real time")]
pub fn wait_until<T>(bound: Duration, what: &str, mut condition: impl FnMut(&mut String) -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        let mut state = String::new();
        if let Some(value) = condition(&mut state) {
            return value;
        }
        assert!(start.elapsed() < bound, "waited {bound:?} for {what}; last state: {state}");
        std::thread::sleep(PACE);
    }
}

/// Lets time pass where time itself is what the test is about: until a moment that was drawn at
/// random, or while something is down. No test waits for anything like this.
pub fn let_pass(duration: Duration) {
    std::thread::sleep(duration);
}

/// A TCP port of loopback that was free a moment ago. Bind to port 0 instead wherever you can.
///
/// It lies below the ports that the system gives to clients, so that none of them gets it while
/// the program that listens on it is down.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 2_000).expect("below 2000") * 10;
    let tries = (0..20_000).map(|_| 10_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    { tries }.find(free).expect("loopback has free ports")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_given_at_once() {
        let mut looks = 0;
        let third = |_: &mut String| {
            looks += 1;
            (looks == 3).then_some(looks)
        };
        assert_eq!(wait_until(Duration::from_secs(5), "the third look", third), 3);
    }

    #[test]
    #[should_panic(expected = "for the moon; last state: half")]
    fn what_never_comes_is_named() {
        wait_until(Duration::from_millis(1), "the moon", |state| {
            "half".clone_into(state);
            None::<()>
        });
    }
}
