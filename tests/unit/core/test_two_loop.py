"""The two-loop law, regime by regime: what is done, when, and what is not done."""

from __future__ import annotations

from itertools import pairwise

import pytest

from core_runs import calm, changes, run, window
from flyball.contract import CircuitState
from flyball_controller.core.model import Observation, Reason, Regime
from flyball_controller.core.policy import Policy, Promise


def _after_a_day(incident: list, policy: Policy | None = None):
    state, decisions = run(calm(0, 600, fast=1), policy)
    assert not changes(decisions)
    return run(incident, policy, state)


def test_saturation_takes_the_budget_to_zero_in_one_step():
    """Retries feed the storm, and 0 is the only value that is safe for every load under capacity."""
    _, decisions = _after_a_day([window(600, timeouts=200)])
    assert decisions[0].regime == Regime.SATURATED
    assert decisions[0].applied.budget_ratio == 0.0
    assert decisions[0].applied.circuit == CircuitState.CLOSED
    assert decisions[0].urgent
    assert decisions[0].evidence[0].reason == Reason.TIMEOUTS_OVER_TRIP


def test_a_lasting_deficit_is_shed_to_the_measured_capacity():
    """Half of the calls time out even without retries: admit 0.85 x 0.5, down to a tenth = 0.4."""
    _, decisions = _after_a_day([window(600 + i, timeouts=300) for i in range(6)])
    shed = [d for d in changes(decisions) if d.applied.circuit == CircuitState.HALF_OPEN]
    assert len(shed) == 1
    assert shed[0].applied.probe_ratio == 0.4
    assert shed[0].applied.close_after == Policy().close_after_shed
    # Budget 0 at window 600 (decided 80 s after its start); settled windows are 603, 604, 605.
    assert decisions.index(shed[0]) == 5


def test_a_black_hole_is_left_to_the_clients_own_breakers():
    """Nothing is served, and every client sees that for itself: no retries, and nothing to lag behind."""
    _, decisions = _after_a_day([window(600 + i, timeouts=600) for i in range(12)])
    assert {d.applied.circuit for d in decisions} == {CircuitState.CLOSED}
    assert decisions[-1].applied.budget_ratio == 0.0


def test_a_short_saturation_is_not_shed():
    """Three windows, then clean: nothing was cut, the budget returns after its hold."""
    _, decisions = _after_a_day([*(window(600 + i, timeouts=300) for i in range(3)), *calm(603, 12)])
    assert all(d.applied.circuit == CircuitState.CLOSED for d in decisions)
    assert decisions[-1].applied.budget_ratio == 0.2


def test_death_opens_with_probes():
    """There is no goodput to win: save calls, leave a tenth as probes."""
    _, decisions = _after_a_day([window(600 + i, fast=590) for i in range(4)])
    applied = decisions[3].applied
    assert decisions[3].regime == Regime.DEAD
    assert (applied.circuit, applied.probe_ratio, applied.budget_ratio) == (CircuitState.OPEN, 0.1, 0.0)


def test_retries_stop_at_the_first_dead_window_and_traffic_only_with_rare_evidence():
    """An evidence ladder: what is cheap to take back needs a bound, cutting traffic keeps the promise."""
    _, decisions = _after_a_day([window(600 + i, fast=590) for i in range(4)])
    assert [d.applied.budget_ratio for d in decisions] == [0.0] * 4
    assert [d.applied.circuit.name for d in decisions] == ["CLOSED"] * 3 + ["OPEN"]
    # The second window began before the budget changed: it shows the old setting and is not judged.
    first, third, fourth = (decisions[i].evidence[1] for i in (0, 2, 3))
    assert (first.reason, third.reason) == (Reason.OPEN_UNPROVEN,) * 2
    assert first.measured < third.measured < third.threshold
    assert fourth.reason == Reason.OPEN_PROVEN
    assert fourth.measured >= fourth.threshold == 31_557_600.0


def test_without_a_promise_the_bound_alone_opens():
    """The literal rules open at once; whoever wants that says so."""
    _, decisions = _after_a_day([window(600, fast=590)], Policy(promise=Promise.NONE))
    assert decisions[0].applied.circuit == CircuitState.OPEN
    assert Reason.OPEN_PROVEN not in {e.reason for e in decisions[0].evidence}


