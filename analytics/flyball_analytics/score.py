"""How well decisions fit labelled incidents: what was caught, how late, what was false and what it cost.

Deliberately not one number. A controller that never acts has no false action and
one that always restricts misses nothing, so every figure stands beside its
opposite, with the counts behind it. Point-wise scores (NAB, point-adjusted F1)
are left out: they reward luck and punish an action for lasting
(docs/theory/thresholds.md); NAB's own stands in nab.py, for the record.

An answer belongs to the window that it answers, so a move is placed at the start
of that window; its delay runs from the start of the incident's first bad window
to the moment of the decision, and so includes the length of one window.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flyball_analytics.labels import Incident, Labels

WEEK_S = 604_800.0
# Below one series-week a rate per week is mostly the luck of one event: counts are given instead.
RATE_WEEKS_MIN = 1.0
_CONFIDENCE = 0.95


class Step(NamedTuple):
    """What one decision means for scoring.

    `tightened`: clients may do less than before. `widened`: they may do more than
    nominal (retries raised because they help). `opened`: traffic is cut where it
    was not. `restricted`: after it, they may do less than nominal. `troubled`: the
    regime says that something is wrong; the budget in force may be answer enough.
    """

    start_s: float
    at_s: float
    period_s: float
    tightened: bool
    widened: bool
    opened: bool
    restricted: bool
    troubled: bool


class IncidentScore(NamedTuple):
    """What was done about one incident; None where nothing was."""

    incident: Incident
    recognised_rows: int | None
    recognised_s: float | None
    acted_rows: int | None
    acted_s: float | None
    opened_rows: int | None
    opened_s: float | None
    restricted_before: bool  # already when it began: then "nothing was done" may be right


class Score(NamedTuple):
    """Figures of one series or of several together; times in seconds, shares in 0..1."""

    incidents: tuple[IncidentScore, ...]
    rows: int  # scored: outside probation and ignored stretches
    healthy_s: float
    false_alarms: int  # times that the regime turned to trouble in healthy rows
    false_actions: int
    false_opens: int
    false_restricted_s: float  # healthy time restricted by a move that no incident explains
    tail_restricted_s: (
        float  # healthy time still restricted after a move in an incident or an ignored stretch
    )

    @property
    def recognised(self) -> int:
        """Incidents in which the regime said trouble."""
        return sum(i.recognised_rows is not None for i in self.incidents)

    @property
    def caught(self) -> int:
        """Incidents with any answer inside."""
        return sum(i.acted_rows is not None for i in self.incidents)

    @property
    def opened(self) -> int:
        """Incidents with an opening inside."""
        return sum(i.opened_rows is not None for i in self.incidents)

    @property
    def recall(self) -> float | None:
        """Share of incidents answered; None without incidents."""
        return self.caught / len(self.incidents) if self.incidents else None

    @property
    def healthy_weeks(self) -> float:
        """Healthy time in weeks."""
        return self.healthy_s / WEEK_S

    @property
    def false_restricted_ratio(self) -> float | None:
        """Share of healthy time falsely restricted; None without healthy time."""
        return self.false_restricted_s / self.healthy_s if self.healthy_s > 0.0 else None


def score_steps(steps: Sequence[Step], labels: Labels) -> Score:
    """Return how the decisions of one series, oldest first, fit its labels.

    Rows in probation and in ignored stretches are not scored. A restriction that begins
    in an incident or an ignored stretch explains the healthy rows that it still covers
    (tail, not false); one that begins in probation does not: nothing was wrong there.
    """
    answers = [_answer(incident, steps, probation=labels.probation) for incident in labels.incidents]
    rows = false_alarms = false_actions = false_opens = 0
    healthy_s = false_s = tail_s = 0.0
    restricted = explained = troubled = False
    for number, step in enumerate(steps):
        unscored = number < labels.probation or labels.ignored(step.start_s)
        inside = labels.incident_at(step.start_s) is not None
        if step.restricted and (not restricted or step.tightened):
            # A new or harder restriction is explained by where it is decided; a tail stays explained.
            explained = labels.ignored(step.start_s) or inside or (restricted and explained)
        restricted = step.restricted
        onset = step.troubled and not troubled
        troubled = step.troubled
        if inside and number >= labels.probation:
            rows += 1  # an incident wins over an ignored stretch that overlaps it
            continue
        if unscored:
            continue
        rows += 1
        healthy_s += step.period_s
        false_alarms += onset
        false_actions += step.tightened or step.widened
        false_opens += step.opened
        if step.restricted:
            if explained:
                tail_s += step.period_s
            else:
                false_s += step.period_s
    return Score(tuple(answers), rows, healthy_s, false_alarms, false_actions, false_opens, false_s, tail_s)


def _answer(incident: Incident, steps: Sequence[Step], *, probation: int) -> IncidentScore:
    """Return the first sign, the first answer and the first opening inside one incident."""
    recognised = acted = opened = None
    before = False
    for number, step in enumerate(steps):
        if step.start_s < incident.from_s:
            before = step.restricted
        elif incident.holds(step.start_s) and number >= probation:
            if recognised is None and step.troubled:
                recognised = step
            if acted is None and (step.tightened or step.widened):
                acted = step
            if opened is None and step.opened:
                opened = step
    recognised_rows, recognised_s = _delay(steps, incident, recognised)
    acted_rows, acted_s = _delay(steps, incident, acted)
    opened_rows, opened_s = _delay(steps, incident, opened)
    return IncidentScore(
        incident,
        recognised_rows,
        recognised_s,
        acted_rows,
        acted_s,
        opened_rows,
        opened_s,
        before,
    )


def _delay(
    steps: Sequence[Step], incident: Incident, answer: Step | None
) -> tuple[int, float] | tuple[None, None]:
    """Return how many rows (0 = on the first bad row or before it) and seconds after the start it came."""
    if answer is None:
        return None, None
    rows = sum(incident.start_s < s.start_s <= answer.start_s for s in steps)
    return rows, answer.at_s - incident.start_s


def join_scores(scores: Iterable[Score]) -> Score:
    """Return the figures of several series together: everything is summed, nothing averaged."""
    parts = list(scores)
    return Score(
        tuple(i for part in parts for i in part.incidents),
        sum(part.rows for part in parts),
        math.fsum(part.healthy_s for part in parts),
        sum(part.false_alarms for part in parts),
        sum(part.false_actions for part in parts),
        sum(part.false_opens for part in parts),
        math.fsum(part.false_restricted_s for part in parts),
        math.fsum(part.tail_restricted_s for part in parts),
    )


def median(values: Iterable[float | None]) -> float | None:
    """Return the middle of the values that are there (mean of two), None if none is.

    >>> median([3, None, 1]), median([None])
    (2.0, None)
    """
    there = sorted(v for v in values if v is not None)
    if not there:
        return None
    return (there[(len(there) - 1) // 2] + there[len(there) // 2]) / 2


def rate_per_week(count: int, weeks: float) -> float | None:
    """Return events per week, None below one week of healthy time: one event would decide it."""
    return count / weeks if weeks >= RATE_WEEKS_MIN else None


def rate_per_week_max(count: int, weeks: float) -> float | None:
    """Return the rate that `count` events in `weeks` rule out with 95 % confidence; None without time.

    The rate at which so few events would be seen in 5 % of all cases (exact Poisson
    bound). For no event it is the "rule of three": 3.0 / weeks.

    Source: Garwood, F. (1936), Biometrika 28, 437-442.

    >>> round(rate_per_week_max(0, 1.0), 2), round(rate_per_week_max(1, 2.0), 2)
    (3.0, 2.37)
    """
    if weeks <= 0.0:
        return None
    low, high = 0.0, 10.0 + 4.0 * count
    for _ in range(60):  # halves an interval of at most 10 + 4k to below any printed digit
        middle = (low + high) / 2.0
        if _poisson_at_most(count, middle) > 1.0 - _CONFIDENCE:
            low = middle
        else:
            high = middle
    return high / weeks


def _poisson_at_most(count: int, mean: float) -> float:
    """Return the probability of at most `count` events; terms by their logarithm, so that none overflows."""
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))
