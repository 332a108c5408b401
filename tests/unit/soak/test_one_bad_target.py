"""One bad target among many: whatever is wrong with it, the others are decided as if it were not there.

Two worlds with the same seed live the same minutes; in one of them something is
wrong with one target. What the others' states and circuits come to must be equal
in both, bit for bit, and the tick must not take longer for them.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.exceptions import ReadTimeoutError

from flyball_controller.policy_set import PolicySet

MINUTES, BAD_FROM = 7, 3
BAD = "i0-service-0000"  # the first of every list, so that whatever it does, it does first
OTHERS = 11


def make_world(targets=OTHERS + 1):
    """A small fleet of which every fourth target is dead from minute 4 on; nothing else happens."""
    from soak_traffic import Fleet
    from soak_world import SoakWorld

    fleet = Fleet(tuple(f"i0-service-{k:04d}" for k in range(targets)), seed=3, minutes=600)
    fleet.failure_ratio = lambda number, minute: 1.0 if number % 4 == 3 and minute >= 4 else 0.001
    return SoakWorld(targets, minutes=600, seed=3, fleet=fleet, recycle_min=0)


def live(world, spoil=None, *, before_minute=None):
    """Live the minutes; from BAD_FROM on something is wrong."""
    with world.running():
        for minute in range(MINUTES):
            if minute == BAD_FROM and spoil is not None:
                spoil(world)
            if minute >= BAD_FROM and before_minute is not None:
                before_minute(world, minute)
            world.minute(minute)


def outcome(world, *, without=(BAD,)):
    """Return what the others came to: their states as stored in memory, and their circuit items."""
    (installation,) = world.installations
    states = {name: known.state for name, known in installation.runtime.cache.items() if name not in without}
    circuits = {name: item for name, item in world.circuits.items() if name not in without}
    return states, circuits


@pytest.fixture(scope="module")
def good():
    """What the others come to when nothing is wrong."""
    world = make_world()
    live(world)
    states, circuits = outcome(world)
    assert len(states) == OTHERS
    assert set(circuits) == {"i0-service-0003", "i0-service-0007", "i0-service-0011"}  # the outage's
    return outcome(world)


def poison_state(world):
    """Bytes that are no state, under a newer version: as an attacker or a broken release would write."""
    client = world.client("dynamodb")
    table = world.installations[0].tables.state
    item = client.get_item(TableName=table, Key={"key": {"S": BAD}})["Item"]
    item["version"] = {"N": str(int(item["version"]["N"]) + 1)}
    item["b"] = {"B": b"\xff\x00poison" * 50}
    client.put_item(TableName=table, Item=item)


def test_a_poisoned_state_harms_its_own_target_only(good):
    """It begins anew and says so; nobody else's decision changes."""
    world = make_world()
    live(world, poison_state)
    assert outcome(world) == good
    assert any("CHECKPOINT_RESET" in i["record"]["S"] for _, i in world.items("journal"))
    assert world.installations[0].runtime.telemetry.totals["backend_errors"] == 0


def malformed_metrics(world, minute):
    """Negative counts, more failures than requests, a latency before time began."""
    from flyball_local.cloudwatch import metric_key

    at_s = world.clock.now_s() + 30.0
    for metric, value in (("requests", -1e12), ("errors_fast", 1e15), ("timeouts", 1e100), ("latency", -5.0)):
        key = metric_key("flyball", metric, {"target": BAD})
        world.aws.cloudwatch.store.put(key, value, at_s=at_s, now_s=world.clock.now_s(), unit="Count")


def test_malformed_metrics_harm_their_own_target_only(good):
    """An observation that cannot be is kept for the journal and decides nothing, for anybody."""
    world = make_world()
    live(world, before_minute=malformed_metrics)
    assert outcome(world) == good
    assert BAD not in world.circuits
    assert any("OBSERVATION_INVALID" in i["record"]["S"] for _, i in world.items("journal"))


class SickPolicies(PolicySet):
    """The policy of one target raises: a fault of ours that no test has found yet."""

    def for_target(self, target):
        """Return the policy, or fail."""
        if target == BAD:
            raise ZeroDivisionError("of its policy")
        return super().for_target(target)


