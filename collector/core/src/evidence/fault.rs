//! What can be wrong with evidence, in words for the hospital.

use crate::sla::report::change::Change;
use tenken_common::{
    id::{DeviceId, Hash, Name, Seq},
    message::{EvidenceText, Language},
    time::{Timestamp, jst_minute},
};

/// Something that is not as it has to be, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The entry's number in the file, and its position in the vendor's stream as it stands there;
    /// `None` where it is the file as a whole.
    pub place: Option<(u64, u64)>,
    pub kind: FaultKind,
}

/// See [`Fault`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The manifest cannot be read, or is not signed by the vendor's key.
    Manifest,
    /// The vendor's key is not the one that was seen before, and no signed succession leads to it.
    VendorKey,
    /// Bytes that are no entry.
    Unreadable,
    /// It does not come after the one before it.
    Order,
    /// Its content is not what its head says.
    Altered,
    /// Its content is withheld, although it is the hospital's own or the collector's.
    Withheld,
    /// Up to here the stream is not the one that a witness saw.
    Witness { whose: String, position: u64 },
    /// It begins too late to show what counts in the month.
    Begin { needed: Timestamp },
    /// The file ends elsewhere than its manifest says.
    End,
    /// A device's message is not signed with its key.
    Signature { device: DeviceId },
    /// A device's message does not follow the one before it: one was dropped or put in.
    Chain { device: DeviceId, seq: Seq },
    /// A device whose key the hospital approved otherwise.
    DeviceKey { device: DeviceId, fingerprint: Hash },
    /// A statement that the hospital did not sign.
    Statement,
    /// The vendor's stream names another key as the hospital's.
    HospitalKey,
    /// An incident's times are not those of the entries.
    Incident { incident: String },
    /// An incident that a device's own check made is not in the report.
    LeftOut { incident: String, device: Name, subject: Name, at: Timestamp },
    /// The month is not sealed in this file.
    NoSeal,
    /// It was sealed from another stream.
    SealedElsewhere,
    /// The figures come out otherwise.
    Figures { changes: Vec<Change> },
}

impl Fault {
    pub fn text(&self, language: Language) -> String {
        let what = self.kind.text(language);
        match self.place {
            Some((item, position)) => {
                let values = [("item", item.to_string()), ("position", position.to_string()), ("what", what)];
                EvidenceText::FaultAt.fill_all(language, &values)
            }
            None => what,
        }
    }
}

impl FaultKind {
    pub fn text(&self, language: Language) -> String {
        let plain = |message: EvidenceText| message.text(language).to_owned();
        match self {
            Self::Manifest => plain(EvidenceText::Manifest),
            Self::VendorKey => plain(EvidenceText::VendorKey),
            Self::Unreadable => plain(EvidenceText::Unreadable),
            Self::Order => plain(EvidenceText::Order),
            Self::Altered => plain(EvidenceText::Altered),
            Self::Withheld => plain(EvidenceText::Withheld),
            Self::Witness { whose, position } => {
                let values = [("whose", whose.clone()), ("position", position.to_string())];
                EvidenceText::Witness.fill_all(language, &values)
            }
            Self::Begin { needed } => {
                EvidenceText::Begin.fill_all(language, &[("needed", jst_minute(*needed))])
            }
            Self::End => plain(EvidenceText::End),
            Self::Signature { device } => {
                EvidenceText::Signature.fill_all(language, &[("device", device.to_string())])
            }
            Self::Chain { device, seq } => {
                let values = [("device", device.to_string()), ("seq", seq.to_string())];
                EvidenceText::Chain.fill_all(language, &values)
            }
            Self::DeviceKey { device, fingerprint } => {
                let fingerprint = tenken_common::key::grouped(fingerprint);
                let values = [("device", device.to_string()), ("fingerprint", fingerprint)];
                EvidenceText::DeviceKey.fill_all(language, &values)
            }
            Self::Statement => plain(EvidenceText::Statement),
            Self::HospitalKey => plain(EvidenceText::HospitalKey),
            Self::Incident { incident } => {
                EvidenceText::Incident.fill_all(language, &[("incident", incident.clone())])
            }
            Self::LeftOut { incident, device, subject, at } => {
                let values = [
                    ("incident", incident.clone()),
                    ("device", device.to_string()),
                    ("subject", subject.to_string()),
                    ("at", jst_minute(*at)),
                ];
                EvidenceText::LeftOut.fill_all(language, &values)
            }
            Self::NoSeal => plain(EvidenceText::NoSeal),
            Self::SealedElsewhere => plain(EvidenceText::SealedElsewhere),
            Self::Figures { changes } => {
                let mut text = plain(EvidenceText::Figures);
                for change in changes {
                    let none = || "–".to_owned();
                    let values = [
                        ("place", change.place.clone()),
                        ("sealed", change.before.clone().unwrap_or_else(none)),
                        ("found", change.after.clone().unwrap_or_else(none)),
                    ];
                    text.push_str("\n    ");
                    text.push_str(&EvidenceText::Change.fill_all(language, &values));
                }
                text
            }
        }
    }
}
