"""Quality of control: every scenario against every algorithm, with the real client and controller.

    python benchmarks/bench_control.py                  # the scenarios' own seeds, all algorithms
    python benchmarks/bench_control.py --quick          # one seed
    python benchmarks/bench_control.py --seeds 11-30 --model rho=0.8 --only capacity-hard
    python benchmarks/bench_control.py --grid           # model errors; reduced: fast scenarios, one seed
    python benchmarks/bench_control.py --grid grid.jsonl --seeds 1-20 --all     # resumable, hours

Prints lost minutes, recovery and goodput per scenario and algorithm (means over
seeds; a recovery counts as never if any seed never recovered), then the sum of
lost minutes over the best algorithm of each scenario, over the scenarios with an
incident. All algorithms meet the same requests. Counted scenarios are left out:
without simulated requests there is nothing to compare.

A figure of this kind is about the model; which assumptions it stands on is said
in flyball_analytics/plant and can be varied with --model.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from control_grid import GRID, possible, run_grid, show_grid
from flyball_analytics.algorithms import FLYBALL, STATIC, algorithm_names, reference_names
from flyball_analytics.cli.closedloop_options import cores, model_of
from flyball_analytics.closedloop import Result
from flyball_analytics.judge import load_known, scenario_files
from flyball_analytics.scenarios import Scenario
from flyball_analytics.suite import Job, run_jobs

ROOT = Path(__file__).resolve().parent.parent
COLUMN = 9
Table = dict[tuple[str, str], list[Result]]  # by scenario and algorithm, one result per seed


def main() -> None:
    """Run and print."""
    options = read_options()
    scenarios = [load_known(file) for file in scenario_files([ROOT / "scenarios"])]
    wanted = [s for s in scenarios if not s.counted and (not options.only or s.name in options.only)]
    if not wanted:
        sys.exit(f"no scenario is called {', '.join(options.only)}")
    if options.grid is not None:
        grid(wanted, options)
        return
    model = model_of(tuple(options.model))
    jobs = [
        Job(scenario, name, seed, policy=options.policy, model=model)
        for scenario in wanted
        for seed in seeds_of(scenario, options)
        for name in options.algorithms
    ]
    began_s = time.perf_counter()
    results: Table = {}
    for done, (number, result) in enumerate(run_jobs(jobs, workers=options.jobs), start=1):
        job = jobs[number]
        results.setdefault((job.scenario.name, job.algorithm), []).append(result)
        if sys.stderr.isatty() and done % 20 == 0:
            print(f"\r{done}/{len(jobs)} runs", end="", file=sys.stderr)
    took_s = time.perf_counter() - began_s
    show(wanted, options.algorithms, results)
    print(
        f"\n{len(jobs)} runs of {len(wanted)} scenarios and {len(options.algorithms)} algorithms: "
        f"{took_s:.0f} s on {options.jobs} processes ({1_000.0 * took_s / len(jobs):.0f} ms per run)"
    )


def grid(scenarios: Sequence[Scenario], options: argparse.Namespace) -> None:
    """Run and print the grid of model errors."""
    chosen = [s for s in scenarios if s.harmful and (options.all or options.only or s.fast)]
    if not options.seeds:
        options.quick = True
    jobs = [
        (name, Job(scenario, algorithm, seed, policy=options.policy, model=model))
        for name, model in GRID.items()
        for scenario in chosen
        for algorithm in options.algorithms
        for seed in seeds_of(scenario, options)
        if possible(scenario, model)
    ]
    began_s = time.perf_counter()
    done = run_grid(jobs, Path(options.grid) if options.grid else None, workers=options.jobs)
    show_grid(done, options.algorithms)
    print(f"\n{len(jobs)} runs of {len(chosen)} scenarios: {time.perf_counter() - began_s:.0f} s")


def read_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the first seed of each scenario only")
    parser.add_argument("--seeds", type=seed_range, help="as 1-20; default: each scenario's own")
    parser.add_argument("--only", nargs="*", default=[], help="names of scenarios")
    parser.add_argument("--algorithms", nargs="*", default=[FLYBALL, *reference_names()])
    parser.add_argument("--policy", default="two-loop", help="what flyball obeys")
    parser.add_argument("--model", nargs="*", default=[], help="KEY=VALUE, as of flyball simulate")
    parser.add_argument("--grid", nargs="?", const="", metavar="FILE", help="vary the model; FILE resumes")
    parser.add_argument("--all", action="store_true", help="--grid: all incidents, not the fast ones")
    parser.add_argument("--jobs", type=int, default=cores())
    options = parser.parse_args()
    if options.grid is not None and options.model:
        parser.error("--grid varies the model itself: leave --model out")
    if options.grid is not None and options.algorithms == [FLYBALL, *reference_names()]:
        options.algorithms = [FLYBALL, STATIC, "sre-adaptive-throttling", "finagle-accrual"]
    for name in options.algorithms:
        if name not in algorithm_names() and not name.startswith(f"{FLYBALL}:"):
            parser.error(f"there is no algorithm {name!r}")
    return options


def seed_range(text: str) -> list[int]:
    """Return the seeds of `3` or `1-20`.

    >>> seed_range("2-4")
    [2, 3, 4]
    """
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last if dash else first) + 1))


def seeds_of(scenario: Scenario, options: argparse.Namespace) -> Sequence[int]:
    """Return the seeds that a scenario is run with."""
    if options.seeds:
        chosen: list[int] = options.seeds
        return chosen[:1] if options.quick else chosen
    return scenario.seeds[:1] if options.quick else scenario.seeds


def mean(results: Sequence[Result], measure: str) -> float:
    """Return the mean over seeds; one infinite makes it infinite."""
    return statistics.fmean(result.measures[measure] for result in results)


def show(scenarios: Sequence[Scenario], names: Sequence[str], results: Table) -> None:
    """Print the tables and the sums."""
    incidents = [scenario for scenario in scenarios if scenario.harmful]
    calm = [scenario for scenario in scenarios if not scenario.harmful]
    for title, measure, form in (
        ("lost minutes", "lost_min", two_digits),
        ("recovery, s", "recovery_s", seconds),
        ("goodput during the incident, %", "goodput_in_ratio", percent),
    ):
        heading(f"{title} ({len(incidents)} scenarios with an incident)", names)
        for scenario in incidents:
            line(scenario.name, [form(mean(results[scenario.name, name], measure)) for name in names])
    if incidents:
        sums(incidents, names, results)
    if calm:
        heading("lost minutes where nothing happens", names)
        for scenario in calm:
            line(scenario.name, [two_digits(mean(results[scenario.name, n], "lost_min")) for n in names])
    if FLYBALL in names:
        harm([*incidents, *calm], results)


def sums(incidents: Sequence[Scenario], names: Sequence[str], results: Table) -> None:
    """Print lost minutes over the best of each scenario, summed up, and who never recovered."""
    lost = {
        (scenario.name, name): mean(results[scenario.name, name], "lost_min")
        for scenario in incidents
        for name in names
    }
    best = {scenario.name: min(lost[scenario.name, name] for name in names) for scenario in incidents}
    heading("lost minutes over the best of each scenario", names)
    line("sum", [two_digits(sum(lost[s.name, n] - best[s.name] for s in incidents)) for n in names])
    line("worst", [two_digits(max(lost[s.name, n] - best[s.name] for s in incidents)) for n in names])
    never = [
        sum(math.isinf(r.measures["recovery_s"]) for s in incidents for r in results[s.name, n])
        for n in names
    ]
    line("runs that stay down", [str(count) for count in never])


def harm(scenarios: Sequence[Scenario], results: Table) -> None:
    """Print where flyball is worse than its own client alone, and what its controller did."""
    print("\nflyball's controller: its effect on lost minutes, and what it did (means over seeds)")
    print(f"{'':<20}{'vs client':>10}{'false open':>12}{'detect':>8}{'flaps':>7}{'changes':>9}"
          f"{'per h':>7}{'false':>7}")  # fmt: skip
    for scenario in scenarios:
        mine = results[scenario.name, FLYBALL]
        static = results.get((scenario.name, STATIC))
        against = f"{mean(mine, 'lost_min') - mean(static, 'lost_min'):+.2f}" if static else "-"
        print(
            f"{scenario.name:<20}{against:>10}{mean(mine, 'false_open_min'):>8.2f} min"
            f"{seconds(mean(mine, 'detect_s')):>8}{mean(mine, 'flaps'):>7.1f}{mean(mine, 'changes'):>9.1f}"
            f"{mean(mine, 'config_changes_per_h'):>7.1f}{mean(mine, 'false_actions'):>7.1f}"
        )


def heading(title: str, names: Sequence[str]) -> None:
    """Print a title and the names, broken at their dashes into lines."""
    print(f"\n{title}")
    parts = [name.split("-") for name in names]
    for row in range(max(len(words) for words in parts)):
        line("", [words[row][: COLUMN - 1] if row < len(words) else "" for words in parts])


def line(name: str, cells: Sequence[str]) -> None:
    """Print one row."""
    print(f"{name:<20}" + "".join(f"{cell:>{COLUMN}}" for cell in cells))


def two_digits(value: float) -> str:
    """Return minutes."""
    return f"{value:.2f}"


def percent(value: float) -> str:
    """Return a share in percent."""
    return "-" if math.isnan(value) else f"{100.0 * value:.1f}"


def seconds(value: float) -> str:
    """Return seconds, or never."""
    if math.isnan(value):
        return "-"
    return "never" if math.isinf(value) else f"{value:.0f}"


if __name__ == "__main__":
    main()
