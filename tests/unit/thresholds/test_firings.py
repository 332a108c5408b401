"""Firings: how rows become stretches and steps, and that the core's rows are those of a replay."""

from __future__ import annotations

import math

from drawn_histories import HOUR_S, MINUTE_S, T0, draw, flat, series_of, with_failures
from flyball_analytics.detectors import Verdict
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.replay import CALM, replay_series
from flyball_analytics.score import score_steps
from flyball_analytics.thresholds.firings import (
    Firing,
    Row,
    firings_of,
    run_core,
    run_detector,
    steps_of,
)
from flyball_analytics.thresholds.metric import metrics_of
from flyball_controller.core.model import Quality
from flyball_controller.policy_set import load_preset

POLICY = load_preset("two-loop").default


def row(minute: int, *, firing: bool, value: float = 1.0) -> Row:
    """One minute that fires or not."""
    return Row(60.0 * minute, 60.0 * minute + 80.0, 60.0, value, firing, True)


def rows(count: int, *firing: int) -> list[Row]:
    """`count` minutes, of which some fire."""
    return [row(minute, firing=minute in firing) for minute in range(count)]


def test_stretches_less_than_half_an_hour_apart_are_one_firing() -> None:
    """Who was woken is not woken again: minutes 1 and 32 are 30 minutes apart, 32 and 64 are 31."""
    found = firings_of(rows(100, 1, 32, 64))
    assert found == [Firing(60.0, 140.0, 33 * 60.0, 2), Firing(64 * 60.0, 64 * 60.0 + 80.0, 65 * 60.0, 1)]


def test_without_a_joining_span_every_stretch_is_its_own() -> None:
    """Neighbouring windows still are one stretch."""
    assert len(firings_of(rows(10, 1, 2, 4), join_s=0.0)) == 2


def test_rows_that_came_late_stand_in_their_place() -> None:
    """The order of arrival is not the order of the windows."""
    late = [*rows(5, 1), row(50, firing=True), row(20, firing=True)]
    assert [f.rows for f in firings_of(late)] == [3]


def test_a_firing_is_one_answer_that_lasts_until_it_ends() -> None:
    """Onset tightens and opens; the pause inside is still restricted; after the end it is free."""
    steps = steps_of(rows(40, 2, 10))
    assert [s.start_s / 60.0 for s in steps if s.opened] == [2.0]
    assert [s.start_s / 60.0 for s in steps if s.restricted] == [float(m) for m in range(2, 11)]


def test_windows_without_a_value_are_no_steps() -> None:
    """They show nothing, so they are no healthy time either."""
    assert len(steps_of([row(0, firing=False), row(1, firing=False, value=math.nan)])) == 1


def test_a_firing_inside_an_incident_is_seen_and_one_outside_is_false() -> None:
    """The steps are scored by the same rules as a replay."""
    labels = Labels((Incident(600.0, 900.0, 600.0, 900.0),))
    score = score_steps(steps_of(rows(200, 11, 120)), labels)
    assert (score.recognised, score.false_alarms) == (1, 1)
    assert score.incidents[0].recognised_rows == 1


def test_a_detector_is_fed_in_the_order_of_arrival() -> None:
    """What it could not have known it must not see."""

    class Recorder:
        def __init__(self) -> None:
            self.seen: list[float] = []

        def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
            self.seen.append(at_s)
            return Verdict(value > 0.5, 0.1, 0.5, True)

    first, second, third = draw(3, ratio=flat(1.0))
    late = series_of([first, third, second._replace(arrived_s=third.arrived_s + 5.0)])
    recorder = Recorder()
    found = run_detector(metrics_of(late)[0], recorder)
    assert recorder.seen == [T0, T0 + 120.0, T0 + 60.0]
    assert [(r.firing, r.level, r.upper) for r in found] == [(True, 0.1, 0.5)] * 3


def test_the_cores_rows_are_those_of_a_replay() -> None:
    """One law, one answer: the run here and `flyball replay` name the same windows."""
    history = with_failures(draw(300, ratio=flat(0.002)), T0 + 2 * HOUR_S, T0 + 2.5 * HOUR_S, 0.5)
    history[50] = history[50]._replace(quality=Quality.INVALID)
    del history[100:140]  # a gap: looks without data stand in it
    series = series_of(history)
    replayed = [
        r for r in replay_series(series, policy=POLICY) if not r.look and r.observation.quality == Quality.OK
    ]
    run = run_core(series, POLICY)
    assert [r.start_s for r in run.rows] == [r.observation.start_s for r in replayed]
    assert [r.firing for r in run.rows] == [r.decision.regime not in CALM for r in replayed]
    assert any(r.firing for r in run.rows)


def test_an_opening_is_recorded_where_traffic_is_first_cut() -> None:
    """A dead target: everything fails, and the circuit opens once."""
    dead = with_failures(draw(120, ratio=flat(0.001)), T0 + HOUR_S, T0 + 1.5 * HOUR_S, 1.0)
    run = run_core(series_of(dead), POLICY)
    assert len(run.opened_s) == 1
    assert T0 + HOUR_S <= run.opened_s[0] < T0 + HOUR_S + 10 * MINUTE_S
