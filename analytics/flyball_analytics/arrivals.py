"""When requests arrive in a scenario, and what is varied about its world.

Arrivals follow the scenario's series on the plant's ten-second grid, times the
daily swing and the hourly batch. They are drawn from streams named by seed,
service and minute, so that every algorithm meets the same requests. A `burst`
above 1 makes the counts of ten seconds that much more variable than Poisson's
(gamma-mixed, i.e. negative binomial): real callers come in crowds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flyball_analytics.plant import Service
from flyball_analytics.plant.draws import poisson, stream
from flyball_analytics.plant.faults import STEP_S
from flyball_analytics.plant.traffic import MINUTE_S
from flyball_analytics.scenarios.model import Caller
from flyball_analytics.scenarios.notation import level_at


class ModelError(NamedTuple):
    """How the world differs from what the scenario says: nobody knows their capacity exactly.

    Factors multiply; 1.0 changes nothing. `rho` replaces every utilisation,
    `period_s` and `lag_s` those of the metrics; None keeps the scenario's.
    """

    capacity_factor: float = 1.0
    timeout_factor: float = 1.0
    fleet_factor: float = 1.0  # rate, capacity and queue together
    burst: float = 1.0  # variance over mean of the arrivals in ten seconds
    reuse_random: bool = False  # any free environment takes the next request, not the last used
    rho: float | None = None
    period_s: float | None = None
    lag_s: float | None = None


EXACT = ModelError()


def varied(service: Service, model: ModelError) -> Service:
    """Return the service as it is under a model error; servers stay whole, the capacity exact.

    >>> from flyball_analytics.plant import Traffic
    >>> service = Service("api", Traffic(12.0), servers=4, work_mean_s=0.2)
    >>> half = varied(service, ModelError(capacity_factor=0.5))
    >>> half.servers, half.capacity_per_s
    (2, 10.0)
    """
    traffic = service.traffic._replace(mean_per_s=service.traffic.mean_per_s * model.fleet_factor)
    capacity_per_s = service.capacity_per_s * model.fleet_factor * model.capacity_factor
    if model.rho is not None and traffic.mean_per_s > 0.0:
        capacity_per_s = traffic.mean_per_s / model.rho
    servers = max(1, round(capacity_per_s * service.work_mean_s))
    return service._replace(
        traffic=traffic,
        servers=servers,
        work_mean_s=servers / capacity_per_s,
        queue_max=max(1, round(service.queue_max * capacity_per_s / service.capacity_per_s)),
        environments_max=max(1, round(service.environments_max * model.fleet_factor)),
    )


def arrivals_of(
    caller: Caller, *, start_s: float, seed: int, model: ModelError
) -> Callable[[int], list[float]]:
    """Return the function that gives the sorted arrival times of a minute, epoch seconds.

    Args:
        caller: Whose requests.
        start_s: Epoch seconds at which the scenario, and its load series, begins.
        seed: Names the streams.
        model: Burstiness and fleet size.
    """
    traffic = caller.service.traffic
    shape = traffic._replace(mean_per_s=1.0)
    final = caller.load[-1].last
    slots = round(MINUTE_S / STEP_S)

    def minute_arrivals(minute: int) -> list[float]:
        rng = stream(seed, caller.name, "arrivals", minute)
        draw = rng.random
        times: list[float] = []
        for slot in range(slots):
            slot_s = minute * MINUTE_S + slot * STEP_S
            middle_s = slot_s + STEP_S / 2.0
            level = level_at(caller.load, max(0.0, middle_s - start_s), after=final)
            mean = level * shape.rate_per_s(middle_s) * STEP_S * model.fleet_factor
            if model.burst > 1.0 and mean > 0.0:
                spread = (model.burst - 1.0) / mean
                mean *= rng.gammavariate(1.0 / spread, spread)
            times += sorted(slot_s + STEP_S * draw() for _ in range(poisson(mean, rng)))
        return times

    return minute_arrivals
