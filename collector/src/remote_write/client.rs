//! The receiver at the other end, over HTTP.
//!
//! Holds: redirects are not followed. 5xx and 429 mean another time, and so do the answers that lie
//! in its set-up (401, 403, 404, 408, 425), since people mend that and the samples still count; any
//! other 4xx means that it will never take what was sent.

use super::config::RemoteWriteConfig;
use crate::{
    http,
    notify::{DeliveryError, webhook::judge},
};
use reqwest::{Certificate, Client, header};
use std::path::PathBuf;
use tenken_common::config::{ConfigError, SecretFile};

/// A receiver that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    #[error("cannot read a secret of remote_write")]
    Secret(#[source] ConfigError),
    #[error("{} of remote_write is empty", path.display())]
    SecretEmpty { path: PathBuf },
    #[error("cannot read {} of remote_write", path.display())]
    CaRead { path: PathBuf, source: std::io::Error },
    #[error("remote_write cannot be set up")]
    Client(#[source] reqwest::Error),
}

enum Login {
    None,
    Basic { username: String, password: String },
    Token(String),
}

/// See the module's head.
pub struct Receiver {
    client: Client,
    url: String,
    login: Login,
    headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

impl Receiver {
    /// Reads secrets and the CA file; connects to nothing.
    pub fn new(config: &RemoteWriteConfig) -> Result<Self, ReceiverError> {
        let mut builder = http::client(config.timeout.0);
        if let Some(path) = &config.ca_file {
            let pem =
                std::fs::read(path).map_err(|source| ReceiverError::CaRead { path: path.clone(), source })?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(ReceiverError::Client)?;
            builder = builder.tls_certs_only(authorities);
        }
        let login = match (&config.username, &config.password_file, &config.token_file) {
            (Some(username), Some(file), _) => {
                Login::Basic { username: username.clone(), password: secret(file)? }
            }
            (_, _, Some(file)) => Login::Token(secret(file)?),
            (_, _, None) => Login::None,
        };
        Ok(Self {
            client: builder.build().map_err(ReceiverError::Client)?,
            url: config.url.clone(),
            login,
            headers: config.headers.clone().into_iter().collect(),
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ready when the receiver took the body.
    pub async fn send(&self, body: Vec<u8>) -> Result<(), DeliveryError> {
        let request = self
            .client
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONTENT_ENCODING, "snappy")
            .header("x-prometheus-remote-write-version", "0.1.0");
        let request = match &self.login {
            Login::None => request,
            Login::Basic { username, password } => request.basic_auth(username, Some(password)),
            Login::Token(token) => request.bearer_auth(token),
        };
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        match request.body(body).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(judge(response).await),
            Err(error) => Err(DeliveryError::Unreachable(Box::new(error.without_url()))),
        }
    }
}

fn secret(file: &SecretFile) -> Result<String, ReceiverError> {
    let text = file.read().map_err(ReceiverError::Secret)?;
    if text.is_empty() { Err(ReceiverError::SecretEmpty { path: file.0.clone() }) } else { Ok(text) }
}
