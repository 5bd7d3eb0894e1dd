//! `tenken-hospital verify`: a month's evidence, checked entry by entry and its figures made anew.
//!
//! Holds: it needs the file and the hospital's own public key, no network and no database; a file of
//! any length is read block by block. What is held from the months before (the stream's root at
//! their end, and the vendor's trust document) stands in a file that only a good check changes.

use clap::Args;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};
use tenken_collector_core::{
    evidence::{self, BLOCK_BYTES_MAX, Checked, FaultKind, Verdict, Verifier, Witness},
    sla::{month::Month, report::ENGINE, seal::MonthSealed},
};
use tenken_common::{
    ack::Ack,
    envelope::Envelope,
    file::{self, Access, WriteError},
    id::{ContractId, Hash},
    key::{PublicKey, grouped},
    message::{EvidenceText, Language},
    time::jst_minute,
};

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The evidence, as `tenken-collector sla evidence` wrote it
    pub evidence: PathBuf,
    /// The hospital's public key
    #[arg(long)]
    pub public: PathBuf,
    /// What was found in the months before; made and kept up to date by this command
    #[arg(long, value_name = "FILE")]
    pub held: Option<PathBuf>,
    /// A device's receipt from before the evidence was made, as `tenken-agent receipt` wrote it
    #[arg(long, value_name = "FILE")]
    pub receipt: Vec<PathBuf>,
}

/// Evidence that could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no evidence of `tenken-collector sla evidence`", .0.display())]
    NoEvidence(PathBuf),
    #[error("{} has a format that this program does not know; use a newer program", .0.display())]
    Version(PathBuf),
    #[error("{}: {what}", path.display())]
    Manifest { path: PathBuf, what: String },
    #[error("receipt {0} is not signed by the vendor of this evidence")]
    Receipt(usize),
    #[error("{} is not what this command wrote; without it the months before are not compared", path.display())]
    Held { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What is known from the months before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The vendor's trust document: version and SHA-256.
    trust: Option<(u64, Hash)>,
    months: Vec<HeldMonth>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldMonth {
    contract: ContractId,
    month: Month,
    revision: u32,
    /// The end of that evidence in the vendor's stream.
    position: u64,
    root: Hash,
}

impl Held {
    /// What stands in the file; nothing where there is none yet.
    pub fn load(path: &Path) -> Result<Self, VerifyError> {
        match fs::read(path) {
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|source| VerifyError::Held { path: path.to_owned(), source }),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(VerifyError::Read { path: path.to_owned(), source }),
        }
    }

    pub fn save(&self, path: &Path) -> Result<(), VerifyError> {
        let json = serde_json::to_string_pretty(self).expect("numbers and texts are JSON");
        Ok(file::replace(path, format!("{json}\n").as_bytes(), Access::Everyone)?)
    }

    /// Takes in what a good check found.
    pub fn keep(&mut self, verdict: &Verdict) {
        let manifest = &verdict.manifest;
        let (contract, month, revision) = (manifest.contract.clone(), manifest.month, manifest.revision);
        let position = manifest.end.position;
        self.months
            .retain(|held| (&held.contract, held.month, held.revision) != (&contract, month, revision));
        self.months.push(HeldMonth { contract, month, revision, position, root: verdict.root });
        self.trust = verdict.trust;
    }
}

/// Checks the evidence in a file.
pub fn verify(
    path: &Path,
    hospital: PublicKey,
    held: &Held,
    receipts: &[Envelope],
    language: Language,
) -> Result<Verdict, VerifyError> {
    let unread = |source| VerifyError::Read { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(unread)?);
    let mut begin = vec![0; evidence::HEAD.len()];
    match file.read_exact(&mut begin) {
        Ok(()) if begin == evidence::HEAD => {}
        Ok(()) if begin.starts_with(evidence::NAME) => return Err(VerifyError::Version(path.to_owned())),
        Ok(()) | Err(_) => return Err(VerifyError::NoEvidence(path.to_owned())),
    }
    let unsound =
        |kind: FaultKind| VerifyError::Manifest { path: path.to_owned(), what: kind.text(language) };
    let manifest = block(&mut file).map_err(unread)?.and_then(Result::ok);
    let manifest = manifest.ok_or_else(|| unsound(FaultKind::Manifest))?;
    let mut verifier = Verifier::begin(&manifest, hospital, held.trust).map_err(unsound)?;
    let contract = verifier.manifest().contract.clone();
    for month in held.months.iter().filter(|month| month.contract == contract) {
        let values = [("month", month.month.to_string()), ("revision", month.revision.to_string())];
        let whose = EvidenceText::Held.fill_all(language, &values);
        verifier.compare(Witness { position: month.position, root: month.root, whose });
    }
    for (receipt, number) in receipts.iter().zip(1..) {
        let ack: Ack = verifier.receipt(receipt).ok_or(VerifyError::Receipt(number))?;
        let values = [("device", ack.device.to_string()), ("at", jst_minute(ack.server))];
        let whose = EvidenceText::Receipt.fill_all(language, &values);
        verifier.compare(Witness { position: ack.position, root: ack.log_root, whose });
    }
    loop {
        match block(&mut file).map_err(unread)? {
            Some(Ok(block)) => verifier.take(&block),
            Some(Err(CutOff)) => {
                verifier.take(&[]);
                break;
            }
            None => break,
        }
    }
    Ok(verifier.finish())
}

