"""What users take hold of: a target and its forms of guarding.

    payments = flyball.target("payments-api", on=(PaymentError,), idempotent=True)

    @payments.guard(fallback=from_cache, timeout="timeout_s")
    def charge(order, timeout_s): ...

    with payments.permit() as permit:                 # code that cannot be wrapped
        permit.success() if send(order).ok else permit.failure()

    for attempt in payments.attempts():               # ... and is to be repeated
        with attempt:
            reply = send(order, timeout=attempt.timeout_s)

All forms run the same fast loop (`flyball.call`) and leave results and errors
of the user as they are (K8); only a call that was not made raises something of
ours. How a decorated function is called is in `flyball.wrap`, the other two
forms are in `flyball.permit`.
"""

from __future__ import annotations

from _thread import allocate_lock

from flyball.call import Target
from flyball.environment import Runtime, from_environment
from flyball.functions import CO_COROUTINE, CO_GENERATOR, code_flags, takes
from flyball.records import is_target_name
from flyball.wrap import Kinds, Plan, Site, async_wrapper, sync_wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from flyball.deadletter import DeadLetter, Sink, ValueKeeper
    from flyball.permit import Attempts, Permit
    from flyball.results import Verdict

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "GuardedTarget",
    "configure",
    "flush",
    "runtime",
    "target",
]

# Libraries whose decorators repeat a function: a guard that may repeat as well multiplies (flyball.stacked).
_RETRIERS = frozenset({"backoff", "backon", "flyball", "retry", "retrying", "stamina", "tenacity"})
_WHEN_UNKNOWN = ("closed", "open")
_NOT_GIVEN = object()
_NONE = type(None)

_runtime: Runtime | None = None
_making = allocate_lock()


def runtime() -> Runtime:
    """Return the process's Runtime, made from the environment variables at first use."""
    global _runtime  # noqa: PLW0603 - one environment, one runtime
    shared = _runtime
    if shared is None:
        made = from_environment()
        with _making:  # two threads at once: the targets of either must be known to the other
            shared = _runtime = _runtime or made
    return shared


def configure(new: Runtime | None) -> Runtime | None:
    """Make `new` the process's Runtime and return the one before; None starts anew from the environment.

    Targets belong to the Runtime under which they were declared.

    Raises:
        SettingsError: It is no Runtime.
    """
    global _runtime
    if not _is(new, Runtime, _NONE):
        from flyball.misuse import refuse

        refuse("new", new, "a Runtime, or None to begin anew from the environment")
    before, _runtime = _runtime, new
    return before


def target(
    name: str,
    *,
    on: Kinds | type[BaseException] = (),
    ignore: Kinds | type[BaseException] = (),
    idempotent: bool = False,
    when_unknown: str = "closed",
    within: Runtime | None = None,
) -> GuardedTarget:
    """Return the handle of a dependency, to decorate the functions that call it.

    Args:
        name: The same name as in the policy; 1 to 128 letters, digits and . _ : @ / # + -
            of ASCII, the first a letter or digit (flyball.names).
        on: Exceptions that mean that the target failed, beside those recognised
            by themselves (time-outs, refused connections, 429 and 5xx answers).
        ignore: Exceptions that say nothing about the target.
        idempotent: Whether its calls may be repeated. False: one attempt, ever,
            unless a call brings an idempotency key.
        when_unknown: What the circuit is while nothing is known: no document
            and no circuit was ever read, because the environment is new and its
            sources fail, or there are none. "closed": calls pass, under the
            compiled-in parameters. "open": calls are refused, for dependencies
            to which a blind call is worse than none; never for ever, but until
            a first read succeeds or EXPIRED_PROBE_S (300 s) are over, when
            calls pass as probes.
        within: The Runtime to belong to; default the process's.

    Raises:
        SettingsError: `name` cannot be used everywhere, `on` or `ignore` holds what
            is no class of Exceptions, `idempotent` is neither True nor False, `when_unknown`
            is neither word, or an environment variable cannot be obeyed.
    """
    failures, neutral = (kinds if isinstance(kinds, tuple) else (kinds,) for kinds in (on, ignore))
    if not (
        is_target_name(name)
        and _are_exceptions(failures)
        and _are_exceptions(neutral)
        and _is(idempotent, bool)
        and _is(within, Runtime, _NONE)
    ):
        from flyball.misuse import refuse_target

        refuse_target(name, {"on": failures, "ignore": neutral}, idempotent, within)
    if when_unknown not in _WHEN_UNKNOWN:
        from flyball.misuse import refuse_word

        refuse_word("when_unknown", when_unknown, _WHEN_UNKNOWN)
    shared = runtime() if within is None else within
    known = shared.target(name)
    if when_unknown == "open":
        shared.refuse_unknown(known)
    return GuardedTarget(shared, known, failures, neutral, idempotent)


