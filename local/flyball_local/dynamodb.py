"""DynamoDB for tests and the demo: moto's operations, made atomic, with time to live and faults on demand.

In process (`attach`) a botocore client is answered inside its own `before-send`
event, after validation, serialisation and signing: retries, time-outs and error
parsing are botocore's own, no socket is opened and nothing global is patched.
Other processes reach the same tables over loopback (`serve`).

Fidelity, beyond moto (motodynamo.py): conditional writes are atomic; expired
items stay readable until they are deleted, lazily late, on the virtual clock;
eventual reads can be behind; throttles, server errors, lost replies and slow
answers can be ordered. Not modelled: capacity, partitions, streams, backups.

Source of the time-to-live rules: Amazon DynamoDB developer guide, "Using time
to live": epoch seconds in a Number, deletion within a few days, items more than
five years past are left alone, expired items are readable until deleted.
"""

from __future__ import annotations

import binascii
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from random import Random
from typing import Any, NamedTuple, cast

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import ReadTimeoutError

from flyball_controller.ports import Clock
from flyball_local.expiry import Expiries
from flyball_local.faults import Fault, FaultKind, FaultQueue
from flyball_local.loopback import HttpReply, HttpRequest, LoopbackServer
from flyball_local.motodynamo import (
    CONTENT_TYPE,
    Answer,
    JsonObject,
    MotoTables,
    Table,
    decode_binary,
    encode_json,
    error_answer,
)

DAY_S = 86_400.0
# "Within a few days", says the documentation; until 2024 it said 48 h, and that is the worst emulated here.
TTL_LAG_MAX_S = 2 * DAY_S
TTL_ATTRIBUTE = "expires"
# Writes whose touched keys the request does not simply name: all items of all tables are looked at again.
OPAQUE_WRITES = frozenset(
    {
        "BatchExecuteStatement",
        "CreateTable",
        "DeleteTable",
        "ExecuteStatement",
        "ExecuteTransaction",
        "ImportTable",
        "RestoreTableFromBackup",
        "RestoreTableToPointInTime",
        "UpdateTimeToLive",
    }
)


class TableKeys(NamedTuple):
    """Key attributes (all strings) of one table."""

    partition: str
    sort: str | None = None


class TableNames(NamedTuple):
    """The four tables flyball uses; the keys of each are in `TABLE_KEYS`."""

    circuits: str = "flyball-circuits"
    state: str = "flyball-state"
    journal: str = "flyball-journal"
    holds: str = "flyball-holds"


TABLE_NAMES = TableNames()
# Which attributes identify an item; the sort key of a circuit is a function's name or "*" for all of them.
TABLE_KEYS = {
    "circuits": TableKeys("target", "function"),
    "state": TableKeys("key"),
    "journal": TableKeys("target", "seq"),
    "holds": TableKeys("target"),
}


class ReplyLostError(Exception):
    """The call may have had its effect; no reply is going to come."""


