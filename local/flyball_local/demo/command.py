"""`flyball demo`: one simulated day of incidents, with flyball and without; imports late."""

from __future__ import annotations

from pathlib import Path

import click

from flyball_local.demo.scenario import HOURS_MAX, HOURS_MIN

SEED_MAX = 2**31 - 1


@click.command(short_help="One simulated day of incidents, with flyball and without.")
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=1, show_default=True, help="Which day.")
@click.option(
    "--hours",
    type=click.IntRange(HOURS_MIN, HOURS_MAX),
    default=HOURS_MAX,
    show_default=True,
    help="Length of the day; incidents keep their length and move together.",
)
@click.option(
    "--policy",
    default="two-loop",
    show_default=True,
    help="Preset (two-loop, adaptive, fixed, ladder) or policy file.",
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table, or every measure.",
)
@click.option(
    "--report",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the day as an HTML page, and the recording beside it.",
)
def demo(seed: int, hours: int, policy: str, output: str, page: Path | None) -> None:
    """Run the real handlers against an embedded AWS over one simulated day.

    Twelve services meet eight incidents: a retry storm, partial errors, an
    outage, throttling, a slow ramp, low traffic, a black hole, poison; and a
    batch and a slowdown that are none. The same day runs beside it without
    flyball, with three static retries.

    Uses no AWS account or setting, opens no socket, changes nothing but --report; the
    same seed prints the same bytes. Takes about 20 s on two cores.

    \b
    example: flyball demo --seed 7 --policy ladder
    example: flyball demo --report demo.html
    """
    from flyball_analytics.cli.errors import InvalidError
    from flyball_controller.core.errors import PolicyError
    from flyball_controller.policy_file import load_policy
    from flyball_local.demo.report import render_json, render_text
    from flyball_local.demo.runner import run_demo
    from flyball_local.demo.scenario import scenario

    try:
        policies = load_policy(policy)
    except PolicyError as error:
        raise InvalidError(str(error)) from error
    if page is not None:  # what it needs is looked for before a minute is simulated
        from flyball_local.demo.page import write_page

    result = run_demo(scenario(hours=hours), policies=policies, seed=seed, record=page is not None)
    click.echo(render_json(result) if output == "json" else render_text(result), nl=False)
    if page is not None:
        size = write_page(result, policies=policies, path=page)
        # Of JSON on stdout nothing else may be part.
        click.echo(
            f"\n{page}: the day as a page, {size / 1e6:.2f} MB; open it in a browser", err=output == "json"
        )
