//! The words of the SLA's reports (A6.5), the second part of the catalogue.
//!
//! Holds: the same as the catalogue's first part. Names of figures, labels and verdicts stand there.

use super::{Language, filled};

catalogue! { ReportText:
    // Units and forms.
    Month { ja: "{year}年{month}月", en: "{year}-{month}" }
    Period { ja: "{from} ～ {to}", en: "{from} to {to}" }
    Since { ja: "{from} ～ 継続中", en: "{from}, still going on" }
    Range { ja: "{min} ～ {max}", en: "{min} – {max}" }
    Hours { ja: "{h} 時間 {m} 分", en: "{h} h {m} min" }
    HoursSeconds { ja: "{h} 時間 {m} 分 {s} 秒", en: "{h} h {m} min {s} s" }
    Days { ja: "{days} 日", en: "{days} d" }
    DaysHours { ja: "{days} 日 {h} 時間 {m} 分", en: "{days} d {h} h {m} min" }
    Cases { ja: "{n} 件", en: "{n}" }
    Minutes { ja: "{n} 分", en: "{n} min" }
    Version { ja: "第{version}版", en: "version {version}" }
    AtLeast { ja: "{value}以上", en: "{value} or more" }
    Within { ja: "{value}以内", en: "within {value}" }
    None { ja: "該当なし", en: "none" }
    NotInContract { ja: "契約に定めなし", en: "not in the contract" }
    Missing { ja: "未記載", en: "missing" }
    Total { ja: "合計", en: "Total" }
    Colon { ja: "{what}：{text}", en: "{what}: {text}" }

    // The head of every report.
    Draft { ja: "案", en: "DRAFT" }
    DraftNotEnded { ja: "案（対象期間の途中です）", en: "draft (the period has not ended)" }
    DraftNotSealed { ja: "案（確定していません）", en: "draft (not sealed)" }
    Sealed { ja: "確定 第{revision}版（{at}）", en: "sealed, revision {revision} ({at})" }
    Hospital { ja: "甲（医療機関）", en: "Hospital" }
    Provider { ja: "乙（提供事業者）", en: "Provider" }
    SubcontractorFirst { ja: "丙（再委託先）", en: "Subcontractor 1" }
    SubcontractorSecond { ja: "丁（再委託先）", en: "Subcontractor 2" }
    SubcontractorOther { ja: "再委託先（{n}）", en: "Subcontractor {n}" }
    NameAndRole { ja: "{name}（{role}）", en: "{name} ({role})" }
    Service { ja: "サービスの名称", en: "Service" }
    Contract { ja: "契約", en: "Contract" }
    PeriodOfReport { ja: "対象期間", en: "Period" }
    Standing { ja: "報告書の状態", en: "State of this report" }
    AsOf { ja: "評価時点", en: "Evaluated as of" }
    Calendar { ja: "暦", en: "Calendar" }
    Engine { ja: "算定プログラム", en: "Computed by" }
    Foot { ja: "時刻はすべて日本時間です。この報告書は {as_of} 時点の記録から {engine} が算定しました。同じ記録からは常に同じ報告書ができます。", en: "All times are Japan time. Computed by {engine} from the records as of {as_of}; the same records always give the same report." }
    ConfirmHospital { ja: "甲 確認", en: "Seen by the hospital" }
    ConfirmProvider { ja: "乙 承認", en: "Approved by the provider" }
    ConfirmAuthor { ja: "乙 作成", en: "Made by the provider" }
    Date { ja: "日付", en: "Date" }

    Changes { ja: "第{revision}版からの変更", en: "Changes since revision {revision}" }
    ColumnPlace { ja: "箇所", en: "Place" }
    ColumnBefore { ja: "変更前", en: "Before" }
    ColumnAfter { ja: "変更後", en: "After" }

    // Columns.
    ColumnItem { ja: "項目", en: "Item" }
    ColumnIndicator { ja: "管理指標", en: "Indicator" }
    ColumnTarget { ja: "目標", en: "Target" }
    ColumnValue { ja: "実績", en: "Result" }
    ColumnRange { ja: "不明分を含む範囲", en: "Range with what is unknown" }
    ColumnCoverage { ja: "計測率", en: "Coverage" }
    ColumnVerdict { ja: "判定", en: "Verdict" }
    ColumnVersion { ja: "契約の版", en: "Version" }
    ColumnPeriod { ja: "期間", en: "Period" }
    ColumnUptimeTarget { ja: "稼働率の目標", en: "Uptime target" }
    ColumnResponseTerms { ja: "第一次対応の期限（対象の重大度）", en: "First response due (severities)" }
    ColumnServiceTime { ja: "サービス提供時間", en: "Service time" }
    ColumnLabel { ja: "区分", en: "State" }
    ColumnTime { ja: "時間", en: "Time" }
    ColumnShare { ja: "提供時間に占める割合", en: "Share of the service time" }
    ColumnId { ja: "番号", en: "No." }
    ColumnCause { ja: "原因", en: "Cause" }
    ColumnInService { ja: "月内の提供時間にかかる停止", en: "Service time in the month" }
    ColumnNote { ja: "内容・備考", en: "Note" }
    ColumnClass { ja: "種別", en: "Class" }
    ColumnReason { ja: "事由", en: "Reason" }
    ColumnState { ja: "状態", en: "State" }
    ColumnAnnounced { ja: "告知", en: "Announced" }
    ColumnAgreed { ja: "甲の合意", en: "Agreed by the hospital" }
    ColumnEvidence { ja: "根拠資料", en: "Evidence" }
    ColumnStart { ja: "感知・連絡", en: "Detected or reported" }
    ColumnDeadline { ja: "期限", en: "Due" }
    ColumnReported { ja: "第一次対応の報告", en: "First response" }
    ColumnTook { ja: "所要（業務時間）", en: "Took (business time)" }
    ColumnDevice { ja: "機器", en: "Device" }
    ColumnKind { ja: "対象", en: "What" }
    ColumnResponsible { ja: "責任", en: "Responsible" }
    ColumnLastReport { ja: "最後の報告", en: "Last report" }
    ColumnOverdue { ja: "期限超過の時間", en: "Time overdue" }
    ColumnUnknown { ja: "不明の時間", en: "Time unknown" }
    ColumnDue { ja: "実施期限", en: "Due" }
    ColumnDone { ja: "実施日時", en: "Done" }
    ColumnService { ja: "サービス種別", en: "Type of service" }
    ColumnJobs { ja: "受託作業", en: "Jobs" }
    ColumnAccesses { ja: "アクセス", en: "Accesses" }
    ColumnMinutes { ja: "アクセス時間", en: "Time of access" }
    ColumnEmployer { ja: "所属", en: "Employer" }
    ColumnWorker { ja: "作業者", en: "Worker" }
    ColumnRequest { ja: "甲の依頼・承認", en: "Hospital's request" }
    ColumnFlag { ja: "確認事項", en: "To be settled" }
    ColumnCount { ja: "件数", en: "Count" }
    ColumnOpen { ja: "未確定", en: "Not certain" }
    ColumnMonth { ja: "月", en: "Month" }
    ColumnAttachment { ja: "提出資料", en: "Attachment" }
    ColumnSummary { ja: "概要・理由", en: "Summary or reason" }
    ColumnOccurred { ja: "発生日時", en: "Occurred" }
    ColumnReportDue { ja: "報告期限", en: "Report due" }
    ColumnAt { ja: "日時", en: "Time" }
    ColumnCourse { ja: "経緯", en: "What happened" }

    // The monthly report.
    MonthlyTitle { ja: "月次報告書", en: "Monthly report" }
    Indicators { ja: "管理指標（A7.1(1)）", en: "Indicators (A7.1(1))" }
    IndicatorsNote { ja: "「不明分を含む範囲」は、不明な時間と測定データのない時間をすべて未達成とみなした値から、すべて達成とみなした値までです。判定は、その範囲のどこであっても変わらないときに限り「達成」または「未達成」とします。", en: "The range goes from the value that takes all unknown time as missed to the one that takes it as met. The verdict is \"met\" or \"missed\" only where it is the same over all of the range." }
    SegmentsJudged { ja: "月の途中で契約の版が変わったため、判定は版ごとの目標によります。", en: "The contract's version changed within the month; each part is judged by its own targets." }
    Contracts { ja: "適用した契約の版", en: "Contract versions that applied" }
    NoContract { ja: "この月に有効な契約はありません。評価は行いません。", en: "No contract was in force in this month; nothing is judged." }
    Partition { ja: "サービス提供時間の内訳", en: "Where the service time went" }
    PartitionNote { ja: "サービス提供時間のすべての瞬間は、いずれか一つの区分に属します。", en: "Every instant of the service time belongs to exactly one state." }
    PartitionFormula { ja: "稼働率 ＝ 1 － 停止（乙の責） ÷（サービス提供時間 － 算定除外（事前合意） － データなし）＝ 1 － {down} ÷ {denominator} ＝ {value}", en: "uptime = 1 − down (provider) ÷ (service time − excluded (agreed in advance) − no data) = 1 − {down} ÷ {denominator} = {value}" }
    Stretches { ja: "稼働以外の時間の明細", en: "Every stretch that was not up" }
    Outages { ja: "サービスの停止", en: "Stops of the service" }
    OutagesNone { ja: "回線の監視または人の手で登録された停止はありません。サービスセンター自身が動いていなかった時間は「稼働以外の時間の明細」に示します。", en: "No stop was found by a lost link or entered by hand. Time in which the service centre itself did not run is among the stretches above." }
    OutageHarmless { ja: "部分停止（業務への重大な影響なし、承認者 {by}。停止時間に含めない）", en: "partial, without serious impact (approved by {by}; not counted as stopped)" }
    OutagePartial { ja: "部分停止", en: "partial" }
    CauseProvider { ja: "乙", en: "provider" }
    CauseCustomer { ja: "甲", en: "hospital" }
    CauseUndetermined { ja: "不明", en: "undetermined" }
    Exclusions { ja: "サービスレベル算定除外（A7.1(2)）", en: "Time left out of the figures (A7.1(2))" }
    ExclusionsNone { ja: "この月に算定除外の申し出はありません。", en: "Nothing was asked to be left out in this month." }
    ClassPreAgreed { ja: "事前合意", en: "agreed in advance" }
    ClassOther { ja: "その他", en: "other" }
    ByAt { ja: "{by}（{at}）", en: "{by} ({at})" }
    NotAnnounced { ja: "告知なし", en: "not announced" }
    NotAgreed { ja: "合意なし", en: "not agreed" }
    Responses { ja: "障害対応時間", en: "Incident response" }
    ResponsesNone { ja: "この月に、対応期限の対象となる障害はありません。", en: "No incident with a promised response began in this month." }
    ResponsesNote { ja: "期限は通常業務時間で数えます。受付や復旧では時計は止まらず、原因の調査結果の報告で止まります。", en: "Counted in business hours. Neither an acknowledgement nor a recovery stops the clock; the report of the cause does." }
    NotReported { ja: "報告なし", en: "not reported" }
    Currency { ja: "パターンファイル・セキュリティパッチの状況", en: "Pattern files and security patches" }
    CurrencyNone { ja: "対象となる機器はありません。", en: "No device is concerned." }
    CurrencyUpToDate { ja: "最新", en: "up to date" }
    CurrencySince { ja: "{since} の版・未適用", en: "of {since}, or pending since" }
    CurrencyUnknown { ja: "確認できず", en: "could not be told" }
    NeverReported { ja: "一度も報告なし", en: "never reported" }
    StateAt { ja: "{state}（{at}）", en: "{state} ({at})" }
    Checklist { ja: "巻末に示す事項", en: "Items at the contract's end" }
    ChecklistNone { ja: "この月に期限を迎える事項はありません。", en: "No item is due in this month." }
    NotDone { ja: "未実施", en: "not done" }
    Jobs { ja: "作業件数とアクセス状況（A6.5(1)①）", en: "Jobs and accesses (A6.5(1)①)" }
    AccessByEmployer { ja: "所属別のアクセス", en: "Accesses by employer" }
    AccessList { ja: "アクセスの明細", en: "Every access" }
    AccessNone { ja: "この月のアクセスはありません。", en: "Nobody accessed a device in this month." }
    AccessFlagged { ja: "確認を要するアクセスが {n} 件あります。", en: "Accesses that have to be settled: {n}" }
    AccessAllRequested { ja: "すべてのアクセスに甲の依頼または承認の記録があります。", en: "Every access has the hospital's request or approval on record." }
    Emergency { ja: "緊急", en: "emergency" }
    Confirmed { ja: "事後承認 {at}", en: "approved afterwards, {at}" }
    Misses { ja: "未達成件数・事由・改善策（A7.1(1)②、A7.2）", en: "Misses, reasons, improvement (A7.1(1)②, A7.2)" }
    MissesNone { ja: "未達成はありません。", en: "Nothing was missed." }
    MissesTotal { ja: "未達成 {count} 件（ほかに未確定 {open} 件）", en: "Misses: {count} (and {open} not certain)" }
    Reason { ja: "事由", en: "Reason" }
    Plan { ja: "改善策", en: "Improvement" }
    CannotSeal { ja: "事由と改善策の記載がそろうまで、この月は確定できません。", en: "This month cannot be sealed before a reason and an improvement plan are given." }
    EvidenceTime { ja: "{label} {period}", en: "{label}, {period}" }
    EvidenceItem { ja: "{item}（期限 {due}）", en: "{item} (due {due})" }
    Separator { ja: "、", en: "; " }
    Events { ja: "発生の都度の報告（A6.5(1)③）", en: "Reports of single events (A6.5(1)③)" }
    EventsNone { ja: "この月に該当する事象の登録はありません。", en: "No such event was recorded in this month." }

    // The annual report.
    AnnualTitle { ja: "年次報告書", en: "Annual report" }
    Grade { ja: "年次評価（A7.1(1)②）", en: "Grade of the year (A7.1(1)②)" }
    GradeNow { ja: "評価", en: "Grade" }
    GradeSoFar { ja: "評価（途中経過）", en: "Grade so far" }
    GradeBest { ja: "未確定分をすべて達成とした場合", en: "With all that is open met" }
    GradeWorst { ja: "未確定分をすべて未達成とした場合", en: "With all that is open missed" }
    MissesOfYear { ja: "年間の未達成件数", en: "Misses of the year" }
    MissesByMonth { ja: "月別・指標別の未達成件数", en: "Misses by month and indicator" }
    MissesByMonthNote { ja: "「＋」の後は未確定の件数です。", en: "What follows \"+\" is not certain." }
    Triggers { ja: "契約解除の申し入れ要件（A7.2）", en: "Grounds for asking for the contract's end (A7.2)" }
    TriggersNone { ja: "該当する要件はありません。", en: "There are none." }
    AnnualItems { ja: "年次報告事項（A6.5(1)②）", en: "Items of the annual report (A6.5(1)②)" }
    AnnualCompliance { ja: "法令・ガイドライン等の遵守状況", en: "Compliance with laws and guidelines" }
    AnnualSafety { ja: "個人データ安全管理に関する運用状況", en: "Safe handling of personal data" }
    AnnualAudit { ja: "サービス提供に係る監査結果", en: "Results of the audit of the service" }
    AnnualTraining { ja: "要員教育の実施、概要、結果", en: "Training of staff: what was done, and its results" }
    AnnualFinances { ja: "経営状況等を示す資料", en: "Documents on the state of the business" }
    AnnualMissing { ja: "提出なし（資料または理由の記載が必要です）", en: "missing (an attachment or a reason is needed)" }
    AnnualNotClosed { ja: "提出のない事項があるため、この年次報告書は確定できません。", en: "Items are missing, so this report cannot be sealed." }
    YearUnknown { ja: "この年度に有効な契約はありません。", en: "No contract was in force in this year." }
    Verdicts { ja: "月別の判定", en: "Verdicts by month" }

    // Reports of single events.
    EventTitle { ja: "発生の都度の報告書", en: "Report of an event" }
    EventOrganisation { ja: "業務・管理・保守体制等の変更", en: "Change of the organisation" }
    EventMedicalInformation { ja: "動作確認で医療情報を参照した作業の結果", en: "Work in which medical information was seen" }
    EventTakenOut { ja: "受託情報の組織外への持出し・再委託先への保存", en: "Information taken out, or kept at a subcontractor" }
    EventSecurity { ja: "情報セキュリティインシデントの経緯・顛末", en: "Information security incident" }
    EventStop { ja: "障害等に伴うサービスの停止の経緯・顛末", en: "Stop of the service" }
    EventSystemChange { ja: "リモートサービスの保守等に伴うシステムの変更の結果", en: "Change of the service's own system" }
    EventSent { ja: "報告済み（{at}）", en: "reported ({at})" }
    EventOpen { ja: "報告前", en: "not reported yet" }
    EventOverdue { ja: "報告期限を超過", en: "overdue" }
    EventKind { ja: "報告の種類", en: "Kind" }
    EventSubject { ja: "件名", en: "Subject" }
    EventCourse { ja: "経緯", en: "What happened" }
    EventCause { ja: "原因", en: "Cause" }
    EventMeasures { ja: "対応と再発防止", en: "What was done, and against it happening again" }
    EventOutage { ja: "関係する停止", en: "The stop" }

    // For patients.
    PatientTitle { ja: "医療機器の遠隔保守について", en: "Remote maintenance of our equipment" }
    PatientLead { ja: "{hospital}では、検査などに使う医療機器を安全に使い続けるため、保守会社（{vendor}）に、通信回線を使った点検と保守（遠隔保守）を依頼しています。{month}の状況をお知らせします。", en: "To keep our medical equipment safe, {hospital} has it looked after from afar by {vendor}. This is how that went in {month}." }
    PatientHandling { ja: "患者さんの情報の取扱い", en: "How information about you is handled" }
    PatientHandlingText { ja: "保守会社に送られるのは、機器の調子を示す点検の記録です。送ってよい記録の種類は、当院が書面で定めています。保守会社が機器を遠隔から調べるのは、当院の依頼または承認がある場合です。", en: "What is sent to the maintenance company are records of how the equipment is doing. Our hospital lays down in writing which kinds may be sent. The company works on a device from afar at our request or with our approval." }
    PatientSeen { ja: "この期間に、作業の中で医療情報を参照したという報告が {n} 件ありました。", en: "In this period, work in which medical information was seen was reported this often: {n}" }
    PatientTakenOut { ja: "この期間に、情報の持出しまたは外部への保存の報告が {n} 件ありました。", en: "In this period, information taken out or kept elsewhere was reported this often: {n}" }
    PatientSecurity { ja: "この期間に、情報セキュリティに関する事故の報告が {n} 件ありました。", en: "In this period, information security incidents were reported this often: {n}" }
    PatientNothingReported { ja: "この期間に、医療情報の参照・持出し、情報セキュリティに関する事故の報告はありませんでした。", en: "In this period, no medical information was reported to have been seen or taken out, and no information security incident was reported." }
    PatientMeasures { ja: "安全のための対策", en: "What is done for safety" }
    PatientMeasuresText { ja: "点検の記録は暗号化した通信で送られ、途中で書き換えられていないことを確かめられます。この点検の仕組みには、保守会社から機器へ命令を送る機能はありません。", en: "The records travel encrypted, and it can be checked that nobody changed them on the way. The system that sends them cannot carry orders from the company to a device." }
    PatientAccesses { ja: "保守会社による遠隔からの作業は {n} 件でした。", en: "The maintenance company worked on our equipment from afar this often: {n}" }
    PatientAllRequested { ja: "すべて、当院の依頼または承認にもとづく作業です。", en: "All of it was at our request or with our approval." }
    PatientFlagged { ja: "このうち {n} 件は、当院で依頼・承認の記録を確認中です。", en: "Our request or approval is still being checked for this many: {n}" }
    PatientOperation { ja: "遠隔保守の運用状況", en: "How the service ran" }
    PatientNoStop { ja: "予定した時間に、遠隔保守が止まったことはありませんでした。", en: "Remote maintenance did not stop in its planned hours." }
    PatientStopped { ja: "予定した {service}のうち、遠隔保守が止まった時間は {down}でした。", en: "Of the planned {service}, remote maintenance was stopped for {down}." }
    PatientPlanned { ja: "このほか、前もって決めた保守作業などで止めた時間は {excluded}です。", en: "Besides, it was stopped for {excluded} for reasons such as planned work." }
    PatientUnknown { ja: "動いていたかどうかを確かめられない時間が {unknown}ありました。", en: "For {unknown} it is not known whether it ran." }
    PatientNotDevices { ja: "これは遠隔保守サービスの状況です。検査や診療に使う機器が止まっていたという意味ではありません。", en: "This is about the maintenance service; it does not mean that the equipment used for your care was stopped." }
    PatientImprove { ja: "目標に届かなかった点については、保守会社から理由と改善策の報告を受け、当院が確かめています。", en: "Where a goal was not reached, the maintenance company has to report the reason and its improvement, and we check it." }
    PatientGoalsMet { ja: "当院と保守会社が決めた目標は、すべて達成されました。", en: "All goals that we and the maintenance company agreed on were reached." }
    PatientGoalsOpen { ja: "当院と保守会社が決めた目標のうち、まだ判定できないものがあります。", en: "Some goals that we and the maintenance company agreed on cannot be judged yet." }
    PatientAsk { ja: "ご不明な点は、{hospital}の窓口までお尋ねください。", en: "Please ask at {hospital}'s desk if you have any questions." }
    DraftRevision { ja: "{device} の {subject} の版が {old} から {new} に変わりました（対応する作業の記録がありません）", en: "On {device} the version of {subject} changed from {old} to {new}; no work is on record that explains it" }
    DraftQuarantine { ja: "{device} の通信に矛盾があり、受け入れを止めました", en: "Messages of {device} do not fit together; nothing is taken from it" }
    DraftClone { ja: "{device} の識別情報が複製された疑いがあります", en: "Somebody else may have the identity of {device}" }
    PatientDraft { ja: "この資料は案です。数値は変わることがあります。", en: "This is a draft; its figures may change." }
}
