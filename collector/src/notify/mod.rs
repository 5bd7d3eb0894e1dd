//! Notices on their way to people: outlets (mail, webhooks), their texts, and the dispatcher
//! that empties the outbox.
//!
//! Holds: a notice counts as delivered only after the server at the other end said yes. Every
//! repeat carries the same identity (Message-ID, `Tenken-Idempotency-Id`), so a receiver can
//! tell it from a new one. Each recipient is an outlet of its own: one that refuses neither
//! hides the others nor makes them hear twice.
//!
//! Does not: decide who must hear of what beyond an outlet's least severity, or store anything.

pub mod config;
pub mod dispatch;
mod email;
pub mod text;
pub mod webhook;

pub use config::NotifyConfig;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use tenken_collector_core::desk::notice::{Notice, Severity};
use tenken_common::{
    config::{ConfigError, SecretFile},
    id::Name,
    time::Timestamp,
};

/// Outlets that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OutletError {
    #[error("cannot read the secret of outlet `{outlet}`")]
    Secret { outlet: Name, source: ConfigError },
    #[error("outlet `{outlet}` has an empty secret file")]
    SecretEmpty { outlet: Name },
    #[error("cannot read {} of outlet `{outlet}`", path.display())]
    CaRead { outlet: Name, path: PathBuf, source: std::io::Error },
    #[error("the address `{address}` of outlet `{outlet}` is no mail address")]
    Address { outlet: Name, address: String, source: lettre::address::AddressError },
    #[error("the mail server of outlet `{outlet}` cannot be set up")]
    Mail { outlet: Name, source: lettre::transport::smtp::Error },
    #[error("the webhook of outlet `{outlet}` cannot be set up")]
    Webhook { outlet: Name, source: reqwest::Error },
}

/// Why a notice did not get through one outlet this time.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("the server could not be reached or broke off")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server answered, and another time may do.
    #[error("the server answered {status}: {text}")]
    Deferred { status: u16, text: String, retry_after: Option<Duration> },
    /// The server will never take it.
    #[error("the server refused for good with {status}: {text}")]
    Refused { status: u16, text: String },
    #[error("the notice cannot be put into a message")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl DeliveryError {
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Deferred { .. } => true,
            Self::Refused { .. } | Self::Unusable(_) => false,
        }
    }

    /// What the server asked for, at most [`tenken_common::limit::RETRY_AFTER_MAX`].
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Deferred { retry_after, .. } => {
                retry_after.map(|d| d.min(tenken_common::limit::RETRY_AFTER_MAX))
            }
            Self::Unreachable(_) | Self::Refused { .. } | Self::Unusable(_) => None,
        }
    }

    /// The whole chain of causes in one line, for the outbox and the log.
    pub fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        text::one_line(&text, text::ERROR_CHARS_MAX)
    }
}

/// One recipient over one way.
#[derive(Debug)]
pub struct Outlet {
    /// The configured name: the metric's label.
    pub name: Name,
    min_severity: Severity,
    channel: Channel,
}

#[derive(Debug)]
enum Channel {
    Email(Box<email::EmailOutlet>),
    Webhook(webhook::WebhookOutlet),
}

impl Outlet {
    /// Ready when the server at the other end took it.
    pub async fn deliver(&self, notice: &Notice, now: Timestamp) -> Result<(), DeliveryError> {
        match &self.channel {
            Channel::Email(email) => email.deliver(notice, now).await,
            Channel::Webhook(webhook) => webhook.deliver(notice, now).await,
        }
    }
}

/// All outlets by their key, which names outlet and recipient and is what the outbox stores.
#[derive(Debug, Default)]
pub struct Outlets(BTreeMap<Name, Outlet>);

impl Outlets {
    /// Reads secrets and CA files; connects to nothing.
    pub fn new(config: &NotifyConfig) -> Result<Self, OutletError> {
        let mut outlets = BTreeMap::new();
        for c in &config.email {
            for to in &c.to {
                let channel = Channel::Email(Box::new(email::EmailOutlet::new(c, to)?));
                let outlet = Outlet { name: c.name.clone(), min_severity: c.min_severity, channel };
                outlets.insert(email_key(&c.name, to), outlet);
            }
        }
        for c in &config.webhook {
            let channel = Channel::Webhook(webhook::WebhookOutlet::new(c)?);
            let outlet = Outlet { name: c.name.clone(), min_severity: c.min_severity, channel };
            outlets.insert(c.name.clone(), outlet);
        }
        Ok(Self(outlets))
    }

