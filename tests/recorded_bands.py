"""Streams that take the value detector through everything it knows, drawn from a seed, and what it said.

The sister of tests/recorded_streams.py for core/band.py. After a deliberate change of
verdicts: `python tools/record_decisions.py` records anew and names the streams that differ.
Only `random()` is drawn from, whose sequence Python promises to keep.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import NamedTuple

from flyball_controller.core.band import step
from flyball_controller.core.band_settings import RATIO, BandSettings
from flyball_controller.core.band_state import BandState, BandVerdict, Point

FILE = Path(__file__).parent / "recorded_bands.json"
T0 = 1_699_999_200.0  # a full hour
HOUR_S = 3_600.0
QUICK = BandSettings(relearn_s=20_000.0, restore_s=60_000.0, season_stop_s=1_500.0, half_life_s=7_200.0)


class Kind(NamedTuple):
    """One metric: how its detector is set, how long its windows are, and what it shows when all is well."""

    settings: BandSettings
    period_s: float
    level: float
    rows: int
    whole: bool = False  # a count


KINDS: dict[str, Kind] = {
    "latency": Kind(BandSettings(), 60.0, 0.2, 1_500),
    "ratio": Kind(RATIO, 60.0, 0.03, 1_200),
    "count": Kind(BandSettings(floor=3.0, excess=2.0), 60.0, 4.0, 1_200, whole=True),
    "quick": Kind(QUICK, 60.0, 50.0, 1_500),
    "shifted": Kind(QUICK._replace(low=-40.0, high=4_000.0, ceiling=900.0), 300.0, 50.0, 900),
    "hourly": Kind(BandSettings(weekly=True, half_life_s=600.0), 3_600.0, 9.0, 800),
    "weekly": Kind(BandSettings(weekly=True, young_rows=0.0, relearn_s=200_000.0), 1_800.0, 70.0, 1_100),
    "seconds": Kind(QUICK._replace(vote_s=90.0, peak_margin=1.0, grain_k=0.0), 10.0, 5.0, 1_500),
}
SEEDS = 3


def _factor(draw: Random, at_s: float, excursion: float) -> float:
    """Return what a value is multiplied with: noise, a batch each hour, a job each night, an excursion."""
    value = 0.8 + 0.4 * draw.random()
    if at_s % HOUR_S < 240.0 and draw.random() < 0.9:
        value *= 3.0
    if at_s % 86_400.0 < 5_400.0:
        value *= 2.0
    return value * excursion


def points(name: str, seed: int) -> Iterator[Point]:
    """Yield the points of one stream: excursions of every length, new levels, gaps, and what is no value."""
    kind = KINDS[name]
    draw = Random(f"{name}/{seed}")
    at_s, excursion, left = T0, 1.0, 0
    base = 1.0
    for row in range(kind.rows):
        if left <= 0 and draw.random() < 0.02:
            excursion = 2.0 + 8.0 * draw.random()
            left = 1 + int(12.0 * draw.random() * draw.random() * draw.random())
            if draw.random() < 0.1:
                left += kind.rows // 6
        if row == kind.rows // 2:
            base = 0.4 + 3.0 * draw.random()
        value = kind.settings.low * (kind.settings.low > -1e9) + kind.level * base * _factor(
            draw, at_s, excursion if left > 0 else 1.0
        )
        left -= 1
        if kind.whole:
            value = float(int(value)) if draw.random() < 0.6 else 0.0
        odd = draw.random()
        if odd < 0.01:
            yield Point(at_s, kind.period_s, float("nan"))
        elif odd < 0.015:
            yield Point(at_s - 2.0 * kind.period_s, kind.period_s, value)
        elif odd < 0.02:
            yield Point(at_s, kind.period_s, float("inf"))
        else:
            yield Point(at_s, kind.period_s, value)
            if odd < 0.03:
                yield Point(at_s, kind.period_s, value + 1.0)
        at_s += kind.period_s * (1.0 if draw.random() < 0.99 else float(1 + int(40.0 * draw.random())))


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, tuple):
        for one in value:
            yield from _numbers(one)
    else:
        yield float(value)  # type: ignore[arg-type]


class Said(NamedTuple):
    """All verdicts of one stream, and the last state."""

    verdicts: list[BandVerdict]
    state: BandState

    @property
    def digest(self) -> str:
        """A digest of every number, to the last bit."""
        numbers = [*_numbers(tuple(self.verdicts)), *_numbers(self.state)]
        return sha256(struct.pack(f"<{len(numbers)}d", *numbers)).hexdigest()[:32]


def said(name: str, seed: int) -> Said:
    """Return what the detector says to one stream."""
    state = BandState()
    verdicts = []
    for point in points(name, seed):
        state, verdict = step(state, point, KINDS[name].settings)
        verdicts.append(verdict)
    return Said(verdicts, state)
