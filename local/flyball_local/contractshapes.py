"""One botocore shape compiled into one function that finds every broken constraint.

Knows shapes only: no service, no operation, no client, no transport. Compiled
because every emulator request and response passes here, thousands in a test
run: constraints are read from the model once, and a good value costs no string
formatting at all; paths are put together only when something is wrong.

Numbers: an integer is 32 bits wide and a long 64, as AWS means them; bool is
neither; NaN and infinity have no JSON form. Times: a naive datetime is refused
in requests, because botocore would take it for the machine's local time.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from botocore.utils import parse_timestamp

from flyball.hints import did_you_mean


class Violation(NamedTuple):
    """One broken constraint: where (`path`, "$" is the whole), what is wrong, and the value found."""

    path: str
    problem: str
    value: object

    def __str__(self) -> str:
        shown = repr(self.value)
        return f"{self.path}: {self.problem} (got {shown if len(shown) <= 80 else shown[:77] + '...'})"


class Fault(NamedTuple):
    """A violation in the making: its path parts are gathered on the way out, innermost first."""

    parts: list[str]
    problem: str
    value: object


Check = Callable[[Any, list[Fault]], None]
Bounds = Callable[[Any, float, list[Fault]], None]
_INTEGER_RANGE = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


class ShapeChecks:
    """Compiles shapes of one model for one direction and keeps the results.

    Args:
        outgoing: True for requests, False for responses; they differ in what may
            stand for a time or a blob.
        deviations: Constraints that replace the model's, by (structure, member).
    """

    def __init__(self, *, outgoing: bool, deviations: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        self.unchecked_patterns: set[str] = set()
        self._outgoing = outgoing
        self._deviations = deviations
        self._checks: dict[str, Check] = {}

    def run(self, shape: Shape, value: object) -> tuple[Violation, ...]:
        """Return every broken constraint of `value`, in the order met."""
        faults: list[Fault] = []
        self.compiled(shape)(value, faults)
        return violations(faults)

    def compiled(self, shape: Shape) -> Check:
        """Return the check of a shape, building it on first use."""
        name = shape.name
        known = self._checks.get(name)
        if known is not None:
            return known

        # Shapes may contain themselves: until this one is built, refer to it by name.
        def later(value: Any, faults: list[Fault]) -> None:
            self._checks[name](value, faults)

        self._checks[name] = later
        check = self._checks[name] = self._compile(shape, shape.metadata)
        return check

    def _compile(self, shape: Shape, limits: Mapping[str, Any]) -> Check:
        if getattr(shape, "is_document_type", False) or shape.serialization.get("jsonvalue"):
            return _anything
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            return _list_check(_bounds(limits, "items"), self.compiled(shape.member))
        if isinstance(shape, MapShape):
            return _map_check(
                _bounds(limits, "entries"), self.compiled(shape.key), self.compiled(shape.value)
            )
        if isinstance(shape, StringShape):
            pattern = limits.get("pattern")
            matches = None if pattern is None else self._pattern(pattern)
            return _string_check(_bounds(limits, "characters"), pattern, matches, frozenset(shape.enum or ()))
        if shape.type_name in _INTEGER_RANGE:
            return _integer_check(*_INTEGER_RANGE[shape.type_name], _bounds(limits, ""))
        if shape.type_name in ("float", "double"):
            return _float_check(_bounds(limits, ""))
        if shape.type_name == "boolean":
            return _boolean
        if shape.type_name == "timestamp":
            return _time_to_send if self._outgoing else _time_received
        return _blob_check(_bounds(limits, "bytes"), text_allowed=self._outgoing)

    def _structure(self, shape: StructureShape) -> Check:
        members = {name: self.compiled(member) for name, member in shape.members.items()}
        for (structure, name), limits in self._deviations.items():
            if structure == shape.name:
                member = shape.members[name]
                members[name] = self._compile(member, {**member.metadata, **limits})
        union = bool(getattr(shape, "is_tagged_union", False))
        return _structure_check(members, tuple(shape.required_members), union=union)

    def _pattern(self, pattern: str) -> Callable[[str], object] | None:
        try:
            compiled = re.compile(pattern, re.ASCII)
        except re.error:
            self.unchecked_patterns.add(pattern)
            return None
        anchored = pattern.startswith(("^", "(^")) or pattern.endswith(("$", "$)"))
        return compiled.search if anchored else compiled.fullmatch


def violations(faults: Iterable[Fault]) -> tuple[Violation, ...]:
    """Return finished violations: parts become a path such as `Items[0].Id`."""
    return tuple(
        Violation("".join(reversed(fault.parts)).lstrip(".") or "$", fault.problem, fault.value)
        for fault in faults
    )


def unknown_members(shape: Shape, node: object) -> tuple[Violation, ...]:
    """Return members of a JSON document that the shape does not know, at any depth, by their wire names."""
    faults: list[Fault] = []
    _find_unknown(shape, node, faults)
    return violations(faults)


def _find_unknown(shape: Shape, node: object, faults: list[Fault]) -> None:
    for part, member, item in _children(shape, node, faults):
        before = len(faults)
        _find_unknown(member, item, faults)
        _extend_paths(faults, before, part)


def _children(shape: Shape, node: object, faults: list[Fault]) -> list[tuple[str, Shape, object]]:
    if isinstance(shape, StructureShape) and isinstance(node, dict):
        if getattr(shape, "is_document_type", False):
            return []
        wire = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        # `__type` names the shape on the wire; every JSON protocol may add it.
        faults.extend(
            Fault([f".{name}"], f"is sent but unknown to the model{did_you_mean(name, wire)}", node[name])
            for name in node
            if name not in wire and name != "__type"
        )
        return [(f".{name}", wire[name], item) for name, item in node.items() if name in wire]
    if isinstance(shape, ListShape) and isinstance(node, list):
        return [(f"[{index}]", shape.member, item) for index, item in enumerate(node)]
    if isinstance(shape, MapShape) and isinstance(node, dict):
        return [(f"[{key!r}]", shape.value, item) for key, item in node.items()]
    return []


def _extend_paths(faults: list[Fault], since: int, part: str) -> None:
    for fault in faults[since:]:
        fault.parts.append(part)


def _anything(value: Any, faults: list[Fault]) -> None:
    """Accept any value: the model leaves it open."""


def _structure_check(members: Mapping[str, Check], required: tuple[str, ...], *, union: bool) -> Check:
    def check(value: Any, faults: list[Fault]) -> None:
        if not isinstance(value, dict):
            faults.append(Fault([], "must be a structure (dict)", value))
            return
        faults.extend(
            Fault([], f"required member {name!r} is missing", value) for name in required if name not in value
        )
        if union and len(value) != 1:
            faults.append(Fault([], f"is a union and must have exactly one of {sorted(members)}", value))
        for name, item in value.items():
            member = members.get(name)
            if member is None:
                faults.append(Fault([f".{name}"], f"unknown member{did_you_mean(name, members)}", item))
                continue
            before = len(faults)
            member(item, faults)
            if len(faults) > before:
                _extend_paths(faults, before, f".{name}")

    return check


def _list_check(bounds: Bounds | None, member: Check) -> Check:
    def check(value: Any, faults: list[Fault]) -> None:
        if not isinstance(value, list | tuple):
            faults.append(Fault([], "must be a list", value))
            return
        if bounds is not None:
            bounds(value, len(value), faults)
        for index, item in enumerate(value):
            before = len(faults)
            member(item, faults)
            if len(faults) > before:
                _extend_paths(faults, before, f"[{index}]")

    return check


def _map_check(bounds: Bounds | None, key_check: Check, value_check: Check) -> Check:
    def check(value: Any, faults: list[Fault]) -> None:
        if not isinstance(value, dict):
            faults.append(Fault([], "must be a map (dict)", value))
            return
        if bounds is not None:
            bounds(value, len(value), faults)
        for key, item in value.items():
            before = len(faults)
            key_check(key, faults)
            value_check(item, faults)
            if len(faults) > before:
                _extend_paths(faults, before, f"[{key!r}]")

    return check


def _string_check(
    bounds: Bounds | None, pattern: str | None, matches: Callable[[str], object] | None, enum: frozenset[str]
) -> Check:
    def check(value: Any, faults: list[Fault]) -> None:
        if not isinstance(value, str):
            faults.append(Fault([], "must be a string", value))
            return
        if bounds is not None:
            bounds(value, len(value), faults)
        if matches is not None and not matches(value):
            faults.append(Fault([], f"does not match the pattern {pattern}", value))
        if enum and value not in enum:
            faults.append(Fault([], f"must be one of {sorted(enum)}{did_you_mean(value, enum)}", value))

    return check


def _integer_check(low: int, high: int, bounds: Bounds | None) -> Check:
    def check(value: Any, faults: list[Fault]) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            faults.append(Fault([], "must be an integer", value))
        elif not low <= value <= high:
            faults.append(Fault([], f"must lie in [{low}, {high}]", value))
        elif bounds is not None:
            bounds(value, value, faults)

    return check


def _float_check(bounds: Bounds | None) -> Check:
    def check(value: Any, faults: list[Fault]) -> None:
        if not isinstance(value, float | int | Decimal) or isinstance(value, bool):
            faults.append(Fault([], "must be a number", value))
        elif not math.isfinite(value):
            faults.append(Fault([], "must be finite: NaN and infinity have no JSON form", value))
        elif bounds is not None:
            bounds(value, float(value), faults)

    return check


def _blob_check(bounds: Bounds | None, *, text_allowed: bool) -> Check:
    def check(value: Any, faults: list[Fault]) -> None:
        if isinstance(value, bytes | bytearray) or (text_allowed and isinstance(value, str)):
            if bounds is not None:
                bounds(value, len(value), faults)
        elif not hasattr(value, "read"):
            faults.append(Fault([], "must be bytes or a file-like object", value))

    return check


def _boolean(value: Any, faults: list[Fault]) -> None:
    if not isinstance(value, bool):
        faults.append(Fault([], "must be true or false", value))


def _time_received(value: Any, faults: list[Fault]) -> None:
    if not isinstance(value, datetime.datetime) or value.tzinfo is None:
        faults.append(Fault([], "must be an aware datetime", value))


def _time_to_send(value: Any, faults: list[Fault]) -> None:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            faults.append(Fault([], "is a naive datetime, which botocore takes for local time", value))
        return
    try:
        if isinstance(value, bool):
            raise TypeError
        parse_timestamp(value)
    except (TypeError, ValueError, AttributeError, OverflowError):
        faults.append(Fault([], "must be a time (aware datetime, ISO 8601 or epoch seconds)", value))


def _bounds(limits: Mapping[str, Any], unit: str) -> Bounds | None:
    low, high = limits.get("min"), limits.get("max")
    if low is None and high is None:
        return None
    lowest = -math.inf if low is None else low
    highest = math.inf if high is None else high
    wanted = f"must lie in [{lowest}, {highest}]" if not unit else f"must have {lowest} to {highest} {unit}"

    def check(value: Any, measure: float, faults: list[Fault]) -> None:
        if not lowest <= measure <= highest:
            faults.append(Fault([], wanted, value))

    return check
