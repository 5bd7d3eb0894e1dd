//! A whole installation on this machine, made as its users make it: with the real programs, their
//! command lines and files carried between the three parties.

use crate::{Process, free_port, wait_until, workspace_bin};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};
use tempfile::TempDir;

const CONTRACT: &str = include_str!("../../packaging/config/contract.example.toml");
const BOUND: Duration = Duration::from_secs(30);
pub const HOSPITAL: &str = "minato";
/// Service hours without an end.
pub const ROUND_THE_CLOCK: &str = "closed_on_national_holidays = false\n[weekly]\n\
    mon = ['00:00-24:00']\ntue = ['00:00-24:00']\nwed = ['00:00-24:00']\nthu = ['00:00-24:00']\n\
    fri = ['00:00-24:00']\nsat = ['00:00-24:00']\nsun = ['00:00-24:00']\n";

/// What differs from test to test.
#[derive(Debug, Clone)]
pub struct BedPlan {
    /// TOML that is added to the collector's configuration.
    pub collector: String,
    /// TOML that is added to the agents' configuration.
    pub agent: String,
    /// What the hospital permits.
    pub categories: Vec<&'static str>,
    /// The day from which the contract holds.
    pub effective_from: String,
    /// Whether the hospital has agreed to the contract.
    pub agreed: bool,
    /// The contract's service hours as TOML; without it the example's.
    pub hours: Option<&'static str>,
    /// The network namespace in which collector and enrolling agents run, and its address there;
    /// without it they run on loopback.
    pub place: Option<(String, String)>,
}

impl Default for BedPlan {
    fn default() -> Self {
        Self {
            collector: "[evaluate]\ninterval = \"1s\"\n".into(),
            agent:
                "[push]\ninterval = \"1s\"\nreport = \"1s\"\nretry_first = \"100ms\"\nretry_max = \"1s\"\n\
                    [probes.intervals]\ncpu = \"1s\"\ndisk = \"1s\"\nmemory = \"1s\"\nnetwork = \"1s\"\n\
                    clock = \"1s\"\nuptime = \"1s\"\nsensors = \"1s\"\nservices = \"1s\"\n"
                    .into(),
            categories: vec!["performance", "disk", "network", "sensor", "clock", "service", "agent"],
            effective_from: "2026-04-01".into(),
            agreed: true,
            hours: None,
            place: None,
        }
    }
}

/// See the module's head.
pub struct Bed {
    dir: TempDir,
    plan: BedPlan,
    pub device_port: u16,
    pub enroll_port: u16,
    pub metrics_port: u16,
    root: String,
    starts: std::cell::Cell<u32>,
}

/// One enrolled device.
#[derive(Debug, Clone)]
pub struct Home {
    pub config: PathBuf,
    pub state: PathBuf,
    pub device: String,
}

impl Bed {
    /// Keys, consent, contract and configurations; nothing runs yet.
    pub fn new(plan: BedPlan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut bed = Self {
            device_port: free_port(),
            enroll_port: free_port(),
            metrics_port: free_port(),
            root: String::new(),
            starts: std::cell::Cell::new(0),
            dir,
            plan,
        };
        fs::write(bed.collector_config(), bed.collector_text()).unwrap();
        let said = stdout(&bed.collector(&["init"]));
        bed.root = word_of(&said, 64);
        bed.hospital(&["keygen", &bed.path("hospital")]);
        bed.hospital(&["consent", "new", "--hospital", HOSPITAL, "--out", &bed.path("consent.toml")]);
        bed.sign_consent(1, &bed.plan.categories.clone());
        let contract = bed.contract(&bed.plan.effective_from);
        fs::write(bed.path("contract.toml"), contract).unwrap();
        stdout(&bed.collector(&["contract", "load", &bed.path("contract.toml")]));
        stdout(&bed.collector(&["device", "file", &bed.path("consent.statement")]));
        if bed.plan.agreed {
            bed.agree(&bed.path("contract.toml"));
        }
        bed
    }

