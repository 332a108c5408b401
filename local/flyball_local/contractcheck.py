"""Strict checks of AWS requests and responses against botocore's own service models.

botocore validates only required members, types and minima before it sends, and
nothing when it receives; its Stubber ignores enums and patterns. So a wrong
emulator and a wrong caller agree with each other and both pass. Here every
constraint the model states is enforced, in both directions: required, unknown
members, types, min, max, pattern, enum, union, and for errors the declared
codes, status and fields.

This file knows no service's semantics and no emulator. Models come from the
files inside the botocore package alone: no environment, no user's model folder.

Patterns. Smithy patterns are not anchored, but models generated from the older
format mean the whole value ("[a-z0-9]{4,7}"). Rule: a pattern that anchors
itself is searched, any other must match the whole value. Some patterns use
classes Python lacks (\\p{L}); those are listed in `Contract.unchecked_patterns`,
never silently counted as checked.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

from flyball.hints import did_you_mean
from flyball_local.contractshapes import ShapeChecks, Violation, unknown_members

# Members AWS returns, by its own documentation, outside what its model allows:
# a predefined strategy under its public name, for which only the request shape
# has room; a table whose capacity was never lowered, with 0 decreases; a batch
# of which nothing is left over, with an empty map of what is.
_STRATEGY_ID = r"(^[a-z0-9]{4,7}$|^AppConfig\.[A-Za-z0-9]{9,40}$)"
DOCUMENTED_DEVIATIONS: Mapping[tuple[str, str, str], Mapping[str, Any]] = {
    ("appconfig", "DeploymentStrategy", "Id"): {"pattern": _STRATEGY_ID},
    ("appconfig", "Deployment", "DeploymentStrategyId"): {"pattern": _STRATEGY_ID},
    ("dynamodb", "ProvisionedThroughputDescription", "NumberOfDecreasesToday"): {"min": 0},
    ("dynamodb", "BatchGetItemOutput", "UnprocessedKeys"): {"min": 0},
    ("dynamodb", "BatchWriteItemOutput", "UnprocessedItems"): {"min": 0},
}

# Codes any AWS service may answer without declaring them per operation.
COMMON_ERRORS = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InternalFailure",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestExpired",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "UnrecognizedClientException",
        "ValidationError",
        "ValidationException",
    }
)


class ContractError(Exception):
    """A request or a response breaks the service model; `violations` lists every place."""

    def __init__(self, service: str, operation: str, side: str, violations: tuple[Violation, ...]) -> None:
        lines = "".join(f"\n  {violation}" for violation in violations)
        super().__init__(f"{service}.{operation} {side} breaks the botocore model:{lines}")
        self.service = service
        self.operation = operation
        self.side = side
        self.violations = violations


class Contract:
    """All checks of one service, compiled per shape on first use and then kept."""

    def __init__(self, model: ServiceModel) -> None:
        self.model = model
        name = model.service_name
        deviations = {key[1:]: limits for key, limits in DOCUMENTED_DEVIATIONS.items() if key[0] == name}
        self._outgoing = ShapeChecks(outgoing=True, deviations={})
        self._incoming = ShapeChecks(outgoing=False, deviations=deviations)

    @property
    def unchecked_patterns(self) -> frozenset[str]:
        """Patterns met so far that Python cannot express; values were not held against them."""
        return frozenset(self._outgoing.unchecked_patterns | self._incoming.unchecked_patterns)

    def request(self, operation: str, params: Mapping[str, Any]) -> tuple[Violation, ...]:
        """Return what is wrong with the parameters of a call."""
        shape = self._operation(operation).input_shape
        if shape is None:
            return _no_members(params)
        return self._outgoing.run(shape, params)

    def response(self, operation: str, response: Mapping[str, Any]) -> tuple[Violation, ...]:
        """Return what is wrong with a successful response; `ResponseMetadata` is botocore's and ignored."""
        shape = self._operation(operation).output_shape
        body = {key: value for key, value in response.items() if key != "ResponseMetadata"}
        if shape is None:
            return _no_members(body)
        return self._incoming.run(shape, body)

    def error(self, operation: str, response: Mapping[str, Any]) -> tuple[Violation, ...]:
        """Return what is wrong with an error response as botocore parsed it (`ClientError.response`)."""
        code = response.get("Error", {}).get("Code")
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        declared = {_error_code(shape): shape for shape in self._operation(operation).error_shapes}
        shape = declared.get(code)
        if shape is None:
            if code in COMMON_ERRORS:
                return ()
            return (Violation("Error.Code", f"is not declared; declared are {sorted(declared)}", code),)
        wanted = shape.metadata.get("error", {}).get("httpStatusCode", status)
        wrong = []
        if status != wanted:
            wrong.append(Violation("ResponseMetadata.HTTPStatusCode", f"must be {wanted} for {code}", status))
        fields = {k: v for k, v in response.items() if k not in ("Error", "ResponseMetadata")}
        return (*wrong, *self._incoming.run(shape, fields))

    def raw(self, operation: str, body: bytes) -> tuple[Violation, ...]:
        """Return members of a JSON response that the model does not know: botocore drops them unseen."""
        shape = self._operation(operation).output_shape
        if shape is None or not body or "payload" in shape.serialization:
            return ()
        return unknown_members(shape, json.loads(body))

    def _operation(self, operation: str) -> OperationModel:
        names = self.model.operation_names
        if operation not in names:
            raise KeyError(
                f"{self.model.service_name} has no operation {operation!r}{did_you_mean(operation, names)}"
            )
        return self.model.operation_model(operation)


