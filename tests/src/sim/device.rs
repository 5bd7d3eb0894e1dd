//! A simulated device: the product's spool, pusher, consent gate and clock, and the thin shell
//! around them, written after `tenken_agent`'s delivery loop.
//!
//! Holds: what the product decides is decided by the product's code; this file only does what it
//! is told, over a disk and a clock that the world has in its hand.

use super::{
    Ask, Cx, Path, PlantedShell, Reply,
    clock::SimClock,
    disk::{DiskImage, SimDisk, SimEngine, SimStates},
    rows::Row,
};
use std::time::Duration;
use tenken_agent_core::{
    consent_gate::ConsentGate,
    device_clock::DeviceClock,
    pusher::{Halt, Outcome, PushEffect, PushPolicy, PushStep, PushView, Pusher},
    spool::{BatchLimit, ChainStart, Cut, CutContext, DurableSpool, Spool, SpoolError, Standing},
};
use tenken_common::{
    ack::{Ack, Reject, ResumeReply, ResumeRequest, SignedTime},
    category::Category,
    enrollment::HostFacts,
    envelope::{Envelope, Payload, Verified},
    id::{DeviceId, Hash, Name, Nonce},
    key::{PublicKey, SecretKey},
    observation::{Class, Observation},
    renewal::{RenewReply, RenewRequest},
    time::{Moment, Timestamp},
    wire::v1::ReceivedBatch,
};

type Spooled = DurableSpool<SimEngine, SimStates>;

const VERSION: &str = "0.1.0";
/// Steps without a wait that a sound loop never makes in a row.
const BUSY_MAX: u32 = 400;

/// What does not change in a device's life.
#[derive(Debug, Clone)]
pub struct Settings {
    pub policy: PushPolicy,
    pub batch: BatchLimit,
    pub cap_bytes: u64,
    pub ack_key: PublicKey,
    pub hospital_key: PublicKey,
    pub certificate_life_ms: Option<u64>,
}

/// What a power cut leaves.
#[derive(Debug, Clone)]
pub struct DeviceImage {
    disk: DiskImage,
    consent: Option<Envelope>,
    certificate_until: Timestamp,
    start: ChainStart,
    key: SecretKey,
}

/// See the module's head.
pub struct Device {
    /// Which of the world's devices; a clone has a number of its own.
    pub place: usize,
    pub start: ChainStart,
    pub key: SecretKey,
    pub disk: SimDisk,
    pub clock: SimClock,
    pub settings: Settings,
    pub facts: HostFacts,
    /// The hospital's consent as it lies on the disk.
    consent: Option<Envelope>,
    certificate_until: Timestamp,
    /// Grows with each start: what was meant for an earlier life is not taken.
    pub life: u32,
    live: Option<Live>,
}

/// A running agent.
struct Live {
    spool: Option<Spooled>,
    pusher: Pusher,
    gate: ConsentGate,
    time: DeviceClock,
    asked: Option<Asked>,
    challenge: Option<Vec<u8>>,
    asks: u64,
}

/// A request that has no answer yet.
struct Asked {
    number: u64,
    path: Path,
    nonce: Nonce,
    sent: Moment,
    view: PushView,
    cut: Option<Cut>,
}

/// What the loop does next.
pub enum Next {
    Ask(Ask),
    Wait(Duration),
}

/// A believable answer, with its bytes.
enum Said {
    Acked(Verified<Ack>, Vec<u8>),
    Rejected(Verified<Reject>),
    Resumed(Verified<ResumeReply>),
    Time(Vec<u8>),
    Renewed(Verified<RenewReply>),
}

impl Device {
    pub fn new(place: usize, start: ChainStart, key: SecretKey, clock: SimClock, settings: Settings) -> Self {
        let name = |text: &str| Name::new(text).expect("a plain word is a name");
        let facts = HostFacts {
            os: name("linux"),
            arch: name("x86_64"),
            agent_version: name(VERSION),
            machine: Hash::of(&start.device.0),
        };
        let certificate_until = clock
            .server_at(0)
            .plus(Duration::from_millis(settings.certificate_life_ms.unwrap_or(u64::MAX / 4_000)));
        Self {
            place,
            start,
            key,
            disk: SimDisk::default(),
            clock,
            settings,
            facts,
            consent: None,
            certificate_until,
            life: 0,
            live: None,
        }
    }

