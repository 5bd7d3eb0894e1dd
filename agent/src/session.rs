//! The session with the collector, apart from records: does what [`Session`] decides, over the way
//! that this device has, and keeps what comes of it in the identity before it is used.
//!
//! Holds: nothing is believed for the connection that it came over. A trust document counts with
//! the signature that the one before asks for; time, certificates and a new epoch with that of the
//! acknowledgement key. None of it carries a record, so it goes on without a consent too. A renewed
//! certificate takes the old one's place once it worked; until then the old one is the spare.

use crate::{
    enroll::{certificate_request, host_facts, make_tls_key},
    identity::{self, Enrolled, IdentityError},
    shared::{Shared, VERSION},
    status::{RejoinStatus, SessionStatus},
    transport::{
        http::{Answer, HttpTransport, TransportError},
        way::{Addresses, Way, WayError},
    },
};
use serde_bytes::ByteBuf;
use std::{rc::Rc, time::Duration};
use tenken_agent_core::{
    pusher::Halt,
    session::{Session, SessionEvent, SessionPolicy, SessionStep, SessionView},
};
use tenken_common::{
    ack::{RejectReason, SignedTime},
    codec::{self, CodecError},
    envelope::{Envelope, EnvelopeError, Payload, Verified},
    id::Nonce,
    key::{self, KeyError, PublicKey},
    limit,
    renewal::{RejoinGrant, RejoinParts, RejoinRequest, RenewReply, RenewRequest},
    telemetry::ErrorChain,
    time::{Clock, ClockSource},
    tls,
    trust::{TrustChain, TrustError},
};

/// Answers of trust documents taken in one go; a device that is further behind asks again later.
const TRUST_ANSWERS_MAX: usize = 64;

