"""The kill switch (O1): one item, written by hand, closes all circuits of all functions within one age."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.call import Target
from flyball.contract import DEFAULT_PARAMS, FLEET, CircuitState, Document, RetryParams
from flyball.environment import Runtime
from flyball.errors import CircuitOpenError
from flyball.outcome import Outcome
from flyball.sources import CIRCUIT_AGE_S, StaticCircuits, StaticDocuments
from unit.client.store_world import NOW_S, StoreWorld
from unit.client.support import ManualClock, ScriptedReads, circuit

CLOSED, OPEN = CircuitState.CLOSED, CircuitState.OPEN
FORCED_OPEN, FORCED_CLOSED = CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED
HARSH = DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=1, budget_ratio=0.0))


def switch(state: CircuitState = FORCED_CLOSED, **fields: Any):
    return circuit(state, target=FLEET, function=FLEET, **fields)


def by_hand(state: str = "forced_closed", version: float = NOW_S, for_s: float = 3_600.0) -> dict[str, Any]:
    """What an operator writes: the five required attributes, nothing else."""
    return {
        "target": {"S": "*"},
        "function": {"S": "*"},
        "state": {"S": state},
        "version": {"N": str(int(version))},
        "valid_until": {"N": str(int(version + for_s))},
    }


def opened(version: int, **fields: Any):
    """What the controller writes every minute while it holds a circuit open."""
    known = {"changed_at": NOW_S + version, "valid_until": NOW_S + 10_000.0, "probe_ratio": 0.01}
    return circuit(**{"state": OPEN, "version": version, **known, **fields})


def test_one_item_written_by_hand_closes_everything_within_one_age_and_over_all_renewals():
    """O1 from the table to the call; the controller goes on opening, its renewals change nothing."""
    world = StoreWorld()
    calls = [world.target(name).guard(lambda: "made") for name in ("t", "u")]
    world.client_clock.fixed_draw = 0.5
    world.put(opened(1, function="pay"))
    world.put(opened(1, target="u"))
    for call in calls:
        with pytest.raises(CircuitOpenError):
            call()
    world.put(by_hand())
    world.clock.advance(1.1 * CIRCUIT_AGE_S)
    for minute in range(2, 12):
        world.put(opened(minute, function="pay"))
        world.put(opened(minute, target="u", state=FORCED_OPEN))
        assert [call() for call in calls] == ["made", "made"]
        world.clock.advance(60.0)
    assert (world.state("t"), world.state("u")) == ("FORCED_CLOSED", "FORCED_CLOSED")


@pytest.mark.parametrize("release", ["closed", "open"])
def test_any_other_position_lets_go_and_what_is_published_counts_again(release):
    """The switch can only close: an operator's typing error must not open a whole fleet."""
    world = StoreWorld()
    call = world.target().guard(lambda: "made")
    world.client_clock.fixed_draw = 0.5
    world.put(opened(1))
    world.put(by_hand())
    assert call() == "made"
    world.put(by_hand(state=release, version=NOW_S + 1))
    world.clock.advance(6.0)
    with pytest.raises(CircuitOpenError):
        call()
    world.put(circuit(CLOSED, version=2, valid_until=NOW_S + 10_000.0))
    world.clock.advance(6.0)
    assert call() == "made"


