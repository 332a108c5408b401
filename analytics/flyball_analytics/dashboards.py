"""Dashboards as JSON: panels over the metrics that clients and controller emit, with thresholds as bands.

One description of panels, two dialects: CloudWatch's dashboard body, and Grafana's
dashboard model on its CloudWatch data source. Nothing is fetched at view time but
metrics and the controller's log.

The bands of a target are its thresholds when the dashboard was made: adaptive ones
move slowly (half a day), and making the dashboard again is cheap. Transitions are
both drawn (those known when it was made) and listed live from the log.

Pure: what is known about targets is an argument.

Sources: CloudWatch user guide, "Dashboard body structure and syntax"; Grafana
documentation, "Dashboard JSON model".
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from flyball.telemetry import LATENCY, NAMESPACE
from flyball_controller.aws.settings import service_name

CONTROLLER_NAMESPACE = "flyball/controller"
PERIOD_S = 60
WIDTH = 24  # both dialects' grid
HEIGHT = 6
TARGETS_MAX = 100  # 3 panels each: CloudWatch takes 500 widgets on one dashboard
COLOURS = {"normal": "#2ca02c", "retry": "#ff7f0e", "open": "#d62728"}


class Series(NamedTuple):
    """One line: a metric, or an expression over the ids of others."""

    id: str
    label: str
    metric: str = ""
    namespace: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    stat: str = "Sum"
    expression: str = ""
    hidden: bool = False


class Band(NamedTuple):
    """A level of the y axis: from here to `to` (None: a line, up from here)."""

    level: float
    to: float | None
    label: str
    colour: str


class Mark(NamedTuple):
    """A moment, epoch seconds, and what happened."""

    at_s: float
    label: str


class PanelKind(StrEnum):
    """What a panel shows."""

    LINES = "lines"
    LOG = "log"
    TEXT = "text"


class Panel(NamedTuple):
    """One panel of the grid; width in 24ths."""

    title: str
    kind: PanelKind
    width: int
    series: tuple[Series, ...] = ()
    bands: tuple[Band, ...] = ()
    marks: tuple[Mark, ...] = ()
    unit: str = "count"  # "count", "ratio", "ms", "s"
    text: str = ""  # of a log panel the query, of a text panel the words


class Thresholds(NamedTuple):
    """What a target's failure ratio is held against, ratios in [0, 1]."""

    normal: float
    retry: float
    open: float


class Watched(NamedTuple):
    """What is known of one target when the dashboard is made."""

    target: str
    thresholds: Thresholds | None  # None: no state yet
    transitions: tuple[Mark, ...] = ()


class Board(NamedTuple):
    """A dashboard in no dialect. `log_groups`: where the controller writes."""

    title: str
    region: str
    panels: tuple[Panel, ...]
    log_groups: tuple[str, ...]


def make_board(
    watched: Sequence[Watched], *, title: str, prefix: str, region: str, namespace: str = NAMESPACE, made: str
) -> Board:
    """Return the dashboard of an installation.

    Args:
        watched: Its targets, at most `TARGETS_MAX`.
        title: Name of the dashboard.
        prefix: Of the installation: begins its functions' names, and stands in its metrics' dimension.
        region: AWS region of metrics and logs.
        namespace: Of the clients' metrics.
        made: When it was made, as text for people.

    Raises:
        ValueError: Too many targets for one dashboard.
    """
    if len(watched) > TARGETS_MAX:
        raise ValueError(
            f"{len(watched)} targets; one dashboard takes {TARGETS_MAX}: name those you want to see"
        )
    groups = tuple(f"/aws/lambda/{prefix}-{function}" for function in ("tick", "alarm", "override"))
    words = (
        f"**{title}**, made {made}. Bands are the thresholds of that moment; vertical lines are transitions "
        f"known then. Make it again to refresh: `flyball dashboard`."
    )
    panels = [
        Panel("About", PanelKind.TEXT, WIDTH, text=words),
        *_controller(prefix),
        _transitions(),
        _errors(),
    ]
    for one in watched:
        panels += _target(one, namespace)
    return Board(title, region, tuple(panels), groups)


def _counts(names: Sequence[str], namespace: str, dimension: tuple[str, str]) -> tuple[Series, ...]:
    return tuple(
        Series(f"m{number}", name.replace("_", " "), name, namespace, (dimension,))
        for number, name in enumerate(names)
    )


