//! Contract versions as a person reads them: what one says, what differs, and how they followed
//! each other.

use serde::{Serialize, Serializer};
use std::{fmt::Write as _, path::Path};
use tenken_collector_core::sla::{
    calendar::Day,
    contract::Contract,
    history::{History, Version, VersionState},
    report::contract::{Change, Field, PARTS, Term, fields},
};
use tenken_common::{
    column,
    id::ContractId,
    message::{ContractText, Language, Message, ReportText},
    time::{Timestamp, jst_minute},
};

/// A version, and where it stands.
#[derive(Debug, Serialize)]
pub struct Whose {
    #[serde(flatten)]
    line: VersionLine,
    #[serde(rename = "fields", serialize_with = "as_written")]
    pub contract: Contract,
    /// The file that it was read from, where it is not on file here.
    #[serde(skip)]
    path: Option<String>,
}

/// A version's place among the others.
#[derive(Debug, Serialize)]
pub struct VersionLine {
    contract: ContractId,
    version: u32,
    state: VersionState,
    in_force_today: bool,
    effective_from: String,
    /// Its last day; `None` until a version that both approved follows.
    effective_to: Option<String>,
    term_ends: Option<String>,
    vendor_approved: Option<Timestamp>,
    hospital_agreed: Option<Timestamp>,
}

/// The versions of one contract.
#[derive(Debug, Serialize)]
pub struct HistoryRows {
    contract: Option<ContractId>,
    service_name: String,
    versions: Vec<VersionLine>,
}

fn as_written<S: Serializer>(contract: &Contract, s: S) -> Result<S::Ok, S::Error> {
    // What is written is the same in both languages.
    fields(contract, Language::En).serialize(s)
}

impl Whose {
    pub fn of(history: &History, version: &Version, now: Timestamp) -> Self {
        let line = VersionLine::of(history, version, now);
        Self { line, contract: version.contract.clone(), path: None }
    }

    pub fn of_file(path: &Path, contract: Contract) -> Self {
        let draft = Version { contract, vendor: None, hospital: None };
        let line = VersionLine::of(&History::default(), &draft, Timestamp::MIN);
        Self { line, contract: draft.contract, path: Some(path.display().to_string()) }
    }

    fn title(&self, language: Language) -> String {
        let version = self.line.version.to_string();
        let mut values = vec![("contract", self.line.contract.as_str()), ("version", version.as_str())];
        match &self.path {
            None => ContractText::Title.fill(language, &values),
            Some(path) => {
                values.push(("path", path));
                ContractText::TitleFile.fill(language, &values)
            }
        }
    }
}

impl VersionLine {
    fn of(history: &History, version: &Version, now: Timestamp) -> Self {
        let contract = &version.contract;
        let state = history.state(version, now);
        Self {
            contract: contract.id.clone(),
            version: contract.version,
            state,
            in_force_today: state.is_in_force(),
            effective_from: contract.effective_from.to_string(),
            effective_to: history.last_day(version, now).as_ref().map(Day::to_string),
            term_ends: contract.term_ends.as_ref().map(Day::to_string),
            vendor_approved: version.vendor,
            hospital_agreed: version.hospital,
        }
    }

    fn state(&self, language: Language) -> String {
        let ends = self.term_ends.as_deref().unwrap_or_default();
        self.state.message().fill(language, &[("from", &self.effective_from), ("ends", ends)])
    }

    fn period(&self, language: Language) -> String {
        let mut values = vec![("from", self.effective_from.as_str())];
        match &self.effective_to {
            None => ContractText::PeriodOpen.fill(language, &values),
            Some(to) => {
                values.push(("to", to));
                ContractText::Period.fill(language, &values)
            }
        }
    }

    fn approvals(&self, language: Language) -> String {
        let at = |at: Option<Timestamp>| match at {
            Some(at) => format!("{} JST", jst_minute(at)),
            None => ContractText::NotYet.text(language).to_owned(),
        };
        let (vendor, hospital) = (at(self.vendor_approved), at(self.hospital_agreed));
        ContractText::Approvals.fill(language, &[("vendor", &vendor), ("hospital", &hospital)])
    }
}

impl HistoryRows {
    pub fn of(history: &History, now: Timestamp) -> Self {
        let newest = history.versions.last().map(|v| &v.contract);
        Self {
            contract: newest.map(|c| c.id.clone()),
            service_name: newest.map(|c| c.service_name.clone()).unwrap_or_default(),
            versions: history.versions.iter().map(|v| VersionLine::of(history, v, now)).collect(),
        }
    }
}

/// A version, part by part.
pub fn version(whose: &Whose, language: Language) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", whose.title(language));
    let state = ContractText::State.fill(language, &[("standing", &whose.line.state(language))]);
    let _ = writeln!(out, "{state}\n{}", whose.line.period(language));
    if whose.path.is_none() {
        let _ = writeln!(out, "{}", whose.line.approvals(language));
    }
    let fields = fields(&whose.contract, language);
    let width = fields.iter().map(|field| column::width(&field.name)).max().unwrap_or(0);
    for part in PARTS {
        let _ = writeln!(out, "\n{}", part.text(language));
        let here: Vec<&Field> = fields.iter().filter(|field| field.part == part).collect();
        if here.is_empty() {
            let _ = writeln!(out, "  {}", ReportText::NotInContract.text(language));
        }
        for field in here {
            let _ =
                writeln!(out, "  {}  {}", column::pad(&field.name, width), values(&field.values, language));
        }
    }
    out
}

fn values(terms: &[Term], language: Language) -> String {
    if terms.is_empty() {
        return ReportText::None.text(language).to_owned();
    }
    let read: Vec<&str> = terms.iter().map(|term| term.read.as_str()).collect();
    read.join(ReportText::Separator.text(language))
}

/// Field by field, what is gone and what is new.
pub fn changes((before, after): (&Whose, &Whose), changes: &[Change], language: Language) -> String {
    let mut out = String::new();
    for (mark, whose) in [("-", before), ("+", after)] {
        let _ = writeln!(out, "{mark} {}", whose.title(language));
        let _ = writeln!(out, "  {}", whose.line.state(language));
    }
    if changes.is_empty() {
        let _ = writeln!(out, "{}", ContractText::Same.text(language));
    }
    let mut part = None;
    for change in changes {
        if part.replace(change.part) != Some(change.part) {
            let _ = writeln!(out, "\n{}", change.part.text(language));
        }
        let _ = writeln!(out, "  {}  ({})", change.name, change.key);
        for (mark, terms) in [("-", &change.removed), ("+", &change.added)] {
            for term in terms {
                let _ = writeln!(out, "    {mark} {}", term.read);
            }
        }
    }
    out
}

/// Each contract with its versions, oldest first.
pub fn histories(rows: &[HistoryRows], language: Language) -> String {
    if rows.is_empty() {
        return Message::NoContracts.text(language).to_owned();
    }
    let mut out = String::new();
    for row in rows {
        let id = row.contract.as_ref().map_or("", |id| id.as_str());
        let _ = writeln!(out, "{id} {}", row.service_name);
        for line in &row.versions {
            let number = ReportText::Version.fill(language, &[("version", &line.version.to_string())]);
            let mark = if line.in_force_today { "*" } else { " " };
            let _ = writeln!(out, "{mark} {number}  {}", line.state(language));
            let _ = writeln!(out, "    {}", line.period(language));
            let _ = writeln!(out, "    {}", line.approvals(language));
        }
        if !row.versions.iter().any(|line| line.in_force_today) {
            let _ = writeln!(out, "  {}", ContractText::NoneToday.text(language));
        }
    }
    out
}
