//! How the collector calls others over HTTP: outlets and the receiver of remote write.
//!
//! Holds: nothing is followed elsewhere, and every call ends. Whom it trusts is the caller's.

use reqwest::{Client, ClientBuilder, redirect};
use std::time::Duration;
use tenken_common::tls;

pub(crate) fn client(timeout: Duration) -> ClientBuilder {
    tls::install_default();
    Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(timeout)
        .user_agent(concat!("tenken-collector/", env!("CARGO_PKG_VERSION")))
}
