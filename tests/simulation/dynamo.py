"""A DynamoDB of one process: atomic conditional writes, histories for stale reads, replies that get lost.

It speaks the low-level protocol to the product's own stores, so that their
conditions are evaluated as they are written. Every item keeps what stood before
it, because an eventually consistent read may return that. A write whose request
is late lands when nobody expects it any more, if its condition still holds.

It knows neither what it stores nor who is right: each write is shown to
`watch`, which judges. Not modelled: capacity, partitions, item sizes.
Source: Amazon DynamoDB developer guide, "Condition expressions",
"Read consistency", "Error handling" (a 5xx or a time-out leaves the outcome open).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

Item = dict[str, dict[str, Any]]
KEYS = {
    "states": ("key",),
    "circuits": ("target", "function"),
    "holds": ("target",),
    "journal": ("target", "seq"),
}
_CALL = re.compile(r"(NOT )?(attribute_not_exists|attribute_type)\((#\w+)(?:, (:\w+))?\)$")
_COMPARISON = re.compile(r"(#\w+) (=|<|<=) (:\w+)$")
THROTTLED = "ProvisionedThroughputExceededException"


def refusal(code: str, operation: str, status: int = 400, **more: Any) -> ClientError:
    """Return the error that boto3 would raise."""
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return ClientError(response, operation)


def no_reply(operation: str) -> ReadTimeoutError:
    """Return the error of a call whose reply never came."""
    return ReadTimeoutError(endpoint_url=operation)


def holds(condition: str, item: Item, names: dict[str, str], values: Item) -> bool:
    """Return whether a condition expression holds for what stands there ({} = nothing)."""
    return any(all(_term(term, item, names, values) for term in clause) for clause in _parsed(condition))


@lru_cache(maxsize=64)
def _parsed(condition: str) -> tuple[tuple[tuple[str | None, ...], ...], ...]:
    """The terms of a condition, clause by clause; there are a handful of conditions in all."""
    return tuple(tuple(_read(term) for term in clause.split(" AND ")) for clause in condition.split(" OR "))


def _read(term: str) -> tuple[str | None, ...]:
    called, compared = _CALL.match(term), _COMPARISON.match(term)
    if called:
        return called.groups()
    if compared is None:
        raise AssertionError(f"this simulation does not know the condition {term!r}")
    return compared.groups()


def _term(term: tuple[str | None, ...], item: Item, names: Any, values: Any) -> bool:
    if len(term) == 4:
        negated, function, name, value = term
        attribute = item.get(names[name])
        if function == "attribute_not_exists":
            found = attribute is None
        else:
            found = attribute is not None and values[value]["S"] in attribute
        return found != bool(negated)
    name, sign, value = term
    attribute, wanted = item.get(names[name], {}), values[value]
    if "N" not in attribute or "N" not in wanted:
        return False
    left, right = float(attribute["N"]), float(wanted["N"])
    return left == right if sign == "=" else left < right if sign == "<" else left <= right


class Tables:
    """All items of all tables, each with its past."""

    def __init__(self, watch: Callable[[str, tuple[str, ...], Item, Item], None]) -> None:
        """Show each write to `watch`: table, key, what stood, what stands."""
        self._watch = watch
        self.pasts: dict[str, dict[tuple[str, ...], list[Item]]] = {name: {} for name in KEYS}
        self.late: list[Callable[[], object]] = []  # requests on their way whose senders gave up
        self.reached: Counter[str] = Counter()
        # Told of every conditional write: table, key, what stood, what was to stand, whether it went in.
        self.tries: Callable[[str, tuple[str, ...], Item, Item, bool], object] = lambda *_: None

    def standing(self, table: str, key: tuple[str, ...]) -> Item:
        """Return what stands there, {} if nothing does."""
        past = self.pasts[table].get(key)
        return past[-1] if past else {}

    def stale(self, table: str, key: tuple[str, ...], behind: int) -> Item:
        """Return what stood `behind` writes ago, {} if it was nothing."""
        past = self.pasts[table].get(key, [])
        return past[-1 - behind] if behind < len(past) else {}

    def put(self, table: str, item: Item) -> None:
        """Store an item, whatever stands there."""
        key = tuple(item[name]["S"] for name in KEYS[table])
        self._watch(table, key, self.standing(table, key), item)
        self.pasts[table].setdefault(key, []).append(item)

    def put_if(self, arguments: dict[str, Any]) -> None:
        """Store an item if the request's condition holds.

        Raises:
            ClientError: It does not; what stands there comes with it.
        """
        table, item = arguments["TableName"], arguments["Item"]
        key = tuple(item[name]["S"] for name in KEYS[table])
        before = self.standing(table, key)
        names = arguments.get("ExpressionAttributeNames", {})
        values = arguments.get("ExpressionAttributeValues", {})
        went = holds(arguments["ConditionExpression"], before, names, values)
        self.tries(table, key, before, item, went)
        if not went:
            raise refusal("ConditionalCheckFailedException", "PutItem", Item=before)
        self.put(table, item)

    def land(self) -> int:
        """Let all late requests arrive; returns how many had an effect."""
        late, self.late, effects = self.late, [], 0
        for request in late:
            try:
                request()
            except ClientError:
                self.reached["late write refused"] += 1
                continue
            self.reached["late write landed"] += 1
            effects += 1
        return effects


class ControllerClient:
    """The DynamoDB client of one controller; `ask` says what befalls the call that is about to be made."""

    def __init__(
        self,
        tables: Tables,
        ask: Callable[[str], str],
        landing: Callable[[Callable[[], Any]], Callable[[], Any]] = lambda effect: effect,
    ) -> None:
        """`landing` prepares the effect of a call whose request is on its way for long."""
        self._tables = tables
        self._ask = ask
        self._landing = landing

    def _call(self, operation: str, effect: Callable[[], dict[str, Any]], *, writes: bool) -> dict[str, Any]:
        fault = self._ask(operation)
        if fault == "throttle":
            raise refusal(THROTTLED, operation)
        if fault == "error":
            raise refusal("InternalServerError", operation, 500)
        if fault == "late":
            if writes:
                self._tables.late.append(self._landing(effect))
            raise no_reply(operation)
        if fault == "lost":
            try:
                effect()
            except ClientError as error:
                raise no_reply(operation) from error  # nor does the refusal arrive
            raise no_reply(operation)
        if fault == "retried":  # boto3 sends it again; others may come between
            return self._again(operation, effect)
        return effect()

    def _again(self, operation: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            effect()
        except ClientError:
            self._ask(f"{operation} again")
            return effect()
        self._ask(f"{operation} again")
        try:
            return effect()
        except ClientError:
            self._tables.reached["own success refused when sent again"] += 1
            raise

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        """PutItem."""

        def effect() -> dict[str, Any]:
            self._tables.put_if(arguments)
            return {}

        return self._call("PutItem", effect, writes=True)

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        """GetItem, consistent."""
        key = tuple(value["S"] for value in arguments["Key"].values())
        return self._call(
            "GetItem", lambda: {"Item": self._tables.standing(arguments["TableName"], key)}, writes=False
        )

    def batch_get_item(self, **arguments: Any) -> dict[str, Any]:
        """BatchGetItem of one table, consistent."""
        ((table, request),) = arguments["RequestItems"].items()
        keys = [tuple(value["S"] for value in key.values()) for key in request["Keys"]]

        def effect() -> dict[str, Any]:
            found = (self._tables.standing(table, key) for key in keys)
            return {"Responses": {table: [item for item in found if item]}}

        return self._call("BatchGetItem", effect, writes=False)

    def batch_write_item(self, **arguments: Any) -> dict[str, Any]:
        """BatchWriteItem of one table, puts only."""
        ((table, requests),) = arguments["RequestItems"].items()

        def effect() -> dict[str, Any]:
            for request in requests:
                self._tables.put(table, request["PutRequest"]["Item"])
            return {}

        return self._call("BatchWriteItem", effect, writes=True)

    def query(self, **arguments: Any) -> dict[str, Any]:
        """Query: no round reads its journal."""
        raise AssertionError("a round of control does not query")


class ReaderClient:
    """The DynamoDB client of one function's environment: eventual reads, as far `behind` as it says."""

    def __init__(self, tables: Tables, ask: Callable[[], int]) -> None:
        """`ask` is called before each read: how many writes it lags behind; it may raise."""
        self._tables = tables
        self._ask = ask

    def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:  # noqa: N803
        """BatchGetItem of one table, eventually consistent."""
        ((table, request),) = RequestItems.items()
        behind = self._ask()
        found = []
        for key in request["Keys"]:
            item = self._tables.stale(table, tuple(value["S"] for value in key.values()), behind)
            if item:
                found.append(item)
        return {"Responses": {table: found}}
