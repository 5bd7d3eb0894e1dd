//! A question that may never be answered, asked on a thread of its own.
//!
//! Holds: who asks waits for so long and no longer. While an answer is out, the question is not
//! asked again, so that there is at most one thread left behind for it. A late answer is of no use.
//!
//! Does not: replace the runner's own bound; it lets one source of a probe hang and the others speak.

use std::{
    sync::mpsc::{self, RecvTimeoutError, TryRecvError},
    thread,
    time::Duration,
};
use tenken_agent_core::probe::ProbeError;

/// See the module's head.
#[derive(Debug)]
pub struct Aside<T> {
    name: &'static str,
    out: Option<mpsc::Receiver<T>>,
}

#[derive(Debug, thiserror::Error)]
enum AsideError {
    #[error("no thread could be started for {0}")]
    Start(&'static str, #[source] std::io::Error),
    #[error("the thread of {0} ended without an answer")]
    Gone(&'static str),
}

impl<T: Send + 'static> Aside<T> {
    pub fn new(name: &'static str) -> Self {
        Self { name, out: None }
    }

    pub fn ask(
        &mut self,
        bound: Duration,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ProbeError> {
        if let Some(out) = self.out.take()
            && matches!(out.try_recv(), Err(TryRecvError::Empty))
        {
            self.out = Some(out);
            return Err(ProbeError::TimedOut);
        }
        let (tell, answer) = mpsc::channel();
        let asked = thread::Builder::new().name(format!("tenken-{}", self.name)).spawn(move || {
            // Nobody listens any more to a late answer.
            let _ = tell.send(question());
        });
        asked.map_err(|e| failed(AsideError::Start(self.name, e)))?;
        match answer.recv_timeout(bound) {
            Ok(said) => Ok(said),
            Err(RecvTimeoutError::Disconnected) => Err(failed(AsideError::Gone(self.name))),
            Err(RecvTimeoutError::Timeout) => {
                self.out = Some(answer);
                Err(ProbeError::TimedOut)
            }
        }
    }
}

fn failed(e: AsideError) -> ProbeError {
    ProbeError::Failed(Box::new(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_question_that_hangs_is_not_asked_again_until_it_comes_back() {
        let mut aside = Aside::new("hang");
        assert_eq!(aside.ask(PATIENCE, || 1).unwrap(), 1);
        let (go, gate) = mpsc::channel::<()>();
        let (late, came) = mpsc::channel::<()>();
        let hanging = move || {
            let _ = gate.recv();
            // The answer is sent after this one, by the same thread.
            drop(late);
            2
        };
        assert!(matches!(aside.ask(Duration::from_millis(10), hanging), Err(ProbeError::TimedOut)));
        let asked = || panic!("asked while the answer is out");
        assert!(matches!(aside.ask(PATIENCE, asked), Err(ProbeError::TimedOut)));
        drop(go);
        assert!(came.recv().is_err());
        let answered = loop {
            if let Ok(answer) = aside.ask(PATIENCE, || 3) {
                break answer;
            }
            thread::yield_now();
        };
        assert_eq!(answered, 3, "the late answer was dropped");
    }

    #[test]
    fn a_panic_is_a_failure_of_this_question_only() {
        let mut aside = Aside::new("panic");
        let e = aside.ask(PATIENCE, || -> u8 { panic!("of the test") }).unwrap_err();
        assert!(
            tenken_common::telemetry::ErrorChain(&e).to_string().contains("the thread of panic"),
            "{e:?}"
        );
        assert_eq!(aside.ask(PATIENCE, || 4).unwrap(), 4);
    }
}
