//! The three parties on one machine: vendor's collector, demonstration hospital, this device.
//!
//! Holds: each has its own folder and its own keys, and speaks to the others as it would over a
//! network and by hand-carried files. A second start in the same folder goes on with what is there.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};
use tenken_agent::{config::AgentConfig, enroll, identity, probes::ProbeOptions, transport::way::Way};
use tenken_collector::{
    app::{self, Running},
    config::CollectorConfig,
    pki::Pki,
};
use tenken_common::{
    category::Category,
    config::{ByteSize, HumanDuration},
    consent::{ConsentManifest, Scope},
    envelope::Envelope,
    file::{self, Access},
    id::{HospitalId, Name, hex},
    key::SecretKey,
    limit,
    message::Language,
    time::{Clock, SystemClock, Timestamp, jst_date},
};
use tenken_hospital::{
    agreement, consent,
    device::{SlotOrder, approve, make_slot},
};
use tokio::sync::{Mutex, oneshot, watch};

const HOSPITAL: &str = "demo-hospital";
const LABEL: &str = "this-machine";
/// Everything is quick here, so that there is something to see.
const INTERVAL: Duration = Duration::from_secs(2);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
const CONTRACT: &str = include_str!("../../config/contract.example.toml");

/// All that runs.
pub struct Party {
    pub collector: Running,
    pub agent_config: AgentConfig,
    pub metrics_url: String,
    agent: Mutex<Option<AgentThread>>,
    agent_over: watch::Receiver<bool>,
    /// Nobody else uses the folder as long as this file is open.
    _lock: std::fs::File,
}

struct AgentThread {
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
}

/// Ports stay the same from run to run, since the device was told where to push.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Ports {
    device: u16,
    enroll: u16,
}

/// Starts everything in `dir`.
pub async fn begin(dir: &Path, metrics_port: u16, language: Language) -> anyhow::Result<Party> {
    check_port(metrics_port)?;
    let clock = SystemClock::new();
    let lock = take(dir)?;
    free(metrics_port)?;
    let begun = start_collector(dir, metrics_port, language).await;
    let (collector, enroll_url, pki_root) = begun.with_context(|| place(dir))?;
    let agent_config = agent_config(dir, language);
    if let Err(identity::IdentityError::NotEnrolled | identity::IdentityError::Unfinished) =
        identity::load(&agent_config.state_dir)
    {
        introduce(dir, &collector, &agent_config, enroll_url, pki_root, &clock)
            .await
            .with_context(|| place(dir))?;
    }
    let metrics_url = format!("http://{}/metrics", collector.addresses().metrics);
    let (agent, agent_over) = start_agent(agent_config.clone())?;
    Ok(Party {
        collector,
        agent_config,
        metrics_url,
        agent: Mutex::new(Some(agent)),
        agent_over,
        _lock: lock,
    })
}

fn place(dir: &Path) -> String {
    format!("cannot begin in {}", dir.display())
}

/// Takes the folder for this run.
fn take(dir: &Path) -> anyhow::Result<std::fs::File> {
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::File::create(dir.join("lock")))
        .with_context(|| place(dir))
        .and_then(|file| match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => bail!(
                "another quickstart is using the folder {}; end it, or name another folder with --dir",
                dir.display()
            ),
            Err(std::fs::TryLockError::Error(e)) => Err(e).with_context(|| place(dir)),
        })
}

/// Asked before anything is made, so that the answer can name the option.
fn free(port: u16) -> anyhow::Result<()> {
    match std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {port} on 127.0.0.1 is in use by another program; name another with --port")
        }
        Err(e) => Err(e).with_context(|| format!("cannot listen on port {port} of 127.0.0.1")),
        Ok(_) => Ok(()),
    }
}

/// The one port that does not choose itself: said before anything is made, with the way out.
fn check_port(port: u16) -> anyhow::Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {port} on 127.0.0.1 is in use by another program; name another one with --port")
        }
        Err(e) => Err(e).with_context(|| format!("cannot listen on port {port} of 127.0.0.1 (--port)")),
    }
}

async fn start_collector(
    dir: &Path,
    metrics_port: u16,
    language: Language,
) -> anyhow::Result<(Running, String, tenken_common::id::Hash)> {
    let ports_file = dir.join("ports.json");
    let known: Option<Ports> =
        std::fs::read(&ports_file).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut config = CollectorConfig {
        data_dir: dir.join("collector"),
        language,
        names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        ..CollectorConfig::default()
    };
    config.listen.metrics = local(metrics_port);
    config.listen.device = local(known.map_or(0, |p| p.device));
    config.listen.enroll = local(known.map_or(0, |p| p.enroll));
    config.evaluate.interval = HumanDuration(INTERVAL);
    let root = if config.pki_dir().exists() {
        Pki::load(&config.pki_dir())?.root_sha256()
    } else {
        app::init(&config)?
    };
    let collector = app::start(config).await?;
    let addresses = collector.addresses();
    let ports = Ports { device: addresses.device.port(), enroll: addresses.enroll.port() };
    file::write(&ports_file, &serde_json::to_vec(&ports)?, Access::Everyone)?;
    Ok((collector, format!("https://localhost:{}", ports.enroll), root))
}

fn agent_config(dir: &Path, language: Language) -> AgentConfig {
    let mut config = AgentConfig { state_dir: dir.join("agent"), language, ..AgentConfig::default() };
    config.push.interval = HumanDuration(INTERVAL);
    config.push.report = HumanDuration(INTERVAL);
    config.push.retry_first = HumanDuration(Duration::from_millis(200));
    config.push.retry_max = HumanDuration(INTERVAL);
    config.spool.cap = ByteSize(limit::SPOOL_BYTES_DEFAULT);
    config.probes = ProbeOptions::every(HumanDuration(INTERVAL));
    config
}

