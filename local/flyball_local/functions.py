"""Lambda functions as the embedded AWS sees them: a callable, invoked at once or through the async queue.

The asynchronous queue is where a handler meets reality: the same event twice
without any error, again after an error (1 and 2 minutes later), hours later
after a throttle, or never. What is given up goes to the on-failure destination
(an invocation record) and to the dead-letter queue (the bare event).

The callable runs in this process and on the virtual clock; lambdahost runs
handlers in the real bootstrap instead.

Source: AWS Lambda developer guide, "How Lambda handles errors and retries with
asynchronous invocation": two retries after one and two minutes; throttles are
retried for up to 6 hours with back-off from 1 second to 5 minutes. The failure
record's form follows recordings of the real service.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flyball_local.delivery import Outcome, Post

Handler = Callable[[Any, Any], object]
ERROR_RETRY_DELAYS_S = (60.0, 120.0)
EVENT_AGE_MIN_S, EVENT_AGE_MAX_S = 60.0, 21_600.0
THROTTLE_BASE_S, THROTTLE_CAP_S = 1.0, 300.0
# The queue itself is quick; the sender's own latency is the Post's.
QUEUE_LATENCY_S = 0.1


class FunctionError(Exception):
    """The handler raised; `error_type` and `error_message` are what Lambda reports, the cause is chained."""

    def __init__(self, error_type: str, error_message: str) -> None:
        super().__init__(f"{error_type}: {error_message}")
        self.error_type = error_type
        self.error_message = error_message


class ThrottledError(Exception):
    """No environment was free (429): the handler did not run."""


@dataclass(frozen=True, slots=True)
class LocalContext:
    """The context object a handler gets; times do not run out here (the bootstrap in lambdahost's do)."""

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "128"
    log_group_name: str = "/aws/lambda/local"
    log_stream_name: str = "local"
    remaining_ms: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left, milliseconds."""
        return self.remaining_ms


@dataclass(slots=True)
class _Invocation:
    request_id: str
    payload: str
    accepted_s: float
    errors: int = 0
    throttles: int = 0
    count: int = 0


class LambdaFunction:
    """One function: its handler, its asynchronous settings, and what may go wrong before the handler runs."""

    def __init__(
        self,
        post: Post,
        name: str,
        handler: Handler,
        *,
        arn: str,
        max_retries: int = 2,
        max_event_age_s: float = EVENT_AGE_MAX_S,
        on_failure: Callable[[dict[str, Any]], object] | None = None,
        dead_letter: Callable[[str, Mapping[str, str]], object] | None = None,
    ) -> None:
        """Register a callable as a function.

        Args:
            post: The account's post.
            name: Function name.
            handler: Called with (event, context).
            arn: Its ARN.
            max_retries: MaximumRetryAttempts after errors, 0 to 2.
            max_event_age_s: MaximumEventAgeInSeconds, 60 to 21600.
            on_failure: Destination for invocation records.
            dead_letter: Dead-letter queue: gets the event's JSON and string attributes.

        Raises:
            ValueError: If a setting is outside Lambda's bounds.
        """
        if max_retries not in (0, 1, 2):
            raise ValueError(f"max_retries={max_retries!r} must be 0, 1 or 2: Lambda retries at most twice")
        if not EVENT_AGE_MIN_S <= max_event_age_s <= EVENT_AGE_MAX_S:
            raise ValueError(f"max_event_age_s={max_event_age_s!r} must lie in [60, 21600] seconds")
        self.name = name
        self.arn = arn
        self.handler = handler
        self._post = post
        self._max_retries = max_retries
        self._max_event_age_s = max_event_age_s
        self._on_failure = on_failure
        self._dead_letter = dead_letter
        self._throttled_calls = 0

    def throttle(self, calls: int) -> None:
        """Refuse the next `calls` invocations for want of concurrency."""
        if calls < 1:
            raise ValueError(f"calls={calls} must be at least 1: a throttle of no call changes nothing")
        self._throttled_calls += calls

    def invoke(self, event: object, *, request_id: str | None = None) -> Any:
        """Invoke synchronously and return the handler's result as JSON would carry it.

        Raises:
            ThrottledError: If a throttle was ordered.
            FunctionError: If the handler raised or returned what JSON cannot carry.
        """
        if self._throttled_calls:
            self._throttled_calls -= 1
            raise ThrottledError(f"{self.name}: rate exceeded")
        context = LocalContext(request_id or self._post.new_id(), self.name, self.arn)
        try:
            # JSON both ways: a handler never shares an object with its caller or with the next attempt.
            return json.loads(json.dumps(self.handler(json.loads(json.dumps(event)), context)))
        except Exception as fault:
            raise FunctionError(type(fault).__name__, str(fault)) from fault

    def invoke_async(self, event: object) -> str:
        """Accept the event into the asynchronous queue; return the request id all its attempts share."""
        invocation = _Invocation(self._post.new_id(), json.dumps(event), self._post.clock.now_s())
        self._queue(invocation, QUEUE_LATENCY_S)
        return invocation.request_id

    def _queue(self, invocation: _Invocation, delay_s: float) -> None:
        self._post.after(delay_s, lambda: self._attempt(invocation))

    def _attempt(self, invocation: _Invocation) -> None:
        if self._age_s(invocation) > self._max_event_age_s:
            self._give_up(invocation, "EventAgeExceeded", None)
            return
        try:
            invocation.count += 1
            self.invoke(json.loads(invocation.payload), request_id=invocation.request_id)
        except ThrottledError:
            invocation.count -= 1  # the handler did not run
            delay_s = min(THROTTLE_CAP_S, THROTTLE_BASE_S * 2.0 ** min(invocation.throttles, 32))
            invocation.throttles += 1
            self._note(invocation, Outcome.RETRIED, "throttled")
            self._queue(invocation, delay_s)
        except FunctionError as fault:
            if invocation.errors >= self._max_retries:
                self._give_up(invocation, "RetriesExhausted", fault)
                return
            delay_s = ERROR_RETRY_DELAYS_S[invocation.errors]
            invocation.errors += 1
            self._note(invocation, Outcome.RETRIED, str(fault))
            self._queue(invocation, delay_s)
        else:
            self._note(invocation, Outcome.DELIVERED)

    def _give_up(self, invocation: _Invocation, condition: str, fault: FunctionError | None) -> None:
        told = self._on_failure is not None or self._dead_letter is not None
        self._note(invocation, Outcome.DEAD_LETTERED if told else Outcome.DROPPED, condition)
        if self._on_failure is not None:
            self._on_failure(self._failure_record(invocation, condition, fault))
        if self._dead_letter is not None:
            self._dead_letter(
                invocation.payload,
                {
                    "RequestID": invocation.request_id,
                    "ErrorCode": "200" if fault is not None else "429",
                    "ErrorMessage": fault.error_message if fault is not None else condition,
                },
            )

    def _failure_record(
        self, invocation: _Invocation, condition: str, fault: FunctionError | None
    ) -> dict[str, Any]:
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": iso_ms(self._post.clock.now_s()),
            "requestContext": {
                "requestId": invocation.request_id,
                "functionArn": f"{self.arn}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": invocation.count,
            },
            "requestPayload": json.loads(invocation.payload),
        }
        if fault is not None:
            record["responseContext"] = {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            }
            record["responsePayload"] = {
                "errorMessage": fault.error_message,
                "errorType": fault.error_type,
            }
        return record

    def _age_s(self, invocation: _Invocation) -> float:
        return self._post.clock.now_s() - invocation.accepted_s

    def _note(self, invocation: _Invocation, outcome: Outcome, detail: str = "") -> None:
        attempt = invocation.count + invocation.throttles
        self._post.record(f"async {self.name}", invocation.request_id, max(1, attempt), outcome, detail)


def iso_ms(at_s: float) -> str:
    """Return UTC with milliseconds, as AWS records write it.

    >>> iso_ms(1_700_000_000.5)
    '2023-11-14T22:13:20.500Z'
    """
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
