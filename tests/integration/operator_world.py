"""One installation on an embedded account, a controller on it, and the command line of its operators."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from flyball.contract import Document, decode_document
from flyball.outcome import Counters
from flyball.telemetry import emf_lines
from flyball_analytics.cli import cli
from flyball_controller.aws.clients import CallLimits, Clients
from flyball_handlers import override, tick, wiring
from flyball_handlers.telemetry import Telemetry
from flyball_local.embedded import EmbeddedAws


class EmbeddedClients(Clients):
    """The embedded account's clients."""

    def __init__(self, aws: EmbeddedAws) -> None:
        super().__init__(region=aws.region)
        self._aws = aws

    def _make(self, service: str, limits: CallLimits) -> Any:
        return self._aws.client(service)

    def serve_function(self, functions: Any) -> None:
        """Let Lambda be what answers `invoke`: the embedded account has no Lambda for SDK clients."""
        self.functions = functions


class OverrideFunction:
    """Lambda's `invoke` for one function, with the payload read and written as JSON."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.invoked: list[str] = []

    def invoke(self, **arguments: Any) -> dict[str, Any]:
        """Run the handler; what it raises becomes what Lambda says about it."""
        self.invoked.append(arguments["FunctionName"])
        try:
            answer = self._world.override(**json.loads(arguments["Payload"]))
        except Exception as error:  # whatever it is, Lambda says so
            said = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return {"Payload": io.BytesIO(json.dumps(said).encode()), "FunctionError": "Unhandled"}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


class World:
    """An embedded account; `tick` is the controller, `run` the command line."""

    def __init__(self, aws: EmbeddedAws, folder: Path) -> None:
        self.aws = aws
        self.clients = EmbeddedClients(aws)
        self.clock = aws.clock
        self.folder = folder
        self.resources = aws.create_flyball_resources()
        self.variables = self.resources.variables
        self.telemetry = Telemetry(silent=True)
        self.runtime: wiring.Runtime | None = None
        self.lambda_ = OverrideFunction(self)
        self.clients.serve_function(self.lambda_)

    def controller(self, policy: str, *targets: str) -> None:
        """Start a controller, cold, with a policy of its own and these targets."""
        self.variables = {**self.resources.variables, "FLYBALL_POLICY": policy}
        environ = {**self.resources.variables, "FLYBALL_POLICY": policy, "FLYBALL_TARGETS": ",".join(targets)}
        self.runtime = wiring.build(
            {name: value for name, value in environ.items() if value},
            clients=self.clients,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    def _handle(self, handler: Any, event: Any) -> Any:
        assert self.runtime is not None
        with wiring.use_runtime(self.runtime):
            answer = handler(event)
            self.runtime = wiring.runtime()
        return answer

    def tick(self, minutes: int = 1, *, failing: Sequence[str] = (), calling: Sequence[str] = ()) -> None:
        """Let minutes pass, with traffic to some targets, and a round at the end of each."""
        for _ in range(minutes):
            self.clock.advance(30.0)
            for target in (*calling, *failing):
                counters = Counters()
                counters.requests, counters.timeouts = 600, 590 if target in failing else 0
                for line in emf_lines(counters, target=target, function="", now_s=self.clock.now_s()):
                    self.aws.cloudwatch.ingest_emf(line)
            self.clock.advance(30.0)
            self._handle(tick.handler, {})

    def override(self, **event: Any) -> Any:
        """Invoke the override function."""
        return self._handle(override.handler, event)

    def run(self, *arguments: str, at_s: float | None = None, **environ: str) -> Result:
        """Run the command line in this process, at the account's time."""
        now_s = self.clock.now_s() if at_s is None else at_s
        variables = {**self.variables, **environ}
        return CliRunner().invoke(
            cli,
            [*arguments, "--now", f"{now_s:.3f}"],
            env=variables,
            obj=self.clients,
            catch_exceptions=False,
        )

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run the command line for JSON and return it; the exit code must be `code`."""
        result = self.run(*arguments, "--format", "json")
        assert result.exit_code == code, result.output
        plain: dict[str, Any] = json.loads(result.stdout)
        return plain

    def policy(self, text: str, name: str = "fleet.yaml") -> str:
        """Write a policy file; return its path."""
        path = self.folder / name
        path.write_text(f"version: 1\n{text}")
        return str(path)

    def file(self, name: str) -> str:
        """Return the path of a file of this test."""
        return str(self.folder / name)

    def document(self) -> Document:
        """Return the document that a new execution environment receives."""
        data = self.aws.appconfig.agent(*self.resources.config[:3]).get()
        assert data is not None
        return decode_document(data, strict=True)

    def deploy_by_hand(self, content: bytes) -> None:
        """Deploy a content as somebody would in the console, and wait until it is complete."""
        client = self.aws.client("appconfig")
        application, environment, profile, strategy = self.resources.config
        version = client.create_hosted_configuration_version(
            ApplicationId=application,
            ConfigurationProfileId=profile,
            Content=content,
            ContentType="application/json",
        )["VersionNumber"]
        client.start_deployment(
            ApplicationId=application,
            EnvironmentId=environment,
            ConfigurationProfileId=profile,
            DeploymentStrategyId=strategy,
            ConfigurationVersion=str(version),
        )
        self.clock.advance(30.0)

    def journal(self, target: str) -> list[dict[str, Any]]:
        """Return all that the journal says of a target, oldest first."""
        reply = self.aws.client("dynamodb").query(
            TableName="flyball-journal",
            KeyConditionExpression="#t = :t",
            ExpressionAttributeNames={"#t": "target"},
            ExpressionAttributeValues={":t": {"S": target}},
        )
        return [json.loads(item["record"]["S"]) for item in reply["Items"]]

    def circuit(self, target: str, function: str = "*") -> dict[str, Any] | None:
        """Return a published circuit item."""
        key = {"target": {"S": target}, "function": {"S": function}}
        item: dict[str, Any] | None = (
            self.aws.client("dynamodb").get_item(TableName="flyball-circuits", Key=key).get("Item")
        )
        return item


@contextmanager
def operator_world(folder: Path) -> Iterator[World]:
    """Yield a world with an account of its own."""
    with EmbeddedAws(seed=3) as aws:
        yield World(aws, folder)
