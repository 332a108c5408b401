"""The shell around the fast loop: decorators that make the attempts and do the waiting.

All decisions are taken by `flyball.call`; here are the clock reads, the
exceptions, and the only sleep of the client. The guarded function's result or
exception object passes through untouched (K8); only a call that was not made
raises something of ours.

    payments = flyball.target("payments-api", on=(PaymentError,), idempotent=True)

    @payments.guard(fallback=from_cache, timeout="timeout_s")
    def charge(order, timeout_s): ...
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from types import CoroutineType, TracebackType
from typing import Any, NoReturn, TypeVar, overload

from flyball.call import Call, Target
from flyball.classify import classify
from flyball.environment import DEADLINE_MARGIN_S, Runtime, from_environment
from flyball.errors import CircuitOpenError, DeadlineExceeded, SettingsError, ShedError
from flyball.outcome import Outcome, Rejected, RejectReason
from flyball.records import TARGET_NAME_PATTERN

F = TypeVar("F", bound=Callable[..., Any])
Kinds = tuple[type[BaseException], ...]

_SUCCESS = Outcome.SUCCESS
# Of code objects; the inspect module would be a dozen imports.
_CO_COROUTINE = 0x80
_CO_GENERATOR = 0x20 | 0x200  # plain and asynchronous
_REJECTIONS = {
    RejectReason.CIRCUIT_OPEN: (CircuitOpenError, "its circuit is open"),
    RejectReason.SHED: (ShedError, "it times out, and this call was shed"),
    RejectReason.DEADLINE: (DeadlineExceeded, "no time is left before the deadline"),
}

_runtime: Runtime | None = None


def runtime() -> Runtime:
    """Return the process's Runtime, made from the environment variables at first use."""
    global _runtime  # noqa: PLW0603 - one environment, one runtime
    if _runtime is None:
        _runtime = from_environment()
    return _runtime


def configure(new: Runtime | None) -> Runtime | None:
    """Make `new` the process's Runtime and return the one before; None starts anew from the environment.

    Targets belong to the Runtime under which they were declared.
    """
    global _runtime
    before, _runtime = _runtime, new
    return before


def target(
    name: str,
    *,
    on: Kinds | type[BaseException] = (),
    ignore: Kinds | type[BaseException] = (),
    idempotent: bool = False,
    within: Runtime | None = None,
) -> GuardedTarget:
    """Return the handle of a dependency, to decorate the functions that call it.

    Args:
        name: The same name as in the policy; printable ASCII, 1 to 255 characters.
        on: Exceptions that mean that the target failed, beside those recognised
            by themselves (time-outs, refused connections, 429 and 5xx answers).
        ignore: Exceptions that say nothing about the target.
        idempotent: Whether its calls may be repeated. False: one attempt, ever.
        within: The Runtime to belong to; default the process's.

    Raises:
        SettingsError: `name` cannot be a metric dimension, or an environment
            variable cannot be obeyed.
    """
    if not re.match(TARGET_NAME_PATTERN, name):
        raise SettingsError(f"name={name!r} must be 1 to 255 printable ASCII characters", field="name")
    shared = runtime() if within is None else within
    return GuardedTarget(shared, shared.target(name), _kinds(on), _kinds(ignore), idempotent)


def _kinds(kinds: Kinds | type[BaseException]) -> Kinds:
    return kinds if isinstance(kinds, tuple) else (kinds,)


