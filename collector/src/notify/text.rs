//! What a notice says: subject and body, in the reader's language. Pure.
//!
//! Holds: a subject is one line; what came from outside cannot add a header or a line to it.
//! Times are Japanese Standard Time, which has no summer time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use tenken_collector_core::desk::notice::{Notice, NotifyReason, Severity, group_id};
use tenken_common::{
    message::{DeskText, Language, Message},
    time::{Timestamp, jst_minute},
};

/// Longest subject, in characters: what mail programs show of it.
pub const SUBJECT_CHARS_MAX: usize = 120;
/// Longest error that is kept.
pub const ERROR_CHARS_MAX: usize = 500;

/// A notice as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub body: String,
}

pub fn render(notice: &Notice, language: Language) -> Rendered {
    Rendered { subject: subject(notice, language), body: body(notice, language) }
}

/// Several of one hospital in one message, oldest first; one is as it is alone.
pub fn render_all(notices: &[Notice], language: Language) -> Rendered {
    match notices {
        [only] => render(only, language),
        several => {
            Rendered { subject: group_subject(several, language), body: group_body(several, language) }
        }
    }
}

/// What is worst comes first; what is over, last.
fn group_subject(notices: &[Notice], language: Language) -> String {
    let mut kinds: BTreeMap<(bool, Reverse<Severity>), usize> = BTreeMap::new();
    for notice in notices {
        let is_end = notice.reason.is_end();
        let severity = if is_end { Severity::Info } else { notice.severity };
        *kinds.entry((is_end, Reverse(severity))).or_default() += 1;
    }
    let counts = kinds.into_iter().map(|((is_end, Reverse(severity)), n)| {
        let over = Message::NoticeMarkRecovered;
        let kind = if is_end { over } else { severity.message() };
        DeskText::GroupCount
            .fill_all(language, &[("kind", kind.text(language).to_owned()), ("n", n.to_string())])
    });
    let counts = counts.collect::<Vec<_>>().join(DeskText::Comma.text(language));
    let hospital = notices.first().map_or("", |notice| notice.hospital.as_str());
    let devices: BTreeSet<&str> = notices.iter().map(|notice| notice.label.as_str()).collect();
    let devices = devices.into_iter().collect::<Vec<_>>().join(DeskText::Comma.text(language));
    let values = [("counts", counts.as_str()), ("hospital", hospital), ("devices", &devices)];
    one_line(&DeskText::GroupSubject.fill(language, &values), SUBJECT_CHARS_MAX)
}

fn group_body(notices: &[Notice], language: Language) -> String {
    let mut parts = vec![DeskText::GroupLead.fill(language, &[("n", &notices.len().to_string())])];
    for (n, notice) in (1..).zip(notices) {
        let values = [
            ("n", n.to_string()),
            ("mark", mark(notice, language)),
            ("label", notice.label.to_string()),
            ("subject", notice.subject.to_string()),
            ("finding", one_line(notice.finding.text(language), usize::MAX)),
            ("first_seen", jst(notice.first_seen)),
            ("incident", notice.incident.to_string()),
        ];
        let mut part = DeskText::GroupPart.fill_all(language, &values);
        if !notice.reason.is_end() {
            let action = one_line(notice.action.text(language), usize::MAX);
            part.push_str(&DeskText::GroupAction.fill(language, &[("action", &action)]));
        }
        parts.push(part);
    }
    if notices.iter().any(|notice| !notice.reason.is_end()) {
        let incident = DeskText::GroupIncident.text(language);
        parts.push(Message::NoticeAcknowledge.fill(language, &[("incident", incident)]));
    }
    let id = group_id(notices.iter().map(Notice::id)).to_string();
    parts.push(Message::NoticeFooter.fill(language, &[("notice", &id)]));
    parts.join("\n\n") + "\n"
}

