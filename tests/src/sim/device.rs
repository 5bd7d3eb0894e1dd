//! A simulated device: the product's spool, pusher, consent gate and clock, and the thin shell
//! around them, written after `tenken_agent`'s delivery loop.
//!
//! Holds: what the product decides is decided by the product's code; this file only does what it
//! is told, over a disk and a clock that the world has in its hand.

use super::{
    Ask, Bug, Cx, Path, Reply,
    clock::{SimClock, server_at},
    disk::{DiskImage, SimDisk, SimEngine, SimStates},
    rows::Row,
};
use std::time::Duration;
use tenken_agent_core::{
    consent_gate::ConsentGate,
    device_clock::DeviceClock,
    invariant,
    pusher::{Halt, Outcome, PushEffect, PushPolicy, PushStep, PushView, Pusher},
    spool::{BatchLimit, ChainStart, Cut, CutContext, DurableSpool, Room, Spool, SpoolError, Standing},
};
use tenken_common::{
    ack::{Ack, Reject, RejectReason, ResumeReply, ResumeRequest, SignedTime},
    batch::GapReason,
    category::Category,
    enrollment::HostFacts,
    envelope::{Envelope, Payload, Verified},
    id::{DeviceId, Hash, Name, Nonce, Seq},
    key::{PublicKey, SecretKey},
    limit,
    observation::{Class, Observation},
    renewal::{RejoinGrant, RejoinParts, RejoinRequest, RenewReply, RenewRequest},
    time::{ClockSource, Moment, Timestamp},
};

mod answer;
mod local;
mod renewal;
mod standing;

type Spooled = DurableSpool<SimEngine, SimStates>;

const VERSION: &str = "0.1.0";
/// Steps without a wait that a sound loop never makes in a row.
const BUSY_MAX: u32 = 400;

