//! What a UPS's variables come to: numbers, and a state by its own status words.
//!
//! Holds: the gravest word counts. A status is good where it says that mains is there (`OL`) and no
//! word stands in it that is not known; without a status, or where the server or the UPS's driver gives
//! none, it is unknown. A UPS that was told of before is then unknown as well, and the server has a
//! check of its own (`upsd`; the second server's is `upsd:2`, and so for its UPSes). What says that it is
//! another kind of device (a power strip) is left out.

use super::{
    charge_ratio,
    nut::{self, Ups, Variables},
};
use crate::probes::{
    Reading, check,
    names::Names,
    series::{Silence, silent},
};
use tenken_agent_core::probe::{ProbeContext, ProbeInfo};
use tenken_common::{
    id::Name,
    observation::{CheckState, Observation},
    unit::Unit,
};

/// What everybody calls the only one.
const WELL_KNOWN: [&str; 1] = ["ups"];
/// A load beyond what a UPS is made for is one that it tells of, up to this.
const LOAD_PERCENT_MAX: f64 = 200.0;
/// A week; more is what a UPS says that does not know.
const RUNTIME_SECONDS_MAX: f64 = 7.0 * 86_400.0;

/// The battery is nearly empty, the load has no power, or will have none in a moment.
const CRITICAL: [&str; 3] = ["LB", "OFF", "FSD"];
/// The battery has to be replaced or is in use, nothing protects the load, something is wrong.
const WARNING: [&str; 5] = ["RB", "OB", "BYPASS", "ALARM", "OVER"];
const MAINS: &str = "OL";
/// How it goes about its work, which is neither good nor bad.
const NEUTRAL: [&str; 8] = ["BOOST", "CAL", "CHRG", "DISCHRG", "TEST", "TICK", "TOCK", "TRIM"];

/// See the module's head.
pub struct Server {
    address: String,
    subject: Name,
    /// Of the names of its UPSes.
    suffix: String,
    /// The UPSes of its last answer.
    known: Vec<Name>,
}

impl Server {
    /// `number` is its place in the configuration.
    pub fn new(number: usize, address: &str) -> Self {
        let suffix = if number == 0 { String::new() } else { format!(":{}", number + 1) };
        let subject = Name::of_outside(&format!("upsd{suffix}"));
        Self { address: address.to_owned(), subject, suffix, known: Vec::new() }
    }

    pub fn look(&mut self, names: &Names, info: &ProbeInfo, cx: &ProbeContext) -> Vec<Observation> {
        let (upses, why, mut seen) = match nut::ask(&self.address, nut::TIMEOUT) {
            Ok(mut upses) => {
                upses.retain(|ups| !ups.told.as_ref().is_ok_and(is_other));
                let there = check(info, cx, self.subject.clone(), CheckState::Ok);
                (upses, Silence::Missing, vec![there])
            }
            Err(why) => {
                tracing::debug!(server = %self.address, reason = why.as_str(), "no answer of upsd");
                (vec![], why, silent(info, cx, &self.subject, why))
            }
        };
        let subject = |ups: &Ups| {
            let name = names.among(&ups.name, &WELL_KNOWN);
            if self.suffix.is_empty() { name } else { Name::of_outside(&format!("{name}{}", self.suffix)) }
        };
        let now: Vec<Name> = upses.iter().map(subject).collect();
        for gone in self.known.iter().filter(|name| !now.contains(name)) {
            seen.extend(silent(info, cx, gone, why));
        }
        for (name, ups) in now.iter().zip(&upses) {
            match &ups.told {
                Ok(told) => {
                    seen.extend(reading(told).about(info, cx, name.clone()));
                    seen.push(check(info, cx, name.clone(), state(told.text("ups.status"))));
                }
                Err(why) => seen.extend(silent(info, cx, name, *why)),
            }
        }
        if !now.is_empty() {
            self.known = now;
        }
        seen
    }
}

/// NUT knows power strips and transfer switches too.
fn is_other(told: &Variables) -> bool {
    told.text("device.type").is_some_and(|kind| kind != "ups")
}

fn reading(told: &Variables) -> Reading {
    let within = |name: &str, max: f64| told.number(name).filter(|value| (0.0..=max).contains(value));
    Reading::default()
        .with("charge_ratio", Unit::Ratio, told.number("battery.charge").and_then(charge_ratio))
        .with("runtime_seconds", Unit::Seconds, within("battery.runtime", RUNTIME_SECONDS_MAX))
        .with("load_ratio", Unit::Ratio, within("ups.load", LOAD_PERCENT_MAX).map(|percent| percent / 100.0))
}

