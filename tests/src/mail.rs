//! A real mail server (aiosmtpd, Debian's package) that takes mail only over TLS and after login.

use crate::{process::Process, wait::wait_until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tenken_common::time::Timestamp;

const START_BOUND: Duration = Duration::from_secs(30);
/// Debian's own Python: another one on the machine does not have Debian's aiosmtpd.
const PYTHON: &str = "/usr/bin/python3";

/// A mail as it was received.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct MailMessage {
    /// Of the envelope.
    pub from: String,
    /// Of the envelope.
    pub to: Vec<String>,
    /// Headers and body as sent.
    pub text: String,
    /// When the server said yes, by its clock.
    taken_us: i64,
}

impl MailMessage {
    pub fn taken(&self) -> Timestamp {
        Timestamp::from_micros(self.taken_us)
    }
}

#[derive(Debug)]
pub struct MailServer {
    port: u16,
    folder: PathBuf,
    process: Process,
}

impl MailServer {
    pub const USER: &str = "desk";
    pub const PASSWORD: &str = "correct horse battery staple";

    /// Starts with its certificate and the mails in `dir/mail`, on a free port.
    pub fn start(dir: &Path) -> Self {
        Self::start_failing(dir, 0)
    }

    /// As [`MailServer::start`], but the first `failures` mails are answered with 451 after DATA.
    pub fn start_failing(dir: &Path, failures: u32) -> Self {
        let folder = dir.join("mail");
        fs::create_dir_all(&folder).expect("the test's folder is writable");
        write_certificates(&folder);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("support_py/mail_server.py");
        let mut command = Command::new(PYTHON);
        command.arg(script).arg(&folder).arg(failures.to_string()).args([Self::USER, Self::PASSWORD]);
        let mut process = Process::start(&folder, "mail-server", &mut command);
        let port = wait_until(START_BOUND, "the mail server's port", |state| {
            *state = process.stderr_text();
            assert!(process.is_running(), "the mail server ended:\n{state}");
            fs::read_to_string(folder.join("port")).ok()?.parse().ok()
        });
        Self { port, folder, process }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The root that its certificate (for `localhost` and `127.0.0.1`) leads to, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Every mail that was taken, oldest first.
    pub fn messages(&self) -> Vec<MailMessage> {
        let read = |number: u32| fs::read_to_string(self.folder.join(format!("{number:06}.json"))).ok();
        let texts = (1..).map_while(read);
        texts.map(|text| serde_json::from_str(&text).expect("the server writes whole files")).collect()
    }

    /// What the server had to say, for a failing test.
    pub fn stderr_text(&self) -> String {
        self.process.stderr_text()
    }
}

fn write_certificates(folder: &Path) {
    let issued = || -> Result<(String, String, String), rcgen::Error> {
        let mut root = CertificateParams::new(Vec::new())?;
        // Two names: a leaf whose subject is its issuer's counts as self-signed.
        root.distinguished_name.push(DnType::CommonName, "Tenken test root");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut leaf = CertificateParams::new(names)?;
        leaf.distinguished_name.push(DnType::CommonName, "Tenken test mail server");
        let leaf = leaf.signed_by(&key, &issuer)?;
        Ok((issuer.pem(), leaf.pem(), key.serialize_pem()))
    };
    let (root, leaf, key) = issued().expect("these parameters make certificates");
    for (name, text) in [("ca.pem", root), ("server.pem", leaf), ("server.key", key)] {
        fs::write(folder.join(name), text).expect("the test's folder is writable");
    }
}
