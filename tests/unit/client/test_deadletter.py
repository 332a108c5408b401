"""Dead letters: kept once the guard gives up, whole or not at all, and nothing swallowed."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from decimal import Decimal
from typing import Any

import boto3
import pytest
from moto import mock_aws

from flyball.contract import CircuitState
from flyball.deadletter import (
    LETTER_BYTES_MAX,
    CallableSink,
    FileSink,
    Letter,
    SqsSink,
    decode_letter,
    encode_letter,
    keeps,
)
from flyball.errors import CircuitOpenError
from unit.client.support import PaymentError, World

LETTER = Letter("t", "pay", {"n": 1}, "PaymentError", "down", None, 1_000.0, "k-1")


class Desk:
    """A sink that remembers, or fails."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.letters: list[Letter] = []
        self.error = error

    def put(self, letter: Letter) -> None:
        if self.error is not None:
            raise self.error
        self.letters.append(letter)


class AsyncDesk(Desk):
    async def put(self, letter: Letter) -> None:
        await asyncio.sleep(0)
        super().put(letter)


class Kept:
    """A guarded function that fails as told, and a desk that keeps its letters."""

    def __init__(self, *script: object, desk: Desk | None = None, **options: Any) -> None:
        self.world = World(function="pay")
        self.desk = Desk() if desk is None else desk
        self.target = self.world.target(ignore=LookupError)
        options = {"payload": lambda order, **_: {"order": order}, **options}
        self.keeps = keeps(self.desk, target=self.target, **options)
        self.inner = self.world.function(*script)
        self.call = self.keeps(self.target.guard(self.inner))


def asynchronous(kept: Kept) -> Any:
    """The same as `async def`."""

    async def inner(*args: object, **kwargs: object) -> object:
        return kept.inner(*args, **kwargs)

    return kept.keeps(kept.target.guard(inner))


BOTH = pytest.mark.parametrize("form", ["plain", "async"])


def call(kept: Kept, form: str, *args: object, **kwargs: object) -> object:
    if form == "plain":
        return kept.call(*args, **kwargs)
    return asyncio.run(asynchronous(kept)(*args, **kwargs))


def four() -> list[PaymentError]:
    """As many as the guard could ask for."""
    return [PaymentError("down") for _ in range(4)]


@BOTH
def test_what_succeeds_leaves_no_letter(form):
    """Also if it took a retry."""
    kept = Kept(PaymentError("down"), "paid")
    assert call(kept, form, 7) == "paid"
    assert kept.desk.letters == []


@BOTH
def test_the_last_error_is_raised_and_the_call_kept(form):
    """The very exception object (K8), once the guard has given up."""
    errors = [PaymentError("first"), PaymentError("last\n  word")]
    kept = Kept(*errors, idempotency_key=lambda order, **_: f"key-{order}")
    with pytest.raises(PaymentError) as caught:
        call(kept, form, 7, note="card 4111")
    assert caught.value is errors[1]
    assert not hasattr(caught.value, "__notes__")
    (letter,) = kept.desk.letters
    assert letter == Letter(
        "t", "pay", {"order": 7}, "PaymentError", "last word", None, kept.world.clock.wall_s(), "key-7"
    )
    assert "4111" not in encode_letter(letter), "only what payload returned"


@BOTH
def test_a_call_that_was_not_made_is_kept_too(form):
    """A circuit that is open must not lose orders."""
    kept = Kept()
    kept.target.target.hold(CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitOpenError):
        call(kept, form, 7)
    (letter,) = kept.desk.letters
    assert (letter.error, letter.attempts, letter.payload) == ("CircuitOpenError", 0, {"order": 7})


@BOTH
@pytest.mark.parametrize("error", [KeyError("ignored"), TypeError("a typo")])
def test_the_callers_own_errors_are_nobodys_letter(form, error):
    """They would fail again; the same rule as the guard's fallback."""
    kept = Kept(error)
    with pytest.raises(type(error)):
        call(kept, form, 7)
    assert kept.desk.letters == []


@BOTH
def test_a_fallback_answers_once_the_letter_is_kept(form):
    """With the call's own arguments."""
    kept = Kept(*four(), fallback=lambda order: f"later: {order}")
    assert call(kept, form, 7) == "later: 7"
    assert len(kept.desk.letters) == 1


