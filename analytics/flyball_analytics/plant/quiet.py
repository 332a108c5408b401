"""Quiet minutes, counted instead of simulated: what the clients would have reported of a minute without news.

A healthy minute at nominal settings has no feedback in it: no queue that
remembers, no retry that changes the load. Its counts can therefore be drawn
directly, a thousand times faster. What the draws need is measured once, by
running the very same plant in health:

* requests: the minute's own Poisson count, the same number that the plant would
  have placed call by call (traffic.arrival_count);
* failed first attempts: binomial, with the error ratio of the service and the
  time-out ratio that the plant showed;
* retries: every failed attempt is repeated until attempts end, each with the same
  ratio again. This is exact while the retry budget does not bind, which in
  health (failures below a tenth of the budget) it does not;
* latencies: a run of neighbours out of the attempts that the plant recorded.

What is lost: hour-to-hour change of the latency with the load, and clusters of
time-outs. Whatever is not healthy, and every minute with a setpoint off
nominal, must be simulated.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from flyball.call import Counters, Target
from flyball_analytics.plant.draws import binomial
from flyball_analytics.plant.ledger import Tally
from flyball_analytics.plant.traffic import MINUTE_S, Traffic, arrival_count
from flyball_analytics.plant.world import Environment, Service, World

RECORD_MINUTES = 10  # of health, simulated to learn latency and time-outs
LATENCIES_PER_MINUTE = 40  # enough for a median and a tail; EMF carries at most 100 values
ATTEMPTS = 4  # 3 retries, the nominal ladder


class Health(NamedTuple):
    """What the plant showed of one service in health, at one level of traffic."""

    latencies_ms: tuple[float, ...]
    timeout_ratio: float
    error_ratio: float


class QuietService:
    """Draws the quiet minutes of one service."""

    def __init__(self, service: Service, *, seed: int) -> None:
        """Record health: a few minutes of simulation, at the mean rate and, if there is one, in the batch."""
        self.service = service
        self._seed = seed
        flat = Traffic(service.traffic.mean_per_s)
        self._nominal = _record(service, flat, service.error_ratio, seed)
        self._batch = self._nominal
        if service.traffic.batch_minutes > 0:
            busy = Traffic(service.traffic.mean_per_s * service.traffic.batch_factor)
            self._batch = _record(service, busy, service.batch_error_ratio, seed)

    def minute(self, minute: int, tally: Tally | None = None) -> Counters:
        """Return what the clients report of this minute; add what became of its requests to `tally`."""
        requests, rng = arrival_count(
            self.service.traffic, minute, seed=self._seed, service=self.service.name
        )
        health = self._batch if self.service.traffic.is_batch(minute * MINUTE_S) else self._nominal
        return _draw(requests, health, rng, tally)


def _draw(requests: int, health: Health, rng: Random, tally: Tally | None) -> Counters:
    counters = Counters()
    counters.requests = requests
    counters.timeouts = binomial(requests, health.timeout_ratio, rng)
    counters.errors_fast = binomial(requests - counters.timeouts, health.error_ratio, rng)
    failing = counters.timeouts + counters.errors_fast
    ratio = min(1.0, health.timeout_ratio + health.error_ratio)
    for _ in range(ATTEMPTS - 1):
        counters.retries += failing
        failing = binomial(failing, ratio, rng)
    counters.request_failures = failing
    pool = health.latencies_ms
    wanted = min(requests + counters.retries, LATENCIES_PER_MINUTE, len(pool))
    first = int(rng.random() * (len(pool) - wanted + 1))
    counters.latencies_ms.extend(pool[first : first + wanted])
    if tally is not None:
        tally.arrived += requests
        tally.ok += requests - failing
        tally.failed += failing
        tally.attempts += requests + counters.retries
    return counters


def _record(service: Service, traffic: Traffic, error_ratio: float, seed: int) -> Health:
    """Run the plant in health and return what it shows."""
    # Low traffic needs longer for as many samples; an hour at most.
    minutes = max(RECORD_MINUTES, min(60, round(10.0 / max(traffic.mean_per_s, 1e-9))))
    healthy = service._replace(traffic=traffic, error_ratio=error_ratio, name=f"{service.name}/health")
    world = World(
        healthy,
        faults=(),
        seed=seed,
        start_s=0.0,
        new_target=lambda: Target(healthy.name),
        refresh=_never,
    )
    latencies: list[float] = []
    timeouts = requests = 0
    for minute in range(minutes):
        world.advance((minute + 1) * MINUTE_S)
        for environment in world.environments:
            counters = environment.target.counters
            environment.target.counters = Counters()
            if minute > 0:  # the first minute's cold starts are not the rule
                latencies.extend(counters.latencies_ms)
                timeouts += counters.timeouts
                requests += counters.requests
    return Health(tuple(latencies), timeouts / requests if requests else 0.0, error_ratio)


def _never(environment: Environment, at_s: float) -> None:
    """Leave an environment with its compiled-in defaults for ever."""
    environment.check_at_s = float("inf")