class GuardedTarget:
    """A dependency and how its failures are recognised. Made by `flyball.target`."""

    __slots__ = ("_ignore", "_on", "_runtime", "idempotent", "target")

    def __init__(self, shared: Runtime, target: Target, on: Kinds, ignore: Kinds, idempotent: bool) -> None:
        self._runtime = shared
        self._on = on
        self._ignore = ignore
        self.target = target
        self.idempotent = idempotent

    @overload
    def guard(self, function: F, /) -> F: ...

    @overload
    def guard(
        self,
        function: None = None,
        /,
        *,
        fallback: Callable[..., Any] | None = None,
        timeout: str = "",
        idempotent: bool | None = None,
    ) -> Callable[[F], F]: ...

    def guard(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        fallback: Callable[..., Any] | None = None,
        timeout: str = "",
        idempotent: bool | None = None,
    ) -> Any:
        """Decorate a function, plain or `async def`, so that its calls are protected.

        Args:
            function: When used without brackets.
            fallback: Called with the same arguments instead of raising, when the
                call is not made or its last attempt failed by the target's fault.
            timeout: Name of the keyword argument through which the function
                receives the attempt's time-out in seconds; "" = it is not told.
            idempotent: Overrides the target's declaration for this function.

        Raises:
            SettingsError: The function is a generator: it would be counted as
                done before it began. Guard the function that makes the request.
        """

        def decorate(inner: Callable[..., Any]) -> Callable[..., Any]:
            flags = _code_flags(inner)
            if flags & _CO_GENERATOR:
                raise SettingsError(
                    f"{inner!r} is a generator, whose call returns before anything is asked of the "
                    "target; guard the function that makes the request",
                    field="function",
                )
            repeatable = self.idempotent if idempotent is None else idempotent
            plan = _Plan(self, inner, fallback, timeout, repeatable)
            return _async_wrapper(plan) if flags & _CO_COROUTINE else _sync_wrapper(plan)

        return decorate if function is None else decorate(function)