    /// The hospital agrees to a contract's text, and the collector files that.
    pub fn agree(&self, contract: &str) {
        let (key, out) = (self.path("hospital/hospital.key"), format!("{contract}.agreement"));
        self.hospital(&[
            "agree",
            "--key",
            &key,
            "--hospital",
            HOSPITAL,
            "--contract",
            contract,
            "--out",
            &out,
        ]);
        stdout(&self.collector(&["device", "file", &out]));
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Whether the folder stays when the bed goes.
    pub fn keep_folder(&mut self, keep: bool) {
        self.dir.disable_cleanup(keep);
    }

    /// The collector's store; to be read while the collector is stopped.
    pub fn database(&self) -> PathBuf {
        let text = self.collector_text();
        let config: tenken_collector::config::CollectorConfig = toml::from_str(&text).unwrap();
        config.database()
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The collector's acknowledgement key: what it would have signed, a test may sign.
    pub fn ack_key(&self) -> tenken_common::key::SecretKey {
        tenken_collector::pki::Pki::load(&self.dir().join("collector/pki")).unwrap().ack_key().clone()
    }

    /// SHA-256 of the collector's root, as `init` printed it.
    pub fn root(&self) -> &str {
        &self.root
    }

    fn collector_config(&self) -> String {
        self.path("collector.toml")
    }

    fn collector_text(&self) -> String {
        let address = self.plan.place.as_ref().map_or("127.0.0.1", |(_, address)| address);
        format!(
            "data_dir = \"{}\"\nnames = [\"{}\", \"127.0.0.1\"]\n[listen]\ndevice = \"{address}:{}\"\n\
             enroll = \"{address}:{}\"\nmetrics = \"127.0.0.1:{}\"\n{}",
            self.path("collector"),
            self.name(),
            self.device_port,
            self.enroll_port,
            self.metrics_port,
            self.plan.collector
        )
    }

    /// Under which agents reach the collector.
    fn name(&self) -> &str {
        self.plan.place.as_ref().map_or("localhost", |(_, address)| address)
    }

    /// A program of ours, in the namespace of that name.
    fn command(program: &str, namespace: Option<&str>) -> Command {
        let program = workspace_bin(program);
        let Some(namespace) = namespace else { return Command::new(program) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program);
        command
    }

    fn namespace(&self) -> Option<&str> {
        self.plan.place.as_ref().map(|(namespace, _)| namespace.as_str())
    }

    /// The example contract with this bed's hospital and key.
    pub fn contract(&self, effective_from: &str) -> String {
        let key = fs::read_to_string(self.path("hospital/hospital.pub")).unwrap();
        let key = tenken_common::key::PublicKey::from_pem(&key).unwrap();
        let mut document: toml::Table = toml::from_str(CONTRACT).unwrap();
        document.insert("effective_from".into(), effective_from.into());
        let hospital = document.get_mut("hospital").and_then(toml::Value::as_table_mut).unwrap();
        hospital.insert("id".into(), HOSPITAL.into());
        hospital.insert("key".into(), tenken_common::id::hex(&key.to_bytes()).into());
        document.insert("all_devices".into(), true.into());
        document.remove("devices");
        document.remove("device_groups");
        if let Some(hours) = self.plan.hours {
            let hours: toml::Table = toml::from_str(hours).unwrap();
            document.insert("service_hours".into(), hours.into());
        }
        toml::to_string(&document).unwrap()
    }

    /// Signs a consent as `consent.statement`.
    pub fn sign_consent(&self, version: u64, categories: &[&str]) {
        let text = fs::read_to_string(self.path("consent.toml")).unwrap();
        let mut document: toml::Table = toml::from_str(&text).unwrap();
        document.insert("version".into(), i64::try_from(version).unwrap().into());
        document.insert("interval_floor".into(), "1s".into());
        document.insert("categories".into(), categories.to_vec().into());
        fs::write(self.path("consent.edited.toml"), toml::to_string(&document).unwrap()).unwrap();
        let (key, edited) = (self.path("hospital/hospital.key"), self.path("consent.edited.toml"));
        self.hospital(&["consent", "sign", "--key", &key, &edited, "--out", &self.path("consent.statement")]);
    }

    /// Runs one command of the collector; it must succeed unless the caller looks at the status.
    pub fn collector(&self, args: &[&str]) -> Output {
        let mut command = Command::new(workspace_bin("tenken-collector"));
        command.args(["--config", &self.collector_config()]).args(args).output().unwrap()
    }

    /// What a listing says as JSON.
    pub fn listing(&self, args: &[&str]) -> serde_json::Value {
        let text = stdout(&self.collector(&[args, &["--json"]].concat()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
    }

    /// Runs one command of the hospital's program, which must succeed.
    pub fn hospital(&self, args: &[&str]) {
        stdout(&Command::new(workspace_bin("tenken-hospital")).args(args).output().unwrap());
    }

    /// Starts the collector and waits until it serves.
    pub fn start_collector(&self) -> Process {
        let mut process = self.spawn_collector();
        process.wait_for_text(BOUND, "collector serves");
        process
    }

    /// Starts the collector, which will serve a little later.
    pub fn spawn_collector(&self) -> Process {
        let mut command = Self::command("tenken-collector", self.namespace());
        command.args(["--config", &self.collector_config(), "serve"]).env("TENKEN_LOG", "info");
        Process::start(self.dir(), &self.log_name("collector"), &mut command)
    }

    /// A slot, its redemption and the hospital's approval; needs a running collector.
    pub fn enroll(&self, label: &str) -> Home {
        let home = self.applicant(label);
        let said = stdout(&self.agent(&home, &["enroll", "--slot", &self.path(&format!("{label}.slot"))]));
        Home { device: self.approve(label, &said), ..home }
    }

    /// The hospital approves what an enrollment has `said`, and the collector files that; gives the
    /// device.
    pub fn approve(&self, label: &str, said: &str) -> String {
        let (device, fingerprint) = (word_of(said, 32), fingerprint_of(said));
        let approval = self.path(&format!("{label}.approval"));
        self.hospital(&[
            "approve",
            "--key",
            &self.path("hospital/hospital.key"),
            "--hospital",
            HOSPITAL,
            "--device",
            &device,
            "--fingerprint",
            &fingerprint,
            "--out",
            &approval,
        ]);
        stdout(&self.collector(&["device", "file", &approval]));
        device
    }

    /// A device with its slot file, not enrolled yet.
    pub fn applicant(&self, label: &str) -> Home {
        let (slot, ticket) = (self.path(&format!("{label}.slot")), self.path(&format!("{label}.ticket")));
        self.hospital(&[
            "slot",
            "--key",
            &self.path("hospital/hospital.key"),
            "--hospital",
            HOSPITAL,
            "--label",
            label,
            "--collector",
            &format!("https://{}:{}", self.name(), self.enroll_port),
            "--root",
            &self.root,
            "--consent",
            &self.path("consent.statement"),
            "--for-device",
            &slot,
            "--for-collector",
            &ticket,
        ]);
        stdout(&self.collector(&["device", "file", &ticket]));
        let state = self.dir().join(label);
        let config = self.dir().join(format!("{label}.toml"));
        let home = Home { config, state, device: String::new() };
        self.write_agent(&home, &self.plan.agent);
        home
    }

    /// Writes an agent's configuration around `text`.
    pub fn write_agent(&self, home: &Home, text: &str) {
        fs::write(&home.config, format!("state_dir = \"{}\"\n{text}", home.state.display())).unwrap();
    }

    /// Runs one command of an agent.
    pub fn agent(&self, home: &Home, args: &[&str]) -> Output {
        let mut command = Self::command("tenken-agent", self.namespace());
        command.arg("--config").arg(&home.config).args(args).output().unwrap()
    }

    /// Starts an agent; its log names every record whose append returned.
    pub fn start_agent(&self, home: &Home) -> Process {
        self.run_agent(self.namespace(), home)
    }

    /// The same, in another network namespace.
    pub fn start_agent_in(&self, namespace: &str, home: &Home) -> Process {
        self.run_agent(Some(namespace), home)
    }

    fn run_agent(&self, namespace: Option<&str>, home: &Home) -> Process {
        let mut command = Self::command("tenken-agent", namespace);
        command
            .arg("--config")
            .arg(&home.config)
            .arg("run")
            .env("TENKEN_LOG", "info,tenken_agent::spool=debug");
        Process::start(self.dir(), &self.log_name("agent"), &mut command)
    }

    /// Logs of every start in a file of their own.
    fn log_name(&self, program: &str) -> String {
        self.starts.set(self.starts.get() + 1);
        format!("{program}-{:04}", self.starts.get())
    }

    /// The device's row of `device list`, once `good` says so of it.
    pub fn device_when(
        &self,
        home: &Home,
        what: &str,
        good: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        wait_until(BOUND, what, |state| {
            let list = self.listing(&["device", "list"]);
            *state = list.to_string();
            let rows = list.as_array().into_iter().flatten();
            rows.filter(|row| row["device"] == home.device.as_str()).find(|row| good(row)).cloned()
        })
    }
}

/// What a command printed; it must have succeeded.
pub fn stdout(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "status {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// The first word of `len` hexadecimal digits.
fn word_of(text: &str, len: usize) -> String {
    let is_hex = |w: &&str| w.len() == len && w.chars().all(|c| c.is_ascii_hexdigit());
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .find(is_hex)
        .unwrap_or_else(|| panic!("no word of {len} hexadecimal digits in: {text}"))
        .to_owned()
}

/// 16 groups of four digits.
fn fingerprint_of(text: &str) -> String {
    let line = text.lines().find(|line| line.split(' ').filter(|w| w.len() == 4).count() >= 16);
    let line = line.unwrap_or_else(|| panic!("no fingerprint in: {text}"));
    let groups: Vec<&str> =
        line.split(' ').filter(|w| w.len() == 4 && w.chars().all(|c| c.is_ascii_hexdigit())).collect();
    groups.concat()
}
