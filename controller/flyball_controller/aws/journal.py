"""The journal in DynamoDB: one item per decision, in the order of time, for a declared number of days.

The sort key begins with the decision's time in milliseconds, zero-padded, so
that a range of time is one query; the sequence of the state behind it orders
what one run decided. It ends in a digest of the record: the same record stored
twice is the same item, and two records of one moment that changed no state (so
that their sequence is the same) do not overwrite each other. Records are opaque
here; only the three fields that make the key are read.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from flyball_controller.aws.clients import DynamoDBClient
from flyball_controller.aws.errors import aws_call
from flyball_controller.aws.tables import BACKEND, Item, Pauses, batch_put, read_text
from flyball_controller.codec import canonical_json
from flyball_controller.ports import PortError

if TYPE_CHECKING:
    from flyball_controller.ports import Journal

DAY_S = 86_400
TIME_DIGITS = 14  # milliseconds until the year 5138
SEQUENCE_DIGITS = 12
DIGEST_DIGITS = 8


def sort_key(at_s: float, sequence: int, record: bytes) -> str:
    """Return the sort key of a record; its order as text is the order of time, then of steps.

    >>> sort_key(1700000000.25, 7, b"{}")
    '01700000000250#000000000007#44136fa3'
    """
    digest = hashlib.sha256(record).hexdigest()[:DIGEST_DIGITS]
    return f"{_milliseconds(at_s)}#{sequence:0{SEQUENCE_DIGITS}d}#{digest}"


def _milliseconds(at_s: float) -> str:
    return f"{max(0, round(at_s * 1000)):0{TIME_DIGITS}d}"


class DynamoJournal:
    """Append-only decisions in one table (partition key `target`, sort key `seq`).

    Args:
        client: A low-level DynamoDB client.
        table: Table name.
        keep_days: How long a record stays, counted from its decision; DynamoDB deletes it some time later.
        pauses: Between the tries of a batch that the service leaves incomplete.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        *,
        table: str,
        keep_days: int = 400,
        pauses: Pauses = Pauses(),  # noqa: B008  (immutable)
    ) -> None:
        self._client = client
        self._table = table
        self._keep_days = keep_days
        self._pauses = pauses

    def append(self, records: Sequence[Mapping[str, object]]) -> None:
        """Store the records; the same decision stored again changes nothing.

        Args:
            records: Each with `target` (text), `at_s` (epoch seconds) and `sequence` (whole, >= 0).

        Raises:
            PortError: If the backend fails (then a part may be stored; append all again), or a
                record lacks one of the three fields or is no JSON (then nothing was stored).
        """
        items: dict[tuple[str, str], Item] = {}
        for record in records:
            target, at_s, sequence = _key_fields(record)
            data = _encode(record)
            seq = sort_key(at_s, sequence, data)
            items[target, seq] = {
                "target": {"S": target},
                "seq": {"S": seq},
                "record": {"S": data.decode()},
                "expires": {"N": str(math.ceil(at_s) + self._keep_days * DAY_S)},
            }
        batch_put(self._client, self._table, list(items.values()), pauses=self._pauses)

    def read(self, target: str, *, since_s: float, until_s: float) -> Iterator[dict[str, object]]:
        """Yield the target's records with since_s <= at_s < until_s, oldest first.

        A record that cannot be decoded is yielded as {"target", "seq", "unreadable"}
        instead of being lost.

        Raises:
            PortError: If the backend fails; what was yielded before stands.
        """
        if since_s >= until_s:
            return  # DynamoDB refuses an inverted range
        page: dict[str, object] = {}
        while True:
            with aws_call(BACKEND, "Query"):
                reply = self._client.query(
                    TableName=self._table,
                    KeyConditionExpression="#target = :target AND #seq BETWEEN :since AND :until",
                    ExpressionAttributeNames={"#target": "target", "#seq": "seq"},
                    ExpressionAttributeValues={
                        ":target": {"S": target},
                        ":since": {"S": _milliseconds(since_s)},
                        # Without a sequence it sorts before every record of that millisecond.
                        ":until": {"S": _milliseconds(until_s)},
                    },
                    ConsistentRead=True,
                    **page,
                )
            for item in reply.get("Items", []):
                yield _record(item)
            if not reply.get("LastEvaluatedKey"):
                return
            page = {"ExclusiveStartKey": reply["LastEvaluatedKey"]}


def _key_fields(record: Mapping[str, object]) -> tuple[str, float, int]:
    target, at_s, sequence = record.get("target"), record.get("at_s"), record.get("sequence")
    if not isinstance(target, str) or not target:
        raise _unkeyed("target", target, "text, not empty")
    if isinstance(at_s, bool) or not isinstance(at_s, int | float) or not math.isfinite(at_s):
        raise _unkeyed("at_s", at_s, "epoch seconds, finite")
    if isinstance(sequence, bool) or not isinstance(sequence, int) or sequence < 0:
        raise _unkeyed("sequence", sequence, "a whole number from 0")
    return target, at_s, sequence


def _encode(record: Mapping[str, object]) -> bytes:
    try:
        return canonical_json(record)
    except (TypeError, ValueError) as error:
        raise PortError(
            f"journal record of {record['target']!r} at {record['at_s']} is not JSON; nothing was stored",
            backend=BACKEND,
            retryable=False,
        ) from error


def _unkeyed(field: str, value: object, allowed: str) -> PortError:
    return PortError(
        f"journal record: {field}={value!r} must be {allowed}, because it makes the key; nothing was stored",
        backend=BACKEND,
        retryable=False,
    )


def _record(item: Item) -> dict[str, object]:
    text = read_text(item, "record") or ""
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    if isinstance(record, dict):
        return record
    return {"target": read_text(item, "target"), "seq": read_text(item, "seq"), "unreadable": text}


if TYPE_CHECKING:
    _fits: type[Journal] = DynamoJournal
