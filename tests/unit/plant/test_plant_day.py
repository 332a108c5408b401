"""Counting quiet minutes must change nothing but the cost."""

from __future__ import annotations

import math

import pytest

from flyball.call import Target
from flyball.contract import BreakerParams, RetryParams, TargetParams, ThrottleParams
from flyball_analytics.plant import Environment, Fault, FaultKind, QuietService, Service, ServiceDay, Traffic
from flyball_analytics.plant.ledger import Ledger
from flyball_analytics.plant.traffic import arrival_count, arrival_times

STATIC = TargetParams(
    retry=RetryParams(max_attempts=4, budget_ratio=3.0, budget_burst=10.0),
    throttle=ThrottleParams(cap_ratio=0.0),
    breaker=BreakerParams(failure_ratio=1.0, min_calls=10_000, consecutive_failures=0),
)
API = Service("api", Traffic(12.0), work_mean_s=0.2)
LOSS = Fault(FaultKind.CAPACITY_LOSS, 600.0, 840.0, 0.75)


def never(environment: Environment, at_s: float) -> None:
    """Publish nothing."""
    environment.check_at_s = math.inf


def day(
    *faults: Fault, service: Service = API, params: TargetParams = STATIC, rescue_after_s: float = 1_200.0
) -> ServiceDay:
    """Return a day that begins at time 0."""
    return ServiceDay(
        service,
        faults=faults,
        seed=3,
        start_s=0.0,
        new_target=lambda: Target(service.name, params=params),
        refresh=never,
        rescue_after_s=rescue_after_s,
    )


def run(one: ServiceDay, minutes: int, *, steered: bool = False) -> list[int]:
    """Run minutes and return the requests that clients reported of each."""
    reported = []
    for _ in range(minutes):
        one.begin_minute(steered=steered)
        one.advance(0.0)
        reported.append(one.end_minute(steered=steered).requests)
    one.finish()
    return reported


def test_counted_and_simulated_minutes_have_the_same_arrivals() -> None:
    """The switch between both ways must not create or destroy a request."""
    counted, simulated = day(), day()
    run(counted, 20)
    run(simulated, 20, steered=True)
    assert counted.active_minutes == 0
    assert simulated.active_minutes == 20
    assert counted.ledger.window(0.0, 1_200.0).arrived == simulated.ledger.window(0.0, 1_200.0).arrived


def test_the_number_of_arrivals_of_a_minute_does_not_depend_on_who_asks() -> None:
    """Placing the arrivals draws from the same stream after the count."""
    times = arrival_times(API.traffic, 7, seed=3, service="api")
    assert len(times) == arrival_count(API.traffic, 7, seed=3, service="api")[0]
    assert all(420.0 <= at < 480.0 for at in times)


