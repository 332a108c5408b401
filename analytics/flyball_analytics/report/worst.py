"""The decisions that cost most, gravest first: what a reviewer wants to see before the averages.

With labels: traffic refused in healthy time, then healthy time restricted, then
incidents that nobody recognised. Without labels nobody can say which were wrong:
then those that refused most requests. Each is explained as `flyball why` does.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.moments import span_words, utc
from flyball_analytics.report.watch import Cost, Watched
from flyball_analytics.tally import Change
from flyball_analytics.why import why
from flyball_analytics.why_text import Told, lines_of
from flyball_analytics.wording import REGIME_WORDS, action

WORST_MAX = 5
_LEFT_OUT = frozenset({"asked", "again", "did"})  # said elsewhere on the page

Key = tuple[float, float, float]


class Bad(NamedTuple):
    """One decision (or one that was missing): what, what it cost, and why, as (label, text) lines.

    `again` is the command that explains it on its own; empty where nothing was decided.
    """

    target: str
    at_s: float
    title: str
    cost: str
    regime: str
    lines: tuple[tuple[str, str], ...]
    again: str


def worst_decisions(services: Sequence[Watched], *, count: int = WORST_MAX) -> tuple[Bad, ...]:
    """Return at most `count` of the costliest decisions and missed incidents."""
    found: list[tuple[Key, Watched, int]] = []
    missed: list[tuple[Key, Bad]] = []
    for one in services:
        for place in one.moments:
            key = _key(one, one.costs[place])
            if any(key):
                found.append((key, one, place))
        missed += _missed(one)
    # Told only for those that are shown: each explanation runs the step many times.
    found.sort(key=lambda item: (_falling(item[0]), item[1].target, item[2]))
    told = [(key, _decided(one, place)) for key, one, place in found[:count]]
    ranked = sorted([*told, *missed], key=lambda pair: (_falling(pair[0]), pair[1].target, pair[1].at_s))
    return tuple(bad for _, bad in ranked[:count])


def grave(one: Watched) -> Key:
    """Return the rank of a service's costliest decision, all zero if none cost anything."""
    return max((_key(one, cost) for cost in one.costs), default=(0.0, 0.0, 0.0))


def _key(one: Watched, cost: Cost) -> Key:
    """Return the rank of a decision: what an incident explains counts only where nobody knows incidents."""
    well, restricted_s, refused = cost.gravity()
    return (well, restricted_s, refused if one.labels is None else 0.0)


def _falling(key: Key) -> tuple[float, ...]:
    return tuple(-part for part in key)


def _decided(one: Watched, place: int) -> Bad:
    change, moment = one.changes[place], one.moments[place]
    name = f"{one.target}@{utc(math.ceil(change.at_s))}"
    again = shlex.join(["flyball", "why", name, one.path, "--policy", one.policy])
    explained = why(moment.before, moment.seen, one.decided_by)
    told = Told(explained, name, one.path, one.policy, "", again, None, "")
    return Bad(
        one.target,
        change.at_s,
        action(change.before, change.applied),
        _cost(one.costs[place], change, known=one.labels is not None),
        REGIME_WORDS[change.regime],
        tuple((label, text) for label, text in lines_of(told) if label not in _LEFT_OUT),
        again,
    )


def _cost(cost: Cost, change: Change, *, known: bool) -> str:
    """Return what it cost, in words; `known`: incidents are, and what they explain is no cost."""
    parts = []
    if cost.refused_well > 0.0:
        parts.append(f"about {cost.refused_well:,.0f} requests refused in healthy time")
    elif cost.refused > 0.0 and not known:
        parts.append(f"about {cost.refused:,.0f} requests refused")
    if cost.restricted_well_s > 0.0:
        word = "restricted" if change.tightened else "still restricted"
        parts.append(f"{span_words(cost.restricted_well_s)} of healthy time {word}")
    return ", ".join(parts)


def _missed(one: Watched) -> list[tuple[Key, Bad]]:
    """Return the incidents that no decision recognised; they rank by how long they lasted."""
    found: list[tuple[Key, Bad]] = []
    for answer in one.score.incidents if one.score is not None else ():
        if answer.recognised_rows is None:
            lasted_s = answer.incident.end_s - answer.incident.start_s + one.period_s
            lines = (("because", "no window of it brought enough evidence over a threshold"),)
            cost = f"{span_words(lasted_s)} without an answer"
            bad = Bad(
                one.target, answer.incident.start_s, "incident not recognised", cost, "nominal", lines, ""
            )
            found.append(((0.0, lasted_s, 0.0), bad))
    return found
