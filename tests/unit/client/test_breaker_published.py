"""Obedience to the published circuit: it arms probing, expires, never goes back, and closes here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.breaker import EXPIRED_PROBE_S
from flyball.call import Call, Outcome, Rejected, Target
from flyball.contract import CircuitState
from unit.client.support import circuit

CLOSED, HALF_OPEN, OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN
FORCED_OPEN, FORCED_CLOSED = CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED


def one(target: Target, outcome: Outcome, now_s: float, draw: float = 0.0) -> Call | Rejected:
    call = target.begin(now_s, draw)
    if isinstance(call, Call):
        call.finish(outcome, now_s=now_s, draw=draw, latency_ms=1.0)
    return call


def close_here(target: Target, now_s: float) -> None:
    """Three good probes, as the defaults ask for."""
    for _ in range(3):
        assert isinstance(one(target, Outcome.SUCCESS, now_s), Call)
    assert target.state(now_s) == CLOSED


def test_a_published_open_lets_its_share_through_as_probes():
    """An open circuit must go on making data: 0.1 passes under a draw of 0.1 and not at it."""
    target = Target("t")
    assert target.apply_circuit(circuit(OPEN, probe_ratio=0.1))
    assert target.state(1_000.0) == OPEN
    assert isinstance(one(target, Outcome.ERROR_FAST, 1_000.0, draw=0.09), Call)
    assert isinstance(one(target, Outcome.ERROR_FAST, 1_000.0, draw=0.1), Rejected)
    assert target.state(1_000.0) == OPEN


def test_good_probes_close_a_published_circuit_here():
    """Closing must not wait a minute and a half for the slow loop."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN))
    close_here(target, 1_000.0)


def test_a_failed_probe_starts_the_count_anew():
    """Two good, one bad, two good: not three in a row."""
    target = Target("t")
    target.apply_circuit(circuit(HALF_OPEN))
    good, bad = Outcome.SUCCESS, Outcome.ERROR_FAST
    for outcome in (good, good, bad, good, good):
        one(target, outcome, 1_000.0)
    assert target.state(1_000.0) == HALF_OPEN
    one(target, good, 1_000.0)
    assert target.state(1_000.0) == CLOSED


def test_a_renewal_does_not_reopen_what_closed_here():
    """The controller renews every minute on news older than our probes; obeying it would flap."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN))
    close_here(target, 1_000.0)
    assert target.apply_circuit(circuit(OPEN, version=2, valid_until=1_150.0))
    assert target.state(1_060.0) == CLOSED
    assert target.state(1_151.0) == CLOSED, "nor does its expiry"


@pytest.mark.parametrize(
    "news",
    [
        {"state": OPEN, "changed_at": 1_050.0},  # decided again
        {"state": OPEN},  # harder than half-open
        {"state": HALF_OPEN, "probe_ratio": 0.05},  # fewer may pass
    ],
)
def test_a_new_finding_reopens_what_closed_here(news):
    """A newer version may open again, if it says more than the one that was disproved."""
    target = Target("t")
    target.apply_circuit(circuit(HALF_OPEN))
    close_here(target, 1_000.0)
    target.apply_circuit(circuit(**{"version": 2, "valid_until": 1_150.0, **news}))
    assert target.state(1_060.0) == news["state"]


@pytest.mark.parametrize("state", [OPEN, HALF_OPEN])
def test_after_its_expiry_an_open_circuit_is_half_open(state):
    """P6: the controller may be dead; from now on only our own evidence counts."""
    target = Target("t")
    target.apply_circuit(circuit(state, probe_ratio=0.01))
    assert target.state(1_089.9) == state
    assert target.state(1_090.0) == HALF_OPEN
    # At once, whatever the draw, and then the document's probe ratio, not the item's.
    assert isinstance(one(target, Outcome.SUCCESS, 1_090.0, draw=0.99), Call)
    assert isinstance(one(target, Outcome.SUCCESS, 1_090.0, draw=0.05), Call)
    one(target, Outcome.SUCCESS, 1_090.0)
    assert target.state(1_090.0) == CLOSED


def test_a_failed_probe_after_the_expiry_opens_the_local_breaker():
    """Then it is this environment's own finding, with its own pause of 30 s."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN))
    target.state(1_000.0)
    one(target, Outcome.ERROR_FAST, 1_090.0)
    assert target.state(1_119.9) == OPEN
    assert target.state(1_120.0) == HALF_OPEN


