"""The one file that knows moto's insides: DynamoDB operations on a private set of tables.

moto's own entrance (`mock_aws`) patches botocore for the whole process, sets
`AWS_*` variables, keeps every account's tables in one global and rebuilds an
HTTP request per call. Here its operation methods run directly on a backend that
belongs to one `MotoTables`: nothing global is touched, two emulators never see
each other, and a conditional put through boto3 falls from 0.9 to 0.5 ms.

Two paths, one meaning. Item operations, which simulations repeat thousands of
times, decode and encode DynamoDB's JSON here; all others go through moto's own
model-driven parser and serializer. A test sends the same requests both ways.

moto checks a condition and writes in two steps without a lock, so concurrent
conditional writes lose updates; `MotoTables.call` holds a lock around both.

Knows nothing of clocks, time to live, faults or transport: dynamodb.py does.
moto is pinned below the next minor version because all this is private to it.
"""

from __future__ import annotations

import base64
import json
import re
from threading import RLock
from typing import Any, NamedTuple, cast

from moto.core.exceptions import ServiceException
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.responses import ActionContext, ActionResult
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table as Table
from moto.dynamodb.models.utilities import dynamo_to_dict
from moto.dynamodb.responses import DynamoHandler
from werkzeug.exceptions import HTTPException

CONTENT_TYPE = "application/x-amz-json-1.0"
ERROR_PREFIX = "com.amazonaws.dynamodb.v20120810#"
# Operations whose requests and answers hold attribute values only: no times, no members beyond the model.
ITEM_OPERATIONS = frozenset(
    {"BatchGetItem", "BatchWriteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"}
)
# moto keeps every model object ever made in a list: a long simulation would hold all versions of all items.
TRACKED_ITEMS_MAX = 1_000

JsonObject = dict[str, Any]


class Answer(NamedTuple):
    """Status code and JSON text of one operation, as DynamoDB would send them."""

    status: int
    body: str


def error_answer(code: str, message: str, *, status: int = 400) -> Answer:
    """Return DynamoDB's error form for `code`, e.g. "ProvisionedThroughputExceededException".

    >>> error_answer("InternalServerError", "try again", status=500).status
    500
    """
    return Answer(status, json.dumps({"__type": ERROR_PREFIX + code, "message": message}))


class _Handler(DynamoHandler):
    """moto's operations, reading the tables of one backend instead of the process-wide ones."""

    def __init__(self, backend: DynamoDBBackend) -> None:
        super().__init__()
        self._backend = backend
        self.region = backend.region_name
        self.current_account = backend.account_id
        self.headers = {}
        self.response_headers = {}

    @property
    def dynamodb_backend(self) -> DynamoDBBackend:
        return self._backend


