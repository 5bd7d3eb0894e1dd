//! What devices say of their own state, as people at the service centre read it, a further part of
//! the catalogue.
//!
//! Holds: the same as the catalogue's first part.

use super::{Language, filled};

catalogue! { DeviceText:
    // One device.
    Patches { ja: "セキュリティパッチ", en: "Security patches" }
    PatternFiles { ja: "ウイルス対策のパターンファイル", en: "Antivirus pattern files" }
    Versions { ja: "ソフトウェアの版", en: "Software versions" }
    Changes { ja: "版の変更", en: "Changes of versions" }
    Wear { ja: "消耗部品", en: "Wear parts" }
    Inventory { ja: "機器台帳の項目", en: "Lines of the device ledger" }
    NeverReported { ja: "  不明（報告がありません）", en: "  not known (never reported)" }
    Line { ja: "  {subject}: {what}（{at} 現在）", en: "  {subject}: {what} (as of {at})" }
    Change { ja: "  {at} {subject}: {old} → {new}", en: "  {at} {subject}: {old} -> {new}" }
    Unknown { ja: "不明", en: "not known" }
    Comma { ja: "、", en: ", " }
    // Patches.
    PatchKnown { ja: "未適用 {pending} 件、うちセキュリティ {security} 件", en: "{pending} pending, {security} of them security" }
    PatchStale { ja: "不明（索引が古い: {index}）", en: "not known (package index of {index})" }
    PatchDisabled { ja: "更新が無効", en: "updates are switched off" }
    PatchManaged { ja: "不明（更新は WSUS などで管理）", en: "not known (managed by WSUS or the like)" }
    PatchUnreachable { ja: "不明（更新元に接続できない）", en: "not known (the source did not answer)" }
    PatchOldest { ja: "最も古い未適用 {at}", en: "the oldest since {at}" }
    PatchApplied { ja: "最終適用 {at}", en: "last applied {at}" }
    RebootNeeded { ja: "再起動が必要", en: "restart needed" }
    // Pattern files.
    PatternKnown { ja: "定義 {version}（{defined} 作成）", en: "definitions {version} of {defined}" }
    PatternDisabled { ja: "対策ソフトが無効", en: "the product is switched off" }
    PatternEngine { ja: "エンジン {engine}", en: "engine {engine}" }
    // Wear.
    WearOf { ja: "{value} ／ 寿命 {life}", en: "{value} of {life}" }
    // The ledger.
    ColumnHospital { ja: "医療機関", en: "hospital" }
    ColumnLabel { ja: "装置名", en: "device" }
    ColumnDevice { ja: "識別子", en: "id" }
    ColumnHostname { ja: "ホスト名", en: "hostname" }
    ColumnSystem { ja: "OS", en: "OS" }
    ColumnSystemVersion { ja: "OS の版", en: "OS version" }
    ColumnManufacturer { ja: "製造業者", en: "manufacturer" }
    ColumnModel { ja: "型式", en: "model" }
    ColumnSerial { ja: "製造番号", en: "serial" }
    ColumnArchitecture { ja: "アーキテクチャ", en: "architecture" }
    ColumnRemote { ja: "リモートメンテナンス", en: "remote maintenance" }
    ColumnReported { ja: "報告日時", en: "reported" }
    Yes { ja: "有", en: "yes" }
    No { ja: "無", en: "no" }
}
