"""What every DynamoDB store shares: typed attributes, bounded batch calls, one pause rule.

Attribute values are written and read in the wire form ({"N": "1"}): the SDK's
own conversion to Decimal maps costs a hundred times more than the packed state
it would carry. Reading is total: a value of the wrong type reads as None.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from flyball_controller.aws.clients import DynamoDBClient
from flyball_controller.aws.errors import aws_call
from flyball_controller.ports import PortError

BACKEND = "dynamodb"
# Physical expiry: longer than the longest redelivery of an event (EventBridge 24 h
# + Lambda's queue 6 h = 30 h), because a version that restarts would let an old
# event apply twice (P1). Logical expiry is `valid_until`, and readers check it.
PHYSICAL_TTL_S = 48 * 3600
GET_KEYS_MAX = 100  # BatchGetItem, service limit
WRITE_ITEMS_MAX = 25  # BatchWriteItem, service limit
NUMBER_DIGITS_MAX = 38  # of a number attribute, service limit

Attribute = dict[str, Any]
Item = dict[str, Attribute]
T = TypeVar("T")


class Pauses(NamedTuple):
    """How to wait between the tries of a batch: full jitter below a doubling cap.

    `draw` gives a number in [0, 1) and `sleep` waits; both are arguments so that
    tests neither wait nor guess. Source of full jitter: AWS Architecture Blog,
    "Exponential Backoff And Jitter" (2015).
    """

    draw: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep
    base_s: float = 0.05
    cap_s: float = 1.0
    tries: int = 5

    def wait(self, attempt: int) -> None:
        """Sleep before try `attempt` (the second try is 1)."""
        self.sleep(self.draw() * min(self.cap_s, self.base_s * 2.0**attempt))


def number(value: float, *, field: str) -> Attribute:
    """Return a number attribute; floats keep every digit.

    Raises:
        PortError: If `value` is NaN or infinite: DynamoDB has no such number.

    >>> number(1700000000.5, field="stamp"), number(3, field="version")
    ({'N': '1700000000.5'}, {'N': '3'})
    """
    if not math.isfinite(value):
        raise PortError(
            f"{field}={value!r} must be finite: DynamoDB stores neither NaN nor infinity; "
            "the caller has to clamp it",
            backend=BACKEND,
            retryable=False,
        )
    return {"N": repr(value)}


def expires(after_s: float) -> Attribute:
    """Return the TTL attribute: whole epoch seconds, 48 h after the given moment (P1).

    >>> expires(0.5)
    {'N': '172801'}
    """
    number(after_s, field="expires")
    return {"N": str(math.ceil(after_s) + PHYSICAL_TTL_S)}


def read_text(item: Mapping[str, Attribute], name: str) -> str | None:
    """Return a string attribute, None if absent or of another type."""
    value = item.get(name, {}).get("S")
    return value if isinstance(value, str) else None


def read_bytes(item: Mapping[str, Attribute], name: str) -> bytes | None:
    """Return a binary attribute, None if absent or of another type."""
    value = item.get(name, {}).get("B")
    return bytes(value) if isinstance(value, bytes | bytearray) else None


def read_number(item: Mapping[str, Attribute], name: str) -> float | None:
    """Return a number attribute as a finite float, None if absent or not a number."""
    raw = item.get(name, {}).get("N")
    if not isinstance(raw, str):
        return None
    try:
        value = float(raw)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_version(item: Mapping[str, Attribute], name: str = "version") -> int | None:
    """Return a version attribute (a whole number from 1), None if it is anything else.

    >>> read_version({"version": {"N": "12"}}), read_version({"version": {"N": "1.5"}})
    (12, None)
    """
    raw = item.get(name, {}).get("N")
    if not isinstance(raw, str) or not raw.isascii() or not raw.isdigit() or len(raw) > NUMBER_DIGITS_MAX:
        return None
    return int(raw) or None


def chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield slices of at most `size`, in order."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def batch_get(
    client: DynamoDBClient, table: str, key: str, values: Sequence[str], *, pauses: Pauses
) -> dict[str, Item]:
    """Return the items of `values` that exist, by key, strongly consistent.

    Args:
        client: A low-level DynamoDB client.
        table: Table whose only key is the string attribute `key`.
        key: Name of that attribute.
        values: Keys; duplicates are asked for once.
        pauses: Between tries, when the service leaves keys unprocessed.

    Raises:
        PortError: If a call fails, or keys are still unprocessed after the last try (retryable).
    """
    found: dict[str, Item] = {}
    for chunk in chunks(list(dict.fromkeys(values)), GET_KEYS_MAX):
        wanted: Any = {table: {"Keys": [{key: {"S": value}} for value in chunk], "ConsistentRead": True}}
        for attempt in range(pauses.tries):
            if attempt:
                pauses.wait(attempt)
            with aws_call(BACKEND, "BatchGetItem"):
                reply = client.batch_get_item(RequestItems=wanted)
            for item in reply.get("Responses", {}).get(table, []):
                found[item[key]["S"]] = item
            wanted = reply.get("UnprocessedKeys")
            if not wanted:
                break
        else:
            raise _left_over("BatchGetItem", table, len(wanted[table]["Keys"]), pauses.tries)
    return found


def batch_put(client: DynamoDBClient, table: str, items: Sequence[Item], *, pauses: Pauses) -> None:
    """Store items without condition, at most 25 per call; their keys must be distinct.

    Raises:
        PortError: If a call fails, or items are still unprocessed after the last try (retryable).
            Items of earlier calls stand; storing them again changes nothing.
    """
    for chunk in chunks(items, WRITE_ITEMS_MAX):
        wanted: Any = {table: [{"PutRequest": {"Item": item}} for item in chunk]}
        for attempt in range(pauses.tries):
            if attempt:
                pauses.wait(attempt)
            with aws_call(BACKEND, "BatchWriteItem"):
                reply = client.batch_write_item(RequestItems=wanted)
            wanted = reply.get("UnprocessedItems")
            if not wanted:
                break
        else:
            raise _left_over("BatchWriteItem", table, len(wanted[table]), pauses.tries)


def _left_over(operation: str, table: str, count: int, tries: int) -> PortError:
    return PortError(
        f"{operation} left {count} of table {table} unprocessed after {tries} tries: "
        "it is throttled; raise its capacity or wait for the next tick",
        backend=BACKEND,
        retryable=True,
    )
