"""The scheduled round: what alarms cannot do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flyball.contract import CircuitState
from flyball.errors import SettingsError
from flyball_controller.core.model import Hold, HoldKind
from flyball_controller.shards import Shard
from flyball_handlers import override, tick
from flyball_handlers.rounds import NotAcknowledgedError

from .conftest import NOON_S, World, window

Sample = Callable[[str], Any]


@pytest.mark.parametrize("name", ["tick_rule", "tick_scheduler"])
def test_a_tick_looks_at_every_target_at_the_scheduled_time(name: str, world: World, sample: Sample) -> None:
    """A lost alarm is recovered within a minute: the tick asks for all metrics since the checkpoint."""
    calm = [window("stock", minute, requests=1000) for minute in range(-13, -5)]
    world.sensor.windows = calm + [window("stock", -m, requests=1000, timeouts=400) for m in (4, 3, 2)]
    answer = tick.handler(sample(name))
    assert answer["targets"] == 5
    assert answer["incomplete"] == []
    assert world.states()["stock"].law.applied.budget_ratio == 0.0
    assert world.states()["mail"].seen_s == NOON_S  # the event's time, not the clock's five seconds later


@pytest.mark.parametrize(
    ("event", "expected_s"),
    [
        ({"time": "2026-11-23T11:45:06Z"}, NOON_S - 894.0),  # 899 s late
        ({"time": "2026-11-23T11:45:04Z"}, NOON_S + 5.0),  # 901 s late: the clock decides
        ({"time": "2026-11-23T12:00:07Z"}, NOON_S + 7.0),  # two clocks
        ({"time": "2026-11-23T12:00:08Z"}, NOON_S + 5.0),  # nothing comes before its time
        ({"time": "2026-11-23T13:00:00Z"}, NOON_S + 5.0),
        ({"scheduled_time": "<aws.scheduler.scheduled-time>"}, NOON_S + 5.0),
        ({"scheduled_time": 10**5_000}, NOON_S + 5.0),
        (None, NOON_S + 5.0),
        ("tick", NOON_S + 5.0),
    ],
)
def test_an_implausible_schedule_time_is_replaced_by_the_clock(event: object, expected_s: float) -> None:
    """A queue that delivers a tick an hour late must not take the controller back an hour."""
    assert tick.tick_time_s(event, NOON_S + 5.0) == expected_s


def test_a_time_that_has_not_come_does_not_make_the_controller_deaf(world: World, sample: Sample) -> None:
    """A test event of the console with a time of a quarter of an hour ahead: every later round was refused as
    late until then, an operator's override included."""
    tick.handler({"time": "2026-11-23T12:14:00Z"})
    world.clock.advance(60.0)
    answer = override.handler(sample("override_open"))
    assert answer["effective"] is True
    assert answer["circuit"] == "FORCED_OPEN"


@pytest.mark.parametrize(
    ("event", "setting", "owners"),
    [
        ({"shard": "1/5"}, Shard(), ["payments-api", "stock"]),
        ({}, Shard(3, 5), ["checkout", "search"]),
        ({"shard": "4/5"}, Shard(3, 5), ["mail"]),
        ({"shard": "2/5"}, Shard(), []),
    ],
)
def test_a_tick_looks_at_the_targets_of_its_shard(
    event: object, setting: Shard, owners: list[str], world: World
) -> None:
    """The schedule's own word goes before the function's: one function can serve all shards."""
    world.use(settings=world.runtime.settings._replace(shard=setting))
    assert tick.handler(event)["targets"] == len(owners)
    assert sorted(world.states()) == owners
    assert not [line for line in world.lines() if line.get("level") == "WARNING"]


def test_a_shard_that_cannot_be_understood_fails_visibly(world: World) -> None:
    """Looking at everything instead would do each shard's work once per schedule."""
    with pytest.raises(SettingsError, match="shard='2 of 4' must be k/n"):
        tick.handler({"shard": "2 of 4"})
    assert world.states() == {}


def test_a_shard_of_another_type_is_shown_as_it_came(world: World) -> None:
    """The message said that nothing had come."""
    with pytest.raises(SettingsError, match="shard='5' must be k/n"):
        tick.handler({"shard": 5})
    with pytest.raises(SettingsError, match="shard='a list of 0' must be k/n"):
        tick.handler({"shard": []})


def test_the_same_tick_twice_changes_nothing(world: World, sample: Sample) -> None:
    """Scheduled invocations are at least once, too."""
    world.sensor.windows = [window("stock", minute, requests=1000) for minute in range(-10, -1)]
    tick.handler(sample("tick_rule"))
    before = world.states()
    deployments = len(world.publisher.deployments)
    tick.handler(sample("tick_rule"))
    assert world.states() == before
    assert len(world.publisher.deployments) == deployments


def test_a_hold_ends_at_the_first_tick_after_its_end(world: World, sample: Sample) -> None:
    """No override may outlive its promise, even if nobody calls again."""
    world.sensor.windows = [window("payments-api", minute, requests=1000) for minute in range(-10, 30)]
    override.handler(sample("override_open"))
    assert world.circuits.items["payments-api", "*"].state is CircuitState.FORCED_OPEN
    world.clock.advance(899.0)
    tick.handler({})
    assert world.circuits.items["payments-api", "*"].state is CircuitState.FORCED_OPEN
    world.clock.advance(61.0)
    tick.handler({})
    assert world.circuits.items["payments-api", "*"].state in (CircuitState.CLOSED, CircuitState.HALF_OPEN)


def test_an_expired_hold_that_was_never_seen_does_nothing(world: World) -> None:
    """A hold written while the controller was down may be over before anybody looks."""
    world.holds.items["stock"] = Hold(HoldKind.FORCE_OPEN, NOON_S - 60.0, "nora", "drill")
    tick.handler({})
    assert world.states()["stock"].law.applied.circuit is CircuitState.CLOSED


def test_a_tick_that_could_not_look_at_anything_fails_visibly(world: World) -> None:
    """Lambda's own Errors metric is the alarm on the controller; swallowing the failure would silence it."""
    world.checkpoints.fail_next(1)
    with pytest.raises(NotAcknowledgedError) as caught:
        tick.handler({})
    assert set(caught.value.targets) == {"payments-api", "checkout", "stock", "search", "mail"}
    named = [line["facts"]["where"] for line in world.lines() if line.get("message") == "backend failed"]
    assert named == ["checkout", "mail", "payments-api", "search", "stock"]


def test_a_tick_with_one_backend_failing_does_the_rest(world: World) -> None:
    """Unwritten configuration is offered again in a minute; a repeated tick would help nobody."""
    world.publisher.fail_next(1)
    answer = tick.handler({})
    assert answer["decisions"] == 5
    assert len(answer["incomplete"]) == 5


def test_without_targets_a_tick_says_what_to_set(world: World) -> None:
    """A controller that has nothing to do is a misconfiguration, not peace."""
    nothing = world.runtime.settings._replace(targets=())
    world.use(settings=nothing)
    assert tick.handler({}) == {"targets": 0, "decisions": 0, "changes": 0, "incomplete": []}
    (warning,) = [line for line in world.lines() if line.get("level") == "WARNING"]
    assert "FLYBALL_TARGETS" in warning["facts"]["remedy"]
