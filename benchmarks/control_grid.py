"""The grid of model errors for bench_control.py: what is varied, the file that makes it resumable, the table.

One assumption at a time differs from the scenario, over a factor of two where it
is a factor: nobody knows capacity or time-outs better than that. Half the
capacity would leave some scenarios overloaded for good, which no algorithm
mends; hence 0.8 to 1.6 and 0.75 to 1.5.

Each finished run is one line of the file; a second call makes only what is
missing. The first line names the code that ran, and other code is refused: a
table must not mix two laws.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from flyball_analytics.arrivals import EXACT, ModelError, varied
from flyball_analytics.closedloop import Result
from flyball_analytics.scenarios import Scenario
from flyball_analytics.suite import Job, run_jobs

ROOT = Path(__file__).resolve().parent.parent
GRID: dict[str, ModelError] = {
    "as described": EXACT,
    **{f"rho {rho:g}": ModelError(rho=rho) for rho in (0.2, 0.4, 0.6, 0.8, 0.9)},
    "periods of 10 s": ModelError(period_s=10.0),
    "lag 60 s": ModelError(lag_s=60.0),
    "lag 180 s": ModelError(lag_s=180.0),
    "capacity x 0.8": ModelError(capacity_factor=0.8),
    "capacity x 1.6": ModelError(capacity_factor=1.6),
    "time-out x 0.75": ModelError(timeout_factor=0.75),
    "time-out x 1.5": ModelError(timeout_factor=1.5),
    "bursts x 2": ModelError(burst=2.0),
    "any environment": ModelError(reuse_random=True),
    "fleet x 0.5": ModelError(fleet_factor=0.5),
    "fleet x 2": ModelError(fleet_factor=2.0),
}
KEPT = ("lost_min", "recovered", "flaps", "config_changes_per_h", "false_open_min")


def possible(scenario: Scenario, model: ModelError) -> bool:
    """Return whether the world can be so: at 3 requests a minute, rho 0.9 is one server that takes 18 s."""
    return all(
        varied(caller.service, model).work_mean_s <= 2.0 * caller.service.work_mean_s
        for caller in scenario.callers
    )


class Cell(NamedTuple):
    """One run of the grid."""

    model: str
    scenario: str
    algorithm: str
    seed: int


Done = dict[Cell, dict[str, float]]


def code_digest() -> str:
    """Return what identifies the code and the scenarios that a run depends on."""
    digest = hashlib.sha256()
    for part in ("client", "controller", "analytics", "scenarios"):
        for path in sorted((ROOT / part).rglob("*")):
            if path.suffix in {".py", ".json", ".yaml"}:
                digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def read_done(file: Path, code: str) -> Done:
    """Return the runs that a file holds; a line cut off by an interruption is made again.

    Raises:
        SystemExit: The file was written by other code.
    """
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    head = json.loads(lines[0]) if lines else {"code": code}
    if head.get("code") != code:
        sys.exit(f"{file}: made by code {head.get('code')}, this is {code}: choose another file or delete it")
    done = {}
    for line in lines[1:]:
        try:
            *cell, values = json.loads(line)
        except ValueError:
            continue
        done[Cell(*cell)] = values
    return done


def run_grid(
    jobs: Iterable[tuple[str, Job]], file: Path | None, *, workers: int, code: str | None = None
) -> Done:
    """Run what the file does not hold yet, note each run as it is done, and return all asked for."""
    code = code_digest() if code is None else code
    wanted = {Cell(name, j.scenario.name, j.algorithm, j.seed): j for name, j in jobs}
    done = {} if file is None else read_done(file, code)
    missing = [cell for cell in wanted if cell not in done]
    if file is not None and not file.exists():
        file.write_text(json.dumps({"code": code}) + "\n", encoding="utf-8")
    elif file is not None and not file.read_bytes().endswith(b"\n"):
        with file.open("a", encoding="utf-8") as lines:
            lines.write("\n")  # after a line that was cut off
    for count, (number, result) in enumerate(
        run_jobs([wanted[c] for c in missing], workers=workers), start=1
    ):
        cell = missing[number]
        done[cell] = kept(result)
        if file is not None:
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps([*cell, done[cell]]) + "\n")
        if sys.stderr.isatty():
            print(f"\r{count}/{len(missing)} runs", end="", file=sys.stderr)
    return {cell: done[cell] for cell in wanted}


def kept(result: Result) -> dict[str, float]:
    """Return the measures that the table needs."""
    return {name: result.measures[name] for name in KEPT}


def excess_min(done: Done, model: str, algorithms: Sequence[str]) -> dict[str, float]:
    """Return per algorithm the lost minutes over the best of each scenario, means over seeds, summed up."""
    lost: dict[str, dict[str, list[float]]] = {}
    for cell, values in done.items():
        if cell.model == model:
            lost.setdefault(cell.scenario, {}).setdefault(cell.algorithm, []).append(values["lost_min"])
    total = dict.fromkeys(algorithms, 0.0)
    for by_algorithm in lost.values():
        means = {name: math.fsum(each) / len(each) for name, each in by_algorithm.items()}
        for name in algorithms:
            total[name] += means[name] - min(means.values())
    return total


def show_grid(done: Done, algorithms: Sequence[str]) -> None:
    """Print, per model error: excess of each algorithm, runs that stay down, and flyball's worst habits."""
    print(f"{'lost minutes over the best of these':<20}")
    print(f"{'':<18}" + "".join(f"{name[:15]:>16}" for name in algorithms) + f"{'flaps':>7}{'per h':>7}")
    for model in dict.fromkeys(cell.model for cell in done):
        excess = excess_min(done, model, algorithms)
        mine = [v for c, v in done.items() if c.model == model and c.algorithm == algorithms[0]]
        cells = []
        for name in algorithms:
            runs = [v for c, v in done.items() if c.model == model and c.algorithm == name]
            down = sum(values["recovered"] == 0.0 for values in runs)
            cells.append(f"{excess[name]:.1f}" + (f" ({down} down)" if down else ""))
        flaps = max(values["flaps"] for values in mine)
        rate = max(values["config_changes_per_h"] for values in mine)
        print(f"{model:<18}" + "".join(f"{cell:>16}" for cell in cells) + f"{flaps:>7.0f}{rate:>7.0f}")
