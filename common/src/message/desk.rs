//! What the support desk reads: why people were told of an incident or not, and what is wrong with a
//! device's identity; a further part of the catalogue.
//!
//! Holds: the same as the catalogue's first part.

use super::{Language, filled};

catalogue! { DeskText:
    Comma { ja: "、", en: ", " }
    HoursNormal { ja: "通常業務時間", en: "normal hours" }
    HoursOther { ja: "通常業務時間外", en: "other hours" }
    // Notices.
    MarkFlapping { ja: "断続→{severity}", en: "comes and goes, {severity}" }
    MarkUnacknowledged { ja: "受付なし→{severity}", en: "not acknowledged, {severity}" }
    MarkClosed { ja: "終了", en: "closed" }
    LeadFlapping { ja: "復旧した異常がすぐに再発しました。以後は、しばらく続けて正常になるまで通知しません。", en: "Something that had recovered came back soon. Nothing more is sent until it has been gone for a while." }
    LeadUnacknowledged { ja: "重大な異常が、決められた時間内に受け付けられていません。", en: "Nobody has acknowledged this within the time that was set." }
    LeadClosed { ja: "担当者がインシデントを終了しました。", en: "A person closed the incident." }
    // Decisions, with their reasons.
    Decisions { ja: "通知の判断", en: "What was decided about notices" }
    DecisionSent { ja: "通知する", en: "tell" }
    DecisionHeld { ja: "保留", en: "hold back" }
    DecisionUntold { ja: "通知しない", en: "tell nobody" }
    WhyOpened { ja: "新しい異常", en: "it is new" }
    WhyEscalated { ja: "悪化した", en: "it got worse" }
    WhyFlapping { ja: "復旧後すぐに再発した（以後、安定するまで通知しない）", en: "it came back soon after it had gone (told once until it is stable)" }
    WhyUnacknowledged { ja: "決められた時間内に受け付けた人がいない", en: "nobody acknowledged it in time" }
    WhyRecovered { ja: "復旧した", en: "it recovered" }
    WhyClosed { ja: "担当者が終了した", en: "a person closed it" }
    WhyHeld { ja: "計画停止中（{until} まで）。続いていれば終了後に通知する", en: "a planned stop goes on (until {until}); told after it if it is still there" }
    WhyUntold { ja: "誰にも通知しないうちに終わった", en: "it was over before anybody was told" }
    RouteDelivered { ja: "送信済み {at}", en: "delivered {at}" }
    RouteWaiting { ja: "送信待ち（試行 {attempts} 回、次回 {next}）{error}", en: "waiting ({attempts} attempts, next {next}) {error}" }
    RouteFailed { ja: "断念（試行 {attempts} 回）{error}", en: "given up ({attempts} attempts) {error}" }
    UnwantedSeverity { ja: "対象外: 重大度が設定より低い", en: "not asked: its severity is below what the outlet wants" }
    UnwantedHospital { ja: "対象外: 担当の病院ではない", en: "not asked: it is not for this hospital" }
    UnwantedHours { ja: "対象外: 担当の時間帯ではない", en: "not asked: it is for other hours" }
    UnwantedAcknowledged { ja: "対象外: 受付がない場合のみ", en: "not asked: it is only for what nobody acknowledges" }
    UnwantedClosed { ja: "対象外: 担当者による終了は通知しない", en: "not asked: people are not told of what a person closed" }
    Affected { ja: "影響する装置: {devices}", en: "devices affected: {devices}" }
    Joined { ja: "同じ原因の検知: {rules}", en: "also found by: {rules}" }
    // A device's identity.
    DoubtFork { ja: "同じ識別情報から、食い違う二つの送信の流れが届きました（装置が複製されたか、古い状態に戻された疑い）", en: "two streams of messages that contradict each other came with this identity (the machine may have been cloned or rolled back)" }
    DoubtHole { ja: "途中の送信が欠けたままの送信が続き、再送を求めても届きません", en: "messages come whose predecessors never do, however often they are asked for" }
    DoubtClone { ja: "装置の切り替え後も、以前の識別情報を使う別の機器から送信が届いています", en: "after the device went on, somebody else still sends with its former identity, or two machines take turns" }
}
