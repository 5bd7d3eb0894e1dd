//! The commands of `tenken-hospital`.
//!
//! Holds: a command that fails changes no file; a secret goes into a file that only its owner can
//! read, never onto the screen.

use crate::{
    agreement, consent,
    device::{self, SlotOrder},
    show, succession,
    verify::{self, Held, VerifyArgs},
};
use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use std::{
    io::Write,
    path::{Path, PathBuf},
};
use tenken_common::{
    config::{ConfigError, HumanDuration},
    consent::ConsentManifest,
    envelope::Envelope,
    file::{self, Access},
    id::{DeviceId, Epoch, Hash, HospitalId, Name, hex},
    key::{PublicKey, SecretKey, grouped},
    message::{Language, Message},
    statement::{self, CONSENT_FILE, KeySuccession, RejoinApproval, SUCCESSOR_FILE, SlotFile},
    time::{Clock, SystemClock, Timestamp, jst_minute},
};

/// 病院側（甲）の管理者が使うプログラム / the hospital administrator's program
#[derive(Debug, Parser)]
#[command(name = "tenken-hospital", version, about, max_term_width = 100)]
pub struct Cli {
    /// Language of what is shown: ja or en
    #[arg(long, global = true, default_value = "ja", env = "TENKEN_LANG")]
    language: Language,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the hospital's key: FOLDER/hospital.key (secret) and FOLDER/hospital.pub
    Keygen { folder: PathBuf },
    /// Make a new key that takes over from the present one
    Succeed(SucceedArgs),
    /// Make an enrollment slot: one half for the device, one for the vendor
    Slot(SlotArgs),
    /// Approve a device whose fingerprint you compared on both sides
    Approve(ApproveArgs),
    /// Let a device that fell behind its own history go on, with the new key it shows
    Rejoin(RejoinArgs),
    /// Write, sign, show and withdraw the hospital's consent
    #[command(subcommand)]
    Consent(ConsentCommand),
    /// Agree to a version of a contract, or to a record about one
    Agree(AgreeArgs),
    /// Check a month's evidence: make every figure anew, and find what was altered
    Verify(VerifyArgs),
    /// Read any signed statement
    #[command(subcommand)]
    Statement(StatementCommand),
}

/// In whose name, and with which key.
#[derive(Debug, Args)]
struct Signer {
    /// The hospital's secret key
    #[arg(long)]
    key: PathBuf,
    /// The hospital's id, as the contract names it
    #[arg(long)]
    hospital: HospitalId,
}

#[derive(Debug, Args)]
struct SucceedArgs {
    #[command(flatten)]
    signer: Signer,
    /// Where the new key goes: FOLDER/hospital.key (secret) and FOLDER/hospital.pub
    folder: PathBuf,
    /// The file of the last succession that devices have, where this is not the first
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    /// Where the devices' file goes
    #[arg(long, value_name = "FILE")]
    for_devices: PathBuf,
    /// Where the vendor's file goes
    #[arg(long, value_name = "FILE")]
    for_collector: PathBuf,
}

#[derive(Debug, Args)]
struct SlotArgs {
    #[command(flatten)]
    signer: Signer,
    /// What people call the device, e.g. CT-1
    #[arg(long)]
    label: Name,
    /// The group of devices it belongs to, where the contract or the consent names groups
    #[arg(long)]
    group: Option<Name>,
    /// The collector's enrollment address, https://host:port
    #[arg(long)]
    collector: String,
    /// SHA-256 of the collector's root certificate, which `tenken-collector init` prints
    #[arg(long)]
    root: Hash,
    /// The signed consent
    #[arg(long)]
    consent: PathBuf,
    /// A device that lost its key: it goes on under the same id in a new epoch of its chain
    #[arg(long, value_name = "DEVICE")]
    replaces: Option<DeviceId>,
    /// How long the slot can be used, at most 72h
    #[arg(long, default_value = "72h")]
    life: HumanDuration,
    /// Where the device's half goes (secret; carry it by hand)
    #[arg(long)]
    for_device: PathBuf,
    /// Where the vendor's half goes
    #[arg(long)]
    for_collector: PathBuf,
}

