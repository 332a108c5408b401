"""Where dead letters lie and where they go: an SQS queue, a file of JSON lines; Lambda, a Python function.

Each is one end of `flyball_analytics.redrive`. boto3 is imported when a client is
made. Decoding is total: what is no letter becomes a slip with a problem, stays
where it is, and stops nothing.
"""

from __future__ import annotations

import fcntl
import importlib
import inspect
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from flyball.errors import ContractError
from flyball.hints import did_you_mean
from flyball.letter import Letter, decode_letter
from flyball_analytics.redrive import Slip
from flyball_controller.aws.clients import CallLimits
from flyball_controller.ports import PortError

MESSAGES_MAX = 10  # of one ReceiveMessage
# A long poll asks every server of the queue; a short one may miss messages and end the redrive early.
LONG_POLL_S = 2
# A batch is worked off in about this time, and hidden from others for so much longer.
BATCH_S = 30.0
HIDDEN_MARGIN_S = 60.0
HIDDEN_MAX_S = 43_200  # SQS's own maximum
ACCEPTED = 202  # Lambda's answer to an asynchronous invocation
SQS_LIMITS = CallLimits(connect_s=1.0, read_s=10.0, attempts=3)
# One attempt: a repeated one might submit twice, and the letter stays for the next redrive.
LAMBDA_LIMITS = CallLimits(connect_s=1.0, read_s=10.0, attempts=1)


class DestinationError(ValueError):
    """A destination that does not exist: the user's to mend."""


class QueueClient(Protocol):
    """What a redrive needs of SQS."""

    def receive_message(self, **arguments: object) -> dict[str, Any]: ...
    def delete_message(self, **arguments: object) -> dict[str, Any]: ...
    def change_message_visibility(self, **arguments: object) -> dict[str, Any]: ...


class InvokeClient(Protocol):
    """What a redrive needs of Lambda."""

    def invoke(self, **arguments: object) -> dict[str, Any]: ...


def make_client(service: str, limits: CallLimits, *, region: str | None = None) -> Any:
    """Return a new boto3 client. None leaves the region to boto3's own configuration.

    Raises:
        PortError: boto3 knows no region or cannot be configured.
    """
    import boto3
    from botocore.config import Config

    from flyball_controller.aws.errors import aws_call

    config = Config(
        connect_timeout=limits.connect_s,
        read_timeout=limits.read_s,
        retries={"mode": "standard", "total_max_attempts": limits.attempts},
        user_agent_extra="flyball",
    )
    session: Any = boto3.session.Session()  # typed per service name; ours is a variable
    with aws_call(service, "client"):
        return session.client(service, region_name=region, config=config)


def read_slip(place: str, data: str | bytes) -> Slip:
    """Return the letter in `data`, or why there is none."""
    try:
        letter = decode_letter(data)
        json.dumps(letter.payload, allow_nan=False)
    except (ContractError, ValueError) as error:
        return Slip(place, None, str(error))
    return Slip(place, letter)


# --- sources ----------------------------------------------------------------------------


class Queue:
    """An SQS queue. Reading hides messages from other readers; `close` shows them again."""

    def __init__(self, client: QueueClient, url: str, *, seconds_per_letter: float) -> None:
        """Read `url` in batches that take `seconds_per_letter` > 0 for each letter."""
        self._client = client
        self._url = url
        self.batch = max(1, min(MESSAGES_MAX, int(BATCH_S / seconds_per_letter)))
        self.hidden_s = int(min(HIDDEN_MAX_S, HIDDEN_MARGIN_S + self.batch * seconds_per_letter))
        self._receipts: dict[str, str] = {}  # of what is hidden

    def slips(self) -> Iterator[Slip]:
        """Yield each message once, until none is new.

        Raises:
            AwsError: SQS failed.
        """
        from flyball_controller.aws.errors import aws_call

        seen: set[str] = set()
        while True:
            with aws_call("sqs", "ReceiveMessage"):
                reply = self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=self.batch,
                    WaitTimeSeconds=LONG_POLL_S,
                    VisibilityTimeout=self.hidden_s,
                )
            messages = {message["MessageId"]: message for message in reply.get("Messages", [])}
            self._receipts.update((place, message["ReceiptHandle"]) for place, message in messages.items())
            fresh = [place for place in messages if place not in seen]
            if not fresh:  # nothing is left, or what was skipped comes round again
                return
            seen.update(fresh)
            for place in fresh:
                yield read_slip(place, messages[place]["Body"])

    def remove(self, slip: Slip) -> None:
        """Delete the message.

        Raises:
            AwsError: SQS failed; the message may be there still.
        """
        from flyball_controller.aws.errors import aws_call

        with aws_call("sqs", "DeleteMessage"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=self._receipts[slip.place])
        del self._receipts[slip.place]

    def close(self) -> None:
        """Show the remaining messages again at once; if that fails, they show themselves later."""
        from flyball_controller.aws.errors import AwsError, aws_call

        for receipt in self._receipts.values():
            with suppress(AwsError), aws_call("sqs", "ChangeMessageVisibility"):
                self._client.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=0
                )
        self._receipts.clear()


