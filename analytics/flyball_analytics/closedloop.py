"""One closed-loop run: a scenario, an algorithm, a seed, and what became of every request.

    plant (real client) -> counters of a period -> metric lag -> production round
          ^                                                             |
          +---- each environment's reads <- circuit item, deployment <--+

The plant never runs ahead of the controller: it is advanced to the very moment
at which a window arrives, the round runs, and its effects travel through
`delays`. So causes come before effects by construction, and a run is a pure
function of its arguments.

Results are judged in closedloop_measures.py; several runs at once: suite.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from flyball.call import Counters
from flyball_analytics.algorithms import Algorithm
from flyball_analytics.arrivals import EXACT, ModelError, arrivals_of, varied
from flyball_analytics.closedloop_control import Action, Control, FlyballControl, Reached
from flyball_analytics.closedloop_measures import CallerRun, Evidence, measure
from flyball_analytics.closedloop_reference import ReferenceControl
from flyball_analytics.plant import Environment, QuietService, Service, World
from flyball_analytics.plant.day import add_counters
from flyball_analytics.plant.draws import stream
from flyball_analytics.plant.faults import STEP_S
from flyball_analytics.plant.ledger import Ledger
from flyball_analytics.plant.traffic import MINUTE_S
from flyball_analytics.scenarios.model import Caller, Scenario
from flyball_controller.core.model import Observation

LAG_JITTER_S = 3.0  # two datapoints never take equally long


class Sample(NamedTuple):
    """Ten seconds of one caller. Latencies in milliseconds, NaN if no attempt ended."""

    at_s: float
    caller: str
    arrived: int
    ok: int
    rejected: int
    attempts: int
    latency_ms_p50: float
    latency_ms_p99: float


class Result(NamedTuple):
    """What one run came to. `measures`: scenarios.measures.MEASURES; infinite = never, NaN = no meaning."""

    scenario: str
    algorithm: str
    seed: int
    measures: dict[str, float]
    actions: tuple[Action, ...]
    reached: Reached
    samples: tuple[Sample, ...]  # empty unless asked for


def run(
    scenario: Scenario,
    algorithm: Algorithm,
    *,
    seed: int,
    model: ModelError = EXACT,
    traced: bool = False,
    sampled: bool = False,
) -> Result:
    """Return what the algorithm makes of the scenario.

    Args:
        scenario: The experiment.
        algorithm: Clients, and the controller's policies if it has one.
        seed: Decides every arrival, draw and delay; the same for every algorithm.
        model: How the world differs from the scenario.
        traced: Note which branches of the control law were taken.
        sampled: Keep ten-second samples, for a plot.
    """
    loop = _Loop(scenario, algorithm, seed, model, traced=traced)
    if scenario.counted:
        loop.count()
    else:
        loop.simulate()
    evidence = Evidence(
        scenario=scenario,
        callers=tuple(loop.caller_runs()),
        control=loop.control,
    )
    return Result(
        scenario=scenario.name,
        algorithm=algorithm.name,
        seed=seed,
        measures=measure(evidence),
        actions=tuple(loop.control.actions) if loop.control is not None else (),
        reached=loop.control.reached if loop.control is not None else Reached(),
        samples=tuple(loop.samples()) if sampled and not scenario.counted else (),
    )


class _Loop:
    """The moving parts of one run."""

    def __init__(
        self, scenario: Scenario, algorithm: Algorithm, seed: int, model: ModelError, *, traced: bool
    ) -> None:
        self.scenario = scenario
        self.period_s = model.period_s if model.period_s is not None else scenario.period_s
        if self.period_s <= 0.0 or self.period_s % STEP_S != 0.0:
            raise ValueError(f"period_s={self.period_s!r} must be a multiple of {STEP_S:g} s")
        self._lag_s = model.lag_s if model.lag_s is not None else scenario.lag_s
        self._seed = seed
        self._rng = stream(seed, "metric lag")
        self._services = {caller.name: varied(caller.service, model) for caller in scenario.callers}
        self.control = self._control(algorithm, traced=traced)
        self._worlds: dict[str, World] = {}
        self._ledgers: dict[str, Ledger] = {}
        for caller in scenario.callers:
            if scenario.counted:
                self._ledgers[caller.name] = Ledger()
            else:
                world = self._world(caller, algorithm, model)
                self._worlds[caller.name] = world
                self._ledgers[caller.name] = world.ledger
        self._counters = {target: Counters() for target in scenario.targets}
        self._latencies: dict[str, list[tuple[float, float]]] = {c.name: [] for c in scenario.callers}
        self._due: list[tuple[float, tuple[Observation, ...]]] = []  # on their way, oldest first

    def _control(self, algorithm: Algorithm, *, traced: bool) -> Control | None:
        targets = self.scenario.targets
        if algorithm.policies is not None:
            past = {target: self._past(target) for target in targets}
            return FlyballControl(
                targets, policies=algorithm.policies, seed=self._seed, past=past, traced=traced
            )
        if algorithm.rule is not None:
            return ReferenceControl(targets, rule=algorithm.rule, seed=self._seed)
        return None

    def _world(self, caller: Caller, algorithm: Algorithm, model: ModelError) -> World:
        start_s = self.scenario.start_s
        refresh: Callable[[Environment, float], None] = _never
        if self.control is not None:
            refresh = self.control.refresh_of(caller.target)
        return World(
            self._services[caller.name],
            faults=tuple(
                f._replace(start_s=f.start_s + start_s, end_s=f.end_s + start_s) for f in caller.faults
            ),
            seed=self._seed,
            start_s=start_s,
            new_target=lambda: algorithm.new_target(caller.target, caller.function),
            refresh=refresh,
            arrivals=arrivals_of(caller, start_s=start_s, seed=self._seed, model=model),
            reuse_random=model.reuse_random,
            timeout_factor=model.timeout_factor,
        )

    def _past(self, target: str) -> tuple[Observation, ...]:
        """Return the quiet minutes before the scenario, as the controller's history."""
        callers = [c for c in self.scenario.callers if c.target == target]
        minutes = round(self.scenario.history_s / MINUTE_S)
        first = round(self.scenario.start_s / MINUTE_S) - minutes
        columns = [quiet_minutes(self._services[c.name], self._seed, first, minutes) for c in callers]
        past = []
        for number in range(minutes):
            total = Counters()
            for column in columns:
                add_counters(total, column[number])
            start_s = (first + number) * MINUTE_S
            if total.requests:
                past.append(observation(target, total, start_s, MINUTE_S, start_s + MINUTE_S + self._lag_s))
        return tuple(past)

    # --- running ----------------------------------------------------------------------

    def simulate(self) -> None:
        """Run the whole scenario in steps of ten seconds, stopping at each arrival of a window."""
        start_s = self.scenario.start_s
        steps = round(self.scenario.duration_s / STEP_S)
        per_window = round(self.period_s / STEP_S)
        for number in range(1, steps + 1):
            now_s = start_s + number * STEP_S
            self._deliver_until(now_s)
            self._advance(now_s)
            self._collect()
            if number % per_window == 0:
                self._close_window(now_s)
        for world in self._worlds.values():
            world.settle()

    def count(self) -> None:
        """Count every minute as quiet, and let the controller see it: months in seconds."""
        first = round(self.scenario.start_s / MINUTE_S)
        quiet = {name: QuietService(service, seed=self._seed) for name, service in self._services.items()}
        for minute in range(first, first + round(self.scenario.duration_s / MINUTE_S)):
            end_s = (minute + 1) * MINUTE_S
            self._deliver_until(end_s)
            for caller in self.scenario.callers:
                tally = self._ledgers[caller.name].minute(minute * MINUTE_S)
                counted = quiet[caller.name].minute(minute, tally)
                add_counters(self._counters[caller.target], counted)
            self._close_window(end_s)

    def _advance(self, to_s: float) -> None:
        for world in self._worlds.values():
            world.advance(to_s)

    def _deliver_until(self, now_s: float) -> None:
        while self._due and self._due[0][0] < now_s:
            arrived_s, windows = self._due.pop(0)
            self._advance(arrived_s)
            if self.control is not None:
                self.control.round(arrived_s, windows)

    def _collect(self) -> None:
        """Drain the clients' counters into the running window of their target."""
        for caller in self.scenario.callers:
            total = self._counters[caller.target]
            latencies: list[float] = []
            for environment in self._worlds[caller.name].environments:
                counters = environment.target.counters
                if counters.requests or counters.short_circuited or counters.latencies_ms:
                    latencies.extend(counters.latencies_ms)
                    add_counters(total, counters)
                    environment.target.counters = Counters()
            latencies.sort()
            self._latencies[caller.name].append((rank(latencies, 0.5), rank(latencies, 0.99)))

    def _close_window(self, end_s: float) -> None:
        """Send the windows that end now on their way; what carries no request sends no datapoint.

        While the metrics are blind none arrives; the controller's schedule goes on.
        """
        blind = any(a <= end_s - self.scenario.start_s < b for a, b in self.scenario.blind)
        arrived_s = end_s + self._lag_s + LAG_JITTER_S * self._rng.random()
        windows = []
        for target, counters in self._counters.items():
            if (counters.requests or counters.short_circuited) and not blind:
                start_s = end_s - self.period_s
                windows.append(observation(target, counters, start_s, self.period_s, arrived_s))
            self._counters[target] = Counters()
        self._due.append((arrived_s, tuple(windows)))
        self._due.sort(key=lambda due: due[0])

    # --- what it came to --------------------------------------------------------------

    def caller_runs(self) -> list[CallerRun]:
        """Return ledger and fleet of each caller."""
        return [
            CallerRun(
                caller.name,
                caller.target,
                self._ledgers[caller.name],
                self._worlds[caller.name].peak_environments if self._worlds else 0,
            )
            for caller in self.scenario.callers
        ]

    def samples(self) -> list[Sample]:
        """Return the ten-second samples of every caller, by caller and time."""
        found = []
        for caller in self.scenario.callers:
            steps = self._ledgers[caller.name].steps
            for number, (p50, p99) in enumerate(self._latencies[caller.name]):
                at_s = number * STEP_S
                tally = steps[int((self.scenario.start_s + at_s) // STEP_S)]
                counts = (tally.arrived, tally.ok, tally.rejected, tally.attempts)
                found.append(Sample(at_s, caller.name, *counts, p50, p99))
        return found


@lru_cache(maxsize=128)
def quiet_minutes(service: Service, seed: int, first: int, minutes: int) -> tuple[Counters, ...]:
    """Return the counters of quiet minutes; shared by all algorithms of one scenario and seed."""
    quiet = QuietService(service, seed=seed)
    return tuple(quiet.minute(minute) for minute in range(first, first + minutes))


def rank(ordered: list[float], share: float) -> float:
    """Return the value at a share of a sorted list (nearest rank), NaN for an empty one.

    >>> rank([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def observation(
    target: str, counters: Counters, start_s: float, period_s: float, arrived_s: float
) -> Observation:
    """Return the window that CloudWatch would show of these counters."""
    latencies = sorted(counters.latencies_ms)
    return Observation(
        target,
        start_s,
        period_s,
        arrived_s,
        requests=counters.requests,
        timeouts=counters.timeouts,
        errors_fast=counters.errors_fast,
        throttles=counters.throttles,
        attempts=counters.requests + counters.retries,
        request_failures=counters.request_failures,
        short_circuited=counters.short_circuited,
        errors_permanent=counters.errors_permanent,
        latency_ms_p50=rank(latencies, 0.5) if latencies else -1.0,
        latency_ms_p99=rank(latencies, 0.99) if latencies else -1.0,
    )


def _never(environment: Environment, at_s: float) -> None:
    """Nothing is published, so nothing is ever read."""
    environment.check_at_s = math.inf
