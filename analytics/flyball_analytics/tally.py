"""Running totals over one replay, so that a year of minutes needs no list of its steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from flyball_analytics.fastreplay import Noted, Outcome
from flyball_analytics.replay import Replayed, is_gated, is_restricted, scoring_step, step_of, widens
from flyball_analytics.score import Step
from flyball_analytics.series import Series
from flyball_controller.core.model import Decision, Evidence, Observation, Quality, Regime, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint


class Change(NamedTuple):
    """One decision that changed what clients may do."""

    at_s: float
    start_s: float
    regime: Regime
    before: Setpoint
    applied: Setpoint
    evidence: tuple[Evidence, ...]
    tightened: bool
    widened: bool


class Tally:
    """What a replay came to; feed it every step, in order."""

    def __init__(self, policy: Policy, *, keep_steps: bool = False) -> None:
        """Start empty; `keep_steps` keeps what scoring needs (8 numbers a row)."""
        self._nominal = nominal_setpoint(policy)
        self._keep_steps = keep_steps
        self.rows = 0
        self.looks = 0
        self.usable = 0  # rows that carry evidence
        self.requests = 0
        self.failures = 0
        self.regimes: Counter[Regime] = Counter()
        self.changes: list[Change] = []
        self.restricted_s = 0.0
        self.gated_s = 0.0
        self.widened_s = 0.0
        self.steps: list[Step] = []
        self.state: bytes | None = None  # after the newest step

    def add(self, replayed: Replayed) -> None:
        """Take one step into the totals."""
        self.state = replayed.state_after
        if replayed.look:
            self.looks += 1
        else:
            self.rows += 1
        self._count(replayed.observation)
        self._decide(replayed.observation, replayed.decision, replayed.before)
        if self._keep_steps:
            step = scoring_step(replayed, self._nominal)
            if step is not None:
                self.steps.append(step)

    def take(self, series: Series, outcome: Outcome) -> None:
        """Take a whole replay, of which only the steps that are not quiet were kept; the totals are the same.

        A quiet window is nominal, restricts nothing and changes nothing.
        """
        self.state = outcome.state_bytes
        self.rows += len(series.observations)
        self.looks += outcome.steps - len(series.observations)
        for seen in series.observations:
            self._count(seen)
        for one in outcome.noted:
            self._decide(one.observation, one.decision, one.before)
        if outcome.quiet.windows:
            self.regimes[Regime.NOMINAL] += outcome.quiet.windows
        if self._keep_steps:
            self.steps += steps_of(series, outcome.noted, self._nominal)

    def _count(self, seen: Observation) -> None:
        if seen.quality in (Quality.OK, Quality.PARTIAL) and seen.requests + seen.short_circuited > 0:
            self.usable += 1
            self.requests += seen.requests
            self.failures += seen.failures

    def _decide(self, seen: Observation, decision: Decision, before: Setpoint) -> None:
        applied = decision.applied
        if seen.quality != Quality.INVALID:
            # A flagged row stands for no time of its own: the window is counted where it is sound.
            self.regimes[decision.regime] += 1
            self.restricted_s += seen.period_s if is_restricted(applied, self._nominal) else 0.0
            self.gated_s += seen.period_s if is_gated(applied) else 0.0
            self.widened_s += seen.period_s if applied.budget_ratio > self._nominal.budget_ratio else 0.0
        if decision.changed:
            self.changes.append(
                Change(
                    decision.at_s,
                    seen.start_s,
                    decision.regime,
                    before,
                    applied,
                    decision.evidence,
                    decision.urgent,
                    widens(before, applied, self._nominal),
                )
            )

    @property
    def tightened(self) -> int:
        """Changes after which clients may do less."""
        return sum(c.tightened for c in self.changes)

    @property
    def widened(self) -> int:
        """Changes that raised retries above nominal."""
        return sum(c.widened for c in self.changes)

    @property
    def opened(self) -> int:
        """Changes that cut traffic where it was not cut."""
        return sum(is_gated(c.applied) and not is_gated(c.before) for c in self.changes)

    def steps_by_window(self) -> list[Step]:
        """Return the kept steps, oldest window first (late rows came later)."""
        return sorted(self.steps, key=lambda step: step.start_s)


def steps_of(series: Series, noted: Sequence[Noted], nominal: Setpoint) -> Iterator[Step]:
    """Yield what scoring needs of every sound row, in order of arrival; what is not noted was quiet."""
    kept = {one.row: one for one in noted if not one.look}
    for row, seen in enumerate(series.observations):
        if seen.quality == Quality.INVALID:
            continue
        one = kept.get(row)
        if one is None:
            yield Step(seen.start_s, seen.arrived_s, seen.period_s, False, False, False, False, False)
        else:
            yield step_of(seen, one.decision, one.before, nominal)
