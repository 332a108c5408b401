"""The fleet's share and freeze: what counts in it, who is bound by it, and who is not any more."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_runs import T0, calm, window
from flyball.contract import CircuitState
from flyball_controller.codec import decode_state
from flyball_controller.core import initial_state, step
from flyball_controller.core.fleet import FleetState, fleet_step
from flyball_controller.core.model import Decision, Mode
from flyball_controller.fakes import memory_ports
from flyball_controller.fleet_book import FLEET_KEY, REHEARSAL_KEY, TIGHTENED_KEPT, FleetBook
from flyball_controller.fleet_codec import decode_fleet, encode_fleet
from flyball_controller.loop import Ports, Trigger, run_once
from flyball_controller.policy_set import PolicySet, load_preset

PRESET = load_preset("two-loop")
ACTIVE = PRESET.default
TEN = tuple(f"s{number}" for number in range(10))
# The promise on false opens asks for four windows like these.
DEAD_FOR = range(4)
TIGHTENED = step(initial_state(ACTIVE), window(0, fast=590), ACTIVE)[1]


def staged(**modes: Mode) -> PolicySet:
    """Policies in which these targets have a mode of their own; all others are active."""
    return PRESET._replace(targets={name: ACTIVE._replace(mode=mode) for name, mode in modes.items()})


def outage(
    names: Sequence[str], policies: PolicySet = PRESET, *, ports: Ports | None = None, first: int = 0
) -> tuple[Ports, list[Decision]]:
    """Let all these die for four minutes; return the ports and what the last round decided."""
    ports = ports or memory_ports()
    ports.sensor.past = [seen._replace(target=name) for name in names for seen in calm(first - 60, 60)]
    decisions: tuple[Decision, ...] = ()
    for minute in range(first, first + len(DEAD_FOR)):
        ports.sensor.windows += [window(minute, fast=590)._replace(target=name) for name in names]
        report = run_once(
            names, ports=ports, policies=policies, now_s=T0 + 60.0 * minute + 80.0,
            trigger=Trigger("tick", "test"), fleet=names,
        )  # fmt: skip
        assert report.errors == ()
        decisions = report.decisions
    return ports, list(decisions)


def opened(decisions: Sequence[Decision]) -> list[str]:
    """Targets that a decision says are open."""
    return [decision.target for decision in decisions if decision.applied.circuit == CircuitState.OPEN]


def record(ports: Ports, key: str = FLEET_KEY) -> FleetState:
    """The fleet's record as it is stored."""
    return decode_fleet(ports.checkpoints.load([key])[key].data)


def test_what_targets_in_shadow_would_do_binds_nobody_who_acts():
    """O3, and the way in that the documentation tells: one after the other is let from shadow to active."""
    modes = dict.fromkeys(TEN[:9], Mode.SHADOW)
    ports, decisions = outage(TEN, staged(**modes))
    assert "s9" in opened(decisions)
    assert record(ports).open_targets == ("s9",)
    # Nor does their tightening, which comes together, freeze the loosening of the one that acts.
    assert record(ports).frozen_until_s < 0.0
    assert decode_state(ports.checkpoints.items["s9"].data).loosen_frozen_until_s < 0.0


def test_a_rehearsal_obeys_the_fleets_share_from_its_first_round_on():
    """Ten in shadow that open together show what ten active ones would not do: three may."""
    ports, decisions = outage(TEN, staged(**dict.fromkeys(TEN, Mode.SHADOW)))
    assert opened(decisions) == ["s0", "s1", "s2"]
    assert record(ports) == FleetState()
    assert record(ports, REHEARSAL_KEY).open_targets == ("s0", "s1", "s2")
    assert record(ports, REHEARSAL_KEY).frozen_until_s > 0.0


def test_in_a_rehearsal_those_that_act_take_their_places():
    """It shows what would be if the others acted as well, not instead."""
    _, decisions = outage(TEN, staged(**dict.fromkeys(TEN[2:], Mode.SHADOW)))
    assert opened(decisions) == ["s0", "s1", "s2"]


