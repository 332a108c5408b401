"""Operator holds: what may be asked, and that it is in force at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from flyball.contract import CircuitState
from flyball_controller.core.model import Hold, HoldKind
from flyball_controller.fakes import MemoryHolds
from flyball_controller.overrides import InvalidOverrideError, apply_override, put_hold, read_override
from flyball_controller.ports import PortError
from flyball_handlers import override, tick

from .conftest import NOON_S, World

Sample = Callable[[str], Any]
GOOD = {"action": "open", "target": "stock", "for_s": 900, "by": "nora", "why": "drill"}


def read(**changes: object) -> Hold:
    event = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    return read_override(event, now_s=NOON_S, known=frozenset({"stock"})).hold


@pytest.mark.parametrize(
    ("name", "kind", "until_s"),
    [
        ("override_open", HoldKind.FORCE_OPEN, NOON_S + 900.0),
        ("override_freeze", HoldKind.FREEZE, NOON_S + 3_600.0),
        ("override_close", HoldKind.FORCE_CLOSED, NOON_S + 600.0),
        ("override_release", HoldKind.RELEASE, NOON_S + 86_400.0),
    ],
)
def test_a_recorded_request_gives_its_hold(name: str, kind: HoldKind, until_s: float, sample: Sample) -> None:
    """for_s counts from now, until is absolute, a release stands a day against late duplicates."""
    request = read_override(sample(name), now_s=NOON_S, known=frozenset())
    assert request.target == "payments-api"
    assert (request.hold.kind, request.hold.until_s) == (kind, pytest.approx(until_s))
    assert request.hold.by == "nora@example.org"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": "stop"}, "action"),
        ({"action": ...}, "action"),
        ({"action": ["open"]}, "action"),
        ({"target": "stok"}, "target"),
        ({"target": 7}, "target"),
        ({"target": "*"}, "target"),
        ({"for_s": ...}, "for_s"),
        ({"until": "2026-11-23T13:00:00Z"}, "for_s"),
        ({"for_s": 59}, "for_s"),
        ({"for_s": 86_401}, "for_s"),
        ({"for_s": "900"}, "for_s"),
        ({"for_s": True}, "for_s"),
        ({"for_s": float("nan")}, "for_s"),
        ({"for_s": 10**400}, "for_s"),
        ({"for_s": ..., "until": "tomorrow"}, "until"),
        ({"for_s": ..., "until": "2026-11-23T11:00:00Z"}, "until"),
        ({"action": "release"}, "for_s"),
        ({"by": ...}, "by"),
        ({"by": "  "}, "by"),
        ({"why": "x" * 201}, "why"),
        ({"why": "a\nb"}, "why"),
        ({"forever": True}, "request"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else str(value),
)
def test_a_request_that_cannot_be_obeyed_names_the_field(changes: dict[str, object], field: str) -> None:
    """In an incident there is no time to guess; the message says what to send instead."""
    with pytest.raises(InvalidOverrideError) as caught:
        read(**changes)
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


def test_misspelt_words_are_guessed_at() -> None:
    """Typing under pressure."""
    with pytest.raises(InvalidOverrideError, match="did you mean 'stock'"):
        read(target="stok")
    with pytest.raises(InvalidOverrideError, match="did you mean 'until'"):
        read(untill="2026-11-23T13:00:00Z")
    with pytest.raises(InvalidOverrideError, match="must be an object"):
        read_override("open", now_s=NOON_S, known=frozenset())


def test_limits_of_the_duration_are_inside() -> None:
    """60 s and a day may be asked for exactly."""
    assert read(for_s=60).until_s == NOON_S + 60.0
    assert read(for_s=86_400).until_s == NOON_S + 86_400.0


@pytest.mark.parametrize(
    ("name", "circuit"),
    [
        ("override_open", CircuitState.FORCED_OPEN),
        ("override_close", CircuitState.FORCED_CLOSED),
        ("override_freeze", CircuitState.CLOSED),
    ],
)
def test_an_override_is_in_force_when_the_answer_comes(
    name: str, circuit: CircuitState, world: World, sample: Sample
) -> None:
    """An operator who has to wait for a minute's tick presses again."""
    answer = override.handler(sample(name))
    assert answer["effective"] is True
    assert answer["circuit"] == circuit.name
    assert world.states()["payments-api"].law.applied.circuit is circuit
    assert world.states()["payments-api"].hold.by == "nora@example.org"


