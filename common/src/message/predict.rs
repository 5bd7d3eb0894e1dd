//! What the detector and the forecast say about a series, the fifth part of the catalogue.
//!
//! Holds: the same as the catalogue's first part.

use super::{Language, filled};

catalogue! { PredictText:
    // Why a point is unusual; one in 45 lies beyond {bound}.
    ValueAbove { ja: "値 {seen} が普段の範囲を超えています（普段は 45 点中 44 点が {bound} 以下）", en: "the value {seen} is above the usual (44 points in 45 are not above {bound})" }
    ValueBelow { ja: "値 {seen} が普段の範囲を下回っています（普段は 45 点中 44 点が {bound} 以上）", en: "the value {seen} is below the usual (44 points in 45 are not below {bound})" }
    StepUp { ja: "値が直前から急に {seen} まで上がりました（普段の上がり方では 45 点中 44 点が {bound} まで）", en: "the value went up to {seen} at once (44 steps in 45 would not pass {bound})" }
    StepDown { ja: "値が直前から急に {seen} まで下がりました（普段の下がり方では 45 点中 44 点が {bound} まで）", en: "the value went down to {seen} at once (44 steps in 45 would not pass {bound})" }
    RunAbove { ja: "直近 24 点の平均 {seen} が普段より高くなっています（普段は 45 回中 44 回が {bound} 以下）", en: "the mean of the last 24 points, {seen}, is above the usual (44 in 45 are not above {bound})" }
    RunBelow { ja: "直近 24 点の平均 {seen} が普段より低くなっています（普段は 45 回中 44 回が {bound} 以上）", en: "the mean of the last 24 points, {seen}, is below the usual (44 in 45 are not below {bound})" }
    LongRunAbove { ja: "直近 48 点の平均 {seen} が普段より高くなっています（普段は 45 回中 44 回が {bound} 以下）", en: "the mean of the last 48 points, {seen}, is above the usual (44 in 45 are not above {bound})" }
    LongRunBelow { ja: "直近 48 点の平均 {seen} が普段より低くなっています（普段は 45 回中 44 回が {bound} 以上）", en: "the mean of the last 48 points, {seen}, is below the usual (44 in 45 are not below {bound})" }
    SpreadAbove { ja: "直近 24 点のばらつき（標準偏差 {seen}）が普段より大きくなっています（普段は 45 回中 44 回が {bound} 以下）", en: "the last 24 points are spread wider than usual (standard deviation {seen}; 44 in 45 are not above {bound})" }
    SpreadBelow { ja: "直近 24 点のばらつき（標準偏差 {seen}）が普段より小さく、値が動いていません（普段は 45 回中 44 回が {bound} 以上）", en: "the last 24 points hardly move (standard deviation {seen}; 44 in 45 are not below {bound})" }
    ShapeAbove { ja: "直近 24 点の動きが普段より荒くなっています（ばらつきに対する 1 点ごとの変化 {seen}、普段は 45 回中 44 回が {bound} 以下）", en: "the last 24 points go more roughly than usual (step over spread {seen}; 44 in 45 are not above {bound})" }
    ShapeBelow { ja: "直近 24 点が普段と違い一方向に動いています（ばらつきに対する 1 点ごとの変化 {seen}、普段は 45 回中 44 回が {bound} 以上）", en: "the last 24 points move one way as they usually do not (step over spread {seen}; 44 in 45 are not below {bound})" }
    HourAbove { ja: "値 {seen} がこの時間帯の普段より高くなっています（普段は 45 点中 44 点が {bound} 以下）", en: "the value {seen} is high for this hour of the day (44 points in 45 are not above {bound})" }
    HourBelow { ja: "値 {seen} がこの時間帯の普段より低くなっています（普段は 45 点中 44 点が {bound} 以上）", en: "the value {seen} is low for this hour of the day (44 points in 45 are not below {bound})" }
    HourRunAbove { ja: "直近およそ 24 点が時刻のわりに高い状態が続いています（今 {seen} 相当、普段は 45 回中 44 回が {bound} 以下）", en: "about 24 points have been high for their hours (now {seen}; 44 in 45 are not above {bound})" }
    HourRunBelow { ja: "直近およそ 24 点が時刻のわりに低い状態が続いています（今 {seen} 相当、普段は 45 回中 44 回が {bound} 以上）", en: "about 24 points have been low for their hours (now {seen}; 44 in 45 are not below {bound})" }
    // What damage a part has taken.
    Damage { ja: "{name} が {value}（直近 {week} 日で +{in_week}、{days} 日で +{by}）", en: "{name} is {value} (+{in_week} in {week} days, +{by} in {days} days)" }
    DamageLately { ja: "{name} が {value}（履歴のある {days} 日で +{by}）", en: "{name} is {value} (+{by} in the {days} days that are known)" }
    DamageAlone { ja: "{name} が {value}（まだ履歴がありません）", en: "{name} is {value} (there is no history yet)" }
    StandsStill { ja: "装置は動作しているのに {name} が {hours} 時間 {value} のまま進んでいません（新しい値が読めていないおそれがあり、ほかの値も古い可能性があります）", en: "{name} has stood still at {value} for {hours} hours although the device runs (it may no longer answer, and its other values may be old)" }
    // How sure it is.
    Alert { ja: "{why}。異常度 {score}（警報は {from} から）", en: "{why}; score {score}, alert from {from}" }
    // A line that is not judged.
    NoNumber { ja: "数値がないため判定しません", en: "not judged: there is no number" }
    NotAfter { ja: "前の時刻（{last}）より後でないため判定しません", en: "not judged: its time is not after the last one ({last})" }
    // What became of a file of points.
    Detected { ja: "{judged} 点を判定し、警報は {alerts} 件です。{left_out} 点は判定していません。最初の 750 点が揃い 48 時間が過ぎるまでは、学習のため警報を出しません。", en: "{judged} points were judged, with {alerts} alerts; {left_out} were not judged. There are no alerts before it has learnt from 750 points and 48 hours." }
    Untidy { ja: "数値のない行 {without} 件を除きました。時刻の順でない行 {order} 件は並べ直し、同じ時刻の行 {repeated} 件は最後の値だけを使いました。", en: "{without} lines without a number were left out, {order} lines out of order put in their place, {repeated} lines of a time that comes again replaced by its last one." }
    Reaches { ja: "{at} ごろ {limit} に達する見込みです（{low} ～ {high}）。1 日あたり {per_day}。", en: "reaches {limit} about {at} ({low} to {high}), at {per_day} a day" }
    Reached { ja: "すでに {limit} に達しています。", en: "{limit} is reached already" }
    Refused { ja: "予測しません: {why}。", en: "no date: {why}" }
    Basis { ja: "根拠: {step} ごとの {steps} 点。過去に同じ方法で予測した誤差は、変わらないとした場合の {skill} %。モデルの重み: {models}", en: "from {steps} steps of {step}; forecasts of its own past were off by {skill} % of what `stays as it is` was; models: {models}" }
    // The maintenance plan.
    PlanOf { ja: "{hospital}", en: "{hospital}" }
    PlanDate { ja: "予測日", en: "date" }
    PlanRange { ja: "推定範囲", en: "range" }
    PlanDays { ja: "営業日", en: "working days" }
    PlanDevice { ja: "機器", en: "device" }
    PlanSubject { ja: "対象", en: "what" }
    PlanRule { ja: "ルール", en: "rule" }
    PlanReached { ja: "到達済み", en: "reached" }
    PlanAtRisk { ja: "故障のおそれ", en: "may fail" }
    PlanSince { ja: "{day} から", en: "since {day}" }
    PlanNotYet { ja: "当面なし: {why}", en: "not yet: {why}" }
    PlanUnknown { ja: "不明: {why}", en: "unknown: {why}" }
    PlanNotHeard { ja: "機器から通信がありません", en: "nothing is heard from the device" }
    PlanNothing { ja: "予測できる数値がありません", en: "there is no number to forecast" }
    PlanNoRatedLife { ja: "定格寿命が設定されていません", en: "its rated life is not set" }
    PlanEmpty { ja: "承認済みの機器がありません。", en: "There is no approved device." }
    // How predictions came out.
    ScoreTitle { ja: "予測の成績（{month}）: 警報 {alerts} 件", en: "How predictions came out ({month}): {alerts} alerts" }
    ScoreAll { ja: "全期間", en: "all time" }
    ScoreCounts { ja: "当たり {correct}、外れ {wrong}、遅すぎ {late}、対処済み（判定不能） {averted}、判定待ち {pending}", en: "true {correct}, false {wrong}, too late {late}, people acted (not to be judged) {averted}, pending {pending}" }
    ScoreShare { ja: "判定できたもののうち当たり {share} %、当たりの猶予は中央値 {lead} 営業日", en: "of those judged {share} % were true; the middle lead of these is {lead} working days" }
    ScoreNone { ja: "判定できたものはまだありません。", en: "None could be judged yet." }
    ScoreTrue { ja: "当たり", en: "true" }
    ScoreFalse { ja: "外れ", en: "false" }
    ScoreTooLate { ja: "遅すぎ", en: "too late" }
    ScoreAverted { ja: "対処済み", en: "acted" }
    ScorePending { ja: "判定待ち", en: "pending" }
    ScoreAlerted { ja: "警報日", en: "alerted" }
    ScoreResult { ja: "判定", en: "result" }
    ScoreLead { ja: "猶予", en: "lead" }
    // Tests of rules.
    CasePassed { ja: "合格  {name}", en: "passed  {name}" }
    CaseFailed { ja: "不合格  {name}", en: "FAILED  {name}" }
    CasesDone { ja: "{cases} 件中 {failed} 件が不合格です。", en: "{failed} of {cases} cases failed." }
}