def test_without_shadow_there_is_one_record():
    """Nobody rehearses, so nothing of it is read or written."""
    ports, decisions = outage(TEN)
    assert opened(decisions) == ["s0", "s1", "s2"]
    assert REHEARSAL_KEY not in ports.checkpoints.items


def test_a_target_that_left_the_installation_while_open_gives_its_place_back():
    """Nobody decides about it any more: its place was taken for ever, in a fleet of three the only one."""
    ports, decisions = outage(("a", "b", "c"))
    assert opened(decisions) == ["a"]
    _, decisions = outage(("b", "c"), ports=ports, first=60)
    assert opened(decisions) == ["b"]
    assert record(ports).open_targets == ("b",)


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_a_target_that_is_taken_out_of_active_while_open_gives_its_place_back(mode):
    """Its circuit item expires within 90 s: what it held is free for others that need it."""
    ports, decisions = outage(("a", "b", "c"))
    assert opened(decisions) == ["a"]
    _, decisions = outage(("a", "b", "c"), staged(a=mode), ports=ports, first=60)
    assert "b" in opened(decisions)
    assert record(ports).open_targets == ("b",)


def test_whoever_does_not_know_the_fleet_drops_nobody():
    """An operator's round looks at one target and knows of no other."""
    ports, _ = outage(("a", "b", "c"))
    run_once(["b"], ports=ports, policies=PRESET, now_s=T0 + 330.0, trigger=Trigger("override", "x"))
    assert record(ports).open_targets == ("a",)


@given(
    rounds=st.lists(st.lists(st.sampled_from(TEN), unique=True, max_size=10), max_size=12),
    gaps_s=st.lists(st.sampled_from([0.0, 30.0, 60.0, 130.0]), min_size=12, max_size=12),
)
def test_of_those_that_tightened_as_many_as_the_policy_counts_are_enough(rounds, gaps_s):
    """However large the fleet, the record stays small, and freezes exactly when a whole one would."""
    few, all_of_them, now_s = FleetState(), FleetState(), T0
    for names, gap_s in zip(rounds, gaps_s, strict=False):
        now_s += gap_s
        decisions = tuple(TIGHTENED._replace(target=name, at_s=now_s) for name in names)
        few = fleet_step(few, decisions, ACTIVE, at_s=now_s)
        few = few._replace(tightened=few.tightened[-ACTIVE.correlated_min :])
        all_of_them = fleet_step(all_of_them, decisions, ACTIVE, at_s=now_s)
        assert few.frozen_until_s == all_of_them.frozen_until_s


def test_a_platform_event_of_a_large_fleet_fits_into_its_record():
    """An item of the table holds 400 KB; ten thousand names and times are more."""
    many = tuple(f"team-{number % 7}/service-{number:05d}-with-a-long-name" for number in range(10_000))
    book = FleetBook(PRESET, now_s=T0, fleet=many, size=len(many))
    ports = memory_ports()
    book.note(tuple(TIGHTENED._replace(target=name, at_s=T0) for name in many), ACTIVE)
    assert book.save(ports.checkpoints) == []
    assert len(record(ports).tightened) == TIGHTENED_KEPT
    assert record(ports).frozen_until_s == T0 + 2.0 * ACTIVE.correlated_s


def test_a_store_that_fails_is_told_and_a_lost_race_is_stepped_again():
    """Another shard's round wrote in between: what it noted is not lost, and ours is added."""
    ports = memory_ports()
    mine = FleetBook(PRESET, now_s=T0, fleet=TEN, size=10)
    mine.read(ports.checkpoints.load(mine.keys))
    mine.note((TIGHTENED._replace(target="s1", at_s=T0),), ACTIVE)
    theirs = FleetState((), (("s2", T0 - 1.0),), -1.0)
    ports.checkpoints.save(
        FLEET_KEY, encode_fleet(theirs), expected_version=0, write_id="x", stamp_s=T0, now_s=T0
    )
    ports.checkpoints.fail_next()
    assert [error.retryable for error in mine.save(ports.checkpoints)] == [True]
    assert mine.save(ports.checkpoints) == []
    assert record(ports).tightened == (("s2", T0 - 1.0), ("s1", T0))
