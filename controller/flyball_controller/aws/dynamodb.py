"""DynamoDB stores of the controller: checkpoints, circuits and holds.

The protocol is that of the invariants P1 to P9: one item per key, a version that
rises by one per write and never restarts, and one conditional write that is also
the re-read, because a refused write returns what stands there. A write id tells
our own earlier success, whose reply was lost, from somebody else's.

No transactions and no locks: any number of controllers may run, and losing a
write costs one more look. Words: docs/glossary.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from flyball.contract import FLEET, Circuit, ContractError, decode_circuit, encode_circuit
from flyball_controller.aws.clients import DynamoDBClient
from flyball_controller.aws.errors import aws_call, error_code
from flyball_controller.aws.tables import (
    BACKEND,
    Item,
    Pauses,
    batch_get,
    expires,
    number,
    read_bytes,
    read_number,
    read_text,
    read_version,
)
from flyball_controller.core.model import Hold, HoldKind
from flyball_controller.ports import Checkpoint, Conflict, PortError, Saved

if TYPE_CHECKING:
    from flyball_controller.ports import Checkpoints, Circuits, Holds

CONDITION_FAILED = "ConditionalCheckFailedException"
NEVER_WRITTEN = Checkpoint(version=0, data=b"")


def put_if(
    client: DynamoDBClient,
    table: str,
    key: Item,
    item: Item,
    *,
    condition: str,
    names: Mapping[str, str],
    values: Item,
) -> Item | None:
    """Store `item` if `condition` holds; return None if it did, else what stands there ({} = nothing).

    One call in the normal case. A second, consistent read happens only if the
    refusal carries no item: nothing stood there, or the store cannot return it.

    Raises:
        PortError: If the backend fails for any reason but the condition.
    """
    try:
        with aws_call(BACKEND, "PutItem"):
            client.put_item(
                TableName=table,
                Item={**key, **item},
                ConditionExpression=condition,
                ExpressionAttributeNames=dict(names),
                **({"ExpressionAttributeValues": values} if values else {}),  # an empty map is refused
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
    except PortError as error:
        refusal = error.__cause__
        if not isinstance(refusal, ClientError) or error_code(refusal) != CONDITION_FAILED:
            raise
        standing: Item | None = refusal.response.get("Item")  # type: ignore[assignment]  # not in the stubs
    else:
        return None
    if standing:
        return standing
    with aws_call(BACKEND, "GetItem"):
        reply = client.get_item(TableName=table, Key=key, ConsistentRead=True)
    found: Item = reply.get("Item", {})
    return found


class DynamoCheckpoints:
    """Packed states in one table (partition key `key`): version, bytes, write id, stamp, physical expiry.

    Args:
        client: A low-level DynamoDB client.
        table: Table name.
        pauses: Between the tries of a batch read that the service leaves incomplete.
    """

    def __init__(self, client: DynamoDBClient, *, table: str, pauses: Pauses = Pauses()) -> None:  # noqa: B008  (immutable)
        self._client = client
        self._table = table
        self._pauses = pauses

    def load(self, keys: Sequence[str]) -> Mapping[str, Checkpoint]:
        """Return one checkpoint per key, strongly consistent; absent keys get version 0.

        An item without readable version is reported as never written; one
        without readable bytes keeps its version and gets b"", so that the core
        resets it and the version does not restart (C11, P1).

        Raises:
            PortError: If the backend fails.
        """
        found = batch_get(self._client, self._table, "key", keys, pauses=self._pauses)
        return {key: _checkpoint(found.get(key, {})) for key in keys}

    def save(
        self, key: str, data: bytes, *, expected_version: int, write_id: str, stamp_s: float, now_s: float
    ) -> Saved | Conflict:
        """Write version expected_version + 1 if expected_version still stands, in one call.

        Args:
            key: Whose state.
            data: Packed state.
            expected_version: What the caller read; 0 = never written.
            write_id: Unique per attempt to decide; the same when the same write is repeated (P4).
            stamp_s: Window start of the newest evidence in `data`, epoch seconds.
            now_s: Epoch seconds; sets the physical expiry 48 h ahead. Keys that begin with "#" (the
                fleet's, the publisher's, the policy's) never expire: nothing could derive them again.

        Returns:
            Saved if it stands now (also if an earlier try did it and its reply was lost),
            else Conflict with what stands there.

        Raises:
            PortError: If the backend fails, or the standing item's version is unreadable.
        """
        version = expected_version + 1
        # A version that is no number is not ours: nobody could ever write over it otherwise.
        never_written = "attribute_not_exists(#version) OR NOT attribute_type(#version, :number)"
        nobody_wrote_since = "#version = :expected"
        first = expected_version == 0
        standing = put_if(
            self._client,
            self._table,
            {"key": {"S": key}},
            {
                "version": number(version, field="version"),
                "b": {"B": data},
                "write_id": {"S": write_id},
                "stamp": number(stamp_s, field="stamp"),
                **({} if key.startswith("#") else {"expires": expires(now_s)}),
            },
            condition=never_written if first else nobody_wrote_since,
            names={"#version": "version"},
            values={":number": {"S": "N"}}
            if first
            else {":expected": number(expected_version, field="version")},
        )
        if standing is None:
            return Saved(version)
        current = _checkpoint(standing)
        reply_was_lost = current.write_id == write_id and current.version == version
        if reply_was_lost:
            return Saved(version)
        if standing and current.version == 0 and first:
            raise PortError(
                f"table {self._table}, key {key!r}: version={standing.get('version')!r} must be a whole "
                "number from 1; something else wrote this item, delete it",
                backend=BACKEND,
                retryable=False,
            )
        return Conflict(current)


def _checkpoint(item: Item) -> Checkpoint:
    version = read_version(item)
    if version is None:
        return NEVER_WRITTEN
    return Checkpoint(version, read_bytes(item, "b") or b"", read_text(item, "write_id") or "")


class DynamoCircuits:
    """The published circuit items (partition key `target`, sort key `function`)."""

    def __init__(self, client: DynamoDBClient, *, table: str) -> None:
        self._client = client
        self._table = table

    def publish(self, circuit: Circuit) -> bool:
        """Write if `circuit.version` is higher than what stands there.

        Returns:
            True if this circuit stands now: written, written by an earlier try whose
            reply was lost, or already there with the same content. False if a newer one
            stands (or another decision with the same version).

        Raises:
            PortError: If the backend fails.
        """
        try:
            item: Item = dict(encode_circuit(circuit))
        except ContractError as error:
            raise PortError(
                f"circuit of {circuit.target!r} cannot be published: {error}",
                backend=BACKEND,
                retryable=False,
            ) from error
        key = {name: item.pop(name) for name in ("target", "function")}
        item["expires"] = expires(circuit.valid_until)
        nothing_there = "attribute_not_exists(#version)"
        older_there = "#version < :version"
        # Deletion is lazy: an item past its physical expiry counts as deleted, or a state
        # that began anew after it could not publish until its version caught up.
        dead_there = "#expires < :stamp"
        # A version that is no number is not ours: nobody could ever write over it otherwise.
        foreign_there = "NOT attribute_type(#version, :number)"
        standing = put_if(
            self._client,
            self._table,
            key,
            item,
            condition=f"{nothing_there} OR {foreign_there} OR {older_there} OR {dead_there}",
            names={"#version": "version", "#expires": "expires"},
            values={
                ":number": {"S": "N"},
                ":version": number(circuit.version, field="version"),
                ":stamp": number(circuit.stamp, field="stamp"),
            },
        )
        if standing is None:
            return True
        stands = _circuit(standing)
        meant = _circuit({**key, **item})
        # Content is compared decoded: the service writes numbers in its own form.
        return (
            stands is not None
            and meant is not None
            and stands._replace(write_id="") == meant._replace(write_id="")
        )

    def read(self, target: str, function: str = FLEET) -> Circuit | None:
        """Return the item, strongly consistent; None if there never was one or it cannot be decoded (K4).

        Raises:
            PortError: If the backend fails.
        """
        with aws_call(BACKEND, "GetItem"):
            reply = self._client.get_item(
                TableName=self._table, Key=_circuit_key(target, function), ConsistentRead=True
            )
        return _circuit(reply.get("Item"))


def _circuit(item: Item | None) -> Circuit | None:
    """Return the circuit of an item; what cannot be decoded is as good as none (K4)."""
    try:
        return decode_circuit(item) if item else None
    except ContractError:
        return None


def _circuit_key(target: str, function: str) -> Item:
    return {"target": {"S": target}, "function": {"S": function}}


class DynamoHolds:
    """Operators' overrides (partition key `target`); the newest wins, whatever order they arrive in."""

    def __init__(self, client: DynamoDBClient, *, table: str, pauses: Pauses = Pauses()) -> None:  # noqa: B008  (immutable)
        self._client = client
        self._table = table
        self._pauses = pauses

    def active(self, targets: Sequence[str]) -> Mapping[str, Hold]:
        """Return the stored hold of each target that has one, expired ones included.

        An unreadable kind is taken as FREEZE, the hold that changes nothing; an
        item without readable end is no hold, since it could never expire.

        Raises:
            PortError: If the backend fails.
        """
        found = batch_get(self._client, self._table, "target", targets, pauses=self._pauses)
        holds = {target: _hold(item) for target, item in found.items()}
        return {target: hold for target, hold in holds.items() if hold is not None}

    def put(self, target: str, hold: Hold, *, now_s: float) -> None:
        """Store an override unless a newer one stands; a duplicate or a late one changes nothing.

        Raises:
            PortError: If the backend fails.
        """
        nothing_there = "attribute_not_exists(#put_at)"
        not_newer_there = "#put_at <= :now"
        put_if(
            self._client,
            self._table,
            {"target": {"S": target}},
            {
                "kind": {"S": hold.kind.name},
                "until": number(hold.until_s, field="until_s"),
                "by": {"S": hold.by},
                "why": {"S": hold.why},
                "put_at": number(now_s, field="now_s"),
                "expires": expires(max(hold.until_s, now_s)),
            },
            condition=f"{nothing_there} OR {not_newer_there}",
            names={"#put_at": "put_at"},
            values={":now": number(now_s, field="now_s")},
        )


def _hold(item: Item) -> Hold | None:
    until_s = read_number(item, "until")
    if until_s is None:
        return None
    kind = HoldKind.__members__.get(read_text(item, "kind") or "", HoldKind.FREEZE)
    return Hold(kind, until_s, read_text(item, "by") or "", read_text(item, "why") or "")


if TYPE_CHECKING:
    _checkpoints: type[Checkpoints] = DynamoCheckpoints
    _circuits: type[Circuits] = DynamoCircuits
    _holds: type[Holds] = DynamoHolds
