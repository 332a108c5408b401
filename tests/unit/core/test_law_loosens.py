"""The laws on clean windows, and the ladder, asked directly: each wish whole, each comparison at its edge."""

from __future__ import annotations

import pytest

from flyball.contract import CircuitState
from flyball_controller.core.baseline import Baseline
from flyball_controller.core.evidence import Pool
from flyball_controller.core.model import Evidence, Reason, Regime
from flyball_controller.core.moment import Wish
from flyball_controller.core.retry_law import one_step_towards, wish_ladder, wish_two_loop
from law_moments import AT_S, NOMINAL, PLAIN, SAID, TRIPS, TRUST, counted, law, moment

CALM = counted(600)
ZERO = NOMINAL._replace(budget_ratio=0.0)
HALF = ZERO._replace(circuit=CircuitState.HALF_OPEN, probe_ratio=0.2)
OPEN = ZERO._replace(circuit=CircuitState.OPEN, probe_ratio=0.1)


def note(reason: Reason, measured: float, threshold: float, n: int = 0) -> Evidence:
    """Evidence with the trust of all moments here."""
    return Evidence(reason, measured, threshold, n, TRUST)


def test_clean_and_nominal_only_counts():
    """And forgets that retries were useless once."""
    memory = law(NOMINAL, Regime.RECOVERING, bad_count=2, clean_count=7, useless=True)
    wish = wish_two_loop(memory, moment(CALM, clean=True, settled=False), PLAIN)
    assert wish == Wish(NOMINAL, Regime.NOMINAL, (SAID,), 0, 8, False)


def test_an_unsettled_window_waits_and_counts_nothing():
    """It began at 920 s; settled is what begins 75 s after a change at 900 s."""
    memory = law(ZERO, changed_s=900.0, bad_count=2, clean_count=3, useless=True)
    wish = wish_two_loop(memory, moment(CALM, clean=True, settled=False), PLAIN)
    waiting = note(Reason.WAITING_TO_SETTLE, 920.0, 975.0)
    assert wish == Wish(ZERO, Regime.RECOVERING, (SAID, waiting), 0, 0, True)


def test_a_correlated_failure_freezes_loosening_but_not_counting():
    """When the freeze ends, the hold has been kept."""
    memory = law(ZERO, bad_count=2, clean_count=3, useless=True)
    wish = wish_two_loop(memory, moment(CALM, clean=True, frozen=True), PLAIN)
    frozen = note(Reason.CORRELATED_FAILURE_FREEZE, 4.0, 0.0)
    assert wish == Wish(ZERO, Regime.RECOVERING, (SAID, frozen), 0, 4, True)


@pytest.mark.parametrize(
    ("factor", "period_s", "needed"),
    [
        (1, 60.0, 2),
        (2, 60.0, 4),
        (1, 61.0, 2),  # longer windows are not counted double
        (1, 59.0, 2),  # 2 x 60 / 59 = 2.03
        (1, 45.0, 3),  # 2.67
        (1, 10.0, 12),
        (3, 10.0, 36),
    ],
)
def test_a_hold_is_a_time_whatever_the_windows_length(factor, period_s, needed):
    """One window less waits; the last one restores, and the latch of useless retries falls."""
    now = moment(CALM, clean=True, period_s=period_s)
    memory = law(ZERO, bad_count=2, hold_factor=factor, useless=True)
    early = wish_two_loop(memory._replace(clean_count=needed - 2), now, PLAIN)
    waiting = note(Reason.WAITING_FOR_HOLD, needed - 1.0, float(needed))
    assert early == Wish(ZERO, Regime.RECOVERING, (SAID, waiting), 0, needed - 1, True)
    due = wish_two_loop(memory._replace(clean_count=needed - 1), now, PLAIN)
    restored = note(Reason.RESTORED_TO_NOMINAL, float(needed), float(needed), 600)
    assert due == Wish(NOMINAL, Regime.NOMINAL, (SAID, restored), 0, 0, False)


def test_attempts_return_one_by_one():
    """Two of four: three, and then everything at once."""
    low = NOMINAL._replace(max_attempts=2, budget_ratio=0.0)
    wish = wish_two_loop(law(low, clean_count=1), moment(CALM, clean=True), PLAIN)
    restored = note(Reason.STEP_RESTORED, 2.0, 2.0, 600)
    third = low._replace(max_attempts=3)
    assert wish == Wish(third, Regime.RECOVERING, (SAID, restored), 0, 0, False)
    assert one_step_towards(third, NOMINAL, PLAIN) == (NOMINAL, Reason.RESTORED_TO_NOMINAL)
    assert one_step_towards(ZERO, NOMINAL, PLAIN) == (NOMINAL, Reason.RESTORED_TO_NOMINAL)
    two = PLAIN._replace(attempts_step=2)
    one = NOMINAL._replace(max_attempts=1)
    assert one_step_towards(one, NOMINAL, two)[0].max_attempts == 3
    many = NOMINAL._replace(max_attempts=9)  # a policy that shrank
    assert one_step_towards(many, NOMINAL, two) == (NOMINAL, Reason.RESTORED_TO_NOMINAL)


