//! A message as a tree in JSON, from which both implementations make the same bytes, and which can
//! be damaged at any leaf before it is signed.
//!
//! JSON has no bytes and no exact floats: `{"bin": hex}`, `{"f64": bits}` and `{"pack": tree}`
//! stand for them, and for a tree that is packed into bytes.

use super::draw::Draw;
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::{Value, json};
use tenken_common::{
    ack::{Ack, Reject},
    batch::Batch,
    codec,
    fact::Fact,
    id::{Name, hex},
    observation::{Body, Record},
    stub::Stub,
    time::Timestamp,
    unit::Quantity,
};

pub fn bin(bytes: &[u8]) -> Value {
    json!({ "bin": hex(bytes) })
}

/// A float in a tree: its bits.
type Float = fn(f64) -> Value;

fn float_bits(value: f64) -> Value {
    json!({ "f64": hex(&value.to_be_bytes()) })
}

pub fn quantity(q: &Quantity, float: Float) -> Value {
    json!([q.name.as_str(), q.unit.code(), float(q.value)])
}

fn quantities(quantities: &[Quantity]) -> Value {
    quantities.iter().map(|q| quantity(q, float_bits)).collect()
}

/// A fact's kind, and its fields after the probe.
pub fn fact(fact: &Fact, float: Float) -> (u16, Vec<Value>) {
    let at = |at: Option<Timestamp>| json!(at.map(Timestamp::as_micros));
    let word = |name: &Option<Name>| json!(name.as_ref().map(Name::as_str));
    match fact {
        Fact::PatchStatus(p) => {
            let counts = [json!(p.source.code()), json!(p.state.code()), json!(p.pending), json!(p.security)];
            let times = [at(p.oldest_at), at(p.index_at), at(p.applied_at), json!(p.reboot_needed)];
            let names = [json!(p.system.as_str()), word(&p.build)];
            (4, [counts.to_vec(), times.to_vec(), names.to_vec()].concat())
        }
        Fact::PatternFileStatus(p) => {
            let (source, state) = (json!(p.source.code()), json!(p.state.code()));
            (5, vec![source, state, word(&p.engine), word(&p.version), at(p.defined_at)])
        }
        Fact::Revision(r) => (6, vec![json!(r.version.as_str())]),
        Fact::WearCounter(w) => {
            let life = w.rated_life.map_or(Value::Null, float);
            (7, vec![quantity(&w.value, float), life, json!(w.direction.code())])
        }
        Fact::Inventory(i) => {
            let items = i.items.iter().map(|(item, value)| json!([item.code(), value.as_str()]));
            (8, vec![items.collect()])
        }
    }
}

fn record(record: &Record) -> Value {
    let o = &record.observation;
    let (category, subject) = (json!(o.category.code()), json!(o.subject.as_str()));
    let (kind, data) = match &o.body {
        Body::Sample(s) => (1, json!([category, subject, s.probe.as_str(), quantities(&s.quantities)])),
        Body::CheckResult(c) => (2, json!([category, subject, c.probe.as_str(), c.state.code()])),
        Body::SelfReport(r) => {
            let runs =
                r.runs.iter().map(|run| json!([run.probe.as_str(), run.state.code(), run.duration_ms]));
            (3, json!([category, subject, quantities(&r.quantities), runs.collect::<Value>()]))
        }
        Body::Fact(one) => {
            let (kind, fields) = fact(one, float_bits);
            let head = vec![category, subject, json!(one.probe().as_str())];
            (kind, Value::Array([head, fields].concat()))
        }
    };
    json!([record.id.0, kind, bin(&o.at.boot.0), o.at.mono.0, o.at.wall.as_micros(), { "pack": data }])
}

pub fn batch(batch: &Batch) -> Value {
    let (at, clock) = (&batch.at, &batch.clock);
    json!([
        bin(&batch.device.0),
        batch.epoch.0,
        batch.seq.0,
        bin(&batch.prev.0),
        bin(&at.boot.0),
        at.mono.0,
        at.wall.as_micros(),
        [clock.offset_ms, i64::from(clock.uncertainty_ms), clock.source as i64],
        batch.agent_version,
        batch.class.code(),
        batch.records.iter().map(record).collect::<Value>(),
        batch.gaps.iter().map(|g| json!([g.run.from.0, g.run.to.0, g.reason.code()])).collect::<Value>(),
    ])
}

