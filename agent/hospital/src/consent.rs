//! The consent as the administrator writes it (a TOML file) and as it is signed.
//!
//! Holds: what is shown is what is signed; every category is listed with its purpose.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenken_common::{
    category::Category,
    codec::CodecError,
    config::{self, Check, HumanDuration, Problems},
    consent::{ConsentManifest, Scope},
    envelope::{Envelope, EnvelopeError, Payload},
    id::{DeviceId, HospitalId, Name},
    key::{KeyError, PublicKey, SecretKey},
    message::{Language, Message},
    statement::KeySuccession,
    time::{Timestamp, jst_date, jst_minute},
};

/// No consent that the key vouches for.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("not signed by this hospital's key")]
    Signature(#[source] EnvelopeError),
    #[error("the succession names no usable key")]
    Key(#[source] KeyError),
    #[error("there is no consent in it")]
    None,
}

/// The file. Its keys are the manifest's, in words.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ConsentFile {
    hospital: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    categories: Vec<String>,
    interval_floor: HumanDuration,
    valid_from: String,
    valid_to: String,
    heartbeat: bool,
}

impl Default for ConsentFile {
    fn default() -> Self {
        Self {
            hospital: String::new(),
            version: 0,
            device: None,
            group: None,
            categories: Vec::new(),
            interval_floor: HumanDuration(Duration::from_secs(60)),
            valid_from: String::new(),
            valid_to: String::new(),
            heartbeat: false,
        }
    }
}

impl Check for ConsentFile {
    fn check(&self, problems: &mut Problems) {
        let mut note = |key: &str, result: Result<(), String>| {
            if let Err(text) = result {
                problems.push(key, text);
            }
        };
        note("hospital", check::<HospitalId>(&self.hospital));
        note("version", if self.version > 0 { Ok(()) } else { Err("starts at 1".into()) });
        if let Some(device) = &self.device {
            note("device", check::<DeviceId>(device));
        }
        if let Some(group) = &self.group {
            note("group", check::<Name>(group));
        }
        if self.device.is_some() && self.group.is_some() {
            note("group", Err("name either a device or a group, not both".into()));
        }
        if self.categories.is_empty() {
            let text = "is empty: nothing would be permitted; to take a consent back, use `tenken-hospital consent withdraw`";
            note("categories", Err(text.into()));
        }
        for category in &self.categories {
            note("categories", check::<Category>(category));
        }
        note("valid_from", check::<Timestamp>(&self.valid_from));
        note("valid_to", check::<Timestamp>(&self.valid_to));
        if let (Ok(from), Ok(to)) = (self.valid_from.parse::<Timestamp>(), self.valid_to.parse::<Timestamp>())
            && to <= from
        {
            note("valid_to", Err("must be later than valid_from".into()));
        }
    }
}

fn check<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|e| e.to_string())
}

/// Reads a manifest from the administrator's file, or says all that is wrong with it.
pub fn parse(text: &str) -> Result<ConsentManifest, Problems> {
    let file: ConsentFile = config::parse(text)?;
    let invariant = "checked by ConsentFile::check";
    let scope = match (&file.device, &file.group) {
        (Some(device), _) => Scope::Device(device.parse().expect(invariant)),
        (None, Some(group)) => Scope::Group(group.parse().expect(invariant)),
        (None, None) => Scope::Hospital,
    };
    Ok(ConsentManifest {
        hospital: file.hospital.parse().expect(invariant),
        scope,
        categories: file.categories.iter().map(|c| c.parse::<Category>().expect(invariant).code()).collect(),
        interval_floor_s: u32::try_from(file.interval_floor.0.as_secs()).unwrap_or(u32::MAX),
        valid_from: file.valid_from.parse().expect(invariant),
        valid_to: file.valid_to.parse().expect(invariant),
        version: file.version,
        heartbeat: file.heartbeat,
    })
}

/// A file to begin with: every category, one a line, with its purpose, for the administrator to
/// strike out.
pub fn template(hospital: &HospitalId, now: Timestamp, language: Language) -> String {
    let year = Duration::from_secs(365 * 24 * 3_600);
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line(&format!("# {}", Message::ConsentTemplateHead.text(language)));
    line(&format!("hospital = \"{hospital}\""));
    line("version = 1");
    line("interval_floor = \"60s\"");
    line(&format!("valid_from = \"{}\"", start_of_day(now)));
    line(&format!("valid_to = \"{}\"", start_of_day(now.plus(year))));
    line("heartbeat = true");
    line("categories = [");
    for category in Category::ALL {
        line(&format!("    \"{category}\", # {}", category.purpose().text(language)));
    }
    line("]");
    out
}

/// The beginning of a day in Japan, as the administrator would write it.
fn start_of_day(t: Timestamp) -> String {
    format!("{}T00:00:00+09:00", jst_date(t))
}

