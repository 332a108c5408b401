"""Faults on purpose: does the function do what we think when the target is slow, throttles or fails?

    with faults.inject("payments-api", error=ConnectionError, ratio=0.3, seed=1):

A fault takes the place of the guarded function inside the call path: the client
times, counts, retries and sheds it as if the target had done it. It reaches
permits, loops of attempts and obeying botocore clients as well. Off, which is
nearly always, it costs the guard one comparison with None per attempt.

For an experiment in a deployed function, the environment variable

    FLYBALL_FAULTS = {"until": "2026-01-05T12:00:00Z",
                      "faults": [{"target": "payments-api", "latency_s": 0.4, "ratio": 0.3}]}

turns faults on without a change of code. `until` is mandatory and at most a day
away: whoever forgets an experiment must not pay for it for ever. FLYBALL_OFF
turns it off as well, for then nothing is guarded. `flyball.faults_json` reads it.

What was injected is a metric of its own (`faults_injected`), so that no one
takes an experiment for an outage, and a note on each injected exception says so.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from flyball.clock import Clock
from flyball.document import shown
from flyball.environment import Runtime
from flyball.errors import SettingsError
from flyball.telemetry import _line

if TYPE_CHECKING:
    from flyball.guard import GuardedTarget

METRIC = "faults_injected"
LATENCY_MAX_S = 900.0  # a Lambda function lives no longer
NOTE = "injected by flyball.faults"
NEVER_S = float("inf")
_entering = allocate_lock()


class InjectedThrottle(Exception):  # noqa: N818 - says what the target would: 429
    """The answer 429, as an HTTP library would raise it; `headers` may ask for a pause."""

    code = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many requests")
        self.headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}


class Fault(NamedTuple):
    """What happens to attempts of a target: the answer comes late, or an error comes instead."""

    target: str
    error: type[Exception] | Exception | None = None
    latency_s: float = 0.0
    throttle: int | None = None
    timeout_s: float | None = None
    ratio: float = 1.0
    until_s: float = NEVER_S

    def raised(self) -> Exception | None:
        """The exception of one attempt, fresh unless an instance was given; None = only late."""
        if self.throttle is not None:
            error: Exception = InjectedThrottle(self.throttle)
        elif self.timeout_s is not None:
            error = TimeoutError("timed out")
        elif isinstance(self.error, Exception):
            error = self.error.with_traceback(None)
        elif self.error is not None:
            error = self.error("fault")
        else:
            return None
        if NOTE not in getattr(error, "__notes__", ()):
            error.add_note(NOTE)
        return error


class Injection:
    """A fault while it is on. `count` attempts have met it so far."""

    __slots__ = ("_draw", "_ends_s", "count", "fault")

    def __init__(self, fault: Fault, clock: Clock, draw: Callable[[], float]) -> None:
        self._draw = draw
        # On the clock that cannot be set back: an experiment must not begin anew with the wall clock.
        self._ends_s = clock.monotonic_s() + fault.until_s - clock.wall_s()
        self.fault = fault
        self.count = 0

    def over(self, clock: Clock) -> bool:
        """Whether its time is over, on either clock."""
        return clock.wall_s() >= self.fault.until_s or clock.monotonic_s() >= self._ends_s

    def hits(self) -> bool:
        """Whether the next attempt meets it."""
        return self._draw() < self.fault.ratio


class Faults:
    """All faults that are on in one Runtime; its `faults` is None when there are none."""

    __slots__ = ("_counts", "_lock", "_on", "_within")

    def __init__(self, within: Runtime) -> None:
        self._within = within
        self._lock = allocate_lock()
        self._on: tuple[Injection, ...] = ()
        self._counts: dict[str, int] = {}  # by target, since the last flush

    def add(self, injection: Injection) -> None:
        """Turn a fault on."""
        with self._lock:
            self._on = (*self._on, injection)
            self._within.faults = self

    def remove(self, injection: Injection) -> None:
        """Turn a fault off."""
        with self._lock:
            self._on = tuple(other for other in self._on if other is not injection)
            self._rest()

    def _rest(self) -> None:
        """Leave the Runtime when nothing is on and nothing is left to be reported."""
        if not self._on and not self._counts and self._within.faults is self:
            self._within.faults = None

    def around(self, function: Callable[..., Any], target: str, timeout: str) -> Callable[..., Any]:
        """Return what the next attempt is to call instead of `function`, plain or returning a coroutine.

        `timeout` names the keyword argument that tells the attempt its time; "" = it is not told.
        """
        met = self._met(target)
        return _fault(self._within, function, timeout, met) if met else function

    def around_async(self, function: Callable[..., Any], target: str, timeout: str) -> Callable[..., Any]:
        """The same for a function whose answer is awaited."""
        met = self._met(target)
        return _async_fault(self._within, function, timeout, met) if met else function

    def script(self, target: str, told_s: float | None) -> tuple[float, Exception | None]:
        """Return what the next attempt meets where nothing can stand around it: seconds to wait, then raise.

        `told_s` is how long the attempt may take; None = nobody knows.
        """
        met = self._met(target)
        return _script(met, told_s) if met else (0.0, None)

    def concern(self, target: str) -> bool:
        """Whether any fault that is on is for this target."""
        return any(injection.fault.target == target for injection in self._on)

    def _met(self, target: str) -> list[Fault]:
        """The faults that the next attempt meets; counts it, and ends those whose time is over."""
        met = []
        for injection in self._on:
            if injection.over(self._within.clock):
                self.remove(injection)
            elif injection.fault.target == target and injection.hits():
                met.append(injection)
        if met:
            with self._lock:
                self._counts[target] = self._counts.get(target, 0) + 1
                for injection in met:
                    injection.count += 1
        return [injection.fault for injection in met]

    def take_lines(self, now_s: float) -> list[str]:
        """Return the lines of metrics about attempts that were injected since the last time."""
        with self._lock:
            counts, self._counts = self._counts, {}
            self._rest()
        function = self._within.function
        return [_line({METRIC: count}, [], name, function, now_s) for name, count in counts.items()]

    def renew(self) -> None:
        """Begin anew in a copy of the process: what was counted is the original's to report."""
        self._lock = allocate_lock()
        self._counts = {}


