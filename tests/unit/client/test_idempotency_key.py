"""The key that makes a call repeatable: where it is found, who gets it, and what is said without one."""

from __future__ import annotations

import asyncio
import functools
import uuid
import warnings

import pytest
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

from flyball.contract import DEFAULT_PARAMS, RetryParams
from flyball.errors import FlyballWarning, SettingsError
from flyball.hooks import KeyMissing
from flyball.idempotency import key_text
from flyball.testing import no_sleep
from unit.client.support import PaymentError, World

GENEROUS = DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=3.0, budget_burst=10.0))


def make(**kwargs):
    """A target whose calls are not idempotent by themselves."""
    world = World(**kwargs)
    handle = world.target(idempotent=False)
    handle.target.apply_params(GENEROUS, 1)
    return world, handle


def attempts_of(world, guarded, *args, **kwargs) -> int:
    """How many attempts a call makes that always fails."""
    before = world.counters.requests + world.counters.retries
    with no_sleep(within=world.runtime), pytest.raises(PaymentError):
        guarded(*args, **kwargs)
    return world.counters.requests + world.counters.retries - before


def failing(order_id=None, amount=0):
    raise PaymentError


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("o-1",), {}), ((), {"order_id": "o-1"}), ((7, 3), {}), ((0,), {}), ((), {"order_id": 0})],
)
def test_a_call_with_a_key_is_repeated_however_the_key_is_passed(args, kwargs):
    """By position or by name; the number 0 is a key."""
    world, handle = make()
    assert attempts_of(world, handle.guard(idempotency_key="order_id")(failing), *args, **kwargs) == 4


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((None,), {}), (("",), {}), ((), {"order_id": "  "})])
def test_a_call_without_its_key_is_made_once_and_that_is_said_once(args, kwargs):
    """K9, and never silently: a warning at the line of the call, and an event each time."""
    events: list[object] = []
    world, handle = make(hooks=events.append)
    guarded = handle.guard(idempotency_key="order_id")(failing)
    with pytest.warns(FlyballWarning, match="failing has no idempotency key") as said:
        assert attempts_of(world, guarded, *args, **kwargs) == 1
    assert (len(said), said[0].filename) == (1, __file__)
    assert attempts_of(world, guarded, *args, **kwargs) == 1
    assert [event for event in events if isinstance(event, KeyMissing)] == [KeyMissing("t", "failing")] * 2


def test_the_key_decides_even_if_the_target_calls_itself_idempotent():
    """Who names a key says that it is the key that makes it so."""
    world = World()
    handle = world.target(idempotent=True)
    handle.target.apply_params(GENEROUS, 1)
    with pytest.warns(FlyballWarning):
        assert attempts_of(world, handle.guard(idempotency_key="order_id")(failing)) == 1


def test_a_default_is_a_key():
    """What the function would use is what counts."""
    world, handle = make()

    def charge(order_id="always"):
        raise PaymentError

    assert attempts_of(world, handle.guard(idempotency_key="order_id")(charge)) == 4


def test_a_function_may_say_the_key():
    """Of the same arguments; its own errors are the caller's, before anything is called."""
    world, handle = make()

    @handle.guard(idempotency_key=lambda order: order["id"])
    def charge(order):
        raise PaymentError

    assert attempts_of(world, charge, {"id": uuid.UUID(int=1)}) == 4
    with pytest.raises(KeyError):
        charge({})
    assert world.counters.requests == 1


def test_the_key_is_handed_on_to_whoever_names_it():
    """As text, in every attempt; a key that the caller passes himself is left alone."""
    world, handle = make()
    seen = []

    def charge(order_id, *, idempotency_key=None):
        seen.append(idempotency_key)
        if len(seen) == 1:
            raise PaymentError
        return idempotency_key

    guarded = handle.guard(idempotency_key="order_id")(charge)
    with no_sleep(within=world.runtime):
        assert guarded(42) == "42"
    assert seen == ["42", "42"]
    assert guarded(42, idempotency_key="mine") == "mine"