fn state(status: Option<&str>) -> CheckState {
    let words: Vec<&str> = status.unwrap_or_default().split_ascii_whitespace().collect();
    let any_of = |list: &[&str]| words.iter().any(|word| list.contains(word));
    if any_of(&CRITICAL) {
        CheckState::Critical
    } else if any_of(&WARNING) {
        CheckState::Warning
    } else if any_of(&[MAINS]) && words.iter().all(|word| *word == MAINS || NEUTRAL.contains(word)) {
        CheckState::Ok
    } else {
        CheckState::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::{
        battery::nut::tests::{Upsd, good},
        testing::at_ms,
        testing::values,
    };
    use tenken_common::{category::Category, observation::Body};

    #[test]
    fn the_gravest_word_counts_and_what_is_not_known_is_not_good() {
        for (expected, statuses) in [
            (
                CheckState::Ok,
                &["OL", "OL CHRG", "OL TRIM", "OL BOOST CHRG", " OL  DISCHRG CAL", "OL TEST"][..],
            ),
            (
                CheckState::Warning,
                &["OB", "OB DISCHRG", "OL RB", "ALARM OL", "OL BYPASS", "OL OVER", "OB HB"],
            ),
            (
                CheckState::Critical,
                &["OB LB", "OL LB CHRG", "OFF", "FSD OB LB", "OL OFF", "ALARM OB LB RB NEW"],
            ),
            (CheckState::Unknown, &["", " ", "CHRG", "WAIT", "OL HB", "OL NOCOMM", "ol", "OLOB", "OL,CHRG"]),
        ] {
            for status in statuses {
                assert_eq!(state(Some(status)), expected, "{status}");
            }
        }
        assert_eq!(state(None), CheckState::Unknown);
    }

    /// Subject, state and values.
    type Told = (String, Option<CheckState>, Vec<(String, f64)>);

    /// As a probe's run tells them.
    fn look(server: &mut Server, names: &Names) -> Vec<Told> {
        let info = crate::probes::every_minute("battery", Category::Wear);
        let told = server.look(names, &info, &at_ms(0)).into_iter().map(|o| {
            let subject = o.subject.to_string();
            match &o.body {
                Body::CheckResult(result) => (subject, Some(result.state), vec![]),
                Body::Sample(_) => {
                    let values = values(&o).into_iter().map(|(name, v)| (name.to_owned(), v)).collect();
                    (subject, None, values)
                }
                Body::SelfReport(_) | Body::Fact(_) => panic!("neither: {o:?}"),
            }
        });
        told.collect()
    }

    fn told(subject: &str, state: CheckState, values: &[(&str, f64)]) -> [Told; 2] {
        let values = values.iter().map(|(name, v)| ((*name).to_owned(), *v)).collect();
        [(subject.to_owned(), None, values), (subject.to_owned(), Some(state), vec![])]
    }

    #[test]
    fn a_ups_with_its_numbers_and_its_state() {
        let names = Names::new(&[Name::new("pacs-ups").unwrap()], [7; 32]);
        let upsd = Upsd::start(good);
        let all = look(&mut Server::new(0, &upsd.address), &names);
        let mut expected = vec![("upsd".to_owned(), Some(CheckState::Ok), vec![])];
        expected.extend(told(
            "ups",
            CheckState::Ok,
            &[("charge_ratio", 1.0), ("runtime_seconds", 4_020.0), ("load_ratio", 0.13)],
        ));
        expected.extend(told("pacs-ups", CheckState::Warning, &[("charge_ratio", 0.9)]));
        assert_eq!(all[..5], expected);
        let hidden = &all[5].0;
        assert!(hidden.starts_with("h:"), "a name that nobody declared: {all:?}");
        assert_eq!(all[5..], told(hidden, CheckState::Unknown, &[("stale", 1.0)]));
        let second = look(&mut Server::new(1, &upsd.address), &names);
        assert_eq!((second[0].0.as_str(), second[1].0.as_str()), ("upsd:2", "ups:2"));
    }

    #[test]
    fn a_ups_that_is_told_of_no_more_is_unknown() {
        let names = Names::new(&[], [7; 32]);
        let mut server = Server::new(0, "");
        let lost = |why: &'static str, server: &mut Server, address: &str| {
            server.address = Upsd::start(good).address.clone();
            assert_eq!(look(server, &names).len(), 7);
            address.clone_into(&mut server.address);
            let all = look(server, &names);
            let ups: Vec<_> = all.into_iter().filter(|(subject, ..)| subject == "ups").collect();
            assert_eq!(ups, told("ups", CheckState::Unknown, &[(why, 1.0)]));
        };
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        lost("unreachable", &mut server, &closed.to_string());
        let other = Upsd::start(|line| match line {
            "LIST UPS" => Some(b"BEGIN LIST UPS\nUPS b \"B\"\nEND LIST UPS\n".to_vec()),
            _ => Some(b"BEGIN LIST VAR b\nVAR b ups.status \"OL\"\nEND LIST VAR b\n".to_vec()),
        });
        lost("missing", &mut server, &other.address);
    }

    #[test]
    fn numbers_that_cannot_be_and_power_strips_are_left_out() {
        let upsd = Upsd::start(|line| {
            match line {
            "LIST UPS" => Some(b"BEGIN LIST UPS\nUPS ups \"\"\nUPS pdu \"\"\nEND LIST UPS\n".to_vec()),
            "LIST VAR pdu" => Some(
                b"BEGIN LIST VAR pdu\nVAR pdu device.type \"pdu\"\nVAR pdu ups.load \"50\"\nEND LIST VAR pdu\n"
                    .to_vec(),
            ),
            _ => Some(
                b"BEGIN LIST VAR ups\nVAR ups battery.charge \"1e2\"\nVAR ups battery.runtime \"-1\"\n\
                VAR ups ups.load \"201\"\nVAR ups ups.status \"OL\"\nEND LIST VAR ups\n"
                    .to_vec(),
            ),
        }
        });
        let all = look(&mut Server::new(0, &upsd.address), &Names::new(&[], [7; 32]));
        assert_eq!(all[1..], [("ups".to_owned(), Some(CheckState::Ok), vec![])]);
    }
}
