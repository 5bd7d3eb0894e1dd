//! What a notice says: subject and body, in the reader's language. Pure.
//!
//! Holds: a subject is one line; what came from outside cannot add a header or a line to it.
//! Times are Japanese Standard Time, which has no summer time.

use tenken_collector_core::desk::notice::{Notice, NotifyReason};
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

fn subject(notice: &Notice, language: Language) -> String {
    let severity = notice.severity.message().text(language);
    let values = [("severity", severity)];
    let mark = match notice.reason {
        NotifyReason::Opened => Message::NoticeMarkOpened.fill(language, &values),
        NotifyReason::Escalated => Message::NoticeMarkEscalated.fill(language, &values),
        NotifyReason::Flapping => DeskText::MarkFlapping.fill(language, &values),
        NotifyReason::Unacknowledged => DeskText::MarkUnacknowledged.fill(language, &values),
        NotifyReason::Recovered => Message::NoticeMarkRecovered.fill(language, &values),
        NotifyReason::Closed => DeskText::MarkClosed.fill(language, &values),
    };
    let subject = Message::NoticeSubject.fill(
        language,
        &[
            ("mark", &mark),
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
  tenken-collector incident ack INC-1042
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
        assert!(rendered.body.contains("\n  tenken-collector incident ack INC-1042\n"));
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
    fn a_subject_stays_one_short_line() {
        let mut notice = example::notice();
        notice.finding.ja = format!("満杯\r\nBcc: x@example.jp\n{}", "長".repeat(500));
        let subject = render(&notice, Language::Ja).subject;
        assert!(!subject.contains(['\r', '\n']));
        assert_eq!(subject.chars().count(), SUBJECT_CHARS_MAX);
        assert!(subject.ends_with('…'));
    }
}
