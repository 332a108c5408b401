"""The same faults for flyball, Powertools' breaker and pybreaker: who stops, who answers, what does it cost?

For each scenario and design, medians over the seeds: share of the outage's calls
that reached the dependency, attempts per call, share answered well (with its ratio
to the reference, Powertools), time until the traffic has stopped and until it is
back, calls to the shared store per 1,000 calls, and calls that failed by the guard
itself. Scenarios: benchmarks/sides_world.py. Designs: benchmarks/sides_designs.py.

Run: python benchmarks/bench_side_by_side.py [--quick | --seeds N] [--only NAME] [--format text|json|markdown]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sides_designs import DESIGNS, POWERTOOLS, patched
from sides_world import Books, Kind, SidesWorld

SCHEMA = 1
SEEDS, SEEDS_QUICK = 15, 3
ENVIRONMENTS, REQUESTS_PER_S = 20, 10.0
LIBRARIES = ("aws-lambda-powertools", "pybreaker", "fakeredis")


class Line(NamedTuple):
    """Medians of one design in one scenario. Shares are of the outage's calls; -1 s = never in most runs."""

    reached: float
    attempts: float
    answered: float
    good_refused: float  # calls that could have been answered (of healthy keys), and were refused
    stopped_s: float
    back_s: float
    store_per_1000: float
    guard_errors: float
    waited_s_per_call: float
    false_alarms: float  # refused before the outage


Results = Mapping[str, Line]


def summarise(runs: Sequence[Books]) -> Line:
    """Return the medians of several runs; a time that most runs never saw is -1."""

    def median(values: Iterable[float]) -> float:
        return statistics.median(values)

    def time(values: Sequence[float]) -> float:
        seen = [value for value in values if value >= 0.0]
        return median(seen) if 2 * len(seen) > len(values) else -1.0

    return Line(
        median(b.outage.reached / b.outage.offered for b in runs),
        median(b.outage.attempts / b.outage.offered for b in runs),
        median(b.outage.answered / b.outage.offered for b in runs),
        median(b.good_refused / b.good_offered for b in runs),
        time([b.stopped_s for b in runs]),
        time([b.outage.recovery_s for b in runs]),
        median(1_000.0 * b.store_calls / b.offered_all for b in runs),
        median(float(b.guard_errors) for b in runs),
        median(b.waited_s / b.outage.offered for b in runs),
        median(float(b.outage.refused_healthy) for b in runs),
    )


def run_kind(kind: Kind, seeds: int, *, environments: int = ENVIRONMENTS) -> Results:
    """Run every design on every seed of one scenario."""
    found: dict[str, list[Books]] = {name: [] for name in DESIGNS}
    for seed in range(seeds):
        for name, make in DESIGNS.items():
            world = SidesWorld(kind, seed, environments=environments, requests_per_s=REQUESTS_PER_S)
            with patched(world):
                found[name].append(world.books(make(world)))
    return {name: summarise(books) for name, books in found.items()}


COLUMNS = (
    "reached", "attempts", "answered", "x ref.", "refused", "stopped", "back", "store/1000", "own errors",
    "waited",
)  # fmt: skip


def _seconds(value: float) -> str:
    return "never" if value < 0.0 else f"{value:.0f} s"


def cells(line: Line, reference: Line) -> list[str]:
    """Return a line's figures as text, in the order of COLUMNS."""
    ratio = f"{line.answered / reference.answered:.2f}" if reference.answered > 0.005 else "-"
    return [
        f"{line.reached:.1%}",
        f"{line.attempts:.2f}",
        f"{line.answered:.1%}",
        ratio,
        f"{line.good_refused:.1%}",
        _seconds(line.stopped_s),
        _seconds(line.back_s),
        f"{line.store_per_1000:,.0f}",
        f"{line.guard_errors:,.0f}",
        f"{line.waited_s_per_call:.2f} s",
    ]


def print_text(kind: Kind, results: Results) -> None:
    """Print one table."""
    print(f"\n{kind.value}   (x ref.: answered, beside {POWERTOOLS})")
    print(f"  {'':<28}" + "".join(f"{head:>11}" for head in COLUMNS))
    for name, line in results.items():
        alarms = f"   ({line.false_alarms:g} refused before)" if line.false_alarms else ""
        print(f"  {name:<28}" + "".join(f"{c:>11}" for c in cells(line, results[POWERTOOLS])) + alarms)


def print_markdown(kind: Kind, results: Results) -> None:
    """Print one table as docs/reference/side-by-side.md has it."""
    print(f"\n**{kind.value}**\n")
    print("| | " + " | ".join(COLUMNS) + " |")
    print("|-|" + "-|" * len(COLUMNS))
    for name, line in results.items():
        print(f"| {name} | " + " | ".join(cells(line, results[POWERTOOLS])) + " |")


def versions() -> dict[str, str]:
    """Return what was compared."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **found}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{SEEDS_QUICK} seeds")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", metavar="NAME", help="only scenarios whose name contains this")
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    return parser.parse_args()


def main() -> None:
    """Run and print."""
    asked = arguments()
    seeds = SEEDS_QUICK if asked.quick else max(1, asked.seeds)
    kinds = [kind for kind in Kind if asked.only is None or asked.only in kind.value]
    if not kinds:
        sys.exit(f"--only {asked.only!r} is in no name: {', '.join(kind.value for kind in Kind)}")
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    if asked.format != "json":
        print(
            f"{ENVIRONMENTS} environments, {REQUESTS_PER_S:g} calls a second, outages of 300 s, "
            f"seeds 0 to {seeds - 1}; {told}"
        )
    collected: list[dict[str, Any]] = []
    for number, kind in enumerate(kinds, start=1):
        print(f"[{number}/{len(kinds)}] {kind.value}, {seeds} seeds ...", file=sys.stderr, flush=True)
        results = run_kind(kind, seeds)
        if asked.format == "text":
            print_text(kind, results)
        elif asked.format == "markdown":
            print_markdown(kind, results)
        sys.stdout.flush()
        designs = {name: line._asdict() for name, line in results.items()}
        collected.append({"scenario": kind.value, "designs": designs})
    if asked.format == "json":
        print(
            json.dumps(
                {"schema": SCHEMA, "seeds": seeds, "versions": versions(), "scenarios": collected}, indent=1
            )
        )


if __name__ == "__main__":
    main()
