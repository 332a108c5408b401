"""What is wrong with how flyball was told to guard: said when it is declared, not in the first outage.

The checks themselves are in `flyball.guard`, where they cost a cold start
nothing; this is loaded for whoever fails one, and for publishers who wrote what
no client can obey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from flyball.document import shown
from flyball.errors import FlyballWarning, SettingsError, printable
from flyball.functions import CO_GENERATOR, code_flags
from flyball.idempotency import parameters_of, qualname
from flyball.names import name_problem
from flyball.outcome import Outcome

if TYPE_CHECKING:
    from flyball.environment import Runtime
    from flyball.sources import Cached


def refuse(field: str, value: object, bound: str) -> NoReturn:
    """Raise that an argument must be what it is not."""
    raise SettingsError(f"{field}={shown(value)} must be {bound}", field=field)


def number(field: str, value: object, low: float, high: float, bound: str) -> float:
    """Return a number in [low, high]; `bound` says so in words, with its unit.

    Raises:
        SettingsError: It is none, or lies outside.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        refuse(field, value, bound)
    return value


def refuse_target(
    name: object, kinds: dict[str, tuple[object, ...]], idempotent: object, within: object
) -> NoReturn:
    """Raise what is wrong with the arguments of `target`."""
    problem = name_problem(name)
    if problem:
        raise SettingsError(f"name={problem}", field="name")
    for field, given in kinds.items():
        for kind in given:
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise SettingsError(
                    f"{field}: {shown(kind)} must be a class of exceptions, as {field}=(OSError,); guards "
                    "catch no interruptions, which are no Exception",
                    field=field,
                )
    if not isinstance(idempotent, bool):
        refuse("idempotent", idempotent, "True or False")
    refuse("within", within, "a Runtime, or None for the process's")


def refuse_runtime(function: object, off: object, write: object) -> NoReturn:
    """Raise what is wrong with the arguments of a Runtime."""
    if not isinstance(function, str):
        refuse("function", function, "the name of the function, or ''")
    if not isinstance(off, bool):
        refuse("off", off, "True or False")
    refuse("write", write, "a function of a line")


def refuse_options(timeout: object, idempotent: object, key: object, verdict: object) -> NoReturn:
    """Raise what is wrong with the options of `guard`."""
    if not isinstance(timeout, str):
        refuse(
            "timeout",
            timeout,
            "the name of the argument that is told the time, as timeout='timeout_s'; its length is the "
            "parameter retry.attempt_timeout_ms",
        )
    if not isinstance(idempotent, bool | None):
        refuse("idempotent", idempotent, "True, False or None")
    if not (verdict is None or callable(verdict)):
        refuse("verdict", verdict, "a function of the result, as flyball.results.by_status")
    if not (key is None or isinstance(key, str) or callable(key)):
        refuse("idempotency_key", key, "the name of an argument, or a function that returns the key")
    refuse_both(idempotent, key)


def refuse_outcome(found: object) -> NoReturn:
    """Raise what is wrong with the verdict that an attempt has failed."""
    if found is Outcome.SUCCESS:
        refuse("found", found, "a failure; a good attempt is success()")
    refuse("found", found, "an Outcome, as Outcome.THROTTLE, or the exception itself, not its class")


def subject(target: object, within: Runtime | None) -> tuple[Runtime, str]:
    """Return the Runtime and the name of a target that is given by its name or its handle.

    Raises:
        SettingsError: It is neither, or nothing can be called so.
    """
    from flyball.guard import GuardedTarget, runtime

    if isinstance(target, GuardedTarget):
        return target._runtime, target.target.name
    problem = name_problem(target)
    if problem:
        raise SettingsError(f"target={problem}, or the handle of a target", field="target")
    return (runtime() if within is None else within), str(target)


def refuse_context(context: object) -> NoReturn:
    """Raise that nobody can tell from this how long the invocation may take."""
    raise SettingsError(
        f"context={shown(context)} must have a method get_remaining_time_in_millis() that returns a number, "
        "as Lambda's does; None = no deadline",
        field="context",
    )


def warn_of_source(shared: Runtime, what: str, cached: Cached[Any]) -> None:
    """Warn, once each, of a published document or circuit that cannot be understood, or is never read."""
    if cached.refused is not None and shared.warn_once("refused", what):
        why = cached.refused
        warn(f"a {what} was published that cannot be obeyed, and what was known before holds on: {why}")
    if cached.unread and shared.warn_once("unread", what):
        warn(
            f"no {what} could be read so far, and calls go on without ({cached.failed} attempts; the last "
            f"one: {cached.unread}): check name, permission and network of its source"
        )


def warn(message: str) -> None:
    """Warn, but do not raise where warnings are errors: what is wrong is not the caller's."""
    import warnings
    from contextlib import suppress

    with suppress(FlyballWarning):
        warnings.warn(printable(message), FlyballWarning, stacklevel=3)


def warn_unwritten(error: Exception) -> None:
    """Warn that metrics are lost, and that calls go on."""
    warn(f"metrics cannot be written, and calls go on: {type(error).__name__}: {error}")


def refuse_word(field: str, word: object, words: tuple[str, ...]) -> NoReturn:
    """Raise that a word is none of those allowed."""
    raise SettingsError(f"{field}={word!r} must be one of {', '.join(words)}", field=field)


def refuse_both(idempotent: object, key: object) -> NoReturn:
    """Raise that repetition was declared in two ways."""
    raise SettingsError(
        f"idempotent={idempotent!r} decides for every call, and idempotency_key={key!r} for each by its "
        "key: give one of them",
        field="idempotent",
    )


def refuse_function(function: Any, timeout: str) -> NoReturn:
    """Raise what is wrong with a function that is to be guarded."""
    if not callable(function) or isinstance(function, staticmethod):
        raise SettingsError(
            f"{shown(function)} is no function: guard the function itself, under @classmethod and "
            "@staticmethod",
            field="function",
        )
    if code_flags(function) & CO_GENERATOR:
        raise SettingsError(
            f"{function!r} is a generator, whose call returns before anything is asked of the "
            "target; guard the function that makes the request",
            field="function",
        )
    from flyball.hints import did_you_mean

    hint = did_you_mean(timeout, parameters_of(function), listing="it has")
    raise SettingsError(
        f"timeout={timeout!r} is no argument of {qualname(function)} that can be passed by name{hint}",
        field="timeout",
    )