/// What happens between the three parties before the first batch, in its order.
async fn introduce(
    dir: &Path,
    collector: &Running,
    agent: &AgentConfig,
    enroll_url: String,
    root: tenken_common::id::Hash,
    clock: &SystemClock,
) -> anyhow::Result<()> {
    let now = clock.wall();
    let hospital: HospitalId = HOSPITAL.parse()?;
    // 甲: its key, and what it allows.
    let hospital_key = hospital_key(&dir.join("hospital").join("hospital.key"))?;
    let consent = consent::sign(&demonstration_consent(&hospital, now), &hospital_key)?;
    // 乙: the contract, which names 甲's key.
    let contract = demonstration_contract(&hospital_key, now)?;
    collector.load_contract(&contract).await.context("the example contract")?;
    // 甲 agrees to it.
    let (_, agreement) = agreement::agree(&hospital, &contract, &hospital_key, now)?;
    collector.file_statement(&agreement).await?;
    // 甲: a slot for the device; one half for 乙, one carried to the device.
    let order = SlotOrder {
        hospital: hospital.clone(),
        label: Name::new(LABEL)?,
        group: None,
        collector: enroll_url,
        root,
        consent: consent.clone(),
        life: limit::SLOT_LIFE_MAX,
        replaces: None,
    };
    let slot = make_slot(order, &hospital_key, now)?;
    for statement in [&slot.for_collector, &consent] {
        collector.file_statement(statement).await?;
    }
    // The device redeems it; 甲 compares the fingerprints and approves.
    let version = tenken_agent::app::VERSION;
    let way = Way::new(&agent.push)?;
    let enrolled = enroll::enroll(&agent.state_dir, &slot.for_device, version, &way)
        .await
        .context("this machine could not be enrolled")?;
    let shown_by_device = enrolled.device_key.public().fingerprint();
    let shown_by_collector = collector.fingerprint(enrolled.device).await?;
    if shown_by_collector != Some(shown_by_device) {
        bail!("the collector shows another fingerprint than the device");
    }
    let approval: Envelope =
        approve(hospital, enrolled.device, shown_by_device, &hospital_key, clock.wall())?;
    collector.file_statement(&approval).await?;
    Ok(())
}

fn hospital_key(path: &Path) -> anyhow::Result<SecretKey> {
    if let Ok(text) = std::fs::read_to_string(path) {
        return Ok(SecretKey::from_pem(&text)?);
    }
    let key = SecretKey::generate()?;
    file::write(path, key.to_pem().as_bytes(), Access::Private)?;
    Ok(key)
}

fn demonstration_consent(hospital: &HospitalId, now: Timestamp) -> ConsentManifest {
    ConsentManifest {
        hospital: hospital.clone(),
        scope: Scope::Hospital,
        categories: Category::ALL.into_iter().map(Category::code).collect(),
        interval_floor_s: 1,
        valid_from: now.minus(Duration::from_secs(3_600)),
        valid_to: now.plus(YEAR),
        version: 1,
        heartbeat: true,
    }
}

/// The example contract, for this hospital and all its devices, in force from today, and round the
/// clock, so that there is something to see at night and on a holiday too.
fn demonstration_contract(hospital_key: &SecretKey, now: Timestamp) -> anyhow::Result<String> {
    let mut document: toml::Table = toml::from_str(CONTRACT)?;
    document.insert("effective_from".into(), jst_date(now).into());
    document.insert("all_devices".into(), true.into());
    document.remove("devices");
    document.remove("device_groups");
    // No probe reports these yet.
    document.remove("currency");
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let weekly: toml::Table =
        days.map(|day| (day.to_owned(), vec!["00:00-24:00"].into())).into_iter().collect();
    let hours = [("closed_on_national_holidays", false.into()), ("weekly", weekly.into())];
    let hours: toml::Table = hours.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    document.insert("service_hours".into(), hours.into());
    let hospital = document.get_mut("hospital").and_then(toml::Value::as_table_mut);
    let hospital = hospital.context("the example contract names no hospital")?;
    hospital.insert("id".into(), HOSPITAL.into());
    hospital.insert("key".into(), hex(&hospital_key.public().to_bytes()).into());
    Ok(toml::to_string(&document)?)
}

fn start_agent(config: AgentConfig) -> anyhow::Result<(AgentThread, watch::Receiver<bool>)> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (over, is_over) = watch::channel(false);
    let thread = std::thread::Builder::new()
        .name("agent".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let result = runtime.block_on(tenken_agent::app::run(config, async {
                // A sender that is gone means stop as well.
                let _ = stopped.await;
            }));
            // Nobody may be listening any more.
            let _ = over.send(true);
            result
        })
        .context("the agent's thread cannot be started")?;
    Ok((AgentThread { stop, thread }, is_over))
}

impl Party {
    /// Completes when the agent ends without being told to.
    pub async fn agent_ended(&self) {
        let mut over = self.agent_over.clone();
        // An error means that its thread is gone, which is the same.
        let _ = over.wait_for(|over| *over).await;
    }

    pub async fn stop_agent(&self) -> anyhow::Result<()> {
        let Some(agent) = self.agent.lock().await.take() else { return Ok(()) };
        // An agent that has ended by itself does not listen any more.
        let _ = agent.stop.send(());
        let joined = tokio::task::spawn_blocking(move || agent.thread.join()).await?;
        match joined {
            Ok(result) => result.context("the agent"),
            Err(_) => bail!("the agent's thread ended in a panic"),
        }
    }

    pub async fn stop_collector(self) -> anyhow::Result<()> {
        self.collector.stop().await
    }
}
