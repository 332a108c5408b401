"""Status, watch, circuit and kill switch on an embedded account, with a real client (fidelity: emulator)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError
from rich.console import Console

import flyball
from flyball.aws import DynamoCircuits
from flyball.clock import Clock
from flyball.contract import DEFAULT_PARAMS
from flyball.environment import Runtime
from flyball_analytics.cli.operating import Place
from flyball_analytics.cli.status import watch_live
from flyball_analytics.installation import open_installation
from flyball_local.virtualclock import VirtualClock
from integration.operator_world import World, operator_world

BOTH = ("payments", "orders")
WHY = ("--reason", "INC-1", "--by", "nora")


class ClientClock:
    """A client's clock on the account's time; `wall_s` and `monotonic_s` go together."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def wall_s(self) -> float:
        """Return the account's time."""
        return self._clock.now_s()

    def monotonic_s(self) -> float:
        """Return the account's time."""
        return self._clock.now_s()

    def sleep(self, seconds: float) -> None:
        """Let the account's time pass."""
        self._clock.advance(seconds)

    def draw(self) -> float:
        """Return no jitter."""
        return 0.0


_fits: type[Clock] = ClientClock


class Client:
    """A function's client of one target, as the user would guard it."""

    def __init__(self, world: World, name: str, *, function: str = "checkout") -> None:
        self._clock = world.clock
        circuits = DynamoCircuits(client=world.aws.client("dynamodb"))
        self.runtime = Runtime(
            function=function, circuits=circuits, clock=ClientClock(world.clock), write=lambda line: None
        )
        self.calls = 0
        self.guarded = flyball.target(name, idempotent=True, within=self.runtime).guard(self._call)
        self.target = self.runtime.target(name)

    def _call(self) -> str:
        self.calls += 1
        return "done"

    def call(self) -> bool:
        """Call once; return whether it was let through."""
        before = self.calls
        with suppress(flyball.CircuitOpenError):
            self.guarded()
        return self.calls > before

    def after_cache_age(self) -> None:
        """Let one cache age pass, and make the call that finds out."""
        self._clock.advance(6.0)
        self.call()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A controller with two healthy targets."""
    with operator_world(tmp_path) as world:
        world.controller("two-loop", *BOTH)
        world.tick(2, calling=BOTH)
        yield world


def row(world: World, target: str) -> dict[str, object]:
    """One target of `flyball status`."""
    (found,) = world.json("status", target)["targets"]
    assert isinstance(found, dict)
    return found


def test_status_says_of_every_target_what_it_is_doing(world):
    """The first thing that is asked in an incident."""
    world.tick(4, calling=["orders"], failing=["payments"])
    found = world.json("status")
    assert [(t["target"], t["stage"], t["regime"]) for t in found["targets"]] == [
        ("orders", "active", "nominal"),
        ("payments", "active", "saturated"),
    ]
    payments = found["targets"][1]
    assert payments["budget_ratio"] == 0.0
    assert payments["decided_age_s"] == 0.0
    assert payments["stale"] is False
    assert found["kill_switch_until_s"] is None
    text = world.run("status").stdout
    cells = [line.split()[:6] for line in text.splitlines()]
    assert ["payments", "active", "closed", "saturated", "4", "0"] in cells


def test_a_target_off_nominal_whose_controller_died_is_called_stale(world):
    """Its state is saved every round, so three minutes of silence are a dead controller."""
    world.tick(4, calling=["orders"], failing=["payments"])
    world.clock.advance(170.0)
    assert row(world, "payments")["stale"] is False
    world.clock.advance(20.0)
    assert row(world, "payments")["stale"] is True
    assert row(world, "orders")["stale"] is False  # nominal: saved every five minutes at most
    world.clock.advance(600.0)
    assert row(world, "orders")["stale"] is True
    assert world.run("status", "--exit-code").exit_code == 1


def test_a_healthy_fleet_needs_nobody(world):
    """A cron job may ask for the exit code."""
    assert world.run("status", "--exit-code").exit_code == 0


def test_a_target_without_a_state_is_said_to_have_none(world):
    """A misspelt name must not look healthy."""
    found = row(world, "paymants")
    assert (found["regime"], found["decided_age_s"], found["stale"]) == ("?", None, True)
    assert "never STALE" in world.run("status", "paymants").stdout


def test_watch_once_is_status(world):
    """For pipes and for people who want no alternate screen."""
    now_s = world.clock.now_s()
    assert world.run("watch", "--once", at_s=now_s).stdout == world.run("status", at_s=now_s).stdout


def test_watch_draws_the_table_again_and_survives_a_failed_look(world):
    """An incident is when reads fail; the last table is better than none."""
    installation = open_installation(world.variables, clients=world.clients)
    place = Place("flyball", None, None, None, world.clock.now_s())
    clock = ClientClock(world.clock)

    class Failing:
        """The table of circuits is away at the second look."""

        looks = 0

        def batch_get_item(self, **arguments: object) -> object:
            Failing.looks += 1
            if Failing.looks > 6:
                raise EndpointConnectionError(endpoint_url="https://away.invalid")
            return world.aws.client("dynamodb").batch_get_item(**arguments)

        def __getattr__(self, name: str) -> object:
            return getattr(world.aws.client("dynamodb"), name)

    installation.clients.__dict__["dynamodb"] = Failing()
    console = Console(file=io.StringIO(), force_terminal=True, width=160, height=30)
    watch_live(installation, (), every_s=5.0, place=place, clock=clock, looks=3, console=console)
    shown = console.file.getvalue()
    assert "payments" in shown
    assert "last look failed" in shown


def test_an_operator_opens_a_circuit_for_every_client_within_one_cache_age(world):
    """End to end: command, function, hold, round, item, client; and it ends by itself."""
    client = Client(world, "payments")
    assert client.call()
    result = world.run("circuit", "open", "payments", "--for", "15m", *WHY)
    assert result.exit_code == 0, result.output
    assert "payments is refused to clients" in result.stdout
    assert world.lambda_.invoked == ["flyball-override"]
    client.after_cache_age()
    assert sum(client.call() for _ in range(20)) <= 3  # probes
    found = row(world, "payments")
    assert (found["circuit"], found["hold"], found["hold_by"]) == ("forced_open", "force_open", "nora")
    assert world.run("status", "--exit-code").exit_code == 1
    (line,) = [record for record in world.journal("payments") if record.get("event") == "OVERRIDE"]
    assert (line["by"], line["why"]) == ("nora", "INC-1")
    world.tick(17, calling=BOTH)
    assert row(world, "payments")["hold"] is None
    client.after_cache_age()
    assert all(client.call() for _ in range(20))


def test_a_release_lets_go_before_the_end(world):
    """Within a cache age too, or people would wait for the wrong thing."""
    client = Client(world, "payments")
    world.run("circuit", "open", "payments", "--for", "1h", *WHY)
    client.after_cache_age()
    world.clock.advance(1.0)
    assert world.run("circuit", "release", "payments", *WHY).exit_code == 0
    assert row(world, "payments")["hold"] is None
    world.tick(10, calling=BOTH)
    client.after_cache_age()
    assert all(client.call() for _ in range(20))


def test_a_hold_by_hand_needs_no_function(world):
    """For the day when the override function is what is broken."""
    world.lambda_.invoke = None
    found = world.json("circuit", "close", "payments", "--for", "10m", "--direct", *WHY)
    assert (found["effective"], found["published"], found["circuit"]) == (True, True, "FORCED_CLOSED")
    item = world.circuit("payments")
    assert item is not None
    assert item["state"] == {"S": "forced_closed"}
    assert [r["why"] for r in world.journal("payments") if r.get("event") == "OVERRIDE"] == ["INC-1"]
    world.tick(1, calling=BOTH)
    assert row(world, "payments")["circuit"] == "forced_closed"  # the controller keeps it


def test_a_hold_of_a_target_in_shadow_is_said_to_reach_nobody(world):
    """A person would wait for it in vain."""
    policy = world.policy("mode: shadow\n")
    world.controller(policy, *BOTH)
    world.tick(1, calling=BOTH)
    result = world.run("circuit", "open", "payments", "--for", "15m", *WHY)
    assert result.exit_code == 1
    assert "clients are not told" in result.stderr
    assert row(world, "payments")["circuit"] == "closed"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("open", "payments", *WHY), 2, "every hold ends: say for how long"),
        (("release", "payments", "--for", "5m", *WHY), 2, "a release is at once"),
        (("open", "payments", "--for", "2d", *WHY), 2, "renew it if needed"),
        (("open", "paymants", "--for", "5m", *WHY), 2, "did you mean 'payments'?"),
        (("open", "payments", "--for", "5m"), 2, "Missing option '--reason'"),
        (("open", "pay ments", "--for", "5m", "--direct", *WHY), 2, "target is 'pay ments'"),
        (("open", "payments", "--for", "5m", "--reason", "a\nb"), 2, "printable characters"),
    ],
)
def test_a_wish_that_cannot_be_obeyed_changes_nothing(world, arguments, code, words):
    """Whoever is in a hurry gets one sentence that helps."""
    result = world.run("circuit", *arguments)
    assert (result.exit_code, words in result.stderr) == (code, True), result.stderr
    assert row(world, "payments")["hold"] is None


def test_a_function_that_fails_is_a_backend_error(world):
    """With what it said, and without a traceback."""
    world.runtime = None
    result = world.run("circuit", "open", "payments", "--for", "5m", *WHY)
    assert result.exit_code == 5
    assert "flyball-override failed: AssertionError" in result.stderr


def test_the_kill_switch_frees_every_client_within_one_cache_age_without_a_controller(world):
    """O1: over an operator's own open circuit, with nothing running but the table."""
    client, other = Client(world, "payments"), Client(world, "orders", function="stock")
    world.run("circuit", "open", "payments", "--for", "1h", *WHY)
    client.after_cache_age()
    assert sum(client.call() for _ in range(20)) <= 3
    result = world.run("kill-switch", "on", "--for", "30m", *WHY)
    assert result.exit_code == 0, result.output
    client.after_cache_age()
    other.after_cache_age()
    assert all(client.call() for _ in range(20))
    assert client.target.params == other.target.params == DEFAULT_PARAMS
    assert world.json("status")["kill_switch_why"] == "nora: INC-1"
    assert world.run("status", "--exit-code").exit_code == 1
    (line,) = world.journal("*")
    assert (line["event"], line["by"], line["why"]) == ("KILL_SWITCH_ON", "nora", "INC-1")


