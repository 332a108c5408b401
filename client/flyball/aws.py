"""The circuit items in DynamoDB, and the one place of the client that makes SDK clients, only when asked.

One eventually consistent BatchGetItem for the function's own items and the
fleet's, of all targets, and for the kill switch. Short time-outs and a single
attempt: an answer that comes late is worth nothing to a call that waits for it,
and the cache around it backs off.

Every environment reads the kill switch and the fleet's items, so each of them is
a hot item: one partition serves 3,000 read units a second (DynamoDB developer
guide), which at half a unit per read and one read in 5 s is 30,000 environments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from flyball.circuit_item import decode_circuit
from flyball.errors import ContractError, SourceError
from flyball.records import FLEET, Circuit
from flyball.sources import CircuitSource, several

TABLE = "flyball-circuits"
KEYS_MAX = 100  # of one BatchGetItem: 49 targets and the kill switch
# A regional DynamoDB read takes a few milliseconds; the tail beyond this is an outage.
TIMEOUT_S = 0.3


_TEXT: type = str


class DynamoClient(Protocol):
    """The one method used of boto3's DynamoDB client."""

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N803
        """Read up to 100 items."""
        ...


class DynamoCircuits:
    """Reads circuit items; creates its own client at the first read unless given one."""

    __slots__ = ("_client", "_table", "refused", "undecodable")

    def __init__(self, *, table: str = TABLE, client: DynamoClient | None = None) -> None:
        """Read from `table`. Pass the function's own `client` to save about half a second of cold start."""
        if not isinstance(table, _TEXT) or not table:
            from flyball.misuse import refuse

            refuse("table", table, "the name of a DynamoDB table")
        self._table = table
        self._client = client
        self.undecodable = 0  # items that were refused (K4)
        self.refused: ContractError | None = None  # why one of those read last was

    def read(self, targets: Sequence[str], function: str) -> Sequence[Circuit]:
        """Return the items of function and fleet that exist and can be understood, and the kill switch (O1).

        Raises:
            ContractError: There are items, and none can be understood.
            SourceError: The table could not be read, or not completely.
        """
        functions = {FLEET, function or FLEET}
        pairs = dict.fromkeys((target, name) for target in several(targets) for name in functions)
        # DynamoDB refuses a batch that names a key twice.
        pairs = {(FLEET, FLEET): None, **pairs}
        keys = [{"target": {"S": target}, "function": {"S": name}} for target, name in pairs]
        circuits = []
        self.refused = refused = None
        for start in range(0, len(keys), KEYS_MAX):
            for item in self._get(keys[start : start + KEYS_MAX]):
                try:
                    circuits.append(decode_circuit(item))
                except ContractError as error:
                    self.undecodable += 1
                    self.refused = refused = error.with_traceback(None)
        if refused is not None and not circuits:
            raise refused
        return circuits

    def _get(self, keys: Sequence[object]) -> Sequence[object]:
        if self._client is None:
            self._client = own_client("dynamodb", timeout_s=TIMEOUT_S)
        try:
            reply = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys}})
            found = reply["Responses"]
            # By the name under which it was asked for, or by its own if that was an ARN.
            items: Sequence[object] = found.get(self._table, found.get(self._table.rpartition("/")[2], []))
            unread = reply.get("UnprocessedKeys")
        except Exception as cause:
            raise SourceError(f"cannot read {self._table}: {cause!r}", source="dynamodb") from cause
        if unread:
            raise SourceError(f"{self._table} is throttled: keys left unread", source="dynamodb")
        return items


_fits: CircuitSource = DynamoCircuits()


def own_client(service: str, *, timeout_s: float, attempts: int = 1) -> Any:
    """Return a new boto3 client that waits little; boto3's own defaults are a minute and several attempts.

    Args:
        service: Name of the service, also the `source` of the error.
        timeout_s: Longest wait for the connection, and again for each part of the answer, > 0.
        attempts: The first one included, >= 1.

    Raises:
        SourceError: boto3 is not installed, or knows no region.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as cause:
        raise SourceError(f"asking {service} needs boto3", source=service) from cause
    config = Config(
        connect_timeout=timeout_s,
        read_timeout=timeout_s,
        retries={"total_max_attempts": attempts, "mode": "standard"},
    )
    client: Any = boto3.client  # typed per service name; ours is a variable
    try:
        return client(service, config=config)
    except BotoCoreError as cause:
        raise SourceError(f"cannot make a client of {service}: {cause}", source=service) from cause
