"""Parameters that do not fit each other, the function or its traffic. Part of `flyball.explain`.

A contradiction is no error: every document inside the bounds is obeyed. It means
that something somebody set has no effect, or another than the number suggests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from flyball.breaker import EXPIRED_PROBE_S
from flyball.call import Target
from flyball.environment import DEADLINE_MARGIN_S
from flyball.records import Circuit, CircuitState, probe_share

# Probing that needs longer than an expired circuit is remembered proves nothing in time.
CLOSE_MAX_S = EXPIRED_PROBE_S


class Contradiction(NamedTuple):
    """Two things that do not fit; `code` is stable, `text` says what to change."""

    code: str
    text: str


def of_declaration(target: Target, *, idempotent: bool | None, told: bool | None) -> Iterator[Contradiction]:
    """Yield what does not fit the guarded function; None = nothing is known of it."""
    attempts = target.max_attempts
    if idempotent is False and attempts > 1:
        yield Contradiction(
            "not-idempotent",
            f"{attempts} attempts are allowed, but it is not declared idempotent: nothing is repeated",
        )
    if told is False:
        yield Contradiction(
            "timeout-missing",
            "the function is not told how long an attempt may take, so none is ended: "
            "name one of its keyword arguments in guard(timeout=...)",
        )


def of_params(target: Target) -> Iterator[Contradiction]:
    """Yield what does not fit within the parameters in force."""
    attempts = target.max_attempts
    if attempts > 1 and not target.budget_ratio:
        yield Contradiction(
            "budget-zero", f"{attempts} attempts are allowed, but the budget is 0: nothing is repeated"
        )
    if not target.params.throttle.cap_ratio:
        yield Contradiction(
            "throttle-off", "throttle cap_ratio is 0: a target that times out goes on getting every call"
        )


def of_time(
    target: Target, *, attempts: int, worst_s: float, function_timeout_s: float
) -> Iterator[Contradiction]:
    """Yield what does not fit the time-out of the function, of which the last part is kept for its answer."""
    attempt_s = target.params.retry.attempt_timeout_ms / 1_000.0
    usable_s = function_timeout_s - DEADLINE_MARGIN_S
    if usable_s < attempt_s:
        yield Contradiction(
            "deadline-short",
            f"the function has {usable_s:g} s and one attempt {attempt_s:g} s: none gets its time; "
            "lower attempt_timeout_ms or raise the function's time-out",
        )
    elif usable_s < worst_s:
        yield Contradiction(
            "function-timeout",
            f"one call may take {worst_s:.4g} s ({attempts} attempts of {attempt_s:g} s, a new environment, "
            f"the waits), and the function has {usable_s:g} s: with a deadline the last attempts are not "
            "made, without one the function dies",
        )


def of_traffic(target: Target, circuit: Circuit | None, *, calls_per_s: float) -> Iterator[Contradiction]:
    """Yield what does not fit the traffic of one environment; `circuit` is the published one that counts."""
    p = target.params.breaker
    seen = calls_per_s * p.window_s
    # A run of failures counts if none comes more than a window after the one before.
    if seen < p.min_calls and (p.consecutive_failures == 0 or seen < 1.0):
        yield Contradiction(
            "breaker-deaf",
            f"{calls_per_s:g} calls/s are {seen:.3g} in {p.window_s:g} s, and min_calls is {p.min_calls}: "
            "this environment never opens by itself; widen window_s, or "
            + ("lower min_calls" if p.consecutive_failures else "set consecutive_failures"),
        )
    if circuit is not None and circuit.state in (CircuitState.OPEN, CircuitState.HALF_OPEN):
        ratio, needed, least_per_s = circuit.probe_ratio, circuit.close_after or p.close_after, 0.0
    else:
        # On its own evidence an environment probes once per open_s, whatever the share.
        ratio, needed, least_per_s = p.probe_ratio, p.close_after, 1.0 / p.open_s
    closes_s = 0.0 if calls_per_s else float("inf")
    for good in range(needed if calls_per_s else 0):
        share = probe_share(ratio, good=good, close_after=needed)
        closes_s += 1.0 / min(calls_per_s, max(calls_per_s * share, least_per_s))
    if closes_s > CLOSE_MAX_S:
        yield Contradiction(
            "probes-too-few",
            f"with {calls_per_s:g} calls/s and a share of {ratio:g} for probes, {needed} good ones take "
            f"{closes_s:.3g} s, longer than {CLOSE_MAX_S:g} s: raise probe_ratio or lower close_after",
        )
