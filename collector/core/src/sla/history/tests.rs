//! Tests of what a stream says about a contract: whose word counts, and for what.

use super::*;
use crate::{desk::notice::IncidentId, sla::contract::EXAMPLE};
use tenken_common::{
    id::Hash,
    statement::{Agreement, AgreementKind},
};

fn at(day: i8) -> Timestamp {
    format!("2026-03-{day:02}T00:00:00+09:00").parse().unwrap()
}

fn agreement(hospital: &str, kind: AgreementKind, text: &str, day: i8) -> Agreement {
    let (hospital, subject) = (hospital.parse().unwrap(), Hash::of(text.as_bytes()));
    Agreement { hospital, kind: kind.code(), subject, agreed_at: at(day) }
}

#[test]
fn only_the_hospitals_own_word_for_this_very_text_puts_it_in_force() {
    let own = Contract::parse(EXAMPLE).unwrap().hospital.id;
    let hospital_of = |agreements: Vec<Agreement>| {
        let contracts = vec![(at(1), EXAMPLE.to_owned())];
        let sources = Sources { contracts, agreements, ..Sources::default() };
        let histories = sources.histories().unwrap();
        histories.values().next().unwrap().versions[0].hospital
    };
    let of = |kind, text, day| agreement(own.as_str(), kind, text, day);
    let (contract, record) = (AgreementKind::Contract, AgreementKind::Record);
    assert_eq!(hospital_of(vec![]), None);
    assert_eq!(hospital_of(vec![agreement("elsewhere", contract, EXAMPLE, 5)]), None);
    assert_eq!(hospital_of(vec![of(record, EXAMPLE, 5)]), None, "of another kind");
    assert_eq!(hospital_of(vec![of(contract, "another text", 5)]), None);
    assert_eq!(
        hospital_of(vec![of(contract, EXAMPLE, 6), of(contract, EXAMPLE, 5)]),
        Some(at(5)),
        "the first"
    );
}

#[test]
fn a_contract_has_its_own_records_and_its_hospitals_incidents() {
    let contract = Contract::parse(EXAMPLE).unwrap();
    let record = |id: &str| {
        let job = format!(
            r#"{{"job":{{"id":"{id}","service":"fault_handling","received_at":"2026-09-24T09:00:00+09:00"}}}}"#
        );
        format!(r#"{{"contract":"{}","record":{job}}}"#, contract.id)
    };
    let incident = |number| IncidentHistory { incident: IncidentId(number), events: vec![] };
    let sources = Sources {
        contracts: vec![(at(1), EXAMPLE.to_owned())],
        records: vec![(contract.id.clone(), record("j-1")), ("another".parse().unwrap(), record("j-2"))],
        incidents: vec![
            (contract.hospital.id.clone(), incident(1)),
            ("elsewhere".parse().unwrap(), incident(2)),
        ],
        ..Sources::default()
    };
    let histories = sources.histories().unwrap();
    let history = &histories[&contract.id];
    assert_eq!(history.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["j-1"]);
    assert_eq!(history.incidents, [incident(1)]);
}
