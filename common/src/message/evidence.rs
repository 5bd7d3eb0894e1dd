//! What a hospital reads when it checks evidence, the third part of the catalogue.
//!
//! Holds: the same as the catalogue's first part.

use super::{Language, filled};

catalogue! { EvidenceText:
    // At the service centre.
    Sealed { ja: "{contract} {month} を確定しました（第{revision}版、{position} 番目までの記録による）", en: "{contract} {month} sealed, revision {revision}, from the records up to entry {position}" }
    SealedAgain { ja: "第{before}版からの変更: {count} 箇所", en: "Changes since revision {before}: {count}" }
    SealedChange { ja: "  {place}: {before} → {after}", en: "  {place}: {before} -> {after}" }
    EvidenceWritten { ja: "{month} 第{revision}版の証拠を {path} に書き出しました（記録 {items} 件、{bytes} バイト）。病院に渡してください。", en: "The evidence of {month}, revision {revision}, is in {path} ({items} entries, {bytes} bytes). Hand it to the hospital." }
    ReceiptWritten { ja: "最後の受領証（{at}、{position} 番目までの記録）を {path} に書き出しました。", en: "The newest receipt ({at}, up to entry {position}) is in {path}." }
    // At the hospital.
    Head { ja: "契約 {contract} {month} 第{revision}版の証拠", en: "Evidence of contract {contract}, {month}, revision {revision}" }
    Counts { ja: "確認した記録 {items} 件（うち機器 {devices} 台からの通信 {messages} 件、病院の署名 {statements} 件）", en: "Checked: entries {items}, messages {messages} (devices: {devices}), statements of the hospital {statements}." }
    Figure { ja: "  {name}: 報告 {sealed} ／ 再計算 {found}  {verdict}", en: "  {name}: reported {sealed} / recomputed {found}  {verdict}" }
    Agrees { ja: "一致", en: "agrees" }
    Differs { ja: "不一致", en: "DIFFERS" }
    Good { ja: "結果: すべての数値が記録から再計算され、報告と一致しました。", en: "Result: every figure was recomputed from the records and agrees with the report." }
    Bad { ja: "結果: {count} 件の問題があります。報告書を承認する前に保守会社に説明を求めてください。", en: "Result: {count} problems. Have the vendor explain them before you accept the report." }
    WitnessSame { ja: "  照合 {whose}: 一致（{position} 番目の記録まで）", en: "  compared with {whose}: the same (up to entry {position})" }
    WitnessOther { ja: "  照合 {whose}: 不一致（{position} 番目の記録まで）", en: "  compared with {whose}: NOT the same (up to entry {position})" }
    WitnessEarlier { ja: "  照合 {whose}: この証拠の範囲より前（{position} 番目）のため照合できません", en: "  {whose}: not compared, it is of before this evidence (entry {position})" }
    WitnessLater { ja: "  照合 {whose}: この証拠より新しい（{position} 番目）ため照合できません。これより後に作られた証拠を保守会社に求めてください", en: "  {whose}: not compared, it is newer than this evidence (entry {position}); ask the vendor for evidence made after it" }
    NoWitness { ja: "注意: 照合できる控え（前月の証拠、機器の受領証）がありません。保守会社が記録そのものを差し替えた場合は、機器の署名に反するものしか見つかりません。", en: "Note: there was nothing to compare with (evidence of the month before, a device's receipt). If the vendor has rewritten its own records, only what contradicts the devices' signatures is found." }
    FirstKey { ja: "注意: 保守会社の署名鍵を初めて受け入れました。指紋を保守会社に確かめてください: {fingerprint}", en: "Note: the vendor's key was accepted for the first time. Compare its fingerprint with the vendor: {fingerprint}" }
    Unapproved { ja: "注意: 機器 {device} の鍵には病院の承認がありません。", en: "Note: the hospital has not approved the key of device {device}." }
    Restored { ja: "注意: {position} 番目の記録で、保守会社の収集サーバーは {taken} のバックアップから復元されています。それより後、復元までの受領証とは一致しません。", en: "Note: at entry {position} the vendor's collector was restored from a backup of {taken}. Receipts from between that and the restore do not match." }
    Lost { ja: "注意: 保守会社の収集サーバーは、機器 {device} の通信 {from} から {to} までを受領後に失ったとしています（乙の責）。", en: "Note: the vendor's collector says that it acknowledged messages {from} to {to} of device {device} and lost them (to the vendor's account)." }
    Unjudged { ja: "注意: この月の {count} 回の評価について、判定規則が証拠にないか読めません。その間に機器の点検から検知されるはずだった障害は再計算していません。", en: "Note: at {count} evaluations of the month no rules stood in the file, or none that this program can read. What devices' checks should have raised then was not made anew." }
    OtherEngine { ja: "注意: 報告書は {sealed}、この再計算は {own} によるものです。", en: "Note: the report was computed by {sealed}, this check by {own}." }
    FaultAt { ja: "証拠の {item} 件目（{position} 番目の記録）: {what}", en: "entry {item} of the file (position {position}): {what}" }
    Manifest { ja: "証拠の表紙が読めないか、保守会社の鍵で署名されていません", en: "the manifest cannot be read, or is not signed by the vendor's key" }
    VendorKey { ja: "保守会社の鍵が前に確かめたものと違い、署名による引き継ぎもありません", en: "the vendor's key is not the one that was seen before, and no signed succession leads to it" }
    Unreadable { ja: "記録として読めません", en: "cannot be read as an entry" }
    Order { ja: "記録の順序が正しくありません", en: "does not come after the entry before it" }
    Altered { ja: "内容が書き換えられているか、その前の記録が欠けています", en: "its content was altered, or an entry before it was dropped" }
    Withheld { ja: "示されるべき内容が伏せられています", en: "its content is withheld although it has to be shown" }
    Witness { ja: "{position} 番目までの記録が「{whose}」の時点のものと違います。後から変更・削除・追加されています", en: "the records up to entry {position} are not those of `{whose}`; some were altered, dropped or put in since" }
    Begin { ja: "証拠の始まりが遅すぎます。この月の数値には {needed} からの記録が必要です", en: "the file begins too late: the month's figures need the records from {needed} on" }
    End { ja: "証拠の終わりが表紙と合いません。記録が欠けているか、余分にあります", en: "the file does not end as its manifest says: entries are missing or were added" }
    Signature { ja: "機器 {device} の署名が正しくありません", en: "is not signed by device {device}" }
    Chain { ja: "機器 {device} の通信 {seq} がその前の通信につながりません。欠落または追加があります", en: "message {seq} of device {device} does not follow the one before it; some were dropped or put in" }
    DeviceKey { ja: "機器 {device} の鍵（{fingerprint}）は病院が承認したものと違います", en: "the key of device {device} ({fingerprint}) is not the one that the hospital approved" }
    Statement { ja: "病院の署名が正しくありません", en: "is not signed by the hospital" }
    HospitalKey { ja: "病院の鍵として、この病院のものでない鍵が使われています", en: "a key that is not this hospital's is used as the hospital's key" }
    Incident { ja: "障害 {incident} の時刻が記録と合いません", en: "the times of incident {incident} are not those of the entries" }
    LeftOut { ja: "機器 {device} が報告した {subject} の異常（{at} に検知、障害 {incident}）が報告書の基になった障害にありません", en: "the problem with {subject} that device {device} reported (detected {at}, incident {incident}) is not among the incidents that the report is made from" }
    NoSeal { ja: "この月の確定記録がありません", en: "the month's seal is not in the file" }
    SealedElsewhere { ja: "別の記録から確定されています", en: "was sealed from other records" }
    Figures { ja: "再計算した報告書が確定した報告書と違います:", en: "the report comes out otherwise than it was sealed:" }
    Change { ja: "{place}: 報告 {sealed} ／ 再計算 {found}", en: "{place}: reported {sealed} / recomputed {found}" }
    OwnReport { ja: "報告書の内容", en: "the report's content" }
    Held { ja: "{month} 第{revision}版の証拠", en: "the evidence of {month}, revision {revision}" }
    Receipt { ja: "機器 {device} の受領証（{at}）", en: "the receipt of device {device} ({at})" }
}
