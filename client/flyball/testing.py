"""For the tests of those who use flyball: force a circuit, rule the clock, see what was done. Undone on exit.

Each aid is a context manager, and thereby also a pytest fixture:

    @pytest.fixture
    def clock():
        with controlled_clock(start=0.0) as clock:
            yield clock

They act on a Runtime, so all its threads and tasks see the same. They may be
nested, and may even overlap in any order: whoever leaves takes away only what he
brought, and the last one out leaves what the first one met. What calls taught a
target inside a block (windows, budget, circuit) is forgotten with the block;
what the metrics counted is not: what was done, was done.

Never for production: faults for experiments in a deployed function are in
`flyball.faults`.
"""

from __future__ import annotations

import json
from _thread import allocate_lock
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count

from flyball.call import Target
from flyball.capture import Attempt, Captured, CapturedCall, CapturedRejection, capture
from flyball.document import decode_document
from flyball.environment import Runtime
from flyball.errors import SettingsError
from flyball.guard import GuardedTarget, runtime
from flyball.layers import layer
from flyball.misuse import number, refuse, subject
from flyball.records import BOUNDS, FLEET, SCHEMA_VERSION, SECTIONS, Circuit, CircuitState, TargetParams

__all__ = [
    "Attempt",
    "Captured",
    "CapturedCall",
    "CapturedRejection",
    "ControlledClock",
    "capture",
    "controlled_clock",
    "force_closed",
    "force_open",
    "no_sleep",
    "published",
    "with_params",
]

# Revisions and versions that no publisher reaches: what a test says, holds against whatever is published.
_serial = count(2**60)
FOREVER_S = 1e11  # 3,000 years, either way


@contextmanager
def _target_layer(shared: Runtime, target: Target, put_on: Callable[[], object]) -> Iterator[None]:
    try:
        with layer(target, put_on):
            yield
    finally:
        target._disturb()
        # What was published meanwhile was not obeyed, or was forgotten with the block.
        shared._apply_document(target)
        published = None if shared._circuits is None else shared._circuits.value
        for circuit in published or ():
            target.apply_circuit(circuit)


def _found(target: str | GuardedTarget, within: Runtime | None) -> tuple[Runtime, Target]:
    shared, name = subject(target, within)
    return shared, shared.target(name)


# --- circuits and parameters ----------------------------------------------------------


@contextmanager
def force_open(target: str | GuardedTarget, *, within: Runtime | None = None) -> Iterator[None]:
    """Refuse every call of the target inside the `with` block."""
    shared, found = _found(target, within)
    with _target_layer(shared, found, lambda: found.hold(CircuitState.FORCED_OPEN)):
        yield


@contextmanager
def force_closed(target: str | GuardedTarget, *, within: Runtime | None = None) -> Iterator[None]:
    """Let every call of the target pass inside the `with` block, whatever was published or has failed."""
    shared, found = _found(target, within)
    with _target_layer(shared, found, lambda: found.hold(CircuitState.FORCED_CLOSED)):
        yield


@contextmanager
def with_params(
    target: str | GuardedTarget, *, within: Runtime | None = None, **sections: Mapping[str, float]
) -> Iterator[TargetParams]:
    """Obey other parameters inside the `with` block, whatever documents arrive; yields all of them.

        with with_params("payments-api", retry={"max_attempts": 1}, breaker={"open_s": 1.0}):

    What is not named stays as it is. Overrides of a published circuit still
    count: they are not parameters.

    Raises:
        ContractError: An unknown name, or a number that no document may carry.
    """
    shared, found = _found(target, within)
    document = {
        "schema": SCHEMA_VERSION,
        "revision": 0,
        "generated_at": "",
        "policy_hash": "",
        "targets": {found.name: sections},
        "defaults": {section: getattr(found.params, section)._asdict() for section in SECTIONS},
    }
    try:
        text = json.dumps(document)
    except (TypeError, ValueError) as cause:  # an object, a set
        refuse("sections", sections, f"numbers by section and name, as retry={{'max_attempts': 1}}: {cause}")
    params = decode_document(text.encode(), strict=True).targets[found.name]
    with _target_layer(shared, found, lambda: found.apply_params(params, next(_serial))):
        yield params


@contextmanager
def published(
    target: str | GuardedTarget,
    state: CircuitState | str,
    *,
    within: Runtime | None = None,
    lasts_s: float = 90.0,
    probe_ratio: float = 0.1,
    close_after: int | None = None,
    budget_ratio: float | None = None,
    max_attempts: int | None = None,
) -> Iterator[Circuit]:
    """Let the target find a published circuit inside the `with` block, and no other; yields it.

    Unlike `force_open` this is what the fleet's circuit really does: it expires,
    lets probes through, and is closed here by good ones.

    Args:
        target: Name or handle.
        state: A CircuitState or its name, as "half_open".
        within: The Runtime, if `target` is a name; default the process's.
        lasts_s: Seconds until `valid_until`, on the Runtime's clock.
        probe_ratio: Share of calls let through, in [0.01, 1].
        close_after: Good probes in a row that close it; None = as parameters say.
        budget_ratio: Override of the retry budget; None = as parameters say.
        max_attempts: Override of the attempts; None = as parameters say.

    Raises:
        SettingsError: There is no such state, or a number is none that a client would obey.
    """
    shared, found = _found(target, within)
    state = _state(state)
    number("lasts_s", lasts_s, -FOREVER_S, FOREVER_S, "seconds from now")
    _within("breaker", probe_ratio=probe_ratio, close_after=close_after)
    _within("retry", budget_ratio=budget_ratio, max_attempts=max_attempts)
    now_s = shared.clock.wall_s()
    circuit = Circuit(
        target=found.name,
        function=FLEET,
        state=state,
        changed_at=now_s,
        error_count=0,
        probe_ratio=probe_ratio,
        version=0,
        write_id="test",
        stamp=now_s,
        valid_until=now_s + lasts_s,
        reason="published by a test",
        budget_ratio=budget_ratio,
        max_attempts=max_attempts,
        close_after=close_after,
    )

    def publish() -> None:
        for function in {FLEET, found.function or FLEET}:
            found.apply_circuit(circuit._replace(function=function, version=next(_serial)))

    with _target_layer(shared, found, publish):
        yield circuit


