//! The certificates themselves: the private root, the collector's own, and those of devices.
//!
//! Holds: of a device's request only the public key is taken, after its signature was checked;
//! name, use and dates are ours. Nothing here touches a file or reads a clock.

use super::PkiError;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use std::time::Duration;
use tenken_common::{
    id::{DeviceId, hex},
    key, limit,
    time::Timestamp,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const DAY: Duration = Duration::from_hours(24);
/// The root's life: longer than that of a medical device.
pub const ROOT_LIFE: Duration = Duration::from_hours(20 * 365 * 24);
/// The server certificate's life; it is renewed when less than a third is left.
pub const SERVER_LIFE: Duration = Duration::from_hours(365 * 24);
/// How far certificates are dated back, for clocks that are a little slow.
const BACKDATED: Duration = Duration::from_hours(1);

/// A new root: its key and its certificate.
pub fn make_root(now: Timestamp) -> Result<(KeyPair, CertificateDer<'static>), PkiError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(PkiError::Make)?;
    // A name of its own: with two roots of one name a stranger's certificate would look forged
    // instead of foreign.
    let mark = hex(&key::random::<4>().map_err(PkiError::Random)?);
    let mut params = dated(&format!("Tenken root {mark}"), now, DAY, ROOT_LIFE)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(PkiError::Make)?;
    Ok((key, certificate.der().clone()))
}

/// A certificate for the collector under `names` (DNS names or IP addresses), with its key.
pub fn make_server(
    names: &[String],
    root: &Issuer<'_, KeyPair>,
    now: Timestamp,
) -> Result<(KeyPair, CertificateDer<'static>), PkiError> {
    let first = names.first().ok_or(PkiError::NoNames)?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(PkiError::Make)?;
    let mut params = dated(first, now, BACKDATED, SERVER_LIFE)?;
    params.subject_alt_names =
        CertificateParams::new(names.to_vec()).map_err(PkiError::Make)?.subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = sign(&params, &key, root)?;
    Ok((key, certificate))
}

/// A device's certificate for the key of its request (PKCS #10, DER).
pub fn make_device(
    csr_der: &[u8],
    device: DeviceId,
    root: &Issuer<'_, KeyPair>,
    now: Timestamp,
) -> Result<CertificateDer<'static>, PkiError> {
    let csr = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))
        .map_err(PkiError::Request)?;
    let algorithm = csr.public_key.algorithm();
    if algorithm != &rcgen::PKCS_ECDSA_P256_SHA256 && algorithm != &rcgen::PKCS_ED25519 {
        return Err(PkiError::RequestKey);
    }
    let mut params = dated(&device.to_string(), now, BACKDATED, limit::DEVICE_CERTIFICATE_LIFE)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(&params, &csr.public_key, root)
}

fn sign(
    params: &CertificateParams,
    public: &impl PublicKeyData,
    root: &Issuer<'_, KeyPair>,
) -> Result<CertificateDer<'static>, PkiError> {
    let mut params = params.clone();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.signed_by(public, root).map(|c| c.der().clone()).map_err(PkiError::Make)
}

fn dated(
    name: &str,
    now: Timestamp,
    before: Duration,
    life: Duration,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Certificates count whole seconds; the upper bound keeps the calendar in four-digit years.
    let at = |t: Timestamp| u64::try_from(t.as_secs()).unwrap_or(0).min(250_000_000_000);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(at(now.minus(before)));
    params.not_after = epoch + Duration::from_secs(at(now.plus(life)));
    let mut serial = key::random::<16>().map_err(PkiError::Random)?;
    if let Some(first) = serial.first_mut() {
        // RFC 5280 wants a positive number of at most 20 bytes.
        *first = (*first & 0x7f) | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// What a server certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub names: Vec<String>,
}

impl ServerFacts {
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        let names = match certificate.subject_alternative_name() {
            Ok(Some(san)) => san.value.general_names.iter().filter_map(name_text).collect(),
            Ok(None) | Err(_) => Vec::new(),
        };
        Some(Self {
            not_before: Timestamp::from_secs(validity.not_before.timestamp()),
            not_after: Timestamp::from_secs(validity.not_after.timestamp()),
            names,
        })
    }

    /// Whether less than a third of its life is left.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.not_after.saturating_since(now) < self.not_after.saturating_since(self.not_before) / 3
    }
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name {
        return Some((*name).to_owned());
    }
    if let GeneralName::IPAddress(bytes) = name {
        let v4 = <[u8; 4]>::try_from(*bytes).ok().map(std::net::IpAddr::from);
        let v6 = <[u8; 16]>::try_from(*bytes).ok().map(std::net::IpAddr::from);
        return v4.or(v6).map(|ip| ip.to_string());
    }
    None
}
