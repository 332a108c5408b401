"""Histories for the fast replay: what services do in bad weeks, drawn from a seed."""

from __future__ import annotations

import random

from flyball_analytics.fastreplay import Outcome
from flyball_analytics.fastreplay_columns import History, history_of
from flyball_controller.core.model import Observation, Quality
from flyball_controller.core.policy import Law, Policy, Promise

HISTORIES = (
    Policy(),
    Policy(law=Law.LADDER, retry_floor=0.2, open_floor=0.5, retry_adaptive=False),
    Policy(z_act=0.0, z_open=0.0, promise=Promise.NONE),
    Policy(half_life_s=3_600.0, retry_floor=0.005, settle_s=30.0),
    Policy(open_adaptive=True, timeout_trip=0.02, min_errors=2, min_requests=5),
)


def nasty(source: random.Random, windows: int) -> list[Observation]:
    """Rows of one target with batches, incidents of every class, gaps, partial, late and flagged rows."""
    period_s = source.choice([60.0, 60.0, 300.0, 20.0, 3_600.0, 61.7])
    base = source.choice([0.0, 0.001, 0.01, 0.05, 0.3])
    volume = source.choice([3, 20, 200, 2_000, 1_000_000])
    start_s = 1_699_999_200.0 + source.choice([0.0, 0.3, 17.0])
    stream: list[Observation] = []
    bad_until, bad_ratio, kind = 0, 0.0, 0
    for number in range(windows):
        start_s += period_s * source.choice([1] * 60 + [2, 3, 30])
        if source.random() < 0.008:
            bad_until = number + source.randrange(1, 60)
            bad_ratio, kind = source.choice([0.1, 0.3, 0.6, 0.95, 1.0]), source.randrange(3)
        bad = number < bad_until
        ratio = bad_ratio if bad else base * (3 if int(start_s) // 60 % 60 < 3 else 1)
        requests = source.randrange(2 * volume)
        failures = min(requests, int(requests * ratio * source.uniform(0.3, 1.7) + source.random()))
        timeouts = failures if bad and kind == 0 else 0
        throttles = failures if bad and kind == 1 else 0
        late_s = 20.0 if source.random() < 0.97 else 2_000.0
        stream.append(
            Observation(
                "t",
                start_s if source.random() < 0.99 else start_s - 5 * period_s,
                period_s,
                start_s + period_s + late_s,
                requests,
                timeouts,
                failures - timeouts - throttles,
                throttles,
                requests + failures,
                source.choice([-1, 0, failures]),
                0 if source.random() < 0.98 else source.randrange(requests + 1),
                0,
                source.choice([-1.0, 50.0 * source.random()]),
                source.choice([-1.0, 200.0 * source.random()]),
                Quality.OK if source.random() < 0.97 else source.choice(list(Quality)),
            )
        )
    return stream


# By field: values that a search may try; a history of `nasty` comes near some of them.
TRIED = {
    "retry_floor": (0.005, 0.03, 0.031, 0.1),
    "retry_adaptive": (True, False),
    "retry_multiple": (2.0, 3.0, 6.0),
    "retry_spread_k": (0.5, 3.0),
    "open_floor": (0.3, 0.6, 0.601),
    "open_adaptive": (True, False),
    "open_multiple": (1.5, 2.0),
    "open_spread_k": (1.0, 3.0),
    "trip_ceiling": (0.5, 0.95),
    "reset_floor": (0.02, 0.15, 0.151),
    "reset_point": (0.001, 0.04),
    "reset_multiple": (1.0, 3.0),
    "timeout_trip": (0.01, 0.1, 0.11),
    "normal_floor": (0.001, 0.03),
    "normal_multiple": (1.0, 3.0),
    "settle_s": (30.0, 75.0),
    "hold_periods": (1, 2, 4),
    "dwell_s": (0.0, 120.0),
    "open_bad_share": (0.5, 0.9),
    "z_open": (2.5, 3.09),
    "z_act": (1.0, 2.33),
    "probe_ratio_min": (0.05, 0.1),
    "close_after_shed": (10, 20),
}


def tried(source: random.Random, base: Policy, *, count: int, fields: int) -> list[Policy]:
    """Policies that differ from one in up to so many fields."""
    found = []
    for number in range(count):
        names = source.sample(sorted(TRIED), source.randint(0, fields))
        changed = {name: source.choice(TRIED[name]) for name in names}
        found.append(base._replace(**changed, digest=f"number {number}"))
    return found


def load(name: str) -> History:
    """The history of a shard's name; here, where worker processes can import it."""
    return history_of(nasty(random.Random(int(name)), 60), looks_s=60.0)


def keep(outcome: Outcome) -> tuple[int, bytes]:
    """What comes back from a worker."""
    return outcome.steps, outcome.state_bytes
