"""The two-loop law on bad evidence, asked directly: each wish whole, each comparison at its edge."""

from __future__ import annotations

import pytest

from flyball.contract import CircuitState
from flyball_controller.core.baseline import Baseline
from flyball_controller.core.model import Evidence, Reason, Regime
from flyball_controller.core.moment import Wish
from flyball_controller.core.policy import Policy
from flyball_controller.core.retry_law import wish_two_loop
from law_moments import AT_S, NOMINAL, PLAIN, SAID, SILENT, TRUST, counted, law, moment

ZERO = NOMINAL._replace(budget_ratio=0.0)
HALF = ZERO._replace(circuit=CircuitState.HALF_OPEN, probe_ratio=0.3)
OPEN = ZERO._replace(circuit=CircuitState.OPEN, probe_ratio=0.1)
DEAR = PLAIN._replace(fast_cost=1.0)
HALF_LOST = counted(600, timeouts=300)


def note(reason: Reason, measured: float, threshold: float, n: int) -> Evidence:
    """Evidence with the trust of all moments here."""
    return Evidence(reason, measured, threshold, n, TRUST)


@pytest.mark.parametrize("regime", [Regime.BLIND, Regime.BROKEN, Regime.NOMINAL])
def test_where_nothing_is_proven_everything_stays(regime):
    """But the clean windows are counted anew, and who was blind sees again."""
    memory = law(HALF, regime, bad_count=2, clean_count=3, useless=True)
    kept = Regime.RECOVERING if regime == Regime.BLIND else regime
    assert wish_two_loop(memory, moment(HALF_LOST), PLAIN) == Wish(HALF, kept, (SAID,), 2, 0, True)


def test_saturation_first_takes_the_retries():
    """Counting begins afterwards; the latch of useless retries stays."""
    memory = law(NOMINAL, bad_count=5, clean_count=4, useless=True)
    wish = wish_two_loop(memory, moment(HALF_LOST, Regime.SATURATED), PLAIN)
    assert wish == Wish(ZERO, Regime.SATURATED, (SAID,), 0, 0, True)


@pytest.mark.parametrize(("settled", "count"), [(True, 2), (False, 1)])
def test_only_settled_windows_count_towards_shedding(settled, count):
    """A window that began under the old setting says nothing about the new one."""
    now = moment(HALF_LOST, Regime.SATURATED, settled=settled)
    wish = wish_two_loop(law(ZERO, bad_count=1, clean_count=4), now, PLAIN)
    assert wish == Wish(ZERO, Regime.SATURATED, (SAID,), count, 0, False)


STILL = note(Reason.STILL_SATURATED, 3.0, 3.0, 600)


def test_the_third_saturated_window_sheds_to_what_is_served():
    """0.85 x 300 / 600 = 0.425, down to a tenth."""
    wish = wish_two_loop(law(ZERO, bad_count=2), moment(HALF_LOST, Regime.SATURATED), PLAIN)
    shed = ZERO._replace(circuit=CircuitState.HALF_OPEN, probe_ratio=0.4, close_after=20)
    assert wish == Wish(shed, Regime.SATURATED, (SAID, STILL), 0, 0, False)


@pytest.mark.parametrize(
    ("counts", "applied", "share"),
    [
        (counted(600, timeouts=456), ZERO, 0.2),  # 0.85 x 0.24 = 0.204
        (counted(500, timeouts=100, short=300), ZERO, 0.4),  # 400 of 800 offered
        (counted(600), ZERO, 0.8),  # the margin alone
        (HALF_LOST, HALF, 0.3),  # saturated at 0.3: never answered by admitting 0.4
        (HALF_LOST, HALF._replace(probe_ratio=0.7), 0.4),
        (counted(1, span_s=6.0), ZERO, 0.8),  # one call in six seconds: ten a minute
    ],
)
def test_what_is_admitted_is_served_and_never_more_than_before(counts, applied, share):
    """With the margin that lets the queue drain."""
    wish = wish_two_loop(law(applied, bad_count=2), moment(counts, Regime.SATURATED), PLAIN)
    assert (wish.setpoint.circuit, wish.setpoint.probe_ratio) == (CircuitState.HALF_OPEN, share)


