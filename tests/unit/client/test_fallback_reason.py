"""The fallback may ask why it is needed: what to answer often depends on it."""

from __future__ import annotations

import asyncio

import pytest

from flyball.errors import CircuitOpenError
from flyball.testing import force_open
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

    assert world.target().guard(fallback=cache.answer)(ask)("o-1") == "cached o-1"
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
    assert [type(error) for error in told] == [ConnectionError, CircuitOpenError]


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
