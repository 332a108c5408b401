"""How a decorated function is called: the attempts, the waiting, the reports to the fast loop.

All decisions are taken by `flyball.call`; here are the clock reads, the
exceptions, and the only sleep of decorated functions. The function's result or
exception object passes through untouched (K8). `Site` is what every form of
guarding has in common (`flyball.permit` builds on it), `Plan` is the decorator's.
"""

from __future__ import annotations

from functools import wraps
from types import CoroutineType

from flyball.call import MIN_ATTEMPT_S, Call, Target
from flyball.environment import Runtime
from flyball.errors import BulkheadFull, CircuitOpenError, DeadlineExceeded, RejectedError, ShedError
from flyball.functions import wants
from flyball.outcome import Outcome, Rejected, RejectReason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from flyball.deadletter import FunctionKeeper
    from flyball.idempotency import Key

Kinds = tuple[type[BaseException], ...]
# A call that was begun without asking: on the wall clock, on the monotonic one, and its deadline.
Unasked = tuple[float, float, float | None]
_ASKED: Unasked = (0.0, 0.0, None)  # stands for it where it was asked; not looked at

_SUCCESS = Outcome.SUCCESS
REJECTIONS: dict[RejectReason, tuple[type[RejectedError], str]] = {
    RejectReason.CIRCUIT_OPEN: (CircuitOpenError, "its circuit is open"),
    RejectReason.SHED: (ShedError, "it times out, and this call was shed"),
    RejectReason.DEADLINE: (DeadlineExceeded, "no time is left before the deadline"),
    RejectReason.BULKHEAD_FULL: (BulkheadFull, "as many calls as may be are under way"),
    RejectReason.UNKNOWN: (
        CircuitOpenError,
        'nothing is known of it yet, and it was declared with when_unknown="open"',
    ),
}


def attempt_s(call: Call, now_s: float) -> float:
    """Return the time that an attempt is told: never 0, which each library takes for something else.

    A socket for "do not wait", aiohttp for "for ever", requests and urllib3 for a mistake. So it may end
    that much after the deadline.
    """
    return max(MIN_ATTEMPT_S, call.timeout_s(now_s))


class Site:
    """A place from which a target is called: whom it calls and how its failures are recognised."""

    __slots__ = ("ignore", "on", "runtime", "target")

    def __init__(self, shared: Runtime, target: Target, on: Kinds, ignore: Kinds) -> None:
        self.runtime = shared
        self.target = target
        self.on = on
        self.ignore = ignore

    def begin(self, idempotent: bool) -> Call | Rejected:
        """Bring what is published up to date if that is due, and ask for a call."""
        shared, target = self.runtime, self.target
        clock = shared.clock
        now_s, monotonic_s = clock.wall_s(), clock.monotonic_s()
        fresh = shared.fresh_from_s <= now_s < shared.fresh_until_s and monotonic_s < shared.fresh_monotonic_s
        if not fresh:
            now_s = shared.see_to(now_s, monotonic_s)
        draw = clock.draw() if target.needs_draw else 0.0
        call = target.begin(now_s, draw, deadline_s=shared.deadline(), idempotent=idempotent)
        if shared.hooks is not None:
            shared.hooks.began(target, call)
        return call

    def failed(self, call: Call, error: Exception, begun_s: float) -> float | None:
        """Report a failed attempt; seconds to wait, or None: the call is over."""
        from flyball.classify import classify  # many an environment never sees a failure

        now_s = self.runtime.clock.wall_s()
        outcome, retry_after_s = classify(error, on=self.on, ignore=self.ignore, now_s=now_s)
        wait_s = self.ended(call, outcome, begun_s, retry_after_s)
        self.notice(call, error)
        return wait_s

    def notice(self, call: Call, error: BaseException) -> None:
        """Tell of retries of the SDK beneath those of `call`. Raises no Exception: the user's passes (K8)."""
        try:
            if call.repeatable and getattr(error, "response", None) is not None:
                from flyball.stacked import notice

                notice(self.runtime, self.target.name, error)
        except Exception:  # noqa: BLE001, S110 - somebody's attribute; a warning where those are errors
            pass

    def ended(
        self, call: Call, outcome: Outcome, begun_s: float, retry_after_s: float | None = None
    ) -> float | None:
        """Report an attempt that ended as `outcome`; seconds to wait, or None: the call is over."""
        shared, attempt = self.runtime, call.attempt
        clock = shared.clock
        wait_s = call.finish(
            outcome,
            now_s=clock.wall_s(),
            draw=clock.draw(),
            latency_ms=(clock.monotonic_s() - begun_s) * 1_000.0,
            retry_after_s=retry_after_s,
        )
        if shared.hooks is not None:
            shared.hooks.ended(self.target, outcome, attempt, wait_s)
        return wait_s

    def succeeded(self, call: Call, begun_s: float) -> None:
        """Report a good attempt: the call is over."""
        shared = self.runtime
        clock = shared.clock
        latency_ms = (clock.monotonic_s() - begun_s) * 1_000.0
        draw = clock.draw() if latency_ms >= self.target.slow_ms else 0.0
        call.finish(_SUCCESS, now_s=clock.wall_s(), draw=draw, latency_ms=latency_ms)
        if shared.hooks is not None:
            shared.hooks.drain(self.target)

    def refusal(self, rejected: Rejected) -> Exception:
        """Return the error that says that a call was not made, and why."""
        kind, why = REJECTIONS[rejected.reason]
        name = self.target.name
        return kind(f"{name!r} was not called: {why}", target=name, retry_after_s=rejected.retry_after_s)


