//! A receiver of webhooks: it keeps every request and answers as it was told to.

use crate::http;
use std::{
    collections::{BTreeMap, VecDeque},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// What it was answered with.
    pub status: u16,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<WebhookRequest>,
    next_statuses: VecDeque<u16>,
    stopped: bool,
}

/// Stops when dropped.
#[derive(Debug)]
pub struct WebhookReceiver {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl WebhookReceiver {
    /// Listens on a free port and answers 200.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        http::serve(listener, move |stream| {
            if locked(&shared).stopped {
                return false;
            }
            keep(stream, &shared);
            true
        });
        Self { port, state }
    }

    /// Answers the next requests with these statuses, one each; then 200 again.
    pub fn answer_next(&self, statuses: &[u16]) {
        locked(&self.state).next_statuses.extend(statuses);
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where to send to: `http://127.0.0.1:port` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Every whole request so far, oldest first.
    pub fn requests(&self) -> Vec<WebhookRequest> {
        locked(&self.state).requests.clone()
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        locked(&self.state).stopped = true;
        // Wakes the accept loop, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Keeps one request before it is answered: who got an answer finds its request here.
fn keep(stream: &TcpStream, state: &Mutex<State>) {
    let Ok(received) = http::receive(stream) else { return };
    let mut words = received.line.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return };
    let status = {
        let mut state = locked(state);
        let status = state.next_statuses.pop_front().unwrap_or(200);
        state.requests.push(WebhookRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: received.headers.into_iter().collect(),
            body: received.body,
            status,
        });
        status
    };
    // A sender that hung up sees that for itself.
    let _ = http::answer(stream, status, "");
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nothing panics while it holds this lock")
}