def test_a_new_environment_that_finds_a_just_expired_circuit_probes_first():
    """The outage is probably still on."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN))
    assert target.state(1_100.0) == HALF_OPEN


def test_a_circuit_that_expired_long_ago_is_no_news():
    """K3, K4: items live for two days; a cold start must not pay for an outage of yesterday."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN))
    assert target.state(1_090.0 + EXPIRED_PROBE_S) == CLOSED


def test_an_environment_that_slept_through_the_grace_wakes_up_closed():
    """Half-open without calls for so long says nothing any more."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN))
    assert target.state(1_100.0) == HALF_OPEN
    assert target.state(1_090.0 + EXPIRED_PROBE_S) == CLOSED
    assert target.state(1_091.0 + EXPIRED_PROBE_S) == CLOSED


def test_a_published_closed_ends_the_probing():
    """The fleet has recovered."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN))
    assert target.state(1_000.0) == OPEN
    target.apply_circuit(circuit(CLOSED, version=2))
    assert target.state(1_000.0) == CLOSED


def test_a_published_closed_does_not_overrule_what_this_environment_sees():
    """A fleet-wide average may hide one sick path."""
    target = Target("t")
    for _ in range(20):
        one(target, Outcome.ERROR_FAST, 1_000.0)
    target.apply_circuit(circuit(CLOSED))
    assert target.state(1_000.0) == OPEN


def test_a_local_open_holds_even_while_the_fleet_only_probes():
    """And afterwards the published ratio governs the probing."""
    target = Target("t")
    for _ in range(20):
        one(target, Outcome.ERROR_FAST, 1_000.0)
    target.apply_circuit(circuit(HALF_OPEN, probe_ratio=1.0, valid_until=1_200.0))
    assert isinstance(one(target, Outcome.SUCCESS, 1_029.9, draw=0.0), Rejected)
    assert target.state(1_030.0) == HALF_OPEN
    for _ in range(3):
        one(target, Outcome.SUCCESS, 1_030.0, draw=0.99)
    assert target.state(1_030.0) == CLOSED


def test_forced_open_admits_nothing_until_it_expires():
    """O1: an operator's word; yet it expires like everything restrictive."""
    target = Target("t")
    target.apply_circuit(circuit(FORCED_OPEN, probe_ratio=1.0))
    rejected = one(target, Outcome.SUCCESS, 1_000.0)
    assert isinstance(rejected, Rejected)
    assert rejected.retry_after_s == 90.0
    assert target.state(1_090.0) == CLOSED


def test_forced_closed_admits_everything_over_the_local_breaker_and_the_throttle():
    """Even over this environment's own evidence; the budget stays."""
    target = Target("t")
    for _ in range(20):
        one(target, Outcome.TIMEOUT, 1_000.0, draw=0.99)
    target.apply_circuit(circuit(FORCED_CLOSED))
    for _ in range(40):
        assert isinstance(one(target, Outcome.TIMEOUT, 1_000.0, draw=0.0), Call)
    assert target.state(1_000.0) == FORCED_CLOSED


def test_a_probe_that_fails_under_a_force_does_not_break_the_force():
    """It was begun before the operator spoke."""
    target = Target("t")
    for _ in range(20):
        one(target, Outcome.ERROR_FAST, 1_000.0)
    probe = target.begin(1_030.0, 0.0)
    target.apply_circuit(circuit(FORCED_CLOSED))
    assert target.state(1_030.0) == FORCED_CLOSED
    probe.finish(Outcome.ERROR_FAST, now_s=1_030.0, draw=0.0, latency_ms=1.0)
    assert target.state(1_030.0) == FORCED_CLOSED


def test_the_functions_own_item_counts_before_the_fleets():
    """Closed for this function, though open for the rest."""
    target = Target("t", function="pay")
    target.apply_circuit(circuit(OPEN))
    target.apply_circuit(circuit(CLOSED, function="pay"))
    assert target.state(1_000.0) == CLOSED


def test_a_force_on_the_fleet_counts_before_all():
    """A kill switch dominates."""
    target = Target("t", function="pay")
    target.apply_circuit(circuit(CLOSED, function="pay", version=9))
    target.apply_circuit(circuit(FORCED_OPEN))
    assert target.state(1_000.0) == FORCED_OPEN


@pytest.mark.parametrize("foreign", [{"target": "u"}, {"function": "other"}])
def test_somebody_elses_circuit_is_not_obeyed(foreign):
    """K4: a wrong key never opens anything."""
    target = Target("t", function="pay")
    assert not target.apply_circuit(circuit(FORCED_OPEN, **foreign))
    assert target.state(1_000.0) == CLOSED