def test_a_promise_for_independent_failures_opens_at_once():
    """600 attempts are 600 pieces of evidence if they fail independently."""
    _, decisions = _after_a_day([window(600, fast=590)], Policy(promise=Promise.INDEPENDENT))
    assert decisions[0].applied.circuit == CircuitState.OPEN


def test_one_window_of_nothing_but_failures_never_opens():
    """A burst of any size is one piece of evidence: its size says nothing about how often bursts come."""
    _, decisions = _after_a_day([window(600, requests=2_000_000, fast=2_000_000), *calm(601, 20)])
    assert {d.applied.circuit for d in decisions} == {CircuitState.CLOSED}
    assert decisions[0].applied.budget_ratio == 0.0


def test_shedding_keeps_the_promise_too():
    """A quarter times out: a window is worth 0.1 + 0.9 x 0.25 / 0.03 = 7.6; 7.6^7 min are 2.8 years."""
    incident = [window(600 + i, timeouts=150) for i in range(9)]
    for promise, first in ((Promise.NONE, 5), (Promise.ANY, 6)):
        _, decisions = _after_a_day(incident, Policy(promise=promise))
        shed = [i for i, d in enumerate(decisions) if d.applied.circuit == CircuitState.HALF_OPEN]
        assert shed[0] == first


def test_probes_have_a_floor_per_minute():
    """At 20 requests a minute a tenth would be 2 probes: 6 a minute are 0.3."""
    state, _ = run(calm(0, 600, requests=20))
    _, decisions = run([window(600 + i, requests=20, fast=20) for i in range(4)], state=state)
    opened = [d for d in changes(decisions) if d.applied.circuit == CircuitState.OPEN]
    assert opened[0].applied.probe_ratio == 0.3


def test_a_dead_target_with_little_traffic_is_never_opened():
    """Five requests a minute cannot tell when it is back."""
    state, _ = run(calm(0, 600, requests=5))
    _, decisions = run([window(600 + i, requests=5, fast=5) for i in range(30)], state=state)
    assert all(d.applied.circuit == CircuitState.CLOSED for d in decisions)
    assert decisions[-1].applied.budget_ratio == 0.0
    assert any(e.reason == Reason.TRAFFIC_TOO_LOW_TO_OPEN for d in decisions for e in d.evidence)


def test_partial_fast_failures_raise_the_budget_where_capacity_is_proven():
    """45 % fail: 4 attempts leave 4 %. A fleet that once carried 16/s can carry 10/s x 1.744."""
    state, _ = run([*calm(0, 60, requests=960), *calm(60, 60)])
    _, decisions = run([window(120, fast=270)], state=state)
    assert decisions[0].regime == Regime.BROKEN
    assert decisions[0].applied.budget_ratio == 3.0
    assert not decisions[0].urgent


def test_without_proven_headroom_the_budget_rises_by_steps():
    """60 % errors ask for 1.176 retries per request; at a cost of 1 each: budget 1, then 3."""
    _, decisions = _after_a_day([window(600 + i, fast=360) for i in range(5)], Policy(fast_cost=1.0))
    assert [d.applied.budget_ratio for d in changes(decisions)] == [1.0, 3.0]


def test_the_budget_rises_no_further_than_the_failures_need():
    """60 % errors ask for 1.176 retries, which cost a third after fast errors: 1 covers it."""
    _, decisions = _after_a_day([window(600 + i, fast=360) for i in range(12)])
    assert [d.applied.budget_ratio for d in changes(decisions)] == [1.0]


def test_three_in_ten_fast_errors_are_covered_by_the_nominal_budget():
    """0.417 retries at 0.33 cost 0.14 per request, of 0.2: no deployment is needed."""
    _, decisions = _after_a_day([window(600 + i, fast=180) for i in range(12)])
    assert not changes(decisions)
    assert decisions[-1].regime == Regime.BROKEN


def test_failures_that_the_nominal_budget_covers_change_nothing():
    """5 % errors need 0.05 retries per request; the budget allows 0.2."""
    _, decisions = _after_a_day([window(600 + i, fast=30) for i in range(10)])
    assert not changes(decisions)
    assert decisions[0].regime == Regime.BROKEN