/// A block that ends before its length says, or has an impossible length.
struct CutOff;

/// The next block; `None` at the end of the file.
fn block(file: &mut impl Read) -> io::Result<Option<Result<Vec<u8>, CutOff>>> {
    let mut length = [0; 4];
    match file.read(&mut length)? {
        0 => return Ok(None),
        4 => {}
        read => {
            let Some(rest) = length.get_mut(read..) else { return Ok(Some(Err(CutOff))) };
            if let Err(e) = file.read_exact(rest) {
                return if e.kind() == ErrorKind::UnexpectedEof { Ok(Some(Err(CutOff))) } else { Err(e) };
            }
        }
    }
    let length = u64::from(u32::from_be_bytes(length));
    if length > BLOCK_BYTES_MAX as u64 {
        return Ok(Some(Err(CutOff)));
    }
    let mut block = Vec::new();
    let read = file.take(length).read_to_end(&mut block)?;
    Ok(Some(if read as u64 == length { Ok(block) } else { Err(CutOff) }))
}

/// Problems that are written out.
const SHOWN: usize = 50;

/// What was found, for a person.
pub fn print(verdict: &Verdict, held: &Held, language: Language) -> String {
    let mut lines = Vec::new();
    let mut say = |text: EvidenceText, values: &[(&str, String)]| lines.push(text.fill_all(language, values));
    let manifest = &verdict.manifest;
    say(
        EvidenceText::Head,
        &[
            ("contract", manifest.contract.to_string()),
            ("month", manifest.month.to_string()),
            ("revision", manifest.revision.to_string()),
        ],
    );
    say(
        EvidenceText::Counts,
        &[
            ("items", manifest.items.to_string()),
            ("messages", verdict.messages.to_string()),
            ("devices", verdict.devices.to_string()),
            ("statements", verdict.statements.to_string()),
        ],
    );
    for (witness, checked) in &verdict.witnesses {
        let text = match checked {
            Checked::Same => EvidenceText::WitnessSame,
            Checked::Other => EvidenceText::WitnessOther,
            Checked::Earlier => EvidenceText::WitnessEarlier,
            Checked::Later => EvidenceText::WitnessLater,
        };
        say(text, &[("whose", witness.whose.clone()), ("position", witness.position.to_string())]);
    }
    for figure in figures(verdict, language) {
        let same = if figure.sealed == figure.found { EvidenceText::Agrees } else { EvidenceText::Differs };
        let verdict = same.text(language).to_owned();
        let values =
            [("name", figure.name), ("sealed", figure.sealed), ("found", figure.found), ("verdict", verdict)];
        say(EvidenceText::Figure, &values);
    }
    if let Some(sealed) = verdict.sealed.as_ref().filter(|sealed| sealed.engine != ENGINE) {
        say(EvidenceText::OtherEngine, &[("sealed", sealed.engine.clone()), ("own", ENGINE.to_owned())]);
    }
    if !verdict.witnesses.iter().any(|(_, checked)| matches!(checked, Checked::Same | Checked::Other)) {
        say(EvidenceText::NoWitness, &[]);
    }
    if held.trust.is_none() {
        say(EvidenceText::FirstKey, &[("fingerprint", grouped(&verdict.vendor))]);
    }
    for (position, taken) in &verdict.restored {
        say(EvidenceText::Restored, &[("position", position.to_string()), ("taken", jst_minute(*taken))]);
    }
    for (device, from, to) in &verdict.lost {
        let values = [("device", device.to_string()), ("from", from.to_string()), ("to", to.to_string())];
        say(EvidenceText::Lost, &values);
    }
    for device in &verdict.unapproved {
        say(EvidenceText::Unapproved, &[("device", device.to_string())]);
    }
    if verdict.unjudged > 0 {
        say(EvidenceText::Unjudged, &[("count", verdict.unjudged.to_string())]);
    }
    for fault in verdict.faults.iter().take(SHOWN) {
        lines.push(format!("! {}", fault.text(language)));
    }
    let mut say = |text: EvidenceText, values: &[(&str, String)]| lines.push(text.fill_all(language, values));
    match verdict.faults.len() {
        0 => say(EvidenceText::Good, &[]),
        count => say(EvidenceText::Bad, &[("count", count.to_string())]),
    }
    let mut out = String::new();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    out
}

/// A figure as it was reported and as it comes out.
struct Figure {
    name: String,
    sealed: String,
    found: String,
}

/// The indicators of both reports.
fn figures(verdict: &Verdict, language: Language) -> Vec<Figure> {
    let of = |sealed: &Option<MonthSealed>| {
        sealed.as_ref().map(|sealed| sealed.indicators(language)).unwrap_or_default()
    };
    let found: BTreeMap<String, String> = of(&verdict.found).into_iter().collect();
    let figure = |(name, sealed): (String, String)| {
        let found = found.get(&name).cloned().unwrap_or_else(|| "–".to_owned());
        Figure { name, sealed, found }
    };
    of(&verdict.sealed).into_iter().map(figure).collect()
}
