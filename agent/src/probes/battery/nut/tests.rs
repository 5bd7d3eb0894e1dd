//! Conversations with a server that speaks the protocol, well and badly.

use super::*;
use proptest::prelude::*;
use std::{net::TcpListener, thread};

/// To a line; `None` ends the connection.
pub type Answer = fn(&str) -> Option<Vec<u8>>;

/// A server on this machine for as many clients as come.
pub struct Upsd {
    pub address: String,
}

impl Upsd {
    pub fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                for line in BufReader::new(&stream).lines() {
                    // A client that has enough hangs up.
                    let Some(bytes) = line.ok().and_then(|line| answer(&line)) else { break };
                    if (&stream).write_all(&bytes).is_err() {
                        break;
                    }
                }
            }
        });
        Self { address }
    }
}

/// Three UPSes: one that is well, one on battery, one whose driver tells nothing new.
pub fn good(line: &str) -> Option<Vec<u8>> {
    let text = match line {
        "LIST UPS" => {
            "BEGIN LIST UPS\nUPS ups \"Rack 3 \\\"left\\\" C:\\\\ups\"\nUPS pacs-ups \"Unavailable\"\n\
            UPS P1234567 \"YAMADA^TARO\"\nEND LIST UPS\n"
        }
        "LIST VAR ups" => {
            "BEGIN LIST VAR ups\nVAR ups battery.charge \"100\"\nVAR ups battery.runtime \"4020\"\n\
            VAR ups device.model \"CP900 \\\"S\\\"\"\nVAR ups ups.load \"13\"\nVAR ups ups.status \"OL CHRG\"\n\
            END LIST VAR ups\n"
        }
        "LIST VAR pacs-ups" => {
            "BEGIN LIST VAR pacs-ups\nVAR pacs-ups battery.charge \"90.0\"\n\
            VAR pacs-ups ups.status \"OB DISCHRG\"\nEND LIST VAR pacs-ups\n"
        }
        "LIST VAR P1234567" => "ERR DATA-STALE\n",
        "LOGOUT" => "OK Goodbye\n",
        _ => return None,
    };
    Some(text.as_bytes().to_vec())
}

const PATIENCE: Duration = Duration::from_secs(20);

fn asked(answer: Answer) -> Result<Vec<Ups>, Silence> {
    ask(&Upsd::start(answer).address, PATIENCE)
}

#[allow(clippy::unnecessary_wraps, reason = "it is an answer")]
fn list(of: &str, rows: &str) -> Option<Vec<u8>> {
    Some(format!("BEGIN LIST {of}\n{rows}END LIST {of}\n").into_bytes())
}

#[test]
fn each_ups_with_its_variables_or_why_there_are_none() {
    let all = asked(good).unwrap();
    let names: Vec<_> = all.iter().map(|ups| ups.name.as_str()).collect();
    assert_eq!(names, ["ups", "pacs-ups", "P1234567"]);
    let told = all[0].told.as_ref().unwrap();
    assert_eq!(told.text("device.model"), Some("CP900 \"S\""));
    assert_eq!((told.number("battery.runtime"), told.number("device.model")), (Some(4_020.0), None));
    assert_eq!((told.text("ups.status"), told.text("ups.serial")), (Some("OL CHRG"), None));
    assert_eq!(all[1].told.as_ref().unwrap().number("battery.charge"), Some(90.0));
    assert_eq!(all[2].told, Err(Silence::Stale));
}

#[test]
fn a_driver_that_is_away_is_its_own_ups_only() {
    let all = asked(|line| match line {
        "LIST UPS" => list("UPS", "UPS a \"\"\nUPS b \"\"\nUPS c \"\"\nUPS d \"\"\n"),
        "LIST VAR a" => Some(b"ERR DRIVER-NOT-CONNECTED\n".to_vec()),
        "LIST VAR b" => Some(b"ERR UNKNOWN-UPS\n".to_vec()),
        "LIST VAR c" => Some(b"ERR ACCESS-DENIED\n".to_vec()),
        _ => list("VAR d", "VAR d ups.status OL\n"),
    });
    let told: Vec<_> = all.unwrap().into_iter().map(|ups| ups.told).collect();
    let silences = [Silence::Unreachable, Silence::Missing, Silence::Unreadable];
    assert_eq!(told[..3], silences.map(Err));
    assert_eq!(told[3].as_ref().unwrap().text("ups.status"), Some("OL"), "one word needs no quotes");
}

#[test]
fn a_name_that_needs_quotes_is_asked_for_in_quotes() {
    let all = asked(|line| match line {
        "LIST UPS" => list("UPS", "UPS \"rack \\\"3\\\" \\\\\" \"\"\n"),
        "LIST VAR \"rack \\\"3\\\" \\\\\"" => {
            list("VAR \"rack \\\"3\\\" \\\\\"", "VAR \"rack \\\"3\\\" \\\\\" ups.status \"OL\"\n")
        }
        _ => None,
    });
    let all = all.unwrap();
    assert_eq!(all[0].name, "rack \"3\" \\");
    assert_eq!(all[0].told.as_ref().unwrap().text("ups.status"), Some("OL"));
}