@pytest.mark.parametrize(
    ("counts", "applied"),
    [
        (counted(600, timeouts=480), ZERO),  # 0.85 x 0.2 = 0.17: the floor of 0.1
        (counted(600, timeouts=600), ZERO),
        (counted(0), ZERO),
        (HALF_LOST, ZERO._replace(circuit=CircuitState.FORCED_CLOSED)),
        (HALF_LOST, OPEN),
    ],
)
def test_who_serves_next_to_nothing_or_is_held_is_not_shed(counts, applied):
    """The count stays where it is, for the next window."""
    wish = wish_two_loop(law(applied, bad_count=2), moment(counts, Regime.SATURATED), PLAIN)
    assert (wish.setpoint, wish.bad_count) == (applied, 3)


@pytest.mark.parametrize(
    ("change", "memory", "cut"),
    [
        ({}, {}, True),
        ({"open_allowed": False}, {}, False),
        ({}, {"circuit_since_s": AT_S - 120.0}, True),
        ({}, {"circuit_since_s": AT_S - 119.0}, False),
        ({"rarity_s": 7.0, "needed_s": 7.0}, {}, True),
        ({"rarity_s": 6.9, "needed_s": 7.0}, {}, False),
        ({"rarity_s": 6.9, "needed_s": 7.0}, {"applied": HALF}, True),  # the same episode
    ],
)
@pytest.mark.parametrize("regime", [Regime.SATURATED, Regime.DEAD])
def test_cutting_traffic_needs_dwell_proof_and_the_fleets_permission(regime, change, memory, cut):
    """Two minutes of dwell; evidence as rare as was promised, at least."""
    counts = counted(600, timeouts=480 if regime == Regime.DEAD else 450)
    before = law(ZERO, bad_count=2)._replace(**memory)
    wish = wish_two_loop(before, moment(counts, regime, **change), PLAIN)
    assert (wish.setpoint != before.applied) is cut


@pytest.mark.parametrize(("requests", "short", "span_s", "cut"), [(10, 0, 60.0, True), (9, 0, 60.0, False),
                         (9, 1, 60.0, True), (10, 0, 60.1, False), (10, 0, 0.0, False),
                         (1, 0, 0.5, True)])  # fmt: skip
def test_cutting_traffic_needs_ten_calls_a_minute(requests, short, span_s, cut):
    """Refused ones count: they were offered."""
    counts = counted(requests, fast=requests, short=short, span_s=span_s)
    wish = wish_two_loop(law(ZERO), moment(counts, Regime.DEAD), PLAIN)
    assert (wish.setpoint.circuit == CircuitState.OPEN) is cut


def test_too_little_traffic_is_named_with_its_rate():
    """9 a minute of 10."""
    wish = wish_two_loop(law(NOMINAL, useless=True), moment(counted(9, fast=9), Regime.DEAD), PLAIN)
    low = note(Reason.TRAFFIC_TOO_LOW_TO_OPEN, 9.0, 10.0, 9)
    assert wish == Wish(ZERO, Regime.DEAD, (SAID, low), 0, 0, True)


def test_a_pool_of_no_length_has_no_rate():
    """No window was pooled: 0 a minute, whatever was counted."""
    now = moment(counted(10, fast=10, span_s=0.0), Regime.DEAD)
    low = note(Reason.TRAFFIC_TOO_LOW_TO_OPEN, 0.0, 10.0, 10)
    assert wish_two_loop(law(NOMINAL), now, PLAIN).evidence == (SAID, low)


@pytest.mark.parametrize("applied", [NOMINAL, HALF])
def test_death_opens_with_the_close_after_of_a_dead_target(applied):
    """Not with that of shedding, should it have been shed before."""
    counts = counted(600, fast=590)
    before = law(applied._replace(close_after=20), useless=True, bad_count=2, clean_count=2)
    wish = wish_two_loop(before, moment(counts, Regime.DEAD, wide=counted(700, fast=690)), PLAIN)
    assert wish == Wish(OPEN, Regime.DEAD, (SAID,), 0, 0, True)


def test_an_open_circuit_of_a_dead_target_stays_as_it_is():
    """Only its retries go."""
    wish = wish_two_loop(
        law(OPEN._replace(budget_ratio=0.2)), moment(counted(600, fast=600), Regime.DEAD), PLAIN
    )
    assert wish == Wish(OPEN, Regime.DEAD, (SAID,), 0, 0, False)


def test_opening_needs_the_wider_pool_over_the_open_trip():
    """60 of 100 is the trip of 0.6, and not over it."""
    weak = moment(counted(600, fast=600), Regime.DEAD, wide=counted(100, fast=60))
    said = note(Reason.NOT_ENOUGH_DATA, 0.6, 0.6, 100)
    assert wish_two_loop(law(NOMINAL), weak, PLAIN) == Wish(ZERO, Regime.DEAD, (SAID, said), 0, 0, False)
    enough = moment(counted(600, fast=600), Regime.DEAD, wide=counted(100, fast=61))
    assert wish_two_loop(law(NOMINAL), enough, PLAIN).setpoint == OPEN


