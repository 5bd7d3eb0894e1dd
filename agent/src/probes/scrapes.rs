//! Metrics of exporters on this device, scraped as Prometheus scrapes them.
//!
//! Holds: plain HTTP, to this device itself unless the configuration allows another; no redirect is
//! followed and no proxy used; an answer is bounded in time and size and read as a whole or refused.
//! A sample whose own time is too long ago is left out: it is not of now.
//!
//! Costs: a runtime of its own for the length of one look, which ends with it. One that was kept
//! would be dropped by whoever drops the probe, and that must not happen inside of another runtime.

use super::{
    Reading, check, every_minute,
    names::Names,
    openmetrics::{self, Format},
    series::{self, Silence, silent},
};
use reqwest::{
    Client, Url,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tenken_agent_core::probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    config::{HumanDuration, Problems},
    id::Name,
    observation::{CheckState, Observation},
    time::Timestamp,
    tls,
};

/// What an exporter may answer; node_exporter's answer has 100 KiB.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// How far a sample's own time may be from now; Prometheus looks back as far.
const AGE_MAX: Duration = Duration::from_mins(5);
/// The format that every exporter has.
const WANTED: &str = "text/plain;version=0.0.4";

/// `[[probes.scrapes]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrapeSpec {
    /// How it is reported.
    pub name: Name,
    /// `http://127.0.0.1:9100/metrics`
    pub url: String,
    #[serde(default = "five_seconds")]
    pub timeout: HumanDuration,
    /// Metrics that are kept.
    pub metrics: Vec<Name>,
    /// Whether the exporter may be on another machine.
    #[serde(default)]
    pub allow_remote: bool,
}

fn five_seconds() -> HumanDuration {
    HumanDuration(Duration::from_secs(5))
}

impl ScrapeSpec {
    pub fn check(&self, key: &str, problems: &mut Problems) {
        match Url::parse(&self.url) {
            Err(e) => problems.push(format!("{key}.url"), e.to_string()),
            Ok(url) if url.scheme() != "http" => {
                problems
                    .push(format!("{key}.url"), "is an address of the form http://127.0.0.1:9100/metrics");
            }
            Ok(url) if !self.allow_remote && !is_this_device(&url) => {
                problems.push(
                    format!("{key}.url"),
                    "is another machine; only this one is scraped unless allow_remote is true",
                );
            }
            Ok(_) => {}
        }
        if self.timeout.0.is_zero() || self.timeout.0 > TIMEOUT_MAX {
            let max = HumanDuration(TIMEOUT_MAX);
            problems.push(format!("{key}.timeout"), format!("must be above zero and at most {max}"));
        }
        if self.metrics.is_empty() {
            problems.push(format!("{key}.metrics"), "is empty: name the metrics that are kept");
        }
    }

    async fn ask(&self) -> Result<(String, Format), Silence> {
        let wrong = |_| Silence::Unreachable;
        // TLS is not spoken (see `check`), and the library wants a choice nevertheless.
        let tls = tls::client_of_neighbour().map_err(|_| Silence::Unreachable)?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .timeout(self.timeout.0)
            .build()
            .map_err(wrong)?;
        let sent = client.get(&self.url).header(ACCEPT, WANTED).send().await;
        let mut answer = sent.map_err(|e| silence(&e))?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(Silence::BadStatus(answer.status().as_u16().into()));
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let open = kind.starts_with("application/openmetrics-text");
        let format = if open { Format::OpenMetrics } else { Format::Prometheus };
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| silence(&e))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Silence::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map(|text| (text, format)).map_err(|_| Silence::Broken)
    }

    fn read(&self, names: &Names, now: Timestamp) -> Result<Reading, Silence> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (text, format) = runtime.map_err(|_| Silence::Unreadable)?.block_on(self.ask())?;
        let mut points = openmetrics::parse(&text, format).map_err(|broken| {
            tracing::warn!(source = %self.name, "an exporter's answer cannot be read: {broken}");
            Silence::Broken
        })?;
        let now = now.as_secs_f64();
        points.retain(|point| point.time.is_none_or(|at| (now - at).abs() <= AGE_MAX.as_secs_f64()));
        series::quantities(&points, &self.metrics, names).map(Reading).ok_or(Silence::TooLarge)
    }

    fn look(&self, names: &Names, info: &ProbeInfo, cx: &ProbeContext) -> Vec<Observation> {
        match self.read(names, cx.at.wall) {
            Ok(reading) => {
                let reading = reading.about(info, cx, self.name.clone());
                reading.into_iter().chain([check(info, cx, self.name.clone(), CheckState::Ok)]).collect()
            }
            Err(why) => silent(info, cx, &self.name, why),
        }
    }
}