/// What kind of news it is, in a word.
fn mark(notice: &Notice, language: Language) -> String {
    let severity = notice.severity.message().text(language);
    let values = [("severity", severity)];
    match notice.reason {
        NotifyReason::Opened => Message::NoticeMarkOpened.fill(language, &values),
        NotifyReason::Escalated => Message::NoticeMarkEscalated.fill(language, &values),
        NotifyReason::Flapping => DeskText::MarkFlapping.fill(language, &values),
        NotifyReason::Unacknowledged => DeskText::MarkUnacknowledged.fill(language, &values),
        NotifyReason::Recovered => Message::NoticeMarkRecovered.fill(language, &values),
        NotifyReason::Closed => DeskText::MarkClosed.fill(language, &values),
    }
}

fn subject(notice: &Notice, language: Language) -> String {
    let subject = Message::NoticeSubject.fill(
        language,
        &[
            ("mark", &mark(notice, language)),
            ("hospital", notice.hospital.as_str()),
            ("device", notice.label.as_str()),
            ("finding", notice.finding.text(language)),
        ],
    );
    one_line(&subject, SUBJECT_CHARS_MAX)
}

fn body(notice: &Notice, language: Language) -> String {
    let lead = match notice.reason {
        NotifyReason::Opened => Message::NoticeLeadOpened.text(language),
        NotifyReason::Escalated => Message::NoticeLeadEscalated.text(language),
        NotifyReason::Flapping => DeskText::LeadFlapping.text(language),
        NotifyReason::Unacknowledged => DeskText::LeadUnacknowledged.text(language),
        NotifyReason::Recovered => Message::NoticeLeadRecovered.text(language),
        NotifyReason::Closed => DeskText::LeadClosed.text(language),
    };
    let device = match notice.device {
        Some(id) => id.to_string(),
        None => Message::NoticeNoDevice.text(language).to_owned(),
    };
    let incident = notice.incident.to_string();
    let facts = Message::NoticeFacts.fill(
        language,
        &[
            ("severity", notice.severity.message().text(language)),
            ("hospital", notice.hospital.as_str()),
            ("label", notice.label.as_str()),
            ("device", &device),
            ("subject", notice.subject.as_str()),
            ("first_seen", &jst(notice.first_seen)),
            ("incident", &incident),
            ("finding", notice.finding.text(language)),
        ],
    );
    let mut parts = vec![lead.to_owned(), facts];
    if !notice.reason.is_end() {
        parts.push(Message::NoticeAction.fill(language, &[("action", notice.action.text(language))]));
        parts.push(Message::NoticeAcknowledge.fill(language, &[("incident", &incident)]));
    }
    parts.push(Message::NoticeFooter.fill(language, &[("notice", &notice.id().to_string())]));
    parts.join("\n\n") + "\n"
}

/// `2026-11-23 08:05 JST`.
pub fn jst(at: Timestamp) -> String {
    format!("{} JST", jst_minute(at))
}

