//! The histories of all contracts, from what stands in the stream: the same for whoever has the
//! entries, the collector or a hospital with its evidence.
//!
//! Holds: a contract version was approved by 乙 when it was loaded and by 甲 when 甲 signed that it
//! agrees to its text; before both it is a draft. A record counts as agreed by 甲's signature over
//! its text only. Every device that 甲 approved counts, also one that never said anything.

use super::{
    History, RecordAgreement, Version,
    reported::{self, Speaker},
};
use crate::sla::{
    agreed::Agreed, calendar::HolidayList, contract::Contract, heartbeat::HeartbeatRuns,
    response::IncidentHistory,
};
use std::{collections::BTreeMap, sync::Arc};
use tenken_common::{
    config::Problems,
    id::{ContractId, DeviceId, Hash, HospitalId},
    statement::{Agreement, AgreementKind},
    time::Timestamp,
};

/// See the module's head. The order within each list is that of the stream.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Texts, and when 乙 loaded them.
    pub contracts: Vec<(Timestamp, String)>,
    /// Each with a signature of its hospital that was found good.
    pub agreements: Vec<Agreement>,
    /// Texts of [`super::FiledRecord`].
    pub records: Vec<(ContractId, String)>,
    pub incidents: Vec<(HospitalId, IncidentHistory)>,
    pub heartbeats: HeartbeatRuns,
    pub devices: BTreeMap<DeviceId, Speaker>,
    pub holidays: Arc<HolidayList>,
}

impl Sources {
    /// Every contract's history, by its id. A text that is no contract was never loaded.
    pub fn histories(&self) -> Result<BTreeMap<ContractId, History>, Problems> {
        let mut by_id: BTreeMap<ContractId, History> = BTreeMap::new();
        for (loaded, text) in &self.contracts {
            let contract = Contract::parse(text)?;
            let subject = Hash::of(text.as_bytes());
            let agreed = self.agreed(&contract.hospital.id, AgreementKind::Contract);
            let hospital = agreed.filter(|a| a.subject == subject).map(|a| a.agreed_at).min();
            let version =
                Version { vendor: Some(*loaded), hospital, contract: contract.with_holidays(&self.holidays) };
            by_id.entry(version.contract.id.clone()).or_default().versions.push(version);
        }
        for (id, history) in &mut by_id {
            history.versions.sort_by_key(|version| version.contract.effective_from);
            history.heartbeats = Some(self.heartbeats.clone());
            history.holidays = self.holidays.clone();
            let Some(hospital) = history.versions.last().map(|v| v.contract.hospital.id.clone()) else {
                continue;
            };
            let own = self.incidents.iter().filter(|(of, _)| *of == hospital);
            history.incidents = own.map(|(_, incident)| incident.clone()).collect();
            let speaks = |speaker: &&Speaker| speaker.approved && speaker.hospital == hospital;
            history.devices = reported::by_label(self.devices.values().filter(speaks));
            // Of those that any version of the contract covers.
            let covers =
                |version: &Version, s: &Speaker| version.contract.devices.covers(&s.label, s.group.as_ref());
            let covered = |speaker: &&Speaker| history.versions.iter().any(|v| covers(v, speaker));
            let covered = self.devices.values().filter(speaks).filter(covered);
            history.failed_pushes = reported::failed_pushes(covered);
            let agreed: Vec<RecordAgreement> =
                self.agreed(&hospital, AgreementKind::Record).map(record_agreement).collect();
            for (_, text) in self.records.iter().filter(|(contract, _)| contract == id) {
                history.replay(text, &agreed);
            }
        }
        Ok(by_id)
    }

    fn agreed(&self, hospital: &HospitalId, kind: AgreementKind) -> impl Iterator<Item = &Agreement> {
        let hospital = hospital.clone();
        self.agreements.iter().filter(move |a| a.hospital == hospital && a.kind == kind.code())
    }
}

fn record_agreement(agreement: &Agreement) -> RecordAgreement {
    let agreed = Agreed { at: agreement.agreed_at, by: agreement.hospital.to_string() };
    RecordAgreement { subject: agreement.subject, agreed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::span::Span;
    use tenken_common::id::Name;

    const EXAMPLE: &str = include_str!("../../../../../packaging/config/contract.example.toml");

    #[test]
    fn a_device_counts_that_any_version_of_the_contract_covers() {
        let span = Span::new(Timestamp::from_secs(50), Timestamp::from_secs(60));
        let speaker = |label: &str| Speaker {
            hospital: HospitalId(Name::new("minato").unwrap()),
            label: Name::new(label).unwrap(),
            group: None,
            enrolled: Timestamp::EPOCH,
            approved: true,
            said: reported::Said { failed_pushes: vec![span], ..reported::Said::default() },
        };
        let failed = |label: &str| {
            let one = EXAMPLE.replacen("devices = [\"ct-1\", \"mri-1\"]", "devices = [\"ct-9\"]", 1);
            assert_ne!(one, EXAMPLE);
            let contracts = vec![(Timestamp::EPOCH, EXAMPLE.to_owned()), (Timestamp::from_secs(9), one)];
            let devices = [(DeviceId([1; 16]), speaker(label))].into();
            let sources = Sources { contracts, devices, ..Sources::default() };
            sources.histories().unwrap().into_values().next().unwrap().failed_pushes
        };
        assert_eq!((failed("ct-1"), failed("ct-9")), (vec![span], vec![span]));
        assert_eq!(failed("ct-5"), []);
    }
}
