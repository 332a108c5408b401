"""Dead letters: kept once the guard gives up, whole or not at all, and nothing swallowed."""

from __future__ import annotations

import asyncio
import inspect
import sys
from decimal import Decimal
from typing import Any

import pytest

from flyball.contract import CircuitState
from flyball.deadletter import (
    LETTER_BYTES_MAX,
    CallableSink,
    DeadLetter,
    Letter,
    SqsSink,
    decode_letter,
    encode_letter,
)
from flyball.errors import BudgetExhausted, CircuitOpenError, FlyballWarning
from flyball.hooks import LetterWritten
from flyball.testing import with_params
from unit.client.letters_world import AsyncDesk, Desk
from unit.client.support import PaymentError, World


class Kept:
    """A guarded function that fails as told, and a desk that keeps its letters."""

    def __init__(self, *script: object, desk: Any = None, required: bool = False, **options: Any) -> None:
        self.events: list[Any] = []
        self.world = World(function="pay", hooks=self.events.append)
        self.desk = Desk() if desk is None else desk
        self.target = self.world.target(ignore=LookupError)
        payload = options.pop("payload", lambda order, **_: {"order": order})
        self.guard = self.target.guard(
            dead_letter=DeadLetter(self.desk, payload=payload, required=required), **options
        )
        self.inner = self.world.function(*script)

        def ask(order: int, note: str = "") -> object:
            return self.inner(order)

        self.call = self.guard(ask)


def asynchronous(kept: Kept) -> Any:
    """The same as `async def`."""

    async def ask(order: int, note: str = "") -> object:
        return kept.inner(order)

    return kept.guard(ask)


def told(kept: Kept) -> list[LetterWritten]:
    return [event for event in kept.events if isinstance(event, LetterWritten)]


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
    assert (call(kept, form, 7), kept.desk.letters) == ("paid", [])


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
    now_s = kept.world.clock.wall_s()
    assert letter == Letter(
        "t", "pay", {"order": 7}, "PaymentError", "last word", 2, now_s, "key-7", reason="budget"
    )
    assert told(kept) == [LetterWritten("t", "budget", 2, True)]
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
    assert letter.reason == "circuit_open"


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
    kept.target.target.hold(CircuitState.FORCED_OPEN)
    assert call(kept, form, 8) == "later: 8"
    assert [letter.payload["order"] for letter in kept.desk.letters] == [7, 8]


@BOTH
def test_a_fallback_is_told_the_reason_and_finds_what_became_of_the_letter(form):
    """The budget was out, because of that last error, whose letter was lost."""
    errors: list[Exception] = []

    def later(order: int, *, error: Exception) -> str:
        errors.append(error)
        return "later"

    kept = Kept(*four(), desk=Desk(OSError("disk full")), fallback=later)
    with pytest.warns(FlyballWarning, match="disk full"):
        assert call(kept, form, 7) == "later"
    assert isinstance(errors[0], BudgetExhausted)
    assert isinstance(errors[0].__cause__, PaymentError)
    assert errors[0].__cause__.__notes__ == ["its dead letter was not kept: OSError: disk full"]


@BOTH
@pytest.mark.parametrize(("fallback", "required"), [(None, False), (None, True), (lambda order: "", True)])
def test_a_sink_that_fails_raises_the_calls_own_error(form, fallback, required):
    """With a note; where letters are required, a fallback would claim that the payload is safe."""
    errors = [PaymentError("first"), PaymentError("last")]
    errors[1].__cause__ = cause = OSError("underneath")
    kept = Kept(*errors, desk=Desk(OSError("disk full")), fallback=fallback, required=required)
    with pytest.raises(PaymentError) as caught, pytest.warns(FlyballWarning, match="'t' was not kept: OSErr"):
        call(kept, form, 7)
    assert caught.value is errors[1]
    assert caught.value.__cause__ is cause
    assert caught.value.__notes__ == ["its dead letter was not kept: OSError: disk full"]
    assert told(kept) == [LetterWritten("t", "budget", 2, False)]


@BOTH
def test_a_sink_that_fails_does_not_keep_the_fallback_from_answering(form):
    """Nothing of ours is raised into the call; it is said once, and each time as an event."""
    kept = Kept(*four(), *four(), desk=Desk(OSError("disk full")), fallback="later")
    with pytest.warns(FlyballWarning) as warned:
        assert [call(kept, form, 7), call(kept, form, 8)] == ["later", "later"]
    assert len(warned) == 1
    assert [event.kept for event in told(kept)] == [False, False]


