"""What is wrong with how flyball was told to guard: said when it is declared, not in the first outage.

The checks themselves are in `flyball.guard`, where they cost a cold start
nothing; this is loaded for whoever fails one, and for publishers who wrote what
no client can obey.
"""

from __future__ import annotations

from typing import Any, NoReturn

from flyball.document import shown
from flyball.errors import FlyballWarning, SettingsError
from flyball.functions import CO_GENERATOR, code_flags
from flyball.idempotency import parameters_of, qualname
from flyball.names import name_problem


def refuse_target(name: object, kinds: dict[str, tuple[object, ...]]) -> NoReturn:
    """Raise what is wrong with the arguments of `target`."""
    problem = name_problem(name)
    if problem:
        raise SettingsError(f"name={problem}", field="name")
    for field, given in kinds.items():
        for kind in given:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise SettingsError(
                    f"{field}: {shown(kind)} must be a class of exceptions, as {field}=(OSError,)",
                    field=field,
                )
    raise AssertionError("nothing is wrong")  # pragma: no cover - callers have found something


def warn_refused(what: str, error: Exception) -> None:
    """Warn that a published document or circuit could not be understood, and that calls go on without it."""
    from contextlib import suppress
    from warnings import warn

    with suppress(FlyballWarning):  # where warnings are errors, a publisher's mistake is not the caller's
        warn(
            f"a {what} was published that cannot be obeyed, and what was known before holds on: {error}",
            FlyballWarning,
            stacklevel=2,
        )


def refuse_word(field: str, word: object, words: tuple[str, ...]) -> NoReturn:
    """Raise that a word is none of those allowed."""
    raise SettingsError(f"{field}={word!r} must be one of {', '.join(words)}", field=field)


def refuse_both(idempotent: bool, key: object) -> NoReturn:
    """Raise that repetition was declared in two ways."""
    raise SettingsError(
        f"idempotent={idempotent!r} decides for every call, and idempotency_key={key!r} for each by its "
        "key: give one of them",
        field="idempotent",
    )


def refuse_function(function: Any, timeout: str) -> NoReturn:
    """Raise what is wrong with a function that is to be guarded."""
    if not callable(function):
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
