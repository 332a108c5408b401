"""The key that makes a repetition harmless, and where to find it in the arguments of a call.

A call that is not idempotent by itself becomes so by a key under which the other
side (or Powertools' idempotency utility) recognises the second attempt. Whoever
names the key's place promises that; without a key the call is made once, and
that is said once.

    @payments.guard(idempotency_key="order_id")
    def charge(order_id, amount, idempotency_key=None): ...

The key is handed on as `idempotency_key=` if the function names such a
parameter (`**kwargs` is no name: it may be passed on to somebody who has none).
Powertools (`idempotent_function`) goes inside: guard around it, so that each
attempt asks its store. Loaded only if a key is declared.
Source: AWS Builders' Library, "Making retries safe with idempotent APIs".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flyball.environment import Runtime
from flyball.errors import FlyballWarning, SettingsError

PARAMETER = "idempotency_key"


def key_text(key: object) -> str | None:
    """Return the key as text; None if there is none: None, empty or blank. The number 0 is a key.

    >>> key_text(0), key_text("  "), key_text(None)
    ('0', None, None)
    """
    text = "" if key is None else str(key)
    return text if text.strip() else None


class Argument:
    """One argument of a function by its name, however it is passed."""

    __slots__ = ("_default", "_index", "_name")

    def __init__(self, name: str, function: Callable[..., Any], *, field: str) -> None:
        """Read the signature of `function` once; `field` is the option that named the argument.

        Raises:
            SettingsError: There is no such argument.
        """
        parameters = parameters_of(function)
        places = [key for key, parameter in parameters.items() if parameter.kind in _positional()]
        self._name = name
        self._index = places.index(name) if name in places else -1
        self._default: object = None
        if name in parameters:
            default = parameters[name].default
            self._default = None if default is parameters[name].empty else default
        elif not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            raise SettingsError(
                f"{field}={name!r} is no argument of {qualname(function)}{_hint(name, parameters)}",
                field=field,
            )

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Return its value in a call; its default, or None, if it was not passed."""
        if self._name in kwargs:
            return kwargs[self._name]
        return args[self._index] if 0 <= self._index < len(args) else self._default


def parameters_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the parameters of a function by name."""
    from inspect import signature  # a dozen imports, for those who name an argument

    return signature(function).parameters


def qualname(function: Callable[..., Any]) -> str:
    """Return the name by which an error or a warning speaks of a function."""
    return str(getattr(function, "__qualname__", None) or repr(function))


def _positional() -> tuple[object, ...]:
    from inspect import Parameter

    return Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD


class Key:
    """Where the key of one guarded function comes from, and whether the function wants it."""

    __slots__ = ("_function", "_of", "_shared", "_target", "_wanted", "name")

    def __init__(
        self,
        source: str | Callable[..., object],
        function: Callable[..., Any],
        *,
        shared: Runtime,
        target: str,
    ) -> None:
        """Read the signature of `function` once.

        Args:
            source: Name of the argument that is the key, however it is passed;
                or a function of the same arguments that returns the key.
            function: The guarded function.
            shared: Whose hooks hear of missing keys.
            target: Name of the target.

        Raises:
            SettingsError: There is no such argument.
        """
        self.name = "" if callable(source) else source  # of the argument
        self._function = qualname(function)
        self._shared = shared
        self._target = target
        if callable(source):
            self._of: Callable[[tuple[Any, ...], dict[str, Any]], object] = lambda args, kwargs: source(
                *args, **kwargs
            )
        else:
            self._of = Argument(source, function, field=PARAMETER).of
        wanted = parameters_of(function).get(PARAMETER)
        self._wanted = wanted is not None and self.name != PARAMETER
        if wanted is not None and wanted.kind is wanted.POSITIONAL_ONLY:
            self._wanted = False

    def read(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        """Return whether this call may be repeated, and the keyword arguments to make it with."""
        key = self.text(args, kwargs)
        if key is None:
            say_missing(self._shared, self._target, self._function, stacklevel=4)
            return False, kwargs
        if self._wanted and kwargs.get(PARAMETER) is None:
            return True, {**kwargs, PARAMETER: key}
        return True, kwargs

    def text(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        """Return the key of a call as text; None if it has none."""
        return key_text(self._of(args, kwargs))


def say_missing(shared: Runtime, target: str, function: str, *, stacklevel: int) -> None:
    """Tell that a call came without its key: each time by an event, once per function by a warning."""
    if shared.hooks is not None:
        from flyball.hooks import KeyMissing

        shared.hooks.emit(KeyMissing(target, function))
    if shared.warn_once("key", f"{target}/{function}"):
        from contextlib import suppress
        from warnings import warn

        with suppress(FlyballWarning):  # where warnings are errors, the call is made all the same
            warn(
                f"a call of {target!r} by {function} has no idempotency key: it is made once, and never "
                "repeated",
                FlyballWarning,
                stacklevel=stacklevel,
            )


def _hint(name: str, parameters: Any) -> str:
    from flyball.hints import did_you_mean

    return did_you_mean(name, parameters, listing="it has")