def test_no_item_changes_nothing():
    """A replica may lag behind; what is known ends by itself."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN))
    assert not target.apply_circuit(None)
    assert target.state(1_000.0) == OPEN


def test_overrides_hold_until_the_expiry_and_then_the_document_counts_again():
    """The fast path of the retry level: budget 0 and a single attempt, for 90 s."""
    target = Target("t")
    target.apply_circuit(circuit(CLOSED, budget_ratio=0.0, max_attempts=1))
    assert target.state(1_000.0) == CLOSED
    assert (target.max_attempts, target.budget_ratio, target.budget_tokens) == (1, 0.0, 0.0)
    target.state(1_090.0)
    assert (target.max_attempts, target.budget_ratio, target.budget_tokens) == (4, 0.2, 0.0)


def test_overrides_are_clipped():
    """K10: an item that allows a thousand attempts allows four."""
    target = Target("t")
    target.apply_circuit(circuit(CLOSED, budget_ratio=99.0, max_attempts=1_000, probe_ratio=7.0))
    target.state(1_000.0)
    assert (target.max_attempts, target.budget_ratio) == (4, 3.0)


def test_a_hold_of_this_process_counts_before_everything_published():
    """For tests, and for embeddings with their own kill switch."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN))
    assert target.hold(FORCED_CLOSED) is None
    assert target.state(1_000.0) == FORCED_CLOSED
    assert target.hold(None) == FORCED_CLOSED
    assert target.state(1_000.0) == OPEN


def test_a_hold_without_end_still_names_a_moment_to_ask_again():
    """An infinite Retry-After would be no JSON."""
    target = Target("t")
    target.hold(FORCED_OPEN)
    assert one(target, Outcome.SUCCESS, 0.0).retry_after_s == 30.0


STATES = st.sampled_from(list(CircuitState))


@given(versions=st.lists(st.tuples(st.integers(0, 20), STATES), max_size=30))
def test_versions_never_go_back(versions):
    """K2: whatever order eventually consistent reads bring, the highest version seen so far is obeyed."""
    target = Target("t")
    newest = -1
    for version, state in versions:
        taken = target.apply_circuit(circuit(state, version=version, changed_at=1_000.0 + version))
        assert taken == (version > newest)
        if taken:
            newest, expected = version, state
        if newest >= 0:
            assert target.state(1_010.0) == expected


@given(
    steps=st.lists(
        st.tuples(
            st.floats(0.0, 200.0),  # seconds that pass
            st.sampled_from(list(Outcome)),
            st.floats(0.0, 1.0, exclude_max=True),
            st.none() | st.tuples(STATES, st.floats(0.0, 200.0), st.floats(0.0, 1.0)),
        ),
        max_size=60,
    )
)
def test_nothing_published_is_enforced_after_its_expiry_and_probes_stay_bounded(steps):
    """P6 and K7 over arbitrary histories; and a healthy target is always closed again in the end."""
    target, now_s, version, last_until_s = Target("t"), 1_000.0, 0, 0.0
    for passed_s, outcome, draw, news in steps:
        now_s += passed_s
        if news is not None:
            state, valid_s, ratio = news
            version += 1
            last_until_s = now_s + valid_s
            target.apply_circuit(
                circuit(state, version=version, changed_at=now_s, valid_until=last_until_s, probe_ratio=ratio)
            )
        call = target.begin(now_s, draw)
        if isinstance(call, Call):
            call.finish(outcome, now_s=now_s, draw=draw, latency_ms=1.0)
        if now_s >= last_until_s:
            assert target.state(now_s) not in (FORCED_OPEN, FORCED_CLOSED)
        assert 0 <= target._breaker._probes <= 3
    now_s = max(now_s, last_until_s) + EXPIRED_PROBE_S
    for _ in range(4):
        now_s += 40.0
        one(target, Outcome.SUCCESS, now_s, draw=0.99)
    assert target.state(now_s) == CLOSED


def test_a_circuit_that_sheds_asks_for_more_good_probes_than_one_that_was_dead():
    """Shedding to capacity must not be undone by three lucky calls: the item's own number counts."""
    target = Target("t")
    target.apply_circuit(circuit(HALF_OPEN, close_after=20))
    for _ in range(19):
        assert isinstance(one(target, Outcome.SUCCESS, 1_000.0), Call)
    assert target.state(1_000.0) == HALF_OPEN
    one(target, Outcome.SUCCESS, 1_000.0)
    assert target.state(1_000.0) == CLOSED