@pytest.mark.parametrize(
    "function",
    [
        lambda order_id, **kwargs: kwargs,
        lambda order_id: {},
        lambda order_id, idempotency_key=None, /: {} if idempotency_key is None else {"got": idempotency_key},
    ],
)
def test_nobody_else_gets_it(function):
    """`**kwargs` may be passed on to somebody who has no such argument; a positional-only one has no name."""
    _, handle = make()
    assert handle.guard(idempotency_key="order_id")(function)("o-1") == {}


def test_the_argument_may_itself_have_that_name():
    """Then there is nobody else to hand it to."""
    world, handle = make()

    @handle.guard(idempotency_key="idempotency_key")
    def charge(idempotency_key):
        raise PaymentError

    assert attempts_of(world, charge, "k") == 4
    assert attempts_of(world, charge, idempotency_key="k") == 4


def test_a_key_among_keyword_arguments_is_found():
    """A function that takes anything."""
    world, handle = make()

    @handle.guard(idempotency_key="order_id")
    def charge(**kwargs):
        raise PaymentError

    assert attempts_of(world, charge, order_id="o") == 4


def test_methods_partials_and_coroutines_have_their_key_too():
    """`self` is an argument as well; an async function is called with its key."""
    world, handle = make()

    class Client:
        @handle.guard(idempotency_key="order_id")
        def charge(self, order_id):
            raise PaymentError

    assert attempts_of(world, Client().charge, "o") == 4
    partial = functools.partial(failing, amount=3)
    assert attempts_of(world, handle.guard(idempotency_key="order_id")(partial), "o") == 4
    seen = []

    @handle.guard(idempotency_key="order_id")
    async def charge(order_id, idempotency_key=None):
        seen.append(idempotency_key)
        if len(seen) == 1:
            raise PaymentError

    with no_sleep(within=world.runtime):
        asyncio.run(charge("o"))
    assert seen == ["o", "o"]


def test_the_fallback_gets_the_callers_arguments_alone():
    """It may have no such parameter."""
    _, handle = make()

    @handle.guard(fallback=lambda order_id: f"later: {order_id}", idempotency_key="order_id")
    def charge(order_id, idempotency_key=None):
        raise KeyboardInterrupt if idempotency_key is None else PaymentError

    handle.target.apply_params(DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=1)), 2)
    assert charge("o") == "later: o"


def test_switched_off_the_key_is_not_looked_at():
    """As without the library."""
    world, handle = make()
    world.runtime.off = True
    assert handle.guard(idempotency_key="order_id")(lambda order_id=None: order_id)() is None


def test_a_wrong_name_is_told_at_decoration():
    """With what was meant, or what there is."""
    _, handle = make()
    with pytest.raises(SettingsError, match=r"no argument of failing; did you mean 'order_id'\?"):
        handle.guard(idempotency_key="orderid")(failing)
    with pytest.raises(SettingsError, match=r"it has order_id, amount"):
        handle.guard(idempotency_key="xyz")(failing)
    with pytest.raises(SettingsError, match=r"it has none"):
        handle.guard(idempotency_key="xyz")(lambda: 1)


@pytest.mark.parametrize("idempotent", [True, False])
def test_two_declarations_of_repetition_are_one_too_many(idempotent):
    """Either for all calls, or by the key of each."""
    _, handle = make()
    with pytest.raises(SettingsError, match="give one of them"):
        handle.guard(idempotent=idempotent, idempotency_key="order_id")
    with pytest.raises(SettingsError, match="give one of them"):
        handle.attempts(idempotent=idempotent, idempotency_key="k")


