//! The delivery loop: asks the pusher what to do, does it over the transport, tells it how it went.
//!
//! Holds: nothing is sent that the consent does not allow at that moment (the second of its two
//! gates): a body that may not go any more goes as a stub, which carries ids only, and stubs wait
//! too where nothing at all may leave. An answer that is not signed by the collector's
//! acknowledgement key, or does not echo the request's nonce, means no more than "again later":
//! what was truly said at another time can be repeated by anybody, and must neither halt a device
//! nor be taken for the present.

use crate::{
    enroll::host_facts,
    session::{Conversation, SessionError, Turn},
    shared::{Shared, VERSION},
    status::DeliveryState,
    transport::http::Answer,
};
use std::{rc::Rc, time::Duration};
use tenken_agent_core::{
    invariant,
    pusher::{Halt, Outcome, PushEffect, PushStep, PushView, Pusher},
    record::push_outage,
    spool::{BatchLimit, Cut, CutContext, SpoolError, Standing},
};
use tenken_common::{
    ack::{Ack, Reject, RejectReason, ResumeReply, ResumeRequest},
    batch::GapReason,
    category::Category,
    codec::CodecError,
    envelope::{Envelope, Payload, Verified},
    id::Nonce,
    key, limit,
    telemetry::ErrorChain,
    time::{Clock, Moment},
};

const BATCH_LIMIT: BatchLimit = BatchLimit {
    records: limit::BATCH_RECORDS_MAX,
    bytes: limit::PLAIN_BYTES_MAX,
    in_flight: limit::IN_FLIGHT_MAX,
};

/// See the module's head.
pub struct Delivery {
    shared: Rc<Shared>,
    pusher: Pusher,
    conversation: Conversation,
    /// The categories by which what waits was weeded last: a consent that did not change weeds
    /// nothing more, and reading all of a long backlog for each cut would hold up its drain.
    weeded_by: Option<Vec<Category>>,
}

/// The device has its next epoch: the parts are to be built anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejoined;

/// A believable answer, with its bytes.
enum Said {
    Acked(Verified<Ack>, Vec<u8>),
    Rejected(Verified<Reject>),
    Resumed(Verified<ResumeReply>),
}

