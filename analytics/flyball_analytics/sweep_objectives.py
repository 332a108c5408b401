"""What a search wants little of: the objectives, which policies nobody beats, and which of them to take.

Every objective is a cost: smaller is better. They pull against each other (who answers
sooner is wrong more often), so a search ends in a front, not in a number. The choice
from the front is a convention, stated in `choose`, and any other may be named instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from flyball_analytics.prices import PRICES
from flyball_analytics.shards_figures import Part
from flyball_analytics.sweep import Measured

DAY_S = 86_400.0
WEEK_S = 604_800.0
MONTH_DAYS = 730.0 / 24.0  # as docs/reference/cost.md counts
RECEIVED_USD = PRICES["appconfig_received"].usd
ENVIRONMENTS = 100  # warm execution environments per target, the example of docs/reference/cost.md

Values = Mapping[str, float]


class Objective(StrEnum):
    """One thing to have little of."""

    DELAY_S = "delay_s"
    FALSE_OPEN_MIN = "false_open_min"
    RESTRICTED_MIN = "restricted_min"
    CHANGES = "changes"
    LOST_MIN = "lost_min"
    COST_USD = "cost_usd"


TITLES: Mapping[Objective, tuple[str, str]] = {
    Objective.DELAY_S: ("detection delay", "s, mean over the incidents; a missed one counts in full"),
    Objective.FALSE_OPEN_MIN: ("false-open minutes", "min of healthy traffic refused, a healthy week"),
    Objective.RESTRICTED_MIN: ("restricted minutes", "min under less than nominal, a healthy week"),
    Objective.CHANGES: ("changes", "a day and service"),
    Objective.LOST_MIN: ("lost requests", "min of mean traffic, a scenario in the closed loop"),
    Objective.COST_USD: ("cost", "USD a month and service"),
}  # fmt: skip
DEFAULTS = (Objective.DELAY_S, Objective.FALSE_OPEN_MIN, Objective.CHANGES)


class Prices(NamedTuple):
    """What the cost is made of: environments that receive a change, and a minute of refused traffic (USD)."""

    environments: int = ENVIRONMENTS
    lost_usd_per_min: float = 0.0


class Scored(NamedTuple):
    """A candidate with its objectives; `held` is empty where nothing was held out.

    `front`: no other candidate is as good in every objective and better in one.
    """

    measured: Measured
    fit: Values
    held: Values
    front: bool = False

    @property
    def number(self) -> int:
        """The candidate's number."""
        return self.measured.candidate.number


def value_of(
    objective: Objective, part: Part, *, lost_min: float | None = None, prices: Prices | None = None
) -> float | None:
    """Return an objective over some history; None where the history cannot show it.

    Args:
        objective: Which.
        part: The sums.
        lost_min: The closed loop's answer, if it was run.
        prices: For the cost; None: the example of docs/reference/cost.md.

    >>> value_of(Objective.CHANGES, Part(recorded_s=172_800.0, changes=3))
    1.5
    """
    if objective is Objective.LOST_MIN:
        return lost_min
    if objective is Objective.DELAY_S:
        return math.fsum(part.delays_s) / len(part.delays_s) if part.delays_s else None
    if part.healthy_s <= 0.0 or part.recorded_s <= 0.0:
        return None
    changes = part.changes * DAY_S / part.recorded_s
    refused_min = part.refused_s * WEEK_S / part.healthy_s / 60.0
    if objective is Objective.CHANGES:
        return changes
    if objective is Objective.FALSE_OPEN_MIN:
        return refused_min
    if objective is Objective.RESTRICTED_MIN:
        return part.restricted_s * WEEK_S / part.healthy_s / 60.0
    paid = prices or Prices()
    received_usd = changes * MONTH_DAYS * paid.environments * RECEIVED_USD
    return received_usd + refused_min * MONTH_DAYS / 7.0 * paid.lost_usd_per_min


def values_of(part: Part, objectives: Sequence[Objective], lost_min: float | None, prices: Prices) -> Values:
    """Return the objectives that a history can show, by name."""
    found = {}
    for objective in objectives:
        value = value_of(objective, part, lost_min=lost_min, prices=prices)
        if value is not None:
            found[objective.value] = value
    return found


def score_all(
    measured: Sequence[Measured], objectives: Sequence[Objective], prices: Prices
) -> tuple[list[Scored], list[str]]:
    """Return every candidate with its objectives and whether it is on the front; and what cannot be shown.

    The front is taken over the objectives that the fitted history shows.
    """
    rows = [
        Scored(
            one,
            values_of(one.fit, objectives, one.lost_min, prices),
            values_of(one.held, [o for o in objectives if o is not Objective.LOST_MIN], None, prices),
        )
        for one in measured
    ]
    absent = [name for name in objectives if any(name.value not in row.fit for row in rows)]
    shown = [name.value for name in objectives if name not in absent]
    on_front = set(front([[row.fit[name] for name in shown] for row in rows])) if shown else set()
    return [row._replace(front=place in on_front) for place, row in enumerate(rows)], [
        name.value for name in absent
    ]


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Return the places of the points that no other beats; of equal points, the first.

    >>> front([(1.0, 5.0), (2.0, 2.0), (2.0, 3.0), (5.0, 1.0), (2.0, 2.0)])
    [0, 1, 3]
    """
    kept: list[int] = []
    # In lexical order a point can only be beaten by an earlier one.
    for place in sorted(range(len(points)), key=lambda p: (tuple(points[p]), p)):
        if not any(_at_most(points[other], points[place]) for other in kept):
            kept.append(place)
    return sorted(kept)


def _at_most(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))


def choose(rows: Sequence[Scored]) -> Scored:
    """Return the candidate to take from the front.

    Those that are nowhere worse than the policy in force (number 0) go first, if there
    are any. Among the rest, that whose worst objective, scaled to the range of the front
    and the policy in force, is smallest; of equals the smallest sum, then fewest changed
    fields, then the first. Where nothing can be compared, the policy in force stays.
    """
    base = next(row for row in rows if row.number == 0)
    names = sorted(base.fit)
    if not names:
        return base
    members = [row for row in rows if row.front]
    safe = [row for row in members if all(row.fit[name] <= base.fit[name] for name in names)]
    scale = {
        name: (
            min(row.fit[name] for row in (*members, base)),
            max(row.fit[name] for row in (*members, base)),
        )
        for name in names
    }

    def rank(row: Scored) -> tuple[float, float, int, int]:
        far = [_scaled(row.fit[name], scale[name]) for name in names]
        return max(far), math.fsum(far), len(row.measured.candidate.point), row.number

    return min(safe or members, key=rank)


def _scaled(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return (value - low) / (high - low) if high > low else 0.0


def worse_in(one: Values, other: Values) -> list[str]:
    """Return the objectives in which `one` is worse than `other`; those that only one shows are left out."""
    return [name for name in one if name in other and one[name] > other[name]]


def better_in(one: Values, other: Values) -> list[str]:
    """Return the objectives in which `one` is better than `other`."""
    return worse_in(other, one)
