"""Total readers for values from outside: any input gives a bounded value or None, never an exception.

What arrives in an event was written by other systems, by people, or by an
attacker. The readers here take `object` and answer in plain types whose size is
capped, so that no later line needs to ask again: a million-digit integer, a
lone surrogate, NaN, a string nested a thousand levels deep and a date in the
year 0 all end in this file (E1, T16). Nothing here knows what an alarm is.

Why not a schema library: the payloads vary on purpose (fields come and go
between AWS releases, see tests/events), and only a dozen fields matter.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

# EventBridge, SNS and SQS carry at most 256 KiB (SQS more since 2025); a real alarm needs under 64 KiB.
JSON_CHARS_MAX = 262_144
# An alarm nests seven levels; json's own limit is the interpreter's stack, which must not be reached.
JSON_DEPTH_MAX = 32
# What of an offending value is shown in a message or a log line.
SHOWN_CHARS_MAX = 80

_BRACKETS = re.compile(r"""[\[\]{}]|"(?:[^"\\]++|\\(?:.|\Z))*+(?:"|\Z)""", re.DOTALL)


class Fault(StrEnum):
    """Why a text could not be decoded."""

    NOT_TEXT = "not-text"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    NOT_JSON = "not-json"


class Undecodable(NamedTuple):
    """A text that is not usable JSON; `bound` says what is allowed."""

    fault: Fault
    shown: str
    bound: str


def text(value: object, limit: int) -> str | None:
    r"""Return the string cut to `limit` characters, lone surrogates replaced; None if it is not a string.

    >>> text("a\ud800b", 10), text("abcdef", 3), text(7, 10)
    ('a?b', 'abc', None)
    """
    if not isinstance(value, str):
        return None
    return value[:limit].encode("utf-8", "replace").decode("utf-8")


def shown(value: object, limit: int = SHOWN_CHARS_MAX) -> str:
    """Return a short, printable form of any value, for messages: containers by size, long numbers by length.

    >>> shown({"a": 1}), shown(10**5000), shown("ALARM"), shown(None)
    ('an object of 1', 'an integer of 16610 bits', "'ALARM'", 'nothing')
    """
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(text(value, limit))
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"  # str() of it may be refused by the interpreter
    if isinstance(value, bool | int | float):
        return repr(value)
    return f"a value of type {type(value).__name__}"[:limit]


def number(value: object) -> float | None:
    """Return a finite float, or None: not a number, NaN, infinite or larger than a float can hold.

    >>> number(3), number(True), number(float("nan")), number(10**400), number("3")
    (3.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def numbers(value: object, limit: int) -> tuple[float, ...]:
    """Return the finite numbers among the first `limit` members of a list; empty if it is not a list."""
    if not isinstance(value, list):
        return ()
    return tuple(n for n in map(number, value[:limit]) if n is not None)


def instant_s(value: object) -> float | None:
    """Return epoch seconds of an ISO 8601 time with a zone, as CloudWatch writes it; None if it is not one.

    >>> instant_s("2019-10-02T17:04:40.989+0000"), instant_s("2019-10-02T17:04:40Z"), instant_s("yesterday")
    (1570035880.989, 1570035880.0, None)
    """
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def child(value: object, *keys: str) -> object:
    """Return the member at a path of keys, or None as soon as a step is absent or not an object.

    >>> child({"a": {"b": 1}}, "a", "b"), child({"a": [1]}, "a", "b")
    (1, None)
    """
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def members(value: object, limit: int) -> list[object]:
    """Return the first `limit` members of a list, or none if it is not a list."""
    return value[:limit] if isinstance(value, list) else []


def depth_of(raw: str) -> int:
    """Return how deeply brackets nest in a JSON text, strings skipped; linear, no recursion.

    >>> depth_of('{"a": [1, "]}[[["]}'), depth_of("[" * 100)
    (2, 100)
    """
    depth = deepest = 0
    for match in _BRACKETS.finditer(raw):
        token = match.group()
        if token in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in ("]", "}"):
            depth -= 1
    return deepest


def decode_json(raw: object, *, chars_max: int = JSON_CHARS_MAX) -> object | Undecodable:
    """Return the decoded JSON, or why it cannot be; size and depth are checked before any parser runs.

    NaN and Infinity, which JSON does not have but Python's reader accepts, read as null.

    >>> decode_json('{"a": NaN}'), decode_json("[" * 10_000).fault.value, decode_json("9" * 5_000).fault.value
    ({'a': None}, 'too-deep', 'not-json')
    """
    if not isinstance(raw, str):
        return Undecodable(Fault.NOT_TEXT, shown(raw), "a string holding JSON")
    if len(raw) > chars_max:
        return Undecodable(Fault.TOO_LARGE, f"{len(raw)} characters", f"at most {chars_max} characters")
    openings = raw.count("[") + raw.count("{")  # an upper bound of the depth, at C speed
    if openings > JSON_DEPTH_MAX and depth_of(raw) > JSON_DEPTH_MAX:
        return Undecodable(Fault.TOO_DEEP, shown(raw, 20), f"at most {JSON_DEPTH_MAX} levels")
    try:
        decoded: object = json.loads(raw, parse_constant=lambda _: None)
    except ValueError:  # also JSONDecodeError, and integers beyond the interpreter's digit limit
        return Undecodable(Fault.NOT_JSON, shown(raw, 40), "valid JSON")
    return decoded
