"""The circuit items in DynamoDB: the only file of the client that touches the SDK, and only when asked.

One eventually consistent BatchGetItem for the function's own items and the
fleet's, of all targets. Short time-outs and a single attempt: an answer that comes late is worth
nothing to a call that waits for it, and the cache around it backs off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from flyball.circuit_item import decode_circuit
from flyball.errors import ContractError, SourceError
from flyball.records import FLEET, Circuit
from flyball.sources import CircuitSource, several

TABLE = "flyball-circuits"
KEYS_MAX = 100  # of one BatchGetItem: 50 targets
# A regional DynamoDB read takes a few milliseconds; the tail beyond this is an outage.
TIMEOUT_S = 0.3


class DynamoClient(Protocol):
    """The one method used of boto3's DynamoDB client."""

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N803
        """Read up to 100 items."""
        ...


class DynamoCircuits:
    """Reads circuit items; creates its own client at the first read unless given one."""

    __slots__ = ("_client", "_table", "undecodable")

    def __init__(self, *, table: str = TABLE, client: DynamoClient | None = None) -> None:
        """Read from `table`. Pass the function's own `client` to save about half a second of cold start."""
        self._table = table
        self._client = client
        self.undecodable = 0  # items that were refused (K4)

    def read(self, targets: Sequence[str], function: str) -> Sequence[Circuit]:
        """Return, for each target, the items of function and fleet that exist and can be understood.

        Raises:
            ContractError: There are items, and none can be understood.
            SourceError: The table could not be read, or not completely.
        """
        functions = {FLEET, function or FLEET}
        keys = [
            {"target": {"S": target}, "function": {"S": name}}
            for target in several(targets)
            for name in functions
        ]
        circuits = []
        refused: ContractError | None = None
        for start in range(0, len(keys), KEYS_MAX):
            for item in self._get(keys[start : start + KEYS_MAX]):
                try:
                    circuits.append(decode_circuit(item))
                except ContractError as error:
                    self.undecodable += 1
                    refused = error
        if refused is not None and not circuits:
            raise refused
        return circuits

    def _get(self, keys: Sequence[object]) -> Sequence[object]:
        if self._client is None:
            self._client = _own_client()
        try:
            reply = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys}})
            items: Sequence[object] = reply["Responses"].get(self._table, [])
            unread = reply.get("UnprocessedKeys")
        except Exception as cause:
            raise SourceError(f"cannot read {self._table}: {cause!r}", source="dynamodb") from cause
        if unread:
            raise SourceError(f"{self._table} is throttled: keys left unread", source="dynamodb")
        return items


_fits: CircuitSource = DynamoCircuits()


def _own_client() -> DynamoClient:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as cause:
        raise SourceError("reading circuits from DynamoDB needs boto3", source="dynamodb") from cause
    config = Config(
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    client: DynamoClient = boto3.client("dynamodb", config=config)
    return client