def test_counted_minutes_look_like_simulated_ones() -> None:
    """Errors 0.3 % of requests, the same median latency, no time-outs to speak of."""
    counted, simulated = QuietService(API, seed=3), day()
    told = [counted.minute(m) for m in range(120)]
    shown = []
    for _ in range(30):
        simulated.begin_minute(steered=True)
        shown.append(simulated.end_minute(steered=True))
    requests = sum(c.requests for c in told)
    assert sum(c.errors_fast for c in told) / requests == pytest.approx(
        0.003, abs=4.0 * math.sqrt(0.003 / requests)
    )
    assert sum(c.timeouts for c in told) / requests < 0.001
    medians = [sorted(x for c in some for x in c.latencies_ms) for some in (told, shown)]
    first, second = (m[len(m) // 2] for m in medians)
    assert first == pytest.approx(second, rel=0.05)


def test_the_hourly_batch_brings_more_traffic_and_its_own_errors() -> None:
    """4 x 3 per second for four minutes, with 5 % errors: the false alarm of the demo."""
    service = Service(
        "batch", Traffic(3.0, batch_factor=4.0, batch_minutes=4), work_mean_s=0.2, batch_error_ratio=0.05
    )
    quiet = QuietService(service, seed=3)
    batch = [quiet.minute(60 * hour + m) for hour in range(20) for m in range(4)]
    rest = [quiet.minute(60 * hour + m) for hour in range(20) for m in (10, 30)]
    assert sum(c.requests for c in batch) / 80 == pytest.approx(720, rel=0.03)
    assert sum(c.requests for c in rest) / 40 == pytest.approx(180, rel=0.05)
    assert sum(c.errors_fast for c in batch) / sum(c.requests for c in batch) == pytest.approx(0.05, rel=0.1)


def test_a_day_is_simulated_around_its_incident_only() -> None:
    """Two minutes before, the fault, and until it has been calm."""
    one = day(LOSS, params=TargetParams())
    run(one, 60)
    assert 4 + 2 < one.active_minutes < 20
    total = one.ledger.window(0.0, 3_600.0)
    assert total.arrived == total.ok + total.failed + total.rejected
    assert one.rescued_at_s == []


def test_a_storm_that_nobody_ends_is_drained_by_hand_in_the_end() -> None:
    """Twenty minutes after the fault here; afterwards all is well and counted again."""
    one = day(LOSS)
    run(one, 60)
    assert one.rescued_at_s == [840.0 + 1_200.0]
    assert one.ledger.window(900.0, 2_040.0).goodput_ratio < 0.05
    assert one.ledger.window(2_160.0, 3_600.0).goodput_ratio > 0.98
    assert one.active_minutes < 45
    assert one.ledger.recovered_after_s(840.0, limit_s=2_040.0) is None


def test_reports_add_up_to_what_arrived() -> None:
    """Stragglers that end after their minute was reported are reported with the next."""
    one = day(LOSS, params=TargetParams())
    reported = run(one, 60)
    total = one.ledger.window(0.0, 3_600.0)
    assert sum(reported) == total.arrived - total.rejected


def test_a_service_that_never_got_worse_is_back_at_once() -> None:
    """Added latency fails nobody: recovery takes 0 s, not for ever."""
    one = day(Fault(FaultKind.LATENCY, 600.0, 840.0, 0.1), params=TargetParams())
    run(one, 30)
    assert one.ledger.recovered_after_s(840.0, limit_s=1_800.0) == 0.0


def test_refusals_while_well_are_false_open_minutes_and_others_are_not() -> None:
    """Two healthy steps of 10 s that refuse half: 10 s; a sick step does not count."""
    ledger = Ledger()
    for at_s, sick in ((0.0, False), (10.0, False), (20.0, True)):
        step = ledger.step(at_s)
        step.arrived, step.rejected, step.ok, step.sick = 10, 5, 5, sick
    assert ledger.false_open_min(0.0, 30.0) == pytest.approx(10.0 / 60.0)
    assert ledger.step(0.0).open == 0
    assert ledger.window(0.0, 30.0).goodput_ratio == 0.5
    assert ledger.window(60.0, 120.0).goodput_ratio == 1.0


def test_low_traffic_needs_twelve_requests_to_count_as_back() -> None:
    """One success in a minute of three requests proves nothing."""
    ledger = Ledger()
    for n in range(40):
        step = ledger.step(n * 10.0)
        step.arrived = step.ok = n % 2
        if n == 5:
            step.ok = 0  # a failure within the first twelve requests
    assert ledger.recovered_after_s(0.0, limit_s=400.0) == 60.0


def test_counted_failures_are_retried_and_rarely_fail_for_good() -> None:
    """Of 5 % failures each is tried again: failures x (1 + 0.05 + ...) retries; 0.05^3 of them stay."""
    service = Service("errors", Traffic(12.0), work_mean_s=0.2, error_ratio=0.05)
    quiet = QuietService(service, seed=3)
    told = [quiet.minute(minute) for minute in range(200)]
    failing = sum(c.errors_fast + c.timeouts for c in told)
    retries = sum(c.retries for c in told)
    assert retries / failing == pytest.approx(1.0525, abs=0.02)
    assert sum(c.request_failures for c in told) <= 10
