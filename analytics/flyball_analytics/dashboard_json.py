"""A `Board` in CloudWatch's and in Grafana's dialect. Pure; the words are the vendors'."""

from __future__ import annotations

from typing import Any

from flyball_analytics.dashboards import PERIOD_S, Band, Board, Panel, PanelKind, Series, places
from flyball_analytics.moments import utc

GRAFANA_SCHEMA = 39  # of Grafana 10 and 11; later ones migrate it
DATA_SOURCE = {"type": "cloudwatch", "uid": "${DS_CLOUDWATCH}"}
UNITS = {"count": "short", "ratio": "percentunit", "ms": "ms", "s": "s"}
LABELS = {"count": "per minute", "ratio": "share", "ms": "ms", "s": "seconds"}


def cloudwatch_body(board: Board) -> dict[str, Any]:
    """Return the body for PutDashboard."""
    widgets = []
    for panel, (x, y, width, height) in zip(board.panels, places(board.panels), strict=True):
        kind, properties = _cloudwatch_properties(panel, board)
        widgets.append(
            {"type": kind, "x": x, "y": y, "width": width, "height": height, "properties": properties}
        )
    return {"start": "-PT3H", "periodOverride": "inherit", "widgets": widgets}


def _cloudwatch_properties(panel: Panel, board: Board) -> tuple[str, dict[str, Any]]:
    if panel.kind == PanelKind.TEXT:
        return "text", {"markdown": panel.text}
    if panel.kind == PanelKind.LOG:
        sources = " | ".join(f"SOURCE '{group}'" for group in board.log_groups)
        return "log", {
            "title": panel.title,
            "region": board.region,
            "view": "table",
            "query": f"{sources} | {panel.text}",
        }
    properties: dict[str, Any] = {
        "title": panel.title,
        "region": board.region,
        "view": "timeSeries",
        "stacked": False,
        "period": PERIOD_S,
        "stat": "Sum",
        "metrics": [_cloudwatch_metric(series) for series in panel.series],
        "yAxis": {"left": {"label": LABELS[panel.unit], "showUnits": False, "min": 0}},
    }
    annotations: dict[str, Any] = {}
    if panel.bands:
        annotations["horizontal"] = [_cloudwatch_band(band) for band in panel.bands]
    if panel.marks:
        annotations["vertical"] = [{"value": utc(mark.at_s), "label": mark.label} for mark in panel.marks]
    if annotations:
        properties["annotations"] = annotations
    return "metric", properties


def _cloudwatch_metric(series: Series) -> list[Any]:
    options: dict[str, Any] = {"id": series.id, "label": series.label}
    if series.hidden:
        options["visible"] = False
    if series.expression:
        return [{**options, "expression": series.expression}]
    words = [word for dimension in series.dimensions for word in dimension]
    return [series.namespace, series.metric, *words, {**options, "stat": series.stat}]


def _cloudwatch_band(band: Band) -> Any:
    first: dict[str, Any] = {"value": band.level, "label": band.label, "color": band.colour}
    if band.to is None:
        return {**first, "fill": "above"}
    return [first, {"value": band.to}]


def grafana_model(board: Board) -> dict[str, Any]:
    """Return the dashboard for Grafana's import; it asks there which CloudWatch data source to use."""
    panels = []
    for number, (panel, place) in enumerate(zip(board.panels, places(board.panels), strict=True), start=1):
        x, y, width, height = place
        body = _grafana_panel(panel, board)
        panels.append({"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": height}, **body})
    return {
        "__inputs": [
            {
                "name": "DS_CLOUDWATCH",
                "label": "CloudWatch",
                "type": "datasource",
                "pluginId": "cloudwatch",
                "pluginName": "CloudWatch",
            }
        ],
        "title": board.title,
        "uid": None,
        "id": None,
        "schemaVersion": GRAFANA_SCHEMA,
        "version": 1,
        "editable": True,
        "tags": ["flyball"],
        "timezone": "utc",
        "refresh": "1m",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": panels,
    }


def _grafana_panel(panel: Panel, board: Board) -> dict[str, Any]:
    if panel.kind == PanelKind.TEXT:
        return {"type": "text", "title": "", "options": {"mode": "markdown", "content": panel.text}}
    if panel.kind == PanelKind.LOG:
        query = {
            "refId": "A",
            "datasource": DATA_SOURCE,
            "queryMode": "Logs",
            "region": board.region,
            "expression": panel.text,
            "logGroups": [{"name": group} for group in board.log_groups],
            "statsGroups": [],
        }
        return {"type": "table", "title": panel.title, "datasource": DATA_SOURCE, "targets": [query]}
    words = panel.title
    if panel.marks:
        words = f"{panel.title}; transitions known when this was made: " + "; ".join(
            f"{utc(mark.at_s)} {mark.label}" for mark in panel.marks
        )
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": words,
        "datasource": DATA_SOURCE,
        "fieldConfig": {"defaults": _grafana_defaults(panel), "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            _grafana_target(series, number, board.region) for number, series in enumerate(panel.series)
        ],
    }


def _grafana_defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": UNITS[panel.unit], "min": 0, "custom": {"drawStyle": "line"}}
    if panel.bands:
        # Grafana colours from one step up to the next, so the gap between two bands is a step without colour.
        steps: list[dict[str, Any]] = [{"color": "transparent", "value": None}]
        for band in panel.bands:
            steps.append({"color": band.colour, "value": band.level})
            if band.to is not None:
                steps.append({"color": "transparent", "value": band.to})
        last: dict[Any, dict[str, Any]] = {step["value"]: step for step in steps}
        defaults["thresholds"] = {"mode": "absolute", "steps": list(last.values())}
        defaults["custom"]["thresholdsStyle"] = {"mode": "area"}
    return defaults


def _grafana_target(series: Series, number: int, region: str) -> dict[str, Any]:
    return {
        "refId": f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[number]}",
        "datasource": DATA_SOURCE,
        "queryMode": "Metrics",
        "metricQueryType": 0,
        "metricEditorMode": 1 if series.expression else 0,
        "region": region,
        "id": series.id,
        "label": series.label,
        "namespace": series.namespace,
        "metricName": series.metric,
        "dimensions": {name: [value] for name, value in series.dimensions},
        "matchExact": True,
        "statistic": series.stat,
        "period": str(PERIOD_S),
        "expression": series.expression,
        "hide": series.hidden,
    }
