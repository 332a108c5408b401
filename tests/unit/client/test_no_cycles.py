"""What flyball raises must not hold the frames it left: their places would wait for the collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from flyball.contract import DEFAULT_PARAMS, BulkheadParams
from flyball.errors import BulkheadFull
from flyball.faults import inject
from unit.client.support import World


class Held:
    """Something that a caller's frame holds."""


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def full(world: World):
    """A target whose only place is taken, and the permit that took it."""
    handle = world.target()
    handle.target.apply_params(DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=1)), 1)
    return handle, handle.acquire()


def by_guard(handle) -> None:
    handle.guard(lambda: None)()


def by_permit(handle) -> None:
    handle.acquire()


def by_attempts(handle) -> None:
    for attempt in handle.attempts():
        with attempt:
            pass


@pytest.mark.parametrize("form", [by_guard, by_permit, by_attempts])
def test_a_refusal_frees_its_frames_once_it_is_caught(form) -> None:
    """K7: the frame that was refused may hold the place of an outer call."""
    handle, taken = full(World())

    def outer() -> weakref.ref:
        mine = Held()
        gone.append(weakref.ref(mine))
        form(handle)

    gone: list[weakref.ref] = []
    with pytest.raises(BulkheadFull):
        outer()
    assert gone[0]() is None
    taken.ignore()


@pytest.mark.parametrize("form", ["guard", "permit"])
def test_so_does_an_asynchronous_one(form: str) -> None:
    """The same for coroutines, whose frames hold more."""
    handle, taken = full(World())

    async def fine() -> None:
        return None

    async def outer() -> None:
        mine = Held()
        gone.append(weakref.ref(mine))
        if form == "guard":
            await handle.guard(fine)()
        else:
            async with handle.permit():
                pass

    async def caller() -> None:
        with pytest.raises(BulkheadFull):
            await outer()

    gone: list[weakref.ref] = []
    asyncio.run(caller())
    assert gone[0]() is None
    taken.ignore()


def test_a_fault_on_purpose_frees_its_frames_too() -> None:
    """Chaos experiments are made with the same code that they examine."""
    world = World()
    handle = world.target()

    def outer() -> None:
        mine = Held()
        gone.append(weakref.ref(mine))
        with handle.permit():
            pass

    gone: list[weakref.ref] = []
    with inject(handle, error=ConnectionError), pytest.raises(ConnectionError):
        outer()
    assert gone[0]() is None
