"""The circuit table throttled, slow, absent, behind and lying: what a guarded call notices of it.

Fidelity: emulator (the embedded DynamoDB behind boto3's own client).
"""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.aws import TIMEOUT_S, DynamoCircuits
from flyball.contract import FLEET, Circuit, CircuitState, encode_circuit
from flyball.environment import Runtime
from flyball.errors import CircuitOpenError
from flyball.sources import CIRCUIT_AGE_S
from unit.client.store_world import NOW_S, StoreWorld
from unit.client.support import circuit

CLOSED, OPEN = CircuitState.CLOSED, CircuitState.OPEN


def item(state: CircuitState, version: int, **fields: Any) -> Circuit:
    known = {"changed_at": NOW_S, "stamp": NOW_S, "valid_until": NOW_S + 1_000.0}
    return circuit(state, version=version, **{**known, **fields})


def test_a_replica_that_is_behind_does_not_close_what_is_open():
    """K2 from the store to the call: eventual reads that go back change nothing."""
    world = StoreWorld()
    world.put(item(CLOSED, 1))
    world.put(item(OPEN, 2))
    call = world.target().guard(lambda: "made")
    world.client_clock.fixed_draw = 0.99
    with pytest.raises(CircuitOpenError):
        call()
    for versions in (1, 2):  # closed, and not there at all yet
        world.service.faults.stale_reads(1, versions=versions)
        world.clock.advance(6.0)
        with pytest.raises(CircuitOpenError):
            call()
    assert world.reads == 3
    world.put(item(CLOSED, 3))
    world.clock.advance(6.0)
    assert call() == "made"


@settings(max_examples=50)
@given(
    writes=st.lists(st.sampled_from([CLOSED, OPEN]), min_size=1, max_size=8),
    lags=st.lists(st.integers(0, 7), max_size=12),
)
def test_whatever_replicas_answer_the_version_obeyed_never_goes_back(writes, lags):
    """K2 as a law: obeyed is the newest version that any answer so far contained."""
    world = StoreWorld()
    for version, state in enumerate(writes, start=1):
        world.put(item(state, version, changed_at=NOW_S + version))
    call = world.target().guard(lambda: None)
    newest = 0
    for lag in lags:
        if lag:
            world.service.faults.stale_reads(1, versions=lag)
        world.clock.advance(6.0)
        with suppress(CircuitOpenError):
            call()
        newest = max(newest, len(writes) - lag)
        known = world.runtime.targets["t"]._breaker._fleet
        assert (0 if known is None else known.version) == newest


def run(world: StoreWorld, *, seconds: int) -> tuple[list[float], float]:
    """Call ten times a second; returns when the table was asked, and the longest call."""
    call = world.target().guard(lambda: None)
    asked: list[float] = []
    longest_s = 0.0
    began_s = world.clock.now_s()
    while world.clock.now_s() < began_s + seconds:
        before, at_s = world.reads, world.clock.now_s()
        call()
        if world.reads > before:
            asked.append(round(at_s - began_s, 1))
            assert world.reads == before + 1
        longest_s = max(longest_s, world.clock.now_s() - at_s)
        world.clock.advance(0.1)
    return asked, longest_s


def pauses(asked: list[float]) -> list[float]:
    """Seconds between two reads; calls come on a grid of 0.1 s, so each may be that much late."""
    return [later - earlier - 0.1 for earlier, later in pairwise(asked)]


BACKED_OFF = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]  # each counted from the read's begin


@pytest.mark.parametrize("trouble", ["throttle", "server_error", "absent"])
def test_a_store_that_refuses_costs_one_read_per_growing_pause(trouble):
    """K3: eight reads in three minutes of 1,800 calls, and no call waits."""
    world = StoreWorld(tables=trouble != "absent")
    if trouble != "absent":
        getattr(world.service.faults, trouble)(10_000, operations=("BatchGetItem",))
    asked, longest_s = run(world, seconds=180)
    assert pauses(asked) == pytest.approx(BACKED_OFF, abs=0.11)
    assert longest_s == 0.0


def test_a_store_that_does_not_answer_costs_its_time_out_once_per_pause():
    """K3: 0.3 s, and the calls between wait for nothing."""
    world = StoreWorld()
    world.service.faults.slow(10_000, delay_s=20.0, operations=("BatchGetItem",))
    asked, longest_s = run(world, seconds=180)
    assert pauses(asked) == pytest.approx(BACKED_OFF, abs=0.11)
    assert longest_s == pytest.approx(TIMEOUT_S)


def test_a_slow_but_patient_store_is_read_once_per_age():
    """0.2 s late is an answer; the age counts from before the read."""
    world = StoreWorld()
    world.put(item(OPEN, 1, probe_ratio=1.0))
    world.service.faults.slow(10_000, delay_s=0.2, operations=("BatchGetItem",))
    asked, longest_s = run(world, seconds=20)
    assert asked == pytest.approx([0.0, 5.0, 10.0, 15.0], abs=0.5)
    assert longest_s == pytest.approx(0.2)


