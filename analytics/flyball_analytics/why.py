"""One decision explained: what was seen, what it was held against, and what would have changed it.

Everything is computed from the state before the decision, the observation and the
policy, by the production step itself. The counterfactual is one question: how many
failures fewer or more in this very window would have led to another setpoint? It is
answered by running the step again with other counts, from the nearest on, never by
solving the law's formulas, so that it holds for every branch of it.

Sources: Wachter, Mittelstadt & Russell (2018), Harvard J. Law & Technol. 31, 841-887
(the nearest counterfactual as an explanation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flyball_controller.core.baseline import confidence, expected_ratio
from flyball_controller.core.inspect import problem_of
from flyball_controller.core.model import Decision, Observation, Quality, Reason
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State
from flyball_controller.core.step import step
from flyball_controller.core.threshold import Trips, trips_for

# So many counts on either side are all tried; beyond, distances grow by a twentieth and are then halved.
TRIED_ALL = 1_000
_GROWTH = 1.05
CLASSES = ("errors_fast", "timeouts", "throttles")


class Held(NamedTuple):
    """What a window was held against: the expected failure ratio, the levels, and how much is known."""

    expected_ratio: float
    trips: Trips
    confidence: float


class Counterfactual(NamedTuple):
    """The nearest count of failures that leads elsewhere.

    `change`: failures more (> 0) or fewer (< 0). `kind`: the class that was varied.
    `exact`: every count in between was tried and changes nothing.
    """

    change: int
    failures: int
    kind: str
    decision: Decision
    exact: bool


class Why(NamedTuple):
    """All about one decision. `fewer` and `more` are None where no count changes what is done."""

    before: State
    seen: Observation
    decision: Decision
    policy: Policy
    held: Held | None  # None: the window carried no evidence
    fewer: Counterfactual | None
    more: Counterfactual | None

    @property
    def counted(self) -> bool:
        """Whether the window has failures to vary."""
        return self.held is not None


def why(before: State, seen: Observation, policy: Policy) -> Why:
    """Return the explanation of the decision that follows from these three."""
    _, decision = step(before, seen, policy)
    if not _counts(before, seen):
        return Why(before, seen, decision, policy, None, None, None)
    trust = confidence(before.baseline, policy)
    expected = expected_ratio(before.baseline, seen.start_s, policy)
    trips = trips_for(policy, expected=expected, spread=before.baseline.spread, confidence=trust)
    held = Held(expected, trips, trust)

    def other(failures: int) -> Decision | None:
        """Return the decision on so many failures if another setpoint is applied, else None."""
        _, found = step(before, with_failures(seen, failures), policy)
        return found if found.applied != decision.applied else None

    fewer = _nearest(other, seen, seen.failures, -1)
    more = _nearest(other, seen, seen.requests - seen.failures, 1)
    return Why(before, seen, decision, policy, held, fewer, more)


def _counts(before: State, seen: Observation) -> bool:
    """Return whether the window has counts that could be others: possible ones, of at least one request."""
    problem = problem_of(before, seen)
    impossible = problem is not None and problem.reason is Reason.OBSERVATION_INVALID
    return not impossible and seen.quality in (Quality.OK, Quality.PARTIAL) and seen.requests > 0


def commonest_class(seen: Observation) -> str:
    """Return the class with most failures; fast errors if there are none."""
    return max(CLASSES, key=lambda kind: getattr(seen, kind))


def with_failures(seen: Observation, failures: int) -> Observation:
    """Return the window with another number of failed first attempts, requests unchanged.

    The commonest class grows; what goes is taken from the commonest class first.
    Requests that failed for good are at most as many as failed first attempts.

    >>> seen = Observation("a", 0.0, 60.0, 60.0, requests=9, timeouts=4, errors_fast=1, request_failures=5)
    >>> few = with_failures(seen, 0)
    >>> few.timeouts, few.errors_fast, few.request_failures, with_failures(seen, 7).timeouts
    (0, 0, 0, 6)
    """
    kind = commonest_class(seen)
    order = (kind, *(other for other in CLASSES if other != kind))
    counts = {name: getattr(seen, name) for name in order}
    missing = failures - seen.failures
    if missing >= 0:
        counts[kind] += missing
    for name in order:
        taken = min(counts[name], max(0, -missing))
        counts[name] -= taken
        missing += taken
    lost = min(seen.request_failures, failures)
    return seen._replace(request_failures=lost, **counts)


def _nearest(
    other: Callable[[int], Decision | None], seen: Observation, room: int, sign: int
) -> Counterfactual | None:
    """Return the nearest count in one direction that leads elsewhere, None if none does."""
    near, distance = 0, 1
    while near < room:
        distance = min(distance, room)
        found = other(seen.failures + sign * distance)
        if found is not None:
            break
        near = distance
        distance = max(distance + 1, int(distance * _GROWTH) if distance >= TRIED_ALL else 0)
    else:
        return None
    low, high = near, distance
    while high - low > 1:  # only beyond TRIED_ALL: within, the step is 1
        middle = (low + high) // 2
        between = other(seen.failures + sign * middle)
        if between is None:
            low = middle
        else:
            high, found = middle, between
    failures = seen.failures + sign * high
    return Counterfactual(sign * high, failures, commonest_class(seen), found, high <= TRIED_ALL)
