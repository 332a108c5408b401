"""What an outage of 300 s looks like to a fleet, on a virtual clock: four designs, the same calls.

For each design: how soon a circuit first refused a call, what share of the
outage's calls reached the dependency, attempts per call (retries are load too),
what share of the calls was answered well, and how long after the end calls were
still refused. Medians over the seeds, and ratios to Powertools' breaker in the
same run. Lower load is not better where most calls still succeed: read reached
and answered together. Model and limits: benchmarks/fleet_world.py.

Run: python benchmarks/bench_fleet.py [--quick] [--failures fast|timeouts|both] [--format json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from fleet_designs import DESIGNS, POWERTOOLS, patched
from fleet_world import Outage, Scenario, World

FLEETS = (20, 100)
RATES_PER_S = (10.0, 50.0)
ERROR_RATIOS = (0.2, 0.5, 1.0)
SEEDS, SEEDS_QUICK = 15, 3
KINDS = {"fast": (False,), "timeouts": (True,), "both": (False, True)}


class Summary(NamedTuple):
    """Medians over the seeds. Times count only the runs in which it happened; -1 = in none."""

    opened: int  # runs in which a circuit refused a call
    first_open_s: float
    reached_ratio: float
    load_ratio: float
    answered_ratio: float
    recovery_s: float
    unrecovered: int  # runs that were not back to normal when the run ended
    refused_healthy: float


Results = dict[str, Summary]


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else -1.0


def summarise(runs: Sequence[Outage]) -> Summary:
    """Return the medians of several runs of one design in one scenario."""
    opened = [run.first_open_s for run in runs if run.first_open_s >= 0.0]
    recovered = [run.recovery_s for run in runs if run.recovery_s >= 0.0]
    return Summary(
        len(opened),
        _median(opened),
        _median([run.reached / run.offered for run in runs]),
        _median([run.attempts / run.offered for run in runs]),
        _median([run.answered / run.offered for run in runs]),
        _median(recovered),
        len(runs) - len(recovered),
        _median([float(run.refused_healthy) for run in runs]),
    )


def run_scenario(scenario: Scenario, seeds: int) -> Results:
    """Run every design on every seed."""
    runs: dict[str, list[Outage]] = {name: [] for name in DESIGNS}
    for seed in range(seeds):
        for name, make in DESIGNS.items():
            world = World(scenario, seed)
            with patched(world):
                runs[name].append(world.run(make(world)))
    return {name: summarise(outages) for name, outages in runs.items()}


def title(scenario: Scenario) -> str:
    """Return the scenario in words."""
    kind = "time-outs" if scenario.timeouts else "fast errors"
    return (
        f"{scenario.environments} environments, {scenario.requests_per_s:g} req/s, "
        f"{scenario.error_ratio:.0%} {kind}"
    )


def _ratio(value: float, reference: float) -> str:
    return f"{value / reference:.2f}x" if reference > 0.0 and value >= 0.0 else "-"


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 0.0 else "never"


def print_scenario(scenario: Scenario, results: Results, seeds: int) -> None:
    """Print one table."""
    print(f"\n{title(scenario)}   (unprotected, without retries: {1.0 - scenario.error_ratio:.0%} answered)")
    heads = f"{'opened':>7}{'first':>8}{'reached':>9}{'':>7}{'load':>6}{'':>7}{'answered':>9}{'recovery':>9}"
    print(f"  {'':<29}{heads}")
    reference = results[POWERTOOLS]
    for name, got in results.items():
        reached = f"{got.reached_ratio:>9.1%}{_ratio(got.reached_ratio, reference.reached_ratio):>7}"
        load = f"{got.load_ratio:>6.2f}{_ratio(got.load_ratio, reference.load_ratio):>7}"
        times = f"{got.opened:>4}/{seeds:<2}{_seconds(got.first_open_s):>8}"
        back = _seconds(got.recovery_s) if not got.unrecovered else f"{got.unrecovered} not"
        alarms = f"   ({got.refused_healthy:g} refused while healthy)" if got.refused_healthy else ""
        print(f"  {name:<29}{times}{reached}{load}{got.answered_ratio:>9.1%}{back:>9}{alarms}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{SEEDS_QUICK} seeds and two fleets")
    parser.add_argument("--failures", choices=tuple(KINDS), default="both", help="how the dependency fails")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser.parse_args()


def scenarios(kind: str, *, quick: bool) -> list[Scenario]:
    """Return what is to be run; quick keeps the fleets whose environments see half a call per second."""
    fleets = [(n, rate) for n in FLEETS for rate in RATES_PER_S]
    if quick:
        fleets = [(FLEETS[0], RATES_PER_S[0]), (FLEETS[1], RATES_PER_S[1])]
    return [
        Scenario(n, rate, ratio, timeouts)
        for timeouts in KINDS[kind]
        for n, rate in fleets
        for ratio in ERROR_RATIOS
    ]


def main() -> None:
    """Run and print."""
    asked = arguments()
    seeds = SEEDS_QUICK if asked.quick else SEEDS
    todo = scenarios(asked.failures, quick=asked.quick)
    collected: list[dict[str, Any]] = []
    for number, scenario in enumerate(todo, start=1):
        print(f"[{number}/{len(todo)}] {title(scenario)}, {seeds} seeds ...", file=sys.stderr, flush=True)
        results = run_scenario(scenario, seeds)
        if asked.format == "text":
            print_scenario(scenario, results, seeds)
            sys.stdout.flush()
        collected.append(
            {**scenario._asdict(), "seeds": seeds, "designs": {n: s._asdict() for n, s in results.items()}}
        )
    if asked.format == "json":
        print(json.dumps(collected, indent=1))


if __name__ == "__main__":
    main()