@pytest.mark.parametrize(("key", "attempts"), [("o-1", 4), (0, 4), ("", 1), (None, 1)])
def test_a_loop_of_attempts_is_repeated_with_its_key_alone(key, attempts):
    """The same rule without a decorator, and the same warning."""
    world, handle = make()

    def loop():
        for attempt in handle.attempts(idempotency_key=key):
            with attempt:
                raise PaymentError

    if attempts == 1:
        with pytest.warns(FlyballWarning, match=r"by attempts\(\) has no idempotency key") as said:
            assert attempts_of(world, loop) == 1
        assert said[0].filename == __file__
    else:
        assert attempts_of(world, loop) == attempts


def test_key_text_knows_what_is_no_key():
    """None, nothing, blanks."""
    assert [key_text(key) for key in (None, "", " \t", 0, "k", b"k")] == [None, None, None, "0", "k", "b'k'"]


# --- with Powertools' idempotency -----------------------------------------------------


class MemoryStore(BasePersistenceLayer):
    """Powertools' own contract of a store, on a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, DataRecord] = {}

    def _get_record(self, idempotency_key: str) -> DataRecord:
        try:
            return self.records[idempotency_key]
        except KeyError as cause:
            raise IdempotencyItemNotFoundError from cause

    def _put_record(self, data_record: DataRecord) -> None:
        known = self.records.get(data_record.idempotency_key)
        if known is not None and not known.is_expired:
            raise IdempotencyItemAlreadyExistsError(old_data_record=known)
        self.records[data_record.idempotency_key] = data_record

    def _update_record(self, data_record: DataRecord) -> None:
        self.records[data_record.idempotency_key] = data_record

    def _delete_record(self, data_record: DataRecord) -> None:
        del self.records[data_record.idempotency_key]


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_repeated_call_has_its_effect_once_with_powertools(lost):
    """The card is charged, the reply is lost `lost` times: each attempt asks the store, one charges."""
    world, handle = make()
    charged: list[str] = []
    replies = iter([*[TimeoutError("reply lost")] * lost, None])

    with warnings.catch_warnings():
        # Powertools warns of a missing Lambda context: the deadline of the attempt is ours.
        warnings.filterwarnings("ignore", message="Couldn't determine the remaining time left")

        @idempotent_function(
            data_keyword_argument="order",
            persistence_store=MemoryStore(),
            config=IdempotencyConfig(event_key_jmespath="id"),
        )
        def charge(order):
            charged.append(order["id"])
            return {"receipt": len(charged)}

        @handle.guard(idempotency_key=lambda order: order["id"])
        def pay(order):
            receipt = charge(order=order)
            lost_reply = next(replies)
            if lost_reply is not None:
                raise lost_reply
            return receipt

        with no_sleep(within=world.runtime):
            assert pay({"id": "o-1"}) == {"receipt": 1}
    assert charged == ["o-1"]
    assert world.counters.retries == lost


def test_a_failed_effect_is_repeated_with_powertools():
    """What failed before it had an effect left no record: the next attempt has it."""
    world, handle = make()
    answers = [PaymentError("refused"), {"receipt": 1}]

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Couldn't determine the remaining time left")

        @handle.guard(idempotency_key=lambda *, order: order["id"])
        @idempotent_function(
            data_keyword_argument="order",
            persistence_store=MemoryStore(),
            config=IdempotencyConfig(event_key_jmespath="id"),
        )
        def charge(order):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        with no_sleep(within=world.runtime):
            assert charge(order={"id": "o-1"}) == {"receipt": 1}
            assert charge(order={"id": "o-1"}) == {"receipt": 1}
    assert answers == []


def test_the_other_side_recognises_the_second_attempt_by_the_key():
    """An API that deduplicates by a header: one effect, although its first reply was lost."""
    world, handle = make()
    effects: dict[str, int] = {}

    @handle.guard(idempotency_key="order_id")
    def charge(order_id, amount, idempotency_key=None):
        known = idempotency_key in effects
        effects.setdefault(idempotency_key, amount)
        if not known:
            raise TimeoutError("reply lost")
        return effects[idempotency_key]

    with no_sleep(within=world.runtime):
        assert charge("o-1", 30) == 30
    assert effects == {"o-1": 30}
