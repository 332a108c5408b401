"""Laws of the closed loop: nothing is lost or random, storms feed themselves, budgets end them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.call import Counters, Target
from flyball.contract import DEFAULT_PARAMS, BreakerParams, RetryParams, TargetParams, ThrottleParams
from flyball_analytics.plant import Environment, Fault, FaultKind, Service, Traffic, Window, World
from flyball_analytics.plant.day import drain_counters

NO_BREAKER = BreakerParams(failure_ratio=1.0, min_calls=10_000, consecutive_failures=0)
NO_THROTTLE = ThrottleParams(cap_ratio=0.0)


def fixed(attempts: int, *, budget: float = 3.0, burst: float = 10.0) -> TargetParams:
    """Return parameters with so many attempts, a budget, and neither throttle nor breaker."""
    retry = RetryParams(max_attempts=attempts, budget_ratio=budget, budget_burst=burst)
    return TargetParams(retry=retry, throttle=NO_THROTTLE, breaker=NO_BREAKER)


def never(environment: Environment, at_s: float) -> None:
    """Publish nothing."""
    environment.check_at_s = math.inf


def world(params: TargetParams, *faults: Fault, rate: float = 14.0, seed: int = 1, **service: float) -> World:
    """Return a world with a capacity of 20 per second."""
    spec = Service("api", Traffic(rate), work_mean_s=0.2, **service)  # type: ignore[arg-type]  # test shorthand
    return World(
        spec,
        faults=faults,
        seed=seed,
        start_s=0.0,
        new_target=lambda: Target("api", params=params),
        refresh=never,
    )


def finished(simulated: World, minutes: int) -> Window:
    """Run so many minutes, let everything end, and return the sums."""
    simulated.advance(minutes * 60.0)
    simulated.settle()
    return simulated.ledger.window(0.0, minutes * 60.0)


def some_fault(kind: FaultKind, start: int, minutes: int, size: float, ramp_s: float) -> Fault:
    """Return a fault of any kind; a throttle's size is a rate, all others' a share or a factor."""
    size *= 8.0 if kind is FaultKind.THROTTLE else 1.0
    return Fault(kind, start * 10.0, start * 10.0 + minutes * 60.0, size, ramp_s)


FAULTS = st.builds(
    some_fault,
    kind=st.sampled_from(FaultKind),
    start=st.integers(0, 20),
    minutes=st.integers(1, 4),
    size=st.floats(0.05, 1.0),
    ramp_s=st.sampled_from([0.0, 60.0]),
)


@settings(max_examples=25, deadline=None)
@given(
    faults=st.lists(FAULTS, max_size=2),
    seed=st.integers(0, 1_000),
    params=st.sampled_from([DEFAULT_PARAMS, fixed(4), fixed(1), fixed(3, budget=0.2, burst=3.0)]),
)
def test_every_request_that_arrives_succeeds_fails_or_is_rejected(
    faults: list[Fault], seed: int, params: TargetParams
) -> None:
    """Conservation: a request lost by the model would be goodput won by the policy."""
    simulated = world(params, *faults, seed=seed)
    total = finished(simulated, 6)
    assert total.arrived == total.ok + total.failed + total.rejected
    counted = drain_counters(simulated.environments)
    # What the clients count is what the ledger saw; calls cut off by the end are not counted by a client.
    assert counted.requests + counted.short_circuited <= total.arrived
    assert counted.requests + counted.retries <= total.attempts


def test_clients_report_exactly_what_happened_when_nothing_is_cut_off() -> None:
    """The controller steers by these counts: they must be the ledger's."""
    simulated = world(DEFAULT_PARAMS, Fault(FaultKind.ERRORS, 60.0, 240.0, 0.3))
    total = finished(simulated, 6)
    counted = drain_counters(simulated.environments)
    assert counted.requests == total.arrived - total.rejected
    assert counted.short_circuited == total.rejected
    assert counted.request_failures == total.failed
    assert counted.requests + counted.retries == total.attempts
    assert drain_counters(simulated.environments).requests == 0


