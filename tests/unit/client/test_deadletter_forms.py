"""Which payload a dead letter holds, in every form of guarding: functions, permits, loops of attempts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flyball.contract import CircuitState
from flyball.deadletter import DeadLetter
from flyball.errors import CircuitOpenError, FlyballWarning, SettingsError
from flyball.outcome import Outcome
from unit.client.letters_world import AsyncDesk, Desk
from unit.client.support import PaymentError, World

BOTH = pytest.mark.parametrize("form", ["plain", "async"])


class Shop:
    """A method and everything that is no payload."""

    def place(self, order: int, request_id: str, timeout_s: float, idempotency_key: str = "") -> None:
        raise PaymentError("down")


def test_the_only_argument_that_can_be_meant_is_the_payload():
    """Not self, not the time-out, not the key."""
    world, desk = World(), Desk()
    place = world.target().guard(dead_letter=desk, timeout="timeout_s", idempotency_key="request_id")(
        Shop.place
    )
    for argument in ((7,), ()):
        with pytest.raises(PaymentError):
            place(Shop(), *argument, request_id="r-1", **({} if argument else {"order": 7}))
    assert [(letter.payload, letter.idempotency_key) for letter in desk.letters] == [(7, "r-1")] * 2


@pytest.mark.parametrize("payload", ["note", None])
def test_a_payload_by_name_or_an_error_that_asks_for_it(payload):
    """At decoration, not after the first outage."""
    world, desk = World(), Desk()

    def ask(order: int, note: str) -> None:
        raise PaymentError("down")

    decorate = world.target().guard(dead_letter=DeadLetter(desk, payload=payload))
    if payload is None:
        with pytest.raises(SettingsError, match="ask has the arguments order, note; say which"):
            decorate(ask)
        return
    with pytest.raises(PaymentError):
        decorate(ask)(7, "n-1")
    assert desk.letters[0].payload == "n-1"


def test_a_misspelt_argument_and_a_sink_that_is_none_are_refused():
    """With the remedy."""
    world = World()
    with pytest.raises(SettingsError, match=r"payload='ordr' is no argument of .*; did you mean 'order'"):
        world.target().guard(dead_letter=DeadLetter(Desk(), payload="ordr"))(lambda order, note: None)
    with pytest.raises(SettingsError, match=r"must have a method put\(letter\); CallableSink"):
        world.target().guard(dead_letter=print)(lambda order: None)


# --- permits ----------------------------------------------------------------------------


def permit(form: str, handle: Any, block: Any, **options: Any) -> None:
    """One permit around `block(permit)`, in either form."""
    if form == "plain":
        with handle.permit(**options) as held:
            block(held)
        return

    async def awaited() -> None:
        async with handle.permit(**options) as held:
            block(held)

    asyncio.run(awaited())


def fail(_permit: Any) -> None:
    raise PaymentError("down")


def desk_for(form: str) -> Desk:
    """An asynchronous one where it can be awaited."""
    return Desk() if form == "plain" else AsyncDesk()


@BOTH
def test_a_permit_keeps_its_payload_if_the_block_fails(form):
    """Written when the block is left, so that an asynchronous sink can be awaited."""
    world, desk = World(), desk_for(form)
    with pytest.raises(PaymentError):
        permit(form, world.target(), fail, dead_letter=desk, payload={"order": 7})
    (letter,) = desk.letters
    assert (letter.payload, letter.error, letter.attempts) == ({"order": 7}, "PaymentError", 1)
    assert letter.reason == "not_repeatable"


@BOTH
def test_a_verdict_without_an_exception_is_kept_by_its_name(form):
    """There is no error object; the word is enough."""
    world, desk = World(), desk_for(form)
    permit(form, world.target(), lambda held: held.failure(Outcome.THROTTLE), dead_letter=desk, payload=7)
    (letter,) = desk.letters
    assert (letter.error, letter.error_text) == ("AttemptFailedError", "throttle")


@BOTH
@pytest.mark.parametrize("verdict", ["success", "ignore"])
def test_what_is_no_failure_of_the_target_leaves_no_letter(form, verdict):
    """Nor does leaving without a word."""
    world, desk = World(), desk_for(form)
    permit(form, world.target(), lambda held: getattr(held, verdict)(), dead_letter=desk, payload=7)
    permit(form, world.target(), lambda held: None, dead_letter=desk, payload=7)
    assert desk.letters == []


@BOTH
def test_a_permit_that_is_refused_keeps_its_payload(form):
    """It was not called, and the work is still to be done."""
    world, desk = World(), desk_for(form)
    handle = world.target()
    handle.target.hold(CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitOpenError):
        permit(form, handle, fail, dead_letter=desk, payload=7)
    assert [(letter.attempts, letter.reason) for letter in desk.letters] == [(0, "circuit_open")]


def test_a_permit_without_a_block_keeps_its_payload_at_the_verdict():
    """`begin` and a verdict: there is nothing to be left."""
    world, desk = World(), Desk()
    held = world.target().permit(dead_letter=desk, payload=7).begin()
    held.failure()
    assert len(desk.letters) == 1


def test_a_sink_that_fails_raises_nothing_into_the_block():
    """The block's own error is the one that leaves."""
    world = World()
    with pytest.warns(FlyballWarning), pytest.raises(PaymentError) as caught:
        permit("plain", world.target(), fail, dead_letter=Desk(OSError("full")), payload=7)
    assert caught.value.__notes__ == ["its dead letter was not kept: OSError: full"]
    permit("plain", world.target(), lambda held: held.failure(), dead_letter=Desk(OSError("x")), payload=7)


