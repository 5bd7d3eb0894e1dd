//! What `tenken-agent spool ls` and `spool verify` show.
//!
//! Holds: every number comes from the inspection; a fault is said in words, each on its line.

use tenken_agent_core::spool::inspect::{Chain, Fault, InFlight, Inspection, Waiting};
use tenken_common::{
    message::{Language, Message},
    time::{Timestamp, jst_minute},
};

/// What is waiting, in flight and declared lost.
pub fn list(inspection: &Inspection, language: Language) -> String {
    let mut lines = vec![chain(inspection.chain.as_ref(), language)];
    let mut section = |title: Message, mut body: Vec<String>| {
        lines.push(title.text(language).to_owned());
        if body.is_empty() {
            body.push(Message::SpoolNone.text(language).to_owned());
        }
        lines.append(&mut body);
    };
    section(Message::SpoolWaiting, inspection.waiting.iter().map(|w| waiting(w, language)).collect());
    section(Message::SpoolInFlight, inspection.in_flight.iter().map(|l| in_flight(l, language)).collect());
    let gaps = inspection.gaps.iter().map(|gap| {
        let (from, to) = (gap.run.from.to_string(), gap.run.to.to_string());
        let reason = Message::of_gap(gap.reason).text(language);
        Message::SpoolGapLine.fill(language, &[("from", &from), ("to", &to), ("reason", reason)])
    });
    section(Message::SpoolGaps, gaps.collect());
    lines.join("\n") + "\n"
}

/// What is damaged.
pub fn faults(inspection: &Inspection, language: Language) -> String {
    if inspection.faults.is_empty() {
        return format!("{}\n", Message::SpoolSound.text(language));
    }
    let count = inspection.faults.len().to_string();
    let mut lines = vec![Message::SpoolFaults.fill(language, &[("count", &count)])];
    lines.extend(inspection.faults.iter().map(|f| fault(f, language)));
    lines.join("\n") + "\n"
}

fn chain(chain: Option<&Chain>, language: Language) -> String {
    let Some(chain) = chain else { return Message::SpoolNoChain.text(language).to_owned() };
    let values = [
        ("device", chain.device.to_string()),
        ("epoch", chain.epoch.to_string()),
        ("head", chain.head_seq.to_string()),
        ("acked", chain.acked_seq.to_string()),
        ("evicted", chain.evicted.to_string()),
        ("corrupt", chain.corrupt.to_string()),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    Message::SpoolChain.fill(language, &values)
}

fn waiting(waiting: &Waiting, language: Language) -> String {
    let category = match waiting.category {
        Some(category) => category.as_str(),
        None => Message::SpoolUnknownKind.text(language),
    };
    let kind = if waiting.urgent {
        Message::SpoolUrgent.fill(language, &[("category", category)])
    } else {
        category.to_owned()
    };
    let at = |t: Option<Timestamp>| t.map_or_else(|| "-".to_owned(), |t| format!("{} JST", jst_minute(t)));
    let (records, oldest, newest) = (waiting.records.to_string(), at(waiting.oldest), at(waiting.newest));
    let values = [("kind", kind.as_str()), ("records", &records), ("oldest", &oldest), ("newest", &newest)];
    Message::SpoolWaitingLine.fill(language, &values)
}

fn in_flight(link: &InFlight, language: Language) -> String {
    let (seq, records) = (link.seq.to_string(), link.records.to_string());
    if let Some(reason) = link.stub {
        let reason = Message::of_gap(reason).text(language);
        let values = [("seq", seq.as_str()), ("records", &records), ("reason", reason)];
        return Message::SpoolStubLine.fill(language, &values);
    }
    let (gaps, bytes) = (link.gaps.to_string(), link.body_bytes.to_string());
    let values = [("seq", seq.as_str()), ("records", &records), ("gaps", &gaps), ("bytes", &bytes)];
    Message::SpoolLinkLine.fill(language, &values)
}

fn fault(fault: &Fault, language: Language) -> String {
    let of = |message: Message, name: &str, value: String| message.fill(language, &[(name, value.as_str())]);
    match fault {
        Fault::Record(id) => of(Message::FaultRecord, "id", id.to_string()),
        Fault::Missing(run) => {
            let (from, to) = (run.from.to_string(), run.to.to_string());
            Message::FaultMissing.fill(language, &[("from", &from), ("to", &to)])
        }
        Fault::Values(count) => of(Message::FaultValues, "count", count.to_string()),
        Fault::Body(seq) => of(Message::FaultBody, "seq", seq.to_string()),
        Fault::Link(seq) => of(Message::FaultLink, "seq", seq.to_string()),
        Fault::InnerState => Message::FaultInnerState.text(language).to_owned(),
        Fault::StateFile(count) => of(Message::FaultStateFile, "count", count.to_string()),
        Fault::Behind => Message::FaultBehind.text(language).to_owned(),
    }
}
