"""What a page about a fleet costs: time and size by services, beside the replay alone.

Every service has a synthetic history of its own (seasons, noise, incidents), is run under
the policy that is drawn and under a baseline, compared, explained and put on one page.
Reference: the same two replays without the page (`acted_windows`, what a comparison
needs), interpreted. Both engines are measured, and must make the same bytes.

Run: python benchmarks/bench_report.py [--services 1000] [--days 1] [--period 300]
"""

from __future__ import annotations

import argparse
import time

from common import table
from flyball_analytics.compare import compare
from flyball_analytics.compare_figures import Figures, acted_windows, figures_of
from flyball_analytics.fastreplay import Engine
from flyball_analytics.labels import Labels
from flyball_analytics.report.model import Manifest, Report, build
from flyball_analytics.report.page import DRAWN, render
from flyball_analytics.report.shortlist import Shortlist
from flyball_analytics.report.watch import glance, watch
from flyball_analytics.series import Series
from flyball_analytics.synth import fleet
from flyball_analytics.thresholds.frames import labels_of_frame, metrics_of_frame
from flyball_controller.core.policy import Policy
from flyball_controller.policy_set import load_preset

MANIFEST = Manifest("bench", "bench", (), ())
History = tuple[Series, Labels]


def histories(services: int, *, days: float, period_s: float) -> list[History]:
    """Return so many synthetic histories with their labels."""
    names = [f"service-{n:04d}" for n in range(services)]
    made = fleet(services=names, days=days, seed=1, period_s=period_s, incidents_per_week=2.0)
    found = []
    for name, rows in made.history.groupby("target", sort=True):
        series = metrics_of_frame(rows, target=str(name))[0].series
        assert series is not None
        found.append((series, labels_of_frame(made.incidents, target=str(name), probation=made.probation)))
    return found


def figures(kept: list[History], one: Policy, engine: Engine, *, contender: str) -> list[Figures]:
    """Return what a comparison needs, and nothing for a page."""
    return [
        figures_of(
            acted_windows(series, one, engine=engine),
            labels,
            target=series.target,
            contender=contender,
            acts=True,
        )
        for series, labels in kept
    ]


def report(kept: list[History], policy: Policy, base: Policy, engine: Engine) -> Report:
    """Return everything that a page says, made as `flyball report` makes it."""
    close = Shortlist(DRAWN)
    services = []
    for series, labels in kept:
        if engine is Engine.COMPILED:
            services.append(glance(series, policy, name="two-loop", labels=labels, engine=engine))
            close.add(len(services) - 1, services[-1], series, labels)
        else:
            services.append(watch(series, policy, name="two-loop", labels=labels))
    for place, series, labels in close.kept():
        services[place] = watch(series, policy, name="two-loop", labels=labels)
    baseline = figures(kept, base, engine, contender="fixed")
    return build(services, MANIFEST, comparisons=[compare(baseline, [one.figures for one in services])])


def main() -> None:
    """Measure once; a thousand services take their time, and the ratio is of one run."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--services", type=int, default=1_000)
    arguments.add_argument("--days", type=float, default=1.0)
    arguments.add_argument("--period", type=float, default=300.0)
    asked = arguments.parse_args()
    kept = histories(asked.services, days=asked.days, period_s=asked.period)
    policy, base = load_preset("two-loop").default, load_preset("fixed").default
    windows = sum(len(series.observations) for series, _ in kept)
    figures(
        kept[:1], policy, Engine.COMPILED, contender="compiles"
    )  # once per process, ten seconds if never before
    took: dict[str, int] = {}
    pages = []
    for engine in (Engine.INTERPRETED, Engine.COMPILED):
        begin = time.process_time_ns()
        for contender, one in (("two-loop", policy), ("fixed", base)):
            figures(kept, one, engine, contender=contender)
        took[f"two replays alone, {engine}"] = time.process_time_ns() - begin
        begin = time.process_time_ns()
        made = report(kept, policy, base, engine)
        took[f"everything on the page, {engine}"] = time.process_time_ns() - begin
        begin = time.process_time_ns()
        pages.append(render(made))
        took[f"rendering, {engine}"] = time.process_time_ns() - begin
    same = "the same bytes" if pages[0] == pages[1] else "DIFFERENT PAGES"
    print(f"{len(kept):,} services, {windows:,} windows; page {len(pages[0]) / 1e6:.2f} MB, {same}")
    per_service = {name: value / len(kept) / 1_000.0 for name, value in took.items()}
    table("CPU per service", per_service, reference="two replays alone, interpreted", unit="us")
    for engine in (Engine.INTERPRETED, Engine.COMPILED):
        total = sum(value for name, value in took.items() if engine in name and "alone" not in name)
        print(f"report in all, {engine}: {total / 1e9:.2f} s")


if __name__ == "__main__":
    main()
