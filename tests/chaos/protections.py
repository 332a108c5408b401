"""What keeps the promises, taken away: each experiment must then say that they are broken.

One entry per experiment: the product with one protection less, as somebody could
have written it, and the measure whose bound must notice. A verdict that cannot be
`broken` would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from flyball import breaker, calling, records, sources
from flyball_local.chaos import world

RECOVERY = "recovery"  # in place of a measure: it is too late, or never comes


class Lost(NamedTuple):
    """A protection taken away: what somebody could have written, and what must notice."""

    what: str
    without: Callable[[], AbstractContextManager[Any]]
    noticed_by: str


@contextmanager
def _bounds(section: str, **fields: tuple[float, float]) -> Iterator[None]:
    """The client clips into other bounds than its own."""
    with patch.dict(records.BOUNDS[section], fields):
        yield


def _patched(*changes: tuple[Any, str, Any]) -> Callable[[], AbstractContextManager[Any]]:
    @contextmanager
    def block() -> Iterator[None]:
        with ExitStack() as stack:
            for where, name, value in changes:
                stack.enter_context(patch.object(where, name, value))
            yield

    return block


def _no_trip(self: Any, now_s: float, draw: float, *, nothing_came: bool = False) -> None:
    """An environment that never opens by itself."""


def _no_probe(self: Any, now_s: float, draw: float) -> bool:
    """An open circuit that lets nobody find out."""
    return False


def _for_ever(self: Any, now_s: float) -> None:
    """A published circuit without an end."""
    for slot in ("_function", "_fleet"):
        item = getattr(self, slot)
        if item is not None and item.valid_until < 9e9:
            setattr(self, slot, item._replace(valid_until=9e9))
    _REFRESH(self, now_s)


_REFRESH = breaker.Breaker._refresh


def _no_pause(self: Any, jitter: float) -> bool:
    """A failed read that is repeated with the next call."""
    replaced = _READ_ONCE(self, jitter)
    if self._pause_s > sources.BACKOFF_S:
        self._interval_s = self._pause_s = 0.0
    return replaced


def _garbage_raises(self: Any, jitter: float) -> bool:
    """A content that cannot be understood becomes the call's failure."""
    replaced = _READ_ONCE(self, jitter)
    if self.refused is not None:
        raise self.refused
    return replaced


_READ_ONCE = sources.Cached._read_once


def _fresh_if_not_later(self: Any, wall_s: float, monotonic_s: float) -> bool:
    """Fresh by the wall clock alone: set back an hour, it reads nothing for an hour."""
    return self._wall_s is None or wall_s - self._wall_s >= self._interval_s


def _wall_window(self: Any) -> tuple[float, float, float]:
    if self._wall_s is None:
        return sources.STALE
    return float("-inf"), self._wall_s + self._interval_s, float("inf")


def _asks_at_once(wait_ms: float, retry_after_s: float | None) -> float | None:
    """A client that does not listen to Retry-After."""
    return wait_ms / 1_000.0


_UNENDING = _patched((breaker.Breaker, "_refresh", _for_ever), (breaker.Breaker, "_admit", _no_probe))

LOST: dict[str, Lost] = {
    "throttle-storm": Lost(
        "a 429 is answered like any other failure",
        lambda: _bounds("retry", throttle_base_ms=(1, 100)),
        "throttle_wait_s",
    ),
    "throttle-named": Lost(
        "Retry-After is not read", _patched((calling, "obliged_s", _asks_at_once)), "shortest_throttle_wait_s"
    ),
    "partial-errors": Lost(
        "nothing is repeated", lambda: _bounds("retry", max_attempts=(1, 1)), "goodput_ratio"
    ),
    "slow-answers": Lost(
        "an attempt's time is too short",
        lambda: _bounds("retry", attempt_timeout_ms=(10, 100)),
        "goodput_ratio",
    ),
    "black-hole": Lost(
        "an attempt's time has no end",
        lambda: _bounds("retry", attempt_timeout_ms=(800_000, 900_000)),
        "longest_s",
    ),
    "outage": Lost(
        "no environment opens by itself", _patched((breaker.Breaker, "trip", _no_trip)), "attempts_per_call"
    ),
    "store-outage": Lost(
        "no pause after a failed read",
        _patched((sources.Cached, "_read_once", _no_pause)),
        "reads_per_min",
    ),
    "store-throttled": Lost(
        "no pause after a failed read",
        _patched((sources.Cached, "_read_once", _no_pause)),
        "reads_per_min",
    ),
    "store-slow": Lost(
        "a read has all the time it wants", _patched((world, "DYNAMODB_TIMEOUT_S", 2.0)), "longest_s"
    ),
    "store-outage-while-open": Lost("a circuit has no end, and no probes", _UNENDING, RECOVERY),
    "cold-start-storm": Lost(
        "a first attempt has no more time than others",
        _patched((calling, "COLD_FACTOR", 1.0)),
        "goodput_ratio",
    ),
    "document-garbage": Lost(
        "a refused document fails the call",
        _patched((sources.Cached, "_read_once", _garbage_raises)),
        "defects",
    ),
    "document-absurd": Lost(
        "numbers are obeyed as they come, up to a hundred attempts",
        lambda: _bounds("retry", max_attempts=(1, 100)),
        "most_attempts",
    ),
    "controller-gone": Lost("a circuit has no end, and no probes", _UNENDING, RECOVERY),
    "clock-skew": Lost(
        "freshness by the wall clock alone",
        _patched(
            (sources.Cached, "due", _fresh_if_not_later),
            (sources.Cached, "fresh", _wall_window),
        ),
        "fewest_reads_per_min",
    ),
}