def test_what_is_known_holds_while_the_store_is_down_and_ends_by_itself():
    """K3, P6: fail-static until `valid_until`, then this environment's own evidence."""
    world = StoreWorld()
    world.put(item(OPEN, 1, valid_until=NOW_S + 90.0))
    world.target().guard(lambda: None)()
    world.service.faults.server_error(10_000)
    assert world.state() == "OPEN"
    world.clock.advance(89.0)
    world.runtime.poll(world.clock.now_s(), world.client_clock.monotonic_s())
    assert world.state() == "OPEN"
    world.clock.advance(1.0)
    assert world.state() == "HALF_OPEN"


LIES = [
    {"target": {"S": "u"}},  # nobody asked for it
    {"function": {"S": "other"}},
    {"state": {"S": "ajar"}},
    {"state": {"N": "2"}},
    {"version": {"N": "1e999"}},
    {"version": {"N": "nan"}},
    {"version": {"S": "9"}},
    {"valid_until": {"S": "never"}},
    {"valid_until": {"N": str(NOW_S)}, "changed_at": {"N": "0"}, "state": {"S": "closed"}},
    {"target": {"S": ""}},
    {"target": {"S": "*"}, "function": {"S": "pay"}},  # no kill switch: it names a function
    {"target": {"S": "*"}, "function": {"S": "*"}},  # the kill switch closes, and cannot open
]


class LyingTable:
    """Answers whatever was asked with the same thing."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def batch_get_item(self, **_: object) -> Any:
        return self.answer


def told(answer: object) -> Runtime:
    world = StoreWorld()
    shared = Runtime(
        function="pay", circuits=DynamoCircuits(client=LyingTable(answer)), clock=world.client_clock
    )
    shared.target("t")
    assert shared.poll(NOW_S, 0.0)
    return shared


@pytest.mark.parametrize("lie", LIES)
def test_a_store_that_lies_opens_nothing(lie):
    """K4: wrong key, wrong type, no time, not ours."""
    forged = {**encode_circuit(item(OPEN, 1)), **lie}
    shared = told({"Responses": {"flyball-circuits": [forged]}})
    assert shared.targets["t"].state(NOW_S) == CLOSED


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"Responses": None},
        {"Responses": {"flyball-circuits": None}},
        {"Responses": {"flyball-circuits": 7}},
        {"Responses": {"another-table": [encode_circuit(item(OPEN, 1))]}},
        {"Responses": {"flyball-circuits": [None, 7, "item", []]}},
    ],
)
def test_an_answer_without_sense_is_an_outage_and_opens_nothing(answer):
    """O5: nothing that a source does fails a guarded call."""
    assert told(answer).targets["t"].state(NOW_S) == CLOSED


def test_a_thousand_tasks_read_nothing_between_refreshes():
    """K5: a store that is asked per call becomes the outage; 20,000 calls, two reads."""
    world = StoreWorld()
    world.put(item(OPEN, 1, probe_ratio=1.0))

    @world.target().guard
    async def call() -> None:
        await asyncio.sleep(0)

    async def task() -> None:
        for _ in range(10):
            with suppress(CircuitOpenError):
                await call()

    async def everyone() -> None:
        await asyncio.gather(*(task() for _ in range(1_000)))

    asyncio.run(everyone())
    assert world.reads == 1
    world.clock.advance(CIRCUIT_AGE_S)
    asyncio.run(everyone())
    assert world.reads == 2


def test_threads_at_the_expiry_read_once_and_nobody_waits_for_the_reader():
    """K5 with real threads switching every microsecond, while the one read hangs."""
    world = StoreWorld()
    call = world.target().guard(lambda: None)
    call()
    world.clock.advance(CIRCUIT_AGE_S)
    reading, answer = threading.Event(), threading.Event()
    inner = world.source._client

    class Hanging:
        def batch_get_item(self, **arguments: Any) -> Any:
            reading.set()
            assert answer.wait(10.0)
            return inner.batch_get_item(**arguments)

    world.source._client = Hanging()
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        first = threading.Thread(target=call)
        first.start()
        assert reading.wait(10.0)
        others = [threading.Thread(target=lambda: [call() for _ in range(50)]) for _ in range(20)]
        for other in others:
            other.start()
        for other in others:
            other.join(10.0)
            assert not other.is_alive(), "it waits for somebody else's read"
        answer.set()
        first.join(10.0)
    finally:
        sys.setswitchinterval(interval_s)
    assert world.reads == 2
    assert world.runtime.targets["t"].counters.requests > 900


def test_many_targets_cost_one_read():
    """K5: per environment, not per target."""
    world = StoreWorld()
    calls = [world.target(f"t{number}").guard(lambda: None) for number in range(40)]
    for call in calls:
        call()
    assert world.reads == 1


def test_switched_off_nothing_is_read():
    """FLYBALL_OFF: the call is as without the library, also with the store on fire."""
    world = StoreWorld(off=True)
    world.put(item(OPEN, 1))
    assert world.target().guard(lambda: "made")() == "made"
    assert world.reads == 0


def test_the_fleets_item_opens_every_function_within_one_age():
    """K1: the age, a tenth of jitter, and one read after the write."""
    world = StoreWorld()
    call = world.target().guard(lambda: None)
    call()
    world.put(item(OPEN, 1, function=FLEET, probe_ratio=0.01))
    world.client_clock.fixed_draw = 0.999
    world.clock.advance(1.1 * CIRCUIT_AGE_S)
    with pytest.raises(CircuitOpenError):
        call()
