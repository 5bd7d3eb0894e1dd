//! Alerts to an Alertmanager (`POST /api/v2/alerts`), for centres that route through one already.
//!
//! Holds: an incident is one alert, known by its labels; its end resolves it. One that got worse is
//! another alert there (its severity is a label, by which people route), so the milder one is resolved
//! in the same request. Sending again changes nothing.
//!
//! Does not: know what is open; [`crate::worker::repeat`] does, and tells it again, as an Alertmanager
//! keeps its alerts in memory only.

use super::{DeliveryError, OutletError, config::AlertmanagerConfig, text, webhook};
use crate::http;
use reqwest::{Certificate, Client, header};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use tenken_collector_core::desk::notice::{Notice, Severity};
use tenken_common::{message::Language, time::Timestamp};

/// How long an alert stands of which nothing more is heard: a stop of this collector ends none.
const STANDS: Duration = Duration::from_hours(7 * 24);

pub struct AlertmanagerOutlet {
    client: Client,
    url: String,
    login: Option<(String, String)>,
    language: Language,
}

impl std::fmt::Debug for AlertmanagerOutlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertmanagerOutlet").finish_non_exhaustive()
    }
}

/// As Alertmanager's API has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
}

impl AlertmanagerOutlet {
    pub fn new(config: &AlertmanagerConfig) -> Result<Self, OutletError> {
        let broken = |source| OutletError::Alertmanager { outlet: config.name.clone(), source };
        let mut builder = http::client(config.timeout.0);
        if let Some(path) = &config.ca_file {
            let authorities =
                Certificate::from_pem_bundle(&super::ca(&config.name, path)?).map_err(broken)?;
            builder = builder.tls_certs_only(authorities);
        }
        let login = match (&config.username, &config.password_file) {
            (Some(user), Some(file)) => Some((user.clone(), super::secret(&config.name, file)?)),
            (None, _) | (_, None) => None,
        };
        Ok(Self {
            client: builder.build().map_err(broken)?,
            url: format!("{}/api/v2/alerts", config.url.trim_end_matches('/')),
            login,
            language: config.language,
        })
    }

    pub async fn deliver(&self, notice: &Notice) -> Result<(), DeliveryError> {
        self.post(&self.alerts(notice)).await
    }

    /// Tells again how these stand.
    pub async fn repeat(&self, notices: &[&Notice], now: Timestamp) -> Result<(), DeliveryError> {
        let again = notices.iter().map(|notice| {
            let is_over = notice.reason.is_end();
            let ends = if is_over { notice.decided_at } else { now.plus(STANDS) };
            self.alert(notice, notice.severity, ends)
        });
        self.post(&again.collect::<Vec<_>>()).await
    }

    async fn post(&self, alerts: &[Alert]) -> Result<(), DeliveryError> {
        let body = serde_json::to_vec(alerts);
        let body = body.map_err(|e| DeliveryError::Unusable(Box::new(e)))?;
        let request = self.client.post(&self.url).header(header::CONTENT_TYPE, "application/json");
        let mut request = request.body(body);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password));
        }
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(webhook::judge(response).await),
            Err(error) => Err(DeliveryError::Unreachable(Box::new(error.without_url()))),
        }
    }

    /// The alert itself, and the ends of those that it takes the place of.
    fn alerts(&self, notice: &Notice) -> Vec<Alert> {
        let severities = [Severity::Info, Severity::Warning, Severity::Critical];
        let all =
            severities.into_iter().filter(|severity| notice.reason.is_end() || *severity <= notice.severity);
        all.map(|severity| {
            let is_over = notice.reason.is_end() || severity < notice.severity;
            let ends = if is_over { notice.decided_at } else { notice.decided_at.plus(STANDS) };
            self.alert(notice, severity, ends)
        })
        .collect()
    }

    fn alert(&self, notice: &Notice, severity: Severity, ends: Timestamp) -> Alert {
        let device = notice.device.map_or_else(String::new, |device| device.to_string());
        let labels = [
            ("alertname", notice.rule.to_string()),
            ("severity", severity.as_str().to_owned()),
            ("hospital", notice.hospital.to_string()),
            ("device", notice.label.to_string()),
            ("device_id", device),
            ("subject", notice.subject.to_string()),
            ("incident", notice.incident.to_string()),
        ];
        let annotations = [
            ("summary", notice.finding.text(self.language).to_owned()),
            ("description", notice.action.text(self.language).to_owned()),
            ("title", text::render(notice, self.language).subject),
            ("reason", notice.reason.as_str().to_owned()),
            ("notice", notice.id().to_string()),
        ];
        Alert {
            // Empty labels are none to Alertmanager.
            labels: labels.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            annotations: annotations.into_iter().collect(),
            starts_at: notice.first_seen.min(ends).to_string(),
            ends_at: ends.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{NotifyConfig, example};
    use tenken_collector_core::desk::notice::NotifyReason;

    fn outlet() -> AlertmanagerOutlet {
        let text = "[[alertmanager]]\nname = 'am'\nurl = 'http://127.0.0.1:1/'\nlanguage = 'en'";
        let config: NotifyConfig = tenken_common::config::parse(text).unwrap();
        AlertmanagerOutlet::new(&config.alertmanager[0]).unwrap()
    }

    #[test]
    fn what_got_worse_takes_the_place_of_the_milder_and_an_end_ends_all() {
        let told = |reason| {
            let notice = Notice { reason, ..example::notice() };
            let alerts = outlet().alerts(&notice);
            let line = |a: &Alert| (a.labels["severity"].clone(), a.ends_at == notice.decided_at.to_string());
            alerts.iter().map(line).collect::<Vec<_>>()
        };
        let line = |severity: &str, over| (severity.to_owned(), over);
        let expected = [line("info", true), line("warning", true), line("critical", false)];
        assert_eq!(told(NotifyReason::Escalated), expected);
        assert_eq!(told(NotifyReason::Recovered), expected.clone().map(|(severity, _)| (severity, true)));
        let alert = &outlet().alerts(&example::notice())[2];
        assert_eq!(alert.labels["incident"], "INC-1042");
        assert_eq!(alert.labels["alertname"], "disk_full_soon");
        assert_eq!(alert.starts_at, "2026-11-22T23:05:00Z");
        assert_eq!(alert.annotations["summary"], "disk /var is predicted to be full on 12/03");
        assert_eq!(outlet().url, "http://127.0.0.1:1/api/v2/alerts");
    }
}
