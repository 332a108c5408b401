"""Two faces of the embedded CloudWatch: inside a boto3 client, and HTTP on loopback.

In-process: hooks on the client's own event system. `before-parameter-build` sees
the parameters a caller gave, `before-call` may answer in place of the network.
Between the two botocore validates and serialises the request as ever (the bytes
are then dropped), so a request that botocore would refuse is refused here too;
what is skipped is signing, sending, retries and parsing.

HTTP: the JSON protocol, which botocore 1.44 prefers for this service over CBOR
and query. Requests are parsed by botocore's own parser against the input shape
and validated by its validator.

Knows the wire, not the service: `Handle` takes an operation and its parameters.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.model import OperationModel
from botocore.parsers import ResponseParserError, create_parser
from botocore.validate import ParamValidator

from flyball_local.cloudwatch.errors import CloudWatchError
from flyball_local.contractcheck import service_model
from flyball_local.loopback import HttpReply, HttpRequest

Handle = Callable[[str, Mapping[str, Any]], dict[str, Any]]
NextId = Callable[[], str]

TARGET_PREFIX = "GraniteServiceVersion20100801"
# Key under which the parameters wait in the request context between the two hooks.
_CONTEXT = "flyball.cloudwatch.params"
# What gzip, json and botocore's parser raise on a body that is not what it should be.
_UNREADABLE = (ValueError, TypeError, AttributeError, OSError, EOFError, zlib.error, RecursionError)


class Attachment:
    """A boto3 CloudWatch client that is answered in process until `detach`. `calls` counts answers."""

    def __init__(self, client: Any, handle: Handle, next_id: NextId) -> None:
        self.calls = 0
        self._handle = handle
        self._next_id = next_id
        self._events = client.meta.events
        # Last: whatever other handlers do to the parameters has been done.
        self._events.register_last("before-parameter-build.cloudwatch", self._keep)
        self._events.register_first("before-call.cloudwatch", self._answer)

    def detach(self) -> None:
        """Let the client use the network again."""
        self._events.unregister("before-parameter-build.cloudwatch", self._keep)
        self._events.unregister("before-call.cloudwatch", self._answer)

    def _keep(self, params: Mapping[str, Any], context: dict[str, Any], **_: object) -> None:
        context[_CONTEXT] = params

    def _answer(
        self, model: OperationModel, params: Mapping[str, Any], context: dict[str, Any], **_: object
    ) -> tuple[AWSResponse, dict[str, Any]]:
        self.calls += 1
        status = 200
        try:
            parsed = self._handle(model.name, context.pop(_CONTEXT, {}))
        except CloudWatchError as error:
            status = error.status
            parsed = {
                "Error": {
                    "Message": error.message,
                    "Code": error.code,
                    "QueryErrorCode": error.shape,
                    "Type": "Sender",
                },
                "message": error.message,
            }
        request_id = self._next_id()
        headers = {"x-amzn-requestid": request_id, "content-type": "application/x-amz-json-1.0"}
        parsed["ResponseMetadata"] = {
            "RequestId": request_id,
            "HTTPStatusCode": status,
            "HTTPHeaders": headers,
            "RetryAttempts": 0,
        }
        return AWSResponse(str(params.get("url", "")), status, HTTPHeaders.from_dict(headers), None), parsed


class HttpFace:
    """Answers HTTP requests of other processes' clients."""

    def __init__(self, handle: Handle, next_id: NextId) -> None:
        self._handle = handle
        self._next_id = next_id
        self._parser = create_parser("json")
        self._validator = ParamValidator()
        self._model = service_model("cloudwatch")

    def respond(self, request: HttpRequest) -> HttpReply:
        """Return the reply to one request; never raises for its content."""
        try:
            name = self._operation(request)
            answer = self._handle(name, self._parameters(name, request))
        except CloudWatchError as error:
            return self._error(error)
        return self._reply(200, answer, {})

    def _operation(self, request: HttpRequest) -> str:
        prefix, _, name = (request.headers.get("X-Amz-Target") or "").partition(".")
        if request.method != "POST" or prefix != TARGET_PREFIX:
            raise CloudWatchError(
                "UnknownOperationException",
                f"only the JSON protocol is spoken here: POST with X-Amz-Target: {TARGET_PREFIX}.<Operation>",
            )
        if name not in self._model.operation_names:
            raise CloudWatchError("UnknownOperationException", f"CloudWatch has no operation {name!r}")
        return name

    def _parameters(self, name: str, request: HttpRequest) -> dict[str, Any]:
        shape = self._model.operation_model(name).input_shape
        if shape is None:
            return {}
        try:
            body = request.body
            if (request.headers.get("Content-Encoding") or "").lower() == "gzip":
                body = gzip.decompress(body)
            if not isinstance(json.loads(body), dict):
                raise ValueError("the body is not a JSON object")
            response = {"body": body, "headers": {}, "status_code": 200}
            params: dict[str, Any] = self._parser.parse(response, shape)
        except (*_UNREADABLE, ResponseParserError) as error:
            raise CloudWatchError("SerializationException", f"the body cannot be read: {error}") from error
        params.pop("ResponseMetadata", None)
        report = self._validator.validate(params, shape)
        if report.has_errors():
            raise CloudWatchError("ValidationError", report.generate_report())
        return params

    def _error(self, error: CloudWatchError) -> HttpReply:
        body = {"__type": f"com.amazonaws.cloudwatch.v2010_08_01#{error.shape}", "message": error.message}
        return self._reply(error.status, body, {"x-amzn-query-error": f"{error.code};Sender"})

    def _reply(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> HttpReply:
        return HttpReply(
            status,
            json.dumps(body, default=_wire_value).encode(),
            {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": self._next_id(), **headers},
        )


def _wire_value(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} has no place in an answer")
