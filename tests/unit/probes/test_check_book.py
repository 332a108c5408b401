"""The record of checks: appended once per slot, read as rows of good ones, broken by gaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.check_book import (
    KEPT,
    Result,
    appended,
    decode_results,
    encode_results,
    good_row,
    key_of,
    read_rows,
    write_results,
)
from flyball_controller.core import initial_state
from flyball_controller.core.model import Quality
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State
from flyball_controller.fakes import MemoryCheckpoints
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import Checkpoint, PortError
from flyball_controller.probes import check_from_fields
from flyball_controller.round_records import Remembered

NOW_S = 1_800_000_000.0


def results(*pattern: str, every_s: float = 30.0) -> tuple[Result, ...]:
    """Checks up to now, '+' for good and '-' for bad, the last one 10 s ago."""
    marks = "".join(pattern)
    first_s = NOW_S - 10.0 - every_s * (len(marks) - 1)
    return tuple(Result(first_s + every_s * n, 12.5, mark == "+") for n, mark in enumerate(marks))


@given(st.lists(st.tuples(st.floats(0.0, 2e9), st.integers(0, 60_000), st.booleans()), max_size=KEPT))
def test_a_record_is_read_as_it_was_written(fields: list[tuple[float, int, bool]]) -> None:
    """One value, one encoding."""
    given_results = tuple(Result(at_s, float(ms), good) for at_s, ms, good in fields)
    assert decode_results(encode_results(given_results)) == given_results


@given(st.binary(max_size=200))
def test_damaged_bytes_are_an_empty_record(data: bytes) -> None:
    """No evidence changes nothing; an exception would stop the round."""
    assert decode_results(data) == ()


def test_one_flipped_bit_is_noticed() -> None:
    """A good check must not be made of a bad one."""
    data = bytearray(encode_results(results("+-+")))
    data[-1] ^= 1
    assert decode_results(bytes(data)) == ()


def test_the_same_slot_twice_counts_once_and_old_results_go() -> None:
    """Schedules deliver at least once, and a row must not be made of one check."""
    record: tuple[Result, ...] = ()
    for slot in range(40):
        for _ in range(2):
            record = appended(record, Result(30.0 * slot, 1.0, good=True), slot_s=30.0)
    assert len(record) == KEPT
    assert [r.at_s for r in record[-3:]] == [1_110.0, 1_140.0, 1_170.0]
    assert appended(record, Result(600.0, 1.0, good=True), slot_s=30.0) == record  # an old slot comes late


@pytest.mark.parametrize(
    ("marks", "since_s", "expected"),
    [
        ("+++", 0.0, (3, 71.0)),
        ("-++", 0.0, (2, 41.0)),
        ("++-", 0.0, None),
        ("", 0.0, None),
        ("++++++", NOW_S - 80.0, (3, 71.0)),
    ],
)
def test_a_row_ends_at_the_last_bad_check_or_change(
    marks: str, since_s: float, expected: tuple[int, float] | None
) -> None:
    """10 s since the last began, 30 s between two; the last counts as one second long."""
    row = good_row("t", results(marks), since_s=since_s, gap_s=75.0, now_s=NOW_S)
    if expected is None:
        assert row is None
        return
    assert row is not None
    count, reach_s = expected
    assert (row.requests, row.failures, row.quality, row.arrived_s) == (count, 0, Quality.PROBED, NOW_S)
    assert row.start_s == NOW_S - reach_s + 1.0
    assert row.start_s + row.period_s == NOW_S - 9.0
    assert row.latency_ms_p99 == 12.5


def test_a_gap_breaks_a_row_and_so_does_silence_until_now() -> None:
    """A probe that was dead for a while knows nothing of that while."""
    early = tuple(result._replace(at_s=result.at_s - 200.0) for result in results("++++"))
    row = good_row("t", (*early, *results("++")), since_s=0.0, gap_s=75.0, now_s=NOW_S)
    assert row is not None
    assert row.requests == 2
    assert good_row("t", early, since_s=0.0, gap_s=75.0, now_s=NOW_S) is None
    ahead = (Result(NOW_S + 30.0, 1.0, good=True),)
    assert good_row("t", ahead, since_s=0.0, gap_s=75.0, now_s=NOW_S) is None  # another clock


def world(*, evidence: bool = True) -> tuple[PolicySet, dict[str, Remembered]]:
    """Three targets: one restricted with a check, one restricted without, one nominal with a check."""
    fields = {"kind": "tcp", "host": "a", "port": 1, "every_s": 30, "evidence": evidence}
    probes = {name: check_from_fields(name, fields, at=str) for name in ("down", "well")}
    state = initial_state(Policy())
    restricted = State(
        state.law._replace(applied=state.law.applied._replace(budget_ratio=0.0), changed_s=1.0)
    )
    known = {"down": restricted, "unchecked": restricted, "well": state}
    policies = PolicySet(Policy(), {}, "x")._replace(probes=probes)
    return policies, {name: Remembered(1, one, 0.0) for name, one in known.items()}


def test_only_restricted_targets_with_a_check_are_read() -> None:
    """What is nominal needs no proof of recovery, and reads are money."""
    store = MemoryCheckpoints()
    store.items = {key_of(name): Checkpoint(1, encode_results(results("+++"))) for name in ("down", "well")}
    policies, known = world()
    rows = read_rows(store, known, policies, now_s=NOW_S)
    assert {name: row.requests for name, row in rows.items()} == {"down": 3}
    assert read_rows(store, known, world(evidence=False)[0], now_s=NOW_S) == {}
    store.items = {}
    assert read_rows(store, known, policies, now_s=NOW_S) == {}


def test_results_are_appended_and_a_lost_race_is_run_again() -> None:
    """Two probe functions of one minute write the same records."""

    class Raced(MemoryCheckpoints):
        """Somebody else writes after each of the first loads and saves."""

        others = 2

        def save(self, key, data, **facts):  # type: ignore[no-untyped-def]
            if self.others:
                self.others -= 1
                current = self.items.get(key, Checkpoint(0, b""))
                self.items[key] = Checkpoint(current.version + 1, encode_results(results("+")), "theirs")
            return super().save(key, data, **facts)

    store = Raced()
    write_results(store, {"t": Result(NOW_S + 30.0, 5.0, good=False)}, slot_s=30.0, now_s=NOW_S)
    assert [r.good for r in decode_results(store.items[key_of("t")].data)] == [True, False]
    store.others = 99
    with pytest.raises(PortError, match="lost 3 races"):
        write_results(store, {"t": Result(NOW_S + 60.0, 5.0, good=True)}, slot_s=30.0, now_s=NOW_S)


def test_a_slot_that_is_recorded_is_not_written_again() -> None:
    """A repeated event costs a read."""
    store = MemoryCheckpoints()
    for _ in range(2):
        write_results(store, {"t": Result(NOW_S, 5.0, good=True)}, slot_s=30.0, now_s=NOW_S)
    assert store.saves == 1
