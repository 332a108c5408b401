"""Series for the value detector: calm minutes with a known spread; and a way to run them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple

from flyball_controller.core.band import step
from flyball_controller.core.band_settings import BandSettings
from flyball_controller.core.band_state import BandState, BandVerdict, Point

T0 = 1_699_999_200.0  # a full hour
MINUTE_S = 60.0
SETTINGS = BandSettings()


class Ran(NamedTuple):
    """The state after a run, and every verdict."""

    state: BandState
    verdicts: list[BandVerdict]

    @property
    def firing(self) -> list[int]:
        """The rows at which it fired."""
        return [i for i, v in enumerate(self.verdicts) if v.firing]

    @property
    def openings(self) -> list[int]:
        """The rows at which it began to fire."""
        return [i for i in self.firing if i == 0 or not self.verdicts[i - 1].firing]


def calm(count: int, *, level: float = 0.2, spread: float = 0.1, seed: int = 1) -> list[float]:
    """Values about a level; `spread` is their standard deviation as a share of it."""
    draw = random.Random(seed)
    return [max(0.0, level * (1.0 + spread * draw.gauss(0.0, 1.0))) for _ in range(count)]


def play(
    values: Iterable[float],
    *,
    first: int = 0,
    period_s: float = MINUTE_S,
    state: BandState | None = None,
    settings: BandSettings = SETTINGS,
) -> Ran:
    """Run values one period apart, from row `first` on."""
    state = BandState() if state is None else state
    verdicts = []
    for i, value in enumerate(values, first):
        state, verdict = step(state, Point(T0 + i * period_s, period_s, value), settings)
        verdicts.append(verdict)
    return Ran(state, verdicts)


def level_of(state: BandState) -> float:
    """The learned level in the metric's unit."""
    return state.now.level * state.now.level
