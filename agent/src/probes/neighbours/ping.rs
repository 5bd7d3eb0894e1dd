//! One ICMP echo, where the system lets an ordinary program send it (Linux: `ping_group_range`,
//! icmp(7)); IPv4.

use super::AskError;
use std::time::Duration;

#[cfg(not(target_os = "linux"))]
pub fn ask(_: &str, _: Duration) -> Result<(), AskError> {
    Err(AskError::NotAllowed(std::io::ErrorKind::Unsupported.into()))
}

#[cfg(target_os = "linux")]
pub fn ask(host: &str, timeout: Duration) -> Result<(), AskError> {
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrV4, SocketType, ipproto, recv, sendto, socket,
        sockopt::{Timeout, set_socket_timeout},
    };
    use std::net::SocketAddr;

    let SocketAddr::V4(address) = super::address(&format!("{host}:0"))? else {
        return Err(AskError::NoHost(host.to_owned()));
    };
    let not_allowed = |e: rustix::io::Errno| AskError::NotAllowed(e.into());
    let no_answer = |e: rustix::io::Errno| AskError::NoAnswer { to: host.to_owned(), source: e.into() };
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::ICMP)).map_err(not_allowed)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(timeout)).map_err(not_allowed)?;
    let to = SocketAddrV4::new(*address.ip(), 0);
    sendto(&socket, &echo_request(), SendFlags::empty(), &to).map_err(no_answer)?;
    let mut answer = [0; 64];
    let (_, got) = recv(&socket, &mut answer, RecvFlags::empty()).map_err(no_answer)?;
    // The kernel gives this socket answers to its own requests only; type 0 is an echo reply.
    if answer.get(..got).and_then(<[u8]>::first) == Some(&0) {
        Ok(())
    } else {
        Err(AskError::NoAnswer { to: host.to_owned(), source: std::io::ErrorKind::InvalidData.into() })
    }
}

/// Type 8, code 0; the kernel fills in the identifier and the checksum.
#[cfg(target_os = "linux")]
fn echo_request() -> [u8; 8] {
    [8, 0, 0, 0, 0, 0, 0, 1]
}
