"""The controller as deployed: its handlers in Lambda's own bootstrap, over HTTP, against the embedded AWS.

Fidelity: emulator. Real are the handlers, boto3 with its serialisers and
retries, the runtime interface client, separate frozen processes and sockets.
Time is real, since another process cannot share a virtual clock; the metrics
are therefore dated to the last quarter of an hour.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from flyball.aws import DynamoCircuits
from flyball.contract import CircuitState, decode_document
from flyball_local.embedded import EmbeddedAws, FlyballResources
from flyball_local.lambdahost import FunctionSettings, LambdaHost
from flyball_local.virtualclock import VirtualClock

pytestmark = pytest.mark.slow
MINUTES = 14


def put_minutes(aws: EmbeddedAws, first_s: float, failed: list[int]) -> None:
    """One minute of 600 requests per number, of which so many failed fast."""
    client = aws.client("cloudwatch")
    for i, count in enumerate(failed):
        stamp = first_s + 60.0 * i
        values = {
            "requests": 600,
            "attempts": 600 + count,
            "errors_fast": count,
            "first_attempt_failures": count,
        }
        client.put_metric_data(
            Namespace="flyball",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": "target", "Value": "payments-api"}],
                    "Timestamp": stamp,
                    "Value": float(value),
                    "Unit": "Count",
                }
                for name, value in values.items()
            ],
        )


def variables(served: dict[str, str], resources: FlyballResources) -> dict[str, str]:
    """What a deployment would set."""
    return {**served, **resources.variables, "FLYBALL_TARGETS": "payments-api", "FLYBALL_POLICY": "two-loop"}


def scheduled(now_s: float) -> dict[str, Any]:
    """EventBridge's scheduled event."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))
    return {
        "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events",
        "account": "000000000000", "time": at, "region": "eu-west-1", "resources": [], "detail": {},
    }  # fmt: skip


def test_a_tick_in_the_real_bootstrap_opens_a_dead_target_and_tells_the_clients():
    """The whole chain: metrics in, state saved, circuit item and document out, clients can read both."""
    now_s = time.time()
    clock = VirtualClock(now_s)
    lines: list[str] = []
    with EmbeddedAws(clock) as aws:
        resources = aws.create_flyball_resources()
        last_full = (now_s - 20.0) // 60.0 * 60.0
        put_minutes(aws, last_full - 60.0 * MINUTES, [1] * (MINUTES - 10) + [590] * 10)
        with aws.serve() as served:
            settings = FunctionSettings(
                "flyball_handlers.tick.handler",
                variables=variables(served.variables, resources),
                timeout_s=30.0,
            )
            with LambdaHost(settings, on_log=lines.append) as host:
                first = host.invoke(scheduled(now_s))
                again = host.invoke(scheduled(now_s))
        assert first.error is None, (first, lines)
        assert again.error is None
        assert (first.cold, again.cold) == (True, False)
        (circuit,) = DynamoCircuits(client=aws.client("dynamodb")).read(("payments-api",), "")
        assert circuit.state == CircuitState.OPEN
        clock.advance(30.0)
        config = resources.config
        document = decode_document(
            aws.appconfig.agent(config.application_id, config.environment_id, config.profile_id).get()
        )
        assert document.targets["payments-api"].retry.budget_ratio == 0.0
        decisions = [json.loads(line) for line in lines if '"decision"' in line]
        assert any("NEARLY_ALL_FAIL" in json.dumps(line) for line in decisions)