class MotoTables:
    """DynamoDB tables of one account in one region, with atomic operations."""

    def __init__(self, *, region: str, account: str) -> None:
        self.lock = RLock()
        self._backend = DynamoDBBackend(region, account)
        self._methods: dict[str, str] = {}

    def call(self, operation: str, request: JsonObject) -> Answer:
        """Run one operation, e.g. "GetItem", on its decoded JSON; alone, so that conditions are atomic."""
        method_name = self._method_name(operation)
        if method_name is None:
            return error_answer("UnknownOperationException", f"the emulator does not know {operation}")
        with self.lock:
            tracked = cast(Any, Item).instances_tracked
            if len(tracked) > TRACKED_ITEMS_MAX:
                tracked.clear()
            handler = _Handler(self._backend)
            run = self._run_item_operation if operation in ITEM_OPERATIONS else self._run_by_model
            try:
                return run(handler, operation, method_name, request)
            except HTTPException as refusal:
                return Answer(int(refusal.code or 400), cast(str, refusal.description))
            except ServiceException as refusal:
                return error_answer(refusal.code, refusal.message)

    def table(self, name: str) -> Table | None:
        """Return moto's table by name or ARN, None if there is none."""
        tables = self._backend.tables
        return tables.get(name) or next((t for t in tables.values() if t.table_arn == name), None)

    def tables(self) -> tuple[Table, ...]:
        """Return all tables."""
        return tuple(self._backend.tables.values())

    def item(self, table: Table, key: JsonObject) -> JsonObject | None:
        """Return a copy of the item's attributes, binary values as bytes; None if absent."""
        found = self._backend.get_item(table.name, key)
        return None if found is None else cast(JsonObject, dynamo_to_dict(dict(found.attrs)))

    def attribute(self, table: Table, key: JsonObject, name: str) -> tuple[str, Any] | None:
        """Return type and value of one attribute, e.g. ("N", "17"); None if item or attribute is absent."""
        found = self._backend.get_item(table.name, key)
        value = None if found is None else found.attrs.get(name)
        return None if value is None else (value.type, value.value)

    def remove(self, table: Table, key: JsonObject) -> None:
        """Delete without a condition and without counting as a request (what time to live does)."""
        sort_key = table.range_key_attr
        table.delete_item(
            DynamoType(key[table.hash_key_attr]), None if sort_key is None else DynamoType(key[sort_key])
        )

    def keys(self, table: Table) -> list[JsonObject]:
        """Return the keys of all items."""
        return [
            {name: cast(JsonObject, dynamo_to_dict(item.attrs[name])) for name in table.table_key_attrs}
            for item in table.all_items()
        ]

    def _method_name(self, operation: str) -> str | None:
        if operation not in self._methods:
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
            known = operation in get_service_model("dynamodb").operation_names
            if not known or not callable(getattr(DynamoHandler, name, None)):
                return None
            self._methods[operation] = name
        return self._methods[operation]

    @staticmethod
    def _run_item_operation(handler: _Handler, _: str, method_name: str, request: JsonObject) -> Answer:
        handler.body = handler.params = decode_binary(request)
        result = cast(ActionResult, getattr(handler, method_name)()).result
        return Answer(200, encode_json(result))

    @staticmethod
    def _run_by_model(handler: _Handler, operation: str, method_name: str, request: JsonObject) -> Answer:
        model = get_service_model("dynamodb")
        operation_model = model.operation_model(operation)
        parser = PROTOCOL_PARSERS["json"](operation_model, map_type=dict)
        parsed = parser.parse(cast(Any, {"body": json.dumps(request).encode()}))
        handler.body = handler.params = parsed
        context = ActionContext(model, operation_model, get_serializer_class("dynamodb", "json"), handler)
        result = getattr(handler, method_name)()
        if isinstance(result, str):  # a few rarely used operations answer with text of their own
            return Answer(200, result)
        status, _headers, body = cast(ActionResult, result).execute_result(context)
        return Answer(int(status), cast(str, body))


def decode_binary(value: Any) -> Any:
    """Return the request with its base64 attribute values as bytes, which is what moto computes with.

    >>> decode_binary({"Key": {"k": {"S": "a"}}, "Item": {"b": {"B": "AQI="}}})
    {'Key': {'k': {'S': 'a'}}, 'Item': {'b': {'B': b'\\x01\\x02'}}}
    """
    if isinstance(value, dict):
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name == "B" and isinstance(inner, str):
                return {"B": base64.b64decode(inner, validate=True)}
            if name == "BS" and isinstance(inner, list):
                return {"BS": [base64.b64decode(one, validate=True) for one in inner]}
        return {name: decode_binary(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [decode_binary(inner) for inner in value]
    return value


def encode_json(value: object) -> str:
    """Return DynamoDB's JSON of a value whose binary attributes are bytes.

    >>> encode_json({"b": {"B": b"ab"}})
    '{"b": {"B": "YWI="}}'
    """
    return json.dumps(value, default=_encode_binary)


def _encode_binary(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no DynamoDB JSON form")
