"""Four ways to protect a fleet, each over the code that would run in production.

* flyball: the real client (`Runtime`, `Target`), one per environment, with retries;
* flyball and its controller: the real decision step once a minute on what those
  clients counted, its circuit item published to them;
* Powertools: the installed breaker, unchanged, over a store in memory, with a
  patched clock and one set of its module-level counters per environment;
* consecutive: five failures in a row in one environment, as pybreaker and most
  libraries count, written down here in its simplest form.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import NamedTuple

from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerOpenError, circuit_breaker
from aws_lambda_powertools.utilities.circuit_breaker import base as powertools_base
from aws_lambda_powertools.utilities.circuit_breaker.persistence import base as powertools_store

from fleet_world import BACKGROUND_RATIO, TARGET, Arrival, Design, Scenario, World
from flyball.call import Call
from flyball.environment import Runtime
from flyball.outcome import Counters, Outcome, Rejected, RejectReason
from flyball.records import Circuit, Document
from flyball.sources import StaticDocuments
from flyball_controller.core import State, initial_state, step
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint
from flyball_controller.publication import backfill, to_circuit, to_params
from powertools_memory import Items, MemoryPersistence

FAILURES = 5  # of Powertools, pybreaker and most others, as is the pause
PAUSE_S = 30.0
PERIOD_S = 60.0
# A window's metrics are there 20 s after its end: 80 s after its begin, the dead
# time on which the control law is laid out (docs/theory/control.md).
METRICS_S = 20.0
HISTORY_DAYS = 1


class Published:
    """The circuits table: the newest item, read by every environment's cache."""

    def __init__(self) -> None:
        self.items: tuple[Circuit, ...] = ()

    def read(self, targets: Sequence[str], function: str) -> Sequence[Circuit]:
        """Return the item, if there is one."""
        return self.items


class FlyballFleet:
    """The client in every environment; alone, it has no source of parameters and circuits."""

    def __init__(
        self, world: World, published: Published | None = None, documents: StaticDocuments | None = None
    ) -> None:
        self.world = world
        self.failure = Outcome.TIMEOUT if world.scenario.timeouts else Outcome.ERROR_FAST
        self._sources = documents, published
        self.runtimes = [self.new_runtime() for _ in range(world.scenario.environments)]
        self.targets = [runtime.target(TARGET) for runtime in self.runtimes]

    def new_runtime(self) -> Runtime:
        """Return what an environment begins with."""
        documents, circuits = self._sources
        return Runtime(
            function="checkout",
            documents=documents,
            circuits=circuits,
            clock=self.world,
            write=lambda line: None,
        )

    def offer(self, environment: int, arrival: Arrival) -> None:
        """Begin the call as the guard would."""
        world = self.world
        self.runtimes[environment].poll(world.now_s, world.now_s)
        call = self.targets[environment].begin(world.now_s, world.draw(), idempotent=True)
        if isinstance(call, Rejected):
            world.refuse(arrival, by_circuit=call.reason == RejectReason.CIRCUIT_OPEN)
        else:
            self._attempt(call, arrival)

    def _attempt(self, call: Call, arrival: Arrival) -> None:
        world = self.world
        well = world.attempt(arrival, first=call.attempt == 1)
        outcome = Outcome.SUCCESS if well else self.failure
        wait_s = call.finish(outcome, now_s=world.now_s, draw=world.draw(), latency_ms=50.0)
        if wait_s is None:
            world.conclude(arrival, well=well)
        else:
            world.later(world.now_s + wait_s, lambda: self._attempt(call, arrival))

    def collect(self) -> Counters:
        """Return what all environments counted since the last time, as CloudWatch would sum it."""
        total = Counters()
        for target in self.targets:
            counted, target.counters = target.counters, Counters()
            for name in SUMMED:
                setattr(total, name, getattr(total, name) + getattr(counted, name))
        return total


SUMMED = (
    "requests",
    "retries",
    "timeouts",
    "throttles",
    "errors_fast",
    "errors_permanent",
    "request_failures",
    "short_circuited",
)


def applied_document(policy: Policy) -> StaticDocuments:
    """Return the document as `flyball apply` deploys it before anything happens."""
    params = {TARGET: to_params(nominal_setpoint(policy), policy)}
    return StaticDocuments(Document(1, "", policy.digest, params))


class ControlledFleet(FlyballFleet):
    """The client and the controller: one step a minute, METRICS_S after the window's end.

    The document is the one that was applied before the outage; what changes in it comes
    by circuit items, which are faster.
    """

    def __init__(self, world: World, state: State, policy: Policy) -> None:
        self.published = Published()
        super().__init__(world, self.published, applied_document(policy))
        self.state = state
        self.policy = policy
        self.version = 0
        world.later(world.now_s + PERIOD_S, self._close_window)

    def _close_window(self) -> None:
        world, counted = self.world, self.collect()
        start_s = world.now_s - PERIOD_S
        seen = Observation(
            TARGET,
            start_s,
            PERIOD_S,
            world.now_s + METRICS_S,
            requests=counted.requests,
            timeouts=counted.timeouts,
            errors_fast=counted.errors_fast,
            throttles=counted.throttles,
            attempts=counted.requests + counted.retries,
            request_failures=counted.request_failures,
            short_circuited=counted.short_circuited,
            errors_permanent=counted.errors_permanent,
        )
        world.later(seen.arrived_s, lambda: self._decide(seen))
        world.later(world.now_s + PERIOD_S, self._close_window)

    def _decide(self, seen: Observation) -> None:
        self.state, decision = step(self.state, seen, self.policy)
        if decision.changed or decision.applied != nominal_setpoint(self.policy):
            self.version += 1
            self.published.items = (to_circuit(TARGET, self.state, decision, self.version),)


