"""The same healthy call behind every guard, each library as its documentation shows it.

Only configuration that decides nothing on the healthy path is chosen here: all
breakers open after 5 failures for 30 s, all retries make at most 4 attempts
with exponential, jittered waits. A peer that has no async form, or whose
breaker does not see the failures of an `async def` (pybreaker without Tornado,
Powertools), has no async row: a number there would compare a check with none.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps
from typing import Any, NamedTuple

import aiobreaker
import backoff
import circuitbreaker
import purgatory
import pybreaker
import stamina
import tenacity
from aws_lambda_powertools.utilities.circuit_breaker import circuit_breaker
from hyx.circuitbreaker import consecutive_breaker
from hyx.retry import retry as hyx_retry

import flyball
from flyball.call import Call, Target
from flyball.environment import Runtime
from flyball.outcome import Outcome, Rejected
from flyball.records import Document
from flyball.sources import StaticCircuits, StaticDocuments
from powertools_memory import MemoryPersistence

BARE = "bare call"
FLOOR = "floor: state, clock, outcome"
CHECK = "flyball fast loop"
GUARD = "flyball guard"
POWERTOOLS = "Powertools circuit_breaker"
TENACITY = "tenacity"

ATTEMPTS = 4
FAILURES = 5
OPEN_S = 30
FAR_S = 1e9

Sync = Callable[[int], int]
Async = Callable[[int], Awaitable[int]]


class Contender(NamedTuple):
    """A guarded call, and what its guard does on the way."""

    does: str  # "breaker", "retry" or both
    call: Any  # Sync or Async


def answer(order: int) -> int:
    """Stand for the dependency: it costs nothing, so that the guard is all that is measured."""
    return order


async def answer_async(order: int) -> int:
    """The same, to be awaited."""
    return order


class FloorBreaker:
    """The least that a breaker can remember: is it open, when must that be asked again, what came back."""

    __slots__ = ("failures", "is_open", "recheck_s", "successes")

    def __init__(self) -> None:
        self.is_open = False
        self.recheck_s = FAR_S * 1e3
        self.successes = 0
        self.failures = 0


def floor_guard(function: Sync) -> Sync:
    """One clock read, one look at the state, one outcome counted: no breaker in Python does less."""
    breaker, clock = FloorBreaker(), time.time

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> int:
        if breaker.is_open or clock() >= breaker.recheck_s:
            raise RuntimeError("open")
        try:
            result = function(*args, **kwargs)
        except Exception:
            breaker.failures += 1
            raise
        breaker.successes += 1
        return result

    return guarded


def floor_guard_async(function: Async) -> Async:
    """The same, around an await."""
    breaker, clock = FloorBreaker(), time.time

    @wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> int:
        if breaker.is_open or clock() >= breaker.recheck_s:
            raise RuntimeError("open")
        try:
            result = await function(*args, **kwargs)
        except Exception:
            breaker.failures += 1
            raise
        breaker.successes += 1
        return result

    return guarded


def check_guard(function: Sync) -> Sync:
    """The fast loop in the floor's wrapper, used as guards do: circuit, throttle, budget, windows, counts."""
    target, clock = Target("payments-api"), time.time

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> int:
        now_s = clock()
        if now_s < target.quiet_until_s:
            call = None
        else:
            call = target.begin(now_s, 0.0)
            if call.__class__ is Rejected:
                raise RuntimeError("open")
        try:
            result = function(*args, **kwargs)
        except Exception:
            call = call or Call(target, None, False, -1)
            call.finish(Outcome.ERROR_FAST, now_s=now_s, draw=0.0, latency_ms=0.0)
            raise
        if call is None:
            target.note_success(now_s, 0.0)
        else:
            call.finish(Outcome.SUCCESS, now_s=now_s, draw=0.0, latency_ms=0.0)
        return result

    return guarded


