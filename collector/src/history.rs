//! The history of each contract as the store has it: what the SLA's figures are made from.
//!
//! Holds: what stands in the stream goes in as [`Sources`] say. Incidents that fell into a device's
//! quarantine are left out, for nobody knows whose device they speak of. Whoever looks at some months
//! only need not read what devices reported before ([`reach`]).

use crate::store::{Store, StoreError};
use std::{collections::BTreeMap, sync::Arc};
use tenken_collector_core::{
    desk::incident::Incident,
    sla::{
        calendar::HolidayList,
        heartbeat::{HeartbeatRuns, Run},
        history::{History, Sources, Speaker, reach},
        response::IncidentHistory,
    },
};
use tenken_common::{
    id::{ContractId, DeviceId},
    time::Timestamp,
};

/// Every contract's, by its id; an official list of holidays wins for its years.
pub async fn histories(
    store: &Store,
    holidays: &Arc<HolidayList>,
) -> Result<BTreeMap<ContractId, History>, StoreError> {
    histories_from(store, holidays, Timestamp::MIN).await
}

/// The same for whoever looks at nothing before `from`.
pub async fn histories_from(
    store: &Store,
    holidays: &Arc<HolidayList>,
    from: Timestamp,
) -> Result<BTreeMap<ContractId, History>, StoreError> {
    let contracts: Vec<(Timestamp, String)> =
        store.contracts().await?.into_iter().map(|row| (row.loaded, row.text)).collect();
    let devices = speakers(store, reach(contracts.iter().map(|(_, text)| text.as_str()), from)).await?;
    let agreements = store.agreements().await?.into_iter().map(|row| row.agreement).collect();
    let records = store.sla_records().await?.into_iter().map(|row| (row.contract, row.text)).collect();
    let runs = store.heartbeat_runs().await?;
    let heartbeats = HeartbeatRuns::of_runs(runs.iter().map(|run| Run { first: run.first, last: run.last }));
    let incidents = incidents(store).await?;
    let incidents = incidents.iter().map(|i| (i.hospital.clone(), IncidentHistory::of(i))).collect();
    let holidays = Arc::clone(holidays);
    Sources { contracts, agreements, records, incidents, heartbeats, devices, holidays }
        .histories()
        .map_err(|_| StoreError::Value("contract"))
}

/// All devices, and what they said from an instant on.
async fn speakers(store: &Store, from: Timestamp) -> Result<BTreeMap<DeviceId, Speaker>, StoreError> {
    let mut speakers = BTreeMap::new();
    for row in store.devices().await? {
        let speaker = Speaker {
            hospital: row.hospital,
            label: row.label,
            group: row.group,
            enrolled: row.enrolled,
            approved: row.approved.is_some(),
            said: store.said(row.id, from).await?,
        };
        speakers.insert(row.id, speaker);
    }
    Ok(speakers)
}

async fn incidents(store: &Store) -> Result<Vec<Incident>, StoreError> {
    let mut incidents: Vec<Incident> = store
        .incidents()
        .await?
        .iter()
        .map(|row| serde_json::from_str(&row.json).map_err(|_| StoreError::Value("incident")))
        .collect::<Result<_, _>>()?;
    let doubtful = store.quarantines().await?;
    incidents.retain(|i| {
        !doubtful.iter().any(|(device, from, to)| {
            *device == i.device && *from <= i.first_seen && to.is_none_or(|to| i.first_seen < to)
        })
    });
    Ok(incidents)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tenken_collector_core::{
        desk::{
            finding::Finding,
            notice::{Bilingual, Severity},
        },
        sla::response::{IncidentEvent, IncidentEventKind},
    };
    use tenken_common::id::{HospitalId, Name};

    pub(crate) fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(1_790_000_000 + s)
    }

    pub(crate) fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    pub(crate) fn incident(severity: Severity) -> Incident {
        let text = || Bilingual { ja: "満杯".to_owned(), en: "full".to_owned() };
        let finding = Finding {
            rule: name("disk-filling"),
            device: DeviceId([1; 16]),
            severity,
            since: at(0),
            last: at(0),
            affected: BTreeMap::new(),
            over: None,
            numbers: BTreeMap::new(),
            finding: text(),
            action: text(),
            subject: name("/var"),
        };
        Incident::open(&finding, HospitalId(name("minato")), name("ct-1"), at(5))
    }

    #[test]
    fn an_escalation_starts_the_clock_of_its_severity_when_it_is_seen() {
        let mut incident = incident(Severity::Warning);
        let worse = Finding {
            rule: incident.rule.clone(),
            device: incident.device,
            severity: Severity::Critical,
            since: at(0),
            last: at(60),
            affected: BTreeMap::new(),
            over: None,
            numbers: BTreeMap::new(),
            finding: incident.finding.clone(),
            action: incident.action.clone(),
            subject: incident.subject.clone(),
        };
        incident.update(&worse, at(60));
        let history = IncidentHistory::of(&incident);
        let expected = [(at(5), Severity::Warning), (at(60), Severity::Critical)]
            .map(|(at, severity)| IncidentEvent { at, kind: IncidentEventKind::Detected(severity) });
        assert_eq!(history.events, expected);
        assert_eq!(history.incident, incident.id);
    }

    #[test]
    fn an_incident_that_came_back_milder_keeps_the_clock_of_its_worst_time() {
        let mut incident = incident(Severity::Critical);
        incident.severity = Severity::Warning;
        let first = IncidentHistory::of(&incident).events.into_iter().next().unwrap();
        assert_eq!(first.kind, IncidentEventKind::Detected(Severity::Critical));
    }
}
