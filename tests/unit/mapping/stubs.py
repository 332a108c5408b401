"""Clients of the SDK that answer from stubs, which check every parameter and reply."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.stub import Stubber

NOW_S = 1_767_571_200.0  # 2026-01-05T00:00:00Z
NOW = datetime.fromtimestamp(NOW_S, tz=UTC)
REGION = "eu-west-1"


def stubbed(service: str, *replies: tuple[str, dict[str, Any]], denied: str = "") -> Any:
    """A real client that answers in this order; a reply that AWS could not give is an error."""
    client = boto3.client(service, region_name=REGION)
    stub = Stubber(client)
    for operation, reply in replies:
        stub.add_response(operation, reply)
    if denied:
        stub.add_client_error(denied, "AccessDeniedException", http_status_code=403)
    stub.activate()
    return client


def days(*points: tuple[str, dict[str, float]]) -> dict[str, Any]:
    """A reply of GetMetricStatistics; percentiles where CloudWatch puts them."""
    found = []
    for day, values in points:
        plain: dict[str, Any] = {k: v for k, v in values.items() if not k.startswith("p")}
        ranks = {k: v for k, v in values.items() if k.startswith("p")}
        found.append({"Timestamp": datetime.fromisoformat(f"2026-01-{day}T00:00:00+00:00"), **plain})
        if ranks:
            found[-1]["ExtendedStatistics"] = ranks
    return {"Label": "x", "Datapoints": found}
