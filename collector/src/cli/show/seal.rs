//! What sealing a month and writing its evidence did, as a person reads it.

use crate::seal::Written;
use std::path::Path;
use tenken_collector_core::sla::seal::MonthSealed;
use tenken_common::message::{EvidenceText, Language};

/// A month that was sealed just now, and what differs from the revision before.
pub fn sealed(sealed: &MonthSealed, before: Option<&MonthSealed>, language: Language) -> String {
    let values = [
        ("contract", sealed.contract.to_string()),
        ("month", sealed.month.to_string()),
        ("revision", sealed.revision.to_string()),
        ("position", sealed.computed.position.to_string()),
    ];
    let mut lines = vec![EvidenceText::Sealed.fill_all(language, &values)];
    if let Some(before) = before {
        let changes = before.changes_to(sealed, language);
        let values = [("before", before.revision.to_string()), ("count", changes.len().to_string())];
        lines.push(EvidenceText::SealedAgain.fill_all(language, &values));
        for change in changes {
            let text = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
            let values =
                [("place", change.place), ("before", text(change.before)), ("after", text(change.after))];
            lines.push(EvidenceText::SealedChange.fill_all(language, &values));
        }
    }
    lines.join("\n")
}

pub fn written(sealed: &MonthSealed, written: &Written, path: &Path, language: Language) -> String {
    let values = [
        ("month", sealed.month.to_string()),
        ("revision", written.revision.to_string()),
        ("path", path.display().to_string()),
        ("items", written.items.to_string()),
        ("bytes", written.bytes.to_string()),
    ];
    EvidenceText::EvidenceWritten.fill_all(language, &values)
}