def _are_exceptions(kinds: tuple[object, ...]) -> bool:
    # An interruption (BaseException) is never caught: to declare one would change nothing.
    return all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds)


def _is(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds)


def _is_function(value: object) -> bool:
    return value is None or callable(value)


def _library_of(function: object) -> str:
    """The package in which a function was written, or the wrapper that stands for it."""
    module = getattr(function, "__globals__", {}).get("__name__", "")
    return str(module).partition(".")[0]


def _answering(fallback: object) -> Callable[..., Any] | None:
    """The fallback as a function; None = there is none. A value answers for itself."""
    return fallback if fallback is None or callable(fallback) else lambda *_args, **_kwargs: fallback


class GuardedTarget:
    """A dependency and how its failures are recognised. Made by `flyball.target`."""

    __slots__ = ("_ignore", "_on", "_runtime", "_site", "idempotent", "target")

    def __init__(self, shared: Runtime, target: Target, on: Kinds, ignore: Kinds, idempotent: bool) -> None:
        self._site = Site(shared, target, on, ignore)
        self._runtime = shared
        self._on = on
        self._ignore = ignore
        self.target = target
        self.idempotent = idempotent

    if TYPE_CHECKING:

        @overload
        def guard(self, function: F, /) -> F: ...

        @overload
        def guard(
            self,
            function: None = None,
            /,
            *,
            fallback: object = None,
            timeout: str = "",
            idempotent: bool | None = None,
            idempotency_key: str | Callable[..., object] | None = None,
            dead_letter: Sink | DeadLetter | None = None,
            verdict: Verdict | None = None,
        ) -> Callable[[F], F]: ...

    def guard(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        fallback: object = None,
        timeout: str = "",
        idempotent: bool | None = None,
        idempotency_key: str | Callable[..., object] | None = None,
        dead_letter: Sink | DeadLetter | None = None,
        verdict: Verdict | None = None,
    ) -> Any:
        """Decorate a function, plain or `async def`, so that its calls are protected.

        Args:
            function: When used without brackets.
            fallback: The answer (the same object each time) when the call is not made
                or its last attempt failed by the target's fault; or a function of the
                same arguments that returns it. If that names a keyword-only parameter
                `error`, it is told why: a RejectedError if a brake kept the call from
                being made or repeated (the last error is its cause), else the last
                error. None: the error is raised; to answer None, give a function.
            timeout: Name of the keyword argument through which the function
                receives the attempt's time-out in seconds; "" = it is not told.
            idempotent: Overrides the target's declaration for this function.
            idempotency_key: Name of the argument that makes a repetition
                harmless, or a function of the same arguments that returns it.
                A call with a key may be repeated, whatever the target declares; one
                without (None, empty) is made once, and that is said once. The key is
                handed on as `idempotency_key=` if the function has such a parameter.
            dead_letter: Where the payload of a call goes that is given up, with its
                attempts, reason, last error and key (flyball.deadletter): a sink, or
                a DeadLetter that says which argument is the payload.
            verdict: A function of the result that returns None for a good one, else
                its Outcome (flyball.results). A bad one is treated as a failure, and
                returned if it was the last and there is no fallback.

        Raises:
            SettingsError: It is no function, or a generator (guard what makes the request),
                there is no such argument, or repetition is declared in both ways.
        """
        usable = _is(timeout, str) and _is(idempotent, bool, _NONE) and _is_function(verdict)
        if idempotency_key is not None:
            usable = (
                usable and idempotent is None and (_is(idempotency_key, str) or _is_function(idempotency_key))
            )
        if not usable:
            from flyball.misuse import refuse_options

            refuse_options(timeout, idempotent, idempotency_key, verdict)

        def decorate(inner: Any) -> Any:
            return self._guarded(inner, fallback, timeout, idempotent, idempotency_key, dead_letter, verdict)

        return decorate if function is None else decorate(function)

    def _guarded(
        self,
        inner: Any,
        fallback: object,
        timeout: str,
        idempotent: bool | None,
        key: str | Callable[..., object] | None,
        dead_letter: Sink | DeadLetter | None,
        verdict: Verdict | None,
    ) -> Any:
        flags, site, answer = code_flags(inner), self._site, _answering(fallback)
        usable = callable(inner) and not flags & CO_GENERATOR and not isinstance(inner, staticmethod)
        if not usable or (timeout and not takes(inner, timeout)):
            from flyball.misuse import refuse_function

            refuse_function(inner, timeout)
        asynchronous = bool(flags & CO_COROUTINE)
        repeatable = self.idempotent if idempotent is None else idempotent
        if (repeatable or key is not None) and _library_of(inner) in _RETRIERS:
            from flyball.stacked import notice_decorated

            notice_decorated(site.runtime, site.target.name, inner, _library_of(inner))
        if key is not None or dead_letter is not None or verdict is not None:
            from flyball.options import elaborate

            return elaborate(
                site,
                inner,
                fallback=answer,
                timeout=timeout,
                idempotent=repeatable,
                idempotency_key=key,
                dead_letter=dead_letter,
                verdict=verdict,
                asynchronous=asynchronous,
            )
        plan = Plan(site, inner, fallback=answer, timeout=timeout, idempotent=repeatable)
        return async_wrapper(plan) if asynchronous else sync_wrapper(plan)

    def permit(self, *, dead_letter: Sink | DeadLetter | None = None, payload: object = None) -> Permit:
        """Return a call for code that cannot be wrapped; it begins with `with` or `async with`.

        `permit.success()`, `permit.failure(...)` or `permit.ignore()` says how it
        went. An exception that leaves the block says it as well. Leaving without
        a word, or by an interruption, says nothing about the target. Never
        repeated: see `attempts`.

        Args:
            dead_letter: Where `payload` goes, when the block is left, if the call
                was not made or failed by the target's fault.
            payload: The JSON value to keep then.

        Raises (at `with`):
            RejectedError: The call is not to be made; the kind says why.
        """
        from flyball.permit import Permit

        return Permit(self._site, self._keeper(dead_letter, payload, None))

    def _keeper(
        self, dead_letter: Sink | DeadLetter | None, payload: object, key: str | None
    ) -> ValueKeeper | None:
        if dead_letter is None:
            return None
        from flyball.deadletter import ValueKeeper

        return ValueKeeper(dead_letter, payload, key, shared=self._runtime, target=self.target.name)

    def acquire(self) -> Permit:
        """Return a permit that has begun, for code without a block; if it is forgotten, nothing is counted.

        Raises:
            RejectedError: The call is not to be made; the kind says why.
        """
        return self.permit().begin()

    def attempts(
        self,
        *,
        idempotent: bool | None = None,
        idempotency_key: object = _NOT_GIVEN,
        dead_letter: Sink | DeadLetter | None = None,
        payload: object = None,
    ) -> Attempts:
        """Return the attempts of one call, to loop over with `for` or `async for`, each a `with` block.

            for attempt in payments.attempts():
                with attempt:
                    reply = send(order, timeout=attempt.timeout_s)

        An exception that leaves the block and deserves another attempt is
        swallowed, and waited for; the last one is not. A block that ends well
        ends the loop.

        Args:
            idempotent: Whether the call may be repeated; default the target's word.
            idempotency_key: If given, it decides instead: with a key the call
                may be repeated, with None or an empty one it is made once.
            dead_letter: Where `payload` goes if the call was not made, or its last
                attempt failed by the target's fault.
            payload: The JSON value to keep then.

        Raises (at the first `with`):
            RejectedError: The call is not to be made; the kind says why.
        """
        from flyball.permit import Attempts

        if not _is(idempotent, bool, _NONE):
            from flyball.misuse import refuse

            refuse("idempotent", idempotent, "True, False or None")
        repeatable, key = (self.idempotent if idempotent is None else idempotent), None
        if idempotency_key is not _NOT_GIVEN:
            from flyball.idempotency import key_text, say_missing

            if idempotent is not None:
                from flyball.misuse import refuse_both

                refuse_both(idempotent, idempotency_key)
            key = key_text(idempotency_key)
            repeatable = key is not None
            if not repeatable:
                say_missing(self._runtime, self.target.name, "attempts()", stacklevel=3)
        return Attempts(self._site, repeatable, self._keeper(dead_letter, payload, key))


def flush() -> int:
    """Write the metrics of all targets now; returns the number of lines."""
    return runtime().flush()
