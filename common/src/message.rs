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
    SlaResponse { ja: "障害対応時間（第一次対応の期限内達成率）", en: "incident response (share of first responses in time)" }
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