def _script(faults: list[Fault], told_s: float | None) -> tuple[float, Exception | None]:
    """Seconds to wait, and what to raise then; None = the function's own answer, that late."""
    wait_s = sum(fault.latency_s for fault in faults)
    error = None
    for fault in faults:
        error = fault.raised()
        if error is not None:
            wait_s += fault.timeout_s or 0.0
            break
    # An attempt that was told its time gives up then.
    if told_s is not None and wait_s > told_s:
        return told_s, Fault("", timeout_s=0.0).raised()
    return wait_s, error


def _fault(
    shared: Runtime, function: Callable[..., Any], timeout: str, faults: list[Fault]
) -> Callable[..., Any]:
    def faulty(*args: Any, **kwargs: Any) -> Any:
        wait_s, error = _script(faults, kwargs.get(timeout))
        if error is not None:
            if wait_s:
                shared.sleep(wait_s)
            try:
                raise error
            finally:
                del error  # it would hold this frame
        try:
            result = function(*args, **kwargs)
        except Exception:
            shared.sleep(wait_s)
            raise
        if result.__class__ is CoroutineType:
            return _late(shared, result, wait_s)
        shared.sleep(wait_s)
        return result

    return faulty


def _async_fault(
    shared: Runtime, function: Callable[..., Any], timeout: str, faults: list[Fault]
) -> Callable[..., Any]:
    async def faulty(*args: Any, **kwargs: Any) -> Any:
        wait_s, error = _script(faults, kwargs.get(timeout))
        if error is not None:
            if wait_s:
                await _resolved(shared.async_sleep(wait_s))
            try:
                raise error
            finally:
                del error
        return await _late(shared, function(*args, **kwargs), wait_s)

    return faulty


async def _late(shared: Runtime, answer: Awaitable[Any], wait_s: float) -> Any:
    try:
        result = await answer
    except Exception:
        await _resolved(shared.async_sleep(wait_s))
        raise
    await _resolved(shared.async_sleep(wait_s))
    return result