fn silence(e: &reqwest::Error) -> Silence {
    if e.is_timeout() {
        Silence::TimedOut
    } else if e.is_connect() {
        Silence::Unreachable
    } else {
        Silence::Broken
    }
}

fn is_this_device(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// See the module's head.
pub struct Scrapes {
    info: ProbeInfo,
    specs: Vec<ScrapeSpec>,
    names: Arc<Names>,
}

impl Scrapes {
    pub fn new(specs: Vec<ScrapeSpec>, names: Arc<Names>) -> Self {
        let info = every_minute("scrapes", Category::Performance);
        let timeout = specs.iter().fold(info.timeout, |sum, spec| sum.saturating_add(spec.timeout.0));
        Self { info: ProbeInfo { timeout, cost: Cost::Moderate, ..info }, specs, names }
    }
}

impl Probe for Scrapes {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        if self.specs.is_empty() {
            return Err(ProbeError::NoData);
        }
        Ok(self.specs.iter().flat_map(|spec| spec.look(&self.names, &self.info, cx)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::{run_here, values};
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };
    use tenken_common::observation::Body;

    /// An exporter that gives this answer once.
    fn exporter(answer: Vec<u8>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /metrics HTTP/1.1\r\n"));
            // One that is cut off does not hear all of it.
            let _ = stream.write_all(&answer);
            // Until the other end hangs up.
            let _ = stream.read(&mut request);
        });
        port
    }

    fn answer(head: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn look(port: u16) -> (CheckState, Vec<(String, f64)>) {
        let spec = format!(
            "name = 'node'\nurl = 'http://127.0.0.1:{port}/metrics'\ntimeout = '2s'\nmetrics = ['up', 'old']"
        );
        let spec: ScrapeSpec = toml::from_str(&spec).unwrap();
        let seen = run_here(&mut Scrapes::new(vec![spec], Arc::new(Names::new(&[], [7; 32])))).unwrap();
        let [sample, Observation { body: Body::CheckResult(result), .. }] = seen.as_slice() else {
            panic!("a sample and a state: {seen:?}")
        };
        (result.state, values(sample).iter().map(|(n, v)| ((*n).to_owned(), *v)).collect())
    }

    #[test]
    fn an_exporter_is_read_in_either_format() {
        let ok = (CheckState::Ok, vec![("up".to_owned(), 1.0)]);
        let plain = answer("200 OK\r\nContent-Type: text/plain", "up 1\nother 2\nold 3 1500000000000\n");
        assert_eq!(look(exporter(plain)), ok);
        let head = "200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0";
        assert_eq!(look(exporter(answer(head, "up 1\n# EOF\n"))), ok);
        assert_eq!(look(exporter(answer(head, "up 1\n"))).1[0].0, "broken");
    }

    #[test]
    fn whatever_gives_no_metrics_is_unknown_and_says_why() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = nobody.local_addr().unwrap().port();
        drop(nobody);
        let mut huge = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n".to_vec();
        huge.resize(ANSWER_BYTES_MAX + 100_000, b'#');
        for (port, reason, value) in [
            (port, "unreachable", 1.0),
            (exporter(answer("404 Not Found", "")), "bad_status", 404.0),
            (exporter(answer("302 Found\r\nLocation: http://example.jp/", "")), "bad_status", 302.0),
            (exporter(answer("200 OK", "up one\n")), "broken", 1.0),
            (exporter(answer("200 OK", "up 1")), "broken", 1.0),
            (exporter(b"SSH-2.0\r\n".to_vec()), "broken", 1.0),
            (exporter(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nup".to_vec()), "timed_out", 1.0),
            (exporter(huge), "too_large", 1.0),
        ] {
            assert_eq!(look(port), (CheckState::Unknown, vec![(reason.to_owned(), value)]), "{reason}");
        }
    }

    #[test]
    fn only_this_device_unless_another_is_allowed() {
        for (url, more, count) in [
            ("http://127.0.0.1:9100/metrics", "", 0),
            ("http://localhost:9100/metrics", "", 0),
            ("http://[::1]:9100/metrics", "", 0),
            ("http://192.0.2.1:9100/metrics", "", 1),
            ("http://127.0.0.1.example.jp/metrics", "", 1),
            ("http://192.0.2.1:9100/metrics", "allow_remote = true", 0),
            ("https://127.0.0.1/metrics", "", 1),
            ("127.0.0.1:9100", "timeout = '1h'", 2),
        ] {
            let spec: ScrapeSpec =
                toml::from_str(&format!("name = 'p'\nurl = '{url}'\nmetrics = ['up']\n{more}")).unwrap();
            let mut problems = Problems::default();
            spec.check("probes.scrapes.0", &mut problems);
            assert_eq!(problems.iter().count(), count, "{url}: {problems:?}");
        }
    }
}