@BOTH
@pytest.mark.parametrize("fallback", [None, lambda order: "later"])
def test_a_sink_that_fails_swallows_nothing(form, fallback):
    """The original error with a note; a fallback would claim that the payload is safe."""
    errors = [PaymentError("first"), PaymentError("last")]
    errors[1].__cause__ = cause = OSError("underneath")
    kept = Kept(*errors, desk=Desk(OSError("disk full")), fallback=fallback)
    with pytest.raises(PaymentError) as caught:
        call(kept, form, 7)
    assert caught.value is errors[1]
    assert caught.value.__cause__ is cause
    assert caught.value.__notes__ == ["its dead letter was not kept: OSError: disk full"]


@BOTH
def test_an_interruption_is_no_dead_letter_and_passes_through(form):
    """Neither that of the call nor that of the sink."""
    kept = Kept(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        call(kept, form, 7)
    assert kept.desk.letters == []
    kept = Kept(*four(), desk=Desk(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        call(kept, form, 7)


def test_an_asynchronous_sink_and_fallback_are_awaited():
    """Around `async def`, a blocking sink need not be."""

    async def later(order: int) -> str:
        return f"later: {order}"

    kept = Kept(*four(), desk=AsyncDesk(), fallback=later)
    assert call(kept, "async", 7) == "later: 7"
    assert len(kept.desk.letters) == 1


@pytest.mark.parametrize("receipt", ["coroutine", "future"])
def test_an_asynchronous_sink_around_a_plain_function_is_a_sink_that_fails(receipt):
    """A coroutine that nobody awaits keeps nothing."""
    loop = asyncio.new_event_loop()
    desk = AsyncDesk() if receipt == "coroutine" else CallableSink(lambda letter: loop.create_future())
    kept = Kept(*four(), desk=desk)
    with pytest.raises(PaymentError) as caught:
        kept.call(7)
    loop.close()
    assert "never sent" in caught.value.__notes__[0]


def test_cancelling_the_task_leaves_no_letter():
    """Whoever cancels knows what it does."""
    kept = Kept()

    async def hang(order: int) -> None:
        await asyncio.Event().wait()

    guarded = kept.keeps(kept.target.guard(hang))

    async def cancelled() -> None:
        task = asyncio.create_task(guarded(7))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert kept.desk.letters == []


def test_a_plain_function_that_returns_a_coroutine_is_kept_as_well():
    """Nothing has been asked when it returns."""
    kept = Kept()

    async def ask(order: int) -> str:
        raise PaymentError("down")

    def begin(order: int) -> Any:
        return ask(order)

    guarded = kept.keeps(kept.target.guard(begin))
    with pytest.raises(PaymentError):
        asyncio.run(guarded(7))
    assert len(kept.desk.letters) == 1


def test_the_decorated_function_is_what_it_was():
    """Frameworks ask; an async function must be known as one."""
    kept = Kept()

    async def charge(order: int) -> None:
        """Charge."""

    def refund(order: int) -> None:
        """Refund."""

    kept_charge, kept_refund = (kept.keeps(kept.target.guard(f)) for f in (charge, refund))
    assert inspect.iscoroutinefunction(kept_charge)
    assert not inspect.iscoroutinefunction(kept_refund)
    assert (kept_charge.__name__, kept_refund.__doc__) == ("charge", "Refund.")


class MuteError(PaymentError):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_without_words_is_kept_all_the_same():
    """Somebody's __str__ must not lose the payload."""
    kept = Kept(MuteError(), MuteError())
    with pytest.raises(MuteError):
        kept.call(7)
    assert (kept.desk.letters[0].error, kept.desk.letters[0].error_text) == ("MuteError", "")


def test_a_long_error_text_is_cut():
    """200 characters tell errors apart and hold no payload."""
    kept = Kept(PaymentError("x" * 500), PaymentError("x" * 500))
    with pytest.raises(PaymentError):
        kept.call(7)
    assert kept.desk.letters[0].error_text == "x" * 200


def boom(*_: object, **__: object) -> Any:
    raise RuntimeError("cannot tell")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"payload": lambda order: Decimal(1)}, "payload: no JSON: Object of type Decimal"),
        ({"payload": lambda order: float("nan")}, "payload: no JSON: Out of range float"),
        ({"payload": lambda order: "x" * LETTER_BYTES_MAX}, "payload: the letter would be 2623"),
        ({"payload": boom}, "payload or key: RuntimeError: cannot tell"),
        ({"idempotency_key": boom}, "payload or key: RuntimeError: cannot tell"),
        ({"idempotency_key": lambda order: 7}, "idempotency_key: 7 must be text"),
        ({"idempotency_key": lambda order: "k" * 1_025}, "idempotency_key: "),
    ],
)
def test_a_payload_that_cannot_be_kept_whole_is_left_out_and_the_letter_says_why(options, problem):
    """No silent cut: half a payload must never be redriven, and a call without its key never repeated."""
    kept = Kept(*four(), **{"payload": lambda order: order, **options})
    with pytest.raises(PaymentError):
        kept.call(7)
    (letter,) = kept.desk.letters
    assert letter.payload is None
    assert letter.problem.startswith(problem)
    assert decode_letter(encode_letter(letter)) == letter