/// Why an answer says nothing.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the collector answered HTTP {0}")]
    Status(u16),
    #[error("the collector's answer is not signed by its key")]
    Unsigned,
    #[error("the collector's answer speaks of another device or batch")]
    OtherSubject,
    #[error("the collector's answer is one to another request")]
    OtherRequest,
    #[error("no random bytes for a nonce")]
    Random(#[source] key::KeyError),
    #[error("a request could not be encoded")]
    Encode(#[source] CodecError),
}

impl Delivery {
    pub fn new(shared: Rc<Shared>, pusher: Pusher, conversation: Conversation) -> Self {
        Self { shared, pusher, conversation, weeded_by: None }
    }

    /// Runs until it is dropped, or the device has its next epoch.
    pub async fn run(&mut self) -> Rejoined {
        loop {
            let soon = match self.conversation.turn(self.pusher.halted()).await {
                Turn::Deliver(soon) => soon,
                Turn::Done { helps } => {
                    if helps {
                        self.pusher.retry_now();
                    }
                    continue;
                }
                Turn::Rejoined => return Rejoined,
            };
            let wait = self.step().await.min(soon);
            if !wait.is_zero() {
                // Something urgent, or a consent that changed, ends the wait.
                let woken = tokio::time::timeout(wait, self.shared.wake.notified()).await;
                if woken.is_ok() && self.pusher.failing_since().is_none() {
                    self.pusher.retry_now();
                }
            }
        }
    }

    /// Sends what waits before the end; gives up where anything fails or asks for patience.
    pub async fn push_last(&mut self, within: Duration) {
        let pushed = tokio::time::timeout(within, async {
            let mut before = None;
            while self.pusher.failing_since().is_none() && self.withheld().is_none() {
                let Ok(view) = self.view().await else { return };
                self.pusher.hurry();
                let step = self.pusher.poll(self.shared.clock.mono(), &view);
                // The same step twice from the same state leads nowhere.
                if before.replace((step, view)) == Some((step, view)) {
                    return;
                }
                match step {
                    PushStep::Wait(_) => return,
                    PushStep::Resume => self.resume(&view).await,
                    PushStep::Cut => {
                        self.cut(&view).await;
                    }
                    PushStep::Send => self.send(&view).await,
                }
            }
        });
        if pushed.await.is_err() {
            tracing::debug!("the last push took too long; the records are kept");
        }
    }

    /// One step; how long to wait before the next.
    async fn step(&mut self) -> Duration {
        if let Some(wait) = self.withheld() {
            self.give_up_what_waits().await;
            self.conversation.withheld();
            return wait;
        }
        let view = match self.view().await {
            Ok(view) => view,
            Err(e) => return self.spool_failed(&e),
        };
        match self.pusher.poll(self.shared.clock.mono(), &view) {
            PushStep::Wait(wait) => return wait.min(self.shared.push.interval.0),
            PushStep::Resume => self.resume(&view).await,
            PushStep::Cut => return self.cut(&view).await,
            PushStep::Send => self.send(&view).await,
        }
        self.tell_outage().await;
        Duration::ZERO
    }

    /// What the device itself saw of an outage that is over.
    async fn tell_outage(&mut self) {
        let Some(outage) = self.pusher.take_outage() else { return };
        let at = self.shared.authority();
        if self.shared.gate.borrow().may_record(Category::Agent, at).is_ok() {
            let observation = push_outage(self.shared.clock.now(), &outage);
            if let Err(e) = self.shared.spool.append(vec![observation]).await {
                self.spool_failed(&e);
            }
        }
    }

    /// A consent that is in force and names nothing takes back what waits; one that has expired
    /// or is away may come again.
    async fn give_up_what_waits(&self) {
        let in_force = self.shared.gate.borrow().is_open(self.shared.authority()).is_ok();
        if in_force && let Err(e) = self.shared.spool.withdraw(|_| false).await {
            self.spool_failed(&e);
        }
    }

    /// Where the consent closes the way out: say so and look again soon.
    fn withheld(&self) -> Option<Duration> {
        let refusal = self.shared.gate.borrow().may_declare(self.shared.authority()).err()?;
        self.shared.delivery(DeliveryState::Withheld, Some(refusal.to_string()), self.pusher.failures());
        Some(self.shared.push.interval.0)
    }

    async fn view(&self) -> Result<PushView, SpoolError> {
        let snapshot = self.shared.spool.snapshot().await?;
        let stats = &snapshot.stats;
        Ok(PushView {
            waiting: stats.waiting + stats.gaps_waiting,
            urgent: stats.urgent,
            in_flight: stats.in_flight,
            acked_seq: stats.acked_seq,
            awaiting_resume: stats.awaiting_resume,
        })
    }

    async fn resume(&mut self, view: &PushView) {
        let snapshot = match self.shared.spool.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(e) => {
                self.spool_failed(&e);
                return;
            }
        };
        let (epoch, last_seq, last_hash) = snapshot.head;
        let asked = async {
            let nonce = Nonce(key::random().map_err(Silence::Random)?);
            let challenge = self.conversation.challenge().await;
            let request = ResumeRequest {
                device: self.shared.enrolled.device,
                epoch,
                last_seq,
                last_hash,
                newest_ack: snapshot.newest_ack.map(Into::into),
                consent_version: self.shared.gate.borrow().highest(),
                facts: host_facts(VERSION),
                challenge,
                nonce,
            };
            let envelope =
                Envelope::seal(&request, &self.shared.enrolled.device_key).map_err(Silence::Encode)?;
            self.ask("/v1/resume", &envelope, nonce).await
        };
        match asked.await {
            Ok((_, Ok(Said::Resumed(reply)))) if reply.epoch == epoch => self.resumed(view, &reply).await,
            Ok((_, Ok(Said::Resumed(_)))) => {
                self.outcome(view, &Outcome::OtherEpoch);
            }
            Ok((_, Ok(Said::Rejected(reject)))) => {
                self.outcome(view, &Outcome::Rejected { reject: &reject, batch: false });
            }
            Ok((answer, Ok(Said::Acked(..)))) => self.silence(view, Some(&answer), &Silence::OtherSubject),
            Ok((answer, Err(silence))) => self.silence(view, Some(&answer), &silence),
            Err(silence) => self.silence(view, None, &silence),
        }
    }

    async fn resumed(&mut self, view: &PushView, reply: &ResumeReply) {
        let taken = async {
            let standing = self.shared.spool.adopt_head(reply.committed_seq, reply.committed_hash).await?;
            if standing == Standing::InStep {
                self.shared.spool.answer_missing(reply.missing.clone()).await?;
            }
            Ok(standing)
        };
        match taken.await {
            Ok(standing) => {
                self.outcome(view, &Outcome::Resumed(standing));
                if standing == Standing::InStep {
                    self.conversation.in_step();
                }
            }
            Err(e) => {
                self.spool_failed(&e);
            }
        }
    }

    async fn cut(&mut self, view: &PushView) -> Duration {
        let at = self.shared.authority();
        // The consent may have become narrower since these records were made.
        let allowed: Vec<Category> = {
            let gate = self.shared.gate.borrow();
            Category::ALL.into_iter().filter(|c| gate.permits(*c, at).is_ok()).collect()
        };
        let cut = async {
            if self.weeded_by.as_ref() != Some(&allowed) {
                let named = allowed.clone();
                self.shared.spool.withdraw(move |category| named.contains(&category)).await?;
                self.weeded_by = Some(allowed);
            }
            let now = self.shared.clock.now();
            let clock = self.shared.device_clock.quality(now);
            let device = self.shared.enrolled.device;
            self.shared
                .spool
                .cut(BATCH_LIMIT, CutContext { device, at: now, clock, agent_version: VERSION })
                .await
        };
        match cut.await {
            Ok(cut) => {
                let outcome = if cut.is_some() { Outcome::Cut } else { Outcome::NothingCut };
                self.outcome(view, &outcome);
                Duration::ZERO
            }
            Err(e) => self.spool_failed(&e),
        }
    }

    async fn send(&mut self, view: &PushView) {
        let cut = match self.next_to_send().await {
            Ok(Some(cut)) => cut,
            Ok(None) => return,
            Err(e) => {
                self.spool_failed(&e);
                return;
            }
        };
        let seq = cut.seq;
        self.shared.sent.note(seq, cut.payload_type(), &cut.body, self.shared.clock.wall()).await;
        let asked = async {
            let nonce = Nonce(key::random().map_err(Silence::Random)?);
            let device_key = &self.shared.enrolled.device_key;
            let envelope = Envelope::seal_bytes(cut.payload_type(), cut.body.clone(), device_key);
            self.ask("/v1/batch", &envelope, nonce).await
        };
        match asked.await {
            Ok((_, Ok(Said::Acked(ack, envelope)))) => {
                tracing::debug!(seq = seq.0, acked = ack.acked_seq.0, "acknowledged");
                if self.outcome(view, &Outcome::Acked(&ack)) == PushEffect::Release {
                    self.release(view, ack, envelope).await;
                }
            }
            Ok((answer, Ok(Said::Rejected(reject)))) => {
                if reject.epoch == cut.epoch && reject.seq == seq && reject.hash == cut.hash {
                    let outcome = Outcome::Rejected { reject: &reject, batch: cut.stub.is_none() };
                    if let PushEffect::Stub(reason) = self.outcome(view, &outcome)
                        && let Err(e) = self.make_stub(&cut, reason).await
                    {
                        self.spool_failed(&e);
                    }
                } else {
                    self.silence(view, Some(&answer), &Silence::OtherSubject);
                }
            }
            Ok((answer, Ok(Said::Resumed(_)))) => self.silence(view, Some(&answer), &Silence::OtherSubject),
            Ok((answer, Err(silence))) => self.silence(view, Some(&answer), &silence),
            Err(silence) => self.silence(view, None, &silence),
        }
    }

    async fn release(&mut self, view: &PushView, ack: Verified<Ack>, envelope: Vec<u8>) {
        let said: Ack = (*ack).clone();
        match self.shared.spool.release(ack, envelope).await {
            Ok(links) => self.pusher.on_released(self.shared.clock.mono(), view, &said, links),
            Err(e) => drop(self.spool_failed(&e)),
        }
    }

    /// The lowest link in flight, as it may leave now.
    async fn next_to_send(&self) -> Result<Option<Cut>, SpoolError> {
        let Some(cut) = self.shared.spool.next_in_flight().await? else { return Ok(None) };
        let at = self.shared.authority();
        let may_leave = {
            let gate = self.shared.gate.borrow();
            invariant::nothing_unconsented_leaves(&cut, |category| gate.permits(category, at).is_ok())
        };
        if may_leave { Ok(Some(cut)) } else { self.make_stub(&cut, GapReason::NotConsented).await.map(Some) }
    }

    async fn make_stub(&self, cut: &Cut, reason: GapReason) -> Result<Cut, SpoolError> {
        tracing::warn!(seq = cut.seq.0, records = cut.records, reason = reason.as_str(), "batch given up");
        self.shared.spool.stub(cut.seq, reason).await
    }

    /// Sends an envelope and reads what the answer says.
    async fn ask(
        &self,
        path: &str,
        envelope: &Envelope,
        nonce: Nonce,
    ) -> Result<(Answer, Result<Said, Silence>), Silence> {
        let sent = self.shared.clock.now();
        let transport = self.conversation.delivery();
        let answer =
            transport.post(path, envelope.to_bytes(), &nonce).await.map_err(SessionError::Transport)?;
        let received = self.shared.clock.now();
        let said = self.understand(&answer, nonce, sent, received);
        Ok((answer, said))
    }

    fn understand(
        &self,
        answer: &Answer,
        nonce: Nonce,
        sent: Moment,
        received: Moment,
    ) -> Result<Said, Silence> {
        let Ok(envelope) = Envelope::from_bytes(&answer.body) else {
            return Err(if answer.status == 200 {
                Silence::Unsigned
            } else {
                Silence::Status(answer.status)
            });
        };
        let device = self.shared.enrolled.device;
        let kind = envelope.payload_type();
        let (said, subject, server, echo) = if kind == Ack::TYPE {
            let ack = self.conversation.open::<Ack>(&envelope)?;
            let facts = (ack.device, ack.server, ack.echo_nonce);
            (Said::Acked(ack, answer.body.clone()), facts.0, facts.1, facts.2)
        } else if kind == Reject::TYPE {
            let reject = self.conversation.open::<Reject>(&envelope)?;
            let facts = (reject.device, reject.server, reject.echo_nonce);
            (Said::Rejected(reject), facts.0, facts.1, facts.2)
        } else {
            let reply = self.conversation.open::<ResumeReply>(&envelope)?;
            let facts = (reply.device, reply.server, reply.echo_nonce);
            (Said::Resumed(reply), facts.0, facts.1, facts.2)
        };
        if subject != device {
            return Err(Silence::OtherSubject);
        }
        if echo != nonce {
            return Err(Silence::OtherRequest);
        }
        self.shared.device_clock.on_signed_time(sent, received, server);
        Ok(said)
    }

    fn outcome(&mut self, view: &PushView, outcome: &Outcome<'_>) -> PushEffect {
        let effect = self.pusher.on_outcome(self.shared.clock.mono(), view, outcome);
        match (self.pusher.halted(), outcome) {
            (Some(halt), _) => {
                tracing::error!(reason = %halt, "delivery halted");
                if halt == Halt::Rejected(RejectReason::WrongIdentity) {
                    self.conversation.met_forbidden();
                }
                self.shared.delivery(DeliveryState::Halted, Some(halt.to_string()), self.pusher.failures());
            }
            (None, Outcome::Acked(_) | Outcome::Resumed(_) | Outcome::Rejected { .. })
                if self.pusher.failing_since().is_none() =>
            {
                self.conversation.answered();
                self.shared.delivery(DeliveryState::Ok, None, self.pusher.failures());
            }
            (
                None,
                Outcome::Acked(_)
                | Outcome::Resumed(_)
                | Outcome::Rejected { .. }
                | Outcome::OtherEpoch
                | Outcome::Failed { .. }
                | Outcome::NothingCut
                | Outcome::Cut,
            ) => {}
        }
        effect
    }

    fn silence(&mut self, view: &PushView, answer: Option<&Answer>, silence: &Silence) {
        if let Silence::Session(error) = silence {
            self.conversation.met(error);
        } else if let Silence::Status(403) = silence {
            self.conversation.met_forbidden();
        }
        let retry_after = answer.and_then(|a| a.retry_after);
        let first = self.pusher.failing_since().is_none();
        self.outcome(view, &Outcome::Failed { retry_after });
        let why = ErrorChain(silence).to_string();
        if first {
            tracing::warn!(reason = %why, "push failed");
        } else {
            tracing::debug!(reason = %why, "push failed again");
        }
        self.shared.delivery(DeliveryState::Failing, Some(why), self.pusher.failures());
    }

    fn spool_failed(&self, e: &SpoolError) -> Duration {
        self.shared.spool_failed(e);
        self.shared.push.retry_first.0
    }
}
