//! What Windows says of its antivirus products, and which of it is told.
//!
//! Holds: a Defender that stands aside for another product is not told, or a sound computer would
//! look unprotected; without another one it is told as switched off. The Security Center's products
//! are told where the configuration describes none: then the hospital has said which one counts. One
//! that is off is told only where nothing else is there. The center lists some products more than once,
//! after an update for example; each is told once.
//!
//! Limit: the center may go on saying that a product is on that was removed. A Defender that is switched
//! off is then not told, and the other product is told as not known.

use super::security_center::{PRODUCTS, Product};
use crate::probes::{joined, names::Names};
use tenken_agent_core::probe::ProbeInfo;
use tenken_common::{
    fact::{PatternFileStatus, PatternState},
    id::Name,
};

/// The state of Windows' own.
#[derive(Debug, Default)]
pub struct Standing {
    /// `None` where it is not installed.
    pub defender: Option<PatternFileStatus>,
    pub products: Vec<Product>,
}

impl Standing {
    /// `described`: the configuration describes a product.
    pub fn told(self, described: bool, names: &Names, info: &ProbeInfo) -> Vec<(Name, PatternFileStatus)> {
        let (off, on): (Vec<_>, Vec<_>) =
            self.products.into_iter().partition(|product| product.on == Some(false));
        let another = described || !on.is_empty();
        let defender = self.defender.filter(|status| status.state != PatternState::Disabled || !another);
        let alone = !another && defender.is_none();
        let mut told: Vec<_> =
            defender.into_iter().map(|status| (Name::of_outside("defender"), status)).collect();
        let listed = if described {
            vec![]
        } else if alone {
            off
        } else {
            on
        };
        for product in listed {
            let name = names.among(&joined(&product.name), &PRODUCTS);
            if told.iter().all(|(other, _)| *other != name) {
                told.push((name, product.status(info)));
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::every_six_hours;
    use tenken_common::{category::Category, fact::PatternSource};

    fn told(
        defender: Option<PatternState>,
        products: &[(&str, bool)],
        described: bool,
    ) -> Vec<(String, PatternState)> {
        let info = every_six_hours("pattern_files", Category::PatternFile);
        let product = |(name, on): &(&str, bool)| Product { name: (*name).to_owned(), on: Some(*on) };
        let status = |state| PatternFileStatus {
            state,
            source: PatternSource::Defender,
            ..product(&("x", true)).status(&info)
        };
        let standing =
            Standing { defender: defender.map(status), products: products.iter().map(product).collect() };
        let names = Names::new(&[], [1; 32]);
        let told = standing.told(described, &names, &info);
        told.into_iter().map(|(name, status)| (name.to_string(), status.state)).collect()
    }

    fn row(name: &str, state: PatternState) -> (String, PatternState) {
        (name.to_owned(), state)
    }

    #[test]
    fn defender_is_told_unless_it_stands_aside_for_another() {
        use PatternState::{Disabled, Known, Unknown};
        assert_eq!(told(Some(Known), &[], false), [row("defender", Known)]);
        assert_eq!(told(Some(Disabled), &[], false), [row("defender", Disabled)]);
        assert_eq!(told(Some(Disabled), &[], true), []);
        assert_eq!(told(Some(Unknown), &[], true), [row("defender", Unknown)]);
        let eset = [("ESET Security", true)];
        assert_eq!(told(Some(Disabled), &eset, false), [row("ESET-Security", Unknown)]);
        assert_eq!(told(Some(Known), &eset, false), [row("defender", Known), row("ESET-Security", Unknown)]);
        assert_eq!(told(None, &[], false), [], "no product is no data");
    }

    #[test]
    fn what_is_off_or_not_described_does_not_hide_what_is_known() {
        use PatternState::{Disabled, Known};
        let left_over = [("McAfee Endpoint Security", false)];
        assert_eq!(told(Some(Known), &left_over, false), [row("defender", Known)]);
        assert_eq!(told(Some(Disabled), &left_over, false), [row("defender", Disabled)]);
        assert_eq!(told(None, &left_over, false), [row("McAfee-Endpoint-Security", Disabled)]);
        assert_eq!(told(Some(Disabled), &[("ESET Security", true)], true), []);
        let twice = [("ESET Security", true), ("ESET Security", true), ("ESET Security", false)];
        assert_eq!(told(None, &twice, false), [row("ESET-Security", PatternState::Unknown)]);
        let unknown = told(None, &[("Yamada Guard", true)], false);
        assert!(unknown[0].0.starts_with("h:"), "{unknown:?}");
    }
}
