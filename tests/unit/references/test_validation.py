"""The plant with the references in it, against what is known: formulas, queueing theory, metastability."""

from __future__ import annotations

import math
from random import Random

import pytest

from flyball_analytics.plant import Fault, FaultKind
from flyball_analytics.plant.day import drain_counters
from flyball_analytics.plant.downstream import Downstream
from flyball_analytics.references import REFERENCES
from flyball_analytics.references.base import ReferenceTarget, Rule
from flyball_analytics.references.budgets import finagle_budget
from unit.references.support import run

NAMES = [name for name in REFERENCES if name != "flyball"]
RETRIES = {"none": 0, "static-1": 1, "static-3": 3}
LOSS = Fault(FaultKind.CAPACITY_LOSS, 120.0, 240.0, 0.75)
# Storms of these sustain themselves at 70 % utilisation: (R + 1) * 0.7 > 1, and no limit binds with one
# call per environment. The ladder rule ends at one retry: 2 * 0.7 = 1.4.
METASTABLE = ("static-1", "static-3", "ladder-rule", "finagle-budget", "linkerd", "envoy-budget")
# Seconds after the loss until 98 % succeed again. SRE's window is two minutes long and has no cap;
# Resilience4j stays open for a minute, and opens again where ten probes meet the end of the queue.
RECOVERING = {name: 120.0 for name in NAMES if name not in METASTABLE} | {
    "sre-adaptive-throttling": 600.0,
    "resilience4j-breaker": 240.0,
}


@pytest.mark.parametrize("error_ratio", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("name", RETRIES)
def test_independent_failures_leave_e_to_the_power_of_attempts(name: str, error_ratio: float) -> None:
    """Success is 1 - e^(R+1) within four binomial standard errors, at a load where nothing times out."""
    fault = Fault(FaultKind.ERRORS, 0.0, 1_200.0, error_ratio)
    total = run(REFERENCES[name], fault, minutes=20, rate=4.0, error_ratio=0.0).ledger.window(0.0, 1_200.0)
    expected = 1.0 - error_ratio ** (RETRIES[name] + 1)
    spread = math.sqrt(expected * (1.0 - expected) / total.arrived)
    assert abs(total.goodput_ratio - expected) < 4.0 * spread


@pytest.mark.parametrize(
    ("servers", "rate_per_s", "waiting_ratio", "mean_wait_s"),
    [
        # a = 14 * 0.2 = 2.8 Erlang on 4 servers: a^4/4!/(1 - 0.7) = 8.537; 1 + a + a^2/2 + a^3/6 = 11.379;
        # 8.537 / 19.916 = 0.4287; mean wait 0.4287 / (20 - 14) = 71.4 ms.
        (4, 14.0, 0.4287, 0.0714),
        # One server at 50 %: half of the arrivals wait; 0.5 / (5 - 2.5) = 200 ms.
        (1, 2.5, 0.5, 0.2),
    ],
)
def test_the_queue_waits_as_erlang_c_says(
    servers: int, rate_per_s: float, waiting_ratio: float, mean_wait_s: float
) -> None:
    """Poisson arrivals, exponential work of 0.2 s, 200 000 of them: within 3 %."""
    rng, queue = Random(1), Downstream(servers=servers, queue_max=1_000_000)
    now_s = waits_s = 0.0
    waited, count, warm_up = 0, 200_000, 1_000
    for number in range(count + warm_up):
        now_s += rng.expovariate(rate_per_s)
        job = queue.offer(now_s, rng.expovariate(1.0 / 0.2), None)
        assert job is not None
        if number >= warm_up:
            waited += job.start_s > now_s
            waits_s += job.start_s - now_s
    assert waited / count == pytest.approx(waiting_ratio, rel=0.03)
    assert waits_s / count == pytest.approx(mean_wait_s, rel=0.03)


@pytest.mark.parametrize("name", METASTABLE)
def test_unlimited_retries_stay_down_ten_minutes_after_a_two_minute_loss(name: str) -> None:
    """Under 5 % goodput with full capacity back: the storm needs no trigger any more."""
    world = run(REFERENCES[name], LOSS, minutes=17)
    assert world.ledger.window(0.0, 120.0).goodput_ratio > 0.99
    assert world.ledger.window(840.0, 960.0).goodput_ratio < 0.05
    assert world.ledger.recovered_after_s(240.0, limit_s=960.0) is None


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("name", "within_s"), RECOVERING.items())
def test_whatever_limits_retries_recovers_by_itself(name: str, within_s: float, seed: int) -> None:
    """Without any controller: the load falls below what the target can carry, and the queue drains."""
    world = run(REFERENCES[name], LOSS, minutes=17, seed=seed)
    recovered_s = world.ledger.recovered_after_s(240.0, limit_s=960.0)
    assert recovered_s is not None
    assert recovered_s <= within_s
    # Not 98 %: a window of calls keeps failures for as long as an environment is idle, so a stray error may
    # open Resilience4j's breaker there for a minute, long after the incident.
    assert world.ledger.window(840.0, 960.0).goodput_ratio > 0.9


