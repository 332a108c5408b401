"""The world without flyball: the same client code, told to retry three times and to do nothing else.

This is what most services ship: a fixed number of attempts with jittered
back-off. Budget 3 allows every retry; throttle and breaker are out of reach;
no configuration and no circuit is ever published. It runs in a process of its
own, so that both cores work.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from flyball.call import Target
from flyball.contract import BreakerParams, RetryParams, TargetParams, ThrottleParams
from flyball_analytics.plant import Environment, QuietService, ServiceDay
from flyball_local.demo.outcome import Arm, measure
from flyball_local.demo.scenario import Scenario

STATIC_PARAMS = TargetParams(
    retry=RetryParams(max_attempts=4, budget_ratio=3.0, budget_burst=10.0),
    throttle=ThrottleParams(cap_ratio=0.0),  # never sheds
    # More calls than any environment makes in 30 s, and no row is long enough: it never opens.
    breaker=BreakerParams(failure_ratio=1.0, min_calls=10_000, consecutive_failures=0),
)
NEVER_S = float("inf")


def run_static(scenario: Scenario, *, seed: int) -> Arm:
    """Return what becomes of the scenario without flyball."""
    days = {}
    for service in scenario.services:
        day = ServiceDay(
            service,
            faults=scenario.faults(service.name),
            seed=seed,
            start_s=scenario.start_s,
            new_target=_maker(service.name),
            refresh=_never,
            quiet=QuietService(service, seed=seed),
        )
        for _ in range(scenario.hours * 60):
            day.begin_minute(steered=False)
            day.end_minute(steered=False)
        day.finish()
        days[service.name] = day
    return measure(scenario, days)


@contextmanager
def static_arm(scenario: Scenario, *, seed: int) -> Iterator[Callable[[], Arm]]:
    """Start the static world in another process; the value waits for its result.

    A plain pipe and no pool: pools need named semaphores, which not every
    container has. The process is ended when the block is left, also by an error.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, scenario, seed), daemon=True)
    process.start()
    sender.close()

    def result() -> Arm:
        try:
            found = receiver.recv()
        except EOFError as error:
            process.join()
            raise RuntimeError(
                f"the process that simulates the world without flyball ended with code {process.exitcode} "
                "and no result; its message is above"
            ) from error
        if not isinstance(found, Arm):
            raise TypeError(f"expected an Arm from the other process, got {type(found).__name__}")
        return found

    try:
        yield result
    finally:
        receiver.close()
        if process.is_alive():
            process.terminate()
        process.join()


def _work(sender: Connection, scenario: Scenario, seed: int) -> None:
    with sender:
        sender.send(run_static(scenario, seed=seed))


def _maker(name: str) -> Callable[[], Target]:
    return lambda: Target(name, params=STATIC_PARAMS)


def _never(environment: Environment, at_s: float) -> None:
    """Nothing is published in this world, so nothing is ever read."""
    environment.check_at_s = NEVER_S
