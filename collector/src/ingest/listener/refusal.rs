//! Why a TLS handshake came to nothing, as far as the error tells.

use rustls::{CertificateError, Error, InvalidMessage};
use std::io;

/// The reasons; each is a label of its own in the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HandshakeRefusal {
    NoClientCertificate,
    /// A certificate of another root: a device of another collector, or one enrolled before a
    /// new root.
    UnknownCa,
    /// Out of its dates, too late or too early.
    ExpiredCertificate,
    BadCertificate,
    /// Something else than TLS, such as plain HTTP.
    NotTls,
    Timeout,
    /// The peer went away, refused us, or spoke a TLS that is not ours.
    Other,
}

impl HandshakeRefusal {
    pub const ALL: [Self; 7] = [
        Self::NoClientCertificate,
        Self::UnknownCa,
        Self::ExpiredCertificate,
        Self::BadCertificate,
        Self::NotTls,
        Self::Timeout,
        Self::Other,
    ];

    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoClientCertificate => "no_client_certificate",
            Self::UnknownCa => "unknown_ca",
            Self::ExpiredCertificate => "expired_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::NotTls => "not_tls",
            Self::Timeout => "handshake_timeout",
            Self::Other => "handshake_other",
        }
    }

    /// Reads it from the error of an accept, inside which rustls puts its own.
    pub fn of(error: &io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return Self::Other;
        };
        if let Error::InvalidCertificate(why) = error {
            return Self::of_certificate(why);
        }
        if matches!(error, Error::NoCertificatesPresented) {
            return Self::NoClientCertificate;
        }
        if matches!(error, Error::InvalidMessage(InvalidMessage::InvalidContentType)) {
            return Self::NotTls;
        }
        Self::Other
    }

    fn of_certificate(why: &CertificateError) -> Self {
        if matches!(why, CertificateError::UnknownIssuer) {
            return Self::UnknownCa;
        }
        let out_of_dates = matches!(
            why,
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        );
        if out_of_dates { Self::ExpiredCertificate } else { Self::BadCertificate }
    }
}