@pytest.mark.parametrize("applied", [OPEN, HALF])
def test_a_gate_keeps_its_dwell(applied):
    """119 s of 120 s."""
    memory = law(applied, circuit_since_s=AT_S - 119.0, bad_count=2, clean_count=3, useless=True)
    wish = wish_two_loop(memory, moment(CALM, clean=True), PLAIN)
    assert wish == Wish(applied, Regime.RECOVERING, (SAID,), 0, 4, True)


@pytest.mark.parametrize(
    ("counts", "applied", "circuit", "share"),
    [
        (counted(60, short=540), OPEN, CircuitState.HALF_OPEN, 0.2),  # twice the tenth
        (counted(300, short=300), OPEN, CircuitState.HALF_OPEN, 0.5),  # half flows already
        (counted(600), OPEN, CircuitState.HALF_OPEN, 0.9),  # never from open to closed at once
        (counted(60, short=540), OPEN._replace(probe_ratio=0.12), CircuitState.HALF_OPEN, 0.2),  # 0.24
        (counted(60, short=540), OPEN._replace(probe_ratio=0.13), CircuitState.HALF_OPEN, 0.3),  # 0.26
        (counted(120, short=480), HALF, CircuitState.HALF_OPEN, 0.4),
        (counted(120, short=480), HALF._replace(probe_ratio=0.4), CircuitState.CLOSED, 1.0),  # 0.8
        (counted(479, short=121), HALF, CircuitState.HALF_OPEN, 0.8),  # 0.798 is not yet most of it
        (counted(480, short=120), HALF, CircuitState.CLOSED, 1.0),
        (counted(0), HALF, CircuitState.HALF_OPEN, 0.4),
        (counted(1), HALF, CircuitState.CLOSED, 1.0),
    ],
)
def test_a_gate_opens_by_twice_or_by_what_flows(counts, applied, circuit, share):
    """To a tenth; from 0.8 on a half-open one closes."""
    memory = law(applied, circuit_since_s=AT_S - 120.0, bad_count=2, clean_count=3, useless=True)
    wish = wish_two_loop(memory, moment(counts, clean=True), PLAIN)
    offered = counts.requests + counts.short_circuited
    flowing = counts.requests / offered if offered else 0.0
    seen = note(Reason.PROBES_SUCCEEDED, flowing, applied.probe_ratio, counts.requests)
    wanted = applied._replace(circuit=circuit, probe_ratio=share)
    assert wish == Wish(wanted, Regime.RECOVERING, (SAID, seen), 0, 0, True)


# --- the ladder --------------------------------------------------------------------------


def _ladder(counts: Pool, memory=None, policy=PLAIN, **change: object) -> Wish:
    before = law(NOMINAL, bad_count=2, clean_count=2, useless=True) if memory is None else memory
    return wish_ladder(before, moment(counts, **change), policy)  # type: ignore[arg-type]


def test_the_lower_rung_leaves_one_retry():
    """150 of 600 is the trip of 0.25, and not over it; 151 are."""
    low = NOMINAL._replace(max_attempts=2)
    over = note(Reason.ERROR_RATE_OVER_TRIP, 151 / 600, 0.25, 600)
    assert _ladder(counted(600, fast=151)) == Wish(low, Regime.BROKEN, (over,), 0, 0, False)
    assert _ladder(counted(600, fast=150)) == Wish(NOMINAL, Regime.NOMINAL, (SAID,), 2, 0, True)


@pytest.mark.parametrize("before", [NOMINAL, NOMINAL._replace(circuit=CircuitState.HALF_OPEN)])
def test_the_upper_rung_cuts_traffic(before):
    """360 of 600 is the trip of 0.6, and not over it; 361 are."""
    over = note(Reason.ERROR_RATE_OVER_BASELINE, 361 / 600, 0.6, 600)
    opened = before._replace(max_attempts=2, circuit=CircuitState.OPEN, probe_ratio=0.1)
    assert _ladder(counted(600, fast=361), law(before)) == Wish(opened, Regime.DEAD, (over,), 0, 0, False)
    low = before._replace(max_attempts=2)
    assert _ladder(counted(600, fast=360), law(before)).setpoint == low


