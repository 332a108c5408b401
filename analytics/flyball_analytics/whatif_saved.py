"""How many requests one policy loses fewer than another in incidents lived through again: a range, in words.

What no recording shows is the same for both policies, so the difference is taken world by world
and the range is over the differences; ranges of two policies may overlap where one is
always better. A service has one capacity in all its incidents. Services are added at their worst, and
at their best, at once: the range is as wide as not knowing any of them makes it.

Nothing is run here: whatif.py has the runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flyball_analytics.algorithms import FLYBALL
from flyball_analytics.counts import counted
from flyball_analytics.labels import Incident
from flyball_analytics.whatif import Cause, Outcome, World
from flyball_analytics.wording import percent

LIMITS = (
    "Closed loop: both make their own attempts from the recorded first attempts, from each incident's start "
    "until half an hour after it. The range is over what no recording shows, the capacity and whether a "
    "time-out meant lost capacity or silent nodes, every service at its worst or at its best at once. Taken "
    "as recorded: when each trigger ended, and that fast errors strike attempts independently."
)
Losses = Mapping[tuple[Incident, str, World], float]


class Kept(NamedTuple):
    """Requests lost by two algorithms over all incidents, and by how many `other` loses fewer than `base`.

    `low` and `high` are the ends of that difference over the worlds, negative where more are
    lost; `mean` is over all worlds alike. `arrived`: requests of these times.
    """

    base: str
    other: str
    services: int
    incidents: int
    arrived: float
    base_low: float
    base_high: float
    other_low: float
    other_high: float
    low: float
    mean: float
    high: float


def kept_of(outcomes: Sequence[Outcome], base: str, other: str) -> Kept:
    """Return how many requests fewer `other` loses.

    Args:
        outcomes: Of both algorithms, in the same incidents and worlds; at least one each.
        base: Name of the algorithm that is compared with.
        other: Name of the candidate. Of `flyball:POLICY` the policy is named in the result.
    """
    parts = [
        _of_service([one for one in outcomes if one.target == target], base, other)
        for target in dict.fromkeys(one.target for one in outcomes)
    ]
    sums = [math.fsum(column) for column in zip(*parts, strict=True)]
    incidents = {(one.target, one.incident) for one in outcomes}
    mine, theirs = (name.removeprefix(f"{FLYBALL}:") for name in (base, other))
    return Kept(mine, theirs, len(parts), len(incidents), *sums)


def _of_service(mine: Sequence[Outcome], base: str, other: str) -> tuple[float, ...]:
    """Return arrived, both algorithms' ends, and low, mean and high of the difference, of one service."""
    grouped: dict[tuple[Incident, str, World], list[Outcome]] = {}
    for one in mine:
        grouped.setdefault((one.incident, one.algorithm, one.world), []).append(one)
    lost = {key: _mean([one.lost for one in group]) for key, group in grouped.items()}
    incidents = list(dict.fromkeys(one.incident for one in mine))
    worlds = list(dict.fromkeys(one.world for one in mine))
    bases = [math.fsum(_lost(lost, i, base, world) for i in incidents) for world in worlds]
    others = [math.fsum(_lost(lost, i, other, world) for i in incidents) for world in worlds]
    fewer = [b - o for b, o in zip(bases, others, strict=True)]
    of_base = [
        [one.arrived for one in mine if one.algorithm == base and one.incident == i] for i in incidents
    ]
    arrived = math.fsum(_mean(each) for each in of_base)
    return (
        arrived, min(bases), max(bases), min(others), max(others), min(fewer), _mean(fewer), max(fewer)
    )  # fmt: skip


def _lost(lost: Losses, incident: Incident, name: str, world: World) -> float:
    """Return the requests lost; an incident without time-outs was lived through with one cause only."""
    key = (incident, name, world)
    return lost[key] if key in lost else lost[incident, name, world._replace(cause=Cause.CAPACITY)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def kept_sentence(kept: Kept) -> str:
    """Return what was found in one sentence.

    >>> kept_sentence(Kept("a", "b", 1, 2, 1e4, 500.0, 900.0, 100.0, 300.0, 400.0, 500.0, 600.0))
    'Lived through again, 2 incidents of 1 service: b loses 100 to 300 of 10,000 requests (1 % to 3 %), a 500 to 900: 400 to 600 fewer with b.'
    """  # noqa: E501  (a sentence)
    share = ""
    if kept.arrived > 0.0:
        ends = percent(kept.other_low / kept.arrived), percent(kept.other_high / kept.arrived)
        share = f" ({ends_words(*ends)})"
    mine, theirs = count_words(kept.other_low, kept.other_high), count_words(kept.base_low, kept.base_high)
    return (
        f"Lived through again, {counted(kept.incidents, 'incident')} of {counted(kept.services, 'service')}: "
        f"{kept.other} loses {mine} of {kept.arrived:,.0f} requests{share}, {kept.base} {theirs}: "
        f"{fewer_words(kept)}."
    )


def ends_words(low: str, high: str) -> str:
    """Return two ends as text, or one where they read the same."""
    return low if low == high else f"{low} to {high}"


def count_words(low: float, high: float) -> str:
    """Return two counts, whole.

    >>> count_words(1_200.4, 1_200.1), count_words(1.0, 20.0)
    ('1,200', '1 to 20')
    """
    return ends_words(f"{low:,.0f}", f"{high:,.0f}")


def fewer_words(kept: Kept) -> str:
    """Return the range of the difference; where its ends disagree about the side, that is said.

    >>> fewer_words(Kept("a", "b", 1, 1, 100.0, 0.0, 9.0, 0.0, 9.0, -3.0, 1.0, 7.0))
    'from 3 more to 7 fewer with b, which of them depends on what no recording shows'
    """
    low, high = round(kept.low), round(kept.high)
    if low < 0 < high:
        return (
            f"from {-low:,} more to {high:,} fewer with {kept.other}, which of them depends on what no "
            "recording shows"
        )
    if low == high == 0:
        return "as many with both"
    word, ends = ("fewer", (low, high)) if high > 0 else ("more", (-high, -low))
    return f"{count_words(*ends)} {word} with {kept.other}"


def kept_json(kept: Kept) -> dict[str, object]:
    """Return the same as plain values, with its limits."""
    return {
        "baseline": kept.base,
        "candidate": kept.other,
        "services": kept.services,
        "incidents": kept.incidents,
        "requests": kept.arrived,
        "lost_baseline": [kept.base_low, kept.base_high],
        "lost_candidate": [kept.other_low, kept.other_high],
        "fewer_lost": [kept.low, kept.high],
        "fewer_lost_mean": kept.mean,
        "limits": LIMITS,
    }
