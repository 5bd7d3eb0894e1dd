//! The least of HTTP that the test bench speaks: one request, one answer, then the end.
//!
//! Does not: TLS, redirects, chunked bodies (asking as HTTP/1.0 keeps servers from sending them).

use std::{
    io::{BufRead, BufReader, Error, Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

/// No peer on loopback takes longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// `GET path` from a server on loopback.
pub fn get(port: u16, path: &str) -> Result<Answer, Error> {
    ask(port, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"))
}

/// `POST path` to a server on loopback.
pub fn post(port: u16, path: &str, body: &str) -> Result<Answer, Error> {
    let length = body.len();
    ask(
        port,
        &format!("POST {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n\r\n{body}"),
    )
}

fn ask(port: u16, request: &str) -> Result<Answer, Error> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let malformed = || Error::other(format!("no HTTP answer: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(malformed)?;
    Ok(Answer { status, body: body.to_owned() })
}

/// `text` as it may stand in a query string.
pub fn percent_encoded(text: &str) -> String {
    let encode = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// A request as it came: request line, headers in lower case, body by its `Content-Length`.
#[derive(Debug)]
pub(crate) struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub(crate) fn receive(stream: &TcpStream) -> Result<Received, Error> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut next_line = || -> Result<String, Error> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    let line = next_line()?;
    let mut headers = Vec::new();
    loop {
        let header = next_line()?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let mut body = vec![0; length.parse().map_err(Error::other)?];
    reader.read_exact(&mut body)?;
    Ok(Received { line, headers, body })
}

pub(crate) fn answer(mut stream: &TcpStream, status: u16, body: &str) -> Result<(), Error> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} Test\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )?;
    stream.flush()
}

/// Answers requests on a thread of its own until `stop` says so after a connection.
pub(crate) fn serve(listener: TcpListener, mut on: impl FnMut(&TcpStream) -> bool + Send + 'static) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if !stream.is_ok_and(|stream| on(&stream)) {
                break;
            }
        }
    });
}