def test_an_override_in_the_same_second_as_a_tick_is_in_force_all_the_same(
    world: World, sample: Sample
) -> None:
    """The core refuses what is not newer than it has seen (C5); clocks of two containers differ."""
    tick.handler({})
    assert override.handler(sample("override_open"))["effective"] is True
    world.clock.advance(-1.5)
    assert override.handler(sample("override_close"))["circuit"] == "FORCED_CLOSED"


def test_a_release_ends_a_hold_at_once(world: World, sample: Sample) -> None:
    """And the hold that was released cannot come back by a late duplicate of the request's write."""
    override.handler(sample("override_open"))
    world.clock.advance(10.0)
    answer = override.handler(sample("override_release"))
    assert answer["effective"] is True
    assert answer["circuit"] in ("CLOSED", "HALF_OPEN")
    assert world.holds.items["payments-api"].kind is HoldKind.RELEASE


def test_a_hold_that_could_not_be_stored_is_an_error(world: World, sample: Sample) -> None:
    """Nothing half done: without the stored hold no round is run."""
    world.holds.fail_next(1)
    with pytest.raises(PortError):
        override.handler(sample("override_open"))
    assert world.checkpoints.items == {}


def test_a_hold_whose_round_failed_is_stored_and_reported_as_pending(world: World, sample: Sample) -> None:
    """The next tick applies it; the operator must know that it is not in force yet."""
    world.checkpoints.fail_next(1)
    answer = override.handler(sample("override_open"))
    assert (answer["effective"], answer["circuit"]) == (False, None)
    assert world.holds.items["payments-api"].kind is HoldKind.FORCE_OPEN
    world.clock.advance(1.0)
    tick.handler({})
    assert world.states()["payments-api"].law.applied.circuit is CircuitState.FORCED_OPEN


def test_an_invalid_request_writes_nothing(world: World) -> None:
    """Validation comes before the first effect."""
    with pytest.raises(InvalidOverrideError):
        override.handler({**GOOD, "target": "unknown"})
    assert world.holds.items == {}
    assert world.checkpoints.items == {}


def test_an_override_that_lost_to_a_newer_one_is_not_reported_as_in_force(
    world: World, sample: Sample
) -> None:
    """The newest wins, and a laptop's clock may be ahead of ours: the second operator has to know."""
    ahead = Hold(HoldKind.FORCE_CLOSED, NOON_S + 900.0, "ben", "from a laptop")
    world.holds.put("payments-api", ahead, now_s=NOON_S + 400.0)
    assert override.handler(sample("override_open"))["effective"] is False
    assert world.holds.items["payments-api"] == ahead


def test_an_operator_without_the_function_is_told_of_a_newer_override(world: World, sample: Sample) -> None:
    """The same over the stores: who stands there, and what to do."""
    request = read_override(sample("override_open"), now_s=NOON_S, known=frozenset())
    ports, policies = world.runtime.ports, world.runtime.policies
    assert apply_override(request, ports=ports, policies=policies, now_s=NOON_S).errors == ()
    ahead = Hold(HoldKind.FORCE_CLOSED, NOON_S + 900.0, "ben", "from a laptop")
    world.holds.put("payments-api", ahead, now_s=NOON_S + 400.0)
    done = apply_override(request, ports=ports, policies=policies, now_s=NOON_S + 1.0)
    assert [where for where, _ in done.errors] == ["holds"]
    assert "FORCE_CLOSED by 'ben'" in str(done.errors[0][1])


def test_a_hold_that_cannot_be_looked_at_counts_as_stored(world: World, sample: Sample) -> None:
    """It was; the round that follows says whether it is obeyed."""
    request = read_override(sample("override_open"), now_s=NOON_S, known=frozenset())

    class Unreadable(MemoryHolds):
        def active(self, targets: Sequence[str]) -> Mapping[str, Hold]:
            raise PortError("throttled", backend="holds", retryable=True)

    holds = Unreadable()
    assert put_hold(request, holds, now_s=NOON_S) == ""
    assert holds.items["payments-api"] == request.hold
