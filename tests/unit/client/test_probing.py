"""On the way back: who probes how often, and what a published circuit may still forbid afterwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.call import Call, Outcome, Target
from flyball.contract import DEFAULT_PARAMS, FLEET, BreakerParams, CircuitState
from flyball.records import RAMP_PROBES, is_new_finding, probe_share
from unit.client.support import circuit

CLOSED, HALF_OPEN, OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN
GOOD, FAST = Outcome.SUCCESS, Outcome.ERROR_FAST


def one(target: Target, outcome: Outcome, now_s: float, draw: float = 0.0) -> bool:
    """Whether a call was let through."""
    call = target.begin(now_s, draw)
    if isinstance(call, Call):
        call.finish(outcome, now_s=now_s, draw=draw, latency_ms=1.0)
    return isinstance(call, Call)


# --- the ramp -------------------------------------------------------------------------


def test_after_a_good_probe_the_next_need_not_wait_as_long():
    """0.1, then 0.4, then 0.7 of the calls: 13.9 calls to three good probes instead of 30."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN, close_after=3))
    for share in (0.1, 0.4, 0.7):
        assert not one(target, GOOD, 1_000.0, draw=share + 0.001)
        assert one(target, GOOD, 1_000.0, draw=share - 0.001)
    assert target.state(1_000.0) == CLOSED


def test_a_bad_probe_begins_the_ramp_anew():
    """The target answers now and then: that is no recovery."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN, close_after=3))
    for outcome in (GOOD, GOOD, FAST):
        one(target, outcome, 1_000.0)
    assert not one(target, GOOD, 1_000.0, draw=0.11)


def test_a_circuit_that_sheds_goes_on_shedding():
    """Until the last two of twenty: five good ones in a row are frequent where a fifth of the calls fails."""
    target = Target("t")
    target.apply_circuit(circuit(HALF_OPEN, close_after=20))
    for _ in range(18):
        assert not one(target, GOOD, 1_000.0, draw=0.11)
        assert one(target, GOOD, 1_000.0, draw=0.09)
    assert one(target, GOOD, 1_000.0, draw=0.39)


@given(
    ratio=st.floats(0.01, 1.0),
    close_after=st.integers(1, 100),
    good=st.integers(0, 99),
)
def test_the_share_rises_from_what_was_published_and_never_under_it(ratio, close_after, good):
    """K7: without a good probe exactly the published share; never all calls before the circuit is closed."""
    if good >= close_after:
        return
    share = probe_share(ratio, good=good, close_after=close_after)
    assert ratio <= share + 1e-12
    assert share < 1.0 or ratio == 1.0
    if good == 0 or close_after - good >= RAMP_PROBES:
        assert share == ratio
    if good > 0:
        assert share >= probe_share(ratio, good=good - 1, close_after=close_after)


# --- who has little traffic -----------------------------------------------------------


def test_who_opened_by_himself_probes_in_time_also_under_a_published_circuit():
    """With a call every ten seconds a tenth is a probe in a hundred: alone it would be one in 30 s."""
    target = Target("t", params=DEFAULT_PARAMS._replace(breaker=BreakerParams(consecutive_failures=1)))
    one(target, FAST, 1_000.0)
    target.apply_circuit(circuit(OPEN, valid_until=2_000.0))
    assert target.state(1_030.0) == OPEN, "published, half-open here"
    assert one(target, FAST, 1_030.0, draw=0.99)
    assert not one(target, GOOD, 1_059.0, draw=0.99)
    assert one(target, FAST, 1_060.0, draw=0.99)


def test_who_did_not_keeps_to_the_published_share():
    """K7: what the fleet may send is the publisher's to say, to those who know no better."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN, valid_until=2_000.0))
    assert not any(one(target, GOOD, 1_000.0 + 30.0 * i, draw=0.11) for i in range(20))


# --- the same finding on its way back -------------------------------------------------


def closed_here(**fields: object) -> Target:
    """A target that three good probes have closed under a published circuit."""
    target = Target("t")
    target.apply_circuit(circuit(OPEN, **fields))
    for _ in range(3):
        one(target, GOOD, 1_000.0)
    assert target.state(1_000.0) == CLOSED
    return target


def test_a_circuit_that_is_loosened_gates_nobody_who_has_closed_it():
    """Half-open after open is the publisher's step towards where these clients are already."""
    target = closed_here()
    target.apply_circuit(
        circuit(HALF_OPEN, version=2, changed_at=1_080.0, probe_ratio=0.9, valid_until=1_170.0)
    )
    assert target.state(1_080.0) == CLOSED
    target.apply_circuit(circuit(OPEN, version=3, changed_at=1_140.0, valid_until=1_230.0))
    assert target.state(1_140.0) == OPEN, "harder again: it did not hold"


def test_a_smaller_share_than_the_loosened_one_is_news():
    """Compared is with what was published last, not with the worst there was."""
    target = closed_here()
    target.apply_circuit(
        circuit(HALF_OPEN, version=2, changed_at=1_080.0, probe_ratio=0.9, valid_until=1_170.0)
    )
    assert target.state(1_080.0) == CLOSED
    target.apply_circuit(
        circuit(HALF_OPEN, version=3, changed_at=1_080.0, probe_ratio=0.5, valid_until=1_230.0)
    )
    assert target.state(1_140.0) == HALF_OPEN


def test_after_a_published_close_the_next_circuit_is_another_finding():
    """However mild: the one that was disproved is over for everybody."""
    target = closed_here()
    target.apply_circuit(circuit(CLOSED, version=2, changed_at=1_040.0, probe_ratio=1.0))
    assert target.state(1_040.0) == CLOSED
    target.apply_circuit(
        circuit(HALF_OPEN, version=3, changed_at=1_080.0, probe_ratio=0.9, valid_until=1_170.0)
    )
    assert target.state(1_080.0) == HALF_OPEN


def test_a_finding_of_another_key_does_not_replace_what_was_disproved():
    """The function's own item comes and goes; the fleet's stays disproved."""
    target = Target("t", function="pay")
    target.apply_circuit(circuit(OPEN, valid_until=2_000.0))
    for _ in range(3):
        one(target, GOOD, 1_000.0)
    target.apply_circuit(circuit(HALF_OPEN, function="pay", changed_at=900.0, valid_until=1_100.0))
    assert target.state(1_050.0) == CLOSED
    assert target.state(1_200.0) == CLOSED, "the fleet's again, and nothing new in it"


@pytest.mark.parametrize(
    ("state", "ratio", "changed_at", "new"),
    [
        (HALF_OPEN, 0.1, 1_000.0, False),  # the same
        (HALF_OPEN, 0.1, 1_010.0, True),  # decided again
        (OPEN, 0.1, 1_000.0, True),  # harder
        (HALF_OPEN, 0.05, 1_000.0, True),  # fewer may pass
        (HALF_OPEN, 0.9, 1_090.0, False),  # loosened while it was valid
        (HALF_OPEN, 0.9, 1_090.1, True),  # another one: the first had expired
        (CLOSED, 0.1, 1_050.0, False),
    ],
)
def test_what_is_a_new_finding(state, ratio, changed_at, new):
    """Beside a half-open circuit of 0.1, changed at 1,000 s and valid until 1,090 s."""
    known = circuit(HALF_OPEN)
    news = circuit(state, version=2, probe_ratio=ratio, changed_at=changed_at)
    assert is_new_finding(news, known) == new
    assert known.function == FLEET
