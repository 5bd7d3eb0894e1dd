//! One HTTP request to a neighbour, and how long its certificate still holds.

use super::AskError;
use std::time::Duration;
use tenken_common::{
    time::{Clock, SystemClock, Timestamp},
    tls,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Seconds until the certificate ends, where there is one. No body is read, no redirect followed.
pub fn ask(url: &str, timeout: Duration) -> Result<Option<f64>, AskError> {
    let failed = |source: reqwest::Error| AskError::Http { to: url.to_owned(), source: source.without_url() };
    let tls = tls::client_of_neighbour().map_err(AskError::Tls)?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .tls_info(true)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(timeout)
        .build()
        .map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| AskError::NoAnswer { to: url.to_owned(), source })?;
    let response = runtime.block_on(async { client.get(url).send().await }).map_err(failed)?;
    if response.status().is_server_error() {
        return Err(AskError::Status { to: url.to_owned(), status: response.status().as_u16() });
    }
    let info = response.extensions().get::<reqwest::tls::TlsInfo>();
    let certificate = info.and_then(reqwest::tls::TlsInfo::peer_certificate);
    Ok(certificate.and_then(|der| remaining_s(der, SystemClock::new().wall())))
}

fn remaining_s(der: &[u8], now: Timestamp) -> Option<f64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let ends = Timestamp::from_secs(certificate.validity().not_after.timestamp());
    Some(Timestamp::from_micros(ends.micros_since(now)).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let certificate = params.self_signed(&key).unwrap();
        let now = "2030-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(remaining_s(certificate.der(), now), Some(86_400.0));
        let later = "2030-01-03T00:00:00Z".parse().unwrap();
        assert_eq!(remaining_s(certificate.der(), later), Some(-86_400.0));
        assert_eq!(remaining_s(b"no certificate", now), None);
    }
}
