"""What a step of the interpreted core costs, quiet and acting apart, beside what people write without it.

The reference is a bare EWMA + 3 sd detector with a three-state breaker on the
same windows, in plain Python: no regimes, no evidence, no seasons, no reasons.
The ratio is the price of a decision that can be explained and recomputed.

Windows of incidents are told apart by what the step made of them, and each kind is
stepped again from the states that led to it; the reference runs over the same windows.
Incidents are an hour's quarter of fast failures (40 %), an outage (90 % time out) and a
dead target (all fail fast).

Run: python benchmarks/bench_step.py
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import sqrt

from common import interleaved, table
from flyball_controller.codec import decode_state, encode_state, journal_record
from flyball_controller.core import State, initial_state, step
from flyball_controller.core.model import Decision, Observation, Reason, Regime
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint

WINDOWS = 2_880  # two days of minutes
POLICY = Policy()
KINDS = ("quiet", "acting", "tripping", "holding", "waiting", "recovering")
REPEATED = 2_000  # steps per round and kind, at least
WAITS = {Reason.WAITING_TO_SETTLE, Reason.WAITING_FOR_HOLD}

Step = tuple[State, Observation]


def make_windows(seed: int = 1, *, fast: float = 0.4, timeouts: float = 0.0) -> list[Observation]:
    """Two days with an hourly batch and four incidents of a quarter of an hour.

    Args:
        seed: Of the draws.
        fast: Share of calls that fail fast in an incident.
        timeouts: Share that times out instead, retries and all; `fast` is 0 then.
    """
    draw = random.Random(seed)
    start_s = 1_699_999_200.0
    windows = []
    for i in range(WINDOWS):
        requests = 500 + draw.randrange(200)
        ratio = 0.05 if i % 60 < 3 else 0.002
        incident = i % 720 in range(400, 415)
        if incident:
            ratio = timeouts or fast
        failures = sum(draw.random() < ratio for _ in range(requests // 10)) * 10
        at_s = start_s + 60.0 * i
        seen = Observation("t", at_s, 60.0, at_s + 80.0, requests, 0, failures, attempts=requests + failures)
        seen = seen._replace(request_failures=0, latency_ms_p99=200.0)
        if incident and timeouts > 0.0:
            seen = seen._replace(
                timeouts=failures, errors_fast=0, request_failures=failures, latency_ms_p99=4_000.0
            )
        windows.append(seen)
    return windows


def kinds_of(decision: Decision) -> tuple[str, ...]:
    """Return the kinds that a window belongs to, by what was decided."""
    if decision.regime == Regime.NOMINAL and decision.applied == nominal_setpoint(POLICY):
        return () if decision.changed else ("quiet",)
    if decision.changed:
        return ("acting", "tripping" if decision.urgent else "recovering")
    if any(note.reason in WAITS for note in decision.evidence):
        return "acting", "waiting"
    return "acting", "recovering" if decision.regime == Regime.RECOVERING else "holding"


def steps_by_kind(streams: list[list[Observation]]) -> dict[str, list[Step]]:
    """Return the states and windows of each kind, over all streams."""
    found: dict[str, list[Step]] = {kind: [] for kind in KINDS}
    for windows in streams:
        state = initial_state(POLICY)
        for seen in windows:
            after, decision = step(state, seen, POLICY)
            for kind in kinds_of(decision):
                found[kind].append((state, seen))
            state = after
    found["quiet"] = found["quiet"][1_000 : 1_000 + REPEATED]
    return found


def reference(windows: list[Observation]) -> int:
    """EWMA mean and variance, 3 sd, breaker with three states."""
    mean = variance = 0.0
    state = opened = 0
    for i, seen in enumerate(windows):
        ratio = seen.failures / seen.requests
        bad = ratio > mean + 3.0 * sqrt(variance) + 0.05
        if state == 0 and bad:
            state, opened = 1, i
        elif state == 1 and i - opened > 2:
            state = 2
        elif state == 2:
            state = 1 if bad else 0
        if not bad:
            delta = ratio - mean
            mean += 0.01 * delta
            variance = 0.99 * (variance + 0.01 * delta * delta)
    return len(windows)


def works_of(kind: str, steps: list[Step]) -> dict[str, Callable[[], int]]:
    """Return what is measured for one kind: the reference over its windows, and the step from its states."""
    rounds = REPEATED // len(steps) + 1
    windows = [seen for _, seen in steps]

    def stepped() -> int:
        for _ in range(rounds):
            for state, seen in steps:
                step(state, seen, POLICY)
        return rounds * len(steps)

    return {
        f"{kind}: reference": lambda: sum(reference(windows) for _ in range(rounds)),
        f"{kind}: step": stepped,
    }


def by_kind(streams: list[list[Observation]]) -> None:
    """Measure and print each kind of window beside its reference."""
    found = steps_by_kind(streams)
    works: dict[str, Callable[[], int]] = {}
    for kind in KINDS:
        works |= works_of(kind, found[kind])
    figures = interleaved(works)
    print("\nCPU per step, by kind of window   (reference: EWMA + 3 sd breaker over the same windows)")
    for kind in KINDS:
        plain, ours = figures[f"{kind}: reference"], figures[f"{kind}: step"]
        print(
            f"  {kind:<10}  {len(found[kind]):>5} windows"
            f"  reference {plain:>5,.0f} ns   step {ours:>7,.0f} ns   {ours / plain:>6.1f} x"
        )


def main() -> None:
    """Measure and print."""
    windows = make_windows()

    def bare_step() -> int:
        state = initial_state(POLICY)
        for seen in windows:
            state, _ = step(state, seen, POLICY)
        return len(windows)

    warm = initial_state(POLICY)
    for seen in windows:
        warm, decision = step(warm, seen, POLICY)
    packed = encode_state(warm)

    def encode() -> int:
        for _ in range(2_000):
            encode_state(warm)
        return 2_000

    def decode() -> int:
        for _ in range(2_000):
            decode_state(packed)
        return 2_000

    def journal() -> int:
        for _ in range(500):
            journal_record(decision, windows[-1], packed, packed)
        return 500

    figures = interleaved(
        {
            "EWMA + 3 sd breaker, plain Python": lambda: reference(windows),
            "flyball step, two days in turn": bare_step,
            "encode_state": encode,
            "decode_state": decode,
            "journal_record": journal,
        }
    )
    table("CPU per call", figures, reference="EWMA + 3 sd breaker, plain Python")
    per_second = 1e9 / figures["flyball step, two days in turn"]
    print(f"\n  flyball: {per_second:,.0f} steps per second, state of {len(packed)} bytes")
    by_kind([windows, make_windows(timeouts=0.9), make_windows(fast=1.0)])


if __name__ == "__main__":
    main()
