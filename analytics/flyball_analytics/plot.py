"""A closed-loop run as a picture: load, goodput, latency, circuit and retry parameters over time.

matplotlib is imported when something is drawn (extra `plot`); everything else
works without it. The picture is a pure function of the results: no dates, and
SVG identifiers come from a fixed salt, so that equal runs give equal files.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flyball.contract import CircuitState
from flyball_analytics.closedloop import Result, Sample
from flyball_analytics.plant.faults import STEP_S
from flyball_analytics.scenarios.model import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_IN, ROW_IN = 11.0, 1.9
SMOOTH_STEPS = 3  # half a minute: ten seconds of a Poisson process are mostly noise
MINUTE_S = 60.0
# Okabe and Ito's palette: eight colours that colour-blind people can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LEVELS = {CircuitState.CLOSED: 0.0, CircuitState.HALF_OPEN: 1.0, CircuitState.OPEN: 2.0}


def draw(scenario: Scenario, results: Sequence[Result], *, form: str) -> bytes:
    """Return the picture of sampled results as SVG or PNG.

    Args:
        scenario: What was simulated.
        results: Runs made with `sampled`, the most important first; at least one.
        form: `svg` or `png`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "flyball", "svg.fonttype": "none", "font.size": 9.0}):
        # A figure of its own, without pyplot: no global state, no display.
        figure = Figure(figsize=(WIDTH_IN, 5 * ROW_IN), layout="constrained")
        rows = figure.subplots(5, 1, sharex=True)
        _load(rows[0], scenario, results)
        _goodput(rows[1], results)
        _latency(rows[2], results)
        _circuit(rows[3], scenario, results)
        _parameters(rows[4], scenario, results)
        for axes in rows:
            _frame(axes, scenario)
        rows[-1].set_xlabel("minutes from the start")
        figure.suptitle(f"{scenario.name}: {scenario.description}", fontsize=10.0, wrap=True)
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
        picture = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(picture, format=form, dpi=110, metadata=metadata)
    return picture.getvalue()


def _frame(axes: Axes, scenario: Scenario) -> None:
    axes.set_xlim(0.0, scenario.duration_s / MINUTE_S)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", linewidth=0.4, alpha=0.5)
    for incident in scenario.incidents:
        colour = "#dddddd" if incident.harmless else "#f3c6c6"
        axes.axvspan(incident.start_s / MINUTE_S, incident.end_s / MINUTE_S, color=colour, alpha=0.5, lw=0.0)


def _summed(samples: Sequence[Sample]) -> list[tuple[float, float, float, float, float]]:
    """Return minutes, arrived, ok, rejected and attempts over all callers, smoothed, oldest first."""
    by_time: dict[float, list[float]] = {}
    for sample in samples:
        total = by_time.setdefault(sample.at_s, [0.0, 0.0, 0.0, 0.0])
        for place, count in enumerate((sample.arrived, sample.ok, sample.rejected, sample.attempts)):
            total[place] += count
    times = sorted(by_time)
    found = []
    for number, at_s in enumerate(times):
        near = times[max(0, number - SMOOTH_STEPS + 1) : number + 1]
        mean = [sum(by_time[time][place] for time in near) / len(near) for place in range(4)]
        found.append(((at_s + STEP_S) / MINUTE_S, mean[0], mean[1], mean[2], mean[3]))
    return found


def _load(axes: Axes, scenario: Scenario, results: Sequence[Result]) -> None:
    rows = _summed(results[0].samples)
    minutes = [row[0] for row in rows]
    axes.plot(minutes, [row[1] / STEP_S for row in rows], color="black", lw=1.4, label="requests")
    for colour, result in zip(COLOURS, results, strict=False):
        attempts = [row[4] / STEP_S for row in _summed(result.samples)]
        axes.plot(minutes, attempts, color=colour, lw=1.0)
    capacity_per_s = sum(caller.service.capacity_per_s for caller in scenario.callers)
    axes.axhline(capacity_per_s, color="black", lw=0.8, ls=":", label="healthy capacity")
    axes.set_ylabel("load\nattempts per s")
    axes.set_ylim(bottom=0.0)