/// What does not change in a device's life.
#[derive(Debug, Clone)]
pub struct Settings {
    pub policy: PushPolicy,
    /// How long a spool that cannot be used is left alone.
    pub disk_retry: Duration,
    pub batch: BatchLimit,
    pub room: Room,
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
    pending: Option<SecretKey>,
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
    /// The key of a rejoin that the hospital has not approved yet; as durable as the other one.
    pub pending: Option<SecretKey>,
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
    /// No rejoin is asked for before this.
    rejoin_at: u64,
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
    Granted(Verified<RejoinGrant>),
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
        let certificate_until = server_at(0)
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
            pending: None,
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
            pending: self.pending.clone(),
        }
    }

    /// The disk is put back; the device must be down.
    pub fn restore(&mut self, image: &DeviceImage) {
        self.disk.restore(&image.disk);
        self.consent.clone_from(&image.consent);
        self.certificate_until = image.certificate_until;
        self.start = image.start;
        self.key = image.key.clone();
        self.pending.clone_from(&image.pending);
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
        let mut pusher = Pusher::new(self.settings.policy, cx.dice.next());
        if let Some(Bug::Agent(bug)) = cx.bug {
            pusher.plant(bug);
        }
        let mut live = Live {
            spool: None,
            pusher,
            gate: ConsentGate::new(self.settings.hospital_key, self.start.device, None, 0),
            time: DeviceClock::new(Timestamp::MIN),
            asked: None,
            challenge: None,
            rejoin_at: 0,
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
                DurableSpool::open_whole(engine, states, self.start, self.settings.room)
            } else {
                DurableSpool::open(engine, states, self.start, self.settings.room)
            }
        };
        let mut opened = match open(true) {
            Err(SpoolError::Behind) => {
                cx.rows.note(Row::SpoolLost);
                open(false)
            }
            other => other,
        };
        if let (Ok(spool), Some(Bug::Agent(bug))) = (&mut opened, cx.bug) {
            spool.plant(bug);
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
            Some(_) if cx.has(Bug::WallClockDecides) => now.wall,
            Some(live) => live.time.authority(now),
            None => now.wall,
        }
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
            match self.rejoining(cx) {
                Some(Next::Ask(ask)) => return Next::Ask(ask),
                Some(Next::Wait(wait)) => return Next::Wait(wait),
                None => {}
            }
            let gate = self.live.as_ref().map(|live| &live.gate);
            let closed = gate.is_none_or(|gate| gate.may_declare(at).is_err());
            if closed && !cx.has(Bug::ClosedGateSends) {
                // A consent in force that names nothing takes back what waits.
                if gate.is_some_and(|gate| gate.is_open(at).is_ok())
                    && let Ok(spool) = self.spool(cx)
                {
                    let _ = spool.withdraw(&|_| false);
                }
                return Next::Wait(interval);
            }
            let Ok(view) = self.view(cx) else { return Next::Wait(self.settings.disk_retry) };
            let now = self.now(cx).mono;
            let Some(live) = self.live.as_ref() else { return Next::Wait(interval) };
            match live.pusher.poll(now, &view) {
                PushStep::Wait(wait) => return Next::Wait(wait.min(interval)),
                PushStep::Resume => match self.resume(cx, view) {
                    Ok(ask) => return Next::Ask(ask),
                    Err(_) => return Next::Wait(self.settings.disk_retry),
                },
                PushStep::Cut => {
                    if self.cut(cx, &view).is_err() {
                        return Next::Wait(self.settings.disk_retry);
                    }
                }
                PushStep::Send => match self.send(cx, view) {
                    Ok(Some(ask)) => return Next::Ask(ask),
                    Ok(None) => {}
                    Err(_) => return Next::Wait(self.settings.disk_retry),
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
            awaiting_resume: stats.awaiting_resume,
        })
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
        let key = if path == Path::Rejoin { self.pending.as_ref()? } else { &self.key };
        let bytes = seal(nonce, key);
        let live = self.live.as_mut()?;
        live.asks += 1;
        let number = live.asks;
        live.asked = Some(Asked { number, path, nonce, sent, view, cut });
        let certificate = match path {
            Path::Batch | Path::Resume => Some(Hash::of(&self.start.device.0)),
            Path::Time | Path::Renew | Path::Rejoin => None,
        };
        Some(Ask {
            place: self.place,
            life: self.life,
            number,
            path,
            bytes: bytes.into(),
            nonce,
            certificate,
        })
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

    /// Whether anything was cut.
    fn cut(&mut self, cx: &mut Cx<'_>, view: &PushView) -> Result<bool, SpoolError> {
        let at = self.authority(cx);
        let allowed: Vec<Category> = match &self.live {
            Some(live) => Category::ALL.into_iter().filter(|c| live.gate.permits(*c, at).is_ok()).collect(),
            None => Vec::new(),
        };
        let now = self.now(cx);
        let clock = self.live.as_ref().map(|live| live.time.quality(now));
        let clock = clock.unwrap_or(tenken_common::time::ClockQuality::UNKNOWN);
        let (limit, device, place) = (self.settings.batch, self.start.device, self.place);
        let spool = self.spool(cx)?;
        spool.withdraw(&|category| allowed.contains(&category))?;
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
        Ok(cut.is_some())
    }

    fn send(&mut self, cx: &mut Cx<'_>, view: PushView) -> Result<Option<Ask>, SpoolError> {
        let at = self.authority(cx);
        let Some(cut) = self.spool(cx)?.next_in_flight()? else { return Ok(None) };
        let open = cx.has(Bug::SecondGateOpen);
        let permits =
            |category| self.live.as_ref().is_some_and(|live| live.gate.permits(category, at).is_ok());
        let cut = if open || invariant::nothing_unconsented_leaves(&cut, permits) {
            cut
        } else {
            self.spool(cx)?.stub(cut.seq, GapReason::NotConsented)?
        };
        cx.oracle.sending(self.place, cut.seq, cut.hash);
        match cut.stub {
            Some(GapReason::NotConsented) => cx.rows.note(Row::StubConsent),
            Some(GapReason::Refused) => cx.rows.note(Row::StubRefused),
            Some(_) => cx.rows.note(Row::StubLost),
            None => {}
        }
        let (kind, body) = (cut.payload_type(), cut.body.clone());
        let asked = self.ask(cx, Path::Batch, (view, Some(cut)), |_, key| {
            Envelope::seal_bytes(kind, body, key).to_bytes()
        });
        Ok(asked)
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
