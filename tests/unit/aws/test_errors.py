"""Errors of botocore become PortErrors by code, with the cause chained."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from flyball_controller.aws.clients import DYNAMODB_LIMITS, Clients
from flyball_controller.aws.clock import SystemClock
from flyball_controller.aws.errors import AwsError, aws_call
from flyball_controller.ports import PortError
from unit.aws.doubles import client_error


@pytest.mark.parametrize(
    ("code", "status", "retryable", "unknown"),
    [
        ("ProvisionedThroughputExceededException", 400, True, False),
        ("ThrottlingException", 400, True, False),
        ("TooManyRequestsException", 429, True, False),
        ("SomethingNew", 429, True, False),
        ("SomethingNew", 503, True, True),
        ("InternalServerError", 500, True, True),
        ("ResourceNotFoundException", 400, False, False),
        ("AccessDeniedException", 403, False, False),
        ("ConditionalCheckFailedException", 400, False, False),
    ],
)
def test_a_refusal_is_judged_by_code_and_status(code: str, status: int, retryable: bool, unknown: bool):
    """Throttles and 5xx pass, permissions and names do not; only a 5xx may have taken effect."""
    with pytest.raises(AwsError) as caught, aws_call("dynamodb", "PutItem"):
        raise client_error(code, "PutItem", status=status)
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert caught.value.outcome_unknown is unknown
    assert caught.value.backend == "dynamodb"
    assert isinstance(caught.value.__cause__, ClientError)


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (ReadTimeoutError(endpoint_url="u"), True),
        (ConnectTimeoutError(endpoint_url="u"), True),
        (EndpointConnectionError(endpoint_url="u"), True),
        (NoCredentialsError(), False),
        (ParamValidationError(report="r"), False),
    ],
)
def test_no_reply_leaves_the_outcome_open(error: Exception, retryable: bool):
    """A writer has to look before it writes again, but not after a call that was never made."""
    with pytest.raises(PortError) as caught, aws_call("appconfig", "StartDeployment"):
        raise error
    assert caught.value.retryable is retryable
    assert isinstance(caught.value, AwsError)
    assert caught.value.outcome_unknown is retryable


def test_our_own_mistakes_are_not_disguised():
    """A TypeError inside an adapter is a bug, not a failed backend."""
    with pytest.raises(TypeError), aws_call("dynamodb", "GetItem"):
        raise TypeError("bug")


def test_clients_are_made_once_with_short_time_outs():
    """A decision that waits a minute for its store is worse than one repeated at the next tick."""
    clients = Clients(region="eu-west-1")
    assert clients.dynamodb is clients.dynamodb
    for client, service in (
        (clients.dynamodb, "dynamodb"),
        (clients.appconfig, "appconfig"),
        (clients.cloudwatch, "monitoring"),
    ):
        meta = client.meta  # type: ignore[attr-defined]  # a botocore client behind our Protocol
        assert meta.service_model.endpoint_prefix == service
        assert meta.config.connect_timeout <= 1.0
        assert meta.config.read_timeout <= 10.0
        assert meta.config.retries["total_max_attempts"] <= 3
    assert clients.dynamodb.meta.config.read_timeout == DYNAMODB_LIMITS.read_s  # type: ignore[attr-defined]


def test_the_clock_is_epoch_seconds():
    """2020-01-01 to 2100-01-01: a monotonic clock or milliseconds would fall outside."""
    assert 1_577_836_800 < SystemClock().now_s() < 4_102_444_800
