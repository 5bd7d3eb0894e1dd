//! Messages as a device or a collector might have made them, drawn at random within what version
//! 1 allows; and what each says, as the second implementation prints it.

use super::{draw::Draw, plan};
use serde_json::{Value, json};
use tenken_common::{
    ack::{Ack, Reject},
    batch::{Batch, Gap, GapReason, RecRun},
    category::Category,
    fact::{
        Fact, Inventory, InventoryItem, PatchSource, PatchState, PatchStatus, PatternFileStatus,
        PatternSource, PatternState, Revision, WearCounter, WearDirection,
    },
    id::{BootId, DeviceId, Epoch, Hash, Name, Nonce, RecId, Seq, hex},
    observation::{
        Body, CheckResult, CheckState, Class, Observation, ProbeRun, ProbeState, Record, Sample, SelfReport,
    },
    stub::Stub,
    time::{ClockQuality, ClockSource, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
    wire::v1::ReceivedBatch,
};

const NAME: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-";

pub fn name(draw: &mut Draw) -> Name {
    let len = if draw.once_in(6) { Name::LEN_MAX } else { 1 + draw.below(20) };
    let text: String = (0..len).map(|_| char::from(draw.one_of(NAME))).collect();
    Name::new(&text).expect("made of what is allowed")
}

fn moment(draw: &mut Draw) -> Moment {
    let boot = BootId(draw.bytes());
    Moment { boot, mono: Monotonic(draw.sized()), wall: Timestamp::from_micros(draw.signed()) }
}

fn quantity(draw: &mut Draw) -> Quantity {
    let (name, unit) = (name(draw), draw.one_of(&Unit::ALL));
    let value = f64::from_bits(draw.number());
    Quantity::new(name.clone(), unit, value).unwrap_or(Quantity { name, unit, value: -0.0 })
}

fn quantities(draw: &mut Draw) -> Vec<Quantity> {
    let most = if draw.once_in(20) { 60 } else { 6 };
    (0..draw.below(most)).map(|_| quantity(draw)).collect()
}

fn small(draw: &mut Draw) -> u32 {
    u32::try_from(draw.sized() & 0xffff_ffff).expect("32 bits")
}

fn body(draw: &mut Draw) -> Body {
    let states = [CheckState::Ok, CheckState::Warning, CheckState::Critical, CheckState::Unknown];
    match draw.below(4) {
        0 => Body::Sample(Sample { probe: name(draw), quantities: quantities(draw) }),
        1 => Body::CheckResult(CheckResult { probe: name(draw), state: draw.one_of(&states) }),
        2 => Body::Fact(fact(draw)),
        _ => {
            let run = |draw: &mut Draw| ProbeRun {
                probe: name(draw),
                state: draw.one_of(&ProbeState::ALL),
                duration_ms: small(draw),
            };
            let runs = (0..draw.below(10)).map(|_| run(draw)).collect();
            Body::SelfReport(SelfReport { quantities: quantities(draw), runs })
        }
    }
}

fn known<T>(draw: &mut Draw, one: impl FnOnce(&mut Draw) -> T) -> Option<T> {
    (!draw.once_in(3)).then(|| one(draw))
}

fn fact(draw: &mut Draw) -> Fact {
    let probe = name(draw);
    let at = |draw: &mut Draw| Timestamp::from_micros(draw.signed());
    match draw.below(5) {
        0 => Fact::PatchStatus(PatchStatus {
            probe,
            source: draw.one_of(PatchSource::ALL),
            state: draw.one_of(PatchState::ALL),
            pending: known(draw, small),
            security: known(draw, small),
            oldest_at: known(draw, at),
            index_at: known(draw, at),
            applied_at: known(draw, at),
            reboot_needed: known(draw, |draw| draw.once_in(2)),
            system: name(draw),
            build: known(draw, name),
        }),
        1 => Fact::PatternFileStatus(PatternFileStatus {
            probe,
            source: draw.one_of(PatternSource::ALL),
            state: draw.one_of(PatternState::ALL),
            engine: known(draw, name),
            version: known(draw, name),
            defined_at: known(draw, at),
        }),
        2 => Fact::Revision(Revision { probe, version: name(draw) }),
        3 => Fact::WearCounter(WearCounter {
            probe,
            value: quantity(draw),
            rated_life: known(draw, |draw| quantity(draw).value),
            direction: draw.one_of(WearDirection::ALL),
        }),
        _ => {
            let item = |draw: &mut Draw| (draw.one_of(InventoryItem::ALL), name(draw));
            Fact::Inventory(Inventory { probe, items: (0..draw.below(9)).map(|_| item(draw)).collect() })
        }
    }
}

pub fn record(draw: &mut Draw, id: u64) -> Record {
    let observation = Observation {
        at: moment(draw),
        category: draw.one_of(&Category::ALL),
        subject: name(draw),
        body: body(draw),
    };
    Record { id: RecId(id), observation }
}

fn run(draw: &mut Draw) -> RecRun {
    let from = draw.sized() >> 1;
    RecRun { from: RecId(from), to: RecId(from + (draw.sized() >> 1)) }
}

pub fn stub(draw: &mut Draw) -> Stub {
    Stub {
        device: DeviceId(draw.bytes()),
        epoch: Epoch(small(draw)),
        seq: Seq(draw.sized()),
        prev: Hash(draw.bytes()),
        body_hash: Hash(draw.bytes()),
        records: (0..draw.below(6)).map(|_| run(draw)).collect(),
        reason: draw.one_of(&GapReason::ALL),
    }
}

/// A batch of any device; its records' ids are dense.
pub fn batch(draw: &mut Draw) -> Batch {
    let many = if draw.once_in(30) { 300 } else { 12 };
    let (first, count) = (draw.sized().min(1 << 60), draw.below(many) as u64);
    let gap = |draw: &mut Draw| Gap { run: run(draw), reason: draw.one_of(&GapReason::ALL) };
    Batch {
        device: DeviceId(draw.bytes()),
        epoch: Epoch(small(draw)),
        seq: Seq(draw.sized()),
        prev: Hash(draw.bytes()),
        at: moment(draw),
        clock: ClockQuality {
            offset_ms: draw.signed(),
            uncertainty_ms: small(draw),
            source: draw.one_of(&[ClockSource::Unknown, ClockSource::SignedTime]),
        },
        agent_version: name(draw).to_string(),
        class: draw.one_of(&Class::ALL),
        records: (first..first + count).map(|id| record(draw, id)).collect(),
        gaps: (0..draw.below(5)).map(|_| gap(draw)).collect(),
    }
}

pub fn ack(draw: &mut Draw) -> Ack {
    Ack {
        device: DeviceId(draw.bytes()),
        epoch: Epoch(small(draw)),
        acked_seq: Seq(draw.sized()),
        hash: Hash(draw.bytes()),
        server: Timestamp::from_micros(draw.signed()),
        echo_nonce: Nonce(draw.bytes()),
        position: draw.sized(),
        log_root: Hash(draw.bytes()),
        retry_after_s: small(draw),
        need_seq: draw.once_in(2).then(|| Seq(draw.sized())),
    }
}

pub fn reject(draw: &mut Draw) -> Reject {
    Reject {
        device: DeviceId(draw.bytes()),
        epoch: Epoch(small(draw)),
        seq: Seq(draw.sized()),
        hash: Hash(draw.bytes()),
        reason: draw.bytes::<1>()[0],
        server: Timestamp::from_micros(draw.signed()),
        echo_nonce: Nonce(draw.bytes()),
    }
}

fn moment_said(at: &Moment) -> [Value; 3] {
    [json!(at.boot.to_string()), json!(at.mono.0), json!(at.wall.as_micros())]
}

fn float_said(value: f64) -> Value {
    json!(hex(&value.to_be_bytes()))
}

fn quantities_said(quantities: &[Quantity]) -> Value {
    quantities.iter().map(|q| plan::quantity(q, float_said)).collect()
}

fn record_said(record: &Record) -> Value {
    let o = &record.observation;
    let (kind, rest) = match &o.body {
        Body::Sample(s) => (1, vec![json!(s.probe.as_str()), quantities_said(&s.quantities)]),
        Body::CheckResult(c) => (2, vec![json!(c.probe.as_str()), json!(c.state.code())]),
        Body::SelfReport(r) => {
            let run = |run: &ProbeRun| json!([run.probe.as_str(), run.state.code(), run.duration_ms]);
            (3, vec![quantities_said(&r.quantities), r.runs.iter().map(run).collect()])
        }
        Body::Fact(fact) => {
            let (kind, said) = plan::fact(fact, float_said);
            (kind, [vec![json!(fact.probe().as_str())], said].concat())
        }
    };
    let mut said = vec![json!(record.id.0), json!(kind)];
    said.extend(moment_said(&o.at));
    said.extend([json!(o.category.code()), json!(o.subject.as_str())]);
    said.extend(rest);
    Value::Array(said)
}

/// As `envelope.py` prints it.
pub fn batch_said(received: &ReceivedBatch) -> Value {
    let batch = &received.batch;
    let clock = &batch.clock;
    json!({
        "device": batch.device.to_string(),
        "epoch": batch.epoch.0,
        "seq": batch.seq.0,
        "prev": batch.prev.to_string(),
        "at": moment_said(&batch.at),
        "clock": [clock.offset_ms, i64::from(clock.uncertainty_ms), clock.source as i64],
        "agent_version": batch.agent_version,
        "class": batch.class.code(),
        "gaps": batch.gaps.iter().map(|g| json!([g.run.from.0, g.run.to.0, g.reason.code()])).collect::<Value>(),
        "records": batch.records.iter().map(record_said).collect::<Value>(),
        "unknown": received.unknown.iter().map(|(id, kind)| json!([id.0, kind])).collect::<Value>(),
    })
}

pub fn stub_said(stub: &Stub) -> Value {
    json!({
        "device": stub.device.to_string(),
        "epoch": stub.epoch.0,
        "seq": stub.seq.0,
        "prev": stub.prev.to_string(),
        "body_hash": stub.body_hash.to_string(),
        "records": stub.records.iter().map(|run| json!([run.from.0, run.to.0])).collect::<Value>(),
        "reason": stub.reason.code(),
    })
}

pub fn ack_said(ack: &Ack) -> Value {
    json!({
        "device": ack.device.to_string(),
        "epoch": ack.epoch.0,
        "acked_seq": ack.acked_seq.0,
        "hash": ack.hash.to_string(),
        "server": ack.server.as_micros(),
        "echo_nonce": ack.echo_nonce.to_string(),
        "position": ack.position,
        "log_root": ack.log_root.to_string(),
        "retry_after_s": ack.retry_after_s,
        "need_seq": ack.need_seq.map(|seq| seq.0),
    })
}

pub fn reject_said(reject: &Reject) -> Value {
    json!({
        "device": reject.device.to_string(),
        "epoch": reject.epoch.0,
        "seq": reject.seq.0,
        "hash": reject.hash.to_string(),
        "reason": reject.reason,
        "server": reject.server.as_micros(),
        "echo_nonce": reject.echo_nonce.to_string(),
    })
}
