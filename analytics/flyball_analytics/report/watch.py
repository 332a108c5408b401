"""A recorded history through the production step, condensed while it runs to what a report shows.

The decisions are those of replay.py. Kept are bins, changes and sums per day; the
windows themselves are gone when a service is done, so that a thousand services fit.
A service that becomes a row of a table is glanced at, at the speed of fastreplay.py; one that is drawn
or explained is watched, because levels and states are known to the interpreted step alone.
Open loop: what was recorded does not react to what is decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flyball.contract import CircuitState
from flyball_analytics.compare_figures import DAY_S, Acted, Figures, figures_of
from flyball_analytics.fastreplay import Engine, Outcome, run
from flyball_analytics.labels import Labels
from flyball_analytics.problems import Problem
from flyball_analytics.replay import Replayed, is_gated, is_restricted, scoring_step, with_looks
from flyball_analytics.report.bins import Bins, Level, bins_for
from flyball_analytics.score import Score, score_steps
from flyball_analytics.series import Gap, Series
from flyball_analytics.tally import Change, Tally
from flyball_controller.codec import STATE_VERSION
from flyball_controller.core.baseline import confidence, expected_ratio
from flyball_controller.core.model import Decision, Mode, Observation, Quality, Regime, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State, initial_state, nominal_setpoint
from flyball_controller.core.step import step
from flyball_controller.core.threshold import trips_for

GAPS_KEPT = 40  # a picture shows no more of them apart; all are counted
PROBLEMS_KEPT = 3
MOMENTS_KEPT = 5  # as many as a page explains, if all of them were of one service
# Close up: enough before to see what was normal, twice as much after to see it restored.
AROUND_WINDOWS, AROUND_SHARE = 40, 0.5


@dataclass(slots=True)
class Flow:
    """Requests of one day, and what clients under these decisions would have done with them.

    `measured`: requests of windows that state their attempts. `kept`: their attempts if
    clients had kept to the budget in force. `refused`: requests that the circuit in force refuses;
    `refused_failing` of these failed anyway, `refused_well` fell into healthy time.
    """

    requests: int = 0
    failures: int = 0
    measured: int = 0
    attempts: int = 0
    kept: float = 0.0
    refused: float = 0.0
    refused_failing: float = 0.0
    refused_well: float = 0.0


@dataclass(slots=True)
class Cost:
    """What one change came to until the next one."""

    refused: float = 0.0
    refused_well: float = 0.0
    restricted_well_s: float = 0.0

    def gravity(self) -> tuple[float, float, float]:
        """Return a sort key: what was refused while all was well, so restricted, and refused at all."""
        return (self.refused_well, self.restricted_well_s, self.refused)


@dataclass(slots=True)
class RowQuality:
    """What was wrong with the rows of one history."""

    rows: int
    windows: int
    missing: int
    gaps: int
    problems: dict[str, int]
    late: int
    shown: tuple[str, ...]
    notes: tuple[str, ...]


class Moment(NamedTuple):
    """What a decision was made from: enough to make it again."""

    before: State
    seen: Observation


class Watched(NamedTuple):
    """One service under one policy."""

    target: str
    path: str
    policy: str
    digest: str
    nominal: Setpoint
    period_s: float
    bins: Bins
    close: Bins | None  # the stretch that says most, in finer bins; None where `bins` are windows already
    gaps: tuple[Gap, ...]
    changes: tuple[Change, ...]
    costs: tuple[Cost, ...]  # one per change
    moments: dict[int, Moment]  # of the costliest changes, by their place in `changes`
    decided_by: Policy
    flows: dict[int, Flow]  # by day number since 1970
    regimes: dict[str, int]
    restricted_s: float
    gated_s: float
    labels: Labels | None
    score: Score | None
    figures: Figures
    quality: RowQuality

    @property
    def flow(self) -> Flow:
        """All days together."""
        total = Flow()
        for one in self.flows.values():
            for name in Flow.__slots__:
                setattr(total, name, getattr(total, name) + getattr(one, name))
        return total


class _Seen(NamedTuple):
    """One step with what it started from; None: nobody asked."""

    replayed: Replayed
    state: State | None


def _steps(series: Series, policy: Policy) -> Iterator[_Seen]:
    """Yield the steps of the production core; states are not packed: only a journal needs that."""
    state = initial_state(policy)
    shadow = policy.mode == Mode.SHADOW
    for seen, look in with_looks(series.observations, period_s=series.period_s):
        before = state
        state, decision = step(before, seen, policy)
        yield _Seen(Replayed(seen, decision, before.law.applied, b"", b"", look, shadow), before)


def _glances(series: Series, outcome: Outcome, policy: Policy) -> Iterator[_Seen]:
    """Yield the steps over every row, and those looks that came to something; the states are not known."""
    shadow, nominal = policy.mode == Mode.SHADOW, nominal_setpoint(policy)
    noted = iter(outcome.noted)
    one = next(noted, None)
    for row, seen in enumerate(series.observations):
        reached = False
        while one is not None and one.row == row:
            yield _Seen(Replayed(one.observation, one.decision, one.before, b"", b"", one.look, shadow), None)
            reached, one = not one.look, next(noted, None)
        if not reached:
            yield _Seen(Replayed(seen, _quiet(seen, nominal, policy), nominal, b"", b"", False, shadow), None)


def _quiet(seen: Observation, nominal: Setpoint, policy: Policy) -> Decision:
    """Return what is decided in a quiet window, without its words."""
    return Decision(
        seen.arrived_s, seen.target, Regime.NOMINAL, nominal, nominal, (), policy.digest, STATE_VERSION, 0.0,
        changed=False, urgent=False, error_count=0, stamp_s=seen.start_s,
    )  # fmt: skip


@dataclass(slots=True)
class _Notes:
    """What is collected while the steps run."""

    policy: Policy
    labels: Labels | None
    levels: list[Level] = field(default_factory=list)
    acted: list[Acted] = field(default_factory=list)
    flows: dict[int, Flow] = field(default_factory=dict)
    costs: list[Cost] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    late: int = 0
    newest_s: float = -1.0

    def take(self, seen: _Seen, nominal: Setpoint) -> None:
        """Note one step."""
        replayed, window = seen.replayed, seen.replayed.observation
        if replayed.decision.changed:
            self.costs.append(Cost())
            if seen.state is not None:
                self.moments.append(Moment(seen.state, window))
        if replayed.look or window.quality == Quality.INVALID:
            return
        self.late += window.start_s < self.newest_s
        self.newest_s = max(self.newest_s, window.start_s)
        judged = scoring_step(replayed, nominal)
        if judged is not None:
            refused = _refused_ratio(replayed.decision.applied)
            self.acted.append(Acted(judged, refused, replayed.decision.changed))
        if window.requests > 0 and window.quality in (Quality.OK, Quality.PARTIAL):
            self._count(window, replayed.before)
            self._charge(window, replayed.decision.applied, nominal)
            self._levels(window, seen.state)

    def costliest(self) -> dict[int, Moment]:
        """Return the moments of the changes that cost most: a state is too large to keep for all."""
        order = sorted(range(len(self.costs)), key=lambda n: self.costs[n].gravity(), reverse=True)
        kept = order[:MOMENTS_KEPT] if self.moments else []
        return {n: self.moments[n] for n in kept if any(self.costs[n].gravity())}

    def _count(self, window: Observation, before: Setpoint) -> None:
        """Add a window to its day, under what was in force while it lasted."""
        flow = self.flows.setdefault(int(window.start_s // DAY_S), Flow())
        flow.requests += window.requests
        flow.failures += window.failures
        if window.attempts > 0:
            retries = max(0, window.attempts - window.requests)
            flow.measured += window.requests
            flow.attempts += window.attempts
            flow.kept += window.requests + min(float(retries), before.budget_ratio * window.requests)
        ratio = _refused_ratio(before)
        flow.refused += ratio * window.requests
        flow.refused_failing += ratio * window.failures
        flow.refused_well += ratio * window.requests if self._well(window.start_s) else 0.0

    def _charge(self, window: Observation, applied: Setpoint, nominal: Setpoint) -> None:
        """Charge a window to the newest change, counted as a comparison counts: by the answer to it."""
        if not self.costs:
            return
        cost, ratio = self.costs[-1], _refused_ratio(applied)
        cost.refused += ratio * window.requests
        if self._well(window.start_s):
            cost.refused_well += ratio * window.requests
            cost.restricted_well_s += window.period_s if is_restricted(applied, nominal) else 0.0

    def _well(self, start_s: float) -> bool:
        """Return whether labels say that nothing was wrong; without labels nobody knows."""
        if self.labels is None:
            return False
        return self.labels.incident_at(start_s) is None and not self.labels.ignored(start_s)

    def _levels(self, window: Observation, state: State | None) -> None:
        """Note a window with the levels that it was held against, as far as they are known."""
        if state is None:
            self.levels.append(Level(window.start_s, window.requests, window.failures, 0.0, 0.0, 0.0))
            return
        expected = expected_ratio(state.baseline, window.start_s, self.policy)
        trips = trips_for(
            self.policy,
            expected=expected,
            spread=state.baseline.spread,
            confidence=confidence(state.baseline, self.policy),
        )
        self.levels.append(
            Level(window.start_s, window.requests, window.failures, expected, trips.retry, trips.open)
        )


def _refused_ratio(setpoint: Setpoint) -> float:
    """Return the share of calls that the circuit refuses."""
    if setpoint.circuit is CircuitState.FORCED_OPEN:
        return 1.0
    return 1.0 - setpoint.probe_ratio if is_gated(setpoint) else 0.0


def watch(series: Series, policy: Policy, *, name: str, labels: Labels | None = None) -> Watched:
    """Return what a policy does over one history, condensed.

    Args:
        series: The history; must have at least one window.
        policy: From `PolicySet.for_target`.
        name: What the policy is called.
        labels: The true incidents; None if nobody knows them.

    Raises:
        ValueError: If the history has no window at all.
    """
    notes = _Notes(policy, labels)
    tally = Tally(policy, keep_steps=labels is not None)
    nominal = nominal_setpoint(policy)
    for seen in _steps(series, policy):
        tally.add(seen.replayed)
        notes.take(seen, nominal)
    return _watched(series, notes, tally, name)


def glance(
    series: Series,
    policy: Policy,
    *,
    name: str,
    labels: Labels | None = None,
    engine: Engine = Engine.COMPILED,
) -> Watched:
    """Return what `watch` does, without what only a picture or an explanation shows.

    No levels in the bins, no close view and no moments: the rest is equal.

    Raises:
        ValueError: If the history has no window at all.
    """
    notes = _Notes(policy, labels)
    tally = Tally(policy, keep_steps=labels is not None)
    nominal = nominal_setpoint(policy)
    outcome = run(series, policy, engine=engine)
    tally.take(series, outcome)
    for seen in _glances(series, outcome, policy):
        notes.take(seen, nominal)
    return _watched(series, notes, tally, name)._replace(close=None)


def _watched(series: Series, notes: _Notes, tally: Tally, name: str) -> Watched:
    starts = [o.start_s for o in series.observations if o.quality != Quality.INVALID]
    if not starts:
        raise ValueError(f"{series.path}: no usable window, so there is nothing to report")
    policy, labels = notes.policy, notes.labels
    end_s = max(starts) + series.period_s
    notes.acted.sort(key=lambda acted: acted.step.start_s)
    whole = bins_for(min(starts), end_s, period_s=series.period_s)
    whole.fill(notes.levels)
    figures = figures_of(notes.acted, labels, target=series.target, contender=name, acts=True)
    return Watched(
        series.target,
        series.path,
        name,
        policy.digest,
        nominal_setpoint(policy),
        series.period_s,
        whole,
        _close(whole, notes, tally.changes, series.period_s),
        tuple(sorted(series.gaps, key=lambda gap: -gap.windows)[:GAPS_KEPT]),
        tuple(tally.changes),
        tuple(notes.costs),
        notes.costliest(),
        policy,
        notes.flows,
        dict(Counter({regime.name: count for regime, count in tally.regimes.items()})),
        tally.restricted_s,
        tally.gated_s,
        labels,
        score_steps(tally.steps_by_window(), labels) if labels is not None else None,
        figures,
        _quality(series, notes),
    )


def _close(whole: Bins, notes: _Notes, changes: Sequence[Change], period_s: float) -> Bins | None:
    """Return the longest incident, else the costliest change, with what surrounds it."""
    if whole.width_s <= period_s:
        return None
    if notes.labels is not None and notes.labels.incidents:
        longest = max(notes.labels.incidents, key=lambda i: (i.end_s - i.start_s, -i.start_s))
        from_s, to_s = longest.start_s, longest.end_s
    elif changes:
        place = max(range(len(changes)), key=lambda n: (notes.costs[n].refused, -n))
        from_s = to_s = changes[place].at_s
    else:
        return None
    around_s = max(AROUND_WINDOWS * period_s, AROUND_SHARE * (to_s - from_s))
    from_s, to_s = max(whole.from_s, from_s - around_s), min(whole.to_s, to_s + 2.0 * around_s)
    close = bins_for(from_s - (from_s - whole.from_s) % period_s, to_s, period_s=period_s)
    close.fill(notes.levels)
    return close


def _quality(series: Series, notes: _Notes) -> RowQuality:
    problems: tuple[Problem, ...] = series.problems
    return RowQuality(
        rows=series.rows,
        windows=len({acted.step.start_s for acted in notes.acted}),
        missing=sum(gap.windows for gap in series.gaps),
        gaps=len(series.gaps),
        problems={str(kind): count for kind, count in sorted(series.problem_counts.items())},
        late=notes.late,
        shown=tuple(str(problem) for problem in problems[:PROBLEMS_KEPT]),
        notes=series.notes,
    )
