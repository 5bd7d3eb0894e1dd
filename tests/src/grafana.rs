//! The Grafana dashboards of `packaging/grafana`: made from `dashboards.toml`, and what they ask for.
//!
//! Holds: panels never overlap, ids are unique, every query goes to the data source that the viewer
//! chooses.

use serde::Deserialize;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// Of one dashboard in the source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dashboard {
    file: String,
    title: String,
    #[serde(default)]
    variable: Vec<Variable>,
    panel: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    title: String,
    query: String,
    #[serde(default)]
    regex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Stat,
    Timeseries,
    Table,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Panel {
    title: String,
    kind: Kind,
    unit: String,
    width: u32,
    #[serde(default = "height")]
    height: u32,
    decimals: Option<u32>,
    #[serde(default)]
    lower_is_worse: bool,
    bad: Option<f64>,
    worse: Option<f64>,
    /// What a stat shows: `name` for the series' name in the place of its value.
    text: Option<String>,
    /// The section of the collector's configuration without which there is nothing to see.
    optional: Option<String>,
    queries: Vec<Query>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    expr: String,
    legend: Option<String>,
}

fn height() -> u32 {
    8
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    dashboard: Vec<Dashboard>,
}

const COLUMNS: u32 = 24;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../packaging/grafana")
}

/// File and contents of each dashboard, as the source has them.
pub fn generated() -> Vec<(PathBuf, Value)> {
    let text = fs::read_to_string(folder().join("dashboards.toml")).unwrap();
    let source: Source = toml::from_str(&text).unwrap();
    let of = |dashboard: &Dashboard| (folder().join(format!("{}.json", dashboard.file)), made(dashboard));
    source.dashboard.iter().map(of).collect()
}

/// File and contents of each dashboard that is shipped.
pub fn shipped() -> Vec<(PathBuf, Value)> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path, value)
    };
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn made(dashboard: &Dashboard) -> Value {
    let choice = json!({
        "name": "datasource", "type": "datasource", "query": "prometheus", "label": "データソース / Data source",
        "refresh": 1, "hide": 0, "includeAll": false, "multi": false, "options": [], "current": {},
    });
    let variables = dashboard.variable.iter().map(|v| {
        json!({
            "name": v.name, "type": "query", "label": v.title, "datasource": source(), "regex": v.regex,
            "query": { "query": v.query, "refId": v.name }, "definition": v.query, "refresh": 2, "sort": 1,
            "hide": 0, "includeAll": false, "multi": false, "options": [], "current": {},
        })
    });
    let alerts = json!({
        "name": "警報 / Alerts", "datasource": source(), "enable": true, "hide": false, "iconColor": "red",
        "expr": "ALERTS{alertname=~\"Tenken.+\", alertstate=\"firing\"}", "step": "60s",
        "titleFormat": "{{alertname}}", "tagKeys": "severity,hospital,name",
    });
    json!({
        "uid": format!("tenken-{}", dashboard.file),
        "title": dashboard.title,
        "tags": ["tenken"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": { "from": "now-24h", "to": "now" },
        "links": [{ "title": "点検 / Tenken", "type": "dashboards", "tags": ["tenken"], "asDropdown": true, "keepTime": true, "includeVars": true }],
        "annotations": { "list": [alerts] },
        "templating": { "list": std::iter::once(choice).chain(variables).collect::<Vec<_>>() },
        "panels": panels(&dashboard.panel),
    })
}

/// In rows, from left to right.
fn panels(panels: &[Panel]) -> Vec<Value> {
    let (mut x, mut y, mut row_height) = (0, 0, 0);
    let place = |(index, panel): (usize, &Panel)| {
        if x + panel.width > COLUMNS {
            (x, y, row_height) = (0, y + row_height, 0);
        }
        let at = json!({ "x": x, "y": y, "w": panel.width, "h": panel.height });
        x += panel.width;
        row_height = row_height.max(panel.height);
        shown(index + 1, panel, &at)
    };
    panels.iter().enumerate().map(place).collect()
}

fn shown(id: usize, panel: &Panel, at: &Value) -> Value {
    let table = panel.kind == Kind::Table;
    let targets = panel.queries.iter().zip('A'..='Z').map(|(query, reference)| {
        json!({
            "refId": reference.to_string(), "datasource": source(), "expr": query.expr,
            "legendFormat": query.legend.clone().unwrap_or_else(|| "__auto".into()),
            "format": if table { "table" } else { "time_series" },
            "instant": panel.kind != Kind::Timeseries, "range": panel.kind == Kind::Timeseries,
        })
    });
    let description = panel.optional.as_ref().map_or_else(String::new, |section| {
        format!("コレクターに {section} の設定がある場合に表示されます。 / Shown where the collector has {section}.")
    });
    let mut defaults = json!({ "unit": panel.unit, "thresholds": thresholds(panel), "custom": {} });
    if let Some(decimals) = panel.decimals {
        defaults["decimals"] = decimals.into();
    }
    json!({
        "id": id,
        "title": panel.title,
        "description": description,
        "type": match panel.kind { Kind::Stat => "stat", Kind::Timeseries => "timeseries", Kind::Table => "table" },
        "datasource": source(),
        "gridPos": at,
        "fieldConfig": { "defaults": defaults, "overrides": hidden_columns(panel.kind) },
        "options": match panel.kind {
            Kind::Stat => json!({
                "colorMode": "value", "graphMode": "none", "textMode": panel.text.clone().unwrap_or_else(|| "auto".into()),
                "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
            }),
            Kind::Timeseries => json!({
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Kind::Table => json!({ "showHeader": true }),
        },
        "targets": targets.collect::<Vec<_>>(),
    })
}

/// What every line of a table would say again.
fn hidden_columns(kind: Kind) -> Vec<Value> {
    let names = "/^(Time|__name__|instance|job)$/";
    let hide = json!({
        "matcher": { "id": "byRegexp", "options": names },
        "properties": [{ "id": "custom.hidden", "value": true }],
    });
    if kind == Kind::Table { vec![hide] } else { Vec::new() }
}

fn thresholds(panel: &Panel) -> Value {
    let (bad, worse) = (panel.bad, panel.worse);
    let step = |color: &str, value: Option<f64>| json!({ "color": color, "value": value });
    let steps = match (bad, worse) {
        (Some(bad), Some(worse)) if panel.lower_is_worse => {
            vec![step("red", None), step("orange", Some(worse)), step("green", Some(bad))]
        }
        (Some(bad), Some(worse)) => {
            vec![step("green", None), step("orange", Some(bad)), step("red", Some(worse))]
        }
        (None | Some(_), None) | (None, Some(_)) => vec![step("blue", None)],
    };
    json!({ "mode": "absolute", "steps": steps })
}
