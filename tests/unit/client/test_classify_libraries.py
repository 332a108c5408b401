"""What the errors of HTTP libraries and stores say, and errors in errors. Nothing of it needs `on=`."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import urllib.error
from email.message import Message
from typing import Any

import botocore.exceptions
import pytest
import requests
import tenacity
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from flyball.classify import UNREACHABLE_KINDS, WRAPPER_KINDS, Classified, classify
from flyball.errors import ShedError
from flyball.outcome import Outcome
from unit.client.support import PaymentError

TIMEOUT, THROTTLE, FAST = Outcome.TIMEOUT, Outcome.THROTTLE, Outcome.ERROR_FAST
PERMANENT, IGNORED = Outcome.PERMANENT, Outcome.IGNORED
URL = "https://payments.example"


def of_library(qualified: str, *bases: type[BaseException], **fields: Any) -> BaseException:
    """An error of a library that is not installed here: its module, its name, its attributes."""
    module, _, name = qualified.rpartition(".")
    kind = type(name, bases or (Exception,), {"__module__": module})
    error: BaseException = kind("of a library")
    error.__dict__.update(fields)
    return error


def gave_up(text: str) -> BaseException:
    """What urllib3 raises after it has repeated a request itself."""
    return urllib3.exceptions.MaxRetryError(None, URL, urllib3.exceptions.ResponseError(text))  # type: ignore[arg-type]


def test_the_words_of_urllib3_are_still_those_that_are_read():
    """The status of an exhausted retry stands nowhere else."""
    said = urllib3.exceptions.ResponseError
    assert said.SPECIFIC_ERROR.format(status_code=503) == "too many 503 error responses"
    assert said.GENERIC_ERROR == "too many error responses"


@pytest.mark.parametrize(
    ("raised", "outcome"), [(TimeoutError(), TIMEOUT), (PaymentError(), PERMANENT), (ConnectionError(), FAST)]
)
def test_what_tenacity_has_given_up_is_what_it_gave_up_for(raised, outcome):
    """Without `reraise=True` it raises an error of its own; the outage is as much one."""

    @tenacity.retry(stop=tenacity.stop_after_attempt(1))
    def charge() -> None:
        raise raised

    with pytest.raises(tenacity.RetryError) as caught:
        charge()
    assert classify(caught.value).outcome is outcome
    assert classify(caught.value, on=(PaymentError,)).outcome is (outcome if outcome != PERMANENT else FAST)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (requests.exceptions.ConnectionError(), FAST),
        (requests.exceptions.SSLError(), FAST),
        (requests.exceptions.ChunkedEncodingError(), FAST),
        (requests.exceptions.ConnectTimeout(), TIMEOUT),
        (requests.exceptions.ReadTimeout(), TIMEOUT),
        (requests.exceptions.InvalidURL(), PERMANENT),
        (requests.exceptions.JSONDecodeError("", "", 0), PERMANENT),
        (urllib3.exceptions.ProtocolError(), FAST),
        (urllib3.exceptions.NewConnectionError(None, ""), FAST),
        (urllib3.exceptions.ReadTimeoutError(None, URL, ""), TIMEOUT),
        (urllib3.exceptions.ConnectTimeoutError(), TIMEOUT),
        (urllib3.exceptions.MaxRetryError(None, URL, urllib3.exceptions.ConnectTimeoutError()), TIMEOUT),
        (urllib3.exceptions.MaxRetryError(None, URL, urllib3.exceptions.ProtocolError()), FAST),
        (urllib3.exceptions.LocationParseError(URL), PERMANENT),
        # A session with `Retry(status_forcelist=...)`, the usual one: no response is left to be looked at.
        (gave_up("too many 503 error responses"), FAST),
        (gave_up("too many 429 error responses"), THROTTLE),
        (gave_up("too many 504 error responses"), TIMEOUT),
        (gave_up("too many 404 error responses"), FAST),
        (gave_up("too many error responses"), FAST),
        (gave_up("too many redirects"), PERMANENT),
        (gave_up(""), PERMANENT),
        (requests.exceptions.RetryError(gave_up("too many 503 error responses")), FAST),
        (requests.exceptions.RetryError(gave_up("too many 429 error responses")), THROTTLE),
        (requests.exceptions.RetryError(), PERMANENT),
        (urllib.error.URLError(ConnectionRefusedError()), FAST),
        (urllib.error.URLError(socket.gaierror(socket.EAI_AGAIN, "")), FAST),
        (urllib.error.URLError(TimeoutError()), TIMEOUT),
        (urllib.error.URLError("unknown url type"), PERMANENT),
        (urllib.error.HTTPError(URL, 503, "", Message(), None), FAST),
        (http.client.RemoteDisconnected(), FAST),
        (http.client.IncompleteRead(b""), FAST),
        (http.client.BadStatusLine(""), FAST),
        (http.client.InvalidURL(), PERMANENT),
        (socket.gaierror(socket.EAI_AGAIN, ""), FAST),
        (OSError(errno.EHOSTUNREACH, ""), FAST),
        (OSError(errno.ENOSPC, "the caller's own disk"), PERMANENT),
        (OSError("without a number"), PERMANENT),
        (ssl.SSLEOFError(), FAST),
        (ssl.SSLCertVerificationError(), PERMANENT),
        (botocore.exceptions.ConnectionClosedError(endpoint_url=URL), FAST),
        (botocore.exceptions.EndpointConnectionError(endpoint_url=URL), FAST),
        (botocore.exceptions.ProxyConnectionError(proxy_url=URL), FAST),
        (botocore.exceptions.HTTPClientError(error=""), FAST),
        (botocore.exceptions.ResponseStreamingError(error=""), FAST),
        (botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), FAST),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url=URL), TIMEOUT),
        (botocore.exceptions.ReadTimeoutError(endpoint_url=URL), TIMEOUT),
        (botocore.exceptions.NoCredentialsError(), PERMANENT),
        (botocore.exceptions.ParamValidationError(report=""), PERMANENT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_installed_libraries(error, outcome):
    """Their real classes: a refused connection of requests is no ConnectionError of Python's."""
    assert classify(error).outcome == outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (of_library("httpx.ReadError", type(of_library("httpx.NetworkError"))), FAST),
        (of_library("httpx.RemoteProtocolError"), FAST),
        (of_library("httpx.PoolTimeout", type(of_library("httpx.TimeoutException"))), TIMEOUT),
        (of_library("httpx.LocalProtocolError"), PERMANENT),
        (of_library("aiohttp.client_exceptions.ClientConnectionError"), FAST),
        (of_library("aiohttp.client_exceptions.ClientPayloadError"), FAST),
        (of_library("aiohttp.client_exceptions.ClientResponseError", status=503, headers={}), FAST),
        (of_library("aiohttp.client_exceptions.ClientResponseError", status=404, headers={}), PERMANENT),
        (of_library("redis.exceptions.ConnectionError"), FAST),
        (of_library("redis.exceptions.TimeoutError"), TIMEOUT),
        (of_library("redis.exceptions.ResponseError"), PERMANENT),
        (of_library("pymongo.errors.AutoReconnect"), FAST),
        (of_library("pymongo.errors.NetworkTimeout"), TIMEOUT),
        (of_library("shop.errors.ConnectionError"), PERMANENT),
        (of_library("shop.errors.NetworkError"), PERMANENT),
        (of_library("shop.errors.URLError", reason=TimeoutError()), PERMANENT),
    ],
    ids=lambda value: (
        f"{type(value).__module__}.{type(value).__name__}" if isinstance(value, Exception) else None
    ),
)
def test_libraries_by_name(error, outcome):
    """By package and name, as httpx 0.28, aiohttp 3.14, redis 8.1 and pymongo 4.20 name theirs."""
    assert classify(error).outcome == outcome


