"""Results that say that the call failed: repeated, counted and kept as failures, and returned as they are."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from flyball.classify import Classified
from flyball.errors import BudgetExhausted, SettingsError
from flyball.explain import explain
from flyball.outcome import Outcome
from flyball.results import BadResultError, by_status
from unit.client.letters_world import Desk
from unit.client.support import PaymentError, World

FORMS = ["plain", "async", "returns a coroutine"]
EVERY = pytest.mark.parametrize("form", FORMS)


def reply(status: int, **headers: str) -> requests.Response:
    """A response of the installed library, as it comes without raise_for_status()."""
    made = requests.Response()
    made.status_code = status
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


DOWN, FINE, BUSY, NOT_THERE = reply(503), reply(200), reply(429, Retry_After="7"), reply(404)


def call(form: str, world: World, *script: Any, within: Any = None, **options: Any) -> Any:
    """One call of a guarded function that answers by the script, in one of its forms."""
    handle = world.target(on=()) if within is None else within
    answer = world.function(*script)
    world.runtime.async_sleep = world.clock.sleep

    def plain(order: int) -> Any:
        return answer(order)

    async def asynchronous(order: int) -> Any:
        return answer(order)

    def returning(order: int) -> Any:
        return asynchronous(order)

    made = dict(zip(FORMS, (plain, asynchronous, returning), strict=True))
    guarded = handle.guard(**{"verdict": by_status, **options})(made[form])
    result = guarded(7)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


@EVERY
def test_a_bad_result_is_repeated_and_the_good_one_returned(form):
    """Half of 100 ms, as after an exception; one request, one retry."""
    world = World()
    assert call(form, world, DOWN, FINE) is FINE
    assert world.clock.sleeps == [0.05]
    assert (world.counters.requests, world.counters.retries, world.counters.errors_fast) == (1, 1, 1)
    assert world.counters.request_failures == 0


@EVERY
def test_the_last_bad_result_is_returned_itself(form):
    """Nothing was raised, so nothing is (K8): the very object, counted as a failure."""
    world = World()
    assert call(form, world, DOWN, last := reply(500)) is last
    assert world.counters.request_failures == 1


@EVERY
def test_a_fallback_answers_for_it_and_is_told(form):
    """The budget ended it; the result is in the cause."""
    told: list[Exception] = []

    def instead(order: int, *, error: Exception) -> str:
        told.append(error)
        return f"cached {order}"

    assert call(form, World(), DOWN, DOWN, fallback=instead) == "cached 7"
    assert isinstance(told[0], BudgetExhausted)
    assert isinstance(told[0].__cause__, BadResultError)
    assert told[0].__cause__.result is DOWN


@EVERY
def test_a_throttled_answer_waits_for_its_pause(form):
    """7 s and half of the longer base of 1 s."""
    world = World()
    assert call(form, world, BUSY, FINE) is FINE
    assert world.clock.sleeps == [7.5]
    assert world.counters.throttles == 1


@EVERY
def test_the_callers_own_fault_is_returned_at_once(form):
    """404 is an answer: neither retried nor held against the target, and no fallback takes its place."""
    world = World()
    assert call(form, world, NOT_THERE, fallback="cached") is NOT_THERE
    assert world.counters.errors_permanent == 1
    assert world.counters.request_failures == 0


@EVERY
def test_exceptions_pass_as_ever(form):
    """The verdict is about results."""
    error = PaymentError("down")
    world = World()
    with pytest.raises(PaymentError) as caught:
        call(form, world, error, within=world.target(idempotent=False))
    assert caught.value is error


@EVERY
def test_a_dead_letter_says_what_the_verdict_was(form):
    """Written for a bad result as for an error."""
    desk = Desk()
    assert call(form, World(), DOWN, DOWN, dead_letter=desk) is DOWN
    assert [(one.error, one.error_text, one.payload) for one in desk.letters] == [
        ("BadResultError", "error_fast", 7)
    ]


@EVERY
def test_switched_off_every_result_is_returned(form):
    """As the function was written."""
    world = World(off=True)
    assert call(form, world, DOWN) is DOWN
    assert len(world.calls) == 1


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (None, None),
        (Outcome.SUCCESS, None),
        (Outcome.TIMEOUT, "timeouts"),
        (Classified(Outcome.THROTTLE, 1.0), "throttles"),
        (Outcome.ERROR_FAST, "errors_fast"),
        (Outcome.PERMANENT, "errors_permanent"),
    ],
)
def test_a_verdict_is_an_outcome_or_none(verdict, outcome):
    """Counted by its kind."""
    world = World()
    result = {"status": "?"}
    handle = world.target(idempotent=False)
    assert handle.guard(verdict=lambda _: verdict)(lambda: result)() is result
    counted = {name: getattr(world.counters, name) for name in ("timeouts", "throttles", "errors_fast")}
    counted["errors_permanent"] = world.counters.errors_permanent
    assert {name for name, count in counted.items() if count} == ({outcome} if outcome else set())
    assert world.counters.requests == 1


@pytest.mark.parametrize("verdict", [None, Outcome.SUCCESS])
def test_no_fallback_answers_for_a_good_result(verdict):
    """Either word means that it is good."""
    guarded = World().target().guard(verdict=lambda _: verdict, fallback="cached")(lambda: "fresh")
    assert guarded() == "fresh"


def test_a_verdict_that_is_neither_is_the_callers_own_fault():
    """True might mean either; it is asked for a word."""
    world = World()
    with pytest.raises(SettingsError, match="verdict returned True: it must be None, an Outcome"):
        world.target().guard(verdict=lambda _: True)(lambda: 1)()
    assert world.counters.errors_permanent == 1


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (reply(200), None),
        (reply(302), None),
        (reply(404), Outcome.PERMANENT),
        (reply(408), Outcome.TIMEOUT),
        (reply(504), Outcome.TIMEOUT),
        (reply(429), Outcome.THROTTLE),
        (reply(500), Outcome.ERROR_FAST),
        (SimpleNamespace(status=503, headers={}), Outcome.ERROR_FAST),
        (SimpleNamespace(status=503), Outcome.ERROR_FAST),
        (SimpleNamespace(status="ok"), None),
        ({"any": "thing"}, None),
        (None, None),
    ],
)
def test_by_status_knows_the_usual_responses(response, outcome):
    """requests and httpx say status_code, aiohttp and urllib status."""
    found = by_status(response)
    assert (found and found.outcome) == outcome


def test_what_is_guarded_with_a_verdict_can_be_explained():
    """The wrapper around the wrapper hides nothing."""
    world = World()
    guarded = world.target(idempotent=False).guard(verdict=by_status, timeout="timeout_s")(
        lambda timeout_s: timeout_s
    )
    assert explain(guarded).max_attempts == 1
    assert guarded.__name__ == "<lambda>"
