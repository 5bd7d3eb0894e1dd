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
