"""What a source found out about one function: fields of the map, and what it could not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class FoundFunction(NamedTuple):
    """`fields`: of `integrations.Function`, by name; `unknown`: what could not be read, and why."""

    name: str
    fields: Mapping[str, object]
    unknown: tuple[str, ...] = ()