pub fn stub(stub: &Stub) -> Value {
    json!([
        bin(&stub.device.0),
        stub.epoch.0,
        stub.seq.0,
        bin(&stub.prev.0),
        bin(&stub.body_hash.0),
        stub.records.iter().map(|run| json!([run.from.0, run.to.0])).collect::<Value>(),
        stub.reason.code(),
    ])
}

pub fn ack(ack: &Ack) -> Value {
    json!([
        bin(&ack.device.0),
        ack.epoch.0,
        ack.acked_seq.0,
        bin(&ack.hash.0),
        ack.server.as_micros(),
        bin(&ack.echo_nonce.0),
        ack.position,
        bin(&ack.log_root.0),
        ack.retry_after_s,
        ack.need_seq.map(|seq| seq.0),
    ])
}

pub fn reject(reject: &Reject) -> Value {
    json!([
        bin(&reject.device.0),
        reject.epoch.0,
        reject.seq.0,
        bin(&reject.hash.0),
        reject.reason,
        reject.server.as_micros(),
        bin(&reject.echo_nonce.0),
    ])
}

struct Tree<'a>(&'a Value);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => s.serialize_none(),
            Value::Bool(b) => s.serialize_bool(*b),
            Value::String(text) => s.serialize_str(text),
            Value::Array(items) => s.collect_seq(items.iter().map(Tree)),
            Value::Number(n) => match n.as_u64() {
                Some(n) => s.serialize_u64(n),
                None => s.serialize_i64(n.as_i64().ok_or_else(|| S::Error::custom("a float stands as f64"))?),
            },
            Value::Object(of) => match of.iter().next() {
                Some((kind, Value::String(digits))) if kind == "f64" => s.serialize_f64(f64::from_bits(
                    u64::from_str_radix(digits, 16).map_err(S::Error::custom)?,
                )),
                Some((kind, Value::String(digits))) if kind == "bin" => s.serialize_bytes(&unhex(digits)),
                Some((kind, tree)) if kind == "pack" => s.serialize_bytes(&packed(tree)),
                Some(_) | None => Err(S::Error::custom("an object that stands for nothing")),
            },
        }
    }
}

/// Its bytes, in MessagePack.
pub fn packed(tree: &Value) -> Vec<u8> {
    codec::to_vec(&Tree(tree)).expect("a plan is made of what can be packed")
}

pub fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// One place of the tree holds something that does not belong there, or one array has an element
/// too many or too few.
pub fn damage(draw: &mut Draw, tree: &mut Value) {
    match tree {
        Value::Array(items) if !items.is_empty() && !draw.once_in(8) => {
            let at = draw.below(items.len());
            damage(draw, &mut items[at]);
        }
        Value::Array(items) => match draw.below(3) {
            0 => items.push(Value::Null),
            1 => drop(items.pop()),
            _ => *tree = Value::Null,
        },
        Value::Object(of) if of.contains_key("pack") && !draw.once_in(8) => {
            let inner = of.get_mut("pack").expect("it was asked for");
            damage(draw, inner);
        }
        Value::Object(of) if of.contains_key("f64") => {
            let odd =
                [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(|f| json!({ "f64": hex(&f.to_be_bytes()) }));
            *tree = odd[draw.below(3)].clone();
        }
        Value::Object(of) => match of.get_mut("bin") {
            Some(Value::String(digits)) if !digits.is_empty() && draw.once_in(2) => {
                digits.truncate(digits.len() - 2);
            }
            _ => *tree = Value::Bool(true),
        },
        Value::String(text) => {
            let odd = ["", "two words", "山田", &"x".repeat(65)].map(str::to_owned);
            text.clone_from(&odd[draw.below(4)]);
        }
        Value::Number(_) => {
            let odd = [json!(-1), json!(u64::MAX), json!(256), json!(0), Value::Null, json!(i64::MIN)];
            *tree = odd[draw.below(6)].clone();
        }
        Value::Null | Value::Bool(_) => *tree = json!("something"),
    }
}