async def _resolved(pause: Any) -> Any:
    return await pause if isinstance(pause, Awaitable) else pause


# --- turning them on ------------------------------------------------------------------


@contextmanager
def inject(
    target: str | GuardedTarget,
    *,
    error: type[Exception] | Exception | None = None,
    latency_s: float = 0.0,
    throttle: int | None = None,
    timeout_s: float | None = None,
    ratio: float = 1.0,
    seed: int | None = None,
    within: Runtime | None = None,
) -> Iterator[Injection]:
    """Let attempts of a target fail inside the `with` block; yields the Injection, which counts them.

    Faults of one target add up: latencies are summed, the first error is raised.
    Except for a mere latency, the guarded function is not called.

    Args:
        target: Name or handle.
        error: Raised instead of the answer: a kind that takes a message, or an instance.
        latency_s: Seconds by which the answer comes late, in [0, 900].
        throttle: Answer 429, with a Retry-After of so many seconds; 0 = without one.
        timeout_s: No answer: TimeoutError after so many seconds, in [0, 900], or
            as soon as the time is up that the attempt was told.
        ratio: Share of the attempts that meet the fault, in (0, 1].
        seed: Makes the choice repeatable; None = drawn from the Runtime's clock.
        within: The Runtime, if `target` is a name; default the process's.

    Raises:
        SettingsError: There is nothing to inject, more than one way to fail, or
            a number is out of its range.
    """
    from flyball.misuse import subject

    shared, name = subject(target, within)
    if not isinstance(seed, int | None):
        refuse("seed", seed, "an integer, or None")
    fault = checked(Fault(name, error, latency_s, throttle, timeout_s, ratio), "")
    injection = Injection(fault, shared.clock, draws(shared, seed))
    with _entering:
        faults = shared.faults or Faults(shared)
        faults.add(injection)
    try:
        yield injection
    finally:
        faults.remove(injection)


def checked(fault: Fault, path: str) -> Fault:
    """Return the fault, if it can happen; `path` leads to its fields in a document, "" = arguments."""

    def within(value: object, low: float, high: float) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high

    path = f"{path}." if path else ""
    if not within(fault.latency_s, 0.0, LATENCY_MAX_S):
        refuse(f"{path}latency_s", fault.latency_s, f"seconds in [0, {LATENCY_MAX_S:g}]")
    if fault.timeout_s is not None and not within(fault.timeout_s, 0.0, LATENCY_MAX_S):
        refuse(f"{path}timeout_s", fault.timeout_s, f"seconds in [0, {LATENCY_MAX_S:g}]")
    throttle: object = fault.throttle
    if throttle is not None and not (isinstance(throttle, int) and within(throttle, 0.0, LATENCY_MAX_S)):
        refuse(f"{path}throttle", throttle, f"whole seconds in [0, {LATENCY_MAX_S:g}]")
    if not within(fault.ratio, 0.0, 1.0) or fault.ratio == 0.0:
        refuse(f"{path}ratio", fault.ratio, "a share in (0, 1]")
    ways = sum(way is not None for way in (fault.error, fault.throttle, fault.timeout_s))
    if ways > 1 or (not ways and not fault.latency_s):
        refuse(f"{path}error", fault.error, "one of error, throttle and timeout_s, or a latency_s alone")
    try:
        raised: object = fault.raised()
        if not isinstance(raised, Exception | None):
            raise TypeError(f"{raised!r} is an interruption")
    except TypeError as cause:
        raise wrong(f"{path}error", fault.error, "a kind that takes a message, or an instance") from cause
    return fault


def draws(within: Runtime, seed: int | None) -> Callable[[], float]:
    """Return the source of numbers in [0, 1) that chooses attempts."""
    if seed is None:
        return lambda: within.clock.draw()  # noqa: PLW0108 - of whichever clock it has then
    from random import Random

    return Random(seed).random


def wrong(field: str, value: object, bound: str) -> SettingsError:
    """Return the error that says which value must be what instead."""
    return SettingsError(f"{field or 'fault'}: {shown(value)} must be {bound}", field=field)


def refuse(field: str, value: object, bound: str) -> NoReturn:
    """Raise it."""
    raise wrong(field, value, bound)