/// Without line ends or other control characters, at most `chars_max` long.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() <= chars_max {
        return text;
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::example;
    use tenken_common::id::Name;

    #[test]
    fn japanese() {
        let rendered = render(&example::notice(), Language::Ja);
        assert_eq!(rendered.subject, "【点検】[重大] minato CT-1: ディスク /var は 12/03 に満杯の見込み");
        let id = example::notice().id();
        let expected = format!(
            "装置の自己診断で新しい異常を検知しました。

重大度: 重大
病院: minato
装置: CT-1
装置番号: abababababababababababababababab
対象: /var
所見: ディスク /var は 12/03 に満杯の見込み
初回検知: 2026-11-23 08:05 JST
インシデント番号: INC-1042

推奨する対応:
不要なログを削除するか、増設を手配してください。

受け付けた方は、次のコマンドで記録してください。
  tenken-collector incident ack INC-1042 --worker 担当者
（受付の記録だけでは、契約上の初動対応の時計は止まりません。原因調査の報告をもって初動対応となります。）

このメッセージは点検（Tenken）が自動で送信しました。通知番号: {id}
"
        );
        assert_eq!(rendered.body, expected);
    }

    #[test]
    fn english() {
        let rendered = render(&example::notice(), Language::En);
        assert_eq!(
            rendered.subject,
            "[Tenken] [critical] minato CT-1: disk /var is predicted to be full on 12/03"
        );
        assert!(rendered.body.contains("First seen: 2026-11-23 08:05 JST\nIncident: INC-1042\n"));
        assert!(rendered.body.contains("\n  tenken-collector incident ack INC-1042 --worker WHO\n"));
    }

    #[test]
    fn each_reason_reads_differently_and_a_recovery_asks_for_nothing() {
        let of = |reason| render(&Notice { reason, ..example::notice() }, Language::Ja);
        assert!(of(NotifyReason::Escalated).subject.starts_with("【点検】[悪化→重大] minato"));
        assert!(of(NotifyReason::Flapping).subject.starts_with("【点検】[断続→重大] minato"));
        let unheard = of(NotifyReason::Unacknowledged);
        assert!(unheard.subject.starts_with("【点検】[受付なし→重大] minato"), "{}", unheard.subject);
        assert!(unheard.body.contains("受け付けられていません") && unheard.body.contains("incident ack"));
        let recovered = of(NotifyReason::Recovered);
        assert!(recovered.subject.starts_with("【点検】[復旧] minato"));
        assert!(!recovered.body.contains("incident ack") && !recovered.body.contains("推奨する対応"));
    }

    #[test]
    fn several_of_one_hospital_are_one_message_with_the_worst_first() {
        let first = Notice { severity: Severity::Warning, ..example::notice() };
        let mut second = Notice { label: Name::new("MR-2").unwrap(), ..example::notice() };
        second.incident.0 += 1;
        let third = Notice { reason: NotifyReason::Recovered, ..second.clone() };
        let all = [first, second, third];
        let ja = render_all(&all, Language::Ja);
        assert_eq!(ja.subject, "【点検】[重大 1件、警告 1件、復旧 1件] minato CT-1、MR-2");
        let id = group_id(all.iter().map(Notice::id));
        let expected = format!(
            "同じ病院の 3 件の通知を、まとめてお知らせします。

(1) [警告] CT-1  /var
    所見: ディスク /var は 12/03 に満杯の見込み
    初回検知: 2026-11-23 08:05 JST  インシデント番号: INC-1042
    推奨する対応: 不要なログを削除するか、増設を手配してください。

(2) [重大] MR-2  /var
    所見: ディスク /var は 12/03 に満杯の見込み
    初回検知: 2026-11-23 08:05 JST  インシデント番号: INC-1043
    推奨する対応: 不要なログを削除するか、増設を手配してください。

(3) [復旧] MR-2  /var
    所見: ディスク /var は 12/03 に満杯の見込み
    初回検知: 2026-11-23 08:05 JST  インシデント番号: INC-1043

受け付けた方は、次のコマンドで記録してください。
  tenken-collector incident ack インシデント番号 --worker 担当者
（受付の記録だけでは、契約上の初動対応の時計は止まりません。原因調査の報告をもって初動対応となります。）

このメッセージは点検（Tenken）が自動で送信しました。通知番号: {id}
"
        );
        assert_eq!(ja.body, expected);
        let en = render_all(&all, Language::En);
        assert_eq!(en.subject, "[Tenken] [1 critical, 1 warning, 1 recovered] minato CT-1, MR-2");
        assert!(en.body.contains("\n(3) [recovered] MR-2  /var\n    Finding: "));
        assert_eq!(render_all(&all[..1], Language::Ja), render(&all[0], Language::Ja));
        assert_eq!(group_id([all[0].id()]), all[0].id());
    }

    #[test]
    fn a_subject_stays_one_short_line() {
        let mut notice = example::notice();
        notice.finding.ja = format!("満杯\r\nBcc: x@example.jp\n{}", "長".repeat(500));
        let subject = render(&notice, Language::Ja).subject;
        assert!(!subject.contains(['\r', '\n']));
        assert_eq!(subject.chars().count(), SUBJECT_CHARS_MAX);
        assert!(subject.ends_with('…'));
    }
}