    pub fn device(&self) -> DeviceId {
        self.start.device
    }

    pub fn is_up(&self) -> bool {
        self.live.is_some()
    }

    pub fn halted(&self) -> Option<Halt> {
        self.live.as_ref().and_then(|live| live.pusher.halted())
    }

    pub fn image(&self) -> DeviceImage {
        DeviceImage {
            disk: self.disk.image(),
            consent: self.consent.clone(),
            certificate_until: self.certificate_until,
            start: self.start,
            key: self.key.clone(),
        }
    }

    /// The disk is put back; the device must be down.
    pub fn restore(&mut self, image: &DeviceImage) {
        self.disk.restore(&image.disk);
        self.consent.clone_from(&image.consent);
        self.certificate_until = image.certificate_until;
        self.start = image.start;
        self.key = image.key.clone();
    }

    /// Memory is gone.
    pub fn crash(&mut self) {
        self.live = None;
    }

    /// Ends cleanly: unused ids are given back.
    pub fn stop(&mut self) {
        if let Some(spool) = self.live.take().and_then(|live| live.spool) {
            let mut spool = spool;
            // A disk that refuses leaves what a crash leaves.
            let _ = spool.close();
        }
    }

    /// Starts the agent.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        self.life += 1;
        let mut live = Live {
            spool: None,
            pusher: Pusher::new(self.settings.policy, cx.dice.next()),
            gate: ConsentGate::new(self.settings.hospital_key, self.start.device, None, 0),
            time: DeviceClock::new(Timestamp::MIN),
            asked: None,
            challenge: None,
            asks: 0,
        };
        if let Ok(spool) = self.open(cx) {
            live.time = DeviceClock::new(last_signed(spool.newest_ack().as_deref(), &self.settings.ack_key));
            live.gate = ConsentGate::new(
                self.settings.hospital_key,
                self.start.device,
                None,
                spool.consent_version(),
            );
            live.spool = Some(spool);
            self.live = Some(live);
            self.look_at_consent(cx);
        }
    }

    /// The open ladder, as far as a disk in memory has rungs.
    fn open(&self, cx: &mut Cx<'_>) -> Result<Spooled, SpoolError> {
        let open = |whole: bool| {
            let (engine, states) = (self.disk.engine(), self.disk.states());
            if whole {
                DurableSpool::open_whole(engine, states, self.start, self.settings.cap_bytes)
            } else {
                DurableSpool::open(engine, states, self.start, self.settings.cap_bytes)
            }
        };
        let opened = match open(true) {
            Err(SpoolError::Behind) => {
                cx.rows.note(Row::SpoolLost);
                open(false)
            }
            other => other,
        };
        if let Ok(spool) = &opened {
            let (_, seq, hash) = spool.head();
            cx.oracle.opened(self.place, seq, hash);
        }
        opened
    }

    /// A spool that halted is opened again before it is used, as the spool's thread does.
    fn spool(&mut self, cx: &mut Cx<'_>) -> Result<&mut Spooled, SpoolError> {
        let halted = match &self.live {
            None => return Err(SpoolError::Halted),
            Some(live) => live.spool.as_ref().is_none_or(Spool::is_halted),
        };
        if halted {
            if let Some(live) = self.live.as_mut() {
                live.spool = None;
            }
            let opened = self.open(cx)?;
            if let Some(live) = self.live.as_mut() {
                live.spool = Some(opened);
            }
        }
        self.live.as_mut().and_then(|live| live.spool.as_mut()).ok_or(SpoolError::Halted)
    }

    fn now(&self, cx: &Cx<'_>) -> Moment {
        self.clock.at(cx.now)
    }

    fn authority(&self, cx: &Cx<'_>) -> Timestamp {
        let now = self.now(cx);
        match &self.live {
            Some(_) if cx.shell_bug(PlantedShell::WallClockDecides) => now.wall,
            Some(live) => live.time.authority(now),
            None => now.wall,
        }
    }

    /// The administrator puts another file in the place of the consent, or takes it away.
    pub fn file_consent(&mut self, cx: &mut Cx<'_>, consent: Option<Envelope>) {
        self.consent = consent;
        self.look_at_consent(cx);
    }

    fn look_at_consent(&mut self, cx: &mut Cx<'_>) {
        let Some(live) = self.live.as_mut() else { return };
        let adopted = match &self.consent {
            None => {
                live.gate.withdraw();
                None
            }
            Some(envelope) => live.gate.adopt(envelope).ok(),
        };
        cx.oracle.consent(self.place, self.consent.as_ref(), &self.settings.hospital_key);
        if let Some(version) = adopted
            && let Ok(spool) = self.spool(cx)
        {
            // What could not be written now is said again at the next start.
            let _ = spool.set_consent_version(version);
        }
    }

    /// Probes saw something. True where it is urgent.
    pub fn record(&mut self, cx: &mut Cx<'_>, observations: Vec<Observation>) -> bool {
        let at = self.authority(cx);
        let Some(live) = self.live.as_ref() else { return false };
        let allowed = |o: &Observation| live.gate.may_record(o.category, at).is_ok();
        let observations: Vec<Observation> = observations.into_iter().filter(allowed).collect();
        if observations.is_empty() {
            return false;
        }
        let place = self.place;
        let Ok(spool) = self.spool(cx) else { return false };
        let before = spool.last_id();
        let appended = spool.append(&observations);
        let urgent = appended.is_ok() && observations.iter().any(|o| o.class() == Class::Urgent);
        if let Err(SpoolError::Full) = appended {
            cx.rows.note(Row::RefusedFull);
        }
        cx.oracle.appended(place, appended.ok().flatten(), before, observations);
        if urgent && let Some(live) = self.live.as_mut() {
            live.pusher.hurry();
        }
        urgent
    }

    /// Whether a request is under way.
    pub fn is_asking(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.asked.is_some())
    }

    /// The delivery loop up to its next request or wait.
    pub fn step(&mut self, cx: &mut Cx<'_>) -> Next {
        let interval = self.settings.policy.interval;
        for _ in 0..BUSY_MAX {
            if self.live.is_none() {
                return Next::Wait(interval);
            }
            let at = self.authority(cx);
            if let Some(ask) = self.renewal(cx, at) {
                return Next::Ask(ask);
            }
            let closed = self.live.as_ref().is_none_or(|live| live.gate.is_open(at).is_err());
            if closed && !cx.shell_bug(PlantedShell::ClosedGateSends) {
                return Next::Wait(interval);
            }
            let Ok(view) = self.view(cx) else { return Next::Wait(self.settings.policy.retry_first) };
            let now = self.now(cx).mono;
            let Some(live) = self.live.as_ref() else { return Next::Wait(interval) };
            match live.pusher.poll(now, &view) {
                PushStep::Wait(wait) => return Next::Wait(wait.min(interval)),
                PushStep::Resume => match self.resume(cx, view) {
                    Ok(ask) => return Next::Ask(ask),
                    Err(_) => return Next::Wait(self.settings.policy.retry_first),
                },
                PushStep::Cut => {
                    if self.cut(cx, &view).is_err() {
                        return Next::Wait(self.settings.policy.retry_first);
                    }
                }
                PushStep::Send => match self.send(cx, view) {
                    Ok(Some(ask)) => return Next::Ask(ask),
                    Ok(None) => {}
                    Err(_) => return Next::Wait(self.settings.policy.retry_first),
                },
            }
        }
        cx.oracle.busy(self.place);
        Next::Wait(interval)
    }

    fn view(&mut self, cx: &mut Cx<'_>) -> Result<PushView, SpoolError> {
        let stats = self.spool(cx)?.stats();
        Ok(PushView {
            waiting: stats.waiting + stats.gaps_waiting,
            urgent: stats.urgent,
            in_flight: stats.in_flight,
            acked_seq: stats.acked_seq,
        })
    }

    /// Nothing waits and nothing is under way.
    pub fn is_drained(&mut self, cx: &mut Cx<'_>) -> bool {
        self.view(cx).is_ok_and(|view| view.waiting == 0 && view.in_flight == 0)
    }

    /// What keeps this device from being drained, for a person.
    pub fn standing(&mut self, cx: &mut Cx<'_>) -> String {
        let halted = self.halted();
        let now = self.now(cx).mono;
        match self.view(cx) {
            Ok(view) => {
                let step = self.live.as_ref().map(|live| live.pusher.poll(now, &view));
                format!("{view:?} halted {halted:?} next {step:?} asking {}", self.is_asking())
            }
            Err(e) => format!("spool: {e}; halted {halted:?}"),
        }
    }

    fn ask(
        &mut self,
        cx: &mut Cx<'_>,
        path: Path,
        (view, cut): (PushView, Option<Cut>),
        seal: impl FnOnce(Nonce, &SecretKey) -> Vec<u8>,
    ) -> Option<Ask> {
        let sent = self.now(cx);
        let nonce = Nonce(cx.dice.bytes());
        let bytes = seal(nonce, &self.key);
        let live = self.live.as_mut()?;
        live.asks += 1;
        let number = live.asks;
        live.asked = Some(Asked { number, path, nonce, sent, view, cut });
        Some(Ask { place: self.place, life: self.life, number, path, bytes: bytes.into(), nonce })
    }

    /// A certificate that is due is renewed before anything else; one that has expired lets
    /// nothing else through.
    fn renewal(&mut self, cx: &mut Cx<'_>, at: Timestamp) -> Option<Ask> {
        let life = Duration::from_millis(self.settings.certificate_life_ms?);
        if at < self.certificate_until.minus(life / 3) {
            return None;
        }
        let now = self.now(cx).mono;
        let live = self.live.as_mut()?;
        let idle = PushView { waiting: 0, urgent: 0, in_flight: 0, acked_seq: Default::default() };
        // The pusher's patience holds for this as well.
        if let PushStep::Wait(wait) = live.pusher.poll(now, &idle)
            && live.pusher.failing_since().is_some()
            && !wait.is_zero()
        {
            return None;
        }
        let challenge = live.challenge.take();
        let start = self.start;
        match challenge {
            None => self.ask(cx, Path::Time, (idle, None), |_, _| Vec::new()),
            Some(challenge) => self.ask(cx, Path::Renew, (idle, None), |nonce, key| {
                let request = RenewRequest {
                    device: start.device,
                    epoch: start.epoch,
                    csr: vec![1].into(),
                    challenge: challenge.into(),
                    nonce,
                };
                sealed(&request, key)
            }),
        }
    }

    fn resume(&mut self, cx: &mut Cx<'_>, view: PushView) -> Result<Ask, SpoolError> {
        let facts = self.facts.clone();
        let spool = self.spool(cx)?;
        let (epoch, last_seq, last_hash) = spool.head();
        let newest_ack = spool.newest_ack().map(Into::into);
        let device = self.start.device;
        let consent_version = self.live.as_ref().map_or(0, |live| live.gate.highest());
        let asked = self.ask(cx, Path::Resume, (view, None), |nonce, key| {
            let challenge = None;
            let request = ResumeRequest {
                device,
                epoch,
                last_seq,
                last_hash,
                newest_ack,
                consent_version,
                facts,
                challenge,
                nonce,
            };
            sealed(&request, key)
        });
        asked.ok_or(SpoolError::Halted)
    }

    fn cut(&mut self, cx: &mut Cx<'_>, view: &PushView) -> Result<(), SpoolError> {
        let at = self.authority(cx);
        let allowed: Vec<Category> = match &self.live {
            Some(live) => Category::ALL.into_iter().filter(|c| live.gate.permits(*c, at).is_ok()).collect(),
            None => Vec::new(),
        };
        let now = self.now(cx);
        let clock = self.live.as_ref().map(|live| live.time.quality(now));
        let clock = clock.unwrap_or(tenken_common::time::ClockQuality::UNKNOWN);
        let (limit, device, place) = (self.settings.batch, self.start.device, self.place);
        let everything = cx.shell_bug(PlantedShell::FirstGateOpen);
        let spool = self.spool(cx)?;
        spool.withdraw(&|category| everything || allowed.contains(&category))?;
        let cut = spool.cut(limit, &CutContext { device, at: now, clock, agent_version: VERSION });
        let cut = match cut {
            Ok(cut) => cut,
            Err(e) => {
                // It may be on the disk all the same.
                cx.oracle.cut_unknown(place);
                return Err(e);
            }
        };
        if let Some(cut) = &cut {
            cx.oracle.cut(place, cut.seq, cut.hash);
            cx.trace.say(cx.now, || format!("device {place} cut seq {} of {}", cut.seq, cut.records));
        }
        let outcome = if cut.is_some() { Outcome::Cut } else { Outcome::NothingCut };
        self.outcome(cx, view, &outcome);
        Ok(())
    }

    fn send(&mut self, cx: &mut Cx<'_>, view: PushView) -> Result<Option<Ask>, SpoolError> {
        let Some(cut) = self.spool(cx)?.next_in_flight()? else {
            self.outcome(cx, &view, &Outcome::BodyLost);
            return Ok(None);
        };
        let at = self.authority(cx);
        if self.forbidden(&cut, at).is_some() && !cx.shell_bug(PlantedShell::SecondGateOpen) {
            let retry_after = Some(self.settings.policy.interval);
            self.outcome(cx, &view, &Outcome::Failed { retry_after });
            return Ok(None);
        }
        let body = cut.body.clone();
        let asked = self.ask(cx, Path::Batch, (view, Some(cut)), |_, key| {
            Envelope::seal_bytes(ReceivedBatch::TYPE, body, key).to_bytes()
        });
        Ok(asked)
    }

    fn forbidden(&self, cut: &Cut, at: Timestamp) -> Option<Category> {
        let received = ReceivedBatch::decode(&cut.body).ok()?;
        let gate = &self.live.as_ref()?.gate;
        received
            .batch
            .records
            .iter()
            .map(|record| record.observation.category)
            .find(|category| gate.permits(*category, at).is_err())
    }

    /// An answer came, or none did.
    pub fn answered(&mut self, cx: &mut Cx<'_>, number: u64, reply: &Reply) {
        let received = self.now(cx);
        let Some(asked) = self.live.as_mut().and_then(|live| live.asked.take_if(|a| a.number == number)) else {
            return;
        };
        let failed = |retry_after| Outcome::Failed { retry_after };
        let bytes = match reply {
            Reply::Bytes(bytes) => bytes,
            Reply::Bare { retry_after } => {
                self.outcome(cx, &asked.view, &failed(*retry_after));
                return;
            }
        };
        let Some(said) = self.understand(bytes, &asked, received) else {
            self.outcome(cx, &asked.view, &failed(None));
            return;
        };
        match (asked.path, said) {
            (Path::Resume, Said::Resumed(reply)) => self.resumed(cx, &asked.view, &reply),
            (Path::Resume, Said::Rejected(reject)) => {
                self.outcome(cx, &asked.view, &Outcome::Rejected(&reject));
            }
            (Path::Batch, Said::Acked(ack, envelope)) => {
                let effect = self.outcome(cx, &asked.view, &Outcome::Acked(&ack));
                let place = self.place;
                if effect == PushEffect::Release
                    && let Ok(spool) = self.spool(cx)
                {
                    let _ = spool.release(&ack, &envelope);
                    let acked = spool.stats().acked_seq;
                    cx.oracle.let_go(place, acked);
                }
            }
            (Path::Batch, Said::Rejected(reject)) => {
                let ours = asked.cut.as_ref().is_some_and(|cut| {
                    reject.epoch == cut.epoch && reject.seq == cut.seq && reject.hash == cut.hash
                });
                let outcome = if ours { Outcome::Rejected(&reject) } else { failed(None) };
                self.outcome(cx, &asked.view, &outcome);
            }
            (Path::Time, Said::Time(challenge)) => {
                if let Some(live) = self.live.as_mut() {
                    live.challenge = Some(challenge);
                }
            }
            (Path::Renew, Said::Renewed(reply)) => {
                cx.rows.note(Row::Renewed);
                let until = reply.certificates.first().and_then(|c| c.as_slice().try_into().ok());
                self.certificate_until =
                    until.map_or(self.certificate_until, |b| Timestamp::from_micros(i64::from_be_bytes(b)));
            }
            _ => {
                self.outcome(cx, &asked.view, &failed(None));
            }
        }
    }

    fn resumed(&mut self, cx: &mut Cx<'_>, view: &PushView, reply: &ResumeReply) {
        if reply.epoch != self.start.epoch {
            cx.rows.note(Row::ResumeOtherEpoch);
            self.outcome(cx, view, &Outcome::OtherEpoch);
            return;
        }
        let place = self.place;
        let taken = self.spool(cx).and_then(|spool| {
            let standing = spool.adopt_head(reply.committed_seq, reply.committed_hash)?;
            let declared =
                if standing == Standing::InStep { spool.answer_missing(&reply.missing)? } else { 0 };
            Ok((standing, declared, spool.stats().acked_seq, spool.head()))
        });
        let Ok((standing, declared, acked, head)) = taken else { return };
        cx.trace.say(cx.now, || format!("device {place} resumed at {}: {standing:?}", reply.committed_seq));
        cx.rows.note(match standing {
            Standing::InStep if head.1 > reply.committed_seq => Row::ResumeDeviceAhead,
            Standing::InStep => Row::ResumeInStep,
            Standing::DeviceBehind => Row::ResumeDeviceBehind,
            Standing::CollectorBehind => Row::ResumeCollectorBehind,
        });
        if declared > 0 {
            cx.rows.note(Row::ResumeMissing);
        }
        cx.oracle.let_go(place, acked);
        self.outcome(cx, view, &Outcome::Resumed(standing));
    }

    fn understand(&mut self, bytes: &[u8], asked: &Asked, received: Moment) -> Option<Said> {
        let envelope = Envelope::from_bytes(bytes).ok()?;
        let key = &self.settings.ack_key;
        let kind = envelope.payload_type();
        let (said, subject, server, echo) = if kind == Ack::TYPE {
            let ack = envelope.open::<Ack>(key).ok()?;
            let facts = (ack.device, ack.server, ack.echo_nonce);
            (Said::Acked(ack, bytes.to_vec()), facts.0, facts.1, facts.2)
        } else if kind == Reject::TYPE {
            let reject = envelope.open::<Reject>(key).ok()?;
            let facts = (reject.device, reject.server, reject.echo_nonce);
            (Said::Rejected(reject), facts.0, facts.1, facts.2)
        } else if kind == SignedTime::TYPE {
            let time = envelope.open::<SignedTime>(key).ok()?;
            if time.echo_nonce != asked.nonce {
                return None;
            }
            (Said::Time(bytes.to_vec()), self.start.device, time.server, time.echo_nonce)
        } else if kind == RenewReply::TYPE {
            let reply = envelope.open::<RenewReply>(key).ok()?;
            if reply.echo_nonce != asked.nonce {
                return None;
            }
            let facts = (reply.device, reply.server, reply.echo_nonce);
            (Said::Renewed(reply), facts.0, facts.1, facts.2)
        } else {
            let reply = envelope.open::<ResumeReply>(key).ok()?;
            let facts = (reply.device, reply.server, reply.echo_nonce);
            (Said::Resumed(reply), facts.0, facts.1, facts.2)
        };
        if subject != self.start.device {
            return None;
        }
        if echo == asked.nonce
            && let Some(live) = self.live.as_mut()
        {
            live.time.on_signed_time(asked.sent, received, server);
        }
        Some(said)
    }

    fn outcome(&mut self, cx: &mut Cx<'_>, view: &PushView, outcome: &Outcome<'_>) -> PushEffect {
        let now = self.now(cx).mono;
        let Some(live) = self.live.as_mut() else { return PushEffect::None };
        let before = live.pusher.halted();
        let effect = live.pusher.on_outcome(now, view, outcome);
        let halted = live.pusher.halted();
        if halted != before {
            let place = self.place;
            cx.trace.say(cx.now, || format!("device {place} halted: {halted:?}"));
        }
        effect
    }
}

fn sealed<T: Payload>(value: &T, key: &SecretKey) -> Vec<u8> {
    Envelope::seal(value, key).expect("a message of plain fields always encodes").to_bytes()
}

/// As the agent's start does it.
fn last_signed(newest_ack: Option<&[u8]>, ack_key: &PublicKey) -> Timestamp {
    newest_ack
        .and_then(|bytes| Envelope::from_bytes(bytes).ok())
        .and_then(|envelope| envelope.open::<Ack>(ack_key).ok())
        .map_or(Timestamp::MIN, |ack| ack.server)
}
