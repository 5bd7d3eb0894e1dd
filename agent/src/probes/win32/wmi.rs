//! A question to Windows Management Instrumentation.
//!
//! Holds: only properties that were asked for by name are copied. One that the class does not have is
//! absent from its row. Each wait is bounded by the caller's word; to connect takes two minutes at most.

use super::com::{Apartment, refused, value};
use crate::probes::com::{ComError, Row};
use std::time::Duration;
use windows::{
    Win32::System::{
        Com::{CoSetProxyBlanket, EOAC_NONE, RPC_C_AUTHN_LEVEL_CALL, RPC_C_IMP_LEVEL_IMPERSONATE},
        Rpc::{RPC_C_AUTHN_WINNT, RPC_C_AUTHZ_NONE},
        Variant::VARIANT,
        Wmi::{
            IWbemLocator, WBEM_FLAG_CONNECT_USE_MAX_WAIT, WBEM_FLAG_FORWARD_ONLY,
            WBEM_FLAG_RETURN_IMMEDIATELY, WBEM_S_FALSE, WBEM_S_TIMEDOUT, WbemLocator,
        },
    },
    core::{BSTR, HSTRING, PCWSTR},
};

/// No class that is asked for has more.
const ROWS_MAX: usize = 64;

/// The objects of a class.
pub fn objects(
    namespace: &str,
    class: &str,
    properties: &[&'static str],
    wait: Duration,
) -> Result<Vec<Row>, ComError> {
    let apartment = Apartment::enter()?;
    let locator: IWbemLocator = apartment.create("WbemLocator", &WbemLocator)?;
    let (none, flags) = (BSTR::new(), WBEM_FLAG_CONNECT_USE_MAX_WAIT.0);
    // SAFETY: strings that live through the call; empty ones mean this account and its language.
    let services =
        unsafe { locator.ConnectServer(&namespace.into(), &none, &none, &none, flags, &none, None) }
            .map_err(refused("ConnectServer"))?;
    // SAFETY: the proxy is ours; there is no name and no identity but this account's.
    unsafe {
        CoSetProxyBlanket(
            &services,
            RPC_C_AUTHN_WINNT,
            RPC_C_AUTHZ_NONE,
            PCWSTR::null(),
            RPC_C_AUTHN_LEVEL_CALL,
            RPC_C_IMP_LEVEL_IMPERSONATE,
            None,
            EOAC_NONE,
        )
    }
    .map_err(refused("CoSetProxyBlanket"))?;
    let query = BSTR::from(format!("SELECT * FROM {class}"));
    let flags = WBEM_FLAG_FORWARD_ONLY | WBEM_FLAG_RETURN_IMMEDIATELY;
    // SAFETY: strings that live through the call.
    let found =
        unsafe { services.ExecQuery(&"WQL".into(), &query, flags, None) }.map_err(refused("ExecQuery"))?;
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let mut rows = Vec::new();
    while rows.len() < ROWS_MAX {
        let (mut objects, mut count) = ([None], 0);
        // SAFETY: places for one object and for their number, which live through the call.
        let got = unsafe { found.Next(wait_ms, &mut objects, &raw mut count) };
        if got.0 == WBEM_S_TIMEDOUT.0 {
            return Err(ComError { call: "Next", code: WBEM_S_TIMEDOUT.0.cast_unsigned() });
        }
        got.ok().map_err(refused("Next"))?;
        let [Some(object)] = objects else { break };
        let property = |name: &&'static str| {
            let (wide, mut held) = (HSTRING::from(*name), VARIANT::default());
            // SAFETY: a string with its end and a place for the value, which live through the call.
            unsafe { object.Get(&wide, 0, &raw mut held, None, None) }.ok()?;
            Some((*name, value(&held)))
        };
        rows.push(properties.iter().filter_map(property).collect());
        if got.0 == WBEM_S_FALSE.0 {
            break;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(20);

    #[test]
    fn this_machine_has_an_operating_system() {
        let rows = objects(
            r"ROOT\CIMV2",
            "Win32_OperatingSystem",
            &["Version", "LocalDateTime", "Primary", "OSType", "NoSuchProperty"],
            WAIT,
        )
        .unwrap();
        let [row] = rows.as_slice() else { panic!("one system: {rows:?}") };
        assert!(row["Version"].text().unwrap().starts_with(|c: char| c.is_ascii_digit()), "{row:?}");
        // wine writes two digits of three for the offset.
        assert!(row["LocalDateTime"].text().is_some_and(|text| text.len() >= 22), "{row:?}");
        assert_eq!((row["Primary"].flag(), row["OSType"].integer()), (Some(true), Some(18)), "{row:?}");
        assert!(!row.contains_key("NoSuchProperty"));
    }

    #[test]
    fn a_namespace_or_a_class_that_is_not_there_gives_no_object() {
        let e = objects(r"ROOT\NoSuchNamespace", "Any", &["Name"], WAIT).unwrap_err();
        assert_eq!(e.to_string(), "ConnectServer failed with 0x8004100E");
        // Of a class that it does not know wine has no objects.
        let none = objects(r"ROOT\CIMV2", "Tenken_NoSuchClass", &["Name"], WAIT);
        assert!(none.as_ref().is_ok_and(Vec::is_empty) || none.is_err_and(|e| e.code == 0x8004_1010));
    }
}
