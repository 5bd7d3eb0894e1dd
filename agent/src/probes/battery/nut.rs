//! The protocol of Network UPS Tools (RFC 9271), as far as it is asked for UPSes and their variables.
//!
//! Holds: it is asked and never told to do anything; there is no login. One deadline and one bound of
//! bytes are for all that a server says, so that one that hangs, drips or never ends costs no more. An
//! answer that is not as the protocol has it is broken as a whole. The parser is pure.
//!
//! Does not: speak TLS (`STARTTLS`); keep a UPS's description, maker or serial number.

use crate::probes::series::Silence;
use std::{
    io::{self, BufRead, BufReader, Read, Take, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};
use tokio::time::Instant;

/// Of all that is asked of one server.
pub const TIMEOUT: Duration = Duration::from_secs(3);
/// No server of a device has more.
pub const UPSES_MAX: usize = 16;
/// Of all answers of one server; a UPS tells a few KiB.
const ANSWER_BYTES_MAX: u64 = 512 * 1024;

/// What follows the kind of a list in each of its lines.
type Row = Vec<String>;

/// A UPS of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ups {
    /// As it stands in the server's configuration.
    pub name: String,
    pub told: Result<Variables, Silence>,
}

/// Names and values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables(Vec<(String, String)>);

impl Variables {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Digits and a point, as the protocol has numbers.
    pub fn number(&self, name: &str) -> Option<f64> {
        let text = self.text(name)?;
        let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
        if text.chars().all(plain) { text.parse().ok() } else { None }
    }
}

/// All UPSes of a server. The error is the server's; a UPS has one of its own.
pub fn ask(server: &str, timeout: Duration) -> Result<Vec<Ups>, Silence> {
    let mut talk = Conversation::begin(server, Instant::now() + timeout)?;
    let listed = talk.list("UPS", None)??;
    if listed.is_empty() {
        return Err(Silence::Missing);
    }
    if listed.len() > UPSES_MAX {
        return Err(Silence::TooLarge);
    }
    let mut upses = Vec::new();
    for row in listed {
        let [name, ..] = row.as_slice() else { return Err(Silence::Broken) };
        let told = match talk.list("VAR", Some(name))? {
            Ok(rows) => Ok(variables(rows, name)?),
            Err(why) => Err(why),
        };
        upses.push(Ups { name: name.clone(), told });
    }
    // All is known; whether the farewell arrives says nothing more.
    let _ = talk.send("LOGOUT");
    Ok(upses)
}

fn variables(rows: Vec<Row>, ups: &str) -> Result<Variables, Silence> {
    let variable = |row: Row| match <[String; 3]>::try_from(row) {
        Ok([of, name, value]) if of == ups => Ok((name, value)),
        Ok(_) | Err(_) => Err(Silence::Broken),
    };
    rows.into_iter().map(variable).collect::<Result<_, _>>().map(Variables)
}

/// Reads no longer than to its deadline.
struct Bounded {
    stream: TcpStream,
    deadline: Instant,
}

impl Bounded {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

struct Conversation(BufReader<Take<Bounded>>);

impl Conversation {
    /// Of a host's several addresses the first that answers.
    fn begin(server: &str, deadline: Instant) -> Result<Self, Silence> {
        let addresses = server.to_socket_addrs().map_err(|_| Silence::Unreachable)?;
        for address in addresses {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Silence::TimedOut);
            }
            if let Ok(stream) = TcpStream::connect_timeout(&address, left) {
                let bounded = Bounded { stream, deadline };
                return Ok(Self(BufReader::new(bounded.take(ANSWER_BYTES_MAX))));
            }
        }
        Err(Silence::Unreachable)
    }

    fn send(&mut self, line: &str) -> Result<(), Silence> {
        let bounded = self.0.get_mut().get_mut();
        let left = bounded.left().map_err(|e| silence(&e))?;
        bounded.stream.set_write_timeout(left).map_err(|e| silence(&e))?;
        bounded.stream.write_all(format!("{line}\n").as_bytes()).map_err(|e| silence(&e))
    }

    /// What is not UTF-8 stands in texts that nobody keeps.
    fn line(&mut self) -> Result<String, Silence> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).map_err(|e| silence(&e))?;
        match line.last() {
            Some(b'\n') => Ok(String::from_utf8_lossy(&line).into_owned()),
            _ if self.0.get_ref().limit() == 0 => Err(Silence::TooLarge),
            _ => Err(Silence::Broken),
        }
    }

    /// The outer error ends the conversation, the inner one is the server's refusal.
    fn list(&mut self, kind: &str, of: Option<&str>) -> Result<Result<Vec<Row>, Silence>, Silence> {
        let of = of.map_or_else(String::new, |name| format!(" {}", quoted(name)));
        self.send(&format!("LIST {kind}{of}"))?;
        let mut list = List { kind, begun: false, rows: Vec::new() };
        loop {
            match list.take(&self.line()?)? {
                Step::More => {}
                Step::End => return Ok(Ok(list.rows)),
                Step::Refused(why) => return Ok(Err(why)),
            }
        }
    }
}

fn silence(e: &io::Error) -> Silence {
    // A read that took too long is either, by system.
    if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) {
        Silence::TimedOut
    } else {
        Silence::Broken
    }
}

/// A list while it comes.
struct List<'a> {
    kind: &'a str,
    begun: bool,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    More,
    End,
    Refused(Silence),
}

impl List<'_> {
    fn take(&mut self, line: &str) -> Result<Step, Silence> {
        let words = words(line).ok_or(Silence::Broken)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["ERR", why, ..] if !self.begun => Ok(Step::Refused(refusal(why))),
            ["BEGIN", "LIST", kind, ..] if !self.begun && *kind == self.kind => {
                self.begun = true;
                Ok(Step::More)
            }
            ["END", "LIST", kind, ..] if self.begun && *kind == self.kind => Ok(Step::End),
            [kind, row @ ..] if self.begun && *kind == self.kind => {
                self.rows.push(row.iter().map(|word| (*word).to_owned()).collect());
                Ok(Step::More)
            }
            _ => Err(Silence::Broken),
        }
    }
}

fn refusal(why: &str) -> Silence {
    match why {
        "DATA-STALE" => Silence::Stale,
        "DRIVER-NOT-CONNECTED" => Silence::Unreachable,
        "UNKNOWN-UPS" => Silence::Missing,
        _ => Silence::Unreadable,
    }
}

/// Words of a line: blanks part them outside of quotes, a backslash takes the next character as it
/// is. `None` where a quote or a backslash has no end, or where a quote does not begin or end a word.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(char::is_ascii_whitespace).is_some() {}
        if chars.peek().is_none() {
            return Some(words);
        }
        let mut word = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => word.push(chars.next()?),
                    c => word.push(c),
                }
            }
            if chars.peek().is_some_and(|c| !c.is_ascii_whitespace()) {
                return None;
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
                match c {
                    '"' => return None,
                    '\\' => word.push(chars.next()?),
                    c => word.push(c),
                }
            }
        }
        words.push(word);
    }
}

/// A word as it is sent; a plain one stays as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '@');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
pub mod tests;