def test_the_kill_switch_ends_when_it_is_switched_off_or_by_itself(world):
    """What everybody is on their defaults by must not be forgotten."""
    client = Client(world, "payments")
    world.override(action="open", target="payments", for_s=3_600, by="nora", why="drill")
    for end in ("off", "time"):
        world.run("kill-switch", "on", "--for", "5m", *WHY)
        client.after_cache_age()
        assert all(client.call() for _ in range(10))
        if end == "off":
            assert world.run("kill-switch", "off", *WHY).exit_code == 0
        else:
            world.tick(6, calling=BOTH)
        client.after_cache_age()
        assert sum(client.call() for _ in range(20)) <= 3, end
        assert world.json("status")["kill_switch_until_s"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("on", "--for", "8d", *WHY), "must lie from 1m to 7d"),
        (("off", "--for", "1h", *WHY), "off is at once"),
        (("on",), "Missing option '--reason'"),
    ],
)
def test_a_kill_switch_that_would_be_forgotten_is_refused(world, arguments, words):
    """A week is long enough for any incident."""
    result = world.run("kill-switch", *arguments)
    assert (result.exit_code, words in result.stderr) == (2, True)
    assert world.circuit("*") is None


def test_the_dashboard_knows_thresholds_and_transitions(world):
    """From states and journal, as the controller would decide now."""
    world.tick(4, calling=["orders"], failing=["payments"])
    result = world.run("dashboard", "--region", "eu-west-1", "--since", "1h")
    assert result.exit_code == 0, result.output
    panels = {w["properties"].get("title"): w["properties"] for w in json.loads(result.stdout)["widgets"]}
    failing, calm = panels["payments: failures"], panels["orders: failures"]
    assert [len(failing["annotations"]["vertical"]), "vertical" in calm["annotations"]] == [1, False]
    assert failing["annotations"]["vertical"][0]["label"] == "saturated, closed, budget 0.0"
    normal, acts, opens = calm["annotations"]["horizontal"]
    assert 0.0 < normal[1]["value"] <= acts[0]["value"] + 0.5
    assert acts[0]["value"] < opens["value"] < 1.0
