"""What an exception says about the target.

By declaration first (`on`, `ignore`), then by what the exception carries: an
error code, an HTTP status, a Retry-After; then by its kind. By duck typing: the
SDKs are not imported, and message texts are never looked at. What is not
recognised is the caller's own fault: it is neither retried nor held against the
target, for counting somebody's bug as an outage would cut off a healthy target.

Codes: AWS SDK reference, retry behaviour (throttling and transient errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from flyball.errors import RejectedError
from flyball.outcome import Outcome

THROTTLE_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
TIMEOUT_CODES = frozenset({"RequestTimeout", "RequestTimeoutException"})
# Class names, because each HTTP library has its own family of time-outs; the
# built-in TimeoutError covers sockets and asyncio.
TIMEOUT_NAMES = frozenset(
    {
        "ConnectTimeoutError",  # botocore, urllib3
        "ReadTimeoutError",
        "Timeout",  # requests
        "TimeoutException",  # httpx
    }
)
UNREACHABLE_NAMES = frozenset(
    {
        "ConnectError",  # httpx
        "ConnectionClosedError",  # botocore
        "EndpointConnectionError",
        "NewConnectionError",  # urllib3
        "RemoteProtocolError",  # httpx
    }
)
_TOO_MANY_REQUESTS = 429
_HEADER_MAX = 64  # characters; the longest HTTP date has 33
_TIMEOUT_STATUS = frozenset({408, 504})  # request time-out, gateway time-out: somebody waited in vain


class Classified(NamedTuple):
    """The outcome of an attempt, and the pause that the target asked for (seconds), if it did."""

    outcome: Outcome
    retry_after_s: float | None = None


def classify(
    error: BaseException,
    *,
    on: tuple[type[BaseException], ...] = (),
    ignore: tuple[type[BaseException], ...] = (),
    now_s: float | None = None,
) -> Classified:
    """Return what `error` says about the target.

    Args:
        error: What the attempt raised.
        on: Kinds declared to be failures of the target, worth a retry. Their
            codes and statuses still tell time-outs and throttles apart.
        ignore: Kinds declared to be no news.
        now_s: Epoch seconds, for a Retry-After that is a date and an answer
            that has none of its own; None = such a date is not read.

    >>> classify(TimeoutError()).outcome.name, classify(KeyError("typo")).outcome.name
    ('TIMEOUT', 'PERMANENT')
    """
    if isinstance(error, ignore):
        return Classified(Outcome.IGNORED)
    if isinstance(error, RejectedError):  # a guard inside a guard: the inner target's news
        return Classified(Outcome.IGNORED)
    code, status, headers = _facts(error)
    outcome = _by_answer(code, status)
    if outcome is None:
        outcome = _by_kind(error)
    if outcome is None:
        outcome = Outcome.ERROR_FAST if isinstance(error, on) else Outcome.PERMANENT
    return Classified(outcome, _retry_after_s(headers, now_s))


def _by_answer(code: str, status: int) -> Outcome | None:
    if code in THROTTLE_CODES or status == _TOO_MANY_REQUESTS:
        return Outcome.THROTTLE
    if code in TIMEOUT_CODES or status in _TIMEOUT_STATUS:
        return Outcome.TIMEOUT
    return Outcome.ERROR_FAST if status >= 500 else None


def _by_kind(error: BaseException) -> Outcome | None:
    if isinstance(error, TimeoutError):
        return Outcome.TIMEOUT
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & TIMEOUT_NAMES:
        return Outcome.TIMEOUT
    if isinstance(error, ConnectionError) or names & UNREACHABLE_NAMES:
        return Outcome.ERROR_FAST
    return None


def _facts(error: BaseException) -> tuple[str, int, Mapping[Any, Any]]:
    """Error code, HTTP status and headers, as botocore, requests, httpx and urllib carry them."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore.exceptions.ClientError
        detail = _mapping(response.get("Error"))
        metadata = _mapping(response.get("ResponseMetadata"))
        code = detail.get("Code")
        return (
            code if isinstance(code, str) else "",
            _integer(metadata.get("HTTPStatusCode")),
            _mapping(metadata.get("HTTPHeaders")),
        )
    if response is not None:  # requests, httpx
        status = _integer(getattr(response, "status_code", None))
        return "", status, _mapping(getattr(response, "headers", None))
    headers = getattr(error, "headers", None)  # urllib.error.HTTPError
    if headers is not None and hasattr(headers, "get"):
        known = {name: headers.get(name) for name in ("Retry-After", "Date")}
        return "", _integer(getattr(error, "code", None)), known
    return "", 0, {}


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _integer(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _retry_after_s(headers: Mapping[Any, Any], now_s: float | None) -> float | None:
    """Seconds asked for by a header, as a number or as a date; None if there is no (intelligible) demand."""
    for name, unit_s in (("retry-after", 1.0), ("Retry-After", 1.0), ("x-amz-retry-after", 0.001)):
        text = headers.get(name)
        if not isinstance(text, str) or len(text) > _HEADER_MAX:
            continue
        if text.isascii() and text.isdigit() and len(text) <= 9:
            return int(text) * unit_s
        if unit_s == 1.0:
            until_s = _http_date_s(text)
            if until_s is not None:
                return _from_now_s(until_s, headers, now_s)
    return None


def _from_now_s(until_s: float, headers: Mapping[Any, Any], now_s: float | None) -> float | None:
    """Seconds until a moment on the answering side's clock, by the Date of its answer if it has one."""
    date = headers.get("date") or headers.get("Date")
    sent_s = _http_date_s(date) if isinstance(date, str) and len(date) <= _HEADER_MAX else None
    if sent_s is None:
        sent_s = now_s
    return None if sent_s is None else max(0.0, until_s - sent_s)


def _http_date_s(text: str) -> float | None:
    """Epoch seconds of an HTTP date (RFC 9110, 5.6.7), None if it is none."""
    if not text[:1].isalpha():  # every form begins with the day of the week
        return None
    from calendar import timegm  # a dozen imports, for the few who send dates
    from email.utils import parsedate_tz

    try:
        date = parsedate_tz(text)
        return None if date is None else float(timegm(date[:9]) - (date[9] or 0))
    except (ValueError, TypeError, IndexError, OverflowError):  # a month 13, a year 0
        return None
