"""Dead letters: what was to be done and could not be, handed to a sink instead of dropped.

    sink = SqsSink("https://sqs.eu-west-1.amazonaws.com/123456789012/payments-dead")

    @payments.guard(dead_letter=sink, fallback=accepted_for_later)
    def charge(order): ...

    @payments.guard(dead_letter=DeadLetter(sink, payload="order"), timeout="timeout_s")
    def charge_as(user, order, timeout_s): ...

    for attempt in payments.attempts(dead_letter=sink, payload=order): ...

A letter is written when a call is given up: it was not made, or its last attempt
failed by the target's fault. An error that is the caller's own would fail again,
and is nobody's dead letter; neither is an interruption.

A letter holds one payload and nothing else of the call: no other arguments, no
trace. A payload that is no JSON or too large is left out as a whole, and the
letter says so; half a payload must never be redriven.

A sink that fails never fails the call: its own error is raised or its fallback
answers, as without a sink. That the letter was lost is a note on the error, an
event for hooks, and once a warning. `DeadLetter(required=True)` is for payloads
that must not be lost in silence: then the fallback answers only if the letter is
kept, and the error is raised otherwise. Raising makes an event source deliver the
event again, beside the letter; where the letter answers for the payload, give a
fallback. With FLYBALL_OFF nothing is guarded, and no letter written.
`flyball redrive` reads the letters back.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from flyball.aws import own_client
from flyball.calling import Call
from flyball.environment import Runtime
from flyball.errors import FlyballError, FlyballWarning, SettingsError
from flyball.idempotency import PARAMETER, Argument, Key, parameters_of, qualname
from flyball.letter import LETTER_BYTES_MAX, Letter, decode_letter, encode_letter, one_line, write_letter
from flyball.misuse import refuse
from flyball.outcome import Outcome, Rejected

__all__ = [
    "LETTER_BYTES_MAX",
    "CallableSink",
    "DeadLetter",
    "FileSink",
    "Letter",
    "Sink",
    "SqsSink",
    "decode_letter",
    "encode_letter",
]

# A lost letter is lost work, so a sink may wait longer than a source: at most 2 x 2 s per attempt.
SINK_TIMEOUT_S = 2.0
SINK_ATTEMPTS = 2
_SELF = frozenset({"self", "cls"})


class Sink(Protocol):
    """Takes letters. Around what is awaited, `put` may be asynchronous as well."""

    def put(self, letter: Letter, /) -> object:
        """Keep the letter, or raise."""
        ...


class DeadLetter:
    """How the calls of a function are kept. A bare sink stands for `DeadLetter(sink)`.

    Args:
        sink: Takes the letters.
        payload: Name of the argument that is the JSON value to keep; or a function
            of the same arguments, called after the call has failed, that returns
            it. None: the only argument that there is, beside the time-out and the
            idempotency key. Nothing secret.
        required: Whether a fallback must not answer for a payload that could not be kept.
    """

    __slots__ = ("payload", "required", "sink")

    def __init__(
        self,
        sink: Sink,
        *,
        payload: str | Callable[..., object] | None = None,
        required: bool = False,
    ) -> None:
        if not (payload is None or isinstance(payload, str) or _is_function(payload)):
            refuse(
                "payload", payload, "the name of an argument, or a function that returns the value to keep"
            )
        if not isinstance(required, _FLAG):
            refuse("required", required, "True or False")
        self.sink = sink
        self.payload = payload
        self.required = required


_FLAG: type = bool
_PATH: tuple[type, ...] = (str, os.PathLike)


def _is_function(value: object) -> bool:
    return callable(value)


class AttemptFailedError(FlyballError):
    """A block said that its attempt has failed, and raised nothing; the text is the Outcome. Never raised."""


class Keeper:
    """Writes the letters of one guarded function, or of one call without a function."""

    __slots__ = ("_required", "_shared", "_sink", "_target")

    def __init__(self, dead_letter: Sink | DeadLetter, shared: Runtime, target: str) -> None:
        whole = dead_letter if isinstance(dead_letter, DeadLetter) else DeadLetter(dead_letter)
        if not callable(getattr(whole.sink, "put", None)):
            raise SettingsError(
                f"dead_letter={whole.sink!r} must have a method put(letter); CallableSink makes a sink of a "
                "function",
                field="dead_letter",
            )
        self._sink = whole.sink
        self._required = whole.required
        self._shared = shared
        self._target = target

    def write(
        self,
        error: Exception,
        call: Call | Rejected,
        payload: Callable[[], object],
        key: Callable[[], str | None],
    ) -> Letter:
        """Return the letter of a call that is given up."""
        return write_letter(
            error,
            target=self._target,
            function=self._shared.function,
            payload=payload,
            idempotency_key=lambda: key() or "",
            attempts=0 if isinstance(call, Rejected) else call.attempt,
            reason=(call.reason if isinstance(call, Rejected) else call.gave_up).name.lower(),
            at=self._shared.clock.wall_s(),
        )

    def put(self, error: Exception, letter: Letter) -> bool:
        """Hand the letter to the sink; whether a fallback may answer. Raises no Exception."""
        try:
            _refuse_awaitable(self._sink.put(letter))
        except Exception as cause:  # noqa: BLE001 - the call's own error matters more
            return self._regret(error, letter, f"was not kept: {type(cause).__name__}: {one_line(cause)}")
        return self._kept(error, letter)

    async def put_async(self, error: Exception, letter: Letter) -> bool:
        """As `put`; the sink may be asynchronous."""
        try:
            receipt = self._sink.put(letter)
            if isinstance(receipt, Awaitable):
                await receipt
        except Exception as cause:  # noqa: BLE001 - the call's own error matters more
            return self._regret(error, letter, f"was not kept: {type(cause).__name__}: {one_line(cause)}")
        return self._kept(error, letter)

    def _kept(self, error: Exception, letter: Letter) -> bool:
        if letter.problem:
            return self._regret(error, letter, f"has no payload: {letter.problem}")
        self._tell(letter, kept=True)
        return True

    def _regret(self, error: Exception, letter: Letter, what: str) -> bool:
        from contextlib import suppress

        with suppress(Exception):  # somebody's frozen error takes no notes, and is still the one to be raised
            error.add_note(f"its dead letter {what}")
        self._tell(letter, kept=False)
        if self._shared.warn_once("letter", self._target):
            from warnings import warn

            with suppress(FlyballWarning):  # the same where warnings are errors
                warn(f"a dead letter of {self._target!r} {what}", FlyballWarning, stacklevel=2)
        return not self._required

    def _tell(self, letter: Letter, *, kept: bool) -> None:
        if self._shared.hooks is not None:
            from flyball.hooks import LetterWritten

            self._shared.hooks.emit(LetterWritten(letter.target, letter.reason, letter.attempts or 0, kept))


class FunctionKeeper(Keeper):
    """The same for one guarded function, whose arguments it knows."""

    __slots__ = ("_key", "_payload")

    def __init__(
        self,
        dead_letter: Sink | DeadLetter,
        function: Callable[..., Any],
        *,
        shared: Runtime,
        target: str,
        timeout: str,
        key: Key | None,
    ) -> None:
        """Find out what of the arguments is the payload.

        Raises:
            SettingsError: There is no such argument, or more than one could be meant.
        """
        super().__init__(dead_letter, shared, target)
        given = dead_letter.payload if isinstance(dead_letter, DeadLetter) else None
        if given is not None and not isinstance(given, str):
            source = given
            self._payload: Callable[[tuple[Any, ...], dict[str, Any]], object] = lambda args, kwargs: source(
                *args, **kwargs
            )
        else:
            name = _only_argument(function, timeout, key) if given is None else given
            self._payload = Argument(name, function, field="payload").of
        self._key = key

    def letter(
        self, error: Exception, call: Call | Rejected, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Letter:
        """Return the letter of a call with these arguments."""
        key = self._key
        return self.write(
            error,
            call,
            lambda: self._payload(args, kwargs),
            lambda: None if key is None else key.text(args, kwargs),
        )


class ValueKeeper(Keeper):
    """The same for calls without a function: a permit, or a loop of attempts, whose payload is a value."""

    __slots__ = ("_key", "_value")

    def __init__(
        self, dead_letter: Sink | DeadLetter, value: object, key: str | None, *, shared: Runtime, target: str
    ) -> None:
        super().__init__(dead_letter, shared, target)
        if isinstance(dead_letter, DeadLetter) and dead_letter.payload is not None:
            raise SettingsError(
                f"DeadLetter(payload={dead_letter.payload!r}) is for functions, and a permit has no "
                "arguments: give the value itself as payload=",
                field="payload",
            )
        self._value = value
        self._key = key

    def failed(self, outcome: Outcome) -> Exception:
        """Return the error of an attempt that failed without an exception."""
        return AttemptFailedError(outcome.name.lower())

    def letter(self, error: Exception, call: Call | Rejected) -> Letter:
        """Return the letter of the call."""
        return self.write(error, call, lambda: self._value, lambda: self._key)


def _only_argument(function: Callable[..., Any], timeout: str, key: Key | None) -> str:
    """The argument that can only be meant by the payload."""
    others = _SELF | {timeout, PARAMETER, "" if key is None else key.name}
    parameters = parameters_of(function)
    names = [
        name
        for name, parameter in parameters.items()
        if name not in others and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(names) != 1:
        raise SettingsError(
            f"dead_letter: {qualname(function)} has the arguments {', '.join(parameters) or 'none'}; say "
            "which is to be kept, as DeadLetter(sink, payload='order'), or by a function of them",
            field="payload",
        )
    return names[0]


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
        if not _is_function(function):
            refuse("function", function, "a function of a letter")
        self._function = function

    def put(self, letter: Letter) -> object:
        """Call the function; an awaitable that it returns is awaited around an `async def`."""
        return self._function(letter)


class FileSink:
    """Appends letters to a file, one JSON object a line. Opened anew for every letter; several may write."""

    __slots__ = ("_path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, _PATH):
            refuse("path", path, "the path of a file")
        self._path = os.fspath(path)

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
        if not isinstance(queue_url, _PATH) or not queue_url.startswith(("http://", "https://")):
            refuse("queue_url", queue_url, "the URL of a queue (not its name or ARN), as SQS gives it")
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


_fit: tuple[Sink, ...] = (CallableSink(repr), FileSink(""), SqsSink("https://"))
