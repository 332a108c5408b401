"""Records and enums of the decision core: what is seen, what is remembered, what is decided.

Everything is an immutable NamedTuple of plain numbers, so that a state can be
packed, hashed and replayed. Units are suffixes; times are epoch seconds of the
observation, never of a clock (the core has none). Words: docs/glossary.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from flyball.records import CircuitState


class Quality(IntEnum):
    """How much an observation can be trusted. Only OK and PARTIAL carry evidence about clients' calls."""

    OK = 0
    PARTIAL = 1  # counts are a lower bound (still arriving); may tighten, never loosens or teaches
    MISSING = 2  # a scheduled look that found no data: time passes, nothing is learned (C7)
    INVALID = 3  # impossible numbers; kept for the journal, never acted upon
    PROBED = 4  # good checks of our own in a row; may loosen, never tightens or teaches (core/probed.py)


class Observation(NamedTuple):
    """What one window of one target showed.

    Failures are counted on *first attempts* and split by class, because attempt
    counts are inflated by the retries that the controller itself allows.
    `errors_permanent` (the caller's own faults) and short-circuited calls are
    neither failures nor successes of the target. Latencies are milliseconds;
    -1.0 means not measured (0 is a value).
    """

    target: str
    start_s: float  # start of the window
    period_s: float
    arrived_s: float  # when the controller saw it: the time of the decision
    requests: int = 0  # first attempts that reached the target, or tried to
    timeouts: int = 0
    errors_fast: int = 0
    throttles: int = 0
    attempts: int = 0  # first attempts and retries; 0 with requests > 0 = not measured
    request_failures: int = -1  # requests that failed after all attempts; -1 = not measured
    short_circuited: int = 0
    errors_permanent: int = 0
    latency_ms_p50: float = -1.0
    latency_ms_p99: float = -1.0
    quality: Quality = Quality.OK

    @property
    def failures(self) -> int:
        """First attempts that failed, of every class."""
        return self.timeouts + self.errors_fast + self.throttles


class Mode(IntEnum):
    """What the controller may do: act, decide without acting, or nothing."""

    ACTIVE = 0
    SHADOW = 1
    OFF = 2


class Regime(IntEnum):
    """What kind of trouble a target is in; the control law chooses by it (docs/theory/control.md)."""

    NOMINAL = 0
    SATURATED = 1  # time-outs: it cannot keep up; retries feed the storm
    DEAD = 2  # nearly everything fails fast
    BROKEN = 3  # part of the calls fail fast at normal latency
    THROTTLED = 4  # it says "too many requests"
    USELESS_RETRIES = 5  # retries are allowed and do not help (shard, poison, bad deploy)
    RECOVERING = 6  # clean, but gates or budgets are still below nominal
    BLIND = 7  # no data for too long


class Reason(IntEnum):
    """Why a decision is what it is. Numbers are fixed: they stand in journals."""

    NOTHING_NEW = 0
    HEALTHY = 1
    NOT_ENOUGH_DATA = 2
    ERROR_RATE_OVER_TRIP = 10
    TIMEOUTS_OVER_TRIP = 11
    THROTTLES_DOMINATE = 12
    NEARLY_ALL_FAIL = 13
    LATENCY_OVER_BASELINE = 14
    RETRIES_DO_NOT_HELP = 15
    ERROR_RATE_OVER_BASELINE = 16
    STILL_SATURATED = 17
    HEADROOM_PROVEN = 18
    NO_HEADROOM = 19
    SILENCE_AT_NORMAL_LATENCY = 20
    OPEN_PROVEN = 21
    OPEN_UNPROVEN = 22
    RETRIES_REPAIR = 23
    ERROR_RATE_UNDER_RESET = 30
    STEP_RESTORED = 31
    RESTORED_TO_NOMINAL = 32
    WAITING_TO_SETTLE = 33
    WAITING_FOR_HOLD = 34
    BETWEEN_TRIP_AND_RESET = 35
    PROBES_SUCCEEDED = 36
    CHECKS_SUCCEEDED = 37
    OBSERVATION_LATE = 50
    OBSERVATION_INVALID = 51
    OBSERVATION_MISSING = 52
    OBSERVATION_PARTIAL = 53
    OBSERVATION_STALE = 55
    BLIND_TOO_LONG = 54
    CLAMPED_TO_BOUND = 60
    SLEW_LIMITED = 61
    OPEN_SHARE_LIMITED = 62
    CORRELATED_FAILURE_FREEZE = 63
    OPERATOR_HOLD = 64
    OPERATOR_HOLD_EXPIRED = 65
    MODE_OFF = 66
    MODE_SHADOW = 67
    TRAFFIC_TOO_LOW_TO_OPEN = 68
    GUARDRAIL_FAILED = 69
    LEARNING_FROZEN = 80
    NEW_NORMAL_ACCEPTED = 81
    COLD_START = 82
    CHECKPOINT_RESET = 83


class Evidence(NamedTuple):
    """One reason with the numbers behind it, enough to check it by hand a year later."""

    reason: Reason
    measured: float
    threshold: float
    n: int
    confidence: float  # 0..1, how much history stands behind the baseline


class Setpoint(NamedTuple):
    """What the controller wants of a target's clients: the whole actuator, quantised."""

    max_attempts: int
    budget_ratio: float
    throttle_base_ms: int
    circuit: CircuitState
    probe_ratio: float
    close_after: int


class HoldKind(IntEnum):
    """What an operator asked for."""

    NONE = 0
    FREEZE = 1  # keep what is applied now
    FORCE_OPEN = 2
    FORCE_CLOSED = 3
    RELEASE = 4  # end an earlier hold; kept so that a late duplicate cannot bring it back


class Hold(NamedTuple):
    """An operator's override; it always expires."""

    kind: HoldKind
    until_s: float
    by: str
    why: str


class Decision(NamedTuple):
    """What was decided for one target, and enough to explain and recompute it.

    `proposed` is what the law wanted, `applied` what the guardrails allowed.
    `changed` says that `applied` differs from before; `urgent` that it tightens.
    """

    at_s: float
    target: str
    regime: Regime
    proposed: Setpoint
    applied: Setpoint
    evidence: tuple[Evidence, ...]
    policy_hash: str
    state_version: int
    valid_until_s: float
    changed: bool
    urgent: bool
    error_count: int  # failed first attempts in the evidence window
    stamp_s: float  # start of the newest accepted window
