"""An experiment as data, and how it is run: steady state, fault, verdict.

The order is that of the principles of chaos engineering (Basiri et al., IEEE
Software 2016): a hypothesis about a steady state, measured before; a fault;
the same measures during and after; a verdict that can be no.

A verdict is `held` if every bound was kept and the fleet recovered in time,
`broken` if one was not, and `inconclusive` if there was no steady state to begin
with, or if nothing met the fault: then nothing was tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from flyball.errors import FlyballWarning
from flyball_controller.policy_set import PolicySet
from flyball_local.chaos.faults import Fault
from flyball_local.chaos.measures import LATE_S, Phase, Stretch, measured, recovered_after_s
from flyball_local.chaos.world import World

BEFORE_S = 120.0
AFTER_S = 180.0
STEADY_GOODPUT_RATIO = 0.99
STEADY_CALLS = 500


class Verdict(StrEnum):
    """What an experiment found."""

    HELD = "held"
    BROKEN = "broken"
    INCONCLUSIVE = "inconclusive"


class Step(NamedTuple):
    """A fault from `from_s` to `to_s`, seconds after the fault phase began."""

    from_s: float
    to_s: float
    fault: Fault


class Bound(NamedTuple):
    """What a measure must keep in a phase; either end may be absent. `why` is the promise behind it."""

    measure: str
    phase: Phase
    low: float | None = None
    high: float | None = None
    why: str = ""

    def kept(self, value: float | None) -> bool:
        """Whether a value keeps it; what was not seen keeps nothing.

        >>> bound = Bound("goodput_ratio", Phase.AFTER, low=0.99)
        >>> bound.kept(0.99), bound.kept(0.98), bound.kept(None)
        (True, False, False)
        """
        if value is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


class Experiment(NamedTuple):
    """A hypothesis and how to try it. `managed` names its counterpart in infra/chaos, "" = there is none."""

    name: str
    hypothesis: str
    steps: tuple[Step, ...]
    bounds: tuple[Bound, ...]
    recovers_within_s: float  # after the fault is over, or `well_from_s` if that is given
    managed: str = ""
    well_from_s: float | None = None  # when the target is well again, if other faults outlast its own

    @property
    def fault_s(self) -> float:
        """Length of the fault phase."""
        return max(step.to_s for step in self.steps)


class Finding(NamedTuple):
    """One bound, what was measured, and whether it was kept."""

    bound: Bound
    value: float | None
    kept: bool


class Result(NamedTuple):
    """What an experiment came to. `phases` has every measure of every phase; `reasons` why not `held`."""

    experiment: Experiment
    seed: int
    policy: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    recovered_s: float | None
    phases: Mapping[Phase, Mapping[str, float | None]]
    reasons: tuple[str, ...]


class _Mark(NamedTuple):
    """Where the counters stood at a moment."""

    at_s: float
    calls: int
    reads: tuple[int, ...]  # by environment
    reads_failed: int
    struck: int
    rounds: int
    under_open: int


def run(experiment: Experiment, *, policies: PolicySet, policy: str, seed: int) -> Result:
    """Run an experiment; the same arguments give the same result.

    Args:
        experiment: What to try.
        policies: The policy that is to keep the promises.
        policy: Its name, for the report.
        seed: Draws jitter, probes and which attempts meet a fault.
    """
    with warnings.catch_warnings(), World(policies, seed=seed) as world:
        # A damaged document is warned of, once per environment: here it is expected.
        warnings.simplefilter("ignore", FlyballWarning)
        start_s = world.clock.now_s()
        fault_from_s = start_s + BEFORE_S
        fault_to_s = fault_from_s + experiment.fault_s
        marks = [_mark(world)]
        world.run_to(fault_from_s)
        marks.append(_mark(world))
        late = _run_steps(world, experiment, fault_from_s, fault_to_s)
        marks.append(_mark(world))
        world.run_to(fault_to_s + AFTER_S)
        marks.append(_mark(world))
        stretches = {
            Phase.BEFORE: _stretch(world, marks[0], marks[1]),
            Phase.DURING: _stretch(world, marks[1], marks[2]),
            Phase.LATE: _stretch(world, late, marks[2]),
            Phase.AFTER: _stretch(world, marks[2], marks[3]),
        }
        well_from_s, until_s = fault_to_s, fault_to_s + AFTER_S
        if experiment.well_from_s is not None:  # in spite of what still fails
            well_from_s, until_s = fault_from_s + experiment.well_from_s, fault_to_s
        recovered_s = recovered_after_s(world.calls, since_s=well_from_s, until_s=until_s)
    phases = {phase: measured(stretch) for phase, stretch in stretches.items()}
    return judge(experiment, phases, recovered_s, seed=seed, policy=policy)


def judge(
    experiment: Experiment,
    phases: Mapping[Phase, Mapping[str, float | None]],
    recovered_s: float | None,
    *,
    seed: int,
    policy: str,
) -> Result:
    """Return the verdict on what was measured."""
    values = [phases[bound.phase][bound.measure] for bound in experiment.bounds]
    findings = tuple(
        Finding(bound, value, bound.kept(value))
        for bound, value in zip(experiment.bounds, values, strict=True)
    )
    untried = _untried(phases)
    broken = [_said(finding) for finding in findings if not finding.kept]
    if recovered_s is None:
        broken.append("it did not recover")
    elif recovered_s > experiment.recovers_within_s:
        broken.append(
            f"it recovered after {recovered_s:g} s, {experiment.recovers_within_s:g} s were allowed"
        )
    verdict = Verdict.INCONCLUSIVE if untried else Verdict.BROKEN if broken else Verdict.HELD
    reasons = tuple(untried or broken)
    return Result(experiment, seed, policy, verdict, findings, recovered_s, phases, reasons)


def _untried(phases: Mapping[Phase, Mapping[str, float | None]]) -> list[str]:
    """Why nothing can be said, if so."""
    before, during = phases[Phase.BEFORE], phases[Phase.DURING]
    reasons = []
    calls, goodput_ratio = before["calls"] or 0.0, before["goodput_ratio"] or 0.0
    if calls < STEADY_CALLS:
        reasons.append(f"{calls:g} calls before the fault; a steady state needs {STEADY_CALLS}")
    elif goodput_ratio < STEADY_GOODPUT_RATIO:
        reasons.append(f"no steady state: before the fault {goodput_ratio:.1%} of the calls were answered")
    if not during["struck"]:
        reasons.append("nothing met the fault")
    return reasons


def _said(finding: Finding) -> str:
    bound, value = finding.bound, finding.value
    shown = "nothing was seen" if value is None else f"{value:.4g}"
    ends = [f"at least {bound.low:g}"] if bound.low is not None else []
    ends += [f"at most {bound.high:g}"] if bound.high is not None else []
    return f"{bound.measure} {bound.phase.value}: {shown}, {' and '.join(ends)} was promised ({bound.why})"


def _run_steps(world: World, experiment: Experiment, from_s: float, to_s: float) -> _Mark:
    """Run the fault phase; return where the counters stood when its last minute began."""
    actions: list[tuple[float, int, Fault]] = []
    for step in experiment.steps:
        actions += [(from_s + step.from_s, 1, step.fault), (from_s + step.to_s, 0, step.fault)]
    late_s = max(from_s, to_s - LATE_S)
    late: _Mark | None = None
    # Ends before begins, where both are at one moment.
    for at_s, begins, fault in sorted(actions, key=lambda action: action[:2]):
        if late is None and at_s >= late_s:
            world.run_to(late_s)
            late = _mark(world)
        world.run_to(at_s)
        if begins:
            fault.begin(world)
        else:
            fault.end(world)
    assert late is not None  # noqa: S101 - the last step ends with the phase
    return late


def _mark(world: World) -> _Mark:
    tables = [environment.tables for environment in world.everybody]
    return _Mark(
        at_s=world.clock.now_s(),
        calls=len(world.calls),
        reads=tuple(known.reads for known in tables),
        reads_failed=sum(known.failed for known in tables),
        struck=world.struck,
        rounds=world.rounds,
        under_open=world.under_open,
    )


def _stretch(world: World, begin: _Mark, end: _Mark) -> Stretch:
    started = len(end.reads) - len(begin.reads)
    before = (*begin.reads, *[0] * started)
    return Stretch(
        seconds=end.at_s - begin.at_s,
        calls=world.calls[begin.calls : end.calls],
        reads=[late - early for early, late in zip(before, end.reads, strict=True)],
        reads_failed=end.reads_failed - begin.reads_failed,
        started=started,
        struck=end.struck - begin.struck,
        rounds=end.rounds - begin.rounds,
        under_open=end.under_open - begin.under_open,
    )