def learned_state(scenario: Scenario, policy: Policy, now_s: float) -> State:
    """Return the state of a controller that has read a day of healthy minutes, as on its first start."""
    requests = int(scenario.requests_per_s * PERIOD_S)
    minutes = int(HISTORY_DAYS * 86_400 / PERIOD_S)
    every = max(1, round(1.0 / (requests * BACKGROUND_RATIO)))  # minutes from one error to the next
    history = [
        Observation(
            TARGET,
            now_s - PERIOD_S * (minutes - i),
            PERIOD_S,
            now_s,
            requests=requests,
            errors_fast=max(1, round(requests * BACKGROUND_RATIO)) if i % every == 0 else 0,
            attempts=requests,
        )
        for i in range(minutes)
    ]
    return backfill(initial_state(policy), history, policy, now_s=now_s)


class DependencyError(Exception):
    """What a failed attempt raises."""


class PowertoolsEnvironment(NamedTuple):
    """What Powertools keeps per process: its module-level counters, its thread's name, its cache."""

    failures: dict[str, int]
    successes: dict[str, int]
    observed: dict[str, object]
    owner: SimpleNamespace
    guarded: Callable[[Arrival], None]


class PowertoolsFleet:
    """The installed breaker in every environment, one store for all. Use inside `patched`."""

    def __init__(self, world: World) -> None:
        self.world = world
        items: Items = {}
        self.environments = [self._environment(i, items) for i in range(world.scenario.environments)]

    def _environment(self, index: int, items: Items) -> PowertoolsEnvironment:
        store = MemoryPersistence(items, now_s=self.world.wall_s)

        @circuit_breaker(name=TARGET, persistence_store=store)
        def guarded(arrival: Arrival) -> None:
            if not self.world.attempt(arrival):
                raise DependencyError

        owner = SimpleNamespace(pid=os.getpid(), id=f"environment {index}")
        return PowertoolsEnvironment({}, {}, {}, owner, guarded)

    def offer(self, environment: int, arrival: Arrival) -> None:
        """Call the decorated function with the environment's own module state in place."""
        inside = self.environments[environment]
        powertools_base._LOCAL_FAILURES = inside.failures
        powertools_base._LOCAL_SUCCESSES = inside.successes
        powertools_base._LAST_OBSERVED_STATE = inside.observed
        powertools_base._PROBE_OWNER = inside.owner
        try:
            inside.guarded(arrival)
        except CircuitBreakerOpenError:
            self.world.refuse(arrival)
        except DependencyError:
            self.world.conclude(arrival, well=False)
        else:
            self.world.conclude(arrival, well=True)


@contextmanager
def patched(world: World) -> Iterator[None]:
    """Make Powertools' breaker read the world's clock; put everything back at the end."""
    names = ("dt", "_LOCAL_FAILURES", "_LOCAL_SUCCESSES", "_LAST_OBSERVED_STATE", "_PROBE_OWNER")
    before = {name: getattr(powertools_base, name) for name in names}
    store_before = powertools_store.dt
    instant = SimpleNamespace(timestamp=world.wall_s)
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: instant))
    powertools_base.dt = powertools_store.dt = clock
    try:
        yield
    finally:
        powertools_store.dt = store_before
        for name, value in before.items():
            setattr(powertools_base, name, value)


class Consecutive:
    """One environment's breaker: failures in a row open it, one good trial closes it."""

    __slots__ = ("failures", "until_s")

    def __init__(self) -> None:
        self.failures = 0
        self.until_s = 0.0

    def admits(self, now_s: float) -> bool:
        """Whether a call may pass."""
        return self.failures < FAILURES or now_s >= self.until_s

    def note(self, *, well: bool, now_s: float) -> None:
        """Count an outcome."""
        self.failures = 0 if well else self.failures + 1
        if self.failures >= FAILURES:
            self.until_s = now_s + PAUSE_S


class ConsecutiveFleet:
    """A breaker of its own in every environment."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.breakers = [Consecutive() for _ in range(world.scenario.environments)]

    def offer(self, environment: int, arrival: Arrival) -> None:
        """Attempt it if the environment's breaker lets it."""
        world, breaker = self.world, self.breakers[environment]
        if not breaker.admits(world.now_s):
            world.refuse(arrival)
            return
        well = world.attempt(arrival)
        breaker.note(well=well, now_s=world.now_s)
        world.conclude(arrival, well=well)


def _controlled(world: World) -> Design:
    policy = Policy()
    return ControlledFleet(world, learned_state(world.scenario, policy, world.now_s), policy)


ALONE = "flyball client alone"
CONTROLLED = "flyball client + controller"
POWERTOOLS = "Powertools circuit_breaker"
CONSECUTIVE = "consecutive, per environment"

DESIGNS: dict[str, Callable[[World], Design]] = {
    ALONE: FlyballFleet,
    CONTROLLED: _controlled,
    POWERTOOLS: PowertoolsFleet,
    CONSECUTIVE: ConsecutiveFleet,
}
