"""Detectors by name, and what holds for all of them."""

from __future__ import annotations

import math
import random

import pytest

from band_runs import SETTINGS, T0
from flyball_analytics.detectors import OURS, UnknownDetector, detector_names, new_detector
from flyball_analytics.detectors.levelprofile import LevelProfile
from flyball_controller.core.band import step
from flyball_controller.core.band_state import BandState, Point


def _values(count: int, seed: int = 3) -> list[float]:
    draw = random.Random(seed)
    return [draw.choice([0.1, 0.11, 0.12, 0.9]) for _ in range(count)]


@pytest.mark.parametrize("name", detector_names())
def test_no_detector_sees_the_future(name):
    """The verdicts on the first rows do not depend on what follows."""
    first = _values(200)
    runs = []
    for rest in ([0.0] * 50, [9.0] * 50):
        detector = new_detector(name, rows=250)
        runs.append([detector.feed(T0 + 300.0 * i, v, 300.0) for i, v in enumerate([*first, *rest])])
    assert runs[0][:200] == runs[1][:200]


@pytest.mark.parametrize("name", [n for n in detector_names() if n != "random"])
def test_no_detector_fires_on_a_missing_value_or_before_twelve_rows(name):
    """NaN is silence, and eleven rows are no history."""
    detector = new_detector(name, rows=1000)
    assert detector.feed(T0 - 300.0, math.nan, 300.0).firing is False
    verdicts = [detector.feed(T0 + 300.0 * i, float(i), 300.0) for i in range(11)]
    assert [v.firing for v in verdicts] == [False] * 11


def test_ours_is_the_kernels_own_step():
    """The comparison is worth nothing if it runs something else than production."""
    ours = new_detector(OURS, rows=300)
    state = BandState()
    for i, value in enumerate(_values(300)):
        state, said = step(state, Point(T0 + 60.0 * i, 60.0, value), SETTINGS)
        verdict = ours.feed(T0 + 60.0 * i, value, 60.0)
        assert verdict.firing is said.firing
        assert verdict.upper == (said.upper if said.ready else None)
    assert isinstance(ours, LevelProfile)
    assert ours.state == state


def test_an_unknown_name_is_told_the_nearest():
    """A typing error must not cost a search."""
    with pytest.raises(UnknownDetector, match="ewma-3sd") as caught:
        new_detector("ewma-3s", rows=1)
    assert caught.value.name == "ewma-3s"
