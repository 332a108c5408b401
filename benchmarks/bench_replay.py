"""The compiled replay beside the interpreted core, its twin in C, and what people write without it.

Histories: minutes of one service with an hourly batch, a daily cycle and two incidents of a
quarter of an hour a month; `quiet` has no incidents, so that no window is interpreted.
Figures are CPU time per window, medians over interleaved rounds; ratios are within one run.

Run: python benchmarks/bench_replay.py [--points N] [--equal N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from common import interleaved, table
from flyball_analytics import fastreplay_jit
from flyball_analytics.fastreplay import Engine, Outcome, run, run_with
from flyball_analytics.fastreplay_columns import History, columns_of
from flyball_controller.core import initial_state
from flyball_controller.core.policy import Policy
from replay_native import native_advance
from replay_peers import peers

YEAR = 525_600
START_S = 1_767_571_200.0
INTERPRETED = 6_000
SERVICES = 1_000
REPEATS = 10  # so that drawing the data does not count


def service(points: int, *, incidents: bool, seed: int = 1, volume: float = 600.0) -> History:
    """One service's minutes as columns."""
    draw = np.random.default_rng(seed)
    at_s = START_S + 60.0 * np.arange(points)
    day = 1.0 + 0.5 * np.sin(2.0 * np.pi * at_s / 86_400.0)
    requests = draw.poisson(volume * day)
    ratio = np.where((at_s // 60) % 60 < 3, 0.02, 0.004)
    if incidents:
        for begin in draw.integers(2_880, points - 20, max(points * 24 // YEAR, 1)):
            ratio[begin : begin + 15] = 0.4
    failures = draw.binomial(requests, ratio)
    columns = {
        "start_s": at_s, "window_s": 60.0, "arrived_s": at_s + 80.0, "requests": requests,
        "errors_fast": failures, "attempts": requests + failures,
        "latency_ms_p99": draw.gamma(9.0, 22.0, points),
    }  # fmt: skip
    return columns_of(columns, target=f"s{seed}", looks_s=60.0)


def shard(seed: int, points: int) -> tuple[int, float]:
    """One worker's piece: draw a service, replay it REPEATS times; return the windows and the CPU seconds."""
    history = service(points, incidents=True, seed=seed)
    begin = time.process_time()
    windows = sum(run(history, Policy(), engine=Engine.COMPILED).steps for _ in range(REPEATS))
    return windows, time.process_time() - begin


def first_call() -> tuple[float, str]:
    """Seconds until the first compiled window of this process."""
    begin = time.process_time()
    run(service(600, incidents=False), Policy(), engine=Engine.COMPILED)
    made = fastreplay_jit.compiled()
    assert made is not None, "numba is not installed: nothing to measure"
    return time.process_time() - begin, made.notice


def speed(points: int, native) -> dict[str, float]:
    """Print and return CPU time per window by variant."""
    policy, state = Policy(), initial_state(Policy())
    quiet, stormy = service(points, incidents=False), service(points, incidents=True)
    few = service(INTERPRETED, incidents=False)
    some = points // 5
    ratios = (quiet.errors_fast / quiet.requests)[:some]

    def whole(history: History) -> int:
        run(history, policy, engine=Engine.COMPILED)
        return history.rows

    variants = {
        "flyball compiled, quiet": lambda: whole(quiet),
        "flyball compiled, two incidents a month": lambda: whole(stormy),
        "flyball interpreted, quiet": lambda: run(few, policy, engine=Engine.INTERPRETED).steps,
    }
    if native is not None:
        variants["C twin, quiet"] = lambda: run_with(native, quiet, policy, state).steps
        variants["C twin, two incidents a month"] = lambda: run_with(native, stormy, policy, state).steps
    for name, peer in peers().items():
        variants[name] = partial(lambda work: (work(ratios), some)[1], peer)
    figures = interleaved(variants, rounds=7)
    table("CPU per window", figures, reference="flyball compiled, quiet")
    return figures


def goals(figures: dict[str, float]) -> None:
    """Print each goal beside what was reached."""
    ours = figures["flyball compiled, quiet"]
    print("\ngoals (ratio in speed, same run)")
    for goal, name in (
        (100.0, "flyball interpreted, quiet"),
        (0.7, "C twin, quiet"),
        (40.0, "pandas ewm + state machine"),
        (20.0, "polars ewm + state machine"),
        (100.0, "river EWMean, EWVar + state machine"),
    ):
        if name in figures:
            ratio = figures[name] / ours
            print(f"  {name:<38} {ratio:>8.2f} x   goal {goal:>5} x   {'met' if ratio >= goal else 'missed'}")


def equal(points: int, native) -> None:
    """Print how many windows were compared, and how many of their outcomes differ."""
    policy, state = Policy(), initial_state(Policy())
    compared, differ = 0, 0
    for seed in range(max(points // YEAR, 1)):
        history = service(min(YEAR, points), incidents=True, seed=seed, volume=(5.0, 60.0, 600.0)[seed % 3])
        one = run(history, policy, engine=Engine.COMPILED)
        if native is not None:
            other = run_with(native, history, policy, state)
            differ += not same(one, other)
            compared += history.rows
            print(f"\r{compared:,} windows compared, {differ} differ", end="", file=sys.stderr, flush=True)
    print(f"\nequal bits, numba and C: {compared:,} windows compared, {differ} histories differ")
    history = service(20_000, incidents=True, seed=7)
    one, other = (run(history, policy, engine=engine) for engine in (Engine.COMPILED, Engine.INTERPRETED))
    verdict = "equal" if same(one, other) else "DIFFERENT"
    print(f"equal bits, numba and CPython: {history.rows:,} windows, {verdict}")


def same(one: Outcome, other: Outcome) -> bool:
    """Return whether two outcomes agree in every bit."""
    return (one.state_bytes, one.noted, one.quiet) == (other.state_bytes, other.noted, other.quiet)


def fleet(points: int) -> None:
    """Print what two processes gain, and the time of 1,000 services' years on them."""
    shards = 8
    walls: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    windows = 0
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        list(pool.map(partial(shard, points=4_000), range(4)))  # both have loaded the compiled code
        for workers in (1, 2, 1, 2, 1, 2):
            begin = time.monotonic()
            chunk = shards if workers == 1 else 1
            done = list(pool.map(partial(shard, points=points), range(shards), chunksize=chunk))
            walls[workers].append(time.monotonic() - begin)
            costs[workers].append(sum(seconds for _, seconds in done))
            windows = sum(count for count, _ in done)
    one, two = min(walls[1]), min(walls[2])
    print(
        f"\ntwo processes: {one / two:.2f} x one in wall time (goal 1.7; means something on idle cores only)"
    )
    print(
        f"  by CPU time: {2.0 * min(costs[1]) / min(costs[2]):.2f} x, were both cores idle; {windows:,} rows"
    )
    print(f"1,000 services x 1 year: {SERVICES * YEAR * two / windows:,.0f} s of wall time now (goal 10 s)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="compiled replay against its references")
    parser.add_argument("--points", type=int, default=YEAR, help="windows of one history")
    parser.add_argument("--equal", type=int, default=4 * YEAR, help="windows compared bit for bit")
    options = parser.parse_args()
    seconds, notice = first_call()
    print(f"first compiled window after {seconds:.1f} s of CPU (import, load or compile) {notice}")
    with tempfile.TemporaryDirectory() as folder:
        native = native_advance(Path(folder))
        if native is None:
            print("no C compiler: the twin is left out")
        figures = speed(options.points, native)
        goals(figures)
        break_even = seconds * 1e9 / figures["flyball interpreted, quiet"]
        print(f"\n  that first call is worth {break_even:,.0f} interpreted windows")
        for name in ("flyball compiled, quiet", "flyball compiled, two incidents a month"):
            seconds = figures[name] * YEAR * SERVICES / 1e9
            print(f"  {name}: {SERVICES:,} service-years take {seconds:,.0f} s of CPU")
        equal(options.equal, native)
    fleet(options.points // 4)


if __name__ == "__main__":
    main()
