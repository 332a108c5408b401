"""How much each field matters: rank correlation and main effects over the candidates that were tried.

Both are descriptions of the points tried, not of the world: fields that were always
changed together cannot be told apart. A grid or a Latin hypercube keeps them apart; an
optimiser, which returns to where it was lucky, does so less.

Source: Saltelli et al. (2008), Global Sensitivity Analysis: The Primer, ch. 1 (main
effects); Spearman (1904), Am. J. Psychol. 15, 72-101.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flyball_analytics.space import Value

# A field with more values than this is cut into so many equal groups: a mean needs several points.
GROUPS_MAX = 8
GROUPS = 4
POINTS_MIN = 4


class Effect(NamedTuple):
    """What one field does to one objective.

    `rank` is Spearman's correlation in [-1, 1]; None for words, which have no order, and
    where nothing varies. `low` and `high` are the smallest and largest mean of the
    objective over the field's values, `at_low` and `at_high` where they are.
    """

    field: str
    objective: str
    rank: float | None
    low: float
    high: float
    at_low: Value
    at_high: Value

    @property
    def size(self) -> float:
        """How far the field moves the objective's mean."""
        return self.high - self.low


def effects(
    points: Sequence[Mapping[str, Value]], values: Sequence[Mapping[str, float]], fields: Sequence[str]
) -> list[Effect]:
    """Return the effect of every field on every objective, largest first per objective.

    Args:
        points: The fields of each candidate; candidates without all of them are left out.
        values: Their objectives, in the same order.
        fields: Which fields vary.
    """
    rows = [
        (point, value)
        for point, value in zip(points, values, strict=True)
        if all(field in point for field in fields)
    ]
    if len(rows) < POINTS_MIN:
        return []
    names = sorted(set.intersection(*(set(value) for _, value in rows)))
    found = []
    for name in names:
        mine = [
            _effect(field, name, [point[field] for point, _ in rows], [value[name] for _, value in rows])
            for field in fields
        ]
        found += sorted(mine, key=lambda effect: (-effect.size, effect.field))
    return found


def _effect(field: str, objective: str, places: Sequence[Value], values: Sequence[float]) -> Effect:
    groups: dict[Value, list[float]] = {}
    for place, value in zip(_grouped(places), values, strict=True):
        groups.setdefault(place, []).append(value)
    means = {place: math.fsum(group) / len(group) for place, group in groups.items()}
    at_low, at_high = min(means, key=lambda p: means[p]), max(means, key=lambda p: means[p])
    rank = None
    if not any(isinstance(place, str) for place in places):
        rank = spearman([float(place) for place in places], values)
    return Effect(field, objective, rank, means[at_low], means[at_high], at_low, at_high)


def _grouped(places: Sequence[Value]) -> list[Value]:
    """Return the value itself where there are few, else the middle of its quarter."""
    distinct = sorted({place for place in places if not isinstance(place, str)})
    if len(set(places)) <= GROUPS_MAX or any(isinstance(place, str) for place in places):
        return list(places)
    size = len(distinct) / GROUPS
    middle = {
        value: distinct[int((int(number / size) + 0.5) * size)] for number, value in enumerate(distinct)
    }
    return [middle[place] for place in places if not isinstance(place, str)]


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the rank correlation of two rows of numbers; None where one of them does not vary.

    Ties get the mean of their ranks.

    >>> spearman([1.0, 2.0, 3.0], [10.0, 20.0, 40.0]), spearman([1.0, 1.0], [1.0, 2.0])
    (1.0, None)
    """
    a, b = _ranks(first), _ranks(second)
    middle = (len(a) + 1) / 2.0
    both = math.fsum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    spread = math.fsum((x - middle) ** 2 for x in a) * math.fsum((y - middle) ** 2 for y in b)
    return both / math.sqrt(spread) if spread > 0.0 else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda place: values[place])
    ranks = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for place in order[begin:end]:
            ranks[place] = (begin + 1 + end) / 2.0
        begin = end
    return ranks
