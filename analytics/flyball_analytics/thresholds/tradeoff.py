"""What a smoothing factor and a multiple buy: false firings a week against what is missed and how late.

Every cell of the grid is one causal run over the same history. What is missed is
counted on the labelled incidents; without labels, on faults of a stated size that are
set into the recording (faults.py). Long histories are judged by their newest part, so
that the answer comes in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from flyball_analytics.counts import counted
from flyball_analytics.detectors import new_detector
from flyball_analytics.detectors.levelprofile import LevelProfile
from flyball_analytics.labels import Labels
from flyball_analytics.score import Score, median, score_steps
from flyball_analytics.thresholds.faults import FAULTS, with_faults
from flyball_analytics.thresholds.firings import Row, run_core, run_detector, steps_of
from flyball_analytics.thresholds.metric import Metric
from flyball_analytics.thresholds.rules import FIXED, FixedAt, adaptive_policy, fixed_policy
from flyball_controller.core.band_settings import BandSettings
from flyball_controller.core.policy import Policy

MULTIPLES = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
HALF_LIVES_S = (3_600.0, 43_200.0, 259_200.0)
# Two weeks of minutes: half a second a cell.
ROWS_MAX = 20_160
ROWS_PER_FAULT_MIN = 10
FREQUENT_PER_WEEK = 1.0
LN2 = 0.6931471805599453


class Cell(NamedTuple):
    """One choice and what it came to; `multiple` and `half_life_s` are None for the fixed threshold."""

    multiple: float | None
    half_life_s: float | None
    false: int
    false_per_week: float
    caught: int
    incidents: int
    delay_rows: float | None


class TradeOff(NamedTuple):
    """The fixed threshold and the grid beside it; `asked` says what had to be caught."""

    fixed: Cell
    cells: tuple[Cell, ...]
    best: Cell
    asked: str
    weeks: float


def smoothing_factor(half_life_s: float, period_s: float) -> float:
    """Return the weight of the newest window, in (0, 1), that forgets half in `half_life_s`.

    >>> round(smoothing_factor(43_200.0, 60.0), 6)
    0.000962
    """
    return 1.0 - 1.0 / (1.0 + period_s * LN2 / half_life_s)


def trade_off(
    metric: Metric, policy: Policy, labels: Labels, *, fixed: float | None = None, rows_max: int = ROWS_MAX
) -> Iterator[Cell | TradeOff]:
    """Yield the cells as they are done, the fixed threshold first, and the whole at the end.

    Args:
        metric: The history.
        policy: Whose floors, guards and defaults apply to every cell.
        labels: Incidents, if there are any.
        fixed: Level of the fixed threshold; default as in `rules.run_rule`.
        rows_max: How many of the newest windows are judged.

    Yields nothing if the history is too short to set faults into and has no labels.
    """
    newest = _newest(metric, rows_max)
    count = len(labels.incidents)
    asked = counted(count, "labelled incident")
    if not labels.incidents:
        if len(newest.points) < FAULTS * ROWS_PER_FAULT_MIN:
            return
        faulted = with_faults(newest)
        newest, labels = faulted.metric, faulted.labels
        asked = f"{FAULTS} faults set in: {faulted.words}"
    fixed_cell, weeks = _cell(newest, labels, _fixed_rows(newest, policy, fixed), None, None)
    yield fixed_cell
    cells = []
    for half_life_s in HALF_LIVES_S:
        for multiple in MULTIPLES:
            rows = _adaptive_rows(newest, policy, multiple, half_life_s)
            cell, _ = _cell(newest, labels, rows, multiple, half_life_s)
            cells.append(cell)
            yield cell
    now = default_of(newest, policy)
    yield TradeOff(fixed_cell, tuple(cells), best_of(cells, now), asked, weeks)


def default_of(metric: Metric, policy: Policy) -> tuple[float, float]:
    """Return multiple and half-life as they are set now: of the policy, or of the value detector."""
    if metric.series is not None:
        return policy.retry_multiple, policy.half_life_s
    settings = BandSettings()
    return settings.ratio, settings.half_life_s


def best_of(cells: Sequence[Cell], now: tuple[float, float]) -> Cell:
    """Return the cell to choose: within one false firing a week the one that misses least and is soonest.

    Where no cell is that quiet, the quietest. Equal cells: the one nearest to what is set
    `now` (multiple, half-life), because a default that does no harm needs no change.
    """

    def order(cell: Cell) -> tuple[float, ...]:
        delay = cell.delay_rows if cell.delay_rows is not None else float("inf")
        away = _distance(cell, now)
        if cell.false_per_week <= FREQUENT_PER_WEEK:
            return (0.0, -float(cell.caught), delay, cell.false_per_week, *away)
        return (1.0, cell.false_per_week, -float(cell.caught), delay, *away)

    return min(cells, key=order)


def _distance(cell: Cell, now: tuple[float, float]) -> tuple[float, float]:
    multiple, half_life_s = now
    if cell.multiple is None or cell.half_life_s is None:
        return 0.0, 1.0
    ratio = cell.half_life_s / half_life_s
    return abs(cell.multiple - multiple), max(ratio, 1.0 / ratio)


def _newest(metric: Metric, rows_max: int) -> Metric:
    if len(metric.points) <= rows_max:
        return metric
    starts = sorted(point.start_s for point in metric.points)
    return metric.between(starts[-rows_max], float("inf"))


def _fixed_rows(metric: Metric, policy: Policy, fixed: float | None) -> Sequence[Row]:
    if metric.series is not None:
        return run_core(metric.series, fixed_policy(policy, fixed)).rows
    detector = new_detector(FIXED, rows=len(metric.points)) if fixed is None else FixedAt(fixed)
    return run_detector(metric, detector)


def _adaptive_rows(metric: Metric, policy: Policy, multiple: float, half_life_s: float) -> Sequence[Row]:
    if metric.series is not None:
        chosen = adaptive_policy(policy, multiple=multiple, half_life_s=half_life_s)
        return run_core(metric.series, chosen).rows
    settings = BandSettings(ratio=multiple, half_life_s=half_life_s)
    return run_detector(metric, LevelProfile(settings))


def _cell(
    metric: Metric, labels: Labels, rows: Sequence[Row], multiple: float | None, half_life_s: float | None
) -> tuple[Cell, float]:
    """Return a cell and the healthy weeks behind it."""
    score: Score = score_steps(steps_of(rows), labels)
    weeks = score.healthy_weeks
    rate = score.false_alarms / weeks if weeks > 0.0 else float(score.false_alarms)
    delay = median(i.recognised_rows for i in score.incidents)
    return (
        Cell(
            multiple,
            half_life_s,
            score.false_alarms,
            rate,
            score.recognised,
            len(score.incidents),
            delay,
        ),
        weeks,
    )