def test_opening_needs_the_bound_of_its_own_confidence_and_the_learned_bursts():
    """10 of 100, z = 2: 0.0546 with independent failures; 0.1 without a bound; the trip is 0.06."""
    trips = moment(HALF_LOST).trips._replace(open=0.06)
    sure, bursty = Baseline(), Baseline(dispersion=4.0)
    for requests, base, opens in ((400, sure, True), (100, sure, False), (400, bursty, False)):
        now = moment(counted(requests, fast=requests // 10), Regime.DEAD, base=base, trips=trips)
        wish = wish_two_loop(law(NOMINAL), now, PLAIN._replace(z_open=2.0))
        assert (wish.setpoint.circuit == CircuitState.OPEN) is opens


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"open_allowed": False}, (note(Reason.OPEN_SHARE_LIMITED, 1.0, 0.3, 0),)),
        ({"rarity_s": 6.9, "needed_s": 7.0}, (note(Reason.OPEN_UNPROVEN, 6.9, 7.0, 600),)),
        ({"rarity_s": 7.0, "needed_s": 7.0}, (note(Reason.OPEN_PROVEN, 7.0, 7.0, 600),)),
        ({"rarity_s": 0.5, "needed_s": 0.5}, (note(Reason.OPEN_PROVEN, 0.5, 0.5, 600),)),
        ({}, ()),
    ],
)
def test_the_reason_why_a_dead_target_is_opened_or_not_is_named(change, said):
    """With the numbers that decided."""
    wish = wish_two_loop(law(NOMINAL), moment(counted(600, fast=600), Regime.DEAD, **change), PLAIN)
    assert wish.evidence == (SAID, *said)


def test_a_half_open_circuit_needs_no_proof_and_names_none():
    """What is cut already is the same episode."""
    now = moment(counted(600, fast=600), Regime.DEAD, rarity_s=1.0, needed_s=7.0)
    assert wish_two_loop(law(HALF), now, PLAIN) == Wish(OPEN, Regime.DEAD, (SAID,), 0, 0, False)


@pytest.mark.parametrize(
    ("counts", "share"),
    [
        (counted(60, fast=60), 0.1),
        (counted(50, fast=50), 0.12),
        (counted(7, fast=7), 6 / 7),
        (counted(6, fast=6), 1.0),
        (counted(4, fast=4), 1.0),
        (counted(1, fast=1), 1.0),
        (counted(12, fast=12, span_s=0.0), 1.0),  # a rate that nobody knows: no share can be left out
    ],
)
def test_probes_are_six_a_minute_and_at_least_a_tenth(counts, share):
    """Or all calls, if there are no more than six."""
    policy = PLAIN._replace(open_per_min_min=0.0)
    wish = wish_two_loop(law(NOMINAL), moment(counts, Regime.DEAD), policy)
    assert wish.setpoint == OPEN._replace(probe_ratio=share)


def test_probes_of_a_very_quiet_target_are_a_share_too():
    """A probe in four minutes of a call in two."""
    policy = PLAIN._replace(open_per_min_min=0.0, probe_per_min_min=0.25)
    now = moment(counted(1, fast=1, span_s=120.0), Regime.DEAD)
    assert wish_two_loop(law(NOMINAL), now, policy).setpoint == OPEN._replace(probe_ratio=0.5)


def test_exactly_enough_traffic_is_not_too_low():
    """Ten a minute: it is the fleet that forbids."""
    now = moment(counted(10, fast=10), Regime.DEAD, open_allowed=False)
    assert wish_two_loop(law(NOMINAL), now, PLAIN).evidence[1].reason == Reason.OPEN_SHARE_LIMITED


def test_throttling_withdraws_retries_and_lengthens_the_first_pause():
    """And forgets what it counted."""
    memory = law(NOMINAL, bad_count=2, clean_count=2, useless=True)
    wanted = NOMINAL._replace(budget_ratio=0.1, throttle_base_ms=4_000)
    wish = wish_two_loop(memory, moment(counted(600), Regime.THROTTLED), PLAIN)
    assert wish == Wish(wanted, Regime.THROTTLED, (SAID,), 0, 0, True)