class _Plan:
    """What one guarded function needs, bound once at decoration."""

    __slots__ = ("fallback", "function", "handle", "idempotent", "runtime", "target", "timeout")

    def __init__(
        self,
        handle: GuardedTarget,
        function: Callable[..., Any],
        fallback: Callable[..., Any] | None,
        timeout: str,
        idempotent: bool,
    ) -> None:
        self.handle = handle
        self.runtime = handle._runtime
        self.target = handle.target
        self.function = function
        self.fallback = fallback
        self.timeout = timeout
        self.idempotent = idempotent

    def begin(self) -> Call | Rejected:
        shared, target = self.runtime, self.target
        clock = shared.clock
        now_s = clock.wall_s()
        if shared.poll(now_s, clock.monotonic_s()):
            now_s = clock.wall_s()
        shared.flush_if_due(now_s)
        draw = clock.draw() if target.needs_draw else 0.0
        return target.begin(now_s, draw, deadline_s=shared.deadline_s, idempotent=self.idempotent)

    def told(self, call: Call, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments of this attempt."""
        if not self.timeout:
            return kwargs
        return {**kwargs, self.timeout: call.timeout_s(self.runtime.clock.wall_s())}

    def failed(self, call: Call, error: Exception, begun_s: float) -> float | None:
        """Report a failed attempt; seconds to wait, or None: the call is over."""
        clock = self.runtime.clock
        outcome, retry_after_s = classify(error, on=self.handle._on, ignore=self.handle._ignore)
        return call.finish(
            outcome,
            now_s=clock.wall_s(),
            draw=clock.draw(),
            latency_ms=(clock.monotonic_s() - begun_s) * 1_000.0,
            retry_after_s=retry_after_s,
        )

    def succeeded(self, call: Call, begun_s: float) -> None:
        clock = self.runtime.clock
        latency_ms = (clock.monotonic_s() - begun_s) * 1_000.0
        call.finish(_SUCCESS, now_s=clock.wall_s(), draw=0.0, latency_ms=latency_ms)

    def falls_back_on(self, error: Exception) -> bool:
        """Whether the fallback answers for this last error: only for the target's own failures."""
        if self.fallback is None:
            return False
        return classify(error, on=self.handle._on, ignore=self.handle._ignore).outcome < Outcome.PERMANENT

    def fall_back(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert self.fallback is not None  # noqa: S101 - callers have asked
        self.target.counters.fallbacks += 1
        return self.fallback(*args, **kwargs)

    def refuse(self, rejected: Rejected) -> NoReturn:
        kind, why = _REJECTIONS[rejected.reason]
        name = self.target.name
        raise kind(f"{name!r} was not called: {why}", target=name, retry_after_s=rejected.retry_after_s)


def _sync_wrapper(plan: _Plan) -> Callable[..., Any]:
    function = plan.function
    shared = plan.runtime
    monotonic_s = shared.clock.monotonic_s

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if shared.off:
            return function(*args, **kwargs)
        call = plan.begin()
        if call.__class__ is Rejected:
            if plan.fallback is not None:
                return plan.fall_back(args, kwargs)
            plan.refuse(call)
        assert isinstance(call, Call)  # noqa: S101 - for the type checker
        try:
            while True:
                begun_s = monotonic_s()
                try:
                    result = function(*args, **plan.told(call, kwargs))
                except Exception as error:
                    wait_s = plan.failed(call, error, begun_s)
                    if wait_s is None:
                        if plan.falls_back_on(error):
                            return plan.fall_back(args, kwargs)
                        raise
                else:
                    if result.__class__ is CoroutineType:
                        # A plain function that returns a coroutine: nothing has been asked yet.
                        return _run_async(plan, call, args, kwargs, result)
                    plan.succeeded(call, begun_s)
                    return result
                shared.sleep(wait_s)
        except BaseException:
            call.abandon()  # frees a probe's slot if no verdict was reached; else it does nothing
            raise

    return guarded


def _async_wrapper(plan: _Plan) -> Callable[..., Coroutine[Any, Any, Any]]:
    function = plan.function

    @wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        if plan.runtime.off:
            return await function(*args, **kwargs)
        call = plan.begin()
        if isinstance(call, Rejected):
            if plan.fallback is not None:
                return await _resolved(plan.fall_back(args, kwargs))
            plan.refuse(call)
        return await _run_async(plan, call, args, kwargs, None)

    return guarded


async def _run_async(
    plan: _Plan,
    call: Call,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    begun: Awaitable[Any] | None,
) -> Any:
    """Await the attempts of a call; `begun` is the first, if it exists already."""
    shared = plan.runtime
    try:
        while True:
            begun_s = shared.clock.monotonic_s()
            try:
                if begun is None:
                    begun = plan.function(*args, **plan.told(call, kwargs))
                result = await begun
            except Exception as error:
                wait_s = plan.failed(call, error, begun_s)
                if wait_s is None:
                    if plan.falls_back_on(error):
                        return await _resolved(plan.fall_back(args, kwargs))
                    raise
            else:
                plan.succeeded(call, begun_s)
                return result
            begun = None
            await _resolved(shared.async_sleep(wait_s))
    except BaseException:
        call.abandon()
        raise


async def _resolved(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


def _code_flags(function: object) -> int:
    """Flags of the code that a call would run, through partials and callable objects."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if code is None and callable(function):
        code = getattr(type(function).__call__, "__code__", None)
    return int(getattr(code, "co_flags", 0))


class invocation:  # noqa: N801 - reads as a statement: `with flyball.invocation(context):`
    """The extent of one Lambda invocation: a deadline for all guarded calls, and metrics at its end.

    Args:
        context: Lambda's context, or anything with `get_remaining_time_in_millis`.
        within: The Runtime; default the process's.
    """

    __slots__ = ("_before_s", "_context", "_within")

    def __init__(self, context: Any, *, within: Runtime | None = None) -> None:
        self._context = context
        self._within = within
        self._before_s: float | None = None

    def __enter__(self) -> None:
        shared = self._within = runtime() if self._within is None else self._within
        # 0 is a value: no time is left. Only a missing clock means no deadline.
        remaining_s = self._context.get_remaining_time_in_millis() / 1_000.0
        self._before_s = shared.deadline_s
        shared.deadline_s = shared.clock.wall_s() + remaining_s - DEADLINE_MARGIN_S

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._within is not None  # noqa: S101 - entered
        self._within.deadline_s = self._before_s
        self._within.flush()


def handler(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Decorate a Lambda handler: each invocation sets the deadline and writes the metrics."""

    @wraps(function)
    def handled(event: Any, context: Any) -> Any:
        with invocation(context):
            return function(event, context)

    return handled


def flush() -> int:
    """Write the metrics of all targets now; returns the number of lines."""
    return runtime().flush()
