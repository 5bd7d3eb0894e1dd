//! The one catalogue of texts that a hospital or a support desk reads, in Japanese (the default)
//! and English.
//!
//! Holds: every text stands in both languages with the same `{placeholders}`; a test checks it.
//! Texts for the people who install and run the programs (configuration errors, logs) are
//! English and stand where they are raised.

use crate::batch::GapReason;
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

impl Language {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ja => "ja",
            Self::En => "en",
        }
    }
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
    ($catalogue:ident: $($name:ident { ja: $ja:literal, en: $en:literal $(,)? })*) => {
        /// A text of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $catalogue { $($name),* }

        impl $catalogue {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The text with its placeholders as they stand.
            pub fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::Ja) => $ja, (Self::$name, Language::En) => $en,)*
                }
            }

            /// A text without placeholders.
            pub fn text(self, language: Language) -> &'static str {
                self.template(language)
            }

            /// The text with its placeholders filled in. A value that looks like a placeholder stays
            /// as it is.
            pub fn fill(self, language: Language, values: &[(&str, &str)]) -> String {
                filled(self.template(language), values)
            }

            /// [`Self::fill`] with values that were made for it.
            pub fn fill_all(self, language: Language, values: &[(&str, String)]) -> String {
                filled(self.template(language), values)
            }
        }
    };
}

fn filled<V: AsRef<str>>(template: &str, values: &[(&str, V)]) -> String {
    let mut out = String::new();
    let mut parts = template.split('{');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match part.split_once('}') {
            Some((name, rest)) => {
                match values.iter().find(|(known, _)| *known == name) {
                    Some((_, value)) => out.push_str(value.as_ref()),
                    None => out.extend(["{", name, "}"]),
                }
                out.push_str(rest);
            }
            None => out.extend(["{", part]),
        }
    }
    out
}

mod contract;
mod desk;
mod device;
mod evidence;
mod predict;
mod report;
mod service;

pub use contract::ContractText;
pub use desk::DeskText;
pub use device::DeviceText;
pub use evidence::EvidenceText;
pub use predict::PredictText;
pub use report::ReportText;
pub use service::ServiceText;

impl Message {
    /// Why records are missing, in words.
    pub fn of_gap(reason: GapReason) -> Self {
        match reason {
            GapReason::NeverIssued => Self::GapNeverIssued,
            GapReason::Evicted => Self::GapEvicted,
            GapReason::Corrupt => Self::GapCorrupt,
            GapReason::NotConsented => Self::GapNotConsented,
            GapReason::SpoolLost => Self::GapSpoolLost,
            GapReason::Refused => Self::GapRefused,
            GapReason::Unknown => Self::GapUnknown,
            GapReason::CollectorLost => Self::GapCollectorLost,
        }
    }
}

