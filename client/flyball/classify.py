"""What an exception says about the target.

By declaration first (`on`, `ignore`), then by what the exception carries: an
error code, an HTTP status, a Retry-After; then by its kind, or by the kind that
it wraps (a `reason`, the members of a group). By duck typing: the SDKs are not
imported, and message texts are not looked at, but for urllib3's, whose exhausted
retries keep the status nowhere else. What is not recognised is the caller's own
fault: it is neither retried nor held against the target, for counting somebody's
bug as an outage would cut off a healthy target.

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
# The same names mean other things elsewhere, so these are looked for in their libraries alone.
UNREACHABLE_KINDS = frozenset(
    {
        "aiohttp.ClientConnectionError",
        "aiohttp.ClientPayloadError",
        "botocore.ConnectionClosedError",
        "botocore.ConnectionError",
        "botocore.HTTPClientError",
        "botocore.IncompleteReadError",
        "botocore.ResponseStreamingError",
        "http.BadStatusLine",
        "http.IncompleteRead",
        "httpx.NetworkError",
        "httpx.ProxyError",
        "httpx.RemoteProtocolError",
        "pymongo.AutoReconnect",
        "redis.ConnectionError",
        "requests.ChunkedEncodingError",
        "requests.ConnectionError",
        "socket.gaierror",
        "ssl.SSLEOFError",
        "ssl.SSLZeroReturnError",
        "urllib3.NewConnectionError",
        "urllib3.ProtocolError",
        "urllib3.ProxyError",
    }
)
TIMEOUT_KINDS = frozenset({"pymongo.NetworkTimeout", "redis.TimeoutError", "urllib3.TimeoutError"})
# Wrappers whose `reason` (requests: whose argument; tenacity: whose cause) is the error itself.
WRAPPER_KINDS = frozenset(
    {"requests.RetryError", "tenacity.RetryError", "urllib.URLError", "urllib3.MaxRetryError"}
)
_DEPTH_MAX = 5  # of errors in errors; deeper ones are not looked at
_TOO_MANY_REQUESTS = 429
_HEADER_MAX = 64  # characters; the longest HTTP date has 33
_TIMEOUT_STATUS = frozenset({408, 504})  # request time-out, gateway time-out: somebody waited in vain


Kinds = tuple[type[BaseException], ...]


class Classified(NamedTuple):
    """The outcome of an attempt, and the pause that the target asked for (seconds), if it did."""

    outcome: Outcome
    retry_after_s: float | None = None


def classify(
    error: BaseException,
    *,
    on: Kinds = (),
    ignore: Kinds = (),
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
    try:
        known = getattr(error, "found", None)
        if isinstance(known, Classified):  # a result that was judged already (flyball.results)
            return known
        found = _found(error, on, ignore, now_s)
    except Exception:  # noqa: BLE001 - somebody's attribute that raises must not take the place of the error
        found = None
    if found is not None:
        return found
    return Classified(Outcome.ERROR_FAST if isinstance(error, on) else Outcome.PERMANENT)


def _found(
    error: BaseException, on: Kinds, ignore: Kinds, now_s: float | None, depth: int = 0
) -> Classified | None:
    """What the error says by itself; None = nothing."""
    code, status, headers = _facts(error)
    outcome = _by_answer(code, status)
    if outcome is None:
        outcome = _by_kind(error)
    if outcome is None and isinstance(error, on):
        outcome = Outcome.ERROR_FAST
    if outcome is not None:
        return Classified(outcome, _retry_after_s(headers, now_s))
    if depth >= _DEPTH_MAX:
        return None
    if isinstance(error, BaseExceptionGroup):
        return _of_group([_member(member, on, ignore, now_s, depth + 1) for member in error.exceptions])
    if _kinds_of(error).isdisjoint(WRAPPER_KINDS):
        return None
    for inside in (getattr(error, "reason", None), *error.args[:1], error.__cause__):
        if isinstance(inside, BaseException):
            return _found(inside, on, ignore, now_s, depth + 1)
    return None


def _member(error: BaseException, on: Kinds, ignore: Kinds, now_s: float | None, depth: int) -> Classified:
    if isinstance(error, (*ignore, RejectedError)):
        return Classified(Outcome.IGNORED)
    return _found(error, on, ignore, now_s, depth) or Classified(Outcome.PERMANENT)


def _of_group(members: list[Classified]) -> Classified | None:
    """What errors of several tasks say together: nothing if one is a bug; else the first that is news."""
    news = [member for member in members if member.outcome is not Outcome.IGNORED]
    if not news:
        return Classified(Outcome.IGNORED)
    if any(member.outcome is Outcome.PERMANENT for member in news):
        return None
    pauses = [member.retry_after_s for member in news if member.retry_after_s is not None]
    return Classified(news[0].outcome, max(pauses, default=None))


def _by_answer(code: str, status: int) -> Outcome | None:
    if code in THROTTLE_CODES or status == _TOO_MANY_REQUESTS:
        return Outcome.THROTTLE
    if code in TIMEOUT_CODES or status in _TIMEOUT_STATUS:
        return Outcome.TIMEOUT
    return Outcome.ERROR_FAST if status >= 500 else None


def _by_kind(error: BaseException) -> Outcome | None:
    if isinstance(error, TimeoutError):
        return Outcome.TIMEOUT
    kinds = _kinds_of(error)
    if _qualified(type(error)) in UNREACHABLE_KINDS:
        return Outcome.ERROR_FAST  # also where its library calls every failed connection a time-out
    if kinds & TIMEOUT_KINDS or any(kind.rpartition(".")[2] in TIMEOUT_NAMES for kind in kinds):
        return Outcome.TIMEOUT
    if "urllib3.ResponseError" in kinds:
        return _by_words(str(error).split())
    if isinstance(error, ConnectionError) or kinds & UNREACHABLE_KINDS:
        return Outcome.ERROR_FAST
    return Outcome.ERROR_FAST if _is_unreachable(error) else None


def _by_words(words: list[str]) -> Outcome | None:
    """What urllib3 says of answers that it has repeated in vain: "too many 503 error responses".

    Whatever status it was told to repeat, was declared to be a failure. Redirects were not.
    """
    if words[-2:] != ["error", "responses"]:
        return None
    known = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) == 3]
    return (_by_answer("", known[0]) if known else None) or Outcome.ERROR_FAST


def _kinds_of(error: BaseException) -> set[str]:
    """The kinds of an error, each by the library it comes from and its own name."""
    return {_qualified(kind) for kind in type(error).__mro__}


def _qualified(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _is_unreachable(error: BaseException) -> bool:
    """Whether the network said that there is no way to the host: an OSError without a class of its own."""
    if not isinstance(error, OSError) or error.errno is None:
        return False
    import errno

    return error.errno in (errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH)


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
    headers = getattr(error, "headers", None)  # urllib.error.HTTPError, aiohttp.ClientResponseError
    if headers is not None and hasattr(headers, "get"):
        known = {name: headers.get(name) for name in ("Retry-After", "Date")}
        status = _integer(getattr(error, "status", None))
        return "", status or _integer(getattr(error, "code", None)), known
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
