//! The commands of `tenken-hospital`.
//!
//! Holds: a command that fails changes no file; a secret goes into a file that only its owner can
//! read, never onto the screen.

use crate::{
    consent,
    device::{self, SlotOrder},
};
use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use std::{
    io::Write,
    path::{Path, PathBuf},
};
use tenken_common::{
    config::HumanDuration,
    consent::ConsentManifest,
    file::{self, Access},
    id::{DeviceId, Hash, HospitalId, Name},
    key::{self, PublicKey, SecretKey},
    message::{Language, Message},
    statement,
    time::{Clock, SystemClock, jst_minute},
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
    /// Make an enrollment slot: one half for the device, one for the vendor
    Slot(SlotArgs),
    /// Approve a device whose fingerprint you compared on both sides
    Approve(ApproveArgs),
    /// Write, sign and show the hospital's consent
    #[command(subcommand)]
    Consent(ConsentCommand),
}

#[derive(Debug, clap::Args)]
struct SlotArgs {
    /// The hospital's secret key
    #[arg(long)]
    key: PathBuf,
    /// The hospital's id, as the contract names it
    #[arg(long)]
    hospital: HospitalId,
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

#[derive(Debug, clap::Args)]
struct ApproveArgs {
    /// The hospital's secret key
    #[arg(long)]
    key: PathBuf,
    /// The hospital's id, as the contract names it
    #[arg(long)]
    hospital: HospitalId,
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
        /// The signed consent
        statement: PathBuf,
    },
}

/// Runs one command; what it says goes to `out`.
pub fn run(cli: Cli, out: &mut dyn Write) -> anyhow::Result<()> {
    let now = SystemClock::new().wall();
    let language = cli.language;
    match cli.command {
        Command::Keygen { folder } => keygen(&folder, language, out),
        Command::Slot(args) => {
            let hospital_key = read_secret(&args.key)?;
            let consent = read_statement(&args.consent)?;
            let order = SlotOrder {
                hospital: args.hospital,
                label: args.label,
                group: args.group,
                collector: args.collector,
                root: args.root,
                consent,
                life: args.life.0,
                replaces: args.replaces,
            };
            let slot = device::make_slot(order, &hospital_key, now)?;
            file::write(&args.for_device, slot.for_device.to_armour().as_bytes(), Access::Private)?;
            let ticket = statement::to_armour(&slot.for_collector);
            file::write(&args.for_collector, ticket.as_bytes(), Access::Everyone)?;
            let values = [
                ("device", args.for_device.display().to_string()),
                ("collector", args.for_collector.display().to_string()),
                ("expires", format!("{} JST", jst_minute(slot.for_device.expires))),
            ];
            say(out, Message::SlotMade, language, &values)
        }
        Command::Approve(args) => {
            let hospital_key = read_secret(&args.key)?;
            let digits: String = args.fingerprint.chars().filter(|c| !c.is_whitespace()).collect();
            let fingerprint: Hash = digits.parse().context("--fingerprint")?;
            let approval = device::approve(args.hospital, args.device, fingerprint, &hospital_key, now)?;
            file::write(&args.out, statement::to_armour(&approval).as_bytes(), Access::Everyone)?;
            say(out, Message::DeviceApproved, language, &[("path", args.out.display().to_string())])
        }
        Command::Consent(command) => run_consent(command, language, out),
    }
}

fn keygen(folder: &Path, language: Language, out: &mut dyn Write) -> anyhow::Result<()> {
    let (secret_path, public_path) = (folder.join("hospital.key"), folder.join("hospital.pub"));
    if secret_path.exists() {
        bail!("{} exists already; a hospital's key is never overwritten", secret_path.display());
    }
    let secret = SecretKey::generate()?;
    file::write(&secret_path, secret.to_pem().as_bytes(), Access::Private)?;
    file::write(&public_path, secret.public().to_pem().as_bytes(), Access::Everyone)?;
    let values = [
        ("secret", secret_path.display().to_string()),
        ("public", public_path.display().to_string()),
        ("key", tenken_common::id::hex(&secret.public().to_bytes())),
        ("fingerprint", key::grouped(&secret.public().fingerprint())),
    ];
    say(out, Message::KeyMade, language, &values)
}

fn run_consent(command: ConsentCommand, language: Language, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        ConsentCommand::New { hospital, out: path } => {
            let text = consent::template(&hospital, SystemClock::new().wall(), language);
            file::write(&path, text.as_bytes(), Access::Everyone)?;
            say(out, Message::ConsentWritten, language, &[("path", path.display().to_string())])
        }
        ConsentCommand::Sign { key, manifest, out: path } => {
            let hospital_key = read_secret(&key)?;
            let text = read(&manifest)?;
            let manifest = consent::parse(&text).map_err(|problems| {
                let path = manifest.clone();
                tenken_common::config::ConfigError::Invalid { path, problems }
            })?;
            let envelope = consent::sign(&manifest, &hospital_key)?;
            file::write(&path, statement::to_armour(&envelope).as_bytes(), Access::Everyone)?;
            write!(out, "{}", consent::show(&manifest, language))?;
            say(out, Message::ConsentSigned, language, &[("path", path.display().to_string())])
        }
        ConsentCommand::Show { public, statement } => {
            let public = PublicKey::from_pem(&read(&public)?).context(public.display().to_string())?;
            let manifest = read_statement(&statement)?
                .open::<ConsentManifest>(&public)
                .with_context(|| statement.display().to_string())?;
            write!(out, "{}", consent::show(&manifest, language))?;
            Ok(())
        }
    }
}

fn say(
    out: &mut dyn Write,
    message: Message,
    language: Language,
    values: &[(&str, String)],
) -> anyhow::Result<()> {
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    writeln!(out, "{}", message.fill(language, &values))?;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_secret(path: &Path) -> anyhow::Result<SecretKey> {
    SecretKey::from_pem(&read(path)?).with_context(|| path.display().to_string())
}

fn read_statement(path: &Path) -> anyhow::Result<tenken_common::envelope::Envelope> {
    statement::from_armour(&read(path)?).with_context(|| path.display().to_string())
}
