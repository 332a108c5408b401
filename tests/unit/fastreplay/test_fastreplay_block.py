"""A run of quiet minutes taken at once is what its windows are one by one: same state, same bits."""

from __future__ import annotations

import random

import pytest

from core_runs import T0, calm, window
from fast_runs import HISTORIES
from flyball_analytics import fastreplay_block, fastreplay_loop
from flyball_analytics.fastreplay import Engine, Outcome, run, run_with
from flyball_analytics.fastreplay_agree import kind_of
from flyball_analytics.fastreplay_block import SHORTEST, run_length
from flyball_analytics.fastreplay_columns import History, columns_of, history_of
from flyball_analytics.fastreplay_desk import BETWEEN, CLEAN, UNSURE
from flyball_analytics.fastreplay_memory import params_for
from flyball_controller.core import State, initial_state
from flyball_controller.core.kernel_bounds import is_clean
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Law, Policy, Promise
from flyball_controller.core.threshold import Trips


def busy(seed: int, rows: int, *, requests: int = 600, ratio: float = 0.004) -> list[Observation]:
    """Minutes of a busy service: failures as drawn, twenty times as many in the first three of an hour."""
    draw = random.Random(seed)
    stream = []
    for minute in range(rows):
        share = 0.02 if minute % 60 < 3 else ratio
        failed = sum(draw.random() < share for _ in range(requests))
        stream.append(window(minute, requests=requests, fast=failed)._replace(latency_ms_p99=draw.random()))
    return stream


def replayed(
    monkeypatch: pytest.MonkeyPatch, history: History, policy: Policy, start: State | None = None
) -> tuple[Outcome, list[int]]:
    """The outcome over arrays, and how many windows each run took; it is compared with the plain one."""
    taken: list[int] = []
    block = fastreplay_block.block

    def counted(columns, row, last, level, memory, params):
        found = block(columns, row, last, level, memory, params)
        taken.append(int(found[0]) - row)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(fastreplay_loop, "block", counted)
        outcome = run_with(fastreplay_loop.advance, history, policy, start or initial_state(policy))
    plain = run(history, policy, start=start, engine=Engine.INTERPRETED)
    assert outcome.state_bytes == plain.state_bytes
    assert repr(outcome.noted) == repr(plain.noted)
    assert outcome.quiet == plain.quiet
    return outcome, [count for count in taken if count > 0]


@pytest.mark.parametrize("promise", list(Promise))
@pytest.mark.parametrize("policy", HISTORIES, ids=range(len(HISTORIES)))
def test_a_day_of_a_busy_service_is_taken_hour_by_hour(monkeypatch, policy, promise):
    """Five hours, each but its first minute in a few runs: hours, thirds and seasons close as ever."""
    history = history_of(busy(3, 300), looks_s=60.0)
    outcome, taken = replayed(monkeypatch, history, policy._replace(promise=promise))
    assert outcome.quiet.windows > 250
    assert sum(taken) > 150


def test_a_run_ends_before_the_window_that_may_be_something_else(monkeypatch):
    """A burst in the middle of an hour is the step's; the minutes before it have been learned once."""
    stream = [*busy(1, 90), *(window(90 + i, requests=600, fast=240) for i in range(6))]
    stream += [one._replace(start_s=one.start_s + 5_760.0, arrived_s=one.arrived_s + 5_760.0)
               for one in busy(2, 90)]  # fmt: skip
    outcome, taken = replayed(monkeypatch, history_of(stream, looks_s=60.0), Policy())
    assert {note.row for note in outcome.noted} >= {90, 91, 92}
    assert len(taken) > 3


def test_a_target_with_little_traffic_is_never_taken_in_runs(monkeypatch):
    """Twenty requests a minute are pooled over minutes: each window needs the ones before it."""
    _, taken = replayed(monkeypatch, history_of(busy(4, 150, requests=20), looks_s=60.0), Policy())
    assert taken == []


def test_a_reset_that_is_less_than_clean_ends_the_row_of_clean_windows(monkeypatch):
    """The count of clean windows since the last other one goes on behind the run."""
    stream = busy(5, 70)
    stream[40] = window(40, requests=600, fast=17)  # 2.8 %: over half the trip of 5 x 0.4 %, under the trip
    stream[20] = stream[20]._replace(timeouts=2, throttles=1, attempts=700)
    outcome, taken = replayed(monkeypatch, history_of(stream, looks_s=60.0), Policy(reset_point=0.001))
    assert outcome.quiet.between > 0
    assert taken


