//! Notices on their way to people: outlets (mail, webhooks, Alertmanager), their texts, and the
//! dispatcher that empties the outbox.
//!
//! Holds: a notice counts as delivered only after the server at the other end said yes. Every
//! repeat carries the same identity (Message-ID, `Tenken-Idempotency-Id`), so a receiver can
//! tell it from a new one. Each recipient is an outlet of its own: one that refuses neither
//! hides the others nor makes them hear twice.
//!
//! Does not: decide what is worth telling, or store anything.

mod alertmanager;
pub mod config;
pub mod dispatch;
mod email;
pub mod text;
pub mod webhook;

pub use config::NotifyConfig;

use dispatch::Due;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use tenken_collector_core::desk::{
    notice::{Notice, Severity},
    route::{Only, Route, Unwanted},
};
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
    #[error("the Alertmanager of outlet `{outlet}` cannot be set up")]
    Alertmanager { outlet: Name, source: reqwest::Error },
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
    route: Route,
    /// How long a notice waits for company that it can do without; `None`: each goes alone.
    group_wait: Option<Duration>,
    channel: Channel,
}

/// An outlet that is to hear of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The outlet's key.
    pub key: Name,
    pub grouped: bool,
    pub due: Timestamp,
}

#[derive(Debug)]
enum Channel {
    Email(Box<email::EmailOutlet>),
    Webhook(webhook::WebhookOutlet),
    Alertmanager(alertmanager::AlertmanagerOutlet),
}

impl Outlet {
    /// Ready when the server at the other end took all of it.
    pub async fn deliver(&self, due: &Due, now: Timestamp) -> Result<(), DeliveryError> {
        if let Channel::Email(email) = &self.channel {
            // The key says to whom, where the contract does and not the configuration.
            let contacts = || due.notices.iter().flat_map(|notice| &notice.contacts);
            let contact = contacts().find(|to| email_key(&self.name, to) == due.outlet);
            return email.deliver(due.id, &due.notices, contact.map(String::as_str)).await;
        }
        for notice in &due.notices {
            match &self.channel {
                Channel::Email(_) => {}
                Channel::Webhook(webhook) => webhook.deliver(notice, now).await?,
                Channel::Alertmanager(alertmanager) => alertmanager.deliver(notice).await?,
            }
        }
        Ok(())
    }

    /// When it is to hear of a notice, and whether with others.
    fn wants(&self, key: Name, notice: &Notice) -> Wanted {
        let is_urgent = notice.severity == Severity::Critical && !notice.reason.is_end();
        let wait = self.group_wait.filter(|_| !is_urgent).unwrap_or_default();
        Wanted { key, grouped: self.group_wait.is_some(), due: notice.decided_at.plus(wait) }
    }
}

/// All outlets.
#[derive(Debug, Default)]
pub struct Outlets {
    /// By their key, which names outlet and recipient and is what the outbox stores.
    by_key: BTreeMap<Name, Outlet>,
    /// Of those that send to whom the contract names, by their name.
    to_contacts: BTreeMap<Name, Outlet>,
    /// How often those that keep what is open in memory are told again.
    repeat_every: Option<Duration>,
}

impl Outlets {
    /// Reads secrets and CA files; connects to nothing.
    pub fn new(config: &NotifyConfig) -> Result<Self, OutletError> {
        let mut outlets = Self::default();
        for c in &config.email {
            let outlet = |to: Option<&str>| -> Result<Outlet, OutletError> {
                let channel = Channel::Email(Box::new(email::EmailOutlet::new(c, to)?));
                let group_wait = c.group.then_some(c.group_wait.0);
                let route = route(c.min_severity, &c.only, false);
                Ok(Outlet { name: c.name.clone(), route, group_wait, channel })
            };
            for to in &c.to {
                outlets.by_key.insert(email_key(&c.name, to), outlet(Some(to))?);
            }
            if c.to_contacts {
                outlets.to_contacts.insert(c.name.clone(), outlet(None)?);
            }
        }
        for c in &config.webhook {
            let channel = Channel::Webhook(webhook::WebhookOutlet::new(c)?);
            let (name, route) = (c.name.clone(), route(c.min_severity, &c.only, false));
            outlets.by_key.insert(c.name.clone(), Outlet { name, route, group_wait: None, channel });
        }
        for c in &config.alertmanager {
            let channel = Channel::Alertmanager(alertmanager::AlertmanagerOutlet::new(c)?);
            let (name, route) = (c.name.clone(), route(c.min_severity, &c.only, true));
            outlets.by_key.insert(c.name.clone(), Outlet { name, route, group_wait: None, channel });
        }
        outlets.repeat_every = config.alertmanager.iter().map(|c| c.repeat.0).min();
        Ok(outlets)
    }

    /// Each outlet's key, and why it does not want this notice where it does not.
    pub fn judge(&self, notice: &Notice) -> BTreeMap<Name, Result<(), Unwanted>> {
        let own = self.by_key.iter().map(|(key, outlet)| (key.clone(), outlet.route.judge(notice)));
        let contacts = self.to_contacts.iter().flat_map(|(name, outlet)| {
            let judged = outlet.route.judge(notice);
            notice.contacts.iter().map(move |to| (email_key(name, to), judged))
        });
        own.chain(contacts).collect()
    }

    /// Those that are to hear of this notice: an outbox row each.
    pub fn wanting(&self, notice: &Notice) -> impl Iterator<Item = Wanted> {
        let keys = self.judge(notice).into_iter().filter(|(_, judged)| judged.is_ok()).map(|(key, _)| key);
        keys.filter_map(|key| Some(self.find(&key)?.wants(key, notice)))
    }

    pub fn repeat_every(&self) -> Option<Duration> {
        self.repeat_every
    }

    /// Tells those that keep it in memory how these incidents stand. What fails now is told the next
    /// time.
    pub async fn repeat(&self, notices: &[Notice], now: Timestamp) {
        for outlet in self.by_key.values() {
            let Channel::Alertmanager(alertmanager) = &outlet.channel else { continue };
            let wanted: Vec<&Notice> = notices.iter().filter(|n| outlet.route.judge(n).is_ok()).collect();
            if let Err(error) = alertmanager.repeat(&wanted, now).await {
                tracing::debug!(outlet = %outlet.name, error = error.describe(), "a repeat did not get through");
            }
        }
    }

    pub fn find(&self, key: &Name) -> Option<&Outlet> {
        let of_contact = || {
            let (name, _) = key.as_str().split_once('/')?;
            self.to_contacts.get(&Name::of_outside(name))
        };
        self.by_key.get(key).or_else(of_contact)
    }
}

fn route(min_severity: Severity, only: &Only, keeps_state: bool) -> Route {
    Route { min_severity, only: only.clone(), keeps_state }
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
            hours: std::collections::BTreeSet::new(),
            contacts: std::collections::BTreeSet::new(),
            unacknowledged: false,
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
            outlets.wanting(&notice).map(|wanted| wanted.key.to_string()).collect::<Vec<_>>()
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
