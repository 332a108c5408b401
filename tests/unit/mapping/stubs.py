"""Clients of the SDK that answer from stubs, which check every parameter and reply; an account of moto's."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

NOW_S = 1_767_571_200.0  # 2026-01-05T00:00:00Z
NOW = datetime.fromtimestamp(NOW_S, tz=UTC)
REGION = "eu-west-1"
# moto has none of these; test_sources.py reads them from the SDK's own stubs.
QUIET = [word for name in ("application-signals", "xray", "monitors") for word in ("--without", name)]


def no_other_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK may look nowhere else."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@contextmanager
def account_of(timeouts_s: Mapping[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Functions by name, with their time-outs, in an account; the client that made them."""
    no_other_account(monkeypatch)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        role = boto3.client("iam", REGION).create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("a.py", "")
        functions = boto3.client("lambda", REGION)
        for name, timeout_s in timeouts_s.items():
            functions.create_function(
                FunctionName=name,
                Runtime="python3.12",
                Role=role["Arn"],
                Handler="a.h",
                Code={"ZipFile": code.getvalue()},
                Timeout=timeout_s,
                MemorySize=512,
            )
        yield functions


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
