//! Whoever started the agent and wants to hear that it is ready, alive and ending: systemd, by
//! sd_notify(3). Nobody where the agent was started by hand; on Windows the service control
//! manager is told elsewhere.
//!
//! Holds: a message that cannot be sent is dropped; the supervisor then does what it does with a
//! silent service. Life is shown by whoever does the work, never by a timer beside it, so that a
//! loop that hangs falls silent.

use std::{cell::Cell, time::Duration};
use tenken_common::time::{Clock, Monotonic};

/// Pings before the time in which one is expected is over.
#[cfg(target_os = "linux")]
const PINGS: u32 = 4;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Supervisor {
    #[cfg(target_os = "linux")]
    socket: Option<(std::os::unix::net::UnixDatagram, std::os::unix::net::SocketAddr)>,
    /// How often life is shown at most; nothing where nobody watches.
    every: Option<Duration>,
    last: Cell<Option<Monotonic>>,
}

impl Supervisor {
    /// Nobody listens.
    pub fn none() -> Self {
        Self::default()
    }

    /// As the environment says, see sd_notify(3) and sd_watchdog_enabled(3).
    #[cfg(target_os = "linux")]
    pub fn of_environment() -> Self {
        let text = |name| std::env::var(name).ok();
        let number = |name| text(name)?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let within = number("WATCHDOG_USEC").filter(|us| ours && *us > 0).map(Duration::from_micros);
        let socket = text("NOTIFY_SOCKET").and_then(|path| connect(&path));
        let every = within.filter(|_| socket.is_some()).map(|within| within / PINGS);
        Self { socket, every, last: Cell::new(None) }
    }

    #[cfg(not(target_os = "linux"))]
    pub fn of_environment() -> Self {
        Self::none()
    }

    /// The agent is up. What it opens now may take its time and can fail by itself.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The agent's own work went on until now.
    pub fn alive(&self, now: Monotonic) {
        let Some(every) = self.every else { return };
        if self.last.get().is_none_or(|last| now.saturating_since(last) >= every) {
            self.last.set(Some(now));
            self.tell("WATCHDOG=1");
        }
    }

    /// The agent ends in order.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Waits for what may take longer than a watchdog waits and has a bound of its own.
    pub async fn alive_during<T>(&self, clock: &dyn Clock, work: impl Future<Output = T>) -> T {
        let Some(every) = self.every else { return work.await };
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(every) => self.alive(clock.mono()),
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn tell(&self, what: &str) {
        if let Some((socket, to)) = &self.socket {
            let _ = socket.send_to_addr(what.as_bytes(), to);
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "nobody listens on this system")]
    fn tell(&self, _: &str) {}
}

/// A name that begins with `@` is in the abstract namespace.
#[cfg(target_os = "linux")]
fn connect(path: &str) -> Option<(std::os::unix::net::UnixDatagram, std::os::unix::net::SocketAddr)> {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    };
    let socket = UnixDatagram::unbound().ok()?;
    // A full queue means that the supervisor has not read earlier signs of life either.
    socket.set_nonblocking(true).ok()?;
    Some((socket, address.ok()?))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    };
    use tenken_common::time::SystemClock;

    fn heard(listener: &UnixDatagram) -> Vec<String> {
        let mut all = Vec::new();
        let mut buffer = [0; 64];
        while let Ok(len) = listener.recv(&mut buffer) {
            all.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
        }
        all
    }

    fn pair(path: &str, listener: UnixDatagram) -> (UnixDatagram, Supervisor) {
        listener.set_nonblocking(true).unwrap();
        let every = Some(Duration::from_secs(10));
        (listener, Supervisor { socket: connect(path), every, last: Cell::new(None) })
    }

    #[test]
    fn it_hears_in_order_and_not_too_often() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let (listener, supervisor) = pair(path.to_str().unwrap(), UnixDatagram::bind(&path).unwrap());
        supervisor.ready();
        for ms in [0, 1_000, 9_999, 10_000, 10_001] {
            supervisor.alive(Monotonic(ms));
        }
        supervisor.stopping();
        assert_eq!(heard(&listener), ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]);
    }

    #[test]
    fn abstract_names_are_heard_too_and_a_gone_listener_costs_nothing() {
        let name = format!("tenken-supervisor-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let (listener, supervisor) = pair(&format!("@{name}"), UnixDatagram::bind_addr(&address).unwrap());
        supervisor.ready();
        assert_eq!(heard(&listener), ["READY=1"]);
        drop(listener);
        supervisor.ready();
        Supervisor::none().alive(Monotonic(0));
    }

    #[tokio::test]
    async fn long_work_with_a_bound_does_not_look_dead() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let (listener, supervisor) = pair(path.to_str().unwrap(), UnixDatagram::bind(&path).unwrap());
        let supervisor = Supervisor { every: Some(Duration::from_millis(2)), ..supervisor };
        let work = async {
            let mut signs = 0;
            while signs < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                signs += heard(&listener).len();
            }
            7
        };
        let clock = SystemClock::new();
        let done = supervisor.alive_during(&clock, work);
        assert_eq!(tokio::time::timeout(Duration::from_secs(30), done).await, Ok(7));
    }
}