def _shard(minute: int) -> Observation:
    """Thirty of a hundred requests fail whatever is tried, three times more each."""
    return window(minute, fast=180, failed=180)._replace(attempts=600 + 3 * 180)


def test_useless_retries_are_withdrawn_and_latched():
    """One dead shard: 30 % of requests fail whatever is tried; independent failures would leave 0.8 %."""
    incident = [_shard(600 + i) for i in range(12)]
    _, decisions = _after_a_day(incident)
    assert decisions[-1].regime == Regime.USELESS_RETRIES
    assert decisions[-1].applied.budget_ratio == 0.1
    assert decisions[-1].applied.circuit == CircuitState.CLOSED
    budgets = [d.applied.budget_ratio for d in changes(decisions)]
    assert budgets == [0.1]


def test_throttling_asks_for_patience_not_for_retries():
    """Goodput is fixed by the target's limit: budget 0.1 and a longer first pause."""
    _, decisions = _after_a_day([window(600, throttles=240)])
    assert decisions[0].regime == Regime.THROTTLED
    assert decisions[0].applied.budget_ratio == 0.1
    assert decisions[0].applied.throttle_base_ms == 4_000


def test_slow_failures_are_saturation_even_before_they_time_out():
    """15 % errors, a few time-outs, and p99 at ten times its baseline."""
    _, decisions = _after_a_day([window(600, fast=80, timeouts=20, p99=2_000.0)])
    assert decisions[0].regime == Regime.SATURATED
    assert decisions[0].evidence[0].reason == Reason.LATENCY_OVER_BASELINE


def test_recovery_from_open_goes_half_open_closed_budget():
    """Each step waits until the last one has settled."""
    incident = [*(window(600 + i, fast=590) for i in range(8)), *calm(608, 30)]
    _, decisions = _after_a_day(incident)
    steps = [(d.applied.circuit.name, d.applied.budget_ratio) for d in changes(decisions)]
    assert steps == [
        ("CLOSED", 0.0),
        ("OPEN", 0.0),
        ("HALF_OPEN", 0.0),
        ("CLOSED", 0.0),
        ("CLOSED", 0.2),
    ]
    times = [d.at_s for d in changes(decisions)]
    assert min(b - a for a, b in pairwise(times)) >= 120.0


def test_partial_failures_right_after_saturation_do_not_bring_all_retries_back_at_once():
    """On the flank of a ramp, clean latency reads as headroom: the budget went 0, 3, 0, 3. Now by steps."""
    incident = [window(600, timeouts=300), *(window(601 + i, fast=360) for i in range(8))]
    _, decisions = _after_a_day(incident)
    assert [d.applied.budget_ratio for d in changes(decisions)] == [0.0, 0.2, 1.0]


def test_a_dead_target_with_little_traffic_gets_no_retries_at_all():
    """Twelve of twelve failed: three more attempts each would only wake it up slower."""
    state, _ = run(calm(0, 600, requests=3))
    _, decisions = run([window(600 + i, requests=3, fast=3) for i in range(20)], state=state)
    assert max(d.applied.budget_ratio for d in decisions) <= 1.0
    assert decisions[-1].regime == Regime.DEAD
    assert decisions[-1].applied.budget_ratio == 0.0


def _silent(minute: int):
    """A quarter of the calls vanish, and retries save most of them; the median is what it always was."""
    return window(minute, timeouts=150, failed=40)._replace(latency_ms_p50=100.0)


def test_a_node_that_swallows_its_calls_is_no_saturation():
    """Others answer as quickly as ever, so another attempt most likely meets a good node."""
    history = [w._replace(latency_ms_p50=100.0) for w in calm(0, 600, fast=1)]
    state, _ = run(history)
    _, decisions = run([_silent(600 + i) for i in range(4)], state=state)
    assert decisions[0].regime == Regime.BROKEN
    assert decisions[0].evidence[0].reason == Reason.SILENCE_AT_NORMAL_LATENCY
    # 0.328 retries at 0.33 cost 0.11 of 0.2: clients see by themselves that no queue is behind the time-outs.
    assert not changes(decisions)