def _state(state: object) -> CircuitState:
    names = [known.name.lower() for known in CircuitState]
    if isinstance(state, str) and state in names:
        return CircuitState[state.upper()]
    if not isinstance(state, CircuitState):
        refuse("state", state, f"one of {', '.join(names)}, or a CircuitState")
    return state


def _within(section: str, **numbers: float | None) -> None:
    for field, value in numbers.items():
        low, high = BOUNDS[section][field]
        if value is not None:
            number(field, value, low, high, f"a number in [{low:g}, {high:g}]")


# --- time -----------------------------------------------------------------------------


class _Turn:
    """Awaited, lets every other task that can run do so once; asyncio is not imported for it."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


class ControlledClock:
    """A clock that moves when told, and by sleeping. `sleeps` lists the waits, in seconds."""

    __slots__ = ("_asleep", "_draw", "_lock", "_monotonic_s", "_wall_s", "sleeps")

    def __init__(self, *, wall_s: float, monotonic_s: float, draw: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s
        self._draw = draw
        self._lock = allocate_lock()
        self._asleep: list[float] = []  # when tasks want to be woken, on the monotonic clock
        self.sleeps: list[float] = []

    def wall_s(self) -> float:
        """Return epoch seconds."""
        return self._wall_s

    def monotonic_s(self) -> float:
        """Return seconds on the clock that never goes back."""
        return self._monotonic_s

    def draw(self) -> float:
        """Return a number in [0, 1)."""
        return self._draw()

    def advance(self, seconds: float) -> None:
        """Let time pass, >= 0, on both clocks."""
        self._move(seconds, seconds)

    def freeze(self, seconds: float) -> None:
        """Let time pass, >= 0, while the environment is frozen: the monotonic clock stands still."""
        self._move(seconds, 0.0)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back, as a time server does; no time passes."""
        with self._lock:
            self._wall_s += seconds

    def sleep(self, seconds: float) -> None:
        """Pass the time that somebody wants to sleep. Threads sleep one after the other."""
        self.sleeps.append(seconds)
        self._move(seconds, seconds)

    async def async_sleep(self, seconds: float) -> None:
        """Pass the time that a task wants to sleep. Waits of tasks overlap; the shortest ends first."""
        self.sleeps.append(seconds)
        wake_s = self._monotonic_s + seconds
        self._asleep.append(wake_s)
        try:
            await _Turn()
            while min(self._asleep) < wake_s:
                await _Turn()
            left_s = max(0.0, wake_s - self._monotonic_s)
            self._move(left_s, left_s)
        finally:
            self._asleep.remove(wake_s)

    def _move(self, wall_s: float, monotonic_s: float) -> None:
        number("seconds", wall_s, -FOREVER_S, FOREVER_S, "a number of seconds")
        if wall_s < 0.0:
            raise SettingsError(f"{wall_s!r} s: time does not run backwards; use step()", field="seconds")
        with self._lock:
            self._wall_s += wall_s
            self._monotonic_s += monotonic_s


@contextmanager
def controlled_clock(
    start: float | None = None, *, draw: float | None = None, within: Runtime | None = None
) -> Iterator[ControlledClock]:
    """Rule the time of a Runtime inside the `with` block; waiting between attempts only moves the clock.

    Args:
        start: Epoch seconds to begin at; None = where the clock of before stands.
        draw: The answer to every draw of jitter and probing, in [0, 1); None = as before.
        within: The Runtime; default the process's.
    """
    shared = runtime() if within is None else within
    if start is not None:
        number("start", start, -FOREVER_S, FOREVER_S, "epoch seconds, or None")
    if draw is not None:
        number("draw", draw, 0.0, 1.0 - 2.0**-53, "a number in [0, 1), or None")
    before = shared.clock
    clock = ControlledClock(
        wall_s=before.wall_s() if start is None else start,
        monotonic_s=before.monotonic_s(),
        draw=before.draw if draw is None else lambda: draw,
    )

    def put_on() -> None:
        shared.clock, shared.sleep, shared.async_sleep = clock, clock.sleep, clock.async_sleep

    with ExitStack() as stack:
        for target in list(shared.targets.values()):
            stack.enter_context(_target_layer(shared, target, lambda: None))
        stack.enter_context(layer(shared, put_on))
        yield clock


@contextmanager
def no_sleep(*, within: Runtime | None = None) -> Iterator[list[float]]:
    """Retry at once inside the `with` block; yields the list of the waits (seconds) that were skipped."""
    shared = runtime() if within is None else within
    waits: list[float] = []

    def put_on() -> None:
        shared.sleep = shared.async_sleep = waits.append

    with layer(shared, put_on):
        yield waits