def test_one_seed_is_one_history_and_another_seed_another() -> None:
    """Everything is drawn from named streams, nothing from the process."""
    fault = Fault(FaultKind.CAPACITY_LOSS, 60.0, 180.0, 0.75)
    first, again, other = (finished(world(DEFAULT_PARAMS, fault, seed=s), 6) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_two_policies_see_the_same_arrivals() -> None:
    """Otherwise a difference between two arms could be luck."""
    fault = Fault(FaultKind.CAPACITY_LOSS, 60.0, 180.0, 0.75)
    assert finished(world(fixed(4), fault), 8).arrived == finished(world(fixed(1), fault), 8).arrived


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_static_retries_stay_down_after_the_trigger_is_gone(seed: int) -> None:
    """At 70 % utilisation a storm of four attempts is 2.8 times the capacity: it sustains itself."""
    simulated = world(fixed(4), Fault(FaultKind.CAPACITY_LOSS, 120.0, 360.0, 0.75), seed=seed)
    finished(simulated, 20)
    assert simulated.ledger.window(0.0, 120.0).goodput_ratio > 0.99
    assert simulated.ledger.window(600.0, 1_200.0).goodput_ratio < 0.05
    assert simulated.ledger.recovered_after_s(360.0, limit_s=1_200.0) is None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_retry_budget_of_a_fifth_recovers_by_itself(seed: int) -> None:
    """1.2 times 70 % is 84 %: the queue drains although nobody changed anything."""
    budget = fixed(4, budget=0.2, burst=3.0)
    simulated = world(budget, Fault(FaultKind.CAPACITY_LOSS, 120.0, 360.0, 0.75), seed=seed)
    finished(simulated, 20)
    recovered_s = simulated.ledger.recovered_after_s(360.0, limit_s=1_200.0)
    assert recovered_s is not None
    assert recovered_s <= 180.0
    assert simulated.ledger.window(600.0, 1_200.0).goodput_ratio > 0.98


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_independent_failures_leave_e_to_the_power_of_attempts(retries: int) -> None:
    """Success with R retries is 1 - e^(R+1): 0.70, 0.91, 0.9919 for e = 0.3."""
    simulated = world(
        fixed(retries + 1), Fault(FaultKind.ERRORS, 0.0, 1_200.0, 0.3), rate=6.0, error_ratio=0.0
    )
    total = finished(simulated, 20)
    expected = {0: 0.7, 1: 0.91, 3: 0.9919}[retries]
    spread = math.sqrt(expected * (1.0 - expected) / total.arrived)
    assert abs(total.goodput_ratio - expected) < 4.0 * spread


def test_poison_fails_whatever_is_tried() -> None:
    """12 % of requests, not of attempts: three retries save none of them."""
    simulated = world(fixed(4), Fault(FaultKind.POISON, 0.0, 1_200.0, 0.12), rate=6.0, error_ratio=0.0)
    total = finished(simulated, 20)
    assert abs(total.goodput_ratio - 0.88) < 4.0 * math.sqrt(0.88 * 0.12 / total.arrived)


def test_a_throttle_lets_its_limit_through() -> None:
    """5 of 14 per second: without retries 36 % succeed."""
    simulated = world(fixed(1), Fault(FaultKind.THROTTLE, 0.0, 600.0, 5.0), error_ratio=0.0)
    assert finished(simulated, 10).goodput_ratio == pytest.approx(5.0 / 14.0, abs=0.02)
    assert drain_counters(simulated.environments).throttles > 0


def test_an_outage_fails_fast_and_a_black_hole_only_after_the_time_out() -> None:
    """The difference that the controller must see: class of failure and latency."""
    outage = world(fixed(1), Fault(FaultKind.OUTAGE, 60.0, 120.0, 1.0))
    hole = world(fixed(1), Fault(FaultKind.BLACK_HOLE, 60.0, 120.0, 1.0))
    for simulated in (outage, hole):
        simulated.advance(60.0)
        drain_counters(simulated.environments)
        simulated.advance(120.0)
    refused, silent = (drain_counters(simulated.environments) for simulated in (outage, hole))
    assert refused.errors_fast > 600
    assert refused.timeouts <= 20  # of requests that had arrived before
    assert max(refused.latencies_ms) <= 1_000.0
    assert silent.timeouts > 600
    assert sorted(silent.latencies_ms)[len(silent.latencies_ms) // 2] == pytest.approx(1_000.0)


def test_added_latency_harms_nothing_and_costs_no_capacity() -> None:
    """120 ms more is slower and well."""
    plain, slower = world(fixed(1)), world(fixed(1), Fault(FaultKind.LATENCY, 0.0, 300.0, 0.12))
    assert finished(plain, 5).goodput_ratio == pytest.approx(finished(slower, 5).goodput_ratio, abs=0.005)
    assert slower.ledger.step(30.0).sick is False
    assert plain.downstream.work_done_s == pytest.approx(slower.downstream.work_done_s, rel=0.02)


def test_environments_are_reused_last_used_first_and_reclaimed_when_idle() -> None:
    """Few environments see most calls, and after a burst the rest go away."""
    simulated = world(fixed(1), Fault(FaultKind.BLACK_HOLE, 60.0, 120.0, 1.0), rate=5.0)
    simulated.advance(180.0)
    crowd = len(simulated.environments)
    simulated.advance(900.0)
    assert simulated.peak_environments == crowd
    assert len(simulated.environments) < crowd


def test_without_a_free_environment_the_platform_refuses() -> None:
    """One environment cannot hold two calls at once; the refused request counts as failed."""
    simulated = world(fixed(1), environments_max=1)
    total = finished(simulated, 2)
    assert total.failed > 0
    assert simulated.peak_environments == 1
    assert total.arrived == total.ok + total.failed


def test_draining_by_hand_fails_what_is_in_flight_and_ends_the_storm() -> None:
    """How published retry storms end: traffic is stopped, the queue emptied."""
    simulated = world(fixed(4), Fault(FaultKind.CAPACITY_LOSS, 60.0, 180.0, 0.75))
    simulated.advance(600.0)
    assert not simulated.healthy
    simulated.drain_by_hand()
    simulated.advance(900.0)
    simulated.settle()
    assert simulated.ledger.window(660.0, 900.0).goodput_ratio > 0.98
    total = simulated.ledger.window(0.0, 900.0)
    assert total.arrived == total.ok + total.failed


def test_time_may_be_skipped_only_with_nothing_in_flight() -> None:
    """And settled only between minutes: both would lose requests."""
    simulated = world(fixed(1))
    simulated.advance(90.0)
    with pytest.raises(ValueError, match="start of a minute"):
        simulated.settle()
    with pytest.raises(ValueError, match="in flight"):
        simulated.resume(600.0)
    simulated.advance(120.0)
    simulated.settle()
    simulated.resume(600.0)
    simulated.advance(660.0)
    assert simulated.ledger.step(605.0).arrived > 0


def test_a_fault_off_the_grid_is_refused() -> None:
    """The plant would look at it too late."""
    with pytest.raises(ValueError, match="multiple of 10 s"):
        world(fixed(1), Fault(FaultKind.OUTAGE, 5.0, 60.0, 1.0))


def test_refresh_is_asked_when_an_environment_wants_it() -> None:
    """Configuration reaches an environment only through a call it makes."""
    asked: list[float] = []

    def every_five_s(environment: Environment, at_s: float) -> None:
        asked.append(at_s)
        environment.check_at_s = at_s + 5.0

    spec = Service("api", Traffic(0.2))
    simulated = World(
        spec, faults=(), seed=1, start_s=0.0, new_target=lambda: Target("api"), refresh=every_five_s
    )
    simulated.advance(600.0)
    assert 20 < len(asked) <= 120 * simulated.peak_environments
    assert drain_counters(simulated.environments).requests > 60
    assert Counters().requests == 0
