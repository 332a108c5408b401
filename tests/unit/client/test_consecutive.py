"""The local breaker's second reason: failed first attempts in a row, however few calls there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.call import Call, Target
from flyball.contract import (
    DEFAULT_PARAMS,
    BreakerParams,
    CircuitState,
    ContractError,
    Document,
    RetryParams,
    TargetParams,
    clip_params,
    decode_document,
    encode_document,
)
from flyball.outcome import Outcome
from flyball.testing import with_params
from unit.client.support import PaymentError, World, circuit

GOOD, TIMEOUT, FAST = Outcome.SUCCESS, Outcome.TIMEOUT, Outcome.ERROR_FAST
NEVER_SHED = 0.99


def make(limit: int = 3, **fields: object) -> Target:
    """A target that opens on a run alone: its window never has enough calls."""
    breaker = BreakerParams(consecutive_failures=limit, min_calls=10_000, **fields)
    return Target("t", params=DEFAULT_PARAMS._replace(breaker=breaker))


def one(target: Target, outcome: Outcome, now_s: float = 0.0, *, latency_ms: float = 1.0) -> None:
    """One call of one attempt."""
    call = target.begin(now_s, NEVER_SHED)
    assert isinstance(call, Call)
    call.finish(outcome, now_s=now_s, draw=0.0, latency_ms=latency_ms)


def run(target: Target, *outcomes: Outcome) -> CircuitState:
    """Calls at one moment, and the state that they leave."""
    for outcome in outcomes:
        one(target, outcome)
    return target.state(0.0)


def test_the_nth_failure_in_a_row_opens_it():
    """And not the one before it."""
    target = make(3)
    assert run(target, FAST, FAST) == CircuitState.CLOSED
    assert run(target, FAST) == CircuitState.OPEN


def test_time_outs_count_half():
    """A saturated target answers some; the throttle sheds the rest in proportion, and needs no cut-off."""
    target = make(3)
    assert run(target, *[TIMEOUT] * 5) == CircuitState.CLOSED
    assert run(target, TIMEOUT) == CircuitState.OPEN
    mixed = make(3)
    assert run(mixed, FAST, TIMEOUT, FAST) == CircuitState.CLOSED
    assert run(mixed, TIMEOUT) == CircuitState.OPEN


def test_by_default_twelve_failures_open_it():
    """An environment with a call every two seconds sees twenty calls only after 40 s of outage."""
    target = Target("t")
    assert run(target, *[FAST] * 11) == CircuitState.CLOSED
    assert run(target, FAST) == CircuitState.OPEN


def test_a_success_begins_the_run_anew():
    """Whatever answers is not gone: here the quiet path, which writes nothing of the kind."""
    target = make(3)
    run(target, FAST, FAST)
    target.note_success(0.0, 1.0)
    assert run(target, FAST, FAST) == CircuitState.CLOSED
    assert run(target, FAST) == CircuitState.OPEN


def test_a_slow_success_is_one():
    """Slowness has a rule of its own."""
    target = make(3, slow_call_ms=500)
    run(target, FAST, FAST)
    one(target, GOOD, latency_ms=900.0)
    assert run(target, FAST, FAST) == CircuitState.CLOSED


def test_a_retry_that_succeeds_is_one_and_a_retry_that_fails_counts_nothing():
    """First attempts are counted, for retries are not independent of them; but an answer is an answer."""
    breaker = BreakerParams(consecutive_failures=3, min_calls=10_000)
    target = Target("t", params=TargetParams(breaker=breaker, retry=RetryParams(budget_ratio=3.0)))

    def with_retry(second: Outcome) -> None:
        call = target.begin(0.0, NEVER_SHED, idempotent=True)
        assert call.finish(FAST, now_s=0.0, draw=0.0, latency_ms=1.0) is not None
        call.finish(second, now_s=0.0, draw=0.0, latency_ms=1.0)
        call.abandon()

    with_retry(FAST)
    with_retry(GOOD)
    with_retry(FAST)
    with_retry(FAST)
    assert target.state(0.0) == CircuitState.CLOSED, "two first attempts, four in all"
    assert run(target, FAST) == CircuitState.OPEN


@pytest.mark.parametrize("neither", [Outcome.THROTTLE, Outcome.PERMANENT, Outcome.IGNORED])
def test_what_says_nothing_about_death_neither_counts_nor_begins_anew(neither):
    """Else one caller's bugs could hide an outage, or make one."""
    target = make(3)
    assert run(target, *[neither] * 5) == CircuitState.CLOSED
    assert run(target, FAST, neither, FAST, neither) == CircuitState.CLOSED
    assert run(target, FAST) == CircuitState.OPEN


@pytest.mark.parametrize("later_s", [60.1, -2.0])
def test_failures_more_than_a_window_apart_are_no_row(later_s):
    """Eleven failures of this morning and one of tonight are not an outage; nor is a clock set back."""
    target = make(3)
    run(target, FAST, FAST)
    one(target, FAST, later_s)
    assert target.state(later_s) == CircuitState.CLOSED
    one(target, FAST, later_s + 60.0)
    one(target, FAST, later_s + 120.0)
    assert target.state(later_s + 120.0) == CircuitState.OPEN, "a call a minute is enough"


def test_zero_means_that_no_row_is_long_enough():
    """As for slow calls: 0 turns the rule off, and nothing else."""
    assert run(make(0), *[FAST] * 100) == CircuitState.CLOSED


