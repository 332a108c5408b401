"""A deployed function: the real handler with its environment, its role, its log and its metrics.

Each has a runtime of its own, built from the template's variables by the
handlers' own composition root; only clients, clock and log are the embedded
ones. Every API call is held to the role's statements before it is made, and
noted. What a handler writes goes to CloudWatch, where its own metrics come from.
"""

from __future__ import annotations

import importlib
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from botocore.exceptions import ClientError
from botocore.model import OperationModel

from flyball_controller.aws.clients import CallLimits, Clients
from flyball_handlers import wiring
from flyball_local.cloudwatch import metric_key
from flyball_local.embedded import EmbeddedAws
from flyball_local.template.policies import Request, Statement, allowed
from flyball_local.template.requests import Place, requests_of

LOG_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")


class Grant(NamedTuple):
    """A permission that was asked for: by which function, for what, and whether the role has it."""

    function: str
    action: str
    resource: str
    granted: bool


class Ledger:
    """What all functions asked for so far, each with how often."""

    def __init__(self) -> None:
        self.asked: Counter[Grant] = Counter()

    def ask(self, function: str, request: Request, role: Sequence[Statement]) -> bool:
        """Return whether the role allows the request, and note it."""
        granted = allowed(request, role)
        self.asked[Grant(function, request.action, request.resource, granted)] += 1
        return granted

    def denied(self) -> set[Grant]:
        """Return what was refused."""
        return {grant for grant in self.asked if not grant.granted}


class _RoleClients(Clients):
    """The embedded account's clients, held to one role."""

    def __init__(self, aws: EmbeddedAws, check: Callable[[str, str, Mapping[str, Any]], None]) -> None:
        super().__init__(region=aws.region)
        self._aws = aws
        self._check = check

    def _make(self, service: str, limits: CallLimits) -> Any:
        client = self._aws.client(service)

        def before(params: Mapping[str, Any], model: OperationModel, **_: object) -> None:
            self._check(service, model.name, params)

        client.meta.events.register_first(f"before-parameter-build.{service}", before)
        return client


class Host:
    """Runs one function. `invocations` and `errors` count; `fault` makes it raise before the handler runs.

    Args:
        aws: The account.
        name: Function name.
        handler: The template's dotted path.
        variables: The template's environment.
        role: Statements of its role.
        log_group: ARN of its log group, as roles name it.
        place: For permissions.
        ledger: Notes them.
        write: Takes each log line.
    """

    def __init__(
        self,
        aws: EmbeddedAws,
        name: str,
        handler: str,
        variables: Mapping[str, str],
        *,
        role: Sequence[Statement],
        log_group: str,
        place: Place,
        ledger: Ledger,
        write: Callable[[str], object],
    ) -> None:
        module, _, attribute = handler.rpartition(".")
        self.name = name
        self.invocations = 0
        self.errors = 0
        self.fault: Exception | None = None
        self._aws = aws
        self._handler: Callable[[Any, Any], object] = getattr(importlib.import_module(module), attribute)
        self._variables = dict(variables)
        self._role = role
        self._log_stream = log_group.removesuffix(":*") + ":log-stream:1"
        self._place = place
        self._ledger = ledger
        self._stream = _Lines(write)
        self._runtime: wiring.Runtime | None = None

    @property
    def runtime(self) -> wiring.Runtime:
        """The container's runtime, made at the first event."""
        if self._runtime is None:
            self._runtime = wiring.build(
                {**self._variables, "AWS_REGION": self._aws.region},
                clients=self.clients(),
                clock=self._aws.clock,
                log=self._stream,
            )
        return self._runtime

    def clients(self) -> Clients:
        """Return clients that may do what the function's role may, and nothing else."""
        return _RoleClients(self._aws, self._check)

    def restart(self) -> None:
        """Forget the container: the next event finds a cold one."""
        self._runtime = None

    def __call__(self, event: Any, context: Any) -> object:
        """Run the handler, and count as Lambda does."""
        now_s = self._aws.clock.now_s()
        self.invocations += 1
        failed = True
        for action in LOG_ACTIONS:
            self._ledger.ask(self.name, Request(action, self._log_stream), self._role)
        try:
            if self.fault is not None:
                raise self.fault
            with wiring.use_runtime(self.runtime) if self._variables else nullcontext():
                answer = self._handler(event, context)
            failed = False
            return answer
        finally:
            self.errors += failed
            for metric, value in (("Invocations", 1.0), ("Errors", float(failed))):
                key = metric_key("AWS/Lambda", metric, {"FunctionName": self.name})
                self._aws.cloudwatch.store.put(key, value, at_s=now_s, now_s=self._aws.clock.now_s())

    def _check(self, service: str, operation: str, params: Mapping[str, Any]) -> None:
        for request in requests_of(service, operation, params, self._place):
            if not self._ledger.ask(self.name, request, self._role):
                message = f"{self.name} is not authorized to perform {request.action} on {request.resource}"
                reply: Any = {
                    "Error": {"Code": "AccessDeniedException", "Message": message},
                    "ResponseMetadata": {"HTTPStatusCode": 400},
                }
                raise ClientError(reply, operation)


class _Lines(io.StringIO):
    """A stream as Lambda's log driver reads it: line by line; nothing is held back."""

    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__()
        self._pass_on = write

    def write(self, text: str, /) -> int:
        """Pass on the lines of a text."""
        for line in text.splitlines():
            self._pass_on(line)
        return len(text)
