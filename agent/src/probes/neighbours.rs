//! Devices beside this one, as they answer: TCP, HTTP(S), DICOM C-ECHO, ping. For a certified device
//! on which no agent may be installed.
//!
//! Holds: only what the configuration names is asked, and asked nothing but whether it is there. One
//! that does not answer is asked a second time at once; then it is critical. A server that answers
//! with an error of its own (HTTP 5xx, a refused association) is critical as well. Names of hosts do
//! not leave the device; a neighbour has the name that the configuration gives it.

mod dicom;
mod http;
mod ping;

use super::{Reading, check, every_minute};
use serde::{Deserialize, Serialize};
use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};
use tenken_agent_core::probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    config::{HumanDuration, Problems},
    id::Name,
    observation::{CheckState, Observation},
    unit::Unit,
};
use tokio::time::Instant;

/// Beyond this a run of all would take too long.
pub const NEIGHBOURS_MAX: usize = 16;
const TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(3));
const TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// `[[probes.neighbours]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighbourSpec {
    pub name: Name,
    /// `host:port`
    pub tcp: Option<String>,
    /// `http://` or `https://`; a certificate's end is read, the certificate is not judged.
    pub http: Option<String>,
    /// `AE-TITLE@host:port`
    pub dicom: Option<String>,
    /// How this device calls itself in DICOM.
    #[serde(default = "tenken")]
    pub calling: String,
    /// A host's address.
    pub ping: Option<String>,
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

fn tenken() -> String {
    "TENKEN".to_owned()
}

fn timeout() -> HumanDuration {
    TIMEOUT
}

impl NeighbourSpec {
    pub fn check(&self, key: &str, problems: &mut Problems) {
        let ways = [&self.tcp, &self.http, &self.dicom, &self.ping];
        if ways.iter().filter(|way| way.is_some()).count() != 1 {
            problems.push(key, "names one of tcp, http, dicom, ping");
        }
        if self.http.as_deref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://"))
        {
            problems.push(format!("{key}.http"), "must begin with http:// or https://");
        }
        if self.dicom.as_deref().is_some_and(|to| dicom::title_and_address(to).is_none()) {
            problems.push(
                format!("{key}.dicom"),
                "must look like AE-TITLE@host:port, the title of 1 to 16 characters",
            );
        }
        if self
            .tcp
            .as_deref()
            .is_some_and(|to| to.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()))
        {
            problems.push(format!("{key}.tcp"), "must look like host:port");
        }
        if self.timeout.0.is_zero() || self.timeout.0 > TIMEOUT_MAX {
            let max = HumanDuration(TIMEOUT_MAX);
            problems.push(format!("{key}.timeout"), format!("must be above zero and at most {max}"));
        }
    }

    fn ask(&self) -> Result<Answer, AskError> {
        let timeout = self.timeout.0;
        let begun = Instant::now();
        let certificate_s = match (&self.tcp, &self.http, &self.dicom, &self.ping) {
            (Some(to), ..) => connect(to, timeout).map(|_| None)?,
            (_, Some(url), ..) => http::ask(url, timeout)?,
            (_, _, Some(to), _) => dicom::echo(to, &self.calling, timeout).map(|()| None)?,
            (_, _, _, Some(host)) => ping::ask(host, timeout).map(|()| None)?,
            (None, None, None, None) => return Err(AskError::Nothing),
        };
        Ok(Answer { took: begun.elapsed(), certificate_s })
    }
}

/// It is there.
struct Answer {
    took: Duration,
    /// How long its certificate still holds, negative once it has ended.
    certificate_s: Option<f64>,
}