@pytest.mark.parametrize(("nominal", "budget"), [(0.2, 0.1), (0.1, 0.1), (0.05, 0.05), (0.0, 0.0)])
@pytest.mark.parametrize("before", [0.0, 3.0])
def test_throttling_never_gives_more_retries_than_the_operator_gives_in_health(before, nominal, budget):
    """A tenth is what is left of a larger budget, not what a target that asks for less is to get."""
    policy = PLAIN._replace(budget_nominal=nominal)
    applied = NOMINAL._replace(budget_ratio=before)
    wish = wish_two_loop(law(applied), moment(counted(600), Regime.THROTTLED), policy)
    assert wish.setpoint == applied._replace(budget_ratio=budget, throttle_base_ms=4_000)


# --- partial failure ---------------------------------------------------------------------

HALF_FAIL = counted(600, fast=300)  # asks for 0.875 retries per request


@pytest.mark.parametrize(
    ("failed", "share", "before", "after"),
    [(60, 0.1, 0.2, 0.1), (0, 0.0, 0.1, 0.1), (-1, 0.5, 0.05, 0.05), (-1, 0.5, 0.0, 0.0)],
)
def test_retries_that_were_found_useless_stay_withdrawn(failed, share, before, after):
    """Down to a tenth, and nothing is given back that something else took; unmeasured, the ratio stands in.

    The limit is 2.5 x 0.5^4 + 5 % = 20.6 %.
    """
    counts = counted(600, fast=300, failed=failed)
    memory = law(NOMINAL._replace(budget_ratio=before), useless=True, bad_count=2, clean_count=2)
    wish = wish_two_loop(memory, moment(counts, Regime.BROKEN), PLAIN)
    no_help = note(Reason.RETRIES_DO_NOT_HELP, share, 2.5 / 16 + 0.05, 600)
    left = NOMINAL._replace(budget_ratio=after)
    assert wish == Wish(left, Regime.USELESS_RETRIES, (SAID, no_help), 0, 0, True)


def test_useless_retries_fall_back_to_a_lower_nominal_budget():
    """From a raised one: a tenth would still be twice what the operator gives in health."""
    policy = PLAIN._replace(budget_nominal=0.05)
    memory = law(NOMINAL._replace(budget_ratio=3.0), useless=True)
    wish = wish_two_loop(memory, moment(counted(600, fast=300, failed=300), Regime.BROKEN), policy)
    assert wish.setpoint == NOMINAL._replace(budget_ratio=0.05)


@pytest.mark.parametrize(("regime", "count"), [(Regime.BROKEN, 3), (Regime.NOMINAL, 1)])
def test_a_budget_exactly_at_the_cover_is_left_alone(regime, count):
    """1.25 x 0.875 = 1.09375; windows are counted only while the regime lasts."""
    enough = NOMINAL._replace(budget_ratio=1.09375)
    now = moment(HALF_FAIL, Regime.BROKEN)
    wish = wish_two_loop(law(enough, regime, bad_count=2, clean_count=2), now, DEAR)
    assert wish == Wish(enough, Regime.BROKEN, (SAID,), count, 0, False)
    less = law(enough._replace(budget_ratio=1.09), regime, bad_count=2)
    assert wish_two_loop(less, now, DEAR).setpoint.budget_ratio == 3.0