#[derive(Debug, Args)]
struct ApproveArgs {
    #[command(flatten)]
    signer: Signer,
    /// The device's id, as `tenken-agent enroll` and the collector show it
    #[arg(long)]
    device: DeviceId,
    /// The fingerprint of the device's key, as both show it (blanks are ignored)
    #[arg(long)]
    fingerprint: String,
    /// Where the approval goes
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct RejoinArgs {
    #[command(flatten)]
    signer: Signer,
    /// The device's id
    #[arg(long)]
    device: DeviceId,
    /// The epoch that begins, as the device shows it
    #[arg(long)]
    epoch: u32,
    /// The fingerprint of the device's new key, as the device shows it (blanks are ignored)
    #[arg(long)]
    fingerprint: String,
    /// Where the approval goes
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct AgreeArgs {
    #[command(flatten)]
    signer: Signer,
    /// The contract's file, byte for byte as the vendor loads it
    #[arg(long, value_name = "FILE", required_unless_present = "record")]
    contract: Option<PathBuf>,
    /// The record's file, byte for byte as the vendor handed it over
    #[arg(long, value_name = "FILE", conflicts_with = "contract")]
    record: Option<PathBuf>,
    /// Where the agreement goes
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum ConsentCommand {
    /// Write a manifest to edit
    New {
        /// The hospital's id, as the contract names it
        #[arg(long)]
        hospital: HospitalId,
        /// Where the manifest goes
        #[arg(long)]
        out: PathBuf,
    },
    /// Sign an edited manifest
    Sign {
        /// The hospital's secret key
        #[arg(long)]
        key: PathBuf,
        /// The edited manifest
        manifest: PathBuf,
        /// Where the signed consent goes
        #[arg(long)]
        out: PathBuf,
    },
    /// Show a signed consent, checked against the hospital's public key
    Show {
        /// The hospital's public key
        #[arg(long)]
        public: PathBuf,
        /// The signed consent, or a device's state folder
        #[arg(value_name = "FILE|FOLDER")]
        statement: PathBuf,
    },
    /// Sign a next version that permits nothing
    Withdraw {
        /// The hospital's secret key
        #[arg(long)]
        key: PathBuf,
        /// Take back the sign of life too, so that nothing at all is sent
        #[arg(long)]
        silent: bool,
        /// The public key that signed the consent, where the key was succeeded since
        #[arg(long)]
        public: Option<PathBuf>,
        /// The consent in force, or a device's state folder
        #[arg(value_name = "FILE|FOLDER")]
        statement: PathBuf,
        /// Where the withdrawal goes
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum StatementCommand {
    /// Show what the statements in a file say, and whether they are genuine
    Show {
        file: PathBuf,
        /// The public key to check them by; without it nothing is checked
        #[arg(long)]
        public: Option<PathBuf>,
    },
}

/// Runs one command; what it says goes to `out`.
pub fn run(cli: Cli, out: &mut dyn Write) -> anyhow::Result<()> {
    let desk = Desk { now: SystemClock::new().wall(), language: cli.language, out };
    match cli.command {
        Command::Keygen { folder } => desk.keygen(&folder),
        Command::Succeed(args) => desk.succeed(args),
        Command::Slot(args) => desk.slot(args),
        Command::Approve(args) => desk.approve(args),
        Command::Rejoin(args) => desk.rejoin(args),
        Command::Consent(command) => desk.consent(command),
        Command::Agree(args) => desk.agree(&args),
        Command::Verify(args) => desk.verify(&args),
        Command::Statement(StatementCommand::Show { file, public }) => desk.show(&file, public.as_deref()),
    }
}

/// Where one command is worked on.
struct Desk<'a> {
    now: Timestamp,
    language: Language,
    out: &'a mut dyn Write,
}

impl Desk<'_> {
    fn keygen(self, folder: &Path) -> anyhow::Result<()> {
        let made = succession::make_key(folder)?;
        let public = made.key.public();
        let values = [
            ("secret", made.secret.display().to_string()),
            ("public", made.public.display().to_string()),
            ("key", hex(&public.to_bytes())),
            ("fingerprint", grouped(&public.fingerprint())),
        ];
        self.say(Message::KeyMade, &values)
    }

    fn succeed(self, args: SucceedArgs) -> anyhow::Result<()> {
        let old = read_secret(&args.signer.key)?;
        let earlier = args.earlier.as_deref().map(read_statements).transpose()?.unwrap_or_default();
        succession::check_earlier(&earlier, old.public())?;
        let made = succession::make_key(&args.folder)?;
        let public = made.key.public();
        let newest = succession::succeed(args.signer.hospital, &old, public, self.now)?;
        write(&args.for_devices, &succession::for_devices(&earlier, &newest))?;
        write(&args.for_collector, &statement::to_armour(&newest))?;
        let values = [
            ("secret", made.secret.display().to_string()),
            ("public", made.public.display().to_string()),
            ("fingerprint", grouped(&public.fingerprint())),
            ("devices", args.for_devices.display().to_string()),
            ("collector", args.for_collector.display().to_string()),
            ("name", SUCCESSOR_FILE.to_owned()),
        ];
        self.say(Message::KeySucceeded, &values)
    }

    fn slot(self, args: SlotArgs) -> anyhow::Result<()> {
        let hospital_key = read_secret(&args.signer.key)?;
        let consent = read_statement(&args.consent)?;
        let order = SlotOrder {
            hospital: args.signer.hospital,
            label: args.label,
            group: args.group,
            collector: args.collector,
            root: args.root,
            consent,
            life: args.life.0,
            replaces: args.replaces,
        };
        let slot = device::make_slot(order, &hospital_key, self.now)?;
        file::write(&args.for_device, slot.for_device.to_armour().as_bytes(), Access::Private)?;
        write(&args.for_collector, &statement::to_armour(&slot.for_collector))?;
        let values = [
            ("device", args.for_device.display().to_string()),
            ("collector", args.for_collector.display().to_string()),
            ("expires", format!("{} JST", jst_minute(slot.for_device.expires))),
        ];
        self.say(Message::SlotMade, &values)
    }

    fn approve(self, args: ApproveArgs) -> anyhow::Result<()> {
        let hospital_key = read_secret(&args.signer.key)?;
        let fingerprint = fingerprint(&args.fingerprint)?;
        let approval =
            device::approve(args.signer.hospital, args.device, fingerprint, &hospital_key, self.now)?;
        write(&args.out, &statement::to_armour(&approval))?;
        self.say(Message::DeviceApproved, &[("path", args.out.display().to_string())])
    }

    fn rejoin(self, args: RejoinArgs) -> anyhow::Result<()> {
        let hospital_key = read_secret(&args.signer.key)?;
        anyhow::ensure!(args.epoch > 1, "--epoch: a device begins in epoch 1, a rejoin leads to a later one");
        let approval = RejoinApproval {
            hospital: args.signer.hospital,
            device: args.device,
            epoch: Epoch(args.epoch),
            fingerprint: fingerprint(&args.fingerprint)?,
            approved_at: self.now,
        };
        let approval = device::approve_rejoin(&approval, &hospital_key)?;
        write(&args.out, &statement::to_armour(&approval))?;
        let values = [("epoch", args.epoch.to_string()), ("path", args.out.display().to_string())];
        self.say(Message::RejoinApproved, &values)
    }

    fn agree(self, args: &AgreeArgs) -> anyhow::Result<()> {
        let hospital_key = read_secret(&args.signer.key)?;
        let hospital = &args.signer.hospital;
        if let Some(path) = &args.record {
            let (record, agreement) =
                agreement::agree_record(hospital, &read(path)?, &hospital_key, self.now)
                    .with_context(|| path.display().to_string())?;
            write(&args.out, &statement::to_armour(&agreement))?;
            let record = serde_json::to_string_pretty(&record)?;
            let values = [("record", record), ("path", args.out.display().to_string())];
            return self.say(Message::RecordAgreed, &values);
        }
        let path = args.contract.as_ref().context("--contract or --record says to what")?;
        let (contract, agreement) = agreement::agree(hospital, &read(path)?, &hospital_key, self.now)
            .with_context(|| path.display().to_string())?;
        write(&args.out, &statement::to_armour(&agreement))?;
        let values = [
            ("contract", contract.id.to_string()),
            ("version", contract.version.to_string()),
            ("service", contract.service_name),
            ("from", contract.effective_from.to_string()),
            ("path", args.out.display().to_string()),
        ];
        self.say(Message::Agreed, &values)
    }

    fn verify(self, args: &VerifyArgs) -> anyhow::Result<()> {
        let public = read_public(&args.public)?;
        let receipts = args.receipt.iter().map(|path| read_statement(path));
        let receipts = receipts.collect::<anyhow::Result<Vec<_>>>()?;
        let mut held = args.held.as_deref().map(Held::load).transpose()?.unwrap_or_default();
        let verdict = verify::verify(&args.evidence, public, &held, &receipts, self.language)?;
        write!(self.out, "{}", verify::print(&verdict, &held, self.language))?;
        if !verdict.faults.is_empty() {
            bail!("the evidence does not hold");
        }
        if let Some(path) = &args.held {
            held.keep(&verdict);
            held.save(path)?;
        }
        Ok(())
    }

    fn consent(self, command: ConsentCommand) -> anyhow::Result<()> {
        match command {
            ConsentCommand::New { hospital, out } => {
                write(&out, &consent::template(&hospital, self.now, self.language))?;
                self.say(Message::ConsentWritten, &[("path", out.display().to_string())])
            }
            ConsentCommand::Sign { key, manifest: path, out } => {
                let hospital_key = read_secret(&key)?;
                let manifest = consent::parse(&read(&path)?)
                    .map_err(|problems| ConfigError::Invalid { path, problems })?;
                self.sign(&manifest, &hospital_key, &out, Message::ConsentSigned)
            }
            ConsentCommand::Show { public, statement } => {
                let manifest = read_consent(&statement, read_public(&public)?)?;
                write!(self.out, "{}", consent::show(&manifest, self.language))?;
                Ok(())
            }
            ConsentCommand::Withdraw { key, silent, public, statement, out } => {
                let hospital_key = read_secret(&key)?;
                let signer = public.map_or_else(|| Ok(hospital_key.public()), |path| read_public(&path))?;
                let manifest = read_consent(&statement, signer)?;
                let manifest = manifest.withdrawn(manifest.heartbeat && !silent);
                self.sign(&manifest, &hospital_key, &out, Message::ConsentWithdrawn)
            }
        }
    }

    /// Signs a consent and shows what was signed.
    fn sign(
        self,
        manifest: &ConsentManifest,
        key: &SecretKey,
        path: &Path,
        message: Message,
    ) -> anyhow::Result<()> {
        write(path, &statement::to_armour(&consent::sign(manifest, key)?))?;
        write!(self.out, "{}", consent::show(manifest, self.language))?;
        self.say(message, &[("path", path.display().to_string())])
    }

    fn show(self, path: &Path, public: Option<&Path>) -> anyhow::Result<()> {
        let mut key = public.map(read_public).transpose()?;
        let at = || path.display().to_string();
        let text = read(path)?;
        if let Ok(slot) = SlotFile::from_armour(&text) {
            write!(self.out, "{}", show::slot(&slot, self.language).with_context(at)?)?;
            return Ok(());
        }
        let statements = statement::all_from_armour(&text).with_context(at)?;
        for (i, envelope) in statements.iter().enumerate() {
            let shown = show::statement(envelope, key.as_ref(), self.language).with_context(at)?;
            write!(self.out, "{}{shown}", if i > 0 { "\n" } else { "" })?;
            // What follows a succession is signed by the successor.
            let succession = key.and_then(|key| envelope.open::<KeySuccession>(&key).ok());
            key = succession.and_then(|s| s.successor().ok()).or(key);
        }
        Ok(())
    }

    fn say(self, message: Message, values: &[(&str, String)]) -> anyhow::Result<()> {
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        writeln!(self.out, "{}", message.fill(self.language, &values))?;
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    Ok(file::write(path, text.as_bytes(), Access::Everyone)?)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_secret(path: &Path) -> anyhow::Result<SecretKey> {
    SecretKey::from_pem(&read(path)?).with_context(|| path.display().to_string())
}

fn read_public(path: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::from_pem(&read(path)?).with_context(|| path.display().to_string())
}

fn read_statement(path: &Path) -> anyhow::Result<Envelope> {
    statement::from_armour(&read(path)?).with_context(|| path.display().to_string())
}

fn read_statements(path: &Path) -> anyhow::Result<Vec<Envelope>> {
    statement::all_from_armour(&read(path)?).with_context(|| path.display().to_string())
}

/// A consent in a file, or as a device has it in its state folder.
fn read_consent(path: &Path, key: PublicKey) -> anyhow::Result<ConsentManifest> {
    let statements = if path.is_dir() {
        let successor = path.join(SUCCESSOR_FILE);
        let mut all = if successor.exists() { read_statements(&successor)? } else { Vec::new() };
        all.extend(read_statements(&path.join(CONSENT_FILE))?);
        all
    } else {
        read_statements(path)?
    };
    consent::find(&statements, key).with_context(|| path.display().to_string())
}

fn fingerprint(text: &str) -> anyhow::Result<Hash> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.parse().context("--fingerprint")
}