def _controller(prefix: str) -> list[Panel]:
    work = ("decisions", "informed_decisions", "changes", "wake_ups", "overrides")
    trouble = ("backend_errors", "conflicts", "rejected_events", "configuration_failed", "policy_unreadable")
    edits = ("configuration_deployed", "configuration_edits", "targets_edited")
    service = ("service", service_name(prefix))
    tick = (("FunctionName", f"{prefix}-tick"),)
    age = Series("m0", "age of the evidence", "evidence_age", CONTROLLER_NAMESPACE, (service,), "Maximum")
    # A panel of its own: on an axis of seconds a tick of 800 ms stood as 800 s.
    takes = Series("m0", "tick takes", "Duration", "AWS/Lambda", tick, "p99")
    return [
        Panel("Controller: work", PanelKind.LINES, 6, _counts(work, CONTROLLER_NAMESPACE, service)),
        Panel("Controller: trouble", PanelKind.LINES, 6, _counts(trouble, CONTROLLER_NAMESPACE, service)),
        Panel("Controller: document", PanelKind.LINES, 4, _counts(edits, CONTROLLER_NAMESPACE, service)),
        Panel("Controller: age", PanelKind.LINES, 4, (age,), unit="s"),
        Panel("Controller: time", PanelKind.LINES, 4, (takes,), unit="ms"),
    ]


def _transitions() -> Panel:
    query = (
        'filter message = "decision" | fields @timestamp, facts.target, facts.regime, facts.circuit, '
        "facts.max_attempts, facts.budget_ratio, facts.decision | sort @timestamp desc | limit 50"
    )
    return Panel("Transitions", PanelKind.LOG, 12, text=query)


def _errors() -> Panel:
    query = (
        'filter level = "ERROR" or level = "WARNING" | fields @timestamp, message, facts.where, facts.detail '
        "| sort @timestamp desc | limit 50"
    )
    return Panel("What the controller complains about", PanelKind.LOG, 12, text=query)


def _target(one: Watched, namespace: str) -> list[Panel]:
    dimension = ("target", one.target)
    share = (
        Series("m0", "failed", "first_attempt_failures", namespace, (dimension,), hidden=True),
        Series("m1", "requests", "requests", namespace, (dimension,), hidden=True),
        # Without requests there is no share: nothing is drawn, which is not zero.
        Series("e0", "failed share of first attempts", expression="m0 / m1"),
    )
    load = _counts(("requests", "attempts", "retries", "short_circuited", "fallbacks"), namespace, dimension)
    latency = tuple(
        Series(f"m{number}", stat, LATENCY, namespace, (dimension,), stat)
        for number, stat in enumerate(("p50", "p99"))
    )
    bands = bands_of(one.thresholds) if one.thresholds else ()
    return [
        Panel(
            f"{one.target}: failures",
            PanelKind.LINES,
            12,
            share,
            bands=bands,
            marks=one.transitions,
            unit="ratio",
        ),
        Panel(f"{one.target}: load", PanelKind.LINES, 6, load, marks=one.transitions),
        Panel(f"{one.target}: latency", PanelKind.LINES, 6, latency, marks=one.transitions, unit="ms"),
    ]


def bands_of(thresholds: Thresholds) -> tuple[Band, ...]:
    """Return the bands of a failure ratio: normal, acting on retries, cutting traffic.

    >>> [(b.level, b.to, b.label) for b in bands_of(Thresholds(0.1, 0.2, 0.5))]
    [(0.0, 0.1, 'normal'), (0.2, 0.5, 'acts on retries'), (0.5, None, 'may open')]
    """
    return (
        Band(0.0, thresholds.normal, "normal", COLOURS["normal"]),
        Band(thresholds.retry, max(thresholds.retry, thresholds.open), "acts on retries", COLOURS["retry"]),
        Band(thresholds.open, None, "may open", COLOURS["open"]),
    )


def places(panels: Sequence[Panel]) -> list[tuple[int, int, int, int]]:
    """Return x, y, width and height of each panel: left to right, a new row when one is full.

    >>> half, whole = Panel("a", PanelKind.LINES, 12), Panel("c", PanelKind.TEXT, 24)
    >>> places([half, half, whole])
    [(0, 0, 12, 6), (12, 0, 12, 6), (0, 6, 24, 2)]
    """
    found: list[tuple[int, int, int, int]] = []
    x = y = row = 0
    for panel in panels:
        height = 2 if panel.kind == PanelKind.TEXT else HEIGHT
        if x + panel.width > WIDTH:
            x, y, row = 0, y + row, 0
        found.append((x, y, panel.width, height))
        x, row = x + panel.width, max(row, height)
    return found