class Plan(Site):
    """What one guarded function needs, bound once at decoration."""

    __slots__ = ("fallback", "function", "idempotent", "keeper", "key", "tells", "timeout")

    def __init__(
        self,
        site: Site,
        function: Callable[..., Any],
        *,
        fallback: Callable[..., Any] | None,
        timeout: str,
        idempotent: bool,
        key: Key | None = None,
        keeper: FunctionKeeper | None = None,
    ) -> None:
        super().__init__(site.runtime, site.target, site.on, site.ignore)
        self.function = function
        self.fallback = fallback
        self.tells = wants(fallback, "error")
        self.timeout = timeout
        self.idempotent = idempotent
        self.key = key
        self.keeper = keeper  # of what is given up

    @property
    def plain(self) -> bool:
        """Whether an attempt needs nothing of its `Call`: neither key nor time-out."""
        return self.key is None and not self.timeout

    def attempt(self) -> Callable[..., Any]:
        """What the next attempt calls: the function, or faults around it."""
        faults = self.runtime.faults
        return (
            self.function if faults is None else faults.around(self.function, self.target.name, self.timeout)
        )

    def attempt_async(self) -> Callable[..., Any]:
        """The same for an `async def`."""
        faults = self.runtime.faults
        if faults is None:
            return self.function
        return faults.around_async(self.function, self.target.name, self.timeout)

    def late(self, deadline_s: float | None) -> Call:
        """The call that was begun without asking, now that it is needed."""
        return Call(self.target, deadline_s, self.idempotent, -1)

    def over(self, now_s: float, begun_s: float, deadline_s: float | None) -> None:
        """Report the good attempt of a call that was begun without asking, at `now_s` and `begun_s`.

        The wall clock is not read again: what passed since is taken from the other one.
        """
        target = self.target
        passed_s = self.runtime.clock.monotonic_s() - begun_s
        latency_ms = passed_s * 1_000.0
        if latency_ms < target.slow_ms:
            target.note_success(now_s + passed_s, latency_ms)
        else:
            self.succeeded(self.late(deadline_s), begun_s)

    def told(self, call: Call, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments of this attempt."""
        if not self.timeout:
            return kwargs
        return {**kwargs, self.timeout: attempt_s(call, self.runtime.clock.wall_s())}

    def gives_up(self, error: Exception) -> bool:
        """Whether this last error is for fallback and dead letter: only the target's own failures are."""
        if self.fallback is None and self.keeper is None:
            return False
        from flyball.classify import classify

        return classify(error, on=self.on, ignore=self.ignore).outcome < Outcome.PERMANENT

    def part(
        self, call: Call | Rejected, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """Keep what is given up, if it is to be kept; whether the fallback answers."""
        keeper = self.keeper
        if keeper is None:
            return self.fallback is not None
        return keeper.put(error, keeper.letter(error, call, args, kwargs)) and self.fallback is not None

    async def part_async(
        self, call: Call | Rejected, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """As `part`; the sink may be asynchronous."""
        keeper = self.keeper
        if keeper is None:
            return self.fallback is not None
        kept = await keeper.put_async(error, keeper.letter(error, call, args, kwargs))
        return kept and self.fallback is not None

    def fall_back(
        self, call: Call | Rejected, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Answer by the fallback; it is told why, if it names a keyword `error`."""
        assert self.fallback is not None  # noqa: S101 - callers have asked
        self.target.counters.fallbacks += 1
        if not self.tells:
            return self.fallback(*args, **kwargs)
        if not isinstance(call, Rejected):
            from flyball.givingup import reason_of

            error = reason_of(call, error, self.target, self.runtime.clock.wall_s())
        return self.fallback(*args, **kwargs, error=error)


def sync_wrapper(plan: Plan) -> Callable[..., Any]:
    """Return the guarded form of a plain function."""
    function, shared, target = plan.function, plan.runtime, plan.target
    plain = plan.plain

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if shared.off:
            return function(*args, **kwargs)
        # In line, and the same in `async_wrapper`: a healthy call pays for every frame.
        clock, deadline_s = shared.clock, shared.deadline_s
        now_s, begun_s = clock.wall_s(), clock.monotonic_s()
        if (
            plain
            and now_s < target.quiet_until_s
            and shared.fresh_from_s <= now_s < shared.fresh_until_s
            and begun_s < shared.fresh_monotonic_s
            and shared.faults is None
            and (deadline_s is None or now_s < deadline_s)
        ):
            return _run(plan, (now_s, begun_s, deadline_s), args, kwargs, kwargs)
        repeatable, handed = plan.idempotent, kwargs
        if plan.key is not None:
            repeatable, handed = plan.key.read(args, kwargs)
        call = plan.begin(repeatable)
        if isinstance(call, Rejected):
            refusal = plan.refusal(call)
            try:
                if plan.part(call, refusal, args, kwargs):
                    return plan.fall_back(call, refusal, args, kwargs)
                raise refusal
            finally:
                del refusal  # it holds this frame, and so what the callers hold, until the collector comes
        return _run(plan, call, args, kwargs, handed)

    return guarded


def _run(
    plan: Plan, begin: Call | Unasked, args: tuple[Any, ...], kwargs: dict[str, Any], handed: dict[str, Any]
) -> Any:
    """Make the attempts of a call with `handed`; if it was begun unasked, its `Call` is made when needed."""
    call, (now_s, begun_s, deadline_s) = (None, begin) if isinstance(begin, tuple) else (begin, _ASKED)
    try:
        while True:
            try:
                if call is None:
                    result = plan.function(*args, **kwargs)
                else:
                    begun_s = plan.runtime.clock.monotonic_s()
                    result = plan.attempt()(*args, **plan.told(call, handed))
            except Exception as error:
                call = call or plan.late(deadline_s)
                wait_s = plan.failed(call, error, begun_s)
                if wait_s is None:
                    if plan.gives_up(error) and plan.part(call, error, args, kwargs):
                        return plan.fall_back(call, error, args, kwargs)
                    raise
            else:
                if result.__class__ is CoroutineType:
                    # A plain function that returns a coroutine: nothing has been asked yet.
                    return _run_async(plan, call or plan.late(deadline_s), args, kwargs, handed, result)
                if call is None:
                    plan.over(now_s, begun_s, deadline_s)
                else:
                    plan.succeeded(call, begun_s)
                return result
            plan.runtime.sleep(wait_s)
    except BaseException:
        if call is not None:
            call.abandon()  # frees a probe's slot if no verdict was reached; else it does nothing
        raise


def async_wrapper(plan: Plan) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return the guarded form of an `async def`."""
    function, shared, target = plan.function, plan.runtime, plan.target
    plain = plan.plain

    @wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        if shared.off:
            return await function(*args, **kwargs)
        clock, deadline_s = shared.clock, shared.deadline_s
        now_s, begun_s = clock.wall_s(), clock.monotonic_s()
        if (
            plain
            and now_s < target.quiet_until_s
            and shared.fresh_from_s <= now_s < shared.fresh_until_s
            and begun_s < shared.fresh_monotonic_s
            and shared.faults is None
            and (deadline_s is None or now_s < deadline_s)
        ):
            return await _run_async(plan, (now_s, begun_s, deadline_s), args, kwargs, kwargs, None)
        repeatable, handed = plan.idempotent, kwargs
        if plan.key is not None:
            repeatable, handed = plan.key.read(args, kwargs)
        call = plan.begin(repeatable)
        if isinstance(call, Rejected):
            refusal = plan.refusal(call)
            try:
                if await plan.part_async(call, refusal, args, kwargs):
                    return await resolved(plan.fall_back(call, refusal, args, kwargs))
                raise refusal
            finally:
                del refusal  # as above
        return await _run_async(plan, call, args, kwargs, handed, None)

    return guarded


async def _run_async(
    plan: Plan,
    begin: Call | Unasked,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    handed: dict[str, Any],
    begun: Awaitable[Any] | None,
) -> Any:
    """Await the attempts of a call as `_run` makes them; `begun` is the first, if it exists already."""
    call, (now_s, begun_s, deadline_s) = (None, begin) if isinstance(begin, tuple) else (begin, _ASKED)
    try:
        while True:
            try:
                if call is None:
                    result = await plan.function(*args, **kwargs)
                else:
                    begun_s = plan.runtime.clock.monotonic_s()
                    if begun is None:
                        begun = plan.attempt_async()(*args, **plan.told(call, handed))
                    result = await begun
            except Exception as error:
                call = call or plan.late(deadline_s)
                wait_s = plan.failed(call, error, begun_s)
                if wait_s is None:
                    if plan.gives_up(error) and await plan.part_async(call, error, args, kwargs):
                        return await resolved(plan.fall_back(call, error, args, kwargs))
                    raise
            else:
                if call is None:
                    plan.over(now_s, begun_s, deadline_s)
                else:
                    plan.succeeded(call, begun_s)
                return result
            begun = None
            await resolved(plan.runtime.async_sleep(wait_s))
    except BaseException:
        if call is not None:
            call.abandon()
        raise


async def resolved(value: Any) -> Any:
    """Return the value, or what it resolves to if it can be awaited."""
    # What isinstance(value, Awaitable) asks: that would load the abstract classes for every cold start.
    return await value if hasattr(type(value), "__await__") else value
