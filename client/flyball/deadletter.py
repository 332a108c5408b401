"""Dead letters: what was to be done and could not be, handed to a sink instead of dropped.

    sink = SqsSink("https://sqs.eu-west-1.amazonaws.com/123456789012/payments-dead")

    @keeps(sink, target=payments, payload=lambda order: order, fallback=accepted_for_later)
    @payments.guard
    def charge(order): ...

Around a guarded function, so a letter is written when the guard has given up: the
call was not made, or its last attempt failed by the target's fault. An error that
is the caller's own would fail again, and is nobody's dead letter.

A letter holds what `payload` returned and nothing else of the call: no arguments
by themselves, no trace. A payload that is no JSON or too large is left out as a
whole, and the letter says so; half a payload must never be redriven.

Nothing is swallowed: if the sink fails, the call's own error is raised with a
note, also where a fallback would have answered. Raising makes an event source
deliver the event again, beside the letter; where the letter answers for the
payload, give a fallback. `flyball redrive` reads the letters back.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from types import CoroutineType
from typing import Any, Protocol, TypeVar

from flyball.aws import own_client
from flyball.classify import classify
from flyball.errors import RejectedError
from flyball.letter import LETTER_BYTES_MAX, Letter, decode_letter, encode_letter, one_line, write_letter
from flyball.outcome import Outcome

TYPE_CHECKING = False  # type checkers take this name for true; the guard is not loaded here
if TYPE_CHECKING:
    from flyball.guard import GuardedTarget

__all__ = [
    "LETTER_BYTES_MAX",
    "CallableSink",
    "FileSink",
    "Letter",
    "Sink",
    "SqsSink",
    "decode_letter",
    "encode_letter",
    "keeps",
]

F = TypeVar("F", bound=Callable[..., Any])

# A lost letter is lost work, so a sink may wait longer than a source: at most 2 x 2 s per attempt.
SINK_TIMEOUT_S = 2.0
SINK_ATTEMPTS = 2
_CO_COROUTINE = 0x80  # of code objects


class Sink(Protocol):
    """Takes letters. Around an `async def` function `put` may be one as well."""

    def put(self, letter: Letter, /) -> object:
        """Keep the letter, or raise."""
        ...


# --- the decorator ----------------------------------------------------------------------


def keeps(
    sink: Sink,
    *,
    target: GuardedTarget,
    payload: Callable[..., object],
    idempotency_key: Callable[..., str] | None = None,
    fallback: Callable[..., Any] | None = None,
) -> Callable[[F], F]:
    """Decorate a guarded function, plain or `async def`, so that what it gives up is kept in `sink`.

    Args:
        sink: Takes the letters.
        target: What the guard protects; it tells which errors are the target's fault.
        payload: Called with the call's arguments after it failed; returns the JSON value to keep,
            and nothing secret.
        idempotency_key: As `payload`; returns the key under which the call may be repeated safely.
        fallback: Called with the arguments, and answers, once the letter is kept; without it the
            error is raised. A fallback of the guard itself answers first, and leaves no letter.
    """
    keeper = _Keeper(sink, target, payload, idempotency_key, fallback)

    def decorate(function: F) -> F:
        code = getattr(function, "__code__", None)
        is_async = bool(getattr(code, "co_flags", 0) & _CO_COROUTINE)
        wrapper: Any = (_async_wrapper if is_async else _sync_wrapper)(keeper, function)
        return wrapper  # type: ignore[no-any-return]  # same signature, by wraps()

    return decorate


class _Keeper:
    """What one decorator needs, bound once."""

    __slots__ = ("fallback", "handle", "key", "payload", "sink")

    def __init__(
        self,
        sink: Sink,
        handle: GuardedTarget,
        payload: Callable[..., object],
        key: Callable[..., str] | None,
        fallback: Callable[..., Any] | None,
    ) -> None:
        self.sink = sink
        self.handle = handle
        self.payload = payload
        self.key = key
        self.fallback = fallback

    def takes(self, error: Exception) -> bool:
        """The guard's own rule for its fallback: the target's failures, and calls that were not made."""
        if isinstance(error, RejectedError):
            return True
        handle = self.handle
        return classify(error, on=handle._on, ignore=handle._ignore).outcome < Outcome.PERMANENT

    def letter(self, error: Exception, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Letter:
        shared, key = self.handle._runtime, self.key
        return write_letter(
            error,
            target=self.handle.target.name,
            function=shared.function,
            payload=lambda: self.payload(*args, **kwargs),
            idempotency_key=lambda: "" if key is None else key(*args, **kwargs),
            attempts=0 if isinstance(error, RejectedError) else None,
            at=shared.clock.wall_s(),
        )

    def put(self, error: Exception, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether the letter is kept; if not, the error says so."""
        try:
            _refuse_awaitable(self.sink.put(self.letter(error, args, kwargs)))
        except Exception as cause:  # noqa: BLE001 - the call's own error matters more
            self._regret(error, cause)
            return False
        return True

    async def put_async(self, error: Exception, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """As `put`; the sink may be asynchronous."""
        try:
            await _resolved(self.sink.put(self.letter(error, args, kwargs)))
        except Exception as cause:  # noqa: BLE001 - the call's own error matters more
            self._regret(error, cause)
            return False
        return True

    def _regret(self, error: Exception, cause: Exception) -> None:
        error.add_note(f"its dead letter was not kept: {type(cause).__name__}: {one_line(cause)}")


def _sync_wrapper(keeper: _Keeper, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def kept(*args: Any, **kwargs: Any) -> Any:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            if not keeper.takes(error):
                raise
            if not keeper.put(error, args, kwargs) or keeper.fallback is None:
                raise
            return keeper.fallback(*args, **kwargs)
        if result.__class__ is CoroutineType:  # a plain function that returns a coroutine
            return _awaited(keeper, result, args, kwargs)
        return result

    return kept


def _async_wrapper(keeper: _Keeper, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def kept(*args: Any, **kwargs: Any) -> Any:
        return await _awaited(keeper, function(*args, **kwargs), args, kwargs)

    return kept


async def _awaited(
    keeper: _Keeper, begun: Awaitable[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    try:
        return await begun
    except Exception as error:
        if not keeper.takes(error):
            raise
        if not await keeper.put_async(error, args, kwargs) or keeper.fallback is None:
            raise
        return await _resolved(keeper.fallback(*args, **kwargs))


async def _resolved(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


def _refuse_awaitable(receipt: object) -> None:
    if isinstance(receipt, Awaitable):
        close = getattr(receipt, "close", None)
        if close is not None:
            close()
        raise TypeError("the sink is asynchronous and the function is not: the letter was never sent")


# --- sinks ------------------------------------------------------------------------------


class CallableSink:
    """Hands letters to a function."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Letter], object]) -> None:
        self._function = function

    def put(self, letter: Letter) -> object:
        """Call the function; an awaitable that it returns is awaited around an `async def`."""
        return self._function(letter)


class FileSink:
    """Appends letters to a file, one JSON object a line. Opened anew for every letter; several may write."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def put(self, letter: Letter) -> None:
        """Append the letter and wait until it is on the disk.

        Raises:
            OSError: The file cannot be written, or not completely.
        """
        line = encode_letter(letter).encode() + b"\n"
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                line = b"\n" + line  # somebody's disk was full half-way; keep this letter apart from that
            written = os.write(file, line)
            if written < len(line):
                raise OSError(f"{self._path}: {written} of {len(line)} bytes written: the disk may be full")
            os.fsync(file)
        finally:
            os.close(file)


class SqsClient(Protocol):
    """The one method used of boto3's SQS client."""

    def send_message(self, **arguments: Any) -> Mapping[str, Any]:
        """Send one message."""
        ...


class SqsSink:
    """Sends letters to an SQS queue; creates its own client at the first letter unless given one.

    A FIFO queue keeps the letters of a target in order and drops repetitions of the same letter.
    """

    __slots__ = ("_client", "_queue_url")

    def __init__(self, queue_url: str, client: SqsClient | None = None) -> None:
        """Send to `queue_url`. The function needs the permission sqs:SendMessage."""
        self._queue_url = queue_url
        self._client = client

    def put(self, letter: Letter) -> None:
        """Send the letter.

        Raises:
            SourceError: boto3 is not installed, or knows no region.
            botocore.exceptions.ClientError: SQS refused it.
            botocore.exceptions.BotoCoreError: SQS did not answer; it may have the letter nevertheless.
        """
        text = encode_letter(letter)
        if self._client is None:
            self._client = own_client("sqs", timeout_s=SINK_TIMEOUT_S, attempts=SINK_ATTEMPTS)
        ordered = {}
        if self._queue_url.endswith(".fifo"):
            from hashlib import sha256

            # Both are restricted to fewer characters than names and keys have.
            ordered = {
                "MessageGroupId": sha256(letter.target.encode()).hexdigest(),
                "MessageDeduplicationId": sha256(text.encode()).hexdigest(),
            }
        self._client.send_message(QueueUrl=self._queue_url, MessageBody=text, **ordered)


_fit: tuple[Sink, ...] = (CallableSink(repr), FileSink(""), SqsSink(""))
