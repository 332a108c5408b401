"""Long runs of the simulation and of the protocol's model; tables for docs/reference/reliability.md.

    python tools/reliability.py simulate --schedules 40000 --first 0 --workers 2
    python tools/reliability.py simulate --first 1394 --schedules 1        # one seed again
    python tools/reliability.py replay "seed=... | step step ..."          # a schedule as it was printed
    python tools/reliability.py model --size long

Tables go to stdout, progress to stderr. Exit code 1 if a law was broken or a way
was not gone often enough. A failing seed is printed with the smallest schedule
that still fails. Rates are those of this machine at this time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / name) for name in ("tests", "client", "controller", "handlers", "analytics", "local")
]

BATCH = 50


class Sum(NamedTuple):
    """What a batch of seeds came to."""

    schedules: int
    rounds: int
    calls: int
    simulated_s: float
    quiet_max: int
    cpu_s: float
    reached: Counter[str]
    table: Counter[tuple[str, str]]
    failures: list[tuple[int, str]]


def run_batch(seeds: Sequence[int]) -> Sum:
    """Run some seeds."""
    from simulation.schedule import draw
    from simulation.world import run

    warnings.simplefilter("ignore")  # schedules publish what clients must not obey, and say so
    begun_s = time.process_time()
    reached: Counter[str] = Counter()
    table: Counter[tuple[str, str]] = Counter()
    rounds = calls = quiet_max = 0
    simulated_s, failures = 0.0, []
    for seed in seeds:
        result = run(draw(seed))
        reached.update(result.reached.keys())
        table.update(result.table)
        rounds, calls = rounds + result.rounds, calls + result.calls
        simulated_s += result.simulated_s
        quiet_max = max(quiet_max, result.quiet_min)
        if result.violations:
            first = result.violations[0]
            failures.append((seed, f"{first.law}: {first.what}"))
    cpu_s = time.process_time() - begun_s
    return Sum(len(seeds), rounds, calls, simulated_s, quiet_max, cpu_s, reached, table, failures)


def _added(sums: Sequence[Sum]) -> Sum:
    reached: Counter[str] = Counter()
    table: Counter[tuple[str, str]] = Counter()
    for one in sums:
        reached.update(one.reached)
        table.update(one.table)
    return Sum(
        sum(one.schedules for one in sums),
        sum(one.rounds for one in sums),
        sum(one.calls for one in sums),
        sum(one.simulated_s for one in sums),
        max(one.quiet_max for one in sums),
        sum(one.cpu_s for one in sums),
        reached,
        table,
        [failure for one in sums for failure in one.failures],
    )


def simulate(first: int, schedules: int, workers: int, least: int) -> int:
    """Run seeds in several processes, print what came of them; return the exit code."""
    batches = [range(at, min(at + BATCH, first + schedules)) for at in range(first, first + schedules, BATCH)]
    begun_s = time.monotonic()
    sums: list[Sum] = []
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for one in pool.imap_unordered(run_batch, batches):
            sums.append(one)
            done = sum(part.schedules for part in sums)
            took_s = time.monotonic() - begun_s
            print(f"\r{done} of {schedules}, {done / took_s:.0f} per second", end="", file=sys.stderr)
    print(file=sys.stderr)
    total = _added(sums)
    _print_sum(total, first, time.monotonic() - begun_s)
    missed = _print_reached(total, least)
    for seed, what in total.failures[:10]:
        _print_failure(seed, what)
    return 1 if total.failures or missed else 0


def _print_sum(total: Sum, first: int, took_s: float) -> None:
    faults = sum(count for (fault, _), count in total.table.items() if fault != "none")
    print(f"seeds {first} to {first + total.schedules - 1}: {len(total.failures)} with a broken law")
    print(
        f"{total.rounds} rounds, {total.calls} calls, {faults} faults, "
        f"{total.simulated_s / 86_400.0:.1f} simulated days; longest recovery {total.quiet_max} min"
    )
    each_ms = 1e3 * total.cpu_s / total.schedules
    print(f"{total.schedules / took_s:.0f} schedules per second, {each_ms:.1f} ms CPU each")
    print("\n| fault | outcome | count |\n|---|---|---:|")
    for (fault, outcome), count in sorted(total.table.items()):
        print(f"| {fault} | {outcome} | {count} |")


def _print_reached(total: Sum, least: int) -> list[str]:
    from simulation.rare import RARE

    print("\n| rare way | schedules |\n|---|---:|")
    for way in sorted(total.reached):
        print(f"| {way} | {total.reached[way]} |")
    missed = [way for way in RARE if total.reached[way] < least]
    if missed:
        print(f"\nnot gone in {least} schedules: {', '.join(missed)}")
    return missed


def _print_failure(seed: int, what: str) -> None:
    from simulation.schedule import Schedule, draw, shrink
    from simulation.world import run

    law = what.split(":")[0]

    def fails(schedule: Schedule) -> bool:
        return any(violation.law == law for violation in run(schedule).violations)

    print(f"\nseed {seed}: {what}\nsmallest: {shrink(draw(seed), fails).tell()}")


def replay(text: str) -> int:
    """Run one schedule as it was printed; return the exit code."""
    from simulation.schedule import read_back
    from simulation.world import run

    result = run(read_back(text))
    for violation in result.violations:
        print(violation)
    print(f"{len(result.violations)} broken laws; recovered after {result.quiet_min} min")
    return 1 if result.violations else 0


def model(size: str) -> int:
    """Explore the protocol's model, then let it catch its planted bugs; return the exit code."""
    from model.run import report

    return report(size)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands: Any = parser.add_subparsers(dest="command", required=True)
    simulated = commands.add_parser("simulate", help="run seeds of the simulation")
    simulated.add_argument("--schedules", type=int, default=40_000)
    simulated.add_argument("--first", type=int, default=0, help="first seed")
    simulated.add_argument("--workers", type=int, default=2)
    simulated.add_argument("--least", type=int, default=-1, help="schedules that must go each rare way")
    replayed = commands.add_parser("replay", help="run one schedule as it was printed")
    replayed.add_argument("schedule")
    modelled = commands.add_parser("model", help="explore the protocol's model")
    modelled.add_argument("--size", choices=("short", "long"), default="long")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    if given.command == "simulate":
        # A hundred of each in the 40,000 of a release; runs of a few seeds are for looking.
        least = given.least if given.least >= 0 else given.schedules // 400
        return simulate(given.first, given.schedules, given.workers, least)
    return replay(given.schedule) if given.command == "replay" else model(given.size)


if __name__ == "__main__":
    sys.exit(main())
