"""`--closed-loop` of `flyball replay` and `flyball compare`: recorded incidents lived through again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from flyball_analytics.algorithms import STATIC, AlgorithmError, algorithm
from flyball_analytics.cli.closedloop_options import cores
from flyball_analytics.cli.errors import InconclusiveError
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import span
from flyball_analytics.compare_figures import acted_windows
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.series import Series
from flyball_analytics.suite import run_jobs
from flyball_analytics.thresholds.firings import JOIN_S
from flyball_analytics.whatif import (
    CAPACITIES,
    Outcome,
    Planned,
    outcome,
    plan,
    ranges,
    recorded_lost,
    worlds_of,
)
from flyball_analytics.whatif_fit import Fit, FitError, Recorded, fit
from flyball_analytics.whatif_text import CLOSED_LOOP, Lived, lived_json, lived_text
from flyball_controller.codec import canonical_json
from flyball_controller.core.policy import Policy

# What everybody compares with: the usual practice, and the client without a controller.
BESIDE = ("static-3", STATIC)
Command = TypeVar("Command", bound=Callable[..., Any])


class ClosedLoop(NamedTuple):
    """The options of a closed loop."""

    beside: tuple[str, ...]
    capacities: tuple[float, ...]
    seeds: int
    recorded: Recorded
    timeout_s: float | None
    jobs: int


class History(NamedTuple):
    """One service: what was recorded, its labels, and the policy that names incidents where none are."""

    series: Series
    labels: Labels | None
    policy: Policy


_OPTIONS = (
    click.option("--closed-loop", is_flag=True, help="Live the incidents through again, with new attempts."),
    click.option(
        "--beside",
        multiple=True,
        metavar="ALGORITHM",
        help="Closed loop: a reference of flyball simulate to run beside; may be repeated.",
    ),
    click.option(
        "--capacity",
        "capacities",
        multiple=True,
        type=click.FloatRange(1.0, 100.0),
        help="Closed loop: capacity over the proven peak; may be repeated. Default: 1.1, 1.5, 2.5, 4.",
    ),
    click.option(
        "--seeds", type=click.IntRange(1, 50), default=1, show_default=True, help="Closed loop: how many."
    ),
    click.option(
        "--counts",
        type=click.Choice(["requests", "attempts"]),
        default="requests",
        show_default=True,
        help="Closed loop: what the recorded counts are.",
    ),
    click.option(
        "--recorded-attempts",
        type=click.IntRange(1, 20),
        default=4,
        show_default=True,
        help="With --counts attempts: attempts at most of the recorded clients.",
    ),
    click.option("--attempt-timeout", "timeout_s", type=span, help="Closed loop: time-out of one attempt."),
    click.option(
        "--jobs", type=click.IntRange(1, 256), default=cores, show_default="one per core", help="Processes."
    ),
)


def closed_loop_options(command: Command) -> Command:
    """Add the options of a closed loop to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def closed_loop_of(options: dict[str, Any], *, beside: Sequence[str]) -> ClosedLoop | None:
    """Take the closed loop's options out of a command's; None if it was not asked for.

    `beside`: which references run where the user names none.

    Raises:
        click.UsageError: An option of the closed loop without it, or an unknown algorithm.
    """
    asked = options.pop("closed_loop")
    named = options.pop("beside")
    capacities = options.pop("capacities")
    seeds, counts = options.pop("seeds"), options.pop("counts")
    attempts, timeout_s, jobs = (options.pop(key) for key in ("recorded_attempts", "timeout_s", "jobs"))
    if not asked:
        if named or capacities or timeout_s or seeds != 1 or counts != "requests" or attempts != 4:
            raise click.UsageError(
                "--beside, --capacity, --seeds, --counts, --recorded-attempts and --attempt-timeout "
                "need --closed-loop"
            )
        return None
    for name in named:
        try:
            algorithm(name)
        except AlgorithmError as error:
            raise click.BadParameter(str(error), param_hint="--beside") from error
    recorded = Recorded(counts == "attempts", attempts)
    return ClosedLoop(
        tuple(dict.fromkeys(named or beside)),
        tuple(sorted(set(capacities or CAPACITIES))),
        seeds,
        recorded,
        timeout_s,
        jobs,
    )


def live(
    histories: Sequence[History], algorithms: Sequence[str], options: ClosedLoop
) -> tuple[list[Lived], list[Outcome]]:
    """Return every service lived through again, and the single runs.

    Raises:
        InconclusiveError: If there is no incident to live through.
    """
    planned: list[Planned] = []
    services: list[tuple[Fit, tuple[Incident, ...], History]] = []
    for history in histories:
        try:
            known = fit(history.series, history.labels, options.recorded)
        except FitError as error:
            click.echo(f"left out {error}", err=True)
            continue
        incidents = incidents_of(history)
        services.append((known, incidents, history))
        for place, incident in enumerate(incidents):
            following = incidents[place + 1].start_s if place + 1 < len(incidents) else float("inf")
            planned += plan(
                known,
                incident,
                algorithms,
                worlds=worlds_of(known, incident, options.capacities),
                seeds=range(options.seeds),
                until_s=following,
                timeout_s=options.timeout_s,
            )
    if not planned:
        raise InconclusiveError("no incident to live through again: none is labelled, and none was named")
    runs = run_jobs([one.job for one in planned], workers=options.jobs)
    done = dict(with_progress(runs, total=len(planned), label="closed loop", check_every=1))
    outcomes = [outcome(one, done[number]) for number, one in enumerate(planned)]
    return [_lived(*service, outcomes) for service in services], outcomes


def _lived(
    known: Fit, incidents: tuple[Incident, ...], history: History, outcomes: Sequence[Outcome]
) -> Lived:
    mine = [one for one in outcomes if one.target == known.target]
    return Lived(
        known,
        incidents,
        history.labels is not None,
        tuple(dict.fromkeys(one.world for one in mine)),
        tuple(ranges(mine)),
        tuple(recorded_lost(known, incident) for incident in incidents),
    )


def incidents_of(history: History) -> tuple[Incident, ...]:
    """Return the labelled incidents, else the stretches in which the policy names trouble."""
    if history.labels is not None:
        return tuple(sorted(history.labels.incidents))
    spans: list[tuple[float, float]] = []
    for acted in acted_windows(history.series, history.policy):
        if not acted.step.troubled:
            continue
        start_s = acted.step.start_s
        if spans and start_s - spans[-1][1] <= JOIN_S:
            spans[-1] = (spans[-1][0], start_s)
        else:
            spans.append((start_s, start_s))
    return tuple(Incident(a, b, a, b, "named by the policy") for a, b in spans)


def show_lived(services: Sequence[Lived], *, form: str) -> None:
    """Write what the closed loop came to."""
    if form == "json":
        for one in services:
            click.echo(canonical_json(lived_json(one)).decode())
        return
    click.echo()
    for one in services:
        click.echo(lived_text(one))
    click.echo(f"\n{CLOSED_LOOP}")