def test_it_ends_by_itself():
    """Every override of an operator carries an end: a forgotten switch must not disarm a fleet for ever."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN, valid_until=9_000.0))
    target.apply_circuit(switch(valid_until=2_000.0))
    assert target.state(1_999.9) == FORCED_CLOSED
    assert target.state(2_000.0) == OPEN


def test_a_deleted_item_is_not_a_release():
    """Absent may mean a replica that is behind; release by a newer version, or wait for the end."""
    clock = ManualClock()
    shared = Runtime(circuits=ScriptedReads([switch(valid_until=2_000.0)], []), clock=clock)
    shared.target("t")
    for _ in range(2):
        assert shared.poll(clock.wall_s(), clock.monotonic_s())
        assert shared.targets["t"].state(clock.wall_s()) == FORCED_CLOSED
        clock.pass_s(6.0)


def test_an_older_position_is_refused():
    """K2 for the switch itself: its epoch is its version, e.g. the second it was written in."""
    target = Target("t")
    assert target.apply_circuit(switch(version=2))
    assert not target.apply_circuit(switch(CLOSED, version=1))
    assert not target.apply_circuit(switch(CLOSED, version=2))
    assert target.state(1_000.0) == FORCED_CLOSED
    assert target.apply_circuit(switch(CLOSED, version=3))
    assert target.state(1_000.0) == CLOSED


def test_a_target_that_is_declared_later_takes_no_older_position_than_the_others_know():
    """K2 for the environment: a replica that is behind must not give one function two switches."""
    clock = ManualClock()
    newer, older = switch(CLOSED, version=2), switch(FORCED_CLOSED, version=1, valid_until=9_000.0)
    shared = Runtime(circuits=ScriptedReads([newer], [older], [older]), clock=clock)
    shared.target("t")
    for _ in range(2):
        assert shared.poll(clock.wall_s(), clock.monotonic_s())
        clock.pass_s(6.0)
    late = shared.target("u")
    assert late.state(clock.wall_s()) == CLOSED
    assert shared.poll(clock.wall_s(), clock.monotonic_s())
    assert late.state(clock.wall_s()) == CLOSED
    assert late.switch == newer._replace(budget_ratio=None, max_attempts=None)


def test_it_brings_the_built_in_parameters_whatever_was_published():
    """K4: the way out of a bad document and of bad overrides; both come back with the release."""
    target = Target("t")
    target.apply_params(HARSH, revision=7)
    target.apply_circuit(circuit(CLOSED, budget_ratio=0.0, max_attempts=1, valid_until=9_000.0))
    target.state(1_000.0)
    assert (target.max_attempts, target.budget_ratio) == (1, 0.0)
    target.apply_circuit(switch(budget_ratio=3.0, max_attempts=2))
    target.state(1_000.0)
    assert (target.max_attempts, target.budget_ratio, target.params) == (4, 0.2, DEFAULT_PARAMS)
    target.apply_params(HARSH._replace(retry=HARSH.retry._replace(base_ms=7)), revision=8)
    assert target.params == DEFAULT_PARAMS, "nor a document that comes while it is on"
    target.state(1_090.0)
    assert (target.max_attempts, target.params.retry.base_ms, target.revision) == (1, 7, 8)


def test_it_silences_the_local_breaker_and_the_throttle_too():
    """Everything passes, as the name says; the retry budget stays."""
    target = Target("t")
    for _ in range(30):
        target.begin(1_000.0, 0.99).finish(Outcome.TIMEOUT, now_s=1_000.0, draw=0.0, latency_ms=1.0)
        if target.state(1_000.0) == OPEN:
            break
    assert target.state(1_000.0) == OPEN
    target.apply_circuit(switch())
    for _ in range(100):
        call = target.begin(1_000.0, 0.0)
        call.finish(Outcome.ERROR_FAST, now_s=1_000.0, draw=0.0, latency_ms=1.0)
    assert target.counters.short_circuited == 0


def test_a_hold_of_this_process_still_counts():
    """For its own tests, and for the embedding that has a switch of its own."""
    target = Target("t")
    target.apply_circuit(switch())
    target.hold(FORCED_OPEN)
    assert target.state(1_000.0) == FORCED_OPEN


def test_a_target_declared_later_obeys_at_its_first_call_also_with_the_store_down():
    """What was read before holds for whoever comes after."""
    clock = ManualClock()
    shared = Runtime(
        circuits=ScriptedReads([switch(), circuit(OPEN, target="v")], OSError("down")),
        documents=StaticDocuments(Document(1, "", "", {}, HARSH)),
        clock=clock,
    )
    shared.target("t")
    shared.poll(clock.wall_s(), clock.monotonic_s())
    late = shared.target("u")
    shared.poll(clock.wall_s(), clock.monotonic_s())
    assert late.state(clock.wall_s()) == FORCED_CLOSED
    assert late.params == DEFAULT_PARAMS


def test_static_circuits_have_one_too():
    """For tests of those who use it."""
    source = StaticCircuits([switch(), circuit(OPEN, target="u")])
    assert list(source.read(["t"], "pay")) == [switch()]


ITEMS = st.builds(
    lambda state, name, function, ratio: circuit(
        state, target=name, function=function, probe_ratio=ratio, max_attempts=1, budget_ratio=0.0
    ),
    st.sampled_from(list(CircuitState)),
    st.sampled_from(["t", FLEET]),
    st.sampled_from([FLEET, "pay"]),
    st.floats(0.01, 1.0),
)


@settings(max_examples=200)
@given(before=st.lists(ITEMS, max_size=10), after=st.lists(ITEMS, max_size=10))
def test_nothing_published_before_or_after_outweighs_it(before, after):
    """O1 as a law: from its arrival to its end every call passes, under the built-in parameters."""
    target, now_s = Target("t", function="pay"), 1_000.0
    for version, item in enumerate(before, start=1):
        target.apply_circuit(item._replace(version=version, changed_at=now_s))
        target.state(now_s)
    target.apply_circuit(switch(version=1_000, valid_until=1_100.0))
    for version, item in enumerate(after, start=100):
        now_s += 9.0
        target.apply_circuit(item._replace(version=version, changed_at=now_s))
        assert target.state(now_s) == FORCED_CLOSED
        assert (target.params, target.max_attempts, target.budget_ratio) == (DEFAULT_PARAMS, 4, 0.2)
        call = target.begin(now_s, 0.0)
        call.finish(Outcome.ERROR_FAST, now_s=now_s, draw=0.0, latency_ms=1.0)
    assert target.state(1_100.0) not in (FORCED_OPEN, FORCED_CLOSED), "and all of them have an end"