/// The consent among statements, by the hospital's key or, where successions stand before it, by
/// its successor.
pub fn find(statements: &[Envelope], key: PublicKey) -> Result<ConsentManifest, FindError> {
    let mut key = key;
    let mut found = None;
    for envelope in statements {
        if envelope.payload_type() == KeySuccession::TYPE {
            let succession = envelope.open::<KeySuccession>(&key).map_err(FindError::Signature)?;
            key = succession.successor().map_err(FindError::Key)?;
        } else {
            let manifest = envelope.open::<ConsentManifest>(&key).map_err(FindError::Signature)?;
            found = Some(manifest.into_inner());
        }
    }
    found.ok_or(FindError::None)
}

/// Signs a manifest.
pub fn sign(manifest: &ConsentManifest, key: &SecretKey) -> Result<Envelope, CodecError> {
    Envelope::seal(manifest, key)
}

/// A manifest as a person reads it.
pub fn show(manifest: &ConsentManifest, language: Language) -> String {
    let scope = match &manifest.scope {
        Scope::Hospital => Message::ConsentScopeHospital.text(language).to_owned(),
        Scope::Group(group) => Message::ConsentScopeGroup.fill(language, &[("group", group.as_str())]),
        Scope::Device(device) => {
            Message::ConsentScopeDevice.fill(language, &[("device", &device.to_string())])
        }
    };
    let heartbeat = if manifest.heartbeat { Message::Permitted } else { Message::NotPermitted };
    let mut out = Message::ConsentShow.fill(
        language,
        &[
            ("hospital", manifest.hospital.as_str()),
            ("version", &manifest.version.to_string()),
            ("scope", &scope),
            ("from", &format!("{} JST", jst_minute(manifest.valid_from))),
            ("to", &format!("{} JST", jst_minute(manifest.valid_to))),
            ("floor", &manifest.interval_floor_s.to_string()),
            ("heartbeat", heartbeat.text(language)),
        ],
    );
    out.push('\n');
    for code in &manifest.categories {
        let line = match Category::from_code(*code) {
            Some(category) => format!("{category}: {}", category.purpose().text(language)),
            None => Message::ConsentShowUnknown.fill(language, &[("code", &code.to_string())]),
        };
        out.extend(["  - ", &line, "\n"]);
    }
    if manifest.categories.is_empty() {
        out.extend(["  ", Message::ConsentShowNothing.text(language), "\n"]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_valid_file_in_both_languages() {
        let hospital: HospitalId = "minato".parse().unwrap();
        for language in [Language::Ja, Language::En] {
            let manifest =
                parse(&template(&hospital, Timestamp::from_secs(1_800_000_000), language)).unwrap();
            assert_eq!(manifest.known_categories().count(), Category::ALL.len());
            assert_eq!((manifest.version, manifest.scope), (1, Scope::Hospital));
        }
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let text = "hospital = 'みなと'\ncategories = ['disk', 'faces']\nvalid_from = 'now'\nversions = 2";
        let problems = parse(text).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        for key in ["versions", "hospital", "version", "categories", "valid_from", "valid_to"] {
            assert!(keys.contains(&key), "{key} in {keys:?}");
        }
    }

    #[test]
    fn a_consent_is_found_behind_the_successions_of_its_key() {
        let (old, new) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let hospital: HospitalId = "minato".parse().unwrap();
        let manifest = parse(&template(&hospital, Timestamp::EPOCH, Language::En)).unwrap();
        let step = KeySuccession::new(hospital, new.public(), Timestamp::EPOCH);
        let step = Envelope::seal(&step, &old).unwrap();
        let by = |key: &SecretKey| sign(&manifest, key).unwrap();
        assert_eq!(find(&[by(&old)], old.public()).unwrap(), manifest);
        assert_eq!(find(&[step.clone(), by(&new)], old.public()).unwrap(), manifest);
        let late = find(&[step.clone(), by(&old)], old.public());
        assert!(matches!(late, Err(FindError::Signature(_))), "the old key opens nothing any more");
        assert!(matches!(find(&[step], old.public()), Err(FindError::None)));
    }

    #[test]
    fn what_is_shown_names_every_permitted_category() {
        let hospital: HospitalId = "minato".parse().unwrap();
        let manifest = parse(&template(&hospital, Timestamp::EPOCH, Language::Ja)).unwrap();
        let shown = show(&manifest, Language::Ja);
        assert!(Category::ALL.into_iter().all(|c| shown.contains(c.as_str())), "{shown}");
        let nothing = show(&manifest.withdrawn(false), Language::En);
        assert!(nothing.contains("no record may leave") && nothing.contains("not permitted"), "{nothing}");
        let later = ConsentManifest { categories: [200].into(), ..manifest };
        assert!(show(&later, Language::En).contains("number 200"));
    }
}