def test_quiet_time_behind_the_own_last_change_is_seen_in_a_run(monkeypatch):
    """The hold factor falls back after it, here at minute 30: no hour begins behind that."""
    policy = Policy()
    state = initial_state(policy)
    law = state.law._replace(changed_s=T0 + 1_800.0 - policy.quiet_s, hold_factor=4)
    history = history_of(busy(6, 59), looks_s=60.0)
    outcome, taken = replayed(monkeypatch, history, policy, state._replace(law=law))
    assert outcome.state.law.hold_factor == 1
    assert taken[-1] > 40


def test_a_clean_run_forgets_bad_windows_and_a_useless_hold(monkeypatch):
    """What was counted before the run must not count with what comes after it."""
    first = run(history_of(busy(7, 5), looks_s=60.0), Policy(), engine=Engine.INTERPRETED).state
    start = first._replace(law=first.law._replace(bad_count=2, useless=True))
    outcome, taken = replayed(monkeypatch, history_of(busy(7, 40)[5:], looks_s=60.0), Policy(), start)
    assert taken == [35]
    assert (outcome.state.law.bad_count, outcome.state.law.useless) == (0, False)


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (Policy(retry_floor=0.2, timeout_trip=0.02), "timeouts"),
        (Policy(law=Law.LADDER, retry_floor=0.3, open_floor=0.05, timeout_trip=0.9), "fast"),
    ],
    ids=["time-outs", "ladder"],
)
def test_a_run_ends_at_the_lowest_of_the_thresholds(monkeypatch, policy, kind):
    """8 % of time-outs are under the trip of retries, 13 % of failures are over the ladder's lower one."""
    stream = busy(8, 55)
    for minute in range(30, 55):
        stream[minute] = window(minute, requests=600, **{kind: 48 if kind == "timeouts" else 80})
    outcome, taken = replayed(monkeypatch, history_of(stream, looks_s=60.0), policy)
    assert outcome.noted[0].row == 30
    assert sum(taken) < 30


@pytest.mark.parametrize(
    ("place", "change", "found"),
    [
        (12, {"start_s": 60.0}, 12),
        (12, {"start_s": -60.0}, 12),
        (12, {"start_s": 59.9}, 20),
        (12, {"arrived_s": -61.0}, 12),
        (12, {"arrived_s": -60.0}, 20),
        (12, {"arrived_s": 281.0}, 12),
        (0, {"arrived_s": 281.0}, 0),
    ],
)
def test_rows_that_are_no_minute_in_order_and_in_time_end_a_run(place, change, found):
    """Row 12 lies an hour's minute off, arrives before row 11, or 301 s after its end."""
    rows = calm(1, 20)
    for name, moved_s in change.items():
        rows[place] = rows[place]._replace(**{name: getattr(rows[place], name) + moved_s})
    history = history_of(rows, looks_s=None)
    sound = history.sound.copy()
    sound[:] = 1
    slot = int(rows[1].start_s // 60) - 1
    assert run_length(history.start_s, history.arrived_s, sound, 0, 20, slot, 300.0) == found
    sound[5] = 0
    assert run_length(history.start_s, history.arrived_s, sound, 0, 20, slot, 300.0) == min(found, 5)


def test_other_periods_and_constant_times_are_left_to_the_windows(monkeypatch):
    """Runs know minutes; five-minute windows visit five of them."""
    longer = columns_of(
        {"start_s": [T0 + 300.0 * i for i in range(40)], "window_s": 300.0, "requests": 900,
         "arrived_s": [T0 + 300.0 * i + 310.0 for i in range(40)]},
        target="t", looks_s=300.0,
    )  # fmt: skip
    assert replayed(monkeypatch, longer, Policy())[1] == []
    few = history_of(calm(1, SHORTEST - 1), looks_s=60.0)
    assert replayed(monkeypatch, few, Policy())[1] == []


@pytest.mark.parametrize("pooled", [True, False])
def test_what_is_surely_clean_is_what_the_plain_test_says(pooled):
    """Only where it says UNSURE may the bound be needed."""
    policy = Policy(pool_s_max=60.0 if pooled else 900.0)
    params = params_for(policy)
    kinds = set()
    for requests in (13, 40, 600):
        for failures in range(0, requests + 1, max(requests // 40, 1)):
            for reset in (0.02, 0.15, 0.4):
                trips = Trips(1.0, 1.0, 1.0, reset, 0.9, 0.03)
                kind = kind_of(failures, requests, 1.5, trips, pooled, params)
                plain = is_clean(failures, requests, 60.0, reset, 0.9, 1.5, policy)
                assert kind in {CLEAN if plain else BETWEEN, UNSURE}
                kinds.add(kind)
    assert kinds >= {CLEAN, BETWEEN}