def test_three_silent_in_ten_ask_for_more_than_the_nominal_budget_only_at_full_cost():
    """0.417 retries cost 0.14 of 0.2, and 1.25 x 0.14 = 0.17. At cost 1 they ask for twice the budget."""
    history = [w._replace(latency_ms_p50=100.0) for w in calm(0, 600, fast=1)]
    state, _ = run(history)
    silent = [window(600 + i, timeouts=180, failed=30)._replace(latency_ms_p50=100.0) for i in range(4)]
    assert not changes(run(silent, state=state)[1])
    raised = changes(run(silent, Policy(fast_cost=1.0), state=state)[1])
    assert [d.applied.budget_ratio for d in raised] == [1.0]


def test_no_budget_is_raised_where_part_of_the_failures_are_time_outs():
    """Headroom of better days led into a storm: 45 % errors ask for more, but 5 % time out, over 3 %."""
    for timeouts, budgets in ((30, []), (12, [1.0])):
        incident = [window(600 + i, fast=240, timeouts=timeouts) for i in range(3)]
        _, decisions = _after_a_day(incident)
        assert decisions[0].regime == Regime.BROKEN
        assert [d.applied.budget_ratio for d in changes(decisions)] == budgets


def test_time_outs_that_retries_repair_are_no_storm():
    """15 % come too late, 10 for good, under a quarter of 90: in a full queue retries time out, too."""
    _, decisions = _after_a_day([window(600 + i, timeouts=90, failed=10) for i in range(8)])
    assert not changes(decisions)
    assert {d.evidence[0].reason for d in decisions} == {Reason.RETRIES_REPAIR}
    # The second form of saturation: time-outs under 10 %, all failures over it, and slow.
    slow = [window(600 + i, fast=40, timeouts=50, failed=10, p99=2_000.0) for i in range(8)]
    assert not changes(_after_a_day(slow)[1])


def test_time_outs_that_retries_hardly_repair_are_saturation():
    """23 of 90 lost for good are over a quarter; where clients shed, who got through proves nothing.

    Nor do retries where most calls time out, nor what was not measured.
    """
    unrepaired = ((90, 23, 0), (90, 10, 45), (300, 10, 0), (90, -1, 0))
    for timeouts, failed, short in unrepaired:
        _, decisions = _after_a_day([window(600, timeouts=timeouts, failed=failed, short=short)])
        assert decisions[0].regime == Regime.SATURATED


def test_useless_retries_give_nothing_back_that_saturation_took():
    """The latch of a dead shard asked for 0.1 two minutes after a storm had been answered with 0: a flap."""
    shard = [_shard(600 + i) for i in range(4)]
    storm = [window(604, timeouts=300)]
    again = [_shard(605 + i) for i in range(8)]
    _, decisions = _after_a_day([*shard, *storm, *again])
    assert [d.applied.budget_ratio for d in changes(decisions)] == [0.1, 0.0]
    assert decisions[-1].regime == Regime.USELESS_RETRIES


def test_after_one_slow_window_a_silent_node_gets_its_retries_back():
    """Saturation for a minute took the budget; silence at normal latency must not keep it for the rest."""
    history = [w._replace(latency_ms_p50=100.0) for w in calm(0, 600, fast=1)]
    state, _ = run(history)
    slow = window(600, timeouts=150)._replace(latency_ms_p50=900.0)
    _, decisions = run([slow, *(_silent(601 + i) for i in range(8))], state=state)
    assert [d.applied.budget_ratio for d in changes(decisions)][:2] == [0.0, 0.2]


def test_a_relapse_doubles_the_hold():
    """Clean, restored, saturated again within ten minutes: the next restore waits twice as long."""
    first = [window(600, timeouts=300), *calm(601, 6)]
    second = [window(607, timeouts=300), *calm(608, 10)]
    _, decisions = _after_a_day([*first, *second])
    moved = [(i, d.applied.budget_ratio) for i, d in enumerate(decisions) if d.changed]
    assert [budget for _, budget in moved] == [0.0, 0.2, 0.0, 0.2]
    waits = [moved[1][0] - moved[0][0], moved[3][0] - moved[2][0]]
    assert waits[1] == waits[0] + 2


