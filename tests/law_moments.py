"""Moments written by hand, for tests that ask a control law directly: no history, every number chosen.

With z = 0 each bound is the plain ratio, so that edges are exact.
"""

from __future__ import annotations

from flyball_controller.core.baseline import Baseline
from flyball_controller.core.evidence import Pool
from flyball_controller.core.model import Evidence, Observation, Reason, Regime, Setpoint
from flyball_controller.core.moment import Moment
from flyball_controller.core.policy import Policy
from flyball_controller.core.regime import Verdict
from flyball_controller.core.state import LawState, nominal_setpoint
from flyball_controller.core.threshold import Trips

PLAIN = Policy(z_act=0.0, z_open=0.0)
NOMINAL = nominal_setpoint(PLAIN)
AT_S = 1_000.0
TRUST = 0.5
SAID = Evidence(Reason.NOTHING_NEW, 0.0, 0.0, 0, TRUST)  # what the verdict brings along
SILENT = SAID._replace(reason=Reason.SILENCE_AT_NORMAL_LATENCY)
TRIPS = Trips(retry=0.25, open=0.6, timeout=0.1, reset=0.15, reset_point=0.04, normal=0.03)


def counted(
    requests: int,
    *,
    fast: int = 0,
    timeouts: int = 0,
    failed: int = -1,
    short: int = 0,
    span_s: float = 60.0,
) -> Pool:
    """Counts of a pool; neither attempts nor lost requests measured unless said."""
    return Pool(span_s, requests, timeouts, fast, 0, 0, failed, short)


def moment(
    counts: Pool,
    regime: Regime | None = None,
    *,
    said: Evidence = SAID,
    clean: bool = False,
    settled: bool = True,
    open_allowed: bool = True,
    frozen: bool = False,
    rarity_s: float = 0.0,
    needed_s: float = 0.0,
    wide: Pool | None = None,
    period_s: float = 60.0,
    base: Baseline = Baseline(),  # noqa: B008 - immutable
    trips: Trips = TRIPS,
) -> Moment:
    """What a law looks at; the newest window shows what the pool shows."""
    seen = Observation("t", AT_S - 80.0, period_s, AT_S, counts.requests, counts.timeouts, counts.errors_fast)
    return Moment(
        AT_S, seen, Verdict(regime, clean, (said,)), counts, trips, base, settled, TRUST, open_allowed,
        frozen, rarity_s, needed_s, counts if wide is None else wide, NOMINAL,
    )  # fmt: skip


def law(applied: Setpoint = NOMINAL, regime: Regime = Regime.NOMINAL, **memory: object) -> LawState:
    """Memory of a law."""
    return LawState(regime, applied)._replace(**memory)  # type: ignore[arg-type]