def sicken_policy(world):
    """Put such a policy into force."""
    (installation,) = world.installations
    installation.runtime = replace(installation.runtime, policies=SickPolicies(*world.policies))


def test_an_exception_in_its_policy_harms_its_own_target_only(good):
    """The fault is counted and named; the tick goes on to the next target."""
    world = make_world()
    live(world, sicken_policy)
    assert outcome(world) == good
    totals = world.installations[0].runtime.telemetry.totals
    assert totals["backend_errors"] >= MINUTES - BAD_FROM  # one a tick, some ticks come twice
    assert world.outcomes["retried"] == 0  # the same evidence would meet the same fault


def refuse_writes(world):
    """Every write of its state is throttled: a hot partition."""
    client = world.client("dynamodb")
    put = client.put_item

    def refusing(**arguments):
        if arguments.get("Item", {}).get("key", {}).get("S") == BAD:
            world.aws.dynamodb.faults.throttle(1, operations=("PutItem",))
        return put(**arguments)

    client.put_item = refusing


def test_a_state_that_cannot_be_saved_harms_its_own_target_only(good):
    """It is decided again from what stands, the others' states are written as ever."""
    world = make_world()
    live(world, refuse_writes, before_minute=lambda w, m: w.installations[0].runtime.cache.pop(BAD, None))
    assert outcome(world) == good


def test_a_target_that_vanishes_costs_the_others_nothing(good):
    """It is asked for all the same, and nobody else has to send what is known already."""
    world = make_world()
    fleet, absent = world.fleet, world.fleet.is_absent
    fleet.is_absent = lambda number, minute: absent(number, minute) or (number == 0 and minute >= BAD_FROM)
    # The other targets' draws follow those of the absent one: compare with a world that draws alike.
    twin = make_world()
    twin.fleet.is_absent = fleet.is_absent
    live(twin)
    live(world, poison_state)
    assert outcome(world) == outcome(twin)


def make_many():
    """Fifty-four targets, whose queries need two calls of GetMetricData; one of the second call's is dead.

    No correlated outage: the fleet's rules count all targets, and the blind ones would be missed.
    """
    world = make_world(54)
    world.fleet.failure_ratio = lambda number, minute: 1.0 if number == 53 and minute >= 3 else 0.001
    return world


def time_out(world):
    """GetMetricData does not answer in time whenever the bad target is asked for."""
    client = world.client("cloudwatch")
    read = client.get_metric_data
    world.timeouts = 0

    def slow(**arguments):
        dimensions = [
            q["MetricStat"]["Metric"]["Dimensions"][0]["Value"] for q in arguments["MetricDataQueries"]
        ]
        if BAD in dimensions:
            world.timeouts += 1
            world.clock.advance(5.0)
            raise ReadTimeoutError(endpoint_url="https://monitoring")
        return read(**arguments)

    client.get_metric_data = slow


def test_a_slow_query_blinds_its_own_call_and_delays_nobody_by_more_than_its_time_out():
    """Fifty targets share a call; the four of the other call are decided on data, in the same tick."""
    world, many = make_many(), make_many()
    live(many)
    live(world, time_out)
    sharing = {f"i0-service-{k:04d}" for k in range(50)}
    assert outcome(world, without=sharing) == outcome(many, without=sharing)
    assert set(world.circuits) == {"i0-service-0053"}
    ticks = sum(t.decisions > 0 for t in list(world.ticks)[BAD_FROM:])
    assert world.timeouts <= 3 * (ticks + 1)  # the first of two calls, in each tick, duplicate and alarm
    assert not any(item.state.name == "OPEN" for item in world.circuits.values())  # blind opens nothing


def test_the_comparison_finds_a_neighbour_that_was_touched(good):
    """Two worlds that differ in one other target are not equal: the check can fail."""
    world = make_world()
    ratio = world.fleet.failure_ratio
    world.fleet.failure_ratio = lambda number, minute: (
        0.9 if number == 5 and minute >= 4 else ratio(number, minute)
    )
    live(world)
    assert outcome(world) != good