def test_the_hold_is_a_time_and_short_windows_do_not_shorten_it():
    """Budget 0 at 80 s; from 155 s on windows of 10 s are settled, the first starts at 160 s.

    Twelve of them are two minutes: the last starts at 270 s and arrives 30 s later.
    """
    storm = window(600, timeouts=300)
    short = [
        window(601, requests=100)._replace(
            start_s=storm.start_s + 60.0 + 10.0 * i, period_s=10.0, arrived_s=storm.start_s + 90.0 + 10.0 * i
        )
        for i in range(30)
    ]
    _, decisions = _after_a_day([storm, *short])
    moved = [(d.at_s - storm.start_s, d.applied.budget_ratio) for d in changes(decisions)]
    assert moved == [(80.0, 0.0), (300.0, 0.2)]


def test_an_hourly_batch_is_no_incident_and_the_same_level_elsewhere_is():
    """25 % errors at minutes 0-2 of every hour, learned; the same at minute 30 acts at once."""
    stream = [window(i, fast=150 if i % 60 < 3 else 1) for i in range(60 * 24)]
    state, _ = run(stream)
    _, batch = run([window(1440 + i, fast=150) for i in range(3)], state=state)
    assert not changes(batch)
    _, elsewhere = run([*calm(1440, 30, fast=1), window(1470, fast=150)], state=state)
    assert elsewhere[-1].regime == Regime.BROKEN
    assert {d.regime for d in batch} == {Regime.NOMINAL}


def test_a_slow_ramp_is_not_learned_as_normal():
    """25 minutes from 0 to 50 % time-outs: seen before it reaches 20 %."""
    ramp = [window(600 + i, timeouts=12 * i) for i in range(26)]
    _, decisions = _after_a_day(ramp)
    first = next(i for i, d in enumerate(decisions) if d.changed)
    assert 12 * first / 600 < 0.2


def test_three_requests_a_minute_do_not_trip_on_one_error():
    """One error in a minute of three is 33 %, and proves nothing."""
    stream = [window(i, requests=3, fast=1 if i % 50 == 0 else 0) for i in range(600)]
    _, decisions = run(stream)
    assert not changes(decisions)


def test_three_requests_a_minute_show_an_outage_within_minutes():
    """Every request fails: acted upon within five windows."""
    state, _ = run(calm(0, 600, requests=3))
    _, decisions = run([window(600 + i, requests=3, fast=3) for i in range(6)], state=state)
    assert any(d.changed for d in decisions[:5])


def test_one_wild_early_window_does_not_make_a_target_unclean_for_ever():
    """8 of 12 failed in its third minute: the burst widened every bound, so that nothing was clean again."""
    stream = [window(0, requests=1, fast=1), window(1, requests=720, fast=4), window(2, requests=12, fast=8)]
    state, _ = run(stream)
    _, decisions = run(calm(3, 60), state=state)
    assert decisions[-1].regime == Regime.NOMINAL


def test_the_window_in_which_it_begins_says_nothing_about_retries():
    """A quarter of a minute at 50 %: 12 % of the minute, of which half failed for good as budgets ran out."""
    state, _ = run(calm(0, 1440))
    begun = window(1440, fast=70)._replace(request_failures=35)
    state, decisions = run([begun], state=state)
    assert decisions[0].regime == Regime.BROKEN
    shard = window(1441, fast=70)._replace(request_failures=70, attempts=600 + 3 * 70)
    _, decisions = run([shard], state=state)
    assert decisions[0].regime == Regime.USELESS_RETRIES


@pytest.mark.parametrize(
    ("attempts", "regime"), [(0, "USELESS_RETRIES"), (733, "BROKEN"), (734, "USELESS_RETRIES")]
)
def test_retries_that_were_not_made_prove_nothing(attempts: int, regime: str):
    """A fifth fails; independence asks for 120 + 24 + 4.8 retries of 600 requests, nine tenths are 133.9."""
    state, _ = run(calm(0, 1440))
    state, _ = run([window(1440, fast=120)], state=state)
    state, decisions = run(
        [window(1441, fast=120)._replace(request_failures=60, attempts=attempts)], state=state
    )
    assert decisions[0].regime == Regime[regime]
