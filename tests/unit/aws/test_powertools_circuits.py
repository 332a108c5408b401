"""Our circuits hold and release the installed Powertools breaker, and both go on without us."""

from __future__ import annotations

from typing import Any

import pytest

from flyball.contract import CircuitState
from flyball_controller.aws.powertools import HELD_ATTR
from unit.aws.powertools_world import NOW, World, make_world


@pytest.fixture
def world(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """One table, one clock."""
    return make_world(dynamodb, monkeypatch)


# --- with the unmodified function ------------------------------------------------------


def test_an_unmodified_function_refuses_while_we_hold_and_recovers_by_itself(world: World):
    """The whole promise: 90 s of refusals, then one probe closes it; nobody wrote in between."""
    assert world.call() == "answer"
    assert world.publish(CircuitState.OPEN) is True
    writes = world.client.calls["put_item"]
    for _ in range(90):
        assert world.refuses()
        world.clock.advance(1.0)
    assert world.reached == 1
    assert world.call() == "answer"
    assert world.state() == "CLOSED"
    assert world.client.calls["put_item"] == writes


def test_a_hold_that_is_renewed_goes_on(world: World):
    """The controller publishes each minute; the end moves with it."""
    world.publish(CircuitState.OPEN)
    world.clock.advance(60.0)
    world.publish(CircuitState.OPEN)
    world.clock.advance(89.0)
    assert world.refuses()
    world.clock.advance(1.0)
    assert not world.refuses()


def test_a_released_circuit_lets_calls_pass_at_once(world: World):
    """CLOSED is published after recovery: nobody waits for the hold's end."""
    world.publish(CircuitState.OPEN)
    assert world.refuses()
    world.publish(CircuitState.CLOSED)
    assert world.call() == "answer"


def test_half_open_lets_powertools_probe_now(world: World):
    """It has no probe ratio; one prober is its way to find out, and a bad probe opens it again."""
    world.publish(CircuitState.OPEN)
    world.publish(CircuitState.HALF_OPEN)
    world.down = True
    assert not world.refuses()
    assert (world.reached, world.state(), world.item()["opened_at"]) == (1, "OPEN", str(NOW))
    assert world.refuses()


def test_half_open_holds_nothing_that_we_did_not_hold(world: World):
    """A closed breaker cannot let a share through; closed it stays."""
    world.publish(CircuitState.HALF_OPEN)
    assert world.item() == {}
    world.publish(CircuitState.OPEN)
    world.publish(CircuitState.HALF_OPEN)
    ended = world.item()
    world.clock.advance(5.0)
    world.publish(CircuitState.HALF_OPEN)
    assert world.item() == ended, "each rewrite would cost the next election its condition"


def test_powertools_own_trip_is_left_to_powertools(world: World):
    """CLOSED means that the fleet is well; this breaker saw failures and probes by itself."""
    world.down = True
    world.refuses()
    world.refuses()
    assert world.state() == "OPEN"
    world.publish(CircuitState.CLOSED)
    assert world.refuses()
    world.publish(CircuitState.FORCED_CLOSED)
    assert world.state() == "CLOSED", "an operator's word is for every circuit"


def test_a_forced_close_that_has_lapsed_is_a_plain_one(world: World):
    """P6: nothing is enforced after its end."""
    world.put(state="OPEN", opened_at=NOW)
    world.publish(CircuitState.FORCED_CLOSED, for_s=-1.0)
    assert world.state() == "OPEN"


def test_a_hold_extends_powertools_own_trip_and_never_shortens_it(world: World):
    """Whoever keeps it open longer prevails."""
    world.down = True
    world.refuses()
    world.refuses()
    world.publish(CircuitState.OPEN, for_s=20.0)
    assert world.item()["opened_at"] == str(NOW), "its own 30 s are longer"
    world.publish(CircuitState.OPEN, for_s=90.0)
    assert world.item()["opened_at"] == str(NOW + 60)


# --- what is written --------------------------------------------------------------------


def test_the_item_is_one_that_powertools_could_have_written(world: World):
    """90 s from now, less 30 s of recovery; kept for a recovery and an hour after its end."""
    world.publish(CircuitState.FORCED_OPEN, for_s=90.7)
    assert world.item() == {
        "id": world.name,
        "state": "OPEN",
        "failure_count": "0",
        "opened_at": str(NOW + 60),
        "expiration": str(NOW + 90 + 30 + 3_600),
        HELD_ATTR: str(NOW + 60),
    }


def test_a_circuit_that_ends_sooner_shortens_the_hold(world: World):
    """An operator may correct a forced open."""
    world.publish(CircuitState.FORCED_OPEN, for_s=600.0)
    world.publish(CircuitState.FORCED_OPEN, for_s=60.0)
    assert world.item()["opened_at"] == str(NOW + 30)


def test_a_circuit_that_has_lapsed_already_holds_nothing_and_ends_a_hold(world: World):
    """A late publication: the hold must lapse with the circuit."""
    world.publish(CircuitState.OPEN, for_s=-1.0)
    assert world.item() == {}
    world.publish(CircuitState.OPEN)
    world.publish(CircuitState.OPEN, for_s=-1.0)
    assert world.item()["opened_at"] == str(NOW - 30)


def test_an_unchanged_hold_is_not_written_again(world: World):
    """A redelivered event publishes the same once more."""
    world.publish(CircuitState.OPEN)
    world.publish(CircuitState.OPEN)
    assert world.client.calls["put_item"] == 1


def test_a_renewed_item_that_a_late_prober_closed_is_held_again(world: World):
    """Powertools' updates are unconditional: they keep our mark, and not our state."""
    world.publish(CircuitState.OPEN)
    world.put(**{"state": "CLOSED", "failure_count": 0, HELD_ATTR: NOW + 60})
    world.publish(CircuitState.CLOSED)
    assert world.client.calls["put_item"] == 1, "it is no hold any more"
    world.publish(CircuitState.OPEN)
    assert world.refuses()


def test_our_mark_on_another_opening_is_not_taken_for_a_hold(world: World):
    """A late prober failed: `opened_at` is Powertools' own now."""
    world.put(**{"state": "OPEN", "opened_at": NOW - 1, HELD_ATTR: NOW + 60})
    world.publish(CircuitState.CLOSED)
    assert world.state() == "OPEN"


PROBING = {"state": "HALF_OPEN", "opened_at": NOW - 40, "half_open_owner": "7#a"}


@pytest.mark.parametrize("state", [CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.FORCED_CLOSED])
def test_a_probe_under_way_is_left_alone(world: World, state: CircuitState):
    """Its verdict is worth more than our minute-old one."""
    world.put(**PROBING, probe_lease_expiry=NOW + 1)
    before = world.item()
    world.publish(state)
    assert world.item() == before


def test_an_opening_overrules_a_probe(world: World):
    """One good probe must not bring everybody back to a target that the fleet finds dead."""
    world.put(**PROBING, probe_lease_expiry=NOW + 1)
    world.publish(CircuitState.OPEN)
    assert world.item().keys() == {"id", "state", "failure_count", "opened_at", "expiration", HELD_ATTR}


def test_a_probe_whose_lease_ended_does_not_stand_against_a_forced_close(world: World):
    """Its environment is gone."""
    world.put(**PROBING, probe_lease_expiry=NOW)
    world.publish(CircuitState.CLOSED)
    assert world.state() == "HALF_OPEN", "Powertools takes over by itself"
    world.publish(CircuitState.FORCED_CLOSED)
    assert world.state() == "CLOSED"


def test_an_item_past_its_expiry_counts_as_deleted(world: World):
    """Deletion is days late: an old trip neither outlasts a hold nor needs a release."""
    world.put(state="OPEN", opened_at=NOW + 900, expiration=NOW)
    world.publish(CircuitState.FORCED_CLOSED)
    assert world.client.calls["put_item"] == 0
    world.publish(CircuitState.OPEN)
    assert world.item()["opened_at"] == str(NOW + 60)


def test_an_unreadable_item_is_held_over_and_never_released(world: World):
    """Powertools itself fails open on it."""
    world.put(state="AJAR", opened_at="soon")
    world.publish(CircuitState.FORCED_CLOSED)
    assert world.state() == "AJAR"
    world.publish(CircuitState.OPEN)
    assert world.refuses()


def test_an_item_without_anything_known_is_held_over(world: World):
    """Only the key stands there: the condition is then about absences alone."""
    world.put()
    world.publish(CircuitState.OPEN)
    assert world.state() == "OPEN"
