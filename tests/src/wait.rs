//! Waiting on a condition, with a bound: the one place where a test lets time pass.

use std::{
    net::TcpListener,
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

/// A TCP port of loopback that was free a moment ago. Bind to port 0 instead wherever you can.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a bound listener has an address").port()
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
