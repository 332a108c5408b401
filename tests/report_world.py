"""Small recordings for the tests of the report and of what it costs: every number can be worked by hand."""

from __future__ import annotations

from flyball_analytics.labels import Incident, Labels
from flyball_analytics.report.model import Input, Manifest
from flyball_analytics.report.watch import Watched, watch
from flyball_analytics.series import Gap, Series
from flyball_controller.core.model import Observation
from flyball_controller.policy_set import load_preset

START_S = 1_767_571_200.0  # 2026-01-05T00:00:00Z
OUTAGE = range(120, 150)  # windows in which everything times out
WINDOWS = 240
REQUESTS, ATTEMPTS = 100, 110


def observation(
    number: int, *, failures: int = 0, target: str = "payments", fast: bool = False
) -> Observation:
    """Return the window that starts `number` minutes after the start; what fails is a time-out, or fast."""
    start_s = START_S + 60.0 * number
    return Observation(
        target,
        start_s,
        60.0,
        start_s + 60.0,
        requests=REQUESTS,
        timeouts=0 if fast else failures,
        errors_fast=failures if fast else 0,
        attempts=ATTEMPTS,
        request_failures=failures,
    )


def series(
    target: str = "payments", *, windows: int = WINDOWS, outage: range = OUTAGE, fast: bool = False
) -> Series:
    """Return a quiet recording with one outage; a fast one makes the circuit open."""
    seen = tuple(
        observation(n, failures=REQUESTS if n in outage else 0, target=target, fast=fast)
        for n in range(windows)
    )
    gaps = (Gap(START_S + 600.0, START_S + 900.0, 4),)
    return Series(target, f"{target}.csv", 60.0, seen, windows, gaps, (), {}, (), ("attempts assumed",))


def labels(outage: range = OUTAGE) -> Labels:
    """Return the truth about `series`."""
    from_s, to_s = START_S + 60.0 * outage[0], START_S + 60.0 * outage[-1]
    return Labels((Incident(from_s, to_s, from_s, to_s, "outage"),), probation=30)


def watched(
    target: str = "payments",
    *,
    known: bool = True,
    outage: range = OUTAGE,
    windows: int = WINDOWS,
    fast: bool = False,
) -> Watched:
    """Return a service under the default policy."""
    policy = load_preset("two-loop").default
    truth = labels(outage) if known else None
    recording = series(target, outage=outage, windows=windows, fast=fast)
    return watch(recording, policy, name="two-loop", labels=truth)


MANIFEST = Manifest(
    "flyball report payments.csv --out report.html",
    "1.2.3",
    (Input("payments.csv", 12_345, "ab" * 32),),
    (("two-loop", "d1g3st"),),
    ("open loop",),
)
