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

    // Notices to the support desk.
    NoticeSeverityInfo { ja: "情報", en: "info" }
    NoticeSeverityWarning { ja: "警告", en: "warning" }
    NoticeSeverityCritical { ja: "重大", en: "critical" }
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
