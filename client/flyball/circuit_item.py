"""The circuit item as DynamoDB attributes: {"S": text} and {"N": digits}, nothing else.

Written and read by hand, because the SDK's serialisers go through Decimal and
cost a hundred times as much as the item is worth. Decoding is total: whatever
stands in the table gives a Circuit or a ContractError, and an error never opens
anything (K4). Attributes that are not ours (the physical expiry, an operator's
note) are ignored.

Required are target, function, state, version and valid_until, so that an
operator can write a kill switch by hand; the rest has harmless defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import NoReturn

from flyball.document import shown
from flyball.errors import ContractError
from flyball.records import DEFAULT_PARAMS, Circuit, CircuitState, clip_circuit

Attributes = dict[str, dict[str, str]]

TEXT_MAX = 512  # characters; a circuit item must stay within one read unit
VERSION_MAX = 2**53 - 1
# Times at and after the year 10000 are not times.
TIME_MAX_S = 253_402_300_800.0
_STATES = {state.name.lower(): state for state in CircuitState}
# int() and float() also take "1_000", " 1", "nan" and other scripts' digits.
_is_number = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?").fullmatch


def encode_circuit(circuit: Circuit) -> Attributes:
    """Return the item of a circuit, without its physical expiry. `reason` is cut to TEXT_MAX characters.

    Raises:
        ContractError: A number is not finite or negative, or a text is too long:
            such an item would be unreadable.

    >>> encode_circuit(Circuit("a", "*", CircuitState.OPEN, 100.0, 9, 0.1, 3, "w", 60.0, 190.0, ""))["state"]
    {'S': 'open'}
    """
    item: Attributes = {
        "target": {"S": circuit.target},
        "function": {"S": circuit.function},
        "state": {"S": circuit.state.name.lower()},
        "write_id": {"S": circuit.write_id},
        "reason": {"S": circuit.reason[:TEXT_MAX]},
    }
    for field in ("changed_at", "error_count", "probe_ratio", "version", "stamp", "valid_until"):
        item[field] = {"N": _digits(getattr(circuit, field), field)}
    for field in ("budget_ratio", "max_attempts", "close_after"):
        value = getattr(circuit, field)
        if value is not None:
            item[field] = {"N": _digits(value, field)}
    decode_circuit(item)  # what no client could read must not be written
    return item


def decode_circuit(item: object) -> Circuit:
    """Return the circuit of an item, its ratios and attempts clipped to the bounds (K10).

    Args:
        item: Attribute name to typed value, as DynamoDB's low-level interface gives it.

    Raises:
        ContractError: A required attribute is missing, or one of ours cannot be understood.
    """
    if not isinstance(item, Mapping):
        _fail("circuit", item, "a mapping of attributes")
    circuit = Circuit(
        target=_text(item, "target", None),
        function=_text(item, "function", None),
        state=_state(item),
        changed_at=_number(item, "changed_at", 0.0, high=TIME_MAX_S),
        error_count=_integer(item, "error_count", 0),
        probe_ratio=_number(item, "probe_ratio", DEFAULT_PARAMS.breaker.probe_ratio, high=1e9),
        version=_integer(item, "version", None),
        write_id=_text(item, "write_id", ""),
        stamp=_number(item, "stamp", 0.0, high=TIME_MAX_S),
        valid_until=_number(item, "valid_until", None, high=TIME_MAX_S),
        reason=_text(item, "reason", ""),
        budget_ratio=_number(item, "budget_ratio", 0.0, high=1e9) if "budget_ratio" in item else None,
        max_attempts=_integer(item, "max_attempts", 1) if "max_attempts" in item else None,
        close_after=_integer(item, "close_after", 1) if "close_after" in item else None,
    )
    return clip_circuit(circuit)


def _fail(field: str, value: object, bound: str) -> NoReturn:
    raise ContractError(f"{field}: {shown(value)} must be {bound}", field=field, value=value, bound=bound)


def _typed(item: Mapping[object, object], field: str, kind: str) -> str:
    attribute = item.get(field)
    # Items from a table are dicts; asking an abstract class first costs most of reading one.
    value = None
    if isinstance(attribute, (dict, Mapping)) and len(attribute) == 1:
        value = attribute.get(kind)
    if not isinstance(value, str):
        _fail(field, attribute, f'an attribute of the form {{"{kind}": "..."}}')
    return value


def _text(item: Mapping[object, object], field: str, missing: str | None) -> str:
    if missing is not None and field not in item:
        return missing
    value = _typed(item, field, "S")
    if len(value) > TEXT_MAX or (missing is None and not value):
        _fail(field, value, f"text of {0 if missing is not None else 1} to {TEXT_MAX} characters")
    return value


def _state(item: Mapping[object, object]) -> CircuitState:
    name = _typed(item, "state", "S")
    state = _STATES.get(name)
    if state is None:
        _fail("state", name, f"one of {', '.join(_STATES)}")
    return state


def _number(item: Mapping[object, object], field: str, missing: float | None, *, high: float) -> float:
    if missing is not None and field not in item:
        return missing
    digits = _typed(item, field, "N")
    value = float(digits) if _is_number(digits) else -1.0
    if not 0.0 <= value <= high:
        _fail(field, digits, f"a number in [0, {high:g}]")
    return value


def _integer(item: Mapping[object, object], field: str, missing: int | None) -> int:
    value = _number(item, field, missing, high=float(VERSION_MAX))
    if value != int(value):
        _fail(field, value, "an integer")
    return int(value)


def _digits(value: float, field: str) -> str:
    """The number as DynamoDB gives it back: no exponent and no fraction where none is needed."""
    if not isfinite(value):
        _fail(field, value, "a finite number")
    return str(int(value)) if value == int(value) else repr(value)
