"""For the tests of those who use flyball: force a circuit, skip the waiting. Everything is undone on exit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flyball.environment import Runtime
from flyball.guard import runtime
from flyball.records import CircuitState


@contextmanager
def force_open(name: str, *, within: Runtime | None = None) -> Iterator[None]:
    """Refuse every call of the target inside the `with` block."""
    with _held(name, CircuitState.FORCED_OPEN, within):
        yield


@contextmanager
def force_closed(name: str, *, within: Runtime | None = None) -> Iterator[None]:
    """Let every call of the target pass inside the `with` block, whatever was published or has failed."""
    with _held(name, CircuitState.FORCED_CLOSED, within):
        yield


@contextmanager
def no_sleep(*, within: Runtime | None = None) -> Iterator[list[float]]:
    """Retry at once inside the `with` block; yields the list of the waits (seconds) that were skipped."""
    shared = runtime() if within is None else within
    waits: list[float] = []
    before = shared.sleep, shared.async_sleep
    shared.sleep = shared.async_sleep = waits.append
    try:
        yield waits
    finally:
        shared.sleep, shared.async_sleep = before


@contextmanager
def _held(name: str, state: CircuitState, within: Runtime | None) -> Iterator[None]:
    target = (runtime() if within is None else within).target(name)
    before = target.hold(state)
    try:
        yield
    finally:
        target.hold(before)
