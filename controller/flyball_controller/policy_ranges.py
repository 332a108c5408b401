"""What the numbers of a policy may be: lowest and highest sensible value by field, and rules between fields.

One table of each for all readers: of YAML, of compiled policies and of the store. So a
policy edited after it was compiled, or written into the store by somebody else, is
held to the same ranges and rules as the file that people write. The JSON Schema, the
table of defaults in the docs and the tests of validation are made from it. It knows no
reader: who knows file and line says where.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flyball_controller.core.policy import Policy

RANGES: dict[str, tuple[float, float]] = {
    "attempts_nominal": (1, 4),
    "attempts_min": (1, 4),
    "budget_nominal": (0.0, 3.0),
    "fast_cost": (0.2, 1.0),
    "throttle_k": (1.0, 10.0),
    "throttle_base_ms_nominal": (1, 60_000),
    "throttle_base_ms_throttled": (1, 60_000),
    "attempts_step": (1, 3),
    "probe_ratio_min": (0.01, 1.0),
    "probe_per_min_min": (0.0, 600.0),
    "breaker_open_s": (0.1, 600.0),
    "breaker_failure_ratio": (0.05, 1.0),
    "close_after": (1, 100),
    "close_after_shed": (1, 100),
    "attempt_timeout_ms": (10, 900_000),
    "base_ms": (1, 10_000),
    "cap_ms": (1, 60_000),
    "max_concurrent": (0, 10_000),
    "retry_floor": (0.005, 1.0),
    "retry_multiple": (1.0, 20.0),
    "retry_spread_k": (0.0, 20.0),
    "open_floor": (0.05, 1.0),
    "open_multiple": (1.0, 20.0),
    "open_spread_k": (0.0, 20.0),
    "open_bad_share": (0.0, 1.0),
    "trip_ceiling": (0.1, 1.0),
    "reset_floor": (0.005, 0.9),
    "reset_point": (0.0, 0.9),
    "reset_multiple": (1.0, 20.0),
    "timeout_trip": (0.01, 1.0),
    "typical_multiple": (1.0, 10.0),
    "latency_multiple": (1.1, 100.0),
    "throttle_trip": (0.005, 1.0),
    "throttle_share": (0.1, 1.0),
    "z_act": (0.0, 6.0),
    "z_open": (0.0, 6.0),
    "min_requests": (5, 10_000),
    "min_errors": (2, 10_000),
    "pool_s_max": (60.0, 3_600.0),
    "false_opens_per_year": (0.01, 1_000.0),
    "normal_floor": (0.005, 0.9),
    "normal_multiple": (1.0, 20.0),
    "open_per_min_min": (1.0, 10_000.0),
    "settle_s": (0.0, 3_600.0),
    "hold_periods": (1, 60),
    "hold_max": (1, 64),
    "retighten_s": (0.0, 86_400.0),
    "quiet_s": (0.0, 86_400.0),
    "saturated_periods": (1, 60),
    "valid_for_s": (15.0, 3_600.0),
    "blind_after_s": (60.0, 86_400.0),
    "act_within_s": (60.0, 3_600.0),
    "dwell_s": (0.0, 3_600.0),
    "half_life_s": (600.0, 2_592_000.0),
    "rise_factor": (0.0, 1.0),
    "winsor_k": (1.0, 10.0),
    "profile_visits_min": (2, 10),
    "confidence_full_s": (600.0, 2_592_000.0),
    "relearn_s": (3_600.0, 2_592_000.0),
    "open_share_max": (0.0, 1.0),
    "correlated_min": (2, 1_000),
    "correlated_s": (10.0, 3_600.0),
    "changes_per_h_max": (1, 60),
    "change_gap_s": (0.0, 3_600.0),
}


class Rule(NamedTuple):
    """What must hold between fields. `field` is blamed; `text` says what to do if it does not hold."""

    field: str
    text: str
    holds: Callable[[Policy], bool]


RULES: tuple[Rule, ...] = (
    Rule(
        "attempts_min",
        "attempts_min must not exceed attempts_nominal: the ladder goes down, not up",
        lambda p: p.attempts_min <= p.attempts_nominal,
    ),
    Rule(
        "retry_floor",
        "retry_floor must not exceed open_floor: act on retries before cutting traffic",
        lambda p: p.retry_floor <= p.open_floor,
    ),
    Rule(
        "open_floor",
        "open_floor must stay under trip_ceiling, or nothing could ever open",
        lambda p: p.open_floor < p.trip_ceiling,
    ),
    Rule(
        "normal_floor",
        "normal_floor must not exceed open_floor: what is normal cannot be a reason to open",
        lambda p: p.normal_floor <= p.open_floor,
    ),
    Rule(
        "z_open",
        "z_open must be at least z_act: cutting traffic needs the stronger evidence",
        lambda p: p.z_open >= p.z_act,
    ),
    Rule(
        "min_errors",
        "min_errors must not exceed min_requests",
        lambda p: p.min_errors <= p.min_requests,
    ),
    Rule(
        "throttle_base_ms_throttled",
        "throttle_base_ms_throttled must be at least throttle_base_ms_nominal",
        lambda p: p.throttle_base_ms_throttled >= p.throttle_base_ms_nominal,
    ),
    Rule(
        "cap_ms",
        "cap_ms must not be under base_ms: no wait is longer than the cap",
        lambda p: p.cap_ms >= p.base_ms,
    ),
)


def contradiction(policy: Policy) -> Rule | None:
    """Return the first rule between fields that a policy breaks, None if it breaks none.

    >>> contradiction(Policy()), contradiction(Policy(min_errors=50, min_requests=20)).field
    (None, 'min_errors')
    """
    return next((rule for rule in RULES if not rule.holds(policy)), None)
