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
    GroupSubject { ja: "【点検】[{counts}] {hospital} {devices}", en: "[Tenken] [{counts}] {hospital} {devices}" }
    GroupCount { ja: "{kind} {n}件", en: "{n} {kind}" }
    GroupLead { ja: "同じ病院の {n} 件の通知を、まとめてお知らせします。", en: "{n} notices of one hospital, together." }
    GroupPart { ja: "({n}) [{mark}] {label}  {subject}\n    所見: {finding}\n    初回検知: {first_seen}  インシデント番号: {incident}", en: "({n}) [{mark}] {label}  {subject}\n    Finding: {finding}\n    First seen: {first_seen}  Incident: {incident}" }
    GroupAction { ja: "\n    推奨する対応: {action}", en: "\n    Suggested action: {action}" }
    GroupIncident { ja: "インシデント番号", en: "INCIDENT" }
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
    WhySilenced { ja: "通知の停止 {silence} が有効（{until} まで）。続いていれば終了後に通知する", en: "silenced by {silence} (until {until}); told after it if it is still there" }
    WhyUntold { ja: "誰にも通知しないうちに終わった", en: "it was over before anybody was told" }
    LateOver { ja: "遅れて届いた記録で分かったもので、{until} には解消していました。", en: "This became known late, from records that were held up; it was over at {until}." }
    LateUnknown { ja: "遅れて届いた記録で分かったもので、{until} を最後に今の状態は分かりません。", en: "This became known late, from records that were held up, the last of {until}; how it is now is not known." }
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
    PatternOld { ja: "定義ファイルが {age}前（{day} 作成）のままです", en: "its definitions are {age} old (made on {day})" }
    PatternOff { ja: "保護機能が停止しています", en: "it is switched off" }
    // Silences.
    SilenceAdded { ja: "{silence} を登録しました（{until} JST まで）。次の評価から、該当する異常を通知しません。いま該当する未復旧のインシデント: {n} 件。検知と契約上の時計は止まりません。", en: "{silence} is entered (until {until} JST). From the next evaluation on nobody is told of what it is for. Open incidents that it is for now: {n}. Detection and the contract's clocks go on." }
    SilenceEnded { ja: "{silence} を終了しました。続いている異常は、次の評価で通知されます。", en: "{silence} is ended. What is still there is told at the next evaluation." }
    SilencesNone { ja: "通知の停止はありません。", en: "No silences." }
    SilenceInForce { ja: "有効", en: "in force" }
    SilenceToCome { ja: "予定", en: "to come" }
    SilenceOver { ja: "終了", en: "ended" }
    SilenceKeeps { ja: "該当する未復旧のインシデント: {incidents}", en: "open incidents that it is for: {incidents}" }
    SilenceHospital { ja: "病院 {value}", en: "hospital {value}" }
    SilenceDevice { ja: "装置 {value}", en: "device {value}" }
    SilenceRule { ja: "検知規則 {value}", en: "rule {value}" }
    SilenceSubject { ja: "対象 {value}", en: "subject {value}" }
    SilenceIncident { ja: "{value}", en: "{value}" }
    SilenceSeverity { ja: "{value}まで（より重いものは通知）", en: "up to {value} (what is worse is told)" }
    // The triage bundle.
    Triage { ja: "一次切り分け資料", en: "Triage bundle" }
    TriageFor { ja: "{incident}  {hospital} {device}", en: "{incident}  {hospital} {device}" }
    TriageFoot { ja: "点検（Tenken）が、保存済みの記録だけから {at} JST に作成しました。外部から読み込むものはありません。", en: "Made by Tenken at {at} JST, from what was stored only. Nothing is loaded from elsewhere." }
    FactSeverity { ja: "重大度", en: "Severity" }
    FactPhase { ja: "状態", en: "State" }
    FactDevice { ja: "装置", en: "Device" }
    FactSubject { ja: "対象", en: "Subject" }
    FactRule { ja: "検知規則", en: "Rule" }
    FactFirstSeen { ja: "初回検知", en: "First seen" }
    FactLastSeen { ja: "最終確認", en: "Last seen" }
    FactReceived { ja: "装置からの最終受信", en: "Last heard of the device" }
    FactFinding { ja: "所見", en: "Finding" }
    FactAffected { ja: "影響する装置", en: "Devices affected" }
    FirstTitle { ja: "最初に確認すること", en: "What to check first" }
    FirstLine { ja: "{n}. {text}", en: "{n}. {text}" }
    FirstDoubt { ja: "この装置は同一性に疑いがあります。以下の記録が別の機器のものである可能性を、先に確認してください。", en: "The identity of this device is in doubt. First make sure that what follows is of this machine at all." }
    FirstSilent { ja: "装置からの受信が {at} から途絶えています。以下の値は現在の状態ではありません。", en: "Nothing has been heard of the device since {at}: the values below are not its present state." }
    FirstAffected { ja: "同時に {count} 台に影響しています。装置ごとの原因より先に、回線・電源など共通の原因を確認してください。", en: "{count} devices are affected at once. Look for what they share (link, power) before you look at any of them." }
    FirstChange { ja: "検知の {ago}前に {subject} の版が {old} から {new} に変わっています。この変更との関係を確認してください。", en: "{subject} went from {old} to {new} {ago} before this was found. See whether that has to do with it." }
    FirstRepeat { ja: "この装置では同じ異常が過去 {count} 回ありました（直近 {incident}、{at}）。そのときの対応を確認してください。", en: "This device had the same {count} times before (last: {incident}, {at}). See what was done then." }
    FirstFlapping { ja: "異常と復旧を繰り返しています（再発 {count} 回）。復旧して見えても原因は残っているものとして扱ってください。", en: "It comes and goes (came back {count} times). Take its cause for unsolved even while it looks well." }
    ChartsTitle { ja: "関連する値の推移（{from} ～ {to}）", en: "Related values ({from} to {to})" }
    ChartTitle { ja: "{subject} {name}（{probe}、最新 {value}）", en: "{subject} {name} ({probe}, newest {value})" }
    ChartLimit { ja: "しきい値 {value}", en: "limit {value}" }
    ChartDetected { ja: "検知", en: "found" }
    ChartsNone { ja: "この時間帯に、装置から届いた値はありません。", en: "No value of the device came from this time." }
    ChartsMore { ja: "ほかに {count} 系列の値があります（`tenken-collector device list` で最新値を確認できます）。", en: "{count} further series have values (`tenken-collector device list` shows the newest)." }
    ChecksTitle { ja: "異常を示している自己診断", en: "Checks of the device that are not well" }
    ChecksNone { ja: "ありません。", en: "None." }
    ChangesTitle { ja: "版の変更（30 日以内）", en: "Changes of versions (30 days)" }
    ChangesNone { ja: "報告された変更はありません。", en: "None was reported." }
    CourseTitle { ja: "経過", en: "What happened so far" }
    ToldTitle { ja: "通知の判断とその理由", en: "Who was told, and why" }
    PastTitle { ja: "この装置の過去のインシデント", en: "Earlier incidents of this device" }
    SimilarTitle { ja: "同じ病院の他の装置での同じ検知", en: "The same at other devices of this hospital" }
    IncidentsNone { ja: "ありません。", en: "None." }
    ColumnAt { ja: "日時", en: "When" }
    ColumnWhat { ja: "内容", en: "What" }
    ColumnWho { ja: "担当", en: "By whom" }
    ColumnSubject { ja: "対象", en: "Subject" }
    ColumnOld { ja: "旧", en: "Old" }
    ColumnNew { ja: "新", en: "New" }
    ColumnProbe { ja: "診断", en: "Check" }
    ColumnState { ja: "状態", en: "State" }
    ColumnSince { ja: "いつから", en: "Since" }
    ColumnIncident { ja: "番号", en: "Incident" }
    ColumnDevice { ja: "装置", en: "Device" }
    ColumnFinding { ja: "所見", en: "Finding" }
    ColumnLasted { ja: "復旧まで", en: "Until recovery" }
    ColumnWhy { ja: "理由", en: "Why" }
    ColumnDecision { ja: "判断", en: "Decision" }
    StillThere { ja: "継続中", en: "still there" }
    TriageWritten { ja: "{incident} の一次切り分け資料を作成しました: {path}", en: "The triage bundle of {incident} is written: {path}" }
}