def test_it_is_the_reserve_that_voids_finagles_budget() -> None:
    """The same 20 % without "10 per second and client" recovers within a minute."""
    bare = REFERENCES["finagle-budget"]._replace(new_target=lambda: finagle_budget(reserve_per_s=0.0))
    recovered_s = run(bare, LOSS, minutes=17).ledger.recovered_after_s(240.0, limit_s=960.0)
    assert recovered_s is not None
    assert recovered_s <= 60.0


EVERYTHING = (
    Fault(FaultKind.ERRORS, 60.0, 240.0, 0.4),
    Fault(FaultKind.THROTTLE, 120.0, 180.0, 4.0),
    Fault(FaultKind.BLACK_HOLE, 180.0, 210.0, 0.5),
    Fault(FaultKind.OUTAGE, 240.0, 300.0, 1.0),
)


@pytest.mark.parametrize("name", NAMES)
def test_every_request_ends_and_is_counted_alike_by_client_and_plant(name: str) -> None:
    """A request lost by a reference's own bookkeeping would be goodput lost or won by mistake."""
    world = run(
        REFERENCES[name]._replace(controller=None), *EVERYTHING, minutes=8, rate=10.0
    )  # no controller: it would drain the counters
    total = world.ledger.window(0.0, 480.0)
    counted = drain_counters(world.environments)
    assert total.arrived == total.ok + total.failed + total.rejected > 4_000
    assert counted.short_circuited == total.rejected
    assert counted.requests == total.ok + total.failed
    assert counted.request_failures == total.failed
    assert counted.requests + counted.retries == total.attempts


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_is_one_history(name: str) -> None:
    """No reference draws, reads a clock or keeps anything between runs."""
    first, again = (run(REFERENCES[name], *EVERYTHING, minutes=6, rate=6.0) for _ in range(2))
    assert first.ledger.window(0.0, 360.0) == again.ledger.window(0.0, 360.0)


def test_a_rate_limit_per_client_does_not_slow_a_fleet_of_clients() -> None:
    """Floor 0.5 per second each: waiting calls start more environments, each with a floor and a quota."""
    fault = Fault(FaultKind.THROTTLE, 60.0, 660.0, 5.0)
    adaptive, standard = (
        run(REFERENCES[name], fault, minutes=11, rate=10.0) for name in ("aws-adaptive", "aws-standard-2026")
    )
    assert adaptive.peak_environments > 1.5 * standard.peak_environments
    waiting, failing = (world.ledger.window(180.0, 660.0) for world in (adaptive, standard))
    assert waiting.attempts > failing.attempts
    assert waiting.goodput_ratio == pytest.approx(failing.goodput_ratio, abs=0.01)  # the limit decides it


class Hold(Rule):
    """Holds every first attempt back for half a minute."""

    def pause_s(self, now_s: float) -> float:
        """Return the half minute."""
        return 30.0


def test_a_call_that_is_held_back_reaches_the_target_later() -> None:
    """What arrives up to 30 s before an outage of 60 s meets it; what arrives in its second half does not."""
    held = REFERENCES["none"]._replace(new_target=lambda: ReferenceTarget(Hold(), attempts=1))
    ledger = run(held, Fault(FaultKind.OUTAGE, 60.0, 120.0, 1.0), minutes=3, rate=5.0, error_ratio=0.0).ledger
    assert ledger.window(0.0, 30.0).goodput_ratio > 0.98
    assert ledger.window(30.0, 90.0).goodput_ratio < 0.02
    assert ledger.window(90.0, 120.0).goodput_ratio > 0.98


def test_a_breaker_of_five_in_a_row_turns_a_partial_failure_into_a_larger_one() -> None:
    """30 % errors at 35 % utilisation: three retries save 99 %; a breaker in them refuses more than fails."""
    fault = Fault(FaultKind.ERRORS, 60.0, 660.0, 0.3)
    static, breaker, nothing = (
        run(REFERENCES[name], fault, minutes=11, rate=7.0).ledger.window(60.0, 660.0).goodput_ratio
        for name in ("static-3", "powertools-breaker", "none")
    )
    assert static > 0.98
    assert breaker < nothing < 0.72