def test_what_may_not_be_cut_gets_fewer_attempts_and_says_why():
    """The fleet forbids; the promise is not kept yet."""
    low = NOMINAL._replace(max_attempts=2)
    over = note(Reason.ERROR_RATE_OVER_BASELINE, 400 / 600, 0.6, 600)
    unproven = note(Reason.OPEN_UNPROVEN, 6.0, 7.0, 600)
    wish = _ladder(counted(600, fast=400), open_allowed=False, rarity_s=6.0, needed_s=7.0)
    assert wish == Wish(low, Regime.BROKEN, (over, unproven, SAID), 0, 0, False)
    proven = _ladder(counted(600, fast=400), rarity_s=7.0, needed_s=7.0)
    assert proven.evidence == (over, note(Reason.OPEN_PROVEN, 7.0, 7.0, 600))


def test_a_circuit_that_is_open_or_held_stays():
    """Only the attempts fall."""
    for circuit in (CircuitState.OPEN, CircuitState.FORCED_CLOSED):
        before = NOMINAL._replace(circuit=circuit)
        wish = _ladder(counted(600, fast=600), law(before))
        over = note(Reason.ERROR_RATE_OVER_TRIP, 1.0, 0.25, 600)
        assert wish == Wish(before._replace(max_attempts=2), Regime.BROKEN, (over,), 0, 0, False)


@pytest.mark.parametrize(
    ("counts", "acts"),
    [(counted(12, fast=4), True), (counted(11, fast=11), False), (counted(6, fast=6), False)],
)
def test_the_ladder_asks_for_twelve_requests(counts, acts):
    """Of which three failed."""
    assert (_ladder(counts).regime != Regime.NOMINAL) is acts


@pytest.mark.parametrize(("fast", "acts"), [(3, True), (2, False)])
@pytest.mark.parametrize("rung", ["retry", "open"])
def test_the_ladder_asks_for_three_failures(fast, acts, rung):
    """Over either rung, set low enough."""
    wish = _ladder(counted(12, fast=fast), trips=TRIPS._replace(**{rung: 0.1}))
    assert (wish.setpoint.max_attempts == 2) is acts


@pytest.mark.parametrize(("z", "dispersion", "acts"), [(0.0, 4.0, True), (2.0, 1.0, True), (2.0, 4.0, False)])
@pytest.mark.parametrize("rung", ["retry", "open"])
def test_bursts_widen_a_bound_but_not_a_plain_ratio(rung, z, dispersion, acts):
    """40 of 400 over 0.06: at z = 2 the bound is 0.074, at four times the variance 0.055; z = 0 has none."""
    policy = PLAIN._replace(z_act=z, z_open=z)
    trips = TRIPS._replace(**{rung: 0.06})
    wish = _ladder(counted(400, fast=40), policy=policy, trips=trips, base=Baseline(dispersion=dispersion))
    assert (wish.setpoint.max_attempts == 2) is acts


def test_any_confidence_of_retries_takes_bursts_into_account():
    """z = 0.5: 40 of 400 are surely 0.093, at four times the variance 0.086; the rung is 0.09."""
    policy = PLAIN._replace(z_act=0.5)
    trips = TRIPS._replace(retry=0.09)
    for dispersion, attempts in ((1.0, 2), (4.0, 4)):
        wish = _ladder(
            counted(400, fast=40), policy=policy, trips=trips, base=Baseline(dispersion=dispersion)
        )
        assert wish.setpoint.max_attempts == attempts


def test_each_rung_of_the_ladder_has_its_own_confidence():
    """10 of 100 over 0.06 as a ratio, not as a bound of z = 2 (0.0546)."""
    low = TRIPS._replace(retry=0.06, open=0.06)
    counts = counted(100, fast=10)
    rung = _ladder(counts, policy=PLAIN._replace(z_open=2.0), trips=low).setpoint
    assert (rung.max_attempts, rung.circuit) == (2, CircuitState.CLOSED)
    assert _ladder(counts, policy=PLAIN._replace(z_act=2.0), trips=low).setpoint.circuit == CircuitState.OPEN


def test_a_plain_ratio_of_the_ladder_knows_no_bursts_even_when_it_opens():
    """z = 0 for retries takes no dispersion for either rung: 40 of 400 at z = 2 is 0.074, over 0.07."""
    policy = PLAIN._replace(z_open=2.0)
    wish = _ladder(
        counted(400, fast=40), policy=policy, trips=TRIPS._replace(open=0.07), base=Baseline(dispersion=4.0)
    )
    assert wish.setpoint.circuit == CircuitState.OPEN


def test_the_ladder_climbs_back_when_it_is_clean_and_keeps_when_it_is_not():
    """The same recovery as the other law's."""
    low = NOMINAL._replace(max_attempts=2)
    memory = law(low, Regime.BROKEN, clean_count=1)
    assert _ladder(CALM, memory, clean=True).setpoint.max_attempts == 3
    assert _ladder(CALM, memory) == Wish(low, Regime.BROKEN, (SAID,), 0, 0, False)
