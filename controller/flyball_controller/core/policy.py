"""The operator's intent as plain numbers: one flat record, the single home of every default.

A policy file (YAML) is validated at the edge (flyball_controller.policy_file)
and arrives here as a `Policy`. Fields are grouped by prefix; each default
carries its source. Source keys: control = docs/theory/control.md, thresholds =
docs/theory/thresholds.md, article = the practice named in docs/article.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from flyball_controller.core.model import Mode


class Law(IntEnum):
    """Which control law turns a regime into a setpoint."""

    LADDER = 0  # error rate over a threshold: fewer attempts, then open; restore step by step
    TWO_LOOP = 1  # regimes by failure class; budget first; see docs/theory/control.md


class Promise(IntEnum):
    """Against which normal service the rate of false opens is kept (docs/theory/thresholds.md)."""

    NONE = 0  # nothing is promised: bounds alone decide, as the literal rules do
    ANY = 1  # whatever bursts, as long as the mean of each window, given the past, is normal
    INDEPENDENT = 2  # attempts fail one by one, or in groups no larger than the learned dispersion


class Policy(NamedTuple):
    """Everything that an operator can decide about one target."""

    mode: Mode = Mode.ACTIVE
    law: Law = Law.TWO_LOOP

    # --- nominal setpoint and its bounds -------------------------------------------------
    attempts_nominal: int = 4  # 3 retries (article: "three for most services")
    attempts_min: int = 2  # the ladder's lower rung: 1 retry
    budget_nominal: float = 0.2  # retries per request; Finagle, Linkerd, Envoy all ship 20 %
    fast_cost: float = 0.33  # of the budget, for a retry after a fast error: it held no server
    throttle_k: float = 1.3  # clients' graded throttle, see docs/theory/control.md
    throttle_base_ms_nominal: int = 1_000  # AWS SDK: 1 s first pause after a throttle
    throttle_base_ms_throttled: int = 4_000  # "larger back-off for 429" while THROTTLED
    attempts_step: int = 1  # restore at most one attempt per decision
    probe_ratio_min: float = 0.1  # an open circuit must keep making data
    probe_per_min_min: float = 6.0
    breaker_open_s: float = 10.0  # pause of a client that opened by itself before it probes
    breaker_failure_ratio: float = 0.9  # clients open by themselves over this share of fast failures
    close_after: int = 3  # good probes before a client closes by itself
    close_after_shed: int = 20  # same, while shedding to measured capacity
    # Of the calls themselves. Nothing here tunes them; defaults are those compiled into clients.
    attempt_timeout_ms: int = 1_000  # of one attempt; set it from measured latencies
    base_ms: int = 100  # upper end of the first wait before a retry, doubling
    cap_ms: int = 2_000  # of those waits
    max_concurrent: int = 0  # calls at once in one environment; 0 = no limit

    # --- trip and reset: ratios of failed first attempts --------------------------------
    # trip = max(floor, multiple x baseline, baseline + spread_k x spread) if adaptive, else floor.
    retry_floor: float = 0.03  # seen from here on; acted upon where the nominal budget no longer covers it
    retry_adaptive: bool = True
    retry_multiple: float = 3.0
    retry_spread_k: float = 3.0
    open_floor: float = 0.6
    open_adaptive: bool = False
    open_multiple: float = 2.0
    open_spread_k: float = 3.0
    open_bad_share: float = 0.9  # DEAD also needs this share of point failures
    trip_ceiling: float = 0.95  # an adaptive threshold never rises above this
    reset_floor: float = 0.15  # CLEAN: upper bound under max(this, reset_multiple x baseline)
    reset_point: float = 0.04  # and the plain ratio under max(this, half the trip)
    reset_multiple: float = 3.0
    timeout_trip: float = 0.10  # SATURATED: lower bound of the time-out ratio over this
    typical_multiple: float = 1.5  # not SATURATED while p50 stays under this multiple of its baseline
    latency_multiple: float = 3.0  # SATURATED, second form: p99 over this multiple of its baseline
    throttle_trip: float = 0.08  # THROTTLED: lower bound of the failure ratio over this, and
    throttle_share: float = 0.5  # THROTTLED: throttles are more than this share of the failures

    # --- evidence ------------------------------------------------------------------------
    z_act: float = 2.33  # one-sided 99 % bound for cheap, reversible actions
    z_open: float = 3.09  # one-sided 99.9 % for cutting traffic
    min_requests: int = 12  # pooled over recent windows until reached
    min_errors: int = 3
    pool_s_max: float = 900.0
    promise: Promise = Promise.ANY
    false_opens_per_year: float = 1.0  # tolerated per target and year of service, on average
    normal_floor: float = 0.03  # normal = mean failure ratio up to max(this, normal_multiple x expected),
    normal_multiple: float = 3.0  # never over the open threshold; twice the multiple without history
    open_per_min_min: float = 10.0  # below this traffic an open circuit cannot be judged: never open

    # --- time ----------------------------------------------------------------------------
    settle_s: float = 75.0  # a change is effective: deployment ~10 s + poll <= 45 s + margin
    hold_periods: int = 2  # clean settled windows before one step of loosening
    hold_max: int = 8
    retighten_s: float = 600.0  # tightening again this soon after loosening doubles the hold
    quiet_s: float = 1_800.0  # this long without a change resets the hold
    saturated_periods: int = 3  # windows at budget 0 before shedding to capacity
    valid_for_s: float = 90.0  # logical expiry of a published circuit: 1.5 one-minute ticks
    blind_after_s: float = 600.0
    act_within_s: float = 300.0  # older windows teach, but nothing is done about them any more
    dwell_s: float = 120.0  # least time between two circuit transitions of the controller

    # --- baseline ------------------------------------------------------------------------
    half_life_s: float = 43_200.0  # 12 h (thresholds 2.5)
    rise_factor: float = 0.25  # bad news is learned this much slower than good news
    winsor_k: float = 3.0
    profile_visits_min: int = 3
    confidence_full_s: float = 86_400.0  # history for confidence 1
    relearn_s: float = 86_400.0  # off nominal this long is the new normal

    # --- fleet ---------------------------------------------------------------------------
    open_share_max: float = 0.3  # automation holds at most this share of targets open
    correlated_min: int = 3  # this many targets tightening in one period is a platform event
    correlated_s: float = 120.0
    changes_per_h_max: int = 12  # configuration deployments
    change_gap_s: float = 60.0

    # --- identity ------------------------------------------------------------------------
    digest: str = ""  # hash of the fields above, set where the policy is loaded; stands in every decision