@BOTH
def test_where_letters_are_required_one_without_its_payload_is_none(form):
    """It is kept, and says why; but the work is lost, so no fallback may answer."""
    kept = Kept(*four(), payload=lambda order: Decimal(1), fallback="later", required=True)
    with pytest.raises(PaymentError) as caught, pytest.warns(FlyballWarning, match="has no payload"):
        call(kept, form, 7)
    assert caught.value.__notes__[0].startswith("its dead letter has no payload: payload: no JSON")
    assert len(kept.desk.letters) == 1


@pytest.mark.parametrize(
    ("options", "reason", "attempts"),
    [
        ({"idempotent": False}, "not_repeatable", 1),
        ({"params": {"max_attempts": 2, "budget_ratio": 1.0}}, "attempts", 2),
        ({"params": {"max_attempts": 4, "budget_ratio": 0.0}}, "budget", 1),
        ({"deadline_s": 1_000.015}, "deadline", 1),
        ({"asks_s": 600}, "retry_after", 1),
    ],
)
def test_a_letter_says_which_brake_ended_the_call(options, reason, attempts):
    """So that whoever reads a queue of them knows an exhausted budget from a target that is gone."""
    world, desk = World(), Desk()
    handle = world.target(idempotent=options.get("idempotent", True))
    world.runtime.deadline_s = options.get("deadline_s")
    error = PaymentError("down")
    if "asks_s" in options:
        error.code, error.headers = 503, {"Retry-After": str(options["asks_s"])}

    @handle.guard(dead_letter=desk)
    def ask(order: int) -> None:
        world.clock.pass_s(0.01)
        raise error

    with with_params(handle, retry=options.get("params", {})), pytest.raises(PaymentError):
        ask(7)
    assert [(letter.reason, letter.attempts, letter.payload) for letter in desk.letters] == [
        (reason, attempts, 7)
    ]


def test_a_circuit_that_opens_between_two_attempts_is_a_reason():
    """The letter and the fallback both say it."""
    world, desk, errors = World(), Desk(), []
    handle = world.target()

    def later(order: int, *, error: Exception) -> str:
        errors.append(error)
        return "later"

    @handle.guard(dead_letter=desk, fallback=later)
    def ask(order: int) -> None:
        handle.target.hold(CircuitState.FORCED_OPEN)
        raise PaymentError("down")

    assert ask(7) == "later"
    assert desk.letters[0].reason == "circuit"
    assert isinstance(errors[0], CircuitOpenError)
    assert isinstance(errors[0].__cause__, PaymentError)


def test_switched_off_nothing_is_kept():
    """The emergency exit leaves the function as it was written."""
    world, desk = World(off=True), Desk()

    @world.target().guard(dead_letter=desk)
    def ask(order: int) -> None:
        raise PaymentError("down")

    with pytest.raises(PaymentError):
        ask(7)
    assert desk.letters == []


def test_where_warnings_are_errors_the_calls_own_error_is_still_the_one():
    """A lost letter must not change what the caller sees."""
    kept = Kept(*four(), desk=Desk(OSError("disk full")))
    with pytest.raises(PaymentError):
        kept.call(7)


# --- around the edges -------------------------------------------------------------------


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
    with pytest.raises(PaymentError) as caught, pytest.warns(FlyballWarning, match="never sent"):
        kept.call(7)
    loop.close()
    assert "never sent" in caught.value.__notes__[0]


def test_cancelling_the_task_leaves_no_letter():
    """Whoever cancels knows what it does."""
    kept = Kept()

    async def hang(order: int) -> None:
        await asyncio.Event().wait()

    guarded = kept.guard(hang)

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

    guarded = kept.guard(begin)
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

    kept_charge, kept_refund = (kept.guard(f) for f in (charge, refund))
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
        ({"idempotency_key": lambda order: "k" * 1_025}, "idempotency_key: "),
    ],
)
def test_a_payload_that_cannot_be_kept_whole_is_left_out_and_the_letter_says_why(options, problem):
    """No silent cut: half a payload must never be redriven, and a call without its key never repeated."""
    kept = Kept(*four(), **{"payload": lambda order: order, **options})
    with pytest.raises(PaymentError), pytest.warns(FlyballWarning, match="has no payload"):
        kept.call(7)
    (letter,) = kept.desk.letters
    assert letter.payload is None
    assert letter.problem.startswith(problem)
    assert decode_letter(encode_letter(letter)) == letter


def test_without_the_sdk_the_calls_own_error_is_raised_with_a_note(monkeypatch):
    """The client is standard library only; the rest of it goes on."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    kept = Kept(*four(), desk=SqsSink("https://sqs.eu-west-1.amazonaws.com/1/dead"))
    with pytest.raises(PaymentError) as caught, pytest.warns(FlyballWarning, match="boto3"):
        kept.call(7)
    assert "boto3" in caught.value.__notes__[0]
