"""What is said about an analysis: text, plain values, picture, frames."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from drawn_histories import DAY_S, HOUR_S, T0, draw, series_of, with_failures
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.problems import Problem, ProblemKind
from flyball_analytics.synth import fleet
from flyball_analytics.thresholds import Advice, Analysis, Recommendation, analyse
from flyball_analytics.thresholds.frames import (
    bands_frame,
    curve_frame,
    firings_frame,
    labels_of_frame,
    metrics_of_frame,
    rules_frame,
)
from flyball_analytics.thresholds.metric import Metric, Point, metrics_of
from flyball_analytics.thresholds.picture import draw as draw_picture
from flyball_analytics.thresholds.plain import analysis_json
from flyball_analytics.thresholds.season import Season
from flyball_analytics.thresholds.text import WIDTH, amount, analysis_text
from flyball_controller.codec import canonical_json
from flyball_controller.policy_set import load_preset

POLICY = load_preset("two-loop").default
SPAN = (T0 + 5 * DAY_S, T0 + 5 * DAY_S + 7_200.0)
LABELS = Labels((Incident(*SPAN, *SPAN),))


def busy_noon(at_s: np.ndarray) -> np.ndarray:
    """0.2 %, and 2.5 % at noon: a season below the floor."""
    return np.where((at_s // HOUR_S) % 24.0 == 12.0, 0.025, 0.002)


@pytest.fixture(scope="module")
def metric() -> Metric:
    """Nine days of hours with an incident of three windows."""
    history = draw(9 * 24, ratio=busy_noon, period_s=HOUR_S, per_window=5_000.0)
    return metrics_of(series_of(with_failures(history, SPAN[0], SPAN[1] + 1.0, 0.3)))[0]


@pytest.fixture(scope="module")
def analysis(metric: Metric) -> Analysis:
    """Judged with the incident labelled."""
    return analyse(metric, POLICY, labels=LABELS)


@pytest.fixture(scope="module")
def values() -> Analysis:
    """Two days of minutes of a latency, unlabelled: not enough, and long enough for a close-up."""
    points = tuple(
        Point(T0 + 60.0 * i, T0 + 60.0 * i + 60.0, 100.0 + i % 7 - 40.0 * (i % 500 == 0))
        for i in range(2_880)
    )
    return analyse(Metric("api", "latency p99", "ms", "api.csv", 60.0, points, None), POLICY)


def test_the_text_says_what_is_normal_where_thresholds_stand_and_what_to_do(analysis: Analysis) -> None:
    """Every part of the answer, within its width."""
    text = analysis_text(analysis)
    assert text.startswith("t · error ratio\n  history   216 windows of 1 h over 9 d, ")
    assert (
        "is normal now; trips where surely (lower bound) over 3 %, clean again where the plain share is "
        "under 4 %, opens where surely over 60 %"
    ) in " ".join(text.split())
    assert "hour of the week" in text
    assert "STAY FIXED: fixed fires falsely 0 times in 1.3 weeks (0 a week)" in text
    assert "asked: 1 labelled incident;" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= WIDTH


def test_labelled_rules_are_shown_with_what_they_saw(analysis: Analysis) -> None:
    """Seen, delay; and how many are false."""
    row = next(line for line in analysis_text(analysis).splitlines() if "flyball, 3 x baseline" in line)
    assert row.split()[4:9] == ["1", "0", "0.00", "1/1", "0"]


def test_unlabelled_rules_are_shown_with_what_recurs_and_no_rate_below_a_week(values: Analysis) -> None:
    """Two days are no rate."""
    text = analysis_text(values)
    assert "recurring" in text
    assert "NOT ENOUGH DATA" in text
    assert "CloudWatch-like band" in text
    assert "needs" not in text


def test_a_season_is_named_by_its_slots(metric: Metric) -> None:
    """Hours with their day, minutes with a colon; beyond four parts they are counted."""
    from flyball_analytics.thresholds.text import _season

    assert _season(metric, Season("hour of the week", 168, 168, ((96, 97, 0.1),))) == (
        "hour of the week: Mon 00h to Mon 01h up to 10 %"
    )
    assert _season(metric, Season("minute of the hour", 60, 60, ())) == (
        "minute of the hour: nothing above the level"
    )
    many = tuple((m, m, 0.05) for m in range(0, 60, 10))
    assert _season(metric, Season("minute of the hour", 60, 50, many)).endswith(":30 up to 5 % and 2 more")
    assert _season(metric, Season("hour of the week", 168, 0, ())) == "hour of the week: not known yet"


def test_who_should_move_is_told_what_to_set(analysis: Analysis, values: Analysis) -> None:
    """The policy's keys for counts; the numbers for values; nothing where every choice is the same."""
    curve = analysis.curve
    assert curve is not None
    cell = curve.cells[8]
    moving = Recommendation(Advice.MOVE, "fixed fires", ("labels",), cell)
    varied = curve._replace(cells=(*curve.cells[:-1], curve.cells[-1]._replace(false=9)))
    text = " ".join(analysis_text(analysis._replace(recommendation=moving, curve=varied)).split())
    assert "needs labels" in text
    assert "choose multiple 2, half-life 12 h (smoothing factor 0.0546 a window); in the policy" in text
    assert "retry_multiple: 2, half_life_s: 43200" in text
    equal = analysis_text(analysis._replace(recommendation=moving))
    assert "what is set now" in equal
    assert "floors and guards decide here" in equal
    plain = analysis_text(values._replace(recommendation=moving))
    assert "choose" in plain
    assert "in the policy" not in plain
    fixed = analysis_text(values._replace(recommendation=moving._replace(choice=curve.fixed)))
    assert "choose    the fixed threshold" in fixed


