"""What exceptions say about a target: by declaration, code, status, kind; never by message."""

from __future__ import annotations

import email.message
import urllib.error

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from flyball.classify import classify
from flyball.errors import CircuitOpenError
from flyball.outcome import Outcome


class OrderError(Exception):
    """A user's own exception."""


class HTTPStatusError(Exception):
    """As requests and httpx raise: with a response that has a status and headers."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__("no text is looked at: Throttling, timeout")
        self.response = type("Response", (), {"status_code": status, "headers": headers or {}})()


class ConnectTimeout(Exception):  # noqa: N818
    pass


class Timeout(ConnectTimeout):
    """As in requests: the family's common name."""


def client_error(code: str, status: int, headers: dict[str, str] | None = None) -> ClientError:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "GetItem")


def http_error(status: int, after: str = "") -> urllib.error.HTTPError:
    headers = email.message.Message()
    if after:
        headers["Retry-After"] = after
    return urllib.error.HTTPError("http://t", status, "", headers, None)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (client_error("ProvisionedThroughputExceededException", 400), Outcome.THROTTLE),
        (client_error("ThrottlingException", 400), Outcome.THROTTLE),
        (client_error("SlowDown", 503), Outcome.THROTTLE),
        (client_error("RequestTimeout", 400), Outcome.TIMEOUT),
        (client_error("InternalServerError", 500), Outcome.ERROR_FAST),
        (client_error("ValidationException", 400), Outcome.PERMANENT),
        (client_error("AccessDeniedException", 403), Outcome.PERMANENT),
        (EndpointConnectionError(endpoint_url="http://t"), Outcome.ERROR_FAST),
        (ReadTimeoutError(endpoint_url="http://t"), Outcome.TIMEOUT),
        (HTTPStatusError(429), Outcome.THROTTLE),
        (HTTPStatusError(503), Outcome.ERROR_FAST),
        (HTTPStatusError(504), Outcome.TIMEOUT),
        (HTTPStatusError(404), Outcome.PERMANENT),
        (http_error(503), Outcome.ERROR_FAST),
        (http_error(404), Outcome.PERMANENT),
        (TimeoutError(), Outcome.TIMEOUT),
        (Timeout(), Outcome.TIMEOUT),
        (ConnectionRefusedError(), Outcome.ERROR_FAST),
        (KeyError("a bug of the caller"), Outcome.PERMANENT),
        (OrderError("Throttling: timeout"), Outcome.PERMANENT),
        (CircuitOpenError("inner", target="u", retry_after_s=1.0), Outcome.IGNORED),
    ],
)
def test_an_exception_is_read_by_what_it_carries(error, outcome):
    """Codes and statuses of four libraries, none of them imported by the client."""
    assert classify(error).outcome == outcome


def test_declared_exceptions_are_failures_of_the_target():
    """And still a throttle is a throttle, if it says so."""
    assert classify(OrderError(), on=(OrderError,)).outcome == Outcome.ERROR_FAST
    assert classify(client_error("Throttling", 400), on=(ClientError,)).outcome == Outcome.THROTTLE
    assert classify(client_error("ValidationException", 400), on=(ClientError,)).outcome == Outcome.ERROR_FAST


def test_ignored_exceptions_are_no_news_even_if_they_look_like_it():
    """The user's word counts first."""
    assert classify(TimeoutError(), ignore=(OSError,)).outcome == Outcome.IGNORED


@pytest.mark.parametrize(
    ("error", "after_s"),
    [
        (client_error("Throttling", 400, {"retry-after": "3"}), 3.0),
        (client_error("Throttling", 400, {"x-amz-retry-after": "1500"}), 1.5),
        (HTTPStatusError(429, {"Retry-After": "7"}), 7.0),
        (http_error(503, "2"), 2.0),
        (HTTPStatusError(429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), None),
        (HTTPStatusError(429, {"Retry-After": "-1"}), None),
        (HTTPStatusError(429, {"Retry-After": "9" * 400}), None),
        (HTTPStatusError(429, {"Retry-After": "٣"}), None),
        (TimeoutError(), None),
    ],
)
def test_a_demanded_pause_is_read_if_it_is_a_number(error, after_s):
    """Headers are input from outside."""
    assert classify(error).retry_after_s == after_s


@pytest.mark.parametrize(
    "response", [{}, {"Error": None}, {"Error": {"Code": 7}, "ResponseMetadata": []}, 3, "x"]
)
def test_strange_responses_are_the_callers_own_fault(response):
    """An attribute named `response` may be anything."""
    error = OrderError()
    error.response = response
    assert classify(error).outcome == Outcome.PERMANENT
