"""Draw docs/storm.svg, the README's picture: a retry storm with three static retries, and with flyball.

The scenario is scenarios/capacity-hard.yaml as `flyball simulate` runs it, on its
first seed. The picture is one file without fonts, scripts or links; it knows light
and dark. What it shows stands in `data-` attributes too, and a test holds them
against a new run. Run it after a change of the control law, the client or the plant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from flyball_analytics.algorithms import algorithm
from flyball_analytics.closedloop import Result, Sample, run
from flyball_analytics.judge import load_known
from flyball_analytics.plant.faults import STEP_S
from flyball_analytics.report.svg import line_path, number, rect
from flyball_analytics.scenarios.model import Scenario

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = ROOT / "scenarios" / "capacity-hard.yaml"
PICTURE = ROOT / "docs" / "storm.svg"
STATIC, OURS = "static-3", "flyball"
WIDTH, LEFT, RIGHT = 860.0, 64.0, 150.0
PANEL, GAP, TOP, BOTTOM = 130.0, 34.0, 46.0, 40.0
MINUTE_S = 60.0
SMOOTH = 3  # half a minute: ten seconds of a Poisson process are mostly noise
LOAD_MAX, LOAD_STEP = 100.0, 25.0
STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328}.small{font-size:12px;fill:#59636e}
.title{font-weight:600;font-size:14px}
.grid{stroke:#d1d9e0;stroke-width:1}.away{fill:#d1242f;opacity:.1}.awaytext{fill:#d1242f;font-size:12px}
.static{stroke:#d1242f;fill:none;stroke-width:2}.ours{stroke:#0969da;fill:none;stroke-width:2.5}
.capacity{stroke:#59636e;stroke-dasharray:3 4}.statictext{fill:#d1242f}.ourstext{fill:#0969da}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.grid{stroke:#3d444d}
.away{fill:#ff7b72;opacity:.15}.awaytext,.statictext{fill:#ff7b72}.static{stroke:#ff7b72}.ours{stroke:#58a6ff}
.ourstext{fill:#58a6ff}.capacity{stroke:#9198a1}}
"""


def simulated(name: str, scenario: Scenario) -> Result:
    """Return the run of one algorithm, with its ten-second samples."""
    return run(scenario, algorithm(name, "two-loop"), seed=scenario.seeds[0], sampled=True)


def smoothed(samples: Sequence[Sample], value: Callable[[int, int, int], float]) -> list[tuple[float, float]]:
    """Return minutes and a value of (arrived, ok, attempts), over half a minute each."""
    points = []
    for end in range(SMOOTH, len(samples) + 1, SMOOTH):
        near = samples[end - SMOOTH : end]
        counts = [sum(getattr(s, field) for s in near) for field in ("arrived", "ok", "attempts")]
        points.append(((near[-1].at_s - samples[0].at_s + STEP_S) / MINUTE_S, value(*counts)))
    return points


def picture(scenario: Scenario, static: Result, ours: Result) -> str:
    """Return the picture."""
    height = TOP + 2 * PANEL + GAP + BOTTOM
    span = scenario.duration_s / MINUTE_S
    incident = scenario.incidents[0]

    def x(minute: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * minute / span

    lost = {name: found.measures["lost_min"] for name, found in ((STATIC, static), (OURS, ours))}
    facts = " ".join(f'data-{name}-lost-min="{value:.2f}"' for name, value in lost.items())
    start, end = (x(at_s / MINUTE_S) for at_s in (incident.start_s, incident.end_s))
    box = f'viewBox="0 0 {number(WIDTH)} {number(height)}" role="img"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} {facts}>',
        f"<title>{escape(_sentence(scenario, lost))}</title><style>{STYLE}</style>",
        f'<text class="title" x="6" y="18">{escape(_sentence(scenario, lost))}</text>',
        rect("away", start, TOP, end - start, 2 * PANEL + GAP),
        f'<text class="awaytext" x="{number(start)}" y="{number(TOP - 6)}">servers away</text>',
    ]
    share = lambda arrived, ok, attempts: 100.0 * ok / arrived if arrived else 100.0  # noqa: E731
    load = lambda arrived, ok, attempts: attempts / (SMOOTH * STEP_S)  # noqa: E731
    runs = ((static, "static"), (ours, "ours"))
    parts += _panel(TOP, "answered well, %", (0.0, 50.0, 100.0), 100.0, x, runs, share)
    ticks = tuple(LOAD_STEP * n for n in range(int(LOAD_MAX / LOAD_STEP) + 1))
    below = TOP + PANEL + GAP
    parts += _panel(below, "attempts per second", ticks, LOAD_MAX, x, runs, load)
    capacity = sum(caller.service.capacity_per_s for caller in scenario.callers)
    y = number(below + PANEL * (1.0 - capacity / LOAD_MAX))
    parts.append(f'<path class="capacity" d="M{number(x(0))} {y}H{number(x(span))}"/>')
    for css, words, at in (
        ("statictext", "three retries", below + 16.0),
        ("ourstext", "flyball", below + PANEL * 0.86),
        ("small", "capacity", below + PANEL * (1.0 - capacity / LOAD_MAX) + 4.0),
        ("ourstext", "flyball", TOP + 8.0),
        ("statictext", "three retries", TOP + PANEL),
    ):
        parts.append(f'<text class="{css}" x="{number(x(span) + 8)}" y="{number(at)}">{words}</text>')
    for minute in range(0, int(span) + 1, 10):
        parts.append(
            f'<text class="small" x="{number(x(minute))}" y="{number(height - 18)}" text-anchor="middle">'
            f"{minute} min</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    top: float,
    title: str,
    ticks: Sequence[float],
    most: float,
    x: Callable[[float], float],
    runs: Sequence[tuple[Result, str]],
    value: Callable[[int, int, int], float],
) -> list[str]:
    """Return one panel: title, grid, and a line per run."""
    parts = [f'<text class="small" x="6" y="{number(top - 12)}">{title}</text>']
    for tick in ticks:
        y = number(top + PANEL * (1.0 - tick / most))
        parts.append(f'<path class="grid" d="M{number(LEFT)} {y}H{number(WIDTH - RIGHT)}"/>')
        parts.append(
            f'<text class="small" x="{number(LEFT - 8)}" y="{y}" dy="4" text-anchor="end">{tick:g}</text>'
        )
    for found, css in runs:
        line = smoothed(found.samples, value)
        points = [(x(at), top + PANEL * (1.0 - min(most, v) / most)) for at, v in line]
        parts.append(f'<path class="{css}" d="{line_path(points)}"/>')
    return parts


def _sentence(scenario: Scenario, lost: dict[str, float]) -> str:
    what = scenario.description.split(";")[0]
    return f"{what}: {lost[STATIC]:.0f} min lost with three retries, {lost[OURS]:.1f} with flyball"


def main() -> None:
    """Write the picture."""
    scenario = load_known(SCENARIO)
    text = picture(scenario, simulated(STATIC, scenario), simulated(OURS, scenario))
    PICTURE.write_text(text)


if __name__ == "__main__":
    main()
