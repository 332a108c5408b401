"""What a source found out about functions and their calls: fields of the map, and what it could not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class FoundFunction(NamedTuple):
    """`fields`: of `integrations.Function`, by name; `unknown`: what could not be read, and why."""

    name: str
    fields: Mapping[str, object]
    unknown: tuple[str, ...] = ()


class FoundSource(NamedTuple):
    """What one source saw of calls and targets.

    `calls`: fields of `integrations.Call` by (function, target); `targets`: fields of
    `integrations.Target` by name; `unknown`: what it could not know, in words;
    `rollback_alarms`: the map's own field.
    """

    name: str
    calls: Mapping[tuple[str, str], Mapping[str, object]]
    targets: Mapping[str, Mapping[str, object]]
    unknown: tuple[str, ...] = ()
    rollback_alarms: tuple[str, ...] = ()


def few(names: list[str], most: int = 5) -> str:
    """Return names in a sentence that stays short.

    >>> few(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
