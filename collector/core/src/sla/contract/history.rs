//! The versions of one contract (SLA A2.3, A2.4).
//!
//! Holds: versions follow each other by effective date, no two on one day, their numbers growing;
//! a version is in force until the next begins, also when its term has passed.

use super::Contract;
use crate::sla::span::Span;
use tenken_common::{
    id::{ContractId, HospitalId},
    time::Timestamp,
};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContractHistory(Vec<Contract>);

/// A version that does not fit to the others.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum HistoryError {
    #[error("this is contract {got}, the versions before are of {expected}")]
    OtherContract { expected: ContractId, got: ContractId },
    #[error("this version is for hospital {got}, the versions before are for {expected}")]
    OtherHospital { expected: HospitalId, got: HospitalId },
    #[error("versions {0} and {1} both take effect on the same day; give one of them another date")]
    SameDay(u32, u32),
    #[error("version {0} takes effect before version {1}; a later version needs a higher number")]
    Order(u32, u32),
}

impl ContractHistory {
    pub fn new(versions: impl IntoIterator<Item = Contract>) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        versions.into_iter().try_for_each(|version| history.add(version))?;
        Ok(history)
    }

    /// Adds a version; the history stays as it was where it does not fit.
    pub fn add(&mut self, version: Contract) -> Result<(), HistoryError> {
        if let Some(other) = self.0.first() {
            if other.id != version.id {
                return Err(HistoryError::OtherContract { expected: other.id.clone(), got: version.id });
            }
            if other.hospital.id != version.hospital.id {
                let (expected, got) = (other.hospital.id.clone(), version.hospital.id);
                return Err(HistoryError::OtherHospital { expected, got });
            }
        }
        let place = self.0.partition_point(|v| v.effective_from < version.effective_from);
        if let Some(next) = self.0.get(place) {
            if next.effective_from == version.effective_from {
                return Err(HistoryError::SameDay(next.version, version.version));
            }
            if next.version <= version.version {
                return Err(HistoryError::Order(version.version, next.version));
            }
        }
        if let Some(before) = place.checked_sub(1).and_then(|i| self.0.get(i))
            && before.version >= version.version
        {
            return Err(HistoryError::Order(before.version, version.version));
        }
        self.0.insert(place, version);
        Ok(())
    }

    pub fn versions(&self) -> &[Contract] {
        &self.0
    }

    /// The version in force at an instant; `None` before the first.
    pub fn in_force(&self, at: Timestamp) -> Option<&Contract> {
        self.0.iter().rfind(|version| version.starts() <= at)
    }

    /// The parts of `span` with the version in force in each, in order.
    pub fn segments(&self, span: Span) -> impl Iterator<Item = (Span, &Contract)> {
        let ends = self.0.iter().skip(1).map(Contract::starts).chain([Timestamp::MAX]);
        self.0.iter().zip(ends).filter_map(move |(version, end)| {
            Some((Span::new(version.starts(), end).intersect(span)?, version))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::contract::EXAMPLE;

    fn version(version: u32, from: &str) -> Contract {
        let mut contract = Contract::parse(EXAMPLE).unwrap();
        contract.version = version;
        contract.effective_from = from.parse().unwrap();
        contract
    }

    #[test]
    fn a_version_goes_on_until_the_next_begins() {
        let history = ContractHistory::new([version(2, "2026-09-16"), version(1, "2026-04-01")]).unwrap();
        let at = |text: &str| history.in_force(text.parse().unwrap()).map(|c| c.version);
        assert_eq!(at("2026-03-31T23:59:59+09:00"), None);
        assert_eq!(at("2026-09-15T23:59:59.999999+09:00"), Some(1));
        assert_eq!(at("2026-09-16T00:00:00+09:00"), Some(2));
        assert_eq!(at("2040-01-01T00:00:00+09:00"), Some(2));
    }

    #[test]
    fn versions_that_do_not_fit_are_refused() {
        let first = || ContractHistory::new([version(2, "2026-04-01")]).unwrap();
        assert_eq!(first().add(version(3, "2026-04-01")), Err(HistoryError::SameDay(2, 3)));
        assert_eq!(first().add(version(3, "2026-03-01")), Err(HistoryError::Order(3, 2)));
        assert_eq!(first().add(version(2, "2026-05-01")), Err(HistoryError::Order(2, 2)));
        let other = Contract { id: "other".parse().unwrap(), ..version(3, "2027-04-01") };
        assert!(matches!(first().add(other), Err(HistoryError::OtherContract { .. })));
        let mut elsewhere = version(3, "2027-04-01");
        elsewhere.hospital.id = "elsewhere".parse().unwrap();
        assert!(matches!(first().add(elsewhere), Err(HistoryError::OtherHospital { .. })));
    }

    #[test]
    fn a_number_is_given_once() {
        let mut history = ContractHistory::new([version(2, "2026-04-01")]).unwrap();
        assert_eq!(history.add(version(2, "2026-03-01")), Err(HistoryError::Order(2, 2)));
        assert_eq!(history.add(version(1, "2026-03-01")), Ok(()));
    }
}