/// Why a step came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Way(#[from] WayError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the collector answered HTTP {0}")]
    Status(u16),
    #[error("the collector's answer is not signed by its key")]
    Unsigned(#[source] EnvelopeError),
    #[error("the collector's answer is not signed with a key that this device knows")]
    UnknownSigner,
    #[error("the collector's answer speaks of something else")]
    OtherSubject,
    #[error("the answer holds no trust documents")]
    Chain(#[source] CodecError),
    #[error("a trust document that is not followed")]
    Trust(#[source] TrustError),
    #[error("no random bytes")]
    Random(#[source] KeyError),
    #[error("a request could not be encoded")]
    Encode(#[source] CodecError),
    #[error("the certificate request could not be made")]
    Csr(#[source] rcgen::Error),
    #[error("no challenge is held")]
    Unchallenged,
}

/// What the caller is to do after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to do here before so long: deliver.
    Deliver(Duration),
    /// Something was done; it may be that delivery works from now on.
    Done { helps: bool },
    /// The device has its next epoch: everything is built anew.
    Rejoined,
}

/// What is asked of the collector, apart from records.
pub struct Conversation {
    shared: Rc<Shared>,
    session: Session,
    way: Way,
    /// As it stands; [`Shared::enrolled`] is as it stood at the start.
    enrolled: Enrolled,
    ack_key: PublicKey,
    delivery: HttpTransport,
    /// The certificate before is in use, since the renewed one was refused.
    spare: bool,
    challenge: Option<Vec<u8>>,
    /// TK of a renewal whose answer has not come.
    renewal_key: Option<Vec<u8>>,
    /// The last trouble that was told, so that it is told once.
    told: Option<String>,
}

impl Conversation {
    pub fn new(shared: Rc<Shared>, way: Way, seed: u64) -> Result<Self, SessionError> {
        let enrolled = shared.enrolled.clone();
        let ack_key = enrolled.trust.ack_key().map_err(|e| SessionError::Trust(TrustError::Key(e)))?;
        let delivery = delivery(&shared, &way, &enrolled, &enrolled.tls)?;
        let policy =
            SessionPolicy { retry_first: shared.push.retry_first.0, retry_max: shared.push.retry_max.0 };
        let mut one = Self {
            session: Session::new(policy, seed),
            shared,
            way,
            enrolled,
            ack_key,
            delivery,
            spare: false,
            challenge: None,
            renewal_key: None,
            told: None,
        };
        one.take_stock();
        Ok(one)
    }

    /// Where batches and resume go.
    pub fn delivery(&self) -> &HttpTransport {
        &self.delivery
    }

    /// Opens what the collector signed.
    pub fn open<T: Payload>(&self, envelope: &Envelope) -> Result<Verified<T>, SessionError> {
        envelope.open::<T>(&self.ack_key).map_err(|e| {
            if matches!(e, EnvelopeError::WrongKey) {
                SessionError::UnknownSigner
            } else {
                SessionError::Unsigned(e)
            }
        })
    }

    /// Does the next thing, if there is one. `halted` is how delivery stands.
    pub async fn turn(&mut self, halted: Option<Halt>) -> Turn {
        let view = self.view(halted);
        let step = self.session.poll(&view);
        let done = match step {
            SessionStep::Deliver => return Turn::Deliver(self.session.wait(&view)),
            SessionStep::Trust => self.trust().await.map(|newer| Turn::Done { helps: newer }),
            SessionStep::Time => self.time().await.map(|()| Turn::Done { helps: true }),
            SessionStep::Renew => self.renew().await.map(|()| Turn::Done { helps: true }),
            SessionStep::Rejoin => self.rejoin().await,
        };
        self.take_stock();
        match done {
            Ok(turn) => {
                self.told = None;
                turn
            }
            Err((error, retry_after)) => {
                self.tell(step, &error);
                self.met(&error);
                self.on(SessionEvent::Failed { step, retry_after });
                Turn::Done { helps: false }
            }
        }
    }

    /// For a resume over a connection that shows no certificate: a challenge of this moment.
    pub async fn challenge(&mut self) -> Option<ByteBuf> {
        if !self.way.is_inspected() {
            return None;
        }
        if !self.session.is_challenged(self.shared.clock.mono())
            && let Err((error, retry_after)) = self.time().await
        {
            self.tell(SessionStep::Time, &error);
            self.met(&error);
            self.on(SessionEvent::Failed { step: SessionStep::Time, retry_after });
        }
        self.challenge.clone().map(ByteBuf::from)
    }

    /// Delivery had a believable answer.
    pub fn answered(&mut self) {
        self.on(SessionEvent::Answered);
        if self.enrolled.tls_before.is_none() || self.spare || self.way.is_inspected() {
            return;
        }
        match identity::settle_renewed(&self.shared.state_dir) {
            Ok(enrolled) => self.enrolled = enrolled,
            Err(e) => tracing::warn!(reason = %ErrorChain(&e), "the renewed certificate is not settled yet"),
        }
    }

    /// Delivery found the device where it should be: a rejoin that was begun is given up.
    pub fn in_step(&mut self) {
        if self.enrolled.rejoin.is_none() {
            return;
        }
        match identity::drop_rejoin(&self.shared.state_dir) {
            Ok(enrolled) => self.enrolled = enrolled,
            Err(e) => tracing::warn!(reason = %ErrorChain(&e), "the rejoin is not given up yet"),
        }
        self.take_stock();
    }

    /// What an error says about the session, wherever it was met.
    pub fn met(&mut self, error: &SessionError) {
        if let SessionError::Transport(TransportError::ServerCertificate { dates, .. }) = error {
            self.on(SessionEvent::ServerRefused { dates: *dates });
        } else if let SessionError::Transport(TransportError::ClientCertificate(_)) = error {
            self.on(SessionEvent::ClientRefused);
            self.swap_certificate();
        } else if let SessionError::UnknownSigner = error {
            self.on(SessionEvent::UnknownSigner);
        }
    }

    /// The collector does not know this certificate, as after a restore; a bare status may say so.
    pub fn met_forbidden(&mut self) {
        self.on(SessionEvent::ClientRefused);
    }

    /// The consent holds delivery back, by a date that may be wrong: the collector is asked for it.
    pub fn withheld(&mut self) {
        let quality = self.shared.device_clock.quality(self.shared.clock.now());
        if quality.source == ClockSource::Unknown {
            self.on(SessionEvent::Undated);
        }
    }

    fn on(&mut self, event: SessionEvent) {
        self.session.on(self.shared.clock.mono(), event);
    }

    fn view(&self, halted: Option<Halt>) -> SessionView {
        SessionView {
            now: self.shared.clock.mono(),
            authority: self.shared.authority(),
            renew_at: (!self.way.is_inspected()).then(|| self.enrolled.renew_at()),
            rejoin: self.enrolled.rejoin.is_some() || halted.is_some_and(needs_rejoin),
        }
    }

    fn take_stock(&mut self) {
        self.shared.session.replace(SessionStatus {
            trust_version: self.enrolled.trust.version,
            certificate_ends: Some(self.enrolled.validity.not_after),
            rejoin: RejoinStatus::of(&self.enrolled),
        });
    }

    fn tell(&mut self, step: SessionStep, error: &SessionError) {
        let reason = format!("{step:?}: {}", ErrorChain(error));
        if self.told.as_ref() == Some(&reason) {
            tracing::debug!(%reason, "the collector did not do it again");
        } else {
            tracing::warn!(%reason, "the collector did not do it; trying again later");
        }
        self.told = Some(reason);
    }

    fn swap_certificate(&mut self) {
        let Some(before) = &self.enrolled.tls_before else { return };
        let next = if self.spare { &self.enrolled.tls } else { before };
        match delivery(&self.shared, &self.way, &self.enrolled, next) {
            Ok(transport) => (self.delivery, self.spare) = (transport, !self.spare),
            Err(e) => tracing::warn!(reason = %ErrorChain(&e), "the other certificate cannot be used"),
        }
    }

    /// Takes up what the identity now says.
    fn adopt(&mut self, enrolled: Enrolled) -> Result<(), SessionError> {
        self.ack_key = enrolled.trust.ack_key().map_err(|e| SessionError::Trust(TrustError::Key(e)))?;
        self.delivery = delivery(&self.shared, &self.way, &enrolled, &enrolled.tls)?;
        self.spare = false;
        self.enrolled = enrolled;
        Ok(())
    }

    fn addresses(&self) -> Addresses<'_> {
        addresses(&self.enrolled)
    }

    /// Whether there was a newer document.
    async fn trust(&mut self) -> Result<bool, Failed> {
        let transport = self.way.unjudged(self.addresses()).map_err(plain)?;
        let held = self.enrolled.trust.version;
        for _ in 0..TRUST_ANSWERS_MAX {
            let path = format!("/v1/trust?after={}", self.enrolled.trust.version);
            let answer = transport.get(&path, &nonce().map_err(plain)?).await.map_err(plain)?;
            let chain: TrustChain = codec::from_slice(good(&answer)?, limit::MESSAGE_BYTES_MAX)
                .map_err(|e| plain(SessionError::Chain(e)))?;
            let mut newest = None;
            let mut document = self.enrolled.trust.clone();
            for bytes in chain.documents.iter().take(limit::TRUST_DOCUMENTS_MAX) {
                let envelope = Envelope::from_bytes(bytes).map_err(|e| plain(SessionError::Unsigned(e)))?;
                document = document.follow(&envelope).map_err(|e| plain(SessionError::Trust(e)))?;
                newest = Some(envelope);
            }
            let Some(newest) = newest else { break };
            let enrolled = identity::keep_trust(&self.shared.state_dir, &newest).map_err(plain)?;
            tracing::info!(version = enrolled.trust.version, "following a newer trust document");
            self.adopt(enrolled).map_err(plain)?;
        }
        let newer = self.enrolled.trust.version != held;
        self.on(SessionEvent::Trusted { newer });
        let root = self.enrolled.tls.chain.last();
        if newer && !root.is_some_and(|root| self.enrolled.roots().contains(root)) {
            // The collector will not take it much longer, if it still does.
            self.on(SessionEvent::ClientRefused);
        }
        Ok(newer)
    }

    async fn time(&mut self) -> Result<(), Failed> {
        let transport = self.way.undated(self.addresses(), &self.enrolled.roots()).map_err(plain)?;
        let nonce = nonce().map_err(plain)?;
        let sent = self.shared.clock.now();
        let answer = transport.get("/v1/time", &nonce).await.map_err(plain)?;
        let received = self.shared.clock.now();
        let envelope = Envelope::from_bytes(good(&answer)?).map_err(|e| plain(SessionError::Unsigned(e)))?;
        let time = self.open::<SignedTime>(&envelope).map_err(plain)?;
        if time.echo_nonce != nonce {
            return Err(plain(SessionError::OtherSubject));
        }
        self.shared.device_clock.on_signed_time(sent, received, time.server);
        self.challenge = Some(answer.body);
        self.on(SessionEvent::Told { asked: sent.mono });
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), Failed> {
        let tls_key = match &self.renewal_key {
            Some(key) => key.clone(),
            None => make_tls_key().map_err(|e| plain(SessionError::Random(e)))?,
        };
        self.renewal_key = Some(tls_key.clone());
        let csr = certificate_request(&tls_key, &self.enrolled.device.to_string())
            .map_err(|e| plain(SessionError::Csr(e)))?;
        let nonce = nonce().map_err(plain)?;
        let request = RenewRequest {
            device: self.enrolled.device,
            epoch: self.enrolled.epoch,
            csr: csr.into(),
            challenge: self.challenge.clone().ok_or_else(|| plain(SessionError::Unchallenged))?.into(),
            nonce,
        };
        let envelope = Envelope::seal(&request, &self.enrolled.device_key)
            .map_err(|e| plain(SessionError::Encode(e)))?;
        let sent = self.shared.clock.now();
        let answer = self.post_open("/v1/renew", &envelope, nonce).await?;
        let received = self.shared.clock.now();
        let envelope = Envelope::from_bytes(good(&answer)?).map_err(|e| plain(SessionError::Unsigned(e)))?;
        let reply = self.open::<RenewReply>(&envelope).map_err(plain)?;
        if reply.device != self.enrolled.device || reply.echo_nonce != nonce {
            return Err(plain(SessionError::OtherSubject));
        }
        self.shared.device_clock.on_signed_time(sent, received, reply.server);
        let enrolled =
            identity::keep_renewed(&self.shared.state_dir, &tls_key, &reply.certificates).map_err(plain)?;
        tracing::info!(until = %enrolled.validity.not_after, "the certificate is renewed");
        self.adopt(enrolled).map_err(plain)?;
        self.renewal_key = None;
        self.on(SessionEvent::Renewed);
        Ok(())
    }

    async fn rejoin(&mut self) -> Result<Turn, Failed> {
        if self.enrolled.rejoin.is_none() {
            let enrolled = identity::begin_rejoin(&self.shared.state_dir, make_tls_key).map_err(plain)?;
            self.enrolled = enrolled;
            tracing::warn!("the device asks for a new epoch, which the hospital must approve");
        }
        let keys = self.enrolled.rejoin.clone().ok_or_else(|| plain(IdentityError::NoRejoin))?;
        let csr = certificate_request(&keys.tls_key, &self.enrolled.device.to_string())
            .map_err(|e| plain(SessionError::Csr(e)))?;
        let nonce = nonce().map_err(plain)?;
        let parts = RejoinParts {
            device: self.enrolled.device,
            epoch: self.enrolled.epoch,
            csr,
            facts: host_facts(VERSION),
            challenge: self.challenge.clone().ok_or_else(|| plain(SessionError::Unchallenged))?,
            nonce,
        };
        let request = RejoinRequest::new(keys.device_key.public(), parts);
        let envelope =
            Envelope::seal(&request, &keys.device_key).map_err(|e| plain(SessionError::Encode(e)))?;
        let answer = self.post_open("/v1/rejoin", &envelope, nonce).await?;
        if answer.status == 409 {
            self.on(SessionEvent::NotApproved);
            return Ok(Turn::Done { helps: false });
        }
        let envelope = Envelope::from_bytes(good(&answer)?).map_err(|e| plain(SessionError::Unsigned(e)))?;
        let grant = self.open::<RejoinGrant>(&envelope).map_err(plain)?;
        // A retry is given what was given before, so the nonce may be an earlier one's.
        if grant.device != self.enrolled.device || grant.epoch <= self.enrolled.epoch {
            return Err(plain(SessionError::OtherSubject));
        }
        let genesis = grant.body_hash();
        identity::finish_rejoin(&self.shared.state_dir, &grant, genesis).map_err(plain)?;
        tracing::info!(epoch = grant.epoch.0, "the device has its next epoch");
        Ok(Turn::Rejoined)
    }

    async fn post_open(&self, path: &str, envelope: &Envelope, nonce: Nonce) -> Result<Answer, Failed> {
        let clock = self.shared.device_clock.clone();
        let transport = self.way.open(self.addresses(), &self.enrolled.roots(), clock).map_err(plain)?;
        transport.post(path, envelope.to_bytes(), &nonce).await.map_err(plain)
    }
}

/// An error with what the collector asked for in patience.
type Failed = (SessionError, Option<Duration>);

fn plain(error: impl Into<SessionError>) -> Failed {
    (error.into(), None)
}

fn good(answer: &Answer) -> Result<&[u8], Failed> {
    if answer.status == 200 {
        Ok(&answer.body)
    } else {
        Err((SessionError::Status(answer.status), answer.retry_after))
    }
}

fn nonce() -> Result<Nonce, SessionError> {
    key::random().map(Nonce).map_err(SessionError::Random)
}

fn addresses(enrolled: &Enrolled) -> Addresses<'_> {
    Addresses { push: &enrolled.push_url, open: enrolled.open_url.as_deref() }
}

fn delivery(
    shared: &Shared,
    way: &Way,
    enrolled: &Enrolled,
    identity: &tls::Identity,
) -> Result<HttpTransport, SessionError> {
    let clock = shared.device_clock.clone();
    Ok(way.delivery(addresses(enrolled), &enrolled.roots(), identity, clock)?)
}

/// Whether the collector will take nothing more in this epoch.
fn needs_rejoin(halt: Halt) -> bool {
    match halt {
        Halt::DeviceBehind
        | Halt::OtherEpoch
        | Halt::Rejected(RejectReason::Fork | RejectReason::Quarantined | RejectReason::StaleEpoch) => true,
        Halt::Rejected(_) | Halt::RejectedUnknown(_) | Halt::CollectorBehind => false,
    }
}
