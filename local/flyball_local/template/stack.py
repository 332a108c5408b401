"""One deployed template: makes every resource in the order of references, then joins them.

    stack = Stack(EmbeddedAws(), expand(Path("infra/template.yaml")), {"Targets": "payments"})
    stack.aws.clock.advance(60.0)      # the tick rule fires, the tick handler runs

Nothing here knows flyball's own resources: functions, rules and queues are found
by what the template says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyball_local.embedded import EmbeddedAws
from flyball_local.functions import LambdaFunction
from flyball_local.queues import Queue
from flyball_local.template import connections, resources
from flyball_local.template.errors import TemplateError
from flyball_local.template.functions import Host, Ledger
from flyball_local.template.insights import InsightsAlarm
from flyball_local.template.intrinsics import Intrinsics, Made
from flyball_local.template.policies import Request, allowed, statements
from flyball_local.template.requests import Place

MINUTE_S = 60.0


class Stack:
    """A template on an embedded account; everything that runs in it is public.

    Args:
        aws: The account.
        template: After macros (`expand`).
        parameters: Values that differ from the template's defaults.
        name: Of the stack; part of generated names.

    Raises:
        TemplateError: What AWS would refuse (an unknown reference, a rule that may not send to its
            target), or what has no emulator.
    """

    def __init__(
        self,
        aws: EmbeddedAws,
        template: Mapping[str, Any],
        parameters: Mapping[str, str] | None = None,
        *,
        name: str = "flyball",
    ) -> None:
        self.aws = aws
        self.name = name
        self.table_keys: dict[str, str] = {}
        self.place = Place(aws.region, aws.account, self.table_keys)
        self.properties: dict[str, Mapping[str, Any]] = {}  # resolved, by logical id
        self.permissions: list[dict[str, Any]] = []
        self.queues: dict[str, Queue] = {}  # by ARN
        self.functions: dict[str, LambdaFunction] = {}  # by ARN
        self.hosts: dict[str, Host] = {}  # by function name
        self.insights: list[InsightsAlarm] = []
        self.dashboards: dict[str, Any] = {}
        self.log: list[str] = []
        self.ledger = Ledger()
        self._resources: Mapping[str, Any] = template["Resources"]
        self._clients: dict[str, Any] = {}
        self._made: dict[str, Made] = {}
        self._making: list[str] = []
        pseudo = {
            "AWS::AccountId": aws.account,
            "AWS::Region": aws.region,
            "AWS::Partition": "aws",
            "AWS::StackName": name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        self.given = frozenset((parameters or {}).values())
        self.intrinsics = Intrinsics(template, parameters or {}, pseudo, self.made)
        aws.appconfig.call_validators_by(self._validate)
        for logical in self._resources:
            if self.intrinsics.exists(logical):
                self.made(logical)
        connections.connect(self)
        self.outputs = {
            key: str(self.intrinsics.value(output["Value"], f"Outputs.{key}"))
            for key, output in template.get("Outputs", {}).items()
            if "Condition" not in output or self.intrinsics.condition(output["Condition"])
        }
        aws.cloudwatch.evaluate_on_clock()
        self._each_minute()

    def client(self, service: str) -> Any:
        """Return the client that deploys: one per service, held to no role."""
        if service not in self._clients:
            self._clients[service] = self.aws.client(service)
        return self._clients[service]

    def made(self, logical: str) -> Made:
        """Return a resource, made now if it is not there yet, with all it refers to before it."""
        if logical not in self._made:
            if logical in self._making:
                circle = " -> ".join([*self._making, logical])
                raise TemplateError(f"resources refer to each other in a circle: {circle}", where=logical)
            self._making.append(logical)
            raw = self._resources[logical]
            after = raw.get("DependsOn", [])
            for earlier in [after] if isinstance(after, str) else after:
                self.made(earlier)
            self.properties[logical] = self.intrinsics.value(raw.get("Properties", {}), logical)
            self._made[logical] = resources.make(self, logical, raw["Type"], self.properties[logical])
            self._making.pop()
        return self._made[logical]

    def of_type(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Return the resolved properties of every resource of a type that was made, by logical id."""
        return {
            logical: self.properties[logical]
            for logical, raw in self._resources.items()
            if raw["Type"] == kind and logical in self.properties
        }

    def by_arn(self, kind: str, arn: str) -> Mapping[str, Any]:
        """Return the resolved properties of one resource.

        Raises:
            TemplateError: There is none of that ARN.
        """
        for logical, properties in self.of_type(kind).items():
            if logical in self._made and self._made[logical].attributes.get("Arn") == arn:
                return properties
        raise TemplateError(f"there is no {kind} {arn}", where=self.name)

    def queue(self, logical: str) -> Queue:
        """Return a queue by logical id."""
        return self.queues[self.made(logical).attributes["Arn"]]

    def host(self, logical: str) -> Host:
        """Return what runs behind a function, by logical id."""
        return self.hosts[self.made(logical).ref]

    def function(self, arn: str) -> LambdaFunction:
        """Return a function by ARN, registered at first need (a validator may be called while we deploy)."""
        if arn not in self.functions:
            self.functions[arn] = connections.register(self, arn, self._retries(arn))
        return self.functions[arn]

    def may_invoke(self, service: str, function_arn: str, source_arn: str) -> bool:
        """Whether a permission of the function lets a service invoke it on behalf of a source."""
        name = function_arn.rpartition(":")[2]
        return any(
            p["FunctionName"] in (name, function_arn)
            and p["Action"] == "lambda:InvokeFunction"
            and p["Principal"] == service
            and p.get("SourceArn", source_arn) == source_arn
            and p.get("SourceAccount", self.place.account) == self.place.account
            for p in self.permissions
        )

    def may_send(self, service: str, queue_arn: str, source_arn: str) -> bool:
        """Whether the policies of a queue let a service send to it on behalf of a source."""
        address = next(
            (m.ref for m in self._made.values() if m.attributes.get("Arn") == queue_arn), queue_arn
        )
        policies = [
            statement
            for logical, policy in self.of_type("AWS::SQS::QueuePolicy").items()
            if address in policy["Queues"]
            for statement in statements(policy["PolicyDocument"], logical)
        ]
        context = {"aws:SourceArn": (source_arn,), "aws:SecureTransport": ("true",)}
        return allowed(Request("sqs:SendMessage", queue_arn, context, service), policies)

    def take_line(self, line: str) -> None:
        """Take one log line of a function; metrics in it go to CloudWatch."""
        self.log.append(line)
        self.aws.cloudwatch.ingest_emf(line)

    def _retries(self, arn: str) -> tuple[int, float]:
        """Return retries and age of the function's asynchronous invocations (Lambda's own unless set)."""
        logical = next(k for k, m in self._made.items() if m.attributes.get("Arn") == arn)
        for name, raw in self._resources.items():
            is_config = raw["Type"] == "AWS::Lambda::EventInvokeConfig"
            if is_config and raw["Properties"]["FunctionName"] == {"Ref": logical}:
                config = self.intrinsics.value(raw["Properties"], name)
                return int(config["MaximumRetryAttempts"]), float(config["MaximumEventAgeInSeconds"])
        return 2, 21_600.0

    def _validate(self, function_arn: str, event: Mapping[str, Any]) -> None:
        """Call a validator as AppConfig does: only if the function's permission names the profile."""
        profile = self.place.arn(
            "appconfig",
            f"application/{event['applicationId']}/configurationprofile/{event['configurationProfileId']}",
        )
        if not self.may_invoke("appconfig.amazonaws.com", function_arn, profile):
            raise TemplateError("AppConfig may not invoke the validator", where=function_arn)
        self.function(function_arn).invoke(dict(event))

    def _each_minute(self) -> None:
        connections.publish_queue_metrics(self)
        for alarm in self.insights:
            for event in alarm.evaluate():
                self.aws.bus.put(event)
        self.aws.clock.call_at(self.aws.clock.now_s() + MINUTE_S, self._each_minute)
