//! The one catalogue of texts that a hospital or a support desk reads, in Japanese (the default)
//! and English.
//!
//! Holds: every text stands in both languages with the same `{placeholders}`; a test checks it.
//! Texts for the people who install and run the programs (configuration errors, logs) are
//! English and stand where they are raised.

use std::str::FromStr;

/// Which language a person reads.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    Ja,
    En,
}

/// A word that names no language.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{0}` is no language of this program (ja, en)")]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;
    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        match text {
            "ja" => Ok(Self::Ja),
            "en" => Ok(Self::En),
            _ => Err(UnknownLanguage(text.to_owned())),
        }
    }
}

macro_rules! catalogue {
    ($($name:ident { ja: $ja:literal, en: $en:literal $(,)? })*) => {
        /// A text of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Message { $($name),* }

        impl Message {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The text with its placeholders as they stand.
            pub fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::Ja) => $ja, (Self::$name, Language::En) => $en,)*
                }
            }
        }
    };
}

impl Message {
    /// A text without placeholders.
    pub fn text(self, language: Language) -> &'static str {
        self.template(language)
    }

    /// The text with its placeholders filled in.
    pub fn fill(self, language: Language, values: &[(&str, &str)]) -> String {
        values.iter().fold(self.template(language).to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }
}

catalogue! {
    // Purposes of the data categories (SLA A2.2(1)).
    PurposePerformance { ja: "処理装置とメモリの負荷、稼働時間（性能低下の早期発見）", en: "processor and memory load, uptime (finding slowdowns early)" }
    PurposeDisk { ja: "ディスクの空き容量と状態（満杯・故障の予測）", en: "disk space and state (predicting a full or failing disk)" }
    PurposeNetwork { ja: "通信量とエラー数（回線不良の発見）", en: "traffic and errors (finding bad links)" }
    PurposeSensor { ja: "温度・ファン・電圧（過熱や劣化の発見）", en: "temperatures, fans, voltages (finding overheating and wear)" }
    PurposeClock { ja: "時計のずれ（記録時刻の補正）", en: "clock error (correcting recorded times)" }
    PurposeService { ja: "動作すべきサービスの状態（停止の発見）", en: "services that must run (finding stops)" }
    PurposePatch { ja: "セキュリティパッチの適用状態", en: "state of security patches" }
    PurposePatternFile { ja: "ウイルス対策パターンファイルの状態", en: "state of antivirus pattern files" }
    PurposeRevision { ja: "装置ソフトウェアの版", en: "versions of device software" }
    PurposeWear { ja: "消耗部品の使用量（交換時期の予測）", en: "use of wear parts (predicting replacement)" }
    PurposeAgent { ja: "点検エージェント自身の状態", en: "the agent's report on itself" }

    // The agent's status.
    StatusDevice { ja: "装置", en: "Device" }
    StatusFingerprint { ja: "指紋", en: "Fingerprint" }
    StatusWritten { ja: "状態の時刻", en: "As of" }
    StatusAgo { ja: "{seconds} 秒前", en: "{seconds} s ago" }
    StatusStopped { ja: "停止中（{at} に正常終了）", en: "stopped (in order, at {at})" }
    StatusConsent { ja: "同意", en: "Consent" }
    StatusConsentOpen { ja: "第{version}版、{to} まで有効（{categories}）", en: "version {version}, valid until {to} ({categories})" }
    StatusConsentClosed { ja: "送信できません（第{version}版まで確認済み）: {why}", en: "nothing may leave (seen up to version {version}): {why}" }
    StatusConsentRefused { ja: "。置かれている同意書は採用しませんでした: {why}", en: "; the file that lies there was not taken: {why}" }
    StatusDelivery { ja: "送信", en: "Delivery" }
    DeliveryStarting { ja: "開始中", en: "starting" }
    DeliveryOk { ja: "正常（最後の受領確認 {last}）", en: "ok (last acknowledgement {last})" }
    DeliveryFailing { ja: "{since} から送信できていません（失敗 {failures} 回）: {why}。記録は装置内に保管しています", en: "failing since {since} ({failures} attempts): {why}; records are kept on the device" }
    DeliveryHalted { ja: "{since} から停止しています: {why}。記録は装置内に保管しています", en: "stopped since {since}: {why}; records are kept on the device" }
    DeliveryWithheld { ja: "同意により送信していません: {why}", en: "withheld by the consent: {why}" }
    StatusSpool { ja: "保管", en: "Spool" }
    StatusSpoolLine { ja: "未送信 {waiting} 件、受領確認待ち {in_flight} バッチ、使用 {kib} KiB、容量超過で破棄 {evicted} 件、破損 {corrupt} 件", en: "{waiting} records waiting, {in_flight} batches in flight, {kib} KiB used, {evicted} evicted, {corrupt} corrupt" }
    StatusClock { ja: "時計", en: "Clock" }
    StatusClockUnknown { ja: "ずれは不明（署名つき時刻を未受信）", en: "offset unknown (no signed time yet)" }
    StatusClockKnown { ja: "リモートサービスセンターとの差 {offset} ミリ秒（±{within}）", en: "{offset} ms behind the collector (±{within})" }
    StatusProbes { ja: "診断", en: "Probes" }

    // The agent's commands.
    ConfigGood { ja: "設定に問題はありません。", en: "The configuration is good." }
    Enrolled { ja: "登録しました。装置 {device}\n指紋: {fingerprint}\nこの指紋を病院の管理者に伝え、`tenken-hospital approve` で承認を受けてください。", en: "Enrolled as device {device}\nfingerprint: {fingerprint}\nTell the hospital's administrator this fingerprint, to be approved with `tenken-hospital approve`." }
    DoctorUnknown { ja: "確認できませんでした", en: "could not be looked at" }
    DoctorOk { ja: "正常", en: "ok" }
    DoctorWarning { ja: "注意", en: "WARNING" }
    DoctorBad { ja: "異常", en: "BAD" }
    DoctorNotKnown { ja: "不明", en: "unknown" }
    DoctorWhatStateDir { ja: "状態フォルダー", en: "state folder" }
    DoctorWhatIdentity { ja: "装置の登録", en: "identity" }
    DoctorWhatConsent { ja: "同意", en: "consent" }
    DoctorWhatCollector { ja: "接続先", en: "collector" }
    DoctorWhatAgent { ja: "エージェント", en: "agent" }
    DoctorWhatDelivery { ja: "送信", en: "delivery" }
    DoctorWhatSpool { ja: "保管", en: "spool" }
    DoctorWhatClock { ja: "時計", en: "clock" }
    DoctorConsentFound { ja: "第{version}版、{to} まで有効", en: "version {version}, valid until {to}" }
    DoctorCollectorFound { ja: "{url} から応答あり", en: "{url} answers" }
    DoctorAgentFound { ja: "動作中（版 {version}）", en: "running (version {version})" }
    DoctorStateDir { ja: "フォルダーの存在と書き込み権限、ディスクの空きを確認してください。", en: "Check that the folder exists, that the service's account may write there, and that the disk has room." }
    DoctorEnroll { ja: "病院の登録票を受け取り、`tenken-agent enroll --slot ファイル` を実行してください。", en: "Get a slot file from the hospital and run `tenken-agent enroll --slot FILE`." }
    DoctorConsentMissing { ja: "同意書がないため何も送信しません。病院の管理者に署名済みの同意書を求め、状態フォルダーの consent.statement に置いてください。", en: "Without a consent nothing is sent. Ask the hospital's administrator for the signed consent and put it into the state folder as consent.statement." }
    DoctorConsentRefused { ja: "この病院の鍵で署名された同意書ではありません。病院の管理者に確認してください。", en: "It is not signed with this hospital's key. Ask the hospital's administrator." }
    DoctorConsentExpired { ja: "同意の期間外です。病院の管理者に新しい版の同意書を求めてください。記録は装置内に保管しています。", en: "Outside the consent's period. Ask the hospital's administrator for a newer version; records are kept on the device." }
    DoctorCollector { ja: "ネットワーク、プロキシ、ファイアウォール（外向き通信）を確認してください。記録は装置内に保管し、自動で再送します。", en: "Check network, proxy and firewall (outbound). Records are kept on the device and sent again by themselves." }
    DoctorHalted { ja: "保守会社に連絡してください。ディスクを復元または複製した場合は、その旨を伝えてください。", en: "Call the vendor. If this disk was restored or copied, say so." }
    DoctorWithheld { ja: "同意により送信を止めています。病院の管理者に、有効な同意書を状態フォルダーに置いていただくよう依頼してください。記録は装置内に保管しています。", en: "The consent holds delivery back. Ask the hospital's administrator for a valid consent in the state folder; records are kept on the device." }
    DoctorNotRunning { ja: "エージェントが動作していません。サービスを起動してください（systemctl start tenken-agent）。", en: "The agent is not running. Start its service (systemctl start tenken-agent)." }
    DoctorSpool { ja: "保管領域に書き込めません。ディスクの空きと故障を確認してください。", en: "The spool cannot be written. Check the disk's space and health." }
    DoctorDegraded { ja: "停電時に記録を失うおそれがあります。保守会社に連絡してください。", en: "A power cut could lose records. Call the vendor." }
    DoctorLost { ja: "失われた記録は欠落として申告されます。長く送信できていないか、ディスクの故障が疑われます。", en: "Lost records are declared as gaps. Delivery was down for long, or the disk may be failing." }
    DoctorClock { ja: "時計が60秒以上ずれています。時刻同期（NTP）の設定を確認してください。", en: "The clock is off by more than 60 s. Check time synchronisation (NTP)." }

    // The collector's commands.
    CollectorInit { ja: "鍵と証明書を作成しました。\nルート証明書のSHA-256（病院の登録票に記載します）:\n{root}\n{offline} は、このコンピューターから切り離した場所に保管してください。", en: "Keys and certificates were made.\nSHA-256 of the root certificate (for the hospital's slots):\n{root}\nKeep {offline} away from this computer." }
    StatementFiled { ja: "受理しました: {path}", en: "Filed: {path}" }
    StatementKnown { ja: "すでに受理済みです: {path}", en: "On file already: {path}" }
    DeviceRevoked { ja: "装置 {device} からの受信を停止しました。", en: "Nothing more is taken from device {device}." }
    ContractLoaded { ja: "契約 {contract} 第{version}版を登録しました（{from} から有効）。", en: "Contract {contract}, version {version}, is loaded (in force from {from})." }
    IncidentStepped { ja: "{incident} に記録しました。次の評価で反映されます。", en: "Noted for {incident}; it shows after the next evaluation." }
    RebuiltSame { ja: "記録 {position} 件から再構築しました。結果は以前と同じです。", en: "Rebuilt from {position} entries; the result is the same as before." }
    RebuiltChanged { ja: "記録 {position} 件から再構築しました。結果が以前と異なります。以前のデータが壊れていた可能性があります。", en: "Rebuilt from {position} entries; the result differs from before, which may have been damaged." }
    NoDevices { ja: "装置は登録されていません。", en: "No devices are enrolled." }
    NoIncidents { ja: "インシデントはありません。", en: "No incidents." }
    NoContracts { ja: "契約は登録されていません。", en: "No contracts are loaded." }
    DeviceLastSeen { ja: "最終受信 {at}", en: "last received {at}" }
    DeviceCounts { ja: "記録 {records} 件、バッチ {batches} 個、欠落 {gaps} 件", en: "{records} records, {batches} batches, {gaps} gaps" }
    DeviceQuarantined { ja: "同一性に疑いがあるため隔離中です。", en: "In quarantine: its identity is in doubt." }
    DeviceCloneSuspected { ja: "同じ識別情報を使う別の機器がある疑いがあります（{at}）。", en: "Somebody else may have its identity (since {at})." }
    DeviceHostChanged { ja: "登録時と異なるホストで動作していると申告しています（{at}）。", en: "It says that it runs on another host than before (since {at})." }
    DeviceCollectorLost { ja: "受領確認後にサーバー側で失われたバッチ: {batches} 個（乙の責任）", en: "{batches} batches were lost by the collector after it had acknowledged them (to the vendor's account)" }
    CheckInDoubt { ja: "（同一性に疑い）", en: " (identity in doubt)" }
    DeviceFingerprint { ja: "指紋: {fingerprint}", en: "fingerprint: {fingerprint}" }
    DevicePending { ja: "病院の承認待ち", en: "waits for the hospital's approval" }
    DeviceApprovedStatus { ja: "承認済み", en: "approved" }
    DeviceRevokedStatus { ja: "失効", en: "revoked" }
    LivenessFresh { ja: "通信正常", en: "heard" }
    LivenessStale { ja: "通信遅延", en: "late" }
    LivenessSilent { ja: "通信途絶", en: "silent" }
    LivenessUnknown { ja: "通信状態不明", en: "not heard yet" }
    ContractLine { ja: "{contract} 第{version}版  {from} から有効  {hospital}  {service}  目標稼働率 {target}", en: "{contract} version {version}  in force from {from}  {hospital}  {service}  uptime target {target}" }
    IndicatorLine { ja: "{name}: {verdict}、{value}（目標 {target}、把握率 {coverage}）", en: "{name}: {verdict}, {value} (target {target}, coverage {coverage})" }
    PhaseOpen { ja: "発生中", en: "open" }
    PhaseRecovered { ja: "復旧", en: "recovered" }
    PhaseClosed { ja: "終了", en: "closed" }
    StepDetected { ja: "検知", en: "detected" }
    StepReopened { ja: "再発", en: "came back" }
    StepEscalated { ja: "悪化", en: "got worse" }
    StepAcknowledged { ja: "受付", en: "acknowledged" }
    StepReported { ja: "第一次対応（原因調査の報告）", en: "first response (cause reported)" }
    StepRecovered { ja: "復旧", en: "recovered" }
    StepClosed { ja: "終了", en: "closed" }

    // The screen of quickstart.
    ScreenStarting { ja: "点検を起動しています…", en: "Tenken is starting…" }
    ScreenHead { ja: "点検  {at}  装置 {device}", en: "Tenken  {at}  device {device}" }
    ScreenCounts { ja: "記録: 作成 {appended} 件、サーバー保存 {stored} 件、受領確認 {acked} バッチ、欠落 {gaps} 件", en: "Records: {appended} made, {stored} stored, {acked} batches acknowledged, {gaps} gaps" }
    ScreenProbes { ja: "■ 装置からの報告", en: "# What the device reported" }
    ScreenFindings { ja: "■ 検知した異常", en: "# Findings" }
    ScreenForecasts { ja: "■ 予測", en: "# Forecasts" }
    ScreenSla { ja: "■ 今月のSLA", en: "# SLA of this month" }
    ScreenMetrics { ja: "Prometheus 用の指標: {url}", en: "For Prometheus: {url}" }
    ScreenStop { ja: "Ctrl-C で終了します。", en: "Ctrl-C ends it." }
    ScreenNothing { ja: "（なし）", en: "(none)" }
    ScreenNoFindings { ja: "異常は検知していません。", en: "Nothing is wrong." }
    ScreenNotYet { ja: "まだ報告がありません。", en: "Nothing has arrived yet." }
    ProbeOk { ja: "正常", en: "ok" }
    ProbeNoData { ja: "該当なし", en: "nothing there" }
    ProbeUnsupported { ja: "非対応", en: "unsupported" }
    ProbeTimedOut { ja: "時間切れ", en: "timed out" }
    ProbeFailed { ja: "失敗", en: "failed" }
    ProbeNotConsented { ja: "同意なし", en: "not consented" }
    ForecastCrossing { ja: "{what}: {day} に限界に達する見込み（{low} ～ {high}）", en: "{what}: reaches its limit about {day} ({low} to {high})" }
    ForecastReached { ja: "{what}: すでに限界に達しています", en: "{what}: is at its limit already" }
    ForecastRefused { ja: "{what}: 予測しません（{why}）", en: "{what}: no forecast ({why})" }

    // Why there is no forecast.
    RefusalTooShort { ja: "履歴が短すぎます", en: "the history is too short" }
    RefusalStale { ja: "最新の値が古すぎます", en: "the newest value is too old" }
    RefusalNoTrend { ja: "限界に向かう傾向はありません", en: "nothing moves towards the limit" }
    RefusalUnsteady { ja: "動きが一定していません", en: "it does not move steadily" }
    RefusalFallsBack { ja: "定期的に戻っています", en: "it falls back regularly" }
    RefusalTooFar { ja: "限界は遠い先です", en: "the limit is far ahead" }

    // Words inside sentences.
    CheckOk { ja: "正常", en: "ok" }
    CheckWarning { ja: "警告", en: "warning" }
    CheckCritical { ja: "停止・重大", en: "critical" }
    CheckUnknown { ja: "不明", en: "unknown" }
    SpanDays { ja: "{n} 日", en: "{n} days" }
    SpanHours { ja: "{n} 時間", en: "{n} hours" }
    SpanMinutes { ja: "{n} 分", en: "{n} minutes" }
    SpanSeconds { ja: "{n} 秒", en: "{n} seconds" }

    // The hospital's program.
    KeyMade { ja: "病院の鍵を作成しました。\n  秘密鍵: {secret}（この病院の外へ出さず、控えを金庫に保管してください）\n  公開鍵: {public}\n  契約書に記載する値: {key}\n  指紋: {fingerprint}", en: "The hospital's key was made.\n  secret: {secret} (keep it inside the hospital, with a copy in a safe)\n  public: {public}\n  value for the contract: {key}\n  fingerprint: {fingerprint}" }
    SlotMade { ja: "登録票を作成しました（有効期限 {expires}）。\n  装置用（秘密。手渡しで運んでください）: {device}\n  保守会社用: {collector}", en: "The enrollment slot was made (usable until {expires}).\n  for the device (secret; carry it by hand): {device}\n  for the vendor: {collector}" }
    DeviceApproved { ja: "装置を承認しました。このファイルを保守会社へ送ってください: {path}", en: "The device is approved. Send this file to the vendor: {path}" }
    ConsentTemplateHead { ja: "同意書の案です。認めない区分の行を消し、期間を確かめてから署名してください。", en: "A consent to edit: strike out what you do not permit, check the period, then sign it." }
    ConsentWritten { ja: "同意書の案を書き出しました。編集してから `tenken-hospital consent sign` で署名してください: {path}", en: "A consent to edit was written; then sign it with `tenken-hospital consent sign`: {path}" }
    ConsentSigned { ja: "同意書に署名しました: {path}", en: "The consent is signed: {path}" }
    ConsentScopeHospital { ja: "この病院のすべての装置", en: "all devices of this hospital" }
    ConsentScopeGroup { ja: "装置グループ {group}", en: "the devices of group {group}" }
    ConsentScopeDevice { ja: "装置 {device}", en: "device {device}" }
    ConsentShow { ja: "同意書 第{version}版（{hospital}）\n対象: {scope}\n期間: {from} から {to} まで\n収集間隔: {floor} 秒以上\n送信を認める区分:", en: "Consent, version {version} ({hospital})\nfor: {scope}\nfrom {from} to {to}\ncollected every {floor} s at most\ncategories that may leave:" }
    // Notices to the support desk.
    SeverityInfo { ja: "情報", en: "info" }
    SeverityWarning { ja: "警告", en: "warning" }
    SeverityCritical { ja: "重大", en: "critical" }
    NoticeMarkOpened { ja: "{severity}", en: "{severity}" }
    NoticeMarkEscalated { ja: "悪化→{severity}", en: "now {severity}" }
    NoticeMarkRecovered { ja: "復旧", en: "recovered" }
    NoticeSubject { ja: "【点検】[{mark}] {hospital} {device}: {finding}", en: "[Tenken] [{mark}] {hospital} {device}: {finding}" }
    NoticeLeadOpened { ja: "装置の自己診断で新しい異常を検知しました。", en: "Self-diagnosis found something new." }
    NoticeLeadEscalated { ja: "検知済みの異常が悪化しました。", en: "Something already reported got worse." }
    NoticeLeadRecovered { ja: "検知済みの異常が復旧しました。", en: "Something already reported has recovered." }
    NoticeNoDevice { ja: "（特定の装置ではありません）", en: "(no single device)" }
    NoticeFacts {
        ja: "重大度: {severity}\n病院: {hospital}\n装置: {label}\n装置番号: {device}\n対象: {subject}\n所見: {finding}\n初回検知: {first_seen}\nインシデント番号: {incident}",
        en: "Severity: {severity}\nHospital: {hospital}\nDevice: {label}\nDevice id: {device}\nSubject: {subject}\nFinding: {finding}\nFirst seen: {first_seen}\nIncident: {incident}",
    }
    NoticeAction { ja: "推奨する対応:\n{action}", en: "Suggested action:\n{action}" }
    NoticeAcknowledge {
        ja: "受け付けた方は、次のコマンドで記録してください。\n  tenken-collector incident ack {incident}\n（受付の記録だけでは、契約上の初動対応の時計は止まりません。原因調査の報告をもって初動対応となります。）",
        en: "Whoever takes this on, please record it:\n  tenken-collector incident ack {incident}\n(This alone does not stop the contract's response clock; the report of the investigated cause does.)",
    }
    NoticeFooter { ja: "このメッセージは点検（Tenken）が自動で送信しました。通知番号: {notice}", en: "Sent automatically by Tenken. Notice: {notice}" }
    // SLA: labels of a service second.
    SlaUp { ja: "稼働", en: "up" }
    SlaDownProvider { ja: "停止（乙の責）", en: "down (provider)" }
    SlaUndetermined { ja: "不明", en: "undetermined" }
    SlaDownCustomer { ja: "停止（甲の責）", en: "down (hospital)" }
    SlaExcludedPreAgreed { ja: "算定除外（事前合意）", en: "excluded (agreed in advance)" }
    SlaExcludedOther { ja: "算定除外（その他）", en: "excluded (other)" }
    SlaNoData { ja: "データなし", en: "no data" }
    // SLA: indicators and verdicts.
    SlaUptime { ja: "サービス稼働率", en: "service uptime" }
    SlaResponse { ja: "障害対応時間（期限内達成率）", en: "incident response (share in time)" }
    SlaMet { ja: "達成", en: "met" }
    SlaMissed { ja: "未達成", en: "missed" }
    SlaUnknown { ja: "判定不能", en: "cannot be told" }
    SlaNotApplicable { ja: "対象なし", en: "nothing to judge" }
    // SLA: why a figure has no value.
    SlaNoServiceTime { ja: "対象期間にサービス提供時間がありません", en: "the period has no service time" }
    SlaNoMeasurement { ja: "サービス提供時間の全体にわたり測定データがありません", en: "nothing was measured in all of the service time" }
    SlaNoCase { ja: "対象となる障害がありません", en: "there was no incident to respond to" }
    SlaNothingDue { ja: "期限の到来した障害対応がまだありません", en: "no response was due yet" }
    // SLA: state of a response clock.
    SlaResponseRunning { ja: "対応中（期限 {deadline}）", en: "open (due {deadline})" }
    SlaResponseMet { ja: "期限内に第一次対応済み", en: "first response in time" }
    SlaResponseBreached { ja: "期限超過（期限 {deadline}）", en: "overdue (was due {deadline})" }
    // SLA: the calendar.
    SlaCalendarAnnounced { ja: "祝日は官報公示済み", en: "holidays as officially announced" }
    SlaCalendarEstimated { ja: "祝日は推定（官報公示前）", en: "holidays estimated (not announced yet)" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(text: &str) -> Vec<&str> {
        let mut names: Vec<&str> =
            text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    #[test]
    fn both_languages_say_the_same_things() {
        for message in Message::ALL {
            let (ja, en) = (message.template(Language::Ja), message.template(Language::En));
            assert!(!ja.is_empty() && !en.is_empty(), "{message:?} is empty");
            assert_eq!(placeholders(ja), placeholders(en), "{message:?}");
        }
    }
}