class DynamoDBService:
    """Tables of one account and region, with their faults, their time to live and their revision counts."""

    def __init__(
        self,
        clock: Clock,
        *,
        region: str = "eu-west-1",
        account: str = "000000000000",
        seed: int = 0,
        ttl_lag_s: float = TTL_LAG_MAX_S,
        versions_kept: int = 0,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """Make an empty service.

        Args:
            clock: Decides what has expired; usually a virtual clock.
            region: Region of the ARNs, and of the clients that may be attached.
            account: Account of the ARNs, 12 digits.
            seed: Draws how late each expired item is deleted.
            ttl_lag_s: Longest time from expiry to deletion, seconds, in [0, 172800]; each item's own lag is
                uniform in [0, ttl_lag_s].
            versions_kept: Old versions kept per item for stale reads, >= 0; 0 costs nothing.
            wait: How a slow answer passes its seconds: real sleep, or a virtual clock's `advance`.

        Raises:
            ValueError: If `ttl_lag_s` or `versions_kept` is outside its range.
        """
        if not 0.0 <= ttl_lag_s <= TTL_LAG_MAX_S:
            raise ValueError(f"ttl_lag_s={ttl_lag_s} must lie in [0, {TTL_LAG_MAX_S:.0f}] seconds (48 h)")
        if versions_kept < 0:
            raise ValueError(f"versions_kept={versions_kept} must not be negative")
        self.faults = FaultQueue()
        self.calls: Counter[str] = Counter()
        self.region = region
        self._clock = clock
        self._wait = wait
        self._tables = MotoTables(region=region, account=account)
        self._revisions: Counter[str] = Counter()
        self._expiries = Expiries(self._tables, Random(seed), ttl_lag_s)
        self._versions_kept = versions_kept
        self._versions: dict[tuple[str, str], deque[JsonObject | None]] = {}

    def attach(self, client: BaseClient) -> None:
        """Answer every call of this botocore client here, in process, without a socket.

        Raises:
            ValueError: If it is not a DynamoDB client of this region.
        """
        service = client.meta.service_model.service_name
        if service != "dynamodb" or client.meta.region_name != self.region:
            raise ValueError(
                f"a {service} client of {client.meta.region_name} cannot be attached: "
                f"these tables answer dynamodb clients of {self.region}"
            )
        patience_s = float(cast(Any, client.meta.config).read_timeout)

        def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
            try:
                status, text = self.handle(_operation(request.headers), _bytes(request.body), patience_s)
            except ReplyLostError as lost:
                raise ReadTimeoutError(endpoint_url=request.url, error=lost) from lost
            return AWSResponse(
                request.url, status, cast(Any, {"content-type": CONTENT_TYPE}), _Body(text.encode())
            )

        client.meta.events.register("before-send.dynamodb", cast(Any, answer))

    @contextmanager
    def serve(self) -> Iterator[LoopbackServer]:
        """Answer other processes at `.url` until the block ends."""
        with LoopbackServer(self._respond) as server:
            yield server

    def handle(self, operation: str, body: bytes, patience_s: float = float("inf")) -> Answer:
        """Answer one request as the wire carries it.

        Args:
            operation: Name in the service model, e.g. "PutItem".
            body: The JSON request.
            patience_s: How long the caller waits for the reply, seconds.

        Raises:
            ReplyLostError: If a fault withholds the reply; the call has had its effect.
        """
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            return error_answer("SerializationException", "the request is not JSON")
        if not isinstance(request, dict):
            return error_answer("SerializationException", "the request is not a JSON object")
        eventual = _is_eventual(operation, request)
        fault = self.faults.take(operation, eventual=eventual)
        with self._tables.lock:
            self.calls[operation] += 1
            refusal = _refusal(fault)
            if refusal is not None:
                return refusal
            self._sweep()
            if fault is not None and fault.kind is FaultKind.STALE_READ:
                return self._stale_answer(operation, request, int(fault.value))
            try:
                answer = self._run(operation, request)
            except binascii.Error:
                return error_answer("SerializationException", "a binary attribute value is not base64")
        self._hold_back(fault, patience_s)
        return answer

    def revision(self, table: str) -> int:
        """Return a count that rises with every change of the table, also by expiry: equal, nothing to read.

        >>> from flyball_controller.ports import Clock
        >>> class Noon:
        ...     def now_s(self) -> float: return 43_200.0
        >>> DynamoDBService(Noon()).revision("flyball-circuits")
        0
        """
        with self._tables.lock:
            self._sweep()
            return self._revisions[table]

    def _run(self, operation: str, request: JsonObject) -> Answer:
        touched = self._touched(operation, request)
        before = [self._tables.item(table, key) for table, key in touched] if self._versions_kept else []
        names = self._table_names() if operation in OPAQUE_WRITES else frozenset()
        answer = self._tables.call(operation, request)
        if answer.status != 200:
            return answer
        for (table, key), old in zip(touched, before, strict=False):
            kept = self._versions.setdefault((table.name, _identity(key)), deque(maxlen=self._versions_kept))
            kept.appendleft(old)
        for table, key in touched:
            self._revisions[table.name] += 1
            self._expiries.note(table, key)
        if operation in OPAQUE_WRITES:
            self._revisions.update(names | self._table_names())
            self._expiries.rebuild()
        return answer

    def _touched(self, operation: str, request: JsonObject) -> list[tuple[Table, JsonObject]]:
        return [
            (table, {name: decode_binary(source[name]) for name in table.table_key_attrs})
            for table_name, source in _written(operation, request)
            if (table := self._tables.table(table_name)) is not None
            # An incomplete key is moto's to refuse.
            and all(name in source for name in table.table_key_attrs)
        ]

    def _table_names(self) -> frozenset[str]:
        return frozenset(table.name for table in self._tables.tables())

    def _sweep(self) -> None:
        self._revisions.update(self._expiries.sweep(self._clock.now_s()))

    def _stale_answer(self, operation: str, request: JsonObject, versions: int) -> Answer:
        """Answer a read from replicas that are `versions` writes behind, or as far as is kept."""
        if operation == "GetItem":
            name, key = str(request.get("TableName")), decode_binary(request.get("Key"))
            kept = self._versions.get((name, _identity(key)))
            if not kept:  # never written, or written before this service kept versions: every replica agrees
                return self._tables.call(operation, request)
            item = kept[min(versions, len(kept)) - 1]
            return Answer(200, encode_json({} if item is None else {"Item": item}))
        found: dict[str, list[JsonObject]] = {}
        for name, wanted in request["RequestItems"].items():
            found[name] = []
            for key in wanted["Keys"]:
                answer = self._stale_answer("GetItem", {"TableName": name, "Key": key}, versions)
                if answer.status != 200:
                    return answer
                item = json.loads(answer.body).get("Item")
                found[name] += [] if item is None else [item]
        return Answer(200, encode_json({"Responses": found, "UnprocessedKeys": {}}))

    def _hold_back(self, fault: Fault | None, patience_s: float) -> None:
        if fault is None:
            return
        if fault.kind is FaultKind.LOST_REPLY:
            raise ReplyLostError("the reply was lost on the way")
        if fault.kind is FaultKind.SLOW:
            self._wait(min(fault.value, patience_s))
            if fault.value > patience_s:
                raise ReplyLostError(f"no reply within {patience_s:g} s; it takes {fault.value:g} s")

    def _respond(self, request: HttpRequest) -> HttpReply | None:
        try:
            status, text = self.handle(_operation(request.headers), request.body)
        except ReplyLostError:
            return None
        return HttpReply(status, text.encode(), {"Content-Type": CONTENT_TYPE})


def create_tables(client: BaseClient, names: TableNames = TABLE_NAMES) -> None:
    """Create flyball's four tables: on demand, with time to live on `expires`.

    Works on any DynamoDB client, also one of another process or of a real account.

    Raises:
        botocore.exceptions.ClientError: ResourceInUseException if a table is there already.
    """
    dynamodb = cast(Any, client)
    for role, name in names._asdict().items():
        attributes = [name for name in TABLE_KEYS[role] if name is not None]
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": a, "AttributeType": "S"} for a in attributes],
            KeySchema=[
                {"AttributeName": a, "KeyType": kind}
                for a, kind in zip(attributes, ("HASH", "RANGE"), strict=False)
            ],
        )
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE}
        )