catalogue! { Message:
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
    PurposeInventory { ja: "装置台帳の項目（機種、製造番号、OS の版）", en: "lines of the device ledger (model, serial, system version)" }
    PurposeEvent { ja: "システムログのエラー件数（本文は送りません）", en: "errors in the system's log, counted (without their text)" }
    PurposeNeighbour { ja: "隣接する装置の応答（停止の発見）", en: "whether the devices beside this one answer (finding stops)" }

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
    StatusSent { ja: "送信記録", en: "Sent journal" }
    StatusSentFailing { ja: "書き込めません（送信は続けています）: {why}", en: "cannot be written (delivery goes on): {why}" }
    StatusTrust { ja: "信頼", en: "Trust" }
    StatusTrustLine { ja: "信頼文書 第{version}版、装置の証明書は {ends} まで（自動更新）", en: "trust document {version}; this device's certificate lasts until {ends} (renewed by itself)" }
    StatusRejoin { ja: "再参加", en: "Rejoin" }
    RejoinPending { ja: "病院の承認待ちです。新しい指紋: {fingerprint}\nこの装置のディスクが復元または複製されたものでないか確かめ、病院の管理者が `tenken-hospital rejoin --device {device} --epoch {epoch}` でこの指紋を承認し、保守会社へ送ってください。記録は装置内に保管しています。", en: "waits for the hospital's approval. New fingerprint: {fingerprint}\nFind out whether this disk was restored or copied; then the hospital's administrator approves this fingerprint with `tenken-hospital rejoin --device {device} --epoch {epoch}` and sends the file to the vendor. Records are kept on the device." }
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
    DoctorWhatCertificate { ja: "証明書", en: "certificate" }
    DoctorWhatRejoin { ja: "再参加", en: "rejoin" }
    DoctorCertificate { ja: "装置の時計では期限切れです。エージェントが動作していれば自動で更新します。", en: "It has ended by this device's clock. A running agent renews it by itself." }
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
    DoctorNotRunning { ja: "エージェントが動作していません。サービスを起動してください（`tenken-agent service start`）。", en: "The agent is not running. Start its service (`tenken-agent service start`)." }
    DoctorSpool { ja: "保管領域に書き込めません。ディスクの空きと故障を確認してください。", en: "The spool cannot be written. Check the disk's space and health." }
    DoctorDegraded { ja: "停電時に記録を失うおそれがあります。保守会社に連絡してください。", en: "A power cut could lose records. Call the vendor." }
    DoctorLost { ja: "失われた記録は欠落として申告されます。長く送信できていないか、ディスクの故障が疑われます。", en: "Lost records are declared as gaps. Delivery was down for long, or the disk may be failing." }
    DoctorClock { ja: "時計が60秒以上ずれています。時刻同期（NTP）の設定を確認してください。", en: "The clock is off by more than 60 s. Check time synchronisation (NTP)." }

    // What left the device, as the hospital reads it.
    OutboxSent { ja: "■ この装置から送信した内容（送信記録より）", en: "# What left this device (from the sent journal)" }
    OutboxWaiting { ja: "■ これから送信する内容（同意の範囲にあるもの）", en: "# What will leave (as far as the consent permits)" }
    OutboxRunning { ja: "エージェントが動作中のため、送信待ちの内容は読めません。停止してから、もう一度実行してください。", en: "The agent is running, so what waits cannot be read; stop it and run this again." }
    OutboxBesides { ja: "（このほかに送信するのは、接続のための次の項目だけです: 装置番号、エポック、最後のバッチの番号とハッシュ、\n最後の受領確認、同意書の版、OS・機種・エージェントの版、装置識別子のハッシュ、証明書の要求、乱数。）", en: "(Besides this, only what a connection needs is sent: device id, epoch, number and hash of the\nlast batch, newest acknowledgement, consent version, OS, architecture, agent version, a hash of\nthe machine's identity, certificate requests, random numbers.)" }
    OutboxNotSent { ja: "送信前", en: "not sent yet" }
    OutboxBatch { ja: "{at}  バッチ {seq}（エポック {epoch}、{bytes} バイト）", en: "{at}  batch {seq} (epoch {epoch}, {bytes} bytes)" }
    OutboxBatchFields { ja: "装置 {device}、エージェントの版 {version}、区分 {class}\n前のハッシュ {prev}\n起動 {boot}、起動から {mono} ミリ秒\n装置の時刻 {wall}、時計のずれ {offset} ミリ秒（±{within}、{source}）", en: "device {device}, agent version {version}, class {class}\nprevious hash {prev}\nboot {boot}, {mono} ms after it\ndevice's time {wall}, clock error {offset} ms (±{within}, {source})" }
    OutboxClockUnknown { ja: "不明", en: "unknown" }
    OutboxClockSigned { ja: "署名つき時刻による", en: "by signed time" }
    OutboxUrgent { ja: "緊急", en: "urgent" }
    OutboxOrdinary { ja: "通常", en: "ordinary" }
    OutboxStub { ja: "{at}  代替票 {seq}（エポック {epoch}、{bytes} バイト）: バッチの本文は送信しません", en: "{at}  stub {seq} (epoch {epoch}, {bytes} bytes) in the place of a batch" }
    OutboxStubFields { ja: "装置 {device}、理由 {reason}\n前のハッシュ {prev}\n本文のハッシュ {hash}\n送信しない記録の番号:", en: "device {device}, reason {reason}\nprevious hash {prev}\nhash of the batch {hash}\nnumbers of the records that are not sent:" }
    OutboxRecord { ja: "記録 {id}  {category}  {subject}  {wall}  起動から {mono} ミリ秒", en: "record {id}  {category}  {subject}  {wall}  {mono} ms after boot" }
    OutboxBoot { ja: "起動 {boot}", en: "boot {boot}" }
    OutboxGap { ja: "欠落 {run}: {reason}", en: "declared lost {run}: {reason}" }
    OutboxUnknownRecord { ja: "記録 {id}: この版では読めない種類（{kind}）", en: "record {id}: of a kind that this version cannot read ({kind})" }
    OutboxDamagedRecord { ja: "記録 {id}: 保管中に破損（欠落として申告します）", en: "record {id}: damaged on this disk (will be declared lost)" }
    OutboxUnreadableBody { ja: "{at}  番号 {seq}（{bytes} バイト）: 読み取れません\n  {type}\n  {why}", en: "{at}  number {seq} ({bytes} bytes): cannot be read\n  {type}\n  {why}" }
    OutboxUnreadableJournal { ja: "送信記録 {segment} の末尾 {bytes} バイトは読み取れません（停電による中断、または破損）", en: "{bytes} bytes at the end of segment {segment} cannot be read (a power cut, or damage)" }

    // Transfer by removable media.
    Exported { ja: "バッチ {from}～{to}（{count} 個）を書き出しました: {path}\n保守会社に渡してください。受領確認のファイルが届いたら `tenken-agent import-ack ファイル` を実行します。\nそれまで、記録は装置内に保管されています。", en: "Batches {from} to {to} ({count}) are in {path}.\nHand it to the vendor. When the acknowledgement file comes back, run `tenken-agent import-ack FILE`.\nUntil then the records stay on this device." }
    ExportNothing { ja: "書き出す記録はありません。", en: "There is nothing to export." }
    ExportMore { ja: "まだ送信待ちの記録があります。受領確認を取り込んだ後、もう一度書き出してください。", en: "More is waiting: export again after the acknowledgement was taken in." }
    AckTaken { ja: "受領確認を取り込みました。バッチ {seq} までの {count} 個は保守会社に保存済みです。", en: "The acknowledgement is taken in: {count} batches up to {seq} are stored at the vendor." }
    AckKnown { ja: "この受領確認に新しい内容はありません。", en: "There is nothing new in this acknowledgement." }
    Imported { ja: "装置 {device} のバッチ {from}～{to}: 新規 {new} 個、保存済み {known} 個。受領確認を装置へ返してください: {path}", en: "Device {device}, batches {from} to {to}: {new} new, {known} on file already. Carry the acknowledgement back to the device: {path}" }
    // The agent's spool, as a person sees it.
    SpoolChain { ja: "装置 {device}、第{epoch}世代: {head} バッチを作成、{acked} まで受領確認済み。容量超過で破棄 {evicted} 件、破損 {corrupt} 件", en: "Device {device}, epoch {epoch}: {head} batches cut, acknowledged up to {acked}; {evicted} records evicted, {corrupt} corrupt" }
    SpoolNoChain { ja: "この保管領域がどの装置のものか、もう読み取れません", en: "Which device this spool belongs to can no longer be read" }
    SpoolWaiting { ja: "未送信の記録", en: "Waiting records" }
    SpoolInFlight { ja: "受領確認待ちのバッチ", en: "Batches in flight" }
    SpoolGaps { ja: "申告待ちの欠落", en: "Declared losses not yet acknowledged" }
    SpoolNone { ja: "  なし", en: "  none" }
    SpoolWaitingLine { ja: "  {kind}: {records} 件（{oldest} ～ {newest}）", en: "  {kind}: {records} records ({oldest} to {newest})" }
    SpoolLinkLine { ja: "  {seq} 番: 記録 {records} 件、欠落の申告 {gaps} 件、{bytes} バイト", en: "  number {seq}: {records} records, {gaps} declared losses, {bytes} bytes" }
    SpoolStubLine { ja: "  {seq} 番: 記録 {records} 件は送信しません（{reason}）", en: "  number {seq}: {records} records that are not sent ({reason})" }
    SpoolGapLine { ja: "  記録 {from} ～ {to}（{reason}）", en: "  records {from} to {to} ({reason})" }
    SpoolUrgent { ja: "{category}（緊急）", en: "{category} (urgent)" }
    SpoolUnknownKind { ja: "この版では読めない種類", en: "of a later version" }
    SpoolSound { ja: "保管領域をすべて検査しました。異常はありません。", en: "All of the spool was read; nothing is damaged." }
    SpoolFaults { ja: "異常が {count} 件あります。失われた記録は、次の起動時に欠落として申告されます。", en: "{count} faults. What is lost will be declared at the next start." }
    FaultRecord { ja: "  記録 {id} が破損しています", en: "  record {id} is damaged" }
    FaultMissing { ja: "  記録 {from} ～ {to} がどこにもありません", en: "  records {from} to {to} are nowhere" }
    FaultValues { ja: "  読めない値が {count} 個あります", en: "  {count} values cannot be read" }
    FaultBody { ja: "  {seq} 番のバッチの本体が失われています", en: "  the body of batch {seq} is lost" }
    FaultLink { ja: "  {seq} 番のバッチの位置情報が失われています", en: "  the place of batch {seq} in the chain is lost" }
    FaultInnerState { ja: "  保管領域内の状態が読めません", en: "  the state inside the store cannot be read" }
    FaultStateFile { ja: "  状態ファイル2つのうち {count} つが読めません", en: "  {count} of the 2 copies of the state file cannot be read" }
    FaultBehind { ja: "  保管領域が状態ファイルより古くなっています", en: "  the store is older than the state file" }
    GapNeverIssued { ja: "使われなかった番号", en: "numbers never used" }
    GapEvicted { ja: "容量超過で破棄", en: "evicted, the spool was full" }
    GapCorrupt { ja: "破損", en: "damaged on the disk" }
    GapNotConsented { ja: "同意の対象外", en: "not covered by the consent" }
    GapSpoolLost { ja: "保管領域の喪失", en: "lost with the spool" }
    GapRefused { ja: "リモートサービスセンターが受け取りを拒否", en: "refused by the collector" }
    GapUnknown { ja: "不明", en: "unknown" }
    GapCollectorLost { ja: "リモートサービスセンターでの喪失", en: "lost by the collector" }

    // The collector's commands.
    CollectorInit { ja: "鍵と証明書を作成しました。\nルート証明書のSHA-256（病院の登録票に記載します）:\n{root}\n{offline} は、このコンピューターから切り離した場所に保管してください。", en: "Keys and certificates were made.\nSHA-256 of the root certificate (for the hospital's slots):\n{root}\nKeep {offline} away from this computer." }
    TrustMade { ja: "信頼文書 第{version}版を作成しました。稼働中の収集サーバーは自動で切り替わり、装置は自動で追従します。\n新しい登録票に記載するルート証明書のSHA-256:\n{root}\n--signer を指定した場合、新しい署名鍵は指定したフォルダーにあります。古い鍵と共に切り離して保管してください。", en: "Trust document {version} was made. A serving collector takes it up by itself, and devices follow by themselves.\nSHA-256 of the root certificate for new slots:\n{root}\nWith --signer the new offline key is in the folder that you named; keep it away from this computer with the old one." }
    TrustLine { ja: "第{version}版  {issued}\n  受領確認の鍵: {ack_key}\n  次の版に署名する鍵: {signer}\n  ルート証明書のSHA-256:\n    {roots}", en: "version {version}  {issued}\n  acknowledgement key: {ack_key}\n  key that signs the next version: {signer}\n  SHA-256 of the roots:\n    {roots}" }
    StatementFiled { ja: "受理しました: {path}", en: "Filed: {path}" }
    StatementKnown { ja: "すでに受理済みです: {path}", en: "On file already: {path}" }
    DeviceRevoked { ja: "装置 {device} からの受信を停止しました。", en: "Nothing more is taken from device {device}." }
    ContractLoaded { ja: "契約 {contract} 第{version}版を登録しました（{from} から有効）。", en: "Contract {contract}, version {version}, is loaded (in force from {from})." }
    IncidentStepped { ja: "{incident} に記録しました。次の評価で反映されます。", en: "Noted for {incident}; it shows after the next evaluation." }
    BackupMade { ja: "記録 {position} 件までを {folder} に複製しました。秘密鍵を含みます。", en: "Backed up to {folder}, {position} entries. It holds private keys." }
    BackupRestored { ja: "{taken} の複製（記録 {position} 件）から {folder} に復元しました。その後に受領確認したバッチは、各装置の再接続時に確定します。", en: "Restored into {folder} from the backup of {taken}, {position} entries. What was acknowledged after it is settled as devices come back." }
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
    ConsentNotFiled { ja: "同意書: 受理していません（病院に確認してください）", en: "consent: none on file (ask the hospital)" }
    ConsentInForce { ja: "同意書: 第{version}版、{to} JST まで有効（{categories}）", en: "consent: version {version}, until {to} JST ({categories})" }
    ConsentNotYet { ja: "同意書: 第{version}版、{from} JST から有効（{categories}）", en: "consent: version {version}, not before {from} JST ({categories})" }
    ConsentExpired { ja: "同意書: 第{version}版は {to} JST に期限切れ（病院に新しい版を依頼してください）", en: "consent: version {version} expired at {to} JST (ask the hospital for a newer one)" }
    ConsentWithdrawnHere { ja: "同意書: 第{version}版で撤回されています", en: "consent: withdrawn by version {version}" }
    ContractAgreed { ja: "病院の同意: {at} JST に署名", en: "agreed to by the hospital, signed {at} JST" }
    ContractNotAgreed { ja: "病院の同意: 署名を受理していません", en: "the hospital's agreement is not on file" }
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
    ProbeOverBudget { ja: "負荷上限のため停止", en: "over the agent's budget" }
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
    ConsentShow { ja: "同意書 第{version}版（{hospital}）\n対象: {scope}\n期間: {from} から {to} まで\n収集間隔: {floor} 秒以上\n生存通知: {heartbeat}\n送信を認める区分:", en: "Consent, version {version} ({hospital})\nfor: {scope}\nfrom {from} to {to}\ncollected every {floor} s at most\nsign of life: {heartbeat}\ncategories that may leave:" }
    ConsentShowNothing { ja: "（なし。記録は送信されません）", en: "(none: no record may leave)" }
    ConsentShowUnknown { ja: "番号 {code}（この版では不明。何も認めません）", en: "number {code} (not known to this version; permits nothing)" }
    Permitted { ja: "認める", en: "permitted" }
    NotPermitted { ja: "認めない", en: "not permitted" }
    ConsentWithdrawn { ja: "同意を撤回する版に署名しました: {path}\n装置の状態フォルダーに consent.statement として置くと、数秒以内に送信が止まります。保守会社にも送ってください。\n（ファイルを取り除くだけでも、送信は同じく止まります。）", en: "The withdrawal is signed: {path}\nPut into a device's state folder as consent.statement it stops delivery within seconds. Send it to the vendor too.\n(Taking the file away stops delivery as well.)" }
    KeySucceeded { ja: "病院の新しい鍵を作成し、これまでの鍵で署名しました。\n  秘密鍵: {secret}（この病院の外へ出さず、控えを金庫に保管してください）\n  公開鍵: {public}\n  指紋: {fingerprint}\n次の順に進めてください。\n  1. {collector} を保守会社へ送り、受理を確かめる\n  2. 新しい鍵で同意書に署名しなおす（版を上げる）\n  3. 各装置の状態フォルダーに、新しい同意書を consent.statement として、\n     {devices} を {name} として置く（同意書が古い鍵のままの装置は何も送信しません）\n  4. すべての装置で済んだら、これまでの秘密鍵を廃棄する", en: "The hospital's new key was made and signed with the one before.\n  secret: {secret} (keep it inside the hospital, with a copy in a safe)\n  public: {public}\n  fingerprint: {fingerprint}\nNow, in this order:\n  1. send {collector} to the vendor and have it filed\n  2. sign the consent again with the new key, as a higher version\n  3. put it into each device's state folder as consent.statement, and\n     {devices} as {name} (a device with the old key's consent sends nothing)\n  4. when all devices are done, destroy the old secret key" }
    RejoinApproved { ja: "装置の再参加（エポック {epoch}）を承認しました。このファイルを保守会社へ送ってください: {path}", en: "The device may go on in epoch {epoch}. Send this file to the vendor: {path}" }
    Agreed { ja: "契約 {contract} 第{version}版（{service}、{from} から有効）に同意する署名をしました。このファイルを保守会社へ送ってください: {path}", en: "Signed: this hospital agrees to contract {contract}, version {version} ({service}, in force from {from}). Send this file to the vendor: {path}" }
    // A statement as a person reads it.
    ShownVerified { ja: "署名: {key}（検証済み）", en: "signed by {key} (verified)" }
    ShownUnverified { ja: "署名: {key}（未検証。--public で検証できます）", en: "signed by {key} (NOT verified; --public verifies it)" }
    ShownTicket { ja: "登録票（保守会社用）{slot}（{hospital}）\n装置の名称: {label}\nグループ: {group}\n有効期限: {expires}\n引き継ぐ装置: {replaces}\n照合値: {proof}", en: "Enrollment slot, the vendor's half: {slot} ({hospital})\ndevice's label: {label}\ngroup: {group}\nusable until {expires}\nreplaces device: {replaces}\nproof: {proof}" }
    ShownSlot { ja: "登録票（装置用、秘密）{slot}\n登録先: {collector}\nルート証明書のSHA-256: {root}\n病院の鍵: {key}\nグループ: {group}\n有効期限: {expires}\n（トークンは表示しません）\n含まれる同意書:", en: "Enrollment slot, the device's half (secret): {slot}\nenrolls at {collector}\nSHA-256 of the root certificate: {root}\nhospital's key: {key}\ngroup: {group}\nusable until {expires}\n(the token is not shown)\nits consent:" }
    ShownApproval { ja: "装置の承認（{hospital}）\n装置: {device}\n指紋: {fingerprint}\n承認日時: {at}", en: "Approval of a device ({hospital})\ndevice: {device}\nfingerprint: {fingerprint}\napproved at {at}" }
    ShownRejoin { ja: "再参加の承認（{hospital}）\n装置: {device}\n始まるエポック: {epoch}\n新しい鍵の指紋: {fingerprint}\n承認日時: {at}", en: "Approval of a rejoin ({hospital})\ndevice: {device}\nepoch that begins: {epoch}\nfingerprint of the new key: {fingerprint}\napproved at {at}" }
    ShownSuccession { ja: "病院の鍵の引き継ぎ（{hospital}）\n新しい鍵: {key}\n新しい鍵の指紋: {fingerprint}\n決定日時: {at}", en: "Succession of the hospital's key ({hospital})\nnew key: {key}\nfingerprint of the new key: {fingerprint}\ndecided at {at}" }
    ShownAgreement { ja: "同意の表明（{hospital}）\n対象: {kind}\n文書のSHA-256: {subject}\n同意日時: {at}", en: "Agreement ({hospital})\nto: {kind}\nSHA-256 of the text: {subject}\nagreed at {at}" }
    ShownTrust { ja: "保守会社の信頼文書 第{version}版\nルート証明書のSHA-256: {roots}\n受領確認の鍵: {ack}\n次の版の署名者: {signer}\n発行日時: {at}", en: "The vendor's trust document, version {version}\nSHA-256 of the roots: {roots}\nkey of acknowledgements: {ack}\nsigner of the next version: {signer}\nissued at {at}" }
    AgreementContract { ja: "契約書の版", en: "a version of a contract" }
    AgreementUnknown { ja: "この版では不明な種類（番号 {code}）", en: "a kind that this version does not know (number {code})" }
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
        ja: "受け付けた方は、次のコマンドで記録してください。\n  tenken-collector incident ack {incident} --worker 担当者\n（受付の記録だけでは、契約上の初動対応の時計は止まりません。原因調査の報告をもって初動対応となります。）",
        en: "Whoever takes this on, please record it:\n  tenken-collector incident ack {incident} --worker WHO\n(This alone does not stop the contract's response clock; the report of the investigated cause does.)",
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
    SlaPatternFile { ja: "ウイルス対策パターンファイル", en: "antivirus pattern file" }
    SlaOsPatch { ja: "OSのセキュリティパッチ", en: "security patches of the system" }
    SlaMiddlewarePatch { ja: "ミドルウェアのセキュリティパッチ", en: "security patches of middleware" }
    SlaCurrencyProvider { ja: "パターンファイル・パッチの対応（乙の管理分）", en: "pattern files and patches (provider's devices)" }
    SlaCurrencyCustomer { ja: "パターンファイル・パッチの対応（甲の管理分）", en: "pattern files and patches (hospital's devices)" }
    SlaChecklist { ja: "巻末に示す事項の実施", en: "items at the contract's end" }
    SlaFaultHandling { ja: "故障時の対応", en: "fault handling" }
    SlaScheduledMaintenance { ja: "定期保守", en: "scheduled maintenance" }
    SlaPeriodicMonitoring { ja: "定期監視", en: "periodic monitoring" }
    SlaSoftwareRevision { ja: "ソフトウェアの改訂", en: "software revision" }
    SlaAccessNoRequest { ja: "甲の依頼・承認の記録がない", en: "no request or approval of the hospital on record" }
    SlaAccessBeforeApproval { ja: "承認前に開始した", en: "began before it was approved" }
    SlaAccessNotConfirmed { ja: "緊急（事後承認待ち）", en: "emergency, not confirmed yet" }
    SlaExclusionInForce { ja: "適用", en: "in force" }
    SlaExclusionNotAgreed { ja: "甲の合意なし（適用しない）", en: "not agreed by the hospital (no effect)" }
    SlaExclusionShortNotice { ja: "告知期限を過ぎている（適用しない）", en: "announced too late (no effect)" }
    SlaExclusionNoRule { ja: "契約に該当する規則がない（適用しない）", en: "the contract has no such rule (no effect)" }
    SlaNoCounting { ja: "契約に未達成件数の計算方法がありません", en: "the contract does not say what counts as a miss" }
    SlaNoThresholds { ja: "契約に評価の基準がありません", en: "the contract does not say which count gives which grade" }
    SlaNoContract { ja: "有効な契約がありません", en: "no contract was in force" }
    SlaMet { ja: "達成", en: "met" }
    SlaMissed { ja: "未達成", en: "missed" }
    SlaUnknown { ja: "判定不能", en: "cannot be told" }
    SlaNotApplicable { ja: "対象なし", en: "nothing to judge" }
    // SLA: why a figure has no value.
    SlaNoServiceTime { ja: "対象期間にサービス提供時間がありません", en: "the period has no service time" }
    SlaNoMeasurement { ja: "サービス提供時間の全体にわたり測定データがありません", en: "nothing was measured in all of the service time" }
    SlaNoCase { ja: "対象となる障害がありません", en: "there was no incident to respond to" }
    SlaNoDevice { ja: "対象となる機器がありません", en: "there is no device to look after" }
    SlaNoReport { ja: "機器からの報告がありません", en: "no device reported" }
    SlaNoItem { ja: "期限を迎える事項がありません", en: "no item is due" }
    SlaNothingDue { ja: "期限の到来した障害対応がまだありません", en: "no response was due yet" }
    // SLA: state of a response clock.
    SlaResponseRunning { ja: "対応中（期限 {deadline}）", en: "open (due {deadline})" }
    SlaResponseMet { ja: "期限内に第一次対応済み", en: "first response in time" }
    SlaResponseBreached { ja: "期限超過（期限 {deadline}）", en: "overdue (was due {deadline})" }
    // SLA: the calendar.
    HolidaysEstimated { ja: "{year}年以降の祝日は推定です（官報公示前）。", en: "Holidays from {year} on are estimated; they are not announced yet." }
    SlaRecordsEntered { ja: "{count}件を登録しました（うち病院の同意が必要なもの {wanting}件）", en: "Entered: {count} (of which {wanting} need the hospital's agreement)" }
    SlaNoRecords { ja: "登録された記録はありません", en: "nothing was entered" }
    RecordAgreed { ja: "次の記録に同意する署名をしました。このファイルを保守会社へ送ってください: {path}\n{record}", en: "Signed: this hospital agrees to this record. Send this file to the vendor: {path}\n{record}" }
    AgreementRecord { ja: "契約に関する記録", en: "a record about a contract" }
    SlaNoChange { ja: "改定案によって変わる評価はありません", en: "the draft would have changed nothing" }
    SlaChange { ja: "{month} {item}: {before} → {draft}（未達成 {misses_before} 件 → {misses_draft} 件）", en: "{month} {item}: {before} -> {draft} (misses: {misses_before} -> {misses_draft})" }
    SlaYear { ja: "年次評価 {from} ～ {to}: {grade}（未達成 {misses} 件）", en: "year {from} to {to}: {grade} (misses: {misses})" }
    SlaYearOpen { ja: "年次評価 {from} ～ {to}（途中経過）: {grade}（未達成 {misses} 件）", en: "year {from} to {to}, so far: {grade} (misses: {misses})" }
    SlaNoGrade { ja: "評価なし", en: "no grade" }
    SlaMissCount { ja: "未達成 {count} 件（ほかに未確定 {open} 件）", en: "misses: {count} (and {open} not certain)" }
    SlaUnexplained { ja: "事由と改善策の記載がありません", en: "no reason and plan are given" }
    SlaTriggerNoImprovement { ja: "契約解除の申し入れ要件: {item}が{last}まで12か月続けて未達成です（A7.2）", en: "right to ask for the end: {item} was missed in 12 months in a row up to {last} (A7.2)" }
    SlaTriggerC { ja: "契約解除の申し入れ要件: 評価Cの翌年度（{year}～）も{grade}です（A7.2）", en: "right to ask for the end: the year after a C, from {year}, is graded {grade} (A7.2)" }
    SlaTriggerD { ja: "契約解除の申し入れ要件: {year}からの年度の評価がDです（A7.2）", en: "right to ask for the end: the year from {year} is graded D (A7.2)" }
    SlaTriggerNotCorrected { ja: "契約解除の申し入れ要件: 巻末の事項「{item}」が期限（{until}）までに改善されていません（A7.2）", en: "right to ask for the end: item {item} was not corrected by {until} (A7.2)" }
    SlaCalendarAnnounced { ja: "祝日は官報公示済み", en: "holidays as officially announced" }
    SlaCalendarEstimated { ja: "祝日は推定（官報公示前）", en: "holidays estimated (not announced yet)" }
}

#[cfg(test)]
mod tests;