def check_request(service: str, operation: str, params: Mapping[str, Any]) -> None:
    """Raise ContractError if `params` would not be a valid call of `operation`.

    >>> check_request("appconfig", "CreateApplication", {"Name": "shop"})
    >>> check_request("appconfig", "GetApplication", {"ApplicationID": "abcd"})
    Traceback (most recent call last):
    ...
    flyball_local.contractcheck.ContractError: appconfig.GetApplication request breaks the botocore model:
      $: required member 'ApplicationId' is missing (got {'ApplicationID': 'abcd'})
      ApplicationID: unknown member; did you mean 'ApplicationId'? (got 'abcd')
    """
    _raise_if(service, operation, "request", contract_for(service).request(operation, params))


def check_response(service: str, operation: str, response: Mapping[str, Any]) -> None:
    """Raise ContractError if `response` is not a valid successful answer of `operation`."""
    _raise_if(service, operation, "response", contract_for(service).response(operation, response))


def check_error(service: str, operation: str, response: Mapping[str, Any]) -> None:
    """Raise ContractError if `response` (as in ClientError.response) is no error `operation` may answer."""
    _raise_if(service, operation, "error", contract_for(service).error(operation, response))


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Return the model of a service from the botocore package itself, whatever the user's configuration."""
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model(service, "service-2"), service_name=service)


@functools.cache
def contract_for(service: str) -> Contract:
    """Return the (shared, compiled) contract of a service, e.g. "dynamodb"."""
    return Contract(service_model(service))


class Attachment:
    """Checks every call of one client, both ways: `calls` counts them, `violations` fills when collecting."""

    def __init__(self, client: Any, *, collect: bool) -> None:
        self.violations: list[ContractError] = []
        self.calls = 0
        self._collect = collect
        self._events = client.meta.events
        self._service: str = client.meta.service_model.service_name
        self._contract = contract_for(self._service)
        self._json = client.meta.service_model.metadata.get("protocol") in ("json", "rest-json")
        # Last before building and first after parsing, so that what is checked is what
        # travels: botocore runs handlers of the more specific event name first.
        anywhere = f"{client.meta.service_model.service_id.hyphenize()}.*"
        self._before_parse, self._after_call = f"before-parse.{anywhere}", f"after-call.{anywhere}"
        self._events.register_last("before-parameter-build", self._on_request)
        self._events.register_first(self._before_parse, self._on_raw)
        self._events.register_first(self._after_call, self._on_response)

    def detach(self) -> None:
        """Stop checking this client."""
        self._events.unregister("before-parameter-build", self._on_request)
        self._events.unregister(self._before_parse, self._on_raw)
        self._events.unregister(self._after_call, self._on_response)

    def _on_request(self, params: Mapping[str, Any], model: OperationModel, **_: object) -> None:
        self.calls += 1
        self._report(model.name, "request", self._contract.request(model.name, params))

    def _on_raw(self, operation_model: OperationModel, response_dict: Mapping[str, Any], **_: object) -> None:
        body = response_dict["body"]
        if self._json and isinstance(body, bytes) and response_dict["status_code"] < 300:
            self._report(
                operation_model.name, "response body", self._contract.raw(operation_model.name, body)
            )

    def _on_response(
        self, http_response: Any, parsed: Mapping[str, Any], model: OperationModel, **_: object
    ) -> None:
        if http_response.status_code >= 300:
            self._report(model.name, "error", self._contract.error(model.name, parsed))
        else:
            self._report(model.name, "response", self._contract.response(model.name, parsed))

    def _report(self, operation: str, side: str, violations: tuple[Violation, ...]) -> None:
        if not violations:
            return
        error = ContractError(self._service, operation, side, violations)
        if not self._collect:
            raise error
        self.violations.append(error)


def attach(client: Any, *, collect: bool = False) -> Attachment:
    """Check every call of a boto3 or botocore client from now on.

    Args:
        client: Any service client.
        collect: False raises ContractError out of the call; True lets calls pass
            and collects the errors in `Attachment.violations`.
    """
    return Attachment(client, collect=collect)


def _raise_if(service: str, operation: str, side: str, violations: tuple[Violation, ...]) -> None:
    if violations:
        raise ContractError(service, operation, side, violations)


def _no_members(body: Mapping[str, Any]) -> tuple[Violation, ...]:
    return tuple(Violation(key, "unknown member; the operation has none here", body[key]) for key in body)


def _error_code(shape: Shape) -> str:
    return str(shape.metadata.get("error", {}).get("code") or shape.name)
