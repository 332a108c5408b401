"""`flyball assess`: what is dangerous, which pattern helps where and why, what to do first."""

from __future__ import annotations

from pathlib import Path

import click

from flyball_analytics.cli.errors import ExitCode, InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import moment
from flyball_analytics.clock import SystemClock

FAIL_ON = ("high", "medium", "low", "unknown")


@click.command(short_help="Judge an integration map: hazards, patterns with reasons, first policy.")
@click.argument("map_file", metavar="MAP", type=click.Path(path_type=Path), default="integrations.yaml")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    help="Form of the result; markdown suits a pull request.",
)
@click.option(
    "--policy",
    "policy_out",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write the first policy there; - is stdout, in place of the assessment.",
)
@click.option("--force", is_flag=True, help="Let --policy replace a file.")
@click.option("--all", "everything", is_flag=True, help="List every step, not only the first ten.")
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    help="Exit with 1 on a hazard of this severity or higher; unknown: also on an unanswered question.",
)
@click.option("--now", "now_s", type=moment, help="What counts as now; later rows are impossible.")
def assess(
    map_file: Path,
    form: str,
    policy_out: Path | None,
    force: bool,
    everything: bool,
    fail_on: str | None,
    now_s: float | None,
) -> None:
    """Judge an integration map: hazards, patterns with reasons, first policy.

    MAP is an integrations.yaml, drafted by `flyball map` or `flyball init` and filled
    in by you. For every integration and function the decision checklist is answered,
    and time-out, retry, breaker, bulkhead or nothing is advised, with the reason.
    Targets that name a history get adaptive thresholds if it proves frequent false
    positives. No AWS is asked; only the file of --policy is written.
    docs/how-to/assess.md

    \b
    example: flyball assess integrations.yaml --policy policy.yaml
    example: flyball assess --format markdown --fail-on high
    """
    from flyball_analytics.assess.assessment import assess as judge
    from flyball_analytics.assess.first_policy import policy_text
    from flyball_analytics.assess.forms import markdown_of, plain_of, text_of
    from flyball_analytics.assess.histories import recommendations
    from flyball_analytics.integrations_file import load_integrations
    from flyball_controller.codec import canonical_json

    to_stdout = policy_out is not None and str(policy_out) == "-"
    if policy_out is not None and not to_stdout and policy_out.exists() and not force:
        raise InvalidError(f"{policy_out} exists; choose another name or give --force")
    known = load_integrations(map_file)
    named = sum(target.history is not None for target in known.targets.values())
    at_s = now_s if now_s is not None else SystemClock().now_s()
    found = recommendations(known, folder=map_file.parent, now_s=at_s)
    histories = {}
    for name, advice in with_progress(found, total=named, label="histories", check_every=1):
        if advice is None:
            click.echo(f"{name}: its history has no error ratio; thresholds stay fixed", err=True)
        else:
            histories[name] = advice
    judged = judge(known, histories)
    if policy_out is not None:
        _write(policy_out, policy_text(judged), to_stdout=to_stdout)
    if not to_stdout:
        if form == "json":
            click.echo(canonical_json(plain_of(judged)).decode())
        else:
            render = markdown_of if form == "markdown" else text_of
            click.echo(render(judged, everything=everything))
    _fail(fail_on, [hazard.severity.value for hazard in judged.hazards], judged.unknown())


def _write(path: Path, text: str, *, to_stdout: bool) -> None:
    if to_stdout:
        click.echo(text, nl=False)
        return
    write_whole(path, text.encode())
    click.echo(f"written {path}", err=True)


def _fail(fail_on: str | None, severities: list[str], unknown: int) -> None:
    """End with 1 if what was asked not to be there is there."""
    if fail_on is None:
        return
    counted = FAIL_ON[: FAIL_ON.index(fail_on) + 1]
    hazards = sum(severity in counted for severity in severities)
    questions = unknown if fail_on == "unknown" else 0
    if hazards or questions:
        click.echo(
            f"flyball: failed on {fail_on}: {hazards} hazards, {questions} unanswered questions", err=True
        )
        raise click.exceptions.Exit(ExitCode.CHECK_FAILED)