def test_a_permit_has_no_arguments_to_choose_from():
    """Whoever names one is told where the payload goes."""
    with pytest.raises(SettingsError, match="give the value itself as payload="):
        World().target().permit(dead_letter=DeadLetter(Desk(), payload="order"), payload=7)


# --- loops ------------------------------------------------------------------------------


def loop(form: str, handle: Any, block: Any, **options: Any) -> None:
    """The attempts of one call around `block(attempt)`, in either form."""
    if form == "plain":
        for attempt in handle.attempts(**options):
            with attempt:
                block(attempt)
        return

    async def awaited() -> None:
        async for attempt in handle.attempts(**options):
            async with attempt:
                block(attempt)

    asyncio.run(awaited())


@BOTH
def test_a_loop_keeps_its_payload_after_the_last_attempt(form):
    """Once, with the number of attempts and the key."""
    world, desk = World(), desk_for(form)
    with pytest.raises(PaymentError):
        loop(form, world.target(), fail, dead_letter=desk, payload=[7], idempotency_key="r-1")
    (letter,) = desk.letters
    assert (letter.payload, letter.attempts, letter.reason) == ([7], 2, "budget")
    assert letter.idempotency_key == "r-1"


@BOTH
def test_a_loop_that_ends_well_leaves_no_letter(form):
    """Also if it took a retry; nor does one that is left."""
    world, desk = World(), desk_for(form)
    script = [PaymentError("down"), None]

    def ask(_attempt: Any) -> None:
        error = script.pop(0)
        if error is not None:
            raise error

    loop(form, world.target(), ask, dead_letter=desk, payload=7)
    with pytest.raises(KeyError):
        loop(form, world.target(), lambda _: {}["bug"], dead_letter=desk, payload=7)
    assert desk.letters == []


@BOTH
def test_a_loop_that_is_refused_keeps_its_payload(form):
    """At its first attempt."""
    world, desk = World(), desk_for(form)
    handle = world.target()
    handle.target.hold(CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitOpenError):
        loop(form, handle, fail, dead_letter=desk, payload=7)
    assert [letter.attempts for letter in desk.letters] == [0]
