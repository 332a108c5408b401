"""rest-json from botocore's service models: routes, parameters, replies. No operation is named here.

The routes of both services are read from the models, so a new operation needs
no line here, and a path cannot differ from what boto3 sends. Only what AppConfig
uses of the protocol is written: structures in JSON bodies, raw blob payloads,
members in URI, query and headers, times as ISO 8601 text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.model import OperationModel, Shape, StructureShape

from flyball_local.appconfig.errors import ServiceError, bad_request
from flyball_local.appconfig.records import Wire
from flyball_local.contractcheck import service_model


class Request(NamedTuple):
    """An HTTP request: `target` is path and query as sent; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """An HTTP reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Route(NamedTuple):
    """Where a request leads, with the parameters found in its path."""

    service: str
    operation: OperationModel
    in_path: Mapping[str, str]


class Router:
    """Finds the operation of a request among those of some services."""

    def __init__(self, services: Sequence[str]) -> None:
        self._routes: list[tuple[str, re.Pattern[str], str, OperationModel]] = []
        for service in services:
            model = service_model(service)
            for name in model.operation_names:
                operation = model.operation_model(name)
                pattern = re.compile(
                    re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(operation.http["requestUri"]))
                )
                self._routes.append((operation.http["method"], pattern, service, operation))

    def find(self, request: Request) -> Route | None:
        """Return the route of a request, None if no operation has its method and path."""
        path = urlsplit(request.target).path
        for method, pattern, service, operation in self._routes:
            if method == request.method and (match := pattern.fullmatch(path)):
                in_path = {name: unquote(value) for name, value in match.groupdict().items()}
                return Route(service, operation, in_path)
        return None


def parse(route: Route, request: Request) -> Wire:
    """Return the operation's parameters as the caller gave them to its SDK.

    Raises:
        ServiceError: BadRequestException if the body is no JSON object or a header is not ASCII.
            Values of a wrong type pass as they are: the contract check refuses them.
    """
    shape = route.operation.input_shape
    if shape is None:
        return {}
    query = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
    payload = shape.serialization.get("payload")
    params: Wire = {}
    for name, member in shape.members.items():
        location, key = member.serialization.get("location"), member.serialization.get("name", name)
        if location == "uri":
            params[name] = _typed(member, route.in_path[key])
        elif location == "querystring" and key in query:
            params[name] = _typed(member, query[key][0])
        elif location == "header" and (text := request.headers.get(key.lower())) is not None:
            if not text.isascii():
                raise bad_request(f"{name} travels in an HTTP header and must be ASCII")
            params[name] = _typed(member, text)
    if payload:
        params[payload] = request.body
    elif request.body:
        params.update(_json_object(request.body))
    return params


def render(operation: OperationModel, result: Mapping[str, Any]) -> Reply:
    """Return the reply of a successful call."""
    shape = operation.output_shape
    status = int(operation.http.get("responseCode", 200))
    if shape is None:
        return Reply(status, {}, b"")
    headers: dict[str, str] = {}
    in_body: Wire = {}
    for name, value in result.items():
        serialization = shape.members[name].serialization
        if serialization.get("location") == "header":
            headers[serialization.get("name", name)] = str(value)
        else:
            in_body[name] = value
    payload = shape.serialization.get("payload")
    if payload:
        return Reply(status, headers, bytes(in_body.get(payload, b"")))
    headers["Content-Type"] = "application/json"
    return Reply(status, headers, json.dumps(in_body, default=_json_time).encode())


def render_error(error: ServiceError) -> Reply:
    """Return the reply that carries a declared error."""
    body = json.dumps({"Message": error.message, **error.fields}).encode()
    return Reply(error.status, {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}, body)


def _typed(shape: Shape, text: str) -> object:
    if isinstance(shape, StructureShape):  # pragma: no cover - no service here has one outside its body
        raise TypeError(f"{shape.name}: structures travel in bodies only")
    if shape.type_name in ("integer", "long"):
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _json_object(body: bytes) -> Wire:
    try:
        parsed = json.loads(body)
    except ValueError as error:
        raise bad_request(f"body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise bad_request("body must be a JSON object")
    return parsed


def _json_time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    raise TypeError(f"{type(value).__name__} has no JSON form here")
