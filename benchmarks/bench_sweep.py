"""Policies times windows per second of a sweep, against pandas once per policy, and over processes.

The reference does for one policy what analysts do with pandas: pooled counts, Wilson
bounds, an exponentially weighted baseline, and a loop over the rows for budget and
circuit. That is less than the controller's law (no seasons, no promise, no regimes of
retries). The second reference is the production step, interpreted, once per policy.

How much policies have in common depends on what varies: forty points of four spaces, over this
history and over one with hourly batches and other incidents, in one shard and in a shard each.

All ratios are of CPU time, medians over interleaved rounds. The scaling is of wall
time, and says something only on a machine that has two idle processors; the CPU that
both took together says on any machine what sharing the work costs.

Run: python benchmarks/bench_sweep.py [--policies N] [--rows N]
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from bench_replay import service
from common import interleaved
from flyball_analytics import shards_replay
from flyball_analytics.compare_figures import acted_windows, figures_of
from flyball_analytics.executors import new_executor
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.series import Series
from flyball_analytics.shards import Kind, Shard, fields_of, read_result, run_shard, shard_key
from flyball_analytics.shards_figures import parts_of
from flyball_analytics.shards_input import pack_series
from flyball_analytics.space import Parameter, Space
from flyball_analytics.sweep import Search, candidates_at, drive
from flyball_analytics.sweep_store import Store
from flyball_controller.codec import with_digest
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy
from flyball_controller.policy_set import load_preset

START_S = 1_700_006_400.0
# Four services and 25 policies stay interpreted: loading compiled code would be most of so short a run.
SCALED_ROWS = 4_000
OUTAGE_EVERY, OUTAGE_LENGTH = 10_000, 15  # one in a week, a quarter of an hour


def history(rows: int, *, seed: int) -> tuple[Series, Labels]:
    """Return minutes of a service with 0.2 % failures and an outage a week."""
    draw = random.Random(seed)
    bad = {m for first in range(5_000, rows, OUTAGE_EVERY) for m in range(first, first + OUTAGE_LENGTH)}
    seen = []
    for minute in range(rows):
        requests = 500 + draw.randrange(200)
        failed = requests * 9 // 10 if minute in bad else sum(draw.random() < 0.2 for _ in range(6))
        start_s = START_S + 60.0 * minute
        seen.append(
            Observation("pay", start_s, 60.0, start_s + 80.0, requests, errors_fast=failed, attempts=requests)
        )
    incidents = []
    for first in range(5_000, rows, OUTAGE_EVERY):
        begin, end = START_S + 60.0 * first, START_S + 60.0 * (first + OUTAGE_LENGTH - 1)
        incidents.append(Incident(begin, end, begin, end))
    return Series("pay", "", 60.0, tuple(seen), rows, (), (), {}, (), ()), Labels(tuple(incidents))


def policies(count: int) -> list[Policy]:
    """Return policies that differ in their thresholds."""
    base = load_preset("two-loop").default
    return [
        with_digest(base._replace(open_floor=0.3 + 0.3 * n / count, retry_floor=0.02 + 0.05 * n / count))
        for n in range(count)
    ]


def pandas_once(frame: pd.DataFrame, policy: Policy) -> int:
    """Return how often the usual detector opens.

    Counts pooled over three windows, Wilson bounds for each class of failure, a smoothed
    mean and deviation as baseline, and a loop over the rows for budget and circuit.
    """
    pooled = frame.rolling(3, min_periods=1).sum()
    n = pooled["requests"]
    lower: dict[str, pd.Series] = {}
    upper: dict[str, pd.Series] = {}
    for name in ("failures", "timeouts", "throttles"):
        for z, kind in ((policy.z_act, "act"), (policy.z_open, "open")):
            p = pooled[name] / n
            middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n)
            half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)) ** 0.5
            lower[f"{name}_{kind}"], upper[f"{name}_{kind}"] = middle - half, middle + half
    ratio = (frame["failures"] / frame["requests"]).clip(upper=0.5)
    smoothed = ratio.ewm(halflife=policy.half_life_s / 60.0)
    mean, deviation = smoothed.mean().shift(1), smoothed.std().shift(1)
    trip = pd.concat([policy.retry_multiple * mean, mean + policy.retry_spread_k * deviation], axis=1).max(
        axis=1
    )
    trip = trip.clip(lower=policy.retry_floor, upper=policy.trip_ceiling)
    reset = (policy.reset_multiple * mean).clip(lower=policy.reset_floor)
    columns = (
        lower["failures_act"] > trip,
        lower["failures_open"] > policy.open_floor,
        lower["timeouts_act"] > policy.timeout_trip,
        lower["throttles_act"] > policy.throttle_trip,
        upper["failures_act"] < reset,
    )
    opened, is_open, budget, since, held = 0, False, 1.0, -(10**9), 0
    settle, dwell = policy.settle_s / 60.0, policy.dwell_s / 60.0
    for row, (high, dead, slow, throttled, clean) in enumerate(
        zip(*(c.to_numpy() for c in columns), strict=True)
    ):
        held = held + 1 if clean else 0
        if is_open:
            if clean and row - since >= dwell:
                is_open, since = False, row
        elif dead:
            is_open, since, opened = True, row, opened + 1
        elif (slow or throttled or high) and row - since >= settle:
            budget, since = budget / 2.0, row
        elif budget < 1.0 and held >= policy.hold_periods and row - since >= settle:
            budget, since = min(1.0, 2.0 * budget), row
    return opened


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--policies", type=int, default=120)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    series, truth = history(given.rows, seed=1)
    tried = policies(given.policies)
    one = pack_series(series)
    shard = Shard(Kind.HISTORY, one.digest, "pay", tuple(fields_of(p) for p in tried), truth).encode()
    frame = pd.DataFrame(
        [(o.requests, o.failures, o.timeouts, o.throttles) for o in series.observations],
        columns=["requests", "failures", "timeouts", "throttles"],
        dtype="float64",
    )
    shards_replay._points[0] = shards_replay.MAKE_FROM
    began_s = time.process_time()
    result = run_shard(shard, one.data)
    print(f"first shard, with compiling or loading: {time.process_time() - began_s:.1f} s of CPU")

    def ours() -> int:
        run_shard(shard, one.data)
        return given.rows * given.policies

    def usual() -> int:
        pandas_once(frame, tried[0])
        return given.rows

    def interpreted() -> int:
        acted_windows(series, tried[0])
        return given.rows

    found = interleaved({"sweep": ours, "pandas": usual, "interpreted": interpreted}, rounds=given.rounds)
    print(f"{given.policies} policies over {given.rows:,} windows, reading and scoring included:")
    for name, ns in found.items():
        rate, times = 1e3 / ns, ns / found["sweep"]
        print(f"  {name:<12} {rate:>8.2f} M policy-windows/s   {times:>8.1f} x the sweep's time")
    check_equal(series, truth, tried, result, shard_key(shard))
    searches(given.rows // 2, given.rounds)
    scaling(SCALED_ROWS)


SPACES = {
    "thresholds": (
        Parameter("retry_floor", low=0.01, high=0.2, log=True),
        Parameter("open_floor", low=0.3, high=0.8),
        Parameter("retry_multiple", low=2.0, high=6.0),
        Parameter("reset_floor", low=0.05, high=0.3),
    ),
    "times": (
        Parameter("settle_s", low=30.0, high=300.0),
        Parameter("hold_periods", low=1, high=6),
        Parameter("dwell_s", low=60.0, high=600.0),
    ),
    "evidence": (
        Parameter("min_requests", low=8, high=200),
        Parameter("open_floor", (0.4, 0.5, 0.6)),
        Parameter("retry_floor", low=0.01, high=0.2, log=True),
    ),
    "learning": (
        Parameter("half_life_s", low=3_600.0, high=86_400.0, log=True),
        Parameter("winsor_k", low=2.0, high=6.0),
    ),
}


def searches(rows: int, rounds: int) -> None:
    """Print what it gains to run the policies of a search together, by what varies and over what."""
    recorded = service(rows, incidents=True)
    seen = tuple(recorded.observation(row) for row in range(rows))
    batches = Series("pay", "", 60.0, seen, rows, (), (), {}, (), ())
    base = load_preset("two-loop")
    print(f"40 points of a Latin hypercube over {rows:,} windows, one shard against one per policy:")
    for name, series in (("outage a week", history(rows, seed=1)[0]), ("hourly batches", batches)):
        one = pack_series(series)
        for space, parameters in SPACES.items():
            found, _ = candidates_at(base, Space(parameters).latin(40, seed=3))
            fields = [fields_of(candidate.policies.default) for candidate in found]
            whole = Shard(Kind.HISTORY, one.digest, "pay", tuple(fields)).encode()
            single = [Shard(Kind.HISTORY, one.digest, "pay", (own,)).encode() for own in fields]

            def work(shards: Sequence[bytes], data: bytes, units: int) -> int:
                for shard in shards:
                    run_shard(shard, data)
                return units

            units = rows * len(fields)
            variants = {
                "together": partial(work, [whole], one.data, units),
                "apart": partial(work, single, one.data, units),
            }
            ns = interleaved(variants, rounds=rounds)
            print(
                f"  {name:<15} {space:<11} {ns['together']:>7.1f} ns a policy-window, "
                f"{ns['apart'] / ns['together']:>5.1f} x as fast"
            )


def check_equal(series: Series, truth: Labels, tried: list[Policy], result: bytes, key: str) -> None:
    """Compare some of the sweep's figures with those of the production step, interpreted."""
    entries = read_result(result, key=key)
    places = sorted({0, len(tried) // 2, len(tried) - 1})
    for place in places:
        figures = figures_of(
            acted_windows(series, tried[place]), truth, target="pay", contender="", acts=True
        )
        fit, _ = parts_of(figures, 0.0)
        assert entries[place]["fit"]["delays_s"] == list(fit.delays_s)
        assert {**entries[place]["fit"], "delays_s": ()} == {**fit.plain(), "delays_s": ()}
    print(f"  figures of {len(places)} policies equal to the interpreted step's: yes")


def children_s() -> float:
    """Return the CPU seconds of all ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def scaling(rows: int) -> None:
    """Print the wall time of one search over processes, against one process."""
    names = ("processes:1", "processes:2")
    walls: dict[str, list[float]] = {name: [] for name in names}
    sources = [history(rows, seed=seed) for seed in range(4)]
    points = [{"open_floor": round(0.3 + n / 200, 4)} for n in range(24)]
    candidates, _ = candidates_at(load_preset("two-loop"), iter(points))
    cpus: dict[str, list[float]] = {name: [] for name in names}
    outcomes = set()
    for _ in range(3):
        for name in names:
            before_s = children_s()
            with tempfile.TemporaryDirectory() as folder, new_executor(name) as executor:
                search = Search(Store(Path(folder)), batch=4)
                for series, truth in sources:
                    search.add_history(series, truth)
                keys = search.add_candidates(candidates)
                # The workers start, and load what is compiled, before the clock does.
                list(drive(keys[:2], search.store, executor, now_s=lambda: 0.0, errors={}))
                began_s = time.perf_counter()
                list(drive(keys[2:], search.store, executor, now_s=lambda: 0.0, errors={}))
                walls[name].append(time.perf_counter() - began_s)
                outcomes.add(str(search.measured().measured))
            cpus[name].append(children_s() - before_s)
    assert len(outcomes) == 1, "the outcome depends on the number of processes"
    one, two = (statistics.median(walls[name]) for name in names)
    busy = os.getloadavg()[0]
    print(
        f"two processes against one: {one / two:.2f} x (wall; load of the machine {busy:.1f}), equal outcomes"
    )


if __name__ == "__main__":
    main()