@pytest.mark.parametrize(
    ("requests", "bad_count", "retry", "raised"),
    [
        (40, 0, 0.25, True),  # enough to act at once
        (38, 0, 0.25, False),  # few: a second bad window decides
        (38, 1, 0.25, True),
        (38, 1, 0.5, False),  # the second one is at its trip, not over it
    ],
)
def test_few_requests_ask_for_a_second_bad_window(requests, bad_count, retry, raised):
    """Forty without a failure are what a clean verdict needs, too."""
    counts = counted(requests, fast=requests // 2)
    now = moment(counts, Regime.BROKEN, trips=moment(counts).trips._replace(retry=retry))
    wish = wish_two_loop(law(NOMINAL, Regime.BROKEN, bad_count=bad_count), now, DEAR)
    assert wish.setpoint.budget_ratio == (1.0 if raised else 0.2)


def _proven(per_s: float) -> Baseline:
    return Baseline(proven_per_s=per_s)


@pytest.mark.parametrize(
    ("before", "base", "settled", "after", "reason"),
    [
        # 10 a second x 1.875 = 18.75, of 1.2 x 15.625.
        (0.2, _proven(15.625), False, 3.0, Reason.HEADROOM_PROVEN),
        (0.2, _proven(15.6), True, 1.0, Reason.NO_HEADROOM),
        (0.2, _proven(15.6), False, 0.2, Reason.NO_HEADROOM),
        (0.99, _proven(0.0), True, 1.0, Reason.NO_HEADROOM),
        (1.0, _proven(0.0), True, 3.0, Reason.NO_HEADROOM),
    ],
)
def test_the_budget_goes_up_where_capacity_is_proven_else_by_steps(before, base, settled, after, reason):
    """Proof needs no settled window, steps do."""
    memory = law(NOMINAL._replace(budget_ratio=before), Regime.BROKEN, bad_count=4)
    wish = wish_two_loop(memory, moment(HALF_FAIL, Regime.BROKEN, settled=settled, base=base), DEAR)
    said = note(reason, 18.75, 1.2 * base.proven_per_s, 600)
    raised = NOMINAL._replace(budget_ratio=after)
    assert wish == Wish(raised, Regime.BROKEN, (SAID, said), 5, 0, False)


def test_capacity_under_one_call_a_second_can_be_proven_too():
    """40 in a quarter of an hour x 1.875 = 0.083 a second, of 1.2 x 0.07 = 0.084."""
    counts = counted(40, fast=20, span_s=900.0)
    for per_s, budget in ((0.07, 3.0), (0.069, 1.0)):
        now = moment(counts, Regime.BROKEN, base=_proven(per_s))
        assert wish_two_loop(law(NOMINAL), now, DEAR).setpoint.budget_ratio == budget


@pytest.mark.parametrize(
    ("timeouts", "said", "budget"), [(18, SAID, 3.0), (19, SAID, 0.2), (19, SILENT, 3.0)]
)
def test_time_outs_over_the_floor_forbid_more_retries(timeouts, said, budget):
    """3 % of 600 are 18; unless the rest is as quick as ever."""
    counts = counted(600, fast=300 - timeouts, timeouts=timeouts)
    now = moment(counts, Regime.BROKEN, said=said, base=_proven(100.0))
    assert wish_two_loop(law(NOMINAL), now, DEAR).setpoint.budget_ratio == budget
    assert wish_two_loop(law(NOMINAL), now, DEAR).evidence[1].reason in (
        Reason.NO_HEADROOM, Reason.HEADROOM_PROVEN,
    )  # fmt: skip


def test_no_budget_is_raised_behind_a_gate():
    """What comes through is no sample of what would."""
    wish = wish_two_loop(law(HALF), moment(HALF_FAIL, Regime.BROKEN), DEAR)
    assert wish == Wish(HALF, Regime.BROKEN, (SAID,), 1, 0, False)


@pytest.mark.parametrize(
    ("bad_count", "settled", "timeouts", "said", "restored"),
    [
        (3, True, 0, SAID, True),  # the fourth window of 2 x 2
        (2, True, 0, SAID, False),
        (3, False, 0, SAID, False),
        (3, True, 149, SAID, True),
        (3, True, 150, SAID, False),  # half of the failures are time-outs: the same trouble, milder
        (3, True, 150, SILENT, True),
    ],
)
def test_a_budget_that_was_taken_returns_to_nominal_first(bad_count, settled, timeouts, said, restored):
    """After its hold, and never at once to all retries."""
    counts = counted(600, fast=300 - timeouts, timeouts=timeouts)
    memory = law(ZERO, Regime.BROKEN, bad_count=bad_count, hold_factor=2)
    now = moment(counts, Regime.BROKEN, settled=settled, said=said, base=_proven(100.0))
    wish = wish_two_loop(memory, now, DEAR)
    waiting = note(Reason.WAITING_FOR_HOLD, bad_count + 1.0, 4.0, 0)
    after = NOMINAL if restored else ZERO
    assert wish == Wish(after, Regime.BROKEN, (said, waiting), bad_count + 1, 0, False)


def test_silent_failures_cost_a_third_too():
    """300 time-outs beside quick answers: 0.875 x 0.33 x 1.25 = 0.36, under a budget of 0.4."""
    counts = counted(600, timeouts=300)
    memory = law(NOMINAL._replace(budget_ratio=0.4))
    for said, budget in ((SILENT, 0.4), (SILENT._replace(reason=Reason.HEALTHY), 0.4)):
        wish = wish_two_loop(memory, moment(counts, Regime.BROKEN, said=said), Policy())
        assert wish.setpoint.budget_ratio == budget
        assert len(wish.evidence) == (1 if said is SILENT else 2)