    /// The keys of those that are to hear of this notice: an outbox row each.
    pub fn wanting(&self, notice: &Notice) -> impl Iterator<Item = &Name> {
        let severity = notice.severity;
        self.0.iter().filter(move |(_, o)| severity >= o.min_severity).map(|(key, _)| key)
    }

    pub fn find(&self, key: &Name) -> Option<&Outlet> {
        self.0.get(key)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Stays the same when other recipients come and go.
fn email_key(outlet: &Name, to: &str) -> Name {
    Name::of_outside(&format!("{outlet}/{to}"))
}

fn secret(outlet: &Name, file: &SecretFile) -> Result<String, OutletError> {
    let text = file.read().map_err(|source| OutletError::Secret { outlet: outlet.clone(), source })?;
    if text.is_empty() {
        return Err(OutletError::SecretEmpty { outlet: outlet.clone() });
    }
    Ok(text)
}

fn ca(outlet: &Name, path: &Path) -> Result<Vec<u8>, OutletError> {
    std::fs::read(path).map_err(|source| OutletError::CaRead {
        outlet: outlet.clone(),
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
pub(crate) mod example {
    use super::Notice;
    use tenken_collector_core::desk::notice::{Bilingual, IncidentId, NotifyReason, Severity};
    use tenken_common::id::{DeviceId, Name};

    pub fn notice() -> Notice {
        Notice {
            incident: IncidentId(1_042),
            reason: NotifyReason::Opened,
            severity: Severity::Critical,
            hospital: "minato".parse().unwrap(),
            device: Some(DeviceId([0xab; 16])),
            label: Name::new("CT-1").unwrap(),
            rule: Name::new("disk_full_soon").unwrap(),
            subject: Name::new("/var").unwrap(),
            first_seen: "2026-11-22T23:05:00Z".parse().unwrap(),
            decided_at: "2026-11-22T23:05:30Z".parse().unwrap(),
            finding: Bilingual {
                ja: "ディスク /var は 12/03 に満杯の見込み".to_owned(),
                en: "disk /var is predicted to be full on 12/03".to_owned(),
            },
            action: Bilingual {
                ja: "不要なログを削除するか、増設を手配してください。".to_owned(),
                en: "Remove old logs or plan for a larger disk.".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_of_what_goes_by_severity_and_each_recipient_is_an_outlet() {
        let home = tempfile::tempdir().unwrap();
        let secret = home.path().join("secret");
        std::fs::write(&secret, "hush\n").unwrap();
        let text = format!(
            "[[email]]\nname = 'desk'\nserver = 'localhost'\nencryption = 'none'\nfrom = 'rsc@example.jp'\n\
             to = ['a@example.jp', 'b@example.jp']\nmin_severity = 'critical'\n\
             [[webhook]]\nname = 'chat'\nurl = 'http://127.0.0.1:1/'\nsecret_file = '{}'\n",
            secret.display()
        );
        let config: NotifyConfig = tenken_common::config::parse(&text).unwrap();
        let outlets = Outlets::new(&config).unwrap();
        let keys = |severity| {
            let notice = Notice { severity, ..example::notice() };
            outlets.wanting(&notice).map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(keys(Severity::Critical), ["chat", "desk/a@example.jp", "desk/b@example.jp"]);
        assert_eq!(keys(Severity::Warning), ["chat"]);
        assert!(keys(Severity::Info).is_empty());
        let key = Name::new("desk/b@example.jp").unwrap();
        assert_eq!(outlets.find(&key).unwrap().name.as_str(), "desk");

        std::fs::write(&secret, "\n").unwrap();
        assert!(matches!(Outlets::new(&config), Err(OutletError::SecretEmpty { .. })));
    }
}