# --- sinks ------------------------------------------------------------------------------


def test_a_file_gets_a_line_per_letter(tmp_path):
    """Readable with any tool for JSON lines, by nobody else than its owner."""
    path = tmp_path / "dead.jsonl"
    sink = FileSink(str(path))
    for number in range(3):
        sink.put(LETTER._replace(payload=number))
    assert [decode_letter(line).payload for line in path.read_text().splitlines()] == [0, 1, 2]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_half_line_of_somebody_else_does_not_spoil_the_next_letter(tmp_path):
    """A disk that was full, a process that was killed."""
    path = tmp_path / "dead.jsonl"
    path.write_text('{"half')
    FileSink(str(path)).put(LETTER)
    assert decode_letter(path.read_text().splitlines()[1]) == LETTER


def test_a_file_that_cannot_be_written_completely_is_an_error(tmp_path, monkeypatch):
    """The caller then raises the call's own error with a note."""
    with pytest.raises(OSError, match="nowhere"):
        FileSink(str(tmp_path / "nowhere" / "dead.jsonl")).put(LETTER)
    monkeypatch.setattr(os, "write", lambda file, data: len(data) - 1)
    with pytest.raises(OSError, match="disk may be full"):
        FileSink(str(tmp_path / "dead.jsonl")).put(LETTER)


def test_a_function_is_a_sink():
    """The simplest one."""
    letters: list[Letter] = []
    CallableSink(letters.append).put(LETTER)
    assert letters == [LETTER]


@pytest.fixture
def aws(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-west-1")


def received(sqs: Any, url: str) -> list[Letter]:
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [decode_letter(message["Body"]) for message in messages]


def test_a_queue_gets_a_message_per_letter(aws):
    """With its own client, made at the first letter; fidelity: moto."""
    url = aws.create_queue(QueueName="dead")["QueueUrl"]
    sink = SqsSink(url)
    odd = LETTER._replace(payload="\x00\ud800\uffff é 漢")
    sink.put(LETTER)
    sink.put(odd)
    assert sorted(received(aws, url), key=str) == sorted([LETTER, odd], key=str)
    assert sink._client.meta.config.read_timeout == 2.0
    assert sink._client.meta.config.retries["total_max_attempts"] == 2


def test_a_fifo_queue_keeps_a_letter_once(aws):
    """A put that was repeated because its answer was lost; names with blanks are no group names."""
    url = aws.create_queue(
        QueueName="dead.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "false"}
    )["QueueUrl"]
    sink = SqsSink(url, aws)
    letter = LETTER._replace(target="payments api")
    for _ in range(2):
        sink.put(letter)
    assert received(aws, url) == [letter]


def test_without_the_sdk_the_calls_own_error_is_raised_with_a_note(monkeypatch):
    """The client is standard library only; the rest of it goes on."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    kept = Kept(*four(), desk=SqsSink("https://sqs.eu-west-1.amazonaws.com/1/dead"))
    with pytest.raises(PaymentError) as caught:
        kept.call(7)
    assert "boto3" in caught.value.__notes__[0]