def test_every_name_is_one_of_a_library():
    """A name without its package would match somebody's own class."""
    assert all(name.count(".") == 1 for name in UNREACHABLE_KINDS | WRAPPER_KINDS)


def test_aiohttps_status_is_read_where_it_does_not_warn():
    """Its `code` is deprecated, and warnings are errors to some; its Retry-After counts."""
    error = of_library("aiohttp.client_exceptions.ClientResponseError", status=429)
    error.headers = {"Retry-After": "7"}  # type: ignore[attr-defined]
    type(error).code = property(lambda _: pytest.fail("deprecated"))  # type: ignore[attr-defined]
    assert classify(error) == Classified(THROTTLE, 7.0)


# --- errors in errors -------------------------------------------------------------------


class AnswerError(Exception):
    """In the shape of urllib.error.HTTPError."""

    def __init__(self, code: int, retry_after: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.headers = {"Retry-After": retry_after} if retry_after else {"X": "y"}


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ([ConnectionError(), TimeoutError()], Classified(FAST)),
        ([TimeoutError(), ConnectionError()], Classified(TIMEOUT)),
        ([TimeoutError(), KeyError("typo")], Classified(PERMANENT)),
        ([LookupError("declared"), TimeoutError()], Classified(TIMEOUT)),
        ([LookupError("declared")], Classified(IGNORED)),
        ([ShedError("", target="x", retry_after_s=1.0), ConnectionError()], Classified(FAST)),
        ([PaymentError("declared")], Classified(FAST)),
        ([ExceptionGroup("inner", [TimeoutError()])], Classified(TIMEOUT)),
        ([ExceptionGroup("inner", [TimeoutError(), KeyError()])], Classified(PERMANENT)),
        ([AnswerError(429, "3"), AnswerError(429, "7")], Classified(THROTTLE, 7.0)),
    ],
)
def test_a_group_says_what_its_members_say(members, found):
    """Of a TaskGroup: a bug among them is a bug; else the first that is news, with the longest pause."""
    group = ExceptionGroup("of tasks", members)
    assert (
        classify(group, on=(PaymentError,), ignore=(LookupError,) if "declared" in str(members) else ())
        == found
    )


def test_a_group_that_was_declared_is_a_failure():
    """By `on=`, whatever is in it."""
    assert classify(ExceptionGroup("g", [KeyError()]), on=(ExceptionGroup,)).outcome == FAST


def test_errors_in_errors_are_not_followed_for_ever():
    """Somebody's wrapper may hold itself."""
    error = urllib.error.URLError("")
    error.reason = error
    assert classify(error).outcome == PERMANENT


@pytest.mark.parametrize("attribute", ["response", "headers", "found", "errno"])
def test_an_attribute_that_raises_does_not_take_the_place_of_the_error(attribute):
    """K8: what the user sees is the error of his function."""

    def broken(_error: object) -> Any:
        raise RuntimeError("no such thing")

    kind = type("OddError", (OSError,), {attribute: property(broken)})
    assert classify(kind(1, "odd")).outcome == PERMANENT
    assert classify(kind(1, "odd"), on=(kind,)).outcome == FAST


ANYTHING = st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), st.integers())


@given(
    fields=st.dictionaries(
        st.sampled_from(["response", "headers", "code", "status", "reason", "found", "errno", "exceptions"]),
        ANYTHING | st.builds(lambda **inner: inner, Error=ANYTHING, ResponseMetadata=ANYTHING),
    )
)
def test_whatever_an_error_carries_it_is_classified(fields):
    """Total: attributes of other libraries mean other things."""
    error = Exception("anything")
    error.__dict__.update(fields)
    assert isinstance(classify(error), Classified)
