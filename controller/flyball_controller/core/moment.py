"""What a control law is given, and what it gives back: the two records between step.py and the laws."""

from __future__ import annotations

from typing import NamedTuple

from flyball_controller.core.baseline import Baseline
from flyball_controller.core.evidence import Pool
from flyball_controller.core.model import Evidence, Observation, Regime, Setpoint
from flyball_controller.core.regime import Verdict
from flyball_controller.core.threshold import Trips


class Moment(NamedTuple):
    """All that a law looks at, gathered once per step."""

    at_s: float
    seen: Observation
    verdict: Verdict
    pool: Pool
    trips: Trips
    baseline: Baseline
    settled: bool
    trust: float
    open_allowed: bool
    loosen_frozen: bool
    rarity_s: float  # of the evidence against normal service
    needed_s: float  # before a closed circuit may cut traffic
    wide: Pool  # more windows than `pool`: what a gated target shows of itself adds up slowly
    nominal: Setpoint  # of the policy


class Wish(NamedTuple):
    """What the law wants, why, and what it remembers for the next window."""

    setpoint: Setpoint
    regime: Regime
    evidence: tuple[Evidence, ...]
    bad_count: int
    clean_count: int
    useless: bool
