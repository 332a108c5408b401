"""`flyball dashboard`: a dashboard of an installation as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.operating import Place, place_options
from flyball_analytics.cli.types import span
from flyball_analytics.counts import counted
from flyball_analytics.moments import utc

if TYPE_CHECKING:
    from flyball_analytics.dashboards import Mark, Thresholds, Watched
    from flyball_analytics.installation import Installation
    from flyball_controller.core.policy import Policy
    from flyball_controller.core.state import State

DAY_S = 86_400.0
MARKS_MAX = 50  # of one target; more would hide the lines


@click.command(short_help="Write a CloudWatch or Grafana dashboard as JSON.")
@click.argument("targets", nargs=-1)
@click.option(
    "--format", "form", type=click.Choice(["cloudwatch", "grafana"]), default="cloudwatch", show_default=True
)
@click.option(
    "--since", "since_s", type=span, default="1d", show_default=True, help="Draw transitions since."
)
@click.option("--title", default=None, help="Default: the prefix.")
@click.option("--offline", is_flag=True, help="Ask nothing: no bands, no transitions, only named targets.")
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output."
)
@place_options
def dashboard(
    targets: tuple[str, ...],
    form: str,
    since_s: float,
    title: str | None,
    offline: bool,
    out: Path | None,
    place: Place,
) -> None:
    """Write a CloudWatch or Grafana dashboard as JSON.

    Per target: the failed share of first attempts over bands of its thresholds with
    its transitions, load, and latency; for the controller: work, trouble, age, and
    its log. TARGETS are names; none means all that are known. Reads states and the
    journal, and changes nothing but --out.

    \b
    example: flyball dashboard -o board.json
    example: aws cloudwatch put-dashboard --dashboard-name flyball --dashboard-body file://board.json
    example: flyball dashboard payments --format grafana -o board.json
    """
    from flyball_analytics.dashboard_json import cloudwatch_body, grafana_model
    from flyball_analytics.dashboards import Watched, make_board

    installation = place.open()
    now_s = place.now_s()
    if offline:
        watched = [Watched(target, None) for target in targets]
    else:
        watched = watched_of(installation, targets, since_s=since_s, now_s=now_s)
    region = place.region or installation.settings.region
    if region is None:
        raise InvalidError("--region: the dashboard has to name the region of its metrics; give one")
    try:
        board = make_board(
            watched,
            title=title or place.prefix,
            prefix=place.prefix,
            region=region,
            namespace=installation.settings.metric_namespace,
            made=utc(now_s),
        )
    except ValueError as error:
        raise InvalidError(str(error)) from error
    body = cloudwatch_body(board) if form == "cloudwatch" else grafana_model(board)
    text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)
    if out is None:
        click.echo(text)
        return
    write_whole(out, f"{text}\n".encode())
    click.echo(
        f"written {out}: {counted(len(board.panels), 'panel')}, {counted(len(watched), 'target')}", err=True
    )


def watched_of(
    installation: Installation, names: tuple[str, ...], *, since_s: float, now_s: float
) -> list[Watched]:
    """Return what is known of each target: thresholds by its state and policy, transitions by the journal.

    Raises:
        PortError: A store or AppConfig failed.
        PolicyError: The policy in force cannot be read.
    """
    from flyball_analytics.dashboards import Watched

    publisher = installation.publisher
    live = publisher.live(now_s=now_s) if publisher is not None else None
    policies = installation.in_force(live.document if live else None).policies
    chosen = list(names)
    if not chosen:
        documented = live.document.targets if live and live.document else ()
        named = policies.targets if policies else ()
        chosen = sorted({*installation.settings.targets, *documented, *named})
    states = installation.states(chosen)
    return [
        Watched(
            name,
            thresholds_of(states[name], policies.for_target(name), now_s=now_s)
            if policies and name in states
            else None,
            transitions_of(installation, name, since_s=now_s - since_s, until_s=now_s),
        )
        for name in chosen
    ]


def thresholds_of(state: State, policy: Policy, *, now_s: float) -> Thresholds:
    """Return what the controller would hold a window of this moment against."""
    from flyball_analytics.dashboards import Thresholds
    from flyball_controller.core.baseline import confidence, expected_ratio
    from flyball_controller.core.threshold import trips_for

    trips = trips_for(
        policy,
        expected=expected_ratio(state.baseline, now_s, policy),
        spread=state.baseline.spread,
        confidence=confidence(state.baseline, policy),
    )
    return Thresholds(round(trips.normal, 4), round(trips.retry, 4), round(trips.open, 4))


def transitions_of(
    installation: Installation, target: str, *, since_s: float, until_s: float
) -> tuple[Mark, ...]:
    """Return when what was applied changed, and to what, from the journal; the newest fifty."""
    from flyball_analytics.dashboards import Mark

    marks = []
    for record in installation.journal.read(target, since_s=since_s, until_s=until_s):
        applied = record.get("applied")
        if record.get("changed") is not True or not isinstance(applied, dict):
            continue
        circuit = str(applied.get("circuit", "")).lower()
        shadow = "shadow: " if record.get("shadow") is True else ""
        regime = str(record.get("regime", "")).lower()
        words = f"{shadow}{regime}, {circuit}, budget {applied.get('budget_ratio')}"
        marks.append(Mark(float(str(record["at_s"])), words))
    return tuple(marks[-MARKS_MAX:])
