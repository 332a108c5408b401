"""The user's own error leaves a guard as it came, whatever it is made of (K8), and no time is told as 0."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
from botocore.exceptions import ClientError

from flyball.errors import FlyballWarning
from flyball.extent import invocation
from flyball.idempotency import say_missing
from flyball.interop import stamina
from flyball.interop.tenacity import obey
from flyball.outcome import Outcome
from unit.client.support import PaymentError, World


class HostileError(Exception):
    """Says what it knows only by raising, as some SDKs' properties do before there is a response."""

    @property
    def response(self) -> object:
        raise RuntimeError("no response yet")


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    """Takes no attribute, and therefore no note."""

    code: int = 1


def throttled_beneath() -> ClientError:
    """What botocore raises after it has repeated four times itself."""
    metadata = {"HTTPStatusCode": 400, "RetryAttempts": 4}
    answer = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": metadata}
    return ClientError(answer, "GetItem")  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [HostileError, throttled_beneath], ids=["hostile", "warning"])
def test_what_is_said_about_an_error_never_takes_its_place(make):
    """An attribute that raises; a warning of ours where warnings are errors, as here. Retries go on, too."""
    world = World()
    errors = [make() for _ in range(2)]
    guarded = world.target(on=HostileError).guard(world.function(*errors))
    with pytest.raises(type(errors[1])) as caught:
        guarded()
    assert caught.value is errors[1]
    assert len(world.calls) == 2  # the second one had no budget left


def test_the_same_holds_for_the_adapters():
    """They share the notice."""
    import tenacity

    world = World()
    errors = [HostileError() for _ in range(2)]
    handle = world.target(on=HostileError)
    repeated = tenacity.retry(**obey(handle), reraise=True, sleep=world.clock.sleep)(world.function(*errors))
    with pytest.raises(HostileError) as caught:
        repeated()
    assert caught.value is errors[1]


def test_a_lost_letter_is_no_note_on_an_error_that_takes_none():
    """The sink is down, and the error is frozen: it is raised all the same."""

    class Down:
        def put(self, letter: object) -> None:
            raise OSError("down")

    world, error = World(), FrozenError(3)

    @world.target(on=FrozenError, idempotent=False).guard(dead_letter=Down())
    def charge(order: str) -> None:
        raise error

    with pytest.raises(FrozenError) as caught:
        charge("o-1")
    assert caught.value is error


def test_a_missing_key_fails_no_call_where_warnings_are_errors():
    """The call is made once, as documented, not refused once."""
    world = World()
    charge = world.target(idempotent=False).guard(idempotency_key="key")(lambda key=None: "fine")
    assert charge() == "fine"
    with warnings.catch_warnings(record=True) as said:
        say_missing(world.runtime, "t", "charge", stacklevel=2)
    assert said == []


class Context:
    """An invocation with so many milliseconds left."""

    def __init__(self, left_ms: int) -> None:
        self.left_ms = left_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


def test_an_attempt_is_never_told_that_it_has_no_time():
    """To a socket 0 means non-blocking, to aiohttp no time-out; requests and urllib3 refuse it.

    A retry is due just before the deadline, and the sleep before it was a little longer.
    """
    world, told = World(), []

    def function(timeout_s: float) -> None:
        told.append(timeout_s)
        world.clock.pass_s(0.3)
        raise PaymentError

    guarded = world.target().guard(timeout="timeout_s")(function)
    world.runtime.sleep = lambda seconds: world.clock.pass_s(seconds + 0.5)
    with invocation(Context(450), within=world.runtime), pytest.raises(PaymentError):
        guarded()
    assert told == [pytest.approx(0.4), 0.01]


def test_neither_is_a_permit():
    """The same for code that cannot be wrapped."""
    world = World()
    with invocation(Context(60), within=world.runtime), world.target().permit() as permit:
        world.clock.pass_s(1.0)
        assert permit.timeout_s == 0.01
        permit.failure(Outcome.TIMEOUT)


def test_a_warning_of_ours_is_a_flyball_warning():
    """So that a filter can name all of them."""
    assert issubclass(FlyballWarning, UserWarning)


def repeats_itself(world: World, **options: object):
    """A function that a guard repeats, or may not."""
    return world.target().guard(**options)(lambda key="k": "fine")  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"verdict": lambda result: None}])
def test_a_guard_around_a_guard_is_told_when_it_is_declared(options):
    """Four attempts of four attempts; and each call counts twice."""
    world = World()
    with pytest.warns(FlyballWarning, match="is repeated by flyball already"):
        world.target().guard(repeats_itself(world, **options))


@pytest.mark.parametrize("options", [{}, {"verdict": lambda result: None}])
def test_a_guard_around_one_that_repeats_nothing_is_none_of_our_business(options):
    """Two layers, one of which may retry."""
    world = World()
    inner = repeats_itself(world, idempotent=False, **options)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert world.target().guard(inner)() == "fine"
    assert said == []


def test_a_guard_around_what_stamina_repeats_for_the_same_target_is_told():
    """It is ours as well, and holds no plan."""
    world = World()
    inner = stamina.retry(world.target())(lambda: "fine")
    with pytest.warns(FlyballWarning, match="is repeated by flyball already"):
        world.target().guard(inner)
