"""Many environments and one circuit on a virtual clock: what reaches the dependency in an outage and after.

Each environment has its own Target, as in production; they share nothing but
what is published, and find it at their own moments. A call takes 50 ms. Figures
in the docstrings were measured here; the bounds are what is promised.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random

import pytest

from flyball.breaker import EXPIRED_PROBE_S
from flyball.call import Call, Outcome, Target
from flyball.contract import DEFAULT_PARAMS, FLEET, Circuit, CircuitState
from flyball.explain import explain

LATENCY_S = 0.05
POLL_S = 5.0  # age of the circuit cache
VALID_S = 90.0  # of a published circuit; renewed each minute


class Fleet:
    """Environments that are called at random; `errors(now_s)` is the share of attempts that fail."""

    def __init__(self, environments: int, per_s: float, errors: Callable[[float], float], seed: int) -> None:
        self.random = Random(seed)
        self.targets = [Target("t", params=DEFAULT_PARAMS) for _ in range(environments)]
        self.errors = errors
        self.per_s = per_s
        self.queue: list[tuple[float, int, Callable[[float], object]]] = []
        self.order = count()
        self.offered: Counter[int] = Counter()  # calls, by second
        self.reached: Counter[int] = Counter()  # attempts that the dependency saw, by second
        self.probes_at_once = 0  # most in one environment
        self.at(0.0, self.arrive)

    def at(self, time_s: float, action: Callable[[float], object]) -> None:
        heapq.heappush(self.queue, (time_s, next(self.order), action))

    def run(self, until_s: float) -> None:
        while self.queue[0][0] < until_s:
            time_s, _, action = heapq.heappop(self.queue)
            action(time_s)

    def arrive(self, now_s: float) -> None:
        self.at(now_s + self.random.expovariate(self.per_s), self.arrive)
        self.offered[int(now_s)] += 1
        target = self.random.choice(self.targets)
        call = target.begin(now_s, self.random.random(), idempotent=True)
        if isinstance(call, Call):
            self.attempt(call, now_s)
        self.probes_at_once = max(self.probes_at_once, target._breaker._probes)

    def attempt(self, call: Call, now_s: float) -> None:
        self.reached[int(now_s)] += 1
        fails = self.random.random() < self.errors(now_s)

        def end(end_s: float) -> None:
            wait_s = call.finish(
                Outcome.ERROR_FAST if fails else Outcome.SUCCESS,
                now_s=end_s,
                draw=self.random.random(),
                latency_ms=1_000.0 * LATENCY_S,
            )
            if wait_s is not None:
                self.at(end_s + wait_s, lambda again_s: self.attempt(call, again_s))

        self.at(now_s + LATENCY_S, end)

    def publish(self, now_s: float, changed_s: float, version: int, **fields: object) -> None:
        """Every environment finds the circuit within one cache age, each at its own time."""
        known = {"state": CircuitState.OPEN, "probe_ratio": 0.1, "close_after": 20, **fields}
        circuit = Circuit(
            target="t",
            function=FLEET,
            changed_at=changed_s,
            error_count=9,
            version=version,
            write_id="w",
            stamp=now_s,
            valid_until=now_s + VALID_S,
            reason="",
            **known,  # type: ignore[arg-type]
        )
        for target in self.targets:
            self.at(now_s + self.random.uniform(0.0, POLL_S), lambda _, to=target: to.apply_circuit(circuit))

    def share(self, from_s: int, to_s: int) -> float:
        """Attempts that reached the dependency per call offered."""
        seconds = range(from_s, to_s)
        return sum(self.reached[s] for s in seconds) / sum(self.offered[s] for s in seconds)

    def states(self, now_s: float) -> Counter[CircuitState]:
        return Counter(target.state(now_s) for target in self.targets)


SIZES = [(20, 10.0), (100, 50.0)]  # environments, calls per second of all: one call per 2 s each


@pytest.mark.parametrize(("environments", "per_s"), SIZES)
@pytest.mark.parametrize("errors", [0.2, 0.5])
def test_without_a_publisher_a_partial_outage_costs_the_budget_and_no_traffic(environments, per_s, errors):
    """K9: at most 1.2 attempts per call, and one retry of first credit each; what is good gets through.

    Measured: 1.17 to 1.20 per call. Partial failure is not death: none was open at the end.
    """
    fleet = Fleet(environments, per_s, lambda now_s: errors, seed=1)
    fleet.run(300.0)
    calls = sum(fleet.offered.values())
    assert sum(fleet.reached.values()) <= 1.2 * calls + environments
    assert fleet.share(0, 300) >= 1.0
    assert fleet.states(300.0)[CircuitState.CLOSED] >= 0.95 * environments
    assert explain(Target("t"), calls_per_s=per_s / environments).warnings == ()


@pytest.mark.parametrize(("environments", "per_s"), SIZES)
@pytest.mark.parametrize("errors", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_published_circuit_cuts_a_partial_outage_to_its_share_of_probes(environments, per_s, errors, seed):
    """Published 80 s after the onset, as the slow loop can; from one cache age later on a tenth gets through.

    Measured, 4 seeds: 0.088 to 0.128 from then on; of the whole 300 s 0.38 to 0.41 in a partial outage,
    0.19 to 0.20 in a total one, because the environments open by themselves before it is published.
    """
    fleet = Fleet(environments, per_s, lambda now_s: errors, seed=seed)
    for version, now_s in enumerate((80.0, 140.0, 200.0, 260.0), start=1):
        fleet.at(now_s, lambda at_s, version=version: fleet.publish(at_s, 80.0, version))
    fleet.run(300.0)
    assert 0.05 <= fleet.share(86, 300) <= 0.14
    assert fleet.probes_at_once <= 20


def test_a_circuit_that_closes_after_three_probes_is_for_dead_targets_only():
    """At 20 % errors three good ones in a row are no news: the environments come back one by one.

    Why `close_after` is part of the published circuit. Measured: 0.99 with 3, 0.10 with 20.
    """

    def share(close_after: int) -> float:
        fleet = Fleet(100, 50.0, lambda now_s: 0.2, seed=1)
        for version, now_s in enumerate((0.0, 60.0, 120.0, 180.0), start=1):
            fleet.at(now_s, lambda at_s, v=version: fleet.publish(at_s, 0.0, v, close_after=close_after))
        fleet.run(240.0)
        return fleet.share(6, 240)

    assert share(3) > 4.0 * share(20)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("close_after", [3, 20])
def test_after_the_outage_traffic_returns_in_a_ramp_and_never_above_what_is_offered(seed, close_after):
    """No stampede: environments close one by one, on their own probes; no second sees more than its calls.

    Measured: at most 9 of 100 in one second; 90 % are back after 44 to 49 s with 3 good probes, with 20
    after 115 s, when the last circuit has expired.
    """
    fleet = Fleet(100, 50.0, lambda now_s: 1.0 if now_s < 120.0 else 0.0, seed=seed)
    for version, now_s in enumerate((20.0, 80.0, 140.0), start=1):
        fleet.at(now_s, lambda at_s, v=version: fleet.publish(at_s, 20.0, v, close_after=close_after))
    closed_before = 0
    fleet.run(120.0)
    for second in range(120, 620):
        fleet.run(float(second + 1))
        closed = fleet.states(second + 1.0)[CircuitState.CLOSED]
        if second + 1 < 140 + VALID_S:  # until the last renewal expires, each environment decides alone
            assert closed - closed_before <= 12
        closed_before = closed
        # A retry of an earlier second may come on top; it is paid for by the budget.
        assert fleet.reached[second] <= fleet.offered[second] + 3
    assert closed_before == 100, "all closed, at the latest when an expired circuit is old news"
    assert 140.0 + VALID_S + EXPIRED_PROBE_S < 620.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_when_the_publisher_dies_a_circuit_that_expires_everywhere_lets_probes_through_and_no_flood(seed):
    """P6: not open after `valid_until`, and not closed either: half-open on each one's own evidence.

    Measured: 0.11 to 0.14 of the calls in the first 10 s, 0.05 later.
    """
    fleet = Fleet(100, 50.0, lambda now_s: 1.0, seed=seed)
    fleet.at(0.0, lambda at_s: fleet.publish(at_s, 0.0, 1))
    fleet.run(VALID_S)
    assert set(fleet.states(VALID_S - 0.001)) == {CircuitState.OPEN}
    assert CircuitState.CLOSED not in fleet.states(VALID_S)
    fleet.run(VALID_S + 60.0)
    assert fleet.share(90, 100) <= 0.3
    assert fleet.share(100, 150) <= 0.15, "each failed probe opens its environment for 30 s"


def test_ten_thousand_callers_at_the_half_open_instant():
    """K7: in one environment exactly `close_after` pass; in a thousand, the published share."""
    one = Target("t")
    fleet = Fleet(1_000, 1.0, lambda now_s: 0.0, seed=1)
    for target in (one, *fleet.targets):
        circuit = Circuit(
            "t", FLEET, CircuitState.HALF_OPEN, 0.0, 9, 0.1, 1, "w", 0.0, 90.0, "", close_after=20
        )
        target.apply_circuit(circuit)
    draw = fleet.random.random
    # Kept: a call that is forgotten gives its slot back.
    calls = [one.begin(1.0, draw()) for _ in range(10_000)]
    assert sum(isinstance(call, Call) for call in calls) == 20
    calls = [target.begin(1.0, draw()) for target in fleet.targets for _ in range(10)]
    assert 1_000 - 90 <= sum(isinstance(call, Call) for call in calls) <= 1_000 + 90  # sigma = 30
