"""The controller's side of a closed loop: the production round on in-memory ports, and its delayed effects.

`FlyballControl.round` is flyball_controller.loop.run_once, the very function
that Lambda runs: checkpoints, fleet rules and publication included. What it may
see is decided here: the inbox hands out windows only after they have arrived,
so no future data can reach a decision, whatever the caller passes in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from flyball.contract import TargetParams
from flyball_analytics.branches import BranchTracer
from flyball_analytics.delays import CIRCUIT, Delivery, SimCircuits, SimPublisher
from flyball_analytics.plant import Environment
from flyball_analytics.wording import reasons
from flyball_controller.aws.publish_plan import Limits
from flyball_controller.core.model import Decision, Observation, Regime, Setpoint
from flyball_controller.core.state import nominal_setpoint
from flyball_controller.fakes import MemoryCheckpoints, MemoryHolds
from flyball_controller.loop import Ports, Trigger, run_once
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import PortError
from flyball_controller.publication import to_params
from flyball_controller.round_records import Remembered

_CALM = (Regime.NOMINAL, Regime.RECOVERING)
KEPT_WINDOWS = 40  # per target, in the inbox: the loop asks for what is newer than its last


class FutureDataError(AssertionError):
    """A window reached the controller before it was over: the simulation, not the law, is wrong."""


class Inbox:
    """Windows that have arrived, per target. A `Sensor` port."""

    def __init__(self, past: Mapping[str, Sequence[Observation]]) -> None:
        self._past = past
        self._arrived: dict[str, list[Observation]] = {}

    def deliver(self, seen: Observation, *, now_s: float) -> None:
        """Take a window that arrives now.

        Raises:
            FutureDataError: It is not over yet, or says that it arrives later.
        """
        if seen.arrived_s > now_s or seen.start_s + seen.period_s > seen.arrived_s:
            raise FutureDataError(
                f"{seen.target}: the window [{seen.start_s:g}, {seen.start_s + seen.period_s:g}) s, "
                f"arriving at {seen.arrived_s:g} s, was handed over at {now_s:g} s"
            )
        kept = self._arrived.setdefault(seen.target, [])
        kept.append(seen)
        del kept[:-KEPT_WINDOWS]

    def read(
        self, targets: Sequence[str], *, since_s: Mapping[str, float], now_s: float
    ) -> Mapping[str, tuple[Observation, ...]]:
        """Return what has arrived by `now_s` and starts after `since_s`, oldest first."""
        found = {}
        for target in targets:
            fresh = [
                seen
                for seen in self._arrived.get(target, ())
                if seen.arrived_s <= now_s and seen.start_s > since_s.get(target, -1.0)
            ]
            if fresh:
                found[target] = tuple(sorted(fresh, key=lambda seen: seen.start_s))
        return found

    def history(self, target: str, *, until_s: float, days: int) -> tuple[Observation, ...]:
        """Return the quiet past of a target."""
        since_s = until_s - days * 86_400.0
        return tuple(seen for seen in self._past.get(target, ()) if since_s <= seen.start_s < until_s)


class _NoJournal:
    """A `Journal` port that keeps nothing: what a run needs is in its Actions."""

    def append(self, records: Sequence[Mapping[str, object]]) -> None:
        """Drop the records."""


class Action(NamedTuple):
    """One change of a setpoint, with the first reason for it and what it was published as."""

    at_s: float
    target: str
    regime: str  # name of a Regime; "" = the algorithm has none
    reason: str  # name of a Reason; "" as above
    why: str  # all reasons in words, with their numbers
    before: Setpoint
    after: Setpoint
    urgent: bool  # it tightens
    version: int  # of the circuit item that carried it, -1 = none
    revision: int  # of the newest document when it was decided


class Sighting(NamedTuple):
    """The moment at which the controller's idea of a target changed: in trouble, or calm again."""

    at_s: float
    target: str
    regime: str
    trouble: bool


class Reached(NamedTuple):
    """What a run reached of everything that the law can say and do; branches as `branches.Branch` keys."""

    regimes: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    branches: frozenset[str] = frozenset()

    def union(self, other: Reached) -> Reached:
        """Return what either reached."""
        return Reached(*(mine | theirs for mine, theirs in zip(self, other, strict=True)))


