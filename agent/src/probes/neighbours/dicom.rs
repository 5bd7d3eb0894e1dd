//! DICOM C-ECHO (PS3.7 section 9.1.5): asks another application entity whether it is there.
//!
//! The association is the library's; the one command that is sent in it is written here, since it
//! has five elements and no data set.

use super::{AskError, address};
use dicom_ul::{
    association::client::ClientAssociationOptions,
    pdu::{PDataValue, PDataValueType, Pdu},
};
use std::time::Duration;

const VERIFICATION: &str = "1.2.840.10008.1.1";
const COMMAND_FIELD: u16 = 0x0100;
const C_ECHO_RQ: u16 = 0x0030;
const C_ECHO_RSP: u16 = 0x8030;
const STATUS: u16 = 0x0900;
const TITLE_CHARS_MAX: usize = 16;

/// `AE-TITLE@host:port`
pub fn title_and_address(to: &str) -> Option<(&str, &str)> {
    let (title, address) = to.split_once('@')?;
    let fits = !title.is_empty() && title.len() <= TITLE_CHARS_MAX && title.is_ascii();
    let port = address.rsplit_once(':')?.1.parse::<u16>().is_ok();
    (fits && port).then_some((title, address))
}

/// Success is status 0000.
pub fn echo(to: &str, calling: &str, timeout: Duration) -> Result<(), AskError> {
    let (called, host) = title_and_address(to).ok_or_else(|| AskError::NoHost(to.to_owned()))?;
    let refused = |source: dicom_ul::association::Error| AskError::Association {
        to: to.to_owned(),
        source: Box::new(source),
    };
    let mut association = ClientAssociationOptions::new()
        .with_abstract_syntax(VERIFICATION)
        .calling_ae_title(calling)
        .called_ae_title(called)
        .connection_timeout(timeout)
        .read_timeout(timeout)
        .write_timeout(timeout)
        .establish(address(host)?)
        .map_err(refused)?;
    let context = association.presentation_contexts().first().map(|context| context.id);
    let context = context.ok_or_else(|| AskError::NoEcho { to: to.to_owned() })?;
    let value_type = PDataValueType::Command;
    let command =
        PDataValue { presentation_context_id: context, value_type, is_last: true, data: echo_request() };
    association.send(&Pdu::PData { data: vec![command] }).map_err(refused)?;
    let answer = association.receive().map_err(refused)?;
    let status = if let Pdu::PData { data } = &answer {
        data.first().and_then(|value| echo_status(&value.data))
    } else {
        None
    };
    // The answer is there; how the other side ends the association says nothing more.
    let _ = association.release();
    match status {
        Some(0) => Ok(()),
        Some(status) => Err(AskError::Echo { to: to.to_owned(), status }),
        None => Err(AskError::NoEcho { to: to.to_owned() }),
    }
}

/// In Implicit VR Little Endian, as all commands are (PS3.7 section 6.3).
fn echo_request() -> Vec<u8> {
    let mut elements = element(0x0002, format!("{VERIFICATION}\0").as_bytes());
    elements.extend(element(COMMAND_FIELD, &C_ECHO_RQ.to_le_bytes()));
    elements.extend(element(0x0110, &1_u16.to_le_bytes()));
    elements.extend(element(0x0800, &0x0101_u16.to_le_bytes()));
    let length = u32::try_from(elements.len()).unwrap_or(u32::MAX);
    [element(0x0000, &length.to_le_bytes()), elements].concat()
}

fn element(number: u16, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    let mut out = vec![0, 0];
    out.extend(number.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(value);
    out
}

/// The status of a C-ECHO response; `None` for anything else.
fn echo_status(mut bytes: &[u8]) -> Option<u16> {
    let (mut field, mut status) = (None, None);
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(8)?;
        let (group, number) = (u16_at(head, 0)?, u16_at(head, 2)?);
        let length = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
        let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        match (group, number) {
            (0, COMMAND_FIELD) => field = u16_at(value, 0),
            (0, STATUS) => status = u16_at(value, 0),
            _ => {}
        }
        bytes = rest;
    }
    status.filter(|_| field == Some(C_ECHO_RSP))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_and_what_is_none() {
        let field = |value: u16| element(COMMAND_FIELD, &value.to_le_bytes());
        let status = |value: u16| element(STATUS, &value.to_le_bytes());
        assert_eq!(echo_status(&[field(C_ECHO_RSP), status(0)].concat()), Some(0));
        assert_eq!(echo_status(&[status(0x0211), field(C_ECHO_RSP)].concat()), Some(0x0211));
        assert_eq!(echo_status(&[field(C_ECHO_RQ), status(0)].concat()), None, "a request");
        assert_eq!(echo_status(&field(C_ECHO_RSP)), None, "without a status");
        let whole = [field(C_ECHO_RSP), status(0)].concat();
        for cut in 1..whole.len() {
            assert!(echo_status(&whole[..cut]).is_none(), "cut off at {cut}");
        }
        assert_eq!(echo_status(&[0xff; 12]), None);
    }

    #[test]
    fn a_request_says_its_own_length() {
        let request = echo_request();
        assert_eq!(request.len() % 2, 0, "DICOM values have even lengths");
        assert_eq!(u32::from_le_bytes(request[8..12].try_into().unwrap()) as usize, request.len() - 12);
    }
}