class Lines:
    """A file of JSON lines, which is never changed; what is done stands in a file beside it.

    FILE.done has one digest a line. A letter that stands in the file twice was put
    twice, and is sent twice; an interrupted redrive goes on where it was.
    """

    def __init__(self, path: Path, *, apply: bool) -> None:
        """Read `path`; with `apply`, be the only one that works on it.

        Raises:
            OSError: The file cannot be read, or FILE.done not written or locked (BlockingIOError).
        """
        self._path = path
        self._lines = path.open("rb")
        self._done = path.with_name(f"{path.name}.done")
        self._digests: dict[str, str] = {}
        try:
            self._log = _open_locked(self._done) if apply else None
        except OSError:
            self._lines.close()
            raise

    def slips(self) -> Iterator[Slip]:
        """Yield each letter that is not done."""
        done = Counter(self._done.read_text("ascii", "replace").split()) if self._done.exists() else Counter()
        for number, line in enumerate(self._lines, start=1):
            if not line.strip():
                continue
            digest = sha256(line.strip()).hexdigest()
            if done[digest]:
                done[digest] -= 1
                continue
            place = f"{self._path}:{number}"
            self._digests[place] = digest
            yield read_slip(place, line)
            del self._digests[place]

    def remove(self, slip: Slip) -> None:
        """Note that the letter is done, and wait until that is on the disk.

        Raises:
            OSError: FILE.done cannot be written.
        """
        assert self._log is not None  # noqa: S101 - nothing is removed without apply
        os.write(self._log, f"{self._digests[slip.place]}\n".encode())
        os.fsync(self._log)

    def close(self) -> None:
        """Close both files, and let others at them."""
        self._lines.close()
        if self._log is not None:
            os.close(self._log)


def _open_locked(path: Path) -> int:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


# --- destinations -----------------------------------------------------------------------


def to_lambda(client: InvokeClient, name: str) -> Callable[[Letter], None]:
    """Return a destination that invokes a function asynchronously, with the payload as its event."""

    def submit(letter: Letter) -> None:
        from flyball_controller.aws.errors import aws_call

        event = json.dumps(letter.payload, separators=(",", ":")).encode()
        with aws_call("lambda", "Invoke"):
            reply = client.invoke(FunctionName=name, InvocationType="Event", Payload=event)
        if reply["StatusCode"] != ACCEPTED:
            raise PortError(
                f"Invoke answered {reply['StatusCode']}, not {ACCEPTED}", backend="lambda", retryable=True
            )

    return submit


def to_callable(text: str) -> Callable[[Letter], None]:
    """Return a destination that calls `module:function` with the payload.

    A parameter named idempotency_key is given the letter's; `async def` is run to its end.

    Raises:
        DestinationError: There is no such module or function.
    """
    name, colon, attribute = text.partition(":")
    if not (name and colon and attribute):
        raise DestinationError(f"{text!r} must be MODULE:FUNCTION, e.g. payments.orders:charge")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise DestinationError(f"module {name!r} cannot be imported: {error}") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        guess = did_you_mean(attribute, [known for known in vars(module) if not known.startswith("_")])
        raise DestinationError(f"module {name!r} has no function {attribute!r}{guess}")
    takes_key = "idempotency_key" in inspect.signature(function).parameters

    def submit(letter: Letter) -> None:
        more = {"idempotency_key": letter.idempotency_key} if takes_key else {}
        result = function(letter.payload, **more)
        if inspect.iscoroutine(result):
            import asyncio

            asyncio.run(result)

    return submit