class Control:
    """What every controller of a run has: a way to its clients, and the books of what it did."""

    def __init__(
        self,
        nominal: Mapping[str, TargetParams],
        setpoints: Mapping[str, Setpoint],
        *,
        policy_hash: str,
        limits: Limits,
        seed: int,
    ) -> None:
        """`nominal`: parameters deployed long ago, per target; `setpoints`: the same as setpoints."""
        self.circuits = SimCircuits()
        self.publisher = SimPublisher(nominal, policy_hash=policy_hash, limits=limits)
        self.deliveries = {
            name: Delivery(name, circuits=self.circuits, publisher=self.publisher, seed=seed)
            for name in nominal
        }
        self.actions: list[Action] = []
        self.sightings: list[Sighting] = []
        self.nominal = dict(setpoints)
        self.setpoints = dict(setpoints)

    def refresh_of(self, target: str) -> Callable[[Environment, float], None]:
        """Return the plant's hook for the environments that call this target."""
        return self.deliveries[target].refresh

    def round(self, now_s: float, arrived: Sequence[Observation]) -> None:
        """Let windows arrive and the controller act on them."""
        raise NotImplementedError

    @property
    def reached(self) -> Reached:
        """What this run reached of the law so far."""
        return Reached()

    def obeyed_s(self, action: Action) -> float | None:
        """Return when the first environment obeyed an action, None if none did in this run.

        By the circuit item, or by the document that was deployed with or after
        it, whichever came first. An action that was superseded before anybody
        read it counts from its successor.
        """
        times = [
            at_s
            for (kind, number), at_s in self.deliveries[action.target].obeyed_s.items()
            if at_s >= action.at_s and number >= (action.version if kind == CIRCUIT else action.revision)
        ]
        return min(times, default=None)

    def _act(
        self, at_s: float, target: str, after: Setpoint, *, urgent: bool, said: tuple[str, str, str]
    ) -> None:
        """Note a change; `said`: regime, reason and words."""
        item = self.circuits.read(target)
        self.actions.append(
            Action(
                at_s,
                target,
                *said,
                before=self.setpoints[target],
                after=after,
                urgent=urgent,
                version=item.version if item is not None else -1,
                revision=self.publisher.deployments[-1].document.revision,
            )
        )
        self.setpoints[target] = after


class FlyballControl(Control):
    """The production controller for all targets of a scenario."""

    def __init__(
        self,
        targets: Sequence[str],
        *,
        policies: PolicySet,
        seed: int,
        past: Mapping[str, Sequence[Observation]],
        traced: bool = False,
    ) -> None:
        """`past`: quiet windows per target, learned at the first round. `traced`: note the law's branches."""
        policy = policies.default
        nominal = {name: nominal_setpoint(policies.for_target(name)) for name in targets}
        super().__init__(
            {name: to_params(nominal[name], policies.for_target(name)) for name in targets},
            nominal,
            policy_hash=policies.hash,
            # As the production wiring does: a quarter is kept for urgent changes.
            limits=Limits(
                per_h=policy.changes_per_h_max,
                reserve=policy.changes_per_h_max // 4,
                gap_s=policy.change_gap_s,
            ),
            seed=seed,
        )
        self.inbox = Inbox(past)
        self._targets = tuple(targets)
        self._policies = policies
        self._regimes = dict.fromkeys(targets, Regime.NOMINAL)
        self._seen_regimes: set[str] = set()
        self._seen_reasons: set[str] = set()
        self._cache: dict[str, Remembered] = {}
        self._ports = Ports(
            self.inbox, MemoryCheckpoints(), self.circuits, MemoryHolds(), self.publisher, _NoJournal()
        )
        self._tracer = BranchTracer() if traced else None

    def round(self, now_s: float, arrived: Sequence[Observation]) -> None:
        """Let windows arrive and run one production round.

        Raises:
            FutureDataError: A window is not over yet.
            PortError: Never by design; a failing fake is a defect of the simulation.
        """
        for seen in arrived:
            self.inbox.deliver(seen, now_s=now_s)
        self.circuits.now_s = now_s
        with self._tracer if self._tracer is not None else nullcontext():
            decisions = self._run(now_s)
        for decision in decisions:
            self._note(decision)

    def _run(self, now_s: float) -> tuple[Decision, ...]:
        report = run_once(
            self._targets,
            ports=self._ports,
            policies=self._policies,
            now_s=now_s,
            trigger=Trigger("stream", f"{now_s:g}"),
            cache=self._cache,
        )
        for _, error in report.errors:
            raise PortError(str(error), backend=error.backend, retryable=False) from error
        return report.decisions

    def _note(self, decision: Decision) -> None:
        self._seen_regimes.add(decision.regime.name)
        self._seen_reasons.update(item.reason.name for item in decision.evidence)
        target, regime = decision.target, decision.regime
        if regime != self._regimes[target]:
            self._regimes[target] = regime
            self.sightings.append(Sighting(decision.at_s, target, regime.name, regime not in _CALM))
        if decision.changed:
            said = (regime.name, decision.evidence[0].reason.name, reasons(decision.evidence))
            self._act(decision.at_s, target, decision.applied, urgent=decision.urgent, said=said)

    @property
    def reached(self) -> Reached:
        """What this run reached so far."""
        branches = self._tracer.reached if self._tracer is not None else frozenset()
        return Reached(frozenset(self._seen_regimes), frozenset(self._seen_reasons), branches)
