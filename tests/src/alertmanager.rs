//! A real Alertmanager (Debian's package), alone and with nobody to tell.

use crate::{
    http,
    process::Process,
    wait::{free_port, wait_until},
};
use std::{fs, path::Path, process::Command, time::Duration};

const START_BOUND: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Alertmanager {
    port: u16,
    _process: Process,
}

impl Alertmanager {
    /// Starts on a port with its data in `dir`, and returns when it is ready.
    pub fn start_at(dir: &Path, port: u16) -> Self {
        let config = dir.join("alertmanager.yml");
        fs::write(&config, "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n")
            .expect("the test's folder is writable");
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.join("alertmanager").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--cluster.listen-address=", "--log.level=warn"]);
        let mut process = Process::start(dir, "alertmanager", &mut command);
        wait_until(START_BOUND, "alertmanager to be ready", |state| {
            *state = process.stderr_text();
            assert!(process.is_running(), "alertmanager ended:\n{state}");
            http::get(port, "/-/ready").ok().filter(|answer| answer.status == 200)
        });
        Self { port, _process: process }
    }

    pub fn start(dir: &Path) -> Self {
        Self::start_at(dir, free_port())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The alerts that are active now, as its own API shows them.
    ///
    /// # Panics
    /// When it does not answer, or no list.
    pub fn alerts(&self) -> Vec<serde_json::Value> {
        let answer = http::get(self.port, "/api/v2/alerts").expect("alertmanager answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("a list of alerts")
    }
}
