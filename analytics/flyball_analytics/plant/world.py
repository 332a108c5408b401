"""The closed loop of one target and its callers, request by request, with the real client in it.

    callers (open loop) -> environments (one call at a time, last used is reused first)
        -> flyball.call.Target (the product's own code) -> downstream (queue, servers, faults)

Every environment owns a client `Target`, as every Lambda execution environment
does: each sees few calls, a storm multiplies them, and a new one starts with an
empty memory. That is why the plant does not use one client for all.

Events wait in a heap ordered by time and by birth, so a run is a pure function
of the specification, the seed and the settings that `refresh` hands in. Nothing
here knows a controller, a store or a clock: the caller advances time and feeds
the environments through `refresh`.

What is simplified: one downstream layer; a caller gives up only through its
client; an environment is never frozen between calls; network time is constant.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from flyball.call import Call, Outcome, Rejected, Target
from flyball_analytics.plant.downstream import Downstream, Job
from flyball_analytics.plant.draws import stream
from flyball_analytics.plant.faults import HEALTHY, STEP_S, Conditions, Fault, check_fault, conditions_at
from flyball_analytics.plant.ledger import Ledger, Tally
from flyball_analytics.plant.traffic import MINUTE_S, Traffic, arrival_times

ENVIRONMENT_IDLE_S = 600.0  # an idle execution environment is reclaimed after some minutes
FAST_FAIL_S = 0.02  # a refusal or a 429 costs a round trip and no work


class Service(NamedTuple):
    """One target and its callers.

    Capacity is `servers / work_mean_s` attempts per second. `error_ratio` is
    the share of attempts that fail fast in health (and during the hourly batch,
    `batch_error_ratio`). `network_s` is added to every answer.
    """

    name: str
    traffic: Traffic
    servers: int = 4
    work_mean_s: float = 0.4
    work_cv: float = 0.3
    queue_max: int = 60
    network_s: float = 0.01
    error_ratio: float = 0.003
    batch_error_ratio: float = 0.003
    cold_start_s: float = 0.3
    environments_max: int = 400

    @property
    def capacity_per_s(self) -> float:
        """Attempts per second that a healthy downstream can serve."""
        return self.servers / self.work_mean_s


class Environment:
    """One execution environment: one client, one call at a time."""

    __slots__ = ("check_at_s", "memory", "target", "used_at_s")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.used_at_s = 0.0
        self.check_at_s = 0.0  # when `refresh` wants to be asked again; it owns this field
        self.memory: object = None  # whatever `refresh` keeps per environment


class _Request:
    """One request on its way through attempts and pauses."""

    __slots__ = (
        "attempt_s",
        "attempts",
        "call",
        "deadline_s",
        "environment",
        "generation",
        "job",
        "late",
        "outcome",
        "poisoned",
        "tally",
    )

    def __init__(self, environment: Environment, tally: Tally, poisoned: bool) -> None:
        self.environment = environment
        self.tally = tally
        self.poisoned = poisoned
        self.call: Call | None = None  # None until the client has let it in
        self.attempts = 0
        self.attempt_s = -1.0  # start of the attempt in flight; negative = none is
        self.deadline_s = 0.0  # when the attempt in flight times out
        self.outcome = Outcome.SUCCESS
        self.late = False  # by the present plan the answer comes after the attempt's time-out
        self.generation = 0  # an event of an older generation was replanned and means nothing
        self.job: Job | None = None


class World:
    """One service, simulated request by request from `start_s` on."""

    def __init__(
        self,
        service: Service,
        *,
        faults: Sequence[Fault],
        seed: int,
        start_s: float,
        new_target: Callable[[], Target],
        refresh: Callable[[Environment, float], None],
        arrivals: Callable[[int], list[float]] | None = None,
        reuse_random: bool = False,
        timeout_factor: float = 1.0,
    ) -> None:
        """Build it; nothing has happened yet.

        `arrivals` gives the sorted arrival times of a minute, default the
        service's traffic. `reuse_random` lets any free environment take the next
        request instead of the last used; `timeout_factor` stretches every
        attempt time-out of the clients: two assumptions that a study may vary.
        """
        for fault in faults:
            check_fault(fault)
        self.service = service
        self.ledger = Ledger()
        self.downstream = Downstream(servers=service.servers, queue_max=service.queue_max)
        self.now_s = start_s
        self.peak_environments = 0
        self.environments: list[Environment] = []
        self._faults = tuple(faults)
        self._seed = seed
        self._new_target = new_target
        self._arrivals_of = arrivals or self._arrivals_of_traffic
        self._reuse_random = reuse_random
        self._timeout_factor = timeout_factor
        self._refresh = refresh
        self._free: list[Environment] = []  # a stack: last used on top
        self._events: list[tuple[float, int, _Request, int]] = []
        self._births = 0
        self._in_flight: set[_Request] = set()
        self._conditions: Conditions = HEALTHY
        self._throttle_tokens = 0.0
        self._throttle_at_s = start_s
        self._arrivals: list[float] = []
        self._next = 0
        self._tally = Tally()
        # A lognormal with this mean and coefficient of variation.
        self._work_sigma = math.sqrt(math.log1p(service.work_cv**2))
        self._work_mu = math.log(service.work_mean_s) - self._work_sigma**2 / 2.0
        self._rng = stream(seed, service.name, "dynamics", start_s)

    def resume(self, now_s: float) -> None:
        """Skip to `now_s` (a minute's start) without simulating what lies between; nothing is in flight."""
        if self._in_flight:
            raise ValueError(f"{len(self._in_flight)} requests are in flight: settle() before resume()")
        self.now_s = now_s

    def advance(self, until_s: float) -> None:
        """Run everything that happens before `until_s`."""
        while self.now_s < until_s:
            grid = (math.floor(self.now_s / STEP_S) + 1) * STEP_S
            if self.now_s % STEP_S == 0.0:
                self._begin_step()
            end = min(grid, until_s)
            self._run(end)
            self.now_s = end

    def settle(self, limit_s: float = 120.0) -> None:
        """Let what is in flight end, with no new arrivals; the clock of the caller does not move.

        Used when simulation gives way to counting: the stragglers' outcomes
        belong to the minute in which they arrived. Call it at a minute's start:
        arrivals of a minute begun would be lost.
        """
        if self.now_s % MINUTE_S != 0.0:
            raise ValueError(f"now_s={self.now_s!r} must be the start of a minute to settle")
        self._arrivals, self._next = [], 0
        self._run(self.now_s + limit_s)
        self._abandon()

    def drain_by_hand(self) -> None:
        """Do what an operator does about a metastable target: stop the callers, empty the queue.

        Every request in flight fails.
        """
        self._abandon()
        self.downstream.clear(self.now_s)

    @property
    def healthy(self) -> bool:
        """Whether no harmful fault acts and the queue is shorter than half a second."""
        return not self._conditions.harmful and self.downstream.backlog_s(self.now_s) < 0.5

    def _begin_step(self) -> None:
        now_s = self.now_s
        if now_s % MINUTE_S == 0.0:
            minute = int(now_s // MINUTE_S)
            self._arrivals = self._arrivals_of(minute)
            self._next = 0
            # Named by the minute: where simulation began must not shift later numbers.
            self._rng = stream(self._seed, self.service.name, "dynamics", minute)
            self._reclaim_idle()
        conditions = conditions_at(self._faults, now_s)
        if conditions != self._conditions:
            self._change(conditions)
        self._tally = self.ledger.step(now_s)
        self._tally.sick = conditions.harmful or self.downstream.backlog_s(now_s) > 0.5

    def _arrivals_of_traffic(self, minute: int) -> list[float]:
        return arrival_times(self.service.traffic, minute, seed=self._seed, service=self.service.name)

    def _change(self, conditions: Conditions) -> None:
        before, self._conditions = self._conditions, conditions
        if conditions.throttle_per_s > 0.0 and before.throttle_per_s <= 0.0:
            self._throttle_tokens, self._throttle_at_s = conditions.throttle_per_s, self.now_s
        replanned = self.downstream.configure(
            self.now_s, servers_ratio=conditions.servers_ratio, slow_factor=conditions.slow_factor
        )
        for job in replanned:
            request = job.owner
            if isinstance(request, _Request) and request.job is job:
                request.generation += 1
                self._plan_answer(request, job)

    def _run(self, until_s: float) -> None:
        events, arrivals, count = self._events, self._arrivals, len(self._arrivals)
        while True:
            arrival_s = arrivals[self._next] if self._next < count else math.inf
            if events and events[0][0] <= arrival_s:
                at_s = events[0][0]
                if at_s >= until_s:
                    return
                _, _, request, generation = heapq.heappop(events)
                if generation == request.generation:
                    self._step(request, at_s)
            elif arrival_s < until_s:
                self._next += 1
                self._arrive(arrival_s)
            else:
                return

    def _push(self, at_s: float, request: _Request) -> None:
        self._births += 1
        heapq.heappush(self._events, (at_s, self._births, request, request.generation))

    def _arrive(self, at_s: float) -> None:
        tally = self._tally
        tally.arrived += 1
        poison = self._conditions.poison_ratio
        poisoned = poison > 0.0 and self._rng.random() < poison
        cold_s = 0.0
        if self._free:
            environment = self._take_free()
        elif len(self.environments) < self.service.environments_max:
            environment = Environment(self._new_target())
            self.environments.append(environment)
            self.peak_environments = max(self.peak_environments, len(self.environments))
            cold_s = self.service.cold_start_s
        else:
            tally.failed += 1  # no environment left: the platform refuses the request
            return
        request = _Request(environment, tally, poisoned)
        self._in_flight.add(request)
        if cold_s > 0.0:
            self._push(at_s + cold_s, request)
        else:
            self._step(request, at_s)

    def _take_free(self) -> Environment:
        free = self._free
        if self._reuse_random:
            any_of = int(self._rng.random() * len(free))
            free[any_of], free[-1] = free[-1], free[any_of]
        return free.pop()

    def _step(self, request: _Request, at_s: float) -> None:
        if request.call is None:
            self._enter(request, at_s)
        elif request.attempt_s >= 0.0:
            self._answer(request, request.call, at_s)
        else:
            self._attempt(request, request.call, at_s)

    def _enter(self, request: _Request, at_s: float) -> None:
        environment = request.environment
        if at_s >= environment.check_at_s:
            self._refresh(environment, at_s)
        entered = environment.target.begin(at_s, self._rng.random(), idempotent=True)
        if isinstance(entered, Rejected):
            request.tally.rejected += 1
            self._leave(request, at_s)
            return
        request.call = entered
        # A rate limiter lets a call in and holds it back (references/throttles.py); our client never does.
        pause_s = getattr(entered, "pause_s", 0.0)
        if pause_s > 0.0:
            self._push(at_s + pause_s, request)
            return
        self._attempt(request, entered, at_s)

    def _attempt(self, request: _Request, call: Call, at_s: float) -> None:
        conditions, rng = self._conditions, self._rng
        request.attempt_s = at_s
        request.deadline_s = at_s + call.timeout_s(at_s) * self._timeout_factor
        request.job, request.late = None, False
        request.tally.attempts += 1
        request.attempts += 1
        if conditions.black_hole_ratio > 0.0 and rng.random() < conditions.black_hole_ratio:
            self._expect(request, request.deadline_s, Outcome.TIMEOUT)
        elif conditions.throttle_per_s > 0.0 and not self._throttle_lets_in(at_s):
            self._expect(request, at_s + FAST_FAIL_S, Outcome.THROTTLE)
        elif conditions.outage_ratio > 0.0 and rng.random() < conditions.outage_ratio:
            self._expect(request, at_s + FAST_FAIL_S, Outcome.ERROR_FAST)
        else:
            work_s = rng.lognormvariate(self._work_mu, self._work_sigma)
            job = self.downstream.offer(at_s, work_s, request)
            if job is None:
                self._expect(request, request.deadline_s, Outcome.TIMEOUT)
            else:
                request.job = job
                request.outcome = self._draw_outcome(request, at_s)
                self._plan_answer(request, job)

    def _draw_outcome(self, request: _Request, at_s: float) -> Outcome:
        service = self.service
        batch = service.traffic.batch_minutes > 0 and service.traffic.is_batch(at_s)
        nominal = service.batch_error_ratio if batch else service.error_ratio
        wrong = nominal + self._conditions.error_ratio
        failed = request.poisoned or self._rng.random() < wrong
        return Outcome.ERROR_FAST if failed else Outcome.SUCCESS

    def _plan_answer(self, request: _Request, job: Job) -> None:
        """Put the answer, or the time-out if that comes first, on the agenda."""
        answered_s = job.done_s + self.service.network_s + self._conditions.latency_s
        request.late = answered_s > request.deadline_s
        self._push(min(answered_s, request.deadline_s), request)

    def _expect(self, request: _Request, at_s: float, outcome: Outcome) -> None:
        request.outcome = outcome
        self._push(at_s, request)

    def _throttle_lets_in(self, at_s: float) -> bool:
        """A token bucket one second deep."""
        limit = self._conditions.throttle_per_s
        self._throttle_tokens = min(limit, self._throttle_tokens + (at_s - self._throttle_at_s) * limit)
        self._throttle_at_s = at_s
        if self._throttle_tokens < 1.0:
            return False
        self._throttle_tokens -= 1.0
        return True

    def _answer(self, request: _Request, call: Call, at_s: float) -> None:
        outcome = Outcome.TIMEOUT if request.late else request.outcome
        latency_s = at_s - request.attempt_s
        request.job = None
        request.attempt_s = -1.0
        pause_s = call.finish(outcome, now_s=at_s, draw=self._rng.random(), latency_ms=latency_s * 1_000.0)
        if pause_s is not None:
            self._push(at_s + pause_s, request)
            return
        if outcome is Outcome.SUCCESS:
            request.tally.ok += 1
        else:
            request.tally.failed += 1
            request.tally.wasted += request.attempts
        self._leave(request, at_s)

    def _leave(self, request: _Request, at_s: float) -> None:
        self._in_flight.discard(request)
        request.environment.used_at_s = at_s
        self._free.append(request.environment)

    def _abandon(self) -> None:
        """Count what is still in flight as failed and forget it (its environments with it)."""
        lost = {id(request.environment) for request in self._in_flight}
        for request in self._in_flight:
            request.tally.failed += 1
            request.tally.wasted += request.attempts
            request.generation += 1
        self._in_flight.clear()
        self._events.clear()
        self.environments = [held for held in self.environments if id(held) not in lost]

    def _reclaim_idle(self) -> None:
        limit_s = self.now_s - ENVIRONMENT_IDLE_S
        idle = {id(held) for held in self._free if held.used_at_s < limit_s}
        if idle:
            self._free = [held for held in self._free if id(held) not in idle]
            self.environments = [held for held in self.environments if id(held) not in idle]
