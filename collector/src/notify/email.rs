//! Mail to one recipient over SMTP, whom the configuration names, or the contract.
//!
//! Holds: with `starttls`, nothing is said before TLS stands. A repeat carries the same
//! Message-ID and date, and the same notices. Mail is marked as sent by a machine, so that no holiday reply comes back.

use super::{
    DeliveryError, OutletError,
    config::{EmailConfig, Encryption},
    text,
};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{
        Mailbox, Message,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};
use std::time::{Duration, SystemTime};
use tenken_collector_core::desk::notice::Notice;
use tenken_common::{id::Hash, message::Language};

pub struct EmailOutlet {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
    /// None: whom the contract names at the time.
    to: Option<Address>,
    language: Language,
    /// For the whole exchange with the server.
    timeout: Duration,
}

impl std::fmt::Debug for EmailOutlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmailOutlet").finish_non_exhaustive()
    }
}

impl EmailOutlet {
    pub fn new(config: &EmailConfig, to: Option<&str>) -> Result<Self, OutletError> {
        let (tls, port) = match config.encryption {
            Encryption::Starttls => (Tls::Required(tls(config)?), 587),
            Encryption::Tls => (Tls::Wrapper(tls(config)?), 465),
            Encryption::None => (Tls::None, 25),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.server)
            .tls(tls)
            .port(config.port.unwrap_or(port))
            .timeout(Some(config.timeout.0));
        if let (Some(user), Some(file)) = (&config.username, &config.password_file) {
            let password = super::secret(&config.name, file)?;
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        let address = |text: &str| {
            text.parse::<Address>().map_err(|source| OutletError::Address {
                outlet: config.name.clone(),
                address: text.to_owned(),
                source,
            })
        };
        Ok(Self {
            transport: builder.build(),
            from: address(&config.from)?,
            to: to.map(address).transpose()?,
            language: config.language,
            timeout: config.timeout.0,
        })
    }

    /// One mail with all of them, of which `id` is the identity.
    pub async fn deliver(
        &self,
        id: Hash,
        notices: &[Notice],
        contact: Option<&str>,
    ) -> Result<(), DeliveryError> {
        let to = if let Some(to) = &self.to {
            to.clone()
        } else {
            let parsed = contact.unwrap_or_default().parse();
            parsed.map_err(|e: lettre::address::AddressError| DeliveryError::Unusable(Box::new(e)))?
        };
        let message = self.message((id, notices), to)?;
        match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(judge(error)),
            Err(late) => Err(DeliveryError::Unreachable(Box::new(late))),
        }
    }

    fn message(&self, (id, notices): (Hash, &[Notice]), to: Address) -> Result<Message, DeliveryError> {
        let rendered = text::render_all(notices, self.language);
        let decided = notices.iter().map(|notice| notice.decided_at.as_secs()).max();
        let age = u64::try_from(decided.unwrap_or(0)).unwrap_or(0);
        Message::builder()
            .from(Mailbox::new(None, self.from.clone()))
            .to(Mailbox::new(None, to))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(age))
            .message_id(Some(format!("<{id}@{}>", self.from.domain())))
            .subject(rendered.subject)
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .header(ContentType::TEXT_PLAIN)
            .body(rendered.body)
            .map_err(|e| DeliveryError::Unusable(Box::new(e)))
    }
}

fn tls(config: &EmailConfig) -> Result<TlsParameters, OutletError> {
    let mail = |source| OutletError::Mail { outlet: config.name.clone(), source };
    let mut builder = TlsParameters::builder(config.server.clone());
    if let Some(path) = &config.ca_file {
        let pem = super::ca(&config.name, path)?;
        let authority = Certificate::from_pem(&pem).map_err(mail)?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    builder.build().map_err(mail)
}

/// Refusals that lie in how the account is set up: people mend that, and the notice still counts.
const OF_THE_ACCOUNT: [u16; 4] = [530, 534, 535, 538];

fn judge(error: lettre::transport::smtp::Error) -> DeliveryError {
    let Some(status) = error.status().map(u16::from) else {
        return DeliveryError::Unreachable(Box::new(error));
    };
    let said = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    let text = text::one_line(&said, text::ERROR_CHARS_MAX);
    if error.is_permanent() && !OF_THE_ACCOUNT.contains(&status) {
        DeliveryError::Refused { status, text }
    } else {
        DeliveryError::Deferred { status, text, retry_after: None }
    }
}

#[cfg(test)]
mod tests;
