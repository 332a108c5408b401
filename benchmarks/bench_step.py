"""Steps per second of the interpreted core, beside what people write without it.

The reference is a bare EWMA + 3 sd detector with a three-state breaker on the
same windows, in plain Python: no regimes, no evidence, no seasons, no reasons.
The ratio is the price of a decision that can be explained and recomputed.

Run: python benchmarks/bench_step.py
"""

from __future__ import annotations

import random
from math import sqrt

from common import interleaved, table
from flyball_controller.codec import decode_state, encode_state, journal_record
from flyball_controller.core import initial_state, step
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy

WINDOWS = 2_880  # two days of minutes


def make_windows(seed: int = 1) -> list[Observation]:
    """Two days with an hourly batch and four incidents."""
    draw = random.Random(seed)
    start_s = 1_699_999_200.0
    windows = []
    for i in range(WINDOWS):
        requests = 500 + draw.randrange(200)
        ratio = 0.05 if i % 60 < 3 else 0.002
        if i % 720 in range(400, 415):
            ratio = 0.4
        failures = sum(draw.random() < ratio for _ in range(requests // 10)) * 10
        at_s = start_s + 60.0 * i
        seen = Observation("t", at_s, 60.0, at_s + 80.0, requests, 0, failures, attempts=requests + failures)
        windows.append(seen._replace(request_failures=0, latency_ms_p99=200.0))
    return windows


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


def main() -> None:
    """Measure and print."""
    windows = make_windows()
    policy = Policy()

    def bare_step() -> int:
        state = initial_state(policy)
        for seen in windows:
            state, _ = step(state, seen, policy)
        return len(windows)

    warm = initial_state(policy)
    for seen in windows:
        warm, decision = step(warm, seen, policy)
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
            "flyball step": bare_step,
            "encode_state": encode,
            "decode_state": decode,
            "journal_record": journal,
        }
    )
    table("CPU per call", figures, reference="EWMA + 3 sd breaker, plain Python")
    print(f"\n  flyball: {1e9 / figures['flyball step']:,.0f} steps per second, state of {len(packed)} bytes")


if __name__ == "__main__":
    main()
