"""Dashboards: the vendors' rules, and that every metric shown is one that is emitted."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flyball.telemetry import COUNT_METRICS, LATENCY
from flyball_analytics.cli import cli
from flyball_analytics.dashboard_json import cloudwatch_body, grafana_model
from flyball_analytics.dashboards import (
    CONTROLLER_NAMESPACE,
    TARGETS_MAX,
    WIDTH,
    Board,
    Mark,
    PanelKind,
    Thresholds,
    Watched,
    make_board,
)

ROOT = Path(__file__).resolve().parents[3]
NOON_S = 1_767_614_400.0  # 2026-01-05T12:00:00Z
KNOWN = Watched("payments", Thresholds(0.1, 0.2, 0.5), (Mark(NOON_S, "saturated, closed, budget 0"),))
UNKNOWN = Watched("orders", None)
BOARD = make_board([KNOWN, UNKNOWN], title="fleet", prefix="flyball", region="eu-west-1", made="noon")


def boards(form: str, board: Board = BOARD) -> Any:
    """A board in one dialect, as it is written: through JSON."""
    return json.loads(json.dumps(cloudwatch_body(board) if form == "cloudwatch" else grafana_model(board)))


def widgets(title: str) -> list[dict[str, Any]]:
    """CloudWatch's widgets whose title begins so."""
    return [w for w in boards("cloudwatch")["widgets"] if w["properties"].get("title", "").startswith(title)]


def test_every_widget_keeps_the_rules_of_cloudwatch_s_dashboard_body():
    """PutDashboard refuses the whole body for one broken widget; the rules are its reference page's."""
    body = boards("cloudwatch")
    assert set(body) == {"start", "periodOverride", "widgets"}
    assert body["start"].startswith("-P")
    assert len(body["widgets"]) <= 500
    for widget in body["widgets"]:
        assert widget["type"] in {"metric", "log", "text"}
        assert 0 <= widget["x"] < WIDTH
        assert 0 < widget["width"] <= WIDTH - widget["x"]
        assert 0 < widget["height"] <= 1_000
        properties = widget["properties"]
        if widget["type"] == "text":
            assert properties["markdown"]
            continue
        assert properties["region"] == "eu-west-1"
        if widget["type"] == "log":
            assert properties["query"].startswith("SOURCE '/aws/lambda/flyball-tick' | SOURCE")
            continue
        assert properties["view"] == "timeSeries"
        assert 0 < len(properties["metrics"]) <= 500
        ids = [metric[-1]["id"] for metric in properties["metrics"]]
        assert len(set(ids)) == len(ids)
        for metric in properties["metrics"]:
            assert metric[-1]["id"][0].islower()
            assert ("expression" in metric[-1]) == (len(metric) == 1)
            assert all(isinstance(word, str) for word in metric[:-1])
            assert len(metric) % 2 == 1  # namespace, name, pairs of a dimension, options


@pytest.mark.parametrize("form", ["cloudwatch", "grafana"])
def test_no_two_panels_overlap_and_rows_are_full_from_the_left(form):
    """An overlapping widget hides another one."""
    if form == "cloudwatch":
        places = [(w["x"], w["y"], w["width"], w["height"]) for w in boards(form)["widgets"]]
    else:
        places = [tuple(p["gridPos"][k] for k in "xywh") for p in boards(form)["panels"]]
    taken: set[tuple[int, int]] = set()
    for x, y, width, height in places:
        cells = {(x + i, y + j) for i in range(width) for j in range(height)}
        assert not cells & taken
        taken |= cells


def test_bands_and_transitions_of_a_target_are_drawn_where_its_failures_are():
    """What a person compares: the ratio, what it is held against, and what was done."""
    (panel,) = widgets("payments: failures")
    annotations = panel["properties"]["annotations"]
    normal, acts, opens = annotations["horizontal"]
    assert [side["value"] for side in normal] == [0.0, 0.1]
    assert [side["value"] for side in acts] == [0.2, 0.5]
    assert (opens["value"], opens["fill"], opens["label"]) == (0.5, "above", "may open")
    assert annotations["vertical"] == [
        {"value": "2026-01-05T12:00:00Z", "label": "saturated, closed, budget 0"}
    ]
    (unknown,) = widgets("orders: failures")
    assert "annotations" not in unknown["properties"]


def test_the_share_of_failures_is_computed_from_what_clients_count():
    """Failures over requests of first attempts; nothing where there are no requests."""
    (panel,) = widgets("payments: failures")
    failed, requests, share = panel["properties"]["metrics"]
    assert failed[:4] == ["flyball", "first_attempt_failures", "target", "payments"]
    assert requests[1] == "requests"
    assert (failed[-1]["visible"], requests[-1]["visible"]) == (False, False)
    assert share == [{"id": "e0", "label": "failed share of first attempts", "expression": "m0 / m1"}]