def check_guard_async(function: Async) -> Async:
    """The same, around an await."""
    target, clock = Target("payments-api"), time.time

    @wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> int:
        now_s = clock()
        if now_s < target.quiet_until_s:
            call = None
        else:
            call = target.begin(now_s, 0.0)
            if call.__class__ is Rejected:
                raise RuntimeError("open")
        try:
            result = await function(*args, **kwargs)
        except Exception:
            call = call or Call(target, None, False, -1)
            call.finish(Outcome.ERROR_FAST, now_s=now_s, draw=0.0, latency_ms=0.0)
            raise
        if call is None:
            target.note_success(now_s, 0.0)
        else:
            call.finish(Outcome.SUCCESS, now_s=now_s, draw=0.0, latency_ms=0.0)
        return result

    return guarded


def flyball_handle() -> flyball.GuardedTarget:
    """A target with everything on: sources to keep fresh, a deadline, metrics written and thrown away."""
    runtime = Runtime(
        function="checkout",
        documents=StaticDocuments(Document(1, "", "", {})),
        circuits=StaticCircuits(()),
        write=lambda line: None,
    )
    runtime.deadline_s = time.time() + FAR_S
    return flyball.target("payments-api", on=(ConnectionError,), idempotent=True, within=runtime)


def _tenacity() -> Any:
    return tenacity.retry(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
        retry=tenacity.retry_if_exception_type(ConnectionError),
        reraise=True,
    )


def _stamina() -> Any:
    return stamina.retry(on=ConnectionError, attempts=ATTEMPTS, wait_max=2.0)


def _backoff() -> Any:
    return backoff.on_exception(backoff.expo, ConnectionError, max_tries=ATTEMPTS, max_value=2)


def _circuitbreaker() -> Any:
    return circuitbreaker.circuit(failure_threshold=FAILURES, recovery_timeout=OPEN_S)


def _aiobreaker() -> Any:
    return aiobreaker.CircuitBreaker(fail_max=FAILURES, timeout_duration=timedelta(seconds=OPEN_S))


def sync_contenders(handle: flyball.GuardedTarget) -> dict[str, Contender]:
    """Return the plain calls, the reference first."""
    powertools = circuit_breaker(name="payments-api", persistence_store=MemoryPersistence())
    return {
        BARE: Contender("", answer),
        FLOOR: Contender("breaker", floor_guard(answer)),
        CHECK: Contender("breaker, throttle, budget", check_guard(answer)),
        GUARD: Contender("all, live parameters, metrics", handle.guard(answer)),
        "circuitbreaker": Contender("breaker", _circuitbreaker()(answer)),
        "purgatory": Contender(
            "breaker", purgatory.SyncCircuitBreakerFactory(FAILURES, OPEN_S)("payments-api")(answer)
        ),
        "pybreaker": Contender("breaker", pybreaker.CircuitBreaker(FAILURES, OPEN_S)(answer)),
        "aiobreaker": Contender("breaker", _aiobreaker()(answer)),
        POWERTOOLS: Contender("breaker, shared", powertools(answer)),
        "backoff": Contender("retry", _backoff()(answer)),
        "stamina": Contender("retry", _stamina()(answer)),
        TENACITY: Contender("retry", _tenacity()(answer)),
    }


def async_contenders(handle: flyball.GuardedTarget) -> dict[str, Contender]:
    """Return the awaited calls, the reference first. To be made and run inside one event loop."""
    factory = purgatory.AsyncCircuitBreakerFactory(FAILURES, OPEN_S)
    hyx_breaker = consecutive_breaker(failure_threshold=FAILURES, recovery_time_secs=OPEN_S)
    return {
        BARE: Contender("", answer_async),
        FLOOR: Contender("breaker", floor_guard_async(answer_async)),
        CHECK: Contender("breaker, throttle, budget", check_guard_async(answer_async)),
        GUARD: Contender("all, live parameters, metrics", handle.guard(answer_async)),
        "circuitbreaker": Contender("breaker", _circuitbreaker()(answer_async)),
        "hyx breaker": Contender("breaker", hyx_breaker(answer_async)),
        "purgatory": Contender("breaker", factory("payments-api")(answer_async)),
        "aiobreaker": Contender("breaker", _aiobreaker()(answer_async)),
        "hyx retry": Contender("retry", hyx_retry(on=ConnectionError, attempts=ATTEMPTS)(answer_async)),
        "backoff": Contender("retry", _backoff()(answer_async)),
        "stamina": Contender("retry", _stamina()(answer_async)),
        TENACITY: Contender("retry", _tenacity()(answer_async)),
    }