def test_rows_with_problems_and_a_baseline_that_knows_nothing_are_said(values: Analysis) -> None:
    """The first problem with its place."""
    problem = Problem("a.csv", 7, "value", "many", ProblemKind.NUMBER, "must be a finite number", "left out")
    text = analysis_text(values._replace(bands=None, metric=values.metric._replace(problems=(problem,))))
    assert "nothing learned" in text
    assert "1 problem, the first: a.csv:7" in " ".join(text.split())


def test_a_notebook_shows_the_picture(analysis: Analysis) -> None:
    """By the protocol that Jupyter asks for; nothing where nothing was read."""
    picture = analysis._repr_png_()
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    assert analysis._replace(metric=analysis.metric._replace(points=()))._repr_png_() is None


def test_amounts_carry_their_unit(metric: Metric, values: Analysis) -> None:
    """A number without a unit is a guess."""
    assert (amount(metric, 0.0123), amount(metric, None)) == ("1.23 %", "-")
    assert amount(values.metric, 812.5) == "812.5 ms"
    assert amount(values.metric._replace(unit=""), 3.0) == "3"


def test_plain_values_are_versioned_json_with_every_firing(analysis: Analysis, values: Analysis) -> None:
    """No NaN, no infinity; null where nothing is known."""
    plain = json.loads(canonical_json(analysis_json(analysis, policy_name="two-loop", policy_hash="x")))
    assert (plain["schema"], plain["target"], plain["metric"]) == (1, "t", "error ratio")
    assert plain["rules"][0]["rule"] == "fixed"
    assert plain["rules"][-1]["firings"][0]["start_s"] == SPAN[0]
    assert len(plain["trade_off"]["cells"]) == 18
    assert plain["trade_off"]["fixed"]["smoothing_factor"] is None
    assert plain["recommendation"]["advice"] == "stay fixed"
    short = json.loads(canonical_json(analysis_json(values, policy_name="two-loop", policy_hash="x")))
    assert short["trade_off"] is None
    assert short["recommendation"]["missing"] != []


def test_the_picture_is_a_pure_function_and_names_its_lines(analysis: Analysis, values: Analysis) -> None:
    """Equal analyses, equal bytes; the SVG's text is text."""
    svg = draw_picture([analysis, values], form="svg")
    assert svg == draw_picture([analysis, values], form="svg")
    words = svg.decode()
    for word in (
        "t · error ratio: stay fixed",
        "api · latency p99",
        "trips over (lower bound)",
        "labelled incident",
        "the newest 4.8 h",
    ):
        assert word in words, word
    assert draw_picture([analysis], form="png").startswith(b"\x89PNG")


def test_a_picture_of_values_below_zero_or_without_any_band_is_drawn() -> None:
    """Three windows, the same value: nothing is known, and the axis still has a height."""
    flat = Metric(
        "t", "value", "", "t.csv", 60.0, tuple(Point(T0 + 60.0 * i, T0, 0.0) for i in range(3)), None
    )
    assert draw_picture([analyse(flat, POLICY, curve=False)], form="svg")


def test_a_frame_is_read_as_the_file_would_be() -> None:
    """A synthetic fleet, one of its targets: counts, latencies, labels."""
    made = fleet(services=["payments", "orders"], days=2, seed=7, incidents_per_week=7)
    metrics = metrics_of_frame(made.history, target="payments")
    assert [m.name for m in metrics] == ["error ratio", "latency p50", "latency p99"]
    mine = made.history[made.history["target"] == "payments"]
    assert metrics[0].series is not None
    assert sum(o.requests for o in metrics[0].series.observations) == mine["requests"].sum()
    assert (metrics[0].path, metrics[0].problems) == ("frame", ())
    labels = labels_of_frame(made.incidents, target="payments", probation=10)
    assert len(labels.incidents) == (made.incidents["target"] == "payments").sum()
    assert labels.probation == 10


def test_a_plain_frame_of_values_has_holes_where_it_has_none() -> None:
    """NaN is a window without a value; a list will do for a column, and no target for labels."""
    frame = pd.DataFrame(
        {"timestamp": pd.date_range("2026-01-05", periods=3, freq="h", tz="UTC"), "value": [1.0, np.nan, 3.0]}
    )
    (metric,) = metrics_of_frame(frame)
    assert [p.value for p in metric.points][::2] == [1.0, 3.0]
    assert np.isnan(metric.points[1].value)

    class Listed(dict[str, list[str]]):
        columns = ("start", "end")

    labels = labels_of_frame(Listed(start=["2026-01-05 00:00:00"], end=["2026-01-05 01:00:00"]))
    assert labels.incidents[0].end_s - labels.incidents[0].start_s == 3_600.0


def test_what_comes_back_are_frames(analysis: Analysis, values: Analysis) -> None:
    """One row per rule, firing, window and cell."""
    rules = rules_frame(analysis)
    assert rules.loc["flyball", "seen"] == 1
    assert rules.index[0] == "fixed"
    firings = firings_frame(analysis)
    assert firings["start"].dt.tz is not None
    assert (firings["rule"] == "flyball").sum() == 1
    bands = bands_frame(analysis)
    assert len(bands) == 216
    assert bands["firing"].sum() == 3
    assert bands_frame(analysis, "ewma-3sd")["reset"].isna().all()
    curve = curve_frame(analysis)
    assert len(curve) == 19
    assert curve["chosen"].sum() == 1
    assert curve_frame(values).empty
