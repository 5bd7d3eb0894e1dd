//! A service centre with its outlets: a mail server, a webhook receiver, and rules that are quick
//! to see a recovery. And a device that watches one process.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tenken_tests::{
    MailMessage, MailServer, Process, WebhookReceiver,
    bed::{Bed, BedPlan, Home, ROUND_THE_CLOCK},
    http, wait_until,
};

pub const SECRET: &str = "a secret of both ends";
pub const BOUND: Duration = Duration::from_secs(30);
const RULES: &str = include_str!("../../packaging/rules/default.toml");

/// See the module's head.
pub struct Office {
    pub bed: Bed,
    pub hook: WebhookReceiver,
    mail_port: u16,
    dir: TempDir,
}

impl Office {
    pub fn open(mail: &MailServer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hook = WebhookReceiver::start();
        fs::write(
            dir.path().join("rules.toml"),
            RULES.replace("resolve_hold = \"5m\"", "resolve_hold = \"1s\""),
        )
        .unwrap();
        for (name, text) in [("password", MailServer::PASSWORD), ("secret", SECRET)] {
            fs::write(dir.path().join(name), text).unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::copy(mail.ca_file(), dir.path().join("ca.pem")).unwrap();
        let (at, port, url, user) = (dir.path().display(), mail.port(), hook.url("/hook"), MailServer::USER);
        let collector = format!(
            "[evaluate]\ninterval = '1s'\nrules = '{at}/rules.toml'\n\
             [[notify.email]]\nname = 'desk'\nserver = 'localhost'\nport = {port}\nca_file = '{at}/ca.pem'\n\
             username = '{user}'\npassword_file = '{at}/password'\nfrom = 'rsc@example.jp'\n\
             to = ['desk@example.jp']\ngroup_wait = '1s'\n\
             [[notify.webhook]]\nname = 'chat'\nurl = '{url}'\nsecret_file = '{at}/secret'\n"
        );
        let watched =
            format!("[[probes.services]]\nname = 'pacs'\nprocess = '{}'\n", process_name(dir.path()));
        let plan = BedPlan::default();
        let plan = BedPlan { collector, agent: plan.agent + &watched, hours: Some(ROUND_THE_CLOCK), ..plan };
        Self { bed: Bed::new(plan), hook, mail_port: port, dir }
    }

    /// From the collector's next start on, mail goes there.
    pub fn move_mail(&mut self, mail: &MailServer) {
        let config = self.bed.path("collector.toml");
        let text = fs::read_to_string(&config).unwrap();
        let (old, new) = (format!("\nport = {}\n", self.mail_port), format!("\nport = {}\n", mail.port()));
        assert!(text.contains(&old));
        fs::write(&config, text.replace(&old, &new)).unwrap();
        fs::copy(mail.ca_file(), self.dir.path().join("ca.pem")).unwrap();
        self.mail_port = mail.port();
    }

    /// The process that the device watches.
    pub fn start_service(&self) -> Process {
        let name = process_name(self.dir.path());
        let program = self.dir.path().join(&name);
        if !program.exists() {
            fs::copy("/usr/bin/tail", &program).unwrap();
        }
        Process::start(self.dir.path(), "service", Command::new(program).args(["-f", "/dev/null"]))
    }

    /// Waits until the collector knows that the service runs.
    pub fn wait_for_service(&self, home: &Home) {
        self.bed.device_when(home, "the service to be seen", |row| {
            let probes = row["probes"].as_array().into_iter().flatten();
            probes.flat_map(|p| p["checks"].as_array().into_iter().flatten()).any(|c| c["state"] == "ok")
        });
    }

    /// Waits until so many mails are there, and gives them.
    pub fn mails(mail: &MailServer, count: usize) -> Vec<Letter> {
        wait_until(BOUND, "mail", |state| {
            *state = format!("{:?}\n{}", mail.messages(), mail.stderr_text());
            (mail.messages().len() >= count).then_some(())
        });
        mail.messages().iter().map(Letter::read).collect()
    }

    pub fn wait_for_hooks(&self, count: usize) {
        wait_until(BOUND, "webhooks", |state| {
            *state = format!("{:?}", self.hook.requests());
            (self.hook.requests().len() >= count).then_some(())
        });
    }

    pub fn metrics(&self) -> String {
        metrics(&self.bed)
    }

    /// Waits until the collector has evaluated at so many later moments.
    pub fn wait_for_ticks(&self, count: usize) {
        let tick = || metrics_line(&self.metrics(), "tenken_evaluation_last_timestamp_seconds ");
        for _ in 0..count {
            let before = tick();
            wait_until(BOUND, "a tick", |_| (tick() != before).then_some(()));
        }
    }
}

/// Unknown to all others, and short enough for the kernel to keep.
fn process_name(dir: &Path) -> String {
    let own: String = dir.display().to_string().chars().rev().take(6).collect();
    format!("pacs{own}")
}

pub fn metrics(bed: &Bed) -> String {
    let answer = http::get(bed.metrics_port, "/metrics").unwrap();
    assert_eq!(answer.status, 200);
    answer.body
}

/// The line of one sample; empty where it is absent.
pub fn metrics_line(text: &str, start: &str) -> String {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
}

/// A mail as Python's own parser reads it.
#[derive(Debug, serde::Deserialize)]
pub struct Letter {
    pub id: String,
    pub subject: String,
    pub body: String,
}

impl Letter {
    pub fn read(mail: &MailMessage) -> Self {
        let script = "import email, email.policy, json, sys\n\
            m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
            print(json.dumps({'id': m['Message-ID'], 'subject': m['Subject'], 'body': m.get_content()}))";
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), mail.text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
