"""The fallback may ask why it is needed: what to answer often depends on it."""

from __future__ import annotations

import asyncio

import pytest

from flyball.errors import BudgetExhausted, CircuitOpenError, DeadlineExceeded
from flyball.testing import force_open, with_params
from unit.client.support import World


class Cache:
    """A fallback that is a method, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Exception] = []

    def answer(self, order: str, *, error: Exception) -> str:
        self.told.append(error)
        return f"cached {order}"


def test_a_rejection_reaches_the_fallback_with_its_waiting_time() -> None:
    """The circuit is open: the fallback can say when to come back."""
    world, cache = World(), Cache()
    payments = world.target()
    quote = payments.guard(fallback=cache.answer)(lambda order: order)
    with force_open(payments):
        assert quote("o-1") == "cached o-1"
    assert isinstance(cache.told[0], CircuitOpenError)
    assert cache.told[0].retry_after_s >= 0.0


def test_the_last_error_reaches_the_fallback_itself() -> None:
    """Not a copy, not a text: the very object, with its traceback."""
    world, cache = World(), Cache()
    lost = ConnectionError("lost")

    def ask(order: str) -> str:
        raise lost

    assert world.target(idempotent=False).guard(fallback=cache.answer)(ask)("o-1") == "cached o-1"
    assert cache.told == [lost]
    assert cache.told[0] is lost


def test_an_async_fallback_is_told_too() -> None:
    """Both ways into it."""
    world = World()
    payments = world.target()
    told: list[Exception] = []

    async def instead(order: str, *, error: Exception) -> str:
        told.append(error)
        return order

    @payments.guard(fallback=instead)
    async def ask(order: str) -> str:
        raise ConnectionError(order)

    assert asyncio.run(ask("o-1")) == "o-1"
    with force_open(payments):
        assert asyncio.run(ask("o-2")) == "o-2"
    assert [type(error) for error in told] == [BudgetExhausted, CircuitOpenError]
    assert isinstance(told[0].__cause__, ConnectionError)


@pytest.mark.parametrize(
    "fallback",
    [lambda order: order, lambda order, error="mine": error, str, "{}".format],
    ids=["plain", "positional", "builtin", "method"],
)
def test_a_fallback_that_does_not_ask_is_called_as_before(fallback) -> None:
    """A positional parameter of that name is the caller's own; builtins have no names to look at."""
    world = World()
    payments = world.target()
    quote = payments.guard(fallback=fallback)(lambda order: order)
    with force_open(payments):
        assert quote("o-1") == fallback("o-1")


@pytest.mark.parametrize(
    ("retry", "deadline_s", "kind", "text"),
    [
        ({"budget_ratio": 0.0}, None, BudgetExhausted, "its retry budget is exhausted"),
        ({"budget_ratio": 1.0}, 1_000.015, DeadlineExceeded, "no time is left before the deadline"),
        ({"max_attempts": 1}, None, ConnectionError, "lost"),
    ],
)
def test_the_brake_that_ended_the_call_is_the_reason(retry, deadline_s, kind, text) -> None:
    """With the last error as its cause; where all attempts were made, that error is reason enough."""
    world, cache = World(), Cache()
    payments = world.target()
    world.runtime.deadline_s = deadline_s
    lost = ConnectionError("lost")

    def ask(order: str) -> str:
        world.clock.pass_s(0.01)
        raise lost

    with with_params(payments, retry=retry):
        assert payments.guard(fallback=cache.answer)(ask)("o-1") == "cached o-1"
    (told,) = cache.told
    assert type(told) is kind
    assert text in str(told)
    assert lost in (told, told.__cause__)
    assert getattr(told, "retry_after_s", 0.0) == 0.0


@pytest.mark.parametrize("answer", [0, "", (), {"price": None}])
def test_a_fallback_may_be_the_answer_itself(answer) -> None:
    """A value that is false is a value; the same object each time."""
    payments = World().target()
    ask = payments.guard(fallback=answer)(lambda order: order)
    with force_open(payments):
        assert ask("o-1") is answer


def test_no_fallback_is_none() -> None:
    """Settings may say None; to answer None takes a function, so that nobody does it by mistake."""
    payments = World().target()
    with force_open(payments):
        with pytest.raises(CircuitOpenError):
            payments.guard(fallback=None)(lambda: 1)()
        assert payments.guard(fallback=lambda: None)(lambda: 1)() is None
