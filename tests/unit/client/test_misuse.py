"""Wrong ways to declare a guard are answered when it is declared, with what is wrong and what to do."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import pytest

from flyball.errors import ContractError, FlyballWarning, SettingsError
from unit.client.support import PaymentError, ScriptedReads, World


def told(timeout_s: float) -> float:
    return timeout_s


class Client:
    """Everything that can be called and told its time."""

    def method(self, *, timeout_s: float = 0.0) -> float:
        return timeout_s

    def __call__(self, timeout_s: float = 0.0) -> float:
        return timeout_s


def anything(**options: float) -> float:
    return options["timeout_s"]


def partly(order: str, timeout_s: float) -> float:
    return timeout_s


@pytest.mark.parametrize(
    "function", [told, Client().method, Client(), anything, partial(partly, "o-1"), partial(anything)]
)
def test_every_function_that_can_be_told_its_time_is_told(function):
    """3 s: the first attempt of a new environment."""
    assert World().target().guard(timeout="timeout_s")(function)() == 3.0


def positional(timeout_s: float, /) -> float:
    return timeout_s


@pytest.mark.parametrize(
    ("function", "timeout", "text"),
    [
        (told, "timeout", "is no argument of told .*; did you mean 'timeout_s'"),
        (lambda: None, "timeout_s", "; it has none"),
        (lambda order: None, "timeout_s", "; it has order"),
        (positional, "timeout_s", "that can be passed by name"),
    ],
)
def test_a_time_out_that_nobody_takes_is_refused(function, timeout, text):
    """Else every call would be a TypeError, first of all in an outage."""
    with pytest.raises(SettingsError, match=text) as caught:
        World().target().guard(timeout=timeout)(function)
    assert caught.value.field == "timeout"


@pytest.mark.parametrize("given", [5, None, "quote", classmethod(told), {"a": 1}])
def test_what_is_no_function_is_refused(given):
    """A classmethod object is the usual mistake: the decorators stand in the wrong order."""
    with pytest.raises(SettingsError, match="is no function: guard the function itself, under @classmethod"):
        World().target().guard()(given)


@pytest.mark.parametrize("field", ["on", "ignore"])
@pytest.mark.parametrize(
    "kinds", ["TimeoutError", (PaymentError, "Other"), 5, (PaymentError("an instance"),)]
)
def test_what_is_no_class_of_exceptions_is_refused(field, kinds):
    """It would raise a TypeError instead of the user's own error, and only when that comes (K8)."""
    with pytest.raises(SettingsError, match=f"{field}: .* must be a class of exceptions") as caught:
        World().target(**{field: kinds})
    assert caught.value.field == field


def test_both_ways_to_declare_repetition_are_refused_in_every_form():
    """One decides for all calls, the other for each."""
    handle = World().target()
    options: dict[str, Any] = {"idempotent": True, "idempotency_key": "order"}
    with pytest.raises(SettingsError, match="give one of them"):
        handle.guard(**options)
    with pytest.raises(SettingsError, match="give one of them"):
        handle.attempts(**options)


@pytest.mark.parametrize(
    ("sources", "text"),
    [
        (
            {"documents": ScriptedReads(ContractError("schema: must be 1, not 9", field="", value=9))},
            "a document",
        ),
        (
            {"circuits": ScriptedReads(ContractError("state: 'ajar'", field="state", value="ajar"))},
            "a circuit",
        ),
    ],
)
def test_what_was_published_in_vain_is_said_once(sources, text):
    """A3 keeps the last good one and goes on polling; whoever published must learn why nothing changes."""
    world = World(**sources)
    guarded = world.target().guard(lambda: "fine")
    with pytest.warns(FlyballWarning, match=f"{text} was published that cannot be obeyed.*: ") as said:
        answers = [(guarded(), world.clock.pass_s(60.0))[0] for _ in range(5)]
    assert answers == ["fine"] * 5
    assert len(said) == 1


def test_a_publishers_mistake_fails_no_call_where_warnings_are_errors():
    """As here."""
    refused = ContractError("schema: must be 1, not 9", field="schema", value=9)
    assert World(documents=ScriptedReads(refused)).target().guard(lambda: "fine")() == "fine"


def test_a_store_that_is_down_is_no_publishers_mistake():
    """Nothing is said of it; the client goes on with what it knows."""
    world = World(documents=ScriptedReads(OSError("down")))
    with warnings.catch_warnings(record=True) as said:
        assert world.target().guard(lambda: "fine")() == "fine"
    assert said == []
