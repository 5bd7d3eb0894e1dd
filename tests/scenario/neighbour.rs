//! A device beside the agent's: DCMTK's `storescp` as the other side of a DICOM echo.

use crate::probe::probed;
use std::{net::TcpStream, path::Path, process::Command, time::Duration};
use tenken_tests::{Process, free_port, wait_until};

const BOUND: Duration = Duration::from_secs(20);

fn storescp(dir: &Path, args: &[&str]) -> (Process, u16) {
    let port = free_port();
    let mut command = Command::new("storescp");
    command.args(args).args(["--output-directory", dir.to_str().expect("UTF-8"), &port.to_string()]);
    let process = Process::start(dir, "storescp", &mut command);
    wait_until(BOUND, "storescp to listen", |_| TcpStream::connect(("127.0.0.1", port)).ok());
    (process, port)
}

fn echo(port: u16) -> f64 {
    let config = format!(
        "[[probes.neighbours]]\nname = 'ct-2'\ndicom = 'CT2@127.0.0.1:{port}'\ncalling = 'TENKEN'\ntimeout = '2s'\n"
    );
    let shown = probed(&config, "neighbours");
    let values = shown["values"].as_array().expect("values");
    let state = values.iter().find(|row| row["name"] == "state").expect("a state");
    assert_eq!(state["subject"], "ct-2");
    state["value"].as_f64().expect("a number")
}

#[test]
fn a_dicom_echo_succeeds_is_refused_and_finds_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut accepting, port) = storescp(folder.path(), &[]);
    assert!((echo(port) - 0.0).abs() < f64::EPSILON, "it answers the echo");
    accepting.kill();
    assert!((echo(port) - 2.0).abs() < f64::EPSILON, "nobody listens any more");
    let (mut refusing, port) = storescp(folder.path(), &["--refuse"]);
    assert!((echo(port) - 2.0).abs() < f64::EPSILON, "it refuses every association");
    refusing.kill();
}
