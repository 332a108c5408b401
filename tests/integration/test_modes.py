"""From off to active, one step at a time: what clients of each function are told (fidelity: emulator)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flyball.aws import DynamoCircuits
from flyball.contract import Circuit
from flyball.records import prevailing
from integration.operator_world import World, operator_world

TARGET = "payments"
CANARY = "targets:\n  payments: {canary: [checkout-blue]}\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An account without a controller yet."""
    with operator_world(tmp_path) as world:
        yield world


def start(world: World, text: str) -> None:
    """Start a controller under a policy, and let the target be healthy, then saturated."""
    world.controller(world.policy(text), TARGET)
    world.tick(2, calling=[TARGET])
    world.tick(4, failing=[TARGET])


def told(world: World, function: str) -> Circuit | None:
    """The circuit that a function's clients obey now."""
    items = DynamoCircuits(client=world.aws.client("dynamodb")).read([TARGET], function)
    mine = sorted(items, key=lambda item: item.function == "*")
    return prevailing([item for item in mine if world.clock.now_s() < item.valid_until])


@pytest.mark.parametrize("mode", ["off", "shadow"])
def test_off_and_shadow_tell_nobody_anything(world, mode):
    """O3: neither circuits nor document; shadow decides and journals all the same."""
    start(world, f"mode: {mode}\ntargets:\n  payments: {{}}\n")
    assert told(world, "checkout-blue") is None
    assert world.json("status")["revision"] == 0
    regimes = {line.get("regime") for line in world.journal(TARGET)}
    assert ("SATURATED" in regimes) == (mode == "shadow")


def test_a_canary_s_functions_are_told_and_all_others_are_let_be(world):
    """A trial of the automation: who takes part is written in the policy."""
    start(world, CANARY)
    blue, other = told(world, "checkout-blue"), told(world, "checkout-green")
    assert blue is not None
    assert other is not None
    assert (blue.budget_ratio, blue.reason.split(":")[0]) == (0.0, "SATURATED")
    assert (other.budget_ratio, other.max_attempts, other.state.name) == (None, None, "CLOSED")
    assert other.reason == "canary: only checkout-blue act"
    assert world.document().targets[TARGET].retry.budget_ratio == 0.2  # nominal, for all
    assert world.json("status")["targets"][0]["canary"] == ["checkout-blue"]


def test_what_an_operator_forces_holds_for_everybody_also_in_a_canary(world):
    """An override is no trial."""
    start(world, CANARY)
    world.override(action="open", target=TARGET, for_s=600, by="nora", why="drill")
    for function in ("checkout-blue", "checkout-green"):
        item = told(world, function)
        assert item is not None
        assert item.state.name == "FORCED_OPEN", function
    world.clock.advance(1.0)
    world.override(action="release", target=TARGET, by="nora", why="drill is over")
    item = told(world, "checkout-green")
    assert item is not None
    assert item.state.name == "CLOSED"


def test_each_promotion_is_a_diff_of_the_policy(world):
    """From shadow over canary to active: the plan shows the step, and nothing else changes."""
    steps = [
        (
            "targets:\n  payments: {mode: shadow}\n",
            CANARY,
            ["mode shadow -> active; canary - -> checkout-blue"],
        ),
        (CANARY, "targets:\n  payments: {}\n", ["canary checkout-blue -> -"]),
    ]
    world.controller("two-loop", TARGET)
    world.tick(1, calling=[TARGET])
    world.clock.advance(15.0)
    for before, after, expected in steps:
        path = world.file("plan.json")
        assert world.run("plan", world.policy(before), "--out", path).exit_code in (0, 3)
        assert world.run("apply", path).exit_code == 0
        world.tick(1, calling=[TARGET])
        world.clock.advance(15.0)
        shown = world.run("plan", world.policy(after)).stdout
        for words in expected:
            assert f"  ~ payments: {words}" in shown


def test_a_canary_that_becomes_active_is_published_to_all_at_the_next_round(world):
    """No restart, no code."""
    start(world, CANARY)
    path = world.file("plan.json")
    assert world.run("plan", world.policy("targets:\n  payments: {}\n"), "--out", path).exit_code == 3
    assert world.run("apply", path).exit_code == 0
    world.tick(1, failing=[TARGET])
    item = told(world, "checkout-green")
    assert item is not None
    assert item.budget_ratio == 0.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("targets:\n  a: {canary: []}\n", "fleet.yaml:3: canary=[] must list 1 to 20 distinct names"),
        ("targets:\n  a: {canary: blue}\n", "canary='blue' must list"),
        ("targets:\n  a: {canary: ['*']}\n", "canary=['*'] must list"),
        ("targets:\n  a: {canary: [b, b]}\n", "canary=['b', 'b'] must list"),
        ("mode: shadow\ntargets:\n  a: {canary: [b]}\n", "a has a canary in mode shadow"),
        ("defaults: {canary: [b]}\n", "unknown key 'canary'"),
        ("targets:\n  a: {canry: [b]}\n", "did you mean 'canary'?"),
    ],
)
def test_a_canary_that_nobody_could_obey_is_refused_with_file_and_line(world, text, words):
    """At the desk, not in the first incident."""
    result = world.run("plan", world.policy(text))
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


def test_a_compiled_policy_keeps_its_canaries(world):
    """Lambda loads the compiled form; without them it would act on all functions."""
    from flyball_controller.policy_file import load_policy
    from flyball_controller.policy_set import compile_set, load_compiled

    policies = load_policy(world.policy(CANARY))
    again = load_compiled(compile_set(policies), where="test")
    assert again.canary_functions(TARGET) == ("checkout-blue",)
    assert again.hash == policies.hash != policies._replace(canaries={}).hash


def test_the_shadow_report_says_what_active_would_have_done(world):
    """The figures that a promotion is decided by; worked by hand from the ticks."""
    start(world, "targets:\n  payments: {mode: shadow}\n")
    world.tick(12, calling=[TARGET])
    (report,) = world.json("shadow", "--since", "1h")["targets"]
    first = report["steps"][0]
    assert (first["regime"], first["budget_ratio"], first["circuit"]) == ("saturated", 0.0, "closed")
    assert (report["tightened"], report["acted"], report["unreadable"]) == (1, 0, 0)
    last = report["steps"][-1]
    assert last["budget_ratio"] == 0.2
    assert report["restricted_s"] == last["at_s"] - first["at_s"] > 0.0
    assert report["open_s"] == 0.0
    text = world.run("shadow").stdout
    assert f"payments: in 24 h changed {len(report['steps'])} times, tightened 1 times" in text
    assert first["decision"] in text


def test_a_report_over_a_target_that_acted_says_so(world):
    """Else somebody would take what happened for what would have."""
    start(world, "targets:\n  payments: {}\n")
    (report,) = world.json("shadow", TARGET)["targets"]
    assert report["acted"] == len(report["steps"]) > 0
    assert "were published" in world.run("shadow", TARGET).stdout
    nobody = world.run("shadow")
    assert (nobody.exit_code, "no target is in shadow" in nobody.stderr) == (4, True)
