"""How sure a rate of false alarms is: exact Poisson bounds, and a bootstrap over histories.

Events of one service come in bunches, so that an interval over pooled counts claims
too much. Where several histories were scored, whole histories are drawn again; where
there is one, its healthy time is cut into blocks of a day and these are drawn.
Deterministic: the draws come from a fixed seed.

Sources: Garwood (1936), Biometrika 28, 437-442 (exact bounds); Efron (1979), Ann.
Statist. 7, 1-26 (bootstrap); Kuensch (1989), Ann. Statist. 17, 1217-1241 (blocks).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.labels import Labels
from flyball_analytics.score import WEEK_S, Step

BLOCK_S = 86_400.0
DRAWS = 2_000
SEED = 1979
SHARE = 0.95
# With fewer pieces the same few are drawn again and again, and the interval is far too narrow.
PIECES_MIN = 5


class Piece(NamedTuple):
    """Healthy time in seconds and the false alarms in it."""

    healthy_s: float
    false: int


class Interval(NamedTuple):
    """Lower and upper end, events per week."""

    low: float
    high: float


def healthy_pieces(steps: Sequence[Step], labels: Labels, *, block_s: float = BLOCK_S) -> list[Piece]:
    """Return the healthy time of one series in blocks, with the false alarms that begin in each.

    Counts what `score_steps` counts: rows outside probation, incidents and ignored
    stretches; an alarm is a window in which trouble begins.

    Args:
        steps: Of one series, oldest first.
        labels: Its incidents.
        block_s: Length of a block, seconds, > 0.
    """
    healthy: dict[int, float] = {}
    false: dict[int, int] = {}
    troubled = False
    for number, step in enumerate(steps):
        onset = step.troubled and not troubled
        troubled = step.troubled
        if number < labels.probation or labels.ignored(step.start_s) or labels.incident_at(step.start_s):
            continue
        block = int(step.start_s // block_s)
        healthy[block] = healthy.get(block, 0.0) + step.period_s
        false[block] = false.get(block, 0) + onset
    return [Piece(healthy[block], false[block]) for block in sorted(healthy)]


def join_pieces(pieces: Sequence[Piece]) -> Piece:
    """Return all pieces as one: a whole history, to be drawn as a whole."""
    return Piece(math.fsum(p.healthy_s for p in pieces), sum(p.false for p in pieces))


def bootstrap_rate(
    pieces: Sequence[Piece], *, draws: int = DRAWS, seed: int = SEED, share: float = SHARE
) -> Interval | None:
    """Return the percentile interval of false alarms per week; None with fewer than five pieces.

    Args:
        pieces: Histories, or blocks of one history: what can be taken for independent.
        draws: How often to draw, > 0.
        seed: Equal seeds give equal intervals.
        share: Mass inside, 0 < share < 1.

    >>> bootstrap_rate([Piece(604_800.0, 1)] * 8)
    Interval(low=1.0, high=1.0)
    """
    usable = [piece for piece in pieces if piece.healthy_s > 0.0]
    if len(usable) < PIECES_MIN:
        return None
    draw = random.Random(seed)
    rates = []
    for _ in range(draws):
        picked = draw.choices(usable, k=len(usable))
        rates.append(sum(p.false for p in picked) / (math.fsum(p.healthy_s for p in picked) / WEEK_S))
    rates.sort()
    tail = (1.0 - share) / 2.0
    return Interval(rates[int(tail * (draws - 1))], rates[math.ceil((1.0 - tail) * (draws - 1))])


def rate_per_week_min(count: int, weeks: float) -> float | None:
    """Return the rate that `count` events in `weeks` prove with 95 % confidence; None without time.

    The rate at which so many events or more would be seen in 5 % of all cases (exact
    Poisson bound); 0 for no event.

    >>> round(rate_per_week_min(4, 1.0), 2), rate_per_week_min(0, 3.0)
    (1.37, 0.0)
    """
    if weeks <= 0.0:
        return None
    if count == 0:
        return 0.0
    low, high = 0.0, float(count)  # at the plain rate half of all cases have as many
    for _ in range(60):
        middle = (low + high) / 2.0
        fewer = math.fsum(math.exp(k * math.log(middle) - middle - math.lgamma(k + 1)) for k in range(count))
        if fewer > SHARE:
            low = middle
        else:
            high = middle
    return low / weeks