/// Why it is not.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("no answer from {to}")]
    NoAnswer { to: String, source: io::Error },
    #[error("`{0}` is no address of a host that is known")]
    NoHost(String),
    #[error("no answer from {to}")]
    Http { to: String, source: reqwest::Error },
    #[error("{to} answers with HTTP status {status}")]
    Status { to: String, status: u16 },
    #[error("TLS cannot be set up")]
    Tls(#[source] tenken_common::tls::TlsError),
    #[error("{to} does not accept a DICOM association")]
    Association { to: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{to} answers the DICOM echo with status {status:#06x}")]
    Echo { to: String, status: u16 },
    #[error("{to} answers something that is no DICOM echo")]
    NoEcho { to: String },
    /// The system, not the neighbour.
    #[error("this system does not let the agent ping")]
    NotAllowed(#[source] io::Error),
    #[error("the configuration names no way to ask")]
    Nothing,
}

impl AskError {
    fn state(&self) -> CheckState {
        match self {
            Self::NotAllowed(_) | Self::Tls(_) | Self::Nothing | Self::NoHost(_) => CheckState::Unknown,
            Self::NoAnswer { .. }
            | Self::Http { .. }
            | Self::Status { .. }
            | Self::Association { .. }
            | Self::Echo { .. }
            | Self::NoEcho { .. } => CheckState::Critical,
        }
    }
}

fn address(to: &str) -> Result<SocketAddr, AskError> {
    let found = to.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| AskError::NoHost(to.to_owned()))
}

fn connect(to: &str, timeout: Duration) -> Result<TcpStream, AskError> {
    let stream = TcpStream::connect_timeout(&address(to)?, timeout);
    stream.map_err(|source| AskError::NoAnswer { to: to.to_owned(), source })
}

/// See the module's head.
pub struct Neighbours {
    info: ProbeInfo,
    specs: Vec<NeighbourSpec>,
}

impl Neighbours {
    pub fn new(specs: Vec<NeighbourSpec>) -> Self {
        let asked: Duration = specs.iter().map(|spec| spec.timeout.0 * 2).sum();
        let info = every_minute("neighbours", Category::Neighbour);
        let timeout = asked + info.timeout;
        Self { info: ProbeInfo { cost: Cost::Moderate, timeout, ..info }, specs }
    }
}

impl Probe for Neighbours {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let mut seen = Vec::new();
        for spec in &self.specs {
            let answer = spec.ask().or_else(|_| spec.ask());
            if let Err(e) = &answer {
                tracing::debug!(neighbour = %spec.name, reason = %tenken_common::telemetry::ErrorChain(e), "no answer");
            }
            let state = answer.as_ref().map_or_else(AskError::state, |_| CheckState::Ok);
            if let Ok(Answer { took, certificate_s }) = answer {
                let reading = Reading::default()
                    .with("response_seconds", Unit::Seconds, took.as_secs_f64())
                    .with("certificate_seconds", Unit::Seconds, certificate_s);
                seen.extend(reading.about(&self.info, cx, spec.name.clone()));
            }
            seen.push(check(&self.info, cx, spec.name.clone(), state));
        }
        if seen.is_empty() { Err(ProbeError::NoData) } else { Ok(seen) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };
    use tenken_common::observation::Body;

    fn spec(fields: &str) -> NeighbourSpec {
        toml::from_str(&format!("name = 'ct-2'\n{fields}")).unwrap()
    }

    fn state(fields: &str) -> CheckState {
        let seen = run_here(&mut Neighbours::new(vec![spec(fields)])).unwrap();
        let mut checks = seen.iter().filter_map(|o| match &o.body {
            Body::CheckResult(check) => Some(check.state),
            Body::Sample(_) | Body::SelfReport(_) | Body::Fact(_) => None,
        });
        checks.next_back().unwrap()
    }

    /// A server of one connection after another that reads a little and answers this.
    fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut asked = [0; 4_096];
                // A client that only connects sends nothing.
                let _ = stream.read(&mut asked);
                let _ = stream.write_all(answer);
            }
        });
        address
    }

    fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn one_that_answers_and_one_that_does_not() {
        assert_eq!(state(&format!("tcp = '{}'", server(b""))), CheckState::Ok);
        assert_eq!(state(&format!("tcp = '{}'", closed())), CheckState::Critical);
        assert_eq!(state("tcp = 'no-such-host.invalid:1'"), CheckState::Unknown);
    }

    #[test]
    fn a_web_server_that_works_and_others() {
        let at = |answer| format!("http = 'http://{}/'", server(answer));
        assert_eq!(state(&at(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), CheckState::Ok);
        assert_eq!(
            state(&at(b"HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n")),
            CheckState::Ok,
            "it is there"
        );
        assert_eq!(state(&at(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")), CheckState::Critical);
        assert_eq!(state(&at(b"garbage\r\n\r\n")), CheckState::Critical);
        assert_eq!(state(&format!("http = 'https://{}/'", server(b"no TLS"))), CheckState::Critical);
    }

    #[test]
    fn what_is_no_dicom_is_critical() {
        for answer in [&b""[..], b"HTTP/1.1 400 Bad\r\n\r\n", &[2, 0, 0, 0, 0, 4, 0, 0, 0, 0]] {
            let fields = format!("dicom = 'CT@{}'\ntimeout = '1s'", server(answer));
            assert_eq!(state(&fields), CheckState::Critical);
        }
    }

    #[test]
    fn a_ping_of_this_machine_answers_or_is_not_allowed() {
        assert!(matches!(state("ping = '127.0.0.1'"), CheckState::Ok | CheckState::Unknown));
    }

    #[test]
    fn a_neighbour_that_cannot_be_asked_is_a_problem_of_the_configuration() {
        for (fields, count) in [
            ("tcp = 'ct-2:104'", 0),
            ("dicom = 'CT@192.0.2.1:104'", 0),
            ("", 1),
            ("tcp = 'ct-2:104'\nping = 'ct-2'", 1),
            ("tcp = 'ct-2'", 1),
            ("http = 'ct-2'", 1),
            ("dicom = 'ct-2:104'", 1),
            ("dicom = 'A-TITLE-THAT-IS-TOO-LONG@ct-2:104'", 1),
            ("ping = 'ct-2'\ntimeout = '1h'", 1),
        ] {
            let mut problems = Problems::default();
            spec(fields).check("probes.neighbours.0", &mut problems);
            assert_eq!(problems.iter().count(), count, "{fields}: {problems:?}");
        }
    }
}
