"""Turns what botocore raises into PortError, by error code and never by message text.

Two questions are answered here for every adapter. May the same call go through
later (`retryable`)? And may it have gone through although it failed
(`outcome_unknown`)? The second decides whether a writer has to look before it
writes again: time-outs, broken connections and 5xx leave it open, a 4xx never.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from flyball_controller.ports import PortError

# Codes that mean "not now". Sources: error tables of the DynamoDB, AppConfig and
# CloudWatch service models and botocore's own list of throttling codes.
RETRYABLE_CODES = frozenset(
    {
        "InternalServerError",
        "InternalServerException",
        "InternalServiceFault",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
HTTP_TOO_MANY_REQUESTS = 429
HTTP_SERVER_ERROR = 500


class AwsError(PortError):
    """A failed AWS call.

    `code` is the service's error code, or the exception's name if no reply came;
    `reason` the sub-code that some services add (AppConfig: "InvalidConfiguration").
    """

    def __init__(
        self,
        message: str,
        *,
        backend: str,
        retryable: bool,
        code: str,
        outcome_unknown: bool = False,
        reason: str = "",
    ) -> None:
        super().__init__(message, backend=backend, retryable=retryable)
        self.code = code
        self.outcome_unknown = outcome_unknown
        self.reason = reason


def error_code(error: ClientError) -> str:
    """Return the service's error code, "" if the reply carries none.

    >>> error_code(ClientError({"Error": {"Code": "ConflictException"}}, "StartDeployment"))
    'ConflictException'
    """
    return error.response.get("Error", {}).get("Code", "")


def from_client_error(error: ClientError, *, backend: str) -> AwsError:
    """Return the AwsError of a reply that says no; the caller chains it."""
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    server_fault = status >= HTTP_SERVER_ERROR
    retryable = server_fault or status == HTTP_TOO_MANY_REQUESTS or code in RETRYABLE_CODES
    return AwsError(
        f"{backend}: {error.operation_name} was refused with {code or status}: "
        + ("try again at the next tick" if retryable else "check names and permissions in the settings"),
        backend=backend,
        retryable=retryable,
        code=code,
        outcome_unknown=server_fault,
        reason=str(error.response.get("Reason", "")),
    )


def from_botocore_error(error: BotoCoreError, *, backend: str, operation: str) -> AwsError:
    """Return the AwsError of a call that got no reply (time-out, connection) or could not be made at all."""
    no_reply = isinstance(error, HTTPClientError | BotocoreConnectionError)
    name = type(error).__name__
    return AwsError(
        f"{backend}: {operation} got no reply ({name}): "
        + ("try again at the next tick" if no_reply else "check region, credentials and arguments"),
        backend=backend,
        retryable=no_reply,
        code=name,
        outcome_unknown=no_reply,
    )


@contextmanager
def aws_call(backend: str, operation: str) -> Iterator[None]:
    """Run one AWS call; whatever botocore raises inside leaves as AwsError, cause chained.

    Raises:
        AwsError: With `code`, `retryable` and `outcome_unknown` decided from codes and types.
    """
    try:
        yield
    except ClientError as error:
        raise from_client_error(error, backend=backend) from error
    except BotoCoreError as error:
        raise from_botocore_error(error, backend=backend, operation=operation) from error
