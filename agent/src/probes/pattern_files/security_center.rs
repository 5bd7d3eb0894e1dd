//! The antivirus products that Windows' Security Center lists (clients only; no Server has it).
//!
//! Holds: the center says which product is there and whether it is on, and nothing of its
//! definitions' date, so that a product is never known by it alone: it has to be described in the
//! configuration. Defender is left out, by its fixed id; it speaks for itself.

use crate::probes::com::{Row, Variant};
use tenken_agent_core::probe::ProbeInfo;
use tenken_common::{
    fact::{PatternFileStatus, PatternSource, PatternState},
    id::Name,
};

/// What is asked for.
pub const PROPERTIES: [&str; 3] = ["displayName", "instanceGuid", "productState"];
const DEFENDER: &str = "{D68DDC3A-831F-4FAE-9E44-DA132C1ACF46}";
/// What bits 12 to 15 of `productState` are where the product is on; else it is off, snoozed or expired.
const ON: i64 = 1;
/// As hospitals in Japan have them, blanks as hyphens; any other product's name has to be declared.
pub const PRODUCTS: [&str; 12] = [
    "Apex-One",
    "ESET-Endpoint-Antivirus",
    "ESET-Endpoint-Security",
    "ESET-Security",
    "FFRI-yarai",
    "McAfee-Endpoint-Security",
    "Sophos-Anti-Virus",
    "Sophos-Intercept-X",
    "Symantec-Endpoint-Protection",
    "Trellix-Endpoint-Security",
    "Trend-Micro-Apex-One-Antivirus",
    "WithSecure-Client-Security",
];

/// A product as the center has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub name: String,
    /// `None`: the center does not say.
    pub on: Option<bool>,
}

pub fn read(rows: &[Row]) -> Vec<Product> {
    let product = |row: &Row| {
        let text = |name: &str| row.get(name).and_then(Variant::text).map(str::trim);
        let own = text("instanceGuid").is_some_and(|id| id.eq_ignore_ascii_case(DEFENDER));
        let name = text("displayName").filter(|name| !name.is_empty() && !own)?.to_owned();
        let state = row.get("productState").and_then(Variant::integer).filter(|state| *state >= 0);
        Some(Product { name, on: state.map(|state| (state >> 12) & 0xF == ON) })
    };
    rows.iter().filter_map(product).collect()
}

impl Product {
    pub fn status(&self, info: &ProbeInfo) -> PatternFileStatus {
        PatternFileStatus {
            probe: Name::of_outside(info.name),
            source: PatternSource::SecurityCenter,
            state: if self.on == Some(false) { PatternState::Disabled } else { PatternState::Unknown },
            engine: None,
            version: None,
            defined_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::every_six_hours;
    use tenken_common::category::Category;

    fn row(name: &str, id: &str, state: Variant) -> Row {
        let text = |text: &str| Variant::Text(text.to_owned());
        Row::from([("displayName", text(name)), ("instanceGuid", text(id)), ("productState", state)])
    }

    #[test]
    fn products_with_what_their_state_says() {
        assert_eq!(row("", "", Variant::Empty).into_keys().collect::<Vec<_>>(), PROPERTIES);
        let of = |state| read(&[row("ESET Security", "{77DEAFED-8149-104B-25A1-21771CA47CD1}", state)]);
        for (state, on) in [
            (266_240, Some(true)),
            (266_256, Some(true)),
            (262_144, Some(false)),
            (397_568, Some(true)),
            (393_472, Some(false)),
            (270_336, Some(false)),
            (0, Some(false)),
            (-1, None),
        ] {
            let expected = Product { name: "ESET Security".to_owned(), on };
            assert_eq!(of(Variant::Integer(state)), [expected], "{state:x}");
        }
        assert_eq!(of(Variant::Text("on".to_owned()))[0].on, None);
    }

    #[test]
    fn defender_and_what_has_no_name_are_left_out() {
        let state = Variant::Integer(397_568);
        let defender = row("Microsoft Defender Antivirus", &DEFENDER.to_lowercase(), state.clone());
        assert_eq!(read(&[defender, row("  ", "{1}", state), Row::new()]), []);
        let without_id = Row::from([("displayName", Variant::Text("Apex One".to_owned()))]);
        assert_eq!(read(&[without_id]), [Product { name: "Apex One".to_owned(), on: None }]);
    }

    #[test]
    fn a_product_that_is_on_is_not_known_by_that() {
        let info = every_six_hours("pattern_files", Category::PatternFile);
        let state = |on| Product { name: "x".to_owned(), on }.status(&info).state;
        assert_eq!([Some(true), None].map(state), [PatternState::Unknown; 2]);
        assert_eq!(state(Some(false)), PatternState::Disabled);
    }
}