def test_every_metric_on_the_dashboard_is_emitted_by_somebody():
    """A line that is never drawn looks like health."""
    source = "".join(path.read_text() for path in (ROOT / "handlers" / "flyball_handlers").glob("*.py"))
    for panel in BOARD.panels:
        for series in panel.series:
            if series.namespace == "flyball":
                assert series.metric in (*COUNT_METRICS, LATENCY)
            elif series.namespace == CONTROLLER_NAMESPACE and series.metric.startswith("configuration_"):
                outcome = series.metric.removeprefix("configuration_")
                assert outcome in ("deployed", "failed", "edits")
            elif series.namespace == CONTROLLER_NAMESPACE:
                assert f'"{series.metric}"' in source, series.metric


def test_the_log_panels_ask_for_lines_that_the_controller_writes():
    """Messages and facts are constants of the handlers; a renamed one empties the panel."""
    source = (ROOT / "handlers" / "flyball_handlers" / "rounds.py").read_text()
    log = next(panel for panel in BOARD.panels if panel.title == "Transitions")
    assert log.kind == PanelKind.LOG
    assert 'telemetry.info("decision"' in source
    for fact in ("target", "regime", "circuit", "max_attempts", "budget_ratio", "decision"):
        assert f"facts.{fact}" in log.text
        assert f'"{fact}": ' in source


def test_the_grafana_model_has_what_an_import_needs():
    """Schema basics: an input for the data source, unique ids, targets with reference ids."""
    model = boards("grafana")
    assert (model["id"], model["uid"]) == (None, None)  # else an import replaces somebody's dashboard
    assert model["schemaVersion"] >= 36
    assert model["__inputs"][0]["pluginId"] == "cloudwatch"
    ids = [panel["id"] for panel in model["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in model["panels"]:
        assert panel["type"] in {"text", "table", "timeseries"}
        for query in panel.get("targets", []):
            assert (
                query["datasource"]
                == panel["datasource"]
                == {"type": "cloudwatch", "uid": "${DS_CLOUDWATCH}"}
            )
            assert query["refId"]
            assert query["region"] == "eu-west-1"
        names = [query["refId"] for query in panel.get("targets", [])]
        assert len(set(names)) == len(names)


def test_grafana_s_thresholds_rise_and_leave_the_gap_between_bands_without_colour():
    """Steps must ascend; between normal (to 0.1) and acting (from 0.2) nothing is coloured."""
    panel = next(p for p in boards("grafana")["panels"] if p["title"] == "payments: failures")
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    values = [step["value"] for step in steps]
    assert values == [None, 0.0, 0.1, 0.2, 0.5]
    assert all(low < high for low, high in pairwise(values[1:]))
    assert [step["color"] for step in steps][2] == "transparent"
    assert "2026-01-05T12:00:00Z saturated" in panel["description"]


def test_more_targets_than_a_dashboard_holds_are_refused():
    """Not cut: a missing target would be the one that is looked for."""
    many = [Watched(f"t{i}", None) for i in range(TARGETS_MAX + 1)]
    with pytest.raises(ValueError, match="101 targets; one dashboard takes 100"):
        make_board(many, title="t", prefix="p", region="r", made="now")
    full = make_board(many[1:], title="t", prefix="p", region="r", made="now")
    assert len(boards("cloudwatch", full)["widgets"]) <= 500


def run(*arguments: str) -> Any:
    """Run the command without an account."""
    return CliRunner().invoke(
        cli, ["dashboard", "--offline", *arguments], env={"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}
    )


def test_a_dashboard_can_be_written_without_an_account(tmp_path):
    """Before anything is deployed, and for pull requests."""
    result = run("payments", "--region", "eu-west-1", "--format", "grafana", "-o", str(tmp_path / "b.json"))
    assert result.exit_code == 0, result.output
    assert "panels, 1 target" in result.stderr
    model = json.loads((tmp_path / "b.json").read_text())
    assert [p["title"] for p in model["panels"]][-3:] == [
        "payments: failures",
        "payments: load",
        "payments: latency",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("payments",), "--region: the dashboard has to name the region"),
        ((*(f"t{i}" for i in range(101)), "--region", "r"), "101 targets; one dashboard takes 100"),
    ],
)
def test_a_dashboard_that_cannot_be_made_says_why(arguments, words):
    """Exit code 2: the call is to be mended."""
    result = run(*arguments)
    assert (result.exit_code, words in result.stderr) == (2, True), result.output


def test_a_duration_in_milliseconds_never_stands_on_an_axis_of_seconds():
    """A tick of 800 ms was drawn as 800 s beside the age of the evidence."""
    units = {
        panel["title"]: panel["fieldConfig"]["defaults"]["unit"]
        for panel in boards("grafana")["panels"]
        if panel["title"] in ("Controller: age", "Controller: time")
    }
    assert units == {"Controller: age": "s", "Controller: time": "ms"}
    assert widgets("Controller: time")[0]["properties"]["yAxis"]["left"]["label"] == "ms"
