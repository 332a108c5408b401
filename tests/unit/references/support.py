"""Short ways to drive a reference client by hand and in the plant, for the tests beside this file."""

from __future__ import annotations

import math

from flyball.contract import TargetParams
from flyball.outcome import Outcome, Rejected, RejectReason
from flyball_analytics.plant import Environment, Fault, Service, Traffic, World
from flyball_analytics.plant.day import drain_counters
from flyball_analytics.references import Reference, plant_targets
from flyball_analytics.references.base import ReferenceCall, ReferenceTarget

OK, TIMEOUT, THROTTLE, ERROR = Outcome.SUCCESS, Outcome.TIMEOUT, Outcome.THROTTLE, Outcome.ERROR_FAST
# From a minute's end to the parameters in force: metric lag, deployment, mean wait of a poll.
DEAD_TIME_S = 52.0


def begun(target: ReferenceTarget, at_s: float = 0.0, draw: float = 0.999999) -> ReferenceCall:
    """Begin a call that must be let in; the draw is one that chance refuses last."""
    call = target.begin(at_s, draw, idempotent=True)
    assert isinstance(call, ReferenceCall)
    return call


def refused(target: ReferenceTarget, at_s: float = 0.0, draw: float = 0.999999) -> RejectReason:
    """Begin a call that must be refused, and return why."""
    found = target.begin(at_s, draw, idempotent=True)
    assert isinstance(found, Rejected)
    return found.reason


def end(call: ReferenceCall, outcome: Outcome, at_s: float = 0.0, draw: float = 0.5) -> float | None:
    """End an attempt; return the wait before a retry, None if there is none."""
    return call.finish(outcome, now_s=at_s, draw=draw, latency_ms=10.0)


def one(target: ReferenceTarget, outcome: Outcome, at_s: float = 0.0) -> int:
    """Make a call whose every attempt ends alike, and return how many attempts it took."""
    call = begun(target, at_s)
    while end(call, outcome, at_s) is not None:
        pass
    return call.attempt


def run(
    reference: Reference,
    *faults: Fault,
    minutes: int,
    rate: float = 14.0,
    seed: int = 1,
    error_ratio: float = 0.003,
) -> World:
    """Run a reference in the plant, capacity 20 per second; a controller acts after a dead time."""
    controller = reference.controller() if reference.controller is not None else None
    published: list[tuple[float, TargetParams]] = []

    def refresh(environment: Environment, at_s: float) -> None:
        if controller is None:
            environment.check_at_s = math.inf
            return
        environment.check_at_s = at_s + 1.0
        due = [n for n, (from_s, _) in enumerate(published) if from_s <= at_s]
        if due:
            apply = environment.target.apply_params
            apply(published[due[-1]][1], due[-1])

    world = World(
        Service("api", Traffic(rate), work_mean_s=0.2, error_ratio=error_ratio),
        faults=faults,
        seed=seed,
        start_s=0.0,
        new_target=plant_targets(reference),
        refresh=refresh,
    )
    for minute in range(1, minutes + 1):
        world.advance(minute * 60.0)
        if controller is not None:
            params = controller(drain_counters(world.environments))
            if not published or params != published[-1][1]:
                published.append((minute * 60.0 + DEAD_TIME_S, params))
    world.settle()
    return world
