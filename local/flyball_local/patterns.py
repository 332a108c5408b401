"""EventBridge event patterns: does this event concern this rule?

A pattern has the shape of the events it matches: every field it names must be
there and match one of the listed matchers; fields it does not name are free.
A list in the event matches if any of its elements does.

Written out here because the emulator needs five operators and moto's matcher
comes with an import of half of moto; operators not built are refused when the
rule is made, never silently false.

Source: Amazon EventBridge user guide, "Comparison operators for use in event
patterns".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from flyball.hints import did_you_mean

OPERATORS = ("prefix", "suffix", "equals-ignore-case", "anything-but", "exists", "numeric")
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class PatternError(ValueError):
    """A pattern EventBridge would refuse or this emulator does not know; `field` says where."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


def check_pattern(pattern: object, path: str = "") -> None:
    """Raise PatternError unless every matcher of the pattern is known and well formed.

    >>> check_pattern({"source": [{"prefx": "aws."}]})
    Traceback (most recent call last):
    flyball_local.patterns.PatternError: source: unknown operator 'prefx'; did you mean 'prefix'?
    """
    if not isinstance(pattern, Mapping) or not pattern:
        raise PatternError(f"{path or 'pattern'}: expected an object with at least one field", field=path)
    for name, part in pattern.items():
        where = f"{path}.{name}" if path else name
        if name == "$or":
            _check_alternatives(part, where)
        elif isinstance(part, Mapping):
            check_pattern(part, where)
        elif isinstance(part, list) and part:
            for matcher in part:
                _check_matcher(matcher, where)
        else:
            raise PatternError(f"{where}: {part!r} must be a list of matchers, e.g. [{part!r}]", field=where)


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Return whether the event matches a pattern that `check_pattern` accepted.

    >>> matches({"detail": {"state": {"value": ["ALARM"]}}}, {"detail": {"state": {"value": "ALARM"}}})
    True
    >>> matches({"detail": {"count": [{"numeric": [">", 0, "<=", 5]}]}}, {"detail": {"count": 5}})
    True
    """
    for name, part in pattern.items():
        if name == "$or":
            if not any(matches(alternative, event) for alternative in part):
                return False
            continue
        value = event.get(name, _ABSENT)
        if isinstance(part, Mapping):
            candidates = value if isinstance(value, list) else [value]
            if not any(matches(part, one if isinstance(one, Mapping) else {}) for one in candidates):
                return False
        elif not any(_matcher_fits(matcher, value) for matcher in part):
            return False
    return True


class _Absent:
    """The value of a field that is not there (None is JSON's null, which is there)."""


_ABSENT = _Absent()


def _check_alternatives(part: object, where: str) -> None:
    if not isinstance(part, list) or len(part) < 2:
        raise PatternError(f"{where}: expected a list of at least two patterns", field=where)
    for number, alternative in enumerate(part):
        check_pattern(alternative, f"{where}[{number}]")


def _check_matcher(matcher: object, where: str) -> None:
    if not isinstance(matcher, Mapping):
        if isinstance(matcher, list):
            raise PatternError(f"{where}: a list inside a list matches nothing", field=where)
        return
    if len(matcher) != 1:
        raise PatternError(f"{where}: {matcher!r} must hold exactly one operator", field=where)
    ((name, argument),) = matcher.items()
    if name not in OPERATORS:
        hint = did_you_mean(name, OPERATORS, listing="known are")
        raise PatternError(f"{where}: unknown operator {name!r}{hint}", field=where)
    if name == "exists" and not isinstance(argument, bool):
        raise PatternError(f"{where}: exists={argument!r} must be true or false", field=where)
    if name in ("prefix", "suffix", "equals-ignore-case") and not isinstance(argument, str):
        raise PatternError(f"{where}: {name}={argument!r} must be a string", field=where)
    if name == "numeric":
        _check_numeric(argument, where)
    if name == "anything-but" and isinstance(argument, Mapping):
        _check_matcher(argument, where)


def _check_numeric(argument: object, where: str) -> None:
    well_formed = (
        isinstance(argument, list)
        and len(argument) in (2, 4)
        and all(sign in COMPARISONS for sign in argument[::2])
        and all(_is_number(limit) for limit in argument[1::2])
    )
    if not well_formed:
        raise PatternError(
            f"{where}: numeric={argument!r} must be one or two pairs of sign and number, "
            f'e.g. [">", 0, "<=", 5]; signs are {", ".join(COMPARISONS)}',
            field=where,
        )


def _matcher_fits(matcher: object, value: object) -> bool:
    if isinstance(matcher, Mapping) and "exists" in matcher:
        return bool(matcher["exists"]) is (value is not _ABSENT)
    if value is _ABSENT:
        return False
    if isinstance(value, list):
        return any(_matcher_fits(matcher, one) for one in value)
    if not isinstance(matcher, Mapping):
        return _equal(matcher, value)
    ((name, argument),) = matcher.items()
    return _operator_fits(name, argument, value)


def _operator_fits(name: str, argument: Any, value: object) -> bool:
    if name == "anything-but":
        if isinstance(argument, Mapping):
            return not _matcher_fits(argument, value)
        excluded = argument if isinstance(argument, list) else [argument]
        return not any(_equal(one, value) for one in excluded)
    if name == "numeric":
        return (
            _is_number(value)
            and all(
                COMPARISONS[sign](float(value), float(limit))  # type: ignore[arg-type]  # _is_number proved it
                for sign, limit in zip(argument[::2], argument[1::2], strict=True)
            )
        )
    if not isinstance(value, str):
        return False
    if name == "prefix":
        return value.startswith(argument)
    if name == "suffix":
        return value.endswith(argument)
    return value.casefold() == str(argument).casefold()


def _equal(wanted: object, value: object) -> bool:
    """JSON equality: true is not 1, but 1 is 1.0."""
    return isinstance(wanted, bool) is isinstance(value, bool) and wanted == value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