class _Body(BytesIO):
    """A body that botocore reads as if it came from urllib3."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


def _operation(headers: Any) -> str:
    target = headers.get("X-Amz-Target") or ""
    text = target.decode() if isinstance(target, bytes) else target
    return cast(str, text.rpartition(".")[2])


def _bytes(body: object) -> bytes:
    return body.encode() if isinstance(body, str) else cast(bytes, body or b"")


def _is_eventual(operation: str, request: JsonObject) -> bool:
    """Whether the call is a read of items by key that did not ask for strong consistency."""
    if operation == "BatchGetItem":
        tables = request.get("RequestItems", {}).values()
        return all(table.get("ConsistentRead") is not True for table in tables)
    return operation == "GetItem" and request.get("ConsistentRead") is not True


def _identity(key: JsonObject) -> str:
    return encode_json(dict(sorted(key.items())))


def _refusal(fault: Fault | None) -> Answer | None:
    if fault is not None and fault.kind is FaultKind.THROTTLE:
        return error_answer(
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded.",
        )
    if fault is not None and fault.kind is FaultKind.SERVER_ERROR:
        return error_answer("InternalServerError", "Internal server error", status=500)
    return None


def _written(operation: str, request: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Yield table and an object that holds the key, for every item the operation writes if it succeeds."""
    if operation == "PutItem":
        yield request.get("TableName", ""), request.get("Item", {})
    elif operation in ("UpdateItem", "DeleteItem"):
        yield request.get("TableName", ""), request.get("Key", {})
    elif operation == "BatchWriteItem":
        for table, writes in request.get("RequestItems", {}).items():
            for write in writes:
                put = write.get("PutRequest")
                yield table, put["Item"] if put else write["DeleteRequest"]["Key"]
    elif operation == "TransactWriteItems":
        for write in request.get("TransactItems", ()):
            for kind, part in write.items():
                if kind != "ConditionCheck":
                    yield part.get("TableName", ""), part["Item"] if kind == "Put" else part["Key"]