def test_one_good_probe_disproves_that_nothing_comes_back():
    """Three in a row are for a target that answers too rarely; by luck cut off, it would stay so for long."""
    target = make(3, open_s=10.0)
    run(target, FAST, FAST, FAST)
    one(target, FAST, 12.0)
    assert target.state(12.0) == CircuitState.OPEN, "a bad one proves it again"
    one(target, GOOD, 24.0)
    assert target.state(24.0) == CircuitState.CLOSED
    by_window = Target("t", params=DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=2, open_s=10.0)))
    run(by_window, FAST, FAST)
    one(by_window, GOOD, 12.0)
    assert by_window.state(12.0) == CircuitState.HALF_OPEN


def test_what_was_disproved_by_one_probe_makes_no_later_circuit_easier():
    """An expired circuit is half-open on own evidence: three good ones, as for everything else."""
    target = make(3, open_s=10.0)
    run(target, FAST, FAST, FAST)
    one(target, GOOD, 12.0)
    assert target.state(12.0) == CircuitState.CLOSED
    target.apply_circuit(circuit(CircuitState.OPEN, changed_at=20.0, valid_until=90.0))
    assert target.state(90.0) == CircuitState.HALF_OPEN
    one(target, GOOD, 90.0)
    assert target.state(90.0) == CircuitState.HALF_OPEN


def test_a_row_under_a_force_does_not_open_when_the_force_ends():
    """An operator let all calls pass; what they met is counted, and acted upon by the next row."""
    target = make(3)
    target.hold(CircuitState.FORCED_CLOSED)
    run(target, FAST, FAST, FAST)
    target.hold(None)
    assert run(target, FAST, FAST) == CircuitState.CLOSED
    assert run(target, FAST) == CircuitState.OPEN


def test_after_a_close_the_row_begins_anew():
    """What failed before the outage ended says nothing about now."""
    target = make(3, close_after=1, open_s=10.0)
    under_way = target.begin(0.0, NEVER_SHED)
    run(target, FAST, FAST, FAST)
    under_way.finish(FAST, now_s=1.0, draw=0.0, latency_ms=1.0)
    one(target, GOOD, 12.0)
    assert target.state(12.0) == CircuitState.CLOSED
    one(target, FAST, 12.0)
    one(target, FAST, 12.0)
    assert target.state(12.0) == CircuitState.CLOSED


OUTCOMES = st.sampled_from([GOOD, GOOD, TIMEOUT, FAST, FAST, Outcome.THROTTLE, Outcome.PERMANENT])
CALLS = st.lists(st.tuples(OUTCOMES, st.sampled_from([0.0, 0.5, 59.0, 61.0])), max_size=60)


@given(limit=st.integers(0, 4), calls=CALLS)
def test_it_opens_at_the_first_row_of_that_length_and_at_no_other_moment(limit, calls):
    """The rule, counted beside: the quiet path where it may be taken, as guards do."""
    target, now_s, row, failed_s = make(limit), 0.0, 0.0, 0.0
    for outcome, pause_s in calls:
        now_s += pause_s
        if now_s < target.quiet_until_s and outcome == GOOD:
            target.note_success(now_s, 1.0)
        else:
            one(target, outcome, now_s)
        if outcome in (TIMEOUT, FAST):
            weight = 0.5 if outcome == TIMEOUT else 1.0
            row = row + weight if now_s - failed_s <= 60.0 else weight
            failed_s = now_s
        elif outcome == GOOD:
            row = 0.0
        opened = 0 < limit <= row
        assert (target.state(now_s) == CircuitState.OPEN) == opened
        if opened:
            return


def test_a_guarded_function_is_cut_off_by_it():
    """Through the decorator, with retries: twelve calls, whatever is repeated in between."""
    world = World()
    handle = world.target()
    guarded = handle.guard(world.function(*[PaymentError()] * 99))
    for _ in range(12):
        assert handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED
        with pytest.raises(PaymentError):
            guarded()
    assert handle.target.state(world.clock.wall_s()) == CircuitState.OPEN


def test_an_aid_for_tests_leaves_no_part_of_a_row_behind():
    """What happens under `with_params` is forgotten with it, and what was before is there again."""
    world = World()
    handle = world.target()
    known = handle.target
    run(known, *[FAST] * 11)
    with with_params("t", within=world.runtime, breaker={"consecutive_failures": 0}):
        run(known, GOOD, FAST)
    assert run(known) == CircuitState.CLOSED
    assert run(known, FAST) == CircuitState.OPEN
    assert known.counters.requests == 14, "counted is counted"


# --- on the wire ----------------------------------------------------------------------


def document(limit: object) -> bytes:
    """A document that says it for one target."""
    head = '{"schema": 1, "revision": 1, "generated_at": "", "policy_hash": "", "targets": '
    return f'{head}{{"t": {{"breaker": {{"consecutive_failures": {limit}}}}}}}}}'.encode()


@pytest.mark.parametrize(("sent", "obeyed"), [(0, 0), (7, 7), (1_001, 1_000), (-1, 0), (2.5, 2)])
def test_a_client_clips_what_it_receives(sent, obeyed):
    """K10; strict readers refuse what would be bent."""
    params = decode_document(document(sent)).targets["t"]
    assert params.breaker.consecutive_failures == obeyed
    assert clip_params(params) is params
    if sent != obeyed:
        with pytest.raises(ContractError, match=r"consecutive_failures.* an integer in \[0, 1000\]"):
            decode_document(document(sent), strict=True)


def test_it_is_written_only_where_it_differs():
    """Validators of before accept the document as long as nobody uses the field."""
    assert b"consecutive" not in encode_document(Document(1, "", "", {"t": DEFAULT_PARAMS}))
    breaker = BreakerParams(consecutive_failures=5)
    written = encode_document(Document(1, "", "", {"t": DEFAULT_PARAMS._replace(breaker=breaker)}))
    assert b'"consecutive_failures":5' in written
    assert decode_document(written, strict=True).targets["t"].breaker == breaker