#[test]
fn a_server_that_speaks_badly_is_broken() {
    let answers: [Answer; 9] = [
        |_| None,
        |_| Some(b"HTTP/1.1 400 Bad\r\n\r\n".to_vec()),
        |_| Some(b"\n".to_vec()),
        |_| Some(b"UPS ups \"\"\nEND LIST UPS\n".to_vec()),
        |_| Some(b"BEGIN LIST UPS\nUPS ups \"without end\nEND LIST UPS\n".to_vec()),
        |_| Some(b"BEGIN LIST UPS\nUPS ups \"\"\nERR DATA-STALE\n".to_vec()),
        |_| list("UPS", "UPS\n"),
        |line| {
            if line == "LIST UPS" {
                list("UPS", "UPS a \"\"\n")
            } else {
                list("VAR a", "VAR b ups.status OL\n")
            }
        },
        |line| {
            if line == "LIST UPS" {
                list("UPS", "UPS a \"\"\n")
            } else {
                list("VAR a", "VAR a ups.status OL x\n")
            }
        },
    ];
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(asked(answer), Err(Silence::Broken), "{i}");
    }
    assert_eq!(asked(|_| Some(b"ERR ACCESS-DENIED\n".to_vec())), Err(Silence::Unreadable));
    assert_eq!(asked(|_| list("UPS", "")), Err(Silence::Missing), "a server without a UPS");
}

#[test]
fn a_server_that_hangs_or_drips_is_left_in_time() {
    let hangs: [Answer; 2] = [
        |_| Some(b"BEGIN LIST UPS\nUPS ups".to_vec()),
        |line| if line == "LIST UPS" { list("UPS", "UPS a \"\"\n") } else { Some(vec![]) },
    ];
    for answer in hangs {
        let upsd = Upsd::start(answer);
        assert_eq!(ask(&upsd.address, Duration::from_millis(200)), Err(Silence::TimedOut));
    }
    // A byte now and then, until the client hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let dripping = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut heard = [0; 64];
        while stream.write_all(b"x").is_ok() && !matches!(stream.read(&mut heard), Ok(0)) {}
    });
    assert_eq!(ask(&address, Duration::from_millis(200)), Err(Silence::TimedOut));
    dripping.join().unwrap();
}

#[test]
fn a_server_that_never_ends_is_cut_off() {
    let endless: [Answer; 3] = [
        |_| Some(vec![b'x'; 1024 * 1024]),
        |_| Some([b"BEGIN LIST UPS\n".to_vec(), b"UPS a \"\"\n".repeat(100_000)].concat()),
        |_| list("UPS", &"UPS a \"\"\n".repeat(UPSES_MAX + 1)),
    ];
    for answer in endless {
        assert_eq!(asked(answer), Err(Silence::TooLarge));
    }
}

#[test]
fn nobody_at_the_address() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert_eq!(ask(&closed, PATIENCE), Err(Silence::Unreachable));
    assert_eq!(ask("no-such-host.invalid:3493", PATIENCE), Err(Silence::Unreachable));
}

#[test]
fn words_and_quotes() {
    let got = |line| words(line).map(|words| words.join("|"));
    for (line, expected) in [
        ("VAR su700 ups.mfr \"APC\"\r\n", Some("VAR|su700|ups.mfr|APC")),
        ("a \"b c\" \"\"", Some("a|b c|")),
        (r#""a\"b" "c\\" d\ e"#, Some(r#"a"b|c\|d e"#)),
        ("  \t ", Some("")),
        ("\"山田 太郎\"", Some("山田 太郎")),
        ("\"a", None),
        ("\"a\\\"", None),
        ("a\\", None),
        ("a\"b\"", None),
        ("\"a\"b", None),
    ] {
        assert_eq!(got(line).as_deref(), expected, "{line}");
    }
}

proptest! {
    #[test]
    fn what_was_quoted_is_read_again(all in prop::collection::vec(r#"[a-z"\\ .é]{0,12}"#, 0..5)) {
        let line = all.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(words(&line), Some(all));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..400) {
        let text = String::from_utf8_lossy(&bytes);
        let known = String::from_utf8(good("LIST VAR ups").unwrap()).unwrap();
        let damaged = [known.get(..cut).unwrap_or(&known), &text].concat();
        let mut list = List { kind: "VAR", begun: false, rows: vec![] };
        for line in text.lines().chain(damaged.lines()) {
            let _ = list.take(line);
        }
        let _ = variables(list.rows, "ups");
    }
}
