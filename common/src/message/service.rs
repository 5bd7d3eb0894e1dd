//! What is read by whoever makes the agent a service of its system, the fourth part of the
//! catalogue.
//!
//! Holds: the same as the catalogue's first part.

use super::{Language, filled};

catalogue! { ServiceText:
    Description { ja: "この装置を自己診断し、病院が同意した範囲の結果をリモートサービスセンターへ送信します。", en: "Diagnoses this device and sends what the hospital has consented to to the remote service centre." }
    Installed { ja: "サービス {name} を登録しました（自動起動）。設定ファイル: {config}", en: "Service {name} is installed and starts by itself. Configuration: {config}" }
    WithoutConfig { ja: "なし（既定値）", en: "none (the defaults)" }
    InstalledInto { ja: "サービス {name} を {root} に書き込みました（起動はしていません）。", en: "Service {name} is written into {root}; nothing was started." }
    InstallNext { ja: "次に `tenken-agent service start` で起動してください（装置の登録 enroll が済んでいること）。", en: "Start it with `tenken-agent service start`, once the device is enrolled." }
    WithoutDelay { ja: "注意: この Windows は遅延自動起動を受け付けません（{why}）。通常の自動起動にしました。", en: "Note: this Windows refuses a delayed start ({why}); it starts with the others." }
    WithoutRestart { ja: "注意: この Windows は異常終了時の再起動を受け付けません（{why}）。", en: "Note: this Windows refuses to restart it after a failure ({why})." }
    Uninstalled { ja: "サービス {name} を削除しました。記録と鍵は残しています。", en: "Service {name} is removed. Its records and keys stay." }
    Started { ja: "サービス {name} を起動しました。", en: "Service {name} is started." }
    RunsAlready { ja: "サービス {name} はすでに動作しています。", en: "Service {name} runs already." }
    Stopped { ja: "サービス {name} を停止しました。", en: "Service {name} is stopped." }
    StandsAlready { ja: "サービス {name} はすでに停止しています。", en: "Service {name} was not running." }
    IsRunning { ja: "サービス {name}: 動作中（プロセス {pid}）", en: "Service {name}: running (process {pid})" }
    IsStopped { ja: "サービス {name}: 停止中", en: "Service {name}: stopped" }
    IsFailed { ja: "サービス {name}: 異常終了（{why}）", en: "Service {name}: failed ({why})" }
    IsChanging { ja: "サービス {name}: 起動または停止の途中", en: "Service {name}: starting or stopping" }
    IsMissing { ja: "サービス {name}: 登録されていません", en: "Service {name}: not installed" }
}
