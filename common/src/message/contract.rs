//! The words of a contract's versions, a further part of the catalogue: what each says field by
//! field, and where it stands.
//!
//! Holds: the same as the catalogue's first part.

use super::{Language, filled};

catalogue! { ContractText:
    // A version's parts, and the names of their fields.
    Contract { ja: "契約", en: "Contract" }
    Parties { ja: "当事者（A1.1、A4.3）", en: "Parties (A1.1, A4.3)" }
    Devices { ja: "対象装置（A1.1）", en: "Devices (A1.1)" }
    Contacts { ja: "連絡先（A4.4）", en: "Contacts (A4.4)" }
    ServiceHours { ja: "サービス提供時間（A1.3）", en: "Service hours (A1.3)" }
    ResponseHours { ja: "通常業務時間（A4.4(2)）", en: "Business hours for responses (A4.4(2))" }
    SupportHours { ja: "サポート対応時間（A6.6(1)②）", en: "Hours of the support desk (A6.6(1)②)" }
    Targets { ja: "目標値（A6.3(2)）", en: "Targets (A6.3(2))" }
    Exclusions { ja: "算定除外事項（A7.1(2)）", en: "Reasons that are left out (A7.1(2))" }
    Currency { ja: "パターンファイル・セキュリティパッチの期限（A7.1(1)①）", en: "Limits for pattern files and security patches (A7.1(1)①)" }
    Checklist { ja: "巻末に示す事項", en: "Items at the contract's end" }
    Counting { ja: "未達成件数の計算（A7.1(1)②）", en: "How misses are counted (A7.1(1)②)" }
    Grades { ja: "年次評価の基準（A7.1(1)②）", en: "Grades of the year (A7.1(1)②)" }
    Id { ja: "識別子", en: "id" }
    Version { ja: "版", en: "version" }
    EffectiveFrom { ja: "適用開始日", en: "in force from" }
    Ends { ja: "適用終了日", en: "last day of the term" }
    ServiceName { ja: "サービスの名称", en: "name of the service" }
    YearStarts { ja: "評価年度の始まり", en: "evaluation year starts" }
    HospitalId { ja: "甲の識別子", en: "hospital's id" }
    Hospital { ja: "甲（医療機関）", en: "hospital" }
    HospitalKey { ja: "甲の署名用公開鍵", en: "hospital's public key" }
    Vendor { ja: "乙（提供事業者）", en: "provider" }
    Subcontractors { ja: "再委託先（丙、丁）", en: "subcontractors" }
    DeviceLabels { ja: "装置", en: "devices" }
    DeviceGroups { ja: "装置の群", en: "groups of devices" }
    AllDevices { ja: "全装置", en: "all devices" }
    NormalHours { ja: "通常業務時間", en: "in business hours" }
    OtherHours { ja: "それ以外の時間", en: "at all other hours" }
    Weekly { ja: "曜日と時間", en: "hours of the week" }
    NationalHolidays { ja: "国民の祝日", en: "national holidays" }
    Closed { ja: "休業", en: "closed" }
    LikeOtherDays { ja: "平常どおり", en: "like any other day" }
    ExtraClosed { ja: "このほかの休業日", en: "further closed days" }
    ExtraOpen { ja: "このほかの提供日", en: "further open days" }
    Mon { ja: "月", en: "Mon" }
    Tue { ja: "火", en: "Tue" }
    Wed { ja: "水", en: "Wed" }
    Thu { ja: "木", en: "Thu" }
    Fri { ja: "金", en: "Fri" }
    Sat { ja: "土", en: "Sat" }
    Sun { ja: "日", en: "Sun" }
    DayToDay { ja: "{from}～{to}", en: "{from}–{to}" }
    Uptime { ja: "サービス稼働率", en: "service uptime" }
    ResponseBudget { ja: "第一次対応の期限", en: "first response due" }
    ResponseSeverities { ja: "対象の重大度", en: "for the severities" }
    ClassOf { ja: "{id} の種別", en: "{id}: class" }
    ReasonOf { ja: "{id} の事由", en: "{id}: reason" }
    NoticeOf { ja: "{id} の告知の期限", en: "{id}: to be announced" }
    Ahead { ja: "{time}前まで", en: "{time} ahead" }
    ReportMaxAge { ja: "報告の有効期間", en: "a report counts for" }
    ProviderDevices { ja: "乙の管理する機器", en: "provider's devices" }
    TitleOf { ja: "{id} の件名", en: "{id}: title" }
    DueOf { ja: "{id} の実施期限", en: "{id}: due" }
    EveryYear { ja: "毎年 {day}", en: "{day} of every year" }
    CountUptime { ja: "稼働率", en: "uptime" }
    CountResponse { ja: "障害対応時間", en: "incident response" }
    CountCurrency { ja: "パターンファイル・パッチ", en: "pattern files and patches" }
    CountChecklist { ja: "巻末に示す事項", en: "items at the contract's end" }
    CountUnknown { ja: "判定不能", en: "what cannot be told" }
    UptimeMonth { ja: "目標を下回った月ごとに 1 件", en: "1 for each month under its target" }
    ResponseIncident { ja: "期限を過ぎた障害ごとに 1 件", en: "1 for each overdue incident" }
    ResponseMonth { ja: "期限を過ぎた障害のある月ごとに 1 件", en: "1 for each month with an overdue incident" }
    CurrencyMonth { ja: "乙の機器が期限を過ぎた月ごとに 1 件", en: "1 for each month in which a device of the provider was overdue" }
    CurrencyDevice { ja: "月ごと、期限を過ぎた乙の機器ごとに 1 件", en: "1 a month for each device of the provider that was overdue" }
    ChecklistItem { ja: "期限までに実施されなかった事項ごとに 1 件", en: "1 for each item not done by its day" }
    Counted { ja: "件数に含める", en: "counted" }
    NotCounted { ja: "件数に含めない", en: "not counted" }
    Grade { ja: "評価 {grade}", en: "grade {grade}" }
    Misses { ja: "{from} ～ {to} 件", en: "{from} to {to} misses" }
    MissesExactly { ja: "{from} 件", en: "{from} misses" }
    MissesFrom { ja: "{from} 件以上", en: "{from} misses or more" }

    // Drafts, and where a version stands.
    DraftMade { ja: "契約ファイルのひな形を書き出しました: {path}\n値はすべて例です。契約書のとおりに書き換え、`tenken-collector contract draft --check {path}` で確かめてください。", en: "A contract file to edit is in {path}.\nAll of its values are examples: replace them by those of your agreement, then run `tenken-collector contract draft --check {path}`." }
    DraftGood { ja: "{path} に問題はありません（契約 {contract} 第{version}版、{from} から）。登録はしていません。", en: "{path} is good (contract {contract}, version {version}, from {from}). It was not loaded." }
    DraftLeftOut { ja: "定めがないため評価しないもの: {parts}", en: "Not in it, so not judged: {parts}" }
    DraftAlone { ja: "収集サーバーがここにないため、登録済みの版との前後関係は確かめていません。", en: "There is no collector here, so nobody looked whether it fits to the versions on file." }
    Title { ja: "契約 {contract} 第{version}版", en: "Contract {contract}, version {version}" }
    TitleFile { ja: "契約 {contract} 第{version}版（ファイル {path}）", en: "Contract {contract}, version {version} (file {path})" }
    State { ja: "状態: {standing}", en: "State: {standing}" }
    Period { ja: "適用期間: {from} ～ {to}", en: "Effective: {from} to {to}" }
    PeriodOpen { ja: "適用期間: {from} ～（次の版まで）", en: "Effective: {from} until the next version" }
    Approvals { ja: "乙の承認（登録）: {vendor}、甲の同意: {hospital}", en: "Approved by the provider (loaded): {vendor}; agreed to by the hospital: {hospital}" }
    NotYet { ja: "なし", en: "not yet" }
    NoneToday { ja: "本日適用中の版はありません。何も評価されません。", en: "No version is in force today; nothing is judged." }
    Same { ja: "違いはありません。", en: "There is no difference." }
    StateDraft { ja: "案（登録していません）", en: "draft (not loaded)" }
    StateAwaitsHospital { ja: "案（乙は承認済み、甲の同意待ち。評価には使いません）", en: "draft (approved by the provider, waits for the hospital; nothing is judged by it)" }
    StateAhead { ja: "合意済み（{from} から適用）", en: "agreed to by both, not begun (in force from {from})" }
    StateInForce { ja: "適用中", en: "in force" }
    StateContinued { ja: "適用中（適用終了日 {ends} の後も継続、A2.3）", en: "in force (goes on after the end of its term, {ends}; A2.3)" }
    StateEnded { ja: "適用終了", en: "ended" }
}