def _goodput(axes: Axes, results: Sequence[Result]) -> None:
    for colour, result in zip(COLOURS, results, strict=False):
        rows = _summed(result.samples)
        shares = [100.0 * row[2] / row[1] if row[1] else math.nan for row in rows]
        axes.plot([row[0] for row in rows], shares, color=colour, lw=1.2, label=result.algorithm)
    axes.set_ylabel("goodput\n% of requests")
    axes.set_ylim(-3.0, 103.0)


def _latency(axes: Axes, results: Sequence[Result]) -> None:
    for colour, result in zip(COLOURS, results, strict=False):
        worst: dict[float, tuple[float, float]] = {}
        for sample in result.samples:
            if not math.isnan(sample.latency_ms_p99):
                known = worst.get(sample.at_s, (0.0, 0.0))
                worst[sample.at_s] = (
                    max(known[0], sample.latency_ms_p50),
                    max(known[1], sample.latency_ms_p99),
                )
        times = sorted(worst)
        minutes = [(at_s + STEP_S) / MINUTE_S for at_s in times]
        axes.plot(minutes, [worst[at_s][1] for at_s in times], color=colour, lw=0.9)
        axes.plot(minutes, [worst[at_s][0] for at_s in times], color=colour, lw=0.7, ls=":")
    axes.set_ylabel("latency, ms\np99, p50 dotted")
    axes.set_ylim(bottom=0.0)


def _circuit(axes: Axes, scenario: Scenario, results: Sequence[Result]) -> None:
    """Published circuits as steps, and the share of requests that clients refused."""
    for colour, result in zip(COLOURS, results, strict=False):
        rows = _summed(result.samples)
        refused = [2.0 * row[3] / row[1] if row[1] else 0.0 for row in rows]
        axes.fill_between([row[0] for row in rows], refused, color=colour, alpha=0.18, lw=0.0)
        for target in scenario.targets:
            changes = [
                (a.at_s, _LEVELS.get(a.after.circuit, 2.0)) for a in result.actions if a.target == target
            ]
            _steps(axes, scenario, changes, 0.0, colour)
    axes.set_yticks([0.0, 1.0, 2.0], ["closed", "half-open", "open"])
    axes.set_ylim(-0.1, 2.1)
    axes.set_ylabel("circuit\nfilled: refused")


def _parameters(axes: Axes, scenario: Scenario, results: Sequence[Result]) -> None:
    """The retry budget that the controller wants; where there is one budget only, its attempts."""
    for colour, result in zip(COLOURS, results, strict=False):
        for target in scenario.targets:
            mine = [a for a in result.actions if a.target == target]
            if not mine:
                continue
            budgets = {a.after.budget_ratio for a in mine} | {mine[0].before.budget_ratio}
            by_attempts = len(budgets) == 1
            values = [
                (a.at_s, a.after.max_attempts - 1.0 if by_attempts else a.after.budget_ratio) for a in mine
            ]
            before = mine[0].before
            start = before.max_attempts - 1.0 if by_attempts else before.budget_ratio
            _steps(axes, scenario, values, start, colour)
    axes.set_ylabel("retries allowed\nper request")
    axes.set_ylim(-0.1, 3.1)


def _steps(
    axes: Axes, scenario: Scenario, changes: Sequence[tuple[float, float]], before: float, colour: str
) -> None:
    if not changes:
        return
    times = [0.0, *((at_s - scenario.start_s) / MINUTE_S for at_s, _ in changes)]
    values = [before, *(value for _, value in changes)]
    times.append(scenario.duration_s / MINUTE_S)
    values.append(values[-1])
    axes.step(times, values, where="post", color=colour, lw=1.4)
