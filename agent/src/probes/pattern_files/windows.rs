//! Windows: Defender and the Security Center through WMI, asked on a thread of their own.
//!
//! Holds: where there is no such namespace or class there is no such product. A question that is
//! refused or not answered in its time makes Defender a product of which nothing is known, and the
//! described products are told all the same.

use super::{defender, security_center, standing::Standing};
use crate::probes::{
    aside::Aside,
    com::{ComError, Row},
    names::Names,
    win32::wmi,
};
use std::{sync::Arc, time::Duration};
use tenken_agent_core::probe::ProbeInfo;
use tenken_common::{fact::PatternFileStatus, id::Name, telemetry::ErrorChain, time::Timestamp};

const DEFENDER: (&str, &str) = (r"ROOT\Microsoft\Windows\Defender", "MSFT_MpComputerStatus");
const SECURITY_CENTER: (&str, &str) = (r"ROOT\SecurityCenter2", "AntiVirusProduct");
/// Of both questions together, less than the probe has.
const BOUND: Duration = Duration::from_secs(40);
const WAIT: Duration = Duration::from_secs(15);
/// WBEM_S_TIMEDOUT
const NO_ANSWER: u32 = 0x0004_0004;

type Answer = Result<Vec<Row>, ComError>;

/// See the module's head.
pub struct System {
    aside: Aside<[Answer; 2]>,
    names: Arc<Names>,
    /// The configuration describes a product.
    described: bool,
}

impl System {
    pub fn new(names: Arc<Names>, described: bool) -> Self {
        Self { aside: Aside::new("wmi"), names, described }
    }

    pub fn look(&mut self, info: &ProbeInfo, now: Timestamp) -> Vec<(Name, PatternFileStatus)> {
        self.standing(info, now).told(self.described, &self.names, info)
    }

    fn standing(&mut self, info: &ProbeInfo, now: Timestamp) -> Standing {
        let asked = self.aside.ask(BOUND, || {
            let objects = |(namespace, class): (&str, &str), properties: &[&'static str]| {
                wmi::objects(namespace, class, properties, WAIT)
            };
            [objects(DEFENDER, &defender::PROPERTIES), objects(SECURITY_CENTER, &security_center::PROPERTIES)]
        });
        let [defender, center] = match asked {
            Ok(answers) => answers,
            Err(e) => {
                tracing::debug!(reason = %ErrorChain(&e), "WMI gave no answer");
                return Standing { defender: defender::refused(NO_ANSWER, info), products: vec![] };
            }
        };
        let defender = match defender {
            Ok(rows) => rows.first().map(|row| defender::read(row, info, now)),
            Err(e) => {
                tracing::debug!(reason = %e, "Defender gave no answer");
                defender::refused(e.code, info)
            }
        };
        let products = center.unwrap_or_else(|e| {
            tracing::debug!(reason = %e, "the Security Center gave no answer");
            vec![]
        });
        Standing { defender, products: security_center::read(&products) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::{every_six_hours, testing::at_ms};
    use tenken_common::{category::Category, fact::PatternState};

    /// wine has neither namespace.
    #[test]
    fn this_machine_answers_within_the_bound() {
        let info = every_six_hours("pattern_files", Category::PatternFile);
        let names = Arc::new(Names::new(&[], [1; 32]));
        for (product, status) in System::new(names, false).look(&info, at_ms(0).at.wall) {
            let dated = status.defined_at.is_some();
            assert!(dated || status.state != PatternState::Known, "{product}: {status:?}");
        }
    }
}
